//! The HTML pages as a strict parser sees them: well-formed, complete, small, and no value gets out of its place.

#[path = "support/failure.rs"]
mod failure;

use failure::failure_saying;
use phoenix::event::{ActionName, Event, Summary};
use phoenix::model::{ActionKind, Disruption, Origin, Outcome, RestartDue, VmId};
use phoenix::plan::document::{
    DOCUMENT_VERSION, DocumentAction, DocumentChange, DocumentCluster, DocumentConfig, DocumentMemory, DocumentNode,
    DocumentProblem, DocumentStorage, DocumentSummary, DocumentTarget, DocumentValue, DocumentVm, DocumentWaiting,
    NodeState, PlanDocument,
};
use phoenix::plan::status::{AgentState, FeatureState, STATUS_VERSION, StatusDocument, StatusDrift, StatusVm, VmState};
use phoenix::plan::{Request, Selection, Selector};
use phoenix::ui::html;
use phoenix::ui::story::{Moment, Story};
use phoenix::ui::text::safe;
use proptest::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

fn elements<'d>(document: &'d Document<'d>, name: &'d str) -> Vec<Node<'d, 'd>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

/// Text of a page beside its own style and script.
fn said(document: &Document<'_>) -> String {
    let own =
        |node: &Node<'_, '_>| node.parent().is_some_and(|it| it.has_tag_name("style") || it.has_tag_name("script"));
    document.descendants().filter(|node| node.is_text() && !own(node)).filter_map(|node| node.text()).collect()
}

fn change(key: &str, old: Option<&str>, new: &str, note: &str, disruption: Disruption) -> DocumentChange {
    let old = old.map(|old| DocumentValue::of(key, old.to_owned()));
    DocumentChange {
        key: key.to_owned().into(),
        old,
        new: DocumentValue::of(key, new.to_owned()),
        origin: Origin::Vm,
        disruption,
        note: note.into(),
        changed_by: None,
        applied: None,
    }
}

fn action(vm: u32, kind: ActionKind, after: &[&str]) -> DocumentAction {
    DocumentAction {
        id: format!("{vm}/{}", kind.as_str()).into(),
        kind,
        subject: None,
        outcome: Outcome::Update,
        reason: "it differs".into(),
        disruption: Disruption::Live,
        timeout_seconds: 120,
        awaits: None,
        with: None,
        after: after.iter().map(|id| format!("{vm}/{id}").into()).collect(),
    }
}

/// A VM that changes, with a text in every place that has one.
fn vm(id: u32, disruption: Disruption, text: &str) -> DocumentVm {
    let other = format!("one\n{text}\nthree");
    DocumentVm {
        vm: id,
        name: text.into(),
        outcome: Outcome::Update,
        disruption,
        restart: if disruption == Disruption::Restart { RestartDue::Now } else { RestartDue::No },
        blocked: false,
        basis: None,
        fingerprint: String::new(),
        changes: vec![
            change("tags", Some("a"), text, text, disruption),
            change("description", Some("one\ntwo\nthree"), &other, "", Disruption::None),
        ],
        waiting: vec![DocumentWaiting {
            option: "memory".into(),
            key: None,
            active: Some(DocumentValue::of(text, text.into())),
            pending: None,
        }],
        actions: vec![
            action(id, ActionKind::Configure, &["configure", "record"]),
            action(id, ActionKind::Start, &["configure"]),
            action(id, ActionKind::Mount, &["configure"]),
            action(id, ActionKind::Record, &["start", "mount"]),
        ],
        erases: vec![text.into()],
        keeps: vec![text.into()],
        force_stop: true,
    }
}

fn plan(vms: Vec<DocumentVm>, text: &str) -> PlanDocument {
    let problem = |severity: &str, vm| DocumentProblem {
        name: None,
        keys: Vec::new(),
        severity: severity.into(),
        code: "T001".into(),
        vm: Some(vm),
        message: text.into(),
        hint: Some(text.into()),
    };
    PlanDocument {
        format_version: DOCUMENT_VERSION,
        phoenix: "0".into(),
        digest: String::new(),
        hash: "0123456789abcdef".into(),
        target: DocumentTarget {
            origin: None,
            name: text.into(),
            label: text.into(),
            node: text.into(),
            identity: text.into(),
            allowed: vec![text.into()],
            simulated: true,
            recorded: false,
            observed_at: "2026-01-02T03:04:05Z".into(),
        },
        config: DocumentConfig { path: text.into(), ..DocumentConfig::default() },
        request: Request {
            selection: Selection { only: vec![Selector::parse(text)], exclude: vec![Selector::parse(text)] },
            restart: true,
            ..Request::default()
        },
        project: text.into(),
        summary: DocumentSummary {
            declared: vms.len(),
            update: vms.len(),
            restarts_now: 1,
            ..DocumentSummary::default()
        },
        vms,
        cluster: None,
        problems: vec![problem("error", 1000), problem("notice", 9999)],
    }
}

/// Three nodes: one that fills up, one that gets emptier, one that is off and of which nothing is known.
fn cluster(vms: [&[u32]; 3], text: &str) -> DocumentCluster {
    let storage = |now: u64, then: u64| DocumentStorage {
        name: text.into(),
        total_bytes: Some(100 << 30),
        used_bytes: Some(5 << 30),
        promised_bytes: now << 30,
        planned_bytes: then << 30,
    };
    let memory = |promised_mb, planned_mb| DocumentMemory {
        total_mb: Some(4096),
        limit_mb: Some(3072),
        used_mb: Some(512),
        promised_mb,
        planned_mb,
    };
    let node = |name: &str, state, vms: &[u32], memory, storages| DocumentNode {
        name: format!("{name}{text}"),
        state,
        vm_count: 2,
        running_count: 1,
        vms: vms.to_vec(),
        memory,
        storages,
    };
    DocumentCluster {
        nodes: vec![
            node("a", NodeState::Online, vms[0], memory(1024, 2048), vec![storage(10, 20)]),
            node("b", NodeState::Maintenance, vms[1], memory(2048, 0), vec![storage(20, 10)]),
            node("c", NodeState::Offline, vms[2], DocumentMemory::default(), Vec::new()),
        ],
        shared_storages: vec![storage(0, 1)],
    }
}

/// A VM that is well, one of which much is to be said, and one that is not there.
fn status(cluster: Option<DocumentCluster>, text: &str) -> StatusDocument {
    let vm = |vm, state, well| StatusVm {
        vm,
        name: text.into(),
        declared: true,
        state,
        node: Some(text.into()),
        mac: Some(text.into()),
        addresses: vec!["192.0.2.10".parse().unwrap()],
        agent: Some(AgentState::Answers),
        lock: None,
        ha: None,
        unfinished: false,
        outcome: Outcome::NoOp,
        blocked: false,
        differs: Vec::new(),
        drift: Vec::new(),
        waiting: Vec::new(),
        pending: Vec::new(),
        snapshots: Vec::new(),
        ready: Some(text.into()),
        features: [(text.into(), FeatureState::ToRun)].into(),
        well,
    };
    let drift = StatusDrift {
        key: text.into(),
        applied: Some(DocumentValue::of(text, text.into())),
        now: DocumentValue::of(text, text.into()),
        wished: None,
    };
    let PlanDocument { phoenix, target, problems, .. } = plan(Vec::new(), text);
    StatusDocument {
        format_version: STATUS_VERSION,
        phoenix,
        target,
        project: text.into(),
        vms: vec![
            vm(1000, VmState::Running, true),
            StatusVm { lock: Some(text.into()), drift: vec![drift], ..vm(1001, VmState::Stopped, false) },
            StatusVm { outcome: Outcome::Create, node: None, ..vm(1002, VmState::Absent, false) },
        ],
        cluster,
        problems,
    }
}

fn run(text: &str) -> Vec<Moment> {
    let action =
        ActionName { id: text.into(), vm: VmId::try_from(1000).unwrap(), name: text.into(), action: text.into() };
    let other = ActionName { id: format!("{text}2"), ..action.clone() };
    let failure = failure_saying(text);
    let summary = Summary { failed: vec![text.into()], skipped: vec![text.into()], ..Summary::default() };
    let events = [
        Event::RunStarted { target: text.into(), simulated: true, config: text.into(), vms: 1, actions: 2, acting: 2 },
        Event::ActionStarted { action: action.clone(), expected: Outcome::Create, timeout_seconds: 1 },
        Event::ActionNoticed { action: action.clone(), message: text.into() },
        Event::ActionFailed { action, failure, elapsed_ms: 2_000 },
        Event::ActionSkipped { action: other, because: text.into() },
        Event::RunEnded { summary, vms: Vec::new(), elapsed_ms: 4_000 },
    ];
    let at = |(second, event)| Moment { time: format!("2026-01-02T03:04:0{second}Z"), event };
    events.into_iter().enumerate().map(at).collect()
}

#[test]
fn a_plan_has_everything_the_disruptive_first_and_open() {
    let mut same = vm(1002, Disruption::None, "same");
    same.outcome = Outcome::NoOp;
    same.waiting.clear();
    let vms = vec![vm(1000, Disruption::Live, "web"), vm(1001, Disruption::Restart, "db"), same];
    let page = html::plan(&plan(vms, "said"));
    let document = parsed(&page);
    let blocks: Vec<_> = elements(&document, "details").into_iter().filter(|it| it.has_attribute("data-t")).collect();
    let facts: Vec<_> = blocks.iter().map(|it| (it.attribute("id").unwrap(), it.has_attribute("open"))).collect();
    assert_eq!(facts, [("vm1001", true), ("vm1000", false)]);
    assert_eq!(blocks[0].attribute("data-t"), Some("1001 db tags description memory"));
    assert_eq!(blocks[0].descendants().filter(|it| it.has_tag_name("rect")).count(), 4);
    // Three columns: what waits for the same thing stands below each other, a circle is no trap.
    let mut columns: Vec<_> =
        blocks[0].descendants().filter(|it| it.has_tag_name("rect")).map(|it| it.attribute("x").unwrap()).collect();
    columns.dedup();
    assert_eq!(columns.len(), 3);
    let text = said(&document);
    for expected in ["0123456789abcdef", "2026-01-02 03:04:05 UTC", "1 virtual machine unchanged", "+db", "-two"] {
        assert!(text.contains(expected), "`{expected}` is missing in {text}");
    }
    assert_eq!(elements(&document, "script").len(), 1);
    assert!(page.contains("default-src 'none'; style-src 'sha256-") && !page.contains("style="), "{page}");
}

#[test]
fn the_vms_of_a_cluster_stand_below_their_nodes() {
    let mut same = vm(1002, Disruption::None, "web");
    same.outcome = Outcome::NoOp;
    same.waiting.clear();
    let vms = vec![vm(1000, Disruption::Live, "web"), vm(1001, Disruption::Restart, "db"), same];
    let cluster = Some(cluster([&[1000, 1002], &[], &[]], "node"));
    let page = html::plan(&PlanDocument { cluster, ..plan(vms, "said") });
    let document = parsed(&page);
    let of_class = |class: &str| {
        let all = document.descendants().filter(|node| node.attribute("class") == Some(class));
        all.collect::<Vec<_>>()
    };
    let groups = of_class("on-node").into_iter().map(|section| {
        let heading = section.descendants().find(|node| node.has_tag_name("h2")).unwrap();
        let vms = section.descendants().filter(|node| node.has_attribute("data-t"));
        (heading.text().unwrap().trim(), vms.map(|vm| vm.attribute("id").unwrap()).collect::<Vec<_>>())
    });
    // Where no VM of the plan is, there is no heading.
    assert_eq!(groups.collect::<Vec<_>>(), [("anode", vec!["vm1000", "vm1002"]), ("on no node", vec!["vm1001"])]);
    let bar = |bar: &Node<'_, '_>| {
        let rects = bar.descendants().filter(|node| node.has_tag_name("rect"));
        let part = |rect: Node<'_, '_>| {
            let [class, x, width] = ["class", "x", "width"].map(|name| rect.attribute(name).unwrap());
            format!("{class} {x} {width}")
        };
        rects.map(part).collect::<Vec<_>>().join(", ")
    };
    let bars: Vec<String> = of_class("load").iter().map(bar).collect();
    let limit = "limit 750 4";
    let expected = [
        format!("track 0 1000, promised 0 250, more 250 250, used 0 125, {limit}"),
        "track 0 1000, promised 0 100, more 100 100, used 0 50".to_owned(),
        format!("track 0 1000, less 0 500, used 0 125, {limit}"),
        "track 0 1000, promised 0 100, less 100 100, used 0 50".to_owned(),
        String::new(),
        "track 0 1000, more 0 10, used 0 50".to_owned(),
        // All that are online.
        format!("track 0 1000, promised 0 250, less 250 125, used 0 125, {limit}"),
        "track 0 1000, promised 0 150, used 0 50".to_owned(),
    ];
    assert_eq!(bars, expected);
    let text = said(&document);
    for expected in [
        "memory 1 → 2 of 4 GiB promised, at most 3; 0.5 used",
        "node 20 → 10 of 100 GiB promised; 5 used",
        "in maintenance: no VM is placed there",
        "not online: its VMs are shown as they were seen last",
        "4 VMs, 2 running",
        "memory 3 → 2 of 8 GiB promised, at most 6; 1 used",
    ] {
        assert!(text.contains(expected), "`{expected}` is missing in {text}");
    }
}

#[test]
fn a_run_has_a_bar_for_what_acted_and_tells_the_rest() {
    let page = html::run(&Story::of("r1", &run("web")));
    let document = parsed(&page);
    let bars = elements(&document, "rect");
    let place = |name| bars[0].attribute(name).unwrap();
    assert_eq!((bars.len(), place("x"), place("width")), (1, "20.00%", "40.00%"));
    let text = said(&document);
    for expected in ["1 failure", "hint: web", "it may have happened", "because of web", "1 failed, 1 skipped"] {
        assert!(text.contains(expected), "`{expected}` is missing in {text}");
    }
    let cut = html::run(&Story::of("r1", &run("web")[..2]));
    assert!(cut.contains("It did not finish"), "{cut}");
    parsed(&html::run(&Story::of("empty", &[])));
}

#[test]
fn the_page_of_a_status_has_each_vm_below_its_node() {
    let nodes = |page: &str| {
        let document = parsed(page);
        let sections = document.descendants().filter(|node| node.attribute("class") == Some("on-node"));
        let of = |section: Node<'_, '_>| {
            let heading = section.descendants().find(|node| node.has_tag_name("h2")).unwrap();
            let vms =
                section.descendants().filter_map(|node| Some((node.attribute("id")?, node.has_attribute("open"))));
            let vms = vms.map(|(vm, open)| format!("{vm}{}", if open { " open" } else { "" }));
            format!("{}: {}", heading.text().unwrap().trim(), vms.collect::<Vec<_>>().join(", "))
        };
        sections.map(of).collect::<Vec<_>>()
    };
    let page = html::status(&status(Some(cluster([&[1000], &[], &[1001]], "node")), "web"), "vms.json");
    assert_eq!(nodes(&page), ["anode: vm1000", "cnode: vm1001 open", "on no node: vm1002 open"]);
    let text = said(&parsed(&page));
    for expected in [
        "in maintenance: no VM is placed there",
        "not online: its VMs are shown as they were seen last",
        "1 of 4 GiB promised, at most 3; 0.5 used",
        "locked (web)",
        "web is web, was web at the last apply",
        "to run: web",
        "vms.json",
    ] {
        assert!(text.contains(expected), "`{expected}` is missing in {text}");
    }
    // Nothing is planned here.
    assert!(!text.contains("this plan adds") && !page.contains("class=\"more\"") && !page.contains("class=\"less\""));
    let page = html::status(&status(None, "web"), "vms.json");
    let document = parsed(&page);
    assert_eq!(document.descendants().filter(|it| it.has_attribute("data-t")).count(), 3);
    assert!(nodes(&page).is_empty() && !page.contains("style="), "{page}");
    let none = StatusDocument { vms: Vec::new(), ..status(None, "web") };
    assert!(said(&parsed(&html::status(&none, "x"))).contains("has no VMs here"));
}

#[test]
fn five_hundred_vms_are_less_than_three_mebibytes() {
    let vms = (0..500).map(|n| vm(1000 + n, Disruption::Restart, "a text as long as texts are")).collect();
    let page = html::plan(&plan(vms, "said"));
    assert!(page.len() < 3 << 20, "{}", page.len());
    parsed(&page);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_value_stays_text(text in prop_oneof![
        Just("</title></style><script>alert(1)</script><img src=x onerror=alert(1)>".to_owned()),
        Just("\" onload=\"x' ]]> <!-- --> &amp; &#60;".to_owned()),
        "[<>&\"'`/=! a-z\n\r\t\u{1b}\u{202e}\u{ffff}-]{1,40}",
        "[^\0]{1,40}",
    ]) {
        let of = |text: &str| plan(vec![vm(1000, Disruption::Restart, text)], text);
        let of_cluster = |text: &str| PlanDocument { cluster: Some(cluster([&[], &[1000], &[]], text)), ..of(text) };
        let of_status = |text: &str| status(Some(cluster([&[], &[1000], &[1001]], text)), text);
        for (page, plain) in [
            (html::plan(&of(&text)), html::plan(&of("x"))),
            (html::plan(&of_cluster(&text)), html::plan(&of_cluster("x"))),
            (html::run(&Story::of(&text, &run(&text))), html::run(&Story::of("x", &run("x")))),
            (html::status(&of_status(&text), &text), html::status(&of_status("x"), "x")),
        ] {
            let (document, plain) = (parsed(&page), parsed(&plain));
            let shown = safe(&text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
            prop_assert!(said(&document).contains(&shown), "{page}");
            let attributes = |document: &Document<'_>| {
                let names = document.descendants().flat_map(|node| node.attributes().map(|it| it.name().to_owned()).collect::<Vec<_>>());
                names.collect::<std::collections::BTreeSet<_>>()
            };
            prop_assert_eq!(attributes(&document), attributes(&plain));
            for name in ["script", "style", "img", "details", "a", "svg"] {
                prop_assert_eq!(elements(&document, name).len(), elements(&plain, name).len(), "{}", name);
            }
        }
    }
}
