//! What the guest agent says, whichever way it was asked.

use serde::Deserialize;

use crate::hypervisor::{Effect, Fault, FaultKind, GuestAddress};

/// An interface of a guest, as `guest-network-get-interfaces` tells it.
#[derive(Deserialize)]
pub(super) struct Interface {
    #[serde(default, rename = "hardware-address")]
    mac: String,
    #[serde(default, rename = "ip-addresses")]
    addresses: Vec<InterfaceAddress>,
}

#[derive(Deserialize)]
struct InterfaceAddress {
    #[serde(rename = "ip-address")]
    address: String,
}

/// The addresses of a guest. One that is none says nothing about the guest and is not handed on.
pub(super) fn addresses(interfaces: Vec<Interface>) -> Vec<GuestAddress> {
    let of = |Interface { mac, addresses }: Interface| {
        let addresses = addresses.into_iter().filter_map(|one| one.address.parse().ok());
        addresses.map(move |address| GuestAddress { mac: mac.clone(), address }).collect::<Vec<_>>()
    };
    interfaces.into_iter().flat_map(of).collect()
}

/// What the words about an agent mean, where no waiting helps; and the way out.
pub(super) fn explained(mut fault: Fault) -> Fault {
    let has = |words: &[&str]| words.iter().any(|word| fault.what.contains(word));
    let (kind, hint) = if has(&["No QEMU guest agent configured"]) {
        let hint = "the VM runs without an agent: plan again, it is switched on in the configuration; what then waits \
                    for a restart takes effect with `--restart`";
        (FaultKind::Refused, hint)
    } else if has(&["guest-exec"])
        && has(&["has been disabled", "has been blacklisted", "not been allowed", "is not allowed"])
    {
        let hint = "the guest's agent forbids exec: take `guest-exec` and `guest-exec-status` off its block list, \
                    e.g. in /etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf";
        (FaultKind::Denied, hint)
    } else if has(&["Failed to execute child process"]) && has(&["Permission denied"]) {
        let hint = "the guest confines its agent (SELinux does so in the RHEL family): \
                    `setsebool -P virt_qemu_ga_run_unconfined on` there, or in the template";
        (FaultKind::Denied, hint)
    } else if has(&["Failed to execute child process"]) {
        (FaultKind::Refused, "phoenix needs a guest with /bin/sh: is this a Linux guest?")
    } else if has(&["Invalid parameter 'pid'"]) {
        // The agent forgot the program: it was restarted, or somebody else took the answer.
        (FaultKind::Garbled, "the agent forgets what it runs: does something in the guest restart it again and again?")
    } else {
        return fault;
    };
    if kind != FaultKind::Garbled {
        fault.effect = Effect::None;
    }
    Fault { kind, hint: Some(hint.to_owned()), ..fault }
}
