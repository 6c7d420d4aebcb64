//! Choosing the target and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::args::Args;
use super::exit::Refusal;
use super::load::directory;
use crate::backend::embedded::Embedded;
use crate::hypervisor::Hypervisor;
use crate::model::{Desired, Target};

/// Where the embedded node lies unless somebody says otherwise: beside the config.
const DEFAULT_NODE: &str = ".phoenix/node";

/// The target: what the command line or the environment says, else the config, else what is found here.
pub(super) fn target(args: &Args, desired: Option<&Desired>) -> Result<Target> {
    if let Some(text) = &args.target {
        return parse(text, Path::new(""));
    }
    let base = directory(&args.config);
    if let Some(text) = desired.and_then(|desired| desired.settings.target.as_deref()) {
        return parse(text, &base);
    }
    if let Some(found) = proxmox() {
        return Err(Refusal::usage(
            format!("{found}: this is a Proxmox VE node, and this version of phoenix does not act on one"),
            "`--target embedded:DIR` rehearses on an embedded node",
        ));
    }
    Ok(Target::Embedded(base.join(DEFAULT_NODE)))
}

fn parse(text: &str, base: &Path) -> Result<Target> {
    match text.split_once(':') {
        Some(("embedded", dir)) if !dir.is_empty() => Ok(Target::Embedded(base.join(dir))),
        _ => Err(Refusal::usage(
            format!("`{text}` is not a target"),
            "targets of this version: `embedded:DIR`, a node in a directory",
        )),
    }
}

/// What tells that this machine is a Proxmox VE node.
fn proxmox() -> Option<String> {
    if Path::new("/etc/pve").exists() {
        return Some("/etc/pve is there".to_owned());
    }
    let path = std::env::var_os("PATH")?;
    let qm: PathBuf = std::env::split_paths(&path).map(|dir| dir.join("qm")).find(|qm| qm.is_file())?;
    Some(format!("{} is there", qm.display()))
}

/// Opens the embedded node of the target.
pub(super) fn embedded(target: &Target) -> Result<Embedded> {
    let Target::Embedded(dir) = target;
    Ok(Embedded::open(dir)?)
}

/// Opens the target.
pub(super) fn open(target: &Target) -> Result<Arc<dyn Hypervisor>> {
    Ok(Arc::new(embedded(target)?))
}
