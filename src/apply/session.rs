//! What a run knows about one VM while it works on it: how the configuration looked when it last left it.

use crate::observed::options::is_own;
use crate::observed::{Conf, config_digest};

/// How a run last left a VM's configuration.
#[derive(Debug, Default)]
pub(super) enum Session {
    /// The run has not looked at the VM yet.
    #[default]
    NotBegun,
    /// The configuration verbatim, as the run checked it or as it was after the run's last write.
    Left(String),
    /// The run changed the VM and could not look at it afterwards.
    Unseen,
}

/// Options that no key stands for, and that phoenix's own operations change.
///
/// `unused0` and the like appear when a failed operation leaves a volume behind; `parent` and `snaptime` belong to
/// snapshots, which change nothing that is running.
const BESIDE: [&str; 4] = ["lock", "vmgenid", "parent", "snaptime"];

impl Session {
    /// Whether the run has looked at the VM before.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Self::NotBegun)
    }

    /// Whether it is known how the run left the VM.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Left(_))
    }

    /// Notes how the configuration is now; `None`: that could not be looked at.
    pub(super) fn leave(&mut self, config: Option<String>) {
        *self = config.map_or(Self::Unseen, Self::Left);
    }

    /// Options that somebody else changed since the run left the VM, other than those it owns; the notes are merged, so
    /// they may change.
    pub(super) fn touched_by_others(&self, now: &str) -> Vec<String> {
        let Self::Left(left) = self else { return Vec::new() };
        if config_digest(left.as_str()) == config_digest(now) {
            return Vec::new();
        }
        let (before, after) = (Conf::parse(left), Conf::parse(now));
        let mut keys: Vec<&str> = before.entries().chain(after.entries()).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .filter(|key| !is_own(key) && !BESIDE.contains(key) && before.get(key) != after.get(key))
            .map(ToOwned::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Session;

    #[test]
    fn tells_foreign_changes_from_own_ones() {
        let mut session = Session::default();
        assert!(!session.has_begun());
        session.leave(Some("#notes\ncores: 2\nnuma: 0\nscsi0: local:vm-100-disk-0,size=3G\n".to_owned()));
        assert!(
            session
                .touched_by_others("#other notes\ncores: 4\nnuma: 0\nscsi0: local:vm-100-disk-0,size=3G\n")
                .is_empty()
        );
        assert_eq!(
            session.touched_by_others("#notes\ncores: 2\nscsi0: local:vm-100-disk-0,size=3G\nscsi1: local:x,size=1G\n"),
            ["numa", "scsi1"]
        );
        session.leave(None);
        assert!(session.has_begun() && !session.is_known());
    }
}
