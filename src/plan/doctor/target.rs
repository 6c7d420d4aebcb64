//! What a target is and has, whatever a config says.

use super::{Area, Check, There};
use crate::diag::Diagnostic;
use crate::model::GIB;
use crate::observed::{ALLOW_FILE, Examined, Node, Observed, Storage};
use crate::plan::{Goal, codes, preflight, quorum};

/// Major version of Proxmox VE with which phoenix was tried.
const TRIED: &str = "9";

/// Seconds by which clocks may differ.
const APART: i64 = 30;

/// When the target was asked, by this machine's clock: seconds since 1970 just before and just after.
pub type Moment = (i64, i64);

/// Checks what a node says of itself, and what was observed of the target. Of what could not be looked at nothing is
/// said.
#[must_use]
pub fn of_target(
    examined: Option<&Examined>,
    observed: Option<&Observed>,
    moment: Moment,
    there: &There,
) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(examined) = examined {
        node(examined, moment, there, &mut checks);
    }
    if let Some(observed) = observed {
        cluster(observed, there, &mut checks);
        let is_there = examined.is_some_and(|examined| examined.allow_file);
        checks.extend(allowed(observed.own_node(), is_there, there));
    }
    checks
}

fn found(found: &Diagnostic) -> Check {
    Check::of(Area::Target, found)
}

fn ok(text: impl Into<String>) -> Check {
    Check::ok(Area::Target, text)
}

fn node(examined: &Examined, moment: Moment, there: &There, checks: &mut Vec<Check>) {
    // `qm` alone makes a Proxmox VE node of a target; others have no user to speak of.
    if let Some(user) = examined.user {
        checks.push(match &examined.version {
            Some(version) if version.split('.').next() == Some(TRIED) => ok(format!("Proxmox VE {version}")),
            Some(version) => {
                let what = format!("Proxmox VE {version}: phoenix was tried with version {TRIED} alone");
                let hint = format!("try it on a node without VMs that matter, or bring the node to Proxmox VE {TRIED}");
                found(&Diagnostic::warning(codes::OTHER_VERSION, what).hint(hint))
            }
            None => {
                let what = "`pveversion` does not say which Proxmox VE the node has";
                let hint = format!("{} says whether it is a Proxmox VE node", there.run("pveversion"));
                found(&Diagnostic::warning(codes::OTHER_VERSION, what).hint(hint))
            }
        });
        checks.push(if user == 0 {
            ok("programs run as root")
        } else {
            let what = format!("programs run as user {user} on the node, not as root");
            let hint = match there {
                There::Ssh { .. } => {
                    "name the user in the target: `qm+ssh://root@NODE`, or one with passwordless `sudo`, which phoenix then \
                     uses: `qm+ssh://USER@NODE`"
                }
                There::ThisMachine | There::ThisNode => {
                    "run phoenix as root (`sudo phoenix doctor`), or name a target that is reached as root or with \
                     passwordless `sudo`: `--target qm+ssh://root@NODE`"
                }
            };
            found(&Diagnostic::error(codes::NOT_ROOT, what).hint(hint))
        });
    }
    checks.extend(
        examined
            .missing
            .iter()
            .map(|(program, package)| found(&preflight::missing_program(program, &there.install(package)))),
    );
    if examined.missing.is_empty() && examined.programs > 0 {
        checks.push(ok(format!("all {} programs that phoenix runs are there", examined.programs)));
    }
    if let Some(clock) = examined.clock {
        checks.push(clocks(clock, moment, there));
    }
}

/// A clock that is ahead or behind makes certificates void, of images among others, and the times of logs wrong.
fn clocks(clock: i64, (before, after): Moment, there: &There) -> Check {
    let apart = clock.saturating_sub(after).max(before.saturating_sub(clock));
    if apart <= APART {
        return ok("its clock agrees with this machine's");
    }
    let how = if clock > after { "ahead of" } else { "behind" };
    let what = format!("its clock is {apart} s {how} that of this machine");
    let hint = format!(
        "`timedatectl` on both shows which is wrong; {} sets the clock of the node",
        there.run("systemctl restart chrony")
    );
    found(&Diagnostic::warning(codes::CLOCK_DIFFERS, what).hint(hint))
}

fn cluster(observed: &Observed, there: &There, checks: &mut Vec<Check>) {
    let offline: Vec<&Node> = observed.nodes.values().filter(|node| !node.online).collect();
    if let Some(lost) = quorum::lost(observed, &Goal::default()) {
        checks.push(found(&lost));
    } else if observed.nodes.len() > 1 && offline.is_empty() {
        checks.push(ok(format!("all {} nodes of the cluster are online, and it has quorum", observed.nodes.len())));
    }
    if observed.without_quorum.is_none() {
        checks.extend(offline.iter().map(|node| {
            let vms = match observed.vms.values().filter(|vm| vm.node == node.name).count() {
                0 => String::new(),
                1 => ", and the VM on it is left alone".to_owned(),
                vms => format!(", and the {vms} VMs on it are left alone"),
            };
            let what = format!("node `{}` {}: no VM is made there or moved there{vms}", node.name, node.absence());
            let status = there.run("pvecm status");
            let hint = if node.silent {
                node.way_back().to_owned()
            } else {
                format!("bring it up; {status} shows whether the cluster sees it")
            };
            found(&Diagnostic::warning(codes::NODE_OFFLINE, what).hint(hint))
        }));
    }
    let maintained = observed.nodes.values().filter(|node| node.online && node.maintenance);
    checks.extend(maintained.map(|node| {
        let what = format!(
            "node `{}` is in maintenance: no new VM is placed there, and the HA manager moves the VMs that it looks after to \
             other nodes; other VMs stay there, and are planned as always",
            node.name
        );
        let end = there.run(&format!("ha-manager crm-command node-maintenance disable {}", node.name));
        found(&Diagnostic::warning(codes::MAINTAINED, what).hint(format!("{end} ends the maintenance")))
    }));
}

/// The file of what VMs may have.
fn allowed(node: &Node, is_there: bool, there: &There) -> Option<Check> {
    if let Some(why) = &node.allowed.broken {
        let what = format!("{ALLOW_FILE} allows nothing: {why}");
        let hint = format!(
            "{}, {}; `phoenix schema --of allow` says what may stand in it",
            there.run(&format!("chown root:root /etc/phoenix {ALLOW_FILE}")),
            there.run(&format!("chmod go-w /etc/phoenix {ALLOW_FILE}"))
        );
        return Some(found(&Diagnostic::error(codes::ALLOW_FILE, what).hint(hint)));
    }
    is_there.then(|| ok(format!("{ALLOW_FILE} counts: no other user can write it")))
}

/// What VMs of any config need of the target: a storage, a bridge, and perhaps an NFS server.
#[must_use]
pub fn without_config(observed: &Observed, there: &There) -> Vec<Check> {
    let node = observed.own_node();
    let usable = node.storages.iter().filter(|(_, storage)| storage.active && storage.images);
    let mut checks: Vec<Check> = usable.map(|(id, storage)| takes_disks(id, storage)).collect();
    if checks.is_empty() {
        let what = "no active storage of the node takes disks of VMs";
        let hint = format!(
            "{} shows them; {} lets one take disks, and nothing else: name what it holds already, too",
            there.run("pvesm status"),
            there.run("pvesm set STORAGE --content images")
        );
        checks.push(Check::of(Area::Storages, &Diagnostic::error(codes::UNUSABLE_STORAGE, what).hint(hint)));
    }
    let bridges = node.bridges.iter().filter(|_| observed.capabilities.has_bridges);
    checks.extend(bridges.map(|(name, address)| bridge(name, address.as_deref())));
    if !node.nfs_server {
        let what = "the node has no NFS server: it cannot serve volumes to its VMs itself";
        let hint = node.nfs_hint.clone().unwrap_or_else(|| install_nfs(there));
        checks.push(Check::of(Area::Nfs, &Diagnostic::warning(codes::NO_NFS_SERVER, what).hint(hint)));
    }
    checks
}

/// What brings a node an NFS server.
pub(super) fn install_nfs(there: &There) -> String {
    format!("{}, or name another server in the config", there.run("apt-get install nfs-kernel-server"))
}

/// A storage that takes disks.
pub(super) fn takes_disks(id: &str, storage: &Storage) -> Check {
    let room = if storage.total == 0 { String::new() } else { format!(", {} GiB free", storage.free / GIB) };
    Check::ok(Area::Storages, format!("`{id}` ({}) takes disks{room}", storage.kind))
}

/// A bridge that is there.
pub(super) fn bridge(name: &str, address: Option<&str>) -> Check {
    let address = address.map(|address| format!(", where the node has {address}")).unwrap_or_default();
    Check::ok(Area::Network, format!("bridge `{name}`{address}"))
}

#[cfg(test)]
mod tests {
    use super::clocks;
    use crate::plan::doctor::{CheckState, There};

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let clocks = |clock, moment| clocks(clock, moment, &There::ThisNode);
        let state = |clock, moment| clocks(clock, moment).state;
        assert_eq!(state(1000, (990, 1060)), CheckState::Ok);
        assert_eq!(state(1030, (1000, 1000)), CheckState::Ok);
        assert_eq!(state(1031, (1000, 1000)), CheckState::Warning);
        assert!(clocks(10, (1000, 1001)).message.contains("990 s behind"));
        assert!(clocks(i64::MIN, (1000, 1001)).message.contains("behind"));
    }
}
