//! What is to be written of VMs that exist.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::diag::Diagnostic;
use crate::model::{Desired, Key, VmId};
use crate::plan::codes;

/// A VM that a config can say something of.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// VMID.
    pub vm: VmId,
    /// What is to be written.
    pub write: Write,
    /// What else is to be known of it.
    pub notices: Vec<Diagnostic>,
}

/// What is to be written of a VM.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Nothing: it is declared, and ours or to be taken over.
    Nothing,
    /// The key `adopt`, with this uuid: it is declared.
    Adopt(String),
    /// An entry: its keys in their order.
    Entry(Vec<(&'static str, Value)>),
}

/// Takes out of what is to be written the VMs to wait for that the file will not declare, and says which these were.
pub fn known_dependencies(found: &mut [Found], desired: &Desired) {
    let new: BTreeSet<VmId> = found.iter().map(|found| found.vm).collect();
    let is_known = |id: &VmId| new.contains(id) || desired.vm(*id).is_some();
    for Found { vm, write, notices } in found {
        let Write::Entry(keys) = write else { continue };
        let Some(at) = keys.iter().position(|(key, _)| *key == Key::DependsOn.name()) else { continue };
        let ids: Vec<VmId> = serde_json::from_value(keys[at].1.clone()).unwrap_or_default();
        let (known, unknown): (Vec<VmId>, Vec<VmId>) = ids.into_iter().partition(is_known);
        if unknown.is_empty() {
            continue;
        }
        if known.is_empty() && desired.defaults.depends_on.is_empty() {
            keys.remove(at);
        } else {
            keys[at].1 = json!(known);
        }
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let what = format!("it waited for VM {}, which the file does not declare", unknown.join(", "));
        let hint = "import it, too, and put it into `depends_on`";
        notices.push(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(*vm));
    }
}
