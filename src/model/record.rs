//! What phoenix remembers about a VM, kept in the VM's own notes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Applied, Filesystem, VmId, content_digest};

/// What begins the record in the notes of a VM.
pub const RECORD_MARK: &str = "<!-- phoenix";

/// Where the first record of a text begins: the mark as a word of its own. A comment such as `<!-- phoenix-like -->` is
/// a person's.
#[must_use]
pub fn record_mark(text: &str) -> Option<usize> {
    let is_word =
        |rest: &str| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n', '{']) || rest.starts_with("-->");
    text.match_indices(RECORD_MARK).map(|(at, _)| at).find(|at| is_word(&text[at + RECORD_MARK.len()..]))
}

/// The record of a VM: who owns it and how far it got.
///
/// It is one line in the VM's notes (see `observed::notes` for the text form). It counts only for the VM whose
/// `smbios1` uuid it names: Proxmox gives every clone a new uuid, so a copied record is void.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Format of the record; this phoenix writes and reads 1.
    pub v: u32,
    /// The project the VM belongs to (`hypervisor.project`).
    pub project: String,
    /// The VMID the record was written for.
    pub vm: VmId,
    /// How far phoenix got.
    #[serde(default, skip_serializing_if = "RecordState::is_ready")]
    pub state: RecordState,
    /// The VM's `smbios1` uuid; absent only while the clone is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Name of the template the VM was cloned from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// [`CloudImage::name`](super::CloudImage::name) of the image that the VM was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Features that ran to success: name → [`noted`](super::noted) digest of the script.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, String>,
    /// Volumes that are mounted: mount point → `server:export`; and file systems of disks that are no longer attached,
    /// which the guest still has in its `/etc/fstab`: mount point → `UUID=…`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, String>,
    /// Files staged for the features other than their own scripts: file name → [`noted`](super::noted) digest of its
    /// content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub staged: BTreeMap<String, String>,
    /// The scripts lie on the VM's own disk, not on a volume.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_disk: bool,
    /// What phoenix last made of the VM: key of the config → value as text, a long one as `sha256:` and its
    /// [`noted`](super::noted) digest. A key that is not there is not known.
    #[serde(default, skip_serializing_if = "Applied::is_empty")]
    pub applied: Applied,
    /// Devices that phoenix added to the VM: `net1`. One that is no longer declared is removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub made: BTreeSet<String>,
    /// Those of them whose volume was there before, or is a copy of an image, so that it is never formatted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attached: BTreeSet<String>,
    /// The [`CloudImage::name`](super::CloudImage::name) of the image that a further disk is a copy of, by its slot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, String>,
    /// File systems that phoenix made on disks that it made, by their slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filesystems: BTreeMap<String, Formatted>,
    /// The VM is made to become a template; it is one when it is ready. What is mounted and staged while it is made is
    /// not noted: none of it stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_template: bool,
    /// The boot disk was grown, and the guest's root file system has not followed yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub grow: bool,
    /// What cloud-init is told changed while the VM ran, and the guest has not been seen to boot since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unread: bool,
    /// Slots of disks whose options changed while the VM ran, in parts that QEMU takes over at its next start and that
    /// no pending value tells of; and of cards that the guest lost when they could not be plugged again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub late: BTreeSet<String>,
    /// The network card changed, and the guest has not been seen with it since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub card: bool,
    /// phoenix put the VM under the HA manager; it takes out again what it put there, and nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ha: bool,
}

/// A file system that phoenix made on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formatted {
    /// What it is.
    pub filesystem: Filesystem,
    /// Its uuid, which was chosen before it was made.
    pub uuid: String,
    /// It was begun, and has not been seen to be whole: it may be half made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begun: bool,
    /// Where the guest mounts it; empty: nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// The disk was grown, and the file system has not followed yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub grow: bool,
}

impl Formatted {
    /// The uuid of the file system that phoenix makes on a volume, while it is in this slot of the VM with this uuid:
    /// always the same, so that a run that comes after a death knows what it finds.
    #[must_use]
    pub fn uuid_of(vm: &str, slot: &str, volume: &str) -> String {
        let digest = content_digest(format!("{vm} {slot} {volume}").as_bytes());
        // A uuid of version 8: its bits are what its maker says.
        let parts = [
            &digest[..8],
            &digest[8..12],
            &format!("8{}", &digest[12..15]),
            &format!("a{}", &digest[15..18]),
            &digest[18..30],
        ];
        parts.join("-")
    }

    /// How the guest knows it, in `/etc/fstab` and in [`Record::volumes`].
    #[must_use]
    pub fn source(&self) -> String {
        format!("{BY_UUID}{}", self.uuid)
    }
}

/// What the source of a mount begins with that is a file system of a disk.
pub const BY_UUID: &str = "UUID=";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How far phoenix got with a VM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordState {
    /// The clone was asked for; the VM may be half made.
    Creating,
    /// The VM exists and is ours; its guest has not yet been brought up once.
    Setup,
    /// The guest came up and cloud-init finished once.
    #[default]
    Ready,
}

impl RecordState {
    /// Whether the guest came up once. The default, and therefore not written.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl Record {
    /// The version this phoenix writes.
    pub const VERSION: u32 = 1;

    /// The record with which an existing VM is taken over: nothing was done in its guest, and nothing waits to be.
    #[must_use]
    pub fn adopted(project: &str, vm: VmId, uuid: &str) -> Self {
        Self { state: RecordState::Ready, uuid: Some(uuid.to_owned()), ..Self::creating(project, vm) }
    }

    /// The record a clone carries from its first moment.
    #[must_use]
    pub fn creating(project: &str, vm: VmId) -> Self {
        Self {
            v: Self::VERSION,
            project: project.to_owned(),
            vm,
            state: RecordState::Creating,
            uuid: None,
            template: String::new(),
            image: String::new(),
            features: BTreeMap::new(),
            volumes: BTreeMap::new(),
            staged: BTreeMap::new(),
            own_disk: false,
            applied: Applied::default(),
            made: BTreeSet::new(),
            attached: BTreeSet::new(),
            imported: BTreeMap::new(),
            filesystems: BTreeMap::new(),
            is_template: false,
            grow: false,
            unread: false,
            late: BTreeSet::new(),
            card: false,
            ha: false,
        }
    }
}
