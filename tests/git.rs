//! In Git: what is staged is what is checked, the hooks for pre-commit, and what `init` writes.

#[cfg(unix)]
#[path = "support/executable.rs"]
mod executable;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[cfg(unix)]
use executable::executable;

const GOOD: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["hello"] }] }"#;
const BAD: &str = "{ \"virtual_machines\": [\n  { \"vm_id\": 1000, \"vm_name\": \"web\", \"colour\": 1 }] }";
const CONFIG: &str = "phoenix_vm_configs.json";

/// A directory for a repository, and a home without anybody's settings.
struct Repository {
    dir: TempDir,
    home: TempDir,
}

impl Repository {
    fn bare() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), home: tempfile::tempdir().unwrap() }
    }

    /// One with a good config and its script, both staged.
    fn new() -> Self {
        let repository = Self::bare();
        repository.git(&["init", "-q"]);
        repository.write(CONFIG, GOOD);
        repository.write("features/hello.sh", "#!/bin/sh\ntrue\n");
        repository.git(&["add", "-A"]);
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str], vars: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap();
        let path = std::env::join_paths(
            std::iter::once(bin.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        command.env("PATH", path.unwrap()).env("HOME", self.home.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Nobody").env(format!("GIT_{who}_EMAIL"), "nobody@example.org");
        }
        let output = command.envs(vars.iter().copied()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run("git", arguments, &[]);
        assert_eq!(code, 0, "git {arguments:?}: {text}");
        text
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, says: &[&str]) {
        self.check_with(arguments, &[], code, says);
    }

    #[track_caller]
    fn check_with(&self, arguments: &[&str], vars: &[(&str, &str)], code: i32, says: &[&str]) {
        let (found, text) = self.run(env!("CARGO_BIN_EXE_phoenix"), arguments, vars);
        assert_eq!(found, code, "{arguments:?}\n{text}");
        for says in says {
            assert!(text.contains(says), "`{says}` is missing in\n{text}");
        }
    }
}

#[test]
fn what_is_staged_is_checked_and_not_the_work_tree() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    let staged = ["validate", "--staged"];
    // A broken work tree over a good index.
    repository.write(CONFIG, BAD);
    fs::remove_dir_all(repository.path("features")).unwrap();
    repository.check(&["validate"], 3, &["P014"]);
    repository.check(&staged, 0, &["phoenix_vm_configs.json: valid, 1 virtual machine"]);
    // A good work tree over a broken index.
    repository.git(&["add", CONFIG]);
    repository.write(CONFIG, GOOD);
    repository.write("features/hello.sh", "true\n");
    repository.check(&["validate"], 0, &[]);
    repository.check(&staged, 3, &["error[P014]", "--> phoenix_vm_configs.json:2:"]);
    // A script that is not staged is not there.
    repository.git(&["add", CONFIG]);
    repository.git(&["rm", "-qf", "--cached", "features/hello.sh"]);
    repository.check(&["validate"], 0, &[]);
    repository.check(&staged, 3, &["P028", "`features/hello.sh` is not in the git index", "git add features/hello.sh"]);
    // So is one that takes the place of a built-in one.
    repository.git(&["add", "-A"]);
    repository.write("features/base_setup.sh", "true\n");
    repository.write(CONFIG, &GOOD.replace("hello", "base_setup"));
    repository.git(&["add", CONFIG]);
    repository.check(&staged, 3, &["P028", "`features/base_setup.sh` is not in the git index"]);
}

#[test]
fn the_scripts_that_are_staged_are_read() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    let staged = ["validate", "--staged"];
    let refused = |says: &[&str]| repository.check(&staged, 3, &[&["error[P095]"], says].concat());
    // A good script over a broken one.
    repository.write("features/hello.sh", "#!/bin/bash\nif true; then\nfi fi\n");
    repository.git(&["add", "-A"]);
    repository.write("features/hello.sh", "#!/bin/bash\ntrue\n");
    repository.check(&["validate"], 0, &[]);
    refused(&["--> features/hello.sh:3:1", "3 | fi fi", "features/hello.sh: 1 error"]);
    // A broken script over a good one.
    repository.git(&["add", "-A"]);
    repository.write("features/hello.sh", "fi\n");
    repository.check(&["validate"], 3, &["P095", "--> features/hello.sh:1:1"]);
    repository.check(&staged, 0, &["valid, 1 virtual machine"]);
    // What features share, and user data for a shell, in a directory of their own.
    repository.git(&["checkout", "-q", "."]);
    let vm = r#"{ "vm_id": 1000, "vm_name": "web", "user_data": { "file": "cloud/first.sh" } }"#;
    repository.write(&format!("sub/{CONFIG}"), &format!(r#"{{ "virtual_machines": [{vm}] }}"#));
    repository.write("sub/cloud/first.sh", "#!/bin/sh\necho ${vm_name}\n(\n");
    repository.git(&["add", "-A"]);
    repository.write("sub/cloud/first.sh", "#!/bin/sh\n");
    refused(&["--> sub/cloud/first.sh:3:1", "sub/cloud/first.sh: 1 error"]);
    repository.git(&["add", "-A"]);
    repository.check(&staged, 0, &[]);
    repository.write("features/phoenix_common.sh", "}\n");
    repository.git(&["add", "-A"]);
    repository.write("features/phoenix_common.sh", "true\n");
    refused(&["--> features/phoenix_common.sh:1:1"]);
}

#[test]
fn without_a_file_all_configs_of_the_index_are_checked() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    repository.write(&format!("b/{CONFIG}"), r#"{ "virtual_machines": [] }"#);
    repository.write(&format!("a/x/{CONFIG}"), r#"{ "virtual_machines": [{}] }"#);
    repository.git(&["add", "-A"]);
    let each =
        ["a/x/phoenix_vm_configs.json: 2 errors", "b/phoenix_vm_configs.json: valid", "phoenix_vm_configs.json: valid"];
    repository.check(&["validate", "--staged"], 3, &each);
    repository.check(&["validate", "--staged", CONFIG], 0, &["valid, 1 virtual machine"]);
    repository.git(&["rm", "-qr", "--cached", "a"]);
    repository.check(&["validate", "--staged"], 0, &[]);
}

#[test]
fn the_hook_that_init_writes_stops_what_lacks_a_script() {
    if !support::need("git", "git") || !support::need("pre-commit", "pre-commit, or from PyPI") {
        return;
    }
    let repository = Repository::bare();
    repository.git(&["init", "-q"]);
    repository.check(&["init"], 0, &[".pre-commit-config.yaml: created"]);
    let (code, text) = repository.run("pre-commit", &["install"], &[]);
    assert_eq!(code, 0, "{text}");
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "first"]);
    let stops = |arguments: &[&str], says: &str| {
        let (code, said) = repository.run("git", arguments, &[]);
        assert!(code == 1 && said.contains(says), "{code}: {said}");
    };
    repository.write("features/hello.sh", "#!/bin/sh\ntrue\n");
    repository.write(CONFIG, GOOD);
    repository.git(&["add", CONFIG]);
    stops(&["commit", "-m", "untracked"], "`features/hello.sh` is not in the git index");
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "second"]);
    repository.write("features/hello.sh", "");
    stops(&["commit", "-a", "-m", "emptied"], "P031");
    repository.git(&["checkout", "-q", "features/hello.sh"]);
    repository.write("features/hello.sh", "#!/bin/sh\nfi\n");
    stops(&["commit", "-a", "-m", "broken"], "features/hello.sh:2:1");
    repository.git(&["checkout", "-q", "features/hello.sh"]);
    repository.git(&["rm", "-q", "features/hello.sh"]);
    stops(&["commit", "-m", "deleted"], "P028");
}

#[test]
fn the_index_is_found_from_everywhere() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    // Names that git would take for patterns, and a directory that is gone from the work tree.
    let there = "sub [*]/vms.json";
    repository.write(there, &GOOD.replacen('{', r#"{ "hypervisor": { "features_dir": "./x/../scripts/." },"#, 1));
    repository.write("sub [*]/scripts/hello.sh", "#!/bin/sh\ntrue\n");
    repository.git(&["add", "-A"]);
    fs::remove_dir_all(repository.path("sub [*]")).unwrap();
    repository.check(&["validate", "--staged", there, CONFIG], 0, &["sub [*]/vms.json: valid"]);
    let absolute = repository.path(there);
    repository.check(&["validate", "--staged", absolute.to_str().unwrap()], 0, &["valid, 1 virtual machine"]);
    repository.write(there, &GOOD.replacen('{', r#"{ "hypervisor": { "features_dir": "../features" },"#, 1));
    repository.git(&["add", "-A"]);
    let out = ["P032", "`../features` leads out of the directory of the config", "phoenix --features-dir DIR"];
    repository.check(&["validate", "--staged", there], 3, &out);
    repository.check(&["validate", "--staged", "--features-dir", "features"], 4, &["--staged", "leave one of the two"]);
}

#[cfg(unix)]
#[test]
fn links_in_the_index_are_no_scripts() {
    use std::os::unix::fs::symlink;
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    repository.write("elsewhere/hello.sh", "#!/bin/sh\ntrue\n");
    fs::remove_file(repository.path("features/hello.sh")).unwrap();
    symlink("../elsewhere/hello.sh", repository.path("features/hello.sh")).unwrap();
    repository.git(&["add", "-A"]);
    repository.check(&["validate", "--staged"], 3, &["P031", "script `features/hello.sh` is a link", "regular file"]);
    fs::remove_dir_all(repository.path("features")).unwrap();
    symlink("elsewhere", repository.path("features")).unwrap();
    repository.git(&["add", "-A"]);
    repository.check(&["validate", "--staged"], 3, &["P032", "`features` is a link", "--features-dir DIR"]);
}

#[cfg(unix)]
#[test]
fn a_hook_of_git_itself_sees_what_is_committed() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    repository.write("sub/vms.json", r#"{ "virtual_machines": [] }"#);
    let hook = ".git/hooks/pre-commit";
    let text = "#!/bin/sh\nexec phoenix validate --staged phoenix_vm_configs.json sub/vms.json\n";
    executable(&repository.path(hook), text);
    repository.git(&["add", "-A"]);
    let said = repository.git(&["commit", "-m", "good"]);
    assert!(said.contains("sub/vms.json: valid, 0 virtual machines"), "{said}");
    // Git hands an index of its own to the hooks of such a commit.
    repository.write("sub/vms.json", BAD);
    for arguments in [&["commit", "-a", "-m", "bad"][..], &["commit", "-m", "bad", "sub/vms.json"]] {
        let (code, said) = repository.run("git", arguments, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("sub/vms.json:2:") && said.contains("P014"), "{said}");
    }
    repository.check(&["validate", "--staged", "sub/vms.json"], 0, &[]);
    repository.git(&["checkout", "-q", "sub/vms.json"]);
    repository.write("features/hello.sh", "#!/bin/sh\nfi\n");
    let (code, said) = repository.run("git", &["commit", "-a", "-m", "a script that cannot be read"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("--> features/hello.sh:2:1") && said.contains("P095"), "{said}");
    // Of a directory, the files that are staged are one config.
    repository.write("sub/more.json", BAD);
    repository.check(&["validate", "--staged", "sub"], 0, &["sub: valid, 0 virtual machines"]);
    repository.git(&["add", "sub"]);
    repository.check(&["validate", "--staged", "sub"], 3, &["sub/more.json:2:", "P014"]);
}

#[test]
fn what_keeps_the_index_from_being_read_is_told() {
    if !support::need("git", "git") {
        return;
    }
    let repository = Repository::new();
    let staged = ["validate", "--staged"];
    repository.write("new.json", GOOD);
    let says = ["error[P004]: `new.json` is not in the git index", "hint: stage it with `git add`"];
    repository.check(&["validate", "--staged", "new.json"], 3, &says);
    repository.check(&["validate", "--staged", "features"], 3, &["P002"]);
    repository.check_with(&staged, &[("PATH", "/nowhere")], 1, &["there is no program `git`", "hint: install git"]);
    // A link is no file, and is not followed.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(CONFIG, repository.path("link.json")).unwrap();
        repository.git(&["add", "link.json"]);
        repository.check(&["validate", "--staged", "link.json"], 3, &["P002"]);
    }
    // Two sides of a merge.
    repository.git(&["commit", "-q", "-m", "one"]);
    repository.git(&["checkout", "-q", "-b", "other"]);
    repository.write(CONFIG, &GOOD.replace("1000", "1001"));
    repository.git(&["commit", "-q", "-a", "-m", "two"]);
    repository.git(&["checkout", "-q", "-"]);
    repository.write(CONFIG, &GOOD.replace("1000", "1002"));
    repository.git(&["commit", "-q", "-a", "-m", "three"]);
    assert_ne!(repository.run("git", &["merge", "-q", "other"], &[]).0, 0);
    repository.check(&staged, 3, &["error[P003]", "unresolved conflicts in the git index"]);

    let none = Repository::bare();
    none.write(CONFIG, GOOD);
    none.check(&staged, 1, &["is not in the work tree of a git repository", "hint: "]);
}

#[test]
fn pre_commit_stops_a_bad_commit_and_shows_where() {
    if !support::need("git", "git") || !support::need("pre-commit", "pre-commit, or from PyPI") {
        return;
    }
    let repository = Repository::new();
    // The hooks as they are published, from a repository of their own.
    let hooks = Repository::bare();
    hooks.git(&["init", "-q"]);
    hooks.write(".pre-commit-hooks.yaml", include_str!("../.pre-commit-hooks.yaml"));
    hooks.git(&["add", "-A"]);
    hooks.git(&["commit", "-q", "-m", "hooks"]);
    let rev = hooks.git(&["rev-parse", "HEAD"]);
    let config = format!(
        "repos:\n  - repo: {}\n    rev: {}\n    hooks:\n      - id: phoenix-validate-system\n      \
         - id: phoenix-schema-system\n      - id: phoenix-fmt-system\n",
        hooks.dir.path().display(),
        rev.trim()
    );
    repository.write(".pre-commit-config.yaml", &config);
    repository.write("schema/phoenix_vm_configs.schema.json", phoenix::config::schema::embedded());
    let (code, text) = repository.run("pre-commit", &["install"], &[]);
    assert_eq!(code, 0, "{text}");
    repository.git(&["add", "-A"]);
    // It lacks a line end: that is added, and the next try is a commit.
    let (code, said) = repository.run("git", &["commit", "-m", "good"], &[]);
    assert_eq!((code, said.matches("Passed").count()), (1, 2), "{said}");
    assert!(said.contains("files were modified by this hook"), "{said}");
    let said = repository.git(&["commit", "-a", "-m", "good"]);
    assert_eq!(said.matches("Passed").count(), 3, "{said}");
    repository.write(CONFIG, BAD);
    let (code, said) = repository.run("git", &["commit", "-a", "-m", "bad"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("phoenix_vm_configs.json:2:38") && said.contains("P014"), "{said}");
    assert_eq!(repository.git(&["log", "--format=%s"]).trim(), "good");
    repository.write(CONFIG, GOOD);
    repository.write("schema/phoenix_vm_configs.schema.json", "{}\n");
    let (code, said) = repository.run("git", &["commit", "-a", "-m", "bad"], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("refresh it with"), "{said}");
}

#[test]
fn init_writes_what_validates_and_overwrites_nothing() {
    let scene = Repository::bare();
    scene.write("vms/.gitignore", "mine\n");
    let files = [CONFIG, phoenix::config::schema::FILE, ".vscode/settings.json", ".pre-commit-config.yaml"];
    let created = files.map(|file| format!("vms/{file}: created"));
    let says: Vec<&str> = created.iter().map(String::as_str).chain(["vms/.gitignore: exists, left alone"]).collect();
    scene.check(&["init", "vms"], 0, &says);
    let read = |file: &str| fs::read_to_string(scene.path("vms").join(file)).unwrap();
    let before = files.map(read);
    let left = files.map(|file| format!("vms/{file}: exists, left alone"));
    scene.check(&["init", "vms"], 0, &left.each_ref().map(String::as_str));
    assert_eq!(files.map(read), before);
    assert_eq!(read(".gitignore"), "mine\n");
    scene.check(&["validate", "vms/phoenix_vm_configs.json"], 0, &["valid, 1 virtual machine"]);
    scene.check(&["-c", "vms/phoenix_vm_configs.json", "plan"], 0, &["1 to create"]);
    scene.check(&["schema", "--check", "vms/schema/phoenix_vm_configs.schema.json"], 0, &["up to date"]);
    let config: Value = serde_json::from_str(&read(CONFIG)).unwrap();
    assert!(scene.path("vms").join(config["$schema"].as_str().unwrap()).is_file());
    let settings: Value = serde_json::from_str(&read(".vscode/settings.json")).unwrap();
    assert!(scene.path("vms").join(settings["json.schemas"][0]["url"].as_str().unwrap()).is_file());
    scene.check(&["init"], 0, &["phoenix_vm_configs.json: created", ".gitignore: created"]);
    assert_eq!(fs::read_to_string(scene.path(".gitignore")).unwrap(), ".phoenix/\n");
    scene.write("file", "");
    scene.check(&["init", "file"], 1, &["cannot create `file`"]);
}
