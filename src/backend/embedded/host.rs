//! The node's own file system, simulated below `root/`. The real one is never touched: paths are absolute, without `..`,
//! and a symbolic link on the way is refused.

use std::fs::{self, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::files::{self, Deadline, unread, unwritten};
use super::rehearse::Rehearsal;
use super::{Embedded, GuestKind};
use crate::hypervisor::{ExportEntry, Fault, FaultKind, FileContent};
use crate::model::{VmId, normal_path};
use crate::observed::{EXPORTS_HEADER, Export, export_line};

fn refused(what: String) -> Fault {
    Fault::harmless(FaultKind::Refused, what)
}

impl Embedded {
    /// Where a path of the simulated host lies.
    pub(super) fn host_path(&self, path: &str) -> Result<PathBuf, Fault> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err(refused(format!("{path}: not an absolute path")));
        };
        let mut real = self.dir.join("root");
        for part in relative.split('/').filter(|part| !part.is_empty()) {
            if part == "." || part == ".." || part.contains('\0') {
                return Err(refused(format!("{path}: `{part}` has no place in a path of the node")));
            }
            real.push(part);
            if fs::symlink_metadata(&real).is_ok_and(|meta| meta.file_type().is_symlink()) {
                return Err(refused(format!("{path}: a symbolic link is on the way")));
            }
        }
        Ok(real)
    }

    /// Makes a directory with its parents; what is in it stays.
    pub(super) fn make_directory(&self, path: &str, rehearsal: Rehearsal) -> Result<(), Fault> {
        let real = self.host_path(path)?;
        if real.exists() && !real.is_dir() {
            return Err(Fault::harmless(FaultKind::Failed, format!("{path}: exists and is not a directory")));
        }
        rehearsal.halfway()?;
        files::make_dir(&real)
    }

    /// The exports that the simulated host has; of those that belong to a VM, only those of the VMs that are wanted.
    pub(super) fn exports_on_host(&self, wanted: &dyn Fn(VmId) -> bool) -> Result<Vec<Export>, Fault> {
        let etc = self.host_path("/etc")?;
        let mut exports = Export::parse("exports", &files::read(&etc.join("exports"))?.unwrap_or_default());
        for name in files::names(&etc.join("exports.d"))?.iter().filter(|name| name.ends_with(".exports")) {
            if Export::owner(name).is_some_and(|vm| !wanted(vm)) {
                continue;
            }
            let text = files::read(&etc.join("exports.d").join(name))?.unwrap_or_default();
            exports.extend(Export::parse(name, &text));
        }
        if self.settings.guests == GuestKind::Qemu {
            // The node's own server knows its guests, and everybody.
            exports.retain(|export| export.vm.is_some() || (export.full && export.client == "*"));
        }
        Ok(exports)
    }

    /// Writes the exports of a VM; without any, the file goes.
    pub(super) fn write_exports(
        &self,
        vm: VmId,
        entries: &[ExportEntry],
        deadline: Deadline,
        rehearsal: Rehearsal,
    ) -> Result<(), Fault> {
        if !self.settings.nfs_server {
            return Err(Fault::harmless(FaultKind::Missing, "there is no program `exportfs`"));
        }
        if let Some(entry) = entries.iter().find(|entry| entry.client.parse::<IpAddr>().is_err()) {
            return Err(refused(format!("`{}` is no address", entry.client)));
        }
        // A link on the way is refused: it could be another one by the time the directory is mounted.
        for entry in entries {
            self.host_path(&self.behind_export(&entry.path)?)?;
        }
        let dir = self.host_path("/etc/exports.d")?;
        rehearsal.halfway()?;
        let file = dir.join(Export::file_name(vm));
        if entries.is_empty() {
            files::remove(&file)?;
            return self.nfs().withdraw(deadline);
        }
        self.nfs().check(entries)?;
        files::make_dir(&dir)?;
        let mounts = self.mounts()?;
        let line = |ExportEntry { path, client }: &ExportEntry| {
            export_line(path, client, mounts.place(normal_path(path)).own_file_system)
        };
        let text = EXPORTS_HEADER.to_owned() + &entries.iter().map(line).collect::<String>();
        files::replace(&file, &self.dir.join(format!("tmp/exports-{vm}")), &text)?;
        self.nfs().serve_to(vm, deadline)
    }

    /// Reads a part of a file of the simulated host.
    pub(super) fn read_on_host(&self, path: &str, from: u64, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let real = self.host_path(path)?;
        if fs::symlink_metadata(&real).is_ok_and(|meta| !meta.is_file()) {
            return Ok(None);
        }
        let mut file = match fs::File::open(&real) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(&real)(error)),
        };
        file.seek(SeekFrom::Start(from)).map_err(unread(&real))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).map_err(unread(&real))?;
        Ok(Some(bytes))
    }

    /// Puts files into a new directory and swaps it in.
    pub(super) fn replace_directory(
        &self,
        path: &str,
        content: &[FileContent],
        deadline: Deadline,
        rehearsal: Rehearsal,
    ) -> Result<(), Fault> {
        let whole = path.trim_end_matches('/');
        let plain = |name: &str| !["", ".", ".."].contains(&name) && !name.contains('\0');
        let Some((parent, name)) = whole.rsplit_once('/').filter(|(_, name)| plain(name)) else {
            return Err(refused(format!("{path}: not a directory that can be replaced")));
        };
        // What has the name itself is replaced whatever it is; a link there is not followed.
        let parent = self.host_path(&format!("{parent}/"))?;
        let real = parent.join(name);
        for file in content {
            if !file.has_plain_name() {
                return Err(refused(format!("`{}` is not a plain file name", file.name)));
            }
        }
        if !parent.is_dir() {
            return Err(Fault::harmless(FaultKind::Missing, format!("{path}: its parent directory does not exist")));
        }
        // One at a time: the names beside the directory are fixed, so that a killed process leaves at most one of each.
        let _lock = files::lock(&self.dir.join("locks/root.lock"), deadline)?;
        let (new, old) = (parent.join(format!(".{name}.new")), parent.join(format!(".{name}.old")));
        files::remove(&new)?;
        files::make_dir(&new)?;
        for file in content {
            let target = new.join(&file.name);
            fs::write(&target, file.content.as_bytes()).map_err(unwritten(&target))?;
            fs::set_permissions(&target, Permissions::from_mode(0o644)).map_err(unwritten(&target))?;
        }
        rehearsal.halfway()?;
        files::remove(&old)?;
        if fs::symlink_metadata(&real).is_ok() {
            fs::rename(&real, &old).map_err(unwritten(&real))?;
        }
        fs::rename(&new, &real).map_err(unwritten(&real))?;
        files::remove(&old)
    }
}
