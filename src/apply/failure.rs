//! How an action fails: what of a fault is kept, and which keys of the file it is about.

use super::hints;
use crate::event::Failure;
use crate::model::proxmox;
use crate::model::{ActionKind, Fault, FaultKind, Key};
use crate::observed::options::{self, Row};
use crate::plan::Change;

impl From<Fault> for Failure {
    fn from(mut fault: Fault) -> Self {
        let hint = fault.hint.take().or_else(|| hints::by_kind(fault.kind).map(ToOwned::to_owned));
        let failure = Self { hint, stale: fault.kind == FaultKind::Stale, ..Self::new(fault.what.as_str(), None) };
        failure.because_of(fault)
    }
}

/// A failure that has no fault behind it.
pub(super) fn failure(error: impl Into<String>, hint: Option<&str>) -> Failure {
    Failure::new(error, hint)
}

/// The VM is not what was planned.
pub(super) fn stale(error: String, hint: &str) -> Failure {
    Failure { stale: true, ..failure(error, Some(hint)) }
}

/// The options that a running VM refused to take over, and that are kept all the same.
pub(super) fn refused_while_running(failure: &Failure) -> &[String] {
    match &failure.fault {
        Some(fault) if fault.kind == FaultKind::Hotplug => &fault.options,
        _ => &[],
    }
}

/// Those of them that a restart of the VM brings in.
pub(super) fn at_restart(failure: &Failure) -> &[String] {
    failure.fault.as_ref().map_or(&[], |fault| &fault.at_restart)
}

/// The keys that stand for options of Proxmox; of several that share one, those that the plan changes.
pub(super) fn keys_of<'o>(changes: &[Change], options: impl IntoIterator<Item = &'o str>) -> Vec<&'static str> {
    let options: Vec<&str> = options.into_iter().collect();
    let concerned = |row: &&Row| row.key.is_some() && row.options.iter().any(|option| options.contains(option));
    let rows: Vec<&'static Row> = options::rows().filter(|row| concerned(row)).collect();
    let is_changed = |row: &&&Row| changes.iter().flat_map(Change::rows).any(|of| std::ptr::eq(of, **row));
    let planned: Vec<&'static Row> = rows.iter().filter(is_changed).copied().collect();
    let rows = if planned.is_empty() { rows } else { planned };
    let mut keys: Vec<Key> = rows.iter().filter_map(|row| row.key).collect();
    keys.dedup();
    keys.into_iter().map(Key::name).collect()
}

/// Says which keys of the file the failure of an action is about: those of the options that the target names, else
/// those that the action stands for. A VM that is not what was planned is about none.
pub(super) fn with_keys(failure: Failure, changes: &[Change], kind: ActionKind, subject: Option<&str>) -> Failure {
    if failure.stale || !failure.keys.is_empty() {
        return failure;
    }
    let options = failure.fault.iter().flat_map(|fault| &fault.options).map(String::as_str);
    let mut keys = keys_of(changes, options);
    if keys.is_empty() {
        let of_disks = [ActionKind::FetchImage, ActionKind::ImportDisk, ActionKind::MoveDisk, ActionKind::ResizeDisk];
        let disk = of_disks.contains(&kind).then_some(subject).flatten();
        keys = disk.and_then(proxmox::disk).map_or_else(|| keys_behind(kind), |slot| vec![slot.key]);
    }
    failure.about(keys)
}

/// The keys because of which there is such an action; none where it serves the VM as a whole.
fn keys_behind(kind: ActionKind) -> Vec<&'static str> {
    let key = match kind {
        ActionKind::Clone => Key::TemplateName,
        ActionKind::FetchImage | ActionKind::CreateFromImage => Key::CloudImage,
        ActionKind::GrowFilesystem => Key::BootDiskSizeGb,
        ActionKind::DeleteUnused
        | ActionKind::ImportDisk
        | ActionKind::UnmountDisk
        | ActionKind::FormatDisk
        | ActionKind::MountDisk => Key::Disks,
        ActionKind::AwaitNetwork => Key::NetworkModel,
        ActionKind::Unmount | ActionKind::PrepareShare | ActionKind::ExportShare | ActionKind::Mount => Key::Volumes,
        ActionKind::StageScripts | ActionKind::Feature => Key::Features,
        ActionKind::Migrate => Key::Node,
        ActionKind::SetPool => Key::Pool,
        ActionKind::SetHa | ActionKind::LeaveHa => Key::Ha,
        ActionKind::CleanGuest | ActionKind::ConvertToTemplate => Key::IsTemplate,
        ActionKind::MoveDisk | ActionKind::ResizeDisk => {
            return options::rows().filter(|row| row.step == kind).filter_map(|row| row.key).map(Key::name).collect();
        }
        ActionKind::RemoveLeftover
        | ActionKind::Adopt
        | ActionKind::Snapshot
        | ActionKind::Rollback
        | ActionKind::Stop
        | ActionKind::WriteSnippet
        | ActionKind::RemoveSnippet
        | ActionKind::Configure
        | ActionKind::UpdateCloudInit
        | ActionKind::Restart
        | ActionKind::Start
        | ActionKind::AwaitAgent
        | ActionKind::AwaitCloudInit
        | ActionKind::Record
        | ActionKind::RemoveSnapshot
        | ActionKind::Forget
        | ActionKind::Destroy => return Vec::new(),
    };
    vec![key.name()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failure: Failure, kind: ActionKind, planned: &[Key], keys: &[&str]) {
        let changes: Vec<Change> = planned.iter().map(|key| Change { key: key.name(), ..Change::default() }).collect();
        assert_eq!(with_keys(failure, &changes, kind, None).keys, keys);
    }

    fn refused(options: &[&str]) -> Failure {
        Fault::harmless(FaultKind::Refused, "no").about(options.iter().copied()).into()
    }

    #[test]
    fn the_keys_are_those_of_the_options_that_are_refused() {
        use ActionKind::{Configure, MoveDisk};
        check(refused(&["memory"]), Configure, &[], &["memory_mb"]);
        check(refused(&["net0"]), Configure, &[], &["network_bridge", "network_model"]);
        check(refused(&["net0"]), Configure, &[Key::NetworkModel, Key::MemoryMb], &["network_model"]);
        check(refused(&["ipconfig0", "ciuser"]), Configure, &[], &["network_config", "user_config"]);
        check(refused(&["agent", "scsi1"]), Configure, &[], &[]);
        // What is refused of an operation that is no write is no option of the VM.
        check(refused(&["storage"]), MoveDisk, &[], &["boot_disk_storage"]);
    }

    #[test]
    fn where_no_option_is_named_it_is_about_what_the_action_is_for() {
        check(refused(&[]), ActionKind::ResizeDisk, &[], &["boot_disk_size_gb"]);
        check(failure("no", None), ActionKind::Mount, &[], &["volumes"]);
        check(failure("no", None), ActionKind::Start, &[Key::MemoryMb], &[]);
        check(failure("no", None).about(["memory_mb"]), ActionKind::Mount, &[], &["memory_mb"]);
        check(stale("it moved".to_owned(), hints::PLAN_AGAIN), ActionKind::MoveDisk, &[], &[]);
    }

    #[test]
    fn a_fault_gives_its_hint_and_is_kept() {
        let failure = Failure::from(Fault::harmless(FaultKind::Busy, "VM is locked").hint("wait"));
        assert_eq!((failure.error.as_str(), failure.hint.as_deref()), ("VM is locked", Some("wait")));
        assert_eq!(failure.fault, Some(Box::new(Fault::harmless(FaultKind::Busy, "VM is locked"))));
        let failure = Failure::from(Fault::harmless(FaultKind::Stale, "checksum mismatch"));
        assert!(failure.stale && failure.hint.is_none());
        assert_eq!(
            Failure::from(Fault::harmless(FaultKind::Denied, "no")).hint.as_deref(),
            hints::by_kind(FaultKind::Denied)
        );
    }
}
