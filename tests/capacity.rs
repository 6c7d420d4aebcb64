//! What nodes of a cluster have promised: what a plan says of it is what is seen when it was carried out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use phoenix::apply::{Inbox, Limits, RealClock, Run, run};
use phoenix::backend::embedded::{Embedded, Member};
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::hypervisor::{Hypervisor as _, Wanted};
use phoenix::model::{Desired, GIB, VmId};
use phoenix::observed::Observed;
use phoenix::plan::document::{DocumentCluster, NodeState, PlanDocument, Provenance};
use phoenix::plan::{Agreed, Goal, Plan, Request, homes, plan};
use serde_json::{Value, json};

const NODES: [&str; 3] = ["pve", "pve2", "pve3"];

fn id(vm: u32) -> VmId {
    VmId::try_from(vm).unwrap()
}

/// A cluster of three nodes with 64 GiB each, whose storage `ceph` they share.
fn cluster(dir: &Path) {
    Embedded::open(dir).unwrap();
    let text = std::fs::read_to_string(dir.join("storage.cfg")).unwrap();
    std::fs::write(dir.join("storage.cfg"), text + "\nrbd: ceph\n\tpool vms\n\tcontent images\n\tshared 1\n").unwrap();
    for name in &NODES[1..] {
        let bridges = [("vmbr0".to_owned(), None)].into();
        let node = Embedded::open(dir).unwrap();
        let storage_gb = BTreeMap::new();
        let member = Member { memory_mb: 65_536, cpus: 32, bridges, storage_gb, online: true };
        node.add_node(name, &member, &[]).unwrap();
    }
}

fn desired(vms: &Value) -> Desired {
    let text = json!({ "hypervisor": { "project": "shop", "memory_limit": 0.5 }, "virtual_machines": vms }).to_string();
    let loaded = load(&Source::new("c.json", text), &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{vms}: {:?}", loaded.diagnostics))
}

fn observed(dir: &Path, desired: &Desired) -> Observed {
    let mut observed = Embedded::open(dir).unwrap().observe_with(&Wanted::default()).unwrap();
    observed.homes = homes(desired, &observed, &Agreed::new());
    observed
}

fn of(plan: &Plan) -> DocumentCluster {
    PlanDocument::of(plan, Provenance::default()).cluster.unwrap()
}

/// What of what, by name.
type Amounts = Vec<(String, u64)>;

/// What is promised of every memory, in MiB, and of every storage, in bytes; now, and when the plan is done.
fn promised(cluster: &DocumentCluster) -> (Amounts, Amounts) {
    let mut both = Vec::new();
    for node in &cluster.nodes {
        both.push((format!("{} memory", node.name), node.memory.promised_mb, node.memory.planned_mb));
        for storage in &node.storages {
            both.push((format!("{} {}", node.name, storage.name), storage.promised_bytes, storage.planned_bytes));
        }
    }
    for storage in &cluster.shared_storages {
        both.push((storage.name.clone(), storage.promised_bytes, storage.planned_bytes));
    }
    let now = both.iter().map(|(name, now, _)| (name.clone(), *now)).collect();
    (now, both.into_iter().map(|(name, _, then)| (name, then)).collect())
}

/// Plans, carries it out, and holds what was planned to what is promised then.
#[track_caller]
fn check(dir: &Path, vms: &Value, request: &Request) -> DocumentCluster {
    let desired = desired(vms);
    let before = observed(dir, &desired);
    let plan = plan(&desired, &before, request);
    assert!(!plan.is_blocked() && plan.acts(), "{vms}: {:?}", plan.problems);
    let cluster = of(&plan);
    let (now, planned) = promised(&cluster);
    assert_ne!(now, planned, "{vms}");
    let run_ = Run {
        plan: Arc::new(plan),
        hypervisor: Arc::new(Embedded::open(dir).unwrap()),
        clock: Arc::new(RealClock::start()),
        limits: Limits::default(),
        config: "test".to_owned(),
        left_alone: 0,
    };
    let summary = run(&run_, &Inbox::default(), &mut |_| {});
    assert!(summary.is_complete(), "{vms}: {summary:?}");
    // Nothing is asked for now.
    let nothing = Request { goal: Goal::Forget(Vec::new()), ..Request::default() };
    let seen = of(&phoenix::plan::plan(&desired, &observed(dir, &desired), &nothing));
    assert!(!seen.changes());
    assert_eq!(promised(&seen).0, planned, "{vms}");
    cluster
}

#[test]
fn what_is_planned_is_what_is_promised_then() {
    let dir = tempfile::tempdir().unwrap();
    cluster(dir.path());
    let mut vms = json!([
        { "vm_id": 1000, "vm_name": "web", "node": "pve2", "memory_mb": 2048, "boot_disk_size_gb": 10 },
        { "vm_id": 1001, "vm_name": "db", "node": "pve3", "memory_mb": 4096, "boot_disk_size_gb": 10,
          "boot_disk_storage": "ceph", "disks": { "scsi1": { "size_gb": 30, "storage": "local-zfs" } } },
        { "vm_id": 1002, "vm_name": "cache", "memory_mb": 1024, "boot_disk_size_gb": 5 },
        { "vm_id": 1003, "vm_name": "golden", "memory_mb": 1024, "boot_disk_size_gb": 5, "is_template": true } ]);
    let usual = Request::default();
    let restart = Request { restart: true, ..Request::default() };
    let made = check(dir.path(), &vms, &usual);
    let [pve, pve2, pve3] = made.nodes.as_slice() else { panic!("{made:?}") };
    assert_eq!((pve.memory.planned_mb, pve2.memory.planned_mb, pve3.memory.planned_mb), (1024, 2048, 4096));
    assert_eq!((pve2.memory.total_mb, pve2.memory.limit_mb), (Some(65_536), Some(32_768)));
    assert_eq!(
        (pve.vms.as_slice(), pve2.vms.as_slice(), pve3.vms.as_slice()),
        (&[1002, 1003][..], &[1000][..], &[1001][..])
    );
    // What is erased, moved, grown and changed, one after the other.
    vms[0]["memory_mb"] = 8192.into();
    vms[0]["boot_disk_size_gb"] = 20.into();
    check(dir.path(), &vms, &restart);
    vms[0]["boot_disk_storage"] = "ceph".into();
    // What is not erased stays, though no configuration says its size then.
    let (web, seen) = (desired(&vms), observed(dir.path(), &desired(&vms)));
    let moved = of(&plan(&web, &seen, &usual));
    assert!(!moved.nodes[1].changes() && moved.shared_storages[0].changes());
    check(dir.path(), &vms, &Request { delete_source: true, ..Request::default() });
    vms[1]["disks"]["scsi1"]["storage"] = "ceph".into();
    vms[1]["disks"]["scsi2"] = json!({ "size_gb": 7, "storage": "local" });
    check(dir.path(), &vms, &Request { delete_source: true, ..Request::default() });
    vms[1]["disks"]["scsi2"]["size_gb"] = 9.into();
    vms[1]["node"] = "pve".into();
    check(dir.path(), &vms, &usual);
    vms[2]["memory_mb"] = 512.into();
    let anew = check(dir.path(), &vms, &Request { recreate: vec![id(1002)], ..Request::default() });
    assert_eq!(anew.nodes[0].vm_count, 2, "the template is none");
    // Made anew on another node.
    vms[2]["node"] = "pve2".into();
    let anew = check(dir.path(), &vms, &Request { recreate: vec![id(1002)], ..Request::default() });
    assert_eq!(anew.nodes[1].memory.planned_mb, 8192 + 512);
    vms[2]["node"] = "pve".into();
    check(dir.path(), &vms, &Request { recreate: vec![id(1002)], ..Request::default() });
    vms[2]["template_name"] = "golden".into();
    vms.as_array_mut().unwrap().remove(0);
    let prune = Request { goal: Goal::Config { prune: true, prune_many: None }, ..Request::default() };
    let gone = check(dir.path(), &vms, &prune);
    assert!(gone.nodes[1].memory.planned_mb == 0 && gone.nodes[1].memory.promised_mb == 8192);
}

#[test]
fn vms_that_are_left_out_of_a_plan_add_nothing() {
    let dir = tempfile::tempdir().unwrap();
    cluster(dir.path());
    let vm =
        |vm: u32, node: &str| json!({ "vm_id": vm, "vm_name": format!("vm{vm}"), "node": node, "memory_mb": 1024 });
    let desired = desired(&json!([vm(1000, "pve2"), vm(1001, "pve3")]));
    let plan = plan(&desired, &observed(dir.path(), &desired), &Request::default());
    let memory = |plan: &Plan| of(plan).nodes.iter().map(|node| node.memory.planned_mb).collect::<Vec<_>>();
    assert_eq!(memory(&plan), [0, 1024, 1024]);
    assert_eq!(memory(&plan.clone().without(&[id(1000)].into())), [0, 0, 1024]);
    let none = of(&plan.without(&[id(1000), id(1001)].into()));
    assert!(!none.changes());
}

#[test]
fn what_can_be_on_no_node_is_on_none_and_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    cluster(dir.path());
    std::fs::create_dir_all(dir.path().join("ha")).unwrap();
    std::fs::write(dir.path().join("ha/manager_status"), r#"{"node_status":{"pve2":"maintenance"}}"#).unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let mut settings = node.settings().clone();
    settings.nodes.get_mut("pve3").unwrap().online = false;
    node.save_settings(&settings).unwrap();
    let vm = |vm: u32, nodes: Value| json!({ "vm_id": vm, "vm_name": format!("vm{vm}"), "node": nodes });
    let desired = desired(&json!([vm(1000, json!(["pve2", "pve3"])), vm(1001, json!("any"))]));
    let plan = plan(&desired, &observed(dir.path(), &desired), &Request::default());
    let cluster = of(&plan);
    let found: Vec<_> = cluster.nodes.iter().map(|node| (node.state, node.vms.as_slice(), node.changes())).collect();
    let expected: [(NodeState, &[u32], bool); 3] =
        [(NodeState::Online, &[1001], true), (NodeState::Maintenance, &[], false), (NodeState::Offline, &[], false)];
    assert_eq!(found, expected);
    // What is offline is not part of what there is.
    let all = cluster.memory();
    assert_eq!((all.total_mb, all.limit_mb, all.used_mb), (Some(2 * 65_536), Some(65_536), Some(0)));
    let zfs = cluster.storages().into_iter().find(|storage| storage.name == "local-zfs").unwrap();
    assert_eq!(zfs.total_bytes, Some(2 * 1024 * GIB));
}

#[test]
fn of_a_single_node_nothing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    let desired = desired(&json!([{ "vm_id": 1000, "vm_name": "web" }]));
    let plan = plan(&desired, &observed(dir.path(), &desired), &Request::default());
    assert_eq!(PlanDocument::of(&plan, Provenance::default()).cluster, None);
}
