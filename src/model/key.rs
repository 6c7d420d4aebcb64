//! The keys of a VM in the config, and where their values come from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a VM in the config: those of the specification in the order of its table, then the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the config key of the same name, documented at `DesiredVm`")]
pub enum Key {
    TemplateName,
    OsType,
    CpuSockets,
    CpuCores,
    MemoryMb,
    BootDiskSizeGb,
    BootDiskStorage,
    NetworkBridge,
    NetworkModel,
    Features,
    Volumes,
    VmId,
    VmName,
    Description,
    Tags,
    FullClone,
    Started,
    StartAtBoot,
    Protected,
    BootOrder,
    BootDelay,
    DependsOn,
    Timeouts,
    CloudInitErrors,
    NetworkConfig,
    UserConfig,
    CloudImage,
    IsTemplate,
}

impl Key {
    /// Every key, in order.
    pub const ALL: [Self; 28] = [
        Self::TemplateName,
        Self::OsType,
        Self::CpuSockets,
        Self::CpuCores,
        Self::MemoryMb,
        Self::BootDiskSizeGb,
        Self::BootDiskStorage,
        Self::NetworkBridge,
        Self::NetworkModel,
        Self::Features,
        Self::Volumes,
        Self::VmId,
        Self::VmName,
        Self::Description,
        Self::Tags,
        Self::FullClone,
        Self::Started,
        Self::StartAtBoot,
        Self::Protected,
        Self::BootOrder,
        Self::BootDelay,
        Self::DependsOn,
        Self::Timeouts,
        Self::CloudInitErrors,
        Self::NetworkConfig,
        Self::UserConfig,
        Self::CloudImage,
        Self::IsTemplate,
    ];

    /// The key as the config spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TemplateName => "template_name",
            Self::OsType => "os_type",
            Self::CpuSockets => "cpu_sockets",
            Self::CpuCores => "cpu_cores",
            Self::MemoryMb => "memory_mb",
            Self::BootDiskSizeGb => "boot_disk_size_gb",
            Self::BootDiskStorage => "boot_disk_storage",
            Self::NetworkBridge => "network_bridge",
            Self::NetworkModel => "network_model",
            Self::Features => "features",
            Self::Volumes => "volumes",
            Self::VmId => "vm_id",
            Self::VmName => "vm_name",
            Self::Description => "description",
            Self::Tags => "tags",
            Self::FullClone => "full_clone",
            Self::Started => "started",
            Self::StartAtBoot => "start_at_boot",
            Self::BootOrder => "boot_order",
            Self::BootDelay => "boot_delay",
            Self::Protected => "protected",
            Self::DependsOn => "depends_on",
            Self::Timeouts => "timeouts",
            Self::CloudInitErrors => "cloud_init_errors",
            Self::NetworkConfig => "network_config",
            Self::UserConfig => "user_config",
            Self::CloudImage => "cloud_image",
            Self::IsTemplate => "is_template",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// phoenix's own default.
    #[default]
    BuiltIn,
    /// `vm_defaults`.
    VmDefaults,
    /// The VM's own entry.
    Vm,
}

/// Where each of a VM's values came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origins([Origin; Key::ALL.len()]);

impl Origins {
    /// Where the value of `key` came from.
    #[must_use]
    pub fn of(&self, key: Key) -> Origin {
        self.0[key as usize]
    }

    /// Notes where the value of `key` came from.
    pub fn note(&mut self, key: Key, origin: Origin) {
        self.0[key as usize] = origin;
    }
}
