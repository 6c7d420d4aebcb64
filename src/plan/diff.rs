//! What differs between a VM as wished and as observed.

use super::steps::Scene;
use super::{Change, Waiting, cloud_init};
use crate::model::{DesiredVm, Disruption, Key, Origin};
use crate::observed::{BootDisk, PendingChange, VmObserved};

/// What a change of Proxmox's agent flag is told as; no key of the config sets it.
pub(super) const GUEST_AGENT: &str = "guest_agent";

/// The values of an existing VM that the configuration write or the resize changes, in table order.
///
/// Compared is the pending view: a change that only waits for a restart is not a change any more.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    let restart = |note: &str| {
        if live.running { (Disruption::Restart, note.to_owned()) } else { (Disruption::None, String::new()) }
    };
    let immediate = if live.running { Disruption::Live } else { Disruption::None };
    let mut add = |key: Key, (disruption, note): (Disruption, String)| {
        let old = Some(present(live, key).unwrap_or_default());
        found.push(Change { old, new: wish(vm, key), disruption, note, ..change(vm, key) });
    };

    if live.os_type.as_deref().unwrap_or("other") != vm.os_type.as_str() {
        add(Key::OsType, restart("the machine type is fixed while it runs"));
    }
    if live.cpu_sockets != vm.cpu_sockets {
        add(Key::CpuSockets, restart("sockets are fixed while it runs"));
    }
    if live.cpu_cores != vm.cpu_cores {
        add(Key::CpuCores, restart("cores are fixed while it runs"));
    }
    if live.memory_mb != u64::from(vm.memory_mb) {
        let hot = live.hotplug.iter().any(|feature| feature == "memory");
        let note = if hot { "Proxmox may hot-plug it" } else { "memory hotplug is off" };
        add(Key::MemoryMb, restart(note));
    }
    if let Some(device) = too_small(vm, live) {
        add(Key::BootDiskSizeGb, (immediate, format!("grows {device}")));
    }
    if let Some(disk) = &live.boot_disk
        && disk.storage != vm.boot_disk_storage
    {
        add(Key::BootDiskStorage, (immediate, moves(disk, live.running, scene.delete_source)));
    }
    let (bridge, model) =
        live.net0.as_ref().map_or(("", ""), |net| (net.bridge.as_deref().unwrap_or(""), net.model.as_str()));
    let replug = if scene.observed.node.real_guests {
        restart("network cards stay while it runs")
    } else if live.running {
        (Disruption::Network, "net0 is unplugged and plugged again; its MAC address stays".to_owned())
    } else {
        (Disruption::None, String::new())
    };
    let (moves, becomes) = (bridge != vm.network_bridge, model != vm.network_model.as_str());
    if moves {
        let rewired = if live.running && !becomes && !scene.observed.node.real_guests {
            (Disruption::Live, "only the node's end moves; the guest does not notice, and keeps its address".to_owned())
        } else {
            replug.clone()
        };
        add(Key::NetworkBridge, rewired);
    }
    if becomes {
        // Said once is enough.
        add(Key::NetworkModel, if moves { (replug.0, String::new()) } else { replug });
    }
    if live.name != vm.vm_name {
        add(Key::VmName, (immediate, "the guest keeps its host name".to_owned()));
    }
    if live.description != vm.description.trim_end() {
        add(Key::Description, (immediate, String::new()));
    }
    if live.tags != vm.tags {
        add(Key::Tags, (immediate, String::new()));
    }
    at_boot(vm, live, |key| add(key, (immediate, String::new())));
    found.extend(cloud_init::changes(vm, live));
    found.extend(agent_change(live));
    found
}

/// What the node does with the VM when it boots, and whether it is protected: `add` takes the keys that differ.
fn at_boot(vm: &DesiredVm, live: &VmObserved, mut add: impl FnMut(Key)) {
    for key in [Key::StartAtBoot, Key::Protected, Key::BootOrder, Key::BootDelay] {
        let wish = wish(vm, key);
        if !wish.is_empty() && present(live, key).as_ref() != Some(&wish) {
            add(key);
        }
    }
}

/// A change of a key, to be filled in.
fn change(vm: &DesiredVm, key: Key) -> Change {
    Change { key: key.name(), origin: vm.origins.of(key), ..Change::default() }
}

/// What it costs that the network card changes, if it does.
pub(super) fn changes_card(changes: &[Change]) -> Option<Disruption> {
    let keys = [Key::NetworkBridge.name(), Key::NetworkModel.name()];
    changes.iter().filter(|change| keys.contains(&change.key)).map(|change| change.disruption).max()
}

/// Whether a running VM gets its changed card only when it is restarted.
pub(super) fn card_waits(live: &VmObserved, changes: &[Change]) -> bool {
    live.pending.contains_key("net0") || changes_card(changes) == Some(Disruption::Restart)
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
        Key::IsTemplate if vm.is_template => "true".to_owned(),
        Key::StartAtBoot => vm.start_at_boot.map_or_else(String::new, |wish| wish.to_string()),
        Key::BootOrder => vm.boot_order.map_or_else(String::new, |wish| wish.to_string()),
        Key::BootDelay => vm.boot_delay.map_or_else(String::new, |wish| wish.to_string()),
        Key::Protected => vm.protected.map_or_else(String::new, |wish| wish.to_string()),
        Key::DependsOn => vm.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Key::NetworkConfig => vm.network_config.as_ref().map_or_else(String::new, ToString::to_string),
        Key::UserConfig => vm.user_config.as_ref().map_or_else(String::new, ToString::to_string),
        // Features and volumes are told by their actions, the id by the heading.
        // How phoenix waits is nothing that the VM has.
        Key::Features | Key::Volumes | Key::VmId | Key::Timeouts | Key::CloudInitErrors | Key::IsTemplate => {
            String::new()
        }
    }
}

/// What a VM has for a key that stands for one value of it, as text; `None`: it has none, or the key is of another kind.
pub(super) fn present(live: &VmObserved, key: Key) -> Option<String> {
    Some(match key {
        Key::OsType => live.os_type.clone().unwrap_or_else(|| "other".to_owned()),
        Key::CpuSockets => live.cpu_sockets.to_string(),
        Key::CpuCores => live.cpu_cores.to_string(),
        Key::MemoryMb => live.memory_mb.to_string(),
        Key::BootDiskSizeGb => gib(live.boot_disk.as_ref()?.size?),
        Key::BootDiskStorage => live.boot_disk.as_ref()?.storage.clone(),
        Key::NetworkBridge => live.net0.as_ref()?.bridge.clone()?,
        Key::NetworkModel => live.net0.as_ref()?.model.clone(),
        Key::VmName => live.name.clone(),
        Key::Description => live.description.clone(),
        Key::Tags => live.tags.join(", "),
        Key::StartAtBoot => live.onboot.to_string(),
        Key::Protected => live.protection.to_string(),
        Key::BootOrder => live.startup_number("order")?.to_string(),
        Key::BootDelay => live.startup_number("up")?.to_string(),
        _ => return None,
    })
}

/// What is to be known of the size of a disk that an image becomes.
const UNKNOWN_SIZE: &str = "the image's size is not known yet; a larger one is refused";

/// All values of a VM that is to be made, in table order. Its name stands in the heading.
pub(super) fn new_values(vm: &DesiredVm, template: Option<String>) -> Vec<Change> {
    let mut template = template;
    Key::ALL
        .into_iter()
        .filter(|key| *key != Key::VmName)
        .map(|key| Change {
            new: wish(vm, key),
            note: match key {
                Key::TemplateName => template.take().unwrap_or_default(),
                Key::BootDiskSizeGb if vm.cloud_image.is_some() => UNKNOWN_SIZE.to_owned(),
                _ => String::new(),
            },
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

/// What waits for a restart since an earlier change: options of Proxmox, and what only a guest that boots reads.
pub(super) fn waiting(live: &VmObserved) -> Vec<Waiting> {
    let unread = cloud_init::is_unread(live).then(|| Waiting {
        option: "cloud-init".to_owned(),
        active: Some("the values of its last boot".to_owned()),
        pending: Some("newer ones".to_owned()),
    });
    let options = live.pending.iter().map(|(option, PendingChange { active, pending })| Waiting {
        option: option.clone(),
        active: active.clone(),
        pending: pending.clone(),
    });
    options.chain(unread).collect()
}

/// Device of a boot disk that is smaller than wished.
///
/// That of a VM which was taken over may fill its last GiB in part: no key can say that, and it is no reason to grow it.
fn too_small<'o>(vm: &DesiredVm, live: &'o VmObserved) -> Option<&'o str> {
    let disk = live.boot_disk.as_ref()?;
    let size = disk.size.filter(|size| *size < wanted_bytes(vm))?;
    let uuid = live.uuid.as_deref().unwrap_or_default();
    let taken_over = vm.adopt.as_ref().is_some_and(|adopt| adopt.eq_ignore_ascii_case(uuid));
    let rounded = size.div_ceil(crate::model::GIB) == u64::from(vm.boot_disk_size_gb);
    (!(taken_over && rounded)).then_some(disk.device.as_str())
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
