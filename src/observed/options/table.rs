//! The rows of plain values.

use std::borrow::Cow;

use super::disks::{fills_last, growing, moving};
use super::edit::Edit;
use super::row::{Kept, Row};
use super::taking::{NO_CARDS, Taking, at_once, at_restart};
use super::value::{Value, Wish};
use super::{data, named};
use crate::model::{ActionKind, DesiredVm, Disruption, GIB, Key, OsType};
use crate::observed::{Net, PropertyString, VmObserved};

/// What a change of Proxmox's agent flag is called; no key of the file sets it.
pub const AGENT: &str = "guest_agent";

/// What keys of the file stand for, in the order of the specification's table.
pub(super) static VALUES: &[Row] = &[
    Row {
        read: |live| Some(Value::text(live.os_type.as_deref().unwrap_or(OsType::Other.as_str()))),
        wish: |vm, _| Wish::Value(Value::text(vm.os_type.as_str())),
        write: |_, value, edit| put(edit, "ostype", value),
        uptake: |taking| at_restart(taking, "the machine type cannot change while the VM runs"),
        ..Row::of(Key::OsType, &["ostype"])
    },
    Row {
        read: |live| Some(Value::Number(live.cpu_sockets.into())),
        wish: |vm, _| Wish::Value(Value::Number(vm.cpu_sockets.into())),
        write: |_, value, edit| put(edit, "sockets", value),
        uptake: |taking| at_restart(taking, "sockets cannot change while the VM runs"),
        ..Row::of(Key::CpuSockets, &["sockets"])
    },
    Row {
        read: |live| Some(Value::Number(live.cpu_cores.into())),
        wish: |vm, _| Wish::Value(Value::Number(vm.cpu_cores.into())),
        write: |_, value, edit| put(edit, "cores", value),
        uptake: |taking| at_restart(taking, "cores cannot change while the VM runs"),
        ..Row::of(Key::CpuCores, &["cores"])
    },
    Row {
        read: |live| Some(Value::Number(live.memory_mb)),
        wish: |vm, _| Wish::Value(Value::Number(vm.memory_mb.into())),
        write: |_, value, edit| put(edit, "memory", value),
        uptake: |taking| {
            let hot = taking.live.hotplug.contains("memory");
            match taking.plugs_more_memory() {
                // The guest may leave it offline (recorded), and has all of it after a restart.
                true if !taking.restart => at_once(taking, "plugged in while it runs"),
                true => at_restart(taking, "plugged in while it runs, in use after the restart at the latest"),
                false if hot => at_restart(taking, "Proxmox may hot-plug it"),
                false => at_restart(taking, "memory hotplug is off"),
            }
        },
        ..Row::of(Key::MemoryMb, &["memory"])
    },
    Row {
        step: ActionKind::ResizeDisk,
        read: |live| Some(Value::Bytes(live.boot_disk.as_ref()?.size?)),
        wish: disk_size,
        uptake: disk_grows,
        ..Row::of(Key::BootDiskSizeGb, &[])
    },
    Row {
        step: ActionKind::MoveDisk,
        read: |live| Some(Value::text(&live.boot_disk.as_ref()?.storage)),
        // A disk that is not there does not move.
        wish: |vm, live| match live {
            Some(live) if live.boot_disk.is_none() => Wish::Leave,
            _ => Wish::Value(Value::text(&vm.boot_disk_storage)),
        },
        uptake: disk_moves,
        ..Row::of(Key::BootDiskStorage, &[])
    },
    Row {
        read: |live| Some(Value::text(live.net0.as_ref()?.bridge.as_ref()?)),
        wish: |vm, _| Wish::Value(Value::text(&vm.network_bridge)),
        write: rewire,
        uptake: connected,
        ..Row::of(Key::NetworkBridge, &["net0"])
    },
    Row {
        read: |live| Some(Value::text(&live.net0.as_ref()?.model)),
        wish: |vm, _| Wish::Value(Value::text(vm.network_model.as_str())),
        write: rewire,
        uptake: plugged,
        ..Row::of(Key::NetworkModel, &["net0"])
    },
    Row {
        read: |live| Some(Value::text(&live.name)),
        wish: |vm, _| Wish::Value(Value::text(&vm.vm_name)),
        write: |_, value, edit| put(edit, "name", value),
        uptake: |taking| {
            let told = taking.live.cloud_init.drive.is_some() && !data::replaces_host_name(taking.desired, taking.live);
            let note =
                "cloud-init gives the guest its new host name when it boots next, and makes new SSH host keys then";
            if told {
                (at_restart(taking, "").0, Cow::Borrowed(note))
            } else {
                at_once(taking, "the guest keeps its host name")
            }
        },
        ..Row::of(Key::VmName, &["name"])
    },
    Row {
        read: |live| Some(Value::text(&live.description)),
        wish: |vm, _| Wish::Value(Value::text(vm.description.trim_end())),
        write: |vm, _, edit| edit.describe(&vm.description),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::Description, &["description"])
    },
    Row {
        read: |live| Some(Value::Words(&live.tags)),
        wish: |vm, _| Wish::Value(Value::Words(&vm.tags)),
        write: |vm, _, edit| edit.put("tags", vm.tags.join(";")),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::Tags, &["tags"])
    },
    Row {
        step: ActionKind::SetPool,
        read: |live| Some(Value::text(live.pool.as_deref()?)),
        wish: |vm, _| match vm.pool.as_deref() {
            None => Wish::Leave,
            Some("") => Wish::Unset,
            Some(pool) => Wish::Value(Value::text(pool)),
        },
        // A clone is in no pool, so that a new one lacks what is not said.
        inherited: |_, live| live.pool.is_some(),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::Pool, &[])
    },
    Row {
        step: ActionKind::SetHa,
        read: |live| Some(Value::Text(Cow::Owned(live.ha.as_ref()?.text()))),
        wish: looked_after,
        uptake: |taking| {
            let leaves = taking.desired.ha.is_none();
            at_once(taking, if leaves { "it leaves the HA manager: phoenix put it there" } else { "" })
        },
        ..Row::of(Key::Ha, &[])
    },
    Row {
        read: |live| Some(Value::Switch(live.onboot)),
        wish: |vm, _| Wish::some(vm.start_at_boot.map(Value::Switch)),
        inherited: |_, live| live.onboot,
        write: |_, value, edit| switch(edit, "onboot", value),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::StartAtBoot, &["onboot"])
    },
    Row {
        read: |live| Some(Value::Switch(live.protection)),
        wish: |vm, _| Wish::some(vm.protected.map(Value::Switch)),
        inherited: |_, live| live.protection,
        write: |_, value, edit| switch(edit, "protection", value),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::Protected, &["protection"])
    },
    Row {
        read: |live| Some(Value::Number(live.startup_number("order")?.into())),
        wish: |vm, _| Wish::some(vm.boot_order.map(|order| Value::Number(order.into()))),
        inherited: |_, live| live.startup_number("order").is_some(),
        write: |_, value, edit| startup(edit, "order", value),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::BootOrder, &["startup"])
    },
    Row {
        read: |live| Some(Value::Number(live.startup_number("up")?.into())),
        wish: |vm, _| Wish::some(vm.boot_delay.map(|delay| Value::Number(delay.into()))),
        inherited: |_, live| live.startup_number("up").is_some(),
        write: |_, value, edit| startup(edit, "up", value),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::BootDelay, &["startup"])
    },
    Row {
        read: |live| Some(Value::Number(live.startup_number("down")?.into())),
        wish: |vm, _| Wish::some(vm.shutdown_timeout.map(|seconds| Value::Number(seconds.into()))),
        inherited: |_, live| live.startup_number("down").is_some(),
        write: |_, value, edit| startup(edit, "down", value),
        uptake: |taking| at_once(taking, ""),
        ..Row::of(Key::ShutdownTimeout, &["startup"])
    },
];

/// What phoenix sees to by itself.
pub(super) static OWN: &[Row] = &[Row {
    read: |live| Some(Value::text(if live.agent { "on" } else { "off" })),
    wish: |vm, _| if vm.asks_agent() { Wish::Value(Value::text("on")) } else { Wish::Leave },
    write: |_, _, edit| edit.put("agent", agent_enabled(edit.get("agent"))),
    uptake: |taking| (at_restart(taking, "").0, Cow::Borrowed("phoenix reaches the guest through it")),
    kept: Kept::Always("on"),
    ..Row::own(AGENT, &["agent"])
}];

/// Sets an option to a value's own text.
fn put(edit: &mut Edit<'_>, option: &str, value: Option<&Value<'_>>) {
    edit.put(option, value.map(ToString::to_string).unwrap_or_default());
}

/// Sets an option to 1, or deletes it.
fn switch(edit: &mut Edit<'_>, option: &str, value: Option<&Value<'_>>) {
    edit.put(option, if value == Some(&Value::Switch(true)) { "1" } else { "" });
}

/// Sets a number of `startup`; the others stay.
fn startup(edit: &mut Edit<'_>, part: &str, value: Option<&Value<'_>>) {
    let mut startup = PropertyString::parse(edit.get("startup"));
    for (key, _) in startup.parts.iter_mut().filter(|(key, _)| key.is_empty()) {
        "order".clone_into(key);
    }
    match value {
        Some(value) => startup.set(part, &value.to_string()),
        None => startup.remove(part),
    }
    edit.put("startup", startup.to_string());
}

/// Gives net0 the desired bridge and model; its MAC address and its other options stay.
fn rewire(vm: &DesiredVm, _: Option<&Value<'_>>, edit: &mut Edit<'_>) {
    let (model, bridge) = (vm.network_model.as_str(), vm.network_bridge.as_str());
    // One that waits for its removal stays the card that it is.
    let now = Some(edit.get("net0")).filter(|now| !now.is_empty()).or_else(|| named::leaving("net0", edit.live));
    let net = now.and_then(Net::parse).map_or_else(|| Net::new(model, bridge), |net| net.rewired(bridge, model));
    edit.put("net0", net.to_string());
}

/// Another bridge alone only moves the node's end of the cable (recorded).
fn connected<'a>(taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let model = taking.live.net0.as_ref().map(|net| net.model.as_str());
    let stays = model == Some(taking.desired.network_model.as_str());
    if stays && taking.live.running && taking.capabilities.plugs_network {
        (Disruption::Live, Cow::Borrowed("the card is connected to the other bridge; the guest keeps its address"))
    } else {
        plugged(taking)
    }
}

/// Another card takes the place of the one that is there.
fn plugged<'a>(taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    if !taking.capabilities.plugs_network {
        at_restart(taking, "network cards cannot change while the VM runs")
    } else if !taking.plugs_cards() {
        at_restart(taking, NO_CARDS)
    } else if taking.live.running && taking.live.net0.is_none() && named::leaving("net0", taking.live).is_none() {
        at_once(taking, "the card is plugged in, with a new MAC address")
    } else if taking.live.running {
        (Disruption::Network, Cow::Borrowed("net0 is unplugged and plugged again; its MAC address stays"))
    } else {
        (Disruption::None, Cow::Borrowed(""))
    }
}

/// The desired size; nothing is asked of a disk that is as large already: none ever shrinks.
///
/// That of a VM which was taken over may fill its last GiB in part: no key can say that, and it is no reason to grow
/// it.
fn disk_size<'a>(vm: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
    let size = u64::from(vm.boot_disk_size_gb) * GIB;
    let wished = Wish::Value(Value::Bytes(size));
    let Some(live) = live else { return wished };
    let Some(now) = live.boot_disk.as_ref().and_then(|disk| disk.size).filter(|now| *now < size) else {
        return Wish::Leave;
    };
    if fills_last(vm.boot_disk_size_gb, Some(now), vm, live) { Wish::Leave } else { wished }
}

/// What a disk that grows takes of its storage, for good.
fn disk_grows<'a>(taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let (disruption, nothing) = at_once(taking, "");
    let Some(disk) = &taking.live.boot_disk else { return (disruption, nothing) };
    let size_gb = taking.desired.boot_disk_size_gb;
    (disruption, Cow::Owned(growing(&disk.device, disk.size.unwrap_or_default(), size_gb)))
}

/// What happens to a disk that moves, and to what it leaves behind.
fn disk_moves<'a>(taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let Some(disk) = &taking.live.boot_disk else { return at_once(taking, "") };
    (at_once(taking, "").0, Cow::Owned(moving(disk, "", taking)))
}

/// `agent` switched on, its other options kept.
fn agent_enabled(options: &str) -> String {
    let mut agent = PropertyString::parse(options);
    agent.parts.retain(|(key, _)| !key.is_empty() && key != "enabled");
    agent.parts.insert(0, ("enabled".to_owned(), "1".to_owned()));
    agent.to_string()
}

/// How the HA manager is to look after a VM.
fn looked_after<'a>(vm: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
    let now = live.and_then(|live| Some((live, live.ha.as_ref()?)));
    match (&vm.ha, now) {
        // The start, or the stop, that the VM needs makes it so.
        (Some(wish), Some((live, now))) if now.acts() && live.running != vm.started && now.switches_to(wish) => {
            Wish::Leave
        }
        (Some(wish), _) => Wish::Value(Value::Text(Cow::Owned(wish.text()))),
        // It leaves only what phoenix put there.
        (None, Some((live, _))) if live.record.valid().is_some_and(|record| record.ha) => Wish::Unset,
        (None, _) => Wish::Leave,
    }
}
