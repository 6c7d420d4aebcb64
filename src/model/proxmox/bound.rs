//! Options that bound each other: what Proxmox refuses when they are set, and what a VM does not start with (recorded).

/// When a combination is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When the options are set.
    Set,
    /// When the VM is started.
    Start,
}

/// A combination of options that Proxmox refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// When it does.
    pub when: When,
    /// The options, the one that is most likely at fault first.
    pub options: Vec<String>,
    /// What does not fit: a lower-case fragment.
    pub what: String,
    /// What helps.
    pub hint: String,
    /// What Proxmox, or QEMU, says of it.
    pub words: String,
}

/// Options of a VM by name, as they will be; `None`: not set.
pub(super) type Options<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Least memory in MiB with which memory is hot-plugged.
const STATIC: u64 = 1024;

/// Every combination of these options that is refused.
#[must_use]
pub fn bounds(options: Options<'_>) -> Vec<Bound> {
    let number = |name: &str, default: u64| options(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let is_on = |name: &str| options(name).is_some_and(|text| ["1", "on", "yes", "true"].contains(&text.as_str()));
    let memory = options("memory").and_then(|text| text.trim_start_matches("current=").parse().ok()).unwrap_or(512);
    let cpus = number("cores", 1) * number("sockets", 1);
    let vm = Sizes { memory, cpus, numa: is_on("numa") };
    let mut found = Vec::new();
    let mut refuse = |when: When, options: &[&str], what: String, hint: String, words: String| {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        found.push(Bound { when, options, what, hint, words });
    };
    let balloon = number("balloon", 0);
    if balloon > memory {
        refuse(
            When::Set,
            &["balloon", "memory"],
            format!("`balloon` is {balloon} MiB, more than the memory of {memory} MiB"),
            format!("set `balloon` to {memory} at most, or to 0 to have no ballooning"),
            "balloon value too large (must be smaller than assigned memory)".to_owned(),
        );
    }
    let vcpus = number("vcpus", 0);
    if vcpus > cpus {
        refuse(
            When::Start,
            &["vcpus", "cores"],
            format!("`vcpus` is {vcpus}, more than the {cpus} CPUs of the VM (sockets × cores)"),
            format!("set `vcpus` to {cpus} at most, or raise `cpu_cores`"),
            format!(
                "kvm: Invalid CPU topology: maxcpus must be equal to or greater than smp: maxcpus ({cpus}) < smp_cpus ({vcpus})"
            ),
        );
    }
    if options("cpu").is_some_and(|cpu| cpu.split(',').any(|part| part == "host" || part == "cputype=host"))
        && options("kvm").is_some_and(|kvm| ["0", "off", "no", "false"].contains(&kvm.as_str()))
    {
        refuse(
            When::Start,
            &["cpu", "kvm"],
            "`cpu` is `host`, which needs KVM, and `kvm` is off".to_owned(),
            "name another `cpu`, or take `kvm` out".to_owned(),
            "kvm: CPU model 'host' requires KVM or HVF".to_owned(),
        );
    }
    if vm.numa {
        found.extend(numa_nodes(options, vm));
    }
    found.extend(hot_memory(options, vm));
    found.extend(huge_pages(options, vm));
    found.extend(pci_express(options));
    found
}

/// What a VM has.
#[derive(Clone, Copy)]
struct Sizes {
    /// MiB.
    memory: u64,
    cpus: u64,
    numa: bool,
}

/// One that is refused at a start.
fn at_start(options: &[&str], what: String, hint: &str, words: String) -> Bound {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    Bound { when: When::Start, options, what, hint: hint.to_owned(), words }
}

/// `pcie` of a device that is passed through, which only the machine `q35` has (`PCI.pm`).
fn pci_express(options: Options<'_>) -> Option<Bound> {
    if options("machine").is_some_and(|machine| machine.contains("q35")) {
        return None;
    }
    let is_on = |text: &str| ["pcie=1", "pcie=on", "pcie=yes", "pcie=true"].contains(&text.trim());
    let asks = |name: &String| options(name).is_some_and(|text| text.split(',').any(is_on));
    let name = (0..16).map(|n| format!("hostpci{n}")).find(asks)?;
    let what = format!("`{name}` has `pcie=1`, and the machine of the VM is not `q35`");
    let hint = "set `machine` to `q35`, or take `pcie` out: the device is a plain PCI device then";
    Some(at_start(&[&name, "machine"], what, hint, "q35 machine model is not enabled".to_owned()))
}

/// `numa0` to `numa7` against memory and CPUs.
fn numa_nodes(options: Options<'_>, vm: Sizes) -> Vec<Bound> {
    let nodes: Vec<(u64, String)> = (0..8).filter_map(|n| Some((n, options(&format!("numa{n}"))?))).collect();
    let mut found = Vec::new();
    let Some((last, _)) = nodes.last() else { return found };
    if let Some(missing) = (0..*last).find(|n| !nodes.iter().any(|(node, _)| node == n)) {
        found.push(at_start(
            &["numa0"],
            format!("`numa{last}` is set, and `numa{missing}` is not"),
            "NUMA nodes are numbered from 0 without a gap",
            format!("kvm: numa: Node ID missing: {missing}"),
        ));
        return found;
    }
    let part = |text: &str, name: &str| {
        let value = text.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        value.map(ToOwned::to_owned)
    };
    let memory: u64 = nodes.iter().filter_map(|(_, text)| part(text, "memory")?.parse::<u64>().ok()).sum();
    if memory != vm.memory {
        found.push(at_start(
            &["numa0", "memory"],
            format!("the NUMA nodes have {memory} MiB in all, the VM has {} MiB", vm.memory),
            "make the `memory` of the NUMA nodes add up to the memory of the VM",
            "total memory for NUMA nodes must be equal to vm static memory".to_owned(),
        ));
    }
    let cpus = |text: &str| {
        let named = part(text, "cpus")?;
        named.split([';', '-']).filter_map(|number| number.parse::<u64>().ok()).max()
    };
    if let Some((n, cpu)) = nodes.iter().find_map(|(n, text)| Some((n, cpus(text).filter(|cpu| *cpu >= vm.cpus)?))) {
        found.push(at_start(
            &["numa0", "cores"],
            format!("`numa{n}` names CPU {cpu}, the VM has {} (counted from 0)", vm.cpus),
            "name only CPUs that the VM has",
            format!("kvm: -numa node: CPU index ({cpu}) should be smaller than maxcpus ({})", vm.cpus),
        ));
    }
    found
}

/// `hotplug` with `memory`.
fn hot_memory(options: Options<'_>, vm: Sizes) -> Vec<Bound> {
    let hot = options("hotplug").is_some_and(|hotplug| hotplug.split(',').any(|word| word.trim() == "memory"));
    if !hot {
        return Vec::new();
    }
    let why = "`hotplug` has `memory`, and that";
    let out = "or take `memory` out of `hotplug`";
    let mut found = Vec::new();
    if !vm.numa {
        found.push(at_start(
            &["hotplug", "numa"],
            format!("{why} needs `numa`"),
            &format!("set `numa` to true, {out}"),
            "NUMA needs to be enabled for memory hotplug".to_owned(),
        ));
    } else if vm.memory < STATIC {
        found.push(at_start(
            &["hotplug", "memory"],
            format!("{why} needs {STATIC} MiB of memory; the VM has {}", vm.memory),
            &format!("give it {STATIC} MiB, {out}"),
            format!("minimum memory must be {STATIC}MB"),
        ));
    } else if let Some(step) = dimm(vm.memory).filter(|step| !(vm.memory - STATIC).is_multiple_of(*step)) {
        found.push(at_start(
            &["hotplug", "memory"],
            format!("{why} takes memory in steps of {step} MiB, and {} MiB is not a multiple of that", vm.memory),
            &format!("make it a multiple of {step}, {out}"),
            format!("memory size ({}) must be aligned to {step} for hotplugging", vm.memory),
        ));
    }
    if (0..10).any(|n| options(&format!("virtiofs{n}")).is_some()) {
        found.push(at_start(
            &["hotplug", "virtiofs0"],
            format!("{why} does not go together with a `virtiofs` directory"),
            &format!("take the directory out, {out}"),
            "Memory hotplug does not work in combination with virtio-fs.".to_owned(),
        ));
    }
    found
}

/// Size in MiB of the last memory module of a VM with so much memory: thirty-two of 512, then thirty-two of twice that,
/// and so on.
fn dimm(memory: u64) -> Option<u64> {
    let (mut size, mut reached) = (512, STATIC);
    while memory > reached + 32 * size {
        reached += 32 * size;
        size *= 2;
        if size > 1 << 20 {
            return None;
        }
    }
    Some(size)
}

/// `hugepages`.
fn huge_pages(options: Options<'_>, vm: Sizes) -> Vec<Bound> {
    let Some(pages) = options("hugepages") else { return Vec::new() };
    if !vm.numa {
        let hint = "set `numa` to true, or take `hugepages` out";
        let words = "numa needs to be enabled to use hugepages".to_owned();
        return vec![at_start(&["hugepages", "numa"], "`hugepages` needs `numa`".to_owned(), hint, words)];
    }
    let size = if pages == "1024" { 1024 } else { 2 };
    if vm.memory.is_multiple_of(size) {
        return Vec::new();
    }
    let words = if size == 2 {
        format!("memory size '{}' is not a positive even integer; cannot use for hugepages", vm.memory)
    } else {
        format!("Memory size {} is not a multiple of the requested hugepages size {size}", vm.memory)
    };
    let what = format!("`hugepages` are of {size} MiB, and {} MiB of memory is not a multiple of that", vm.memory);
    vec![at_start(&["hugepages", "memory"], what, &format!("make the memory a multiple of {size}"), words)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(conf: &str, expected: &[&str]) {
        let get = |name: &str| {
            conf.split_whitespace().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
        };
        let words: Vec<String> = bounds(&get).into_iter().map(|bound| bound.words).collect();
        assert_eq!(words.len(), expected.len(), "{conf}: {words:?}");
        for (found, expected) in words.iter().zip(expected) {
            assert!(found.contains(expected), "{conf}: {found}");
        }
    }

    #[test]
    fn what_proxmox_refuses_is_known() {
        check("memory:1024 balloon:1024", &[]);
        check("memory:1024 balloon:2048", &["balloon value too large"]);
        check("cores:2 sockets:2 vcpus:4", &[]);
        check("cores:1 sockets:2 vcpus:4", &["maxcpus (2) < smp_cpus (4)"]);
        check("cpu:host,flags=+aes kvm:0", &["requires KVM"]);
        check("cpu:host kvm:1", &[]);
        check("numa0:cpus=0,memory=4096 memory:8192", &[]);
        check("numa:1 numa0:cpus=0,memory=4096 memory:8192", &["total memory for NUMA nodes"]);
        check("numa:1 memory:512 numa0:cpus=0,memory=256 numa1:cpus=1,memory=256", &["CPU index (1)"]);
        check("numa:1 memory:512 numa1:cpus=0,memory=512", &["Node ID missing: 0"]);
        check("hotplug:disk,memory memory:2048", &["NUMA needs"]);
        check("hotplug:disk,memory memory:512 numa:1", &["minimum memory must be 1024MB"]);
        check("hotplug:memory memory:1025 numa:1", &["must be aligned to 512"]);
        check("hotplug:memory memory:17408 numa:1", &[]);
        check("hotplug:memory memory:17920 numa:1", &["must be aligned to 1024"]);
        check("hotplug:memory memory:2048 numa:1 virtiofs3:x", &["virtio-fs"]);
        check("hugepages:2 memory:2048", &["numa needs to be enabled"]);
        check("hugepages:2 memory:129 numa:1", &["not a positive even integer"]);
        check("hugepages:1024 memory:128 numa:1", &["not a multiple"]);
        check("hugepages:any memory:128 numa:1", &[]);
        check("hostpci3:mapping=gpu,pcie=1", &["q35 machine model"]);
        check("hostpci3:mapping=gpu,pcie=on machine:pc-i440fx-9.0", &["q35 machine model"]);
        check("hostpci3:mapping=gpu,pcie=1 machine:type=pc-q35-9.0,viommu=intel", &[]);
        check("hostpci0:mapping=gpu,pcie=0", &[]);
    }
}
