//! Every code of a config diagnostic, in one table.

use crate::diag::{Diagnostic, Severity};

/// One kind of config problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable code, e.g. `P014`. A code that is no longer used is never given to something else.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Code {
    /// Begins a diagnostic of this kind.
    pub(super) fn diagnostic(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.code, self.severity, message)
    }
}

/// Defines the constants and the table from one list, so that neither can lack an entry.
macro_rules! codes {
    ($($name:ident = $code:literal, $severity:ident, $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $name: Code =
            Code { code: $code, severity: Severity::$severity, meaning: $meaning };)+

        /// Every code, in ascending order.
        pub const ALL: &[Code] = &[$($name,)+];
    };
}

codes! {
    EMPTY_FILE = "P001", Error, "the file is empty";
    NOT_A_FILE = "P002", Error, "the path is not a regular file";
    UNREADABLE = "P003", Error, "the file cannot be read";
    MISSING_FILE = "P004", Error, "there is no such file";
    TOO_BIG = "P005", Error, "the file is larger than a config can be";
    NOT_UTF8 = "P006", Error, "the file is not UTF-8";
    BYTE_ORDER_MARK = "P007", Error, "the file begins with a byte order mark";
    TOO_DEEP = "P008", Error, "objects and arrays are nested too deep";
    SYNTAX = "P009", Error, "the text is not JSON";
    COMMENT = "P010", Error, "JSON has no comments";
    TRAILING_COMMA = "P011", Error, "JSON has no trailing commas";
    DUPLICATE_KEY = "P012", Error, "a key stands twice in one object";
    NUMBER_FORM = "P013", Error, "a whole number is not written as one";
    UNKNOWN_KEY = "P014", Error, "a key is not known at this place";
    MISSING_KEY = "P015", Error, "a required key is missing";
    WRONG_TYPE = "P016", Error, "a value has the wrong type";
    OUT_OF_RANGE = "P017", Error, "a number is out of range";
    UNKNOWN_WORD = "P018", Error, "a value is not one of the words allowed";
    BAD_LENGTH = "P019", Error, "a text or list is empty or too long";
    CONTROL_CHARACTER = "P020", Error, "a text contains control characters";
    DUPLICATE_ID = "P021", Error, "two VMs have the same VMID";
    DUPLICATE_NAME = "P022", Error, "two VMs have the same name";
    BAD_NAME = "P023", Error, "a VM or template name is not a DNS name";
    BAD_TAG = "P024", Error, "Proxmox does not accept the tag";
    BAD_STORAGE = "P025", Error, "the name cannot be a Proxmox storage or share";
    BAD_BRIDGE = "P026", Error, "the name cannot be a bridge";
    BAD_FEATURE_NAME = "P027", Error, "the name cannot be a feature";
    UNKNOWN_FEATURE = "P028", Error, "a feature has no script";
    AMBIGUOUS_FEATURE = "P029", Error, "a feature has several scripts";
    REPEATED_FEATURE = "P030", Error, "a feature is listed twice";
    BAD_SCRIPT = "P031", Error, "a feature's script cannot be used";
    BAD_FEATURES_DIR = "P032", Error, "the directory of feature scripts cannot be read";
    BAD_PROJECT = "P033", Error, "the name cannot be a project";
    BAD_PATH = "P034", Error, "a path cannot be used";
    SYSTEM_DIRECTORY = "P035", Error, "a path belongs to the operating system";
    REPEATED_MOUNT_POINT = "P036", Error, "two volumes of a VM have the same mount point";
    HIDDEN_MOUNT_POINT = "P037", Error, "a volume would hide one that is mounted before it";
    SHARE_OR_SERVER = "P038", Error, "a volume names neither or both of `share` and `server`";
    BAD_SERVER = "P039", Error, "the text is neither a host name nor an IP address";
    SHARED_CHANNEL = "P041", Error, "two VMs have the same directory for their scripts";
    SHARED_DATA = "P042", Notice, "several VMs mount the same path";
    RECORD_IN_DESCRIPTION = "P043", Error, "a description contains what phoenix writes itself";
    LONG_DESCRIPTION = "P044", Error, "a description leaves no room for the record";
    TEMPLATE_RING = "P045", Error, "VMs are templates of each other in a ring";
    UNKNOWN_TARGET = "P046", Error, "the target is of no kind that is known";
    UNKNOWN_DEPENDENCY = "P047", Error, "a VM depends on one that is not declared";
    DEPENDENCY_RING = "P048", Error, "VMs wait for each other in a ring";
    BAD_UUID = "P055", Error, "the text is not a uuid";
    BAD_ADDRESS = "P060", Error, "the text is not an address that a VM can have";
    GATEWAY_WITHOUT_ADDRESS = "P061", Error, "a gateway is set without a fixed address";
    GATEWAY_OUTSIDE = "P062", Warning, "the gateway is not in the network of the VM";
    DUPLICATE_ADDRESS = "P063", Error, "two network cards have the same address";
    BAD_SEARCH_DOMAIN = "P064", Error, "a DNS search domain is not a DNS name";
    BAD_USER = "P065", Error, "the name cannot be a user";
    BAD_SSH_KEY = "P066", Error, "the text is not a public key of OpenSSH";
    PRIVATE_KEY = "P067", Error, "a private key stands in the config";
    BAD_IMAGE = "P068", Error, "the text cannot be the source of an image";
    IMAGE_WITHOUT_DIGEST = "P069", Error, "an image is fetched from a URL without a digest to compare";
    TEMPLATE_AND_IMAGE = "P070", Error, "a VM is to be made from a template and from an image";
    TEMPLATE_CONFLICT = "P071", Error, "a VM that is to become a template has a key that does not go with it";
    NOT_A_TEMPLATE = "P072", Error, "a VM is to be cloned from one of the file that does not become a template";
    UNUSUAL_USER = "P073", Warning, "a Linux guest may refuse the name of its user";
    BAD_OPTION = "P074", Error, "Proxmox does not accept the value of an option";
    READY_CONFLICT = "P075", Error, "something that needs the guest agent is declared for a VM that is ready when it \
        runs";
    TWO_HOMES = "P076", Error, "one fact of the first network card stands in two places";
    BAD_DISK = "P077", Error, "a further disk has no size, or one that it cannot have";
    BAD_CDROM = "P078", Error, "the text cannot be what lies in a CD drive, or its slot is declared as a disk, too";
    BAD_BOOT_DEVICE = "P079", Error, "the text cannot be a device to boot from, or stands twice";
    BAD_DATA = "P080", Error, "user data or vendor data cannot be used";
    DATA_REPLACES = "P081", Error, "a VM has user data, and values that its user data takes the place of";
    UNKNOWN_DATA = "P082", Warning, "cloud-init may not know what user data or vendor data is";
    BAD_POOL = "P084", Error, "the name cannot be a resource pool";
    UNKNOWN_PROFILE = "P085", Error, "a VM names a profile that is not there";
    UNUSED_PROFILE = "P086", Warning, "no VM names the profile";
    BAD_PROFILE = "P087", Error, "the name cannot be a profile, or a VM names one twice";
    SECTION_TWICE = "P088", Error, "two files of a directory have the same section";
    BAD_NODE = "P090", Error, "the name cannot be a node, or stands twice in a list";
    BAD_SECRET = "P091", Error, "a secret is not named as it must be, or its value cannot be used";
    MISSING_SECRET = "P092", Error, "the value of a secret is not there";
    SECRET_NOT_HERE = "P093", Warning, "the value of a secret is not there, and is not needed for what is done";
    EXPOSED_SECRET = "P094", Warning, "the file of a secret can be read by others than its owner";
    SCRIPT_SYNTAX = "P095", Error, "the shell that runs a script cannot read it";
    SCRIPT_LINT = "P096", Notice, "shellcheck, or the shell that the first line names, objects to a script";
    SCRIPT_UNCHECKED = "P097", Notice, "a script is not checked";
    BAD_VOLUME = "P098", Error, "the text cannot be a volume that this VM may attach";
    VOLUME_CONFLICT = "P099", Error, "a disk has a volume, and something that does not go with it";
    HA_CONFLICT = "P100", Error, "the state under the HA manager contradicts `started`";
    UNKNOWN_SECRET = "P101", Error, "user data or vendor data names a secret that the file does not have";
    UNFIT_SECRET = "P102", Error, "YAML reads the value of a secret in user data or vendor data as something else";
    UNUSED_SECRET = "P103", Notice, "no user data or vendor data names the secret";
    IMPORT_CONFLICT = "P104", Error, "a disk is to be a copy of an image, and has something that does not go with it";
    IMPORT_OF_VM = "P105", Error, "a disk is to be a copy of a volume that belongs to a VM";
    NEWER_MODEL = "P106", Warning, "Proxmox VE 9.2 does not have the model of the CPU";
    NOT_YAML = "P108", Error, "cloud-init cannot read user data or vendor data as YAML";
    KEY_TWICE = "P109", Warning, "a key stands twice in user data or vendor data, and cloud-init takes the last";
}
