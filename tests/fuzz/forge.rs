//! What somebody who knows phoenix makes fit again; and what a config's values must fit.

use phoenix::model::{Desired, content_digest};
use phoenix::plan::document::{DOCUMENT_VERSION, PlanDocument};
use serde::Serialize;
use serde_json::{Value, json};

/// A saved plan whose counts, hash and digest fit what it says.
pub(crate) fn resealed(mut value: Value) -> Value {
    if let Ok(document) = serde_json::from_value::<PlanDocument>(value.clone()) {
        value["hash"] = json!(hash(&document));
        let open = || document.vms.iter().filter(|vm| !vm.blocked);
        let count = |outcome: &str| open().filter(|vm| vm.outcome.as_str() == outcome).count();
        value["summary"] = json!({
            "declared": document.summary.declared, "create": count("create"), "update": count("update"),
            "destroy": count("destroy"), "no_op": count("no-op"),
            "blocked": document.vms.iter().filter(|vm| vm.blocked).count(),
            "restarts_now": open().filter(|vm| json!(vm.restart) == "now").count(),
            "waits_for_restart": open().filter(|vm| json!(vm.restart) == "later").count(),
        });
    }
    if let Some(members) = value.as_object_mut() {
        members.remove("digest");
        let digest = content_digest(value.to_string().as_bytes());
        value["digest"] = json!(digest);
    }
    value
}

/// The plan hash: the parts of a plan that count, in their order.
fn hash(document: &PlanDocument) -> String {
    let vms: Vec<String> = document
        .vms
        .iter()
        .map(|vm| {
            let order: Vec<_> = vm.actions.iter().map(|action| (&action.id, &action.after)).collect();
            format!(r#"{{"vm":{},"fingerprint":{},"order":{}}}"#, vm.vm, text(&vm.fingerprint), text(&order))
        })
        .collect();
    let parts = [
        ("plan", DOCUMENT_VERSION.to_string()),
        ("node", text(&document.target.node)),
        ("identity", text(&document.target.identity)),
        ("allowed", text(&document.target.allowed)),
        ("simulated", text(&document.target.simulated)),
        ("meaning", text(&document.config.meaning)),
        ("project", text(&document.project)),
        ("request", text(&document.request)),
        ("vms", format!("[{}]", vms.join(","))),
    ];
    let members: Vec<String> = parts.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
    content_digest(format!("{{{}}}", members.join(",")).as_bytes())
}

/// A value as JSON, its members in their own order.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Asserts that what a config came to, defaults included, lies within what the schema says of each key.
pub(crate) fn within(desired: &Desired, schema: &Value) {
    let properties = schema.pointer("/properties/virtual_machines/items/properties").unwrap().as_object().unwrap();
    let mut seen = 0;
    for vm in &desired.vms {
        let vm = serde_json::to_value(vm).unwrap();
        for (key, range) in properties {
            let value = &vm[key];
            if value.is_number() {
                seen += 1;
                let limit = |word: &str| range[word].as_f64().unwrap();
                let number = value.as_f64().unwrap();
                assert!(number >= limit("minimum") && number <= limit("maximum"), "{key}: {value}");
            } else if value.is_string() && range["pattern"].is_string() {
                assert!(jsonschema::draft7::is_valid(range, value), "{key}: {value}");
            }
        }
    }
    assert!(seen >= desired.vms.len() * 5);
}
