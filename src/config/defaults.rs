//! What holds where the file, or a VM of it, says nothing.

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

/// Whether a VM is made from an image: its own, or that of `vm_defaults` unless it names a template of its own.
pub(super) fn is_from_image(vm: &RawVm, shared: Option<&RawVm>) -> bool {
    let shared = shared.is_some_and(|shared| shared.cloud_image.is_some());
    vm.cloud_image.is_some() || (shared && vm.template_name.is_none())
}
