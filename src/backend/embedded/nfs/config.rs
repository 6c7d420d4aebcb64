//! What the NFS server is told: its configuration file, and the address under which it knows a guest. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::VmId;

/// A directory that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// Its number, which is part of every file handle that a guest holds: it must stay as long as the directory is
    /// served.
    pub(super) id: u16,
    /// Where it lies on this machine.
    pub(super) real: String,
    /// Its path on the node, which is what guests mount.
    pub(super) path: String,
    /// The guests that may use it.
    pub(super) clients: Clients,
}

/// Who may use a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clients {
    /// Every guest of the node.
    All,
    /// The guests with these [addresses](source).
    These(BTreeSet<Ipv4Addr>),
}

/// The address from which the server sees what a guest sends: one of this machine's loopback network for each VM, so
/// that the server can tell guests apart although all of them have their network from QEMU on this machine.
///
/// VMIDs that differ by a multiple of sixteen millions share one.
pub(in super::super) fn source(vm: VmId) -> Ipv4Addr {
    // 127.0.0.0/24 stays out: every program of this machine talks from 127.0.0.1.
    Ipv4Addr::from(0x7F00_0100 + vm.get() % 16_000_000)
}

/// The command line of a relay between a connection of a VM's guest, which is its standard input and output, and the
/// server's port.
///
/// It sends from the guest's own [address](source), and from a port that only root can use: another one for each
/// connection, as the guest may begin a new one while the one before it is not forgotten yet.
pub(super) fn relay(port: u16, vm: VmId) -> String {
    let from = format!("bind={},sourceport=$((512+$$%512)),reuseaddr", source(vm));
    format!("/bin/sh -c 'exec socat STDIO TCP4:127.0.0.1:{port},{from}'")
}

/// The configuration file of a server that keeps its state below `dir` and listens on a port of the loopback interface.
///
/// NFS 4.1 and nothing else: clients agree on it by themselves, and with 4.2 some kernels read zeros from this server.
/// Attributes and names are not cached, since files change on the host's side, too. Only root can use a port below
/// 1024, so no other user of this machine gets at the files.
pub(super) fn print(port: u16, dir: &str, served: &[Served]) -> Result<String, String> {
    let mut text = format!(
        "# Written by phoenix, again and again.\n\
         NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Enable_NLM = false; \
         Enable_RQUOTA = false; Enable_UDP = false; }}\n\
         NFSV4 {{ Minor_Versions = 1; Graceless = true; RecoveryBackend = fs; RecoveryRoot = {}; \
         Only_Numeric_Owners = true; }}\n\
         MDCACHE {{ Dir_Chunk = 0; }}\n\
         LOG {{ Default_Log_Level = EVENT; }}\n",
        quoted(&format!("{dir}/{RECOVERY}"))?
    );
    for Served { id, real, path, clients } in served {
        let clients = match clients {
            Clients::All => "127.0.0.0/8".to_owned(),
            Clients::These(these) => these.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", "),
        };
        text.push_str(&format!(
            "EXPORT {{ Export_Id = {id}; Path = {}; Pseudo = {}; Protocols = 4; Transports = TCP; SecType = sys; \
             Access_Type = None; Squash = No_Root_Squash; PrivilegedPort = true; Attr_Expiration_Time = 0; \
             FSAL {{ Name = VFS; }} \
             CLIENT {{ Clients = {clients}; Protocols = 4; Access_Type = RW; }} }}\n",
            quoted(real)?,
            quoted(path)?,
        ));
    }
    Ok(text)
}

/// Directory of the server's own notes about its clients.
pub(super) const RECOVERY: &str = "recovery";

/// A path as the configuration file takes it. The file has no way to write a control character, and none to write a
/// backslash before the end of a word.
fn quoted(path: &str) -> Result<String, String> {
    if path.contains(|c: char| c.is_control() || c == '\\') {
        return Err(format!("{path:?}: the NFS server takes no path with control characters or backslashes"));
    }
    Ok(format!("\"{}\"", path.replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::{Clients, Served, print, source};
    use crate::model::VmId;

    fn vm(id: u32) -> VmId {
        VmId::try_from(id).unwrap()
    }

    #[test]
    fn every_guest_has_an_address_of_its_own_on_the_loopback_network() {
        for (id, address) in [(100, "127.0.1.100"), (1000, "127.0.4.232"), (VmId::MAX, "127.122.18.255")] {
            assert_eq!(source(vm(id)).to_string(), address, "{id}");
        }
    }

    #[test]
    fn a_path_stays_one_word_of_the_file() {
        let clients = Clients::These([source(vm(100))].into());
        let served =
            |path: &str| Served { id: 1, real: format!("/n{path}"), path: path.to_owned(), clients: clients.clone() };
        let text = print(12049, "/n/nfs", &[served("/a b;} EXPORT { \"x # é")]).unwrap();
        assert!(text.contains(r#"Path = "/n/a b;} EXPORT { \"x # é"; Pseudo = "/a b;} EXPORT { \"x # é";"#), "{text}");
        assert!(text.contains("Clients = 127.0.1.100; "), "{text}");
        for wrong in ["/a\\", "/a\nb", "/a\0", "/a\u{7f}", "/a\u{85}"] {
            assert!(print(12049, "/n/nfs", &[served(wrong)]).unwrap_err().contains("control characters"), "{wrong:?}");
        }
        assert!(print(12049, "/n\n", &[]).is_err());
    }
}
