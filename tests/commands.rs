//! What `phoenix create` runs on a node: the ten steps of the specification, command by command.
//!
//! The node's programs are doubles that note their calls; so do `mkdir` and `mv`, which phoenix's scripts use.
//! `SNAPSHOTS=overwrite cargo test --test commands` rewrites the sequences under `fixtures/qm/`.

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/executable.rs"]
mod executable;

use std::fs;
use std::path::{Path, PathBuf};

use doubles::Doubles;
use executable::executable;
use phoenix::backend::embedded::Embedded;
use phoenix::ui::commands::quoted;
use serde_json::json;
use tempfile::TempDir;

/// A node with doubles, and a config beside it.
struct Scene {
    dir: TempDir,
    doubles: Doubles,
}

impl Scene {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("phoenix_vm_configs.json"), config).unwrap();
        Embedded::open(&dir.path().join("node")).unwrap();
        let doubles = Doubles::new(&dir.path().join("node"));
        let calls = doubles.bin().parent().unwrap().join("calls");
        for program in ["mkdir", "mv"] {
            // What it makes is its last word.
            let script = format!(
                "#!/bin/sh\nfor last; do :; done\ncase $last in /*) ;; *) last=$PWD/${{last#./}} ;; esac\n\
                 printf '[\"{program}\",\"%s\"]\\n' \"$last\" >>'{}'\nexec /bin/{program} \"$@\"\n",
                calls.display()
            );
            executable(&doubles.bin().join(program), &script);
        }
        Self { dir, doubles }
    }

    fn node(&self) -> PathBuf {
        self.dir.path().join("node").canonicalize().unwrap()
    }

    /// Runs phoenix here and returns the calls it made.
    #[track_caller]
    fn phoenix(&self, arguments: &[&str]) -> Vec<Vec<String>> {
        self.doubles.clear_calls();
        let mut phoenix = self.doubles.command(env!("CARGO_BIN_EXE_phoenix"));
        let output = phoenix.args(arguments).args(["--target", "qm:"]).current_dir(self.dir.path()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{arguments:?}: {said}");
        self.doubles.calls()
    }

    /// The calls that change something or reach into a guest, as lines; what differs from run to run has a name.
    fn lines(&self, calls: &[Vec<String>]) -> Vec<String> {
        let root = self.node().join("root").display().to_string();
        let line = |call: &Vec<String>| {
            let mut words: Vec<String> = call.iter().map(|word| normal(&word.replace(&root, ""))).collect();
            if let Some(at) = words.iter().position(|word| word == "-c") {
                "<script>".clone_into(&mut words[at + 1]);
            }
            words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        };
        // Where jobs keep their files is no business of a VM's.
        calls.iter().filter(|call| acts(call)).map(line).filter(|line| !line.contains("/run/phoenix")).collect()
    }
}

/// Whether a call does more than look at the hypervisor.
fn acts(call: &[String]) -> bool {
    let words: Vec<&str> = call.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["qm", "status" | "config", ..] | ["qm", "guest", "exec-status", ..] | [] => false,
        ["agent", _, question, ..] => ["guest-ping", "guest-exec"].contains(question),
        [program, ..] => !["pvesh", "pvesm", "ip", "nproc", "ps"].contains(program),
    }
}

/// Names for what is made up anew in each run: uuids, MAC addresses, digests.
fn normal(word: &str) -> String {
    let word = word.replace("\\u002d", "-");
    let part = |c: char| c.is_ascii_hexdigit() || c == '-' || c == ':';
    let (mut out, mut rest) = (String::new(), word.as_str());
    while let Some(at) = rest.find(part) {
        let (before, from) = rest.split_at(at);
        let (run, after) = from.split_at(from.find(|c| !part(c)).unwrap_or(from.len()));
        let count = |c: char| run.matches(c).count();
        let name = match (run.len(), count('-'), count(':')) {
            (36, 4, 0) => "UUID",
            (17, 0, 5) => "MAC",
            (12.., 0, 0) => "DIGEST",
            _ => run,
        };
        out.extend([before, name]);
        rest = after;
    }
    out + rest
}

/// The specification's steps in its order, each by what must stand in its command.
const STEPS: [&str; 14] = [
    "qm clone 9000 1000 ",
    "qm set 1000 ",
    "qm disk resize 1000 scsi0 50G",
    "qm start 1000",
    "agent 1000 guest-ping",
    " cloud-init status",
    "mkdir /quickOS/vm-persistent-data/1000",
    "mv /etc/exports.d/phoenix-1000.exports",
    "exportfs -ra",
    " phoenix-mount ",
    " phoenix-stage ",
    " phoenix-feature base_setup ",
    " phoenix-feature install_docker ",
    "qm set 1000 --description ",
];

/// Creates the VMs of an example of the specification as it says, and compares what that runs for VM 1000.
#[track_caller]
fn check(name: &str, config: &str, more: &[&str], others: &[&str]) {
    let scene = Scene::new(config);
    let create = [&["create", "1000"], more].concat();
    let lines = scene.lines(&scene.phoenix(&create));
    let mut rest = lines.iter();
    for step in STEPS {
        assert!(rest.any(|line| line.contains(step)), "{name}: `{step}` is missing, or out of turn:\n{lines:#?}");
    }
    let shape = |lines: &[String], vm: &str| -> Vec<String> {
        let programs = lines.iter().map(|line| line.replace(vm, "VM").split(' ').take(3).collect::<Vec<_>>().join(" "));
        programs.filter(|line| !line.starts_with("mkdir")).collect()
    };
    for vm in others {
        let found = scene.lines(&scene.phoenix(&["create", vm]));
        assert_eq!(shape(&found, vm), shape(&lines, "1000"), "{name}: {vm}");
    }
    // Once more: there is nothing to do, and no guest is asked.
    for arguments in [&["create", "1000"][..], &["apply", "--auto-approve"]] {
        assert_eq!(scene.lines(&scene.phoenix(arguments)), [""; 0], "{name}: {arguments:?} again");
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/qm/{name}.txt"));
    snapbox::assert_data_eq!(lines.join("\n") + "\n", snapbox::Data::read_from(&fixture, None).raw());
}

#[test]
fn the_examples_of_the_specification_are_created_step_by_step() {
    check("create-1000", include_str!("../fixtures/spec/example-4.1.json"), &[], &["1001", "1002"]);
    // Its two volumes do not wait for each other unless there is one at a time.
    let one = ["--parallelism", "1"];
    check("create-1000-with-a-volume", include_str!("../fixtures/spec/example-2.1.json"), &one, &[]);
}

#[test]
fn a_plan_takes_as_many_calls_for_a_thousand_vms_as_for_three() {
    let scene = Scene::new(include_str!("../fixtures/spec/example-4.1.json"));
    let few = scene.phoenix(&["plan"]);
    for vm in 2000..3000 {
        let conf = format!("cores: 1\nmemory: 512\nname: vm{vm}\nscsi0: local-zfs:vm-{vm}-disk-0,size=1G\n");
        fs::write(scene.node().join(format!("qemu-server/{vm}.conf")), conf).unwrap();
    }
    assert_eq!(scene.phoenix(&["plan"]).len(), few.len());
    // Two of the API, `ip` and `ps`; and one for each storage that VMs are made on.
    assert!(few.len() <= 6, "{few:?}");
}

/// How often a program of Proxmox is started, each of which takes most of a second of the node's processor. When a
/// number grows, find out why before the file is rewritten.
#[test]
fn the_programs_of_proxmox_are_started_as_rarely_as_before() {
    let config =
        include_str!("../fixtures/spec/example-4.1.json").replacen('{', r#"{ "hypervisor": { "project": "p" },"#, 1);
    let scene = Scene::new(&config);
    scene.doubles.keep_pid_files();
    let mut table = String::from("what                       qm  pvesh  pvesm  questions to agents\n");
    let mut count = |what: &str, arguments: &[&str]| {
        let calls = scene.phoenix(arguments);
        let of = |program: &str| calls.iter().filter(|call| call[0] == program).count();
        let [vms, api, storages, agent] = ["qm", "pvesh", "pvesm", "agent"].map(of);
        table.push_str(&format!("{what:<26} {vms:>2}  {api:>5}  {storages:>5}  {agent:>19}\n"));
    };
    let declared = |name: &str, config: &str| {
        let path = scene.dir.path().join(name);
        fs::write(&path, config).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = ["--parallelism", "1", "--auto-approve"];
    let twenty: Vec<_> = (2000..2020).map(|vm| json!({ "vm_id": vm, "vm_name": format!("vm{vm}") })).collect();
    let twenty = json!({ "hypervisor": { "project": "p" }, "virtual_machines": twenty }).to_string();
    count("plan of one new VM", &["plan", "--only", "1000"]);
    count("plan of twenty new VMs", &["plan", "-c", &declared("twenty.json", &twenty)]);
    count("one VM, from nothing", &[&["create", "1000"][..], &one[..2]].concat());
    count("two further VMs", &[&["apply"], &one[..]].concat());
    count("plan, nothing to do", &["plan"]);
    count("apply, nothing to do", &[&["apply"], &one[..]].concat());
    count("stop", &["stop", "1000", "--auto-approve"]);
    count("start", &["start", "1000"]);
    count("restart", &["restart", "1000", "--auto-approve"]);
    let memory = config.replace("4096", "2048");
    count(
        "a change with a restart",
        &[&["apply", "--restart", "-c", &declared("memory.json", &memory)], &one[..]].concat(),
    );
    let tags = memory.replace("web-server", "web");
    count("new tags of three VMs", &[&["apply", "-c", &declared("tags.json", &tags)], &one[..]].concat());
    count("destroy", &["destroy", "1000", "--yes-destroy", "rumpledev"]);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/qm/counts.txt");
    snapbox::assert_data_eq!(table, snapbox::Data::read_from(&fixture, None).raw());
}
