//! Images on a node: how one gets there, and how it becomes a disk.

use crate::observed::ConfigWrite;

/// `phoenix-fetch-image KIND SOURCE SHA256 CACHE`: makes sure that an image is on the node and is what its digest says.
///
/// A `url` is fetched into the cache, where its digest names it, unless it is there; what an interrupted run left is gone on
/// with. A `file` or `volume` is compared where it is. Only what has the digest gets its name: nothing half fetched is used.
pub const FETCH: &str = r#"set -u
kind=$1 source=$2 sha=$3 cache=$4
is_it() {
  sum=$(sha256sum -- "$1") || exit 1
  sum=${sum%% *}
  sum=${sum#\\}
  [ "$sum" = "$sha" ]
}
wrong() {
  echo "the SHA-256 of $source is $sum, and not $sha" >&2
  exit 1
}
case $kind in
  file) [ -f "$source" ] || { echo "the node has no file $source" >&2; exit 1; } ;;
  volume) source=$(pvesm path "$source") || exit 1 ;;
esac
if [ "$kind" != url ]; then
  is_it "$source" || wrong
  exit 0
fi
image="$cache/$sha.img" part="$cache/$sha.part"
mkdir -p -- "$cache" || exit 1
exec 9>"$cache/$sha.lock" || exit 1
flock 9 || exit 1
[ ! -f "$image" ] || exit 0
get() {
  curl --disable --fail --location --proto =https --proto-redir =https --globoff --silent --show-error \
    --connect-timeout 30 --speed-time 60 --speed-limit 1 --output "$part" "$@" --url "$source" 9>&-
}
if [ ! -s "$part" ]; then
  get || exit 1
elif ! is_it "$part"; then
  get --continue-at -
  case $? in
    0) is_it "$part" || { rm -f -- "$part" && get || exit 1; } ;;
    # The server cannot go on there.
    22 | 33) rm -f -- "$part" && get || exit 1 ;;
    *) exit 1 ;;
  esac
fi
if ! is_it "$part"; then
  rm -f -- "$part"
  wrong
fi
mv -T -- "$part" "$image"
"#;

/// `phoenix-image-size KIND SOURCE`: prints the size in bytes of the disk in an image that is there: as a qcow2 file says in
/// its head, else the size of the file.
pub const MEASURE: &str = r#"set -u
source=$2
[ "$1" != volume ] || source=$(pvesm path "$source") || exit 1
[ -f "$source" ] || { echo "the node has no file $source" >&2; exit 1; }
head=$(od -An -v -tx1 -N32 -- "$source" | tr -d ' \n') || exit 1
case $head in
  514649fb*) echo "$((0x$(printf '%s' "$head" | cut -c49-64)))" ;;
  *) stat -L -c %s -- "$source" ;;
esac
"#;

/// The write that makes an image the boot disk of a VM that has none, and lets its guest ask for an address unless something
/// else is wished. `from` is a path on the node or a volume.
#[must_use]
pub fn import(from: &str, storage: &str) -> ConfigWrite {
    let set = [
        ("boot", "order=scsi0".to_owned()),
        ("ide2", format!("{storage}:cloudinit")),
        ("ipconfig0", "ip=dhcp".to_owned()),
        ("scsi0", format!("{storage}:0,import-from={from},discard=on")),
        ("scsihw", "virtio-scsi-pci".to_owned()),
        ("serial0", "socket".to_owned()),
        ("vga", "serial0".to_owned()),
    ];
    ConfigWrite { set: set.map(|(key, value)| (key.to_owned(), value)).into(), ..ConfigWrite::default() }
}
