//! The HTML pages in a real browser: Chromium, driven by `tests/browser/pages.js`.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs phoenix where the scene is.
fn phoenix(dir: &Path, arguments: &[&str], code: i32) {
    let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    phoenix.args(arguments).current_dir(dir).env_remove("PHOENIX_TARGET").stdin(Stdio::null());
    let output = phoenix.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn config(dir: &Path, vms: u32, changed: bool) {
    let vm = |n: u32| {
        // Some restart, some change live, some stay as they are.
        let memory = if changed && n.is_multiple_of(3) { 2048 } else { 1024 };
        let more = if changed && n % 3 == 2 { r"\n<b>more</b>" } else { "" };
        format!(
            r#"{{ "vm_id": {}, "vm_name": "web-{n:03}", "memory_mb": {memory}, "features": ["base_setup"],
              "description": "<script>document.title = 'owned'</script>\nsecond line{more}" }}"#,
            1000 + n
        )
    };
    let vms: Vec<String> = (0..vms).map(vm).collect();
    fs::write(dir.join("phoenix_vm_configs.json"), format!(r#"{{ "virtual_machines": [{}] }}"#, vms.join(",")))
        .unwrap();
}

/// Pages of a plan to create, of a run in which a VM fails, and of a plan to change, for so many VMs.
fn pages(dir: &Path, pages: &Path, vms: u32) {
    let page = |name: &str| format!("html={}", pages.join(format!("{name}-{vms}.html")).display());
    config(dir, vms, false);
    phoenix(dir, &["plan", "--format", &page("create")], 0);
    fs::write(dir.join(".phoenix/node/faults.json"), r#"[{ "op": "start", "vm": 1001, "how": "fail" }]"#).unwrap();
    phoenix(dir, &["apply", "--auto-approve"], 6);
    let log = fs::read_dir(dir.join(".phoenix/runs")).unwrap().next().unwrap().unwrap().path();
    phoenix(dir, &["show", log.to_str().unwrap(), "--format", &page("run")], 0);
    phoenix(dir, &["apply", "--auto-approve"], 0);
    config(dir, vms, true);
    phoenix(dir, &["plan", "--format", &page("update")], 0);
}

#[test]
#[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
fn the_pages_work_in_a_browser() {
    if !support::need("chromium", "chromium") || !support::need("node", "nodejs") {
        return;
    }
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if !scripts.join("node_modules/playwright-core").is_dir() {
        let missing = "playwright-core is not installed (npm install --prefix tests/browser)";
        assert!(std::env::var_os("PHOENIX_REQUIRE_ALL").is_none_or(|value| value != "1"), "{missing}");
        println!("SKIPPED: {missing}");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let path = temporary.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (all, shots) = (made("pages"), made("screenshots"));
    pages(&made("few"), &all, 3);
    pages(&made("many"), &all, 500);
    let found = found_in_path("chromium");
    let output = Command::new("node").arg(scripts.join("pages.js")).arg(found).arg(&all).arg(&shots).output().unwrap();
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && !told.contains("FAILED"), "{told}");
    assert!(told.contains("create-500-light-1400: 500 VMs"), "{told}");
    assert!(shots.join("run-3-dark-400.png").is_file(), "{told}");
}

/// Where a program is.
fn found_in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file()).unwrap()
}
