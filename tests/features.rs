//! Guards the feature scripts: a first run does what they say, a second one changes nothing, locks of apt are waited
//! for and nobody's process is ever ended, failures are told in the last line, unknown systems are refused.
//!
//! The scripts run for real, in a guest made of files (`tests/features/machine`) that stands in `PATH` for every
//! program that looks at or changes a system.
#![cfg(unix)]

#[path = "features/guest.rs"]
mod guest;
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use guest::{Guest, root};

const SCRIPTS: [&str; 3] = ["phoenix_common.sh", "base_setup.sh", "install_docker.sh"];

#[test]
fn base_setup_does_what_it_says_once() {
    let guest = Guest::new();
    let run = guest.runs_twice("base_setup.sh");
    let packages = ["ca-certificates", "curl", "gnupg", "jq", "nfs-common", "qemu-guest-agent"];
    assert_eq!(guest.installed(), packages);
    assert_eq!((run.apt("update"), run.apt("install")), (1, 1));
    assert_eq!(guest.get("hostname"), "rumpledev\n");
    assert_eq!(guest.get("zone"), "Etc/UTC\n");
    assert_eq!(guest.get("ntp"), "yes\n");
    assert!(run.output.contains("hostname: debian -> rumpledev"), "{}", run.output);
}

#[test]
fn base_setup_leaves_what_is_set() {
    let guest = Guest::new();
    guest.set("hostname", "rumpledev.example.org\n");
    guest.set("zone", "Europe/Vienna\n");
    guest.set("can-ntp", "no\n");
    guest.set("installed/curl", "installed");
    guest.set("installed/jq", "half-configured");
    let run = guest.runs_twice("base_setup.sh");
    assert_eq!(guest.get("hostname"), "rumpledev.example.org\n");
    assert_eq!(guest.get("zone"), "Europe/Vienna\n");
    assert_eq!(guest.get("ntp"), "no\n");
    let install = run.calls.iter().find(|call| call.contains(" install ")).unwrap();
    assert!(install.ends_with(" ca-certificates gnupg jq nfs-common qemu-guest-agent"), "{install}");
}

#[test]
fn a_lock_of_apt_is_waited_for() {
    let guest = Guest::new();
    guest.set("trouble", "lists-lock\nlists-lock\nok\ndpkg-lock\n");
    let run = guest.runs_twice("base_setup.sh");
    assert_eq!(run.count("sleep 5"), 3, "{:#?}", run.calls);
    assert_eq!((run.apt("update"), run.apt("install")), (3, 2));
    assert!(run.calls.iter().any(|call| call.contains("DPkg::Lock::Timeout=900")), "{:#?}", run.calls);
}

#[test]
fn a_lock_that_is_never_released_ends_the_run_within_its_budget() {
    let mut guest = Guest::new();
    guest.lock_seconds = Some("60");
    guest.set("trouble", &"lists-lock\n".repeat(1000));
    let (last, run) = guest.fails("base_setup.sh");
    assert!(last.contains("lock is still held after 60 seconds: E: Could not get lock"), "{last}");
    // Twelve steps of five seconds; fewer if the calls themselves took time.
    assert!((2..=12).contains(&run.apt("update")), "{} calls", run.apt("update"));
    assert!(guest.installed().is_empty());
}

#[test]
fn a_mirror_that_fails_for_a_moment_is_asked_again() {
    let guest = Guest::new();
    guest.set("trouble", "mirror\nok\nwaited-then-mirror\n");
    let run = guest.runs_twice("base_setup.sh");
    assert_eq!((run.apt("update"), run.apt("install")), (3, 2), "{:#?}", run.calls);
    assert!(!run.output.contains("lock is held"), "{}", run.output);
}

#[test]
fn a_mirror_that_goes_on_failing_is_told() {
    let guest = Guest::new();
    guest.set("trouble", &"mirror\n".repeat(1000));
    let (last, run) = guest.fails("base_setup.sh");
    assert!(last.contains("could not install ca-certificates"), "{last}");
    assert!(last.ends_with("E: Failed to fetch some archive: 503 Service Unavailable"), "{last}");
    assert_eq!((run.apt("update"), run.apt("install")), (4, 4));
}

#[test]
fn an_installation_that_was_cut_off_is_finished_first() {
    let guest = Guest::new();
    guest.set("trouble", "ok\ninterrupted\n");
    let run = guest.runs_twice("base_setup.sh");
    assert_eq!(run.count("dpkg --force-confdef --force-confold --configure -a"), 1, "{:#?}", run.calls);
}

#[test]
fn docker_comes_from_the_distribution() {
    let guest = Guest::new();
    let run = guest.runs_twice("install_docker.sh");
    assert_eq!(guest.installed(), ["apparmor", "docker-cli", "docker-compose-v2", "docker.io"]);
    assert!(fs::read_to_string(guest.etc("docker/daemon.json")).unwrap().contains("max-size"));
    assert_eq!(guest.get("member/admin"), "admin sudo docker\n");
    assert_eq!(run.count("systemctl enable docker.service"), 1);
    assert!(run.output.contains("taking docker.io, the distribution's own"), "{}", run.output);
    assert!(run.output.ends_with("install_docker: done: Docker 27.1.0\n"), "{}", run.output);
}

#[test]
fn docker_comes_from_its_own_repository_where_apt_knows_it() {
    let guest = Guest::new();
    for package in ["docker-ce", "docker-compose-plugin", "docker-buildx-plugin"] {
        guest.offers(package, "5:27.1.0-1");
    }
    guest.runs_twice("install_docker.sh");
    assert_eq!(guest.installed(), ["docker-buildx-plugin", "docker-ce", "docker-compose-plugin"]);
}

#[test]
fn compose_is_taken_from_version_2_on() {
    for (version, taken) in [("1.29.2-3", false), ("2.26.1-4", true), ("1:2.0.0", true)] {
        let guest = Guest::new();
        fs::remove_file(guest.world().join("known/docker-compose-v2")).unwrap();
        guest.offers("docker-compose", version);
        let run = guest.runs_twice("install_docker.sh");
        assert_eq!(guest.installed().contains(&"docker-compose".to_owned()), taken, "{version}");
        assert_eq!(run.output.contains("no package of Docker Compose 2"), !taken, "{}", run.output);
    }
}

#[test]
fn a_docker_that_runs_is_left_alone() {
    let guest = Guest::new();
    for file in ["unit", "running"] {
        guest.set(&format!("docker/{file}"), "");
    }
    let run = guest.runs_twice("install_docker.sh");
    assert!(run.output.contains("already installed: Docker 27.1.0"), "{}", run.output);
    assert_eq!(run.count("apt-get") + run.count("systemctl start"), 0, "{:#?}", run.calls);
    assert!(!guest.etc("docker/daemon.json").exists());
    // What surrounds it is seen to all the same.
    assert_eq!(guest.get("member/admin"), "admin sudo docker\n");
    assert!(guest.world().join("docker/enabled").exists());
}

#[test]
fn what_a_cut_off_run_left_out_is_made_up_for() {
    let guest = Guest::new();
    guest.set("lists", "");
    guest.set("installed/docker.io", "installed");
    guest.set("docker/unit", "");
    let run = guest.runs_twice("install_docker.sh");
    assert_eq!(guest.installed(), ["apparmor", "docker-cli", "docker-compose-v2", "docker.io"]);
    assert_eq!(run.count("systemctl start docker.service"), 1);
}

#[test]
fn the_administrators_docker_configuration_stays() {
    let guest = Guest::new();
    guest.write_etc("docker/daemon.json", "{ \"data-root\": \"/srv/docker\" }\n");
    guest.runs_twice("install_docker.sh");
    assert_eq!(fs::read_to_string(guest.etc("docker/daemon.json")).unwrap(), "{ \"data-root\": \"/srv/docker\" }\n");
}

#[test]
fn docker_starts_after_the_mounts() {
    let guest = Guest::new();
    guest.set("mounts", "/persistent-storage\n/srv/my\\x20data\n");
    let run = guest.runs_twice("install_docker.sh");
    let file = guest.etc("systemd/system/docker.service.d/phoenix-mounts.conf");
    let expected = "[Unit]\nAfter=persistent\\x2dstorage.mount srv-my\\x20data.mount\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(run.count("systemctl daemon-reload"), 1);

    guest.set("mounts", "/srv/data\n");
    let run = guest.runs_twice("install_docker.sh");
    assert_eq!(fs::read_to_string(&file).unwrap(), "[Unit]\nAfter=srv-data.mount\n");
    assert_eq!(run.count("systemctl daemon-reload"), 1);
}

#[test]
fn the_login_user_is_found() {
    let some = "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000:::\nbob:x:1001:1001:::\n";
    let no_1000 = "root:x:0:0::/root:/bin/bash\nadmin:x:1010:1010:::\n";
    let bob = r#"{"description": "say \"username\": \"eve\"", "user_config": {"username" : "bob"}}"#;
    for (passwd, context, user) in [
        (some, bob, "bob"),
        (some, "{\n  \"user_config\": {\n    \"username\": \"bob\"\n  }\n}\n", "bob"),
        (some, r#"{"user_config": {"username": "nobody-here"}}"#, "alice"),
        (some, "{}", "alice"),
        (no_1000, "{}", "admin"),
    ] {
        let guest = Guest::new();
        guest.set("passwd", passwd);
        guest.set("context.json", context);
        let run = guest.runs_twice("install_docker.sh");
        assert_eq!(run.count(&format!("usermod --append --groups docker -- {user}")), 1, "{user}: {}", run.output);
    }
    let guest = Guest::new();
    guest.set("passwd", "root:x:0:0::/root:/bin/bash\n");
    guest.set("group", "root:x:0:\nsudo:x:27:\n");
    let run = guest.runs_twice("install_docker.sh");
    assert!(run.output.contains("no login user"), "{}", run.output);
}

#[test]
fn a_docker_that_does_not_answer_is_told_with_its_log() {
    let guest = Guest::new();
    guest.set("docker/broken", "");
    let (last, run) = guest.fails("install_docker.sh");
    assert!(last.ends_with("Docker is installed, but 'docker info' does not answer after 30 tries"), "{last}");
    assert!(run.output.contains("no space left on device"), "{}", run.output);
    fs::remove_file(guest.world().join("docker/broken")).unwrap();
    guest.runs_twice("install_docker.sh");
}

#[test]
fn a_step_that_fails_is_named() {
    let guest = Guest::new();
    fs::remove_file(guest.directory.path().join("bin/hostnamectl")).unwrap();
    symlink("/bin/false", guest.directory.path().join("bin/hostnamectl")).unwrap();
    let (last, _) = guest.fails("base_setup.sh");
    assert!(last.contains("of base_setup.sh: ") && last.contains("hostnamectl --static"), "{last}");
    assert!(last.ends_with("ended with exit code 1"), "{last}");
}

#[test]
fn unknown_systems_are_refused_untouched() {
    for script in &SCRIPTS[1..] {
        let guest = Guest::new();
        guest.release("ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n");
        let (last, run) = guest.fails(script);
        assert!(last.contains("not supported: this guest runs Fedora Linux 42"), "{last}");
        assert_eq!(run.calls, ["id -u"]);

        fs::remove_file(guest.etc("os-release")).unwrap();
        assert!(guest.fails(script).0.contains("without /etc/os-release"));

        guest.set("uid", "1000\n");
        assert!(guest.fails(script).0.ends_with("must run as root"));
    }
    let guest = Guest::new();
    guest.release("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
    guest.runs_twice("base_setup.sh");
}

#[test]
fn the_scripts_end_nobody_and_parse() {
    for script in SCRIPTS {
        let path = root().join("features").join(script);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.is_ascii(), "{script} is not plain ASCII");
        for word in ["kill", "fuser", "rm -f /var", "restart", "--force-yes", "allow-unauthenticated"] {
            let found = text.lines().find(|line| line.contains(word) && !line.trim_start().starts_with('#'));
            assert_eq!(found, None, "{script} says {word}");
        }
        let parsed = Command::new("bash").arg("-n").arg(&path).output().unwrap();
        assert!(parsed.status.success(), "{script}: {}", String::from_utf8_lossy(&parsed.stderr));
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !support::need("shellcheck", "shellcheck") {
        return;
    }
    let result = Command::new("shellcheck")
        .current_dir(root())
        .args(SCRIPTS.map(|script| format!("features/{script}")))
        .args([".ci/run", "tests/features/machine"])
        .output()
        .unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stdout));
}
