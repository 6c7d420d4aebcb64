//! Whether a VM can move to another node, as `GET …/qemu/VMID/migrate` says it; and what the task of a move refuses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::proxmox::{mappings, moves};
use super::Embedded;
use super::files;
use super::refusals::unlocked;
use super::settings::Room;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
use crate::observed::{Conf, Mapped, Mappings, MoveCheck, PropertyString, VmVolume, holds_volume};

/// What Proxmox says of a VM with a PCI device whose mapping is not there (recorded).
const NO_SUCH_PCI: &str =
    "Can't use an undefined value as an ARRAY reference at /usr/share/perl5/PVE/QemuMigrate/Helpers.pm line 63.";

/// Where a VM's configuration names a volume.
enum Of<'a> {
    /// Among the options that it has.
    Vm,
    /// Among what waits for a restart.
    Pending,
    /// In the snapshot of this name.
    Snapshot(&'a str),
}

/// The options that are devices, and what of them has mappings.
struct Devices {
    /// Devices of the node itself.
    local: Vec<String>,
    /// Options that name mappings, and these names.
    mapped: BTreeMap<String, String>,
    /// Those of them whose mapping has no entry for the other node.
    unmapped: Vec<String>,
}

impl Embedded {
    /// The resource mappings: `mapping/pci.cfg` and the like.
    pub(super) fn mappings(&self) -> Result<Mappings, Fault> {
        let mut found = BTreeMap::new();
        for kind in Mapped::ALL {
            let path = self.dir.join("mapping").join(kind.file()).with_extension("cfg");
            found.extend(files::read(&path)?.map(|text| (kind, mappings::parse(&text))));
        }
        Ok(Mappings(found))
    }

    /// The devices of a VM that is to move to `to`.
    fn devices(&self, conf: &Conf<'_>, to: &str) -> Result<Devices, Fault> {
        let mappings = self.mappings()?;
        let mut found = Devices { local: Vec::new(), mapped: BTreeMap::new(), unmapped: Vec::new() };
        for (key, value) in conf.entries() {
            let is_device = ["hostpci", "usb", "parallel"].iter().any(|kind| key.starts_with(kind));
            match Mapped::named(key, value) {
                Some((kind, name)) => {
                    let nodes = mappings.nodes(kind, name);
                    if nodes.is_none() && kind == Mapped::Pci {
                        return Err(Fault::harmless(FaultKind::Failed, NO_SUCH_PCI));
                    }
                    if !nodes.is_some_and(|nodes| nodes.contains(to)) {
                        found.unmapped.push(key.to_owned());
                    }
                    found.mapped.insert(key.to_owned(), name.to_owned());
                }
                None if is_device && !is_spice(value) => found.local.push(key.to_owned()),
                None => {}
            }
        }
        Ok(found)
    }

    /// The volumes of a VM on storages that other nodes do not see, as recorded: those that it has, then those that
    /// wait for a restart or that snapshots name.
    fn local_disks(&self, vm: VmId, conf: &Conf<'_>) -> Result<Vec<Map<String, Value>>, Fault> {
        let storages = self.storages_on(self.room_of(vm).name, false)?;
        let on_disk = self.volumes_on_disk();
        let mut found: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let own = conf.entries().map(|(key, drive)| (key, drive, Of::Vm));
        let pending = conf.pending_entries().map(|(key, drive)| (key, drive, Of::Pending));
        let snapshots = conf.snapshot_entries().map(|(name, key, drive)| (key, drive, Of::Snapshot(name)));
        for (key, drive, of) in own.chain(pending).chain(snapshots) {
            let Some(volume) = VmVolume::parse(key, drive) else { continue };
            let storage = volume.volume.split_once(':').map_or("", |(storage, _)| storage);
            if storages.get(storage).is_none_or(|storage| storage.shared) {
                continue;
            }
            let is_unused = volume.is_unused();
            let cdrom = PropertyString::parse(drive).get("media") == Some("cdrom");
            let is_cloud_init = volume.volume.contains("-cloudinit");
            let flag = |is: bool| Value::from(u8::from(is));
            let is_new = !found.contains_key(&volume.volume);
            let disk = found.entry(volume.volume.clone()).or_default();
            if is_new {
                disk.extend(
                    [
                        ("volid", volume.volume.clone().into()),
                        ("cdrom", flag(cdrom)),
                        ("is_attached", flag(matches!(of, Of::Vm) && !is_unused)),
                        ("is_cloudinit", flag(is_cloud_init)),
                        ("is_tpmstate", flag(key == "tpmstate0")),
                        ("is_unused", flag(is_unused)),
                        ("is_vmstate", flag(false)),
                        ("replicate", flag(true)),
                        ("shared", flag(false)),
                    ]
                    .map(|(name, value)| (name.to_owned(), value)),
                );
                // Of an unused volume nothing more is said, whether or not it is there.
                if !is_unused {
                    let size = volume.size.map_or_else(|| on_disk.size(&volume.volume, vm), |size| Ok(Some(size)))?;
                    disk.extend(size.map(|size| ("size".to_owned(), Value::from(size))));
                    disk.insert("drivename".to_owned(), key.into());
                }
            }
            match of {
                Of::Vm => {}
                Of::Pending => _ = disk.insert("referenced_in_pending".to_owned(), 1.into()),
                Of::Snapshot(name) => {
                    disk.entry("referenced_in_snapshot").or_insert_with(|| json!({}))[name] = 1.into();
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Storages that hold disks of a VM and that another node lacks.
    fn lacking(&self, conf: &Conf<'_>, to: &str) -> Result<Vec<String>, Fault> {
        let storages = self.storages_on(to, true)?;
        let usable = |id: &str| storages.get(id).is_some_and(|storage| storage.active && storage.images);
        let disks = conf.entries().filter(|(key, drive)| holds_volume(key) && !drive.contains("media=cdrom"));
        let on = disks.filter_map(|(_, drive)| Some(drive.split_once(':')?.0.to_owned()));
        let lacking: std::collections::BTreeSet<String> = on.filter(|id| !id.contains('/') && !usable(id)).collect();
        Ok(lacking.into_iter().collect())
    }

    /// What `GET /nodes/NODE/qemu/VMID/migrate?target=TO` answers.
    pub fn preconditions(&self, vm: VmId, to: &str) -> Result<Value, Fault> {
        self.with_quorum()?;
        let text = self.existing(vm)?;
        let conf = Conf::parse(&text);
        unlocked(&conf)?;
        self.online(to)?;
        let devices = self.devices(&conf, to)?;
        let lacking = self.lacking(&conf, to)?;
        let mut kept = Map::new();
        if !devices.unmapped.is_empty() {
            kept.insert("unavailable-resources".to_owned(), devices.unmapped.clone().into());
        }
        if !lacking.is_empty() {
            kept.insert("unavailable_storages".to_owned(), lacking.into());
        }
        let allowed: &[&str] = if kept.is_empty() { &[to] } else { &[] };
        let names: Vec<&String> = devices.mapped.keys().collect();
        let info: Map<String, Value> =
            devices.mapped.iter().map(|(key, name)| (key.clone(), json!({ "name": name }))).collect();
        let local: Vec<&String> = devices.local.iter().chain(devices.mapped.keys()).collect();
        let mut answer = json!({
            "allowed_nodes": allowed,
            "has-dbus-vmstate": 1,
            "local_disks": self.local_disks(vm, &conf)?,
            "local_resources": local,
            "mapped-resource-info": info,
            "mapped-resources": names,
            "not_allowed_nodes": { to: kept },
            "running": u8::from(self.runs(vm)?),
        });
        if self.managed()?.contains_key(&vm) {
            answer["dependent-ha-resources"] = json!([]);
        }
        Ok(answer)
    }

    /// The same, understood.
    pub(super) fn preconditions_of(&self, vm: VmId, to: &str) -> Result<MoveCheck, Fault> {
        let answer = self.preconditions(vm, to)?.to_string();
        moves::check(&answer, to).map_err(|why| Fault::harmless(FaultKind::Garbled, why))
    }

    /// Why the task of a migration does not copy a disk that other nodes do not see. Of linked clones, of snapshots and
    /// of kinds of storages in the words of the source of qemu-server 9.2.6, else as recorded.
    fn disk_stays(
        &self,
        vm: VmId,
        conf: &Conf<'_>,
        disk: &Map<String, Value>,
        runs: bool,
    ) -> Result<Option<String>, Fault> {
        let volume = disk["volid"].as_str().unwrap_or_default();
        let is = |what: &str| disk.get(what).and_then(Value::as_u64) == Some(1);
        let refused = |why: &str| Ok(Some(format!("can't migrate local disk '{volume}': {why}")));
        if is("cdrom") {
            return if is("is_cloudinit") { Ok(None) } else { refused("local cdrom image") };
        }
        if is("is_unused") && self.volumes_on_disk().size(volume, vm)?.is_none() {
            return refused(&format!("volume '{volume}' does not exist"));
        }
        let storages = self.storages_of(vm, false)?;
        let (storage, path) = volume.split_once(':').unwrap_or_default();
        let kind = storages.get(storage).map_or("", |storage| storage.kind.as_str());
        let format = volume.rsplit('.').next();
        let follow = kind == "zfspool" || format == Some("qcow2") || (kind == "btrfs" && format == Some("raw"));
        if disk.contains_key("referenced_in_snapshot") && runs {
            return refused("online storage migration not possible if non-replicated snapshot exists");
        }
        if disk.contains_key("referenced_in_snapshot") && !follow {
            return refused("non-migratable snapshot exists");
        }
        if self.base_in_use(vm, conf)?.as_deref() == Some(volume) {
            return refused("referenced by linked clone(s)");
        }
        if !matches!(kind, "dir" | "btrfs" | "zfspool" | "lvmthin" | "lvm") {
            return Ok(Some(format!("can't migrate '{volume}' - storage type '{kind}' not supported")));
        }
        let base = path.split('/').find(|part| part.starts_with("base-"));
        let base = base.filter(|base| !path.ends_with(base));
        Ok(base.map(|base| format!("can't migrate '{volume}' as it's a clone of '{base}'")))
    }

    /// Refuses what the task of a migration refuses (recorded).
    pub(super) fn can_move_to(&self, vm: VmId, conf: &Conf<'_>, to: Room<'_>) -> Result<(), Fault> {
        let aborted = |what: String| Err(Fault::harmless(FaultKind::Failed, format!("migration aborted: {what}")));
        let devices = match self.devices(conf, to.name) {
            Ok(devices) => devices,
            Err(fault) => return aborted(fault.what),
        };
        if !devices.local.is_empty() {
            return aborted(format!("can't migrate VM which uses local devices: {}", devices.local.join(", ")));
        }
        if !devices.unmapped.is_empty() {
            let missing = devices.unmapped.join(", ");
            return aborted(format!("can't migrate to '{}': missing mapped devices {missing}", to.name));
        }
        let runs = self.runs(vm)?;
        if runs && !devices.mapped.is_empty() {
            let named: Vec<String> = devices.mapped.iter().map(|(key, name)| format!("{key}:{name}")).collect();
            let named = named.join(", ");
            return aborted(format!("can't live migrate running VM which uses following mapped devices: {named}"));
        }
        let vga = PropertyString::parse(conf.get("vga").unwrap_or_default());
        if runs && vga.get("clipboard") == Some("vnc") {
            return aborted("VMs with 'clipboard' set to 'vnc' are not live migratable!".to_owned());
        }
        for disk in self.local_disks(vm, conf)? {
            if let Some(what) = self.disk_stays(vm, conf, &disk, runs)? {
                return aborted(what);
            }
        }
        match self.lacking(conf, to.name)?.first() {
            Some(storage) => aborted(format!("storage '{storage}' is not available on node '{}'", to.name)),
            None => Ok(()),
        }
    }
}

/// Whether a USB device is that of a person who looks at the VM by SPICE.
fn is_spice(value: &str) -> bool {
    let parts = PropertyString::parse(value);
    parts.get("host").or(parts.get("")).is_some_and(|host| host.eq_ignore_ascii_case("spice"))
}
