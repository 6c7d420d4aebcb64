//! What differs in what a VM tells cloud-init.

use std::collections::BTreeSet;

use super::{Change, codes};
use crate::diag::Diagnostic;
use crate::model::{Address, DesiredVm, Disruption, Key, SshKey};
use crate::observed::{CLOUD_INIT_KEYS, CloudInitWanted, VmObserved, Wanted};

/// Why a guest has a value later than its VM.
const NEXT_BOOT: &str = "the guest reads it when it boots next";

/// The part whose value is a set, of which each member is told.
const KEYS: &str = "user_config.ssh_authorized_keys";

/// The parts of `network_config` and `user_config`, each of which is wished for, and applied, by itself.
pub(super) const PARTS: [(Key, &str); 6] = [
    (Key::NetworkConfig, "network_config.ip"),
    (Key::NetworkConfig, "network_config.ip6"),
    (Key::NetworkConfig, "network_config.nameserver"),
    (Key::NetworkConfig, "network_config.searchdomain"),
    (Key::UserConfig, "user_config.username"),
    (Key::UserConfig, KEYS),
];

/// What a VM has for a part, as text; keys by their fingerprints, one a line.
pub(super) fn present(live: &VmObserved, part: &str) -> String {
    let now = &live.cloud_init;
    match part {
        "network_config.ip" => address(false, &now.address(false)).unwrap_or_default(),
        "network_config.ip6" => address(true, &now.address(true)).unwrap_or_default(),
        "network_config.nameserver" => text("nameserver", &now.nameserver).unwrap_or_default(),
        "network_config.searchdomain" => text("searchdomain", &now.searchdomain).unwrap_or_default(),
        "user_config.username" => text("username", &now.user).unwrap_or_default(),
        _ => lines(&now.ssh_keys),
    }
}

/// What the config wishes for a part, as text; `None`: nothing.
pub(super) fn wish(vm: &DesiredVm, part: &str) -> Option<String> {
    let (network, user) = (vm.network_config.as_ref(), vm.user_config.as_ref());
    let told = |key: &str, value: &String| text(key, value).unwrap_or_default();
    match part {
        "network_config.ip" => network?.ip.as_ref().map(|wish| address(false, wish).unwrap_or_default()),
        "network_config.ip6" => network?.ip6.as_ref().map(|wish| address(true, wish).unwrap_or_default()),
        "network_config.nameserver" => network?.nameserver.as_ref().map(|wish| told("nameserver", wish)),
        "network_config.searchdomain" => network?.searchdomain.as_ref().map(|wish| told("searchdomain", wish)),
        "user_config.username" => user?.username.as_ref().map(|wish| told("username", wish)),
        _ => user?.ssh_authorized_keys.as_ref().map(|keys| lines(&keys.iter().map(SshKey::fingerprint).collect())),
    }
}

fn lines(keys: &BTreeSet<String>) -> String {
    keys.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Whether the guest of a running VM has not been seen to boot since what cloud-init tells it changed.
pub(super) fn is_unread(live: &VmObserved) -> bool {
    live.running && live.record.valid().is_some_and(|record| record.unread)
}

/// The values that the configuration write changes, and the drive that brings them to the guest if there is none.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    for (key, part) in PARTS {
        let Some(wish) = wish(vm, part) else { continue };
        let mut add = |old: Option<String>, new: String| {
            // Said once is enough.
            let note = if live.running && found.is_empty() { NEXT_BOOT } else { "" }.to_owned();
            let disruption = if live.running { Disruption::Restart } else { Disruption::None };
            let origin = vm.origins.of(key);
            found.push(Change { key: key.name(), part, old, new, origin, disruption, note, ..Change::default() });
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let now = present(live, part);
        if part != KEYS {
            if now != wish {
                add(some(&now), wish);
            }
            continue;
        }
        for gone in now.lines().filter(|key| !wish.lines().any(|wish| wish == *key)) {
            add(Some(gone.to_owned()), String::new());
        }
        for new in wish.lines().filter(|key| !now.lines().any(|now| now == *key)) {
            add(None, new.to_owned());
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
