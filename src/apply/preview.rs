//! What the actions of a plan would do, call by call, without doing it.

use super::operation;
use crate::event::Failure;
use crate::guest::{self, FeatureRun, Program};
use crate::hypervisor::HostOp;
use crate::hypervisor::image::import;
use crate::model::{ActionKind, CloudImage, Digest, GIB, Record, RecordState, VmId, noted};
use crate::observed::{ConfigWrite, Observed, RecordFound, VmObserved, encode_description, with_record};
use crate::plan::{Action, Mount, Plan, Source, Task, VmPlan};

/// One call that an action makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// An operation on the hypervisor.
    Host(HostOp),
    /// A question to the guest agent: `ping`, `network-get-interfaces`.
    Agent(&'static str),
    /// A program in the guest.
    Guest(Program),
}

/// The calls of one action, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Id of the action, e.g. `1000/clone`.
    pub action: String,
    /// Its VM.
    pub vm: VmId,
    /// Its calls.
    pub calls: Vec<Call>,
}

/// The calls of every action that acts.
///
/// What is only known when it is there is written in angle brackets: `<digest>`, `<mac of net0>`,
/// `<address of net0>`, in the record `UUID`. Looks that decide nothing, and repeated questions, are left out.
pub fn preview(plan: &Plan, observed: &Observed) -> Result<Vec<Preview>, Failure> {
    let mut found = Vec::new();
    for vm in plan.in_order().into_iter().map(|at| &plan.vms[at]) {
        let Some(task) = &vm.task else {
            let calls = vm.actions.iter().filter(|action| action.outcome.acts());
            found.extend(calls.map(|action| Preview {
                action: action.id(vm.vm),
                vm: vm.vm,
                calls: without_task(vm, action),
            }));
            continue;
        };
        let mut scene = Scene::of(vm, task, plan, observed)?;
        for action in vm.actions.iter().filter(|action| action.outcome.acts()) {
            found.push(Preview { action: action.id(vm.vm), vm: vm.vm, calls: scene.calls(action)? });
        }
    }
    Ok(found)
}

/// One VM as it will be while its actions are carried out.
struct Scene<'a> {
    vm: &'a VmPlan,
    task: &'a Task,
    live: Option<VmObserved>,
    /// The record as it will stand in the notes.
    record: Record,
}

impl<'a> Scene<'a> {
    fn of(vm: &'a VmPlan, task: &'a Task, whole: &Plan, observed: &Observed) -> Result<Self, Failure> {
        let live = match task.clone.as_ref().map(|plan| (plan, &plan.source)) {
            None => observed.vms.get(&vm.vm).cloned(),
            Some((plan, Source::Template(source))) => {
                let built = Self::built(*source, whole, observed)?;
                match (operation::clone(vm.vm, *source, task, plan)?, built.as_ref().or(observed.vms.get(source))) {
                    (HostOp::Clone { name, description, .. }, Some(template)) => {
                        let creating = operation::first_record(vm.vm, task);
                        Some(template.as_clone(vm.vm, &name, &description, creating))
                    }
                    _ => None,
                }
            }
            Some((_, Source::Image(image))) => Some(Self::made_from(vm, task, image)?),
        };
        let record = live.as_ref().and_then(|live| live.record.valid()).unwrap_or(&task.record).clone();
        Ok(Self { vm, task, live, record })
    }

    /// How a template looks that the plan makes.
    fn built(template: VmId, plan: &Plan, observed: &Observed) -> Result<Option<VmObserved>, Failure> {
        let Ok(at) = plan.vms.binary_search_by_key(&template, |vm| vm.vm) else { return Ok(None) };
        let (vm, Some(task)) = (&plan.vms[at], plan.vms[at].task.as_deref()) else { return Ok(None) };
        let Some(live) = Scene::of(vm, task, plan, observed)?.live else { return Ok(None) };
        let mut built = live.after(&operation::config_write(vm, task, &live, None)?);
        if let Some(disk) = &mut built.boot_disk {
            disk.size = Some(u64::from(task.desired.boot_disk_size_gb) * GIB);
        }
        Ok(Some(built))
    }

    /// How a VM looks that was made from an image.
    fn made_from(vm: &VmPlan, task: &Task, image: &CloudImage) -> Result<VmObserved, Failure> {
        let HostOp::Create { name, description, .. } = operation::create(vm.vm, task)? else {
            return Err(super::failure::failure("the plan does not say what to make", None));
        };
        let storage = &task.desired.boot_disk_storage;
        let mut lines: Vec<String> = import(&image.fetched(), storage)
            .set
            .into_iter()
            .filter(|(key, _)| !["ide2", "scsi0"].contains(&key.as_str()))
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        lines.push(format!("ide2: {storage}:vm-{}-cloudinit,media=cdrom", vm.vm));
        lines.push(format!("name: {name}"));
        lines.push(format!("scsi0: {storage}:vm-{}-disk-0,discard=on", vm.vm));
        lines.push("smbios1: uuid=UUID".to_owned());
        let text = format!("{}{}\n", encode_description(&description), lines.join("\n"));
        Ok(VmObserved { digest: unknown(), ..VmObserved::from_conf(vm.vm, &text, false) })
    }

    fn calls(&mut self, action: &Action) -> Result<Vec<Call>, Failure> {
        let (id, task) = (self.vm.vm, self.task);
        let subject = action.subject.as_deref().unwrap_or("");
        let mount = || task.mounts.iter().find(|mount| mount.mount_point == subject);
        let one = |op: HostOp| Ok(vec![Call::Host(op)]);
        match action.kind {
            ActionKind::RemoveLeftover => {
                let leftover = task.clone.as_ref().and_then(|clone| clone.leftover);
                leftover.map_or(Ok(Vec::new()), |leftover| one(operation::remove_leftover(id, leftover)))
            }
            ActionKind::Clone => match task.clone.as_ref().map(|plan| (plan, &plan.source)) {
                Some((plan, Source::Template(source))) => one(operation::clone(id, *source, task, plan)?),
                _ => Ok(Vec::new()),
            },
            ActionKind::FetchImage | ActionKind::CreateFromImage => {
                let Some(Source::Image(image)) = task.clone.as_ref().map(|plan| &plan.source) else {
                    return Ok(Vec::new());
                };
                if action.kind == ActionKind::FetchImage {
                    return one(HostOp::FetchImage { vm: id, image: image.clone() });
                }
                let import = operation::import_disk(id, image, task, unknown());
                Ok(vec![Call::Host(operation::create(id, task)?), Call::Host(import)])
            }
            ActionKind::Adopt => self.adopt(),
            ActionKind::Configure => self.configure(),
            ActionKind::MoveDisk => self.move_disk(),
            ActionKind::ResizeDisk => self.resize(),
            ActionKind::GrowFilesystem => {
                let mut calls = vec![Call::Guest(guest::grow_filesystem())];
                calls.extend(self.write_record(Record { grow: false, ..self.record.clone() })?);
                Ok(calls)
            }
            ActionKind::AwaitNetwork => {
                let mut calls = vec![Call::Agent("network-get-interfaces")];
                calls.extend(self.write_record(Record { card: false, ..self.record.clone() })?);
                Ok(calls)
            }
            ActionKind::UpdateCloudInit => {
                let mut calls = self.write_record(Record { unread: true, ..self.record.clone() })?;
                calls.push(Call::Host(HostOp::UpdateCloudInit { vm: id }));
                Ok(calls)
            }
            ActionKind::Restart | ActionKind::Start if self.record.unread => {
                let mut calls = without_task(self.vm, action);
                let start = calls.pop();
                calls.extend(self.write_record(Record { unread: false, ..self.record.clone() })?);
                calls.extend(start);
                Ok(calls)
            }
            ActionKind::Snapshot => {
                let Some(live) = &mut self.live else { return Ok(Vec::new()) };
                let op = operation::snapshot(id, subject, &self.record, &live.digest)?;
                live.digest = unknown();
                one(op)
            }
            ActionKind::RemoveSnapshot => one(HostOp::RemoveSnapshot { vm: id, name: subject.to_owned() }),
            ActionKind::Rollback
            | ActionKind::Stop
            | ActionKind::Destroy
            | ActionKind::Restart
            | ActionKind::Start
            | ActionKind::AwaitAgent => Ok(without_task(self.vm, action)),
            ActionKind::AwaitCloudInit => Ok(vec![Call::Guest(guest::cloud_init_status())]),
            ActionKind::Unmount => {
                let source = task.unmount.get(subject).map_or("", String::as_str);
                Ok(vec![Call::Guest(guest::unmount(source, subject))])
            }
            ActionKind::PrepareShare => {
                let path = mount().and_then(|mount| mount.host_path.clone());
                path.map_or(Ok(Vec::new()), |path| one(HostOp::MakeDirectory { path }))
            }
            ActionKind::ExportShare => {
                let write = Call::Host(operation::write_exports(id, task, "<address of net0>"));
                let served = task.mounts.iter().any(|mount| mount.served);
                Ok(served.then_some(Call::Agent("network-get-interfaces")).into_iter().chain([write]).collect())
            }
            ActionKind::Mount => Ok(mount().map(|mount| Call::Guest(operation::mount(mount))).into_iter().collect()),
            ActionKind::StageScripts => Ok(operation::stage(task, usize::MAX)?.into_iter().map(Call::Guest).collect()),
            ActionKind::Feature => self.feature(action, subject),
            ActionKind::CleanGuest => Ok(vec![Call::Guest(guest::clean())]),
            ActionKind::ConvertToTemplate => Ok(self.convert_to_template()),
            ActionKind::Record => {
                let Record { uuid, .. } = &self.record;
                let record = Record { uuid: uuid.clone(), ..task.record.clone() };
                self.write_record(record)
            }
        }
    }

    fn adopt(&mut self) -> Result<Vec<Call>, Failure> {
        let (Some(live), Some(record)) = (&mut self.live, &self.task.adopt) else { return Ok(Vec::new()) };
        let write = operation::adopt(record, live)?;
        live.notes = write.set.get("description").cloned().unwrap_or_default();
        live.record = RecordFound::Valid(Box::new(record.clone()));
        self.record.clone_from(record);
        let digest = std::mem::replace(&mut live.digest, unknown());
        Ok(vec![Call::Host(HostOp::Configure { vm: self.vm.vm, write, digest })])
    }

    fn configure(&mut self) -> Result<Vec<Call>, Failure> {
        let Some(live) = &mut self.live else { return Ok(Vec::new()) };
        let write = operation::config_write(self.vm, self.task, live, None)?;
        if write.is_empty() {
            return Ok(Vec::new());
        }
        let digest = live.digest.clone();
        if let Some(notes) = write.set.get("description") {
            live.notes.clone_from(notes);
        }
        live.digest = unknown();
        operation::unsettle(&mut self.record, self.task);
        self.record.card |= self.record.state != RecordState::Creating && write.set.contains_key("net0");
        if self.record.state == RecordState::Creating {
            self.record.state = RecordState::Setup;
            self.record.uuid.clone_from(&live.uuid);
            self.record.template.clone_from(&self.task.record.template);
            self.record.image.clone_from(&self.task.record.image);
        }
        Ok(vec![Call::Host(HostOp::Configure { vm: self.vm.vm, write, digest })])
    }

    fn move_disk(&mut self) -> Result<Vec<Call>, Failure> {
        let mut record = self.record.clone();
        operation::unsettle(&mut record, self.task);
        let mut calls = self.write_record(record)?;
        let Some(live) = &mut self.live else { return Ok(calls) };
        let disk = live.boot_disk.as_ref();
        let op = disk.map(|disk| operation::move_disk(self.vm.vm, self.task, disk, &live.digest));
        calls.extend(op.map(Call::Host));
        live.digest = unknown();
        Ok(calls)
    }

    fn resize(&mut self) -> Result<Vec<Call>, Failure> {
        let mut record = self.record.clone();
        operation::about_to_grow(&mut record, self.vm, self.task);
        let mut calls = self.write_record(record)?;
        let Some(live) = &mut self.live else { return Ok(calls) };
        live.digest = unknown();
        let disk = live.boot_disk.as_ref();
        calls.extend(disk.map(|disk| Call::Host(operation::resize(self.vm.vm, self.task, disk))));
        Ok(calls)
    }

    fn feature(&mut self, action: &Action, name: &str) -> Result<Vec<Call>, Failure> {
        let script = self.task.scripts.iter().find(|script| *script.name == *name);
        let channel = self.task.mounts.iter().find(|mount| mount.channel);
        let (Some(script), Some(channel)) = (script, channel) else { return Ok(Vec::new()) };
        let (vm_id, timeout) = (self.vm.vm.to_string(), guest::script_seconds(action.timeout_seconds).to_string());
        let (directory, log) = (Mount::guest_scripts(channel), channel.guest_log(name));
        let uuid = self.live.as_ref().and_then(|live| live.uuid.clone()).unwrap_or_default();
        let run = FeatureRun {
            feature: name,
            digest: noted(&script.digest),
            uuid: &uuid,
            directory: &directory,
            file: &script.file,
            vm_id: &vm_id,
            vm_name: &self.vm.name,
            timeout: &timeout,
            log: &log,
        };
        let mut calls: Vec<Call> = Vec::new();
        if script.again {
            calls.push(Call::Guest(guest::forget_feature(&run)));
            let mut record = self.record.clone();
            record.features.remove(name);
            calls.extend(self.write_record(record)?);
        }
        calls.extend([Call::Guest(guest::start_feature(&run)), Call::Guest(guest::feature_result(&run))]);
        let mut record = self.record.clone();
        operation::feature_ran(&mut record, self.task, name, &script.digest);
        calls.extend(self.write_record(record)?);
        Ok(calls)
    }

    fn convert_to_template(&mut self) -> Vec<Call> {
        let Some(live) = &mut self.live else { return Vec::new() };
        let id = self.vm.vm;
        let mut calls = Vec::new();
        if !live.template {
            calls.extend([Call::Guest(guest::cleaned()), Call::Host(HostOp::Shutdown { vm: id })]);
        }
        if self.task.mounts.iter().any(|mount| mount.served) {
            calls.push(Call::Host(HostOp::WriteExports { vm: id, entries: Vec::new() }));
        }
        live.digest = unknown();
        calls.push(Call::Host(operation::template(id, live)));
        calls
    }

    fn write_record(&mut self, record: Record) -> Result<Vec<Call>, Failure> {
        let Some(live) = self.live.as_mut().filter(|_| record != self.record) else { return Ok(Vec::new()) };
        let notes =
            with_record(&live.notes, &record).map_err(|error| super::failure::failure(error.to_string(), None))?;
        let mut write = ConfigWrite::default();
        write.set.insert("description".to_owned(), notes.clone());
        live.notes = notes;
        self.record = record;
        let digest = std::mem::replace(&mut live.digest, unknown());
        Ok(vec![Call::Host(HostOp::Configure { vm: self.vm.vm, write, digest })])
    }
}

/// The calls of an action that needs to know no more than its VM.
fn without_task(vm: &VmPlan, action: &Action) -> Vec<Call> {
    let (id, leftover) = (vm.vm, vm.retired.as_ref().and_then(|retired| retired.leftover));
    let ops = match action.kind {
        ActionKind::Rollback => {
            let name = action.subject.as_deref().unwrap_or("").to_owned();
            let start = vm.actions.iter().any(|action| action.disruption == crate::model::Disruption::Stop);
            vec![HostOp::Rollback { vm: id, name, start, digest: unknown() }]
        }
        ActionKind::Stop => vec![HostOp::Shutdown { vm: id }],
        ActionKind::Restart => vec![HostOp::Shutdown { vm: id }, HostOp::Start { vm: id }],
        ActionKind::Start => vec![HostOp::Start { vm: id }],
        ActionKind::AwaitAgent => return vec![Call::Agent("ping")],
        ActionKind::RemoveLeftover => {
            leftover.map(|leftover| operation::remove_leftover(id, leftover)).into_iter().collect()
        }
        ActionKind::ExportShare => vec![HostOp::WriteExports { vm: id, entries: Vec::new() }],
        ActionKind::Destroy => vec![HostOp::Destroy { vm: id, digest: unknown() }],
        _ => Vec::new(),
    };
    ops.into_iter().map(Call::Host).collect()
}

fn unknown() -> Digest {
    Digest("<digest>".to_owned())
}
