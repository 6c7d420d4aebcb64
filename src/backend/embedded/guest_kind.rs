//! What the guests of a node are.

use serde::{Deserialize, Serialize};

/// Nothing at all, or real machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// Nothing is executed: an agent that answers, and the handful of programs that phoenix asks it to run.
    #[default]
    Simulated,
    /// Real virtual machines, run by QEMU on this machine.
    Qemu,
}

impl std::fmt::Display for GuestKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Simulated => "simulated",
            Self::Qemu => "qemu",
        })
    }
}

/// How guests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By KVM if a guest gets going under it, else emulated.
    #[default]
    Auto,
    /// By the processor itself.
    Kvm,
    /// Emulated.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}
