//! The command line as its users meet it: the real binary, a directory of its own, nothing but loopback and files.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use super::world::{Ran, Scene, check, ids};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

const THREE: &str = include_str!("../../phoenix_vm_configs.json");

fn three() -> Scene {
    Scene::with_node(THREE)
}

/// Three VMs that are as wished.
fn finished() -> Scene {
    let scene = three();
    assert_eq!(scene.apply().code, Some(0));
    scene
}

#[test]
fn of_many_vms_that_change_only_what_is_done_has_a_line() {
    let many = |vms: u32, tag: &str| {
        let vms = (0..vms).map(|vm| json!({ "vm_id": 1000 + vm, "vm_name": format!("vm{vm}"), "started": false }));
        let defaults = json!({ "features": [], "tags": [tag], "full_clone": false });
        json!({ "vm_defaults": defaults, "virtual_machines": vms.collect::<Vec<_>>() }).to_string()
    };
    let idle = |ran: &Ran| ran.out.lines().filter(|line| line.starts_with("= ") && line.ends_with("no-op")).count();
    let scene = Scene::with_node(&many(21, "a"));
    check(&scene.apply(), 0, &[]);
    scene.declare(&many(21, "b"));
    let changed = scene.phoenix(&["apply", "--auto-approve"]);
    check(&changed, 0, &["21 VMs: 21 updated.", " update, "]);
    assert_eq!(idle(&changed), 0, "{}", changed.out);
    scene.declare(&many(21, "c"));
    let all = scene.phoenix(&["apply", "--auto-approve", "--verbose"]);
    assert!(idle(&all) >= 21, "{}", all.out);
    scene.declare(&many(20, "d"));
    assert!(idle(&scene.phoenix(&["apply", "--auto-approve"])) >= 20);
}

#[test]
fn words_of_others_on_the_command_line_are_repeated_without_their_escapes() {
    let ran = Scene::new(THREE).phoenix(&["pl\u{202e}an\u{9b}31m"]);
    assert_eq!(ran.code, Some(4));
    let unsafe_ones = |c: char| "\u{202e}\u{9b}".contains(c);
    assert!(ran.err.contains("unrecognized subcommand 'pl") && !ran.err.contains(unsafe_ones), "{:?}", ran.err);
}

/// The actions that did something, in order.
fn acted(ran: &Ran) -> Vec<String> {
    let ended = ran.events.iter().filter(|event| event["event"] == "action_ended" && event["outcome"] != "no-op");
    let mut ids: Vec<String> = ended.map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn the_main_job() {
    let scene = three();
    check(&scene.phoenix(&["plan"]), 0, &["Plan: 3 to create, 0 to update, 0 to destroy, 0 unchanged."]);
    assert_eq!(scene.plan_code(), Some(2));
    let made = scene.phoenix(&["apply", "--auto-approve"]);
    check(&made, 0, &["39 create, 0 update, 0 no-op", "3 VMs: 3 created.", "Embedded node: no real VM changed."]);
    assert!(made.out.ends_with("no real VM changed.\n3 VMs: 3 created.\n"));
    let again = scene.phoenix(&["apply", "--auto-approve"]);
    check(&again, 0, &["0 create, 0 update, 39 no-op", "3 VMs: 3 unchanged."]);
    assert_eq!(again.out.lines().filter(|line| line.starts_with("= ") && line.ends_with("no-op")).count(), 3 + 3);
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn memory_is_an_update_of_one_vm_that_needs_a_restart() {
    let scene = finished();
    scene.edit(r#""memory_mb": 8192"#, r#""memory_mb": 6144"#);
    let plan = scene.phoenix(&["plan"]);
    check(
        &plan,
        0,
        &["~ 1001 rumpletest", "update, waits for a restart", "8192 → 6144", "2 unchanged; 1 waits for a restart"],
    );
    assert!(plan.out.contains("= 1000 rumpledev") && plan.out.contains("= 1002 rumpleprod"));
    let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--detailed-exitcode"]);
    assert_eq!(ran.code, Some(8), "done, but a restart is pending");
    assert_eq!(acted(&ran), ["1001/configure", "1001/record", "1001/stage-scripts"]);
    // What waits is shown, and is no change any more.
    assert_eq!(scene.plan_code(), Some(0));
    check(&scene.phoenix(&["plan"]), 0, &["! memory_mb", "8192 → 6144 waits for a restart", "0 to update"]);
    assert_eq!(scene.phoenix(&["apply", "--auto-approve", "--detailed-exitcode"]).code, Some(8));
    assert_eq!(scene.phoenix(&["apply", "--auto-approve"]).code, Some(0));
}

#[test]
fn a_changed_script_runs_again_alone() {
    let scene = three();
    fs::create_dir(scene.path("features")).unwrap();
    for name in ["base_setup", "install_docker"] {
        fs::write(scene.path(&format!("features/{name}.sh")), format!("echo {name}\n")).unwrap();
    }
    assert_eq!(scene.apply().code, Some(0));
    fs::write(scene.path("features/install_docker.sh"), "echo other\n").unwrap();
    let ran = scene.apply();
    let expected: Vec<String> = (1000..=1002)
        .flat_map(|vm| {
            ["await-agent", "await-cloud-init", "feature:install_docker", "record", "stage-scripts"].map(|a| (vm, a))
        })
        .map(|(vm, action)| format!("{vm}/{action}"))
        .collect();
    assert_eq!(acted(&ran), expected);
    // Shared utilities are staged again, and nothing runs for that.
    fs::write(scene.path("features/phoenix_common.sh"), "true\n").unwrap();
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["notice[T023]", "`phoenix_common.sh` changed: it is staged again, no feature runs for that"]);
    assert!(acted(&scene.apply()).iter().all(|id| id.ends_with("/stage-scripts") || id.ends_with("/record")));
    // A script that bash does not understand fails, is told, and everything after it waits.
    fs::write(scene.path("features/base_setup.sh"), "if then\n").unwrap();
    let ran = scene.phoenix(&["apply", "--auto-approve", "--only", "1000"]);
    check(&ran, 6, &["1000/feature:base_setup: the script exited 2", "Continue with: phoenix apply --only 1000"]);
    let summary = ran.out.split("Actions in").nth(1).unwrap();
    assert!(summary.contains("      ") && summary.contains("syntax error near unexpected token `then'"), "{summary}");
    assert_eq!(scene.plan_code(), Some(2));
}

#[test]
fn changes_say_what_they_cost() {
    let scene = finished();
    scene.edit(r#""vm_id": 1000,"#, r#""vm_id": 1000, "boot_disk_size_gb": 60, "network_model": "e1000","#);
    scene.edit(r#""description": "Testing Environment""#, r#""description": "Testing\nand more""#);
    scene.edit(r#""tags": ["production", "web-server"]"#, r#""tags": ["Production", "new"]"#);
    let plan = scene.phoenix(&["plan"]);
    check(
        &plan,
        0,
        &[
            "update, network",
            "scsi0 grows by 10 GiB, and cannot shrink again",
            "virtio → e1000",
            "its MAC address",
            "      -Testing Environment\n      +Testing\n      +and more\n",
            "production, web-server → new, production",
        ],
    );
    assert_eq!(scene.apply().code, Some(0));
    assert_eq!(scene.plan_code(), Some(0));
    let conf = scene.conf(1000);
    assert!(conf.contains("net0: e1000=BC:24:11:") && conf.contains("size=60G"), "{conf}");
}

#[test]
fn every_exit_code_has_its_case() {
    let scene = three();
    let fault = |op: &str, how: &str| scene.script_faults(&json!([{ "op": op, "vm": 1000, "how": how }]));
    assert_eq!(scene.phoenix(&["plan"]).code, Some(0));
    assert_eq!(scene.phoenix(&["plan", "--detailed-exitcode"]).code, Some(2));
    assert_eq!(scene.phoenix(&["plan", "--target", "embedded:/proc/no"]).code, Some(1));
    assert_eq!(scene.phoenix(&["-c", "missing.json", "plan"]).code, Some(3));
    assert_eq!(scene.phoenix(&["plan", "--no-such-flag"]).code, Some(4));
    assert_eq!(scene.phoenix(&[]).code, Some(4));
    assert_eq!(scene.phoenix(&["--help"]).code, Some(0));
    fault("start", "fail");
    assert_eq!(scene.phoenix(&["apply", "--auto-approve"]).code, Some(6));
    // 5 needs a second operator, 7 a signal and 8 a pending restart: tests of their own.
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let scene = three();
    let ran = scene.phoenix(&["apply"]);
    check(&ran, 4, &["cannot ask", "hint: `--auto-approve` approves the plan above"]);
    assert!(!scene.has(1000));
}

#[test]
fn create_makes_one_and_changes_none() {
    let scene = three();
    check(
        &scene.phoenix(&["create", "1000"]),
        0,
        &["Config  phoenix_vm_configs.json, 1 of 3 virtual machines", "13 create"],
    );
    assert!(!scene.has(1001));
    check(&scene.phoenix(&["create", "1000"]), 0, &["13 no-op"]);
    scene.edit(r#""cpu_cores": 2"#, r#""cpu_cores": 3"#);
    let before = scene.bytes();
    let ran = scene.phoenix(&["create", "1000"]);
    check(&ran, 1, &["VM 1000 exists, and `create` changes nothing", "hint: `phoenix apply --only 1000`"]);
    assert!(scene.bytes() == before);
    check(&scene.phoenix(&["create", "77"]), 4, &["`77` is not a VMID"]);
    check(
        &scene.phoenix(&["create", "4242"]),
        4,
        &["no VM of the file has the VMID 4242", "the file has 1000 `rumpledev`"],
    );
    // One that an interrupted run left half made is completed.
    scene.script_faults(&json!([{ "op": "start", "vm": 1001, "how": "fail" }]));
    assert_eq!(scene.phoenix(&["create", "1001"]).code, Some(6));
    assert_eq!(scene.phoenix(&["create", "1001"]).code, Some(0));
    assert_eq!(scene.phoenix(&["plan", "--only", "1001", "--detailed-exitcode"]).code, Some(0));
}

#[test]
fn vms_are_picked_by_id_name_and_tag() {
    let scene = three();
    for (arguments, picked) in [
        (&["--only", "1001"][..], "1 of 3"),
        (&["--only", "rumpledev,1002"], "2 of 3"),
        (&["--only", "web-server", "--exclude", "production"], "2 of 3"),
        (&["--only", "WEB-server"], "3 virtual machines"),
        (&["--exclude", "1000", "--exclude", "rumpletest"], "1 of 3"),
    ] {
        check(&scene.phoenix(&[&["plan"], arguments].concat()), 0, &[picked]);
    }
    check(&scene.phoenix(&["plan", "--only", "rumpeldev"]), 4, &["did you mean `rumpledev`?"]);
}

#[test]
fn preflight_tells_everything_at_once_and_nothing_is_done() {
    let scene = three();
    for (from, to) in [
        (r#""vm_id": 1000,"#, r#""vm_id": 1000, "template_name": "ubuntu-22.04-cloud-template-v2","#),
        (r#""vm_id": 1001,"#, r#""vm_id": 1001, "boot_disk_storage": "local-zsf", "network_bridge": "vmbr9","#),
        (r#""vm_id": 1002,"#, r#""vm_id": 1002, "boot_disk_size_gb": 2, "cpu_sockets": 99,"#),
    ] {
        scene.edit(from, to);
    }
    let ran = scene.phoenix(&["apply", "--auto-approve"]);
    check(
        &ran,
        1,
        &[
            "there is no template `ubuntu-22.04-cloud-template-v2`",
            "did you mean `ubuntu-22.04-cloud-template-v3`?",
            "there is no storage `local-zsf`",
            "did you mean `local-zfs`?",
            "there is no bridge `vmbr9`",
            "is 3 GiB and cannot shrink to 2 GiB",
            "set `boot_disk_size_gb` to 3 or more",
            "396 CPUs are asked for",
            "! 1000 rumpledev",
            "blocked, see the problems",
            "the plan has errors; nothing was done",
        ],
    );
    assert_eq!(fs::read_dir(scene.node().join("qemu-server")).unwrap().count(), 1, "only the template");
    assert_eq!(scene.phoenix(&["graph"]).code, Some(1));
}

#[test]
fn the_graph_is_printed_for_drawing_programs() {
    let scene = three();
    let mermaid = scene.phoenix(&["graph", "--only", "1000"]);
    check(
        &mermaid,
        0,
        &["flowchart TD", "subgraph vm1000[\"1000 rumpledev\"]", "a0[\"+ clone\"]:::create", "a0 --> a1"],
    );
    let dot = scene.phoenix(&["graph", "--only", "1000", "--format", "dot"]);
    check(&dot, 0, &["digraph phoenix {", "label=\"1000 rumpledev\"", "a0 -> a1;"]);
    assert_eq!(scene.phoenix(&["apply", "--auto-approve"]).code, Some(0));
    let done = scene.phoenix(&["graph"]);
    check(&done, 0, &["flowchart TD", "Nothing changes: `--all` draws every VM."]);
    assert!(!done.out.contains("subgraph"), "{}", done.out);
    let all = scene.phoenix(&["graph", "--all"]);
    check(&all, 0, &["subgraph vm1000[\"1000 rumpledev\"]", "a0[\"= clone\"]:::noop"]);
    fs::write(
        scene.path("ring.json"),
        r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"a","template_name":"b"},{"vm_id":1001,"vm_name":"b","template_name":"a"}]}"#,
    )
    .unwrap();
    check(&scene.phoenix(&["-c", "ring.json", "graph"]), 3, &["a → b → a"]);
}

#[test]
fn validate_needs_no_target() {
    let scene = Scene::new(THREE);
    fs::write(scene.path("bad.json"), "{ \"virtual_machines\": [,] }").unwrap();
    let ran = scene.phoenix(&["validate", "phoenix_vm_configs.json", "bad.json", "missing.json"]);
    check(
        &ran,
        3,
        &["phoenix_vm_configs.json: valid, 3 virtual machines", "bad.json:1:", "there is no file `missing.json`"],
    );
    assert!(!scene.node().exists());
}

#[test]
fn the_schema_is_printed_and_compared() {
    let scene = three();
    let schema = scene.phoenix(&["schema"]);
    assert_eq!(schema.out, include_str!("../../schema/phoenix_vm_configs.schema.json"));
    fs::write(scene.path("copy.json"), &schema.out).unwrap();
    check(&scene.phoenix(&["schema", "--check", "copy.json"]), 0, &["copy.json: up to date"]);
    fs::write(scene.path("copy.json"), schema.out.replace("16777216", "9")).unwrap();
    check(&scene.phoenix(&["schema", "--check", "copy.json"]), 1, &["refresh it with: phoenix schema > copy.json"]);
    std::os::unix::fs::symlink("copy.json", scene.path("link.json")).unwrap();
    let refused = scene.phoenix(&["schema", "--check", "link.json"]);
    check(&refused, 4, &["`link.json` is a link"]);
    assert!(!refused.out.contains("$schema"));
}

#[test]
fn the_node_is_looked_after() {
    let scene = three();
    check(&scene.phoenix(&["node", "show"]), 0, &["local-zfs", "vmbr0 (192.0.2.1)", "9000", "template"]);
    check(&scene.phoenix(&["node", "add-template", "debian-13", "--size", "2"]), 0, &["template debian-13 is VM 9001"]);
    check(&scene.phoenix(&["node", "add-template", "debian-13"]), 1, &["exists already"]);
    scene.edit("ubuntu-22.04-cloud-template-v3", "debian-13");
    assert_eq!(scene.apply().code, Some(0));
    check(&scene.phoenix(&["node", "reset"]), 4, &["cannot ask"]);
    check(&scene.phoenix(&["node", "reset", "--auto-approve"]), 0, &["removed "]);
    assert!(!scene.node().exists());
    fs::create_dir_all(scene.path("other")).unwrap();
    fs::write(scene.path("other/precious"), "x").unwrap();
    check(
        &scene.phoenix(&["--target", "embedded:other", "node", "reset", "--auto-approve"]),
        1,
        &["nothing was removed"],
    );
    check(&scene.phoenix(&["--target", "embedded:other", "plan"]), 1, &["is not an embedded node"]);
}

#[test]
fn colours_carry_no_meaning_of_their_own() {
    let scene = three();
    let plain = scene.phoenix(&["plan"]);
    let coloured = scene.phoenix(&["plan", "--color", "always"]);
    assert!(coloured.out.contains("\u{1b}[32m") && !plain.out.contains('\u{1b}'));
    let mut stripped = String::new();
    let mut inside = false;
    for c in coloured.out.chars() {
        match (inside, c) {
            (false, '\u{1b}') => inside = true,
            (true, 'm') => inside = false,
            (true, _) => {}
            (false, c) => stripped.push(c),
        }
    }
    assert_eq!(stripped, plain.out);
    let wide: Vec<&str> = plain.out.lines().filter(|line| line.width() > 80).collect();
    assert!(wide.is_empty(), "wider than 80 columns: {wide:?}");
}

#[test]
fn what_a_node_says_does_not_steer_the_terminal() {
    let scene = finished();
    let conf = "#hello\u{1b}]0;owned\u{7} \u{202e}x\nname: ev\u{1b}[31mil\nmemory: 512\n";
    fs::write(scene.node().join("qemu-server/1500.conf"), conf).unwrap();
    scene.edit("\"virtual_machines\": [", r#""virtual_machines": [{ "vm_id": 1500, "vm_name": "mine" },"#);
    for arguments in [&["plan"][..], &["node", "show"], &["apply", "--auto-approve"]] {
        let ran = scene.phoenix(arguments);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{all:?}");
    }
}

#[test]
fn events_are_a_stream_for_programs() {
    let scene = three();
    let ran = scene.apply();
    assert_eq!(ran.events.len(), ran.out.lines().count(), "every line is JSON");
    for (n, event) in ran.events.iter().enumerate() {
        assert_eq!((&event["v"], &event["seq"]), (&json!(1), &json!(n + 1)));
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(ran.events[0]["event"], "run_started");
    assert_eq!(ran.events[0]["simulated"], true);
    let last = ran.events.last().unwrap();
    assert_eq!((&last["event"], &last["created"]), (&json!("run_ended"), &json!(39)));
    let (mut started, mut ended) = (ids(&ran.events, "action_started"), ids(&ran.events, "action_ended"));
    started.sort();
    ended.sort();
    assert_eq!(started, ended);
}

#[test]
fn a_vm_that_moves_after_the_plan_makes_it_stale() {
    let scene = finished();
    scene.edit(r#""memory_mb": 4096"#, r#""memory_mb": 2048"#);
    scene.edit(r#""memory_mb": 8192"#, r#""memory_mb": 2048"#);
    scene.set_latency(100);
    let mut child = scene
        .command(&["apply", "--auto-approve", "--json", "--parallelism", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = |line: &str| line.contains("action_started") && line.contains("1000/configure");
    assert!(lines.any(|line| first(&line.unwrap())));
    // While the first VM is written, somebody changes the second.
    let conf = scene.node().join("qemu-server/1001.conf");
    let moved = format!("{}balloon: 0\n", fs::read_to_string(&conf).unwrap());
    fs::write(&conf, &moved).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("action_failed") && line.contains("VM 1001 changed")), "{rest:#?}");
    assert_eq!(fs::read_to_string(&conf).unwrap(), moved, "it was not touched");
}

/// Sends a signal the way a terminal or a supervisor does.
fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

#[test]
fn one_interruption_lets_running_actions_end() {
    let scene = three();
    scene.phoenix(&["node", "show"]);
    scene.set_latency(60);
    let mut child =
        scene.command(&["apply", "--auto-approve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // The plan names actions too, before anybody listens for the signal: what counts is the first that ended.
    while !text.lines().any(|line| line.contains(" clone ") && line.contains(" create ") && line.ends_with('s')) {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    signal("-INT", child.id());
    out.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7), "{text}");
    for says in [
        "Interrupted: finishing ",
        "\nInterrupted. 3 VMs: ",
        "not finished",
        "not started",
        "Continue with: phoenix apply",
    ] {
        assert!(text.contains(says), "`{says}` is missing in {text}");
    }
    scene.set_latency(0);
    assert_eq!(scene.apply().code, Some(0));
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn two_interruptions_leave_at_once() {
    let scene = three();
    scene.phoenix(&["node", "show"]);
    // Long enough for the clones to be under way when the second signal comes.
    scene.set_latency(1_500);
    let mut child = scene
        .command(&["apply", "--auto-approve", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut event = |kind: &str| -> Value {
        loop {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["event"] == kind {
                return event;
            }
        }
    };
    event("action_started");
    signal("-INT", child.id());
    assert_eq!(event("interrupted")["times"], 1);
    signal("-TERM", child.id());
    let second = event("interrupted");
    assert_eq!(second["times"], 2);
    assert!(second["running"].as_array().unwrap().contains(&json!("1000/clone")));
    assert_eq!(event("run_ended")["left_running"], second["running"]);
    assert_eq!(child.wait().unwrap().code(), Some(7));
    scene.set_latency(0);
    let healed = scene.apply();
    assert_eq!(healed.code, Some(0), "{}{}", healed.out, healed.err);
    assert_eq!(scene.plan_code(), Some(0));
}
