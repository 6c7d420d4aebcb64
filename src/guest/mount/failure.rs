//! What a mount that failed said, and what helps.

use crate::guest::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;
use crate::model::excerpt;

/// A failed mount: the last line of what was said leads, which is the reason; what was said before it may be of package
/// managers.
pub(super) fn problem(exit: &GuestExit) -> GuestProblem {
    let hint = hint(&exit.err).map(ToOwned::to_owned);
    GuestProblem { hint, ..what(exit) }
}

fn what(exit: &GuestExit) -> GuestProblem {
    let Some((before, last)) = exit.err.trim().rsplit_once('\n') else { return unexpected("mount", exit) };
    let mut problem = unexpected("mount", &GuestExit { err: last.to_owned(), ..exit.clone() });
    problem.what.push_str("\nbefore that it said:\n");
    problem.what.push_str(&excerpt(before.trim_end()));
    problem
}

/// What to do about the words of `mount.nfs`, of the package manager, and of the script itself.
fn hint(said: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["the guest cannot write to it"]) {
        Some("does the NFS server export it read-write, with no_root_squash, and is there room?")
    } else if has(&["the guest reads other bytes"]) {
        Some("the NFS server and the guest's kernel do not agree: try NFS 4.1 (`vers=4.1`) on the server")
    } else if has(&["access denied", "Operation not permitted", "Permission denied"]) {
        Some("the NFS server refuses this VM: does it export the directory to the VM's address, read-write?")
    } else if has(&[
        "no answer from the NFS server",
        "timed out",
        "Connection refused",
        "No route to host",
        "unreachable",
        "not responding",
    ]) {
        Some(
            "the NFS server does not answer: does it run, and do the guest's network and the firewalls let it through?",
        )
    } else if has(&["No such file or directory", "no such directory"]) {
        Some("the NFS server has no such directory, or does not export it")
    } else if has(&["Could not get lock", "is locked", "lock-frontend"]) {
        Some("another package manager runs in the guest, probably its own updates: apply again when it has ended")
    } else if has(&["dpkg was interrupted"]) {
        Some("run `dpkg --configure -a` in the guest, then apply again")
    } else if has(&["No space left"]) {
        Some("the guest's disk is full")
    } else if has(&["Unable to locate package", "Temporary failure resolving", "Failed to fetch"]) {
        Some("the guest cannot reach its package mirrors: install the NFS client into the template")
    } else if has(&["target is busy"]) {
        Some("something in the guest uses it: `lsof` there shows what; end it, then apply again")
    } else if has(&["otherwise than /etc/fstab says"]) {
        Some("something in the guest mounts it with options of its own: `systemctl list-units --type mount` there")
    } else if has(&["/etc/fstab mounts something else"]) {
        Some("remove that line, or choose another `mount_point`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::problem;
    use crate::hypervisor::GuestExit;

    #[track_caller]
    fn check(err: &str, hint: &str) {
        let exit = GuestExit { code: Some(32), out: String::new(), err: err.to_owned() };
        let problem = problem(&exit);
        assert!(problem.what.contains(err.trim()), "{}", problem.what);
        assert!(problem.hint.as_deref().unwrap_or_default().contains(hint), "{err}: {:?}", problem.hint);
    }

    #[test]
    fn a_failed_mount_names_its_cause() {
        check("mount.nfs: access denied by server while mounting 192.0.2.1:/srv", "refuses this VM");
        check("192.0.2.1:/srv: no answer from the NFS server within 90 s", "does not answer");
        check("mount.nfs: Connection timed out for 192.0.2.1:/srv on /mnt", "does not answer");
        check(
            "mount.nfs: mounting 192.0.2.1:/srv failed, reason given by server: No such file or directory",
            "no such",
        );
        check(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 712 (apt-get)",
            "package manager",
        );
        check("E: Failed to fetch http://deb/x  Temporary failure resolving 'deb'", "mirrors");
        check("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "--configure -a");
        check("umount: /mnt: target is busy.", "lsof");
        check("192.0.2.1:/srv is mounted at /mnt otherwise than /etc/fstab says: ro,hard", "options of its own");
        check("/etc/fstab mounts something else at /mnt already: 1:/x /mnt nfs", "mount_point");
    }

    #[test]
    fn what_a_mount_said_last_leads() {
        let err = "package lists could not be refreshed\nCreated symlink\n1:/srv: mount.nfs: Connection refused\n";
        let exit = GuestExit { code: Some(32), out: String::new(), err: err.to_owned() };
        let what = problem(&exit).what;
        assert_eq!(
            what,
            "mount exited 32 in the guest: 1:/srv: mount.nfs: Connection refused\nbefore that it said:\n\
             package lists could not be refreshed\nCreated symlink"
        );
    }
}
