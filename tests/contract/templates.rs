//! VMs that become templates.

use phoenix::hypervisor::{Effect, FaultKind, HostOp};
use phoenix::model::Digest;

use crate::world::{Check, World, id, start};

pub(crate) const CHECKS: [Check; 3] =
    [("a template", made), ("half a template", made_to_its_end), ("what becomes no template", refused)];

fn template(world: &World, vm: u32, disk: Option<&str>) -> HostOp {
    HostOp::Template { vm: id(vm), disk: disk.map(ToOwned::to_owned), digest: world.vm(vm).digest }
}

fn volumes(world: &World, vm: u32) -> Vec<String> {
    let mut found = world.answer("volumes", world.target.volumes(id(vm)));
    found.sort_unstable();
    found
}

fn made(world: &World) {
    world.put(600, &["scsi1: local:600/vm-600-disk-0.qcow2,size=1G", "ide2: local-zfs:vm-600-cloudinit,media=cdrom"]);
    world.write("images/local/600/vm-600-disk-0.qcow2", "1073741824");
    world.write("images/local-zfs/600/vm-600-cloudinit", "4194304");
    world.done(&template(world, 600, None));
    let vm = world.vm(600);
    world.holds("it is a template, and nothing is left to do", vm.template && vm.unconverted().next().is_none());
    world.holds("options of the disk stay", world.config(600).contains("base-600-disk-0,discard=on"));
    let named = ["local-zfs:base-600-disk-0", "local-zfs:vm-600-cloudinit", "local:600/base-600-disk-0.qcow2"];
    world.same("its volumes", volumes(world, 600), named.map(ToOwned::to_owned).to_vec());
    world.refused(&template(world, 600, None), FaultKind::Refused, Effect::None);
    world.fails("a start", world.perform(&start(600)), FaultKind::Failed);
    let (name, description) = ("linked".to_owned(), "x".to_owned());
    world.done(&HostOp::Clone { source: id(600), target: id(601), name, description, storage: None, node: None });
    world.holds("a linked clone is built on it", world.config(601).contains("base-600-disk-0/vm-601-disk-0"));
    world.same("nothing works on it any more", world.answer("working", world.target.working(id(600))), None);
}

fn made_to_its_end(world: &World) {
    world.put(602, &["template: 1"]);
    world.done(&template(world, 602, Some("scsi0")));
    let vm = world.vm(602);
    world.holds("nothing is left to do", vm.template && vm.unconverted().next().is_none());
    world.same("its volume", volumes(world, 602), vec!["local-zfs:base-602-disk-0".to_owned()]);
}

fn refused(world: &World) {
    world.put_running(603, &[]);
    world.refused(&template(world, 603, None), FaultKind::Refused, Effect::None);
    world.put(604, &["lock: backup"]);
    world.refused(&template(world, 604, None), FaultKind::Busy, Effect::None);
    world.put(605, &[]);
    let digest = world.vm(605).digest;
    let description = "x".to_owned();
    world.done(&HostOp::Snapshot { vm: id(605), name: "before".to_owned(), description, digest });
    world.refused(&template(world, 605, None), FaultKind::Refused, Effect::None);
    world.put(606, &[]);
    let old = template(world, 606, None);
    world.done(&world.configure(606, &["cores=3"]));
    let conf = world.config(606);
    world.refused(&old, FaultKind::Stale, Effect::None);
    world.same("configuration", world.config(606), conf);
    let nobody = HostOp::Template { vm: id(777), disk: None, digest: Digest("0".repeat(40)) };
    world.refused(&nobody, FaultKind::Missing, Effect::None);
}
