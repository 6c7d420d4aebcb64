//! Values of options, as the file, the record and people name them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::model::GIB;

/// A value that a VM has, or that a file wishes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number in the unit of its key.
    Number(u64),
    /// On or off.
    Switch(bool),
    /// A text.
    Text(Cow<'a, str>),
    /// Words in their order.
    Words(&'a [String]),
    /// A size in bytes; the file names sizes in GiB.
    Bytes(u64),
    /// SSH keys by their fingerprints.
    Keys(Cow<'a, BTreeSet<String>>),
}

/// What a file wishes of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish<'a> {
    /// This value.
    Value(Value<'a>),
    /// That it is not set, so that Proxmox's own default counts.
    Unset,
    /// Nothing: it stays as it is.
    Leave,
}

impl<'a> Value<'a> {
    /// A text that lives as long as what it is read from.
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The value as a file has it: numbers as numbers, sizes in whole GiB, the last one begun counted in full.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Switch(on) => (*on).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Words(words) => (*words).into(),
            Self::Bytes(bytes) => bytes.div_ceil(GIB).into(),
            Self::Keys(keys) => keys.iter().cloned().collect(),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Text(text) => f.write_str(text),
            Self::Words(words) => f.write_str(&words.join(", ")),
            Self::Bytes(bytes) => f.write_str(&gib(*bytes)),
            Self::Keys(keys) => f.write_str(&keys.iter().map(String::as_str).collect::<Vec<_>>().join("\n")),
        }
    }
}

impl<'a> Wish<'a> {
    /// This value, or nothing.
    pub(super) fn some(value: Option<Value<'a>>) -> Self {
        value.map_or(Self::Leave, Self::Value)
    }

    /// The value that is desired.
    #[must_use]
    pub fn value(&self) -> Option<&Value<'a>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unset | Self::Leave => None,
        }
    }
}

/// A size in GiB, with up to two decimals where it is not whole.
#[must_use]
pub fn gib(bytes: u64) -> String {
    if bytes.is_multiple_of(GIB) {
        (bytes / GIB).to_string()
    } else {
        let hundredths = u128::from(bytes) * 100 / u128::from(GIB);
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}
