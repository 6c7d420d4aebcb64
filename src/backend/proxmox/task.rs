//! Tasks: what their ids say, which ones run, and what they work on.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::call::{Call, Method};
use crate::hypervisor::{Cloning, Fault, FaultKind};
use crate::model::VmId;

/// Kinds of task that work on the disks of the VM they are about, or take it to another node: one that writes a
/// configuration may import an image (recorded). No lock of the configuration shows all of them.
const ON_DISKS: [&str; 7] =
    ["qmconfig", "qmigrate", "qmmove", "qmsnapshot", "qmdelsnapshot", "qmrollback", "qmtemplate"];

/// The id of a task: `UPID:NODE:PID:PSTART:START:KIND:ID:USER:`.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Upid<'a>(pub(in crate::backend) &'a str);

impl<'a> Upid<'a> {
    fn part(self, number: usize) -> Option<&'a str> {
        self.0.split(':').nth(number)
    }

    /// The node it runs on.
    pub(in crate::backend) fn node(self) -> Option<&'a str> {
        self.part(1)
    }

    /// When it started, in hexadecimal seconds.
    pub(in crate::backend) fn start(self) -> Option<&'a str> {
        self.part(4)
    }

    /// What kind of task it is.
    pub(in crate::backend) fn kind(self) -> Option<&'a str> {
        self.part(5)
    }

    /// The VM it is about: of a clone its source.
    pub(in crate::backend) fn vm(self) -> Option<VmId> {
        self.part(6)?.parse().ok()
    }
}

/// A running task, as the API lists it or the node notes it.
#[derive(Debug, Deserialize)]
pub(in crate::backend) struct Task {
    upid: String,
    #[serde(rename = "type")]
    kind: String,
    /// What it is about: of most, a VMID.
    #[serde(default)]
    id: String,
    /// When it ended, of those that did.
    #[serde(default, rename = "endtime")]
    ended: Option<u64>,
    /// The first line of its log; `None`: that was not read.
    #[serde(skip)]
    first: Option<String>,
}

impl Task {
    /// Whether it clones a VM.
    pub(in crate::backend) fn clones(&self) -> bool {
        is_clone(&self.kind)
    }

    /// Its UPID.
    pub(in crate::backend) fn upid(&self) -> &str {
        &self.upid
    }

    /// Whether it runs on this node, and its UPID may stand in a path.
    pub(in crate::backend) fn is_plain_on(&self, node: &str) -> bool {
        self.is_plain() && Upid(&self.upid).node() == Some(node)
    }

    /// Whether it works on the disks of this VM.
    pub(in crate::backend) fn is_on_disks_of(&self, vm: VmId) -> bool {
        is_on_disks(&self.kind) && self.id.parse() == Ok(vm)
    }

    /// The first line of its log, where that was read.
    pub(in crate::backend) fn first_line(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Whether its UPID is one that may stand in a path: Proxmox hands a path on to a shell of another node as it is,
    /// and a UPID has the name of a user in it.
    pub(in crate::backend) fn is_plain(&self) -> bool {
        begun(&self.upid) == Some(self.upid.as_str())
    }

    /// Asks for the first line of its log.
    pub(in crate::backend) fn beginning(&self, here: &str) -> Call {
        let node = Upid(&self.upid).node().unwrap_or(here);
        Call::new(Method::Get, &["nodes", node, "tasks", &self.upid, "log"]).with("limit", "1")
    }
}

/// Whether a kind of task clones a VM.
pub(in crate::backend) fn is_clone(kind: &str) -> bool {
    kind == "qmclone"
}

/// Whether a kind of task works on the disks of the VM it is about.
pub(in crate::backend) fn is_on_disks(kind: &str) -> bool {
    ON_DISKS.contains(&kind)
}

/// Those of the tasks that work on the disks of the VM they are about: by VM, the kind.
pub(in crate::backend) fn on_disks(tasks: &[Task]) -> BTreeMap<VmId, String> {
    let found = tasks.iter().filter(|task| is_on_disks(&task.kind));
    found.filter_map(|task| Some((task.id.parse().ok()?, task.kind.clone()))).collect()
}

/// The running tasks: the API's list, or lines `UPID FIRST-LINE-OF-ITS-LOG` as the node itself notes them.
pub(in crate::backend) fn parse(text: &str) -> Result<Vec<Task>, Fault> {
    let garbled =
        |why: &str| Fault::harmless(FaultKind::Garbled, format!("the node's tasks cannot be understood: {why}"));
    let text = text.trim();
    if text.starts_with(['[', '{']) {
        return serde_json::from_str(text).map_err(|why| garbled(&why.to_string()));
    }
    text.lines().map(|line| noted(line).ok_or_else(|| garbled(line))).collect()
}

/// The tasks that run on other nodes than this one, of what the API lists for a cluster.
///
/// # Errors
/// The list cannot be understood.
pub(in crate::backend) fn elsewhere(list: &str, here: &str) -> Result<Vec<Task>, Fault> {
    let runs_there = |task: &Task| task.ended.is_none() && Upid(&task.upid).node() != Some(here);
    Ok(parse(list)?.into_iter().filter(runs_there).collect())
}

/// The calls that look at a task of a node: how it stands, and what it wrote.
pub(in crate::backend) fn looks(node: &str, upid: &str) -> [Call; 2] {
    let of = |what: &str| Call::new(Method::Get, &["nodes", node, "tasks", upid, what]);
    [of("status"), of("log").with("limit", "500")]
}

/// The task that a call began on another node: `pvesh` prints one JSON string, which ends with its id (recorded:
/// `"update VM 3200: -description x\"UPID:…\""`).
pub(in crate::backend) fn begun(said: &str) -> Option<&str> {
    let said = said.trim_end().trim_end_matches(['"', '\\']);
    let upid = &said[said.rfind("UPID:")?..];
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '@' | '!' | '.' | '_' | '-' | '+');
    (Upid(upid).part(7).is_some() && upid.chars().all(is_part)).then_some(upid)
}

/// How a task ended, as its status says: `OK`, or why it failed. `None`: it runs.
///
/// # Errors
/// Why its status cannot be understood.
pub(in crate::backend) fn end(status: &[u8]) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Status {
        status: String,
        exitstatus: Option<String>,
    }
    let status: Status = serde_json::from_slice(status).map_err(|why| why.to_string())?;
    Ok((status.status == "stopped").then(|| status.exitstatus.unwrap_or_else(|| "unexpected status".to_owned())))
}

/// Whether a task that ended like that did what it was for.
pub(in crate::backend) fn succeeded(end: &str) -> bool {
    end == "OK" || end.starts_with("WARNINGS: ")
}

/// Why a task failed: how it ended, and the last lines of its log, where the reason may stand alone (recorded: a
/// migration ends with `migration aborted`).
pub(in crate::backend) fn why(end: &str, log: &[u8]) -> String {
    let lines: Vec<Line> = serde_json::from_slice(log).unwrap_or_default();
    let told = |line: &&str| !line.is_empty() && !line.starts_with("TASK ERROR") && !line.contains(end);
    let last: Vec<&str> = lines.iter().map(|line| line.t.trim()).filter(told).collect();
    let last = &last[last.len().saturating_sub(2)..];
    std::iter::once(end).chain(last.iter().copied()).collect::<Vec<_>>().join("\n")
}

/// The text of a log, as the API hands it out; empty if it cannot be understood.
pub(in crate::backend) fn log(log: &[u8]) -> String {
    let lines: Vec<Line> = serde_json::from_slice(log).unwrap_or_default();
    lines.iter().map(|line| line.t.clone() + "\n").collect()
}

/// A line of a log.
#[derive(Deserialize)]
struct Line {
    t: String,
}

/// One line of what the node notes of running tasks.
fn noted(line: &str) -> Option<Task> {
    let (upid, first) = line.split_once(' ').unwrap_or((line, ""));
    let (kind, id) = (Upid(upid).kind()?, Upid(upid).part(6)?);
    Some(Task {
        kind: kind.to_owned(),
        id: id.to_owned(),
        first: Some(first.to_owned()),
        upid: upid.to_owned(),
        ended: None,
    })
}

/// The VM that a clone makes, from the first line of its log: its task is about the template, and only this line names
/// the target.
pub(in crate::backend) fn target_in(line: &str) -> Option<VmId> {
    line.strip_prefix("creating ")?.rsplit_once(" with ID ")?.1.trim().parse().ok()
}

/// The VM that a clone makes, from its log as the API hands it out.
pub(in crate::backend) fn clone_target(log: &[u8]) -> Option<VmId> {
    let lines: Vec<Line> = serde_json::from_slice(log).ok()?;
    lines.iter().find_map(|line| target_in(&line.t))
}

/// Whether a clone into a VM runs, from the targets of all running clones; `None` among them stands for one that cannot
/// be told.
pub(in crate::backend) fn cloning(targets: &[Option<VmId>], vm: VmId) -> Cloning {
    if targets.contains(&Some(vm)) {
        Cloning::Yes
    } else if targets.contains(&None) {
        Cloning::Unknown
    } else {
        Cloning::No
    }
}

#[cfg(test)]
mod tests {
    use super::{Upid, begun, clone_target, cloning, elsewhere, end, on_disks, parse, succeeded, why};
    use crate::hypervisor::Cloning;
    use crate::model::VmId;

    #[test]
    fn an_id_has_its_parts() {
        let id = Upid("UPID:pve1:0000787D:000AF6B6:67321A3C:qmmove:101:root@pam:");
        assert_eq!((id.node(), id.start(), id.kind()), (Some("pve1"), Some("67321A3C"), Some("qmmove")));
        assert_eq!(id.vm(), VmId::try_from(101).ok());
        assert_eq!(Upid("UPID:pve1").vm(), None);
    }

    #[test]
    fn a_clone_is_told_by_its_log() {
        let log = br#"[{"n":1,"t":"creating a clone of VM 9100 with ID 431"}]"#;
        assert_eq!(clone_target(log), VmId::try_from(431).ok());
        assert_eq!(clone_target(b"[]"), None);
        let tasks = r#"[{"id":"9100","node":"vm","pid":30845,"pstart":718548,"saved":"0","starttime":1795388860,
            "status":"RUNNING","type":"qmclone","upid":"UPID:vm:0000787D:x","user":"root@pam"},
            {"id":"1","type":"qmstart","upid":"UPID:y"},{"id":"101","type":"qmmove","upid":"UPID:z"}]"#;
        let tasks = parse(tasks).unwrap();
        let working: Vec<_> = on_disks(&tasks).into_iter().map(|(vm, kind)| (vm.get(), kind)).collect();
        assert_eq!(working, [(101, "qmmove".into())]);
        let clones: Vec<_> = tasks.iter().filter(|task| task.clones()).collect();
        assert_eq!(clones.len(), 1);
        assert_eq!((clones[0].beginning("localhost").path[1].as_str(), clones[0].first_line()), ("vm", None));
    }

    #[test]
    fn running_tasks_are_told_by_what_the_node_notes() {
        let noted = "UPID:vm:0000787D:000AF6D4:6B0375BC:qmclone:9100:root@pam: creating a clone of VM 9100 with ID 431\n\
                     UPID:vm:0000787E:000AF6D5:6B0375BD:qmclone:9100:root@pam: \n\
                     UPID:vm:0000787F:1000AF6D5:6B0375BD:qmmove:101:root@pam!t:\n";
        let tasks = parse(noted).unwrap();
        let working: Vec<_> = on_disks(&tasks).into_iter().map(|(vm, kind)| (vm.get(), kind)).collect();
        assert_eq!(working, [(101, "qmmove".into())]);
        let logs: Vec<_> = tasks.iter().filter(|task| task.clones()).map(|task| task.first_line().unwrap()).collect();
        assert_eq!(logs, ["creating a clone of VM 9100 with ID 431", ""]);
        assert!(parse("").unwrap().is_empty());
        for garbled in ["tasks", "UPID:vm:1:2:3:qmclone", "[1]", "{}"] {
            assert!(parse(garbled).is_err(), "{garbled}");
        }
    }

    #[test]
    fn a_task_of_another_node_is_told_by_what_pvesh_prints() {
        // Recorded; and what a description makes of it.
        let upid = "UPID:pve1:00002A13:000A5404:6B08134E:qmconfig:3200:root@pam:";
        let said = format!("\"update VM 3200: -description task from pve2\\\"{upid}\\\"\"\n");
        assert_eq!(begun(&said), Some(upid));
        assert_eq!(begun(&format!("\"{upid}\"\n")), Some(upid));
        let other = format!("\"update VM 1: -description UPID:a:b:c:d:e:f:g:\\\"{upid}\\\"\"");
        assert_eq!(begun(&other), Some(upid));
        for none in ["", "null", "\"update VM 1: -description UPID:x\"", "\"UPID:a:1:2:3:k:1:../../x:\""] {
            assert_eq!(begun(none), None, "{none}");
        }
    }

    #[test]
    fn a_task_of_another_node_ends() {
        assert_eq!(end(br#"{"status":"running","pid":784}"#), Ok(None));
        // Recorded.
        let failed = br#"{"user":"root@pam","status":"stopped","id":"211","exitstatus":"migration aborted","pid":784}"#;
        assert_eq!(end(failed), Ok(Some("migration aborted".to_owned())));
        assert!(succeeded("OK") && succeeded("WARNINGS: 1") && !succeeded("migration aborted"));
        assert!(end(b"{}").is_err());
        let log = br#"[{"n":1,"t":"starting migration of VM 1"},{"n":2,"t":"ERROR: VM uses local devices: hostpci0"},
            {"n":3,"t":"ERROR: migration aborted (duration 00:00:01)"},{"n":4,"t":"TASK ERROR: migration aborted"}]"#;
        let why = why("migration aborted", log);
        assert_eq!(why, "migration aborted\nstarting migration of VM 1\nERROR: VM uses local devices: hostpci0");
    }

    #[test]
    fn tasks_of_other_nodes_run_until_they_have_ended() {
        let list = r#"[{"id":"100","node":"pve2","type":"qmmove","upid":"UPID:pve2:1:2:3:qmmove:100:root@pam:"},
            {"id":"101","node":"pve2","type":"qmmove","upid":"UPID:pve2:1:2:4:qmmove:101:root@pam:","endtime":1795689793,"status":"OK"},
            {"id":"102","node":"pve1","type":"qmmove","upid":"UPID:pve1:1:2:4:qmmove:102:root@pam:"}]"#;
        let found = on_disks(&elsewhere(list, "pve1").unwrap());
        assert_eq!(found.keys().map(|vm| vm.get()).collect::<Vec<_>>(), [100]);
    }

    #[test]
    fn a_clone_whose_target_is_unknown_may_make_any_vm() {
        let (this, other) = (VmId::try_from(431).unwrap(), VmId::try_from(432).ok());
        assert_eq!(cloning(&[None, Some(this)], this), Cloning::Yes);
        assert_eq!(cloning(&[None, other], this), Cloning::Unknown);
        assert_eq!(cloning(&[other], this), Cloning::No);
    }
}
