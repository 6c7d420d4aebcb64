//! What a new row in the table of options costs: nothing but itself. `observed::options::probe` is one that only tests
//! have.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use crate::apply::{Inbox, Limits, RealClock, Run, run};
use crate::backend::embedded::Embedded;
use crate::config::{FeatureFiles, Source, load};
use crate::event::Event;
use crate::hypervisor::{About, Hypervisor as _};
use crate::model::{Desired, Disruption, Record, VmId};
use crate::plan::document::{DocumentTarget, PlanDocument, Provenance};
use crate::plan::import::{Write, look};
use crate::plan::status::{Agents, status};
use crate::plan::{ChangedBy, Plan, Request, lint, plan};
use crate::ui;

struct Probe {
    dir: TempDir,
}

fn id() -> VmId {
    VmId::try_from(1000).unwrap()
}

/// A file whose VMs, by default, wish this; with the VM, or without it.
fn desired(default: &str, own: Option<&str>) -> Desired {
    let vm = |text: &str| format!(r#"{{ "vm_id": 1000, "vm_name": "web", "description": "{text}" }}"#);
    let vms = own.map(vm).unwrap_or_default();
    let text = format!(
        r#"{{ "hypervisor": {{ "project": "p" }}, "vm_defaults": {{ "description": "{default}" }}, "virtual_machines": [{vms}] }}"#
    );
    let loaded = load(&Source::new("test.json", text), &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

impl Probe {
    fn node(&self) -> Embedded {
        Embedded::open(self.dir.path()).unwrap()
    }

    fn plan(&self, wish: &str) -> Plan {
        let observed = self.node().observe().unwrap();
        let plan = plan(&desired("", Some(wish)), &observed, &Request::default());
        assert_eq!(lint::lint(&plan, &observed), Vec::<String>::new());
        plan
    }

    fn apply(&self, wish: &str) {
        let plan = Arc::new(self.plan(wish));
        assert!(!plan.is_blocked(), "{:?}", plan.problems);
        let (hypervisor, clock) = (Arc::new(self.node()), Arc::new(RealClock::start()));
        let run_ =
            Run { plan, hypervisor, clock, limits: Limits::default(), config: "test.json".to_owned(), left_alone: 0 };
        let summary = run(&run_, &Inbox::default(), &mut |event| {
            if let Event::ActionFailed { failure, .. } = event {
                panic!("{failure:?}");
            }
        });
        assert!(summary.is_complete());
    }

    fn conf(&self) -> String {
        fs::read_to_string(self.dir.path().join("qemu-server/1000.conf")).unwrap()
    }

    fn record(&self) -> Record {
        self.node().vm(id()).unwrap().unwrap().record.valid().unwrap().clone()
    }
}

#[test]
fn a_new_row_is_planned_shown_written_recorded_imported_and_drifts() {
    let probe = Probe { dir: tempfile::tempdir().unwrap() };
    let of_probe = |plan: &Plan| plan.vms[0].changes.iter().find(|change| change.key == "balloon").cloned();

    // A new VM.
    let change = of_probe(&probe.plan("balloon 512")).expect("it is planned");
    assert_eq!((change.old, change.new.as_str()), (None, "512"));
    probe.apply("balloon 512");
    assert!(probe.conf().contains("\nballoon: 512\n"), "{}", probe.conf());
    assert_eq!(probe.record().applied.get("balloon"), Some("512"));
    assert!(!probe.plan("balloon 512").acts());

    // One that is there.
    let changed = probe.plan("balloon 768");
    let change = of_probe(&changed).expect("it is planned");
    assert_eq!((change.old.as_deref(), change.new.as_str(), change.by), (Some("512"), "768", Some(ChangedBy::File)));
    assert_eq!((change.disruption, change.note.as_str()), (Disruption::Restart, "the probe says so"));
    let about = About { label: "test".to_owned(), simulated: true };
    let view = ui::plan::View {
        verbose: false,
        style: ui::style::Style { color: false },
        width: 80,
        about: &about,
        config: "c.json",
    };
    let shown = ui::plan::render(&PlanDocument::of(&changed, Provenance::default()), &view);
    assert!(shown.contains("balloon") && shown.contains("512 → 768"), "{shown}");

    // Changed outside phoenix.
    let path = probe.dir.path().join("qemu-server/1000.conf");
    fs::write(&path, probe.conf().replace("balloon: 512", "balloon: 256")).unwrap();
    let change = of_probe(&probe.plan("balloon 512")).expect("it drifted");
    assert_eq!(change.by, Some(ChangedBy::Outside));
    assert_eq!((change.old.as_deref(), change.applied.as_deref()), (Some("256"), Some("512")));
    let observed = probe.node().observe().unwrap();
    let lost = plan(&desired("", None), &observed, &Request::default());
    let report =
        serde_json::to_string(&status(&lost, &observed, &Agents::default(), DocumentTarget::default())).unwrap();
    assert!(report.contains(r#"{"key":"balloon","applied":"512","now":"256"}"#), "{report}");

    // A file that lost it.
    let (found, refused) = look(&BTreeSet::from([id()]), &desired("balloon 128", None), &observed);
    assert!(refused.is_empty(), "{refused:?}");
    let Write::Entry(keys) = &found[0].write else { panic!("{found:?}") };
    assert!(keys.contains(&("balloon", 256.into())), "{keys:?}");

    // Written as it was shown.
    probe.apply("balloon 768");
    assert!(probe.conf().contains("balloon: 768\n"), "{}", probe.conf());
    assert_eq!(probe.record().applied.get("balloon"), Some("768"));
}
