//! The other nodes of an embedded cluster, and moving VMs between nodes.
//!
//! A fresh node stands alone. `phoenix node add` gives it others, in `node.json`; the configurations of their VMs lie
//! in `nodes/NAME/qemu-server`, as on Proxmox. A volume lies in one place, whichever node its VM is on: that a storage
//! is a node's own shows in the room that is left there, and in what can be cloned to other nodes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::files::{self, Reader, unwritten};
use super::node::Embedded;
use super::refusals::unlocked;
use super::rehearse::Attempt;
use super::settings::{AddedStorage, Member, Room};
use super::storage::{Used, with_node};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
use crate::observed::{Conf, Node, VmObserved, holds_volume};

/// What to move where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration<'a> {
    pub(super) vm: VmId,
    pub(super) node: &'a str,
    /// While it runs.
    pub(super) online: bool,
}

fn refused(what: impl Into<String>) -> Fault {
    Fault::harmless(FaultKind::Refused, what)
}

impl Embedded {
    /// Every node with what it has of its own and what its VMs leave of that; `used` is what disks take.
    pub(super) fn nodes(&self, vms: &BTreeMap<VmId, VmObserved>, used: &Used) -> Result<BTreeMap<String, Node>, Fault> {
        let manager = self.ha_status()?;
        let of_room = |room: Room<'_>| {
            let running = vms.values().filter(|vm| vm.running && vm.node == room.name);
            let node = Node {
                name: room.name.to_owned(),
                online: room.online,
                maintenance: manager.in_maintenance(room.name),
                memory_mb: room.memory_mb,
                // Nothing else takes memory of it, and each takes all that it has.
                memory_used_mb: room.online.then(|| running.map(|vm| vm.memory_mb).sum()),
                cpus: room.cpus,
                bridges: room.bridges.clone(),
                addresses: room.bridges.values().flatten().cloned().collect(),
                storages: self.storages_with(room.name, used)?,
                ..Node::default()
            };
            Ok((node.name.clone(), node))
        };
        self.settings.rooms().map(of_room).collect()
    }

    /// Directory of the configurations of a node's VMs.
    fn confs(&self, node: &str) -> PathBuf {
        if node == self.settings.name {
            return self.dir.join("qemu-server");
        }
        self.dir.join("nodes").join(node).join("qemu-server")
    }

    /// The nodes, each with the directory of its VMs' configurations.
    pub(super) fn confs_of_nodes(&self) -> impl Iterator<Item = (Room<'_>, PathBuf)> {
        self.settings.rooms().map(|room| (room, self.confs(room.name)))
    }

    /// The configurations of all VMs, on whichever node. What is not UTF-8 in one is replaced.
    pub(super) fn all_confs(&self) -> Result<Vec<(VmId, String)>, Fault> {
        let (mut found, mut reader) = (Vec::new(), Reader::default());
        for (_, confs) in self.confs_of_nodes() {
            for name in files::names(&confs)? {
                let Some(vm) = name.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
                let file = reader.bytes(&confs.join(&name))?;
                found.extend(file.map(|file| (vm, String::from_utf8_lossy(file).into_owned())));
            }
        }
        Ok(found)
    }

    /// The node that a VM is on; of one that is not there, the one that the target stands on.
    pub(super) fn room_of(&self, vm: VmId) -> Room<'_> {
        let own = self.settings.own_room();
        let has = |room: &Room<'_>| self.confs(room.name).join(format!("{vm}.conf")).exists();
        if self.settings.nodes.is_empty() || has(&own) { own } else { self.settings.rooms().find(has).unwrap_or(own) }
    }

    /// The configuration of a VM, on whichever node it is; where it would be made, if there is none.
    pub(super) fn conf_path(&self, vm: VmId) -> PathBuf {
        self.confs(self.room_of(vm).name).join(format!("{vm}.conf"))
    }

    /// A node that is up.
    pub(super) fn online(&self, node: &str) -> Result<Room<'_>, Fault> {
        let Some(room) = self.settings.rooms().find(|room| room.name == node) else {
            return Err(Fault::harmless(FaultKind::Missing, format!("no such cluster node '{node}'")));
        };
        if room.online { Ok(room) } else { Err(refused(format!("node '{node}' is not online"))) }
    }

    /// Writes the first configuration of a VM on a node.
    pub(super) fn write_conf_on(&self, node: &str, vm: VmId, text: &str) -> Result<(), Fault> {
        files::make_dir(&self.confs(node))?;
        files::replace(&self.confs(node).join(format!("{vm}.conf")), &self.dir.join(format!("tmp/{vm}.conf")), text)
    }

    /// Gives the configuration of a VM to another node, at once.
    pub(super) fn hand_over(&self, vm: VmId, node: &str) -> Result<(), Fault> {
        files::make_dir(&self.confs(node))?;
        let (from, to) = (self.conf_path(vm), self.confs(node).join(format!("{vm}.conf")));
        fs::rename(&from, &to).map_err(unwritten(&to))
    }

    /// The volumes of a VM on storages that other nodes do not see; that of its cloud-init drive is made anew there.
    pub(super) fn local_volumes(&self, conf: &Conf<'_>) -> Result<Vec<(String, String)>, Fault> {
        let storages = self.storages(false)?;
        let is_local = |drive: &str| {
            let storage = drive.split_once(':').map_or("", |(storage, _)| storage);
            storages.get(storage).is_some_and(|storage| !storage.shared)
        };
        let drives = conf.entries().filter(|(key, drive)| holds_volume(key) && is_local(drive));
        Ok(drives.map(|(key, drive)| (key.to_owned(), drive.to_owned())).collect())
    }

    /// Moves a VM to another node, as `qm migrate` does.
    pub(super) fn migrate(&self, what: Migration<'_>, attempt: Attempt) -> Result<(), Fault> {
        let Migration { vm, node, online } = what;
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let conf = Conf::parse(&text);
        unlocked(&conf)?;
        let room = self.online(node)?;
        if self.room_of(vm).name == node {
            return Err(refused("target is local node."));
        }
        if self.runs(vm)? && !online {
            return Err(refused("can't migrate running VM without --online"));
        }
        let task = self.tasks.begin("qmigrate", vm, "")?;
        let moved = || {
            self.can_move_to(vm, &conf, room)?;
            attempt.halfway()?;
            self.hand_over(vm, node)
        };
        let result = moved();
        task.end(result)
    }

    /// Adds a node to the cluster, with storages that it has beside those of all nodes, or of another size.
    pub fn add_node(&self, name: &str, member: &Member, storages: &[AddedStorage]) -> Result<(), Fault> {
        let is_name = name.len() <= 63
            && !name.starts_with('-')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_name {
            return Err(refused(format!("`{name}` is no name of a node: letters, digits and dashes, 63 at most")));
        }
        let mut settings = self.settings.clone();
        if settings.rooms().any(|room| room.name == name) {
            return Err(refused(format!("node '{name}' exists already")));
        }
        let path = self.dir.join("storage.cfg");
        let before = files::read(&path)?.unwrap_or_default();
        let (mut text, mut member) = (before.clone(), member.clone());
        for added in storages {
            text = with_node(&text, added, name).map_err(refused)?;
            if let Some(size) = added.size_gb {
                let sizes = if added.shared { &mut settings.storage_gb } else { &mut member.storage_gb };
                sizes.insert(added.id.clone(), size);
            }
        }
        settings.nodes.insert(name.to_owned(), member);
        if text != before {
            files::replace(&path, &self.dir.join("tmp/storage.cfg"), &text)?;
        }
        self.save_settings(&settings)
    }
}
