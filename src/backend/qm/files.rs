//! Directories and exports on the node.
//!
//! What lies in an exported directory can be changed by a guest's root at any moment, so nothing here opens or makes
//! anything in one: a directory is made below its parents, which no guest can write to, and everything in it is the
//! guests' business.

use std::net::IpAddr;
use std::time::Duration;

use super::super::runner::Command;
use super::{Qm, script};
use crate::hypervisor::{ExportEntry, Fault, FaultKind};
use crate::model::VmId;
use crate::observed::{EXPORTS_HEADER, Export, export_line};

/// `phoenix-directory ROOT PATH`: makes the directory PATH below ROOT, 0755, its parents 0700; existing ones and their
/// modes are kept.
///
/// It goes down step by step, each step from the directory it is in, and looks where it came out: a link that is put in
/// the way is noticed before anything is made behind it.
const MAKE: &str = r#"set -eu
cd -P -- "$1/"
at=$(pwd -P)
[ "$at" != / ] || at=
rest=${2#"$1"}
while [ -n "$rest" ]; do
  rest=${rest#/}
  part=${rest%%/*}
  rest=${rest#"$part"}
  [ -n "$part" ] || continue
  at=$at/$part
  if [ ! -d "./$part" ] && [ ! -L "./$part" ]; then
    case $rest in *[!/]*) umask 077 ;; *) umask 022 ;; esac
    mkdir -- "./$part" || [ -d "./$part" ]
  fi
  [ ! -L "./$part" ] || { echo "$at is reached through a symbolic link: it is one" >&2; exit 3; }
  [ -d "./$part" ] || { echo "$at exists and is not a directory" >&2; exit 1; }
  cd -P -- "./$part"
  [ "$(pwd -P)" = "$at" ] || { echo "$at is reached through a symbolic link and lies at $(pwd -P): name that directory" >&2; exit 3; }
done
"#;

/// `phoenix-exports DIRECTORY FILE ROOT PATH…`: replaces the file; without standard input, removes it. Standard input
/// is the file's first line and then two lines for each PATH: the second one is written where the PATH is the top of a
/// file system of its own at this moment, else the first. Then tells the server, which fails for a line of anybody's
/// that it cannot export: only what it says of the PATHs, or of the file, counts.
///
/// A PATH that is reached through a symbolic link is refused: it would be another one by the time it is mounted, if the
/// link is. A file that goes comes back when the server could not be told: without it no run would know that it exports
/// something.
const EXPORTS: &str = r#"set -eu
umask 022
command -v exportfs >/dev/null 2>&1 || { echo "exportfs is missing: install nfs-kernel-server" >&2; exit 3; }
dir=$1 file=$2 root=$3
shift 3
for path do
  [ -d "$root$path" ] || continue
  real=$(cd -P -- "$root$path/" && pwd -P)
  [ "$real" = "$root$path" ] || { echo "$path is reached through a symbolic link and lies at ${real#"$root"}: name that directory" >&2; exit 3; }
done
own() {
  here=$(printf '%s' "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g') awk '
    $5 != "/" && ($5 == ENVIRON["here"] || index(ENVIRON["here"], $5 "/") == 1) { last = $5; part = $4 }
    END { exit !(last != "" && last == ENVIRON["here"] && part == "/") }' "$root/proc/self/mountinfo" 2>/dev/null
}
mkdir -p -- "$dir"
cd -- "$dir"
if IFS= read -r line; then
  {
    printf '%s\n' "$line"
    for path do
      IFS= read -r checked
      IFS= read -r whole
      if own "$path"; then printf '%s\n' "$whole"; else printf '%s\n' "$checked"; fi
    done
  } >".$file.new"
  mv -T -- ".$file.new" "$file"
else
  [ ! -e "$file" ] || mv -T -- "$file" ".$file.old"
fi
status=0
said=$(LC_ALL=C exportfs -ra 2>&1) || status=$?
if [ "$status" -ne 0 ]; then
  printf '%s\n' "$said" >&2
  theirs=
  case $said in *"Failed to stat "* | *"does not support NFS export"* | *"Failed to resolve "*) theirs=1 ;; esac
  for path in "$file" "$@"; do
    case $said in *"$path"*) theirs= ;; esac
  done
  [ -z "$theirs" ] || status=0
fi
if [ "$status" -eq 0 ]; then
  rm -f -- ".$file.old"
elif [ -e ".$file.old" ]; then
  mv -T -- ".$file.old" "$file"
fi
exit "$status"
"#;

/// `phoenix-read-exports ETC OWN`: every file of exports but phoenix's for other VMs, each after a line `file NAME`;
/// their lines begin with a space.
const READ_EXPORTS: &str = r#"set -u
for file in "$1/exports" "$1"/exports.d/*.exports; do
  [ -f "$file" ] || continue
  case ${file##*/} in
    "$2" | phoenix-*[!0-9]*.exports) ;;
    phoenix-[1-9]*.exports) continue ;;
  esac
  echo "file ${file##*/}"
  sed 's/^/ /' "$file"
done
exit 0
"#;

impl Qm {
    pub(super) fn make_directory(&self, path: &str, deadline: Duration) -> Result<(), Fault> {
        let path = self.on_node(path)?;
        self.run(&Command::change(script("phoenix-directory", MAKE, &[&self.layout.root, &path]), deadline)).map(|_| ())
    }

    pub(super) fn write_exports(&self, vm: VmId, entries: &[ExportEntry], deadline: Duration) -> Result<(), Fault> {
        if let Some(entry) = entries.iter().find(|entry| entry.client.parse::<IpAddr>().is_err()) {
            return Err(Fault::harmless(FaultKind::Refused, format!("`{}` is not an address", entry.client)));
        }
        let dir = format!("{}/etc/exports.d", self.layout.root);
        let file = Export::file_name(vm);
        let paths = entries.iter().map(|entry| entry.path.trim_end_matches('/'));
        let fixed = [dir.as_str(), file.as_str(), self.layout.root.as_str()];
        let arguments: Vec<&str> = fixed.into_iter().chain(paths).collect();
        let mut command = Command::change(script("phoenix-exports", EXPORTS, &arguments), deadline);
        if !entries.is_empty() {
            let both =
                |entry: &ExportEntry| [false, true].map(|own| export_line(&entry.path, &entry.client, own)).concat();
            command.stdin = (EXPORTS_HEADER.to_owned() + &entries.iter().map(both).collect::<String>()).into_bytes();
        }
        self.run(&command).map(|_| ())
    }

    pub(super) fn read_exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        let etc = format!("{}/etc", self.layout.root);
        let output = self.look("phoenix-read-exports", READ_EXPORTS, &[&etc, &Export::file_name(vm)])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut files: Vec<(&str, String)> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("file ") {
                files.push((name, String::new()));
            } else if let Some((_, content)) = files.last_mut() {
                content.push_str(line.strip_prefix(' ').unwrap_or(line));
                content.push('\n');
            }
        }
        Ok(files.iter().flat_map(|(name, content)| Export::parse(name, content)).collect())
    }

    /// A path of the node; absolute, and without steps upwards.
    pub(super) fn on_node(&self, path: &str) -> Result<String, Fault> {
        let plain = path.starts_with('/') && path.split('/').all(|part| part != ".." && part != ".");
        if !plain || path.contains(['\0', '\n']) {
            return Err(Fault::harmless(FaultKind::Refused, format!("`{path}` is not an absolute, plain path")));
        }
        let path = path.trim_end_matches('/');
        Ok(format!("{}{path}", self.layout.root))
    }
}
