//! `vm_context.json`: what a feature script is told about its VM.

use std::sync::Arc;

use serde::Serialize;

use super::Mount;
use crate::model::{Address, DesiredVm, NetworkConfig};

/// Name of the file beside the scripts.
pub const CONTEXT_FILE: &str = "vm_context.json";

/// Version of the file's shape.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Context<'a> {
    schema_version: u32,
    vm_id: u32,
    vm_name: &'a str,
    template_name: &'a str,
    os_type: &'a str,
    cpu_sockets: u32,
    cpu_cores: u32,
    memory_mb: u32,
    boot_disk_size_gb: u32,
    boot_disk_storage: &'a str,
    network_bridge: &'a str,
    network_model: &'a str,
    features: Vec<&'a str>,
    volumes: Vec<ContextVolume<'a>>,
    description: &'a str,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    network_config: Option<ContextNetwork<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_config: Option<ContextUser<'a>>,
}

#[derive(Serialize)]
struct ContextNetwork<'a> {
    ip: Option<&'a str>,
    gw: Option<&'a str>,
    ip6: Option<&'a str>,
    gw6: Option<&'a str>,
    nameserver: Option<&'a str>,
    searchdomain: Option<&'a str>,
}

#[derive(Serialize)]
struct ContextUser<'a> {
    username: Option<&'a str>,
}

#[derive(Serialize)]
struct ContextVolume<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    server: &'a str,
    path: &'a str,
    mount_point: &'a str,
    channel: bool,
}

/// The file's text for a VM: the effective values (defaults merged, volumes resolved), no secrets. `template` is the
/// one that the VM was cloned from.
pub(super) fn vm_context(vm: &DesiredVm, template: &str, mounts: &[Arc<Mount>]) -> String {
    text(&context(vm, template, mounts))
}

/// What of the file's text is a reason to stage it anew: features in another order are none, and what an existing VM
/// was cloned from does not change.
pub(super) fn gist(vm: &DesiredVm, mounts: &[Arc<Mount>]) -> String {
    let mut context = context(vm, "", mounts);
    context.features.sort_unstable();
    text(&context)
}

fn context<'a>(vm: &'a DesiredVm, template_name: &'a str, mounts: &'a [Arc<Mount>]) -> Context<'a> {
    let DesiredVm {
        vm_id,
        vm_name,
        adopt: _,         // how the VM became ours is nothing to a script
        template_name: _, // an existing VM may have another one, which is given
        template: _,      // which VM of the file that is, neither
        is_template: _,   // a script is not to behave otherwise in a template
        cloud_image: _,   // what it was made from is nothing that it can change
        os_type,
        cpu_sockets,
        cpu_cores,
        memory_mb,
        boot_disk_size_gb,
        boot_disk_storage,
        network_bridge,
        network_model,
        features,
        volumes: _, // told resolved, as `mounts`
        description,
        tags,
        // How the node treats the VM is nothing to a script, and no reason to stage the file anew.
        pool: _,
        ha: _,
        full_clone: _,
        node: _,
        started: _,
        start_at_boot: _,
        boot_order: _,
        boot_delay: _,
        shutdown_timeout: _,
        protected: _,
        depends_on: _,
        timeouts: _,
        cloud_init_errors: _,
        ready: _,
        network_config,
        user_config,
        // What cloud-init was given, the guest sees for itself.
        user_data: _,
        vendor_data: _,
        project_tag: _, // it is one of the tags
        // What hardware the VM has, its guest sees for itself.
        proxmox: _,
        boot_disk_options: _,
        networks: _,
        disks: _,
        cdrom: _,
        boot_devices: _,
        origins: _, // where a value came from is nothing to a script
    } = vm;
    Context {
        schema_version: SCHEMA_VERSION,
        vm_id: vm_id.get(),
        vm_name,
        template_name,
        os_type: os_type.as_str(),
        cpu_sockets: *cpu_sockets,
        cpu_cores: *cpu_cores,
        memory_mb: *memory_mb,
        boot_disk_size_gb: *boot_disk_size_gb,
        boot_disk_storage,
        network_bridge,
        network_model: network_model.as_str(),
        features: features.iter().map(|feature| &*feature.name).collect(),
        volumes: mounts
            .iter()
            .map(|mount| ContextVolume {
                kind: "nfs",
                server: &mount.server,
                path: &mount.export,
                mount_point: &mount.mount_point,
                channel: mount.channel,
            })
            .collect(),
        description,
        tags,
        network_config: network_config.as_deref().map(network),
        user_config: user_config.as_ref().map(|user| ContextUser { username: user.username.as_deref() }),
    }
}

fn text(context: &Context<'_>) -> String {
    // Room for a usual VM, so that the text is not moved about while it grows.
    let mut text = Vec::with_capacity(1536);
    // Serialising plain strings and numbers cannot fail, and gives UTF-8.
    let written = serde_json::to_writer_pretty(&mut text, context);
    let mut text = String::from_utf8(text).unwrap_or_default();
    debug_assert!(written.is_ok() && !text.is_empty());
    text.push('\n');
    text
}

fn network(config: &NetworkConfig) -> ContextNetwork<'_> {
    let (ip, ip6) = (config.ip.as_ref(), config.ip6.as_ref());
    ContextNetwork {
        ip: ip.map(Address::word),
        gw: ip.and_then(|address| address.gw.as_deref()),
        ip6: ip6.map(Address::word),
        gw6: ip6.and_then(|address| address.gw.as_deref()),
        nameserver: config.nameserver.as_deref(),
        searchdomain: config.searchdomain.as_deref(),
    }
}
