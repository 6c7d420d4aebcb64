//! What an option gives a guest of the node.

use super::ProxmoxOption;
use super::text::pairs;

impl ProxmoxOption {
    /// What of the node such a value gives the guest, or a program of the guest's VM; `None`: nothing but what every VM
    /// has.
    #[must_use]
    pub fn reaches(&self, value: &str) -> Option<&'static str> {
        let part = |name: &str| pairs(value, &self.spec.kind).remove(name).unwrap_or_default();
        let stem = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        match stem {
            "args" => Some("QEMU gets any arguments, and with them anything that root can read or write"),
            "hookscript" => Some("a script of the node runs as root whenever the VM starts and stops"),
            "ivshmem" => Some("memory is shared with other VMs and with programs of the node"),
            "parallel" => Some("the guest gets a port of the node"),
            "hostpci" if !part("romfile").is_empty() => Some("a file of the node becomes the ROM of a device"),
            "hostpci" if part("mapping").is_empty() => {
                Some("the guest gets a device of the node, which no mapping names")
            }
            "usb" if part("mapping").is_empty() && !part("host").eq_ignore_ascii_case("spice") => {
                Some("the guest gets a device of the node, which no mapping names")
            }
            "serial" if value != "socket" => Some("the guest gets a port of the node"),
            "rng" if part("source") == "/dev/hwrng" => Some("the guest reads the node's own random number generator"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::option;

    #[test]
    fn what_reaches_the_node_is_known() {
        for (name, value, reaches) in [
            ("args", "-x", true),
            ("hostpci0", "mapping=gpu", false),
            ("hostpci0", "0000:01:00", true),
            ("hostpci1", "mapping=gpu,romfile=x.rom", true),
            ("usb0", "spice", false),
            ("usb0", "1-2", true),
            ("serial0", "socket", false),
            ("serial0", "/dev/ttyS0", true),
            ("rng0", "/dev/urandom", false),
            ("rng0", "/dev/hwrng", true),
            ("cpu", "host", false),
        ] {
            assert_eq!(option(name).unwrap().reaches(value).is_some(), reaches, "{name}={value}");
        }
    }
}
