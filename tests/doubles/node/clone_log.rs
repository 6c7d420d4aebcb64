//! What `qm clone` says about its drives.

use phoenix::hypervisor::Fault;
use phoenix::model::VmId;
use phoenix::observed::{Conf, is_disk_key, print_size};

use crate::Node;

/// The output of a clone that has ended well.
pub(crate) fn clone_log(node: &Node, source: VmId, target: VmId, full: bool) -> Result<String, Fault> {
    let mut log = format!("creating a clone of VM {source} with ID {target}\n");
    let (from, to) = (node.config(source).unwrap_or_default(), node.config(target).unwrap_or_default());
    let (from, to) = (Conf::parse(&from), Conf::parse(&to));
    let volume = |drive: &str| drive.split(',').next().unwrap_or_default().to_owned();
    let mut drives: Vec<(&str, String, String)> = from
        .entries()
        .filter(|(key, _)| is_disk_key(key))
        .filter_map(|(key, drive)| Some((key, volume(drive), volume(to.get(key)?))))
        .filter(|(_, old, new)| old != new)
        .collect();
    // The drive for cloud-init comes first.
    drives.sort_by_key(|(_, old, _)| !old.contains("-cloudinit"));
    for (key, old, new) in drives {
        let cloud_init = old.contains("-cloudinit");
        let (storage, path) = new.split_once(':').unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let size = node.volumes(storage, Some(target))?.iter().find(|v| v.id.ends_with(name)).map_or(0, |v| v.size);
        let directory = node.section(storage).filter(|section| section.kind == "dir");
        let formatting = |cluster: u32, l2: &str, backing: &str| {
            directory.as_ref().map_or_else(String::new, |section| {
                format!(
                    "Formatting '{}/images/{target}/{name}', fmt=qcow2 cluster_size={cluster} extended_l2={l2} \
                     preallocation=metadata compression_type=zlib size={size}{backing} lazy_refcounts=off \
                     refcount_bits=16\n",
                    section.option("path")
                )
            })
        };
        if full || cloud_init {
            log.push_str(&format!("create full clone of drive {key} ({old})\n"));
            log.push_str(&formatting(65536, "off", ""));
            log.push_str(&format!("allocated target volume '{new}'\n"));
            if !cloud_init {
                let whole = readable(size);
                log.push_str(&format!("transferred 0.0 B of {whole} (0.00%)\n"));
                log.push_str(&format!("transferred {whole} of {whole} (100.00%)\n"));
            }
            continue;
        }
        log.push_str(&format!("create linked clone of drive {key} ({old})\n"));
        if directory.is_some() {
            let base = old.split_once(':').map_or(old.as_str(), |(_, base)| base);
            log.push_str(&format!("clone {base}: images, {name}, {target} to {name} (base=../{base})\n"));
            log.push_str(&formatting(131_072, "on", &format!(" backing_file=../{base} backing_fmt=qcow2")));
        }
    }
    Ok(log)
}

/// Bytes for people: `1.0 GiB`.
fn readable(size: u64) -> String {
    let text = print_size(size);
    let (number, unit) = text.split_at(text.len() - 1);
    format!("{number}.0 {unit}iB")
}
