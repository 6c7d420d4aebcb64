//! How a config is written and handed over: with comments, and on standard input.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::world::{Ran, Scene, check};

/// A config with everything that JSON has not.
const JSONC: &str = r#"// The lab.
{
  "hypervisor": { "target": "embedded:.phoenix/node", /* here */ },
  "virtual_machines": [
    // The first.
    { "vm_id": 900, "vm_name": "first", "tags": ["a", /* , */], }, // 'tis "kept"
    // { "vm_id": 901, "vm_name": "not yet" },
  ], // all
}
/* end */
"#;

/// A VM that people made.
const FOREIGN: &str = "cores: 2\nmemory: 2048\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n\
                       scsi0: local-zfs:vm-105-disk-0,size=8G\nboot: order=scsi0\nagent: 1\nostype: l26\n\
                       smbios1: uuid=00000000-0000-4000-8000-000000000105\n";

#[test]
fn a_jsonc_file_may_have_comments_and_trailing_commas() {
    let scene = Scene::with_node("{ \"virtual_machines\": [] }");
    fs::write(scene.path("lab.jsonc"), JSONC).unwrap();
    check(&scene.phoenix(&["validate", "lab.jsonc"]), 0, &["lab.jsonc"]);
    check(&scene.phoenix(&["-c", "lab.jsonc", "plan"]), 0, &["first", "1 to create"]);
    check(&scene.phoenix(&["-c", "lab.jsonc", "apply", "--auto-approve"]), 0, &["1 created"]);
    fs::write(scene.path("lab.json"), JSONC).unwrap();
    let refused = ["error[P010]", "error[P011]", "`.jsonc`", "lab.json:1:1", "lab.json:6:53"];
    check(&scene.phoenix(&["validate", "lab.json"]), 3, &refused);
    check(&scene.phoenix(&["-c", "lab.json", "apply", "--auto-approve"]), 3, &refused);
}

#[test]
fn places_in_a_jsonc_file_are_those_of_the_file() {
    let scene = Scene::with_node("{ \"virtual_machines\": [] }");
    for (from, to, says) in [
        ("\"first\"", "\"fir_st\"", ["error[P023]", "lab.jsonc:6:32"]),
        ("\"a\",", "'a',", ["error[P009]", "lab.jsonc:6:50"]),
        ("/* , */", ",", ["error[P009]", "lab.jsonc:6:55"]),
        ("/* end */", "/* end", ["error[P009]: this comment never ends", "lab.jsonc:10:1"]),
        ("{ \"vm_id\": 900", "{ /* a */ \"vmid\": 900", ["error[P014]", "lab.jsonc:6:15"]),
    ] {
        assert!(JSONC.contains(from));
        fs::write(scene.path("lab.jsonc"), JSONC.replacen(from, to, 1)).unwrap();
        check(&scene.phoenix(&["validate", "lab.jsonc"]), 3, &says);
    }
    fs::write(scene.path("lab.jsonc"), "// nothing\n").unwrap();
    let nothing = scene.phoenix(&["validate", "lab.jsonc"]);
    check(&nothing, 3, &["error["]);
}

#[test]
fn import_keeps_the_comments_of_a_jsonc_file() {
    let scene = Scene::with_node("{ \"virtual_machines\": [] }");
    fs::write(scene.path("lab.jsonc"), JSONC).unwrap();
    scene.set_conf(105, FOREIGN);
    check(&scene.phoenix(&["-c", "lab.jsonc", "import", "105"]), 0, &["1 VM written into `lab.jsonc`"]);
    let written = fs::read_to_string(scene.path("lab.jsonc")).unwrap();
    let kept: Vec<&str> = written.lines().filter(|line| JSONC.lines().any(|old| old == *line)).collect();
    assert_eq!(kept, JSONC.lines().collect::<Vec<_>>(), "{written}");
    assert!(written.contains("\"web\""), "{written}");
    check(&scene.phoenix(&["-c", "lab.jsonc", "plan"]), 0, &["web", "first"]);
}

/// Runs phoenix with a text on its standard input.
fn piped(scene: &Scene, text: &str, arguments: &[&str]) -> Ran {
    let mut command = scene.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that does not read it may have ended before.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_config_on_standard_input_is_read_by_every_verb_that_does_not_write_it() {
    let config = r#"{ "virtual_machines": [{ "vm_id": 900, "vm_name": "first", "features": ["say"] }] }"#;
    let scene = Scene::with_node("{ \"virtual_machines\": [] }");
    // What stands beside the config stands in the current directory.
    fs::create_dir(scene.path("features")).unwrap();
    fs::write(scene.path("features/say.sh"), "#!/bin/sh\ntrue\n").unwrap();
    let run = |arguments: &[&str]| piped(&scene, config, &[&["-c", "-"], arguments].concat());
    check(&run(&["validate"]), 0, &["<stdin>: valid"]);
    check(&piped(&scene, config, &["validate", "-"]), 0, &["<stdin>: valid"]);
    check(&piped(&scene, "{,}", &["-c", "-", "validate"]), 3, &["--> <stdin>:1:2"]);
    check(&piped(&scene, "{} // no", &["-c", "-", "plan"]), 3, &["error[P010]", "<stdin>:1:4"]);
    check(&piped(&scene, "", &["-c", "-", "plan"]), 3, &["`<stdin>` is empty"]);
    check(&run(&["plan"]), 0, &["<stdin>", "1 to create"]);
    check(&run(&["graph"]), 0, &["first"]);
    let before = scene.bytes();
    check(&run(&["apply"]), 4, &["cannot ask for approval: standard input is the config", "--auto-approve"]);
    assert_eq!(scene.bytes(), before, "something was done");
    check(&run(&["apply", "--auto-approve"]), 0, &["1 created", "say"]);
    check(&run(&["status"]), 0, &["first"]);
    check(&run(&["plan", "--detailed-exitcode"]), 0, &["1 unchanged"]);
    check(&run(&["destroy", "900"]), 4, &["standard input is the config", "--yes-destroy first"]);
    check(&run(&["observe", "--out", "live.json"]), 0, &[]);
    check(&run(&["import", "900"]), 4, &["nothing can be written into standard input", "--config FILE"]);
    check(&run(&["validate", "--staged"]), 4, &["from the git index"]);
    let log = fs::read_dir(scene.path(".phoenix/runs")).unwrap().count();
    assert_eq!(log, 1, "the run is logged in the current directory");
}

#[test]
fn a_plan_of_standard_input_is_carried_out_with_the_same_text_alone() {
    let config = r#"{ "virtual_machines": [{ "vm_id": 900, "vm_name": "first" }] }"#;
    let scene = Scene::with_node("{ \"virtual_machines\": [] }");
    check(&piped(&scene, config, &["-c", "-", "plan", "--out", "plan.json"]), 0, &["saved in plan.json"]);
    // Shown without the text, and without waiting for it.
    check(&scene.phoenix(&["show", "plan.json", "--format", "github"]), 0, &["1 to create"]);
    check(&scene.phoenix(&["apply", "plan.json"]), 4, &["on standard input", "--config -"]);
    check(&piped(&scene, &config.replace("first", "second"), &["-c", "-", "apply", "plan.json"]), 5, &[]);
    check(&piped(&scene, config, &["-c", "-", "apply", "plan.json"]), 0, &["1 created"]);
}

#[test]
fn the_plan_says_which_profile_a_value_comes_from() {
    let scene = Scene::with_node(
        r#"{
  "vm_defaults": { "memory_mb": 1024 },
  "profiles": {
    "worker": { "cpu_cores": 3, "proxmox": { "cpu": "x86-64-v2-AES", "balloon": 512 } },
    "wired": { "network_bridge": "vmbr7" }
  },
  "virtual_machines": [
    { "vm_id": 900, "vm_name": "first", "profile": "worker", "proxmox": { "balloon": 0 } },
    { "vm_id": 901, "vm_name": "second", "profile": ["worker", "wired"], "cpu_cores": 1 }
  ]
}
"#,
    );
    // What is wrong is shown where the profile says it.
    check(&scene.phoenix(&["plan"]), 1, &["vmbr7", "--> phoenix_vm_configs.json:5:16"]);
    scene.edit("vmbr7", "vmbr0");
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["profile worker", "profile wired", "vm_defaults"]);
    let lines = |key: &str| plan.out.lines().filter(|line| line.contains(key)).collect::<Vec<_>>();
    let of_profile = |key: &str| lines(key).iter().map(|line| line.contains("profile worker")).collect::<Vec<_>>();
    assert_eq!(of_profile("cpu_cores"), [true, false], "{}", plan.out);
    assert_eq!(of_profile("proxmox.cpu"), [true, true], "{}", plan.out);
    assert_eq!(of_profile("proxmox.balloon"), [false, true], "{}", plan.out);
    check(&scene.phoenix(&["plan", "--format", "html"]), 0, &["profile worker"]);
    check(&scene.phoenix(&["plan", "--out", "plan.json"]), 0, &[]);
    assert!(fs::read_to_string(scene.path("plan.json")).unwrap().contains(r#""profile": "worker""#));
    check(&scene.phoenix(&["apply", "plan.json"]), 0, &["2 created"]);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["2 unchanged"]);
    assert!(scene.conf(900).contains("cores: 3\n") && scene.conf(901).contains("cores: 1\n"));
    // What a profile says anew is a change of each VM that has it from there.
    scene.edit("\"cpu_cores\": 3", "\"cpu_cores\": 2");
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 2, &["1 to update, 0 to destroy, 1 unchanged"]);
}
