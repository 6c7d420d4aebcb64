//! Values as documents have them: numbers as numbers, switches as switches.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::model::Key;
use crate::model::proxmox::{self, Kind};
use crate::observed::options;
use crate::plan::Waiting;

/// A value of a key. Documents of earlier versions have every value as a text; they are read as well.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DocumentValue {
    /// Of a key that takes numbers.
    Number(Number),
    /// Of a key that takes `true` or `false`.
    Switch(bool),
    /// Every other one, and what no number says (`default (1)`).
    Text(String),
}

/// A value that waits for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentWaiting {
    /// The option in Proxmox's words.
    pub option: String,
    /// As the config calls it; the option's own name where no key stands for it. Absent in documents of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the running VM has; absent: not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<DocumentValue>,
    /// What it will have; absent: it goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<DocumentValue>,
}

impl DocumentValue {
    /// What a document has of `text`, the value of the key `key` in the words of people.
    #[must_use]
    pub fn of(key: &str, text: String) -> Self {
        match kind(key) {
            Takes::Number => match text.parse::<Number>() {
                Ok(number) if number.to_string() == text => Self::Number(number),
                _ => Self::Text(text),
            },
            Takes::Switch => match text.as_str() {
                "true" => Self::Switch(true),
                "false" => Self::Switch(false),
                _ => Self::Text(text),
            },
            Takes::Text => Self::Text(text),
        }
    }

    /// What people read.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Switch(on) => Cow::Borrowed(if *on { "true" } else { "false" }),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Values that people read as the same are the same: a document of an earlier version has the text of a number.
impl PartialEq for DocumentValue {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for DocumentValue {}

impl fmt::Display for DocumentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<&Waiting> for DocumentWaiting {
    fn from(waiting: &Waiting) -> Self {
        let shown = |value: &Option<String>| value.clone().map(|value| DocumentValue::of(&waiting.key, value));
        Self {
            option: waiting.option.clone(),
            key: Some(waiting.key.clone()),
            active: shown(&waiting.active),
            pending: shown(&waiting.pending),
        }
    }
}

impl DocumentWaiting {
    /// What people read: as the config calls it.
    #[must_use]
    pub fn called(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.option)
    }
}

/// What a key takes.
enum Takes {
    Number,
    Switch,
    Text,
}

fn kind(key: &str) -> Takes {
    if let Some(option) = key.strip_prefix(proxmox::PREFIX).and_then(proxmox::option) {
        return match option.spec.kind {
            // Proxmox's own switches are 1 and 0.
            Kind::Switch { .. } | Kind::Integer { .. } | Kind::Number { .. } => Takes::Number,
            Kind::Words { .. } | Kind::Text { .. } | Kind::Parts { .. } => Takes::Text,
        };
    }
    if options::is_size_key(key) {
        return Takes::Number;
    }
    match Key::ALL.into_iter().find(|known| known.name() == key) {
        Some(
            Key::VmId
            | Key::CpuSockets
            | Key::CpuCores
            | Key::MemoryMb
            | Key::BootDiskSizeGb
            | Key::BootOrder
            | Key::BootDelay
            | Key::ShutdownTimeout,
        ) => Takes::Number,
        Some(Key::FullClone | Key::Started | Key::StartAtBoot | Key::Protected | Key::IsTemplate) => Takes::Switch,
        _ => Takes::Text,
    }
}
