//! Directories of the hypervisor: their text, and which of them no VM may ever have.

/// Where the directories of VMs lie unless the config says otherwise. What lies below it may be given to VMs by itself.
pub const PERSISTENT_DATA: &str = "/quickOS/vm-persistent-data";

/// Directories of the operating system that no VM may have, nor anything below them.
const WITH_ALL_BELOW: [&str; 15] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/phoenix",
    "/var/lib/pve-cluster",
    "/var/lock",
    "/var/run",
    "/var/spool/cron",
];

/// Directories that no VM may have as a whole; what lies below them is for an administrator to say.
const AS_A_WHOLE: [&str; 7] = ["/", "/home", "/mnt/pve", "/opt", "/var", "/var/lib", "/var/spool"];

/// Why a text cannot name a directory that VMs may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostPath {
    /// It does not begin with `/`, has `.` or `..` among its parts, or a control character.
    #[error("is not an absolute path of plain parts")]
    NotPlain,
    /// It belongs to the operating system.
    #[error("belongs to the operating system, and no VM may use any of it")]
    System,
}

/// A path without doubled slashes and without one at its end. Nothing else about it changes.
#[must_use]
pub fn normal_path(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        normal.push('/');
        normal.push_str(part);
    }
    if normal.is_empty() { "/".to_owned() } else { normal }
}

/// Whether a path is a directory or lies below it; both [normal](normal_path).
#[must_use]
pub fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path lies below a directory and is not that directory itself; both [normal](normal_path).
#[must_use]
pub fn is_below(path: &str, directory: &str) -> bool {
    path != directory && is_at_or_below(path, directory)
}

/// Whether a directory, as it is called when all links are followed, belongs to the operating system: no VM may ever
/// have it.
#[must_use]
pub fn is_system_path(path: &str) -> bool {
    // `/lib`, `/lib64`, …: where they are no links, what lies in them is loaded by every program.
    path.starts_with("/lib") || AS_A_WHOLE.contains(&path) || WITH_ALL_BELOW.iter().any(|dir| is_at_or_below(path, dir))
}

/// Reads a directory that an administrator names as one that VMs may have.
///
/// # Errors
/// Fails for what is no plain absolute path, and for directories of the operating system.
pub fn allowed_path(text: &str) -> Result<String, InvalidHostPath> {
    let plain = |part: &str| part != "." && part != ".." && !part.contains(char::is_control);
    if !text.starts_with('/') || !text.split('/').all(plain) {
        return Err(InvalidHostPath::NotPlain);
    }
    let path = normal_path(text);
    if is_system_path(&path) { Err(InvalidHostPath::System) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::{InvalidHostPath, allowed_path, is_at_or_below, is_below, is_system_path, normal_path};

    #[test]
    fn directories_of_the_operating_system_are_never_given() {
        let never = "/ /etc /etc/pve /etc/pve/x /root /root/.ssh /home /boot/efi /usr /usr/local/share /bin /sbin/x /lib /lib64 \
                     /lib32/x /libx32 /opt /var /var/lib /var/run/x /var/lib/phoenix/images /proc/1 /sys /dev/shm /run/x /mnt/pve";
        for path in never.split(' ').filter(|word| !word.is_empty()) {
            assert!(is_system_path(path), "{path}");
            assert_eq!(allowed_path(&format!("{path}/")), Err(InvalidHostPath::System), "{path}");
        }
        for path in ["/srv", "/home/data", "/var/lib/vz", "/opt/data", "/etcetera", "/rootless", "/mnt/pve/x", "/tank"]
        {
            assert_eq!(allowed_path(path).as_deref(), Ok(path));
        }
        for path in ["", "srv", "./srv", "/srv/..", "/srv/./a", "/srv\n", "/srv/\u{1b}[m"] {
            assert_eq!(allowed_path(path), Err(InvalidHostPath::NotPlain), "{path:?}");
        }
        assert_eq!(allowed_path("//srv///nfs/").as_deref(), Ok("/srv/nfs"));
    }

    #[test]
    fn what_lies_below_a_directory() {
        for (path, dir, at, below) in [
            ("/srv", "/srv", true, false),
            ("/srv/a", "/srv", true, true),
            ("/srva", "/srv", false, false),
            ("/srv", "/srv/a", false, false),
            ("/srv", "/", true, true),
            ("/", "/", true, false),
        ] {
            assert_eq!((is_at_or_below(path, dir), is_below(path, dir)), (at, below), "{path} {dir}");
        }
        assert_eq!(normal_path("/"), "/");
    }
}
