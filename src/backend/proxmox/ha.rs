//! VMs that the HA manager looks after: `/etc/pve/ha/resources.cfg` says which and in what state they are to be
//! (recorded), `/etc/pve/ha/manager_status` how it finds them: JSON, `service_status` by `vm:VMID`, each with its
//! `state`; and `disarm` with its `mode`, while the HA manager is disarmed; `node_status` by node, `maintenance` of one
//! that it keeps free of VMs, and `node_request` with what nodes were asked to become (source of pve-ha-manager 5.2.0).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::hypervisor::{Fault, FaultKind};
use crate::model::{HaWish, VmId};
use crate::observed::Ha;

/// What of the HA manager's status matters here.
#[derive(Debug, Default, Deserialize)]
pub(in crate::backend) struct Status {
    #[serde(default, rename = "service_status")]
    services: BTreeMap<String, Service>,
    #[serde(default)]
    disarm: Option<Disarm>,
    #[serde(default, rename = "node_status")]
    nodes: BTreeMap<String, Value>,
    #[serde(default, rename = "node_request")]
    asked: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(default)]
    state: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Disarm {
    #[serde(default)]
    mode: String,
}

impl Status {
    /// Reads the file. Empty: no HA manager ever ran.
    pub(in crate::backend) fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|why| {
            let what = format!("/etc/pve/ha/manager_status cannot be understood: {why}");
            Fault::harmless(FaultKind::Garbled, what)
        })
    }

    /// Whether it keeps a node free of VMs: it is in maintenance, or is asked to be.
    pub(in crate::backend) fn in_maintenance(&self, node: &str) -> bool {
        let asked = self.asked.get(node).is_some_and(|request| {
            // Perl writes a number or a text, as it comes.
            let asked = &request["maintenance"];
            asked.as_u64() == Some(1) || asked.as_str() == Some("1") || asked.as_bool() == Some(true)
        });
        asked || self.nodes.get(node).and_then(Value::as_str) == Some("maintenance")
    }

    /// How the HA manager looks after a VM that it is to look after so.
    pub(in crate::backend) fn of(&self, vm: VmId, resource: &Resource) -> Ha {
        Ha {
            state: resource.state.clone(),
            max_restart: resource.max_restart,
            max_relocate: resource.max_relocate,
            now: self.services.get(&format!("vm:{vm}")).and_then(|service| service.state.clone()),
            disarmed: self.disarm.as_ref().is_some_and(|disarm| disarm.mode == "ignore"),
        }
    }
}

/// What `resources.cfg` says of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Resource {
    /// The state that it is to be in.
    state: String,
    /// How often it is started again on the same node.
    max_restart: u32,
    /// How often another node is tried then.
    max_relocate: u32,
}

impl Resource {
    /// One of which nothing is said.
    fn plain() -> Self {
        Self { state: state_of(None), max_restart: HaWish::TRIES, max_relocate: HaWish::TRIES }
    }

    /// Takes up one of its lines, `KEY VALUE`.
    fn take(&mut self, line: &str) {
        let (key, value) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        let value = value.trim();
        match key {
            "state" => self.state = state_of(Some(value)),
            "max_restart" => self.max_restart = value.parse().unwrap_or(self.max_restart),
            "max_relocate" => self.max_relocate = value.parse().unwrap_or(self.max_relocate),
            _ => {}
        }
    }

    /// Reads what the look at one VM says: the lines of its section, parted by `;`, on one line.
    pub(in crate::backend) fn of_line(line: &str) -> Self {
        let mut resource = Self::plain();
        line.split(';').for_each(|line| resource.take(line));
        resource
    }
}

/// A state as it is meant: `started` where nothing is said, and by its older name.
fn state_of(text: Option<&str>) -> String {
    match text {
        None | Some("" | "enabled") => "started".to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// Reads the VMs out of `resources.cfg`, each with what it says of it: sections `vm: 1000`, with lines `KEY VALUE` that
/// are indented. Containers have such sections, too, and are passed over.
pub(in crate::backend) fn resources(text: &str) -> BTreeMap<VmId, Resource> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with([' ', '\t']) {
            current = line.strip_prefix("vm:").and_then(|id| id.trim().parse::<VmId>().ok());
            found.extend(current.map(|vm| (vm, Resource::plain())));
            continue;
        }
        if let Some(resource) = current.and_then(|vm| found.get_mut(&vm)) {
            resource.take(line);
        }
    }
    found
}

/// The same text with the section of a VM that says how it is to be looked after; `None`: without one. Every other line
/// stays as it is, and so does what the section says of other things.
pub(in crate::backend) fn with(text: &str, vm: VmId, wish: Option<&[(&str, String)]>) -> String {
    let (mut new, mut is_own, mut is_there) = (String::new(), false, false);
    let own =
        wish.unwrap_or_default().iter().fold(String::new(), |own, (key, value)| own + &format!("\t{key} {value}\n"));
    for line in text.lines() {
        let is_part = line.starts_with([' ', '\t']);
        if !is_part && !line.trim().is_empty() {
            is_own = line.strip_prefix("vm:").is_some_and(|id| id.trim().parse() == Ok(vm));
            if is_own && wish.is_some() {
                new.push_str(&format!("{line}\n{own}"));
            }
            is_there |= is_own;
            if is_own {
                continue;
            }
        }
        let key = line.split_whitespace().next().unwrap_or_default();
        let is_replaced = is_part && wish.unwrap_or_default().iter().any(|(other, _)| *other == key);
        if !is_own || (wish.is_some() && !is_replaced) {
            new.push_str(&format!("{line}\n"));
        }
    }
    if wish.is_some() && !is_there {
        new.push_str(&format!("{}vm: {vm}\n{own}", if new.is_empty() || new.ends_with("\n\n") { "" } else { "\n" }));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::{Resource, Status, resources, with};
    use crate::model::VmId;

    /// Recorded, but for the sections without a state, of a container, and what is garbled.
    const RESOURCES: &str = "vm: 3300\n\tmax_relocate 1\n\tmax_restart 2\n\tstate started\n\nvm: 3302\n\tstate ignored\n\n\
                             vm: 9001\n\tstate stopped\n\nct: 3301\n\tstate disabled\n\nvm: 3303\n\tcomment state stopped\n\n\
                             vm: x\n\tstate stopped\n\nvm: 3304\n    state enabled\n\n\tstate\n";

    fn id(vm: u32) -> VmId {
        VmId::try_from(vm).unwrap()
    }

    #[test]
    fn the_recorded_file_is_understood() {
        let found = resources(RESOURCES);
        let one = &found[&id(3300)];
        assert_eq!((one.max_restart, one.max_relocate), (2, 1));
        let found: Vec<_> = found.iter().map(|(vm, one)| (vm.get(), one.state.as_str())).collect();
        let states = [(3300, "started"), (3302, "ignored"), (3303, "started"), (3304, "started"), (9001, "stopped")];
        assert_eq!(found, states);
        assert!(resources("").is_empty());
    }

    #[test]
    fn the_manager_says_how_it_finds_a_vm() {
        let text = r#"{"master_node":"pve1","node_status":{"pve1":"online"},"service_status":{
            "vm:3300":{"node":"pve1","state":"error","uid":"x","failed_nodes":["pve1"]},"vm:3301":{"node":"pve1"}}}"#;
        let status = Status::parse(text).unwrap();
        let in_state = |state: &str| Resource::of_line(&format!("state {state};max_relocate 3"));
        let failed = status.of(id(3300), &in_state("started"));
        assert_eq!(failed.text(), "started, max_relocate 3");
        assert_eq!((failed.state.as_str(), failed.now.as_deref()), ("started", Some("error")));
        assert!(failed.acts() && failed.has_failed() && !failed.keeps_off());
        let unseen = status.of(id(3301), &in_state("disabled"));
        assert!(unseen.now.is_none() && unseen.acts() && unseen.keeps_off() && !unseen.has_failed());
        assert!(
            !status.of(id(3300), &in_state("ignored")).acts()
                && !status.of(id(3300), &in_state("ignored")).has_failed()
        );
        for (mode, acts) in [("ignore", false), ("freeze", true)] {
            let status = Status::parse(&format!(r#"{{"disarm":{{"mode":"{mode}"}}}}"#)).unwrap();
            assert_eq!(status.of(id(3300), &in_state("started")).acts(), acts, "{mode}");
        }
        assert!(Status::parse("\n").unwrap().of(id(3300), &in_state("started")).acts());
        let text = r#"{"node_status":{"pve1":"online","pve2":"maintenance","pve3":"online","pve4":{}},
            "node_request":{"pve1":{},"pve3":{"maintenance":1},"pve4":{"maintenance":"0"},"pve5":{"maintenance":"1"}}}"#;
        let status = Status::parse(text).unwrap();
        let nodes = ["pve1", "pve2", "pve3", "pve4", "pve5", "pve6"];
        assert_eq!(nodes.map(|node| status.in_maintenance(node)), [false, true, true, false, true, false]);
        assert!(Status::parse("{").unwrap_err().what.contains("manager_status cannot be understood"));
    }

    #[test]
    fn only_what_is_said_of_a_vm_changes() {
        let wish = |state: &str| [("state", state.to_owned()), ("max_restart", "1".to_owned())];
        let (stopped, started) = (wish("stopped"), wish("started"));
        let new = with(RESOURCES, id(3300), Some(&stopped));
        let expected = "vm: 3300\n\tstate stopped\n\tmax_restart 1\n\tmax_relocate 1\n\nvm: 3302\n";
        assert!(new.starts_with(expected), "{new}");
        assert_eq!(new[expected.len()..], RESOURCES[RESOURCES.find("vm: 3302\n").unwrap() + 9..]);
        assert!(with(RESOURCES, id(3303), Some(&started)).contains("\tmax_restart 1\n\tcomment state stopped\n"));
        let less = with(RESOURCES, id(3302), None);
        assert_eq!(less, RESOURCES.replace("vm: 3302\n\tstate ignored\n\n", ""));
        assert_eq!(with("", id(100), Some(&started)), "vm: 100\n\tstate started\n\tmax_restart 1\n");
        let two = with("ct: 3301\n\tstate disabled\n", id(100), Some(&started));
        assert_eq!(two, "ct: 3301\n\tstate disabled\n\nvm: 100\n\tstate started\n\tmax_restart 1\n");
        assert_eq!(with(&two, id(100), None), "ct: 3301\n\tstate disabled\n\n");
    }
}
