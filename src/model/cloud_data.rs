//! What a file gives cloud-init whole: user data and vendor data.

use serde::Serialize;

use super::{DataText, Key, VmId, content_digest, noted};

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
    pub text: DataText,
    /// File name of the snippet that holds it on the node.
    pub file: String,
    /// Storage of the snippet; `None` until the plan chose one. Not serialised: the node decides it.
    #[serde(skip)]
    pub storage: Option<String>,
}

impl CloudData {
    /// A text for a VM of a project.
    #[must_use]
    pub fn new(project: &str, vm: VmId, part: DataPart, text: DataText) -> Self {
        let digest = content_digest(text.shown().as_bytes());
        let secrets = text.has_secrets().then(|| match text.sealed() {
            Some(sealed) => format!(".{}", noted(&content_digest(sealed.as_bytes()))),
            None => format!(".{UNKNOWN}"),
        });
        let (digest, secrets) = (noted(&digest), secrets.unwrap_or_default());
        let file = format!("{START}{project}-{vm}-{}-{digest}{secrets}{END}", part.as_str());
        Self { text, file, storage: None }
    }

    /// Whether a snippet of this name holds the text, as far as its name and the values that are there tell.
    #[must_use]
    pub fn is_in(&self, file: &str) -> bool {
        let open = self.file.strip_suffix(END).and_then(|name| name.strip_suffix(UNKNOWN));
        open.map_or(self.file == file, |name| file.starts_with(name))
    }

    /// Whether a snippet of this name holds the same text with another value of a secret.
    #[must_use]
    pub fn is_in_but_for_secrets(&self, file: &str) -> bool {
        let text = |name: &str| name.strip_suffix(END)?.rsplit_once('.').map(|(text, _)| text.to_owned());
        self.file != file && text(file).is_some() && text(file) == text(&self.file)
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

/// What stands for the digest of secrets of which a value is not there. No such snippet is ever written.
const UNKNOWN: &str = "unknown";

/// A snippet of phoenix, as its volume tells it: `STORAGE:snippets/phoenix-PROJECT-VMID-PART-DIGEST.yaml`. One with
/// secrets ends in `DIGEST.SECRETS.yaml`: of the text with their names, and salted of their values.
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
    /// The values of secrets are in it.
    pub has_secrets: bool,
}

impl<'a> Snippet<'a> {
    /// Reads a volume. `None`: it is no snippet of phoenix.
    #[must_use]
    pub fn parse(volume: &'a str) -> Option<Self> {
        let (storage, file) = volume.split_once(":snippets/")?;
        let mut words = file.strip_prefix(START)?.strip_suffix(END)?.rsplitn(4, '-');
        let (digest, part, vm, project) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let part = DataPart::ALL.into_iter().find(|known| known.as_str() == part)?;
        let is_hex =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (digest, secrets) = digest.split_once('.').map_or((digest, None), |(text, of)| (text, Some(of)));
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let is_project = !project.is_empty() && project.bytes().all(plain);
        let is_named = is_hex(digest) && secrets.is_none_or(is_hex) && is_project;
        let has_secrets = secrets.is_some();
        is_named.then_some(Self { storage, file, project, vm: vm.parse().ok()?, part, has_secrets })
    }

    /// Whether it belongs to a VM of a project.
    #[must_use]
    pub fn is_of(&self, project: &str, vm: VmId) -> bool {
        self.project == project && self.vm == vm
    }

    /// What the volumes of all snippets of a VM on a storage begin with.
    #[must_use]
    pub fn start(storage: &str, project: &str, vm: VmId) -> String {
        Self::volume(storage, &format!("{START}{project}-{vm}-"))
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
            let data = CloudData::new(project, vm, part, "#cloud-config\n".into());
            assert_eq!(data.volume(), None);
            let data = CloudData { storage: Some("local".to_owned()), ..data };
            let volume = data.volume().unwrap();
            let snippet = Snippet::parse(&volume).unwrap();
            assert!(snippet.is_of(project, vm) && snippet.part == part, "{volume}");
            assert_eq!((snippet.storage, snippet.file), ("local", &*data.file));
            assert!(volume.starts_with(&Snippet::start("local", project, vm)));
            assert_ne!(CloudData::new(project, vm, part, "#cloud-config\n\n".into()).file, data.file);
        }
        let sealed = "local:snippets/phoenix-lab-1000-user-00.11.yaml";
        assert!(Snippet::parse(sealed).is_some_and(|snippet| snippet.has_secrets && snippet.is_of("lab", vm)));
        for other in [
            "local:snippets/user.yaml",
            "local:iso/phoenix-lab-1000-user-00.yaml",
            "local:snippets/phoenix-lab-1000-user-.yaml",
            "local:snippets/phoenix-lab-1000-user-../x.yaml",
            "local:snippets/phoenix-a/b-1000-user-00.yaml",
            "local:snippets/phoenix-1000-user-00.yaml",
            "local:snippets/phoenix-lab-1-user-00.yaml",
            "local:snippets/phoenix-lab-1000-user-00.unknown.yaml",
            "local:snippets/phoenix-lab-1000-user-00..yaml",
            "local:snippets/phoenix-lab-1000-user-00.0.0.yaml",
            "local:snippets/phoenix-lab-1000-meta-00.yaml",
        ] {
            assert_eq!(Snippet::parse(other), None, "{other}");
        }
    }
}
