//! Mounting an NFS volume.

use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;

/// What came of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounted {
    /// It was mounted already, from the same source.
    Already,
    /// It is mounted now.
    Now,
}

/// `phoenix-mount SOURCE MOUNT_POINT`
///
/// Installs the NFS client where it is missing (waiting for a running package manager, never ending one), keeps one
/// line for the mount point in `/etc/fstab`, mounts, and verifies source and target with `findmnt`.
pub(super) const SCRIPT: &str = r#"set -eu
source=$1
target=$2
say() { printf '%s\n' "$*" >&2; }
current() { findmnt -rn -o SOURCE --mountpoint "$target" 2>/dev/null || true; }
line="$source $target nfs rw,hard,noatime,nofail,_netdev 0 0"
was=$(current)
if [ "$was" = "$source" ] && grep -qxF "$line" /etc/fstab; then
  echo already
  exit 0
fi
if ! command -v mount.nfs >/dev/null 2>&1 && [ ! -x /sbin/mount.nfs ]; then
  if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=600 update >&2 || say "package lists could not be refreshed"
    apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends nfs-common >&2
  elif command -v dnf >/dev/null 2>&1; then
    dnf install -y nfs-utils >&2
  else
    say "the NFS client is missing and neither apt-get nor dnf is there to install it"
    exit 3
  fi
fi
mkdir -p "$target"
new=$(mktemp /etc/.fstab.phoenix.XXXXXX)
awk -v target="$target" '$1 ~ /^#/ || $2 != target || $3 !~ /^nfs/' /etc/fstab >"$new"
printf '%s\n' "$line" >>"$new"
chmod 0644 "$new"
mv "$new" /etc/fstab
command -v systemctl >/dev/null 2>&1 && systemctl daemon-reload || true
if [ -n "$was" ] && [ "$was" != "$source" ]; then
  umount "$target"
fi
[ "$(current)" = "$source" ] || mount "$target"
now=$(current)
if [ "$now" != "$source" ]; then
  say "mounted at $target is '$now', not '$source'"
  exit 4
fi
echo mounted
"#;

/// Reads what the script said.
pub(super) fn read(exit: &GuestExit) -> Result<Mounted, GuestProblem> {
    match (exit.code, exit.out.trim()) {
        (Some(0), "already") => Ok(Mounted::Already),
        (Some(0), "mounted") => Ok(Mounted::Now),
        _ => {
            let mut problem = unexpected("mount", exit);
            if exit.code == Some(32) {
                problem.hint = Some("is the directory exported to this VM, and the NFS server reachable?".to_owned());
            }
            Err(problem)
        }
    }
}
