//! The cloud-init data of a machine: the documents that Proxmox makes of a configuration's options, on a drive that
//! cloud-init's `NoCloud` source finds by its label `cidata`.
//!
//! Every document is JSON, which is YAML: so no value can be more than a value.

use std::io::{Cursor, Write as _};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use serde_json::{Map, Value, json};

use super::super::snippets::Custom;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{VmId, content_digest};
use crate::observed::{Conf, Net, PropertyString};

/// Size of the drive, in bytes.
const SIZE: usize = 4 << 20;

/// The label, in the eleven bytes that FAT has for one.
const LABEL: [u8; 11] = *b"CIDATA     ";

/// The drive of a VM with this configuration.
pub(super) fn of(vm: VmId, conf: &Conf<'_>, custom: Custom) -> Result<Vec<u8>, Fault> {
    let vendor = custom.vendor.clone().map(|text| ("vendor-data", text));
    let documents: Vec<_> = documents(vm, conf, custom).into_iter().chain(vendor).collect();
    drive(&documents)
}

/// The three documents that there always are, by their names: each is made of the options where nothing gives it whole.
fn documents(vm: VmId, conf: &Conf<'_>, custom: Custom) -> [(&'static str, String); 3] {
    let user = custom.user.unwrap_or_else(|| format!("#cloud-config\n{:#}\n", user_data(vm, conf)));
    let network = custom.network.unwrap_or_else(|| format!("{:#}\n", network(conf)));
    // As on Proxmox, a machine with other data is another instance: cloud-init sets it up anew.
    let mut id = content_digest(format!("{user}{network}").as_bytes());
    // As long as ever: a guest that gets another id is set up anew.
    id.truncate(16);
    let meta = custom.meta.unwrap_or_else(|| format!("{:#}\n", json!({ "instance-id": id })));
    [("user-data", user), ("meta-data", meta), ("network-config", network)]
}

fn user_data(vm: VmId, conf: &Conf<'_>) -> Value {
    let name = conf.get("name").map_or_else(|| format!("VM{vm}"), str::to_owned);
    let (host, domain) = match name.split_once('.') {
        Some((host, domain)) => (host, Some(domain)),
        None => (name.as_str(), conf.get("searchdomain").and_then(|domains| domains.split_whitespace().next())),
    };
    let mut data = Map::new();
    let mut set = |key: &str, value: Value| data.insert(key.to_owned(), value);
    set("hostname", host.into());
    set("manage_etc_hosts", true.into());
    if let Some(domain) = domain {
        set("fqdn", format!("{host}.{domain}").into());
    }
    let user = conf.get("ciuser");
    if let Some(user) = user {
        set("user", user.into());
    }
    if user == Some("root") {
        set("disable_root", false.into());
    } else {
        set("users", json!(["default"]));
    }
    if let Some(password) = conf.get("cipassword") {
        set("password", password.into());
    }
    let keys = conf.get("sshkeys").map(unescaped).unwrap_or_default();
    let keys: Vec<&str> = keys.lines().map(str::trim).filter(|key| !key.is_empty()).collect();
    if !keys.is_empty() {
        set("ssh_authorized_keys", json!(keys));
    }
    set("chpasswd", json!({ "expire": false }));
    set("package_upgrade", (conf.get("ciupgrade") != Some("0")).into());
    Value::Object(data)
}

/// `sshkeys` as Proxmox keeps it: URL-escaped.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'%');
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Network configuration of version 1, as Proxmox writes it for `NoCloud`.
fn network(conf: &Conf<'_>) -> Value {
    let mut config = Vec::new();
    for n in 0..32 {
        let Some(mac) = conf.get(&format!("net{n}")).and_then(Net::parse).and_then(|net| net.mac) else { continue };
        let ip = PropertyString::parse(conf.get(&format!("ipconfig{n}")).unwrap_or_default());
        let mut subnets = Vec::new();
        for (address, gateway, dhcp, fixed) in [("ip", "gw", "dhcp4", "static"), ("ip6", "gw6", "dhcp6", "static6")] {
            match ip.get(address) {
                None => {}
                Some("dhcp") => subnets.push(json!({ "type": dhcp })),
                Some("auto") => subnets.push(json!({ "type": "ipv6_slaac" })),
                Some(address) => {
                    let mut subnet = json!({ "type": fixed, "address": address });
                    if let Some(gateway) = ip.get(gateway) {
                        subnet["gateway"] = gateway.into();
                    }
                    subnets.push(subnet);
                }
            }
        }
        let mac = mac.to_ascii_lowercase();
        config.push(json!({ "type": "physical", "name": format!("eth{n}"), "mac_address": mac, "subnets": subnets }));
    }
    let words = |key: &str| -> Vec<&str> { conf.get(key).unwrap_or_default().split_whitespace().collect() };
    let (servers, domains) = (words("nameserver"), words("searchdomain"));
    if !servers.is_empty() || !domains.is_empty() {
        config.push(json!({ "type": "nameserver", "address": servers, "search": domains }));
    }
    json!({ "version": 1, "config": config })
}

/// The drive with these documents.
fn drive(documents: &[(&'static str, String)]) -> Result<Vec<u8>, Fault> {
    let failed = |error: std::io::Error| {
        Fault::harmless(FaultKind::Failed, format!("the drive with the cloud-init data cannot be made: {error}"))
    };
    let mut bytes = vec![0; SIZE];
    let options = FormatVolumeOptions::new().volume_label(LABEL).fat_type(FatType::Fat12).volume_id(0x1DA7_A000);
    format_volume(Cursor::new(&mut bytes[..]), options).map_err(failed)?;
    {
        let drive = FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new()).map_err(failed)?;
        for (name, text) in documents {
            let mut file = drive.root_dir().create_file(name).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
        drive.unmount().map_err(failed)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use fatfs::{FileSystem, FsOptions};
    use serde_json::{Value, json};

    use super::{Custom, documents, drive, of};
    use crate::model::VmId;
    use crate::observed::Conf;

    fn parts(conf: &str) -> [Value; 3] {
        let documents = documents(VmId::try_from(1000).unwrap(), &Conf::parse(conf), Custom::default());
        assert!(documents[0].1.starts_with("#cloud-config\n{"), "{}", documents[0].1);
        documents.map(|(_, text)| serde_json::from_str(text.trim_start_matches("#cloud-config\n")).unwrap())
    }

    #[test]
    fn documents_say_what_the_options_say() {
        let [user, _, network] = parts(
            "ciuser: admin\nipconfig0: ip=192.0.2.7/24,gw=192.0.2.1,ip6=auto\nname: web\nnameserver: 192.0.2.53 192.0.2.54\n\
             net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nnet1: e1000=BC:24:11:00:00:02,bridge=vmbr0\n\
             searchdomain: example.com\nsshkeys: ssh-ed25519%20AAAA%20a%40b%0Assh-rsa%20BBBB%0A\n",
        );
        assert_eq!(
            user,
            json!({
                "hostname": "web", "fqdn": "web.example.com", "manage_etc_hosts": true, "user": "admin",
                "users": ["default"], "ssh_authorized_keys": ["ssh-ed25519 AAAA a@b", "ssh-rsa BBBB"],
                "chpasswd": { "expire": false }, "package_upgrade": true,
            })
        );
        assert_eq!(
            network,
            json!({ "version": 1, "config": [
                { "type": "physical", "name": "eth0", "mac_address": "bc:24:11:00:00:01", "subnets": [
                    { "type": "static", "address": "192.0.2.7/24", "gateway": "192.0.2.1" }, { "type": "ipv6_slaac" } ] },
                { "type": "physical", "name": "eth1", "mac_address": "bc:24:11:00:00:02", "subnets": [] },
                { "type": "nameserver", "address": ["192.0.2.53", "192.0.2.54"], "search": ["example.com"] },
            ] })
        );
    }

    #[test]
    fn hostile_values_stay_values() {
        let [user, ..] = parts("ciuser: a\\nruncmd: [reboot]\nname: x\nsshkeys: a%0A%20%20-%20b%22%5D%0A%%4\n");
        assert_eq!(user["user"], "a\\nruncmd: [reboot]");
        assert_eq!(user["ssh_authorized_keys"], json!(["a", "- b\"]", "%%4"]));
    }

    /// Cloud-init sets up a machine once for each instance.
    #[test]
    fn other_values_are_another_instance() {
        let id = |conf: &str| parts(conf)[1]["instance-id"].clone();
        assert_eq!(id("name: a\nmemory: 512\n"), id("name: a\nmemory: 1024\n"));
        assert_ne!(id("name: a\n"), id("name: a\nciuser: b\n"));
    }

    #[test]
    fn what_is_given_whole_reaches_the_guest_as_it_is() {
        let vm = VmId::try_from(1000).unwrap();
        let conf = Conf::parse("name: web\nciuser: admin\n");
        let read = |custom: Custom| {
            let mut bytes = of(vm, &conf, custom).unwrap();
            let drive = FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new()).unwrap();
            ["user-data", "vendor-data", "meta-data"].map(|name| {
                let mut text = String::new();
                let read = drive.root_dir().open_file(name).and_then(|mut file| file.read_to_string(&mut text));
                read.ok().map(|_| text)
            })
        };
        let own = "#!/bin/sh\necho me\n";
        let [user, vendor, meta] = read(Custom { user: Some(own.to_owned()), ..Custom::default() });
        assert_eq!((user.as_deref(), vendor), (Some(own), None));
        let [made, vendor, other] =
            read(Custom { vendor: Some("#cloud-config\n{}\n".to_owned()), ..Custom::default() });
        assert!(made.unwrap().contains("admin"));
        assert_eq!(vendor.as_deref(), Some("#cloud-config\n{}\n"));
        // Other user data is another instance; vendor data is not.
        assert_ne!(meta, other);
        assert_eq!(other, read(Custom::default())[2]);
    }

    #[test]
    fn the_drive_holds_the_documents_under_the_label_that_is_looked_for() {
        let written = documents(VmId::try_from(1000).unwrap(), &Conf::parse("name: web\n"), Custom::default());
        let mut bytes = drive(&written).unwrap();
        let drive = FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new()).unwrap();
        assert_eq!(drive.volume_label(), "CIDATA");
        for (name, text) in &written {
            let mut read = String::new();
            drive.root_dir().open_file(name).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, *text, "{name}");
        }
    }
}
