//! `phoenix plan --commands`: the commands that a plan stands for.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use crate::apply::{Call, Preview};
use crate::backend::qm::command::{agent_on, commands, commands_on, guest_exec, guest_exec_on, keys, password};
use crate::guest::{Program, unpacked};
use crate::hypervisor::{FileOp, HostOp};
use crate::model::{CloudImage, IMAGE_CACHE, ImagePlace, VmId};
use crate::observed::{Export, has_short_record, print_exports, with_short_record};
use crate::ui::commands::{Line, Word};

/// The scripts that phoenix runs in guests, by the variable that stands for them.
const SCRIPTS: [(&str, &str); 12] = [
    ("cloud-init", "phoenix_cloud_init"),
    ("phoenix-grow", "phoenix_grow"),
    ("phoenix-format", "phoenix_format"),
    ("phoenix-disk-mount", "phoenix_disk_mount"),
    ("phoenix-mount", "phoenix_mount"),
    ("phoenix-unmount", "phoenix_unmount"),
    ("phoenix-stage", "phoenix_stage"),
    ("phoenix-feature", "phoenix_feature"),
    ("phoenix-feature-forget", "phoenix_feature_forget"),
    ("phoenix-feature-result", "phoenix_feature_result"),
    ("phoenix-clean", "phoenix_clean"),
    ("phoenix-cleaned", "phoenix_cleaned"),
];

/// The lines of a script that does what the plan does, as far as commands can.
pub(super) fn lines(previews: &[Preview]) -> Result<Vec<Line>> {
    let mut scripts = BTreeMap::new();
    let mut lines = Vec::new();
    for Preview { action, vm, calls, nodes } in previews {
        // A record that a feature's end has written already needs no call.
        if calls.is_empty() {
            continue;
        }
        lines.push(Line::Title(action.clone()));
        for (call, node) in calls.iter().zip(nodes) {
            match (call, node) {
                (Call::Host(op), Some(node)) => elsewhere(op, node, &mut lines),
                (Call::Host(op), None) => host(op, &mut lines),
                (Call::Files(op), _) => files(op, &mut lines),
                (Call::Agent(question), Some(node)) => {
                    lines.push(command(agent_on(node, *vm, question).iter().map(String::as_str)));
                }
                (Call::Agent(question), None) => lines.push(command(["qm", "agent", &vm.to_string(), question])),
                (Call::Guest(program), node) => {
                    let files = unpacked(&program.input).unwrap_or_default();
                    if !files.is_empty() {
                        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
                        let text = format!("its standard input, as a tar archive in base64: {}", names.join(", "));
                        lines.push(Line::Remark(text));
                    }
                    lines.push(in_guest((*vm, node.as_deref()), program, &mut scripts)?);
                }
            }
        }
    }
    let is_cut = |line: &Line| match line {
        Line::Command(words) => words.iter().any(|word| matches!(word, Word::Text(text) if has_short_record(text))),
        _ => false,
    };
    if lines.iter().any(is_cut) {
        let text = "for reading: of the record in the notes only the beginning stands here, and phoenix cannot read one that \
                    was pasted like that";
        lines.insert(0, Line::Remark(text.to_owned()));
    }
    if !scripts.is_empty() {
        let title =
            "appendix: the programs that the commands above run in guests, as variables of a shell; to be set first";
        lines.push(Line::Title(title.to_owned()));
        lines.extend(scripts.into_iter().map(|(name, text)| Line::Variable(name, text)));
    }
    Ok(lines)
}

fn host(op: &HostOp, lines: &mut Vec<Line>) {
    if password(op).is_some() {
        lines.push(Line::Remark("$PASSWORD is the value of the secret that `user_config.password` names".to_owned()));
    }
    for argv in commands(op) {
        let argv: Vec<String> = argv.iter().map(|word| with_short_record(word)).collect();
        lines.push(command(argv.iter().map(String::as_str)));
    }
    if let (Some(Line::Command(words)), Some(_)) = (lines.last_mut(), password(op)) {
        // Behind `qm set VMID`.
        let place = words.len().min(3);
        words.splice(place..place, [Word::Text("--cipassword".to_owned()), Word::Variable("PASSWORD")]);
    }
    if let (Some(Line::Command(words)), Some(keys)) = (lines.last_mut(), keys(op)) {
        words.push(Word::File(keys.lines().map(ToOwned::to_owned).collect()));
    }
    if let HostOp::FetchImage { image, .. } = op {
        fetch(image, lines);
    }
}

/// What is done to a VM of another node, through the target's own; what `qm` alone can do is done there.
fn elsewhere(op: &HostOp, node: &str, lines: &mut Vec<Line>) {
    if let HostOp::RemoveLeftover { .. } = op {
        lines.push(Line::Remark(format!("on node {node}:")));
        return host(op, lines);
    }
    for argv in commands_on(op, node) {
        let argv: Vec<String> = argv.iter().map(|word| with_short_record(word)).collect();
        lines.push(command(argv.iter().map(String::as_str)));
    }
}

fn files(op: &FileOp, lines: &mut Vec<Line>) {
    match op {
        FileOp::MakeDirectory { path } => lines.push(command(["mkdir", "-p", "--", path])),
        FileOp::WriteSnippet { path, text, .. } => {
            let values = if text.has_secrets() { ", with the values of its secrets" } else { "" };
            lines.push(Line::Remark(format!("into {path}{values}:")));
            lines.extend(text.shown().lines().map(|line| Line::Remark(format!("  {line}"))));
        }
        FileOp::RemoveSnippet { path, .. } => lines.push(command(["rm", "-f", "--", path])),
        FileOp::WriteExports { vm, entries } => {
            let path = format!("/etc/exports.d/{}", Export::file_name(*vm));
            if entries.is_empty() {
                lines.push(command(["rm", "-f", &path]));
            } else {
                let text = print_exports(entries.iter().map(|entry| (entry.path.as_str(), entry.client.as_str())));
                lines.push(Line::Remark(format!("into {path}:")));
                lines.extend(text.lines().map(|line| Line::Remark(format!("  {line}"))));
            }
            lines.push(command(["exportfs", "-ra"]));
        }
    }
}

/// What `phoenix-fetch-image` comes to, without what it does about interruptions.
fn fetch(image: &CloudImage, lines: &mut Vec<Line>) {
    let path = image.fetched();
    let at = match image.place() {
        ImagePlace::Url(url) => {
            lines.push(command(["mkdir", "-p", IMAGE_CACHE]));
            lines.push(command(["curl", "--fail", "--location", "--proto", "=https", "--output", &path, "--url", url]));
            path
        }
        ImagePlace::Volume(volume) => format!("what `pvesm path {volume}` prints"),
        ImagePlace::File(_) => path,
    };
    if let Some(digest) = image.digest() {
        let (kind, _) = image.digest_kind();
        lines.push(Line::Remark(format!("the {kind} of {at} must be {digest}")));
    }
}

/// A program in the guest of a VM, on the other node that it is on, if it is on one.
fn in_guest(
    (vm, node): (VmId, Option<&str>),
    program: &Program,
    scripts: &mut BTreeMap<&'static str, String>,
) -> Result<Line> {
    let argv = match node {
        Some(node) => guest_exec_on(node, vm, &program.argv),
        None => guest_exec(vm, &program.argv, !program.input.is_empty()),
    };
    let text = |word: &String| Word::Text(word.clone());
    let [shell, flag, script, name, ..] = program.argv.as_slice() else {
        return Ok(Line::Command(argv.iter().map(text).collect()));
    };
    if shell != "/bin/sh" || flag != "-c" {
        return Ok(Line::Command(argv.iter().map(text).collect()));
    }
    let Some((_, variable)) = SCRIPTS.iter().find(|(known, _)| known == name) else {
        return Err(anyhow!("no variable stands for the script {name} (a bug in phoenix)"));
    };
    scripts.insert(variable, script.clone());
    let words = argv.iter().map(|word| if word == script { Word::Variable(variable) } else { text(word) });
    Ok(Line::Command(words.collect()))
}

fn command<'a>(argv: impl IntoIterator<Item = &'a str>) -> Line {
    Line::Command(argv.into_iter().map(|word| Word::Text(word.to_owned())).collect())
}
