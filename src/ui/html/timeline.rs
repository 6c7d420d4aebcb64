//! A run's bars: where they begin and how long they are, in parts of the whole, so that they fit any width.

use super::escape::text;
use crate::model::Outcome;
use crate::ui::layout::duration;
use crate::ui::story::{Act, End, Row};
use crate::ui::style::glyph;

/// Pixels of a bar's height, and from one lane to the next.
const HEIGHT: usize = 14;
const LANE: usize = 17;

/// A bar is at least this wide, in percent: something that took a moment happened too.
const LEAST: f64 = 0.35;

/// The class, sign and word for what became of an action.
pub(super) fn verdict(act: &Act) -> (&'static str, &'static str, &'static str) {
    match &act.end {
        End::Ended(outcome) => (super::graph::class(*outcome), glyph(*outcome), outcome.as_str()),
        End::Failed(_) => ("failed", "✗", "failed"),
        End::Skipped(_) => ("skipped", "-", "skipped"),
        End::Open => ("open", "…", "did not end"),
    }
}

/// The row of a VM's bars. Actions at the same time stand in lanes of their own.
pub(super) fn bars(row: &Row, whole: u64) -> String {
    let acting: Vec<&Act> = row.acts.iter().filter(|act| act.acted()).collect();
    let mut lanes: Vec<f64> = Vec::new();
    let mut out = String::new();
    for act in acting {
        let (left, width) = (percent(act.start, whole), percent(act.length, whole).max(LEAST));
        let left = left.min(100.0 - width).max(0.0);
        // Bars that only touch because of their least width stay in one lane.
        let lane = lanes.iter().position(|end| *end <= left + LEAST).unwrap_or_else(|| {
            lanes.push(0.0);
            lanes.len() - 1
        });
        lanes[lane] = left + width;
        let (class, sign, word) = verdict(act);
        let y = lane * LANE + 1;
        out.push_str(&format!(
            "<g class=\"{class}\"><title>{}: {word}, {} after {}</title><rect x=\"{left:.2}%\" y=\"{y}\" \
             width=\"{width:.2}%\" height=\"{HEIGHT}\"/>",
            text(&act.name.action),
            duration(act.length),
            duration(act.start),
        ));
        if matches!(act.end, End::Failed(_) | End::Open) || width > 2.5 {
            out.push_str(&format!("<text x=\"{:.2}%\" dx=\"3\" y=\"{}\">{sign}</text>", left.min(98.0), y + 11));
        }
        out.push_str("</g>\n");
    }
    let height = lanes.len().max(1) * LANE;
    format!(
        "<svg class=\"bars\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{} actions over time\">{out}</svg>",
        row.acts.iter().filter(|act| act.acted()).count()
    )
}

/// The scale above the rows.
pub(super) fn scale(whole: u64) -> String {
    let step = step(whole);
    let mut out = String::from("<svg class=\"scale\" width=\"100%\" height=\"18\" aria-hidden=\"true\">");
    let mut at = 0;
    while at <= whole {
        let left = percent(at, whole);
        // Words of the last mark would stick out.
        if left < 93.0 {
            out.push_str(&format!("<text x=\"{left:.2}%\" dx=\"3\" y=\"12\">{}</text>", mark(at)));
        }
        out.push_str(&format!("<line x1=\"{left:.2}%\" x2=\"{left:.2}%\" y1=\"0\" y2=\"18\"/>"));
        at += step;
    }
    out.push_str("</svg>");
    out
}

/// A round distance of which three to six fit.
fn step(whole: u64) -> u64 {
    let round = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000];
    let minutes = [1, 2, 5, 10, 20, 30, 60, 120, 360, 720, 1_440, 10_080].map(|minutes| minutes * 60_000);
    let fits = |step: &u64| whole / step < 6;
    round.into_iter().chain(minutes).find(fits).unwrap_or(whole / 5 + 1)
}

fn mark(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min", ms / 60_000),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a page has thousands of pixels, not quadrillions")]
fn percent(part: u64, whole: u64) -> f64 {
    (part as f64 * 100.0 / whole.max(1) as f64).clamp(0.0, 100.0)
}

/// How many of a VM's actions ended with an outcome.
pub(super) fn ended(row: &Row, outcome: Outcome) -> usize {
    row.acts.iter().filter(|act| matches!(act.end, End::Ended(found) if found == outcome)).count()
}
