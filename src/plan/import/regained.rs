//! What a VM of ours that the file lost was made from and is told by cloud-init, as far as its record, the VM and the
//! rest of the file still say it.

use std::cell::RefCell;
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

/// What begins the notice about what cloud-init gives a guest and its entry has not.
pub(super) const UNSAID: &str = "what cloud-init gives its guest stays as it is, and is not in its entry";

/// The declared VMs, and what they all have.
fn declared(desired: &Desired) -> impl Iterator<Item = &DesiredVm> {
    std::iter::once(&desired.defaults).chain(desired.vms.iter().map(AsRef::as_ref))
}

/// The file, and what it names of which the records of VMs have only digests, looked through once for all VMs.
pub(super) struct File<'d> {
    pub(super) desired: &'d Desired,
    /// The images by their names, in the order of the file and each once.
    images: Vec<(String, &'d CloudImage)>,
    /// The same, of further disks.
    disk_images: Vec<(String, &'d CloudImage)>,
    /// The keys by their fingerprints.
    keys: BTreeMap<String, &'d SshKey>,
    /// The secrets that are passwords, each once.
    secrets: Vec<&'d Secret>,
    stretched: RefCell<Stretched>,
}

impl<'d> File<'d> {
    pub(super) fn of(desired: &'d Desired) -> Self {
        let users = || declared(desired).filter_map(|vm| vm.user_config.as_deref());
        let mut secrets: Vec<&Secret> = Vec::new();
        for secret in users().filter_map(|user| user.password.as_ref()) {
            if !secrets.iter().any(|known| known.name() == secret.name()) {
                secrets.push(secret);
            }
        }
        let disks = declared(desired).flat_map(|vm| vm.disks.values());
        Self {
            desired,
            images: images_of(declared(desired).filter_map(|vm| vm.cloud_image.as_deref())),
            disk_images: images_of(disks.filter_map(|disk| disk.import_from.as_ref())),
            keys: users()
                .flat_map(|user| user.ssh_authorized_keys.iter().flatten())
                .map(|key| (key.fingerprint(), key))
                .collect(),
            secrets,
            stretched: RefCell::default(),
        }
    }

    /// The image that a VM was made from, where the file names it: a record has only its digest.
    pub(super) fn image(&self, record: &Record) -> Option<&'d CloudImage> {
        let of_record = |name: &str| !record.image.is_empty() && is_noted(&record.image, name);
        self.images.iter().find(|(name, _)| of_record(name)).map(|(_, image)| *image)
    }

    /// The image that a further disk is a copy of, where the file names it.
    pub(super) fn disk_image(&self, noted: &str) -> Option<&'d CloudImage> {
        self.disk_images.iter().find(|(name, _)| is_noted(noted, name)).map(|(_, image)| *image)
    }

    /// The secret that phoenix gave a VM of ours as its password, where the file names it and its value is at hand.
    fn password(&self, live: &VmObserved, record: &Record) -> Option<Secret> {
        let known = record.applied.get(PASSWORD).filter(|_| live.options.get(PASSWORD_OPTION).is_some())?;
        let sealed = |secret: &&Secret| {
            let mut secret = Secret::clone(secret);
            secret.seal(&self.desired.settings.project, live.id, &mut self.stretched.borrow_mut());
            secret
        };
        let fits = |secret: &Secret| secret.digest().is_some_and(|digest| is_kept(known, &kept(digest)));
        self.secrets.iter().map(sealed).find(fits)
    }

    /// The SSH keys of a VM, where the file has them all.
    fn keys(&self, live: &VmObserved) -> Option<Vec<SshKey>> {
        live.cloud_init.ssh_keys.iter().map(|key| self.keys.get(key).map(|key| (*key).clone())).collect()
    }
}

/// Images by their names, each once.
fn images_of<'d>(all: impl Iterator<Item = &'d CloudImage>) -> Vec<(String, &'d CloudImage)> {
    let mut images: Vec<(String, &CloudImage)> = Vec::new();
    for image in all {
        if !images.iter().any(|(_, known)| *known == image) {
            images.push((image.name(), image));
        }
    }
    images
}

/// Says what was applied to a VM and the file does not say any more, so that no entry can.
pub(super) fn lost(live: &VmObserved, record: Option<&Record>, file: &File<'_>) -> Vec<Diagnostic> {
    let notice = |what: &str, hint: &str| Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id);
    let mut found = Vec::new();
    if record.is_some_and(|record| !record.image.is_empty() && file.image(record).is_none()) {
        let what = "made from an image that the file no longer names";
        found.push(notice(what, "put `cloud_image` into its entry: a VM that is lost is made from it again"));
    }
    if record.is_none() {
        found.extend(unsaid(live, network(live, record).as_ref(), user(live, record, file).as_ref()));
    }
    for (slot, name) in record.iter().flat_map(|record| &record.imported) {
        if live.options.get(slot).is_some() && file.disk_image(name).is_none() {
            let what = format!("{slot} is a copy of an image that the file no longer names");
            found.push(notice(&what, "put `import_from` into its disk: a VM that is lost gets it again"));
        }
    }
    if record.is_some_and(|record| record.applied.get(drift::DEPENDS_ON).is_some_and(is_kept_as_digest)) {
        let what = "it waits for more VMs than its record can name";
        found.push(notice(what, "put `depends_on` into its entry"));
    }
    if was_applied(record, SSH_KEYS) && file.keys(live).is_none() {
        let what = "the SSH keys stay as they are: the file no longer has them";
        found.push(notice(what, "put `ssh_authorized_keys` into its `user_config` to look after them again"));
    }
    let set = live.options.get(PASSWORD_OPTION).is_some() && was_applied(record, PASSWORD);
    if set && record.and_then(|record| file.password(live, record)).is_none() {
        let what = "its password is not written: no secret that the file names has the same value";
        found.push(notice(what, "put `password` into its `user_config`, or the next apply takes it away"));
    }
    found
}

/// Says what cloud-init gives the guest of a VM that is to be taken over and its entry has not.
pub(super) fn unsaid(
    live: &VmObserved,
    network: Option<&NetworkConfig>,
    user: Option<&UserConfig>,
) -> Option<Diagnostic> {
    let in_network = |said: fn(&NetworkConfig) -> bool| network.is_some_and(said);
    let options = [
        ("ciuser", user.is_some_and(|user| user.username.is_some())),
        ("cipassword", false),
        ("ipconfig0", in_network(|config| config.ip.is_some() || config.ip6.is_some())),
        ("nameserver", in_network(|config| config.nameserver.is_some())),
        ("searchdomain", in_network(|config| config.searchdomain.is_some())),
    ];
    let lost = options.into_iter().filter(|(option, said)| !said && live.options.get(option).is_some());
    let keys = user.is_some_and(|user| user.ssh_authorized_keys.is_some());
    let lost: Vec<&str> = lost
        .map(|(option, _)| option)
        .chain((!keys && !live.cloud_init.ssh_keys.is_empty()).then_some("sshkeys"))
        .collect();
    let what = format!("{UNSAID}: {}", lost.join(", "));
    let hint = "put it into `network_config` and `user_config`: a VM that is lost and made again gets it from there";
    (!lost.is_empty()).then(|| Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id))
}

/// Whether what a VM that is to be taken over says to cloud-init reaches its guest: there is a drive, and no file takes
/// its place.
fn reaches(live: &VmObserved, part: &str) -> bool {
    let custom = live.options.get("cicustom").unwrap_or_default();
    live.cloud_init.drive.is_some() && !custom.split(',').any(|file| file.trim().starts_with(&format!("{part}=")))
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

/// The volume of phoenix's own snippet that gives a VM something whole; one that was given up keeps it.
fn own_snippet(live: &VmObserved, record: Option<&Record>, part: DataPart) -> Option<String> {
    let volume = custom_volume(live, part)?;
    let snippet = Snippet::parse(&volume)?;
    record.map_or(snippet.vm == live.id, |record| snippet.is_of(&record.project, live.id)).then_some(volume)
}

/// What phoenix gave a VM whole, as an entry has it, where its node has the snippet.
pub(super) fn data(live: &VmObserved, record: Option<&Record>, part: DataPart, observed: &Observed) -> Option<String> {
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

/// Says what a VM is given whole and no entry can have, because phoenix did not make it, the node has the snippet no
/// more, or secrets stand in it.
pub(super) fn lost_data(live: &VmObserved, record: Option<&Record>, observed: &Observed) -> Vec<Diagnostic> {
    let lost = |part: DataPart| {
        if data(live, record, part, observed).is_some() {
            return None;
        }
        let key = part.key().name();
        let Some(volume) = own_snippet(live, record, part) else {
            let volume = custom_volume(live, part)?;
            let what = format!(
                "its `{key}` is in `{volume}`, which phoenix did not write for it: it stays, and is not in the entry"
            );
            let hint = format!("to have a VM that is made anew get it, too, put its text into `{key}` of the entry");
            return Some(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id));
        };
        let has_secrets = Snippet::parse(&volume).is_some_and(|snippet| snippet.has_secrets);
        let why = if has_secrets { "secrets stand in it" } else { "the node no longer has the snippet" };
        let what = format!("its `{key}` cannot be written: {why}");
        let hint = match record {
            Some(_) => format!("put `{key}` into its entry, or the next apply takes it away"),
            None => format!("put its text into `{key}` of the entry, or a VM that is made anew lacks it"),
        };
        Some(Diagnostic::notice(codes::INEXPRESSIBLE, what).hint(hint).vm(live.id))
    };
    DataPart::ALL.into_iter().filter_map(lost).collect()
}

/// The network of a VM, as far as phoenix made it so, or as it is in one that is to be taken over; `None`: nothing was
/// asked for.
pub(super) fn network(live: &VmObserved, record: Option<&Record>) -> Option<NetworkConfig> {
    let now = &live.cloud_init;
    let is_said = |part: &str| record.map_or_else(|| reaches(live, "network"), |_| was_applied(record, part));
    let address = |v6: bool, part: &str| {
        // One that was taken away on purpose is none on purpose.
        let was_none = record.and_then(|record| record.applied.get(part)).is_some_and(str::is_empty);
        Some(now.address(v6)).filter(|address| address.is_none() == was_none && is_said(part))
    };
    let text = |text: &String, part: &str| (!text.is_empty() && is_said(part)).then(|| text.clone());
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

/// The user of a VM, as far as phoenix made it so, or as it is in one that is to be taken over; `None`: nothing was
/// asked for. Of its keys only the fingerprints are known: they come back where the rest of the file has them all.
pub(super) fn user(live: &VmObserved, record: Option<&Record>, file: &File<'_>) -> Option<UserConfig> {
    let name = &live.cloud_init.user;
    let is_said = |part: &str| record.map_or_else(|| reaches(live, "user"), |_| was_applied(record, part));
    let named = !name.is_empty() && is_said("user_config.username");
    let has_keys = || record.is_some() || !live.cloud_init.ssh_keys.is_empty();
    let config = UserConfig {
        username: named.then(|| name.clone()),
        password: record.and_then(|record| file.password(live, record)),
        ssh_authorized_keys: (is_said(SSH_KEYS) && has_keys()).then(|| file.keys(live)).flatten(),
    };
    (config != UserConfig::default()).then_some(config)
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
