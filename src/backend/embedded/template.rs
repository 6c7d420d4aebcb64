//! Making a template of a VM (`qm template`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::files::unwritten;
use super::rehearse::Attempt;
use super::{Embedded, disk_image};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Digest, VmId};
use crate::observed::{Conf, PropertyString, VmObserved, VmVolume};

impl Embedded {
    /// Marks a VM as a template, and then calls its disks `base-…`: all of them, or this one.
    ///
    /// As in Proxmox a process that is killed in between leaves a template with disks that are not converted.
    pub(super) fn convert(
        &self,
        vm: VmId,
        disk: Option<&str>,
        digest: Option<&Digest>,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.as_read(vm, digest)?;
        let mut conf = Conf::parse(&text);
        let refused = |what: &str| Err(Fault::harmless(FaultKind::Refused, what));
        if conf.snapshots().next().is_some() {
            return refused("unable to create template, because VM contains snapshots");
        }
        if conf.get("template") == Some("1") && disk.is_none() {
            return refused("you can't convert a template to a template");
        }
        if self.runs(vm)? {
            return refused("you can't convert a VM to template if VM is running");
        }
        let task = self.tasks.begin("qmtemplate", vm, "")?;
        let mut converted = || {
            conf.set("template", "1");
            self.write_conf(vm, &conf.to_string())?;
            attempt.halfway()?;
            let live = VmObserved::from_conf(vm, &text, false);
            for device in live.unconverted().filter(|device| disk.is_none_or(|disk| disk == *device)) {
                let drive = conf.get(device).unwrap_or_default().to_owned();
                conf.set(device, &self.based(vm, device, &drive)?);
                self.write_conf(vm, &conf.to_string())?;
            }
            Ok(())
        };
        let result = converted();
        task.end(result)
    }

    /// Renames the volume of a drive to what a template calls it; returns the drive. One that a killed process renamed
    /// already is only named.
    fn based(&self, vm: VmId, device: &str, drive: &str) -> Result<String, Fault> {
        let found = VmVolume::parse(device, drive).map(|found| found.volume).unwrap_or_default();
        let base = found.replacen(&format!("vm-{vm}-"), &format!("base-{vm}-"), 1);
        let volumes = self.volumes_on_disk();
        if let (Some(from), Some(to)) = (volumes.file(&found, vm), volumes.file(&base, vm)) {
            if from.exists() || !to.exists() {
                fs::rename(&from, &to).map_err(unwritten(&to))?;
            }
            if disk_image::is_image(&to)? {
                // A write into it would change every clone that is built on it.
                fs::set_permissions(&to, fs::Permissions::from_mode(0o444)).map_err(unwritten(&to))?;
            }
        }
        let mut options = PropertyString::parse(drive);
        if let Some((_, volume)) = options.parts.iter_mut().find(|(key, _)| key.is_empty() || key == "file") {
            *volume = base;
        }
        Ok(options.to_string())
    }
}
