//! Where directories of the simulated host really lie, what is in them, and what its administrator allows.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use super::Embedded;
use super::files::{self, unread};
use crate::hypervisor::Fault;
use crate::observed::{ALLOW_FILE, Allowed, Guarded, MAX_ALLOW, Mounts, Place};

/// How many entries each of some directories has.
type Counts = BTreeMap<String, usize>;

/// Links that are followed before a path counts as a ring, as in Linux.
const MOST_LINKS: usize = 40;

/// File of the simulated host that tells its mounts; without one its `root/` is one file system of which nothing is
/// known.
const MOUNTS: &str = "/proc/self/mountinfo";

impl Embedded {
    /// Where directories of the simulated host lie, and how many entries those have that are there and not empty.
    pub(super) fn look_at(&self, directories: &[String]) -> Result<(BTreeMap<String, Place>, Counts), Fault> {
        let (mut places, mut counts) = (BTreeMap::new(), Counts::new());
        let mounts = self.mounts()?;
        let root = self.dir.join("root");
        // A node that is not there yet has no links either.
        let real_root = root.canonicalize().unwrap_or_else(|_| root.clone());
        for path in directories {
            let real = resolved(&real_root, path);
            if !real.is_empty() && root.join(&real[1..]).is_dir() {
                let entries = files::names(&root.join(&real[1..]))?.len();
                if entries > 0 {
                    counts.insert(path.clone(), entries);
                }
            }
            places.insert(path.clone(), mounts.place(real));
        }
        Ok((places, counts))
    }

    /// The mounts of the simulated host, as far as it tells any.
    pub(super) fn mounts(&self) -> Result<Mounts, Fault> {
        Ok(Mounts::parse(&files::read(&self.host_path(MOUNTS)?)?.unwrap_or_default()))
    }

    /// What the administrator allows, in `etc/phoenix/allow.json` below the node's `root/`. Its owner must be the user
    /// that phoenix runs as: the node is theirs.
    pub(super) fn allowed(&self) -> Result<Allowed, Fault> {
        let file = self.dir.join("root").join(&ALLOW_FILE[1..]);
        let Some(directory) = file.parent() else { return Ok(Allowed::default()) };
        let (Some(of_directory), Some(of_file)) = (guarded(directory)?, guarded(&file)?) else {
            return Ok(Allowed::default());
        };
        if let Some(distrusted) = Allowed::distrust(of_directory, of_file, geteuid().as_raw()) {
            return Ok(distrusted);
        }
        let mut text = Vec::new();
        let most = MAX_ALLOW as u64 + 1;
        match fs::File::open(&file).and_then(|open| open.take(most).read_to_end(&mut text)) {
            Ok(_) => Ok(Allowed::parse(&text)),
            Err(error) => Ok(Allowed::broken(format!("it cannot be read: {error}"))),
        }
    }
}

/// Owner and mode of what has this path; `None`: nothing has it.
fn guarded(path: &Path) -> Result<Option<Guarded>, Fault> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(Guarded { owner: meta.uid(), mode: meta.mode() })),
        Err(error) if [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(unread(path)(error)),
    }
}

/// A path of the host below `root` with all links followed as the host itself would: an absolute one starts at `root`.
/// What does not exist stays as it is written. Empty for a ring of links.
fn resolved(root: &Path, path: &str) -> String {
    let parts = |text: &str| text.split('/').map(ToOwned::to_owned).collect::<VecDeque<String>>();
    let (mut ahead, mut real, mut links) = (parts(path), Vec::<String>::new(), 0);
    while let Some(part) = ahead.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                real.pop();
                continue;
            }
            _ => real.push(part),
        }
        let Ok(target) = fs::read_link(root.join(real.join("/"))) else { continue };
        links += 1;
        let target = target.to_string_lossy();
        if links > MOST_LINKS {
            return String::new();
        }
        real.pop();
        // A link that was made with the path of this machine means the same place of the host.
        let inside = target.strip_prefix(root.to_string_lossy().as_ref()).filter(|rest| rest.starts_with('/'));
        if target.starts_with('/') {
            real.clear();
        }
        let mut through = parts(inside.unwrap_or(&target));
        through.append(&mut ahead);
        ahead = through;
    }
    format!("/{}", real.join("/"))
}
