//! A back end, the node behind it, and what checks do and ask.

use std::cell::Cell;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phoenix::apply::guarded;
use phoenix::hypervisor::{Effect, Fault, FaultKind, FileOp, HostOp, Hypervisor};
use phoenix::model::VmId;
use phoenix::observed::{ConfigWrite, VmObserved};

/// A check: its name, and what it does.
pub(crate) type Check = (&'static str, fn(&World));

/// How long an operation may take: only to end a test that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// One operation, of whichever port.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op<'o> {
    Host(&'o HostOp),
    Files(&'o FileOp),
}

impl<'o> From<&'o HostOp> for Op<'o> {
    fn from(op: &'o HostOp) -> Self {
        Self::Host(op)
    }
}

impl<'o> From<&'o FileOp> for Op<'o> {
    fn from(op: &'o FileOp) -> Self {
        Self::Files(op)
    }
}

/// A back end with the node behind it.
pub(crate) struct World {
    pub(crate) target: Box<dyn Hypervisor>,
    about: &'static str,
    node: PathBuf,
    name: Cell<&'static str>,
}

pub(crate) fn id(vm: u32) -> VmId {
    VmId::try_from(vm).unwrap()
}

pub(crate) fn start(vm: u32) -> HostOp {
    HostOp::Start { vm: id(vm) }
}

/// A write of `key=value` words; a key alone is deleted.
pub(crate) fn write(words: &[&str]) -> ConfigWrite {
    let mut write = ConfigWrite::default();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => _ = write.set.insert(key.to_owned(), value.to_owned()),
            None => _ = write.delete.insert((*word).to_owned()),
        }
    }
    write
}

impl World {
    pub(crate) fn new(about: &'static str, node: &Path, target: Box<dyn Hypervisor>) -> Self {
        Self { target, about, node: node.to_owned(), name: Cell::new("") }
    }

    pub(crate) fn begin(&self, name: &'static str) {
        self.name.set(name);
    }

    fn title(&self) -> String {
        format!("{}: {}", self.about, self.name.get())
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "what is compared is made for it alone")]
    pub(crate) fn same<T: Debug + PartialEq>(&self, what: &str, found: T, wanted: T) {
        assert_eq!(found, wanted, "{}: {what}", self.title());
    }

    #[track_caller]
    pub(crate) fn holds(&self, what: &str, holds: bool) {
        assert!(holds, "{}: not so: {what}", self.title());
    }

    /// The answer of a call that must succeed.
    #[track_caller]
    pub(crate) fn answer<T>(&self, what: &str, answer: Result<T, Fault>) -> T {
        answer.unwrap_or_else(|fault| panic!("{}: {what}: {fault:?}", self.title()))
    }

    /// A call must fail, and with this kind.
    #[track_caller]
    pub(crate) fn fails<T: Debug>(&self, what: &str, answer: Result<T, Fault>, kind: FaultKind) -> Fault {
        match answer {
            Ok(answer) => panic!("{}: {what} succeeds: {answer:?}", self.title()),
            Err(fault) => {
                assert_eq!(fault.kind, kind, "{}: {what}: {fault:?}", self.title());
                fault
            }
        }
    }

    /// As `apply` does it: with a last look where a target cannot guard an operation itself.
    pub(crate) fn perform<'o>(&self, op: impl Into<Op<'o>>) -> Result<(), Fault> {
        match op.into() {
            Op::Host(op) => guarded(&*self.target, op, DEADLINE),
            Op::Files(op) => self.target.files().unwrap().write(op, DEADLINE),
        }
    }

    #[track_caller]
    pub(crate) fn done<'o>(&self, op: impl Into<Op<'o>>) {
        let op = op.into();
        self.answer(&format!("{op:?}"), self.perform(op));
    }

    #[track_caller]
    pub(crate) fn refused<'o>(&self, op: impl Into<Op<'o>>, kind: FaultKind, effect: Effect) {
        let op = op.into();
        let fault = self.fails(&format!("{op:?}"), self.perform(op), kind);
        assert_eq!(fault.effect, effect, "{}: {op:?}: {fault:?}", self.title());
    }

    /// A VM that must be there, as the back end sees it.
    #[track_caller]
    pub(crate) fn vm(&self, vm: u32) -> VmObserved {
        let found = self.answer("vm", self.target.vm(id(vm)));
        found.unwrap_or_else(|| panic!("{}: VM {vm} is gone", self.title()))
    }

    /// Its configuration file; empty when there is none.
    #[track_caller]
    pub(crate) fn config(&self, vm: u32) -> String {
        self.read(&format!("qemu-server/{vm}.conf"))
    }

    #[track_caller]
    pub(crate) fn is_gone(&self, vm: u32) {
        self.same("no VM", self.answer("vm", self.target.vm(id(vm))), None);
        self.same("no configuration", self.config(vm), String::new());
    }

    /// A write guarded by the digest of now.
    #[track_caller]
    pub(crate) fn configure(&self, vm: u32, words: &[&str]) -> HostOp {
        HostOp::Configure { vm: id(vm), write: write(words), digest: self.vm(vm).digest }
    }

    /// Where something of the node lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.node.join(name)
    }

    /// Text of a file of the node; empty when there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Names in a directory of the node.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Puts a VM there with a disk of 3 GiB and these lines; a line replaces the one with its key.
    pub(crate) fn put(&self, vm: u32, lines: &[&str]) {
        let low = vm % 100;
        let mut conf: Vec<String> = [
            "agent: enabled=1",
            "boot: order=scsi0",
            "cores: 2",
            "ipconfig0: ip=dhcp",
            "memory: 1024",
            "name: web",
            &format!("net0: virtio=BC:24:11:00:00:{low:02},bridge=vmbr0"),
            &format!("scsi0: local-zfs:vm-{vm}-disk-0,discard=on,size=3G"),
            &format!("smbios1: uuid=00000000-0000-4000-8000-{vm:012}"),
        ]
        .map(str::to_owned)
        .into();
        for line in lines {
            let key = line.split_inclusive(": ").next().unwrap();
            conf.retain(|old| !old.starts_with(key));
            conf.push((*line).to_owned());
        }
        self.write(&format!("qemu-server/{vm}.conf"), &(conf.join("\n") + "\n"));
        self.write(&format!("images/local-zfs/{vm}/vm-{vm}-disk-0"), "3221225472");
    }

    /// The same, running.
    #[track_caller]
    pub(crate) fn put_running(&self, vm: u32, lines: &[&str]) {
        self.put(vm, lines);
        self.done(&start(vm));
    }
}
