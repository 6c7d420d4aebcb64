//! The rules for file systems of further disks and where they are mounted.

use std::collections::BTreeSet;

use super::codes;
use super::disks::{said_of, saying};
use super::lexis::{is_within, trimmed};
use super::owner::{Owner, layers, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawDisk};
use super::spans::Place;
use super::volumes::{directory, mount_points};
use crate::model::Ready;

/// Applies the rules to every file system of a further disk.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (slot, disk) in vm.disks.iter().flatten() {
            let mount_point = disk.as_ref().and_then(|disk| disk.mount_point.as_deref());
            directory(mount_point, || owner.value(&format!("disks/{slot}/mount_point")), problems);
        }
        problems.since(before, vm.vm_id);
    }
    let mut said = BTreeSet::new();
    for n in 0..raw.virtual_machines.len() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, layer)| layer.disks.iter().flatten()).map(|(slot, _)| slot.as_str()).collect();
        let found: Vec<Mounted<'_>> = slots.into_iter().filter_map(|slot| Mounted::of(raw, n, slot)).collect();
        for disk in &found {
            // A word that is no file system is spoken of already.
            let alone = disk.alone().filter(|_| !problems.is_said(&disk.at("filesystem")));
            let problem = alone.or_else(|| disk.not_possible(raw, n)).or_else(|| disk.in_the_way(raw, n, &found));
            // What the defaults say is wrong once, however many VMs have it.
            problems.extend(problem.filter(|_| said.insert(disk.at("").pointer)));
        }
    }
}

/// What a VM ends up with of the keys about the file system of a disk.
struct Mounted<'r> {
    slot: &'r str,
    /// Where the nearer of the keys is written.
    owner: Owner<'r>,
    filesystem: bool,
    mount_point: Option<&'r str>,
    vm: Option<u32>,
}

impl<'r> Mounted<'r> {
    /// `None`: the file says nothing of that.
    fn of(raw: &'r Raw, n: usize, slot: &'r str) -> Option<Self> {
        let entries: Vec<(Owner<'r>, &'r RawDisk)> = said_of(raw, n, slot);
        // What is wrong with one that is a copy of an image is said already.
        if saying(&entries, "import_from").any(|(_, disk)| disk.import_from.is_some()) {
            return None;
        }
        let mut points = saying(&entries, "mount_point");
        let mount_point = points.find_map(|(owner, disk)| Some((owner, disk.mount_point.as_deref()?)));
        let filesystem =
            saying(&entries, "filesystem").find(|(_, disk)| disk.filesystem.is_some()).map(|(owner, _)| owner);
        Some(Self {
            slot,
            owner: mount_point.map(|(owner, _)| owner).or(filesystem)?,
            filesystem: filesystem.is_some(),
            mount_point: mount_point.map(|(_, at)| trimmed(at)),
            vm: raw.virtual_machines[n].vm_id,
        })
    }

    /// The place of one of its keys; empty: of the one that is there.
    fn at(&self, key: &str) -> Place {
        let there = if self.mount_point.is_some() { "mount_point" } else { "filesystem" };
        let key = if key.is_empty() { there } else { key };
        self.owner.value(&format!("disks/{}/{key}", self.slot))
    }

    fn problem(&self, code: codes::Code, what: String, hint: &str) -> Problem {
        Problem::new(code, what, self.at("")).hint(hint).vm(self.vm)
    }

    /// One key without the other.
    fn alone(&self) -> Option<Problem> {
        let (has, lacks) = match (self.filesystem, self.mount_point) {
            (true, None) => ("filesystem", "mount_point"),
            (false, Some(_)) => ("mount_point", "filesystem"),
            _ => return None,
        };
        let what = format!("{} has `{has}` and no `{lacks}`", shown(self.slot));
        Some(self.problem(codes::BAD_DISK, what, "give the disk both, or neither"))
    }

    /// What this disk, or this VM, cannot have.
    fn not_possible(&self, raw: &Raw, n: usize) -> Option<Problem> {
        let slot = shown(self.slot);
        if !self.slot.starts_with("scsi") {
            let what = format!("{slot} cannot have a `filesystem`: a guest can tell only disks in `scsi` slots apart");
            return Some(self.problem(codes::BAD_DISK, what, "take a slot from `scsi0` to `scsi30`"));
        }
        if let Some((owner, Ready::Running)) = said(raw, n, |vm| vm.ready) {
            let what = "a disk is formatted and mounted through the guest agent, and `ready` is `running`: nothing is asked of the guest".to_owned();
            let hint = "take `filesystem` and `mount_point` out, or let `ready` be `agent` or `cloud-init`";
            return Some(self.problem(codes::READY_CONFLICT, what, hint).also(owner.value("ready"), "said here"));
        }
        if raw.virtual_machines[n].is_template == Some(true) {
            let what =
                "a VM that becomes a template cannot mount further disks: each clone would have a copy with the same file system".to_owned();
            let hint = "take `filesystem` and `mount_point` out; give them to VMs that are cloned from it, for disks of their own";
            let problem = self.problem(codes::TEMPLATE_CONFLICT, what, hint);
            return Some(problem.also(Owner::Vm(n).value("is_template"), "said here"));
        }
        None
    }

    /// A mount point that another disk or a volume takes, or would hide.
    fn in_the_way(&self, raw: &Raw, n: usize, disks: &[Mounted<'r>]) -> Option<Problem> {
        let own = self.mount_point?;
        let of_disks = disks.iter().filter(|disk| disk.slot != self.slot);
        // Of two that have the same one, the later is told.
        let of_disks = of_disks.filter(|disk| disk.mount_point != Some(own) || disk.slot < self.slot);
        let of_disks = of_disks.filter_map(|disk| Some((disk.mount_point?, disk.at("mount_point"))));
        let others: Vec<(&str, Place)> = of_disks.chain(mount_points(raw, n)).collect();
        if let Some((_, at)) = others.iter().find(|(other, _)| *other == own) {
            let what = format!("two things are mounted at {}", shown(own));
            let problem = self.problem(codes::REPEATED_MOUNT_POINT, what, "give each its own mount point");
            return Some(problem.also(at.clone(), "the other one"));
        }
        let (outer, at) = others.iter().find(|(other, _)| is_within(own, other))?;
        let what = format!("{} lies in {}, which is mounted as well, and may hide it", shown(own), shown(outer));
        let problem = self.problem(codes::HIDDEN_MOUNT_POINT, what, "mount the disk somewhere else");
        Some(problem.also(at.clone(), "mounted here"))
    }
}
