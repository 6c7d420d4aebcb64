//! Looking whether a guest is what its VM's record says.

use std::collections::{BTreeMap, BTreeSet};

use super::{GuestProblem, Program, script, unexpected};
use crate::hypervisor::GuestExit;
use crate::model::{Formatted, Record};
use crate::observed::GuestSeen;

/// `phoenix-look UUID MOUNTS [SOURCE MOUNT_POINT]… [FEATURE DIGEST]…`: for each pair, in order, `there` or `gone`; then
/// `end`. Changes nothing.
///
/// A result counts if it was made for the VM of this uuid and is one of success; a run that goes on will have one.
pub(super) const LOOK: &str = r#"set -u
uuid=$1 mounts=$2
shift 2
while [ $# -ge 2 ]; do
  word=gone
  if [ "$mounts" -gt 0 ]; then
    mounts=$((mounts - 1))
    now=$(findmnt -n -o SOURCE --mountpoint "$2" 2>/dev/null | tail -n 1)
    case $1 in UUID=*) now=UUID=$(blkid -p -s UUID -o value "$now" 2>/dev/null) ;; esac
    [ "$now" != "$1" ] || word=there
  else
    run=/var/lib/phoenix/runs/$1-$2
    # an earlier version named results by half as many digits.
    [ -e "$run" ] || run=/var/lib/phoenix/runs/$1-$(printf %.16s "$2")
    if [ "$(cat "$run/uuid" 2>/dev/null)" = "$uuid" ]; then
      if [ "$(cat "$run/exit" 2>/dev/null)" = 0 ] || systemctl is-active --quiet "phoenix-${run##*/}" 2>/dev/null; then
        word=there
      fi
    fi
  fi
  echo "$word"
  shift 2
done
echo end
"#;

/// The program that looks for everything a record says of its guest.
pub(super) fn program(record: &Record, uuid: &str) -> Program {
    let disks: Vec<(String, &str)> = mounted(record).map(|disk| (disk.source(), disk.at.as_str())).collect();
    let mounts = (record.volumes.len() + disks.len()).to_string();
    let mut arguments = vec![uuid, mounts.as_str()];
    arguments.extend(record.volumes.iter().flat_map(|(at, source)| [source.as_str(), at.as_str()]));
    arguments.extend(disks.iter().flat_map(|(source, at)| [source.as_str(), at]));
    arguments.extend(record.features.iter().flat_map(|(name, digest)| [name.as_str(), digest.as_str()]));
    script("phoenix-look", LOOK, &arguments)
}

/// The file systems of disks that the record says are mounted.
fn mounted(record: &Record) -> impl Iterator<Item = &Formatted> {
    record.filesystems.values().filter(|disk| !disk.at.is_empty())
}

/// Reads what [`LOOK`] said.
pub(super) fn read(exit: &GuestExit, record: &Record) -> Result<GuestSeen, GuestProblem> {
    let mut lines = exit.out.lines();
    let mut lost = |names: &mut dyn Iterator<Item = &String>| -> Option<BTreeSet<String>> {
        let mut lost = BTreeSet::new();
        for name in names {
            match lines.next()? {
                "there" => {}
                "gone" => drop(lost.insert(name.clone())),
                _ => return None,
            }
        }
        Some(lost)
    };
    let lost_mounts = lost(&mut record.volumes.keys().chain(mounted(record).map(|disk| &disk.at)));
    let lost_results = lost(&mut record.features.keys());
    match (exit.code, lost_mounts, lost_results, lines.next(), lines.next()) {
        (Some(0), Some(lost_mounts), Some(lost_results), Some("end"), None) => {
            Ok(GuestSeen::Looked { lost_mounts, lost_results, offline: BTreeMap::new() })
        }
        _ => Err(unexpected("looking at mounts and results", exit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Filesystem;

    fn record() -> Record {
        let mut record = Record::creating("p", 1000.try_into().unwrap());
        record.volumes.insert("/a".to_owned(), "s:/a".to_owned());
        record.volumes.insert("/b".to_owned(), "s:/b".to_owned());
        record.features.insert("f".to_owned(), "d".to_owned());
        record
    }

    #[test]
    fn what_is_gone_is_named() {
        let read = |out: &str, code| {
            read(&GuestExit { code: Some(code), out: out.to_owned(), ..GuestExit::default() }, &record())
        };
        let looked = |mounts: &[&str], results: &[&str]| {
            let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            Ok(GuestSeen::Looked { lost_mounts: set(mounts), lost_results: set(results), offline: BTreeMap::new() })
        };
        assert_eq!(read("there\nthere\nthere\nend\n", 0), looked(&[], &[]));
        assert_eq!(read("there\ngone\ngone\nend\n", 0), looked(&["/b"], &["f"]));
        // Anything else is no answer, and never taken for "there" or "gone".
        for (out, code) in [
            ("", 0),
            ("there\nthere\nend\n", 0),
            ("gone\ngone\ngone\nend\n", 1),
            ("there\nthere\nthere\nend\nmore\n", 0),
        ] {
            assert!(read(out, code).is_err(), "{out}");
        }
    }

    #[test]
    fn disks_are_looked_for_after_volumes() {
        let mut record = record();
        let disk = |at: &str| Formatted {
            filesystem: Filesystem::Ext4,
            uuid: "0-1".to_owned(),
            begun: false,
            at: at.to_owned(),
            grow: false,
        };
        record.filesystems.insert("scsi1".to_owned(), disk("/c"));
        record.filesystems.insert("scsi2".to_owned(), disk(""));
        let asked: Vec<String> = program(&record, "uuid").argv.split_off(4);
        assert_eq!(asked, ["uuid", "3", "s:/a", "/a", "s:/b", "/b", "UUID=0-1", "/c", "f", "d"]);
        let exit =
            GuestExit { code: Some(0), out: "there\nthere\ngone\nthere\nend\n".to_owned(), ..GuestExit::default() };
        let lost_mounts = ["/c".to_owned()].into();
        assert_eq!(
            read(&exit, &record),
            Ok(GuestSeen::Looked { lost_mounts, lost_results: BTreeSet::new(), offline: BTreeMap::new() })
        );
    }

    /// The script itself, on this machine: nothing of the kind is mounted or has run here.
    #[test]
    fn the_script_looks() {
        let mut record = record();
        record.volumes.insert("/".to_owned(), "not-this".to_owned());
        let program = program(&record, "uuid");
        let output = std::process::Command::new(&program.argv[0]).args(&program.argv[1..]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "gone\ngone\ngone\ngone\nend\n");
    }
}
