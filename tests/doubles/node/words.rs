//! Taking a command line apart as Proxmox's programs do.

use phoenix::model::VmId;

use crate::answer::Answer;

/// What a command takes.
#[derive(Clone, Copy)]
pub(crate) struct Takes<'a> {
    /// Its line of usage.
    pub(crate) usage: &'a str,
    /// How many words it takes that are no options.
    pub(crate) words: usize,
    /// Whether it has an option of this name.
    pub(crate) option: &'a dyn Fn(&str) -> bool,
}

/// Options that need no value.
const FLAGS: [&str; 5] = ["purge", "destroy-unreferenced-disks", "full", "current", "synchronous"];

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Words<'a> {
    pub(crate) plain: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
    /// What stands behind `--`.
    pub(crate) rest: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub(crate) fn parse(words: &[&'a str], takes: Takes<'_>) -> Result<Self, Answer> {
        let mut parsed = Self::default();
        let mut left = words.iter().copied().peekable();
        while let Some(word) = left.next() {
            if word == "--" {
                parsed.rest = left.collect();
                break;
            }
            let Some(name) = word.strip_prefix("--").or(word.strip_prefix('-')) else {
                parsed.plain.push(word);
                continue;
            };
            let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            if !(takes.option)(name) {
                let name = name.to_ascii_lowercase();
                let err = format!("Unknown option: {name}\n400 unable to parse option\n{}\n", takes.usage);
                return Err(Answer { err, status: 255, ..Answer::default() });
            }
            let next = |next: &&str| !FLAGS.contains(&name) || !next.starts_with('-');
            match value.or_else(|| left.next_if(next)) {
                Some(value) => parsed.options.push((name, value)),
                None if FLAGS.contains(&name) => parsed.options.push((name, "1")),
                None => {
                    let err =
                        format!("Option {name} requires an argument\n400 unable to parse option\n{}\n", takes.usage);
                    return Err(Answer { err, status: 255, ..Answer::default() });
                }
            }
        }
        if parsed.plain.len() == takes.words {
            return Ok(parsed);
        }
        let why = if parsed.plain.len() < takes.words { "not enough" } else { "too many" };
        Err(Answer { err: format!("400 {why} arguments\n{}\n", takes.usage), status: 255, ..Answer::default() })
    }

    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.option(name).map(|value| !["0", "no", "off", "false"].contains(&value))
    }

    /// Every option with its value, by name.
    pub(crate) fn sorted(&self) -> Vec<(&'a str, &'a str)> {
        let mut options = self.options.clone();
        options.sort_by_key(|(key, _)| *key);
        options
    }

    /// The VMID at a place.
    pub(crate) fn vm(&self, at: usize, name: &str, usage: &str) -> Result<VmId, Answer> {
        self.plain[at].parse().map_err(|_| {
            Answer::bad_parameter(&format!("{name}: invalid format - value does not look like a valid VM ID"), usage)
        })
    }
}
