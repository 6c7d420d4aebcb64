//! The texts of user data and vendor data: what is filled into them.
//!
//! `${vm_name}` stands for a value of the VM, `${secret.NAME}` for that of a secret, `$${` for `${`. The values of a VM
//! are numbers, words, and names that the rules of their keys keep to letters, digits, `.`, `_` and `-`: none can be
//! more than a value, in whatever language the text is. What a secret can be where it stands, `cloud_data` sees to.

use std::borrow::Cow;
use std::sync::Arc;

use super::secrets::SecretValues;
use crate::model::{CloudData, DataPart, DataText, DesiredVm, Secret, Stretched};

/// The text of a value of a VM.
pub(super) type Said = fn(&DesiredVm) -> Cow<'_, str>;

/// The values that can be filled in, as the file calls them.
pub(super) const VALUES: [(&str, Said); 11] = [
    ("vm_id", |vm| vm.vm_id.to_string().into()),
    ("vm_name", |vm| vm.vm_name.as_str().into()),
    ("template_name", |vm| vm.template_name.as_str().into()),
    ("os_type", |vm| vm.os_type.as_str().into()),
    ("cpu_sockets", |vm| vm.cpu_sockets.to_string().into()),
    ("cpu_cores", |vm| vm.cpu_cores.to_string().into()),
    ("memory_mb", |vm| vm.memory_mb.to_string().into()),
    ("boot_disk_size_gb", |vm| vm.boot_disk_size_gb.to_string().into()),
    ("boot_disk_storage", |vm| vm.boot_disk_storage.as_str().into()),
    ("network_bridge", |vm| vm.network_bridge.as_str().into()),
    ("network_model", |vm| vm.network_model.as_str().into()),
];

/// What begins the name of a secret between `${` and `}`.
pub(super) const SECRET: &str = "secret.";

/// A text into which nothing is filled in yet; `None`: there is to be none.
pub(super) fn unfilled(text: &Arc<str>) -> Option<Box<CloudData>> {
    let data = || CloudData { text: DataText::from(&**text), file: String::new(), storage: None };
    (!text.is_empty()).then(|| Box::new(data()))
}

/// Fills the values of a VM into its texts, says where secrets stand in them, and names their snippets.
pub(super) fn fill(vm: &mut DesiredVm, project: &str, (secrets, stretched): (&SecretValues, &mut Stretched)) {
    for part in DataPart::ALL {
        let Some(data) = vm.data(part) else { continue };
        let text = filled(data.text.shown(), vm, |name| {
            let mut secret = secrets.called(name)?;
            secret.seal(project, vm.vm_id, stretched);
            Some(secret)
        });
        let data = CloudData::new(project, vm.vm_id, part, text);
        match part {
            DataPart::User => vm.user_data = Some(Box::new(data)),
            DataPart::Vendor => vm.vendor_data = Some(Box::new(data)),
        }
    }
}

/// A text with the values of a VM, and with the places of its secrets. Names that are not known were refused.
fn filled(text: &str, vm: &DesiredVm, mut secret: impl FnMut(&str) -> Option<Secret>) -> DataText {
    let (mut shown, mut secrets) = (String::with_capacity(text.len()), Vec::new());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => shown.push_str(text),
            Piece::Value(name, _) => {
                let name = name.unwrap_or_default();
                if let Some((_, value)) = VALUES.iter().find(|(known, _)| *known == name) {
                    shown.push_str(&value(vm));
                } else if let Some(found) = name.strip_prefix(SECRET).and_then(&mut secret) {
                    let start = shown.len();
                    shown.extend(["${", name, "}"]);
                    secrets.push((start..shown.len(), found));
                }
            }
        }
    }
    DataText::new(&shown, secrets)
}

/// The names of the secrets that stand in a text, as often as they do.
pub(super) fn secrets_of(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Value(name, _) => name?.strip_prefix(SECRET),
    })
}

/// A piece of a text.
pub(super) enum Piece<'t> {
    /// It stands as it is.
    Text(&'t str),
    /// The name between `${` and `}`; `None`: nothing ends it in its line. And where it begins, in bytes.
    Value(Option<&'t str>, usize),
}

/// The pieces of a text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("${").map(|at| from + at) {
        if text[from..at].ends_with('$') {
            found.extend([Piece::Text(&text[from..at - 1]), Piece::Text("${")]);
            from = at + 2;
            continue;
        }
        found.push(Piece::Text(&text[from..at]));
        let line = text[at + 2..].lines().next().unwrap_or_default();
        let name = line.split_once('}').map(|(name, _)| name);
        found.push(Piece::Value(name, at));
        from = at + 2 + name.map_or(0, |name| name.len() + 1);
    }
    found.push(Piece::Text(&text[from..]));
    found
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces};
    use crate::model::CloudData;

    #[test]
    fn what_is_filled_in_is_told_from_what_stays() {
        let written = |text: &str| -> String {
            let piece = |piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Value(name, at) => format!("<{} {at}>", name.unwrap_or("?")),
            };
            pieces(text).into_iter().map(piece).collect()
        };
        for (text, is) in [
            ("", ""),
            ("a $HOME $(x) $1 $$ }", "a $HOME $(x) $1 $$ }"),
            ("${vm_id}", "<vm_id 0>"),
            ("a${vm_id}b${c}", "a<vm_id 1>b<c 10>"),
            ("$${HOME} ${x}", "${HOME} <x 9>"),
            ("${a\n}", "<? 0>a\n}"),
            ("${}$", "< 0>$"),
        ] {
            assert_eq!(written(text), is, "{text}");
        }
        for text in ["${a} $${b} $$${c} é${", "$"] {
            assert_eq!(written(&CloudData::escaped(text)), text);
        }
    }
}
