//! The text of an option: read from the file, brought into normal form, merged into what a VM has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cpu::{BadCpu, bad_cpu, in_order};
use super::fits::{Wrong, check, must, switch};
use super::{Kind, ProxmoxOption, smbios};

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
        if self.name == AGENT && text.split(',').any(|part| !part.contains('=') || part.trim().starts_with("enabled="))
        {
            return Err("must not say whether the agent is on: phoenix sees to that, by `ready`".to_owned());
        }
        check(&self.spec.kind, &text)?;
        if self.name == smbios::OPTION {
            smbios::check(&pairs(&text, &self.spec.kind))?;
        }
        // Whether a newer Proxmox has such a model is not known here.
        if let Some(bad) = self.bad_cpu(&text).find(|bad| matches!(bad, BadCpu::Flag(_))) {
            return Err(bad.wrong());
        }
        if self.name.starts_with("hostpci") || self.name.starts_with("usb") {
            let parts = pairs(&text, &self.spec.kind);
            match (parts.contains_key("host"), parts.contains_key("mapping")) {
                (true, true) => return Err("has both `host` and `mapping`".to_owned()),
                (false, false) => return Err("must have `mapping=NAME` or `host=…`".to_owned()),
                _ => {}
            }
        }
        // What says the default says more than nothing: it takes the place of what a VM has.
        Ok(if matches!(self.spec.kind, Kind::Parts { .. }) {
            whole(&self.spec.kind, &text)
        } else {
            self.normal(&text)
        })
    }

    /// What Proxmox refuses of a text that looks like a value, where the option is `cpu`.
    pub fn bad_cpu<'t>(&self, text: &'t str) -> impl Iterator<Item = BadCpu<'t>> + use<'t> {
        Some(text).filter(|_| self.key == "proxmox.cpu").into_iter().flat_map(bad_cpu)
    }

    /// The normal form of a value: parts in one order, without Proxmox's defaults, switches as 1 and 0. Empty: it says
    /// nothing but what is so anyway. What is not known stays as it is.
    #[must_use]
    pub fn normal(&self, text: &str) -> String {
        normal(&self.spec.kind, text)
    }

    /// What a VM that has `live` will have where the file says `file`, in normal form: parts of a property string that
    /// the file does not say stay, but for those that it said at the last apply (`before`).
    #[must_use]
    pub fn merged(&self, live: &str, file: &str, before: &str) -> String {
        let kind = &self.spec.kind;
        let Kind::Parts { first, .. } = kind else {
            return if self.key == super::BOOT_DEVICES { devices(live, file) } else { self.normal(file) };
        };
        let (wanted, mut before) = (pairs(file, kind), pairs(before, kind));
        // A VM without its uuid has lost its identity for good (recorded); a card has a model, its address and a
        // bridge.
        for stays in ["uuid", "model", "macaddr", "bridge"] {
            before.remove(stays);
        }
        // Of the addresses of a card, the file says all or nothing.
        let mut merged = pairs(if self.is_address() { "" } else { live }, kind);
        merged.retain(|name, _| wanted.contains_key(name) || !before.contains_key(name));
        // A device is one of a mapping or one of the node; and one part of the agent has two names.
        for (one, other) in [("host", "mapping"), ("mapping", "host"), FREEZE, (FREEZE.1, FREEZE.0)] {
            if wanted.contains_key(one) {
                merged.remove(other);
            }
        }
        if self.name == smbios::OPTION {
            return joined(&smbios::over(merged, wanted), first);
        }
        merged.extend(wanted);
        if self.is_address() {
            merged.retain(|name, value| !(ADDRESSES.contains(&name.as_str()) && value == "none"));
        }
        self.own(&joined(&merged, first))
    }

    /// What of a value, in normal form, the option's key stands for: of the first card all but its model and bridge, of
    /// a disk its options without its volume, of a CD drive what lies in it, of `boot` the devices.
    #[must_use]
    pub fn own(&self, text: &str) -> String {
        let Kind::Parts { first, parts } = &self.spec.kind else {
            return match self.key {
                super::BOOT_DEVICES => devices(text, ""),
                key if key.starts_with(super::CDROM) => text.split(',').next().unwrap_or_default().trim().to_owned(),
                _ => self.normal(text),
            };
        };
        let mut own = pairs(text, &self.spec.kind);
        match self.name {
            "net0" => own.retain(|name, _| name != "model" && name != "bridge"),
            super::BOOT_DISK | AGENT => own.retain(|name, _| parts.contains_key(name)),
            _ if self.key.starts_with(super::DISKS) => own.retain(|name, _| parts.contains_key(name)),
            _ => {}
        }
        self.normal(&joined(&own, first))
    }

    /// Proxmox's default, as a value of the option; `None`: there is none, or its parts have their own.
    #[must_use]
    pub fn default(&self) -> Option<&str> {
        default(&self.spec.kind)
    }

    /// Proxmox's default of one of its parts, as a file has it; `None`: it has none.
    #[must_use]
    pub fn default_of(&self, part: &str) -> Option<Value> {
        let Kind::Parts { parts, .. } = &self.spec.kind else { return None };
        let kind = &parts.get(part)?.kind;
        Some(to_json(kind, default(kind)?))
    }

    /// Whether it has a part of this name.
    #[must_use]
    pub fn knows(&self, part: &str) -> bool {
        matches!(&self.spec.kind, Kind::Parts { parts, .. } if parts.contains_key(part))
    }

    /// Whether a file can say a part of it: it is known, and the value is one that it takes.
    #[must_use]
    pub fn says(&self, part: &str, value: &str) -> bool {
        self.knows(part) && self.read(&Value::String(format!("{part}={value}"))).is_ok()
    }

    fn is_address(&self) -> bool {
        self.name.starts_with("ipconfig")
    }

    /// A value in normal form without what is a VM's own: the uuid of `smbios1`, the address of a card.
    #[must_use]
    pub fn without_identity(&self, value: &str) -> String {
        let Kind::Parts { first, .. } = &self.spec.kind else { return value.to_owned() };
        let mut parts = pairs(value, &self.spec.kind);
        parts.retain(|name, _| name != "uuid" && name != "macaddr");
        joined(&parts, first)
    }

    /// The parts of a value in normal form by their names, each as a file has it; none for what is no property string.
    #[must_use]
    pub fn to_parts(&self, value: &str) -> BTreeMap<String, Value> {
        let Kind::Parts { parts, .. } = &self.spec.kind else { return BTreeMap::new() };
        let read = |(name, value): (String, String)| {
            let json = parts.get(&name).map_or_else(|| value.as_str().into(), |part| to_json(&part.kind, &value));
            (name, json)
        };
        pairs(value, &self.spec.kind).into_iter().map(read).collect()
    }

    /// A value in normal form as a file has it: a switch as such, a number as a number.
    #[must_use]
    pub fn to_json(&self, value: &str) -> Value {
        to_json(&self.spec.kind, value)
    }
}

/// The option of the guest agent; whether it is on is none of what a file says of it.
const AGENT: &str = "agent";

/// The part of it that has two names.
const FREEZE: (&str, &str) = ("freeze-fs", "freeze-fs-on-backup");

/// The parts of `ipconfigN` that are addresses.
const ADDRESSES: [&str; 2] = ["ip", "ip6"];

/// The order of the devices of a VM that has `live`: those of the file, then the others as they were. Either is a value
/// of Proxmox's `boot`, or the devices alone.
fn devices(live: &str, file: &str) -> String {
    let listed = |text: &str| -> Vec<String> {
        let order = if text.contains('=') { text.to_owned() } else { format!("order={text}") };
        super::boot_order(&order).map(str::to_owned).collect()
    };
    let mut all = listed(file);
    let others: Vec<String> = listed(live).into_iter().filter(|device| !all.contains(device)).collect();
    all.extend(others);
    all.join(";")
}

/// A value in normal form as a file has it: a switch as such, a number as a number.
fn to_json(kind: &Kind, value: &str) -> Value {
    match kind {
        Kind::Switch { .. } => Value::Bool(value == "1"),
        Kind::Integer { .. } => value.parse::<i64>().map_or_else(|_| value.into(), Value::from),
        Kind::Number { .. } => {
            let fraction = || value.parse::<f64>().map_or_else(|_| value.into(), Value::from);
            value.parse::<i64>().map_or_else(|_| fraction(), Value::from)
        }
        Kind::Words { .. } | Kind::Text { .. } | Kind::Parts { .. } => value.into(),
    }
}

/// The parts of a property string by name; of one that stands twice the last counts. A part whose name is a model of a
/// network card says its model and its address (`virtio=BC:24:11:00:00:01`).
pub(super) fn pairs(text: &str, kind: &Kind) -> BTreeMap<String, String> {
    let Kind::Parts { first, parts } = kind else { return BTreeMap::new() };
    let is_model = |name: &str| match parts.get(first).map(|part| &part.kind) {
        Some(Kind::Words { words, .. }) => parts.contains_key("macaddr") && words.iter().any(|word| word == name),
        _ => false,
    };
    let mut named = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((model, address)) if is_model(model) => {
                named.insert(first.clone(), model.to_owned());
                named.insert("macaddr".to_owned(), address.to_owned());
            }
            Some((name, value)) => drop(named.insert(name.to_owned(), value.to_owned())),
            None => drop(named.insert(first.clone(), part.to_owned())),
        }
    }
    named
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
        Kind::Parts { first, parts } => {
            let mut known = pairs(&whole(kind, text), kind);
            known.retain(|name, value| {
                let default = parts.get(name).and_then(|part| default(&part.kind));
                !value.is_empty() && default != Some(value.as_str())
            });
            joined(&known, first)
        }
        plain => spelt(plain, text),
    };
    if default(kind) == Some(found.as_str()) { String::new() } else { found }
}

/// A property string in one order and one spelling, with the parts that say Proxmox's defaults.
fn whole(kind: &Kind, text: &str) -> String {
    let Kind::Parts { first, parts } = kind else { return text.to_owned() };
    let mut known = pairs(text, kind);
    for (name, value) in &mut known {
        let Some(part) = parts.get(name) else { continue };
        *value = match &part.kind {
            Kind::Text { .. } if name == "macaddr" => value.to_ascii_uppercase(),
            Kind::Text { .. } if name == "flags" => in_order(value),
            kind => spelt(kind, value),
        };
    }
    joined(&known, first)
}

/// A plain value in one spelling.
fn spelt(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Switch { .. } => switch(text).map_or(text, |on| if on { "1" } else { "0" }).to_owned(),
        Kind::Integer { .. } => text.parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Number { .. } => text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Words { .. } | Kind::Text { .. } | Kind::Parts { .. } => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{address, boot_disk, card, option};
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
        check("cpu", &json!("cputype=host,hidden=off,flags=+aes"), Ok("host,flags=+aes,hidden=0"));
        check("cpu", &json!("host,flags=aes"), Err("has `flags=aes`, which must look like +aes;-pcid"));
        check("cpu", &json!("host,flag=+aes"), Err("which it does not know; its parts are cputype, flags,"));
        check("cpu", &json!("host,host"), Err("has `cputype` twice"));
        check("cpu", &json!("a model"), Err("must look like host or x86-64-v2-AES"));
        check("cpu", &json!("EPYC-v99"), Ok("EPYC-v99"));
        check("cpu", &json!("EPYC-v99,flags=+bogus"), Err("has the flag `+bogus`"));
        check("cpu", &json!("custom-mine,flags=-pcid;+aes"), Ok("custom-mine,flags=+aes;-pcid"));
        check("cpu", &json!("host,flags=+aes;+bogus"), Err("has the flag `+bogus`"));
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
        // What says the default takes the place of what there is.
        assert_eq!(cpu.merged("host,hidden=1", "host,hidden=0", ""), "host");
        let gpu = option("hostpci0").unwrap();
        assert_eq!(gpu.merged("0000:01:00,pcie=1", "mapping=gpu", ""), "mapping=gpu,pcie=1");
        assert_eq!(gpu.merged("mapping=gpu", "0000:01:00", ""), "0000:01:00");
        assert_eq!(option("numa").unwrap().merged("0", "1", ""), "1");
    }

    #[test]
    fn a_card_keeps_its_address_its_model_and_its_bridge() {
        let check = |slot: &str, live: &str, file: &str, before: &str, expected: &str| {
            assert_eq!(card(slot).unwrap().merged(live, file, before), expected, "{slot}: {live} and {file}");
        };
        let live = "virtio=bc:24:11:00:00:01,bridge=vmbr0,firewall=1";
        check(
            "net1",
            live,
            "virtio,bridge=vmbr1,tag=20",
            "",
            "virtio,bridge=vmbr1,firewall=1,macaddr=BC:24:11:00:00:01,tag=20",
        );
        check("net1", live, "firewall=0", "firewall=1", "virtio,bridge=vmbr0,macaddr=BC:24:11:00:00:01");
        check("net1", live, "", "virtio,bridge=vmbr0,firewall=1", "virtio,bridge=vmbr0,macaddr=BC:24:11:00:00:01");
        check("net0", live, "tag=20", "", "firewall=1,macaddr=BC:24:11:00:00:01,tag=20");
        let of = address("net1").unwrap();
        assert_eq!(of.merged("ip=10.0.0.5/24,gw=10.0.0.1", "ip=none,ip6=auto", ""), "ip6=auto");
        assert_eq!(of.merged("ip=10.0.0.5/24,gw=10.0.0.1", "ip=dhcp", ""), "ip=dhcp");
        let disk = boot_disk().unwrap();
        assert_eq!(disk.merged("local:100/vm.raw,discard=on,size=4G", "ssd=1,discard=ignore", ""), "ssd=1");
        assert_eq!(disk.merged("local:100/vm.raw,ssd=1,size=4G", "", "ssd=1"), "");
    }
}
