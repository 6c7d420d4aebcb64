//! One VM's case.

use std::cell::OnceCell;
use std::sync::Arc;

use super::facts::Facts;
use super::guest;
use crate::diag::Diagnostic;
use crate::model::Record;
use crate::observed::options::late_slots;
use crate::plan::preflight;

/// One VM's case: what its steps are planned from.
pub(super) struct Case<'a> {
    /// What is known.
    pub(super) facts: Facts<'a>,
    end: End,
    /// Worked out when it is asked for: of most VMs nothing changes.
    last: OnceCell<(Arc<Record>, Option<Diagnostic>)>,
}

/// What the end of a VM's record depends on, beside what is known of the VM.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Something is done in its guest.
    pub(super) inside: bool,
    /// What cloud-init is told changes.
    pub(super) unread: bool,
    /// Its card changes, and the guest has not been seen with it.
    pub(super) card: bool,
}

impl<'a> Case<'a> {
    pub(super) fn new(facts: Facts<'a>, end: End) -> Self {
        Self { facts, end, last: OnceCell::new() }
    }

    /// What its record says in the end.
    pub(super) fn last(&self) -> Arc<Record> {
        Arc::clone(&self.worked_out().0)
    }

    /// Says that the notes of the VM have no room for that.
    pub(super) fn no_room(&self) -> Option<Diagnostic> {
        self.worked_out().1.clone()
    }

    fn worked_out(&self) -> &(Arc<Record>, Option<Diagnostic>) {
        self.last.get_or_init(|| {
            let End { inside, unread, card } = self.end;
            let mut last = guest::last_record(&self.facts, inside);
            let live = self.facts.scene.observed.vms.get(&self.facts.vm.vm_id);
            last.late.extend(live.into_iter().flat_map(|live| late_slots(self.facts.vm, live)));
            // Room is looked for with all that it may come to say.
            (last.unread, last.card) = (self.facts.record.unread || unread, card);
            let no_room = preflight::notes(self.facts.vm, &mut last);
            (Arc::new(last), no_room)
        })
    }
}
