//! User-mode networking: QEMU plays a small network for each card, with the node in it.
//!
//! The node has the address there that it has on the card's bridge, or the one that the guest's fixed address names as
//! its gateway: so what a configuration says about the network holds for these guests as it does on Proxmox. What is
//! sent to the node's address arrives at this machine's loopback interface; where the node serves files, what is sent
//! to port 2049 of it arrives at a relay, and the guest's way out has another address.

use std::net::Ipv4Addr;

use crate::observed::PropertyString;

/// The network of one card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    network: Ipv4Addr,
    prefix: u32,
    /// The node's own address on the bridge, where it lies in this network.
    own: Option<Ipv4Addr>,
    /// This machine, and the way out.
    host: Ipv4Addr,
    /// The same, where `own` is taken by a relay.
    other_host: Ipv4Addr,
    dns: Ipv4Addr,
    /// The guest: its fixed address, or the one that it gets.
    guest: Ipv4Addr,
    dhcp: Ipv4Addr,
}

/// The node's address where its bridge has none: QEMU's own choice.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Size of a network that nothing says the size of.
const PREFIX: u32 = 24;

/// Longest prefix that leaves room for the node, a name server, the guest and the address that QEMU would give it.
const LONGEST: u32 = 29;

/// Place of the first address that QEMU gives, where nothing stands in the way.
const FIRST: u32 = 15;

impl Subnet {
    /// The network for a card with this `ipconfig` on a bridge on which the node has this address.
    pub(super) fn of(ipconfig: &PropertyString, own: Option<Ipv4Addr>) -> Result<Self, String> {
        let fixed = ipconfig.get("ip").filter(|ip| *ip != "dhcp");
        let gateway = match ipconfig.get("gw") {
            Some(gateway) => Some(gateway.parse().map_err(|_| format!("`{gateway}` is not an IPv4 address"))?),
            None => None,
        };
        let (guest, prefix) = match fixed {
            Some(text) => {
                let parts =
                    text.split_once('/').and_then(|(ip, prefix)| Some((ip.parse().ok()?, prefix.parse().ok()?)));
                let (ip, prefix): (Ipv4Addr, u32) =
                    parts.ok_or_else(|| format!("`{text}` is not an IPv4 address with a prefix"))?;
                if !(8..=LONGEST).contains(&prefix) {
                    return Err(format!(
                        "a network of prefix {prefix}, where user-mode networking takes 8 to {LONGEST}"
                    ));
                }
                (Some(ip), prefix)
            }
            None => (None, PREFIX),
        };
        let mask = u32::MAX << (32 - prefix);
        let place = guest.or(own).unwrap_or(HOST);
        let network = u32::from(place) & mask;
        let inside = |address: Ipv4Addr| u32::from(address) & mask == network;
        if let Some(gateway) = gateway.filter(|gateway: &Ipv4Addr| !inside(*gateway)) {
            return Err(format!("gateway {gateway} is not in the guest's network"));
        }
        let mut taken: Vec<Ipv4Addr> = guest.into_iter().collect();
        let mut free = |wished: Option<Ipv4Addr>, from: u32| {
            let others = (from..!mask).chain(1..from).map(|n| Ipv4Addr::from(network | n));
            let found = wished.into_iter().chain(others).find(|one| inside(*one) && !taken.contains(one));
            let found = found.unwrap_or(Ipv4Addr::from(network | 1));
            taken.push(found);
            found
        };
        let own = own.filter(|own| inside(*own));
        let host = free(gateway.or(own).or(Some(HOST)), 2);
        let dns = free(None, 3);
        let dhcp = free(None, FIRST.min(!mask - 1));
        // A small network may have no room for another host; then the node serves no files in it.
        let other_host = free(None, 2);
        let guest = guest.unwrap_or(dhcp);
        Ok(Self { network: network.into(), prefix, own, host, other_host, dns, guest, dhcp })
    }

    /// Arguments of `-netdev user`; a port of this machine's loopback interface may lead to the guest's port 22, and
    /// the command line of a relay to the node's NFS server.
    pub(super) fn arguments(&self, ssh_port: Option<u16>, relay: Option<&str>) -> String {
        let Self { network, prefix, own, host, other_host, dns, guest, dhcp } = self;
        let room = [host, dns, guest, dhcp].iter().all(|taken| *taken != other_host);
        let relay = own.zip(relay).filter(|(own, _)| own != dns && own != guest && room);
        let host = if relay.is_some_and(|(own, _)| own == *host) { other_host } else { host };
        let mut text = format!("ipv6=off,net={network}/{prefix},host={host},dns={dns},dhcpstart={dhcp}");
        if let Some(port) = ssh_port {
            text.push_str(&format!(",hostfwd=tcp:127.0.0.1:{port}-{guest}:22"));
        }
        if let Some((own, command)) = relay {
            text.push_str(&format!(",guestfwd=tcp:{own}:2049-cmd:{}", command.replace(',', ",,")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Subnet;
    use crate::observed::PropertyString;

    fn subnet(ipconfig: &str, own: Option<&str>) -> Result<String, String> {
        let own = own.map(|own| own.parse().unwrap());
        Subnet::of(&PropertyString::parse(ipconfig), own).map(|subnet| subnet.arguments(Some(2222), None))
    }

    #[test]
    fn a_guest_finds_the_node_where_its_configuration_says() {
        for (ipconfig, own, expected) in [
            ("ip=dhcp", None, "net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15"),
            ("", Some("192.0.2.1"), "net=192.0.2.0/24,host=192.0.2.1,dns=192.0.2.3,dhcpstart=192.0.2.15"),
            ("ip=dhcp", Some("192.0.2.15"), "net=192.0.2.0/24,host=192.0.2.15,dns=192.0.2.3,dhcpstart=192.0.2.16"),
            (
                "ip=198.51.100.3/25,gw=198.51.100.126",
                Some("192.0.2.1"),
                "net=198.51.100.0/25,host=198.51.100.126,dns=198.51.100.4,dhcpstart=198.51.100.15",
            ),
            ("ip=10.9.8.2/29", None, "net=10.9.8.0/29,host=10.9.8.3,dns=10.9.8.4,dhcpstart=10.9.8.6"),
        ] {
            let arguments = subnet(ipconfig, own).unwrap();
            assert!(arguments.starts_with(&format!("ipv6=off,{expected},hostfwd=tcp:127.0.0.1:2222-")), "{arguments}");
        }
        assert!(subnet("ip=198.51.100.3/25", None).unwrap().ends_with("-198.51.100.3:22"));
        let served = |ipconfig: &str, own: &str| {
            let subnet = Subnet::of(&PropertyString::parse(ipconfig), Some(own.parse().unwrap())).unwrap();
            subnet.arguments(None, Some("relay to,there"))
        };
        assert_eq!(
            served("ip=dhcp", "192.0.2.1"),
            "ipv6=off,net=192.0.2.0/24,host=192.0.2.2,dns=192.0.2.3,dhcpstart=192.0.2.15,\
             guestfwd=tcp:192.0.2.1:2049-cmd:relay to,,there"
        );
        assert_eq!(
            served("ip=192.0.2.9/24,gw=192.0.2.254", "192.0.2.1"),
            "ipv6=off,net=192.0.2.0/24,host=192.0.2.254,dns=192.0.2.3,dhcpstart=192.0.2.15,\
             guestfwd=tcp:192.0.2.1:2049-cmd:relay to,,there"
        );
        assert!(!served("ip=198.51.100.3/25", "192.0.2.1").contains("guestfwd"), "the node is not in that network");
        for wrong in ["ip=10.0.0.1", "ip=10.0.0.1/30", "ip=10.0.0.1/24,gw=10.1.0.1", "ip=x/24", "gw=y"] {
            assert!(subnet(wrong, None).is_err(), "{wrong}");
        }
    }
}
