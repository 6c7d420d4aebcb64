//! Where a directory of the node really lies: links followed, and on which file system.

use serde::{Deserialize, Serialize};

/// Where a directory of the node really lies. It need not exist: then its nearest ancestor that does tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its path when all links are followed; empty where they cannot be, as in a ring of links.
    pub real: String,
    /// It is the top of a file system of its own: nothing else can be reached through it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_file_system: bool,
    /// It lies on the node's root file system: whoever fills it fills the node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_root: bool,
}

/// The mounts of a node, from `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mounted>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    device: String,
    /// What of the file system is mounted: `/` is all of it.
    root: String,
    at: String,
}

impl Mounts {
    /// Reads `/proc/self/mountinfo`; lines that are none are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split(' ').skip(2);
            let (device, root, at) = (words.next()?, words.next()?, words.next()?);
            Some(Mounted { device: device.to_owned(), root: unescaped(root), at: unescaped(at) })
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// What is to be said of a path whose links are followed. Nothing is known without mounts, or of no path.
    #[must_use]
    pub fn place(&self, real: String) -> Place {
        if real.is_empty() {
            return Place::default();
        }
        let above = |mount: &&Mounted| {
            mount.at != "/"
                && real.strip_prefix(mount.at.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let top = self.0.iter().rev().find(|mount| mount.at == "/");
        // The later one hides the earlier ones.
        let on = self.0.iter().rev().find(above).or(top);
        let own_file_system = on.is_some_and(|on| on.at == real && on.root == "/" && real != "/");
        let on_root = on.zip(top).is_some_and(|(on, top)| on.device == top.device);
        Place { real, own_file_system, on_root }
    }
}

/// A word of the file: `\ooo` stands for a byte.
fn unescaped(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let digits = more.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let value = digits.map(|digits| digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        let byte = value.and_then(|value| u8::try_from(value).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &more[3..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Mounts;

    const MOUNTS: &str = "\
26 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 26 0:40 / /tank/vms rw shared:9 - zfs tank/vms rw,xattr
31 26 8:2 /srv/data /srv/bound rw - ext4 /dev/sda2 rw
32 26 0:41 / /srv/a\\040b rw - zfs tank/ab rw
33 26 8:17 / /disk rw - xfs /dev/sdb1 rw
34 33 8:17 /part /disk/part rw - xfs /dev/sdb1 rw
35 26 0:42 / /hidden/below rw - zfs x rw
36 26 0:43 / /hidden rw - zfs y rw
short line
";

    #[test]
    fn a_file_system_of_its_own_and_the_one_of_the_node() {
        let mounts = Mounts::parse(MOUNTS);
        for (path, own, on_root) in [
            ("/", false, true),
            ("/srv", false, true),
            ("/quickOS/vm-persistent-data/1000", false, true),
            ("/tank/vms", true, false),
            ("/tank/vms/1000", false, false),
            ("/tank/vmsx", false, true),
            // A part of another file system: all of that can be reached through it.
            ("/srv/bound", false, true),
            ("/srv/a b", true, false),
            ("/disk", true, false),
            ("/disk/part", false, false),
            ("/hidden/below", false, false),
        ] {
            let place = mounts.place(path.to_owned());
            assert_eq!((place.own_file_system, place.on_root), (own, on_root), "{path}");
        }
        let unknown = Mounts::default().place("/srv".to_owned());
        assert!(!unknown.own_file_system && !unknown.on_root);
    }
}
