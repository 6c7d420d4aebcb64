//! Which directories of the node VMs may have, and what the plan says of those that they get.
//!
//! The right to edit the config must not be the right to own the node, and root in a guest writes what it likes into
//! what is exported to it. So a directory is judged by where it really lies when all links are followed: one that the
//! operating system or the node's storages need is never given, and any other one only if the node's administrator
//! allows it. The same holds for directories that phoenix would only make.

mod notices;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Mount, codes, placement, volumes};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, PERSISTENT_DATA, VmId, is_at_or_below, is_below, normal_path};
use crate::observed::{ALLOW_FILE, Node, Observed};

pub(super) use notices::notices;
use rule::{Rule, Verdict};

/// What VMs may have of the nodes, and what they have; gathered once for all VMs of a plan.
pub(super) struct Grants<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    nodes: BTreeMap<&'a str, NodeGrants<'a>>,
}

/// What VMs may have of one node, and what they have.
struct NodeGrants<'a> {
    node: &'a Node,
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
    /// Gathers what the nodes, their administrators and the command line (`asked`) allow.
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed, asked: &[String]) -> Self {
        let of_node = |(name, node): (&'a String, &'a Node)| {
            let mut grants = NodeGrants { node, rule: Rule::of(node, asked), written: BTreeMap::new() };
            for (vm, path) in node.exports.iter().filter_map(|export| Some((export.vm?, &export.path))) {
                grants.gives(vm, path);
            }
            (name.as_str(), grants)
        };
        let mut nodes: BTreeMap<&str, NodeGrants<'_>> = observed.nodes.iter().map(of_node).collect();
        for vm in &desired.vms {
            // Directories are made and served on the target's own node, wherever the VM is.
            let Some(grants) = nodes.get_mut(observed.here.as_str()) else { continue };
            let mounts = volumes::resolve(vm, &desired.settings, observed).mounts;
            mounts.iter().flat_map(|mount| mount.directories()).for_each(|directory| grants.gives(vm.vm_id, directory));
        }
        Self { desired, observed, nodes }
    }

    /// What VMs may have of the target's own node; `None`: nothing is known of it.
    fn own(&self) -> Option<&NodeGrants<'a>> {
        self.nodes.get(self.observed.here.as_str())
    }

    /// Why no VM may be made from the file at `path`, with the way out; `None`: the node's administrator allows it, and
    /// no guest can write it.
    pub(super) fn refuses_image(&self, path: &str) -> Option<(String, String)> {
        self.own()?.refuses_image(path)
    }

    /// The directories that a VM may not have, and why.
    pub(super) fn refuses(&self, vm: &DesiredVm, mounts: &[Arc<Mount>]) -> Vec<Diagnostic> {
        let Some(grants) = self.own() else { return Vec::new() };
        let mut judged = BTreeSet::new();
        let directories = mounts.iter().flat_map(|mount| mount.directories().map(move |directory| (mount, directory)));
        directories
            .filter(|(_, directory)| judged.insert(grants.real(directory)))
            .filter_map(|(mount, directory)| {
                Some(self.refusal(vm, mount, grants, directory)?.vm(vm.vm_id).about(mount.key()))
            })
            .collect()
    }

    /// Why a VM may not have a directory of its node.
    fn refusal(&self, vm: &DesiredVm, mount: &Mount, grants: &NodeGrants<'_>, directory: &str) -> Option<Diagnostic> {
        let real = grants.real(directory);
        let real = real.as_str();
        let error = |what: String| Diagnostic::error(codes::HOST_PATH, what);
        if real.is_empty() {
            let key = self.key(vm, mount);
            let what = format!("`{directory}` cannot be given to the VM ({key}): its links lead nowhere");
            return Some(error(what).hint("name a directory that is reached without links"));
        }
        let by_links = normal_path(directory) != real;
        let (refused, nested) = (grants.rule.refuses(real), grants.nested(vm.vm_id, real));
        if refused.is_none() && nested.is_none() && !by_links {
            return None;
        }
        let (of, key) = (placement::called(grants.node, self.observed), self.key(vm, mount));
        let named = if by_links { format!("`{real}`, which is behind `{directory}`,") } else { format!("`{real}`") };
        let no = |why: String| error(format!("the VM may not have {named} of {of} ({key}): {why}"));
        let own = format!("e.g. `{PERSISTENT_DATA}/{}`", vm.vm_id);
        let beside = "give them directories beside each other, or the same one";
        Some(match (refused, nested) {
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
            (None, None) => no("it is reached through a symbolic link".to_owned()).hint("name the directory itself"),
        })
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

impl NodeGrants<'_> {
    /// Where a directory really lies, as far as it was looked at. Back ends make and export nothing through a link.
    fn real(&self, path: &str) -> String {
        let path = normal_path(path);
        self.node.places.get(&path).map_or(path, |place| place.real.clone())
    }

    /// Notes that the guest of a VM can write a directory.
    fn gives(&mut self, vm: VmId, path: &str) {
        self.written.entry(self.real(path)).or_default().insert(vm);
    }

    /// Why no VM of the node may be made from the file at `path`, with the way out.
    fn refuses_image(&self, path: &str) -> Option<(String, String)> {
        let path = normal_path(path);
        let allowed = &self.node.allowed;
        if !allowed.image_paths.iter().any(|root| is_below(&path, root)) {
            let dir = path.rsplit_once('/').map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir });
            let how = format!(
                "if its administrator agrees: {} in {ALLOW_FILE} on the node; or name a volume of content `import`",
                serde_json::json!({ "image_paths": [dir] })
            );
            return Some(("the node's administrator does not allow it".to_owned(), how));
        }
        let written = self.written.keys().find(|root| is_at_or_below(&path, root)).map(String::as_str);
        let root = written.or_else(|| self.rule.given(&path))?;
        let why = format!("guests can write in `{root}`, or can be given it");
        Some((why, "put the image where no guest can write".to_owned()))
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
}

/// How an administrator allows a directory.
fn allowing(path: &str) -> String {
    let json = serde_json::json!({ "host_paths": [path] });
    format!(
        "an administrator of the node allows it with {json} in {ALLOW_FILE} there, or for one run with `--allow-host-path \
         {path}`"
    )
}

/// The nodes whose file of what is allowed counts for nothing.
pub(super) fn broken(observed: &Observed) -> impl Iterator<Item = Diagnostic> {
    observed.nodes.values().filter_map(|node| {
        let why = node.allowed.broken.as_ref()?;
        let what = format!("{ALLOW_FILE} of {} allows nothing: {why}", placement::called(node, observed));
        let hint = "`phoenix schema --of allow` says what may stand in it; only the node's administrator may be able to write it";
        Some(Diagnostic::warning(codes::ALLOW_FILE, what).hint(hint))
    })
}
