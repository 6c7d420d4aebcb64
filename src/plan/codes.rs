//! Codes of the problems that only show against a target, in one table.

/// Defines the constants and the table from one list, so that neither can lack an entry.
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)+

        /// Every code with its meaning, in ascending order.
        pub const ALL: &[(&str, &str)] = &[$(($name, $meaning),)+];
    };
}

codes! {
    UNKNOWN_TEMPLATE = "T001", "no template has the name";
    AMBIGUOUS_TEMPLATE = "T002", "several templates have the name";
    UNUSABLE_STORAGE = "T003", "the storage does not exist, is not active, or takes no VM disks";
    STORAGE_SHORT = "T004", "the storage has too little room for what is planned";
    UNKNOWN_BRIDGE = "T005", "the bridge does not exist on the node";
    UNKNOWN_SHARE = "T006", "the share is not known";
    TOO_MUCH_MEMORY = "T007", "the VM needs more memory than the node has";
    MEMORY_OVERCOMMITTED = "T008", "the declared VMs need more memory in total than the node has";
    TOO_MANY_CPUS = "T009", "the VM has more CPUs than the node allows one VM";
    NOT_OURS = "T010", "the VMID is taken by a VM that phoenix did not make, or of another project";
    BROKEN_RECORD = "T011", "the record in the notes cannot be read";
    IS_TEMPLATE = "T012", "the VM is a template";
    LOCKED = "T013", "the VM is locked";
    CLONE_RUNNING = "T014", "a clone into the VMID is running";
    DISK_SHRINKS = "T015", "the boot disk would shrink";
    DISK_ELSEWHERE = "T016", "a disk lies on another storage and cannot move";
    NO_BOOT_DISK = "T017", "the VM has no boot disk that can be found";
    NO_NODE_ADDRESS = "T018", "the node has no address on the VM's bridge";
    LEFTOVER = "T019", "an interrupted run left something behind";
    UNDECLARED = "T020", "a VM that claims to belong to this project is not declared";
    TEMPLATE_CHANGED = "T021", "the template changed after creation";
    FEATURE_REMOVED = "T022", "a feature is no longer declared";
    UTILITIES_CHANGED = "T023", "the shared utilities changed";
    VOLUME_REMOVED = "T024", "a volume is no longer declared";
    NAME_TAKEN = "T025", "another VM of the target has the same name";
    NOTES_TOO_LONG = "T026", "the notes would become longer than Proxmox allows";
    VMID_TAKEN = "T027", "the VMID is taken on another node of the cluster";
    UNFINISHED = "T028", "an earlier run did not finish the VM";
    NO_NFS_SERVER = "T029", "the target is to export a directory and has no NFS server";
    DIRECTORY_IN_USE = "T030", "a directory that is to be made is there already and holds something";
    HA_MANAGED = "T031", "the HA manager looks after the VM";
    DEPENDENCY_RING = "T032", "VMs wait for each other in a ring";
    DEPENDENCY_LEFT_OUT = "T033", "the VM depends on one that is left out and not ready";
    LEFT_OPEN = "T034", "what the guest lacks waits until the VM runs, or its agent does";
    NEVER_TOGETHER = "T035", "VMs are restarted one after the other";
    LINKED_ELSEWHERE = "T036", "a linked clone would lie on another storage than its template";
    CLONED_OTHERWISE = "T037", "the VM is a linked clone and the file asks for a full one, or the other way round";
    NO_SUCH_VM = "T038", "there is no VM with the VMID";
    PROTECTED = "T039", "the VM is protected and is to be destroyed";
    HAS_CLONES = "T040", "linked clones are built on the disks of a VM that is to be destroyed";
    STILL_DECLARED = "T041", "a VM that is to be destroyed is still declared";
    POWER_AGAINST_FILE = "T042", "a VM is started or stopped against the file";
    TOO_MANY_PRUNED = "T043", "more than half of the project's VMs are to be destroyed";
    PROJECT_NOT_NAMED = "T044", "VMs of a project that is not named are to be destroyed";
    TASK_RUNNING = "T045", "a task is working on the disks of the VM";
    SNAPSHOTS = "T046", "snapshots hold on to a volume";
    SOURCE_ERASED = "T047", "the volume that a disk moves away from is erased";
    NO_SNAPSHOT = "T048", "a disk cannot be snapshotted, or a snapshot would be in the way";
    SNAPSHOT_KEPT = "T049", "a snapshot of a run that did not finish is there";
    DRIFT = "T050", "the VM was changed outside phoenix since the last apply";
    GUEST_SILENT = "T051", "the guest was to be verified and did not answer";
    TEMPLATE_BUILT = "T052", "a template that was built differs from the file, and stays as it is";
    NODE_OUT_OF_REACH = "T053", "the node of the VM is not online, or none of the target's";
    NO_PLACE_FOR_DRIVE = "T060", "the VM has no place for a cloud-init drive";
    ADDRESS_TAKEN = "T061", "a VM that is not declared has the same fixed address";
    TEMPLATE_WITHOUT_DRIVE = "T062", "what becomes a template has no cloud-init drive";
    EXPORT_ADDRESS = "T063", "what is exported to the VM names another address than the guest has";
    VOLUMES_LEFT = "T064", "the volumes of a VM that is started are not checked or mounted";
    ROLLED_BACK = "T065", "what a VM did since a snapshot is lost";
    ADDRESS_LEFT_OUT = "T066", "an address that a VM is said to have is left out";
    ADDRESS_DIFFERS = "T067", "a guest says that it has another address than the one that is fixed for it";
    UNREACHED = "T068", "a VM cannot be reached, and an inventory leaves it out";
    NO_UUID = "T070", "the VM to be taken over has no uuid, so it cannot be recognized";
    INEXPRESSIBLE = "T071", "the config cannot say what the VM is";
    HAS_MORE = "T072", "the VM has more than phoenix looks after";
    DIFFERS = "T073", "the VM to be taken over differs from its entry";
    ADOPT_ABSENT = "T074", "the VM to be taken over is not there";
    RECORD_GONE = "T075", "the record is gone from the notes of a VM of the project";
    VOID_FOR_GUEST = "T076", "what the file says to cloud-init does not reach the guest";
    FOREIGN_PENDING = "T077", "changes made outside phoenix wait in a stopped VM, and take effect with this plan";
    HOST_PATH = "T080", "a VM may not have a directory of the node";
    ALLOW_FILE = "T081", "the node's file of what VMs may have is not used";
    WRITES_ON_NODE = "T082", "a VM will be able to write a directory of the node";
    FILLS_NODE = "T083", "a VM can fill the node's root file system";
    IMAGE_PATH = "T084", "no VM may be made from a file of the node";
    CLAIMED = "T085", "only a record says that a VM which is to be destroyed belongs to the project";
    HOST_OPTION = "T086", "an option of the VM reaches into the node, and nothing allows it";
    REACHES_NODE = "T087", "an option of the VM reaches into the node";
    NO_QUORUM = "T090", "the cluster has no quorum";
    UNNAMED_VOLUMES = "T091", "volumes of the VMID are there that no configuration names";
    BOUNDED = "T092", "options of the VM do not go together";
    NO_EFI_DISK = "T093", "a VM with UEFI firmware has no EFI disk";
    BRIDGE_MTU = "T094", "a card may ask more of its bridge than it takes";
    DISK_SLOT = "T095", "a slot is no place for a further disk, or its disk cannot be detached";
    NO_SNIPPETS = "T096", "no storage of the node takes snippets";
    BOOT_DEVICE = "T097", "a VM would not have a device that it is to boot from, or boot from another disk";
    LEFT_OFFLINE = "T098", "a guest does not use all CPUs or memory that its VM got while it ran";
    CD_DRIVE = "T099", "a slot is no place for a CD drive, or its image is not there";
    NO_NODE = "T100", "a VM can be on none of the nodes that the file names";
    CANNOT_MOVE = "T101", "something keeps a VM from moving to another node";
    SERVED_ELSEWHERE = "T102", "what lies on a node itself does not reach a VM on another one";
    DISK_FILESYSTEM = "T103", "a further disk cannot be formatted, or not be unmounted";
    NO_IO_THREAD = "T104", "a disk does not get the I/O thread that it is to have";
    FORGOTTEN_DECLARED = "T105", "a VM that phoenix is to forget is still declared";
    FORGOTTEN = "T106", "what stays of a VM that phoenix forgets, and who looks after it then";
    SNIPPETS_SURVIVE = "T107", "snippets are left of a VM of the project that is neither declared nor there";
    NO_MAPPING = "T108", "the node of a VM has no entry in a resource mapping that an option names";
    DISC_UNKNOWN = "T109", "whether a node has an ISO image is not known";
    NO_VOLUME = "T110", "a volume that is to be attached is not there";
    VOLUME_IN_USE = "T111", "a volume that is to be attached is in use, or another VM's";
    OTHER_VOLUME = "T112", "a disk has another volume than the file says";
    VOLUME_GROWS_LATER = "T113", "a volume cannot grow in the run that attaches it";
    NOT_UTF8 = "T114", "the configuration of a VM is not UTF-8";
    NO_POOL = "T115", "there is no resource pool of that name";
    HA_ERROR = "T116", "the HA manager gave up on the VM";
    HA_STAYS = "T117", "the HA manager cannot bring the VM to another node";
    MOVE_UNCLEAR = "T118", "whether a VM can move to another node is not known";
    MOVES_TOGETHER = "T119", "the HA manager moves others with a VM that moves";
    IMPORT_ELSEWHERE = "T120", "an image cannot become a further disk of a VM on another node";
    IMPORTED_OTHERWISE = "T121", "a further disk was not made from the image that the file names, and stays as it is";
    IMPORT_GROWS_LATER = "T122", "a further disk cannot grow in the run that makes it as a copy of an image";
    EXCHANGED = "T123", "a volume that phoenix formatted is in another slot of the VM";
    NOT_RECREATED = "T124", "a VM cannot be destroyed and made anew";
    RECREATED = "T125", "a VM is destroyed and made anew, and what is on its disks is lost";
    NOTHING_TO_RECREATE = "T126", "a VM that was to be destroyed and made anew is not there, and is only made";
    RECREATED_UNDER = "T127", "others depend on a VM that is destroyed and made anew";
    UNUSED = "T128", "the unused volumes of a VM are erased, or there is none to erase";
    UNUSED_KEPT = "T129", "an unused volume is not erased";
    NOT_SEEN = "T130", "the target cannot be reached or looked at";
    OTHER_VERSION = "T131", "the node has a Proxmox VE with which phoenix was not tried";
    NOT_ROOT = "T132", "phoenix's programs do not have the rights of root on the node";
    NO_PROGRAM = "T133", "a program that phoenix runs is not there";
    CLOCK_DIFFERS = "T134", "the node's clock differs from that of the machine that phoenix runs on";
    NODE_OFFLINE = "T135", "a node of the cluster is not online";
    NFS_SILENT = "T136", "an NFS server does not run, or takes no connection from the node";
    UNFIT_TEMPLATE = "T137", "a template lacks what its clones may need";
    STORAGE_CONTENT = "T138", "a storage does not hold what an image is looked for in";
    NO_IMAGE = "T139", "an image is not there";
    IN_MAINTENANCE = "T140", "a VM is made on a node that is in maintenance";
    HIDES_OWN_DISK = "T141", "a volume is mounted over what scripts left on the VM's own disk";
    MADE_ONCE = "T142", "an option that is settled when a disk is made is another one in the file";
    TEMPLATE_HAS_MORE = "T143", "a template has more disks and cards than the file says, and its clone keeps them";
    UNUSED_STAYS = "T144", "a VM has unused volumes, and they stay";
    MAINTAINED = "T147", "a node of the cluster is in maintenance";
}

/// Whether a finding of this code is of a state that lasts and asks for nothing: `status` tells of it, and a plan where
/// it is asked for more.
#[must_use]
pub fn is_lasting(code: &str) -> bool {
    code == UNUSED_STAYS
}
