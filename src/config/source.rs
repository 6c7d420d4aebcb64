//! What the caller read: the text of a config, and its feature scripts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::comments;
use super::spans::LineIndex;
use crate::model::SecretName;

/// A config's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file or directory as the user named it, for messages.
    pub name: String,
    /// Its text; of several files one after the other, each ended by a line break more.
    pub text: String,
    /// The files of a directory, in the order of the text. Empty: it is one file, which has its name.
    pub files: Vec<Part>,
}

/// A file of a config that is a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file, for messages.
    pub name: String,
    /// Where its text begins in that of the config, in bytes.
    pub start: usize,
}

impl Source {
    /// A config in one file.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), files: Vec::new() }
    }

    /// A config in several files, each of which is one by itself here.
    #[must_use]
    pub fn joined(name: impl Into<String>, files: Vec<Self>) -> Self {
        let mut whole = Self::new(name, String::new());
        for file in files {
            whole.files.push(Part { name: file.name, start: whole.text.len() });
            whole.text.push_str(&file.text);
            whole.text.push('\n');
        }
        whole
    }

    /// Its files, each by itself.
    #[must_use]
    pub fn apart(&self) -> Vec<Self> {
        self.stretches().map(|(name, range)| Self::new(name, &self.text[range])).collect()
    }

    /// The name of each file, and where it stands in the text.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        let one = self.files.is_empty().then_some((self.name.as_str(), 0..self.text.len()));
        let end = |n: usize| self.files.get(n + 1).map_or(self.text.len(), |next| next.start) - 1;
        let each = move |(n, part): (usize, &'_ Part)| part.start..end(n);
        let several = self.files.iter().enumerate().map(move |file| (file.1.name.as_str(), each(file)));
        one.into_iter().chain(several)
    }

    /// The text as JSON, each byte in its place: a file whose name ends in `.jsonc` may have comments and trailing
    /// commas.
    pub(super) fn json(&self) -> Cow<'_, str> {
        let plain = |(name, range): (&str, Range<usize>)| {
            if comments::may_have(name) { comments::without(&self.text[range]) } else { self.text[range].into() }
        };
        if self.files.is_empty() {
            return self.stretches().next().map(plain).unwrap_or_default();
        }
        self.stretches().map(plain).flat_map(|text| [text, "\n".into()]).collect::<String>().into()
    }

    /// The file that a byte stands in, from 0, with its name.
    #[must_use]
    pub fn file(&self, at: usize) -> (usize, &str) {
        let n = self.files.partition_point(|part| part.start <= at).saturating_sub(1);
        (n, self.files.get(n).map_or(&self.name, |part| &part.name))
    }

    /// How many lines of the text stand before the file in which a byte stands; `lines` is the index of the text.
    #[must_use]
    pub fn lines_before(&self, lines: &LineIndex, at: usize) -> usize {
        self.files.get(self.file(at).0).map_or(0, |part| lines.line(part.start) - 1)
    }

    /// The line and the column of a byte in its file, both from 1; the column counts characters. `lines` is the index
    /// of the text.
    #[must_use]
    pub fn place(&self, lines: &LineIndex, at: usize) -> (usize, usize) {
        let (line, column) = lines.place(&self.text, at);
        (line - self.lines_before(lines, at), column)
    }
}

/// The files ending in `.sh` of a directory by name: the content, or why it is not read.
pub(super) type Files = BTreeMap<String, Result<Vec<u8>, BadScript>>;

/// What the caller found in the directory of feature scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureFiles {
    /// There is no such directory.
    Missing,
    /// It lies outside the config's own directory.
    Outside,
    /// It is a link, or is reached through one: this part of its path.
    Link(String),
    /// It cannot be listed, for this reason.
    Unreadable(String),
    /// Its scripts.
    Found(Files),
    /// The operator names another directory than the config does: this one, with its scripts or why it cannot be read.
    Named(String, Result<Files, String>),
}

/// Why a script is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadScript {
    /// It is a link.
    Link,
    /// It is a directory, a device, a pipe or a socket.
    NotAFile,
    /// It is larger than [`MAX_SCRIPT_BYTES`](super::MAX_SCRIPT_BYTES).
    TooBig,
    /// It is in the work tree and not in the Git index, which is what is asked for.
    Unstaged,
    /// The system or git refused, for this reason.
    Unreadable(String),
}

/// Why a file that a config names is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadData {
    /// There is no such file.
    Missing,
    /// It lies outside the config's own directory.
    Outside,
    /// It is a link, or is reached through one: this part of its path.
    Link(String),
    /// It is a directory, a device, a pipe or a socket.
    NotAFile,
    /// It is larger than [`MAX_DATA_BYTES`](super::MAX_DATA_BYTES).
    TooBig,
    /// It is in the work tree and not in the Git index, which is what is asked for.
    Unstaged,
    /// The system or git refused, for this reason.
    Unreadable(String),
}

/// What was read of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRead {
    /// The content of its file or variable.
    pub bytes: Vec<u8>,
    /// It is in a file that others than its owner can read.
    pub is_exposed: bool,
}

/// Why a secret is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadSecret {
    /// The environment has no such variable.
    Unset,
    /// Its variable is no text.
    NotText,
    /// Its file is not read.
    File(BadData),
}

/// Reads the files that belong to a config.
pub trait Beside {
    /// The feature scripts in a directory, as the config or its default names it.
    fn features(&mut self, directory: &str) -> FeatureFiles;

    /// A file that the config names, of at most [`MAX_DATA_BYTES`](super::MAX_DATA_BYTES) bytes; a relative path starts
    /// at the config.
    fn data(&mut self, path: &str) -> Result<Vec<u8>, BadData>;

    /// What stands behind the name of a secret; of a file at most one byte more than
    /// [`MAX_SECRET_BYTES`](super::MAX_SECRET_BYTES) and a line break.
    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret>;

    /// Whether what comes of the config is worth nothing without its secrets.
    fn needs_secrets(&self) -> bool;
}

/// Feature scripts alone: no other file is there.
pub(super) struct FeaturesAlone<'f>(pub(super) &'f mut dyn FnMut(&str) -> FeatureFiles);

impl Beside for FeaturesAlone<'_> {
    fn features(&mut self, directory: &str) -> FeatureFiles {
        (self.0)(directory)
    }

    fn data(&mut self, _: &str) -> Result<Vec<u8>, BadData> {
        Err(BadData::Missing)
    }

    fn secret(&mut self, _: &SecretName) -> Result<SecretRead, BadSecret> {
        Err(BadSecret::Unset)
    }

    fn needs_secrets(&self) -> bool {
        true
    }
}

/// What belongs to a config, each read once.
pub(super) struct Once<'f> {
    beside: &'f mut dyn Beside,
    features: Option<FeatureFiles>,
    data: BTreeMap<String, Result<Vec<u8>, BadData>>,
    secrets: BTreeMap<SecretName, Result<SecretRead, BadSecret>>,
}

impl<'f> Once<'f> {
    pub(super) fn new(beside: &'f mut dyn Beside) -> Self {
        Self { beside, features: None, data: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    pub(super) fn features(&mut self, directory: &str) -> &FeatureFiles {
        self.features.get_or_insert_with(|| self.beside.features(directory))
    }

    pub(super) fn data(&mut self, path: &str) -> &Result<Vec<u8>, BadData> {
        if !self.data.contains_key(path) {
            let read = self.beside.data(path);
            self.data.insert(path.to_owned(), read);
        }
        &self.data[path]
    }
    pub(super) fn secret(&mut self, name: &SecretName) -> &Result<SecretRead, BadSecret> {
        if !self.secrets.contains_key(name) {
            let read = self.beside.secret(name);
            self.secrets.insert(name.clone(), read);
        }
        &self.secrets[name]
    }

    pub(super) fn needs_secrets(&self) -> bool {
        self.beside.needs_secrets()
    }
}
