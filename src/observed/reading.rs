//! From what a VM's configuration says to its normal form, and back.

use super::cloud_init::CloudInit;
use super::notes::split_notes;
use super::ownership::record_found;
use super::property::{is_agent_on, is_on, value};
use super::source::VmSource;
use super::{BootDisk, Net, VmObserved, normal_tags};

/// What Proxmox writes into the notes of a VMID it has only reserved for a clone.
const PLACEHOLDER: &str = "qmclone temporary file";

impl From<VmSource> for VmObserved {
    fn from(source: VmSource) -> Self {
        let entries: Vec<(&str, &str)> = source.options.iter().collect();
        let get = |key: &str| entries.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let number = |key: &str| get(key).and_then(|text| text.parse().ok());
        let marked = split_notes(&source.notes);
        let uuid = get("smbios1").and_then(|text| value(text, "uuid", "")).map(str::to_owned);
        let lock = get("lock").filter(|lock| !lock.is_empty()).map(str::to_owned);
        let agent_options = get("agent").unwrap_or_default().to_owned();
        let placeholder =
            marked.description.trim() == PLACEHOLDER && (lock.as_deref() == Some("clone") || source.options.is_empty());
        Self {
            name: get("name").unwrap_or_default().to_owned(),
            template: get("template").is_some_and(is_on),
            os_type: get("ostype").map(str::to_owned),
            cpu_sockets: number("sockets").unwrap_or(1),
            cpu_cores: number("cores").unwrap_or(1),
            memory_mb: get("memory").and_then(memory_mb).unwrap_or(512),
            tags: get("tags").map(normal_tags).unwrap_or_default(),
            net0: get("net0").and_then(Net::parse),
            boot_disk: BootDisk::find(get),
            agent: is_agent_on(&agent_options),
            agent_options,
            protection: get("protection").is_some_and(is_on),
            onboot: get("onboot").is_some_and(is_on),
            startup: get("startup").unwrap_or_default().to_owned(),
            cloud_init: CloudInit::read(get, entries.iter().map(|(key, _)| *key), source.ssh_keys, source.not_in_drive),
            record: record_found(&marked.record, source.id, uuid.as_deref()),
            placeholder,
            description: marked.description,
            lock,
            uuid,
            id: source.id,
            node: source.node,
            pool: source.pool,
            ha: source.ha,
            digest: source.digest,
            not_utf8: source.not_utf8,
            running: source.running,
            fixed_addresses: source.fixed_addresses,
            drives: source.drives,
            hotplug: source.hotplug,
            options: source.options,
            pending: source.pending,
            volumes: source.volumes,
            devices: source.devices,
            passed_through: source.passed_through,
            snapshots: source.snapshots,
            half_snapshots: source.half_snapshots,
            snapshot_notes: source.snapshot_notes,
            other_volumes: source.other_volumes,
            notes: source.notes,
        }
    }
}

impl From<VmObserved> for VmSource {
    fn from(vm: VmObserved) -> Self {
        Self {
            id: vm.id,
            node: vm.node,
            pool: vm.pool,
            ha: vm.ha,
            digest: vm.digest,
            not_utf8: vm.not_utf8,
            running: vm.running,
            notes: vm.notes,
            options: vm.options,
            ssh_keys: vm.cloud_init.ssh_keys,
            not_in_drive: vm.cloud_init.not_in_drive,
            pending: vm.pending,
            drives: vm.drives,
            fixed_addresses: vm.fixed_addresses,
            hotplug: vm.hotplug,
            volumes: vm.volumes,
            devices: vm.devices,
            passed_through: vm.passed_through,
            snapshots: vm.snapshots,
            half_snapshots: vm.half_snapshots,
            snapshot_notes: vm.snapshot_notes,
            other_volumes: vm.other_volumes,
        }
    }
}

/// `memory` in MiB: `2048` or `current=2048`.
fn memory_mb(text: &str) -> Option<u64> {
    value(text, "current", "current")?.parse().ok()
}
