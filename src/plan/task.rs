//! What the plan of one VM says beyond its actions: what each needs to be carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Mount;
use crate::model::{CloudImage, DesiredVm, Record, VmId};

/// What apply needs to carry out the actions of one VM.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// The VM as wished.
    pub desired: DesiredVm,
    /// How to make the VM, if it does not exist.
    pub clone: Option<CloneTask>,
    /// With what record the VM is taken over, if it is.
    pub adopt: Option<Record>,
    /// The VM is new or half made: options it inherited from the template are put right as well.
    pub fresh: bool,
    /// The VM has never been ready: whatever is done to it completes it.
    pub completing: bool,
    /// Volumes, resolved.
    pub mounts: Vec<Mount>,
    /// Everything that is staged for the scripts; empty without features.
    pub files: Vec<StagedFile>,
    /// The features to run, by name: file of the script and its digest.
    pub scripts: Vec<FeatureScript>,
    /// Mount points of volumes that the record says are mounted, and that are looked at in the guest all the same.
    pub verify: BTreeSet<String>,
    /// Mount points of volumes that are no longer declared: mount point → where they came from.
    pub unmount: BTreeMap<String, String>,
    /// The source of a disk that is moved is erased.
    pub delete_source: bool,
    /// What the record will say in the end. Its uuid is filled in when the VM exists.
    pub record: Record,
}

/// What goes with a VM that goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// It is only what an interrupted run left.
    pub leftover: Option<Leftover>,
    /// What is erased: volumes and snapshots.
    pub erases: Vec<String>,
    /// What is known of it and stays.
    pub keeps: Vec<String>,
}

/// How to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloneTask {
    /// What it is made from.
    pub source: Source,
    /// Storage of the disk: of a full clone, or of the image's copy; `None`: a linked one, on its template's storage.
    pub storage: Option<String>,
    /// What must be removed first.
    pub leftover: Option<Leftover>,
}

/// What a VM is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// A template, which is cloned.
    Template(VmId),
    /// An image, which is imported.
    Image(CloudImage),
}

/// What an interrupted run left at the VMID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Leftover {
    /// Only the placeholder that a clone makes first. It names no volume, and none may be erased with it.
    Placeholder,
    /// A half-made VM that carries our own record.
    HalfMade,
}

/// A file to put beside the scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagedFile {
    /// Plain file name.
    pub name: String,
    /// Content. Not serialised: its digest is.
    #[serde(skip)]
    pub content: std::sync::Arc<str>,
    /// Digest of its content.
    pub digest: std::sync::Arc<str>,
}

/// A feature's script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeatureScript {
    /// Name of the feature.
    pub name: std::sync::Arc<str>,
    /// File name in the scripts directory.
    pub file: String,
    /// Digest of its content.
    pub digest: std::sync::Arc<str>,
    /// It runs again although it ran.
    pub again: bool,
}
