//! What differs between a VM as wished and as observed.

use super::{Change, Waiting, cloud_init};
use crate::model::{DesiredVm, Disruption, Key, Origin};
use crate::observed::{BootDisk, PendingChange, VmObserved};

/// What a change of Proxmox's agent flag is told as; no key of the config sets it.
pub(super) const GUEST_AGENT: &str = "guest_agent";

/// The values of an existing VM that the configuration write or the resize changes, in table order.
///
/// Compared is the pending view: a change that only waits for a restart is not a change any more.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved, delete_source: bool) -> Vec<Change> {
    let mut found = Vec::new();
    let restart = |note: &str| {
        if live.running { (Disruption::Restart, note.to_owned()) } else { (Disruption::None, String::new()) }
    };
    let immediate = if live.running { Disruption::Live } else { Disruption::None };
    let mut add = |key: Key, old: String, new: String, (disruption, note): (Disruption, String)| {
        found.push(Change { old: Some(old), new, disruption, note, ..change(vm, key) });
    };

    let os_type = live.os_type.as_deref().unwrap_or("other");
    if os_type != vm.os_type.as_str() {
        add(
            Key::OsType,
            os_type.to_owned(),
            vm.os_type.to_string(),
            restart("the machine type is fixed while it runs"),
        );
    }
    if live.cpu_sockets != vm.cpu_sockets {
        add(
            Key::CpuSockets,
            live.cpu_sockets.to_string(),
            vm.cpu_sockets.to_string(),
            restart("sockets are fixed while it runs"),
        );
    }
    if live.cpu_cores != vm.cpu_cores {
        add(
            Key::CpuCores,
            live.cpu_cores.to_string(),
            vm.cpu_cores.to_string(),
            restart("cores are fixed while it runs"),
        );
    }
    if live.memory_mb != u64::from(vm.memory_mb) {
        let hot = live.hotplug.iter().any(|feature| feature == "memory");
        let note = if hot { "Proxmox may hot-plug it" } else { "memory hotplug is off" };
        add(Key::MemoryMb, live.memory_mb.to_string(), vm.memory_mb.to_string(), restart(note));
    }
    if let Some((device, size)) = too_small(vm, live) {
        add(Key::BootDiskSizeGb, gib(size), vm.boot_disk_size_gb.to_string(), (immediate, format!("grows {device}")));
    }
    if let Some(disk) = &live.boot_disk
        && disk.storage != vm.boot_disk_storage
    {
        let note = moves(disk, live.running, delete_source);
        add(Key::BootDiskStorage, disk.storage.clone(), vm.boot_disk_storage.clone(), (immediate, note));
    }
    let (bridge, model) =
        live.net0.as_ref().map_or(("", ""), |net| (net.bridge.as_deref().unwrap_or(""), net.model.as_str()));
    let replug = if live.running {
        (Disruption::Network, "net0 is unplugged and plugged again; its MAC address stays".to_owned())
    } else {
        (Disruption::None, String::new())
    };
    if bridge != vm.network_bridge {
        add(Key::NetworkBridge, bridge.to_owned(), vm.network_bridge.clone(), replug.clone());
    }
    if model != vm.network_model.as_str() {
        // Said once is enough.
        let replug = if bridge == vm.network_bridge { replug } else { (replug.0, String::new()) };
        add(Key::NetworkModel, model.to_owned(), vm.network_model.to_string(), replug);
    }
    if live.name != vm.vm_name {
        add(
            Key::VmName,
            live.name.clone(),
            vm.vm_name.clone(),
            (immediate, "the guest keeps its host name".to_owned()),
        );
    }
    if live.description != vm.description.trim_end() {
        add(
            Key::Description,
            live.description.clone(),
            vm.description.trim_end().to_owned(),
            (immediate, String::new()),
        );
    }
    if live.tags != vm.tags {
        add(Key::Tags, live.tags.join(", "), vm.tags.join(", "), (immediate, String::new()));
    }
    at_boot(vm, live, immediate, &mut add);
    found.extend(cloud_init::changes(vm, live));
    found.extend(agent_change(live));
    found
}

/// What the node does with the VM when it boots, and whether it is protected. `add` takes key, old, new, and what it costs.
fn at_boot(
    vm: &DesiredVm,
    live: &VmObserved,
    immediate: Disruption,
    add: &mut impl FnMut(Key, String, String, (Disruption, String)),
) {
    let mut switch = |key: Key, wish: Option<bool>, on: bool| {
        if let Some(wish) = wish.filter(|wish| *wish != on) {
            add(key, on.to_string(), wish.to_string(), (immediate, String::new()));
        }
    };
    switch(Key::StartAtBoot, vm.start_at_boot, live.onboot);
    switch(Key::Protected, vm.protected, live.protection);
    for (key, wish, part) in [(Key::BootOrder, vm.boot_order, "order"), (Key::BootDelay, vm.boot_delay, "up")] {
        let now = live.startup_number(part);
        if let Some(wish) = wish.filter(|wish| Some(*wish) != now) {
            let now = now.map_or_else(String::new, |now| now.to_string());
            add(key, now, wish.to_string(), (immediate, String::new()));
        }
    }
}

/// A change of a key, to be filled in.
fn change(vm: &DesiredVm, key: Key) -> Change {
    Change { key: key.name(), origin: vm.origins.of(key), ..Change::default() }
}

/// What happens to a disk that moves, and to what it leaves behind.
fn moves(disk: &BootDisk, running: bool, delete_source: bool) -> String {
    let copied = if running { "is copied while the VM runs" } else { "is copied" };
    let independent = if disk.is_linked() { ", whole" } else { "" };
    let source = if delete_source { "is erased then" } else { "stays as an unused disk" };
    format!("{} {copied}{independent}; {} {source}", disk.device, disk.volume)
}

/// A VM that is stopped and will be started, or the other way round.
pub(super) fn power(vm: &DesiredVm) -> Change {
    let origin = vm.origins.of(Key::Started);
    let (disruption, note) = match (vm.started, origin) {
        (false, _) => (Disruption::Stop, "its guest is asked to shut down"),
        (true, Origin::BuiltIn) => (Disruption::None, "declared VMs run"),
        (true, _) => (Disruption::None, ""),
    };
    Change {
        key: Key::Started.name(),
        old: Some((!vm.started).to_string()),
        new: vm.started.to_string(),
        origin,
        disruption,
        note: note.to_owned(),
        ..Change::default()
    }
}

/// What the config wishes for a key, as text; empty where it wishes for nothing, or something else tells it.
pub(super) fn wish(vm: &DesiredVm, key: Key) -> String {
    match key {
        Key::TemplateName if vm.cloud_image.is_some() => String::new(),
        Key::TemplateName => vm.template_name.clone(),
        Key::CloudImage => vm.cloud_image.as_ref().map_or_else(String::new, ToString::to_string),
        Key::OsType => vm.os_type.to_string(),
        Key::CpuSockets => vm.cpu_sockets.to_string(),
        Key::CpuCores => vm.cpu_cores.to_string(),
        Key::MemoryMb => vm.memory_mb.to_string(),
        Key::BootDiskSizeGb => vm.boot_disk_size_gb.to_string(),
        Key::BootDiskStorage => vm.boot_disk_storage.clone(),
        Key::NetworkBridge => vm.network_bridge.clone(),
        Key::NetworkModel => vm.network_model.to_string(),
        Key::VmName => vm.vm_name.clone(),
        Key::Description => vm.description.trim_end().to_owned(),
        Key::Tags => vm.tags.join(", "),
        Key::FullClone => {
            if vm.full_clone {
                String::new()
            } else {
                "false".to_owned()
            }
        }
        Key::Started => {
            if vm.started {
                String::new()
            } else {
                "false".to_owned()
            }
        }
        Key::StartAtBoot => vm.start_at_boot.map_or_else(String::new, |wish| wish.to_string()),
        Key::BootOrder => vm.boot_order.map_or_else(String::new, |wish| wish.to_string()),
        Key::BootDelay => vm.boot_delay.map_or_else(String::new, |wish| wish.to_string()),
        Key::Protected => vm.protected.map_or_else(String::new, |wish| wish.to_string()),
        Key::DependsOn => vm.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Key::NetworkConfig => vm.network_config.as_ref().map_or_else(String::new, ToString::to_string),
        Key::UserConfig => vm.user_config.as_ref().map_or_else(String::new, ToString::to_string),
        // Features and volumes are told by their actions, the id by the heading.
        // How phoenix waits is nothing that the VM has.
        Key::Features | Key::Volumes | Key::VmId | Key::Timeouts | Key::CloudInitErrors => String::new(),
    }
}

/// All values of a VM that is to be made, in table order. Its name stands in the heading.
pub(super) fn new_values(vm: &DesiredVm, template: Option<String>) -> Vec<Change> {
    let mut template = template;
    Key::ALL
        .into_iter()
        .filter(|key| *key != Key::VmName)
        .map(|key| Change {
            new: wish(vm, key),
            note: if key == Key::TemplateName { template.take().unwrap_or_default() } else { String::new() },
            ..change(vm, key)
        })
        .filter(|change| !change.new.is_empty())
        .collect()
}

/// A change of something that is done by actions of its own (features, volumes).
pub(super) fn told_by_actions(key: Key, origin: Origin, old: Option<String>, new: String, note: &str) -> Change {
    Change {
        key: key.name(),
        old,
        new,
        origin,
        disruption: Disruption::None,
        note: note.to_owned(),
        ..Change::default()
    }
}

/// The agent flag, without which nothing in the guest can be done.
fn agent_change(live: &VmObserved) -> Option<Change> {
    let disruption = if live.running { Disruption::Restart } else { Disruption::None };
    (!live.agent).then(|| Change {
        key: GUEST_AGENT,
        old: Some("off".to_owned()),
        new: "on".to_owned(),
        origin: Origin::BuiltIn,
        disruption,
        note: "phoenix reaches the guest through it".to_owned(),
        ..Change::default()
    })
}

/// What waits for a restart since an earlier change.
pub(super) fn waiting(live: &VmObserved) -> Vec<Waiting> {
    live.pending
        .iter()
        .map(|(option, PendingChange { active, pending })| Waiting {
            option: option.clone(),
            active: active.clone(),
            pending: pending.clone(),
        })
        .collect()
}

/// Device and size of a boot disk that is smaller than wished.
///
/// That of a VM which was taken over may fill its last GiB in part: no key can say that, and it is no reason to grow it.
fn too_small<'o>(vm: &DesiredVm, live: &'o VmObserved) -> Option<(&'o str, u64)> {
    let disk = live.boot_disk.as_ref()?;
    let size = disk.size.filter(|size| *size < wanted_bytes(vm))?;
    let uuid = live.uuid.as_deref().unwrap_or_default();
    let taken_over = vm.adopt.as_ref().is_some_and(|adopt| adopt.eq_ignore_ascii_case(uuid));
    let rounded = size.div_ceil(crate::model::GIB) == u64::from(vm.boot_disk_size_gb);
    (!(taken_over && rounded)).then_some((disk.device.as_str(), size))
}

/// The wished size of the boot disk in bytes.
pub(super) fn wanted_bytes(vm: &DesiredVm) -> u64 {
    u64::from(vm.boot_disk_size_gb) * crate::model::GIB
}

/// A size in GiB, with up to two decimals where it is not whole.
pub(super) fn gib(bytes: u64) -> String {
    if bytes.is_multiple_of(crate::model::GIB) {
        (bytes / crate::model::GIB).to_string()
    } else {
        let hundredths = u128::from(bytes) * 100 / u128::from(crate::model::GIB);
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}
