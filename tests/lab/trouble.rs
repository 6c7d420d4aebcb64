//! Guests that cannot become ready: each one is told with its reason, within its deadline, and nothing more is done to
//! it; what can be mended is, and the next apply goes on from there.
//!
//! One test, because booting is what takes the time: all of them boot at once.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{image, wanted};
use crate::run::{Run, Story, signal, soon};
use crate::support;

/// Its image has no guest agent.
const MUTE: u32 = 1000;
/// Its cloud-init fails.
const FAILS: u32 = 1001;
/// So does its, which it may; and the NFS server is gone when it comes to mount.
const WARNS: u32 = 1002;

/// How long the agent is waited for that is not there: longer than three guests take to boot at once.
const SILENCE: u64 = 150;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA lab";

/// A machine with a service that cloud-init cannot set up.
const UNLICENSED: &str = "runcmd: [ '[ -e /etc/licence ] || { echo no licence >&2; exit 3; }' ]\n";

fn user(key: &str) -> Value {
    json!({ "username": "tester", "ssh_authorized_keys": [key] })
}

#[test]
fn guests_that_cannot_become_ready() {
    let needed = [("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs"), ("socat", "socat"), ("debugfs", "e2fsprogs")];
    if !wanted() || !needed.iter().all(|(program, packages)| support::need(program, packages)) {
        return;
    }
    let mut story = Story::begin(json!({
        "vm_defaults": {
            "template_name": "unlicensed", "memory_mb": 512, "cpu_cores": 1, "boot_disk_size_gb": 4,
            "timeouts": { "guest_agent": 900, "cloud_init": 900 }, "features": ["base_setup"], "user_config": user(KEY)
        },
        "virtual_machines": [
            { "vm_id": MUTE, "vm_name": "mute", "template_name": "without-agent",
                "timeouts": { "guest_agent": SILENCE } },
            { "vm_id": FAILS, "vm_name": "fails" },
            { "vm_id": WARNS, "vm_name": "warns", "cloud_init_errors": "warn" }
        ]
    }));
    fs::write(story.lab.path("unlicensed.cfg"), UNLICENSED).unwrap();
    story.template("unlicensed", "cd /etc/cloud/cloud.cfg.d\nwrite unlicensed.cfg 95_unlicensed.cfg\n");
    story.template("without-agent", "rm /usr/sbin/qemu-ga\n");
    let run = story.meet_trouble();
    story.miss_the_agent(&run);
    story.stop_at_cloud_init(&run);
    story.miss_the_server(&run);
    story.mend();
}

impl Story {
    /// A template of the lab's image with something else in it, by orders to debugfs(8): that writes into a file system
    /// which is not mounted.
    #[track_caller]
    fn template(&self, name: &str, orders: &str) {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(self.lab.path("")).output().unwrap();
            assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        fs::write(self.lab.path("orders"), orders).unwrap();
        run("qemu-img", &["convert", "-O", "raw", image().to_str().unwrap(), "disk"]);
        // Where the partition begins.
        run("debugfs", &["-w", "-f", "orders", "disk?offset=1048576"]);
        self.lab.done(&["node", "add-template", name, "--image", "disk"]);
    }

    /// The NFS server stops between the export and the mount.
    #[track_caller]
    fn meet_trouble(&self) -> Run {
        let run = self.watched(&[], |event| {
            if event["event"] == "action_ended" && event["id"] == "1002/export-share" {
                signal("-STOP", &self.nfs_pid());
            }
        });
        assert_eq!(run.code, Some(6), "{run}");
        let mut failed = run.ids("action_failed");
        failed.sort_unstable();
        assert_eq!(failed, ["1000/await-agent", "1001/await-cloud-init", "1002/mount:/persistent-storage"], "{run}");
        run
    }

    /// The actions of a VM that were skipped.
    fn skipped(run: &Run, vm: u32) -> Vec<String> {
        let of = |id: String| id.strip_prefix(&format!("{vm}/")).map(ToOwned::to_owned);
        run.ids("action_skipped").into_iter().filter_map(of).collect()
    }

    #[track_caller]
    fn miss_the_agent(&self, run: &Run) {
        let (told, took) = run.told("1000/await-agent");
        for words in [&format!("no answer from the guest agent within {SILENCE} s"), "not installed", "console 1000"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(took < Duration::from_secs(SILENCE + 20), "{took:?}");
        let left = ["await-cloud-init", "prepare-share:/persistent-storage", "export-share"];
        let then = ["mount:/persistent-storage", "stage-scripts", "feature:base_setup", "record"];
        assert_eq!(Self::skipped(run, MUTE), [&left[..], &then].concat(), "{run}");
        // It is as the hint says: the guest has booted, and nobody answers.
        let console = self.lab.node().join("qemu/1000/console.log");
        soon("it has booted", 300, || String::from_utf8_lossy(&fs::read(&console).unwrap()).contains("mute login:"));
        assert!(self.lab.phoenix(&["status"]).out.contains("silent"));
    }

    #[track_caller]
    fn stop_at_cloud_init(&self, run: &Run) {
        let (told, _) = run.told("1001/await-cloud-init");
        for words in ["cloud-init failed: ", "scripts-user", "/var/log/cloud-init-output.log"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let left = ["prepare-share:/persistent-storage", "export-share", "mount:/persistent-storage"];
        let then = ["stage-scripts", "feature:base_setup", "record"];
        assert_eq!(Self::skipped(run, FAILS), [left, then].concat(), "{run}");
        let mut guest = self.guest(FAILS);
        assert_eq!(guest.sh("cloud-init status").out.trim(), "status: error");
        assert_eq!(guest.tells("grep -x 'no licence' /var/log/cloud-init-output.log"), "no licence");
        // Nothing more was done, neither there nor for it.
        assert_eq!(guest.sh("grep -r phoenix /etc/fstab /var/lib/phoenix").out, "");
        assert!(!self.on_node("etc/exports.d/phoenix-1001.exports").exists());
        assert!(!self.on_node("quickOS/vm-persistent-data/1001").exists());
    }

    #[track_caller]
    fn miss_the_server(&self, run: &Run) {
        let notices = run.notices("1002/await-cloud-init");
        let lets_pass = "cloud-init failed, which `cloud_init_errors` lets pass: ('scripts-user', ";
        assert!(notices.iter().any(|notice| notice.starts_with(lets_pass)), "{run}");
        let (told, took) = run.told("1002/mount:/persistent-storage");
        let server = "10.0.2.2:/quickOS/vm-persistent-data/1002: no answer from the NFS server within 90 s";
        for words in [server, "does it run"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(took < Duration::from_mins(2), "{took:?}");
        assert_eq!(Self::skipped(run, WARNS), ["stage-scripts", "feature:base_setup", "record"], "{run}");
        // Nothing hangs there.
        let mut guest = self.guest(WARNS);
        assert_eq!(guest.sh("ps -e -o comm= | grep mount").out, "");
        assert_eq!(guest.sh("findmnt -t nfs4").out, "");
    }

    /// The server is back, and the licence is there: what waited for them is done.
    #[track_caller]
    fn mend(&mut self) {
        signal("-CONT", &self.nfs_pid());
        self.guest(FAILS).tells("touch /etc/licence");
        // Its cloud-init runs again when it boots, which a new key is a reason for.
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxJhT2Ch3tyCsNVUP4gMhbAZF0sUvEEkCOPYcxXPx9m new";
        self.config["virtual_machines"][1]["user_config"] = user(key);
        let packages = Self::offer_packages(&mut self.guest(WARNS));
        if packages {
            self.config["virtual_machines"][2]["features"] = json!(["base_setup", "install_docker"]);
        }
        self.save();
        let run = self.apply(&["--restart", "--exclude", "mute"]);
        assert_eq!(run.code, Some(0), "{run}");
        let acted = run.acted();
        for id in ["1001/restart", "1001/feature:base_setup", "1002/mount:/persistent-storage", "1002/record"] {
            assert!(acted.iter().any(|acted| acted == id), "{id}: {run}");
        }
        let mut guest = self.guest(FAILS);
        assert_eq!(guest.tells("cloud-init status"), "status: done");
        assert!(guest.tells("cat ~tester/.ssh/authorized_keys").lines().any(|line| line == key));
        drop(guest);
        for vm in [FAILS, WARNS] {
            assert_eq!(self.guest(vm).tells("findmnt -rn -t nfs4 -o TARGET"), "/persistent-storage");
        }
        if packages {
            self.find_docker(WARNS, "warns");
        }
        self.lab.done(&["plan", "--detailed-exitcode", "--exclude", "mute"]);
    }
}
