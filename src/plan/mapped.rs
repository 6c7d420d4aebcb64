//! Resource mappings that VMs need: names of devices and directories that stand for something on each node that has an
//! entry.

use super::words::known_words;
use super::{Scene, codes, placement};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, proxmox};
use crate::observed::{Mapped, Node, Observed, VmObserved};

/// A mapping that names nothing of a node, and that one of these options needs.
pub(super) struct Unmapped<'o> {
    kind: Mapped,
    name: &'o str,
    option: &'o str,
    /// There is such a mapping, for other nodes.
    is_there: bool,
}

impl Unmapped<'_> {
    /// Why a node cannot have the VM, beside the node's name.
    pub(super) fn why(&self) -> String {
        let Self { name, option, .. } = self;
        if self.is_there {
            format!("the mapping `{name}` for {option} has no entry for it")
        } else {
            format!("there is no mapping `{name}` for {option}")
        }
    }
}

/// The first of such mappings. `None` too where the target tells nothing of mappings.
pub(super) fn unmapped<'o>(
    options: impl IntoIterator<Item = (&'o str, &'o str)>,
    node: &Node,
    observed: &Observed,
) -> Option<Unmapped<'o>> {
    let mappings = observed.mappings.as_ref()?;
    options.into_iter().find_map(|(option, value)| {
        let (kind, name) = Mapped::named(option, value)?;
        let nodes = mappings.nodes(kind, name);
        let is_there = nodes.is_some();
        nodes.is_none_or(|nodes| !nodes.contains(&node.name)).then_some(Unmapped { kind, name, option, is_there })
    })
}

/// What is said of a VM that gets an option with a mapping which its node lacks. One that is placed gets a node that
/// has it, and one that moves is asked for. `live`: the VM, where it exists.
pub(super) fn lacking(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Option<Diagnostic> {
    let is_placed = vm.node.as_ref().is_some_and(|nodes| live.is_none_or(|live| !nodes.has(&live.node)));
    if is_placed {
        return None;
    }
    let node = scene.node(vm.vm_id);
    let is_new = |option: &str, value: &str| live.is_none_or(|live| live.options.get(option) != Some(value));
    let declared = vm.proxmox.iter().map(|(option, of)| (*option, of.value.as_str()));
    let found = unmapped(declared.filter(|(option, value)| is_new(option, value)), node, scene.observed)?;
    let Unmapped { kind, name, option, is_there } = found;
    let (what, hint) = if is_there {
        let on = placement::called(node, scene.observed);
        let what = format!("the mapping `{name}` for {option} has no entry for {on}");
        (what, "add one (Datacenter > Resource Mappings), or name another node in `node`".to_owned())
    } else {
        let known: Vec<&str> = scene.observed.mappings.iter().flat_map(|mappings| mappings.names(kind)).collect();
        let hint = match &*known {
            [] => "make it (Datacenter > Resource Mappings): the target has none of that kind".to_owned(),
            known => known_words("resource mappings of that kind", name, known),
        };
        (format!("there is no mapping `{name}` for {option}"), hint)
    };
    let problem = Diagnostic::error(codes::NO_MAPPING, what).vm(vm.vm_id).hint(hint);
    Some(match proxmox::option(option) {
        Some(option) => problem.about(option.key),
        None => problem,
    })
}
