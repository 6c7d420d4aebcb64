//! A new text for a file that is there, by way of a file without a name.
//!
//! A process that is killed while it writes leaves nothing: the kernel removes what has no name. Linux cannot put such
//! a file over a name that is taken, so it gets a name of its own for the time between two system calls, the second of
//! which takes it away. Only a kill in exactly that moment leaves something: a whole copy of the new text.

use std::fs::File;
use std::io;
use std::path::Path;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::Nameless;

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
}
