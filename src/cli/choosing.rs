//! The VMs that a command line names: by VMID, by name or by tag.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::console::Console;
use super::exit::Refusal;
use crate::diag::nearest;
use crate::model::{Desired, InvalidVmId, VmId};
use crate::observed::{Observed, VmObserved};
use crate::plan::{Selection, Selector};
use crate::ui::layout::count;
use crate::ui::text::safe;

/// How many VMs an error lists.
const LISTED: usize = 10;

/// Words for VMs as they were typed. Digits are a VMID and nothing else; the others are names or tags.
pub(super) fn selectors(words: &[String], verb: &str) -> Result<Vec<Selector>> {
    let read = |word: &String| {
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Selector::Word(word.clone()));
        }
        let hint = format!("name the VMs by VMID, name or tag, e.g. `phoenix {verb} 1000`");
        word.parse().map(Selector::Id).map_err(|error: InvalidVmId| Refusal::usage(error.to_string(), hint))
    };
    words.iter().map(read).collect()
}

/// VMs that words can name.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// Whose they are, in words.
    of: &'static str,
    vms: BTreeMap<VmId, Words<'a>>,
    /// Made when the first word is looked up.
    by_word: OnceCell<ByWord<'a>>,
}

/// The VMs that each word names, in ascending order.
#[derive(Debug, Default)]
struct ByWord<'a> {
    /// By their names in lower case: names of hosts are compared in any case of letters.
    names: BTreeMap<String, Vec<VmId>>,
    /// By their tags, which are lower-case.
    tags: BTreeMap<&'a str, Vec<VmId>>,
}

/// What names a VM, beside its VMID.
#[derive(Debug, Default)]
struct Words<'a> {
    names: BTreeSet<&'a str>,
    tags: BTreeSet<&'a String>,
}

/// The VMs of a target that bear the project's record.
fn ours<'a>(desired: &Desired, observed: &'a Observed) -> impl Iterator<Item = &'a VmObserved> {
    let project = &desired.settings.project;
    observed.vms.values().filter(move |vm| vm.record.valid().is_some_and(|record| record.project == *project))
}

impl<'a> Known<'a> {
    /// Those that a file declares.
    pub(super) fn of_file(desired: &'a Desired) -> Self {
        let mut known = Self { of: "the file", ..Self::default() };
        desired.vms.iter().for_each(|vm| known.add(vm.vm_id, &vm.vm_name, &vm.tags));
        known
    }

    /// Those of a project: the declared ones, and those that bear its record. A VM has the names and tags of both the
    /// file and the target.
    pub(super) fn of_project(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut known = Self { of: "the project", ..Self::of_file(desired) };
        ours(desired, observed).for_each(|vm| known.add_live(vm));
        known
    }

    /// Those that a plan with `--prune` is about, by the words by which it knows them: the declared ones by the file's,
    /// the others of the project by the target's.
    pub(super) fn of_prune(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut known = Self { of: "the project", ..Self::of_file(desired) };
        let declared = |vm: VmId| desired.vm(vm).is_some();
        ours(desired, observed).filter(|vm| !declared(vm.id)).for_each(|vm| known.add_live(vm));
        known
    }

    /// All of a target.
    pub(super) fn of_target(observed: &'a Observed) -> Self {
        let mut known = Self { of: "the target", ..Self::default() };
        observed.vms.values().for_each(|vm| known.add_live(vm));
        known
    }

    fn add_live(&mut self, vm: &'a VmObserved) {
        self.add(vm.id, &vm.name, &vm.tags);
    }

    fn add(&mut self, vm: VmId, name: &'a str, words: impl IntoIterator<Item = &'a String>) {
        let Words { names, tags } = self.vms.entry(vm).or_default();
        names.extend(Some(name).filter(|name| !name.is_empty()));
        tags.extend(words);
    }

    /// The VMs that words name, each once, in the order of the words. What names and tags stand for is said.
    ///
    /// # Errors
    /// A word names no VM, or it is not clear which.
    pub(super) fn chosen(&self, words: &[Selector], console: &Console) -> Result<Vec<VmId>> {
        let (mut chosen, mut seen) = (Vec::new(), BTreeSet::new());
        for word in words {
            let vms = match word {
                Selector::Id(id) => vec![*id],
                Selector::Word(word) => {
                    let vms = self.meant(word)?;
                    let many = count(vms.len(), "VM");
                    console.note(&format!("`{}` names {many}: {}\n", safe(word), safe(&self.shown(vms, LISTED))));
                    vms.to_vec()
                }
            };
            chosen.extend(vms.into_iter().filter(|vm| seen.insert(*vm)));
        }
        Ok(chosen)
    }

    /// The VMs that words name for an option which takes VMIDs and names, no tags: each word one VM, in ascending
    /// order.
    ///
    /// # Errors
    /// A word names no VM, or not one alone.
    pub(super) fn named(&self, words: &[Selector], option: &str) -> Result<Vec<VmId>> {
        let one = |word: &Selector| match word {
            Selector::Id(id) if self.vms.contains_key(id) => Ok(*id),
            Selector::Id(id) => Err(self.no_vmid(*id)),
            Selector::Word(word) => {
                let named = self.with_name(word);
                match *named {
                    [vm] => Ok(vm),
                    [] if !self.with_tag(word).is_empty() => {
                        let what =
                            format!("`{word}` is a tag, and `{option}` takes one VM at a time; nothing was done");
                        Err(Refusal::usage(what, "name each VM by VMID or name; the option may be repeated"))
                    }
                    [] => Err(self.none(word)),
                    _ => {
                        let shown = self.shown(named, LISTED);
                        let what = format!("several VMs have the name `{word}`: {shown}; nothing was done");
                        Err(Refusal::usage(what, "name the VM that you mean by VMID"))
                    }
                }
            }
        };
        Ok(words.iter().map(one).collect::<Result<BTreeSet<VmId>>>()?.into_iter().collect())
    }

    /// The VM that a word names for a verb which takes one: by VMID, name or tag.
    ///
    /// # Errors
    /// The word names no VM, or several, or it is not clear which.
    pub(super) fn one(&self, word: &str, verb: &str) -> Result<VmId> {
        let vms = match selectors(&[word.to_owned()], verb)?.pop() {
            Some(Selector::Id(id)) if !self.vms.contains_key(&id) => return Err(self.no_vmid(id)),
            Some(Selector::Id(id)) => return Ok(id),
            _ => self.meant(word)?,
        };
        if let [vm] = *vms {
            return Ok(vm);
        }
        let what = format!("`{word}` is a tag of several VMs: {}", self.shown(vms, LISTED));
        Err(Refusal::usage(what, format!("`phoenix {verb}` takes one VM: name it by VMID or name")))
    }

    /// That every word of a selection names VMs, and that it is clear which.
    ///
    /// # Errors
    /// One does not: a typing error must not turn into "nothing to do".
    pub(super) fn have(&self, selection: &Selection) -> Result<()> {
        selection.only.iter().chain(&selection.exclude).try_for_each(|word| match word {
            Selector::Id(id) if self.vms.contains_key(id) => Ok(()),
            Selector::Id(id) => Err(self.no_vmid(*id)),
            Selector::Word(word) => self.meant(word).map(drop),
        })
    }

    /// The VMs by the words that name them.
    fn by_word(&self) -> &ByWord<'a> {
        self.by_word.get_or_init(|| {
            let mut by = ByWord::default();
            for (vm, words) in &self.vms {
                let names: BTreeSet<String> = words.names.iter().map(|name| name.to_ascii_lowercase()).collect();
                for name in names {
                    by.names.entry(name).or_default().push(*vm);
                }
                for tag in &words.tags {
                    by.tags.entry(tag).or_default().push(*vm);
                }
            }
            by
        })
    }

    /// The VMs with this name.
    fn with_name(&self, word: &str) -> &[VmId] {
        self.by_word().names.get(&word.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The VMs with this tag.
    fn with_tag(&self, word: &str) -> &[VmId] {
        self.by_word().tags.get(&*word.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The one VM with this name, or all with this tag.
    fn meant(&self, word: &str) -> Result<&[VmId]> {
        let (named, tagged) = (self.with_name(word), self.with_tag(word));
        let clear = "name the VMs that you mean by VMID";
        match named {
            [] if tagged.is_empty() => Err(self.none(word)),
            [] => Ok(tagged),
            [vm] if tagged.iter().all(|tagged| tagged == vm) => Ok(named),
            [vm] => {
                let (one, tagged) = (self.shown(&[*vm], LISTED), self.shown(tagged, LISTED));
                let what = format!("`{word}` is the name of VM {one} and a tag of VM {tagged}; nothing was done");
                Err(Refusal::usage(what, clear))
            }
            several => {
                let what =
                    format!("several VMs have the name `{word}`: {}; nothing was done", self.shown(several, LISTED));
                Err(Refusal::usage(what, clear))
            }
        }
    }

    /// A word that names nothing is refused: a typing error must not turn into "nothing to do".
    fn none(&self, word: &str) -> anyhow::Error {
        let words = self
            .vms
            .values()
            .flat_map(|words| words.names.iter().copied().chain(words.tags.iter().map(|tag| tag.as_str())));
        let hint = match nearest(word, words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => self.there_are(),
        };
        Refusal::usage(format!("no VM of {} has the name or tag `{word}`", self.of), hint)
    }

    fn no_vmid(&self, vm: VmId) -> anyhow::Error {
        Refusal::usage(format!("no VM of {} has the VMID {vm}", self.of), self.there_are())
    }

    /// The VMs that could be named, in words.
    fn there_are(&self) -> String {
        if self.vms.is_empty() {
            return format!("{} has no VM at all", self.of);
        }
        format!("{} has {}", self.of, self.shown(&self.vms.keys().copied().collect::<Vec<_>>(), LISTED))
    }

    /// VMs as people read them, the first `most` of them.
    fn shown(&self, vms: &[VmId], most: usize) -> String {
        let names =
            |vm: &VmId| self.vms.get(vm).into_iter().flat_map(|words| &words.names).map(|name| format!(" `{name}`"));
        let shown = vms.iter().take(most).map(|vm| format!("{vm}{}", names(vm).collect::<Vec<_>>().join(",")));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match vms.len().saturating_sub(most) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}
