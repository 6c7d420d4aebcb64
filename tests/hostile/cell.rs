//! A guest made of files, for the scripts that phoenix runs in guests: their `/etc`, `/var/lib` and `/run` are
//! directories of the test, in a mount namespace of their own, and the programs that look at or change a system are
//! stand-ins.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::guest::Program;
use phoenix::hypervisor::GuestExit;
use tempfile::TempDir;

use crate::executable::executable;
use crate::support;

/// What stands for the programs of the guest. `$STATE` is the test's directory.
const PROGRAMS: [(&str, &str); 11] = [
    // SOURCE of the last mount at the last argument.
    (
        "findmnt",
        r#"for at do :; done
tab=$(printf '\t')
while IFS=$tab read -r source target; do if [ "$target" = "$at" ]; then printf '%s\n' "$source"; fi; done <"$STATE/mounts"
exit 0"#,
    ),
    // What fstab says of the last argument.
    (
        "mount",
        r#"for at do :; done
export at
line=$(awk '$1 !~ /^#/ && $2 == ENVIRON["at"] { print $1 "\t" $2; exit }' /etc/fstab)
[ -n "$line" ] || { echo "mount: $at: can't find in /etc/fstab." >&2; exit 1; }
printf '%s\n' "$line" >>"$STATE/mounts""#,
    ),
    (
        "umount",
        r#"for at do :; done
export at
awk -F '\t' '$2 != ENVIRON["at"]' "$STATE/mounts" >"$STATE/mounts.new"
mv "$STATE/mounts.new" "$STATE/mounts""#,
    ),
    ("mount.nfs", "exit 0"),
    // What was set or taken away, and of which directory. The real one would act on this machine.
    ("chattr", r#"cd "$2" && printf '%s %s\n' "$1" "$(pwd -P)" >>"$STATE/attributes""#),
    // A lock of its lists that somebody holds for some seconds; what stands in `apt` is for ever.
    (
        "apt-get",
        r#"held=$(cat "$STATE/held" 2>/dev/null || echo 0)
if [ "$3" = update ] && [ "$(date +%s)" -lt "$held" ]; then
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 9 (apt-get)" >&2
  exit 100
fi
echo "$*" >>"$STATE/apt-ran"
[ ! -f "$STATE/apt" ] || { cat "$STATE/apt" >&2; exit 100; }
ln -s /bin/true "${0%/*}/mount.nfs" 2>/dev/null
exit 0"#,
    ),
    // A clock that goes only while somebody sleeps.
    ("date", r#"cat "$STATE/clock" 2>/dev/null || echo 0"#),
    ("sleep", r#"now=$(date); echo $((now + $1)) >"$STATE/clock""#),
    // One that knows no JSON, as before 22.
    (
        "cloud-init",
        r#"if [ "$1" = clean ]; then echo "$*" >>"$STATE/cleaned"; exit 0; fi
[ "$*" = "status --long" ] || { echo "cloud-init: error: unrecognized arguments: --format json" >&2; exit 2; }
printf 'status: done\ntime: Thu, 01 Jan 1970 00:00:09 +0000\ndetail:\nDataSourceNoCloud\n'"#,
    ),
    (
        "systemctl",
        r#"case $1 in
  is-active) [ ! -f "$STATE/unreachable" ] || exit 1; [ -f "$STATE/active" ] || exit 3 ;;
  show) echo "Result=$(cat "$STATE/result" 2>/dev/null || echo success)" ;;
  *) exit 0 ;;
esac"#,
    ),
    // As systemd, it would replace variables in the command line; so none may be there.
    (
        "systemd-run",
        r#"while [ $# -gt 0 ]; do
  case $1 in
    --setenv=*) export "${1#--setenv=}" ;;
    --working-directory=*) cd -- "${1#*=}" || exit 1 ;;
    --unit) shift ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
for word do
  case $word in *'${'* | *'$$'*) echo "systemd would replace a variable in $word" >&2; exit 1 ;; esac
done
[ -f "$STATE/hangs" ] || "$@"
exit 0"#,
    ),
];

/// Enters the guest: `cell STATE ARGV…`.
const ENTER: &str = r#"mount --bind "$1/etc" /etc && mount --bind "$1/lib" /var/lib && mount --bind "$1/run" /run || exit 99
STATE=$1 PATH=$1/bin:$PATH
export STATE PATH
shift
cd /
exec "$@""#;

/// The guest.
pub(crate) struct Cell {
    dir: TempDir,
    /// How `unshare` is told to make a namespace here.
    flags: &'static str,
}

impl Cell {
    /// A guest; `None`, said aloud, where none can be made.
    pub(crate) fn new() -> Option<Self> {
        if !support::need("unshare", "util-linux") {
            return None;
        }
        let works = |flags: &&str| {
            let mut try_ = Command::new("unshare");
            try_.args([flags, "/bin/sh", "-c", "mount --bind /etc /var/lib"]).stderr(Stdio::null());
            try_.status().is_ok_and(|status| status.success())
        };
        let Some(flags) = ["-m", "-rm"].into_iter().find(works) else {
            support::need("mount namespaces", "nothing: allow them, or run as root");
            return None;
        };
        let cell = Self { dir: tempfile::tempdir().unwrap(), flags };
        for name in ["etc", "lib", "run", "bin"] {
            fs::create_dir(cell.path(name)).unwrap();
        }
        for (name, text) in PROGRAMS {
            let path = cell.path(&format!("bin/{name}"));
            executable(&path, &format!("#!/bin/sh\n{text}\n"));
        }
        // Debian finds it by a link in /etc, which the guest does not have.
        let awk = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .find_map(|dir| dir.join("awk").canonicalize().ok());
        symlink(awk.unwrap(), cell.path("bin/awk")).unwrap();
        cell.write("mounts", "");
        Some(cell)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file of the guest; one that is not there is empty.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs a program in the guest.
    pub(crate) fn run(&self, program: &Program) -> GuestExit {
        let mut command = Command::new("unshare");
        command.args([self.flags, "/bin/sh", "-c", ENTER, "cell"]).arg(self.root()).args(&program.argv);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that fails need not read its input.
        let _ = child.stdin.take().unwrap().write_all(&program.input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let exit = GuestExit { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        assert_ne!(exit.code, Some(99), "{exit:?}");
        exit
    }
}
