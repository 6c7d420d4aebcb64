//! `phoenix node …`: looking after the embedded node.

use std::collections::BTreeMap;

use anyhow::Result;

use super::args::{Args, Node};
use super::connect::{Chosen, Intent, Named};
use super::console::Console;
use super::exit::Refusal;
use super::{Exit, connect, load, reach};
use crate::backend::embedded::{Embedded, GuestKind, Member, NfsState, Settings};
use crate::diag::Diagnostic;
use crate::model::{GIB, Target};
use crate::observed::{Observed, print_size};
use crate::plan::document::{DocumentCluster, TargetOrigin};
use crate::ui;
use crate::ui::table::table;
use crate::ui::text::safe;

pub(super) fn run(args: &Args, verb: &Node, console: &Console) -> Result<Exit> {
    if let Node::Init { dir: Some(dir) } = verb {
        let text = format!("embedded:{}", dir.display());
        let named = Named { text, origin: TargetOrigin::CommandLine };
        return init(&connect::target(&args.config, Some(&named), None)?, args, console);
    }
    let chosen = match target(args, console)? {
        Ok(chosen) => chosen,
        Err(exit) => return Ok(exit),
    };
    let (target, shown) = (&chosen.target, safe(&chosen.target.to_string()).into_owned());
    match verb {
        Node::Init { .. } => init(&chosen, args, console),
        Node::Show => {
            let node = connect::embedded(&chosen, args.guests, Intent::Look)?;
            let (text, notices) = show(&node, target, console)?;
            console.print(&text);
            console.findings(&notices, None);
            Ok(Exit::Done)
        }
        Node::AddTemplate { name, image: Some(image), .. } => {
            let node = connect::made(&chosen, args.guests)?;
            let (id, size) = node.add_image_template(name, image)?;
            let disk = print_size(size);
            console.print(&format!("template {} is VM {id} on {shown}, with a disk of {disk}\n", safe(name)));
            if let Some(why) = node.why_emulated()? {
                console.note(&format!("guests are emulated, which is slow: KVM is not usable: {}\n", safe(&why)));
            }
            Ok(Exit::Done)
        }
        Node::AddTemplate { name, size, image: None } => {
            let id = connect::made(&chosen, args.guests)?.add_template(name, *size)?;
            console.print(&format!("template {} is VM {id} on {shown}\n", safe(name)));
            Ok(Exit::Done)
        }
        Node::Add { name, memory, cpus, storages } => {
            let node = connect::made(&chosen, args.guests)?;
            let own = node.settings();
            // Its bridges have their names; the addresses are another node's.
            let bridges = own.bridges.keys().map(|bridge| (bridge.clone(), None)).collect();
            let (memory_mb, cpus) = (memory.unwrap_or(own.memory_mb), cpus.unwrap_or(own.cpus));
            let member = Member { memory_mb, cpus, bridges, storage_gb: BTreeMap::new(), online: true };
            node.add_node(name, &member, storages)?;
            console.print(&format!("node {} is part of {shown}\n", safe(name)));
            Ok(Exit::Done)
        }
        Node::Reset { auto_approve } => reset(target, *auto_approve, console),
    }
}

/// The node meant. The config is read only for its `hypervisor.target`: a node can be looked at without one.
pub(super) fn target(args: &Args, console: &Console) -> Result<Result<Chosen, Exit>> {
    if args.target.is_some() || !load::is_there(&args.config) {
        return connect::target(&args.config, args.named().as_ref(), None).map(Ok);
    }
    let config = load::load(&args.config, &args.given());
    let Some(desired) = config.loaded.desired else {
        console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
        return Ok(Err(Exit::Config));
    };
    connect::target(&args.config, None, Some(&desired)).map(Ok)
}

/// Makes the node, unless it is there.
fn init(chosen: &Chosen, args: &Args, console: &Console) -> Result<Exit> {
    let (dir, target) = (connect::node_directory(&chosen.target)?, safe(&chosen.target.to_string()).into_owned());
    let there = !Embedded::as_is(dir, None)?.is_unmade();
    connect::made(chosen, args.guests)?;
    console.print(&if there { format!("{target} is there already\n") } else { format!("made {target}\n") });
    Ok(Exit::Done)
}

fn reset(target: &Target, auto_approve: bool, console: &Console) -> Result<Exit> {
    if !auto_approve {
        match console.confirm(&format!("Remove {target} with every VM in it?")) {
            Some(true) => {}
            Some(false) => {
                console.note("Nothing was removed.\n");
                return Ok(Exit::Failed);
            }
            None => {
                return Err(Refusal::usage(
                    format!("cannot ask for approval: {}", console.why_silent()),
                    "give `--auto-approve`",
                ));
            }
        }
    }
    Embedded::reset(connect::node_directory(target)?)?;
    console.print(&format!("removed {}\n", safe(&target.to_string())));
    Ok(Exit::Done)
}

/// The node as people read it, and what is to be said of its VMs' addresses.
fn show(node: &Embedded, target: &Target, console: &Console) -> Result<(String, Vec<Diagnostic>)> {
    let summary = node.summary()?;
    let settings = &summary.settings;
    let mut out = format!("{}\n{}", safe(&target.to_string()), nodes(settings));
    let cluster = !settings.nodes.is_empty();
    let seen = Observed {
        here: settings.name.clone(),
        nodes: summary.nodes.clone(),
        vms: summary.vms.iter().map(|vm| (vm.id, vm.live.clone())).collect(),
        ..Observed::default()
    };
    out.push_str(&match settings.guests {
        GuestKind::Simulated => format!(
            "guests simulated; delays: operations {} ms, guest agent {} ms, cloud-init {} ms, scripts {} ms (in node.json)\n\n",
            settings.latency_ms, settings.agent_delay_ms, settings.cloud_init_delay_ms, settings.feature_ms,
        ),
        GuestKind::Qemu => format!("guests by QEMU, accelerator {} (in node.json)\n\n", settings.accelerator),
    });
    if let Some(cluster) = DocumentCluster::seen(&seen) {
        out.push_str(&ui::nodes::render(&cluster, (console.width(), console.style())));
        out.push('\n');
    }
    let storages = summary.storages.iter().map(|(id, storage)| {
        vec![
            safe(id).into_owned(),
            safe(&storage.kind).into_owned(),
            if storage.images { "yes" } else { "no" }.to_owned(),
            (storage.total / GIB).to_string(),
            (storage.free / GIB).to_string(),
        ]
    });
    out.push_str(&table(&["storage", "type", "disks", "size GiB", "free GiB"], storages, console.width()));
    let reach = reach::of_node(node, &summary, console);
    let vms = summary.vms.iter().map(|vm| {
        let state = match (&vm.lock, vm.template, vm.running) {
            (Some(lock), ..) => format!("locked ({})", safe(lock)),
            (None, true, _) => "template".to_owned(),
            (None, false, true) if vm.machine.as_ref().is_some_and(|machine| machine.halted.is_some()) => {
                "halted".to_owned()
            }
            (None, false, true) => "running".to_owned(),
            (None, false, false) => "stopped".to_owned(),
        };
        let addresses = reach.of(vm.id).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let mac = vm.live.net0.as_ref().and_then(|net| net.mac.as_deref()).filter(|_| !vm.template).unwrap_or_default();
        let mut row = vec![vm.id.to_string(), safe(&vm.name).into_owned(), state, addresses, safe(mac).into_owned()];
        if cluster {
            row.insert(2, safe(&vm.live.node).into_owned());
        }
        row
    });
    out.push('\n');
    let mut head = vec!["VM", "name", "state", "address", "MAC"];
    if cluster {
        head.insert(2, "node");
    }
    out.push_str(&table(&head, vms, console.width()));
    let machines: Vec<_> = summary.vms.iter().filter_map(|vm| Some((vm.id, vm.machine.as_ref()?))).collect();
    if !machines.is_empty() {
        out.push('\n');
        let rows = machines.iter().map(|(id, machine)| {
            let unknown = || "?".to_owned();
            vec![
                id.to_string(),
                machine.pid.map_or_else(unknown, |pid| pid.to_string()),
                uptime(machine.started.at_ms),
                machine.started.memory_mb.to_string(),
                machine.resident_mb.map_or_else(unknown, |mb| mb.to_string()),
                format!("127.0.0.1:{}", machine.started.ssh_port),
                safe(&machine.started.accelerator).into_owned(),
            ]
        });
        let head = ["VM", "pid", "up", "memory MiB", "used MiB", "ssh", "by"];
        out.push_str(&table(&head, rows, console.width()));
        out.push('\n');
        for (id, machine) in &machines {
            if let Some(why) = &machine.halted {
                out.push_str(&format!("{}\n", safe(why)));
            }
            let log = machine.console_log.display().to_string();
            out.push_str(&format!("console of VM {id}: `phoenix console {id}`, log {}\n", safe(&log)));
        }
    }
    if let Some(nfs) = summary.nfs {
        out.push_str(&format!("\nNFS server: {}\n", nfs_server(nfs)));
    }
    let running = summary.tasks.iter().filter(|task| task.status.is_none()).count();
    out.push_str(&format!("\ntasks: {} ended, {running} running\n", summary.tasks.len() - running));
    let mut notices = reach.notices;
    for notice in &mut notices {
        let vm = summary.vms.iter().find(|vm| Some(vm.id) == notice.vm);
        notice.name = vm.map(|vm| vm.name.clone());
    }
    Ok((out, notices))
}

/// A line for each node.
fn nodes(settings: &Settings) -> String {
    let bridges: Vec<String> = settings
        .bridges
        .iter()
        .map(|(bridge, address)| match address {
            Some(address) => format!("{} ({})", safe(bridge), safe(address)),
            None => safe(bridge).into_owned(),
        })
        .collect();
    let mut out = format!(
        "node {}: {} MiB of memory, {} CPUs, bridges {}\n",
        safe(&settings.name),
        settings.memory_mb,
        settings.cpus,
        bridges.join(", "),
    );
    for (name, member) in &settings.nodes {
        let sizes: Vec<String> =
            member.storage_gb.iter().map(|(id, size)| format!("{} ({size} GiB)", safe(id))).collect();
        out.push_str(&format!(
            "node {}: {} MiB of memory, {} CPUs, bridges {}{}{}\n",
            safe(name),
            member.memory_mb,
            member.cpus,
            member.bridges.keys().map(|bridge| safe(bridge)).collect::<Vec<_>>().join(", "),
            if sizes.is_empty() { String::new() } else { format!(", storages {}", sizes.join(", ")) },
            if member.online { "" } else { ", not online" },
        ));
    }
    out
}

fn nfs_server(state: NfsState) -> String {
    match state {
        NfsState::Stopped => "not running, no guest needs it".to_owned(),
        NfsState::Serves { pid, port } => format!("process {pid}, on port {port} of 127.0.0.1"),
        NfsState::Silent { pid } => format!("process {pid} does not answer; `kill -9 {pid}` ends it"),
        NfsState::Died => "not running, though guests need it: `phoenix apply` starts it".to_owned(),
    }
}

/// How long ago a moment in milliseconds since 1970 was, in its two largest units.
fn uptime(since_ms: u64) -> String {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let seconds = now.saturating_sub(since_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}
