//! The rules for options of Proxmox by its own names.

use super::codes;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawVm};
use crate::diag::nearest;
use crate::model::proxmox;
use crate::model::proxmox::cpu::{BadCpu, FLAGS, MODELS};

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
        if let Err(wrong) = option.read(value) {
            let what = format!("{} {wrong}", shown(name));
            let problem = Problem::new(codes::BAD_OPTION, what, owner.value(&format!("proxmox/{name}")));
            let text = value.as_str().map(str::trim).unwrap_or_default();
            // The first thing that is wrong is what the message says.
            let bad = option.bad_cpu(text).filter(|bad| bad.wrong() == wrong);
            problems.push(problem.hint_if(bad.map(way_out)));
        }
    }
}

/// What to write instead of a model or a flag that Proxmox does not have.
fn way_out(bad: BadCpu<'_>) -> String {
    let near = |word: &str, known: &'static [&'static str]| {
        let alike = known.iter().copied().find(|known| known.eq_ignore_ascii_case(word));
        alike.or_else(|| nearest(word, known.iter().copied()))
    };
    match bad {
        BadCpu::Model(model) => near(model, &MODELS).map_or_else(
            || {
                "the models are those of the web interface, like `host` or `x86-64-v2-AES`; one of your own begins with \
                 `custom-`"
                    .to_owned()
            },
            |meant| format!("did you mean `{meant}`? a model of your own begins with `custom-`"),
        ),
        BadCpu::Flag(flag) => {
            let sign = if flag.starts_with('-') { "-" } else { "+" };
            near(flag.trim_start_matches(['+', '-']), &FLAGS)
                .map_or_else(|| format!("the flags are {}", FLAGS.join(", ")), |meant| format!("did you mean `{sign}{meant}`?"))
        }
    }
}
