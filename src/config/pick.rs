//! The nearest value that is said.

use crate::model::{Key, Origin, Origins};

/// Takes the first value there is and notes where it came from.
pub(super) fn pick<T: Clone>(
    origins: &mut Origins,
    key: Key,
    own: Option<T>,
    shared: Option<&T>,
    built_in: impl FnOnce() -> T,
) -> T {
    let (value, origin) = match (own, shared) {
        (Some(own), _) => (own, Origin::Vm),
        (None, Some(shared)) => (shared.clone(), Origin::VmDefaults),
        (None, None) => (built_in(), Origin::BuiltIn),
    };
    origins.note(key, origin);
    value
}

/// The same as [`pick_any`], of what few VMs have: each keeps room for a pointer alone.
pub(super) fn pick_boxed<T: Clone>(
    origins: &mut Origins,
    key: Key,
    own: Option<T>,
    shared: Option<T>,
) -> Option<Box<T>> {
    pick_any(origins, key, own, shared).map(Box::new)
}

/// Takes the first value there is, if there is one, and notes where it came from.
pub(super) fn pick_any<T: Clone>(origins: &mut Origins, key: Key, own: Option<T>, shared: Option<T>) -> Option<T> {
    pick(origins, key, own.map(Some), shared.map(Some).as_ref(), || None)
}
