//! Which addresses others can reach a guest by.

use core::net::IpAddr;

/// Whether others can reach a guest by this address: it is no loopback, link-local, unspecified, multicast or broadcast
/// address, however it is written.
#[must_use]
pub fn is_reachable(address: IpAddr) -> bool {
    let local = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let address = address.to_canonical();
    !local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::is_reachable;

    #[test]
    fn only_addresses_that_lead_to_the_guest() {
        for (address, reachable) in [
            ("192.0.2.10", true),
            ("10.0.0.1", true),
            ("2001:db8::10", true),
            ("fd00::1", true),
            ("::ffff:192.0.2.10", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("169.254.1.1", false),
            ("::ffff:169.254.1.1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("::", false),
            ("224.0.0.1", false),
            ("ff02::1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(is_reachable(address.parse().unwrap()), reachable, "{address}");
        }
    }
}
