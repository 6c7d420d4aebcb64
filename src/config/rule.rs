//! A rule applied to a text of the config.

use super::codes::{self, Code};
use super::lexis::{self, Verdict};
use super::problem::{Problem, Problems, shown};
use super::spans::Place;

/// Applies a rule to a text; control characters are told as such whatever the rule.
///
/// `place` is asked only when there is something to tell.
pub(super) fn text(
    value: Option<&str>,
    (code, what): (Code, &str),
    rule: fn(&str) -> Verdict,
    place: impl Fn() -> Place,
    problems: &mut Problems,
) {
    hinted(value, ((code, what), rule), |_| None, place, problems);
}

/// A rule with its code, and what a text cannot be that breaks it.
type Rule<'a> = ((Code, &'a str), fn(&str) -> Verdict);

/// Applies a rule to a text as [`text`] does; `hint` says what to write instead of one that breaks it.
pub(super) fn hinted(
    value: Option<&str>,
    ((code, what), rule): Rule<'_>,
    hint: impl Fn(&str) -> Option<String>,
    place: impl Fn() -> Place,
    problems: &mut Problems,
) {
    let Some(value) = value else { return };
    if let Some(control) = lexis::control_in(value, false) {
        problems.push(control_character(control, place()));
    } else if let Err(reason) = rule(value) {
        let problem = Problem::new(code, format!("{} {what}: {reason}", shown(value)), place());
        problems.push(problem.hint_if(hint(value)));
    }
}

/// Says that a text contains a control character.
pub(super) fn control_character(control: char, at: Place) -> Problem {
    Problem::new(
        codes::CONTROL_CHARACTER,
        format!("the text contains the control character U+{:04X}", u32::from(control)),
        at,
    )
    .hint("remove it")
}
