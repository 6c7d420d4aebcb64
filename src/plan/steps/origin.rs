//! What a VM is made from, as its plan tells it.

use crate::model::{ActionKind, CloudImage, DesiredVm, VmId};
use crate::observed::VmObserved;
use crate::plan::Scene;
use crate::plan::migrate::Way;
use crate::plan::{Leftover, diff, template};

/// How a VM is made.
pub(super) struct Making {
    /// What it is made from.
    pub(super) source: Source,
    /// Storage of the disk: of a full clone, or of the image's copy; `None`: a linked one, on its template's storage.
    pub(super) storage: Option<String>,
    /// How it gets to its node.
    pub(super) way: Way,
    /// What must be removed first.
    pub(super) leftover: Option<Leftover>,
}

/// What a VM is made from.
pub(super) enum Source {
    /// A template, which is cloned.
    Template(VmId),
    /// An image, which is imported.
    Image(CloudImage),
}

/// What a new VM is made from.
pub(super) struct MadeFrom<'o> {
    /// The template whose drives it will have, if there is one.
    pub(super) drives: Option<&'o VmObserved>,
    /// Model of the network card that it has before it is configured, if that can be told.
    pub(super) card: Option<&'o str>,
    /// Size of its disk, if that can be told.
    pub(super) size: Option<u64>,
    /// How it is cloned.
    pub(super) mode: Option<String>,
    /// Why the VM is configured.
    pub(super) values: &'static str,
    /// Why its disk grows.
    pub(super) smaller: &'static str,
}

impl<'o> MadeFrom<'o> {
    pub(super) fn of(vm: &DesiredVm, making: &Making, scene: &Scene<'o>) -> Self {
        match &making.source {
            Source::Template(id) => {
                let awaited = template::awaited(vm, scene);
                // What is not a template yet is not what will be cloned.
                let template = scene.observed.vms.get(id).filter(|_| awaited.is_none());
                let is = template.and_then(|template| template.boot_disk.as_ref()).and_then(|disk| disk.size);
                let has = template.and_then(|template| template.net0.as_ref()).map(|net| net.model.as_str());
                Self {
                    drives: drives(vm, scene),
                    card: awaited.map(|template| template.network_model.as_str()).or(has),
                    size: awaited.map(diff::wanted_bytes).or(is),
                    mode: Some(format!("{id}, {} clone", if making.storage.is_some() { "full" } else { "linked" })),
                    values: "the clone has the template's values",
                    smaller: "the template's disk is smaller",
                }
            }
            Source::Image(_) => Self {
                drives: None,
                card: None,
                size: None,
                mode: None,
                values: "a new VM has Proxmox's own values",
                smaller: "the disk has the size of the image",
            },
        }
    }
}

/// The template whose drives a clone will have: where its own is not built yet, the one that this is cloned from.
/// `None`: it has a cloud-init drive in any case, as whatever is made from an image, or is told something by
/// cloud-init.
fn drives<'o>(vm: &DesiredVm, scene: &Scene<'o>) -> Option<&'o VmObserved> {
    let mut clone = vm;
    while let Some(template) = template::awaited(clone, scene) {
        if template.tells_cloud_init() || template.cloud_image.is_some() {
            return None;
        }
        clone = template;
    }
    let named = || scene.templates_for(clone.vm_id, &clone.template_name).first().copied();
    scene.observed.vms.get(&clone.template.or_else(named)?)
}

/// The action that makes a VM.
pub(super) fn made_by(vm: &DesiredVm) -> ActionKind {
    if vm.cloud_image.is_some() { ActionKind::CreateFromImage } else { ActionKind::Clone }
}
