//! What editors say where a text does not have the form that its key asks for (`patternErrorMessage`, which VS Code and
//! others show in place of the pattern).

use serde_json::Value;

use crate::config::{lexis, pools, raw};

/// What each pattern asks for.
const WORDS: [(&str, &str); 28] = [
    (lexis::ADDRESSES, "must be IP addresses, separated by spaces"),
    (lexis::BOOT_DEVICE, "must be the slot of a disk, CD drive, network card or device, e.g. `scsi0` or `net0`"),
    (lexis::BRIDGE, "must be the name of a bridge: a letter, then at most 14 letters, digits, `.`, `_` and `-`"),
    (lexis::DNS_NAME, "must be a DNS name: letters, digits and `-`, in parts separated by `.`"),
    (lexis::DOMAINS, "must be DNS names, separated by spaces"),
    (lexis::FEATURE, "must be the name of a feature: lower-case letters, digits, `_` and `-`"),
    (lexis::GATEWAY, "must be an IPv4 address, e.g. `192.0.2.1`"),
    (lexis::GATEWAY6, "must be an IPv6 address, e.g. `2001:db8::1`"),
    (lexis::IMAGE, "must be an absolute path on the node, an `https:` URL, or a volume of a storage"),
    (lexis::IPV4, "must be `dhcp`, `none`, or an IPv4 address with its prefix length, e.g. `192.0.2.10/24`"),
    (lexis::IPV6, "must be `dhcp`, `auto`, `none`, or an IPv6 address with its prefix length, e.g. `2001:db8::10/64`"),
    (lexis::MAC, "must be the MAC address of one card, e.g. `BC:24:11:00:00:01`"),
    (lexis::NODE, "must be the name of a node: letters, digits and `-`"),
    (lexis::PATH, "must be an absolute path without spaces, quotes, `#`, `:` and `,`"),
    (lexis::PROJECT, "must be lower-case letters, digits, `_` and `-`, at most 32"),
    (lexis::SERVER, "must be a DNS name or an IP address"),
    (lexis::SHA256, "must be a SHA-256: 64 hexadecimal digits"),
    (lexis::SHA512, "must be a SHA-512: 128 hexadecimal digits"),
    (lexis::SSH_KEY, "must be a public key as in a `.pub` file: its type, then the key"),
    (lexis::STORAGE, "must be the name of a storage: a letter, then letters, digits, `.`, `_` and `-`"),
    (lexis::TAG, "must be a tag: letters, digits, `_`, `+`, `.` and `-`"),
    (lexis::TRUNKS, "must be VLANs and ranges of VLANs, separated by `;`, e.g. `10;20-29`"),
    (lexis::USER, "must be the name of a user, without spaces at its ends"),
    (lexis::UUID, "must be the uuid of a VM, e.g. `2f5c8f4e-0b1d-4c7e-9a53-1d2e3f405162`"),
    (lexis::VOLUME, "must be a volume, `STORAGE:NAME`"),
    (pools::POOL, "must be the name of a resource pool, of at most three parts separated by `/`; empty: none"),
    (raw::SECRET_NAME, "must be a letter or a digit, then letters, digits, `_` and `-`, at most 64 in all"),
    (raw::SECRET_VARIABLE, "must be `PHOENIX_SECRET_` and then capital letters, digits and `_`"),
];

/// Adds to each pattern of a schema what it asks for.
pub(super) fn explain(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let pattern = object.get("pattern").and_then(Value::as_str);
            if let Some((_, words)) = pattern.and_then(|text| WORDS.iter().find(|(pattern, _)| *pattern == text)) {
                object.insert("patternErrorMessage".into(), (*words).into());
            }
            object.values_mut().for_each(explain);
        }
        Value::Array(items) => items.iter_mut().for_each(explain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
