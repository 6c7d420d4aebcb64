//! Schemas of words out of a list.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::config::lexis;
use crate::config::limits::{MAX_NODES, MAX_PROFILES};
use crate::model::{CloudInitErrors, Filesystem, NetworkModel, OsType, Ready};

/// Makes the schema of the words for operating systems.
pub(super) fn os_type(_: &mut SchemaGenerator) -> Schema {
    words(OsType::ALL.iter().map(|(word, meaning)| (word.as_str(), *meaning)))
}

/// Makes the schema of the words for models of network cards.
pub(super) fn network_model(_: &mut SchemaGenerator) -> Schema {
    words(NetworkModel::ALL.iter().map(|(word, meaning)| (word.as_str(), *meaning)))
}

/// Makes the schema of the words for file systems of further disks.
pub(super) fn filesystem(_: &mut SchemaGenerator) -> Schema {
    words(Filesystem::ALL.iter().map(|(word, meaning)| (word.as_str(), *meaning)))
}

/// Makes the schema of the words for what an error of cloud-init does.
pub(super) fn cloud_init_errors(_: &mut SchemaGenerator) -> Schema {
    words(CloudInitErrors::ALL.iter().map(|(word, meaning)| (word.as_str(), *meaning)))
}

/// Makes the schema of the words for when a VM is ready.
pub(super) fn ready(_: &mut SchemaGenerator) -> Schema {
    words(Ready::ALL.iter().map(|(word, meaning)| (word.as_str(), *meaning)))
}

/// Makes the schema of the words for kinds of volumes.
pub(super) fn volume_type(_: &mut SchemaGenerator) -> Schema {
    words([("nfs", "A directory that an NFS server exports")])
}

/// Makes the schema of a list of VMs, by VMID or name.
pub(super) fn references(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": ["integer", "string"],
            "minimum": 100,
            "maximum": 999_999_999,
            "pattern": lexis::DNS_NAME,
            "maxLength": lexis::MAX_DNS_NAME,
        },
    })
}

/// Makes the schema of a profile, or of a list of them.
pub(super) fn profile_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "array"],
        "pattern": lexis::PROFILE,
        "items": { "type": "string", "pattern": lexis::PROFILE, "examples": ["worker"] },
        "maxItems": MAX_PROFILES,
    })
}

/// Makes the schema of a node, or of a list of them.
pub(super) fn nodes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "array"],
        "pattern": lexis::NODE,
        "items": { "type": "string", "pattern": lexis::NODE, "examples": ["pve1"] },
        "minItems": 1,
        "maxItems": MAX_NODES,
    })
}

/// Makes the schema of a word out of a list; an editor shows the meaning of each.
pub(super) fn words<'a>(list: impl IntoIterator<Item = (&'a str, &'a str)>) -> Schema {
    let choices: Vec<_> = list
        .into_iter()
        .map(|(word, meaning)| serde_json::json!({ "const": word, "description": format!("{meaning}.") }))
        .collect();
    json_schema!({ "type": "string", "oneOf": choices })
}
