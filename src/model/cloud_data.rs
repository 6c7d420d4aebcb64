//! What a file gives cloud-init whole: user data and vendor data.

use std::sync::Arc;

use serde::Serialize;

use super::{Key, VmId, content_digest, noted};

/// A part of what cloud-init reads that a file gives whole, and that Proxmox takes from a snippet (`cicustom`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataPart {
    /// `user_data`: takes the place of what Proxmox makes of the VM's options.
    User,
    /// `vendor_data`: cloud-init merges it beneath the user data.
    Vendor,
}

impl DataPart {
    /// Both.
    pub const ALL: [Self; 2] = [Self::User, Self::Vendor];

    /// The part as `cicustom` names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Vendor => "vendor",
        }
    }

    /// The key of the file.
    #[must_use]
    pub fn key(self) -> Key {
        match self {
            Self::User => Key::UserData,
            Self::Vendor => Key::VendorData,
        }
    }
}

/// User data or vendor data of a VM, the VM's own values filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudData {
    /// All of it.
    pub text: Arc<str>,
    /// File name of the snippet that holds it on the node.
    pub file: String,
    /// Storage of the snippet; `None` until the plan chose one. Not serialised: the node decides it.
    #[serde(skip)]
    pub storage: Option<String>,
}

impl CloudData {
    /// A text for a VM of a project.
    #[must_use]
    pub fn new(project: &str, vm: VmId, part: DataPart, text: &str) -> Self {
        let digest = content_digest(text.as_bytes());
        let file = format!("{START}{project}-{vm}-{}-{}{END}", part.as_str(), noted(&digest));
        Self { text: text.into(), file, storage: None }
    }

    /// A text as a file has it so that it comes out the same: nothing is filled in.
    #[must_use]
    pub fn escaped(text: &str) -> String {
        text.replace("${", "$${")
    }

    /// Volume of the snippet, where the plan chose its storage.
    #[must_use]
    pub fn volume(&self) -> Option<String> {
        Some(Snippet::volume(self.storage.as_ref()?, &self.file))
    }
}

/// What begins the name of every snippet of phoenix.
const START: &str = "phoenix-";

/// What ends it.
const END: &str = ".yaml";

/// A snippet of phoenix, as its volume tells it: `STORAGE:snippets/phoenix-PROJECT-VMID-PART-DIGEST.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snippet<'a> {
    /// The storage.
    pub storage: &'a str,
    /// Its file name.
    pub file: &'a str,
    /// The project of its VM.
    pub project: &'a str,
    /// Its VM.
    pub vm: VmId,
    /// What it holds.
    pub part: DataPart,
}

impl<'a> Snippet<'a> {
    /// Reads a volume. `None`: it is no snippet of phoenix.
    #[must_use]
    pub fn parse(volume: &'a str) -> Option<Self> {
        let (storage, file) = volume.split_once(":snippets/")?;
        let mut words = file.strip_prefix(START)?.strip_suffix(END)?.rsplitn(4, '-');
        let (digest, part, vm, project) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let part = DataPart::ALL.into_iter().find(|known| known.as_str() == part)?;
        let is_hex = !digest.is_empty() && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let is_project = !project.is_empty() && project.bytes().all(plain);
        (is_hex && is_project).then_some(Self { storage, file, project, vm: vm.parse().ok()?, part })
    }

    /// Whether it belongs to a VM of a project.
    #[must_use]
    pub fn is_of(&self, project: &str, vm: VmId) -> bool {
        self.project == project && self.vm == vm
    }

    /// The volume of a file on a storage.
    #[must_use]
    pub fn volume(storage: &str, file: &str) -> String {
        format!("{storage}:snippets/{file}")
    }
}

#[cfg(test)]
mod tests {
    use super::{CloudData, DataPart, Snippet};
    use crate::model::VmId;

    #[test]
    fn a_snippet_is_known_by_its_name() {
        let vm = VmId::try_from(1000).unwrap();
        for (project, part) in [("lab", DataPart::User), ("my-lab_2", DataPart::Vendor)] {
            let data = CloudData::new(project, vm, part, "#cloud-config\n");
            assert_eq!(data.volume(), None);
            let data = CloudData { storage: Some("local".to_owned()), ..data };
            let volume = data.volume().unwrap();
            let snippet = Snippet::parse(&volume).unwrap();
            assert!(snippet.is_of(project, vm) && snippet.part == part, "{volume}");
            assert_eq!((snippet.storage, snippet.file), ("local", &*data.file));
            assert_ne!(CloudData::new(project, vm, part, "#cloud-config\n\n").file, data.file);
        }
        for other in [
            "local:snippets/user.yaml",
            "local:iso/phoenix-lab-1000-user-00.yaml",
            "local:snippets/phoenix-lab-1000-user-.yaml",
            "local:snippets/phoenix-lab-1000-user-../x.yaml",
            "local:snippets/phoenix-a/b-1000-user-00.yaml",
            "local:snippets/phoenix-1000-user-00.yaml",
            "local:snippets/phoenix-lab-1-user-00.yaml",
            "local:snippets/phoenix-lab-1000-meta-00.yaml",
        ] {
            assert_eq!(Snippet::parse(other), None, "{other}");
        }
    }
}
