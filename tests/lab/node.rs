//! A scratch directory with a config and an embedded node with QEMU guests, and phoenix run there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;

/// Name of the template that every lab has.
pub(crate) const TEMPLATE: &str = "debian-12";

/// A config's directory with its node. What runs there is stopped when it goes.
pub(crate) struct Lab {
    dir: TempDir,
}

/// What phoenix said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Whether the lab is wanted, and what it needs is here. If not, says so, and the test returns without a verdict.
#[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
pub(crate) fn wanted() -> bool {
    if env::var_os("PHOENIX_LAB").is_none_or(|value| value != "1") {
        println!("SKIPPED: boots real guests; tests/lab/setup, then PHOENIX_LAB=1 cargo test --test lab");
        return false;
    }
    support::need("qemu-system-x86_64", "qemu-system-x86") && support::need("qemu-img", "qemu-utils")
}

/// The disk image of the guest, built if need be.
#[track_caller]
pub(crate) fn image() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let built = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/image");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the image could not be built");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    IMAGE.get_or_init(built).clone()
}

impl Lab {
    /// A fresh node with the template [`TEMPLATE`]: VM 9000.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.path("features")).unwrap();
        let image = image();
        let said =
            lab.phoenix(&["node", "add-template", TEMPLATE, "--image", image.to_str().unwrap(), "--guests", "qemu"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let allowed = lab.path(".phoenix/node/root/etc/phoenix");
        fs::create_dir_all(&allowed).unwrap();
        let text = format!(r#"{{ "image_paths": ["{}"] }}"#, image.parent().unwrap().display());
        fs::write(allowed.join("allow.json"), text).unwrap();
        // What was found out about KVM counts here; tests do not depend on it.
        lab
    }

    /// A path in the config's directory.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The node's directory.
    pub(crate) fn node(&self) -> PathBuf {
        self.path(".phoenix/node")
    }

    /// Writes the config: `vm_defaults` that suit the lab, and these VMs.
    #[track_caller]
    pub(crate) fn config(&self, vms: &Value) {
        // A loaded machine without KVM takes minutes to boot.
        let timeouts = json!({ "guest_agent": 1200, "cloud_init": 1200 });
        let defaults = json!({ "template_name": TEMPLATE, "boot_disk_size_gb": 4, "memory_mb": 768, "cpu_cores": 1,
            "timeouts": timeouts });
        let config = json!({ "vm_defaults": defaults, "virtual_machines": vms });
        fs::write(self.path("phoenix_vm_configs.json"), format!("{config:#}\n")).unwrap();
    }

    /// Runs phoenix to its end.
    #[track_caller]
    pub(crate) fn phoenix(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Runs phoenix, which must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let said = self.phoenix(arguments);
        assert_eq!(said.code, Some(0), "phoenix {arguments:?}\n{}\n{}{}", said.out, said.err, self.consoles());
        said.out
    }

    /// A phoenix that is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("PHOENIX_TARGET").env_remove("NO_COLOR");
        command
    }

    /// What the guests wrote to their consoles last, for whoever reads why a test failed.
    fn consoles(&self) -> String {
        let machines = fs::read_dir(self.node().join("qemu")).into_iter().flatten().flatten();
        let tail = |path: PathBuf| {
            let text = String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            Some(format!("\n{}:\n{}\n", path.display(), lines[lines.len().saturating_sub(20)..].join("\n")))
        };
        machines.filter_map(|machine| tail(machine.path().join("console.log"))).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.command(&["node", "reset", "--auto-approve"]).stdout(Stdio::null()).status();
    }
}
