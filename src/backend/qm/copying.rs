//! Disks that are being made: told by the programs that run on the node.

use crate::model::VmId;

/// The import of an image into a VM.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Import {
    /// The one that makes the VM: its boot disk, and what goes with it.
    Boot,
    /// One of a further disk, into a VM that is there.
    Further,
}

/// The import into this VM that a program's command line is: `qm set 431 … --scsi1 local:0,import-from=…`; `None`: it
/// is none.
fn import_into(line: &str, vm: VmId) -> Option<Import> {
    let (_, rest) = line.split_once(&format!("qm set {vm} "))?;
    let words: Vec<&str> = rest.split(' ').collect();
    let imports = |pair: &[&str]| pair[0].starts_with("--") && pair[1].contains(":0,import-from=");
    words.windows(2).any(imports).then_some(())?;
    // The one that makes a VM says in the same write what it boots from.
    Some(if words.contains(&"--boot") { Import::Boot } else { Import::Further })
}

/// Whether a program's command line names a volume of the VMID: `…/vm-431-disk-0.qcow2`, `…/vm-431-cloudinit`; or it is
/// the one that makes the VM from an image: `qm set 431 --boot order=scsi0 … --scsi0 local:0,import-from=…`.
pub(super) fn writes_volume_of(line: &str, vm: VmId) -> bool {
    if let Some(import) = import_into(line, vm) {
        return import == Import::Boot;
    }
    let name = format!("vm-{vm}-");
    line.match_indices(&name).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}

/// Whether one of these programs copies to a volume of the VMID: the last word of `qemu-img convert` is what it writes;
/// or imports an image as a further disk of it.
pub(super) fn copying(programs: &str, vm: VmId) -> bool {
    programs.lines().any(|line| {
        let target = line.rsplit(' ').next().unwrap_or_default();
        import_into(line, vm) == Some(Import::Further) || writes_volume_of(target, vm)
    })
}

#[cfg(test)]
mod tests {
    use super::{copying, writes_volume_of};
    use crate::model::VmId;

    #[test]
    fn a_copy_is_told_by_the_volume_it_writes() {
        let line =
            "qemu-img convert -p -n /images/9100/base-9100-disk-0.qcow2 zeroinit:/images/431/vm-431-disk-0.qcow2";
        let vm = |n: u32| VmId::try_from(n).unwrap();
        assert!(writes_volume_of(line, vm(431)));
        assert!(copying(line, vm(431)) && !copying(line, vm(9100)));
        assert!(!writes_volume_of(line, vm(9100)));
        assert!(!writes_volume_of("qemu-img convert a /dev/zvol/x-vm-431-disk-0", vm(431)));
        assert!(!writes_volume_of(line, vm(43_100)));
        let line = "/usr/bin/perl -T /usr/sbin/qm set 431 --boot order=scsi0 --ide2 local:cloudinit --scsi0 \
                    local:0,import-from=/srv/vm-900-disk-0.qcow2,discard=on --digest 0bcf";
        assert!(writes_volume_of(line, vm(431)) && !writes_volume_of(line, vm(4310)));
        assert!(!copying(line, vm(431)) && !copying(line, vm(900)));
    }

    #[test]
    fn the_import_of_a_further_disk_makes_no_vm() {
        let vm = |n: u32| VmId::try_from(n).unwrap();
        for slot in ["scsi0", "scsi1", "virtio3"] {
            let line = format!(
                "/usr/bin/perl -T /usr/sbin/qm set 431 --{slot} local:0,import-from=/srv/vm-900-disk-0.qcow2,backup=0 --digest 0bcf"
            );
            assert!(copying(&line, vm(431)) && !writes_volume_of(&line, vm(431)), "{slot}");
            assert!(!copying(&line, vm(4310)) && !copying(&line, vm(900)), "{slot}");
        }
        // Notes that say so import nothing.
        let line = "/usr/sbin/qm set 431 --description import-from=x --digest 0bcf";
        assert!(!copying(line, vm(431)) && !writes_volume_of(line, vm(431)));
    }
}
