//! Running a feature's script.
//!
//! A script runs detached from the agent, as a transient systemd unit, so that it may upgrade or restart the agent and
//! outlive phoenix. Its result lies on the guest's own disk, in `/var/lib/phoenix/runs/FEATURE-DIGEST/`, with the uuid
//! of the VM it was made for: it dies with the disk it describes, and a copied one is void.

use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;
use crate::model::excerpt;

/// One run of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRun<'a> {
    /// Name of the feature.
    pub feature: &'a str,
    /// Digest of its script.
    pub digest: &'a str,
    /// `smbios1` uuid of the VM.
    pub uuid: &'a str,
    /// Directory of the scripts, as the guest sees it.
    pub directory: &'a str,
    /// File name of the script.
    pub file: &'a str,
    /// VMID.
    pub vm_id: &'a str,
    /// Name of the VM.
    pub vm_name: &'a str,
    /// How long it may run, in seconds; systemd ends it then.
    pub timeout: &'a str,
    /// Its log on the volume, as the guest sees it.
    pub log: &'a str,
}

impl<'a> FeatureRun<'a> {
    /// The arguments of `phoenix-feature`, in order.
    pub fn arguments(&self) -> [&'a str; 9] {
        let Self { feature, digest, uuid, directory, file, vm_id, vm_name, timeout, log } = *self;
        [feature, digest, uuid, directory, file, vm_id, vm_name, timeout, log]
    }
}

/// What came of starting a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureStart {
    /// It runs now, or ran already when asked.
    Running,
    /// An earlier run of the same script on this disk ended with success.
    Finished,
}

/// Shell function `active`. Only 3 and 4 say that the unit does not run: with anything else systemd could not be asked,
/// as while a script upgrades it, and the next look tells.
macro_rules! active {
    () => {
        r#"active() {
  systemctl is-active --quiet "$unit" 2>/dev/null
  case $? in 3 | 4) return 1 ;; esac
}
"#
    };
}

/// `phoenix-feature FEATURE DIGEST UUID DIRECTORY FILE VM_ID VM_NAME TIMEOUT LOG`
///
/// Values reach the unit in its environment: in its command line systemd itself would replace `${…}` and `$$`. The
/// results of the feature's other texts go, also those that an earlier version named by 16 digits: a text that comes
/// back is to run again.
pub(super) const START: &str = concat!(
    active!(),
    r#"set -eu
feature=$1 digest=$2 uuid=$3 directory=$4 file=$5 vm_id=$6 vm_name=$7 timeout=$8 log=$9
runs=/var/lib/phoenix/runs
run=$runs/$feature-$digest
unit=phoenix-$feature-$digest
if [ "$(cat "$run/uuid" 2>/dev/null)" = "$uuid" ]; then
  if active; then
    echo running
    exit 0
  fi
  if [ "$(cat "$run/exit" 2>/dev/null)" = 0 ]; then
    echo finished
    exit 0
  fi
fi
command -v systemd-run >/dev/null 2>&1 || { echo "systemd-run is missing: features need a guest with systemd" >&2; exit 3; }
[ -f "$directory/$file" ] || { echo "$directory/$file is not there: is the channel mounted?" >&2; exit 4; }
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl stop "$unit" 2>/dev/null || true
rm -rf "$run"
for old in "$runs/$feature-"*; do
  rest=${old#"$runs/$feature-"}
  case $rest in *-*) continue ;; esac
  case ${#rest} in 16 | "${#digest}") ;; *) continue ;; esac
  if [ -e "$old/exit" ]; then rm -rf "$old"; fi
done
mkdir -p "$run" "${log%/*}"
: >"$log"
cat /proc/sys/kernel/random/boot_id >"$run/boot" 2>/dev/null || true
printf '%s' "$uuid" >"$run/uuid"
systemd-run --quiet --unit "$unit" --property=Type=exec --property=RuntimeMaxSec="$timeout" \
  --working-directory="$directory" \
  --setenv=PHOENIX_VM_ID="$vm_id" --setenv=PHOENIX_VM_NAME="$vm_name" \
  --setenv=PHOENIX_CONTEXT="$directory/vm_context.json" --setenv=PHOENIX_SCRIPTS_DIR="$directory" \
  --setenv=PHOENIX_RUN="$run" --setenv=PHOENIX_LOG="$log" --setenv=PHOENIX_SCRIPT="$directory/$file" \
  --setenv=DEBIAN_FRONTEND=noninteractive --setenv=HOME=/root \
  /bin/sh -c 'run=$PHOENIX_RUN; /bin/bash "$PHOENIX_SCRIPT" "$PHOENIX_VM_ID" >"$PHOENIX_LOG" 2>&1; code=$?; printf "%s" "$code" >"$run/exit.new"; sync "$run/exit.new" 2>/dev/null; mv "$run/exit.new" "$run/exit"; exit "$code"' \
  phoenix-run >&2
echo running
"#
);

/// `phoenix-feature-result FEATURE DIGEST UUID LOG`: `running` and the last line of the log that is not blank; or `exit
/// N`, `ended RESULT` (of systemd: `timeout`, `oom-kill`, `signal`), `rebooted` or `none`, and the last lines of the
/// log.
///
/// How much of the log is read is bounded in bytes: it may be one line without end. A unit that systemd ended stays
/// there as failed, with the reason; one that a restart of the guest ended is gone.
pub(super) const RESULT: &str = concat!(
    active!(),
    r#"set -u
run=/var/lib/phoenix/runs/$1-$2
unit=phoenix-$1-$2
if [ "$(cat "$run/uuid" 2>/dev/null)" != "$3" ]; then
  echo none
  exit 0
elif [ -f "$run/exit" ]; then
  echo "exit $(cat "$run/exit")"
elif active; then
  echo running
  tail -c 2000 "$4" 2>/dev/null | grep -v '^[[:space:]]*$' | tail -n 1
  exit 0
elif [ -f "$run/exit" ]; then
  echo "exit $(cat "$run/exit")"
elif [ -f "$run/boot" ] && [ "$(cat "$run/boot")" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
  echo rebooted
else
  result=$(systemctl show -p Result "$unit" 2>/dev/null)
  case ${result#Result=} in
    '' | success) echo none ;;
    *) echo "ended ${result#Result=}" ;;
  esac
fi
tail -c 16384 "$4" 2>/dev/null | tail -n 20
exit 0
"#
);

/// `phoenix-feature-forget FEATURE DIGEST`: removes the result of a run, unless it still runs.
pub(super) const FORGET: &str = concat!(
    active!(),
    r#"set -eu
unit=phoenix-$1-$2
active || rm -rf "/var/lib/phoenix/runs/$1-$2"
"#
);

/// Reads the answer to [`FORGET`].
pub(super) fn read_forgotten(exit: &GuestExit) -> Result<(), GuestProblem> {
    if exit.code == Some(0) { Ok(()) } else { Err(unexpected("removing the result of the script's last run", exit)) }
}

/// Reads the answer to [`START`].
pub(super) fn read_start(exit: &GuestExit) -> Result<FeatureStart, GuestProblem> {
    match (exit.code, exit.out.trim()) {
        (Some(0), "running" | "started") => Ok(FeatureStart::Running),
        (Some(0), "finished") => Ok(FeatureStart::Finished),
        (code, _) => {
            let mut problem = unexpected("starting the script", exit);
            problem.hint = match code {
                Some(3) => Some("take a template with systemd, or no `features`".to_owned()),
                Some(4) => Some(
                    "`findmnt` in the guest shows what is mounted, and `mount -a` there why something is not"
                        .to_owned(),
                ),
                _ => None,
            };
            Err(problem)
        }
    }
}

/// How far a feature's script got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureProgress {
    /// It runs; the last line of its log, empty where there is none.
    Running(String),
    /// It ended with success.
    Done,
}

/// Reads the answer to [`RESULT`].
pub(super) fn read_result(exit: &GuestExit, run: &FeatureRun<'_>) -> Result<FeatureProgress, GuestProblem> {
    let (first, log) = exit.out.split_once('\n').unwrap_or((&exit.out, ""));
    let failed = |what: String| {
        let log = excerpt(log.trim_end());
        let what = if log.is_empty() { what } else { format!("{what}; its last lines:\n{log}") };
        let hint = format!("fix the script; the next apply runs it again; its log is {} in the guest", run.log);
        Err(GuestProblem { what, hint: Some(hint) })
    };
    match first.trim() {
        "running" => Ok(FeatureProgress::Running(log.trim().to_owned())),
        "exit 0" => Ok(FeatureProgress::Done),
        "none" => failed("the script ended without a result: another process ended it".to_owned()),
        "rebooted" => failed("the guest was restarted while the script ran: a script must not do that".to_owned()),
        "ended timeout" => failed(format!("the script had not ended after {} s, and systemd ended it", run.timeout)),
        "ended oom-kill" => failed("the guest ran out of memory and ended the script".to_owned()),
        other => match (other.strip_prefix("exit "), other.strip_prefix("ended ")) {
            (Some(code), _) => failed(format!("the script exited {code}")),
            (_, Some(why)) => failed(format!("systemd ended the script: {why}")),
            _ => Err(unexpected("looking whether the script has ended", exit)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{FORGET, FeatureProgress, FeatureRun, RESULT, START, read_result};
    use crate::guest::mount;
    use crate::hypervisor::GuestExit;

    #[test]
    fn programs_are_ascii() {
        for text in [START, RESULT, FORGET, super::super::look::LOOK, mount::MOUNT, mount::UNMOUNT] {
            assert!(text.is_ascii());
        }
    }

    #[test]
    fn a_script_that_did_not_end_well_is_told_with_its_last_lines() {
        let run = FeatureRun {
            feature: "f",
            digest: "d",
            uuid: "u",
            directory: "/p",
            file: "f.sh",
            vm_id: "1",
            vm_name: "n",
            timeout: "1770",
            log: "/p/f.log",
        };
        let read = |out: &str| read_result(&GuestExit { code: Some(0), out: out.to_owned(), err: String::new() }, &run);
        for (out, what) in [
            ("exit 3\nE: no such package\n", "the script exited 3; its last lines:\nE: no such package"),
            ("ended timeout\n", "the script had not ended after 1770 s, and systemd ended it"),
            ("ended signal\n", "systemd ended the script: signal"),
            ("rebooted\n", "the guest was restarted while the script ran: a script must not do that"),
        ] {
            let problem = read(out).unwrap_err();
            assert_eq!(problem.what, what);
            assert!(problem.hint.unwrap().contains("/p/f.log"));
        }
        assert_eq!(read("running\n"), Ok(FeatureProgress::Running(String::new())));
        assert_eq!(read("running\nunpacking\n"), Ok(FeatureProgress::Running("unpacking".to_owned())));
        assert_eq!(read("exit 0\n"), Ok(FeatureProgress::Done));
    }
}
