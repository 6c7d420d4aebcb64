//! Resource pools, as `/etc/pve/user.cfg` has them (recorded): `pool:NAME:COMMENT:VMID,…:STORAGE,…:`. A VM is in one of
//! them at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::VmId;

/// The resource pools of a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::backend) struct Pools {
    /// Their names.
    pub(in crate::backend) names: BTreeSet<String>,
    /// Which VM is in which of them; a VMID need not be that of a VM (recorded).
    pub(in crate::backend) members: BTreeMap<VmId, String>,
}

/// Reads the pools out of the file. What is no line of a pool is passed over: it holds users and their rights, too.
pub(in crate::backend) fn parse(text: &str) -> Pools {
    let mut pools = Pools::default();
    for line in text.lines() {
        let mut fields = line.split(':').map(str::trim);
        if fields.next() != Some("pool") {
            continue;
        }
        let (Some(name), _comment, vms) = (fields.next(), fields.next(), fields.next().unwrap_or_default()) else {
            continue;
        };
        if !is_name(name) {
            continue;
        }
        pools.names.insert(name.to_owned());
        let vms = vms.split([',', ';', ' ']).filter_map(|vm| vm.parse().ok());
        pools.members.extend(vms.map(|vm: VmId| (vm, name.to_owned())));
    }
    pools
}

/// Whether a text is the name of a pool: up to three parts between slashes, of letters, digits, dots, dashes and
/// underscores.
pub(in crate::backend) fn is_name(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    text.split('/').count() <= 3 && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_recorded_file_is_understood() {
        let text = "user:root@pam:1:0::::::\n\npool:phx::3114,3200::\npool:tpl:for all%3A:9000:local-zfs:\n\
                    pool:a/b::::\npool:no good::1:::\npool\nrole:PhxAudit:Sys.Audit:\n";
        let pools = parse(text);
        assert_eq!(pools.names.iter().map(String::as_str).collect::<Vec<_>>(), ["a/b", "phx", "tpl"]);
        let members: Vec<_> = pools.members.iter().map(|(vm, pool)| (vm.get(), pool.as_str())).collect();
        assert_eq!(members, [(3114, "phx"), (3200, "phx"), (9000, "tpl")]);
    }
}
