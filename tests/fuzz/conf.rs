//! What holds for every configuration of a VM: whose it is, and what a write leaves alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use phoenix::backend::embedded::Embedded;
use phoenix::hypervisor::{HostOp, Hypervisor as _};
use phoenix::model::{ActionKind, Desired, Record, VmId};
use phoenix::observed::{
    Conf, FoundText, RecordFound, VmObserved, config_digest, decode_description, options, split_notes, with_record,
};
use serde_json::Value;

/// The name of the section that each line of a configuration stands in; the main one has none.
fn sections(text: &str) -> Vec<(String, &str)> {
    let mut name = String::new();
    let mut found = Vec::new();
    for line in text.split('\n').filter(|line| !line.trim().is_empty()) {
        let trimmed = line.trim_end();
        if trimmed.starts_with('[') && trimmed.ends_with(']') {
            trimmed.clone_into(&mut name);
        }
        found.push((name.to_ascii_lowercase(), line.trim_end_matches('\r')));
    }
    found
}

/// The uuid that Proxmox would give the guest: that of the last `smbios1`.
fn uuid(text: &str) -> Option<String> {
    let main = sections(text).into_iter().filter(|(section, _)| section.is_empty());
    let line = main.filter_map(|(_, line)| line.strip_prefix("smbios1:")).next_back()?;
    let value = line.split(',').find_map(|part| part.trim().strip_prefix("uuid="))?;
    Some(value.trim().to_ascii_lowercase())
}

/// Whether the notes hold one record, and it names this project, this VM and its uuid. One that is being made has none.
fn proves(project: &str, vm: VmId, text: &str) -> bool {
    let main = sections(text).into_iter().filter(|(section, _)| section.is_empty());
    let lines: Vec<&str> = main.map(|(_, line)| line).collect();
    let hashes: Vec<&str> = lines.iter().filter(|line| line.starts_with('#')).copied().collect();
    let old = lines.iter().filter_map(|line| line.strip_prefix("description:")).next_back();
    let notes = decode_description(&if hashes.is_empty() { old.unwrap_or("").to_owned() } else { hashes.join("\n") });
    let Some((_, comment)) = notes.split_once("<!-- phoenix") else { return false };
    let (json, rest) = comment.split_once("-->").unwrap_or((comment, ""));
    if rest.contains("<!-- phoenix") {
        return false;
    }
    let Ok(record) = serde_json::from_str::<Value>(json) else { return false };
    let same = match record["uuid"].as_str() {
        Some(recorded) => uuid(text).is_some_and(|uuid| uuid == recorded.to_ascii_lowercase()),
        None => record["state"] == "creating",
    };
    record["v"] == 1 && record["project"] == project && record["vm"] == vm.get() && same
}

/// Reads a configuration. Returns whether the VM is one of the project.
pub(crate) fn read(project: &str, vm: VmId, text: &str, running: bool) -> (VmObserved, bool) {
    assert_eq!(Conf::parse(text).to_string(), text);
    let live = VmObserved::from_conf(vm, text, running);
    let ours = matches!(&live.record, RecordFound::Valid(record) if record.project == project);
    assert!(!ours || proves(project, vm, text), "{text}");
    let json = serde_json::to_string(&live).unwrap();
    assert_eq!(serde_json::from_str::<VmObserved>(&json).unwrap(), live);
    (live, ours)
}

/// Puts a record into notes: it can be read back, and what people wrote is as it was.
pub(crate) fn noted(notes: &str, record: &Record) {
    let Ok(new) = with_record(notes, record) else { return };
    let (old, new) = (split_notes(notes), split_notes(&new));
    assert_eq!(new.description, old.description, "{notes}");
    let FoundText::One(json) = new.record else { panic!("{notes}") };
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), *record);
}

/// Makes an embedded node write what the config wants of a VM with this configuration, and looks for every line of
/// others.
pub(crate) fn written(dir: &Path, desired: &Desired, live: &VmObserved, text: &str) -> bool {
    let node = Embedded::open(dir).unwrap();
    let (file, run) = (dir.join(format!("qemu-server/{}.conf", live.id)), dir.join(format!("run/{}", live.id)));
    fs::write(&file, text).unwrap();
    if live.running {
        fs::write(run, "0").unwrap();
    } else {
        drop(fs::remove_file(run));
    }
    let record = live.record.valid().cloned().unwrap_or_else(|| Record::creating("shop", live.id));
    let rows = options::rows().filter(|row| row.step == ActionKind::Configure);
    let wish = (desired.vm(live.id).unwrap(), live, false);
    let Ok(write) = options::render(rows, wish, None, Some(&record)) else { return false };
    if write.is_empty() {
        return false;
    }
    let op = HostOp::Configure { vm: live.id, write: write.clone(), digest: config_digest(text) };
    let done = node.perform(&op, Duration::from_mins(1)).is_ok();
    let new = fs::read_to_string(file).unwrap();
    // A stopped VM takes over what waits.
    let conf = Conf::parse(text);
    let waiting = conf.pending_entries().map(|(key, _)| key).chain(conf.pending_deletes().map(|(key, _)| key));
    let mut keys: Vec<&str> = write.set.keys().chain(&write.delete).map(String::as_str).chain(waiting).collect();
    keys.retain(|_| done);
    let notes = keys.contains(&"description");
    let foreign = |text: &str| -> Vec<String> {
        let of_others = |(section, line): &(String, &str)| {
            let own = line.split_once(':').is_some_and(|(key, _)| keys.contains(&key));
            let main = section.is_empty() && !own && !(notes && line.starts_with('#'));
            main || !section.is_empty() && section != "[pending]" && section != "[special:cloudinit]" || !done
        };
        sections(text).into_iter().filter(of_others).map(|(section, line)| format!("{section} {line}")).collect()
    };
    assert_eq!(foreign(&new), foreign(text), "{write:?}\nbefore:\n{text}\nafter:\n{new}");
    done
}
