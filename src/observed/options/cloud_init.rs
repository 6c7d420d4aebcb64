//! The rows of what a VM tells cloud-init, and of the drive through which it does.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::edit::Edit;
use super::row::{Kept, Row};
use super::taking::{Taking, at_restart};
use super::value::{Value, Wish};
use crate::model::{Address, DesiredVm, Disruption, Key, Secret, SshKey, is_kept, kept};
use crate::observed::cloud_init::{encode_keys, names};
use crate::observed::{PropertyString, VmObserved};

/// What a drive is called that must be added so that cloud-init reaches the guest; no key of the file sets it.
pub const DRIVE: &str = "cloud_init_drive";

/// The part of `user_config` that names a secret. Of its value the record, and all that is compared, has a digest.
pub const PASSWORD: &str = "user_config.password";

/// The option that it stands in. What it is set to is never known here.
pub const PASSWORD_OPTION: &str = "cipassword";

/// What people read of a password that a VM has.
pub const A_PASSWORD: &str = "a password";

/// Places for a cloud-init drive, as Proxmox's own pages use them first.
const PLACES: [&str; 4] = ["ide2", "ide0", "ide1", "ide3"];

/// The parts of `network_config` and `user_config`, each of which is desired, and applied, by itself; then the drive.
pub(super) static ROWS: &[Row] = &[
    Row {
        read: |live| text(address(false, &live.cloud_init.address(false))),
        wish: |vm, _| told(vm.network_config.as_ref().and_then(|network| network.ip.as_ref()), |a| address(false, a)),
        inherited: |_, live| live.cloud_init.address(false).is_fixed(),
        write: |vm, value, edit| put_address(vm, edit, false, value.is_some()),
        ..Row::part(Key::NetworkConfig, "network_config.ip", &["ipconfig0"])
    },
    Row {
        read: |live| text(address(true, &live.cloud_init.address(true))),
        wish: |vm, _| told(vm.network_config.as_ref().and_then(|network| network.ip6.as_ref()), |a| address(true, a)),
        inherited: |_, live| live.cloud_init.address(true).is_fixed(),
        write: |vm, value, edit| put_address(vm, edit, true, value.is_some()),
        ..Row::part(Key::NetworkConfig, "network_config.ip6", &["ipconfig0"])
    },
    Row {
        read: |live| text(named("nameserver", &live.cloud_init.nameserver)),
        wish: |vm, _| told(nameserver(vm), |servers| named("nameserver", servers)),
        write: |vm, _, edit| edit.put("nameserver", nameserver(vm).map_or("", String::as_str)),
        ..Row::part(Key::NetworkConfig, "network_config.nameserver", &["nameserver"])
    },
    Row {
        read: |live| text(named("searchdomain", &live.cloud_init.searchdomain)),
        wish: |vm, _| told(searchdomain(vm), |domains| named("searchdomain", domains)),
        write: |vm, _, edit| edit.put("searchdomain", searchdomain(vm).map_or("", String::as_str)),
        ..Row::part(Key::NetworkConfig, "network_config.searchdomain", &["searchdomain"])
    },
    Row {
        read: |live| text(named("username", &live.cloud_init.user)),
        wish: |vm, _| told(username(vm), |name| named("username", name)),
        write: |vm, _, edit| edit.put("ciuser", username(vm).map_or("", String::as_str)),
        ..Row::part(Key::UserConfig, "user_config.username", &["ciuser"])
    },
    Row {
        read: password,
        wish: |vm, live| match (secret(vm), live) {
            (Some(secret), _) => desired_password(secret, live),
            // One that phoenix did not set is not phoenix's to take away.
            (None, Some(live)) if known_password(live).is_some() => Wish::Unset,
            (None, _) => Wish::Leave,
        },
        write: |vm, value, edit| {
            let value = value.and_then(|_| secret(vm)?.value());
            edit.put(PASSWORD_OPTION, value.unwrap_or_default());
        },
        uptake: |taking| {
            let gone = secret(taking.desired).is_none();
            let note = "cloud-init no longer sets it; a guest that has it may keep it until it is changed there";
            if gone { (at_next_boot(taking).0, Cow::Borrowed(note)) } else { at_next_boot(taking) }
        },
        ..Row::part(Key::UserConfig, PASSWORD, &[PASSWORD_OPTION])
    },
    Row {
        read: |live| Some(Value::Keys(Cow::Borrowed(&live.cloud_init.ssh_keys))),
        wish: |vm, _| {
            let keys = |keys: &Vec<SshKey>| keys.iter().map(SshKey::fingerprint).collect::<BTreeSet<String>>();
            Wish::some(ssh_keys(vm).map(|wish| Value::Keys(Cow::Owned(keys(wish)))))
        },
        write: |vm, _, edit| edit.put("sshkeys", ssh_keys(vm).map(|keys| encode_keys(keys)).unwrap_or_default()),
        ..Row::part(Key::UserConfig, "user_config.ssh_authorized_keys", &["sshkeys"])
    },
    Row {
        read: |live| Some(Value::text(live.cloud_init.drive.as_deref().unwrap_or("none"))),
        wish: |vm, live| {
            let device = live.and_then(|live| new_drive(vm, live));
            let place = |device| Value::Text(Cow::Owned(format!("{device} on {}", vm.boot_disk_storage)));
            Wish::some(device.map(place))
        },
        write: add_drive,
        uptake: |taking| (at_restart(taking, "").0, Cow::Borrowed("cloud-init reaches the guest through it")),
        kept: Kept::Not,
        ..Row::own(DRIVE, &PLACES)
    },
    // Two VMs with one address would be worse than none.
    Row {
        read: |live| live.fixed_addresses.iter().any(is_other).then_some(Value::Switch(true)),
        inherited: |vm, live| fixed_others(vm, live).next().is_some(),
        write: |vm, _, edit| {
            let others: Vec<&String> = fixed_others(vm, edit.live).collect();
            for option in others {
                edit.put(option, "");
            }
        },
        kept: Kept::Not,
        ..Row::own("", &OTHER_CARDS)
    },
];

/// The addresses of the cards that no key describes: Proxmox has up to 32 of them.
const OTHER_CARDS: [&str; 31] = [
    "ipconfig1",
    "ipconfig2",
    "ipconfig3",
    "ipconfig4",
    "ipconfig5",
    "ipconfig6",
    "ipconfig7",
    "ipconfig8",
    "ipconfig9",
    "ipconfig10",
    "ipconfig11",
    "ipconfig12",
    "ipconfig13",
    "ipconfig14",
    "ipconfig15",
    "ipconfig16",
    "ipconfig17",
    "ipconfig18",
    "ipconfig19",
    "ipconfig20",
    "ipconfig21",
    "ipconfig22",
    "ipconfig23",
    "ipconfig24",
    "ipconfig25",
    "ipconfig26",
    "ipconfig27",
    "ipconfig28",
    "ipconfig29",
    "ipconfig30",
    "ipconfig31",
];

impl Row {
    const fn part(key: Key, part: &'static str, options: &'static [&'static str]) -> Self {
        Self { part, uptake: at_next_boot, ..Self::of(key, options) }
    }
}

/// Where a drive is to be added so that what is desired reaches the guest; `None`: none is needed, or no place is free.
#[must_use]
pub fn new_drive(vm: &DesiredVm, live: &VmObserved) -> Option<&'static str> {
    let needed = vm.tells_cloud_init() && live.cloud_init.drive.is_none();
    let free = |device: &&str| {
        !live.drives.contains(device) && !vm.cdrom.contains_key(device) && !vm.disks.contains_key(device)
    };
    PLACES.into_iter().filter(|_| needed).find(free)
}

/// Whether what is desired cannot reach the guest: it has no drive, and none can be added.
#[must_use]
pub fn lacks_drive(vm: &DesiredVm, live: &VmObserved) -> bool {
    vm.tells_cloud_init() && live.cloud_init.drive.is_none() && new_drive(vm, live).is_none()
}

fn add_drive(vm: &DesiredVm, _: Option<&Value<'_>>, edit: &mut Edit<'_>) {
    let Some(device) = new_drive(vm, edit.live) else { return };
    let drive = match edit.left_drive {
        Some(volume) => format!("{volume},media=cdrom"),
        None => format!("{}:cloudinit", vm.boot_disk_storage),
    };
    edit.put(device, drive);
}

fn at_next_boot<'a>(taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    at_restart(taking, "the guest reads it when it boots next")
}

fn nameserver(vm: &DesiredVm) -> Option<&String> {
    vm.network_config.as_ref()?.nameserver.as_ref()
}

fn searchdomain(vm: &DesiredVm) -> Option<&String> {
    vm.network_config.as_ref()?.searchdomain.as_ref()
}

fn username(vm: &DesiredVm) -> Option<&String> {
    vm.user_config.as_ref()?.username.as_ref()
}

fn secret(vm: &DesiredVm) -> Option<&Secret> {
    vm.user_config.as_ref()?.password.as_ref()
}

/// The digest of the password that phoenix set, as the record keeps it, while one is set.
fn known_password(live: &VmObserved) -> Option<&str> {
    live.options.get(PASSWORD_OPTION)?;
    live.record.valid()?.applied.get(PASSWORD)
}

fn password(live: &VmObserved) -> Option<Value<'_>> {
    live.options.get(PASSWORD_OPTION)?;
    Some(Value::text(known_password(live).unwrap_or(A_PASSWORD)))
}

/// The password that is desired, by its digest; in the words of the record where that has the same. One whose value is
/// not there is compared with nothing.
fn desired_password<'a>(secret: &'a Secret, live: Option<&VmObserved>) -> Wish<'a> {
    let Some(digest) = secret.digest() else { return Wish::Leave };
    let known = live.and_then(known_password).filter(|known| is_kept(known, &kept(digest)));
    Wish::Value(known.map_or(Value::text(digest), |known| Value::Text(Cow::Owned(known.to_owned()))))
}

fn ssh_keys(vm: &DesiredVm) -> Option<&Vec<SshKey>> {
    vm.user_config.as_ref()?.ssh_authorized_keys.as_ref()
}

fn text<'a>(text: Option<String>) -> Option<Value<'a>> {
    text.map(|text| Value::Text(Cow::Owned(text)))
}

/// The wish for a part: nothing where the file does not have it, that it is not set where it has it empty.
fn told<'a, T>(wish: Option<&T>, words: impl Fn(&T) -> Option<String>) -> Wish<'a> {
    match wish {
        None => Wish::Leave,
        Some(wish) => text(words(wish)).map_or(Wish::Unset, Wish::Value),
    }
}

fn named(key: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{key}={value}"))
}

fn address(v6: bool, address: &Address) -> Option<String> {
    let (ip, gw) = names(v6);
    let gw = address.gw.as_ref().map(|gateway| format!(", {gw}={gateway}")).unwrap_or_default();
    (!address.is_none()).then(|| format!("{ip}={}{gw}", address.ip))
}

/// Gives the first card an address, or takes it away. Where none of either kind is left it asks DHCP, and says so: a
/// guest that is told nothing has no network at all where its image does not ask by itself. Where the file wants none
/// of a kind, that is meant.
fn put_address(vm: &DesiredVm, edit: &mut Edit<'_>, v6: bool, is_set: bool) {
    let network = vm.network_config.as_ref();
    let (ip4, ip6) = (network.and_then(|own| own.ip.as_ref()), network.and_then(|own| own.ip6.as_ref()));
    let none_is_meant = [ip4, ip6].into_iter().flatten().any(Address::is_none);
    let wish = if v6 { ip6 } else { ip4 }.filter(|_| is_set);
    let now = edit.get("ipconfig0");
    let (ip, gw) = names(v6);
    let mut text = PropertyString::parse(now);
    match wish {
        Some(wish) => text.set(ip, &wish.ip),
        None => text.remove(ip),
    }
    match wish.and_then(|wish| wish.gw.as_ref()) {
        Some(gateway) => text.set(gw, gateway),
        None => text.remove(gw),
    }
    if text.parts.is_empty() && !now.is_empty() && !none_is_meant {
        text.set("ip", "dhcp");
    }
    let text = text.to_string();
    edit.put("ipconfig0", text);
}

/// Options of fixed addresses of further cards that the file says nothing of.
fn fixed_others<'v>(vm: &DesiredVm, live: &'v VmObserved) -> impl Iterator<Item = &'v String> {
    live.fixed_addresses.iter().filter(|option| is_other(option) && !vm.networks.contains_key(option.as_str()))
}

fn is_other(option: &String) -> bool {
    option != "ipconfig0"
}
