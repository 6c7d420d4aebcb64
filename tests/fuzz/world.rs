//! An embedded node on which phoenix worked, and every document that it made on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phoenix::apply::{Clock, Inbox, Limits, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::hypervisor::Hypervisor as _;
use phoenix::model::{Desired, VmId, content_digest};
use phoenix::observed::{Observed, Recording};
use phoenix::plan::document::{DocumentConfig, DocumentTarget, PlanDocument, Provenance, meaning};
use phoenix::plan::{Plan, Request, plan};
use phoenix::ui::run::json_line;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A clock on which waiting costs nothing.
#[derive(Default)]
struct NoWait(AtomicU64);

impl Clock for NoWait {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn pause(&self, how_long: Duration) {
        self.0.fetch_add(u64::try_from(how_long.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

pub(crate) struct World {
    dir: TempDir,
    /// The config that was applied, and the one that is planned now.
    pub(crate) configs: [Value; 2],
    pub(crate) desired: Desired,
    pub(crate) observed: Observed,
    /// The run that applied the first config, as lines.
    pub(crate) log: String,
}

/// Three VMs that use most keys, and one that the second config does not have.
fn config(second: bool) -> Value {
    let (memory, size, text) = if second { (4096, 60, "first\nthird\n\n: %41") } else { (2048, 50, "first\nsecond") };
    let network = json!({ "ip": "192.0.2.10/24", "gw": "192.0.2.1", "nameserver": "192.0.2.53" });
    let mut vms = vec![
        json!({ "vm_id": 1000, "vm_name": "web", "description": text, "tags": ["web", "a-b"], "memory_mb": memory,
            "features": ["base_setup", "install_docker"], "depends_on": ["db"], "network_config": network,
            "boot_disk_size_gb": size, "start_at_boot": true, "boot_order": 2, "timeouts": { "feature": 60 } }),
        json!({ "vm_id": 1001, "vm_name": "db", "features": ["base_setup"], "cpu_cores": if second { 3 } else { 2 },
            "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/db", "mount_point": "/srv/db" }] }),
        json!({ "vm_id": 1002, "vm_name": "cache", "started": false, "user_config": { "username": "us" } }),
    ];
    if second {
        vms.push(json!({ "vm_id": 1004, "vm_name": "new", "depends_on": ["web"], "cloud_init_errors": "warn" }));
    } else {
        vms.push(json!({ "vm_id": 1003, "vm_name": "old" }));
    }
    json!({ "hypervisor": { "project": "shop", "never_together": ["web"] }, "vm_defaults": { "boot_disk_size_gb": 8 },
        "virtual_machines": vms })
}

pub(crate) fn desired(config: &Value) -> Desired {
    let source = Source::new("config.json", config.to_string());
    let loaded = load(&source, &mut |_| FeatureFiles::Missing);
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let configs = [config(false), config(true)];
        let node = Arc::new(Embedded::open(dir.path()).unwrap());
        let plan = plan(&desired(&configs[0]), &node.observe().unwrap(), &Request::default());
        assert!(!plan.is_blocked(), "{:?}", plan.problems);
        let run_ = Run {
            plan: Arc::new(plan),
            hypervisor: Arc::clone(&node) as _,
            clock: Arc::new(NoWait::default()),
            limits: Limits { parallel: 3, copies_per_storage: 2 },
            config: "config.json".to_owned(),
            left_alone: 0,
        };
        let mut log = String::new();
        let summary = run(&run_, &Inbox::default(), &mut |event| {
            let seq = u64::try_from(log.lines().count()).unwrap() + 1;
            log.push_str(&(json_line(&event, seq, "2024-05-01T10:00:00Z") + "\n"));
        });
        assert!(summary.is_complete(), "{summary:?}");
        let mut observed = node.observe().unwrap();
        "directory /node".clone_into(&mut observed.identity);
        Self { dir, desired: desired(&configs[1]), configs, observed, log }
    }

    /// The configuration of a VM, as the node keeps it.
    pub(crate) fn conf(&self, vm: VmId) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("qemu-server/{vm}.conf"))).unwrap()
    }

    pub(crate) fn recording(&self) -> Recording {
        Recording {
            format_version: phoenix::observed::RECORDING_VERSION,
            target: "embedded:node".to_owned(),
            label: "embedded node at node".to_owned(),
            simulated: true,
            observed_at: "2024-05-01T10:00:00Z".to_owned(),
            observed: self.observed.clone(),
        }
    }

    /// The plan that is made now of what was asked for, as `apply PLAN` makes it.
    pub(crate) fn planned(&self, request: &Request) -> Plan {
        plan(&self.desired, &self.observed, &Request { agreed: true, ..request.clone() })
    }

    pub(crate) fn document(&self, request: &Request) -> PlanDocument {
        let (target, config, request) = (self.target(), self.config(), request.clone());
        PlanDocument::of(&self.planned(&request), Provenance { target, config, request })
    }

    pub(crate) fn target(&self) -> DocumentTarget {
        DocumentTarget {
            name: "embedded:node".to_owned(),
            label: "embedded node at node".to_owned(),
            node: self.observed.here.clone(),
            identity: self.observed.identity.clone(),
            simulated: true,
            observed_at: "2024-05-01T10:00:00Z".to_owned(),
            ..DocumentTarget::default()
        }
    }

    fn config(&self) -> DocumentConfig {
        let digest = content_digest(self.configs[1].to_string().as_bytes());
        DocumentConfig {
            path: "config.json".to_owned(),
            digest,
            meaning: meaning(&self.desired),
            ..DocumentConfig::default()
        }
    }
}
