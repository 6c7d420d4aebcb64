//! Keys that an object does not know: what was meant, and the rest of the file read as if it had been written.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jsonc_parser::ast::{Object, ObjectProp, ObjectPropName, StringLit, Value as Tree};
use jsonc_parser::common::Ranged as _;
use serde_json::Value;

use super::codes;
use super::problem::{Problem, Problems, named, shown};
use super::schema::{self, OF_ONE_VM};
use super::slots;
use super::spans::{Place, escaped};
use super::vocabulary::{self, Means};
use crate::diag::nearest;
use crate::model::proxmox;

/// The objects of the file, and where the schema says what they hold; a key that several of them know is looked for
/// in this order.
const PLACES: [(&str, &str, &str); 13] = [
    ("virtual_machines", schema::VM, "a VM"),
    ("network_config", "/properties/vm_defaults/properties/network_config", "`network_config`"),
    ("user_config", "/properties/vm_defaults/properties/user_config", "`user_config`"),
    ("cloud_image", "/properties/vm_defaults/properties/cloud_image", "`cloud_image`"),
    ("volumes", "/properties/vm_defaults/properties/volumes/items", "a volume of `volumes`"),
    ("timeouts", "/properties/vm_defaults/properties/timeouts", "`timeouts`"),
    ("", "", "the file itself, beside `virtual_machines`"),
    ("hypervisor", "/properties/hypervisor", "`hypervisor`"),
    (
        "persistent_storage",
        "/properties/hypervisor/properties/persistent_storage",
        "`persistent_storage` of `hypervisor`",
    ),
    (
        "nfs_shares",
        "/properties/hypervisor/properties/nfs_shares/additionalProperties",
        "a share of `nfs_shares` of `hypervisor`",
    ),
    ("disks", DISK, "a disk of `disks`"),
    ("networks", CARD, "a card of `networks`"),
    ("boot_disk_options", "/properties/vm_defaults/properties/boot_disk_options", "`boot_disk_options`"),
];

/// Most unknown keys of one object of which it is looked up what they mean, each against all that there are.
const MOST_LOOKED_UP: usize = 2 * super::MOST_OF_A_KIND;

/// Where the schema says what a further disk is.
const DISK: &str = "/properties/vm_defaults/properties/disks/patternProperties/^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|\
                    sata[0-5]|ide[0-3]|efidisk0|tpmstate0)$";

/// Where the schema says what a network card is.
const CARD: &str = "/properties/vm_defaults/properties/networks/patternProperties/^net([0-9]|[12][0-9]|3[01])$";

/// What was meant by a key.
enum Meant {
    /// A key of the same object, spelt otherwise.
    Spelt(&'static str),
    /// A key of the same object that another tool calls so.
    Named(&'static str),
    /// What other keys say: which, and how.
    Elsewhere(&'static str),
    /// What phoenix has no key for.
    Nothing(&'static str),
    /// A key of this name that stands somewhere else.
    Misplaced(&'static str),
    /// The key that looks most like it.
    Guess(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// Says that an object does not know a key, and what was probably meant.
pub(super) fn unknown(object: &str, key: &str, known: &[&'static str], is_switch: bool) -> Problem {
    if object.ends_with("/proxmox") {
        return unknown_option(object, key, known);
    }
    if let Some(problem) = slots::unknown(object, key).filter(|_| known.is_empty()) {
        return problem;
    }
    about(object, key, &meant(object, key, known, is_switch), known)
}

/// Says that Proxmox does not know an option, or that no file can set it.
fn unknown_option(object: &str, key: &str, known: &[&'static str]) -> Problem {
    let (message, hint) = if let Some((why, hint)) = proxmox::why_not(key) {
        (format!("the option {} {why}", shown(key)), hint)
    } else {
        (format!("{} is not an option of Proxmox", shown(key)), option_meant(key, known))
    };
    Problem::new(codes::UNKNOWN_KEY, message, Place::key(format!("{object}/{}", escaped(key)))).hint(hint)
}

/// What was meant by an option that Proxmox does not have: a key of the VM, or an option that looks like it.
fn option_meant(key: &str, known: &[&'static str]) -> String {
    let own = schema::document().pointer(schema::VM).and_then(|vm| vm["properties"].as_object());
    let own = own.into_iter().flatten().map(|(own, _)| own.as_str()).find(|own| plain(own) == plain(key));
    let named = || match vocabulary::means("virtual_machines", &plain(key)) {
        Some(Means::Key(own)) => Some(own.as_str()),
        _ => None,
    };
    let stems = proxmox::specs().keys().map(String::as_str);
    if let Some(own) = own {
        format!("write `{own}` at the VM: phoenix has a key for it")
    } else if let Some(near) = nearest(key, known.iter().copied().chain(stems)) {
        format!("did you mean `{}`?", near.replace('N', "0"))
    } else if let Some(own) = named() {
        format!("phoenix calls it `{own}`; it stands at the VM")
    } else {
        "the names are those of `qm set`, with a number where several are possible".to_owned()
    }
}

fn about(object: &str, key: &str, meant: &Meant, known: &[&'static str]) -> Problem {
    let in_defaults = is_shared(object);
    let message = match object {
        _ if in_defaults && OF_ONE_VM.contains(&key) => {
            format!("`{key}` cannot stand in {}", if object == "/vm_defaults" { "`vm_defaults`" } else { "a profile" })
        }
        "" => format!("{} is not a key of the config", shown(key)),
        _ => format!("{} is not a key of {}", shown(key), named(object)),
    };
    let hint = match meant {
        Meant::Spelt(own) | Meant::Named(own) if in_defaults && OF_ONE_VM.contains(own) => {
            format!("give each VM its own `{own}`")
        }
        Meant::Spelt(own) | Meant::Guess(own) => format!("did you mean `{own}`?"),
        Meant::Named(own) => format!("phoenix calls it `{own}`"),
        Meant::Elsewhere(how) => (*how).to_owned(),
        Meant::Nothing(what) => format!("phoenix has no key for {what}"),
        Meant::Misplaced(place) => format!("it is a key of {place}"),
        Meant::Unknown => format!("known here: {}", known.join(", ")),
    };
    Problem::new(codes::UNKNOWN_KEY, message, Place::key(format!("{object}/{}", escaped(key)))).hint(hint)
}

/// Finds the word of ours for a value of another tool.
pub(super) fn value_meant(pointer: &str, word: &str) -> Option<&'static str> {
    vocabulary::value(pointer.rsplit('/').next().unwrap_or_default(), &plain(word))
}

/// What was meant by a key. `is_switch`: its value is `true` or `false`.
fn meant(object: &str, key: &str, known: &[&'static str], is_switch: bool) -> Meant {
    let word = plain(key);
    let all_known = known.iter().copied().chain(if is_shared(object) { &OF_ONE_VM[..] } else { &[] }.iter().copied());
    if let Some(own) = all_known.into_iter().find(|own| plain(own) == word) {
        return Meant::Spelt(own);
    }
    let place = place_of(object);
    if place == "virtual_machines" && word == "template" && is_switch {
        return Meant::Named("is_template");
    }
    if let Some(means) = vocabulary::means(place, &word) {
        return match means {
            Means::Key(own) => Meant::Named(own),
            Means::Elsewhere(how) => Meant::Elsewhere(how),
            Means::Nothing(what) => Meant::Nothing(what),
        };
    }
    let holds = |schema: &str| schema::document().pointer(&format!("{schema}/properties/{}", escaped(key))).is_some();
    if let Some((.., name)) = PLACES.iter().find(|(other, schema, _)| *other != place && holds(schema)) {
        return Meant::Misplaced(name);
    }
    nearest(key, known.iter().copied()).map_or(Meant::Unknown, |own| {
        known.iter().find(|one| **one == own).map_or(Meant::Unknown, |own| Meant::Guess(own))
    })
}

/// A word without capitals and signs, as the vocabulary has it.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).take(64).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether an object holds values of several VMs.
fn is_shared(pointer: &str) -> bool {
    let profile = pointer.strip_prefix("/profiles/");
    pointer == "/vm_defaults" || profile.is_some_and(|name| !name.contains('/'))
}

/// The name in the vocabulary of the object at a pointer.
fn place_of(pointer: &str) -> &str {
    let (parent, last) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match parent.rsplit('/').next().unwrap_or_default() {
        // A profile may have any name.
        _ if is_shared(parent) => last,
        holder @ ("virtual_machines" | "volumes" | "nfs_shares" | "disks" | "networks") => holder,
        "profiles" => "virtual_machines",
        _ if last == "vm_defaults" => "virtual_machines",
        _ if last == "import_from" => "cloud_image",
        _ => last,
    }
}

/// Reads keys whose meaning is beyond doubt as the keys that are meant, and says so. What stands below is then checked
/// as everything else is.
pub(super) fn rename(root: &mut Tree<'_>, problems: &mut Problems) {
    if let Tree::Object(object) = &mut *root {
        join_lists(object);
    }
    walk(root, schema::document(), "", None, problems);
}

/// Recursion ends where the schema does.
fn walk(tree: &mut Tree<'_>, rule: &'static Value, pointer: &str, vm: Option<u32>, problems: &mut Problems) {
    match tree {
        Tree::Array(list) => {
            let Some(items) = rule.get("items").filter(|items| items.get("properties").is_some()) else { return };
            for (n, entry) in list.elements.iter_mut().enumerate() {
                walk(entry, items, &format!("{pointer}/{n}"), vm, problems);
            }
        }
        Tree::Object(object) if rule.get("patternProperties").is_some() => {
            // Options of Proxmox are judged by their own table; what stands in a slot has keys.
            let patterns = rule["patternProperties"].as_object().into_iter().flatten().map(|(_, each)| each);
            let Some(each) = patterns.into_iter().find(|each| each.get("properties").is_some()) else { return };
            for property in &mut object.properties {
                let below = format!("{pointer}/{}", escaped(property.name.as_str()));
                walk(&mut property.value, each, &below, vm, problems);
            }
        }
        Tree::Object(object) => {
            let Some(properties) = rule.get("properties").and_then(Value::as_object) else {
                let each = rule.get("additionalProperties").filter(|each| each.is_object());
                for property in each.is_some().then_some(&mut object.properties).into_iter().flatten() {
                    let below = format!("{pointer}/{}", escaped(property.name.as_str()));
                    walk(&mut property.value, each.unwrap_or(&Value::Null), &below, vm, problems);
                }
                return;
            };
            let known: Vec<&'static str> = properties.keys().map(String::as_str).collect();
            let found = renamed(object, properties, &known, pointer, problems);
            let vm = vm_id(object).filter(|_| place_of(pointer) == "virtual_machines").or(vm);
            problems.extend(found.into_iter().map(|problem| problem.vm(vm)));
            for property in &mut object.properties {
                if let Some(rule) = properties.get(property.name.as_str())
                    && matches!(property.value, Tree::Object(_) | Tree::Array(_))
                {
                    let below = format!("{pointer}/{}", property.name.as_str());
                    walk(&mut property.value, rule, &below, vm, problems);
                }
            }
        }
        _ => {}
    }
}

/// Renames keys of one object.
fn renamed(
    object: &mut Object<'_>,
    properties: &serde_json::Map<String, Value>,
    known: &[&'static str],
    pointer: &str,
    problems: &Problems,
) -> Vec<Problem> {
    let mut present: BTreeSet<String> = object.properties.iter().map(|one| one.name.as_str().to_owned()).collect();
    let mut said = Vec::new();
    let unknown = |property: &&mut ObjectProp<'_>| !properties.contains_key(property.name.as_str());
    for property in object.properties.iter_mut().filter(unknown).take(MOST_LOOKED_UP) {
        if !problems.has_room(codes::UNKNOWN_KEY) || said.len() >= super::MOST_OF_A_KIND {
            break;
        }
        let key = property.name.as_str().to_owned();
        let meant = meant(pointer, &key, known, matches!(property.value, Tree::BooleanLit(_)));
        let own = match meant {
            Meant::Spelt(own) | Meant::Named(own) if can_be(&property.value, properties.get(own)) => own,
            Meant::Guess(own) if is_of(&property.value, properties.get(own)) => own,
            _ => continue,
        };
        if !present.insert(own.to_owned()) {
            continue;
        }
        let mut problem = about(pointer, &key, &meant, known);
        problem.at = Place::key(format!("{pointer}/{own}"));
        said.push(problem);
        let range = property.name.range();
        property.name = ObjectPropName::String(StringLit { range, value: Cow::Borrowed(own) });
    }
    said
}

/// Whether a value may be meant for a key: at least it is no more of a container than the key's own.
fn can_be(value: &Tree<'_>, rule: Option<&Value>) -> bool {
    match rule.and_then(|rule| rule.get("type")) {
        Some(Value::Array(kinds)) => match value {
            Tree::Object(_) => kinds.iter().any(|kind| kind == "object"),
            Tree::Array(_) => kinds.iter().any(|kind| kind == "array"),
            _ => true,
        },
        Some(kind) if kind == "array" => true,
        Some(kind) if kind == "object" => matches!(value, Tree::Object(_)),
        Some(_) => !matches!(value, Tree::Object(_) | Tree::Array(_)),
        None => false,
    }
}

/// Whether a value has the type of a key.
fn is_of(value: &Tree<'_>, rule: Option<&Value>) -> bool {
    let own = match value {
        Tree::StringLit(_) => "string",
        Tree::NumberLit(_) => "integer",
        Tree::BooleanLit(_) => "boolean",
        Tree::Object(_) => "object",
        Tree::Array(_) => "array",
        Tree::NullKeyword(_) => return false,
    };
    rule.is_some_and(|rule| rule.get("type").is_some_and(|kind| kind == own))
}

/// Where VMs stand in the list that is meant for them and in a misnamed one, they are read as one list.
fn join_lists(object: &mut Object<'_>) {
    let known: Vec<&str> =
        schema::document()["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let is_own = |property: &ObjectProp<'_>| property.name.as_str() == "virtual_machines";
    let Some(own) = object.properties.iter().rposition(is_own) else { return };
    let mut moved = Vec::new();
    for property in object
        .properties
        .iter_mut()
        .filter(|property| !known.contains(&property.name.as_str()))
        .take(super::MOST_OF_A_KIND)
    {
        let means_it = matches!(
            meant("", property.name.as_str(), &["virtual_machines"], false),
            Meant::Spelt("virtual_machines") | Meant::Guess("virtual_machines") | Meant::Named("virtual_machines")
        );
        if let Tree::Array(list) = &mut property.value
            && means_it
        {
            moved.append(&mut list.elements);
        }
    }
    if let Tree::Array(list) = &mut object.properties[own].value {
        list.elements.append(&mut moved);
    }
}

fn vm_id(object: &Object<'_>) -> Option<u32> {
    object.properties.iter().rev().find(|property| property.name.as_str() == "vm_id").and_then(|property| {
        match &property.value {
            Tree::NumberLit(number) => number.value.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::vocabulary::{Means, vocabulary};
    use super::{PLACES, plain, schema};

    #[test]
    fn every_word_has_one_meaning_that_there_is() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.objects.len(), PLACES.len());
        for (object, words) in &vocabulary.objects {
            let (_, place, _) = PLACES.iter().find(|(name, ..)| name == object).unwrap();
            let own = schema::document().pointer(&format!("{place}/properties")).unwrap().as_object().unwrap();
            let own_words: Vec<String> = own.keys().map(|key| plain(key)).collect();
            let mut seen = BTreeSet::new();
            for entry in words {
                for word in entry.words() {
                    assert!(seen.insert(word), "`{word}` stands twice for {object}");
                    assert_eq!(plain(word), word.trim_end_matches('#'), "{object}");
                    assert!(!own_words.contains(&word.to_owned()), "`{word}` is a key of {object}");
                }
                if let Means::Key(key) = &entry.means {
                    assert!(own.contains_key(key), "`{key}` is no key of {object}");
                }
            }
        }
        for named in &vocabulary.values {
            let place = if named.of == "type" { "volumes/items/properties/" } else { "" };
            let rule = format!("{}/properties/{place}{}/oneOf", schema::VM, named.of);
            let choices = schema::document().pointer(&rule).unwrap().as_array().unwrap();
            let choices: Vec<&str> = choices.iter().map(|one| one["const"].as_str().unwrap()).collect();
            assert!(choices.contains(&named.value.as_str()), "{} is no {}", named.value, named.of);
            assert!(named.words().all(|word| !choices.contains(&word) && plain(word) == word), "{}", named.of);
        }
    }
}
