//! What a node says of its cluster.

use std::path::Path;

use phoenix::hypervisor::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::{Node, pvesh};

/// `.members`: as it was written, or of the nodes that there are, as recorded.
pub(crate) fn members(node: &Node, path: &Path) -> Result<String, Fault> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(text);
    }
    let settings = node.core.settings();
    if settings.nodes.is_empty() {
        let what = format!("cat: {}: No such file or directory", path.display());
        return Err(Fault::harmless(FaultKind::Missing, what));
    }
    let others = settings.nodes.iter().map(|(name, member)| (name, u8::from(member.online)));
    let all = std::iter::once((&settings.name, 1)).chain(others).enumerate();
    let line = |(n, (name, online)): (usize, (&String, u8))| {
        format!("  \"{name}\": {{ \"id\": {}, \"online\": {online}, \"ip\": \"10.98.0.{}\"}}", n + 1, n + 1)
    };
    let lines: Vec<String> = all.map(line).collect();
    Ok(format!(
        "{{\n\"nodename\": \"{}\",\n\"version\": 4,\n\"cluster\": {{ \"name\": \"lab\", \"version\": 2, \"nodes\": {}, \
         \"quorate\": 1 }},\n\"nodelist\": {{\n{}\n  }}\n}}\n",
        settings.name,
        lines.len(),
        lines.join(",\n")
    ))
}

/// `/cluster/resources`: nodes, VMs and storages. Of a node that is off nothing is known but that it is.
pub(crate) fn resources(node: &Node) -> Result<Value, Fault> {
    let settings = node.core.settings();
    let Value::Array(mut found) = pvesh::vms(node, true)? else { return Ok(Value::Null) };
    let is_off = |name: &Value| settings.nodes.get(name.as_str().unwrap_or_default()).is_some_and(|on| !on.online);
    for vm in found.iter_mut().filter(|vm| is_off(&vm["node"])) {
        *vm = json!({ "id": vm["id"], "node": vm["node"], "vmid": vm["vmid"], "type": "qemu", "status": "unknown" });
    }
    let own = (&settings.name, settings.memory_mb, settings.cpus, true);
    let others = settings.nodes.iter().map(|(name, on)| (name, on.memory_mb, on.cpus, on.online));
    let storages = node.core.summary()?.storages;
    for (name, memory_mb, cpus, online) in std::iter::once(own).chain(others) {
        if !online {
            found.push(json!({ "id": format!("node/{name}"), "node": name, "type": "node", "status": "offline" }));
            continue;
        }
        found.push(json!({
            "cgroup-mode": 2, "cpu": 1, "disk": 0, "id": format!("node/{name}"), "level": "", "maxcpu": cpus,
            "maxdisk": 0, "maxmem": memory_mb << 20, "mem": 0, "node": name, "status": "online", "type": "node", "uptime": 1,
        }));
        let is_there = |nodes: &str| nodes.is_empty() || nodes.split(',').any(|node| node.trim() == name);
        for section in node.sections().iter().filter(|section| section.enabled() && is_there(section.option("nodes"))) {
            let Some(storage) = storages.get(&section.id) else { continue };
            found.push(json!({
                "content": section.option("content"), "disk": storage.total - storage.free,
                "id": format!("storage/{name}/{}", section.id), "maxdisk": storage.total, "node": name,
                "plugintype": section.kind, "shared": u8::from(storage.shared), "status": "available",
                "storage": section.id, "type": "storage",
            }));
        }
    }
    Ok(found.into())
}

/// `/cluster/tasks`: those of all nodes, ended ones with when they did.
pub(crate) fn tasks(node: &Node) -> Result<Value, Fault> {
    let entry = |task: &phoenix::backend::embedded::Task| {
        let parts: Vec<&str> = task.upid.split(':').collect();
        let [_, on, _, _, start, kind, id, user, ..] = parts.as_slice() else { return None };
        let start = u64::from_str_radix(start, 16).ok()?;
        let mut entry = json!({
            "id": id, "node": on, "saved": "0", "starttime": start, "type": kind, "upid": task.upid, "user": user,
        });
        if let Some(status) = &task.status {
            entry["endtime"] = (start + 1).into();
            entry["status"] = status.as_str().into();
        }
        Some(entry)
    };
    Ok(node.core.summary()?.tasks.iter().filter_map(entry).collect())
}
