//! The keys of a VM in the config, and where their values come from.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// The keys of a VM in the config: those of the specification in the order of its table, then the others. Each is
    /// documented at [`DesiredVm`](super::DesiredVm).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    #[expect(missing_docs, reason = "each is documented where its value is")]
    Key,
    /// The key as the config spells it.
    name {
        TemplateName = "template_name",
        OsType = "os_type",
        CpuSockets = "cpu_sockets",
        CpuCores = "cpu_cores",
        MemoryMb = "memory_mb",
        BootDiskSizeGb = "boot_disk_size_gb",
        BootDiskStorage = "boot_disk_storage",
        NetworkBridge = "network_bridge",
        NetworkModel = "network_model",
        Features = "features",
        Volumes = "volumes",
        VmId = "vm_id",
        VmName = "vm_name",
        Description = "description",
        Tags = "tags",
        FullClone = "full_clone",
        Started = "started",
        StartAtBoot = "start_at_boot",
        Protected = "protected",
        BootOrder = "boot_order",
        BootDelay = "boot_delay",
        DependsOn = "depends_on",
        Timeouts = "timeouts",
        CloudInitErrors = "cloud_init_errors",
        NetworkConfig = "network_config",
        UserConfig = "user_config",
        UserData = "user_data",
        VendorData = "vendor_data",
        CloudImage = "cloud_image",
        IsTemplate = "is_template",
        Proxmox = "proxmox",
        BootDiskOptions = "boot_disk_options",
        Networks = "networks",
        Disks = "disks",
        Cdrom = "cdrom",
        BootDevices = "boot_devices",
        Ready = "ready",
        Node = "node",
        Pool = "pool",
        Ha = "ha",
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// phoenix's own default.
    #[default]
    BuiltIn,
    /// `vm_defaults`.
    VmDefaults,
    /// The profile of this name.
    Profile(Arc<str>),
    /// The VM's own entry.
    Vm,
}

/// Where each of a VM's values came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(
    /// By key, and only what is not built in: every VM has one of these.
    Vec<(Key, Origin)>,
);

impl Origins {
    /// Where the value of `key` came from.
    #[must_use]
    pub fn of(&self, key: Key) -> Origin {
        self.place(key).map_or(Origin::BuiltIn, |at| self.0[at].1.clone())
    }

    /// Notes where the value of `key` came from.
    pub fn note(&mut self, key: Key, origin: Origin) {
        match (self.place(key), origin) {
            (Ok(at), Origin::BuiltIn) => drop(self.0.remove(at)),
            (Ok(at), origin) => self.0[at].1 = origin,
            (Err(_), Origin::BuiltIn) => {}
            (Err(at), origin) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (key, origin));
            }
        }
    }

    fn place(&self, key: Key) -> Result<usize, usize> {
        self.0.binary_search_by_key(&(key as usize), |(key, _)| *key as usize)
    }
}
