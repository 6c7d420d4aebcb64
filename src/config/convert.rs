//! The config of the shell system that phoenix replaces (`vms`, `vmid`, `cores` …), turned into one of phoenix.
//!
//! Most of its keys have one of the same meaning here, some are worked out from several, and the rest belong to what
//! phoenix does not do. Nothing is dropped silently: what has no place in the new config is named with its line.

mod keys;

use std::collections::BTreeMap;

use jsonc_parser::ast::{ObjectProp, Value as Tree};
use jsonc_parser::common::Ranged as _;
use serde_json::{Map, Value, json};

use self::keys::{Becomes, becomes};
use super::edit::{Edit, edited, printed};
use super::fmt;
use super::spans::LineIndex;
use super::syntax;
use crate::diag::Diagnostic;
use crate::model::VmId;

/// A config that was turned into one of phoenix. It is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The text of the new config.
    pub text: String,
    /// What the old one says and the new one does not, in the order of the old one.
    pub left: Vec<Left>,
}

/// Something that could not be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Line in the old config, from 1.
    pub line: usize,
    /// Column in the old config, in characters from 1.
    pub column: usize,
    /// The VM as the old config calls it; empty: it is about no VM.
    pub vm: String,
    /// The key of the old config.
    pub key: String,
    /// Why, and what to do instead.
    pub why: String,
}

/// Turns a config of the former system into one of phoenix.
///
/// # Errors
/// The text is no JSON, or no config of that system.
pub fn converted(text: &str) -> Result<Converted, Vec<Diagnostic>> {
    if let Some(problem) = syntax::too_big([text]) {
        return Err(vec![problem]);
    }
    let parsed = syntax::parse(text);
    let (Some(root), Ok(values)) = (&parsed.root, serde_json::from_str::<Value>(text)) else {
        return Err(parsed.told.into_parts().0);
    };
    let not_one = |what: &str, hint: &str| {
        Err(vec![super::codes::SYNTAX.diagnostic(format!("this is no config of the former system: {what}")).hint(hint)])
    };
    if values.get("virtual_machines").is_some() {
        return not_one("it has `virtual_machines`", "it is a config of phoenix already: `phoenix validate`");
    }
    let (Some(root), true) = (root.as_object(), values["vms"].is_array()) else {
        return not_one("it has no list `vms`", "name its `phoenix_vm_configs.json`");
    };
    let mut work = Work::new(text, &values);
    let mut defaults = Keys::new();
    for member in &root.properties {
        match (member.name.as_str(), &member.value) {
            ("$schema", _) => {}
            ("vm_defaults", Tree::Object(object)) => defaults = work.vm(&object.properties, &values["vm_defaults"], ""),
            ("vms", Tree::Array(list)) => work.vms(&list.elements, &values["vms"]),
            _ => work.leave(member, "", "phoenix has no such key at the top of the file"),
        }
    }
    Ok(work.done(&defaults))
}

/// Keys of the new config with their values, in the order in which they are to stand.
type Keys = Vec<(&'static str, Value)>;

/// Where the implicit volumes of VMs lie: the directory above theirs, the server, the mount point.
type Storage = (String, String, String);

struct Work<'t> {
    text: &'t str,
    lines: LineIndex,
    /// The names of the VMs of the file by their VMIDs.
    names: BTreeMap<u64, String>,
    storage: Option<Storage>,
    entries: Vec<Edit>,
    left: Vec<Left>,
}

impl<'t> Work<'t> {
    fn new(text: &'t str, values: &Value) -> Self {
        let vms = values["vms"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |vm: &Value| Some((vm["vmid"].as_u64()?, vm["name"].as_str()?.to_owned()));
        let names = vms.iter().filter_map(of).collect();
        // The first VM's own directory below a common one tells where all of them are.
        let storage = vms.iter().find_map(own_volume).map(|(_, storage)| storage);
        Self { text, lines: LineIndex::new(text), names, storage, entries: Vec::new(), left: Vec::new() }
    }

    fn leave(&mut self, member: &ObjectProp<'_>, vm: &str, why: impl Into<String>) {
        self.leave_at(member.range.start, vm, member.name.as_str(), why);
    }

    fn leave_at(&mut self, at: usize, vm: &str, key: &str, why: impl Into<String>) {
        let (line, column) = self.lines.place(self.text, at);
        self.left.push(Left { line, column, vm: vm.to_owned(), key: key.to_owned(), why: why.into() });
    }

    fn vms(&mut self, trees: &[Tree<'_>], values: &Value) {
        for (at, tree) in trees.iter().enumerate() {
            let value = &values[at];
            let id = value["vmid"].as_u64().and_then(|id| VmId::try_from(u32::try_from(id).ok()?).ok());
            let (Some(object), Some(id)) = (tree.as_object(), id) else {
                self.leave_at(tree.start(), "", &format!("vms[{at}]"), "it has no `vmid` that Proxmox takes");
                continue;
            };
            let name = value["name"].as_str().unwrap_or_default();
            let called = if name.is_empty() { id.to_string() } else { format!("{id} {name}") };
            let mut keys = vec![("vm_id", json!(id.get())), ("vm_name", json!(name))];
            keys.extend(self.vm(&object.properties, value, &called));
            self.entries.push(Edit::Entry(id, keys));
        }
    }

    /// The keys of one VM, or of the defaults.
    fn vm(&mut self, members: &[ObjectProp<'_>], value: &Value, vm: &str) -> Keys {
        let mut keys = Keys::new();
        for member in members {
            let name = member.name.as_str();
            let value_of = &value[name];
            match becomes(name) {
                Becomes::Known => {}
                Becomes::Key(key) => keys.push((key, value_of.clone())),
                Becomes::Nothing(why) => self.leave(member, vm, why),
                Becomes::WorkedOut => match self.worked_out(name, value, vm, member) {
                    Ok(Some(found)) => keys.push(found),
                    Ok(None) => {}
                    Err(why) => self.leave(member, vm, why),
                },
            }
        }
        keys
    }

    /// What is made of a key that has none of the same meaning; `None`: it says what phoenix does anyway.
    ///
    /// # Errors
    /// Why nothing can be made of it.
    fn worked_out(
        &mut self,
        name: &str,
        vm: &Value,
        called: &str,
        member: &ObjectProp<'_>,
    ) -> Result<Option<(&'static str, Value)>, String> {
        let value = &vm[name];
        let text = || value.as_str().ok_or_else(|| "it is no text".to_owned());
        match name {
            "template" if vm.get("clone_from_vmid").is_some() || vm.get("template_image").is_some() => {
                Err("the former system never read it, and the VM says elsewhere what it is made from".to_owned())
            }
            "template" => Ok(Some(("template_name", json!(text()?)))),
            "clone_from_vmid" => match value.as_u64().and_then(|id| self.names.get(&id)) {
                Some(name) => Ok(Some(("template_name", json!(name)))),
                None => {
                    Err(format!("no VM of the file has the VMID {value}: give the template's name as `template_name`"))
                }
            },
            "template_image" => {
                let image = text()?;
                // Where the former system fetched it.
                let release = image.split_once("-server-").map_or("", |(release, _)| release);
                let source = format!("https://cloud-images.ubuntu.com/{release}/current/{image}");
                Ok(Some(("cloud_image", json!({ "source": source }))))
            }
            "network_config" => Ok(Some(("network_config", self.network(member, value, called)))),
            "user_config" => {
                let user = self.only(member, value, called, &["username"]);
                Ok((!user.is_empty()).then_some(("user_config", Value::Object(user))))
            }
            "dependencies" => self.dependencies(value, called, member).map(Some),
            _ => self.volumes(vm, called, member),
        }
    }

    /// The members of an object that phoenix knows under the same name; the others are left.
    fn only(&mut self, member: &ObjectProp<'_>, value: &Value, vm: &str, known: &[&str]) -> Map<String, Value> {
        let mut kept = Map::new();
        let Tree::Object(object) = &member.value else {
            self.leave(member, vm, "it is no object");
            return kept;
        };
        for inner in &object.properties {
            let name = inner.name.as_str();
            if known.contains(&name) {
                kept.insert(name.to_owned(), value[name].clone());
            } else {
                let why = match name {
                    _ if name.contains("password") => {
                        "no secret stands in a config: `user_config.password` takes the name of one"
                    }
                    "ssh_public_key" => "phoenix calls it `ssh_authorized_keys`, a list",
                    _ => "phoenix has no such key here",
                };
                self.leave_at(inner.range.start, vm, &format!("{}.{name}", member.name.as_str()), why);
            }
        }
        kept
    }

    fn network(&mut self, member: &ObjectProp<'_>, value: &Value, vm: &str) -> Value {
        let mut network = self.only(member, value, vm, &["ip", "gw", "nameserver", "nameservers"]);
        let servers = network.remove("nameservers");
        if let Some(servers) = servers.as_ref().and_then(Value::as_array) {
            let servers: Vec<&str> = servers.iter().filter_map(Value::as_str).collect();
            network.insert("nameserver".to_owned(), json!(servers.join(" ")));
        }
        Value::Object(network)
    }

    fn dependencies(
        &mut self,
        value: &Value,
        vm: &str,
        member: &ObjectProp<'_>,
    ) -> Result<(&'static str, Value), String> {
        let list = value.as_array().ok_or_else(|| "it is no list".to_owned())?;
        let mut names = Vec::new();
        for item in list {
            let id = item.as_u64().or_else(|| item.as_str()?.parse().ok());
            match id.and_then(|id| self.names.get(&id)) {
                Some(name) => names.push(name.clone()),
                None => self.leave(member, vm, format!("{item} is no VM of the file; phoenix has no containers")),
            }
        }
        Ok(("depends_on", json!(names)))
    }

    fn volumes(
        &mut self,
        vm: &Value,
        called: &str,
        member: &ObjectProp<'_>,
    ) -> Result<Option<(&'static str, Value)>, String> {
        let list = vm["volumes"].as_array().ok_or_else(|| "it is no list".to_owned())?;
        let has_features = vm["features"].as_array().is_some_and(|features| !features.is_empty());
        // The implicit volume of phoenix is the same one.
        let implicit = own_volume(vm).filter(|(_, storage)| has_features && self.storage.as_ref() == Some(storage));
        let mut kept = Vec::new();
        for (at, volume) in list.iter().enumerate() {
            if implicit.as_ref().is_some_and(|(own, _)| *own == at) {
                continue;
            }
            let text = |key: &str| volume[key].as_str().filter(|text| !text.is_empty());
            match (volume["type"].as_str(), text("server"), text("path"), text("mount_point")) {
                (Some("nfs"), Some(server), Some(path), Some(mount_point)) => {
                    kept.push(json!({ "type": "nfs", "server": server, "path": path, "mount_point": mount_point }));
                }
                _ => self.leave(
                    member,
                    called,
                    format!("volume {} is not NFS with `server`, `path` and `mount_point`", at + 1),
                ),
            }
        }
        Ok((!kept.is_empty()).then(|| ("volumes", json!(kept))))
    }

    fn done(self, defaults: &Keys) -> Converted {
        let mut head = Vec::new();
        if let Some((host_path, server, mount_point)) = &self.storage {
            let storage = json!({ "host_path": host_path, "server": server, "mount_point": mount_point });
            head.push(("hypervisor", vec![("persistent_storage", storage)]));
        }
        if !defaults.is_empty() {
            head.push(("vm_defaults", defaults.clone()));
        }
        let mut text = String::from("{\n");
        for (key, members) in head {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("    \"{key}\": {}", printed(value, " "))).collect();
            text.push_str(&format!("  \"{key}\": {{\n{}\n  }},\n", members.join(",\n")));
        }
        text.push_str("  \"virtual_machines\": []\n}\n");
        let text = edited(&text, &self.entries).map_or(text, |edited| edited.text);
        // Values that are nested too deep for a layout, and for any config, stay on their lines.
        let text = fmt::laid_out(&text).unwrap_or(text);
        Converted { text, left: self.left }
    }
}

/// The number of the NFS volume in a VM's own directory, which carried the scripts, and where all such directories lie.
fn own_volume(vm: &Value) -> Option<(usize, Storage)> {
    let volumes = vm["volumes"].as_array()?;
    let at = volumes.iter().position(|volume| volume["type"] == "nfs")?;
    let text = |key: &str| volumes[at][key].as_str();
    let directory = text("path")?.strip_suffix(&vm["vmid"].to_string())?.strip_suffix('/')?;
    let whole = !directory.is_empty();
    whole.then_some((at, (directory.to_owned(), text("server")?.to_owned(), text("mount_point")?.to_owned())))
}
