//! `#cloud-config`: whether cloud-init can read it as YAML. Events of a parser are looked at; no value is made of them,
//! so that a text that grows when it is read (aliases of aliases) costs nothing.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser};

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) what: String,
    /// The line, from 1.
    pub(super) line: usize,
    /// The column, from 1, in characters.
    pub(super) column: usize,
}

impl Wrong {
    fn new(what: impl Into<String>, at: Marker) -> Self {
        Self { what: what.into(), line: at.line(), column: at.col() + 1 }
    }
}

/// What is said of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Why cloud-init takes nothing of it.
    pub(super) refused: Option<Wrong>,
    /// Keys that stand twice in one mapping, of which cloud-init takes the last.
    pub(super) twice: Vec<Wrong>,
}

/// What the parser refuses, as YAML 1.2 says, and the one of cloud-init, that of Python, takes: a quoted text or a list
/// in brackets that continues at the margin, and a colon without a blank.
const TAKEN: [&str; 6] = [
    "invalid indentation",
    "may not precede any of",
    "cannot start with '-' followed by",
    "tab cannot be used as indentation",
    "comments must be separated",
    "recursion limit",
];

/// A mapping or a sequence that is open.
enum Open {
    /// A mapping: its keys so far with their lines, and whether a key is next.
    Mapping(BTreeMap<String, usize>, bool),
    Sequence,
}

/// Looks at a text that begins with `#cloud-config`. Names in `${…}` may stand in it: none of them has more than one
/// line.
pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let (mut open, mut documents) = (Vec::new(), 0);
    let filled = stand_ins(text);
    let chars: Vec<char> = filled.chars().collect();
    for event in Parser::new_from_str(&filled) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let is_taken = TAKEN.iter().any(|taken| error.info().contains(taken));
                read.refused = (!is_taken).then(|| Wrong::new(error.info(), *error.marker()));
                return read;
            }
        };
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
        }
        if documents > 1 {
            read.refused = Some(Wrong::new("a second document begins here, and there can be only one", span.start));
            return read;
        }
        let is_node =
            matches!(event, Event::Scalar(..) | Event::Alias(_) | Event::MappingStart(..) | Event::SequenceStart(..));
        if is_node && !span.is_empty() && stands_behind_a_tab(&chars, span.start.index()) {
            read.refused = Some(Wrong::new("a tab stands before this, where only blanks can stand", span.start));
            return read;
        }
        if is_node && open.is_empty() && !at_the_top(&event) {
            read.refused = Some(Wrong::new("the top level must be keys with values", span.start));
            return read;
        }
        if is_node && let Some(Open::Mapping(keys, is_key)) = open.last_mut() {
            if *is_key
                && let Event::Scalar(key, ..) = &event
                // All that it names is merged.
                && key.as_ref() != "<<"
                && let Some(first) = keys.insert(key.to_string(), span.start.line())
            {
                let what = format!("the key {} stands in line {first} already", super::problem::shown(key));
                read.twice.push(Wrong::new(what, span.start));
            }
            *is_key = !*is_key;
        }
        match event {
            Event::MappingStart(..) => open.push(Open::Mapping(BTreeMap::new(), true)),
            Event::SequenceStart(..) => open.push(Open::Sequence),
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            _ => {}
        }
    }
    read
}

/// Whether a tab is in the white space before a character; the parser of cloud-init takes none there.
fn stands_behind_a_tab(chars: &[char], at: usize) -> bool {
    chars[..at.min(chars.len())].iter().rev().take_while(|char| matches!(char, ' ' | '\t')).any(|char| *char == '\t')
}

/// Whether a document may begin so: with a mapping, or with nothing, of which cloud-init takes nothing and says
/// nothing.
fn at_the_top(event: &Event<'_>) -> bool {
    match event {
        Event::MappingStart(..) => true,
        Event::Scalar(text, ..) => matches!(text.as_ref(), "" | "~" | "null"),
        _ => false,
    }
}

/// A text in which each `${name}` is as many letters: what will stand there is one plain word, too, and everything
/// behind it keeps its column.
pub(super) fn stand_ins(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let name = from.lines().next().and_then(|line| line.find('}')).filter(|_| !before.ends_with('$'));
        let end = name.map_or(2, |end| end + 1);
        match name {
            Some(_) => out.extend(from[..end].chars().map(|_| 'x')),
            None => out.push_str(&from[..end]),
        }
        rest = &from[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{read, stand_ins};

    /// What is said of a text, each with its line and column.
    fn said(text: &str) -> Vec<String> {
        let read = read(text);
        let all = read.refused.into_iter().chain(read.twice);
        all.map(|wrong| format!("{}:{}: {}", wrong.line, wrong.column, wrong.what)).collect()
    }

    #[test]
    fn what_cloud_init_reads_is_taken() {
        for text in [
            "#cloud-config\n",
            "#cloud-config\n---\nhostname: web\n",
            "#cloud-config\nhostname: ${vm_name}\nfqdn: [${vm_name}, \"${vm_id}.example\"]\n",
            "#cloud-config\nruncmd:\n  - [sh, -c, 'echo $${HOME}']\n  - echo a\n",
            "#cloud-config\nwrite_files:\n- path: /x\n  content: |\n    a: b: c\n    [\n",
            "#cloud-config\npackages: [\n  nginx,\n]\n",
            "#cloud-config\nbase: &base {a: 1}\nother: *base\n",
            "#cloud-config\nusers:\n  - default\n  - {name: a}\n  - {name: b}\n",
            "#cloud-config\r\nhostname: web\r\npackages:\r\n  - nginx\r\n",
            "#cloud-config\nbootcmd:\n  - |\n    cat <<END >/x\n    \u{e9}: \"\n    END\n",
            "#cloud-config\n# a comment\n\n",
            "#cloud-config\nfinal_message: \"up\nnow\"\nwrite_files:\n- content: |\n    a:\n    \tb\n",
        ] {
            assert_eq!(said(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_cloud_init_does_not_read_has_a_place() {
        for (text, place) in [
            ("#cloud-config\nhostname: a: b\n", "2:"),
            ("#cloud-config\npackages:\n  - a\n - b\n", "4:"),
            ("#cloud-config\nruncmd: [a, b\n", "3:"),
            ("#cloud-config\nhostname: \"web\n", "2:11: "),
            ("#cloud-config\nhostname: ${vm_name} x: y\n", "2:"),
            ("#cloud-config\n\tpackages: [a]\n", "2:"),
            ("#cloud-config\nother: *base\n", "2:8: "),
            ("#cloud-config\na: 1\n---\nb: 2\n", "3:1: a second document"),
            ("#cloud-config\n- a\n- b\n", "2:1: the top level"),
            ("#cloud-config\nhostname web\n", "2:1: the top level"),
            ("#cloud-config\na: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n", "3:17: the key `c` stands in line 3 already"),
        ] {
            let said = said(text);
            assert!(said.first().is_some_and(|said| said.starts_with(place)), "{text}{said:?}");
        }
    }

    #[test]
    fn names_take_the_place_that_they_had() {
        for (text, is) in [
            ("a ${b} c", "a xxxx c"),
            ("$${b} ${c}", "$${b} xxxx"),
            ("${b\n}", "${b\n}"),
            ("\u{e9}${b}${", "\u{e9}xxxx${"),
        ] {
            assert_eq!(stand_ins(text), is);
        }
    }

    #[test]
    fn a_hostile_text_ends() {
        for piece in ["[", "- ", "{a: ", "&a [*a, ", "? ", "a: &a\n ", "'", "!!a ", "|\n"] {
            let text = format!("#cloud-config\n{}", piece.repeat((64 << 10) / piece.len()));
            read(&text);
        }
    }
}
