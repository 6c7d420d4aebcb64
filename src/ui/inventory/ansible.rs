//! An inventory of Ansible in YAML, which is what a file can be: JSON with `_meta` is for programs that Ansible runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rendered, is_user, nameable};
use crate::plan::inventory::{InventoryDocument, InventoryVm, SSH};

/// Names that Ansible gives to groups of its own.
const OWN: [&str; 2] = ["all", "ungrouped"];

/// A host for each VM, in a group for the project and one for each tag.
#[must_use]
pub fn ansible(inventory: &InventoryDocument) -> Rendered {
    let (vms, mut notices) = nameable(inventory, "an inventory of Ansible");
    let (mut hosts, mut groups) = (String::new(), BTreeMap::<String, (BTreeSet<&str>, Vec<&str>)>::new());
    for vm in vms {
        if OWN.contains(&vm.name.to_ascii_lowercase().as_str()) || vm.user.as_deref().is_some_and(|user| !is_user(user))
        {
            notices.push(format!("VM {} is left out: Ansible gives its name or user another meaning", vm.vm));
            continue;
        }
        hosts.push_str(&host(vm, &inventory.project));
        let project = (group("project", &inventory.project), inventory.project.as_str());
        for (name, of) in vm.tags.iter().map(|tag| (group("tag", tag), tag.as_str())).chain([project]) {
            let (words, members) = groups.entry(name).or_default();
            words.insert(of);
            if members.last() != Some(&vm.name.as_str()) {
                members.push(&vm.name);
            }
        }
    }
    let mut text = String::from("# Made by `phoenix inventory`.\nall:\n");
    text.push_str(&if hosts.is_empty() { "  hosts: {}\n".to_owned() } else { format!("  hosts:\n{hosts}") });
    text.push_str(if groups.is_empty() { "  children: {}\n" } else { "  children:\n" });
    for (name, (words, members)) in &groups {
        text.push_str(&format!("    {}:\n      hosts:\n", quoted(name)));
        for member in members {
            text.push_str(&format!("        {}: {{}}\n", quoted(member)));
        }
        if words.len() > 1 {
            let words = words.iter().map(|word| format!("`{}`", crate::ui::text::safe(word))).collect::<Vec<_>>();
            notices.push(format!("the tags {} are one group of Ansible, {name}", words.join(" and ")));
        }
    }
    Rendered { text, notices }
}

/// A host with what Ansible needs to reach it, and what plays may want to know.
fn host(vm: &InventoryVm, project: &str) -> String {
    let mut out = format!("    {}:\n", quoted(&vm.name));
    let mut add = |key: &str, value: &str| out.push_str(&format!("      {key}: {value}\n"));
    add("ansible_host", &value(&vm.ssh_host.to_string()));
    if vm.ssh_port != SSH {
        add("ansible_port", &vm.ssh_port.to_string());
    }
    if let Some(user) = &vm.user {
        add("ansible_user", &value(user));
    }
    add("phoenix_vmid", &vm.vm.to_string());
    add("phoenix_project", &value(project));
    add("phoenix_node", &value(&vm.node));
    if let Some(mac) = &vm.mac {
        add("phoenix_mac", &value(mac));
    }
    let list = |words: Vec<String>| format!("[{}]", words.join(", "));
    add("phoenix_addresses", &list(vm.addresses.iter().map(|ip| value(&ip.to_string())).collect()));
    add("phoenix_tags", &list(vm.tags.iter().map(|tag| value(tag)).collect()));
    out
}

/// A name of a group: Ansible takes letters, digits and underscores.
fn group(kind: &str, word: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("{kind}_{}", word.chars().map(plain).collect::<String>())
}

/// A value of a variable. One that could be a template is marked, so that it is never taken for one.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._:/@+-".contains(c);
    let mark = if text.chars().all(plain) { "" } else { "!unsafe " };
    format!("{mark}{}", quoted(text))
}

/// A text as YAML in double quotes: ASCII alone, on one line.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::named;
    use super::*;

    #[test]
    fn nothing_is_more_than_the_text_that_it_is() {
        for (text, written) in [
            ("web-1.example", r#""web-1.example""#),
            ("yes", r#""yes""#),
            ("a: b", r#""a: b""#),
            ("{{ lookup('pipe', 'id') }}", r#"!unsafe "{{ lookup('pipe', 'id') }}""#),
            ("a\"\\\n- é🦀", r#"!unsafe "a\"\\\U0000000a- \U000000e9\U0001f980""#),
        ] {
            assert_eq!(value(text), written);
        }
    }

    #[test]
    fn groups_have_safe_names_and_hosts_no_others() {
        let mut inventory = named(&["web", "all", "a\nb: c", "db"]);
        inventory.vms[0].tags = vec!["a-b".to_owned(), "a.b".to_owned(), "x\ny".to_owned()];
        inventory.vms[3].user = Some("{{ x }}".to_owned());
        let told = ansible(&inventory);
        assert_eq!(told.text.matches("ansible_host").count(), 1);
        let groups = "  children:\n    \"project_default\":\n      hosts:\n        \"web\": {}\n    \"tag_a_b\":\n      hosts:\n        \
                      \"web\": {}\n    \"tag_x_y\":\n      hosts:\n        \"web\": {}\n";
        assert!(told.text.ends_with(groups), "{}", told.text);
        assert_eq!(told.notices.len(), 4, "{:?}", told.notices);
        assert!(told.notices.iter().all(|notice| !notice.contains('\n')));
        assert!(ansible(&named(&[])).text.ends_with("all:\n  hosts: {}\n  children: {}\n"));
    }
}
