//! QEMU guests of the embedded node, as far as they can be seen without booting one. `tests/lab.rs` boots them.
//!
//! A machine runs as long as somebody holds its `log` locked: here the test itself stands for a QEMU.
#![cfg(unix)]

#[path = "support/executable.rs"]
mod executable;
mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pty_process::blocking;
use serde_json::Value;
use tempfile::TempDir;

const VM: &str = "agent: enabled=1\nboot: order=scsi0\ncores: 1\nide2: local-zfs:vm-1000-cloudinit,media=cdrom,size=4M\nmemory: 768\nname: web\nnet0: virtio=BC:24:11:00:6D:8F,bridge=vmbr0\nostype: l26\nscsi0: local-zfs:vm-1000-disk-0,size=1G\nsmbios1: uuid=a2406e7b-942a-40b2-b828-54019979f68e\n";

/// A directory with a node whose guests are QEMU's.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        scene.said(&["node", "init", "--guests", "qemu"], 0);
        scene
    }

    /// A node with one VM, whose disk has an image.
    fn with_vm() -> Self {
        let scene = Self::new();
        fs::write(scene.node("qemu-server/1000.conf"), VM).unwrap();
        fs::create_dir_all(scene.node("images/local-zfs/1000")).unwrap();
        fs::write(scene.node("images/local-zfs/1000/vm-1000-disk-0"), b"QFI\xFB and so on").unwrap();
        fs::create_dir_all(scene.node("qemu/1000")).unwrap();
        scene
    }

    /// Makes the VM one of phoenix's.
    fn own(&self) {
        let record = "#<!-- phoenix {\"v\"%3A1,\"project\"%3A\"default\",\"vm\"%3A1000,\"state\"%3A\"ready\",\"uuid\"%3A\"a2406e7b-942a-40b2-b828-54019979f68e\"} -->\n";
        fs::write(self.node("qemu-server/1000.conf"), format!("{record}{VM}")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn node(&self, name: &str) -> PathBuf {
        self.path(".phoenix/node").join(name)
    }

    /// A QEMU that lives and does nothing, until it is dropped.
    fn living(&self) -> File {
        let log = File::create(self.node("qemu/1000/log")).unwrap();
        log.lock().unwrap();
        let started = r#"{"at_ms":1,"ssh_port":2222,"accelerator":"tcg","memory_mb":768,"uuid":"u"}"#;
        fs::write(self.node("qemu/1000/started.json"), started).unwrap();
        log
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("PHOENIX_TARGET").env_remove("NO_COLOR");
        command
    }

    /// Runs phoenix and returns everything it printed.
    #[track_caller]
    fn said(&self, arguments: &[&str], code: i32) -> String {
        told(&self.command(arguments).output().unwrap(), code)
    }

    /// Starts the VM with another program in place of QEMU. `None`: with none at all.
    #[track_caller]
    fn start_with(&self, qemu: Option<&str>) -> String {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["setsid", "sh", "sleep"] {
            let found =
                ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(program)).into_iter().find(|path| path.exists());
            let _ = std::os::unix::fs::symlink(found.unwrap(), bin.join(program));
        }
        if let Some(qemu) = qemu {
            executable::executable(&bin.join("qemu-system-x86_64"), qemu);
        }
        let settings = self.node("node.json");
        let mut json: Value = serde_json::from_str(&fs::read_to_string(&settings).unwrap()).unwrap();
        json["accelerator"] = "tcg".into();
        fs::write(&settings, json.to_string()).unwrap();
        fs::write(self.path("phoenix_vm_configs.json"), CONFIG).unwrap();
        self.own();
        // Without QEMU the plan says so already.
        let code = if bin.join("qemu-system-x86_64").exists() { 6 } else { 1 };
        told(&self.command(&["start", "1000"]).env("PATH", bin).output().unwrap(), code)
    }
}

const CONFIG: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#;

#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[test]
fn a_vm_runs_as_long_as_its_qemu_lives_and_no_longer() {
    let scene = Scene::with_vm();
    let qemu = scene.living();
    // The pid is somebody else's, and nobody listens on the socket any more.
    fs::write(scene.node("qemu/1000/pid"), "1\n").unwrap();
    drop(UnixListener::bind(scene.node("qemu/1000/qmp")).unwrap());
    let shown = scene.said(&["node", "show"], 0);
    assert!(shown.contains("halted") && shown.contains("127.0.0.1:2222") && shown.contains(" ?"), "{shown}");
    let refused = scene.said(&["node", "show", "--guests", "simulated"], 1);
    assert!(refused.contains("VM 1000 runs"), "{refused}");
    drop(qemu);
    let shown = scene.said(&["node", "show"], 0);
    assert!(shown.contains("stopped") && !shown.contains("2222"), "{shown}");
    scene.said(&["node", "reset", "--auto-approve"], 0);
    assert!(!scene.path(".phoenix/node").exists());
}

#[test]
fn a_fresh_node_has_no_template_and_says_how_one_is_made() {
    let scene = Scene::new();
    fs::write(scene.path("phoenix_vm_configs.json"), CONFIG).unwrap();
    let plan = scene.said(&["plan"], 1);
    assert!(plan.contains("there is no template") && plan.contains("add-template NAME --image FILE"), "{plan}");
}

/// What such a node cannot do is said before anybody agrees to it.
#[test]
fn what_a_node_with_real_guests_does_not_do_is_told_by_the_plan() {
    let scene = Scene::with_vm();
    scene.own();
    let vm = |more: &str| {
        format!(
            r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web", "cpu_cores": 1, "memory_mb": 768{more} }}] }}"#
        )
    };
    let planned = |more: &str, words: &[&str], code: i32| {
        fs::write(scene.path("phoenix_vm_configs.json"), vm(more)).unwrap();
        scene.said(&[&["plan"], words].concat(), code)
    };
    let running = scene.living();
    let moved = planned(r#", "boot_disk_size_gb": 1, "boot_disk_storage": "local""#, &[], 1);
    assert!(moved.contains("does not move while its QEMU runs"), "{moved}");
    let network = planned(r#", "boot_disk_size_gb": 1, "network_model": "e1000""#, &[], 0);
    assert!(
        network.contains("network cards cannot change while the VM runs") && network.contains("waits for a restart"),
        "{network}"
    );
    let snapshot = planned(r#", "boot_disk_size_gb": 2"#, &["--snapshot"], 1);
    assert!(snapshot.contains("an embedded node with real guests takes no snapshots"), "{snapshot}");
    drop(running);
    let moved = planned(r#", "boot_disk_size_gb": 1, "boot_disk_storage": "local""#, &[], 0);
    assert!(moved.contains("move-disk") && !moved.contains("does not move"), "{moved}");
}

#[test]
fn what_keeps_a_guest_from_starting_is_told() {
    let scene = Scene::with_vm();
    let missing = scene.start_with(None);
    assert!(missing.contains("no program `qemu-system-x86_64`") && missing.contains("qemu-system-x86`"), "{missing}");
    let failing =
        scene.start_with(Some("#!/bin/sh\necho 'qemu: warning: old' >&2\necho 'qemu: no such thing' >&2\nexit 3\n"));
    assert!(failing.contains("QEMU exited with code 3") && failing.contains("no such thing"), "{failing}");
    assert!(!failing.contains("warning"), "{failing}");
    fs::write(scene.node("images/local-zfs/1000/vm-1000-disk-0"), "1073741824").unwrap();
    let empty = scene.start_with(None);
    assert!(empty.contains("has no image") && empty.contains("add-template NAME"), "{empty}");
    let shown = scene.said(&["node", "show"], 0);
    assert!(shown.contains("stopped"), "{shown}");
    // `tcg` in the node's settings needs no trial to be known.
    let plan = scene.command(&["plan"]).output().unwrap();
    assert!(String::from_utf8_lossy(&plan.stdout).contains("(QEMU guests, emulated)"), "{plan:?}");
}

#[test]
fn memory_of_the_node_is_not_given_twice() {
    let scene = Scene::with_vm();
    let _other = {
        fs::create_dir_all(scene.node("qemu/1001")).unwrap();
        let log = File::create(scene.node("qemu/1001/log")).unwrap();
        log.lock().unwrap();
        let started = r#"{"at_ms":1,"ssh_port":2,"accelerator":"tcg","memory_mb":99999999,"uuid":"u"}"#;
        fs::write(scene.node("qemu/1001/started.json"), started).unwrap();
        log
    };
    let full = scene.start_with(Some("#!/bin/sh\nexit 1\n"));
    assert!(full.contains("needs 768 MiB of memory, and 99999999 of the node's"), "{full}");
}

#[test]
fn images_that_are_no_disk_in_one_file_are_refused() {
    if !support::need("qemu-img", "qemu-utils") {
        return;
    }
    let scene = Scene::new();
    let make = |arguments: &[&str]| {
        let made = Command::new("qemu-img").args(arguments).current_dir(scene.dir.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    fs::write(scene.path("secret"), [7; 4096]).unwrap();
    make(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "secret", "backed.qcow2"]);
    make(&["create", "-q", "-f", "qcow2", "-o", "data_file=data", "outside.qcow2", "1M"]);
    make(&["create", "-q", "-f", "vmdk", "other.vmdk", "1M"]);
    make(&["create", "-q", "-f", "raw", "blank", "1M"]);
    for (image, why) in [
        ("backed.qcow2", "only a part of a disk, the rest lies in `secret`"),
        ("outside.qcow2", "its data lies in another file"),
        ("other.vmdk", "an image of format `vmdk`"),
        ("blank", "no boot signature"),
        ("secret", "no boot signature"),
        ("nowhere", "No such file"),
        (".", "not a file"),
    ] {
        let said = scene.said(&["node", "add-template", "debian", "--image", image], 1);
        assert!(said.contains(why), "{image}: {said}");
    }
    let shown = scene.said(&["node", "show"], 0);
    assert!(!shown.contains("debian") && !scene.node("images/local-zfs/9000").exists(), "{shown}");
    let simulated = scene.said(&["node", "add-template", "x", "--image", "blank", "--guests", "simulated"], 1);
    assert!(simulated.contains("--guests qemu"), "{simulated}");
}

/// What `qemu-img` says of the disk of a VM.
fn disk(scene: &Scene, vm: u32) -> Value {
    qemu_img_info(&scene.node(&format!("images/local-zfs/{vm}/vm-{vm}-disk-0")))
}

fn qemu_img_info(path: &Path) -> Value {
    let output = Command::new("qemu-img").args(["info", "--output=json"]).arg(path).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn clones_are_linked_unless_the_config_wants_a_copy() {
    if !support::need("qemu-img", "qemu-utils") || !support::need("qemu-system-x86_64", "qemu-system-x86") {
        return;
    }
    let scene = Scene::new();
    let mut sector = vec![0; 1 << 20];
    sector[510..512].copy_from_slice(&[0x55, 0xAA]);
    fs::write(scene.path("image"), sector).unwrap();
    let made = scene.said(&["node", "add-template", "debian", "--image", "image"], 0);
    assert!(made.contains("is VM 9000") && made.contains("a disk of 1M"), "{made}");
    let vm = r#""template_name": "debian", "boot_disk_size_gb": 2, "started": false"#;
    let config = format!(
        r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "a", {vm} }},
           {{ "vm_id": 1001, "vm_name": "b", "full_clone": true, {vm} }}] }}"#
    );
    fs::write(scene.path("phoenix_vm_configs.json"), &config).unwrap();
    let plan = scene.said(&["plan"], 0);
    assert!(plan.contains("9000, linked clone") && plan.contains("9000, full clone"), "{plan}");
    scene.said(&["apply", "--auto-approve"], 0);
    for (vm, base) in [(1000, Some("../9000/base-9000-disk-0")), (1001, None)] {
        let info = disk(&scene, vm);
        assert_eq!(info["virtual-size"], 2_u64 << 30);
        assert_eq!(info.get("backing-filename").and_then(Value::as_str), base, "{info}");
    }
    let again = scene.said(&["apply", "--auto-approve"], 0);
    assert!(again.contains("0 create, 0 update"), "{again}");

    // A disk that moves becomes a whole one.
    let config = config.replace("\"vm_name\": \"a\"", "\"vm_name\": \"a\", \"boot_disk_storage\": \"local\"");
    fs::write(scene.path("phoenix_vm_configs.json"), config).unwrap();
    scene.said(&["apply", "--auto-approve", "--delete-source"], 0);
    assert!(!scene.node("images/local-zfs/1000/vm-1000-disk-0").exists());
    let moved = scene.node("images/local/1000/vm-1000-disk-0.qcow2");
    let info = qemu_img_info(&moved);
    assert_eq!(info["virtual-size"], 2_u64 << 30);
    assert!(info.get("backing-filename").is_none(), "{info}");
}

#[test]
fn a_console_needs_a_terminal_and_a_guest_that_runs() {
    let scene = Scene::with_vm();
    let said = scene.said(&["console", "1000"], 4);
    assert!(said.contains("a console needs a terminal"), "{said}");
}

#[test]
fn a_console_hands_keys_on_and_shows_what_the_guest_writes() {
    let scene = Scene::with_vm();
    let _qemu = scene.living();
    let listener = UnixListener::bind(scene.node("qemu/1000/console")).unwrap();
    let (mut terminal, pts) = blocking::open().unwrap();
    let command = blocking::Command::new(env!("CARGO_BIN_EXE_phoenix"));
    let command = command.args(["console", "1000"]).current_dir(scene.dir.path()).env_remove("PHOENIX_TARGET");
    let mut child = command.spawn(pts).unwrap();
    let (mut guest, _) = listener.accept().unwrap();
    guest.write_all(b"login: ").unwrap();
    await_text(&mut terminal, "login: ");
    // Ctrl-C is the guest's.
    terminal.write_all(b"ls\x03").unwrap();
    let mut keys = [0; 3];
    guest.read_exact(&mut keys).unwrap();
    assert_eq!(&keys, b"ls\x03");
    terminal.write_all(b"\x0f").unwrap();
    await_text(&mut terminal, "the VM keeps running");
    assert!(child.wait().unwrap().success());
}

/// Reads what a terminal shows until it shows this.
#[track_caller]
fn await_text(terminal: &mut blocking::Pty, text: &str) {
    let mut shown = String::new();
    let mut piece = [0; 256];
    while !shown.contains(text) {
        let count = terminal.read(&mut piece).unwrap_or(0);
        assert!(count > 0, "it ended: {shown}");
        shown.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
}
