//! A text of JSON with comments, without them: every byte of what else it says stays where it is.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

/// How the name of a file ends that may have comments and trailing commas.
const EXTENSION: &str = ".jsonc";

/// Whether a file of this name may have comments and trailing commas.
pub(super) fn may_have(name: &str) -> bool {
    name.ends_with(EXTENSION)
}

/// The text with spaces in place of its comments and trailing commas; line breaks stay. Behind a place that no scanner
/// gets past, everything stays as it is.
pub(super) fn without(text: &str) -> Cow<'_, str> {
    let found = found(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in found {
        for byte in bytes[range].iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
    // Whole comments were replaced, so whole characters were.
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where comments and trailing commas stand.
pub(super) fn found(text: &str) -> Vec<Range<usize>> {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let mut found = Vec::new();
    // A comma behind a value, as long as nothing but comments followed it.
    let mut comma = None;
    let mut is_behind_value = false;
    while let Ok(Some(token)) = scanner.scan() {
        let range = scanner.token_start()..scanner.token_end();
        match token {
            Token::CommentLine(_) | Token::CommentBlock(_) => {
                found.push(range);
                continue;
            }
            Token::CloseBrace | Token::CloseBracket => found.extend(comma.take()),
            _ => {}
        }
        comma = (token == Token::Comma && is_behind_value).then_some(range);
        is_behind_value = !matches!(token, Token::Comma | Token::Colon | Token::OpenBrace | Token::OpenBracket);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::without;

    #[track_caller]
    fn check(text: &str, plain: &str) {
        assert_eq!(without(text), plain);
        assert_eq!(text.len(), plain.len());
    }

    #[test]
    fn comments_and_trailing_commas_become_spaces() {
        check("[1, 2]", "[1, 2]");
        check("[1,]", "[1 ]");
        check("[1, // ü\r\n]", "[1       \r\n]");
        check("{ \"a\": [1, /* , */ ], /*\n*/ }", "{ \"a\": [1          ]    \n   }");
        check(r#"["//", "/* \" */",]"#, r#"["//", "/* \" */" ]"#);
    }

    #[test]
    fn what_else_is_no_json_stays() {
        for text in ["[,]", "{,}", "[1,,]", "{ \"a\":, }", "[1] /* never ends", "'", "[1 /", ""] {
            check(text, text);
        }
    }
}
