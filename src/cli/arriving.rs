//! VMs that are on their way to another node: what is to be done to them waits until they have arrived.

use std::time::Duration;

use crate::apply::{Clock, RealClock};
use crate::hypervisor::Fault;
use crate::model::{Desired, VmId};
use crate::observed::Observed;
use crate::plan::{Selection, on_their_way};

use super::console::Console;

/// How long is waited at most: as long as a move of phoenix's own may take.
const LONGEST: Duration = Duration::from_hours(1);

/// How long between two looks.
const BETWEEN: Duration = Duration::from_secs(2);

/// Looks until none of the VMs that a plan of these is about is on its way to another node, and says which ones are. What
/// has not arrived by then the plan refuses.
pub(super) fn arrived(
    look: &dyn Fn() -> Result<Observed, Fault>,
    desired: &Desired,
    selection: &Selection,
    console: &Console,
) -> Result<Observed, Fault> {
    let clock = RealClock::start();
    let mut said: Vec<VmId> = Vec::new();
    loop {
        let observed = look()?;
        let on_the_way = on_their_way(desired, selection, &observed);
        if on_the_way.is_empty() || clock.now() > LONGEST {
            return Ok(observed);
        }
        for vm in on_the_way.iter().filter(|vm| !said.contains(vm)) {
            let name = desired.vm(*vm).map_or("", |vm| vm.vm_name.as_str());
            console
                .note(&format!("VM {vm} `{name}` is being migrated to another node: waiting until it has arrived\n"));
        }
        said = on_the_way;
        clock.pause(BETWEEN);
    }
}
