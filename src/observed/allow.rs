//! What the administrator of a node says VMs may have of it: `/etc/phoenix/allow.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{allowed_path, proxmox};

/// The file, on the node that exports.
pub const ALLOW_FILE: &str = "/etc/phoenix/allow.json";

/// Longest file that is read, in bytes.
pub const MAX_ALLOW: usize = 1 << 20;

/// Type and write permissions of others in a mode.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const WRITABLE: u32 = 0o022;

/// What VMs may have of a node, as its administrator says in `/etc/phoenix/allow.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "What VMs may have of a node")]
struct AllowFile {
    /// Names the schema of this file, so that editors check and complete it. phoenix itself ignores it.
    #[serde(default, rename = "$schema")]
    _schema: Option<String>,
    /// Directories that may be exported to VMs, with everything below them: absolute paths.
    #[serde(default)]
    host_paths: Vec<String>,
    /// Directories below which the images of `cloud_image` may lie: absolute paths.
    #[serde(default)]
    image_paths: Vec<String>,
    /// Options of VMs that may reach into the node, by Proxmox's names, with or without a number: `args`, `hostpci`,
    /// `usb0`.
    #[serde(default)]
    host_options: Vec<String>,
}

/// What a node allows VMs to have, beyond what is built in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Directories that may be exported to VMs, with everything below them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_paths: Vec<String>,
    /// Directories below which images may lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_paths: Vec<String>,
    /// Options of VMs that may reach into the node, with or without a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_options: Vec<String>,
    /// Why the file counts for nothing: a lower-case fragment to follow its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Owner and mode of a file, as `lstat` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    /// User id of its owner.
    pub owner: u32,
    /// Its type and permissions.
    pub mode: u32,
}

impl Allowed {
    /// Whether nothing is allowed, and nothing is wrong either.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why the file cannot be trusted; `None`: only `trusted`, a user id, can have written it.
    #[must_use]
    pub fn distrust(directory: Guarded, file: Guarded, trusted: u32) -> Option<Self> {
        let who = if trusted == 0 { "root".to_owned() } else { format!("user {trusted}") };
        let of = |what: &str, kind: u32, seen: Guarded| {
            let name = if kind == REGULAR { "regular file" } else { "directory" };
            if seen.mode & KIND != kind {
                Some(format!("{what} is not a {name}"))
            } else if seen.owner != trusted {
                Some(format!("{what} belongs to user {}, not to {who}", seen.owner))
            } else if seen.mode & WRITABLE != 0 {
                Some(format!("users other than {who} may write to {what}: its mode is {:04o}", seen.mode & 0o7777))
            } else {
                None
            }
        };
        let why = of("its directory", DIRECTORY, directory).or_else(|| of("it", REGULAR, file))?;
        Some(Self::broken(why))
    }

    /// Reads the file. One that says anything that cannot be meant allows nothing at all.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        if text.len() > MAX_ALLOW {
            return Self::broken(format!("it has more than {MAX_ALLOW} bytes"));
        }
        // What is read into fields may also be a list of their values, which is not meant.
        if text.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Self::broken("it cannot be understood: it is not a JSON object".to_owned());
        }
        let file: AllowFile = match serde_json::from_slice(text) {
            Ok(file) => file,
            Err(error) => return Self::broken(format!("it cannot be understood: {error}")),
        };
        let read = |key: &str, paths: Vec<String>| {
            let path = |path: String| allowed_path(&path).map_err(|error| format!("`{path}` in `{key}` {error}"));
            paths.into_iter().map(path).collect::<Result<Vec<_>, _>>()
        };
        if let Some(name) = file.host_options.iter().find(|name| !proxmox::can_reach(name)) {
            return Self::broken(format!("`{name}` in `host_options` is not an option that reaches into a node"));
        }
        match (read("host_paths", file.host_paths), read("image_paths", file.image_paths)) {
            (Ok(host_paths), Ok(image_paths)) => {
                Self { host_paths, image_paths, host_options: file.host_options, broken: None }
            }
            (Err(why), _) | (_, Err(why)) => Self::broken(why),
        }
    }

    /// A file that counts for nothing.
    #[must_use]
    pub fn broken(why: String) -> Self {
        Self { broken: Some(why), ..Self::default() }
    }
}

/// The JSON schema of the file: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn allow_schema() -> String {
    let settings = schemars::generate::SchemaSettings::draft07();
    let schema = settings.into_generator().into_root_schema_for::<AllowFile>().to_value();
    format!("{schema:#}\n")
}

#[cfg(test)]
mod tests {
    use super::{Allowed, Guarded};

    #[track_caller]
    fn broken(text: &str, why: &str) {
        let allowed = Allowed::parse(text.as_bytes());
        assert!(allowed.broken.as_ref().is_some_and(|broken| broken.contains(why)), "{text}: {allowed:?}");
        assert!(allowed.host_paths.is_empty() && allowed.image_paths.is_empty(), "{text}: {allowed:?}");
    }

    #[test]
    fn a_file_says_what_is_allowed_or_nothing() {
        let allowed =
            Allowed::parse(br#"{ "host_paths": ["/srv/nfs/", "/tank"], "image_paths": ["/var/lib/images"] }"#);
        assert_eq!(allowed.host_paths, ["/srv/nfs", "/tank"]);
        assert_eq!(allowed.image_paths, ["/var/lib/images"]);
        assert_eq!(allowed.broken, None);
        assert!(Allowed::parse(b"{}").is_empty() && Allowed::parse(br#"{ "$schema": "x" }"#).is_empty());
        broken("", "cannot be understood");
        broken("[]", "cannot be understood");
        broken(r#"{ "host_path": ["/srv"] }"#, "unknown field `host_path`");
        broken(r#"{ "host_paths": "/srv" }"#, "cannot be understood");
        broken(r#"{ "host_paths": ["/srv", "/etc/x"] }"#, "`/etc/x` in `host_paths` belongs to the operating system");
        broken(r#"{ "host_paths": ["/srv"], "image_paths": ["/"] }"#, "`/` in `image_paths`");
        broken(r#"{ "host_paths": ["srv"] }"#, "not an absolute path");
        broken(&format!("{{}}{}", " ".repeat(super::MAX_ALLOW)), "more than");
        assert!(Allowed::parse(b"{\"host_paths\": [\"/\xff\"]}").broken.is_some());
    }

    #[test]
    fn only_what_no_other_user_can_write_is_trusted() {
        let good = [Guarded { owner: 0, mode: 0o040_755 }, Guarded { owner: 0, mode: 0o100_644 }];
        let check = |directory: Guarded, file: Guarded, why: &str| {
            let broken = Allowed::distrust(directory, file, 0).and_then(|allowed| allowed.broken).unwrap_or_default();
            assert!(broken.contains(why) && broken.is_empty() == why.is_empty(), "{why}: {broken}");
        };
        let [directory, file] = good;
        check(directory, file, "");
        check(directory, Guarded { owner: 1000, ..file }, "it belongs to user 1000, not to root");
        check(
            directory,
            Guarded { mode: 0o100_664, ..file },
            "users other than root may write to it: its mode is 0664",
        );
        check(directory, Guarded { mode: 0o100_646, ..file }, "may write to it");
        check(directory, Guarded { mode: 0o120_777, ..file }, "it is not a regular file");
        check(directory, Guarded { mode: 0o010_644, ..file }, "it is not a regular file");
        check(Guarded { mode: 0o041_777, ..directory }, file, "may write to its directory");
        check(Guarded { mode: 0o120_777, ..directory }, file, "its directory is not a directory");
        check(Guarded { owner: 1, ..directory }, file, "its directory belongs to user 1");
        assert_eq!(Allowed::distrust(Guarded { owner: 7, ..directory }, Guarded { owner: 7, ..file }, 7), None);
    }
}
