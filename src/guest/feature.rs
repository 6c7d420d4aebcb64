//! Running a feature's script.
//!
//! A script runs detached from the agent, as a transient systemd unit, so that it may upgrade or restart the agent and
//! outlive phoenix. Its result lies on the guest's own disk, in `/var/lib/phoenix/runs/FEATURE-DIGEST/`, with the uuid
//! of the VM it was made for: it dies with the disk it describes, and a copied one is void.

use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;

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

/// `phoenix-feature FEATURE DIGEST UUID DIRECTORY FILE VM_ID VM_NAME TIMEOUT LOG`
pub(super) const START: &str = r#"set -eu
feature=$1 digest=$2 uuid=$3 directory=$4 file=$5 vm_id=$6 vm_name=$7 timeout=$8 log=$9
runs=/var/lib/phoenix/runs
run=$runs/$feature-$digest
unit=phoenix-$feature-$digest
if [ "$(cat "$run/uuid" 2>/dev/null)" = "$uuid" ]; then
  if systemctl is-active --quiet "$unit"; then
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
mkdir -p "$run" "${log%/*}"
: >"$log"
printf '%s' "$uuid" >"$run/uuid"
systemd-run --quiet --unit "$unit" --property=Type=exec --property=RuntimeMaxSec="$timeout" \
  --working-directory="$directory" \
  --setenv=PHOENIX_VM_ID="$vm_id" --setenv=PHOENIX_VM_NAME="$vm_name" \
  --setenv=PHOENIX_CONTEXT="$directory/vm_context.json" --setenv=PHOENIX_SCRIPTS_DIR="$directory" \
  --setenv=DEBIAN_FRONTEND=noninteractive --setenv=HOME=/root \
  /bin/sh -c 'run=$1 log=$2; shift 2; "$@" >"$log" 2>&1; code=$?; printf "%s" "$code" >"$run/exit.new"; sync "$run/exit.new" 2>/dev/null; mv "$run/exit.new" "$run/exit"; exit "$code"' \
  phoenix-run "$run" "$log" /bin/bash "$directory/$file" "$vm_id" >&2
echo running
"#;

/// `phoenix-feature-result FEATURE DIGEST UUID LOG`: `running`, `none`, or `exit N` and the last lines of the log.
pub(super) const RESULT: &str = r#"set -u
run=/var/lib/phoenix/runs/$1-$2
unit=phoenix-$1-$2
if [ "$(cat "$run/uuid" 2>/dev/null)" != "$3" ]; then
  echo none
elif [ -f "$run/exit" ]; then
  echo "exit $(cat "$run/exit")"
  tail -n 20 "$4" 2>/dev/null
elif systemctl is-active --quiet "$unit"; then
  echo running
elif [ -f "$run/exit" ]; then
  echo "exit $(cat "$run/exit")"
else
  echo none
  tail -n 20 "$4" 2>/dev/null
fi
exit 0
"#;

/// Reads the answer to [`START`].
pub(super) fn read_start(exit: &GuestExit) -> Result<FeatureStart, GuestProblem> {
    match (exit.code, exit.out.trim()) {
        (Some(0), "running" | "started") => Ok(FeatureStart::Running),
        (Some(0), "finished") => Ok(FeatureStart::Finished),
        _ => Err(unexpected("starting the script", exit)),
    }
}

/// Reads the answer to [`RESULT`]. `None`: it still runs.
pub(super) fn read_result(exit: &GuestExit) -> Result<Option<()>, GuestProblem> {
    let (first, log) = exit.out.split_once('\n').unwrap_or((&exit.out, ""));
    let failed = |what: String| {
        let log = log.trim_end();
        let what = if log.is_empty() { what } else { format!("{what}; its last lines:\n{log}") };
        Err(GuestProblem { what, hint: Some("mend the script; the next apply runs it again".to_owned()) })
    };
    match first.trim() {
        "running" => Ok(None),
        "exit 0" => Ok(Some(())),
        "none" => failed("the script ended without a result: the guest was restarted, or it ran too long".to_owned()),
        other => match other.strip_prefix("exit ") {
            Some(code) => failed(format!("the script exited {code}")),
            None => Err(unexpected("asking after the script", exit)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{RESULT, START, read_result};
    use crate::guest::mount;
    use crate::hypervisor::GuestExit;

    #[test]
    fn programs_are_ascii() {
        for text in [START, RESULT, mount::MOUNT, mount::UNMOUNT, mount::PROBE] {
            assert!(text.is_ascii());
        }
    }

    #[test]
    fn a_failed_script_is_told_with_its_last_lines() {
        let exit = GuestExit { code: Some(0), out: "exit 3\nE: no such package\n".to_owned(), err: String::new() };
        assert_eq!(read_result(&exit).unwrap_err().what, "the script exited 3; its last lines:\nE: no such package");
        let running = GuestExit { code: Some(0), out: "running\n".to_owned(), err: String::new() };
        assert_eq!(read_result(&running), Ok(None));
    }
}
