//! What holds where the file, or a VM of it, says nothing.

use super::owner::said;
use super::raw::{Raw, RawVm};
use crate::model::PERSISTENT_DATA;

/// `hypervisor.persistent_storage.host_path` where the file says nothing.
pub(super) const HOST_PATH: &str = PERSISTENT_DATA;
/// `hypervisor.persistent_storage.mount_point` where the file says nothing.
pub(super) const MOUNT_POINT: &str = "/persistent-storage";
/// `template_name` where neither `vm_defaults` nor the VM says anything.
pub(super) const TEMPLATE_NAME: &str = "ubuntu-22.04-cloud-template-v3";

/// The scripts directory as written, or its default.
pub(super) fn features_dir(raw: &Raw) -> &str {
    raw.hypervisor.as_ref().and_then(|hypervisor| hypervisor.features_dir.as_deref()).unwrap_or("features")
}

/// Whether a VM is made from an image: the nearest that names an image or a template names an image.
pub(super) fn is_from_image(raw: &Raw, n: usize) -> bool {
    let names = |vm: &RawVm| vm.cloud_image.as_ref().map(|_| true).or(vm.template_name.as_ref().map(|_| false));
    said(raw, n, names).is_some_and(|(_, is_image)| is_image)
}

/// The bridge of a card where the file names none.
pub(super) const NETWORK_BRIDGE: &str = "vmbr0";
