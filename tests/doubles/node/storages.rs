//! `storage.cfg`, and the volumes on the storages.

use std::collections::BTreeMap;

use phoenix::hypervisor::{Fault, Hypervisor as _};
use phoenix::model::VmId;

use crate::Node;

/// A section of `storage.cfg`.
pub(crate) struct Section {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) options: BTreeMap<String, String>,
}

/// A volume.
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) size: u64,
    pub(crate) vm: VmId,
}

impl Section {
    pub(crate) fn option(&self, key: &str) -> &str {
        self.options.get(key).map_or("", String::as_str)
    }

    pub(crate) fn has(&self, content: &str) -> bool {
        self.option("content").split(',').any(|one| one == content)
    }

    pub(crate) fn enabled(&self) -> bool {
        ["", "0"].contains(&self.option("disable"))
    }
}

impl Node {
    /// The sections of `storage.cfg`, in its order.
    pub(crate) fn sections(&self) -> Vec<Section> {
        let text = std::fs::read_to_string(self.dir.join("storage.cfg")).unwrap_or_default();
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if line.starts_with([' ', '\t']) {
                let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), "1"));
                if let Some(section) = sections.last_mut() {
                    section.options.insert(key.to_owned(), value.trim().to_owned());
                }
            } else if let Some((kind, id)) = line.split_once(": ") {
                sections.push(Section { kind: kind.to_owned(), id: id.trim().to_owned(), options: BTreeMap::new() });
            }
        }
        sections
    }

    pub(crate) fn section(&self, id: &str) -> Option<Section> {
        self.sections().into_iter().find(|section| section.id == id)
    }

    /// The volumes of a storage by their ids; of one VMID, if it is said.
    pub(crate) fn volumes(&self, storage: &str, of: Option<VmId>) -> Result<Vec<Volume>, Fault> {
        let dir = self.dir.join("images").join(storage);
        let mut volumes = Vec::new();
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Some(vm) = entry.file_name().to_str().and_then(|name| name.parse::<VmId>().ok()) else { continue };
            if of.is_some_and(|of| of != vm) {
                continue;
            }
            let ours = format!("{storage}:");
            for id in self.core.volumes(vm)?.into_iter().filter(|id| id.starts_with(&ours)) {
                let name = id.rsplit(['/', ':']).next().unwrap_or_default();
                // What a guest has on it stands below its size.
                let text = std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
                let size = text.lines().next().and_then(|size| size.trim().parse().ok());
                volumes.push(Volume { size: size.unwrap_or(0), vm, id });
            }
        }
        volumes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(volumes)
    }
}
