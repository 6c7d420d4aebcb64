//! Runs what the pages say: the commands of their `console` blocks, one after the other, in a terminal of 80 columns
//! and in one of 200, and compares exit codes and the output that a page shows.
//!
//! What a block needs stands behind the word `console`, where no reader of the page sees it:
//! - `at=NAME`: a fresh directory, in which `tests/docs/NAME.sh` has run. Without it, a block continues where the one
//!   before it on the page has ended; the first one begins in an empty directory.
//! - `types=A,B`: what a person types, one line for each question.
//! - `exits=N,M`: the exit codes of the commands, if they are not all 0.
//! - `needs=WHAT`: it is not run here. `NOT_RUN` counts those.
//!
//! In a command, `HASH` is the hash of the plan as it is, and `SNAPSHOT` the snapshot that phoenix left on VM 1000. In
//! the output, a line `…` is any number of lines, and `…` within one is any text.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pty_process::Size;
use pty_process::blocking::{self, Pty};
use regex::Regex;
use tempfile::TempDir;

use super::ROOT;

/// The blocks that are not run, by page and what they need; more are not to be had without a look at this list.
const NOT_RUN: [(&str, &str, usize); 6] = [
    ("commands.md", "shells", 1),
    ("embedded.md", "qemu", 1),
    ("guests.md", "guest", 1),
    ("node.md", "node", 3),
    ("review.md", "conftest", 1),
    ("review.md", "git", 1),
];

/// What the environment of the tests must not change.
const NOT_OURS: [&str; 4] = ["PHOENIX_TARGET", "GITHUB_STEP_SUMMARY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];

/// Seconds that a command may take on a machine that is busy.
const PATIENCE: &str = "120";

/// A command of a page, and what the page shows of its output.
#[derive(Debug, Default, PartialEq)]
struct Line {
    command: String,
    shown: Vec<String>,
}

/// A `console` block.
#[derive(Debug, Default, PartialEq)]
struct Block {
    at: Option<String>,
    types: Vec<String>,
    exits: Vec<i32>,
    needs: Option<String>,
    lines: Vec<Line>,
}

/// The blocks of a page.
fn blocks(text: &str) -> Vec<Block> {
    let (mut found, mut open) = (Vec::new(), None::<Block>);
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            if let Some(block) = open.take() {
                found.push(block);
            } else if let Some(words) = info.strip_prefix("console") {
                open = Some(block(words));
            }
        } else if let Some(block) = &mut open {
            match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                Some(command) => block.lines.push(Line { command: command.to_owned(), shown: Vec::new() }),
                None => block.lines.last_mut().expect("output without a command").shown.push(line.to_owned()),
            }
        }
    }
    found
}

/// A block of which nothing but the words behind `console` is read.
fn block(words: &str) -> Block {
    let mut block = Block::default();
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("`{word}` says nothing"));
        let all = || value.split(',').map(str::to_owned);
        match name {
            "at" => block.at = Some(value.to_owned()),
            "types" => block.types = all().collect(),
            "exits" => block.exits = all().map(|code| code.parse().unwrap()).collect(),
            "needs" => block.needs = Some(value.to_owned()),
            _ => panic!("no block can say `{word}`"),
        }
    }
    block
}

/// Where a page's commands run: a directory and a home, at a terminal of so many columns.
struct Place {
    dir: TempDir,
    columns: u16,
}

impl Place {
    fn new(columns: u16, scene: Option<&str>) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), columns };
        for name in ["vms", "home", "home/.ssh"] {
            fs::create_dir(place.dir.path().join(name)).unwrap();
        }
        if let Some(scene) = scene {
            let script = Path::new(ROOT).join("tests/docs").join(format!("{scene}.sh"));
            let mut command = Command::new("bash");
            command.arg("-eu").arg(&script).current_dir(place.vms()).stdin(Stdio::null());
            for name in NOT_OURS {
                command.env_remove(name);
            }
            let ran = command.env("PATH", search_path()).env("HOME", place.dir.path().join("home")).output().unwrap();
            assert!(ran.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&ran.stderr));
        }
        place
    }

    fn vms(&self) -> PathBuf {
        self.dir.path().join("vms")
    }

    /// Runs a command line in a terminal and types an answer at each question. Returns its exit code and what it
    /// showed.
    fn run(&self, line: &str, answers: &mut impl Iterator<Item = String>) -> (i32, String) {
        let (mut pty, pts) = blocking::open().unwrap();
        pty.resize(Size::new(50, self.columns)).unwrap();
        let mut command = blocking::Command::new("timeout")
            .args(["--foreground", PATIENCE, "bash", "-c", line])
            .current_dir(self.vms());
        for name in NOT_OURS {
            command = command.env_remove(name);
        }
        command = command.env("PATH", search_path()).env("HOME", self.dir.path().join("home"));
        let mut child = command.env("TERM", "dumb").env("NO_COLOR", "1").spawn(pts).unwrap();
        let shown = read(&mut pty, line, answers);
        (child.wait().unwrap().code().unwrap(), shown)
    }

    /// The hash of the plan as it is.
    fn hash(&self) -> String {
        let (_, plan) = self.run("phoenix plan", &mut std::iter::empty());
        let (_, rest) = plan.split_once("Plan hash ").unwrap_or_else(|| panic!("no hash in\n{plan}"));
        rest.chars().take_while(char::is_ascii_hexdigit).collect()
    }

    /// The snapshot that phoenix left on VM 1000.
    fn snapshot(&self) -> String {
        let conf = fs::read_to_string(self.vms().join(".phoenix/node/qemu-server/1000.conf")).unwrap();
        let name = Regex::new(r"phoenix_[0-9a-f]{16}").unwrap();
        name.find(&conf).unwrap_or_else(|| panic!("no snapshot in\n{conf}")).as_str().to_owned()
    }

    /// A command line with what stands in it for something else.
    fn filled(&self, line: &str) -> String {
        let mut line = line.to_owned();
        if line.contains(" HASH") {
            line = line.replace("HASH", &self.hash());
        }
        if line.contains(" SNAPSHOT") {
            line = line.replace("SNAPSHOT", &self.snapshot());
        }
        line
    }
}

/// Reads what a terminal shows to its end, and answers the questions in it.
fn read(pty: &mut Pty, line: &str, answers: &mut impl Iterator<Item = String>) -> String {
    let (mut bytes, mut chunk, mut answered) = (Vec::new(), [0; 4096], 0);
    loop {
        match pty.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // Linux says so when the last program has closed it.
            Err(_) => break,
        }
        let shown = String::from_utf8_lossy(&bytes);
        if shown[answered..].contains("Type ") && shown.ends_with(": ") {
            answered = shown.len();
            let answer = answers.next().unwrap_or_else(|| panic!("{line}: nothing is typed here:\n{shown}"));
            pty.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
    }
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

/// Where the phoenix of this build is found before all else.
fn search_path() -> std::ffi::OsString {
    let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap().to_owned();
    let old = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&old))).unwrap()
}

/// Whether an output is the one that is shown: line by line, or word by word where its lines are longer.
fn is_shown(shown: &[String], output: &str, by_line: bool) -> bool {
    let escaped = |text: &str| regex::escape(text).replace('…', if by_line { "[^\n]*" } else { ".*?" });
    let mut pattern = String::from(r"(?s)\A");
    for line in shown {
        pattern.push_str(&match (line.trim() == "…", by_line) {
            (true, true) => r"(?:[^\n]*\n)*?".to_owned(),
            (true, false) => ".*?".to_owned(),
            (false, true) => escaped(line.trim_end()) + r"\s*?\n",
            (false, false) => line.split_whitespace().map(|word| escaped(word) + r"\s+").collect(),
        });
    }
    pattern.push_str(r"\s*\z");
    Regex::new(&pattern).unwrap().is_match(&format!("{}\n", output.trim_end()))
}

/// Runs the blocks of a page. Returns what is not as the page says.
fn walk(page: &str, text: &str, columns: u16) -> Vec<String> {
    let (mut wrong, mut place) = (Vec::new(), Place::new(columns, None));
    for block in blocks(text).iter().filter(|block| block.needs.is_none()) {
        if block.at.is_some() {
            place = Place::new(columns, block.at.as_deref());
        }
        let mut answers = block.types.iter().cloned();
        let codes = block.exits.iter().copied().chain(std::iter::repeat(0));
        for (line, expected) in block.lines.iter().zip(codes) {
            let (code, output) = place.run(&place.filled(&line.command), &mut answers);
            let about = format!("{page}, {columns} columns: $ {}", line.command);
            if code != expected {
                wrong.push(format!("{about}\nexit code {code}, not {expected}:\n{output}"));
            }
            if !line.shown.is_empty() && !is_shown(&line.shown, &output, columns == 80) {
                wrong.push(format!("{about}\nshows\n{output}\nand not\n{}", line.shown.join("\n")));
            }
        }
        wrong.extend(answers.map(|answer| format!("{page}: nothing asks for `{answer}`")));
    }
    wrong
}

/// The pages of `docs/`, by name. The README's quick start has a test of its own: its commands build phoenix.
fn pages() -> Vec<(String, String)> {
    let pages = super::pages().into_iter().skip(1);
    pages.map(|(path, text)| (path.file_name().unwrap().to_str().unwrap().to_owned(), text)).collect()
}

#[test]
fn the_pages_are_true_in_a_terminal_of_80_columns() {
    let wrong: Vec<String> = pages().iter().flat_map(|(page, text)| walk(page, text, 80)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_pages_are_true_in_a_terminal_of_200_columns() {
    let wrong: Vec<String> = pages().iter().flat_map(|(page, text)| walk(page, text, 200)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_not_run_is_counted() {
    let (mut run, mut not_run) = (0, Vec::new());
    for (page, text) in pages() {
        for block in blocks(&text) {
            assert!(!block.lines.is_empty(), "{page}: an empty block");
            match block.needs {
                None => run += block.lines.len(),
                Some(needs) => not_run.push((page.clone(), needs)),
            }
        }
    }
    let listed = NOT_RUN
        .iter()
        .flat_map(|(page, needs, times)| std::iter::repeat_n(((*page).to_owned(), (*needs).to_owned()), *times));
    let mut listed: Vec<_> = listed.collect();
    listed.sort();
    not_run.sort();
    assert_eq!(not_run, listed);
    assert!(run >= 40, "only {run} commands are run");
}

#[test]
fn a_page_that_is_wrong_is_found() {
    let page = |info: &str, lines: &str| format!("text\n\n```console{info}\n{lines}\n```\n");
    for (info, lines, says) in [
        ("", "$ exit 3", Some("exit code 3, not 0")),
        (" exits=0,3", "$ true\n$ exit 3", None),
        (" exits=3", "$ true", Some("exit code 0, not 3")),
        (" needs=node", "$ exit 3", None),
        ("", "$ echo one\none", None),
        ("", "$ echo one\ntwo", Some("shows\none")),
        ("", "$ printf 'a b\\nc\\nd\\n'\na …\n…\nd", None),
        ("", "$ printf 'a b\\nc\\nd\\n'\na b\nd", Some("and not")),
        ("", "$ printf 'a\\nb\\n'\na", Some("and not")),
        (" types=yes", "$ read -rp 'Type it: ' it; [[ $it == yes ]]", None),
        (" types=yes", "$ read -rp 'Type it: ' it; [[ $it == no ]]", Some("exit code 1")),
        (" types=yes", "$ true", Some("nothing asks for `yes`")),
        (" at=one", "$ test -f phoenix_vm_configs.json", None),
    ] {
        for columns in [80, 200] {
            let wrong = walk("page", &page(info, lines), columns).join("\n");
            assert!(says.map_or(wrong.is_empty(), |says| wrong.contains(says)), "{info} {lines}: {wrong}");
        }
    }
}
