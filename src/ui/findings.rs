//! What a plan found, as people read it: each finding says in one form whose it is, equal ones of several VMs are one,
//! and shows the place in the file that it comes from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::{self, Places, Source};
use crate::diag::{Diagnostic, Severity, Span, whose_all};
use crate::plan::document::DocumentProblem;

/// Most places that one finding shows.
const PLACES: usize = 4;

/// What stands for the VMID in the hint of several VMs.
const ANY: &str = "VMID";

/// A VM as findings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject<'f> {
    pub(super) vm: u32,
    pub(super) name: Option<&'f str>,
}

/// Something that was found, of a VM or of none.
pub(super) trait Found {
    /// The VM concerned.
    fn subject(&self) -> Option<Subject<'_>>;
    /// Severity, code, and the message without the VM.
    fn says(&self) -> [&str; 3];
    /// The way out.
    fn way_out(&self) -> Option<&str>;
}

impl Found for DocumentProblem {
    fn subject(&self) -> Option<Subject<'_>> {
        self.vm.map(|vm| Subject { vm, name: self.name.as_deref() })
    }

    fn says(&self) -> [&str; 3] {
        [&self.severity, &self.code, self.bare()]
    }

    fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Found for Diagnostic {
    fn subject(&self) -> Option<Subject<'_>> {
        self.vm.map(|vm| Subject { vm: vm.get(), name: self.name.as_deref() })
    }

    fn says(&self) -> [&str; 3] {
        [self.severity.as_str(), self.code, &self.message]
    }

    fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A finding with all VMs that it is of.
pub(super) struct Finding<'f, F> {
    /// It, as it is of the first of them.
    pub(super) first: &'f F,
    /// It, as it is of each of them; one, if it is of no VM.
    pub(super) all: Vec<&'f F>,
    /// The way out of them all.
    pub(super) hint: Option<Cow<'f, str>>,
}

impl<F: Found> Finding<'_, F> {
    /// The VMs it is of; none, if it is of no VM.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        self.all.iter().filter_map(|found| found.subject())
    }

    /// Whose it is, in words; empty: no VM's.
    pub(super) fn whose(&self) -> String {
        // One VM may have the same finding of two of its keys.
        let mut all: Vec<Subject<'_>> = self.subjects().collect();
        let mut seen = BTreeSet::new();
        all.retain(|subject| seen.insert(subject.vm));
        whose_all(all.iter().map(|subject| (subject.vm, subject.name)))
    }

    /// The whole sentence.
    pub(super) fn sentence(&self) -> String {
        let [_, _, message] = self.first.says();
        match self.whose() {
            whose if whose.is_empty() => message.to_owned(),
            whose => format!("{whose}: {message}"),
        }
    }
}

/// The findings in their order, where each that is the same of several VMs is one, at the place of the first.
///
/// The same are those of one severity, code, message and way out; in what a way out quotes as a command, the VMID of
/// each stands for the same.
pub(super) fn grouped<'f, F: Found>(found: impl IntoIterator<Item = &'f F>) -> Vec<Finding<'f, F>> {
    let mut groups: Vec<Finding<'f, F>> = Vec::new();
    let mut known: BTreeMap<([&str; 3], Option<Cow<'f, str>>), usize> = BTreeMap::new();
    for found in found {
        let hint = found.way_out().map(Cow::Borrowed);
        let new = Finding { first: found, all: vec![found], hint };
        let Some(subject) = found.subject() else {
            groups.push(new);
            continue;
        };
        let general = found.way_out().map(|hint| general(hint, subject.vm));
        if let Some(at) = known.get(&(found.says(), general.clone())) {
            groups[*at].all.push(found);
            groups[*at].hint = general;
        } else {
            known.insert((found.says(), general), groups.len());
            groups.push(new);
        }
    }
    groups
}

/// A hint, in whose commands `VMID` stands for the VMID.
fn general(hint: &str, vm: u32) -> Cow<'_, str> {
    let id = vm.to_string();
    let parts: Vec<&str> = hint.split('`').collect();
    if !hint.contains(&id) || parts.len().is_multiple_of(2) {
        return Cow::Borrowed(hint);
    }
    let word = |word: &str| if word == id { ANY.to_owned() } else { word.to_owned() };
    let part = |(at, part): (usize, &&str)| {
        let words = || part.split(' ').map(word).collect::<Vec<_>>().join(" ");
        if at % 2 == 1 { words() } else { (*part).to_owned() }
    };
    Cow::Owned(parts.iter().enumerate().map(part).collect::<Vec<_>>().join("`"))
}

/// The findings as [`diagnostics::render`](super::diagnostics::render) shows them: whole sentences, equal ones of
/// several VMs in one, with their places in `source`.
#[must_use]
pub fn shown(found: &[Diagnostic], source: Option<&Source>) -> Vec<Diagnostic> {
    // A notice is not about a VM as a whole because no key is named.
    let is_placed =
        |found: &Diagnostic| found.vm.is_some() && (found.severity != Severity::Notice || !found.keys.is_empty());
    let places = source.filter(|_| found.iter().any(is_placed)).map(config::places);
    let one = |group: Finding<'_, Diagnostic>| {
        let spans = places.as_ref().filter(|_| is_placed(group.first)).map(|places| spans(&group, places));
        let mut spans = spans.unwrap_or_default().into_iter();
        let span = spans.next();
        let more = spans.len().saturating_sub(PLACES - 1);
        let label = if more == 0 { String::new() } else { format!("and at {more} more places") };
        Diagnostic {
            message: group.sentence(),
            hint: group.hint.as_deref().map(ToOwned::to_owned),
            others: spans.take(PLACES - 1).map(|span| (span, String::new())).collect(),
            span,
            label,
            ..group.first.clone()
        }
    };
    grouped(found).into_iter().map(one).collect()
}

/// Where a finding comes from: the places of its keys in the VMs' own entries, else in their profiles or `vm_defaults`;
/// where no key of it is said, the first of the VMs.
fn spans(group: &Finding<'_, Diagnostic>, places: &Places) -> Vec<Span> {
    let mut spans = Vec::new();
    for found in &group.all {
        let keys = found.keys.iter().filter_map(|key| places.of_key(found.vm?.get(), key));
        for span in keys {
            if !spans.contains(&span) {
                spans.push(span);
            }
        }
    }
    let first = || group.subjects().find_map(|subject| places.vms.get(&subject.vm)).map(|(own, _)| *own);
    if spans.is_empty() { first().into_iter().collect() } else { spans }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Diagnostic;

    fn found(vm: u32, hint: &str) -> Diagnostic {
        let found = Diagnostic::error("T013", "locked (backup)").vm(vm.try_into().unwrap()).hint(hint);
        Diagnostic { name: Some(format!("vm{vm}")), ..found }
    }

    #[track_caller]
    fn check(list: &[Diagnostic], expected: &[(&str, &str)]) {
        let shown = shown(list, None);
        let shown: Vec<(&str, &str)> =
            shown.iter().map(|found| (found.message.as_str(), found.hint.as_deref().unwrap_or_default())).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn equal_findings_of_several_vms_are_one() {
        let same = |ids: std::ops::Range<u32>| ids.map(|vm| found(vm, "wait")).collect::<Vec<_>>();
        check(&same(100..101), &[("VM 100 `vm100`: locked (backup)", "wait")]);
        check(&same(100..103), &[("3 VMs: 100 vm100, 101 vm101, 102 vm102: locked (backup)", "wait")]);
        let many = shown(&same(100..200), None);
        assert!(many[0].message.starts_with("100 VMs: 100 vm100, ") && many.len() == 1, "{many:?}");
        assert!(many[0].message.ends_with(", 111 vm111 and 88 more: locked (backup)"), "{many:?}");
        check(
            &[found(100, "wait"), found(101, "do not wait"), found(102, "wait")],
            &[
                ("2 VMs: 100 vm100, 102 vm102: locked (backup)", "wait"),
                ("VM 101 `vm101`: locked (backup)", "do not wait"),
            ],
        );
        let none = Diagnostic { vm: None, name: None, ..found(100, "wait") };
        check(&[none.clone(), none], &[("locked (backup)", "wait"), ("locked (backup)", "wait")]);
    }

    #[test]
    fn commands_in_hints_are_those_of_each_vm() {
        let hint = |vm: u32| found(vm, &format!("`qm unlock {vm}` on the node"));
        check(&[hint(100)], &[("VM 100 `vm100`: locked (backup)", "`qm unlock 100` on the node")]);
        check(
            &[hint(100), hint(101)],
            &[("2 VMs: 100 vm100, 101 vm101: locked (backup)", "`qm unlock VMID` on the node")],
        );
        // A number that is no VMID of a command is left alone.
        let size = |vm: u32| found(vm, &format!("set it to {vm} or more"));
        check(
            &[size(100), size(101)],
            &[
                ("VM 100 `vm100`: locked (backup)", "set it to 100 or more"),
                ("VM 101 `vm101`: locked (backup)", "set it to 101 or more"),
            ],
        );
    }
}
