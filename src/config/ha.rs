//! VMs under the HA manager: what the file says, and what contradicts it.

use super::codes;
use super::owner::{Owner, said};
use super::pick::{pick, pick_any};
use super::problem::{Problem, Problems};
use super::raw::{Raw, RawHaOrNull};
use crate::model::{HaState, HaWish, Key, Origins};

/// What an object says of the HA manager.
#[derive(Debug, Clone, Copy)]
pub(super) enum HaSaid {
    /// The VM is not under it, whatever is inherited.
    Not,
    /// It looks after the VM.
    So {
        /// In this state; `None`: as `started` says.
        state: Option<HaState>,
        /// See [`HaWish`].
        max_restart: u32,
        /// See [`HaWish`].
        max_relocate: u32,
    },
}

impl From<RawHaOrNull> for HaSaid {
    fn from(raw: RawHaOrNull) -> Self {
        raw.0.map_or(Self::Not, |raw| Self::So {
            state: raw.state,
            max_restart: raw.max_restart.unwrap_or(HaWish::TRIES),
            max_relocate: raw.max_relocate.unwrap_or(HaWish::TRIES),
        })
    }
}

/// Merges what is said of the HA manager, and whether the VM is to run: where only one of them is said, it says the
/// other.
pub(super) fn merged(
    (own, own_started): (Option<HaSaid>, Option<bool>),
    (shared, shared_started): (Option<HaSaid>, Option<bool>),
    origins: &mut Origins,
) -> (Option<HaWish>, bool) {
    let ha = match pick_any(origins, Key::Ha, own, shared) {
        Some(HaSaid::So { state, max_restart, max_relocate }) => Some((state, max_restart, max_relocate)),
        Some(HaSaid::Not) | None => None,
    };
    let runs = || ha.and_then(|(state, ..)| state?.runs()).unwrap_or(true);
    let started = pick(origins, Key::Started, own_started, shared_started.as_ref(), runs);
    let by_started = if started { HaState::Started } else { HaState::Stopped };
    let ha = ha.map(|(state, max_restart, max_relocate)| HaWish {
        state: state.unwrap_or(by_started),
        max_restart,
        max_relocate,
    });
    (ha, started)
}

/// Refuses a state that contradicts `started`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let Some((by, Some(ha))) = said(raw, n, |vm| vm.ha.as_ref().map(|ha| ha.0.as_ref())) else { continue };
        let Some((state, runs)) = ha.state.and_then(|state| Some((state, state.runs()?))) else { continue };
        let Some((owner, started)) = said(raw, n, |vm| vm.started).filter(|(_, started)| *started != runs) else {
            continue;
        };
        let what = format!(
            "`ha.state` is `{state}`, and `started` is {started}: the HA manager would {} the VM",
            if runs { "start" } else { "stop" }
        );
        let hint = match owner {
            Owner::Vm(_) => "take one of them out: the other one says it".to_owned(),
            Owner::Defaults | Owner::Profile(_) => format!("give this VM `started` of its own: {runs}"),
        };
        let problem = Problem::new(codes::HA_CONFLICT, what, by.value("ha/state"));
        problems.push(problem.also(owner.value("started"), "said here").hint(hint).vm(vm.vm_id));
    }
}
