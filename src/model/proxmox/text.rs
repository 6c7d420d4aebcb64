//! The text of an option: read from the file, brought into normal form, merged into what a VM has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Kind, Part, ProxmoxOption};

/// Why a value is none for an option: a lower-case fragment that begins with `must` or names the part at fault.
pub(super) type Wrong = String;

impl ProxmoxOption {
    /// Reads a value of the file into its normal form; empty: Proxmox's own default.
    ///
    /// # Errors
    /// It is no value for the option.
    pub fn read(&self, value: &Value) -> Result<String, Wrong> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Bool(on) => if *on { "1" } else { "0" }.to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(must(&self.spec.kind)),
        };
        if text.is_empty() {
            return Err("must not be empty; `null` takes an inherited value away".to_owned());
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(format!("must not contain the control character {}", control.escape_default()));
        }
        check(&self.spec.kind, &text)?;
        if self.name.starts_with("hostpci") || self.name.starts_with("usb") {
            let parts = pairs(&text, first(&self.spec.kind));
            match (parts.contains_key("host"), parts.contains_key("mapping")) {
                (true, true) => return Err("has both `host` and `mapping`".to_owned()),
                (false, false) => return Err("must have `mapping=NAME` or `host=…`".to_owned()),
                _ => {}
            }
        }
        Ok(self.normal(&text))
    }

    /// The normal form of a value: parts in one order, without Proxmox's defaults, switches as 1 and 0. Empty: it says
    /// nothing but what is so anyway. What is not known stays as it is.
    #[must_use]
    pub fn normal(&self, text: &str) -> String {
        normal(&self.spec.kind, text)
    }

    /// What a VM that has `live` will have where the file says `file`, in normal form: parts of a property string that the
    /// file does not say stay, but for those that it said at the last apply (`before`).
    #[must_use]
    pub fn merged(&self, live: &str, file: &str, before: &str) -> String {
        let Kind::Parts { first, .. } = &self.spec.kind else { return self.normal(file) };
        let (wanted, mut before) = (pairs(file, first), pairs(before, first));
        // A VM without its uuid has lost its identity for good (recorded).
        before.remove("uuid");
        let mut merged = pairs(live, first);
        merged.retain(|name, _| wanted.contains_key(name) || !before.contains_key(name));
        merged.extend(wanted);
        self.normal(&joined(&merged, first))
    }

    /// A value in normal form without what is a VM's own: the uuid of `smbios1`.
    #[must_use]
    pub fn without_identity(&self, value: &str) -> String {
        if self.name != "smbios1" {
            return value.to_owned();
        }
        let mut parts = pairs(value, "");
        parts.remove("uuid");
        joined(&parts, "")
    }

    /// A value in normal form as a file has it: a switch as such, a number as a number.
    #[must_use]
    pub fn to_json(&self, value: &str) -> Value {
        match &self.spec.kind {
            Kind::Switch { .. } => Value::Bool(value == "1"),
            Kind::Integer { .. } => value.parse::<i64>().map_or_else(|_| value.into(), Value::from),
            Kind::Number { .. } => value.parse::<f64>().map_or_else(|_| value.into(), Value::from),
            Kind::Words { .. } | Kind::Text { .. } | Kind::Parts { .. } => value.into(),
        }
    }

    /// What of the node such a value gives the guest, or a program of the guest's VM; `None`: nothing but what every VM has.
    #[must_use]
    pub fn reaches(&self, value: &str) -> Option<&'static str> {
        let part = |name: &str| pairs(value, first(&self.spec.kind)).remove(name).unwrap_or_default();
        let stem = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        match stem {
            "args" => Some("QEMU gets any arguments, and with them anything that root can read or write"),
            "hookscript" => Some("a script of the node runs as root whenever the VM starts and stops"),
            "ivshmem" => Some("memory is shared with other VMs and with programs of the node"),
            "parallel" => Some("the guest gets a port of the node"),
            "hostpci" if !part("romfile").is_empty() => Some("a file of the node becomes the ROM of a device"),
            "hostpci" if part("mapping").is_empty() => {
                Some("the guest gets a device of the node, which no mapping names")
            }
            "usb" if part("mapping").is_empty() && !part("host").eq_ignore_ascii_case("spice") => {
                Some("the guest gets a device of the node, which no mapping names")
            }
            "serial" if value != "socket" => Some("the guest gets a port of the node"),
            "rng" if part("source") == "/dev/hwrng" => Some("the guest reads the node's own random number generator"),
            _ => None,
        }
    }
}

/// The part whose name may be left out; empty: there is none.
fn first(kind: &Kind) -> &str {
    if let Kind::Parts { first, .. } = kind { first } else { "" }
}

/// The parts of a property string by name; of one that stands twice the last counts.
fn pairs(text: &str, first: &str) -> BTreeMap<String, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let named = parts.map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
        None => (first.to_owned(), part.to_owned()),
    });
    named.collect()
}

/// A property string: the part whose name may be left out first and bare, the others by name.
fn joined(parts: &BTreeMap<String, String>, first: &str) -> String {
    let bare = parts.get(first).filter(|_| !first.is_empty()).cloned();
    let others = parts.iter().filter(|(name, _)| *name != first || first.is_empty());
    let others = others.map(|(name, value)| if name.is_empty() { value.clone() } else { format!("{name}={value}") });
    bare.into_iter().chain(others).collect::<Vec<_>>().join(",")
}

fn default(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::Switch { default }
        | Kind::Integer { default, .. }
        | Kind::Number { default, .. }
        | Kind::Words { default, .. }
        | Kind::Text { default, .. } => default.as_deref(),
        Kind::Parts { .. } => None,
    }
}

fn normal(kind: &Kind, text: &str) -> String {
    let text = text.trim();
    let found = match kind {
        Kind::Switch { .. } => switch(text).map_or(text, |on| if on { "1" } else { "0" }).to_owned(),
        Kind::Integer { .. } => text.parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Number { .. } => text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Words { .. } | Kind::Text { .. } => text.to_owned(),
        Kind::Parts { first, parts } => {
            let mut known = pairs(text, first);
            for (name, value) in &mut known {
                if let Some(part) = parts.get(name) {
                    *value = normal(&part.kind, value);
                }
            }
            known.retain(|_, value| !value.is_empty());
            joined(&known, first)
        }
    };
    if default(kind) == Some(found.as_str()) { String::new() } else { found }
}

/// Whether a switch is on, in Proxmox's words.
fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

fn check(kind: &Kind, text: &str) -> Result<(), Wrong> {
    let fits = match kind {
        Kind::Switch { .. } => switch(text).is_some(),
        Kind::Integer { min, max, .. } => text
            .parse::<i64>()
            .is_ok_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        Kind::Number { min, max, .. } => text.parse::<f64>().is_ok_and(|number| {
            number.is_finite() && min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
        }),
        Kind::Words { words, .. } => words.iter().any(|word| word == text),
        Kind::Text { pattern, max_length, .. } => {
            max_length.is_none_or(|most| text.chars().count() <= most)
                && pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
        }
        Kind::Parts { first, parts } => return check_parts(first, parts, text),
    };
    if fits { Ok(()) } else { Err(must(kind)) }
}

fn check_parts(first: &str, parts: &BTreeMap<String, Part>, text: &str) -> Result<(), Wrong> {
    let mut seen: Vec<&str> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None if first.is_empty() => return Err(format!("has the part `{part}` without a name")),
            None => (first, part),
        };
        let Some(known) = parts.get(name) else {
            let all: Vec<&str> = parts.keys().map(String::as_str).collect();
            return Err(format!("has the part `{name}`, which it does not know; its parts are {}", all.join(", ")));
        };
        if seen.contains(&name) {
            return Err(format!("has `{name}` twice"));
        }
        check(&known.kind, value).map_err(|wrong| format!("has `{name}={value}`, which {wrong}"))?;
        seen.push(name);
    }
    match parts.iter().find(|(name, part)| part.required && !seen.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("must have `{name}=…`")),
        None => Ok(()),
    }
}

/// What a value must be, in words.
fn must(kind: &Kind) -> String {
    match kind {
        Kind::Switch { .. } => "must be `true` or `false`".to_owned(),
        Kind::Integer { min, max, .. } => format!("must be a whole number{}", range(min.as_ref(), max.as_ref())),
        Kind::Number { min, max, .. } => format!("must be a number{}", range(min.as_ref(), max.as_ref())),
        Kind::Words { words, .. } => format!("must be one of: {}", words.join(", ")),
        Kind::Text { like: Some(like), .. } => format!("must look like {like}"),
        Kind::Text { max_length: Some(most), .. } => format!("must be a text of at most {most} characters"),
        Kind::Text { .. } => "must be a text".to_owned(),
        Kind::Parts { first, parts } => {
            let names = parts.keys().filter(|name| *name != first).map(|name| format!("{name}=…"));
            let bare = (!first.is_empty()).then(|| first.to_owned());
            format!("must be a property string of: {}", bare.into_iter().chain(names).collect::<Vec<_>>().join(","))
        }
    }
}

fn range<T: std::fmt::Display>(min: Option<&T>, max: Option<&T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of at least {min}"),
        (None, Some(max)) => format!(" of at most {max}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::option;
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &Value, expected: Result<&str, &str>) {
        let found = option(name).unwrap().read(value);
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}: {value}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{name}: {value}: {found}"),
            _ => panic!("{name}: {value}: {found:?}"),
        }
    }

    #[test]
    fn values_of_the_file_are_checked_and_get_their_normal_form() {
        check("numa", &json!(true), Ok("1"));
        check("numa", &json!("on"), Ok("1"));
        check("numa", &json!(0), Ok(""));
        check("acpi", &json!(1), Ok(""));
        check("numa", &json!(2), Err("must be `true` or `false`"));
        check("balloon", &json!(2048), Ok("2048"));
        check("balloon", &json!(-1), Err("at least 0"));
        check("cpulimit", &json!(1.5), Ok("1.5"));
        check("cpulimit", &json!(129), Err("from 0 to 128"));
        check("bios", &json!("uefi"), Err("one of: seabios, ovmf"));
        check("cpu", &json!("cputype=host,hidden=off,flags=+aes"), Ok("host,flags=+aes"));
        check("cpu", &json!("host,flags=aes"), Err("has `flags=aes`, which must look like +aes;-pcid"));
        check("cpu", &json!("host,flag=+aes"), Err("which it does not know; its parts are cputype, flags,"));
        check("cpu", &json!("host,host"), Err("has `cputype` twice"));
        check("cpu", &json!([]), Err("must be a property string"));
        check("vga", &json!("memory=32"), Ok("memory=32"));
        check("hostpci0", &json!("pcie=1"), Err("must have `mapping=NAME`"));
        check("hostpci0", &json!("mapping=gpu,pcie=1"), Ok("mapping=gpu,pcie=1"));
        check("rng0", &json!("max_bytes=10"), Err("must have `source=…`"));
        check("serial0", &json!("socket"), Ok("socket"));
        check("args", &json!("-no-hpet\n"), Ok("-no-hpet"));
        check("args", &json!("a\nb"), Err("control character"));
        check("smbios1", &json!("uuid=x"), Err("which it does not know"));
    }

    #[test]
    fn what_the_file_does_not_say_stays_unless_it_said_it_before() {
        let cpu = option("cpu").unwrap();
        assert_eq!(cpu.merged("cputype=kvm64,hidden=1", "host", ""), "host,hidden=1");
        assert_eq!(cpu.merged("host,flags=+aes,hidden=1", "host", "host,flags=+aes"), "host,hidden=1");
        let smbios = option("smbios1").unwrap();
        assert_eq!(smbios.merged("uuid=1-2,serial=a", "serial=b", ""), "serial=b,uuid=1-2");
        assert_eq!(smbios.merged("uuid=1-2,serial=a", "", "serial=a"), "uuid=1-2");
        assert_eq!(option("numa").unwrap().merged("0", "1", ""), "1");
    }

    #[test]
    fn what_reaches_the_node_is_known() {
        for (name, value, reaches) in [
            ("args", "-x", true),
            ("hostpci0", "mapping=gpu", false),
            ("hostpci0", "0000:01:00", true),
            ("hostpci1", "mapping=gpu,romfile=x.rom", true),
            ("usb0", "spice", false),
            ("usb0", "1-2", true),
            ("serial0", "socket", false),
            ("serial0", "/dev/ttyS0", true),
            ("rng0", "/dev/urandom", false),
            ("rng0", "/dev/hwrng", true),
            ("cpu", "host", false),
        ] {
            assert_eq!(option(name).unwrap().reaches(value).is_some(), reaches, "{name}={value}");
        }
    }
}
