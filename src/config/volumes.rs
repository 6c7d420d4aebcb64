//! The rules for paths, volumes and the channel through which scripts reach a guest.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::codes;
use super::defaults::{HOST_PATH, MOUNT_POINT};
use super::lexis::{self, is_within, trimmed};
use super::owner::{Owner, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawVolume};
use super::rule::text;
use super::spans::{Place, escaped};

/// How many places of a shared path are pointed at.
const POINTED_AT: usize = 4;

/// Applies the rules to every volume and to the storage settings.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    let storage = Storage::of(raw);
    settings(raw, problems);
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        list(owner, vm.volumes.as_deref().unwrap_or_default(), problems);
        problems.since(before, vm.vm_id);
    }
    channels(raw, &storage, problems);
    shared_data(raw, &storage, problems);
}

/// Where the channels of this file are.
struct Storage<'a> {
    host_path: &'a str,
    mount_point: &'a str,
}

impl<'a> Storage<'a> {
    fn of(raw: &'a Raw) -> Self {
        let written = raw.hypervisor.as_ref().and_then(|hypervisor| hypervisor.persistent_storage.as_ref());
        Self {
            host_path: trimmed(written.and_then(|storage| storage.host_path.as_deref()).unwrap_or(HOST_PATH)),
            mount_point: trimmed(written.and_then(|storage| storage.mount_point.as_deref()).unwrap_or(MOUNT_POINT)),
        }
    }
}

/// Checks the paths and servers of the `hypervisor` block.
fn settings(raw: &Raw, problems: &mut Problems) {
    let Some(block) = &raw.hypervisor else { return };
    if let Some(storage) = &block.persistent_storage {
        let at = |key: &str| Place::value(format!("/hypervisor/persistent_storage/{key}"));
        directory(storage.host_path.as_deref(), || at("host_path"), problems);
        directory(storage.mount_point.as_deref(), || at("mount_point"), problems);
        server(storage.server.as_deref(), || at("server"), problems);
    }
    for (name, share) in &block.nfs_shares {
        let pointer = || format!("/hypervisor/nfs_shares/{}", escaped(name));
        let cannot = (codes::BAD_STORAGE, "cannot be the name of a share");
        text(Some(name), cannot, lexis::storage, || Place::key(pointer()), problems);
        let at = |key: &str| Place::value(format!("{}/{key}", pointer()));
        directory(share.host_path.as_deref(), || at("host_path"), problems);
        path(share.export.as_deref(), || at("export"), problems);
        server(share.server.as_deref(), || at("server"), problems);
    }
}

fn server(value: Option<&str>, at: impl Fn() -> Place, problems: &mut Problems) {
    text(value, (codes::BAD_SERVER, "is neither a host name nor an IP address"), lexis::server, at, problems);
}

fn path(value: Option<&str>, at: impl Fn() -> Place, problems: &mut Problems) {
    text(value, (codes::BAD_PATH, "cannot be used as a path"), lexis::path, at, problems);
}

/// Checks a path that something is mounted on or exported from.
pub(super) fn directory(value: Option<&str>, at: impl Fn() -> Place, problems: &mut Problems) {
    let before = problems.number();
    path(value, &at, problems);
    if let Some(value) = value
        && problems.number() == before
        && lexis::is_system_directory(trimmed(value))
    {
        problems.push(
            Problem::new(codes::SYSTEM_DIRECTORY, format!("{} belongs to the operating system", shown(value)), at())
                .hint("choose a directory of your own, e.g. below `/mnt` or `/srv`"),
        );
    }
}

/// Checks one list of volumes as it is written.
fn list(owner: Owner<'_>, volumes: &[RawVolume], problems: &mut Problems) {
    let mut earlier: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, volume) in volumes.iter().enumerate() {
        let at = |n: usize, key: &str| owner.value(&format!("volumes/{n}/{key}"));
        let cannot = (codes::BAD_STORAGE, "cannot be the name of a share");
        text(volume.share.as_deref(), cannot, lexis::storage, || at(n, "share"), problems);
        server(volume.server.as_deref(), || at(n, "server"), problems);
        path(volume.path.as_deref(), || at(n, "path"), problems);
        directory(volume.mount_point.as_deref(), || at(n, "mount_point"), problems);
        let Some(mount_point) = volume.mount_point.as_deref().map(trimmed) else { continue };
        if let Some(&m) = earlier.get(mount_point) {
            problems.push(
                Problem::new(
                    codes::REPEATED_MOUNT_POINT,
                    format!("two volumes are mounted at {}", shown(mount_point)),
                    at(n, "mount_point"),
                )
                .label("again here")
                .also(at(m, "mount_point"), "first here")
                .hint("give each volume its own mount point"),
            );
            continue;
        }
        // What is mounted below it follows right after it in the order of the alphabet.
        let below = if mount_point == "/" { "/".to_owned() } else { format!("{mount_point}/") };
        let inner = earlier.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded)).next();
        if let Some((inner, &m)) = inner.filter(|(inner, _)| inner.starts_with(&below)) {
            problems.push(
                hides(mount_point, inner, at(n, "mount_point"))
                    .also(at(m, "mount_point"), "mounted before it")
                    .hint("declare the outer volume before the inner one"),
            );
        }
        earlier.insert(mount_point, n);
    }
}

fn hides(outer: &str, inner: &str, at: Place) -> Problem {
    Problem::new(
        codes::HIDDEN_MOUNT_POINT,
        format!("mounting {} would hide what is mounted at {}", shown(outer), shown(inner)),
        at,
    )
}

/// The volumes that a VM ends up with, and where they are written.
fn effective(raw: &Raw, n: usize) -> (Owner<'_>, &[RawVolume]) {
    said(raw, n, |vm| vm.volumes.as_deref()).unwrap_or((Owner::Vm(n), &[]))
}

/// Where volumes of a VM are mounted, also the one through which scripts reach it, and where that is written.
pub(super) fn mount_points(raw: &Raw, n: usize) -> Vec<(&str, Place)> {
    let (owner, volumes) = effective(raw, n);
    let mut all: Vec<(&str, Place)> = Vec::new();
    for (v, volume) in volumes.iter().enumerate() {
        let place = || owner.value(&format!("volumes/{v}/mount_point"));
        all.extend(volume.mount_point.as_deref().map(|path| (trimmed(path), place())));
    }
    let channel = said(raw, n, |vm| vm.features.as_ref()).filter(|(_, features)| !features.is_empty());
    all.extend(channel.map(|(by, _)| (Storage::of(raw).mount_point, by.value("features"))));
    all
}

fn has_features(raw: &Raw, n: usize) -> bool {
    said(raw, n, |vm| vm.features.as_ref()).is_some_and(|(_, features)| !features.is_empty())
}

/// The declared volume that carries the scripts of a VM with features.
fn channel<'a>(storage: &Storage<'_>, volumes: &'a [RawVolume]) -> Option<(usize, &'a RawVolume)> {
    let is_channel =
        |volume: &&RawVolume| volume.mount_point.as_deref().is_some_and(|at| trimmed(at) == storage.mount_point);
    volumes.iter().enumerate().find(|(_, volume)| is_channel(volume))
}

/// Checks that every VM with features has a channel of its own.
fn channels(raw: &Raw, storage: &Storage<'_>, problems: &mut Problems) {
    let shares = raw.hypervisor.as_ref().map(|hypervisor| &hypervisor.nfs_shares);
    // Where each channel lies, its VM, and where it is written. Implicit ones differ from each other by their VMID, so
    // they count only where there are others.
    let (mut declared, mut implicit) = (Vec::new(), Vec::new());
    for (n, vm) in raw.virtual_machines.iter().enumerate().filter(|(n, _)| has_features(raw, *n)) {
        let (owner, volumes) = effective(raw, n);
        let Some((v, volume)) = channel(storage, volumes) else {
            implicit.push((n, vm));
            for (v, volume) in volumes.iter().enumerate() {
                let outer = volume.mount_point.as_deref().map_or("/", trimmed);
                if outer != "/" && is_within(storage.mount_point, outer) {
                    problems.push(
                        hides(outer, storage.mount_point, owner.value(&format!("volumes/{v}/mount_point")))
                            .hint("the scripts of a VM with features lie there; choose another mount point")
                            .vm(vm.vm_id),
                    );
                }
            }
            continue;
        };
        let at = || owner.value(&format!("volumes/{v}"));
        if let (Some(server), Some(path)) = (&volume.server, &volume.path) {
            declared.push((format!("{server}:{}", trimmed(path)), n, Place::value(format!("{}/path", at().pointer))));
        } else if let (Some(share), Some(path)) = (&volume.share, &volume.path) {
            let dir = match shares.and_then(|shares| shares.get(share)?.host_path.as_deref()) {
                Some(host_path) => joined(host_path, path),
                None => format!("{share}:{}", trimmed(path)),
            };
            declared.push((dir, n, Place::value(format!("{}/path", at().pointer))));
        }
    }
    if declared.is_empty() {
        return;
    }
    for (n, vm) in implicit {
        if let Some(id) = vm.vm_id {
            declared.push((format!("{}/{id}", storage.host_path), n, Owner::Vm(n).value("vm_id")));
        }
    }
    declared.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    for same in declared.chunk_by(|a, b| a.0 == b.0) {
        let (dir, first, first_at) = &same[0];
        let id = |n: usize| raw.virtual_machines[n].vm_id.map_or_else(String::new, |id| id.to_string());
        for (_, n, at) in &same[1..] {
            // One of the two may be implicit; the declared one is where something can be changed.
            let (at, other) = if at.pointer.ends_with("/vm_id") { (first_at, at) } else { (at, first_at) };
            let problem = Problem::new(
                codes::SHARED_CHANNEL,
                format!("VMs {} and {} would have their scripts in one directory, {}", id(*first), id(*n), shown(dir)),
                at.clone(),
            )
            .hint("give each VM a path of its own")
            .vm(raw.virtual_machines[*n].vm_id);
            problems.push(if other == at { problem } else { problem.also(other.clone(), "the same directory") });
        }
    }
}

/// The directory on the hypervisor of a path below a share.
fn joined(host_path: &str, path: &str) -> String {
    match (trimmed(host_path), trimmed(path)) {
        (host_path, "/") => host_path.to_owned(),
        ("/", path) => path.to_owned(),
        (host_path, path) => format!("{host_path}{path}"),
    }
}

/// Notices data that several VMs mount: often meant, sometimes a copy left unedited.
fn shared_data(raw: &Raw, storage: &Storage<'_>, problems: &mut Problems) {
    let mut data = Vec::new();
    for n in 0..raw.virtual_machines.len() {
        let (owner, volumes) = effective(raw, n);
        let channel = if has_features(raw, n) { channel(storage, volumes).map(|(v, _)| v) } else { None };
        for (v, volume) in volumes.iter().enumerate().filter(|(v, _)| Some(*v) != channel) {
            if let (Some(from), Some(path)) = (volume.share.as_deref().or(volume.server.as_deref()), &volume.path) {
                data.push((volume.share.is_some(), from, trimmed(path), n, v, owner));
            }
        }
    }
    data.sort_unstable_by_key(|(share, from, path, n, v, _)| (*share, *from, *path, *n, *v));
    for same in data.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        let mut vms: Vec<usize> = same.iter().map(|(_, _, _, n, ..)| *n).collect();
        vms.dedup();
        if vms.len() < 2 {
            continue;
        }
        let (_, from, path, ..) = same[0];
        let mut places: Vec<Place> = Vec::new();
        for (_, _, _, _, v, owner) in same {
            let place = owner.value(&format!("volumes/{v}/path"));
            if places.len() < POINTED_AT && !places.contains(&place) {
                places.push(place);
            }
        }
        let mut places = places.into_iter();
        let Some(first) = places.next() else { continue };
        let problem = Problem::new(
            codes::SHARED_DATA,
            format!("{} VMs mount the same path, {}", vms.len(), shown(&format!("{from}:{path}"))),
            first,
        );
        problems.push(places.fold(problem, |problem, place| problem.also(place, "here too")));
    }
}
