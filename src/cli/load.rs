//! Reading the config, and the scripts, files and secrets that belong to it.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::files::{self, Unfit};
use crate::config::{self, BadData, BadSecret, Beside, FeatureFiles, Loaded, MAX_BYTES, SecretRead, Source, Unread};
use crate::diag::Diagnostic;
use crate::model::SecretName;
use crate::ui::report::Places;

/// What standard input is called in messages and documents, where `-` was named as the config.
const STDIN: &str = "<stdin>";

/// What was read from standard input. It is there once.
static READ: OnceLock<Result<Vec<u8>, Unread>> = OnceLock::new();

/// A config as far as it could be read.
pub(super) struct Config {
    /// Its text; `None` when not even that could be read.
    pub(super) source: Option<Source>,
    /// What it says.
    pub(super) loaded: Loaded,
}

/// Whether a config is standard input, as it was named or as it is called.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new(STDIN)
}

/// A config as messages and documents call it.
pub(super) fn name(path: &Path) -> String {
    if is_stdin(path) { STDIN.to_owned() } else { path.display().to_string() }
}

/// Whether there is a config to read.
pub(super) fn is_there(path: &Path) -> bool {
    is_stdin(path) || path.exists()
}

/// Where the operator says that files of a config are, and what is needed of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// The feature scripts.
    pub(super) features_dir: Option<PathBuf>,
    /// The files of secrets.
    pub(super) secrets_dir: Option<PathBuf>,
    /// Nothing is done without the values of secrets.
    pub(super) needs_secrets: bool,
}

/// Reads a config file. What is wrong is told in its diagnostics.
pub(super) fn load(path: &Path, given: &Given) -> Config {
    with(path, read(path), &mut Near { config: path, given })
}

/// Makes a config of another text for the same file.
pub(super) fn instead(path: &Path, given: &Given, text: &str) -> Config {
    with(path, Ok(text.as_bytes().to_vec()), &mut Near { config: path, given })
}

/// Where the files of a config lie: near it, but where the operator says otherwise.
struct Near<'p> {
    config: &'p Path,
    given: &'p Given,
}

impl Beside for Near<'_> {
    fn features(&mut self, named: &str) -> FeatureFiles {
        match &self.given.features_dir {
            Some(dir) => files::scripts_in(dir),
            None => files::scripts_below(&directory(self.config), named),
        }
    }

    fn data(&mut self, path: &str) -> Result<Vec<u8>, BadData> {
        files::data_below(&directory(self.config), path)
    }

    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret> {
        secret(&directory(self.config), self.given, name)
    }

    fn needs_secrets(&self) -> bool {
        self.given.needs_secrets
    }
}

/// Reads a secret: from the environment, or from its file below the directory that the operator names, else below
/// this one.
pub(super) fn secret(directory: &Path, given: &Given, name: &SecretName) -> Result<SecretRead, BadSecret> {
    match name {
        SecretName::Env(name) => {
            let value = std::env::var_os(name).ok_or(BadSecret::Unset)?;
            let bytes = value.into_string().map_err(|_| BadSecret::NotText)?.into_bytes();
            Ok(SecretRead { bytes, is_exposed: false })
        }
        SecretName::File(file) => {
            let base = given.secrets_dir.as_deref().unwrap_or(directory);
            files::secret_below(base, file).map_err(BadSecret::File)
        }
    }
}

/// Makes a config of what was read of it, with the files that `beside` finds.
pub(super) fn with(path: &Path, text: Result<Vec<u8>, Unread>, beside: &mut dyn Beside) -> Config {
    match decoded(path, text) {
        Ok(source) => {
            let loaded = config::load_with(&source, beside);
            Config { source: Some(source), loaded }
        }
        Err(problem) => Config { source: None, loaded: failed(*problem) },
    }
}

/// Reads a file that is no config of phoenix.
pub(super) fn source(path: &Path) -> Result<Source, Box<Diagnostic>> {
    decoded(path, read(path))
}

fn decoded(path: &Path, text: Result<Vec<u8>, Unread>) -> Result<Source, Box<Diagnostic>> {
    let name = name(path);
    config::decode(&name, text.map_err(|why| Box::new(config::unread(&name, &why)))?)
}

fn failed(problem: Diagnostic) -> Loaded {
    Loaded { desired: None, diagnostics: vec![problem], scripts: Vec::new() }
}

/// Where the VMs of a config stand in it, as it is now. One that cannot be read has no places; standard input has some
/// where this process read it.
pub(super) fn places(path: &Path) -> Places {
    let name = name(path);
    let text = if is_stdin(path) { READ.get().and_then(|read| read.clone().ok()) } else { read(path).ok() };
    let source = text.and_then(|bytes| config::decode(&name, bytes).ok());
    Places::of(&name, source.as_ref())
}

/// The directory that paths in a config start from; empty for the current one, as for standard input.
pub(super) fn directory(config: &Path) -> PathBuf {
    config.parent().map(Path::to_owned).unwrap_or_default()
}

fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    if is_stdin(path) {
        return READ.get_or_init(stdin).clone();
    }
    files::read(path, MAX_BYTES).map_err(|why| match why {
        Unfit::NotAFile => Unread::NotAFile,
        Unfit::System(place) => Unread::System(place.display().to_string()),
        Unfit::TooBig(bytes) => Unread::TooBig(bytes),
        Unfit::Refused(error) if error.kind() == ErrorKind::NotFound => Unread::Missing,
        Unfit::Refused(error) => Unread::Refused(error.to_string()),
    })
}

fn stdin() -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Unread::Refused(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES { Err(Unread::TooBig(bytes.len() as u64)) } else { Ok(bytes) }
}
