//! Secrets: how the file names them, and what their values may be. No message has a value, nor what may be one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codes;
use super::lexis;
use super::limits::{MAX_SECRET_BYTES, MAX_VARIABLE};
use super::owner::owners;
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawSecret};
use super::source::{BadData, BadSecret, Once, SecretRead};
use super::spans::Place;
use crate::model::{SECRET_PREFIX, SecretName};

/// How a file names a secret.
pub(super) const HOW: &str = "write `{ \"env\": \"PHOENIX_SECRET_NAME\" }` and give phoenix the value in that variable, or \
                              `{ \"file\": \"secrets/NAME\" }`";

/// The way out for a file that lies somewhere else.
const ELSEWHERE: &str =
    "files of secrets lie below the directory of the config, or the one that `--secrets-dir` names, without links";

/// How hashes of passwords begin.
const HASHES: [&str; 7] = ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$"];

/// The values of the secrets that a config names.
#[derive(Default)]
pub(super) struct SecretValues(BTreeMap<SecretName, Arc<str>>);

impl SecretValues {
    /// The value of a secret, where it could be read.
    pub(super) fn get(&self, name: &SecretName) -> Option<Arc<str>> {
        self.0.get(name).cloned()
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

/// Applies the rules to every secret, and reads their values.
pub(super) fn check(raw: &Raw, once: &mut Once<'_>, problems: &mut Problems) -> SecretValues {
    let mut values = SecretValues::default();
    let mut told = BTreeSet::new();
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        if let Some(secret) = vm.user_config.as_ref().and_then(|user| user.password.as_ref()) {
            let place = |below: &str| owner.value(&format!("user_config/password{below}"));
            match judged(secret, once, &place) {
                Ok((name, value, warning)) => {
                    values.0.insert(name.clone(), value);
                    if let (true, Some(warning)) = (told.insert(name), warning) {
                        problems.push(warning);
                    }
                }
                Err(problem) => problems.push(*problem),
            }
        }
        problems.since(before, vm.vm_id);
    }
    values
}

/// A secret by its name, its value, and what is to be said of it; else what is wrong with it.
type Judged = Result<(SecretName, Arc<str>, Option<Problem>), Box<Problem>>;

fn judged(secret: &RawSecret, once: &mut Once<'_>, place: &dyn Fn(&str) -> Place) -> Judged {
    let bad = |what: String, at: Place| Box::new(Problem::new(codes::BAD_SECRET, what, at));
    let Some(name) = name(secret) else {
        let what = if secret.env.is_some() { "both `env` and `file`" } else { "neither `env` nor `file`" };
        return Err(Box::new(
            bad(format!("a secret is named by one of the two, and this has {what}"), place("")).hint(HOW),
        ));
    };
    let (at, what) = match &name {
        SecretName::Env(name) if !is_variable(name) => {
            // The text is not repeated: it may be the secret itself.
            let what = "this is not the name of a variable that phoenix reads for a secret".to_owned();
            let hint = "it is `PHOENIX_SECRET_` and then capital letters, digits and `_`; no other variable is read";
            return Err(Box::new(bad(what, place("/env")).hint(hint)));
        }
        SecretName::Env(name) => (place("/env"), format!("the variable {}", shown(name))),
        SecretName::File(file) if file.is_empty() => {
            return Err(bad("the name of the file is empty".to_owned(), place("/file")));
        }
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
            let (why, hint) = unread(why);
            return Err(Box::new(bad(format!("{what} {why}"), at).hint_if(hint)));
        }
        Err(BadSecret::NotText) => return Err(bad(format!("the value of {what} is not UTF-8"), at)),
    };
    let value = match value(bytes) {
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
fn unread(why: &BadData) -> (String, Option<String>) {
    let elsewhere = |what: &str| (what.to_owned(), Some(ELSEWHERE.to_owned()));
    match why {
        BadData::Missing | BadData::Unstaged => ("is not there".to_owned(), None),
        BadData::Outside => elsewhere("leads out of the directory that it is to lie in"),
        BadData::Link(part) => elsewhere(&format!("is reached through a link, {}", shown(part))),
        BadData::NotAFile => elsewhere("is not a regular file"),
        BadData::TooBig => (format!("is larger than {MAX_SECRET_BYTES} bytes"), None),
        BadData::Unreadable(why) => (format!("cannot be read: {why}"), None),
    }
}

/// The value that stands in a file or a variable, without the line break at its end; else why it can be none.
fn value(bytes: &[u8]) -> Result<&str, (String, Option<&'static str>)> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(("is not UTF-8".to_owned(), None)) };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(("is empty".to_owned(), Some("a password needs at least one character")));
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err((format!("is larger than {MAX_SECRET_BYTES} bytes"), None));
    }
    if let Some(control) = lexis::control_in(text, false) {
        let what = format!("contains the control character U+{:04X}", u32::from(control));
        return Err((what, Some("a password is one line of text")));
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
    use super::value;
    use crate::config::limits::MAX_SECRET_BYTES;

    #[test]
    fn one_line_break_at_the_end_is_no_part_of_a_value() {
        for (bytes, is) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a b ", " a b "), ("$HOME", "$HOME"), ("-x", "-x")]
        {
            assert_eq!(value(bytes.as_bytes()), Ok(is), "{bytes:?}");
        }
        let most = "x".repeat(MAX_SECRET_BYTES);
        assert_eq!(value(format!("{most}\n").as_bytes()), Ok(most.as_str()));
        for bytes in ["", "\n", "a\n\n", "a\nb", "a\tb", "\u{7f}", "pä", "$6$salt$hash", &format!("{most}x")] {
            let (why, _) = value(bytes.as_bytes()).expect_err(bytes);
            assert!(bytes.len() < 2 || !why.contains(bytes), "{why}");
        }
        assert!(value(b"\xff").is_err());
    }
}
