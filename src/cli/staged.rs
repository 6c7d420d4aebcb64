//! `validate --staged`: a config and its scripts as they are in the Git index, asked of `git` itself.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::exit::Refusal;
use super::files;
use super::load::{self, Config, Given};
use crate::config::{
    BadData, BadScript, BadSecret, Beside, FeatureFiles, MAX_BYTES, MAX_DATA_BYTES, MAX_SCRIPT_BYTES, SecretRead,
    Unread,
};
use crate::model::SecretName;

/// Reads a config from the index of the repository that its directory belongs to.
pub(super) fn load(path: &Path, given: &Given) -> Result<Config> {
    if path.is_dir() {
        let index = Index::around(&path.join("*.json"))?;
        let read =
            |name: OsString| Ok(load::decoded(&load::within(path, &name), index.config(&index.below.join(name))?));
        let sources: Vec<_> = index.configs()?.into_iter().map(read).collect::<Result<_>>()?;
        let bytes = sources.iter().flatten().map(|source| source.text.len() as u64).sum();
        let source = match () {
            () if sources.is_empty() => {
                load::decoded(path, index.config(&index.below)?).map_err(|problem| vec![*problem])
            }
            () if bytes > MAX_BYTES => {
                load::decoded(path, Err(Unread::TooBig(bytes))).map_err(|problem| vec![*problem])
            }
            () => load::joined(path, sources.into_iter()),
        };
        return Ok(load::with(source, &mut Staged { index: &index, given }));
    }
    let index = Index::around(path)?;
    let text = match path.file_name() {
        Some(name) => index.config(&index.below.join(name))?,
        None => Err(Unread::NotAFile),
    };
    let source = load::decoded(path, text).map_err(|problem| vec![*problem]);
    Ok(load::with(source, &mut Staged { index: &index, given }))
}

/// Every config of this name in the index, in the current directory and below; the name itself where there is none.
pub(super) fn configs(name: &Path) -> Result<Vec<PathBuf>> {
    let index = Index::around(name)?;
    let entries = index.list(&index.below).map_err(|why| refused(&why))?;
    let named = entries.iter().map(|entry| Path::new(&entry.path)).filter(|path| path.file_name() == name.file_name());
    let mut found: Vec<PathBuf> =
        named.filter_map(|path| path.strip_prefix(&index.below).ok()).map(Path::to_owned).collect();
    found.sort_unstable();
    // Two sides of a merge are two entries.
    found.dedup();
    Ok(if found.is_empty() { vec![name.to_owned()] } else { found })
}

/// The index of a repository.
struct Index {
    /// The top of the work tree.
    top: PathBuf,
    /// From there to the directory of the config.
    below: PathBuf,
}

/// What belongs to a config that is staged: files of the index, and secrets, which no repository has.
struct Staged<'i> {
    index: &'i Index,
    given: &'i Given,
}

impl Beside for Staged<'_> {
    fn features(&mut self, directory: &str) -> FeatureFiles {
        self.index.scripts(directory)
    }

    fn data(&mut self, path: &str) -> Result<Vec<u8>, BadData> {
        self.index.file(path)
    }

    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret> {
        load::secret(&self.index.top.join(&self.index.below), self.given, name)
    }

    fn needs_secrets(&self) -> bool {
        self.given.needs_secrets
    }
}

/// What the index says about one file.
struct Entry {
    mode: String,
    object: String,
    stage: String,
    path: String,
}

impl Entry {
    fn is_link(&self) -> bool {
        self.mode == "120000"
    }

    fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

impl Index {
    fn around(config: &Path) -> Result<Self> {
        let wanted = std::path::absolute(config).context("the current directory is not known")?;
        // A directory can be staged and gone from the work tree: git starts where something is.
        let mut start = wanted.parent().unwrap_or(Path::new("/"));
        let mut gone = PathBuf::new();
        while !start.is_dir() {
            let (Some(name), Some(parent)) = (start.file_name(), start.parent()) else { break };
            gone = Path::new(name).join(gone);
            start = parent;
        }
        let place = git(start, &["rev-parse", "--show-toplevel", "--show-prefix"]).map_err(|why| {
            if why.contains("not a git repository") || why.contains("must be run in a work tree") {
                let what = format!("`{}` is not in the work tree of a git repository", config.display());
                return Refusal::failed(what, "leave `--staged` out, or make a repository with `git init`");
            }
            refused(&why)
        });
        let place = text(place?);
        let mut lines = place.lines();
        let top = PathBuf::from(lines.next().unwrap_or_default());
        let below = files::below(&Path::new(lines.next().unwrap_or_default()).join(gone)).unwrap_or_default();
        Ok(Self { top, below })
    }

    /// Everything in the index at a path from the top, or below it.
    fn list(&self, path: &Path) -> Result<Vec<Entry>, String> {
        let all = path.as_os_str().is_empty();
        let path = if all { OsStr::new(".") } else { path.as_os_str() };
        let arguments = ["--literal-pathspecs", "ls-files", "-s", "-z", "--"].map(OsStr::new);
        let listed = git(&self.top, &[&arguments[..], &[path]].concat())?;
        let entry = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            let mut about = about.split(' ').map(str::to_owned);
            Some(Entry { mode: about.next()?, object: about.next()?, stage: about.next()?, path: path.to_owned() })
        };
        Ok(text(listed).split('\0').filter_map(entry).collect())
    }

    /// The names of the files of a directory that is a config, sorted.
    fn configs(&self) -> Result<Vec<OsString>> {
        let entries = self.list(&self.below).map_err(|why| refused(&why))?;
        let paths = entries.iter().map(|entry| Path::new(&entry.path));
        let names = paths.filter(|path| path.parent() == Some(&self.below)).filter_map(Path::file_name);
        let mut names: Vec<OsString> =
            names.filter(|name| files::is_config(name.as_bytes())).map(OsStr::to_owned).collect();
        // Two sides of a merge are two entries.
        names.dedup();
        Ok(names)
    }

    fn config(&self, path: &Path) -> Result<Result<Vec<u8>, Unread>> {
        let entries = self.list(path).map_err(|why| refused(&why))?;
        let Some(entry) = entries.iter().find(|entry| Path::new(&entry.path) == path) else {
            return Ok(Err(if entries.is_empty() { Unread::Unstaged } else { Unread::NotAFile }));
        };
        if entry.stage != "0" {
            return Ok(Err(Unread::Unmerged));
        }
        if !entry.is_file() {
            return Ok(Err(Unread::NotAFile));
        }
        // Asked first, so that a file that is far too big never comes to memory.
        let size = text(git(&self.top, &["cat-file", "-s", &entry.object]).map_err(|why| refused(&why))?);
        let size: u64 = size.trim().parse().context("git reported no size")?;
        if size > MAX_BYTES {
            return Ok(Err(Unread::TooBig(size)));
        }
        Ok(Ok(self.object(&entry.object, MAX_BYTES).map_err(|why| refused(&why))?))
    }

    /// The scripts of a directory, named as the config does.
    fn scripts(&self, dir: &str) -> FeatureFiles {
        let Some(dir) = files::below(Path::new(dir)) else { return FeatureFiles::Outside };
        let path = self.below.join(&dir);
        let entries = match self.list(&path) {
            Ok(entries) => entries,
            Err(why) => return FeatureFiles::Unreadable(why),
        };
        let unstaged = self.in_work_tree(&path);
        if entries.is_empty() && unstaged.is_empty() {
            return FeatureFiles::Missing;
        }
        // A directory is in the index only by its files: what stands there itself is a link, a module or a file.
        if let [entry] = entries.as_slice()
            && Path::new(&entry.path) == path
        {
            let why = || "it is not a directory in the git index".to_owned();
            return if entry.is_link() {
                FeatureFiles::Link(dir.display().to_string())
            } else {
                FeatureFiles::Unreadable(why())
            };
        }
        let mut files = unstaged;
        for entry in entries {
            let file = Path::new(&entry.path);
            let Some(name) = file.file_name().and_then(OsStr::to_str) else { continue };
            if file.parent() == Some(&path) && is_script(file) {
                files.insert(name.to_owned(), self.script(&entry));
            }
        }
        FeatureFiles::Found(files)
    }

    /// A file, named as the config does.
    fn file(&self, named: &str) -> Result<Vec<u8>, BadData> {
        let path = self.below.join(files::below(Path::new(named)).ok_or(BadData::Outside)?);
        let entries = self.list(&path).map_err(BadData::Unreadable)?;
        let Some(entry) = entries.iter().find(|entry| Path::new(&entry.path) == path) else {
            let is_there = self.top.join(&path).symlink_metadata().is_ok();
            return Err(match entries.is_empty() {
                false => BadData::NotAFile,
                true if is_there => BadData::Unstaged,
                true => BadData::Missing,
            });
        };
        if entry.stage != "0" {
            return Err(BadData::Unreadable("it has unresolved conflicts in the git index".to_owned()));
        }
        if entry.is_link() {
            return Err(BadData::Link(named.to_owned()));
        }
        if !entry.is_file() {
            return Err(BadData::NotAFile);
        }
        match self.object(&entry.object, MAX_DATA_BYTES as u64 + 1) {
            Ok(bytes) if bytes.len() > MAX_DATA_BYTES => Err(BadData::TooBig),
            read => read.map_err(BadData::Unreadable),
        }
    }

    /// The scripts that lie in a directory of the work tree; those that are in the index take their places.
    fn in_work_tree(&self, dir: &Path) -> BTreeMap<String, Result<Vec<u8>, BadScript>> {
        let entries = std::fs::read_dir(self.top.join(dir)).into_iter().flatten().flatten();
        let scripts = entries.map(|entry| PathBuf::from(entry.file_name())).filter(|file| is_script(file));
        scripts.filter_map(|file| Some((file.to_str()?.to_owned(), Err(BadScript::Unstaged)))).collect()
    }

    fn script(&self, entry: &Entry) -> Result<Vec<u8>, BadScript> {
        if entry.stage != "0" {
            return Err(BadScript::Unreadable("it has unresolved conflicts in the git index".to_owned()));
        }
        if entry.is_link() {
            return Err(BadScript::Link);
        }
        if !entry.is_file() {
            return Err(BadScript::NotAFile);
        }
        match self.object(&entry.object, MAX_SCRIPT_BYTES as u64 + 1) {
            Ok(bytes) if bytes.len() > MAX_SCRIPT_BYTES => Err(BadScript::TooBig),
            read => read.map_err(BadScript::Unreadable),
        }
    }

    /// At most this many bytes of an object.
    fn object(&self, object: &str, most: u64) -> Result<Vec<u8>, String> {
        ask(&self.top, &["cat-file", "blob", object], most)
    }
}

/// Whether a file is called as scripts are.
fn is_script(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sh")
}

/// Names that are no text are told as well as they can be; no config that is read has such a name.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn refused(why: &str) -> anyhow::Error {
    if why == MISSING {
        return Refusal::failed(why, "install git, or leave `--staged` out");
    }
    Refusal::failed(format!("git refused: {why}"), "see that `git status` works here")
}

const MISSING: &str = "there is no program `git`";

fn git<A: AsRef<OsStr>>(directory: &Path, arguments: &[A]) -> Result<Vec<u8>, String> {
    ask(directory, arguments, u64::MAX)
}

/// Runs git in a directory and returns what it prints, or why it does not.
fn ask<A: AsRef<OsStr>>(directory: &Path, arguments: &[A], most: u64) -> Result<Vec<u8>, String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    // Its words are looked at above. The repository's own settings start no pager and ask nothing here.
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => MISSING.to_owned(),
        _ => format!("`git` cannot be started: {error}"),
    })?;
    let mut out = Vec::new();
    let read = match child.stdout.take() {
        Some(pipe) => pipe.take(most).read_to_end(&mut out),
        None => Ok(0),
    };
    let ended = child.wait_with_output().and_then(|ended| read.map(|_| ended)).map_err(|error| error.to_string())?;
    // The reader had enough of a large file and stopped git in the middle of it.
    if ended.status.success() || out.len() as u64 == most {
        return Ok(out);
    }
    let said = text(ended.stderr);
    Err(said.lines().next().unwrap_or("it ended without output").trim_start_matches("fatal: ").to_owned())
}
