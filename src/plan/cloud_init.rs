//! What differs in what a VM tells cloud-init.

use super::{Change, codes};
use crate::diag::Diagnostic;
use crate::model::{Address, DesiredVm, Disruption, Key, SshKey};
use crate::observed::{CLOUD_INIT_KEYS, CloudInitWanted, VmObserved, Wanted};

/// Why a guest has a value later than its VM.
const NEXT_BOOT: &str = "the guest reads it when it boots next";

/// The values that the configuration write changes, and the drive that brings them to the guest if there is none.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let mut add = |key: Key, old: Option<String>, new: String| {
        // Said once is enough.
        let note = if live.running && found.is_empty() { NEXT_BOOT } else { "" };
        let disruption = if live.running { Disruption::Restart } else { Disruption::None };
        let origin = vm.origins.of(key);
        let note = note.to_owned();
        found.push(Change { key: key.name(), old, new, origin, disruption, note, ..Change::default() });
    };
    let now = &live.cloud_init;
    if let Some(network) = &vm.network_config {
        for (v6, wish) in [(false, &network.ip), (true, &network.ip6)] {
            let own = now.address(v6);
            if let Some(wish) = wish.as_ref().filter(|wish| **wish != own) {
                add(Key::NetworkConfig, address(v6, &own), address(v6, wish).unwrap_or_default());
            }
        }
        let texts = [
            ("nameserver", &now.nameserver, &network.nameserver),
            ("searchdomain", &now.searchdomain, &network.searchdomain),
        ];
        for (key, own, wish) in texts {
            if let Some(wish) = wish.as_ref().filter(|wish| *wish != own) {
                add(Key::NetworkConfig, text(key, own), format!("{key}={wish}"));
            }
        }
    }
    if let Some(user) = &vm.user_config {
        if let Some(name) = user.username.as_ref().filter(|name| **name != now.user) {
            add(Key::UserConfig, text("username", &now.user), format!("username={name}"));
        }
        if let Some(keys) = &user.ssh_authorized_keys {
            let keys: Vec<String> = keys.iter().map(SshKey::fingerprint).collect();
            for gone in now.ssh_keys.iter().filter(|key| !keys.contains(key)) {
                add(Key::UserConfig, Some(gone.clone()), String::new());
            }
            for (at, new) in keys.iter().enumerate() {
                if !now.ssh_keys.contains(new) && !keys[..at].contains(new) {
                    add(Key::UserConfig, None, new.clone());
                }
            }
        }
    }
    found.extend(drive(vm, live));
    found
}

/// The drive that a VM lacks.
pub(super) fn drive(vm: &DesiredVm, live: &VmObserved) -> Option<Change> {
    let device = Wanted::from(vm).cloud_init.new_drive(live)?;
    Some(Change {
        key: "cloud_init_drive",
        old: Some("none".to_owned()),
        new: format!("{device} on {}", vm.boot_disk_storage),
        origin: crate::model::Origin::BuiltIn,
        disruption: if live.running { Disruption::Restart } else { Disruption::None },
        note: "cloud-init reaches the guest through it".to_owned(),
        ..Change::default()
    })
}

/// What is wanted must reach the guest, through the drive that is there or one that is added.
pub(super) fn preflight(vm: &DesiredVm, live: Option<&VmObserved>, problems: &mut Vec<Diagnostic>) {
    let wanted: CloudInitWanted<'_> = Wanted::from(vm).cloud_init;
    let wants = wanted.network.is_some() || wanted.user.is_some();
    let lacks = |live: &VmObserved| live.cloud_init.drive.is_none() && wanted.new_drive(live).is_none();
    if wants && live.is_some_and(lacks) {
        let what = "cloud-init needs a drive, and none of ide0 to ide3 is free";
        problems.push(
            Diagnostic::error(codes::NO_PLACE_FOR_DRIVE, what)
                .vm(vm.vm_id)
                .hint("add a cloud-init drive in Proxmox, or take `network_config` and `user_config` out of the file"),
        );
    }
}

/// Why the drive of a running VM is to be made anew, if it is: a value of cloud-init changes, or an interrupted run, or
/// somebody else, changed one and left the drive as it was.
pub(super) fn drive_waits(vm: &DesiredVm, live: &VmObserved, changes: &[Change]) -> Option<&'static str> {
    if !live.running || live.cloud_init.drive.is_none() {
        return None;
    }
    let keys = [Key::NetworkConfig.name(), Key::UserConfig.name()];
    if changes.iter().any(|change| keys.contains(&change.key)) {
        return Some("values of cloud-init change");
    }
    let declared = |key: &str| match key {
        "ciuser" | "sshkeys" => vm.user_config.is_some(),
        _ => CLOUD_INIT_KEYS.contains(&key) && vm.network_config.is_some(),
    };
    let stale = live.cloud_init.not_in_drive.iter().any(|key| declared(key));
    stale.then_some("the drive does not have all values yet")
}

fn text(key: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{key}={value}"))
}

fn address(v6: bool, address: &Address) -> Option<String> {
    let (ip, gw) = if v6 { ("ip6", "gw6") } else { ("ip", "gw") };
    let gw = address.gw.as_ref().map(|gateway| format!(", {gw}={gateway}")).unwrap_or_default();
    (!address.ip.is_empty()).then(|| format!("{ip}={}{gw}", address.ip))
}
