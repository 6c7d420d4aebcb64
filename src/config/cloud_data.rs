//! User data and vendor data: where their texts come from, and the values of a VM that are filled into them.
//!
//! `${vm_name}` stands for a value of the VM, `$${` for `${`. The values are numbers, words, and names that the rules of
//! their keys keep to letters, digits, `.`, `_` and `-`: none can be more than a value, in whatever language the text is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits::MAX_DATA_BYTES;
use super::owner::{Owner, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCloudData, RawVm};
use super::source::{BadData, Once};
use super::spans::Place;
use super::{cloud_config, codes};
use crate::diag::nearest;
use crate::model::{CloudData, DataPart, DesiredVm};

/// The text of a value of a VM.
type Said = fn(&DesiredVm) -> Cow<'_, str>;

/// The values that can be filled in, as the file calls them.
const VALUES: [(&str, Said); 11] = [
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

/// How a text begins that cloud-init knows, or its like for Windows.
const BEGINS: [&str; 9] = [
    "#cloud-config",
    "#!",
    "#include",
    "#cloud-boothook",
    "#part-handler",
    "## template:",
    "#ps1",
    "rem cmd",
    "<powershell",
];

/// The same of MIME, in any case of letters.
const MIME: [&str; 2] = ["content-type:", "mime-version:"];

/// The way out for a file that lies somewhere else.
const ELSEWHERE: &str = "files that a config names lie below its directory, without links";

/// A value of a config that is a text for cloud-init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Whose it is.
    pub owner: TextOwner,
    /// The key: `user_data` or `vendor_data`.
    pub key: &'static str,
}

/// What has a text of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOwner {
    /// `vm_defaults`.
    Defaults,
    /// The profile of this name.
    Profile(String),
    /// The VM of this VMID.
    Vm(Option<u32>),
}

/// The texts of the files that a config names, and those that it holds itself.
#[derive(Default)]
pub(super) struct DataTexts(BTreeMap<String, Arc<str>>, Vec<(Inside, Arc<str>)>);

impl DataTexts {
    /// The text that an object gives; empty where it gives none.
    pub(super) fn text(&self, raw: &RawCloudData) -> Arc<str> {
        let of_file = raw.file.as_ref().and_then(|file| self.0.get(file)).cloned();
        of_file.or_else(|| raw.text.as_deref().map(Arc::from)).unwrap_or_default()
    }

    /// Every file with its text.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.0.iter().map(|(file, text)| (file.as_str(), text))
    }

    /// Every text that stands in the config.
    pub(super) fn inside(&self) -> impl Iterator<Item = (&Inside, &Arc<str>)> {
        self.1.iter().map(|(inside, text)| (inside, text))
    }
}

/// A text into which nothing is filled in yet; `None`: there is to be none.
pub(super) fn unfilled(text: &Arc<str>) -> Option<CloudData> {
    (!text.is_empty()).then(|| CloudData { text: Arc::clone(text), file: String::new(), storage: None })
}

/// Fills the values of a VM into its texts, and names their snippets.
pub(super) fn fill(vm: &mut DesiredVm, project: &str) {
    for part in DataPart::ALL {
        let Some(data) = vm.data(part) else { continue };
        let text = filled(&data.text, vm);
        let data = CloudData::new(project, vm.vm_id, part, &text);
        match part {
            DataPart::User => vm.user_data = Some(data),
            DataPart::Vendor => vm.vendor_data = Some(data),
        }
    }
}

/// A piece of a text.
enum Piece<'t> {
    /// It stands as it is.
    Text(&'t str),
    /// The name between `${` and `}`; `None`: nothing ends it in its line. And where it begins, in bytes.
    Value(Option<&'t str>, usize),
}

/// The pieces of a text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
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

/// A text with the values of a VM. Names that are not known were refused.
fn filled(text: &str, vm: &DesiredVm) -> String {
    let value = |name: &str| VALUES.iter().find(|(known, _)| *known == name).map(|(_, value)| value(vm));
    pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => Cow::Borrowed(text),
            Piece::Value(name, _) => name.and_then(value).unwrap_or_default(),
        })
        .collect()
}

/// Applies the rules to everything that is given to cloud-init whole, and reads the files that are named.
pub(super) fn check(raw: &Raw, once: &mut Once<'_>, problems: &mut Problems) -> DataTexts {
    let mut texts = DataTexts::default();
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (key, data) in [("user_data", &vm.user_data), ("vendor_data", &vm.vendor_data)] {
            if let Some(data) = data {
                given(&At { owner, key }, data, (once, &mut texts), problems);
                if let Some(text) = &data.text {
                    let owner = match owner {
                        Owner::Defaults => TextOwner::Defaults,
                        Owner::Profile(name) => TextOwner::Profile(name.to_owned()),
                        Owner::Vm(_) => TextOwner::Vm(vm.vm_id),
                    };
                    texts.1.push((Inside { owner, key }, text.as_str().into()));
                }
            }
        }
        problems.since(before, vm.vm_id);
    }
    replaced(raw, problems);
    texts
}

/// Where a text stands.
struct At<'a> {
    owner: Owner<'a>,
    key: &'static str,
}

impl At<'_> {
    fn place(&self, below: &str) -> Place {
        self.owner.value(&format!("{}/{below}", self.key))
    }

    fn bad(&self, below: &str, what: impl Into<String>) -> Problem {
        Problem::new(codes::BAD_DATA, what, self.place(below))
    }
}

/// Applies the rules to one object.
fn given(at: &At<'_>, data: &RawCloudData, (once, texts): (&mut Once<'_>, &mut DataTexts), problems: &mut Problems) {
    if data.file.is_some() && data.text.is_some() {
        let what = format!("`{}` comes from a file or from a text, not from both", at.key);
        problems.push(at.bad("text", what).also(at.place("file"), "the file").hint("take `file` or `text` out"));
        return;
    }
    if let Some(text) = &data.text {
        judge(at, "text", "the text", text, problems);
    }
    let Some(file) = data.file.as_ref().filter(|file| !file.is_empty()) else { return };
    let named = format!("the file {}", shown(file));
    match read(once.data(file)) {
        Ok(text) => {
            judge(at, "file", &named, text, problems);
            texts.0.insert(file.clone(), Arc::from(text));
        }
        Err((why, hint)) => problems.push(at.bad("file", format!("{named} {why}")).hint_if(hint)),
    }
}

/// The text of a file; else why there is none, and the way out.
fn read(read: &Result<Vec<u8>, BadData>) -> Result<&str, (String, Option<String>)> {
    let hinted = |why: String, hint: &str| Err((why, Some(hint.to_owned())));
    match read {
        Ok(bytes) => std::str::from_utf8(bytes).map_err(|_| ("is not UTF-8".to_owned(), None)),
        Err(BadData::Missing) => hinted("is not there".to_owned(), "a relative path starts at the config"),
        Err(BadData::Outside) => hinted("lies outside the directory of the config".to_owned(), ELSEWHERE),
        Err(BadData::Link(part)) => hinted(format!("is reached through a link, {}", shown(part)), ELSEWHERE),
        Err(BadData::NotAFile) => hinted("is not a regular file".to_owned(), ELSEWHERE),
        Err(BadData::TooBig) => Err((format!("is larger than {} KiB", MAX_DATA_BYTES >> 10), None)),
        Err(BadData::Unstaged) => {
            hinted("is not in the git index".to_owned(), "stage it with `git add`, so that it is committed, too")
        }
        Err(BadData::Unreadable(why)) => Err((format!("cannot be read: {why}"), None)),
    }
}

/// Applies the rules to a text.
fn judge(at: &At<'_>, below: &str, named: &str, text: &str, problems: &mut Problems) {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    if text.trim().is_empty() {
        return problems.push(at.bad(below, format!("{named} is empty")));
    }
    if text.len() > MAX_DATA_BYTES {
        return problems.push(at.bad(below, format!("{named} is larger than {} KiB", MAX_DATA_BYTES >> 10)));
    }
    if let Some((place, control)) = text.char_indices().find(|(_, c)| odd(*c)) {
        let what =
            format!("{named} contains the control character U+{:04X} in line {}", u32::from(control), line(place));
        return problems.push(at.bad(below, what).hint("remove it"));
    }
    for piece in pieces(text) {
        let Piece::Value(name, place) = piece else { continue };
        if name.is_some_and(|name| VALUES.iter().any(|(known, _)| *known == name)) {
            continue;
        }
        let what = match name {
            Some(name) => format!("{named} has {} in line {}, and a VM has no such value", shown(name), line(place)),
            None => format!("{named} has `${{` in line {} without the `}}` that ends it", line(place)),
        };
        let known = || VALUES.iter().map(|(name, _)| *name);
        let meant = name.and_then(|name| nearest(name, known()));
        let hint = meant.map_or_else(
            || {
                let all = known().collect::<Vec<_>>().join(", ");
                format!("write `$${{` to get `${{` itself; the values are {all}")
            },
            |meant| format!("did you mean `${{{meant}}}`? Write `$${{` to get `${{` itself"),
        );
        return problems.push(at.bad(below, what).hint(hint));
    }
    let begins = text.trim_start_matches('\u{feff}');
    let mime = |known: &&str| begins.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    if !BEGINS.iter().any(|known| begins.starts_with(known)) && !MIME.iter().any(mime) {
        let first = begins.lines().next().unwrap_or_default();
        let what = format!("{named} begins with {}, which cloud-init does not recognize", shown(first));
        let hint = "the first line says it: `#cloud-config`, or `#!` and the shell of a script";
        problems.push(Problem::new(codes::UNKNOWN_DATA, what, at.place(below)).hint(hint));
    }
    if begins.lines().next().and_then(|first| first.split_whitespace().next()) == Some("#cloud-config") {
        yaml(at, below, named, begins, problems);
    }
}

/// Applies the rules to a text that says of itself that it is YAML.
fn yaml(at: &At<'_>, below: &str, named: &str, text: &str, problems: &mut Problems) {
    let read = cloud_config::read(text);
    let shown_line = |line: usize| {
        let line = text.lines().nth(line - 1).filter(|line| !line.trim().is_empty());
        line.map(|line| format!("the line is {}", shown(line.trim())))
    };
    if let Some(wrong) = read.refused {
        let place = format!("line {}, column {}", wrong.line, wrong.column);
        let what = format!("{named} cannot be read by cloud-init: {place}: {}", wrong.what);
        problems.push(Problem::new(codes::NOT_YAML, what, at.place(below)).hint_if(shown_line(wrong.line)));
    }
    for wrong in read.twice {
        let place = format!("line {}, column {}", wrong.line, wrong.column);
        let what = format!("{named} has a key twice: {place}: {}", wrong.what);
        let hint = "cloud-init takes the last one alone: put both together, or take one out";
        problems.push(Problem::new(codes::KEY_TWICE, what, at.place(below)).hint(hint));
    }
}

/// Refuses values that the user data of the same VM takes the place of.
fn replaced(raw: &Raw, problems: &mut Problems) {
    let gives = |vm: &RawVm| vm.user_data.as_ref().map(|data| data.file.is_some() || data.text.is_some());
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let Some((by, true)) = said(raw, n, gives) else { continue };
        let user = said(raw, n, |vm| vm.user_config.as_ref());
        let user = user.filter(|(_, user)| {
            user.username.is_some() || user.password.is_some() || user.ssh_authorized_keys.is_some()
        });
        let upgrade = said(raw, n, |vm| vm.proxmox.as_ref()?.get("ciupgrade"));
        let found = [
            user.map(|(owner, _)| (owner, "user_config", "{}")),
            upgrade.filter(|(_, value)| !value.is_null()).map(|(owner, _)| (owner, "proxmox/ciupgrade", "null")),
        ];
        for (owner, key, none) in found.into_iter().flatten() {
            let name = key.replace('/', ".");
            let what = format!("`user_data` takes the place of what `{name}` says: the guest would not get it");
            let hint = match owner {
                Owner::Vm(_) => format!("say it in the user data, and take `{name}` out"),
                Owner::Defaults | Owner::Profile(_) => {
                    format!("say it in the user data, and give this VM `{name}` of its own: `{none}`")
                }
            };
            let problem = Problem::new(codes::DATA_REPLACES, what, owner.value(key));
            problems.push(problem.also(by.value("user_data"), "the user data").hint(hint).vm(vm.vm_id));
        }
    }
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
