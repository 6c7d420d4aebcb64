//! Every face of what phoenix prints: whatever it is made from, it steers nothing, is well formed, and is no longer
//! than its input accounts for.

use phoenix::config::Source;
use phoenix::diag::Diagnostic;
use phoenix::hypervisor::About;
use phoenix::plan::document::PlanDocument;
use phoenix::ui::report::{Checked, Places};
use phoenix::ui::story::{Moment, Story};
use phoenix::ui::style::Style;
use phoenix::ui::text::is_unsafe;
use phoenix::ui::{html, markdown, plan, report, run};

/// A page has a style and a script of its own, SARIF the list of all kinds of problems.
const OWN: usize = 200_000;

/// A character of the input is escaped, padded, and told more than once.
const TIMES: usize = 60;

#[track_caller]
pub(crate) fn inert(face: &str, text: &str, input: usize) {
    let steers = text.chars().find(|c| is_unsafe(*c) && *c != '\n');
    assert_eq!(steers, None, "{face}: {text}");
    assert!(text.len() <= OWN + TIMES * input, "{face}: {} bytes of {input}", text.len());
    match face {
        "json" | "sarif" | "gitlab" => {
            serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{face}: {error}\n{text}"));
        }
        "jsonl" => text.lines().for_each(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{face}: {error}\n{line}"));
        }),
        "junit" => {
            roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{face}: {error}\n{text}"));
        }
        "github" => {
            let own = ["::error file=", "::warning file=", "::notice file=", "::error::", "::warning::", "::notice::"];
            let starts = |line: &&str| line.starts_with("::") || line.contains("##[");
            for line in text.lines().filter(starts) {
                assert!(own.iter().any(|own| line.starts_with(own)), "{line}\n{text}");
            }
        }
        _ => {}
    }
}

/// A plan as a terminal of this width shows it.
pub(crate) fn shown(document: &PlanDocument, width: usize) -> String {
    let about = About { label: document.target.label.clone(), simulated: document.target.simulated };
    let view = plan::View {
        verbose: false,
        style: Style { color: false },
        width,
        about: &about,
        config: &document.config.path,
    };
    plan::render(document, &view)
}

/// Looks at every face of a plan. Returns how long they are together.
pub(crate) fn of_plan(document: &PlanDocument, input: usize) -> usize {
    let places = Places::of(&document.config.path, None);
    let faces = [
        ("terminal", shown(document, 40)),
        ("terminal", shown(document, 120)),
        ("markdown", markdown::render(document)),
        ("html", html::plan(document)),
        ("github", report::plan::github(document, &places)),
        ("sarif", report::plan::sarif(document, &places)),
    ];
    all(&faces, input)
}

/// Looks at every face of a run. Returns how long they are together.
pub(crate) fn of_run(name: &str, moments: &[Moment], input: usize) -> usize {
    let story = Story::of(name, moments);
    let faces = [
        ("terminal", run::plain(&story, moments)),
        ("jsonl", run::json_lines(moments)),
        ("json", report::run::json(&story)),
        ("markdown", report::run::markdown(&story)),
        ("html", html::run(&story)),
        ("junit", report::run::junit(&story)),
        ("github", report::run::github(&story, &Places::of("c.json", None))),
    ];
    all(&faces, input)
}

/// Looks at every face of what is said of a config. Returns how long they are together.
pub(crate) fn of_config(
    source: Option<Source>,
    vms: Option<usize>,
    diagnostics: Vec<Diagnostic>,
    input: usize,
) -> usize {
    let checked = [Checked { name: "c.json".to_owned(), source, vms, diagnostics }];
    let faces = [
        ("human", report::human(&checked)),
        ("json", report::json::render(&checked)),
        ("gitlab", report::gitlab::render(&checked)),
        ("sarif", report::sarif::render(&checked)),
        ("junit", report::junit::render(&checked)),
        ("github", report::github::render(&checked)),
        ("markdown", report::github::summary(&checked)),
    ];
    all(&faces, input)
}

#[track_caller]
fn all(faces: &[(&str, String)], input: usize) -> usize {
    for (face, text) in faces {
        inert(face, text, input);
    }
    faces.iter().map(|(_, text)| text.len()).sum()
}
