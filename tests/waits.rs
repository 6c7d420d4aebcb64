//! Every wait ends: in success, or in a diagnosis that names the cause and the way out.
//!
//! A run of the library over an embedded node, on a clock that does not really wait. For the calls in question the
//! answers are those of a real node (recorded texts), read by the back end for Proxmox itself; so the test covers the
//! way from a program's words to the user's.
#![cfg(unix)]

mod around;
#[path = "waits/check.rs"]
mod check;
#[path = "waits/copying.rs"]
mod copying;
#[path = "waits/ha.rs"]
mod ha;
#[path = "waits/node.rs"]
mod node;
mod support;

use check::check;
use node::{At, Case, Goes};
use phoenix::model::ActionKind;

#[test]
fn the_agent_is_switched_off() {
    check(&Case {
        at: At::Ping,
        goes: Goes::Refused(255, "No QEMU guest agent configured\n"),
        fails: Some(ActionKind::AwaitAgent),
        error: &["No QEMU guest agent configured"],
        hint: &["apply switches it on", "--restart"],
        ..Case::default()
    });
}

#[test]
fn the_agent_is_not_installed() {
    check(&Case {
        at: At::Ping,
        goes: Goes::Refused(255, "QEMU guest agent is not running\n"),
        fails: Some(ActionKind::AwaitAgent),
        error: &["no answer from the guest agent within 300 s", "QEMU guest agent is not running"],
        hint: &["not installed", "qm terminal 1000"],
        late: true,
        ..Case::default()
    });
}

#[test]
fn the_agent_falls_silent_in_mid_run() {
    for said in [
        "QEMU guest agent is not running\n",
        "VM 1000 qmp command 'guest-exec' failed - got timeout\n",
        "VM 1000 qmp command 'guest-exec' failed - unable to connect to VM 1000 qga socket - timeout after 31 retries\n",
    ] {
        check(&Case {
            at: At::Start("phoenix-mount"),
            goes: Goes::Refused(255, said),
            fails: Some(ActionKind::Mount),
            error: &["no answer from the guest agent within 600 s", said.trim()],
            hint: &["qm terminal 1000"],
            late: true,
            ..Case::default()
        });
    }
}

#[test]
fn the_agent_forbids_exec() {
    for said in [
        "Agent error: The command guest-exec has been disabled for this instance\n",
        "Agent error: Command guest-exec has been disabled\n",
        "Agent error: Command guest-exec has been disabled: the command is not allowed\n",
        "Agent error: The command guest-exec has been blacklisted\n",
    ] {
        check(&Case {
            at: At::Start("cloud-init"),
            goes: Goes::Refused(29, said),
            fails: Some(ActionKind::AwaitCloudInit),
            error: &[said.trim()],
            hint: &["forbids exec", "guest-exec-status"],
            ..Case::default()
        });
    }
}

#[test]
fn the_agent_loses_its_answers() {
    check(&Case {
        at: At::Status("phoenix-mount"),
        goes: Goes::Refused(29, "Agent error: Invalid parameter 'pid'\n"),
        fails: Some(ActionKind::Mount),
        error: &["Agent error: Invalid parameter 'pid'"],
        hint: &["keep restarting it"],
        ..Case::default()
    });
    // As when the script restarts the agent (recorded): the question is asked again.
    check(&Case {
        at: At::Status("phoenix-feature-result"),
        goes: Goes::Refused(29, "Agent error: Invalid parameter 'pid'\n"),
        times: 2,
        ..Case::default()
    });
}

#[test]
fn the_guest_has_no_shell() {
    check(&Case {
        at: At::Start("cloud-init"),
        goes: Goes::Refused(
            29,
            "Agent error: Guest agent command failed, error was 'Failed to execute child process \u{201c}/bin/sh\u{201d} \
             (No such file or directory)'\n",
        ),
        fails: Some(ActionKind::AwaitCloudInit),
        error: &["Failed to execute child process"],
        hint: &["/bin/sh", "Linux guest"],
        ..Case::default()
    });
}

#[test]
fn the_guest_gets_no_address() {
    // Recorded, with the address that DHCP gave taken out.
    let interfaces = r#"[
       { "hardware-address": "00:00:00:00:00:00", "name": "lo",
         "ip-addresses": [{ "ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8 }] },
       { "hardware-address": "bc:24:11:00:00:01", "name": "eth0",
         "ip-addresses": [{ "ip-address": "fe80::be24:11ff:fe00:1", "ip-address-type": "ipv6", "prefix": 64 }] }
    ]"#;
    check(&Case {
        at: At::Addresses,
        goes: Goes::Prints(interfaces),
        fails: Some(ActionKind::ExportShare),
        error: &["the guest got no address on net0", "within 120 s"],
        hint: &["DHCP server"],
        late: true,
        ..Case::default()
    });
    check(&Case {
        at: At::Addresses,
        goes: Goes::Refused(255, "QEMU guest agent is not running\n"),
        fails: Some(ActionKind::ExportShare),
        error: &["no answer from the guest agent within 120 s"],
        hint: &["qm terminal 1000"],
        late: true,
        ..Case::default()
    });
}

#[test]
fn the_vm_stops_meanwhile() {
    for (at, kind, status) in [
        (At::Ping, ActionKind::AwaitAgent, 2),
        (At::Start("cloud-init"), ActionKind::AwaitCloudInit, 2),
        (At::Status("phoenix-feature-result"), ActionKind::Feature, 255),
    ] {
        check(&Case {
            at,
            goes: Goes::Stopped(status, "VM 1000 is not running\n"),
            fails: Some(kind),
            error: &["VM 1000 stopped in the meantime"],
            hint: &["apply again"],
            ..Case::default()
        });
    }
}

#[test]
fn cloud_init_fails() {
    check(&Case {
        at: At::Status("cloud-init"),
        goes: Goes::Ends(1, node::CLOUD_INIT_ERROR, ""),
        fails: Some(ActionKind::AwaitCloudInit),
        error: &["cloud-init failed", "update-locale", "LANG=en_US.UTF-8"],
        hint: &["cloud-init status --long", "/var/log/cloud-init.log"],
        ..Case::default()
    });
}

#[test]
fn a_volume_that_does_not_carry_what_is_written() {
    for (code, said, hint) in [
        (7, "192.0.2.1:/quickOS: the guest cannot write to it: Read-only file system", "read-write"),
        // As with NFS 4.2 and some servers: the file has its size, and zeros in it.
        (8, "192.0.2.1:/quickOS: the guest reads other bytes there than it wrote", "NFS 4.1"),
    ] {
        check(&Case {
            at: At::Status("phoenix-mount"),
            goes: Goes::Ends(code, "", said),
            fails: Some(ActionKind::Mount),
            error: &[said],
            hint: &[hint],
            ..Case::default()
        });
    }
}

#[test]
fn scripts_that_do_not_arrive() {
    for (code, said, hint) in [
        (4, "mounted at /persistent-storage is '', not 'x'", "--verify-guest"),
        (1, "tar: ./a: Cannot open: No space left on device", "is full"),
        (1, "mktemp: Permission denied", "read-write"),
    ] {
        check(&Case {
            at: At::Status("phoenix-stage"),
            goes: Goes::Ends(code, "", said),
            fails: Some(ActionKind::StageScripts),
            error: &["putting the scripts in place", said],
            hint: &[hint],
            ..Case::default()
        });
    }
}

#[test]
fn cloud_init_never_ends() {
    check(&Case {
        at: At::Status("cloud-init"),
        goes: Goes::Ends(0, r#"{"status":"running","extended_status":"running","detail":"","errors":[]}"#, ""),
        fails: Some(ActionKind::AwaitCloudInit),
        error: &["cloud-init has not finished within 900 s"],
        hint: &["cloud-init status --long"],
        late: true,
        ..Case::default()
    });
    check(&Case {
        at: At::Status("cloud-init"),
        goes: Goes::Runs,
        fails: Some(ActionKind::AwaitCloudInit),
        error: &["cloud-init: not finished within 900 s"],
        hint: &["still be running in the guest"],
        late: true,
        ..Case::default()
    });
}

#[test]
fn the_config_says_how_long_the_guest_has_and_what_an_error_of_cloud_init_does() {
    let keys = r#", "timeouts": { "guest_agent": 60, "cloud_init": 3600 }"#;
    check(&Case {
        at: At::Ping,
        goes: Goes::Refused(255, "QEMU guest agent is not running\n"),
        fails: Some(ActionKind::AwaitAgent),
        error: &["no answer from the guest agent within 60 s"],
        late: true,
        keys,
        ..Case::default()
    });
    check(&Case {
        at: At::Status("cloud-init"),
        goes: Goes::Runs,
        fails: Some(ActionKind::AwaitCloudInit),
        error: &["cloud-init: not finished within 3600 s"],
        late: true,
        keys,
        ..Case::default()
    });
    check(&Case {
        at: At::Status("cloud-init"),
        goes: Goes::Ends(1, node::CLOUD_INIT_ERROR, ""),
        notices: &["cloud-init failed, which `cloud_init_errors` lets pass", "update-locale"],
        keys: r#", "cloud_init_errors": "warn""#,
        ..Case::default()
    });
}

#[test]
fn cloud_init_that_is_no_failure_is_told_and_the_run_goes_on() {
    let degraded =
        r#"{"status":"done","extended_status":"degraded done","recoverable_errors":{"WARNING":["old key"]}}"#;
    for (code, out, notice) in [
        (2, degraded, "WARNING: old key"),
        (2, r#"{"status":"degraded done","errors":[]}"#, "with warnings"),
        (0, r#"{"status":"disabled"}"#, "switched off"),
        (127, "", "not installed"),
    ] {
        let notices: &[&str] = &[notice];
        check(&Case { at: At::Status("cloud-init"), goes: Goes::Ends(code, out, ""), notices, ..Case::default() });
    }
}

#[test]
fn a_mount_fails() {
    let locked = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 712 (unattended-upgr)\n";
    for (code, said, hint) in [
        (32, "mount.nfs: access denied by server while mounting 192.0.2.1:/srv/1000\n", "NFS server refuses this VM"),
        (32, "mount.nfs: Connection timed out for 192.0.2.1:/srv/1000 on /srv\n", "NFS server does not answer"),
        (32, "mount.nfs: No route to host for 192.0.2.1:/srv/1000 on /srv\n", "NFS server does not answer"),
        (124, "192.0.2.1:/srv/1000: no answer from the NFS server within 90 s\n", "NFS server does not answer"),
        (100, locked, "another package manager runs in the guest"),
        (1, "mktemp: failed to create file: No space left on device\n", "the guest's disk is full"),
    ] {
        let (said_, hint_): (&[&str], &[&str]) = (&[said.trim()], &[hint]);
        check(&Case {
            at: At::Status("phoenix-mount"),
            goes: Goes::Ends(code, "", said),
            fails: Some(ActionKind::Mount),
            error: said_,
            hint: hint_,
            ..Case::default()
        });
    }
    check(&Case {
        at: At::Status("phoenix-mount"),
        goes: Goes::Runs,
        fails: Some(ActionKind::Mount),
        error: &["the mount of 192.0.2.1:/quickOS/vm-persistent-data/1000: not finished within 600 s"],
        hint: &["`ps` there"],
        late: true,
        ..Case::default()
    });
}

#[test]
fn a_script_does_not_end_well() {
    for (out, error, late) in [
        ("exit 100\nReading package lists...\nE: Unable to locate package jqq\n", "the script exited 100", false),
        ("ended timeout\nwaiting for the database\n", "had not ended after 1770 s, and systemd ended it", false),
        ("ended oom-kill\n", "ran out of memory", false),
        ("ended signal\n", "systemd ended the script: signal", false),
        ("rebooted\nrebooting now\n", "the guest was restarted while the script ran", false),
        ("none\n", "another process ended it", false),
        ("running\n", "the script has not ended within 1800 s", true),
    ] {
        let last = out.trim().lines().last().unwrap();
        let error: &[&str] = if out.lines().count() > 1 { &[error, last] } else { &[error] };
        let hint: &[&str] = &["base_setup.log", "in the guest"];
        check(&Case {
            at: At::Status("phoenix-feature-result"),
            goes: Goes::Ends(0, out, ""),
            fails: Some(ActionKind::Feature),
            error,
            hint,
            late,
            ..Case::default()
        });
    }
}

#[test]
fn a_script_cannot_be_started() {
    for (code, said, hint) in [
        (3, "systemd-run is missing: features need a guest with systemd\n", "a template with systemd"),
        (4, "/phoenix/scripts/base_setup.sh is not there: is the channel mounted?\n", "findmnt"),
    ] {
        let (error, hint): (&[&str], &[&str]) = (&[said.trim()], &[hint]);
        check(&Case {
            at: At::Status("phoenix-feature"),
            goes: Goes::Ends(code, "", said),
            fails: Some(ActionKind::Feature),
            error,
            hint,
            ..Case::default()
        });
    }
}

#[test]
fn the_node_cannot() {
    for (stdout, stderr, error, hint) in [
        (
            "transferred 1.0 GiB of 3.0 GiB (33.41%)\n",
            "qemu-img: error while writing at byte 1073741824: No space left on device\nclone failed: copy failed: command \
             '/usr/bin/qemu-img convert' failed: exit code 1\n",
            "No space left on device",
            "free space on storage `local-zfs`",
        ),
        (
            "",
            "clone failed: zfs error: cannot create 'rpool/data/vm-1000-disk-0': out of space\n",
            "out of space",
            "free space on storage `local-zfs`",
        ),
        (
            "",
            "storage 'local-zfs' is not online\n",
            "storage 'local-zfs' is not online",
            "storage `local-zfs` is not active on the node, see `pvesm status`: mount",
        ),
        (
            "",
            "could not activate storage 'local-zfs', zfs error: cannot import 'rpool': no such pool available\n",
            "no such pool",
            "storage `local-zfs` is not active",
        ),
        ("", "storage 'local-zfs' does not exist\n", "does not exist", "`pvesm status` lists what is"),
        ("", "Permission check failed (/vms/9000, VM.Clone)\n", "VM.Clone", "lacks the right VM.Clone on /vms/9000"),
        ("", "permission denied - you need root\n", "permission denied", "needs root on the node"),
    ] {
        let (error, hint): (&[&str], &[&str]) = (&["`qm clone 9000 1000`", error], &[hint]);
        check(&Case {
            at: At::Clone,
            goes: Goes::Job(255, stdout, stderr),
            fails: Some(ActionKind::Clone),
            error,
            hint,
            ..Case::default()
        });
    }
}

#[test]
fn the_connection_is_lost() {
    if !support::need("ssh", "openssh-client") {
        return;
    }
    for (at, kind) in [(At::Clone, ActionKind::Clone), (At::Ping, ActionKind::AwaitAgent)] {
        check(&Case {
            at,
            goes: Goes::Unreachable,
            fails: Some(kind),
            error: &["cannot connect to 127.0.0.1", "Connection refused"],
            hint: &["`ssh` reach it by hand"],
            ..Case::default()
        });
    }
}
