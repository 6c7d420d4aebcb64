//! Where VMs and their keys stand in the text of a config.

use std::collections::BTreeMap;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;

use super::several;
use super::source::Source;
use crate::diag::Span;

/// Where VMs and keys stand in a config's text. What is not there, or no JSON, has no place.
#[derive(Debug, Default)]
pub struct Places {
    /// VMID to its number, and to the names of the VM's own keys, and of the parts of those (`proxmox.cpu`).
    pub vms: BTreeMap<u32, (Span, BTreeMap<String, Span>)>,
    /// The profiles that VMs name, in the order in which they do.
    pub named: BTreeMap<u32, Vec<String>>,
    /// The names of the keys of each profile, and of their parts.
    pub profiles: BTreeMap<String, BTreeMap<String, Span>>,
    /// The names of the keys of `vm_defaults`, and of their parts.
    pub defaults: BTreeMap<String, Span>,
}

impl Places {
    /// Where a key of a VM stands: in its own entry, else in its profiles, else in `vm_defaults`; a part of a key
    /// (`proxmox.cpu`) where it is not said by itself stands where the key does. `None`: the VM is not declared, or
    /// nothing says it.
    #[must_use]
    pub fn of_key(&self, vm: u32, key: &str) -> Option<Span> {
        let (_, own) = self.vms.get(&vm)?;
        let profiles = self.named.get(&vm).into_iter().flatten().rev().filter_map(|name| self.profiles.get(name));
        let objects: Vec<_> = [own].into_iter().chain(profiles).chain([&self.defaults]).collect();
        let said = |key: &str| objects.iter().find_map(|keys| keys.get(key)).copied();
        said(key).or_else(|| said(key.split_once('.')?.0))
    }
}

/// Finds where VMs and keys stand.
#[must_use]
pub fn places(source: &Source) -> Places {
    let json = source.json();
    let parsed = several::parse(source, &json);
    let Some(root) = parsed.root.as_ref().and_then(|root| root.as_object()) else { return Places::default() };
    let span = |range: jsonc_parser::common::Range| Span { start: range.start, end: range.end };
    let keys = |object: &Object<'_>| {
        let mut keys = BTreeMap::new();
        for property in &object.properties {
            let name = property.name.as_str();
            keys.insert(name.to_owned(), span(property.name.range()));
            let parts = property.value.as_object().into_iter().flat_map(|object| &object.properties);
            keys.extend(parts.map(|part| (format!("{name}.{}", part.name.as_str()), span(part.name.range()))));
        }
        keys
    };
    let mut places = Places::default();
    for vm in root.get_array("virtual_machines").into_iter().flat_map(|list| &list.elements) {
        let Some((vm, id)) = vm.as_object().and_then(|vm| Some((vm, vm.get_number("vm_id")?))) else { continue };
        let Ok(number) = id.value.parse() else { continue };
        places.vms.insert(number, (span(id.range()), keys(vm)));
        let named = profiles_of(vm);
        if !named.is_empty() {
            places.named.insert(number, named);
        }
    }
    for profile in root.get_object("profiles").into_iter().flat_map(|profiles| &profiles.properties) {
        let found = profile.value.as_object().map(keys).unwrap_or_default();
        places.profiles.insert(profile.name.as_str().to_owned(), found);
    }
    places.defaults = root.get_object("vm_defaults").map(keys).unwrap_or_default();
    places
}

/// The profiles that an entry names.
fn profiles_of(vm: &Object<'_>) -> Vec<String> {
    let text = |value: &Value<'_>| value.as_string_lit().map(|text| text.value.to_string());
    match vm.get("profile").map(|property| &property.value) {
        Some(Value::Array(list)) => list.elements.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}
