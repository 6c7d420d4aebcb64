//! How a config is written and handed over: with comments, and on standard input.

use std::fs;

use super::world::{Scene, check};

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
