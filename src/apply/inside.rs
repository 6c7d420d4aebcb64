//! The actions inside the guest, and the waits for it.

use std::time::Duration;

use super::failure::failure;
use super::hints;
use super::operation;
use super::perform::Performing;
use super::program;
use crate::event::Failure;
use crate::guest::{self, CloudInit, FeatureProgress, FeatureRun, FeatureStart, GuestProblem, Program};
use crate::hypervisor::{Fault, FaultKind, GuestExit};
use crate::model::{CloudInitErrors, Outcome, is_noted, noted};
use crate::plan::{FeatureStep, StageStep};

/// Waits between looks: short at first, since a simulated or restored guest answers at once, then every two seconds.
struct Pace(Duration);

impl Pace {
    const fn new() -> Self {
        Self(Duration::from_millis(20))
    }

    fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Duration::from_secs(2));
        now
    }
}

impl From<GuestProblem> for Failure {
    fn from(problem: GuestProblem) -> Self {
        failure(problem.what, problem.hint.as_deref())
    }
}

/// How often a program is started again whose answer was lost. All of phoenix's programs may be run twice.
const MOST_REPEATS: u32 = 3;

impl Performing<'_> {
    fn pause(&self, pace: &mut Pace) {
        self.by.clock.pause(pace.next().min(self.remaining()));
    }

    pub(super) fn seconds(&self) -> u32 {
        self.action.timeout_seconds
    }

    /// Fails if the VM has stopped: no wait for its guest can succeed any more.
    pub(super) fn must_run(&self) -> Result<(), Failure> {
        if self.live()?.running {
            return Ok(());
        }
        Err(failure(format!("VM {} stopped in the meantime", self.id()), Some(hints::STARTED_AGAIN)))
    }

    pub(super) fn await_agent(&mut self) -> Result<Outcome, Failure> {
        let mut pace = Pace::new();
        loop {
            let fault = match self.by.hypervisor.guests().ping(self.id()) {
                Ok(()) => return Ok(self.action.outcome),
                Err(fault) => fault,
            };
            if fault.kind != FaultKind::AgentDown && !fault.is_transient() {
                return Err(fault.into());
            }
            self.must_run()?;
            if self.is_late() {
                return Err(self.silent(fault));
            }
            self.waiting("the guest agent");
            self.pause(&mut pace);
        }
    }

    /// A fault of the agent that did not pass in time.
    pub(super) fn silent(&self, fault: Fault) -> Failure {
        if fault.kind != FaultKind::AgentDown {
            return fault.into();
        }
        let what = format!("no answer from the guest agent within {} s: {}", self.seconds(), fault.what);
        failure(what, Some(&hints::no_agent(self.by.hypervisor.console(self.id())))).because_of(fault)
    }

    pub(super) fn await_cloud_init(&mut self, errors: CloudInitErrors) -> Result<Outcome, Failure> {
        let mut pace = Pace::new();
        loop {
            let exit = self.run_program(&guest::cloud_init_status(), "cloud-init")?;
            match guest::read_cloud_init(&exit) {
                CloudInit::Done => return Ok(self.action.outcome),
                CloudInit::Degraded(messages) => {
                    self.noticed(format!("cloud-init is done, with warnings: {}", joined(&messages)));
                    return Ok(self.action.outcome);
                }
                CloudInit::Disabled => {
                    self.noticed("cloud-init is switched off in the guest");
                    return Ok(self.action.outcome);
                }
                CloudInit::NotInstalled => {
                    self.noticed("cloud-init is not installed in the guest");
                    return Ok(self.action.outcome);
                }
                CloudInit::Failed(messages) if errors == CloudInitErrors::Warn => {
                    self.noticed(format!(
                        "cloud-init failed, which `cloud_init_errors` lets pass: {}",
                        joined(&messages)
                    ));
                    return Ok(self.action.outcome);
                }
                CloudInit::Failed(messages) => {
                    return Err(failure(
                        format!("cloud-init failed: {}", joined(&messages)),
                        Some(hints::CLOUD_INIT_LOG),
                    ));
                }
                CloudInit::Unclear(what) => return Err(failure(what, None)),
                CloudInit::Running => {}
            }
            if self.is_late() {
                return Err(failure(
                    format!("cloud-init has not finished within {} s", self.seconds()),
                    Some(hints::CLOUD_INIT_STATUS),
                ));
            }
            self.waiting("cloud-init");
            self.pause(&mut pace);
        }
    }

    pub(super) fn feature(&mut self, step: &FeatureStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let name = &*step.name;
        let ran = live.record.valid().and_then(|record| record.features.get(name));
        if ran.is_some_and(|ran| is_noted(ran, &step.digest)) && !step.again {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let Some(uuid) = live.uuid.as_deref() else {
            return Err(failure(format!("VM {} has no uuid", self.id()), None));
        };
        let (directory, log) = (step.channel.guest_scripts(), step.channel.guest_log(name));
        let (vm_id, timeout) = (self.id().to_string(), guest::script_seconds(self.seconds()).to_string());
        let run = FeatureRun {
            feature: name,
            digest: noted(&step.digest),
            uuid,
            directory: &directory,
            file: &step.file,
            vm_id: &vm_id,
            vm_name: &self.vm.name,
            timeout: &timeout,
            log: &log,
        };
        if step.again {
            // First the result goes, then the word that it ran: killed in between, it has run, as before.
            guest::read_forgotten(&self.run_program(&guest::forget_feature(&run), "the script")?)?;
            self.write_record(&|record| {
                record.features.remove(name);
            })?;
        }
        let exit = self.run_program(&guest::start_feature(&run), "the script")?;
        if guest::read_feature_start(&exit)? == FeatureStart::Running {
            self.await_feature(&run)?;
        }
        if !self.puts_off() {
            self.write_record(&|record| operation::feature_ran(record, step))?;
        }
        Ok(self.action.outcome)
    }

    fn await_feature(&self, run: &FeatureRun<'_>) -> Result<(), Failure> {
        let mut pace = Pace::new();
        loop {
            let exit = self.run_program(&guest::feature_result(run), "the script")?;
            let line = match guest::read_feature_result(&exit, run)? {
                FeatureProgress::Done => return Ok(()),
                FeatureProgress::Running(line) => line,
            };
            if self.is_late() {
                return Err(failure(
                    format!("the script has not ended within {} s", self.seconds()),
                    Some(&hints::script_runs(run.timeout, run.log)),
                ));
            }
            self.waiting(if line.is_empty() { "the script".to_owned() } else { format!("the script: {line}") });
            self.pause(&mut pace);
        }
    }

    /// Has the guest put scripts, utilities and context into their directory on its volume.
    pub(super) fn stage_scripts(&mut self, step: &StageStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let limit = self.by.hypervisor.guests().input_limit();
        for program in operation::stage(step, limit)? {
            guest::read_staged(&self.run_program(&program, "putting the scripts in place")?)?;
        }
        // From the first script on there may be data on the disk that no volume must cover.
        if step.channel.volume().is_none() {
            self.write_record(&|record| record.own_disk = true)?;
        }
        Ok(self.action.outcome)
    }

    /// Runs a program in the guest to its end. One whose answer is lost is started again.
    pub(super) fn run_program(&self, program: &Program, goal: &str) -> Result<GuestExit, Failure> {
        let mut repeats = 0;
        let mut pace = Pace::new();
        program::run(self.by.hypervisor.guests(), self.id(), program, |lost| {
            if let Some(fault) = lost {
                repeats += 1;
                if fault.kind != FaultKind::AgentDown && repeats > MOST_REPEATS {
                    return Err(fault.into());
                }
                self.must_run()?;
                if self.is_late() {
                    return Err(self.silent(fault));
                }
                self.waiting(format!("{goal}: {}", fault.what));
            } else if self.is_late() {
                let what = format!("{goal}: not finished within {} s", self.seconds());
                return Err(failure(what, Some(hints::STILL_IN_GUEST)));
            } else {
                self.waiting(goal);
            }
            self.pause(&mut pace);
            Ok(())
        })
    }
}

fn joined(messages: &[String]) -> String {
    if messages.is_empty() { "it gave no reason".to_owned() } else { messages.join("; ") }
}
