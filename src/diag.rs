//! Diagnostics: problems as values. How they look is decided in `ui::diagnostics`.

use serde::Serialize;

use crate::model::{Key, VmId};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be done until it is mended.
    Error,
    /// Probably not meant; phoenix goes on.
    Warning,
    /// Good to know.
    Notice,
}

impl Severity {
    /// The word users read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// Whether one of these is an error.
#[must_use]
pub fn has_errors(problems: &[Diagnostic]) -> bool {
    problems.iter().any(Diagnostic::is_error)
}

/// A stretch of the config's text, in bytes: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, e.g. `P014`. Never reused for something else.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line: lower-case fragment that says what is wrong, without the VM, which faces put before it.
    pub message: String,
    /// Where in the config, when it is about the config's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What to write at the marker; empty for a bare marker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Other places that explain the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(Span, String)>,
    /// The way out, when there is one to name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The VM concerned, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<VmId>,
    /// That VM's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The keys of the file that it comes from, as the file calls them: `memory_mb`, `proxmox.cpu`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<&'static str>,
    /// How many problems of the same kind it stands for that are not listed; 0: it is one itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Diagnostic {
    /// A problem without place, hint or VM; add them with the methods below.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            span: None,
            label: String::new(),
            others: Vec::new(),
            hint: None,
            vm: None,
            name: None,
            keys: Vec::new(),
            omitted: 0,
        }
    }

    /// An error.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A notice.
    #[must_use]
    pub fn notice(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Notice, message)
    }

    /// Says where it is, with a word at the marker.
    #[must_use]
    pub fn at(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        self.span = span;
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.others.push((span, label.into()));
        }
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which VM it concerns.
    #[must_use]
    pub fn vm(mut self, vm: VmId) -> Self {
        self.vm = Some(vm);
        self
    }

    /// Adds a key of the file that it comes from.
    #[must_use]
    pub fn about(mut self, key: impl Into<&'static str>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// The message with the VM before it, readable by itself.
    #[must_use]
    pub fn whole(&self) -> String {
        match self.vm {
            Some(vm) => format!("{}: {}", whose(vm.get(), self.name.as_deref()), self.message),
            None => self.message.clone(),
        }
    }

    /// How many problems it tells of.
    #[must_use]
    pub fn number(&self) -> usize {
        self.omitted.max(1)
    }

    /// Whether it stops everything.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl From<Key> for &'static str {
    fn from(key: Key) -> Self {
        key.name()
    }
}

/// A VM as messages name it: ``VM 1000 `web` ``, or without a name that is not known.
#[must_use]
pub fn whose(vm: u32, name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() => format!("VM {vm} `{name}`"),
        _ => format!("VM {vm}"),
    }
}

/// Most VMs that one message names.
pub const MOST_NAMED: usize = 12;

/// VMs, each with its name, as messages name them: as [`whose`] does if it is one, else
/// `3 VMs: 1000 web, 1001 db, 1002 mail`; empty for none.
#[must_use]
pub fn whose_all<'n>(vms: impl ExactSizeIterator<Item = (u32, Option<&'n str>)>) -> String {
    let all = vms.len();
    let named: Vec<(u32, Option<&str>)> = vms.take(MOST_NAMED).collect();
    let one = |(vm, name): &(u32, Option<&str>)| match name {
        Some(name) if !name.is_empty() => format!("{vm} {name}"),
        _ => vm.to_string(),
    };
    match &named[..] {
        [] => String::new(),
        [(vm, name)] => whose(*vm, *name),
        _ => {
            let more = if named.len() == all { String::new() } else { format!(" and {} more", all - named.len()) };
            format!("{all} VMs: {}{more}", named.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

/// How many known words are compared with one that is not known.
const MOST_KNOWN: usize = 1000;

/// The known word nearest to `word`, when it is near enough to be what was meant.
///
/// Near means at most a third of the word's letters wrong. Used for "did you mean". Of very many known words only the
/// first are looked at.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .take(MOST_KNOWN)
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the insertions, deletions, replacements and swaps of neighbours between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            next[j] = replace.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_was_probably_meant() {
        let keys = ["memory_mb", "cpu_cores", "tags"];
        assert_eq!(nearest("memory_mbs", keys), Some("memory_mb"));
        assert_eq!(nearest("memroy_mb", keys), Some("memory_mb"));
        assert_eq!(nearest("tag", keys), Some("tags"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
