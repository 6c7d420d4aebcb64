//! A Proxmox VE node, driven by its own programs: `qm`, `pvesh`, `pvesm`.
//!
//! A transport: what is to be called and what the answers mean is said in `proxmox`; here is how it gets to a node and
//! back.
//!
//! - `command`: call → argv, pure. `answer`: output → fault, pure. `observe`: the node's state from one script.
//! - `perform`: what is done to VMs of the node itself; `elsewhere`: to those of other nodes of its cluster;
//!   `seen`: where they are.
//! - `far`: how far a copy or a download is.
//! - `examine`: whether a node is fit, by a script of its own that needs next to nothing of it.
//! - `guest`: the guest agent, by its own socket (`agent`) or by `qm`. `files`: directories on the node. `job`: what
//!   outlives phoenix.
//!
//! Nothing of a config ever becomes part of a script: scripts are fixed texts, values are their arguments.

mod agent;
mod answer;
pub mod command;
mod copying;
mod elsewhere;
mod examine;
mod far;
mod files;
mod guest;
mod image;
mod job;
mod observe;
mod perform;
mod scripts;
mod secrets;
mod seen;
mod snippets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::proxmox::call::Call;
use super::proxmox::task::{self, Task};
use super::proxmox::{content, ha, moves, nodes, pools};
use super::runner::{Command, Output, Runner};
use command::HERE;
use scripts::{ISOS, VM, VOLUMES, VOLUMES_OF};

use crate::hypervisor::{
    About, Cloning, Copied, Copying, Examine, Fault, FaultKind, FileOp, Guests, HostFiles, HostOp, Hypervisor, Wanted,
};
use crate::model::{CloudImage, VmId};
use crate::observed::{COPY, Examined, Export, Listed, ListedVolume, MoveCheck, Observed, Place, VmObserved};

/// How long a look may take. Perl needs a second to start; a busy node needs several.
const LOOK: Duration = Duration::from_mins(1);

/// Where things are on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Proxmox' cluster file system: `/etc/pve`.
    pub pve: String,
    /// What stands before every other path: empty on a real node.
    pub root: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { pve: "/etc/pve".to_owned(), root: String::new() }
    }
}

/// A Proxmox VE node.
pub struct Qm {
    runner: Box<dyn Runner>,
    layout: Layout,
    project: String,
    seen: seen::Seen,
}

impl Qm {
    /// A node whose programs the runner reaches, for no project: to be looked at.
    #[must_use]
    pub fn new(runner: Box<dyn Runner>, layout: Layout) -> Self {
        Self { runner, layout, project: String::new(), seen: seen::Seen::default() }
    }

    /// The same node for a project, which what is begun there belongs to.
    #[must_use]
    pub fn of_project(self, project: &str) -> Self {
        Self { project: project.to_owned(), ..self }
    }

    /// Runs a command that must end with status 0.
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        let output = self.runner.run(command)?;
        if output.status == 0 { Ok(output) } else { Err(answer::fault(command, &output)) }
    }

    /// Asks for volumes on a storage of a node.
    fn content(&self, call: &Call, (node, storage): (&str, &str)) -> Result<BTreeSet<String>, Fault> {
        let output = self.run(&Command::look(command::command(call), LOOK))?;
        content::volumes(&String::from_utf8_lossy(&output.stdout)).map_err(|why| {
            let what = format!("what node `{node}` says of its storage `{storage}` cannot be understood: {why}");
            Fault::harmless(FaultKind::Garbled, what)
        })
    }

    /// Runs a fixed script with arguments; only looks.
    fn look(&self, name: &str, text: &str, arguments: &[&str]) -> Result<Output, Fault> {
        self.run(&Command::look(script(name, text, arguments), LOOK))
    }

    /// Paths of the node, one a line.
    fn lines(&self, paths: &[String]) -> Result<Vec<u8>, Fault> {
        let line = |path: &String| Ok(self.on_node(path)? + "\n");
        Ok(paths.iter().map(line).collect::<Result<String, Fault>>()?.into_bytes())
    }

    /// The running tasks, and the programs that copy disks, one a line.
    fn tasks(&self) -> Result<(Vec<Task>, String), Fault> {
        let output = self.look("phoenix-tasks", observe::TASKS, &[&self.layout.root])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (tasks, processes) = text.split_once("\nprocesses\n").unwrap_or((&text, ""));
        let (name, tasks) = tasks.split_once('\n').unwrap_or((tasks, ""));
        let mut running = task::parse(tasks)?;
        running.extend(self.tasks_elsewhere(name)?);
        Ok((running, processes.to_owned()))
    }

    /// The targets of the clones among running tasks; `None` for one that cannot be told.
    fn clone_targets(&self, tasks: &[Task]) -> Result<Vec<Option<VmId>>, Fault> {
        let target = |task: &Task| {
            if let Some(line) = task.first_line() {
                return Ok(task::target_in(line));
            }
            if !task.is_plain() {
                return Ok(None);
            }
            match self.run(&Command::look(command::command(&task.beginning(HERE)), LOOK)) {
                Ok(output) => Ok(task::clone_target(&output.stdout)),
                // It ended in the meantime, or its log cannot be read: nothing is known about its target.
                Err(fault) if matches!(fault.kind, FaultKind::Unreachable | FaultKind::TimedOut) => Err(fault),
                Err(_) => Ok(None),
            }
        };
        tasks.iter().filter(|task| task.clones()).map(target).collect()
    }
}

/// The argv of a fixed script; `name` is its `$0`.
fn script(name: &str, text: &str, arguments: &[&str]) -> Vec<String> {
    let fixed = ["/bin/sh", "-c", text, name];
    fixed.iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

impl Hypervisor for Qm {
    fn about(&self) -> About {
        About { label: format!("Proxmox VE on {}", self.runner.place()), simulated: false }
    }

    fn observe_with(&self, wanted: &Wanted) -> Result<Observed, Fault> {
        let Wanted { directories, nodes } = wanted;
        let arguments = [&[self.layout.pve.as_str(), &self.layout.root], seen::words(nodes).as_slice()].concat();
        let argv = script("phoenix-observe", observe::SCRIPT, &arguments);
        let command = Command { stdin: self.lines(directories)?, ..Command::look(argv, LOOK) };
        let output = self.run(&command)?;
        let files = observe::unpack(&output.stdout)?;
        let clones = self.clone_targets(&observe::tasks(&files)?)?;
        let observed = observe::read(&files, &clones, directories, &self.layout.root)?;
        self.seen.all(&observed);
        Ok(observed)
    }

    fn examine(&self, asked: &Examine) -> Result<Option<Examined>, Fault> {
        self.examined(asked).map(Some)
    }

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        let output = self.look("phoenix-vm", VM, &[&self.layout.pve, &self.layout.root, &vm.to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(rest) = text.strip_prefix("found ") else {
            self.seen.one(vm, None);
            return Ok(None);
        };
        let cut = || Fault::harmless(FaultKind::Garbled, format!("the node's answer about VM {vm} is cut off"));
        let (node, rest) = rest.split_once('\n').ok_or_else(cut)?;
        let (looked_after, rest) = match rest.strip_prefix("ha: ") {
            Some(rest) => rest.split_once('\n').map(|(said, rest)| (Some(said), rest)).ok_or_else(cut)?,
            None => (None, rest),
        };
        let (status, conf) = rest.split_once('\n').ok_or_else(cut)?;
        // A node's name has no blank, nor has a pool's.
        let (node, pool) = node.split_once(' ').unwrap_or((node, ""));
        let pool = Some(pool).filter(|pool| pools::is_name(pool));
        let garbled = |what: String| Fault::harmless(FaultKind::Garbled, what);
        let (runs, elsewhere) = match status.split_once(": ") {
            Some(("status", "running")) => (true, false),
            Some(("status", "stopped")) => (false, false),
            Some(("elsewhere", "stopped")) => {
                let what = format!("node `{node}`, on which VM {vm} is, is not online");
                return Err(Fault::harmless(FaultKind::Unreachable, what));
            }
            Some(("current", current)) => {
                let unclear = |why| garbled(format!("what node `{node}` says of VM {vm} cannot be understood: {why}"));
                (nodes::runs(current, vm).map_err(unclear)?, true)
            }
            _ => return Err(garbled(format!("the node says of VM {vm}: `{status}`"))),
        };
        self.seen.one(vm, elsewhere.then_some(node));
        let looked_after = looked_after.map(|said| {
            let (resource, manager) = said.split_once('|').unwrap_or((said, ""));
            Ok(ha::Status::parse(manager)?.of(vm, &ha::Resource::of_line(resource)))
        });
        // The lines in front of it are plain text; of the file, the bytes count.
        let before = text[..text.len() - conf.len()].matches('\n').count();
        let file = output.stdout.splitn(before + 1, |byte| *byte == b'\n').last().unwrap_or_default();
        let live = VmObserved::from_file(vm, file, runs).on(node).in_pool(pool);
        self.seen.is(vm, live.uuid.as_deref());
        Ok(Some(live.looked_after(looked_after.transpose()?)))
    }

    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        let output = self.look("phoenix-volumes", VOLUMES, &[&vm.to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `Volid Format Type Size VMID`, one header per storage.
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|word| word.contains(':'))
            .map(ToOwned::to_owned)
            .collect())
    }

    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        // Of one VM, storages need not tell all volumes.
        let one = if let [vm] = vms { vm.to_string() } else { String::new() };
        let output = self.look("phoenix-volumes-of", VOLUMES_OF, &[&[one.as_str()], storages].concat())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut found: BTreeMap<VmId, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (volume, vm) = (words.next().unwrap_or_default(), words.next_back().and_then(|vm| vm.parse().ok()));
            if let Some(vm) = vm.filter(|vm| volume.contains(':') && vms.contains(vm)) {
                found.entry(vm).or_default().push(volume.to_owned());
            }
        }
        Ok(found)
    }

    fn listed(&self, vms: &[VmId], storages: &[&str]) -> Result<Listed, Fault> {
        let one = if let [vm] = vms { vm.to_string() } else { String::new() };
        let output = self.look("phoenix-volumes-of", VOLUMES_OF, &[&[one.as_str()], storages].concat())?;
        let mut found: Listed = storages.iter().map(|storage| ((*storage).to_owned(), BTreeMap::new())).collect();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // `Volid Format Type Size VMID`, the size in bytes.
            let words: Vec<&str> = line.split_whitespace().collect();
            let [volume, _, _, size, vm] = words[..] else { continue };
            let on = volume.split_once(':').and_then(|(storage, _)| found.get_mut(storage));
            if let (Some(on), Some(vm)) = (on, vm.parse().ok().filter(|vm| vms.contains(vm))) {
                on.insert(volume.to_owned(), ListedVolume { vm, size: size.parse().ok() });
            }
        }
        Ok(found)
    }

    fn isos(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        let output = self.look("phoenix-isos", ISOS, storages)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut found: BTreeMap<String, BTreeSet<String>> =
            storages.iter().map(|storage| ((*storage).to_owned(), BTreeSet::new())).collect();
        for volume in text.lines().filter_map(|line| line.split_whitespace().next()) {
            if let Some(on) = volume.split_once(':').and_then(|(storage, _)| found.get_mut(storage)) {
                on.insert(volume.to_owned());
            }
        }
        Ok(found)
    }

    fn isos_of(&self, node: &str, storage: &str) -> Result<Option<BTreeSet<String>>, Fault> {
        self.content(&content::isos(node, storage), (node, storage)).map(Some)
    }

    fn volumes_on(&self, node: &str, storage: &str, vm: VmId) -> Result<Option<BTreeSet<String>>, Fault> {
        self.content(&content::of_vm(node, storage, vm), (node, storage)).map(Some)
    }

    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        let (tasks, processes) = self.tasks()?;
        // A `qemu-img` whose parent was killed goes on writing (recorded); it names the volume.
        if processes.lines().any(|line| copying::writes_volume_of(line, vm)) {
            return Ok(Cloning::Yes);
        }
        Ok(task::cloning(&self.clone_targets(&tasks)?, vm))
    }

    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        let (tasks, processes) = self.tasks()?;
        let task = task::on_disks(&tasks).remove(&vm);
        Ok(task.or_else(|| copying::copying(&processes, vm).then(|| COPY.to_owned())))
    }

    fn image_size(&self, image: &CloudImage) -> Result<Option<u64>, Fault> {
        self.measure(image).map(Some)
    }

    fn copied(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        self.how_far(copying)
    }

    fn can_move(&self, vm: VmId, from: &str, to: &str) -> Result<Option<MoveCheck>, Fault> {
        let question = Command::look(command::command(&moves::question(vm, from, to)), LOOK);
        let output = self.run(&question)?;
        let garbled = |why| {
            let what = format!("what node `{from}` says of a move of VM {vm} cannot be understood: {why}");
            Fault::harmless(FaultKind::Garbled, what)
        };
        moves::check(&String::from_utf8_lossy(&output.stdout), to).map(Some).map_err(garbled)
    }

    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if let HostOp::FetchImage { image, .. } = op {
            return self.fetch_image(image, deadline);
        }
        match op.needs().and_then(|vm| self.seen.node(vm)) {
            Some(node) => self.perform_on(&node, op, deadline),
            None => self.perform_here(op, deadline),
        }
    }

    fn tidy(&self) -> Result<Vec<String>, Fault> {
        self.tidy_jobs()
    }

    fn guests(&self) -> &dyn Guests {
        self
    }

    fn files(&self) -> Option<&dyn HostFiles> {
        Some(self)
    }
}

impl HostFiles for Qm {
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        let argv = script("phoenix-places", observe::PLACES, &[&self.layout.root]);
        let command = Command { stdin: self.lines(directories)?, ..Command::look(argv, LOOK) };
        observe::places(&self.run(&command)?.stdout, directories, &self.layout.root)
    }

    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        self.read_exports(vm)
    }

    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        match op {
            FileOp::MakeDirectory { path } => self.make_directory(path, deadline),
            FileOp::WriteSnippet { path, text, .. } => self.write_snippet(path, text, deadline),
            FileOp::RemoveSnippet { path, .. } => self.remove_snippet(path, deadline),
            FileOp::WriteExports { vm, entries } => self.write_exports(*vm, entries, deadline),
        }
    }
}
