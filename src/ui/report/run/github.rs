//! Annotations for what a run could not do, and for what it had to say.

use super::told;
use crate::diag::Severity;
use crate::ui::layout::duration;
use crate::ui::report::Places;
use crate::ui::report::annotations::{Annotations, inert};
use crate::ui::story::{End, Story, Verdict};
use crate::ui::text::{safe, safe_lines};

/// Annotations at the VMs' places in the config, and a line with the verdict.
#[must_use]
pub fn render(story: &Story, places: &Places) -> String {
    let mut annotations = Annotations::default();
    if let Some(refused) = &story.refused {
        let hint = refused.hint.as_ref().map(|hint| format!("\nhint: {}", safe(hint))).unwrap_or_default();
        let text = format!("{}{hint}", safe_lines(&refused.why));
        annotations.push(Severity::Error, &places.mark(None, []), "nothing was started", &text);
    }
    for spared in &story.spared {
        let text = format!("{}: {}; it was left alone", spared.vm, safe(&spared.what));
        annotations.push(Severity::Error, &places.mark(Some(spared.vm), []), "changed since the plan", &text);
    }
    for act in story.acts() {
        let vm = act.name.vm.get();
        let title = format!("{vm} {}: {}", act.name.name, act.name.action);
        let keys: &[String] = if let End::Failed(failure) = &act.end { &failure.keys } else { &[] };
        let mark = || places.mark(Some(vm), keys.iter().map(String::as_str));
        for notice in &act.notices {
            annotations.push(Severity::Notice, &mark(), &title, &safe(notice));
        }
        match &act.end {
            End::Failed(failure) => annotations.push(Severity::Error, &mark(), &title, &told(failure)),
            End::Open => annotations.push(Severity::Error, &mark(), &title, "it did not end; it may still run"),
            End::Ended(_) | End::Skipped(_) => {}
        }
    }
    let skipped = story.totals().skipped.len() + story.totals().not_started.len();
    let left = if skipped == 0 { String::new() } else { format!(", {skipped} actions not started") };
    let after = match story.verdict() {
        Verdict::Refused => String::new(),
        _ => format!(" after {}", duration(story.length)),
    };
    annotations.render() + &inert(&format!("apply: {}{after}{left}", story.verdict().words()))
}
