//! A new text for a file that is there, by way of a file without a name.
//!
//! A process that is killed while it writes leaves nothing: the kernel removes what has no name. Linux cannot put such
//! a file over a name that is taken, so it gets a name of its own for the time between two system calls, the second of
//! which takes it away. Only a kill in exactly that moment leaves something: a whole copy of the new text.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::exit::Refusal;
use super::files::{self, Unfit};
use crate::config::MAX_BYTES;

/// A file without a name.
pub(super) struct Nameless(File);

impl Nameless {
    /// Makes one in a directory, for this user alone. `None`: the system or the file system has no such files.
    #[cfg(target_os = "linux")]
    pub(super) fn new_in(dir: &Path) -> io::Result<Option<Self>> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        use rustix::io::Errno;
        // Its name is given by way of this directory.
        if !Path::new("/proc/self/fd").is_dir() {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Some(Self(file.into()))),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new_in(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// What is written to.
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Puts it in the place of a file in the same directory.
    #[cfg(target_os = "linux")]
    pub(super) fn put_over(&self, path: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;

        use rustix::fs::{AtFlags, CWD, linkat, renameat, unlinkat};
        let own = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let name = path.with_file_name(format!(".phoenix-{}", uuid::Uuid::new_v4().simple()));
        // Nothing stands between these two: here alone the file has a name that is not the config's.
        linkat(CWD, &own, CWD, &name, AtFlags::SYMLINK_FOLLOW)?;
        let renamed = renameat(CWD, &name, CWD, path);
        if renamed.is_err() {
            unlinkat(CWD, &name, AtFlags::empty())?;
        }
        Ok(renamed?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn put_over(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Replaces a file as a whole, unless it was changed since it was read; `hint` is what to do then.
pub(super) fn rewrite(path: &Path, old: &str, new: &str, hint: &str) -> Result<()> {
    let name = path.display();
    // Where the config is a link, what it leads to is replaced.
    let file = fs::canonicalize(path).with_context(|| format!("cannot find `{name}`"))?;
    let unchanged = |then: &dyn Fn() -> io::Result<()>| match files::read(&file, MAX_BYTES) {
        Ok(now) if now == old.as_bytes() => then().map(|()| true),
        Err(Unfit::Refused(error)) => Err(error),
        Ok(_) | Err(_) => Ok(false),
    };
    let written = || -> io::Result<bool> {
        let meta = fs::metadata(&file)?;
        let parent = file.parent().unwrap_or(Path::new("/"));
        let filled = |mut temporary: &File| {
            temporary.write_all(new.as_bytes())?;
            temporary.set_permissions(meta.permissions())?;
            keep_owner(temporary, &meta)?;
            temporary.sync_all()
        };
        if let Some(nameless) = Nameless::new_in(parent)? {
            filled(nameless.file())?;
            return unchanged(&|| nameless.put_over(&file));
        }
        // A file system that knows only files with names: killed while it is written, phoenix leaves it behind.
        let temporary = tempfile::NamedTempFile::new_in(parent)?;
        filled(temporary.as_file())?;
        unchanged(&|| fs::rename(temporary.path(), &file))
    };
    if written().with_context(|| format!("cannot write `{name}`"))? {
        return Ok(());
    }
    Err(Refusal::failed(format!("another program changed `{name}` in the meantime; nothing was written"), hint))
}

/// Gives a file to whom another one belongs.
fn keep_owner(file: &File, other: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (other.uid(), other.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(other.uid()), Some(other.gid()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::{Nameless, rewrite};

    #[test]
    fn a_file_without_a_name_is_seen_only_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        fs::write(&file, "old").unwrap();
        let names =
            || -> Vec<_> { fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
        for put in [false, true] {
            let Some(new) = Nameless::new_in(dir.path()).unwrap() else {
                // This file system has no files without names.
                return;
            };
            new.file().write_all(b"new").unwrap();
            assert_eq!(names(), ["config.json"], "a kill here would leave more");
            assert_eq!(fs::read_to_string(&file).unwrap(), "old");
            if put {
                new.put_over(&file).unwrap();
                assert_eq!(fs::read_to_string(&file).unwrap(), "new");
            }
            drop(new);
            assert_eq!(names(), ["config.json"]);
        }
        let gone = Nameless::new_in(dir.path()).unwrap().unwrap();
        gone.put_over(dir.path()).unwrap_err();
        assert_eq!(names(), ["config.json"], "a name was left behind");
    }

    #[test]
    fn a_file_that_somebody_changed_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        fs::write(&file, "theirs").unwrap();
        let error = rewrite(&file, "as it was read", "ours", "again").unwrap_err();
        assert!(error.to_string().contains("another program changed"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
        rewrite(&file, "theirs", "ours", "again").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "ours");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left behind");
    }
}
