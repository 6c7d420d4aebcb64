//! Calls of the API that `pvesh` hands to another node: there they are carried out as `qm` does it, and what that
//! prints comes back as one JSON string, with the id of the task behind it (recorded).

use std::collections::BTreeSet;
use std::io::Write as _;

use phoenix::hypervisor::{Fault, FaultKind};
use phoenix::model::VmId;
use phoenix::observed::decode_keys;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::{Node, guest, pvesh, qm};

/// A call about another node.
pub(crate) struct Call<'c> {
    pub(crate) node: &'c str,
    pub(crate) verb: &'c str,
    /// What stands behind the node.
    pub(crate) path: &'c [&'c str],
    pub(crate) options: &'c [&'c str],
}

/// What the other node refused.
fn refused(answer: &Answer) -> Answer {
    let lines = answer.err.lines().filter(|line| !line.starts_with("qm "));
    let err = format!("proxy handler failed: {}\n", lines.collect::<Vec<_>>().join("\n"));
    Answer { err, status: answer.status, ..Answer::default() }
}

fn said(value: Result<Value, Fault>) -> Answer {
    match value {
        Ok(value) => Answer::said(format!("{value}\n")),
        Err(fault) => refused(&Answer::refused(&fault, "")),
    }
}

impl Call<'_> {
    /// Carries it out. `None`: the double does not know it.
    pub(crate) fn run(&self, node: &Node) -> Option<Answer> {
        let settings = node.core.settings();
        let Some(member) = settings.nodes.get(self.node) else {
            let name = self.node;
            let err = format!(
                "hostname lookup '{name}' failed - failed to get address info for: {name}: Temporary failure in name resolution\n"
            );
            return Some(Answer { err, status: 11, ..Answer::default() });
        };
        if !member.online {
            let err = "proxy handler failed: ssh: connect to host 10.98.0.2 port 22: No route to host\n";
            return Some(Answer { err: err.to_owned(), status: 255, ..Answer::default() });
        }
        match (self.verb, self.path, self.options) {
            ("get", ["network"], ["--type", "any_bridge"]) => {
                let bridge = |(name, address): (&String, &Option<String>)| match address {
                    Some(address) => {
                        json!({ "iface": name, "type": "bridge", "active": 1, "address": address, "method": "static" })
                    }
                    None => json!({ "iface": name, "type": "bridge", "active": 1, "method": "manual" }),
                };
                Some(said(Ok(member.bridges.iter().map(bridge).collect())))
            }
            ("get", ["storage", storage, "content"], ["--content", "iso"]) => {
                Some(said(pvesh::isos(node, self.node, storage)))
            }
            ("get", ["storage", storage, "content"], ["--vmid", vm]) => {
                Some(said(pvesh::volumes(node, (self.node, storage), vm.parse().ok()?)))
            }
            ("get", ["tasks", upid, "status"], []) => Some(said(status(node, upid))),
            ("get", ["tasks", upid, "log"], ["--limit", limit]) => {
                Some(said(pvesh::log(node, upid, limit.parse().unwrap_or(50))))
            }
            (_, ["qemu", vm, rest @ ..], _) => {
                let vm: VmId = vm.parse().ok()?;
                if node.node_of(vm) != self.node {
                    return Some(refused(&Answer::refused(&Node::not_on(self.node, vm), "")));
                }
                self.about_vm(node, vm, rest)
            }
            _ => None,
        }
    }

    fn about_vm(&self, node: &Node, vm: VmId, rest: &[&str]) -> Option<Answer> {
        let id = vm.to_string();
        match (self.verb, rest, self.options) {
            ("get", ["migrate"], ["--target", to]) => Some(said(node.core.preconditions(vm, to))),
            ("get", ["status", "current"], []) => Some(said(node.existing(vm).map(|live| {
                json!({ "name": live.name, "status": if live.running { "running" } else { "stopped" }, "vmid": vm.get() })
            }))),
            ("create", ["agent", "exec"], options) => {
                let (mut argv, mut input) = (Vec::new(), "");
                for pair in options.chunks(2) {
                    match pair {
                        ["--command", word] => argv.push(*word),
                        ["--input-data", text] => input = text,
                        _ => return None,
                    }
                }
                let done = guest::exec(node, vm, false, (&argv, input.as_bytes()));
                Some(agent(&done.unwrap_or_else(|fault| Answer::refused(&fault, "")), false))
            }
            ("get", ["agent", "exec-status"], ["--pid", pid]) => {
                Some(agent(&qm::carry_out(node, &["guest", "exec-status", &id, pid]), false))
            }
            ("create", ["agent", "ping"], []) => Some(agent(&qm::carry_out(node, &["agent", &id, "ping"]), true)),
            ("get", ["agent", question], []) => Some(agent(&qm::carry_out(node, &["agent", &id, question]), true)),
            _ => self.change(node, vm, rest),
        }
    }

    /// One that changes something, as `qm` there does it.
    fn change(&self, node: &Node, vm: VmId, rest: &[&str]) -> Option<Answer> {
        let id = vm.to_string();
        let plain: &[&str] = match rest {
            ["clone"] => &["newid"],
            ["resize"] => &["disk", "size"],
            ["move_disk"] => &["disk", "storage"],
            ["migrate"] => &["target"],
            ["snapshot"] => &["snapname"],
            _ => &[],
        };
        let mut words: Vec<&str> = match (self.verb, rest) {
            ("create", [what @ ("clone" | "migrate" | "snapshot" | "template")] | ["status", what]) => vec![what, &id],
            ("create", ["move_disk"]) => vec!["disk", "move", &id],
            ("create" | "set", ["config"]) => vec!["set", &id],
            ("set", ["resize"]) => vec!["disk", "resize", &id],
            ("set", ["cloudinit"]) => vec!["cloudinit", "update", &id],
            ("create", ["snapshot", name, "rollback"]) => vec!["rollback", &id, name],
            ("delete", ["snapshot", name]) => vec!["delsnapshot", &id, name],
            ("delete", []) => vec!["destroy", &id],
            _ => return None,
        };
        let pairs: Vec<(&str, &str)> =
            self.options.chunks(2).map(|pair| (pair[0].strip_prefix("--").unwrap_or(""), pair[1])).collect();
        words.extend(plain.iter().filter_map(|name| Some(pairs.iter().find(|pair| pair.0 == *name)?.1)));
        // Of the API these are text; `qm` reads them from a file.
        let mut keys = tempfile::NamedTempFile::new().ok()?;
        let (keys_path, mut options) = (keys.path().to_str()?.to_owned(), Vec::new());
        for (name, value) in pairs.iter().filter(|pair| !plain.contains(&pair.0)) {
            match *name {
                "sshkeys" => {
                    keys.write_all(decode_keys(value).as_bytes()).ok()?;
                    options.extend(["--sshkeys".to_owned(), keys_path.clone()]);
                }
                _ => options.extend([format!("--{name}"), (*value).to_owned()]),
            }
        }
        words.extend(options.iter().map(String::as_str));
        let before: BTreeSet<String> = upids(node, vm);
        let answer = qm::carry_out(node, &words);
        let begun = upids(node, vm).into_iter().find(|upid| !before.contains(upid));
        Some(match begun {
            // Whether it failed, its status tells.
            Some(upid) => Answer::said(format!("{}\n", json!(format!("{}\"{upid}\"", answer.out.trim_end())))),
            None if answer.status == 0 => Answer::default(),
            None => refused(&answer),
        })
    }
}

/// The tasks about a VM.
fn upids(node: &Node, vm: VmId) -> BTreeSet<String> {
    let tasks = node.core.summary().map(|summary| summary.tasks).unwrap_or_default();
    let about = format!(":{vm}:root@pam:");
    tasks.into_iter().map(|task| task.upid).filter(|upid| upid.ends_with(&about)).collect()
}

fn status(node: &Node, upid: &str) -> Result<Value, Fault> {
    let tasks = node.core.summary()?.tasks;
    let Some(task) = tasks.into_iter().find(|task| task.upid == upid) else {
        return Err(Fault::harmless(FaultKind::Refused, "400 Parameter verification failed.\nupid: no such task"));
    };
    Ok(match task.status {
        None => json!({ "status": "running", "upid": upid }),
        Some(exit) => json!({ "status": "stopped", "exitstatus": exit, "upid": upid }),
    })
}

/// What the agent said: what only asks it comes back in `result`.
fn agent(answer: &Answer, wrapped: bool) -> Answer {
    if answer.status != 0 {
        return refused(answer);
    }
    let value: Value = serde_json::from_str(&answer.out).unwrap_or_else(|_| json!({}));
    said(Ok(if wrapped { json!({ "result": value }) } else { value }))
}
