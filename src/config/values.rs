//! What an object of the file says of VMs, in the words of the model: texts normalised, nothing merged but profiles.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::Texts;
use super::ha::HaSaid;
use super::lexis::trimmed;
use super::names::{self, Ids};
use super::raw::{RawNetworkConfig, RawNodes, RawTimeouts, RawUserConfig, RawVm, RawVolume};
use super::{cdrom, disks, networks, secrets};
use crate::model::{
    Address, CloudImage, CloudInitErrors, DesiredVm, Feature, Key, NetworkConfig, NetworkModel, Nodes, Origin, OsType,
    ProxmoxValue, Ready, Scripts, SshKey, Timeouts, UserConfig, VmId, Volume, proxmox,
};

/// What one object says of a VM, or several one over the other, in the words of the model.
#[derive(Default, Clone)]
pub(super) struct Values {
    /// The profile that says a key, or a part of one, where one does and not `vm_defaults`.
    pub(super) profiles: BTreeMap<Named, Arc<str>>,
    pub(super) node: Option<Nodes>,
    pub(super) template_name: Option<String>,
    pub(super) os_type: Option<OsType>,
    pub(super) cpu_sockets: Option<u32>,
    pub(super) cpu_cores: Option<u32>,
    pub(super) memory_mb: Option<u32>,
    pub(super) boot_disk_size_gb: Option<u32>,
    pub(super) boot_disk_storage: Option<String>,
    pub(super) network_bridge: Option<String>,
    pub(super) network_model: Option<NetworkModel>,
    pub(super) features: Option<Vec<Feature>>,
    pub(super) volumes: Option<Vec<Volume>>,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) pool: Option<String>,
    pub(super) ha: Option<HaSaid>,
    pub(super) full_clone: Option<bool>,
    pub(super) started: Option<bool>,
    pub(super) start_at_boot: Option<bool>,
    pub(super) boot_order: Option<u32>,
    pub(super) boot_delay: Option<u32>,
    pub(super) shutdown_timeout: Option<u32>,
    pub(super) protected: Option<bool>,
    pub(super) depends_on: Option<Vec<VmId>>,
    pub(super) timeouts: Option<Timeouts>,
    pub(super) cloud_init_errors: Option<CloudInitErrors>,
    pub(super) ready: Option<Ready>,
    pub(super) network_config: Option<NetworkConfig>,
    pub(super) user_config: Option<UserConfig>,
    /// Empty: there is to be none.
    pub(super) user_data: Option<Arc<str>>,
    pub(super) vendor_data: Option<Arc<str>>,
    pub(super) cloud_image: Option<CloudImage>,
    /// `None` takes an inherited value away.
    pub(super) proxmox: Option<BTreeMap<&'static str, Option<String>>>,
    pub(super) boot_disk_options: Option<networks::Parts>,
    pub(super) networks: Option<networks::Cards>,
    pub(super) disks: Option<disks::Disks>,
    pub(super) cdrom: Option<cdrom::Drives>,
    pub(super) boot_devices: Option<Vec<String>>,
}

impl Values {
    pub(super) fn of(raw: RawVm, texts: &Texts, ids: &Ids) -> Self {
        // The first card has its bridge and its model either here or there.
        let first = raw.networks.as_ref().and_then(|cards| cards.get("net0")?.as_ref());
        Self {
            profiles: BTreeMap::new(),
            node: raw.node.map(RawNodes::meant),
            template_name: raw.template_name,
            os_type: raw.os_type,
            cpu_sockets: raw.cpu_sockets,
            cpu_cores: raw.cpu_cores,
            memory_mb: raw.memory_mb,
            boot_disk_size_gb: raw.boot_disk_size_gb,
            boot_disk_storage: raw.boot_disk_storage,
            network_bridge: raw.network_bridge.or_else(|| first.and_then(|card| card.bridge.clone())),
            network_model: raw.network_model.or_else(|| first.and_then(|card| card.model)),
            features: raw.features.map(|names| names.iter().map(|name| feature(name, &texts.scripts)).collect()),
            volumes: raw.volumes.map(|list| list.into_iter().map(volume).collect()),
            description: raw.description.map(|text| normal_description(&text)),
            tags: raw.tags.map(normal_tags),
            pool: raw.pool,
            ha: raw.ha.map(HaSaid::from),
            full_clone: raw.full_clone,
            started: raw.started,
            start_at_boot: raw.start_at_boot,
            boot_order: raw.boot_order,
            boot_delay: raw.boot_delay,
            shutdown_timeout: raw.shutdown_timeout,
            protected: raw.protected,
            depends_on: raw.depends_on.map(|list| names::named(&list, ids)),
            timeouts: raw.timeouts.map(|raw| timeouts(&raw)),
            cloud_init_errors: raw.cloud_init_errors,
            ready: raw.ready,
            network_config: raw.network_config.map(network),
            user_config: raw.user_config.map(|raw| user(&raw, texts)),
            user_data: raw.user_data.map(|raw| texts.data.text(&raw)),
            vendor_data: raw.vendor_data.map(|raw| texts.data.text(&raw)),
            cloud_image: raw.cloud_image.map(|raw| disks::image(&raw)),
            proxmox: raw.proxmox.map(|options| proxmox_options(&options)),
            boot_disk_options: raw.boot_disk_options,
            networks: raw.networks,
            disks: raw.disks,
            cdrom: raw.cdrom,
            boot_devices: raw.boot_devices,
        }
    }
}

/// What a profile says: a key, or the options of Proxmox that are merged one by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    Key(Key),
    Option(&'static str),
}

impl Values {
    /// What a profile says over what is said before it.
    pub(super) fn over(self, base: Self, name: &Arc<str>) -> Self {
        let mut profiles = base.profiles;
        // A profile's own template wins over an image from before it.
        let image = base.cloud_image.filter(|_| self.template_name.is_none());
        let options = self.proxmox.iter().flatten().map(|(option, _)| *option);
        let slots = self.networks.iter().flat_map(BTreeMap::keys);
        let cards = slots.flat_map(|slot| [proxmox::card(slot), proxmox::address(slot)]).flatten();
        let further = self.disks.iter().flat_map(BTreeMap::keys).filter_map(|slot| proxmox::disk(slot));
        let drives = self.cdrom.iter().flat_map(BTreeMap::keys).filter_map(|slot| proxmox::cdrom(slot));
        let cards = cards.chain(further).chain(drives);
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
            node: first!(Node, self.node, base.node),
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
            pool: first!(Pool, self.pool, base.pool),
            ha: first!(Ha, self.ha, base.ha),
            full_clone: first!(FullClone, self.full_clone, base.full_clone),
            started: first!(Started, self.started, base.started),
            start_at_boot: first!(StartAtBoot, self.start_at_boot, base.start_at_boot),
            boot_order: first!(BootOrder, self.boot_order, base.boot_order),
            boot_delay: first!(BootDelay, self.boot_delay, base.boot_delay),
            shutdown_timeout: first!(ShutdownTimeout, self.shutdown_timeout, base.shutdown_timeout),
            protected: first!(Protected, self.protected, base.protected),
            depends_on: first!(DependsOn, self.depends_on, base.depends_on),
            timeouts: first!(Timeouts, self.timeouts, base.timeouts),
            cloud_init_errors: first!(CloudInitErrors, self.cloud_init_errors, base.cloud_init_errors),
            ready: first!(Ready, self.ready, base.ready),
            network_config: first!(NetworkConfig, self.network_config, base.network_config),
            user_config: first!(UserConfig, self.user_config, base.user_config),
            user_data: first!(UserData, self.user_data, base.user_data),
            vendor_data: first!(VendorData, self.vendor_data, base.vendor_data),
            cloud_image: first!(CloudImage, self.cloud_image, image),
            proxmox: first!(Proxmox, self.proxmox, base.proxmox, all),
            boot_disk_options: first!(BootDiskOptions, self.boot_disk_options, base.boot_disk_options, all),
            networks: first!(Networks, self.networks, base.networks, networks::all),
            disks: first!(Disks, self.disks, base.disks, disks::all),
            cdrom: first!(Cdrom, self.cdrom, base.cdrom, all),
            boot_devices: first!(BootDevices, self.boot_devices, base.boot_devices),
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
pub(super) fn of_profiles(mut vm: DesiredVm, profiles: &BTreeMap<Named, Arc<str>>) -> DesiredVm {
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
                vm.boot_disk_options
                    .as_deref_mut()
                    .into_iter()
                    .filter(|_| *key == Key::BootDiskOptions)
                    .for_each(named);
                vm.boot_devices.as_deref_mut().into_iter().filter(|_| *key == Key::BootDevices).for_each(named);
            }
            Named::Option(option) => {
                let disk = vm.disks.get_mut(option).map(|disk| &mut disk.options);
                let others = vm.networks.get_mut(option).into_iter().chain(disk).chain(vm.cdrom.get_mut(option));
                vm.proxmox.get_mut(option).into_iter().chain(others).for_each(named);
            }
        }
    }
    vm
}

/// What an object says of options of Proxmox.
fn proxmox_options(raw: &BTreeMap<String, serde_json::Value>) -> BTreeMap<&'static str, Option<String>> {
    let read = |(name, value): (&String, &serde_json::Value)| {
        let option = proxmox::option(name)?;
        Some((option.name, if value.is_null() { None } else { Some(option.read(value).ok()?) }))
    };
    raw.iter().filter_map(read).collect()
}

/// The feature of a name, sharing the text with its script.
fn feature(name: &str, scripts: &Scripts) -> Feature {
    let name = scripts.features.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
    Feature { name }
}

fn volume(raw: RawVolume) -> Volume {
    let path = |written: Option<String>| written.map_or_else(String::new, |path| trimmed(&path).to_owned());
    Volume { share: raw.share, server: raw.server, path: path(raw.path), mount_point: path(raw.mount_point) }
}

fn timeouts(raw: &RawTimeouts) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        guest_agent: raw.guest_agent.unwrap_or(default.guest_agent),
        cloud_init: raw.cloud_init.unwrap_or(default.cloud_init),
        feature: raw.feature.unwrap_or(default.feature),
    }
}

fn network(raw: RawNetworkConfig) -> NetworkConfig {
    let address = |ip: Option<String>, gw| ip.map(|ip| Address { ip: normal_address(&ip), gw });
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    NetworkConfig {
        ip: address(raw.ip, raw.gw),
        ip6: address(raw.ip6, raw.gw6),
        nameserver: raw.nameserver.map(words),
        searchdomain: raw.searchdomain.map(words),
    }
}

/// A prefix length without zeros in front; nothing for no address.
fn normal_address(text: &str) -> String {
    if text == Address::NONE {
        return String::new();
    }
    let prefix = text.split_once('/').and_then(|(ip, prefix)| Some((ip, prefix.parse::<u8>().ok()?)));
    prefix.map_or_else(|| text.to_owned(), |(ip, prefix)| format!("{ip}/{prefix}"))
}

fn user(raw: &RawUserConfig, texts: &Texts) -> UserConfig {
    let keys = |list: &Vec<String>| list.iter().filter_map(|key| SshKey::parse(key).ok()).collect();
    UserConfig {
        username: raw.username.clone(),
        password: raw.password.as_ref().and_then(secrets::name).map(|name| texts.secrets.get(name)),
        ssh_authorized_keys: raw.ssh_authorized_keys.as_ref().map(keys),
    }
}

/// White space at the end does not count: Proxmox adds a line break of its own.
fn normal_description(text: &str) -> String {
    text.trim_end().to_owned()
}

/// Tags as Proxmox stores them: lower case, sorted, each once.
pub(super) fn normal_tags(mut tags: Vec<String>) -> Vec<String> {
    for tag in &mut tags {
        tag.make_ascii_lowercase();
    }
    tags.sort_unstable();
    tags.dedup();
    tags
}
