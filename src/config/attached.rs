//! The rules for volumes that are attached as further disks.

use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use super::disks::{said_of, saying};
use super::lexis::{self, Verdict};
use super::owner::{Owner, layers, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawDisk};
use super::rule::text;
use super::spans::Place;
use crate::model::proxmox;

/// Applies the rules to every `volume` of a disk.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (slot, disk) in vm.disks.iter().flatten() {
            let named = disk.as_ref().and_then(|disk| disk.volume.as_deref());
            let place = || owner.value(&format!("disks/{slot}/volume"));
            text(named, (codes::BAD_VOLUME, "cannot be a volume"), volume, place, problems);
        }
        problems.since(before, vm.vm_id);
    }
    let mut said = BTreeSet::new();
    for n in 0..raw.virtual_machines.len() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, layer)| layer.disks.iter().flatten()).map(|(slot, _)| slot.as_str()).collect();
        let mut earlier = BTreeMap::new();
        for slot in slots {
            let Some(named) = Named::of(raw, n, slot).filter(|named| !problems.is_said(&named.at())) else { continue };
            let found = named.of_another().or_else(|| named.in_the_way(raw, n)).or_else(|| named.twice(&earlier));
            earlier.entry(named.volume).or_insert_with(|| named.at());
            problems.extend(found.filter(|_| said.insert(named.at().pointer)));
        }
    }
}

/// Accepts what names a volume of a storage: `STORAGE:NAME`, where the name may have directories.
pub(super) fn volume(text: &str) -> Verdict {
    if text.starts_with('/') {
        return Err("it is a path, and a volume is named by its storage: `STORAGE:NAME`".into());
    }
    if text.contains(',') {
        return Err("it contains a comma; options of the disk stand in `options`".into());
    }
    let Some((storage, name)) = text.split_once(':') else { return Err("it names no storage: `STORAGE:NAME`".into()) };
    lexis::storage(storage)?;
    if text.len() > lexis::MAX_PATH {
        return Err(format!("it is longer than {} characters", lexis::MAX_PATH));
    }
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = |part: &str| part.starts_with(first) && part.chars().all(|c| first(c) || matches!(c, '.' | '+' | '-'));
    if name.split('/').all(good) { Ok(()) } else { Err(format!("`{name}` is not the name of a volume")) }
}

/// A volume that a VM ends up with, and where that is written.
struct Named<'r> {
    slot: &'r str,
    owner: Owner<'r>,
    volume: &'r str,
    vm: Option<u32>,
}

impl<'r> Named<'r> {
    fn of(raw: &'r Raw, n: usize, slot: &'r str) -> Option<Self> {
        let said: Vec<(Owner<'r>, &'r RawDisk)> = said_of(raw, n, slot);
        let (owner, volume) =
            saying(&said, "volume").find_map(|(owner, disk)| Some((owner, disk.volume.as_deref()?)))?;
        Some(Self { slot, owner, volume, vm: raw.virtual_machines.get(n)?.vm_id })
    }

    fn at(&self) -> Place {
        self.owner.value(&format!("disks/{}/volume", self.slot))
    }

    fn problem(&self, code: codes::Code, what: String, hint: impl Into<String>) -> Problem {
        Problem::new(code, what, self.at()).hint(hint).vm(self.vm)
    }

    /// Another VM's, by its name, or none that can be a disk.
    fn of_another(&self) -> Option<Problem> {
        let vm = self.vm?;
        let name = self.volume.rsplit(['/', ':']).next().unwrap_or_default();
        let own = format!("vm-{vm}-");
        let mut parts = self.volume.split_once(':')?.1.rsplit('/').skip(1);
        let beside = parts.next().is_none_or(|dir| dir == vm.to_string() || dir.starts_with("base-"));
        let hint = format!(
            "a volume of this VM is called `{own}…`: see `qm config {vm}` and `pvesm list STORAGE --vmid {vm}`"
        );
        let Some(kind) = name.strip_prefix(&own).filter(|_| beside) else {
            let what = format!("{} is not a volume of VM {vm}: its name says otherwise", shown(self.volume));
            return Some(self.problem(codes::BAD_VOLUME, what, hint));
        };
        let kept = ["cloudinit", "state-"].into_iter().find(|word| kind.starts_with(word))?;
        let is = if kept == "state-" { "the memory of a snapshot" } else { "the cloud-init drive" };
        let what = format!("{} is {is}, not a disk", shown(self.volume));
        Some(self.problem(codes::BAD_VOLUME, what, "name a disk"))
    }

    /// A slot or a storage that does not go with it.
    fn in_the_way(&self, raw: &Raw, n: usize) -> Option<Problem> {
        let slot = shown(self.slot);
        if proxmox::holds_state(self.slot) {
            let what = format!(
                "{slot} takes no `volume`: firmware or a TPM keeps its state there, and Proxmox makes that disk itself"
            );
            let hint = format!("take it out, and attach it by hand: `qm set VMID --{} VOLUME`", self.slot);
            return Some(self.problem(codes::VOLUME_CONFLICT, what, hint));
        }
        let said = said_of(raw, n, self.slot);
        let (owner, other) =
            saying(&said, "storage").find_map(|(owner, disk)| Some((owner, disk.storage.as_deref()?)))?;
        let (lies_on, _) = self.volume.split_once(':')?;
        if other == lies_on {
            return None;
        }
        let what = format!("the volume lies on {}, and `storage` is {}", shown(lies_on), shown(other));
        let also = owner.value(&format!("disks/{}/storage", self.slot));
        let hint = "take `storage` out: a volume lies where its name says";
        Some(self.problem(codes::VOLUME_CONFLICT, what, hint).also(also, "said here"))
    }

    /// A volume that another slot has.
    fn twice(&self, earlier: &BTreeMap<&str, Place>) -> Option<Problem> {
        let other = earlier.get(self.volume)?;
        let what = format!("two disks have the volume {}", shown(self.volume));
        let problem = self.problem(codes::VOLUME_CONFLICT, what, "give each a volume of its own");
        Some(problem.also(other.clone(), "the other one"))
    }
}
