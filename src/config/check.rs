//! The rules beyond the schema that need no target.

use std::collections::BTreeMap;
use std::path::Path;

use super::cloud_data::DataTexts;
use super::defaults::features_dir;
use super::lexis::{self, Verdict};
use super::limits::{MAX_DESCRIPTION, MAX_ITEMS};
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{ANY, Raw, RawNodes, RawProfiles, RawVm};
use super::rule::{control_character, hinted, text};
use super::secrets::SecretValues;
use super::source::Once;
use super::spans::Place;
use super::{
    addresses, attached, cdrom, cloud_data, cloud_init, codes, dependencies, disks, features, filesystems, ha, images,
    imports, networks, pools, profiles, proxmox, ready, secrets, templates, volumes,
};
use crate::model::{InvalidTarget, RECORD_MARK, Scripts, Target, record_mark};

/// The texts that belong to a config.
#[derive(Default)]
pub(super) struct Texts {
    /// Its scripts.
    pub(super) scripts: Scripts,
    /// What its VMs have as user data and vendor data.
    pub(super) data: DataTexts,
    /// The values of the secrets that it names.
    pub(super) secrets: SecretValues,
}

/// Applies every rule, resolves the features, and reads the files and secrets that the VMs name.
pub(super) fn all(raw: &Raw, once: &mut Once<'_>, problems: &mut Problems) -> Texts {
    if let Some(problem) = too_much(raw) {
        problems.push(problem);
        return Texts::default();
    }
    hypervisor(raw, problems);
    for (owner, vm) in owners(raw) {
        texts(owner, vm, problems);
    }
    unique(raw, problems);
    profiles::check(raw, problems);
    dependencies::check(raw, problems);
    cloud_init::check(raw, problems);
    images::check(raw, problems);
    templates::check(raw, problems);
    proxmox::check(raw, problems);
    networks::check(raw, problems);
    addresses::check(raw, problems);
    disks::check(raw, problems);
    attached::check(raw, problems);
    imports::check(raw, problems);
    filesystems::check(raw, problems);
    cdrom::check(raw, problems);
    ready::check(raw, problems);
    ha::check(raw, problems);
    volumes::check(raw, problems);
    let data = cloud_data::check(raw, once, problems);
    let secrets = secrets::check(raw, data.secrets(), once, problems);
    cloud_data::fit(raw, &data, &secrets, problems);
    let scripts = features::resolve(raw, once.features(features_dir(raw)), problems);
    Texts { scripts, data, secrets }
}

/// Says that the VMs have more from the lists of the defaults and of profiles than this program takes on.
fn too_much(raw: &Raw) -> Option<Problem> {
    let vms = raw.virtual_machines.len();
    let each = raw.vm_defaults.as_ref().map_or(0, entries);
    let of_profile: BTreeMap<&str, usize> =
        raw.profiles.iter().map(|(name, vm)| (name.as_str(), entries(vm))).collect();
    let named = raw.virtual_machines.iter().filter_map(|vm| vm.profile.as_ref()).flat_map(RawProfiles::names);
    let of_profiles: usize = named.filter_map(|name| of_profile.get(name.as_str())).sum();
    let of_defaults = each.saturating_mul(vms);
    (of_defaults.saturating_add(of_profiles) > MAX_ITEMS).then(|| {
        let (at, message) = if of_profiles > of_defaults {
            (
                "/profiles",
                format!(
                    "the lists of `profiles` give {vms} VMs {of_profiles} entries; {MAX_ITEMS} are possible in all"
                ),
            )
        } else {
            let lists = format!("the lists of `vm_defaults` have {each} entries, which {vms} VMs have each");
            ("/vm_defaults", format!("{lists}; {MAX_ITEMS} are possible in all"))
        };
        Problem::new(codes::TOO_BIG, message, Place::key(at)).hint("shorten them, or split the file")
    })
}

/// How many entries the lists of an object have.
fn entries(vm: &RawVm) -> usize {
    let keys = vm.user_config.as_ref().and_then(|user| user.ssh_authorized_keys.as_ref());
    let lists = [vm.tags.as_ref(), vm.features.as_ref(), keys].map(|list| list.map_or(0, Vec::len));
    let others = vm.volumes.as_ref().map_or(0, Vec::len) + vm.depends_on.as_ref().map_or(0, Vec::len);
    lists.iter().sum::<usize>() + others
}

fn hypervisor(raw: &Raw, problems: &mut Problems) {
    let anything: fn(&str) -> Verdict = |_| Ok(());
    text(raw.schema.as_deref(), (codes::BAD_LENGTH, ""), anything, || Place::value("/$schema"), problems);
    let Some(block) = &raw.hypervisor else { return };
    let place = |key: &'static str| move || Place::value(format!("/hypervisor/{key}"));
    text(
        block.project.as_deref(),
        (codes::BAD_PROJECT, "cannot be a project"),
        lexis::project,
        place("project"),
        problems,
    );
    text(block.features_dir.as_deref(), (codes::BAD_LENGTH, ""), anything, place("features_dir"), problems);
    for (n, tag) in block.never_together.iter().enumerate() {
        let place = || Place::value(format!("/hypervisor/never_together/{n}"));
        text(Some(tag), (codes::BAD_TAG, "cannot be a tag"), lexis::tag, place, problems);
    }
    for (n, tag) in block.never_same_node.iter().enumerate() {
        let place = || Place::value(format!("/hypervisor/never_same_node/{n}"));
        text(Some(tag), (codes::BAD_TAG, "cannot be a tag"), lexis::tag, place, problems);
    }
    let tag = (codes::BAD_TAG, "cannot be a tag");
    text(block.project_tag.as_deref(), tag, lexis::tag, place("project_tag"), problems);
    text(block.target.as_deref(), (codes::UNKNOWN_TARGET, ""), anything, place("target"), problems);
    if let Some(target) = block.target.as_deref()
        && lexis::control_in(target, false).is_none()
        && let Err(error) = Target::parse(target, Path::new(""))
    {
        problems.push(
            Problem::new(codes::UNKNOWN_TARGET, format!("{} is not a target", shown(&error.0)), place("target")())
                .hint(InvalidTarget::KNOWN),
        );
    }
}

/// Checks every text that an object of a VM holds, except those of its volumes.
fn texts(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    let before = problems.kept();
    let at = |key: &'static str| move || owner.value(key);
    let name = (codes::BAD_NAME, "is not a DNS name");
    text(vm.vm_name.as_deref(), name, lexis::dns_name, at("vm_name"), problems);
    text(vm.template_name.as_deref(), name, lexis::dns_name, at("template_name"), problems);
    text(vm.adopt.as_deref(), (codes::BAD_UUID, "is not a uuid"), lexis::uuid, at("adopt"), problems);
    let storage = (codes::BAD_STORAGE, "cannot be a storage");
    text(vm.boot_disk_storage.as_deref(), storage, lexis::storage, at("boot_disk_storage"), problems);
    let bridge = (codes::BAD_BRIDGE, "cannot be a bridge");
    text(vm.network_bridge.as_deref(), bridge, lexis::bridge, at("network_bridge"), problems);
    text(vm.pool.as_deref(), (codes::BAD_POOL, "cannot be a pool"), pools::name, at("pool"), problems);
    nodes(owner, vm, problems);
    for (n, tag) in vm.tags.iter().flatten().enumerate() {
        let place = || owner.value(&format!("tags/{n}"));
        hinted(Some(tag), ((codes::BAD_TAG, "cannot be a tag"), lexis::tag), several_tags, place, problems);
    }
    let listed = vm.features.as_deref().unwrap_or_default();
    let mut earlier: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, name) in listed.iter().enumerate() {
        let place = |n: usize| owner.value(&format!("features/{n}"));
        let cannot = (codes::BAD_FEATURE_NAME, "cannot be a feature");
        text(Some(name), cannot, lexis::feature, || place(n), problems);
        if let Some(&first) = earlier.get(name.as_str()) {
            problems.push(
                Problem::new(codes::REPEATED_FEATURE, format!("feature {} is listed twice", shown(name)), place(n))
                    .also(place(first), "first here")
                    .hint("a feature runs once; remove one of them"),
            );
        } else {
            earlier.insert(name, n);
        }
    }
    description(owner, vm, problems);
    problems.since(before, vm.vm_id);
}

/// What to write where a text holds several tags.
fn several_tags(text: &str) -> Option<String> {
    let tags: Vec<&str> = text.split([',', ';', ' ']).filter(|tag| !tag.is_empty()).collect();
    let are_tags = (2..=8).contains(&tags.len()) && tags.iter().all(|tag| lexis::tag(tag).is_ok());
    are_tags.then(|| {
        let listed: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        format!("each tag is an entry of its own: `{}`", listed.join(", "))
    })
}

/// Checks the nodes on which VMs may be.
fn nodes(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    let Some(nodes) = &vm.node else { return };
    let place = |n: usize| match nodes {
        RawNodes::One(_) => owner.value("node"),
        RawNodes::Several(_) => owner.value(&format!("node/{n}")),
    };
    for (n, name) in nodes.words().iter().enumerate() {
        text(Some(name), (codes::BAD_NODE, "cannot be a node"), lexis::node, || place(n), problems);
        if name == ANY && matches!(nodes, RawNodes::Several(_)) {
            let what = format!("`{ANY}` stands in a list of nodes");
            problems
                .push(Problem::new(codes::BAD_NODE, what, place(n)).hint("write `\"node\": \"any\"`, or name nodes"));
        }
        if let Some(first) = nodes.words()[..n].iter().position(|earlier| earlier == name) {
            let problem = Problem::new(codes::BAD_NODE, format!("node {} is listed twice", shown(name)), place(n));
            problems.push(problem.also(place(first), "first here").hint("remove one of them"));
        }
    }
}

fn description(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    let Some(text) = vm.description.as_deref() else { return };
    let at = || owner.value("description");
    if let Some(control) = lexis::control_in(text, true) {
        problems.push(control_character(control, at()));
    }
    if record_mark(text).is_some() {
        problems.push(
            Problem::new(codes::RECORD_IN_DESCRIPTION, format!("the description contains `{RECORD_MARK}`"), at())
                .hint("phoenix writes that itself, to remember what it did; take it out"),
        );
    }
    if text.len() > MAX_DESCRIPTION && text.chars().count() > MAX_DESCRIPTION {
        problems.push(
            Problem::new(
                codes::LONG_DESCRIPTION,
                format!("the description has {} characters; {MAX_DESCRIPTION} are possible", text.chars().count()),
                at(),
            )
            .hint("Proxmox keeps 8192 characters of notes, and phoenix needs room for its record in them"),
        );
    }
}

/// VMIDs and names must each stand once. Names are DNS names, so case does not tell them apart.
fn unique(raw: &Raw, problems: &mut Problems) {
    let mut ids: Vec<(u32, usize)> =
        raw.virtual_machines.iter().enumerate().filter_map(|(n, vm)| Some((vm.vm_id?, n))).collect();
    ids.sort_unstable();
    for same in ids.chunk_by(|a, b| a.0 == b.0) {
        let (id, first) = same[0];
        for &(_, n) in &same[1..] {
            problems.push(
                Problem::new(codes::DUPLICATE_ID, format!("VM {id} is declared twice"), Owner::Vm(n).value("vm_id"))
                    .label("again here")
                    .also(Owner::Vm(first).value("vm_id"), "first here")
                    .line_hint(format!("VM {id} is also declared"))
                    .vm(Some(id)),
            );
        }
    }
    let mut names: Vec<(String, usize)> = raw
        .virtual_machines
        .iter()
        .enumerate()
        .filter_map(|(n, vm)| Some((vm.vm_name.as_ref()?.to_ascii_lowercase(), n)))
        .collect();
    names.sort_unstable();
    for same in names.chunk_by(|a, b| a.0 == b.0) {
        let (name, first) = &same[0];
        for (_, n) in &same[1..] {
            problems.push(
                Problem::new(
                    codes::DUPLICATE_NAME,
                    format!("two VMs have the name {}", shown(name)),
                    Owner::Vm(*n).value("vm_name"),
                )
                .label("again here")
                .also(Owner::Vm(*first).value("vm_name"), "first here")
                .line_hint(format!("{} is also used", shown(name)))
                .vm(raw.virtual_machines[*n].vm_id),
            );
        }
    }
}
