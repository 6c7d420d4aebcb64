//! One page that needs nothing else: no network, no server, no framework. Of a plan, of a run that is over, and of a
//! status.
//!
//! The pages are HTML that is well-formed XML too, so that a strict parser can check that no value broke out of its
//! place.

mod diff;
mod escape;
mod filters;
mod graph;
mod nodes;
mod page;
mod plan;
mod problems;
mod run;
mod status;
mod timeline;
mod vm;

pub use plan::render as plan;
pub use run::render as run;
pub use status::render as status;
