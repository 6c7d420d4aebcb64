//! VMs: seen, cloned, configured, started, stopped, removed.

use std::thread;

use phoenix::hypervisor::{Cloning, Effect, FaultKind, HostOp, Hypervisor, NewDisk};
use phoenix::model::{CloudImage, Digest, GIB, Record, SshKey};
use phoenix::observed::{Conf, encode_keys, with_record};

use crate::world::{Check, DEADLINE, World, id, start, write};

pub(crate) const CHECKS: [Check; 27] = [
    ("what is not there", nothing_there),
    ("an observation", observation),
    ("a full clone", full_clone),
    ("a linked clone", linked_clone),
    ("a clone onto an existing VMID", clone_onto_another),
    ("a clone of nothing, or to nowhere", clone_of_nothing),
    ("the digest guards a write", digest_guards),
    ("a write is all or nothing", all_or_nothing),
    ("a running VM takes what it can", pending),
    ("a running VM's cloud-init drive", cloud_init),
    ("a new cloud-init drive", cloud_init_drive),
    ("a VM from an image", from_image),
    ("a further disk from an image", further_image),
    ("images that are not there, or not what they should be", no_image),
    ("a card that cannot be plugged", hotplug),
    ("an option that is not set is deleted", delete_unset),
    ("a disk grows", resize),
    ("a start", starts),
    ("a start on a bridge that is not there", start_without_bridge),
    ("a locked VM", locked),
    ("a shutdown", shutdown),
    ("a stop by force", stop),
    ("a leftover with our record", leftover),
    ("a leftover that is a placeholder", placeholder),
    ("a VM that is no leftover", no_leftover),
    ("the end of a VM", destroy),
    ("what forbids the end of a VM", destroy_refused),
];

fn clone(target: u32, storage: Option<&str>) -> HostOp {
    HostOp::Clone {
        source: id(9000),
        target: id(target),
        name: "web".to_owned(),
        description: with_record("a: ü\nb", &Record::creating("default", id(target))).unwrap(),
        storage: storage.map(str::to_owned),
        node: None,
    }
}

fn nothing_there(world: &World) {
    world.is_gone(777);
    world.same("volumes", world.answer("volumes", world.target.volumes(id(777))), Vec::new());
    world.same("cloning", world.answer("cloning", world.target.cloning(id(777))), Cloning::No);
    let missing = [
        HostOp::Configure { vm: id(777), write: write(&["cores=2"]), digest: Digest("0".repeat(40)) },
        HostOp::Revert { vm: id(777), keys: vec!["cores".to_owned()], digest: Digest("0".repeat(40)) },
        HostOp::Resize { vm: id(777), disk: "scsi0".to_owned(), size_gb: 9 },
        start(777),
        HostOp::Shutdown { vm: id(777) },
        HostOp::Stop { vm: id(777) },
        HostOp::Destroy { vm: id(777), digest: Digest("0".repeat(40)) },
        HostOp::RemoveLeftover { vm: id(777), unreferenced: true },
    ];
    for op in missing {
        world.refused(&op, FaultKind::Missing, Effect::None);
    }
    world.is_gone(777);
}

fn observation(world: &World) {
    world.put(100, &[]);
    world.put_running(101, &["tags: a;b"]);
    let (conf, first) = (world.read("qemu-server/101.conf"), world.answer("observe", world.target.observe()));
    let second = world.answer("observe", world.target.observe());
    world.holds("looking twice shows the same", first == second);
    world.same("looking changes nothing", world.read("qemu-server/101.conf"), conf.clone());
    world.same("the configuration is verbatim", world.config(101), conf);
    for vm in [100, 101, 9000] {
        world.same("one VM by itself", first.vms.get(&id(vm)), Some(&world.vm(vm)));
    }
    world.same("running", (world.vm(100).running, world.vm(101).running), (false, true));
    world.holds("the template is one", first.vms[&id(9000)].template);
    let node = first.own_node();
    world.same("the node's name is the one Proxmox uses", first.here.as_str(), "pve");
    world.holds("it is the only one and up", first.nodes.len() == 1 && node.online && node.name == first.here);
    world.holds("every VM is on it", first.vms.values().all(|vm| vm.node == first.here));
    world.holds("an NFS server is there", node.nfs_server && node.cpus > 0 && node.memory_mb > 0);
    world.holds("bridges have addresses", node.bridges["vmbr0"].as_deref() == Some("192.0.2.1"));
    let nfs = node.storages["local-nfs"].nfs.as_ref();
    world.holds("an NFS storage says where it comes from", nfs.is_some_and(|nfs| nfs.export.starts_with('/')));
    world.holds("storages say what they hold", node.storages["local-zfs"].images);
    world.holds("no clone runs", first.cloning.is_empty() && !first.unattributed_clone);
}

/// Looks at a VM while something goes on.
fn while_doing(target: &dyn Hypervisor, op: &HostOp, mut look: impl FnMut(&dyn Hypervisor)) -> bool {
    thread::scope(|scope| {
        let doing = scope.spawn(|| target.perform(op, DEADLINE));
        while !doing.is_finished() {
            look(target);
        }
        doing.join().unwrap().is_ok()
    })
}

fn full_clone(world: &World) {
    let template = world.vm(9000);
    let conf = world.config(9000);
    let mut seen = Vec::new();
    let done =
        while_doing(&*world.target, &clone(200, Some("local")), |target| seen.extend(target.vm(id(200)).unwrap()));
    world.holds("it succeeds", done);
    for vm in &seen {
        let ours = vm.record.valid().is_some();
        world.holds("it carries the record from the first moment", ours || vm.placeholder);
        world.holds(
            "it is locked until its disk is there",
            vm.lock.as_deref() == Some("clone") || vm.boot_disk.is_some(),
        );
    }
    let vm = world.vm(200);
    world.same("lock", vm.lock.clone(), None);
    world.same("name", vm.name.as_str(), "web");
    world.same("words", vm.description.as_str(), "a: ü\nb");
    world.same("record", vm.record.valid(), Some(&Record::creating("default", id(200))));
    let mac = |net: &Option<phoenix::observed::Net>| net.as_ref().and_then(|net| net.mac.clone()).unwrap();
    world.holds("a MAC of its own", mac(&vm.net0) != mac(&template.net0));
    world.holds("a uuid of its own", vm.uuid.is_some() && vm.uuid != template.uuid);
    world.same("the disk's storage", vm.boot_disk.as_ref().map(|disk| disk.storage.as_str()), Some("local"));
    let size = |vm: &phoenix::observed::VmObserved| vm.boot_disk.as_ref().and_then(|disk| disk.size);
    world.same("the disk's size", size(&vm), size(&template));
    world.holds("no template, and off", !vm.template && !vm.running);
    let volumes = world.answer("volumes", world.target.volumes(id(200)));
    world.holds("its volumes are listed", volumes.contains(&vm.boot_disk.unwrap().volume));
    world.same("no clone runs any more", world.answer("cloning", world.target.cloning(id(200))), Cloning::No);
    world.same("the template is untouched", world.config(9000), conf);
}

fn linked_clone(world: &World) {
    world.done(&clone(201, None));
    let vm = world.vm(201);
    let disk = vm.boot_disk.unwrap();
    world
        .holds("it is built on the template's disk", disk.storage == "local-zfs" && disk.volume.contains("base-9000-"));
    world.holds("it carries the record", vm.record.valid().is_some() && vm.lock.is_none());
}

fn clone_onto_another(world: &World) {
    world.put(202, &["name: theirs"]);
    let (conf, volumes) = (world.config(202), world.target.volumes(id(202)).unwrap());
    world.refused(&clone(202, Some("local-zfs")), FaultKind::Refused, Effect::None);
    world.refused(&clone(202, None), FaultKind::Refused, Effect::None);
    world.same("the other VM", (world.config(202), world.target.volumes(id(202)).unwrap()), (conf, volumes));
}

fn clone_of_nothing(world: &World) {
    let HostOp::Clone { target, name, description, storage, .. } = clone(203, Some("local-zfs")) else { return };
    let of_nothing = HostOp::Clone { source: id(777), target, name, description, storage, node: None };
    world.refused(&of_nothing, FaultKind::Missing, Effect::None);
    world.refused(&clone(203, Some("nosuch")), FaultKind::Missing, Effect::None);
    world.is_gone(203);
    world.same("volumes", world.answer("volumes", world.target.volumes(id(203))), Vec::new());
}

fn digest_guards(world: &World) {
    world.put(210, &[]);
    let first = world.configure(210, &["cores=3", "description=a: ü\n\n  b%"]);
    world.done(&first);
    let vm = world.vm(210);
    world.same("values", (vm.cpu_cores, vm.notes.as_str()), (3, "a: ü\n\n  b%"));
    let conf = world.config(210);
    world.refused(&first, FaultKind::Stale, Effect::None);
    let revert = HostOp::Revert { vm: id(210), keys: vec!["cores".to_owned()], digest: Digest("0".repeat(40)) };
    world.refused(&revert, FaultKind::Stale, Effect::None);
    world.same("configuration", world.config(210), conf);
}

fn all_or_nothing(world: &World) {
    world.put(211, &[]);
    let conf = world.config(211);
    for bad in ["memory=lots", "tags=-x", "name=a b", "net0=card,bridge=vmbr0", "nosuch=1", "nosuch"] {
        world.refused(&world.configure(211, &["cores=4", "onboot=1", bad]), FaultKind::Refused, Effect::None);
        world.same(bad, world.config(211), conf.clone());
    }
}

fn pending(world: &World) {
    world.put_running(212, &[]);
    world.done(&world.configure(212, &["memory=2048", "tags=x", "name=www", "onboot=1"]));
    let vm = world.vm(212);
    world.same("at once", (vm.name.as_str(), vm.tags.clone(), vm.onboot), ("www", vec!["x".to_owned()], true));
    world.same("waits", vm.pending.keys().map(String::as_str).collect::<Vec<_>>(), ["memory"].into());
    world.same("what it will have", vm.memory_mb, 2048);
    world.done(&world.configure(212, &["memory=1024"]));
    world.holds("what it has already does not wait", world.vm(212).pending.is_empty());
    world.done(&world.configure(212, &["memory=2048"]));
    world.done(&HostOp::Shutdown { vm: id(212) });
    world.done(&start(212));
    world.holds("a stop and a start take it over", world.vm(212).pending.is_empty());
    world.same("memory", Conf::parse(&world.config(212)).get("memory").map(str::to_owned), Some("2048".to_owned()));
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk";

fn cloud_init(world: &World) {
    let drive = "ide2: local-zfs:vm-284-cloudinit,media=cdrom,size=4M";
    world.put_running(284, &[drive, "cipassword: $5$salt$hash", "ciuser: before"]);
    let keys = encode_keys(&[SshKey::parse(KEY).unwrap()]);
    let write = ["ciuser=after", "ipconfig0=ip=192.0.2.24/24,gw=192.0.2.1", "nameserver=192.0.2.53"];
    world.done(&world.configure(284, &[&write[..], &[&format!("sshkeys={keys}")]].concat()));
    let vm = world.vm(284);
    world.same("at once", (vm.cloud_init.user.as_str(), vm.pending.len()), ("after", 0));
    world.same("the keys are those of the file", vm.cloud_init.ssh_keys.len(), 1);
    world.holds("byte by byte", world.config(284).contains(&format!("\nsshkeys: {keys}\n")));
    world.same("a password stays", vm.cloud_init.drive.as_deref(), Some("ide2"));
    world.holds("as it was", world.config(284).contains("\ncipassword: $5$salt$hash\n"));
    world.same(
        "not in the drive",
        vm.cloud_init.not_in_drive,
        ["ciuser", "ipconfig0", "nameserver", "sshkeys"].map(str::to_owned).into(),
    );
    world.done(&HostOp::UpdateCloudInit { vm: id(284) });
    world.holds("now they are", world.vm(284).cloud_init.not_in_drive.is_empty());
    world.done(&world.configure(284, &["sshkeys", "ciuser=third"]));
    world.same("gone", world.vm(284).cloud_init.ssh_keys.len(), 0);
    world.done(&HostOp::Shutdown { vm: id(284) });
    world.done(&start(284));
    world.holds("a start makes the drive", world.vm(284).cloud_init.not_in_drive.is_empty());
    world.refused(&HostOp::UpdateCloudInit { vm: id(777) }, FaultKind::Missing, Effect::None);
}

fn cloud_init_drive(world: &World) {
    world.put(285, &[]);
    world.done(&world.configure(285, &["ide2=local-zfs:cloudinit"]));
    world.same("it is there", world.vm(285).cloud_init.drive.as_deref(), Some("ide2"));
    let volume = "local-zfs:vm-285-cloudinit".to_owned();
    world.holds("its volume", world.answer("volumes", world.target.volumes(id(285))).contains(&volume));
    // As if the run that made it had been killed before it was attached.
    world.put(285, &[]);
    world.refused(&world.configure(285, &["ide2=local-zfs:cloudinit"]), FaultKind::Refused, Effect::None);
    world.done(&world.configure(285, &[&format!("ide2={volume},media=cdrom")]));
    world.same("it is there again", world.vm(285).cloud_init.drive.as_deref(), Some("ide2"));
    world.put_running(286, &[]);
    world.done(&world.configure(286, &["ide2=local-zfs:cloudinit"]));
    let vm = world.vm(286);
    world.same("it waits", vm.pending.keys().map(String::as_str).collect::<Vec<_>>(), ["ide2"].into());
    world.same("and counts", vm.cloud_init.drive.as_deref(), Some("ide2"));
}

/// An image of 2 GiB, as far as its head says, and its digest.
fn image(world: &World) -> CloudImage {
    let mut head = vec![0; 4096];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    head[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    let path = world.path("image.qcow2");
    std::fs::write(&path, head).unwrap();
    let source = std::path::absolute(path).unwrap().display().to_string();
    let sha256 = "02459c7469fde7f0c1bd57453cfa01f36635aec073d02ecb8cbd37abce2971e7".to_owned();
    CloudImage { source, sha256: Some(sha256), sha512: None }
}

/// The longer digest of that image.
const SHA512: &str = "a13e960839f8478057ac50f4e64a22b50a82711ba7d0a8d5448c8b08b84cbd7c\
                      593a00ad065a6d67330cfc188ddedee054bc6a747359770fc2a7808b20e97aaa";

fn create(vm: u32) -> HostOp {
    let description = with_record("a: ü", &Record::creating("default", id(vm))).unwrap();
    HostOp::Create { vm: id(vm), name: "web".to_owned(), description }
}

fn from_image(world: &World) {
    let image = image(world);
    world.done(&HostOp::FetchImage { vm: id(287), image: image.clone() });
    world.done(&create(287));
    let vm = world.vm(287);
    world.same("it has its name and notes", (vm.name.as_str(), vm.description.as_str()), ("web", "a: ü"));
    world.holds("and our record", vm.record.valid().is_some() && vm.is_half_cloned());
    world.refused(&create(287), FaultKind::Refused, Effect::None);
    let import = |digest| HostOp::ImportDisk { vm: id(287), image: image.clone(), storage: "local".to_owned(), digest };
    world.refused(&import(Digest("0".repeat(40))), FaultKind::Stale, Effect::None);
    world.done(&import(vm.digest));
    let vm = world.vm(287);
    let disk = vm.boot_disk.as_ref().map(|disk| (disk.storage.as_str(), disk.size));
    world.same("its disk is that of the image", disk, Some(("local", Some(2 * GIB))));
    world.same("and a cloud-init drive", vm.cloud_init.drive.as_deref(), Some("ide2"));
    world.done(&HostOp::Destroy { vm: id(287), digest: vm.digest });
    world.is_gone(287);
    // What an interrupted run leaves, with a volume that nothing names.
    world.done(&create(287));
    world.write("images/local/287/vm-287-disk-0.qcow2", "2147483648");
    world.done(&HostOp::RemoveLeftover { vm: id(287), unreferenced: true });
    world.is_gone(287);
    world.same("no volume", world.answer("volumes", world.target.volumes(id(287))), Vec::new());
}

fn further_image(world: &World) {
    let image = image(world);
    world.put(289, &[]);
    let import = |slot: &str, options: &str, digest: Digest| {
        let disk = NewDisk { slot: slot.to_owned(), storage: "local-zfs".to_owned(), options: options.to_owned() };
        HostOp::ImportFurther { vm: id(289), image: image.clone(), disk, digest }
    };
    world.refused(&import("scsi1", "", Digest("0".repeat(40))), FaultKind::Stale, Effect::None);
    world.done(&import("scsi1", "backup=0", world.vm(289).digest));
    world.done(&import("virtio2", "", world.vm(289).digest));
    let vm = world.vm(289);
    let has = |slot: &str| vm.options.get(slot).map(ToOwned::to_owned);
    world.same("with its options", has("scsi1").as_deref(), Some("local-zfs:vm-289-disk-1,backup=0,size=2G"));
    world.same("without", has("virtio2").as_deref(), Some("local-zfs:vm-289-disk-2,size=2G"));
    world.same("it boots from what it did", vm.boot_disk.as_ref().map(|disk| disk.device.as_str()), Some("scsi0"));
    world.same("nothing works on it any more", world.answer("working", world.target.working(id(289))), None);
    let (conf, volumes) = (world.config(289), world.answer("volumes", world.target.volumes(id(289))));
    let gone = CloudImage { source: "/no/such/image".to_owned(), ..image.clone() };
    let disk = NewDisk { slot: "scsi3".to_owned(), storage: "local-zfs".to_owned(), options: String::new() };
    let fault = world.perform(&HostOp::ImportFurther { vm: id(289), image: gone, disk, digest: vm.digest.clone() });
    world.holds("no file", fault.is_err());
    world.same("configuration", world.config(289), conf);
    world.same("no volume is left", world.answer("volumes", world.target.volumes(id(289))), volumes);
}

fn no_image(world: &World) {
    let image = image(world);
    let longer = |sha512: String| CloudImage { sha256: None, sha512: Some(sha512), ..image.clone() };
    world.done(&HostOp::FetchImage { vm: id(288), image: longer(SHA512.to_owned()) });
    let fault = world.perform(&HostOp::FetchImage { vm: id(288), image: longer("0".repeat(128)) });
    let fault = world.fails("another one", fault, FaultKind::Refused);
    let told = ["the SHA-512 of", &SHA512[..16], &"0".repeat(128)].iter().all(|text| fault.what.contains(text));
    world.holds("both long digests are told", told);
    let other = CloudImage { sha256: Some("0".repeat(64)), ..image.clone() };
    let fault = world.fails(
        "another one",
        world.perform(&HostOp::FetchImage { vm: id(288), image: other }),
        FaultKind::Refused,
    );
    world.holds("both digests are told", fault.what.contains("02459c74") && fault.what.contains("00000000"));
    let gone = CloudImage { source: "/no/such/image".to_owned(), ..image };
    let fault =
        world.fails("no file", world.perform(&HostOp::FetchImage { vm: id(288), image: gone }), FaultKind::Refused);
    world.holds("it is named", fault.what.contains("has no file /no/such/image"));
}

fn hotplug(world: &World) {
    world.put_running(213, &[]);
    let net = world.vm(213).net0;
    let unplugged = world.configure(213, &["net0=virtio=BC:24:11:00:00:13,bridge=vmbr9"]);
    world.refused(&unplugged, FaultKind::Hotplug, Effect::Maybe);
    let vm = world.vm(213);
    world.same("it is kept and waits", vm.pending.keys().map(String::as_str).collect::<Vec<_>>(), ["net0"].into());
    let fault = world.perform(&world.configure(213, &["net0=virtio=BC:24:11:00:00:13,bridge=vmbr8"])).unwrap_err();
    world.holds("the refusal names the option", fault.what.contains("net0: hotplug problem"));
    world.same("the options that it is about", fault.options, ["net0".to_owned()].into());
    let keys = vec!["net0".to_owned()];
    world.done(&HostOp::Revert { vm: id(213), keys, digest: world.vm(213).digest });
    let vm = world.vm(213);
    world.holds("it is taken back", vm.pending.is_empty() && vm.net0 == net && vm.running);
    world.holds("no restart would bring it in", fault.at_restart.is_empty());
    // A card that the guest does not let go of waits for the restart; the same value again takes that back.
    let card = "virtio=BC:24:11:00:01:13,bridge=vmbr0";
    world.done(&world.configure(213, &[&format!("net31={card}")]));
    let unplugged = world.configure(213, &["net31"]);
    world.refused(&unplugged, FaultKind::Hotplug, Effect::Maybe);
    let removed = world.vm(213).pending.get("net31").is_some_and(|change| change.pending.is_none());
    world.holds("its removal waits", removed && world.vm(213).options.get("net31").is_none());
    let fault = world.perform(&world.configure(213, &["net31"])).unwrap_err();
    world.same("what a restart brings in", fault.at_restart, ["net31".to_owned()].into());
    world.done(&world.configure(213, &[&format!("net31={card}")]));
    let vm = world.vm(213);
    world.holds("it stays", vm.pending.is_empty() && vm.options.get("net31") == Some(card));
}

fn delete_unset(world: &World) {
    world.put(214, &["tags: a"]);
    let conf = world.config(214);
    world.done(&world.configure(214, &["onboot"]));
    world.same("configuration", world.config(214), conf);
    world.done(&world.configure(214, &["tags", "onboot"]));
    world.same("tags", world.vm(214).tags, Vec::new());
}

fn resize(world: &World) {
    world.put(220, &[]);
    let grow = |disk: &str, size_gb: u32| HostOp::Resize { vm: id(220), disk: disk.to_owned(), size_gb };
    let size = || world.vm(220).boot_disk.and_then(|disk| disk.size);
    world.done(&grow("scsi0", 5));
    world.same("size", size(), Some(5 * GIB));
    let conf = world.config(220);
    world.holds("options of the disk stay", conf.contains("discard=on"));
    world.done(&grow("scsi0", 5));
    world.refused(&grow("scsi0", 4), FaultKind::Refused, Effect::None);
    world.refused(&grow("scsi9", 9), FaultKind::Missing, Effect::None);
    world.refused(&grow("floppy0", 9), FaultKind::Refused, Effect::None);
    world.same("configuration", world.config(220), conf);
    world.done(&start(220));
    world.done(&grow("scsi0", 6));
    world.same("size of a running VM's", size(), Some(6 * GIB));
}

fn starts(world: &World) {
    world.put(221, &[]);
    world.done(&start(221));
    let conf = world.config(221);
    world.fails("a second start", world.perform(&start(221)), FaultKind::Failed);
    world.holds("it runs", world.vm(221).running);
    world.fails("a start of a template", world.perform(&start(9000)), FaultKind::Failed);
    world.put(222, &["cores: 4096"]);
    world.fails("a start with more CPUs than there are", world.perform(&start(222)), FaultKind::Failed);
    world.same("they are off", (world.vm(9000).running, world.vm(222).running), (false, false));
    world.same("configuration", world.config(221), conf);
}

fn start_without_bridge(world: &World) {
    world.put(223, &["net0: virtio=BC:24:11:00:00:23,bridge=vmbr9"]);
    world.fails("a start", world.perform(&start(223)), FaultKind::Failed);
    world.holds("it is off", !world.vm(223).running);
    // What waits is taken over before the start fails.
    world.put_running(224, &[]);
    let _ = world.perform(&world.configure(224, &["net0=virtio=BC:24:11:00:00:24,bridge=vmbr9"]));
    world.done(&HostOp::Shutdown { vm: id(224) });
    world.refused(&start(224), FaultKind::Failed, Effect::Maybe);
    world.holds("it is off", !world.vm(224).running && world.vm(224).pending.is_empty());
}

fn locked(world: &World) {
    world.put(225, &["lock: backup"]);
    let conf = world.config(225);
    world.same("lock", world.vm(225).lock.as_deref(), Some("backup"));
    let grow = HostOp::Resize { vm: id(225), disk: "scsi0".to_owned(), size_gb: 9 };
    let revert = HostOp::Revert { vm: id(225), keys: vec!["cores".to_owned()], digest: world.vm(225).digest };
    for op in [start(225), world.configure(225, &["cores=3"]), grow, revert] {
        world.refused(&op, FaultKind::Busy, Effect::None);
    }
    world.same("configuration", world.config(225), conf);
    world.holds("it is off", !world.vm(225).running);
}

fn shutdown(world: &World) {
    world.put_running(226, &[]);
    let shutdown = HostOp::Shutdown { vm: id(226) };
    world.done(&shutdown);
    world.holds("it is off", !world.vm(226).running);
    world.done(&shutdown);
}

fn stop(world: &World) {
    world.put_running(227, &[]);
    let _ = world.perform(&world.configure(227, &["memory=2048"]));
    let stop = HostOp::Stop { vm: id(227) };
    world.done(&stop);
    world.holds("it is off", !world.vm(227).running);
    world.done(&stop);
    world.same("what waited is kept", world.vm(227).memory_mb, 2048);
    world.put_running(228, &[]);
    let name = "qemu-server/228.conf";
    world.write(name, &format!("{}lock: backup\n", world.read(name)));
    world.refused(&HostOp::Stop { vm: id(228) }, FaultKind::Busy, Effect::None);
    world.holds("a locked one runs on", world.vm(228).running);
}

fn leftover(world: &World) {
    let notes = with_record("", &Record::creating("default", id(230))).unwrap();
    for (vm, unreferenced) in [(230, true), (231, false)] {
        world.put(vm, &["lock: clone", "protection: 0"]);
        let conf = world.read(&format!("qemu-server/{vm}.conf"));
        let mut conf = Conf::parse(&conf);
        // As recorded: no disk yet, and the template's protection.
        conf.remove("scsi0");
        conf.set_description(&notes);
        if unreferenced {
            conf.set("protection", "1");
        }
        conf.set("ide2", &format!("local-zfs:vm-{vm}-cloudinit,media=cdrom,size=4M"));
        world.write(&format!("qemu-server/{vm}.conf"), &conf.to_string());
        world.write(&format!("images/local-zfs/{vm}/vm-{vm}-cloudinit"), "4194304");
        world.done(&HostOp::RemoveLeftover { vm: id(vm), unreferenced });
        world.is_gone(vm);
        let left = world.answer("volumes", world.target.volumes(id(vm)));
        let unnamed = vec![format!("local-zfs:vm-{vm}-disk-0")];
        world.same("volumes", left, if unreferenced { Vec::new() } else { unnamed });
    }
}

fn placeholder(world: &World) {
    world.write("qemu-server/232.conf", "# qmclone temporary file\nlock: clone\n");
    world.write("images/local-zfs/232/vm-232-disk-0", "1");
    world.holds("it is told", world.vm(232).placeholder);
    world.done(&HostOp::RemoveLeftover { vm: id(232), unreferenced: false });
    world.is_gone(232);
    world.same("what was there before", world.target.volumes(id(232)).unwrap().len(), 1);
}

fn no_leftover(world: &World) {
    for (vm, lines) in [(233, &[][..]), (234, &["lock: backup"])] {
        world.put(vm, lines);
        let conf = world.config(vm);
        world.refused(&HostOp::RemoveLeftover { vm: id(vm), unreferenced: true }, FaultKind::Refused, Effect::None);
        world.same("configuration", world.config(vm), conf);
        world.same("volumes", world.target.volumes(id(vm)).unwrap().len(), 1);
    }
}

fn destroy_op(world: &World, vm: u32) -> HostOp {
    HostOp::Destroy { vm: id(vm), digest: world.vm(vm).digest }
}

fn destroy(world: &World) {
    world.put(240, &["scsi1: local-zfs:vm-240-disk-1,size=1G"]);
    for disk in [1, 2] {
        world.write(&format!("images/local-zfs/240/vm-240-disk-{disk}"), "1073741824");
    }
    world.put(241, &[]);
    let other = world.config(241);
    world.done(&destroy_op(world, 240));
    world.is_gone(240);
    let left = world.answer("volumes", world.target.volumes(id(240)));
    world.same("what it did not name stays", left, vec!["local-zfs:vm-240-disk-2".to_owned()]);
    world.same("another VM", (world.config(241), world.target.volumes(id(241)).unwrap().len()), (other, 1));
}

fn destroy_refused(world: &World) {
    world.put(242, &["lock: backup"]);
    world.refused(&destroy_op(world, 242), FaultKind::Busy, Effect::None);
    world.put(243, &["protection: 1"]);
    world.refused(&destroy_op(world, 243), FaultKind::Refused, Effect::None);
    world.put_running(244, &[]);
    world.refused(&destroy_op(world, 244), FaultKind::Refused, Effect::None);
    world.holds("it runs on", world.vm(244).running);
    world.put(245, &[]);
    let old = destroy_op(world, 245);
    world.done(&world.configure(245, &["cores=3"]));
    world.refused(&old, FaultKind::Stale, Effect::None);
    // A linked clone lives on its template's disk.
    world.done(&clone(246, None));
    world.fails("the end of its template", world.perform(&destroy_op(world, 9000)), FaultKind::Refused);
    for vm in [242, 243, 244, 245, 246, 9000] {
        world.holds("it is there with its disk", !world.target.volumes(id(vm)).unwrap().is_empty());
        world.vm(vm);
    }
}
