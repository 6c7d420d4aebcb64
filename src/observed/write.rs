//! From a wish and the live VM to the one configuration write that joins them.

use super::cloud_init_wanted::CloudInitWanted;
use super::config_write::ConfigWrite;
use super::notes::{RecordError, with_description, with_record};
use super::{Net, PropertyString, VmObserved, is_disk_key};
use crate::model::{DesiredVm, NetworkModel, OsType, Record};

/// What the configuration of a VM should say, in phoenix's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name.
    pub name: &'a str,
    /// `ostype`.
    pub os_type: OsType,
    /// CPU sockets.
    pub cpu_sockets: u32,
    /// Cores per socket.
    pub cpu_cores: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Bridge of net0.
    pub network_bridge: &'a str,
    /// Model of net0.
    pub network_model: NetworkModel,
    /// Notes without the record.
    pub description: &'a str,
    /// Tags as Proxmox stores them.
    pub tags: &'a [String],
    /// `onboot`; `None` leaves it.
    pub start_at_boot: Option<bool>,
    /// `order` of `startup`; `None` leaves it.
    pub boot_order: Option<u32>,
    /// `up` of `startup` in seconds; `None` leaves it.
    pub boot_delay: Option<u32>,
    /// `protection`; `None` leaves it.
    pub protected: Option<bool>,
    /// What cloud-init is told.
    pub cloud_init: CloudInitWanted<'a>,
    /// The VM was just cloned: what a clone copies from its template and should not (`protection`, `onboot`, `startup`,
    /// fixed addresses of cloud-init) is taken back.
    pub fresh: bool,
}

impl<'a> From<&'a DesiredVm> for Wanted<'a> {
    fn from(vm: &'a DesiredVm) -> Self {
        Self {
            name: &vm.vm_name,
            os_type: vm.os_type,
            cpu_sockets: vm.cpu_sockets,
            cpu_cores: vm.cpu_cores,
            memory_mb: vm.memory_mb,
            network_bridge: &vm.network_bridge,
            network_model: vm.network_model,
            description: &vm.description,
            tags: &vm.tags,
            start_at_boot: vm.start_at_boot,
            boot_order: vm.boot_order,
            boot_delay: vm.boot_delay,
            protected: vm.protected,
            cloud_init: CloudInitWanted {
                network: vm.network_config.as_ref(),
                user: vm.user_config.as_ref(),
                storage: &vm.boot_disk_storage,
                volume: None,
            },
            fresh: false,
        }
    }
}

/// The write that makes `live` what is wanted: only what differs from the live VM's pending view.
///
/// `notes` are the live notes, verbatim; `record` is what shall stand in them, `None` leaves the record that is there.
/// Options phoenix does not own, the MAC of net0 among them, stay as they are.
pub fn write_for(
    wanted: &Wanted<'_>,
    live: &VmObserved,
    notes: &str,
    record: Option<&Record>,
) -> Result<ConfigWrite, RecordError> {
    let mut write = ConfigWrite::default();
    if live.name != wanted.name {
        write.set("name", wanted.name);
    }
    if live.os_type.as_deref().unwrap_or(OsType::Other.as_str()) != wanted.os_type.as_str() {
        write.set("ostype", wanted.os_type.as_str());
    }
    if live.cpu_sockets != wanted.cpu_sockets {
        write.set("sockets", wanted.cpu_sockets.to_string());
    }
    if live.cpu_cores != wanted.cpu_cores {
        write.set("cores", wanted.cpu_cores.to_string());
    }
    if live.memory_mb != u64::from(wanted.memory_mb) {
        write.set("memory", wanted.memory_mb.to_string());
    }
    if let Some(net) = net0(wanted, live.net0.as_ref()) {
        write.set("net0", net.to_string());
    }
    if !live.agent {
        write.set("agent", agent_enabled(&live.agent_options));
    }
    if live.tags != wanted.tags {
        if wanted.tags.is_empty() {
            // `tags` set to nothing would store a space.
            write.delete.insert("tags".to_owned());
        } else {
            write.set("tags", wanted.tags.join(";"));
        }
    }
    let old = notes.trim_end();
    let new = new_notes(wanted.description, live, old, record)?;
    if new != old {
        if new.is_empty() {
            write.delete.insert("description".to_owned());
        } else {
            write.set("description", new);
        }
    }
    let switches = [("protection", wanted.protected, live.protection), ("onboot", wanted.start_at_boot, live.onboot)];
    for (key, wish, on) in switches {
        match wish.or(wanted.fresh.then_some(false)) {
            Some(true) if !on => write.set(key, "1"),
            Some(false) if on => drop(write.delete.insert(key.to_owned())),
            _ => {}
        }
    }
    let startup = startup(wanted, live);
    if startup != live.startup {
        if startup.is_empty() {
            write.delete.insert("startup".to_owned());
        } else {
            write.set("startup", startup);
        }
    }
    wanted.cloud_init.add_to(&mut write, live, wanted.fresh);
    if wanted.fresh {
        // Two VMs with one address would be worse than none.
        write.delete.extend(live.fixed_addresses.iter().filter(|key| *key != "ipconfig0").cloned());
    }
    Ok(write)
}

impl VmObserved {
    /// How the VM is after a write, as far as a config can wish for it.
    #[must_use]
    pub fn after(&self, write: &ConfigWrite) -> Self {
        let options = write.set.iter().filter(|(key, _)| *key != "description");
        let lines: Vec<String> = options.map(|(key, value)| format!("{key}: {value}\n")).collect();
        let new = Self::from_conf(self.id, &lines.concat(), false);
        let mut vm = self.clone();
        for key in write.set.keys().chain(&write.delete) {
            match key.as_str() {
                "name" => vm.name.clone_from(&new.name),
                "ostype" => vm.os_type.clone_from(&new.os_type),
                "sockets" => vm.cpu_sockets = new.cpu_sockets,
                "cores" => vm.cpu_cores = new.cpu_cores,
                "memory" => vm.memory_mb = new.memory_mb,
                "net0" => vm.net0.clone_from(&new.net0),
                "agent" => (vm.agent, vm.agent_options) = (new.agent, new.agent_options.clone()),
                "tags" => vm.tags.clone_from(&new.tags),
                "protection" => vm.protection = new.protection,
                "onboot" => vm.onboot = new.onboot,
                "startup" => vm.startup.clone_from(&new.startup),
                "ipconfig0" => vm.cloud_init.ipconfig0.clone_from(&new.cloud_init.ipconfig0),
                "nameserver" => vm.cloud_init.nameserver.clone_from(&new.cloud_init.nameserver),
                "searchdomain" => vm.cloud_init.searchdomain.clone_from(&new.cloud_init.searchdomain),
                "ciuser" => vm.cloud_init.user.clone_from(&new.cloud_init.user),
                "sshkeys" => vm.cloud_init.ssh_keys.clone_from(&new.cloud_init.ssh_keys),
                drive if is_disk_key(drive) => {
                    vm.cloud_init.drive = new.cloud_init.drive.clone().or(vm.cloud_init.drive);
                    vm.drives.extend(new.drives.iter().cloned());
                }
                _ => {}
            }
            vm.fixed_addresses.retain(|fixed| fixed != key);
        }
        vm.fixed_addresses.extend(new.fixed_addresses);
        vm
    }
}

/// `startup` as it should be: what is not wished for stays, unless it came from the template.
fn startup(wanted: &Wanted<'_>, live: &VmObserved) -> String {
    let wishes = [("order", wanted.boot_order), ("up", wanted.boot_delay)];
    // However it is spelt: what already says so is not written anew.
    if !wanted.fresh && wishes.iter().all(|(key, wish)| wish.is_none() || *wish == live.startup_number(key)) {
        return live.startup.clone();
    }
    let mut startup = PropertyString::parse(if wanted.fresh { "" } else { &live.startup });
    for (key, _) in startup.parts.iter_mut().filter(|(key, _)| key.is_empty()) {
        "order".clone_into(key);
    }
    for (key, wish) in wishes {
        if let Some(wish) = wish {
            startup.set(key, &wish.to_string());
        }
    }
    startup.to_string()
}

/// net0 as it should be, if it is not.
fn net0(wanted: &Wanted<'_>, live: Option<&Net>) -> Option<Net> {
    let model = wanted.network_model.as_str();
    let Some(net) = live else { return Some(Net::new(model, wanted.network_bridge)) };
    let same = net.model == model && net.bridge.as_deref() == Some(wanted.network_bridge);
    (!same).then(|| net.rewired(wanted.network_bridge, model))
}

/// `agent` switched on, its other options kept.
fn agent_enabled(options: &str) -> String {
    let mut agent = PropertyString::parse(options);
    agent.parts.retain(|(key, _)| !key.is_empty() && key != "enabled");
    agent.parts.insert(0, ("enabled".to_owned(), "1".to_owned()));
    agent.to_string()
}

fn new_notes(
    description: &str,
    live: &VmObserved,
    notes: &str,
    record: Option<&Record>,
) -> Result<String, RecordError> {
    // What is as it should be is not written anew, however it is spelt.
    let new = if live.description == description.trim_end() {
        notes.to_owned()
    } else {
        with_description(notes, description)?
    };
    match record {
        Some(record) if live.record.valid() != Some(record) => with_record(&new, record),
        _ => Ok(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VmId;

    fn wanted() -> Wanted<'static> {
        Wanted {
            name: "web",
            os_type: OsType::L26,
            cpu_sockets: 1,
            cpu_cores: 2,
            memory_mb: 512,
            network_bridge: "vmbr0",
            network_model: NetworkModel::Virtio,
            description: "text",
            tags: &[],
            start_at_boot: None,
            boot_order: None,
            boot_delay: None,
            protected: None,
            cloud_init: CloudInitWanted::default(),
            fresh: false,
        }
    }

    const SAME: &str =
        "#text\nagent: 1\ncores: 2\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\nostype: l26\n";

    fn write(conf: &str, wanted: &Wanted<'_>, record: Option<&Record>) -> ConfigWrite {
        let live = VmObserved::from_conf(VmId::try_from(100).unwrap(), conf, false);
        write_for(wanted, &live, &live.notes, record).unwrap()
    }

    fn shown(write: &ConfigWrite) -> String {
        let set = write.set.iter().map(|(k, v)| format!("{k}={v}"));
        set.chain(write.delete.iter().map(|k| format!("-{k}"))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_differs() {
        for (conf, want) in [
            (SAME, ""),
            (
                "#text\nagent: enabled=1\ncores: 9\nmemory: 1\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nostype: l26\n\n[PENDING]\ncores: 2\ndelete: memory\n",
                "",
            ),
            (
                "cores: 2\nmemory: current=768\nsockets: 2\ntags: a\n",
                "agent=enabled=1 description=text memory=512 name=web net0=virtio,bridge=vmbr0 ostype=l26 sockets=1 -tags",
            ),
            (
                "#text\nagent: 0,type=isa\ncores: 2\nname: web\nnet0: e1000=BC:24:11:00:00:01,bridge=vmbr9,firewall=1\nostype: l26\n",
                "agent=enabled=1,type=isa net0=virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
            ),
        ] {
            assert_eq!(shown(&write(conf, &wanted(), None)), want, "{conf}");
        }
        let other = "cores: 2\nname: web\nagent: 1\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n";
        let plain = Wanted { os_type: OsType::Other, description: "", ..wanted() };
        assert_eq!(shown(&write(other, &plain, None)), "");
        assert_eq!(shown(&write(&format!("#old\n{other}"), &plain, None)), "-description");
    }

    #[test]
    fn a_fresh_clone_loses_what_it_copied() {
        let fresh = Wanted { fresh: true, ..wanted() };
        assert_eq!(shown(&write(&format!("{SAME}onboot: 1\nprotection: 1\n"), &fresh, None)), "-onboot -protection");
        assert_eq!(shown(&write(&format!("{SAME}onboot: 0\nprotection: 0\nipconfig0: ip=dhcp\n"), &fresh, None)), "");
        let fixed = format!("{SAME}ipconfig0: ip=192.0.2.7/24,gw=192.0.2.1\nipconfig1: ip6=auto,ip=dhcp\n");
        assert_eq!(shown(&write(&fixed, &fresh, None)), "ipconfig0=ip=dhcp");
        assert_eq!(shown(&write(&fixed, &wanted(), None)), "");
    }

    #[test]
    fn what_the_node_does_with_the_vm_is_written_only_where_it_is_wished_for() {
        let conf = |rest: &str| format!("{SAME}{rest}");
        let wish = |start_at_boot, boot_order, boot_delay, protected| Wanted {
            start_at_boot,
            boot_order,
            boot_delay,
            protected,
            ..wanted()
        };
        for (rest, wanted, want) in [
            ("onboot: 1\nprotection: 1\nstartup: 3,up=5\n", wish(None, None, None, None), ""),
            ("onboot: 1\nprotection: 1\nstartup: 3,up=5\n", wish(Some(true), Some(3), Some(5), Some(true)), ""),
            (
                "onboot: 1\nprotection: 1\nstartup: 3,up=5,down=9\n",
                wish(Some(false), Some(4), None, Some(false)),
                "startup=order=4,up=5,down=9 -onboot -protection",
            ),
            ("", wish(Some(false), None, None, Some(false)), ""),
            ("", wish(Some(true), None, Some(30), Some(true)), "onboot=1 protection=1 startup=up=30"),
            (
                "startup: order=1,down=3\nprotection: 1\n",
                Wanted { fresh: true, ..wish(None, Some(2), None, Some(true)) },
                "startup=order=2",
            ),
            ("startup: order=1\n", Wanted { fresh: true, ..wanted() }, "-startup"),
        ] {
            assert_eq!(shown(&write(&conf(rest), &wanted, None)), want, "{rest}");
        }
    }

    #[test]
    fn record_is_merged_into_the_notes_as_they_are() {
        let record = Record { uuid: Some("aa".to_owned()), ..Record::creating("p", VmId::try_from(100).unwrap()) };
        let conf = format!("{SAME}smbios1: uuid=aa\n");
        let notes = write(&conf, &wanted(), Some(&record)).set.remove("description").unwrap();
        assert!(notes.starts_with("text\n<!-- phoenix {"), "{notes}");
        let conf = conf.replace("#text\n", &crate::observed::encode_description(&notes));
        assert!(write(&conf, &wanted(), Some(&record)).is_empty());
        let other = Wanted { description: "", ..wanted() };
        let notes = write(&conf, &other, None).set.remove("description").unwrap();
        assert!(notes.starts_with("<!-- phoenix {"), "{notes}");
    }
}
