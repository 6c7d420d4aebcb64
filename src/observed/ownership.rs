//! Whose a VM is, as the record in its notes tells.

use serde::{Deserialize, Serialize};

use super::notes::FoundText;
use crate::model::{Record, RecordState, VmId};

/// What a VM's notes say about ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordFound {
    /// No record: not made by phoenix.
    None,
    /// A record for this very VM.
    Valid(Box<Record>),
    /// A record written for another VM (its uuid or VMID differs), e.g. copied by a clone. Counts as none.
    Void(Box<Record>),
    /// A record that cannot be read, or several: a person must look.
    Broken(String),
}

impl RecordFound {
    /// The record, if it is valid.
    #[must_use]
    pub fn valid(&self) -> Option<&Record> {
        match self {
            Self::Valid(record) => Some(record),
            Self::None | Self::Void(_) | Self::Broken(_) => None,
        }
    }
}

/// Judges the record in the notes of VM `id` whose `smbios1` uuid is `uuid`.
///
/// A record counts for the VM whose VMID and uuid it names. One without a uuid counts by its VMID alone, and only as
/// long as it says `creating`: it was handed to `qm clone` with the VMID of the target, before that VM's uuid was
/// known, and the first write after the clone adds the uuid. The VM may carry it with `lock: clone` (the clone runs or
/// was killed) or without (phoenix was killed between the clone and that write). It cannot reach this VM by mistake: a
/// copy of it in another VM names a VMID that is not that VM's. Every other record without a uuid proves nothing.
pub(super) fn record_found(text: &FoundText, id: VmId, uuid: Option<&str>) -> RecordFound {
    let json = match text {
        FoundText::None => return RecordFound::None,
        FoundText::Several => return RecordFound::Broken("there is more than one record in the notes".to_owned()),
        FoundText::One(json) => json,
    };
    let record: Record = match serde_json::from_str(json) {
        Ok(record) => record,
        Err(error) => return RecordFound::Broken(unreadable(json, &error)),
    };
    if record.v != Record::VERSION {
        return RecordFound::Broken(other_version(u64::from(record.v)));
    }
    let same_machine = match (&record.uuid, uuid) {
        (Some(recorded), Some(uuid)) => recorded.eq_ignore_ascii_case(uuid),
        (Some(_), None) => false,
        (None, _) => record.state == RecordState::Creating,
    };
    let record = Box::new(record);
    if record.vm == id && same_machine { RecordFound::Valid(record) } else { RecordFound::Void(record) }
}

fn unreadable(json: &str, error: &serde_json::Error) -> String {
    let version = serde_json::from_str::<serde_json::Value>(json).ok().and_then(|value| value.get("v")?.as_u64());
    match version {
        Some(v) if v != u64::from(Record::VERSION) => other_version(v),
        _ => format!("the record in the notes cannot be read: {error}"),
    }
}

fn other_version(v: u64) -> String {
    format!("the record in the notes has format {v}; this phoenix reads format {}", Record::VERSION)
}

#[cfg(test)]
mod tests {
    use super::RecordFound;
    use crate::model::VmId;
    use crate::observed::VmObserved;

    fn id(n: u32) -> VmId {
        VmId::try_from(n).unwrap()
    }

    #[test]
    fn records_count_only_for_their_vm() {
        let judge = |vm: u32, json: &str| {
            let text = format!("#<!-- phoenix {json} -->\nsmbios1: uuid=AA\n");
            match VmObserved::from_conf(id(vm), &text, false).record {
                RecordFound::None => "none".to_owned(),
                RecordFound::Valid(_) => "valid".to_owned(),
                RecordFound::Void(_) => "void".to_owned(),
                RecordFound::Broken(why) => why,
            }
        };
        let creating = r#"{"v":1,"project":"p","vm":100,"state":"creating"}"#;
        let ready = r#"{"v":1,"project":"p","vm":100,"uuid":"aa"}"#;
        assert_eq!(judge(100, creating), "valid");
        assert_eq!(judge(101, creating), "void");
        assert_eq!(judge(100, ready), "valid");
        assert_eq!(judge(101, ready), "void");
        assert_eq!(judge(100, &ready.replace("aa", "bb")), "void");
        assert_eq!(judge(100, r#"{"v":1,"project":"p","vm":100}"#), "void");
        assert!(judge(100, r#"{"v":2,"project":"p","new":1}"#).contains("format 2"));
        assert!(judge(100, r#"{"v":1,"project":"p","vm":100,"new":1}"#).contains("cannot be read"));
        assert!(judge(100, "nonsense").contains("cannot be read"));
        assert!(judge(100, "{} --> <!-- phoenix {}").contains("more than one"));
    }
}
