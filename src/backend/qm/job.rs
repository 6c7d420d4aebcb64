//! Operations that must not die half way: they run detached on the node, and phoenix waits beside them.
//!
//! A job is a directory `DIR/NAME` and a process in a session of its own. Neither the end of phoenix nor a broken
//! connection reaches that process: it has no terminal and no pipe, only files. What an interrupted run left is told
//! and removed by the next one of its project (`tidy`), whose name stands in `DIR/NAME/project`. What names no project,
//! as phoenix 0.1 left it, is told to none: the next job of that name removes it, or the next boot of the node.
//!
//! Who is there is told by pid and start time, which together name a process for good. `DIR/lock` is held from the
//! first look at a job's directory until its process has noted itself, so that two runs never start the same job.

use std::time::Duration;

use super::super::runner::{Command, Output};
use super::{LOOK, Qm, script};
use crate::hypervisor::{Fault, FaultKind};

/// Where the jobs are on the node.
const DIRECTORY: &str = "/run/phoenix/jobs";

/// What the first line begins with that the script of a job prints itself.
const MARK: &str = "phoenix-job ";

/// What the scripts share.
const SHARED: &str = r#"set -u
# Sets `state` and `start` for process $1; fails if it is gone.
look() {
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The program's name stands in parentheses and may hold anything, even a parenthesis.
  read -r state _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ <<END
${line##*) }
END
}
# Notes process $1 in file $2.
note() {
  look "$1" && echo "$1 $start" >"$2"
}
# Whether the process noted in file $1 is still there, and the same one.
alive() {
  pid='' noted=''
  { read -r pid noted <"$1"; } 2>/dev/null || return 1
  [ -n "$noted" ] && look "$pid" && [ "$start" = "$noted" ] && [ "$state" != Z ]
}
# Whether what lies in directory $1 is of project $2. Sets `whose`.
of() {
  whose=''
  { IFS= read -r whose <"$1/project"; } 2>/dev/null
  [ -n "$whose" ] && [ "$whose" = "$2" ]
}
# Whether directory $1 and the one it is in are this user's own.
ours() {
  for part in "${1%/*}" "$1"; do
    if [ -L "$part" ] || [ "$(stat -c %u -- "$part")" != "$(id -u)" ]; then
      echo "$part is a symbolic link, or belongs to another user" >&2
      return 1
    fi
  done
}
"#;

/// `phoenix-job RUN DIR NAME PROJECT ARGV…`: starts a job and waits for it. Prints one line with the mark and how it
/// went, then what the job printed.
///
/// Waits only as long as its own standard input is open: that ends with phoenix and with the connection, and nothing
/// else does behind a shared connection, where no process on the node ends.
const JOB: &str = r#"run=$1 dir=$2 name=$3 project=$4
shift 4
job="$dir/$name"
say() {
  echo "phoenix-job $1"
  exit 0
}
mask=$(umask)
umask 077
mkdir -p -- "$dir" && ours "$dir" && chmod 0700 -- "$dir" && touch -- "$dir/lock" || say not-started
exec 3<&0 8>"$dir/lock"
flock -w 30 8 || say not-started
if [ -e "$job" ] || [ -L "$job" ]; then
  # Ended with somebody waiting: about to be removed by whoever waits.
  if alive "$job/pid" || alive "$job/waiter"; then say under-way; fi
  if of "$job" "$project" || [ -z "$whose" ]; then
    rm -rf -- "$job"
  else
    # It is for another project to be told.
    aside=$(mktemp -d -- "$job.XXXXXX") && mv -T -- "$job" "$aside" || say not-started
  fi
fi
mkdir -- "$job" && printf '%s\n' "$project" >"$job/project" && note $$ "$job/waiter" || say not-started
( read -r _ ) <&3 >/dev/null 2>&1 3<&- 8>&- &
watcher=$!
note "$watcher" "$job/watcher"
# What the job makes has the modes that it would have without us. It lets go of the lock once it is noted.
umask "$mask"
setsid /bin/sh -c "$run" phoenix-run "$job" "$@" </dev/null >"$job/out" 2>"$job/err" 3<&- &
umask 077
exec 3<&- 8>&-
flock "$dir/lock" true
round=0
how=gone
while [ ! -f "$job/status" ]; do
  if ! alive "$job/pid"; then
    # It may have ended between the two looks.
    [ -f "$job/status" ] || break
  fi
  alive "$job/watcher" || exit 143
  round=$((round + 1))
  if [ $round -lt 30 ]; then pause=0.1; elif [ $round -lt 60 ]; then pause=0.3; else pause=1; fi
  # A sleep that outlives us must not hold the pipes.
  sleep $pause >/dev/null 2>&1
done
if [ -f "$job/status" ]; then
  read -r status <"$job/status"
  how="ended $status"
fi
# Nothing is removed that could not be told.
echo "phoenix-job $how" && cat -- "$job/out" && cat -- "$job/err" >&2 || exit 1
exec 8>"$dir/lock"
flock -w 30 8
alive "$job/watcher" && kill "$watcher"
rm -rf -- "$job"
exit 0
"#;

/// `phoenix-run JOB ARGV…`: runs the program of a job and notes how it ended.
const RUN: &str = r#"job=$1
shift
trap '' HUP
note $$ "$job/pid" || exit 1
exec 8>&-
cd / || exit 1
"$@"
echo $? >"$job/status.new"
mv -T -- "$job/status.new" "$job/status"
"#;

/// `phoenix-tidy DIR PROJECT`: a line `name status last-line-of-standard-error` about each job of the project that
/// ended and that nothing waits for; removes it.
const TIDY: &str = r#"dir=$1 project=$2
[ -d "$dir" ] || exit 0
ours "$dir" || exit 1
exec 8>"$dir/lock"
flock -w 30 8 || exit 1
for job in "$dir"/*/; do
  job=${job%/}
  [ -d "$job" ] || continue
  of "$job" "$project" || continue
  if alive "$job/pid" || alive "$job/waiter"; then continue; fi
  status=gone
  if [ -f "$job/status" ]; then read -r status <"$job/status"; fi
  last=$(tail -c 400 -- "$job/err" 2>/dev/null | tail -n 1 | tr -d '\000')
  name=${job##*/}
  printf '%s %s %s\n' "${name%%.*}" "$status" "$last"
  rm -rf -- "$job"
done
exit 0
"#;

/// How the script of a job says that it went.
#[derive(Debug, PartialEq, Eq)]
enum How {
    /// The program ended, with this status.
    Ended(i32),
    /// The job is gone without having noted a status.
    Gone,
    /// Another run's job of that name is running.
    UnderWay,
    /// Nothing was started.
    NotStarted,
}

impl Qm {
    /// Runs a program as the job `name`. A lost connection or a passed deadline end the waiting, never the program; so
    /// the fault's effect is then `Maybe`. A job of that name that is running is left alone and refuses this one.
    pub(super) fn detached(&self, name: &str, command: &Command) -> Result<Output, Fault> {
        let words = command.words();
        let directory = self.jobs();
        let run = format!("{SHARED}{RUN}");
        let mut argv = script("phoenix-job", &format!("{SHARED}{JOB}"), &[&run, &directory, name, &self.project]);
        argv.extend(command.argv.iter().cloned());
        let mut waiter = Command::change(argv, command.deadline);
        waiter.attended = true;
        let mut output = self.runner.run(&waiter).map_err(|mut fault| {
            if fault.kind == FaultKind::TimedOut {
                let seconds = command.deadline.as_secs();
                fault.what =
                    format!("`{words}` did not end within {seconds} s; it is still running on {}", self.runner.place());
            }
            fault
        })?;
        let said = output.stderr.trim();
        match how(&mut output.stdout) {
            Some(How::Ended(status)) => {
                output.status = status;
                Ok(output)
            }
            Some(How::Gone) => {
                let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
                let what = format!("`{words}` was killed on {}{last}", self.runner.place());
                Err(Fault::uncertain(FaultKind::Failed, what))
            }
            Some(How::UnderWay) => {
                let what = format!("`{words}`: {} is under way from another run", describe(name));
                Err(Fault::harmless(FaultKind::Refused, what).hint("wait until it has ended, then try again"))
            }
            Some(How::NotStarted) => {
                Err(Fault::harmless(FaultKind::Failed, format!("`{words}` could not be started: {said}")))
            }
            None => {
                let what = format!(
                    "the process that waited for `{words}` on the node is gone: exit status {} {said}",
                    output.status
                );
                Err(Fault::uncertain(FaultKind::Unreachable, what.trim_end()))
            }
        }
    }

    /// Removes what the jobs of interrupted runs of the project left; a sentence about each.
    pub(super) fn tidy_jobs(&self) -> Result<Vec<String>, Fault> {
        let argv = script("phoenix-tidy", &format!("{SHARED}{TIDY}"), &[&self.jobs(), &self.project]);
        let output = self.run(&Command::look(argv, LOOK.max(Duration::from_secs(45))))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(sentence).collect())
    }

    /// The directory of a job: while it runs, `out` in it has what its program wrote to standard output.
    pub(super) fn directory_of(&self, name: &str) -> String {
        format!("{}/{name}", self.jobs())
    }

    fn jobs(&self) -> String {
        format!("{}{DIRECTORY}", self.layout.root)
    }
}

/// Takes the script's own line off the output, with what a talkative login shell printed before it.
fn how(stdout: &mut Vec<u8>) -> Option<How> {
    let mark = MARK.as_bytes();
    let begins = |at: &usize| *at == 0 || stdout[*at - 1] == b'\n';
    let at = (0..stdout.len()).filter(begins).find(|at| stdout[*at..].starts_with(mark))?;
    let end = at + stdout[at..].iter().position(|byte| *byte == b'\n')?;
    let how = match std::str::from_utf8(&stdout[at + mark.len()..end]).ok()? {
        "gone" => How::Gone,
        "under-way" => How::UnderWay,
        "not-started" => How::NotStarted,
        ended => How::Ended(ended.strip_prefix("ended ")?.parse().ok()?),
    };
    stdout.drain(..=end);
    Some(how)
}

/// What a job does, for people.
fn describe(name: &str) -> String {
    match name.split_once('-') {
        Some(("clone", vm)) => format!("the clone into VM {vm}"),
        Some(("move", vm)) => format!("moving the disk of VM {vm}"),
        Some(("template", vm)) => format!("the conversion of VM {vm} to a template"),
        Some(("further", vm)) => format!("the import of an image as a further disk of VM {vm}"),
        Some(("import", vm)) => format!("the import of an image into VM {vm}"),
        _ => format!("the operation `{name}`"),
    }
}

/// A sentence about a job that ended.
fn sentence(line: &str) -> String {
    // Programs show progress with control characters; they have no place in a sentence.
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let mut words = line.splitn(3, ' ');
    let (name, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let last = words.next().unwrap_or_default().trim();
    let how = if status == "gone" { "was killed".to_owned() } else { format!("ended with status {status}") };
    // A success needs no explanation: what stands there is progress.
    let why = if last.is_empty() || status == "0" { String::new() } else { format!(": {last}") };
    format!("{} of an interrupted run {how}{why}", describe(name))
}

#[cfg(test)]
mod tests {
    use super::{How, JOB, RUN, SHARED, TIDY, how, sentence};

    #[test]
    fn the_scripts_own_line_is_taken_off() {
        for (text, expected, rest) in [
            ("phoenix-job ended 255\nphoenix-job gone\n", Some(How::Ended(255)), "phoenix-job gone\n"),
            ("Welcome! phoenix-job gone\nphoenix-job under-way\n", Some(How::UnderWay), ""),
            ("phoenix-job gone\n50%", Some(How::Gone), "50%"),
            ("phoenix-job not-started\n", Some(How::NotStarted), ""),
            ("phoenix-job ended", None, "phoenix-job ended"),
            ("phoenix-job ended x\n", None, "phoenix-job ended x\n"),
            ("", None, ""),
        ] {
            let mut stdout = text.as_bytes().to_vec();
            assert_eq!(how(&mut stdout), expected, "{text:?}");
            assert_eq!(String::from_utf8_lossy(&stdout), rest);
        }
    }

    #[test]
    fn a_job_becomes_a_sentence() {
        for (line, expected) in [
            ("clone-1000 0 100%", "the clone into VM 1000 of an interrupted run ended with status 0"),
            (
                "clone-1000 255 clone failed:\u{1b} no \rspace",
                "the clone into VM 1000 of an interrupted run ended with status 255: clone failed: no space",
            ),
            ("clone-1000 gone ", "the clone into VM 1000 of an interrupted run was killed"),
            ("x 1 ", "the operation `x` of an interrupted run ended with status 1"),
        ] {
            assert_eq!(sentence(line), expected);
        }
    }

    /// `shellcheck` of each script, where it is installed.
    #[test]
    fn the_scripts_are_clean() {
        for text in [JOB, RUN, TIDY] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("script.sh");
            std::fs::write(&file, format!("#!/bin/sh\n{SHARED}{text}")).unwrap();
            // SC2015: `a && b || c` is meant as it stands: `c` for a failure of any. SC2317, SC2329: not every script
            // calls every function that they share.
            let check =
                std::process::Command::new("shellcheck").args(["-e", "SC2015,SC2317,SC2329"]).arg(&file).output();
            if let Ok(output) = check {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }
}
