//! Which directories of the node VMs may have, and what the plan says of those that they get.
//!
//! The right to edit the config must not be the right to own the node, and root in a guest writes what it likes into what is exported
//! to it. So a directory is judged by where it really lies when all links are followed: one that the operating system or
//! the node's storages need is never given, and any other one only if the node's administrator allows it. The same
//! holds for directories that phoenix would only make.

mod notices;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Mount, codes, volumes};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, PERSISTENT_DATA, VmId, is_at_or_below, is_below, normal_path};
use crate::observed::{ALLOW_FILE, Observed};

pub(super) use notices::notices;
use rule::{Rule, Verdict};

/// What VMs may have of a node, and what they have; gathered once for all VMs of a plan.
pub(super) struct Grants<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    rule: Rule<'a>,
    /// Directories that guests can write, each with their VMs.
    written: BTreeMap<String, BTreeSet<VmId>>,
}

/// A directory that guests can write and that lies above another, or below it, and one of their VMs.
enum Nested<'g> {
    Within(&'g str, VmId),
    Above(&'g str, VmId),
}

impl<'a> Grants<'a> {
    /// Gathers what the node, its administrator and the command line (`asked`) allow.
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed, asked: &[String]) -> Self {
        let mut grants = Self { desired, observed, rule: Rule::of(observed, asked), written: BTreeMap::new() };
        for vm in &desired.vms {
            let mounts = volumes::resolve(vm, &desired.settings, observed, &mut Vec::new());
            for directory in mounts.iter().flat_map(|mount| mount.directories()) {
                grants.written.entry(grants.real(directory)).or_default().insert(vm.vm_id);
            }
        }
        for (vm, path) in observed.exports.iter().filter_map(|export| Some((export.vm?, &export.path))) {
            grants.written.entry(grants.real(path)).or_default().insert(vm);
        }
        grants
    }

    /// Where a directory really lies, as far as it was looked at. Back ends make and export nothing through a link.
    fn real(&self, path: &str) -> String {
        let path = normal_path(path);
        self.observed.places.get(&path).map_or(path, |place| place.real.clone())
    }

    /// Why no VM may be made from the file at `path`, with the way out; `None`: the node's administrator allows it, and no
    /// guest can write it.
    pub(super) fn refuses_image(&self, path: &str) -> Option<(String, String)> {
        let path = normal_path(path);
        let allowed = &self.observed.allowed;
        if !allowed.image_paths.iter().any(|root| is_below(&path, root)) {
            let dir = path.rsplit_once('/').map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir });
            let how = format!(
                "if its administrator agrees: {} in {ALLOW_FILE} on the node; or name a volume of content `import` or `iso`",
                serde_json::json!({ "image_paths": [dir] })
            );
            return Some(("the node's administrator does not allow it".to_owned(), how));
        }
        let written = self.written.keys().find(|root| is_at_or_below(&path, root)).map(String::as_str);
        let root = written.or_else(|| self.rule.given(&path))?;
        let why = format!("guests can write in `{root}`, or can be given it");
        Some((why, "put the image where no guest can write".to_owned()))
    }

    /// Tells which directories a VM may not have.
    pub(super) fn judge(&self, vm: &DesiredVm, mounts: &[Arc<Mount>], problems: &mut Vec<Diagnostic>) {
        let mut judged = BTreeSet::new();
        for mount in mounts {
            for directory in mount.directories() {
                let real = self.real(directory);
                if judged.insert(real.clone()) {
                    problems.extend(self.refusal(vm, mount, directory, &real).map(|problem| problem.vm(vm.vm_id)));
                }
            }
        }
    }

    /// Why a VM may not have a directory that really lies at `real`.
    fn refusal(&self, vm: &DesiredVm, mount: &Mount, directory: &str, real: &str) -> Option<Diagnostic> {
        let key = self.key(vm, mount);
        let error = |what: String| Diagnostic::error(codes::HOST_PATH, what);
        if real.is_empty() {
            let what = format!("`{directory}` cannot be given to VM {} ({key}): its links lead nowhere", vm.vm_id);
            return Some(error(what).hint("name a directory that is reached without links"));
        }
        let by_links = normal_path(directory) != real;
        let named = if by_links { format!("`{real}`, which is behind `{directory}`,") } else { format!("`{real}`") };
        let no = |why: String| error(format!("VM {} may not have {named} of the node ({key}): {why}", vm.vm_id));
        let own = format!("e.g. `{PERSISTENT_DATA}/{}`", vm.vm_id);
        let beside = "give them directories beside each other, or the same one";
        Some(match (self.rule.refuses(real), self.nested(vm.vm_id, real)) {
            (Some(Verdict::System), _) => no("it belongs to the operating system".to_owned())
                .hint(format!("nothing can allow that: give the VM a directory of its own, {own}")),
            (Some(Verdict::Storage(id)), _) => no(format!("storage `{id}` keeps what it holds there"))
                .hint(format!("nothing can allow that: give the VM a directory of its own, {own}")),
            (Some(Verdict::Whole(root)), _) => no(format!("`{root}` is where directories of other VMs lie, too"))
                .hint(format!("give the VM a directory below it, e.g. `{root}/{}`", vm.vm_id)),
            (Some(Verdict::NotAllowed), _) => no("nothing allows it".to_owned()).hint(allowing(real)),
            (None, Some(Nested::Within(other, by))) => no(format!(
                "it lies below `{other}`, in which the guest of VM {by} could put a link to anywhere in its place"
            ))
            .hint(beside),
            (None, Some(Nested::Above(other, by))) => no(format!(
                "`{other}` of VM {by} lies below it, and the guest could put a link to anywhere in its place"
            ))
            .hint(beside),
            (None, None) if by_links => {
                no("it is reached through a symbolic link".to_owned()).hint("name the directory itself")
            }
            (None, None) => return None,
        })
    }

    /// A directory that guests can write and that lies above this one, or below it.
    fn nested(&self, vm: VmId, real: &str) -> Option<Nested<'_>> {
        // Rather named with another VM than with itself.
        let of = |vms: &BTreeSet<VmId>| vms.iter().find(|other| **other != vm).or_else(|| vms.first()).copied();
        let above = real.match_indices('/').skip(1).map(|(at, _)| &real[..at]);
        for other in above {
            if let Some((other, vms)) = self.written.get_key_value(other) {
                return of(vms).map(|by| Nested::Within(other, by));
            }
        }
        let start = format!("{real}/");
        let (other, vms) = self.written.range(start.clone()..).next().filter(|(path, _)| path.starts_with(&start))?;
        of(vms).map(|by| Nested::Above(other, by))
    }

    /// The key of the config that names the directory.
    fn key(&self, vm: &DesiredVm, mount: &Mount) -> String {
        if mount.implicit {
            return "`hypervisor.persistent_storage.host_path`".to_owned();
        }
        let declared = vm.volumes.iter().find(|volume| volume.mount_point == mount.mount_point);
        let at = &mount.mount_point;
        match declared.and_then(|volume| volume.share.as_ref()) {
            Some(share) if self.desired.settings.nfs_shares.contains_key(share) => {
                format!("`hypervisor.nfs_shares.{share}` with the `path` of its volume at `{at}`")
            }
            Some(share) => format!("storage `{share}` with the `path` of its volume at `{at}`"),
            None => format!("its volume at `{at}`"),
        }
    }
}

/// How an administrator allows a directory.
fn allowing(path: &str) -> String {
    let json = serde_json::json!({ "host_paths": [path] });
    format!(
        "an administrator of the node allows it with {json} in {ALLOW_FILE} there, or for one run with `--allow-host-path \
         {path}`"
    )
}

/// Tells that the node's file of what is allowed counts for nothing.
pub(super) fn broken(observed: &Observed, problems: &mut Vec<Diagnostic>) {
    if let Some(why) = &observed.allowed.broken {
        let what = format!("{ALLOW_FILE} of the node allows nothing: {why}");
        let hint = "`phoenix schema --of allow` tells what it may say; only its administrator may be able to write it";
        problems.push(Diagnostic::warning(codes::ALLOW_FILE, what).hint(hint));
    }
}
