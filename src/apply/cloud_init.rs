//! The cloud-init drive.

use super::failure::failure;
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{DesiredVm, Outcome};
use crate::observed::{VmObserved, options};

impl Performing<'_> {
    /// The volume of a drive that an interrupted run made and did not get to attach. Proxmox gives it a fixed name, and
    /// would refuse to make another one.
    pub(super) fn left_drive(&self, desired: &DesiredVm, live: &VmObserved) -> Result<Option<String>, Failure> {
        let id = self.id();
        if options::new_drive(desired, live).is_none() {
            return Ok(None);
        }
        let own = format!("vm-{id}-cloudinit");
        let is_drive = |volume: &String| volume.rsplit(['/', ':']).next().is_some_and(|name| name.starts_with(&own));
        let named = |volume: &String| live.volumes.iter().any(|named| named.volume == *volume);
        Ok(self.ask(|hypervisor| hypervisor.volumes(id))?.into_iter().find(|volume| is_drive(volume) && !named(volume)))
    }

    /// Makes the drive of a running VM anew. One that is stopped gets it when it starts.
    pub(super) fn update_cloud_init(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if !live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        // Before the drive: the run that comes after a death must know that the guest has not read it yet.
        self.write_record(&|record| record.unread = true)?;
        let made = |live: &VmObserved| live.cloud_init.not_in_drive.is_empty();
        let op = HostOp::UpdateCloudInit { vm: self.id() };
        self.host(&op, &|| self.live().map(|live| if made(&live) { Holds::Yes } else { Holds::No }))?;
        let now = self.afterwards(self.live())?;
        if let Some(now) = now.filter(|now| !made(now)) {
            return Err(failure(
                format!("the cloud-init drive still lacks {}", now.cloud_init.not_in_drive.join(", ")),
                Some(hints::LOOK_AT_TASK_LOG),
            ));
        }
        self.leave()?;
        self.noticed("the guest reads the new cloud-init values when it boots next; `--restart` restarts it");
        Ok(self.action.outcome)
    }
}
