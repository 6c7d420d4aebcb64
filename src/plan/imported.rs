//! Further disks that are made as copies of images: which, and what must hold of them before anything is done.

use super::{Scene, cards, codes, image, migrate, placement};
use crate::diag::Diagnostic;
use crate::model::{CloudImage, DesiredVm, Disk, ImagePlace, Record, is_noted, proxmox};
use crate::observed::VmObserved;

/// The disks of a VM that become copies of images: the slot, the disk and its image. A VM that is made from a template
/// gets what that has.
pub(super) fn importing<'v>(
    vm: &'v DesiredVm,
    record: &Record,
    scene: &Scene<'_>,
) -> Vec<(&'static str, &'v Disk, &'v CloudImage)> {
    let base = cards::base(vm, record, scene);
    let lacks = |slot: &str| base.is_none_or(|base| base.options.get(slot).is_none());
    let disks = vm.disks.iter().filter_map(|(slot, disk)| Some((*slot, disk, disk.import_from.as_ref()?)));
    disks.filter(|(slot, ..)| lacks(slot)).collect()
}

/// The images of these disks that are fetched, or compared, each once, and the slot of the first disk that needs it.
/// What the VM itself is made from is there by then.
pub(super) fn to_fetch<'v>(
    vm: &DesiredVm,
    disks: &[(&'static str, &'v Disk, &'v CloudImage)],
    made: bool,
) -> Vec<(&'static str, &'v CloudImage)> {
    let mut found: Vec<(&'static str, &CloudImage)> = Vec::new();
    for (slot, _, image) in disks.iter().filter(|(.., image)| image.is_checked()) {
        let is_there = made && vm.cloud_image.as_deref() == Some(*image);
        if !is_there && !found.iter().any(|(_, other)| other == image) {
            found.push((*slot, *image));
        }
    }
    found
}

/// Why a disk cannot be made as a copy of its image. `live`: the VM, where it exists.
pub(super) fn problem(
    vm: &DesiredVm,
    (slot, disk): (&str, &Disk),
    live: Option<&VmObserved>,
    scene: &Scene<'_>,
) -> Option<Diagnostic> {
    let image = disk.import_from.as_ref()?;
    image::problem(vm, image, scene).or_else(|| out_of_reach(vm, image, scene)).or_else(|| {
        let live = live.filter(|live| live.running && vm.started && disk.size_gb.is_some())?;
        let bus = slot.starts_with("scsi") || slot.starts_with("virtio");
        let plugs = scene.observed.capabilities.plugs_network;
        if bus && plugs && live.hotplug.contains("disk") {
            return None;
        }
        let what = format!("the guest gets {slot} when the VM restarts: the disk cannot grow before");
        let hint = format!("`phoenix stop {}` first; or take `size_gb` out until the VM has restarted", vm.vm_id);
        Some(Diagnostic::error(codes::IMPORT_GROWS_LATER, what).hint(hint))
    })
}

/// Why the node of the VM does not reach an image.
fn out_of_reach(vm: &DesiredVm, image: &CloudImage, scene: &Scene<'_>) -> Option<Diagnostic> {
    // It moves before the copy is made.
    let live = placement::there(vm.vm_id, scene.observed);
    let moves = live.and_then(|live| migrate::destination(vm, live, scene.observed));
    let node = moves.and_then(|name| scene.observed.nodes.get(name)).unwrap_or_else(|| scene.node(vm.vm_id));
    if node.name == scene.observed.own_node().name {
        return None;
    }
    let is_shared = |volume: &str| {
        let storage = volume.split(':').next().unwrap_or_default();
        node.storages.get(storage).is_some_and(|storage| storage.shared)
    };
    let why = match image.place() {
        ImagePlace::Volume(volume) if is_shared(volume) => return None,
        ImagePlace::Volume(_) => "its storage is not shared",
        ImagePlace::File(_) => "it is a file of the node that phoenix reaches",
        ImagePlace::Url(_) => "it is fetched by the node that phoenix reaches",
    };
    let on = placement::on(node, scene.observed);
    let what = format!("image `{}` cannot become a disk of a VM{on}: {why}", image.source);
    let hint = "put it on a storage that both nodes share, and name it as a volume: `STORAGE:import/NAME`";
    Some(Diagnostic::error(codes::IMPORT_ELSEWHERE, what).hint(hint))
}

/// Says of disks that are there that they were made from something else than the file says now.
pub(super) fn made_otherwise(vm: &DesiredVm, record: &Record, live: &VmObserved) -> Vec<Diagnostic> {
    let differs = |(slot, disk): (&&'static str, &Disk)| {
        let image = disk.import_from.as_ref().filter(|_| live.options.get(slot).is_some())?;
        let is = match record.imported.get(*slot) {
            Some(was) if is_noted(was, &image.name()) => return None,
            Some(_) => "is a copy of another image",
            None => "was not made from an image",
        };
        let what = format!("{slot} {is}; changing `import_from` does not affect a disk that is there");
        let key = proxmox::disk(slot)?.key;
        Some(Diagnostic::notice(codes::IMPORTED_OTHERWISE, what).vm(vm.vm_id).about(key))
    };
    vm.disks.iter().filter_map(differs).collect()
}
