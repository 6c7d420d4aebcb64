//! Reading the config and the scripts beside it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::config::{self, FeatureFiles, Loaded, MAX_BYTES, MAX_SCRIPT_BYTES, Source, Unread};
use crate::diag::Diagnostic;
use crate::ui::report::Places;

/// A config as far as it could be read.
pub(super) struct Config {
    /// Its text; `None` when not even that could be read.
    pub(super) source: Option<Source>,
    /// What it says.
    pub(super) loaded: Loaded,
}

/// Reads a config file. What is wrong is told in its diagnostics.
pub(super) fn load(path: &Path) -> Config {
    let base = directory(path);
    with(path, read(path), &mut |features_dir| features(&base.join(features_dir)))
}

/// Makes a config of another text for the same file.
pub(super) fn instead(path: &Path, text: &str) -> Config {
    let base = directory(path);
    with(path, Ok(text.as_bytes().to_vec()), &mut |features_dir| features(&base.join(features_dir)))
}

/// Makes a config of what was read of it, with the scripts that `features` finds.
pub(super) fn with(
    path: &Path,
    text: Result<Vec<u8>, Unread>,
    features: &mut dyn FnMut(&str) -> FeatureFiles,
) -> Config {
    let name = path.display().to_string();
    let source = match text {
        Ok(bytes) => config::decode(&name, bytes).map_err(|problem| *problem),
        Err(why) => Err(config::unread(&name, &why)),
    };
    match source {
        Ok(source) => {
            let loaded = config::load(&source, features);
            Config { source: Some(source), loaded }
        }
        Err(problem) => Config { source: None, loaded: failed(problem) },
    }
}

fn failed(problem: Diagnostic) -> Loaded {
    Loaded { desired: None, diagnostics: vec![problem] }
}

/// Where the VMs of a config stand in it, as it is now. One that cannot be read has no places.
pub(super) fn places(path: &Path) -> Places {
    let name = path.display().to_string();
    let source = read(path).ok().and_then(|bytes| config::decode(&name, bytes).ok());
    Places::of(&name, source.as_ref())
}

/// The directory that paths in a config start from; empty for the current one.
pub(super) fn directory(config: &Path) -> PathBuf {
    config.parent().map(Path::to_owned).unwrap_or_default()
}

fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Unread::Missing,
        ErrorKind::IsADirectory => Unread::NotAFile,
        _ => Unread::Refused(error.to_string()),
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let meta = fs::metadata(path).map_err(refused)?;
    if !meta.is_file() {
        return Err(Unread::NotAFile);
    }
    if meta.len() > MAX_BYTES {
        return Err(Unread::TooBig(meta.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(refused)?;
    Ok(bytes)
}

/// The scripts of a directory.
fn features(directory: &Path) -> FeatureFiles {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return FeatureFiles::Missing,
        Err(error) => return FeatureFiles::Unreadable(error.to_string()),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return FeatureFiles::Unreadable(error.to_string()),
        };
        // A name that is no text cannot be the name of a feature.
        if let Ok(name) = entry.file_name().into_string()
            && Path::new(&name).extension().is_some_and(|extension| extension == "sh")
        {
            files.insert(name, script(&entry.path()));
        }
    }
    FeatureFiles::Found(files)
}

fn script(path: &Path) -> Result<Vec<u8>, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let most = MAX_SCRIPT_BYTES as u64 + 1;
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(bytes)
}
