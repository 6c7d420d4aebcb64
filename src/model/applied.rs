//! What was applied to a VM, as its record keeps it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Texts by their names: key of the config → value as text.
///
/// As a map of strings it would be the largest part of what is known of a VM. It is one text with the places at which
/// names and values end, as a target may have ten thousand VMs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Name and value of one entry after the other.
    text: String,
    /// Where the name and the value of each entry end in the text; entries are sorted by name, and each name is there
    /// once.
    ends: Vec<(usize, usize)>,
}

impl Applied {
    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether there is something under a name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (name, value))| (&self.text[start..*name], &self.text[*name..*value]))
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Puts a value under a name, in place of the one that is there.
    pub fn insert(&mut self, name: &str, value: &str) {
        *self = self.iter().chain([(name, value)]).collect();
    }

    /// Takes the value under a name away.
    pub fn remove(&mut self, name: &str) {
        self.retain(|known, _| known != name);
    }

    /// Keeps what fits.
    pub fn retain(&mut self, fits: impl Fn(&str, &str) -> bool) {
        *self = self.iter().filter(|(name, value)| fits(name, value)).collect();
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn with_capacity(text: usize, entries: usize) -> Self {
        Self { text: String::with_capacity(text), ends: Vec::with_capacity(entries) }
    }

    /// The same, of entries in any order; of a name that stands twice the last counts.
    fn sorted(self) -> Self {
        if self.keys().zip(self.keys().skip(1)).all(|(name, next)| name < next) { self } else { self.iter().collect() }
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Applied {
    /// Takes entries; of a name that stands twice the last counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let length = entries.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let mut applied = Self::with_capacity(length, entries.len());
        for (at, (name, value)) in entries.iter().enumerate() {
            if entries.get(at + 1).is_some_and(|(next, _)| next.as_ref() == name.as_ref()) {
                continue;
            }
            applied.text.push_str(name.as_ref());
            let end = applied.text.len();
            applied.text.push_str(value.as_ref());
            applied.ends.push((end, applied.text.len()));
        }
        applied
    }
}

impl Serialize for Applied {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Applied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// Reads a map of texts.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Applied;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Applied, A::Error> {
        // What most VMs have.
        let mut applied = Applied::with_capacity(256, 12);
        while map.next_key_seed(Appended(&mut applied.text))?.is_some() {
            let name = applied.text.len();
            map.next_value_seed(Appended(&mut applied.text))?;
            applied.ends.push((name, applied.text.len()));
        }
        applied.text.shrink_to_fit();
        applied.ends.shrink_to_fit();
        Ok(applied.sorted())
    }
}

/// Reads a text to the end of another.
struct Appended<'t>(&'t mut String);

impl<'de> DeserializeSeed<'de> for Appended<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Appended<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Applied;

    #[test]
    fn is_a_map() {
        let json = r#"{"tags":"a","":"x","cpu_cores":"2","tags":"","ü\u0000":"\"\n"}"#;
        let applied: Applied = serde_json::from_str(json).unwrap();
        let map: BTreeMap<String, String> = serde_json::from_str(json).unwrap();
        assert!(applied.iter().eq(map.iter().map(|(name, value)| (name.as_str(), value.as_str()))), "{applied:?}");
        assert_eq!(serde_json::to_string(&applied).unwrap(), serde_json::to_string(&map).unwrap());
        assert_eq!((applied.get("tags"), applied.get(""), applied.get("a")), (Some(""), Some("x"), None));
        let (mut applied, mut names) = (applied, vec![]);
        applied.insert("memory_mb", "512");
        applied.insert("cpu_cores", "4");
        applied.remove("ü\0");
        applied.retain(|name, value| {
            assert_ne!(name, value);
            !name.is_empty()
        });
        names.extend(applied.iter());
        assert_eq!(names, [("cpu_cores", "4"), ("memory_mb", "512"), ("tags", "")]);
        assert_eq!(applied, [("tags", ""), ("cpu_cores", "4"), ("memory_mb", "512")].into_iter().collect());
        for wrong in ["[]", r#"{"a":1}"#, r#"{"a":null}"#, "1"] {
            let said = serde_json::from_str::<Applied>(wrong).unwrap_err().to_string();
            assert_eq!(said, serde_json::from_str::<BTreeMap<String, String>>(wrong).unwrap_err().to_string());
        }
        applied.clear();
        assert!(applied.is_empty() && applied == Applied::default());
    }
}
