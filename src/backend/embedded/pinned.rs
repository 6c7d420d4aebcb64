//! Directories of the node's file system that are held open while something is done in them.
//!
//! A guest's root may put a link into its directory at any moment. So a path is walked from `root/` down, one open
//! directory after the other and through no link, and what is done is done to names in the directory that was reached,
//! wherever its path may lead by then.

use std::io::{self, ErrorKind, Read as _, Write as _};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};

use super::Embedded;
use super::files::{unread, unwritten};
use super::rehearse::Attempt;
use crate::hypervisor::{Fault, FaultKind};

/// Largest file that is read from a guest's directory, in bytes.
const LARGEST: u64 = 4 << 20;

fn refused(what: String) -> Fault {
    Fault::harmless(FaultKind::Refused, what)
}

/// The names of an absolute path without `.` and `..`.
pub(super) fn parts(path: &str) -> Result<Vec<&str>, Fault> {
    let Some(relative) = path.strip_prefix('/') else { return Err(refused(format!("{path}: not an absolute path"))) };
    let parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
    match parts.iter().find(|part| [".", ".."].contains(part) || part.contains('\0')) {
        Some(part) => Err(refused(format!("{path}: `{part}` has no place in a path of the node"))),
        None => Ok(parts),
    }
}

impl Embedded {
    fn host_root(&self) -> Result<Dir, Fault> {
        let root = self.dir.join("root");
        Dir::open_ambient_dir(&root, ambient_authority()).map_err(unread(&root))
    }

    /// A directory of the simulated host, open. `None`: there is none. A link on the way is refused.
    pub(super) fn host_dir(&self, path: &str) -> Result<Option<Dir>, Fault> {
        let mut at = self.host_root()?;
        for part in parts(path)? {
            match step(&at, part, path)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Makes a directory, 0755, its parents 0700; what is there stays as it is.
    pub(super) fn make_directory(&self, path: &str, attempt: Attempt) -> Result<(), Fault> {
        let parts = parts(path)?;
        let mut at = self.host_root()?;
        let mut begun = false;
        for (n, part) in parts.iter().enumerate() {
            if let Some(next) = step(&at, part, path)? {
                at = next;
                continue;
            }
            if !begun {
                attempt.halfway()?;
                begun = true;
            }
            let failed = |error: io::Error| Fault::uncertain(FaultKind::Failed, format!("{path}: {error}"));
            make(&at, part, if n + 1 == parts.len() { 0o755 } else { 0o700 }).map_err(failed)?;
            at = step(&at, part, path)?.ok_or_else(|| {
                Fault::uncertain(FaultKind::Failed, format!("{path}: `{part}` was removed in the meantime"))
            })?;
        }
        if begun { Ok(()) } else { attempt.halfway() }
    }
}

/// One step down, through no link. `None`: there is nothing of that name.
fn step(at: &Dir, part: &str, path: &str) -> Result<Option<Dir>, Fault> {
    match at.open_dir_nofollow(part) {
        Ok(next) => Ok(Some(next)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(match at.symlink_metadata(part) {
            Ok(meta) if meta.is_symlink() => refused(format!("{path}: a symbolic link is on the way")),
            Ok(meta) if !meta.is_dir() => {
                Fault::harmless(FaultKind::Failed, format!("{path}: exists and is not a directory"))
            }
            _ => Fault::harmless(FaultKind::Failed, format!("{path}: {error}")),
        }),
    }
}

/// Makes a directory; it is no error if there is something of the name.
pub(super) fn make(at: &Dir, name: &str, mode: u32) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(mode);
    match at.create_dir_with(name, &builder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The content of a regular file. `None`: there is none, or something else has the name.
pub(super) fn read(at: &Dir, name: &str) -> io::Result<Option<String>> {
    let mut options = OpenOptions::new();
    // Without waiting for a writer, if it is a FIFO.
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = match at.open_with(name, &options) {
        Ok(file) => file,
        Err(_) if at.symlink_metadata(name).is_ok_and(|meta| !meta.is_file()) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

/// Writes a file that must not be there yet.
fn write_new(at: &Dir, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).follow(FollowSymlinks::No).mode(mode);
    at.open_with(name, &options)?.write_all(content)
}

/// Replaces a file, by way of a new one beside it.
pub(super) fn replace(at: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    replace_with(at, name, content, 0o644)
}

/// The same with this mode.
pub(super) fn replace_with(at: &Dir, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let new = format!(".{name}.new");
    remove(at, &new)?;
    write_new(at, &new, content, mode)?;
    at.rename(&new, at, name)
}

/// Replaces whatever has a name by a directory with these files.
pub(super) fn replace_directory(at: &Dir, name: &str, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let (new, old) = (format!(".{name}.new"), format!(".{name}.old"));
    remove(at, &new)?;
    at.create_dir(&new)?;
    let dir = at.open_dir_nofollow(&new)?;
    for (file, content) in files {
        write_new(&dir, file, content, 0o644)?;
    }
    remove(at, &old)?;
    match at.rename(name, at, &old) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    at.rename(&new, at, name)?;
    remove(at, &old)
}

/// Removes a file, a link or a whole directory; it is no error if there is none.
pub(super) fn remove(at: &Dir, name: &str) -> io::Result<()> {
    let removed = match at.symlink_metadata(name) {
        Ok(meta) if meta.is_dir() => at.remove_dir_all(name),
        Ok(_) => at.remove_file_or_symlink(name),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The fault for something in a directory of a guest that failed.
pub(super) fn failed(name: &str) -> impl Fn(io::Error) -> Fault {
    let name = std::path::PathBuf::from(name);
    move |error| unwritten(&name)(error)
}
