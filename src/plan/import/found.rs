//! What is to be written of VMs that exist.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::regained::{UNSAID, unsaid};
use crate::diag::Diagnostic;
use crate::model::{Desired, Key, ProxmoxValue, VmId, proxmox};
use crate::observed::Observed;
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

/// Takes out of the entry of a VM that is to be taken over what cloud-init gives its guest, where a config does not
/// take it, and says so. Whether there was anything.
pub fn leave_cloud_init(found: &mut Found, desired: &Desired, observed: &Observed) -> bool {
    let (Write::Entry(keys), Some(live)) = (&mut found.write, observed.vms.get(&found.vm)) else { return false };
    let said = |(key, value): &(&'static str, Value)| {
        [Key::NetworkConfig, Key::UserConfig].iter().any(|of| of.name() == *key) && *value != json!({})
    };
    if !keys.iter().any(|(key, _)| *key == "adopt") || !keys.iter().any(said) {
        return false;
    }
    let default = &desired.defaults;
    for entry in keys.iter_mut().filter(|entry| said(entry)) {
        entry.1 = json!({});
    }
    let inherits = |key: &str| match key {
        _ if key == Key::NetworkConfig.name() => default.network_config.is_some(),
        _ if key == Key::UserConfig.name() => default.user_config.is_some(),
        _ => true,
    };
    keys.retain(|(key, value)| inherits(key) || *value != json!({}));
    found.notices.retain(|notice| !notice.message.starts_with(UNSAID));
    found.notices.extend(unsaid(live, None, None));
    true
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

/// Takes the addresses of cards out of what is to be written that another card has already, and says so: no config has
/// one twice, which the VMs may.
pub(super) fn own_addresses(found: &mut [Found], desired: &Desired) {
    let address = |(name, card): (&&str, &ProxmoxValue)| {
        proxmox::card(name)?.to_parts(&card.value).get("macaddr")?.as_str().map(str::to_owned)
    };
    let mut known: BTreeSet<String> =
        desired.vms.iter().flat_map(|vm| vm.networks.iter()).filter_map(address).collect();
    for Found { vm, write, notices } in found {
        let Write::Entry(keys) = write else { continue };
        let cards = keys.iter_mut().find(|(key, _)| *key == Key::Networks.name());
        let Some(cards) = cards.and_then(|(_, cards)| cards.as_object_mut()) else { continue };
        for (slot, card) in cards.iter_mut().filter_map(|(slot, card)| Some((slot, card.as_object_mut()?))) {
            let Some(mac) = card.get("mac").and_then(Value::as_str).map(str::to_owned) else { continue };
            if !known.insert(mac.clone()) {
                card.remove("mac");
                let what =
                    format!("{slot} has the MAC address {mac}, which another VM has, too: it is not in the entry");
                let hint = format!("give it one of its own: `qm set {vm} --{slot} …` without an address makes one up");
                notices.push(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(*vm));
            }
        }
        cards.retain(|slot, card| slot != "net0" || card.as_object().is_none_or(|card| !card.is_empty()));
        keys.retain(|(key, value)| *key != Key::Networks.name() || *value != json!({}));
    }
}
