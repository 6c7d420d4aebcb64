//! The models and flags of a CPU that Proxmox knows: it refuses any other when it is set (recorded).

use std::collections::BTreeMap;

/// The models of Proxmox VE 9.2, as the node lists them (recorded).
pub const MODELS: [&str; 94] = [
    "486",
    "Broadwell",
    "Broadwell-IBRS",
    "Broadwell-noTSX",
    "Broadwell-noTSX-IBRS",
    "Cascadelake-Server",
    "Cascadelake-Server-noTSX",
    "Cascadelake-Server-v2",
    "Cascadelake-Server-v4",
    "Cascadelake-Server-v5",
    "ClearwaterForest",
    "Conroe",
    "Cooperlake",
    "Cooperlake-v2",
    "EPYC",
    "EPYC-Genoa",
    "EPYC-Genoa-v2",
    "EPYC-IBPB",
    "EPYC-Milan",
    "EPYC-Milan-v2",
    "EPYC-Milan-v3",
    "EPYC-Rome",
    "EPYC-Rome-v2",
    "EPYC-Rome-v3",
    "EPYC-Rome-v4",
    "EPYC-Rome-v5",
    "EPYC-Turin",
    "EPYC-v3",
    "EPYC-v4",
    "EPYC-v5",
    "GraniteRapids",
    "GraniteRapids-v2",
    "GraniteRapids-v3",
    "Haswell",
    "Haswell-IBRS",
    "Haswell-noTSX",
    "Haswell-noTSX-IBRS",
    "Icelake-Client",
    "Icelake-Client-noTSX",
    "Icelake-Server",
    "Icelake-Server-noTSX",
    "Icelake-Server-v3",
    "Icelake-Server-v4",
    "Icelake-Server-v5",
    "Icelake-Server-v6",
    "Icelake-Server-v7",
    "IvyBridge",
    "IvyBridge-IBRS",
    "KnightsMill",
    "Nehalem",
    "Nehalem-IBRS",
    "Opteron_G1",
    "Opteron_G2",
    "Opteron_G3",
    "Opteron_G4",
    "Opteron_G5",
    "Penryn",
    "SandyBridge",
    "SandyBridge-IBRS",
    "SapphireRapids",
    "SapphireRapids-v2",
    "SapphireRapids-v3",
    "SapphireRapids-v4",
    "SierraForest",
    "SierraForest-v2",
    "SierraForest-v3",
    "Skylake-Client",
    "Skylake-Client-IBRS",
    "Skylake-Client-noTSX-IBRS",
    "Skylake-Client-v4",
    "Skylake-Server",
    "Skylake-Server-IBRS",
    "Skylake-Server-noTSX-IBRS",
    "Skylake-Server-v4",
    "Skylake-Server-v5",
    "Westmere",
    "Westmere-IBRS",
    "athlon",
    "core2duo",
    "coreduo",
    "host",
    "kvm32",
    "kvm64",
    "max",
    "pentium",
    "pentium2",
    "pentium3",
    "phenom",
    "qemu32",
    "qemu64",
    "x86-64-v2",
    "x86-64-v2-AES",
    "x86-64-v3",
    "x86-64-v4",
];

/// The flags that a VM may say, as the refusal of another one lists them (recorded).
pub const FLAGS: [&str; 13] = [
    "aes",
    "amd-no-ssb",
    "amd-ssbd",
    "hv-evmcs",
    "hv-tlbflush",
    "ibpb",
    "md-clear",
    "nested-virt",
    "pcid",
    "pdpe1gb",
    "spec-ctrl",
    "ssbd",
    "virt-ssbd",
];

/// What stands before the name of a model that the administrator of the cluster made.
const CUSTOM: &str = "custom-";

/// What Proxmox refuses of a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCpu<'a> {
    /// No model of Proxmox is called so.
    Model(&'a str),
    /// A VM cannot say this flag.
    Flag(&'a str),
}

/// Finds what Proxmox VE 9.2 refuses of a value of `cpu`: models and flags; whether a custom model is there, only the
/// node knows.
pub fn bad_cpu(text: &str) -> impl Iterator<Item = BadCpu<'_>> {
    let parts = text.split(',').map(|part| {
        let (name, value) = part.split_once('=').unwrap_or(("cputype", part));
        (name.trim(), value.trim())
    });
    parts.filter_map(|(name, value)| match name {
        "cputype" => (!value.starts_with(CUSTOM) && !MODELS.contains(&value)).then_some(BadCpu::Model(value)),
        "flags" => {
            value.split(';').find(|flag| !FLAGS.contains(&flag.trim_start_matches(['+', '-']))).map(BadCpu::Flag)
        }
        _ => None,
    })
}

/// Flags in the order of their names. Of one that stands twice the last counts, as in Proxmox, which knows them by their
/// names (`CPUConfig.pm`).
pub(super) fn in_order(flags: &str) -> String {
    let flags = flags.split(';').map(str::trim).filter(|flag| !flag.is_empty());
    let named: BTreeMap<&str, &str> = flags.map(|flag| (flag.trim_start_matches(['+', '-']), flag)).collect();
    named.into_values().collect::<Vec<_>>().join(";")
}

/// The custom model that a value of `cpu` names, without what stands before its name.
#[must_use]
pub fn custom_cpu(text: &str) -> Option<&str> {
    let model = text.split(',').map(|part| part.split_once('=').unwrap_or(("cputype", part)));
    model.into_iter().find(|(name, _)| name.trim() == "cputype")?.1.trim().strip_prefix(CUSTOM)
}

/// Whether a model is another version of one that Proxmox has: `EPYC-v6`.
#[must_use]
pub fn is_version(model: &str) -> bool {
    let family = |model: &str| {
        let (family, version) = model.rsplit_once("-v")?;
        (!version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())).then(|| family.to_owned())
    };
    family(model).is_some_and(|of| MODELS.iter().any(|known| *known == of || family(known).as_ref() == Some(&of)))
}

impl BadCpu<'_> {
    /// What is wrong, to stand behind the name of the option.
    #[must_use]
    pub fn wrong(self) -> String {
        match self {
            Self::Model(model) => format!("has the model `{model}`, which Proxmox does not have"),
            Self::Flag(flag) => format!("has the flag `{flag}`, which a VM cannot set in Proxmox"),
        }
    }

    /// The refusal in Proxmox's words (recorded).
    #[must_use]
    pub fn refusal(self) -> String {
        match self {
            Self::Model(model) => format!("Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)"),
            Self::Flag(_) => format!("VM-specific CPU flags must be a subset of: {}", FLAGS.join(", ")),
        }
    }
}
