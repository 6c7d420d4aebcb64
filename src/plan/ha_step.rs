//! The step that puts a VM under the HA manager.

use serde::Serialize;

use crate::model::HaWish;
use crate::observed::Ha;

/// How to put a VM under the HA manager, or to change how it looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HaStep {
    /// How it is to look after the VM.
    pub ha: HaWish,
    /// How it looked after the VM when that was planned, if it did; without what it says of the VM now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Ha>,
}
