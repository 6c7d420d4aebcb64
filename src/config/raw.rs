//! The file as it is written: one struct per object, one field per key.
//!
//! The schema is generated from here, so titles, descriptions, defaults, ranges and examples stand beside the field
//! they are about. Every field is optional to serde; what is required is said once, in [`super::schema`], and checked
//! by the schema. A `null` passes here and is refused there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{lexis, pools};

mod cloud_init;
mod ha;
mod images;
mod networks;
mod nodes;
mod options;
mod shares;
mod words;

pub(crate) use cloud_init::{RawCloudData, RawNetworkConfig, RawSecret, RawUserConfig, SECRET_NAME, SECRET_VARIABLE};
pub(crate) use ha::{NULLABLE, RawHaOrNull};
use ha::{ha, some_ha};
pub(crate) use images::{RawCloudImage, RawImport};
pub(crate) use networks::{RawCard, RawDisk};
use networks::{boot_disk_options, cards, cdrom, disks, some_slots};
pub(crate) use nodes::{ANY, RawNodes};
use options::{each_name_once, proxmox_options, some_options};
pub(crate) use shares::{RawNfsShare, RawPersistentStorage, RawVolume};
use words::{cloud_init_errors, network_model, nodes, os_type, profile_names, ready, references};

use crate::model::{CloudInitErrors, NetworkModel, OsType, Ready};

/// Says which virtual machines there are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "phoenix virtual machines")]
pub(crate) struct Raw {
    /// Names the schema of this file, so that editors check and complete it. phoenix itself ignores it.
    #[serde(rename = "$schema")]
    #[schemars(title = "Schema", length(min = 1, max = 2048))]
    #[schemars(example = &"./schema/phoenix_vm_configs.schema.json")]
    pub(super) schema: Option<String>,
    /// Says where phoenix acts and what the VMs of this file share.
    #[schemars(title = "Hypervisor", extend("default" = serde_json::json!({})), example = serde_json::json!({ "project": "lab" }))]
    pub(super) hypervisor: Option<RawHypervisor>,
    /// Holds values for every VM that does not say otherwise. Lists replace each other as a whole.
    #[schemars(title = "Defaults of all VMs", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "cpu_cores": 2, "memory_mb": 4096, "features": ["base_setup"] }))]
    pub(super) vm_defaults: Option<RawVm>,
    /// Names sets of values. A VM that names some in `profile` has them over those of `vm_defaults`, and its own over both.
    #[serde(deserialize_with = "each_name_once")]
    #[schemars(with = "BTreeMap<String, RawVm>", title = "Profiles", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "worker": { "cpu_cores": 8, "memory_mb": 16384, "tags": ["worker"] } }))]
    pub(super) profiles: BTreeMap<String, RawVm>,
    /// Names secrets for user data and vendor data: `${secret.NAME}` stands for the value there. This file has none.
    #[serde(deserialize_with = "each_name_once")]
    #[schemars(with = "BTreeMap<String, RawSecret>", title = "Secrets", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "db": { "env": "PHOENIX_SECRET_DB" }, "key": { "file": "secrets/key" } }))]
    pub(super) secrets: BTreeMap<String, RawSecret>,
    /// Lists the VMs, each with its own values.
    #[schemars(title = "Virtual machines")]
    #[schemars(example = serde_json::json!([{ "vm_id": 1000, "vm_name": "rumpledev", "tags": ["development"] }]))]
    pub(super) virtual_machines: Vec<RawVm>,
}

/// Says where phoenix acts and what the VMs of this file share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawHypervisor {
    /// Says where phoenix acts, unless the command line says otherwise: `embedded:DIR` is a node in a
    /// directory, `qm:` this Proxmox VE node, `qm+ssh://[user@]host[:port]` one that ssh reaches.
    #[schemars(title = "Target", regex(pattern = "^(embedded:.+|qm:|qm\\+ssh://.+)$"), length(max = 1024))]
    #[schemars(extend("patternErrorMessage" = "must be `embedded:DIR`, `qm:`, or `qm+ssh://[user@]host[:port]`"))]
    #[schemars(example = &"embedded:.phoenix/node", extend("default" = "embedded:.phoenix/node"))]
    pub(super) target: Option<String>,
    /// Names what the VMs of this file belong to. phoenix never changes a VM of another project.
    #[schemars(title = "Project", regex(pattern = lexis::PROJECT))]
    #[schemars(example = &"lab", extend("default" = "default"))]
    pub(super) project: Option<String>,
    /// Names the directory of the feature scripts; a relative path starts at this file.
    #[schemars(title = "Features directory", length(min = 1, max = 1024))]
    #[schemars(example = &"features", extend("default" = "features"))]
    pub(super) features_dir: Option<String>,
    /// Says where the volume lives through which scripts reach a VM that declares no such volume itself.
    #[schemars(title = "Persistent storage", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "host_path": "/quickOS/vm-persistent-data" }))]
    pub(super) persistent_storage: Option<RawPersistentStorage>,
    /// Names NFS shares for the `share` of volumes. A share not listed here is looked up as a Proxmox storage of
    /// type `nfs`.
    #[serde(deserialize_with = "each_name_once")]
    #[schemars(with = "BTreeMap<String, RawNfsShare>", title = "NFS shares", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({
        "media": { "server": "nas.example.org", "export": "/tank/media", "host_path": "/mnt/media" }
    }))]
    pub(super) nfs_shares: BTreeMap<String, RawNfsShare>,
    /// Lists tags. VMs that share one of them are never restarted at the same time: the next one waits until the one
    /// before it is ready again.
    #[schemars(title = "Never together", inner(regex(pattern = lexis::TAG)), length(max = MAX_ITEMS))]
    #[schemars(example = ["database"], extend("default" = []))]
    pub(super) never_together: Vec<String>,
    /// Lists tags. Of VMs that share one of them, no two are made on the same node where that can be avoided.
    #[schemars(title = "Never the same node", inner(regex(pattern = lexis::TAG)), length(max = MAX_ITEMS))]
    #[schemars(example = ["etcd"], extend("default" = []))]
    pub(super) never_same_node: Vec<String>,
    /// Sets how much of a node's memory its VMs may be promised before no new one is placed there: 1 is all of it.
    #[schemars(title = "Memory limit", range(min = 0.1, max = 10.0), example = 0.9, extend("default" = 1.0))]
    pub(super) memory_limit: Option<f64>,
    /// Names a tag that every VM of this file gets, so that the web interface shows which VMs are this project's.
    #[schemars(title = "Project tag", regex(pattern = lexis::TAG), example = &"phoenix")]
    pub(super) project_tag: Option<String>,
}

/// Describes one VM.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawVm {
    /// Identifies the VM on its Proxmox cluster.
    #[schemars(title = "VMID", range(min = 100, max = 999_999_999), example = 1000)]
    pub(super) vm_id: Option<u32>,
    /// Names the VM and is the host name of its guest; unique in this file.
    #[schemars(title = "Name", regex(pattern = lexis::DNS_NAME), length(max = lexis::MAX_DNS_NAME))]
    #[schemars(example = &"rumpledev")]
    pub(super) vm_name: Option<String>,
    /// Holds the SMBIOS uuid of a VM that exists and that phoenix did not make: the next apply takes it over.
    /// `phoenix import` writes it; once the VM is taken over it does nothing.
    #[schemars(title = "Take over", regex(pattern = lexis::UUID))]
    #[schemars(example = &"2a412a64-96f9-4fde-833e-49d4ac1df615")]
    pub(super) adopt: Option<String>,
    /// Names the profile whose values the VM has where it says nothing itself, or several: of two that say the same, the
    /// later one counts.
    #[schemars(schema_with = "profile_names", title = "Profile", example = &"worker", extend("default" = []))]
    pub(super) profile: Option<RawProfiles>,
    /// Names the node that the VM is on, or several that it may be on; `any`: every node of the target. A VM is placed
    /// once and stays while its node is among them; else it moves. Without it, a VM stays where it is, and a new one is
    /// made on the target's own node.
    #[schemars(schema_with = "nodes", title = "Node", example = serde_json::json!(["pve1", "pve2"]))]
    pub(super) node: Option<RawNodes>,
    /// Names the Proxmox template to clone. It matters only when the VM is created.
    #[schemars(title = "Template", regex(pattern = lexis::DNS_NAME), length(max = lexis::MAX_DNS_NAME))]
    #[schemars(example = &"ubuntu-22.04-cloud-template-v3", extend("default" = "ubuntu-22.04-cloud-template-v3"))]
    pub(super) template_name: Option<String>,
    /// Names the kind of operating system, in the words of Proxmox. `l26` is any modern Linux.
    #[schemars(schema_with = "os_type", title = "Operating system", example = &"l26", extend("default" = "l26"))]
    pub(super) os_type: Option<OsType>,
    /// Sets the number of CPU sockets.
    #[schemars(title = "CPU sockets", range(min = 1, max = 256), example = 1, extend("default" = 1))]
    pub(super) cpu_sockets: Option<u32>,
    /// Sets the number of cores of each socket.
    #[schemars(title = "CPU cores", range(min = 1, max = 1024), example = 4, extend("default" = 2))]
    pub(super) cpu_cores: Option<u32>,
    /// Sets the memory in MiB.
    #[schemars(title = "Memory (MiB)", range(min = 16, max = 16_777_216), example = 8192, extend("default" = 4096))]
    pub(super) memory_mb: Option<u32>,
    /// Sets the size of the boot disk in GiB. A disk only ever grows.
    #[schemars(title = "Boot disk (GiB)", range(min = 1, max = 131_072), example = 50, extend("default" = 50))]
    pub(super) boot_disk_size_gb: Option<u32>,
    /// Names the Proxmox storage of the boot disk, and of further disks that name none. Another one moves them.
    #[schemars(title = "Boot disk storage", regex(pattern = lexis::STORAGE), length(max = lexis::MAX_STORAGE))]
    #[schemars(example = &"local-zfs", extend("default" = "local-zfs"))]
    pub(super) boot_disk_storage: Option<String>,
    /// Names the bridge that the first network card is plugged into.
    #[schemars(title = "Network bridge", regex(pattern = lexis::BRIDGE))]
    #[schemars(example = &"vmbr0", extend("default" = "vmbr0"))]
    pub(super) network_bridge: Option<String>,
    /// Names the model of the first network card. `virtio` is the fastest.
    #[schemars(schema_with = "network_model", title = "Network model")]
    #[schemars(example = &"virtio", extend("default" = "virtio"))]
    pub(super) network_model: Option<NetworkModel>,
    /// Lists the feature scripts to run in the guest, in this order.
    #[schemars(title = "Features", inner(regex(pattern = lexis::FEATURE)), length(max = MAX_ITEMS))]
    #[schemars(example = ["base_setup", "install_docker"], extend("default" = [], "uniqueItems" = true))]
    pub(super) features: Option<Vec<String>>,
    /// Lists the volumes to mount in the guest, in this order.
    #[schemars(title = "Volumes", length(max = MAX_ITEMS), extend("default" = []))]
    #[schemars(example = serde_json::json!([
        { "type": "nfs", "share": "local-nfs", "path": "/vm-features/1000", "mount_point": "/mnt/nfs/features" }
    ]))]
    pub(super) volumes: Option<Vec<RawVolume>>,
    /// Says what the VM is for; shown as its notes in Proxmox. Lines may be broken with `\n`.
    #[schemars(title = "Description", length(max = super::MAX_DESCRIPTION))]
    #[schemars(example = &"Development Environment", extend("default" = ""))]
    pub(super) description: Option<String>,
    /// Lists the tags of the VM. Proxmox keeps them in lower case and sorted.
    #[schemars(title = "Tags", inner(regex(pattern = lexis::TAG)), length(max = MAX_ITEMS))]
    #[schemars(example = ["development", "web-server"], extend("default" = []))]
    pub(super) tags: Option<Vec<String>>,
    /// Names the resource pool that the VM is in; empty: in none. Without it, this stays as it is.
    #[schemars(title = "Pool", regex(pattern = pools::POOL), example = &"production")]
    pub(super) pool: Option<String>,
    /// Puts the VM under the HA manager of its cluster. Taken out again, or `null`, it leaves the HA manager if phoenix
    /// put it there.
    #[serde(deserialize_with = "some_ha")]
    #[schemars(schema_with = "ha", title = "High availability", example = serde_json::json!({ "state": "started" }))]
    pub(super) ha: Option<RawHaOrNull>,
    /// Says whether the VM gets its own copy of the template's disk. A linked clone is made at once and small, lies on
    /// its template's storage and needs the template for ever. It matters only when the VM is created.
    #[schemars(title = "Full clone", example = false, extend("default" = true))]
    pub(super) full_clone: Option<bool>,
    /// Says whether the VM is to run. One that is not is shut down; what its guest lacks waits until it runs.
    #[schemars(title = "Started", example = false, extend("default" = true))]
    pub(super) started: Option<bool>,
    /// Says whether the node starts the VM when it boots. Without it, this stays as it is.
    #[schemars(title = "Start at boot", example = true)]
    pub(super) start_at_boot: Option<bool>,
    /// Sets the VM's place in the order in which the node starts VMs, lowest first; it stops them the other way round.
    /// Without it, this stays as it is.
    #[schemars(title = "Boot order", range(min = 0, max = 65_535), example = 1)]
    pub(super) boot_order: Option<u32>,
    /// Sets the time in seconds that the node waits after this VM before it starts the next one. Without it, this stays
    /// as it is.
    #[schemars(title = "Boot delay (s)", range(min = 0, max = 86_400), example = 30)]
    pub(super) boot_delay: Option<u32>,
    /// Sets the time in seconds that the node, when it shuts down, gives this VM to end by itself. Without it, this stays
    /// as it is.
    #[schemars(title = "Shutdown timeout (s)", range(min = 0, max = 86_400), example = 120)]
    pub(super) shutdown_timeout: Option<u32>,
    /// Says whether Proxmox refuses to remove the VM and its disks. Without it, this stays as it is.
    #[schemars(title = "Protected", example = true)]
    pub(super) protected: Option<bool>,
    /// Lists VMs of this file, by VMID or name, that must be ready before anything is done to this one.
    #[schemars(schema_with = "references", title = "Depends on", length(max = MAX_ITEMS))]
    #[schemars(example = serde_json::json!([1000, "database"]), extend("default" = []))]
    pub(super) depends_on: Option<Vec<RawReference>>,
    /// Says how long the guest is waited for, in seconds.
    #[schemars(title = "Timeouts", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "cloud_init": 1800 }))]
    pub(super) timeouts: Option<RawTimeouts>,
    /// Says what an error of cloud-init does.
    #[schemars(schema_with = "cloud_init_errors", title = "Errors of cloud-init")]
    #[schemars(example = &"warn", extend("default" = "fail"))]
    pub(super) cloud_init_errors: Option<CloudInitErrors>,
    /// Says when the VM is ready. With `running` nothing is asked of its guest and nothing is done in it: for guests
    /// without a guest agent, such as appliances and installers.
    #[schemars(schema_with = "ready", title = "Ready", example = &"running", extend("default" = "cloud-init"))]
    pub(super) ready: Option<Ready>,
    /// Sets the network of the guest's first card, by cloud-init. What it leaves out stays as it is.
    #[schemars(title = "Network", example = serde_json::json!({ "ip": "192.0.2.10/24", "gw": "192.0.2.1" }))]
    pub(super) network_config: Option<RawNetworkConfig>,
    /// Sets the user of the guest, by cloud-init. What it leaves out stays as it is.
    #[schemars(title = "User", example = serde_json::json!({ "username": "admin" }))]
    pub(super) user_config: Option<RawUserConfig>,
    /// Gives cloud-init user data in place of what Proxmox makes of the VM's name and `user_config`. `${vm_name}` and other
    /// values of the VM are filled in. A changed one makes the guest a new instance for cloud-init when it boots next.
    #[schemars(title = "User data", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "file": "cloud/web.yaml" }))]
    pub(super) user_data: Option<RawCloudData>,
    /// Gives cloud-init vendor data, which it merges beneath the user data. `${vm_name}` and other values of the VM are
    /// filled in. A guest reads a changed one when it boots next, and does not repeat what it does once.
    #[schemars(title = "Vendor data", extend("default" = serde_json::json!({})))]
    #[schemars(example = serde_json::json!({ "text": "#cloud-config\npackages: [qemu-guest-agent]\n" }))]
    pub(super) vendor_data: Option<RawCloudData>,
    /// Names an image to make the VM from, instead of cloning a template. It matters only when the VM is created.
    #[schemars(title = "Cloud image", example = serde_json::json!({ "source": "/var/lib/vz/import/debian-13.qcow2" }))]
    pub(super) cloud_image: Option<RawCloudImage>,
    /// Says whether the VM is built to become a template: its features run, its guest is cleaned, and it is converted.
    /// Other VMs of this file are cloned from it with `template_name`. A template that was built stays as it is.
    #[schemars(title = "Template to build", example = true, extend("default" = false))]
    pub(super) is_template: Option<bool>,
    /// Sets options of the VM by Proxmox's own names (those of `qm set`) that have no key of their own. What is not listed
    /// stays as it is; an option that is taken out again returns to Proxmox's default. `null` takes an option of
    /// `vm_defaults` away.
    #[serde(deserialize_with = "some_options")]
    #[schemars(schema_with = "proxmox_options", title = "Options of Proxmox")]
    #[schemars(example = serde_json::json!({ "cpu": "x86-64-v2-AES", "scsihw": "virtio-scsi-single" }))]
    pub(super) proxmox: Option<BTreeMap<String, serde_json::Value>>,
    /// Sets options of the boot disk, by Proxmox's own names, one by one over those of `vm_defaults`. What is not listed
    /// stays as it is. A running VM has most of them after its next stop and start. `null` takes an option of
    /// `vm_defaults` away.
    #[serde(deserialize_with = "some_options")]
    #[schemars(schema_with = "boot_disk_options", title = "Options of the boot disk")]
    #[schemars(example = serde_json::json!({ "discard": "on", "ssd": 1, "iothread": 1 }))]
    pub(super) boot_disk_options: Option<BTreeMap<String, serde_json::Value>>,
    /// Describes network cards by their slots: further ones, and what is to be said of the first, `net0`, beyond its
    /// bridge and its model. What is not said of a card stays as it is. A card that is taken out again is removed if
    /// phoenix made it. `null` takes a card of `vm_defaults` away, or one of its keys.
    #[serde(deserialize_with = "some_slots")]
    #[schemars(schema_with = "cards", title = "Network cards")]
    #[schemars(example = serde_json::json!({ "net0": { "vlan_tag": 20 }, "net1": { "bridge": "vmbr1", "ip": "10.0.1.5/24" } }))]
    pub(super) networks: Option<BTreeMap<String, Option<RawCard>>>,
    /// Describes further disks by their slots. A disk that is not there is made, empty; one that is taken out again is
    /// detached if phoenix made it, and stays with the VM as an unused disk. What is not listed stays as it is. `null`
    /// takes a disk of `vm_defaults` away, or one of its keys.
    #[serde(deserialize_with = "some_slots")]
    #[schemars(schema_with = "disks", title = "Further disks")]
    #[schemars(example = serde_json::json!({ "scsi1": { "size_gb": 200, "storage": "tank" }, "efidisk0": {} }))]
    pub(super) disks: Option<BTreeMap<String, Option<RawDisk>>>,
    /// Describes CD drives by their slots: an ISO image of a storage, or `none` for an empty drive. The image is changed in
    /// a running VM at once; a new drive of IDE or SATA is there after its next stop and start. A drive that is taken out
    /// again is removed if phoenix made it, else its image is taken out. `null` takes a drive of `vm_defaults` away.
    #[serde(deserialize_with = "some_slots")]
    #[schemars(schema_with = "cdrom", title = "CD drives", example = serde_json::json!({ "ide0": "local:iso/debian.iso" }))]
    pub(super) cdrom: Option<BTreeMap<String, Option<String>>>,
    /// Lists the devices that the VM tries to boot from, in this order; others that it has in its order come behind them.
    /// A running VM has it after its next stop and start. Without it, the order stays as it is.
    #[schemars(title = "Boot devices", inner(regex(pattern = lexis::BOOT_DEVICE)), length(min = 1, max = MAX_ITEMS))]
    #[schemars(example = ["ide0", "scsi0", "net0"], extend("uniqueItems" = true))]
    pub(super) boot_devices: Option<Vec<String>>,
}

/// One profile by its name, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum RawProfiles {
    /// One.
    One(String),
    /// Several, the later ones over the earlier.
    Several(Vec<String>),
}

impl RawProfiles {
    /// Their names in the order of the file.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Says how long the guest is waited for, in seconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTimeouts {
    /// Sets how many seconds the guest agent has to answer after a start.
    #[schemars(title = "Guest agent (s)", range(min = 60, max = 86_400), example = 300, extend("default" = 300))]
    pub(super) guest_agent: Option<u32>,
    /// Sets how many seconds cloud-init has to finish.
    #[schemars(title = "cloud-init (s)", range(min = 60, max = 86_400), example = 1800, extend("default" = 900))]
    pub(super) cloud_init: Option<u32>,
    /// Sets how many seconds each feature script has to end.
    #[schemars(title = "Feature (s)", range(min = 60, max = 86_400), example = 3600, extend("default" = 1800))]
    pub(super) feature: Option<u32>,
}

/// Names a VM of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum RawReference {
    /// By VMID.
    Id(u32),
    /// By name.
    Name(String),
}

/// Most entries of a list of a VM.
pub(super) const MAX_ITEMS: usize = 256;
