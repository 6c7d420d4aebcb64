//! Resource pools.

use super::words::known_words;
use super::{Scene, codes};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key};

/// Says that the pool of a VM is not there: it holds rights of people, which phoenix does not give.
pub(super) fn missing(vm: &DesiredVm, scene: &Scene<'_>) -> Option<Diagnostic> {
    let pools = &scene.observed.pools;
    let pool = vm.pool.as_deref().filter(|pool| !pool.is_empty() && !pools.contains(*pool))?;
    let known: Vec<&str> = pools.iter().map(String::as_str).collect();
    let hint = if known.is_empty() {
        format!("make it: `pvesh create /pools --poolid {pool}`")
    } else {
        format!("{}; or make it: `pvesh create /pools --poolid {pool}`", known_words("pools", pool, &known))
    };
    let what = format!("there is no resource pool `{pool}`");
    Some(Diagnostic::error(codes::NO_POOL, what).vm(vm.vm_id).about(Key::Pool).hint(hint))
}
