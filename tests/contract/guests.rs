//! Guests, through their agents.

use phoenix::hypervisor::{Effect, FaultKind, GuestExit, GuestStatus, HostOp, Plugged};

use crate::world::{Check, World, id, start};

pub(crate) const CHECKS: [Check; 6] = [
    ("an agent that cannot answer", no_agent),
    ("a program in a guest", program),
    ("an answer is given once", once),
    ("the addresses of a guest", addresses),
    ("a guest without a driver for its card", driver),
    ("CPUs and memory that a guest uses", online),
];

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&word| word.to_owned()).collect()
}

/// Runs a program that ends at once.
#[track_caller]
fn run(world: &World, vm: u32, argv: &[&str]) -> GuestExit {
    let guests = world.target.guests();
    let pid = world.answer("start", guests.start(id(vm), &words(argv), b""));
    match world.answer("status", guests.status(id(vm), pid)) {
        GuestStatus::Ended(exit) => exit,
        GuestStatus::Running => panic!("{argv:?} still runs"),
    }
}

fn no_agent(world: &World) {
    let guests = world.target.guests();
    world.put(300, &[]);
    world.put_running(301, &["agent: 0"]);
    for (vm, kind) in [(777, FaultKind::Missing), (300, FaultKind::AgentDown), (301, FaultKind::Refused)] {
        let fault = world.fails("ping", guests.ping(id(vm)), kind);
        world.same("effect", fault.effect, Effect::None);
        world.fails("addresses", guests.addresses(id(vm)), kind);
        world.fails("online", guests.online(id(vm), Plugged::Memory), kind);
        world.fails("start", guests.start(id(vm), &words(&["true"]), b""), kind);
    }
}

fn program(world: &World) {
    world.put_running(302, &[]);
    let guests = world.target.guests();
    world.answer("ping", guests.ping(id(302)));
    let exit = run(world, 302, &["cloud-init", "status", "--format", "json"]);
    world.holds("standard output arrives", exit.code == Some(0) && exit.out.contains("\"status\":\"done\""));
    let text = "exit 0 # $(x) ' \" \\ ; -- *";
    let script = ["/bin/sh", "-c", text, "phoenix-mount", "192.0.2.9:/a $(b) 'c'", "/srv/-- \\d", "prove"];
    world.same("a script", run(world, 302, &script).out.as_str(), "mounted\n");
    world.same("again", run(world, 302, &script).out.as_str(), "already\n");
    let fstab = world.read("guests/302/fstab");
    world.holds(&format!("words arrive as they are: {fstab}"), fstab.contains("$(b)") && fstab.contains("'c'"));
    let exit = run(world, 302, &["no-such-program", "--flag"]);
    world.same("an exit status is an answer", exit.code, Some(127));
    world.holds("standard error arrives", exit.err.contains("no-such-program") && exit.out.is_empty());
    match guests.start(id(302), &words(&["prögram→"]), b"") {
        Err(fault) => world.same("not ASCII", (fault.kind, fault.effect), (FaultKind::Refused, Effect::None)),
        Ok(pid) => {
            let GuestStatus::Ended(exit) = guests.status(id(302), pid).unwrap() else { panic!("still runs") };
            world.holds("not ASCII, and as it was", exit.err.contains("prögram→"));
        }
    }
}

fn once(world: &World) {
    world.put_running(303, &[]);
    let guests = world.target.guests();
    let first = world.answer("start", guests.start(id(303), &words(&["one"]), b""));
    let second = world.answer("start", guests.start(id(303), &words(&["two"]), b""));
    world.holds("a pid of its own", first != second);
    for (pid, name) in [(second, "two"), (first, "one")] {
        let GuestStatus::Ended(exit) = world.answer("status", guests.status(id(303), pid)) else { panic!("{name}") };
        world.holds("it is the program's own", exit.err.contains(name));
        let fault = world.fails("asked again", guests.status(id(303), pid), FaultKind::Garbled);
        world.holds("Proxmox's words", fault.what.contains("Invalid parameter 'pid'"));
    }
}

fn addresses(world: &World) {
    world.put_running(304, &["ipconfig0: ip=192.0.2.44/24,gw=192.0.2.1"]);
    let found = world.answer("addresses", world.target.guests().addresses(id(304)));
    let mac = world.vm(304).net0.and_then(|net| net.mac).unwrap();
    let own = found.iter().filter(|address| address.mac.eq_ignore_ascii_case(&mac));
    let own: Vec<String> = own.filter_map(|address| Some(address.address?.to_string())).collect();
    world.holds(&format!("net0's address is among {found:?}"), own.contains(&"192.0.2.44".to_owned()));
    world.holds("others are told apart", found.len() > own.len());
}

fn driver(world: &World) {
    let card = |model: &str| format!("net0: {model}=BC:24:11:00:00:05,bridge=vmbr0");
    for (model, has_card) in [("virtio", true), ("rtl8139", false)] {
        world.put(305, &[&card(model)]);
        world.done(&start(305));
        let found = world.answer("addresses", world.target.guests().addresses(id(305)));
        let card = found.iter().any(|found| found.mac.eq_ignore_ascii_case("BC:24:11:00:00:05"));
        world.same(&format!("a guest with a card {model} has it"), card, has_card);
        world.holds("others are there", !found.is_empty());
        world.done(&HostOp::Stop { vm: id(305) });
    }
}

/// The guests of this node leave memory offline that comes while they run, and bring CPUs online.
fn online(world: &World) {
    let plugs = ["cores: 4", "vcpus: 2", "memory: 2048", "numa: 1", "hotplug: cpu,memory"];
    world.put_running(306, &plugs);
    let uses = |about: &str, cpus: u64, mib: u64| {
        let guests = world.target.guests();
        let memory = world.answer("memory", guests.online(id(306), Plugged::Memory));
        world.same(about, (world.answer("CPUs", guests.online(id(306), Plugged::Cpus)), memory), (cpus, mib << 20));
    };
    uses("what it booted with", 2, 2048);
    world.done(&world.configure(306, &["vcpus=4", "memory=4096"]));
    world.holds("the VM has it at once", world.vm(306).pending.is_empty());
    uses("CPUs, no memory", 4, 2048);
    world.done(&HostOp::Stop { vm: id(306) });
    world.done(&start(306));
    uses("after a restart", 4, 4096);
    world.done(&HostOp::Stop { vm: id(306) });
}
