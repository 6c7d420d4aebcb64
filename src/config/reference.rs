//! Every key of the config as a row to look up, made of the schema: for the manual page and `docs/keys.md`.

use serde_json::{Value, json};

use super::schema;
use crate::model::proxmox::{self, Spec};

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its path within a VM or `hypervisor`: `disks.SLOT.size_gb`; `[]` are the entries of an array, `NAME` any name.
    pub name: String,
    /// The type of its value with its bounds, or the words that it takes, in words.
    pub kind: String,
    /// What it does, on one line.
    pub text: String,
    /// Whether what it stands in is refused without it.
    pub required: bool,
    /// What counts without it, as JSON.
    pub default: Option<String>,
    /// A value, as JSON.
    pub example: Option<String>,
}

/// The keys of a virtual machine, in the order of the alphabet.
#[must_use]
pub fn of_a_vm() -> Vec<Row> {
    below_pointer("/properties/virtual_machines/items")
}

/// The keys of `hypervisor`.
#[must_use]
pub fn of_the_file() -> Vec<Row> {
    below_pointer("/properties/hypervisor")
}

/// The key `secrets`, beside `virtual_machines`, and those of a secret.
#[must_use]
pub fn of_secrets() -> Vec<Row> {
    let secrets = &schema::value()["properties"]["secrets"];
    rows(&json!({ "properties": { "secrets": secrets } }), "")
}

/// The options of `proxmox`, `boot_disk_options` and the slots of `disks` and `networks` not among them; a name that
/// ends in `N` stands for the numbered ones.
#[must_use]
pub fn of_proxmox() -> Vec<Row> {
    let row = |(name, spec): (&String, &'static Spec)| {
        let first = spec.numbers.map_or_else(|| name.clone(), |_| name.replace('N', "0"));
        let option = proxmox::option(&first).filter(|option| proxmox::why_not(option.name).is_none())?;
        let root = if spec.root { " Only `root@pam` can set it, no API token." } else { "" };
        Some(Row {
            name: option.key.replace(&first, name),
            kind: spec.takes(),
            text: format!("A running VM has it {}.{root}", spec.taken.words()),
            required: false,
            default: option.default().map(ToOwned::to_owned),
            example: None,
        })
    };
    proxmox::specs().iter().filter_map(row).collect()
}

fn below_pointer(pointer: &str) -> Vec<Row> {
    schema::value().pointer(pointer).map_or_else(Vec::new, |object| rows(object, ""))
}

/// The keys of an object, each followed by what stands within it.
fn rows(object: &Value, within: &str) -> Vec<Row> {
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = object["properties"].as_object().into_iter().flatten();
    let of = |(key, schema): (&String, &Value)| {
        let name = format!("{within}{key}");
        let row = Row {
            kind: kind(schema),
            text: schema["description"].as_str().unwrap_or_default().replace('\n', " "),
            required: required.contains(&key.as_str()),
            default: Some(&schema["default"]).filter(|value| !value.is_null()).map(Value::to_string),
            example: schema["examples"].get(0).map(Value::to_string),
            name: name.clone(),
        };
        std::iter::once(row).chain(below(schema, &name)).collect::<Vec<_>>()
    };
    properties.flat_map(of).collect()
}

/// What stands within a key. Options by Proxmox's own names are left to Proxmox's own documentation.
fn below(schema: &Value, name: &str) -> Vec<Row> {
    if name == "proxmox" || name.ends_with("options") {
        return Vec::new();
    }
    let mut all = rows(schema, &format!("{name}."));
    all.extend(rows(&schema["items"], &format!("{name}[].")));
    all.extend(rows(&schema["additionalProperties"], &format!("{name}.NAME.")));
    for slot in schema["patternProperties"].as_object().into_iter().flat_map(serde_json::Map::values) {
        all.extend(rows(slot, &format!("{name}.SLOT.")));
    }
    all
}

/// The type of a value with its bounds, or the words that it takes.
fn kind(schema: &Value) -> String {
    let one_of = schema["oneOf"].as_array().into_iter().flatten();
    let words: Vec<&str> = one_of.filter_map(|one| one["const"].as_str()).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let bounds = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!(" ≥ {least}"),
        (least, most) => format!(" {least} to {most}"),
    };
    let (null, named): (Vec<&str>, Vec<&str>) = types.into_iter().partition(|word| *word == "null");
    let named: Vec<String> = named.into_iter().map(|word| word.replace("integer", "whole number")).collect();
    named.join(" or ") + &bounds + if null.is_empty() { "" } else { " or null" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_however_deep_they_stand() {
        let vm = of_a_vm();
        let row = |name: &str| vm.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(row("memory_mb").kind, "whole number 16 to 16777216");
        assert_eq!(row("memory_mb").default.as_deref(), Some("4096"));
        assert!(row("vm_id").required && row("volumes[].mount_point").required);
        assert_eq!(row("disks.SLOT.filesystem").kind, "ext4, xfs");
        assert!(of_secrets().iter().any(|row| row.name == "secrets.NAME.env"));
        assert!(of_the_file().iter().any(|row| row.name == "nfs_shares.NAME.export"));
    }
}
