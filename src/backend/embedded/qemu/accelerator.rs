//! Whether guests run on the processor itself (KVM) or are emulated (TCG).
//!
//! That there is a `/dev/kvm` says little: on some hosts, virtual machines themselves, a guest ends in an error under
//! it or is slower than an emulated one. So a tiny guest is run under both, once for each boot of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::super::runner::{Command, Local, Runner as _};
use super::super::files;

use super::program::{PROGRAM, without_qemu};
use crate::hypervisor::{Fault, FaultKind};

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Found {
    /// Boot of this machine during which it was.
    boot: String,
    /// Why KVM is not usable; `None`: it is.
    pub(in super::super) why_not: Option<String>,
}

/// How long a tiny guest may take.
const TIME: Duration = Duration::from_secs(20);

/// Exit status of a QEMU that a guest ended by writing 0x15 to the port below.
const GOING: i32 = 0x15 << 1 | 1;

/// The tiny guest: a boot sector that ends its machine.
///
/// ```text
/// cli; mov dx, 0xf4; mov al, 0x15; out dx, al; hlt; jmp to the hlt
/// ```
const SECTOR: [u8; 10] = [0xFA, 0xBA, 0xF4, 0x00, 0xB0, 0x15, 0xEE, 0xF4, 0xEB, 0xFD];

/// What was found out earlier; `None`: nothing, or during another boot.
pub(super) fn known(dir: &Path) -> Option<Found> {
    let text = files::read(&file(dir)).ok()??;
    serde_json::from_str(&text).ok().filter(|found: &Found| found.boot == boot())
}

/// Finds out whether KVM is usable, unless that is known. `dir` is the node's directory of QEMU guests.
pub(super) fn find_out(dir: &Path) -> Result<Found, Fault> {
    if let Some(found) = known(dir) {
        return Ok(found);
    }
    files::make_dir(dir)?;
    let found = Found { boot: boot(), why_not: why_not(dir)? };
    let failed = |error: serde_json::Error| Fault::harmless(FaultKind::Failed, error.to_string());
    let text = serde_json::to_string(&found).map_err(failed)?;
    files::replace(&file(dir), &dir.join(".accelerator"), &text)?;
    Ok(found)
}

fn why_not(dir: &Path) -> Result<Option<String>, Fault> {
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("/dev/kvm: {error}")));
    }
    let mut disk = SECTOR.to_vec();
    disk.resize(510, 0);
    disk.extend([0x55, 0xAA]);
    let temporary = tempfile::Builder::new().prefix("tiny-").tempfile_in(dir).map_err(files::unread(dir))?;
    fs::write(temporary.path(), &disk).map_err(files::unread(temporary.path()))?;
    let emulated = run("tcg", temporary.path())?;
    let kvm = run("kvm", temporary.path())?;
    Ok(verdict(&kvm, &emulated))
}

/// How a run of the tiny guest ended: how long it took, or what went wrong.
type Ran = Result<Duration, String>;

/// Why KVM is not usable, from what became of the tiny guest under both.
fn verdict(kvm: &Ran, emulated: &Ran) -> Option<String> {
    match (kvm, emulated) {
        (Err(why), _) => Some(format!("a guest does not start under it: {why}")),
        (Ok(kvm), Ok(emulated)) if *kvm > *emulated * 3 + Duration::from_millis(300) => {
            Some(format!("a guest takes {} ms under it, and {} ms emulated", kvm.as_millis(), emulated.as_millis()))
        }
        (Ok(_), _) => None,
    }
}

fn run(accelerator: &str, disk: &Path) -> Result<Ran, Fault> {
    let disk = std::path::absolute(disk).map_err(files::unread(disk))?;
    let drive =
        serde_json::json!({ "driver": "raw", "node-name": "d", "file": { "driver": "file", "filename": disk } });
    let argv = [PROGRAM, "-accel", accelerator, "-m", "32", "-display", "none", "-nodefaults", "-no-user-config"];
    let mut argv: Vec<String> = argv.map(str::to_owned).into();
    argv.extend(["-blockdev".to_owned(), drive.to_string()]);
    argv.extend(["-device", "ide-hd,drive=d", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"].map(str::to_owned));
    let begun = Instant::now();
    match Local.run(&Command::look(argv, TIME)) {
        Ok(output) if output.status == GOING => Ok(Ok(begun.elapsed())),
        Ok(output) => {
            let said = output.stderr.trim().lines().last().unwrap_or("it said nothing").to_owned();
            Ok(Err(format!("QEMU exited with {}: {said}", output.status)))
        }
        Err(fault) if fault.kind == FaultKind::TimedOut => {
            Ok(Err(format!("no sign of it within {} s", TIME.as_secs())))
        }
        Err(fault) => Err(without_qemu(fault)),
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("accelerator.json")
}

/// What tells one boot of this machine from the next.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::verdict;

    #[test]
    fn kvm_is_taken_only_where_a_guest_gets_going_and_is_not_slower() {
        let ms = |ms| Ok(Duration::from_millis(ms));
        assert_eq!(verdict(&ms(90), &ms(120)), None);
        assert_eq!(verdict(&ms(400), &ms(120)), None);
        assert_eq!(verdict(&ms(90), &Err("emulation is broken".to_owned())), None);
        assert!(verdict(&ms(2075), &ms(119)).unwrap().contains("2075 ms under it, and 119 ms"));
        assert!(verdict(&Err("aborted".to_owned()), &ms(119)).unwrap().contains("aborted"));
    }
}
