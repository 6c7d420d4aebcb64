//! What people agree to: the plan hash, and whether a document is what it says it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::{DOCUMENT_VERSION, DocumentProblem, DocumentSummary, DocumentVm, PlanDocument};
use crate::model::{Outcome, RestartDue, is_content_digest, json_digest};
use crate::plan::{Goal, Request};

/// What a plan hash is made of. A fingerprint stands for the whole plan of its VM.
///
/// Not in it, because it decides nothing: when and over which way the target was looked at, and its words for people;
/// the path of the config, and its text beyond what it says; problems and counts, which follow from the rest or are
/// told anew. How many actions run at once changes neither an action nor what it waits for.
#[derive(Serialize)]
struct Agreed<'a> {
    plan: u32,
    node: &'a str,
    identity: &'a str,
    allowed: &'a [String],
    simulated: bool,
    meaning: &'a str,
    project: &'a str,
    request: &'a Request,
    vms: AgreedVms<'a>,
}

/// The list of [`AgreedVm`], each made when its turn comes.
struct AgreedVms<'a>(&'a [DocumentVm]);

impl Serialize for AgreedVms<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AgreedVm::from))
    }
}

#[derive(Serialize)]
struct AgreedVm<'a> {
    vm: u32,
    fingerprint: &'a str,
    /// Each action, and what it waits for.
    order: Vec<(&'a str, &'a [Arc<str>])>,
}

impl<'a> From<&'a DocumentVm> for AgreedVm<'a> {
    fn from(vm: &'a DocumentVm) -> Self {
        let order = vm.actions.iter().map(|action| (&*action.id, action.after.as_slice())).collect();
        Self { vm: vm.vm, fingerprint: &vm.fingerprint, order }
    }
}

/// Why a document is none to rely on: a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

/// A SHA-256 of a value as JSON.
pub(super) fn named(value: &impl Serialize) -> String {
    // Plain strings, numbers and maps with text keys: serialising them cannot fail.
    json_digest(value).unwrap_or_default()
}

/// Why a text is none: the words of its parser, which quote it, as one line.
fn unread(error: &serde_json::Error) -> Broken {
    // Whatever is not seen is escaped; quotes are not.
    let shown = |c: char| if "\"'\\".contains(c) { c.to_string() } else { c.escape_debug().to_string() };
    Broken(format!("it is not a saved plan: {}", error.to_string().chars().map(shown).collect::<String>()))
}

impl PlanDocument {
    /// The hash of the plan that the document shows.
    #[must_use]
    pub(super) fn agreed(&self) -> String {
        named(&Agreed {
            plan: DOCUMENT_VERSION,
            node: &self.target.node,
            identity: &self.target.identity,
            allowed: &self.target.allowed,
            simulated: self.target.simulated,
            meaning: &self.config.meaning,
            project: &self.project,
            request: &self.request,
            vms: AgreedVms(&self.vms),
        })
    }

    /// The document as it is saved: with the digest of its content.
    #[must_use]
    pub fn sealed(&self) -> Self {
        // A document is plain strings, numbers and maps: serialising it cannot fail.
        let value = serde_json::to_value(self).unwrap_or_default();
        Self { digest: digest(value), ..self.clone() }
    }

    /// Reads a document that was saved.
    ///
    /// # Errors
    /// It is no document of this version, was changed since it was saved, or does not agree with itself.
    pub fn read(text: &str) -> Result<Self, Broken> {
        let broken = |what: String| Broken(what);
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| unread(&error))?;
        match value.get("format_version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(DOCUMENT_VERSION) => {}
            Some(version) => {
                let what = format!(
                    "it was saved by another version of phoenix: it has format {version}, this phoenix reads {DOCUMENT_VERSION}"
                );
                return Err(broken(what));
            }
            None => return Err(broken("it is not a saved plan: it has no `format_version`".to_owned())),
        }
        let document: Self = serde_json::from_str(text).map_err(|error| unread(&error))?;
        document.shape()?;
        if digest(value) != document.digest {
            return Err(broken(
                "it was changed or damaged since it was saved: its content does not match its digest".to_owned(),
            ));
        }
        if document.agreed() != document.hash {
            return Err(broken("it contradicts itself: its plan does not match its hash".to_owned()));
        }
        let mut vms = BTreeSet::new();
        if let Some(twice) = document.vms.iter().find(|vm| !vms.insert(vm.vm)) {
            return Err(broken(format!("it contradicts itself: it has two plans for VM {}", twice.vm)));
        }
        let summary = DocumentSummary { declared: document.summary.declared, ..DocumentSummary::of(&document.vms) };
        if summary != document.summary {
            return Err(broken("it contradicts itself: its counts do not match its virtual machines".to_owned()));
        }
        Ok(document)
    }

    /// Whether everything that is no text for people has the shape that phoenix gives it.
    fn shape(&self) -> Result<(), Broken> {
        let wrong = |what: &str, text: &str| {
            Err(Broken(format!("it is not a saved plan: `{}` is not a {what}", text.escape_default())))
        };
        let fingerprints = self.vms.iter().map(|vm| &vm.fingerprint);
        for digest in
            [&self.digest, &self.hash, &self.config.digest, &self.config.meaning].into_iter().chain(fingerprints)
        {
            if !is_content_digest(digest) {
                return wrong("SHA-256", digest);
            }
        }
        if !matches!(self.request.goal, Goal::Config { .. }) {
            return Err(Broken("it is not a saved plan: only what `phoenix plan` planned is saved".to_owned()));
        }
        for DocumentProblem { severity, code, .. } in &self.problems {
            if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
                return wrong("code of a problem", code);
            }
            if !["error", "warning", "notice"].contains(&severity.as_str()) {
                return wrong("severity", severity);
            }
        }
        for change in self.vms.iter().flat_map(|vm| &vm.changes) {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
            if change.key.is_empty() || !change.key.bytes().all(plain) {
                return wrong("key of a config", &change.key);
            }
        }
        Ok(())
    }
}

/// SHA-256 of a document but for its `digest`, the members of objects in alphabetical order.
fn digest(mut document: serde_json::Value) -> String {
    if let Some(members) = document.as_object_mut() {
        members.remove("digest");
    }
    document.sort_all_objects();
    named(&document)
}

impl DocumentSummary {
    /// The counts of VMs; `declared` is not known from them.
    pub(super) fn of(vms: &[DocumentVm]) -> Self {
        let open = || vms.iter().filter(|vm| !vm.blocked);
        let count = |outcome: Outcome| open().filter(|vm| vm.outcome == outcome).count();
        Self {
            declared: 0,
            create: count(Outcome::Create),
            update: count(Outcome::Update),
            recreate: count(Outcome::Recreate),
            destroy: count(Outcome::Destroy),
            no_op: count(Outcome::NoOp),
            blocked: vms.iter().filter(|vm| vm.blocked).count(),
            restarts_now: open().filter(|vm| vm.restart == RestartDue::Now).count(),
            waits_for_restart: open().filter(|vm| vm.restart == RestartDue::Later).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DocumentSummary, PlanDocument};

    #[test]
    fn a_vm_is_planned_once() {
        let digest = "0".repeat(64);
        let vm = |vm: u32, name: &str| {
            json!({ "vm": vm, "name": name, "outcome": "create", "disruption": "none", "restart": "no", "blocked": false,
                "fingerprint": digest, "changes": [], "waiting": [], "actions": [] })
        };
        // As an attacker makes it who knows how it is sealed.
        let read = |vms: &[Value]| {
            let mut document: PlanDocument = serde_json::from_value(json!({
                "format_version": 4, "phoenix": "", "hash": "", "request": {}, "project": "", "vms": vms,
                "target": { "name": "", "label": "", "node": "", "identity": "", "simulated": true, "observed_at": "" },
                "config": { "path": "", "digest": digest, "meaning": digest }, "problems": [],
                "summary": { "declared": 0, "create": 0, "update": 0, "no_op": 0, "blocked": 0, "restarts_now": 0,
                    "waits_for_restart": 0 },
            }))
            .unwrap();
            document.summary = DocumentSummary::of(&document.vms);
            document.hash = document.agreed();
            let text = serde_json::to_string(&document.sealed()).unwrap();
            PlanDocument::read(&text).map(|_| ()).map_err(|broken| broken.to_string())
        };
        assert_eq!(read(&[vm(1000, "web"), vm(1001, "web")]), Ok(()));
        let told = "it contradicts itself: it has two plans for VM 1000";
        assert_eq!(read(&[vm(1000, "other"), vm(1001, "db"), vm(1000, "web")]), Err(told.to_owned()));
    }

    #[test]
    fn what_is_no_plan_is_quoted_as_one_line() {
        for (text, quoted) in [
            (r#"{ "format_version": 4, "\n::error::\u001b\u202e": 1, "phoenix": 0 }"#, "invalid type"),
            (
                r#"{ "format_version": 4, "phoenix": "", "digest": "", "hash": "", "target": "\r\n::error::\u001b[2J" }"#,
                r#"invalid type: string "\r\n::error::\u{1b}[2J""#,
            ),
            ("{ \"format_version\": 2, \"phoenix\": \"\u{1b}\" }", "control character"),
        ] {
            let told = PlanDocument::read(text).unwrap_err().to_string();
            assert!(told.contains(quoted) && !told.contains(char::is_control), "{told}");
        }
    }
}
