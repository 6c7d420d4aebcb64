//! Hints that name what there is.

use crate::diag::nearest;

/// A hint that names the nearest of the known words, or all of them.
pub(super) fn known_words(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("the target has no {what}"),
        None => format!("{what} there: {}", listed(known)),
    }
}

/// Up to ten words, quoted.
fn listed(words: &[&str]) -> String {
    let mut text = words.iter().take(10).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if words.len() > 10 {
        text.push_str(&format!(" and {} more", words.len() - 10));
    }
    text
}
