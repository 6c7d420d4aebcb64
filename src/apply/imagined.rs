//! A target in which everything that is asked for happens at once, and that keeps what it was asked: plans are carried
//! out on it to tell what they would do.

mod changed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use changed::{as_template, carded, change, missing, on_storage, power, unknown, with_part};

use crate::guest::{self, Program};
use crate::hypervisor::image::{import, import_further};
use crate::hypervisor::{
    About, Cloning, ExportEntry, Fault, FileOp, GuestAddress, GuestExit, GuestStatus, Guests, HostFiles, HostOp,
    Hypervisor, Plugged, Wanted,
};
use crate::model::{GIB, VmId};
use crate::observed::{Export, Ha, Listed, Node, Observed, Place, VmObserved, encode_description, print_size};

/// What stands for the address of a guest until it is known, in what is told.
const ADDRESS: &str = "<address of net0>";

/// What guests answer here: an address that no host has (RFC 6666).
const IMAGINED: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));

/// One call that an action makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// An operation on the hypervisor.
    Host(HostOp),
    /// An operation on the files of the node.
    Files(FileOp),
    /// A question to the guest agent: `ping`, `network-get-interfaces`.
    Agent(&'static str),
    /// A program in the guest.
    Guest(Program),
}

/// A target in memory.
pub(super) struct Imagined(Mutex<State>);

struct State {
    observed: Observed,
    /// Each with the other node that its VM is on, if that is so.
    calls: Vec<(Call, Option<String>)>,
    /// What the program that was started last will have answered.
    answer: GuestExit,
}

impl Imagined {
    /// One that looks like what was observed.
    pub(super) fn of(observed: &Observed) -> Self {
        Self(Mutex::new(State { observed: observed.clone(), calls: Vec::new(), answer: GuestExit::default() }))
    }

    /// The calls since the last time, each with the other node than the target's own that its VM is on, if it is on one.
    pub(super) fn take(&self) -> Vec<(Call, Option<String>)> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hypervisor for Imagined {
    fn about(&self) -> About {
        About { label: "an imagined target".to_owned(), simulated: true }
    }

    fn observe_with(&self, _: &Wanted) -> Result<Observed, Fault> {
        Ok(self.state().observed.clone())
    }

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        Ok(self.state().observed.vms.get(&vm).cloned())
    }

    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        let state = self.state();
        let named = state.observed.vms.get(&vm).into_iter().flat_map(|live| &live.volumes);
        Ok(named.map(|volume| volume.volume.clone()).collect())
    }

    fn listed(&self, _: &[VmId], _: &[&str]) -> Result<Listed, Fault> {
        Ok(self.state().observed.own_node().listed.clone())
    }

    fn isos(&self, _: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        Ok(self.state().observed.own_node().isos.clone())
    }

    fn cloning(&self, _: VmId) -> Result<Cloning, Fault> {
        Ok(Cloning::No)
    }

    fn working(&self, _: VmId) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    fn perform(&self, op: &HostOp, _: Duration) -> Result<(), Fault> {
        let mut state = self.state();
        state.keep(Call::Host(told(op)), op.needs());
        state.happen(op)
    }

    fn guests(&self) -> &dyn Guests {
        self
    }

    fn files(&self) -> Option<&dyn HostFiles> {
        Some(self)
    }
}

impl HostFiles for Imagined {
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        let state = self.state();
        let places = &state.observed.own_node().places;
        Ok(directories.iter().filter_map(|path| Some((path.clone(), places.get(path)?.clone()))).collect())
    }

    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        let state = self.state();
        let matter = |export: &&Export| export.vm.is_none_or(|owner| owner == vm);
        Ok(state.node(vm).into_iter().flat_map(|node| &node.exports).filter(matter).cloned().collect())
    }

    fn write(&self, op: &FileOp, _: Duration) -> Result<(), Fault> {
        let mut state = self.state();
        state.keep(Call::Files(told_files(op)), None);
        if let FileOp::WriteExports { vm, entries } = op {
            state.export(*vm, entries);
        }
        Ok(())
    }
}

impl Guests for Imagined {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.state().keep(Call::Agent("ping"), Some(vm));
        Ok(())
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        let mut state = self.state();
        state.keep(Call::Agent("network-get-interfaces"), Some(vm));
        let mac = state.observed.vms.get(&vm).and_then(|live| live.net0.as_ref()?.mac.clone());
        // A guest whose address is known keeps it.
        let address = Some(state.observed.addresses.get(&vm).copied().unwrap_or(IMAGINED));
        Ok(mac.map(|mac| GuestAddress { mac, address }).into_iter().collect())
    }

    /// What is imagined uses whatever it is given.
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        let mut state = self.state();
        what.questions().iter().for_each(|question| state.keep(Call::Agent(question), Some(vm)));
        Ok(u64::MAX)
    }

    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        let mut state = self.state();
        state.keep(Call::Guest(Program { argv: argv.to_vec(), input: input.to_vec() }), Some(vm));
        state.answer = guest::success(argv);
        Ok(1)
    }

    fn input_limit(&self) -> usize {
        usize::MAX
    }

    fn status(&self, _: VmId, _: u64) -> Result<GuestStatus, Fault> {
        Ok(GuestStatus::Ended(self.state().answer.clone()))
    }
}

/// An operation as it is told: what is only imagined is called what it is.
fn told(op: &HostOp) -> HostOp {
    let mut op = op.clone();
    match &mut op {
        HostOp::ImportDisk { digest, .. }
        | HostOp::ImportFurther { digest, .. }
        | HostOp::Configure { digest, .. }
        | HostOp::MoveDisk { digest, .. }
        | HostOp::Snapshot { digest, .. }
        | HostOp::Rollback { digest, .. }
        | HostOp::Template { digest, .. }
        | HostOp::Destroy { digest, .. }
        | HostOp::Revert { digest, .. }
            if digest.0.starts_with('<') =>
        {
            *digest = unknown();
        }
        _ => {}
    }
    op
}

/// The same of an operation on files.
fn told_files(op: &FileOp) -> FileOp {
    let mut op = op.clone();
    if let FileOp::WriteExports { entries, .. } = &mut op {
        for entry in entries.iter_mut().filter(|entry| entry.client == IMAGINED.to_string()) {
            ADDRESS.clone_into(&mut entry.client);
        }
    }
    op
}

impl State {
    /// Keeps a call, with the other node that its VM is on.
    fn keep(&mut self, call: Call, about: Option<VmId>) {
        let live = about.and_then(|vm| self.observed.vms.get(&vm));
        let elsewhere = live.filter(|live| live.node != self.observed.here).map(|live| live.node.clone());
        self.calls.push((call, elsewhere));
    }

    /// Name of the node that a VM is on, or is made on.
    fn node_of(&self, vm: VmId) -> String {
        self.observed.vms.get(&vm).map_or(&self.observed.here, |live| &live.node).clone()
    }

    fn node(&self, vm: VmId) -> Option<&Node> {
        self.observed.nodes.get(&self.node_of(vm))
    }

    fn export(&mut self, vm: VmId, entries: &[ExportEntry]) {
        let entry = |entry: &ExportEntry| Export {
            vm: Some(vm),
            path: entry.path.clone(),
            client: entry.client.clone(),
            full: true,
        };
        let node = self.node_of(vm);
        if let Some(node) = self.observed.nodes.get_mut(&node) {
            node.exports.retain(|export| export.vm != Some(vm));
            node.exports.extend(entries.iter().map(entry));
        }
    }

    /// What an operation does to the VMs.
    fn happen(&mut self, op: &HostOp) -> Result<(), Fault> {
        let vms = &mut self.observed.vms;
        match op {
            HostOp::Clone { source, target, name, description, storage, node } => {
                let template = vms.get(source).ok_or_else(|| missing(*source))?;
                let mut clone = template.as_clone(*target, name, description);
                if let Some((disk, storage)) = clone.boot_disk.clone().zip(storage.as_ref()) {
                    clone = on_storage(&clone, &disk.device, storage);
                }
                if let Some(node) = node {
                    clone = clone.on(node);
                }
                vms.insert(*target, clone);
            }
            HostOp::Create { vm, name, description } => {
                let text = format!("{}name: {name}\nsmbios1: uuid=UUID\n", encode_description(description));
                let new = VmObserved::from_conf(*vm, &text, false).on(&self.observed.here);
                vms.insert(*vm, VmObserved { digest: unknown(), ..new });
            }
            HostOp::ImportDisk { vm, image, storage, .. } => {
                let mut write = import(&image.fetched(), storage);
                write.set.insert("ide2".to_owned(), format!("{storage}:vm-{vm}-cloudinit,media=cdrom"));
                write.set.insert("scsi0".to_owned(), format!("{storage}:vm-{vm}-disk-0,discard=on"));
                change(vms, *vm, |live| live.after(&write))?;
            }
            HostOp::ImportFurther { vm, image, disk, .. } => {
                let mut write = import_further(&image.fetched(), disk);
                let options = if disk.options.is_empty() { String::new() } else { format!(",{}", disk.options) };
                let made = format!("{}:vm-{vm}-{}{options}", disk.storage, disk.slot);
                write.set.insert(disk.slot.clone(), made);
                change(vms, *vm, |live| live.after(&write))?;
            }
            HostOp::Configure { vm, write, .. } => change(vms, *vm, |live| carded(live.after(write)))?,
            HostOp::Resize { vm, disk, size_gb } => {
                let size = print_size(u64::from(*size_gb) * GIB);
                change(vms, *vm, |live| with_part(live, disk, "size", &size))?;
            }
            HostOp::MoveDisk { vm, disk, storage, .. } => change(vms, *vm, |live| on_storage(live, disk, storage))?,
            HostOp::Migrate { vm, node, .. } => {
                // Its configuration goes along as it is.
                let live = vms.get_mut(vm).ok_or_else(|| missing(*vm))?;
                node.clone_into(&mut live.node);
            }
            HostOp::SetPool { vm, to, .. } => {
                change(vms, *vm, |live| live.clone().in_pool(to.as_deref()))?;
            }
            HostOp::SetHa { vm, ha, .. } => {
                change(vms, *vm, |live| live.clone().looked_after(Some(Ha::kept(ha))))?;
            }
            HostOp::LeaveHa { vm } => change(vms, *vm, |live| live.clone().looked_after(None))?,
            HostOp::UpdateCloudInit { vm } => change(vms, *vm, |live| {
                let mut live = live.clone();
                live.cloud_init.not_in_drive.clear();
                live
            })?,
            HostOp::Snapshot { vm, name, description, .. } => change(vms, *vm, |live| {
                let mut live = live.clone();
                live.snapshots.push(name.clone());
                live.snapshot_notes.insert(name.clone(), description.clone());
                live
            })?,
            HostOp::RemoveSnapshot { vm, name } => change(vms, *vm, |live| {
                let mut live = live.clone();
                live.snapshots.retain(|own| own != name);
                live
            })?,
            HostOp::Rollback { vm, start, .. } => {
                change(vms, *vm, |live| VmObserved { running: *start, ..live.clone() })?;
            }
            HostOp::Template { vm, .. } => change(vms, *vm, as_template)?,
            HostOp::Start { vm } => power(vms, *vm, true)?,
            HostOp::Shutdown { vm } | HostOp::Stop { vm } => power(vms, *vm, false)?,
            HostOp::Revert { vm, keys, .. } => change(vms, *vm, |live| {
                let mut live = live.clone();
                live.pending.retain(|key, _| !keys.contains(key));
                live
            })?,
            HostOp::Destroy { vm, .. } | HostOp::RemoveLeftover { vm, .. } => _ = vms.remove(vm),
            HostOp::FetchImage { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::guest::{self, CloudInit, FeatureStart, Grown, Mounted};

    #[test]
    fn every_program_succeeds_in_the_words_that_are_read() {
        let of = |program: guest::Program| guest::success(&program.argv);
        assert_eq!(guest::read_cloud_init(&of(guest::cloud_init_status())), CloudInit::Done);
        assert_eq!(guest::read_grown(&of(guest::grow_filesystem())).unwrap(), Grown::Now);
        assert_eq!(guest::read_mount(&of(guest::mount("s:/x", "/y", true))).unwrap(), Mounted::Now);
        let disk = guest::GuestDisk { slot: "scsi1", filesystem: "ext4", uuid: "u" };
        assert_eq!(guest::read_formatted(&of(guest::format(&disk))).unwrap(), guest::Made::Now);
        assert_eq!(guest::read_mount_disk(&of(guest::mount_disk(&disk, "/y"))).unwrap(), Mounted::Now);
        guest::read_unmount(&of(guest::unmount("s:/x", "/y"))).unwrap();
        for program in guest::stage("/y", "s:/x", &[("a", "b")], 1 << 20).unwrap() {
            guest::read_staged(&of(program)).unwrap();
        }
        let run = guest::FeatureRun {
            feature: "f",
            digest: "d",
            uuid: "u",
            directory: "/y",
            file: "f.sh",
            vm_id: "1000",
            vm_name: "web",
            timeout: "60",
            log: "/l",
        };
        guest::read_forgotten(&of(guest::forget_feature(&run))).unwrap();
        assert_eq!(guest::read_feature_start(&of(guest::start_feature(&run))).unwrap(), FeatureStart::Running);
        assert_eq!(
            guest::read_feature_result(&of(guest::feature_result(&run)), &run),
            Ok(guest::FeatureProgress::Done)
        );
        guest::read_clean(&of(guest::clean())).unwrap();
        guest::read_cleaned(&of(guest::cleaned())).unwrap();
    }
}
