//! `validate`: the scripts of configs, read by the shells that will run them, and by shellcheck where there is one.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::{self, Given};
use crate::backend::runner::{Command, Local, Output, Runner as _};
use crate::config::scripts::{ScriptText, Shell, unchecked};
use crate::config::{self, Source};
use crate::diag::Diagnostic;
use crate::hypervisor::FaultKind;
use crate::ui::report::Checked;

/// How long one program may take for one script.
const EACH: Duration = Duration::from_secs(5);

/// How long the check of all scripts may take.
const ALL: Duration = Duration::from_mins(1);

/// The exit statuses of a shell that cannot read a script: of bash for a quote that is not closed 1, else 2.
const REFUSED: [i32; 2] = [1, 2];

/// The exit status of shellcheck that has findings.
const FOUND: i32 = 1;

/// Checks scripts, each file once.
pub(super) struct Checks {
    bash: Option<String>,
    sh: Option<String>,
    shellcheck: Option<String>,
    /// What the programs get for `PATH`.
    path: String,
    /// When there is no more time.
    end: Instant,
    seen: BTreeSet<(String, Arc<str>)>,
    /// What was said already of scripts that are not checked.
    said: BTreeSet<String>,
}

impl Checks {
    /// Looks for the programs in the absolute directories of `PATH`.
    pub(super) fn new() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
        let find = |name: &str| {
            let mut files = dirs.iter().map(|dir| dir.join(name));
            files.find(|file| is_program(file)).and_then(|file| file.to_str().map(str::to_owned))
        };
        let path = std::env::join_paths(&dirs).ok().and_then(|path| path.into_string().ok()).unwrap_or_default();
        Self {
            bash: find("bash"),
            sh: find("sh"),
            shellcheck: find("shellcheck"),
            path,
            end: Instant::now() + ALL,
            seen: BTreeSet::new(),
            said: BTreeSet::new(),
        }
    }

    /// Checks the scripts of a config: returns what is to be said of those that stand in the config itself, and what
    /// keeps scripts from being checked; and the files of which something is to be said.
    pub(super) fn of(
        &mut self,
        scripts: &[ScriptText],
        (config, source): (&Path, Option<&Source>),
        given: &Given,
    ) -> (Vec<Diagnostic>, Vec<Checked>) {
        let directory = load::directory(config);
        let places = OnceCell::new();
        let (mut of_config, mut checked) = (Vec::new(), Vec::new());
        for script in scripts {
            let named = script.is_feature && given.features_dir.is_some();
            let name = match () {
                () if script.inside.is_some() => load::name(config),
                () if named => script.path.clone(),
                () => plain(&directory.join(&script.path)),
            };
            if !self.seen.insert((name.clone(), Arc::clone(&script.text))) {
                continue;
            }
            let (diagnostics, why) = self.one(script, &name);
            of_config.extend(why.filter(|why| self.said.insert(why.message.clone())));
            if script.inside.is_some() {
                let place = |found| {
                    let read = || source.map(config::places).unwrap_or_default();
                    script.placed(found, places.get_or_init(read))
                };
                of_config.extend(diagnostics.into_iter().map(place));
            } else if !diagnostics.is_empty() {
                let source = Some(Source::new(name.clone(), script.text.to_string()));
                checked.push(Checked { name, source, vms: None, diagnostics });
            }
        }
        (of_config, checked)
    }

    /// Returns what is to be said of a script, and why it is not checked, or not by everything.
    fn one(&mut self, script: &ScriptText, name: &str) -> (Vec<Diagnostic>, Option<Diagnostic>) {
        let Some(shell) = script.run_by() else { return (Vec::new(), None) };
        if Instant::now() >= self.end {
            let what = format!("not all scripts are checked: it takes longer than {} s", ALL.as_secs());
            return (Vec::new(), Some(unchecked(what, "name fewer configs in one run")));
        }
        if !script.commands.is_empty() {
            return self.commands(script, name).map_or_else(|why| (Vec::new(), Some(why)), |found| (found, None));
        }
        match self.read(&script.read, shell, name) {
            Ok(None) => {}
            Ok(Some(complaint)) => return (vec![script.refused(shell, &complaint, name)], None),
            Err(why) => return (Vec::new(), Some(why)),
        }
        let mut found = Vec::new();
        if let Some(named) = script.named().filter(|named| *named != shell)
            && let Ok(Some(complaint)) = self.read(&script.read, named, name)
        {
            found.push(script.refused(named, &complaint, name));
        }
        // A `.shellcheckrc` is not read: one that a pull request brings along could let it read any file.
        let Some(shellcheck) = &self.shellcheck else { return (found, None) };
        let arguments = ["--norc", "--format=json1", "--severity=warning", "--shell", shell.program(), "-"];
        let says = self.run(shellcheck, &arguments, &script.read).and_then(|output| {
            let lints = script.lints(&output.stdout).filter(|_| matches!(output.status, 0 | FOUND));
            lints.ok_or_else(|| ended_with(&output))
        });
        match says {
            Ok(lints) => {
                found.extend(lints);
                (found, None)
            }
            Err(why) => {
                // It would not do better with the next script.
                self.shellcheck = None;
                let what = format!("shellcheck does not check scripts: {why}");
                (
                    found,
                    Some(unchecked(what, "see that `shellcheck FILE` works here; the shells have checked the scripts")),
                )
            }
        }
    }

    /// Lets `sh` read the commands of a text for cloud-init: all together, as cloud-init writes them into one script;
    /// of those that it refuses each by itself, until the one is found.
    fn commands(&self, script: &ScriptText, name: &str) -> Result<Vec<Diagnostic>, Diagnostic> {
        let mut found = Vec::new();
        for part in script.by_key() {
            let Some(all) = self.read(&part.joined(), Shell::Sh, name)? else { continue };
            let suspects = part.suspects(&all);
            let mut one = suspects.first().map(|first| part.refused_command(first, &all));
            for command in suspects.iter().take_while(|_| Instant::now() < self.end) {
                if let Some(complaint) = self.read(&command.text, Shell::Sh, name)? {
                    one = Some(part.refused_command(command, &complaint));
                    break;
                }
            }
            found.extend(one);
        }
        Ok(found)
    }

    /// Lets a shell read a text without running it: what it says of one that it refuses, or why it was not asked.
    fn read(&self, text: &str, shell: Shell, name: &str) -> Result<Option<String>, Diagnostic> {
        let program = shell.program();
        let Some(found) = (if shell == Shell::Bash { &self.bash } else { &self.sh }) else {
            let what = format!("scripts are not checked: there is no program `{program}`");
            return Err(unchecked(what, &format!("install `{program}`, or see that it is in `PATH`")));
        };
        // A script says itself that it takes these patterns, which bash would notice only if it ran the script.
        let extended = shell == Shell::Bash && text.contains("extglob");
        let arguments: &[&str] = if extended { &["-O", "extglob", "-n"] } else { &["-n"] };
        match self.run(found, arguments, text) {
            Ok(output) if output.status == 0 => Ok(None),
            Ok(output) if REFUSED.contains(&output.status) => Ok(Some(output.stderr)),
            ended => {
                let why = ended.map_or_else(|why| why, |output| ended_with(&output));
                let what = format!("`{program}` does not check `{name}`: {why}");
                Err(unchecked(what, &format!("see what `{program} -n {name}` says")))
            }
        }
    }

    /// Runs a program with a script on standard input, and nothing of this process's environment but `PATH`.
    fn run(&self, program: &str, arguments: &[&str], script: &str) -> Result<Output, String> {
        let path = format!("PATH={}", self.path);
        let words = ["env", "-i", &path, "LC_ALL=C.UTF-8", program];
        let argv = words.iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let command = Command { stdin: script.as_bytes().to_vec(), ..Command::look(argv, EACH) };
        Local.run(&command).map_err(|fault| match fault.kind {
            FaultKind::TimedOut => format!("it takes longer than {} s", EACH.as_secs()),
            _ => fault.what,
        })
    }
}

/// A path without steps that lead nowhere.
fn plain(path: &Path) -> String {
    let steps: PathBuf = path.components().filter(|step| *step != Component::CurDir).collect();
    steps.display().to_string()
}

fn ended_with(output: &Output) -> String {
    let said = output.stderr.lines().next().unwrap_or("it does not say why");
    format!("it ended with exit code {}: {said}", output.status)
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
