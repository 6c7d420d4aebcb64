//! Snapshots: taken, removed, gone back to.

use phoenix::hypervisor::{Effect, FaultKind, HostOp};
use phoenix::model::{Digest, GIB, Record};
use phoenix::observed::{Conf, snapshot_section, with_record};

use crate::world::{Check, World, id};

pub(crate) const CHECKS: [Check; 4] = [
    ("a snapshot", taken),
    ("the way back", gone_back),
    ("the way back of a VM that runs", gone_back_running),
    ("what cannot be snapshotted", refused),
];

fn snapshot(world: &World, vm: u32, name: &str) -> HostOp {
    let description = with_record("why: ü", &Record::creating("default", id(vm))).unwrap();
    HostOp::Snapshot { vm: id(vm), name: name.to_owned(), description, digest: world.vm(vm).digest }
}

fn remove(vm: u32, name: &str) -> HostOp {
    HostOp::RemoveSnapshot { vm: id(vm), name: name.to_owned() }
}

fn rollback(world: &World, vm: u32, name: &str, start: bool) -> HostOp {
    HostOp::Rollback { vm: id(vm), name: name.to_owned(), start, digest: world.vm(vm).digest }
}

fn taken(world: &World) {
    world.put_running(500, &["onboot: 1"]);
    let conf = world.config(500);
    world.done(&snapshot(world, 500, "phoenix_1"));
    let vm = world.vm(500);
    world.same("snapshots", vm.snapshots.clone(), vec!["phoenix_1".to_owned()]);
    world.holds("it runs on, without a lock", vm.running && vm.lock.is_none());
    let section = snapshot_section(&world.config(500), "phoenix_1").unwrap();
    let words = with_record("why: ü", &Record::creating("default", id(500))).unwrap();
    world.same("its own words", Conf::parse(&section).description(), words);
    world.same("what it says", Conf::parse(&section).get("onboot").map(str::to_owned), Some("1".to_owned()));
    world.done(&snapshot(world, 500, "phoenix_2"));
    world.refused(&snapshot(world, 500, "phoenix_2"), FaultKind::Refused, Effect::None);
    world.done(&remove(500, "phoenix_2"));
    world.done(&remove(500, "phoenix_1"));
    world.same("all is as before", world.config(500), conf);
    world.fails("a second removal", world.perform(&remove(500, "phoenix_1")), FaultKind::Missing);
    world.same("nothing works on it any more", world.answer("working", world.target.working(id(500))), None);
}

fn gone_back(world: &World) {
    world.put(501, &["onboot: 1"]);
    world.done(&snapshot(world, 501, "phoenix_1"));
    world.done(&world.configure(501, &["cores=4", "onboot", "description=newer"]));
    world.done(&HostOp::Resize { vm: id(501), disk: "scsi0".to_owned(), size_gb: 5 });
    world.done(&rollback(world, 501, "phoenix_1", false));
    let vm = world.vm(501);
    world.same("values", (vm.cpu_cores, vm.onboot), (2, true));
    world.same("size", vm.boot_disk.and_then(|disk| disk.size), Some(3 * GIB));
    world.same("the notes stay", vm.notes.as_str(), "newer");
    world.same("the snapshot stays", vm.snapshots, vec!["phoenix_1".to_owned()]);
    world.holds("it is off, and not locked", !vm.running && vm.lock.is_none());
}

fn gone_back_running(world: &World) {
    world.put_running(502, &[]);
    world.done(&snapshot(world, 502, "phoenix_1"));
    world.write("guests/502/later", "x");
    world.done(&rollback(world, 502, "phoenix_1", true));
    world.holds("it runs", world.vm(502).running);
    world.holds("its disk is as it was", !world.path("guests/502/later").exists());
    world.done(&rollback(world, 502, "phoenix_1", false));
    world.holds("it was switched off", !world.vm(502).running);
}

fn refused(world: &World) {
    world.put(503, &["lock: backup"]);
    world.refused(&snapshot(world, 503, "phoenix_1"), FaultKind::Busy, Effect::None);
    world.put(504, &["scsi0: local:504/vm-504-disk-0.raw,size=3G"]);
    world.refused(&snapshot(world, 504, "phoenix_1"), FaultKind::Refused, Effect::None);
    world.put(505, &[]);
    let old = snapshot(world, 505, "phoenix_1");
    let back = rollback(world, 505, "phoenix_1", false);
    world.refused(&back, FaultKind::Missing, Effect::None);
    world.done(&world.configure(505, &["cores=3"]));
    let conf = world.config(505);
    world.refused(&old, FaultKind::Stale, Effect::None);
    world.refused(&back, FaultKind::Stale, Effect::None);
    world.same("configuration", world.config(505), conf);
    for op in [
        remove(777, "phoenix_1"),
        HostOp::Rollback { vm: id(777), name: "phoenix_1".to_owned(), start: false, digest: Digest("0".repeat(40)) },
    ] {
        world.refused(&op, FaultKind::Missing, Effect::None);
    }
}
