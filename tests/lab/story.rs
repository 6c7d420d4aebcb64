//! Two guests through their first days: made ready, left alone, changed, broken and mended.
//!
//! One test, because booting is what takes the time: each chapter finds the guests as the one before left them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::node::{image, wanted};
use crate::run::{Story, reset, signal, soon};
use crate::support;

const ALPHA: u32 = 1000;
const BETA: u32 = 1001;
const TEMPLATE: u32 = 9100;

#[test]
fn two_guests_through_their_first_days() {
    if !wanted() || !support::need("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs") || !support::need("socat", "socat") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = fs::read_to_string(root.join("fixtures/lab/phoenix_vm_configs.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["virtual_machines"][2]["cloud_image"]["source"] = json!(image().display().to_string());
    let mut story = Story::begin(config);
    for file in fs::read_dir(root.join("fixtures/lab/features")).unwrap().flatten() {
        fs::copy(file.path(), story.lab.path("features").join(file.file_name())).unwrap();
    }
    story.build();
    story.become_ready();
    story.stay_as_they_are();
    story.change();
    story.fail_and_mend();
    story.outlive_phoenix();
    story.lose_the_server();
    story.run_full();
    story.restart_from_inside();
    story.be_reset();
    story.run_again();
    story.fall_silent();
}

impl Story {
    /// The template is built of the image. It does not shut down at first, and is taken up again where it is.
    #[track_caller]
    fn build(&self) {
        let faults = json!([{ "op": "shutdown", "vm": TEMPLATE, "how": "fail" }]);
        fs::write(self.lab.node().join("faults.json"), faults.to_string()).unwrap();
        let run = self.apply(&[]);
        run.failure("9100/convert-to-template");
        assert!(run.ids("action_skipped").contains(&"1000/clone".to_owned()), "nobody is cloned from it yet: {run}");
        let mut guest = self.guest(TEMPLATE);
        let left =
            "cat /etc/machine-id; ls /etc/ssh/ssh_host_* /var/lib/phoenix /var/lib/cloud/instance 2>/dev/null; true";
        assert_eq!(guest.tells(left), "");
        assert_eq!(guest.sh("grep phoenix /etc/fstab").code, 1);
        assert_eq!(guest.tells("findmnt -rn -t nfs4; true"), "");
    }

    /// From nothing to ready: the template, and then two VMs that are cloned from it.
    #[track_caller]
    fn become_ready(&self) {
        let run = self.done();
        assert_eq!(run.features().iter().filter(|id| id.starts_with("9100/")).count(), 0, "they ran: {run}");
        let conf = fs::read_to_string(self.lab.node().join("qemu-server/9100.conf")).unwrap();
        assert!(conf.contains("template: 1") && conf.contains("base-9100-disk-0"), "{conf}");
        let own = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub";
        let [alpha, beta] = [ALPHA, BETA].map(|vm| self.guest(vm).tells(own));
        assert!(alpha.lines().zip(beta.lines()).all(|(a, b)| a != b), "{alpha}\n{beta}");
        assert_eq!((alpha.lines().count(), alpha.lines().next().unwrap().len()), (2, 32), "{alpha}");
        for (vm, name, cpus) in [(ALPHA, "alpha", "2"), (BETA, "beta", "1")] {
            let mut guest = self.guest(vm);
            assert_eq!(guest.tells("hostname"), name);
            assert_eq!(guest.tells("nproc"), cpus);
            let kib: u64 = guest.tells("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").parse().unwrap();
            assert!((690..768).contains(&(kib / 1024)), "{kib} KiB");
            let root: u64 = guest.tells("df --output=size -m / | tail -1").parse().unwrap();
            assert!((3700..4096).contains(&root), "{root} MiB");
            assert!(guest.tells("cat ~tester/.ssh/authorized_keys").ends_with(" lab"));
            assert_eq!(guest.tells("cloud-init status"), "status: done");
            assert_eq!(guest.tells("cat /var/lib/lab-ran"), format!("lab_first {vm} {name}\nlab_second {vm} {name}"));
            assert_eq!(guest.tells("cat /var/lib/phoenix/runs/*/exit"), "000");
            assert_eq!(
                guest.tells("ls /persistent-storage/.phoenix_logs"),
                "base_setup.log\nlab_first.log\nlab_second.log"
            );
            let context = guest.tells("cat /persistent-storage/.phoenix_scripts/vm_context.json");
            let context: Value = serde_json::from_str(&context).unwrap();
            assert_eq!((&context["vm_id"], &context["vm_name"]), (&json!(vm), &json!(name)));
        }
        let mounts = "findmnt -rn -t nfs4 -o SOURCE,TARGET | sort";
        let alpha = "10.0.2.2:/srv/nfs/alpha /persistent-storage\n10.0.2.2:/srv/nfs/data /srv/data";
        assert_eq!(self.guest(ALPHA).tells(mounts), alpha);
        let beta = "10.0.2.2:/quickOS/vm-persistent-data/1001 /persistent-storage";
        assert_eq!(self.guest(BETA).tells(mounts), beta);
        let mut guest = self.guest(BETA);
        assert!(guest.tells("findmnt -n -o OPTIONS /persistent-storage").contains("vers=4.1"));
        assert!(guest.tells("cat /etc/fstab").contains(&format!("{beta} nfs rw,hard,noatime,nofail,_netdev 0 0")));
        // What the guest wrote lies on the node, byte for byte.
        let sum = guest.tells("cat /var/lib/lab-sum");
        let written = self.on_node("quickOS/vm-persistent-data/1001/from-the-guest");
        let output = Command::new("sha256sum").stdin(fs::File::open(written).unwrap()).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(&sum));
        // Nobody gets at the other's volumes, by whatever way.
        for way in ["10.0.2.2:/srv/nfs/alpha", "-o port=2049 10.0.2.2:/srv/nfs/data"] {
            assert_ne!(guest.sh(&format!("timeout 60 mount -t nfs -o vers=4.1,retry=0 {way} /mnt")).code, 0, "{way}");
        }
    }

    /// A second apply has nothing to do, and nobody to ask.
    #[track_caller]
    fn stay_as_they_are(&self) {
        let sockets = [ALPHA, BETA].map(|vm| self.lab.node().join(format!("qemu/{vm}/agent")));
        for socket in &sockets {
            fs::rename(socket, socket.with_extension("away")).unwrap();
        }
        let run = self.done();
        assert_eq!(run.acted(), [""; 0], "{run}");
        assert_eq!(run.ids("action_started"), [""; 0], "{run}");
        for socket in &sockets {
            fs::rename(socket.with_extension("away"), socket).unwrap();
        }
    }

    /// What changed is done, and nothing else.
    #[track_caller]
    fn change(&mut self) {
        self.script("lab_second", "echo second again >>/var/lib/lab-ran");
        let run = self.done();
        let mut features = run.features();
        features.sort_unstable();
        assert_eq!(features, ["1000/feature:lab_second", "1001/feature:lab_second"], "{run}");
        assert!(self.guest(BETA).tells("cat /var/lib/lab-ran").ends_with("lab_second 1001 beta\nsecond again"));

        let alpha = &mut self.config["virtual_machines"][0];
        alpha["description"] = json!("another one");
        alpha["boot_disk_size_gb"] = json!(5);
        alpha["memory_mb"] = json!(896);
        alpha["volumes"].as_array_mut().unwrap().pop();
        self.save();
        let run = self.apply(&["--detailed-exitcode"]);
        assert_eq!(run.code, Some(8), "memory waits for a restart: {run}");
        assert!(run.acted().iter().all(|id| id.starts_with("1000/") && !id.contains("feature")), "{run}");
        let mut guest = self.guest(ALPHA);
        assert_eq!(guest.tells("findmnt -rn -t nfs4 -o TARGET"), "/persistent-storage");
        assert_eq!(guest.sh("grep /srv/data /etc/fstab").code, 1);
        assert!(guest.tells("cat /persistent-storage/.phoenix_scripts/vm_context.json").contains("another one"));
        assert_eq!(guest.tells("cat /sys/block/sda/size"), (5_u64 << 21).to_string());
        let root: u64 = guest.tells("df --output=size -m / | tail -1").parse().unwrap();
        assert!(root > 4700, "{root} MiB");
        assert!(self.lab.done(&["plan"]).contains("memory"), "it still waits");
    }

    /// A script that fails stops its own guest alone.
    #[track_caller]
    fn fail_and_mend(&self) {
        self.script("lab_first", "[ \"$PHOENIX_VM_NAME\" = alpha ] || { echo one; echo two >&2; exit 3; }");
        self.script("lab_second", "echo second for the third time >>/var/lib/lab-ran");
        let run = self.apply(&[]);
        let told = run.failure("1001/feature:lab_first");
        for word in ["3", "one\ntwo", "/persistent-storage/.phoenix_logs/lab_first.log"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(run.ids("action_skipped").contains(&"1001/feature:lab_second".to_owned()), "{run}");
        assert!(run.acted().contains(&"1000/feature:lab_second".to_owned()), "{run}");
        self.script("lab_first", ":");
        let run = self.done();
        let mut features = run.features();
        features.sort_unstable();
        let wanted = ["1000/feature:lab_first", "1001/feature:lab_first", "1001/feature:lab_second"];
        assert_eq!(features, wanted, "{run}");
    }

    /// phoenix is killed and the agent restarted while a script runs: it runs once, to its end.
    #[track_caller]
    fn outlive_phoenix(&self) {
        self.script(
            "lab_second",
            "echo begun\nsystemctl restart qemu-guest-agent\n\
             until [ -e /persistent-storage/go-on ]; do sleep 1; done\necho once >>/var/lib/lab-once",
        );
        let log = self.on_node("quickOS/vm-persistent-data/1001/.phoenix_logs/lab_second.log");
        let order = ["apply", "--auto-approve", "--only", "beta"];
        let mut first: Child = self.lab.command(&order).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        soon("the script runs", 120, || fs::read_to_string(&log).is_ok_and(|log| log.contains("begun")));
        first.kill().unwrap();
        first.wait().unwrap();
        let second = self.lab.command(&[&order[..], &["--json"]].concat()).stdout(Stdio::piped()).spawn().unwrap();
        // It found the script at work, and waits for it.
        fs::write(self.on_node("quickOS/vm-persistent-data/1001/go-on"), "").unwrap();
        let output = second.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(self.guest(BETA).tells("cat /var/lib/lab-once"), "once");
        fs::write(self.on_node("mnt/pve/local-nfs/alpha/go-on"), "").unwrap();
        self.done();
        assert_eq!(self.guest(ALPHA).tells("cat /var/lib/lab-once"), "once");
    }

    /// The NFS server dies: the plan says so, apply starts it, and the guests go on with what they have mounted.
    #[track_caller]
    fn lose_the_server(&self) {
        signal("-KILL", &self.nfs_pid());
        soon("it is gone", 20, || self.lab.done(&["node", "show"]).contains("guests need it"));
        assert!(self.lab.done(&["plan"]).contains("export-share"));
        // Without its program it is told what to install, before anything is done.
        let path = self.lab.path("empty");
        fs::create_dir_all(&path).unwrap();
        let output = self.lab.command(&["plan"]).env("PATH", &path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("ganesha.nfsd") && told.contains("apt install nfs-ganesha"), "{told}");
        let run = self.done();
        let mut acted = run.acted();
        acted.sort_unstable();
        assert_eq!(acted, ["1000/export-share", "1001/export-share"], "{run}");
        let mut guest = self.guest(BETA);
        assert_eq!(guest.tells("timeout 120 cat /persistent-storage/go-on; echo still there"), "still there");
    }

    /// The guest's disk is full.
    #[track_caller]
    fn run_full(&self) {
        let full = "fallocate -l $(df --output=avail -k / | tail -1 | tr -d ' ')K /var/lib/lab-full";
        self.guest(BETA).sh(&format!("{full}; cat /dev/zero >>/var/lib/lab-full; sync"));
        self.script("lab_first", "dd if=/dev/zero of=/var/lib/lab-more bs=1M count=8");
        let run = self.apply(&["--only", "beta"]);
        let told = run.failure("1001/feature:lab_first");
        assert!(told.contains("No space left on device"), "{told}");
        self.guest(BETA).tells("rm /var/lib/lab-full");
        self.done();
    }

    /// A script restarts its guest, which is told; the mounts come back by themselves.
    #[track_caller]
    fn restart_from_inside(&self) {
        self.script(
            "lab_second",
            "[ $PHOENIX_VM_NAME = alpha ] || [ -e /var/lib/lab-restarted ] || { touch /var/lib/lab-restarted; reboot; sleep 600; }",
        );
        let run = self.apply(&["--only", "beta"]);
        let told = run.failure("1001/feature:lab_second");
        assert!(told.contains("restarted"), "{told}");
        let mut guest = self.guest(BETA);
        soon("the volume is mounted", 300, || guest.sh("mountpoint -q /persistent-storage").code == 0);
        assert_eq!(guest.tells("findmnt -n -o FSTYPE /persistent-storage"), "nfs4");
        drop(guest);
        self.done();
    }

    /// Somebody resets a guest: it comes back with its mounts by itself, and there is nothing to do.
    #[track_caller]
    fn be_reset(&self) {
        let boot = "cat /proc/sys/kernel/random/boot_id";
        let before = self.guest(BETA).tells(boot);
        reset(&self.lab.node(), BETA);
        soon("its agent answers", 300, || {
            let status: Value = serde_json::from_str(&self.lab.phoenix(&["status", "--json"]).out).unwrap();
            status["vms"][1]["agent"] == "answers"
        });
        let mut guest = self.guest(BETA);
        assert_ne!(guest.tells(boot), before, "it booted again");
        soon("the volume is mounted", 120, || guest.sh("mountpoint -q /persistent-storage").code == 0);
        assert_eq!(guest.tells("findmnt -n -o FSTYPE /persistent-storage"), "nfs4");
        drop(guest);
        let run = self.done();
        assert_eq!(run.acted(), [""; 0], "{run}");
    }

    /// A feature that is asked for again finds everything done.
    #[track_caller]
    fn run_again(&self) {
        let packages = "sha256sum </var/lib/dpkg/status";
        let before = self.guest(BETA).tells(packages);
        let run = self.apply(&["--only", "beta", "--rerun", "base_setup"]);
        assert_eq!(run.code, Some(0), "{run}");
        assert_eq!(run.features(), ["1001/feature:base_setup"], "{run}");
        assert_eq!(self.guest(BETA).tells(packages), before);
    }

    /// The agent is gone from a guest that has something to do.
    #[track_caller]
    fn fall_silent(&mut self) {
        // Whoever stops the agent does not live to tell.
        self.guest(BETA).tells(
            "systemd-run --on-active=2 --timer-property=AccuracySec=1s systemctl disable --now qemu-guest-agent",
        );
        self.script("lab_first", "echo never");
        self.config["vm_defaults"]["timeouts"] = json!({ "guest_agent": 60 });
        self.save();
        soon("the agent is gone", 60, || self.lab.phoenix(&["status"]).out.contains("silent"));
        let began = Instant::now();
        let run = self.apply(&["--only", "beta"]);
        let told = run.failure("1001/await-agent");
        assert!(told.contains("no answer from the guest agent") && told.contains("not installed"), "{told}");
        assert!(began.elapsed() < Duration::from_mins(2), "at its deadline");
    }
}
