//! The programs answer as the recordings of a real node do: same output, same exit status, one recording after the
//! other on the same VM, as they were made.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use phoenix::backend::embedded::Embedded;

use crate::scene::Scene;

impl Scene {
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

    /// Gives a VM the configuration that was recorded, with changes.
    fn put(&self, vm: u32, recording: &str, change: impl FnOnce(String) -> String) {
        self.write(&format!("qemu-server/{vm}.conf"), &change(Recording::read(recording).stdout));
    }

    fn volume(&self, path: &str, size: u64) {
        self.write(&format!("images/local-zfs/{path}"), &size.to_string());
    }

    #[track_caller]
    fn replay(&self, names: &[&str]) {
        for name in names {
            let recording = Recording::read(name);
            // The disk that one makes first lies there already.
            let command = recording.command.rsplit("qemu-img create").next().unwrap_or_default();
            let command = command.split_once("; }; ").map_or(recording.command.as_str(), |(_, command)| command);
            let output = self.shell(command);
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
        "40o-resize-invalid-diskname",
        "46-status",
        "49-agent-ping-stopped",
        "49b-guest-exec-stopped",
        "49c-agent-off",
        "49d-shutdown-stopped",
        "49e-stop-stopped",
    ]);
}

#[test]
fn templates_are_made_as_recorded() {
    let scene = Scene::recorded();
    scene.put(9000, "13d-template-conf-file", |conf| conf.replace("template: 1\n", "").replace("/base-", "/vm-"));
    scene.volume("9000/vm-9000-disk-0.qcow2", 1 << 30);
    scene.volume("9000/vm-9000-cloudinit.qcow2", 4 << 20);
    scene.replay(&["13-template", "13b-template-again", "13c-template-config", "14-pvesm-list", "13e-start-template"]);
    scene.put(201, "30e-conf-file", |conf| conf);
    assert!(scene.shell("qm start 201").status.success());
    scene.replay(&["68b-template-running"]);
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
    // One that loses its configuration but not a disk of which that knew nothing.
    scene.shell("qm clone 9000 402");
    scene.volume("402/vm-402-disk-9.qcow2", 1 << 30);
    scene.replay(&["79-destroy-leaves-unreferenced"]);
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

/// The keys of the first object in a list.
#[track_caller]
fn keys(json: &str) -> Vec<String> {
    let list: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(json).expect(json);
    list[0].keys().cloned().collect()
}

#[test]
fn json_has_the_keys_that_were_recorded() {
    let scene = Scene::recorded();
    scene.put(9000, "13d-template-conf-file", |conf| conf);
    scene.volume("9000/base-9000-disk-0.qcow2", 1 << 30);
    let same = |name: &str, command: &str| {
        let output = scene.shell(command);
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(keys(&String::from_utf8(output.stdout).unwrap()), keys(&Recording::read(name).stdout), "{name}");
    };
    let copy = |name: &str| same(name, &Recording::read(name).command);
    copy("48j-pvesh-node-storage");
    scene.shell("qm clone 9000 105");
    copy("48h-pvesh-qemu");
    scene.shell("qm destroy 105; qm clone 9000 101; qm set 101 --tags prod");
    copy("48b-pvesh-resources-type-vm");
    // A clone that goes on for as long as anybody looks.
    let node = Embedded::open(&scene.path("")).unwrap();
    let mut settings = node.settings().clone();
    settings.latency_ms = 60_000;
    node.save_settings(&settings).unwrap();
    let mut clone = scene.doubles.command("qm");
    let mut clone = clone.args(["clone", "9000", "431"]).spawn().unwrap();
    let running = || node.summary().unwrap().tasks.into_iter().find(|task| task.status.is_none());
    let task = loop {
        if let Some(task) = running() {
            break task;
        }
        assert!(clone.try_wait().unwrap().is_none(), "the clone has ended");
    };
    copy("100c-tasks-active-during-clone");
    let log = format!("pvesh get /nodes/vm/tasks/{}/log --limit 1 --output-format json", task.upid);
    same("100d-task-log-running-clone", &log);
    clone.kill().unwrap();
    clone.wait().unwrap();
    assert!(running().is_none());
    assert_eq!(scene.shell(&log).stdout, b"[{\"n\":1,\"t\":\"creating a clone of VM 9000 with ID 431\"}]\n");
}
