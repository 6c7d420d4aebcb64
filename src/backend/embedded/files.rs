//! Files of the node: reading, replacing, locking.
//!
//! A file is replaced by writing a new one and renaming it over the old: a reader sees the one or the other, and
//! a process that is killed leaves one of the two. Nothing is synced to the disk: that would protect against a power
//! cut, not against a kill, and an embedded node holds nothing worth the wait.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::hypervisor::{Fault, FaultKind};

/// The fault for a file operation that failed before anything changed.
pub(super) fn unread(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    move |error| Fault::harmless(kind(&error), format!("{}: {error}", path.display()))
}

/// The fault for a file operation that may have changed something.
pub(super) fn unwritten(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    move |error| Fault::uncertain(kind(&error), format!("{}: {error}", path.display()))
}

fn kind(error: &io::Error) -> FaultKind {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FaultKind::Denied,
        ErrorKind::InvalidData => FaultKind::Garbled,
        _ => FaultKind::Failed,
    }
}

/// Largest file of a node that is read.
const LARGEST: u64 = 64 << 20;

fn odd(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

fn too_large() -> io::Error {
    odd(format!("it is larger than {} MiB", LARGEST >> 20))
}

/// The content of a file; `None`: there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Fault> {
    Reader::default().read(path).map(|text| text.map(ToOwned::to_owned))
}

/// Reads one small file after another into the same memory.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The content of a file; `None`: there is none.
    pub(super) fn read(&mut self, path: &Path) -> Result<Option<&str>, Fault> {
        let Some(bytes) = self.bytes(path)? else { return Ok(None) };
        str::from_utf8(bytes).map(Some).map_err(|error| unread(path)(odd(error.to_string())))
    }

    /// The bytes of a file; `None`: there is none.
    pub(super) fn bytes(&mut self, path: &Path) -> Result<Option<&[u8]>, Fault> {
        // What is no file may have no end, or wait for ever.
        match fs::metadata(path) {
            Ok(meta) if !meta.is_file() => return Err(unread(path)(odd("it is not a regular file"))),
            Ok(meta) if meta.len() > LARGEST => return Err(unread(path)(too_large())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(path)(error)),
        }
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(path)(error)),
        };
        let mut end = 0;
        loop {
            if self.buffer.len() - end < 4096 {
                self.buffer.resize(self.buffer.len() + 16_384, 0);
            }
            match file.read(&mut self.buffer[end..]).map_err(unread(path))? {
                0 => break,
                count => end += count,
            }
            if u64::try_from(end).is_ok_and(|end| end > LARGEST) {
                return Err(unread(path)(too_large()));
            }
        }
        Ok(Some(&self.buffer[..end]))
    }
}

/// Names in a directory, sorted; a directory that does not exist has none.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Fault> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(unread(dir))?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Replaces a file by way of `temporary`, a path on the same file system that no other process uses at the time.
pub(super) fn replace(path: &Path, temporary: &Path, content: &str) -> Result<(), Fault> {
    fs::write(temporary, content).map_err(unread(temporary))?;
    fs::rename(temporary, path).map_err(unwritten(path))
}

/// Replaces a file that other processes may replace at the same time, by way of a file of its own in `directory`, which
/// is on the same file system.
pub(super) fn replace_among_others(path: &Path, directory: &Path, content: &str) -> Result<(), Fault> {
    let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(unwritten(directory))?;
    temporary.write_all(content.as_bytes()).map_err(unwritten(temporary.path()))?;
    temporary.persist(path).map(drop).map_err(|error| unwritten(path)(error.error))
}

/// Adds one line to a file.
pub(super) fn append(path: &Path, line: &str) -> Result<(), Fault> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(unread(path))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(unwritten(path))
}

/// Makes a directory with its parents.
pub(super) fn make_dir(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).map_err(unwritten(path))
}

/// Makes a directory with its parents, for the user alone.
pub(super) fn make_own_dir(path: &Path) -> Result<(), Fault> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unwritten(path))
}

/// Removes a file or a whole directory; it is no error if there is none.
pub(super) fn remove(path: &Path) -> Result<(), Fault> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritten(path)(error)),
        _ => Ok(()),
    }
}

/// A moment by which an operation must have ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// As long as it takes.
    pub(super) const NONE: Self = Self(None);

    /// The moment `after` from now.
    pub(super) fn after(after: Duration) -> Self {
        Self(Instant::now().checked_add(after))
    }

    /// What is left; `None`: as long as it takes.
    pub(super) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Waits until it is reached, and answers as one who waited in vain. Without a deadline that is at once.
    pub(super) fn wait_out(self) -> Fault {
        sleep(self.left().unwrap_or_default());
        Fault::uncertain(FaultKind::TimedOut, "the operation did not end in time")
    }

    /// Lets the time pass that an operation takes.
    pub(super) fn pass(self, time: Duration) -> Result<(), Fault> {
        if time.is_zero() {
            return Ok(());
        }
        match self.left() {
            Some(left) if left < time => Err(self.wait_out()),
            _ => {
                sleep(time);
                Ok(())
            }
        }
    }
}

/// A lock held by this process. The kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock alone")] File);

/// Longest wait for the configuration of a VM, as in Proxmox.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Locks a file, which is made if need be. Waits up to the deadline, at most as long as Proxmox would.
pub(super) fn lock(path: &Path, deadline: Deadline) -> Result<Lock, Fault> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(unread(path))?;
    let end = Instant::now() + deadline.left().map_or(LOCK_WAIT, |left| left.min(LOCK_WAIT));
    let mut pause = Duration::from_micros(200);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                sleep(pause.min(end.saturating_duration_since(Instant::now())));
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Fault::harmless(
                    FaultKind::Busy,
                    format!("can't lock file '{}' - got timeout", path.display()),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unread(path)(error)),
        }
    }
}

/// Whether some living process holds a lock on the file. Does not disturb others who ask the same.
pub(super) fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{LARGEST, read};

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.json");
        assert_eq!(read(&path).unwrap(), None);
        let check = |words: &str| {
            let fault = read(&path).unwrap_err();
            assert!(fault.what.ends_with(words), "{fault}");
        };
        // Sparse: it takes no room.
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        check("node.json: it is larger than 64 MiB");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        check("node.json: it is not a regular file");
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        check("node.json: it is not a regular file");
    }
}
