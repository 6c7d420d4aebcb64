//! What editors show of a key under the cursor: what it is for, its default, an example, and what another value costs a
//! VM that runs (`markdownDescription`, which VS Code and others show in place of `description`).

use serde_json::Value;

const AT_ONCE: &str = "Another value takes effect at once.";
const CARD: &str = "Another value unplugs the card of a running VM and plugs it in again.";
const RESTART: &str = "A running VM takes another value at its next restart.";
const PLUGGED: &str = "A running VM takes another value at its next restart, unless `hotplug` lets it be plugged in.";
const GROWS: &str = "It grows at once, also while the VM runs, and never shrinks.";
const MOVES: &str = "Another value moves the disk, also while the VM runs; that takes time.";
const STOPS: &str = "`false` shuts a running VM down.";
const NEW_ONLY: &str = "It counts when the VM is made; an existing VM stays as it is.";

/// What another value of a key of a VM costs.
const COSTS: [(&str, &str); 24] = [
    ("boot_delay", AT_ONCE),
    ("boot_disk_size_gb", GROWS),
    ("boot_disk_storage", MOVES),
    ("boot_order", AT_ONCE),
    ("cloud_image", NEW_ONLY),
    ("cpu_cores", PLUGGED),
    ("cpu_sockets", PLUGGED),
    ("description", AT_ONCE),
    ("full_clone", NEW_ONLY),
    ("memory_mb", PLUGGED),
    ("network_bridge", AT_ONCE),
    ("network_config", RESTART),
    ("network_model", CARD),
    ("os_type", RESTART),
    ("protected", AT_ONCE),
    ("shutdown_timeout", AT_ONCE),
    ("start_at_boot", AT_ONCE),
    ("started", STOPS),
    ("tags", AT_ONCE),
    ("template_name", NEW_ONLY),
    ("user_config", RESTART),
    ("user_data", RESTART),
    ("vendor_data", RESTART),
    ("vm_name", RESTART),
];

/// Adds to each key of a schema what is shown of it under the cursor. `of_vm`: the schema is one of a VM, or of what
/// VMs have in common.
pub(super) fn explain(schema: &mut Value, of_vm: bool) {
    let Value::Object(object) = schema else { return };
    if let Some(Value::Object(keys)) = object.get_mut("properties") {
        for (name, key) in keys.iter_mut() {
            let cost = COSTS.iter().find(|(costly, _)| of_vm && costly == name).map(|(_, cost)| *cost);
            if let Some(words) = words(key, cost)
                && let Value::Object(key) = key
            {
                key.insert("markdownDescription".into(), words.into());
            }
            explain(key, false);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(inner) {
            explain(inner, false);
        }
    }
    if let Some(Value::Object(slots)) = object.get_mut("patternProperties") {
        slots.values_mut().for_each(|slot| explain(slot, false));
    }
}

fn words(key: &Value, cost: Option<&str>) -> Option<String> {
    let text = key.get("description")?.as_str()?;
    let code = |value: &Value| format!("`{value}`");
    // An empty list or text says no more than that there is none.
    let default = key.get("default").filter(|value| !matches!(value, Value::Array(list) if list.is_empty()));
    let default = default.filter(|value| value.as_str() != Some("")).map(|value| format!("Default: {}.", code(value)));
    let example = key.get("examples").and_then(|list| list.get(0)).map(|value| format!("Example: {}.", code(value)));
    let more: Vec<String> = [cost.map(ToOwned::to_owned), default, example].into_iter().flatten().collect();
    (!more.is_empty()).then(|| format!("{text}\n\n{}", more.join(" ")))
}
