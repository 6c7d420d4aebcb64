//! Disks that are being made: told by the programs that run on the node.

use crate::model::VmId;

/// Whether a program's command line names a volume of the VMID: `…/vm-431-disk-0.qcow2`, `…/vm-431-cloudinit`; or it is
/// the one that imports an image into it: `qm set 431 … --scsi0 local:0,import-from=…`.
pub(super) fn writes_volume_of(line: &str, vm: VmId) -> bool {
    if line.contains("import-from=") && line.contains(&format!("qm set {vm} ")) {
        return true;
    }
    let name = format!("vm-{vm}-");
    line.match_indices(&name).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}

/// Whether one of these programs copies to a volume of the VMID: the last word of `qemu-img convert` is what it writes.
pub(super) fn copying(programs: &str, vm: VmId) -> bool {
    programs.lines().filter_map(|line| line.rsplit(' ').next()).any(|target| writes_volume_of(target, vm))
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
        let line = "/usr/bin/perl -T /usr/sbin/qm set 431 --scsi0 local:0,import-from=/srv/vm-9-disk-0.qcow2";
        assert!(writes_volume_of(line, vm(431)) && !writes_volume_of(line, vm(4310)));
    }
}
