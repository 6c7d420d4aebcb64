//! VMs with which others are at work, which has an end: what is to be done to them waits until it has come.

use std::time::Duration;

use crate::apply::{Clock, RealClock};
use crate::hypervisor::Fault;
use crate::model::{Desired, VmId};
use crate::observed::Observed;
use crate::plan::{AtWork, Selection, on_their_way};

use super::console::Console;

/// How long is waited at most for a migration: as long as a move of phoenix's own may take.
const LONGEST: Duration = Duration::from_hours(1);

/// How long is waited at most for the HA manager, which may not be at work at all.
const HA_LONGEST: Duration = Duration::from_mins(3);

/// How long between two looks.
const BETWEEN: Duration = Duration::from_secs(2);

/// Looks until none of the VMs that a plan of these is about is on its way to another node, nor to be started, stopped
/// or moved by the HA manager, and says which ones are. A VM that has not arrived by then the plan refuses; what the HA
/// manager has not done by then is said, and planned for as it is.
pub(super) fn arrived(
    look: &dyn Fn() -> Result<Observed, Fault>,
    desired: &Desired,
    selection: &Selection,
    console: &Console,
) -> Result<Observed, Fault> {
    let clock = RealClock::start();
    let mut said: Vec<(VmId, AtWork)> = Vec::new();
    loop {
        let observed = look()?;
        let passed = clock.now();
        let (waited, late): (Vec<_>, Vec<_>) =
            on_their_way(desired, selection, &observed).into_iter().partition(|(_, work)| match work {
                AtWork::Migration => passed <= LONGEST,
                AtWork::Ha(_) => passed <= HA_LONGEST,
            });
        let name = |vm: &VmId| desired.vm(*vm).map_or("", |vm| vm.vm_name.as_str());
        if waited.is_empty() {
            for (vm, _) in late.iter().filter(|(_, work)| matches!(work, AtWork::Ha(_))) {
                let minutes = HA_LONGEST.as_secs() / 60;
                console.note(&format!(
                    "VM {vm} `{}`: the HA manager has not done that in {minutes} minutes (`ha-manager status` says more): \
                     planning for the VM as it is\n",
                    name(vm)
                ));
            }
            return Ok(observed);
        }
        for (vm, work) in waited.iter().filter(|one| !said.contains(one)) {
            console.note(&format!("VM {vm} `{}` {}\n", name(vm), work.words()));
        }
        said = waited;
        clock.pause(BETWEEN);
    }
}
