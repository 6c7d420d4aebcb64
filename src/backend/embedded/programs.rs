//! The programs that a simulated guest knows.
//!
//! | argv | what it does |
//! |---|---|
//! | `cloud-init status --format json`, also as a script of that name | done when the node's `cloud_init_delay_ms` has passed since the start |
//! | script `phoenix-mount SOURCE MOUNT_POINT PROVE` | puts a mount into fstab, and mounts it; prints `mounted` or `already` |
//! | script `phoenix-grow SYS` | makes the root file system as large as the boot disk; prints `grown` or `already` |
//! | script `phoenix-format SYS DISK TYPE UUID` | makes a file system on a disk that is empty; prints `formatted` or `already` |
//! | script `phoenix-disk-mount SYS DISK TYPE UUID MOUNT_POINT` | puts the file system of a disk into fstab, mounts it, and makes it as large as the disk; prints `mounted` or `already` |
//! | script `phoenix-unmount SOURCE MOUNT_POINT` | takes a mount out of fstab |
//! | script `phoenix-clean` | empties fstab and forgets the results of scripts |
//! | script `phoenix-cleaned` | fails if something stands in fstab, or there are results of scripts |
//! | script `phoenix-look UUID MOUNTS [SOURCE MOUNT_POINT]… [FEATURE DIGEST]…` | prints `there` or `gone` for each pair, then `end` |
//! | script `phoenix-stage DIRECTORY SOURCE SHA256 PIECE PIECES` | keeps a piece; with the last one puts the files into a directory of a mounted volume |
//! | script `phoenix-feature FEATURE DIGEST UUID SCRIPTS_DIR FILE VMID NAME TIMEOUT LOG` | checks the staged script with `bash -n` and notes a result; prints `started`, `running` or `finished` |
//! | script `phoenix-feature-forget FEATURE DIGEST` | removes the result |
//! | script `phoenix-feature-result FEATURE DIGEST UUID LOG` | prints `running` and the log's last line until the node's `feature_ms` have passed, then `exit N`; or `none` |
//!
//! A script is `/bin/sh -c TEXT NAME ARG…`; it is known by its `NAME`, and its text is not run. Nothing is executed
//! in a simulated guest.
//!
//! The guest's disk is the directory `guests/VMID`: `filesystem` with the bytes of its root file system (all of the
//! disk whenever the guest boots), `fstab`, `own` with scripts that lie on no volume, `runs/FEATURE-DIGEST` with `exit
//! N` (`exit N at MS` where scripts take their time), the uuid of the VM the run was made for, and what went wrong.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use super::Embedded;
use super::clock::now_ms;
use super::files;
use super::guest_disk::{Named, is_line};
use super::processes::{failed, printed};
use super::volume::{OWN, Piece};
use crate::guest::arrived;
use crate::hypervisor::{Fault, GuestExit};
use crate::model::{BY_UUID, VmId, content_digest};

/// Name of the program in an argv: of a script its `$0`, else the program itself.
pub(super) fn name(argv: &[String]) -> &str {
    match argv {
        [shell, flag, _, name, ..] if shell == "/bin/sh" && flag == "-c" => name,
        [program, ..] => program,
        [] => "",
    }
}

/// A VM whose agent answers.
pub(super) struct Up {
    /// Milliseconds since its start.
    pub(super) uptime_ms: u64,
}

/// A run of a feature's script, by which its result is found.
#[derive(Clone, Copy)]
struct Run<'a> {
    feature: &'a str,
    /// Digest of the script.
    digest: &'a str,
    /// Of the VM that it was made for.
    uuid: &'a str,
}

/// What was noted of the run of a feature script.
struct Noted {
    code: i32,
    /// When it ends, in milliseconds since 1970.
    at: u64,
    /// What went wrong.
    why: String,
}

/// File with the lines of a guest's fstab that are not mounted.
const MISSING: &str = "not-mounted";

/// A word that may be part of a file name.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && !word.starts_with('.') && !word.contains(['/', '\0', '\n', ' '])
}

impl Embedded {
    /// Runs a program to its end, at once.
    pub(super) fn run(&self, vm: VmId, up: &Up, argv: &[String], input: &[u8]) -> Result<GuestExit, Fault> {
        let words: Vec<String> = argv.iter().map(|word| arrived(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (name(argv), words.as_slice()) {
            ("cloud-init", ["cloud-init", "status", ..] | ["/bin/sh", _, _, _, "status", ..]) => {
                Ok(self.cloud_init(up))
            }
            ("phoenix-mount", [_, _, _, _, source, mount_point, _]) => self.mount(vm, source, mount_point),
            ("phoenix-format", [_, _, _, _, _, disk, kind, uuid]) => self.format(vm, Named { disk, kind, uuid }),
            ("phoenix-disk-mount", [_, _, _, _, _, disk, kind, uuid, mount_point]) => {
                self.mount_disk(vm, Named { disk, kind, uuid }, mount_point)
            }
            ("phoenix-grow", [_, _, _, _, _]) => {
                let grew = self.fill_disk(vm, &self.existing(vm)?)?;
                Ok(printed(if grew { "grown" } else { "already" }))
            }
            ("phoenix-unmount", [_, _, _, _, source, mount_point]) => self.unmount(vm, source, mount_point),
            ("phoenix-clean", [_, _, _, _]) => self.clean(vm),
            ("phoenix-cleaned", [_, _, _, _]) => {
                let dir = self.guest_dir(vm);
                let is_clean = ["runs", "fstab", OWN].iter().all(|name| !dir.join(name).exists());
                Ok(if is_clean { printed("") } else { failed(8, String::new()) })
            }
            ("phoenix-look", [_, _, _, _, uuid, mounts, pairs @ ..]) => self.look(vm, uuid, mounts, pairs),
            ("phoenix-stage", [_, _, _, _, directory, source, digest, piece, pieces]) if is_plain(digest) => {
                let (Ok(number), Ok(pieces)) = (piece.parse(), pieces.parse()) else {
                    return Ok(failed(2, format!("{piece} of {pieces}: no numbers")));
                };
                self.stage(vm, &Piece { directory, source, digest, number, pieces, text: input })
            }
            ("phoenix-feature", [_, _, _, _, feature, digest, uuid, dir, file, _, _, _, log])
                if is_plain(feature) && is_plain(digest) && is_plain(file) =>
            {
                self.feature(vm, Run { feature, digest, uuid }, &format!("{dir}/{file}"), log)
            }
            ("phoenix-feature-result", [_, _, _, _, feature, digest, uuid, log])
                if is_plain(feature) && is_plain(digest) =>
            {
                Ok(match self.result(vm, Run { feature, digest, uuid })? {
                    None => printed("none"),
                    Some(run) if run.at > now_ms() => {
                        let said = self.read_volume(vm, log)?.unwrap_or_default();
                        printed(&format!(
                            "running\n{}",
                            said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
                        ))
                    }
                    Some(run) => printed(&format!("exit {}\n{}", run.code, run.why)),
                })
            }
            ("phoenix-feature-forget", [_, _, _, _, feature, digest]) if is_plain(feature) && is_plain(digest) => {
                files::remove(&self.guest_dir(vm).join("runs").join(format!("{feature}-{digest}")))?;
                Ok(printed(""))
            }
            (name, _) => Ok(failed(127, format!("{name}: command not found in a simulated guest"))),
        }
    }

    fn cloud_init(&self, up: &Up) -> GuestExit {
        let status = if up.uptime_ms < self.settings.cloud_init_delay_ms { "running" } else { "done" };
        let json = serde_json::json!({
            "status": status, "extended_status": status, "boot_status_code": "enabled-by-generator",
            "datasource": "nocloud", "detail": "", "errors": [], "recoverable_errors": {},
        });
        printed(&json.to_string())
    }

    /// Directory of the simulated host that an NFS source `SERVER:PATH` shows. `None`: another server, of which the
    /// node knows nothing.
    pub(super) fn exported(&self, source: &str) -> Result<Option<String>, Fault> {
        let Some((server, path)) = source.split_once(":/").map(|(server, path)| (server, format!("/{path}"))) else {
            return Ok(None);
        };
        let storages = self.storages(false)?;
        let of_storages = storages.values().filter_map(|storage| {
            let nfs = storage.nfs.as_ref()?;
            Some((format!("{}:{}", nfs.server, nfs.export), storage.path.clone()?))
        });
        let known: Vec<(String, String)> = of_storages.chain(self.settings.exports.clone()).collect();
        let below = |export: &str| {
            let rest = source.strip_prefix(export.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let best = known.iter().filter_map(|(export, at)| Some((export, at, below(export)?)));
        if let Some((_, at, rest)) = best.max_by_key(|(export, ..)| export.len()) {
            return Ok(Some(format!("{at}{rest}")));
        }
        Ok(self.is_own(source).then_some(path)).map(|path| path.filter(|_| !server.is_empty()))
    }

    /// Directory of the host that the node itself exports as `path`: another one where a storage says so.
    pub(super) fn behind_export(&self, path: &str) -> Result<String, Fault> {
        for address in self.settings.bridges.values().flatten().chain([&self.settings.name]) {
            match self.exported(&format!("{address}:{path}"))? {
                Some(behind) if behind != path => return Ok(behind),
                _ => {}
            }
        }
        Ok(path.to_owned())
    }

    /// Whether the node itself is the server of a source.
    fn is_own(&self, source: &str) -> bool {
        let server = source.split_once(":/").map_or("", |(server, _)| server);
        server == self.settings.name || self.settings.bridges.values().flatten().any(|address| address == server)
    }

    /// Mounts an export, now and at every start. The export of a server the node knows nothing about is taken on trust.
    fn mount(&self, vm: VmId, source: &str, mount_point: &str) -> Result<GuestExit, Fault> {
        if let Some(path) = self.exported(source)? {
            if !self.host_path(&path)?.is_dir() {
                return Ok(failed(32, format!("mount of {source} on {mount_point}: the server has no such directory")));
            }
            if !self.is_served(vm, source, self.address(vm)?)? {
                return Ok(failed(32, format!("mount.nfs: access denied by server while mounting {source}")));
            }
        }
        Ok(printed(if self.put_mount(vm, source, mount_point, "nfs")? { "mounted" } else { "already" }))
    }

    /// Puts a mount into fstab, and mounts it. Returns whether that was not so already.
    pub(super) fn put_mount(&self, vm: VmId, source: &str, mount_point: &str, kind: &str) -> Result<bool, Fault> {
        let fstab = self.guest_dir(vm).join("fstab");
        let text = files::read(&fstab)?.unwrap_or_default();
        let line = format!("{source}\t{mount_point}\t{kind}");
        let missing = self.missing(vm)?;
        if text.lines().any(|old| old == line) && !missing.contains(&line) {
            return Ok(false);
        }
        self.set_missing(vm, &missing.into_iter().filter(|old| old.split('\t').nth(1) != Some(mount_point)).collect())?;
        // As the real program does: what was mounted there before gives way.
        let others = text.lines().filter(|old| old.split('\t').nth(1) != Some(mount_point));
        let lines: Vec<&str> = others.chain([line.as_str()]).collect();
        self.write_guest(vm, "fstab", &(lines.join("\n") + "\n"))?;
        Ok(true)
    }

    /// Whether a source that is the node's own is exported to a guest with this address.
    fn is_served(&self, vm: VmId, source: &str, client: IpAddr) -> Result<bool, Fault> {
        if !self.is_own(source) {
            return Ok(true);
        }
        let export = source.split_once(":/").map_or(String::new(), |(_, export)| format!("/{export}"));
        Ok(self.exports_on_host(&|owner| owner == vm)?.iter().any(|e| e.covers(&export, client)))
    }

    /// The lines of a running guest's fstab whose mount failed when it booted: nothing tries them again.
    fn missing(&self, vm: VmId) -> Result<BTreeSet<String>, Fault> {
        let text = files::read(&self.guest_dir(vm).join(MISSING))?.unwrap_or_default();
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }

    fn set_missing(&self, vm: VmId, lines: &BTreeSet<String>) -> Result<(), Fault> {
        if lines.is_empty() {
            return files::remove(&self.guest_dir(vm).join(MISSING));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.write_guest(vm, MISSING, &(lines.join("\n") + "\n"))
    }

    /// Mounts what fstab says, as a guest does that boots with this address: what the node does not export to it stays
    /// away, and the guest comes up without.
    pub(super) fn mount_all(&self, vm: VmId, client: IpAddr) -> Result<(), Fault> {
        let mut missing = BTreeSet::new();
        for line in files::read(&self.guest_dir(vm).join("fstab"))?.unwrap_or_default().lines() {
            let source = line.split('\t').next().unwrap_or_default();
            let there = match source.strip_prefix(BY_UUID) {
                Some(uuid) => self.has_filesystem(vm, uuid)?,
                None => self.is_served(vm, source, client)?,
            };
            if !there {
                missing.insert(line.to_owned());
            }
        }
        self.set_missing(vm, &missing)
    }

    /// What is mounted in a guest, a line of its fstab each.
    pub(super) fn mounted(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        let missing = self.missing(vm)?;
        let fstab = files::read(&self.guest_dir(vm).join("fstab"))?.unwrap_or_default();
        Ok(fstab.lines().filter(|line| !missing.contains(*line)).map(ToOwned::to_owned).collect())
    }

    /// Takes a mount out of fstab.
    fn unmount(&self, vm: VmId, source: &str, mount_point: &str) -> Result<GuestExit, Fault> {
        let text = files::read(&self.guest_dir(vm).join("fstab"))?.unwrap_or_default();
        let other = |line: &str| !is_line(line, source, mount_point);
        let others: Vec<&str> = text.split_inclusive('\n').filter(|old| other(old.trim_end())).collect();
        self.write_guest(vm, "fstab", &others.concat())?;
        self.set_missing(vm, &self.missing(vm)?.into_iter().filter(|old| other(old)).collect())?;
        Ok(printed("unmounted"))
    }

    /// Takes out of the guest what its clones must not have.
    fn clean(&self, vm: VmId) -> Result<GuestExit, Fault> {
        for name in ["runs", "fstab", OWN] {
            files::remove(&self.guest_dir(vm).join(name))?;
        }
        self.set_missing(vm, &BTreeSet::new())?;
        Ok(printed("cleaned"))
    }

    /// Tells of mounts and of results of features whether they are there.
    fn look(&self, vm: VmId, uuid: &str, mounts: &str, pairs: &[&str]) -> Result<GuestExit, Fault> {
        let mounted = self.mounted(vm)?;
        let mounts: usize = mounts.parse().unwrap_or(0);
        let mut said = String::new();
        for (at, pair) in pairs.chunks_exact(2).enumerate() {
            let there = if at < mounts {
                mounted.iter().any(|line| is_line(line, pair[0], pair[1]))
            } else {
                is_plain(pair[0])
                    && is_plain(pair[1])
                    && self
                        .seen(vm, Run { feature: pair[0], digest: pair[1], uuid })?
                        .is_some_and(|run| run.code == 0 || run.at > now_ms())
            };
            said.push_str(if there { "there\n" } else { "gone\n" });
        }
        Ok(printed(&(said + "end")))
    }

    /// "Runs" a staged script: checks that it is there and that bash understands it, and notes how it ended.
    fn feature(&self, vm: VmId, run: Run<'_>, path: &str, log: &str) -> Result<GuestExit, Fault> {
        let Run { feature, digest, uuid } = run;
        match self.result(vm, run)? {
            Some(run) if run.at > now_ms() => return Ok(printed("running")),
            Some(run) if run.code == 0 => return Ok(printed("finished")),
            _ => {}
        }
        let file = path.rsplit('/').next().unwrap_or_default();
        let (code, why) = match self.read_volume(vm, path)? {
            None => (127, format!("{path}: no such file in the simulated guest")),
            Some(script) => match self.syntax(&script) {
                Some(why) => (2, why),
                None => (0, String::new()),
            },
        };
        let text = format!("{file}: simulated, nothing was executed\n{why}\n");
        self.write_volume(vm, log, text.trim_start())?;
        let at = match self.settings.feature_ms {
            0 => String::new(),
            takes => format!(" at {}", now_ms() + takes),
        };
        self.forget_other_texts(vm, feature, digest)?;
        self.write_guest(vm, &format!("runs/{feature}-{digest}"), &format!("exit {code}{at}\n{uuid}\n{why}"))?;
        Ok(printed("started"))
    }

    /// Removes the results of a feature's other texts, as the real program does.
    fn forget_other_texts(&self, vm: VmId, feature: &str, digest: &str) -> Result<(), Fault> {
        let runs = self.guest_dir(vm).join("runs");
        for name in files::names(&runs)? {
            let other = name.strip_prefix(feature).and_then(|rest| rest.strip_prefix('-'));
            if other.is_some_and(|other| !other.contains('-') && [16, digest.len()].contains(&other.len())) {
                files::remove(&runs.join(name))?;
            }
        }
        Ok(())
    }

    /// What was noted of a run made for this uuid, by an earlier version too, which named results by half as many
    /// digits.
    fn seen(&self, vm: VmId, run: Run<'_>) -> Result<Option<Noted>, Fault> {
        match (self.result(vm, run)?, run.digest.get(..16)) {
            (None, Some(digest)) => self.result(vm, Run { digest, ..run }),
            (found, _) => Ok(found),
        }
    }

    /// What was noted of a run made for this uuid.
    fn result(&self, vm: VmId, Run { feature, digest, uuid }: Run<'_>) -> Result<Option<Noted>, Fault> {
        let text = files::read(&self.guest_dir(vm).join(format!("runs/{feature}-{digest}")))?.unwrap_or_default();
        let mut lines = text.splitn(3, '\n');
        let exit = lines.next().and_then(|line| line.strip_prefix("exit ")).unwrap_or_default();
        let (code, at) = exit.split_once(" at ").unwrap_or((exit, "0"));
        let same = lines.next().is_some_and(|of| of.eq_ignore_ascii_case(uuid));
        let (Ok(code), Ok(at), true) = (code.parse(), at.parse(), same) else { return Ok(None) };
        Ok(Some(Noted { code, at, why: lines.next().unwrap_or_default().to_owned() }))
    }

    /// What `bash -n` finds wrong with a script. Asked once per script; where there is no bash nothing is found.
    fn syntax(&self, script: &str) -> Option<String> {
        let digest = content_digest(script.as_bytes());
        let mut checked = self.programs.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.entry(digest).or_insert_with(|| bash_n(script)).clone()
    }

    /// Writes a file on the guest's own disk.
    pub(super) fn write_guest(&self, vm: VmId, name: &str, content: &str) -> Result<(), Fault> {
        let path = self.guest_dir(vm).join(name);
        if let Some(dir) = path.parent() {
            files::make_dir(dir)?;
        }
        files::replace_among_others(&path, &self.dir.join("tmp"), content)
    }
}

fn bash_n(script: &str) -> Option<String> {
    let mut bash = Command::new("bash");
    let bash = bash.args(["-n", "-s"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = bash.spawn().ok()?;
    // bash reads as it goes and stops reading at an error: a broken pipe says nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().ok()?;
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
}
