//! The vocabulary: identities, what the config wants, what the notes of a VM record.
//!
//! Plain values without behaviour that touches the world. Everything else is written in these words.

mod applied;
mod cloud_data;
mod cloud_image;
mod cloud_init;
mod data_text;
mod desired;
mod digest;
mod disk;
mod excerpt;
mod fault;
mod ha;
mod host_path;
mod ids;
mod key;
mod named;
mod nodes;
pub mod proxmox;
mod record;
mod secret;
mod ssh_key;
mod target;
mod volume;
mod words;

pub use applied::Applied;
pub use cloud_data::{CloudData, DataPart, Snippet};
pub use cloud_image::{CloudImage, IMAGE_CACHE, ImagePlace};
pub use cloud_init::{Address, NetworkConfig, UserConfig};
pub use data_text::DataText;
pub use desired::{
    CloudInitErrors, Desired, DesiredVm, Feature, Filesystem, NetworkModel, NfsShare, OsType, PersistentStorage, Ready,
    Script, Scripts, Settings,
};
pub use digest::{
    Digest, content_digest, is_content_digest, is_kept, is_kept_as_digest, is_noted, json_digest, kept, noted,
};
pub use disk::{Disk, DiskMount};
pub use excerpt::{excerpt, line, message};
pub use fault::{Effect, Fault, FaultKind};
pub(crate) use ha::text_of as ha_text;
pub use ha::{HaState, HaWish};
pub use host_path::{
    InvalidHostPath, PERSISTENT_DATA, allowed_path, is_at_or_below, is_below, is_system_path, normal_path,
};
pub use ids::{InvalidVmId, VmId};
pub use key::{Key, Origin, Origins};
pub use nodes::Nodes;
pub use proxmox::ProxmoxValue;
pub use record::{BY_UUID, Formatted, RECORD_MARK, Record, RecordState, record_mark};
pub use secret::{SECRET_PREFIX, Secret, SecretName, Stretched};
pub use ssh_key::{InvalidKey, PRIVATE_KEY, SshKey};
pub use target::{InvalidTarget, Target};
pub use volume::Volume;
pub use words::{ActionKind, Disruption, Outcome, RestartDue, Timeouts};

/// Bytes in one GiB.
pub const GIB: u64 = 1 << 30;
/// Bytes in one MiB.
pub const MIB: u64 = 1 << 20;
