//! What can be wrong with a file before it is a text.

use super::codes;
use super::source::Source;
use crate::diag::Diagnostic;

/// Largest config that is read, in bytes. The caller that opens the file looks at its size first.
pub const MAX_BYTES: u64 = 32 << 20;

/// Most files of a directory that are read as one config.
pub const MAX_FILES: usize = 10_000;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// There is no such file.
    Missing,
    /// It is a device or a pipe, or a directory without config files.
    NotAFile,
    /// It is a link, where none is followed.
    Link,
    /// The path leads to this place, where the kernel shows its own state.
    System(String),
    /// The system refused, for this reason.
    Refused(String),
    /// It has this many bytes, more than [`MAX_BYTES`].
    TooBig(u64),
    /// It is a directory with so many config files, more than [`MAX_FILES`].
    TooMany(usize),
    /// It is not in the Git index, where it was looked for.
    Unstaged,
    /// A merge left several versions of it in the Git index.
    Unmerged,
}

/// What a config can be.
const ONE_OR_SEVERAL: &str = "a config is a JSON file, or a directory with files `*.json` or `*.jsonc`";

/// Says why a file could not be read and what to do about it. `name` is the file as the user named it.
#[must_use]
pub fn unread(name: &str, why: &Unread) -> Diagnostic {
    match why {
        Unread::Missing => codes::MISSING_FILE
            .diagnostic(format!("there is no file `{name}`"))
            .hint("name the config with `--config FILE`, or write one with `phoenix init`"),
        Unread::NotAFile => {
            codes::NOT_A_FILE.diagnostic(format!("`{name}` is not a regular file")).hint(ONE_OR_SEVERAL)
        }
        Unread::Link => codes::NOT_A_FILE
            .diagnostic(format!("`{name}` is a link, and of a directory only regular files are read"))
            .hint("put the file itself there, or take the link away"),
        Unread::System(place) => codes::NOT_A_FILE
            .diagnostic(format!("`{name}` leads to `{place}`, which is not a regular file"))
            .hint(ONE_OR_SEVERAL),
        Unread::Refused(reason) => codes::UNREADABLE
            .diagnostic(format!("`{name}` cannot be read: {reason}"))
            .hint("check the permissions of the file and of its directory"),
        Unread::Unstaged => codes::MISSING_FILE
            .diagnostic(format!("`{name}` is not in the git index"))
            .hint("stage it with `git add`, or leave `--staged` out"),
        Unread::Unmerged => codes::UNREADABLE
            .diagnostic(format!("`{name}` has unresolved conflicts in the git index"))
            .hint("resolve them and stage the file with `git add`"),
        Unread::TooMany(files) => codes::TOO_BIG
            .diagnostic(format!("`{name}` has {files} config files; at most {MAX_FILES} are one config"))
            .hint("check that it is the right directory, or write more VMs into one file"),
        Unread::TooBig(bytes) => codes::TOO_BIG
            .diagnostic(format!("`{name}` has {} MiB; a config has at most {} MiB", bytes >> 20, MAX_BYTES >> 20))
            .hint("check that it is the right file, or split it into several projects"),
    }
}

/// Makes a text of a file's bytes.
///
/// # Errors
/// The diagnostic for a file that is empty, too big, not UTF-8, or begins with a byte order mark.
pub fn decode(name: &str, bytes: Vec<u8>) -> Result<Source, Box<Diagnostic>> {
    let flaw = if bytes.len() as u64 > MAX_BYTES {
        unread(name, &Unread::TooBig(bytes.len() as u64))
    } else if bytes.iter().all(u8::is_ascii_whitespace) {
        codes::EMPTY_FILE
            .diagnostic(format!("`{name}` is empty"))
            .hint("the smallest config is `{ \"virtual_machines\": [] }`")
    } else if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        codes::NOT_UTF8.diagnostic(format!("`{name}` is UTF-16, not UTF-8")).hint("save it as UTF-8")
    } else if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        codes::BYTE_ORDER_MARK
            .diagnostic(format!("`{name}` begins with a byte order mark, which JSON does not allow"))
            .hint("save it as UTF-8 without a byte order mark")
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => return Ok(Source::new(name, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
                let byte = error.as_bytes().get(at).copied().unwrap_or_default();
                codes::NOT_UTF8
                    .diagnostic(format!("`{name}` is not UTF-8: byte 0x{byte:02x} at offset {at}, in line {line}"))
                    .hint("save it as UTF-8")
            }
        }
    };
    Err(Box::new(flaw))
}
