//! One VM as its configuration file tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::cloud_init::CloudInit;
use super::live::LiveOptions;
use super::ownership::RecordFound;
use super::pending::PendingChange;
use super::property::{is_agent_on, value};
use super::source::VmSource;
use super::{
    BootDisk, ConfigWrite, FoundText, Ha, NameList, Net, OWN_SNAPSHOT, PropertyString, VmVolume, config_digest,
    split_notes,
};
use crate::model::{Digest, Record, RecordState, VmId};

/// What stands for the MAC address of a card that is not made yet.
pub const NEW_MAC: &str = "<mac of net0>";

/// A VM or template in normal form.
///
/// Values are those of the *pending* view: what the VM will have after its next stop and start. What the running VM
/// still has instead is in `pending`.
///
/// Serialised, it is what all of that is read from (`VmSource`), so that a recording cannot say a thing twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "VmSource", into = "VmSource")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the VM of its own")]
pub struct VmObserved {
    /// VMID.
    pub id: VmId,
    /// The node it is on; empty where its configuration alone is known.
    pub node: String,
    /// The resource pool it is in.
    pub pool: Option<String>,
    /// How the HA manager looks after it, if it does.
    pub ha: Option<Ha>,
    /// Name; empty when it has none.
    pub name: String,
    /// Digest of the configuration.
    pub digest: Digest,
    /// The first line of the configuration that is not UTF-8, counted from 1: it is not understood then, and left
    /// alone.
    pub not_utf8: Option<usize>,
    /// `lock:` of the configuration, e.g. `clone`, `backup`.
    pub lock: Option<String>,
    /// Whether it is a template.
    pub template: bool,
    /// Whether it runs.
    pub running: bool,
    /// uuid of `smbios1`.
    pub uuid: Option<String>,
    /// `ostype`; `None` means Proxmox's own default (`other`).
    pub os_type: Option<String>,
    /// CPU sockets (Proxmox's default is 1).
    pub cpu_sockets: u32,
    /// Cores per socket (Proxmox's default is 1).
    pub cpu_cores: u32,
    /// Memory in MiB (Proxmox's default is 512).
    pub memory_mb: u64,
    /// Notes as they are, record included.
    pub notes: String,
    /// Notes without the record and without trailing white space.
    pub description: String,
    /// Tags as Proxmox stores them: lower case, sorted, each once.
    pub tags: Vec<String>,
    /// net0, if it has one.
    pub net0: Option<Net>,
    /// The disk it boots from, as `boot`/`bootdisk` say.
    pub boot_disk: Option<BootDisk>,
    /// Whether the guest agent is enabled.
    pub agent: bool,
    /// `agent` as it stands, e.g. `enabled=1,fstrim_cloned_disks=1`; empty when it is not set.
    pub agent_options: String,
    /// `protection`.
    pub protection: bool,
    /// `onboot`.
    pub onboot: bool,
    /// `startup` as it stands, e.g. `order=1,up=30`; empty when it is not set.
    pub startup: String,
    /// What it tells cloud-init.
    pub cloud_init: CloudInit,
    /// Devices that have a drive, CD-ROMs among them.
    pub drives: NameList,
    /// Options `ipconfigN` that give a fixed address by cloud-init.
    pub fixed_addresses: Vec<String>,
    /// `hotplug` features in force; Proxmox's default is network, disk, usb.
    pub hotplug: NameList,
    /// All its options, as they will be.
    pub options: LiveOptions,
    /// Values that wait for a stop and start: key of Proxmox → change.
    pub pending: BTreeMap<String, PendingChange>,
    /// Volumes that the configuration names, snapshots aside; attached ones and `unusedN`.
    pub volumes: Vec<VmVolume>,
    /// Options of drives, cards and devices, e.g. `scsi1`, `net1`, `hostpci0`.
    pub devices: NameList,
    /// Disks that are devices of the node: option → path.
    pub passed_through: BTreeMap<String, String>,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
    /// Those of them that are half made, or half removed.
    pub half_snapshots: BTreeSet<String>,
    /// The words of those that phoenix took, which have its record.
    pub snapshot_notes: BTreeMap<String, String>,
    /// Volumes that only its snapshots, or values that wait for a stop, name; they may be `unusedN` beside that.
    pub other_volumes: BTreeSet<String>,
    /// What its notes say about ownership.
    pub record: RecordFound,
    /// It is only the placeholder that `qm clone` makes first (` qmclone temporary file`), with or without its lock.
    pub placeholder: bool,
}

impl VmObserved {
    /// A number of `startup`: `order`, `up` (seconds) or `down` (seconds). A bare number is the order.
    #[must_use]
    pub fn startup_number(&self, key: &str) -> Option<u32> {
        value(&self.startup, key, "order")?.parse().ok()
    }

    /// Whether its configuration names a volume anywhere, in its snapshots, too.
    #[must_use]
    pub fn names(&self, volume: &str) -> bool {
        let saved_memory = || volume.rsplit(['/', ':']).next().unwrap_or_default().contains("-state-");
        self.volumes.iter().any(|named| named.volume == volume)
            || self.other_volumes.contains(volume)
            || (!self.snapshots.is_empty() && saved_memory())
    }

    /// The options in force, as the running VM has them: without what waits for a stop and start.
    #[must_use]
    pub fn active(&self) -> BTreeMap<&str, &str> {
        let mut active: BTreeMap<&str, &str> = self.options.iter().collect();
        for (option, change) in &self.pending {
            match &change.active {
                Some(value) => active.insert(option, value),
                None => active.remove(option.as_str()),
            };
        }
        active
    }

    /// Whether the guest agent is switched on in force: a switch that waits for a stop and start does not count yet.
    #[must_use]
    pub fn has_agent_now(&self) -> bool {
        self.active().get("agent").is_some_and(|options| is_agent_on(options))
    }

    /// Whether it has a snapshot of this name.
    #[must_use]
    pub fn has_snapshot(&self, name: &str) -> bool {
        self.snapshots.iter().any(|own| own == name)
    }

    /// The record that one of its snapshots carries in its own words, if it is this VM's and this project's.
    #[must_use]
    pub fn recorded_in(&self, snapshot: &str, project: &str) -> Option<Record> {
        let FoundText::One(json) = split_notes(self.snapshot_notes.get(snapshot)?).record else { return None };
        let record: Record = serde_json::from_str(&json).ok()?;
        (record.project == project && record.vm == self.id).then_some(record)
    }

    /// The snapshots among its own that phoenix took.
    pub fn own_snapshots(&self) -> impl Iterator<Item = &String> {
        self.snapshots.iter().filter(|name| name.starts_with(OWN_SNAPSHOT))
    }

    /// The disks that a conversion to a template has still to rename: Proxmox calls those of templates `base-…`. The
    /// cloud-init drive keeps its name (recorded).
    pub fn unconverted(&self) -> impl Iterator<Item = &str> {
        let own =
            self.volumes.iter().filter(|volume| volume.belongs_to(self.id) && !volume.device.starts_with("unused"));
        let left = own.filter(|volume| !volume.is_base() && !volume.volume.contains("-cloudinit"));
        left.map(|volume| volume.device.as_str())
    }

    /// What a clone of this VM looks like before it is configured, as far as it can be told before it is made.
    ///
    /// `notes` are those given to the clone. Its digest, its uuid and the MAC of its net0 are made up by Proxmox:
    /// `<digest>`, `UUID` and [`NEW_MAC`] stand for them.
    #[must_use]
    pub fn as_clone(&self, id: VmId, name: &str, notes: &str) -> Self {
        let mut smbios = PropertyString::parse(self.options.get("smbios1").unwrap_or_default());
        smbios.set("uuid", "UUID");
        let mut new = ConfigWrite::default();
        let mut set = |option: &str, value: String| new.set.insert(option.to_owned(), value);
        set("name", name.to_owned());
        set("description", notes.to_owned());
        set("smbios1", smbios.to_string());
        if let Some(net) = &self.net0 {
            set("net0", Net { mac: Some(NEW_MAC.to_owned()), ..net.clone() }.to_string());
        }
        new.delete.extend(["lock", "template"].map(str::to_owned));
        let clone = VmSource {
            id,
            pool: None,
            ha: None,
            digest: Digest("<digest>".to_owned()),
            not_utf8: None,
            running: false,
            pending: BTreeMap::new(),
            snapshots: Vec::new(),
            half_snapshots: BTreeSet::new(),
            snapshot_notes: BTreeMap::new(),
            other_volumes: BTreeSet::new(),
            ..VmSource::from(self.clone())
        };
        clone.with(&new).into()
    }

    /// How the VM is after a write. Its digest stays what it is.
    #[must_use]
    pub fn after(&self, write: &ConfigWrite) -> Self {
        VmSource::from(self.clone()).with(write).into()
    }

    /// Whether it is what an interrupted clone leaves, provided that none is running: it has the lock of one.
    ///
    /// Removing such a VM begins with taking that lock away. Where that was interrupted in turn, it is a placeholder
    /// that names nothing, or has a record of ours and no boot disk yet: a clone that came to its end has one.
    #[must_use]
    pub fn is_half_cloned(&self) -> bool {
        let creating = |record: &Record| record.state == RecordState::Creating;
        match self.lock.as_deref() {
            Some(lock) => lock == "clone",
            None if self.running => false,
            None => self.placeholder || (self.boot_disk.is_none() && self.record.valid().is_some_and(creating)),
        }
    }

    /// The same VM on this node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        node.clone_into(&mut self.node);
        self
    }

    /// The same VM in this resource pool; `None`: in none.
    #[must_use]
    pub fn in_pool(self, pool: Option<&str>) -> Self {
        Self { pool: pool.map(str::to_owned), ..self }
    }

    /// The same VM, looked after by the HA manager like this.
    #[must_use]
    pub fn looked_after(self, ha: Option<Ha>) -> Self {
        Self { ha, ..self }
    }

    /// Whether it is the HA manager that starts, stops and moves it.
    #[must_use]
    pub fn is_ha(&self) -> bool {
        self.ha.as_ref().is_some_and(Ha::acts)
    }

    /// Understands a VM's configuration file, which says neither on which node nor in which pool it is. Whatever is
    /// missing has Proxmox's default.
    #[must_use]
    pub fn from_conf(id: VmId, text: &str, running: bool) -> Self {
        VmSource::of_conf(id, text, running).into()
    }

    /// The same of the bytes of the file. What is not UTF-8 in it is replaced, and said in `not_utf8`.
    #[must_use]
    pub fn from_file(id: VmId, file: &[u8], running: bool) -> Self {
        match str::from_utf8(file) {
            Ok(text) => Self::from_conf(id, text, running),
            Err(error) => {
                let before = &file[..error.valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let seen = Self::from_conf(id, &String::from_utf8_lossy(file), running);
                Self { digest: config_digest(file), not_utf8: Some(line), ..seen }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "#x <!-- phoenix {\"v\"%3A1,\"project\"%3A\"default\",\"vm\"%3A431,\"state\"%3A\"creating\"} -->\nagent: enabled=1\nboot: order=scsi0\ncores: 2\nide2: local-zfs:431/vm-431-cloudinit.qcow2,media=cdrom,size=4M\nlock: clone\nmemory: current=768\nname: busy\nnet0: virtio=BC:24:11:8E:CF:A8,bridge=vmbr0\nostype: l26\nscsi0: local-zfs:vm-431-disk-0,size=2G\nsmbios1: uuid=2a412a64-96f9-4fde-833e-49d4ac1df615\ntags: Web;a web\n\n[PENDING]\ncores: 4\ndelete: agent,balloon\nmemory: 1024\nostype: l26\n\n[s1]\ncores: 1\n";

    fn id(n: u32) -> VmId {
        VmId::try_from(n).unwrap()
    }

    #[test]
    fn reads_the_pending_view() {
        let vm = VmObserved::from_conf(id(431), CONF, true);
        assert_eq!((vm.name.as_str(), vm.cpu_sockets, vm.cpu_cores, vm.memory_mb), ("busy", 1, 4, 1024));
        assert_eq!(vm.lock.as_deref(), Some("clone"));
        assert_eq!(vm.tags, ["a", "web"]);
        assert_eq!(vm.snapshots, ["s1"]);
        assert_eq!(vm.description, "x");
        assert!(!vm.agent && vm.running && !vm.placeholder);
        assert!(vm.hotplug.iter().eq(["network", "disk", "usb"]));
        let waits: Vec<_> =
            vm.pending.iter().map(|(k, c)| (k.as_str(), c.active.as_deref(), c.pending.as_deref())).collect();
        assert_eq!(
            waits,
            [
                ("agent", Some("enabled=1"), None),
                ("cores", Some("2"), Some("4")),
                ("memory", Some("current=768"), Some("1024"))
            ]
        );
        assert!(vm.record.valid().is_some());
    }

    #[test]
    fn defaults_of_proxmox() {
        let vm = VmObserved::from_conf(id(100), "", false);
        assert_eq!((vm.cpu_sockets, vm.cpu_cores, vm.memory_mb, vm.os_type), (1, 1, 512, None));
        assert_eq!(vm.record, RecordFound::None);
        let placeholder = "# qmclone temporary file\nlock: clone\n";
        for (conf, left) in [
            (placeholder, true),
            ("#qmclone temporary file\n", true),
            ("#qmclone temporary file\nlock: backup\n", false),
            ("#qmclone temporary file\nscsi0: local:vm-100-disk-0,size=1G\n", false),
        ] {
            let vm = VmObserved::from_conf(id(100), conf, false);
            assert_eq!((vm.placeholder, vm.is_half_cloned()), (left, left), "{conf}");
        }
        for (agent, on) in [("1", true), ("enabled=1,type=isa", true), ("yes", true), ("0", false), ("type=isa", false)]
        {
            assert_eq!(VmObserved::from_conf(id(100), &format!("agent: {agent}\n"), false).agent, on, "{agent}");
        }
        for (text, want) in [("0", vec![]), ("1", vec!["network", "disk", "usb"]), ("disk,cpu", vec!["disk", "cpu"])] {
            let vm = VmObserved::from_conf(id(100), &format!("hotplug: {text}\n"), false);
            assert_eq!(vm.hotplug.iter().collect::<Vec<_>>(), want);
        }
    }
}
