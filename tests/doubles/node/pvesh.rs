//! `pvesh`: the API, as JSON on one line.

use phoenix::hypervisor::{Fault, FaultKind, HostOp, Hypervisor as _};
use phoenix::model::{HaState, HaWish, VmId};
use phoenix::observed::VmObserved;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::{Node, cluster, proxied};

pub(crate) fn run(node: &Node, words: &[&str]) -> Answer {
    let [verb, path, options @ .., "--output-format", "json"] = words else {
        return Answer::unknown("pvesh", words);
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let here = |name: &str| name == "localhost" || name == node.core.settings().name;
    if let ["nodes", name, rest @ ..] = parts.as_slice()
        && !here(name)
    {
        let of = proxied::Call { node: name, verb, path: rest, options };
        return of.run(node).unwrap_or_else(|| Answer::unknown("pvesh", words));
    }
    if let (&"set", ["pools"]) = (verb, parts.as_slice()) {
        return pools(node, options).unwrap_or_else(|| Answer::unknown("pvesh", words));
    }
    if let ["cluster", "ha", "resources", rest @ ..] = parts.as_slice() {
        return ha(node, verb, rest, options).unwrap_or_else(|| Answer::unknown("pvesh", words));
    }
    if *verb != "get" {
        return Answer::unknown("pvesh", words);
    }
    let value = match (parts.as_slice(), options) {
        (["nodes", name, "qemu"], []) if here(name) => vms(node, false),
        (["cluster", "resources"], ["--type", "vm"]) => vms(node, true),
        (["cluster", "resources"], []) => cluster::resources(node),
        (["cluster", "tasks"], []) => cluster::tasks(node),
        (["nodes", name, "storage"], []) if here(name) => storages(node),
        (["nodes", name, "storage", storage, "content"], ["--content", "iso"]) => isos(node, name, storage),
        (["nodes", name, "storage", storage, "content"], ["--vmid", vm]) if here(name) => match vm.parse() {
            Ok(vm) => volumes(node, (name, storage), vm),
            Err(_) => return Answer::unknown("pvesh", words),
        },
        (["nodes", name, "qemu", vm, "migrate"], ["--target", to]) if here(name) => {
            let Ok(vm) = vm.parse() else { return Answer::unknown("pvesh", words) };
            if !here(&node.node_of(vm)) {
                return Answer::refused(&Node::not_on(name, vm), "");
            }
            node.core.preconditions(vm, to)
        }
        (["nodes", name, "tasks"], ["--source", "active"]) if here(name) => tasks(node),
        (["nodes", name, "tasks", upid, "log"], options) if here(name) => match options {
            [] => log(node, upid, usize::MAX),
            ["--limit", limit] => log(node, upid, limit.parse().unwrap_or(50)),
            _ => return Answer::unknown("pvesh", words),
        },
        _ => return Answer::unknown("pvesh", words),
    };
    match value {
        Ok(value) => Answer::said(format!("{value}\n")),
        Err(fault) => Answer::refused(&fault, &format!("pvesh get {path} [OPTIONS]")),
    }
}

/// The VMs of the node; or of the cluster.
pub(crate) fn vms(node: &Node, cluster: bool) -> Result<Value, Fault> {
    let vms: Vec<VmObserved> = if cluster {
        let all = node.core.summary()?.vms.into_iter().map(|vm| node.core.vm(vm.id));
        all.filter_map(Result::transpose).collect::<Result<_, _>>()?
    } else {
        // The only one of the calls at once that a script for `observe` is meant for.
        let mut vms: Vec<VmObserved> = node.did(node.core.observe())?.vms.into_values().collect();
        vms.retain(|vm| vm.node == node.core.settings().name);
        vms
    };
    Ok(vms.iter().map(|vm| entry(vm, cluster.then_some(vm.node.as_str()))).collect())
}

fn entry(vm: &VmObserved, cluster: Option<&str>) -> Value {
    let (status, up) = if vm.running { ("running", 1) } else { ("stopped", 0) };
    let disk = vm.boot_disk.as_ref().and_then(|disk| disk.size).unwrap_or(0);
    let cores = vm.cpu_cores * vm.cpu_sockets;
    let mut entry = json!({
        "cpu": 0, "disk": 0, "maxdisk": disk, "maxmem": vm.memory_mb << 20, "mem": 0, "memhost": 0, "name": vm.name,
        "netin": 0, "netout": 0, "status": status, "uptime": up, "vmid": vm.id.get(),
    });
    if vm.name.is_empty() {
        entry["name"] = format!("VM {}", vm.id).into();
    }
    if !vm.tags.is_empty() {
        entry["tags"] = vm.tags.join(";").into();
    }
    if let Some(lock) = &vm.lock {
        entry["lock"] = lock.as_str().into();
    }
    let more = match cluster {
        Some(node) => json!({
            "diskread": 0, "diskwrite": 0, "id": format!("qemu/{}", vm.id), "maxcpu": cores, "node": node,
            "template": u8::from(vm.template), "type": "qemu",
        }),
        None if vm.template => json!({ "cpus": cores, "serial": 1, "template": 1 }),
        None => json!({ "cpus": cores, "serial": 1 }),
    };
    if let (Value::Object(entry), Value::Object(more)) = (&mut entry, more) {
        entry.extend(more);
    }
    entry
}

/// The ISO images on a storage of a node.
pub(super) fn isos(node: &Node, name: &str, storage: &str) -> Result<Value, Fault> {
    let volume = |volume| json!({ "volid": volume, "content": "iso", "format": "iso", "size": 4096 });
    Ok(node.core.isos_of(name, storage)?.into_iter().flatten().map(volume).collect())
}

/// The volumes of a VM on a storage of a node, and an image to import that has no owner, as recorded.
pub(super) fn volumes(node: &Node, (name, storage): (&str, &str), vm: VmId) -> Result<Value, Fault> {
    let own = |volume| json!({ "volid": volume, "content": "images", "format": "raw", "size": 4096, "vmid": vm });
    let import = json!({ "volid": format!("{storage}:import/tiny.qcow2"), "content": "import", "format": "qcow2" });
    let found = node.core.volumes_on(name, storage, vm)?;
    Ok(found.into_iter().flatten().map(own).chain([import]).collect())
}

fn storages(node: &Node) -> Result<Value, Fault> {
    let known = node.core.summary()?.storages;
    let entries = node.sections().into_iter().filter_map(|section| {
        let storage = known.get(&section.id)?;
        let on = u8::from(section.enabled());
        Some(json!({
            "active": on, "avail": storage.free, "content": section.option("content"), "enabled": on,
            "shared": u8::from(storage.shared), "storage": section.id, "total": storage.total,
            "type": section.kind, "used": storage.total - storage.free,
            "used_fraction": fraction(storage.total - storage.free, storage.total),
        }))
    });
    Ok(entries.collect())
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn tasks(node: &Node) -> Result<Value, Fault> {
    let running = node.core.summary()?.tasks.into_iter().filter(|task| task.status.is_none());
    let entries = running.filter_map(|task| {
        let parts: Vec<&str> = task.upid.split(':').collect();
        let [_, on, pid, pstart, start, kind, id, user, ..] = parts.as_slice() else { return None };
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(json!({
            "id": id, "node": on, "pid": hex(pid)?, "pstart": hex(pstart)?, "saved": "0", "starttime": hex(start)?,
            "status": "RUNNING", "type": kind, "upid": task.upid, "user": user,
        }))
    });
    Ok(entries.collect())
}

pub(crate) fn log(node: &Node, upid: &str, limit: usize) -> Result<Value, Fault> {
    let Some(log) = node.core.task_log(upid)? else {
        return Err(Fault::harmless(FaultKind::Refused, "400 Parameter verification failed.\nupid: no such task"));
    };
    Ok(log.lines().take(limit).enumerate().map(|(n, line)| json!({ "n": n + 1, "t": line })).collect())
}

/// `set /pools`: puts a VM into a pool, or takes it out of it; `None`: no such options.
fn pools(node: &Node, options: &[&str]) -> Option<Answer> {
    let mut pairs = options.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let mut option = |name: &str| pairs.next().filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
    let (pool, vm) = (option("--poolid")?, option("--vms")?.parse().ok()?);
    let (moves, leaves) = match pairs.next() {
        None => (false, false),
        Some(("--allow-move", "1")) => (true, false),
        Some(("--delete", "1")) => (false, true),
        Some(_) => return None,
    };
    let now = || node.core.vm(vm).ok().flatten().and_then(|vm| vm.pool);
    let (from, to) = if leaves { (Some(pool), None) } else { (moves.then(now).flatten(), Some(pool)) };
    Some(match node.perform(&HostOp::SetPool { vm, from, to }) {
        Ok(()) => Answer::default(),
        Err(fault) => Answer::refused(&fault, "pvesh set /pools --poolid <string> [OPTIONS]"),
    })
}

/// `create|set|delete /cluster/ha/resources…`: puts a VM under the HA manager, changes how it looks after the VM, takes
/// it out; `None`: no such options.
fn ha(node: &Node, verb: &str, rest: &[&str], options: &[&str]) -> Option<Answer> {
    let mut options = options.to_vec();
    let sid = match (verb, rest) {
        ("create", []) => {
            let sid = options.iter().position(|word| *word == "--sid")?;
            options.drain(sid..sid + 2).nth(1)?
        }
        ("set" | "delete", [sid]) => *sid,
        _ => return None,
    };
    let vm = sid.strip_prefix("vm:")?.parse().ok()?;
    let op = if verb == "delete" {
        options.is_empty().then_some(HostOp::LeaveHa { vm })?
    } else {
        let ["--state", state, "--max_restart", max_restart, "--max_relocate", max_relocate] = options[..] else {
            return None;
        };
        let state = HaState::ALL.into_iter().find(|known| known.as_str() == state)?;
        let (max_restart, max_relocate) = (max_restart.parse().ok()?, max_relocate.parse().ok()?);
        HostOp::SetHa { vm, ha: HaWish { state, max_restart, max_relocate }, is_new: verb == "create" }
    };
    Some(match node.perform(&op) {
        Ok(()) => Answer::default(),
        Err(fault) => Answer::refused(&fault, &format!("pvesh {verb} /cluster/ha/resources [OPTIONS]")),
    })
}
