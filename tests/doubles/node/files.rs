//! Files in which a node of Proxmox keeps what an embedded one keeps otherwise.

use std::fs;
use std::io;
use std::path::Path;

use phoenix::hypervisor::{Fault, FaultKind};
use phoenix::model::VmId;
use serde_json::json;

use crate::Node;
use crate::answer::Answer;

/// Pids of the machines of an embedded node begin above those of any process.
const ABOVE_ALL: u32 = 1 << 30;

/// What `cat PATH` prints: the list of running tasks, the log of a task, the list of all VMs, or that of all nodes.
pub(crate) fn read(node: &Node, path: &Path) -> Answer {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let text = match name {
        "active" => tasks(node),
        ".vmlist" => vms(node),
        ".members" => crate::cluster::members(node, path),
        upid => node.core.task_log(upid).map(Option::unwrap_or_default),
    };
    text.map_or_else(|fault| Answer { err: format!("{}\n", fault.what), status: 1, ..Answer::default() }, Answer::said)
}

/// Those that run, as a worker notes itself; and, as there always are, some that ended.
fn tasks(node: &Node) -> Result<String, Fault> {
    let tasks = node.core.summary()?.tasks;
    let line = |task: &phoenix::backend::embedded::Task| match &task.status {
        None => format!("{} 0\n", task.upid),
        Some(status) => format!("{} 1 {} {}\n", task.upid, "6B0375C2", status.lines().next().unwrap_or_default()),
    };
    Ok(tasks.iter().map(line).collect())
}

fn vms(node: &Node) -> Result<String, Fault> {
    let vms = node.core.summary()?.vms;
    let entry = |vm: VmId| (vm.to_string(), json!({ "node": node.node_of(vm), "type": "qemu", "version": 1 }));
    let ids: serde_json::Map<_, _> = vms.iter().map(|vm| entry(vm.id)).collect();
    let text = serde_json::to_string(&json!({ "version": 1, "ids": ids }));
    text.map_err(|why| Fault::harmless(FaultKind::Failed, why.to_string()))
}

/// Where the node keeps pid files, makes them say which VMs run.
pub(crate) fn keep_pids(node: &Node) -> io::Result<()> {
    let (pids, proc) = (node.dir.join("root/var/run/qemu-server"), node.dir.join("root/proc"));
    if !pids.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(node.dir.join("qemu-server"))? {
        let name = entry?.file_name();
        let Some(vm) = name.to_str().and_then(|name| name.strip_suffix(".conf")?.parse::<u32>().ok()) else { continue };
        let file = pids.join(format!("{vm}.pid"));
        let process = proc.join((ABOVE_ALL + vm).to_string());
        let runs = node.dir.join(format!("run/{vm}")).exists();
        // Once only: others read them meanwhile.
        if runs && !file.exists() {
            fs::create_dir_all(&process)?;
            let words =
                ["kvm", "-id", &vm.to_string(), "-pidfile", &format!("/var/run/qemu-server/{vm}.pid"), "-daemonize"];
            fs::write(process.join("cmdline"), words.map(|word| format!("{word}\0")).concat())?;
            let new = pids.join(format!("{vm}.new.{}", std::process::id()));
            fs::write(&new, format!("{}\n", ABOVE_ALL + vm))?;
            fs::rename(new, file)?;
        } else if !runs && file.exists() {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}
