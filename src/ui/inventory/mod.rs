//! The VMs by their addresses, as other programs read them.
//!
//! Names, users and tags come from a file, node names and addresses from elsewhere: none of them becomes a line, an
//! option, a pattern or a template there. What a format cannot say of a VM leaves that VM out, and is told.

use super::text::safe_pretty_json;
use crate::plan::inventory::{InventoryDocument, InventoryVm};

mod ansible;
mod hosts;
mod ssh_config;

pub use ansible::ansible;
pub use hosts::hosts;
pub use ssh_config::ssh_config;

/// A text for another program, and what it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text, with a line break at the end.
    pub text: String,
    /// What is left out or not as it seems: a sentence without a full stop each.
    pub notices: Vec<String>,
}

/// Renders the document as JSON, which leaves nothing out.
#[must_use]
pub fn json(inventory: &InventoryDocument) -> Rendered {
    // Plain strings, numbers and addresses: serialising them cannot fail.
    let text = serde_json::to_string_pretty(inventory).unwrap_or_default();
    Rendered { text: safe_pretty_json(&text), notices: Vec::new() }
}

/// The VMs whose names can stand for a host, and notices of the others. `format` is what the names do not fit.
fn nameable<'i>(inventory: &'i InventoryDocument, format: &str) -> (Vec<&'i InventoryVm>, Vec<String>) {
    let (fit, unfit): (Vec<_>, Vec<_>) = inventory.vms.iter().partition(|vm| is_host_name(&vm.name));
    let notice = |vm: &InventoryVm| {
        let name = super::text::safe(&vm.name).into_owned();
        format!("VM {} is left out: `{name}` cannot be the name of another host in {format}", vm.vm)
    };
    (fit, unfit.into_iter().map(notice).collect())
}

/// Whether a name can stand for another host: labels of letters, digits and dashes, and neither an address nor this
/// machine.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = !label.starts_with('-') && !label.ends_with('-') && !label.is_empty();
        inner && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let lower = name.to_ascii_lowercase();
    let this = ["localhost", "localdomain", "ip6-localhost", "ip6-loopback", "broadcasthost"];
    let this = lower.split('.').any(|label| this.contains(&label));
    // Programs also take one number, or fewer than four, for an address.
    let number = |label: &str| label.chars().all(|c| c.is_ascii_digit()) || label.starts_with("0x");
    name.len() <= 253 && name.split('.').all(label) && !this && !lower.split('.').all(number)
}

/// Whether a text can be the name of a user: nothing that a shell, ssh or Ansible gives a meaning to.
fn is_user(user: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !user.is_empty() && !user.starts_with(['-', '.']) && user.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An inventory of VMs by name, at 192.0.2.1 and so on.
    pub(super) fn named(names: &[&str]) -> InventoryDocument {
        let vm = |(n, name): (u8, &&str)| InventoryVm {
            vm: 100 + u32::from(n),
            name: (*name).to_owned(),
            node: "pve".to_owned(),
            running: true,
            mac: None,
            addresses: vec![[192, 0, 2, n].into(), format!("2001:db8::{n}").parse().unwrap()],
            ssh_host: [192, 0, 2, n].into(),
            ssh_port: 22,
            host_key_alias: None,
            user: None,
            tags: Vec::new(),
        };
        InventoryDocument {
            format_version: 1,
            phoenix: String::new(),
            target: crate::plan::document::DocumentTarget::default(),
            project: "default".to_owned(),
            vms: (1..).zip(names).map(vm).collect(),
        }
    }

    #[test]
    fn names_of_hosts() {
        for name in ["web", "web-1", "1a", "web.example.com", "0web", "10.web"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in [
            "",
            "*",
            "web*",
            "!web",
            "a b",
            "a\nb",
            "a\tb",
            "-web",
            "web-",
            "web.",
            ".web",
            "a_b",
            "wéb",
            "{{ x }}",
            "#a",
            "localhost",
            "LocalHost",
            "a.localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "192.0.2.1",
            "1000",
            "10.1",
            "0x7f.1",
            "2001:db8::1",
            "web[1:3]",
            "a,b",
            "a;b",
            "a\0",
            "a\u{202e}",
        ] {
            assert!(!is_host_name(name), "{name:?}");
        }
    }

    #[test]
    fn names_of_users() {
        for user in ["admin", "a_b-c.d", "0x"] {
            assert!(is_user(user), "{user}");
        }
        for user in ["", "-oProxyCommand=x", ".", "a b", "a\nb", "a@b", "%u", "$x", "{{ x }}"] {
            assert!(!is_user(user), "{user:?}");
        }
    }
}
