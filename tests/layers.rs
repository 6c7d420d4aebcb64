//! Guards the house: which module may import which, that no files of a layer import in a circle, what the pure modules
//! must not touch, who may name which crate, and how long a file may be. Reads the sources as text, so it also sees
//! what is behind a `cfg`.
//!
//! A violation is told as `file:line: what, and why not`. To change the house, change the tables here.

#[path = "layers/circles.rs"]
mod circles;
#[path = "layers/imports.rs"]
mod imports;
#[path = "layers/scan.rs"]
mod scan;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use circles::circles;
use scan::{Mention, Source};

/// From the top of the house down: a module and what it may import. Each one imports only what stands below it.
const LAYERS: [(&str, &[&str]); 15] = [
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "ui",
            "apply",
            "backend",
            "guest",
            "hypervisor",
            "event",
            "plan",
            "observed",
            "config",
            "diag",
            "dag",
            "model",
        ],
    ),
    ("ui", &["hypervisor", "event", "plan", "observed", "config", "diag", "dag", "model"]),
    ("apply", &["guest", "hypervisor", "event", "plan", "observed", "diag", "dag", "model"]),
    ("backend", &["guest", "hypervisor", "observed", "model"]),
    ("guest", &["hypervisor", "event", "observed", "diag", "model"]),
    ("hypervisor", &["observed", "diag", "model"]),
    ("event", &["diag", "model"]),
    ("plan", &["observed", "diag", "dag", "model"]),
    ("observed", &["diag", "model"]),
    ("config", &["diag", "dag", "model"]),
    ("diag", &["model"]),
    ("dag", &[]),
    ("model", &[]),
];

/// Same values in, same values out: no files, environment, processes, network, clock or terminal.
const PURE: [&str; 9] =
    ["model", "diag", "dag", "event", "observed", "config", "plan", "apply::schedule", "backend::proxmox"];

const IMPURE: [&str; 15] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "SystemTime",
    "Instant::now",
    "thread::sleep",
    "io::stdin",
    "io::stdout",
    "io::stderr",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dbg!",
];

/// Names with an owner: the name, the modules that may use it, and why nobody else.
const OWNED: [(&str, &[&str], &str); 9] = [
    ("petgraph", &["dag"], "the graph library stays exchangeable behind dag"),
    ("std::env", &["cli", "main"], "the environment is read once, in cli, and passed down"),
    ("ExitCode", &["cli", "main"], "only cli decides how the process ends"),
    ("comfy_table", &["ui", "cli"], "only ui formats for people"),
    ("indicatif", &["ui", "cli"], "only ui formats for people"),
    ("anstyle", &["ui", "cli"], "only ui formats for people"),
    ("annotate_snippets", &["ui", "cli"], "only ui formats for people"),
    ("anyhow", &["cli"], "below cli every error is a type of its own"),
    ("dyn Hypervisor", &["cli", "apply", "backend", "guest", "hypervisor"], "others only know what the ports carry"),
];

/// Rooms inside a layer that know nothing of some others: the room, the others, and why.
const APART: [(&str, &[&str], &str); 1] = [(
    "backend::proxmox",
    &["backend::qm", "backend::runner", "backend::embedded"],
    "it says what Proxmox means, whichever way a node is reached",
)];

/// A file longer than this does more than one thing.
const MAX_LINES: usize = 400;

/// Whether `module` (such as `apply::schedule::limits`) is `area` or inside it.
fn within(module: &str, area: &str) -> bool {
    module.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Everything in one file that the house does not allow, as `line: what and why`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let module = source.module();
    let top = module.split("::").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut report = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));

    let allowed = LAYERS.iter().find(|(name, _)| *name == top).map(|(_, allowed)| *allowed);
    if allowed.is_none() {
        report(1, &format!("module `{top}` has no place in the house: add it to LAYERS in tests/layers.rs"));
    }
    for Mention { line, path: mentioned } in source.mentions() {
        if let (Some(target), Some(allowed)) = (source.imported(&mentioned), allowed)
            && target != top
            && !allowed.contains(&target.as_str())
        {
            let why = match LAYERS.iter().find(|(name, _)| *name == target) {
                None => "which is no module of the house: name the module an item lives in".to_owned(),
                Some(_) if allowed.is_empty() => "but it may import nothing".to_owned(),
                Some(_) => format!("but may only import {}", allowed.join(", ")),
            };
            report(line, &format!("`{top}` imports `{target}`, {why}"));
        }
        if PURE.iter().any(|pure| within(&module, pure))
            && let Some(name) = IMPURE.iter().find(|name| scan::names(&mentioned, name))
        {
            report(line, &format!("`{name}` in `{module}`, which is pure: no fs, env, process, clock or terminal"));
        }
        for (name, owners, why) in OWNED {
            if scan::names(&mentioned, name) && !owners.contains(&top) {
                report(line, &format!("`{name}` in `{top}`, but it belongs to {}: {why}", owners.join(" and ")));
            }
        }
    }
    for line in source.escapes() {
        report(line, "`super` reaches the crate root, where arrows cannot be checked: write `crate::<module>`");
    }
    for line in source.allows() {
        report(line, "`allow` attribute: mend it, or write `#[expect(lint, reason = \"...\")]`");
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        report(lines, &format!("{lines} lines, more than {MAX_LINES}: split it by what changes together"));
    }
    // A group such as `ui::{self, Face}` names its module more than once.
    found.dedup();
    found
}

/// Every `.rs` file below `directory`, sorted, with its path from the crate's root.
fn sources(directory: &Path, name: &str, into: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let name = format!("{name}/{}", entry.file_name().unwrap().to_string_lossy());
        if entry.is_dir() {
            sources(&entry, &name, into);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            into.push((name, fs::read_to_string(&entry).unwrap()));
        }
    }
}

/// Every file of the crate.
fn house() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "src", &mut files);
    assert!(files.len() > 2, "no sources found");
    files
}

#[test]
fn no_files_of_a_layer_import_in_a_circle() {
    let found = circles(&house());
    let mut wrong = String::new();
    for circle in &found {
        writeln!(wrong, "  {}: {} files import in a circle: {:?}", circle.layer, circle.files.len(), circle.files)
            .unwrap();
        writeln!(wrong, "    shortest ring: {}", circle.ring).unwrap();
    }
    assert!(wrong.is_empty(), "circles of imports:\n{wrong}");
}

/// Imports between rooms that [`APART`] keeps apart, as `path: what and why`.
fn across(files: &[(String, String)]) -> Vec<String> {
    let module = |file: usize| Source::new(&files[file].0, "").module();
    let mut found = Vec::new();
    for ((from, to), item) in imports::imports(files) {
        let (importing, imported) = (module(from), module(to));
        for (room, others, why) in APART {
            if within(&importing, room) && others.iter().any(|other| within(&imported, other)) {
                found.push(format!("{}: `{room}` imports `{item}` of `{imported}`, but {why}", files[from].0));
            }
        }
    }
    found
}

#[test]
fn rooms_that_are_apart_stay_so() {
    let files = house();
    assert_eq!(across(&files), Vec::<String>::new());
    for (room, others, _) in APART {
        for known in others.iter().chain([&room]) {
            let there = files.iter().any(|(path, text)| within(&Source::new(path, text).module(), known));
            assert!(there, "there is no `{known}`: take it out of APART");
        }
    }
}

#[test]
fn an_import_across_rooms_is_found_however_it_is_written() {
    for import in ["use super::super::runner::Command;", "use crate::backend::runner::Command;"] {
        let files = [
            ("src/lib.rs", "mod backend;"),
            ("src/backend/mod.rs", "mod proxmox; mod runner;"),
            ("src/backend/runner.rs", "pub struct Command;"),
            ("src/backend/proxmox/mod.rs", "mod call;"),
            ("src/backend/proxmox/call.rs", import),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        let found = across(&files);
        assert_eq!(found.len(), 1, "{import}: {found:?}");
        assert!(found[0].starts_with("src/backend/proxmox/call.rs: `backend::proxmox` imports `Command`"), "{found:?}");
    }
}

#[test]
fn the_house_is_in_order() {
    let files = house();
    let found: Vec<_> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    let mut list = String::new();
    for violation in &found {
        writeln!(list, "  {violation}").unwrap();
    }
    assert!(found.is_empty(), "{} violations of the house:\n{list}", found.len());
}

#[test]
fn the_table_itself_points_down() {
    for (place, (module, allowed)) in LAYERS.iter().enumerate() {
        for target in *allowed {
            let below = LAYERS[place + 1..].iter().any(|(name, _)| name == target);
            assert!(below, "`{module}` may import `{target}`, which does not stand below it");
        }
    }
}

/// What one planted file is told, without its path.
fn told(path: &str, text: &str) -> Vec<String> {
    violations(path, text).iter().map(|line| line.strip_prefix(&format!("{path}:")).unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_told(path: &str, text: &str, expected: &[&str]) {
    let told = told(path, text);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, start) in told.iter().zip(expected) {
        assert!(line.starts_with(start), "{line:?} does not start with {start:?}");
    }
}

#[test]
fn an_arrow_that_points_up_is_found_however_it_is_written() {
    assert_told(
        "src/model/ids.rs",
        "\nuse crate::config::Config;",
        &["2: `model` imports `config`, but it may import"],
    );
    assert_told("src/dag.rs", "fn f() { crate::plan::plan(); }", &["1: `dag` imports `plan`"]);
    assert_told(
        "src/plan/diff.rs",
        "use crate::{\n    model::VmId,\n    ui::{self, Face},\n    apply,\n};",
        &["3: `plan` imports `ui`, but may only", "4: `plan` imports `apply`"],
    );
    assert_told("src/apply/mod.rs", "pub(crate) use crate :: backend as b;", &["1: `apply` imports `backend`"]);
    assert_told("src/main.rs", "use phoenix::{cli, ui};", &["1: `main` imports `ui`"]);
    assert_told("src/ui/mod.rs", "use crate::*;", &["1: `ui` imports `*`, which is no module"]);
    assert_told("src/ui/mod.rs", "use crate::VmId;", &["1: `ui` imports `VmId`, which is no module"]);
    assert_told("src/helpers.rs", "", &["1: module `helpers` has no place"]);
}

#[test]
fn an_arrow_that_points_down_is_fine() {
    assert_told("src/plan/diff.rs", "use crate::model::VmId;\nuse crate::plan::Action;\nuse super::graph;", &[]);
    assert_told("src/cli/mod.rs", "use crate::{ui, apply, model::{self, VmId}};", &[]);
    assert_told("src/model/mod.rs", "pub(crate) struct A; pub(in crate::model) struct B;", &[]);
}

#[test]
fn super_may_not_reach_the_root() {
    assert_told("src/dag.rs", "use super::model;", &["1: `super` reaches"]);
    assert_told("src/plan/mod.rs", "\nuse self::super::model;", &["2: `super` reaches"]);
    assert_told("src/plan/diff.rs", "use super::super::ui::Face;", &["1: `super` reaches"]);
    assert_told(
        "src/dag.rs",
        "mod tests {\n    use super::*;\n    use super::super::model;\n}",
        &["3: `super` reaches"],
    );
    assert_told("src/dag.rs", "mod tests { use super::*; }\nuse super::model;", &["2: `super` reaches"]);
    assert_told("src/plan/diff/tests.rs", "use super::super::Plan;", &[]);
}

#[test]
fn pure_modules_touch_nothing() {
    assert_told("src/model/mod.rs", "use std::{fmt, fs};", &["1: `std::fs` in `model`, which is pure"]);
    assert_told("src/plan/mod.rs", "let now = std::time::Instant::now();", &["1: `Instant::now` in `plan`"]);
    assert_told("src/apply/schedule.rs", "use std::time::SystemTime;", &["1: `SystemTime` in `apply::schedule`"]);
    assert_told("src/apply/schedule/limits.rs", "std::thread::sleep(x)", &["1: `thread::sleep`"]);
    assert_told("src/config/mod.rs", "println!(\"x\");", &["1: `println!` in `config`"]);
    assert_told("src/backend/proxmox/call.rs", "use std::process;", &["1: `std::process` in `backend::proxmox::call`"]);
    assert_told("src/backend/runner/local.rs", "use std::process;", &[]);
    assert_told("src/observed/vm.rs", "use std::io::{Read, stdin};", &["1: `io::stdin`"]);
    assert_told("src/apply/run.rs", "use std::time::Instant; fn f() { Instant::now(); }", &[]);
}

#[test]
fn names_with_an_owner_stay_there() {
    assert_told("src/plan/graph.rs", "use petgraph::Graph;", &["1: `petgraph` in `plan`, but it belongs to dag"]);
    assert_told("src/backend/qm.rs", "std::env::var_os(\"HOME\")", &["1: `std::env` in `backend`"]);
    assert_told("src/guest/mod.rs", "use anyhow::Result;", &["1: `anyhow` in `guest`"]);
    assert_told("src/ui/human.rs", "use {anyhow::Result, std::process::ExitCode};", &["1: `anyhow`", "1: `ExitCode`"]);
    assert_told("src/apply/run.rs", "fn f(bar: &indicatif::ProgressBar) {}", &["1: `indicatif` in `apply`"]);
    assert_told("src/ui/human.rs", "fn f(h: &dyn Hypervisor) {}", &["1: `dyn Hypervisor` in `ui`"]);
    assert_told("src/dag.rs", "use petgraph::Graph;", &[]);
    assert_told("src/cli/mod.rs", "use anyhow::Result; use comfy_table::Table; use std::env::args_os;", &[]);
}

#[test]
fn comments_and_strings_say_what_they_like() {
    assert_told("src/model/mod.rs", "// use crate::ui;\n/* crate::ui /* nested */ std::fs */\n/// [`crate::cli`]", &[]);
    assert_told("src/model/mod.rs", r##"const A: &str = "crate::ui"; const B: &str = r#"std::fs " crate::ui"#;"##, &[]);
    assert_told(
        "src/model/mod.rs",
        "fn f<'a>(q: &'a str) -> char { '\"' }\nuse crate::ui;",
        &["2: `model` imports `ui`"],
    );
    assert_told("src/model/mod.rs", "const A: char = '\\'';\nuse crate::ui; // '", &["2: `model` imports `ui`"]);
}

#[test]
fn allow_and_length_are_found() {
    assert_told("src/model/mod.rs", "\n#[allow(dead_code)]\nfn f() {}", &["2: `allow` attribute"]);
    assert_told("src/model/mod.rs", "#![ allow ( dead_code ) ]", &["1: `allow` attribute"]);
    assert_told("src/model/mod.rs", "#[cfg_attr(test, allow(dead_code))]\nfn f() {}", &["1: `allow` attribute"]);
    assert_told("src/model/mod.rs", "#[expect(dead_code, reason = \"x\")]\nfn allow(x: u8) { allow(x) }", &[]);
    assert_told("src/model/mod.rs", &"\n".repeat(MAX_LINES), &[]);
    assert_told("src/model/mod.rs", &"\n".repeat(MAX_LINES + 1), &["401: 401 lines, more than 400"]);
}
