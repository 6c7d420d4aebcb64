//! Mounting NFS volumes, and unmounting them.
//!
//! What phoenix keeps in `/etc/fstab` stands in a block of its own; every other line stays as it is.

mod failure;

use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;
use crate::model::excerpt;

/// What came of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounted {
    /// It was mounted already, from the same source.
    Already,
    /// It is mounted now.
    Now,
}

/// Shell functions that the scripts which write `/etc/fstab` begin with. They run again while an earlier run still goes
/// on if its answer was lost; so one at a time writes `/etc/fstab`, and what a killed one left beside it belongs to no
/// run.
///
/// `current`: what is mounted at `$target`. `rewrite LINE`: the block of `/etc/fstab` without the line for `$target`,
/// and with LINE if there is one.
macro_rules! functions {
    () => {
        r##"set -eu
umask 022
say() { printf '%s\n' "$*" >&2; }
current() { LC_ALL=C.UTF-8 findmnt -n -o SOURCE --mountpoint "$target" 2>/dev/null | tail -n 1; }
rewrite() {
  replace "$1" 9</etc
  if command -v systemctl >/dev/null 2>&1; then systemctl daemon-reload || true; fi
}
replace() {
  flock -w 60 9 || { say "/etc is locked: another run writes /etc/fstab"; exit 6; }
  rm -f /etc/.fstab.phoenix.*
  new=$(mktemp /etc/.fstab.phoenix.XXXXXX)
  target=$target line=$1 awk '
    /^# BEGIN phoenix/ { inside = 1; next }
    /^# END phoenix/ { inside = 0; next }
    inside { if ($2 != ENVIRON["target"]) block = block $0 "\n"; next }
    { print }
    END {
      if (ENVIRON["line"] != "") block = block ENVIRON["line"] "\n"
      if (block != "") printf "# BEGIN phoenix: these lines are phoenix'\''s own\n%s# END phoenix\n", block
    }' /etc/fstab >"$new"
  chown --reference=/etc/fstab "$new"
  chmod --reference=/etc/fstab "$new"
  mv "$new" /etc/fstab
}
[ -e /etc/fstab ] || : >/etc/fstab
"##
    };
}

pub(super) use functions;

/// A shell function: `guard` keeps even root in the guest from writing into the mount point at `$target` as long as
/// nothing is mounted there.
///
/// A guest that boots without the volume would otherwise write to its own disk what belongs on the volume, and no one
/// looking at the VM would see it. It looks through an open directory: should the volume be mounted in this moment, by
/// a guest that boots, that one stays as it is. So does a directory that lies on another volume, and one that holds
/// something: what guests wrote there stays, and is spoken of.
macro_rules! guard {
    () => {
        r##"is_bare() {
  [ -z "$(current)" ] || return 1
  case $(stat -f -c %T "$below" 2>/dev/null) in nfs* | smb* | cifs | fuse*) return 1 ;; esac
}
guard() {
  below=/proc/self/fd/8/.
  exec 8<"$target"
  if is_bare; then
    if [ -n "$(find "$below" -mindepth 1 -maxdepth 1 -print | head -n 1)" ]; then
      note="$target holds files on the guest's own disk, which the volume hides: they were there before, or were written while it was not mounted; \`umount\` shows them"
    elif ! chattr +i "$below" 2>/dev/null; then
      chmod a-w "$below"
      note="the file system of $target knows no immutable directories: while the volume is not mounted, root in the guest can write there, to the guest's own disk"
    fi
  fi
  exec 8<&-
}
"##
    };
}

/// A shell function: `release` takes back what `guard` did to `$target`, where nothing is mounted.
macro_rules! release {
    () => {
        r##"is_bare() {
  [ -z "$(current)" ] || return 1
  case $(stat -f -c %T "$below" 2>/dev/null) in nfs* | smb* | cifs | fuse*) return 1 ;; esac
}
release() {
  [ -d "$target" ] || return 0
  below=/proc/self/fd/8/.
  exec 8<"$target"
  if is_bare; then
    chattr -i "$below" 2>/dev/null || true
    [ -n "$(find "$below" -prune -perm -u+w -print)" ] || chmod u+w "$below"
  fi
  exec 8<&-
}
"##
    };
}

pub(super) use guard;
pub(super) use release;

/// A shell function: `attach` mounts what `/etc/fstab` has at `$target`, or says why not, and from where.
///
/// A server that does not answer would hold `mount` for three minutes or more, with nothing but "mount system call
/// failed" at the end, and one that refuses connections for two; a server that is there answers within seconds.
macro_rules! attach {
    () => {
        r##"attach() {
  status=0
  said=$(timeout -k 5 "$limit" mount -o retry=1 -- "$target" 2>&1) || status=$?
  case $status in
    0) return ;;
    124 | 137) said="no answer from the NFS server within $limit s" ;;
  esac
  # What it said last is the reason; the rest stands before it.
  printf '%s\n' "$said" | source=$source awk '
    NF { if (held) print last; held = 1; last = $0 }
    END { print ENVIRON["source"] ": " last }' >&2
  exit "$status"
}
"##
    };
}

/// A shell function: `prove` writes a file to the volume and reads it back past the cache, if `$prove` says so.
///
/// A server may accept a mount and refuse to write; and with some pairs of server and kernel a file has its size, and
/// zeros in it.
macro_rules! prove {
    () => {
        r##"prove() {
  [ -n "$prove" ] || return 0
  probe=$(mktemp "$target/.phoenix_probe.XXXXXX" 2>&1) || { say "$source: the guest cannot write to it: $probe"; exit 7; }
  trap 'rm -f -- "$probe"' EXIT
  wrote=$(cat /proc/sys/kernel/random/uuid)
  said=$({ printf '%s' "$wrote" >"$probe" && sync "$probe"; } 2>&1) ||
    { say "$source: the guest cannot write to it: $said"; exit 7; }
  found=$(dd if="$probe" iflag=direct bs=4096 count=1 status=none 2>/dev/null | tr -d '\0') || found=
  [ -n "$found" ] || found=$(tr -d '\0' <"$probe" 2>/dev/null) || found=
  [ "$found" = "$wrote" ] || { say "$source: the guest reads other bytes there than it wrote"; exit 8; }
  rm -f -- "$probe"
  trap - EXIT
}
"##
    };
}

/// `phoenix-mount SOURCE MOUNT_POINT PROVE`
///
/// Installs the NFS client where it is missing (waiting for a running package manager, never ending one, and for less
/// time than the action has: what apt says of the lock must still be heard; apt itself waits for dpkg's lock only, not
/// for those of its lists and archives; needrestart may not end the agent, and us with it), keeps one line for the
/// mount point in `/etc/fstab`, guards the mount point, mounts, and verifies source, target and options with `findmnt`.
/// Prints `already` or `mounted`, and in a further line what else should be known.
pub(super) const MOUNT: &str = concat!(
    functions!(),
    guard!(),
    attach!(),
    prove!(),
    r##"source=$1
target=$2
prove=$3
limit=90
note=
suits() {
  options=$(LC_ALL=C.UTF-8 findmnt -n -o OPTIONS --mountpoint "$target" 2>/dev/null | tail -n 1)
  case ",$options," in *,ro,* | *,soft,* | *,softerr,*) return 1 ;; esac
}
apt() {
  while :; do
    left=$((end - $(date +%s)))
    [ "$left" -gt 0 ] || left=1
    said=$(apt-get -o DPkg::Lock::Timeout="$left" "$@" 2>&1) && return 0
    status=$?
    case $said in *"Could not get lock"*) [ "$left" -le 5 ] || { sleep 5; continue; } ;; esac
    say "$said"
    return "$status"
  done
}
line="$source $target nfs rw,hard,noatime,nofail,_netdev 0 0"
was=$(current)
if [ "$was" = "$source" ] && suits && grep -qxF -e "$line" /etc/fstab; then
  prove
  echo already
  exit 0
fi
foreign=$(target=$target awk '/^# BEGIN phoenix/ { inside = 1 } /^# END phoenix/ { inside = 0 }
  { at = $2; if (at != "/") sub("/+$", "", at) }
  !inside && $1 !~ /^#/ && at == ENVIRON["target"]' /etc/fstab)
if [ -n "$foreign" ]; then
  say "/etc/fstab mounts something else at $target already: $foreign"
  exit 5
fi
if ! command -v mount.nfs >/dev/null 2>&1 && [ ! -x /sbin/mount.nfs ]; then
  if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    end=$(($(date +%s) + 300))
    apt update || say "package lists could not be refreshed"
    apt install -y --no-install-recommends nfs-common
  elif command -v dnf >/dev/null 2>&1; then
    dnf install -y nfs-utils >&2
  else
    say "the NFS client is missing and neither apt-get nor dnf is there to install it"
    exit 3
  fi
fi
mkdir -p -- "$target"
rewrite "$line"
if [ -n "$was" ] && { [ "$was" != "$source" ] || ! suits; }; then
  umount -- "$target"
fi
if [ "$(current)" != "$source" ]; then
  guard
  attach
fi
now=$(current)
if [ "$now" != "$source" ]; then
  say "mounted at $target is '$now', not '$source'"
  exit 4
fi
if ! suits; then
  say "$source is mounted at $target otherwise than /etc/fstab says: $options"
  exit 9
fi
prove
printf 'mounted\n%s\n' "$note"
"##
);

/// `phoenix-unmount SOURCE MOUNT_POINT`: unmounts the source, and takes the mount point out of phoenix's block. A
/// source `UUID=…` is a file system of a disk, which may be gone already.
///
/// Anything else that is mounted there stays. The mount point stays as well, and can be written to from then on.
pub(super) const UNMOUNT: &str = concat!(
    functions!(),
    release!(),
    r##"source=$1
target=$2
now=$(current)
case $source in UUID=*)
  if [ -b "$now" ]; then
    is=$(blkid -p -s UUID -o value "$now" 2>/dev/null) || { say "blkid cannot tell what $now at $target is"; exit 7; }
    now=UUID=$is
  else
    now=
  fi
  ;;
esac
if [ -n "$now" ] && [ "$now" = "$source" ]; then
  umount -- "$target"
fi
case $source in UUID=*)
  other=$(findmnt -n -o TARGET -S "$source" 2>/dev/null) || other=
  [ -z "$other" ] || { say "$source is busy: it is mounted at $other, too"; exit 5; }
  ;;
esac
release
rewrite ''
echo unmounted
"##
);

/// What [`MOUNT`] said beside that it is mounted, if anything.
pub(super) fn notice(exit: &GuestExit) -> Option<String> {
    let (_, said) = exit.out.trim().split_once('\n')?;
    Some(excerpt(said.trim()).into_owned())
}

/// Reads what [`MOUNT`] said.
pub(super) fn read(exit: &GuestExit) -> Result<Mounted, GuestProblem> {
    match (exit.code, exit.out.lines().next().unwrap_or_default().trim()) {
        (Some(0), "already") => Ok(Mounted::Already),
        (Some(0), "mounted") => Ok(Mounted::Now),
        _ => Err(failure::problem(exit)),
    }
}

/// Reads what [`UNMOUNT`] said.
pub(super) fn read_unmount(exit: &GuestExit) -> Result<(), GuestProblem> {
    if exit.code == Some(0) {
        return Ok(());
    }
    let mut problem = unexpected("unmount", exit);
    if exit.err.contains("busy") {
        problem.hint =
            Some("something in the guest uses it: `lsof` there shows what; end it, then apply again".to_owned());
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    /// A `mount` that ends at once, and one that a server keeps waiting.
    #[test]
    fn a_mount_that_fails_names_its_source_and_ends_in_time() {
        for (mount, code, said) in [
            (":", 0, ""),
            (
                "echo mount.nfs: Connection timed out >&2; exit 32",
                32,
                "192.0.2.1:/srv: mount.nfs: Connection timed out\n",
            ),
            (
                "printf 'Created symlink.\\n\\nmount.nfs: access denied\\n' >&2; exit 32",
                32,
                "Created symlink.\n192.0.2.1:/srv: mount.nfs: access denied\n",
            ),
            ("exec sleep 60", 124, "192.0.2.1:/srv: no answer from the NFS server within 1 s\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let text = format!("#!/bin/sh\n[ \"$*\" = '-o retry=1 -- /srv' ] || exit 99\n{mount}\n");
            // Another process writes it: a child of another test's thread would inherit the open file, which keeps it
            // from being run.
            let mut write = std::process::Command::new("sh");
            write.args(["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"]);
            assert!(write.arg(dir.path().join("mount")).arg(text).status().unwrap().success());
            let path = format!("{}:/usr/bin:/bin", dir.path().display());
            let script = concat!(
                "set -eu\nsay() { printf '%s\\n' \"$*\" >&2; }\nsource=192.0.2.1:/srv target=/srv limit=1\n",
                attach!(),
                "attach\n"
            );
            let output = std::process::Command::new("sh").args(["-c", script]).env("PATH", path).output().unwrap();
            assert_eq!(
                (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
                (Some(code), said),
                "{mount}"
            );
        }
    }
}
