//! What `cloud-init status` says.

use serde::Deserialize;

use crate::hypervisor::GuestExit;

/// How far cloud-init is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudInit {
    /// It runs, or has not begun.
    Running,
    /// It finished.
    Done,
    /// It finished, with warnings of its own.
    Degraded(Vec<String>),
    /// It failed.
    Failed(Vec<String>),
    /// The image has it switched off.
    Disabled,
    /// The image does not have it.
    NotInstalled,
    /// The answer could not be understood.
    Unclear(String),
}

/// The part of the answer that matters. Fields are those of cloud-init 22 and later.
#[derive(Default, Deserialize)]
struct Answer {
    status: String,
    #[serde(default, rename = "extended_status")]
    extended: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    recoverable_errors: std::collections::BTreeMap<String, Vec<String>>,
}

/// `cloud-init ARG…`: runs the program of that name. One older than 22 does not know JSON, refuses the option with 2
/// and an empty output (a `degraded` one says 2 as well), and is asked for its text. One whose memory phoenix has
/// removed since the guest booted says that it has not started: it was done before.
pub(super) const STATUS: &str = r#"command -v "$0" >/dev/null 2>&1 || exit 127
if [ -e /run/phoenix-cleaned ]; then echo '{"status": "done"}'; exit 0; fi
if out=$("$0" "$@"); then code=0; else code=$?; fi
[ "$code,$out" != 2, ] || exec "$0" status --long
printf '%s\n' "$out"
exit "$code"
"#;

/// Reads the text of `cloud-init status --long`: `status: done`, `time: …`, `detail:` and the lines below it.
fn long(text: &str) -> Option<Answer> {
    let status = text.lines().find_map(|line| line.strip_prefix("status:"))?.trim().to_owned();
    let detail = text.split_once("\ndetail:").map_or("", |(_, detail)| detail.trim()).to_owned();
    Some(Answer { status, detail, ..Answer::default() })
}

/// Reads `cloud-init status --format json`, or what stands for it.
///
/// It exits 1 for `error` and 2 for `degraded` and prints the whole JSON in both cases (recorded), so the exit code is
/// looked at last.
pub(super) fn read(exit: &GuestExit) -> CloudInit {
    let Some(status) = serde_json::from_str::<Answer>(exit.out.trim()).ok().or_else(|| long(&exit.out)) else {
        return match exit.code {
            Some(126 | 127) => CloudInit::NotInstalled,
            _ if exit.err.contains("No such file") || exit.err.contains("not found") => CloudInit::NotInstalled,
            _ => CloudInit::Unclear(super::unexpected("cloud-init status", exit).what),
        };
    };
    let mut messages = status.errors.clone();
    for (level, texts) in &status.recoverable_errors {
        messages.extend(texts.iter().map(|text| format!("{level}: {text}")));
    }
    if messages.is_empty() && !status.detail.is_empty() {
        messages.push(status.detail.clone());
    }
    match status.status.as_str() {
        "not started" | "not run" | "running" | "degraded running" => CloudInit::Running,
        "done" if status.extended.starts_with("degraded") => CloudInit::Degraded(messages),
        "done" if exit.code == Some(2) => CloudInit::Degraded(messages),
        "done" => CloudInit::Done,
        "degraded" | "degraded done" => CloudInit::Degraded(messages),
        "error" => CloudInit::Failed(messages),
        "disabled" => CloudInit::Disabled,
        other => CloudInit::Unclear(format!("cloud-init says `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::{CloudInit, read};
    use crate::hypervisor::GuestExit;

    #[track_caller]
    fn check(code: i32, out: &str, expected: &CloudInit) {
        let exit = GuestExit { code: Some(code), out: out.to_owned(), err: String::new() };
        assert_eq!(read(&exit), *expected, "{out}");
    }

    #[test]
    fn tells_the_answers_apart() {
        check(0, r#"{"status":"running"}"#, &CloudInit::Running);
        check(0, r#"{"status":"not started"}"#, &CloudInit::Running);
        check(0, r#"{"status":"done","extended_status":"done","errors":[]}"#, &CloudInit::Done);
        check(
            2,
            r#"{"status":"done","extended_status":"degraded done","recoverable_errors":{"WARNING":["old key"]}}"#,
            &CloudInit::Degraded(vec!["WARNING: old key".to_owned()]),
        );
        check(
            1,
            r#"{"status":"error","detail":"DataSourceNoCloud","errors":["('locale', 'failed')"]}"#,
            &CloudInit::Failed(vec!["('locale', 'failed')".to_owned()]),
        );
        check(0, r#"{"status":"disabled"}"#, &CloudInit::Disabled);
        let long = "status: done\ntime: Thu, 01 Jan 1970 00:00:09 +0000\ndetail:\nDataSourceNoCloud [dsmode=net]\n";
        check(0, long, &CloudInit::Done);
        check(0, "status: not run\n", &CloudInit::Running);
        check(1, "status: error\ndetail:\n('locale', 'no')\n", &CloudInit::Failed(vec!["('locale', 'no')".to_owned()]));
        check(127, "", &CloudInit::NotInstalled);
        check(0, r#"{"status":"what"}"#, &CloudInit::Unclear("cloud-init says `what`".to_owned()));
        check(3, "oops", &CloudInit::Unclear("cloud-init status exited 3 in the guest: oops".to_owned()));
    }

    /// An old version refuses `--format`, as argparse does.
    #[test]
    fn an_old_version_is_asked_for_text() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("cloud-init");
        let text = "#!/bin/sh\n[ \"$*\" = 'status --long' ] && { echo 'status: done'; exit 0; }\necho unrecognized >&2\nexit 2\n";
        // Another process writes it: a child of another test's thread would inherit the open file, which keeps it from
        // being run.
        let mut write = std::process::Command::new("sh");
        write.args(["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(&program).arg(text);
        assert!(write.status().unwrap().success());
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let argv = crate::guest::cloud_init_status().argv;
        let output = std::process::Command::new(&argv[0]).args(&argv[1..]).env("PATH", path).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(read(&GuestExit { code: output.status.code(), out, err: String::new() }), CloudInit::Done);
    }
}
