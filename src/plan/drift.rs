//! Who changed a value: what phoenix last applied, beside what there is and what the file says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::steps::Scene;
use super::{Change, cloud_init, codes, diff};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key, Record, content_digest, is_noted, noted};
use crate::observed::VmObserved;

/// Who made a VM and the file differ since the last apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangedBy {
    /// The file changed.
    File,
    /// Somebody changed the VM outside phoenix.
    Outside,
    /// Somebody changed the VM, and the file changed, too.
    Both,
}

impl ChangedBy {
    /// Whether somebody changed the VM.
    #[must_use]
    pub fn is_drift(self) -> bool {
        self != Self::File
    }
}

/// The keys whose values phoenix applies to the VM itself, other than by switching it on or off.
const APPLIED: [Key; 15] = [
    Key::OsType,
    Key::CpuSockets,
    Key::CpuCores,
    Key::MemoryMb,
    Key::BootDiskSizeGb,
    Key::BootDiskStorage,
    Key::NetworkBridge,
    Key::NetworkModel,
    Key::VmName,
    Key::Description,
    Key::Tags,
    Key::StartAtBoot,
    Key::Protected,
    Key::BootOrder,
    Key::BootDelay,
];

/// Longest value that is kept as it is: the notes have little room.
const MOST_KEPT: usize = 64;

/// What stands before the digest of a value that is too long to be kept.
const DIGEST: &str = "sha256:";

/// What phoenix has applied to a VM that is as the config says.
pub(super) fn applied(vm: &DesiredVm) -> BTreeMap<String, String> {
    let wished = |key: Key| match key {
        Key::StartAtBoot => vm.start_at_boot.is_some(),
        Key::Protected => vm.protected.is_some(),
        Key::BootOrder => vm.boot_order.is_some(),
        Key::BootDelay => vm.boot_delay.is_some(),
        _ => true,
    };
    let kept = |key: Key| (key.name().to_owned(), kept(&diff::wish(vm, key)).into_owned());
    let parts = cloud_init::PARTS.into_iter().filter_map(|(_, part)| Some((part, cloud_init::wish(vm, part)?)));
    let parts = parts.map(|(part, wish)| (part.to_owned(), self::kept(&wish).into_owned()));
    APPLIED.into_iter().filter(|key| wished(*key)).map(kept).chain(parts).collect()
}

/// Whether a record that says what was applied does not say it of a key that the config has: a run that applied it did not
/// come to its end, or somebody else did.
pub(super) fn has_forgotten(vm: &DesiredVm, record: &Record) -> bool {
    !record.applied.is_empty() && applied(vm).keys().any(|key| !record.applied.contains_key(key))
}

/// A size in GiB, the last one begun counted in full.
fn rounded_up(size: &str) -> Option<u32> {
    match size.split_once('.') {
        Some((whole, _)) => whole.parse::<u32>().ok()?.checked_add(1),
        None => size.parse().ok(),
    }
}

/// A value as a record keeps it.
fn kept(value: &str) -> std::borrow::Cow<'_, str> {
    if value.len() <= MOST_KEPT && !value.contains('\n') && !value.starts_with(DIGEST) {
        value.into()
    } else {
        format!("{DIGEST}{}", noted(&content_digest(value.as_bytes()))).into()
    }
}

/// Whether a record that keeps `was` keeps the value that would be kept as `now`.
pub(super) fn is_kept(was: &str, now: &str) -> bool {
    let digests = was.strip_prefix(DIGEST).zip(now.strip_prefix(DIGEST));
    was == now || digests.is_some_and(|(was, now)| is_noted(was, now))
}

/// What differs between a VM as wished and as observed, and who made it so. What somebody changed is told.
pub(super) fn changes(
    vm: &DesiredVm,
    live: &VmObserved,
    record: &Record,
    scene: &Scene<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Change> {
    let mut changes = diff::changes(vm, live, scene);
    for change in &mut changes {
        attribute(change, vm, live, &record.applied);
    }
    let outside = changes.iter().filter(|change| change.by.is_some_and(ChangedBy::is_drift));
    let mut keys: Vec<String> = outside.map(|change| format!("`{}`", change.key)).collect();
    keys.dedup();
    if !keys.is_empty() {
        let what = format!("VM {} was changed outside phoenix since the last apply: {}", vm.vm_id, keys.join(", "));
        let hint = "apply makes it what the file says; to keep what is there, put it into the file";
        problems.push(Diagnostic::warning(codes::DRIFT, what).vm(vm.vm_id).hint(hint));
    }
    changes
}

/// What somebody changed outside phoenix, of a VM of ours for which no file wishes anything any more: the key, the value at
/// the last apply where it was kept, and the value now.
pub(super) fn outside(live: &VmObserved, record: &Record) -> Vec<(&'static str, Option<String>, String)> {
    let mut found = Vec::new();
    let mut compare = |key: &'static str, was: Option<&str>, now: Option<String>| {
        let now = now.unwrap_or_default();
        if let Some(was) = was.filter(|was| !is_same(key, &now, was)) {
            found.push((key, known(was), now));
        }
    };
    for key in APPLIED {
        compare(key.name(), record.applied.get(key.name()).map(String::as_str), diff::present(live, key));
    }
    for (key, part) in cloud_init::PARTS {
        compare(key.name(), record.applied.get(part).map(String::as_str), Some(cloud_init::present(live, part)));
    }
    // phoenix always switches the agent on.
    let on = (!record.applied.is_empty()).then_some("on");
    compare(diff::GUEST_AGENT, on, Some(if live.agent { "on" } else { "off" }.to_owned()));
    found
}

/// Whether a value is the one that was applied. A disk that was taken over may fill its last GiB in part; and none ever
/// shrinks.
fn is_same(key: &str, now: &str, was: &str) -> bool {
    is_kept(was, &kept(now)) || (key == Key::BootDiskSizeGb.name() && rounded_up(now) == rounded_up(was))
}

/// A value that was applied, where it was kept.
fn known(was: &str) -> Option<String> {
    (!was.starts_with(DIGEST)).then(|| was.to_owned())
}

fn attribute(change: &mut Change, vm: &DesiredVm, live: &VmObserved, applied: &BTreeMap<String, String>) {
    // phoenix always switches the agent on.
    let on = (change.key == diff::GUEST_AGENT && !applied.is_empty()).then_some("on");
    let was = on.or_else(|| applied.get(change.applied_as()).map(String::as_str));
    let (now, wish) = match change.part {
        "" => (change.old.clone(), change.new.clone()),
        part => (Some(cloud_init::present(live, part)), cloud_init::wish(vm, part).unwrap_or_default()),
    };
    let (Some(was), Some(now)) = (was, now) else { return };
    change.by = Some(match (is_same(change.key, &now, was), is_kept(was, &kept(&wish))) {
        (true, _) => ChangedBy::File,
        (false, true) => ChangedBy::Outside,
        (false, false) => ChangedBy::Both,
    });
    change.applied = known(was);
}
