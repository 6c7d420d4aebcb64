//! What becomes of a running VM when its config changes: restarts, refused values, volumes that go, addresses that
//! move.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phoenix::apply::{Inbox, Limits, RealClock, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Summary};
use phoenix::hypervisor::{FaultKind, HostFiles as _, HostOp, Hypervisor as _};
use phoenix::model::{Desired, Disruption, RestartDue, VmId, content_digest};
use phoenix::observed::{Export, VmObserved};
use phoenix::plan::{Plan, Request, plan};
use tempfile::TempDir;

/// A node on which one VM is looked after.
struct Scene {
    dir: TempDir,
}

/// How an apply went.
struct Applied {
    summary: Summary,
    /// Outcomes by action, e.g. `configure` → `update`.
    outcomes: BTreeMap<String, String>,
    /// Notices and failures, each with its hint.
    said: String,
}

fn desired(extra: &str) -> Desired {
    let vm = format!(r#"{{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 4, "memory_mb": 1024{extra} }}"#);
    let source = Source::new("test.json", format!(r#"{{ "virtual_machines": [{vm}] }}"#));
    let loaded = load(&source, &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

impl Scene {
    /// A node with the VM, made from `extra` keys.
    fn with(extra: &str) -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        let applied = scene.apply(extra, false);
        assert!(applied.summary.is_complete(), "{}", applied.said);
        scene
    }

    fn node(&self) -> Embedded {
        Embedded::open(self.dir.path()).unwrap()
    }

    fn plan(&self, extra: &str, restart: bool) -> Plan {
        plan(&desired(extra), &self.node().observe().unwrap(), &Request { restart, ..Request::default() })
    }

    fn apply(&self, extra: &str, restart: bool) -> Applied {
        self.carry_out(self.plan(extra, restart))
    }

    fn carry_out(&self, plan: Plan) -> Applied {
        let plan = Arc::new(plan);
        assert!(!plan.is_blocked(), "{:?}", plan.problems);
        let (mut outcomes, mut said) = (BTreeMap::new(), String::new());
        let run_ = Run {
            plan,
            hypervisor: Arc::new(self.node()),
            clock: Arc::new(RealClock::start()),
            limits: Limits::default(),
            config: "test.json".to_owned(),
            left_alone: 0,
        };
        let summary = run(&run_, &Inbox::default(), &mut |event| match event {
            Event::ActionEnded { action, outcome, .. } => _ = outcomes.insert(action.action, outcome.to_string()),
            Event::ActionNoticed { message, .. } => said += &format!("{message}\n"),
            Event::ActionFailed { failure, .. } => {
                said += &format!("{}\n{}\n", failure.error, failure.hint.unwrap_or_default());
            }
            _ => {}
        });
        Applied { summary, outcomes, said }
    }

    fn live(&self) -> VmObserved {
        self.node().vm(VmId::try_from(1000).unwrap()).unwrap().unwrap()
    }

    fn edit(&self, change: impl Fn(&str) -> String) {
        let path = self.dir.path().join("qemu-server/1000.conf");
        fs::write(&path, change(&fs::read_to_string(&path).unwrap())).unwrap();
    }

    fn fstab(&self) -> String {
        fs::read_to_string(self.dir.path().join("guests/1000/fstab")).unwrap_or_default()
    }
}

#[test]
fn a_restart_is_done_only_when_it_is_asked_for() {
    let scene = Scene::with("");
    let more = r#", "cpu_cores": 4"#;
    let applied = scene.apply(more, false);
    assert_eq!(applied.outcomes["configure"], "update");
    assert!(applied.said.contains("waits for a restart: cpu_cores; `--restart` does one"), "{}", applied.said);
    assert!(!applied.outcomes.contains_key("restart"));
    assert_eq!(scene.live().pending.keys().collect::<Vec<_>>(), ["cores"]);
    // What waits is no change, and is told.
    let plan = scene.plan(more, false);
    assert!(!plan.acts() && plan.restarts(RestartDue::Later) == 1);
    let plan = scene.plan(more, true);
    assert!(plan.acts() && plan.restarts(RestartDue::Later) == 0 && plan.restarts(RestartDue::Now) == 1);
    let applied = scene.apply(more, true);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert_eq!((applied.outcomes["restart"].as_str(), applied.outcomes["await-agent"].as_str()), ("update", "update"));
    let live = scene.live();
    assert!(live.running && live.pending.is_empty() && live.cpu_cores == 4);
    assert!(!scene.plan(more, true).acts(), "nothing is left to restart for");
    // Asked for together with the change, it is one apply.
    let applied = scene.apply(r#", "cpu_cores": 3"#, true);
    assert!(applied.summary.is_complete() && applied.said.is_empty(), "{}", applied.said);
    assert!(scene.live().pending.is_empty());
}

#[test]
fn a_linked_clone_is_made_where_its_template_is() {
    let linked = r#", "full_clone": false"#;
    let scene = Scene::with(linked);
    let disk = scene.live().boot_disk.unwrap();
    assert!(disk.is_linked(), "{disk:?}");
    let plan_ = scene.plan(linked, false);
    assert!(!plan_.acts() && plan_.problems.is_empty(), "{:?}", plan_.problems);
    let plan_ = scene.plan(r#", "full_clone": true"#, false);
    assert!(!plan_.acts());
    assert!(plan_.problems[0].message.contains("a linked clone; changing `full_clone`"), "{:?}", plan_.problems);
    assert!(scene.plan("", false).problems.is_empty(), "who says nothing wishes nothing");

    let elsewhere = Scene { dir: tempfile::tempdir().unwrap() };
    let plan_ = elsewhere.plan(r#", "full_clone": false, "boot_disk_storage": "local""#, false);
    assert!(plan_.is_blocked());
    assert!(plan_.problems[0].message.contains("lies on its template's storage"), "{:?}", plan_.problems);

    let full = Scene::with("");
    assert!(!full.live().boot_disk.unwrap().is_linked());
    assert!(full.plan(linked, false).problems[0].message.contains("a full clone; changing `full_clone`"));
}

#[test]
fn a_vm_that_is_not_to_run_is_shut_down_and_started_again_when_it_is() {
    let scene = Scene::with("");
    let off = r#", "started": false, "cpu_cores": 4, "features": ["base_setup"]"#;
    let plan_ = scene.plan(off, true);
    assert_eq!(plan_.vms[0].disruption, Disruption::Stop);
    assert_eq!(
        (plan_.restarts(RestartDue::Now), plan_.restarts(RestartDue::Later)),
        (0, 0),
        "what is stopped needs no restart"
    );
    assert!(
        plan_
            .problems
            .iter()
            .any(|p| p.message.contains("waits until the VM runs: mount /persistent-storage, feature base_setup"))
    );
    let applied = scene.apply(off, false);
    assert!(applied.summary.is_complete() && applied.said.is_empty(), "{}", applied.said);
    assert_eq!((applied.outcomes["stop"].as_str(), applied.outcomes["configure"].as_str()), ("update", "update"));
    assert!(applied.outcomes.iter().all(|(name, outcome)| !name.starts_with("feature") || outcome == "no-op"));
    let live = scene.live();
    assert!(!live.running && live.cpu_cores == 4 && live.pending.is_empty());
    assert!(!scene.plan(off, true).acts(), "left open is no change");
    // Somebody starts it: it is shut down again.
    scene.node().perform(&HostOp::Start { vm: live.id }, Duration::from_mins(1)).unwrap();
    assert_eq!(scene.apply(off, false).outcomes["stop"], "update");
    let applied = scene.apply(r#", "cpu_cores": 4, "features": ["base_setup"]"#, false);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert_eq!(applied.outcomes["feature base_setup"], "create");
    assert!(scene.live().running);
}

#[test]
fn what_changes_nothing_is_no_update() {
    let keys = |template: &str, features: &str| format!(r#"{template}, "features": [{features}]"#);
    let other = r#", "template_name": "another""#;
    let scene = Scene::with(&keys("", r#""install_docker", "base_setup""#));
    let turned = scene.plan(&keys("", r#""base_setup", "install_docker""#), false);
    assert!(!turned.acts(), "features in another order");
    let plan = scene.plan(&keys(other, r#""base_setup", "install_docker""#), false);
    assert!(!plan.acts(), "an existing VM with another template");
    let says = "changing `template_name` does not affect an existing VM";
    assert!(plan.problems.iter().any(|problem| problem.message.ends_with(says)), "{:?}", plan.problems);

    // An earlier version noted the whole file.
    let dir = scene.dir.path().join("root/quickOS/vm-persistent-data/1000/.phoenix_scripts");
    let context = || fs::read_to_string(dir.join("vm_context.json")).unwrap();
    let whole = content_digest(context().as_bytes())[..32].to_owned();
    let noted = scene.live().record.valid().unwrap().staged["vm_context.json"].clone();
    assert_ne!(whole, noted);
    scene.edit(|conf| conf.replace(&noted, &whole));
    assert!(
        !scene.plan(&keys("", r#""install_docker", "base_setup""#), false).acts(),
        "a record of an earlier version"
    );

    // When the file is staged again, scripts still read what the VM was made from.
    let cloned_from = context().lines().find(|line| line.contains("template_name")).unwrap().to_owned();
    let applied = scene.apply(&keys(r#", "description": "new", "template_name": "another""#, r#""base_setup""#), false);
    assert!(applied.summary.is_complete() && applied.outcomes["stage-scripts"] == "update", "{}", applied.said);
    assert!(context().contains(&cloned_from) && context().contains(r#""description": "new""#), "{}", context());
}

#[test]
fn a_vm_that_is_not_to_run_is_made_and_completed_later() {
    let scene = Scene::with(r#", "started": false, "features": ["base_setup"]"#);
    let live = scene.live();
    assert!(!live.running && live.boot_disk.is_some());
    assert!(!scene.plan(r#", "started": false, "features": ["base_setup"]"#, false).acts());
    let applied = scene.apply(r#", "features": ["base_setup"]"#, false);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert_eq!(applied.outcomes["feature base_setup"], "create");
    assert!(!scene.plan(r#", "features": ["base_setup"]"#, false).acts());
}

#[test]
fn a_volume_that_goes_while_the_vm_is_off_is_unmounted_when_it_runs() {
    let volume = r#", "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/a", "mount_point": "/mnt/a" }]"#;
    let scene = Scene::with(volume);
    let applied = scene.apply(r#", "started": false"#, false);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert!(scene.fstab().contains("/mnt/a"), "nothing is done in a guest that does not run");
    assert!(scene.plan(r#", "started": false"#, false).problems.iter().any(|p| p.message.contains("unmount /mnt/a")));
    let applied = scene.apply("", false);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert!(!scene.fstab().contains("/mnt/a"), "{}", scene.fstab());
    assert!(!scene.plan("", false).acts());
}

#[test]
fn a_stop_whose_answer_is_lost_is_looked_after() {
    for how in ["lose", "fail"] {
        let scene = Scene::with("");
        let faults = format!(r#"[{{ "op": "shutdown", "vm": 1000, "how": "{how}" }}]"#);
        fs::write(scene.dir.path().join("faults.json"), faults).unwrap();
        let off = r#", "started": false"#;
        let applied = scene.apply(off, false);
        assert_eq!(applied.summary.is_complete(), how == "lose", "{how}: {}", applied.said);
        assert_eq!(scene.live().running, how == "fail");
        assert!(scene.apply(off, false).summary.is_complete());
        assert!(!scene.live().running && !scene.plan(off, false).acts());
    }
}

#[test]
fn a_guest_that_does_not_shut_down_is_not_stopped() {
    let scene = Scene::with("");
    scene.apply(r#", "cpu_cores": 4"#, false);
    let settings = fs::read_to_string(scene.dir.path().join("node.json")).unwrap();
    let slow = settings.replace(r#""agent_delay_ms": 0"#, r#""agent_delay_ms": 3600000"#);
    assert_ne!(settings, slow);
    fs::write(scene.dir.path().join("node.json"), slow).unwrap();
    let applied = scene.apply(r#", "cpu_cores": 4"#, true);
    assert_eq!(applied.summary.failed, ["1000/restart"]);
    assert!(applied.said.contains("powerdown failed"), "{}", applied.said);
    assert!(scene.live().running);
}

#[test]
fn a_value_that_a_running_vm_refuses_does_not_wait_for_its_next_start() {
    let scene = Scene::with("");
    // The bridge is there when it is planned, and gone when it is used.
    let settings = fs::read_to_string(scene.dir.path().join("node.json")).unwrap();
    let node_with = |bridge: &str| {
        let text = settings.replace(r#""bridges": {"#, &format!(r#""bridges": {{ {bridge}"#));
        fs::write(scene.dir.path().join("node.json"), text).unwrap();
    };
    node_with(r#""vmbr7": null,"#);
    let observed = scene.node().observe().unwrap();
    node_with("");
    let other = desired(r#", "network_bridge": "vmbr7", "cpu_cores": 4"#);
    let plan = Arc::new(plan(&other, &observed, &Request::default()));
    assert!(!plan.is_blocked(), "{:?}", plan.problems);
    let before = scene.live();
    let mut failed = None;
    let run_ = Run {
        plan,
        hypervisor: Arc::new(scene.node()),
        clock: Arc::new(RealClock::start()),
        limits: Limits::default(),
        config: "test.json".to_owned(),
        left_alone: 0,
    };
    let summary = run(&run_, &Inbox::default(), &mut |event| {
        if let Event::ActionFailed { failure, .. } = event {
            failed = Some(failure);
        }
    });
    assert_eq!(summary.failed, ["1000/configure"]);
    let failure = failed.unwrap();
    let said = &failure.error;
    assert!(said.contains("net0: hotplug problem") && said.contains("was taken back"), "{said}");
    // The card has two keys: it is about the one that the plan changes.
    assert_eq!(failure.keys, ["network_bridge"]);
    let fault = failure.fault.unwrap();
    assert_eq!((fault.kind, &*fault.options), (FaultKind::Hotplug, &["net0".to_owned()][..]));
    let now = scene.live();
    assert_eq!(now.net0, before.net0);
    // What rightly waits for a restart still does.
    assert_eq!(now.pending.keys().collect::<Vec<_>>(), ["cores"]);
}

/// A card that is unplugged to be changed and cannot be plugged again is gone until the VM restarts (recorded).
#[test]
fn a_card_that_cannot_be_plugged_again_is_due_for_a_restart() {
    let scene = Scene::with("");
    let file = scene.dir.path().join("node.json");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace(r#""bridges": {"#, r#""bridges": { "vmbr7": null,"#)).unwrap();
    let other = r#", "network_bridge": "vmbr7", "network_model": "e1000""#;
    let planned = scene.plan(other, false);
    fs::write(&file, &settings).unwrap();
    let applied = scene.carry_out(planned);
    assert_eq!(applied.summary.failed, ["1000/configure"]);
    for part in [
        "was taken back",
        "the guest may be without net0 until the VM restarts",
        "`phoenix apply --restart` restarts it",
    ] {
        assert!(applied.said.contains(part), "{part}: {}", applied.said);
    }
    let plan = scene.plan("", false);
    let acting: Vec<_> = plan.vms[0].actions.iter().filter(|action| action.outcome.acts()).map(|a| a.kind).collect();
    assert_eq!((acting, plan.restarts(RestartDue::Later)), (vec![], 1), "{:?}", plan.vms[0].waiting);
    let applied = scene.apply("", true);
    assert_eq!((applied.summary.failed.len(), applied.outcomes["restart"].as_str()), (0, "update"), "{}", applied.said);
    assert_eq!(scene.plan("", false).restarts(RestartDue::Later), 0);
}

const VOLUME: &str =
    r#", "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }]"#;

#[test]
fn a_volume_that_is_no_longer_declared_is_unmounted_and_its_data_stays() {
    let scene = Scene::with(VOLUME);
    assert!(scene.fstab().contains("/srv/data"));
    let data = scene.dir.path().join("root/mnt/pve/local-nfs/data");
    fs::write(data.join("file"), "precious").unwrap();
    let applied = scene.apply("", false);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert_eq!(applied.outcomes["unmount /srv/data"], "update");
    assert_eq!((scene.fstab().as_str(), scene.node().exports(VmId::try_from(1000).unwrap()).unwrap()), ("", vec![]));
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "precious");
    assert!(scene.live().record.valid().unwrap().volumes.is_empty());
    assert!(!scene.plan("", false).acts());
}

/// Exports of the node by path and client.
fn exports(dir: &Path) -> Vec<(String, String)> {
    let found = Embedded::open(dir).unwrap().exports(VmId::try_from(1000).unwrap()).unwrap();
    found.into_iter().map(|Export { path, client, .. }| (path, client)).collect()
}

#[test]
fn a_vm_is_exported_to_by_its_own_address_alone() {
    let scene = Scene::with(VOLUME);
    let entry = |client: &str| vec![("/srv/nfs/data".to_owned(), client.to_owned())];
    assert_eq!(exports(scene.dir.path()), entry("198.18.3.232"));
    // Another address after a restart: looked up again whenever the guest is needed.
    scene.edit(|conf| conf.replace("ipconfig0: ip=dhcp", "ipconfig0: ip=192.0.2.77/24"));
    let applied = scene.apply(&format!(r#"{VOLUME}, "cpu_cores": 4"#), true);
    assert!(applied.summary.is_complete(), "{}", applied.said);
    assert_eq!(applied.outcomes["export-share"], "update");
    assert_eq!(exports(scene.dir.path()), entry("192.0.2.77"));
    let applied = scene.apply(&format!(r#"{VOLUME}, "cpu_cores": 3"#), true);
    assert_eq!(applied.outcomes["export-share"], "no-op");
}

#[test]
fn what_an_administrator_exports_already_needs_no_export() {
    for (line, ours) in [
        ("/srv 198.18.0.0/15(rw,no_root_squash)", false),
        ("/srv *(rw,no_root_squash)", false),
        ("/srv 198.18.0.0/15(ro,no_root_squash)", true),
        ("/srv/other *(rw,no_root_squash)", true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        Embedded::open(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        fs::write(dir.path().join("root/etc/exports"), format!("{line}\n")).unwrap();
        let scene = Scene { dir };
        let applied = scene.apply(VOLUME, false);
        assert!(applied.summary.is_complete(), "{line}: {}", applied.said);
        let file = scene.dir.path().join("root/etc/exports.d/phoenix-1000.exports");
        assert_eq!(file.exists(), ours, "{line}");
        assert_eq!(fs::read_to_string(scene.dir.path().join("root/etc/exports")).unwrap(), format!("{line}\n"));
    }
}

#[test]
fn a_node_without_nfs_server_is_told_before_anything_is_done() {
    let scene = Scene::with("");
    let settings = fs::read_to_string(scene.dir.path().join("node.json")).unwrap();
    let without = settings.replace(r#""nfs_server": true"#, r#""nfs_server": false"#);
    assert_ne!(settings, without);
    fs::write(scene.dir.path().join("node.json"), without).unwrap();
    let plan = scene.plan(VOLUME, false);
    let problem = plan.problems.iter().find(|problem| problem.code == "T029").unwrap();
    assert!(problem.is_error() && problem.hint.as_deref().unwrap().contains("nfs-kernel-server"), "{problem:?}");
    assert!(!scene.plan("", false).is_blocked());
}
