//! `.phoenix` beside a config: what phoenix itself keeps there, for the user alone.
//!
//! A user who may write beside the config could lead phoenix elsewhere with a link, so nothing there may be one.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::exit::Refusal;
use super::load::directory;

/// What it is called.
pub(super) const NAME: &str = ".phoenix";

/// A directory in `.phoenix` beside a config, whether it is there or not. Refused when either is a link.
pub(super) fn place(config: &Path, name: &str) -> Result<PathBuf> {
    let place = directory(config).join(NAME).join(name);
    refuse_links(&place)?;
    Ok(place)
}

/// Refuses a directory that lies in any `.phoenix` and is reached through a link there.
pub(super) fn refuse_links(dir: &Path) -> Result<()> {
    let mut at = PathBuf::new();
    let mut within = false;
    for part in dir {
        at.push(part);
        within |= part == NAME;
        if within && fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_symlink()) {
            let what = format!("`{}` is a link, and phoenix keeps its own files there", at.display());
            return Err(Refusal::failed(what, "remove the link; phoenix makes a directory in its place"));
        }
        if part == NAME {
            refuse_others(&at)?;
        }
    }
    Ok(())
}

/// Refuses a `.phoenix` that another user made where that user may not write what it lies beside: its owner can read
/// and replace everything in it.
fn refuse_others(at: &Path) -> Result<()> {
    let owner = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| meta.uid());
    let beside = at.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trusted = [Some(geteuid().as_raw()), Some(0), owner(beside)];
    match owner(at) {
        Some(uid) if !trusted.contains(&Some(uid)) => {
            let what = format!("`{}` belongs to user {uid}, who can replace what phoenix keeps there", at.display());
            Err(Refusal::failed(what, "take it away, or give it to the user that runs phoenix (`chown -R`)"))
        }
        _ => Ok(()),
    }
}

/// A directory in `.phoenix`, open.
pub(super) struct Own {
    /// Where it is, for messages and for reading.
    pub(super) path: PathBuf,
    dir: OwnedFd,
}

impl Own {
    /// Makes one beside a config, for the user alone, and what it is in. No link is followed on the way.
    pub(super) fn make(config: &Path, name: &str) -> Result<Self> {
        let path = place(config, name)?;
        let base = directory(config);
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let made = || -> Result<OwnedFd, Errno> {
            let mut dir = openat(CWD, base, flags, Mode::empty())?;
            for part in [NAME, name] {
                match mkdirat(&dir, part, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                dir = openat(&dir, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
                // Earlier versions made it for everybody to read. Another user's directory has the rights which that
                // user chose.
                match fchmod(&dir, Mode::RWXU) {
                    Ok(()) | Err(Errno::PERM) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(dir)
        };
        let dir = made().map_err(std::io::Error::from).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self { path, dir })
    }

    /// Makes a file in it that is not there yet, for the user alone.
    pub(super) fn create_new(&self, name: &str) -> std::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Removes a file in it.
    pub(super) fn remove(&self, name: &str) -> std::io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }
}
