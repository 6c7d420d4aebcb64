//! The rule: which directories of a node VMs may have, by where they really lie.

use crate::model::{PERSISTENT_DATA, allowed_path, is_at_or_below, is_below, is_system_path, normal_path};
use crate::observed::Node;

/// What VMs may have of a node.
pub(super) struct Rule<'a> {
    /// Directories of which only what lies below may be given: built in, or of storages of type nfs.
    shared: Vec<String>,
    /// Directories that an administrator named, which may be given themselves.
    named: Vec<String>,
    /// Where storages keep what they hold, each with the storage's id.
    content: Vec<(String, &'a str)>,
}

/// Why no VM may have a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to the operating system.
    System,
    /// The storage with this id keeps what it holds there, or below.
    Storage(String),
    /// It is this directory, in which those of all VMs lie, or above it.
    Whole(String),
    /// Nothing allows it.
    NotAllowed,
}

impl<'a> Rule<'a> {
    /// Gathers what the node, its administrator and the command line (`asked`) allow.
    pub(super) fn of(node: &'a Node, asked: &[String]) -> Self {
        let (mut shared, mut content) = (vec![PERSISTENT_DATA.to_owned()], Vec::new());
        for (id, storage) in &node.storages {
            // Where the node itself serves what the storage shows, it is the same directory under another name.
            let own = storage.nfs.as_ref().filter(|nfs| node.is_server(&nfs.server)).map(|nfs| &nfs.export);
            for files in storage.path.iter().chain(own).map(|path| normal_path(path)) {
                let below = |dir: &str| (normal_path(&format!("{files}/{dir}")), id.as_str());
                content.extend(storage.content().map(below));
                if storage.kind == "nfs" && !is_system_path(&files) {
                    shared.push(files);
                }
            }
        }
        // What was typed was looked at before; what a saved plan says may be anything.
        let typed = asked.iter().filter_map(|path| allowed_path(path).ok());
        let named = node.allowed.host_paths.iter().cloned().chain(typed).collect();
        Self { shared, named, content }
    }

    /// The directory with all below it that VMs can be given, and that a path is or lies in.
    pub(super) fn given(&self, path: &str) -> Option<&str> {
        self.shared.iter().chain(&self.named).find(|root| is_at_or_below(path, root)).map(String::as_str)
    }

    /// Why no VM may have a directory, which really lies at `real`.
    pub(super) fn refuses(&self, real: &str) -> Option<Verdict> {
        if is_system_path(real) {
            return Some(Verdict::System);
        }
        // A directory above holds it as well: what is exported is exported with all that is in it.
        if let Some(root) = self.shared.iter().find(|root| is_at_or_below(root, real)) {
            return Some(Verdict::Whole(root.clone()));
        }
        let holds = |dir: &String| is_at_or_below(real, dir) || is_at_or_below(dir, real);
        if let Some((_, id)) = self.content.iter().find(|(dir, _)| holds(dir)) {
            return Some(Verdict::Storage((*id).to_owned()));
        }
        let allowed = self.shared.iter().any(|root| is_below(real, root))
            || self.named.iter().any(|root| is_at_or_below(real, root));
        (!allowed).then_some(Verdict::NotAllowed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, Verdict};
    use crate::observed::{NfsSource, Node, Storage};

    fn storage(kind: &str, path: Option<&str>, nfs: Option<(&str, &str)>, content_dirs: &str) -> Storage {
        Storage {
            kind: kind.to_owned(),
            images: true,
            isos: false,
            active: true,
            total: 0,
            free: 0,
            shared: false,
            thick: false,
            nfs: nfs.map(|(server, export)| NfsSource { server: server.to_owned(), export: export.to_owned() }),
            path: path.map(ToOwned::to_owned),
            snippets: None,
            content_dirs: Storage::parse_content_dirs(content_dirs),
        }
    }

    #[test]
    fn the_rule() {
        let mut node = Node::default();
        node.addresses.insert("192.0.2.1".to_owned());
        let storages = [
            ("local", storage("dir", Some("/var/lib/vz"), None, "")),
            ("zfs", storage("zfspool", None, None, "")),
            ("nas", storage("nfs", Some("/mnt/pve/nas/"), Some(("192.0.2.9", "/vol/pve")), "")),
            (
                "own",
                storage("nfs", Some("/mnt/pve/own"), Some(("192.0.2.1", "/tank/own")), "iso=isos,backup=/old/dumps/"),
            ),
            ("all", storage("nfs", Some("/mnt/pve/all"), Some(("192.0.2.1", "/")), "")),
            ("smb", storage("cifs", Some("/mnt/pve/smb"), None, "")),
        ];
        node.storages.extend(storages.map(|(id, storage)| (id.to_owned(), storage)));
        node.allowed.host_paths =
            ["/srv/nfs", "/var/lib", "/var/lib/vz", "/mnt", "/tank", "/quickOS"].map(Into::into).into();
        let rule = Rule::of(&node, &["/data".to_owned(), "/".to_owned(), "/etc".to_owned(), "/x/../etc".to_owned()]);
        let storage = |id: &str| Some(Verdict::Storage(id.to_owned()));
        let whole = |root: &str| Some(Verdict::Whole(root.to_owned()));
        for (path, wanted) in [
            ("/quickOS/vm-persistent-data/1000", None),
            ("/quickOS/vm-persistent-data/1000/below", None),
            ("/quickOS/vm-persistent-data", whole("/quickOS/vm-persistent-data")),
            ("/quickOS", whole("/quickOS/vm-persistent-data")),
            ("/quickOS/else", None),
            ("/quickOS/vm-persistent-database", None),
            ("/mnt/pve/nas/x", None),
            ("/mnt/pve/nas", whole("/mnt/pve/nas")),
            ("/mnt/pve/nas/images", storage("nas")),
            ("/mnt/pve/nas/template/iso", storage("nas")),
            ("/mnt/pve/nas/dump/x", storage("nas")),
            ("/mnt/pve/nas/imagesx", None),
            ("/vol/pve/x", Some(Verdict::NotAllowed)),
            ("/mnt/pve/own/isos/x", storage("own")),
            ("/mnt/pve/own/old", storage("own")),
            ("/mnt/pve/own/old/other", None),
            ("/tank/own/old/dumps", storage("own")),
            ("/tank/own/private", storage("own")),
            ("/tank/own/x", None),
            ("/tank", whole("/tank/own")),
            ("/tank/else", None),
            ("/mnt/pve/smb/x", None),
            ("/mnt/pve/smb", storage("smb")),
            ("/mnt/pve", Some(Verdict::System)),
            ("/mnt", whole("/mnt/pve/all")),
            ("/var/lib/vz", storage("local")),
            ("/var/lib/vz/snippets", storage("local")),
            ("/var/lib/vz/guests", None),
            ("/var/lib", Some(Verdict::System)),
            ("/var/lib/other", None),
            ("/srv/nfs", None),
            ("/srv/nfs/x", None),
            ("/srv/nfsx", Some(Verdict::NotAllowed)),
            ("/srv", Some(Verdict::NotAllowed)),
            ("/data", None),
            ("/x", Some(Verdict::NotAllowed)),
            // A storage that shows all of the node makes nothing of it free, and takes what would be its content.
            ("/home/x", Some(Verdict::NotAllowed)),
            ("/images", storage("all")),
            ("/", Some(Verdict::System)),
            ("/etc/x", Some(Verdict::System)),
            ("/home", Some(Verdict::System)),
        ] {
            assert_eq!(rule.refuses(path), wanted, "{path}");
        }
    }
}
