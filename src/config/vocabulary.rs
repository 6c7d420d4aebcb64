//! Words of other tools for what keys of the file say: of Proxmox (`qm`, its API), of Terraform's two providers, of
//! Ansible, and of the file of the project that phoenix follows. The words themselves are `vocabulary.json`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

/// What `vocabulary.json` holds. Its words stand in lower case, with nothing but letters and digits; `#` at the end is
/// any number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vocabulary {
    /// For each object of the file what may stand there.
    pub(super) objects: BTreeMap<String, Vec<Entry>>,
    /// Values that are called otherwise.
    pub(super) values: Vec<Named>,
}

/// Words with one meaning.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    words: String,
    #[serde(flatten)]
    pub(super) means: Means,
}

/// What a word of another tool means here.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Means {
    /// The same as this key of the same object.
    Key(String),
    /// What other keys say: which, and how.
    Elsewhere(String),
    /// What phoenix has no key for.
    Nothing(String),
}

/// Words for a value of a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// The key.
    pub(super) of: String,
    /// The value, as the file has it.
    pub(super) value: String,
    words: String,
}

impl Entry {
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.split(' ')
    }
}

impl Named {
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.split(' ')
    }
}

/// The vocabulary; empty if the file is no vocabulary, which a test rules out.
pub(super) fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| serde_json::from_str(include_str!("vocabulary.json")).unwrap_or_default())
}

/// What a word means in an object.
pub(super) fn means(object: &str, word: &str) -> Option<&'static Means> {
    let numbered = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = (numbered != word).then(|| format!("{numbered}#"));
    let entries = vocabulary().objects.get(object)?;
    let of = |word: &str| entries.iter().find(|entry| entry.words().any(|one| one == word)).map(|entry| &entry.means);
    of(word).or_else(|| of(&numbered?))
}

/// The value of a key that is called so elsewhere.
pub(super) fn value(key: &str, word: &str) -> Option<&'static str> {
    let named = vocabulary().values.iter().find(|named| named.of == key && named.words().any(|one| one == word));
    named.map(|named| named.value.as_str())
}
