//! Completion as bash, zsh and fish do it: real shells on a pseudo-terminal, with Tab pressed in them.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use support::need;
use tempfile::TempDir;

const CONFIG: &str = r#"{ "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web-server", "tags": ["blue"] },
  { "vm_id": 2000, "vm_name": "database", "tags": ["blue"], "features": ["base_setup"] }
] }"#;

/// Printed by the shell, never typed: the prompt, and what stands around the words that a command line came to.
const PROMPT: &str = "at your service";
const CAME: &str = "it came to ";
const DONE: &str = "that was all";

/// A shell that waits for keys, in a directory with configs. `phoenix` is a function there that tells its arguments;
/// the completion asks the program.
struct Shell {
    child: Child,
    keys: ChildStdin,
    said: Receiver<Vec<u8>>,
    screen: String,
    dir: TempDir,
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shell {
    fn start(name: &str) -> Option<Self> {
        if !need("script", "bsdutils") || !need(name, name) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
        write("phoenix_vm_configs.json", CONFIG);
        fs::create_dir_all(dir.path().join(".phoenix/runs")).unwrap();
        write(".phoenix/runs/2026-11-27T10-11-12Z.jsonl", "");
        write("other.json", &CONFIG.replace("web-server", "other-server"));
        write("broken.json", r#"{ "virtual_machines": [ { "vm_name": "broken-server" "#);
        let evil = r#"{ "virtual_machines": [{ "vm_id": 3000, "vm_name": "evil$(touch pwned)" }] }"#;
        write("evil.json", evil);
        write("strange $(touch pwned)`touch pwned`;&*.json", "{}");
        // What is typed into a shell while it starts would be lost: everything is in place before its first prompt.
        let (start, setup) = match name {
            "bash" => (
                "bash --norc -i",
                format!(
                    "bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'; \
                     phoenix() {{ printf '{CAME}'; printf '[%s]' \"$@\"; echo '{DONE}'; }}; \
                     eval \"$(command phoenix completions bash)\"; PS1='{PROMPT}'\n"
                ),
            ),
            "zsh" => (
                "zsh -f -i",
                format!(
                    "unsetopt zle_bracketed_paste prompt_sp; autoload -U compinit; compinit -u -D; \
                     phoenix() {{ printf '{CAME}'; printf '[%s]' \"$@\"; echo '{DONE}'; }}; \
                     eval \"$(command phoenix completions zsh)\"; PS1='{PROMPT}'\n"
                ),
            ),
            _ => (
                "fish --no-config -i",
                format!(
                    "function phoenix; printf '{CAME}'; printf '[%s]' $argv; echo '{DONE}'; end; \
                     command phoenix completions fish | source; \
                     function fish_prompt; echo -n '{PROMPT}'; end\n"
                ),
            ),
        };
        write("setup", &setup);
        let start = match name {
            "bash" => "bash --rcfile setup -i".to_owned(),
            "zsh" => {
                fs::rename(dir.path().join("setup"), dir.path().join(".zshrc")).unwrap();
                "ZDOTDIR=$PWD zsh -d -i".to_owned()
            }
            _ => format!("{start} --init-command 'source setup'"),
        };
        let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("stty cols 200 rows 50; exec env {start}"), "/dev/null"]);
        command.current_dir(dir.path()).env("HOME", dir.path()).env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        for name in ["PHOENIX_TARGET", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "ENV", "BASH_ENV"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut some) {
                if sender.send(some[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, keys, said, screen: String::new(), dir };
        shell.wait(PROMPT);
        Some(shell)
    }

    /// Reads on until the text stands there, and returns everything up to it.
    #[track_caller]
    fn wait(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(at) = self.screen.find(text) {
                return self.screen.drain(..at + text.len()).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(bytes) => self.screen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("`{text}` never came ({error}): {:?}", self.screen),
            }
        }
    }

    #[track_caller]
    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).unwrap();
    }

    /// Types a command line, with Tab at its end, and tells the arguments that came of it.
    #[track_caller]
    fn completed(&mut self, typed: &str) -> String {
        self.keys(&format!("phoenix {typed}\t\r"));
        let said = self.wait(DONE);
        self.wait(PROMPT);
        let (_, came) = said.split_once(CAME).unwrap();
        came.trim_end_matches(DONE).to_owned()
    }
}

fn completes(name: &str) {
    let Some(mut shell) = Shell::start(name) else { return };
    for (typed, came) in [
        ("vali", "[validate]"),
        ("plan --detailed", "[plan][--detailed-exitcode]"),
        ("plan --only we", "[plan][--only][web-server]"),
        ("plan --only=we", "[plan][--only=web-server]"),
        ("plan --only blue,data", "[plan][--only][blue,database]"),
        ("create 20", "[create][2000]"),
        ("plan -c other.json --exclude oth", "[plan][-c][other.json][--exclude][other-server]"),
        ("--config=other.json graph --only oth", "[--config=other.json][graph][--only][other-server]"),
        ("validate --format sar", "[validate][--format][sarif]"),
        ("plan --format mark", "[plan][--format][markdown]"),
        ("plan --format=mark", "[plan][--format=markdown]"),
        ("graph --format=merm", "[graph][--format=mermaid]"),
        ("validate othe", "[validate][other.json]"),
        ("plan --format html=othe", "[plan][--format][html=other.json]"),
        ("--color ne", "[--color][never]"),
        ("apply --yes-destroy data", "[apply][--yes-destroy][database]"),
        ("apply --rerun base", "[apply][--rerun][base_setup]"),
        ("import --tag bl", "[import][--tag][blue]"),
        ("show 2026", "[show][2026-11-27T10-11-12Z]"),
        ("show oth", "[show][other.json]"),
        // Nothing to say, and nothing said.
        ("plan -c broken.json --only bro", "[plan][-c][broken.json][--only][bro]"),
        ("plan -c missing.json --only we", "[plan][-c][missing.json][--only][we]"),
        ("plan -c evil.json --only evi", "[plan][-c][evil.json][--only][evi]"),
        ("validate --format markd", "[validate][--format][markd]"),
        // A file with any name is a word.
        ("validate stra", "[validate][strange $(touch pwned)`touch pwned`;&*.json]"),
        ("validate --format json=stra", "[validate][--format][json=strange $(touch pwned)`touch pwned`;&*.json]"),
    ] {
        assert_eq!(shell.completed(typed), came, "{name}: {typed}");
    }
    shell.keys("phoenix plan --only \t\t");
    for listed in ["1000", "2000", "web-server", "database", "blue"] {
        // In any order, and all of them before anything else is typed.
        let seen = shell.wait(listed);
        shell.screen.insert_str(0, &seen);
    }
    assert!(!shell.dir.path().join("pwned").exists(), "{name} ran a file's name");
}

#[test]
fn bash_completes() {
    completes("bash");
}

#[test]
fn zsh_completes() {
    completes("zsh");
}

#[test]
fn fish_completes() {
    completes("fish");
}

#[test]
fn the_script_for_bash_is_clean() {
    if !need("shellcheck", "shellcheck") {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/completions/phoenix.bash");
    let checked = Command::new("shellcheck").args(["--shell=bash"]).arg(script).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
