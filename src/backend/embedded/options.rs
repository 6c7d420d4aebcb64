//! The options of a VM: which there are, what Proxmox accepts, when a running VM takes them over.
//!
//! Names, types and limits are those of the API schema of qemu-server 9; the refusals are worded as Proxmox words them.

use crate::model::proxmox::{self, Taken};
use crate::model::{NetworkModel, OsType};
use crate::observed::{Conf, MAX_NOTES, Net, PropertyString, is_disk_key, normal_tags};

/// When a running VM takes over a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uptake {
    /// At once.
    Live,
    /// A network card: at once where network hotplug is on.
    Network,
    /// A disk: limits and what concerns copies at once, the others at the next start.
    Disk,
    /// Memory: more of it at once where memory hotplug is on.
    Memory,
    /// As the table of Proxmox's options says.
    Named(Taken),
    /// At the next start.
    Start,
}

/// What an option takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Integer(i64),
    OneOf(&'static [&'static str]),
    OsType,
    Name,
    Tags,
    Net,
    Memory,
    Notes,
    Agent,
    Hotplug,
    Text,
}

/// Options taken over at once.
const LIVE: [&str; 8] = ["name", "onboot", "startup", "description", "protection", "tags", "hookscript", "lock"];
/// Options of cloud-init; their new values lie in the drive made at the next start, but count as taken over.
const CLOUD_INIT: [&str; 8] =
    ["cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"];
const BOOLEANS: [&str; 13] = [
    "acpi",
    "allow-ksm",
    "autostart",
    "ciupgrade",
    "freeze",
    "keephugepages",
    "kvm",
    "localtime",
    "numa",
    "onboot",
    "protection",
    "tablet",
    "tdf",
];
const TEXTS: [&str; 27] = [
    "affinity",
    "amd-sev",
    "args",
    "audio0",
    "boot",
    "bootdisk",
    "cicustom",
    "cipassword",
    "ciuser",
    "cpu",
    "cpulimit",
    "hookscript",
    "hugepages",
    "ivshmem",
    "machine",
    "migrate_downtime",
    "nameserver",
    "rng0",
    "searchdomain",
    "smbios1",
    "spice_enhancements",
    "sshkeys",
    "startdate",
    "startup",
    "vga",
    "vmgenid",
    "watchdog",
];
/// Options with a number behind them.
const NUMBERED: [&str; 8] = ["hostpci", "ipconfig", "numa", "parallel", "serial", "unused", "usb", "virtiofs"];
const HOTPLUG: [&str; 6] = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];

fn kind(key: &str) -> Option<Kind> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = stem.len() < key.len();
    Some(match key {
        "name" => Kind::Name,
        "tags" => Kind::Tags,
        "memory" => Kind::Memory,
        "description" => Kind::Notes,
        "agent" => Kind::Agent,
        "hotplug" => Kind::Hotplug,
        "ostype" => Kind::OsType,
        "cores" | "sockets" | "vcpus" | "smp" | "cpuunits" => Kind::Integer(1),
        "balloon" | "shares" | "migrate_speed" => Kind::Integer(0),
        "bios" => Kind::OneOf(&["seabios", "ovmf"]),
        "arch" => Kind::OneOf(&["x86_64", "aarch64"]),
        "citype" => Kind::OneOf(&["configdrive2", "nocloud", "opennebula"]),
        "scsihw" => Kind::OneOf(&["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"]),
        "lock" => Kind::OneOf(&[
            "backup",
            "clone",
            "create",
            "migrate",
            "rollback",
            "snapshot",
            "snapshot-delete",
            "suspending",
            "suspended",
        ]),
        _ if numbered && stem == "net" => Kind::Net,
        _ if numbered && NUMBERED.contains(&stem) => Kind::Text,
        _ if BOOLEANS.contains(&key) => Kind::Bool,
        // What the table has, it also checks.
        _ if TEXTS.contains(&key) || proxmox::option(key).is_some() => Kind::Text,
        _ => return None,
    })
}

/// Whether there is such an option.
pub(super) fn is_known(key: &str) -> bool {
    kind(key).is_some()
}

/// Whether cloud-init tells the guest the value of this option.
pub(super) fn is_told_to_guest(key: &str) -> bool {
    key == "name" || CLOUD_INIT.contains(&key) || key.starts_with("ipconfig") || matches!(kind(key), Some(Kind::Net))
}

/// When a running VM takes over a new value of this option.
pub(super) fn uptake(key: &str) -> Uptake {
    if matches!(kind(key), Some(Kind::Net)) {
        Uptake::Network
    } else if is_disk_key(key) {
        Uptake::Disk
    } else if matches!(kind(key), Some(Kind::Memory)) {
        Uptake::Memory
    } else if let Some(option) = proxmox::option(key) {
        Uptake::Named(option.spec.taken)
    } else if LIVE.contains(&key)
        || CLOUD_INIT.contains(&key)
        || key.starts_with("ipconfig")
        || key.starts_with("unused")
    {
        Uptake::Live
    } else {
        Uptake::Start
    }
}

/// The value as Proxmox stores it, or why it refuses it. A description stays as it is; a card gets a MAC if it has
/// none.
pub(super) fn normal_value(key: &str, value: &str) -> Result<String, String> {
    let Some(kind) = kind(key) else {
        return Err("property is not defined in schema and the schema does not allow additional properties".to_owned());
    };
    if !matches!(kind, Kind::Notes) && value.contains(['\n', '\r', '\0']) {
        return Err("invalid format - value contains a line break".to_owned());
    }
    if key == "cpu" {
        let custom = || proxmox::cpu::custom_cpu(value).map(|name| format!("Custom cputype '{name}' not found"));
        if let Some(why) = proxmox::cpu::bad_cpu(value).next().map(proxmox::cpu::BadCpu::refusal).or_else(custom) {
            return Err(format!("invalid format - {why}"));
        }
    }
    // The uuid is no part that a file may name, nor is whether the agent is on.
    if let Some(option) = proxmox::option(key).filter(|option| !["agent", "hotplug", "smbios1"].contains(&option.name))
    {
        let wrong = |why: String| format!("invalid format - {why}");
        return option.read(&value.into()).map(|_| value.to_owned()).map_err(wrong);
    }
    match kind {
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "1" | "on" | "yes" | "true" => Ok("1".to_owned()),
            "0" | "off" | "no" | "false" => Ok("0".to_owned()),
            _ => Err(format!("type check ('boolean') failed - got '{value}'")),
        },
        Kind::Integer(least) => integer(value, least),
        Kind::OneOf(words) => one_of(value, words),
        Kind::OsType => one_of(value, &OsType::ALL.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>()),
        Kind::Name if is_dns_name(value) => Ok(value.to_owned()),
        Kind::Name => Err("invalid format - value does not look like a valid DNS name".to_owned()),
        Kind::Tags => tags(value),
        Kind::Net => net(key, value),
        Kind::Memory => memory(value),
        Kind::Notes if value.chars().count() > MAX_NOTES => {
            Err(format!("value may only be {MAX_NOTES} characters long"))
        }
        Kind::Agent => agent(value),
        Kind::Hotplug => match value
            .split([',', ';', ' '])
            .find(|word| !word.is_empty() && !HOTPLUG.contains(word) && value != "0" && value != "1")
        {
            Some(word) => Err(format!("invalid format - invalid hotplug feature '{word}'")),
            None => Ok(value.to_owned()),
        },
        Kind::Notes | Kind::Text => Ok(value.to_owned()),
    }
}

fn integer(value: &str, least: i64) -> Result<String, String> {
    match value.parse::<i64>() {
        Ok(number) if number < least => Err(format!("value must have a minimum value of {least}")),
        Ok(number) => Ok(number.to_string()),
        Err(_) => Err(format!("type check ('integer') failed - got '{value}'")),
    }
}

fn one_of(value: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&value) {
        Ok(value.to_owned())
    } else {
        Err(format!("value '{value}' does not have a value in the enumeration '{}'", words.join(", ")))
    }
}

/// Whether Proxmox takes a VM name: labels of letters, digits and inner dashes.
pub(super) fn is_dns_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    })
}

fn tags(value: &str) -> Result<String, String> {
    let tags = normal_tags(value);
    let fits = |tag: &String| {
        let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        first && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b))
    };
    if !tags.iter().all(fits) {
        return Err("invalid format - invalid characters in tag".to_owned());
    }
    // What Proxmox makes of no tag at all.
    Ok(if tags.is_empty() { " ".to_owned() } else { tags.join(";") })
}

fn memory(value: &str) -> Result<String, String> {
    let number = value.strip_prefix("current=").unwrap_or(value);
    match integer(number, 16) {
        Ok(number) if number.len() == value.len() => Ok(number),
        Ok(_) => Ok(value.to_owned()),
        Err(why) => Err(format!("invalid format - format error\nmemory.current: {why}")),
    }
}

fn agent(value: &str) -> Result<String, String> {
    let keys = ["enabled", "freeze-fs", "freeze-fs-on-backup", "guest-fsfreeze", "fstrim_cloned_disks", "type"];
    let parts = PropertyString::parse(value).parts;
    match parts.iter().find(|(key, _)| !key.is_empty() && !keys.contains(&key.as_str())) {
        Some((key, _)) => Err(format!(
            "invalid format - format error\nagent.{key}: property is not defined in schema and the schema does not allow additional properties"
        )),
        None if parts.is_empty() => {
            Err("invalid format - format error\nagent.enabled: property is missing and it is not optional".to_owned())
        }
        None => Ok(value.to_owned()),
    }
}

fn net(key: &str, value: &str) -> Result<String, String> {
    let error = |part: &str, why: String| Err(format!("invalid format - format error\n{key}.{part}: {why}"));
    if value.split(',').any(|part| part.split_once('=').is_some_and(|(k, v)| k.is_empty() || v.is_empty())) {
        return Err("invalid format - missing key in comma-separated list property".to_owned());
    }
    let Some(mut net) = Net::parse(value) else {
        return error("model", "property is missing and it is not optional".to_owned());
    };
    if NetworkModel::from_word(&net.model).is_none() {
        let mut models: Vec<&str> = NetworkModel::ALL.iter().map(|(word, _)| word.as_str()).collect();
        models.sort_unstable();
        return error(
            "model",
            format!("value '{}' does not have a value in the enumeration '{}'", net.model, models.join(", ")),
        );
    }
    let mac = net.mac.get_or_insert_with(new_mac);
    if !is_unicast_mac(mac) {
        return error("macaddr", "invalid format - value does not look like a valid unicast MAC address".to_owned());
    }
    Ok(net.to_string())
}

/// A new MAC address with the prefix Proxmox uses.
pub(super) fn new_mac() -> String {
    let [a, b, c, ..] = uuid::Uuid::new_v4().into_bytes();
    format!("BC:24:11:{a:02X}:{b:02X}:{c:02X}")
}

fn is_unicast_mac(mac: &str) -> bool {
    let bytes: Vec<Option<u8>> =
        mac.split(':').map(|b| u8::from_str_radix(b, 16).ok().filter(|_| b.len() == 2)).collect();
    bytes.len() == 6 && bytes.iter().all(Option::is_some) && bytes[0].is_some_and(|first| first & 1 == 0)
}

/// Whether a configuration has the guest agent switched on.
pub(super) fn agent_is_on(conf: &Conf<'_>) -> bool {
    let agent = PropertyString::parse(conf.get("agent").unwrap_or_default());
    let enabled = agent.get("enabled").or(agent.get("")).unwrap_or("0");
    ["1", "on", "yes", "true"].contains(&enabled.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_refused_as_proxmox_refuses_it() {
        for (value, refusal) in [
            ("host", None),
            ("cputype=kvm64,flags=+aes", None),
            ("hostt", Some("Built-in cputype 'hostt' is not defined (missing 'custom-' prefix?)")),
            ("custom-nosuch", Some("Custom cputype 'nosuch' not found")),
            ("kvm64,flags=+nosuch", Some("VM-specific CPU flags must be a subset of: aes, amd-no-ssb,")),
        ] {
            let said = normal_value("cpu", value).err();
            assert_eq!(said.is_some(), refusal.is_some(), "{value}: {said:?}");
            assert!(said.unwrap_or_default().contains(refusal.unwrap_or_default()), "{value}");
        }
    }

    /// A rehearsal must not refuse what a node takes.
    #[test]
    fn every_option_of_the_table_is_known() {
        for option in proxmox::options().keys() {
            assert!(is_known(option), "{option}");
        }
    }
}
