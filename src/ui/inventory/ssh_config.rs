//! Blocks of an OpenSSH client's configuration.

use super::{Rendered, is_user, nameable};
use crate::plan::inventory::{InventoryDocument, SSH};

/// A `Host` block for each VM. Nothing in it weakens what ssh checks: host keys are asked about and kept as always, by
/// the name of the VM instead of its address.
#[must_use]
pub fn ssh_config(inventory: &InventoryDocument) -> Rendered {
    let (vms, mut notices) = nameable(inventory, "a configuration of ssh");
    let mut text = String::from("# Made by `phoenix inventory --format ssh-config`.\n");
    for vm in vms {
        if vm.user.as_deref().is_some_and(|user| !is_user(user)) {
            notices.push(format!("VM {} is left out: ssh takes no such user name", vm.vm));
            continue;
        }
        text.push_str(&format!("\nHost {}\n  HostName {}\n", vm.name, vm.ssh_host));
        if vm.ssh_port != SSH {
            text.push_str(&format!("  Port {}\n", vm.ssh_port));
        }
        if let Some(user) = &vm.user {
            text.push_str(&format!("  User {user}\n"));
        }
        if let Some(alias) = &vm.host_key_alias {
            text.push_str(&format!("  HostKeyAlias {alias}\n"));
        }
    }
    Rendered { text, notices }
}

#[cfg(test)]
mod tests {
    use super::super::tests::named;
    use super::ssh_config;

    #[test]
    fn no_name_or_user_becomes_a_pattern_or_an_option() {
        let mut inventory = named(&["web", "*", "!web", "a b", "a\n  ProxyCommand touch x", "user"]);
        inventory.vms[0].user = Some("admin".to_owned());
        inventory.vms[0].host_key_alias = Some("phoenix-1".to_owned());
        inventory.vms[5].user = Some("x\n  ProxyCommand touch x".to_owned());
        let told = ssh_config(&inventory);
        let block = "\n\nHost web\n  HostName 192.0.2.1\n  User admin\n  HostKeyAlias phoenix-1\n";
        assert!(told.text.ends_with(block) && told.text.matches("Host ").count() == 1, "{}", told.text);
        assert_eq!(told.notices.len(), 5);
        assert!(told.notices.iter().all(|notice| !notice.contains('\n')));
    }
}
