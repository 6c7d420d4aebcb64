//! What cloud-init should be told, and what of a VM's configuration has to be written for it.

use std::collections::BTreeSet;

use super::cloud_init::{CloudInit, encode_keys, names};
use super::config_write::ConfigWrite;
use super::{PropertyString, VmObserved};
use crate::model::{NetworkConfig, SshKey, UserConfig};

/// Places for a cloud-init drive, as Proxmox's own pages use them first.
const DRIVES: [&str; 4] = ["ide2", "ide0", "ide1", "ide3"];

/// What a VM's configuration should tell cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloudInitWanted<'a> {
    /// The network; `None` leaves it.
    pub network: Option<&'a NetworkConfig>,
    /// The user; `None` leaves it.
    pub user: Option<&'a UserConfig>,
    /// Storage of a drive that has to be added.
    pub storage: &'a str,
    /// A volume that such a drive had in a run that was interrupted.
    pub volume: Option<&'a str>,
}

impl CloudInitWanted<'_> {
    /// Where a drive is to be added so that what is wanted reaches the guest; `None`: none is needed, or no place is free.
    #[must_use]
    pub fn new_drive(&self, live: &VmObserved) -> Option<&'static str> {
        let needed = (self.network.is_some() || self.user.is_some()) && live.cloud_init.drive.is_none();
        DRIVES.into_iter().find(|device| needed && !live.drives.contains(*device))
    }

    /// `ipconfig0` as it should be. A kind of address that is not wished for stays, unless it is a fixed one that a fresh
    /// clone has from its template: without any, it asks DHCP.
    fn ipconfig0(&self, live: &CloudInit, fresh: bool) -> String {
        let mut text = PropertyString::parse(&live.ipconfig0);
        for (v6, wish) in
            [(false, self.network.and_then(|n| n.ip.as_ref())), (true, self.network.and_then(|n| n.ip6.as_ref()))]
        {
            let now = live.address(v6);
            let (ip, gw) = names(v6);
            match wish {
                Some(wish) if *wish != now => {
                    text.set(ip, &wish.ip);
                    match &wish.gw {
                        Some(gateway) => text.set(gw, gateway),
                        None => text.remove(gw),
                    }
                }
                None if fresh && now.is_fixed() => {
                    text.remove(ip);
                    text.remove(gw);
                }
                _ => {}
            }
        }
        // Said aloud: a guest that is told nothing has no network at all where its image does not ask by itself.
        if text.parts.is_empty() && !live.ipconfig0.is_empty() {
            text.set("ip", "dhcp");
        }
        text.to_string()
    }

    /// Adds what differs to a write.
    pub(super) fn add_to(&self, write: &mut ConfigWrite, live: &VmObserved, fresh: bool) {
        let now = &live.cloud_init;
        let mut text = |key: &str, now: &str, wish: String| {
            if wish == now {
            } else if wish.is_empty() {
                write.delete.insert(key.to_owned());
            } else {
                write.set.insert(key.to_owned(), wish);
            }
        };
        text("ipconfig0", &now.ipconfig0, self.ipconfig0(now, fresh));
        if let Some(network) = self.network {
            text("nameserver", &now.nameserver, network.nameserver.clone().unwrap_or_else(|| now.nameserver.clone()));
            let domains = network.searchdomain.clone().unwrap_or_else(|| now.searchdomain.clone());
            text("searchdomain", &now.searchdomain, domains);
        }
        if let Some(user) = self.user {
            text("ciuser", &now.user, user.username.clone().unwrap_or_else(|| now.user.clone()));
            if let Some(keys) = &user.ssh_authorized_keys
                && keys.iter().map(SshKey::fingerprint).collect::<BTreeSet<_>>() != now.ssh_keys
            {
                if keys.is_empty() {
                    write.delete.insert("sshkeys".to_owned());
                } else {
                    write.set.insert("sshkeys".to_owned(), encode_keys(keys));
                }
            }
        }
        if let Some(device) = self.new_drive(live) {
            let drive = match self.volume {
                Some(volume) => format!("{volume},media=cdrom"),
                None => format!("{}:cloudinit", self.storage),
            };
            write.set.insert(device.to_owned(), drive);
        }
    }
}
