//! What is to be done for the file systems of further disks, as the file and the record tell.

use super::facts::Facts;
use crate::model::Outcome;
use crate::plan::filesystems::{self, Declared};
use crate::plan::further;

/// What is to be done for one file system.
pub(super) struct Due<'a> {
    pub(super) declared: Declared<'a>,
    /// What becomes of its mount, and why.
    pub(super) mount: (Outcome, &'static str),
}

/// What is to be done for the file systems of a VM.
pub(super) fn due<'a>(facts: &Facts<'a>) -> Vec<Due<'a>> {
    let Facts { vm, record, scene, .. } = *facts;
    let live = scene.observed.vms.get(&vm.vm_id);
    let growing = further::growing(vm, record, scene);
    let guest = facts.guest();
    let of = |declared: Declared<'a>| {
        let Declared { slot, mount, noted } = declared;
        let mount = match noted.filter(|_| !declared.is_to_be_made()) {
            Some(noted) if noted.at.is_empty() => (Outcome::Create, "it is not mounted yet"),
            Some(noted) if noted.at != mount.mount_point => (Outcome::Update, "its mount point changed"),
            Some(noted) if noted.grow || growing.iter().any(|(grows, _)| *grows == slot) => {
                (Outcome::Update, "its disk grew")
            }
            Some(_) if guest.lost_mount(&mount.mount_point) => (Outcome::Update, "it is gone from the guest"),
            Some(_) => (Outcome::NoOp, "it is mounted"),
            None => (Outcome::Create, "it is not mounted yet"),
        };
        Due { declared, mount }
    };
    // What is mounted below another one comes after it.
    let mut due: Vec<Due<'a>> = filesystems::declared(vm, record, live).into_iter().map(of).collect();
    due.sort_by(|a, b| a.declared.mount.mount_point.cmp(&b.declared.mount.mount_point));
    due
}

impl Due<'_> {
    /// Whether anything is to be done in the guest.
    pub(super) fn acts(&self) -> bool {
        self.mount.0.acts()
    }

    /// What is left open while the VM is not to run.
    pub(super) fn open(&self) -> Vec<String> {
        let Declared { slot, mount, .. } = self.declared;
        let format = self.declared.is_to_be_made().then(|| format!("format {slot}"));
        format.into_iter().chain(self.acts().then(|| format!("mount {}", mount.mount_point))).collect()
    }
}
