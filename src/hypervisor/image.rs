//! Images on a node: how one gets there, and how it becomes a disk.

use super::Copied;
use crate::observed::ConfigWrite;

/// How many of the first bytes of an image tell what it is.
pub const HEAD: usize = 512;

/// Formats whose files are more than one disk in one file, or can be: the bytes by which QEMU knows them, where these
/// stand, and their names. QEMU takes a text for the descriptor of a vmdk whose first line that is no comment is its
/// version.
const FORMATS: [(usize, &[u8], &str); 15] = [
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"#", "vmdk or cloop"),
    (0, b" ", "vmdk"),
    (0, b"\r", "vmdk"),
    (0, b"\n", "vmdk"),
    (0, b"version=", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vpc"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
];

/// The size in bytes of the disk in an image, from its first [`HEAD`] bytes and the length of its file: as a qcow2 file
/// says in its head, else the length.
///
/// # Errors
/// It is not one whole disk in one file: a lower-case fragment that says why. What an image refers to outside itself is
/// never followed: it could be any file of the node.
pub fn disk_size(head: &[u8], length: u64) -> Result<u64, String> {
    let number = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_be_bytes(bytes.unwrap_or_default())
    };
    let convert = "`qemu-img convert -O qcow2` makes one file of it that can be taken over";
    if !head.starts_with(b"QFI\xfb") {
        let known = FORMATS.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|head| head.starts_with(magic)));
        return match known {
            Some((_, _, name)) => Err(format!("its format is {name}, and not qcow2 or raw; {convert}")),
            None if length == 0 => Err("it is empty".to_owned()),
            None => Ok(length.next_multiple_of(512)),
        };
    }
    let (version, crypt) = (number(4) >> 32, number(32) >> 32);
    // The second version has no such bits: what stands there is something else.
    let bits = if version == 3 { number(72) } else { 0 };
    if !(2..=3).contains(&version) {
        return Err(format!("it is qcow2 of version {version}, which is not known"));
    }
    if number(8) != 0 {
        return Err(format!("it names a backing file, so that it is only a part of a disk; {convert}"));
    }
    if bits & 0b100 != 0 {
        return Err(format!("its data lies in another file; {convert}"));
    }
    if bits & 0b10 != 0 {
        return Err("it is corrupt, as it says itself; `qemu-img check -r all` may repair it".to_owned());
    }
    if crypt != 0 {
        return Err("it is encrypted".to_owned());
    }
    match number(24) {
        0 => Err("it is empty".to_owned()),
        size => Ok(size),
    }
}

/// Shell function `plain KIND PATH`: ends the script unless it is a regular file. One that the config names by its path
/// must be reached through no link.
macro_rules! plain {
    () => {
        r#"plain() {
  if [ ! -L "$2" ] && [ ! -e "$2" ]; then
    echo "the node has no file $2" >&2
    exit 1
  fi
  if [ -L "$2" ] || [ ! -f "$2" ]; then
    echo "$2 is not a regular file of the node" >&2
    exit 1
  fi
  if [ "$1" = file ] && [ "$(realpath -es -- "$2")" != "$(realpath -e -- "$2")" ]; then
    echo "a symbolic link is on the way to $2: name the file itself" >&2
    exit 1
  fi
}
"#
    };
}

/// `phoenix-fetch-image KIND SOURCE DIGEST CACHE`: makes sure that an image is on the node and is what its digest says.
///
/// A digest of 128 digits is a SHA-512, else it is a SHA-256. A `url` is fetched into the cache, where its digest names
/// it, unless it is there; what an interrupted run left is gone on with. A `file` or `volume` is compared where it is.
/// Only what has the digest gets its name: nothing half fetched is used. While it is fetched, `DIGEST.head` has what
/// the server said of it, for [`FETCHING`].
pub const FETCH: &str = concat!(
    "set -u\n",
    plain!(),
    r#"kind=$1 source=$2 sha=$3 cache=$4
if [ "${#sha}" = 128 ]; then bits=512; else bits=256; fi
is_it() {
  sum=$("sha${bits}sum" -- "$1") || exit 1
  sum=${sum%% *}
  sum=${sum#\\}
  [ "$sum" = "$sha" ]
}
wrong() {
  echo "the SHA-$bits of $source is $sum, and not $sha" >&2
  exit 1
}
[ "$kind" != volume ] || source=$(pvesm path "$source") || exit 1
if [ "$kind" != url ]; then
  plain "$kind" "$source"
  is_it "$source" || wrong
  exit 0
fi
image="$cache/$sha.img" part="$cache/$sha.part" head="$cache/$sha.head"
mkdir -p -- "$cache" || exit 1
exec 9>"$cache/$sha.lock" || exit 1
flock 9 || exit 1
[ ! -f "$image" ] || exit 0
get() {
  rm -f -- "$head"
  curl --disable --fail --location --proto =https --proto-redir =https --globoff --silent --show-error \
    --connect-timeout 30 --speed-time 60 --speed-limit 1 --dump-header "$head" --output "$part" "$@" --url "$source" \
    9>&-
  got=$?
  rm -f -- "$head"
  return $got
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
"#
);

/// `phoenix-image-fetching DIGEST CACHE`: prints how many bytes of an image are fetched, and the end of what its server
/// said of it: what [`fetching`] needs. Nothing, unless it is being fetched.
pub const FETCHING: &str = r#"part="$2/$1.part" head="$2/$1.head"
[ -f "$part" ] && [ -f "$head" ] || exit 0
stat -c %s -- "$part" && tail -c 16384 -- "$head"
"#;

/// What [`FETCHING`] printed: how far the download is. The server's last answer counts; those before it sent elsewhere.
#[must_use]
pub fn fetching(printed: &str) -> Option<Copied> {
    let (done, head) = printed.split_once('\n')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let done: u64 = number(done.trim())?;
    let lines: Vec<&str> = head.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with("HTTP/"));
    let answer = last.map_or(&lines[..0], |last| &lines[last..]);
    let status = answer.first().and_then(|line| line.split_whitespace().nth(1));
    let said = |name: &str| {
        let mut fields = answer.iter().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let total = match status {
        Some("200") => said("content-length").and_then(number),
        // The rest of what an earlier try left: `bytes 1000-4095/4096`.
        Some("206") => said("content-range").and_then(|range| number(range.rsplit_once('/')?.1)),
        _ => None,
    };
    Some(Copied { done: total.map_or(done, |total| done.min(total)), total })
}

/// `phoenix-image-size KIND SOURCE`: prints the length of an image that is there, and its first [`HEAD`] bytes in hex:
/// what [`disk_size`] needs. A `cache` is a file that phoenix fetched.
pub const MEASURE: &str = concat!(
    "set -u\n",
    plain!(),
    r#"source=$2
[ "$1" != volume ] || source=$(pvesm path "$source") || exit 1
plain "$1" "$source"
stat -c %s -- "$source" || exit 1
od -An -v -tx1 -N512 -- "$source" | tr -d ' \n'
"#
);

/// What [`MEASURE`] printed: the first bytes of an image, and the length of its file.
#[must_use]
pub fn measured(printed: &str) -> Option<(Vec<u8>, u64)> {
    let (length, hex) = printed.trim().split_once('\n').unwrap_or((printed.trim(), ""));
    let hex = hex.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let head = hex.chunks(2).map(byte).collect::<Option<Vec<u8>>>().filter(|_| hex.len().is_multiple_of(2))?;
    Some((head, length.trim().parse().ok()?))
}

/// The write that makes an image the boot disk of a VM that has none, and lets its guest ask for an address unless
/// something else is desired. `from` is a path on the node or a volume.
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

/// A further disk that a VM is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDisk {
    /// Its slot, e.g. `scsi1`.
    pub slot: String,
    /// Storage that it is to lie on.
    pub storage: String,
    /// Its options by Proxmox's own names, e.g. `backup=0`; empty: none.
    pub options: String,
}

/// The write that makes an image a further disk of a VM whose slot is empty. `from` is a path on the node or a volume.
#[must_use]
pub fn import_further(from: &str, disk: &NewDisk) -> ConfigWrite {
    // The size is that of the image: any other than 0 is refused (recorded).
    let mut text = format!("{}:0,import-from={from}", disk.storage);
    if !disk.options.is_empty() {
        text.push(',');
        text.push_str(&disk.options);
    }
    ConfigWrite { set: [(disk.slot.clone(), text)].into(), ..ConfigWrite::default() }
}

#[cfg(test)]
mod tests {
    use super::{disk_size, fetching, measured};
    use crate::hypervisor::Copied;

    fn qcow2(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        head[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
        change(&mut head);
        head
    }

    #[test]
    fn an_image_is_one_disk_in_one_file() {
        assert_eq!(disk_size(&qcow2(|_| {}), 4096), Ok(2 << 30));
        assert_eq!(disk_size(&qcow2(|head| head[7] = 2), 4096), Ok(2 << 30));
        assert_eq!(disk_size(&[0x33; 512], 1000), Ok(1024));
        assert_eq!(disk_size(b"x", 1), Ok(512));
        let refused = |head: &[u8], why: &str| {
            let said = disk_size(head, 4096).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        refused(&qcow2(|head| head[15] = 104), "a backing file");
        refused(&qcow2(|head| (head[7], head[15]) = (2, 72)), "a backing file");
        refused(&qcow2(|head| head[79] = 4), "in another file");
        refused(&qcow2(|head| head[79] = 2), "corrupt");
        refused(&qcow2(|head| head[35] = 1), "encrypted");
        refused(&qcow2(|head| head[7] = 1), "version 1");
        refused(&qcow2(|head| head[24..32].fill(0)), "empty");
        refused(b"# Disk DescriptorFile\nversion=1\n", "vmdk");
        refused(b"version=1\n", "vmdk");
        refused(b"\n\nversion=1\n", "vmdk");
        refused(b"KDMV", "vmdk");
        refused(b"vhdxfile", "vhdx");
        let mut vdi = [0; 512];
        vdi[0x40..0x44].copy_from_slice(b"\x7f\x10\xda\xbe");
        refused(&vdi, "vdi");
        assert!(disk_size(b"", 0).unwrap_err().contains("empty"));
    }

    #[test]
    fn how_far_a_download_is_the_server_s_last_answer_says() {
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 7\r\n\r\n";
        for (printed, expected) in [
            ("4096\nHTTP/2 200 \r\ncontent-length: 8192\r\n\r\n".to_owned(), Some((4096, Some(8192)))),
            (format!("0\n{moved}HTTP/1.1 200 OK\r\nContent-Length:8192\r\n\r\n"), Some((0, Some(8192)))),
            ("5\nHTTP/1.1 206 x\r\nContent-Length: 6\r\nContent-Range: bytes 2-7/8\r\n".into(), Some((5, Some(8)))),
            // More than was announced, or nothing announced that can be used.
            ("9\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n".into(), Some((8, Some(8)))),
            (format!("9\n{moved}"), Some((9, None))),
            ("9\nHTTP/1.1 200 OK\r\nContent-Length: +8\r\n".into(), Some((9, None))),
            ("9\nHTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n".into(), Some((9, None))),
            ("9\nHTTP/1.1 206 x\r\nContent-Length: 8\r\nContent-Range: bytes 2-7/*\r\n".into(), Some((9, None))),
            ("9\nContent-Length: 8\r\n".into(), Some((9, None))),
            ("9\n".into(), Some((9, None))),
            (String::new(), None),
            ("x\nHTTP/1.1 200 OK\r\n".into(), None),
        ] {
            assert_eq!(fetching(&printed), expected.map(|(done, total)| Copied { done, total }), "{printed:?}");
        }
    }

    #[test]
    fn what_the_script_prints_is_read() {
        assert_eq!(measured("4096\n514649fb"), Some((b"QFI\xfb".to_vec(), 4096)));
        assert_eq!(measured("0\n"), Some((Vec::new(), 0)));
        for garbled in ["", "x\n00", "1\n0g", "1\n0"] {
            assert_eq!(measured(garbled), None, "{garbled}");
        }
    }
}
