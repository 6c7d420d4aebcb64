//! The node's own file system, simulated below `root/`. The real one is never touched: paths are absolute, without
//! `..`, and a symbolic link on the way is refused.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use super::files;
use super::pinned::parts;
use super::rehearse::Attempt;
use super::{Embedded, GuestKind};
use crate::hypervisor::{ExportEntry, Fault, FaultKind};
use crate::model::{VmId, normal_path};
use crate::observed::{EXPORTS_HEADER, Export, export_line};

fn refused(what: String) -> Fault {
    Fault::harmless(FaultKind::Refused, what)
}

impl Embedded {
    /// Where a path of the simulated host lies.
    pub(super) fn host_path(&self, path: &str) -> Result<PathBuf, Fault> {
        let mut real = self.dir.join("root");
        for part in parts(path)? {
            real.push(part);
            if fs::symlink_metadata(&real).is_ok_and(|meta| meta.file_type().is_symlink()) {
                return Err(refused(format!("{path}: a symbolic link is on the way")));
            }
        }
        Ok(real)
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
    pub(super) fn write_exports(&self, vm: VmId, entries: &[ExportEntry], attempt: Attempt) -> Result<(), Fault> {
        if !self.settings.nfs_server {
            return Err(Fault::harmless(FaultKind::Missing, "there is no program `exportfs`"));
        }
        if let Some(entry) = entries.iter().find(|entry| entry.client.parse::<IpAddr>().is_err()) {
            return Err(refused(format!("`{}` is not an address", entry.client)));
        }
        // A link on the way is refused: it could be another one by the time the directory is mounted.
        for entry in entries {
            self.host_path(&self.behind_export(&entry.path)?)?;
        }
        let dir = self.host_path("/etc/exports.d")?;
        attempt.halfway()?;
        let file = dir.join(Export::file_name(vm));
        if entries.is_empty() {
            files::remove(&file)?;
            return self.nfs().withdraw(attempt.deadline);
        }
        self.nfs().check(entries)?;
        files::make_dir(&dir)?;
        let mounts = self.mounts()?;
        let line = |ExportEntry { path, client }: &ExportEntry| {
            export_line(path, client, mounts.place(normal_path(path)).own_file_system)
        };
        let text = EXPORTS_HEADER.to_owned() + &entries.iter().map(line).collect::<String>();
        files::replace(&file, &self.dir.join(format!("tmp/exports-{vm}")), &text)?;
        self.nfs().serve_to(vm, attempt.deadline)
    }
}
