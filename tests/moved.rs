//! The second operator: what happens when a VM changes between the plan and a write, or between two writes.

mod around;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phoenix::apply::{Inbox, Limits, RealClock, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Failure, Summary};
use phoenix::hypervisor::{Fault, FaultKind, HostOp, Hypervisor};
use phoenix::model::{Desired, VmId};
use phoenix::observed::VmObserved;
use phoenix::plan::{Plan, Request, plan};

use around::{Around, Target};

const CONFIG: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }] }"#;

fn desired(text: &str) -> Desired {
    let source = Source::new("test.json", text);
    load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap()
}

fn vm() -> VmId {
    VmId::try_from(1000).unwrap()
}

/// A target on which somebody edits the VM's configuration, once, after the first operation that `when` picks.
struct Edited {
    node: Embedded,
    conf: PathBuf,
    when: fn(&HostOp) -> bool,
    edit: fn(&str) -> String,
    done: AtomicBool,
    /// Somebody starts the VM whenever the run is about to.
    starts: bool,
}

impl Around for Edited {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        let found = self.node.vm(vm);
        // The run has just noted how it left the VM: somebody comes along now.
        if self.done.load(Ordering::Relaxed) && self.conf.with_extension("armed").exists() {
            std::fs::remove_file(self.conf.with_extension("armed")).unwrap();
            edit(&self.conf, self.edit);
        }
        found
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if self.starts && matches!(op, HostOp::Start { .. }) {
            self.node.perform(op, deadline).unwrap();
        }
        let result = self.node.perform(op, deadline);
        if (self.when)(op) && !self.done.swap(true, Ordering::Relaxed) {
            std::fs::write(self.conf.with_extension("armed"), "").unwrap();
        }
        result
    }
}

fn edit(conf: &Path, change: fn(&str) -> String) {
    let text = std::fs::read_to_string(conf).unwrap();
    let new = change(&text);
    assert_ne!(text, new, "the edit changes something");
    std::fs::write(conf, new).unwrap();
}

fn carried_out(plan: Plan, hypervisor: Arc<dyn Hypervisor>) -> (Summary, Vec<(String, Failure)>) {
    let run_ = Run {
        plan: Arc::new(plan),
        hypervisor,
        clock: Arc::new(RealClock::start()),
        limits: Limits::default(),
        config: "test".to_owned(),
        left_alone: 0,
    };
    let mut failures = Vec::new();
    let summary = run(&run_, &Inbox::default(), &mut |event| {
        if let Event::ActionFailed { action, failure, .. } = event {
            failures.push((action.id, failure));
        }
    });
    (summary, failures)
}

/// A node on which the config has been applied.
fn applied() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let plan = plan(&desired(CONFIG), &node.observe().unwrap(), &Request::default());
    assert!(carried_out(plan, Arc::new(node)).0.is_complete());
    let conf = dir.path().join("qemu-server/1000.conf");
    (dir, conf)
}

/// Plans a change, lets somebody edit the VM, and carries the plan out.
#[track_caller]
fn check_planned_then_edited(wish: (&str, &str), change: fn(&str) -> String, expected: &[&str]) {
    let (dir, conf) = applied();
    let node = Embedded::open(dir.path()).unwrap();
    let planned = plan(&desired(&CONFIG.replace(wish.0, wish.1)), &node.observe().unwrap(), &Request::default());
    assert!(planned.acts());
    edit(&conf, change);
    let before = std::fs::read_to_string(&conf).unwrap();
    let (summary, failures) = carried_out(planned, Arc::new(node));
    let failed: Vec<&str> = failures.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(failed, expected);
    assert_eq!(summary.stale, expected.len());
    if !expected.is_empty() {
        assert!(failures[0].1.stale, "{:?}", failures[0]);
        assert_eq!(std::fs::read_to_string(&conf).unwrap(), before, "nothing was written");
    }
}

const MORE_MEMORY: (&str, &str) = (r#""vm_name": "web""#, r#""vm_name": "web", "memory_mb": 8192"#);

#[test]
fn a_vm_that_moved_since_the_plan_is_not_written() {
    check_planned_then_edited(MORE_MEMORY, |conf| conf.replace("cores: 2", "cores: 3"), &["1000/configure"]);
    check_planned_then_edited(MORE_MEMORY, |conf| format!("{conf}balloon: 0\n"), &["1000/configure"]);
}

#[test]
fn a_script_does_not_run_on_a_vm_that_moved() {
    check_planned_then_edited(
        (r#"["base_setup"]"#, r#"["base_setup", "install_docker"]"#),
        |conf| format!("{conf}balloon: 0\n"),
        &["1000/mount:/persistent-storage"],
    );
}

#[test]
fn a_vm_whose_pool_was_changed_since_the_plan_stays_in_it() {
    let (dir, _) = applied();
    let user_cfg = dir.path().join("user.cfg");
    let empty = "pool:dev::::\npool:prod::::\n";
    std::fs::write(&user_cfg, empty).unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let wish = desired(&CONFIG.replace(r#""vm_name": "web""#, r#""vm_name": "web", "pool": "dev""#));
    let planned = plan(&wish, &node.observe().unwrap(), &Request::default());
    // Another process puts it into another pool.
    let theirs = empty.replace("pool:prod::", "pool:prod::1000");
    std::fs::write(&user_cfg, &theirs).unwrap();
    let (summary, failures) = carried_out(planned, Arc::new(node));
    assert_eq!((failures[0].0.as_str(), failures[0].1.stale), ("1000/set-pool", true), "{failures:?}");
    assert!(failures[0].1.error.contains("its pool is now `prod`"), "{failures:?}");
    assert_eq!(summary.stale, 1);
    assert_eq!(std::fs::read_to_string(&user_cfg).unwrap(), theirs);
}

#[test]
fn a_vm_that_is_gone_is_told() {
    let (dir, conf) = applied();
    let node = Embedded::open(dir.path()).unwrap();
    let wish = desired(&CONFIG.replace(MORE_MEMORY.0, MORE_MEMORY.1));
    let planned = plan(&wish, &node.observe().unwrap(), &Request::default());
    std::fs::remove_file(conf).unwrap();
    let (summary, failures) = carried_out(planned, Arc::new(node));
    assert!(failures[0].1.error.contains("VM 1000 is gone"), "{failures:?}");
    assert_eq!(summary.failed, ["1000/configure"]);
}

#[test]
fn a_vmid_that_was_taken_since_the_plan_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let planned = plan(&desired(CONFIG), &node.observe().unwrap(), &Request::default());
    let conf = dir.path().join("qemu-server/1000.conf");
    std::fs::write(&conf, "name: theirs\n").unwrap();
    let (_, failures) = carried_out(planned, Arc::new(node));
    assert_eq!(failures[0].0, "1000/clone");
    assert!(failures[0].1.stale && failures[0].1.error.contains("was taken"), "{failures:?}");
    assert_eq!(std::fs::read_to_string(conf).unwrap(), "name: theirs\n");
}

/// Makes the VM from nothing while somebody edits it after its first configuration write.
fn made_while_edited(change: fn(&str) -> String) -> (Vec<(String, Failure)>, String) {
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let planned = plan(&desired(CONFIG), &node.observe().unwrap(), &Request::default());
    let conf = dir.path().join("qemu-server/1000.conf");
    let edited = Edited {
        node,
        conf: conf.clone(),
        when: |op| matches!(op, HostOp::Configure { .. }),
        edit: change,
        done: AtomicBool::new(false),
        starts: false,
    };
    let (_, failures) = carried_out(planned, Arc::new(Target(Arc::new(edited))));
    (failures, std::fs::read_to_string(conf).unwrap())
}

#[test]
fn somebody_who_changes_a_foreign_option_in_mid_run_stops_the_vm() {
    let (failures, _) = made_while_edited(|conf| format!("{conf}balloon: 0\n"));
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1.stale, "{failures:?}");
    assert!(failures[0].1.error.contains("balloon"), "{failures:?}");
}

#[test]
fn somebody_who_writes_notes_in_mid_run_keeps_them() {
    let (failures, conf) = made_while_edited(|conf| format!("#call me before a restart\n{conf}"));
    assert_eq!(failures, []);
    assert!(conf.contains("#call me before a restart\n"), "{conf}");
    let live = VmObserved::from_conf(vm(), &conf, true);
    assert!(live.record.valid().is_some_and(|record| record.state.is_ready()), "{conf}");
}

/// A target that cannot be looked at any more once its first write has happened and the answer is lost.
struct Cut {
    node: Embedded,
    cut: AtomicBool,
}

impl Cut {
    fn reach(&self) -> Result<(), Fault> {
        let gone = || Fault::harmless(FaultKind::Denied, "permission denied");
        if self.cut.load(Ordering::Relaxed) { Err(gone()) } else { Ok(()) }
    }
}

impl Around for Cut {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.reach()?;
        self.node.vm(vm)
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.node.perform(op, deadline)?;
        if matches!(op, HostOp::Configure { .. }) {
            self.cut.store(true, Ordering::Relaxed);
            return Err(Fault::uncertain(FaultKind::Denied, "connection closed"));
        }
        Ok(())
    }
}

#[test]
fn a_lost_answer_that_cannot_be_looked_after_may_have_happened() {
    let (dir, _) = applied();
    let node = Embedded::open(dir.path()).unwrap();
    let target = Arc::new(Cut { node, cut: AtomicBool::new(false) });
    let wish = desired(&CONFIG.replace(MORE_MEMORY.0, MORE_MEMORY.1));
    let planned = plan(&wish, &target.node.observe().unwrap(), &Request::default());
    let (summary, failures) = carried_out(planned, Arc::new(Target(target)));
    assert_eq!(summary.failed, ["1000/configure"]);
    assert!(failures[0].1.may_have_happened && !failures[0].1.stale, "{failures:?}");
    assert!(failures[0].1.error.contains("may have happened"), "{failures:?}");
    // The next apply looks, and goes on from what it finds.
    let node = Embedded::open(dir.path()).unwrap();
    let healed = plan(&wish, &node.observe().unwrap(), &Request::default());
    assert!(carried_out(healed, Arc::new(node)).0.is_complete());
    let node = Embedded::open(dir.path()).unwrap();
    assert!(!plan(&wish, &node.observe().unwrap(), &Request::default()).acts());
}

#[test]
fn a_vm_that_somebody_else_starts_meanwhile_runs_all_the_same() {
    let (dir, conf) = applied();
    std::fs::remove_file(dir.path().join("run/1000")).unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let planned = plan(&desired(CONFIG), &node.observe().unwrap(), &Request::default());
    let done = AtomicBool::new(false);
    let target = Edited { node, conf, when: |_| false, edit: ToOwned::to_owned, done, starts: true };
    let (summary, failures) = carried_out(planned, Arc::new(Target(Arc::new(target))));
    assert!(summary.is_complete(), "{failures:?}");
}
