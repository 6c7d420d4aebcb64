//! What phoenix takes out of a guest that becomes a template.

use std::fs;
use std::os::unix::fs::symlink;

use phoenix::guest::{self, CloudInit};

use crate::cell::Cell;

const OTHERS: &str = "UUID=79ef10b8-ac1e / ext4 defaults 0 1\n192.0.2.9:/srv/old /srv/old nfs ro 0 0\n";

/// A guest with everything that makes it a machine of its own.
fn lived_in() -> Option<Cell> {
    let cell = Cell::new()?;
    for dir in ["etc/ssh", "lib/phoenix/runs/base_setup-1", "lib/dbus", "lib/dhcp"] {
        fs::create_dir_all(cell.path(dir)).unwrap();
    }
    cell.write("etc/fstab", OTHERS);
    cell.write("mounts", "192.0.2.9:/srv/old\t/srv/old\n");
    for (source, at) in [("192.0.2.1:/a", "/srv"), ("192.0.2.1:/b", "/srv/b"), ("192.0.2.1:/c", "/mnt/c")] {
        guest::read_mount(&cell.run(&guest::mount(source, at, false))).unwrap();
    }
    for name in ["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "etc/ssh/sshd_config", "etc/machine-id"] {
        cell.write(name, "x");
    }
    for name in ["lib/phoenix/runs/base_setup-1/exit", "lib/dbus/machine-id", "lib/dhcp/dhclient.leases"] {
        cell.write(name, "x");
    }
    Some(cell)
}

fn names(cell: &Cell, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(cell.path(dir)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_makes_a_machine_this_one_goes_and_all_else_stays() {
    let Some(cell) = lived_in() else { return };
    for time in 1..=2 {
        guest::read_clean(&cell.run(&guest::clean())).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(cell.read("etc/fstab"), OTHERS);
        assert_eq!(cell.read("mounts"), "192.0.2.9:/srv/old\t/srv/old\n");
        assert_eq!(names(&cell, "etc/ssh"), ["sshd_config"]);
        assert_eq!(fs::read_to_string(cell.path("etc/machine-id")).unwrap(), "", "it stays, and says nothing");
        assert_eq!(fs::read_link(cell.path("lib/dbus/machine-id")).unwrap().to_str(), Some("/etc/machine-id"));
        assert!(!cell.path("lib/phoenix").exists() && names(&cell, "lib/dhcp").is_empty());
        assert_eq!(cell.read("cleaned"), "clean --logs\n".repeat(time), "the seed stays");
    }
}

#[test]
fn a_volume_that_is_in_use_keeps_the_guest_as_it_is() {
    let Some(cell) = lived_in() else { return };
    crate::executable::executable(
        &cell.path("bin/umount"),
        "#!/bin/sh\necho 'umount: /srv/b: target is busy.' >&2\nexit 32\n",
    );
    let problem = guest::read_clean(&cell.run(&guest::clean())).unwrap_err();
    assert!(problem.what.contains("target is busy") && problem.hint.unwrap().contains("lsof"), "{}", problem.what);
    assert!(cell.path("lib/phoenix").exists() && cell.path("etc/ssh/ssh_host_rsa_key").exists());
    assert!(cell.read("etc/fstab").contains(" /srv/b nfs"));
}

#[test]
fn a_guest_whose_clones_would_have_no_host_keys_is_refused() {
    let Some(cell) = lived_in() else { return };
    let refused = |cell: &Cell, why: &str| {
        let problem = guest::read_clean(&cell.run(&guest::clean())).unwrap_err();
        assert!(
            problem.what.contains(why) && problem.hint.unwrap().contains("cloud-init in its image"),
            "{}",
            problem.what
        );
        assert!(cell.path("etc/ssh/ssh_host_rsa_key").exists(), "nothing was done");
    };
    for (dir, file) in [("etc/cloud", "etc/cloud/cloud-init.disabled"), ("run/cloud-init", "run/cloud-init/disabled")] {
        fs::create_dir(cell.path(dir)).unwrap();
        cell.write(file, "");
        refused(&cell, "cloud-init is switched off");
        fs::remove_file(cell.path(file)).unwrap();
    }
    fs::remove_file(cell.path("bin/cloud-init")).unwrap();
    if std::env::split_paths(&std::env::var_os("PATH").unwrap()).all(|dir| !dir.join("cloud-init").exists()) {
        refused(&cell, "cloud-init is not installed");
    }
}

#[test]
fn a_machine_id_of_dbus_that_is_a_link_stays() {
    let Some(cell) = lived_in() else { return };
    fs::remove_file(cell.path("lib/dbus/machine-id")).unwrap();
    symlink("/etc/machine-id", cell.path("lib/dbus/machine-id")).unwrap();
    guest::read_clean(&cell.run(&guest::clean())).unwrap();
    assert!(cell.path("lib/dbus/machine-id").is_symlink());
}

#[test]
fn a_guest_that_was_cleaned_and_runs_on_is_taken_up_again() {
    let Some(cell) = lived_in() else { return };
    let done = |cell: &Cell| guest::read_cloud_init(&cell.run(&guest::cloud_init_status())) == CloudInit::Done;
    let is_clean = |cell: &Cell| guest::read_cleaned(&cell.run(&guest::cleaned()));
    assert!(done(&cell) && is_clean(&cell).is_err());
    guest::read_clean(&cell.run(&guest::clean())).unwrap();
    // It has lost its memory, and says so.
    crate::executable::executable(&cell.path("bin/cloud-init"), "#!/bin/sh\necho '{\"status\": \"not started\"}'\n");
    assert!(done(&cell), "it was done before");
    is_clean(&cell).unwrap();
    // Somebody else goes on with it.
    guest::read_mount(&cell.run(&guest::mount("192.0.2.1:/a", "/srv", false))).unwrap();
    assert!(is_clean(&cell).unwrap_err().what.contains("another run"));
    // It boots.
    fs::remove_file(cell.path("run/phoenix-cleaned")).unwrap();
    assert!(!done(&cell));
}
