//! The pages in a real browser: used by keyboard, printed, in the dark and on a small screen.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const PACKAGE: &str = "playwright-core@1.65.1";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The browser, if everything is there; if not, says how it comes here.
#[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
fn browser() -> Option<PathBuf> {
    if !support::need("node", "nodejs") || !support::need("chromium", "chromium") {
        return None;
    }
    if !root().join("target/tools/node_modules/playwright-core").is_dir() {
        let missing = format!(
            "playwright is not installed (npm install --no-save --no-package-lock --prefix target/tools {PACKAGE})"
        );
        assert!(std::env::var_os("PHOENIX_REQUIRE_ALL").is_none_or(|value| value != "1"), "{missing}");
        println!("SKIPPED: {missing}");
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.is_file())
}

/// What the browser saw of each page.
fn look(browser: &Path, pages: &[PathBuf]) -> Vec<Value> {
    let mut node = Command::new("node")
        .arg(root().join("tests/browser/pages.js"))
        .env("NODE_PATH", root().join("target/tools/node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = json!({ "chromium": browser, "pages": pages, "find": "vm-2" }).to_string();
    node.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A config of so many VMs whose texts would do something if they were markup.
fn config(count: usize) -> String {
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let vm = |n: usize| {
        json!({
            "vm_id": 1000 + n, "vm_name": format!("vm-{n}"), "description": hostile, "features": ["base_setup"],
            "tags": ["a-tag-that-is-so-long-that-it-does-not-fit-into-one-line-of-a-small-screen"],
        })
    };
    json!({ "virtual_machines": (1..=count).map(vm).collect::<Vec<_>>() }).to_string()
}

#[test]
fn pages_are_usable_in_a_browser() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let phoenix = |arguments: &[&str]| {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).args(["--config", "vms.json", "--target", "embedded:node"]);
        let output = phoenix.current_dir(dir.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let write = |count: usize| fs::write(dir.path().join("vms.json"), config(count)).unwrap();
    write(500);
    phoenix(&["node", "init"]);
    phoenix(&["plan", "--format", "html=many.html"]);
    write(3);
    phoenix(&["plan", "--format", "html=plan.html"]);
    phoenix(&["apply", "--auto-approve", "--format", "html=run.html"]);
    let pages = ["many.html", "plan.html", "run.html"].map(|name| dir.path().join(name));
    for ((page, count), saw) in pages.iter().zip([500, 3, 3]).zip(look(&browser, &pages)) {
        let name = page.file_name().unwrap().to_string_lossy();
        assert_eq!(saw["errors"], json!([]), "{name}");
        assert_eq!(saw["requests"].as_array().unwrap().len(), 1, "{name} asks for more than itself: {saw}");
        assert_eq!(saw["dialogs"], 0, "{name}: a text was run");
        assert_eq!(saw["all"], count, "{name}");
        // 2, 20 to 29 and 200 to 299.
        let found = if count == 500 { 111 } else { 1 };
        assert_eq!(saw["found"], found, "{name}: {saw}");
        assert_eq!(saw["status"], format!("{found} of {count} VMs"), "{name}");
        assert_eq!(saw["cleared"], count, "{name}");
        assert_eq!((&saw["toggled"], &saw["toggledBack"]), (&json!(1), &json!(true)), "{name}");
        assert_eq!((&saw["printed"], &saw["afterPrint"]), (&saw["folds"], &json!(true)), "{name}: {saw}");
        assert_eq!(saw["darkDiffers"], true, "{name}");
        assert!(saw["overflow"].as_i64().unwrap() <= 0, "{name} is wider than a small screen: {saw}");
    }
}
