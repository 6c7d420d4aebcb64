//! `qm set`.

use phoenix::backend::embedded::{Command, Embedded};
use phoenix::hypervisor::Effect;
use phoenix::model::{Digest, SshKey, VmId};
use phoenix::observed::{Conf, ConfigWrite, encode_keys, holds_volume};

use crate::Node;
use crate::answer::Answer;
use crate::words::{Takes, Words};

const USAGE: &str = "qm set <vmid> [OPTIONS]";

/// Options that Proxmox has and the doubles have not.
const NOT_HERE: [&str; 4] = ["skiplock", "force", "background_delay", "import-working-storage"];

pub(crate) fn set(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    let option = |name: &str| {
        Embedded::is_option(name)
            || holds_volume(name)
            || NOT_HERE.contains(&name)
            || ["delete", "revert", "digest"].contains(&name)
    };
    let parsed = Words::parse(words, Takes { usage: USAGE, words: 1, option: &option })?;
    let vm = parsed.vm(0, "vmid", USAGE)?;
    if NOT_HERE.iter().any(|name| parsed.option(name).is_some()) {
        return Err(Answer::unknown("qm set", words));
    }
    let digest = parsed.option("digest").map(|digest| Digest(digest.to_owned()));
    let list = |name: &str| -> Vec<String> {
        let words = parsed.option(name).unwrap_or_default().split([',', ';', ' ']);
        words.filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
    };
    let mut write = ConfigWrite::default();
    for (key, value) in parsed.sorted() {
        if key == "sshkeys" {
            write.set.insert(key.to_owned(), keys(value)?);
        } else if !["delete", "revert", "digest"].contains(&key) {
            write.set.insert(key.to_owned(), value.to_owned());
        }
    }
    write.delete.extend(list("delete"));
    let keys = list("revert");
    if !keys.is_empty() && !write.is_empty() {
        return Err(Answer::unknown("qm set", words));
    }
    let err = if keys.is_empty() { warnings(node, vm, &write) } else { String::new() };
    let command =
        if keys.is_empty() { Command::Set { vm, write, digest } } else { Command::Revert { vm, keys, digest } };
    let result = node.execute(&command);
    // Proxmox says what it is going to do once it found nothing wrong with it.
    let begun = result.as_ref().map_or_else(|fault| fault.effect == Effect::Maybe, |()| true);
    let mut answer = match result {
        Ok(()) => Answer { err, ..Answer::default() },
        Err(fault) => Answer::refused(&fault, USAGE),
    };
    if begun {
        let words: Vec<String> = parsed
            .sorted()
            .iter()
            .filter(|(key, _)| *key != "digest")
            .map(|(key, value)| format!("-{key} {value}"))
            .collect();
        answer.out = format!("update VM {vm}: {}\n", words.join(" "));
        if answer.out.chars().any(|c| u32::from(c) > 0xff) {
            let wide = "Wide character in print at /usr/local/share/perl/5.36.0/PVE/API2/Qemu.pm line 2259.\n";
            answer.err.insert_str(0, wide);
        }
    }
    Ok(answer)
}

/// The content of the file behind `--sshkeys`, as it is stored.
fn keys(path: &str) -> Result<String, Answer> {
    let text = std::fs::read_to_string(path)
        .map_err(|_| Answer::bad_parameter(&format!("can't open '{path}' - No such file or directory"), USAGE))?;
    let keys: Result<Vec<SshKey>, _> = text.lines().map(SshKey::parse).collect();
    let keys = keys.map_err(|_| Answer {
        err: "SSH public key validation error\n".to_owned(),
        status: 255,
        ..Answer::default()
    })?;
    Ok(encode_keys(&keys))
}

/// What Proxmox remarks on deleting what is not set.
fn warnings(node: &Node, vm: VmId, write: &ConfigWrite) -> String {
    let Some(text) = node.config(vm) else { return String::new() };
    let conf = Conf::parse(&text);
    let unset = |key: &&String| {
        conf.get(key).is_none() && conf.pending(key).is_none() && !(*key == "description" && text.starts_with('#'))
    };
    let line = |key: &String| format!("cannot delete '{key}' - not set in current configuration!\n");
    write.delete.iter().filter(unset).map(line).collect()
}
