//! What VMs have that they do not say themselves: what their profiles say, over what `vm_defaults` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits::MAX_PROFILES;

/// Puts what the profile of this name says over what is said before it.
type Over<V> = fn(profile: V, base: V, name: &Arc<str>) -> V;

/// What VMs have where they say nothing themselves.
pub(super) struct Inherited<V> {
    profiles: BTreeMap<String, V>,
    over: Over<V>,
    /// By the profiles that VMs name; by none it is what `vm_defaults` says.
    by_names: BTreeMap<Vec<String>, V>,
}

impl<V: Clone> Inherited<V> {
    pub(super) fn new(defaults: V, profiles: BTreeMap<String, V>, over: Over<V>) -> Self {
        Self { profiles, over, by_names: BTreeMap::from([(Vec::new(), defaults)]) }
    }

    /// What VMs with these profiles have: each over those before it, and over `vm_defaults`. One that is not there says
    /// nothing.
    /// Of more names than a VM may have the first ones count.
    pub(super) fn by(&mut self, names: &[String]) -> &V {
        let names = &names[..names.len().min(MAX_PROFILES)];
        for (at, last) in names.iter().enumerate() {
            let (before, with) = (&names[..at], &names[..=at]);
            if !self.by_names.contains_key(with) {
                let base = self.by_names[before].clone();
                let all = match self.profiles.get(last) {
                    Some(profile) => (self.over)(profile.clone(), base, &Arc::from(last.as_str())),
                    None => base,
                };
                self.by_names.insert(with.to_owned(), all);
            }
        }
        &self.by_names[names]
    }
}
