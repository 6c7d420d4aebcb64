//! What an action takes, as the document of a plan has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{CloudImage, VmId};
use crate::plan::{Leftover, Mount, Step};

/// What an action takes beyond its VM and its subject. A value that the action does not take is absent; what an action
/// writes into the configuration, `changes` of its VM say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct DocumentOperands {
    /// VMID of the template that is cloned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<u32>,
    /// The image: a path on the node, a URL, or a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Arc<str>>,
    /// SHA-256 that the image must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Arc<str>>,
    /// SHA-512 that the image must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<Arc<str>>,
    /// Storage that a disk is copied to; absent of a clone: a linked one, on its template's storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Arc<str>>,
    /// Node that a VM moves to, or is made for straight away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// The VM moves while it runs.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub online: bool,
    /// The source of a disk that moves is erased.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub delete_source: bool,
    /// Size of a disk in the end, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_gb: Option<u32>,
    /// The file system that is made on a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Arc<str>>,
    /// The slot of the disk whose file system is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Arc<str>>,
    /// The keys whose values are written; absent: all that the file says, into a new or half-made VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// What an interrupted run left: `placeholder` or `half-made`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftover: Option<Arc<str>>,
    /// Directory on the node, or file of a snippet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Arc<str>>,
    /// Directories that are exported to the VM; empty: what was exported to it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exports: Option<Vec<String>>,
    /// Where a volume comes from: `server:directory`; a file system of a disk: `UUID=` and its uuid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<str>>,
    /// The record says that it is there, and it is looked at in the guest all the same.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub verify: bool,
    /// Files that are put in place: name and SHA-256 of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Arc<str>>,
    /// The script that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Arc<str>>,
    /// SHA-256 of the script, or of the snippet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Arc<str>>,
    /// It runs again although it ran.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub again: bool,
}

/// A text that is there.
#[expect(clippy::unnecessary_wraps, reason = "every operand may be absent")]
fn text(text: &str) -> Option<Arc<str>> {
    Some(text.into())
}

/// A text, if it is there.
fn said(text: Option<&String>) -> Option<Arc<str>> {
    text.map(|text| text.as_str().into())
}

impl DocumentOperands {
    fn of_image(image: &CloudImage) -> Self {
        let CloudImage { source, sha256, sha512 } = image;
        Self { image: text(source), sha256: said(sha256.as_ref()), sha512: said(sha512.as_ref()), ..Self::default() }
    }

    /// What a step takes; `None`: nothing.
    pub(super) fn of(step: &Step) -> Option<Box<Self>> {
        let none = Self::default();
        let sources = |mounts: &[Arc<Mount>]| mounts.iter().map(|mount| mount.export.clone()).collect();
        Some(Box::new(match step {
            Step::RemoveLeftover(leftover) => {
                let leftover = match leftover {
                    Leftover::Placeholder => "placeholder",
                    Leftover::HalfMade => "half-made",
                };
                Self { leftover: text(leftover), ..none }
            }
            Step::FetchImage(image) => Self::of_image(image),
            Step::Clone(step) => Self {
                template: Some(VmId::get(step.source)),
                storage: said(step.storage.as_ref()),
                node: said(step.node.as_ref()),
                ..none
            },
            Step::CreateFromImage(step) => {
                Self { storage: text(&step.desired.boot_disk_storage), ..Self::of_image(&step.image) }
            }
            Step::WriteSnippet(step) => Self { path: text(&step.path), digest: text(&step.digest), ..none },
            Step::Configure(step) => {
                let names = step.values.as_ref()?.names().map(str::to_owned);
                Self { values: Some(names.collect()), ..none }
            }
            Step::ImportDisk(step) => Self { storage: text(&step.storage), ..Self::of_image(&step.image) },
            Step::Migrate(step) => Self { node: text(&step.node), online: step.online, ..none },
            Step::MoveDisk(step) => Self { storage: text(&step.storage), delete_source: step.delete_source, ..none },
            Step::ResizeDisk(step) => Self { size_gb: Some(step.size_gb), ..none },
            Step::PrepareShare(path) | Step::RemoveSnippet(path) => Self { path: text(path), ..none },
            Step::FormatDisk(step) => Self { filesystem: text(step.filesystem.as_str()), ..none },
            Step::MountDisk(step) => Self { disk: text(step.slot), verify: step.verify, ..none },
            Step::Unmount(step) | Step::UnmountDisk(step) => Self { source: text(&step.source), ..none },
            Step::ExportShare(served) => Self { exports: Some(sources(served)), ..none },
            Step::Mount(step) => Self { source: text(&step.mount.source()), verify: step.verify, ..none },
            Step::StageScripts(step) => {
                let files = step.files.iter().map(|file| (file.name.clone(), Arc::clone(&file.digest)));
                Self { files: files.collect(), ..none }
            }
            Step::Feature(step) => {
                Self { script: text(&step.file), digest: Some(Arc::clone(&step.digest)), again: step.again, ..none }
            }
            // What these write or name, the changes and the subject say.
            Step::Adopt(_)
            | Step::Snapshot(_)
            | Step::Rollback(_)
            | Step::RemoveSnapshot(_)
            | Step::Forget(_)
            | Step::AwaitCloudInit(_)
            | Step::Record(_)
            | Step::Stop
            | Step::SetPool { .. }
            | Step::SetHa(_)
            | Step::LeaveHa
            | Step::UpdateCloudInit
            | Step::Restart
            | Step::Start
            | Step::AwaitAgent
            | Step::AwaitNetwork
            | Step::GrowFilesystem
            | Step::CleanGuest
            | Step::ConvertToTemplate
            | Step::DeleteUnused(_)
            | Step::Destroy => return None,
        }))
    }
}
