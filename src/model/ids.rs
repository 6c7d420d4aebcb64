//! The VMID.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Proxmox VMID: 100..=999999999, checked once, here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
pub struct VmId(#[schemars(range(min = 100, max = 999_999_999))] u32);

/// The number is outside the range Proxmox accepts for a VMID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a VMID: expected a whole number from 100 to 999999999")]
pub struct InvalidVmId(pub String);

impl VmId {
    /// The smallest VMID Proxmox accepts.
    pub const MIN: u32 = 100;
    /// The largest VMID Proxmox accepts.
    pub const MAX: u32 = 999_999_999;

    /// The lowest VMID.
    pub const LOWEST: Self = Self(Self::MIN);

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for VmId {
    type Error = InvalidVmId;
    fn try_from(number: u32) -> Result<Self, InvalidVmId> {
        if (Self::MIN..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(InvalidVmId(number.to_string())) }
    }
}

impl From<VmId> for u32 {
    fn from(id: VmId) -> u32 {
        id.0
    }
}

impl FromStr for VmId {
    type Err = InvalidVmId;
    fn from_str(text: &str) -> Result<Self, InvalidVmId> {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        plain
            .then(|| text.parse::<u32>().ok())
            .flatten()
            .and_then(|n| Self::try_from(n).ok())
            .ok_or_else(|| InvalidVmId(text.to_owned()))
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
