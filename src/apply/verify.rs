//! Looking into guests before anything is planned: `--verify-guest`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock::Clock;
use super::hints;
use crate::guest::{self, Program};
use crate::hypervisor::{Fault, FaultKind, GuestExit, GuestStatus, Guests, address_on};
use crate::model::VmId;
use crate::observed::{GuestSeen, VmObserved};

/// Most guests that are asked at once.
const AT_ONCE: usize = 10;

/// How long one guest has for its answer, beside what a single call of its agent takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(500);

/// Asks about several things at once, ten at most, and returns the answers in the order of the things.
pub fn at_once<T: Sync, A: Send>(things: &[T], ask: impl Fn(&T) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(things.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(thing) = things.get(at) else { break };
                    let answer = ask(thing);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).insert(at, answer);
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Looks into the guests of these VMs: whether their agents answer, and what their records say is there. Changes nothing.
///
/// Returns within about half a minute for every ten VMs, whatever their guests do.
pub fn verify(guests: &dyn Guests, vms: &[&VmObserved], clock: &dyn Clock) -> BTreeMap<VmId, GuestSeen> {
    let seen = at_once(vms, |vm| look(guests, vm, clock));
    vms.iter().map(|vm| vm.id).zip(seen).collect()
}

/// Asks the agents of these VMs for the guests' addresses on net0, once each. One that does not answer, or has no address yet,
/// is left out.
pub fn addresses(guests: &dyn Guests, vms: &[&VmObserved]) -> BTreeMap<VmId, IpAddr> {
    let ask = |vm: &&VmObserved| {
        let mac = vm.net0.as_ref()?.mac.as_deref()?;
        address_on(&guests.addresses(vm.id).ok()?, mac)
    };
    let answers = at_once(vms, ask);
    vms.iter().zip(answers).filter_map(|(vm, address)| Some((vm.id, address?))).collect()
}

fn look(guests: &dyn Guests, vm: &VmObserved, clock: &dyn Clock) -> GuestSeen {
    let (Some(record), Some(uuid)) = (vm.record.valid(), vm.uuid.as_deref()) else {
        return GuestSeen::Silent { what: "it has no record".to_owned(), hint: None };
    };
    let console = || hints::look_at_console(vm.id);
    let seen = match guests.ping(vm.id).and_then(|()| run(guests, vm.id, &guest::look(record, uuid), clock)) {
        Ok(exit) => guest::read_look(&exit, record).map_err(|problem| (problem.what, problem.hint)),
        Err(fault) if fault.kind == FaultKind::AgentDown => Err((fault.what, fault.hint.or_else(|| Some(console())))),
        Err(fault) => Err((fault.what, fault.hint)),
    };
    seen.unwrap_or_else(|(what, hint)| GuestSeen::Silent { what, hint })
}

/// Runs a program that changes nothing, within the deadline. What passes by itself is asked again.
fn run(guests: &dyn Guests, vm: VmId, program: &Program, clock: &dyn Clock) -> Result<GuestExit, Fault> {
    let deadline = clock.now() + DEADLINE;
    let mut pid = None;
    loop {
        let asked = match pid {
            None => guests.start(vm, &program.argv, &program.input).map(|new| {
                pid = Some(new);
                None
            }),
            Some(pid) => guests.status(vm, pid).map(Some),
        };
        let wait = match asked {
            Ok(Some(GuestStatus::Ended(exit))) => return Ok(exit),
            // Ask at once after the start: it has ended by then.
            Ok(None) => continue,
            Ok(Some(GuestStatus::Running)) => {
                let what = format!("the guest did not say within {} s what is mounted", DEADLINE.as_secs());
                let hint = hints::NFS_SILENT.to_owned();
                Fault { hint: Some(hint), ..Fault::harmless(FaultKind::TimedOut, what) }
            }
            Err(fault) if fault.is_transient() || matches!(fault.kind, FaultKind::AgentDown | FaultKind::Garbled) => {
                pid = None;
                fault
            }
            Err(fault) => return Err(fault),
        };
        if clock.now() >= deadline {
            return Err(wait);
        }
        clock.pause(AGAIN);
    }
}
