//! Where the VMs of a report stand in the config.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Mark, Region};
use crate::config::spans::LineIndex;
use crate::config::{self, Source};
use crate::diag::Span;
use crate::event::KeyPlace;

/// Finds lines and columns of VMs, as the config is now.
pub struct Places {
    file: String,
    vms: BTreeMap<u32, (Spot, BTreeMap<String, Spot>)>,
    /// The profiles that VMs name, and their keys.
    named: BTreeMap<u32, Vec<String>>,
    profiles: BTreeMap<String, BTreeMap<String, Spot>>,
    defaults: BTreeMap<String, Spot>,
}

/// A stretch of one of the config's files.
#[derive(PartialEq, Eq)]
struct Spot {
    file: Arc<str>,
    region: Region,
}

impl Places {
    /// The places in a config. Without its text only the file itself can be named.
    #[must_use]
    pub fn of(file: &str, source: Option<&Source>) -> Self {
        let none = Source::new(file, "");
        let source = source.unwrap_or(&none);
        let lines = LineIndex::new(&source.text);
        let one = source.files.is_empty().then(|| file.into());
        let names: Vec<Arc<str>> =
            one.into_iter().chain(source.files.iter().map(|part| part.name.as_str().into())).collect();
        let spot = |span: Span| Spot {
            file: Arc::clone(&names[source.file(span.start).0]),
            region: Region::of(span, source, &lines),
        };
        let spots = |keys: BTreeMap<String, Span>| keys.into_iter().map(|(key, span)| (key, spot(span))).collect();
        let found = config::places(source);
        let vms = found.vms.into_iter().map(|(vm, (own, keys))| (vm, (spot(own), spots(keys))));
        let profiles = found.profiles.into_iter().map(|(name, keys)| (name, spots(keys)));
        Self {
            file: file.to_owned(),
            vms: vms.collect(),
            named: found.named,
            profiles: profiles.collect(),
            defaults: spots(found.defaults),
        }
    }

    /// The place of the first of these keys that the VM's entry, a profile of it or `vm_defaults` says; else of the VM.
    pub(super) fn mark<'k>(&self, vm: Option<u32>, keys: impl IntoIterator<Item = &'k str>) -> Mark<'_> {
        let place = vm.and_then(|vm| Some((vm, &self.vms.get(&vm)?.0)));
        let spot = place.map(|(vm, own)| keys.into_iter().find_map(|key| self.said(vm, key)).unwrap_or(own));
        let file = spot.map_or(self.file.as_str(), |spot| &spot.file);
        Mark { file, region: spot.map(|spot| spot.region) }
    }

    /// Where a key of a VM is said: in its own entry, else in the last of its profiles that says it, else in
    /// `vm_defaults`.
    fn said(&self, vm: u32, key: &str) -> Option<&Spot> {
        let own = self.vms.get(&vm).map(|(_, said)| said);
        let profiles = self.named.get(&vm).into_iter().flatten().rev().filter_map(|name| self.profiles.get(name));
        own.into_iter().chain(profiles).chain([&self.defaults]).find_map(|keys| keys.get(key))
    }

    /// Where these keys of a VM stand. What is said nowhere, and a VM of which no key is asked, stand where the VM
    /// does; what the file does not declare, nowhere.
    #[must_use]
    pub fn of_keys(&self, vm: u32, keys: &[String]) -> Vec<KeyPlace> {
        let Some((own, _)) = self.vms.get(&vm) else { return Vec::new() };
        let place = |at: &Spot| {
            let (line, column) = (at.region.line, at.region.column);
            KeyPlace { file: at.file.to_string(), line, column, keys: Vec::new() }
        };
        if keys.is_empty() {
            return vec![place(own)];
        }
        let mut places: Vec<KeyPlace> = Vec::new();
        for key in keys {
            let at = self.said(vm, key).unwrap_or(own);
            let is_same = |one: &KeyPlace| KeyPlace { keys: Vec::new(), ..one.clone() } == place(at);
            let known = places.iter().position(is_same);
            let known = known.unwrap_or_else(|| {
                places.push(place(at));
                places.len() - 1
            });
            places[known].keys.push(key.clone());
        }
        places
    }
}
