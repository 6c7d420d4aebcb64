//! Feature names to scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes::{self, Code};
use super::defaults::features_dir;
use super::limits::MAX_SCRIPT_BYTES;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::Raw;
use super::source::{BadScript, FeatureFiles, Files};
use super::spans::Place;
use super::{builtin, lexis};
use crate::diag::nearest;
use crate::model::{Script, Scripts, content_digest};

/// The way out for scripts that lie somewhere else.
const ELSEWHERE: &str = "scripts lie below the config's directory, without links; another one is named with \
                         `phoenix --features-dir DIR`";

/// How often a name that has no script is pointed at.
const POINTED_AT: usize = 4;

/// Resolves every feature that the file names, each once.
pub(super) fn resolve(raw: &Raw, found: &FeatureFiles, problems: &mut Problems) -> Scripts {
    let none = Files::new();
    let mut dir = features_dir(raw);
    let written = raw.hypervisor.as_ref().is_some_and(|hypervisor| hypervisor.features_dir.is_some());
    let place = || if written { Place::value("/hypervisor/features_dir") } else { Place::opening("") };
    let bad = |message: String, hint: &str| Problem::new(codes::BAD_FEATURES_DIR, message, place()).hint(hint);
    let files = match found {
        FeatureFiles::Found(files) => files,
        FeatureFiles::Named(named, files) => {
            dir = named;
            files.as_ref().unwrap_or_else(|reason| {
                let message = format!("the directory {} cannot be read: {reason}", shown(dir));
                problems.push(
                    Problem::new(codes::BAD_FEATURES_DIR, message, Place::opening(""))
                        .hint("`--features-dir` names it: name the directory of the scripts"),
                );
                &none
            })
        }
        FeatureFiles::Outside => {
            problems.push(bad(format!("{} leads out of the directory of the config", shown(dir)), ELSEWHERE));
            &none
        }
        FeatureFiles::Link(part) => {
            let message = if part == dir {
                format!("{} is a link", shown(dir))
            } else {
                format!("{} leads through a link, {}", shown(dir), shown(part))
            };
            problems.push(bad(message, ELSEWHERE));
            &none
        }
        // The default directory need not be there: the built-in features are.
        FeatureFiles::Missing => {
            if written {
                problems.push(bad(format!("there is no directory {}", shown(dir)), "create it, or leave the key out"));
            }
            &none
        }
        FeatureFiles::Unreadable(reason) => {
            let message = format!("the directory {} cannot be read: {reason}", shown(dir));
            problems.push(Problem::new(codes::BAD_FEATURES_DIR, message, place()));
            &none
        }
    };
    let mut scripts = Scripts::default();
    for (name, places) in names(raw) {
        match script(name, dir, files) {
            Ok(script) => drop(scripts.features.insert(Arc::from(name), script)),
            Err(flaw) => problems.push(told(flaw, &places)),
        }
    }
    match common(dir, files) {
        Ok(common) => scripts.common = Some(common),
        Err(flaw) => {
            problems.push(Problem::new(flaw.code, flaw.message, place()).hint_if(flaw.hint));
        }
    }
    scripts
}

/// The names that can be features, with the lists they stand in.
fn names(raw: &Raw) -> BTreeMap<&str, Vec<(Owner<'_>, usize)>> {
    let mut names = BTreeMap::<&str, Vec<(Owner<'_>, usize)>>::new();
    for (owner, vm) in owners(raw) {
        for (n, name) in vm.features.iter().flatten().enumerate() {
            if let Some(places) = names.get_mut(name.as_str()) {
                if places.len() < POINTED_AT {
                    places.push((owner, n));
                }
            } else if lexis::feature(name).is_ok() {
                names.insert(name, vec![(owner, n)]);
            }
        }
    }
    names
}

/// Why a feature has no script.
struct Flaw {
    code: Code,
    message: String,
    hint: Option<String>,
}

fn told(flaw: Flaw, places: &[(Owner<'_>, usize)]) -> Problem {
    let at = |(owner, n): (Owner<'_>, usize)| Place::value(format!("{}/features/{n}", owner.pointer()));
    let (first, rest) = places.split_first().map_or_else(|| (Place::opening(""), &[][..]), |(f, rest)| (at(*f), rest));
    let problem = Problem::new(flaw.code, flaw.message, first).hint_if(flaw.hint);
    rest.iter().fold(problem, |problem, place| problem.also(at(*place), "here too"))
}

/// The one file among the three names it may have, else the built-in.
fn script(name: &str, dir: &str, files: &Files) -> Result<Script, Flaw> {
    let candidates = [format!("{name}.sh"), format!("feature_{name}.sh"), format!("feature_install_{name}.sh")];
    let mut present: Vec<&String> = candidates.iter().filter(|file| files.contains_key(*file)).collect();
    let is_staged = |file: &&String| files.get(*file) != Some(&Err(BadScript::Unstaged));
    if present.iter().any(is_staged) {
        present.retain(is_staged);
    }
    let built_in = builtin::FEATURES.iter().find(|(known, _)| *known == name);
    match (present.as_slice(), built_in) {
        _ if candidates[0] == builtin::COMMON_FILE => Err(Flaw {
            code: codes::UNKNOWN_FEATURE,
            message: format!("`{name}` holds what the feature scripts share and is not a feature itself"),
            hint: Some("take it out of the list: it lies beside every script anyway".to_owned()),
        }),
        ([file], _) => from_file(file, dir, files),
        ([], Some((_, content))) => Ok(made(&candidates[0], builtin::FROM.to_owned(), content)),
        ([], None) => Err(unknown(name, dir, files)),
        (several, _) => Err(Flaw {
            code: codes::AMBIGUOUS_FEATURE,
            message: format!("feature `{name}` has {} scripts in {}", several.len(), shown(dir)),
            hint: Some(format!(
                "keep one of {}",
                several.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")
            )),
        }),
    }
}

fn unknown(name: &str, dir: &str, files: &Files) -> Flaw {
    let mut known: Vec<&str> = builtin::FEATURES.iter().map(|(name, _)| *name).collect();
    known.extend(files.keys().filter(|file| *file != builtin::COMMON_FILE).filter_map(|file| file.strip_suffix(".sh")));
    let hint = nearest(name, known).map_or_else(
        || format!("write it as {}", shown(&format!("{dir}/{name}.sh"))),
        |meant| format!("did you mean `{meant}`?"),
    );
    Flaw { code: codes::UNKNOWN_FEATURE, message: format!("feature `{name}` has no script"), hint: Some(hint) }
}

fn common(dir: &str, files: &Files) -> Result<Script, Flaw> {
    if files.contains_key(builtin::COMMON_FILE) {
        from_file(builtin::COMMON_FILE, dir, files)
    } else {
        Ok(made(builtin::COMMON_FILE, builtin::FROM.to_owned(), builtin::COMMON))
    }
}

fn from_file(file: &str, dir: &str, files: &Files) -> Result<Script, Flaw> {
    let path = format!("{dir}/{file}");
    let flaw = |reason: &str| Flaw {
        code: codes::BAD_SCRIPT,
        message: format!("script {} {reason}", shown(&path)),
        hint: None,
    };
    let hinted = |flaw: Flaw, hint: &str| Err(Flaw { hint: Some(hint.to_owned()), ..flaw });
    let bytes = match files.get(file) {
        Some(Ok(bytes)) => bytes,
        Some(Err(BadScript::Link)) => {
            return hinted(flaw("is a link"), "put the script itself there, as a regular file");
        }
        Some(Err(BadScript::NotAFile)) => return hinted(flaw("is not a regular file"), "a script is one text file"),
        Some(Err(BadScript::TooBig)) => return Err(flaw(&format!("is larger than {} KiB", MAX_SCRIPT_BYTES >> 10))),
        Some(Err(BadScript::Unstaged)) => {
            let unknown = Flaw { code: codes::UNKNOWN_FEATURE, ..flaw("is not in the git index") };
            return hinted(unknown, &format!("stage it with `git add {path}`, so that it is committed, too"));
        }
        Some(Err(BadScript::Unreadable(reason))) => return Err(flaw(&format!("cannot be read: {reason}"))),
        None => return Err(flaw("is gone")),
    };
    match std::str::from_utf8(bytes) {
        Err(_) => Err(flaw("is not UTF-8")),
        Ok(text) if text.trim().is_empty() => Err(flaw("is empty")),
        Ok(text) if text.contains('\0') => Err(flaw("contains a NUL byte")),
        Ok(text) => Ok(made(file, path, text)),
    }
}

fn made(file: &str, from: String, content: &str) -> Script {
    Script {
        file: file.to_owned(),
        from,
        content: Arc::from(content),
        digest: Arc::from(content_digest(content.as_bytes())),
    }
}
