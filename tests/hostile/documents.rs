//! Saved plans and logs of runs whose every text is hostile, in every face.

use std::fs;
use std::path::Path;

use phoenix::event::Event;
use phoenix::hypervisor::About;
use phoenix::plan::document::PlanDocument;
use phoenix::ui::report::Places;
use phoenix::ui::story::{Moment, Story};
use phoenix::ui::style::Style;
use phoenix::ui::text::is_unsafe;
use phoenix::ui::{html, markdown, plan, report, run};
use serde_json::Value;

/// Ends code, cells, lines, quotes and commands; makes markup, mentions and links; steers a terminal.
const HOSTILE: [&str; 4] = [
    "\u{1b}[H\u{1b}[2Jx\u{202e}\u{7}\u{9b}",
    "\n::add-mask::x\n##[group]x",
    "`x`` <img src=x onerror=y> | @all [a](https://example.org) \"'><script>",
    "]]></failure><img src=\"x\">&amp;%0A::error::",
];

/// Words of a fixed list: anything else in their place is refused when the text is read.
const WORDS: [&str; 10] =
    ["outcome", "disruption", "restart", "kind", "origin", "changed_by", "severity", "event", "expected", "addresses"];

/// Puts a text in the place of every other one.
fn fill(value: &mut Value, key: &str, text: &str) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(key, value)| fill(value, key, text)),
        Value::Array(items) => items.iter_mut().for_each(|value| fill(value, key, text)),
        Value::String(old) if !WORDS.contains(&key) => text.clone_into(old),
        _ => {}
    }
}

/// A line of Markdown without its code spans and escapes.
fn outside_code(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(['`', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            rest = escaped.get(1..).unwrap_or_default();
            continue;
        }
        let fence = rest.len() - rest.trim_start_matches('`').len();
        let (open, inner) = rest.split_at(fence);
        let closing = inner.match_indices(open).map(|(at, _)| at).find(|at| {
            let longer = |c: Option<char>| c == Some('`');
            !longer(inner[..*at].chars().next_back()) && !longer(inner[at + fence..].chars().next())
        });
        rest = closing.map_or(inner, |at| &inner[at + fence..]);
    }
    out + rest
}

#[track_caller]
fn check(face: &str, text: &str) {
    let steers = text.chars().find(|c| is_unsafe(*c) && *c != '\n');
    assert_eq!(steers, None, "{face}: {text}");
    match face {
        "markdown" => {
            for line in text.lines() {
                let line = outside_code(line);
                assert!(
                    !line.contains("<img") && !line.contains("<script") && !line.contains("](http"),
                    "{line}\n{text}"
                );
            }
        }
        "html" | "junit" => assert!(!text.contains("<img") && !text.contains("<script>x"), "{text}"),
        "github" => {
            let commands = text.lines().filter(|line| line.starts_with("::") || line.contains("##["));
            for line in commands {
                assert!(
                    ["::error file=", "::warning file=", "::notice file="].iter().any(|own| line.starts_with(own)),
                    "{line}"
                );
            }
        }
        _ => {}
    }
}

fn fixtures(file: &str) -> Vec<String> {
    let cases = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/faces")).unwrap();
    cases.map(|case| fs::read_to_string(case.unwrap().path().join(file)).unwrap()).collect()
}

#[test]
fn every_text_of_a_saved_plan_is_inert_in_every_face() {
    for saved in fixtures("plan.json") {
        // What people read beside the data stands behind it.
        let first = serde_json::Deserializer::from_str(&saved).into_iter::<Value>().next().unwrap().unwrap();
        for text in HOSTILE {
            let mut value = first.clone();
            fill(&mut value, "", text);
            let document: PlanDocument = serde_json::from_value(value).unwrap();
            let told = PlanDocument::read(&serde_json::to_string(&document.sealed()).unwrap()).unwrap_err().to_string();
            assert!(told.starts_with("it is not a saved plan: ") && !told.contains(is_unsafe), "{told}");
            let about = About { label: document.target.label.clone(), simulated: true };
            for width in [40, 80, 200] {
                let style = Style { color: false };
                let view = plan::View { style, width, about: &about, config: &document.config.path, verbose: false };
                check("terminal", &plan::render(&document, &view));
            }
            let places = Places::of("c.json", None);
            check("markdown", &markdown::render(&document));
            check("html", &without_script(&html::plan(&document)));
            check("github", &report::plan::github(&document, &places));
            check("sarif", &report::plan::sarif(&document, &places));
        }
    }
}

/// A page without its own style and script.
fn without_script(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    body.split_once("<footer>").unwrap().0.to_owned()
}

#[test]
fn every_text_of_a_run_is_inert_in_every_face() {
    for log in fixtures("run.jsonl") {
        for text in HOSTILE {
            let moment = |line: &str| {
                let mut value: Value = serde_json::from_str(line).unwrap();
                fill(&mut value, "", text);
                Moment { time: text.to_owned(), event: serde_json::from_value::<Event>(value).unwrap() }
            };
            let moments: Vec<Moment> = log.lines().map(moment).collect();
            let story = Story::of(text, &moments);
            check("terminal", &run::plain(&story, &moments));
            check("jsonl", &run::json_lines(&moments));
            check("json", &report::run::json(&story));
            check("markdown", &report::run::markdown(&story));
            check("html", &without_script(&html::run(&story)));
            check("junit", &report::run::junit(&story));
            check("github", &report::run::github(&story, &Places::of("c.json", None)));
        }
    }
}
