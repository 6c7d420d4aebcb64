//! From a template to a guest that is what the config says, and through the life of its machine.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::guest::Guest;
use crate::node::{Lab, wanted};

/// The pid that `node show` tells of the only guest.
#[track_caller]
fn pid(lab: &Lab) -> String {
    fs::read_to_string(lab.node().join("qemu/1000/pid")).unwrap().trim().to_owned()
}

/// The guest's own name of the disk in a slot, e.g. `sdb`: the kernel numbers them in the order in which it finds them.
#[track_caller]
fn disk(guest: &mut Guest, slot: &str) -> String {
    guest.tells(&format!("cd /sys/block && grep -la 'drive-{slot}$' sd*/device/vpd_pg83 | cut -d/ -f1"))
}

#[track_caller]
fn size(guest: &mut Guest, slot: &str) -> String {
    let disk = disk(guest, slot);
    guest.tells(&format!("cat /sys/block/{disk}/size"))
}

#[test]
fn a_guest_is_what_the_config_says_and_its_machine_lives_on() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxJhT2Ch3tyCsNVUP4gMhbAZF0sUvEEkCOPYcxXPx9m me@here";
    // A guest that its user data makes, and that counts as ready in two ways.
    let cloud = |ready: &str| {
        json!({ "vm_id": 1001, "vm_name": "cloud", "memory_mb": 512, "boot_disk_size_gb": 4, "ready": ready,
            "user_data": { "text": "#cloud-config\nhostname: ${vm_name}\nwrite_files:\n- path: /var/lib/mark\n  content: ${vm_name} ${vm_id}\n" } })
    };
    let vm = |memory_mb: u32, disk_gb: u32, data_gb: u32, ready: &str| {
        json!([cloud(ready), { "vm_id": 1000, "vm_name": "web", "cpu_cores": 2, "memory_mb": memory_mb, "boot_disk_size_gb": disk_gb,
            "network_config": { "ip": "10.0.2.50/24", "gw": "10.0.2.2", "nameserver": "10.0.2.3" },
            "user_config": { "username": "tester", "ssh_authorized_keys": [key] },
            "disks": { "scsi1": { "size_gb": data_gb, "filesystem": "ext4", "mount_point": "/srv/data" } }, "networks": { "net1": { "ip": "10.0.3.50/24" } } }])
    };
    lab.config(&vm(768, 4, 1, "running"));
    let plan = lab.done(&["plan"]);
    assert!(plan.contains("QEMU guests") && plan.contains("linked clone") && !plan.contains("no real VM"), "{plan}");
    let made = lab.done(&["apply", "--auto-approve", "--json"]);
    let began = |action: &str| made.contains(&format!("\"event\":\"action_started\",\"id\":\"{action}\""));
    // Of the second nothing is asked but that it runs.
    assert!(began("1000/await-agent") && began("1001/start") && !began("1001/await-agent"), "{made}");
    {
        let mut guest = Guest::of(&lab.node(), 1000);
        assert_eq!(guest.tells("hostname"), "web");
        assert_eq!(guest.tells("nproc"), "2");
        let kib: u64 = guest.tells("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").parse().unwrap();
        assert!((690..768).contains(&(kib / 1024)), "{kib} KiB");
        let root: u64 = guest.tells("df --output=size -m / | tail -1").parse().unwrap();
        assert!((3700..4096).contains(&root), "{root} MiB");
        assert_eq!(guest.tells("cat ~tester/.ssh/authorized_keys"), key);
        assert_eq!(guest.tells("ip -4 route show default | cut -d' ' -f3"), "10.0.2.2");
        assert!(guest.tells("ip -4 -brief address show eth0").contains("10.0.2.50/24"));
        // A second card with its own address, and a second disk that was formatted and mounted.
        assert!(guest.tells("ip -4 -brief address show eth1").contains("10.0.3.50/24"));
        assert_eq!(size(&mut guest, "scsi1"), (1_u64 << 21).to_string());
        let data = disk(&mut guest, "scsi1");
        let mounted = guest.tells("findmnt -n -o SOURCE,FSTYPE /srv/data | tr -s ' '");
        assert_eq!(mounted, format!("/dev/{data} ext4"));
        let line = "^UUID=[0-9a-f-]* /srv/data ext4 defaults,nofail 0 2$";
        assert_eq!(guest.tells(&format!("grep -c '{line}' /etc/fstab")), "1");
        guest.tells("echo kept >/srv/data/file && sync");
        // Beneath it nothing can be written.
        assert_eq!(
            guest.tells("umount /srv/data && touch /srv/data/x 2>/dev/null || echo refused; mount /srv/data"),
            "refused"
        );
    }
    // Its ssh, from outside.
    let shown = lab.done(&["node", "show"]);
    let port: u16 = shown.split_once("127.0.0.1:").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    let ssh = TcpStream::connect(("127.0.0.1", port)).unwrap();
    ssh.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut banner = [0; 7];
    (&ssh).read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0");

    // Once more: nothing, and nobody is asked.
    let again = lab.done(&["apply", "--auto-approve"]);
    assert!(again.contains("0 create, 0 update"), "{again}");
    assert!(shown.contains(&pid(&lab)) && shown.contains("console.log") && shown.contains("127.0.0.1:"), "{shown}");

    // Now the second one is asked whether cloud-init did what its user data says.
    lab.config(&vm(768, 4, 1, "cloud-init"));
    lab.done(&["apply", "--auto-approve"]);
    {
        let mut guest = Guest::of(&lab.node(), 1001);
        assert_eq!(guest.tells("cat /var/lib/mark"), "cloud 1001");
        assert_eq!(guest.tells("hostname"), "cloud");
    }

    // A disk grows under a running guest, memory waits for its next start.
    lab.config(&vm(896, 5, 2, "cloud-init"));
    let said = lab.phoenix(&["apply", "--auto-approve", "--detailed-exitcode"]);
    assert_eq!(said.code, Some(8), "{said:?}");
    assert!(said.out.contains("waits for a restart: memory") || said.err.contains("memory"), "{said:?}");
    {
        let mut guest = Guest::of(&lab.node(), 1000);
        assert_eq!(size(&mut guest, "scsi0"), (5_u64 << 21).to_string());
        assert_eq!(size(&mut guest, "scsi1"), (2_u64 << 21).to_string());
        let data: u64 = guest.tells("df --output=size -m /srv/data | tail -1").parse().unwrap();
        assert!((1900..2048).contains(&data), "{data} MiB");
        assert_eq!(guest.tells("cat /srv/data/file"), "kept");
        let root: u64 = guest.tells("df --output=size -m / | tail -1").parse().unwrap();
        assert!((4700..5120).contains(&root), "{root} MiB");
    }

    // The node is moved while it runs, and comes back.
    let away = lab.path("elsewhere");
    fs::rename(lab.node(), &away).unwrap();
    let status = lab.done(&["status", "--target", "embedded:elsewhere"]);
    assert!(status.contains("running"), "{status}");
    fs::rename(&away, lab.node()).unwrap();

    // Somebody kills it: it is off, and comes up with what was waiting.
    let before = pid(&lab);
    assert!(Command::new("kill").args(["-9", &before]).status().unwrap().success());
    let end = Instant::now() + Duration::from_secs(20);
    while !lab.phoenix(&["status"]).out.contains("stopped") {
        assert!(Instant::now() < end, "it still seems to run");
    }
    lab.done(&["apply", "--auto-approve"]);
    assert_ne!(pid(&lab), before);
    {
        let mut guest = Guest::of(&lab.node(), 1000);
        let kib: u64 = guest.tells("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").parse().unwrap();
        assert!(kib / 1024 > 800, "{kib} KiB");
    }

    // The guest shuts down when it is asked; then the node goes with what runs there.
    lab.done(&["stop", "1000", "--auto-approve"]);
    let off = lab.done(&["status"]);
    assert!(off.contains("stopped"), "{off}");
    let log = fs::read_to_string(lab.node().join("qemu/1000/console.log")).unwrap();
    assert!(!log.is_empty());
}
