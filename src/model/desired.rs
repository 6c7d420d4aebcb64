//! What the config says, defaults merged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::proxmox::{self, ProxmoxOption};
use super::{
    CloudData, CloudImage, DataPart, Disk, HaWish, NetworkConfig, Nodes, Origins, ProxmoxValue, Timeouts, UserConfig,
    VmId, Volume,
};

/// Everything one config file wants.
///
/// Serialised, it is what the file says, wherever it lies and however it is written: what a plan hash is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Desired {
    /// The `hypervisor` block, defaults filled in.
    pub settings: Settings,
    /// The declared VMs, sorted by VMID.
    pub vms: Vec<Arc<DesiredVm>>,
    /// What a VM would be of which the file says nothing but a VMID and a name; those here mean nothing. Not
    /// serialised: each VM has what it takes of it.
    #[serde(skip)]
    pub defaults: DesiredVm,
    /// The scripts that the declared features resolve to.
    pub scripts: Scripts,
}

impl Desired {
    /// The declared VM with this VMID.
    #[must_use]
    pub fn vm(&self, vm: VmId) -> Option<&DesiredVm> {
        self.vms.binary_search_by_key(&vm, |declared| declared.vm_id).ok().map(|at| &*self.vms[at])
    }
}

/// The `hypervisor` block of the config with its defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `hypervisor.target` as written. Not serialised: a target counts by what it is, not by how it is reached.
    #[serde(skip)]
    pub target: Option<String>,
    /// Name the VMs of this file belong to; default `default`.
    pub project: String,
    /// Whether the file says so itself.
    pub project_named: bool,
    /// Directory of the feature scripts as written; default `features`. Relative paths start at the config file. Not
    /// serialised: the scripts themselves are.
    #[serde(skip)]
    pub features_dir: String,
    /// Where the implicit volume of a VM with features lives.
    pub persistent_storage: PersistentStorage,
    /// NFS shares by the name that volumes use.
    pub nfs_shares: BTreeMap<String, NfsShare>,
    /// Tags: VMs that share one of them are restarted one after the other.
    pub never_together: Vec<String>,
    /// Tags: of VMs that share one of them, no two are made on one node where that can be avoided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never_same_node: Vec<String>,
    /// How much of a node's memory its VMs may be promised before no new one is placed there, in percent.
    pub memory_limit_percent: u32,
    /// A tag that every VM of the file gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_tag: Option<String>,
}

/// `hypervisor.persistent_storage`: the implicit volume of VMs with features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersistentStorage {
    /// Directory on the hypervisor; each VM gets `HOST_PATH/<vm_id>`.
    pub host_path: String,
    /// NFS server as the guest reaches it; `None` means the node's address on the VM's bridge.
    pub server: Option<String>,
    /// Where the channel is mounted in the guest.
    pub mount_point: String,
}

/// One entry of `hypervisor.nfs_shares`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NfsShare {
    /// NFS server as the guest reaches it.
    pub server: String,
    /// Exported path on that server.
    pub export: String,
    /// Where the hypervisor sees the export.
    pub host_path: String,
}

/// One VM as the config wants it. Field names are the config's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredVm {
    /// VMID.
    pub vm_id: VmId,
    /// Name of the VM and host name of its guest.
    pub vm_name: String,
    /// `smbios1` uuid, in lower case, of a VM that phoenix did not make and that is to be taken over; it means nothing
    /// once the VM is ours.
    pub adopt: Option<String>,
    /// Where the VM may be; `None`: where it is, and a new one on the target's own node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Nodes>,
    /// Name of the Proxmox template to clone.
    pub template_name: String,
    /// The VM of this file that is the template; `None`: it is one that the target has, or an image.
    pub template: Option<VmId>,
    /// The image that the VM is made from, instead of a template.
    pub cloud_image: Option<Box<CloudImage>>,
    /// Whether the VM becomes a template when everything in its guest is done.
    pub is_template: bool,
    /// Proxmox `ostype`.
    pub os_type: OsType,
    /// CPU sockets.
    pub cpu_sockets: u32,
    /// Cores per socket.
    pub cpu_cores: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Size of the boot disk in GiB; it only ever grows.
    pub boot_disk_size_gb: u32,
    /// Proxmox storage of the boot disk.
    pub boot_disk_storage: String,
    /// Bridge of net0.
    pub network_bridge: String,
    /// Network card model of net0.
    pub network_model: NetworkModel,
    /// Feature scripts to run, in this order.
    pub features: Vec<Feature>,
    /// Volumes to mount, in this order.
    pub volumes: Vec<Volume>,
    /// Notes as declared, without the record.
    pub description: String,
    /// Tags as Proxmox stores them, the project's among them: lower case, sorted, each once.
    pub tags: Vec<String>,
    /// The project's tag. Not serialised: it is one of the tags.
    #[serde(skip)]
    pub project_tag: Option<String>,
    /// The resource pool it is in; empty: in none; `None` leaves it where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How the HA manager looks after it; `None`: not at all, as far as the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha: Option<HaWish>,
    /// Whether the VM gets a copy of its template's disk; else a linked clone, which needs the template for ever.
    pub full_clone: bool,
    /// Whether the VM is to run.
    pub started: bool,
    /// Proxmox `onboot`; `None` leaves it as it is.
    pub start_at_boot: Option<bool>,
    /// `order` of Proxmox `startup`; `None` leaves it as it is.
    pub boot_order: Option<u32>,
    /// `up` of Proxmox `startup`, in seconds: how long the node waits then; `None` leaves it as it is.
    pub boot_delay: Option<u32>,
    /// `down` of Proxmox `startup`, in seconds: how long the VM may take to end when the node shuts down; `None` leaves
    /// it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_timeout: Option<u32>,
    /// Proxmox `protection`; `None` leaves it as it is.
    pub protected: Option<bool>,
    /// VMs of this file that must be ready before anything is done to this one.
    pub depends_on: Vec<VmId>,
    /// How long its guest is waited for.
    pub timeouts: Timeouts,
    /// What an error of cloud-init does.
    pub cloud_init_errors: CloudInitErrors,
    /// When the VM is ready.
    #[serde(skip_serializing_if = "Ready::is_default")]
    pub ready: Ready,
    /// The network of the guest, by cloud-init; `None` leaves it as it is.
    pub network_config: Option<Box<NetworkConfig>>,
    /// The user of the guest, by cloud-init; `None` leaves it as it is.
    pub user_config: Option<Box<UserConfig>>,
    /// User data in place of what Proxmox makes of the VM's options; `None`: Proxmox makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Box<CloudData>>,
    /// Vendor data of cloud-init; `None`: there is none of phoenix's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_data: Option<Box<CloudData>>,
    /// Options by Proxmox's own names, without those that were taken away; what is not listed stays as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxmox: BTreeMap<&'static str, ProxmoxValue>,
    /// Options of the boot disk; `None`: all stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_disk_options: Option<Box<ProxmoxValue>>,
    /// Network cards and their addresses, by Proxmox's names of the options (`net1`, `ipconfig1`); of the first card
    /// only what no other key says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<&'static str, ProxmoxValue>,
    /// Further disks by their slots.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disks: BTreeMap<&'static str, Disk>,
    /// What lies in CD drives by their slots: a volume, or `none`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cdrom: BTreeMap<&'static str, ProxmoxValue>,
    /// Devices that the VM tries to boot from, before others: `ide0;scsi0`. `None`: their order stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_devices: Option<Box<ProxmoxValue>>,
    /// Where each value came from. Not serialised: a value is the same wherever it stands.
    #[serde(skip)]
    pub origins: Origins,
}

/// A feature a VM wants; its script is in [`Scripts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Name as the config says it, e.g. `install_docker`.
    pub name: Arc<str>,
}

/// The scripts of all declared features and the utilities they share.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Scripts {
    /// Feature name → its script.
    pub features: BTreeMap<Arc<str>, Script>,
    /// `phoenix_common.sh`, staged beside every script.
    pub common: Option<Script>,
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    /// File name in the scripts directory, e.g. `install_docker.sh`.
    pub file: String,
    /// Where it came from, for people: a path, or `built-in`. Not serialised: its digest says what it is.
    #[serde(skip)]
    pub from: String,
    /// Content. Not serialised: its digest is.
    #[serde(skip)]
    pub content: Arc<str>,
    /// [`content_digest`](super::content_digest) of the content.
    pub digest: Arc<str>,
}

/// Defines an enum of Proxmox words with its spelling in one table.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal, $doc:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
        pub enum $name {
            $(#[doc = $doc] #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word with its meaning, in Proxmox's own order.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $doc),)+];

            /// The word as Proxmox spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value for a word of Proxmox, if it is one.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Proxmox `ostype` (values of the API schema of qemu-server).
    OsType {
        L26 = "l26", "Linux with a kernel of 2.6 or later: every current distribution";
        L24 = "l24", "Linux with a 2.4 kernel";
        Other = "other", "Anything not listed";
        Wxp = "wxp", "Windows XP";
        W2k = "w2k", "Windows 2000";
        W2k3 = "w2k3", "Windows Server 2003";
        W2k8 = "w2k8", "Windows Server 2008";
        Wvista = "wvista", "Windows Vista";
        Win7 = "win7", "Windows 7";
        Win8 = "win8", "Windows 8 and Server 2012";
        Win10 = "win10", "Windows 10, Server 2016 and 2019";
        Win11 = "win11", "Windows 11, Server 2022 and 2025";
        Solaris = "solaris", "Solaris, OpenSolaris and OpenIndiana";
    }
}

words! {
    /// Model of the virtual network card (values of the API schema of qemu-server).
    NetworkModel {
        Virtio = "virtio", "Paravirtualised card: fastest, recommended for guests with virtio drivers";
        E1000 = "e1000", "Intel 82540EM gigabit card";
        E1000e = "e1000e", "Intel 82574L gigabit card (PCI Express)";
        E100082540em = "e1000-82540em", "Intel 82540EM, by its full name";
        E100082544gc = "e1000-82544gc", "Intel 82544GC gigabit card";
        E100082545em = "e1000-82545em", "Intel 82545EM gigabit card";
        I82551 = "i82551", "Intel 82551 fast ethernet card";
        I82557b = "i82557b", "Intel 82557B fast ethernet card";
        I82559er = "i82559er", "Intel 82559ER fast ethernet card";
        Ne2kIsa = "ne2k_isa", "NE2000 on the ISA bus";
        Ne2kPci = "ne2k_pci", "NE2000 on the PCI bus";
        Pcnet = "pcnet", "AMD PCnet card";
        Rtl8139 = "rtl8139", "Realtek RTL8139 fast ethernet card";
        Vmxnet3 = "vmxnet3", "VMware paravirtualised card";
    }
}

words! {
    /// File system that a further disk gets.
    Filesystem {
        Ext4 = "ext4", "The usual one of most distributions";
        Xfs = "xfs", "For large disks and large files";
    }
}

words! {
    /// What an error of cloud-init does.
    CloudInitErrors {
        Fail = "fail", "The VM is not ready: nothing more is done in its guest";
        Warn = "warn", "It is reported, and the guest is used anyway";
    }
}

words! {
    /// When a VM is ready.
    Ready {
        CloudInit = "cloud-init", "When its guest agent answers and cloud-init has finished";
        Agent = "agent", "When its guest agent answers";
        Running = "running", "When it runs: nothing is asked of its guest, and nothing is done in it";
    }
}

impl Ready {
    /// Whether it is what counts where the file says nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_default(&self) -> bool {
        *self == Self::CloudInit
    }
}

impl DesiredVm {
    /// What the file says of an option of Proxmox, under its own name or another.
    #[must_use]
    pub fn option(&self, option: &ProxmoxOption) -> Option<&ProxmoxValue> {
        match option.name {
            proxmox::BOOT_DISK => self.boot_disk_options.as_deref(),
            _ if option.key == proxmox::BOOT_DEVICES => self.boot_devices.as_deref(),
            name if option.key.starts_with(proxmox::CDROM) => self.cdrom.get(name),
            name if option.key.starts_with(proxmox::PREFIX) => self.proxmox.get(name),
            name if option.key.starts_with(proxmox::DISKS) => self.disks.get(name).map(|disk| &disk.options),
            name => self.networks.get(name),
        }
    }

    /// Whether the file tells cloud-init anything beyond the VM's name.
    #[must_use]
    pub fn tells_cloud_init(&self) -> bool {
        let has_address = self.networks.keys().any(|name| name.starts_with("ipconfig"));
        let has_data = self.user_data.is_some() || self.vendor_data.is_some();
        self.network_config.is_some() || self.user_config.is_some() || has_address || has_data
    }

    /// What the file gives cloud-init whole.
    #[must_use]
    pub fn data(&self, part: DataPart) -> Option<&CloudData> {
        match part {
            DataPart::User => self.user_data.as_deref(),
            DataPart::Vendor => self.vendor_data.as_deref(),
        }
    }

    /// Whether its guest agent is asked for anything.
    #[must_use]
    pub fn asks_agent(&self) -> bool {
        self.ready != Ready::Running
    }
}
