//! The rules for options of Proxmox by its own names.

use super::codes;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawVm};
use super::spans::Place;
use crate::diag::nearest;
use crate::model::proxmox;
use crate::model::proxmox::cpu::{BadCpu, FLAGS, MODELS, is_version};

/// Applies the rules to every `proxmox`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        options(owner, vm, problems);
        problems.since(before, vm.vm_id);
    }
}

fn options(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    for (name, value) in vm.proxmox.iter().flatten().filter(|(_, value)| !value.is_null()) {
        // A name that is not known is the schema's to tell.
        let Some(option) = proxmox::option(name) else { continue };
        let text = value.as_str().map(str::trim).unwrap_or_default();
        let at = || owner.value(&format!("proxmox/{name}"));
        let read = option.read(value);
        // The first thing that is wrong is what the message says.
        let flag = option.bad_cpu(text).find_map(|bad| match bad {
            BadCpu::Flag(flag) if read.as_ref() == Err(&bad.wrong()) => Some(flag),
            _ => None,
        });
        if read.is_ok() || flag.is_some() {
            let model = option.bad_cpu(text).find_map(|bad| match bad {
                BadCpu::Model(model) => Some(model),
                BadCpu::Flag(_) => None,
            });
            problems.extend(model.map(|model| other_model(name, model, at())));
        }
        if let Err(wrong) = read {
            let problem = Problem::new(codes::BAD_OPTION, format!("{} {wrong}", shown(name)), at());
            problems.push(problem.hint_if(flag.map(other_flag)));
        }
    }
}

/// The known word that one is most like, if it is like one.
fn near(word: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let alike = known.iter().copied().find(|known| known.eq_ignore_ascii_case(word));
    alike.or_else(|| nearest(word, known.iter().copied()))
}

/// That Proxmox VE 9.2 has no such model: an error where another one must be meant, else a warning, as a newer one may
/// have it.
fn other_model(name: &str, model: &str, at: Place) -> Problem {
    if let Some(meant) = near(model, &MODELS).filter(|_| !is_version(model)) {
        let what = format!("{} {}", shown(name), BadCpu::Model(model).wrong());
        let hint = format!("did you mean `{meant}`? a model of your own begins with `custom-`");
        return Problem::new(codes::BAD_OPTION, what, at).hint(hint);
    }
    let what = format!("{} has the model {}, which Proxmox VE 9.2 does not have", shown(name), shown(model));
    let hint = "a newer one may have it, and any other refuses the VM's options when they are written; a model of your own \
                begins with `custom-`";
    Problem::new(codes::NEWER_MODEL, what, at).hint(hint)
}

/// What to write instead of a flag that a VM cannot set.
fn other_flag(flag: &str) -> String {
    let sign = if flag.starts_with('-') { "-" } else { "+" };
    near(flag.trim_start_matches(['+', '-']), &FLAGS)
        .map_or_else(|| format!("the flags are {}", FLAGS.join(", ")), |meant| format!("did you mean `{sign}{meant}`?"))
}
