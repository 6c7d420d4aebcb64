//! Storages: what the API says of each, and `storage.cfg`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::observed::{NfsSource, Storage};

/// Kinds of storages that Proxmox mounts itself, below `/mnt/pve` unless it is told otherwise.
const MOUNTED: [&str; 4] = ["nfs", "cifs", "cephfs", "glusterfs"];

/// Kinds of storages that are shared whatever their section says.
const SHARED: [&str; 9] = ["cephfs", "cifs", "esxi", "glusterfs", "iscsi", "iscsidirect", "nfs", "pbs", "rbd"];

/// A storage as the API lists it for a node.
#[derive(Debug, Deserialize)]
pub(in crate::backend) struct Entry {
    pub(super) storage: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) content: String,
    #[serde(default)]
    pub(super) active: u8,
    #[serde(default)]
    pub(super) enabled: u8,
    #[serde(default)]
    pub(super) total: u64,
    #[serde(default)]
    pub(super) avail: u64,
    #[serde(default)]
    pub(super) shared: u8,
}

/// What is configured of a storage.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::backend) struct Section {
    /// `dir`, `zfspool`, …
    pub(in crate::backend) kind: String,
    /// Its options; of one that stands without a value, `1`.
    pub(in crate::backend) options: BTreeMap<String, String>,
}

impl Section {
    /// The value of an option.
    pub(in crate::backend) fn get(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    /// Where it comes from, if it is of a server.
    pub(in crate::backend) fn source(&self) -> Option<NfsSource> {
        let (server, export) = self.get("server").zip(self.get("export"))?;
        Some(NfsSource { server: server.to_owned(), export: export.to_owned() })
    }

    /// Whether every node sees the same there: by its kind, or because its section says so.
    pub(in crate::backend) fn is_shared(&self) -> bool {
        SHARED.contains(&self.kind.as_str()) || self.get("shared").is_some_and(|value| value != "0")
    }

    /// Whether a node has it: all have, unless `nodes` lists some.
    pub(in crate::backend) fn is_on(&self, node: &str) -> bool {
        self.get("nodes").is_none_or(|nodes| nodes.split(',').any(|own| own.trim() == node))
    }

    /// The directory of its snippets, if its content has some.
    pub(in crate::backend) fn snippets(&self, content: &str) -> Option<String> {
        Storage::snippets_dir(&self.kind, content, self.get("path"), self.get("content-dirs"))
    }

    /// The directories of what it holds that its `content-dirs` names.
    pub(in crate::backend) fn content_dirs(&self) -> Vec<String> {
        self.get("content-dirs").map(Storage::parse_content_dirs).unwrap_or_default()
    }
}

/// The sections of `storage.cfg` by the storage's name: a line `KIND: NAME`, then indented lines `KEY VALUE`.
pub(in crate::backend) fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            let line = line.trim();
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, "1"));
            if let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) {
                section.options.insert(key.to_owned(), value.trim().to_owned());
            }
        } else if let Some((kind, name)) = line.split_once(':') {
            let name = name.trim().to_owned();
            sections.insert(name.clone(), Section { kind: kind.trim().to_owned(), ..Section::default() });
            current = Some(name);
        }
    }
    sections
}

/// Whether storages hold this, from their `content`.
pub(in crate::backend) fn takes(what: &str, content: &str) -> bool {
    content.split(',').any(|content| content.trim() == what)
}

/// The storages of a node: what the API says of each, and what is configured of it.
pub(in crate::backend) fn storages(
    entries: Vec<Entry>,
    sections: &BTreeMap<String, Section>,
) -> BTreeMap<String, Storage> {
    let none = Section::default();
    let storage = |entry: Entry| {
        let section = sections.get(&entry.storage).unwrap_or(&none);
        let mounted = || MOUNTED.contains(&entry.kind.as_str()).then(|| format!("/mnt/pve/{}", entry.storage));
        let storage = Storage {
            images: takes("images", &entry.content),
            isos: takes("iso", &entry.content),
            active: entry.active == 1 && entry.enabled == 1,
            total: entry.total,
            free: entry.avail,
            shared: entry.shared == 1,
            // Disks on plain LVM take their whole size at once; everywhere else they grow.
            thick: entry.kind == "lvm",
            path: section.get("path").map(ToOwned::to_owned).or_else(mounted),
            nfs: section.source().filter(|_| entry.kind == "nfs"),
            content_dirs: section.content_dirs(),
            snippets: section.snippets(&entry.content),
            kind: entry.kind,
        };
        (entry.storage, storage)
    };
    entries.into_iter().map(storage).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, sections, storages};

    const CFG: &str = "# a: comment\ndir: local\n\tpath /var/lib/vz\n\nnfs: data\n\tserver 192.0.2.9\n\texport /srv/x y\n\
                       zfspool: fast\n\tsparse\n";

    #[test]
    fn the_configuration_of_storages_is_understood() {
        let cfg = sections(CFG);
        assert_eq!(cfg.keys().collect::<Vec<_>>(), ["data", "fast", "local"]);
        assert_eq!(cfg["data"].get("server"), Some("192.0.2.9"));
        assert_eq!(cfg["data"].get("export"), Some("/srv/x y"));
        assert_eq!(cfg["local"].get("path"), Some("/var/lib/vz"));
        assert_eq!((cfg["fast"].kind.as_str(), cfg["fast"].get("sparse")), ("zfspool", Some("1")));
    }

    #[test]
    fn a_storage_is_what_both_say() {
        let entries: Vec<Entry> = serde_json::from_str(
            r#"[{"storage":"data","type":"nfs","content":"iso,images","active":1,"enabled":1,"total":9,"avail":5},
                {"storage":"old","type":"lvm","content":"rootdir","active":0,"enabled":1}]"#,
        )
        .unwrap();
        let found = storages(entries, &sections(CFG));
        let data = &found["data"];
        assert!(data.images && data.active && !data.thick);
        assert_eq!((data.total, data.free, data.path.as_deref()), (9, 5, Some("/mnt/pve/data")));
        assert_eq!(data.nfs.as_ref().unwrap().export, "/srv/x y");
        let old = &found["old"];
        assert!(!old.images && !old.active && old.thick && old.nfs.is_none() && old.path.is_none());
    }
}
