//! What a config needs of a target.

use std::collections::BTreeSet;

use super::{Area, Check, There, target};
use crate::diag::{Diagnostic, Severity};
use crate::model::{CloudImage, Desired, DesiredVm, ImagePlace, VmId};
use crate::observed::{Examined, Node, Observed, VmObserved, print_size};
use crate::plan::{Plan, codes, placement, volumes};

/// What the plan's codes are about. An error of another code is one of the config; a warning of another code says
/// nothing of what is missing.
const AREAS: [(Area, &[&str]); 5] = [
    (
        Area::Target,
        &[
            codes::TOO_MUCH_MEMORY,
            codes::MEMORY_OVERCOMMITTED,
            codes::TOO_MANY_CPUS,
            codes::NODE_OUT_OF_REACH,
            codes::IN_MAINTENANCE,
            codes::NO_NODE,
            codes::NO_MAPPING,
        ],
    ),
    (
        Area::Storages,
        &[
            codes::UNUSABLE_STORAGE,
            codes::STORAGE_SHORT,
            codes::NO_SNIPPETS,
            codes::SNIPPETS_SURVIVE,
            codes::LINKED_ELSEWHERE,
            codes::NO_VOLUME,
        ],
    ),
    (
        Area::Templates,
        &[
            codes::UNKNOWN_TEMPLATE,
            codes::AMBIGUOUS_TEMPLATE,
            codes::DISK_SHRINKS,
            codes::NO_BOOT_DISK,
            codes::IMAGE_PATH,
            codes::NO_PLACE_FOR_DRIVE,
            codes::CD_DRIVE,
            codes::DISC_UNKNOWN,
        ],
    ),
    (Area::Network, &[codes::UNKNOWN_BRIDGE, codes::NO_NODE_ADDRESS, codes::BRIDGE_MTU]),
    (
        Area::Nfs,
        &[codes::UNKNOWN_SHARE, codes::NO_NFS_SERVER, codes::HOST_PATH, codes::SERVED_ELSEWHERE, codes::FILLS_NODE],
    ),
];

/// Codes that the checks of the target tell themselves.
const TOLD: [&str; 2] = [codes::ALLOW_FILE, codes::NO_QUORUM];

/// The NFS servers that guests are to reach, but for the node itself where it is not named.
#[must_use]
pub fn servers(desired: &Desired) -> Vec<String> {
    let settings = &desired.settings;
    let has_features = desired.vms.iter().any(|vm| !vm.features.is_empty());
    let own = settings.persistent_storage.server.iter().filter(|_| has_features);
    let volumes = desired.vms.iter().flat_map(|vm| &vm.volumes);
    let named = volumes.filter_map(|volume| match &volume.share {
        Some(share) => settings.nfs_shares.get(share).map(|share| &share.server),
        None => volume.server.as_ref(),
    });
    let all: BTreeSet<&String> = own.chain(named).collect();
    all.into_iter().cloned().collect()
}

/// The images that a VM and its further disks are made from.
fn images_of(vm: &DesiredVm) -> impl Iterator<Item = &CloudImage> {
    vm.cloud_image.as_deref().into_iter().chain(vm.disks.values().filter_map(|disk| disk.import_from.as_ref()))
}

/// The images that VMs and further disks are made from, each once.
#[must_use]
pub fn images(desired: &Desired) -> Vec<CloudImage> {
    let mut images: Vec<CloudImage> = Vec::new();
    for image in desired.vms.iter().flat_map(|vm| images_of(vm)) {
        if !images.contains(image) {
            images.push(image.clone());
        }
    }
    images
}

/// Checks what a config needs: what its plan found, and what is well.
#[must_use]
pub fn of_config(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    examined: Option<&Examined>,
    there: &There,
) -> Vec<Check> {
    let mut checks: Vec<Check> = plan.problems.iter().filter_map(of_plan).collect();
    let compared = Compared { desired, observed, examined, there };
    let mut more = compared.storages();
    more.extend(compared.templates());
    more.extend(compared.images());
    more.extend(compared.bridges());
    more.extend(compared.nfs(plan));
    checks.extend(more);
    checks
}

/// What a finding of the plan says of what is missing.
fn of_plan(found: &Diagnostic) -> Option<Check> {
    if TOLD.contains(&found.code) || found.severity == Severity::Notice {
        return None;
    }
    let area = AREAS.iter().find(|(_, codes)| codes.contains(&found.code)).map(|(area, _)| *area);
    area.or_else(|| found.is_error().then_some(Area::Config)).map(|area| Check::of(area, found))
}

/// What the checks compare: the file and the target.
struct Compared<'s> {
    desired: &'s Desired,
    observed: &'s Observed,
    examined: Option<&'s Examined>,
    there: &'s There,
}

impl<'s> Compared<'s> {
    fn node(&self) -> &'s Node {
        self.observed.own_node()
    }

    /// The VMs that are not there yet: of the others the plan says what they need.
    fn to_be_made(&self) -> impl Iterator<Item = &'s DesiredVm> {
        self.desired.vms.iter().map(AsRef::as_ref).filter(|vm| !self.observed.vms.contains_key(&vm.vm_id))
    }

    /// The storages for disks that can be used; of the others the plan says what is wrong.
    fn storages(&self) -> Vec<Check> {
        let boot = self.desired.vms.iter().map(|vm| vm.boot_disk_storage.as_str());
        let further = self.desired.vms.iter().flat_map(|vm| vm.disks.values().map(|disk| disk.storage.as_str()));
        let used: BTreeSet<&str> = boot.chain(further).collect();
        let usable = used.into_iter().filter_map(|id| {
            let storage = self.node().storages.get(id).filter(|storage| storage.active && storage.images)?;
            Some(target::takes_disks(id, storage))
        });
        usable.collect()
    }

    /// The templates of VMs that are to be made.
    fn templates(&self) -> Vec<Check> {
        let cloned = self.to_be_made().filter(|vm| vm.template.is_none() && vm.cloud_image.is_none());
        let names: BTreeSet<&str> = cloned.map(|vm| vm.template_name.as_str()).collect();
        let by_name = self.observed.templates_by_name();
        let ids = names.iter().filter_map(|name| by_name.get(name)).flatten();
        ids.filter_map(|id| self.observed.vms.get(id)).flat_map(|vm| template(vm, self.observed, self.there)).collect()
    }

    /// Where images lie.
    fn images(&self) -> Vec<Check> {
        let made = self.to_be_made().flat_map(|vm| images_of(vm).map(move |image| (vm.vm_id, image)));
        let mut told: Vec<&CloudImage> = Vec::new();
        let mut checks = Vec::new();
        for (vm, image) in made {
            if !told.contains(&image) {
                told.push(image);
                checks.extend(self.image(vm, image));
            }
        }
        checks
    }

    fn image(&self, vm: VmId, image: &CloudImage) -> Option<Check> {
        let is_there = self.examined?.images.contains(&image.fetched());
        let (kind, _) = image.digest_kind();
        let checked = if image.digest().is_some() { format!(", and its {kind} is compared") } else { String::new() };
        match image.place() {
            ImagePlace::Url(url) if is_there => Some(ok(format!("{url} was fetched already{checked}"))),
            ImagePlace::Url(url) => Some(ok(format!("{url} will be fetched by the node{checked}"))),
            ImagePlace::File(path) if is_there => Some(ok(format!("{path} is on the node{checked}"))),
            ImagePlace::File(path) => {
                let what = format!("there is no file {path} on the node");
                let hint = format!("{}, or name a URL", self.there.copied_to(path));
                Some(Check::of(Area::Templates, &Diagnostic::error(codes::NO_IMAGE, what).vm(vm).hint(hint)))
            }
            ImagePlace::Volume(volume) => self.volume(vm, volume),
        }
    }

    /// Whether the storage of an image, such as `local:import/debian.qcow2`, may hold such.
    fn volume(&self, vm: VmId, volume: &str) -> Option<Check> {
        let (storage, content) = volume.split_once(':').and_then(|(id, path)| Some((id, path.split_once('/')?.0)))?;
        let contents = self.examined?.contents.get(storage)?;
        if content != "import" || contents.contains(content) {
            return Some(ok(format!("storage `{storage}` may hold {volume}")));
        }
        let what = format!("storage `{storage}` does not hold `{content}`, where {volume} is looked for");
        let all: Vec<&str> = contents.iter().map(String::as_str).chain([content]).collect();
        let hint = format!("{} adds it", self.there.run(&format!("pvesm set {storage} --content {}", all.join(","))));
        Some(Check::of(Area::Templates, &Diagnostic::error(codes::STORAGE_CONTENT, what).vm(vm).hint(hint)))
    }

    /// The bridges that are there; of the others the plan says it.
    fn bridges(&self) -> Vec<Check> {
        let used: BTreeSet<&str> = self.desired.vms.iter().map(|vm| vm.network_bridge.as_str()).collect();
        let known = used.into_iter().filter_map(|bridge| {
            let address = self.node().bridges.get(bridge)?;
            Some(target::bridge(bridge, address.as_deref()))
        });
        if self.observed.capabilities.has_bridges { known.collect() } else { Vec::new() }
    }

    /// Whether scripts reach a VM with features by a volume.
    fn has_volume(&self, vm: &DesiredVm) -> bool {
        volumes::on_own_disk(vm, &self.desired.settings, self.observed).is_none()
    }

    /// The node's own NFS server, and those that the config names.
    fn nfs(&self, plan: &Plan) -> Vec<Check> {
        let node = self.node();
        let named = servers(self.desired);
        let implicit = self.desired.settings.persistent_storage.server.is_none()
            && self.desired.vms.iter().any(|vm| !vm.features.is_empty() && self.has_volume(vm));
        let exports = implicit || named.iter().any(|server| node.is_server(server));
        let is_told = plan.problems.iter().any(|found| found.code == codes::NO_NFS_SERVER);
        let mut checks = Vec::new();
        if exports && !is_told {
            checks.push(self.own_server());
        }
        let Some(examined) = self.examined else { return checks };
        for server in named.iter().filter(|server| !node.is_server(server)) {
            checks.push(if examined.answering.contains(server) {
                Check::ok(Area::Nfs, format!("{server} takes connections (port 2049)"))
            } else {
                let what = format!("{server} takes no connection of NFS (port 2049) from the node");
                let hint = format!(
                    "guests may reach it all the same; {} shows what it exports",
                    self.there.run(&format!("showmount -e {server}"))
                );
                Check::of(Area::Nfs, &Diagnostic::warning(codes::NFS_SILENT, what).hint(hint))
            });
        }
        checks
    }

    fn own_server(&self) -> Check {
        let node = self.node();
        let threads = self.examined.and_then(|examined| examined.nfs_threads);
        if !node.nfs_server {
            let what = "the node has no NFS server to export directories with";
            let hint = node.nfs_hint.clone().unwrap_or_else(|| target::install_nfs(self.there));
            return Check::of(Area::Nfs, &Diagnostic::error(codes::NO_NFS_SERVER, what).hint(hint));
        }
        if node.nfs_ended || threads == Some(0) {
            let what = "the node's NFS server is installed and does not run";
            let hint =
                format!("{} starts it, also after each boot", self.there.run("systemctl enable --now nfs-server"));
            return Check::of(Area::Nfs, &Diagnostic::error(codes::NFS_SILENT, what).hint(hint));
        }
        Check::ok(Area::Nfs, "the node can export directories to its VMs")
    }
}

fn ok(text: String) -> Check {
    Check::ok(Area::Templates, text)
}

/// What a template has.
fn template(template: &VmObserved, observed: &Observed, there: &There) -> Vec<Check> {
    let on = placement::words_of(template.id, observed);
    let name = format!("template `{}` ({}){on}", template.name, template.id);
    let disk = template.boot_disk.as_ref().and_then(|disk| disk.size).map(print_size);
    let disk = disk.map(|size| format!("a disk of {size}"));
    let has = |has: bool, what: &str| has.then(|| what.to_owned());
    let agent = if template.agent { "the guest agent on" } else { "the guest agent off, which phoenix switches on" };
    let parts = [
        disk,
        has(true, agent),
        has(template.cloud_init.drive.is_some(), "a cloud-init drive"),
        has(template.devices.iter().any(|device| device.starts_with("serial")), "a serial console"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let mut checks = vec![ok(format!("{name}: {}", parts.join(", ")))];
    if template.cloud_init.drive.is_none() {
        let what = format!("{name} has no cloud-init drive: cloud-init may be switched off in its guest");
        let set = there.run(&format!("qm set {} --ide2 STORAGE:cloudinit", template.id));
        let hint = format!("{set} gives it one");
        checks.push(Check::of(Area::Templates, &Diagnostic::warning(codes::UNFIT_TEMPLATE, what).hint(hint)));
    }
    checks
}
