//! Proxmox VM configuration files, kept to the byte.
//!
//! A file is a main section, then sections that start with a line `[NAME]`: `[PENDING]` for changes that wait for a
//! stop, one per snapshot, and `[special:…]`. Lines are `key: value`; lines that start with `#` hold the notes, encoded
//! as [`super::encode_description`] does. Whatever is not understood is carried along untouched.

use std::borrow::Cow;
use std::fmt;

mod special;
mod texts;

/// Name of the section with pending changes.
pub const PENDING: &str = "PENDING";

/// A VM configuration file as Proxmox stores it.
///
/// Reading borrows from the text. `Conf::parse(text).to_string() == text` for every text; an edit changes the lines it
/// is about and no others. Where a key stands twice the last one counts, as in Proxmox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf<'a> {
    /// The main section first, without a header; never empty.
    sections: Vec<Section<'a>>,
}

/// Lines of one section, each with its line ending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Section<'a> {
    header: Option<Cow<'a, str>>,
    lines: Vec<Cow<'a, str>>,
}

/// Key and value of a line `key: value`.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let mut bytes = key.bytes();
    let plain = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    plain.then(|| (key, value.trim()))
}

/// Name in a line `[NAME]`.
fn header_name(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.trim_end().strip_suffix(']')
}

/// The ending of a line: nothing, `\n` or `\r\n`.
fn ending(line: &str) -> &str {
    let bare = line.strip_suffix('\n').map_or(line, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    &line[bare.len()..]
}

impl Section<'_> {
    fn name(&self) -> Option<&str> {
        self.header.as_deref().and_then(header_name)
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| entry(line))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.entries().rev().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    fn set(&mut self, key: &str, value: &str, eol: &str) {
        // A line break would start a line of its own, a way to smuggle in other options.
        let value = value.replace(['\n', '\r'], " ");
        let text = format!("{key}: {value}");
        if let Some(last) = self.lines.iter().rposition(|line| entry(line).is_some_and(|(k, _)| k == key)) {
            let ending = ending(&self.lines[last]).to_owned();
            self.lines[last] = Cow::Owned(text + &ending);
            return;
        }
        let at =
            self.lines.iter().position(|line| entry(line).is_some_and(|(k, _)| k > key)).unwrap_or_else(|| {
                self.lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1)
            });
        self.insert(at, text, eol);
    }

    fn insert(&mut self, at: usize, text: String, eol: &str) {
        let before = if at == 0 { self.header.as_mut() } else { self.lines.get_mut(at - 1) };
        if let Some(line) = before
            && ending(line).is_empty()
        {
            line.to_mut().push_str(eol);
        }
        self.lines.insert(at, Cow::Owned(text + eol));
    }

    fn remove(&mut self, key: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| entry(line).is_none_or(|(k, _)| k != key));
        self.lines.len() != before
    }

    fn is_blank(&self) -> bool {
        self.lines.iter().all(|line| line.trim().is_empty())
    }
}

impl<'a> Conf<'a> {
    /// Reads a configuration file. Every text is accepted.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let mut sections = vec![Section { header: None, lines: Vec::with_capacity(24) }];
        for line in text.split_inclusive('\n') {
            if header_name(line).is_some() {
                sections.push(Section { header: Some(Cow::Borrowed(line)), lines: Vec::new() });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(Cow::Borrowed(line));
            }
        }
        Self { sections }
    }

    /// The value of a key in the main section: what the VM has now.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.sections.first()?.get(key)
    }

    /// Sets a key in the main section. A new key goes where Proxmox would put it: keys are sorted. Line breaks in the
    /// value become spaces.
    pub fn set(&mut self, key: &str, value: &str) {
        let eol = self.eol();
        if let Some(main) = self.sections.first_mut() {
            main.set(key, value, eol);
        }
    }

    /// Removes a key from the main section and tells whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.sections.first_mut().is_some_and(|main| main.remove(key))
    }

    /// Keys and values of the main section, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().take(1).flat_map(Section::entries)
    }

    /// The value that waits for a stop.
    #[must_use]
    pub fn pending(&self, key: &str) -> Option<&str> {
        (key != "delete").then(|| self.pending_section()?.get(key)).flatten()
    }

    /// Keys and values that wait for a stop, without the list of deletions.
    pub fn pending_entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pending_section().into_iter().flat_map(Section::entries).filter(|(key, _)| *key != "delete")
    }

    /// Makes a value wait for a stop; a deletion that waited for the same key is dropped.
    pub fn set_pending(&mut self, key: &str, value: &str) {
        self.drop_pending_delete(key);
        self.edit_pending(|section, eol| section.set(key, value, eol));
    }

    /// Drops whatever waits for a key: a value or a deletion.
    pub fn clear_pending(&mut self, key: &str) {
        self.drop_pending_delete(key);
        if self.pending(key).is_some() {
            self.edit_pending(|section, _| {
                section.remove(key);
            });
        }
    }

    /// Keys whose deletion waits for a stop, each with whether it is forced (`!key` in the file).
    pub fn pending_deletes(&self) -> impl Iterator<Item = (&str, bool)> {
        self.pending_section()
            .and_then(|section| section.get("delete"))
            .unwrap_or_default()
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(|word| word.strip_prefix('!').map_or((word, false), |key| (key, true)))
    }

    /// Makes the deletion of a key wait for a stop; a value that waited for the same key is dropped.
    pub fn delete_pending(&mut self, key: &str) {
        self.clear_pending(key);
        let mut words = self.delete_words();
        words.push(key.to_owned());
        self.edit_pending(|section, eol| section.set("delete", &words.join(","), eol));
    }

    /// Drops the whole `[PENDING]` section.
    pub fn drop_pending(&mut self) {
        if self.pending_section().is_some() {
            self.edit_pending(|section, _| section.lines.clear());
        }
    }

    /// Names of the snapshots, in the order of the file.
    pub fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().filter_map(Section::name).filter(|name| !is_pending(name) && !name.starts_with("special:"))
    }

    /// Names of the snapshots that a task has not finished with: Proxmox marks them by `snapstate`.
    pub fn half_snapshots(&self) -> impl Iterator<Item = &str> {
        self.snapshots().filter(|name| {
            self.sections.iter().any(|section| section.name() == Some(name) && section.get("snapstate").is_some())
        })
    }

    /// The words of a snapshot, decoded.
    pub fn snapshot_notes(&self, name: &str) -> String {
        let section = self.sections.iter().find(|section| section.name() == Some(name));
        section.map(Section::notes).unwrap_or_default()
    }

    /// Keys and values behind the main section: of snapshots, and what waits for a stop.
    pub fn other_entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().skip(1).flat_map(Section::entries)
    }

    /// What stands in the sections of snapshots: name of the snapshot, option and value.
    pub fn snapshot_entries(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let named = self.sections.iter().filter_map(|section| Some((section.name()?, section)));
        let named = named.filter(|(name, _)| self.snapshots().any(|snapshot| snapshot == *name));
        named.flat_map(|(name, section)| section.entries().map(move |(key, value)| (name, key, value)))
    }

    /// Drops every section behind the main one: pending changes, snapshots, cloud-init bookkeeping.
    pub fn drop_sections(&mut self) {
        self.sections.truncate(1);
        self.trim_blank_end(0);
    }

    fn pending_section(&self) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name().is_some_and(is_pending))
    }

    fn delete_words(&self) -> Vec<String> {
        self.pending_deletes().map(|(key, forced)| if forced { format!("!{key}") } else { key.to_owned() }).collect()
    }

    fn drop_pending_delete(&mut self, key: &str) {
        if !self.pending_deletes().any(|(k, _)| k == key) {
            return;
        }
        let words: Vec<String> =
            self.delete_words().into_iter().filter(|word| word.trim_start_matches('!') != key).collect();
        self.edit_pending(|section, eol| {
            if words.is_empty() {
                section.remove("delete");
            } else {
                section.set("delete", &words.join(","), eol);
            }
        });
    }

    /// Edits the section of pending changes, which comes into being and goes as needed.
    fn edit_pending(&mut self, edit: impl FnOnce(&mut Section<'a>, &str)) {
        let eol = self.eol();
        let at = self.sections.iter().position(|section| section.name().is_some_and(is_pending)).unwrap_or_else(|| {
            // The blank line that keeps it apart: behind it where another section follows.
            let lines = Vec::from_iter((self.sections.len() > 1).then_some(Cow::Borrowed(eol)));
            if lines.is_empty() {
                self.set_apart(0, eol);
            }
            let header = Some(Cow::Owned(format!("[{PENDING}]{eol}")));
            self.sections.insert(1, Section { header, lines });
            1
        });
        let Some(section) = self.sections.get_mut(at) else { return };
        edit(section, eol);
        if section.is_blank() {
            self.sections.remove(at);
            self.close_up(at);
        }
    }

    /// Puts a blank line behind the last section, for another one.
    fn set_apart(&mut self, last: usize, eol: &'static str) {
        self.terminate(last, eol);
        if let Some(section) = self.sections.get_mut(last) {
            section.lines.push(Cow::Borrowed(eol));
        }
    }

    /// Takes that blank line away again, where the section that was removed from here was the last one.
    fn close_up(&mut self, at: usize) {
        if at == self.sections.len()
            && let Some(before) = self.sections.get_mut(at - 1)
        {
            before.lines.pop_if(|line| line.trim().is_empty());
        }
    }

    /// Removes blank lines at the end of a section.
    fn trim_blank_end(&mut self, at: usize) {
        if let Some(section) = self.sections.get_mut(at) {
            while section.lines.last().is_some_and(|line| line.trim().is_empty()) {
                section.lines.pop();
            }
        }
    }

    /// Ends the last line of a section if it is not.
    fn terminate(&mut self, at: usize, eol: &str) {
        if let Some(line) = self.sections.get_mut(at).and_then(|section| section.lines.last_mut())
            && ending(line).is_empty()
        {
            line.to_mut().push_str(eol);
        }
    }

    /// The line ending new lines get: that of the first line.
    fn eol(&self) -> &'static str {
        let first = self.sections.iter().flat_map(|section| section.header.iter().chain(&section.lines)).next();
        if first.is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
    }
}

fn is_pending(name: &str) -> bool {
    name.eq_ignore_ascii_case(PENDING)
}

impl fmt::Display for Conf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            for line in section.header.iter().chain(&section.lines) {
                f.write_str(line)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "#one%3A a\n#two\nagent: enabled=1\ncores: 2\nname: g1\nodd line\ntags: a;b\n\n[PENDING]\ncores: 1\ndelete: ipconfig0,!net1\n\n[snap1]\n#before\ncores: 9\n\n[special:cloudinit]\nname: g0\n";

    #[test]
    fn reading() {
        let conf = Conf::parse(FULL);
        assert_eq!(conf.get("cores"), Some("2"));
        assert_eq!(conf.get("odd"), None);
        assert_eq!(conf.pending("cores"), Some("1"));
        assert_eq!(conf.pending("delete"), None);
        assert_eq!(conf.pending_deletes().collect::<Vec<_>>(), [("ipconfig0", false), ("net1", true)]);
        assert_eq!(conf.snapshots().collect::<Vec<_>>(), ["snap1"]);
        assert_eq!(conf.description(), "one: a\ntwo");
        assert_eq!(conf.entries().map(|(k, _)| k).collect::<Vec<_>>(), ["agent", "cores", "name", "tags"]);
        assert_eq!(Conf::parse("cores: 1\ncores: 3\n").get("cores"), Some("3"));
        assert_eq!(Conf::parse("boot:  \n").get("boot"), Some(""));
    }

    #[test]
    fn editing_changes_only_its_lines() {
        let mut conf = Conf::parse(FULL);
        conf.set("cores", "4");
        conf.set("memory", "512");
        conf.set("vga", "a\nb: c");
        assert!(conf.remove("tags"));
        conf.set_description("new\n\nlast");
        let want = "#new\n#\n#last\nagent: enabled=1\ncores: 4\nmemory: 512\nname: g1\nodd line\nvga: a b: c\n";
        assert_eq!(conf.to_string(), format!("{want}{}", &FULL[FULL.find("\n[PENDING]").unwrap()..]));
    }

    #[test]
    fn pending_section_comes_and_goes() {
        let mut conf = Conf::parse("cores: 2");
        conf.set_pending("memory", "1024");
        conf.delete_pending("balloon");
        assert_eq!(conf.to_string(), "cores: 2\n\n[PENDING]\ndelete: balloon\nmemory: 1024\n");
        conf.set_pending("balloon", "0");
        conf.clear_pending("memory");
        assert_eq!(conf.to_string(), "cores: 2\n\n[PENDING]\nballoon: 0\n");
        conf.clear_pending("balloon");
        assert_eq!(conf.to_string(), "cores: 2\n");
        // Blank lines of others stay.
        for text in ["cores: 2\n\n\n", "cores: 2\n\n\n\n[snap]\ncores: 1\n\n", "cores: 2\n[snap]\ncores: 1"] {
            let mut conf = Conf::parse(text);
            conf.set_pending("cores", "3");
            conf.clear_pending("cores");
            assert_eq!(conf.to_string(), text);
        }
        let mut conf = Conf::parse("cores: 2\r\n\r\n[snap]\r\ncores: 1\r\n");
        conf.set_pending("cores", "3");
        assert_eq!(conf.to_string(), "cores: 2\r\n\r\n[PENDING]\r\ncores: 3\r\n\r\n[snap]\r\ncores: 1\r\n");
        conf.drop_pending();
        assert_eq!(conf.to_string(), "cores: 2\r\n\r\n[snap]\r\ncores: 1\r\n");
    }
}
