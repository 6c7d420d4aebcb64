//! The command line that asks for the same again.

use super::args::{Allowing, Args, DEFAULT_CONFIG, Options, Selecting};

/// A word of a command line. One with a NUL cannot have come from there.
pub(super) fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

/// The words that ask for the same VMs and the same things again; but not to destroy or to erase once more.
pub(super) fn asked(selecting: &Selecting, options: &Options) -> Vec<String> {
    let Options { restart, force_stop, delete_source, snapshot, rerun, verify_guest, prune, prune_many, .. } = options;
    let list = |name: &str, values: &[String]| match values {
        [] => Vec::new(),
        values => vec![name.to_owned(), values.join(",")],
    };
    let flag = |name: &str, given: bool| given.then(|| name.to_owned());
    let mut words = list("--only", &selecting.only);
    words.extend(list("--exclude", &selecting.exclude));
    words.extend(flag("--restart", *restart).into_iter().chain(flag("--force-stop", *force_stop)));
    words.extend(flag("--delete-source", *delete_source));
    words.extend(flag("--snapshot", *snapshot));
    words.extend(list("--rerun", rerun));
    words.extend(flag("--verify-guest", *verify_guest).into_iter().chain(flag("--prune", *prune)));
    words.extend(prune_many.iter().flat_map(|many| ["--prune-many".to_owned(), many.to_string()]));
    words
}

/// The words that allow the same again.
pub(super) fn allowed(allowing: &Allowing) -> Vec<String> {
    let named = |option: &str, values: &[String]| {
        values.iter().flat_map(|value| [option.to_owned(), value.clone()]).collect::<Vec<_>>()
    };
    [named("--allow-host-path", &allowing.allow_host_path), named("--allow-host-option", &allowing.allow_host_option)]
        .concat()
}

/// A command line that does the same again; `rest` are the words that only its verb knows.
pub(super) fn again(verb: &str, args: &Args, rest: &[String]) -> String {
    let mut words = vec!["phoenix".to_owned(), verb.to_owned()];
    let mut option = |name: &str, value: &str| {
        words.extend([name.to_owned(), word(value)]);
    };
    if args.config.as_os_str() != DEFAULT_CONFIG {
        option("--config", &args.config.display().to_string());
    }
    if let Some(target) = &args.target {
        option("--target", target);
    }
    if let Some(dir) = &args.places.features_dir {
        option("--features-dir", &dir.display().to_string());
    }
    if let Some(dir) = &args.places.secrets_dir {
        option("--secrets-dir", &dir.display().to_string());
    }
    words.extend(rest.iter().map(|rest| word(rest)));
    words.join(" ")
}
