//! What an earlier version left on a node is read by this one: records and results in the guest that name content by
//! half as many digits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CONFIG: &str = r#"{ "virtual_machines": [{
  "vm_id": 1000, "vm_name": "web", "memory_mb": 1024, "features": ["base_setup"],
  "description": "a text that is longer than what a record keeps of a value word by word, so it keeps its digest" }] }"#;

/// Digits of a digest, as an earlier version noted it and as it is noted now.
const OLD: usize = 16;
const NOW: usize = 32;

fn phoenix(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    phoenix.args(arguments).current_dir(dir).env_remove("PHOENIX_TARGET").stdin(Stdio::null());
    let output = phoenix.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

/// Runs of hexadecimal digits of this length in a configuration, in which colons and hyphens are escaped.
fn digests(text: &str, length: usize) -> Vec<String> {
    let text = text.replace("%3A", ":").replace("\\u002d", "-");
    let words = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == length);
    words.map(ToOwned::to_owned).collect()
}

/// A node on which the config was applied, with everything that it notes cut to what an earlier version noted.
fn of_old() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("phoenix_vm_configs.json"), CONFIG).unwrap();
    let (code, said) = phoenix(dir.path(), &["apply", "--auto-approve"]);
    assert_eq!(code, 0, "{said}");
    let conf = dir.path().join(".phoenix/node/qemu-server/1000.conf");
    let mut text = fs::read_to_string(&conf).unwrap();
    let noted = digests(&text, NOW);
    assert!(noted.len() >= 4, "feature, utilities, context, description: {text}");
    for digest in noted {
        text = text.replace(&digest, &digest[..OLD]);
    }
    fs::write(&conf, text).unwrap();
    let runs = dir.path().join(".phoenix/node/guests/1000/runs");
    for run in fs::read_dir(&runs).unwrap().map(|run| run.unwrap().file_name().into_string().unwrap()) {
        fs::rename(runs.join(&run), runs.join(&run[..run.len() - (NOW - OLD)])).unwrap();
    }
    (dir, conf)
}

#[test]
fn an_older_record_means_the_same_and_is_brought_up_by_the_next_write() {
    let (dir, conf) = of_old();
    for more in [&[][..], &["--verify-guest"]] {
        let (code, said) = phoenix(dir.path(), &[&["plan", "--detailed-exitcode"], more].concat());
        assert_eq!(code, 0, "{said}");
    }
    fs::write(dir.path().join("phoenix_vm_configs.json"), CONFIG.replace("1024", "512")).unwrap();
    let (code, said) = phoenix(dir.path(), &["apply", "--auto-approve", "--format", "jsonl"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("outside phoenix"), "{said}");
    let ran: Vec<&str> = said.lines().filter(|line| line.contains("/feature:")).collect();
    assert!(ran.len() == 1 && ran[0].contains("no-op"), "{said}");
    let text = fs::read_to_string(&conf).unwrap();
    assert_eq!((digests(&text, OLD).len(), digests(&text, NOW).len()), (0, 4), "{text}");
    let (code, said) = phoenix(dir.path(), &["plan", "--detailed-exitcode", "--verify-guest"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn fewer_digits_than_that_name_nothing() {
    let (dir, conf) = of_old();
    let text = fs::read_to_string(&conf).unwrap();
    let shorter = digests(&text, OLD).iter().fold(text, |text, digest| text.replace(digest, &digest[..OLD - 1]));
    fs::write(&conf, shorter).unwrap();
    let (code, said) = phoenix(dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("its script changed: it runs again"), "{said}");
}

#[test]
fn a_recording_of_an_earlier_version_is_refused_by_its_format() {
    let (dir, _) = of_old();
    let (code, said) = phoenix(dir.path(), &["observe", "--out", "live.json"]);
    assert_eq!(code, 0, "{said}");
    let file = dir.path().join("live.json");
    let mut recording: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    // As those look that lack what this version keeps.
    recording["observed"].as_object_mut().unwrap().remove("nodes");
    for format in [2, 1] {
        recording["format_version"] = format.into();
        fs::write(&file, recording.to_string()).unwrap();
        let (code, said) = phoenix(dir.path(), &["plan", "--against", "live.json"]);
        assert_eq!(code, 4, "{said}");
        let expected = format!("`live.json` is a recording of format {format}; this phoenix reads 3");
        let hint = "hint: record again with `phoenix observe --out FILE`";
        assert!(said.contains(&expected) && said.contains(hint), "{said}");
        recording["observed"]["vms"]["1000"].as_object_mut().unwrap().remove("options");
    }
}
