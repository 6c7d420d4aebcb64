//! Where phoenix acts.

use std::fmt;
use std::path::{Path, PathBuf};

/// A target, written by users as one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `embedded:DIR`: a node in a directory, no Proxmox.
    Embedded(PathBuf),
    /// `qm:`: this machine, which is a Proxmox VE node.
    Qm,
    /// `qm+ssh://[user@]host[:port]`: a Proxmox VE node that ssh reaches.
    QmSsh {
        /// Who to be there; ssh decides if it is not said.
        user: Option<String>,
        /// Host name or address; may be a name of the user's ssh configuration.
        host: String,
        /// Port; ssh decides if it is not said.
        port: Option<u16>,
    },
}

/// The text names no target. It stands here with `…` for a password, in case one was written into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a target")]
pub struct InvalidTarget(pub String);

impl InvalidTarget {
    /// What targets there are.
    pub const KNOWN: &'static str =
        "targets are `embedded:DIR`, `qm:` (this Proxmox node) and `qm+ssh://[user@]host[:port]`";
}

impl Target {
    /// Reads a target; a relative directory starts at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(without_password(text));
        if let Some(dir) = text.strip_prefix("embedded:") {
            return if dir.is_empty() { Err(invalid()) } else { Ok(Self::Embedded(base.join(dir))) };
        }
        if text == "qm:" {
            return Ok(Self::Qm);
        }
        let rest =
            text.strip_prefix("qm+ssh://").map(|rest| rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(invalid)?;
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(invalid)?)),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse::<u16>).transpose().map_err(|_| invalid())?;
        // Words that ssh could take for options or for a part of a command never get there.
        let plain = |word: &str, also: &[char]| {
            !word.is_empty()
                && !word.starts_with('-')
                && word.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
        };
        if !plain(host, &['.', '-', '_', ':', '%']) || user.is_some_and(|user| !plain(user, &['.', '-', '_'])) {
            return Err(invalid());
        }
        Ok(Self::QmSsh { user: user.map(ToOwned::to_owned), host: host.to_owned(), port })
    }
}

/// A text with `…` for everything between a `:` and the `@` of what could be a URL.
fn without_password(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    match rest.rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}{user}:…@{host}"),
        _ => text.to_owned(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(dir) => write!(f, "embedded:{}", dir.display()),
            Self::Qm => f.write_str("qm:"),
            Self::QmSsh { user, host, port } => {
                f.write_str("qm+ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{open}{host}{close}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use std::path::Path;

    #[test]
    fn a_target_reads_back_as_it_is_written() {
        for text in [
            "embedded:/srv/node",
            "qm:",
            "qm+ssh://pve1",
            "qm+ssh://root@pve1.example.org:2222",
            "qm+ssh://root@[fe80::1]:22",
        ] {
            let target = Target::parse(text, Path::new("")).unwrap();
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn what_ssh_could_misread_is_refused() {
        for text in [
            "",
            "qm",
            "qm:x",
            "embedded:",
            "qm+ssh://",
            "qm+ssh://-oProxyCommand=x",
            "qm+ssh://a b",
            "qm+ssh://root@-x",
            "qm+ssh://-l@host",
            "qm+ssh://host:99999",
            "qm+ssh://host;id",
            "https://pve1:8006",
        ] {
            assert!(Target::parse(text, Path::new("")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_target_is_not_repeated() {
        for (text, shown) in [
            ("qm+ssh://root:a:b@c@pve1", "`qm+ssh://root:…@pve1` is not a target"),
            ("https://root:secret@pve1:8006", "`https://root:…@pve1:8006` is not a target"),
            ("https://pve1:8006", "`https://pve1:8006` is not a target"),
        ] {
            assert_eq!(Target::parse(text, Path::new("")).unwrap_err().to_string(), shown);
        }
    }
}
