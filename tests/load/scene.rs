//! A node and the ways to it, and runs over it that wait on no real clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use phoenix::apply::{Inbox, Limits, Run, addresses, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Failure};
use phoenix::hypervisor::Hypervisor;
use phoenix::plan::{Plan, Request, plan, to_ask};
use tempfile::TempDir;

use crate::around::Target;
use crate::doubles::Doubles;
use crate::loaded::{Load, Loaded, NoWait, Op};
use crate::{ssh, support};

// Not every test uses everything.
const _: fn(&Told) -> (&[Op], bool) = |told| (&told.operations, told.gave_up);
const _: Load = Load::Blind { after: 0, lost: false, looks: None };

/// A way to a node in a directory.
pub(crate) struct Place {
    pub(crate) node: PathBuf,
    pub(crate) target: Box<dyn Fn() -> Box<dyn Hypervisor>>,
    /// What is in the directory before any story begins.
    pristine: TempDir,
}

impl Place {
    pub(crate) fn new(node: &Path, target: impl Fn() -> Box<dyn Hypervisor> + 'static) -> Self {
        let pristine = tempfile::tempdir().unwrap();
        copy(node, pristine.path());
        Self { node: node.to_owned(), target: Box::new(target), pristine }
    }

    /// The node itself, whatever the way to it.
    pub(crate) fn embedded(&self) -> Box<dyn Hypervisor> {
        Box::new(Embedded::open(&self.node).unwrap())
    }

    /// The node as it was in the beginning.
    pub(crate) fn reset(&self) {
        fs::remove_dir_all(&self.node).unwrap();
        fs::create_dir(&self.node).unwrap();
        copy(self.pristine.path(), &self.node);
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// What came of a run.
pub(crate) struct Told {
    pub(crate) failures: Vec<(String, Failure)>,
    pub(crate) notices: Vec<(String, String)>,
    pub(crate) operations: Vec<Op>,
    pub(crate) gave_up: bool,
}

pub(crate) fn planned(keys: &str, target: &dyn Hypervisor, policy: &Request) -> Plan {
    let text = format!(r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web", {keys} }}] }}"#);
    let source = Source::new("test.json", text);
    let desired = load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap();
    let mut observed = target.observe().unwrap();
    let asked = addresses(target.guests(), &to_ask(&desired, &observed, policy), &NoWait::default());
    observed.addresses = asked.lowest();
    let plan = plan(&desired, &observed, policy);
    assert!(!plan.problems.iter().any(phoenix::diag::Diagnostic::is_error), "{:?}", plan.problems);
    plan
}

pub(crate) fn carried_out(plan: Plan, target: Box<dyn Hypervisor>, load: Load) -> Told {
    let clock = Arc::new(NoWait::default());
    let node = Arc::new(Loaded::new(target, Arc::clone(&clock), load));
    let limits = Limits { parallel: 1, ..Limits::default() };
    let of = Run {
        plan: Arc::new(plan),
        hypervisor: Arc::new(Target(Arc::clone(&node))),
        clock,
        limits,
        config: "t".to_owned(),
        left_alone: 0,
    };
    let (mut failures, mut notices) = (Vec::new(), Vec::new());
    run(&of, &Inbox::default(), &mut |event| match event {
        Event::ActionFailed { action, failure, .. } => {
            node.recover();
            failures.push((action.id, failure));
        }
        Event::ActionEnded { .. } => node.recover(),
        Event::ActionNoticed { action, message } => notices.push((action.id, message)),
        _ => {}
    });
    let operations = node.operations.lock().unwrap().clone();
    Told { failures, notices, operations, gave_up: node.gave_up.load(Ordering::Relaxed) }
}

/// Checks on the embedded node itself.
pub(crate) fn embedded(check: impl Fn(&Place)) {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    fs::create_dir(&node).unwrap();
    check(&Place::new(&node.clone(), move || Box::new(Embedded::open(&node).unwrap())));
}

/// Checks through the programs of a node.
pub(crate) fn programs(check: impl Fn(&Place)) {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    let doubles = Rc::new(Doubles::new(&node));
    let reached = Rc::clone(&doubles);
    check(&Place::new(&node, move || Box::new(reached.qm())));
    assert!(!doubles.calls().is_empty());
}

/// Has the ignored test `other_side` check through ssh.
pub(crate) fn through_ssh() {
    if !(support::need("ssh", "openssh-client") && support::need("sshd", "openssh-server")) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    let doubles = Doubles::new(&node);
    ssh::other_side(&node, &doubles);
    assert!(!doubles.calls().is_empty(), "nothing went through ssh");
}

/// Checks on that side.
pub(crate) fn other_side(check: impl Fn(&Place)) {
    if let Some((node, _)) = ssh::target() {
        check(&Place::new(&node, || Box::new(ssh::target().unwrap().1)));
    }
}
