//! `phoenix completions`, and the question that its scripts ask on every press of Tab.
//!
//! The scripts are our own: bash, zsh and fish put what they are told on the command line quoted, so that no name can
//! become code there. What there is to say comes from the arguments themselves, and from the config.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::PathCompleter;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, ValueCompleter as _};

use super::args::{Args, Complete, Completions, Shell};
use super::console::Console;
use super::format::Format;
use super::{Exit, load, runs};
use crate::model::DesiredVm;
use crate::ui::text::safe;

/// Prints the script for a shell.
pub(super) fn run(verb: &Completions, console: &Console) -> Exit {
    console.print(match verb.shell {
        Shell::Bash => include_str!("completions/phoenix.bash"),
        Shell::Zsh => include_str!("completions/phoenix.zsh"),
        Shell::Fish => include_str!("completions/phoenix.fish"),
    });
    Exit::Done
}

/// Prints what a word of a command line could become, one a line, with an explanation after a tab. Where there is
/// nothing to say it says nothing: the user is in the middle of typing.
pub(super) fn complete(verb: &Complete, console: &Console) -> Exit {
    let config = config(&verb.words);
    let mut command = Args::command();
    command.build();
    let whole = command.clone();
    let mut command = taught(command, &[], &whole, &config);
    let words = verb.words.clone();
    let here = std::env::current_dir().ok();
    let Ok(found) = clap_complete::engine::complete(&mut command, words, verb.index, here.as_deref()) else {
        return Exit::Done;
    };
    let mut lines = String::new();
    for candidate in found {
        // A name with a line break would be two; one that is no text cannot be said.
        let Some(value) = candidate.get_value().to_str().filter(|value| safe(value) == *value) else { continue };
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        lines.push_str(&if help.is_empty() { format!("{value}\n") } else { format!("{value}\t{}\n", safe(help)) });
    }
    console.print(&lines);
    Exit::Done
}

/// The config that a command line names, as far as it is typed.
fn config(words: &[OsString]) -> PathBuf {
    let mut words = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut named = None;
    while let Some(word) = words.next() {
        if word == "-c" || word == "--config" {
            named = words.next().or(named);
        } else if let Some(file) = word.strip_prefix("--config=") {
            named = Some(file);
        } else if let Some(file) = word.strip_prefix("-c") {
            named = Some(file.strip_prefix('=').unwrap_or(file));
        }
    }
    named.unwrap_or("phoenix_vm_configs.json").into()
}

/// Gives the arguments of a command and of those below it their values, by what they are called in the help.
fn taught(command: Command, path: &[String], whole: &Command, config: &Path) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| taught_arg(arg, path, whole, config));
    names.into_iter().fold(command, |command, name| {
        let path = [path, std::slice::from_ref(&name)].concat();
        command.mut_subcommand(name, |below| taught(below, &path, whole, config))
    })
}

fn taught_arg(arg: Arg, path: &[String], whole: &Command, config: &Path) -> Arg {
    let what = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let file = config.to_owned();
    match what.as_str() {
        "VM" if takes_one(&arg, path) => arg.add(ArgValueCandidates::new(move || vms(&file, Words::Names))),
        "VM" => arg.add(ArgValueCandidates::new(move || vms(&file, Words::NamesAndTags))),
        "VM_ID" => arg.add(ArgValueCandidates::new(move || vms(&file, Words::None))),
        "FEATURE" => arg.add(ArgValueCandidates::new(move || features(&file))),
        "TAG" => arg.add(ArgValueCandidates::new(move || tags(&declared(&file)))),
        "FILE" if path == ["show"] => arg.add(ArgValueCompleter::new(move |typed: &OsStr| shown(typed, &file))),
        "TARGET" => arg.add(ArgValueCandidates::new(targets)),
        "FORMAT[=FILE]" => {
            let known = formats(arg.get_id().as_str(), path, whole);
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| format(typed, &known)))
        }
        _ => arg,
    }
}

/// Whether an argument names one VM at a time: tags are refused there.
fn takes_one(arg: &Arg, path: &[String]) -> bool {
    let verb = path.last().is_some_and(|verb| verb == "ssh" || verb == "console");
    let option = arg.get_long().unwrap_or_default();
    verb || ["recreate", "delete-unused"].contains(&option) || option.starts_with("yes-")
}

/// What says the same as a VMID.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    None,
    Names,
    NamesAndTags,
}

/// The VMs that a config declares; none if it cannot be read.
fn declared(config: &Path) -> Vec<Arc<DesiredVm>> {
    if load::is_stdin(config) {
        // It is for the command itself.
        return Vec::new();
    }
    load::load(config, &load::Given::default()).loaded.desired.map(|desired| desired.vms).unwrap_or_default()
}

fn candidate(value: String, help: String) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(StyledStr::from(help)))
}

/// The tags of VMs, each once.
fn tags(vms: &[Arc<DesiredVm>]) -> Vec<CompletionCandidate> {
    let tags: BTreeSet<&String> = vms.iter().flat_map(|vm| &vm.tags).collect();
    tags.into_iter().map(|tag| candidate(tag.clone(), "tag".to_owned())).collect()
}

/// The features of a config's VMs, each once.
fn features(config: &Path) -> Vec<CompletionCandidate> {
    let vms = declared(config);
    let names: BTreeSet<&str> = vms.iter().flat_map(|vm| &vm.features).map(|feature| &*feature.name).collect();
    names.into_iter().map(|name| candidate(name.to_owned(), "feature".to_owned())).collect()
}

/// The runs that are logged beside a config, and files.
fn shown(typed: &OsStr, config: &Path) -> Vec<CompletionCandidate> {
    let start = typed.to_str().unwrap_or_default();
    let runs = runs::logged(config).into_iter().filter(|run| run.starts_with(start));
    runs.map(|run| candidate(run, "run".to_owned())).chain(PathCompleter::any().complete(typed)).collect()
}

/// The VMs of a config, each with its VMID and, where they say the same, its name and its tags.
fn vms(config: &Path, words: Words) -> Vec<CompletionCandidate> {
    let vms = declared(config);
    let mut found: Vec<_> = vms.iter().map(|vm| candidate(vm.vm_id.to_string(), vm.vm_name.clone())).collect();
    if words != Words::None {
        found.extend(vms.iter().map(|vm| candidate(vm.vm_name.clone(), format!("VM {}", vm.vm_id))));
    }
    if words == Words::NamesAndTags {
        found.extend(tags(&vms));
    }
    found
}

fn targets() -> Vec<CompletionCandidate> {
    let of = |value: &str, help: &'static str| CompletionCandidate::new(value).help(Some(help.into()));
    vec![
        of("embedded:", "a node in a directory"),
        of("qm:", "this Proxmox VE node"),
        of("qm+ssh://", "a Proxmox VE node through ssh"),
    ]
}

/// The formats that a verb takes: those that its own parser does not refuse.
fn formats(id: &str, path: &[String], whole: &Command) -> Vec<&'static str> {
    let names = Format::ALL.iter().map(|format| format.name());
    let takes = |name: &&str| {
        let line = ["phoenix".to_owned()].into_iter().chain(path.iter().cloned());
        let line = line.chain([format!("--{id}"), (*name).to_owned()]);
        whole.clone().try_get_matches_from(line).err().is_none_or(|error| error.kind() != ErrorKind::ValueValidation)
    };
    names.filter(takes).collect()
}

/// Formats, and files after `=`.
fn format(typed: &OsStr, known: &[&'static str]) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    if let Some((name, file)) = typed.split_once('=') {
        let files = PathCompleter::any().complete(OsStr::new(file));
        return files.into_iter().map(|found| found.add_prefix(format!("{name}="))).collect();
    }
    known.iter().filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
}
