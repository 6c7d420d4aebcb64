//! `[special:cloudinit]`: what a running VM's cloud-init drive still says.
//!
//! Recorded: while a VM runs, a changed value of cloud-init takes effect in the main section at once, and the value
//! that the drive still has is noted here, until the drive is made anew. A value that was not set before is listed in
//! `added`.

use std::borrow::Cow;

use super::{Conf, Section};

/// Name of the section.
const NAME: &str = "special:cloudinit";

/// Key of the list of options that the drive does not know at all.
const ADDED: &str = "added";

impl Conf<'_> {
    /// Options whose value the cloud-init drive does not have yet.
    #[must_use]
    pub fn not_in_drive(&self) -> Vec<String> {
        let Some(section) = self.drive() else { return Vec::new() };
        let changed = section.entries().filter(|(key, _)| *key != ADDED).map(|(key, _)| key.to_owned());
        let mut keys: Vec<String> = changed.chain(added(section)).collect();
        keys.sort();
        keys
    }

    /// Notes that an option changes from `old` (`None`: it was not set) to `new` while the drive stays as it is.
    pub fn note_drive_change(&mut self, key: &str, old: Option<&str>, new: Option<&str>) {
        if old == new {
            return;
        }
        let eol = self.eol();
        let at = self.drive_section();
        let section = &mut self.sections[at];
        let mut more: Vec<String> = added(section).collect();
        let in_drive = if more.iter().any(|k| k == key) { None } else { section.get(key).or(old).map(str::to_owned) };
        more.retain(|k| k != key);
        section.remove(key);
        match (in_drive, new) {
            (in_drive, new) if in_drive.as_deref() == new => {}
            (Some(value), _) => section.set(key, &value, eol),
            (None, _) => more.push(key.to_owned()),
        }
        section.remove(ADDED);
        if !more.is_empty() {
            section.set(ADDED, &more.join(","), eol);
        }
        if section.is_blank() {
            self.drive_made();
        }
    }

    /// The drive was made anew: it has every value.
    pub fn drive_made(&mut self) {
        if let Some(at) = self.sections.iter().position(is_drive) {
            self.sections.remove(at);
            self.close_up(at);
        }
    }

    fn drive(&self) -> Option<&Section<'_>> {
        self.sections.iter().find(|section| is_drive(section))
    }

    /// Position of the section, which is made at the end if there is none.
    fn drive_section(&mut self) -> usize {
        self.sections.iter().position(is_drive).unwrap_or_else(|| {
            let (eol, last) = (self.eol(), self.sections.len() - 1);
            self.set_apart(last, eol);
            let header = Some(Cow::Owned(format!("[{NAME}]{eol}")));
            self.sections.push(Section { header, lines: Vec::new() });
            last + 1
        })
    }
}

fn is_drive(section: &Section<'_>) -> bool {
    section.name() == Some(NAME)
}

fn added(section: &Section<'_>) -> impl Iterator<Item = String> {
    let list = section.get(ADDED).unwrap_or_default();
    list.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use crate::observed::Conf;

    #[test]
    fn what_the_drive_still_says() {
        let text = "ciuser: b\nname: web\n\n[PENDING]\ncores: 2\n";
        let mut conf = Conf::parse(text);
        assert!(conf.not_in_drive().is_empty());
        conf.note_drive_change("ciuser", Some("a"), Some("b"));
        conf.note_drive_change("nameserver", None, Some("192.0.2.1"));
        conf.note_drive_change("ipconfig0", Some("ip=dhcp"), None);
        assert_eq!(conf.not_in_drive(), ["ciuser", "ipconfig0", "nameserver"]);
        assert!(conf.to_string().starts_with(text));
        assert!(
            conf.to_string().ends_with("\n[special:cloudinit]\nadded: nameserver\nciuser: a\nipconfig0: ip=dhcp\n")
        );
        // What the drive says is what it says, however often the value changes.
        conf.note_drive_change("ciuser", Some("b"), Some("c"));
        assert!(conf.to_string().contains("\nciuser: a\n"));
        conf.note_drive_change("ciuser", Some("c"), Some("a"));
        conf.note_drive_change("nameserver", Some("192.0.2.1"), None);
        assert_eq!(conf.not_in_drive(), ["ipconfig0"]);
        conf.note_drive_change("ipconfig0", None, Some("ip=dhcp"));
        assert_eq!(conf.to_string(), text);
        conf.note_drive_change("ciuser", Some("a"), Some("b"));
        conf.drive_made();
        assert_eq!(conf.to_string(), text);
    }

    #[test]
    fn as_it_was_recorded() {
        let conf = Conf::parse("name: b\n\n[special:cloudinit]\nadded: net1\nipconfig0: ip=dhcp\nname: a\n");
        assert_eq!(conf.not_in_drive(), ["ipconfig0", "name", "net1"]);
        assert_eq!(conf.snapshots().count(), 0);
    }
}
