//! The programs that stand in for Proxmox's own in tests: they answer as the recordings of a real node do
//! (`fixtures/proxmox/`), phoenix sees through them what it sees in the embedded node, and what shall go wrong does.

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/executable.rs"]
mod executable;
#[path = "doubles/recorded.rs"]
mod recorded;
#[path = "doubles/scene.rs"]
mod scene;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use phoenix::backend::embedded::{Embedded, Member};
use phoenix::hypervisor::{
    Effect, ExportEntry, FaultKind, FileOp, GuestStatus, HostFiles as _, HostOp, Hypervisor as _,
};
use phoenix::model::{Record, VmId};
use phoenix::observed::{ConfigWrite, with_record};
use scene::Scene;

/// The plan that phoenix prints for a target, from the line behind the one that names it.
#[track_caller]
fn plan(scene: &Scene, target: &str) -> String {
    let mut phoenix = scene.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
    let output = phoenix.args(["plan", "--target", target]).current_dir(scene.dir.path()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{target}: {out}{}", String::from_utf8_lossy(&output.stderr));
    let (_, rest) = out.split_once("Target").and_then(|(_, rest)| rest.split_once('\n')).expect(&out);
    // What only an embedded node has to say, and the hash, which names the node.
    let rest = rest.replace("Embedded node: no real VM would change.\n", "");
    rest.split_inclusive('\n').filter(|line| !line.starts_with("Plan hash ")).collect()
}

#[test]
fn phoenix_plans_the_same_through_the_programs() {
    let scene = Scene::new(|_| {});
    let config = |text: &str| fs::write(scene.dir.path().join("phoenix_vm_configs.json"), text).unwrap();
    let same = |says: &str| {
        let (embedded, real) = (plan(&scene, "embedded:node"), plan(&scene, "qm:"));
        assert_eq!(real, embedded);
        assert!(real.contains(says), "`{says}` is missing in:\n{real}");
    };
    config(include_str!("../phoenix_vm_configs.json"));
    same("Plan: 3 to create");
    let calls = scene.doubles.calls();
    assert!(
        calls.contains(&["pvesh", "get", "/nodes/pve/storage", "--output-format", "json"].map(str::to_owned).into())
    );
    scene.doubles.clear_calls();
    assert!(scene.doubles.calls().is_empty());
    let vm = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "memory_mb": 1024 }] }"#;
    config(vm);
    let mut create = scene.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
    create.args(["apply", "--auto-approve", "--target", "embedded:node"]).current_dir(scene.dir.path());
    let created = create.output().unwrap();
    assert!(created.status.success(), "{created:?}");
    same("");
    config(&vm.replace("1024", "2048"));
    same("memory");
    config(r#"{ "virtual_machines": [{ "vm_id": 1001, "vm_name": "next" }] }"#);
    same("1001");
    // Somebody else's, running and waiting for a restart.
    assert!(scene.shell("qm clone 9000 1002 --name theirs && qm start 1002 && qm set 1002 --cores 4").status.success());
    config(r#"{ "virtual_machines": [{ "vm_id": 1003, "vm_name": "theirs2" }] }"#);
    same("1003");
}

/// The calls of Proxmox's programs, `ip` and `ps` that a plan of a cluster of 16 nodes makes, sorted: how the own
/// storages are, what there is in the cluster, what runs in it; for VMs that are to be made what lies on each storage;
/// and the bridges of each node that a VM could go to. `ip` and `ps` start no Perl.
#[test]
fn a_plan_of_a_cluster_makes_a_call_more_for_each_node_that_a_vm_could_go_to() {
    let scene = Scene::new(|settings| {
        let bridges = std::collections::BTreeMap::from([("vmbr0".to_owned(), None)]);
        let member = Member {
            memory_mb: 65_536,
            cpus: 32,
            bridges,
            storage_gb: std::collections::BTreeMap::new(),
            online: true,
        };
        settings.nodes = (2..17).map(|n| (format!("pve{n}"), member.clone())).collect();
    });
    scene.doubles.keep_pid_files();
    for n in 2..17 {
        fs::create_dir_all(scene.path(&format!("nodes/pve{n}/qemu-server"))).unwrap();
    }
    let calls = |vms: &[serde_json::Value]| {
        let text = serde_json::json!({ "virtual_machines": vms }).to_string();
        fs::write(scene.dir.path().join("phoenix_vm_configs.json"), text).unwrap();
        scene.doubles.clear_calls();
        let says = plan(&scene, "qm:");
        let mut calls: Vec<String> = scene.doubles.calls().iter().map(|call| call.join(" ")).collect();
        calls.sort_unstable();
        (calls, says)
    };
    let vm = |id: u32, node: serde_json::Value| serde_json::json!({ "vm_id": id, "vm_name": format!("vm{id}"), "node": node, "memory_mb": 512 });
    let seven = [
        "ip -o -4 addr show",
        "ps -eo args=",
        "pvesh get /cluster/resources --output-format json",
        "pvesh get /cluster/tasks --output-format json",
        "pvesh get /nodes/pve/storage --output-format json",
        "pvesm list local --content images",
        "pvesm list local-zfs --content images",
    ];
    let network = |node: &str| format!("pvesh get /nodes/{node}/network --type any_bridge --output-format json");
    let expected = |nodes: &[&str]| {
        let mut all: Vec<String> =
            seven.iter().map(|call| (*call).to_owned()).chain(nodes.iter().map(|n| network(n))).collect();
        all.sort_unstable();
        all
    };
    let two = serde_json::json!(["pve3", "pve7"]);
    // Of one VM alone, storages are asked for its own volumes.
    let of_one = |calls: Vec<String>| -> Vec<String> {
        calls.into_iter().map(|call| call.replace(" --vmid 1000", "")).collect()
    };
    assert_eq!(of_one(calls(&[vm(1000, two.clone())]).0), expected(&["pve3", "pve7"]));
    let many: Vec<serde_json::Value> = (1000..1200).map(|id| vm(id, two.clone())).collect();
    let (made, says) = calls(&many);
    assert_eq!(made, expected(&["pve3", "pve7"]), "as many for 200 VMs as for one");
    assert!(says.contains("200 to create"), "{says}");
    let all: Vec<String> = (2..17).map(|n| format!("pve{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(calls(&[vm(1000, "any".into()), vm(1001, "any".into())]).0, expected(&all));
    // Where nothing is made, nothing is looked for on storages.
    assert_eq!(calls(&[]).0, seven[..5]);
    // Whether a VM can move is asked of each that is to, and of no other.
    let there = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/plan/cluster-moves-refused/1011.running.conf");
    fs::copy(there, scene.path("nodes/pve2/qemu-server/1011.conf")).unwrap();
    let question = "pvesh get /nodes/pve2/qemu/1011/migrate --target pve3 --output-format json".to_owned();
    for (node, question) in [("pve3", Some(question)), ("pve2", None)] {
        let mut expected: Vec<String> = seven[..5].iter().map(|call| (*call).to_owned()).collect();
        expected.extend([network(node)].into_iter().chain(question));
        expected.sort_unstable();
        assert_eq!(calls(&[vm(1011, node.into())]).0, expected);
    }
}

/// The guest of a VM that another process or the HA manager moved is asked where it is now; another VM is not taken for it.
#[test]
fn a_vm_that_moved_is_asked_on_its_new_node() {
    let scene = Scene::new(|settings| {
        let bridges = std::collections::BTreeMap::from([("vmbr0".to_owned(), None)]);
        let storage_gb = std::collections::BTreeMap::new();
        let member = Member { memory_mb: 65_536, cpus: 32, bridges, storage_gb, online: true };
        settings.nodes = ["pve2", "pve3"].map(|name| (name.to_owned(), member.clone())).into();
    });
    let config = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "node": "any" }] }"#;
    fs::write(scene.dir.path().join("phoenix_vm_configs.json"), config).unwrap();
    let mut create = scene.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
    create.args(["apply", "--auto-approve", "--target", "embedded:node"]).current_dir(scene.dir.path());
    assert!(create.output().unwrap().status.success());
    let vm = VmId::try_from(1000).unwrap();
    let confs = ["qemu-server/1000.conf", "nodes/pve2/qemu-server/1000.conf", "nodes/pve3/qemu-server/1000.conf"];
    let qm = scene.doubles.qm();
    qm.observe().unwrap();
    qm.guests().ping(vm).unwrap();
    let argv = ["/bin/true".to_owned()];
    // Away from the own node, between others, and back.
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let text = scene.read(confs[from]);
        scene.write(confs[to], &text);
        fs::remove_file(scene.path(confs[from])).unwrap();
        qm.guests().ping(vm).unwrap();
        qm.guests().start(vm, &argv, b"").unwrap();
    }
    let other = scene.read(confs[0]).replace("smbios1: uuid=", "smbios1: uuid=b");
    scene.write(confs[1], &other);
    fs::remove_file(scene.path(confs[0])).unwrap();
    assert_eq!(qm.guests().ping(vm).unwrap_err().kind, FaultKind::Missing);
}

/// A node is one node, looked at or recorded; and it is another one under another cluster's certificate.
#[test]
fn the_hash_is_that_of_the_node_and_not_of_the_way_to_it() {
    let scene = Scene::new(|_| {});
    let file = |name: &str, text: &str| fs::write(scene.dir.path().join(name), text).unwrap();
    file("phoenix_vm_configs.json", r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#);
    let run = |arguments: &[&str]| {
        let mut phoenix = scene.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
        let output = phoenix.args(arguments).current_dir(scene.dir.path()).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {out}{}", String::from_utf8_lossy(&output.stderr));
        out.lines().find_map(|line| line.strip_prefix("Plan hash ")).map(ToOwned::to_owned)
    };
    let live = || run(&["plan", "--target", "qm:"]).unwrap();
    file("node/pve-root-ca.pem", "one cluster");
    let one = live();
    assert_eq!(one.len(), 64);
    run(&["observe", "--target", "qm:", "--out", "recorded.json"]);
    assert_eq!(run(&["plan", "--against", "recorded.json"]), Some(one.clone()));
    file("node/pve-root-ca.pem", "another cluster");
    assert_ne!(live(), one);
    assert_eq!(run(&["plan", "--against", "recorded.json"]), Some(one));
}

/// What the back end for Proxmox says of a node through the programs is what the embedded one says itself.
#[test]
fn the_node_looks_the_same_through_the_programs() {
    let scene = Scene::new(|settings| _ = settings.bridges.insert("vmbr1".to_owned(), None));
    let (qm, node) = (scene.doubles.qm(), Embedded::open(&scene.path("")).unwrap());
    let vm = |number: u32| VmId::try_from(number).unwrap();
    let same = || {
        let mut observed = node.observe().unwrap();
        assert!(observed.identity.ends_with(scene.path("").canonicalize().unwrap().to_str().unwrap()));
        observed.identity.clear();
        let mut found = qm.observe().unwrap();
        // The kernel measures it, and the doubles start no VM that takes any.
        assert_eq!(found.own_node().memory_used_mb, Some(0));
        found.own_node_mut().memory_used_mb = observed.own_node().memory_used_mb;
        assert_eq!(found, observed);
        for id in [vm(1000), vm(1001), vm(9000)] {
            assert_eq!(qm.vm(id).unwrap(), node.vm(id).unwrap());
            assert_eq!(qm.cloning(id).unwrap(), node.cloning(id).unwrap());
            let (mut ours, mut theirs) = (qm.volumes(id).unwrap(), node.volumes(id).unwrap());
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs);
        }
    };
    let perform = |op: &HostOp| qm.perform(op, Duration::from_mins(1));
    let written = |op: &FileOp| qm.write(op, Duration::from_mins(1)).unwrap();
    same();
    let clone = |target: u32, storage: Option<&str>| HostOp::Clone {
        source: vm(9000),
        target: vm(target),
        name: "web".to_owned(),
        description: with_record("a: ü\nb", &Record::creating("default", vm(target))).unwrap(),
        storage: storage.map(str::to_owned),
        node: None,
    };
    perform(&clone(1000, Some("local"))).unwrap();
    perform(&clone(1001, None)).unwrap();
    same();
    let mut write = ConfigWrite::default();
    write.set.insert("tags".to_owned(), "b;a".to_owned());
    write.delete.insert("ipconfig0".to_owned());
    let digest = node.vm(vm(1000)).unwrap().unwrap().digest;
    let configure = HostOp::Configure { vm: vm(1000), write, digest };
    perform(&configure).unwrap();
    assert_eq!(perform(&configure).unwrap_err().kind, FaultKind::Stale);
    perform(&HostOp::Resize { vm: vm(1000), disk: "scsi0".to_owned(), size_gb: 20 }).unwrap();
    assert!(perform(&HostOp::Resize { vm: vm(1000), disk: "scsi0".to_owned(), size_gb: 10 }).is_err());
    perform(&HostOp::Start { vm: vm(1000) }).unwrap();
    written(&FileOp::MakeDirectory { path: "/quickOS/vm-persistent-data/1000".to_owned() });
    let own = qm.guests().addresses(vm(1000)).unwrap();
    let v4 = node.guests().addresses(vm(1000)).unwrap();
    assert!(v4.iter().all(|address| own.contains(address)), "{own:?}");
    let client = v4[1].address.unwrap().to_string();
    let entry = ExportEntry { path: "/quickOS/vm-persistent-data/1000".to_owned(), client };
    written(&FileOp::WriteExports { vm: vm(1000), entries: vec![entry] });
    assert_eq!(qm.exports(vm(1000)).unwrap(), node.exports(vm(1000)).unwrap());
    assert_eq!(qm.exports(vm(1000)).unwrap().len(), 1);
    // Those of other VMs do not matter to this one.
    assert!(qm.exports(vm(1001)).unwrap().is_empty() && node.exports(vm(1001)).unwrap().is_empty());
    same();
    let argv =
        ["/bin/sh", "-c", "text", "phoenix-mount", "192.0.2.1:/quickOS/vm-persistent-data/1000", "/data", "prove"];
    let pid = qm.guests().start(vm(1000), &argv.map(str::to_owned), b"").unwrap();
    let GuestStatus::Ended(exit) = qm.guests().status(vm(1000), pid).unwrap() else { panic!("still running") };
    assert_eq!((exit.code, exit.out.as_str()), (Some(0), "mounted\n"));
    assert!(qm.guests().status(vm(1000), pid).unwrap_err().what.contains("Invalid parameter 'pid'"));
    qm.guests().ping(vm(1000)).unwrap();
    assert_eq!(qm.guests().ping(vm(1001)).unwrap_err().kind, FaultKind::AgentDown);
    // A clone that was killed, and is removed by its own steps.
    scene.faults(r#"[{"op":"clone","how":"die-halfway"},{"op":"remove-leftover","how":"fail"}]"#);
    perform(&HostOp::RemoveLeftover { vm: vm(1001), unreferenced: true }).unwrap_err();
    perform(&HostOp::RemoveLeftover { vm: vm(1001), unreferenced: true }).unwrap();
    assert_eq!(perform(&clone(1001, None)).unwrap_err().effect, Effect::Maybe);
    same();
    perform(&HostOp::RemoveLeftover { vm: vm(1001), unreferenced: true }).unwrap();
    same();
    assert!(node.vm(vm(1001)).unwrap().is_none() && scene.read("faults.json") == "[]");
}

/// Runs a call to which something shall happen, and compares how it ended and whether it took effect.
#[track_caller]
fn check(fault: &str, status: (Option<i32>, Option<i32>), done: bool) {
    let scene = Scene::new(|_| {});
    scene.faults(&format!(r#"[{{"op":"configure","how":"{fault}"}}]"#));
    let output = scene.shell("exec qm set 9000 --cores 3");
    assert_eq!((output.status.code(), output.status.signal()), status, "{fault}: {output:?}");
    assert_eq!(scene.read("qemu-server/9000.conf").contains("cores: 3"), done, "{fault}");
    assert_eq!(scene.read("faults.json"), "[]", "{fault}");
    if status.1.is_some() {
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{fault}: {output:?}");
    } else {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "rehearsed failure\n", "{fault}");
    }
    assert!(scene.shell("qm set 9000 --cores 3").status.success(), "{fault} is over");
}

#[test]
fn what_shall_go_wrong_does() {
    let killed = (None, Some(9));
    check("fail", (Some(255), None), false);
    check("lose", killed, true);
    check("die-before", killed, false);
    check("die-early", killed, false);
    check("die-halfway", killed, false);
    check("die-after", killed, true);
}

#[test]
fn a_call_that_hangs_ends_at_its_deadline() {
    let scene = Scene::new(|_| {});
    scene.faults(r#"[{"op":"start","how":"hang"},{"op":"start","how":"hang"},{"op":"ping","how":"hang"}]"#);
    assert_eq!(scene.shell("timeout -s TERM 0.3 qm start 9000").status.code(), Some(124));
    let node = Embedded::open(&scene.path("")).unwrap();
    let vm = VmId::try_from(9000).unwrap();
    let fault = node.perform(&HostOp::Start { vm }, Duration::from_millis(20)).unwrap_err();
    assert_eq!((fault.kind, fault.effect), (FaultKind::TimedOut, Effect::Maybe));
    // Calls of the agent have no deadline in the embedded node: they say so at once.
    assert_eq!(node.guests().ping(vm).unwrap_err().kind, FaultKind::TimedOut);
    assert!(!scene.path("run/9000").exists());
}

#[test]
fn another_process_dies_and_the_operation_goes_on() {
    let scene = Scene::new(|_| {});
    for how in ["die-before", "die-early", "die-halfway", "die-after"] {
        let mut victim = scene.doubles.command("cat").stdin(Stdio::piped()).spawn().unwrap();
        scene.write("victim", &victim.id().to_string());
        scene.faults(&format!(r#"[{{"op":"clone","how":"{how}"}}]"#));
        let output = scene.shell("qm clone 9000 1000 --name web --full 1 --storage local && qm destroy 1000");
        assert!(output.status.success(), "{how}: {output:?}");
        assert_eq!(victim.wait().unwrap().signal(), Some(9), "{how}");
    }
}

#[test]
fn a_lost_answer_breaks_the_connections_of_a_server() {
    let scene = Scene::new(|_| {});
    let mut server = scene.doubles.command("sh");
    let server =
        server.args(["-c", "cat; echo broken"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    // Once it hands on a word, the program that stands for a connection is there.
    input.write_all(b"x").unwrap();
    let mut word = [0];
    let mut output = server.stdout.take().unwrap();
    output.read_exact(&mut word).unwrap();
    scene.write("sshd.pid", &server.id().to_string());
    scene.faults(r#"[{"op":"configure","how":"lose"}]"#);
    scene.shell("qm set 9000 --cores 3");
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), server.wait().unwrap().success()), ("broken\n", true));
    assert!(scene.read("qemu-server/9000.conf").contains("cores: 3"));
    drop(input);
}

#[test]
fn an_unknown_call_is_noticed() {
    let scene = Scene::new(|_| {});
    for line in ["qm list", "qm set 9000 --skiplock 1", "pvesh get /version", "pvesm status", "ip link", "ps aux"] {
        let output = scene.shell(line);
        assert_eq!(output.status.code(), Some(99), "{line}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("unknown call"), "{line}");
    }
    assert!(scene.doubles.bin().join("exportfs").is_file() && scene.shell("exportfs -ra").status.success());
}
