//! What names, tags and paths may look like.
//!
//! Each rule exists twice: as a pattern, which the schema carries for editors, and as a function, which says what
//! exactly is wrong. A test in `tests/schema.rs` holds them together.

use core::net::IpAddr;

use crate::model::proxmox;

/// Pattern of [`dns_name`] without its length limit.
pub(crate) const DNS_NAME: &str =
    "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$";
/// Longest DNS name.
pub(crate) const MAX_DNS_NAME: usize = 253;
/// Pattern of [`tag`].
pub(crate) const TAG: &str = "^[A-Za-z0-9_][A-Za-z0-9_+.-]*$";
/// Pattern of [`storage`].
pub(crate) const STORAGE: &str = "^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$";
/// Longest storage id.
pub(crate) const MAX_STORAGE: usize = 100;
/// Pattern of [`bridge`].
pub(crate) const BRIDGE: &str = "^[A-Za-z][A-Za-z0-9_.-]{0,14}$";
/// Pattern of the address of one network card.
pub(crate) const MAC: &str = "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$";
/// Pattern of VLANs and ranges of them.
pub(crate) const TRUNKS: &str = "^[0-9]{1,4}(-[0-9]{1,4})?(;[0-9]{1,4}(-[0-9]{1,4})?)*$";
/// Pattern of [`feature`].
pub(crate) const FEATURE: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
/// Pattern of [`profile`].
pub(crate) const PROFILE: &str = "^[a-z0-9][a-z0-9_-]{0,31}$";
/// Pattern of [`node`].
pub(crate) const NODE: &str = "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$";
/// Pattern of [`project`].
pub(crate) const PROJECT: &str = "^[a-z0-9][a-z0-9_-]{0,31}$";
/// Pattern of [`uuid`].
pub(crate) const UUID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";
/// Coarse pattern of [`path`]: the function also refuses `.`, `..` and empty components.
pub(crate) const PATH: &str = "^/[^\\s#\\\\\"'`:,]*$";
/// Longest path: the limit of NFS.
pub(crate) const MAX_PATH: usize = 1024;
/// Coarse pattern of [`server`].
pub(crate) const SERVER: &str = "^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9:])?$";

/// Coarse pattern of an IPv4 address with its prefix length, or `dhcp` or `none`.
pub(crate) const IPV4: &str = "^(dhcp|none|[0-9.]+/[0-9]{1,2})$";
/// Coarse pattern of an IPv4 gateway.
pub(crate) const GATEWAY: &str = "^[0-9.]+$";
/// Coarse pattern of an IPv6 address with its prefix length, or `dhcp`, `auto` or `none`.
pub(crate) const IPV6: &str = "^(dhcp|auto|none|[0-9A-Fa-f:.]+/[0-9]{1,3})$";
/// Coarse pattern of an IPv6 gateway.
pub(crate) const GATEWAY6: &str = "^[0-9A-Fa-f:.]+$";
/// Coarse pattern of addresses, separated by spaces.
pub(crate) const ADDRESSES: &str = "^[0-9A-Fa-f:.]+( +[0-9A-Fa-f:.]+)*$";
/// Coarse pattern of DNS names, separated by spaces.
pub(crate) const DOMAINS: &str = "^[A-Za-z0-9][A-Za-z0-9.-]*( +[A-Za-z0-9][A-Za-z0-9.-]*)*$";
/// Coarse pattern of [`user`], without its length limit.
pub(crate) const USER: &str = "^\\S(.*\\S)?$";
/// Longest name of a user.
pub(crate) const MAX_USER: usize = 256;
/// Coarse pattern of a public key of OpenSSH.
pub(crate) const SSH_KEY: &str = "^ *[a-z][a-z0-9@.-]* +[A-Za-z0-9+/=]+( .*)?$";
/// Coarse pattern of the source of an image.
pub(crate) const IMAGE: &str = "^(https://[^\\s\"'`\\\\{}<>|^@]+|(file:(//)?)?/[^\\s#\\\\\"'`:,]+|[A-Za-z][A-Za-z0-9._-]*:import/[^\\s#\\\\\"'`:,/]+)$";
/// Coarse pattern of a volume of a storage.
pub(crate) const VOLUME: &str = "^[A-Za-z][A-Za-z0-9._-]*:[A-Za-z0-9_]([A-Za-z0-9._+-]|/[A-Za-z0-9_])*$";
/// Pattern of a device that a VM can boot from.
pub(crate) const BOOT_DEVICE: &str =
    "^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3]|net([0-9]|[12][0-9]|3[01]))$";
/// Pattern of a SHA-256 in hex.
pub(crate) const SHA256: &str = "^[0-9A-Fa-f]{64}$";
/// Pattern of a SHA-512 in hex.
pub(crate) const SHA512: &str = "^[0-9A-Fa-f]{128}$";
/// Longest public key: one of RSA with 16,384 bits has 2,800 characters.
pub(crate) const MAX_SSH_KEY: usize = 8192;

/// The verdict of a rule; the error is a fragment that says what is wrong.
pub(super) type Verdict = Result<(), String>;

/// Tells whether a character steers a terminal or the direction of text instead of being shown.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Tells whether a character takes no place on the screen, so that two texts can look the same and differ.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{2800}'
        | '\u{3164}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Finds the first control character; line breaks and tabs are none where `lines` says so.
pub(super) fn control_in(text: &str, lines: bool) -> Option<char> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return None;
    }
    text.chars().find(|&c| is_control(c) && !(lines && matches!(c, '\n' | '\t')))
}

/// Accepts what Proxmox takes as the name of a VM: labels of letters, digits and inner dashes, joined by dots.
pub(super) fn dns_name(text: &str) -> Verdict {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > MAX_DNS_NAME {
        return Err(format!("it is longer than {MAX_DNS_NAME} characters"));
    }
    for label in text.split('.') {
        only(label, |c| c.is_ascii_alphanumeric() || c == '-')?;
        if label.is_empty() {
            return Err("a dot needs letters or digits before and after it".into());
        }
        if label.len() > 63 {
            return Err("a part is longer than 63 characters".into());
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part starts or ends with `-`".into());
        }
    }
    Ok(())
}

/// Accepts what Proxmox takes as a tag; letters of any case, which it lowers.
pub(super) fn tag(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'))?;
    begins(text, |c| c.is_ascii_alphanumeric() || c == '_')
}

/// Accepts what Proxmox takes as a storage id.
pub(super) fn storage(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))?;
    begins(text, |c| c.is_ascii_alphabetic())?;
    if text.len() < 2 {
        return Err("it is shorter than 2 characters".into());
    }
    if text.ends_with(|c: char| !c.is_ascii_alphanumeric()) {
        return Err("it ends with neither letter nor digit".into());
    }
    at_most(text, MAX_STORAGE)
}

/// Accepts the name of a network bridge.
pub(super) fn bridge(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))?;
    begins(text, |c| c.is_ascii_alphabetic())?;
    at_most(text, 15)
}

/// Accepts a uuid as Proxmox writes it.
pub(super) fn uuid(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_hexdigit() || c == '-')?;
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    if lengths == [8, 4, 4, 4, 12] { Ok(()) } else { Err("its groups must have 8, 4, 4, 4 and 12 digits".into()) }
}

/// Accepts the name of a feature, from which file names are made.
pub(super) fn feature(text: &str) -> Verdict {
    slug(text, 64)
}

/// Accepts the name of a project.
pub(super) fn project(text: &str) -> Verdict {
    slug(text, 32)
}

/// Accepts the name of a profile.
pub(super) fn profile(text: &str) -> Verdict {
    slug(text, 32)
}

/// Accepts the name of a node: that of a host, without its domain.
pub(super) fn node(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_alphanumeric() || c == '-')?;
    begins(text, |c| c.is_ascii_alphanumeric())?;
    if text.ends_with('-') {
        return Err("it ends with a dash".into());
    }
    at_most(text, 63)
}

/// Accepts what Proxmox takes as the name of a user: any text on one line. It takes white space at the ends away.
pub(super) fn user(text: &str) -> Verdict {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.trim() != text {
        return Err("it begins or ends with white space".into());
    }
    at_most(text, MAX_USER)
}

/// Accepts the name of a user as every Linux distribution does.
pub(super) fn linux_user(text: &str) -> Verdict {
    only(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))?;
    begins(text, |c| c.is_ascii_lowercase() || c == '_')?;
    at_most(text, 32)
}

/// Accepts the source of an image: an absolute path, also as `file:` URL; an `https:` URL; or a volume of a storage.
pub(super) fn image(text: &str) -> Verdict {
    if let Some(rest) = text.strip_prefix("https://") {
        only(rest, |c| c.is_ascii_graphic() && !"\"'`\\{}<>|^".contains(c))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
        if port.parse::<u16>().is_err() {
            return Err("its port is not a number".into());
        }
        return server(name.trim_matches(['[', ']']));
    }
    if let Some(scheme) = ["http://", "ftp://", "ssh://"].iter().find(|scheme| text.starts_with(*scheme)) {
        return Err(format!("`{scheme}` does not prove which server answers; `https://` does"));
    }
    let file = image_path(text);
    if file.starts_with('/') {
        path(file)?;
        if let Some(dir) = ["/dev/", "/proc/", "/sys/"].iter().find(|dir| format!("{file}/").starts_with(*dir)) {
            return Err(format!("what lies in `{}` is the node itself and no image", dir.trim_end_matches('/')));
        }
        return if file.ends_with('/') { Err("it is a directory".into()) } else { Ok(()) };
    }
    match text.split_once(':') {
        Some((id, name)) if !id.is_empty() && id != "file" => {
            storage(id)?;
            only(name, |c| c.is_ascii_graphic() && !"#\\\"'`:,".contains(c))?;
            if name.is_empty() || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err("it names no volume".into());
            }
            // Everything else is the disk of a VM, a backup, or what people other than the node's administrator write.
            match name.split_once('/') {
                Some(("import", name)) if !name.contains('/') => Ok(()),
                _ => Err("it is not a volume of content `import`, like `local:import/debian-13.qcow2`".into()),
            }
        }
        _ => Err("it is a relative path, and the file is the node's: write its whole path".into()),
    }
}

/// Accepts what lies in a CD drive: an ISO image of a storage, or `none`.
pub(super) fn disc(text: &str) -> Verdict {
    if text == "none" {
        return Ok(());
    }
    let Some((id, name)) = text.split_once(":iso/") else {
        return Err(match text {
            "cdrom" => "a CD drive of the node itself cannot be given to a VM".into(),
            _ if text.starts_with('/') => {
                "it is a path, and not an image of a storage, like `local:iso/debian.iso`".into()
            }
            _ => "it is neither an image of a storage, like `local:iso/debian.iso`, nor `none`".into(),
        });
    };
    storage(id)?;
    only(name, |c| !(c.is_whitespace() || is_control(c) || is_invisible(c) || "#\\\"'`:,/=".contains(c)))?;
    let end = name.rsplit_once('.').filter(|(name, _)| !name.is_empty()).map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref() {
        Some("iso" | "img") => Ok(()),
        _ => Err("its name ends neither in `.iso` nor in `.img`".into()),
    }
}

/// Accepts a device that a VM can boot from.
pub(super) fn boot_device(text: &str) -> Verdict {
    let device = proxmox::disk(text).is_some_and(|_| !proxmox::holds_state(text)) || proxmox::card(text).is_some();
    if device { Ok(()) } else { Err("it is not the slot of a disk, a CD drive or a network card".into()) }
}

/// Accepts a SHA-256 in hex.
pub(super) fn sha256(text: &str) -> Verdict {
    hex(text, 64)
}

/// Accepts a SHA-512 in hex.
pub(super) fn sha512(text: &str) -> Verdict {
    hex(text, 128)
}

fn hex(text: &str, digits: usize) -> Verdict {
    only(text, |c| c.is_ascii_hexdigit())?;
    if text.len() == digits { Ok(()) } else { Err(format!("it must have {digits} hexadecimal digits")) }
}

/// The path in a `file:` URL; anything else as it is.
pub(super) fn image_path(text: &str) -> &str {
    text.strip_prefix("file://").or(text.strip_prefix("file:")).unwrap_or(text)
}

/// Accepts DNS names, separated by spaces.
pub(super) fn domains(text: &str) -> Verdict {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    if text.trim() != text {
        return Err("it begins or ends with a space".into());
    }
    text.split(' ').filter(|word| !word.is_empty()).try_for_each(dns_name)
}

/// Accepts IP addresses, separated by spaces.
pub(super) fn addresses(text: &str) -> Verdict {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    if text.trim() != text {
        return Err("it begins or ends with a space".into());
    }
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        word.parse::<IpAddr>().map_err(|_| format!("`{word}` is not an IP address"))?;
    }
    Ok(())
}

/// Accepts an absolute path that survives `/etc/fstab` and `/etc/exports` and stays where it says.
pub(super) fn path(text: &str) -> Verdict {
    let Some(below) = text.strip_prefix('/') else {
        return Err("it does not start with `/`".into());
    };
    only(text, |c| !(c.is_whitespace() || is_invisible(c) || "#\\\"'`:,".contains(c)))?;
    at_most(text, MAX_PATH)?;
    // One slash at the end is common and harmless; it is dropped later.
    for component in below.strip_suffix('/').unwrap_or(below).split('/') {
        match component {
            "" if below.is_empty() => {}
            "" => return Err("it contains `//`".into()),
            "." | ".." => return Err(format!("it contains `{component}`")),
            long if long.len() > 255 => return Err("a component is longer than 255 bytes".into()),
            _ => {}
        }
    }
    Ok(())
}

/// Accepts a host name or an IP address.
pub(super) fn server(text: &str) -> Verdict {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("it is not an IPv4 address".into());
    }
    dns_name(text)
}

/// Tells whether a path is a directory of the operating system that nothing may be mounted on or exported from.
pub(super) fn is_system_directory(path: &str) -> bool {
    const EXACTLY: &[&str] = &["/", "/lib32", "/lib64", "/libx32", "/root", "/tmp", "/var", "/var/lib"];
    const AND_BELOW: &[&str] = &[
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/lib",
        "/proc",
        "/run",
        "/sbin",
        "/sys",
        "/usr",
        "/var/lib/phoenix",
        "/var/run",
    ];
    EXACTLY.contains(&path) || AND_BELOW.iter().any(|dir| is_within(path, dir))
}

/// Tells whether `path` is `dir` or below it.
pub(super) fn is_within(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || dir == "/")
}

/// Drops the slash at the end of a path, so that equal places compare equal.
pub(super) fn trimmed(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

fn slug(text: &str, longest: usize) -> Verdict {
    only(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))?;
    begins(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit())?;
    at_most(text, longest)
}

pub(super) fn only(text: &str, allowed: impl Fn(char) -> bool) -> Verdict {
    match text.chars().find(|&c| !allowed(c)) {
        Some(' ') => Err("it contains a space".into()),
        Some(c) => Err(format!("it contains `{c}`")),
        None => Ok(()),
    }
}

fn begins(text: &str, allowed: impl Fn(char) -> bool) -> Verdict {
    match text.chars().next() {
        None => Err("it is empty".into()),
        Some(c) if !allowed(c) => Err(format!("it starts with `{c}`")),
        Some(_) => Ok(()),
    }
}

fn at_most(text: &str, longest: usize) -> Verdict {
    if text.len() > longest { Err(format!("it is longer than {longest} characters")) } else { Ok(()) }
}
