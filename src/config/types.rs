//! Values of a wrong type: what is wanted instead, and what was probably meant.

use serde_json::{Map, Value};

use super::codes;
use super::nulls;
use super::problem::Problem;
use super::schema;
use super::secrets::HOW;
use super::slots;
use super::spans::Place;
use super::units;
use crate::model::{PRIVATE_KEY, SshKey};

/// A value that the schema refuses because of its type.
pub(super) struct Misfit<'a> {
    /// Where it stands.
    pub(super) pointer: &'a str,
    /// What messages call that place.
    pub(super) name: &'a str,
    pub(super) found: &'a Value,
    /// The value as it stands in the text.
    pub(super) written: &'a str,
    /// Where the schema says what is wanted.
    pub(super) rules: &'a str,
    /// Who else says the same key for the VM, in words.
    pub(super) shared: Option<&'static str>,
}

/// Longest text that a hint writes out.
const SHOWN: usize = 100;

impl Misfit<'_> {
    /// Says what is wrong and, as far as it can be told, what to write instead.
    pub(super) fn problem(&self) -> Problem {
        let is = match self.found {
            Value::Null => "`null`",
            // It may be the secret itself.
            Value::Bool(_) | Value::Number(_) if self.is_of_secret() => "a value",
            Value::Bool(_) | Value::Number(_) => self.written,
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let whole = self.found.is_object() || self.found.is_array();
        let place = if whole { Place::opening(self.pointer) } else { Place::value(self.pointer) };
        let message = format!("{} must be {}, not {is}", self.name, wanted(self.node()));
        Problem::new(codes::WRONG_TYPE, message, place).hint_if(self.hint())
    }

    /// Whether it stands where a secret is named.
    fn is_of_secret(&self) -> bool {
        self.pointer.contains("/user_config/password") || self.pointer.starts_with("/secrets/")
    }

    /// What the schema says of the place.
    fn node(&self) -> &'static Value {
        schema::document().pointer(self.rules).unwrap_or(&Value::Null)
    }

    /// The key that the value belongs to, also where it is an entry of a list.
    fn key(&self) -> &str {
        let is_key = |step: &&str| !step.bytes().all(|b| b.is_ascii_digit());
        self.pointer.rsplit('/').find(is_key).unwrap_or_default()
    }

    /// Whether it is one of many, of a list or by a name of its own.
    fn is_entry(&self) -> bool {
        self.rules.ends_with("/items") || self.rules.ends_with("/additionalProperties")
    }

    fn hint(&self) -> Option<String> {
        if let Some(known) = self.by_key() {
            return Some(known);
        }
        let shows = |found: &Value| found.as_str().is_none_or(|text| can_be_shown(text).is_some());
        let in_slot = Some(self.found).filter(|found| shows(found)).and_then(|found| slots::meant(self.pointer, found));
        let meant = in_slot.into_iter().chain(meant(self.key(), self.node(), self.found));
        let fitting = meant.into_iter().find(|one| schema::fits(self.node(), one));
        if let Some(one) = fitting {
            return Some(self.instead(&one));
        }
        self.in_range().or_else(|| self.among_words()).or_else(|| self.example())
    }

    /// What only makes sense at one key.
    fn by_key(&self) -> Option<String> {
        Some(match (self.key(), self.found) {
            (_, Value::Null) => {
                let at = nulls::At { pointer: self.pointer, rules: self.rules, shared: self.shared };
                nulls::instead(&at, self.is_entry(), || self.example())
            }
            _ if self.is_of_secret() => {
                format!("{HOW}; a secret that stood in a file is known to everyone who can read it, or its history")
            }
            ("", Value::Array(_)) => "the list of VMs has a key: `{ \"virtual_machines\": [ … ] }`".to_owned(),
            ("adopt", _) => {
                "write the uuid of the VM to take over, in double quotes; `phoenix import VMID` prints the entry with it"
                    .to_owned()
            }
            ("template_name", Value::Number(id)) => {
                format!("write the name of template {id} in double quotes; `qm config {id}` shows it")
            }
            ("boot_order", Value::String(_) | Value::Array(_)) if !self.is_number() => {
                "it is a number: the VM's place when the node starts its VMs. `boot_devices` lists what a VM tries to \
                 boot from: `[\"scsi0\", \"net0\"]`"
                    .to_owned()
            }
            ("virtual_machines", Value::Object(_)) if !self.is_entry() => {
                "write each VM as an entry of a list: `[{ \"vm_id\": 1000, \"vm_name\": \"web\" }]`".to_owned()
            }
            _ => return None,
        })
    }

    fn is_number(&self) -> bool {
        self.found.as_str().is_some_and(|text| text.trim().parse::<u64>().is_ok())
    }

    /// Words for a value that fits.
    fn instead(&self, one: &Value) -> String {
        let (text, unit) = (spaced(one), units::of(self.key()));
        match (self.found, one) {
            (Value::Array(_), _) if matches!(one, Value::Array(_)) => format!("write `{text}`"),
            (Value::String(found), Value::Number(_) | Value::Bool(_)) if *found == text => {
                format!("write `{text}` without the quotes")
            }
            (Value::String(_), Value::Number(_)) if unit.is_some() => {
                format!("write `{text}`: the number of {}, without quotes", unit.unwrap_or_default())
            }
            (Value::String(_), Value::Number(_) | Value::Bool(_)) => format!("write `{text}`, without quotes"),
            (Value::Number(_) | Value::Bool(_), Value::String(_)) => "put it in double quotes".to_owned(),
            (Value::Array(_), _) if text.chars().count() > SHOWN => "leave the brackets out".to_owned(),
            (_, Value::Array(_)) if text.chars().count() > SHOWN => "put it in brackets: `[ … ]`".to_owned(),
            _ => format!("write `{text}`"),
        }
    }

    /// The numbers that are possible.
    fn in_range(&self) -> Option<String> {
        let node = self.node();
        let is_whole = |kind: &Value| kind == "integer";
        let kind = node.get("type")?;
        if !is_whole(kind) && !kind.as_array()?.iter().any(is_whole) {
            return None;
        }
        let (least, most) = (node.get("minimum")?, node.get("maximum")?);
        let unit = units::of(self.key()).map(|unit| format!(" of {unit}")).unwrap_or_default();
        let like = node.pointer("/examples/0").map(|one| format!(", like `{one}`")).unwrap_or_default();
        Some(format!("write a whole number{unit} from {least} to {most}{like}"))
    }

    fn among_words(&self) -> Option<String> {
        let words = self.node().get("oneOf")?.as_array()?.iter().filter_map(|choice| choice.get("const")?.as_str());
        let words: Vec<&str> = words.collect();
        (!words.is_empty()).then(|| format!("one of: {}", words.join(", ")))
    }

    fn example(&self) -> Option<String> {
        let own = self.node().pointer("/examples/0");
        let among = || {
            let (all, _) = self.rules.rsplit_once('/')?;
            match schema::document().pointer(all)?.pointer("/examples/0")? {
                Value::Array(entries) if self.is_entry() => entries.first(),
                Value::Object(members) if self.is_entry() => members.values().next(),
                _ => None,
            }
        };
        let own = own.or_else(among).cloned().or_else(|| slots::example(self.pointer));
        own.map(|example| format!("for example `{}`", spaced(&example)))
    }
}

/// Names the types that a rule of the schema accepts.
fn wanted(node: &Value) -> String {
    let word = |kind: &Value| match kind.as_str().unwrap_or_default() {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "an object",
        "null" => "`null`",
        _ => "of another type",
    };
    match node.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().map(word).collect::<Vec<_>>().join(" or "),
        Some(kind) => word(kind).to_owned(),
        None => "of another type".to_owned(),
    }
}

/// What may have been meant, likeliest first; not all of it fits.
fn meant(key: &str, node: &Value, found: &Value) -> Vec<Value> {
    let takes = |kind: &str| match node.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    };
    let mut all = Vec::new();
    if let Value::Array(entries) = found
        && let [only] = entries.as_slice()
        && !takes("array")
    {
        all.push(only.clone());
    }
    if takes("boolean") {
        all.extend(switch(key, found).map(Value::Bool));
    }
    if takes("integer") {
        all.extend(found.as_str().and_then(|text| units::number(key, text)).map(Value::from));
    }
    if takes("string") {
        all.extend(text(key, found).map(Value::String));
    }
    if takes("array") {
        all.extend(list(key, found));
    }
    if takes("object") {
        all.extend(object(key, found));
        all.extend(found.as_str().filter(|_| key == "cdrom").and_then(can_be_shown).map(slots::drive));
    }
    all
}

/// What a value says that is on or off elsewhere.
fn switch(key: &str, found: &Value) -> Option<bool> {
    if let Value::Number(number) = found {
        return [false, true].into_iter().find(|on| number.as_u64() == Some(u64::from(*on)));
    }
    match (key, found.as_str()?.trim().to_ascii_lowercase().as_str()) {
        (_, "true" | "yes" | "on" | "1" | "y" | "t" | "enabled" | "enable")
        | ("full_clone", "full")
        | ("started", "running" | "started" | "start") => Some(true),
        (_, "false" | "no" | "off" | "0" | "n" | "f" | "disabled" | "disable" | "none")
        | ("full_clone", "linked")
        | ("started", "stopped" | "stop") => Some(false),
        _ => None,
    }
}

/// The text that a value stands for.
fn text(key: &str, found: &Value) -> Option<String> {
    match found {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Array(entries) => {
            let words: Option<Vec<&str>> = entries.iter().map(|entry| can_be_shown(entry.as_str()?)).collect();
            Some(words?.join(if key == "description" { "\n" } else { " " }))
        }
        _ => None,
    }
}

/// The lists that a value stands for.
fn list(key: &str, found: &Value) -> Vec<Value> {
    let one = |value: Value| Value::Array(vec![value]);
    let Value::String(text) = found else { return vec![one(found.clone())] };
    let Some(text) = can_be_shown(text) else { return Vec::new() };
    let number = |word: &str| word.parse::<u64>().ok().filter(|_| key == "depends_on").map(Value::from);
    let word = |word: &str| number(word).unwrap_or_else(|| Value::from(word));
    let parts = text.split([',', ';', ' ']).filter(|part| !part.is_empty()).map(word).collect();
    vec![one(word(text)), Value::Array(parts), one(found.clone())]
}

/// The objects that a value stands for: by the key that most people mean.
fn object(key: &str, found: &Value) -> Vec<Value> {
    let Some(text) = found.as_str().and_then(can_be_shown) else { return Vec::new() };
    let keys: &[&str] = match key {
        "network_config" => &["ip", "ip6"],
        "user_config" if SshKey::parse(text).is_ok() => &["ssh_authorized_keys"],
        "user_config" => &["username"],
        "cloud_image" => &["source"],
        "hypervisor" => &["target", "project"],
        "persistent_storage" => &["host_path"],
        _ => &[],
    };
    let value = |key: &str| if key == "ssh_authorized_keys" { Value::from(vec![text]) } else { Value::from(text) };
    keys.iter().map(|key| Value::Object(Map::from_iter([((*key).to_owned(), value(key))]))).collect()
}

/// The text, unless a hint must not repeat it.
fn can_be_shown(text: &str) -> Option<&str> {
    let is_secret = text.contains(PRIVATE_KEY) || (text.contains("://") && text.contains('@'));
    (!is_secret).then_some(text)
}

/// JSON on one line as people write it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(entries) => format!("[{}]", entries.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Misfit;
    use crate::config::schema;

    fn hint(key: &str, found: &Value) -> String {
        let place = if key == "target" { "/properties/hypervisor" } else { schema::VM };
        let rules = format!("{place}/properties/{}", key.replace('.', "/properties/"));
        let key = key.replace('.', "/");
        let pointer = format!("/virtual_machines/0/{key}");
        let misfit =
            Misfit { pointer: &pointer, name: &key, found, written: &found.to_string(), rules: &rules, shared: None };
        misfit.problem().diagnostic.hint.unwrap_or_default()
    }

    #[test]
    fn what_was_meant_is_written_out() {
        #[track_caller]
        fn check(key: &str, found: &Value, says: &str) {
            assert_eq!(hint(key, found), says, "{key}: {found}");
        }
        check("started", &json!("true"), "write `true` without the quotes");
        check("full_clone", &json!("no"), "write `false`, without quotes");
        check("full_clone", &json!("linked"), "write `false`, without quotes");
        check("is_template", &json!(1), "write `true`");
        check("protected", &json!("maybe"), "for example `true`");
        check("start_at_boot", &json!(null), "leave the key out: what it sets stays as it is then");
        check("memory_mb", &json!(null), "leave the key out to have its default");
        check("vm_id", &json!(null), "for example `1000`");
        check("memory_mb", &json!("4G"), "write `4096`: the number of MiB, without quotes");
        check("memory_mb", &json!("1T"), "write `1048576`: the number of MiB, without quotes");
        check("boot_disk_size_gb", &json!("50G"), "write `50`: the number of GiB, without quotes");
        check("memory_mb", &json!("much"), "write a whole number of MiB from 16 to 16777216, like `8192`");
        check("memory_mb", &json!(true), "write a whole number of MiB from 16 to 16777216, like `8192`");
        check("cpu_cores", &json!("4"), "write `4` without the quotes");
        check("cpu_cores", &json!("two"), "write `2`, without quotes");
        check("cpu_cores", &json!([4]), "write `4`");
        check("boot_delay", &json!("30s"), "write `30`: the number of seconds, without quotes");
        check("timeouts.cloud_init", &json!("15m"), "write `900`: the number of seconds, without quotes");
        check("timeouts", &json!(900), "for example `{ \"cloud_init\": 1800 }`");
        check("depends_on", &json!(1001), "write `[1001]`");
        check("depends_on", &json!("1001"), "write `[1001]`");
        check("depends_on", &json!("web"), "write `[\"web\"]`");
        check("tags", &json!("web, db"), "write `[\"web\", \"db\"]`");
        check("tags", &json!({ "a": 1 }), "for example `[\"development\", \"web-server\"]`");
        check("network_config", &json!("dhcp"), "write `{ \"ip\": \"dhcp\" }`");
        check("network_config", &json!("2001:db8::1/64"), "write `{ \"ip6\": \"2001:db8::1/64\" }`");
        check("network_config", &json!([{ "ip": "dhcp" }]), "write `{ \"ip\": \"dhcp\" }`");
        check("network_config.nameserver", &json!(["192.0.2.1", "192.0.2.2"]), "write `\"192.0.2.1 192.0.2.2\"`");
        check("user_config", &json!("admin"), "write `{ \"username\": \"admin\" }`");
        check("description", &json!(["a", "b"]), "write `\"a\\nb\"`");
        check("vm_name", &json!(1000), "put it in double quotes");
        check("network_config.ip", &json!(true), "for example `\"192.0.2.10/24\"`");
        check("cloud_init_errors", &json!(false), "one of: fail, warn");
        assert!(hint("adopt", &json!(true)).contains("`phoenix import VMID`"));
        assert!(hint("template_name", &json!(9000)).contains("the name of template 9000"));
        assert!(hint("boot_order", &json!("order=scsi0")).contains("`boot_devices` lists what a VM tries"));
        assert!(!hint("user_config", &json!("-----BEGIN OPENSSH PRIVATE KEY-----")).contains("BEGIN"));
        assert!(!hint("cloud_image", &json!("https://me:hunter2@host/a")).contains("hunter2"));
    }
}
