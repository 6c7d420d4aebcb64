//! The programs that stand in for Proxmox's own in tests: they answer as the recordings of a real node do
//! (`fixtures/proxmox/`), phoenix sees through them what it sees in the embedded node, and what shall go wrong does.

#[path = "support/doubles.rs"]
mod doubles;

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use doubles::Doubles;
use phoenix::backend::embedded::{Embedded, Settings};
use phoenix::hypervisor::{Effect, FaultKind, HostOp, Hypervisor as _};
use phoenix::model::VmId;
use tempfile::TempDir;

/// A node, and the programs on it.
struct Scene {
    dir: TempDir,
    doubles: Doubles,
}

impl Scene {
    fn new(tune: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Embedded::open(&dir.path().join("node")).unwrap();
        let mut settings = node.settings().clone();
        tune(&mut settings);
        node.save_settings(&settings).unwrap();
        let doubles = Doubles::new(&dir.path().join("node"));
        Self { dir, doubles }
    }

    /// A node as the recorded one: its name, CPUs and storages, and no VM.
    fn recorded() -> Self {
        let scene = Self::new(|settings| {
            "vm".clone_into(&mut settings.name);
            settings.cpus = 2;
        });
        scene.write("storage.cfg", &Recording::read("104g-storage-cfg").stdout);
        fs::remove_file(scene.path("qemu-server/9000.conf")).unwrap();
        fs::remove_dir_all(scene.path("images")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("node").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Gives a VM the configuration that was recorded, with changes.
    fn put(&self, vm: u32, recording: &str, change: impl FnOnce(String) -> String) {
        self.write(&format!("qemu-server/{vm}.conf"), &change(Recording::read(recording).stdout));
    }

    fn volume(&self, path: &str, size: u64) {
        self.write(&format!("images/local-zfs/{path}"), &size.to_string());
    }

    fn shell(&self, line: &str) -> Output {
        let line = line.replace("/etc/pve/", &format!("{}/", self.path("").display()));
        self.doubles.command("sh").args(["-c", &line]).output().unwrap()
    }

    fn faults(&self, faults: &str) {
        self.write("faults.json", faults);
    }

    #[track_caller]
    fn replay(&self, names: &[&str]) {
        for name in names {
            let recording = Recording::read(name);
            let output = self.shell(&recording.command);
            let of = |bytes: &[u8]| normal(&String::from_utf8_lossy(bytes));
            let answer = (output.status.code(), of(&output.stdout), of(&output.stderr));
            let expected = (Some(recording.status), normal(&recording.stdout), normal(&recording.stderr));
            assert_eq!(answer, expected, "{name}: {}", recording.command);
        }
    }
}

/// What was recorded of a command.
struct Recording {
    command: String,
    status: i32,
    stdout: String,
    stderr: String,
}

impl Recording {
    #[track_caller]
    fn read(name: &str) -> Self {
        let path = format!("{}/fixtures/proxmox/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).expect(name);
        let (command, rest) = text.split_once("\n# exit status: ").unwrap();
        let (status, rest) = rest.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("--- stdout ---\n").unwrap();
        let (stdout, stderr) = rest.split_once("--- stderr ---\n").unwrap();
        Self {
            command: command.strip_prefix("$ ").unwrap().to_owned(),
            status: status.parse().unwrap(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }
}

/// Makes generated MAC addresses, uuids and pids the same everywhere.
fn normal(text: &str) -> String {
    let line = |line: &str| {
        for (mark, length) in [("virtio=BC:24:11:", 8), ("smbios1: uuid=", 36), ("vmgenid: ", 36)] {
            if let Some(at) = line.find(mark).map(|at| at + mark.len()).filter(|at| line.len() >= at + length) {
                return format!("{}SAME{}", &line[..at], &line[at + length..]);
            }
        }
        if line.trim_start().starts_with("\"pid\" : ") { "   \"pid\" : SAME".to_owned() } else { line.to_owned() }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn options_are_set_as_recorded() {
    let scene = Scene::recorded();
    scene.put(101, "30e-conf-file", |conf| conf);
    scene.replay(&[
        "31-set-description",
        "31b-description-config",
        "31c-description-conf-file",
        "31e-set-description-empty",
        "31f-config",
        "31g-description-with-section",
        "31h-conf-file",
        "31i-config",
        "31j-set-description-plain",
        "32-tags-normal",
        "32b-tags-config",
        "32d-tags-invalid",
        "32e-tags-invalid2",
        "32f-tags-leading-dash",
        "32g-tags-empty",
        "32h-tags-after-empty",
        "32i-tags-reset",
        "33-set-net-generated-mac",
        "33b-set-net-keepmac",
        "33c-set-net-badbridge-format",
        "33d-set-net-badmodel",
        "33e-set-net-badmac",
        "34-set-delete",
        "34b-set-delete-absent",
        "34c-set-delete-unknown",
        "34d-set-delete-multi",
        "34e-set-and-delete-same",
        "34f-set-delete-required",
        "34g-config",
        "34h-set-same-value",
        "34i-set-nothing",
        "35-set-missing-vm",
        "35b-config-missing-vm",
        "35c-status-missing-vm",
        "35d-destroy-missing-vm",
        "35e-start-missing-vm",
        "36-set-unknown-option",
        "36b-set-bad-int",
        "36c-set-zero-cores",
        "36d-set-huge-cores",
        "36e-set-memory-huge",
        "36f-set-memory-small",
        "36g-set-memory-text",
        "36h-set-memory-current",
        "36i-memory-config",
        "36j-set-name-underscore",
        "36k-set-name-long",
        "36l-set-bad-agent",
        "36n-set-bad-cicustom",
        "36r-set-cores-and-bad",
        "36s-cores-unchanged",
        "37-digest-mismatch",
        "37b-digest-bad-length",
    ]);
    assert!(
        scene
            .shell("qm set 101 --cores 2 --digest $(sha1sum </etc/pve/qemu-server/101.conf | cut -c1-40)")
            .status
            .success()
    );
    scene.replay(&[
        "40-resize-rel",
        "40b-resize-alias",
        "40c-resize-same",
        "40d-resize-shrink",
        "40e-resize-missing-disk",
        "40f-resize-bad-size",
        "40g-resize-minus",
        "40h-resize-cdrom",
        "40i-resize-bytes",
        "40j-resize-frac",
        "40k-resize-M",
        "40l-resize-plus0",
        "40n-config",
        "46-status",
        "49-agent-ping-stopped",
        "49b-guest-exec-stopped",
        "49c-agent-off",
        "49d-shutdown-stopped",
        "49e-stop-stopped",
    ]);
}

#[test]
fn clones_are_made_and_removed_as_recorded() {
    let scene = Scene::recorded();
    scene.put(9000, "13d-template-conf-file", |conf| conf);
    scene.volume("9000/base-9000-disk-0.qcow2", 1 << 30);
    scene.volume("9000/vm-9000-cloudinit.qcow2", 4 << 20);
    scene.replay(&[
        "13e-start-template",
        "14-pvesm-list",
        "14c-pvesm-list-bad",
        "20-clone-full",
        "21-clone-linked",
        "21c-linked-with-storage",
        "22-clone-existing-vmid",
        "23-clone-missing-template",
        "24-clone-badstorage",
        "25-clone-badname",
        "25b-clone-noname",
        "25c-clone-noname-config",
        "25d-clone-nontemplate-linked",
        "25e-clone-nontemplate-default",
        "25f-clone-nontemplate-config",
        "25g-clone-vmid-100digits",
        "25h-clone-missing-newid",
        "26-destroy-template-with-linked",
        "38-locked-prepare",
        "38b-set-locked",
        "38c-start-locked",
        "38d-destroy-locked",
        "38e-resize-locked",
        "38f-clone-locked-source",
        "38g-config-locked",
        "38k-unlock",
        "39-protected",
        "39b-destroy-protected",
        "39c-resize-protected",
        "39e-unprotect",
        "50b-destroy-unreferenced",
        "50c-destroy-linked",
    ]);
    // One that lost its configuration but not its disk.
    scene.volume("402/vm-402-disk-9.qcow2", 1 << 30);
    scene.replay(&["79b-clone-onto-vmid-with-leftover-disk", "79c-config"]);
    assert!(scene.path("images/local-zfs/402/vm-402-disk-9.qcow2").exists());
    scene.replay(&["79d-destroy-unref", "79e-list"]);
    assert!(!scene.path("qemu-server/402.conf").exists() && scene.path("qemu-server/101.conf").exists());
}

#[test]
fn a_running_vm_answers_as_recorded() {
    let scene = Scene::recorded();
    scene.put(201, "66f-conf-file", |conf| conf.split_once("\n[PENDING]").unwrap().0.to_owned());
    scene.replay(&["61-start", "61d-start-running", "63-agent-ping", "64f-exec-utf8", "64j-exec-sync0"]);
    scene.write("processes/201/538", "");
    scene.replay(&["64k-exec-status-running"]);
    scene.write("processes/201/538", r#"{"code":0,"out":"done\n","err":""}"#);
    scene.replay(&[
        "64l-exec-status-done",
        "64m-exec-status-again",
        "64n-exec-status-badpid",
        "66-set-running-cores",
        "66b-config",
        "66c-config-current",
        "66f-conf-file",
        "66g-set-running-delete-pending",
        "66i-revert",
        "66k-set-back-value",
        "66l-set-to-current-value",
        "66n-set-running-name",
        "66o-set-running-tags-desc",
        "66q-set-running-memory",
        "66r-set-running-net-hotplug",
        "66s-set-running-net-badbridge",
        "66u-set-running-agent",
        "66v-agent-ping-after-pending-off",
        "66w-revert",
        "66x-unplug-net1",
        "66z-revert-unknown",
        "67-resize-running",
        "68-destroy-running",
        "69a-status",
        "69h-stop",
        "69i-status",
        "69g-agent-notrunning",
        "69f-start",
        "69k-revert-to-repair",
        "69l-start-after-repair",
        "69m-delete-net2",
        "69n-start",
    ]);
    // Text that is no ASCII comes out of the agent byte by byte.
    scene.write("processes/201/539", r#"{"code":null,"out":"ü","err":""}"#);
    let status = scene.shell("qm guest exec-status 201 539");
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("\"out-data\" : \"\u{c3}\u{bc}\"") && text.contains("\"signal\" : 9"), "{text}");
    let stopped =
        scene.shell("qm guest exec 201 --synchronous 0 -- true && qm shutdown 201 --timeout 60 && qm status 201");
    assert!(String::from_utf8_lossy(&stopped.stdout).ends_with("status: stopped\n"), "{stopped:?}");
    assert!(!scene.path("processes/201").exists(), "programs end with their VM");
}

#[test]
fn a_vm_that_boots_or_cannot_answers_as_recorded() {
    let scene = Scene::recorded();
    let with = |from: &'static str, to: &'static str| move |conf: String| conf.replace(from, to);
    scene.put(401, "30e-conf-file", with("memory: 1024", "memory: 99999999"));
    scene.put(402, "30e-conf-file", |conf| conf);
    scene.put(108, "30e-conf-file", |conf| conf);
    scene.replay(&["70-start-memory-over-host", "78-empty-value-name", "50-destroy"]);
    scene.put(401, "30e-conf-file", with("cores: 2", "cores: 4096"));
    scene.replay(&["70d-start-cores-over-host"]);
    let own = "bridge=vmbr0,firewall=1\nipconfig0: ip=10.99.0.31/24,gw=10.99.0.1";
    let conf = Recording::read("30e-conf-file").stdout.replace("bridge=vmbr0,firewall=1", own);
    let conf = conf
        .replace("ipconfig0: ip=10.99.0.101/24,gw=10.99.0.1\n", "")
        .replace("BC:24:11:23:CD:58", "BC:24:11:69:17:FC");
    scene.write("qemu-server/210.conf", &conf);
    assert!(scene.shell("qm start 210").status.success());
    scene.replay(&["103a-net-interfaces"]);
    let slow = Scene::new(|settings| settings.agent_delay_ms = 3_600_000);
    slow.put(201, "30e-conf-file", |conf| conf);
    slow.replay(&["61-start", "61c-agent-ping-booting", "69-shutdown-timeout-1", "69a-status"]);
}

#[test]
fn a_killed_clone_leaves_what_was_recorded() {
    let scene = Scene::recorded();
    let disk = "scsi0: local-zfs:9100/base-9100-disk-0.qcow2,size=596M\nscsihw";
    scene.put(9100, "105a-killed-clone-conf-file", |conf| {
        let plain = conf.lines().filter(|line| !line.starts_with('#') && !line.starts_with("lock"));
        let conf = plain.collect::<Vec<_>>().join("\n").replace("432", "9100").replace("scsihw", disk);
        conf.replace("vga", "template: 1\nvga") + "\n"
    });
    scene.faults(r#"[{"op":"clone","how":"die-halfway"}]"#);
    let description = r#"x <!-- phoenix {"v":1,"project":"default","vm":432,"state":"creating"} -->"#;
    let clone = format!("exec qm clone 9100 432 --name killed --full 1 --description '{description}'");
    assert_eq!(scene.shell(&clone).status.signal(), Some(9));
    scene.replay(&["105a-killed-clone-conf-file", "105d-killed-clone-volumes"]);
    let tasks = scene.shell("pvesh get /nodes/localhost/tasks --source active --output-format json");
    assert_eq!(String::from_utf8_lossy(&tasks.stdout), "[]\n");
    scene.replay(&[
        "105e-killed-clone-destroy",
        "105f-killed-clone-unlock",
        "105g-killed-clone-destroy",
        "105h-killed-clone-volumes-after",
    ]);
}

/// The plan that phoenix prints for a target, from the line behind the one that names it.
#[track_caller]
fn plan(scene: &Scene, target: &str) -> String {
    let mut phoenix = scene.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
    let output = phoenix.args(["plan", "--target", target]).current_dir(scene.dir.path()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{target}: {out}{}", String::from_utf8_lossy(&output.stderr));
    let (_, rest) = out.split_once("Target").and_then(|(_, rest)| rest.split_once('\n')).expect(&out);
    // What only an embedded node has to say.
    rest.replace("Embedded node: no real VM would change.\n", "")
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
    assert!(calls.contains(
        &["pvesh", "get", "/cluster/resources", "--type", "vm", "--output-format", "json"].map(str::to_owned).into()
    ));
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
    std::io::Write::write_all(&mut input, b"x").unwrap();
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
    assert!(Path::new(&scene.doubles.bin()).join("exportfs").is_file() && scene.shell("exportfs -ra").status.success());
}
