//! What phoenix reads and what it refuses to read: links, devices, pipes, and scripts that lie elsewhere.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const SECRET: &str = "SECRET_OF_THE_HOST";
const CONFIG: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["web"] }] }"#;

/// A directory with a config in it, and something beside that directory which is not the config's to read.
struct Place {
    top: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { top: tempfile::tempdir().unwrap() };
        place.write("elsewhere/web.sh", &format!("#!/bin/sh\necho {SECRET}\n"));
        place.write("dir/phoenix_vm_configs.json", CONFIG);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The config, with a directory of scripts.
    fn config(&self, features_dir: &str) -> &Self {
        let head = format!(r#"{{ "hypervisor": {{ "features_dir": "{features_dir}" }},"#);
        self.write("dir/phoenix_vm_configs.json", &CONFIG.replacen('{', &head, 1))
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    fn pipe(&self, name: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        self
    }

    /// Runs phoenix beside the config; a secret is in the environment, too.
    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, said: &[&str]) -> &Self {
        let target = !arguments.iter().any(|word| ["--against", "--target"].contains(word));
        self.check_on(target.then_some("embedded:node"), arguments, code, said)
    }

    /// The same with this target in the environment, if any.
    #[track_caller]
    fn check_on(&self, target: Option<&str>, arguments: &[&str], code: i32, said: &[&str]) -> &Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(arguments).current_dir(self.path("dir")).stdin(Stdio::null()).env("TOKEN", SECRET);
        command.env_remove("PHOENIX_TARGET").envs(target.map(|target| ("PHOENIX_TARGET", target)));
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for words in said {
            assert!(text.contains(words), "{arguments:?}: no `{words}` in: {text}");
        }
        assert!(!text.contains(SECRET), "{text}");
        self
    }
}

#[test]
fn scripts_are_regular_files_below_the_config() {
    let link = ["P031", "script `features/web.sh` is a link", "json:1:7", "hint: put the script itself there"];
    let place = Place::new();
    place.link("dir/features/web.sh", "../../elsewhere/web.sh");
    for verb in [&["validate"][..], &["plan"], &["apply", "--auto-approve"], &["status"], &["graph"], &["observe"]] {
        place.check(verb, 3, &link);
    }
    Place::new().pipe("dir/features/web.sh").check(&["validate"], 3, &["P031", "is not a regular file"]);
    Place::new().link("dir/features/web.sh", "/dev/zero").check(&["validate"], 3, &["P031", "is a link"]);
    Place::new().link("dir/features/web.sh", "gone").check(&["validate"], 3, &["P031", "is a link"]);
    // Also where it takes the place of a built-in one, or of what all scripts share.
    let common = Place::new();
    common.write("dir/features/web.sh", "true\n").link("dir/features/phoenix_common.sh", "../../elsewhere/web.sh");
    common.check(&["validate"], 3, &["P031", "`features/phoenix_common.sh` is a link"]);

    for (dir, said) in [
        ("../elsewhere", "`../elsewhere` leads out of the directory of the config"),
        ("a/../../elsewhere", "`a/../../elsewhere` leads out of the directory of the config"),
        ("/etc", "`/etc` leads out of the directory of the config"),
        ("linked", "`linked` is a link"),
        ("linked/below", "`linked/below` leads through a link, `linked`"),
    ] {
        let place = Place::new();
        place.config(dir).write("elsewhere/below/web.sh", "true\n").link("dir/linked", "../elsewhere");
        place.check(&["validate"], 3, &["P032", said, "json:1:35", "phoenix --features-dir DIR"]);
        place.check(&["plan"], 3, &["P032", said]);
    }
    let whole = Place::new();
    whole.link("dir/features", "../elsewhere").check(&["validate"], 3, &["P032", "`features` is a link", "json:1:1"]);
    let inside = Place::new();
    inside.config("a/../scripts/.").write("dir/scripts/web.sh", "true\n").check(&["validate"], 0, &["valid, 1"]);
    // The config's own directory may be reached in any way.
    inside.link("way", "dir").check(&["validate", "../way/phoenix_vm_configs.json"], 0, &["valid, 1"]);
}

#[test]
fn the_operator_may_take_scripts_from_elsewhere() {
    let place = Place::new();
    place.link("way", "elsewhere").config("/etc");
    for dir in ["../elsewhere", "../way"] {
        place.check(&["validate", "--features-dir", dir], 0, &["valid, 1"]);
        place.check(&["node", "init", "node"], 0, &[]);
        place.check(&["plan", "--features-dir", dir], 0, &["1000"]);
    }
    let gone = "the directory `../gone` cannot be read";
    place.check(&["validate", "--features-dir", "../gone"], 3, &["P032", gone, "`--features-dir` names it"]);
    place.link("links/web.sh", "../elsewhere/web.sh");
    place.check(&["validate", "--features-dir", "../links"], 3, &["P031", "script `../links/web.sh` is a link"]);
    // A saved plan knows the scripts' text, not where they were: the same word is needed again.
    let word = ["--features-dir", "../elsewhere"];
    place.check(&["plan", "--out", "plan.json", word[0], word[1]], 0, &["saved"]);
    place.check(&["apply", "plan.json"], 3, &["P032"]);
    place.check(&["apply", "plan.json", word[0], word[1]], 0, &["1000"]);
}

#[test]
fn only_ordinary_files_are_read() {
    let place = Place::new();
    place.write("dir/features/web.sh", "true\n").pipe("dir/pipe").link("dir/to-pipe", "pipe");
    place.link("dir/zero", "/dev/zero").link("dir/environ", "/proc/self/environ").link("dir/twice", "environ");
    place.link("dir/root", "/proc/self/root").link("dir/kernel", "/sys/kernel/mm/transparent_hugepage/enabled");
    place.link("dir/config", "phoenix_vm_configs.json").link("dir/self", "self");
    place.check(&["validate", "config"], 0, &["valid, 1"]);
    place.check(&["validate", "self"], 3, &["P003"]);
    let through = format!("root{}", place.path("dir/phoenix_vm_configs.json").display());
    let refused = "not a regular file";
    let mut odd = vec!["pipe", "to-pipe", "zero", "/dev/zero", "features"];
    if cfg!(target_os = "linux") {
        odd.extend(["environ", "twice", "/proc/self/environ", "kernel", &through]);
    }
    for file in odd {
        place.check(&["validate", file], 3, &["P002", refused]);
        place.check(&["plan", "--config", file], 3, &["P002", refused]);
        place.check(&["plan", "--against", file], 4, &[refused]);
        place.check(&["apply", file], 4, &[refused]);
        place.check(&["show", file], 4, &[refused]);
        let log = format!("{}.jsonl", file.replace('/', "_"));
        place.link(
            &format!("dir/{log}"),
            if file.starts_with('/') { file.into() } else { place.path("dir").join(file) },
        );
        place.check(&["show", &log], 4, &[refused]);
    }
}

#[test]
fn what_phoenix_keeps_is_no_link_and_for_the_user_alone() {
    let config = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#;
    let place = || {
        let place = Place::new();
        place.write("dir/c.json", config).write("elsewhere/keep", "");
        place
    };
    let with = |place: &Place, target: Option<&str>, verb: &[&str], code: i32, said: &[&str]| {
        place.check_on(target, &[verb, &["--config", "c.json"]].concat(), code, said);
    };
    for (link, said) in [(".phoenix", "`.phoenix` is a link"), (".phoenix/node", "`.phoenix/node` is a link")] {
        let place = place();
        place.link(&format!("dir/{link}"), place.path("elsewhere"));
        for verb in [&["plan"][..], &["apply", "--auto-approve"], &["status"], &["node", "show"], &["observe"]] {
            with(&place, None, verb, 1, &[said, "remove the link"]);
        }
        assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 2, "something was written through the link");
    }
    // A log that cannot be written is told, and the run goes on without.
    let linked = place();
    linked.link("dir/.phoenix/runs", "../../elsewhere");
    let told = ["not logged", "`.phoenix/runs` is a link"];
    with(&linked, Some("embedded:node"), &["apply", "--auto-approve"], 0, &told);
    assert_eq!(fs::read_dir(linked.path("elsewhere")).unwrap().count(), 2);
    with(&linked, Some("embedded:node"), &["log"], 1, &told[1..2]);
    let file = place();
    file.write("dir/.phoenix/runs", "");
    with(&file, Some("embedded:node"), &["apply", "--auto-approve"], 0, &["not logged", "cannot make `.phoenix/runs`"]);

    let good = place();
    with(&good, None, &["apply", "--auto-approve"], 0, &[]);
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    for dir in ["dir/.phoenix", "dir/.phoenix/runs", "dir/.phoenix/node"] {
        assert_eq!(mode(&good.path(dir)), 0o700, "{dir}");
    }
    let logs: Vec<_> = fs::read_dir(good.path("dir/.phoenix/runs")).unwrap().map(|log| log.unwrap().path()).collect();
    assert_eq!(logs.iter().map(|log| mode(log)).collect::<Vec<_>>(), [0o600]);
}

#[test]
fn the_files_of_a_directory_are_one_config() {
    let vm = |id: u32, name: &str| format!(r#"{{ "virtual_machines": [{{ "vm_id": {id}, "vm_name": "{name}" }}] }}"#);
    let place = || {
        let place = Place::new();
        place
            .write("dir/vms/b.json", &vm(1000, "web"))
            .write("dir/vms/a.jsonc", &format!("// a\r\n{}", vm(1001, "db")));
        // None of these is read.
        place.write("dir/vms/.hidden.json", "{").write("dir/vms/notes.txt", "{").write("dir/vms/old/c.json", "{");
        place
    };
    let of_directory = ["--config", "vms"];
    let with = |place: &Place, verb: &[&str], code: i32, said: &[&str]| {
        place.check(&[verb, &of_directory].concat(), code, said);
    };
    let good = place();
    for verb in ["validate", "fmt"] {
        with(&good, &[verb], 0, &[]);
    }
    good.check(&["plan", "--config", "vms", "--out", "vms/plan.json"], 4, &["`vms/plan.json` would be read as a file"]);
    good.check(&["validate", "vms"], 0, &["vms: valid, 2 virtual machines"]);
    good.check_on(None, &["plan", "--config", "vms", "--out", "plan.json"], 0, &["vms, 2 virtual machines"]);
    // The embedded node and the logs are in the directory; a saved plan knows each file.
    for (name, text, said) in [
        ("b.json", vm(1000, "www"), "`vms/b.json` has another text"),
        ("c.json", vm(1002, "new"), "`vms/c.json` is new"),
    ] {
        let before = fs::read_to_string(good.path("dir/vms").join(name)).ok();
        good.write(&format!("dir/vms/{name}"), &text);
        good.check_on(None, &["apply", "plan.json"], 5, &[said]);
        match before {
            Some(before) => drop(good.write(&format!("dir/vms/{name}"), &before)),
            None => fs::remove_file(good.path("dir/vms").join(name)).unwrap(),
        }
    }
    good.check_on(None, &["apply", "plan.json"], 0, &["1001"]);
    good.check_on(None, &["log", "--config", "vms"], 0, &["2 created"]);
    assert!(good.path("dir/vms/.phoenix/node").is_dir());
    fs::remove_file(good.path("dir/vms/b.json")).unwrap();
    good.check_on(None, &["apply", "plan.json"], 5, &["`vms/b.json` is gone"]);

    let linked = place();
    linked.link("dir/vms/c.json", "b.json").check(&["validate", "vms"], 3, &["P002", "`vms/c.json` is a link"]);
    place().pipe("dir/vms/c.json").check(&["validate", "vms"], 3, &["P002", "`vms/c.json` is not a regular file"]);
    place().link("dir/to", "vms").check(&["validate", "to"], 0, &["to: valid, 2"]);
    for (text, said) in [
        ("", &["P001", "`vms/c.json` is empty"][..]),
        ("\u{feff}{}", &["P007", "`vms/c.json` begins"]),
        ("[]", &["P016", "vms/c.json:1:1"]),
        ("{ // no", &["P009", "vms/c.json:1:1"]),
        ("\n{ \"virtual_machines\": [,] }", &["P009", "vms/c.json:2:24"]),
        (&vm(1001, "db"), &["P021", "P022", "--> vms/c.json:1:", "vms/a.jsonc:2:", "at line 2 of `vms/a.jsonc`"]),
    ] {
        place().write("dir/vms/c.json", text).check(&["validate", "vms"], 3, said);
    }
}
