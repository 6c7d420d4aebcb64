//! `phoenix convert`: `fixtures/convert/CASE/old.json` becomes `new.json`, and `said.txt` is what is said of it.
//! `SNAPSHOTS=overwrite cargo test --test convert` rewrites both.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::config::convert::converted;
use snapbox::{Assert, Data};

/// Runs phoenix in a directory; exit code, standard output, standard error.
fn phoenix(dir: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    command.args(arguments).current_dir(dir).env_remove("PHOENIX_TARGET");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = piped.spawn().unwrap();
    // One that does not read it has ended already.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    let output = running.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), out, err)
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/convert")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

#[test]
fn an_old_config_becomes_a_new_one_and_what_is_left_is_named() {
    let assert = Assert::new().action_env("SNAPSHOTS");
    for case in cases() {
        let old = fs::read_to_string(case.join("old.json")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old.json"), &old).unwrap();
        let (code, out, err) = phoenix(dir.path(), &["convert", "old.json"], "");
        assert.eq(format!("exit {code}\n{err}"), Data::read_from(&case.join("said.txt"), None).raw());
        assert.eq(&out, Data::read_from(&case.join("new.json"), None).raw());
        assert_eq!(phoenix(dir.path(), &["convert", "-"], &old).1, out);
        let (code, nothing, _) = phoenix(dir.path(), &["convert", "old.json", "--out", "new.json"], "");
        assert_eq!(nothing, "");
        assert_eq!(fs::read_to_string(dir.path().join("new.json")).unwrap(), out);
        // What it said of the new config is what `validate` says.
        let (valid, ..) = phoenix(dir.path(), &["validate", "new.json"], "");
        assert_eq!(valid, code, "{}", case.display());
        // What is there is left alone.
        let (code, _, err) = phoenix(dir.path(), &["convert", "old.json", "--out", "new.json"], "");
        assert_eq!(code, 1);
        assert!(err.contains("`new.json` is there already"), "{err}");
    }
}

#[test]
fn a_converted_config_can_be_applied() {
    let dir = tempfile::tempdir().unwrap();
    let old = fs::read_to_string(cases().pop().unwrap().join("old.json")).unwrap();
    let (code, ..) = phoenix(dir.path(), &["convert", "-", "--out", "phoenix_vm_configs.json"], &old);
    assert_eq!(code, 0);
    let (code, out, err) = phoenix(dir.path(), &["apply", "--auto-approve", "--target", "embedded:node"], "");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2 VMs: 2 created."), "{out}{err}");
}

#[track_caller]
fn check_refused(old: &str, says: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = phoenix(dir.path(), &["convert", "-"], old);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains(says), "{err}");
}

#[test]
fn what_is_no_old_config_is_refused() {
    check_refused(r#"{ "virtual_machines": [] }"#, "it is a config of phoenix already");
    check_refused(r#"{ "vms": {} }"#, "it has no list `vms`");
    check_refused("[]", "it has no list `vms`");
    check_refused(r#"{ "vms": [ }"#, "error[P009]");
    check_refused("", "error[P");
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = phoenix(dir.path(), &["convert", "none.json"], "");
    assert_eq!(code, 3);
    assert!(err.contains("none.json"), "{err}");
}

/// Whatever stands where a value is expected: it is carried over or named, and nothing breaks.
#[test]
fn odd_values_are_carried_over_or_named() {
    let nothing = converted(r#"{"vms":[{"vmid":1000,"name":"web"}]}"#).unwrap().text;
    let keys = ["cores", "features", "template", "template_image", "clone_from_vmid", "network_config", "user_config"];
    for key in keys.into_iter().chain(["volumes", "dependencies", "colour", "tags", "qm_options"]) {
        let deep = format!("{}{}", "[".repeat(90), "]".repeat(90));
        let odd =
            ["null", "true", "-1", "1e300", r#""""#, "\"\\u001b[31m\"", r#"[null,1,{"type":"nfs"}]"#, r#"{"x":[]}"#];
        for value in odd.into_iter().chain([deep.as_str()]) {
            let old = format!(
                r#"{{ "vm_defaults": {{ "{key}": {value} }}, "vms": [{{ "vmid": 1000, "name": "web", "{key}": {value} }}, {value}] }}"#
            );
            let new = converted(&old).unwrap();
            let named = new.left.iter().any(|left| left.key.starts_with(key));
            assert!(named || new.text != nothing, "{key}: {value}");
            assert!(new.left.iter().any(|left| left.key == "vms[1]"), "{value}");
        }
    }
}
