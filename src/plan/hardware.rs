//! What the options of a VM ask of Proxmox and of the node: combinations that are refused, and what reaches into the
//! node.

use super::{Change, Scene, VmPlan, cards, cloud_init, codes, placement};
use crate::diag::Diagnostic;
use crate::model::proxmox::{self, bounds};
use crate::model::{ActionKind, DesiredVm, Outcome, VmId};
use crate::observed::options::{self, Wish};
use crate::observed::{ALLOW_FILE, PendingChange, VmObserved};

/// What is wrong with, or to be known of, the options of the VMs that a plan acts on.
pub(super) fn judge(vms: &[VmPlan], scene: &Scene<'_>, asked: &[String]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for vm in vms {
        let Some(declared) = scene.desired.vm(vm.vm) else { continue };
        let base = base(vm, declared, scene);
        found.extend(base.into_iter().flat_map(|base| cloud_init::overridden(declared, base, &vm.changes)));
        found.extend(base.and_then(|live| made_real(vm, declared, live)));
        for change in vm.changes.iter().filter(|change| !change.new.is_empty()) {
            found.extend(reaching(vm.vm, change, scene, asked));
        }
        let after = |name: &str| after(name, declared, base);
        let writes = |kind: ActionKind| vm.actions.iter().any(|action| action.kind == kind && action.outcome.acts());
        let takes = writes(ActionKind::Configure) || writes(ActionKind::Start) || writes(ActionKind::Restart);
        if takes && may_be_bounded(declared, base) {
            found.extend(bounded(declared, &after));
        }
        let ovmf = vm.changes.iter().any(|change| change.key == "proxmox.bios" && change.new == "ovmf");
        if ovmf && !declared.disks.contains_key("efidisk0") && after("efidisk0").is_none() {
            found.push(without_efi_disk(declared));
        }
        let boot = base.and_then(|base| base.boot_disk.as_ref()).map_or("scsi0", |disk| disk.device.as_str());
        found.extend(of_another_bus(vm, boot));
        found.extend(without_io_thread(vm, boot, &after));
    }
    found
}

/// Whether a VM has an option, or gets one, that bounds others: most have none.
fn may_be_bounded(desired: &DesiredVm, base: Option<&VmObserved>) -> bool {
    let bounds =
        |name: &str| ["balloon", "vcpus", "kvm", "hugepages", "hotplug"].contains(&name) || name.starts_with("numa");
    !desired.proxmox.is_empty() || base.is_some_and(|base| base.options.iter().any(|(name, _)| bounds(name)))
}

/// The VM as it is, or the template that it becomes a copy of.
fn base<'s>(vm: &VmPlan, desired: &DesiredVm, scene: &Scene<'s>) -> Option<&'s VmObserved> {
    match vm.outcome {
        Outcome::Create | Outcome::Recreate => cards::template(desired, scene),
        _ => scene.observed.vms.get(&vm.vm),
    }
}

/// An option as it will be; `None`: not set.
fn after(name: &str, desired: &DesiredVm, base: Option<&VmObserved>) -> Option<String> {
    match name {
        "cores" => return Some(desired.cpu_cores.to_string()),
        "sockets" => return Some(desired.cpu_sockets.to_string()),
        "memory" => return Some(desired.memory_mb.to_string()),
        _ => {}
    }
    let now = || base.and_then(|base| base.options.get(name)).map(ToOwned::to_owned);
    let Some(option) = proxmox::option(name) else { return now() };
    let row = options::rows_of(option.key, "").next()?;
    // A template's own record says nothing of its copies.
    let wish = match base {
        Some(live) if live.id == desired.vm_id => row.wished(desired, base),
        _ => row.becomes(desired, base),
    };
    match wish {
        Wish::Value(value) => Some(value.to_string()),
        Wish::Unset => None,
        Wish::Leave => now(),
    }
}

/// The key of the file that stands for an option.
fn key(option: &str) -> Option<&'static str> {
    let key = options::rows().find(|row| row.key.is_some() && row.options == [option]).map(|row| row.name);
    key.or_else(|| Some(proxmox::option(option)?.key))
}

/// Combinations that Proxmox refuses: told before a good VM is stopped for them, or a new one is half made.
/// A device that the file says nothing of stays as it is.
fn bounded(vm: &DesiredVm, after: &dyn Fn(&str) -> Option<String>) -> Vec<Diagnostic> {
    let is_foreign = |bound: &proxmox::Bound| {
        let of_device = bound.options.iter().any(|option| option.starts_with("hostpci"));
        of_device && !bound.options.iter().any(|option| vm.proxmox.contains_key(option.as_str()))
    };
    let problem = |bound: proxmox::Bound| {
        let when = match bound.when {
            proxmox::When::Set => "Proxmox refuses it",
            proxmox::When::Start => "the VM would not start",
        };
        let keys: Vec<&'static str> = bound.options.iter().filter_map(|option| key(option)).collect();
        let named: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let what = format!("{}: {when} ({})", bound.what, named.join(", "));
        Diagnostic { keys, ..Diagnostic::error(codes::BOUNDED, what).vm(vm.vm_id).hint(bound.hint) }
    };
    bounds(after).into_iter().filter(|bound| !is_foreign(bound)).map(problem).collect()
}

/// An option that gives a VM something of the node: refused unless the node's administrator, or the command line,
/// allows it.
fn reaching(vm: VmId, change: &Change, scene: &Scene<'_>, asked: &[String]) -> Option<Diagnostic> {
    let option = proxmox::option(change.key.strip_prefix(proxmox::PREFIX)?)?;
    let gets = option.reaches(&change.new)?;
    let node = scene.node(vm);
    let of = placement::called(node, scene.observed);
    let stem = option.name.trim_end_matches(|c: char| c.is_ascii_digit());
    let allows = |names: &[String]| names.iter().any(|name| name == option.name || name == stem);
    let what = format!("`{}` reaches into {of}: {gets}", change.key);
    Some(if allows(&node.allowed.host_options) || allows(asked) {
        Diagnostic::warning(codes::REACHES_NODE, what).vm(vm).about(change.key)
    } else {
        let json = serde_json::json!({ "host_options": [stem] });
        Diagnostic::error(codes::HOST_OPTION, what).vm(vm).about(change.key).hint(format!(
            "an administrator of the node allows it with {json} in {ALLOW_FILE} there, or for one run with \
             `--allow-host-option {stem}`"
        ))
    })
}

/// Says what others left waiting in a VM that is stopped: any write to it, and its start, makes that real (recorded).
fn made_real(vm: &VmPlan, declared: &DesiredVm, live: &VmObserved) -> Option<Diagnostic> {
    let touches = |kind| vm.actions.iter().any(|action| action.kind == kind && action.outcome.acts());
    let kinds = [ActionKind::Configure, ActionKind::Adopt, ActionKind::Record, ActionKind::Start];
    if live.running || live.id != vm.vm {
        return None;
    }
    // What the file wants, too, is no change of others, also where phoenix did not write it.
    let foreign = |(option, pends): &(&String, &PendingChange)| {
        let key = options::called(option, pends, Some(declared));
        key == **option || vm.changes.iter().any(|change| change.key == key)
    };
    let mut foreign = live.pending.iter().filter(foreign).peekable();
    foreign.peek()?;
    let shown = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.to_owned());
    let each = foreign.map(|(option, change)| {
        format!("`{option}` {} → {}", shown(&change.active, "(unset)"), shown(&change.pending, "(deleted)"))
    });
    let acts = kinds.into_iter().any(touches);
    let when = if acts { "this plan's first write" } else { "the next write to it" };
    let what = format!(
        "the VM is stopped, and changes made outside phoenix still wait: {}; Proxmox applies them with {when}, or when the VM starts",
        each.collect::<Vec<_>>().join(", ")
    );
    let hint = format!("to keep them from taking effect, take them back first: `qm set {} --revert OPTION`", vm.vm);
    let make = if acts { Diagnostic::warning } else { Diagnostic::notice };
    Some(make(codes::FOREIGN_PENDING, what).vm(vm.vm).hint(hint))
}

/// A VM with UEFI firmware and no disk for its variables.
fn without_efi_disk(vm: &DesiredVm) -> Diagnostic {
    let id = vm.vm_id;
    let what = "UEFI firmware without an EFI disk: what the firmware remembers is lost at each stop";
    let hint = "take a template with an EFI disk, or add one: `\"disks\": { \"efidisk0\": {} }`";
    Diagnostic::warning(codes::NO_EFI_DISK, what).vm(id).about("proxmox.bios").hint(hint)
}

/// Options that the boot disk cannot have on its bus, which only the VM or its template knows.
fn of_another_bus(vm: &VmPlan, boot: &str) -> Vec<Diagnostic> {
    let change = vm.changes.iter().find(|change| change.key == proxmox::BOOT_DISK);
    let names = change.into_iter().flat_map(|change| change.new.split(',')).filter_map(|part| part.split_once('='));
    let wrong = names.filter_map(|(name, _)| Some((name, proxmox::other_buses(boot, name)?)));
    let problem = |(name, buses): (&str, &[&str])| {
        let what = format!("the boot disk is {boot} and cannot have `{name}`: Proxmox refuses it");
        let hint =
            format!("`{name}` is for disks of {}: take it out for this VM with `\"{name}\": null`", buses.join(" or "));
        Diagnostic::error(codes::BOUNDED, what).vm(vm.vm).about(proxmox::BOOT_DISK).hint(hint)
    };
    wrong.map(problem).collect()
}

/// A disk that is to have an I/O thread of its own and gets none: only one controller of SCSI disks has them, and
/// Proxmox says so in the log of a start alone (recorded).
fn without_io_thread(vm: &VmPlan, boot: &str, after: &dyn Fn(&str) -> Option<String>) -> Option<Diagnostic> {
    const SINGLE: &str = "virtio-scsi-single";
    let asks = |change: &&Change| change.new.split(',').any(|part| part == "iothread=1");
    let mut asked = vm.changes.iter().filter(asks).filter_map(|change| match change.key {
        proxmox::BOOT_DISK => Some((change, boot)),
        key => Some((change, key.strip_prefix(proxmox::DISKS)?)),
    });
    let (change, slot) = asked.find(|(_, slot)| slot.starts_with("scsi"))?;
    if after("scsihw").as_deref() == Some(SINGLE) {
        return None;
    }
    let what = format!("`iothread` of {slot} does nothing: the SCSI controller of the VM is not `{SINGLE}`");
    let hint = format!("set `scsihw` of `proxmox` to `{SINGLE}`, or take `iothread` out");
    Some(Diagnostic::warning(codes::NO_IO_THREAD, what).vm(vm.vm).about(change.key).hint(hint))
}
