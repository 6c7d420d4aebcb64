//! `phoenix validate`

use std::path::Path;

use anyhow::Result;

use super::args::{Args, DEFAULT_CONFIG, Validate};
use super::console::Console;
use super::exit::Refusal;
use super::format::Format;
use super::output;
use super::scripts::Checks;
use super::{Exit, load, staged};
use crate::diag::has_errors;
use crate::ui::report::{self, Checked};

/// Checks the files and tells everything that is wrong with them.
pub(super) fn run(args: &Args, verb: &Validate, console: &Console) -> Result<Exit> {
    if verb.staged && args.places.features_dir.is_some() {
        let what = "`--staged` takes the scripts from the git index, `--features-dir` from a directory";
        return Err(Refusal::usage(what, "leave one of the two out"));
    }
    if verb.staged && verb.files.iter().chain([&args.config]).any(|file| load::is_stdin(file)) {
        let what = "`--staged` takes the config from the git index, `-` from standard input";
        return Err(Refusal::usage(what, "leave one of the two out"));
    }
    let files = match verb.files.as_slice() {
        // The whole of what is committed: a hook does not know which file a script belongs to.
        [] if verb.staged && args.config == Path::new(DEFAULT_CONFIG) => staged::configs(&args.config)?,
        [] => vec![args.config.clone()],
        named => named.to_vec(),
    };
    let given = args.given();
    let mut checked = Vec::new();
    let mut checks = Checks::new();
    for file in &files {
        let config = if verb.staged { staged::load(file, &given)? } else { load::load(file, &given) };
        let (of_config, scripts) = checks.of(&config.loaded.scripts, (file, config.source.as_ref()), &given);
        let mut diagnostics = config.loaded.diagnostics;
        diagnostics.extend(of_config);
        let desired = config.loaded.desired.filter(|_| !has_errors(&diagnostics));
        checked.push(Checked {
            name: load::name(file),
            source: config.source,
            vms: desired.map(|desired| desired.vms.len()),
            diagnostics,
        });
        checked.extend(scripts);
    }
    output::each(&verb.format, console, &mut |output| {
        Ok(match output.format {
            Format::Json => Some(report::json::render(&checked)),
            Format::Gitlab => Some(report::gitlab::render(&checked)),
            Format::Sarif => Some(report::sarif::render(&checked)),
            Format::Junit => Some(report::junit::render(&checked)),
            Format::Github => {
                output::summarize(&report::github::summary(&checked))?;
                Some(report::github::render(&checked))
            }
            // `Output::of_validate` lets no other format in.
            _ if output.file.is_some() => Some(report::human(&checked)),
            _ => {
                for file in &checked {
                    console.diagnostics(&file.diagnostics, file.source.as_ref());
                    console.print(&file.verdict());
                }
                None
            }
        })
    })?;
    Ok(if checked.iter().all(Checked::is_valid) { Exit::Done } else { Exit::Config })
}
