//! A guest to run feature scripts in, made of files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PROGRAMS: [&str; 23] = [
    "apt-cache",
    "apt-get",
    "curl",
    "docker",
    "dpkg",
    "dpkg-query",
    "findmnt",
    "getent",
    "groupadd",
    "hostnamectl",
    "id",
    "journalctl",
    "kill",
    "killall",
    "pkill",
    "reboot",
    "service",
    "sleep",
    "systemctl",
    "systemd-escape",
    "timedatectl",
    "usermod",
    "wget",
];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The guest. Fresh from the template: Debian, no package lists yet, one login user who may use sudo.
pub(crate) struct Guest {
    pub(crate) directory: TempDir,
    /// How long a run may wait for locks, if not as long as the scripts say themselves.
    pub(crate) lock_seconds: Option<&'static str>,
}

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) calls: Vec<String>,
}

impl Guest {
    pub(crate) fn new() -> Self {
        let guest = Self { directory: TempDir::new().unwrap(), lock_seconds: None };
        for directory in ["bin", "tmp", "root", "world/known", "world/installed", "world/member", "world/docker"] {
            fs::create_dir_all(guest.directory.path().join(directory)).unwrap();
        }
        for program in PROGRAMS {
            symlink(root().join("tests/features/machine"), guest.directory.path().join("bin").join(program)).unwrap();
        }
        let offered =
            "ca-certificates curl gnupg jq nfs-common qemu-guest-agent docker.io docker-compose-v2 docker-cli apparmor";
        for package in offered.split(' ') {
            guest.offers(package, "27.1.0-1");
        }
        guest.release("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        for (name, value) in [
            ("uid", "0\n"),
            ("hostname", "debian\n"),
            ("ntp", "no\n"),
            ("can-ntp", "yes\n"),
            ("passwd", "root:x:0:0::/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n"),
            ("group", "root:x:0:\nsudo:x:27:admin,other\n"),
            ("member/admin", "admin sudo\n"),
            ("context.json", "{}"),
        ] {
            guest.set(name, value);
        }
        guest
    }

    pub(crate) fn world(&self) -> PathBuf {
        self.directory.path().join("world")
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        fs::write(self.world().join(name), value).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> String {
        fs::read_to_string(self.world().join(name)).unwrap_or_default()
    }

    pub(crate) fn offers(&self, package: &str, version: &str) {
        self.set(&format!("known/{package}"), version);
    }

    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.directory.path().join("root/etc").join(name)
    }

    pub(crate) fn write_etc(&self, name: &str, text: &str) {
        fs::create_dir_all(self.etc(name).parent().unwrap()).unwrap();
        fs::write(self.etc(name), text).unwrap();
    }

    pub(crate) fn release(&self, text: &str) {
        self.write_etc("os-release", text);
    }

    pub(crate) fn installed(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.world().join("installed"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// All files of the guest except the list of calls.
    pub(crate) fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.world(), self.directory.path().join("root"), self.directory.path().join("tmp")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if !path.ends_with("world/calls") {
                    let content = fs::read(&path).unwrap();
                    files.insert(path, content);
                }
            }
        }
        files
    }

    pub(crate) fn run(&self, script: &str) -> Run {
        self.set("calls", "");
        let mut path = self.directory.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let scripts = root().join("features");
        let result = Command::new("bash")
            .arg(scripts.join(script))
            .arg("1000")
            .current_dir(&scripts)
            .env_clear()
            .env("PATH", path)
            .env("WORLD", self.world())
            .env("TMPDIR", self.directory.path().join("tmp"))
            .env("PHOENIX_ROOT", self.directory.path().join("root"))
            .env("PHOENIX_VM_ID", "1000")
            .env("PHOENIX_VM_NAME", "rumpledev")
            .env("PHOENIX_CONTEXT", self.world().join("context.json"))
            .env("PHOENIX_SCRIPTS_DIR", &scripts)
            .envs(self.lock_seconds.map(|seconds| ("PHOENIX_LOCK_SECONDS", seconds)))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&result.stderr), "", "scripts speak on stdout alone");
        let calls: Vec<_> = self.get("calls").lines().map(str::to_owned).collect();
        for call in &calls {
            let word = call.split(' ').next().unwrap();
            assert!(!["kill", "killall", "pkill", "reboot", "curl", "wget"].contains(&word), "called {call}");
            assert!(!call.contains("restart") && !call.contains("stop"), "called {call}");
        }
        let output = String::from_utf8(result.stdout).unwrap();
        Run { code: result.status.code().unwrap_or(-1), output, calls }
    }

    /// A run that succeeds, and a second one after it that changes nothing and does not touch apt.
    #[track_caller]
    pub(crate) fn runs_twice(&self, script: &str) -> Run {
        let first = self.run(script);
        assert_eq!(first.code, 0, "{}", first.output);
        let before = self.state();
        let second = self.run(script);
        assert_eq!(second.code, 0, "{}", second.output);
        assert_eq!(self.state(), before, "the second run changed something:\n{}", second.output);
        assert_eq!(second.count("apt-get"), 0, "{:#?}", second.calls);
        assert_eq!(second.count("systemctl daemon-reload") + second.count("systemctl start"), 0, "{:#?}", second.calls);
        first
    }

    /// A run that fails; gives its last line.
    #[track_caller]
    pub(crate) fn fails(&self, script: &str) -> (String, Run) {
        let run = self.run(script);
        assert_eq!(run.code, 1, "{}", run.output);
        let last = run.output.lines().last().unwrap_or_default().to_owned();
        let feature = script.trim_end_matches(".sh");
        assert!(last.starts_with(&format!("FAILED: {feature}: ")), "{}", run.output);
        assert_eq!(fs::read_dir(self.directory.path().join("tmp")).unwrap().count(), 0, "scratch files are left");
        (last, run)
    }
}

impl Run {
    pub(crate) fn count(&self, start: &str) -> usize {
        self.calls.iter().filter(|call| call.starts_with(start)).count()
    }

    /// How often `apt-get` was asked for `verb`.
    pub(crate) fn apt(&self, verb: &str) -> usize {
        self.calls
            .iter()
            .filter(|call| call.starts_with("apt-get ") && call.split(' ').any(|word| word == verb))
            .count()
    }
}
