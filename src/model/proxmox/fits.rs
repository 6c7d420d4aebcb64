//! Whether a text is a value of an option, and why not.

use std::collections::BTreeMap;

use super::{Kind, Part};

/// Why a value is none for an option: a lower-case fragment that begins with `must` or names the part at fault.
pub(super) type Wrong = String;

/// Whether a switch is on, in Proxmox's words.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// Judges a text.
pub(super) fn check(kind: &Kind, text: &str) -> Result<(), Wrong> {
    let fits = match kind {
        Kind::Switch { .. } => switch(text).is_some(),
        Kind::Integer { min, max, .. } => text
            .parse::<i64>()
            .is_ok_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        Kind::Number { min, max, .. } => text.parse::<f64>().is_ok_and(|number| {
            number.is_finite() && min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
        }),
        Kind::Words { words, .. } => words.iter().any(|word| word == text),
        Kind::Text { pattern, max_length, .. } => {
            max_length.is_none_or(|most| text.chars().count() <= most)
                && pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
        }
        Kind::Parts { first, parts } => return check_parts(first, parts, text),
    };
    if fits { Ok(()) } else { Err(must(kind)) }
}

fn check_parts(first: &str, parts: &BTreeMap<String, Part>, text: &str) -> Result<(), Wrong> {
    let mut seen: Vec<&str> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None if first.is_empty() => return Err(format!("has the part `{part}` without a name")),
            None => (first, part),
        };
        let Some(known) = parts.get(name) else {
            let all: Vec<&str> = parts.keys().map(String::as_str).collect();
            return Err(format!("has the part `{name}`, which it does not know; its parts are {}", all.join(", ")));
        };
        if seen.contains(&name) {
            return Err(format!("has `{name}` twice"));
        }
        check(&known.kind, value).map_err(|wrong| format!("has `{name}={value}`, which {wrong}"))?;
        seen.push(name);
    }
    match parts.iter().find(|(name, part)| part.required && !seen.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("must have `{name}=…`")),
        None => Ok(()),
    }
}

impl super::Spec {
    /// What it takes, in words: `a whole number from 0 to 3`, `like 0-3,8`.
    #[must_use]
    pub fn takes(&self) -> String {
        let must = must(&self.kind);
        ["must be ", "must look "].into_iter().find_map(|lead| must.strip_prefix(lead)).unwrap_or(&must).to_owned()
    }
}

/// What a value must be, in words.
pub(super) fn must(kind: &Kind) -> String {
    match kind {
        Kind::Switch { .. } => "must be `true` or `false`".to_owned(),
        Kind::Integer { min, max, .. } => format!("must be a whole number{}", range(min.as_ref(), max.as_ref())),
        Kind::Number { min, max, .. } => format!("must be a number{}", range(min.as_ref(), max.as_ref())),
        Kind::Words { words, .. } => format!("must be one of: {}", words.join(", ")),
        Kind::Text { like: Some(like), .. } => format!("must look like {like}"),
        Kind::Text { max_length: Some(most), .. } => format!("must be a text of at most {most} characters"),
        Kind::Text { .. } => "must be a text".to_owned(),
        Kind::Parts { first, parts } => {
            let names = parts.keys().filter(|name| *name != first).map(|name| format!("{name}=…"));
            let bare = (!first.is_empty()).then(|| first.to_owned());
            format!("must be a property string of: {}", bare.into_iter().chain(names).collect::<Vec<_>>().join(","))
        }
    }
}

fn range<T: std::fmt::Display>(min: Option<&T>, max: Option<&T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of at least {min}"),
        (None, Some(max)) => format!(" of at most {max}"),
        (None, None) => String::new(),
    }
}
