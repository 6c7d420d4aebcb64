//! Making a file system on a further disk, and mounting it.
//!
//! A disk is found by the name that the hypervisor gives it, which the kernel reads from the disk itself (page 0x83 of
//! its vital product data): names like `sdb` change from boot to boot.

use super::mount::{functions, guard};
use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;

/// A file system of a further disk, as the programs take it.
#[derive(Debug, Clone, Copy)]
pub struct GuestDisk<'a> {
    /// The slot of the disk, e.g. `scsi1`.
    pub slot: &'a str,
    /// The word for the file system: `ext4` or `xfs`.
    pub filesystem: &'a str,
    /// The uuid of the file system.
    pub uuid: &'a str,
}

impl GuestDisk<'_> {
    /// The name that the disk bears in the guest.
    pub(super) fn name(&self) -> String {
        format!("drive-{}", self.slot)
    }
}

/// What came of making a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was made before, and is whole.
    Already,
    /// It is made now.
    Now,
}

/// Shell functions for programs that begin with `sys`, `disk` and `type`.
///
/// `locate`: the only disk of this name is `$block` in `$sys` and `$device`. `need PROGRAM PACKAGE`. `has KEY`: what is
/// found on the disk, by a look at the disk itself.
macro_rules! find {
    () => {
        r#"need() { command -v "$1" >/dev/null 2>&1 || { say "$1 is not installed in the guest (package $2)"; exit 3; }; }
locate() {
  block= number=0
  for each in "$sys"/block/sd*; do
    [ -r "$each/device/vpd_pg83" ] || continue
    tr -c 'a-zA-Z0-9_-' '\n' <"$each/device/vpd_pg83" | grep -qxF -e "$disk" || continue
    block=$each number=$((number + 1))
  done
  [ "$number" -ne 0 ] || { say "the guest has no disk that bears the name $disk"; exit 4; }
  [ "$number" -eq 1 ] || { say "$number disks of the guest bear the name $disk: which one is meant cannot be told"; exit 4; }
  device=/dev/${block##*/}
  [ -b "$device" ] || { say "$device, the disk $disk, is no block device in the guest"; exit 4; }
}
has() { blkid -p -s "$1" -o value "$device" 2>/dev/null || true; }
"#
    };
}

/// `phoenix-format SYS DISK TYPE UUID`: SYS is where the kernel tells of block devices, `/sys`.
///
/// Makes a file system on a disk that can be read and on which `wipefs` finds nothing, and never on any other. A file
/// system of this uuid is phoenix's own, from a run whose answer was lost or that was ended: it stays if it is mounted
/// or whole. Whether one that is not whole was never finished or has been used and damaged since, nothing tells: it is
/// left alone, as anything else is. One at a time works on a disk. Prints `formatted` or `already`.
pub(super) const FORMAT: &str = concat!(
    r#"set -eu
say() { printf '%s\n' "$*" >&2; }
sys=$1 disk=$2 type=$3 uuid=$4
"#,
    find!(),
    r#"whole() {
  case $type in
    ext4) e2fsck -fn "$device" >/dev/null 2>&1 ;;
    *) xfs_repair -n "$device" >/dev/null 2>&1 ;;
  esac
}
for program in wipefs blkid findmnt flock; do need "$program" util-linux; done
need dd coreutils
case $type in
  ext4) need mkfs.ext4 e2fsprogs; need e2fsck e2fsprogs ;;
  xfs) need mkfs.xfs xfsprogs; need xfs_repair xfsprogs ;;
  *) say "$type is not a file system that phoenix makes"; exit 2 ;;
esac
locate
exec 7<"$device"
flock -w 300 7 || { say "$device is locked: another program works on it"; exit 6; }
own() { [ "$(has TYPE)" = "$type" ] && [ "$(has UUID)" = "$uuid" ]; }
if findmnt -n -S "$device" >/dev/null 2>&1; then
  if own; then
    echo already
    exit 0
  fi
  say "$device, the disk $disk, is mounted in the guest already"
  exit 5
fi
if [ -n "$(ls -A "$block/holders" 2>/dev/null)" ]; then
  say "$device, the disk $disk, is in use in the guest (LVM, encryption or RAID)"
  exit 5
fi
# To `wipefs`, what cannot be read is empty.
read -r sectors <"$block/size"
for at in 0 "$((sectors > 8192 ? sectors / 2048 - 4 : 0))"; do
  dd if="$device" of=/dev/null bs=1M count=4 skip="$at" 2>/dev/null || { say "$device cannot be read"; exit 7; }
done
found=$(wipefs --no-act --parsable "$device") || { say "wipefs cannot read $device"; exit 7; }
# A program between the two could fail and say nothing, which would be taken for an empty disk.
case "
$found" in *"
"[!#]*)
  if ! own; then
    say "$device, the disk $disk, is not empty: wipefs finds $(printf '%s\n' "$found" | awk -F, '!/^#/ { printf "%s%s", sep, $NF; sep = ", " }') on it"
    exit 5
  fi
  if whole; then
    echo already
    exit 0
  fi
  say "$device, the disk $disk, bears the file system that phoenix began, $uuid, and its checker does not find it whole"
  exit 5
  ;;
esac
case $type in
  ext4) said=$(mkfs.ext4 -q -F -E nodiscard -U "$uuid" "$device" 2>&1 </dev/null) ;;
  xfs) said=$(mkfs.xfs -q -f -K -m uuid="$uuid" "$device" 2>&1 </dev/null) ;;
esac || { say "mkfs.$type: $said"; exit 1; }
sync "$device" 2>/dev/null || sync
own ||
  { say "mkfs.$type ended well, and $device bears no $type of uuid $uuid"; exit 8; }
echo formatted
"#
);

/// `phoenix-disk-mount SYS DISK TYPE UUID MOUNT_POINT`
///
/// Keeps one line for the mount point in `/etc/fstab`, guards the mount point, mounts the file system of this uuid if
/// it is the one on this disk, and makes it as large as its disk, which is asked for its size again first. What else is
/// mounted there gives way only if it is phoenix's own. Prints `already` or `mounted`, and in a further line what else
/// should be known.
pub(super) const MOUNT_DISK: &str = concat!(
    functions!(),
    guard!(),
    r#"sys=$1 disk=$2 type=$3 uuid=$4 target=$5
note=
"#,
    find!(),
    r#"room() { stat -f -c '%b %S' "$target"; }
for program in blkid findmnt flock; do need "$program" util-linux; done
case $type in
  ext4) need resize2fs e2fsprogs ;;
  *) need xfs_growfs xfsprogs ;;
esac
locate
is=$(has UUID)
if [ "$is" != "$uuid" ]; then
  say "$device, the disk $disk, does not bear the file system that phoenix made, $uuid, but ${is:-none that has a uuid}"
  exit 5
fi
line="UUID=$uuid $target $type defaults,nofail 0 2"
was=$(current)
before=
if [ "$was" = "$device" ] && grep -qxF -e "$line" /etc/fstab; then
  before=$(room)
else
  own=$(target=$target awk '/^# BEGIN phoenix/ { inside = 1 } /^# END phoenix/ { inside = 0 }
    inside && $2 == ENVIRON["target"]' /etc/fstab)
  foreign=$(target=$target awk '/^# BEGIN phoenix/ { inside = 1 } /^# END phoenix/ { inside = 0 }
    { at = $2; if (at != "/") sub("/+$", "", at) }
    !inside && $1 !~ /^#/ && at == ENVIRON["target"]' /etc/fstab)
  if [ -n "$foreign" ]; then
    say "/etc/fstab mounts something else at $target already: $foreign"
    exit 5
  fi
  if [ -n "$was" ] && [ "$was" != "$device" ]; then
    [ -n "$own" ] || { say "$was is mounted at $target already"; exit 5; }
    umount -- "$target"
    was=
  fi
  # systemd takes what it does not know to be there for gone, and unmounts it.
  if command -v udevadm >/dev/null 2>&1; then
    udevadm trigger --action=change --subsystem-match=block --sysname-match="${block##*/}" 2>/dev/null || true
    udevadm settle --timeout=30 2>/dev/null || true
  fi
  mkdir -p -- "$target"
  rewrite "$line"
  if [ -z "$was" ]; then
    guard
    said=$(mount -- "$target" 2>&1) || { say "$device: $said"; exit 32; }
  fi
  now=$(current)
  [ "$now" = "$device" ] || { say "mounted at $target is '$now', not '$device'"; exit 4; }
fi
# Disks of SCSI tell a new size only when asked.
if [ -e "$block/device/rescan" ]; then echo 1 2>/dev/null >"$block/device/rescan" || true; fi
case $type in
  xfs) said=$(xfs_growfs "$target" 2>&1) ;;
  *) said=$(resize2fs "$device" 2>&1) ;;
esac || { say "growing the $type file system on $device: $said"; exit 1; }
if [ "$(room)" = "$before" ]; then echo already; else printf 'mounted\n%s\n' "$note"; fi
"#
);

/// Reads what [`FORMAT`] said.
pub(super) fn read(exit: &GuestExit) -> Result<Made, GuestProblem> {
    match (exit.code, exit.out.trim()) {
        (Some(0), "already") => Ok(Made::Already),
        (Some(0), "formatted") => Ok(Made::Now),
        _ => Err(with_hint(unexpected("making the file system", exit), exit)),
    }
}

/// A failure with what helps.
pub(super) fn with_hint(problem: GuestProblem, exit: &GuestExit) -> GuestProblem {
    let has = |words: &str| exit.err.contains(words);
    let hint = if has("is not empty") {
        "phoenix formats empty disks only. Is it the right disk? If what is on it may go: `wipefs --all` on it in the \
         guest, then apply again; else take `filesystem` and `mount_point` out and mount it in the guest by hand"
    } else if has("does not find it whole") {
        "it was not finished, or was damaged after it had been used: look at it with `fsck -n`. If nothing on it is needed: \
         `wipefs --all` on it in the guest, then apply again; else repair it there first"
    } else if has("does not bear the file system") {
        "another disk was attached in this slot, or the disk was formatted by hand: attach the former one, or take \
         `filesystem` and `mount_point` out"
    } else if has("no disk that bears the name") {
        "does `lsblk` in the guest show the disk? One that was added may need a restart: `phoenix apply --restart`"
    } else if has("is not installed in the guest") {
        "install the package in the guest, or into its template, then apply again"
    } else if has("busy") {
        "something in the guest uses it: `lsof` there shows what; end it, then apply again"
    } else if has("/etc/fstab mounts something else") {
        "remove that line, or choose another `mount_point`"
    } else if has("mounted at") || has("is mounted in the guest already") {
        "unmount it in the guest, or choose another `mount_point`"
    } else {
        return problem;
    };
    GuestProblem { hint: Some(hint.to_owned()), ..problem }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// What is said of the disk `drive-scsi1` in a guest whose disks bear these names.
    fn located(disks: &[&str]) -> (Option<i32>, String) {
        let sys = tempfile::tempdir().unwrap();
        for (number, name) in disks.iter().enumerate() {
            let device = sys.path().join(format!("block/sd{number}/device"));
            fs::create_dir_all(&device).unwrap();
            let length = u8::try_from(name.len()).unwrap();
            // Page 0x83 as QEMU writes it: a name in ASCII, then one in binary.
            let head = [0, 0x83, 0, length + 16, 2, 0, 0, length];
            let page = [&head, name.as_bytes(), &[1, 3, 0, 8, b'a', 0x50, 0, 0xc5, 0, 0x15, 0xea, b'z']].concat();
            fs::write(device.join("vpd_pg83"), page).unwrap();
        }
        fs::create_dir_all(sys.path().join("block/sr0")).unwrap();
        let script =
            concat!("set -eu\nsay() { printf '%s\\n' \"$*\" >&2; }\nsys=$1 disk=drive-scsi1\n", find!(), "locate");
        let mut sh = std::process::Command::new("sh");
        let output = sh.args(["-c", script, "sh"]).arg(Path::new(sys.path())).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn a_disk_is_found_by_its_whole_name_or_not_at_all() {
        let none = "the guest has no disk that bears the name drive-scsi1\n";
        for disks in [&[][..], &["drive-scsi0"], &["drive-scsi10", "drive-scsi"], &["xdrive-scsi1", "drive_scsi1"]] {
            assert_eq!(located(disks), (Some(4), none.to_owned()), "{disks:?}");
        }
        let (code, said) = located(&["drive-scsi1", "drive-scsi0", "drive-scsi1"]);
        assert!(code == Some(4) && said.starts_with("2 disks of the guest bear the name drive-scsi1"), "{said}");
        // `sd1` is not a device of this machine: which one it would be is said.
        let (code, said) = located(&["drive-scsi0", "drive-scsi1"]);
        assert!(code == Some(4) && said.starts_with("/dev/sd1, the disk drive-scsi1, is no block device"), "{said}");
    }
}
