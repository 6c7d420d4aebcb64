//! The guests of a target, and what their agents say.

use std::net::IpAddr;

use crate::model::{Fault, VmId};
use crate::observed::{Plugged, is_reachable};

/// The guests of a target, reached through the guest agent. What the answers mean is `guest`'s business.
pub trait Guests: Send + Sync {
    /// Whether the agent answers. A fault says why not.
    fn ping(&self, vm: VmId) -> Result<(), Fault>;

    /// The guest's network interfaces with their addresses, as its agent tells them.
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault>;

    /// How much of it the guest uses: CPUs, or bytes of memory. What it leaves offline does not count.
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault>;

    /// Starts a program in the guest and returns its pid at once. `argv` is never given to a shell; `input` is what the
    /// program reads on standard input, at most [`input_limit`](Guests::input_limit) bytes of ASCII.
    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault>;

    /// How many bytes of input the way to the agent takes at once.
    fn input_limit(&self) -> usize {
        1 << 20
    }

    /// Asks after a program started before. Proxmox answers once only for a program that ended.
    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault>;
}

/// An address of a guest, or an interface that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestAddress {
    /// MAC address of its interface.
    pub mac: String,
    /// The address; `None`: the interface has none.
    pub address: Option<IpAddr>,
}

/// The address by which a guest is reached on the card with this MAC: the lowest one that others can use, IPv4 before
/// IPv6.
#[must_use]
pub fn address_on(found: &[GuestAddress], mac: &str) -> Option<IpAddr> {
    all_on(found, mac).filter(|address| is_reachable(*address)).min()
}

/// All addresses of the guest on the card with this MAC, as its agent tells them.
pub fn all_on<'f>(found: &'f [GuestAddress], mac: &'f str) -> impl Iterator<Item = IpAddr> + 'f {
    let own = found.iter().filter(move |found| found.mac.eq_ignore_ascii_case(mac));
    own.filter_map(|found| found.address).map(|address| address.to_canonical())
}

/// State of a program in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestStatus {
    /// Not ended yet.
    Running,
    /// Ended.
    Ended(GuestExit),
}

/// How a program in a guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestExit {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub out: String,
    /// What it printed on standard error.
    pub err: String,
}
