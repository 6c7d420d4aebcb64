//! Options of Proxmox that a file sets by their own names or their slots: what a VM has, what is desired, and how it is
//! taken over.

use std::borrow::Cow;

use super::edit::Edit;
use super::taking::{NO_CARDS, Taking, at_once, at_restart};
use super::value::{Value, Wish};
use super::{cdrom, disks};
use crate::model::proxmox::{BOOT_DISK, DISKS, ProxmoxOption, Taken, is_live_part, is_silent_part};
use crate::model::{DesiredVm, Disruption, is_kept, is_kept_as_digest, kept};
use crate::observed::{Net, PropertyString, VmObserved};

/// Parts of a network card that change without unplugging it (recorded; `tag`, `rate` and `trunks` by Proxmox's
/// sources).
const PLUGGED_PARTS: [&str; 6] = ["bridge", "firewall", "link_down", "rate", "tag", "trunks"];

pub(super) fn read<'a>(option: &ProxmoxOption, live: &'a VmObserved) -> Option<Value<'a>> {
    if cdrom::is_drive(option) {
        return Some(Value::Text(Cow::Owned(cdrom::disc(option, live)?)));
    }
    let own = option.own(now(option, live)?);
    if is_disk(option) {
        return Some(Value::Text(Cow::Owned(disks::attached(&own))));
    }
    (!own.is_empty()).then_some(Value::Text(Cow::Owned(own)))
}

/// What Proxmox calls an option of this VM: the boot disk is another device in each.
pub(super) fn name<'v>(option: &'v ProxmoxOption, live: &'v VmObserved) -> Option<&'v str> {
    if option.name == BOOT_DISK { Some(&live.boot_disk.as_ref()?.device) } else { Some(option.name) }
}

fn now<'v>(option: &'v ProxmoxOption, live: &'v VmObserved) -> Option<&'v str> {
    live.options.get(name(option, live)?)
}

/// What a running VM has of an option: what waits for its next start does not count.
fn in_force<'v>(option: &'v ProxmoxOption, live: &'v VmObserved) -> &'v str {
    let of = |name| live.pending.get(name).map_or_else(|| live.options.get(name), |waits| waits.active.as_deref());
    name(option, live).and_then(of).unwrap_or_default()
}

/// What the value of an option is made from: what it says now, and of a card that is to be removed at the next start
/// what it has until then, so that it keeps its MAC address.
fn base<'v>(option: &'v ProxmoxOption, live: &'v VmObserved) -> Option<&'v str> {
    now(option, live).or_else(|| leaving(option.name, live))
}

/// The card that a running VM has and is to lose at its next start.
pub(super) fn leaving<'v>(name: &str, live: &'v VmObserved) -> Option<&'v str> {
    let change = live.pending.get(name).filter(|_| name.starts_with("net"))?;
    change.active.as_deref().filter(|_| live.running && change.pending.is_none())
}

/// What phoenix set at the last apply; empty where the record's digest no longer says what that was.
fn before(option: &ProxmoxOption, desired: &DesiredVm, live: Option<&VmObserved>) -> Option<String> {
    let live = live?;
    let was = live.record.valid()?.applied.get(option.key)?;
    if !is_kept_as_digest(was) {
        return Some(was.to_owned());
    }
    let known = [desired.option(option).map(|file| file.value.clone()), now(option, live).map(|now| option.own(now))];
    Some(known.into_iter().flatten().find(|value| is_kept(was, &kept(value))).unwrap_or_default())
}

pub(super) fn wish<'a>(option: &ProxmoxOption, desired: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
    let now = live.and_then(|live| base(option, live)).unwrap_or_default();
    over(option, desired, live, now)
}

/// What an option of a new VM becomes: what the template has and the file does not say stays, but for addresses.
pub(super) fn becomes<'a>(option: &ProxmoxOption, desired: &'a DesiredVm, template: Option<&VmObserved>) -> Wish<'a> {
    if let Some(disk) = desired.disks.get(option.name).filter(|_| is_disk(option))
        && template.and_then(|template| now(option, template)).is_none()
    {
        return some(disks::new(option, disk));
    }
    let inherits = !option.name.starts_with("ipconfig");
    let now = template.filter(|_| inherits).and_then(|template| now(option, template)).unwrap_or_default();
    let now = option.without_identity(now);
    desired.option(option).map_or(Wish::Leave, |file| {
        let text = option.merged(&now, &file.value, "");
        some(if is_disk(option) { disks::attached(&text) } else { text })
    })
}

/// What is desired of an option that is `now`.
fn over<'a>(option: &ProxmoxOption, desired: &'a DesiredVm, live: Option<&VmObserved>, now: &str) -> Wish<'a> {
    let was = before(option, desired, live);
    if let (true, Some(live)) = (is_disk(option), live) {
        match desired.disks.get(option.name) {
            Some(disk) if live.options.get(option.name).is_none() => return some(disks::new(option, disk)),
            // What firmware and a TPM remember is made once, and never taken away.
            _ if disks::is_fixed(option) => return Wish::Leave,
            _ => {}
        }
    }
    match (desired.option(option), &was) {
        (None, Some(was)) if cdrom::is_drive(option) => return cdrom::left(option, live, was),
        // What it was before, nothing says.
        (None, _) if cdrom::is_order(option) => return Wish::Leave,
        _ => {}
    }
    let text = |text: String| if is_disk(option) { disks::attached(&text) } else { text };
    match (desired.option(option), was) {
        (Some(file), was) => some(text(option.merged(now, &file.value, &was.unwrap_or_default()))),
        (None, None) => Wish::Leave,
        // What was there before phoenix said something of it stays; a VM without its uuid would have lost its identity
        // for good.
        (None, Some(was)) if stays(option, live) => some(text(option.merged(now, "", &was))),
        (None, Some(_)) => Wish::Unset,
    }
}

/// Whether it is a further disk.
fn is_disk(option: &ProxmoxOption) -> bool {
    option.key.starts_with(DISKS)
}

/// Whether an option that the file does not say any more keeps what else it says.
fn stays(option: &ProxmoxOption, live: Option<&VmObserved>) -> bool {
    let made = || live.and_then(|live| live.record.valid()).is_some_and(|record| record.made.contains(option.name));
    match option.name {
        "agent" | "smbios1" | "net0" | BOOT_DISK => true,
        name => (name.starts_with("net") || is_disk(option)) && !made(),
    }
}

fn some<'a>(text: String) -> Wish<'a> {
    if text.is_empty() { Wish::Unset } else { Wish::Value(Value::Text(Cow::Owned(text))) }
}

/// Writes what is desired into the options, merged into what else the write says of them.
pub(super) fn put(option: &ProxmoxOption, desired: &DesiredVm, edit: &mut Edit<'_>) {
    let live = edit.live;
    let Some(name) = name(option, live) else { return };
    let now = match edit.get(name) {
        "" => leaving(option.name, live).unwrap_or_default(),
        now => now,
    };
    let now = now.to_owned();
    let new = match over(option, desired, Some(live), &now) {
        Wish::Leave => return,
        Wish::Unset => String::new(),
        Wish::Value(value) => value.to_string(),
    };
    let text = match option.name {
        _ if cdrom::is_order(option) => return cdrom::put_order(&new, edit),
        _ if cdrom::is_drive(option) && !new.is_empty() => cdrom::drive(&now, &new),
        _ if is_disk(option) && (now.is_empty() || new.is_empty()) => new,
        _ if is_disk(option) => with_parts(&now, option, &option.own(&new)),
        BOOT_DISK => with_parts(&now, option, &new),
        "agent" => agent(&now, option, &new),
        "net0" => first_card(&now, &new).unwrap_or(now),
        name if name.starts_with("net") => Net::parse(&new).map_or(new, |net| net.to_string()),
        _ => new,
    };
    edit.put(name, text);
}

/// A disk with these options, its volume and whatever else it says as they are.
fn with_parts(now: &str, option: &ProxmoxOption, new: &str) -> String {
    let mut disk = PropertyString::parse(now);
    let (old, new) = (PropertyString::parse(&option.own(now)), PropertyString::parse(new));
    for (part, _) in &old.parts {
        if new.get(part).is_none() {
            disk.remove(part);
        }
    }
    for (part, value) in &new.parts {
        if old.get(part) != Some(value) {
            disk.set(part, value);
        }
    }
    disk.to_string()
}

/// The guest agent with these parts; whether it is on, which Proxmox wants to be said, as it is.
fn agent(now: &str, option: &ProxmoxOption, new: &str) -> String {
    let mut agent = PropertyString::parse(&with_parts(now, option, new));
    if agent.get("enabled").or(agent.get("")).is_none() {
        agent.parts.insert(0, ("enabled".to_owned(), "0".to_owned()));
    }
    agent.to_string()
}

/// The first card, its model and its bridge as they are, with these parts.
fn first_card(now: &str, new: &str) -> Option<String> {
    let now = Net::parse(now)?;
    let mut rest = PropertyString::parse(new);
    let mac = rest.get("macaddr").map(ToOwned::to_owned);
    rest.remove("macaddr");
    Some(Net { mac: mac.or(now.mac), rest: rest.parts, ..now }.to_string())
}

/// The parts of which one value says something else than the other.
fn differing(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (PropertyString::parse(old), PropertyString::parse(new));
    let names = old.parts.iter().chain(&new.parts).map(|(name, _)| name);
    names.filter(|name| old.get(name) != new.get(name)).cloned().collect()
}

/// How a running VM takes it over (recorded).
pub(super) fn taken<'a>(option: &ProxmoxOption, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let live = taking.live;
    let hot = |feature: &str| live.hotplug.contains(feature);
    let wish = wish(option, taking.desired, Some(live));
    let new = wish.value().map(ToString::to_string).unwrap_or_default();
    let old = now(option, live).unwrap_or_default();
    if cdrom::is_drive(option) {
        return cdrom::taken(option, Some(new.as_str()).filter(|new| !new.is_empty()), taking);
    }
    if cdrom::is_order(option) {
        return at_restart(taking, "the VM looks at it when it starts");
    }
    if is_disk(option) && (old.is_empty() || new.is_empty()) {
        return disks::plugged(option, old.is_empty(), taking);
    }
    let runs = in_force(option, live);
    let whole = |text: &str| text.split(',').any(|word| word == "cpu" || word == "memory");
    let why_later = match option.spec.taken {
        Taken::Live => None,
        Taken::Boot => return at_restart(taking, "the guest reads it when it boots next"),
        Taken::Usb => (!hot("usb")).then_some("USB hotplug is off"),
        Taken::Vcpus => (!hot("cpu")).then_some("CPU hotplug is off"),
        Taken::Balloon => ((runs == "0") != (new == "0")).then_some("ballooning is switched at a start only"),
        Taken::Hotplug => (whole(runs) || whole(&new)).then_some("CPUs and memory are prepared at a start only"),
        Taken::Restart => Some(""),
        Taken::Agent => {
            let [is, will] = [runs, &new].map(|value| option.own(value));
            let later = runs.is_empty() || differing(&is, &will).iter().any(|part| part != "fstrim_cloned_disks");
            later.then_some("its device is made at a start only")
        }
        Taken::Card => {
            return card(&option.own(old), &new, leaving(option.name, live).map(|card| option.own(card)), taking);
        }
        Taken::Drive => {
            let later = !differing(&option.own(old), &option.own(&new)).iter().all(|part| is_live_part(part));
            later.then_some("the disk is opened at a start only")
        }
    };
    why_later.map_or_else(|| at_once(taking, ""), |why| at_restart(taking, why))
}

/// Whether the disk of a running VM gets a part that QEMU takes over at its next start, and that no pending value tells
/// of.
pub(super) fn is_late(option: &ProxmoxOption, desired: &DesiredVm, live: &VmObserved) -> bool {
    if !live.running || !(is_disk(option) || option.name == BOOT_DISK) {
        return false;
    }
    let wish = wish(option, desired, Some(live));
    let old = now(option, live).unwrap_or_default();
    let Some(new) = wish.value().map(ToString::to_string).filter(|_| !old.is_empty()) else { return false };
    differing(&option.own(old), &option.own(&new)).iter().any(|part| is_silent_part(part))
}

/// How a running VM takes a card that is added, changed or removed.
/// `leaving`: what it has until its next start, where it was to be removed then.
fn card<'a>(old: &str, new: &str, leaving: Option<String>, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    if !taking.live.running {
        return (Disruption::None, Cow::Borrowed(""));
    }
    if !taking.capabilities.plugs_network {
        return at_restart(taking, "network cards stay while it runs");
    }
    let rewired = !old.is_empty() && !new.is_empty() && leaving.is_none();
    let rewired = rewired && differing(old, new).iter().all(|part| PLUGGED_PARTS.contains(&part.as_str()));
    if !rewired && !taking.plugs_cards() {
        return at_restart(taking, NO_CARDS);
    }
    if let Some(leaving) = leaving.filter(|_| old.is_empty()) {
        let stays = differing(&leaving, new).iter().all(|part| PLUGGED_PARTS.contains(&part.as_str()));
        return if stays {
            at_once(taking, "it stays plugged in: its removal, which waited, is taken back")
        } else {
            (
                Disruption::Network,
                Cow::Borrowed("its removal, which waited, is taken back; it is unplugged and plugged again"),
            )
        };
    }
    if old.is_empty() {
        return at_once(taking, "the card is plugged in");
    }
    if new.is_empty() {
        return (Disruption::Network, Cow::Borrowed("the guest loses this card"));
    }
    if rewired {
        return at_once(taking, "the card stays plugged in");
    }
    (Disruption::Network, Cow::Borrowed("the card is unplugged and plugged again"))
}
