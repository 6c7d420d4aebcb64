//! A few short names.

use serde::{Deserialize, Serialize};

/// Names in an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct NameList {
    /// A line each. One text: a target may have ten thousand VMs.
    lines: String,
}

impl NameList {
    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }

    /// Whether a name is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|known| known == name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Names in alphabetical order, each once.
    pub(super) fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().collect()
    }
}

impl<'a> FromIterator<&'a str> for NameList {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut lines = String::new();
        // Only a recording may say otherwise.
        for name in names.into_iter().filter(|name| !name.is_empty() && !name.contains(['\n', '\r'])) {
            lines.extend([name, "\n"]);
        }
        Self { lines }
    }
}

impl From<Vec<String>> for NameList {
    fn from(names: Vec<String>) -> Self {
        names.iter().map(String::as_str).collect()
    }
}

impl From<NameList> for Vec<String> {
    fn from(names: NameList) -> Self {
        names.iter().map(str::to_owned).collect()
    }
}
