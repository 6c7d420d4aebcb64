//! What a VM would lack, or have besides, were it made anew from its entry: what its template has decides.

use serde_json::Value;

use super::beyond::{inherited, value};
use crate::diag::Diagnostic;
use crate::model::proxmox::{self, ProxmoxOption};
use crate::model::{DesiredVm, Key};
use crate::observed::{PropertyString, VmObserved};
use crate::plan::{cards, codes};

/// Says in what a VM that is made anew from its entry would be another one, because of what it is made from.
pub(super) fn not_made_again(
    live: &VmObserved,
    template: Option<&VmObserved>,
    keys: &[(&'static str, Value)],
    default: &DesiredVm,
) -> Vec<Diagnostic> {
    let Some(template) = template else { return Vec::new() };
    let mut found = Vec::new();
    let drives = keys.iter().find(|(key, _)| *key == Key::Cdrom.name());
    let takes = |slot: &&str| drives.is_some_and(|drives| drives.1.get(slot).is_some_and(|disc| !disc.is_null()));
    if let Some(slot) = template.cloud_init.drive.as_deref().filter(takes) {
        let what = format!(
            "its CD drive is in {slot}, where template `{}` has its cloud-init drive: lost, it could not be made again so",
            template.name
        );
        let hint = "put the CD drive into another slot, or name a template that has its cloud-init drive elsewhere";
        found.push(Diagnostic::notice(codes::CD_DRIVE, what).hint(hint).vm(live.id));
    }
    let [is, other] = [live, template].map(|vm| vm.boot_disk.as_ref().map(|disk| disk.device.as_str()));
    if let (Some(is), Some(other)) = (is, other.filter(|other| Some(*other) != is)) {
        // The entry has that slot for another disk.
        let then = if live.options.get(other).is_some() {
            "it cannot be made again of that"
        } else {
            "made again of that, it would boot from there"
        };
        let what = format!("it boots from {is}, and template `{}` from {other}: {then}", template.name);
        let hint = format!("name a template that boots from {is}");
        found.push(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id));
    }
    let more = only_of_template(live, template, default);
    if live.record.valid().is_none() && !more.is_empty() {
        let what = format!(
            "made again of template `{}`, it would also have {}: its entry does not take that away",
            template.name,
            more.join(", ")
        );
        found.push(
            Diagnostic::notice(codes::INEXPRESSIBLE, what)
                .hint("name a template without that, or set it in the entry where there is a key for it")
                .vm(live.id),
        );
    }
    found
}

/// Whether it is a part of a card beside its model, its address and its bridge.
fn is_part_of_card(part: &str) -> bool {
    ["firewall", "link_down", "mtu", "queues", "rate", "tag", "trunks"].contains(&part)
}

/// What a VM would have of its template besides, were it made of it again, and its entry cannot take away.
fn only_of_template(live: &VmObserved, template: &VmObserved, default: &DesiredVm) -> Vec<String> {
    let lacks = |option: &&ProxmoxOption| {
        let said = default.option(option).is_some();
        !said && option.default().is_none() && value(option, live).is_empty() && !inherited(option, template).is_empty()
    };
    let mut found: Vec<String> =
        proxmox::options().values().filter(lacks).map(|option| option.name.to_owned()).collect();
    if let Some(option) = proxmox::boot_disk() {
        let parts = |vm: &VmObserved| option.to_parts(&value(option, vm));
        let (is, said) = (parts(live), default.option(option).map(|shared| option.to_parts(&shared.value)));
        let of = |name: &String| {
            !is.contains_key(name)
                && option.default_of(name).is_none()
                && said.as_ref().is_none_or(|said| !said.contains_key(name))
        };
        found.extend(parts(template).into_keys().filter(of).map(|name| format!("`{name}` of its boot disk")));
    }
    if template.agent && !live.agent {
        found.push("its guest agent switched on".to_owned());
    }
    let [is, other] = [live, template].map(|vm| vm.options.get("net0").map(PropertyString::parse));
    let parts = other.into_iter().flat_map(|card| card.parts).map(|(part, _)| part);
    let lacks = |part: &String| is.as_ref().is_some_and(|card| card.get(part).is_none()) && is_part_of_card(part);
    found.extend(parts.filter(lacks).map(|part| format!("`{part}` of net0")));
    found.extend(cards::slots_of(template).filter(|slot| live.options.get(slot).is_none()).map(ToOwned::to_owned));
    found
}
