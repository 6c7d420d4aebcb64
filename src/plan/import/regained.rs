//! What a VM of ours that the file lost was made from and is told by cloud-init, as far as its record, the VM and the
//! rest of the file still say it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::diag::Diagnostic;
use crate::model::{
    Address, CloudData, CloudImage, DataPart, Desired, DesiredVm, NetworkConfig, Record, Secret, Snippet, SshKey,
    Stretched, UserConfig, is_kept, is_kept_as_digest, is_noted, kept,
};
use crate::observed::options::{PASSWORD, PASSWORD_OPTION, custom_volume};
use crate::observed::{Observed, VmObserved};
use crate::plan::{codes, drift};

/// The part of a record for the SSH keys of the user.
const SSH_KEYS: &str = "user_config.ssh_authorized_keys";

/// The declared VMs, and what they all have.
fn declared(desired: &Desired) -> impl Iterator<Item = &DesiredVm> {
    std::iter::once(&desired.defaults).chain(desired.vms.iter().map(AsRef::as_ref))
}

/// Says what was applied to a VM and the file does not say any more, so that no entry can.
pub(super) fn lost(live: &VmObserved, record: Option<&Record>, desired: &Desired) -> Vec<Diagnostic> {
    let notice = |what: &str, hint: &str| Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id);
    let mut found = Vec::new();
    if record.is_some_and(|record| !record.image.is_empty() && image(record, desired).is_none()) {
        let what = "made from an image that the file no longer names";
        found.push(notice(what, "put `cloud_image` into its entry: a VM that is lost is made from it again"));
    }
    let told: Vec<&str> = ["ciuser", "cipassword", "ipconfig0", "nameserver", "searchdomain"]
        .into_iter()
        .filter(|option| record.is_none() && live.options.get(option).is_some())
        .chain((record.is_none() && !live.cloud_init.ssh_keys.is_empty()).then_some("sshkeys"))
        .collect();
    if !told.is_empty() {
        let what =
            format!("what cloud-init gives its guest stays as it is, and is not in its entry: {}", told.join(", "));
        let hint =
            "put it into `network_config` and `user_config`: a VM that is lost and made again gets it from there";
        found.push(notice(&what, hint));
    }
    for (slot, name) in record.iter().flat_map(|record| &record.imported) {
        if live.options.get(slot).is_some() && disk_image(name, desired).is_none() {
            let what = format!("{slot} is a copy of an image that the file no longer names");
            found.push(notice(&what, "put `import_from` into its disk: a VM that is lost gets it again"));
        }
    }
    if record.is_some_and(|record| record.applied.get(drift::DEPENDS_ON).is_some_and(|ids| is_kept_as_digest(ids))) {
        let what = "it waits for more VMs than its record can name";
        found.push(notice(what, "put `depends_on` into its entry"));
    }
    if was_applied(record, SSH_KEYS) && keys(live, desired).is_none() {
        let what = "the SSH keys stay as they are: the file no longer has them";
        found.push(notice(what, "put `ssh_authorized_keys` into its `user_config` to look after them again"));
    }
    let set = live.options.get(PASSWORD_OPTION).is_some() && was_applied(record, PASSWORD);
    if set && record.and_then(|record| password(live, record, desired)).is_none() {
        let what = "its password is not written: no secret that the file names has the same value";
        found.push(notice(what, "put `password` into its `user_config`, or the next apply takes it away"));
    }
    found
}

/// The image that a VM was made from, where the file names it: a record has only its digest.
pub(super) fn image<'d>(record: &Record, desired: &'d Desired) -> Option<&'d CloudImage> {
    let mut known = declared(desired).filter_map(|vm| vm.cloud_image.as_ref());
    known.find(|image| !record.image.is_empty() && is_noted(&record.image, &image.name()))
}

/// The image that a further disk is a copy of, where the file names it. `name`: what the record says of it.
pub(super) fn disk_image<'d>(name: &str, desired: &'d Desired) -> Option<&'d CloudImage> {
    let disks = declared(desired).flat_map(|vm| vm.disks.values());
    disks.filter_map(|disk| disk.import_from.as_ref()).find(|image| is_noted(name, &image.name()))
}

/// An image as the entry of a further disk has it.
pub(super) fn disk_image_value(image: &CloudImage) -> Value {
    if image.digest().is_none() { json!(image.source) } else { image_value(image) }
}

/// An image as an entry has it.
pub(super) fn image_value(image: &CloudImage) -> Value {
    let mut value = json!({ "source": image.source });
    if let Some(digest) = image.digest() {
        value[image.digest_kind().1] = json!(digest);
    }
    value
}

/// Whether phoenix applied a part of a key, as the record knows it.
fn was_applied(record: Option<&Record>, part: &str) -> bool {
    record.is_some_and(|record| record.applied.contains_key(part))
}

/// The volume of phoenix's own snippet that gives a VM of ours something whole.
fn own_snippet(live: &VmObserved, record: &Record, part: DataPart) -> Option<String> {
    let volume = custom_volume(live, part)?;
    Snippet::parse(&volume)?.is_of(&record.project, live.id).then_some(volume)
}

/// What phoenix gave a VM whole, as an entry has it, where its node has the snippet.
pub(super) fn data(live: &VmObserved, record: &Record, part: DataPart, observed: &Observed) -> Option<String> {
    let volume = own_snippet(live, record, part)?;
    observed
        .nodes
        .get(&live.node)?
        .snippets
        .get(&volume)?
        .text()
        .filter(|text| !text.is_empty())
        .map(CloudData::escaped)
}

/// Says what phoenix gave a VM whole and no entry can have, because the node has the snippet no more, or secrets stand in
/// it.
pub(super) fn lost_data(live: &VmObserved, record: &Record, observed: &Observed) -> Vec<Diagnostic> {
    let lost = |part: DataPart| {
        let volume = own_snippet(live, record, part)?;
        if data(live, record, part, observed).is_some() {
            return None;
        }
        let key = part.key().name();
        let has_secrets = Snippet::parse(&volume).is_some_and(|snippet| snippet.has_secrets);
        let why = if has_secrets { "secrets stand in it" } else { "the node no longer has the snippet" };
        let what = format!("its `{key}` cannot be written: {why}");
        let hint = format!("put `{key}` into its entry, or the next apply takes it away");
        Some(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id))
    };
    DataPart::ALL.into_iter().filter_map(lost).collect()
}

/// The network of a VM, as far as phoenix made it so; `None`: nothing was asked for.
pub(super) fn network(live: &VmObserved, record: Option<&Record>) -> Option<NetworkConfig> {
    let now = &live.cloud_init;
    let address = |v6: bool, part: &str| {
        // One that was taken away on purpose is none on purpose.
        let was_none = record.and_then(|record| record.applied.get(part)).is_some_and(String::is_empty);
        Some(now.address(v6)).filter(|address| address.is_none() == was_none && was_applied(record, part))
    };
    let text = |text: &String, part: &str| (!text.is_empty() && was_applied(record, part)).then(|| text.clone());
    let config = NetworkConfig {
        ip: address(false, "network_config.ip"),
        ip6: address(true, "network_config.ip6"),
        nameserver: text(&now.nameserver, "network_config.nameserver"),
        searchdomain: text(&now.searchdomain, "network_config.searchdomain"),
    };
    (config != NetworkConfig::default()).then_some(config)
}

/// A network as an entry has it.
pub(super) fn network_value(config: &NetworkConfig) -> Value {
    let mut value = Map::new();
    let mut add = |key: &str, text: Option<&str>| value.extend(text.map(|text| (key.to_owned(), json!(text))));
    for (ip, gw, address) in [("ip", "gw", &config.ip), ("ip6", "gw6", &config.ip6)] {
        add(ip, address.as_ref().map(Address::word));
        add(gw, address.as_ref().and_then(|address| address.gw.as_deref()));
    }
    add("nameserver", config.nameserver.as_deref());
    add("searchdomain", config.searchdomain.as_deref());
    Value::Object(value)
}

/// The user of a VM, as far as phoenix made it so; `None`: nothing was asked for. Of its keys only the
/// fingerprints are known: they come back where the rest of the file has them all.
pub(super) fn user(live: &VmObserved, record: Option<&Record>, desired: &Desired) -> Option<UserConfig> {
    let name = &live.cloud_init.user;
    let named = !name.is_empty() && was_applied(record, "user_config.username");
    let config = UserConfig {
        username: named.then(|| name.clone()),
        password: record.and_then(|record| password(live, record, desired)),
        ssh_authorized_keys: was_applied(record, SSH_KEYS).then(|| keys(live, desired)).flatten(),
    };
    (config != UserConfig::default()).then_some(config)
}

/// The secret that phoenix gave a VM as its password, where the file names it and its value is at hand.
fn password(live: &VmObserved, record: &Record, desired: &Desired) -> Option<Secret> {
    let known = record.applied.get(PASSWORD).filter(|_| live.options.get(PASSWORD_OPTION).is_some())?;
    let mut stretched = Stretched::default();
    let secrets = declared(desired).filter_map(|vm| vm.user_config.as_ref()?.password.as_ref());
    secrets
        .map(|secret| {
            let mut secret = secret.clone();
            secret.seal(&record.project, live.id, &mut stretched);
            secret
        })
        .find(|secret| secret.digest().is_some_and(|digest| is_kept(known, &kept(digest))))
}

/// The SSH keys of a VM, where the file has them all.
fn keys(live: &VmObserved, desired: &Desired) -> Option<Vec<SshKey>> {
    let users = declared(desired).filter_map(|vm| vm.user_config.as_ref());
    let keys = users.flat_map(|user| user.ssh_authorized_keys.iter().flatten());
    let known: BTreeMap<String, &SshKey> = keys.map(|key| (key.fingerprint(), key)).collect();
    live.cloud_init.ssh_keys.iter().map(|key| known.get(key).map(|key| (*key).clone())).collect()
}

/// A user as an entry has it.
pub(super) fn user_value(config: &UserConfig) -> Value {
    let mut value = Map::new();
    value.extend(config.username.as_ref().map(|name| ("username".to_owned(), json!(name))));
    value.extend(config.password.as_ref().map(|secret| ("password".to_owned(), json!(secret))));
    let keys = config.ssh_authorized_keys.as_ref();
    let lines = keys.map(|keys| keys.iter().map(SshKey::line).collect::<Vec<_>>());
    value.extend(lines.map(|lines| ("ssh_authorized_keys".to_owned(), json!(lines))));
    Value::Object(value)
}
