//! Secrets in a text that is about to be shown: each byte of one becomes a `*`, so that places in the text stay where
//! they are.

use std::borrow::Cow;
use std::ops::Range;

use crate::model::SECRET_PREFIX;

/// The text without the passwords of URLs (`scheme://user:PASSWORD@host`), the values of keys whose name says that they
/// are secret (`password`, `api_token`, `client_secret` …, also in a list or an object there), and private keys.
#[must_use]
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut found: Vec<Range<usize>> = in_urls(text);
    found.extend(private_keys(text));
    found.extend(named_secrets(text));
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

/// Words that say what a value is, without capitals and signs.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "authkey",
    "encryptionkey",
    "bearer",
];
/// Words that say so where nothing else stands beside them in the name.
const SECRET_ALONE: [&str; 5] = ["pass", "pwd", "pw", "auth", "pin"];

/// Whether a key is called a secret.
fn is_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let alone = |word: &str| SECRET_ALONE.contains(&word.to_ascii_lowercase().as_str());
    SECRET.iter().any(|word| plain.contains(word)) || key.split(|c: char| !c.is_ascii_alphanumeric()).any(alone)
}

/// The values of keys that are called secrets, in JSON and in what was meant to be JSON: names without quotes, `=` for
/// `:`.
fn named_secrets(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let skip = |mut at: usize, of: &dyn Fn(u8) -> bool| {
        while bytes.get(at).is_some_and(|b| of(*b)) {
            at += 1;
        }
        at
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = skip(at, &|b| !is_name(b));
        let end = skip(start, &is_name);
        at = end;
        let mut next = end + usize::from(matches!(bytes.get(end), Some(b'"' | b'\'')));
        next = behind_comments(text, next);
        if !matches!(bytes.get(next), Some(b':' | b'=')) || !is_secret(&text[start..end]) {
            continue;
        }
        let value = skip(next + 1, &|b| b.is_ascii_whitespace());
        at = secret_value(text, value, &mut found).max(at);
    }
    found
}

fn behind_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_ascii_start().len()
}

/// The next place that is neither white space nor in a comment.
fn behind_comments(text: &str, mut at: usize) -> usize {
    loop {
        at = behind_space(text, at);
        let Some(end) = end_of_comment(text, at) else { return at };
        at = end;
    }
}

/// Where a comment of a `.jsonc` file ends that begins here.
fn end_of_comment(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let end = match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n'),
        [b'/', b'*', ..] => rest[2..].find("*/").map(|end| end + 4),
        _ => return None,
    };
    Some(end.map_or(text.len(), |end| at + end))
}

/// Where the name of a secret ends with which a text begins, `${secret.NAME}`.
fn reference(text: &str) -> Option<usize> {
    let name = text.strip_prefix("${secret.")?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))?;
    name[end..].starts_with('}').then_some("${secret.".len() + end + 1)
}

/// Whether a text is the name of a secret, `${secret.NAME}`, and nothing else.
fn is_reference(text: &str) -> bool {
    reference(text) == Some(text.len())
}

/// Notes where the secrets of one value are, and returns where it ends.
fn secret_value(text: &str, from: usize, found: &mut Vec<Range<usize>>) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                let end = if *byte == b'"' {
                    end_of_text(text, at + 1)
                } else {
                    text[at + 1..].find(['\'', '\n', '\r']).map_or(text.len(), |end| at + 1 + end)
                };
                let after = text.get(end + 1..).unwrap_or_default().trim_start();
                // A name within an object says what is secret, and is none.
                let is_name =
                    text.get(at + 1..end).is_some_and(|text| text.starts_with(SECRET_PREFIX) || is_reference(text));
                if !is_name && (depth == 0 || !after.starts_with(':')) {
                    found.push(at + 1..end);
                }
                at = (end + 1).min(text.len());
            }
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b',' | b':' | b'=' if depth > 0 => at += 1,
            b if b.is_ascii_whitespace() => at += 1,
            b',' => return at,
            // It may hold an earlier value, and one follows.
            b'/' if let Some(end) = end_of_comment(text, at) => {
                found.push(at..end);
                at = behind_space(text, end);
                continue;
            }
            // It stands for a secret, and is none.
            b'$' if let Some(end) = reference(&text[at..]) => at += end,
            _ => {
                let end = text[at..].find(['"', ',', ']', '}', '\n', '\r']).map_or(text.len(), |end| at + end);
                found.push(at..end);
                at = end;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_become_stars() {
        for (text, expected) in [
            ("nothing to hide: a@b", "nothing to hide: a@b"),
            (r#""qm+ssh://root:a@b@pve1", 1"#, r#""qm+ssh://root:***@pve1", 1"#),
            (r#"{ "ciPassword" : "pä\"ss", "a": 1 }"#, r#"{ "ciPassword" : "*******", "a": 1 }"#),
            (r#""api_token": "abc", "b": "c""#, r#""api_token": "***", "b": "c""#),
            (r#""clientSecret":"abc""#, r#""clientSecret":"***""#),
            (r#""API-KEY" : 12345,"a":1"#, r#""API-KEY" : *****,"a":1"#),
            (
                r#"{ "secrets": { "db": "abc", "n": [1, "x"] }, "a": "b" }"#,
                r#"{ "secrets": { "db": "***", "n": [*, "*"] }, "a": "b" }"#,
            ),
            ("token: abc,\n\"a\": \"b\"", "token: ***,\n\"a\": \"b\""),
            (r#""token" /* a */ : /* b */ "abc", "b": 1"#, r#""token" /* a */ : ******* "***", "b": 1"#),
            ("\"token\": // old\n \"abc\"", "\"token\": ******\n \"***\""),
            ("'passphrase': 'abc'", "'passphrase': '***'"),
            (r#""env": ["DB_PASSWORD=abc", "B=c"]"#, r#""env": ["DB_PASSWORD=***", "B=c"]"#),
            (r#""root_pass": "abc", "passthrough": "gpu""#, r#""root_pass": "***", "passthrough": "gpu""#),
            (
                r#""password": { "env": "PHOENIX_SECRET_WEB", "file": "a" }"#,
                r#""password": { "env": "PHOENIX_SECRET_WEB", "file": "*" }"#,
            ),
            (r#""text": "password: ${secret.db}\n""#, r#""text": "password: ${secret.db}\n""#),
            (r#""text": "password: '${secret.db}'\n""#, r#""text": "password: '${secret.db}'\n""#),
            (r#""text": "password: '${secret.db}x'\n""#, r#""text": "password: '*************'\n""#),
            (r#""text": "password: ${secret.db x""#, r#""text": "password: *************""#),
            (r#""auth": "#, r#""auth": "#),
            (r#""token": "abc"#, r#""token": "***"#),
            (
                r#""never_together": ["a"], "ssh_authorized_keys": ["b"]"#,
                r#""never_together": ["a"], "ssh_authorized_keys": ["b"]"#,
            ),
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
