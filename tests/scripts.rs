//! `validate` reads the scripts of a config: with the shells that will run them, and with a shellcheck that the test
//! writes.
#![cfg(unix)]

#[path = "support/executable.rs"]
mod executable;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use executable::executable;
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = "sub/vms.json";

/// A config with a script, and a directory in front of `PATH`.
struct Scene(TempDir);

impl Scene {
    fn new(script: &str) -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        scene.write(CONFIG, r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["hello"] }] }"#);
        scene.write("sub/features/hello.sh", script);
        fs::create_dir(scene.path("bin")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// A shellcheck that ends with this exit code and prints this.
    fn shellcheck(&self, code: i32, prints: &str) {
        self.write("printed", prints);
        let text = format!(
            "#!/bin/sh\nenv >'{0}/environment'\necho \"$*\" >'{0}/arguments'\ncat >'{0}/input'\ncat '{0}/printed'\necho complaint >&2\nexit {code}\n",
            self.0.path().display()
        );
        executable(&self.path("bin/shellcheck"), &text);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Validates with programs from nowhere but `bin` and these directories; returns what is on standard output, and on
    /// both.
    fn validate(&self, dirs: &[&str], arguments: &[&str]) -> (i32, String, String) {
        let dirs = [self.path("bin")].into_iter().chain(dirs.iter().map(PathBuf::from));
        let output = Command::new(env!("CARGO_BIN_EXE_phoenix"))
            .args(["validate", CONFIG])
            .args(arguments)
            .current_dir(self.0.path())
            .env("PATH", std::env::join_paths(dirs).unwrap())
            .env("BASH_ENV", self.path("sub/features/hello.sh"))
            .env("PHOENIX_SECRET_WEB", "hunter2")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let both = format!("{}{stdout}", String::from_utf8(output.stderr).unwrap());
        (output.status.code().unwrap(), stdout, both)
    }

    #[track_caller]
    fn check(&self, dirs: &[&str], arguments: &[&str], code: i32, says: &[&str]) -> String {
        let (found, _, text) = self.validate(dirs, arguments);
        assert_eq!(found, code, "{text}");
        for says in says {
            assert!(text.contains(says), "`{says}` is missing in\n{text}");
        }
        text
    }
}

/// The directories of the shells of this machine, and a shellcheck that is installed stays unseen.
fn shells(scene: &Scene) {
    for name in ["bash", "sh", "env", "cat", "sleep", "kill"] {
        let path = std::env::var_os("PATH").unwrap();
        let program = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()).unwrap();
        std::os::unix::fs::symlink(program, scene.path("bin").join(name)).unwrap();
    }
}

#[test]
fn a_script_that_no_shell_can_read_is_an_error_at_its_line() {
    let scene = Scene::new("#!/bin/bash\nif true; then\n  touch ran\nfi fi\n");
    shells(&scene);
    let says = [
        "error[P095]: bash cannot read the script: ",
        "--> sub/features/hello.sh:4:1",
        "4 | fi fi",
        "sub/vms.json: valid, 1 virtual machine",
        "sub/features/hello.sh: 1 error",
    ];
    scene.check(&[], &[], 3, &says);
    let (code, stdout, _) = scene.validate(&[], &["--format", "json"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../schema/validate.schema.json")).unwrap();
    assert!(jsonschema::draft7::new(&schema).unwrap().is_valid(&document), "{stdout}");
    assert_eq!((code, &document["valid"]), (3, &json!(false)));
    assert_eq!(document["files"][0]["valid"], json!(true));
    let script = &document["files"][1];
    assert_eq!((&script["valid"], &script["virtual_machines"]), (&json!(false), &json!(null)));
    let found = &script["diagnostics"][0];
    assert_eq!((&found["file"], &found["line"]), (&json!("sub/features/hello.sh"), &json!(4)));
    scene.check(&[], &["--format", "github"], 3, &["::error file=sub/features/hello.sh,line=4,"]);
    // The same scripts of another config in the same directory are told once; a config with errors of its own keeps
    // none of them back.
    scene.write("sub/more.json", &scene.read(CONFIG).replace(" \"vm_id\"", " \"colour\": 1, \"vm_id\""));
    let text = scene.check(&[], &["sub/more.json"], 3, &["P014", "sub/more.json: 1 error"]);
    assert_eq!(text.matches("error[P095]").count(), 1, "{text}");
    let (_, _, text) = scene.validate(&[], &["--features-dir", "sub/features"]);
    assert!(text.contains("--> sub/features/hello.sh:4:1"), "{text}");
    // It is read and not run.
    assert!(!scene.path("ran").exists() && !scene.path("sub/ran").exists());
}

#[test]
fn bash_runs_features_and_the_first_line_says_who_reads_them_too() {
    let scene = Scene::new("#!/bin/sh\nshopt -s extglob\ncase $1 in\n  +([0-9])) true ;;\nesac\n");
    shells(&scene);
    // What only bash knows is no error, whatever `sh` is here; the shell that the first line names may differ.
    scene.check(&[], &[], 0, &["sub/vms.json: valid"]);
    scene.write("sub/features/hello.sh", "#!/bin/sh\nfi\n");
    let text = scene.check(&[], &[], 3, &["P095", "bash runs every feature script", "names `sh`"]);
    assert_eq!(text.matches("[P09").count(), 1, "{text}");
    fs::create_dir(scene.path("own")).unwrap();
    executable(&scene.path("own/sh"), "#!/bin/bash\necho 'sh: 2: Syntax error: no' >&2\nexit 2\n");
    scene.write("sub/features/hello.sh", "#!/bin/sh\na=(1)\n");
    fs::remove_file(scene.path("bin/sh")).unwrap();
    fs::rename(scene.path("own/sh"), scene.path("bin/sh")).unwrap();
    let says = ["notice[P096]: sh, which the first line names, cannot", "hello.sh:2:1", "sub/features/hello.sh: valid"];
    scene.check(&[], &[], 0, &says);
}

#[test]
fn user_data_is_read_by_the_shell_of_its_first_line() {
    let scene = Scene::new("true\n");
    shells(&scene);
    let vms = |file: &str| {
        let vm = json!({ "vm_id": 1000, "vm_name": "web", "vendor_data": { "file": file } });
        scene.write(CONFIG, &json!({ "virtual_machines": [vm] }).to_string());
    };
    vms("cloud/init");
    for (first, code) in
        [("#!/bin/sh", 3), ("#!/usr/bin/env bash", 3), ("#!/usr/bin/python3", 0), ("#cloud-boothook", 0)]
    {
        scene.write("sub/cloud/init", &format!("{first}\necho ${{vm_name}} $${{HOME}}\nfi\n"));
        let says: &[&str] = if code == 3 { &["P095", "--> sub/cloud/init:3:1"] } else { &[] };
        scene.check(&[], &[], code, says);
    }
    scene.write("sub/cloud/init", "#!/bin/sh\necho ${vm_name} $${HOME}\n");
    scene.check(&[], &[], 0, &["valid"]);
    scene.write("sub/cloud/init", "#cloud-config\nhostname: ${vm_name}\npackages:\n  - nginx\n - curl\n");
    scene.check(&[], &[], 3, &["error[P108]", "`cloud/init`", "line 5, column 2"]);
    scene.write("sub/cloud/init", "#cloud-config\nhostname: ${vm_name}\n");
    scene.check(&[], &[], 0, &["valid"]);
}

#[test]
fn a_script_in_the_config_has_its_place_there() {
    let scene = Scene::new("true\n");
    shells(&scene);
    let write = |key: &str, text: &str| {
        let vm = json!({ "vm_id": 1000, "vm_name": "web" });
        let config = match key {
            "vm_defaults" => json!({ "vm_defaults": { "user_data": { "text": text } }, "virtual_machines": [vm] }),
            "profiles" => {
                json!({ "profiles": { "p": { "vendor_data": { "text": text } } }, "virtual_machines": [vm] })
            }
            _ => json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "user_data": { "text": text } }] }),
        };
        scene.write(CONFIG, &serde_json::to_string_pretty(&config).unwrap());
    };
    for (key, says) in [
        ("", "error[P095]: `user_data` of VM 1000, line 3 of its text: sh cannot read the script"),
        ("vm_defaults", "error[P095]: `vm_defaults.user_data`, line 3 of its text: sh cannot read the script"),
        ("profiles", "error[P095]: `vendor_data` of profile `p`, line 3 of its text: sh cannot read the script"),
    ] {
        write(key, "#!/bin/sh\necho ${vm_name}\nfi\n");
        let text = scene.check(&[], &[], 3, &[says, "| ", "\"text\"", "sub/vms.json: 1 error"]);
        assert!(!text.contains("valid,") && !text.contains("-n sub"), "{text}");
        scene.check(&[], &["--format", "github"], 3, &["::error file=sub/vms.json,line="]);
        write(key, "#!/bin/sh\necho ${vm_name} $${HOME}\n");
        scene.check(&[], &[], 0, &["sub/vms.json: valid, 1 virtual machine"]);
    }
    // What phoenix fills in is no variable of the script.
    scene.shellcheck(0, "{\"comments\":[]}");
    scene.check(&[], &[], 0, &["valid"]);
    assert_eq!(scene.read("input"), "#!/bin/sh\necho xxxxxxxxxx x${HOME}\n");
}

#[test]
fn commands_of_cloud_init_are_read_by_sh() {
    let scene = Scene::new("true\n");
    shells(&scene);
    let vm = |data: Value| {
        scene.write(
            CONFIG,
            &json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "user_data": data }] }).to_string(),
        );
    };
    let cases = [
        ("- echo \"a", 3, "sh cannot read the command `echo \"a` of `runcmd`"),
        ("- echo a\n  - |\n    for x in a b; do\n      echo $x\n  - [echo, ')']", 3, "the command `for x in a b; do`"),
        ("- if true; then\n  - echo a\n  - fi", 0, ""),
        ("- if true; then\n  - echo a )\n  - fi", 3, "the command `echo a )` of `runcmd`"),
        ("- echo ${vm_name} $${HOME}\n  - [sh, -c, 'echo \"']\n  - \"echo 'a'\"", 0, ""),
    ];
    for (runcmd, code, says) in cases {
        let text = format!("#cloud-config\nbootcmd: [ls]\nruncmd:\n  {runcmd}\n");
        vm(json!({ "text": text }));
        let line = if code == 0 { "" } else { "error[P095]: `user_data` of VM 1000, line " };
        scene.check(&[], &[], code, &[says, line]);
        scene.write("sub/cloud.yaml", &text);
        vm(json!({ "file": "cloud.yaml" }));
        let line = if code == 0 { "" } else { "--> sub/cloud.yaml:" };
        scene.check(&[], &[], code, &[says, line]);
    }
    vm(json!({ "text": "#cloud-config\nbootcmd:\n  - ls )\nruncmd:\n  - ls (\n" }));
    scene.check(&[], &[], 3, &["line 3 of its text", "line 5 of its text", "sub/vms.json: 2 errors"]);
}

#[test]
fn what_shellcheck_finds_is_a_notice() {
    let scene = Scene::new("#!/bin/bash\nrm -r $1/cache\n");
    shells(&scene);
    let comment = json!({
        "file": "-", "line": 2, "endLine": 2, "column": 7, "endColumn": 15, "level": "warning", "code": 2115,
        "message": "Use \u{1b}[31m", "fix": null,
    });
    scene.shellcheck(1, &json!({ "comments": [comment] }).to_string());
    let says =
        ["notice[P096]: shellcheck SC2115: Use \\u{1b}[31m", "--> sub/features/hello.sh:2:7", "wiki/SC2115 says why"];
    scene.check(&[], &[], 0, &says);
    assert_eq!(scene.read("arguments"), "--norc --format=json1 --severity=warning --shell bash -\n");
    assert_eq!(scene.read("input"), scene.read("sub/features/hello.sh"));
    let environment = scene.read("environment");
    assert!(environment.contains("PATH=") && !environment.contains("PHOENIX") && !environment.contains("BASH_ENV"));
    // What bash cannot read is not given to it.
    fs::remove_file(scene.path("input")).unwrap();
    scene.write("sub/features/hello.sh", "fi\n");
    let text = scene.check(&[], &[], 3, &["P095"]);
    assert!(!text.contains("P096") && !scene.path("input").exists(), "{text}");
    // One that does not work is said once, and stops nothing.
    scene.write("sub/features/hello.sh", "true\n");
    scene.write("sub/features/phoenix_common.sh", "true\n");
    for (code, prints) in [(0, ""), (1, "[]"), (2, "{\"comments\":[]}")] {
        scene.shellcheck(code, prints);
        let says =
            format!("notice[P097]: shellcheck does not check scripts: it ended with exit code {code}: complaint");
        let text = scene.check(&[], &[], 0, &[&says]);
        assert_eq!(text.matches("P097").count(), 1, "{text}");
    }
    executable(&scene.path("bin/shellcheck"), "#!/bin/sh\nsleep 60\n");
    scene.check(&[], &[], 0, &["notice[P097]: shellcheck does not check scripts: it takes longer than 5 s"]);
}

#[test]
fn shells_that_are_not_there_are_named_once() {
    let scene = Scene::new("fi\n");
    scene.write("sub/features/phoenix_common.sh", "fi\n");
    fs::create_dir(scene.path("hidden")).unwrap();
    executable(&scene.path("hidden/bash"), "#!/bin/sh\nexit 2\n");
    // A directory of `PATH` that depends on where phoenix runs is no place for programs.
    let text =
        scene.check(&["hidden", ""], &[], 0, &["notice[P097]: scripts are not checked: there is no program `bash`"]);
    assert_eq!(text.matches("P097").count(), 1, "{text}");
    // One that breaks down says nothing of the script.
    shells(&scene);
    fs::remove_file(scene.path("bin/bash")).unwrap();
    executable(&scene.path("bin/bash"), "#!/bin/sh\nkill -SEGV $$\n");
    let says =
        ["`bash` does not check `sub/features/hello.sh`: it ended with exit code 139", "bash -n sub/features/hello.sh"];
    scene.check(&[], &[], 0, &says);
}
