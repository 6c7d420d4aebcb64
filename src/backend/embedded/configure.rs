//! Writing the configuration of a VM (`qm set`).

use super::super::proxmox::answer;
use super::Embedded;
use super::cdrom;
use super::cloud_init::{self, Drive};
use super::options::{self, Uptake, normal_value, uptake};
use super::password::hashed;
use super::refusals::{refused, unchanged, unlocked};
use super::rehearse::Attempt;
use crate::hypervisor::{Effect, Fault, FaultKind};
use crate::model::proxmox::{self, Taken, When, bounds};
use crate::model::{Digest, VmId};
use crate::observed::options::PASSWORD_OPTION;
use crate::observed::{Conf, ConfigWrite, Net, PropertyString, VmObserved, holds_volume, print_size, volume_of};

/// Values to write, and drives for cloud-init.
type Checked<'w> = (Vec<(&'w str, String)>, Vec<(&'w str, Drive)>);

/// Checks every parameter before anything changes and returns the values as they will be stored.
fn checked(write: &ConfigWrite) -> Result<Checked<'_>, Fault> {
    if write.is_empty() {
        return Err(Fault::harmless(FaultKind::Refused, "no options specified"));
    }
    let mut wrong = Vec::new();
    let (mut values, mut drives) = (Vec::new(), Vec::new());
    for (key, value) in &write.set {
        match normal_value(key, value) {
            _ if holds_volume(key) => match Drive::parse(value) {
                Some(drive) => drives.push((key.as_str(), drive)),
                None => values.push((key.as_str(), value.clone())),
            },
            Ok(value) if key == PASSWORD_OPTION => values.push((key.as_str(), hashed(&value)?)),
            Ok(value) => values.push((key.as_str(), value)),
            Err(why) => wrong.push(format!("{key}: {why}")),
        }
        if write.delete.contains(key) {
            wrong.push(format!("delete: you can't use '-{key}' and -delete {key}' at the same time"));
        }
    }
    let unknown = write.delete.iter().filter(|key| !options::is_known(key) && !holds_volume(key));
    wrong.extend(unknown.map(|key| format!("delete: unknown option '{key}'")));
    if wrong.is_empty() { Ok((values, drives)) } else { Err(refused(&wrong)) }
}

impl Embedded {
    /// One write of a VM's configuration. A stopped VM takes everything over; a running one what it can, and the rest
    /// waits in `[PENDING]`.
    pub(super) fn configure(
        &self,
        vm: VmId,
        write: &ConfigWrite,
        digest: Option<&Digest>,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        let (mut values, drives) = checked(write)?;
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        unchanged(&text, digest)?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        let (mut discs, mut attached) = (Vec::new(), Vec::new());
        for (key, value) in values.iter_mut().filter(|(key, _)| holds_volume(key)) {
            match self.cd_drive(key, value, conf.get(key))? {
                Some(stored) => {
                    *value = stored;
                    discs.push(*key);
                }
                None if conf.get(key).is_none() && conf.pending(key).is_none() => {
                    *value = self.attach(vm, key, value)?;
                    attached.push(value.clone());
                }
                None => options_only(key, conf.get(key).unwrap_or_default(), value)?,
            }
        }
        for key in write.delete.iter().filter(|key| holds_volume(key)) {
            detachable(key, &text, vm)?;
        }
        let live = self.runs(vm)?.then(|| VmObserved::from_conf(vm, &text, true));
        if live.is_none() {
            // As Proxmox does: a write to a stopped VM takes over whatever still waits.
            apply_pending(&mut conf);
        }
        for (key, drive) in drives {
            let drive = match drive {
                Drive::Blank { .. } | Drive::Import { .. }
                    if conf.get(key).is_some() || conf.pending(key).is_some() =>
                {
                    return Err(refused(&[format!("{key}: an embedded node keeps the disk that is there")]));
                }
                // The firmware and the TPM know how much they remember.
                Drive::Blank { storage, options, .. } if proxmox::holds_state(key) => {
                    Drive::Blank { storage, size: cloud_init::SIZE, options }
                }
                drive => drive,
            };
            values.push((key, self.new_drive(vm, &drive, attempt.deadline)?));
        }
        if let Some(order) = write.set.get("boot") {
            cdrom::bootable(&conf, write, order)?;
        } else {
            let deleted: Vec<&str> = write.delete.iter().map(String::as_str).collect();
            values.extend(cdrom::order_with(&conf, &discs, &deleted).map(|order| ("boot", order)));
        }
        let before = conf.clone();
        let mut problems = Vec::new();
        for (key, value) in &values {
            if live.as_ref().is_none_or(|live| self.takes_over(live, key, Some(value), &mut problems)) {
                conf.clear_pending(key);
                set(&mut conf, key, value);
            } else if conf.get(key) == Some(value.as_str()) {
                conf.clear_pending(key);
            } else {
                conf.set_pending(key, value);
            }
        }
        unused_no_more(&mut conf, &attached);
        for key in &write.delete {
            if live.as_ref().is_none_or(|live| self.takes_over(live, key, None, &mut problems))
                || conf.get(key).is_none()
            {
                conf.clear_pending(key);
                delete(&mut conf, key);
            } else {
                conf.delete_pending(key);
            }
        }
        if live.is_some() {
            cloud_init::note_changes(&mut conf, &before);
        }
        let sizes = ["memory", "balloon"];
        if write.options().any(|option| sizes.contains(&option)) {
            bounded(&conf)?;
        }
        let erased = erased(&before, &conf, write, vm)?;
        attempt.halfway()?;
        self.write_conf(vm, &conf.to_string())?;
        erased.iter().try_for_each(|volume| self.volumes_on_disk().erase(volume, vm))?;
        if problems.is_empty() {
            return Ok(());
        }
        // The change is kept and waits: that is what Proxmox does, too.
        let refused = refused(&problems);
        let options = answer::options(FaultKind::Hotplug, &refused.what);
        let at_restart = answer::at_restart(FaultKind::Hotplug, &refused.what);
        Err(Fault { kind: FaultKind::Hotplug, effect: Effect::Maybe, options, at_restart, ..refused })
    }

    /// The value of a disk that is a volume which is there, as it is stored: with the volume's size. Unlike Proxmox,
    /// this node attaches no volume of another VM.
    fn attach(&self, vm: VmId, key: &str, value: &str) -> Result<String, Fault> {
        let named = volume(value).unwrap_or_default();
        let volumes = self.volumes_on_disk();
        if !volumes.list(vm, &self.storages_of(vm, false)?)?.iter().any(|there| same_volume(there, &named)) {
            return Err(Fault::harmless(FaultKind::Missing, format!("{key}: volume '{named}' does not exist")));
        }
        options_only(key, &named, value)?;
        let mut text = PropertyString::parse(value);
        if let Some(size) = volumes.size(&named, vm)? {
            text.set("size", &print_size(size));
        }
        Ok(text.to_string())
    }

    /// Whether a running VM takes this over at once. A card on a bridge that is not there is a problem.
    fn takes_over(&self, live: &VmObserved, key: &str, value: Option<&str>, problems: &mut Vec<String>) -> bool {
        if let Some(problem) = self.held(live, key, value) {
            problems.push(problem);
            return false;
        }
        match uptake(key) {
            Uptake::Live => true,
            Uptake::Start => false,
            Uptake::Disk if value.is_some_and(|value| self.plugs_nothing(live, key, value)) => {
                problems.push(format!("{key}: hotplug problem - unable to parse volume ID 'none'"));
                false
            }
            Uptake::Disk => self.takes_disk_over(live, key, value),
            Uptake::Named(Taken::Vcpus) | Uptake::Network if !self.machines().plugs() => false,
            Uptake::Named(taken) => named(live, key, value.unwrap_or_default(), taken),
            Uptake::Memory => {
                let hot = live.hotplug.contains("memory");
                // A smaller one would take what the guest may be using.
                let more = value.and_then(|value| value.parse().ok()).is_some_and(|mib: u64| mib > live.memory_mb);
                hot && more && self.machines().plugs()
            }
            Uptake::Network if !rewires(live, key, value) && !live.hotplug.contains("network") => false,
            Uptake::Network => {
                let bridge = value.and_then(Net::parse).and_then(|net| net.bridge);
                if bridge.is_none_or(|bridge| self.room_of(live.id).bridges.contains_key(&bridge)) {
                    return true;
                }
                problems.push(format!(
                    "{key}: hotplug problem - VM {} qmp command 'netdev_add' failed - network script \
                     /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512",
                    live.id
                ));
                false
            }
        }
    }

    /// Whether a running VM takes a disk that is changed, plugged in or unplugged over at once (recorded).
    fn takes_disk_over(&self, live: &VmObserved, key: &str, value: Option<&str>) -> bool {
        match (active(live, key), value) {
            (Some(now), Some(value)) if cdrom::disc(now).is_some() => {
                cdrom::disc(value).is_some() && self.machines().plugs() && !live.pending.contains_key(key)
            }
            (Some(now), Some(value)) => takes_disk(now, value),
            _ => self.plugs_disks(live, key),
        }
    }

    /// Whether a disk or a CD drive is plugged into a running VM, and out of it.
    pub(super) fn plugs_disks(&self, live: &VmObserved, key: &str) -> bool {
        let hot = live.hotplug.contains("disk") && self.machines().plugs();
        hot && (key.starts_with("scsi") || key.starts_with("virtio"))
    }

    /// Whether an empty drive is to be plugged in, which Proxmox cannot (recorded).
    fn plugs_nothing(&self, live: &VmObserved, key: &str, value: &str) -> bool {
        live.options.get(key).is_none() && cdrom::disc(value).as_deref() == Some("none") && self.plugs_disks(live, key)
    }
}

/// What a running VM has of an option, whatever is configured by now: with that Proxmox compares (recorded).
fn active<'v>(live: &'v VmObserved, key: &str) -> Option<&'v str> {
    live.pending.get(key).map_or_else(|| live.options.get(key), |waits| waits.active.as_deref())
}

/// Whether a volume that is listed is the one that is named: that of a linked clone also names what it is built on.
fn same_volume(listed: &str, named: &str) -> bool {
    let split = |text: &str| {
        let (storage, name) = text.split_once(':').unwrap_or_default();
        (storage.to_owned(), name.rsplit('/').next().unwrap_or_default().to_owned())
    };
    split(listed) == split(named)
}

/// Takes out the lines of unused volumes that are attached.
fn unused_no_more(conf: &mut Conf<'_>, attached: &[String]) {
    let named: Vec<Option<String>> = attached.iter().map(|text| volume(text)).collect();
    let is_attached = |text: &str| named.contains(&volume(text));
    let unused = conf.entries().filter(|(key, text)| key.starts_with("unused") && is_attached(text));
    let unused: Vec<String> = unused.map(|(key, _)| key.to_owned()).collect();
    for key in unused {
        conf.remove(&key);
    }
}

/// The volume of a disk, as its option has it.
fn volume(text: &str) -> Option<String> {
    volume_of(text).map(ToOwned::to_owned)
}

/// Refuses to detach what is no disk, or what the VM boots from.
fn detachable(key: &str, text: &str, vm: VmId) -> Result<(), Fault> {
    let live = VmObserved::from_conf(vm, text, true);
    let drive = live.options.get(key).unwrap_or_default();
    let boots = live.boot_disk.as_ref().is_some_and(|disk| disk.device == key);
    match () {
        () if boots => Err(refused(&[format!("{key}: hotplug problem - can't unplug bootdisk '{key}'")])),
        () if drive.contains("cloudinit") => {
            Err(refused(&[format!("delete: an embedded node does not remove cloud-init drives ('{key}')")]))
        }
        () => Ok(()),
    }
}

/// The unused volumes that are erased, as Proxmox does with one whose option is deleted (recorded).
fn erased(before: &Conf<'_>, now: &Conf<'_>, write: &ConfigWrite, vm: VmId) -> Result<Vec<String>, Fault> {
    let unused = write.delete.iter().filter(|key| key.starts_with("unused"));
    let volumes: Vec<String> = unused.filter_map(|key| before.get(key)).map(ToOwned::to_owned).collect();
    let live = VmObserved::from_conf(vm, &now.to_string(), true);
    match volumes.iter().find(|volume| live.names(volume)) {
        Some(volume) => Err(refused(&[format!("volume '{volume}' is still in use (snapshot?)")])),
        None => Ok(volumes),
    }
}

/// Refuses a write of a disk that is to have another volume, or an option that no disk has.
fn options_only(key: &str, now: &str, value: &str) -> Result<(), Fault> {
    if volume(value).is_none() || volume(value) != volume(now) {
        return Err(refused(&[format!("{key}: an embedded node makes disks only by cloning")]));
    }
    let Some(option) = proxmox::boot_disk() else { return Ok(()) };
    let own = option.own(value);
    if own.is_empty() {
        return Ok(());
    }
    option
        .read(&own.into())
        .map_or_else(|wrong| Err(refused(&[format!("{key}: invalid format - {wrong}")])), |_| Ok(()))
}

/// Whether a running VM takes all that changes of a disk over at once (recorded).
fn takes_disk(now: &str, value: &str) -> bool {
    let Some(option) = proxmox::boot_disk() else { return false };
    let (old, new) = (option.to_parts(&option.own(now)), option.to_parts(&option.own(value)));
    let same = |part: &String| old.get(part) == new.get(part);
    let at_once = |part: &String| proxmox::is_live_part(part) || proxmox::is_silent_part(part);
    volume(now) == volume(value) && old.keys().chain(new.keys()).all(|part| same(part) || at_once(part))
}

/// Whether only the node's end of a card changes, which needs no hotplug (recorded).
fn rewires(live: &VmObserved, key: &str, value: Option<&str>) -> bool {
    let card = |text: &str| {
        let Net { model, mac, mut rest, .. } = Net::parse(text)?;
        rest.retain(|(part, _)| !["firewall", "link_down", "rate", "tag", "trunks"].contains(&part.as_str()));
        Some((model, mac, rest))
    };
    let now = active(live, key).and_then(card);
    now.is_some() && now == value.and_then(card)
}

/// Whether a running VM takes an option of the table over at once (recorded).
fn named(live: &VmObserved, key: &str, value: &str, taken: Taken) -> bool {
    let hot = |feature: &str| live.hotplug.contains(feature);
    let now = active(live, key).unwrap_or_default();
    let prepared = |text: &str| text.split(',').any(|word| word == "cpu" || word == "memory");
    match taken {
        Taken::Live | Taken::Boot => true,
        Taken::Restart | Taken::Card | Taken::Drive => false,
        Taken::Agent => {
            let others = |text: &str| {
                let mut agent = PropertyString::parse(text);
                agent.remove("fstrim_cloned_disks");
                agent.to_string()
            };
            others(now) == others(value)
        }
        Taken::Usb => hot("usb"),
        Taken::Vcpus => hot("cpu"),
        Taken::Balloon => (now == "0") == (value == "0"),
        Taken::Hotplug => !prepared(now) && !prepared(value),
    }
}

/// Refuses what Proxmox refuses when options are set that bound each other.
fn bounded(conf: &Conf<'_>) -> Result<(), Fault> {
    let pending = |name: &str| conf.pending_entries().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let deleted = |name: &str| conf.pending_deletes().any(|(key, _)| key == name);
    let value = |name: &str| pending(name).or_else(|| conf.get(name).filter(|_| !deleted(name)).map(ToOwned::to_owned));
    match bounds(&value).into_iter().find(|bound| bound.when == When::Set) {
        Some(bound) => {
            Err(Fault::harmless(FaultKind::Refused, bound.words).about(bound.options.iter().map(String::as_str)))
        }
        None => Ok(()),
    }
}

fn set(conf: &mut Conf<'_>, key: &str, value: &str) {
    if key == "description" { conf.set_description(value) } else { conf.set(key, value) }
}

fn delete(conf: &mut Conf<'_>, key: &str) {
    if key == "description" {
        conf.set_description("");
        return;
    }
    let is_disk = |drive: &&str| holds_volume(key) && cdrom::disc(drive).is_none();
    let detached = conf.get(key).filter(is_disk).and_then(volume);
    conf.remove(key);
    if let Some(volume) = detached {
        let free = (0..256).map(|n| format!("unused{n}")).find(|key| conf.get(key).is_none());
        conf.set(&free.unwrap_or_default(), &volume);
    }
}

/// Takes over everything that waits.
pub(super) fn apply_pending(conf: &mut Conf<'_>) {
    let values: Vec<(String, String)> =
        conf.pending_entries().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let deletes: Vec<String> = conf.pending_deletes().map(|(key, _)| key.to_owned()).collect();
    for key in deletes {
        delete(conf, &key);
    }
    for (key, value) in values {
        set(conf, &key, &value);
    }
    conf.drop_pending();
}
