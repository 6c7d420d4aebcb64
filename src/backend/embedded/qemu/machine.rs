//! What a VM's configuration means to QEMU: pure, from the configuration's text to arguments.
//!
//! Paths are relative to the machine's directory, in which QEMU is started: so the sockets' paths are short, and a node
//! may be moved, even while its guests run.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::options::agent_is_on;
use super::network::Subnet;
use super::{agent, qmp};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{NetworkModel, VmId};
use crate::observed::{Conf, Net, PropertyString, VmObserved, is_disk_key, volume_of};

/// Name of the serial console's socket.
pub(super) const CONSOLE: &str = "console";

/// File with everything that the guest wrote to its serial console since its start.
pub(super) const CONSOLE_LOG: &str = "console.log";

/// File in which QEMU notes its process.
pub(super) const PID: &str = "pid";

/// File with the drive of cloud-init.
pub(super) const SEED: &str = "seed";

/// A disk of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// `scsi0`, `virtio1`, …
    pub(super) device: String,
    /// Volume id.
    pub(super) volume: String,
    /// It is a CD drive; the volume of an empty one is `none`.
    pub(super) is_cd: bool,
    /// Place in the boot order, first 0.
    boot: Option<usize>,
}

impl Disk {
    /// Whether nothing lies in it.
    pub(super) fn is_empty(&self) -> bool {
        self.is_cd && self.volume == "none"
    }
}

/// A network card of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    number: u32,
    model: &'static str,
    mac: String,
    subnet: Subnet,
}

/// A VM as QEMU is to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    name: String,
    pub(super) uuid: String,
    kind: &'static str,
    sockets: u32,
    cores: u32,
    pub(super) memory_mb: u64,
    controller: &'static str,
    pub(super) disks: Vec<Disk>,
    cards: Vec<Card>,
    agent: bool,
    screen: bool,
    pub(super) cloud_init: bool,
}

/// How this start is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// `kvm` or `tcg`.
    pub(super) accelerator: &'a str,
    /// Port of this machine's loopback interface that leads to the guest's port 22.
    pub(super) ssh_port: u16,
    /// Command line of a relay to the node's NFS server, if there can be one.
    pub(super) relay: Option<&'a str>,
}

impl Machine {
    /// Understands a configuration, or tells everything in it that QEMU guests of the embedded node do not have.
    /// `address_of` tells the node's own address on a bridge.
    pub(super) fn of(vm: VmId, text: &str, address_of: &dyn Fn(&str) -> Option<Ipv4Addr>) -> Result<Self, Fault> {
        let conf = Conf::parse(text);
        let mut wrong = unsupported(&conf);
        let seen = VmObserved::from_conf(vm, text, false);
        let uuid = seen.uuid.as_deref().and_then(|uuid| uuid::Uuid::parse_str(uuid).ok());
        if uuid.is_none() {
            wrong.push("`smbios1` has no uuid".to_owned());
        }
        let kind = match conf.get("machine").map(|machine| machine.split(',').next().unwrap_or_default()) {
            None => "pc",
            Some(machine) if machine.starts_with("pc-q35") || machine.starts_with("q35") => "q35",
            Some(machine) if machine.starts_with("pc") => "pc",
            Some(machine) => {
                wrong.push(format!("machine `{machine}`"));
                "pc"
            }
        };
        let controller = match conf.get("scsihw") {
            Some("virtio-scsi-pci" | "virtio-scsi-single") => "virtio-scsi-pci",
            Some("megasas") => "megasas",
            Some("pvscsi") => "pvscsi",
            Some("lsi53c810") => "lsi53c810",
            _ => "lsi53c895a",
        };
        let mut cards = Vec::new();
        for number in 0..32 {
            let key = format!("net{number}");
            let Some(net) = conf.get(&key).and_then(Net::parse) else { continue };
            let model = NetworkModel::from_word(&net.model).map(NetworkModel::as_str);
            let Some(model) = model else {
                wrong.push(format!("{key}: model `{}`", net.model));
                continue;
            };
            let own = net.bridge.as_deref().and_then(address_of);
            let wished = PropertyString::parse(conf.get(&format!("ipconfig{number}")).unwrap_or_default());
            match (Subnet::of(&wished, own), net.mac) {
                (Ok(subnet), Some(mac)) => cards.push(Card { number, model: device_of(model), mac, subnet }),
                (Ok(_), None) => wrong.push(format!("{key}: no MAC address")),
                (Err(why), _) => wrong.push(format!("ipconfig{number}: {why}")),
            }
        }
        let order = boot_order(&seen, &conf);
        let (mut disks, mut cloud_init) = (Vec::new(), false);
        for (key, drive) in conf.entries().filter(|(key, _)| is_disk_key(key)) {
            let options = PropertyString::parse(drive);
            let volume = volume_of(drive).unwrap_or_default();
            if volume.contains("cloudinit") {
                cloud_init = true;
                continue;
            }
            let is_cd = options.get("media") == Some("cdrom");
            if is_cd && volume != "none" && !volume.contains(":iso/") {
                wrong.push(format!("{key}: a CD-ROM with `{volume}`"));
                continue;
            }
            let boot = order.iter().position(|device| device == key);
            disks.push(Disk { device: key.to_owned(), volume: volume.to_owned(), is_cd, boot });
        }
        if !wrong.is_empty() {
            let what = format!("QEMU guests of the embedded node do not have: {}", wrong.join("; "));
            return Err(Fault::harmless(FaultKind::Refused, what).hint("take it out of the VM's configuration"));
        }
        let screen = !conf.get("vga").is_some_and(|vga| vga.starts_with("serial") || vga.starts_with("none"));
        Ok(Self {
            name: seen.name,
            uuid: uuid.unwrap_or_default().to_string(),
            kind,
            sockets: seen.cpu_sockets,
            cores: seen.cpu_cores,
            memory_mb: seen.memory_mb,
            controller,
            disks,
            cards,
            agent: agent_is_on(&conf),
            screen,
            cloud_init,
        })
    }

    /// QEMU's arguments. `file_of` tells where the image of a disk lies, as seen from the machine's directory.
    pub(super) fn arguments(&self, run: Run<'_>, file_of: &dyn Fn(&Disk) -> String) -> Vec<String> {
        let mut list = Arguments::default();
        list.add("-name", &escaped(&self.name));
        list.add("-uuid", &self.uuid);
        list.add("-machine", self.kind);
        list.add("-accel", run.accelerator);
        list.add("-cpu", if run.accelerator == "kvm" { "host" } else { "max" });
        list.add(
            "-smp",
            &format!("{},sockets={},cores={}", self.sockets.saturating_mul(self.cores), self.sockets, self.cores),
        );
        list.add("-m", &self.memory_mb.to_string());
        list.flags(&["-nodefaults", "-no-user-config"]);
        list.add("-display", "none");
        list.add("-pidfile", PID);
        list.chardev(qmp::SOCKET, "");
        list.add("-mon", &format!("chardev={},mode=control", qmp::SOCKET));
        list.chardev(CONSOLE, &format!(",logfile={CONSOLE_LOG},logappend=off"));
        list.device(&json!({ "driver": "isa-serial", "chardev": CONSOLE }));
        if self.screen {
            list.device(&json!({ "driver": "VGA" }));
        }
        list.add("-object", "rng-random,id=rng0,filename=/dev/urandom");
        list.device(&json!({ "driver": "virtio-rng-pci", "rng": "rng0" }));
        if self.agent {
            list.chardev(agent::SOCKET, "");
            list.device(&json!({ "driver": "virtio-serial-pci" }));
            // Without an id no event says that the guest has opened it.
            let port = json!({ "driver": "virtserialport", "id": "agent0", "chardev": agent::SOCKET,
                "name": "org.qemu.guest_agent.0" });
            list.device(&port);
        }
        self.drives(&mut list, file_of);
        for card in &self.cards {
            let (id, forward) = (format!("net{}", card.number), (card.number == 0).then_some(run.ssh_port));
            list.add("-netdev", &format!("user,id={id},{}", card.subnet.arguments(forward, run.relay)));
            // The card's own boot program is another file, and nothing boots from the network here.
            list.device(&json!({ "driver": card.model, "netdev": id, "mac": card.mac, "romfile": "" }));
        }
        list.0
    }

    fn drives(&self, list: &mut Arguments, file_of: &dyn Fn(&Disk) -> String) {
        let on = |bus: &str| self.disks.iter().any(|disk| disk.device.starts_with(bus));
        if on("scsi") {
            list.device(&json!({ "driver": self.controller, "id": "scsi" }));
        }
        if on("sata") {
            list.device(&json!({ "driver": "ahci", "id": "sata" }));
        }
        for disk in &self.disks {
            let mut device = self.attached(disk);
            if !disk.is_empty() {
                let format = if disk.is_cd { "raw" } else { "qcow2" };
                list.add("-blockdev", &blockdev(&disk.device, format, &file_of(disk), disk.is_cd).to_string());
                device["drive"] = node(&disk.device).into();
            }
            if let Some(place) = disk.boot {
                // From 1 on, as the place before belongs to QEMU's own kernel loader.
                device["bootindex"] = (place + 1).into();
            }
            list.device(&device);
        }
        if self.cloud_init {
            list.add("-blockdev", &blockdev(SEED, "raw", SEED, true).to_string());
            list.device(&json!({ "driver": "virtio-blk-pci", "drive": node(SEED), "serial": "cloudinit" }));
        }
    }

    /// The device that stands behind a key such as `scsi1`, in its place.
    fn attached(&self, disk: &Disk) -> Value {
        let bus = disk.device.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: u32 = disk.device[bus.len()..].parse().unwrap_or(0);
        let (scsi, ide) = if disk.is_cd { ("scsi-cd", "ide-cd") } else { ("scsi-hd", "ide-hd") };
        match bus {
            // Its guest knows it by this name, as one of Proxmox does (recorded).
            "scsi" => {
                json!({ "driver": scsi, "bus": "scsi.0", "scsi-id": number, "device_id": node(&disk.device) })
            }
            "sata" => json!({ "driver": ide, "bus": format!("sata.{number}") }),
            // Each bus of a q35 has one place.
            "ide" if self.kind.contains("q35") => json!({ "driver": ide, "bus": format!("ide.{number}"), "unit": 0 }),
            "ide" => json!({ "driver": ide, "bus": format!("ide.{}", number / 2), "unit": number % 2 }),
            _ => json!({ "driver": "virtio-blk-pci" }),
        }
    }
}

/// The name under which QEMU knows the image of a drive.
pub(super) fn node(device: &str) -> String {
    format!("drive-{device}")
}

fn blockdev(device: &str, format: &str, file: &str, read_only: bool) -> Value {
    json!({ "driver": format, "node-name": node(device), "read-only": read_only, "discard": "unmap",
        "file": { "driver": "file", "filename": file, "discard": "unmap" } })
}

/// QEMU's name for a model of a network card.
fn device_of(model: &'static str) -> &'static str {
    if model == "virtio" { "virtio-net-pci" } else { model }
}

/// Devices in the order in which the machine tries to boot from them.
fn boot_order(vm: &VmObserved, conf: &Conf<'_>) -> Vec<String> {
    let boot = PropertyString::parse(conf.get("boot").unwrap_or_default());
    match boot.get("order") {
        Some(order) => order.split(';').map(str::to_owned).collect(),
        None => vm.boot_disk.iter().map(|disk| disk.device.clone()).collect(),
    }
}

/// What changes the machine and is not built here. Everything else a configuration says either is built, or does not
/// show in a guest.
fn unsupported(conf: &Conf<'_>) -> Vec<String> {
    let whole = ["args", "hookscript", "efidisk0", "tpmstate0", "amd-sev"];
    let numbered = ["hostpci", "usb", "ivshmem", "virtiofs", "parallel"];
    let refused = |key: &str, value: &str| {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        whole.contains(&key)
            || numbered.contains(&stem)
            || (key == "bios" && value != "seabios")
            || (key == "arch" && value != "x86_64")
    };
    let all = conf.entries().filter(|(key, value)| refused(key, value));
    all.map(
        |(key, value)| if ["bios", "arch"].contains(&key) { format!("{key} `{value}`") } else { format!("`{key}`") },
    )
    .collect()
}

/// A value inside an option list of QEMU, where a comma is written twice.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn add(&mut self, option: &str, value: &str) {
        self.0.extend([option.to_owned(), value.to_owned()]);
    }

    fn flags(&mut self, options: &[&str]) {
        self.0.extend(options.iter().map(|&option| option.to_owned()));
    }

    fn device(&mut self, device: &Value) {
        self.add("-device", &device.to_string());
    }

    fn chardev(&mut self, name: &str, more: &str) {
        self.add("-chardev", &format!("socket,id={name},path={name},server=on,wait=off{more}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;
    use std::path::PathBuf;

    use snapbox::{Assert, Data};

    use super::{Machine, Run};
    use crate::hypervisor::Fault;
    use crate::model::VmId;

    fn machine(conf: &str) -> Result<Machine, Fault> {
        let address_of = |bridge: &str| (bridge == "vmbr0").then_some(Ipv4Addr::new(10, 0, 2, 2));
        Machine::of(VmId::try_from(1000).unwrap(), conf, &address_of)
    }

    /// `fixtures/qemu/NAME.conf` and, an argument on each line, `NAME.args`.
    #[test]
    fn arguments_are_those_of_the_configuration() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/qemu");
        for (name, accelerator) in [("plain", "tcg"), ("rich", "kvm")] {
            let conf = fs::read_to_string(dir.join(name).with_extension("conf")).unwrap();
            let run = Run { accelerator, ssh_port: 2222, relay: None };
            let arguments = machine(&conf).unwrap().arguments(run, &|disk| format!("../../images/{}", disk.device));
            let expected = Data::read_from(&dir.join(name).with_extension("args"), None);
            Assert::new().action_env("SNAPSHOTS").eq(arguments.join("\n") + "\n", expected.raw());
        }
    }

    #[test]
    fn what_is_not_built_is_refused_all_at_once() {
        let conf = "args: -device evil\nbios: ovmf\nhostpci0: 01:00\nide2: cdrom,media=cdrom\nmachine: virt\n\
                    ipconfig0: ip=10.0.0.1/31\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n";
        let refusal = machine(conf).unwrap_err().what;
        for word in
            ["`args`", "bios `ovmf`", "`hostpci0`", "a CD-ROM with `cdrom`", "machine `virt`", "ipconfig0", "no uuid"]
        {
            assert!(refusal.contains(word), "{word}: {refusal}");
        }
    }
}
