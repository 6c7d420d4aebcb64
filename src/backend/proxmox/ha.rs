//! VMs that the HA manager looks after: `/etc/pve/ha/resources.cfg` says which and in what state they are to be
//! (recorded), `/etc/pve/ha/manager_status` how it finds them: JSON, `service_status` by `vm:VMID`, each with its `state`;
//! and `disarm` with its `mode`, while the HA manager is disarmed; `node_status` by node, `maintenance` of one that it
//! keeps free of VMs, and `node_request` with what nodes were asked to become (source of pve-ha-manager 5.2.0).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
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

    /// How the HA manager looks after a VM that is to be in a state.
    pub(in crate::backend) fn of(&self, vm: VmId, state: &str) -> Ha {
        Ha {
            state: state_of(Some(state)),
            now: self.services.get(&format!("vm:{vm}")).and_then(|service| service.state.clone()),
            disarmed: self.disarm.as_ref().is_some_and(|disarm| disarm.mode == "ignore"),
        }
    }
}

/// A state as it is meant: `started` where nothing is said, and by its older name.
fn state_of(text: Option<&str>) -> String {
    match text {
        None | Some("" | "enabled") => "started".to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// Reads the VMs out of `resources.cfg`, each with the state that it is to be in: sections `vm: 1000`, with lines `KEY
/// VALUE` that are indented. Containers have such sections, too, and are passed over.
pub(in crate::backend) fn resources(text: &str) -> BTreeMap<VmId, String> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with([' ', '\t']) {
            current = line.strip_prefix("vm:").and_then(|id| id.trim().parse::<VmId>().ok());
            found.extend(current.map(|vm| (vm, state_of(None))));
            continue;
        }
        let (key, value) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        if let (Some(vm), "state") = (current, key) {
            found.insert(vm, state_of(Some(value.trim())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Status, resources};
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
        let found: Vec<_> = found.iter().map(|(vm, state)| (vm.get(), state.as_str())).collect();
        let states = [(3300, "started"), (3302, "ignored"), (3303, "started"), (3304, "started"), (9001, "stopped")];
        assert_eq!(found, states);
        assert!(resources("").is_empty());
    }

    #[test]
    fn the_manager_says_how_it_finds_a_vm() {
        let text = r#"{"master_node":"pve1","node_status":{"pve1":"online"},"service_status":{
            "vm:3300":{"node":"pve1","state":"error","uid":"x","failed_nodes":["pve1"]},"vm:3301":{"node":"pve1"}}}"#;
        let status = Status::parse(text).unwrap();
        let failed = status.of(id(3300), "started");
        assert_eq!((failed.state.as_str(), failed.now.as_deref()), ("started", Some("error")));
        assert!(failed.acts() && failed.has_failed() && !failed.keeps_off());
        let unseen = status.of(id(3301), "disabled");
        assert!(unseen.now.is_none() && unseen.acts() && unseen.keeps_off() && !unseen.has_failed());
        assert!(!status.of(id(3300), "ignored").acts() && !status.of(id(3300), "ignored").has_failed());
        for (mode, acts) in [("ignore", false), ("freeze", true)] {
            let status = Status::parse(&format!(r#"{{"disarm":{{"mode":"{mode}"}}}}"#)).unwrap();
            assert_eq!(status.of(id(3300), "started").acts(), acts, "{mode}");
        }
        assert!(Status::parse("\n").unwrap().of(id(3300), "started").acts());
        let text = r#"{"node_status":{"pve1":"online","pve2":"maintenance","pve3":"online","pve4":{}},
            "node_request":{"pve1":{},"pve3":{"maintenance":1},"pve4":{"maintenance":"0"},"pve5":{"maintenance":"1"}}}"#;
        let status = Status::parse(text).unwrap();
        let nodes = ["pve1", "pve2", "pve3", "pve4", "pve5", "pve6"];
        assert_eq!(nodes.map(|node| status.in_maintenance(node)), [false, true, true, false, true, false]);
        assert!(Status::parse("{").unwrap_err().what.contains("manager_status cannot be understood"));
    }
}
