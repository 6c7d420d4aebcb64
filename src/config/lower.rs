//! File to model: defaults merged, tags and texts normalised.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::defaults::{HOST_PATH, MOUNT_POINT, TEMPLATE_NAME};
use super::inherited::Inherited;
use super::lexis::trimmed;
use super::names::{self, Ids};
use super::networks;
use super::normal::{
    feature, image, network, normal_description, normal_tags, proxmox_options, timeouts, user, volume,
};
use super::raw::{Raw, RawHypervisor, RawProfiles, RawVm};
use crate::model::{
    CloudImage, CloudInitErrors, Desired, DesiredVm, Feature, Key, NetworkConfig, NetworkModel, NfsShare, Origin,
    Origins, OsType, PersistentStorage, ProxmoxValue, Ready, Scripts, Settings, Timeouts, UserConfig, VmId, Volume,
    proxmox,
};

/// Makes what the planner works with. The file has passed every check; a VM without id or name cannot occur and would
/// be left out.
pub(super) fn lower(raw: Raw, scripts: Scripts) -> Desired {
    let ids = names::ids(&raw.virtual_machines);
    let values = |vm: RawVm| Values::of(vm, &scripts, &ids);
    let profiles = raw.profiles.into_iter().map(|(name, vm)| (name, values(vm))).collect();
    let mut inherited = Inherited::new(values(raw.vm_defaults.unwrap_or_default()), profiles, Values::over);
    let named = raw.virtual_machines.into_iter().filter_map(|mut vm| {
        let (id, name) = (vm.vm_id?, vm.vm_name.take()?);
        let adopt = vm.adopt.take().map(|uuid| uuid.to_ascii_lowercase());
        let is_template = vm.is_template.take();
        let shared = inherited.by(vm.profile.take().as_ref().map_or(&[][..], RawProfiles::names));
        let mut vm = merged(VmId::try_from(id).ok()?, name, values(vm), shared);
        if let Some(is_template) = is_template {
            vm.origins.note(Key::IsTemplate, Origin::Vm);
            vm.is_template = is_template;
        }
        let template = ids.get(&vm.template_name.to_ascii_lowercase()).filter(|_| vm.cloud_image.is_none()).copied();
        Some(DesiredVm { adopt, template, ..vm })
    });
    let mut vms: Vec<DesiredVm> = named.collect();
    let defaults = merged(VmId::LOWEST, String::new(), Values::default(), inherited.by(&[]));
    vms.sort_by_key(|vm| vm.vm_id);
    let settings = settings(raw.hypervisor.unwrap_or_default());
    let mut defaults = defaults;
    if let Some(tag) = &settings.project_tag {
        vms.iter_mut().chain([&mut defaults]).for_each(|vm| {
            vm.tags = normal_tags(std::mem::take(&mut vm.tags).into_iter().chain([tag.clone()]).collect());
            vm.project_tag = Some(tag.clone());
        });
    }
    Desired { settings, vms, defaults, scripts }
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

/// The bridge of a card where the file names none.
const NETWORK_BRIDGE: &str = "vmbr0";

/// What one object says of a VM, or several one over the other, in the words of the model.
#[derive(Default, Clone)]
struct Values {
    /// The profile that says a key, or a part of one, where one does and not `vm_defaults`.
    profiles: BTreeMap<Named, Arc<str>>,
    template_name: Option<String>,
    os_type: Option<OsType>,
    cpu_sockets: Option<u32>,
    cpu_cores: Option<u32>,
    memory_mb: Option<u32>,
    boot_disk_size_gb: Option<u32>,
    boot_disk_storage: Option<String>,
    network_bridge: Option<String>,
    network_model: Option<NetworkModel>,
    features: Option<Vec<Feature>>,
    volumes: Option<Vec<Volume>>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    full_clone: Option<bool>,
    started: Option<bool>,
    start_at_boot: Option<bool>,
    boot_order: Option<u32>,
    boot_delay: Option<u32>,
    protected: Option<bool>,
    depends_on: Option<Vec<VmId>>,
    timeouts: Option<Timeouts>,
    cloud_init_errors: Option<CloudInitErrors>,
    ready: Option<Ready>,
    network_config: Option<NetworkConfig>,
    user_config: Option<UserConfig>,
    cloud_image: Option<CloudImage>,
    /// `None` takes an inherited value away.
    proxmox: Option<BTreeMap<&'static str, Option<String>>>,
    boot_disk_options: Option<networks::Parts>,
    networks: Option<networks::Cards>,
}

impl Values {
    fn of(raw: RawVm, scripts: &Scripts, ids: &Ids) -> Self {
        // The first card has its bridge and its model either here or there.
        let first = raw.networks.as_ref().and_then(|cards| cards.get("net0")?.as_ref());
        Self {
            profiles: BTreeMap::new(),
            template_name: raw.template_name,
            os_type: raw.os_type,
            cpu_sockets: raw.cpu_sockets,
            cpu_cores: raw.cpu_cores,
            memory_mb: raw.memory_mb,
            boot_disk_size_gb: raw.boot_disk_size_gb,
            boot_disk_storage: raw.boot_disk_storage,
            network_bridge: raw.network_bridge.or_else(|| first.and_then(|card| card.bridge.clone())),
            network_model: raw.network_model.or_else(|| first.and_then(|card| card.model)),
            features: raw.features.map(|names| names.iter().map(|name| feature(name, scripts)).collect()),
            volumes: raw.volumes.map(|list| list.into_iter().map(volume).collect()),
            description: raw.description.map(|text| normal_description(&text)),
            tags: raw.tags.map(normal_tags),
            full_clone: raw.full_clone,
            started: raw.started,
            start_at_boot: raw.start_at_boot,
            boot_order: raw.boot_order,
            boot_delay: raw.boot_delay,
            protected: raw.protected,
            depends_on: raw.depends_on.map(|list| names::named(&list, ids)),
            timeouts: raw.timeouts.map(|raw| timeouts(&raw)),
            cloud_init_errors: raw.cloud_init_errors,
            ready: raw.ready,
            network_config: raw.network_config.map(network),
            user_config: raw.user_config.map(|raw| user(&raw)),
            cloud_image: raw.cloud_image.map(|raw| image(&raw)),
            proxmox: raw.proxmox.map(|options| proxmox_options(&options)),
            boot_disk_options: raw.boot_disk_options,
            networks: raw.networks,
        }
    }
}

/// What a profile says: a key, or the options of Proxmox that are merged one by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Key(Key),
    Option(&'static str),
}

impl Values {
    /// What a profile says over what is said before it.
    fn over(self, base: Self, name: &Arc<str>) -> Self {
        let mut profiles = base.profiles;
        // A profile's own template wins over an image from before it.
        let image = base.cloud_image.filter(|_| self.template_name.is_none());
        let options = self.proxmox.iter().flatten().map(|(option, _)| *option);
        let slots = self.networks.iter().flat_map(BTreeMap::keys);
        let cards = slots.flat_map(|slot| [proxmox::card(slot), proxmox::address(slot)]).flatten();
        let options: Vec<&str> = options.chain(cards.map(|option| option.name)).collect();
        profiles.extend(options.into_iter().map(|option| (Named::Option(option), Arc::clone(name))));
        macro_rules! first {
            ($key:ident, $own:expr, $base:expr) => {
                first!($key, $own, $base, |own, _| own)
            };
            ($key:ident, $own:expr, $base:expr, $both:expr) => {
                match ($own, $base) {
                    (None, base) => base,
                    (Some(own), base) => {
                        profiles.insert(Named::Key(Key::$key), Arc::clone(name));
                        let both: fn(_, _) -> _ = $both;
                        Some(match base {
                            Some(base) => both(own, base),
                            None => own,
                        })
                    }
                }
            };
        }
        Self {
            template_name: first!(TemplateName, self.template_name, base.template_name),
            os_type: first!(OsType, self.os_type, base.os_type),
            cpu_sockets: first!(CpuSockets, self.cpu_sockets, base.cpu_sockets),
            cpu_cores: first!(CpuCores, self.cpu_cores, base.cpu_cores),
            memory_mb: first!(MemoryMb, self.memory_mb, base.memory_mb),
            boot_disk_size_gb: first!(BootDiskSizeGb, self.boot_disk_size_gb, base.boot_disk_size_gb),
            boot_disk_storage: first!(BootDiskStorage, self.boot_disk_storage, base.boot_disk_storage),
            network_bridge: first!(NetworkBridge, self.network_bridge, base.network_bridge),
            network_model: first!(NetworkModel, self.network_model, base.network_model),
            features: first!(Features, self.features, base.features),
            volumes: first!(Volumes, self.volumes, base.volumes),
            description: first!(Description, self.description, base.description),
            tags: first!(Tags, self.tags, base.tags),
            full_clone: first!(FullClone, self.full_clone, base.full_clone),
            started: first!(Started, self.started, base.started),
            start_at_boot: first!(StartAtBoot, self.start_at_boot, base.start_at_boot),
            boot_order: first!(BootOrder, self.boot_order, base.boot_order),
            boot_delay: first!(BootDelay, self.boot_delay, base.boot_delay),
            protected: first!(Protected, self.protected, base.protected),
            depends_on: first!(DependsOn, self.depends_on, base.depends_on),
            timeouts: first!(Timeouts, self.timeouts, base.timeouts),
            cloud_init_errors: first!(CloudInitErrors, self.cloud_init_errors, base.cloud_init_errors),
            ready: first!(Ready, self.ready, base.ready),
            network_config: first!(NetworkConfig, self.network_config, base.network_config),
            user_config: first!(UserConfig, self.user_config, base.user_config),
            cloud_image: first!(CloudImage, self.cloud_image, image),
            proxmox: first!(Proxmox, self.proxmox, base.proxmox, all),
            boot_disk_options: first!(BootDiskOptions, self.boot_disk_options, base.boot_disk_options, all),
            networks: first!(Networks, self.networks, base.networks, networks::all),
            profiles,
        }
    }
}

/// Members of two maps; those of the first count.
fn all<K: Ord, V>(own: BTreeMap<K, V>, mut base: BTreeMap<K, V>) -> BTreeMap<K, V> {
    base.extend(own);
    base
}

/// Names the profile where one says what is not the VM's own.
fn of_profiles(mut vm: DesiredVm, profiles: &BTreeMap<Named, Arc<str>>) -> DesiredVm {
    for (said, name) in profiles {
        let origin = || Origin::Profile(Arc::clone(name));
        let named = |value: &mut ProxmoxValue| {
            if value.origin == Origin::VmDefaults {
                value.origin = origin();
            }
        };
        match said {
            Named::Key(key) => {
                if vm.origins.of(*key) == Origin::VmDefaults {
                    vm.origins.note(*key, origin());
                }
                vm.boot_disk_options.iter_mut().filter(|_| *key == Key::BootDiskOptions).for_each(named);
            }
            Named::Option(option) => {
                vm.proxmox.get_mut(option).into_iter().chain(vm.networks.get_mut(option)).for_each(named);
            }
        }
    }
    vm
}

/// Merges one VM; its own values win, lists as a whole.
fn merged(vm_id: VmId, vm_name: String, own: Values, shared: &Values) -> DesiredVm {
    // A VM's own template wins over an image of all VMs.
    let shared_image = shared.cloud_image.clone().filter(|_| own.template_name.is_none());
    let mut origins = Origins::default();
    let bridge = own.network_bridge.as_ref().or(shared.network_bridge.as_ref()).map_or(NETWORK_BRIDGE, String::as_str);
    let model = own.network_model.or(shared.network_model).unwrap_or(NetworkModel::Virtio);
    let networks = networks::cards(own.networks.as_ref(), shared.networks.as_ref(), bridge, model);
    let boot_disk_options = networks::boot_disk(own.boot_disk_options.as_ref(), shared.boot_disk_options.as_ref());
    for (key, is_own) in
        [(Key::Networks, own.networks.is_some()), (Key::BootDiskOptions, own.boot_disk_options.is_some())]
    {
        origins.note(key, if is_own { Origin::Vm } else { Origin::VmDefaults });
    }
    origins.note(Key::VmId, Origin::Vm);
    origins.note(Key::VmName, Origin::Vm);
    let vm = DesiredVm {
        vm_id,
        vm_name,
        adopt: None,
        template: None,
        is_template: false,
        project_tag: None,
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
            || "local-zfs".to_owned(),
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
        full_clone: pick(&mut origins, Key::FullClone, own.full_clone, shared.full_clone.as_ref(), || true),
        started: pick(&mut origins, Key::Started, own.started, shared.started.as_ref(), || true),
        start_at_boot: pick_any(&mut origins, Key::StartAtBoot, own.start_at_boot, shared.start_at_boot),
        boot_order: pick_any(&mut origins, Key::BootOrder, own.boot_order, shared.boot_order),
        boot_delay: pick_any(&mut origins, Key::BootDelay, own.boot_delay, shared.boot_delay),
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
        network_config: pick_any(&mut origins, Key::NetworkConfig, own.network_config, shared.network_config.clone())
            .filter(|wish| *wish != NetworkConfig::default()),
        user_config: pick_any(&mut origins, Key::UserConfig, own.user_config, shared.user_config.clone())
            .filter(|wish| *wish != UserConfig::default()),
        cloud_image: pick_any(&mut origins, Key::CloudImage, own.cloud_image, shared_image),
        proxmox: options_of(&mut origins, own.proxmox, shared.proxmox.as_ref()),
        boot_disk_options,
        networks,
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

/// Takes the first value there is and notes where it came from.
fn pick<T: Clone>(
    origins: &mut Origins,
    key: Key,
    own: Option<T>,
    shared: Option<&T>,
    built_in: impl FnOnce() -> T,
) -> T {
    let (value, origin) = match (own, shared) {
        (Some(own), _) => (own, Origin::Vm),
        (None, Some(shared)) => (shared.clone(), Origin::VmDefaults),
        (None, None) => (built_in(), Origin::BuiltIn),
    };
    origins.note(key, origin);
    value
}

/// Takes the first value there is, if there is one, and notes where it came from.
fn pick_any<T: Clone>(origins: &mut Origins, key: Key, own: Option<T>, shared: Option<T>) -> Option<T> {
    pick(origins, key, own.map(Some), shared.map(Some).as_ref(), || None)
}
