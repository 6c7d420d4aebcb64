//! A problem that knows its place by name; the bytes are looked up only when it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jsonc_parser::ast::Value;

use super::codes::{self, Code};
use super::spans::{Place, unescaped};
use crate::diag::Diagnostic;
use crate::model::{PRIVATE_KEY, VmId};

/// A diagnostic whose places are still names.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) diagnostic: Diagnostic,
    pub(super) at: Place,
    pub(super) others: Vec<(Place, String)>,
    /// Begins the hint that ends with the line of the first other place.
    line_hint: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>, at: Place) -> Self {
        Self { diagnostic: code.diagnostic(message), at, others: Vec::new(), line_hint: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.diagnostic.label = label.into();
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.diagnostic.hint = Some(hint.into());
        self
    }

    pub(super) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.diagnostic.hint = hint;
        self
    }

    pub(super) fn also(mut self, at: Place, label: impl Into<String>) -> Self {
        self.others.push((at, label.into()));
        self
    }

    /// Hints at the first other place by its line: `{start} at line 31`.
    pub(super) fn line_hint(mut self, start: impl Into<String>) -> Self {
        self.line_hint = Some(start.into());
        self
    }

    pub(super) fn vm(mut self, vm: Option<u32>) -> Self {
        self.diagnostic.vm = vm.and_then(|id| VmId::try_from(id).ok());
        self
    }

    /// Looks its places up in the text; `line` names the line of a byte: `line 31`.
    pub(super) fn placed(self, root: &Value<'_>, line: &dyn Fn(usize) -> String) -> Diagnostic {
        let mut diagnostic = self.diagnostic;
        diagnostic.span = Some(self.at.find(root));
        diagnostic.others = self.others.into_iter().map(|(place, label)| (place.find(root), label)).collect();
        if let (Some(start), Some((span, _))) = (self.line_hint, diagnostic.others.first()) {
            diagnostic.hint = Some(format!("{start} at {}", line(span.start)));
        }
        diagnostic
    }
}

/// Most problems of one kind that are told; the others are counted.
pub const MOST_OF_A_KIND: usize = 100;

/// Things of a kind, of which the first are kept and all are counted.
#[derive(Debug)]
pub(super) struct Counted<T> {
    kept: Vec<T>,
    /// How many there are by code.
    numbers: BTreeMap<&'static str, usize>,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T> Counted<T> {
    /// Counts one; it is made only if it is kept.
    pub(super) fn add(&mut self, code: Code, make: impl FnOnce() -> T) {
        let number = self.numbers.entry(code.code).or_default();
        *number += 1;
        if *number <= MOST_OF_A_KIND {
            self.kept.push(make());
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What is kept, and how many there are by code.
    pub(super) fn into_parts(self) -> (Vec<T>, BTreeMap<&'static str, usize>) {
        (self.kept, self.numbers)
    }
}

impl Counted<Diagnostic> {
    /// Adds those of another text, each changed by `change`.
    pub(super) fn append(&mut self, other: Self, change: impl Fn(Diagnostic) -> Diagnostic) {
        for found in other.kept {
            self.add(Code { code: found.code, severity: found.severity, meaning: "" }, || change(found));
        }
        for (code, number) in other.numbers {
            *self.numbers.entry(code).or_default() += number.saturating_sub(MOST_OF_A_KIND);
        }
    }
}

/// Diagnostics in the order of the text, and behind them how many more of each kind there are.
pub(super) fn listed(mut kept: Vec<Diagnostic>, numbers: &BTreeMap<&'static str, usize>) -> Vec<Diagnostic> {
    kept.sort_by_key(|found| (found.span, found.code));
    kept.extend(codes::ALL.iter().filter_map(|code| {
        let more = numbers.get(code.code)?.checked_sub(MOST_OF_A_KIND).filter(|more| *more > 0)?;
        let what = if more == 1 { "problem of this kind is" } else { "problems of this kind are" };
        Some(Diagnostic {
            omitted: more,
            ..code.diagnostic(format!("{more} more {what} not listed: {}", code.meaning))
        })
    }));
    kept
}

/// The problems of a file.
#[derive(Debug, Default)]
pub(super) struct Problems {
    counted: Counted<Problem>,
    /// How many there are.
    number: usize,
    /// Hashes of the places that something else is said of than how a number is written, kept or not.
    said: BTreeSet<u64>,
}

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.number += 1;
        if problem.diagnostic.code != codes::NUMBER_FORM.code {
            self.said.insert(hash(&problem.at));
        }
        let code = Code { code: problem.diagnostic.code, severity: problem.diagnostic.severity, meaning: "" };
        self.counted.add(code, || problem);
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }

    /// How many there are, also of those that are only counted.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// How many are kept; a place for [`Self::since`].
    pub(super) fn kept(&self) -> usize {
        self.counted.kept.len()
    }

    /// Says that what was kept since then is about a VM.
    pub(super) fn since(&mut self, kept: usize, vm: Option<u32>) {
        for problem in &mut self.counted.kept[kept..] {
            problem.diagnostic.vm = vm.and_then(|id| id.try_into().ok());
        }
    }

    /// Whether a problem of this kind would be kept: what is costly to say is said only then.
    pub(super) fn has_room(&self, code: Code) -> bool {
        self.counted.numbers.get(code.code).is_none_or(|number| *number < MOST_OF_A_KIND)
    }

    /// Counts a problem that is not kept.
    pub(super) fn count(&mut self, code: Code) {
        self.number += 1;
        *self.counted.numbers.entry(code.code).or_default() += 1;
    }

    /// Whether more was said of a place than how a number is written.
    pub(super) fn is_said(&self, place: &Place) -> bool {
        self.said.contains(&hash(place))
    }

    /// What is kept, each once, in the order of the places' names; and how many there are by code.
    pub(super) fn into_parts(self) -> (Vec<Problem>, BTreeMap<&'static str, usize>) {
        let (mut kept, numbers) = self.counted.into_parts();
        kept.sort_by(|a, b| (&a.at.pointer, a.diagnostic.code).cmp(&(&b.at.pointer, b.diagnostic.code)));
        kept.dedup_by(|a, b| {
            a.at == b.at && a.diagnostic.code == b.diagnostic.code && a.diagnostic.message == b.diagnostic.message
        });
        (kept, numbers)
    }
}

fn hash(place: &Place) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    hasher.finish()
}

/// Longest text that a message repeats.
const SHOWN: usize = 80;

/// Shows a text of the config in a message: in backticks, and not all of it if it is long.
///
/// Control characters stay; printing makes a message safe. A private key is not repeated at all.
pub(super) fn shown(text: &str) -> String {
    if text.contains(PRIVATE_KEY) {
        return "a private key".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        _ if text.is_empty() => "`\"\"`".to_owned(),
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// Names what a pointer leads to.
pub(super) fn named(pointer: &str) -> String {
    match pointer.rsplit_once('/') {
        None => "the config".to_owned(),
        Some(("/virtual_machines", _)) => "a VM".to_owned(),
        Some(("/profiles", _)) => "a profile".to_owned(),
        Some(("/secrets", name)) => format!("the secret {}", shown(&unescaped(name))),
        Some(("/hypervisor/nfs_shares", name)) => format!("the share {}", shown(&unescaped(name))),
        Some((list, entry)) if entry.bytes().all(|b| b.is_ascii_digit()) && !entry.is_empty() => {
            match list.rsplit('/').next().unwrap_or_default() {
                "volumes" => "a volume".to_owned(),
                list => format!("an entry of `{list}`"),
            }
        }
        Some((_, key)) => shown(&unescaped(key)),
    }
}
