//! What holds for every config, every plan and every course of a run.

mod around;
#[path = "properties/hardware.rs"]
mod hardware;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phoenix::apply::schedule::{Decision, Input, Scheduler};
use phoenix::apply::{Clock, Inbox, Limits, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::Summary;
use phoenix::hypervisor::{
    About, Fault, FaultKind, FileOp, GuestAddress, GuestStatus, Guests, HostFiles as _, HostOp, Hypervisor, Plugged,
};
use phoenix::model::{Desired, Disruption, Outcome, Record, RecordState, VmId};
use phoenix::observed::{Conf, Node, Observed, VmObserved, with_record};
use phoenix::plan::document::{PlanDocument, Provenance};
use phoenix::plan::{Agreed, Goal, Plan, Request, homes, import, lint, plan};
use phoenix::ui;
use proptest::prelude::*;
use serde_json::{Value, json};

use around::{Around, Target};

/// A clock on which waiting costs nothing.
#[derive(Default)]
struct NoWait(AtomicU64);

impl Clock for NoWait {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn pause(&self, how_long: Duration) {
        let ms = u64::try_from(how_long.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// A target that loses or refuses the calls whose turn it is, and counts all that change something.
struct Faulty {
    node: Embedded,
    /// Bit n: the n-th changing call fails; with `lose` it happens first.
    broken: u64,
    lose: u64,
    calls: AtomicU64,
}

impl Faulty {
    fn new(node: Embedded, broken: u64, lose: u64) -> Arc<Self> {
        Arc::new(Self { node, broken, lose, calls: AtomicU64::new(0) })
    }

    fn call<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let bit = 1_u64.checked_shl(u32::try_from(self.calls.fetch_add(1, Ordering::Relaxed)).unwrap()).unwrap_or(0);
        if self.broken & bit == 0 {
            return call();
        }
        if self.lose & bit == 0 {
            return Err(Fault::harmless(FaultKind::Failed, "scripted"));
        }
        // Happened or not, nobody hears of it.
        drop(call());
        Err(Fault::uncertain(FaultKind::Unreachable, "lost"))
    }
}

impl Around for Faulty {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.call(|| self.node.perform(op, deadline))
    }
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        self.call(|| self.node.write(op, deadline))
    }
    fn guests(&self) -> &dyn Guests {
        self
    }
}

impl Guests for Faulty {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.call(|| self.node.guests().ping(vm))
    }
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.call(|| self.node.guests().addresses(vm))
    }
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        self.call(|| self.node.guests().online(vm, what))
    }
    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        self.call(|| self.node.guests().start(vm, argv, input))
    }
    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        self.call(|| self.node.guests().status(vm, pid))
    }
}

fn desired(config: &Value) -> Desired {
    read(config.to_string())
}

fn read(config: String) -> Desired {
    let source = Source::new("test.json", config);
    let loaded = load(&source, &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{}\n{:?}", source.text, loaded.diagnostics))
}

#[track_caller]
fn planned(desired: &Desired, observed: &Observed) -> Plan {
    let plan = plan(desired, observed, &Request::default());
    assert_eq!(lint::lint(&plan, observed), Vec::<String>::new());
    plan
}

fn rendered(plan: &Plan) -> String {
    let about = About { label: "test".to_owned(), simulated: true };
    let view = ui::plan::View {
        verbose: false,
        style: ui::style::Style { color: false },
        width: 80,
        about: &about,
        config: "test",
    };
    ui::plan::render(&PlanDocument::of(plan, Provenance::default()), &view) + &ui::graph::mermaid(plan, true)
}

fn applied(plan: Plan, target: Arc<Faulty>, parallel: usize) -> Summary {
    let run_ = Run {
        plan: Arc::new(plan),
        hypervisor: Arc::new(Target(target)),
        clock: Arc::new(NoWait::default()),
        limits: Limits { parallel, copies_per_storage: 2 },
        config: "test".to_owned(),
        left_alone: 0,
    };
    run(&run_, &Inbox::default(), &mut |_| {})
}

/// One VM's values; sizes come from `grown`, so that a later config never shrinks a disk.
fn vm(id: u32, grown: u32) -> impl Strategy<Value = Value> {
    let words = prop::collection::vec("[a-z][a-z0-9]{0,5}", 0..4);
    let description = "(|[ -~äöü✓]{1,30}|[a-z ]{1,8}\n[a-z:%#]{1,8}\n\n[a-z]{1,4})";
    let features =
        prop_oneof![Just(json!([])), Just(json!(["base_setup"])), Just(json!(["install_docker", "base_setup"])),];
    let volumes = prop_oneof![
        Just(json!([])),
        prop_oneof![Just("a"), Just("b")].prop_map(move |which| {
            let path = format!("/{which}/{id}");
            json!([{ "type": "nfs", "share": "local-nfs", "path": path, "mount_point": "/srv/d" }])
        }),
    ];
    let model = prop_oneof![Just("virtio"), Just("e1000"), Just("vmxnet3")];
    let hard = (1..3_u32, 1..4_u32, 16..4096_u32, 0..20_u32, model);
    let maybe = || prop::option::of(any::<bool>());
    let number = || prop::option::of(0..3_u32);
    let power = (prop::bool::weighted(0.8), maybe(), maybe(), number(), number());
    let ready = prop::option::weighted(0.4, prop_oneof![Just("agent"), Just("running")]);
    (words, description, features, volumes, hard, power, hardware::hardware(grown), ready).prop_map(
        move |(tags, text, features, volumes, hard, power, hardware, ready)| {
            let (sockets, cores, memory, size, model) = hard;
            let (started, start_at_boot, protected, boot_order, boot_delay) = power;
            let mut vm = json!({ "started": started });
            let optional = [
                ("start_at_boot", start_at_boot.map(Value::from)),
                ("protected", protected.map(Value::from)),
                ("boot_order", boot_order.map(Value::from)),
                ("boot_delay", boot_delay.map(Value::from)),
            ];
            for (key, value) in optional {
                if let Some(value) = value {
                    vm[key] = value;
                }
            }
            // Nothing is done in a guest that is not asked.
            let idle = features.as_array().is_some_and(Vec::is_empty) && volumes.as_array().is_some_and(Vec::is_empty);
            if let Some(ready) = ready.filter(|ready| *ready == "agent" || idle) {
                vm["ready"] = json!(ready);
            }
            let rest = json!({
                "vm_id": id, "vm_name": format!("vm{id}"), "tags": tags, "features": features, "volumes": volumes,
                "description": text.replace("<!-- phoenix", ""), "cpu_sockets": sockets, "cpu_cores": cores,
                "memory_mb": memory, "boot_disk_size_gb": 3 + grown + size, "network_model": model
            });
            // Proxmox detaches no disk and no drive of a protected VM.
            let detachable = |(key, _): &(String, Value)| (key != "disks" && key != "cdrom") || protected != Some(true);
            let hardware = hardware.into_iter().filter(detachable);
            vm.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone().into_iter().chain(hardware));
            vm
        },
    )
}

/// The same things in another order, the same one for the same seed.
fn shuffled<T>(mut things: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed | 1;
    for at in (1..things.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).unwrap() % (at + 1);
        things.swap(at, pick);
    }
    things
}

/// The text of a config with its VMs, the keys of each and its tags in another order. A `Value` would sort the keys.
fn disordered(config: &Value, seed: u64) -> String {
    let vm = |vm: &Value| {
        let entry = |(key, value): (&String, &Value)| match value.as_array().filter(|_| key == "tags") {
            Some(tags) => format!("{key:?}:{}", Value::Array(shuffled(tags.clone(), seed))),
            None => format!("{key:?}:{value}"),
        };
        format!("{{{}}}", shuffled(vm.as_object().unwrap().iter().map(entry).collect(), seed).join(","))
    };
    let vms = config["virtual_machines"].as_array().unwrap().iter().map(vm).collect();
    format!("{{\"virtual_machines\":[{}]}}", shuffled(vms, seed).join(","))
}

fn config(grown: u32) -> impl Strategy<Value = Value> {
    (vm(100, grown), vm(101, grown), vm(102, grown), 1..4_usize, 0..8_u8).prop_map(|(a, b, c, count, waits)| {
        let mut vms = [a, b, c];
        // Who waits for whom, never in a ring.
        for (bit, (vm, other)) in [(0, 1), (0, 2), (1, 2)].into_iter().enumerate() {
            if waits & (1 << bit) != 0 && other < count {
                let list = vms[vm]["depends_on"].as_array().cloned().unwrap_or_default();
                vms[vm]["depends_on"] = list.into_iter().chain([json!(100 + other)]).collect();
            }
        }
        json!({ "virtual_machines": vms.get(..count) })
    })
}

/// What a VM that is no longer wished for may bear as its record, and whether that makes it one of this project.
fn record() -> impl Strategy<Value = (RecordKind, bool)> {
    prop_oneof![
        Just((RecordKind::Ours, true)),
        Just((RecordKind::Absent, false)),
        Just((RecordKind::Theirs, false)),
        Just((RecordKind::OfAnotherVm, false)),
        Just((RecordKind::Twice, false)),
        prop::sample::select(&FORGED[..]).prop_map(|forged| (RecordKind::Forged(forged), false)),
        "[ -~]{0,40}".prop_map(|text| (RecordKind::Garbage(text), false)),
    ]
}

/// Notes that nearly prove something: `VM` and `UUID` stand for those of the VM that bears them.
const FORGED: [&str; 14] = [
    r#"<!-- phoenix {"v":1,"project":"default","vm":100,"uuid":"UUID"} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM,"uuid":""} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM,"uuid":"UUID0"} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM,"state":"setup"} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":100,"state":"creating"} -->"#,
    r#"<!-- phoenix {"v":2,"project":"default","vm":VM,"uuid":"UUID"} -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM,"uuid":"UUID","more":1} -->"#,
    r#"<!-- phoenix {"v":1,"project":"Default","vm":VM,"uuid":"UUID"} -->"#,
    r#"<!-- phoenix {"v":1,"project":" default","vm":VM,"uuid":"UUID"} -->"#,
    r#"<!-- phoenix {"v":1,"project":"theirs","project":"default","vm":VM,"uuid":"UUID"} -->"#,
    r#"<!-- phoenix [{"v":1,"project":"default","vm":VM,"uuid":"UUID"}] -->"#,
    r#"<!-- phoenix {"v":1,"project":"default","vm":VM,"uuid":"UUID"} --> <!-- phoenix "#,
    r#"<!--phoenix {"v":1,"project":"default","vm":VM,"uuid":"UUID"} -->"#,
];

#[derive(Debug, Clone)]
enum RecordKind {
    Forged(&'static str),
    Ours,
    Absent,
    Theirs,
    OfAnotherVm,
    Twice,
    Garbage(String),
}

/// Notes with such a record, of a VM with a uuid.
fn notes(kind: &RecordKind, vm: VmId, uuid: &str) -> String {
    let of = |project: &str, uuid: &str| {
        let record = Record { uuid: Some(uuid.to_owned()), state: RecordState::Ready, ..Record::creating(project, vm) };
        with_record("", &record).unwrap()
    };
    match kind {
        RecordKind::Ours => of("default", uuid),
        RecordKind::Absent => "an old server".to_owned(),
        RecordKind::Theirs => of("theirs", uuid),
        RecordKind::OfAnotherVm => of("default", "11111111-2222-4333-8444-555555555555"),
        RecordKind::Twice => format!("{}\n{}", of("default", uuid), of("default", uuid)),
        RecordKind::Forged(text) => text.replace("VM", &vm.to_string()).replace("UUID", uuid),
        RecordKind::Garbage(text) => format!("<!-- phoenix {text} -->"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_after_its_apply_is_empty(first in config(0), second in config(20), parallel in 1..6_usize) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Embedded::open(dir.path()).unwrap();
        for config in [&first, &second] {
            let desired = desired(config);
            let plan = planned(&desired, &open().observe().unwrap());
            prop_assert!(!plan.is_blocked(), "{:?}", plan.problems);
            // Nothing that exists is made anew, and only running VMs are disturbed.
            for vm in &plan.vms {
                let exists = open().vm(vm.vm).unwrap().is_some();
                prop_assert_eq!(vm.outcome == Outcome::Create, !exists);
                prop_assert!(exists || vm.disruption == Disruption::None);
            }
            let summary = applied(plan, Faulty::new(open(), 0, 0), parallel);
            prop_assert!(summary.is_complete(), "{summary:?}");
            let again = planned(&desired, &open().observe().unwrap());
            prop_assert!(!again.acts(), "{}", rendered(&again));
            // And carrying out the empty plan asks nothing of the target.
            let target = Faulty::new(open(), 0, 0);
            applied(again, Arc::clone(&target), parallel);
            prop_assert_eq!(target.calls.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn what_is_imported_is_what_was_applied(config in config(0)) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Embedded::open(dir.path()).unwrap();
        let summary = applied(planned(&desired(&config), &open().observe().unwrap()), Faulty::new(open(), 0, 0), 3);
        prop_assert!(summary.is_complete(), "{summary:?}");
        let observed = open().observe().unwrap();
        let all = config["virtual_machines"].as_array().unwrap().iter();
        let all: BTreeSet<VmId> = all.map(|vm| VmId::try_from(u32::try_from(vm["vm_id"].as_u64().unwrap()).unwrap()).unwrap()).collect();
        let (found, problems) = import::look(&all, &desired(&json!({ "virtual_machines": [] })), &observed);
        prop_assert!(problems.is_empty(), "{problems:?}");
        let entry = |found: import::Found| match found.write {
            import::Write::Entry(keys) => keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            other => panic!("{other:?}"),
        };
        let entries: Vec<Value> = found.into_iter().map(|found| Value::Object(entry(found))).collect();
        // The entries make the same VMs of the ones that are there: nothing differs.
        let imported = json!({ "virtual_machines": entries });
        let after = desired(&imported);
        let again = planned(&after, &observed);
        for vm in &again.vms {
            prop_assert!(vm.changes.is_empty(), "{imported}\n{}", rendered(&again));
        }
        // And what no option of a VM says comes back, too. What was never mounted is not known.
        for (was, is) in desired(&config).vms.iter().zip(&after.vms) {
            prop_assert_eq!((is.ready, &is.depends_on), (was.ready, &was.depends_on), "{}", imported);
            if was.started {
                prop_assert_eq!(&is.volumes, &was.volumes, "{}", imported);
            }
        }
    }

    #[test]
    fn whatever_breaks_the_next_applies_heal(config in config(0), broken in any::<u64>(), lose in any::<u64>()) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Embedded::open(dir.path()).unwrap();
        let desired = desired(&config);
        let observe = || planned(&desired, &open().observe().unwrap());
        // A third of the calls break, then none.
        applied(observe(), Faulty::new(open(), broken & broken.rotate_left(7), lose), 3);
        let second = observe();
        prop_assert!(!second.is_blocked(), "{:?}", second.problems);
        let summary = applied(second, Faulty::new(open(), 0, 0), 3);
        prop_assert!(summary.is_complete(), "{summary:?}");
        prop_assert!(!observe().acts());
    }

    #[test]
    fn only_vms_with_a_valid_record_of_the_project_go(
        vms in prop::collection::vec((record(), any::<bool>(), any::<bool>(), any::<bool>()), 1..8), prune in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let node = Embedded::open(dir.path()).unwrap();
        let id = |at: usize| VmId::try_from(u32::try_from(200 + at).unwrap()).unwrap();
        let mut ours = BTreeSet::new();
        for (at, ((kind, valid), protected, locked, template)) in vms.iter().enumerate() {
            let (vm, uuid) = (id(at), format!("00000000-0000-4000-8000-{at:012}"));
            let mut conf = Conf::parse("scsi0: local-zfs:vm-1-disk-0,size=1G\n");
            conf.set_description(&notes(kind, vm, &uuid));
            conf.set("smbios1", &format!("uuid={uuid}"));
            for (key, set) in [("protection: 1", protected), ("lock: backup", locked), ("template: 1", template)] {
                let (key, value) = key.split_once(": ").unwrap();
                if *set {
                    conf.set(key, value);
                }
            }
            std::fs::write(dir.path().join(format!("qemu-server/{vm}.conf")), conf.to_string()).unwrap();
            if *valid && !protected && !locked {
                ours.insert(vm);
            }
        }
        let before = |vm: VmId| std::fs::read(dir.path().join(format!("qemu-server/{vm}.conf"))).ok();
        let all: Vec<VmId> = (0..vms.len()).map(id).collect();
        let confs: Vec<_> = all.iter().map(|vm| before(*vm)).collect();
        let goal = if prune {
            Goal::Config { prune: true, prune_many: Some(vms.len()) }
        } else {
            Goal::Destroy(all.clone())
        };
        let file = json!({ "hypervisor": { "project": "default" }, "virtual_machines": [] });
        let policy = Request { goal, ..Request::default() };
        let observed = node.observe().unwrap();
        let plan = plan(&desired(&file), &observed, &policy);
        prop_assert_eq!(lint::lint(&plan, &observed), Vec::<String>::new());
        let going = |plan: &Plan| -> BTreeSet<VmId> {
            plan.vms.iter().filter(|vm| vm.actions.iter().any(|action| action.outcome.acts())).map(|vm| vm.vm).collect()
        };
        prop_assert!(going(&plan).is_subset(&ours), "{:?} go, ours are {:?}", going(&plan), ours);
        if !plan.is_blocked() {
            applied(plan, Faulty::new(Embedded::open(dir.path()).unwrap(), 0, 0), 3);
            for (vm, conf) in all.iter().zip(confs) {
                let wanted = if ours.contains(vm) { None } else { conf };
                prop_assert!(before(*vm) == wanted, "VM {}: {:?}", vm, before(*vm));
            }
        }
    }

    #[test]
    fn order_does_not_matter(
        first in config(0), second in config(20), order in any::<u64>(), made in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Embedded::open(dir.path()).unwrap();
        if made {
            applied(planned(&desired(&first), &open().observe().unwrap()), Faulty::new(open(), 0, 0), 3);
        }
        let observed = open().observe().unwrap();
        // The same VMs from files with their lines in another order; only the digest tells the difference.
        let mut other = observed.clone();
        for (id, vm) in &mut other.vms {
            let text = std::fs::read_to_string(dir.path().join(format!("qemu-server/{id}.conf"))).unwrap();
            let (notes, options): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
            let lines: Vec<&str> = notes.into_iter().chain(shuffled(options, order)).collect();
            let digest = vm.digest.clone();
            let same = VmObserved::from_conf(*id, &(lines.join("\n") + "\n"), vm.running).on(&vm.node);
            *vm = VmObserved { digest, ..same };
        }
        let (a, b) = (planned(&desired(&second), &observed), planned(&read(disordered(&second, order)), &other));
        prop_assert_eq!(rendered(&a), rendered(&b));
        let ids = |plan: &Plan| (0..plan.action_count()).map(|n| plan.action_id(n)).collect::<Vec<_>>();
        prop_assert_eq!(ids(&a), ids(&b));
        prop_assert_eq!(format!("{:?}", a.problems), format!("{:?}", b.problems));
    }

    #[test]
    fn the_scheduler_keeps_its_rules(
        config in config(0), parallel in 1..5_usize, clones in 1..3_usize,
        luck in prop::collection::vec((any::<prop::sample::Index>(), 0..10_u8), 60), stop in 0..120_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let plan = planned(&desired(&config), &Embedded::open(dir.path()).unwrap().observe().unwrap());
        let limits = Limits { parallel, copies_per_storage: clones };
        let mut scheduler = Scheduler::new(&plan, limits);
        let (mut running, mut good, mut over) = (Vec::<usize>::new(), BTreeSet::new(), BTreeSet::new());
        let mut luck = luck.into_iter();
        let mut stopped = false;
        for step in 0.. {
            if step == stop {
                scheduler.on(Input::Stop);
                stopped = true;
            }
            match scheduler.command() {
                Decision::Begin(number) => {
                    prop_assert!(!stopped, "nothing begins after a stop");
                    prop_assert!(plan.graph.dependencies(number).iter().all(|on| good.contains(on)));
                    running.push(number);
                    prop_assert!(running.len() <= parallel);
                    let vms: BTreeSet<usize> = running.iter().map(|n| plan.vm_index(*n)).collect();
                    prop_assert_eq!(vms.len(), running.len(), "one action per VM");
                    let cloning = running.iter().filter(|n| plan.action_id(**n).ends_with("/clone")).count();
                    prop_assert!(cloning <= clones);
                }
                Decision::Pass(number) => {
                    prop_assert_eq!(plan.action(number).1.outcome, Outcome::NoOp);
                    prop_assert!(over.insert(number), "ends once");
                    good.insert(number);
                }
                Decision::Skip { action, because } => {
                    prop_assert!(over.insert(action), "ends once");
                    prop_assert!(over.contains(&because) && !good.contains(&because));
                }
                Decision::Idle => {
                    prop_assert!(!running.is_empty(), "never idle without a reason");
                    let (at, fate) = luck.next().map_or((0, 9), |(which, fate)| (which.index(running.len()), fate));
                    let number = running.remove(at);
                    prop_assert!(over.insert(number), "ends once");
                    if fate == 0 {
                        scheduler.on(Input::Failed(number));
                    } else {
                        good.insert(number);
                        scheduler.on(Input::Done(number));
                    }
                }
                Decision::Finish => break,
            }
        }
        let never: BTreeSet<usize> = scheduler.not_started().collect();
        prop_assert!(running.is_empty() && never.is_disjoint(&over));
        prop_assert_eq!(never.len() + over.len(), plan.action_count(), "every action is accounted for");
        prop_assert!(stopped || never.is_empty());
    }
}

/// A cluster of nodes with so much memory, and VMs that may be anywhere, each with a tag and memory.
fn placed(nodes: &[u64], vms: &[(u8, u32)], order: impl Fn(&mut Vec<Value>)) -> (Desired, Observed) {
    let mut entries: Vec<Value> = (1000..)
        .zip(vms)
        .map(|(id, (tag, memory))| {
            json!({ "vm_id": id, "vm_name": format!("vm-{id}"), "node": "any", "memory_mb": memory,
                "boot_disk_size_gb": 8, "cpu_cores": 1, "tags": [format!("tag-{tag}")] })
        })
        .collect();
    order(&mut entries);
    let hypervisor = json!({ "never_same_node": ["tag-0", "tag-1"], "memory_limit": 0.9 });
    let text = json!({ "hypervisor": hypervisor, "virtual_machines": entries }).to_string();
    let loaded = load(&Source::new("c.json", text), &mut |_| FeatureFiles::Missing);
    let dir = tempfile::tempdir().unwrap();
    let mut observed = Embedded::open(dir.path()).unwrap().observe().unwrap();
    let own = observed.own_node().clone();
    observed.nodes.clear();
    for (n, memory_mb) in nodes.iter().enumerate() {
        let name = if n == 0 { own.name.clone() } else { format!("node-{n}") };
        observed.nodes.insert(name.clone(), Node { name, memory_mb: *memory_mb, ..own.clone() });
    }
    (loaded.desired.unwrap(), observed)
}

/// The nodes of the VMs, as placement finds them.
fn nodes_of(desired: &Desired, observed: &Observed) -> Vec<(VmId, Option<String>)> {
    let homes = homes(desired, observed, &Agreed::new());
    homes.into_iter().map(|(vm, home)| (vm, home.node().map(ToOwned::to_owned))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Placement gives the same for the same VMs in another order, promises no node more than it may, and puts no two
    /// VMs of one tag on a node while another one without the tag could take it; a new VM moves no other.
    #[test]
    fn vms_are_placed_within_limits(
        nodes in prop::collection::vec(2000_u64..40_000, 1..6),
        vms in prop::collection::vec((0_u8..3, 256_u32..9000), 1..14),
    ) {
        let (desired, observed) = placed(&nodes, &vms, |_| ());
        let found = nodes_of(&desired, &observed);
        let (other, _) = placed(&nodes, &vms, |entries| entries.reverse());
        prop_assert_eq!(&nodes_of(&other, &observed), &found);
        let (fewer, _) = placed(&nodes, &vms[..vms.len() - 1], |_| ());
        prop_assert_eq!(&nodes_of(&fewer, &observed)[..], &found[..vms.len() - 1]);

        let mut promised: BTreeMap<&str, u64> = observed.nodes.keys().map(|node| (node.as_str(), 0)).collect();
        let mut tags: BTreeSet<(&str, u8)> = BTreeSet::new();
        for ((tag, memory), (_, node)) in vms.iter().zip(&found) {
            let room = |node: &str| promised[node] + u64::from(*memory) <= observed.nodes[node].memory_mb * 90 / 100;
            let Some(node) = node else {
                prop_assert!(!promised.keys().any(|node| room(node)), "there was room: {found:?}");
                continue;
            };
            prop_assert!(room(node), "{node} is promised too much: {found:?}");
            if *tag < 2 && tags.contains(&(node.as_str(), *tag)) {
                let free = promised.keys().find(|other| room(other) && !tags.contains(&(**other, *tag)));
                prop_assert!(free.is_none(), "{free:?} has no VM of tag {tag}: {found:?}");
            }
            *promised.get_mut(node.as_str()).unwrap() += u64::from(*memory);
            tags.insert((node, *tag));
        }
    }
}
