//! What cloud-init tells a guest: its network, its user.

use std::fmt;

use serde::Serialize;

use super::{Secret, SshKey};

/// `network_config`: the network of the first card. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NetworkConfig {
    /// `ip` and `gw`: the IPv4 address and its gateway.
    pub ip: Option<Address>,
    /// `ip6` and `gw6`: the IPv6 address and its gateway.
    pub ip6: Option<Address>,
    /// DNS servers, separated by single spaces.
    pub nameserver: Option<String>,
    /// DNS search domains, separated by single spaces.
    pub searchdomain: Option<String>,
}

/// How a card gets an address. An address without a gateway has none: the two are one wish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Address {
    /// `dhcp`, for IPv6 also `auto`, or an address with its prefix length: `192.0.2.10/24`. Empty: there is to be none.
    pub ip: String,
    /// The gateway of a fixed address.
    pub gw: Option<String>,
}

/// `user_config`: the user of the guest. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UserConfig {
    /// Name of the user.
    pub username: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// Keys that let in anyone who has them; an empty list removes those that are there.
    pub ssh_authorized_keys: Option<Vec<SshKey>>,
}

impl Address {
    /// How a file says that a card is to have no address of a kind.
    pub const NONE: &'static str = "none";

    /// The address as a file has it.
    #[must_use]
    pub fn word(&self) -> &str {
        if self.is_none() { Self::NONE } else { &self.ip }
    }

    /// Whether there is to be none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.ip.is_empty()
    }

    /// Whether it is the same address every time.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.ip.contains('/')
    }
}

impl fmt::Display for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let mut add = |key: &str, value: Option<&str>| words.extend(value.map(|value| format!("{key}={value}")));
        for (ip, gw, address) in [("ip", "gw", &self.ip), ("ip6", "gw6", &self.ip6)] {
            add(ip, address.as_ref().map(Address::word));
            add(gw, address.as_ref().and_then(|address| address.gw.as_deref()));
        }
        add("nameserver", self.nameserver.as_deref());
        add("searchdomain", self.searchdomain.as_deref());
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for UserConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.ssh_authorized_keys.iter().flatten().map(SshKey::fingerprint);
        let name = self.username.iter().map(|name| format!("username={name}"));
        let password = self.password.iter().map(|secret| format!("password={secret}"));
        let words: Vec<String> = name.chain(password).chain(keys).collect();
        f.write_str(&words.join(", "))
    }
}
