//! A text for cloud-init in which secrets stand: as people see it, and as it is written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Secret, content_digest};

/// A text for cloud-init. Where it is shown, saved, compared or logged, `${secret.NAME}` stands for a secret; only
/// [`expanded`](Self::expanded) has its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataText {
    shown: Arc<str>,
    /// Where secrets stand in what is shown, in bytes and in the order of the text.
    secrets: Arc<[(Range<usize>, Secret)]>,
}

impl DataText {
    /// A text with the places, in the order of the text, at which secrets stand.
    #[must_use]
    pub fn new(shown: &str, secrets: Vec<(Range<usize>, Secret)>) -> Self {
        Self { shown: shown.into(), secrets: secrets.into() }
    }

    /// The text with the names of its secrets.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether secrets stand in it.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Its secrets as they stand in it (`${secret.NAME}`), each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for (place, _) in self.secrets.iter() {
            let name = self.shown.get(place.clone()).unwrap_or_default();
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }

    /// The text with the values of its secrets, for those who write it to where it belongs; `None`: a value is not
    /// there.
    #[must_use]
    pub fn expanded(&self) -> Option<Cow<'_, str>> {
        if !self.has_secrets() {
            return Some(Cow::Borrowed(&self.shown));
        }
        let (mut text, mut from) = (String::with_capacity(self.shown.len()), 0);
        for (place, secret) in self.secrets.iter() {
            text.push_str(self.shown.get(from..place.start)?);
            text.push_str(secret.value()?);
            from = place.end;
        }
        text.push_str(self.shown.get(from..)?);
        Some(Cow::Owned(text))
    }

    /// What its secrets are known by: their salted digests and where they stand; `None`: a value is not there. Empty
    /// without secrets.
    pub(super) fn sealed(&self) -> Option<String> {
        let one = |(place, secret): &(Range<usize>, Secret)| Some(format!("{} {}\n", place.start, secret.digest()?));
        self.secrets.iter().map(one).collect()
    }

    /// SHA-256 of the text; where secrets stand in it, of what is shown and of their salted digests.
    #[must_use]
    pub fn digest(&self) -> String {
        let sealed = self.sealed().unwrap_or_default();
        content_digest(format!("{}{sealed}", self.shown).as_bytes())
    }
}

impl From<&str> for DataText {
    fn from(text: &str) -> Self {
        Self::new(text, Vec::new())
    }
}

impl fmt::Display for DataText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Serialize for DataText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::DataText;
    use crate::model::{Secret, SecretName};

    #[test]
    fn only_what_is_written_has_the_value() {
        let shown = "a: ${secret.db}, b: ${secret.db}";
        let of = |value: Option<&str>| {
            let secret = || Secret::new(SecretName::Env("PHOENIX_SECRET_DB".to_owned()), value.map(Into::into));
            DataText::new(shown, vec![(3..15, secret()), (20..32, secret())])
        };
        let text = of(Some("hunter2"));
        assert_eq!(text.expanded().as_deref(), Some("a: hunter2, b: hunter2"));
        assert_eq!(text.secrets(), ["${secret.db}"]);
        assert_eq!(of(None).expanded(), None);
        assert_eq!(text.to_string(), shown);
        assert_eq!(serde_json::to_value(&text).unwrap(), shown);
        assert!(!format!("{text:?}").contains("hunter2"));
    }
}
