//! What runs detached on the node: a clone goes on whatever happens to phoenix, the connection or whoever waits for it.
//!
//! The stand-in `qm` notes its arguments, says its pid through the fifo `ready`, and waits for its exit status from the
//! fifo `gate`; so nothing here depends on how long anything takes.

#[path = "support/executable.rs"]
mod executable;
#[path = "support/node.rs"]
mod node;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use node::{Node, server};
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{Command, Local, Output, Runner, Sockets, Ssh};
use phoenix::hypervisor::{Copied, Copying, Effect, Fault, FaultKind, HostOp, Hypervisor as _, NewDisk};
use phoenix::model::{CloudImage, Digest, VmId};

const LONG: Duration = Duration::from_mins(1);

/// This machine, with the node's programs before its own.
struct WithPath(String);

impl Runner for WithPath {
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        let mut command = command.clone();
        command.argv.splice(0..0, ["env".to_owned(), format!("PATH={}", self.0)]);
        Local.run(&command)
    }

    fn place(&self) -> String {
        Local.place()
    }
}

fn layout(dir: &Path) -> Layout {
    Layout { pve: dir.display().to_string(), root: dir.join("root").display().to_string() }
}

impl Node {
    fn new() -> Self {
        let node = Self::with(&["root/run"]);
        for name in ["ready", "gate"] {
            assert!(Process::new("mkfifo").arg(node.path(name)).status().unwrap().success());
        }
        node.program(
            "qm",
            r#"printf '%s\0' "$@" >"$node/argv"
            echo "transferred 1.0 GiB of 4.0 GiB (25.00%)"
            echo $$ >"$node/ready"
            read -r status said <"$node/gate"
            if [ -n "$said" ]; then echo "$said" >&2; fi
            exit "$status""#,
        );
        node
    }

    fn qm(&self) -> Qm {
        self.qm_of("default")
    }

    fn qm_of(&self, project: &str) -> Qm {
        Qm::new(Box::new(WithPath(self.search_path())), layout(self.dir.path())).of_project(project)
    }

    /// Lets a clone of a project end after its run was interrupted.
    fn interrupt(&self, project: &str, how: &str) {
        let qm = self.qm_of(project);
        let mut job = String::new();
        thread::scope(|scope| {
            let performing = scope.spawn(|| qm.perform(&clone("web", "x"), LONG));
            self.running();
            job = self.noted("pid");
            kill(&[&self.noted("waiter")]);
            performing.join().unwrap().unwrap_err();
        });
        self.end(how);
        until("the clone ends", || gone(&job));
    }

    /// Waits until the clone runs; its pid.
    fn running(&self) -> String {
        fs::read_to_string(self.path("ready")).unwrap().trim().to_owned()
    }

    /// Lets the clone end with a status and something to say.
    fn end(&self, how: &str) {
        self.write("gate", &format!("{how}\n"));
    }

    fn jobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("root/run/phoenix/jobs")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }

    /// The pid that a job's file notes.
    fn noted(&self, file: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("root/run/phoenix/jobs/clone-1000/{file}"))).unwrap();
        text.split(' ').next().unwrap().to_owned()
    }

    /// What the next run says about the clone of this one, as soon as it has ended.
    fn told(&self) -> String {
        let qm = self.qm();
        let mut told = Vec::new();
        until("the clone ends", || {
            told = qm.tidy().unwrap();
            !told.is_empty()
        });
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(self.jobs(), [""; 0]);
        told.remove(0)
    }
}

/// Looks until something is so.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        thread::yield_now();
    }
}

fn gone(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

fn kill(words: &[&str]) {
    assert!(Process::new("kill").arg("-KILL").args(words).status().unwrap().success());
}

fn clone(name: &str, description: &str) -> HostOp {
    let vm = |number: u32| VmId::try_from(number).unwrap();
    let (name, description) = (name.to_owned(), description.to_owned());
    HostOp::Clone { source: vm(9000), target: vm(1000), name, description, storage: None, node: None }
}

#[track_caller]
fn check(result: Result<(), Fault>, kind: FaultKind, effect: Effect, says: &str) {
    let fault = result.unwrap_err();
    assert_eq!((fault.kind, fault.effect), (kind, effect), "{fault:?}");
    assert!(fault.what.contains(says), "{fault:?}");
}

/// Clones, and does something while the clone runs.
fn while_cloning(node: &Node, deadline: Duration, act: impl FnOnce(&str)) -> Result<(), Fault> {
    let qm = node.qm();
    thread::scope(|scope| {
        let performing = scope.spawn(|| qm.perform(&clone("web", "x"), deadline));
        act(&node.running());
        performing.join().unwrap()
    })
}

#[test]
fn a_clone_ends_as_the_program_does() {
    let node = Node::new();
    while_cloning(&node, LONG, |_| node.end("0")).unwrap();
    let failed = while_cloning(&node, LONG, |_| node.end("255 unable to create VM 1000: config file already exists"));
    let says = "`qm clone 9000 1000`: unable to create VM 1000: config file already exists";
    check(failed, FaultKind::Refused, Effect::None, says);
    let failed = while_cloning(&node, LONG, |_| node.end("255"));
    check(failed, FaultKind::Failed, Effect::Maybe, "exit status 255: transferred 1.0 GiB of 4.0 GiB (25.00%)");
    assert_eq!(node.jobs(), [""; 0]);
    assert_eq!(node.qm().tidy().unwrap(), [""; 0]);
}

#[test]
fn while_a_clone_runs_it_is_seen_how_far_it_is() {
    let node = Node::new();
    let (qm, op) = (node.qm(), clone("web", "x"));
    assert_eq!(qm.copied(Copying::Of(&op)).unwrap(), None);
    let seen = Some(Copied { done: 1 << 30, total: Some(4 << 30) });
    while_cloning(&node, LONG, |_| {
        assert_eq!(qm.copied(Copying::Of(&op)).unwrap(), seen);
        node.end("0");
    })
    .unwrap();
    assert_eq!(qm.copied(Copying::Of(&op)).unwrap(), None);
}

#[test]
fn it_is_seen_how_far_each_copy_is_also_that_of_an_earlier_run() {
    let node = Node::new();
    let (this, later) = (node.qm(), node.qm());
    let vm = VmId::try_from(1000).unwrap();
    let image = CloudImage { source: "local:import/x.qcow2".to_owned(), sha256: None, sha512: None };
    let (storage, digest) = ("tank".to_owned(), Digest("0bcf".to_owned()));
    let disk = NewDisk { slot: "scsi1".to_owned(), storage: storage.clone(), options: String::new() };
    let moved = HostOp::MoveDisk {
        vm,
        disk: "scsi0".to_owned(),
        storage: storage.clone(),
        delete_source: false,
        digest: digest.clone(),
    };
    let seen = Some(Copied { done: 1 << 30, total: Some(4 << 30) });
    for (op, earlier) in [
        (clone("web", "x"), Some(Copying::Making(vm))),
        (HostOp::ImportDisk { vm, image: image.clone(), storage, digest: digest.clone() }, Some(Copying::Making(vm))),
        (moved, Some(Copying::Moving(vm))),
        (HostOp::ImportFurther { vm, image, disk, digest }, None),
    ] {
        thread::scope(|scope| {
            let performing = scope.spawn(|| this.perform(&op, LONG));
            node.running();
            // Another process has nothing but the VM to ask for.
            assert_eq!(this.copied(Copying::Of(&op)).unwrap(), seen, "{op:?}");
            for what in [Copying::Making(vm), Copying::Moving(vm)] {
                let expected = seen.filter(|_| earlier == Some(what));
                assert_eq!(later.copied(what).unwrap(), expected, "{op:?}, {what:?}");
            }
            node.end("0");
            performing.join().unwrap().unwrap();
        });
        assert_eq!(this.copied(Copying::Of(&op)).unwrap(), None, "{op:?}");
    }
}

#[test]
fn words_arrive_as_they_are() {
    let node = Node::new();
    let (name, description) = ("-$(touch x)'\"`", "a\n\nb \\n $HOME * ü→😀\t; exit 3 #");
    let qm = node.qm();
    thread::scope(|scope| {
        let performing = scope.spawn(|| qm.perform(&clone(name, description), LONG));
        node.running();
        node.end("0");
        performing.join().unwrap().unwrap();
    });
    let words = ["clone", "9000", "1000", "--name", name, "--description", description, "--full", "0", ""];
    assert_eq!(fs::read_to_string(node.path("argv")).unwrap(), words.join("\0"));
}

#[test]
fn a_clone_outlives_whoever_waits_for_it() {
    let node = Node::new();
    let killed = while_cloning(&node, LONG, |_| kill(&[&node.noted("waiter")]));
    check(
        killed,
        FaultKind::Unreachable,
        Effect::Maybe,
        "the process that waited for `qm clone 9000 1000` on the node is gone",
    );
    assert_eq!(node.qm().tidy().unwrap(), [""; 0], "it still runs");
    let again = node.qm().perform(&clone("web", "x"), LONG);
    check(again, FaultKind::Refused, Effect::None, "the clone into VM 1000 is under way from another run");
    node.end("255 no space\u{1b}[1m left");
    let expected = "the clone into VM 1000 of an interrupted run ended with status 255: no space[1m left";
    assert_eq!(node.told(), expected);
}

#[test]
fn a_clone_that_is_killed_may_have_done_anything() {
    let node = Node::new();
    let killed = while_cloning(&node, LONG, |_| kill(&["--", &format!("-{}", node.noted("pid"))]));
    check(killed, FaultKind::Failed, Effect::Maybe, "`qm clone 9000 1000` was killed on this node");
    assert_eq!(node.jobs(), [""; 0]);
    // Killed with nobody waiting: what it left is told, or stands in nobody's way.
    for told in [true, false] {
        while_cloning(&node, LONG, |_| {
            let job = node.noted("pid");
            kill(&[&node.noted("waiter")]);
            kill(&["--", &format!("-{job}")]);
            until("the job is gone", || gone(&job));
        })
        .unwrap_err();
        if told {
            let said = "the clone into VM 1000 of an interrupted run was killed";
            assert_eq!(node.told(), said);
        } else {
            while_cloning(&node, LONG, |_| node.end("0")).unwrap();
        }
    }
}

#[test]
fn how_a_clone_ended_is_told_to_its_own_project() {
    let node = Node::new();
    let told = |project: &str, says: &[&str]| assert_eq!(node.qm_of(project).tidy().unwrap(), says, "{project}");
    let failed = "the clone into VM 1000 of an interrupted run ended with status 255: no space left";
    node.interrupt("shop", "255 no space left");
    for project in ["default", "sho", "shop2", "sh*", ""] {
        told(project, &[]);
    }
    assert_eq!(node.jobs(), ["clone-1000"]);
    // Another project makes a VM with that VMID by now: what it begins has nothing to do with it, and takes nothing
    // away.
    node.interrupt("default", "0");
    assert_eq!(node.jobs().len(), 2);
    told("other", &[]);
    told("default", &["the clone into VM 1000 of an interrupted run ended with status 0"]);
    told("default", &[]);
    told("shop", &[failed]);
    assert_eq!(node.jobs(), [""; 0]);
    // What names no project is told to none, and is in no one's way.
    node.interrupt("shop", "255 no space left");
    fs::remove_file(node.path("root/run/phoenix/jobs/clone-1000/project")).unwrap();
    told("shop", &[]);
    told("", &[]);
    assert_eq!(node.jobs(), ["clone-1000"]);
    while_cloning(&node, LONG, |_| node.end("0")).unwrap();
    assert_eq!(node.jobs(), [""; 0]);
}

#[test]
fn one_clone_into_a_vm_at_a_time() {
    let node = Node::new();
    while_cloning(&node, LONG, |_| {
        let second = node.qm().perform(&clone("web", "x"), LONG);
        check(second, FaultKind::Refused, Effect::None, "the clone into VM 1000 is under way from another run");
        node.end("0");
    })
    .unwrap();
    // Somebody else's process has the pid of a job that is long gone.
    let left = node.path("root/run/phoenix/jobs/clone-1000");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("pid"), format!("{} 1\n", std::process::id())).unwrap();
    while_cloning(&node, LONG, |_| node.end("0")).unwrap();
}

#[test]
fn a_deadline_ends_the_waiting_and_not_the_clone() {
    let node = Node::new();
    let mut pid = String::new();
    let late = while_cloning(&node, Duration::from_secs(3), |running| running.clone_into(&mut pid));
    let says = "`qm clone 9000 1000` did not end within 3 s; it is still running on this node";
    check(late, FaultKind::TimedOut, Effect::Maybe, says);
    assert!(!gone(&pid));
    node.end("0");
    assert_eq!(node.told(), "the clone into VM 1000 of an interrupted run ended with status 0");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let node = Node::new();
    fs::create_dir(node.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(node.path("elsewhere"), node.path("root/run/phoenix")).unwrap();
    let refused = node.qm().perform(&clone("web", "x"), LONG);
    check(refused, FaultKind::Failed, Effect::None, "run/phoenix is a symbolic link, or belongs to another user");
    assert!(!node.path("argv").exists());
}

#[test]
fn whoever_a_program_leaves_behind_holds_nobody_up() {
    let node = Node::new();
    let script = r#"cat "$1" & echo started"#;
    let argv = ["sh", "-c", script, "sh", &node.path("gate").display().to_string()].map(ToOwned::to_owned);
    let output = Local.run(&Command::change(argv.into(), LONG)).unwrap();
    assert_eq!((output.status, output.stdout), (0, b"started\n".to_vec()));
    node.end("");
}

#[test]
fn a_look_that_ignores_its_end_is_killed() {
    let node = Node::new();
    let script = r#"trap '' TERM; echo $$ >"$1/ready"; read -r _ <"$1/gate""#;
    let argv = ["sh", "-c", script, "sh", &node.dir.path().display().to_string()].map(ToOwned::to_owned);
    thread::scope(|scope| {
        let looking = scope.spawn(|| Local.run(&Command::look(argv.into(), Duration::from_secs(2))));
        let pid = node.running();
        let fault = looking.join().unwrap().unwrap_err();
        assert_eq!((fault.kind, fault.effect), (FaultKind::TimedOut, Effect::None));
        until("it is killed", || gone(&pid));
    });
}

/// Runs `through_ssh` in a process of its own, whose `ssh` knows the server.
fn child(node: &Node, port: u16) -> Process {
    let mut child = Process::new(std::env::current_exe().unwrap());
    child.args(["--exact", "through_ssh", "--ignored", "--nocapture"]).env("PATH", node.search_path());
    child.env("PHOENIX_TEST_NODE", node.dir.path()).env("PHOENIX_TEST_PORT", port.to_string());
    child.stdin(Stdio::null()).stdout(Stdio::piped());
    child
}

#[test]
#[ignore = "the other side of the tests with a server: has their `ssh` in its PATH"]
#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn through_ssh() {
    let (Some(dir), Some(port)) = (std::env::var_os("PHOENIX_TEST_NODE"), std::env::var_os("PHOENIX_TEST_PORT")) else {
        return;
    };
    let dir = Path::new(&dir);
    let port = port.to_str().unwrap().parse().unwrap();
    let ssh = || Ssh::new(None, "127.0.0.1", Some(port), Sockets::At(dir.join("sockets")));
    // Calls that find no connection to share begin one each; one of them wins, and the others say so.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let output = ssh().run(&Command::look(vec!["id".to_owned()], LONG)).unwrap();
                assert_eq!((output.status, output.stderr.as_str()), (0, ""));
            });
        }
    });
    let began = Instant::now();
    for _ in 0..20 {
        let output = ssh().run(&Command::look(vec!["id".to_owned()], LONG)).unwrap();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    }
    // The shared connection lasts a minute; whoever waited for its end would still be at the first call.
    assert!(began.elapsed() < Duration::from_secs(50));
    println!("20 calls: {:?}", began.elapsed());
    println!("{:?}", Qm::new(Box::new(ssh()), layout(dir)).of_project("default").perform(&clone("web", "$(x)'"), LONG));
}

/// A clone through ssh, and what is done to it: the child's pid and the server's are known.
fn clone_through_ssh(act: impl FnOnce(&Node, u32, u32)) -> Option<(Node, String)> {
    if !(support::need("ssh", "openssh-client") && support::need("sshd", "openssh-server")) {
        return None;
    }
    let node = Node::new();
    fs::create_dir(node.path("sockets")).unwrap();
    let server = server(&node, &node.search_path());
    let child = child(&node, server.port).spawn().unwrap();
    node.running();
    act(&node, child.id(), server.child.id());
    let output = child.wait_with_output().unwrap();
    // The shared connection would end by itself, in a minute. Where it was killed there is none to end.
    let path = format!("ControlPath={}", node.path("sockets/%C").display());
    let mut ssh = Process::new(node.path("bin/ssh"));
    ssh.args(["-O", "exit", "-p", &server.port.to_string(), "-o", &path, "127.0.0.1"]).stderr(Stdio::null());
    let _ = ssh.status().unwrap();
    Some((node, String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn a_clone_through_ssh_ends_as_the_program_does() {
    let end = |node: &Node, _: u32, _: u32| node.end("255 unable to create VM 1000: config file already exists");
    let Some((node, said)) = clone_through_ssh(end) else { return };
    assert!(said.contains("kind: Refused, effect: None"), "{said}");
    assert!(said.contains("unable to create VM 1000: config file already exists"), "{said}");
    assert_eq!(node.jobs(), [""; 0]);
}

#[test]
fn a_clone_outlives_the_connection() {
    let mut waiter = String::new();
    let act = |node: &Node, _: u32, server: u32| {
        waiter = node.noted("waiter");
        let sessions = Process::new("ps").args(["-o", "pid=", "--ppid", &server.to_string()]).output().unwrap();
        kill(&String::from_utf8(sessions.stdout).unwrap().split_whitespace().collect::<Vec<_>>());
    };
    let Some((node, said)) = clone_through_ssh(act) else { return };
    assert!(said.contains("kind: Unreachable, effect: Maybe"), "{said}");
    until("nobody waits any more", || gone(&waiter));
    node.end("0");
    assert_eq!(node.told(), "the clone into VM 1000 of an interrupted run ended with status 0");
}

#[test]
fn a_clone_outlives_phoenix_behind_a_shared_connection() {
    let mut waiter = String::new();
    let act = |node: &Node, child: u32, _: u32| {
        waiter = node.noted("waiter");
        kill(&[&child.to_string()]);
    };
    let Some((node, _)) = clone_through_ssh(act) else { return };
    until("nobody waits any more", || gone(&waiter));
    node.end("0");
    assert_eq!(node.told(), "the clone into VM 1000 of an interrupted run ended with status 0");
}
