//! Reading a node: one script, one answer.
//!
//! Each call of `qm` or `pvesh` costs about a second of Perl's start-up (measured on a real node), and reading the
//! configuration files costs nothing. So the files are read as they are, the API is asked only for what no file tells,
//! all at once, and everything travels as one archive.

mod script;

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;

use super::answer;
use super::copying::{copying, writes_volume_of};
use crate::hypervisor::{DISK_TASKS, Fault, FaultKind};
use crate::model::{VmId, content_digest};
use crate::observed::{
    Allowed, Elsewhere, Export, Guarded, Mounts, NfsSource, Node, Observed, Place, Storage, VmObserved,
};
pub(super) use script::{PLACES, SCRIPT};

/// A file of the answer.
type Files = BTreeMap<String, Vec<u8>>;

#[derive(Deserialize)]
struct QemuEntry {
    vmid: u32,
    status: String,
}

#[derive(Deserialize)]
struct StorageEntry {
    storage: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    active: u8,
    #[serde(default)]
    enabled: u8,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    avail: u64,
}

#[derive(Deserialize)]
struct ResourceEntry {
    vmid: u32,
    #[serde(default)]
    node: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// A running task.
#[derive(Debug, Deserialize)]
pub(super) struct TaskEntry {
    /// Its id.
    pub(super) upid: String,
    #[serde(rename = "type")]
    kind: String,
    /// What it is about: of most, a VMID.
    #[serde(default)]
    id: String,
}

/// Unpacks the answer of [`SCRIPT`].
pub(super) fn unpack(archive: &[u8]) -> Result<Files, Fault> {
    let garbled = |error: std::io::Error| {
        Fault::harmless(FaultKind::Garbled, format!("the node's answer cannot be unpacked: {error}"))
    };
    let mut files = Files::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(garbled)? {
        let mut entry = entry.map_err(garbled)?;
        let path = entry.path().map_err(garbled)?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(garbled)?;
        files.insert(path, content);
    }
    Ok(files)
}

/// The tasks that are running, from the answer.
pub(super) fn tasks(files: &Files) -> Result<Vec<TaskEntry>, Fault> {
    json(files, "tasks")
}

/// Those that clone something.
pub(super) fn clones(tasks: Vec<TaskEntry>) -> Vec<TaskEntry> {
    tasks.into_iter().filter(|task| task.kind == "qmclone").collect()
}

/// Those that work on the disks of the VM they are about, by VM.
pub(super) fn disk_tasks(tasks: &[TaskEntry]) -> BTreeMap<VmId, String> {
    let of_disks = tasks.iter().filter(|task| DISK_TASKS.contains(&task.kind.as_str()));
    of_disks.filter_map(|task| Some((task.id.parse().ok()?, task.kind.clone()))).collect()
}

/// What a copy is called that outlived its task.
pub(super) const COPY: &str = "qemu-img convert";

/// Makes sense of the answer. `clones` are the targets of running clones; `None` stands for one that cannot be told.
///
/// `root` is what stands before every path of the node.
/// `directories` are those on standard input, as phoenix calls them.
pub(super) fn read(
    files: &Files,
    clones: &[Option<VmId>],
    directories: &[String],
    root: &str,
) -> Result<Observed, Fault> {
    let running: BTreeMap<u32, bool> =
        json::<Vec<QemuEntry>>(files, "qemu")?.into_iter().map(|vm| (vm.vmid, vm.status == "running")).collect();
    let vms = configurations(files, &running);
    let name = text(files, "hostname").trim().to_owned();
    let elsewhere = json::<Vec<ResourceEntry>>(files, "resources")?
        .into_iter()
        .map(|vm| (vm.kind == "lxc", vm))
        .filter(|(container, vm)| *container || vm.node != name)
        .filter_map(|(container, vm)| {
            Some((VmId::try_from(vm.vmid).ok()?, Elsewhere { node: vm.node, name: vm.name, container }))
        })
        .filter(|(id, _)| !vms.contains_key(id))
        .collect();
    let cloning = cloning(files, &vms, clones);
    let working = working(files, &vms)?;
    Ok(Observed {
        elsewhere,
        node: node(files, name),
        storages: storages(files)?,
        vms,
        directories: text(files, "directories").lines().filter_map(|line| entries(line, root)).collect(),
        places: places(files.get("places").map_or(&[], Vec::as_slice), directories, root)?,
        allowed: allowed(files),
        exports: exports(files),
        ha: text(files, "ha").lines().filter_map(managed).collect(),
        addresses: BTreeMap::new(),
        guests: BTreeMap::new(),
        cloning,
        working,
        unattributed_clone: clones.contains(&None),
    })
}

fn configurations(files: &Files, running: &BTreeMap<u32, bool>) -> BTreeMap<VmId, VmObserved> {
    let mut vms = BTreeMap::new();
    for (path, content) in files {
        let Some(id) = path.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
        let runs = running.get(&id.get()).copied().unwrap_or(false);
        let text = String::from_utf8_lossy(content);
        vms.insert(id, VmObserved::from_conf(id, &text, runs));
    }
    vms
}

fn node(files: &Files, name: String) -> Node {
    let kib = text(files, "meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let addresses: BTreeMap<String, String> = text(files, "addresses").lines().filter_map(address).collect();
    let nfs_server = !text(files, "exportfs").trim().is_empty();
    let bridges =
        text(files, "bridges").lines().map(|bridge| (bridge.to_owned(), addresses.get(bridge).cloned())).collect();
    let cpus = text(files, "cpus").trim().parse().unwrap_or(0);
    let all = text(files, "addresses").lines().filter_map(address).map(|(_, address)| address).collect();
    // Proxmox makes one for each cluster, and for each node that is in none; all nodes of a cluster share it.
    let authority = files.get("root-ca").filter(|certificate| !certificate.is_empty());
    let identity = authority.map(|certificate| format!("root certificate {}", content_digest(certificate)));
    let identity = identity.unwrap_or_default();
    Node { name, identity, memory_mb: kib / 1024, cpus, bridges, addresses: all, nfs_server, ..Node::default() }
}

/// `2: vmbr0    inet 192.0.2.1/24 brd …` → the interface and its address.
fn address(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace().skip(1);
    let interface = words.next()?;
    let address = words.skip_while(|word| *word != "inet").nth(1)?;
    Some((interface.to_owned(), address.split('/').next()?.to_owned()))
}

/// VMIDs that a clone is making: by its task, or by a copy that outlived the task (recorded: a `qemu-img` whose parent was
/// killed goes on writing).
fn cloning(files: &Files, vms: &BTreeMap<VmId, VmObserved>, clones: &[Option<VmId>]) -> Vec<VmId> {
    let programs = text(files, "copying");
    let written = |id: &VmId| programs.lines().any(|line| writes_volume_of(line, *id));
    let locked = vms.values().filter(|vm| vm.is_half_cloned()).map(|vm| vm.id);
    let mut targets: Vec<VmId> = clones.iter().filter_map(|target| *target).chain(locked.filter(written)).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// VMs on whose disks a task works, or a copy that outlived its task. One that is being cloned is told elsewhere.
fn working(files: &Files, vms: &BTreeMap<VmId, VmObserved>) -> Result<BTreeMap<VmId, String>, Fault> {
    let text = text(files, "copying");
    let copied = vms.values().filter(|vm| !text.is_empty() && vm.lock.is_none() && copying(&text, vm.id));
    let mut found: BTreeMap<VmId, String> = copied.map(|vm| (vm.id, COPY.to_owned())).collect();
    found.extend(disk_tasks(&tasks(files)?));
    Ok(found)
}

/// `vm: 1000` begins the section of a VM in the HA manager's `resources.cfg`.
fn managed(line: &str) -> Option<VmId> {
    line.strip_prefix("vm:")?.trim().parse().ok()
}

/// `COUNT PATH`
fn entries(line: &str, root: &str) -> Option<(String, usize)> {
    let (count, path) = line.trim_start().split_once(' ')?;
    Some((path.strip_prefix(root)?.to_owned(), count.parse().ok()?))
}

/// Where each of the directories lies, as `place` printed it, and the mounts behind that.
pub(super) fn places(said: &[u8], directories: &[String], root: &str) -> Result<BTreeMap<String, Place>, Fault> {
    let mut words: Vec<String> =
        said.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let mounts = Mounts::parse(&words.pop().unwrap_or_default());
    if words.len() != directories.len() {
        let what = "the node does not say of every directory where it lies: is `realpath` of coreutils there?";
        return Err(Fault::harmless(FaultKind::Garbled, what));
    }
    let on_node = |real: String| match real.strip_prefix(root) {
        Some("") if !root.is_empty() => "/".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => real,
    };
    Ok(directories.iter().cloned().zip(words.into_iter().map(|real| mounts.place(on_node(real)))).collect())
}

/// What the administrator allows: the file counts only if no user but the one phoenix runs as, root, can have
/// written it.
fn allowed(files: &Files) -> Allowed {
    let guarded = text(files, "allow.guarded");
    let mut lines = guarded.lines();
    let Some(user) = lines.next() else { return Allowed::default() };
    let mut next = || {
        let (owner, mode) = lines.next()?.split_once(' ')?;
        Some(Guarded { owner: owner.parse().ok()?, mode: u32::from_str_radix(mode, 16).ok()? })
    };
    let (Ok(user), Some(directory), Some(file)) = (user.parse(), next(), next()) else {
        return Allowed::broken("the node does not say whose it is".to_owned());
    };
    match (Allowed::distrust(directory, file, user), files.get("allow.json")) {
        (Some(distrusted), _) => distrusted,
        (None, Some(text)) => Allowed::parse(text),
        (None, None) => Allowed::broken("it cannot be read".to_owned()),
    }
}

/// What the node exports.
fn exports(files: &Files) -> Vec<Export> {
    let own = |name: &&String| *name == "exports" || name.ends_with(".exports");
    files.keys().filter(own).flat_map(|name| Export::parse(name, &text(files, name))).collect()
}

/// Kinds of storages that Proxmox mounts itself, below `/mnt/pve` unless it is told otherwise.
const MOUNTED: [&str; 4] = ["nfs", "cifs", "cephfs", "glusterfs"];

/// The storages: what the API says of each, and from `storage.cfg` where an NFS one comes from.
fn storages(files: &Files) -> Result<BTreeMap<String, Storage>, Fault> {
    let sections = storage_cfg(&text(files, "storage.cfg"));
    let entries: Vec<StorageEntry> = json(files, "storage")?;
    Ok(entries
        .into_iter()
        .map(|entry| {
            let options = sections.get(&entry.storage);
            let option = |key: &str| options.and_then(|options| options.get(key)).cloned();
            let nfs = match (entry.kind.as_str(), option("server"), option("export")) {
                ("nfs", Some(server), Some(export)) => Some(NfsSource { server, export }),
                _ => None,
            };
            let mounted = || MOUNTED.contains(&entry.kind.as_str()).then(|| format!("/mnt/pve/{}", entry.storage));
            let path = option("path").or_else(mounted);
            let storage = Storage {
                images: entry.content.split(',').any(|content| content == "images"),
                active: entry.active == 1 && entry.enabled == 1,
                total: entry.total,
                free: entry.avail,
                // Disks on plain LVM take their whole size at once; everywhere else they grow.
                thick: entry.kind == "lvm",
                path,
                nfs,
                content_dirs: option("content-dirs").map(|dirs| Storage::parse_content_dirs(&dirs)).unwrap_or_default(),
                kind: entry.kind,
            };
            (entry.storage, storage)
        })
        .collect())
}

/// The sections of `storage.cfg` by storage id: `nfs: NAME` and indented `key value` lines.
fn storage_cfg(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            if let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) {
                section.insert(key.to_owned(), value.trim().to_owned());
            }
        } else if let Some((_, name)) = line.split_once(':') {
            let name = name.trim().to_owned();
            sections.insert(name.clone(), BTreeMap::new());
            current = Some(name);
        }
    }
    sections
}

fn text(files: &Files, name: &str) -> String {
    files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

/// An answer of the API, or why there is none.
fn json<T: serde::de::DeserializeOwned>(files: &Files, name: &str) -> Result<T, Fault> {
    let error = text(files, &format!("{name}.err"));
    if files.contains_key(&format!("{name}.failed")) {
        let what = format!("the node does not tell its {name}: {}", error.trim());
        if text(files, &format!("{name}.failed")).trim().parse() == Ok(answer::NOT_FOUND) {
            return Err(answer::no_program(what));
        }
        let kind = if error.contains("ermission") { FaultKind::Denied } else { FaultKind::Failed };
        return Err(Fault::harmless(kind, what));
    }
    serde_json::from_str(&text(files, &format!("{name}.json")))
        .map_err(|why| Fault::harmless(FaultKind::Garbled, format!("the node's {name} cannot be understood: {why}")))
}

/// The API's list of tasks.
pub(super) fn parse_tasks(text: &str) -> Result<Vec<TaskEntry>, Fault> {
    serde_json::from_str(text.trim())
        .map_err(|why| Fault::harmless(FaultKind::Garbled, format!("the node's tasks cannot be understood: {why}")))
}

/// The target that the first line of a clone's log names: `creating a clone of VM 9100 with ID 431`.
pub(super) fn clone_target(log: &[u8]) -> Option<VmId> {
    #[derive(Deserialize)]
    struct Line {
        t: String,
    }
    let lines: Vec<Line> = serde_json::from_slice(log).ok()?;
    lines.iter().find_map(|line| line.t.strip_prefix("creating ")?.rsplit_once(" with ID ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{address, clone_target, clones, disk_tasks, parse_tasks, storage_cfg};
    use crate::model::VmId;

    #[test]
    fn a_clone_is_told_by_its_log() {
        let log = br#"[{"n":1,"t":"creating a clone of VM 9100 with ID 431"}]"#;
        assert_eq!(clone_target(log), VmId::try_from(431).ok());
        assert_eq!(clone_target(b"[]"), None);
        let tasks = r#"[{"id":"9100","node":"vm","pid":30845,"pstart":718548,"saved":"0","starttime":1795388860,
            "status":"RUNNING","type":"qmclone","upid":"UPID:vm:0000787D:x","user":"root@pam"},
            {"id":"1","type":"qmstart","upid":"UPID:y"},{"id":"101","type":"qmmove","upid":"UPID:z"}]"#;
        let tasks = parse_tasks(tasks).unwrap();
        let working = disk_tasks(&tasks);
        assert_eq!(
            working.into_iter().map(|(vm, kind)| (vm.get(), kind)).collect::<Vec<_>>(),
            [(101, "qmmove".into())]
        );
        assert_eq!(clones(tasks).len(), 1);
    }

    #[test]
    fn the_files_of_the_node_are_understood() {
        let (interface, address) = address("2: vmbr0    inet 192.0.2.1/24 brd 192.0.2.255 scope global vmbr0").unwrap();
        assert_eq!((interface.as_str(), address.as_str()), ("vmbr0", "192.0.2.1"));
        let cfg = storage_cfg("dir: local\n\tpath /var/lib/vz\n\nnfs: data\n\tserver 192.0.2.9\n\texport /srv/x y\n");
        assert_eq!(cfg["data"]["server"], "192.0.2.9");
        assert_eq!(cfg["data"]["export"], "/srv/x y");
        assert_eq!(cfg["local"]["path"], "/var/lib/vz");
    }
}
