//! Text to syntax tree, for files with something wrong in them.
//!
//! The parser is told to accept what people commonly write instead of JSON. That gives a tree to go on with, so that
//! one comma too many does not hide every other problem; the departures are then found among the tokens.

use jsonc_parser::ast::{self, Value};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, ParseStringErrorKind, parse_to_ast};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::codes::{self, Code};
use super::limits::MAX_ITEMS;
use super::problem::Counted;
use super::spans::LineIndex;
use crate::diag::{Diagnostic, Span};

/// Deepest nesting that is read. A config needs five levels; the parsers are recursive.
pub const MAX_DEPTH: usize = 100;

/// What a text is, as far as it can be told.
pub(super) struct Parsed<'a> {
    /// The tree, unless the text is broken beyond it.
    pub(super) root: Option<Value<'a>>,
    /// What is wrong with the text.
    pub(super) told: Told,
}

/// Diagnostics, of which only the first of each kind are kept.
pub(super) type Told = Counted<Diagnostic>;

/// Parses a text leniently and says where it is not JSON.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    let broken = |code: Code, diagnostic: Diagnostic| {
        let mut told = Told::default();
        told.add(code, || diagnostic);
        Parsed { root: None, told }
    };
    if let Some(problem) = too_deep(text, MAX_DEPTH) {
        return broken(codes::TOO_DEEP, problem);
    }
    let strict = serde_json::from_str::<Anything>(text).err();
    let comments = CommentCollectionStrategy::AsTokens;
    let collect = CollectOptions { comments, tokens: strict.is_some() };
    match parse_to_ast(text, &collect, &ParseOptions::default()) {
        Err(error) => broken(codes::SYNTAX, first_of(text, &error, strict.as_ref())),
        Ok(parsed) => {
            let mut told = Told::default();
            departures(text, parsed.tokens.as_deref(), &mut told);
            if let Some(strict) = strict
                && told.is_empty()
                && !strict.to_string().starts_with("number out of range")
            {
                told.add(codes::SYNTAX, || from_serde(text, &strict));
            }
            if let Some(root) = &parsed.value {
                repeated_keys(root, &mut told);
            }
            Parsed { root: parsed.value, told }
        }
    }
}

/// Says that the texts of a config have more keys and values than one can have. Reads them once, without making
/// anything of them.
pub(super) fn too_big<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<Diagnostic> {
    let mut items = 0;
    for text in texts {
        items += items_of(text);
        if items > MAX_ITEMS {
            let what = format!("the config has more than {MAX_ITEMS} keys and values");
            return Some(codes::TOO_BIG.diagnostic(what).hint("check that it is the right file, or split it"));
        }
    }
    None
}

/// How many keys and values a text has; it is not read on where they are too many.
fn items_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut items, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let ends = |at: &usize| matches!(bytes.get(*at), None | Some(b' ' | b'\n' | b'\r' | b'\t'));
        let is_mark = |byte: u8| b",:[]{}\"'/".contains(&byte);
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' | b']' | b'}' => {
                at += 1;
                continue;
            }
            b'"' | b'\'' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of(bytes, at + 2, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = end_of(bytes, at + 2, b"*/"),
            b'[' | b'{' | b'/' => at += 1,
            _ => {
                while !ends(&at) && !is_mark(bytes[at]) {
                    at += 1;
                }
            }
        }
        items += 1;
        if items > MAX_ITEMS {
            break;
        }
    }
    items
}

/// One past the quote that ends a string.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == bytes[start] {
            break;
        }
    }
    at
}

/// One past the next mark.
fn end_of(bytes: &[u8], from: usize, mark: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(mark.len()).position(|window| window == mark).map_or(bytes.len(), |at| from + at + mark.len())
}

/// Any JSON, read in full and not kept.
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Anything {
    type Value = Self;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Self) = list.next_element()? {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        while let Some((Self, Self)) = object.next_entry()? {}
        Ok(self)
    }
}

/// Says which bracket opens one level too many, without recursion.
pub(super) fn too_deep(text: &str, most: usize) -> Option<Diagnostic> {
    let at = opens_too_deep(text, most)?;
    let what = format!("objects and lists are nested more than {most} levels deep");
    Some(codes::TOO_DEEP.diagnostic(what).at(Some(Span { start: at, end: at + 1 }), "one level too many"))
}

fn opens_too_deep(text: &str, most: usize) -> Option<usize> {
    let (mut depth, mut quoted, mut skip) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if skip => skip = false,
            b'\\' if quoted => skip = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > most {
                    return Some(at);
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Of the two parsers' complaints, the one that comes first in the text is the cause.
fn first_of(text: &str, lenient: &ParseError, strict: Option<&serde_json::Error>) -> Diagnostic {
    let range = lenient.range();
    // Only a broken string or number puts the lenient parser on the wrong track; all else it understands better.
    let misleads = |said: &str| said.starts_with("control character") || said.starts_with("invalid number");
    match strict {
        Some(strict) if misleads(&strict.to_string()) && offset(text, strict) < range.start => from_serde(text, strict),
        _ => {
            let end = match lenient.kind() {
                ParseErrorKind::UnterminatedArray
                | ParseErrorKind::UnterminatedObject
                | ParseErrorKind::String(ParseStringErrorKind::UnterminatedStringLiteral) => range.start + 1,
                _ => range.end.max(range.start),
            };
            let found = text.get(range.start..end).unwrap_or_default();
            let (message, hint) = said(lenient.kind(), found);
            let mut diagnostic =
                codes::SYNTAX.diagnostic(message).at(Some(Span { start: range.start, end }), String::new());
            diagnostic.hint = hint;
            diagnostic
        }
    }
}

/// Says a parse error in the words of this program.
fn said(kind: &ParseErrorKind, found: &str) -> (String, Option<String>) {
    let found = super::problem::shown(found);
    let (message, hint): (String, Option<&str>) = match kind {
        ParseErrorKind::ExpectedColonAfterObjectKey => ("a `:` is missing after the key".into(), None),
        ParseErrorKind::ExpectedObjectValue => ("a value is missing after the `:`".into(), None),
        ParseErrorKind::UnterminatedArray => ("this `[` is never closed".into(), Some("add the `]` that is missing")),
        ParseErrorKind::UnterminatedObject => ("this `{` is never closed".into(), Some("add the `}` that is missing")),
        ParseErrorKind::UnterminatedCommentBlock => {
            ("this comment never ends".into(), Some("end it with `*/`; only a `.jsonc` file may have comments"))
        }
        ParseErrorKind::MultipleRootJsonValues => {
            ("something follows the end of the config".into(), Some("a config is one object: `{ … }`"))
        }
        ParseErrorKind::UnexpectedComma => ("a value is missing before the `,`".into(), None),
        ParseErrorKind::UnexpectedCloseBrace | ParseErrorKind::UnexpectedCloseBracket => {
            (format!("{found} closes nothing that is open here"), None)
        }
        ParseErrorKind::UnexpectedColon => ("a `:` may stand only after a key".into(), None),
        ParseErrorKind::String(ParseStringErrorKind::UnterminatedStringLiteral) => {
            ("this string is never closed".into(), Some("a string needs a `\"` at both ends, on one line"))
        }
        ParseErrorKind::String(_) => {
            ("the string contains an escape that JSON does not know".into(), Some("write `\\\\` for a backslash"))
        }
        ParseErrorKind::UnexpectedWord => (
            format!("{found} is not JSON"),
            Some("texts stand in double quotes; the bare words are `true`, `false` and `null`"),
        ),
        _ => (format!("{found} is not JSON here"), None),
    };
    (message, hint.map(str::to_owned))
}

/// Finds what the lenient parser let pass.
fn departures(text: &str, tokens: Option<&[TokenAndRange<'_>]>, found: &mut Told) {
    let mut before: Option<&TokenAndRange<'_>> = None;
    for token in tokens.unwrap_or_default() {
        let span = Span { start: token.range.start, end: token.range.end };
        let mut not_json = |message: &str, hint: &str| {
            found.add(codes::SYNTAX, || codes::SYNTAX.diagnostic(message).at(Some(span), "").hint(hint));
        };
        if let Token::CommentLine(_) | Token::CommentBlock(_) = token.token {
            found.add(codes::COMMENT, || {
                codes::COMMENT
                    .diagnostic("JSON has no comments")
                    .at(Some(span), "")
                    .hint("remove it, or let the name of the file end in `.jsonc`, which may have comments")
            });
            continue;
        }
        match (&token.token, before) {
            (Token::CloseBrace | Token::CloseBracket, Some(comma)) if comma.token == Token::Comma => {
                let span = Span { start: comma.range.start, end: comma.range.end };
                found.add(codes::TRAILING_COMMA, || {
                    codes::TRAILING_COMMA
                        .diagnostic("JSON has no trailing commas")
                        .at(Some(span), "nothing follows this comma")
                        .hint("remove the comma, or let the name of the file end in `.jsonc`, which may have it")
                });
            }
            (Token::Number(_), Some(number))
                if matches!(number.token, Token::Number(_)) && number.range.end == span.start =>
            {
                not_json("a number does not start with `0`", "remove the zeros in front");
            }
            (start, Some(end)) if begins_value(start) && ends_value(&end.token) => {
                not_json("a comma is missing before this", "put a `,` between the two");
            }
            (Token::Word(_), _) => not_json("a key stands in double quotes", "put it in double quotes"),
            (Token::String(_), _) if text[span.start..].starts_with('\'') => {
                not_json("a string stands in double quotes", "write `\"` in place of `'`");
            }
            (Token::Number(number), _) if number.parse::<serde_json::Number>().is_err() && !is_huge(number) => {
                not_json("the number is not written as JSON does", "write the digits alone, e.g. `4096`");
            }
            _ => {}
        }
        before = Some(token);
    }
}

fn begins_value(token: &Token<'_>) -> bool {
    ends_value(token) && !matches!(token, Token::CloseBrace | Token::CloseBracket)
        || matches!(token, Token::OpenBrace | Token::OpenBracket)
}

fn ends_value(token: &Token<'_>) -> bool {
    !matches!(token, Token::Comma | Token::Colon | Token::OpenBrace | Token::OpenBracket)
}

/// Tells numbers that are JSON but beyond what a computer holds, like `1e400`.
pub(super) fn is_huge(number: &str) -> bool {
    number.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && !number.contains(['x', 'X', 'I', 'N'])
        && number.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Says an error of the strict parser in the words of this program.
fn from_serde(text: &str, error: &serde_json::Error) -> Diagnostic {
    let at = offset(text, error);
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let (message, hint) = match said {
        _ if said.starts_with("control character") => (
            "a string contains a raw line break or control character",
            Some("close the string with `\"`, or write `\\n` for a line break"),
        ),
        "invalid escape" => {
            ("the string contains an escape that JSON does not know", Some("write `\\\\` for a backslash"))
        }
        "invalid number" => ("the number is not written as JSON does", Some("write the digits alone, e.g. `4096`")),
        _ if said.contains("surrogate") || said.contains("hex escape") => {
            ("the string contains half a character", Some("write the character itself in place of `\\u…`"))
        }
        _ => ("the text is not JSON here", None),
    };
    let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8());
    let mut diagnostic = codes::SYNTAX.diagnostic(message).at(Some(Span { start: at, end }), "");
    diagnostic.hint = hint.map(str::to_owned);
    diagnostic
}

/// The byte that the strict parser complains about; it counts columns in bytes, from 1, and gives a line break column
/// 0 of the line after it.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line = LineIndex::new(text).bytes_of(text, error.line().max(1));
    let mut at = (line.start + error.column()).saturating_sub(1).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Finds keys that stand twice in one object. Parsers keep the last without a word.
fn repeated_keys(root: &Value<'_>, found: &mut Told) {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(list) => open.extend(&list.elements),
            Value::Object(object) => {
                let mut keys: Vec<&ast::ObjectPropName<'_>> = object.properties.iter().map(|p| &p.name).collect();
                // A stable sort keeps equal keys in the order of the file.
                keys.sort_by_key(|key| key.as_str());
                for same in keys.chunk_by(|a, b| a.as_str() == b.as_str()) {
                    for again in &same[1..] {
                        found.add(codes::DUPLICATE_KEY, || {
                            codes::DUPLICATE_KEY
                                .diagnostic(format!(
                                    "{} stands twice in one object",
                                    super::problem::shown(again.as_str())
                                ))
                                .at(Some(span_of(again)), "again here")
                                .also(Some(span_of(same[0])), "first here")
                                .hint("keep one of them")
                        });
                    }
                }
                open.extend(object.properties.iter().map(|p| &p.value));
            }
            _ => {}
        }
    }
}

fn span_of(name: &ast::ObjectPropName<'_>) -> Span {
    use jsonc_parser::common::Ranged as _;
    let range = name.range();
    Span { start: range.start, end: range.end }
}
