//! What a simulated guest does in the volumes that it mounts. They lie on the node, so it goes there as a guest that
//! may not leave them: through open directories and no link.

use super::Embedded;
use super::files::{self, Deadline};
use super::pinned;
use super::processes::{failed, printed};
use crate::guest::unpacked;
use crate::hypervisor::{Fault, GuestExit};
use crate::model::VmId;

/// A piece of what is put into a directory of a volume.
pub(super) struct Piece<'a> {
    pub(super) directory: &'a str,
    /// What must be mounted where the directory lies.
    pub(super) source: &'a str,
    /// SHA-256 of the whole.
    pub(super) digest: &'a str,
    /// Which one of how many it is, from 1 on.
    pub(super) number: usize,
    pub(super) pieces: usize,
    pub(super) text: &'a [u8],
}

/// The directory in a guest's directory that holds what phoenix puts on the guest's own disk.
pub(super) const OWN: &str = "own";

/// The file in a guest's directory that stands for a path on the guest's own disk; no part of the path leads out of it.
fn own(path: &str) -> String {
    let parts = path.split('/').filter(|part| !["", ".", ".."].contains(part));
    std::iter::once(OWN).chain(parts).collect::<Vec<_>>().join("/")
}

/// The mounted volume that a path in the guest lies in, the innermost: its source, and the rest of the path.
fn covering<'a>(mounted: &'a [String], path: &'a str) -> Option<(&'a str, &'a str)> {
    let mounts = mounted.iter().filter_map(|line| {
        let (source, mount_point) = line.strip_suffix("\tnfs")?.split_once('\t')?;
        let rest = path.strip_prefix(mount_point).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some((source, rest))
    });
    mounts.min_by_key(|(_, rest)| rest.len())
}

/// Directory and name of a path.
fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/').filter(|(dir, name)| !dir.is_empty() && !name.is_empty())
}

impl Embedded {
    /// Keeps a piece; with the last one, puts the files in place.
    pub(super) fn stage(&self, vm: VmId, piece: &Piece<'_>) -> Result<GuestExit, Fault> {
        let spool = |n: usize| format!("stage/{}-{n}", piece.digest);
        self.write_guest(vm, &spool(piece.number), &String::from_utf8_lossy(piece.text))?;
        if piece.number < piece.pieces {
            return Ok(printed("received"));
        }
        let Some((parent, name)) = split(piece.directory) else {
            return Ok(failed(2, format!("{}: no directory of a volume", piece.directory)));
        };
        let mounted = self.mounted(vm)?;
        let is_right = if piece.source.is_empty() {
            covering(&mounted, parent).is_none()
        } else {
            mounted.contains(&format!("{}\t{parent}\tnfs", piece.source))
        };
        if !is_right {
            return Ok(failed(4, format!("mounted at {parent} is '', not '{}'", piece.source)));
        }
        let mut whole = String::new();
        for n in 1..=piece.pieces {
            whole += &files::read(&self.guest_dir(vm).join(spool(n)))?.unwrap_or_default();
        }
        files::remove(&self.guest_dir(vm).join("stage"))?;
        let Some(content) = unpacked(whole.as_bytes()) else {
            return Ok(failed(5, "what arrived is not what was sent".to_owned()));
        };
        if piece.source.is_empty() {
            files::remove(&self.guest_dir(vm).join(own(piece.directory)))?;
            for (file, content) in content {
                let at = own(&format!("{}/{file}", piece.directory));
                self.write_guest(vm, &at, &String::from_utf8_lossy(&content))?;
            }
            return Ok(printed("staged"));
        }
        // A server the node knows nothing about is taken on trust: nothing shows what lies there.
        if let Some(on_host) = self.behind(vm, parent)? {
            let Some(dir) = self.host_dir(&on_host)? else {
                return Ok(failed(1, format!("{parent}: no such directory")));
            };
            // One at a time: the names beside the directory are fixed.
            let _lock = files::lock(&self.dir.join("locks/root.lock"), Deadline::NONE)?;
            pinned::replace_directory(&dir, name, &content).map_err(pinned::failed(piece.directory))?;
        }
        Ok(printed("staged"))
    }

    /// A file of a volume or of the guest's own disk, as the guest sees it. `None`: there is none, or nothing shows
    /// what lies there.
    pub(super) fn read_volume(&self, vm: VmId, path: &str) -> Result<Option<String>, Fault> {
        if covering(&self.mounted(vm)?, path).is_none() {
            return files::read(&self.guest_dir(vm).join(own(path)));
        }
        let Some(on_host) = self.behind(vm, path)? else { return Ok(None) };
        let Some((dir, name)) = split(&on_host) else { return Ok(None) };
        let Some(dir) = self.host_dir(dir)? else { return Ok(None) };
        pinned::read(&dir, name).map_err(pinned::failed(path))
    }

    /// Writes a file of a volume or of the guest's own disk, in a directory that is made if need be; where nothing
    /// shows what lies there, nothing.
    pub(super) fn write_volume(&self, vm: VmId, path: &str, content: &str) -> Result<(), Fault> {
        if covering(&self.mounted(vm)?, path).is_none() {
            return self.write_guest(vm, &own(path), content);
        }
        let Some(on_host) = self.behind(vm, path)? else { return Ok(()) };
        let Some((dir, name)) = split(&on_host) else { return Ok(()) };
        let Some((parent, own)) = split(dir) else { return Ok(()) };
        let Some(above) = self.host_dir(parent)? else { return Ok(()) };
        pinned::make(&above, own, 0o755).map_err(pinned::failed(path))?;
        let Some(dir) = self.host_dir(dir)? else { return Ok(()) };
        pinned::replace(&dir, name, content.as_bytes()).map_err(pinned::failed(path))
    }

    /// Where a path in the guest lies on the simulated host, by the guest's mounts.
    pub(super) fn behind(&self, vm: VmId, path: &str) -> Result<Option<String>, Fault> {
        let mounted = self.mounted(vm)?;
        match covering(&mounted, path) {
            Some((source, rest)) => self.exported(&format!("{source}{rest}")),
            None => Ok(None),
        }
    }
}
