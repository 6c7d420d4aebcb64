//! Secrets in a text that is about to be shown: each byte of one becomes a `*`, so that places in the text stay where
//! they are.

use std::borrow::Cow;
use std::ops::Range;

/// The text without the passwords of URLs (`scheme://user:PASSWORD@host`), the values of keys that are called
/// passwords, and private keys.
#[must_use]
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut found: Vec<Range<usize>> = in_urls(text);
    found.extend(private_keys(text));
    found.extend(passwords(text));
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in found {
        bytes[range].fill(b'*');
    }
    // Whole texts between ASCII characters were replaced.
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where a text of JSON ends that begins at `from`: at its quote, or at the end of the line.
fn end_of_text(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'\n' | b'\r' => return at,
            b'"' if !escaped => return at,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

fn in_urls(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut end = 0;
    for (at, sign) in text.match_indices("://") {
        let start = at + sign.len();
        // A second one in the same text says nothing new.
        if start <= end {
            continue;
        }
        end = start + text[start..].find(['"', '\n', '\r']).unwrap_or(text.len() - start);
        let word = &text[start..end];
        if let Some((user, _)) = word.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
        {
            let from = start + name.len() + 1;
            found.push(from..from + password.len());
        }
    }
    found
}

fn private_keys(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices(crate::model::PRIVATE_KEY) {
        if found.last().is_some_and(|range| range.contains(&at)) {
            continue;
        }
        let start = text[..at].rfind(['"', '\n']).map_or(0, |quote| quote + 1);
        found.push(start..end_of_text(text, at));
    }
    found
}

fn passwords(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, name) in lower.match_indices("password\"") {
        let rest = &text[at + name.len()..];
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start).and_then(|value| value.strip_prefix('"'));
        if let Some(value) = value {
            let start = text.len() - value.len();
            found.push(start..end_of_text(text, start));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_become_stars() {
        for (text, expected) in [
            ("no secret: a@b", "no secret: a@b"),
            (r#""qm+ssh://root:a@b@pve1", 1"#, r#""qm+ssh://root:***@pve1", 1"#),
            (r#"{ "ciPassword" : "pä\"ss", "a": 1 }"#, r#"{ "ciPassword" : "*******", "a": 1 }"#),
            (
                r#"["-----BEGIN PRIVATE KEY-----\nb3Bl\n-----END PRIVATE KEY-----", 2]"#,
                r#"["************************************************************", 2]"#,
            ),
            ("-----BEGIN PRIVATE KEY-----\nx", "***************************\nx"),
        ] {
            let shown = without_secrets(text);
            assert_eq!((shown.as_ref(), shown.len()), (expected, text.len()), "{text}");
        }
    }
}
