//! Disks: moved to another storage, and what a guest has of them.

use phoenix::guest;
use phoenix::hypervisor::{Effect, FaultKind, GuestStatus, HostOp};
use phoenix::model::{Digest, GIB, VmId};
use phoenix::observed::{Conf, ListedVolume};

use crate::world::{Check, World, id, start};

pub(crate) const CHECKS: [Check; 9] = [
    ("a disk moves", moves),
    ("a disk moves while its VM runs", moves_running),
    ("a disk moves and its source goes", moves_for_good),
    ("a disk that cannot move", does_not_move),
    ("a guest follows its disk", guest_follows),
    ("a volume is attached", attached),
    ("a volume is attached to a running VM", attached_running),
    ("a CD drive of a stopped VM", cd_drive),
    ("a CD drive of a running VM", cd_drive_running),
];

fn move_disk(world: &World, vm: u32, storage: &str, delete_source: bool) -> HostOp {
    let (disk, storage) = ("scsi0".to_owned(), storage.to_owned());
    HostOp::MoveDisk { vm: id(vm), disk, storage, delete_source, digest: world.vm(vm).digest }
}

/// Device, volume and size of each volume that a VM's configuration names.
fn volumes(world: &World, vm: u32) -> Vec<(String, String)> {
    world.vm(vm).volumes.into_iter().map(|volume| (volume.device, volume.volume)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(device, volume)| ((*device).to_owned(), (*volume).to_owned())).collect()
}

fn moves(world: &World) {
    world.put(400, &["unused0: local-zfs:vm-400-disk-7"]);
    world.done(&move_disk(world, 400, "local", false));
    let vm = world.vm(400);
    let disk = vm.boot_disk.unwrap();
    world.same("where it lies", (disk.storage.as_str(), disk.size), ("local", Some(3 * GIB)));
    world.holds("options of the disk stay", world.config(400).contains("discard=on"));
    let unused = [("unused0", "local-zfs:vm-400-disk-7"), ("unused1", "local-zfs:vm-400-disk-0")];
    let mut found = volumes(world, 400);
    found.retain(|(device, _)| device.starts_with("unused"));
    world.same("the source stays", found, pairs(&unused));
    let there = world.answer("volumes", world.target.volumes(id(400)));
    world.holds("both are there", there.contains(&disk.volume) && there.contains(&unused[1].1.to_owned()));
    world.same("nothing works on it any more", world.answer("working", world.target.working(id(400))), None);
    world.holds("no lock", vm.lock.is_none());
}

fn moves_running(world: &World) {
    world.put_running(401, &[]);
    world.done(&move_disk(world, 401, "local", false));
    let vm = world.vm(401);
    world.holds("it runs, and nothing waits", vm.running && vm.pending.is_empty());
    world.same("where it lies", vm.boot_disk.unwrap().storage.as_str(), "local");
}

fn moves_for_good(world: &World) {
    world.put(402, &[]);
    world.done(&move_disk(world, 402, "local", true));
    let disk = world.vm(402).boot_disk.unwrap();
    world.same("all that is named", volumes(world, 402), pairs(&[("scsi0", &disk.volume)]));
    world.same("all that is there", world.answer("volumes", world.target.volumes(id(402))), vec![disk.volume]);
}

fn does_not_move(world: &World) {
    world.put(403, &[]);
    let conf = world.config(403);
    for (storage, kind) in
        [("nosuch", FaultKind::Missing), ("local-nfs", FaultKind::Refused), ("local-zfs", FaultKind::Refused)]
    {
        world.refused(&move_disk(world, 403, storage, false), kind, Effect::None);
    }
    let of = |vm: VmId, disk: &str, digest: Digest| {
        let (disk, storage) = (disk.to_owned(), "local".to_owned());
        HostOp::MoveDisk { vm, disk, storage, delete_source: false, digest }
    };
    let digest = world.vm(403).digest;
    world.refused(&of(id(403), "scsi9", digest.clone()), FaultKind::Missing, Effect::None);
    world.refused(&of(id(403), "scsi0", Digest("0".repeat(40))), FaultKind::Stale, Effect::None);
    world.refused(&of(id(777), "scsi0", digest), FaultKind::Missing, Effect::None);
    world.same("configuration", world.config(403), conf);
    world.same("volumes", world.target.volumes(id(403)).unwrap().len(), 1);
    world.put(404, &["lock: backup"]);
    world.refused(&move_disk(world, 404, "local", false), FaultKind::Busy, Effect::None);
    // Its snapshots hold on to the source.
    world.put(405, &["parent: before"]);
    let conf = format!("{}\n[before]\nscsi0: local-zfs:vm-405-disk-0,size=3G\n", world.config(405));
    world.write("qemu-server/405.conf", &conf);
    world.refused(&move_disk(world, 405, "local", true), FaultKind::Refused, Effect::None);
    world.same("configuration", world.config(405), conf);
    // Without erasing it the disk moves, whatever is said about the snapshots.
    let _ = world.perform(&move_disk(world, 405, "local", false));
    world.same("where it lies", world.vm(405).boot_disk.unwrap().storage.as_str(), "local");
    world.holds("the snapshot is as it was", world.config(405).ends_with("scsi0: local-zfs:vm-405-disk-0,size=3G\n"));
}

fn guest_follows(world: &World) {
    world.put_running(406, &[]);
    let grown = || {
        let guests = world.target.guests();
        let pid = world.answer("start", guests.start(id(406), &guest::grow_filesystem().argv, b""));
        let GuestStatus::Ended(exit) = world.answer("status", guests.status(id(406), pid)) else { panic!("it runs") };
        guest::read_grown(&exit).unwrap()
    };
    world.same("as large as its disk", grown(), guest::Grown::Already);
    world.done(&HostOp::Resize { vm: id(406), disk: "scsi0".to_owned(), size_gb: 5 });
    world.same("it grows", grown(), guest::Grown::Now);
    world.same("once", grown(), guest::Grown::Already);
    world.done(&HostOp::Resize { vm: id(406), disk: "scsi0".to_owned(), size_gb: 6 });
    world.done(&HostOp::Stop { vm: id(406) });
    world.done(&start(406));
    world.same("by itself when it boots", grown(), guest::Grown::Already);
}

fn attached(world: &World) {
    world.put(420, &["unused0: local-zfs:vm-420-disk-7", "unused1: local-zfs:vm-420-disk-6"]);
    world.write("images/local-zfs/420/vm-420-disk-7", "2147483648\next4 0123 2147483648\n");
    let listed = world.answer("listed", world.target.listed(&[id(420)], &["local-zfs", "local"]));
    world.same("storages that were asked", listed.keys().map(String::as_str).collect(), vec!["local", "local-zfs"]);
    let of = |gib: u64| Some(ListedVolume { vm: id(420), size: Some(gib * GIB) });
    world.same("as listed", listed["local-zfs"].get("local-zfs:vm-420-disk-7").copied(), of(2));
    world.same("the boot disk, too", listed["local-zfs"].get("local-zfs:vm-420-disk-0").copied(), of(3));
    world.done(&world.configure(420, &["scsi2=local-zfs:vm-420-disk-7,backup=0"]));
    let now = option(world, 420, "scsi2");
    world.same("with its size", now.as_deref(), Some("local-zfs:vm-420-disk-7,backup=0,size=2G"));
    world.same("unused no more", option(world, 420, "unused0"), None);
    world.same("the other stays", option(world, 420, "unused1").as_deref(), Some("local-zfs:vm-420-disk-6"));
    world.holds("what is on it stays", world.read("images/local-zfs/420/vm-420-disk-7").ends_with("2147483648\n"));
    world.done(&HostOp::Resize { vm: id(420), disk: "scsi2".to_owned(), size_gb: 4 });
    world.done(&world.configure(420, &["scsi2"]));
    world.same("detached", option(world, 420, "unused0").as_deref(), Some("local-zfs:vm-420-disk-7"));
    let conf = world.config(420);
    let missing = world.configure(420, &["scsi3=local-zfs:vm-420-disk-9"]);
    world.refused(&missing, FaultKind::Missing, Effect::None);
    world.same("configuration", world.config(420), conf);
}

fn attached_running(world: &World) {
    world.put_running(421, &["unused0: local-zfs:vm-421-disk-7"]);
    world.write("images/local-zfs/421/vm-421-disk-7", "2147483648");
    world.done(&world.configure(421, &["scsi2=local-zfs:vm-421-disk-7"]));
    let vm = world.vm(421);
    world.holds("at once", vm.running && vm.pending.is_empty());
    let there = pairs(&[("scsi0", "local-zfs:vm-421-disk-0"), ("scsi2", "local-zfs:vm-421-disk-7")]);
    world.same("its volumes", volumes(world, 421), there);
}

/// Puts images on a storage of the node, which then has these.
fn images(world: &World) {
    std::fs::create_dir_all(world.path("root/var/lib/vz/template/iso")).unwrap();
    for name in ["a.iso", "b.IMG", "c.txt"] {
        world.write(&format!("root/var/lib/vz/template/iso/{name}"), "12345678");
    }
    let found = world.answer("isos", world.target.isos(&["local"]));
    let images = ["local:iso/a.iso", "local:iso/b.IMG"].map(str::to_owned);
    world.same("its images", found, [("local".to_owned(), images.clone().into())].into());
    let here = world.answer("observe", world.target.observe()).here;
    let found = world.answer("isos of a node", world.target.isos_of(&here, "local"));
    world.same("a node's images", found, Some(images.into()));
}

/// An option of a VM as its file has it.
fn option(world: &World, vm: u32, name: &str) -> Option<String> {
    Conf::parse(&world.config(vm)).get(name).map(str::to_owned)
}

fn cd_drive(world: &World) {
    images(world);
    world.put(410, &[]);
    world.done(&world.configure(410, &["ide0=local:iso/a.iso,media=cdrom", "sata1=none,media=cdrom"]));
    world.same("what is in it", option(world, 410, "ide0").as_deref(), Some("local:iso/a.iso,media=cdrom,size=8"));
    world.same("new ones boot last", option(world, 410, "boot").as_deref(), Some("order=scsi0;ide0;sata1"));
    world.done(&world.configure(410, &["ide0=none,media=cdrom", "boot=order=sata1;scsi0"]));
    world.same("ejected", option(world, 410, "ide0").as_deref(), Some("none,media=cdrom"));
    world.done(&world.configure(410, &["sata1"]));
    world.same("none boots that is gone", option(world, 410, "boot").as_deref(), Some("order=scsi0"));
    world.holds("nothing is left of it", !world.config(410).contains("unused"));
    for (write, kind) in [
        ("ide0=local:iso/nope.iso,media=cdrom", FaultKind::Missing),
        ("ide0=nope:iso/a.iso,media=cdrom", FaultKind::Missing),
        ("ide0=local:iso/a.iso", FaultKind::Refused),
        ("boot=order=scsi0;net7", FaultKind::Missing),
    ] {
        world.refused(&world.configure(410, &[write]), kind, Effect::None);
    }
}

fn cd_drive_running(world: &World) {
    images(world);
    world.put_running(411, &["ide1: none,media=cdrom"]);
    world.done(&world.configure(411, &["ide1=local:iso/a.iso,media=cdrom"]));
    world.same("at once", option(world, 411, "ide1").as_deref(), Some("local:iso/a.iso,media=cdrom,size=8"));
    world.done(&world.configure(411, &["ide0=local:iso/a.iso,media=cdrom"]));
    let waits = |vm: u32| world.vm(vm).pending.into_keys().collect::<Vec<_>>();
    world.same("a new one waits, and its place in the order", waits(411), ["boot", "ide0"].map(str::to_owned).into());
    world.put_running(412, &["ide1: none,media=cdrom"]);
    world.done(&world.configure(412, &["scsi3=local:iso/a.iso,media=cdrom"]));
    world.same("one of SCSI is plugged in", waits(412), ["boot".to_owned()].into());
    world.done(&world.configure(412, &["ide1"]));
    world.same("one of IDE leaves at a stop", waits(412), ["boot", "ide1"].map(str::to_owned).into());
    world.refused(&world.configure(412, &["scsi4=none,media=cdrom"]), FaultKind::Hotplug, Effect::Maybe);
}
