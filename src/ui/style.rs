//! Colours. Decided once, by `cli`; every line makes sense without them.

use std::borrow::Cow;

use anstyle::{AnsiColor, Color, Effects};

use crate::model::Outcome;

/// What a piece of text is, for the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Something new.
    Create,
    /// Something that changes.
    Update,
    /// Something that needs attention: disruptions, problems.
    Attention,
    /// A failure.
    Failure,
    /// A heading.
    Strong,
    /// Detail.
    Faint,
    /// Everything else.
    Plain,
}

/// How a row begins: with a sign, which carries the meaning where there is no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The sign.
    pub(super) sign: &'static str,
    /// What the row is, for the eye.
    pub(super) role: Role,
}

impl Mark {
    /// Of what needs attention.
    pub(super) const ATTENTION: Self = Self { sign: "!", role: Role::Attention };
}

impl From<Outcome> for Mark {
    fn from(outcome: Outcome) -> Self {
        Self { sign: glyph(outcome), role: outcome.into() }
    }
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are wanted.
    pub color: bool,
}

impl Style {
    /// Text in the colour of its role.
    #[must_use]
    pub fn paint<'t>(&self, role: Role, text: &'t str) -> Cow<'t, str> {
        if !self.color || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let color = |color: AnsiColor| anstyle::Style::new().fg_color(Some(Color::Ansi(color)));
        let style = match role {
            Role::Create => color(AnsiColor::Green),
            Role::Update => color(AnsiColor::Yellow),
            Role::Attention => color(AnsiColor::Magenta).effects(Effects::BOLD),
            Role::Failure => color(AnsiColor::Red).effects(Effects::BOLD),
            Role::Strong => anstyle::Style::new().effects(Effects::BOLD),
            Role::Faint => anstyle::Style::new().effects(Effects::DIMMED),
            Role::Plain => return Cow::Borrowed(text),
        };
        Cow::Owned(format!("{style}{text}{style:#}"))
    }
}

impl From<Outcome> for Role {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Create => Self::Create,
            Outcome::Update => Self::Update,
            Outcome::NoOp => Self::Faint,
            Outcome::Recreate | Outcome::Destroy => Self::Failure,
        }
    }
}

/// The sign of an outcome, which carries the meaning where there is no colour.
#[must_use]
pub fn glyph(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Create => "+",
        Outcome::Update => "~",
        Outcome::NoOp => "=",
        Outcome::Recreate => "±",
        Outcome::Destroy => "-",
    }
}
