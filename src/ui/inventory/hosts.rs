//! Lines of `/etc/hosts`.

use super::{Rendered, nameable};
use crate::plan::inventory::{InventoryDocument, SSH};

/// A line for each address of each VM.
#[must_use]
pub fn hosts(inventory: &InventoryDocument) -> Rendered {
    let (vms, mut notices) = nameable(inventory, "/etc/hosts");
    let mut text = String::from("# Made by `phoenix inventory --format hosts`.\n");
    for vm in vms {
        if vm.ssh_port != SSH {
            // Its own address leads nowhere from here, and a line cannot say a port.
            notices.push(format!("VM {} is left out: it is reached on port {} only", vm.vm, vm.ssh_port));
            continue;
        }
        vm.addresses.iter().for_each(|ip| text.push_str(&format!("{}\t{}\n", ip, vm.name)));
    }
    Rendered { text, notices }
}

#[cfg(test)]
mod tests {
    use super::super::tests::named;
    use super::hosts;

    #[test]
    fn each_address_has_a_line_and_nothing_else_does() {
        let mut inventory = named(&["web", "a\n192.0.2.66 bank.example", "localhost", "moved"]);
        inventory.vms[3].ssh_port = 2222;
        let told = hosts(&inventory);
        let lines: Vec<&str> = told.text.lines().skip(1).collect();
        assert_eq!(lines, ["192.0.2.1\tweb", "2001:db8::1\tweb"]);
        assert_eq!(told.notices.len(), 3, "{:?}", told.notices);
        assert!(told.notices.iter().all(|notice| !notice.contains('\n')));
    }
}
