//! Reading the config, and the scripts, files and secrets that belong to it.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::exit::Refusal;
use super::files;
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
    with(read(path), &mut Near { config: path, given })
}

/// Makes a config of another text in the same place.
pub(super) fn instead(path: &Path, given: &Given, source: Source) -> Config {
    with(Ok(source), &mut Near { config: path, given })
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
pub(super) fn with(source: Result<Source, Vec<Diagnostic>>, beside: &mut dyn Beside) -> Config {
    match source {
        Ok(source) => {
            let loaded = config::load_with(&source, beside);
            Config { source: Some(source), loaded }
        }
        Err(diagnostics) => Config { source: None, loaded: Loaded { desired: None, diagnostics, scripts: Vec::new() } },
    }
}

/// Reads a file that is no config of phoenix.
pub(super) fn source(path: &Path) -> Result<Source, Box<Diagnostic>> {
    decoded(path, bytes(path))
}

/// The text of a file or of standard input.
pub(super) fn decoded(path: &Path, bytes: Result<Vec<u8>, Unread>) -> Result<Source, Box<Diagnostic>> {
    let name = name(path);
    config::decode(&name, bytes.map_err(|why| Box::new(config::unread(&name, &why)))?)
}

/// The files of a config, each with its text: of a directory all that are read of it.
pub(super) fn apart(path: &Path) -> Vec<(PathBuf, Result<Source, Box<Diagnostic>>)> {
    match path.is_dir().then(|| files::configs_in(path, MAX_BYTES)) {
        None => vec![(path.to_owned(), source(path))],
        Some(Err(why)) => vec![(path.to_owned(), decoded(path, Err(why)))],
        Some(Ok(files)) => {
            let file = |(name, bytes): (OsString, _)| {
                let path = within(path, &name);
                let source = decoded(&path, bytes);
                (path, source)
            };
            files.into_iter().map(file).collect()
        }
    }
}

/// A file of a directory, as messages call it.
pub(super) fn within(dir: &Path, name: &OsStr) -> PathBuf {
    if dir == Path::new(".") { name.into() } else { dir.join(name) }
}

/// Refuses to write a file that would be read as one of the config's the next time.
pub(super) fn refuse_within(config: &Path, file: Option<&Path>) -> Result<(), anyhow::Error> {
    let Some((file, name)) = file.filter(|_| config.is_dir()).and_then(|file| Some((file, file.file_name()?))) else {
        return Ok(());
    };
    let beside = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_same =
        || matches!((beside.canonicalize(), config.canonicalize()), (Ok(beside), Ok(config)) if beside == config);
    if !files::is_config(name.as_bytes()) || !is_same() {
        return Ok(());
    }
    let what = format!("`{}` would be read as a file of the config from now on", file.display());
    Err(Refusal::usage(what, "name a file in another directory"))
}

fn read(path: &Path) -> Result<Source, Vec<Diagnostic>> {
    if !path.is_dir() {
        return source(path).map_err(|problem| vec![*problem]);
    }
    joined(path, apart(path).into_iter().map(|(_, source)| source))
}

/// The files of a directory as one config.
pub(super) fn joined(
    path: &Path,
    files: impl Iterator<Item = Result<Source, Box<Diagnostic>>>,
) -> Result<Source, Vec<Diagnostic>> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(Source::joined(name(path), sources)) } else { Err(problems) }
}

/// Where the VMs of a config stand in it, as it is now. One that cannot be read has no places; standard input has some
/// where this process read it.
pub(super) fn places(path: &Path) -> Places {
    let is_read = !is_stdin(path) || READ.get().is_some();
    let source = is_read.then(|| read(path).ok()).flatten();
    Places::of(&name(path), source.as_ref())
}

/// The directory that paths in a config start from: the config itself, or the one that it lies in; empty for the
/// current one, as for standard input.
pub(super) fn directory(config: &Path) -> PathBuf {
    if config.is_dir() { config.to_owned() } else { config.parent().map(Path::to_owned).unwrap_or_default() }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Unread> {
    if is_stdin(path) {
        return READ.get_or_init(stdin).clone();
    }
    Ok(files::read(path, MAX_BYTES)?)
}

fn stdin() -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Unread::Refused(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES { Err(Unread::TooBig(bytes.len() as u64)) } else { Ok(bytes) }
}
