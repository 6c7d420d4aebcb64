//! The rules for what cloud-init tells a guest: addresses, users, keys.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeSet;

use super::codes;
use super::lexis::{self, Verdict};
use super::owner::{Owner, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawNetworkConfig, RawUserConfig};
use super::rule::{hinted, text};
use super::spans::Place;
use crate::model::{Address, InvalidKey, OsType, SshKey};

/// Applies the rules to every `network_config` and `user_config`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        if let Some(config) = &vm.network_config {
            network(owner, config, problems);
        }
        if let Some(config) = &vm.user_config {
            user(owner, config, problems);
        }
        problems.since(before, vm.vm_id);
    }
    unusual_users(raw, problems);
}

/// Warns of names that not every Linux guest takes; those of other systems are theirs to judge.
fn unusual_users(raw: &Raw, problems: &mut Problems) {
    let mut told: BTreeSet<Owner<'_>> = BTreeSet::new();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let os = said(raw, n, |vm| vm.os_type).map_or(OsType::L26, |(_, os)| os);
        let Some((owner, user)) = said(raw, n, |vm| vm.user_config.as_ref()) else { continue };
        if told.contains(&owner) {
            continue;
        }
        let Some(name) = user.username.as_deref().filter(|name| lexis::user(name).is_ok()) else { continue };
        if !matches!(os, OsType::L26 | OsType::L24) || lexis::control_in(name, false).is_some() {
            continue;
        }
        if let Err(why) = lexis::linux_user(name) {
            told.insert(owner);
            let what = format!("a Linux guest may refuse {} as the name of its user: {why}", shown(name));
            problems.push(
                Problem::new(codes::UNUSUAL_USER, what, owner.value("user_config/username"))
                    .hint("lower-case letters, digits, `_` and `-` work everywhere; for another system say so in `os_type`")
                    .vm(vm.vm_id),
            );
        }
    }
}

/// An address with its prefix length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cidr {
    pub(super) address: IpAddr,
    prefix: u32,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let plain = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = plain.then(|| prefix.parse().ok())??;
        (prefix <= longest && prefix > 0).then_some(Self { address, prefix })
    }

    /// The bits of an address of the same kind.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    /// How many bits tell the hosts of the network apart.
    fn host_bits(self) -> u32 {
        (if self.address.is_ipv4() { 32 } else { 128 }) - self.prefix
    }

    fn contains(self, other: IpAddr) -> bool {
        let network = |address| Self::bits(address).checked_shr(self.host_bits()).unwrap_or(0);
        self.address.is_ipv4() == other.is_ipv4() && network(self.address) == network(other)
    }

    /// Whether it names its network, or all of its hosts.
    fn is_no_host(self) -> bool {
        let hosts = self.host_bits();
        if self.address.is_ipv6() || hosts < 2 {
            return false;
        }
        let mask = (1_u128 << hosts) - 1;
        let own = Self::bits(self.address) & mask;
        own == 0 || own == mask
    }
}

/// Why nothing can have this address.
fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("it is a loopback address")
    } else if address.is_unspecified() || address.is_multicast() {
        Some("it is not the address of one host")
    } else {
        None
    }
}

/// Accepts an address with its prefix length, or one of these words.
fn address(text: &str, words: &[&str], v6: bool) -> Verdict {
    if words.contains(&text) {
        return Ok(());
    }
    let (own, other) = if v6 { ("IPv6", "`ip`") } else { ("IPv4", "`ip6`") };
    let plain = text.split_once('/').map_or(text, |(address, _)| address);
    match plain.parse::<IpAddr>() {
        Err(_) => return Err(format!("it is neither {} nor an {own} address", words.join(" nor "))),
        Ok(address) if address.is_ipv6() != v6 => {
            return Err(format!("it is not an {own} address: it belongs in {other}"));
        }
        Ok(_) if !text.contains('/') => {
            return Err(format!("its prefix length is missing, like `{}`", if v6 { "/64" } else { "/24" }));
        }
        Ok(address) => {
            if let Some(why) = unusable(address) {
                return Err(why.into());
            }
        }
    }
    match Cidr::parse(text) {
        None => Err("its prefix length is out of range".into()),
        Some(cidr) if cidr.is_no_host() => Err("it is the address of the network or of all its hosts".into()),
        Some(_) => Ok(()),
    }
}

/// What to write instead of a text that is no address.
fn instead(text: &str, v6: bool) -> Option<String> {
    let word = match (text.trim().to_ascii_lowercase().as_str(), v6) {
        ("dhcp" | "dhcp4" | "dhcpv4", false) | ("dhcp" | "dhcp6" | "dhcpv6", true) => "dhcp",
        ("auto" | "automatic" | "dynamic", false) => return Some("write `dhcp`; `auto` is for `ip6`".to_owned()),
        ("auto" | "slaac" | "ra" | "automatic" | "autoconf", true) => "auto",
        (Address::NONE | "off" | "no" | "false" | "disabled", _) => Address::NONE,
        _ => return masked(text),
    };
    Some(format!("write `{word}`"))
}

/// An address with a network mask, with its prefix length.
fn masked(text: &str) -> Option<String> {
    let (address, mask) = text.split_once('/')?;
    let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.trim().parse().ok()?, mask.trim().parse().ok()?);
    let bits = mask.to_bits();
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| format!("write `{address}/{}`", bits.leading_ones()))
}

fn ipv4(text: &str) -> Verdict {
    address(text, &["dhcp", Address::NONE], false)
}

fn ipv6(text: &str) -> Verdict {
    address(text, &["dhcp", "auto", Address::NONE], true)
}

fn router(text: &str, v6: bool) -> Verdict {
    let own = if v6 { "IPv6" } else { "IPv4" };
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == v6 => unusable(address).map_or(Ok(()), |why| Err(why.into())),
        _ => Err(format!("it is not an {own} address")),
    }
}

fn gateway4(text: &str) -> Verdict {
    router(text, false)
}

fn gateway6(text: &str) -> Verdict {
    router(text, true)
}

fn network(owner: Owner<'_>, config: &RawNetworkConfig, problems: &mut Problems) {
    let at = |key: &'static str| move || owner.value(&format!("network_config/{key}"));
    let written = Addresses {
        ip: config.ip.as_deref(),
        gw: config.gw.as_deref(),
        ip6: config.ip6.as_deref(),
        gw6: config.gw6.as_deref(),
    };
    addresses(&written, &|key| owner.value(&format!("network_config/{key}")), problems);
    let servers = (codes::BAD_ADDRESS, "cannot be DNS servers");
    text(config.nameserver.as_deref(), servers, lexis::addresses, at("nameserver"), problems);
    let domains = (codes::BAD_SEARCH_DOMAIN, "cannot be DNS search domains");
    text(config.searchdomain.as_deref(), domains, lexis::domains, at("searchdomain"), problems);
}

/// The addresses of a card as they are written.
pub(super) struct Addresses<'a> {
    pub(super) ip: Option<&'a str>,
    pub(super) gw: Option<&'a str>,
    pub(super) ip6: Option<&'a str>,
    pub(super) gw6: Option<&'a str>,
}

/// Applies the rules to the addresses of a card. `at`: where each of its keys stands.
pub(super) fn addresses(written: &Addresses<'_>, at: &dyn Fn(&str) -> Place, problems: &mut Problems) {
    let cannot = (codes::BAD_ADDRESS, "cannot be an address");
    let router = (codes::BAD_ADDRESS, "cannot be a gateway");
    let before = problems.number();
    hinted(written.ip, (cannot, ipv4), |text| instead(text, false), || at("ip"), problems);
    hinted(written.ip6, (cannot, ipv6), |text| instead(text, true), || at("ip6"), problems);
    text(written.gw, router, gateway4, || at("gw"), problems);
    text(written.gw6, router, gateway6, || at("gw6"), problems);
    if problems.number() == before {
        gateway(written.ip, written.gw, "ip", || at("gw"), problems);
        gateway(written.ip6, written.gw6, "ip6", || at("gw6"), problems);
    }
}

/// A gateway needs a fixed address and should be its neighbour.
fn gateway(ip: Option<&str>, gw: Option<&str>, key: &str, at: impl Fn() -> Place, problems: &mut Problems) {
    let of = key.replace("ip", "gw");
    let Some((written, gw)) = gw.and_then(|gw| Some((gw, gw.parse::<IpAddr>().ok()?))) else { return };
    let Some(cidr) = ip.and_then(Cidr::parse) else {
        let why = match ip {
            Some(Address::NONE) => "without an address there is no gateway",
            Some("auto") => "with `auto` the routers of the network say that they are there",
            Some(_) => "with `dhcp` the gateway comes from there, too",
            None => "a gateway belongs to a fixed address",
        };
        let hint = format!("{why}: take `{of}` out, or give `{key}` an address with its prefix length");
        let what = format!("there is no fixed address in `{key}`");
        problems.push(Problem::new(codes::GATEWAY_WITHOUT_ADDRESS, what, at()).hint(hint));
        return;
    };
    if gw == cidr.address {
        let what = format!("{} is the VM's own address", shown(written));
        problems.push(Problem::new(codes::BAD_ADDRESS, what, at()).hint("name the router that the VM reaches"));
        return;
    }
    // A single host has no neighbours; its gateway is reached on the link, as one with a link-local address is.
    let link_local = matches!(gw, IpAddr::V6(gw) if gw.is_unicast_link_local());
    if cidr.host_bits() > 1 && !link_local && !cidr.contains(gw) {
        let what = format!("gateway {} is not in the network of {}", shown(written), shown(ip.unwrap_or_default()));
        problems.push(
            Problem::new(codes::GATEWAY_OUTSIDE, what, at())
                .hint("the guest cannot reach it; is the prefix length right?"),
        );
    }
}

fn user(owner: Owner<'_>, config: &RawUserConfig, problems: &mut Problems) {
    let at = || owner.value("user_config/username");
    text(config.username.as_deref(), (codes::BAD_USER, "cannot be a user"), lexis::user, at, problems);
    for (n, key) in config.ssh_authorized_keys.iter().flatten().enumerate() {
        let at = owner.value(&format!("user_config/ssh_authorized_keys/{n}"));
        // The text is not repeated: it may be worse than a typing mistake.
        problems.push(match SshKey::parse(key) {
            Ok(_) if key.len() > lexis::MAX_SSH_KEY => {
                Problem::new(codes::BAD_SSH_KEY, "this is not a public key of OpenSSH: it is too long", at)
            }
            Ok(_) => continue,
            Err(InvalidKey::Private) => Problem::new(codes::PRIVATE_KEY, "this is a private key", at).hint(
                "take it out of the file and its history, and use another one: everyone who can read the file has it. \
                    The public \
                 key is in the `.pub` file",
            ),
            Err(InvalidKey::Other(why)) => {
                Problem::new(codes::BAD_SSH_KEY, format!("this is not a public key of OpenSSH: {why}"), at)
                    .hint("put the whole line of the `.pub` file there, one entry for each key")
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, ipv4, ipv6};

    #[test]
    fn addresses_of_hosts() {
        for text in ["dhcp", "none", "192.0.2.10/24", "192.0.2.1/32", "192.0.2.0/31", "10.0.0.1/8"] {
            assert_eq!(ipv4(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "DHCP",
            "auto",
            "192.0.2.10",
            "192.0.2.10/",
            "192.0.2.10/33",
            "192.0.2.10/0",
            "192.0.2.10/+4",
            "192.0.2.0/24",
            "192.0.2.255/24",
            "127.0.0.1/8",
            "0.0.0.0/24",
            "224.0.0.1/24",
            "2001:db8::1/64",
            "192.0.2.010/24",
            "192.0.2.10/24,gw=192.0.2.1",
        ] {
            assert!(ipv4(text).is_err(), "{text}");
        }
        for text in ["dhcp", "auto", "none", "2001:db8::10/64", "fe80::1/10", "2001:db8::/128"] {
            assert_eq!(ipv6(text), Ok(()), "{text}");
        }
        for text in ["", "2001:db8::10", "2001:db8::10/129", "192.0.2.10/24", "::1/128", "fe80::1%eth0/64"] {
            assert!(ipv6(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_contain_their_hosts() {
        for (cidr, gw, within) in [
            ("192.0.2.10/24", "192.0.2.1", true),
            ("192.0.2.10/24", "192.0.3.1", false),
            ("192.0.2.10/25", "192.0.2.200", false),
            ("2001:db8::10/64", "2001:db8::1", true),
            ("2001:db8::10/64", "2001:db8:1::1", false),
            ("192.0.2.10/24", "2001:db8::1", false),
        ] {
            assert_eq!(Cidr::parse(cidr).unwrap().contains(gw.parse().unwrap()), within, "{cidr} {gw}");
        }
    }
}
