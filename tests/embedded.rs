//! Behaviour of the embedded node, held against recordings of the real Proxmox VE in `fixtures/proxmox/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use phoenix::backend::embedded::Embedded;
use phoenix::guest::{self, Program};
use phoenix::hypervisor::{
    Cloning, Effect, ExportEntry, Fault, FaultKind, FileOp, GuestExit, GuestStatus, HostFiles as _, HostOp, Hypervisor,
};
use phoenix::model::{Digest, GIB, Record, VmId};
use phoenix::observed::{Conf, ConfigWrite, with_record};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_mins(1);

fn id(number: u32) -> VmId {
    VmId::try_from(number).unwrap()
}

/// A fresh node that calls itself as the recorded one does and has as many CPUs.
fn node() -> (TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let node = tuned(dir.path(), |_| {});
    (dir, node)
}

fn tuned(dir: &Path, tune: impl FnOnce(&mut phoenix::backend::embedded::Settings)) -> Embedded {
    let node = Embedded::open(dir).unwrap();
    let mut settings = node.settings().clone();
    "vm".clone_into(&mut settings.name);
    settings.cpus = 2;
    tune(&mut settings);
    node.save_settings(&settings).unwrap();
    Embedded::open(dir).unwrap()
}

const VM: &str = "agent: enabled=1\nboot: order=scsi0\ncores: 2\nide2: local-zfs:vm-101-cloudinit,media=cdrom,size=4M\nipconfig0: ip=dhcp\nmemory: 768\nname: g1\nnet0: virtio=BC:24:11:00:6D:8F,bridge=vmbr0\nostype: l26\nscsi0: local-zfs:101/vm-101-disk-0.qcow2,discard=on,size=5G\nsmbios1: uuid=a2406e7b-942a-40b2-b828-54019979f68e\n";

fn put(dir: &TempDir, vm: u32, conf: &str) {
    fs::write(dir.path().join(format!("qemu-server/{vm}.conf")), conf).unwrap();
}

fn run(node: &Embedded, op: &HostOp) -> Result<(), Fault> {
    node.perform(op, MINUTE)
}

fn write(node: &Embedded, op: &FileOp) -> Result<(), Fault> {
    node.write(op, MINUTE)
}

fn clone_op(source: u32, target: u32, name: &str, storage: Option<&str>) -> HostOp {
    let record = Record::creating("default", id(target));
    HostOp::Clone {
        source: id(source),
        target: id(target),
        name: name.to_owned(),
        description: with_record("", &record).unwrap(),
        storage: storage.map(str::to_owned),
        node: None,
    }
}

/// The configuration file of a VM of a node.
fn text(node: &Embedded, vm: u32) -> String {
    let identity = node.observe().unwrap().identity;
    let dir = Path::new(&identity[identity.find('/').unwrap()..]);
    fs::read_to_string(dir.join(format!("qemu-server/{vm}.conf"))).unwrap()
}

/// `key=value` sets, `-key` deletes.
fn set_op(node: &Embedded, vm: u32, words: &[&str]) -> HostOp {
    let mut write = ConfigWrite::default();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => _ = write.set.insert(key.to_owned(), value.to_owned()),
            None => _ = write.delete.insert(word.trim_start_matches('-').to_owned()),
        }
    }
    let digest = node.vm(id(vm)).unwrap().map_or(Digest(String::new()), |vm| vm.digest);
    HostOp::Configure { vm: id(vm), write, digest }
}

fn set(node: &Embedded, vm: u32, words: &[&str]) -> Result<(), Fault> {
    run(node, &set_op(node, vm, words))
}

fn start(node: &Embedded, vm: u32) -> Result<(), Fault> {
    run(node, &HostOp::Start { vm: id(vm) })
}

fn resize(node: &Embedded, vm: u32, disk: &str, size_gb: u32) -> Result<(), Fault> {
    run(node, &HostOp::Resize { vm: id(vm), disk: disk.to_owned(), size_gb })
}

fn recording(name: &str) -> String {
    fs::read_to_string(format!("{}/fixtures/proxmox/{name}.txt", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What the real one said on stderr, without the usage that `qm` adds.
fn said(name: &str) -> String {
    let text = recording(name);
    let stderr = text.split_once("--- stderr ---\n").unwrap().1;
    let lines = stderr.lines().take_while(|line| !line.is_empty() && !line.starts_with("qm "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn refusals_are_those_of_proxmox() {
    let (dir, node) = node();
    put(&dir, 101, &VM.replace("memory", "onboot: 0\nmemory"));
    put(&dir, 106, &format!("{VM}lock: clone\nprotection: 1\n"));
    put(&dir, 201, VM);
    put(&dir, 202, &VM.replace("vmbr0", "vmbr99"));
    put(&dir, 401, &VM.replace("768", "99999999"));
    put(&dir, 402, &VM.replace("cores: 2", "cores: 4096"));
    put(&dir, 403, &VM.replace("enabled=1", "0"));
    start(&node, 201).unwrap();
    start(&node, 403).unwrap();
    let dns = clone_op(9000, 105, "bad_name", None);
    let many: Vec<(&str, Result<(), Fault>)> = vec![
        ("13e-start-template", start(&node, 9000)),
        ("22-clone-existing-vmid", run(&node, &clone_op(9000, 101, "dup", None))),
        ("23-clone-missing-template", run(&node, &clone_op(9999, 104, "x", None))),
        ("24-clone-badstorage", run(&node, &clone_op(9000, 104, "x", Some("nosuch")))),
        ("25-clone-badname", run(&node, &dns)),
        ("25d-clone-nontemplate-linked", run(&node, &clone_op(101, 107, "fromvm", None))),
        ("32d-tags-invalid", set(&node, 101, &["tags=has/slash"])),
        ("32e-tags-invalid2", set(&node, 101, &["tags=ok;b@d"])),
        ("32f-tags-leading-dash", set(&node, 101, &["tags=-x"])),
        ("33c-set-net-badbridge-format", set(&node, 101, &["net0=virtio,bridge="])),
        ("33d-set-net-badmodel", set(&node, 101, &["net0=foo,bridge=vmbr0"])),
        ("33e-set-net-badmac", set(&node, 101, &["net0=virtio=ZZ:24:11:00:00:01,bridge=vmbr0"])),
        ("34c-set-delete-unknown", set(&node, 101, &["-nosuchopt"])),
        ("34e-set-and-delete-same", set(&node, 101, &["cores=2", "-cores"])),
        ("34i-set-nothing", set(&node, 101, &[])),
        ("35-set-missing-vm", set(&node, 777, &["cores=2"])),
        ("35e-start-missing-vm", start(&node, 777)),
        ("36b-set-bad-int", set(&node, 101, &["cores=two"])),
        ("36c-set-zero-cores", set(&node, 101, &["cores=0"])),
        ("36f-set-memory-small", set(&node, 101, &["memory=8"])),
        ("36g-set-memory-text", set(&node, 101, &["memory=2G"])),
        ("36j-set-name-underscore", set(&node, 101, &["name=web_1"])),
        ("36r-set-cores-and-bad", set(&node, 101, &["cores=1", "tags=b@d"])),
        ("38b-set-locked", set(&node, 106, &["cores=2"])),
        ("38c-start-locked", start(&node, 106)),
        ("38e-resize-locked", resize(&node, 106, "scsi0", 9)),
        ("38f-clone-locked-source", run(&node, &clone_op(106, 107, "x", Some("local-zfs")))),
        ("40d-resize-shrink", resize(&node, 101, "scsi0", 1)),
        ("40e-resize-missing-disk", resize(&node, 101, "scsi9", 9)),
        ("40h-resize-cdrom", resize(&node, 101, "ide2", 9)),
        ("49-agent-ping-stopped", node.guests().ping(id(101))),
        ("49c-agent-off", node.guests().ping(id(403))),
        ("61d-start-running", start(&node, 201)),
        ("64m-exec-status-again", node.guests().status(id(201), 538).map(drop)),
        ("69f-start", start(&node, 202)),
        ("70-start-memory-over-host", start(&node, 401)),
        ("70d-start-cores-over-host", start(&node, 402)),
        ("71d-hotplug-bad", set(&node, 101, &["hotplug=foo"])),
        ("78-empty-value-name", set(&node, 101, &["name="])),
    ];
    let before = text(&node, 101);
    for (name, result) in many {
        let fault = result.expect_err(name);
        assert_eq!(fault.what, said(name), "{name}");
        assert_eq!(fault.effect, Effect::None, "{name}");
    }
    assert_eq!(text(&node, 101), before);
    assert!(node.observe().unwrap().cloning.is_empty());
}

#[test]
fn other_refusals() {
    let (dir, node) = node();
    put(&dir, 101, VM);
    let stale = HostOp::Configure {
        vm: id(101),
        write: ConfigWrite { set: BTreeMap::from([("cores".to_owned(), "1".to_owned())]), ..ConfigWrite::default() },
        digest: Digest("0".repeat(40)),
    };
    let fault = run(&node, &stale).unwrap_err();
    assert_eq!((fault.kind, fault.what), (FaultKind::Stale, said("37-digest-mismatch")));
    let no_images = run(&node, &clone_op(9000, 110, "x", Some("local-nfs"))).unwrap_err();
    assert_eq!(no_images.what, "storage 'local-nfs' does not support vm images");
    let cfg = fs::read_to_string(dir.path().join("storage.cfg")).unwrap();
    fs::write(dir.path().join("storage.cfg"), cfg.replace("sparse 1", "disable 1")).unwrap();
    let fault = run(&node, &clone_op(9000, 110, "x", Some("local-zfs"))).unwrap_err();
    assert_eq!(fault.what, "storage 'local-zfs' is disabled");
    fs::write(dir.path().join("storage.cfg"), cfg.replace("\tsparse 1\n", "")).unwrap();
    run(&node, &clone_op(9000, 110, "x", Some("local-zfs"))).unwrap();
    let fault = resize(&node, 110, "scsi0", 2000).unwrap_err();
    assert!(fault.what.contains("bytes free"), "{}", fault.what);
    resize(&node, 110, "scsi0", 1000).unwrap();
    assert!(run(&node, &clone_op(9000, 111, "x", Some("local-zfs"))).is_ok());
    resize(&node, 111, "scsi0", 30).unwrap_err();
}

#[test]
fn a_clone_has_an_identity_of_its_own() {
    let (dir, node) = node();
    let source = recording("71k-clone-carries");
    let (_, conf) = source.split_once("creating a clone of VM 403 with ID 404\n").unwrap();
    let (before, after) = conf.split_once("----\n").unwrap();
    let after = after.split_once("--- stderr").unwrap().0;
    put(&dir, 403, before);
    let HostOp::Clone { source, target, name, storage, .. } = clone_op(403, 404, "carries", Some("local-zfs")) else {
        panic!()
    };
    run(&node, &HostOp::Clone { source, target, name, description: String::new(), storage, node: None }).unwrap();
    let ours = text(&node, 404);
    let lines = |text: &str| -> Vec<String> {
        let own = |line: &&str| !line.starts_with("smbios1") && !line.starts_with("vmgenid");
        text.lines().filter(own).map(|line| line.trim_end().to_owned()).collect()
    };
    assert_eq!(lines(&ours), lines(after));
    assert_ne!(Conf::parse(&ours).get("smbios1"), Conf::parse(before).get("smbios1"));
    assert_ne!(Conf::parse(&ours).get("vmgenid"), Conf::parse(before).get("vmgenid"));
}

#[test]
fn clones_and_their_volumes() {
    let (_dir, node) = node();
    run(&node, &clone_op(9000, 1000, "full", Some("local"))).unwrap();
    run(&node, &clone_op(9000, 1001, "linked", None)).unwrap();
    run(&node, &clone_op(9000, 1002, "zfs", Some("local-zfs"))).unwrap();
    let volumes = |vm| node.volumes(id(vm)).unwrap().join(" ");
    assert_eq!(volumes(1000), "local:1000/vm-1000-cloudinit.qcow2 local:1000/vm-1000-disk-0.qcow2");
    assert_eq!(volumes(1002), "local-zfs:vm-1002-cloudinit local-zfs:vm-1002-disk-0");
    let linked = text(&node, 1001);
    assert!(linked.contains("scsi0: local-zfs:base-9000-disk-0/vm-1001-disk-0,discard=on,size=3G"), "{linked}");
    let vm = node.vm(id(1000)).unwrap().unwrap();
    let template = node.vm(id(9000)).unwrap().unwrap();
    assert_eq!(vm.boot_disk.as_ref().map(|disk| (disk.storage.as_str(), disk.size)), Some(("local", Some(3 * GIB))));
    assert_ne!(vm.uuid, template.uuid);
    assert_ne!(vm.net0.unwrap().mac, template.net0.unwrap().mac);
    assert!(!vm.template && vm.lock.is_none() && vm.record.valid().is_some());
    resize(&node, 1000, "scsi0", 50).unwrap();
    resize(&node, 1000, "scsi0", 50).unwrap();
    let storages = node.observe().unwrap().own_node().storages.clone();
    assert_eq!(storages["local"].free, 100 * GIB - 50 * GIB - (4 << 20));
    assert!(!storages["local-nfs"].images && !storages["local-zfs"].thick);
}

#[test]
fn pending_changes() {
    let (dir, node) = node();
    put(&dir, 201, VM);
    start(&node, 201).unwrap();
    set(&node, 201, &["cores=1"]).unwrap();
    assert_eq!(text(&node, 201), format!("{VM}\n[PENDING]\ncores: 1\n"));
    assert!(recording("66f-conf-file").contains("\n\n[PENDING]\ncores: 1\n"));
    let vm = node.vm(id(201)).unwrap().unwrap();
    assert_eq!((vm.cpu_cores, vm.pending["cores"].active.as_deref()), (1, Some("2")));
    set(&node, 201, &["cores=2"]).unwrap();
    assert_eq!(text(&node, 201), VM);
    set(&node, 201, &["name=g1-renamed", "tags=b;A b", "description=live", "onboot=yes", "-ipconfig0"]).unwrap();
    let now = text(&node, 201);
    assert!(now.starts_with("#live\nagent") && now.contains("\ntags: a;b\n") && now.contains("\nonboot: 1\n"), "{now}");
    let drive = "\n\n[special:cloudinit]\nipconfig0: ip=dhcp\nname: g1\n";
    assert!(!now.contains("PENDING") && now.matches("ipconfig0").count() == 1 && now.ends_with(drive), "{now}");
    set(&node, 201, &["memory=1024", "net1=virtio,bridge=vmbr0"]).unwrap();
    let fault = set(&node, 201, &["net2=virtio,bridge=vmbr99"]).unwrap_err();
    assert_eq!((fault.what.as_str(), fault.effect), (said("66s-set-running-net-badbridge").as_str(), Effect::Maybe));
    let now = text(&node, 201);
    assert!(now.contains("\nnet1: virtio=BC:24:11:"), "{now}");
    assert!(now.contains("\n\n[PENDING]\nmemory: 1024\nnet2: virtio=BC:24:11:"), "{now}");
    // What the cloud-init drive does not say yet.
    let drive = drive.replace("]\n", "]\nadded: net1\n");
    let recorded = drive.replace("ip=dhcp", "ip=10.99.0.21/24,gw=10.99.0.1");
    assert!(now.ends_with(&drive) && recording("66t-conf-file").contains(&recorded), "{now}");
    set(&node, 201, &["-net2", "-agent"]).unwrap();
    let waiting = format!("\n\n[PENDING]\ndelete: agent\nmemory: 1024\n{}", &drive[1..]);
    assert!(text(&node, 201).ends_with(&waiting), "{}", text(&node, 201));
    node.guests().ping(id(201)).unwrap();
    // As if it had been stopped: the next start takes everything over.
    fs::remove_file(dir.path().join("run/201")).unwrap();
    start(&node, 201).unwrap();
    let now = text(&node, 201);
    assert!(now.contains("memory: 1024") && !now.contains("agent") && !now.contains('['), "{now}");
}

#[test]
fn odd_lines_survive_every_write() {
    let (dir, node) = node();
    put(&dir, 101, "# a %C3%BC\nsomething odd\ncores: 2\r\nname: x\nzzz-unknown: 1\n\n[snap]\ncores: 1");
    set(&node, 101, &["cores=3", "tags=a", "-description"]).unwrap();
    let want = "something odd\ncores: 3\r\nname: x\ntags: a\nzzz-unknown: 1\n\n[snap]\ncores: 1";
    assert_eq!(text(&node, 101), want);
}

#[test]
fn net0_without_mac_gets_a_new_one_each_time() {
    let (dir, node) = node();
    put(&dir, 101, VM);
    let mac = || node.vm(id(101)).unwrap().unwrap().net0.unwrap().mac.unwrap();
    set(&node, 101, &["net0=virtio,bridge=vmbr0"]).unwrap();
    let first = mac();
    set(&node, 101, &["net0=virtio,bridge=vmbr0"]).unwrap();
    assert_ne!(mac(), first);
    assert!(first.starts_with("BC:24:11:"));
}

#[test]
fn several_users_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node");
    let patiently = |node: &Embedded, vm: u32, word: &str| loop {
        match set(node, vm, &[word]) {
            Err(fault) if fault.kind == FaultKind::Stale => {}
            done => return done.unwrap(),
        }
    };
    std::thread::scope(|scope| {
        for n in 0..8_u32 {
            let path = &path;
            scope.spawn(move || {
                let node = Embedded::open(path).unwrap();
                run(&node, &clone_op(9000, 1000 + n, "mine", Some("local-zfs"))).unwrap();
                let taken = run(&node, &clone_op(9000, 2000, "shared", None));
                assert!(taken.is_ok() || taken.unwrap_err().what.contains("already exists"));
                patiently(&node, 9000, &format!("ipconfig{n}=ip=dhcp"));
                node.observe().unwrap();
            });
        }
    });
    let node = Embedded::open(&path).unwrap();
    let all = node.observe().unwrap();
    assert_eq!(all.vms.len(), 10);
    assert!((0..8).all(|n| text(&node, 9000).contains(&format!("ipconfig{n}: ip=dhcp"))));
    assert!(all.vms.values().all(|vm| vm.lock.is_none()));
    assert_eq!(node.summary().unwrap().tasks.iter().filter(|t| t.status.as_deref() == Some("OK")).count(), 9);
}

#[test]
fn a_running_clone_is_seen_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let slow = tuned(dir.path(), |settings| settings.latency_ms = 400);
    let watcher = tuned(dir.path(), |settings| settings.latency_ms = 0);
    let (mut placeholder, mut filled) = (false, false);
    std::thread::scope(|scope| {
        let clone = scope.spawn(|| run(&slow, &clone_op(9000, 431, "busy", Some("local-zfs"))));
        while !clone.is_finished() {
            let seen = watcher.observe().unwrap();
            let Some(vm) = seen.vms.get(&id(431)).filter(|vm| vm.lock.is_some()) else { continue };
            assert!(seen.cloning.contains(&id(431)), "called left over while it runs: {vm:?}");
            placeholder |= vm.placeholder;
            filled |= vm.record.valid().is_some() && vm.boot_disk.is_none();
            let busy = run(&watcher, &HostOp::RemoveLeftover { vm: id(431), unreferenced: true });
            assert!(busy.is_err() || watcher.vm(id(431)).unwrap().is_none());
        }
        clone.join().unwrap().unwrap();
    });
    assert!(placeholder && filled);
    assert_eq!(watcher.cloning(id(431)).unwrap(), Cloning::No);
}

/// Clones in a process of its own, the real program, that a rehearsed failure kills.
fn killed_clone(dir: &Path, how: &str) {
    let fault = format!(r#"[{{ "op": "clone", "vm": 1000, "how": "{how}" }}]"#);
    fs::write(dir.join("faults.json"), fault).unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "killed" }] }"#).unwrap();
    let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    let phoenix = phoenix.arg("--config").arg(config.path()).args(["--target", "embedded:.", "create", "1000"]);
    let output = phoenix.current_dir(dir).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), None, "was not killed: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(dir.join("faults.json")).unwrap(), "[]");
}

#[test]
fn killed_clones_leave_what_proxmox_leaves() {
    let (dir, node) = node();
    for (how, locked, placeholder, volumes) in
        [("die-before", false, false, 0), ("die-early", true, true, 0), ("die-halfway", true, false, 2)]
    {
        killed_clone(dir.path(), how);
        let seen = node.observe().unwrap();
        let vm = seen.vms.get(&id(1000));
        assert_eq!(vm.is_some(), locked, "{how}");
        assert!(seen.cloning.is_empty() && !seen.unattributed_clone, "{how}");
        assert_eq!(node.volumes(id(1000)).unwrap().len(), volumes, "{how}");
        let Some(vm) = vm else { continue };
        assert_eq!((vm.placeholder, vm.record.valid().is_some()), (placeholder, !placeholder), "{how}");
        assert!(vm.lock.as_deref() == Some("clone") && vm.boot_disk.is_none());
        assert_eq!(start(&node, 1000).unwrap_err().kind, FaultKind::Busy);
        run(&node, &HostOp::RemoveLeftover { vm: id(1000), unreferenced: !placeholder }).unwrap();
        assert!(node.vm(id(1000)).unwrap().is_none());
        assert!(node.volumes(id(1000)).unwrap().is_empty());
        let tasks = node.summary().unwrap().tasks;
        assert!(tasks.iter().any(|task| task.status.as_deref() == Some("unexpected status")), "{tasks:?}");
    }
    killed_clone(dir.path(), "die-after");
    assert!(node.vm(id(1000)).unwrap().unwrap().lock.is_none());
    let fault = run(&node, &HostOp::RemoveLeftover { vm: id(1000), unreferenced: true }).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
}

#[test]
fn a_node_that_can_look_and_act_at_once_guards_itself() {
    let (dir, node) = node();
    put(&dir, 101, VM);
    let vm = id(101);
    let digest = Digest("0".repeat(40));
    let name = || "phoenix_1".to_owned();
    let ops = [
        HostOp::Destroy { vm, digest: digest.clone() },
        HostOp::Snapshot { vm, name: name(), description: String::new(), digest: digest.clone() },
        HostOp::Rollback { vm, name: name(), start: false, digest: digest.clone() },
        HostOp::Template { vm, disk: None, digest },
    ];
    let before = text(&node, 101);
    for op in ops {
        let fault = run(&node, &op).unwrap_err();
        assert_eq!((fault.kind, fault.effect), (FaultKind::Stale, Effect::None), "{op:?}: {fault:?}");
        assert_eq!(text(&node, 101), before, "{op:?}");
    }
}

#[test]
fn rehearsed_failures_fire_once() {
    let (dir, node) = node();
    put(&dir, 101, VM);
    let faults = r#"[{"op":"configure","vm":101,"how":"fail","skip":1},{"op":"configure","how":"lose"}]"#;
    fs::write(dir.path().join("faults.json"), faults).unwrap();
    let lost = set(&node, 101, &["cores=3"]).unwrap_err();
    assert_eq!((lost.kind, lost.effect), (FaultKind::Unreachable, Effect::Maybe));
    assert!(text(&node, 101).contains("cores: 3"));
    let failed = set(&node, 101, &["cores=4"]).unwrap_err();
    assert_eq!((failed.kind, failed.effect), (FaultKind::Failed, Effect::None));
    set(&node, 101, &["cores=4"]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("faults.json")).unwrap(), "[]");
}

fn program(node: &Embedded, vm: u32, argv: &[&str]) -> GuestExit {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    run_in_guest(node, vm, &Program { argv, input: Vec::new() })
}

fn run_in_guest(node: &Embedded, vm: u32, program: &Program) -> GuestExit {
    let pid = node.guests().start(id(vm), &program.argv, &program.input).unwrap();
    let GuestStatus::Ended(exit) = node.guests().status(id(vm), pid).unwrap() else { panic!("still running") };
    assert!(node.guests().status(id(vm), pid).is_err(), "a result can be read once");
    exit
}

fn script(node: &Embedded, words: &[&str]) -> GuestExit {
    program(node, 101, &[&["/bin/sh", "-c", "text"], words].concat())
}

#[test]
fn guests() {
    let (dir, node) = node();
    put(&dir, 101, VM);
    start(&node, 101).unwrap();
    node.guests().ping(id(101)).unwrap();
    let cloud_init = program(&node, 101, &["cloud-init", "status", "--format", "json"]);
    assert!(cloud_init.out.contains(r#""status":"done""#), "{}", cloud_init.out);
    let source = "192.0.2.1:/quickOS/vm-persistent-data/101";
    let mount = ["phoenix-mount", source, "/persistent-storage", "prove"];
    assert_eq!(script(&node, &mount).code, Some(32));
    let channel = "/quickOS/vm-persistent-data/101";
    write(&node, &FileOp::MakeDirectory { path: channel.to_owned() }).unwrap();
    // The directory is there, and nobody may mount it yet.
    assert!(script(&node, &mount).err.contains("access denied"));
    let own = node.guests().addresses(id(101)).unwrap().pop().unwrap();
    assert!(text(&node, 101).contains(&own.mac.to_uppercase()), "the address is that of net0");
    let export = |client: &str| FileOp::WriteExports {
        vm: id(101),
        entries: vec![ExportEntry { path: channel.to_owned(), client: client.to_owned() }],
    };
    assert!(write(&node, &export("*")).is_err(), "only addresses are exported to");
    write(&node, &export("192.0.2.250")).unwrap();
    assert!(script(&node, &mount).err.contains("access denied"), "exported to somebody else");
    write(&node, &export(&own.address.unwrap().to_string())).unwrap();
    assert_eq!(script(&node, &mount).out, "mounted\n");
    assert_eq!(script(&node, &mount).out, "already\n");
    let files = [("good.sh", "#!/bin/bash\necho hello\n"), ("bad.sh", "#!/bin/bash\nif true; then\n")];
    let stage = |source: &str, limit: usize| -> Vec<GuestExit> {
        let programs = guest::stage("/persistent-storage/.phoenix_scripts", source, &files, limit).unwrap();
        programs.iter().map(|program| run_in_guest(&node, 101, program)).collect()
    };
    for limit in [1000, 1 << 20] {
        let exits = stage(source, limit);
        assert!(exits.iter().all(|exit| guest::read_staged(exit).is_ok()), "{exits:?}");
        assert_eq!(exits.last().unwrap().out, "staged\n");
    }
    assert_eq!(stage("192.0.2.1:/elsewhere", 1 << 20)[0].code, Some(4), "what is mounted there is looked at");
    assert_eq!(fs::read_dir(dir.path().join("root").join(&channel[1..])).unwrap().count(), 1);
    let log = "/persistent-storage/.phoenix_logs/x.log";
    let feature = |name: &str, uuid: &str| {
        let file = format!("{name}.sh");
        script(
            &node,
            &[
                "phoenix-feature",
                name,
                "d1",
                uuid,
                "/persistent-storage/.phoenix_scripts",
                &file,
                "101",
                "g1",
                "60",
                log,
            ],
        )
    };
    // Behind how it ended stands what its log says.
    let asked = |name: &str, uuid: &str| script(&node, &["phoenix-feature-result", name, "d1", uuid, log]);
    let result = |name: &str, uuid: &str| asked(name, uuid).out.lines().next().unwrap_or_default().to_owned();
    assert_eq!(result("good", "u1"), "none");
    assert_eq!(feature("good", "u1").out, "started\n");
    assert_eq!(result("good", "u1"), "exit 0");
    assert_eq!(result("good", "u2"), "none");
    assert_eq!(feature("good", "u1").out, "finished\n");
    assert_eq!(feature("bad", "u1").out, "started\n");
    if Command::new("bash").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let bad = asked("bad", "u1");
        assert!(bad.out.starts_with("exit 2\n") && bad.out.contains("syntax error"), "{bad:?}");
    }
    assert_eq!(feature("absent", "u1").out, "started\n");
    assert_eq!(result("absent", "u1"), "exit 127");
    assert!(dir.path().join(format!("root{channel}/.phoenix_logs/x.log")).is_file());
    assert_eq!(script(&node, &["phoenix-unmount", source, "/persistent-storage"]).out, "unmounted\n");
    write(&node, &FileOp::WriteExports { vm: id(101), entries: vec![] }).unwrap();
    assert!(node.exports(id(101)).unwrap().is_empty());
    assert_eq!(script(&node, &["phoenix-unknown"]).code, Some(127));
    assert_eq!(program(&node, 101, &["reboot"]).code, Some(127));
    let late = tuned(dir.path(), |settings| settings.agent_delay_ms = 3_600_000);
    let fault = late.guests().ping(id(101)).unwrap_err();
    assert_eq!((fault.kind, fault.what), (FaultKind::AgentDown, said("61c-agent-ping-booting")));
}

#[test]
fn the_host_is_never_left() {
    let (dir, node) = node();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("root/link")).unwrap();
    for path in ["relative", "/a/../../../b", "/./a", "/link/a", "/link/a/b"] {
        assert!(write(&node, &FileOp::MakeDirectory { path: path.to_owned() }).is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_node_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/node");
    let node = Embedded::open(&path).unwrap();
    assert!(node.about().simulated);
    assert_eq!(node.observe().unwrap().templates_by_name()["ubuntu-22.04-cloud-template-v3"], [id(9000)]);
    assert_eq!(node.add_template("debian-13", 4).unwrap(), id(9001));
    assert!(node.add_template("debian-13", 4).unwrap_err().what.contains("exists already"));
    assert!(node.add_template("bad_name", 4).is_err() && node.add_template("empty", 0).is_err());
    let summary = node.summary().unwrap();
    assert_eq!(summary.vms.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>()[1], "debian-13");
    assert_eq!(summary.storages.keys().collect::<Vec<_>>(), ["local", "local-nfs", "local-zfs"]);
    assert!(Embedded::open(dir.path()).unwrap_err().what.contains("not empty"));
    assert!(Embedded::reset(dir.path()).is_err());
    fs::write(path.join("mine.txt"), "kept").unwrap();
    Embedded::reset(&path).unwrap();
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
    assert!(Embedded::open(&path).is_err(), "a directory with somebody's file is not taken over");
}

#[test]
fn a_leftover_goes_even_if_its_template_was_protected() {
    let (dir, node) = node();
    put(&dir, 106, &format!("{VM}lock: clone\nprotection: 1\n"));
    run(&node, &HostOp::RemoveLeftover { vm: id(106), unreferenced: true }).unwrap();
    assert_eq!(node.vm(id(106)).unwrap(), None);
}

/// Whether a VM can move is answered as it was recorded, but for the names of nodes and numbers of VMs.
#[test]
fn whether_a_vm_can_move_is_answered_as_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let bridges = BTreeMap::from([("vmbr0".to_owned(), None)]);
    let storage_gb = BTreeMap::new();
    let pve2 = phoenix::backend::embedded::Member { memory_mb: 4096, cpus: 2, bridges, storage_gb, online: true };
    let node = tuned(dir.path(), |settings| settings.nodes = BTreeMap::from([("pve2".to_owned(), pve2)]));
    let storages = dir.path().join("storage.cfg");
    let more = "\nlvmthin: thin\n\tvgname v\n\tcontent images\n\nzfs: odd\n\tpool p\n\tcontent images\n";
    fs::write(&storages, fs::read_to_string(&storages).unwrap() + more).unwrap();
    fs::create_dir(dir.path().join("mapping")).unwrap();
    fs::write(dir.path().join("mapping/directory.cfg"), "labdir\n\tmap node=vm,path=/srv/labdir\n\n").unwrap();
    let asked = |conf: &str| {
        put(&dir, 101, conf);
        node.preconditions(id(101), "pve2")
    };
    let free = r#"{"allowed_nodes":["pve2"],"local_disks":[],"local_resources":[],"mapped-resource-info":{},"mapped-resources":[],
        "running":0,"has-dbus-vmstate":1,"not_allowed_nodes":{"pve2":{}}}"#;
    let free: serde_json::Value = serde_json::from_str(free).unwrap();
    for (conf, differs) in [
        ("net0: virtio=BC:24:11:00:6D:8F,bridge=vmbr9\nserial0: socket\nusb0: spice\n", "{}"),
        (
            "scsi0: local-zfs:101/vm-101-disk-0.qcow2,size=64M\n",
            r#"{"local_disks":[{"volid":"local-zfs:101/vm-101-disk-0.qcow2","shared":0,"cdrom":0,"replicate":1,"is_tpmstate":0,"is_attached":1,"size":67108864,"is_unused":0,"drivename":"scsi0","is_vmstate":0,"is_cloudinit":0}]}"#,
        ),
        (
            "ide2: local:iso/a.iso,media=cdrom,size=350K\n",
            r#"{"local_disks":[{"cdrom":1,"shared":0,"is_vmstate":0,"is_unused":0,"is_tpmstate":0,"is_cloudinit":0,"size":358400,"volid":"local:iso/a.iso","is_attached":1,"replicate":1,"drivename":"ide2"}]}"#,
        ),
        (
            "ide2: none,media=cdrom\n\n[PENDING]\nide2: local:iso/a.iso,media=cdrom,size=350K\n",
            r#"{"local_disks":[{"shared":0,"is_vmstate":0,"cdrom":1,"is_unused":0,"is_cloudinit":0,"referenced_in_pending":1,"size":358400,"is_tpmstate":0,"drivename":"ide2","replicate":1,"volid":"local:iso/a.iso","is_attached":0}]}"#,
        ),
        (
            "ide2: local-zfs:101/vm-101-cloudinit.qcow2,media=cdrom\n",
            r#"{"local_disks":[{"drivename":"ide2","replicate":1,"is_unused":0,"volid":"local-zfs:101/vm-101-cloudinit.qcow2","is_attached":1,"shared":0,"is_cloudinit":1,"is_vmstate":0,"cdrom":1,"is_tpmstate":0}]}"#,
        ),
        (
            "unused0: local-zfs:101/vm-101-disk-9.raw\n",
            r#"{"local_disks":[{"is_cloudinit":0,"shared":0,"is_vmstate":0,"cdrom":0,"is_tpmstate":0,"replicate":1,"volid":"local-zfs:101/vm-101-disk-9.raw","is_unused":1,"is_attached":0}]}"#,
        ),
        (
            "scsi1: local-zfs:3322/vm-3322-disk-0.qcow2,size=1G\n\n[sn1]\nscsi1: local-zfs:3322/vm-3322-disk-0.qcow2,size=1G\nsnaptime: 7\n",
            r#"{"local_disks":[{"size":1073741824,"is_cloudinit":0,"is_tpmstate":0,"drivename":"scsi1","replicate":1,"is_attached":1,"volid":"local-zfs:3322/vm-3322-disk-0.qcow2","is_vmstate":0,"shared":0,"referenced_in_snapshot":{"sn1":1},"cdrom":0,"is_unused":0}]}"#,
        ),
        ("hostpci0: 0000:00:01.0\n", r#"{"local_resources":["hostpci0"]}"#),
        ("usb0: host=1-1\n", r#"{"local_resources":["usb0"]}"#),
        ("parallel0: /dev/parport0\n", r#"{"local_resources":["parallel0"]}"#),
        (
            "virtiofs0: labdir\n",
            r#"{"mapped-resources":["virtiofs0"],"mapped-resource-info":{"virtiofs0":{"name":"labdir"}},"allowed_nodes":[],"not_allowed_nodes":{"pve2":{"unavailable-resources":["virtiofs0"]}},"local_resources":["virtiofs0"]}"#,
        ),
    ] {
        let mut expected = free.clone();
        let differs: serde_json::Map<String, serde_json::Value> = serde_json::from_str(differs).unwrap();
        expected.as_object_mut().unwrap().extend(differs);
        assert_eq!(asked(conf).unwrap(), expected, "{conf}");
    }
    for (conf, refused) in [
        (
            "hostpci0: mapping=nosuch\n",
            "Can't use an undefined value as an ARRAY reference at /usr/share/perl5/PVE/QemuMigrate/Helpers.pm line 63.",
        ),
        ("lock: backup\n", "VM is locked (backup)"),
    ] {
        assert_eq!(asked(conf).unwrap_err().what, refused);
    }
    // What the task refuses that was recorded, too; of snapshots, linked clones and storages as the source has it.
    for (conf, refused) in [
        (
            "scsi0: thin:vm-101-disk-0,size=1G\n\n[sn1]\nscsi0: thin:vm-101-disk-0,size=1G\nsnaptime: 7\n",
            "can't migrate local disk 'thin:vm-101-disk-0': non-migratable snapshot exists",
        ),
        (
            "scsi0: local-zfs:base-9000-disk-0/vm-101-disk-0,size=1G\n",
            "can't migrate 'local-zfs:base-9000-disk-0/vm-101-disk-0' as it's a clone of 'base-9000-disk-0'",
        ),
        ("scsi0: odd:vm-101-disk-0,size=1G\n", "can't migrate 'odd:vm-101-disk-0' - storage type 'zfs' not supported"),
        ("virtiofs0: labdir\n", "can't migrate to 'pve2': missing mapped devices virtiofs0"),
        ("hostpci0: 0000:00:01.0\n", "can't migrate VM which uses local devices: hostpci0"),
        ("ide2: local:iso/a.iso,media=cdrom\n", "can't migrate local disk 'local:iso/a.iso': local cdrom image"),
        (
            "unused0: local-zfs:vm-101-disk-9\n",
            "can't migrate local disk 'local-zfs:vm-101-disk-9': volume 'local-zfs:vm-101-disk-9' does not exist",
        ),
    ] {
        put(&dir, 101, conf);
        let digest = node.vm(id(101)).unwrap().unwrap().digest;
        let op = HostOp::Migrate { vm: id(101), node: "pve2".to_owned(), online: false, digest };
        assert_eq!(run(&node, &op).unwrap_err().what, format!("migration aborted: {refused}"));
    }
}
