//! Nothing that a config or a node says steers the terminal: no control character but the line break reaches it, and
//! nothing that hides or turns text.

use std::fs;
use std::process::{Command, Output, Stdio};

use super::failure::failure_saying;
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{ActionName, Event, Failure, Summary};
use phoenix::hypervisor::{About, Hypervisor};
use phoenix::model::{Outcome, Record, RecordState, VmId};
use phoenix::observed::{encode_description, with_record};
use phoenix::plan::document::{PlanDocument, Provenance};
use phoenix::plan::{Plan, Request, plan};
use phoenix::ui;
use proptest::prelude::*;
use serde_json::Value;

use crate::node::Node;
use crate::{any_text, hostile, vm};

/// Says the first character that has no place on a terminal.
fn steering(text: &str) -> Option<char> {
    text.chars().find(|c| match c {
        '\n' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    })
}

#[track_caller]
fn inert(what: &str, text: &str) {
    assert_eq!(steering(text), None, "{what}: {text:?}");
}

fn empty_plan() -> Plan {
    let text = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#.to_owned();
    let desired = load(&Source::new("c", text), &mut |_| FeatureFiles::Missing).desired.unwrap();
    let dir = tempfile::tempdir().unwrap();
    plan(&desired, &Embedded::open(dir.path()).unwrap().observe().unwrap(), &Request::default())
}

/// Every kind of event, with this text wherever one of a node or a config can stand.
fn events(said: &str) -> Vec<Event> {
    let text = || said.to_owned();
    let action = || ActionName { id: format!("1000/feature:{said}"), vm: vm(1000), name: text(), action: text() };
    let failure = Failure { error: text(), ..failure_saying(said) };
    let list = || vec![text(), text()];
    let summary =
        Summary { failed: list(), skipped: list(), not_started: list(), left_running: list(), ..Summary::default() };
    vec![
        Event::RunStarted { target: text(), simulated: true, config: text(), vms: 1, actions: 1, acting: 1 },
        Event::ActionStarted { action: action(), expected: Outcome::Create, timeout_seconds: 1 },
        Event::ActionWaiting { action: action(), goal: text(), elapsed_ms: 60_000 },
        Event::ActionNoticed { action: action(), message: text() },
        Event::ActionEnded { action: action(), outcome: Outcome::Create, elapsed_ms: 1 },
        Event::ActionFailed { action: action(), failure, elapsed_ms: 1 },
        Event::ActionSkipped { action: action(), because: text() },
        Event::Interrupted { times: 2, running: list() },
        Event::RunEnded { summary, vms: Vec::new(), elapsed_ms: 1 },
    ]
}

#[test]
fn an_action_that_waits_long_has_a_line_where_nothing_is_live() {
    let (id, name, action) = ("1000/clone".to_owned(), "web".to_owned(), "clone".to_owned());
    let action = ActionName { id, vm: VmId::try_from(1000).unwrap(), name, action };
    let goal = "the copy: 3 %, about 6 min left (1.5 of 50.0 GiB)".to_owned();
    let event = Event::ActionWaiting { action, goal, elapsed_ms: 61_000 };
    let line = "… 1000 web  clone  waits   1 min 01 s\n      for the copy: 3 %, about 6 min left (1.5 of 50.0 GiB)\n";
    for (sparse, expected) in [(false, ""), (true, line)] {
        let (events, style) = (std::slice::from_ref(&event), ui::style::Style { color: false });
        let human = ui::run::Human::of_events(events, style, 80, "phoenix apply".to_owned());
        assert_eq!(human.sparse(sparse).on(&event), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_a_run_tells_is_inert(said in any_text(), width in 20..200_usize) {
        let style = ui::style::Style { color: false };
        let human = ui::run::Human::new(&empty_plan(), style, width, "phoenix apply".to_owned());
        let mut human = human.sparse(true);
        for event in events(&said) {
            let shown = human.on(&event);
            prop_assert_eq!(steering(&shown), None, "{:?}", shown);
            let line = ui::run::json_line(&event, 1, "2026-01-01T00:00:00Z");
            prop_assert_eq!(steering(&line), None, "{:?}", line);
            prop_assert!(!line.contains('\n'));
            // For programs nothing is lost.
            let value: Value = serde_json::from_str(&line).unwrap();
            let strings: Vec<&Value> = ["goal", "message", "error", "because", "target"].iter().filter_map(|key| value.get(key)).collect();
            prop_assert!(strings.iter().all(|text| **text == said), "{:?}", value);
        }
    }

    #[test]
    fn what_is_said_of_a_config_is_inert(name in any_text(), key in any_text(), value in any_text(), raw in any_text()) {
        for text in [
            serde_json::json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": value, key: 1, "tags": [name] }] }).to_string(),
            // What JSON would escape, unescaped.
            format!("{{ \"virtual_machines\": [{{ \"vm_id\": 1000, \"vm_name\": \"{raw}\" }}] }}"),
            raw.clone(),
        ] {
            let source = Source::new(name.clone(), text);
            let loaded = load(&source, &mut |_| FeatureFiles::Unreadable(raw.clone()));
            let shown = ui::diagnostics::render(&loaded.diagnostics, Some(&source), false);
            prop_assert_eq!(steering(&shown), None, "{:?}", shown);
            for diagnostic in &loaded.diagnostics {
                let line = ui::diagnostics::json_line(diagnostic, Some(&source)).to_string();
                prop_assert_eq!(steering(&line), None, "{:?}", line);
            }
        }
    }

    #[test]
    fn a_plan_of_a_hostile_node_is_inert(name in any_text(), tags in any_text(), notes in any_text()) {
        let dir = tempfile::tempdir().unwrap();
        let node = hostile_node(dir.path(), &name, &tags, &notes);
        let desired = {
            let source = Source::new("c", CONFIG);
            load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap()
        };
        let plan = plan(&desired, &node.observe().unwrap(), &Request::default());
        let about = About { label: name, simulated: true };
        let view = ui::plan::View { verbose: false, style: ui::style::Style { color: false }, width: 80, about: &about, config: &tags };
        let problems = ui::diagnostics::render(&ui::findings::shown(&plan.problems, None), None, false);
        let document = PlanDocument::of(&plan, Provenance::default());
        for shown in [ui::plan::render(&document, &view), ui::markdown::render(&document), ui::graph::mermaid(&plan, true), ui::graph::dot(&plan, true), problems] {
            prop_assert_eq!(steering(&shown), None, "{:?}", shown);
        }
    }
}

const CONFIG: &str = r#"{ "virtual_machines": [
    { "vm_id": 1000, "vm_name": "web", "description": "mine", "tags": ["x"] },
    { "vm_id": 1001, "vm_name": "db" },
    { "vm_id": 1002, "vm_name": "new", "features": ["base_setup"] }
] }"#;

/// A node whose VMs say this: ours that was changed by hand, and one that is locked by it.
fn hostile_node(dir: &std::path::Path, name: &str, tags: &str, notes: &str) -> Embedded {
    let node = Embedded::open(dir).unwrap();
    // One line of a configuration file holds no line break; everything else is possible.
    let line = |text: &str| text.replace(['\n', '\r'], " ");
    let uuid = "79ef10b8-ac1e-4149-9d67-b2219709442b";
    let mut record = Record::creating("default", vm(1000));
    (record.state, record.uuid) = (RecordState::Ready, Some(uuid.to_owned()));
    record.features.insert(tags.to_owned(), name.to_owned());
    record.volumes.insert(format!("/{tags}"), format!("192.0.2.1:/{name}"));
    let notes = with_record(&notes.replace("<!-- phoenix", ""), &record).unwrap();
    let conf = format!(
        "{}agent: 1\nboot: order=scsi0\nname: {}\nnet0: virtio=BC:24:11:00:00:01,bridge={}\nscsi0: local-zfs:vm-1000-disk-0,size=50G\n\
         smbios1: uuid={uuid}\ntags: {}\n\n[PENDING]\ncores: {}\n",
        encode_description(&notes),
        line(name),
        line(tags),
        line(tags),
        line(name),
    );
    fs::write(dir.join("qemu-server/1000.conf"), conf).unwrap();
    fs::write(dir.join("qemu-server/1001.conf"), format!("name: db\nlock: {}\nx: {}\n", line(tags), line(name)))
        .unwrap();
    node
}

fn phoenix(directory: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    command.args(arguments).current_dir(directory).env_remove("PHOENIX_TARGET").env_remove("XDG_RUNTIME_DIR");
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn check(what: &str, output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        inert(what, std::str::from_utf8(stream).unwrap());
    }
    assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{what} says something");
}

#[test]
fn the_binary_is_inert_on_a_hostile_node() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("phoenix_vm_configs.json"), CONFIG).unwrap();
    let values = hostile();
    let all = values.join(" ");
    hostile_node(&dir.path().join(".phoenix/node"), &all, &all, &values.join("\n"));
    for (code, arguments) in [
        // 1001 is somebody else's.
        (1, &["plan"][..]),
        (1, &["plan", "--commands"]),
        (0, &["plan", "--only", "1002", "--commands"]),
        (1, &["graph"]),
        (0, &["apply", "--auto-approve", "--only", "1000", "--json"]),
        (0, &["node", "show"]),
        (4, &["plan", "--only", "\u{1b}[2J\u{202e}"]),
    ] {
        let output = phoenix(dir.path(), arguments);
        check(&arguments.join(" "), &output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
    hostile_node(&dir.path().join(".phoenix/node"), &all, &all, &values.join("\n"));
    check("apply", &phoenix(dir.path(), &["apply", "--auto-approve", "--exclude", "1001"]));
    assert!(!dir.path().join("pwned").exists());
}

#[test]
fn the_words_of_a_nodes_programs_are_inert() {
    let node = Node::with(&["qemu-server", "root/proc/sys/kernel", "root/sys/class/net/vmbr0/bridge"]);
    node.write("phoenix_vm_configs.json", CONFIG);
    node.write("root/proc/sys/kernel/hostname", "pve\n");
    node.write("root/proc/meminfo", "MemTotal: 65843176 kB\n");
    node.write("storage.cfg", "dir: local\n\tpath /var/lib/vz\n");
    node.write("said", &hostile().join("\n"));
    for program in ["ps", "qm", "ip", "pvesh"] {
        node.program(program, "cat \"$node/said\" >&2; exit 255");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    command.args(["plan", "--target", "qm:"]).current_dir(node.dir.path()).env("PATH", node.search_path());
    command.env("PHOENIX_NODE_ROOT", node.dir.path()).env_remove("XDG_RUNTIME_DIR");
    let output = command.stdin(Stdio::null()).output().unwrap();
    check("plan", &output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("$(touch pwned)"), "{output:?}");
}
