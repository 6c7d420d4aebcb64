//! The options of a VM, one beside the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pending::HIDDEN;

/// The options of a VM's configuration in the pending view: what they will be after the next stop and start.
///
/// The notes are not among them; of the password and the keys of cloud-init only that they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct LiveOptions {
    /// `key: value`, a line each, sorted by key. One text: a target may have ten thousand VMs.
    lines: String,
}

/// Options of which only that they are set is kept.
const SECRET: [&str; 2] = ["cipassword", "sshkeys"];

impl LiveOptions {
    /// The value of an option, if it is set.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&str> {
        // Of the options that follow, none begins with an earlier letter.
        let start = option.as_bytes().first();
        let mut lines = self.lines.split_terminator('\n').take_while(|line| line.as_bytes().first() <= start);
        lines.find_map(|line| line.strip_prefix(option)?.strip_prefix(": "))
    }

    /// The options and their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        // No option has a colon in its name.
        self.lines.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            Some((key, value.strip_prefix(' ')?))
        })
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The same options with others set and deleted.
    pub(super) fn with<'a>(&'a self, edits: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut options: BTreeMap<&str, &str> = self.iter().collect();
        for (option, value) in edits {
            match value {
                Some(value) => options.insert(option, value),
                None => options.remove(option),
            };
        }
        options.into_iter().collect()
    }
}

/// Whether it can be the name of an option, which only a recording may say otherwise. The notes are kept apart.
fn is_option(option: &str) -> bool {
    option != "description" && option.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl<'a> FromIterator<(&'a str, &'a str)> for LiveOptions {
    /// Takes options; of one that stands twice the last counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(options: I) -> Self {
        let shown = |(option, value)| (option, if SECRET.contains(&option) { HIDDEN } else { value });
        let mut options: Vec<(&str, &str)> =
            options.into_iter().filter(|(option, _)| is_option(option)).map(shown).collect();
        options.sort_by_key(|(option, _)| *option);
        let mut lines =
            String::with_capacity(options.iter().map(|(option, value)| option.len() + value.len() + 3).sum());
        for (at, (option, value)) in options.iter().enumerate() {
            if options.get(at + 1).is_some_and(|(next, _)| next == option) {
                continue;
            }
            // A line break would begin an option of its own.
            lines.extend([option, ": "]);
            lines.extend(value.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }));
            lines.push('\n');
        }
        Self { lines }
    }
}

impl From<BTreeMap<String, String>> for LiveOptions {
    fn from(options: BTreeMap<String, String>) -> Self {
        options.iter().map(|(option, value)| (option.as_str(), value.as_str())).collect()
    }
}

impl From<LiveOptions> for BTreeMap<String, String> {
    fn from(options: LiveOptions) -> Self {
        options.iter().map(|(option, value)| (option.to_owned(), value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_counts_and_nothing_begins_a_line() {
        let options: LiveOptions =
            [("memory", "512"), ("x\nname", "y"), ("cores", "1\nmemory: 9"), ("memory", "1024"), ("sshkeys", "x")]
                .into_iter()
                .collect();
        assert_eq!(options.lines, "cores: 1 memory: 9\nmemory: 1024\nsshkeys: **********\n");
        assert_eq!((options.get("memory"), options.get("cores")), (Some("1024"), Some("1 memory: 9")));
        let written = options.with([("cores", None), ("sshkeys", None), ("tags", Some("a"))].into_iter());
        assert_eq!(written.lines, "memory: 1024\ntags: a\n");
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(json, r#"{"memory":"1024","tags":"a"}"#);
        assert_eq!(serde_json::from_str::<LiveOptions>(&json).unwrap(), written);
    }
}
