//! What a run knows about one VM while it works on it: how the configuration looked when it last left it, and what is
//! still to be written down.

use std::collections::BTreeSet;

use crate::observed::VmObserved;
use crate::observed::options::is_own;
use crate::plan::FeatureStep;

/// What a run knows about one VM.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How it left the configuration.
    pub(super) session: Session,
    /// Features whose scripts ran, which the record does not say yet.
    pub(super) ran: Vec<FeatureStep>,
}

/// How a run last left a VM's configuration.
#[derive(Debug, Default)]
pub(super) enum Session {
    /// The run has not looked at the VM yet.
    #[default]
    NotBegun,
    /// The VM as the run checked it, or as it was after the run's last write.
    Left(Box<VmObserved>),
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

    /// Notes how the VM is now; `None`: that could not be looked at.
    pub(super) fn leave(&mut self, vm: Option<VmObserved>) {
        *self = vm.map_or(Self::Unseen, |vm| Self::Left(Box::new(vm)));
    }

    /// Options that another program or a person changed since the run left the VM, other than those that phoenix owns;
    /// the notes are merged, so they may change.
    pub(super) fn touched_by_others(&self, now: &VmObserved) -> Vec<String> {
        let Self::Left(before) = self else { return Vec::new() };
        if before.digest == now.digest {
            return Vec::new();
        }
        let (before, after) = (before.active(), now.active());
        let keys: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let changed = |key: &&str| before.get(*key) != after.get(*key) && !is_own(key) && !BESIDE.contains(key);
        keys.into_iter().filter(changed).map(ToOwned::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Session;
    use crate::model::VmId;
    use crate::observed::VmObserved;

    fn vm(conf: &str) -> VmObserved {
        VmObserved::from_conf(VmId::try_from(100).unwrap(), conf, true)
    }

    #[test]
    fn tells_foreign_changes_from_own_ones() {
        let mut session = Session::default();
        assert!(!session.has_begun());
        let left = "#notes\ncores: 2\nnuma: 0\nscsi0: local:vm-100-disk-0,size=3G\n";
        session.leave(Some(vm(left)));
        let touched = |now: &str| session.touched_by_others(&vm(now));
        assert!(touched("#other notes\ncores: 4\nnuma: 0\nscsi0: local:vm-100-disk-0,size=3G\n").is_empty());
        // What waits for a restart is not in force yet.
        assert!(touched(&format!("{left}[PENDING]\nnuma: 1\ndelete: scsi0\n")).is_empty());
        let other = "#notes\ncores: 2\nscsi0: local:vm-100-disk-0,size=3G\nscsi1: local:x,size=1G\n";
        assert_eq!(touched(other), ["numa", "scsi1"]);
        session.leave(None);
        assert!(session.has_begun() && !session.is_known());
    }
}
