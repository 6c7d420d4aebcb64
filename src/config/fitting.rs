//! Values that stand in `#cloud-config` in the place of their names: whether each is there what it is by itself, a text
//! or a part of one.
//!
//! Events of a parser are compared: those of the text with marks, and those with the values. Where the parser refuses
//! what cloud-init takes, or a text that is refused anyway, the rest is judged by what stands around each name in its
//! line.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::data_text::{Piece, pieces};
use super::plain::is_no_text;

/// The names of which a value is something else where it stands in a text, of those that are given with their values.
/// Each is looked at by itself, then all together: two that are texts may be a number side by side.
pub(super) fn unfit<'n>(text: &str, values: &BTreeMap<&'n str, &str>) -> BTreeSet<&'n str> {
    let alone = |(name, value): (&&'n str, &&str)| misread(text, &[(*name, *value)].into());
    let found: BTreeSet<&str> = values.iter().flat_map(alone).collect();
    if found.is_empty() && values.len() > 1 { misread(text, values) } else { found }
}

/// A value, and the character that stands for it.
struct Marked<'n, 'v> {
    name: &'n str,
    value: &'v str,
    mark: char,
}

/// The names whose values make something else of what they stand in, the first of it.
fn misread<'n>(text: &str, values: &BTreeMap<&'n str, &str>) -> BTreeSet<&'n str> {
    let used: BTreeSet<char> = values.values().flat_map(|value| value.chars()).chain(text.chars()).collect();
    // A text that has all of them is larger than one can be.
    let marks = ('\u{f0000}'..='\u{ffffd}').filter(|mark| !used.contains(mark));
    let marked: Vec<Marked<'n, '_>> =
        values.iter().zip(marks).map(|((name, value), mark)| Marked { name, value, mark }).collect();
    let filled = |with: &dyn Fn(&Marked<'n, '_>) -> String| -> String {
        let piece = |piece: Piece<'_>| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Value(found, _) => match marked.iter().find(|marked| found == Some(marked.name)) {
                Some(marked) => with(marked),
                None => "x".repeat(found.map_or(0, str::len) + 3),
            },
        };
        pieces(text).into_iter().map(piece).collect()
    };
    let (one, other) = (filled(&|marked| marked.mark.to_string()), filled(&|marked| marked.value.to_owned()));
    let named = |text: &str| -> BTreeSet<&'n str> {
        marked.iter().filter(|marked| text.contains(marked.mark)).map(|marked| marked.name).collect()
    };
    let mut events = Parser::new_from_str(&one);
    let mut others = Parser::new_from_str(&other).map_while(Result::ok);
    let mut read = 0;
    loop {
        let event = match events.next() {
            Some(Ok((event, span))) => {
                read = span.end.index();
                event
            }
            // What is refused is refused in both, where it has no value before it.
            Some(Err(_)) => return by_line(&one, read, &marked),
            None => return BTreeSet::new(),
        };
        if others.next().is_some_and(|(other, _)| is_same(&event, &other, &marked)) {
            continue;
        }
        // The parser looks ahead: what is wrong may stand a little further on.
        let rest = events.map_while(Result::ok).map(|(event, _)| event);
        let of = |event: Event<'_>| match event {
            Event::Scalar(text, ..) => named(&text),
            _ => BTreeSet::new(),
        };
        let found = [event].into_iter().chain(rest).map(of).find(|names| !names.is_empty());
        return found.unwrap_or_else(|| by_line(&one, read, &marked));
    }
}

/// Whether two events are the same but for marks, which are values in the other one.
fn is_same(one: &Event<'_>, other: &Event<'_>, marked: &[Marked<'_, '_>]) -> bool {
    let (Event::Scalar(one, style, anchor, tag), Event::Scalar(other, other_style, other_anchor, other_tag)) =
        (one, other)
    else {
        return one == other;
    };
    let has_value = marked.iter().any(|marked| one.contains(marked.mark));
    let is_text = *style != ScalarStyle::Plain || tag.is_some() || !has_value || !is_no_text(other);
    let expected = marked.iter().fold(one.to_string(), |text, marked| text.replace(marked.mark, marked.value));
    let alike = (style, anchor, tag) == (other_style, other_anchor, other_tag);
    alike && is_text && expected == **other
}

/// The same for what stands behind the first `read` characters, line by line.
fn by_line<'n>(text: &str, read: usize, marked: &[Marked<'n, '_>]) -> BTreeSet<&'n str> {
    let (mut found, mut block, mut at) = (BTreeSet::new(), None, 0);
    for line in text.split('\n') {
        let (begins, indent) = (at, line.len() - line.trim_start_matches(' ').len());
        at += line.chars().count() + 1;
        // Behind `|` or `>`, all lines that stand further in are text.
        if block.is_some_and(|block| indent > block || line.trim().is_empty()) {
            continue;
        }
        let header = line.split(" #").next().unwrap_or_default().trim_end();
        let header = header.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        block = [" |", " >"].iter().any(|end| header.ends_with(end)).then_some(indent);
        for one in marked {
            let is_unfit = |(column, _): (usize, &str)| {
                let (before, rest) = line.split_at(column);
                begins + before.chars().count() >= read && !fits(before, rest, one, marked)
            };
            if line.match_indices(one.mark).any(is_unfit) {
                found.insert(one.name);
            }
        }
    }
    found
}

/// Whether a value can stand between what is before it in its line and the rest, whatever is in the lines above: it is
/// between quotes that begin in this line, in a comment, or has nothing that could be more than text, nor is a word of
/// its own that is none.
fn fits(before: &str, rest: &str, one: &Marked<'_, '_>, marked: &[Marked<'_, '_>]) -> bool {
    let mut inside = None;
    let mut last = ' ';
    for c in before.chars() {
        match inside {
            Some(quote) if c == quote && last != '\\' => inside = None,
            None if matches!(c, '\'' | '"' | '#') && matches!(last, ' ' | '\t' | '[' | '{' | ',' | ':') => {
                inside = Some(c);
            }
            _ => {}
        }
        last = c;
    }
    match inside {
        Some('#') => return true,
        Some('"') => return !one.value.contains(['"', '\\']),
        Some(_) => return !one.value.contains('\''),
        None => {}
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}' | '\'' | '"');
    let word = before.rfind(ends).map_or(before, |at| &before[at..]).trim_start_matches(ends);
    let word = format!("{word}{}", &rest[..rest.find(ends).unwrap_or(rest.len())]);
    let word = marked.iter().fold(word, |word, marked| word.replace(marked.mark, marked.value));
    let is_plain = |c: char| c.is_alphanumeric() || "_-.+/=~^$;()".contains(c);
    one.value.chars().all(is_plain) && !word.starts_with('-') && !is_no_text(&word)
}

#[cfg(test)]
mod tests {
    use super::unfit;

    /// The names that do not fit into a text, without `#cloud-config`.
    fn unfitting(text: &str, values: &[(&'static str, &str)]) -> Vec<&'static str> {
        unfit(&format!("#cloud-config\n{text}\n"), &values.iter().copied().collect()).into_iter().collect()
    }

    #[test]
    fn a_value_is_a_text_where_it_stands() {
        let takes = |text: &str, value: &str| unfitting(text, &[("secret.db", value)]).is_empty();
        for (text, value) in [
            ("a: ${secret.db}", "hunter2"),
            ("a: ${secret.db}", "$6$salt$hash."),
            ("a: ${secret.db}", "0x1g"),
            ("a: ${secret.db}", "-1.5e3"),
            ("a: ${secret.db}", "4f2a91c0-1e"),
            ("a: ${secret.db}${secret.other}", "1234"),
            ("a: '${secret.db}'", "1234"),
            ("a: '${secret.db}'", "a: b #c \"d\" \\"),
            ("a: \"${secret.db}\"", "a: b #c 'd'"),
            ("a: [${vm_id}, 'x${secret.db}', \"${secret.other}\"]", "a]"),
            ("a: |\n  key=${secret.db}\n  b: c", "'\"\\ #: ]"),
            ("# ${secret.db}\na: b", "a: b"),
            ("a: !!str ${secret.db}", "1234"),
        ] {
            assert!(takes(text, value), "{text} {value}");
        }
        for (text, value) in [
            ("a: ${secret.db}", "a #b"),
            ("a: ${secret.db}", "a: b"),
            ("a: ${secret.db}", "*a"),
            ("a: ${secret.db}", "- a"),
            ("a: ${secret.db}", " a"),
            ("a: ${secret.db}", "[a, b]"),
            ("a: [${secret.db}]", "a, b"),
            ("a: '${secret.db}'", "it's"),
            ("a: \"${secret.db}\"", "a\\nb"),
            ("a: \"${secret.db}\"", "a\"b"),
            ("a: ${secret.db}", "1234"),
            ("a: 1${secret.db}", "1_0"),
            ("a: ${secret.db}", "2024-01-01"),
            ("a: ${secret.db}", "True"),
            ("a: ${secret.db}", "~"),
            ("a: ${secret.db}", "'a'"),
            ("a: b\nc: ${secret.db}\nd: [e]", "&f g"),
        ] {
            assert!(!takes(text, value), "{text} {value}");
        }
    }

    /// cloud-init takes these texts, and our parser does not get behind their first lines.
    #[test]
    fn a_value_is_judged_where_the_parser_gives_up() {
        for begins in ["m: \"up\nnow\"\n", "m: [\na\n]\n", "a: 1\nm: 'x\ny'\n"] {
            for (text, value, fits) in [
                ("a: ${secret.db}", "hunter2", true),
                ("a: ${secret.db}", "1234", false),
                ("a: ${secret.db}", "b #c", false),
                ("a: ${secret.db}", "b: c", false),
                ("a: x${secret.db} # b", "1234", true),
                ("a: [1, ${secret.db}]", "017", false),
                ("a: '${secret.db}'", "b: c #", true),
                ("a: '${secret.db}'", "it's", false),
                ("a: \"it's ${secret.db}\"", "it's", true),
                ("a: \"${secret.db}\"", "\\", false),
                ("b: c # ${secret.db}", "'\" #: ]", true),
                ("a:\n- |\n  ${secret.db}\nb: c", "'\" #: ]", true),
                ("a: >-\n  ${secret.db}\n\n  ${secret.db}", "- b", true),
                ("a: |\n  b\nc: ${secret.db}", "- b", false),
            ] {
                let found = unfitting(&format!("{begins}{text}"), &[("secret.db", value)]);
                assert_eq!(found.is_empty(), fits, "{begins}{text} {value}");
            }
        }
        assert_eq!(unfitting("a: '${secret.db}'\nm: \"up\nnow\"", &[("secret.db", "b: c")]), [""; 0]);
        assert_eq!(unfitting("a: ${secret.db}\nm: \"up\nnow\"", &[("secret.db", "b: c")]), ["secret.db"]);
    }

    #[test]
    fn values_are_judged_together() {
        let side_by_side = "a: ${secret.a}${secret.b}\nb: ${secret.c}";
        for (values, expected) in [
            ([("secret.a", "x"), ("secret.b", "2"), ("secret.c", "y")], &[][..]),
            ([("secret.a", "0x"), ("secret.b", "2f"), ("secret.c", "y")], &["secret.a", "secret.b"]),
            ([("secret.a", "a:"), ("secret.b", "b"), ("secret.c", "3")], &["secret.c"]),
        ] {
            assert_eq!(unfitting(side_by_side, &values), expected, "{values:?}");
        }
    }
}
