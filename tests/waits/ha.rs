//! An HA manager that does nothing of what it was asked.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phoenix::backend::embedded::Embedded;
use phoenix::hypervisor::{Fault, HostOp, Hypervisor};
use phoenix::plan::{Goal, Power, Request, plan};

use crate::around::{Around, Target};
use crate::check::{carried_out, desired};

/// A node whose HA manager does not run: it takes what it is handed, and that is all.
struct Asleep(Embedded);

impl Around for Asleep {
    fn inner(&self) -> &dyn Hypervisor {
        &self.0
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        match op {
            HostOp::Start { .. } | HostOp::Shutdown { .. } | HostOp::Stop { .. } => Ok(()),
            _ => self.0.perform(op, deadline),
        }
    }
}

/// Asks for one VM's power, and says what failed.
fn asked(dir: &Path, power: Power) -> (String, String, Duration) {
    let open = || Embedded::open(dir).unwrap();
    let vm = 1000.try_into().unwrap();
    let request = Request { goal: Goal::Power { vms: vec![vm], power }, ..Request::default() };
    let plan = plan(&desired(""), &open().observe().unwrap(), &request);
    let told = carried_out(plan, Arc::new(Target(Arc::new(Asleep(open())))));
    let [(_, failure)] = told.failures.as_slice() else { panic!("{:?}", told.failures) };
    assert!(failure.may_have_happened && !failure.stale, "{failure:?}");
    (failure.error.clone(), failure.hint.clone().unwrap_or_default(), told.waited)
}

#[test]
fn an_ha_manager_that_does_nothing_is_waited_for_as_long_as_the_action_may_take() {
    let dir = tempfile::tempdir().unwrap();
    let node = || Embedded::open(dir.path()).unwrap();
    let all = plan(&desired(""), &node().observe().unwrap(), &Request::default());
    assert!(carried_out(all, Arc::new(node())).failures.is_empty());
    fs::create_dir(dir.path().join("ha")).unwrap();
    fs::write(dir.path().join("ha/resources.cfg"), "vm: 1000\n\tstate started\n").unwrap();
    fs::write(dir.path().join("ha/manager_status"), r#"{"service_status":{"vm:1000":{"state":"freeze"}}}"#).unwrap();

    let (error, hint, waited) = asked(dir.path(), Power::Stop);
    let expected = "the HA manager was asked to shut down VM 1000 and has not done so in time: the VM is to be \
                    `started`, it is `freeze` now";
    assert_eq!(error, expected);
    assert!(hint.contains("`ha-manager status`") && hint.contains("apply again"), "{hint}");
    assert!((300..305).contains(&waited.as_secs()), "{waited:?}");

    fs::remove_file(dir.path().join("run/1000")).unwrap();
    let (error, hint, waited) = asked(dir.path(), Power::Start);
    assert!(error.starts_with("the HA manager was asked to start VM 1000 and has not done so in time"), "{error}");
    assert!(hint.contains("`ha-manager status`"), "{hint}");
    assert!((120..125).contains(&waited.as_secs()), "{waited:?}");
}
