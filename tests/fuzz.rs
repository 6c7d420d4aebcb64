//! Documents that were changed in any way: saved plans, recordings, logs of runs, configurations of VMs and their
//! notes, configs, and what a node's administrator allows. Each begins as one that phoenix made.
//!
//! The cases are always the same ones, so that a failure stays one. `PHOENIX_FUZZ=SECONDS` makes each test go on for so
//! long, `PHOENIX_FUZZ_SEED=N` begins with another case: the one that a failure names, for example.

#[path = "fuzz/conf.rs"]
mod conf;
#[path = "fuzz/faces.rs"]
mod faces;
#[path = "fuzz/forge.rs"]
mod forge;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use mutate::Luck;
use phoenix::config::{self, FeatureFiles, Loaded, Source, decode, load, schema};
use phoenix::event::Event;
use phoenix::model::{Record, VmId};
use phoenix::observed::{Allowed, Observed, Recording, allow_schema};
use phoenix::plan::document::{PlanDocument, Provenance};
use phoenix::plan::{Goal, Request, import, lint, plan, status};
use phoenix::ui;
use phoenix::ui::story::Moment;
use serde_json::Value;
use world::World;

/// No case takes nearly as long, however busy the machine is.
const TOO_LONG: Duration = Duration::from_mins(1);

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var_os(variable)?;
    let text = value.to_str().unwrap_or_default();
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: no number")))
}

/// Runs so many cases, or as many as fit into the time that the environment gives.
#[expect(clippy::print_stderr, reason = "a failure says with which case it comes again")]
fn fuzz(cases: u64, case: impl Fn(&mut Luck)) {
    let (began, seconds) = (Instant::now(), number("PHOENIX_FUZZ"));
    let first = number("PHOENIX_FUZZ_SEED").unwrap_or(1);
    let goes_on = |n: u64| seconds.map_or(n < cases, |seconds| began.elapsed().as_secs() < seconds);
    for seed in (0..).take_while(|n| goes_on(*n)).map(|n| first.wrapping_add(n)) {
        let case_began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| case(&mut Luck(seed))));
        if let Err(panic) = result {
            eprintln!("this is the case with PHOENIX_FUZZ_SEED={seed}");
            resume_unwind(panic);
        }
        assert!(case_began.elapsed() < TOO_LONG, "the case with PHOENIX_FUZZ_SEED={seed} hangs");
    }
}

fn asked() -> Request {
    let goal = Goal::Config { prune: true, prune_many: None };
    Request { goal, snapshot: true, restart: true, ..Request::default() }
}

/// The VMs of which `apply PLAN` does something.
fn done(saved: &PlanDocument, now: &PlanDocument, observed: &Observed) -> Vec<u32> {
    let errors = |document: &PlanDocument| {
        document.summary.blocked > 0 || document.problems.iter().any(|problem| problem.severity == "error")
    };
    if errors(saved) || errors(now) || saved.contradicts(now).is_some() {
        return Vec::new();
    }
    let moved = saved.moved(now, &|vm| observed.vms.keys().any(|id| id.get() == vm));
    let left_out = |vm: u32| moved.iter().any(|moved| moved.vm == vm);
    now.vms.iter().filter(|vm| vm.outcome.acts() && !left_out(vm.vm)).map(|vm| vm.vm).collect()
}

/// What `show` prints of one VM, whatever the rest of the plan is.
fn part(document: &PlanDocument, vm: u32, whole: &PlanDocument) -> [String; 3] {
    let vms: Vec<_> = document.vms.iter().filter(|part| part.vm == vm).cloned().collect();
    let document = PlanDocument { vms, problems: Vec::new(), ..whole.clone() };
    [faces::shown(&document, 80), ui::markdown::render(&document), ui::html::plan(&document)]
}

#[test]
fn what_a_saved_plan_shows_is_what_is_done() {
    let world = World::new();
    let saved = world.document(&asked());
    assert!(saved.vms.iter().filter(|vm| vm.outcome.acts()).count() >= 4, "{}", faces::shown(&saved, 80));
    let whole = forge::resealed(serde_json::to_value(&saved).unwrap());
    assert_eq!(whole["hash"], saved.hash.as_str(), "the hash is made of other parts now: change `forge`, too");
    let other = serde_json::to_value(world.document(&Request::default())).unwrap();
    let (read, acted) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    fuzz(300, |luck| {
        let mut forged = whole.clone();
        mutate::value(&mut forged, &other, luck);
        let mut text = forged.to_string();
        if !luck.one_in(8) {
            text = forge::resealed(forged).to_string();
        } else if luck.one_in(2) {
            text = mutate::bytes(&text, luck);
        }
        let document = match PlanDocument::read(&text) {
            Ok(document) => document,
            Err(broken) => return faces::inert("message", &broken.to_string(), text.len()),
        };
        read.set(read.get() + 1);
        faces::of_plan(&document, text.len());
        let now = world.document(&document.request);
        for vm in done(&document, &now, &world.observed) {
            acted.set(acted.get() + 1);
            assert_eq!(part(&document, vm, &now), part(&now, vm, &now), "VM {vm}");
        }
    });
    // The checks behind the seal are reached.
    assert!(read.get() > 40 && acted.get() > 40, "{} read, {} acted on", read.get(), acted.get());
}

#[test]
fn a_recording_may_say_anything() {
    let world = World::new();
    let whole = serde_json::to_value(world.recording()).unwrap();
    let other = Value::from(world.configs.to_vec());
    let read = std::cell::Cell::new(0);
    fuzz(300, |luck| {
        let mut forged = whole.clone();
        mutate::value(&mut forged, &other, luck);
        let text = forged.to_string();
        let recording: Recording = match serde_json::from_str(&text) {
            Ok(recording) => recording,
            // The reason is told behind its file's name, escaped there.
            Err(_) => return,
        };
        read.set(read.get() + 1);
        let (observed, label) = (recording.observed, recording.label);
        let prune = luck.one_in(2);
        let policy = Request {
            restart: luck.one_in(2),
            goal: Goal::Config { prune, prune_many: prune.then_some(100) },
            ..Request::default()
        };
        planned(&world, &observed, &policy, &label, text.len());
    });
    assert!(read.get() > 60, "{}", read.get());
}

/// Plans against what was observed, and shows it in every way.
fn planned(world: &World, observed: &Observed, policy: &Request, label: &str, input: usize) {
    let plan = plan(&world.desired, observed, policy);
    assert_eq!(lint::lint(&plan, observed), Vec::<String>::new());
    let mut target = world.target();
    label.clone_into(&mut target.label);
    let provenance = Provenance { target: target.clone(), ..Provenance::default() };
    faces::of_plan(&PlanDocument::of(&plan, provenance), input);
    faces::inert("terminal", &ui::diagnostics::render(&ui::findings::shown(&plan.problems, None), None, false), input);
    for graph in [ui::graph::mermaid(&plan, true), ui::graph::dot(&plan, true)] {
        faces::inert("graph", &graph, input);
    }
    let agents = status::Agents { answering: status::with_agents(&plan, observed), ..status::Agents::default() };
    let status = status::status(&plan, observed, &agents, target);
    faces::inert("terminal", &ui::status::render(&status, label, 80, ui::style::Style { color: false }), input);
    faces::inert("markdown", &ui::status::markdown(&status, label), input);
    faces::inert("json", &ui::status::json(&status), input);
    let all = observed.vms.keys().copied().collect();
    let (_, problems) = import::look(&all, &world.desired, observed);
    faces::inert("terminal", &ui::diagnostics::render(&ui::findings::shown(&problems, None), None, false), input);
    if !plan.is_blocked() {
        drop(phoenix::apply::preview(&plan, observed));
    }
}

#[test]
fn a_log_may_say_anything() {
    let world = World::new();
    assert!(world.log.lines().count() > 20, "{}", world.log);
    let other = serde_json::to_value(world.recording()).unwrap();
    fuzz(200, |luck| {
        let mut lines: Vec<String> = world.log.lines().map(ToOwned::to_owned).collect();
        for _ in 0..=luck.below(6) {
            let at = luck.below(lines.len());
            let mut event: Value = serde_json::from_str(&lines[at]).unwrap();
            mutate::value(&mut event, &other, luck);
            lines[at] = event.to_string();
        }
        let text = if luck.one_in(2) { lines.join("\n") } else { mutate::lines(&lines.join("\n"), &world.log, luck) };
        // A line that is no event is refused by the one who reads the file.
        let moments: Vec<Moment> = text.lines().filter_map(moment).collect();
        faces::of_run(&mutate::bytes("2024-05-01T10-00-00", luck), &moments, text.len());
    });
}

fn moment(line: &str) -> Option<Moment> {
    let head: Value = serde_json::from_str(line).ok()?;
    let time = head["time"].as_str().unwrap_or_default().to_owned();
    Some(Moment { time, event: serde_json::from_str::<Event>(line).ok()? })
}

#[test]
fn a_config_that_is_taken_fits_the_schema() {
    let world = World::new();
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let other = serde_json::to_value(world.recording()).unwrap();
    let pretty = format!("{:#}", world.configs[0]);
    let taken = std::cell::Cell::new(0);
    fuzz(500, |luck| {
        let mut forged = luck.pick(&world.configs).clone();
        let lends = if luck.one_in(2) { &other } else { &world.configs[0] };
        mutate::value(&mut forged, lends, luck);
        let text = match luck.below(4) {
            0 => mutate::lines(&format!("{forged:#}"), &pretty, luck),
            1 => mutate::bytes(&forged.to_string(), luck),
            2 => format!("{forged:#}"),
            _ => forged.to_string(),
        };
        let source = match decode("c.json", text.clone().into_bytes()) {
            Ok(source) => source,
            Err(problem) => {
                faces::of_config(None, None, vec![*problem], text.len());
                return;
            }
        };
        let Loaded { desired, diagnostics, .. } = load(&source, &mut |_| FeatureFiles::Missing);
        drop(config::places(&Source::new("c.json", text.as_str())));
        if let Some(desired) = &desired {
            taken.set(taken.get() + 1);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(validator.is_valid(&value), "{text}");
            forge::within(desired, &schema);
            let plan = plan(desired, &world.observed, &Request::default());
            assert_eq!(lint::lint(&plan, &world.observed), Vec::<String>::new());
            faces::of_plan(&PlanDocument::of(&plan, Provenance::default()), text.len());
        }
        let vms = desired.map(|desired| desired.vms.len());
        faces::of_config(Some(source), vms, diagnostics, text.len());
    });
    assert!(taken.get() > 20, "{} taken", taken.get());
}

#[test]
fn what_is_allowed_is_said_in_full_or_not_at_all() {
    let whole = serde_json::json!({ "$schema": "x", "host_paths": ["/srv/nfs", "/tank"], "image_paths": ["/images"] });
    let other =
        serde_json::json!(["/", "/etc", "//srv", "/srv/../etc", "/srv/.", "relative", "/srv/\u{1b}", "/proc/x"]);
    let schema: Value = serde_json::from_str(&allow_schema()).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    fuzz(3_000, |luck| {
        let mut forged = whole.clone();
        mutate::value(&mut forged, &other, luck);
        let text = if luck.one_in(4) { mutate::bytes(&forged.to_string(), luck) } else { forged.to_string() };
        let allowed = Allowed::parse(text.as_bytes());
        if allowed.broken.is_some() {
            assert!(allowed.host_paths.is_empty() && allowed.image_paths.is_empty(), "{text}: {allowed:?}");
            return;
        }
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(validator.is_valid(&value), "{text}");
        for path in allowed.host_paths.iter().chain(&allowed.image_paths) {
            let steps: Vec<&str> = path.split('/').collect();
            assert!(steps[0].is_empty() && steps.len() > 1 && !steps[1..].contains(&""), "{path:?}");
            assert!(!steps.contains(&"..") && !steps.contains(&"."), "{path:?}");
            assert!(!["etc", "proc", "sys", "dev", "boot", "root", "home"].contains(&steps[1]), "{path:?}");
            assert!(!path.contains(char::is_control), "{path:?}");
        }
    });
}

/// What is said grows with what it is said of, and not with its square.
#[track_caller]
fn linear(what: &str, said: &dyn Fn(usize) -> usize) {
    let [one, two, four] = [50, 100, 200].map(said);
    assert!(one < two && four - two <= (two - one) * 9 / 4 + 1_000, "{what}: {one}, {two}, {four} bytes");
}

#[test]
fn twice_as_much_says_twice_as_much() {
    let world = World::new();
    let saved = world.document(&asked());
    let many = |at: usize| repeated(&saved.vms, at);
    linear("plan", &|n| faces::of_plan(&PlanDocument { vms: many(n), ..saved.clone() }, n << 16));
    for part in ["changes", "actions"] {
        linear(part, &|n| {
            let mut saved = saved.clone();
            for vm in &mut saved.vms {
                if part == "changes" {
                    vm.changes = repeated(&vm.changes, n);
                } else {
                    vm.actions = repeated(&vm.actions, n);
                }
            }
            faces::of_plan(&saved, n << 16)
        });
    }
    let moments: Vec<Moment> = world.log.lines().filter_map(moment).collect();
    linear("log", &|n| faces::of_run("run", &repeated(&moments, n * 10), n << 16));
    let config = |n: usize, wrong: bool| {
        let name = |at: usize| if wrong { "a b".to_owned() } else { format!("vm{at}") };
        let vms: Vec<Value> = (0..n).map(|at| serde_json::json!({ "vm_id": 1000 + at, "vm_name": name(at) })).collect();
        serde_json::json!({ "virtual_machines": vms }).to_string()
    };
    linear("declared", &|n| {
        let source = Source::new("c.json", config(n, false));
        let desired = load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap();
        let plan = plan(&desired, &world.observed, &Request::default());
        faces::of_plan(&PlanDocument::of(&plan, Provenance::default()), n << 16)
    });
    // What is wrong is told a hundred times, and counted from there on.
    let wrong = [100, 2_000].map(|n| {
        let source = Source::new("c.json", config(n, true));
        let diagnostics = load(&source, &mut |_| FeatureFiles::Missing).diagnostics;
        faces::of_config(Some(source), None, diagnostics, n << 10)
    });
    assert!(wrong[1] < wrong[0] * 2, "{wrong:?}");
}

fn repeated<T: Clone>(things: &[T], n: usize) -> Vec<T> {
    things.iter().cycle().take(n).cloned().collect()
}

#[test]
fn a_configuration_makes_no_vm_ours_and_keeps_the_lines_of_others() {
    let world = World::new();
    let confs: Vec<(VmId, String)> = world.observed.vms.keys().map(|vm| (*vm, world.conf(*vm))).collect();
    let declared: Vec<_> = confs.iter().filter(|(vm, _)| world.desired.vm(*vm).is_some()).collect();
    assert!(declared.len() == 3 && confs.len() > 3, "{confs:?}");
    let scratch = tempfile::tempdir().unwrap();
    let (found, done) = (std::cell::Cell::new([0, 0]), std::cell::Cell::new(0));
    fuzz(1_000, |luck| {
        let (vm, text) = luck.pick(&declared);
        // A VM of others stays one whatever is done to its lines; those of ours are not lent to it.
        let theirs = luck.one_in(2);
        let as_theirs = |text: &str| if theirs { text.replace(r#""shop""#, r#""theirs""#) } else { text.to_owned() };
        let other = as_theirs(&luck.pick(&confs).1);
        let text = mutate::lines(&as_theirs(text), &other, luck);
        let (live, ours) = conf::read("shop", *vm, &text, luck.one_in(2));
        assert!(!(theirs && ours), "{text}");
        let mut counted = found.get();
        counted[usize::from(ours)] += 1;
        found.set(counted);
        let notes = mutate::lines(&live.notes, &confs[0].1, luck);
        conf::noted(&notes, &Record::creating("shop", *vm));
        done.set(done.get() + usize::from(conf::written(scratch.path(), &world.desired, &live, &text)));
    });
    let [others, ours] = found.get();
    assert!(others > 100 && ours > 100 && done.get() > 100, "{others} of others, {ours} ours, {} written", done.get());
}
