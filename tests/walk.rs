//! A reviewed change from its first day to its last, as a team lives it: a scratch Git repository, a hook that stops a
//! slip, a merge check without a node, the apply of exactly what was reviewed, a plan that went stale, the run told
//! again.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "phoenix_vm_configs.json";

/// The administrator's clone of the repository, beside the node; the runner's, where there is none; a home of nobody's.
struct Team {
    dir: TempDir,
}

impl Team {
    fn new() -> Self {
        let team = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["vms", "home"] {
            fs::create_dir(team.path(name)).unwrap();
        }
        team
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a piece of a file that stands there once.
    #[track_caller]
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {name}:\n{text}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Runs a program in one of the directories and expects this of it. Returns its standard output.
    #[track_caller]
    fn run(&self, place: &str, words: &[&str], code: i32, says: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.path(place)).stdin(Stdio::null());
        for name in
            ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "PHOENIX_TARGET"]
        {
            command.env_remove(name);
        }
        let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap().to_owned();
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&old))).unwrap();
        command.env("PATH", path).env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Nobody").env(format!("GIT_{who}_EMAIL"), "nobody@example.org");
        }
        let output = command.output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let all = format!("{out}{}", String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{words:?}\n{all}");
        for text in says {
            assert!(all.contains(text), "{words:?}: `{text}` is missing in\n{all}");
        }
        out
    }

    #[track_caller]
    fn ok(&self, place: &str, line: &str) -> String {
        self.run(place, &line.split(' ').collect::<Vec<_>>(), 0, &[])
    }

    /// The plan hash at the end of a plan.
    fn hash(plan: &str) -> String {
        let (_, rest) = plan.split_once("Plan hash ").unwrap_or_else(|| panic!("no hash in\n{plan}"));
        rest.chars().take_while(char::is_ascii_hexdigit).collect()
    }
}

#[test]
fn a_reviewed_change_from_its_first_day_to_its_last() {
    if !support::need("git", "git") || !support::need("pre-commit", "pre-commit, or from PyPI") {
        return;
    }
    let team = Team::new();

    // The first day: a repository, what `init` writes, and the hook that it brings.
    team.ok("vms", "git init -q");
    team.run("vms", &["phoenix", "init"], 0, &["phoenix_vm_configs.json: created", ".pre-commit-config.yaml: created"]);
    team.ok("vms", "pre-commit install");
    team.ok("vms", "git add -A");
    team.run("vms", &["git", "commit", "-m", "first"], 0, &["phoenix validate", "Passed"]);
    team.run("vms", &["phoenix", "apply", "--auto-approve"], 0, &["Actions in"]);
    assert_eq!(team.ok("vms", "git status --porcelain"), "", "nothing that phoenix writes is for the repository");

    // A slip of the keyboard does not get into the repository; it is shown where it is.
    let config = &format!("vms/{CONFIG}");
    team.edit(config, r#""memory_mb": 2048"#, r#""memory_bm": 4096"#);
    let slip = ["phoenix_vm_configs.json:4:5", "error[P014]", "memory_mb"];
    team.run("vms", &["git", "commit", "-a", "-m", "more memory"], 1, &slip);
    assert_eq!(team.ok("vms", "git log --format=%s").trim(), "first");
    team.edit(config, r#""memory_bm": 4096"#, r#""memory_mb": 4096"#);
    team.run("vms", &["git", "commit", "-a", "-m", "more memory"], 0, &["Passed"]);

    // Where the node can be reached, its state is recorded; where it cannot, the change is planned against that.
    team.ok("vms", "phoenix observe --out ../live.json");
    team.ok(".", "git clone -q vms runner");
    let words = "phoenix plan --against ../live.json --format human --format markdown=plan.md --format html=plan.html";
    let offline = team.ok("runner", words);
    assert!(offline.contains("2048 → 4096"), "{offline}");
    assert!(!team.path("runner/.phoenix").exists(), "a merge check makes no node");
    let (markdown, html) = (team.read("runner/plan.md"), team.read("runner/plan.html"));
    let hash = Team::hash(&offline);
    for review in [&markdown, &html] {
        assert!(review.contains(&hash) && review.contains("first-vm"), "{review}");
    }
    assert!(markdown.lines().next().unwrap().contains("1 to update"), "{markdown}");
    assert!(!html.contains("src=\"http") && !html.contains("href=\"http"), "the page needs no network");

    // What was approved there is what is done here, and nothing else.
    assert_eq!(Team::hash(&team.ok("vms", "phoenix plan")), hash, "offline and live agree");
    let wrong = ["phoenix", "apply", "--expect", &"0123456789abcdef".repeat(4)];
    team.run("vms", &wrong, 5, &["nothing was done", "hint:"]);
    team.run("vms", &["phoenix", "apply", "--expect", &hash], 0, &["Actions in"]);
    let node = |vm: u32| team.read(&format!("vms/.phoenix/node/qemu-server/{vm}.conf"));
    assert!(node(1000).contains("memory: 4096"), "{}", node(1000));

    // The next change is saved as a file; before it is applied, somebody turns the knob by hand.
    team.edit(config, r#""memory_mb": 4096"#, r#""memory_mb": 6144"#);
    team.run("vms", &["git", "commit", "-a", "-m", "still more"], 0, &["Passed"]);
    team.ok("vms", "phoenix plan --out ../plan.json");
    let conf = "vms/.phoenix/node/qemu-server/1000.conf";
    let text = team.read(conf).replace("memory: 4096", "memory: 1024");
    fs::write(team.path(conf), &text).unwrap();
    let says = ["VM 1000 changed since the plan", "memory_mb", "found `1024`"];
    team.run("vms", &["phoenix", "apply", "../plan.json"], 5, &says);
    assert_eq!(team.read(conf), text, "a VM that moved is left alone");

    // Every apply that began is logged, the newest last, and told again in every format.
    let logged = team.ok("vms", "phoenix log");
    let runs: Vec<&str> = logged.lines().filter(|line| line.contains(" 1 VM: ")).collect();
    let [first, reviewed, moved] = runs[..] else { panic!("{logged}") };
    for (run, says) in
        [(first, "1 created"), (reviewed, "1 updated; 1 waits for a restart"), (moved, "changed since the plan")]
    {
        assert!(run.contains(says), "`{says}` is missing in {run}\n{logged}");
    }
    let name = reviewed.split_whitespace().next().unwrap();
    team.run("vms", &["phoenix", "show", name], 0, &["configure", "update", "Actions in"]);
    team.ok("vms", &format!("phoenix show {name} --format html=../run.html --format json=../run.json"));
    let report: Value = serde_json::from_str(&team.read("run.json")).unwrap();
    assert_eq!((&report["result"], &report["summary"]["updated"]), (&"done".into(), &3.into()), "{report:#}");
    assert!(team.read("run.html").contains("first-vm"));
}
