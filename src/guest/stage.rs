//! Putting files into a volume: the guest writes them itself.
//!
//! Whatever lies in a volume can be changed by the root of any guest that mounts it, at any moment. A program with the
//! rights of the host that opened or made something there by its path could be led elsewhere by a link. So the files
//! travel through the guest agent, and a program with no more rights than the guest's own root puts them in place.
//!
//! They travel as a tar archive in base64, cut into pieces that the way to the agent takes. The last piece's program
//! holds the whole against its SHA-256, unpacks it beside the directory, and swaps it in by rename.

use std::io::Read as _;

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest as _, Sha256};

use super::{GuestProblem, Program, script, unexpected};
use crate::hypervisor::GuestExit;

/// Why files cannot be handed to a guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageProblem {
    /// A name that is not plain: ASCII letters, digits, `.`, `_` and `-`, neither dot nor dash in front.
    #[error("`{0}` is not a plain file name")]
    Name(String),
    /// The archive could not be made.
    #[error("the files cannot be packed: {0}")]
    Pack(String),
}

/// `phoenix-stage DIRECTORY SOURCE SHA256 PIECE PIECES`, a piece on standard input.
///
/// Without a source the directory is on the guest's own disk, where nothing may be mounted; where that is, is noted for
/// [`CLEAN`](super::clean::CLEAN).
///
/// May run twice, also while an earlier run of it goes on: pieces replace each other, one at a time unpacks, and what
/// one has finished the other finds finished. What a run that was killed left beside the directory is removed by the
/// next.
pub(super) const STAGE: &str = r#"set -eu
umask 022
say() { printf '%s\n' "$*" >&2; }
directory=$1 source=$2 digest=$3 piece=$4 pieces=$5
parent=${directory%/*} name=${directory##*/}
spool=/run/phoenix/stage-$digest
(umask 077 && mkdir -p "$spool")
[ "$piece" != 1 ] || rm -f "$spool/done"
part=$(mktemp "$spool/part.XXXXXX")
cat >"$part"
mv "$part" "$spool/$piece"
if [ "$piece" != "$pieces" ]; then
  echo received
  exit 0
fi
exec 9>/run/phoenix/stage.lock
flock -w 60 9 || { say "another run puts files into $directory"; exit 6; }
if [ -e "$spool/done" ]; then
  echo staged
  exit 0
fi
if [ -z "$source" ]; then
  mkdir -p "$parent"
fi
now=$(LC_ALL=C.UTF-8 findmnt -n -o SOURCE --mountpoint "$parent" 2>/dev/null | tail -n 1)
[ "$now" = "$source" ] || { say "mounted at $parent is '$now', not '$source'"; exit 4; }
if [ -z "$source" ]; then
  mkdir -p /var/lib/phoenix
  printf '%s' "$parent" >/var/lib/phoenix/own-disk
fi
whole=$spool/whole
: >"$whole"
n=0
while [ "$n" -lt "$pieces" ]; do
  n=$((n + 1))
  cat "$spool/$n" >>"$whole"
done
found=$(sha256sum <"$whole")
if [ "${found%% *}" != "$digest" ]; then
  rm -rf "$spool"
  say "what arrived is not what was sent: its SHA-256 is ${found%% *}, not $digest"
  exit 5
fi
cd "$parent"
rm -rf ".$name.new."*
new=$(mktemp -d ".$name.new.XXXXXX")
trap 'rm -rf "$parent/$new" "$parent/$new.old"' EXIT
base64 -d <"$whole" | tar -x -f - --no-same-owner -C "$new"
chmod 0755 "$new"
if [ -e "$name" ] || [ -L "$name" ]; then mv -T "$name" "$new.old"; fi
mv -T "$new" "$name"
: >"$spool/done"
for old in /run/phoenix/stage-*; do
  if [ "$old" != "$spool" ]; then rm -rf "$old"; fi
done
n=0
rm -f "$whole"
while [ "$n" -lt "$pieces" ]; do
  n=$((n + 1))
  rm -f "$spool/$n"
done
echo staged
"#;

/// The programs that put files, each by its name and content, into a directory of a volume.
pub(super) fn programs(
    directory: &str,
    source: &str,
    files: &[(&str, &str)],
    limit: usize,
) -> Result<Vec<Program>, StageProblem> {
    let whole = packed(files)?;
    let digest = HEXLOWER.encode(&Sha256::digest(&whole));
    let pieces: Vec<&[u8]> = whole.as_bytes().chunks(limit.max(1)).collect();
    let count = pieces.len().to_string();
    let piece = |(n, piece): (usize, &&[u8])| {
        let number = (n + 1).to_string();
        let program = script("phoenix-stage", STAGE, &[directory, source, &digest, &number, &count]);
        Program { input: piece.to_vec(), ..program }
    };
    Ok(pieces.iter().enumerate().map(piece).collect())
}

/// Whether a name is plain: ASCII letters, digits, `.`, `_` and `-`, neither dot nor dash in front.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !name.is_empty() && !name.starts_with(['.', '-']) && name.bytes().all(plain)
}

/// A tar archive of the files, in base64. The same files give the same text.
fn packed(files: &[(&str, &str)]) -> Result<String, StageProblem> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        if !is_plain(name) {
            return Err(StageProblem::Name((*name).to_owned()));
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, name, content.as_bytes())
            .map_err(|error| StageProblem::Pack(error.to_string()))?;
    }
    let archive = archive.into_inner().map_err(|error| StageProblem::Pack(error.to_string()))?;
    Ok(BASE64.encode(&archive))
}

/// The files in the text that the pieces of `phoenix-stage` make: names and contents. `None`: it is none.
#[must_use]
pub fn unpacked(text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let bytes = BASE64.decode(text).ok()?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.ok()?;
        let name = entry.path().ok()?.to_str().filter(|name| is_plain(name))?.to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        Some((name, content))
    };
    archive.entries().ok()?.map(file).collect()
}

/// Reads what [`STAGE`] said.
pub(super) fn read(exit: &GuestExit) -> Result<(), GuestProblem> {
    if exit.code == Some(0) && ["received", "staged"].contains(&exit.out.trim()) {
        return Ok(());
    }
    let mut problem = unexpected("putting the scripts in place", exit);
    let has = |words: &[&str]| words.iter().any(|word| exit.err.contains(word));
    let hint = if has(&["not ''"]) {
        Some("the scripts of this VM lie on its own disk: unmount that in the guest, or declare it as a volume")
    } else if has(&["mounted at"]) {
        Some("`phoenix apply --verify-guest` mounts it again")
    } else if has(&["No space left", "quota"]) {
        Some("the volume, or the guest's own disk, is full")
    } else if has(&["Read-only file system", "Permission denied"]) {
        Some("the guest cannot write to the volume: does the NFS server export it read-write, with no_root_squash?")
    } else {
        None
    };
    problem.hint = hint.map(ToOwned::to_owned);
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::{STAGE, StageProblem, packed, programs, unpacked};

    #[test]
    fn files_are_cut_into_pieces_that_make_the_whole_again() {
        let files = [("a.sh", "echo ü\n"), ("vm_context.json", "{}")];
        let whole = packed(&files).unwrap();
        for limit in [1000, 4096, 1 << 20] {
            let programs = programs("/p/.s", "s:/p", &files, limit).unwrap();
            let text: Vec<u8> = programs.iter().flat_map(|program| program.input.clone()).collect();
            assert_eq!(text, whole.as_bytes());
            assert!(programs.iter().all(|program| program.input.len() <= limit && program.input.is_ascii()));
            assert_eq!(programs.len(), whole.len().div_ceil(limit));
        }
        let found: Vec<(String, String)> = unpacked(whole.as_bytes())
            .unwrap()
            .into_iter()
            .map(|(name, content)| (name, String::from_utf8(content).unwrap()))
            .collect();
        assert_eq!(found, files.map(|(name, content)| (name.to_owned(), content.to_owned())));
        assert_eq!(unpacked(b"no base64"), None);
        assert!(STAGE.is_ascii());
    }

    #[test]
    fn only_plain_names_travel() {
        for name in ["", ".", "..", "a/b", "../a", ".hidden", "-x", "a b", "a\nb", "$(x)", "ü"] {
            let refused = programs("/p/.s", "s:/p", &[("good", "1"), (name, "2")], 100);
            assert_eq!(refused, Err(StageProblem::Name(name.to_owned())));
        }
    }
}
