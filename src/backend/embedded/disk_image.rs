//! Disk images, by `qemu-img`.
//!
//! A volume of a node is either a note of its size, or a qcow2 image; its first bytes tell. Images of templates come
//! from people, who have them from elsewhere: what an image refers to outside itself is never followed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::super::runner::{Command, Local, Output, Runner as _};
use super::files::{Deadline, unread};
use crate::hypervisor::{Fault, FaultKind};

/// How long `qemu-img` may take for what only touches a header.
const SHORT: Duration = Duration::from_mins(1);

/// How long a copy may take where the caller does not say it.
const LONG: Duration = Duration::from_hours(1);

/// First bytes of a qcow2 image.
const QCOW2: [u8; 4] = *b"QFI\xFB";

/// An image that can be taken over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// `qcow2` or `raw`.
    pub(super) format: String,
    /// Size of the disk in bytes.
    pub(super) size: u64,
}

/// The part of `qemu-img info --output=json` that matters.
#[derive(Deserialize)]
struct Info {
    format: String,
    #[serde(rename = "virtual-size")]
    size: u64,
    #[serde(default, rename = "backing-filename")]
    backing: Option<String>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default, rename = "format-specific")]
    specific: Option<Specific>,
}

#[derive(Deserialize)]
struct Specific {
    #[serde(default)]
    data: serde_json::Map<String, serde_json::Value>,
}

/// Whether a volume is an image.
pub(super) fn is_image(path: &Path) -> Result<bool, Fault> {
    let mut start = [0; 4];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unread(path)(error)),
    };
    match file.read_exact(&mut start) {
        Ok(()) => Ok(start == QCOW2),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(unread(path)(error)),
    }
}

/// Looks at an image that is to become a template.
pub(super) fn inspect(path: &Path) -> Result<Image, Fault> {
    let meta = fs::metadata(path).map_err(unread(path))?;
    let refused = |why: &str| Err(Fault::harmless(FaultKind::Refused, format!("{}: {why}", path.display())));
    if !meta.is_file() {
        return refused("not a file");
    }
    let output = qemu_img(&["info", "--output=json", &text(path)?], SHORT)?;
    let info: Info = serde_json::from_slice(&output.stdout).map_err(|error| {
        Fault::harmless(FaultKind::Garbled, format!("`qemu-img info` about {}: {error}", path.display()))
    })?;
    judge(&info).or_else(|why| refused(&why))
}

/// Whether an image is one disk in one file.
fn judge(info: &Info) -> Result<Image, String> {
    if !["qcow2", "raw"].contains(&info.format.as_str()) {
        return Err(format!(
            "an image of format `{}`; `qemu-img convert -O qcow2` makes one that can be taken over",
            info.format
        ));
    }
    if let Some(backing) = &info.backing {
        return Err(format!(
            "only a part of a disk, the rest lies in `{backing}`; `qemu-img convert` makes a whole one"
        ));
    }
    let data = info.specific.as_ref().map(|specific| &specific.data);
    if let Some(file) = data.and_then(|data| data.get("data-file")) {
        return Err(format!("its data lies in another file, {file}; `qemu-img convert` makes one file of it"));
    }
    if info.encrypted || data.is_some_and(|data| data.contains_key("encrypt")) {
        return Err("an encrypted image".to_owned());
    }
    if data.and_then(|data| data.get("corrupt")).and_then(serde_json::Value::as_bool) == Some(true) {
        return Err("a corrupt image, as it says itself; `qemu-img check -r all` may repair it".to_owned());
    }
    if info.size == 0 {
        return Err("an empty disk".to_owned());
    }
    Ok(Image { format: info.format.clone(), size: info.size })
}

/// Makes a whole qcow2 image of an image of this format, and looks whether a machine could boot from it.
pub(super) fn import(path: &Path, format: &str, to: &Path, deadline: Deadline) -> Result<(), Fault> {
    convert(path, format, to, deadline)?;
    let sector = to.with_extension("sector");
    let (input, output) = (format!("if={}", text(to)?), format!("of={}", text(&sector)?));
    let read = qemu_img(&["dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", &input, &output], SHORT);
    let bytes = read.and_then(|_| fs::read(&sector).map_err(unread(&sector)));
    let _ = fs::remove_file(&sector);
    if bytes?.get(510..512) == Some(&[0x55, 0xAA]) {
        return Ok(());
    }
    let what =
        format!("{}: not a disk that a machine boots from: its first sector has no boot signature", path.display());
    Err(Fault::harmless(FaultKind::Refused, what)
        .hint("name the disk image of a cloud image, not an ISO or an archive"))
}

/// Makes an image that has everything of `base` and keeps only what changes. `name` is the base as seen from the
/// directory of the new one, so that a node can be moved.
pub(super) fn link(name: &str, to: &Path) -> Result<(), Fault> {
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", name, &text(to)?], SHORT).map(drop)
}

/// Makes an empty image of this size.
pub(super) fn create(to: &Path, bytes: u64) -> Result<(), Fault> {
    qemu_img(&["create", "-q", "-f", "qcow2", &text(to)?, &bytes.to_string()], SHORT).map(drop)
}

/// Copies an image of a volume with everything it is based on.
pub(super) fn copy(from: &Path, to: &Path, deadline: Deadline) -> Result<(), Fault> {
    convert(from, "qcow2", to, deadline)
}

/// Grows the image of a volume that no machine uses.
pub(super) fn resize(path: &Path, bytes: u64) -> Result<(), Fault> {
    qemu_img(&["resize", "-q", "-f", "qcow2", &text(path)?, &bytes.to_string()], SHORT).map(drop)
}

fn convert(from: &Path, format: &str, to: &Path, deadline: Deadline) -> Result<(), Fault> {
    let time = deadline.left().unwrap_or(LONG).min(LONG);
    qemu_img(&["convert", "-q", "-f", format, "-O", "qcow2", &text(from)?, &text(to)?], time).map(drop)
}

/// A path as an argument that is nothing but a path: absolute, so that neither an option nor a protocol is seen in it.
fn text(path: &Path) -> Result<String, Fault> {
    let path = std::path::absolute(path).map_err(unread(path))?;
    let unclear = || Fault::harmless(FaultKind::Refused, format!("{}: not a path in UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(unclear)
}

fn qemu_img(arguments: &[&str], time: Duration) -> Result<Output, Fault> {
    let mut argv = vec!["qemu-img".to_owned()];
    argv.extend(arguments.iter().map(|&argument| argument.to_owned()));
    let output = Local.run(&Command::change(argv, time)).map_err(|fault| match fault.kind {
        FaultKind::Missing => fault.hint("`apt-get install qemu-utils` brings it"),
        _ => fault,
    })?;
    if output.status == 0 {
        return Ok(output);
    }
    let said = output.stderr.trim().trim_start_matches("qemu-img: ");
    let what = format!("`qemu-img {}` failed: {said}", arguments[0]);
    Err(Fault::uncertain(FaultKind::Failed, what))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[track_caller]
    fn judged(json: &str) -> Result<u64, String> {
        judge(&serde_json::from_str(json).unwrap()).map(|image| image.size)
    }

    #[test]
    fn an_image_is_one_disk_in_one_file() {
        let plain = r#"{"virtual-size": 3221225472, "filename": "x", "format": "qcow2", "actual-size": 1,
            "format-specific": {"type": "qcow2", "data": {"compat": "1.1", "corrupt": false}}}"#;
        assert_eq!(judged(plain), Ok(3 << 30));
        assert_eq!(judged(r#"{"virtual-size": 1048576, "format": "raw"}"#), Ok(1 << 20));
        for (json, why) in [
            (r#"{"virtual-size": 1, "format": "qcow2", "backing-filename": "/etc/shadow"}"#, "`/etc/shadow`"),
            (r#"{"virtual-size": 1, "format": "qcow2", "backing-filename": "json:{}"}"#, "only a part"),
            (
                r#"{"virtual-size": 1, "format": "qcow2", "format-specific": {"data": {"data-file": "/dev/sda"}}}"#,
                "another file, \"/dev/sda\"",
            ),
            (r#"{"virtual-size": 1, "format": "qcow2", "encrypted": true}"#, "encrypted"),
            (r#"{"virtual-size": 1, "format": "qcow2", "format-specific": {"data": {"corrupt": true}}}"#, "corrupt"),
            (r#"{"virtual-size": 1, "format": "vmdk"}"#, "format `vmdk`"),
            (r#"{"virtual-size": 0, "format": "raw"}"#, "empty"),
        ] {
            let refusal = judged(json).unwrap_err();
            assert!(refusal.contains(why), "{json}: {refusal}");
        }
    }
}
