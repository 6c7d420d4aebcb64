//! Making the root file system as large as its disk.

use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;
use crate::model::excerpt;

/// What came of growing a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grown {
    /// It is larger now.
    Now,
    /// It was as large as its disk already.
    Already,
    /// It lies on its disk in a way that phoenix does not change; the reason.
    Unknown(String),
}

/// `phoenix-grow SYS`: SYS is where the kernel tells of block devices, `/sys`.
///
/// Knows a root file system of ext, xfs or btrfs on the last partition of a disk, or on a whole disk. Everything else
/// (LVM, encryption, RAID, other file systems) is told with status 3 and left alone. Prints `grown` or `already`.
///
/// Only partitions and file systems that grow are touched: `growpart` and the programs of the file systems never
/// shrink, and each does nothing where nothing is to be done. A disk larger than the kernel knows is asked for its size
/// again first.
pub(super) const GROW: &str = r#"set -u
sys=$1
unknown() { printf '%s\n' "$*" >&2; exit 3; }
failed() { printf '%s\n' "$*" >&2; exit 1; }
blocks() { stat -f -c '%b %S' /; }
need() { command -v "$1" >/dev/null 2>&1 || unknown "$1 is not installed in the guest (package $2)"; }
command -v findmnt >/dev/null 2>&1 || unknown "findmnt is not there to tell what / is on"
source=$(findmnt -n -v -o SOURCE --mountpoint / | tail -n 1)
type=$(findmnt -n -o FSTYPE --mountpoint / | tail -n 1)
case $type in
  ext2 | ext3 | ext4) need resize2fs e2fsprogs ;;
  xfs) need xfs_growfs xfsprogs ;;
  btrfs) need btrfs btrfs-progs ;;
  *) unknown "/ is of type ${type:-unknown}" ;;
esac
device=$(readlink -f -- "$source") || unknown "/ is on $source"
name=${device##*/}
block=$(readlink -f -- "$sys/class/block/$name") || block=
# Kernels that start without an initrd call it /dev/root.
if [ ! -d "${block:-none}" ]; then
  block=$(readlink -f -- "$sys/dev/block/$(findmnt -n -o MAJ:MIN --mountpoint / | tail -n 1 | tr -d ' ')") || block=
  device=/dev/${block##*/}
fi
[ -d "${block:-none}" ] || unknown "/ is on $source, which is no block device"
disk=$block number=
if [ -e "$block/partition" ]; then
  read -r number <"$block/partition"
  disk=${block%/*}
fi
case ${disk##*/} in
  dm-* | md*) unknown "/ is on ${disk##*/} ($source): LVM, encryption or RAID" ;;
esac
before=$(blocks)
# Disks of SCSI tell a new size only when asked.
if [ -e "$disk/device/rescan" ]; then echo 1 2>/dev/null >"$disk/device/rescan"; fi
if [ -n "$number" ]; then
  need growpart "cloud-guest-utils or cloud-utils-growpart"
  said=$(growpart "/dev/${disk##*/}" "$number" 2>&1)
  status=$?
  # 1: nothing to be done, or nothing that can be done.
  [ "$status" -le 1 ] || failed "growpart: $said"
  read -r all <"$disk/size"
  read -r start <"$block/start"
  read -r length <"$block/size"
  # Sectors of 512 bytes; less than 64 MiB behind it is alignment and the second table of a GPT.
  free=$((all - start - length))
  [ "$free" -lt 131072 ] || unknown "partition $number of /dev/${disk##*/} cannot grow into the $((free / 2048)) MiB that are free on it: $said"
fi
case $type in
  xfs) said=$(xfs_growfs / 2>&1) ;;
  btrfs) said=$(btrfs filesystem resize max / 2>&1) ;;
  *) said=$(resize2fs "$device" 2>&1) ;;
esac || failed "growing the $type file system on $device: $said"
if [ "$(blocks)" = "$before" ]; then echo already; else echo grown; fi
"#;

/// Reads the answer to [`GROW`].
pub(super) fn read(exit: &GuestExit) -> Result<Grown, GuestProblem> {
    match (exit.code, exit.out.trim()) {
        (Some(0), "grown") => Ok(Grown::Now),
        (Some(0), "already") => Ok(Grown::Already),
        (Some(3), _) => Ok(Grown::Unknown(excerpt(exit.err.trim()).into_owned())),
        _ => Err(unexpected("growing the root file system", exit)),
    }
}
