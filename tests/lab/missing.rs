//! A guest that boots without its volume: nothing is written in its place, and a start by phoenix mounts it.

use serde_json::json;

use crate::guest::Guest;
use crate::node::{Lab, wanted};
use crate::support;

/// Keeps the guest from mounting the volume by itself, as a server does that does not know its address; and writes
/// there, as a service of the guest would, before anybody could mount it.
const WITHOUT: &str = "systemctl mask mnt-data.mount
printf '%s\\n' '[Unit]' Before=qemu-guest-agent.service '[Service]' Type=oneshot \\
  'ExecStart=/bin/sh -c \"findmnt /mnt/data; echo $? >/var/lib/lab-mounted; touch /mnt/data/lost 2>/var/lib/lab-said; true\"' \\
  '[Install]' WantedBy=multi-user.target >/etc/systemd/system/lab-writer.service
systemctl enable lab-writer.service";

#[test]
fn a_guest_without_its_volume_writes_nothing_in_its_place() {
    if !wanted() || !support::need("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs") || !support::need("socat", "socat") {
        return;
    }
    let lab = Lab::new();
    let vm = |volumes: serde_json::Value| json!([{ "vm_id": 1000, "vm_name": "web", "volumes": volumes }]);
    let volume = json!([{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/mnt/data" }]);
    lab.config(&vm(volume));
    lab.done(&["apply", "--auto-approve"]);
    lab.done(&["plan", "--detailed-exitcode"]);
    {
        let mut guest = Guest::of(&lab.node(), 1000);
        assert_eq!(guest.tells("findmnt -n -o FSTYPE /mnt/data && touch /mnt/data/kept"), "nfs4");
        guest.tells("umount /mnt/data");
        assert!(guest.tells("lsattr -d /mnt/data").split(' ').next().unwrap().contains('i'));
        let refused = guest.sh("touch /mnt/data/lost");
        assert!(refused.code != 0 && refused.err.contains("Operation not permitted"), "{refused:?}");
        guest.tells(WITHOUT);
    }
    // A restart by phoenix brings it up without the volume, and mounts it.
    let said = lab.done(&["restart", "1000", "--auto-approve"]);
    assert!(said.contains("mount /mnt/data"), "{said}");
    {
        let mut guest = Guest::of(&lab.node(), 1000);
        assert_eq!(guest.tells("cat /var/lib/lab-mounted"), "1", "it came up without");
        assert!(guest.tells("cat /var/lib/lab-said").contains("Operation not permitted"));
        assert_eq!(guest.tells("findmnt -n -o FSTYPE /mnt/data && ls -A /mnt/data"), "nfs4\nkept");
        let below =
            "mkdir -p /run/below && mount --bind / /run/below && ls -A /run/below/mnt/data && umount /run/below";
        assert_eq!(guest.tells(below), "", "nothing lies on the guest's own disk");
    }
    lab.done(&["plan", "--detailed-exitcode", "--verify-guest"]);
    // The volume goes from the file: its mount point is a directory as any other.
    lab.config(&vm(json!([])));
    lab.done(&["apply", "--auto-approve"]);
    let mut guest = Guest::of(&lab.node(), 1000);
    assert_eq!(guest.tells("touch /mnt/data/mine && findmnt -n -o TARGET --target /mnt/data"), "/");
}
