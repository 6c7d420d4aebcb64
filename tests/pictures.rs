//! The pictures of the README, made of what the real binary prints. `SNAPSHOTS=overwrite cargo test --test pictures --
//! --include-ignored` makes them anew; that of the page needs node, chromium and playwright.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The largest that a picture may be, in bytes: a README is to be there at once.
const LARGEST: u64 = 100_000;

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/pictures").join(name)
}

/// Plans a change of the example: one VM needs a restart, one is new.
fn planned(arguments: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = include_str!("../phoenix_vm_configs.json");
    let phoenix = |arguments: &[&str]| {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).current_dir(dir.path()).stdin(Stdio::null());
        let output = phoenix.env_remove("PHOENIX_TARGET").env_remove("NO_COLOR").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let write = |config: &str| fs::write(dir.path().join("phoenix_vm_configs.json"), config).unwrap();
    write(config);
    phoenix(&["apply", "--auto-approve", "--exclude", "1002"]);
    let changed = config.replace(r#""memory_mb": 8192"#, r#""memory_mb": 12288"#);
    assert_ne!(changed, config);
    write(&changed);
    let said = phoenix(arguments);
    (dir, said)
}

#[test]
fn the_picture_of_a_plan_is_what_is_printed() {
    let (_dir, said) = planned(&["plan", "--color", "always"]);
    // The hash changes with every script that phoenix brings along.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("Plan hash")).collect();
    let svg = anstyle_svg::Term::new().render_svg(&(said.join("\n") + "\n"));
    // Faint is still to be read.
    let svg = svg.replace(".dimmed { opacity: 0.4; }", ".dimmed { opacity: 0.7; }");
    assert!(svg.len() as u64 <= LARGEST);
    let expected = snapbox::Data::read_from(&picture("plan.svg"), Some(snapbox::data::DataFormat::Text)).raw();
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(svg, expected);
}

#[test]
fn pictures_are_small() {
    for name in ["plan.svg", "plan.png"] {
        let length = fs::metadata(picture(name)).unwrap().len();
        assert!(length <= LARGEST, "{name} has {length} bytes");
    }
}

#[test]
#[ignore = "makes the picture of the page anew"]
fn the_picture_of_a_page() {
    let (dir, _) = planned(&["plan", "--format", "html=plan.html"]);
    let path = std::env::var_os("PATH").unwrap();
    let chromium = std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.is_file());
    let made = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/picture.js"))
        .args([chromium.expect("chromium is not installed"), dir.path().join("plan.html"), picture("plan.png")])
        .env("NODE_PATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules"))
        .status()
        .unwrap();
    assert!(made.success());
}
