//! What is desired and what was observed give a plan: pairs under `fixtures/plan/`, reviewed as text.
//!
//! A case is a directory: `config.json`, `VMID.conf` for each VM that is there (`VMID.running.conf` for one that runs)
//! on top of a fresh node (one with real guests, if the case's name begins so), and `plan.txt`, which holds the plan
//! and its problems as people read them. The node may have an `allow.json`, a `mountinfo` of its mounts, `links` (lines
//! `PATH TARGET`), `snippets` and `exports` of phoenix's for VM 900. `nodes.json` gives it other nodes, `storage.cfg`
//! other storages; a VM of another node is `NODE/VMID.conf`; `user.cfg` has resource pools, `manager_status` says which
//! nodes are in maintenance, and `ha.json` how the HA manager looks after VMs, by VMID; `isos.json` has the ISO images
//! on storages of other nodes; `mapping` has the files of its resource mappings, `moves.json` what Proxmox says of the
//! VMs that are to move, `missing.json` the programs that this machine lacks. `volumes` has what its storages list, in
//! lines `VOLUME GIB VMID`. `request.json` says what is asked for beside the config. `SNAPSHOTS=overwrite cargo test
//! --test plans` rewrites the last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use phoenix::backend::embedded::Embedded;
use phoenix::config::{self, BadData, BadSecret, FeatureFiles, SecretRead, Source, load_with};
use phoenix::hypervisor::{HostFiles as _, Hypervisor as _, Wanted};
use phoenix::model::{Desired, GIB, SecretName, VmId};
use phoenix::observed::{Capabilities, Ha, Listed, ListedVolume, Observed, VmObserved};
use phoenix::plan::document::{PlanDocument, Provenance};
use phoenix::plan::{
    Agreed, AtWork, Request, Selection, Selector, directories, homes, isos_elsewhere, lint, more_directories,
    on_their_way, plan, to_move, volumes_to_list,
};
use phoenix::ui;
use phoenix::ui::style::Style;

/// No files, and secrets whose values are their names.
struct Beside;

impl config::Beside for Beside {
    fn features(&mut self, _: &str) -> FeatureFiles {
        FeatureFiles::Missing
    }

    fn data(&mut self, _: &str) -> Result<Vec<u8>, BadData> {
        Err(BadData::Missing)
    }

    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret> {
        Ok(SecretRead { bytes: name.to_string().into_bytes(), is_exposed: false })
    }

    fn needs_secrets(&self) -> bool {
        true
    }
}

/// Puts the files of a case onto the node.
fn furnish(case: &Path, root: &Path) {
    for (name, at) in [
        ("allow.json", "etc/phoenix/allow.json"),
        ("mountinfo", "proc/self/mountinfo"),
        ("exports", "etc/exports.d/phoenix-900.exports"),
    ] {
        let Ok(text) = fs::read_to_string(case.join(name)) else { continue };
        let (file, dir) = (root.join(at), root.join(at).parent().unwrap().to_owned());
        fs::create_dir_all(&dir).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }
    for entry in fs::read_dir(case.join("snippets")).into_iter().flatten() {
        let (from, dir) = (entry.unwrap().path(), root.join("var/lib/vz/snippets"));
        fs::create_dir_all(&dir).unwrap();
        fs::copy(&from, dir.join(from.file_name().unwrap())).unwrap();
    }
    for line in fs::read_to_string(case.join("links")).unwrap_or_default().lines() {
        let (path, target) = line.split_once(' ').unwrap();
        let link = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
}

/// Gives the node the others of a case.
fn cluster(case: &Path, dir: &Path) {
    if let Ok(text) = fs::read_to_string(case.join("storage.cfg")) {
        fs::write(dir.join("storage.cfg"), text).unwrap();
    }
    for entry in fs::read_dir(case.join("mapping")).into_iter().flatten() {
        let (from, into) = (entry.unwrap().path(), dir.join("mapping"));
        fs::create_dir_all(&into).unwrap();
        fs::copy(&from, into.join(from.file_name().unwrap())).unwrap();
    }
    if let Ok(text) = fs::read_to_string(case.join("user.cfg")) {
        fs::write(dir.join("user.cfg"), text).unwrap();
    }
    if let Ok(text) = fs::read_to_string(case.join("manager_status")) {
        fs::create_dir_all(dir.join("ha")).unwrap();
        fs::write(dir.join("ha/manager_status"), text).unwrap();
    }
    let Ok(text) = fs::read_to_string(case.join("nodes.json")) else { return };
    let node = Embedded::open(dir).unwrap();
    let mut settings = node.settings().clone();
    settings.nodes = serde_json::from_str(&text).unwrap();
    node.save_settings(&settings).unwrap();
}

/// Has the HA manager look after the VMs of a case.
fn look_after(case: &Path, observed: &mut Observed) {
    let Ok(text) = fs::read_to_string(case.join("ha.json")) else { return };
    let managed: BTreeMap<VmId, Ha> = serde_json::from_str(&text).unwrap();
    observed.ha = managed.keys().copied().collect();
    for (vm, ha) in managed {
        observed.vms.entry(vm).and_modify(|live| live.ha = Some(ha));
    }
}

fn observed(case: &Path, desired: &Desired) -> Observed {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    cluster(case, dir.path());
    let node = Embedded::open(dir.path()).unwrap();
    furnish(case, &dir.path().join("root"));
    let mut observed = node.observe_with(&Wanted::directories(directories(desired))).unwrap();
    let more = node.places(&more_directories(desired, &observed)).unwrap();
    observed.own_node_mut().places.extend(more);
    let name = case.file_name().unwrap().to_string_lossy();
    if name.starts_with("real-guest-") {
        observed.capabilities = Capabilities::REAL_GUESTS;
    }
    if name.starts_with("no-snippets-") {
        observed.own_node_mut().storages.values_mut().for_each(|storage| storage.snippets = None);
    }
    if name.starts_with("no-files-") {
        observed.capabilities.host_files = false;
    }
    let pools = fs::read_to_string(case.join("user.cfg")).unwrap_or_default();
    let nodes: Vec<String> = observed.nodes.keys().cloned().collect();
    let files = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let here = files(case).map(|path| (observed.here.clone(), path));
    let there = nodes.iter().flat_map(|node| files(&case.join(node)).map(|path| (node.clone(), path)));
    for (node, path) in here.chain(there).collect::<Vec<_>>() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".conf") else { continue };
        let (id, running) = name.strip_suffix(".running").map_or((name, false), |id| (id, true));
        let id: VmId = id.parse().unwrap();
        let live = VmObserved::from_file(id, &fs::read(&path).unwrap(), running && observed.nodes[&node].online);
        let pool = pools.lines().find(|line| line.split([':', ',']).any(|word| word == id.to_string()));
        let live = live.on(&node).in_pool(pool.and_then(|line| line.split(':').nth(1)));
        observed.vms.insert(id, live);
    }
    look_after(case, &mut observed);
    if let Ok(text) = fs::read_to_string(case.join("missing.json")) {
        observed.missing = serde_json::from_str(&text).unwrap();
    }
    let volumes = fs::read_to_string(case.join("volumes")).unwrap_or_default();
    observed.own_node_mut().listed = listed(&volumes, &volumes_to_list(desired, &observed).1);
    if let Ok(text) = fs::read_to_string(case.join("isos.json")) {
        let isos: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = serde_json::from_str(&text).unwrap();
        for (node, isos) in isos {
            let asked = isos_elsewhere(desired, &observed);
            assert!(isos.keys().all(|storage| asked.contains(&(node.clone(), storage.clone()))), "{asked:?}");
            observed.nodes.get_mut(&node).unwrap().isos = isos;
        }
    }
    observed.homes = homes(desired, &observed, &Agreed::new());
    if let Ok(text) = fs::read_to_string(case.join("moves.json")) {
        observed.moves = serde_json::from_str(&text).unwrap();
        let asked = to_move(desired, &observed, &Request::default());
        let asked: Vec<VmId> = asked.into_iter().map(|(vm, ..)| vm).collect();
        assert_eq!(asked, observed.moves.keys().copied().collect::<Vec<_>>(), "{}", case.display());
    }
    observed
}

/// Volumes as these storages list them, of lines `VOLUME GIB VMID`.
fn listed(lines: &str, storages: &[&str]) -> Listed {
    let mut found: Listed = storages.iter().map(|storage| ((*storage).to_owned(), BTreeMap::new())).collect();
    for line in lines.lines() {
        let [volume, gib, vm] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let size = gib.parse().ok().map(|gib: u64| gib * GIB);
        let Some(on) = found.get_mut(volume.split(':').next().unwrap()) else { continue };
        on.insert(volume.to_owned(), ListedVolume { vm: vm.parse().unwrap(), size });
    }
    found
}

fn check(case: &Path) {
    let source = Source::new("config.json", fs::read_to_string(case.join("config.json")).unwrap());
    let loaded = load_with(&source, &mut Beside);
    let desired = loaded.desired.unwrap_or_else(|| panic!("{}: {:?}", case.display(), loaded.diagnostics));
    let observed = observed(case, &desired);
    let request = fs::read_to_string(case.join("request.json")).unwrap_or_else(|_| "{}".to_owned());
    let request: Request = serde_json::from_str(&request).unwrap();
    let plan = plan(&desired, &observed, &request);
    assert_eq!(lint::lint(&plan, &observed), Vec::<String>::new(), "{}", case.display());
    for problem in &plan.problems {
        let own = problem.vm.map(|vm| format!("VM {vm}"));
        assert!(problem.vm.is_some() == problem.name.is_some(), "{}: {problem:?}", case.display());
        assert!(own.is_none_or(|own| !problem.message.starts_with(&own)), "{}: {problem:?}", case.display());
    }
    let about = phoenix::hypervisor::About { label: "embedded node at .phoenix/node".to_owned(), simulated: true };
    let view = ui::plan::View {
        verbose: false,
        style: Style { color: false },
        width: 80,
        about: &about,
        config: "config.json",
    };
    let document = PlanDocument::of(&plan, Provenance::default());
    // The hash changes with every script that phoenix brings along.
    let shown = ui::plan::render(&document, &view).replace(&document.hash, "DIGEST");
    let shown =
        shown + &ui::diagnostics::render(&ui::findings::shown(&plan.problems, Some(&source)), Some(&source), false);
    snapbox::assert_data_eq!(shown, snapbox::Data::read_from(&case.join("plan.txt"), None).raw());
}

#[test]
fn desired_and_observed_give_the_plan() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plan");
    let mut count = 0;
    for entry in fs::read_dir(cases).unwrap() {
        check(&entry.unwrap().path());
        count += 1;
    }
    assert!(count >= 12, "the cases are gone");
}

/// A VM that is on its way to another node is waited for by those that depend on it, too.
#[test]
fn what_others_depend_on_is_waited_for() {
    let text = r#"{ "virtual_machines": [ { "vm_id": 1000, "vm_name": "db" }, { "vm_id": 1002, "vm_name": "other" },
        { "vm_id": 1001, "vm_name": "web", "depends_on": ["db"] } ] }"#;
    let source = Source::new("config.json", text);
    let desired = load_with(&source, &mut Beside).desired.unwrap();
    let id = |vm: u32| VmId::try_from(vm).unwrap();
    let working = [1000, 1002].map(|vm| (id(vm), "qmigrate".to_owned())).into();
    let observed = Observed { working, ..Observed::default() };
    let of = |only: &[&str]| {
        let only = only.iter().map(|word| Selector::parse(word)).collect();
        on_their_way(&desired, &Selection { only, exclude: Vec::new() }, &observed)
    };
    let moves = |vm: u32| (id(vm), AtWork::Migration);
    assert_eq!(of(&["web"]), [moves(1000)]);
    assert_eq!(of(&[]), [moves(1000), moves(1002)]);
}
