//! What is done for the file systems of further disks.

use super::draft::Draft;
use super::due::Due;
use super::facts::Facts;
use crate::diag::Diagnostic;
use crate::model::proxmox::DISKS;
use crate::model::{ActionKind, Disruption, Formatted, Key, Outcome};
use crate::plan::filesystems::{self, Declared};
use crate::plan::{Action, Change, FormatStep, MountDiskStep, Step, UnmountStep, codes, diff};

/// A file system as the plan tells it.
fn words(slot: &str, at: &str, filesystem: &str) -> String {
    format!("{slot}: {filesystem} at {at}")
}

/// Says that the guest has a disk only when it is restarted.
fn waits_for_disk(facts: &Facts<'_>, declared: &Declared<'_>) -> Diagnostic {
    let Declared { slot, mount, .. } = declared;
    let at = &mount.mount_point;
    let what = format!("the guest has {slot} after a restart only: then it is formatted, and mounted at {at}");
    let hint = "`phoenix apply --restart` restarts the VM and does it";
    Diagnostic::notice(codes::LEFT_OPEN, what).vm(facts.vm.vm_id).about(Key::Disks).hint(hint)
}

impl Draft {
    /// Whether the guest runs now and goes on running.
    fn runs_on(&self, facts: &Facts<'_>) -> bool {
        !self.off && facts.scene.observed.vms.get(&facts.vm.vm_id).is_some_and(|live| live.running)
    }

    /// Unmounts what is no longer declared, the innermost first. `detached`: what lies on disks that a running VM is
    /// about to lose. Of a VM that does not run the disks go first, and what its guest has of them in `/etc/fstab` when
    /// it is up.
    pub(super) fn unmount_disks(&mut self, facts: &Facts<'_>, detached: bool) {
        let runs = self.runs_on(facts);
        let left = filesystems::left(facts.vm, facts.record);
        let mut left: Vec<&Formatted> = left
            .filter(|(slot, _)| (runs && !facts.vm.disks.contains_key(slot)) == detached)
            .map(|(_, disk)| disk)
            .collect();
        left.sort_by(|a, b| b.at.cmp(&a.at));
        for disk in left {
            let step = Box::new(UnmountStep { mount_point: disk.at.clone(), source: disk.source() });
            let (step, why) = if detached {
                (Step::UnmountDisk(step), "its disk is no longer declared")
            } else {
                (Step::Unmount(step), "it is no longer declared there")
            };
            self.push(Action::does(step, Outcome::Update, why).to(disk.at.as_str()));
        }
    }

    /// Whether the guest gets the disk of a file system only with a restart that is not planned.
    fn comes_later(&self, facts: &Facts<'_>, declared: &Declared<'_>, restart: bool) -> bool {
        let Some(live) = facts.scene.observed.vms.get(&facts.vm.vm_id) else { return false };
        let is_new = |key: &str| declared.noted.is_none() && key.strip_prefix(DISKS) == Some(declared.slot);
        let added = |change: &Change| is_new(change.key) && change.disruption == Disruption::Restart;
        self.runs_on(facts) && !restart && (filesystems::waits(declared.slot, live) || self.changes.iter().any(added))
    }

    /// What of that is due can be done in this run; says what cannot. `restart`: the VM is restarted before.
    pub(super) fn possible<'a>(&mut self, facts: &Facts<'_>, due: Vec<Due<'a>>, restart: bool) -> Vec<Due<'a>> {
        let (later, now): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|due| due.acts() && self.comes_later(facts, &due.declared, restart));
        self.finds(later.iter().map(|due| waits_for_disk(facts, &due.declared)));
        now
    }

    /// Makes the file systems that are not made yet.
    pub(super) fn format_disks(&mut self, due: &[Due<'_>]) {
        for Due { declared, .. } in due.iter().filter(|due| due.declared.is_to_be_made()) {
            let Declared { slot, mount, noted } = *declared;
            let step = Step::FormatDisk(FormatStep { slot, filesystem: mount.filesystem });
            let why = if noted.is_some() { "an earlier run did not finish it" } else { "it is a new disk" };
            self.push(Action::does(step, Outcome::Create, why).to(slot));
        }
    }

    /// Mounts the file systems, the outermost first.
    pub(super) fn mount_disks(&mut self, facts: &Facts<'_>, due: &[Due<'_>]) {
        for Due { declared, mount: (outcome, reason) } in due {
            let at = declared.mount.mount_point.as_str();
            let verify = facts.guest().lost_mount(at);
            let step = || MountDiskStep { slot: declared.slot, mount_point: at.to_owned(), verify };
            let action = if outcome.acts() {
                Action::does(Step::MountDisk(Box::new(step())), *outcome, reason)
            } else {
                Action::idle(ActionKind::MountDisk, reason)
            };
            self.push(action.to(at));
        }
    }

    /// Adds what changes about file systems, as people read it.
    pub(super) fn filesystem_changes(&mut self, facts: &Facts<'_>, due: &[Due<'_>]) {
        let origin = || facts.vm.origins.of(Key::Disks);
        for Due { declared, .. } in due.iter().filter(|due| due.acts()) {
            let Declared { slot, mount, noted } = *declared;
            let old = noted.filter(|noted| !noted.at.is_empty());
            let old = old.map(|noted| words(slot, &noted.at, noted.filesystem.as_str()));
            let new = words(slot, &mount.mount_point, mount.filesystem.as_str());
            let note = match (declared.is_to_be_made(), old.as_ref() == Some(&new)) {
                (true, _) => "formatted if nothing is found on the disk",
                (false, true) if facts.guest().lost_mount(&mount.mount_point) => {
                    "gone from the guest: it is mounted again"
                }
                (false, true) => "the file system grows with its disk",
                (false, false) => "",
            };
            self.changes.push(diff::told_by_actions(Key::Disks, origin(), old.filter(|old| *old != new), new, note));
        }
        for (slot, disk) in filesystems::left(facts.vm, facts.record) {
            if due.iter().any(|due| due.declared.slot == slot) {
                continue;
            }
            let old = Some(words(slot, &disk.at, disk.filesystem.as_str()));
            let note = "unmounted; what is on the disk stays";
            self.changes.push(diff::told_by_actions(Key::Disks, origin(), old, String::new(), note));
        }
    }
}
