//! What a config would say of VMs that exist.
//!
//! Pure. What is found is what is written: whether the config takes it, and what a plan makes of it, is for the caller
//! to see.

mod again;
mod beyond;
mod disks;
mod found;
mod regained;
mod remembered;
mod unsaid;

use found::own_addresses;
pub use found::{Found, Write, known_dependencies, leave_cloud_init};

use std::collections::{BTreeMap, BTreeSet};

use regained::File;
use serde_json::{Value, json};

use super::existing::{Situation, absent, situation};
use super::steps::adopt::room;
use super::{codes, earlier, lock, placement};
use crate::diag::Diagnostic;
use crate::model::{DataPart, Desired, DesiredVm, HaWish, Key, Ready, Record, VmId};
use crate::observed::{Ha, Net, Observed, VmObserved, is_disk_key, options};

/// Looks at VMs: what a config would say of each, by VMID, and why it cannot of the others.
#[must_use]
pub fn look(vms: &BTreeSet<VmId>, desired: &Desired, observed: &Observed) -> (Vec<Found>, Vec<Diagnostic>) {
    let mut names: BTreeMap<String, VmId> =
        desired.vms.iter().map(|vm| (vm.vm_name.to_ascii_lowercase(), vm.vm_id)).collect();
    let file = File::of(desired);
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for vm in vms {
        match one(*vm, &file, observed, &mut names) {
            Ok(one) => found.push(one),
            Err(why) => problems.extend(why),
        }
    }
    known_dependencies(&mut found, desired);
    own_addresses(&mut found, desired);
    (found, problems)
}

/// Looks at one VM; why a config cannot say anything of it, otherwise. `names` gets its name.
fn one(
    vm: VmId,
    file: &File<'_>,
    observed: &Observed,
    names: &mut BTreeMap<String, VmId>,
) -> Result<Found, Vec<Diagnostic>> {
    let desired = file.desired;
    let declared = desired.vm(vm);
    let Subject { live, uuid, record, refused } =
        subject(vm, desired, observed).map_err(|problem| vec![problem.vm(vm)])?;
    if declared.is_some() && record.is_some() {
        return Ok(Found { vm, write: Write::Nothing, notices: Vec::new() });
    }
    let mut problems: Vec<Diagnostic> = refused.into_iter().chain(lock::lock(vm, live, observed)).collect();
    let mut notices = Vec::new();
    let write = if let Some(declared) = declared {
        let adopts = |uuid: &String| declared.adopt.as_ref().is_some_and(|adopt| adopt.eq_ignore_ascii_case(uuid));
        match uuid {
            Some(uuid) if !adopts(&uuid) => Write::Adopt(uuid.to_ascii_lowercase()),
            _ => Write::Nothing,
        }
    } else {
        problems.extend(names_nobody_else(live, names));
        problems.extend(inexpressible(live));
        notices.extend(regained::lost(live, record, file));
        notices.extend(regained::lost_data(live, record, observed));
        let keys = entry(live, uuid, record, file, observed);
        notices.extend(again::not_made_again(
            live,
            its_template(live, &keys, file, observed),
            &keys,
            &desired.defaults,
        ));
        Write::Entry(keys)
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    if write != Write::Nothing {
        notices.extend(unsaid::more(live));
    }
    Ok(Found { vm, write, notices })
}

/// A VM that is there and that a config can say something of.
struct Subject<'o> {
    live: &'o VmObserved,
    /// By which it is taken over; `None`: it is ours.
    uuid: Option<String>,
    /// What its record says; `None`: it is to be taken over.
    record: Option<&'o Record>,
    /// Why it cannot be taken over, if that is so.
    refused: Option<Diagnostic>,
}

/// Looks what is at a VMID. What no config can say anything of is an error.
fn subject<'o>(vm: VmId, desired: &Desired, observed: &'o Observed) -> Result<Subject<'o>, Diagnostic> {
    let Some(live) = observed.vms.get(&vm) else { return Err(absent(vm, observed)) };
    if let Some(problem) = placement::out_of_reach(vm, observed) {
        return Err(problem);
    }
    let project = &desired.settings.project;
    let record = live.record.valid().filter(|record| record.project == *project);
    let is_template = record.is_some_and(|record| record.is_template);
    if live.template && !is_template {
        let what = "the VM is a template";
        let hint = format!("VMs are cloned from it with `\"template_name\": \"{}\"`", live.name);
        return Err(Diagnostic::error(codes::IS_TEMPLATE, what).hint(hint));
    }
    let lost = DesiredVm { is_template, ..desired.defaults.clone() };
    let wish = DesiredVm { vm_id: vm, adopt: live.uuid.clone(), ..desired.vm(vm).unwrap_or(&lost).clone() };
    match situation(&wish, project, observed) {
        Err(problem) if live.uuid.is_none() && problem.code == codes::NOT_OURS => {
            let what = "the VM has no uuid, by which phoenix knows it from a copy of it";
            let hint = format!("give it one: `qm set {vm} --smbios1 uuid=$(cat /proc/sys/kernel/random/uuid)`");
            Err(Diagnostic::error(codes::NO_UUID, what).hint(hint))
        }
        Err(problem) => Err(problem),
        Ok(Situation::Absent(_)) if earlier::clone(vm, project, observed).is_some() => {
            let what = "an earlier run is making it: its clone is still running";
            let hint = "wait until it has ended, or declare it: apply waits for it";
            Err(Diagnostic::error(codes::CLONE_RUNNING, what).hint(hint))
        }
        Ok(Situation::Absent(_)) => {
            let what = "half cloned: left over by an interrupted run";
            Err(Diagnostic::error(codes::LEFTOVER, what).hint("declare it, and apply makes it anew"))
        }
        Ok(Situation::Ours(_, record) | Situation::Template(_, record)) => {
            Ok(Subject { live, uuid: None, record: Some(record), refused: None })
        }
        Ok(Situation::Adopted(_, record)) => {
            Ok(Subject { live, refused: room(live, &record), uuid: record.uuid, record: None })
        }
    }
}

/// Says who else has the VM's name, which stands only once in a config.
fn names_nobody_else(live: &VmObserved, names: &mut BTreeMap<String, VmId>) -> Option<Diagnostic> {
    let id = live.id;
    let hint = format!("rename it: `qm set {id} --name NAME`");
    let what = match names.get(&live.name.to_ascii_lowercase()) {
        _ if live.name.is_empty() => "the VM has no name".to_owned(),
        Some(other) => format!("VM {other} is also called `{}`", live.name),
        None => {
            names.insert(live.name.to_ascii_lowercase(), id);
            return None;
        }
    };
    let problem = Diagnostic::error(codes::INEXPRESSIBLE, what).vm(id);
    Some(problem.hint(if live.name.is_empty() { hint.replace("rename it", "give it one") } else { hint }))
}

/// Says what a VM lacks without which no entry can describe it.
fn inexpressible(live: &VmObserved) -> Vec<Diagnostic> {
    let id = live.id;
    let say = |code, what: String, hint: String| Diagnostic::error(code, what).hint(hint).vm(id);
    let mut found = Vec::new();
    match &live.boot_disk {
        None => found.push(say(
            codes::NO_BOOT_DISK,
            "the VM boots from no disk that can be found".to_owned(),
            match &disks(live)[..] {
                [] => "it has no disk; leave it out of the file, or give it one".to_owned(),
                [only] => format!("name the disk that it boots from: `qm set {id} --boot order={only}`"),
                several => {
                    format!(
                        "name the disk that it boots from ({}): `qm set {id} --boot order=DISK`",
                        several.join(", ")
                    )
                }
            },
        )),
        Some(disk) if disk.storage.is_empty() => found.push(say(
            codes::INEXPRESSIBLE,
            format!("the VM boots from {}, a device of the node, which no storage has", disk.volume),
            "phoenix looks after VMs whose boot disks lie on storages".to_owned(),
        )),
        Some(disk) if disk.size.is_none() => found.push(say(
            codes::NO_BOOT_DISK,
            format!("the configuration does not say how large {} is", disk.device),
            format!("`qm disk rescan --vmid {id}` finds out"),
        )),
        Some(_) => {}
    }
    if live.net0.as_ref().is_none_or(|net| net.bridge.is_none()) {
        let what = if live.net0.is_some() { "net0 is on no bridge" } else { "it has no network card net0" };
        found.push(say(
            codes::INEXPRESSIBLE,
            format!("no entry can be written for the VM: {what}"),
            // Without its MAC address the card would get a new one.
            format!(
                "phoenix gives every VM a net0 on a bridge; give it one: `qm set {id} --net0 {}`",
                live.net0.as_ref().map_or_else(|| Net::new("virtio", "vmbr0"), |net| net.rewired("vmbr0", &net.model))
            ),
        ));
    }
    found
}

/// The disks of a VM that it could boot from.
fn disks(live: &VmObserved) -> Vec<&str> {
    let volumes = live.volumes.iter().map(|volume| volume.device.as_str());
    volumes.filter(|device| is_disk_key(device) && live.cloud_init.drive.as_deref() != Some(*device)).collect()
}

/// The keys of an entry: only those whose values the defaults of the file do not have already.
fn entry(
    live: &VmObserved,
    uuid: Option<String>,
    record: Option<&Record>,
    file: &File<'_>,
    observed: &Observed,
) -> Vec<(&'static str, Value)> {
    let desired = file.desired;
    let default = &desired.defaults;
    let default_image = default.cloud_image.as_deref();
    let mut keys = vec![(Key::VmId.name(), json!(live.id)), (Key::VmName.name(), json!(live.name))];
    keys.extend(uuid.map(|uuid| ("adopt", json!(uuid.to_ascii_lowercase()))));
    let first = keys.len();
    let mut say = |key: Key, value: Value, default: Value| {
        if value != default {
            keys.push((key.name(), value));
        }
    };
    let template = record.map(|record| record.template.clone()).filter(|name| !name.is_empty());
    if let Some(image) = record.and_then(|record| file.image(record)) {
        say(Key::CloudImage, regained::image_value(image), default_image.map_or(Value::Null, regained::image_value));
    } else if let Some(template) = template.or_else(|| built_on(live, observed)) {
        // An image that all VMs are made from is not what this one was made from: its own template says so.
        let default = default_image.map_or_else(|| json!(default.template_name), |_| Value::Null);
        say(Key::TemplateName, json!(template), default);
    }
    let ran: Vec<&String> = record.iter().flat_map(|record| record.features.keys()).collect();
    let features: Vec<&str> = default.features.iter().map(|feature| &*feature.name).collect();
    say(Key::Features, json!(ran), json!(features));
    let volumes = record.map(|record| remembered::mounted(record, live, desired, observed)).unwrap_or_default();
    say(Key::Volumes, Value::from(volumes), default.volumes.iter().map(remembered::volume).collect());
    say(Key::DependsOn, json!(record.map(remembered::depends_on).unwrap_or_default()), json!(default.depends_on));
    if let Some(disk) = &live.boot_disk {
        say(Key::FullClone, json!(!disk.is_linked()), json!(default.full_clone));
    }
    let is_template = record.is_some_and(|record| record.is_template);
    say(Key::IsTemplate, json!(is_template), json!(false));
    // What is built runs, and a template does not count as switched off.
    say(Key::Started, json!(starts(live) || is_template), json!(default.started));
    say(Key::Ha, wish_of(live).map_or(Value::Null, ha_value), default.ha.map_or(Value::Null, ha_value));
    // A VM that has no guest agent is not given one by being taken over.
    let usual = if live.agent || is_template { default.ready } else { Ready::Running };
    let ready = record.and_then(remembered::ready).filter(|_| live.agent || is_template).unwrap_or(usual);
    say(Key::Ready, json!(ready.as_str()), json!(default.ready.as_str()));
    if let Some(timeouts) = record.and_then(remembered::timeouts) {
        say(Key::Timeouts, remembered::timeouts_value(&timeouts), remembered::timeouts_value(&default.timeouts));
    }
    if let Some(errors) = record.and_then(remembered::cloud_init_errors) {
        say(Key::CloudInitErrors, json!(errors.as_str()), json!(default.cloud_init_errors.as_str()));
    }
    // What is not asked for stays as it is.
    let nothing = || json!({});
    let network = regained::network(live, record);
    let network = network.as_ref().map_or_else(nothing, regained::network_value);
    say(Key::NetworkConfig, network, default.network_config.as_deref().map_or_else(nothing, regained::network_value));
    let user = regained::user(live, record, file);
    let user = user.as_ref().map_or_else(nothing, regained::user_value);
    say(Key::UserConfig, user, default.user_config.as_deref().map_or_else(nothing, regained::user_value));
    for part in DataPart::ALL {
        // What all VMs have is not filled in here: a VM says its own, and that it has none.
        let text = regained::data(live, record, part, observed);
        let is = text.map_or_else(nothing, |text| json!({ "text": text }));
        say(part.key(), is, if default.data(part).is_some() { Value::Null } else { nothing() });
    }
    let said = [Some(Key::VmName), Some(Key::Ha), Some(Key::UserData), Some(Key::VendorData)];
    for row in options::rows().filter(|row| row.is_named_whole() && !said.contains(&row.key)) {
        // What this VM has not stays as it is; and what the file says of no VM, unless a new one would lack it.
        let Some(is) = row.has(live) else {
            let takes_away = row.key == Some(Key::Pool) && row.wished(default, None).value().is_some();
            keys.extend(takes_away.then(|| (row.name, json!(""))));
            continue;
        };
        let differs = match row.wished(default, None).value() {
            Some(wish) => is.to_json() != wish.to_json(),
            None => row.is_more_than_new(default, live),
        };
        keys.extend(differs.then(|| (row.name, is.to_json())));
    }
    let template = its_template(live, &keys, file, observed);
    let further = [(Key::Disks, disks::further(live, template, file))];
    for (key, said) in beyond::keys(live, template, file).into_iter().chain(further) {
        keys.extend((!said.is_empty()).then(|| (key.name(), Value::Object(said))));
    }
    let devices = beyond::boot_devices(live, template, default);
    keys.extend(devices.map(|devices| (Key::BootDevices.name(), devices)));
    // What it is made from stands first, whichever key that is.
    let place = |name: &str| Key::ALL.iter().filter(|key| **key != Key::CloudImage).position(|key| key.name() == name);
    keys[first..].sort_by_key(|(name, _)| place(name));
    keys
}

/// How the HA manager looks after a VM, in the words of the file.
fn wish_of(live: &VmObserved) -> Option<HaWish> {
    live.ha.as_ref().and_then(Ha::wish)
}

/// The same as a value, without what is Proxmox's default.
fn ha_value(ha: HaWish) -> Value {
    let mut value = json!({ "state": ha.state });
    for (name, tries) in [("max_restart", ha.max_restart), ("max_relocate", ha.max_relocate)] {
        if tries != HaWish::TRIES {
            value[name] = tries.into();
        }
    }
    value
}

/// Whether a VM is to run: as the HA manager keeps it, else as it is.
fn starts(live: &VmObserved) -> bool {
    wish_of(live).and_then(|ha| ha.state.runs()).unwrap_or(live.running)
}

/// The template that a linked clone is built on, if it is there and its name is its own.
fn built_on(live: &VmObserved, observed: &Observed) -> Option<String> {
    let device = &live.boot_disk.as_ref().filter(|disk| disk.is_linked())?.device;
    let volume = live.volumes.iter().find(|volume| volume.device == *device)?;
    let template = observed.vms.values().find(|vm| vm.template && volume.is_based_on(vm.id))?;
    let mut others = observed.vms.values().filter(|vm| vm.template && vm.node == template.node && vm.id != template.id);
    (!others.any(|other| other.name == template.name)).then(|| template.name.clone())
}

/// The template that a VM would be made of again, by the keys of its entry.
fn its_template<'o>(
    live: &VmObserved,
    keys: &[(&'static str, Value)],
    file: &File<'_>,
    observed: &'o Observed,
) -> Option<&'o VmObserved> {
    let default = &file.desired.defaults;
    let made_from = keys.iter().find(|(key, _)| *key == Key::TemplateName.name()).and_then(|(_, name)| name.as_str());
    let template = template_of(live, made_from.unwrap_or(&default.template_name), observed);
    template.filter(|_| default.cloud_image.is_none())
}

/// The template of the VM's node with this name, if only one has it.
fn template_of<'o>(live: &VmObserved, name: &str, observed: &'o Observed) -> Option<&'o VmObserved> {
    let mut found = observed.vms.values().filter(|vm| vm.template && vm.name == name && vm.node == live.node);
    found.next().filter(|_| found.next().is_none())
}
