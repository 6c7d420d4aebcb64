//! The notes of a VM and the words of its snapshots.

use super::super::notes::{decode_text, encode_description};
use super::{Conf, Section};

/// Key of the notes in the form of very old files: one line, encoded.
const DESCRIPTION: &str = "description";

impl Section<'_> {
    /// Its `#` lines, decoded.
    pub(super) fn notes(&self) -> String {
        let lines = || self.lines.iter().filter_map(|line| line.strip_prefix('#'));
        let mut text = String::with_capacity(lines().map(|line| line.len() + 1).sum());
        for rest in lines() {
            text.push_str(&decode_text(rest.trim_end_matches(['\n', '\r'])));
            text.push('\n');
        }
        text
    }
}

impl Conf<'_> {
    /// The notes, decoded, without trailing white space. What a line `description:` says beside `#` lines stands behind
    /// them, so that it is not lost.
    #[must_use]
    pub fn description(&self) -> String {
        let mut text = self.sections.first().map(Section::notes).unwrap_or_default();
        for (_, value) in self.entries().filter(|(key, _)| *key == DESCRIPTION) {
            let more = decode_text(value);
            if text.trim_end() != more.trim_end() {
                text.push_str(&more);
                text.push('\n');
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Replaces the notes; empty ones are removed. They stand at the top of the file.
    pub fn set_description(&mut self, text: &str) {
        let eol = self.eol();
        self.remove(DESCRIPTION);
        let Some(main) = self.sections.first_mut() else { return };
        main.lines.retain(|line| !line.starts_with('#'));
        let block = encode_description(text);
        for (at, line) in block.lines().enumerate() {
            main.insert(at, line.to_owned(), eol);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::observed::Conf;

    #[test]
    fn notes_of_both_forms_are_kept() {
        for (text, notes) in [
            ("#a%3A\n#b\ncores: 1\n", "a:\nb"),
            ("cores: 1\ndescription: a%0Ab\n", "a\nb"),
            ("#a\ndescription: b%3A\n", "a\nb:"),
            ("#same\ndescription: same\n", "same"),
            ("description: a\ndescription: b\n", "a\nb"),
        ] {
            let mut conf = Conf::parse(text);
            assert_eq!(conf.description(), notes, "{text}");
            conf.set_description(&conf.description());
            assert_eq!(conf.description(), notes, "{text}");
            assert_eq!(conf.get("description"), None);
        }
    }
}
