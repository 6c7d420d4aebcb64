//! What a run asks or writes once where it could do so for each VM or feature, and when it does so again.

mod around;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use around::{Around, Target};
use phoenix::apply::{Clock, Inbox, Limits, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Summary};
use phoenix::hypervisor::{Fault, HostOp, Hypervisor};
use phoenix::model::{Desired, VmId};
use phoenix::plan::{Request, plan};
use serde_json::{Value, json};

/// A node on which every clone takes so long, and whose listings say this.
struct Node {
    inner: Embedded,
    /// How many seconds a clone takes, by the run's clock.
    takes: u64,
    seconds: AtomicU64,
    /// How many times volumes of several VMs were listed.
    listings: AtomicUsize,
    /// What listings say, and what a look at a single VM does.
    listed: &'static [u32],
    there: &'static [u32],
}

/// The clock that it moves.
struct Moved(Arc<Node>);

impl Clock for Moved {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.seconds.load(Ordering::SeqCst))
    }
    fn pause(&self, _: Duration) {}
}

fn volumes(vm: VmId, of: &[u32]) -> Vec<String> {
    of.iter().filter(|other| **other == vm.get()).map(|vm| format!("local-zfs:vm-{vm}-disk-0")).collect()
}

impl Around for Node {
    fn inner(&self) -> &dyn Hypervisor {
        &self.inner
    }
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        Ok(volumes(vm, self.there))
    }
    fn volumes_of(&self, vms: &[VmId], _: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        self.listings.fetch_add(1, Ordering::SeqCst);
        Ok(vms.iter().map(|vm| (*vm, volumes(*vm, self.listed))).collect())
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if matches!(op, HostOp::Clone { .. }) {
            self.seconds.fetch_add(self.takes, Ordering::SeqCst);
        }
        self.inner.perform(op, deadline)
    }
}

fn desired(vms: &Value) -> Desired {
    let text = json!({ "virtual_machines": vms }).to_string();
    let script = |name: &str| (format!("{name}.sh"), Ok(b"true\n".to_vec()));
    let scripts = || BTreeMap::from(["one", "two"].map(script));
    let loaded = load(&Source::new("c.json", text), &mut |_| FeatureFiles::Found(scripts()));
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// Applies to a target, one action at a time, and hears of every event.
fn apply(desired: &Desired, node: Arc<Node>, inbox: &Inbox, hear: &mut dyn FnMut(&Event)) -> Summary {
    let observed = node.inner.observe().unwrap();
    let of = Run {
        plan: Arc::new(plan(desired, &observed, &Request::default())),
        clock: Arc::new(Moved(Arc::clone(&node))),
        hypervisor: Arc::new(Target(node)),
        limits: Limits { parallel: 1, ..Limits::default() },
        config: "test".to_owned(),
        left_alone: 0,
    };
    run(&of, inbox, &mut |event| hear(&event))
}

fn node(dir: &std::path::Path) -> Node {
    let inner = Embedded::open(dir).unwrap();
    let (seconds, listings) = (AtomicU64::new(0), AtomicUsize::new(0));
    Node { inner, takes: 0, seconds, listings, listed: &[], there: &[] }
}

/// Makes four VMs, each of whose clones takes so long, and returns how many times their volumes were listed.
#[track_caller]
fn listings(takes: u64, listed: &'static [u32], there: &'static [u32], failing: &[&str]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(Node { takes, listed, there, ..node(dir.path()) });
    let vms: Vec<Value> = (1000..1004).map(|vm| json!({ "vm_id": vm, "vm_name": format!("vm{vm}") })).collect();
    let mut errors = Vec::new();
    let summary = apply(&desired(&json!(vms)), Arc::clone(&node), &Inbox::default(), &mut |event| {
        if let Event::ActionFailed { failure, .. } = event {
            errors.push(failure.error.clone());
        }
    });
    assert_eq!(summary.failed, failing, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("there are volumes of VMID")), "{errors:?}");
    node.listings.load(Ordering::SeqCst)
}

#[test]
fn volumes_are_listed_once_for_all_vms_that_are_made_within_a_minute() {
    assert_eq!(listings(1, &[], &[], &[]), 1);
    // After 30 s it counts, after 60 no more.
    assert_eq!(listings(30, &[], &[], &[]), 2);
    assert_eq!(listings(60, &[], &[], &[]), 4);
}

#[test]
fn volumes_that_were_listed_are_looked_at_again_before_a_vm_is_refused() {
    // They may have been erased since.
    assert_eq!(listings(1, &[1002], &[], &[]), 1);
    assert_eq!(listings(1, &[1002], &[1002], &["1002/clone"]), 1);
}

const TWO: &str = r#"[{ "vm_id": 1000, "vm_name": "web", "features": ["one", "two"] }]"#;

/// Breaks off a run between two features, and returns what the record says ran, and how many times it was written.
#[track_caller]
fn recorded(faults: &Value, hear: &mut dyn FnMut(&Event, &Inbox)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(node(dir.path()));
    fs::write(dir.path().join("faults.json"), faults.to_string()).unwrap();
    let inbox = Inbox::default();
    let desired = desired(&serde_json::from_str(TWO).unwrap());
    let summary = apply(&desired, Arc::clone(&node), &inbox, &mut |event| hear(event, &inbox));
    assert!(!summary.is_complete(), "it was not broken off");
    let live = node.inner.vm(VmId::try_from(1000).unwrap()).unwrap().unwrap();
    live.record.valid().unwrap().features.keys().cloned().collect()
}

#[test]
fn what_ran_before_an_action_failed_stands_in_the_record() {
    let second = json!([{ "op": "guest-start", "vm": 1000, "program": "phoenix-feature", "skip": 1, "how": "fail" }]);
    assert_eq!(recorded(&second, &mut |_, _| ()), ["one"]);
}

#[test]
fn what_ran_before_a_run_was_interrupted_stands_in_the_record() {
    let mut begun = Vec::new();
    let ran = recorded(&json!([]), &mut |event, inbox| {
        if let Event::ActionStarted { action, .. } = event {
            begun.push(action.id.clone());
            if action.id == "1000/feature:one" {
                inbox.interrupter().interrupt();
            }
        }
    });
    assert_eq!(ran, ["one"]);
    assert_eq!(begun.last().unwrap(), "1000/feature:one", "nothing begins after it");
}
