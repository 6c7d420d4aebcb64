//! A real terminal, as a person sees it: live progress, the question, Ctrl-C, resizing, and what is left on the screen.
//!
//! The node is held by its own settings (agents and scripts that take an hour) and let go by ending their time, so that
//! nothing depends on how fast the machine is. Waiting is reading until the screen shows something.
#![cfg(unix)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{self, Pty};
use serde_json::Value;
use tempfile::TempDir;

/// How long the screen may take to show what is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Longer than any test.
const HOUR: u64 = 3_600_000;

const CONFIG: &str = r#"{ "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web", "features": ["slow"] },
  { "vm_id": 1001, "vm_name": "database-with-a-longer-name-than-fits" }
] }"#;

/// The name of VM 1001.
const LONG: &str = "database-with-a-longer-name-than-fits";

/// A directory with a config and an embedded node.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(scene.path("phoenix_vm_configs.json"), CONFIG).unwrap();
        fs::create_dir(scene.path("features")).unwrap();
        fs::write(scene.path("features/slow.sh"), "true\n").unwrap();
        let made =
            scene.furnished(Command::new(env!("CARGO_BIN_EXE_phoenix"))).args(["node", "init"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        scene
    }

    /// One whose guests do not come up, or whose scripts do not end, until they are let go.
    fn held(setting: &str) -> Self {
        let scene = Self::new();
        let path = scene.path(".phoenix/node/node.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        settings[setting] = HOUR.into();
        fs::write(path, settings.to_string()).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn furnished(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env("TERM", "xterm-256color");
        command.env_remove("PHOENIX_TARGET").env_remove("NO_COLOR").env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    /// The guests have been up for a long time.
    fn let_guests_go(&self) {
        for vm in [1000, 1001] {
            let path = self.path(&format!(".phoenix/node/run/{vm}"));
            assert!(path.is_file());
            fs::write(path, "1").unwrap();
        }
    }

    /// The script of VM 1000 goes on.
    fn script_says(&self, text: &str) {
        let log = ".phoenix/node/root/quickOS/vm-persistent-data/1000/.phoenix_logs/slow.log";
        let log = fs::OpenOptions::new().append(true).open(self.path(log));
        log.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The script of VM 1000 has ended.
    fn let_script_go(&self) {
        let runs = self.path(".phoenix/node/guests/1000/runs");
        for entry in fs::read_dir(runs).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let (_, rest) = text.split_once('\n').unwrap();
            fs::write(path, format!("exit 0\n{rest}")).unwrap();
        }
    }

    fn terminal(&self, columns: u16, arguments: &[&str]) -> Terminal {
        self.terminal_with(columns, arguments, |command| command)
    }

    fn terminal_with(
        &self,
        columns: u16,
        arguments: &[&str],
        more: impl FnOnce(blocking::Command) -> blocking::Command,
    ) -> Terminal {
        let (pty, pts) = blocking::open().unwrap();
        pty.resize(Size::new(ROWS, columns)).unwrap();
        let mut command = blocking::Command::new(env!("CARGO_BIN_EXE_phoenix")).args(arguments);
        command = command.current_dir(self.dir.path()).env("TERM", "xterm-256color");
        for name in ["PHOENIX_TARGET", "NO_COLOR", "GITHUB_STEP_SUMMARY"] {
            command = command.env_remove(name);
        }
        let child = more(command).spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let (sender, bytes) = mpsc::channel();
        let reading = Arc::clone(&pty);
        // Ends with the program: then the terminal cannot be read any more.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = (&*reading).read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(cells(ROWS), cells(columns), 2000);
        Terminal { pty, child, bytes, screen, raw: Vec::new() }
    }
}

/// Rows of the terminal: fewer than a plan has.
const ROWS: u16 = 24;

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A terminal with phoenix in it.
struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that was written to it.
    raw: Vec<u8>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Reads on until the visible rows show all of this.
    #[track_caller]
    fn until(&mut self, shows: &[&str]) -> String {
        self.until_it(&format!("{shows:?}"), &|shown| shows.iter().all(|text| shown.contains(text)))
    }

    /// Reads on until both guests are waited for; until then they cannot be let go.
    #[track_caller]
    fn until_both_wait(&mut self) -> String {
        self.until_it("both guests that are waited for", &both_wait)
    }

    /// Reads on until the visible rows are so.
    #[track_caller]
    fn until_it(&mut self, what: &str, is: &dyn Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Not `contents`: that joins rows that were written to their ends.
            let screen = self.screen.screen();
            let rows: Vec<String> =
                screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned()).collect();
            let shown = rows.join("\n");
            if is(&shown) {
                return shown;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.bytes.recv_timeout(left) else { panic!("{what} never stood in\n{}", self.all()) };
            self.take(&bytes);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    fn types(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    fn resize(&mut self, columns: u16) {
        self.screen.screen_mut().set_size(cells(ROWS), cells(columns));
        self.pty.resize(Size::new(ROWS, columns)).unwrap();
    }

    /// Reads to the end; gives the exit code and everything that stands on the screen and above it.
    #[track_caller]
    fn end(mut self) -> (i32, String, Vec<u8>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end\n{}", self.all()),
            }
        }
        assert!(!self.screen.screen().hide_cursor(), "the cursor is visible again");
        let code = self.child.wait().unwrap().code().unwrap();
        let all = self.all();
        (code, all, std::mem::take(&mut self.raw))
    }

    /// What stands on the screen and above it, without blanks at the ends of lines.
    fn all(&mut self) -> String {
        let screen = self.screen.screen_mut();
        let columns = screen.size().1.get();
        let above = screen.scrollback_len();
        let mut lines: Vec<String> = Vec::new();
        for back in (1..=above).rev() {
            screen.set_scrollback(back);
            lines.extend(screen.rows(0, columns).next());
        }
        screen.set_scrollback(0);
        lines.extend(screen.rows(0, columns));
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// Whether the screen has both VMs where their agents are waited for.
fn both_wait(shown: &str) -> bool {
    let waits = |start: &str| shown.lines().any(|line| line.starts_with(start) && line.contains("  await-agent"));
    waits("… 1000 web") && waits("… 1001 d")
}

/// What is left once the live part is gone: nothing of it.
#[track_caller]
fn clean(all: &str) {
    for live in ["waits for the", " of 19 actions", "^C"] {
        assert!(!all.lines().any(|line| line.contains(live)), "`{live}` is left of the live part:\n{all}");
    }
    assert!(!all.lines().any(|line| line.starts_with('…')), "{all}");
}

/// A text with the durations and the MAC addresses in it made the same, and its lines sorted: actions of several VMs
/// end in any order.
fn normal(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.trim_end().split(' ').collect();
            let timed = |at: usize| matches!(words.get(at + 1), Some(&("ms" | "s" | "ms:" | "s:" | "min")));
            let mac = |word: &str| word.starts_with("(BC:24:11:");
            let word = |(at, word): (usize, &&str)| {
                if timed(at) {
                    "N"
                } else if mac(word) {
                    "(MAC,"
                } else {
                    word
                }
                .to_owned()
            };
            let text: Vec<String> = words.iter().enumerate().map(word).collect();
            text.join(" ").replace("N s", "N ms")
        })
        // The hash names the node, which is another one in each test.
        .filter(|line| !line.is_empty() && !line.starts_with("Plan hash "))
        .collect();
    lines.sort();
    lines
}

#[test]
fn running_actions_have_a_line_each_and_nothing_of_it_stays() {
    for columns in [80, 200] {
        let scene = Scene::held("agent_delay_ms");
        let mut terminal = scene.terminal(columns, &["apply", "--auto-approve"]);
        terminal.until_both_wait();
        let shown = terminal.until(&["waits for the guest agent", "await-agent  1 s  ", " of 19 actions"]);
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with('…')).collect();
        assert_eq!(lines.len(), 2, "one line for each running action:\n{shown}");
        // What does not fit is cut, and does not go on in the next row.
        let row = shown.lines().position(|line| line.starts_with('…')).unwrap();
        let total = shown.lines().nth(row + 2).unwrap();
        assert!(total.contains(" of 19 actions"), "{shown}");
        scene.let_guests_go();
        let (code, all, _) = terminal.end();
        assert_eq!(code, 0, "{all}");
        clean(&all);
        assert!(all.contains("Actions in") && all.contains("+ 1000 web"), "{all}");
    }
}

#[test]
fn what_stays_is_what_a_pipe_gets() {
    let scene = Scene::held("agent_delay_ms");
    fs::write(scene.path("phoenix_vm_configs.json"), CONFIG.replace(LONG, "db")).unwrap();
    let mut terminal = scene.terminal(80, &["apply", "--auto-approve"]);
    terminal.until_both_wait();
    scene.let_guests_go();
    let (code, all, _) = terminal.end();
    assert_eq!(code, 0, "{all}");
    // What is to be known of the plan goes to standard error.
    let (plan, notice) = all.split_once("notice[T082]").unwrap();
    let (_, rest) = notice.split_once(" --> phoenix_vm_configs.json:2:14").unwrap();
    let all = plan.to_owned() + rest;
    let piped = Scene::new();
    fs::write(piped.path("phoenix_vm_configs.json"), CONFIG.replace(LONG, "db")).unwrap();
    let mut phoenix = piped.furnished(Command::new(env!("CARGO_BIN_EXE_phoenix")));
    let output = phoenix.args(["apply", "--auto-approve"]).output().unwrap();
    assert_eq!(normal(&all), normal(&String::from_utf8(output.stdout).unwrap()));
}

#[test]
fn a_running_script_shows_its_last_line() {
    let scene = Scene::held("feature_ms");
    let mut terminal = scene.terminal(100, &["apply", "--auto-approve"]);
    terminal.until(&["… 1000 web  feature slow", "waits for the script: slow.sh: simulated"]);
    scene.script_says("one\nUnpacking linux (2 of 3) \u{1b}[2J\u{1b}[31m\u{202e}\n\n");
    let shown = terminal.until(&["waits for the script: Unpacking linux (2 of 3)"]);
    assert!(shown.contains("… 1000 web"), "the script does not clear the screen:\n{shown}");
    scene.let_script_go();
    let (code, all, raw) = terminal.end();
    assert_eq!(code, 0, "{all}");
    clean(&all);
    assert!(!String::from_utf8(raw).unwrap().contains("\u{1b}[31m\u{1b}"), "{all}");
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let scene = Scene::held("agent_delay_ms");
    let mut terminal = scene.terminal(66, &["apply", "--auto-approve"]);
    // What does not fit is cut, whatever the width is at this moment.
    let line = |end: &'static str| {
        move |shown: &str| {
            let start = "… 1001 database-with-a-longer-name…  await-agent  ";
            let cut = |line: &str| line.starts_with(start) && line.ends_with(end);
            both_wait(shown) && shown.lines().any(cut) && shown.contains(" of 19 actions")
        }
    };
    terminal.until_it("a line that is cut", &line("…"));
    terminal.resize(120);
    terminal.until_it("a whole line", &line("waits for the guest agent"));
    terminal.resize(62);
    terminal.until_it("a line that is cut again", &line("…"));
    scene.let_guests_go();
    let (code, all, _) = terminal.end();
    assert_eq!(code, 0, "{all}");
    clean(&all);
}

#[test]
fn without_colours_and_on_a_dumb_terminal_it_is_plain() {
    // An escape that says nothing about colours moves the cursor.
    let colours = |raw: &[u8]| {
        let text = String::from_utf8(raw.to_vec()).unwrap();
        text.split("\u{1b}[")
            .skip(1)
            .filter(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
            .count()
    };
    let apply = ["apply", "--auto-approve"];
    let (code, all, raw) = Scene::new().terminal(80, &apply).end();
    assert_eq!(code, 0, "{all}");
    assert!(colours(&raw) > 10);
    let plain = |command: blocking::Command| command.env("NO_COLOR", "1");
    let (code, without, raw) = Scene::new().terminal_with(80, &apply, plain).end();
    assert_eq!((code, colours(&raw)), (0, 0), "{without}");
    assert_eq!(normal(&without), normal(&all), "colours carry no meaning of their own");
    let dumb = |command: blocking::Command| command.env("TERM", "dumb");
    let (code, without, raw) = Scene::new().terminal_with(80, &apply, dumb).end();
    assert_eq!(code, 0, "{without}");
    assert!(!raw.contains(&0x1b), "a dumb terminal understands no escape sequence: {without}");
    assert_eq!(normal(&without), normal(&all));
}

#[test]
fn output_to_a_file_is_plain_and_leaves_the_terminal_alone() {
    let scene = Scene::new();
    // Without features there is nothing that standard error has to say.
    fs::write(scene.path("phoenix_vm_configs.json"), CONFIG.replace("\"slow\"", "")).unwrap();
    let file = fs::File::create(scene.path("out.txt")).unwrap();
    let terminal = scene.terminal_with(80, &["apply", "--auto-approve"], |command| command.stdout(file));
    let (code, all, raw) = terminal.end();
    assert_eq!((code, all.as_str(), raw.as_slice()), (0, "", &b""[..]));
    let text = fs::read_to_string(scene.path("out.txt")).unwrap();
    assert!(text.contains("Actions in") && !text.contains('\u{1b}') && !text.contains('\r'), "{text}");
}

#[test]
fn only_yes_is_consent() {
    let question = "2 new. Apply this plan? Type `yes` to continue:";
    // The end of input is Ctrl-D at the beginning of a line.
    for (typed, code, says) in [
        ("yes\n", 0, "Actions in"),
        ("no\n", 1, "\nNothing was done."),
        ("y\n", 1, "\nNothing was done."),
        ("\u{4}", 1, "\nNothing was done."),
    ] {
        let scene = Scene::new();
        let mut terminal = scene.terminal(80, &["apply"]);
        terminal.until(&[question]);
        terminal.types(typed);
        let (found, all, _) = terminal.end();
        assert_eq!(found, code, "{typed:?}\n{all}");
        assert!(all.contains(says), "{typed:?}: `{says}` is missing in\n{all}");
        assert_eq!(scene.path(".phoenix/node/qemu-server/1000.conf").exists(), code == 0);
        assert_eq!(scene.path(".phoenix/runs").exists(), code == 0);
    }
}

#[test]
fn one_interruption_lets_what_runs_end() {
    let scene = Scene::held("agent_delay_ms");
    let mut terminal = scene.terminal(80, &["apply", "--auto-approve"]);
    terminal.until_both_wait();
    terminal.types("\u{3}");
    terminal.until(&["Interrupted: finishing 2 running actions, then stopping;", "… 1000 web  await-agent"]);
    scene.let_guests_go();
    let (code, all, _) = terminal.end();
    assert_eq!(code, 7, "{all}");
    clean(&all);
    for says in ["+ 1000 web", "await-agent", "not started: 1000/await-cloud-init", "Continue with: phoenix apply"] {
        assert!(all.contains(says), "`{says}` is missing in\n{all}");
    }
}

#[test]
fn two_interruptions_leave_at_once_and_say_what_still_runs() {
    let scene = Scene::held("agent_delay_ms");
    let mut terminal = scene.terminal(80, &["apply", "--auto-approve"]);
    terminal.until_both_wait();
    terminal.types("\u{3}");
    terminal.until(&["Interrupted: finishing "]);
    terminal.types("\u{3}");
    let (code, all, _) = terminal.end();
    assert_eq!(code, 7, "{all}");
    clean(&all);
    for says in
        ["Interrupted twice: leaving at once.", "1000/await-agent is still running on the target", "2 left running"]
    {
        assert!(all.contains(says), "`{says}` is missing in\n{all}");
    }
}

/// What was typed and sent to a terminal that is stopped (Ctrl-S).
fn stopped(scene: &Scene) -> Terminal {
    let mut terminal = scene.terminal(80, &["apply", "--auto-approve"]);
    terminal.until_both_wait();
    terminal.types("\u{13}");
    terminal
}

/// Waits until the log of the only run has this in it.
#[track_caller]
fn logged(scene: &Scene, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    let file = fs::read_dir(scene.path(".phoenix/runs")).unwrap().next().unwrap().unwrap().path();
    while !fs::read_to_string(&file).unwrap().contains(text) {
        assert!(Instant::now() < deadline, "{text} is never logged");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn work_goes_on_while_the_terminal_is_stopped() {
    let scene = Scene::held("agent_delay_ms");
    let mut terminal = stopped(&scene);
    scene.let_guests_go();
    logged(&scene, "run_ended");
    terminal.types("\u{11}");
    terminal.until(&["Actions in"]);
    let (code, all, _) = terminal.end();
    assert_eq!(code, 0, "{all}");
    clean(&all);
}

#[test]
fn signals_reach_a_run_whose_terminal_is_stopped() {
    let scene = Scene::held("agent_delay_ms");
    let mut terminal = stopped(&scene);
    let id = terminal.child.id().to_string();
    let terminate = || assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    terminate();
    logged(&scene, r#""event":"interrupted","times":1"#);
    terminate();
    logged(&scene, "run_ended");
    // It ends though the terminal is never let go; what it could not say is an error.
    assert_eq!(terminal.child.wait().unwrap().code(), Some(1));
}
