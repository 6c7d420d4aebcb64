//! The texts of `smbios1`: all plain, or all in Base64, for one switch says which.

use std::collections::BTreeMap;

use data_encoding::BASE64;

use super::fits::{Wrong, switch};

/// The option.
pub(super) const OPTION: &str = "smbios1";

/// The part that says that the texts are in Base64.
const ENCODED: &str = "base64";

/// Whether a part is a text.
fn is_text(name: &str) -> bool {
    name != ENCODED && name != "uuid"
}

fn is_encoded(parts: &BTreeMap<String, String>) -> bool {
    parts.get(ENCODED).and_then(|on| switch(on)).unwrap_or_default()
}

/// Refuses plain text where Base64 is said.
pub(super) fn check(parts: &BTreeMap<String, String>) -> Result<(), Wrong> {
    let texts = parts.iter().filter(|(name, _)| is_encoded(parts) && is_text(name));
    let plain = texts.into_iter().find(|(_, text)| BASE64.decode(text.as_bytes()).is_err());
    plain.map_or(Ok(()), |(name, text)| {
        let encoded = BASE64.encode(text.as_bytes());
        Err(format!("has `{name}={text}`, which is not Base64, and `base64=1`; in Base64 it is `{name}={encoded}`"))
    })
}

/// What a file says over what stays of a VM's. Where one of them is plain and the other is not, both become Base64: that
/// can say any text.
pub(super) fn over(stays: BTreeMap<String, String>, wanted: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let stays: BTreeMap<String, String> =
        stays.into_iter().filter(|(name, _)| name == ENCODED || !wanted.contains_key(name)).collect();
    let has_text = |parts: &BTreeMap<String, String>| parts.keys().any(|name| is_text(name));
    let (before, now) = (is_encoded(&stays), is_encoded(&wanted));
    let encoded = match (has_text(&stays), has_text(&wanted)) {
        (true, true) => before || now,
        (true, false) => before,
        (false, _) => now,
    };
    let as_wanted = |parts: BTreeMap<String, String>, is: bool| {
        parts.into_iter().filter(|(name, _)| name != ENCODED).map(move |(name, text)| {
            let plain = encoded && !is && is_text(&name);
            let text = if plain { BASE64.encode(text.as_bytes()) } else { text };
            (name, text)
        })
    };
    let mut all: BTreeMap<String, String> = as_wanted(stays, before).chain(as_wanted(wanted, now)).collect();
    if encoded {
        all.insert(ENCODED.to_owned(), "1".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::option;

    #[test]
    fn texts_are_all_plain_or_all_in_base64() {
        let smbios = option(super::OPTION).unwrap();
        let read = |text: &str| smbios.read(&json!(text));
        assert_eq!(read("base64=1,serial=bWFpbC0x").as_deref(), Ok("base64=1,serial=bWFpbC0x"));
        assert!(read("serial=mail-1").is_err_and(|wrong| wrong.contains("any other text in Base64")));
        assert!(read("serial=mail1,base64=on").is_err_and(|wrong| wrong.contains("in Base64 it is `serial=bWFpbDE=`")));
        for (live, file, before, expected) in [
            ("uuid=1-2,serial=a", "serial=b", "", "serial=b,uuid=1-2"),
            ("uuid=1-2,serial=a", "", "serial=a", "uuid=1-2"),
            ("base64=1,serial=YQ==,sku=YjE=,uuid=1-2", "serial=c1", "", "base64=1,serial=YzE=,sku=YjE=,uuid=1-2"),
            ("serial=a1,uuid=1-2", "base64=1,sku=YjE=", "", "base64=1,serial=YTE=,sku=YjE=,uuid=1-2"),
            ("base64=1,serial=YQ==,uuid=1-2", "serial=c1", "", "serial=c1,uuid=1-2"),
            ("base64=1,serial=YQ==,uuid=1-2", "", "base64=1,serial=YQ==", "uuid=1-2"),
        ] {
            let merged = smbios.merged(live, file, before);
            assert_eq!(merged, expected, "{live} and {file}");
            assert_eq!(smbios.merged(&merged, file, file), merged, "again: {live} and {file}");
        }
    }
}
