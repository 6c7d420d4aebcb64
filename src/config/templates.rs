//! The rules for VMs that become templates.

use super::check::Owner;
use super::codes;
use super::images::is_from_image;
use super::problem::{Problem, shown};
use super::raw::{Raw, RawNetworkConfig, RawVm};

/// A key that does not go with `is_template`: its name, and why.
type Conflict = (&'static str, &'static str);

const ADOPT: Conflict = ("adopt", "a VM that is taken over does not become a template");
const STARTED: Conflict = ("started", "a VM that becomes a template has to run while it is built");
const FULL_CLONE: Conflict =
    ("full_clone", "a VM that becomes a template has a disk of its own, which clones can be built on");

/// Refuses what does not go together with `is_template`.
pub(super) fn check(raw: &Raw, problems: &mut Vec<Problem>) {
    let defaults = raw.vm_defaults.as_ref();
    for (n, vm) in raw.virtual_machines.iter().enumerate().filter(|(_, vm)| vm.is_template == Some(true)) {
        let mut refuse = |owner: Owner, (key, what): Conflict| {
            let hint = match (key, owner) {
                ("adopt", _) => "take `adopt` or `is_template` out".to_owned(),
                (_, Owner::Vm(_)) => format!("take `{key}` out: it is true then"),
                (_, Owner::Defaults) => format!("give this VM a `{key}` of its own: true"),
            };
            let also = Owner::Vm(n).value("is_template");
            let problem = Problem::new(codes::TEMPLATE_CONFLICT, what, owner.value(key));
            problems.push(problem.also(also, "this VM becomes a template").hint(hint).vm(vm.vm_id));
        };
        if vm.adopt.is_some() {
            refuse(Owner::Vm(n), ADOPT);
        }
        if let Some(owner) = refuses(n, vm, defaults, |vm| vm.started) {
            refuse(owner, STARTED);
        }
        if let Some(owner) = refuses(n, vm, defaults, |vm| vm.full_clone).filter(|_| !is_from_image(vm, defaults)) {
            refuse(owner, FULL_CLONE);
        }
    }
}

/// Who says `false` of a key for a VM: itself, or else the defaults.
fn refuses(n: usize, vm: &RawVm, defaults: Option<&RawVm>, key: impl Fn(&RawVm) -> Option<bool>) -> Option<Owner> {
    let (owner, value) = match (key(vm), defaults.and_then(&key)) {
        (Some(own), _) => (Owner::Vm(n), own),
        (None, Some(shared)) => (Owner::Defaults, shared),
        (None, None) => return None,
    };
    (!value).then_some(owner)
}

/// Refuses that a VM gets the fixed address of the template that it is cloned from: what a VM does not say of its network
/// stays as its template has it.
pub(super) fn inherited(raw: &Raw, vm: usize, template: usize, problems: &mut Vec<Problem>) {
    let vms = &raw.virtual_machines;
    let shared = raw.vm_defaults.as_ref().and_then(|vm| vm.network_config.as_ref());
    let network = |n: usize| vms[n].network_config.as_ref().or(shared);
    let Some(has) = network(template).filter(|_| vms[template].is_template == Some(true)) else { return };
    for (key, get) in KINDS {
        let fixed = get(has).as_deref().filter(|ip| ip.contains('/'));
        let says = network(vm).is_some_and(|own| get(own).is_some());
        if let Some(ip) = fixed.filter(|_| !says) {
            let name = |n: usize| shown(vms[n].vm_name.as_deref().unwrap_or_default());
            let what = format!("{} would have the address of its template {}: {ip}", name(vm), name(template));
            let at = match vms[template].network_config {
                Some(_) => Owner::Vm(template),
                None => Owner::Defaults,
            };
            problems.push(
                Problem::new(codes::INHERITED_ADDRESS, what, Owner::Vm(vm).value("vm_name"))
                    .also(at.value(&format!("network_config/{key}")), "the template's")
                    .hint(format!("give it `network_config` with an `{key}` of its own, or `dhcp`"))
                    .vm(vms[vm].vm_id),
            );
        }
    }
}

/// The addresses that a network can have.
const KINDS: [(&str, fn(&RawNetworkConfig) -> &Option<String>); 2] = [("ip", |net| &net.ip), ("ip6", |net| &net.ip6)];
