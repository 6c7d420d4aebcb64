//! A target with two nodes: what is said of a VM is said of the node that it is on, or will be made on, of no other.

use std::collections::BTreeMap;

use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::hypervisor::Hypervisor as _;
use phoenix::model::{ActionKind, Desired, Record, RecordState, VmId};
use phoenix::observed::{Allowed, Export, Node, Observed, Place, VmObserved, encode_description, with_record};
use phoenix::plan::{Request, codes, import, lint, plan};
use serde_json::{Value, json};

const NODES: [&str; 2] = ["near", "far"];

/// Where the guest of the VM is, and what it mounts.
const GUEST: &str = "192.0.2.70";
const DATA: &str = "/srv/nfs/1000";

fn vm() -> VmId {
    VmId::try_from(1000).unwrap()
}

/// A config of one VM with these keys, and these of its disk, card and memory unless they are among them.
fn desired(keys: &Value) -> Desired {
    let mut entry = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_storage": "local-zfs", "memory_mb": 1024 });
    entry.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    of_vms(&json!([entry]))
}

/// A config of these VMs.
fn of_vms(vms: &Value) -> Desired {
    let text = json!({ "virtual_machines": vms }).to_string();
    let scripts = || BTreeMap::from([("base_setup.sh".to_owned(), Ok(b"true\n".to_vec()))]);
    let loaded = load(&Source::new("c.json", text), &mut |_| FeatureFiles::Found(scripts()));
    loaded.desired.unwrap_or_else(|| panic!("{vms}: {:?}", loaded.diagnostics))
}

/// Two nodes that have the same, each with a template of one name; new VMs are made on this one of them.
fn two_nodes(here: &str) -> Observed {
    let dir = tempfile::tempdir().unwrap();
    let fresh = Embedded::open(dir.path()).unwrap().observe().unwrap();
    let (node, template) = (fresh.own_node().clone(), fresh.vms.values().next().unwrap().clone());
    let mut observed = Observed { here: here.to_owned(), identity: fresh.identity, ..Observed::default() };
    for (number, name) in (9000..).zip(NODES) {
        let id = VmId::try_from(number).unwrap();
        observed.nodes.insert(name.to_owned(), Node { name: name.to_owned(), ..node.clone() });
        observed.vms.insert(id, VmObserved { id, ..template.clone().on(name) });
    }
    observed
}

/// The VM as an earlier run left it on a node, running.
fn made(node: &str) -> VmObserved {
    let uuid = "00000000-0000-4000-8000-000000001000";
    let record = Record {
        state: RecordState::Ready,
        uuid: Some(uuid.to_owned()),
        volumes: BTreeMap::from([("/data".to_owned(), format!("192.0.2.1:{DATA}"))]),
        ..Record::creating("default", vm())
    };
    let notes = encode_description(&with_record("", &record).unwrap());
    let conf = format!(
        "{notes}agent: enabled=1\nboot: order=scsi0\ncores: 1\nmemory: 1024\nname: web\n\
         net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nostype: l26\nscsi0: local-zfs:vm-1000-disk-0,size=3G\n\
         scsihw: virtio-scsi-pci\nsmbios1: uuid={uuid}\nsockets: 1\n"
    );
    VmObserved::from_conf(vm(), &conf, true).on(node)
}

/// Whether the VM is there, or is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vm {
    Made,
    New,
}

/// What is amiss on a node shows, with this code, where the VM is on that node; where it is on the other, nothing does.
#[track_caller]
fn check(code: &str, of: Vm, keys: &Value, amiss: impl Fn(&mut Observed, &str)) {
    let desired = desired(keys);
    let request = Request { snapshot: true, ..Request::default() };
    for (broken, on) in NODES.into_iter().flat_map(|broken| NODES.map(|on| (broken, on))) {
        // One that is there stays on its node, wherever new ones would be made.
        // What a node serves reaches only VMs of the target's own.
        let served = keys.get("volumes").is_some() || keys.get("features").is_some();
        let homes = if of == Vm::Made && !served { NODES.to_vec() } else { vec![on] };
        for here in homes {
            let mut observed = two_nodes(here);
            if of == Vm::Made {
                observed.vms.insert(vm(), made(on));
                observed.addresses.insert(vm(), GUEST.parse().unwrap());
            }
            for node in observed.nodes.values_mut() {
                node.exports = Export::parse("phoenix-1000.exports", &format!("{DATA} {GUEST}(rw,no_root_squash)\n"));
            }
            let problems = |observed: &Observed| {
                let plan = plan(&desired, observed, &request);
                assert_eq!(lint::lint(&plan, observed), Vec::<String>::new());
                plan.problems
            };
            let before = problems(&observed);
            assert!(before.iter().all(|problem| problem.code != code), "{code}: {before:?}");
            amiss(&mut observed, broken);
            let after = problems(&observed);
            if broken != on {
                assert_eq!(after, before, "{code}: `{broken}` is amiss, the VM is on `{on}`, `{here}` makes new ones");
                continue;
            }
            let Some(problem) = after.iter().find(|problem| problem.code == code) else {
                panic!("{code}: `{broken}` is amiss, and so is the VM on it: {after:?}");
            };
            // With two nodes, none is `the node`.
            assert!(!problem.message.contains("the node "), "{problem:?}");
        }
    }
}

/// Changes the node itself.
fn of(change: impl Fn(&mut Node)) -> impl Fn(&mut Observed, &str) {
    move |observed, node| change(observed.nodes.get_mut(node).unwrap())
}

/// Changes the template that is on the node.
fn of_template(change: impl Fn(&mut VmObserved)) -> impl Fn(&mut Observed, &str) {
    move |observed, node| {
        observed.vms.values_mut().filter(|live| live.template && live.node == node).for_each(&change);
    }
}

#[test]
fn a_node_is_asked_for_its_own_vms() {
    let plain = json!({});
    for state in [Vm::Made, Vm::New] {
        check(codes::UNKNOWN_BRIDGE, state, &plain, of(|node| node.bridges.clear()));
        check(codes::TOO_MUCH_MEMORY, state, &plain, of(|node| node.memory_mb = 1023));
        check(codes::TOO_MANY_CPUS, state, &json!({ "cpu_cores": 2 }), of(|node| node.cpus = 1));
        check(codes::NODE_OUT_OF_REACH, state, &plain, of(|node| node.online = false));
        check(codes::NODE_OUT_OF_REACH, state, &plain, |observed, node| _ = observed.nodes.remove(node));
    }
}

#[test]
fn sums_are_those_of_each_node() {
    let vms = json!([
        { "vm_id": 1000, "vm_name": "web", "memory_mb": 1000, "boot_disk_size_gb": 10 },
        { "vm_id": 1001, "vm_name": "db", "memory_mb": 1000, "boot_disk_size_gb": 10 }]);
    let desired = of_vms(&vms);
    for web in NODES {
        let mut observed = two_nodes("far");
        observed.vms.insert(vm(), made(web));
        for node in observed.nodes.values_mut() {
            node.memory_mb = 1500;
            node.storages.values_mut().for_each(|storage| storage.free = 15 << 30);
        }
        let plan = plan(&desired, &observed, &Request::default());
        let sums = [codes::MEMORY_OVERCOMMITTED, codes::STORAGE_SHORT];
        let told = plan.problems.iter().filter(|problem| sums.contains(&problem.code));
        let told: Vec<&str> = told.map(|problem| problem.message.as_str()).collect();
        let memory = "the declared VMs on node `far` need 2000 MiB of memory in total, node `far` has 1500 MiB";
        let storage = "storage `local-zfs` on node `far` has 15 GiB free, the plan needs 17 GiB";
        assert_eq!(told, if web == "far" { vec![storage, memory] } else { vec![] }, "`web` is on `{web}`");
    }
}

#[test]
fn storages_are_those_of_the_node() {
    for state in [Vm::Made, Vm::New] {
        let other = json!({ "boot_disk_storage": "local" });
        check(codes::UNUSABLE_STORAGE, state, &other, of(|node| _ = node.storages.remove("local")));
        check(
            codes::UNUSABLE_STORAGE,
            state,
            &other,
            of(|node| node.storages.get_mut("local").unwrap().active = false),
        );
        check(codes::STORAGE_SHORT, state, &other, of(|node| node.storages.get_mut("local").unwrap().free = 1));
    }
    let grown = json!({ "boot_disk_size_gb": 100 });
    check(codes::STORAGE_SHORT, Vm::Made, &grown, of(|node| node.storages.get_mut("local-zfs").unwrap().free = 1));
    let restarts = json!({ "cpu_cores": 3, "tags": ["a"], "network_model": "e1000" });
    let lvm = |node: &mut Node| "lvm".clone_into(&mut node.storages.get_mut("local-zfs").unwrap().kind);
    check(codes::NO_SNAPSHOT, Vm::Made, &restarts, of(lvm));
    check(codes::UNUSABLE_STORAGE, Vm::New, &json!({ "is_template": true }), of(lvm));
    let image = json!({ "cloud_image": { "source": "local:import/a.qcow2" } });
    check(codes::UNUSABLE_STORAGE, Vm::New, &image, of(|node| _ = node.storages.remove("local")));
}

/// A VM is made where its template is, which takes room there, and moves to its node.
#[test]
fn room_is_needed_on_the_way_too() {
    for short in NODES {
        let mut observed = two_nodes("far");
        observed.vms.retain(|_, live| live.node == "near");
        let storage = observed.nodes.get_mut(short).unwrap().storages.get_mut("local-zfs").unwrap();
        (storage.free, storage.thick) = (1 << 30, short == "near");
        let plan = plan(&desired(&json!({})), &observed, &Request::default());
        let found = plan.problems.iter().find(|problem| problem.code == codes::STORAGE_SHORT).unwrap();
        assert!(found.message.starts_with(&format!("storage `local-zfs` on node `{short}` has 1 GiB")), "{found:?}");
        assert_eq!(found.is_error(), short == "near", "{found:?}");
    }
}

#[test]
fn templates_are_those_of_the_node() {
    check(codes::AMBIGUOUS_TEMPLATE, Vm::New, &json!({}), |observed, node| {
        let id = VmId::try_from(9005).unwrap();
        let template = observed.vms.values().find(|live| live.template).unwrap().clone();
        observed.vms.insert(id, VmObserved { id, ..template.on(node) });
    });
    let linked = json!({ "full_clone": false });
    let moved = |live: &mut VmObserved| "local".clone_into(&mut live.boot_disk.as_mut().unwrap().storage);
    check(codes::LINKED_ELSEWHERE, Vm::New, &linked, of_template(moved));
    let large = |live: &mut VmObserved| live.boot_disk.as_mut().unwrap().size = Some(1 << 50);
    check(codes::DISK_SHRINKS, Vm::New, &json!({}), of_template(large));
}

#[test]
fn a_template_on_another_node_is_named_with_its_node() {
    let mut observed = two_nodes("far");
    observed.vms.retain(|_, live| live.node == "near");
    let said = |observed: &Observed| {
        let plan = plan(&desired(&json!({})), observed, &Request::default());
        let said: Vec<String> = plan.problems.iter().map(|problem| problem.message.clone()).collect();
        (said, plan.vms[0].actions.iter().any(|action| action.kind == ActionKind::Migrate))
    };
    assert_eq!(said(&observed), (Vec::new(), true), "it is cloned there, and moves");
    observed.nodes.get_mut("near").unwrap().online = false;
    let what = "template `ubuntu-22.04-cloud-template-v3` (9000) is on node `near`, which is not online";
    assert_eq!(said(&observed), (vec![what.to_owned()], false));
}

/// Whatever has the name, the address or the VMID is named with its node, if that is another one.
#[test]
fn what_is_on_another_node_is_named_with_it() {
    for node in NODES {
        let mut observed = two_nodes("near");
        let [other, old, taken] = [500, 501, 1000].map(|id| VmId::try_from(id).unwrap());
        let foreign = |id: VmId, conf: &str| VmObserved::from_conf(id, conf, false).on(node);
        observed.vms.insert(other, foreign(other, "name: web\nipconfig0: ip=192.0.2.50/24\n"));
        observed.vms.insert(old, foreign(old, "name: old\n"));
        observed.vms.insert(taken, foreign(taken, "name: theirs\n"));
        let vms = json!([
            { "vm_id": 1000, "vm_name": "mine" },
            { "vm_id": 1001, "vm_name": "web", "network_config": { "ip": "192.0.2.50/24" } },
            { "vm_id": 1002, "vm_name": "clone", "template_name": "old" }]);
        let plan = plan(&of_vms(&vms), &observed, &Request::default());
        let said = |code: &str| {
            let found = plan.problems.iter().find(|problem| problem.code == code);
            found.map(|problem| format!("{} {}", problem.message, problem.hint.clone().unwrap_or_default())).unwrap()
        };
        for code in [codes::NOT_OURS, codes::NAME_TAKEN, codes::ADDRESS_TAKEN, codes::UNKNOWN_TEMPLATE] {
            assert_eq!(said(code).contains("on node `far`"), node == "far", "{}", said(code));
        }
    }
}

/// One that takes calls and answers none is a reason of its own.
#[test]
fn a_node_that_does_not_answer_is_called_so() {
    for (silent, why, hint) in [
        (false, "is not online", "bring the node up, or"),
        (
            true,
            "does not answer, though the cluster counts it as online",
            "`systemctl restart pvedaemon pveproxy` on the node",
        ),
    ] {
        let mut observed = two_nodes("near");
        observed.vms.insert(vm(), made("far"));
        let far = observed.nodes.get_mut("far").unwrap();
        (far.online, far.silent) = (false, silent);
        let plan = plan(&desired(&json!({})), &observed, &Request::default());
        let [problem] = plan.problems.as_slice() else { panic!("{:?}", plan.problems) };
        assert_eq!(problem.message, format!("node `far`, on which the VM is, {why}"));
        assert!(problem.hint.as_ref().is_some_and(|said| said.contains(hint)), "{problem:?}");
    }
}

#[test]
fn volumes_and_exports_are_those_of_the_node() {
    let share = |path: &str| json!({ "volumes": [{ "type": "nfs", "share": "local-nfs", "path": path, "mount_point": "/data" }] });
    let mine = share("/1000");
    check(codes::EXPORT_ADDRESS, Vm::Made, &mine, of(|node| node.exports.clear()));
    check(codes::NO_NFS_SERVER, Vm::New, &mine, of(|node| node.nfs_server = false));
    for state in [Vm::Made, Vm::New] {
        let other = share("/other");
        check(codes::UNKNOWN_SHARE, state, &other, of(|node| _ = node.storages.remove("local-nfs")));
        check(
            codes::HOST_PATH,
            state,
            &other,
            of(|node| {
                let place = Place { real: "/etc".to_owned(), ..Place::default() };
                let paths = ["/srv/nfs/other", "/mnt/pve/local-nfs/other"];
                node.places.extend(paths.map(|path| (path.to_owned(), place.clone())));
            }),
        );
        check(
            codes::FILLS_NODE,
            state,
            &other,
            of(|node| {
                let place = Place { real: "/srv/nfs/other".to_owned(), on_root: true, ..Place::default() };
                node.places.insert(place.real.clone(), place);
            }),
        );
    }
    let full = |node: &mut Node| _ = node.directories.insert("/mnt/pve/local-nfs/other".to_owned(), 3);
    check(codes::DIRECTORY_IN_USE, Vm::New, &share("/other"), of(full));
    let featured = json!({ "features": ["base_setup"] });
    let deaf = |node: &mut Node| node.bridges.values_mut().for_each(|address| *address = None);
    check(codes::NO_NODE_ADDRESS, Vm::New, &featured, of(deaf));
}

#[test]
fn a_server_that_ended_is_the_vm_s_own() {
    let volume = json!({ "type": "nfs", "share": "local-nfs", "path": "/1000", "mount_point": "/data" });
    let desired = desired(&json!({ "volumes": [volume], "boot_disk_size_gb": 3 }));
    for ended in NODES {
        let mut observed = two_nodes("far");
        observed.vms.insert(vm(), made("far"));
        observed.nodes.get_mut(ended).unwrap().nfs_ended = true;
        let plan = plan(&desired, &observed, &Request::default());
        let exported = plan.vms[0].actions.iter().any(|action| action.reason == "the node's NFS server has ended");
        assert_eq!(exported, ended == "far", "ended on `{ended}`: {:?}", plan.vms[0].actions);
    }
}

#[test]
fn every_node_has_an_administrator() {
    let image = json!({ "cloud_image": { "source": "/images/a.qcow2", "sha256": "0".repeat(64) } });
    let desired = desired(&image);
    for on in NODES {
        let mut observed = two_nodes(on);
        let refused = |observed: &Observed| {
            let plan = plan(&desired, observed, &Request::default());
            plan.problems.iter().any(|problem| problem.code == codes::IMAGE_PATH)
        };
        for node in NODES {
            observed.nodes.get_mut(node).unwrap().allowed =
                Allowed { image_paths: vec!["/images".to_owned()], ..Allowed::default() };
            assert_eq!(refused(&observed), node != on && node == NODES[0], "allowed up to `{node}`, VM on `{on}`");
        }
    }
    let mut observed = two_nodes("near");
    observed.nodes.get_mut("far").unwrap().allowed = Allowed::broken("it is not JSON".to_owned());
    let plan = plan(&desired, &observed, &Request::default());
    let told = plan.problems.iter().find(|problem| problem.code == codes::ALLOW_FILE).unwrap();
    assert_eq!(told.message, "/etc/phoenix/allow.json of node `far` allows nothing: it is not JSON");
}

#[test]
fn what_is_asked_of_one_vm_is_asked_of_its_node() {
    use phoenix::plan::{Goal, Power};
    let desired = desired(&json!({}));
    for goal in [
        Goal::Destroy(vec![vm()]),
        Goal::Power { power: Power::Stop, vms: vec![vm()] },
        Goal::Forget(vec![vm()]),
        Goal::Rollback { to: None, vms: vec![vm()] },
    ] {
        let mut observed = two_nodes("near");
        observed.vms.insert(vm(), made("far"));
        observed.nodes.get_mut("far").unwrap().online = false;
        let plan = plan(&desired, &observed, &Request { goal, ..Request::default() });
        let told: Vec<_> = plan.problems.iter().map(|problem| (problem.code, problem.message.as_str())).collect();
        assert_eq!(told, [(codes::NODE_OUT_OF_REACH, "node `far`, on which the VM is, is not online")]);
        assert!(plan.vms.iter().all(|vm| vm.blocked));
        let (found, refused) = import::look(&[vm()].into(), &desired, &observed);
        assert!(found.is_empty() && refused.iter().all(|problem| problem.code == codes::NODE_OUT_OF_REACH));
    }
}
