//! User data and vendor data: where their texts come from, and the rules for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::data_text::{Piece, SECRET, VALUES, pieces, secrets_of};
use super::limits::MAX_DATA_BYTES;
use super::owner::{Owner, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCloudData, RawVm};
use super::secrets::SecretValues;
use super::source::{BadData, Once};
use super::spans::Place;
use super::{cloud_config, codes, fitting};
use crate::diag::nearest;
use crate::model::Secret;

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

/// The texts of the files that a config names, those that it holds itself, and the names of the secrets that all of
/// them have.
#[derive(Default)]
pub(super) struct DataTexts(BTreeMap<String, Arc<str>>, Vec<(Inside, Arc<str>)>, BTreeSet<String>);

impl DataTexts {
    /// The text that an object gives; empty where it gives none.
    pub(super) fn text(&self, raw: &RawCloudData) -> Arc<str> {
        let of_file = raw.file.as_ref().and_then(|file| self.0.get(file)).cloned();
        of_file.or_else(|| raw.text.as_deref().map(Arc::from)).unwrap_or_default()
    }

    /// The names of the secrets that stand in texts, whether or not the file has them.
    pub(super) fn secrets(&self) -> &BTreeSet<String> {
        &self.2
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

/// Applies the rules to everything that is given to cloud-init whole, and reads the files that are named.
pub(super) fn check(raw: &Raw, once: &mut Once<'_>, problems: &mut Problems) -> DataTexts {
    let mut texts = DataTexts::default();
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (key, data) in [("user_data", &vm.user_data), ("vendor_data", &vm.vendor_data)] {
            if let Some(data) = data {
                given(&At { owner, key, raw }, data, (once, &mut texts), problems);
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
    raw: &'a Raw,
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
        texts.2.extend(secrets_of(text).map(str::to_owned));
    }
    let Some(file) = data.file.as_ref().filter(|file| !file.is_empty()) else { return };
    let named = format!("the file {}", shown(file));
    match read(once.data(file)) {
        Ok(text) => {
            judge(at, "file", &named, text, problems);
            texts.2.extend(secrets_of(text).map(str::to_owned));
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
        let found = match name {
            Some(name) if VALUES.iter().any(|(known, _)| *known == name) => continue,
            Some(name) => match name.strip_prefix(SECRET) {
                Some(secret) if at.raw.secrets.contains_key(secret) => continue,
                Some(secret) => no_secret(at, below, secret, &format!("{named} names it in line {}", line(place))),
                None => {
                    let what =
                        format!("{named} has {} in line {}, and a VM has no such value", shown(name), line(place));
                    at.bad(below, what).hint(meant(name))
                }
            },
            None => {
                let what = format!("{named} has `${{` in line {} without the `}}` that ends it", line(place));
                at.bad(below, what).hint(meant(""))
            }
        };
        return problems.push(found);
    }
    let begins = text.trim_start_matches('\u{feff}');
    let mime = |known: &&str| begins.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    if !BEGINS.iter().any(|known| begins.starts_with(known)) && !MIME.iter().any(mime) {
        let first = begins.lines().next().unwrap_or_default();
        let what = format!("{named} begins with {}, which cloud-init does not recognize", shown(first));
        let hint = "the first line says it: `#cloud-config`, or `#!` and the shell of a script";
        problems.push(Problem::new(codes::UNKNOWN_DATA, what, at.place(below)).hint(hint));
    }
    if is_cloud_config(begins) {
        yaml(at, below, named, begins, problems);
    }
}

/// What to write in place of a name that is no value of a VM.
fn meant(name: &str) -> String {
    let known = || VALUES.iter().map(|(name, _)| *name);
    if let Some(meant) = nearest(name, known()).filter(|_| !name.is_empty()) {
        return format!("did you mean `${{{meant}}}`? Write `$${{` to get `${{` itself");
    }
    let all = known().collect::<Vec<_>>().join(", ");
    format!("write `$${{` to get `${{` itself; the values are {all}, and `secret.NAME`")
}

/// Says that a text has a secret that the file does not.
fn no_secret(at: &At<'_>, below: &str, name: &str, by: &str) -> Problem {
    let names = || at.raw.secrets.keys().map(String::as_str);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `${{{SECRET}{near}}}`?"),
        None if at.raw.secrets.is_empty() => {
            "`secrets`, beside `virtual_machines`, names them: `\"secrets\": { \"db\": \
            { \"env\": \"PHOENIX_SECRET_DB\" } }`"
                .to_owned()
        }
        None => {
            let known: Vec<String> = names().take(10).map(shown).collect();
            format!("known are {}; add it to `secrets`", known.join(", "))
        }
    };
    let what = format!("there is no secret {}: {by}", shown(name));
    Problem::new(codes::UNKNOWN_SECRET, what, at.place(below)).hint(hint)
}

/// Refuses values of secrets that YAML reads as something else where they stand: a value with a `#` behind a blank,
/// say, or a number. No message has a value, nor what YAML makes of it.
pub(super) fn fit(raw: &Raw, files: &DataTexts, secrets: &SecretValues, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (key, data) in [("user_data", &vm.user_data), ("vendor_data", &vm.vendor_data)] {
            let Some(data) = data else { continue };
            let text = files.text(data);
            // Of one that cannot be read more is said already.
            if !is_cloud_config(&text) || cloud_config::read(text.trim_start_matches('\u{feff}')).refused.is_some() {
                continue;
            }
            let found: BTreeMap<String, Secret> =
                secrets_of(&text).filter_map(|name| Some((format!("{SECRET}{name}"), secrets.called(name)?))).collect();
            let values = found.iter().filter_map(|(name, secret)| Some((name.as_str(), secret.value()?))).collect();
            for name in fitting::unfit(&text, &values) {
                let name = name.strip_prefix(SECRET).unwrap_or(name);
                let at = At { owner, key, raw };
                let below = if data.file.is_some() { "file" } else { "text" };
                let what =
                    format!("YAML reads the value of the secret {} as something else where it stands", shown(name));
                let hint = format!(
                    "put it between single quotes, `'${{{SECRET}{name}}}'`; a value with such a quote in it, on a line of \
                     its own behind `|`"
                );
                problems.push(Problem::new(codes::UNFIT_SECRET, what, at.place(below)).hint(hint));
            }
        }
        problems.since(before, vm.vm_id);
    }
}

/// Whether a text says of itself that it is YAML for cloud-init.
fn is_cloud_config(text: &str) -> bool {
    let first = text.trim_start_matches('\u{feff}').lines().next();
    first.and_then(|first| first.split_whitespace().next()) == Some("#cloud-config")
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
