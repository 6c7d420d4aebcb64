//! `pvesm`: storages and their volumes.

use std::path::Path;

use phoenix::hypervisor::{Fault, FaultKind, Hypervisor as _};

use crate::Node;
use crate::answer::Answer;

pub(crate) fn run(node: &Node, words: &[&str]) -> Answer {
    let answer = match words {
        ["status", "--content", content] => status(node, content),
        ["list", storage, "--content", "iso"] => isos(node, storage),
        ["path", volume] => path(node, volume),
        ["list", storage] | ["list", storage, "--content", "images"] => list(node, storage, None),
        ["list", storage, "--vmid", vm] | ["list", storage, "--content", "images", "--vmid", vm] => {
            list(node, storage, Some(vm))
        }
        _ => return Answer::unknown("pvesm", words),
    };
    answer.unwrap_or_else(|fault| Answer::refused(&fault, ""))
}

fn status(node: &Node, content: &str) -> Result<Answer, Fault> {
    let mut sections = node.sections();
    sections.retain(|section| section.has(content));
    sections.sort_by(|a, b| a.id.cmp(&b.id));
    let width = sections.iter().map(|section| section.id.len()).max().unwrap_or(0);
    let line = |words: [&str; 7]| {
        let [name, kind, status, total, used, free, percent] = words;
        format!("{name:<width$} {kind:>10} {status:>10} {total:>15} {used:>15} {free:>15} {percent:>8}\n")
    };
    let mut out = line(["Name", "Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"]);
    let storages = node.core.summary()?.storages;
    for section in sections {
        let Some(storage) = storages.get(&section.id).filter(|_| section.enabled()) else {
            out.push_str(&line([&section.id, &section.kind, "disabled", "0", "0", "0", "N/A"]));
            continue;
        };
        let used = storage.total - storage.free;
        let percent = used * 10_000 / storage.total.max(1);
        let percent = format!("{}.{:02}%", percent / 100, percent % 100);
        let kib = |bytes: u64| (bytes / 1024).to_string();
        let [total, used, free] = [storage.total, used, storage.free].map(kib);
        out.push_str(&line([&section.id, &section.kind, "active", &total, &used, &free, &percent]));
    }
    Ok(Answer::said(out))
}

fn isos(node: &Node, storage: &str) -> Result<Answer, Fault> {
    if node.section(storage).is_none() {
        return Err(Fault::harmless(FaultKind::Missing, format!("storage '{storage}' does not exist")));
    }
    let volumes = node.core.isos(&[storage])?.remove(storage).unwrap_or_default();
    let width = volumes.iter().map(String::len).max().unwrap_or(0);
    let mut out = format!("{:<width$} {:<7} {:<9} Size VMID\n", "Volid", "Format", "Type");
    for volume in volumes {
        out.push_str(&format!("{volume:<width$} {:<7} {:<9} 4096\n", "iso", "iso"));
    }
    Ok(Answer::said(out))
}

/// Where an image of a storage lies: here, below what stands for the node's root.
fn path(node: &Node, volume: &str) -> Result<Answer, Fault> {
    let unable = || Fault::harmless(FaultKind::Failed, format!("unable to parse volume ID '{volume}'"));
    let (id, name) = volume.split_once(':').ok_or_else(unable)?;
    let Some(section) = node.section(id) else {
        return Err(Fault::harmless(FaultKind::Missing, format!("storage '{id}' does not exist")));
    };
    let (kind, file) = name.split_once('/').ok_or_else(unable)?;
    let below = if kind == "iso" { "template/iso" } else { kind };
    let root = node.dir.join("root").display().to_string();
    Ok(Answer::said(format!("{root}{}/{below}/{file}\n", section.option("path"))))
}

fn list(node: &Node, storage: &str, vm: Option<&str>) -> Result<Answer, Fault> {
    if node.section(storage).is_none() {
        return Err(Fault::harmless(FaultKind::Missing, format!("storage '{storage}' does not exist")));
    }
    let volumes = node.volumes(storage, vm.and_then(|vm| vm.parse().ok()))?;
    let width = volumes.iter().map(|volume| volume.id.len()).max().unwrap_or(0);
    let digits = volumes.iter().map(|volume| volume.size.to_string().len()).max().unwrap_or(1);
    let mut out = format!("{:<width$} {:<7} {:<9} {:>digits$} VMID\n", "Volid", "Format", "Type", "Size");
    for volume in volumes {
        let format = if Path::new(&volume.id).extension().is_some() { "qcow2" } else { "raw" };
        out.push_str(&format!(
            "{:<width$} {format:<7} {:<9} {:>digits$} {}\n",
            volume.id, "images", volume.size, volume.vm
        ));
    }
    Ok(Answer::said(out))
}
