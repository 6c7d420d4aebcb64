//! Network cards by their slots, and the options of the boot disk: the rules for them, and what they are for a VM.

use std::collections::BTreeMap;

use serde_json::Value;

use super::codes;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCard, RawVm};
use super::{cloud_init, lexis};
use crate::model::proxmox::{self, CARD_WORDS, Kind, ProxmoxOption, ProxmoxValue};
use crate::model::{NetworkModel, Origin};

/// Cards by their slots; `None` takes an inherited one away.
pub(super) type Cards = BTreeMap<String, Option<RawCard>>;

/// Parts of an option by their names in the file; `null` takes an inherited one away.
pub(super) type Parts = BTreeMap<String, Value>;

/// The slot of the first card: its bridge, its model and its addresses have keys of their own.
pub(super) const FIRST: &str = "net0";

/// Applies the rules to every `networks` and every `boot_disk_options`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (slot, card) in vm.networks.iter().flatten() {
            let Some(card) = card else { continue };
            let at = |key: &str| owner.value(&format!("networks/{slot}/{key}"));
            if slot == FIRST {
                first_card(owner, vm, card, problems);
            }
            let address = cloud_init::Addresses {
                ip: card.ip.as_deref(),
                gw: card.gw.as_deref(),
                ip6: card.ip6.as_deref(),
                gw6: card.gw6.as_deref(),
            };
            cloud_init::addresses(&address, &|key| at(key), problems);
            let texts = [("mac", "macaddr", &card.mac), ("trunks", "trunks", &card.trunks)];
            for (key, name, text) in texts.into_iter().filter_map(|(key, name, text)| Some((key, name, text.as_ref()?)))
            {
                let wrong = proxmox::card(slot).and_then(|option| read_part(option, name, &text.as_str().into()).err());
                problems.extend(
                    wrong.map(|wrong| Problem::new(codes::BAD_OPTION, format!("{} {wrong}", shown(key)), at(key))),
                );
            }
        }
        if let (Some(parts), Some(option)) = (&vm.boot_disk_options, proxmox::boot_disk()) {
            for (name, value) in parts.iter().filter(|(_, value)| !value.is_null()) {
                if let Err(wrong) = read_part(option, name, value) {
                    let at = owner.value(&format!("{}/{name}", proxmox::BOOT_DISK));
                    problems.push(Problem::new(codes::BAD_OPTION, format!("{} {wrong}", shown(name)), at));
                }
            }
        }
        problems.since(before, vm.vm_id);
    }
}

/// What the first card cannot say in `networks`, for keys of their own say it.
fn first_card(owner: Owner<'_>, vm: &RawVm, card: &RawCard, problems: &mut Problems) {
    let elsewhere = [
        ("bridge", card.bridge.is_some() && vm.network_bridge.is_some(), "network_bridge"),
        ("model", card.model.is_some() && vm.network_model.is_some(), "network_model"),
        ("ip", card.ip.is_some(), "network_config.ip"),
        ("gw", card.gw.is_some(), "network_config.gw"),
        ("ip6", card.ip6.is_some(), "network_config.ip6"),
        ("gw6", card.gw6.is_some(), "network_config.gw6"),
    ];
    for (key, _, own) in elsewhere.into_iter().filter(|(_, is_there, _)| *is_there) {
        let what = format!("`{key}` of the first card is `{own}`");
        let at = owner.value(&format!("networks/{FIRST}/{key}"));
        problems.push(Problem::new(codes::TWO_HOMES, what, at).hint(format!("say it in `{own}` alone")));
    }
}

/// Reads one part of a property string: `NAME=VALUE`, or why it is none.
pub(super) fn read_part(option: &ProxmoxOption, name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(on) => if *on { "1" } else { "0" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return Err("must be a plain value".to_owned()),
    };
    if text.contains([',', '=']) || lexis::control_in(&text, false).is_some() {
        return Err("must not contain a comma, an equals sign or a control character".to_owned());
    }
    if let Kind::Parts { parts, .. } = &option.spec.kind
        && !parts.contains_key(name)
    {
        let known: Vec<&str> = parts.keys().map(String::as_str).collect();
        return Err(format!("is not among the options here: {}", known.join(", ")));
    }
    let unnamed = |wrong: String| wrong.split_once(", which ").map(|(_, why)| why.to_owned()).unwrap_or(wrong);
    option.read(&Value::String(format!("{name}={text}"))).map_err(unnamed)
}

/// The options of the boot disk that a VM gets; `None`: the file says nothing of them.
pub(super) fn boot_disk(own: Option<&Parts>, shared: Option<&Parts>) -> Option<ProxmoxValue> {
    let option = proxmox::boot_disk()?;
    let origin = if own.is_some() { Origin::Vm } else { Origin::VmDefaults };
    let mut merged: BTreeMap<&String, &Value> = shared.into_iter().flatten().collect();
    merged.extend(own.into_iter().flatten());
    let parts = merged.into_iter().filter(|(_, value)| !value.is_null());
    let parts: Vec<String> = parts.filter_map(|(name, value)| read_part(option, name, value).ok()).collect();
    let value = option.read(&Value::String(parts.join(","))).ok()?;
    Some(ProxmoxValue { value, origin })
}

/// The cards that a VM gets and their addresses, by Proxmox's names of the options.
pub(super) fn cards(
    own: Option<&Cards>,
    shared: Option<&Cards>,
    bridge: &str,
    model: NetworkModel,
) -> BTreeMap<&'static str, ProxmoxValue> {
    let (own, shared) = (own.cloned().unwrap_or_default(), shared.cloned().unwrap_or_default());
    let mut slots: BTreeMap<&String, (RawCard, Origin)> = BTreeMap::new();
    for (slot, card) in &shared {
        let inherited = card.clone().filter(|_| !matches!(own.get(slot), Some(None)));
        slots.extend(inherited.map(|card| (slot, (card, Origin::VmDefaults))));
    }
    for (slot, card) in &own {
        let Some(card) = card else { continue };
        let inherited = slots.remove(slot).map(|(card, _)| card).unwrap_or_default();
        slots.insert(slot, (over(card, inherited), Origin::Vm));
    }
    let mut all = BTreeMap::new();
    for (slot, (card, origin)) in slots {
        let mut say = |option: Option<&'static ProxmoxOption>, text: String| {
            let Some(option) = option.filter(|_| !text.is_empty()) else { return };
            if let Ok(value) = option.read(&Value::String(text)) {
                all.insert(option.name, ProxmoxValue { value, origin: origin.clone() });
            }
        };
        say(proxmox::card(slot), card_text(&card, (slot != FIRST).then_some((bridge, model))));
        say(proxmox::address(slot), address_text(&card));
    }
    all
}

/// Cards with what others say where they say nothing.
pub(super) fn all(own: Cards, base: Cards) -> Cards {
    let mut all = base;
    for (slot, card) in own {
        let inherited = all.remove(&slot).flatten().unwrap_or_default();
        all.insert(slot, card.map(|card| over(&card, inherited)));
    }
    all
}

/// A card with what another one says where it says nothing. An address and its gateway belong together.
fn over(own: &RawCard, shared: RawCard) -> RawCard {
    let own = own.clone();
    let pair = |is_said: bool, own, shared| if is_said { own } else { shared };
    let (says_v4, says_v6) = (own.says_address(false), own.says_address(true));
    let (ip, gw) = pair(says_v4, (own.ip, own.gw), (shared.ip, shared.gw));
    let (ip6, gw6) = pair(says_v6, (own.ip6, own.gw6), (shared.ip6, shared.gw6));
    let gateway = |key: &str, gw: Option<String>| gw.filter(|_| !own.none.contains(key));
    let (gw, gw6) = (gateway("gw", gw), gateway("gw6", gw6));
    // One that a nearer layer says again is there again.
    let gone = |key: &str| own.none.contains(key);
    RawCard {
        bridge: own.bridge.or(shared.bridge),
        model: own.model.or(shared.model),
        mac: own.mac.or(shared.mac.filter(|_| !gone("mac"))),
        vlan_tag: own.vlan_tag.or(shared.vlan_tag.filter(|_| !gone("vlan_tag"))),
        trunks: own.trunks.or(shared.trunks.filter(|_| !gone("trunks"))),
        firewall: own.firewall.or(shared.firewall.filter(|_| !gone("firewall"))),
        mtu: own.mtu.or(shared.mtu.filter(|_| !gone("mtu"))),
        queues: own.queues.or(shared.queues.filter(|_| !gone("queues"))),
        rate_mbps: own.rate_mbps.or(shared.rate_mbps.filter(|_| !gone("rate_mbps"))),
        link_down: own.link_down.or(shared.link_down.filter(|_| !gone("link_down"))),
        ip,
        gw,
        ip6,
        gw6,
        none: &own.none | &shared.none,
    }
}

/// A card as Proxmox writes it; `beside`: bridge and model where it says none; `None`: it is the first card, which has
/// them elsewhere.
fn card_text(card: &RawCard, beside: Option<(&str, NetworkModel)>) -> String {
    let switch = |on: bool| u8::from(on).to_string();
    let plug = beside.map(|(bridge, model)| {
        let model = card.model.unwrap_or(model).as_str().to_owned();
        (model, card.bridge.clone().unwrap_or_else(|| bridge.to_owned()))
    });
    let (model, bridge) = plug.unzip();
    let parts = [
        ("model", model),
        ("bridge", bridge),
        ("mac", card.mac.clone()),
        ("vlan_tag", card.vlan_tag.map(|tag| tag.to_string())),
        ("trunks", card.trunks.clone()),
        ("firewall", card.firewall.map(switch)),
        ("mtu", card.mtu.map(|mtu| mtu.to_string())),
        ("queues", card.queues.map(|queues| queues.to_string())),
        ("rate_mbps", card.rate_mbps.map(|rate| rate.to_string())),
        ("link_down", card.link_down.map(switch)),
    ];
    let named = |name: &'static str| CARD_WORDS.iter().find(|(file, _)| *file == name).map_or(name, |(_, own)| own);
    joined(parts.map(|(name, value)| (named(name), value)))
}

/// The addresses of a card as Proxmox writes them; `none` stays as a word for that it is to have none.
fn address_text(card: &RawCard) -> String {
    let [ip, gw, ip6, gw6] = [&card.ip, &card.gw, &card.ip6, &card.gw6].map(Clone::clone);
    joined([("ip", ip), ("gw", gw), ("ip6", ip6), ("gw6", gw6)])
}

fn joined<const N: usize>(parts: [(&str, Option<String>); N]) -> String {
    let said = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    said.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(json: &str) -> Cards {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check(own: &str, shared: &str, expected: &[(&str, &str)]) {
        let (own, shared) = (card(own), card(shared));
        let found = cards(Some(&own), Some(&shared), "vmbr0", NetworkModel::Virtio);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (*name, value.value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn cards_are_merged_part_by_part() {
        check("{}", "{}", &[]);
        check(r#"{"net0":{"vlan_tag":20,"firewall":true}}"#, "{}", &[("net0", "firewall=1,tag=20")]);
        check(
            r#"{"net1":{"mac":"bc:24:11:00:00:01","ip":"10.0.1.5/24"}}"#,
            r#"{"net1":{"bridge":"vmbr1","ip":"dhcp","ip6":"auto","firewall":false},"net2":{}}"#,
            &[
                ("ipconfig1", "ip=10.0.1.5/24,ip6=auto"),
                ("net1", "virtio,bridge=vmbr1,firewall=0,macaddr=BC:24:11:00:00:01"),
                ("net2", "virtio,bridge=vmbr0"),
            ],
        );
        check(r#"{"net1":null}"#, r#"{"net1":{"bridge":"vmbr1"}}"#, &[]);
        check(
            r#"{"net0":{"vlan_tag":null},"net1":{"mtu":null,"firewall":null,"queues":4,"rate_mbps":null}}"#,
            r#"{"net0":{"vlan_tag":20},"net1":{"mtu":1400,"firewall":true,"queues":2,"rate_mbps":1.5,"trunks":"1;2"}}"#,
            &[("net1", "virtio,bridge=vmbr0,queues=4,trunks=1;2")],
        );
        check(
            r#"{"net1":{"ip":null,"mac":null}}"#,
            r#"{"net1":{"ip":"10.0.1.5/24","gw":"10.0.1.1","ip6":"auto","mac":"BC:24:11:00:00:01"}}"#,
            &[("ipconfig1", "ip6=auto"), ("net1", "virtio,bridge=vmbr0")],
        );
        check(
            r#"{"net1":{"gw":null}}"#,
            r#"{"net1":{"ip":"10.0.1.5/24","gw":"10.0.1.1"}}"#,
            &[("ipconfig1", "ip=10.0.1.5/24"), ("net1", "virtio,bridge=vmbr0")],
        );
    }

    #[test]
    fn options_of_the_boot_disk_are_merged_part_by_part() {
        let parts = |json: &str| serde_json::from_str::<Parts>(json).unwrap();
        let (own, shared) = (parts(r#"{"ssd":1,"cache":null}"#), parts(r#"{"discard":"on","cache":"writeback"}"#));
        assert_eq!(boot_disk(Some(&own), Some(&shared)).unwrap().value, "discard=on,ssd=1");
        assert_eq!(boot_disk(None, None), None);
    }
}
