//! `phoenix man`: the manual pages, made from what can be typed and from the schema.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::Exit;
use super::args::{Args, Man};
use super::console::Console;
use super::exit;
use crate::config::reference::{self, Row};
use crate::ui::text::safe;

/// What of the environment counts, and for what.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PHOENIX_TARGET", "The target, unless --target names one."),
    ("PHOENIX_SECRET_*", "Values of secrets that the config names."),
    ("NO_COLOR", "No colours, unless --color says otherwise."),
    ("GITHUB_STEP_SUMMARY", "The page of the step, to which --format github appends."),
];

/// Files that count, or that are left.
const FILES: [(&str, &str); 6] = [
    ("phoenix_vm_configs.json", "The config, unless --config names one; phoenix-config(5)."),
    ("features/", "Feature scripts, beside the config."),
    (".phoenix/runs/", "What runs of apply said, beside the config; nothing depends on it."),
    (".phoenix/node/", "The embedded node, where no target is named and there is no Proxmox."),
    ("/etc/phoenix/allow.json", "What VMs may have of a node, on the node."),
    ("/etc/exports.d/phoenix-VMID.exports", "The directories that the node exports to a VM."),
];

/// How long an example is at most that the page of the config gives, in bytes.
const LONGEST_EXAMPLE: usize = 45;

/// Writes `phoenix.1`, a page for each verb, and `phoenix-config.5`.
pub(super) fn run(verb: &Man, console: &Console) -> Result<Exit> {
    let dir = &verb.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    // A page for `help VERB` would say nothing that the page of the verb does not.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    pages(&command, dir)?;
    write(&dir.join("phoenix-config.5"), config().render())?;
    console.note(&format!("Read the first with `man {}`.\n", safe(&dir.join("phoenix.1").display().to_string())));
    Ok(Exit::Done)
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &Command, dir: &Path) -> Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, dir)?;
    }
    let page = Page::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text).context("cannot make a page")?;
    let text = String::from_utf8(text).context("a page is not UTF-8")?;
    // All that stands behind the options are examples.
    let mut text = text.replace(".SH EXTRA\n", ".SH EXAMPLES\n").replace("\nExamples:\n", "\n");
    text.push_str(&everywhere().to_roff());
    write(&dir.join(page.get_filename()), text)
}

fn write(file: &Path, text: String) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The sections that are the same on every page.
fn everywhere() -> Roff {
    let mut roff = Roff::new();
    let mut section = |title: &str, rows: Vec<(String, &str)>| {
        roff.control("SH", [title]);
        for (name, text) in rows {
            roff.control("TP", []).text([bold(name)]).text([roman(text)]);
        }
    };
    section("EXIT STATUS", exit::MEANINGS.iter().map(|(exit, text)| ((*exit as u8).to_string(), *text)).collect());
    section("ENVIRONMENT", ENVIRONMENT.iter().map(|(name, text)| ((*name).to_owned(), *text)).collect());
    section("FILES", FILES.iter().map(|(name, text)| ((*name).to_owned(), *text)).collect());
    roff.control("SH", ["SEE ALSO"]).text([bold("phoenix"), roman("(1), "), bold("phoenix-config"), roman("(5)")]);
    roff
}

/// The page of the config: every key, as the schema has it.
fn config() -> Roff {
    let mut roff = Roff::new();
    roff.control("TH", ["phoenix-config", "5"]);
    roff.control("ad", ["l"]);
    roff.control("SH", ["NAME"]).text([roman("phoenix-config - the file that says what virtual machines there are")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        bold("phoenix_vm_configs.json"),
        roman(
            " is one JSON object. virtual_machines is an array of VMs; vm_defaults holds values for all of them, and \
             profiles holds values for those that name one in profile. A VM's own value wins over its profiles', those over vm_defaults, those over the default. A file whose name ends in .jsonc may have \
             comments. phoenix validate checks a file, and phoenix schema prints its JSON Schema for editors.",
        ),
    ]);
    roff.control("SH", ["EXAMPLE"]).control("nf", []);
    roff.text([roman(
        "{\n  \"vm_defaults\": { \"template_name\": \"debian-13\", \"memory_mb\": 4096 },\n  \"virtual_machines\": [\n    \
         { \"vm_id\": 1000, \"vm_name\": \"web\", \"features\": [\"install_docker\"] }\n  ]\n}",
    )]);
    roff.control("fi", []);
    keys(&mut roff, "KEYS OF A VIRTUAL MACHINE", &reference::of_a_vm());
    keys(&mut roff, "OPTIONS OF PROXMOX", &reference::of_proxmox());
    keys(&mut roff, "KEYS OF HYPERVISOR", &reference::of_the_file());
    keys(&mut roff, "SECRETS", &reference::of_secrets());
    roff.control("SH", ["SEE ALSO"]).text([bold("phoenix"), roman("(1), "), bold("phoenix-validate"), roman("(1)")]);
    roff
}

fn keys(roff: &mut Roff, title: &str, rows: &[Row]) {
    roff.control("SH", [title]);
    for row in rows {
        roff.control("TP", []).text([bold(&*row.name), roman(" ("), italic(&*row.kind), roman(")")]);
        let needed = if row.required { " Required." } else { "" };
        let default = row.default.as_ref().map(|value| format!(" Default: {value}.")).unwrap_or_default();
        // A word that is longer than a line cannot be set.
        let example = row.example.as_ref().filter(|value| value.len() <= LONGEST_EXAMPLE);
        let example = example.map(|value| format!(" Example: {value}")).unwrap_or_default();
        roff.text([roman(format!("{}{needed}{default}{example}", row.text))]);
    }
}
