//! Changes to documents: of JSON member by member, of other texts line by line, of both byte by byte.

use serde_json::{Map, Value, json};

/// A sequence of numbers that only its seed decides (`SplitMix64`).
pub(crate) struct Luck(pub(crate) u64);

impl Luck {
    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    /// Whether what happens once in `times` happens now.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn text(&mut self) -> &'static str {
        TEXTS[self.below(TEXTS.len())]
    }

    pub(crate) fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len())]
    }
}

/// Texts that steer a terminal, hide, end what holds them, or mean something to one of the formats.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m",
    "a\u{202e}b\u{2066}\u{200b}\u{feff}",
    "\0",
    "a\r\nb\rc\n::error::x\n##[group]x",
    "`x`` <img src=x onerror=y> | @all [a](https://example.org) \"'><script>",
    "]]></failure>&amp;%0A%1B",
    "--> <!-- phoenix {} -->",
    "<!-- phoenix",
    "[PENDING]",
    "1000",
    "-1",
    "1000/start",
    "100/",
    "/../../etc/passwd",
    "/",
    "embedded:elsewhere",
    "2024-02-30T99:99:99Z",
    "-009999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "order=4294967296,up=99999999999999999999",
    "local-zfs:vm-1-disk-0,size=18446744073709551615T",
    "\u{10ffff}é→🦀",
];

/// A value that is not meant where it comes to stand.
fn hostile(luck: &mut Luck) -> Value {
    match luck.below(12) {
        0 => Value::Null,
        1 => json!(luck.one_in(2)),
        2 => json!(luck.pick(&[0_u64, 1, 99, 100, 1000, 999_999_999, 1 << 31, 1 << 32, 1 << 53, u64::MAX])),
        3 => json!(luck.pick(&[-1_i64, i64::from(i32::MIN), i64::MIN])),
        4 => json!(luck.pick(&[0.5, -0.0, 1e308, 1e19])),
        5 => json!("long ".repeat(luck.below(20_000))),
        6 => json!([]),
        7 => json!({}),
        8 => (0..luck.below(140)).fold(json!("deep"), |inner, _| json!([inner])),
        _ => json!(luck.text()),
    }
}

/// Where everything of a value stands, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        // What was repeated a thousand times is not looked into.
        Value::Array(items) if items.len() < 100 => {
            items.iter().enumerate().for_each(|(n, value)| places(value, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

/// A part of a value.
fn part(value: &Value, luck: &mut Luck) -> Value {
    let mut found = Vec::new();
    places(value, "", &mut found);
    let place: &String = luck.pick(&found);
    value.pointer(place).cloned().unwrap_or_default()
}

/// Changes a value in a few places; `other` lends its parts.
pub(crate) fn value(value: &mut Value, other: &Value, luck: &mut Luck) {
    for _ in 0..=luck.below(4) {
        let mut found = Vec::new();
        places(value, "", &mut found);
        let place = luck.pick(&found);
        if let Some(node) = value.pointer_mut(place) {
            change(node, other, luck);
        }
    }
}

fn change(node: &mut Value, other: &Value, luck: &mut Luck) {
    match node {
        Value::Object(members) if !members.is_empty() && luck.below(8) > 0 => member(members, other, luck),
        Value::Array(items) if !items.is_empty() && luck.below(8) > 0 => {
            let at = luck.below(items.len());
            match luck.below(5) {
                0 => _ = items.remove(at),
                1 => items.push(items[at].clone()),
                2 => items.swap(0, at),
                3 if luck.one_in(8) => {
                    let item = items[at].clone();
                    items.extend(std::iter::repeat_n(item, 1000));
                }
                _ => items.insert(at, part(other, luck)),
            }
        }
        // A little of another value gets further than a wholly different one.
        Value::String(text) if luck.one_in(2) => match luck.below(4) {
            0 => text.insert_str(0, luck.text()),
            1 => text.push_str(luck.text()),
            2 => _ = text.pop(),
            _ => text.push('0'),
        },
        Value::Number(number) if luck.one_in(2) => {
            let near = number.as_u64().unwrap_or_default();
            *node = json!(if luck.one_in(2) { near.saturating_add(1) } else { near.saturating_sub(1) });
        }
        Value::Bool(flag) if luck.one_in(2) => *flag = !*flag,
        _ if luck.one_in(4) => *node = part(other, luck),
        _ => *node = hostile(luck),
    }
}

fn member(members: &mut Map<String, Value>, other: &Value, luck: &mut Luck) {
    let names: Vec<String> = members.keys().cloned().collect();
    let (name, second) = (luck.pick(&names), luck.pick(&names));
    let taken = members.get(name).cloned().unwrap_or_default();
    match luck.below(5) {
        0 => _ = members.remove(name),
        1 => {
            members.remove(name);
            members.insert(format!("{name}{}", luck.text()), taken);
        }
        2 => _ = members.insert(second.clone(), taken),
        3 => _ = members.insert(luck.text().to_owned(), part(other, luck)),
        _ => _ = members.insert(name.clone(), if luck.one_in(2) { hostile(luck) } else { part(other, luck) }),
    }
}

/// Changes a text line by line; `other` lends its lines.
pub(crate) fn lines(text: &str, other: &str, luck: &mut Luck) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(ToOwned::to_owned).collect();
    let foreign: Vec<&str> = other.split_inclusive('\n').collect();
    for _ in 0..=luck.below(4) {
        if lines.is_empty() {
            break;
        }
        let (at, second) = (luck.below(lines.len()), luck.below(lines.len()));
        match luck.below(8) {
            0 => _ = lines.remove(at),
            1 => lines.insert(at, lines[second].clone()),
            2 => lines.swap(at, second),
            3 if !foreign.is_empty() => lines.insert(at, (*luck.pick(&foreign)).to_owned()),
            4 if luck.one_in(10) => {
                let line = lines[at].clone();
                lines.splice(at..at, std::iter::repeat_n(line, 1000));
            }
            5 => lines[at] = lines[at].replace('\n', "\r\n"),
            // The value of a line becomes another one.
            6 => {
                let key = lines[at].split_once(':').map_or("key", |(key, _)| key).to_owned();
                lines[at] = format!("{key}: {}\n", luck.text());
            }
            _ => lines[at] = bytes(&lines[at], luck),
        }
    }
    lines.concat()
}

/// Cuts a text, or puts something into it.
pub(crate) fn bytes(text: &str, luck: &mut Luck) -> String {
    let mut at = luck.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let (before, after) = text.split_at(at);
    match luck.below(6) {
        0 => before.to_owned(),
        1 => after.to_owned(),
        2 if luck.one_in(4) => format!("{before}{}{after}", luck.pick(&["[", "{\"a\":", "/*", "\""]).repeat(5_000)),
        3 => format!("{before}{after}{before}"),
        _ => format!("{before}{}{after}", luck.text()),
    }
}
