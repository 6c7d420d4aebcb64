//! Reading a node: one script, one answer.
//!
//! Each call of `qm` or `pvesh` costs about a second of Perl's start-up (measured on a real node), and reading files
//! costs nothing. So the files are read as they are, the API is asked only for what no file tells, which is how its
//! storages are, and everything travels as one archive.

mod script;

use std::collections::BTreeMap;
use std::io::Read as _;

use super::super::proxmox::nodes::{Resources, bridges};
use super::super::proxmox::storage::{sections, storages};
use super::super::proxmox::task::{self, Task, on_disks};
use super::super::proxmox::{cluster, ha, mappings, pools};
use super::answer;
use super::copying::{copying, writes_volume_of};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Snippet, VmId};
use crate::observed::{
    Allowed, COPY, Capabilities, Export, Guarded, Mapped, Mappings, Mounts, Node, Observed, Place, SnippetSeen,
    VmObserved,
};
pub(super) use script::{PLACES, SCRIPT, TASKS};

/// A file of the answer.
type Files = BTreeMap<String, Vec<u8>>;

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
pub(super) fn tasks(files: &Files) -> Result<Vec<Task>, Fault> {
    answered(files, "tasks")?;
    let mut running = task::parse(&text(files, "tasks.json"))?;
    if files.contains_key("cluster-tasks.json") {
        answered(files, "cluster-tasks")?;
        running.extend(task::elsewhere(&text(files, "cluster-tasks.json"), text(files, "hostname").trim())?);
    }
    Ok(running)
}

/// Which VMs run: by their pid files, or as the API says.
fn running(files: &Files) -> Result<BTreeMap<u32, bool>, Fault> {
    if files.contains_key("pids") {
        return Ok(cluster::with_process(&text(files, "pids"), &text(files, "qemus")));
    }
    Ok(cluster::running(json(files, "qemu")?))
}

/// The VMs and containers of the cluster: by its file system, or as the API says.
fn everywhere(files: &Files) -> Result<Vec<cluster::ClusterVm>, Fault> {
    if !files.contains_key("vmlist") {
        return json(files, "resources");
    }
    cluster::listed(&text(files, "vmlist"), &text(files, "named"))
        .map_err(|why| Fault::harmless(FaultKind::Garbled, format!("/etc/pve/.vmlist cannot be understood: {why}")))
}

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
    let running = running(files)?;
    let here = text(files, "hostname").trim().to_owned();
    let mut vms = configurations(files, &running, &here);
    let manager = ha::Status::parse(&text(files, "ha-status"))?;
    let others = others(files, &here, &manager)?;
    vms.extend(others.vms);
    // One that moves just now may be missed on both nodes.
    let own = others.nodes.is_empty().then_some(here.as_str());
    let taken = cluster::taken(everywhere(files)?, own, &vms);
    let cloning = cloning(files, &vms, clones);
    let working = working(files, &vms)?;
    let authority = files.get("root-ca").filter(|certificate| !certificate.is_empty());
    let node = Node {
        storages: storages(json(files, "storage")?, &sections(&text(files, "storage.cfg"))),
        directories: text(files, "directories").lines().filter_map(|line| entries(line, root)).collect(),
        places: places(files.get("places").map_or(&[], Vec::as_slice), directories, root)?,
        allowed: allowed(files),
        snippets: snippets(files),
        exports: exports(files),
        maintenance: manager.in_maintenance(&here),
        ..node(files, &here)
    };
    let pools = pools::parse(&text(files, "pools"));
    for (vm, pool) in pools.members {
        vms.entry(vm).and_modify(|vm| vm.pool = Some(pool));
    }
    let resources = ha::resources(&text(files, "ha"));
    for (vm, resource) in &resources {
        vms.entry(*vm).and_modify(|vm| vm.ha = Some(manager.of(vm.id, resource)));
    }
    Ok(Observed {
        identity: authority.map(|certificate| cluster::identity(certificate)).unwrap_or_default(),
        capabilities: Capabilities::PROXMOX,
        missing: BTreeMap::new(),
        template_hint: None,
        nodes: others.nodes.into_iter().chain([(here.clone(), node)]).collect(),
        here,
        vms,
        homes: BTreeMap::new(),
        taken,
        ha: resources.into_keys().collect(),
        addresses: BTreeMap::new(),
        guests: BTreeMap::new(),
        unnamed: BTreeMap::new(),
        pools: pools.names,
        mappings: Some(mappings(files)),
        moves: BTreeMap::new(),
        without_quorum: cluster::without_quorum(&text(files, "members")),
        cloning,
        working,
        unattributed_clone: clones.contains(&None),
    })
}

fn configurations(files: &Files, running: &BTreeMap<u32, bool>, node: &str) -> BTreeMap<VmId, VmObserved> {
    let mut vms = BTreeMap::new();
    for (path, content) in files {
        let Some(id) = path.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
        let runs = running.get(&id.get()).copied().unwrap_or(false);
        vms.insert(id, VmObserved::from_file(id, content, runs).on(node));
    }
    vms
}

/// What is known of the other nodes of a cluster.
#[derive(Default)]
struct Others {
    nodes: BTreeMap<String, Node>,
    vms: BTreeMap<VmId, VmObserved>,
}

fn others(files: &Files, here: &str, manager: &ha::Status) -> Result<Others, Fault> {
    let mut others = Others::default();
    let members = cluster::nodes(&text(files, "members"));
    if members.is_empty() {
        return Ok(others);
    }
    let resources: Resources = json(files, "cluster")?;
    let sections = sections(&text(files, "storage.cfg"));
    for (name, online) in members.into_iter().filter(|(name, _)| name != here) {
        let mut node = resources.node(&name, online, &sections);
        node.maintenance = manager.in_maintenance(&name);
        let asked = format!("network-{name}");
        if files.contains_key(&format!("{asked}.failed")) {
            // It is there, and does nothing that it is asked.
            (node.silent, node.online) = (node.online, false);
        } else if files.contains_key(&format!("{asked}.json")) {
            node.bridges = bridges(json(files, &asked)?);
            node.addresses = node.bridges.values().flatten().cloned().collect();
            node.bridges_unknown = false;
        }
        others.nodes.insert(name, node);
    }
    let running = resources.running();
    for (path, content) in files {
        let Some((node, file)) = path.split_once("/qemu-server/") else { continue };
        let Some(id) = file.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
        let is_online = others.nodes.get(node).is_some_and(|node| node.online);
        let runs = is_online && running.get(&id.get()) == Some(&node);
        others.vms.insert(id, VmObserved::from_file(id, content, runs).on(node));
    }
    Ok(others)
}

/// What the node itself says of what it has.
fn node(files: &Files, name: &str) -> Node {
    let memory = text(files, "meminfo");
    let kib = |what: &str| {
        let said = |line: &str| line.strip_prefix(what)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
        memory.lines().find_map(said)
    };
    let all = kib("MemTotal:").unwrap_or(0);
    // What the kernel would give to programs is not in use.
    let used = kib("MemAvailable:").map(|available| all.saturating_sub(available) / 1024);
    let addresses: BTreeMap<String, String> = text(files, "addresses").lines().filter_map(address).collect();
    let nfs_server = !text(files, "exportfs").trim().is_empty();
    let bridges =
        text(files, "bridges").lines().map(|bridge| (bridge.to_owned(), addresses.get(bridge).cloned())).collect();
    let cpus = text(files, "cpus").trim().parse().unwrap_or(0);
    let addresses = text(files, "addresses").lines().filter_map(address).map(|(_, address)| address).collect();
    // A node that answers is up.
    Node {
        name: name.to_owned(),
        online: true,
        memory_mb: all / 1024,
        memory_used_mb: used,
        cpus,
        bridges,
        addresses,
        nfs_server,
        ..Node::default()
    }
}

/// `2: vmbr0    inet 192.0.2.1/24 brd …` → the interface and its address.
fn address(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace().skip(1);
    let interface = words.next()?;
    let address = words.skip_while(|word| *word != "inet").nth(1)?;
    Some((interface.to_owned(), address.split('/').next()?.to_owned()))
}

/// VMIDs that a clone is making: by its task, or by a copy that outlived the task (recorded: a `qemu-img` whose parent
/// was killed goes on writing).
fn cloning(files: &Files, vms: &BTreeMap<VmId, VmObserved>, clones: &[Option<VmId>]) -> Vec<VmId> {
    let programs = text(files, "copying");
    let written = |id: &VmId| programs.lines().any(|line| writes_volume_of(line, *id));
    let locked = vms.values().filter(|vm| vm.is_half_cloned()).map(|vm| vm.id);
    let mut targets: Vec<VmId> = clones.iter().filter_map(|target| *target).chain(locked.filter(written)).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// VMs on whose disks a task works, or a copy that outlived its task. One that is being cloned is none of them.
fn working(files: &Files, vms: &BTreeMap<VmId, VmObserved>) -> Result<BTreeMap<VmId, String>, Fault> {
    let text = text(files, "copying");
    let copied = vms.values().filter(|vm| !text.is_empty() && vm.lock.is_none() && copying(&text, vm.id));
    let mut found: BTreeMap<VmId, String> = copied.map(|vm| (vm.id, COPY.to_owned())).collect();
    found.extend(on_disks(&tasks(files)?));
    Ok(found)
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
        return Allowed::broken("the node does not say who owns it".to_owned());
    };
    match (Allowed::distrust(directory, file, user), files.get("allow.json")) {
        (Some(distrusted), _) => distrusted,
        (None, Some(text)) => Allowed::parse(text),
        (None, None) => Allowed::broken("it cannot be read".to_owned()),
    }
}

/// phoenix's snippets on the node.
fn snippets(files: &Files) -> BTreeMap<String, SnippetSeen> {
    let snippet = |(path, content): (&String, &Vec<u8>)| {
        let (storage, file) = path.strip_prefix("snippets/")?.split_once('/')?;
        let volume = Snippet::volume(storage, file);
        let has_secrets = Snippet::parse(&volume)?.has_secrets;
        let content = String::from_utf8_lossy(content);
        // Of one with secrets the node tells what `sha256sum` prints.
        let seen = if has_secrets {
            SnippetSeen::Sealed(Some(content.split_whitespace().next().unwrap_or_default().to_owned()))
        } else {
            SnippetSeen::Text(content.into_owned())
        };
        Some((volume, seen))
    };
    files.iter().filter_map(snippet).collect()
}

/// The resource mappings of the cluster.
fn mappings(files: &Files) -> Mappings {
    let of = |kind: Mapped| (kind, mappings::parse(&text(files, &format!("mapping-{}", kind.file()))));
    Mappings(Mapped::ALL.into_iter().map(of).filter(|(_, of)| !of.is_empty()).collect())
}

/// What the node exports.
fn exports(files: &Files) -> Vec<Export> {
    let own = |name: &&String| *name == "exports" || name.ends_with(".exports");
    files.keys().filter(own).flat_map(|name| Export::parse(name, &text(files, name))).collect()
}

fn text(files: &Files, name: &str) -> String {
    files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

/// Fails if the API gave no answer.
fn answered(files: &Files, name: &str) -> Result<(), Fault> {
    let error = text(files, &format!("{name}.err"));
    if files.contains_key(&format!("{name}.failed")) {
        let what = format!("the node does not report its {name}: {}", error.trim());
        if text(files, &format!("{name}.failed")).trim().parse() == Ok(answer::NOT_FOUND) {
            return Err(answer::no_program(what));
        }
        let kind = if error.contains("ermission") { FaultKind::Denied } else { FaultKind::Failed };
        return Err(Fault::harmless(kind, what));
    }
    Ok(())
}

/// An answer of the API, or why there is none.
fn json<T: serde::de::DeserializeOwned>(files: &Files, name: &str) -> Result<T, Fault> {
    answered(files, name)?;
    serde_json::from_str(&text(files, &format!("{name}.json")))
        .map_err(|why| Fault::harmless(FaultKind::Garbled, format!("the node's {name} cannot be understood: {why}")))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_interface_has_its_address() {
        let (interface, address) = address("2: vmbr0    inet 192.0.2.1/24 brd 192.0.2.255 scope global vmbr0").unwrap();
        assert_eq!((interface.as_str(), address.as_str()), ("vmbr0", "192.0.2.1"));
    }
}
