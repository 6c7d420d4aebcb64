//! How a config is laid out: two spaces for each level, lines of at most 120 columns.
//!
//! An object or a list that its author began on a line of its own stays broken, one entry a line; another stays on one
//! line as long as that is not too long. Comments and single empty lines stay where they are, and so do line ends of
//! Windows. What is behind a comment `fmt-ignore` stays as it is, up to the next entry. Values, their spelling and
//! their order never change: that is looked at each time, before anything is done with the new text.

use std::path::Path;

use dprint_plugin_json::configuration::{Configuration, ConfigurationBuilder, TrailingCommaKind};
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

use super::problem::listed;
use super::source::Source;
use super::{codes, comments, syntax};
use crate::diag::Diagnostic;

/// Longest line of what may stand on one.
const WIDTH: u32 = 120;

/// Deepest nesting that is laid out: where the indentation alone fills a line, the work explodes. A config needs ten
/// levels.
const MAX_DEPTH: usize = 50;

/// Most rounds until a layout stays as it is; two are the rule.
const MAX_ROUNDS: u32 = 10;

/// Lays a config out. It need not be valid beyond its syntax.
///
/// # Errors
/// What is wrong with its syntax, as [`load`](super::load) says it.
pub fn formatted(source: &Source) -> Result<String, Vec<Diagnostic>> {
    checked(&source.text, &source.json())
}

/// Does as [`formatted`] with a text that has no name, and may have comments and trailing commas.
///
/// # Errors
/// What is wrong with its syntax.
pub fn formatted_with_comments(text: &str) -> Result<String, Vec<Diagnostic>> {
    checked(text, &comments::without(text))
}

/// A new text for a config, laid out if the old one was.
#[must_use]
pub fn as_before(old: &Source, new: String) -> String {
    if formatted(old).is_ok_and(|text| text == old.text) {
        formatted(&Source::new(old.name.clone(), new.clone())).unwrap_or(new)
    } else {
        new
    }
}

fn checked(text: &str, json: &str) -> Result<String, Vec<Diagnostic>> {
    if let Some(problem) = syntax::too_big([text]) {
        return Err(vec![problem]);
    }
    let (told, numbers) = syntax::parse(json).told.into_parts();
    if !told.is_empty() {
        return Err(listed(told, &numbers));
    }
    if let Some(problem) = syntax::too_deep(json, MAX_DEPTH) {
        return Err(vec![problem]);
    }
    laid_out(text).ok_or_else(|| {
        let what = "the text cannot be laid out without a change of what it says (a bug in phoenix)";
        vec![codes::SYNTAX.diagnostic(what).hint("leave it as it is, and report it")]
    })
}

/// Lays out a text whose syntax is known to be good. `None`: it is nested too deep, or would not say the same.
pub(super) fn laid_out(text: &str) -> Option<String> {
    if syntax::too_deep(&comments::without(text), MAX_DEPTH).is_some() {
        return None;
    }
    let of_windows = text.contains("\r\n");
    let done = |text: &str| stable(text).map(|new| if of_windows { new.replace('\n', "\r\n") } else { new });
    let same = |new: &String| says_the_same(text, new);
    done(&settled(text)).filter(same).or_else(|| done(text).filter(same))
}

/// Lays a text out until it stays as it is, with line ends of Unix.
fn stable(text: &str) -> Option<String> {
    let mut new = text.to_owned();
    // With comments at strange places one round leaves something for the next.
    for _ in 0..MAX_ROUNDS {
        match dprint_plugin_json::format_text(Path::new("config.jsonc"), &new, &style()).ok()? {
            Some(next) => new = next,
            None => return Some(new),
        }
    }
    None
}

/// The text with its comments where the library neither loses nor tears them: those between a value and its comma
/// behind the comma, and those between a key and its value before the key.
fn settled(text: &str) -> String {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    // Where the last token stands, and where the key does whose value comes next, with the comments between.
    let (mut at, mut key) = (0, None);
    while let Ok(Some(token)) = scanner.scan() {
        if matches!(token, Token::CommentLine(_) | Token::CommentBlock(_)) {
            continue;
        }
        let gap = &text[from..scanner.token_start()];
        let own = &text[scanner.token_start()..scanner.token_end()];
        from = scanner.token_end();
        match token {
            Token::Comma => {
                out.push(',');
                out.push_str(gap);
                continue;
            }
            Token::Colon => {
                key = Some((at, all(gap)));
                out.push_str(": ");
                continue;
            }
            _ => match key.take() {
                Some((at, mut between)) => {
                    between.extend(all(gap));
                    if !between.is_empty() {
                        out.insert_str(at, &format!("\n{}\n", between.join("\n")));
                    }
                }
                None => out.push_str(gap),
            },
        }
        at = out.len();
        out.push_str(own);
    }
    out.push_str(&text[from..]);
    out
}

/// The comments in a text.
fn all(text: &str) -> Vec<&str> {
    let found = comments::found(text).into_iter().map(|found| &text[found]);
    found.filter(|found| found.starts_with('/')).collect()
}

fn style() -> Configuration {
    ConfigurationBuilder::new()
        .line_width(WIDTH)
        .indent_width(2)
        .use_tabs(false)
        .prefer_single_line(false)
        .space_surrounding_properties(true)
        .comment_line_force_space_after_slashes(false)
        .ignore_node_comment_text("fmt-ignore")
        .package_json_apply_conventions(false)
        .trailing_commas(TrailingCommaKind::Maintain)
        .build()
}

/// Whether two texts have the same keys and values in the same order and spelling, and the same words in comments.
fn says_the_same(a: &str, b: &str) -> bool {
    let (plain_a, plain_b) = (comments::without(a), comments::without(b));
    tokens(&plain_a).eq(tokens(&plain_b)) && words(a).eq(words(b))
}

/// The tokens of JSON without comments. Of what no scanner gets past, everything is the last one.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut scanner = Scanner::new(json, &ScannerOptions::default());
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        if let Ok(token) = scanner.scan() {
            token.and_then(|_| json.get(scanner.token_start()..scanner.token_end()))
        } else {
            is_over = true;
            json.get(scanner.token_start()..)
        }
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    all(text).into_iter().flat_map(str::split_whitespace)
}
