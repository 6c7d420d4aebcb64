//! Addresses that two network cards would have: those of the network, and those of the cards themselves.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::cloud_init::Cidr;
use super::codes;
use super::defaults::NETWORK_BRIDGE;
use super::networks::FIRST;
use super::owner::{Owner, layers, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCard};
use super::spans::Place;

/// Applies the rules to the cards of all VMs.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    shared_macs(raw, problems);
    let mut first: BTreeMap<(Segment<'_>, IpAddr), (usize, &str, Place)> = BTreeMap::new();
    let mut macs: BTreeMap<String, (usize, &str, Place)> = BTreeMap::new();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, vm)| vm.networks.iter().flatten().map(|(slot, _)| slot.as_str())).collect();
        for slot in [FIRST].into_iter().chain(slots.into_iter().filter(|slot| *slot != FIRST)) {
            let card = Card { raw, n, slot };
            for (key, address, at) in card.addresses() {
                for segment in card.segments() {
                    let Some((m, other, place)) = first.get(&(segment, address)).cloned() else {
                        first.insert((segment, address), (n, slot, at.clone()));
                        continue;
                    };
                    let what = format!("{} the address {address}", who(raw, (m, other), (n, slot)));
                    let own =
                        if slot == FIRST { "network_config".to_owned() } else { format!("networks.{slot}.{key}") };
                    let own = format!("give each VM its own `{own}`");
                    let hint = if place == at { own } else { "give each card an address of its own".to_owned() };
                    problems.push(twice(what, at.clone(), place).hint(hint).vm(vm.vm_id));
                    break;
                }
            }
            let Some((mac, at)) = card.mac() else { continue };
            let Some((m, other, place)) = macs.get(&mac).cloned() else {
                macs.insert(mac, (n, slot, at));
                continue;
            };
            let what = format!("{} the MAC address {}", who(raw, (m, other), (n, slot)), shown(&mac));
            let hint = "give each card a `mac` of its own, or leave it out: Proxmox makes one up then";
            problems.push(twice(what, at, place).hint(hint).vm(vm.vm_id));
        }
    }
}

/// Refuses MAC addresses that several VMs would have.
fn shared_macs(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw).filter(|(owner, _)| !owner.is_vm()) {
        for (slot, card) in vm.networks.iter().flatten() {
            let Some(mac) = card.as_ref().and_then(|card| card.mac.as_deref()) else { continue };
            let vms = if owner == Owner::Defaults { "all VMs" } else { "all VMs with this profile" };
            let what = format!("{vms} would have the MAC address {}", shown(mac));
            let at = owner.value(&format!("networks/{slot}/mac"));
            problems.push(Problem::new(codes::DUPLICATE_ADDRESS, what, at).hint("give each VM its own `mac`"));
        }
    }
}

/// Two cards that have the same, in words.
fn who(raw: &Raw, one: (usize, &str), other: (usize, &str)) -> String {
    let name = |n: usize| shown(raw.virtual_machines[n].vm_name.as_deref().unwrap_or_default());
    match (one, other) {
        ((n, a), (m, b)) if n == m => format!("{a} and {b} of {} have", name(n)),
        ((n, FIRST), (m, FIRST)) => format!("{} and {} have", name(n), name(m)),
        ((n, a), (m, b)) => format!("{a} of {} and {b} of {} have", name(n), name(m)),
    }
}

fn twice(what: String, at: Place, other: Place) -> Problem {
    let problem = Problem::new(codes::DUPLICATE_ADDRESS, what, at);
    if problem.at == other { problem } else { problem.label("again here").also(other, "first here") }
}

/// Cards that reach each other: those on one bridge and VLAN. `None`: the first cards of all VMs, wherever they are.
type Segment<'r> = Option<(&'r str, Option<u32>)>;

/// A card as a VM has it in the end.
#[derive(Clone, Copy)]
struct Card<'r> {
    raw: &'r Raw,
    n: usize,
    slot: &'r str,
}

impl<'r> Card<'r> {
    /// What the file says of it, from the nearest, up to where it is taken away.
    fn layers(self) -> impl Iterator<Item = (Owner<'r>, &'r RawCard)> {
        let slot = self.slot;
        let entries =
            layers(self.raw, self.n).filter_map(move |(owner, vm)| Some((owner, vm.networks.as_ref()?.get(slot)?)));
        entries.map_while(|(owner, card)| Some((owner, card.as_ref()?)))
    }

    fn segments(self) -> impl Iterator<Item = Segment<'r>> {
        let bridge = self.layers().find_map(|(_, card)| card.bridge.as_deref());
        let bridge =
            bridge.or_else(|| said(self.raw, self.n, |vm| vm.network_bridge.as_deref()).map(|(_, bridge)| bridge));
        let vlan = self.layers().find(|(_, card)| card.vlan_tag.is_some() || card.none.contains("vlan_tag"));
        let vlan = vlan.and_then(|(_, card)| card.vlan_tag);
        let all = (self.slot == FIRST).then_some(None);
        all.into_iter().chain([Some((bridge.unwrap_or(NETWORK_BRIDGE), vlan))])
    }

    /// Its fixed addresses, with their keys and places.
    fn addresses(self) -> Vec<(&'static str, IpAddr, Place)> {
        let fixed = |text: &str| Cidr::parse(text).map(|cidr| cidr.address);
        if self.slot == FIRST {
            let Some((owner, config)) = said(self.raw, self.n, |vm| vm.network_config.as_ref()) else {
                return Vec::new();
            };
            let texts = [("ip", &config.ip), ("ip6", &config.ip6)].into_iter();
            let at = |key: &str| owner.value(&format!("network_config/{key}"));
            return texts.filter_map(|(key, text)| Some((key, fixed(text.as_deref()?)?, at(key)))).collect();
        }
        // An address and its gateway belong together.
        let ip = self.layers().find(|(_, card)| card.says_address(false));
        let ip6 = self.layers().find(|(_, card)| card.says_address(true));
        let ip = ip.and_then(|(owner, card)| Some(("ip", owner, card.ip.as_deref()?)));
        let ip6 = ip6.and_then(|(owner, card)| Some(("ip6", owner, card.ip6.as_deref()?)));
        let at = |owner: Owner<'_>, key: &str| owner.value(&format!("networks/{}/{key}", self.slot));
        let all = [ip, ip6].into_iter().flatten();
        all.filter_map(|(key, owner, text)| Some((key, fixed(text)?, at(owner, key)))).collect()
    }

    /// Its MAC address in capitals, where the VM itself says it.
    fn mac(self) -> Option<(String, Place)> {
        let (owner, card) = self.layers().find(|(_, card)| card.mac.is_some() || card.none.contains("mac"))?;
        let mac = card.mac.as_deref()?;
        owner.is_vm().then(|| (mac.to_ascii_uppercase(), owner.value(&format!("networks/{}/mac", self.slot))))
    }
}
