//! `phoenix init`

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};

use super::Exit;
use super::args::Init;
use super::console::Console;
use crate::config::schema;
use crate::ui::text::safe;

const CONFIG: &str = r#"{
  "$schema": "./schema/phoenix_vm_configs.schema.json",
  "vm_defaults": {
    "memory_mb": 2048,
    "features": ["base_setup"]
  },
  "virtual_machines": [
    {
      "vm_id": 1000,
      "vm_name": "first-vm",
      "description": "My first virtual machine",
      "tags": ["development"]
    }
  ]
}
"#;

const VSCODE: &str = r#"{
  "json.schemas": [
    {
      "fileMatch": ["phoenix_vm_configs.json"],
      "url": "./schema/phoenix_vm_configs.schema.json"
    }
  ]
}
"#;

const PRE_COMMIT: &str = r"# Checked before every commit, once `pre-commit install` was run here.
repos:
  - repo: local
    hooks:
      - id: phoenix-validate
        name: phoenix validate
        # What is committed, config and scripts; also when only a script changes, or is deleted.
        entry: phoenix validate --staged
        language: system
        always_run: true
        pass_filenames: false
";

/// Writes what a new directory of VMs needs, and leaves alone what is there.
pub(super) fn run(verb: &Init, console: &Console) -> Result<Exit> {
    for (name, text) in [
        ("phoenix_vm_configs.json", CONFIG),
        (schema::FILE, schema::embedded()),
        (".gitignore", ".phoenix/\n"),
        (".vscode/settings.json", VSCODE),
        (".pre-commit-config.yaml", PRE_COMMIT),
    ] {
        let file = verb.dir.join(name);
        let shown = file.display().to_string();
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        // `create_new` also refuses a link that leads nowhere: nothing is ever written through one.
        let said = match OpenOptions::new().write(true).create_new(true).open(&file) {
            Ok(mut new) => {
                new.write_all(text.as_bytes()).with_context(|| format!("cannot write `{shown}`"))?;
                "created"
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => "exists, left alone",
            Err(error) => return Err(error).with_context(|| format!("cannot create `{shown}`")),
        };
        console.print(&format!("{}: {said}\n", safe(&shown)));
    }
    Ok(Exit::Done)
}
