//! Values of the file in the words of the model, each normalised.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lexis::{image_path, trimmed};
use super::raw::{RawCloudImage, RawNetworkConfig, RawTimeouts, RawUserConfig, RawVolume};
use crate::model::{
    Address, CloudImage, Feature, NetworkConfig, Scripts, SshKey, Timeouts, UserConfig, Volume, proxmox,
};

/// What an object says of options of Proxmox.
pub(super) fn proxmox_options(raw: &BTreeMap<String, serde_json::Value>) -> BTreeMap<&'static str, Option<String>> {
    let read = |(name, value): (&String, &serde_json::Value)| {
        let option = proxmox::option(name)?;
        Some((option.name, if value.is_null() { None } else { Some(option.read(value).ok()?) }))
    };
    raw.iter().filter_map(read).collect()
}

/// The feature of a name, sharing the text with its script.
pub(super) fn feature(name: &str, scripts: &Scripts) -> Feature {
    let name = scripts.features.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
    Feature { name }
}

pub(super) fn volume(raw: RawVolume) -> Volume {
    let path = |written: Option<String>| written.map_or_else(String::new, |path| trimmed(&path).to_owned());
    Volume { share: raw.share, server: raw.server, path: path(raw.path), mount_point: path(raw.mount_point) }
}

pub(super) fn timeouts(raw: &RawTimeouts) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        guest_agent: raw.guest_agent.unwrap_or(default.guest_agent),
        cloud_init: raw.cloud_init.unwrap_or(default.cloud_init),
        feature: raw.feature.unwrap_or(default.feature),
    }
}

pub(super) fn network(raw: RawNetworkConfig) -> NetworkConfig {
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
pub(super) fn normal_address(text: &str) -> String {
    if text == Address::NONE {
        return String::new();
    }
    let prefix = text.split_once('/').and_then(|(ip, prefix)| Some((ip, prefix.parse::<u8>().ok()?)));
    prefix.map_or_else(|| text.to_owned(), |(ip, prefix)| format!("{ip}/{prefix}"))
}

pub(super) fn image(raw: &RawCloudImage) -> CloudImage {
    let source = raw.source.as_deref().unwrap_or_default();
    let hex = |digest: &Option<String>| digest.as_deref().map(str::to_ascii_lowercase);
    CloudImage { source: image_path(source).to_owned(), sha256: hex(&raw.sha256), sha512: hex(&raw.sha512) }
}

pub(super) fn user(raw: &RawUserConfig) -> UserConfig {
    let keys = |list: &Vec<String>| list.iter().filter_map(|key| SshKey::parse(key).ok()).collect();
    UserConfig { username: raw.username.clone(), ssh_authorized_keys: raw.ssh_authorized_keys.as_ref().map(keys) }
}

/// White space at the end does not count: Proxmox adds a line break of its own.
pub(super) fn normal_description(text: &str) -> String {
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
