//! Choosing the target and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::again::word;
use super::args::GuestKind;
use super::exit::Refusal;
use super::load::directory;
use super::own;
use crate::backend::embedded::Embedded;
use crate::backend::qm::{Layout, Qm};
use crate::backend::runner::{Local, Sockets, Ssh};
use crate::hypervisor::Hypervisor;
use crate::model::{Desired, InvalidTarget, Target};
use crate::plan::document::TargetOrigin;

/// Where the embedded node lies in `.phoenix` unless the command line, the environment or the config says otherwise.
const DEFAULT_NODE: &str = "node";

/// A target that was named: what was written, and where.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) text: String,
    pub(super) origin: TargetOrigin,
}

/// A target, and who named it.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) target: Target,
    pub(super) origin: TargetOrigin,
    /// It is the node beside the config: the one that need not be named or made.
    beside: bool,
}

/// What is about to be done with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// It is looked at, or something is done to VMs that it has.
    Look,
    /// VMs are made: an embedded node that is not there yet is made, too, where its parent directory exists.
    Make,
}

/// The target: what the command line or the environment says, else the config, else what is found here.
pub(super) fn target(config: &Path, named: Option<&Named>, desired: Option<&Desired>) -> Result<Chosen> {
    let base = directory(config);
    let (target, origin) = if let Some(named) = named {
        (parse(&named.text, Path::new(""))?, named.origin)
    } else if let Some(text) = desired.and_then(|desired| desired.settings.target.as_deref()) {
        (parse(text, &base)?, TargetOrigin::Config)
    } else if is_proxmox() {
        // Unreadable or not: a Proxmox node never turns into an embedded one behind the operator's back.
        (Target::Qm, TargetOrigin::Default)
    } else {
        (Target::Embedded(own::place(config, DEFAULT_NODE)?), TargetOrigin::Default)
    };
    let beside = origin == TargetOrigin::Default && matches!(target, Target::Embedded(_));
    Ok(Chosen { target, origin, beside })
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

/// The directory of the embedded node that the target is.
pub(super) fn node_directory(target: &Target) -> Result<&Path> {
    match target {
        Target::Embedded(dir) => Ok(dir),
        Target::Qm | Target::QmSsh { .. } => {
            Err(Refusal::usage(format!("{target} is not an embedded node"), "name one with `--target embedded:DIR`"))
        }
    }
}

/// Makes the embedded node of the target if there is none. Its guests are of this kind from then on, if the command
/// line says one.
pub(super) fn made(chosen: &Chosen, guests: Option<GuestKind>) -> Result<Embedded> {
    let dir = node_directory(&chosen.target)?;
    plain(chosen, dir)?;
    Ok(Embedded::open_with(dir, guests.map(Into::into))?)
}

/// Opens the embedded node of the target and makes nothing. One that is not there is refused, unless it is the one
/// beside the config, or about to be made where that is all there is to make.
pub(super) fn embedded(chosen: &Chosen, guests: Option<GuestKind>, intent: Intent) -> Result<Embedded> {
    let dir = node_directory(&chosen.target)?;
    plain(chosen, dir)?;
    let node = Embedded::as_is(dir, guests.map(Into::into))?;
    if !node.is_unmade() || chosen.beside {
        return Ok(node);
    }
    let (name, target) = (dir.display(), chosen.target.to_string());
    let hint = format!("`phoenix node init --target {}` makes one", word(&target));
    if intent == Intent::Look {
        return Err(Refusal::failed(format!("there is no embedded node at {name}"), hint));
    }
    // A relative path of one name has an empty parent, the current directory.
    if dir.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        let what =
            format!("there is no embedded node at {name}, and apply makes none: its parent directory is missing");
        return Err(Refusal::failed(what, hint));
    }
    Ok(node)
}

/// Refuses links on the way to the node beside the config: a user who can write there could lead phoenix elsewhere.
fn plain(chosen: &Chosen, dir: &Path) -> Result<()> {
    let own = dir.parent().into_iter().chain([dir]).filter(|_| chosen.beside);
    for path in own {
        if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
            let what = format!("`{}` is a symbolic link, and phoenix keeps nothing behind links", path.display());
            return Err(Refusal::failed(what, "remove the link, or name the node with `--target embedded:DIR`"));
        }
    }
    Ok(())
}

/// Opens the target for a project, if there is a config. `guests` is for an embedded node alone.
pub(super) fn open(
    chosen: &Chosen,
    desired: Option<&Desired>,
    guests: Option<GuestKind>,
    intent: Intent,
) -> Result<Arc<dyn Hypervisor>> {
    let target = &chosen.target;
    let project = desired.map_or("", |desired| desired.settings.project.as_str());
    if guests.is_some() && !matches!(target, Target::Embedded(_)) {
        let what = format!("{target} is not an embedded node: its guests are what they are");
        return Err(Refusal::usage(what, "leave `--guests` out"));
    }
    // Paths on the node begin here; only tests say otherwise.
    let root = std::env::var_os("PHOENIX_NODE_ROOT").and_then(|root| root.into_string().ok()).unwrap_or_default();
    let layout =
        if root.is_empty() { Layout::default() } else { Layout { pve: root.clone(), root: format!("{root}/root") } };
    Ok(match target {
        Target::Embedded(_) => Arc::new(embedded(chosen, guests, intent)?),
        Target::Qm => Arc::new(Qm::new(Box::new(Local), layout).of_project(project)),
        Target::QmSsh { user, host, port } => {
            let ssh = Ssh::new(user.as_deref(), host, *port, sockets()?);
            Arc::new(Qm::new(Box::new(ssh), layout).of_project(project))
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
