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
        ShutdownTimeout = "shutdown_timeout",
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
///
/// Every VM has one of these: sets of keys, by their places in [`Key::ALL`], and a list only of what profiles say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// What the VM's own entry says.
    own: u64,
    /// What `vm_defaults` says.
    defaults: u64,
    /// What profiles say, by key.
    profiles: Vec<(Key, Arc<str>)>,
}

const _: () = assert!(Key::ALL.len() <= 64, "a set of keys has 64 places");

impl Origins {
    /// Where the value of `key` came from.
    #[must_use]
    pub fn of(&self, key: Key) -> Origin {
        if self.own & place(key) != 0 {
            Origin::Vm
        } else if self.defaults & place(key) != 0 {
            Origin::VmDefaults
        } else {
            let found = self.profiles.binary_search_by_key(&key, |(key, _)| *key);
            found.map_or(Origin::BuiltIn, |at| Origin::Profile(Arc::clone(&self.profiles[at].1)))
        }
    }

    /// Notes where the value of `key` came from.
    pub fn note(&mut self, key: Key, origin: Origin) {
        self.own &= !place(key);
        self.defaults &= !place(key);
        self.profiles.retain(|(known, _)| *known != key);
        match origin {
            Origin::BuiltIn => {}
            Origin::Vm => self.own |= place(key),
            Origin::VmDefaults => self.defaults |= place(key),
            Origin::Profile(name) => {
                let at = self.profiles.partition_point(|(known, _)| *known < key);
                self.profiles.insert(at, (key, name));
            }
        }
    }
}

fn place(key: Key) -> u64 {
    1 << key as u64
}
