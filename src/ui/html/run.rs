//! The page of a run.

use super::escape::{lines, prose, text};
use super::filters::{Choice, filters};
use super::page::{chip, fact, page};
use super::timeline::{bars, ended, scale, verdict};
use crate::event::{Failure, Results};
use crate::model::Outcome;
use crate::ui::failure::about;
use crate::ui::layout::{count, duration};
use crate::ui::story::{Act, End, Row, Story, Verdict, moment};
use crate::ui::verdict::of_actions;

/// Renders a run as one page.
#[must_use]
pub fn render(story: &Story) -> String {
    // What needs attention comes first.
    let mut rows: Vec<&Row> = story.rows.iter().collect();
    rows.sort_by_key(|row| (rank(row), row.vm));
    let mut body = head(story);
    body.push_str(&failures(story));
    body.push_str("<main>\n");
    if story.rows.len() > 1 {
        let number = |value: &str| story.rows.iter().filter(|row| outcome(row) == value).count();
        let outcomes: Vec<Choice> = [
            ("failed", "failed"),
            ("open", "did not end"),
            ("skipped", "skipped"),
            ("destroy", "destroy"),
            ("create", "create"),
            ("update", "update"),
            ("no-op", "unchanged"),
        ]
        .map(|(value, words)| (value, words, number(value)))
        .into();
        body.push_str(&filters(&[("o", "Outcome", &outcomes)], "name, VMID or action"));
    }
    if story.rows.iter().any(|row| row.acts.iter().any(Act::acted)) {
        body.push_str(&format!("<div class=\"axis\"><span></span>{}</div>\n", scale(story.length)));
    }
    for row in rows {
        body.push_str(&block(row, story.length));
    }
    body.push_str("</main>\n");
    let title = match story.verdict() {
        Verdict::Refused => format!("Apply of {}: nothing was started", story.config),
        _ => format!("Run {} on {}", story.name, story.target),
    };
    page(&title, &body)
}

/// What filters know a VM by: the worst that came of its actions.
fn outcome(row: &Row) -> &'static str {
    match rank(row) {
        0 => "failed",
        1 => "open",
        2 => "skipped",
        3 if ended(row, Outcome::Destroy) > 0 => "destroy",
        3 if ended(row, Outcome::Create) > 0 => "create",
        3 => "update",
        _ => "no-op",
    }
}

fn rank(row: &Row) -> u8 {
    let any = |is: fn(&End) -> bool| row.acts.iter().any(|act| is(&act.end));
    match () {
        () if any(|end| matches!(end, End::Failed(_))) => 0,
        () if any(|end| matches!(end, End::Open)) => 1,
        () if any(|end| matches!(end, End::Skipped(_))) => 2,
        () if row.acts.iter().any(Act::acted) => 3,
        () => 4,
    }
}

fn head(story: &Story) -> String {
    let verdict = story.verdict();
    let class = if verdict == Verdict::Done { "create" } else { "failed" };
    let mut out = format!("<header><h1>Run <small>{}</small></h1>\n<ul class=\"chips\">\n", text(&story.name));
    let length = duration(story.length);
    let after = if verdict == Verdict::Refused { String::new() } else { format!(" after {length}") };
    out.push_str(&format!("<li class=\"{class}\"><b>{}</b>{after}</li>\n", verdict.words()));
    let totals = story.totals();
    if let Some(results) = &totals.results {
        out.push_str(&chips(results));
    }
    out.push_str("</ul>\n");
    if story.simulated {
        out.push_str("<p class=\"simulated\">Embedded node: no real VM changed.</p>\n");
    }
    out.push_str("<dl>\n");
    out.push_str(&fact("Target", &text(&story.target)));
    out.push_str(&fact("Config", &format!("<code>{}</code>", text(&story.config))));
    let began = format!("<time datetime=\"{}\">{}</time>", text(&story.began), text(&moment(&story.began)));
    out.push_str(&fact("Began", &began));
    out.push_str(&fact("Took", &format!("{length}, {}", count(story.rows.len(), "virtual machine"))));
    if !story.rows.is_empty() {
        out.push_str(&fact("Actions", &of_actions(&totals)));
    }
    if story.interruptions > 0 {
        out.push_str(&fact("Interrupted", if story.interruptions == 1 { "once" } else { "twice, and left at once" }));
    }
    out.push_str("</dl></header>\n");
    out
}

/// What became of the VMs.
fn chips(results: &Results) -> String {
    [
        ("failed", "✗", results.failed, "failed"),
        ("failed", "!", results.stale, "changed since the plan"),
        ("failed", "!", results.blocked, "left alone: node not online"),
        ("skipped", "-", results.skipped, "skipped"),
        ("skipped", "-", results.interrupted, "not finished"),
        ("destroy", "-", results.destroyed, "destroyed"),
        ("destroy", "±", results.recreated, "recreated"),
        ("create", "+", results.created, "created"),
        ("update", "~", results.updated, "updated"),
        ("update", "~", results.taken_over, "taken over"),
        ("update", "~", results.forgotten, "forgotten"),
        ("no-op", "=", results.unchanged, "unchanged"),
        ("waits", "!", results.waits_for_restart, "waiting for a restart"),
    ]
    .map(|(class, sign, number, words)| chip(class, sign, number, words))
    .concat()
}

fn failures(story: &Story) -> String {
    let failures = story.failures();
    let others = usize::from(story.refused.is_some()) + story.spared.len();
    if failures.len() + others == 0 {
        return String::new();
    }
    let heading = count(failures.len() + others, "failure");
    let mut out = format!("<section class=\"problems\"><h2>{heading}</h2>\n<ul>\n");
    if let Some(refused) = &story.refused {
        let hint = refused.hint.as_ref().map(|hint| format!("<p class=\"hint\">hint: {}</p>", prose(hint)));
        let why = lines(refused.why.trim_end());
        out.push_str(&format!("<li class=\"error\"><b>✗</b> <pre>{why}</pre>{}</li>\n", hint.unwrap_or_default()));
    }
    for spared in &story.spared {
        out.push_str(&format!(
            "<li class=\"error\"><b>!</b> <code>{}</code> changed since the plan, and was left alone: {}</li>\n",
            spared.vm,
            prose(&spared.what)
        ));
    }
    for (act, failure) in failures {
        let vm = act.name.vm;
        out.push_str(&format!(
            "<li class=\"error\"><b>✗</b> <a href=\"#vm{vm}\">{vm} {}</a> <code>{}</code>{}</li>\n",
            text(&act.name.name),
            text(&act.name.action),
            told(failure)
        ));
    }
    out.push_str("</ul></section>\n");
    out
}

fn told(failure: &Failure) -> String {
    let mut out = format!("<pre>{}</pre>", lines(failure.error.trim_end()));
    for line in about(failure) {
        out.push_str(&format!("<p class=\"hint\">{}</p>", prose(&line)));
    }
    if failure.may_have_happened {
        out.push_str("<p class=\"hint\">The answer was lost: it may have happened.</p>");
    }
    if let Some(hint) = &failure.hint {
        out.push_str(&format!("<p class=\"hint\">hint: {}</p>", prose(hint)));
    }
    out
}

fn block(row: &Row, whole: u64) -> String {
    let class = outcome(row);
    let number = |is: fn(&End) -> bool| row.acts.iter().filter(|act| is(&act.end)).count();
    let counts = [
        (number(|end| matches!(end, End::Failed(_))), "failed"),
        (number(|end| matches!(end, End::Open)), "did not end"),
        (number(|end| matches!(end, End::Skipped(_))), "skipped"),
        (ended(row, Outcome::Destroy), "destroy"),
        (ended(row, Outcome::Create), "create"),
        (ended(row, Outcome::Update), "update"),
        (ended(row, Outcome::NoOp), "no-op"),
    ];
    let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let mut words = vec![row.vm.to_string(), row.name.to_lowercase()];
    words.extend(row.acts.iter().map(|act| act.name.action.to_lowercase()));
    let open = if class == "failed" { " open=\"\"" } else { "" };
    let mut out = format!(
        "<details class=\"vm run {class}\" id=\"vm{0}\" data-o=\"{class}\" data-t=\"{1}\"{open}><summary><span \
         class=\"who\"><code>{0}</code> <b class=\"name\">{2}</b> <small>{3}</small></span> {4}</summary>\n",
        row.vm,
        text(&words.join(" ")),
        text(&row.name),
        counts.join(", "),
        bars(row, whole),
    );
    out.push_str(
        "<table class=\"acts\"><thead><tr><th>action</th><th>outcome</th><th>began after</th><th>took</th>\
         <th>said</th></tr></thead><tbody>\n",
    );
    for act in &row.acts {
        let (class, sign, word) = verdict(act);
        let (start, took) =
            if act.acted() { (duration(act.start), duration(act.length)) } else { (String::new(), String::new()) };
        let mut said = String::new();
        for notice in &act.notices {
            said.push_str(&format!("<p>{}</p>", prose(notice)));
        }
        match &act.end {
            End::Failed(failure) => said.push_str(&told(failure)),
            End::Skipped(because) => said.push_str(&format!("because of <code>{}</code>", text(because))),
            End::Ended(_) | End::Open => {}
        }
        out.push_str(&format!(
            "<tr class=\"{class}\"><th>{}</th><td><b>{sign}</b> {word}</td><td>{start}</td><td>{took}</td><td>{said}</td>\
             </tr>\n",
            text(&act.name.action)
        ));
    }
    out.push_str("</tbody></table></details>\n");
    out
}
