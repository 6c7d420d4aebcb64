//! A program as it is run in a guest, and what it means when it ends otherwise than it should.

use data_encoding::BASE64;

use crate::hypervisor::GuestExit;
use crate::model::excerpt;

/// A program to run in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads on standard input; ASCII.
    pub input: Vec<u8>,
}

/// A guest's answer that is no success, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct GuestProblem {
    /// What the guest said.
    pub what: String,
    /// The way out, when it is known.
    pub hint: Option<String>,
}

/// What every script begins with: makes sure that programs of the system are found and say what they say in English, as
/// the agent's environment is whatever the image makes it; takes the arguments out of the form of [`carried`].
const PRELUDE: &str = r#"PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin LC_ALL=C.UTF-8
export PATH LC_ALL
for a do
  shift
  case $a in b64:*) a=$(printf %s "${a#b64:}" | base64 -d; echo .); a=${a%.} ;; esac
  set -- "$@" "$a"
done
"#;

/// A script of this name, with its arguments.
pub(super) fn script(name: &str, text: &str, arguments: &[&str]) -> Program {
    let mut argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{PRELUDE}{text}"), name.to_owned()];
    argv.extend(arguments.iter().map(|argument| carried(argument)));
    Program { argv, input: Vec::new() }
}

/// An argument as it travels through the agent: what is not plain ASCII goes as base64.
fn carried(argument: &str) -> String {
    let plain = argument.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && !argument.starts_with(CARRIED);
    if plain { argument.to_owned() } else { format!("{CARRIED}{}", BASE64.encode(argument.as_bytes())) }
}

const CARRIED: &str = "b64:";

/// An argument as a script sees it, from the form in which it travelled.
#[must_use]
pub fn arrived(argument: &str) -> String {
    let bytes = argument.strip_prefix(CARRIED).and_then(|text| BASE64.decode(text.as_bytes()).ok());
    bytes.map_or_else(|| argument.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// How a program that should have succeeded ended otherwise.
pub(super) fn unexpected(program: &str, exit: &GuestExit) -> GuestProblem {
    let ended = exit.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("exited {code}"));
    let said =
        [exit.err.trim(), exit.out.trim()].into_iter().find(|text| !text.is_empty()).unwrap_or("it said nothing");
    GuestProblem { what: format!("{program} {ended} in the guest: {}", excerpt(said)), hint: None }
}

#[cfg(test)]
mod tests {
    use super::{arrived, script};

    proptest::proptest! {
        /// Whatever an argument holds, it travels as ASCII and a shell hands it to the script as it was.
        #[test]
        fn a_script_gets_its_arguments_as_they_were(words in proptest::collection::vec("[^\0]{0,30}|b64:[a-z]{0,5}", 0..4)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let program = script("phoenix-test", "for a do printf '%s\\0' \"$a\"; done", &words);
            proptest::prop_assert!(program.argv.iter().all(|word| word.is_ascii()));
            let output = std::process::Command::new(&program.argv[0]).args(&program.argv[1..]).output().unwrap();
            let expected = words.iter().flat_map(|word| [*word, "\0"]).collect::<String>();
            proptest::prop_assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
            let back: Vec<String> = program.argv[4..].iter().map(|word| arrived(word)).collect();
            proptest::prop_assert_eq!(back, words);
        }
    }
}
