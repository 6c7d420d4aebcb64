//! By which addresses VMs are reached: those that are fixed, else those that their guests' agents say, as far as that
//! can be believed.
//!
//! A guest chooses what its agent says. So no guest gets an address that is fixed for another one, that the node has,
//! or that another guest says it has, too: a person who connects by what is said here must not be led elsewhere.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use crate::diag::Diagnostic;
use crate::model::{Address, Desired, DesiredVm, VmId};
use crate::observed::{Observed, VmObserved, is_reachable};

/// Most addresses of one VM that are told.
const MOST: usize = 16;

/// Most addresses that one notice names.
const NAMED: usize = 4;

/// What is known of the addresses of one VM on its first card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// Those that are fixed: as the file says, else as the VM's own configuration tells cloud-init.
    pub fixed: BTreeSet<IpAddr>,
    /// Those that its agent says; `None`: it was not asked, or did not answer.
    pub said: Option<Vec<IpAddr>>,
}

/// By which addresses VMs are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The addresses of each VM that has any, IPv4 before IPv6.
    pub addresses: BTreeMap<VmId, Vec<IpAddr>>,
    /// What was left out, and what the agents contradict.
    pub notices: Vec<Diagnostic>,
}

impl Reach {
    /// The addresses of a VM.
    #[must_use]
    pub fn of(&self, vm: VmId) -> &[IpAddr] {
        self.addresses.get(&vm).map_or(&[], Vec::as_slice)
    }
}

/// What the file, the VMs' configurations and the agents say of addresses. VMs that the file declares and that are not
/// there yet have theirs, too; templates never run and have none.
#[must_use]
pub fn claims(
    desired: Option<&Desired>,
    vms: &BTreeMap<VmId, VmObserved>,
    said: &BTreeMap<VmId, Vec<IpAddr>>,
) -> BTreeMap<VmId, Claim> {
    let declared = desired.into_iter().flat_map(|desired| &desired.vms).filter(|vm| !vm.is_template);
    let ids = vms.values().filter(|vm| !vm.template).map(|vm| vm.id).chain(declared.map(|vm| vm.vm_id));
    let claim = |id: VmId| {
        let network = desired.and_then(|desired| desired.vm(id)).and_then(|vm| vm.network_config.as_ref());
        let live = vms.get(&id);
        let of = |v6: bool| {
            let wished = network.and_then(|network| if v6 { network.ip6.clone() } else { network.ip.clone() });
            ip(&wished.or_else(|| Some(live?.cloud_init.address(v6)))?)
        };
        (id, Claim { fixed: [false, true].into_iter().filter_map(of).collect(), said: said.get(&id).cloned() })
    };
    ids.map(claim).collect()
}

/// The address of a card that always has the same one.
fn ip(address: &Address) -> Option<IpAddr> {
    address.ip.split_once('/')?.0.parse().ok()
}

/// All addresses of the nodes themselves.
#[must_use]
pub fn own(observed: &Observed) -> BTreeSet<IpAddr> {
    parsed(observed.nodes.values().flat_map(|node| &node.addresses).map(String::as_str))
}

/// The addresses among these texts, with or without a prefix length.
pub fn parsed<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<IpAddr> {
    texts.filter_map(|text| text.split('/').next()?.parse().ok()).collect()
}

/// The name of the node that a VM is on: the target's own, where nothing else is known.
#[must_use]
pub fn node_of<'o>(live: &'o VmObserved, observed: &'o Observed) -> &'o str {
    if live.node.is_empty() { &observed.here } else { &live.node }
}

/// Decides which addresses each VM has. `own` are the nodes'; `one_network`: the VMs are on bridges of nodes, where
/// each address leads to one of them at most.
#[must_use]
pub fn judge(claims: &BTreeMap<VmId, Claim>, own: &BTreeSet<IpAddr>, one_network: bool) -> Reach {
    let mut fixed: BTreeMap<IpAddr, BTreeSet<VmId>> = BTreeMap::new();
    let mut said: BTreeMap<IpAddr, BTreeSet<VmId>> = BTreeMap::new();
    for (vm, claim) in claims.iter().filter(|_| one_network) {
        for ip in &claim.fixed {
            fixed.entry(ip.to_canonical()).or_default().insert(*vm);
        }
        for ip in claim.said.iter().flatten() {
            said.entry(ip.to_canonical()).or_default().insert(*vm);
        }
    }
    let mut reach = Reach::default();
    for (vm, claim) in claims {
        let other = |of: &BTreeMap<IpAddr, BTreeSet<VmId>>, ip: &IpAddr| {
            of.get(ip).and_then(|vms| vms.iter().copied().find(|other| other != vm))
        };
        let is_fixed = !claim.fixed.is_empty();
        let wanted: BTreeSet<IpAddr> =
            if is_fixed { claim.fixed.clone() } else { canonical(claim.said.iter().flatten()) };
        let mut left_out: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut kept = Vec::new();
        for ip in wanted {
            let why = if !is_reachable(ip) {
                // Every card has one; that is no news.
                if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
                    continue;
                }
                "which leads to no other machine".to_owned()
            } else if own.contains(&ip) {
                "which is a node's own".to_owned()
            } else if let Some(other) = other(&fixed, &ip).filter(|_| !is_fixed) {
                format!("which is the fixed address of VM {other}")
            } else if let Some(other) = other(&said, &ip).filter(|_| !is_fixed) {
                format!("which the guest of VM {other} says, too")
            } else if kept.len() == MOST {
                format!("which are more than the {MOST} that are listed for one VM")
            } else {
                kept.push(ip);
                continue;
            };
            left_out.entry(why).or_default().push(ip);
        }
        let by = if is_fixed { "the configuration" } else { "the guest" };
        for (why, ips) in left_out {
            let what = format!("{by} says {}, {why}: left out", named(&ips));
            reach.notices.push(Diagnostic::notice(codes::ADDRESS_LEFT_OUT, what).vm(*vm));
        }
        reach.notices.extend(contradicted(*vm, claim));
        if !kept.is_empty() {
            reach.addresses.insert(*vm, kept);
        }
    }
    reach
}

/// These addresses, each written in one way only.
fn canonical<'i>(ips: impl Iterator<Item = &'i IpAddr>) -> BTreeSet<IpAddr> {
    ips.map(IpAddr::to_canonical).collect()
}

/// Tells of a guest that has none of the addresses that are fixed for it.
fn contradicted(vm: VmId, claim: &Claim) -> Option<Diagnostic> {
    let said = canonical(claim.said.iter().flatten());
    let said: Vec<IpAddr> = said.into_iter().filter(|ip| is_reachable(*ip)).collect();
    if claim.fixed.is_empty() || said.is_empty() || said.iter().any(|ip| claim.fixed.contains(ip)) {
        return None;
    }
    let fixed: Vec<IpAddr> = claim.fixed.iter().copied().collect();
    let what = format!("the guest says {}, but its file fixes {}", named(&said), named(&fixed));
    let hint =
        "it takes its fixed address when it boots next; a guest that still has another then was changed from inside";
    Some(Diagnostic::notice(codes::ADDRESS_DIFFERS, what).vm(vm).hint(hint))
}

/// The first of these addresses, and how many more there are.
fn named(ips: &[IpAddr]) -> String {
    let some = ips.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match ips.len().saturating_sub(NAMED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// The VMs whose agents are worth being asked for addresses: those of the project that run, have an agent and a card,
/// and of which `asked` holds nothing yet. All of them, whichever are selected: one alone could say what another one
/// has.
#[must_use]
pub fn to_reach<'o>(
    desired: &Desired,
    observed: &'o Observed,
    asked: &BTreeMap<VmId, Vec<IpAddr>>,
) -> Vec<&'o VmObserved> {
    let ours = |vm: &VmObserved| vm.record.valid().is_some_and(|record| record.project == desired.settings.project);
    let has_card = |vm: &VmObserved| vm.net0.as_ref().is_some_and(|net| net.mac.is_some());
    let worth = |vm: &&VmObserved| vm.running && vm.agent && !vm.template && ours(vm) && has_card(vm);
    let worth = |vm: &&VmObserved| worth(vm) && desired.vm(vm.id).is_none_or(DesiredVm::asks_agent);
    observed.vms.values().filter(worth).filter(|vm| !asked.contains_key(&vm.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `100 fixed 192.0.2.1 said 192.0.2.9 fe80::1`
    fn claims_of(text: &str) -> BTreeMap<VmId, Claim> {
        let mut claims: BTreeMap<VmId, Claim> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let vm: VmId = words.next().unwrap().parse().unwrap();
            let claim = claims.entry(vm).or_default();
            let mut is_fixed = false;
            for word in words {
                match word {
                    "fixed" => is_fixed = true,
                    "said" => (is_fixed, claim.said) = (false, Some(Vec::new())),
                    ip if is_fixed => drop(claim.fixed.insert(ip.parse().unwrap())),
                    ip => claim.said.as_mut().unwrap().push(ip.parse().unwrap()),
                }
            }
        }
        claims
    }

    /// Judges claims on one network and returns the addresses, VM by VM, and the notices.
    fn judged(text: &str) -> (String, Vec<String>) {
        let reach = judge(&claims_of(text), &parsed(["192.0.2.1", "2001:db8::1/64", "none"].into_iter()), true);
        let line =
            |(vm, ips): (&VmId, &Vec<IpAddr>)| ips.iter().fold(vm.to_string(), |line, ip| format!("{line} {ip}"));
        let addresses = reach.addresses.iter().map(line).collect::<Vec<_>>().join("\n");
        assert!(reach.notices.iter().all(|notice| notice.vm.is_some() && !notice.is_error()));
        (addresses, reach.notices.into_iter().map(|notice| notice.message).collect())
    }

    #[test]
    fn no_guest_gets_what_belongs_to_others() {
        for (claims, addresses, notices) in [
            ("100 said 192.0.2.10 fe80::1 2001:db8::10", "100 192.0.2.10 2001:db8::10", vec![]),
            ("100 said 2001:db8::10 ::ffff:192.0.2.10 192.0.2.10", "100 192.0.2.10 2001:db8::10", vec![]),
            ("100 said", "", vec![]),
            ("100", "", vec![]),
            ("100 fixed 192.0.2.10", "100 192.0.2.10", vec![]),
            ("100 fixed 192.0.2.10 said 192.0.2.10 192.0.2.66", "100 192.0.2.10", vec![]),
            (
                "100 fixed 192.0.2.10 said 192.0.2.66",
                "100 192.0.2.10",
                vec!["the guest says 192.0.2.66, but its file fixes 192.0.2.10"],
            ),
            (
                "100 said 127.0.0.1 169.254.1.2 ::ffff:127.0.0.2 224.0.0.1 0.0.0.0",
                "",
                vec![
                    "the guest says 0.0.0.0, 127.0.0.1, 127.0.0.2, 169.254.1.2 and 1 more, which leads to no other machine: \
                     left out",
                ],
            ),
            (
                "100 said 192.0.2.1 2001:db8::1 192.0.2.10",
                "100 192.0.2.10",
                vec!["the guest says 192.0.2.1, 2001:db8::1, which is a node's own: left out"],
            ),
            ("100 fixed 192.0.2.1", "", vec!["the configuration says 192.0.2.1, which is a node's own: left out"]),
            (
                "100 fixed 192.0.2.10\n101 said ::ffff:192.0.2.10 192.0.2.11",
                "100 192.0.2.10\n101 192.0.2.11",
                vec!["the guest says 192.0.2.10, which is the fixed address of VM 100: left out"],
            ),
            (
                "100 said 192.0.2.10 192.0.2.12\n101 said 192.0.2.10",
                "100 192.0.2.12",
                vec![
                    "the guest says 192.0.2.10, which the guest of VM 101 says, too: left out",
                    "the guest says 192.0.2.10, which the guest of VM 100 says, too: left out",
                ],
            ),
            // What is fixed stays fixed, whatever others say or have.
            ("100 fixed 192.0.2.10\n101 fixed 192.0.2.10", "100 192.0.2.10\n101 192.0.2.10", vec![]),
            (
                "100 fixed 192.0.2.10 said 192.0.2.10 192.0.2.11\n101 said 192.0.2.11",
                "100 192.0.2.10",
                vec!["the guest says 192.0.2.11, which the guest of VM 100 says, too: left out"],
            ),
        ] {
            let notices: Vec<String> = notices.into_iter().map(str::to_owned).collect();
            assert_eq!(judged(claims), (addresses.to_owned(), notices), "{claims}");
        }
    }

    #[test]
    fn a_guest_says_no_end_of_addresses() {
        let said: Vec<String> = (0..2000).map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 1)).collect();
        let (addresses, notices) = judged(&format!("100 said {}", said.join(" ")));
        assert_eq!(addresses.split(' ').count(), 1 + MOST);
        assert!(notices.len() == 1 && notices[0].contains("and 1980 more, which are more than the 16"), "{notices:?}");
    }

    #[test]
    fn where_each_guest_has_a_network_of_its_own_all_may_have_one_address() {
        let claims = claims_of("100 said 10.0.2.15\n101 said 10.0.2.15 10.0.2.2");
        let reach = judge(&claims, &parsed(["10.0.2.2"].into_iter()), false);
        assert_eq!(reach.addresses.len(), 2);
        assert_eq!(reach.notices.len(), 1, "{:?}", reach.notices);
    }

    #[test]
    fn what_the_file_says_of_a_card_wins_over_what_the_vm_has() {
        let id = |n: u32| VmId::try_from(n).unwrap();
        let conf = "ipconfig0: ip=192.0.2.10/24,gw=192.0.2.1,ip6=auto\n";
        let live = |n: u32, conf: &str| (id(n), VmObserved::from_conf(id(n), conf, true));
        let template = format!("{conf}template: 1\n");
        let vms = BTreeMap::from([live(100, conf), live(101, &template), live(102, "ipconfig0: ip=dhcp\n")]);
        let said = BTreeMap::from([(id(102), Vec::new())]);
        let found = claims(None, &vms, &said);
        assert_eq!(found.keys().map(|vm| vm.get()).collect::<Vec<_>>(), [100, 102]);
        assert_eq!(found[&id(100)], Claim { fixed: parsed(["192.0.2.10"].into_iter()), said: None });
        assert_eq!(found[&id(102)], Claim { fixed: BTreeSet::new(), said: Some(Vec::new()) });
    }
}
