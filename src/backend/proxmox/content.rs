//! What `GET /nodes/NODE/storage/STORAGE/content` says: the volumes on a storage of a node (recorded, asked of another
//! node, too).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::call::{Call, Method};
use crate::model::VmId;

/// Asks for the ISO images on a storage of a node.
pub(in crate::backend) fn isos(node: &str, storage: &str) -> Call {
    Call::new(Method::Get, &["nodes", node, "storage", storage, "content"]).with("content", "iso")
}

/// Asks for the volumes of a VM on a storage of a node. Images to import and snippets of any owner are in the answer,
/// too (recorded).
pub(in crate::backend) fn of_vm(node: &str, storage: &str, vm: VmId) -> Call {
    Call::new(Method::Get, &["nodes", node, "storage", storage, "content"]).with("vmid", vm.to_string())
}

#[derive(Deserialize)]
struct Volume {
    volid: String,
}

/// The volumes of an answer.
///
/// # Errors
/// Why it cannot be understood.
pub(in crate::backend) fn volumes(answer: &str) -> Result<BTreeSet<String>, String> {
    let volumes: Vec<Volume> = serde_json::from_str(answer).map_err(|why| why.to_string())?;
    Ok(volumes.into_iter().map(|volume| volume.volid).collect())
}

#[cfg(test)]
mod tests {
    use super::volumes;

    #[test]
    fn what_was_recorded_is_understood() {
        let answer =
            r#"[{"volid":"local:iso/cidata3.iso","content":"iso","format":"iso","ctime":1795689238,"size":2097152}]"#;
        assert_eq!(volumes(answer).unwrap().into_iter().collect::<Vec<_>>(), ["local:iso/cidata3.iso"]);
        assert!(volumes("[]").unwrap().is_empty());
        for garbled in ["", "{}", "null", r#"[{"content":"iso"}]"#] {
            assert!(volumes(garbled).is_err(), "{garbled}");
        }
    }
}
