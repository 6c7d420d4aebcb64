//! Faces: how values look to people and programs. Folds over plans, events and diagnostics; nothing here acts.

pub mod commands;
pub mod diagnostics;
pub mod doctor;
pub mod edit;
mod failure;
pub mod findings;
pub mod graph;
mod header;
pub mod html;
pub mod inventory;
pub mod layout;
pub mod markdown;
pub(crate) mod nodes;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod secrets;
pub mod status;
pub mod story;
pub mod style;
pub mod table;
pub mod text;
pub mod verdict;
mod waits;
