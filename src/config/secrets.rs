//! Secrets: how the file names them, and what their values may be. No message has a value, nor what may be one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codes;
use super::lexis;
use super::limits::{MAX_PASSWORD_BYTES, MAX_SECRET_BYTES, MAX_VARIABLE};
use super::owner::owners;
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawSecret};
use super::rule::text;
use super::source::{BadData, BadSecret, Once, SecretRead};
use super::spans::{Place, escaped};
use crate::model::{SECRET_PREFIX, Secret, SecretName};

/// How a file names a secret.
pub(super) const HOW: &str = "write `{ \"env\": \"PHOENIX_SECRET_NAME\" }` and give phoenix the value in that variable, or \
                              `{ \"file\": \"secrets/NAME\" }`";

/// The way out for a file that lies somewhere else.
const ELSEWHERE: &str =
    "files of secrets lie below the directory of the config, or the one that `--secrets-dir` names, without links";

/// How hashes of passwords begin.
const HASHES: [&str; 7] = ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$"];

/// The secrets that a config names.
#[derive(Default)]
pub(super) struct SecretValues {
    values: BTreeMap<SecretName, Arc<str>>,
    /// Those of `secrets`, by the names by which texts call them.
    named: BTreeMap<String, SecretName>,
}

impl SecretValues {
    /// A secret, with its value where that could be read.
    pub(super) fn get(&self, name: SecretName) -> Secret {
        let value = self.values.get(&name).cloned();
        Secret::new(name, value)
    }

    /// The secret that texts call by this name.
    pub(super) fn called(&self, name: &str) -> Option<Secret> {
        self.named.get(name).cloned().map(|name| self.get(name))
    }
}

/// What a secret is for, which says what its value can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A password that Proxmox gives the guest.
    Password,
    /// A part of a text for cloud-init.
    Text,
}

impl Use {
    fn most(self) -> usize {
        match self {
            Self::Password => MAX_PASSWORD_BYTES,
            Self::Text => MAX_SECRET_BYTES,
        }
    }
}

/// What a file calls a secret; `None`: it does not say.
pub(super) fn name(raw: &RawSecret) -> Option<SecretName> {
    match (&raw.env, &raw.file) {
        (Some(name), None) => Some(SecretName::Env(name.clone())),
        (None, Some(file)) => Some(SecretName::File(file.clone())),
        _ => None,
    }
}

/// Applies the rules to every secret, and reads the values of those that something needs. `used`: the names of those of
/// `secrets` that a text has.
pub(super) fn check(raw: &Raw, used: &BTreeSet<String>, once: &mut Once<'_>, problems: &mut Problems) -> SecretValues {
    let mut found = SecretValues::default();
    let mut told = BTreeSet::new();
    for (called, secret) in &raw.secrets {
        let pointer = format!("/secrets/{}", escaped(called));
        let key = || Place::key(pointer.clone());
        text(Some(called), (codes::BAD_SECRET, "cannot be the name of a secret"), secret_name, key, problems);
        if !used.contains(called) && secret_name(called).is_ok() {
            let what = format!("no text of this file has the secret {}", shown(called));
            let hint = format!("write `${{secret.{called}}}` into `user_data` or `vendor_data`, or take it out");
            problems.push(Problem::new(codes::UNUSED_SECRET, what, key()).hint(hint));
        }
        let place = |below: &str| Place::value(format!("{pointer}{below}"));
        match named(secret, &place) {
            Ok(name) => {
                found.named.insert(called.clone(), name);
                if used.contains(called) {
                    found.read(judged(secret, Use::Text, once, &place), &mut told, problems);
                }
            }
            Err(problem) => problems.push(*problem),
        }
    }
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        if let Some(secret) = vm.user_config.as_ref().and_then(|user| user.password.as_ref()) {
            let place = |below: &str| owner.value(&format!("user_config/password{below}"));
            found.read(judged(secret, Use::Password, once, &place), &mut told, problems);
        }
        problems.since(before, vm.vm_id);
    }
    found
}

impl SecretValues {
    /// Keeps a value, and says what is to be said of it; `told`: of which secrets something was said already.
    fn read(&mut self, judged: Judged, told: &mut BTreeSet<SecretName>, problems: &mut Problems) {
        match judged {
            Ok((name, value, warning)) => {
                self.values.insert(name.clone(), value);
                if let (true, Some(warning)) = (told.insert(name), warning) {
                    problems.push(warning);
                }
            }
            Err(problem) => problems.push(*problem),
        }
    }
}

/// Accepts the name by which texts call a secret.
fn secret_name(text: &str) -> lexis::Verdict {
    lexis::only(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))?;
    match text.chars().next() {
        None => Err("it is empty".to_owned()),
        Some(c) if !c.is_ascii_alphanumeric() => Err(format!("it starts with `{c}`")),
        Some(_) if text.len() > 64 => Err("it is longer than 64 characters".to_owned()),
        Some(_) => Ok(()),
    }
}

/// A secret by its name, its value, and what is to be said of it; else what is wrong with it.
type Judged = Result<(SecretName, Arc<str>, Option<Problem>), Box<Problem>>;

fn bad(what: String, at: Place) -> Box<Problem> {
    Box::new(Problem::new(codes::BAD_SECRET, what, at))
}

/// What a file calls a secret; else what is wrong with how it does.
fn named(secret: &RawSecret, place: &dyn Fn(&str) -> Place) -> Result<SecretName, Box<Problem>> {
    let Some(name) = name(secret) else {
        let what = if secret.env.is_some() { "both `env` and `file`" } else { "neither `env` nor `file`" };
        return Err(Box::new(
            bad(format!("a secret is named by one of the two, and this has {what}"), place("")).hint(HOW),
        ));
    };
    match &name {
        SecretName::Env(name) if !is_variable(name) => {
            // The text is not repeated: it may be the secret itself.
            let what = "this is not the name of a variable that phoenix reads for a secret".to_owned();
            let hint = "it is `PHOENIX_SECRET_` and then capital letters, digits and `_`; no other variable is read";
            Err(Box::new(bad(what, place("/env")).hint(hint)))
        }
        SecretName::File(file) if file.is_empty() => {
            Err(bad("the name of the file is empty".to_owned(), place("/file")))
        }
        SecretName::Env(_) | SecretName::File(_) => Ok(name),
    }
}

fn judged(secret: &RawSecret, used: Use, once: &mut Once<'_>, place: &dyn Fn(&str) -> Place) -> Judged {
    let name = named(secret, place)?;
    let (at, what) = match &name {
        SecretName::Env(name) => (place("/env"), format!("the variable {}", shown(name))),
        SecretName::File(file) => (place("/file"), format!("the file {}", shown(file))),
    };
    let needed = once.needs_secrets();
    let SecretRead { bytes, is_exposed } = match once.secret(&name) {
        Ok(read) => read,
        Err(BadSecret::Unset | BadSecret::File(BadData::Missing)) => {
            let set = if matches!(name, SecretName::Env(_)) { "set" } else { "there" };
            let (code, what) = if needed {
                (codes::MISSING_SECRET, format!("{what} is not {set}"))
            } else {
                (codes::SECRET_NOT_HERE, format!("{what} is not {set}: its value is not checked"))
            };
            return Err(Box::new(Problem::new(code, what, at).hint(missing(&name))));
        }
        Err(BadSecret::File(why)) => {
            let (why, hint) = unread(why, used.most());
            return Err(Box::new(bad(format!("{what} {why}"), at).hint_if(hint)));
        }
        Err(BadSecret::NotText) => return Err(bad(format!("the value of {what} is not UTF-8"), at)),
    };
    let value = match value(bytes, used) {
        Ok(value) => value,
        Err((why, hint)) => return Err(Box::new(bad(format!("{what} {why}"), at).hint_if(hint.map(str::to_owned)))),
    };
    let warning = is_exposed.then(|| {
        let what = format!("{what} can be read by others than its owner");
        let hint = "take their permissions away: `chmod 600`, and 700 for its directory";
        Problem::new(codes::EXPOSED_SECRET, what, at).hint(hint)
    });
    Ok((name, Arc::from(value), warning))
}

/// Whether a variable is one that secrets may stand in.
fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let rest = name.strip_prefix(SECRET_PREFIX).unwrap_or_default();
    !rest.is_empty() && name.len() <= MAX_VARIABLE && rest.bytes().all(plain)
}

fn missing(name: &SecretName) -> String {
    match name {
        SecretName::Env(name) => format!("give phoenix the value in that variable: `export {name}=…`"),
        SecretName::File(_) => {
            "put the value there; a relative path starts at the config, or at the directory that `--secrets-dir` names"
                .to_owned()
        }
    }
}

/// Why a file is not read, and the way out.
fn unread(why: &BadData, most: usize) -> (String, Option<String>) {
    let elsewhere = |what: &str| (what.to_owned(), Some(ELSEWHERE.to_owned()));
    match why {
        BadData::Missing | BadData::Unstaged => ("is not there".to_owned(), None),
        BadData::Outside => elsewhere("leads out of the directory that it is to lie in"),
        BadData::Link(part) => elsewhere(&format!("is reached through a link, {}", shown(part))),
        BadData::NotAFile => elsewhere("is not a regular file"),
        BadData::TooBig => (format!("is larger than {most} bytes"), None),
        BadData::Unreadable(why) => (format!("cannot be read: {why}"), None),
    }
}

/// The value that stands in a file or a variable, without the line break at its end; else why it can be none.
fn value(bytes: &[u8], used: Use) -> Result<&str, (String, Option<&'static str>)> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(("is not UTF-8".to_owned(), None)) };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(("is empty".to_owned(), Some("a secret has at least one character")));
    }
    if text.len() > used.most() {
        return Err((format!("is larger than {} bytes", used.most()), None));
    }
    if let Some(control) = lexis::control_in(text, false) {
        let what = format!("contains the control character U+{:04X}", u32::from(control));
        return Err((
            what,
            Some(match used {
                Use::Password => "a password is one line of text",
                Use::Text => {
                    "a secret in a text is one line: give several in Base64 (`base64 -w0`), and say `encoding: b64` beside it"
                }
            }),
        ));
    }
    if used == Use::Text {
        return Ok(text);
    }
    if !text.is_ascii() {
        let hint = "take a password of ASCII characters: whether others survive Proxmox, cloud-init and a console is not known";
        return Err(("contains a character that is not in ASCII".to_owned(), Some(hint)));
    }
    if HASHES.iter().any(|hash| text.starts_with(hash)) {
        let hint = "give the password itself: Proxmox makes a hash of it before it is stored";
        return Err(("looks like the hash of a password".to_owned(), Some(hint)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{Use, value};

    #[test]
    fn one_line_break_at_the_end_is_no_part_of_a_value() {
        for used in [Use::Password, Use::Text] {
            for (bytes, is) in
                [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a b ", " a b "), ("$HOME", "$HOME"), ("-x", "-x")]
            {
                assert_eq!(value(bytes.as_bytes(), used), Ok(is), "{bytes:?}");
            }
            let most = "x".repeat(used.most());
            assert_eq!(value(format!("{most}\n").as_bytes(), used), Ok(most.as_str()));
            for bytes in ["", "\n", "a\n\n", "a\nb", "a\tb", "\u{7f}", &format!("{most}x")] {
                let (why, _) = value(bytes.as_bytes(), used).expect_err(bytes);
                assert!(bytes.len() < 2 || !why.contains(bytes), "{why}");
            }
            assert!(value(b"\xff", used).is_err());
        }
        // What Proxmox and a console may make something else of stands in a text as it is.
        for bytes in ["p\u{e4}", "$6$salt$hash"] {
            let (why, _) = value(bytes.as_bytes(), Use::Password).expect_err(bytes);
            assert!(!why.contains(bytes), "{why}");
            assert_eq!(value(bytes.as_bytes(), Use::Text), Ok(bytes));
        }
    }
}
