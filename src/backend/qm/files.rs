//! Directories on the node.

use std::fmt::Write as _;
use std::time::Duration;

use data_encoding::BASE64;

use super::runner::Command;
use super::{Qm, script};
use crate::hypervisor::{Fault, FaultKind, FileContent};

/// `phoenix-directory PATH`: makes it with its parents; existing content and modes are kept.
const MAKE: &str = r#"set -eu
umask 022
mkdir -p -- "$1"
"#;

/// `phoenix-replace PATH`: reads `mode name content-in-base64` lines, writes the files into a fresh directory beside
/// PATH, and swaps it in by rename.
const REPLACE: &str = r#"set -eu
umask 022
path=$1
new=$(mktemp -d "$path.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
while read -r mode name content; do
  printf '%s' "$content" | base64 -d >"$new/$name"
  chmod "$mode" "$new/$name"
done
chmod 0755 "$new"
old="$new.old"
if [ -e "$path" ] || [ -L "$path" ]; then
  mv -T -- "$path" "$old"
fi
mv -T -- "$new" "$path"
trap - EXIT
rm -rf "$old"
for stale in "$path".new.*; do
  [ -e "$stale" ] && rm -rf "$stale"
done
exit 0
"#;

impl Qm {
    pub(super) fn make_directory(&self, path: &str, deadline: Duration) -> Result<(), Fault> {
        let path = self.on_node(path)?;
        self.run(&Command::change(script("phoenix-directory", MAKE, &[&path]), deadline)).map(|_| ())
    }

    pub(super) fn replace_directory(&self, path: &str, files: &[FileContent], deadline: Duration) -> Result<(), Fault> {
        let path = self.on_node(path)?;
        let mut lines = String::new();
        for FileContent { name, content, executable } in files {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(plain) {
                return Err(Fault::harmless(FaultKind::Refused, format!("`{name}` is not a plain file name")));
            }
            let mode = if *executable { "0755" } else { "0644" };
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{mode} {name} {}", BASE64.encode(content.as_bytes()));
        }
        let mut command = Command::change(script("phoenix-replace", REPLACE, &[&path]), deadline);
        command.stdin = lines.into_bytes();
        self.run(&command).map(|_| ())
    }

    /// A path of the node; absolute, and without steps upwards.
    fn on_node(&self, path: &str) -> Result<String, Fault> {
        let plain = path.starts_with('/') && path.split('/').all(|part| part != ".." && part != ".");
        if !plain || path.contains('\0') {
            return Err(Fault::harmless(FaultKind::Refused, format!("`{path}` is not an absolute, plain path")));
        }
        Ok(format!("{}{path}", self.layout.root))
    }
}
