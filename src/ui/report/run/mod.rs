//! Reports of a run: folds over its [`Story`](crate::ui::story::Story).

mod github;
mod json;
mod junit;
mod markdown;

pub use github::render as github;
pub use json::{FORMAT_VERSION, RunDocument, render as json, schema};
pub use junit::render as junit;
pub use markdown::render as markdown;

use crate::event::Failure;
use crate::ui::failure::about;
use crate::ui::text::{safe, safe_lines};

/// What went wrong, and after it what is to be known about that: lines without anything that steers.
fn told(failure: &Failure) -> String {
    let mut out = safe_lines(failure.error.trim_end()).into_owned();
    for line in about(failure) {
        out.push_str(&format!("\n{line}"));
    }
    if failure.may_have_happened {
        out.push_str("\nthe answer was lost: it may have happened");
    }
    if let Some(hint) = &failure.hint {
        out.push_str(&format!("\nhint: {}", safe(hint)));
    }
    out
}

/// The first line of a text.
fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
