//! What is done inside a guest, and what is left open while its VM is not to run.

use super::due::{Due, due};
use super::facts::Facts;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Key, Record, RecordState, VmId, is_noted, noted};
use crate::plan::{cards, codes, filesystems};

/// Why nothing is done in the guest of a VM that is not to run.
pub(super) const LEFT_OPEN: &str = "the VM is not to run";

/// Why nothing is done in the guest of a running VM whose agent is off until it restarts.
pub(super) const NO_AGENT: &str = "the guest agent is off until a restart";

/// Whether an action in the guest only waits for it, or prepares another one that says what is done.
pub(super) fn only_prepares(kind: ActionKind) -> bool {
    let prepares =
        [ActionKind::AwaitAgent, ActionKind::AwaitCloudInit, ActionKind::PrepareShare, ActionKind::ExportShare];
    prepares.contains(&kind)
}

/// Whether an action needs the guest, or prepares one that does.
pub(super) fn is_inside(kind: ActionKind) -> bool {
    match kind {
        ActionKind::AwaitAgent
        | ActionKind::AwaitNetwork
        | ActionKind::AwaitCloudInit
        | ActionKind::GrowFilesystem
        | ActionKind::UnmountDisk
        | ActionKind::FormatDisk
        | ActionKind::MountDisk
        | ActionKind::Unmount
        | ActionKind::PrepareShare
        | ActionKind::ExportShare
        | ActionKind::Mount
        | ActionKind::StageScripts
        | ActionKind::Feature
        | ActionKind::CleanGuest => true,
        ActionKind::RemoveLeftover
        | ActionKind::FetchImage
        | ActionKind::Clone
        | ActionKind::CreateFromImage
        | ActionKind::Adopt
        | ActionKind::Snapshot
        | ActionKind::Rollback
        | ActionKind::Stop
        | ActionKind::WriteSnippet
        | ActionKind::RemoveSnippet
        | ActionKind::Configure
        | ActionKind::ImportDisk
        | ActionKind::MoveDisk
        | ActionKind::Migrate
        | ActionKind::ResizeDisk
        | ActionKind::SetPool
        | ActionKind::SetHa
        | ActionKind::LeaveHa
        | ActionKind::DeleteUnused
        | ActionKind::UpdateCloudInit
        | ActionKind::Restart
        | ActionKind::Start
        | ActionKind::ConvertToTemplate
        | ActionKind::Record
        | ActionKind::RemoveSnapshot
        | ActionKind::Forget
        | ActionKind::Destroy => false,
    }
}

/// Says what the guest of a VM that is not to run lacks.
pub(super) fn left_open(facts: &Facts<'_>) -> Option<Diagnostic> {
    let Facts { vm, record, mounts, scene, .. } = *facts;
    if vm.started {
        return None;
    }
    let mut open: Vec<String> = facts.undeclared().map(|(at, _)| format!("unmount {at}")).collect();
    open.extend(filesystems::left(vm, record).map(|(_, disk)| format!("unmount {}", disk.at)));
    open.extend(due(facts).iter().flat_map(Due::open));
    let unmounted = mounts.iter().filter(|mount| !facts.is_mounted(mount));
    open.extend(unmounted.map(|mount| format!("mount {}", mount.mount_point)));
    for feature in &vm.features {
        let digest = scene.desired.scripts.features.get(&feature.name).map_or("", |script| &*script.digest);
        if !record.features.get(&*feature.name).is_some_and(|ran| is_noted(ran, digest)) {
            open.push(format!("feature {}", feature.name));
        }
    }
    let what = || format!("`started` is false, so this waits until the VM runs: {}", open.join(", "));
    (!open.is_empty()).then(|| Diagnostic::notice(codes::LEFT_OPEN, what()).vm(vm.vm_id).about(Key::Started))
}

/// Says what the guest of a running VM lacks whose agent is off until it restarts.
pub(super) fn waits_for_agent(vm: VmId, open: &[String]) -> Option<Diagnostic> {
    if open.is_empty() {
        return None;
    }
    let what = format!("the guest agent is off until the VM restarts, so this waits until then: {}", open.join(", "));
    let hint = "`phoenix apply --restart` restarts the VM and does it";
    Some(Diagnostic::notice(codes::LEFT_OPEN, what).vm(vm).hint(hint))
}

/// Whether the record says in the end that phoenix put the VM under the HA manager.
pub(super) fn is_made_ha(facts: &Facts<'_>) -> bool {
    let Facts { vm, record, scene, .. } = *facts;
    let is_managed = scene.observed.vms.get(&vm.vm_id).is_some_and(|live| live.ha.is_some());
    vm.ha.is_some() && (record.ha || !is_managed)
}

/// What the record of a VM says when all its actions are done; `inside`: something is done in its guest.
pub(super) fn last_record(facts: &Facts<'_>, inside: bool) -> Record {
    let Facts { vm, record, mounts, staging, applied, scene } = *facts;
    let (made, attached) = (cards::made(vm, record, scene), cards::attached(vm, record, scene));
    let imported = cards::imported(vm, record, scene);
    let mut last = Record { applied: applied.clone(), made, attached, imported, ..record.clone() };
    last.ha = is_made_ha(facts);
    // Phoenix detaches what it formatted, or finds it gone, when it is no longer declared.
    last.filesystems.retain(|slot, _| last.made.contains(slot));
    if record.state == RecordState::Creating {
        match &vm.cloud_image {
            Some(image) => last.image = image.name(),
            None => last.template.clone_from(&vm.template_name),
        }
    }
    if !inside {
        last.state = if record.state == RecordState::Creating { RecordState::Setup } else { record.state };
        // What goes with its disk, and stays in the guest's `/etc/fstab` until it is up.
        let live = scene.observed.vms.get(&vm.vm_id);
        last.volumes.extend(filesystems::set_aside(vm, record, live).map(|disk| (disk.at.clone(), disk.source())));
        return last;
    }
    last.state = RecordState::Ready;
    last.grow = false;
    for feature in &vm.features {
        let digest = scene.desired.scripts.features.get(&feature.name).map_or("", |script| &*script.digest);
        last.features.insert(feature.name.to_string(), noted(digest).to_owned());
    }
    if vm.is_template {
        // Nothing of that stays in it; a run that builds on begins anew with it.
        last.own_disk = false;
        return last;
    }
    last.volumes = mounts.iter().map(|mount| (mount.mount_point.clone(), mount.source())).collect();
    if !vm.features.is_empty() {
        last.staged.clone_from(&staging.digests);
        last.own_disk = !mounts.iter().any(|mount| mount.channel);
    }
    last
}
