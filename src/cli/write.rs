//! Writing a file that was named on the command line.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Whether a path leads to what is written as it stands there: a device, a pipe, or an open file of a process. Anything
/// else is replaced as a whole.
pub(super) fn is_stream(file: &Path) -> bool {
    let special = std::fs::metadata(file).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    // `/dev/stdout` may be a regular file, and the link to it is nothing to replace.
    special || (file.starts_with("/dev") || file.starts_with("/proc")) && file.is_symlink()
}

/// Writes a file as a whole or not at all. Into a stream it is written as far as that takes it, and waits for who
/// reads.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let name = file.display();
    if is_stream(file) {
        let written = std::fs::OpenOptions::new()
            .append(true)
            .open(file)
            .and_then(|mut stream| std::io::Write::write_all(&mut stream, text.as_bytes()));
        return match written {
            // Like a reader of standard output that went away.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.with_context(|| format!("cannot write `{name}`")),
        };
    }
    let written = whole(file, text).and_then(|new| new.persist(file).map_err(|error| error.error));
    written.map(drop).with_context(|| format!("cannot write `{name}`"))
}

/// Writes a file that is not there yet, as a whole or not at all. `false`: it is there, and stays as it is, also one
/// that another process makes meanwhile.
pub(super) fn write_new(file: &Path, text: &str) -> Result<bool> {
    let written = whole(file, text).and_then(|new| new.persist_noclobber(file).map_err(|error| error.error));
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot write `{}`", file.display())),
    }
}

/// The text in a file without a name that lasts, beside the one that it is to become.
fn whole(file: &Path, text: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(parent)?;
    std::io::Write::write_all(&mut new, text.as_bytes())?;
    Ok(new)
}
