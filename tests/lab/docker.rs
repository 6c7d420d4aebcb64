//! Docker in a guest, from the packages of its distribution, which it needs a network for.

use std::fs;
use std::process::Command;

use crate::guest::Guest;
use crate::run::Story;

/// What this machine's apt is told that decides whether it gets at its packages: by which proxy, and whether dates
/// count.
const TELLING: [&str; 4] =
    ["Acquire::Check-Date ", "Acquire::Check-Valid-Until ", "Acquire::http::Proxy ", "Acquire::https::Proxy "];

/// Asks for the index of each source that the image has from this machine's apt.
const REACHES: &str = r#"
awk '$1 == "deb" { print $3 "dists/" $4 "/InRelease" }' /etc/apt/sources.list | while read -r uri; do
  timeout 60 /usr/lib/apt/apt-helper -o Acquire::Retries=0 download-file "$uri" /tmp/index || exit
done
"#;

impl Story {
    /// Lets a guest get its packages as this machine does. If it cannot reach them, says so, and nothing is installed.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
    pub(crate) fn offer_packages(guest: &mut Guest) -> bool {
        let output = Command::new("apt-config").arg("dump").output().unwrap();
        let all = String::from_utf8(output.stdout).unwrap();
        let telling: Vec<&str> = all.lines().filter(|line| TELLING.iter().any(|key| line.starts_with(key))).collect();
        guest.tells(&format!("cat >/etc/apt/apt.conf.d/95lab <<'END'\n{}\nEND", telling.join("\n")));
        let asked = guest.sh(REACHES);
        if asked.code != 0 {
            let (code, why) = (asked.code, asked.err.lines().next().unwrap_or("it said nothing"));
            println!("SKIPPED: features/install_docker.sh in a guest: its packages are out of reach, {code}: {why}");
        }
        asked.code == 0
    }

    /// The feature that a VM has now did what it says, and does nothing more when it runs again.
    #[track_caller]
    pub(crate) fn find_docker(&self, vm: u32, name: &str) {
        let mut guest = self.guest(vm);
        assert!(guest.tells("id -nG tester").split(' ').any(|group| group == "docker"));
        assert_eq!(guest.tells("systemctl is-enabled docker"), "enabled");
        assert!(guest.tells("docker info --format '{{.LoggingDriver}}'").contains("json-file"));
        let mount = "$(systemd-escape --path --suffix=mount /persistent-storage)";
        let before = guest.tells(&format!("systemctl show \"{mount}\" --property=Before --value"));
        assert!(before.split(' ').any(|unit| unit == "docker.service"), "{before}");
        // A container runs, and finds the volume. Its image is made here, so that no registry is needed.
        guest.tells("tar -c -C / bin/busybox | docker import - lab");
        let container = "docker run --rm --network none -v /persistent-storage:/data lab /bin/busybox";
        assert_eq!(guest.tells(&format!("{container} ls /data/.phoenix_logs")), "base_setup.log\ninstall_docker.log");

        let as_it_is = "sha256sum </var/lib/dpkg/status; systemctl show docker --property=InvocationID";
        let before = guest.tells(as_it_is);
        drop(guest);
        let run = self.apply(&["--only", name, "--rerun", "install_docker"]);
        assert_eq!(run.code, Some(0), "{run}");
        assert_eq!(run.features(), [format!("{vm}/feature:install_docker")], "{run}");
        assert_eq!(self.guest(vm).tells(as_it_is), before);
        let log = format!("quickOS/vm-persistent-data/{vm}/.phoenix_logs/install_docker.log");
        let log = fs::read_to_string(self.on_node(&log)).unwrap();
        assert!(log.contains("packages: nothing to do") && !log.contains("Setting up"), "{log}");
    }
}
