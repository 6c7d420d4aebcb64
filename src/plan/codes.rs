//! Codes of the problems that only show against a target.

/// No template has the name.
pub const UNKNOWN_TEMPLATE: &str = "T001";
/// Several templates have the name.
pub const AMBIGUOUS_TEMPLATE: &str = "T002";
/// The storage does not exist, is not active, or takes no VM disks.
pub const UNUSABLE_STORAGE: &str = "T003";
/// The storage has too little room for what is planned.
pub const STORAGE_SHORT: &str = "T004";
/// The bridge does not exist on the node.
pub const UNKNOWN_BRIDGE: &str = "T005";
/// The share is not known.
pub const UNKNOWN_SHARE: &str = "T006";
/// The VM wants more memory than the node has.
pub const TOO_MUCH_MEMORY: &str = "T007";
/// All declared VMs together want more memory than the node has.
pub const MEMORY_OVERCOMMITTED: &str = "T008";
/// The VM wants more CPUs than the node allows one VM.
pub const TOO_MANY_CPUS: &str = "T009";
/// The VMID is taken by a VM that is not ours.
pub const NOT_OURS: &str = "T010";
/// The record in the notes cannot be read.
pub const BROKEN_RECORD: &str = "T011";
/// The VM is a template.
pub const IS_TEMPLATE: &str = "T012";
/// The VM is locked.
pub const LOCKED: &str = "T013";
/// A clone into the VMID is running.
pub const CLONE_RUNNING: &str = "T014";
/// The boot disk would shrink.
pub const DISK_SHRINKS: &str = "T015";
/// The boot disk lies on another storage and cannot move.
pub const DISK_ELSEWHERE: &str = "T016";
/// The VM has no boot disk that phoenix can find.
pub const NO_BOOT_DISK: &str = "T017";
/// The node has no address on the VM's bridge.
pub const NO_NODE_ADDRESS: &str = "T018";
/// An interrupted run left something behind.
pub const LEFTOVER: &str = "T019";
/// A VM that claims to belong to this project is not declared.
pub const UNDECLARED: &str = "T020";
/// The template changed after creation.
pub const TEMPLATE_CHANGED: &str = "T021";
/// A feature is no longer declared.
pub const FEATURE_REMOVED: &str = "T022";
/// The shared utilities changed.
pub const UTILITIES_CHANGED: &str = "T023";
/// A volume is no longer declared.
pub const VOLUME_REMOVED: &str = "T024";
/// Another VM of the target has the same name.
pub const NAME_TAKEN: &str = "T025";
/// The notes would become longer than Proxmox allows.
pub const NOTES_TOO_LONG: &str = "T026";
/// The VMID is taken on another node of the cluster, or by a container.
pub const VMID_TAKEN: &str = "T027";
/// An earlier run did not finish the VM.
pub const UNFINISHED: &str = "T028";
/// The target is to export a directory and has no NFS server.
pub const NO_NFS_SERVER: &str = "T029";
/// A directory that is to be made is there already and holds something.
pub const DIRECTORY_IN_USE: &str = "T030";
/// The HA manager looks after the VM.
pub const HA_MANAGED: &str = "T031";
/// VMs wait for each other.
pub const DEPENDENCY_RING: &str = "T032";
/// A VM that is left out and not ready is waited for.
pub const DEPENDENCY_LEFT_OUT: &str = "T033";
/// What a VM's guest lacks waits until the VM is to run, or until a restart switches its agent on.
pub const LEFT_OPEN: &str = "T034";
/// VMs are restarted one after the other.
pub const NEVER_TOGETHER: &str = "T035";
/// A linked clone would lie on another storage than its template.
pub const LINKED_ELSEWHERE: &str = "T036";
/// A VM is a linked clone and a full one is wished for, or the other way round.
pub const CLONED_OTHERWISE: &str = "T037";
/// There is no VM with the VMID.
pub const NO_SUCH_VM: &str = "T038";
/// The VM is protected and is to go.
pub const PROTECTED: &str = "T039";
/// Linked clones are built on the disks of a VM that is to go.
pub const HAS_CLONES: &str = "T040";
/// A VM that is to go is still declared.
pub const STILL_DECLARED: &str = "T041";
/// A VM is started or stopped against the file.
pub const POWER_AGAINST_FILE: &str = "T042";
/// More than half of the project's VMs are to go.
pub const TOO_MANY_PRUNED: &str = "T043";
/// VMs of a project that is not named are to go.
pub const PROJECT_NOT_NAMED: &str = "T044";
/// Somebody changed the VM since the last apply.
pub const DRIFT: &str = "T050";
/// Nobody could look into the guest.
pub const GUEST_SILENT: &str = "T051";
/// A template that was built differs from the file, and stays.
pub const TEMPLATE_BUILT: &str = "T052";
/// The node of the VM is not online, or none of the target's.
pub const NODE_OUT_OF_REACH: &str = "T053";
/// What is wished for reaches the guest through a cloud-init drive, and there is no place for one.
pub const NO_PLACE_FOR_DRIVE: &str = "T060";
/// A VM that the file does not declare has the same fixed address.
pub const ADDRESS_TAKEN: &str = "T061";
/// What becomes a template has no cloud-init drive.
pub const TEMPLATE_WITHOUT_DRIVE: &str = "T062";
/// A task is working on the disks of the VM.
pub const TASK_RUNNING: &str = "T045";
/// Snapshots hold on to a volume.
pub const SNAPSHOTS: &str = "T046";
/// The volume that a disk moves away from is erased.
pub const SOURCE_ERASED: &str = "T047";
/// What the target exports to the VM names another address than the guest has.
pub const EXPORT_ADDRESS: &str = "T063";
/// The volumes of a VM that is started are not looked after.
pub const VOLUMES_LEFT: &str = "T064";
/// The VM to be taken over has no uuid by which it could be told from others.
pub const NO_UUID: &str = "T070";
/// The config cannot say what the VM is.
pub const INEXPRESSIBLE: &str = "T071";
/// The VM has more than phoenix looks after.
pub const HAS_MORE: &str = "T072";
/// The VM to be taken over differs from its entry.
pub const DIFFERS: &str = "T073";
/// A disk cannot be snapshotted, or a snapshot would be in the way.
pub const NO_SNAPSHOT: &str = "T048";
/// A snapshot of a run that did not come to its end is there.
pub const SNAPSHOT_KEPT: &str = "T049";
/// What a VM did since a snapshot is lost.
pub const ROLLED_BACK: &str = "T065";
/// An address that a VM is said to have is left out.
pub const ADDRESS_LEFT_OUT: &str = "T066";
/// A VM cannot be reached, and an inventory leaves it out.
pub const UNREACHED: &str = "T068";
/// A guest says that it has another address than the one that is fixed for it.
pub const ADDRESS_DIFFERS: &str = "T067";
/// A VM may not have a directory of the node.
pub const HOST_PATH: &str = "T080";
/// The node's file of what VMs may have counts for nothing.
pub const ALLOW_FILE: &str = "T081";
/// A VM will be able to write a directory of the node.
pub const WRITES_ON_NODE: &str = "T082";
/// A VM can fill the node's root file system.
pub const FILLS_NODE: &str = "T083";
/// No VM may be made from a file of the node.
pub const IMAGE_PATH: &str = "T084";
/// Only a record says that a VM which is to be destroyed belongs to the project.
pub const CLAIMED: &str = "T085";
/// The cluster has no quorum.
pub const NO_QUORUM: &str = "T090";
/// No configuration names volumes of the VM.
pub const UNNAMED_VOLUMES: &str = "T091";
/// Options of a VM do not go together.
pub const BOUNDED: &str = "T092";
/// An option of a VM reaches into the node, and nothing allows it.
pub const HOST_OPTION: &str = "T086";
/// An option of a VM reaches into the node.
pub const REACHES_NODE: &str = "T087";
/// A VM with UEFI firmware has no EFI disk.
pub const NO_EFI_DISK: &str = "T093";

/// Every code with its meaning.
pub const ALL: &[(&str, &str)] = &[
    (UNKNOWN_TEMPLATE, "no template has the name"),
    (AMBIGUOUS_TEMPLATE, "several templates have the name"),
    (UNUSABLE_STORAGE, "the storage does not exist, is not active, or takes no VM disks"),
    (STORAGE_SHORT, "the storage has too little room for what is planned"),
    (UNKNOWN_BRIDGE, "the bridge does not exist on the node"),
    (UNKNOWN_SHARE, "the share is not known"),
    (TOO_MUCH_MEMORY, "the VM wants more memory than the node has"),
    (MEMORY_OVERCOMMITTED, "all declared VMs together want more memory than the node has"),
    (TOO_MANY_CPUS, "the VM wants more CPUs than the node allows one VM"),
    (NOT_OURS, "the VMID is taken by a VM that is not ours"),
    (BROKEN_RECORD, "the record in the notes cannot be read"),
    (IS_TEMPLATE, "the VM is a template"),
    (LOCKED, "the VM is locked"),
    (CLONE_RUNNING, "a clone into the VMID is running"),
    (DISK_SHRINKS, "the boot disk would shrink"),
    (DISK_ELSEWHERE, "the boot disk lies on another storage and cannot move"),
    (NO_BOOT_DISK, "the VM has no boot disk that can be found"),
    (NO_NODE_ADDRESS, "the node has no address on the VM's bridge"),
    (LEFTOVER, "an interrupted run left something behind"),
    (UNDECLARED, "a VM that claims to belong to this project is not declared"),
    (TEMPLATE_CHANGED, "the template changed after creation"),
    (FEATURE_REMOVED, "a feature is no longer declared"),
    (UTILITIES_CHANGED, "the shared utilities changed"),
    (VOLUME_REMOVED, "a volume is no longer declared"),
    (NAME_TAKEN, "another VM of the target has the same name"),
    (VMID_TAKEN, "the VMID is taken on another node of the cluster"),
    (NOTES_TOO_LONG, "the notes would become longer than Proxmox allows"),
    (UNFINISHED, "an earlier run did not finish the VM"),
    (NO_NFS_SERVER, "the target is to export a directory and has no NFS server"),
    (DIRECTORY_IN_USE, "a directory that is to be made is there already and holds something"),
    (HA_MANAGED, "the HA manager looks after the VM"),
    (DEPENDENCY_RING, "VMs wait for each other in a ring"),
    (DEPENDENCY_LEFT_OUT, "the VM depends on one that is left out and not ready"),
    (LEFT_OPEN, "what the guest lacks waits until the VM runs, or its agent does"),
    (NEVER_TOGETHER, "VMs are restarted one after the other"),
    (LINKED_ELSEWHERE, "a linked clone would lie on another storage than its template"),
    (NO_SUCH_VM, "there is no VM with the VMID"),
    (PROTECTED, "the VM is protected and is to go"),
    (HAS_CLONES, "linked clones are built on the disks of a VM that is to go"),
    (STILL_DECLARED, "a VM that is to go is still declared"),
    (POWER_AGAINST_FILE, "a VM is started or stopped against the file"),
    (TOO_MANY_PRUNED, "more than half of the project's VMs are to go"),
    (NO_PLACE_FOR_DRIVE, "the VM has no place for a cloud-init drive"),
    (PROJECT_NOT_NAMED, "VMs of a project that is not named are to go"),
    (TEMPLATE_BUILT, "a template that was built differs from the file, and stays as it is"),
    (NODE_OUT_OF_REACH, "the node of the VM is not online, or none of the target's"),
    (GUEST_SILENT, "the guest was to be verified and did not answer"),
    (DRIFT, "the VM was changed outside phoenix since the last apply"),
    (ADDRESS_TAKEN, "a VM that is not declared has the same fixed address"),
    (TEMPLATE_WITHOUT_DRIVE, "what becomes a template has no cloud-init drive"),
    (EXPORT_ADDRESS, "what is exported to the VM names another address than the guest has"),
    (VOLUMES_LEFT, "the volumes of a VM that is started are not looked after"),
    (TASK_RUNNING, "a task is working on the disks of the VM"),
    (SNAPSHOTS, "snapshots hold on to a volume"),
    (NO_SNAPSHOT, "a disk cannot be snapshotted, or a snapshot would be in the way"),
    (SNAPSHOT_KEPT, "a snapshot of a run that did not come to its end is there"),
    (ADDRESS_LEFT_OUT, "an address that a VM is said to have is left out"),
    (UNREACHED, "a VM cannot be reached, and an inventory leaves it out"),
    (ADDRESS_DIFFERS, "a guest says that it has another address than the one that is fixed for it"),
    (ROLLED_BACK, "what a VM did since a snapshot is lost"),
    (SOURCE_ERASED, "the volume that a disk moves away from is erased"),
    (CLONED_OTHERWISE, "the VM is a linked clone and a full one is wished for, or the other way round"),
    (NO_UUID, "the VM to be taken over has no uuid by which it could be told from others"),
    (INEXPRESSIBLE, "the config cannot say what the VM is"),
    (HAS_MORE, "the VM has more than phoenix looks after"),
    (DIFFERS, "the VM to be taken over differs from its entry"),
    (HOST_PATH, "a VM may not have a directory of the node"),
    (ALLOW_FILE, "the node's file of what VMs may have counts for nothing"),
    (WRITES_ON_NODE, "a VM will be able to write a directory of the node"),
    (FILLS_NODE, "a VM can fill the node's root file system"),
    (IMAGE_PATH, "no VM may be made from a file of the node"),
    (NO_QUORUM, "the cluster has no quorum"),
    (UNNAMED_VOLUMES, "volumes of the VMID are there that no configuration names"),
    (BOUNDED, "options of the VM do not go together"),
    (HOST_OPTION, "an option of the VM reaches into the node, and nothing allows it"),
    (REACHES_NODE, "an option of the VM reaches into the node"),
    (NO_EFI_DISK, "a VM with UEFI firmware has no EFI disk"),
    (CLAIMED, "only a record says that a VM which is to be destroyed belongs to the project"),
];
