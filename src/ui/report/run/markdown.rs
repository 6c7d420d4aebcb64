//! A run as Git servers show it: the verdict first, then what failed, details folded.

use super::first;
use crate::event::{Failure, KeyPlace, Summary};
use crate::ui::layout::{count, duration};
use crate::ui::markdown::{MOST_CHARACTERS, code, html, plain};
use crate::ui::story::{Act, End, Row, Story, Verdict, moment};
use crate::ui::text::safe_lines;
use crate::ui::verdict::{of_actions, of_run};

/// Most entries of one list.
const MOST_ENTRIES: usize = 20;

/// Most characters of what one failure said.
const MOST_SAID: usize = 1_500;

/// Renders a run in at most [`MOST_CHARACTERS`] characters; says what was left out.
#[must_use]
pub fn render(story: &Story) -> String {
    let mut out = head(story);
    let mut rows: Vec<&Row> = story.rows.iter().filter(|row| row.acts.iter().any(acted)).collect();
    rows.sort_by_key(|row| (!row.acts.iter().any(fails), row.vm));
    let mut left_out = 0;
    let mut used = out.chars().count();
    for row in rows {
        let text = block(row);
        let length = text.chars().count();
        if left_out > 0 || used + length + 100 > MOST_CHARACTERS {
            left_out += 1;
        } else {
            used += length;
            out.push_str(&text);
        }
    }
    if left_out > 0 {
        out.push_str(&format!(
            "\n**{left_out} more VMs are left out here**; `phoenix show` of the run has them all.\n"
        ));
    }
    out
}

/// Whether there is anything to say of it; what was skipped is listed once for all VMs.
fn acted(act: &Act) -> bool {
    !matches!(act.end, End::Ended(crate::model::Outcome::NoOp) | End::Skipped(_)) || !act.notices.is_empty()
}

fn fails(act: &Act) -> bool {
    matches!(act.end, End::Failed(_) | End::Open)
}

fn head(story: &Story) -> String {
    let verdict = story.verdict();
    let totals = story.totals();
    let said = totals.results.as_ref().map_or_else(|| of_actions(&totals), of_run);
    let Summary { skipped, not_started, left_running, .. } = &totals;
    let mut out = if let Some(refused) = &story.refused {
        let hint = refused.hint.as_ref().map(|hint| format!(" ({})", plain(hint))).unwrap_or_default();
        format!("**Apply: {}.**\n\n{}{hint}\n\n", verdict.words().to_lowercase(), plain(&refused.why))
    } else {
        let took = duration(story.length);
        format!("**Apply: {} after {took}: {said}.**\n\n", verdict.words().to_lowercase())
    };
    out.push_str(&format!("Config {}, began {}", code(&story.config), moment_of(story)));
    if verdict != Verdict::Refused {
        let (target, run) = (code(&story.target), code(&story.name));
        out.push_str(&format!(", target {target}, run {run}, actions: {}", of_actions(&totals)));
    }
    out.push_str(if story.simulated { " (embedded node: no real VM changed)\n" } else { "\n" });
    let failures = story.failures().into_iter().map(|(act, failure)| {
        let maybe = if failure.may_have_happened { " (it may have happened)" } else { "" };
        let hint = failure.hint.as_ref().map(|hint| format!(" ({})", plain(hint))).unwrap_or_default();
        let at = placed(failure);
        format!("{}{at}{maybe}: {}{hint}", code(&act.name.id), plain(first(&failure.error)))
    });
    list("Failed", failures, &mut out);
    let moved = story.spared.iter().map(|spared| format!("{}: {}", spared.vm, plain(&spared.what)));
    list("Changed since the plan, and left alone", moved, &mut out);
    for (title, ids) in
        [("Left running", left_running), ("Skipped because of that", skipped), ("Not started", not_started)]
    {
        list(title, ids.iter().map(|id| code(id)), &mut out);
    }
    out
}

/// Where the file says what failed, after a name.
fn placed(failure: &Failure) -> String {
    let keys = |keys: &[String]| keys.iter().map(|key| code(key)).collect::<Vec<_>>().join(", ");
    let place = |place: &KeyPlace| {
        let at = code(&format!("{}:{}", place.file, place.line));
        if place.keys.is_empty() { format!("at {at}") } else { format!("{} at {at}", keys(&place.keys)) }
    };
    let said = match failure.places.as_slice() {
        [] if failure.keys.is_empty() => return String::new(),
        [] => keys(&failure.keys),
        places => places.iter().map(place).collect::<Vec<_>>().join(", "),
    };
    format!(" ({said})")
}

fn moment_of(story: &Story) -> String {
    code(&moment(&story.began))
}

fn list(title: &str, entries: impl Iterator<Item = String>, out: &mut String) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    out.push_str(&format!("\n{title}:\n\n"));
    for entry in entries.by_ref().take(MOST_ENTRIES) {
        out.push_str(&format!("- {entry}\n"));
    }
    let more = entries.count();
    if more > 0 {
        out.push_str(&format!("- and {more} more\n"));
    }
}

fn block(row: &Row) -> String {
    let failed = row.acts.iter().any(fails);
    let open = if failed { " open" } else { "" };
    let acted: Vec<&Act> = row.acts.iter().filter(|act| acted(act)).collect();
    let mut out = format!(
        "\n<details{open}><summary>{}{} <b>{}</b>: {}</summary>\n\n| action | outcome | took | |\n|---|---|---|---|\n",
        if failed { "<code>✗</code> " } else { "" },
        row.vm,
        html(&row.name),
        count(acted.len(), "action"),
    );
    let mut said = String::new();
    for act in acted {
        let (word, more) = match &act.end {
            End::Ended(outcome) => (outcome.as_str(), String::new()),
            End::Failed(failure) => {
                if failure.error.lines().nth(1).is_some() {
                    said.push_str(&quoted(&failure.error));
                }
                ("**failed**", plain(first(&failure.error)))
            }
            End::Skipped(_) => continue,
            End::Open => ("**did not end**", String::new()),
        };
        let took = if matches!(act.end, End::Skipped(_)) { String::new() } else { duration(act.length) };
        let mut words: Vec<String> = vec![more];
        words.extend(act.notices.iter().map(|notice| plain(notice)));
        words.retain(|word| !word.is_empty());
        // Code spans keep their bars; a table takes them for columns all the same.
        let words = words.join("; ").replace("\\|", "|").replace('|', "\\|");
        out.push_str(&format!("| {} | {word} | {took} | {words} |\n", code(&act.name.action).replace('|', "\\|")));
    }
    out + &said + "\n</details>\n"
}

/// What a failure said over several lines, behind a fence that nothing in it can end.
fn quoted(text: &str) -> String {
    let text: String = safe_lines(text.trim_end()).chars().take(MOST_SAID).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(2);
    let fence = "`".repeat(longest + 1);
    format!("\n{fence}text\n{text}\n{fence}\n")
}
