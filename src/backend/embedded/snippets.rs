//! Snippets on the simulated host, and what a configuration gives cloud-init of them.

use std::collections::BTreeMap;

use super::Embedded;
use super::files;
use super::pinned::{self, parts};
use super::rehearse::Attempt;
use crate::hypervisor::{Fault, FaultKind, written};
use crate::model::{DataText, Snippet};
use crate::observed::{Conf, PropertyString, SnippetSeen};

/// Documents of cloud-init that a configuration gives whole (`cicustom`).
#[derive(Debug, Default)]
pub(super) struct Custom {
    pub(super) user: Option<String>,
    pub(super) vendor: Option<String>,
    pub(super) network: Option<String>,
    pub(super) meta: Option<String>,
}

impl Embedded {
    /// phoenix's snippets: volume to what it holds.
    pub(super) fn snippets_on_host(&self) -> Result<BTreeMap<String, SnippetSeen>, Fault> {
        let mut found = BTreeMap::new();
        for (id, storage) in self.storages(false)? {
            // Through a link nothing is written, and nothing is read.
            let Some(Ok(real)) = storage.snippets.as_deref().map(|dir| self.host_path(dir)) else { continue };
            let dir = storage.snippets.as_deref().unwrap_or_default();
            let names = files::names(&real)?;
            for name in &names {
                if let Some(part) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new")) {
                    let volume = Snippet::volume(&id, part);
                    let snippet = Snippet::parse(&volume).filter(|_| !names.iter().any(|name| name == part));
                    if let Some(has_secrets) = snippet.map(|snippet| snippet.has_secrets) {
                        found.insert(volume, SnippetSeen::in_part(has_secrets));
                    }
                    continue;
                }
                let volume = Snippet::volume(&id, name);
                if let Some(has_secrets) = Snippet::parse(&volume).map(|snippet| snippet.has_secrets)
                    && let Some(at) = self.host_dir(dir)?
                    && let Some(text) = pinned::read(&at, name).map_err(pinned::failed(dir))?
                {
                    found.insert(volume, SnippetSeen::of(text, has_secrets));
                }
            }
        }
        Ok(found)
    }

    /// Replaces a snippet.
    pub(super) fn write_snippet(&self, path: &str, text: &DataText, attempt: Attempt) -> Result<(), Fault> {
        let text = written(text)?;
        let (dir, name) = file(path)?;
        let (above, own) = file(dir)?;
        let refused = |dir: &str| Fault::harmless(FaultKind::Missing, format!("there is no directory {dir}"));
        let at = self.host_dir(above)?;
        if let Some(at) = &at {
            pinned::make(at, own, 0o755).map_err(pinned::failed(dir))?;
        } else if self.is_storage(above)? {
            // A fresh node has the directories of its storages only when they are used.
            self.make_directory(dir, attempt.unrehearsed())?;
        }
        attempt.halfway()?;
        let at = self.host_dir(dir)?.ok_or_else(|| refused(above))?;
        pinned::replace_with(&at, name, text.as_bytes(), 0o600).map_err(pinned::failed(path))
    }

    /// Removes a snippet, and what a write that was killed left of it; it is no error if there is none.
    pub(super) fn remove_snippet(&self, path: &str, attempt: Attempt) -> Result<(), Fault> {
        let (dir, name) = file(path)?;
        attempt.halfway()?;
        let Some(at) = self.host_dir(dir)? else { return Ok(()) };
        pinned::remove(&at, &format!(".{name}.new")).map_err(pinned::failed(path))?;
        pinned::remove(&at, name).map_err(pinned::failed(path))
    }

    /// Whether a directory is that of a storage.
    fn is_storage(&self, dir: &str) -> Result<bool, Fault> {
        Ok(self.storages(false)?.values().any(|storage| storage.path.as_deref() == Some(dir)))
    }

    /// What a configuration with a cloud-init drive gives its guest whole. A volume that is not there is refused, as
    /// Proxmox does when it makes the drive (recorded).
    pub(super) fn custom(&self, conf: &Conf<'_>) -> Result<Custom, Fault> {
        let Some(text) = conf.get("cicustom") else { return Ok(Custom::default()) };
        if !conf.entries().any(|(_, value)| value.contains("cloudinit")) {
            return Ok(Custom::default());
        }
        let custom = PropertyString::parse(text);
        let storages = self.storages(false)?;
        let read = |part: &str| -> Result<Option<String>, Fault> {
            let Some(volume) = custom.get(part) else { return Ok(None) };
            let missing = || Fault::harmless(FaultKind::Failed, format!("volume '{volume}' does not exist"));
            let (id, name) =
                volume.split_once(":snippets/").filter(|(_, name)| !name.contains('/')).ok_or_else(missing)?;
            let storage = storages.get(id).ok_or_else(missing)?;
            let of_path = || Some(format!("{}/snippets", storage.path.as_ref()?));
            let dir = storage.snippets.clone().or_else(of_path).ok_or_else(missing)?;
            let at = self.host_dir(&dir)?.ok_or_else(missing)?;
            pinned::read(&at, name).map_err(pinned::failed(&dir))?.ok_or_else(missing).map(Some)
        };
        Ok(Custom { user: read("user")?, vendor: read("vendor")?, network: read("network")?, meta: read("meta")? })
    }
}

/// The directory of a file, and its name.
fn file(path: &str) -> Result<(&str, &str), Fault> {
    parts(path)?;
    let parted = path.rsplit_once('/').filter(|(dir, name)| !dir.is_empty() && !name.is_empty());
    parted.ok_or_else(|| Fault::harmless(FaultKind::Refused, format!("{path}: no file in a directory")))
}
