//! A node that is open: where its things lie, and its VMs' configurations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::files::{self, Deadline, Lock};
use super::guest_kind::GuestKind;
use super::refusals::unlocked;
use super::rehearse::{self, Attempt, Call};
use super::settings::Settings;
use super::storage::{Used, Volumes};
use super::tasks::Tasks;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Digest, VmId};
use crate::observed::{Conf, VmObserved, config_digest};

/// An embedded node that is open for use.
///
/// Several processes, and several values in one process, may use the same directory at once.
#[derive(Debug)]
pub struct Embedded {
    pub(super) dir: PathBuf,
    pub(super) settings: Settings,
    pub(super) tasks: Tasks,
    pub(super) programs: Programs,
    /// It was only looked at, and was not there.
    pub(super) unmade: bool,
    /// What its guests are to be once anything is done on it, where the command line said it.
    pub(super) guests: Option<GuestKind>,
}

/// What this process remembers of the programs of simulated guests.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// Scripts already given to `bash -n`: content digest → what it found wrong.
    pub(super) checked: Mutex<BTreeMap<String, Option<String>>>,
}

/// VMs by VMID, and what their disks take.
pub(super) type AllVms = (BTreeMap<VmId, VmObserved>, Used);

impl Embedded {
    /// The node in `dir` with these settings.
    pub(super) fn with(dir: &Path, settings: Settings) -> Self {
        let tasks = Tasks { dir: dir.join("tasks"), node: settings.name.clone() };
        Self { dir: dir.to_owned(), settings, tasks, programs: Programs::default(), unmade: false, guests: None }
    }

    /// The settings of the node.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn guest_dir(&self, vm: VmId) -> PathBuf {
        self.dir.join(format!("guests/{vm}"))
    }

    pub(super) fn conf_text(&self, vm: VmId) -> Result<Option<String>, Fault> {
        files::read(&self.conf_path(vm))
    }

    /// The configuration of a VM that must be there.
    pub(super) fn existing(&self, vm: VmId) -> Result<String, Fault> {
        self.conf_text(vm)?.ok_or_else(|| {
            let node = self.room_of(vm).name;
            let what = format!("Configuration file 'nodes/{node}/qemu-server/{vm}.conf' does not exist");
            Fault::harmless(FaultKind::Missing, what)
        })
    }

    /// The configuration of a VM that must be there, without a lock, and as it was when it was read.
    pub(super) fn as_read(&self, vm: VmId, digest: Option<&Digest>) -> Result<String, Fault> {
        let text = self.existing(vm)?;
        if digest.is_some_and(|digest| config_digest(&text) != *digest) {
            return Err(Fault::harmless(FaultKind::Stale, "the configuration changed since it was read"));
        }
        unlocked(&Conf::parse(&text))?;
        Ok(text)
    }

    /// Replaces the configuration of a VM. The caller is its only writer: it holds the config lock, or makes the clone.
    pub(super) fn write_conf(&self, vm: VmId, text: &str) -> Result<(), Fault> {
        files::replace(&self.conf_path(vm), &self.dir.join(format!("tmp/{vm}.conf")), text)
    }

    /// Takes the config lock of a VM.
    pub(super) fn lock_vm(&self, vm: VmId, deadline: Deadline) -> Result<Lock, Fault> {
        files::lock(&self.dir.join(format!("locks/lock-{vm}.conf")), deadline)
    }

    /// Begins a call that takes its time before anything happens, unless it goes wrong then.
    pub(super) fn begin_call(&self, call: &Call, deadline: Deadline) -> Result<Attempt, Fault> {
        let attempt = rehearse::begin(&self.dir, call, deadline)?;
        attempt.before(true)?;
        deadline.pass(self.settings.latency())?;
        Ok(attempt)
    }

    pub(super) fn volumes_on_disk(&self) -> Volumes {
        Volumes { images: self.dir.join("images") }
    }

    /// Every VM whose machine is the node's own has its things in a directory of its VMID below `dir`.
    pub(super) fn vms_in(&self, dir: &str) -> Result<Vec<VmId>, Fault> {
        Ok(files::names(&self.dir.join(dir))?.iter().filter_map(|id| id.parse().ok()).collect())
    }
}
