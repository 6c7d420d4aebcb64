//! The plan: what would be done, and why, as a value.
//!
//! Pure. Same values in, same bytes out; there is no other input. The plan holds the whole graph, so apply has nothing
//! left to decide: it only walks it.

mod action;
mod addresses;
mod attached;
mod capacity;
mod cards;
mod change;
mod channel;
mod cloud_init;
pub mod codes;
mod context;
mod copied;
mod diff;
mod disk;
pub mod doctor;
pub mod document;
mod drift;
mod drives;
mod earlier;
mod existing;
mod exports;
mod filesystems;
mod further;
mod grants;
mod ha;
mod ha_step;
mod hardware;
mod homes;
mod image;
pub mod import;
mod imported;
pub mod inventory;
pub mod lint;
pub(crate) mod lock;
mod migrate;
mod mount;
mod moving;
mod names;
mod order;
mod placement;
mod planned;
mod planner;
mod pool;
mod preflight;
mod quorum;
pub mod reach;
mod recreate;
mod request;
mod scene;
mod select;
mod selection;
mod shares;
mod size;
mod snippets;
mod staging;
pub mod status;
mod step;
mod steps;
mod template;
mod unnamed;
mod unused;
mod verified;
mod volumes;
mod without;
mod words;

pub use action::Action;
pub use attached::volumes_to_list;
pub use capacity::Capacity;
pub use change::{Change, ChangedBy, Waiting};
pub use channel::Channel;
pub use context::CONTEXT_FILE;
pub use copied::ImportStep;
pub use drives::iso_storages;
pub use earlier::Earlier;
pub(crate) use earlier::leftover;
pub use ha_step::HaStep;
pub use homes::{Agreed, homes, wanted_nodes};
pub use lock::on_their_way;
pub use mount::Mount;
pub use names::give_names;
pub use planned::{Plan, VmPlan};
pub use planner::plan;
pub use request::{Goal, Power, Request};
use scene::Scene;
pub use selection::{Selection, Selector, is_name, is_tag};
pub use step::{
    CloneStep, ConfigureStep, FeatureStep, FormatStep, ImageStep, Leftover, MigrateStep, MountDiskStep, MountStep,
    MoveStep, ResizeStep, Retired, Rows, SnippetStep, StageStep, StagedFile, Step, UnmountStep, UnusedStep,
};
pub use unnamed::{to_list, unnamed};
pub use unused::unused_to_list;
pub use verified::{to_ask, to_verify};
pub use volumes::{directories, more_directories};
