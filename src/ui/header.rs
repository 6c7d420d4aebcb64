//! What stands above a plan and a status.

use super::layout::{pad, wrap};
use super::style::{Role, Style};
use super::text::safe;
use crate::hypervisor::About;
use crate::plan::document::{DocumentTarget, TargetOrigin};

/// Columns before what stands behind a title.
const INDENT: usize = 8;

/// A title, and what stands behind it in as many lines as it takes; `screen` is its width and style.
pub(super) fn line(title: &str, text: &str, (width, style): (usize, Style)) -> String {
    let mut title = pad(title, INDENT);
    let mut out = String::new();
    for part in wrap(text, width.saturating_sub(INDENT)) {
        out.push_str(&format!("{}{part}\n", style.paint(Role::Strong, &title)));
        title = pad("", INDENT);
    }
    out
}

/// Where was looked, and who named it.
pub(super) fn target(target: &DocumentTarget, about: &About, config: &str, screen: (usize, Style)) -> String {
    let simulated = if about.simulated { " (no Proxmox here; choose another with --target)" } else { "" };
    let mut out = line("Target", &format!("{}{simulated}", safe(&about.label)), screen);
    // That no other one was named, the line above says of an embedded node.
    let said = about.simulated && target.origin == Some(TargetOrigin::Default);
    if let Some((words, file)) = target.named_by(config).filter(|_| !said) {
        out.push_str(&line("", format!("{words} {}", safe(file)).trim_end(), screen));
    }
    out
}
