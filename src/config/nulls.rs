//! `null` where a value is wanted: what to write instead.

use jsonc_parser::ast::{Object, Value as Tree};
use serde_json::Value;

use super::schema;

/// Where a value stands, and what the schema says of it.
pub(super) struct At<'a> {
    pub(super) pointer: &'a str,
    /// Where the schema says what is wanted.
    pub(super) rules: &'a str,
    /// Who else says the same key for the VM, in words.
    pub(super) shared: Option<&'static str>,
}

/// Who else says a key of a VM or of a profile: what the VM has when it leaves the key out.
pub(super) fn shared(root: &Tree<'_>, pointer: &str) -> Option<&'static str> {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let root = root.as_object()?;
    let (own, below) = match steps[..] {
        ["virtual_machines", n, ref below @ ..] => {
            let vms = root.get_array("virtual_machines")?;
            (vms.elements.get(n.parse::<usize>().ok()?)?.as_object(), below)
        }
        ["profiles", _, ref below @ ..] => (None, below),
        _ => return None,
    };
    // Objects are inherited as a whole, but for what stands by a name of its own.
    if !matches!(below, [_] | ["networks" | "disks", ..]) {
        return None;
    }
    let profiles = root.get_object("profiles");
    let named = own.map(profiles_of).unwrap_or_default();
    let by_profile =
        named.iter().any(|name| profiles.and_then(|all| all.get_object(name)).is_some_and(|one| says(one, below)));
    if by_profile {
        return Some("its profile says");
    }
    root.get_object("vm_defaults").is_some_and(|defaults| says(defaults, below)).then_some("`vm_defaults` says")
}

/// The profiles that an entry names.
fn profiles_of(vm: &Object<'_>) -> Vec<String> {
    let text = |value: &Tree<'_>| value.as_string_lit().map(|text| text.value.to_string());
    match vm.get("profile").map(|property| &property.value) {
        Some(Tree::Array(list)) => list.elements.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn says(object: &Object<'_>, below: &[&str]) -> bool {
    match below {
        [key] => object.get(key).is_some_and(|found| !matches!(found.value, Tree::NullKeyword(_))),
        [key, rest @ ..] => object.get_object(key).is_some_and(|object| says(object, rest)),
        [] => false,
    }
}

/// What to write instead. `is_entry`: it is one of a list, or by a name of its own; `example`: a value, in words.
pub(super) fn instead(at: &At<'_>, is_entry: bool, example: impl Fn() -> Option<String>) -> String {
    if is_entry {
        return "take the entry out".to_owned();
    }
    let required = at.rules.rsplit_once("/properties/").is_some_and(|(object, key)| {
        let required = schema::document().pointer(&format!("{object}/required"));
        required.and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|one| one == key))
    });
    if required {
        return example().unwrap_or_else(|| "write a value".to_owned());
    }
    let node = schema::document().pointer(at.rules).unwrap_or(&Value::Null);
    let key = at.pointer.rsplit('/').next().unwrap_or_default();
    if let Some(says) = at.shared {
        return over(key, node, says);
    }
    let keeps = node["description"].as_str().is_some_and(|text| text.contains("stays as it is"));
    match node.get("default") {
        Some(_) => "leave the key out to have its default",
        // Of what stands by names, only what is not listed stays.
        None if keeps && node.get("patternProperties").is_none() => {
            "leave the key out: what it sets stays as it is then"
        }
        None => "leave the key out",
    }
    .to_owned()
}

/// What takes the place of what others say for the VM.
fn over(key: &str, node: &Value, says: &str) -> String {
    let empty = match key {
        "description" | "pool" => Some("\"\""),
        "tags" | "features" | "volumes" | "depends_on" => Some("[]"),
        "network_config" | "user_config" | "user_data" | "vendor_data" => Some("{}"),
        "start_at_boot" | "protected" => Some("false"),
        "ip" | "ip6" => Some("\"none\""),
        _ => None,
    };
    let without = format!("without the key the VM has what {says}");
    match (empty, node.get("default")) {
        (Some("false"), _) => format!("write `false` to have it off: {without}"),
        (Some(empty), _) => format!("write `{empty}` to have none: {without}"),
        (None, Some(default)) => format!("write `{default}` to have the default: {without}"),
        (None, None) if key == "cloud_image" => format!("name a `template_name` to clone that instead: {without}"),
        (None, None) if node.get("patternProperties").is_some() => {
            let like = match key {
                "networks" => "\"net1\"",
                "disks" => "\"scsi1\"",
                "cdrom" => "\"ide0\"",
                "boot_disk_options" => "\"ssd\"",
                _ => "\"cpu\"",
            };
            format!("take what is not wanted away by its name, like `{{ {like}: null }}`: {without}")
        }
        (None, None) => format!("write the value that this VM is to have: {without}"),
    }
}
