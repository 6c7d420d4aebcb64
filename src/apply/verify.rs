//! Looking into guests before anything is planned: `--verify-guest`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock::Clock;
use super::{hints, program};
use crate::guest::{self, Program};
use crate::hypervisor::{Fault, FaultKind, GuestExit, Guests, all_on};
use crate::model::VmId;
use crate::observed::{GuestSeen, Plugged, VmObserved, is_reachable};

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

/// The same within a time. Those that were not asked by `until` are not asked any more, and have no answer.
fn in_time<T: Sync, A: Send>(
    things: &[T],
    (clock, until): (&dyn Clock, Duration),
    ask: impl Fn(&T) -> A + Sync,
) -> Vec<Option<A>> {
    at_once(things, |thing| (clock.now() < until).then(|| ask(thing)))
}

/// Asks about several things of other nodes at once; a node that hangs must not make a plan wait for each of them.
///
/// Returns within a minute and the time of one question. Those that were not asked by then have no answer.
pub fn in_a_minute<T: Sync, A: Send>(things: &[T], clock: &dyn Clock, ask: impl Fn(&T) -> A + Sync) -> Vec<Option<A>> {
    in_time(things, (clock, clock.now() + Duration::from_mins(1)), ask)
}

/// Looks into the guests of these VMs: whether their agents answer, and what their records say is there. Changes
/// nothing.
///
/// Returns within about half a minute for every ten VMs, whatever their guests do.
pub fn verify(guests: &dyn Guests, vms: &[&VmObserved], clock: &dyn Clock) -> BTreeMap<VmId, GuestSeen> {
    let seen = at_once(vms, |vm| look(guests, vm, clock));
    vms.iter().map(|vm| vm.id).zip(seen).collect()
}

/// How long agents are asked for addresses, all together. One that does not run is only known by its silence: a plan of
/// many VMs must not wait for every one of them, nor for guests that make it wait.
const ASKING: Duration = Duration::from_secs(30);

/// What agents said of their guests' addresses.
#[derive(Debug, Default)]
pub struct Addresses {
    /// What each agent that answered gave for net0: nothing believed, nothing left out.
    pub said: BTreeMap<VmId, Vec<IpAddr>>,
    /// How many agents were not asked any more, because asking the others took too long.
    pub unasked: usize,
}

impl Addresses {
    /// The address by which each guest is reached from the target itself: the lowest one, IPv4 before IPv6.
    #[must_use]
    pub fn lowest(&self) -> BTreeMap<VmId, IpAddr> {
        let lowest = |said: &Vec<IpAddr>| said.iter().copied().filter(|address| is_reachable(*address)).min();
        self.said.iter().filter_map(|(vm, said)| Some((*vm, lowest(said)?))).collect()
    }
}

/// Asks the agents of these VMs for the guests' addresses on net0, once each. One that does not answer is left out.
///
/// Returns within half a minute and the time of one question, whatever the guests do.
pub fn addresses(guests: &dyn Guests, vms: &[&VmObserved], clock: &dyn Clock) -> Addresses {
    let ask = |vm: &&VmObserved| {
        let mac = vm.net0.as_ref()?.mac.as_deref()?;
        Some(all_on(&guests.addresses(vm.id).ok()?, mac).collect())
    };
    let answers = in_time(vms, (clock, clock.now() + ASKING), ask);
    let unasked = answers.iter().filter(|answer| answer.is_none()).count();
    let said = vms.iter().zip(answers).filter_map(|(vm, answer)| Some((vm.id, answer??))).collect();
    Addresses { said, unasked }
}

fn look(guests: &dyn Guests, vm: &VmObserved, clock: &dyn Clock) -> GuestSeen {
    let (Some(record), Some(uuid)) = (vm.record.valid(), vm.uuid.as_deref()) else {
        return GuestSeen::Silent { what: "it has no record".to_owned(), hint: None };
    };
    let console = || hints::look_at_console(vm.id);
    let seen = match guests.ping(vm.id).and_then(|()| run(guests, vm.id, &guest::look(record, uuid), clock)) {
        Ok(exit) => match guest::read_look(&exit, record) {
            Ok(looked) => Ok(looked.leaving(offline(guests, vm))),
            Err(problem) => Err((problem.what, problem.hint)),
        },
        Err(fault) if fault.kind == FaultKind::AgentDown => Err((fault.what, fault.hint.or_else(|| Some(console())))),
        Err(fault) => Err((fault.what, fault.hint)),
    };
    seen.unwrap_or_else(|(what, hint)| GuestSeen::Silent { what, hint })
}

/// What the VM can get while it runs, and its guest does not use all of: how much it uses. An agent that cannot say is
/// not asked twice.
fn offline(guests: &dyn Guests, vm: &VmObserved) -> BTreeMap<Plugged, u64> {
    let plugged = [Plugged::Cpus, Plugged::Memory].into_iter().filter(|what| what.is_plugged(vm));
    let used = plugged.filter_map(|what| Some((what, guests.online(vm.id, what).ok()?)));
    used.filter(|(what, used)| *used < what.given(vm)).collect()
}

/// Runs a program that changes nothing, within the deadline. What passes by itself is asked again.
fn run(guests: &dyn Guests, vm: VmId, program: &Program, clock: &dyn Clock) -> Result<GuestExit, Fault> {
    let deadline = clock.now() + DEADLINE;
    program::run(guests, vm, program, |lost| {
        if clock.now() < deadline {
            clock.pause(AGAIN);
            return Ok(());
        }
        Err(lost.unwrap_or_else(|| {
            let what = format!("the guest did not say within {} s what is mounted", DEADLINE.as_secs());
            let hint = Some(hints::NFS_SILENT.to_owned());
            Fault { hint, ..Fault::harmless(FaultKind::TimedOut, what) }
        }))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::hypervisor::{GuestAddress, GuestStatus};

    /// Guests whose agents take a second each to say nothing, by a clock that only they move.
    #[derive(Default)]
    struct Silent(AtomicU64);

    impl Clock for Silent {
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }

        fn pause(&self, _: Duration) {}
    }

    impl Guests for Silent {
        fn ping(&self, _: VmId) -> Result<(), Fault> {
            Ok(())
        }

        fn addresses(&self, _: VmId) -> Result<Vec<GuestAddress>, Fault> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(Fault::harmless(FaultKind::AgentDown, "nothing"))
        }

        fn online(&self, _: VmId, _: Plugged) -> Result<u64, Fault> {
            Err(Fault::harmless(FaultKind::AgentDown, "nothing"))
        }

        fn input_limit(&self) -> usize {
            0
        }

        fn start(&self, _: VmId, _: &[String], _: &[u8]) -> Result<u64, Fault> {
            Err(Fault::harmless(FaultKind::AgentDown, "nothing"))
        }

        fn status(&self, _: VmId, _: u64) -> Result<GuestStatus, Fault> {
            Err(Fault::harmless(FaultKind::AgentDown, "nothing"))
        }
    }

    #[test]
    fn a_plan_does_not_wait_for_every_silent_guest() {
        let conf = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n";
        let vms: Vec<_> =
            (100..1100).map(|id| VmObserved::from_conf(VmId::try_from(id).unwrap(), conf, true)).collect();
        let silent = Silent::default();
        let told = addresses(&silent, &vms.iter().collect::<Vec<_>>(), &silent);
        let asked = usize::try_from(silent.0.load(Ordering::SeqCst)).unwrap();
        assert_eq!((told.said.len(), told.unasked), (0, vms.len() - asked));
        // Those that were being asked when the time was up are heard out.
        assert!((30..30 + AT_ONCE).contains(&asked), "{asked}");
        let slow = Silent::default();
        let answers = in_a_minute(&vms, &slow, |_| slow.0.fetch_add(60, Ordering::SeqCst));
        let asked = answers.iter().flatten().count();
        assert!((1..=AT_ONCE).contains(&asked) && answers.len() == vms.len(), "{asked}");
    }
}
