//! Files that other people put there: each is opened once, judged by its handle, and read from there up to a bound.
//!
//! Only ordinary files are read. What the kernel shows as files (`/proc`, `/sys`, `/dev`) is none, wherever a link to
//! it lies: it may be a secret of this process, or never end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::exit::Refusal;
use crate::config::{
    BadData, BadScript, FeatureFiles, MAX_DATA_BYTES, MAX_FILES, MAX_SCRIPT_BYTES, MAX_SECRET_BYTES, SecretRead, Unread,
};

/// Largest saved plan, recording or event log that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Most bytes that the scripts of one directory have in all.
const MAX_SCRIPTS_BYTES: usize = 64 << 20;

/// Most links that a path leads through; the kernel follows as many.
const MAX_LINKS: usize = 40;

/// Why a file is not read. Nothing of what is in it is known.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It is a directory, a device, a pipe or a socket.
    NotAFile,
    /// The path leads to this place, where the kernel shows its own state.
    System(PathBuf),
    /// It has at least this many bytes, which is too much.
    TooBig(u64),
    /// The system refused.
    Refused(io::Error),
}

/// Reads an ordinary file of at most so many bytes. A link to one is followed.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unfit> {
    // Looked at before it is opened, too: opening a device can do something.
    if !fs::metadata(path).map_err(Unfit::Refused)?.is_file() {
        return Err(Unfit::NotAFile);
    }
    if let Some(place) = system_place(path) {
        return Err(Unfit::System(place));
    }
    let file = openat(CWD, path, reading(), Mode::empty()).map_err(|errno| Unfit::Refused(errno.into()))?;
    content(file.into(), most)
}

/// Files by name, each with its content as far as it can be read.
type Named = Vec<(OsString, Result<Vec<u8>, Unread>)>;

/// The files of a directory that is a config, sorted by name, each read as far as it can be. Hidden files and
/// directories are none of them; a link is not followed. All together they have at most so many bytes.
pub(super) fn configs_in(dir: &Path, most: u64) -> Result<Named, Unread> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let refused = |errno: Errno| Unread::Refused(io::Error::from(errno).to_string());
    let dir = openat(CWD, dir, flags, Mode::empty()).map_err(refused)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name().to_owned();
        if is_config(name.to_bytes()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(Unread::NotAFile);
    }
    if names.len() > MAX_FILES {
        return Err(Unread::TooMany(names.len()));
    }
    names.sort_unstable();
    let (mut files, mut bytes) = (Vec::new(), 0);
    for name in names {
        let read = openat(&dir, &name, reading() | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::MLINK => Unread::Link,
            // A socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => Unread::NotAFile,
            errno => refused(errno),
        });
        let read = read.and_then(|file| Ok(content(file.into(), most)?));
        bytes += read.as_ref().map_or(0, Vec::len) as u64;
        if bytes > most {
            return Err(Unread::TooBig(bytes));
        }
        files.push((OsStr::from_bytes(name.to_bytes()).to_owned(), read));
    }
    Ok(files)
}

/// Whether a file of a directory is called as a config is.
pub(super) fn is_config(name: &[u8]) -> bool {
    !name.starts_with(b".") && (name.ends_with(b".json") || name.ends_with(b".jsonc"))
}

impl From<Unfit> for Unread {
    fn from(why: Unfit) -> Self {
        match why {
            Unfit::NotAFile => Self::NotAFile,
            Unfit::System(place) => Self::System(place.display().to_string()),
            Unfit::TooBig(bytes) => Self::TooBig(bytes),
            Unfit::Refused(error) if error.kind() == ErrorKind::IsADirectory => Self::NotAFile,
            Unfit::Refused(error) if error.kind() == ErrorKind::NotFound => Self::Missing,
            Unfit::Refused(error) => Self::Refused(error.to_string()),
        }
    }
}

/// Reads a text that phoenix wrote: a saved plan, a recording, the log of a run.
pub(super) fn text(path: &Path) -> Result<String> {
    let name = path.display();
    let hint = "name a file that phoenix wrote";
    let bytes = match read(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(Unfit::NotAFile) => return Err(Refusal::usage(format!("`{name}` is not a regular file"), hint)),
        Err(Unfit::System(place)) => {
            let what = format!("`{name}` leads to `{}`, which is not a regular file", place.display());
            return Err(Refusal::usage(what, hint));
        }
        Err(Unfit::TooBig(bytes)) => {
            let (bytes, most) = (bytes >> 20, MAX_BYTES >> 20);
            return Err(Refusal::usage(format!("`{name}` has {bytes} MiB; at most {most} MiB are read"), hint));
        }
        Err(Unfit::Refused(error)) => return Err(error).with_context(|| format!("cannot read `{name}`")),
    };
    String::from_utf8(bytes).map_err(|_| Refusal::usage(format!("`{name}` is not UTF-8"), hint))
}

/// Never waits for a pipe's writer, and never gets a terminal to control this process.
fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

/// Reads what was opened, if it is an ordinary file.
fn content(file: File, most: u64) -> Result<Vec<u8>, Unfit> {
    let meta = file.metadata().map_err(Unfit::Refused)?;
    if !meta.is_file() {
        return Err(Unfit::NotAFile);
    }
    if is_of_the_kernel(&file).map_err(Unfit::Refused)? {
        return Err(Unfit::System("/proc".into()));
    }
    if meta.len() > most {
        return Err(Unfit::TooBig(meta.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes).map_err(Unfit::Refused)?;
    if bytes.len() as u64 > most { Err(Unfit::TooBig(bytes.len() as u64)) } else { Ok(bytes) }
}

/// Whether an open file belongs to a file system in which the kernel shows its own state, wherever that is mounted.
#[cfg(target_os = "linux")]
fn is_of_the_kernel(file: &File) -> io::Result<bool> {
    const SYSFS: u32 = 0x6265_6572;
    let kind = rustix::fs::fstatfs(file)?.f_type;
    Ok([rustix::fs::PROC_SUPER_MAGIC, SYSFS.into()].contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_kernel(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// The first place below `/proc`, `/sys` or `/dev` that a path leads through, links followed one by one. Shared memory
/// (`/dev/shm`) is as good as any other directory.
fn system_place(path: &Path) -> Option<PathBuf> {
    let is_system = |at: &Path| {
        let dev = at.starts_with("/dev") && at != Path::new("/dev") && !at.starts_with("/dev/shm");
        dev || at.starts_with("/proc") || at.starts_with("/sys")
    };
    let parts = |path: &Path| path.iter().rev().map(OsString::from).collect::<Vec<_>>();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut rest = parts(&std::path::absolute(path).ok()?);
    while let Some(part) = rest.pop() {
        match part.as_bytes() {
            b".." => drop(at.pop()),
            b"." => {}
            // The root of an absolute path or link starts anew.
            _ => at.push(part),
        }
        if is_system(&at) {
            return Some(at);
        }
        if let Ok(target) = fs::read_link(&at) {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            at.pop();
            rest.extend(parts(&target));
        }
    }
    None
}

/// A path without `.` and `..`; `None` when it is absolute or leaves where it started.
pub(super) fn below(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// The scripts of the directory that a config names, which lies below the config's own and is reached without links.
pub(super) fn scripts_below(base: &Path, named: &str) -> FeatureFiles {
    let Some(path) = below(Path::new(named)) else { return FeatureFiles::Outside };
    let dir = match descend(base, &path) {
        Ok(dir) => dir,
        Err((Some(link), _)) => return FeatureFiles::Link(link.display().to_string()),
        Err((None, Errno::NOENT)) => return FeatureFiles::Missing,
        Err((None, errno)) => return FeatureFiles::Unreadable(io::Error::from(errno).to_string()),
    };
    scripts(&dir).map_or_else(FeatureFiles::Unreadable, FeatureFiles::Found)
}

/// A file that a config names, which lies below the config's own directory and is reached without links.
pub(super) fn data_below(base: &Path, named: &str) -> Result<Vec<u8>, BadData> {
    read_below(open_below(base, named)?, MAX_DATA_BYTES)
}

/// The file of a secret that a config names, which lies below a directory and is reached from there without links.
pub(super) fn secret_below(base: &Path, named: &str) -> Result<SecretRead, BadData> {
    let file = open_below(base, named)?;
    let meta = file.metadata().map_err(|error| BadData::Unreadable(error.to_string()))?;
    let is_exposed = meta.mode() & 0o044 != 0;
    // A line break at its end is no part of it.
    let bytes = read_below(file, MAX_SECRET_BYTES + 2)?;
    Ok(SecretRead { bytes, is_exposed })
}

/// Opens a file below a directory, which is reached from there without links.
fn open_below(base: &Path, named: &str) -> Result<File, BadData> {
    let path = below(Path::new(named)).ok_or(BadData::Outside)?;
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Err(BadData::NotAFile) };
    let (dir, reached) = match descend(base, dir) {
        Ok(dir) => (dir, path.as_path()),
        Err((Some(link), _)) => return Err(BadData::Link(link.display().to_string())),
        Err((None, Errno::NOENT)) => return Err(BadData::Missing),
        Err((None, errno)) => return Err(BadData::Unreadable(io::Error::from(errno).to_string())),
    };
    let file = openat(&dir, name, reading() | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::MLINK => BadData::Link(reached.display().to_string()),
        Errno::NOENT => BadData::Missing,
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => BadData::NotAFile,
        errno => BadData::Unreadable(io::Error::from(errno).to_string()),
    })?;
    Ok(file.into())
}

/// Reads a file of a config.
fn read_below(file: File, most: usize) -> Result<Vec<u8>, BadData> {
    content(file, most as u64).map_err(|unfit| match unfit {
        Unfit::NotAFile | Unfit::System(_) => BadData::NotAFile,
        Unfit::TooBig(_) => BadData::TooBig,
        Unfit::Refused(error) if error.kind() == ErrorKind::IsADirectory => BadData::NotAFile,
        Unfit::Refused(error) => BadData::Unreadable(error.to_string()),
    })
}

/// Opens a directory below another one, through no link; the part of the path that is one, else why not.
fn descend(base: &Path, path: &Path) -> Result<OwnedFd, (Option<PathBuf>, Errno)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    let mut dir = openat(CWD, base, flags, Mode::empty()).map_err(|errno| (None, errno))?;
    let mut reached = PathBuf::new();
    for name in path {
        reached.push(name);
        dir = match openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(dir) => dir,
            Err(errno) => return Err((is_link(&dir, name.as_bytes()).then_some(reached), errno)),
        };
    }
    Ok(dir)
}

/// The scripts of a directory that the operator names: it may lie anywhere.
pub(super) fn scripts_in(dir: &Path) -> FeatureFiles {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let files = openat(CWD, dir, flags, Mode::empty()).map_err(|errno| io::Error::from(errno).to_string());
    FeatureFiles::Named(dir.display().to_string(), files.and_then(|dir| scripts(&dir)))
}

fn is_link(dir: &OwnedFd, name: &[u8]) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// The scripts of an open directory by name.
fn scripts(dir: &OwnedFd) -> Result<BTreeMap<String, Result<Vec<u8>, BadScript>>, String> {
    let said = |errno: Errno| io::Error::from(errno).to_string();
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for entry in Dir::read_from(dir).map_err(said)? {
        let entry = entry.map_err(said)?;
        // A name that is no text cannot be the name of a feature.
        if let Ok(name) = entry.file_name().to_str()
            && Path::new(name).extension().is_some_and(|extension| extension == "sh")
        {
            let script = script(dir, name);
            bytes += script.as_ref().map_or(0, Vec::len);
            if bytes > MAX_SCRIPTS_BYTES {
                return Err(format!("its scripts have more than {} MiB in all", MAX_SCRIPTS_BYTES >> 20));
            }
            files.insert(name.to_owned(), script);
        }
    }
    Ok(files)
}

fn script(dir: &OwnedFd, name: &str) -> Result<Vec<u8>, BadScript> {
    let file = openat(dir, name, reading() | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::MLINK => BadScript::Link,
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => BadScript::NotAFile,
        errno => BadScript::Unreadable(io::Error::from(errno).to_string()),
    })?;
    match content(file.into(), MAX_SCRIPT_BYTES as u64) {
        Ok(bytes) => Ok(bytes),
        Err(Unfit::NotAFile | Unfit::System(_)) => Err(BadScript::NotAFile),
        Err(Unfit::TooBig(_)) => Err(BadScript::TooBig),
        Err(Unfit::Refused(error)) if error.kind() == ErrorKind::IsADirectory => Err(BadScript::NotAFile),
        Err(Unfit::Refused(error)) => Err(BadScript::Unreadable(error.to_string())),
    }
}
