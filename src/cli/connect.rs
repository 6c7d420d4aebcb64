//! Choosing the target and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::args::GuestKind;
use super::exit::Refusal;
use super::load::directory;
use super::own;
use crate::backend::embedded::Embedded;
use crate::backend::qm::{Layout, Qm};
use crate::backend::runner::{Local, Sockets, Ssh};
use crate::hypervisor::Hypervisor;
use crate::model::{Desired, InvalidTarget, Target};

/// Where the embedded node lies in `.phoenix` unless somebody says otherwise.
const DEFAULT_NODE: &str = "node";

/// The target: what the command line or the environment says, else the config, else what is found here.
pub(super) fn target(config: &Path, named: Option<&str>, desired: Option<&Desired>) -> Result<Target> {
    if let Some(text) = named {
        return parse(text, Path::new(""));
    }
    let base = directory(config);
    if let Some(text) = desired.and_then(|desired| desired.settings.target.as_deref()) {
        return parse(text, &base);
    }
    if is_proxmox() {
        // Unreadable or not: a Proxmox node never turns into an embedded one behind somebody's back.
        return Ok(Target::Qm);
    }
    Ok(Target::Embedded(own::place(config, DEFAULT_NODE)?))
}

fn parse(text: &str, base: &Path) -> Result<Target> {
    let target = Target::parse(text, base).map_err(|error| Refusal::usage(error.to_string(), InvalidTarget::KNOWN))?;
    if let Target::Embedded(dir) = &target {
        own::refuse_links(dir)?;
    }
    Ok(target)
}

/// Whether this machine is a Proxmox VE node, or should be one.
fn is_proxmox() -> bool {
    Path::new("/etc/pve").exists()
        || std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("qm").is_file()))
}

/// Opens the embedded node of the target. Its guests are of this kind from then on, if somebody says one.
pub(super) fn embedded(target: &Target, guests: Option<GuestKind>) -> Result<Embedded> {
    match target {
        Target::Embedded(dir) => Ok(Embedded::open_with(dir, guests.map(Into::into))?),
        Target::Qm | Target::QmSsh { .. } => {
            Err(Refusal::usage(format!("{target} is no embedded node"), "name one with `--target embedded:DIR`"))
        }
    }
}

/// Opens the target. `guests` is for an embedded node alone.
pub(super) fn open(target: &Target, guests: Option<GuestKind>) -> Result<Arc<dyn Hypervisor>> {
    if guests.is_some() && !matches!(target, Target::Embedded(_)) {
        let what = format!("{target} is no embedded node: its guests are what they are");
        return Err(Refusal::usage(what, "leave `--guests` out"));
    }
    // Paths on the node begin here; only tests say otherwise.
    let root = std::env::var_os("PHOENIX_NODE_ROOT").and_then(|root| root.into_string().ok()).unwrap_or_default();
    let layout =
        if root.is_empty() { Layout::default() } else { Layout { pve: root.clone(), root: format!("{root}/root") } };
    Ok(match target {
        Target::Embedded(_) => Arc::new(embedded(target, guests)?),
        Target::Qm => Arc::new(Qm::new(Box::new(Local), layout)),
        Target::QmSsh { user, host, port } => {
            let ssh = Ssh::new(user.as_deref(), host, *port, sockets()?);
            Arc::new(Qm::new(Box::new(ssh), layout))
        }
    })
}

/// Longest directory for sockets: the path of a socket has a hundred bytes, of which ssh wants sixty for its name.
const LONGEST: usize = 40;

/// Directory of ssh's shared connections, private to the user where there is such a place, else to this process.
fn sockets() -> Result<Sockets> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("phoenix-ssh"));
    let runtime = runtime.filter(|dir| dir.parent().is_some_and(Path::is_dir) && dir.as_os_str().len() <= LONGEST);
    if let Some(dir) = runtime {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        return Ok(Sockets::At(dir));
    }
    // Not `TMPDIR`, which may be long.
    let dir = tempfile::Builder::new().prefix("phoenix-").tempdir_in("/tmp");
    Ok(Sockets::Own(Arc::new(dir.context("cannot make a directory for ssh's sockets in /tmp")?)))
}
