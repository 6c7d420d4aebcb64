//! What a plan says it would call is what a run calls.

mod around;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix::apply::{Call, Inbox, Limits, RealClock, Run, preview, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::guest::Program;
use phoenix::hypervisor::{Fault, FileOp, GuestAddress, GuestStatus, Guests, HostOp, Hypervisor, Plugged};
use phoenix::model::{Desired, VmId};
use phoenix::plan::{Goal, Plan, Power, Request, lint, plan};

use around::{Around, Target};

/// A node that keeps what it was asked to do.
struct Kept {
    node: Embedded,
    calls: Mutex<Vec<Call>>,
}

impl Kept {
    fn keep(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap();
        // A question that is repeated until the answer is yes is one.
        if calls.last() != Some(&call) {
            calls.push(call);
        }
    }
}

impl Around for Kept {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.keep(Call::Host(op.clone()));
        self.node.perform(op, deadline)
    }
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        self.keep(Call::Files(op.clone()));
        self.node.files().unwrap().write(op, deadline)
    }
    fn guests(&self) -> &dyn Guests {
        self
    }
}

impl Guests for Kept {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.keep(Call::Agent("ping"));
        self.node.guests().ping(vm)
    }
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.keep(Call::Agent("network-get-interfaces"));
        self.node.guests().addresses(vm)
    }
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        for question in what.questions() {
            self.keep(Call::Agent(question));
        }
        self.node.guests().online(vm, what)
    }
    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        self.keep(Call::Guest(Program { argv: argv.to_vec(), input: input.to_vec() }));
        self.node.guests().start(vm, argv, input)
    }
    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        self.node.guests().status(vm, pid)
    }
}

fn desired(vms: &str) -> Desired {
    let text = format!(r#"{{ "hypervisor": {{ "project": "test" }}, "virtual_machines": [{vms}] }}"#);
    let source = Source::new("test.json", text);
    let loaded = load(&source, &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// A call without what is only known when it is there, as a line.
fn line(call: &Call, known: &[(String, &str)]) -> String {
    let mut text = format!("{call:?}");
    for (value, name) in known {
        text = text.replace(value, name);
    }
    // Digests of configurations.
    let mut parts = text.split("Digest(\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}DIGEST{}", part.split_once('"').map_or("", |(_, rest)| rest)))
}

/// Plans, previews and applies; compares the calls.
#[track_caller]
fn check(at: (&Path, &mut BTreeMap<VmId, IpAddr>), what: &str, vms: &str, request: &Request) {
    let (dir, known) = at;
    let node = Embedded::open(dir).unwrap();
    let mut observed = node.observe().unwrap();
    let running = observed.vms.values().filter(|vm| vm.running && !vm.template).collect::<Vec<_>>();
    let asked = phoenix::apply::addresses(node.guests(), &running, &RealClock::start());
    // The guests of this node keep their addresses when they are off.
    known.extend(asked.lowest());
    observed.addresses = known.clone();
    let planned: Plan = plan(&desired(vms), &observed, request);
    assert!(!planned.is_blocked() && planned.acts(), "{what}: {:?}", planned.problems);
    assert_eq!(lint::lint(&planned, &observed), Vec::<String>::new());
    let told: Vec<Call> = preview(&planned, &observed).unwrap().into_iter().flat_map(|action| action.calls).collect();
    let kept = Arc::new(Kept { node, calls: Mutex::default() });
    let of = Run {
        plan: Arc::new(planned),
        hypervisor: Arc::new(Target(Arc::clone(&kept))),
        clock: Arc::new(RealClock::start()),
        limits: Limits { parallel: 1, ..Limits::default() },
        config: "test".to_owned(),
        left_alone: 0,
    };
    let summary = run(&of, &Inbox::default(), &mut |_| {});
    assert!(summary.is_complete(), "{what}: {summary:?}");
    let vm = VmId::try_from(1000).unwrap();
    let mut names = vec![("<address of net0>".to_owned(), "ADDRESS"), ("<mac of net0>".to_owned(), "MAC")];
    if let Some(live) = kept.node.vm(vm).unwrap() {
        let uuid = live.uuid.clone().unwrap();
        names.extend([(uuid.replace('-', "\\\\u002d"), "UUID"), (uuid.clone(), "UUID"), (uuid.to_uppercase(), "UUID")]);
        names.extend(live.net0.and_then(|net| net.mac).map(|mac| (mac, "MAC")));
        for found in kept.node.guests().addresses(vm).unwrap_or_default() {
            names.extend(found.address.map(|address| (address.to_string(), "ADDRESS")));
        }
    }
    let lines = |calls: &[Call]| calls.iter().map(|call| line(call, &names)).collect::<Vec<_>>();
    let (told, done) = (lines(&told), lines(&kept.calls.lock().unwrap()));
    for (told, done) in told.iter().zip(&done) {
        assert_eq!(told, done, "{what}");
    }
    assert_eq!(told.len(), done.len(), "{what}: {:?}\n{:?}", told.last(), done.last());
}

#[test]
fn a_run_calls_what_the_plan_told() {
    let dir = tempfile::tempdir().unwrap();
    let vm = |more: &str| format!(r#"{{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 50{more} }}"#);
    let all = Request::default();
    let mut known = BTreeMap::new();
    let mut check = |what: &str, vms: &str, request: &Request| check((dir.path(), &mut known), what, vms, request);
    check("a new VM", &vm(r#", "features": ["base_setup"], "memory_mb": 1024"#), &all);
    check("a change", &vm(r#", "features": ["base_setup"], "memory_mb": 512, "tags": ["a"]"#), &all);
    let restarting = Request { restart: true, ..Request::default() };
    check("a restart", &vm(r#", "features": ["base_setup"], "memory_mb": 768, "cpu_cores": 1"#), &restarting);
    check("a feature more", &vm(r#", "features": ["base_setup", "install_docker"]"#), &restarting);
    let larger = vm(r#", "features": ["base_setup", "install_docker"]"#).replace("50", "60");
    check("a larger disk", &larger, &all);
    let moved = larger.replace(r#""boot_disk_size_gb""#, r#""boot_disk_storage": "local", "boot_disk_size_gb""#);
    check("a disk elsewhere", &moved, &all);
    let vms = || vec![VmId::try_from(1000).unwrap()];
    let power = |power| Request { goal: Goal::Power { power, vms: vms() }, ..Request::default() };
    check("stop", &moved, &power(Power::Stop));
    check("start", &moved, &power(Power::Start));
    let off = moved.replace(r#""vm_name""#, r#""started": false, "vm_name""#);
    check("a VM that is not to run", &off, &all);
    let gone = Request { goal: Goal::Destroy(vms()), ..Request::default() };
    check("its end", &moved, &gone);
    check("made again", &moved, &all);
    let forgotten = Request { goal: Goal::Forget(vms()), ..Request::default() };
    check("given up", &moved, &forgotten);
}
