//! CPUs and memory of a VM against what the node has.

use super::{Scene, codes, placement};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key};
use crate::observed::VmObserved;

/// Refuses a VM that wants more than the node has. One that has as much already exists: that is said, and is an error
/// only where it is to be started.
pub(super) fn too_large(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let node = scene.node(vm.vm_id);
    let called = placement::called(node, scene.observed);
    let starts = vm.started && live.is_some_and(|live| !live.running && !live.template);
    let problem = |has: Option<u64>, wished: u64, code: &'static str, what: String| match has {
        Some(has) if has >= wished && !starts => Diagnostic::notice(code, what),
        Some(has) if has >= wished => {
            let hint = "the VM exists and is to be started: set `started` to false, or lower the value";
            Diagnostic::error(code, what).hint(hint)
        }
        _ => Diagnostic::error(code, what),
    };
    let mut found = Vec::new();
    let memory = u64::from(vm.memory_mb);
    if node.memory_mb != 0 && memory > node.memory_mb {
        let what = format!("{memory} MiB of memory are asked for, {called} has {} MiB", node.memory_mb);
        let has = live.map(|live| live.memory_mb);
        found.push(problem(has, memory, codes::TOO_MUCH_MEMORY, what).vm(vm.vm_id).about(Key::MemoryMb));
    }
    let cpus = u64::from(vm.cpu_sockets) * u64::from(vm.cpu_cores);
    if node.cpus != 0 && cpus > u64::from(node.cpus) {
        let what = format!("{cpus} CPUs are asked for (sockets × cores), {called} allows {} per VM", node.cpus);
        let has = live.map(|live| u64::from(live.cpu_sockets) * u64::from(live.cpu_cores));
        let problem = problem(has, cpus, codes::TOO_MANY_CPUS, what).vm(vm.vm_id);
        found.push(problem.about(Key::CpuCores).about(Key::CpuSockets));
    }
    found
}
