//! What `GET /nodes/NODE/qemu/VMID/migrate?target=…` says: whether a VM can move to another node.
//!
//! All of it was recorded but what HA rules, storages that are missing and VMs that run with mappings make of the
//! answer. Those fields are in the schema of the API and in the source of qemu-server 9.2.6. Where the two differ, the
//! recording counts: `not_allowed_nodes` has an object for each node.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Method};
use crate::model::VmId;
use crate::observed::{HaRule, InSnapshots, LocalVolume, MoveCheck};

/// Asks whether a VM of a node can move to another one.
pub(in crate::backend) fn question(vm: VmId, from: &str, to: &str) -> Call {
    Call::new(Method::Get, &["nodes", from, "qemu", &vm.to_string(), "migrate"]).with("target", to)
}

/// The answer. Fields that are not known here say nothing.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    allowed_nodes: Option<Vec<String>>,
    #[serde(default)]
    not_allowed_nodes: BTreeMap<String, Value>,
    #[serde(default)]
    local_disks: Vec<Disk>,
    #[serde(default)]
    local_resources: Vec<String>,
    /// The keys of the next one; an answer may have them alone.
    #[serde(default, rename = "mapped-resources")]
    mapped_keys: Vec<String>,
    #[serde(default, rename = "mapped-resource-info")]
    mapped: BTreeMap<String, Value>,
    #[serde(default, rename = "dependent-ha-resources")]
    together: Vec<String>,
}

#[derive(Deserialize)]
struct Disk {
    volid: String,
    #[serde(default)]
    drivename: String,
    #[serde(default)]
    cdrom: Value,
    #[serde(default)]
    is_cloudinit: Value,
    /// State of the memory: it goes along.
    #[serde(default)]
    is_vmstate: Value,
    /// By the names of the snapshots.
    #[serde(default, rename = "referenced_in_snapshot")]
    snapshots: Option<BTreeMap<String, Value>>,
}

/// What keeps a VM from one node.
#[derive(Default, Deserialize)]
struct Kept {
    #[serde(default, rename = "unavailable-resources")]
    unmapped: Vec<String>,
    #[serde(default)]
    unavailable_storages: Vec<String>,
    #[serde(default, rename = "blocking-ha-resources")]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    sid: String,
    #[serde(default)]
    cause: String,
}

/// Perl writes a number or a text, as it comes.
fn is_so(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_u64().is_some_and(|n| n != 0) || value.as_str() == Some("1")
}

/// What the answer says of a move to `node`.
///
/// # Errors
/// Why it cannot be understood.
pub(in crate::backend) fn check(answer: &str, node: &str) -> Result<MoveCheck, String> {
    // A list is no answer, and must not be taken for one that says nothing.
    let answer: serde_json::Map<String, Value> = serde_json::from_str(answer).map_err(|why| why.to_string())?;
    let mut answer: Answer = serde_json::from_value(answer.into()).map_err(|why| why.to_string())?;
    let kept: Kept = match answer.not_allowed_nodes.remove(node) {
        Some(kept) => serde_json::from_value(kept).map_err(|why| why.to_string())?,
        None => Kept::default(),
    };
    let is_disc = |disk: &&Disk| is_so(&disk.cdrom) && !is_so(&disk.is_cloudinit);
    let disc = |disk: &Disk| LocalVolume { volume: disk.volid.clone(), option: disk.drivename.clone() };
    let has_snapshots = |disk: &&Disk| !is_so(&disk.cdrom) && !is_so(&disk.is_vmstate);
    let snapshots = |disk: &Disk| {
        let snapshots: Vec<String> = disk.snapshots.iter().flat_map(BTreeMap::keys).cloned().collect();
        let of = |snapshots| InSnapshots { volume: disk.volid.clone(), option: disk.drivename.clone(), snapshots };
        (!snapshots.is_empty()).then(|| of(snapshots))
    };
    let has_mapping = |key: &String| answer.mapped.contains_key(key) || answer.mapped_keys.contains(key);
    let stays = |info: &Value| !is_so(&info["live-migration"]);
    Ok(MoveCheck {
        node: node.to_owned(),
        failed: None,
        discs: answer.local_disks.iter().filter(is_disc).map(disc).collect(),
        snapshots: answer.local_disks.iter().filter(has_snapshots).filter_map(snapshots).collect(),
        not_while_running: answer.mapped.iter().filter(|(_, info)| stays(info)).map(|(key, _)| key.clone()).collect(),
        // What has a mapping is among them, too.
        devices: answer.local_resources.into_iter().filter(|key| !has_mapping(key)).collect(),
        unmapped: kept.unmapped,
        storages: kept.unavailable_storages,
        gone: Vec::new(),
        rules: kept.rules.into_iter().map(|Rule { sid, cause }| HaRule { cause, sid }).collect(),
        together: answer.together,
        not_allowed: answer.allowed_nodes.is_some_and(|nodes| !nodes.iter().any(|allowed| allowed == node)),
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::observed::{HaRule, InSnapshots, LocalVolume, MoveCheck};

    fn says(answer: &str) -> MoveCheck {
        let answer = format!(
            r#"{{"has-dbus-vmstate":1,"running":0,{answer},"mapped-resources":[],"not-known-yet":{{"a":[1]}}}}"#
        );
        check(&answer, "pve2").unwrap()
    }

    fn nothing() -> MoveCheck {
        MoveCheck { node: "pve2".to_owned(), ..MoveCheck::default() }
    }

    /// As recorded, fields that say nothing here left out.
    #[test]
    fn what_was_recorded_is_understood() {
        let allowed = r#""allowed_nodes":["pve2"],"not_allowed_nodes":{"pve2":{}}"#;
        let local =
            |of: &str| format!(r#"{allowed},"local_disks":[{{"shared":0,"replicate":1,"is_tpmstate":0,{of}}}]"#);
        let drive = |of: &str| local(&format!(r#""is_attached":1,"is_unused":0,{of}"#));
        let has = |volume: &str, option: &str| {
            let of_drive = LocalVolume { volume: volume.to_owned(), option: option.to_owned() };
            MoveCheck { discs: vec![of_drive], ..nothing() }
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (answer, expected) in [
            (allowed.to_owned(), nothing()),
            (
                drive(r#""cdrom":0,"is_cloudinit":0,"size":67108864,"drivename":"scsi0","volid":"local-zfs:3310/vm-3310-disk-0.qcow2""#),
                nothing(),
            ),
            (
                drive(r#""cdrom":1,"is_cloudinit":0,"size":358400,"drivename":"ide2","volid":"local:iso/a.iso""#),
                has("local:iso/a.iso", "ide2"),
            ),
            (
                local(r#""is_attached":0,"is_unused":0,"referenced_in_pending":1,"cdrom":1,"is_cloudinit":0,"size":358400,"drivename":"ide2","volid":"local:iso/a.iso""#),
                has("local:iso/a.iso", "ide2"),
            ),
            (
                drive(r#""cdrom":1,"is_cloudinit":1,"drivename":"ide2","volid":"local-zfs:3320/vm-3320-cloudinit.qcow2""#),
                nothing(),
            ),
            // The same is said of one that is there and of one that is not.
            (
                local(r#""is_attached":0,"is_unused":1,"cdrom":0,"is_cloudinit":0,"volid":"local-zfs:3322/vm-3322-disk-0.qcow2""#),
                nothing(),
            ),
            (
                drive(r#""cdrom":0,"is_cloudinit":0,"is_vmstate":0,"drivename":"scsi1","referenced_in_snapshot":{"sn1":1},"volid":"local-zfs:3322/vm-3322-disk-0.qcow2""#),
                MoveCheck {
                    snapshots: vec![InSnapshots {
                        volume: "local-zfs:3322/vm-3322-disk-0.qcow2".to_owned(),
                        option: "scsi1".to_owned(),
                        snapshots: words(&["sn1"]),
                    }],
                    ..nothing()
                },
            ),
            (
                format!(r#"{allowed},"local_resources":["hostpci0"],"mapped-resource-info":{{}}"#),
                MoveCheck { devices: words(&["hostpci0"]), ..nothing() },
            ),
            (
                r#""local_resources":["virtiofs0"],"mapped-resource-info":{"virtiofs0":{"name":"labdir"}},"allowed_nodes":[],"not_allowed_nodes":{"pve2":{"unavailable-resources":["virtiofs0"]}}"#
                    .to_owned(),
                MoveCheck {
                    not_while_running: words(&["virtiofs0"]),
                    unmapped: words(&["virtiofs0"]),
                    not_allowed: true,
                    ..nothing()
                },
            ),
        ] {
            assert_eq!(says(&answer), expected, "{answer}");
        }
    }

    /// As the schema has it: nothing of this was recorded.
    #[test]
    fn what_the_schema_says_is_understood() {
        let answer = r#""local_resources":["hostpci0"],"mapped-resource-info":{"hostpci0":{"name":"gpu","live-migration":1}},
            "dependent-ha-resources":["vm:1001"],"allowed_nodes":[],
            "not_allowed_nodes":{"pve3":{"unavailable_storages":["no"]},
                "pve2":{"blocking-ha-resources":[{"sid":"vm:1002","cause":"resource-affinity"}],"unavailable_storages":["local-lvm"]}}"#;
        let rule = HaRule { cause: "resource-affinity".to_owned(), sid: "vm:1002".to_owned() };
        let expected = MoveCheck {
            storages: vec!["local-lvm".to_owned()],
            rules: vec![rule],
            together: vec!["vm:1001".to_owned()],
            not_allowed: true,
            ..nothing()
        };
        assert_eq!(says(answer), expected);
        let keys_alone =
            r#"{"local_resources":["hostpci0","usb0"],"mapped-resources":["hostpci0"],"allowed_nodes":["pve2"]}"#;
        assert_eq!(check(keys_alone, "pve2").unwrap().devices, ["usb0"]);
        for garbled in ["", "[]", "null", r#"{"local_disks":[{}]}"#, r#"{"not_allowed_nodes":{"pve2":[1]}}"#] {
            assert!(check(garbled, "pve2").is_err(), "{garbled}");
        }
    }
}
