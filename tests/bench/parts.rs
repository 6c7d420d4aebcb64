//! What the parts cost at 3, 100, 1,000 and 10,000 VMs. `cargo bench`; figures are per VM (items per second), but for
//! the worst config.

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, OnceLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::hypervisor::{About, Hypervisor as _};
use phoenix::model::{Desired, DesiredVm, Nodes, Record, RecordState};
use phoenix::observed::{Node, Observed, VmObserved, encode_description, with_record};
use phoenix::plan::document::{PlanDocument, Provenance};
use phoenix::plan::{Agreed, Plan, Request, Step, homes, lint, plan};
use phoenix::ui;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [3, 100, 1_000, 10_000];

fn main() {
    divan::main();
    // Not where others were chosen by name: `cargo bench --bench phoenix -- ratios` has these alone.
    if !std::env::args().skip(1).any(|word| !word.starts_with('-') && word != "ratios") {
        ratios();
    }
}

/// A cluster of so many nodes with 10,000 VMs that are as the file says, spread evenly.
fn spread(nodes: usize) -> (Desired, Observed) {
    let (desired, mut observed) = settle(anywhere());
    let own = observed.own_node().clone();
    for n in 1..nodes {
        let name = format!("pve{n:02}");
        observed.nodes.insert(name.clone(), Node { name, ..own.clone() });
    }
    let names: Vec<String> = observed.nodes.keys().cloned().collect();
    for (n, live) in observed.vms.values_mut().filter(|live| !live.template).enumerate() {
        live.node.clone_from(&names[n % names.len()]);
    }
    let plan = plan(&desired, &observed, &Request::default());
    assert!(!plan.acts() && !plan.is_blocked());
    (desired, observed)
}

/// The same file, whose VMs may be on any node and have no volumes of a node.
fn anywhere() -> Desired {
    let mut desired = desired(10_000);
    for vm in desired.vms.iter_mut().map(Arc::make_mut) {
        vm.node = Some(Nodes::Any);
        vm.features.clear();
        vm.volumes.clear();
    }
    desired
}

/// The quickest of some runs, in seconds.
fn quickest<T>(mut run: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let began = std::time::Instant::now();
        std::hint::black_box(run());
        began.elapsed().as_secs_f64()
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

/// What a cluster of 16 nodes costs beside one node, with 10,000 VMs.
#[expect(clippy::print_stdout, reason = "the figures are what a benchmark is for")]
fn ratios() {
    let request = Request::default();
    let tell = |what: &str, one: f64, sixteen: f64| {
        println!("16 nodes beside 1, {what}: {:.0} ms / {:.0} ms = {:.2}", sixteen * 1e3, one * 1e3, sixteen / one);
    };
    let [one, sixteen] = [1, 16].map(|nodes| {
        let (desired, observed) = spread(nodes);
        quickest(|| PlanDocument::of(&plan(&desired, &observed, &request), Provenance::default()))
    });
    tell("plan of 10,000 VMs that are as they are to be", one, sixteen);
    let desired = anywhere();
    let [one, sixteen] = [1, 16].map(|nodes| {
        let (_, mut observed) = spread(nodes);
        observed.vms.retain(|_, live| live.template);
        for node in observed.nodes.values_mut() {
            node.memory_mb = 1 << 30;
        }
        quickest(|| {
            observed.homes = homes(&desired, &observed, &Agreed::new());
            PlanDocument::of(&plan(&desired, &observed, &request), Provenance::default())
        })
    });
    tell("placement and plan of 10,000 new VMs", one, sixteen);
}

fn text(vms: usize) -> String {
    let mut text = String::from(r#"{"vm_defaults":{"features":["base_setup"],"memory_mb":2048},"virtual_machines":["#);
    for n in 0..vms {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"vm_id":{},"vm_name":"vm-{n:05}","description":"machine {n}","tags":["web","prod"],
            "cpu_cores":4,"volumes":[{{"type":"nfs","share":"local-nfs","path":"/d/{n}","mount_point":"/srv/d"}}]}}"#,
            10_000 + n
        );
    }
    text.push_str("]}");
    text
}

fn source(vms: usize) -> Source {
    Source::new("bench.json", text(vms))
}

fn desired(vms: usize) -> Desired {
    load(&source(vms), &mut |_| FeatureFiles::Missing).desired.unwrap()
}

/// A fresh node as observed: a template and nothing else.
fn empty() -> Observed {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap().observe().unwrap()
}

/// The configuration file of a VM that is as wished.
fn conf(vm: &DesiredVm, plan: &Plan) -> String {
    let planned = plan.vms.iter().find(|planned| planned.vm == vm.vm_id).unwrap();
    let steps = || planned.actions.iter().filter_map(|action| action.step.as_ref());
    let last = steps().find_map(|step| if let Step::Record(record) = step { Some(record) } else { None }).unwrap();
    let uuid = format!("00000000-0000-4000-8000-{:012}", vm.vm_id.get());
    let record = Record { state: RecordState::Ready, uuid: Some(uuid.clone()), ..Record::clone(last) };
    assert!(vm.features.is_empty() || record.staged.contains_key("vm_context.json"));
    let notes = encode_description(&with_record(&vm.description, &record).unwrap());
    format!(
        "{notes}agent: enabled=1\nboot: order=scsi0\ncores: {}\nmemory: {}\nname: {}\n\
         net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nostype: l26\nscsi0: local-zfs:vm-{}-disk-0,size=50G\n\
         scsihw: virtio-scsi-pci\nsmbios1: uuid={uuid}\nsockets: 1\ntags: prod;web\n",
        vm.cpu_cores, vm.memory_mb, vm.vm_name, vm.vm_id,
    )
}

/// A config and the world in which nothing is left to do.
fn settled(vms: usize) -> (Desired, Observed) {
    settle(desired(vms))
}

fn settle(desired: Desired) -> (Desired, Observed) {
    let mut observed = empty();
    let all_new = plan(&desired, &observed, &Request::default());
    for vm in &desired.vms {
        let text = conf(vm, &all_new);
        observed.vms.insert(vm.vm_id, VmObserved::from_conf(vm.vm_id, &text, true).on(&observed.here));
    }
    assert!(!plan(&desired, &observed, &Request::default()).acts());
    (desired, observed)
}

/// A node in a directory with so many VMs that are as wished, made once.
fn node(vms: usize) -> &'static Embedded {
    static NODES: [OnceLock<(TempDir, Embedded)>; 4] = [const { OnceLock::new() }; 4];
    let at = SIZES.iter().position(|size| *size == vms).unwrap();
    let (_, node) = NODES[at].get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let node = Embedded::open(dir.path()).unwrap();
        let desired = desired(vms);
        let all_new = plan(&desired, &node.observe().unwrap(), &Request::default());
        for vm in &desired.vms {
            let path = dir.path().join(format!("qemu-server/{}.conf", vm.vm_id));
            fs::write(path, conf(vm, &all_new)).unwrap();
            fs::write(dir.path().join(format!("run/{}", vm.vm_id)), "1").unwrap();
        }
        (dir, node)
    });
    node
}

#[divan::bench(args = SIZES)]
fn load_and_validate(bencher: Bencher<'_, '_>, vms: usize) {
    let source = source(vms);
    bencher.counter(ItemsCount::new(vms)).bench(|| load(&source, &mut |_| FeatureFiles::Missing));
}

/// A config as large as one may be, with problems everywhere and not one line break.
#[divan::bench]
fn explain_the_worst(bencher: Bencher<'_, '_>) {
    let vm = |n: usize| format!(r#"{{"vm_id":1000,"vm_name":"V_{}","x":1,"depends_on":["w{n}"]}}"#, n % 7);
    let text = format!(r#"{{"virtual_machines":[{}]}}"#, (0..40_000).map(vm).collect::<Vec<_>>().join(","));
    let source = Source::new("bench.json", text);
    bencher.bench(|| {
        let loaded = load(&source, &mut |_| FeatureFiles::Missing);
        ui::diagnostics::render(&loaded.diagnostics, Some(&source), false)
    });
}

#[divan::bench(args = SIZES)]
fn observe(bencher: Bencher<'_, '_>, vms: usize) {
    let node = node(vms);
    bencher.counter(ItemsCount::new(vms)).bench(|| node.observe().unwrap());
}

#[divan::bench(args = SIZES)]
fn plan_unchanged(bencher: Bencher<'_, '_>, vms: usize) {
    let (desired, observed) = settled(vms);
    bencher.counter(ItemsCount::new(vms)).bench(|| plan(&desired, &observed, &Request::default()));
}

#[divan::bench(args = SIZES)]
fn plan_all_new(bencher: Bencher<'_, '_>, vms: usize) {
    let (desired, observed) = (desired(vms), empty());
    bencher.counter(ItemsCount::new(vms)).bench(|| plan(&desired, &observed, &Request::default()));
}

#[divan::bench(args = SIZES)]
fn lint_plan(bencher: Bencher<'_, '_>, vms: usize) {
    let plan = plan(&desired(vms), &empty(), &Request::default());
    bencher.counter(ItemsCount::new(vms)).bench(|| lint::lint(&plan, &empty()));
}

#[divan::bench(args = SIZES)]
fn render_all_new(bencher: Bencher<'_, '_>, vms: usize) {
    let plan = plan(&desired(vms), &empty(), &Request::default());
    let about = About { label: "bench".to_owned(), simulated: true };
    let style = ui::style::Style { color: true };
    let view = ui::plan::View { style, width: 80, about: &about, config: "bench.json", verbose: false };
    bencher
        .counter(ItemsCount::new(vms))
        .bench(|| ui::plan::render(&PlanDocument::of(&plan, Provenance::default()), &view));
}

#[divan::bench(args = SIZES)]
fn graph_mermaid(bencher: Bencher<'_, '_>, vms: usize) {
    let plan = plan(&desired(vms), &empty(), &Request::default());
    bencher.counter(ItemsCount::new(vms)).bench(|| ui::graph::mermaid(&plan, true));
}

#[divan::bench(args = SIZES)]
fn action_graph(bencher: Bencher<'_, '_>, vms: usize) {
    let edges: Vec<(usize, usize)> =
        (0..vms).flat_map(|vm| (1..12).map(move |n| (vm * 12 + n, vm * 12 + n - 1))).collect();
    bencher.counter(ItemsCount::new(vms)).bench(|| phoenix::dag::Dag::new(vms * 12, &edges).unwrap());
}
