//! Reading the config and the scripts beside it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{self, Unfit};
use crate::config::{self, FeatureFiles, Loaded, MAX_BYTES, Source, Unread};
use crate::diag::Diagnostic;
use crate::ui::report::Places;

/// A config as far as it could be read.
pub(super) struct Config {
    /// Its text; `None` when not even that could be read.
    pub(super) source: Option<Source>,
    /// What it says.
    pub(super) loaded: Loaded,
}

/// Reads a config file. What is wrong is told in its diagnostics. `scripts` is where its scripts are, where the
/// operator says so.
pub(super) fn load(path: &Path, scripts: Option<&Path>) -> Config {
    with(path, read(path), &mut features(path, scripts))
}

/// Makes a config of another text for the same file.
pub(super) fn instead(path: &Path, scripts: Option<&Path>, text: &str) -> Config {
    with(path, Ok(text.as_bytes().to_vec()), &mut features(path, scripts))
}

/// Finds the scripts of a config.
fn features(config: &Path, scripts: Option<&Path>) -> impl FnMut(&str) -> FeatureFiles {
    move |named| match scripts {
        Some(dir) => files::scripts_in(dir),
        None => files::scripts_below(&directory(config), named),
    }
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
    files::read(path, MAX_BYTES).map_err(|why| match why {
        Unfit::NotAFile => Unread::NotAFile,
        Unfit::System(place) => Unread::System(place.display().to_string()),
        Unfit::TooBig(bytes) => Unread::TooBig(bytes),
        Unfit::Refused(error) if error.kind() == ErrorKind::NotFound => Unread::Missing,
        Unfit::Refused(error) => Unread::Refused(error.to_string()),
    })
}
