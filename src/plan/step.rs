//! Steps: what an action does, with everything that takes.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Channel, HaStep, ImportStep, Mount};
use crate::model::{ActionKind, CloudImage, CloudInitErrors, DataText, DesiredVm, Filesystem, Record, VmId};
use crate::observed::options::Row;
use crate::observed::print_size;

/// What an action does to its VM, with all its operands: apply looks nothing up in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Removes what an interrupted run left at the VMID.
    RemoveLeftover(Leftover),
    /// Fetches an image to the target.
    FetchImage(Box<CloudImage>),
    /// Clones a template.
    Clone(Box<CloneStep>),
    /// Makes a VM whose disk is a copy of an image.
    CreateFromImage(Box<ImageStep>),
    /// Takes a VM over with this record.
    Adopt(Box<Record>),
    /// Takes a snapshot of this name.
    Snapshot(Arc<str>),
    /// Goes back to the snapshot of this name.
    Rollback(Arc<str>),
    /// Shuts the VM down.
    Stop,
    /// Writes a snippet.
    WriteSnippet(Box<SnippetStep>),
    /// Unmounts the file system of a disk that is detached.
    UnmountDisk(Box<UnmountStep>),
    /// Writes the configuration.
    Configure(Box<ConfigureStep>),
    /// Makes a further disk as a copy of an image.
    ImportDisk(Box<ImportStep>),
    /// Moves the VM to another node.
    Migrate(Box<MigrateStep>),
    /// Moves the boot disk.
    MoveDisk(Box<MoveStep>),
    /// Grows the boot disk.
    ResizeDisk(Box<ResizeStep>),
    /// Puts the VM into a resource pool, or takes it out of one.
    SetPool {
        /// The pool that it was planned to leave.
        from: Option<Box<str>>,
        /// The pool that it comes into; `None`: none.
        to: Option<Box<str>>,
    },
    /// Puts the VM under the HA manager, or changes how it looks after it.
    SetHa(Box<HaStep>),
    /// Takes the VM out of the HA manager.
    LeaveHa,
    /// Makes the cloud-init drive anew.
    UpdateCloudInit,
    /// Shuts the VM down and starts it.
    Restart,
    /// Starts the VM.
    Start,
    /// Removes the snippet in this file.
    RemoveSnippet(Box<str>),
    /// Waits for the guest agent.
    AwaitAgent,
    /// Asks the guest for its network card.
    AwaitNetwork,
    /// Waits for cloud-init; says what becomes of its errors.
    AwaitCloudInit(CloudInitErrors),
    /// Makes the guest's root file system as large as its disk.
    GrowFilesystem,
    /// Makes a file system on a further disk.
    FormatDisk(FormatStep),
    /// Mounts the file system of a further disk.
    MountDisk(Box<MountDiskStep>),
    /// Unmounts a volume, or the file system of a disk.
    Unmount(Box<UnmountStep>),
    /// Makes this directory on the target.
    PrepareShare(Box<str>),
    /// Exports these volumes to the VM; none: takes back what is exported to it.
    ExportShare(Vec<Arc<Mount>>),
    /// Mounts a volume.
    Mount(MountStep),
    /// Puts the scripts in place.
    StageScripts(Box<StageStep>),
    /// Runs a feature's script.
    Feature(Box<FeatureStep>),
    /// Cleans the guest of what becomes a template.
    CleanGuest,
    /// Makes a template of the VM.
    ConvertToTemplate,
    /// Erases a volume that no slot of the VM has any more.
    DeleteUnused(Box<UnusedStep>),
    /// Writes what the record says when all actions are done; its uuid is filled in when the VM exists.
    Record(Arc<Record>),
    /// Removes the snapshot of this name.
    RemoveSnapshot(Arc<str>),
    /// Takes the record out of the VM's notes, and this tag off the VM.
    Forget(Option<Box<str>>),
    /// Removes the VM.
    Destroy,
}

impl Step {
    /// The kind of the action that does it.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::RemoveLeftover(_) => ActionKind::RemoveLeftover,
            Self::FetchImage(_) => ActionKind::FetchImage,
            Self::Clone(_) => ActionKind::Clone,
            Self::CreateFromImage(_) => ActionKind::CreateFromImage,
            Self::Adopt(_) => ActionKind::Adopt,
            Self::Snapshot(_) => ActionKind::Snapshot,
            Self::Rollback(_) => ActionKind::Rollback,
            Self::Stop => ActionKind::Stop,
            Self::WriteSnippet(_) => ActionKind::WriteSnippet,
            Self::UnmountDisk(_) => ActionKind::UnmountDisk,
            Self::Configure(_) => ActionKind::Configure,
            Self::ImportDisk(_) => ActionKind::ImportDisk,
            Self::Migrate(_) => ActionKind::Migrate,
            Self::MoveDisk(_) => ActionKind::MoveDisk,
            Self::ResizeDisk(_) => ActionKind::ResizeDisk,
            Self::SetPool { .. } => ActionKind::SetPool,
            Self::SetHa(_) => ActionKind::SetHa,
            Self::LeaveHa => ActionKind::LeaveHa,
            Self::UpdateCloudInit => ActionKind::UpdateCloudInit,
            Self::Restart => ActionKind::Restart,
            Self::Start => ActionKind::Start,
            Self::RemoveSnippet(_) => ActionKind::RemoveSnippet,
            Self::AwaitAgent => ActionKind::AwaitAgent,
            Self::AwaitNetwork => ActionKind::AwaitNetwork,
            Self::AwaitCloudInit(_) => ActionKind::AwaitCloudInit,
            Self::GrowFilesystem => ActionKind::GrowFilesystem,
            Self::FormatDisk(_) => ActionKind::FormatDisk,
            Self::MountDisk(_) => ActionKind::MountDisk,
            Self::Unmount(_) => ActionKind::Unmount,
            Self::PrepareShare(_) => ActionKind::PrepareShare,
            Self::ExportShare(_) => ActionKind::ExportShare,
            Self::Mount(_) => ActionKind::Mount,
            Self::StageScripts(_) => ActionKind::StageScripts,
            Self::Feature(_) => ActionKind::Feature,
            Self::CleanGuest => ActionKind::CleanGuest,
            Self::ConvertToTemplate => ActionKind::ConvertToTemplate,
            Self::DeleteUnused(_) => ActionKind::DeleteUnused,
            Self::Record(_) => ActionKind::Record,
            Self::RemoveSnapshot(_) => ActionKind::RemoveSnapshot,
            Self::Forget(_) => ActionKind::Forget,
            Self::Destroy => ActionKind::Destroy,
        }
    }
}

/// How to clone a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloneStep {
    /// The template.
    pub source: VmId,
    /// Storage of a full clone; `None`: a linked one, on its template's storage.
    pub storage: Option<String>,
    /// Node that it is made for straight away; `None`: it is made on its template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The VM as the file has it. Not serialised: the plan of the VM has it.
    #[serde(skip)]
    pub desired: Arc<DesiredVm>,
    /// What its record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// How to move a VM to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrateStep {
    /// The node that it moves to.
    pub node: String,
    /// While it runs.
    pub online: bool,
}

/// How to make a VM from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageStep {
    /// The image.
    pub image: CloudImage,
    /// The VM as the file has it. Not serialised: the plan of the VM has it.
    #[serde(skip)]
    pub desired: Arc<DesiredVm>,
    /// What its record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// A snippet to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnippetStep {
    /// Absolute path of its file on the node.
    pub path: String,
    /// All that it holds. Not serialised: the plan of the VM has it, and the digest says which it is.
    #[serde(skip)]
    pub text: DataText,
    /// Digest of its content; where secrets stand in it, of the text with their names and of their salted digests.
    pub digest: String,
}

/// One write of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigureStep {
    /// The values that are written; `None`: the VM is new or half made, and everything that the file says is written,
    /// and what the VM inherited from its template is put right.
    pub values: Option<Rows>,
    /// The VM as the file has it. Not serialised: the plan of the VM has it.
    #[serde(skip)]
    pub desired: Arc<DesiredVm>,
    /// What the record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// A move of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveStep {
    /// The slot of a further disk; `None`: the boot disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<&'static str>,
    /// Storage that it moves to.
    pub storage: String,
    /// The source is erased.
    pub delete_source: bool,
    /// What the record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// Growth of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResizeStep {
    /// The slot of a further disk; `None`: the boot disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<&'static str>,
    /// Its size in the end, in GiB.
    pub size_gb: u32,
    /// The guest's root file system is to follow.
    pub grows_filesystem: bool,
    /// What the record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// A file system to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FormatStep {
    /// The slot of the disk.
    pub slot: &'static str,
    /// The file system.
    pub filesystem: Filesystem,
}

/// A file system of a disk to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountDiskStep {
    /// The slot of the disk.
    pub slot: &'static str,
    /// Where it is mounted.
    pub mount_point: String,
    /// The record says that it is mounted, and it is looked at in the guest all the same.
    pub verify: bool,
}

/// A volume, or a file system of a disk, that is no longer declared there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmountStep {
    /// Where it is mounted.
    pub mount_point: String,
    /// Where it came from: `server:export`, or `UUID=…`.
    pub source: String,
}

/// A volume to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountStep {
    /// The volume, resolved.
    pub mount: Arc<Mount>,
    /// The record says that it is mounted, and it is looked at in the guest all the same.
    pub verify: bool,
}

/// What is put beside the scripts of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageStep {
    /// Where they lie in the guest.
    pub channel: Arc<Channel>,
    /// The files.
    pub files: Vec<StagedFile>,
}

/// A file to put beside the scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagedFile {
    /// Plain file name.
    pub name: String,
    /// Content. Not serialised: its digest is.
    #[serde(skip)]
    pub content: Arc<str>,
    /// Digest of its content.
    pub digest: Arc<str>,
}

/// A feature's script that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeatureStep {
    /// Name of the feature.
    pub name: Arc<str>,
    /// File name in the scripts directory.
    pub file: String,
    /// Digest of its content.
    pub digest: Arc<str>,
    /// It runs again although it ran.
    pub again: bool,
    /// Where it lies in the guest.
    pub channel: Arc<Channel>,
    /// What the record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}

/// Rows of the table of options.
#[derive(Clone)]
pub struct Rows(pub Vec<&'static Row>);

impl Rows {
    /// Their names, as a record has them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|row| row.applied_as())
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| std::ptr::eq(*a, *b))
    }
}

impl Eq for Rows {}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// A volume that is erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedStep {
    /// The option that names it, e.g. `unused0`.
    pub device: String,
    /// Volume id.
    pub volume: String,
    /// Size in bytes, where its storage says it.
    pub size: Option<u64>,
}

impl UnusedStep {
    /// The volume as people read it.
    #[must_use]
    pub fn words(&self) -> String {
        let size = self.size.map(|size| format!(" ({})", print_size(size))).unwrap_or_default();
        format!("{} {}{size}", self.device, self.volume)
    }
}

/// What is lost and what stays with a VM that is destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// What is erased: volumes and snapshots.
    pub erases: Vec<String>,
    /// What is known of it and stays.
    pub keeps: Vec<String>,
    /// Of a VM that is made anew, the uuid that it has now: which VM it was is agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// What an interrupted run left at the VMID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftover {
    /// Only the placeholder that a clone makes first. It names no volume, and none may be erased with it.
    Placeholder,
    /// A half-made VM that carries our own record.
    HalfMade,
}
