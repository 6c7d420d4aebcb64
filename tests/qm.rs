//! Looking at a Proxmox VE node through its own programs, here and through ssh.
//!
//! The node is a directory with the files of a node and programs that answer as Proxmox does (recorded answers); the
//! ssh server is a real one, started here on a loopback port.

#[path = "support/executable.rs"]
mod executable;
#[path = "support/node.rs"]
mod node;
mod support;

use std::fs;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use node::{Node, server};
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{self, Local, Runner as _};
use phoenix::hypervisor::Hypervisor as _;
use phoenix::model::VmId;

/// What a VM looks like on the node.
const TEMPLATE: &str = "boot: order=scsi0\nname: ubuntu-22.04-cloud-template-v3\nscsi0: local-zfs:base-9000-disk-0,size=3G\n\
                        smbios1: uuid=79ef10b8-ac1e-4149-9d67-b2219709442b\ntemplate: 1\n";

impl Node {
    fn new() -> Self {
        let node = Self::with(&[
            "qemu-server",
            "root/proc/sys/kernel",
            "root/sys/class/net/vmbr0/bridge",
            "root/sys/class/net/eth0",
        ]);
        node.write("phoenix_vm_configs.json", include_str!("../phoenix_vm_configs.json"));
        node.write("qemu-server/9000.conf", TEMPLATE);
        node.write("root/proc/sys/kernel/hostname", "pve.example.com\n");
        node.write("root/proc/meminfo", "MemTotal:       65843176 kB\nMemFree: 1 kB\n");
        node.write(
            "storage.cfg",
            "dir: local\n\tpath /var/lib/vz\n\nnfs: local-nfs\n\tserver 192.0.2.9\n\texport /srv/nfs\n",
        );
        node.answer("qemu", r#"[{"status":"stopped","vmid":9000}]"#);
        node.answer(
            "storage",
            r#"[{"active":1,"avail":79203336192,"content":"images,rootdir","enabled":1,"shared":0,"storage":"local-zfs",
               "total":270553174016,"type":"zfspool","used":1},
               {"active":1,"avail":5,"content":"backup","enabled":1,"storage":"local-nfs","total":9,"type":"nfs"}]"#,
        );
        node.answer("tasks", "[]");
        node.answer("resources", "[]");
        node.write("root/proc/cpuinfo", &"processor\t: 0\nflags\t: fpu\n".repeat(32));
        node.program("ps", "cat \"$node/processes\" 2>/dev/null || true");
        node.program("exportfs", "exit 0");
        node.program("qm", "exit 1");
        node.program(
            "pvesm",
            r#"[ "$*" = "list local-zfs --content images" ] || exit 1
            echo "Volid                    Format  Type           Size VMID"
            cat "$node/volumes" 2>/dev/null || true"#,
        );
        node.program("ip", "echo '2: vmbr0    inet 192.0.2.1/24 brd 192.0.2.255 scope global vmbr0'");
        node.program(
            "pvesh",
            r#"case $2 in
              /nodes/pve/qemu) name=qemu ;;
              /nodes/pve/storage) name=storage ;;
              /nodes/pve/tasks) name=tasks ;;
              /nodes/*/tasks/*/log) name=log ;;
              /cluster/resources) name=resources ;;
              *) echo "no '$1' handler defined for '$2'" >&2; exit 1 ;;
            esac
            if [ -f "$node/$name.refused" ]; then cat "$node/$name.refused" >&2; exit 255; fi
            cat "$node/$name.json""#,
        );
        node
    }

    fn answer(&self, name: &str, json: &str) {
        self.write(&format!("{name}.json"), json);
    }

    fn phoenix(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_phoenix"))
            .args(arguments)
            .current_dir(self.dir.path())
            .env("PATH", self.search_path())
            .env("PHOENIX_NODE_ROOT", self.dir.path())
            .env_remove("PHOENIX_TARGET")
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The calls of the node's programs so far.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

#[track_caller]
fn check(output: &Output, code: i32, says: &[&str]) {
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    for text in says {
        assert!(all.contains(text), "`{text}` is missing in:\n{all}");
    }
}

#[test]
fn a_plan_is_made_from_the_node_as_it_is() {
    let node = Node::new();
    let output = node.phoenix(&["plan", "--target", "qm:"]);
    check(
        &output,
        0,
        &[
            "Target  Proxmox VE on this node",
            "9000, full clone",
            "192.0.2.1:/quickOS/vm-persistent-data/1000",
            "Plan: 3 to create",
        ],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("no real VM"), "this is no rehearsal");
    // Where the programs of Proxmox are, it is the node that is meant.
    check(&node.phoenix(&["plan"]), 0, &["Target  Proxmox VE on this node"]);
}

#[test]
fn as_many_calls_for_a_thousand_vms_as_for_three() {
    let node = Node::new();
    check(&node.phoenix(&["plan", "--target", "qm:"]), 0, &[]);
    let few = node.calls().len();
    let mut states = vec![r#"{"status":"stopped","vmid":9000}"#.to_owned()];
    for vm in 2000..3000 {
        node.write(&format!("qemu-server/{vm}.conf"), &format!("name: vm{vm}\nmemory: 512\n"));
        states.push(format!(r#"{{"status":"running","vmid":{vm}}}"#));
    }
    node.answer("qemu", &format!("[{}]", states.join(",")));
    check(&node.phoenix(&["plan", "--target", "qm:"]), 0, &["Plan: 3 to create"]);
    assert_eq!(node.calls().len(), 2 * few);
    assert!(few <= 7, "{few} calls: {:?}", node.calls());
}

#[test]
fn what_runs_on_the_node_is_respected() {
    let node = Node::new();
    // A colleague's clone into a VMID of ours: only the log of its task names it.
    node.write("qemu-server/1000.conf", "# qmclone temporary file\nlock: clone\n");
    node.answer("qemu", r#"[{"status":"stopped","vmid":9000},{"status":"stopped","vmid":1000}]"#);
    node.answer(
        "tasks",
        r#"[{"id":"9000","status":"RUNNING","type":"qmclone","upid":"UPID:vm:1:2:3:qmclone:9000:root@pam:"}]"#,
    );
    node.answer("log", r#"[{"n":1,"t":"creating a clone of VM 9000 with ID 1000"}]"#);
    check(
        &node.phoenix(&["plan", "--target", "qm:"]),
        1,
        &["a clone into this VMID is running", "wait until it has ended"],
    );
    // One whose target cannot be told means: wait.
    node.answer("log", "[]");
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["a clone is running whose target is not known"]);
    // A copy that outlived its task is still writing.
    node.answer("tasks", "[]");
    node.write(
        "processes",
        "/usr/bin/qemu-img convert -p /x/base-9000-disk-0.raw zeroinit:/x/1000/vm-1000-disk-0.raw\n",
    );
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["a clone into this VMID is running"]);
    // With no clone running, it is a leftover.
    node.write(
        "processes",
        "/usr/bin/qemu-img convert -p /x/base-9000-disk-0.raw zeroinit:/x/1001/vm-1001-disk-0.raw\n",
    );
    check(&node.phoenix(&["plan", "--target", "qm:"]), 0, &["left over by an interrupted run"]);
    // A VM on another node of the cluster has the VMID.
    fs::remove_file(node.path("qemu-server/1000.conf")).unwrap();
    node.answer("resources", r#"[{"id":"qemu/1000","name":"web","node":"pve2","type":"qemu","vmid":1000}]"#);
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["the VM `web` on node `pve2` has this VMID"]);
    // A template that is there is not said to be nowhere.
    node.answer(
        "resources",
        r#"[{"id":"qemu/9001","name":"ubuntu-22.04-cloud-template-v3","node":"pve2","type":"qemu","template":1,"vmid":9001}]"#,
    );
    fs::remove_file(node.path("qemu-server/9000.conf")).unwrap();
    let there =
        ["template `ubuntu-22.04-cloud-template-v3` (9001) is on node `pve2`", "name that node with `--target`"];
    let output = node.phoenix(&["plan", "--target", "qm:"]);
    check(&output, 1, &there);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("there is no template"), "it is said to be nowhere");
    node.write("qemu-server/9000.conf", TEMPLATE);
    // So has a container, wherever it is.
    node.answer("resources", r#"[{"id":"lxc/1000","name":"ct","node":"pve","type":"lxc","vmid":1000}]"#);
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["the container `ct` on node `pve` has this VMID"]);
}

/// The files of a node that say what its API reads from them, so that it need not be asked.
#[test]
fn what_files_tell_is_not_asked() {
    let node = Node::new();
    for dir in ["root/var/run/qemu-server", "root/var/log/pve/tasks/F", "nodes/pve2/qemu-server", "nodes/pve/lxc"] {
        fs::create_dir_all(node.path(dir)).unwrap();
    }
    // As recorded: what runs, and what ended.
    let clone = "UPID:pve:0000787D:000AF6D4:6B0375BF:qmclone:9000:root@pam:";
    let ended = clone.replace("7D:", "7E:");
    node.write("root/var/log/pve/tasks/active", &format!("{clone} 0\n{ended} 1 6B0375C2 OK\n"));
    let log = node.path(&format!("root/var/log/pve/tasks/F/{clone}"));
    let list = |vms: &str| node.write(".vmlist", &format!("{{\n\"version\": 23,\n\"ids\": {{\n{vms}}}\n\n}}\n"));
    let own = r#""9000": { "node": "pve", "type": "qemu", "version": 1 }"#;
    list(own);
    // Nothing but how the storages are; and what lies on them.
    let plan = |code: i32, says: &[&str]| {
        node.write("calls", "");
        check(&node.phoenix(&["plan", "--target", "qm:"]), code, says);
        let calls = node.calls();
        let perl: Vec<&String> =
            calls.iter().filter(|call| ["pvesh ", "qm "].iter().any(|program| call.starts_with(program))).collect();
        assert_eq!(perl, ["pvesh get /nodes/pve/storage --output-format json"]);
    };
    fs::write(&log, "creating a clone of VM 9000 with ID 1000\ntransferred 0.0 B\n").unwrap();
    plan(1, &["a clone into this VMID is running"]);
    fs::write(&log, "").unwrap();
    node.write("qemu-server/1000.conf", "# qmclone temporary file\nlock: clone\n");
    plan(1, &["a clone is running whose target is not known"]);
    fs::remove_file(node.path("qemu-server/1000.conf")).unwrap();
    node.write("root/var/log/pve/tasks/active", &format!("{ended} 1 6B0375C2 OK\n"));
    plan(0, &["Plan: 3 to create"]);
    // VMs of other nodes and containers have VMIDs, too; what a snapshot was called is no name.
    list(&format!("{own},\n\"1000\": {{ \"node\": \"pve2\", \"type\": \"qemu\", \"version\": 2 }}"));
    node.write("nodes/pve2/qemu-server/1000.conf", "#old\nname: web\n\n[before]\nname: old\n");
    plan(1, &["the VM `web` on node `pve2` has this VMID"]);
    list(&format!("{own},\n\"1000\": {{ \"node\": \"pve\", \"type\": \"lxc\", \"version\": 2 }}"));
    node.write("nodes/pve/lxc/1000.conf", "arch: amd64\nhostname: ct\n");
    plan(1, &["the container `ct` on node `pve` has this VMID"]);
    node.write(".vmlist", "{");
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["/etc/pve/.vmlist cannot be understood"]);
}

#[test]
fn a_node_that_does_not_answer_is_an_error_and_no_embedded_node() {
    let node = Node::new();
    node.write("storage.refused", "permission denied - you need root\n");
    check(&node.phoenix(&["plan"]), 1, &["the node does not report its storage: permission denied"]);
    fs::remove_file(node.path("storage.refused")).unwrap();
    node.answer("qemu", "<html>");
    check(&node.phoenix(&["plan"]), 1, &["the node's qemu cannot be understood"]);
    fs::remove_file(node.path("bin/pvesh")).unwrap();
    let missing = ["the node does not report its tasks: ", "pvesh: not found", "hint: is this a Proxmox VE node"];
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &missing);
    fs::remove_dir_all(node.path("qemu-server")).unwrap();
    check(&node.phoenix(&["plan"]), 1, &["qemu-server cannot be read: is this a Proxmox VE node, is pve-cluster"]);
    assert!(!node.path(".phoenix").exists());
}

#[test]
fn a_plan_travels_through_ssh_in_two_calls() {
    if !(support::need("ssh", "openssh-client") && support::need("sshd", "openssh-server")) {
        return;
    }
    let node = Node::new();
    let server = server(&node, &node.search_path());
    let target = format!("qm+ssh://127.0.0.1:{}", server.port);
    let output = node.phoenix(&["plan", "--target", &target]);
    check(&output, 0, &["Target  Proxmox VE on 127.0.0.1", "9000, full clone", "Plan: 3 to create"]);
    let calls = node.calls();
    // What there is; and, as VMs are to be made, the volumes of storages.
    assert_eq!(calls.iter().filter(|call| call.starts_with("ssh ")).count(), 2, "{calls:?}");
    // The node's own failures come through as such, status and all.
    node.write("tasks.refused", "something is wrong\n");
    check(
        &node.phoenix(&["plan", "--target", &target]),
        1,
        &["the node does not report its tasks: something is wrong"],
    );
    // What ssh itself refuses is told apart.
    node.write("known_hosts", "");
    let refused = node.phoenix(&["plan", "--target", &target]);
    check(&refused, 1, &["the host key of 127.0.0.1 is not known", "compare the fingerprint"]);
    drop(server);
    let gone = node.phoenix(&["plan", "--target", &target]);
    check(&gone, 1, &["cannot connect to 127.0.0.1", "Connection refused"]);
}

#[test]
fn storages_that_cannot_be_listed_keep_no_plan_from_being_made() {
    let node = Node::new();
    node.write(
        "volumes",
        "local-zfs:vm-1000-disk-0 raw     images   8589934592 1000\nbad\nlocal-zfs:vm-1-disk-0 raw images 1 x\n",
    );
    let there = ["there are volumes of this VMID", "`pvesm free local-zfs:vm-1000-disk-0`"];
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &there);
    node.program("pvesm", "echo 'storage is gone' >&2; exit 255");
    let unknown = ["Whether volumes of VMs that are to be made are there already is not known", "Plan: 3 to create"];
    check(&node.phoenix(&["plan", "--target", "qm:"]), 0, &unknown);
}

#[test]
fn a_directory_that_is_there_already_is_told() {
    let node = Node::new();
    for path in ["root/quickOS/vm-persistent-data/1000", "root/quickOS/vm-persistent-data/1001"] {
        fs::create_dir_all(node.path(path)).unwrap();
    }
    node.write("root/quickOS/vm-persistent-data/1000/a b", "");
    let output = node.phoenix(&["plan", "--target", "qm:"]);
    check(&output, 0, &["`/quickOS/vm-persistent-data/1000` exists already and has 1 entry"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("1001` is there"), "an empty one is nothing to tell");
}

#[test]
fn a_vm_that_the_ha_manager_looks_after_is_told() {
    let node = Node::new();
    fs::create_dir_all(node.path("ha")).unwrap();
    node.write("ha/resources.cfg", "ct: 1002\n\nvm: 1001\n\tgroup all\n\tstate started\n");
    let output = node.phoenix(&["plan", "--target", "qm:"]);
    check(&output, 0, &["the HA manager looks after the VM, and may start"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("VM 1000: it may") && !said.contains("VM 1002: it may"), "{said}");
}

/// What cannot be read is not taken for a file in which nothing stands.
#[test]
fn what_the_ha_manager_looks_after_must_be_readable() {
    let node = Node::new();
    fs::create_dir_all(node.path("ha/resources.cfg")).unwrap();
    check(&node.phoenix(&["plan", "--target", "qm:"]), 1, &["ha/resources.cfg: Is a directory"]);
}

#[test]
fn a_vm_runs_if_the_process_in_its_pid_file_is_its_qemu() {
    let node = Node::new();
    let pids = node.path("root/var/run/qemu-server");
    fs::create_dir_all(&pids).unwrap();
    let qm = Qm::new(
        Box::new(Local),
        Layout { pve: node.dir.path().display().to_string(), root: node.path("root").display().to_string() },
    );
    let running = || {
        let alone = qm.vm(VmId::try_from(9000).unwrap()).unwrap().unwrap().running;
        // In a look at all VMs it is as in a look at this one.
        let said = node.phoenix(&["observe", "--target", "qm:"]);
        let all: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(all["observed"]["vms"]["9000"]["running"], alone);
        alone
    };
    assert!(!running(), "no pid file");
    let mut qemu = Command::new("sh");
    let mut qemu = qemu
        .args([
            "-c",
            "echo; read -r _",
            "kvm",
            "-id",
            "9000",
            "-pidfile",
            "/var/run/qemu-server/9000.pid",
            "-daemonize",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its command line can be read from when it runs, which is later than that it is there.
    let mut line = [0];
    qemu.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let pid = qemu.id();
    let proc =
        |pid: u32| std::os::unix::fs::symlink(format!("/proc/{pid}"), node.path(&format!("root/proc/{pid}"))).unwrap();
    proc(pid);
    proc(std::process::id());
    fs::write(pids.join("9000.pid"), format!("{pid}\n")).unwrap();
    assert!(running());
    fs::write(pids.join("9000.pid"), format!("{}\n", std::process::id())).unwrap();
    assert!(!running(), "the pid was given to another program");
    fs::write(pids.join("9000.pid"), "").unwrap();
    assert!(!running());
    fs::write(pids.join("9000.pid"), format!("{pid}\n")).unwrap();
    drop(qemu.stdin.take());
    qemu.wait().unwrap();
    assert!(!running(), "it has ended");
}

#[test]
fn programs_run_in_a_locale_that_proxmox_decodes_its_arguments_by() {
    let output = Local.run(&runner::Command::look(vec!["env".to_owned()], std::time::Duration::from_mins(1))).unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("LC_ALL=C.UTF-8\n"));
}
