//! What cloud-init tells a guest, and the image it comes from.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::MAX_ITEMS;
use crate::config::limits::MAX_VARIABLE;
use crate::config::{MAX_DATA_BYTES, lexis};

/// Sets the network of the guest's first card, by cloud-init.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawNetworkConfig {
    /// Sets the IPv4 address with its prefix length, or `dhcp`; `none` takes it away. Without `gw` it has no gateway.
    #[schemars(title = "IPv4 address", regex(pattern = lexis::IPV4), length(max = 18), example = &"192.0.2.10/24")]
    pub(in crate::config) ip: Option<String>,
    /// Sets the IPv4 gateway; only with a fixed address in `ip`.
    #[schemars(title = "IPv4 gateway", regex(pattern = lexis::GATEWAY), length(max = 15), example = &"192.0.2.1")]
    pub(in crate::config) gw: Option<String>,
    /// Sets the IPv6 address with its prefix length, or `dhcp` or `auto`; `none` takes it away. Without `gw6` it has no
    /// gateway.
    #[schemars(title = "IPv6 address", regex(pattern = lexis::IPV6), length(max = 49), example = &"2001:db8::10/64")]
    pub(in crate::config) ip6: Option<String>,
    /// Sets the IPv6 gateway; only with a fixed address in `ip6`.
    #[schemars(title = "IPv6 gateway", regex(pattern = lexis::GATEWAY6), length(max = 45), example = &"2001:db8::1")]
    pub(in crate::config) gw6: Option<String>,
    /// Sets the DNS servers: addresses, separated by spaces.
    #[schemars(title = "DNS servers", regex(pattern = lexis::ADDRESSES), length(max = 512))]
    #[schemars(example = &"192.0.2.53 192.0.2.54")]
    pub(in crate::config) nameserver: Option<String>,
    /// Sets the DNS search domains, separated by spaces.
    #[schemars(title = "DNS search domains", regex(pattern = lexis::DOMAINS), length(max = 1024))]
    #[schemars(example = &"example.org")]
    pub(in crate::config) searchdomain: Option<String>,
}

/// Sets the user of the guest, by cloud-init.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawUserConfig {
    /// Names the user; the image's own default user gets this name. Linux guests take `a-z`, `0-9`, `_` and `-`
    /// everywhere; other names are up to the guest.
    #[schemars(title = "User name", regex(pattern = lexis::USER), length(max = lexis::MAX_USER), example = &"admin")]
    pub(in crate::config) username: Option<String>,
    /// Gives the user a password, by the name of a secret; one of the file itself is refused. Proxmox stores a hash of
    /// it. While it is written, it stands on the command line of `qm` on the node, for about a second, where anyone who
    /// is logged in there can see it.
    #[schemars(title = "Password", example = json!({ "env": "PHOENIX_SECRET_WEB" }))]
    pub(in crate::config) password: Option<RawSecret>,
    /// Lists public keys of OpenSSH, each as in the `.pub` file, that let in as this user. An empty list removes those
    /// that are there.
    #[schemars(title = "SSH keys", inner(regex(pattern = lexis::SSH_KEY), length(max = lexis::MAX_SSH_KEY)))]
    #[schemars(length(max = MAX_ITEMS))]
    #[schemars(example = [EXAMPLE_KEY])]
    pub(in crate::config) ssh_authorized_keys: Option<Vec<String>>,
}

/// Names a secret: an environment variable, or a file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSecret {
    /// Names an environment variable of phoenix whose value is the secret: `PHOENIX_SECRET_` and then capital letters,
    /// digits and `_`. No other variable is read.
    #[schemars(title = "Environment variable", regex(pattern = SECRET_VARIABLE), length(max = MAX_VARIABLE))]
    #[schemars(example = &"PHOENIX_SECRET_WEB")]
    pub(in crate::config) env: Option<String>,
    /// Names a file whose content is the secret, without the line break at its end; a relative path starts at this
    /// file, or at the directory that `--secrets-dir` names, and none leads out of there.
    #[schemars(title = "File", length(min = 1, max = 1024), example = &"secrets/web")]
    pub(in crate::config) file: Option<String>,
}

/// Gives a text for cloud-init: a file, or the text itself. An empty object gives none, whatever `vm_defaults` says.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawCloudData {
    /// Names a file with the text; a relative path starts at this file, and none leads out of its directory.
    #[schemars(title = "File", length(min = 1, max = 1024), example = &"cloud/web.yaml")]
    pub(in crate::config) file: Option<String>,
    /// Holds the text itself: `#cloud-config`, a script, or whatever else cloud-init reads. `${secret.NAME}` stands for the value of a
    /// secret of `secrets`, `$${` for `${`.
    #[schemars(title = "Text", length(min = 1, max = MAX_DATA_BYTES))]
    #[schemars(example = &"#cloud-config\nhostname: ${vm_name}\n")]
    pub(in crate::config) text: Option<String>,
}

/// Pattern of the name by which texts call a secret.
pub(crate) const SECRET_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";

/// Pattern of the variable of a secret.
pub(crate) const SECRET_VARIABLE: &str = "^PHOENIX_SECRET_[A-Z0-9_]+$";

/// A key whose private half does not exist.
const EXAMPLE_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk";
