//! NFS exports of a node: `/etc/exports` and `/etc/exports.d/*.exports`, as exports(5) describes them.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::VmId;

/// A directory exported to one kind of client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The VM whose file of phoenix's it stands in; `None`: it is not phoenix's.
    pub vm: Option<VmId>,
    /// Exported directory.
    pub path: String,
    /// Who may mount it: an address, a network, a name, a pattern; `*` is everybody.
    pub client: String,
    /// Clients may write, and their root stays root: what phoenix's own exports allow.
    pub full: bool,
}

impl Export {
    /// Name of the file in `/etc/exports.d` that holds the exports of a VM.
    #[must_use]
    pub fn file_name(vm: VmId) -> String {
        format!("phoenix-{vm}.exports")
    }

    /// The VM whose exports a file of this name holds, if it is one of phoenix's.
    #[must_use]
    pub fn owner(file: &str) -> Option<VmId> {
        file.strip_prefix("phoenix-").and_then(|rest| rest.strip_suffix(".exports")?.parse().ok())
    }

    /// Reads a file of exports; `file` is its name, which tells whether it is one of phoenix's.
    #[must_use]
    pub fn parse(file: &str, text: &str) -> Vec<Self> {
        let vm = Self::owner(file);
        let text = text.replace("\\\n", " ");
        let mut exports = Vec::new();
        for line in text.lines() {
            let words = words(line);
            let Some((path, clients)) = words.split_first() else { continue };
            let mut defaults = "";
            let mut any = false;
            for client in clients {
                if let Some(options) = client.strip_prefix('-') {
                    defaults = options;
                    continue;
                }
                let (name, own) = client
                    .split_once('(')
                    .map_or((client.as_str(), ""), |(name, rest)| (name, rest.trim_end_matches(')')));
                let name = if name.is_empty() { "*" } else { name };
                any = true;
                exports.push(Self {
                    vm,
                    path: path.clone(),
                    client: name.to_owned(),
                    full: allows(defaults.split(',').chain(own.split(','))),
                });
            }
            if !any {
                exports.push(Self {
                    vm,
                    path: path.clone(),
                    client: "*".to_owned(),
                    full: allows(defaults.split(',')),
                });
            }
        }
        exports
    }

    /// Whether a client with this address may use a directory fully through this export.
    ///
    /// An export of a directory further up covers it as well. A name or a pattern covers no guest for sure.
    #[must_use]
    pub fn covers(&self, directory: &str, client: IpAddr) -> bool {
        self.full && is_above(&self.path, directory) && holds(&self.client, client)
    }

    /// Whether everybody may use a directory fully through this export.
    #[must_use]
    pub fn is_open(&self, directory: &str) -> bool {
        self.full && is_above(&self.path, directory) && self.client == "*"
    }
}

/// Whether an export's directory is the directory or above it.
fn is_above(export: &str, directory: &str) -> bool {
    let rest = directory.strip_prefix(export.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the options come to: the later of two that contradict each other counts.
fn allows<'o>(options: impl Iterator<Item = &'o str>) -> bool {
    let (mut write, mut root) = (false, false);
    for option in options {
        match option.trim() {
            "rw" => write = true,
            "ro" => write = false,
            "no_root_squash" => root = true,
            "root_squash" | "all_squash" => root = false,
            _ => {}
        }
    }
    write && root
}

/// Whether a client specification certainly holds for an address.
fn holds(client: &str, address: IpAddr) -> bool {
    if client == "*" {
        return true;
    }
    let Some((net, mask)) = client.split_once('/') else {
        return client.parse::<IpAddr>().is_ok_and(|one| one == address);
    };
    let Ok(net) = net.parse::<IpAddr>() else { return false };
    let prefix = match mask.parse::<core::net::Ipv4Addr>() {
        Ok(mask) => u32::from(mask).leading_ones(),
        Err(_) => match mask.parse() {
            Ok(prefix) => prefix,
            Err(_) => return false,
        },
    };
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            u32::from(net) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(net), IpAddr::V6(address)) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            u128::from(net) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

/// The words of a line up to a comment; a word may be quoted, and `\ooo` stands for a byte.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = line.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'#' if !quoted && word.is_none() => break,
            b' ' | b'\t' if !quoted => words.extend(word.take()),
            b'\\' => {
                let digits: Vec<u8> =
                    std::iter::from_fn(|| bytes.next_if(|b| (b'0'..=b'7').contains(b))).take(3).collect();
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                let byte = if digits.len() == 3 { u8::try_from(value).unwrap_or(b'?') } else { b'\\' };
                word.get_or_insert_default().push(byte);
                if digits.len() != 3 {
                    word.get_or_insert_default().extend(digits);
                }
            }
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect()
}

/// First line of a VM's file.
pub const EXPORTS_HEADER: &str = "# Written by phoenix; it is replaced whenever the VM's exports change.\n";

/// The line of a VM's file that exports a directory to one client: `rw,sync,no_root_squash`, and whether the server
/// looks at each request if it stays within the directory.
///
/// It has to (`subtree_check`): a file handle names an inode of a file system, not a place in a directory, and root in
/// a guest can make up handles as it likes. Unchecked, a guessed one reaches every file of the file system that the
/// directory lies on, `/etc` of the node among them. Only where the directory is the top of a file system of its own
/// (`own_file_system`) there is nothing else to reach; there the check is left out, because it makes handles invalid
/// that are in use when their file moves to another directory. Whether that is so is best known where the file is
/// written, at that moment.
///
/// Every byte of a path that could mean something to `exportfs` is written as `\ooo`. The caller made sure that the
/// client is an address.
#[must_use]
pub fn export_line(path: &str, client: &str, own_file_system: bool) -> String {
    let mut text = String::with_capacity(path.len() + 64);
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\{byte:03o}"));
        }
    }
    let check = if own_file_system { "no_subtree_check" } else { "subtree_check" };
    text.push_str(&format!(" {client}(rw,sync,{check},no_root_squash)\n"));
    text
}

/// The text of a VM's file: directories, each with the address of its client, none of them a file system of its own.
#[must_use]
pub fn print_exports<'e>(entries: impl IntoIterator<Item = (&'e str, &'e str)>) -> String {
    let lines = entries.into_iter().map(|(path, client)| export_line(path, client, false));
    lines.fold(EXPORTS_HEADER.to_owned(), |text, line| text + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, directory: &str, client: &str, covered: bool) {
        let exports = Export::parse("exports", text);
        let found = exports.iter().any(|export| export.covers(directory, client.parse().unwrap()));
        assert_eq!(found, covered, "{text} {directory} {client}: {exports:?}");
    }

    #[test]
    fn coverage_follows_paths_clients_and_options() {
        let full = "(rw,no_root_squash)";
        check(&format!("/srv/a 192.0.2.7{full}\n"), "/srv/a", "192.0.2.7", true);
        check(&format!("/srv/a 192.0.2.7{full}\n"), "/srv/a/b", "192.0.2.7", true);
        check(&format!("/srv/a 192.0.2.7{full}\n"), "/srv/ab", "192.0.2.7", false);
        check(&format!("/srv/a 192.0.2.7{full}\n"), "/srv/a", "192.0.2.8", false);
        check(&format!("/srv/a 192.0.2.0/24{full} # all\n"), "/srv/a", "192.0.2.8", true);
        check(&format!("/srv/a 192.0.2.0/255.255.255.0{full}\n"), "/srv/a", "192.0.3.8", false);
        check(&format!("/srv/a 0.0.0.0/0{full}\n"), "/srv/a", "192.0.3.8", true);
        check(&format!("/srv/a 2001:db8::/32{full}\n"), "/srv/a", "2001:db8::5", true);
        check("/srv/a *(rw)\n", "/srv/a", "192.0.2.7", false);
        check("/srv/a *(ro,no_root_squash)\n", "/srv/a", "192.0.2.7", false);
        check("/srv/a -rw,no_root_squash 192.0.2.7 *(ro)\n", "/srv/a", "192.0.2.7", true);
        check(&format!("/srv/a \\\n *{full}\n"), "/srv/a", "192.0.2.7", true);
        check(&format!("/srv/a *.example.com{full} @group{full}\n"), "/srv/a", "192.0.2.7", false);
        check(&format!("#/srv/a *{full}\n"), "/srv/a", "192.0.2.7", false);
        check(&format!("\"/srv/a b\" *{full}\n"), "/srv/a b", "192.0.2.7", true);
        check(&format!("/ *{full}\n"), "/srv", "192.0.2.7", true);
    }

    #[test]
    fn only_phoenix_s_own_files_belong_to_a_vm() {
        for (file, vm) in [("phoenix-1000.exports", Some(1000)), ("exports", None), ("phoenix-x.exports", None)] {
            let exports = Export::parse(file, "/a *(rw)\n");
            assert_eq!(exports[0].vm.map(VmId::get), vm, "{file}");
        }
    }

    proptest::proptest! {
        /// Whatever a path holds, it stays one word of one line, and no other client is let in.
        #[test]
        fn a_path_is_read_back_as_it_was(path in "/[^\0]{0,60}", last in 1_u8..255) {
            let client = IpAddr::from([192, 0, 2, last]);
            let text = print_exports([(path.as_str(), client.to_string().as_str())]);
            proptest::prop_assert!(text.is_ascii() && text.lines().count() == 2);
            let exports = Export::parse("phoenix-1000.exports", &text);
            proptest::prop_assert_eq!(exports.len(), 1);
            proptest::prop_assert_eq!(&exports[0].path, &path);
            proptest::prop_assert_eq!(&exports[0].client, &client.to_string());
        }
    }
}
