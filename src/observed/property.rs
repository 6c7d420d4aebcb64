//! Proxmox property strings: `virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1`.

use std::fmt;

/// A property string in its own order, every part kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertyString {
    /// The parts; a part without `=` has an empty key.
    pub parts: Vec<(String, String)>,
}

/// The parts of a property string: key and value; a part without `=` has an empty key.
pub(super) fn parts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or(("", part)))
}

/// The value of `key` in a property string; a part without `=` stands for `default_key`.
pub(super) fn value<'a>(text: &'a str, key: &str, default_key: &str) -> Option<&'a str> {
    parts(text).find(|(k, _)| *k == key || (k.is_empty() && key == default_key)).map(|(_, value)| value)
}

/// Whether a Proxmox boolean is on. Proxmox accepts `1`, `on`, `yes` and `true` in any case.
pub(super) fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

/// Whether `agent` as it stands switches the guest agent on.
pub(super) fn is_agent_on(options: &str) -> bool {
    value(options, "enabled", "enabled").is_some_and(is_on)
}

impl PropertyString {
    /// Reads a property string. Empty parts are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { parts: parts(text).map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.parts.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Sets a key in its place, or at the end if it is new.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.parts.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.parts.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.parts.retain(|(k, _)| k != key);
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, value)) in self.parts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let equals = if key.is_empty() { "" } else { "=" };
            write!(f, "{comma}{key}{equals}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_parts() {
        let text = "local-zfs:vm-101-disk-0,discard=on,size=32G";
        let mut disk = PropertyString::parse(text);
        assert_eq!(disk.to_string(), text);
        disk.set("size", "40G");
        disk.set("ssd", "1");
        disk.remove("discard");
        assert_eq!(disk.to_string(), "local-zfs:vm-101-disk-0,size=40G,ssd=1");
    }

    #[test]
    fn booleans_as_proxmox_takes_them() {
        for on in ["1", "on", "Yes", "TRUE"] {
            assert!(is_on(on), "{on}");
        }
        for off in ["0", "off", "no", "", "2", "maybe"] {
            assert!(!is_on(off), "{off}");
        }
    }
}
