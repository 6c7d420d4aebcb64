//! File to model: defaults merged, tags and texts normalised.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::Texts;
use super::defaults::{HOST_PATH, MOUNT_POINT, NETWORK_BRIDGE, TEMPLATE_NAME};
use super::inherited::Inherited;
use super::lexis::trimmed;
use super::names;
use super::pick::{pick, pick_any, pick_boxed};
use super::raw::{Raw, RawHypervisor, RawProfiles, RawVm};
use super::values::{Values, normal_tags, of_profiles};
use super::{cdrom, data_text, disks, ha, networks};
use crate::model::{
    CloudInitErrors, Desired, DesiredVm, Key, NetworkConfig, NetworkModel, NfsShare, Origin, Origins, OsType,
    PersistentStorage, ProxmoxValue, Ready, Settings, Stretched, Timeouts, UserConfig, VmId,
};

/// Makes what the planner works with. The file has passed every check; a VM without id or name cannot occur and would
/// be left out.
pub(super) fn lower(raw: Raw, texts: Texts) -> Desired {
    let ids = names::ids(&raw.virtual_machines);
    let values = |vm: RawVm| Values::of(vm, &texts, &ids);
    let profiles = raw.profiles.into_iter().map(|(name, vm)| (name, values(vm))).collect();
    let mut inherited = Inherited::new(values(raw.vm_defaults.unwrap_or_default()), profiles, Values::over);
    let settings = settings(raw.hypervisor.unwrap_or_default());
    let mut stretched = Stretched::default();
    let mut vms = Vec::with_capacity(raw.virtual_machines.len());
    vms.extend(raw.virtual_machines.into_iter().filter_map(|mut vm| {
        let (id, name) = (vm.vm_id?, vm.vm_name.take()?);
        let adopt = vm.adopt.take().map(|uuid| uuid.to_ascii_lowercase());
        let is_template = vm.is_template.take();
        let shared = inherited.by(vm.profile.take().as_ref().map_or(&[][..], RawProfiles::names));
        let mut vm = merged(VmId::try_from(id).ok()?, name, values(vm), shared);
        if let Some(is_template) = is_template {
            vm.origins.note(Key::IsTemplate, Origin::Vm);
            vm.is_template = is_template;
        }
        vm.adopt = adopt;
        vm.template = ids.get(&vm.template_name.to_ascii_lowercase()).filter(|_| vm.cloud_image.is_none()).copied();
        tag(&mut vm, &settings);
        data_text::fill(&mut vm, &settings.project, (&texts.secrets, &mut stretched));
        let id = vm.vm_id;
        if let Some(secret) = vm.user_config.as_mut().and_then(|user| user.password.as_mut()) {
            secret.seal(&settings.project, id, &mut stretched);
        }
        Some(Arc::new(vm))
    }));
    vms.sort_by_key(|vm| vm.vm_id);
    let mut defaults = merged(VmId::LOWEST, String::new(), Values::default(), inherited.by(&[]));
    tag(&mut defaults, &settings);
    Desired { settings, vms, defaults, scripts: texts.scripts }
}

/// Gives a VM the project's tag, if there is one.
fn tag(vm: &mut DesiredVm, settings: &Settings) {
    if let Some(tag) = &settings.project_tag {
        vm.tags = normal_tags(std::mem::take(&mut vm.tags).into_iter().chain([tag.clone()]).collect());
        vm.project_tag = Some(tag.clone());
    }
}

fn settings(raw: RawHypervisor) -> Settings {
    let features_dir = raw.features_dir.unwrap_or_else(|| "features".to_owned());
    let storage = raw.persistent_storage.unwrap_or_default();
    let path = |written: Option<String>, default: &str| trimmed(written.as_deref().unwrap_or(default)).to_owned();
    Settings {
        target: raw.target,
        project_named: raw.project.is_some(),
        project: raw.project.unwrap_or_else(|| "default".to_owned()),
        features_dir,
        persistent_storage: PersistentStorage {
            host_path: path(storage.host_path, HOST_PATH),
            server: storage.server,
            mount_point: path(storage.mount_point, MOUNT_POINT),
        },
        never_together: normal_tags(raw.never_together),
        never_same_node: normal_tags(raw.never_same_node),
        memory_limit_percent: percent(raw.memory_limit.unwrap_or(1.0)),
        project_tag: raw.project_tag.map(|tag| tag.to_ascii_lowercase()),
        nfs_shares: raw
            .nfs_shares
            .into_iter()
            .map(|(name, share)| {
                let share = NfsShare {
                    server: share.server.unwrap_or_default(),
                    export: path(share.export, "/"),
                    host_path: path(share.host_path, "/"),
                };
                (name, share)
            })
            .collect(),
    }
}

/// A share of something in whole percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema holds it between 0.1 and 10")]
fn percent(share: f64) -> u32 {
    (share.clamp(0.1, 10.0) * 100.0).round() as u32
}

/// The storage of disks where the file names none.
const BOOT_DISK_STORAGE: &str = "local-zfs";

/// The origins of what only a VM itself says.
fn of_its_own() -> Origins {
    let mut origins = Origins::default();
    origins.note(Key::VmId, Origin::Vm);
    origins.note(Key::VmName, Origin::Vm);
    origins
}

/// Merges one VM; its own values win, lists as a whole.
fn merged(vm_id: VmId, vm_name: String, own: Values, shared: &Values) -> DesiredVm {
    // A VM's own template wins over an image of all VMs.
    let shared_image = shared.cloud_image.clone().filter(|_| own.template_name.is_none());
    let mut origins = of_its_own();
    let bridge = own.network_bridge.as_ref().or(shared.network_bridge.as_ref()).map_or(NETWORK_BRIDGE, String::as_str);
    let model = own.network_model.or(shared.network_model).unwrap_or(NetworkModel::Virtio);
    let networks = networks::cards(own.networks.as_ref(), shared.networks.as_ref(), bridge, model);
    let storage = own.boot_disk_storage.as_deref().or(shared.boot_disk_storage.as_deref()).unwrap_or(BOOT_DISK_STORAGE);
    let further = disks::disks(own.disks.as_ref(), shared.disks.as_ref(), storage);
    let boot_disk_options = networks::boot_disk(own.boot_disk_options.as_ref(), shared.boot_disk_options.as_ref());
    let cdrom = cdrom::drives(own.cdrom.as_ref(), shared.cdrom.as_ref());
    let boot_devices = cdrom::boot_devices(own.boot_devices.as_deref(), shared.boot_devices.as_deref());
    for (key, is_own) in [
        (Key::Networks, own.networks.is_some()),
        (Key::Disks, own.disks.is_some()),
        (Key::Cdrom, own.cdrom.is_some()),
        (Key::BootDevices, own.boot_devices.is_some()),
        (Key::BootDiskOptions, own.boot_disk_options.is_some()),
    ] {
        origins.note(key, if is_own { Origin::Vm } else { Origin::VmDefaults });
    }
    let (ha, started) = ha::merged((own.ha, own.started), (shared.ha, shared.started), &mut origins);
    let vm = DesiredVm {
        vm_id,
        vm_name,
        adopt: None,
        template: None,
        is_template: false,
        project_tag: None,
        node: pick_any(&mut origins, Key::Node, own.node, shared.node.clone()),
        template_name: pick(&mut origins, Key::TemplateName, own.template_name, shared.template_name.as_ref(), || {
            TEMPLATE_NAME.to_owned()
        }),
        os_type: pick(&mut origins, Key::OsType, own.os_type, shared.os_type.as_ref(), || OsType::L26),
        cpu_sockets: pick(&mut origins, Key::CpuSockets, own.cpu_sockets, shared.cpu_sockets.as_ref(), || 1),
        cpu_cores: pick(&mut origins, Key::CpuCores, own.cpu_cores, shared.cpu_cores.as_ref(), || 2),
        memory_mb: pick(&mut origins, Key::MemoryMb, own.memory_mb, shared.memory_mb.as_ref(), || 4096),
        boot_disk_size_gb: pick(
            &mut origins,
            Key::BootDiskSizeGb,
            own.boot_disk_size_gb,
            shared.boot_disk_size_gb.as_ref(),
            || 50,
        ),
        boot_disk_storage: pick(
            &mut origins,
            Key::BootDiskStorage,
            own.boot_disk_storage,
            shared.boot_disk_storage.as_ref(),
            || BOOT_DISK_STORAGE.to_owned(),
        ),
        network_bridge: pick(
            &mut origins,
            Key::NetworkBridge,
            own.network_bridge,
            shared.network_bridge.as_ref(),
            || NETWORK_BRIDGE.to_owned(),
        ),
        network_model: pick(&mut origins, Key::NetworkModel, own.network_model, shared.network_model.as_ref(), || {
            NetworkModel::Virtio
        }),
        features: pick(&mut origins, Key::Features, own.features, shared.features.as_ref(), Vec::new),
        volumes: pick(&mut origins, Key::Volumes, own.volumes, shared.volumes.as_ref(), Vec::new),
        description: pick(&mut origins, Key::Description, own.description, shared.description.as_ref(), String::new),
        tags: pick(&mut origins, Key::Tags, own.tags, shared.tags.as_ref(), Vec::new),
        pool: pick_any(&mut origins, Key::Pool, own.pool, shared.pool.clone()),
        ha,
        full_clone: pick(&mut origins, Key::FullClone, own.full_clone, shared.full_clone.as_ref(), || true),
        started,
        start_at_boot: pick_any(&mut origins, Key::StartAtBoot, own.start_at_boot, shared.start_at_boot),
        boot_order: pick_any(&mut origins, Key::BootOrder, own.boot_order, shared.boot_order),
        boot_delay: pick_any(&mut origins, Key::BootDelay, own.boot_delay, shared.boot_delay),
        shutdown_timeout: pick_any(&mut origins, Key::ShutdownTimeout, own.shutdown_timeout, shared.shutdown_timeout),
        protected: pick_any(&mut origins, Key::Protected, own.protected, shared.protected),
        depends_on: pick(&mut origins, Key::DependsOn, own.depends_on, shared.depends_on.as_ref(), Vec::new),
        timeouts: pick(&mut origins, Key::Timeouts, own.timeouts, shared.timeouts.as_ref(), Timeouts::default),
        cloud_init_errors: pick(
            &mut origins,
            Key::CloudInitErrors,
            own.cloud_init_errors,
            shared.cloud_init_errors.as_ref(),
            || CloudInitErrors::Fail,
        ),
        ready: pick(&mut origins, Key::Ready, own.ready, shared.ready.as_ref(), || Ready::CloudInit),
        // An empty object wishes for nothing, whatever `vm_defaults` says.
        network_config: pick_boxed(&mut origins, Key::NetworkConfig, own.network_config, shared.network_config.clone())
            .filter(|wish| **wish != NetworkConfig::default()),
        user_config: pick_boxed(&mut origins, Key::UserConfig, own.user_config, shared.user_config.clone())
            .filter(|wish| **wish != UserConfig::default()),
        user_data: pick_any(&mut origins, Key::UserData, own.user_data, shared.user_data.clone())
            .and_then(|text| data_text::unfilled(&text)),
        vendor_data: pick_any(&mut origins, Key::VendorData, own.vendor_data, shared.vendor_data.clone())
            .and_then(|text| data_text::unfilled(&text)),
        cloud_image: pick_boxed(&mut origins, Key::CloudImage, own.cloud_image, shared_image),
        proxmox: options_of(&mut origins, own.proxmox, shared.proxmox.as_ref()),
        boot_disk_options: boot_disk_options.map(Box::new),
        networks,
        disks: further,
        cdrom,
        boot_devices: boot_devices.map(Box::new),
        origins,
    };
    of_profiles(vm, &shared.profiles)
}

/// Merges options of Proxmox one by one.
fn options_of(
    origins: &mut Origins,
    own: Option<BTreeMap<&'static str, Option<String>>>,
    shared: Option<&BTreeMap<&'static str, Option<String>>>,
) -> BTreeMap<&'static str, ProxmoxValue> {
    origins.note(Key::Proxmox, if own.is_some() { Origin::Vm } else { Origin::VmDefaults });
    let mut merged = BTreeMap::new();
    let shared = shared.into_iter().flatten().map(|(name, value)| (*name, value.clone(), Origin::VmDefaults));
    for (name, value, origin) in shared.chain(own.into_iter().flatten().map(|(name, value)| (name, value, Origin::Vm)))
    {
        match value {
            Some(value) => drop(merged.insert(name, ProxmoxValue { value, origin })),
            None => drop(merged.remove(name)),
        }
    }
    merged
}
