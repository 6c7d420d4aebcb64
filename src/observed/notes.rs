//! A VM's notes and the record in them.
//!
//! The notes (`description` in Proxmox) belong to people. phoenix keeps its record in one HTML comment among them,
//! `<!-- phoenix {…} -->`, which the web UI does not show.

use crate::model::{RECORD_MARK as OPEN, Record, record_mark};

/// Longest notes Proxmox takes, in characters, record included.
pub const MAX_NOTES: usize = 8192;

/// What the comment with the record ends with.
const CLOSE: &str = "-->";

/// A VM's notes taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What people wrote, without the record and without trailing white space.
    pub description: String,
    /// The record.
    pub record: FoundText,
}

/// How many records there are in the notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundText {
    /// None.
    None,
    /// Exactly one: its text, not parsed yet. A comment that does not end counts up to the end of the notes.
    One(String),
    /// More than one.
    Several,
}

/// The record cannot be put into the notes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Notes and record together are too long for Proxmox.
    #[error("the notes would have {0} characters with phoenix's record; Proxmox takes {MAX_NOTES}")]
    TooLong(usize),
    /// It cannot be told which of several records counts.
    #[error("the notes hold more than one phoenix record")]
    Several,
    /// A comment was opened and not closed: what follows may be anybody's text.
    #[error("the notes hold a phoenix record that does not end with `-->`")]
    Unterminated,
    /// The record is no JSON; cannot happen with a record made by phoenix.
    #[error("the record cannot be written: {0}")]
    Json(String),
}

/// One comment with a record: where it lies, and where its text lies.
struct Comment {
    start: usize,
    end: usize,
    text: (usize, usize),
    closed: bool,
}

fn comments(notes: &str) -> Vec<Comment> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = record_mark(&notes[from..]).map(|at| from + at) {
        let text = start + OPEN.len();
        let close = notes[text..].find(CLOSE).map(|at| text + at);
        let end = close.map_or(notes.len(), |at| at + CLOSE.len());
        found.push(Comment { start, end, text: (text, close.unwrap_or(notes.len())), closed: close.is_some() });
        from = end;
    }
    found
}

/// Notes without a comment; a line that held nothing else goes with it.
fn without(notes: &str, comment: &Comment) -> String {
    let (before, after) = (&notes[..comment.start], &notes[comment.end..]);
    let alone = before.is_empty() || before.ends_with('\n');
    let after = if alone { after.strip_prefix("\r\n").or(after.strip_prefix('\n')).unwrap_or(after) } else { after };
    format!("{before}{after}")
}

/// Takes notes apart.
#[must_use]
pub fn split_notes(notes: &str) -> Marked {
    // Most notes of a large node hold no record, or exactly one.
    let mut description = None;
    let mut record = FoundText::None;
    let found = comments(notes);
    for comment in found.iter().rev() {
        let rest = without(description.as_deref().unwrap_or(notes), comment);
        record = FoundText::One(notes[comment.text.0..comment.text.1].trim().to_owned());
        description = Some(rest);
    }
    if found.len() > 1 {
        record = FoundText::Several;
    }
    let mut description = description.unwrap_or_else(|| notes.to_owned());
    description.truncate(description.trim_end().len());
    Marked { description, record }
}

/// Notes with this record, in the place of the one that is there or on a line of its own at the end. What people wrote
/// around it stays as it is.
pub fn with_record(notes: &str, record: &Record) -> Result<String, RecordError> {
    let json = serde_json::to_string(record).map_err(|error| RecordError::Json(error.to_string()))?;
    // In JSON `-` and `>` stand in strings only (a record has no negative number): escaped there, the text can not end
    // the comment that holds it.
    let json = json.replace('-', "\\u002d").replace('>', "\\u003e");
    let comment = format!("{OPEN} {json} {CLOSE}");
    let new = match comments(notes).as_slice() {
        [] => join(notes.trim_end(), &comment),
        [old] if old.closed => format!("{}{comment}{}", &notes[..old.start], &notes[old.end..]).trim_end().to_owned(),
        [_] => return Err(RecordError::Unterminated),
        _ => return Err(RecordError::Several),
    };
    checked(new)
}

/// Notes with another description; the record stays.
pub fn with_description(notes: &str, description: &str) -> Result<String, RecordError> {
    match comments(notes).as_slice() {
        [] => checked(description.trim_end().to_owned()),
        [old] if old.closed => checked(join(description.trim_end(), &notes[old.start..old.end])),
        [_] => Err(RecordError::Unterminated),
        _ => Err(RecordError::Several),
    }
}

/// Notes without their record; what people wrote around it stays as it is.
pub fn without_record(notes: &str) -> Result<String, RecordError> {
    match comments(notes).as_slice() {
        [] => Ok(notes.to_owned()),
        [old] if old.closed => Ok(without(notes, old).trim_end().to_owned()),
        [_] => Err(RecordError::Unterminated),
        _ => Err(RecordError::Several),
    }
}

/// What stands for the rest of a record of which only the beginning is shown.
const CUT: &str = "… ";

/// Whether [`with_short_record`] shortened these notes.
#[must_use]
pub fn has_short_record(notes: &str) -> bool {
    let cut = |comment: &Comment| comment.closed && notes[..comment.end - CLOSE.len()].ends_with(CUT);
    comments(notes).iter().any(cut)
}

/// Notes for people to look at: of a long record its beginning alone.
#[must_use]
pub fn with_short_record(notes: &str) -> String {
    const SHOWN: usize = 64;
    let mut shown = notes.to_owned();
    for comment in comments(notes).iter().rev().filter(|comment| comment.closed) {
        let text = &notes[comment.start..comment.end];
        let inside = &text[OPEN.len()..text.len() - CLOSE.len()];
        if inside.chars().count() > SHOWN + 24 {
            let beginning: String = inside.chars().take(SHOWN).collect();
            // Whole parts of it, so that no escape is cut.
            let beginning = beginning.rfind(',').map_or(&*beginning, |at| &beginning[..=at]);
            shown.replace_range(comment.start..comment.end, &format!("{OPEN}{beginning}{CUT}{CLOSE}"));
        }
    }
    shown
}

fn join(description: &str, comment: &str) -> String {
    if description.is_empty() { comment.to_owned() } else { format!("{description}\n{comment}") }
}

fn checked(notes: String) -> Result<String, RecordError> {
    let length = notes.chars().count();
    if length > MAX_NOTES { Err(RecordError::TooLong(length)) } else { Ok(notes) }
}

/// Encodes notes as Proxmox keeps them in a configuration file: a `#` line for each line, with `%`, `:`, control
/// characters and everything beyond ASCII percent-encoded. Trailing white space is lost, as in Proxmox.
#[must_use]
pub fn encode_description(text: &str) -> String {
    let text = text.trim_end();
    let mut out = String::with_capacity(text.len() + 16);
    if text.is_empty() {
        return out;
    }
    for line in text.split('\n') {
        out.push('#');
        for byte in line.bytes() {
            if matches!(byte, b' '..=b'~') && byte != b'%' && byte != b':' {
                out.push(char::from(byte));
            } else {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
        out.push('\n');
    }
    out
}

/// Decodes what [`encode_description`] made; also the one-line form that `qm config` prints, with `%0A` for line ends.
/// Trailing white space is dropped.
#[must_use]
pub fn decode_description(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| decode_text(line.strip_prefix('#').unwrap_or(line))).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Undoes the percent-encoding of one line. A `%` that encodes nothing stays; bytes that are no UTF-8 are replaced.
pub(super) fn decode_text(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        bytes.extend_from_slice(&rest[..at]);
        let encoded = rest.get(at + 1).and_then(digit).zip(rest.get(at + 2).and_then(digit));
        let (byte, length) = encoded.map_or((b'%', 1), |(high, low)| (high * 16 + low, 3));
        bytes.push(byte);
        rest = &rest[at + length..];
    }
    bytes.extend_from_slice(rest);
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VmId;
    use proptest::prelude::*;

    fn record() -> Record {
        let mut record = Record::creating("a-->b", VmId::try_from(1000).unwrap());
        record.features.insert("x--y".to_owned(), "<!-- phoenix".to_owned());
        record
    }

    #[test]
    fn encoding_as_recorded() {
        for (text, file) in [
            (
                "Line one: a=b\nLine two % 100% # hash\nümlaut ✓ trailing space \n",
                "#Line one%3A a=b\n#Line two %25 100%25 # hash\n#%C3%BCmlaut %E2%9C%93 trailing space\n",
            ),
            ("[PENDING]\ncores: 7\nname: evil", "#[PENDING]\n#cores%3A 7\n#name%3A evil\n"),
            ("x: y\nz", "#x%3A y\n#z\n"),
            (" qmclone temporary file\n", "# qmclone temporary file\n"),
            ("", ""),
        ] {
            assert_eq!(encode_description(text), file);
            assert_eq!(decode_description(file), text.trim_end());
        }
        assert_eq!(
            decode_description("Line one%3A a=b%0ALine two %25 100%25 # hash"),
            "Line one: a=b\nLine two % 100% # hash"
        );
        assert_eq!(decode_description("#100% %zz %4"), "100% %zz %4");
    }

    #[test]
    fn record_is_replaced_where_it_stands() {
        let notes = with_record("above", &record()).unwrap();
        assert!(notes.starts_with("above\n<!-- phoenix {") && notes.ends_with("} -->"), "{notes}");
        assert_eq!(notes.matches("-->").count(), 1);
        let edited = format!("{notes}\nbelow: text");
        let mut second = record();
        second.project = "other".to_owned();
        let again = with_record(&edited, &second).unwrap();
        assert!(again.starts_with("above\n<!-- ") && again.ends_with("\nbelow: text") && again.contains("\"other\""));
        assert_eq!(split_notes(&again).description, "above\nbelow: text");
        assert_eq!(without_record(&again).unwrap(), "above\nbelow: text");
        let moved = with_description(&again, "new").unwrap();
        assert_eq!(split_notes(&moved).description, "new");
        assert_eq!(split_notes(&moved).record, split_notes(&again).record);
    }

    #[test]
    fn odd_notes() {
        let two = "<!-- phoenix {} -->\na\n<!-- phoenix {} -->";
        assert_eq!(split_notes(two), Marked { description: "a".to_owned(), record: FoundText::Several });
        assert_eq!(with_record(two, &record()), Err(RecordError::Several));
        assert_eq!(with_record("<!-- phoenix {", &record()), Err(RecordError::Unterminated));
        assert_eq!(without_record(two), Err(RecordError::Several));
        assert_eq!(without_record("a <!-- phoenix {"), Err(RecordError::Unterminated));
        assert_eq!(without_record("a <!-- other --> b").unwrap(), "a <!-- other --> b");
        assert_eq!(split_notes("x <!-- phoenix {} -->").description, "x");
        assert_eq!(split_notes("a <!-- other --> b").record, FoundText::None);
        // Another's comment that only begins with the same letters.
        let theirs = "<!-- phoenix-like -->\n<!-- phoenix.md {} -->";
        assert_eq!(split_notes(theirs).record, FoundText::None);
        let both = with_record(theirs, &record()).unwrap();
        assert!(both.starts_with(theirs) && matches!(split_notes(&both).record, FoundText::One(_)), "{both}");
        assert_eq!(without_record(&both).unwrap(), theirs);
        assert!(matches!(with_record(&"ü".repeat(MAX_NOTES), &record()), Err(RecordError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn description_and_record_survive(text in "(?s)([-<>!ab \n\r%:]|\\PC){0,60}") {
            prop_assume!(!text.contains(OPEN));
            let notes = with_record(&text, &record()).unwrap();
            prop_assert_eq!(without_record(&notes).unwrap(), text.trim_end());
            let marked = split_notes(&notes);
            prop_assert_eq!(&marked.description, text.trim_end());
            let FoundText::One(json) = marked.record else { panic!("no record in {notes}") };
            prop_assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record());
            prop_assert_eq!(with_record(&notes, &record()).unwrap(), notes);
        }

        #[test]
        fn decode_undoes_encode(text in "(?s).{0,80}") {
            prop_assert_eq!(decode_description(&encode_description(&text)), text.trim_end());
        }
    }
}
