//! One page that needs nothing else: no network, no server, no framework. Of a plan, and of a run that is over.
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
mod timeline;
mod vm;

pub use plan::render as plan;
pub use run::render as run;
