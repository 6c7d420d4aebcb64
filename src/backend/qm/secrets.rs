//! What reaches a program of the node through its standard input, because no command line of ours is to have it.

use super::super::runner::{Command, Output};
use super::command;
use crate::hypervisor::HostOp;

/// `phoenix-with-file ARGV…`: runs a program with one more argument: a file with what stands on standard input.
const WITH_FILE: &str = r#"set -u
file=$(mktemp) || exit 1
trap 'rm -f -- "$file"' EXIT
cat >"$file" || exit 1
"$@" "$file" </dev/null
"#;

/// `phoenix-with-password keys|none PROGRAM VERB VMID ARGV…`: runs a program with `--cipassword` and the first line of
/// standard input behind its first words, and with `keys` with one more argument: a file with the rest of it. That
/// program's own command line has the password: no other way into `qm` is known.
const WITH_PASSWORD: &str = r#"set -u
with=$1 program=$2 verb=$3 vm=$4
shift 4
IFS= read -r password || exit 1
set -- "$program" "$verb" "$vm" --cipassword "$password" "$@"
[ "$with" = keys ] || exec "$@" </dev/null
file=$(mktemp) || exit 1
trap 'rm -f -- "$file"' EXIT
cat >"$file" || exit 1
"$@" "$file" </dev/null
"#;

/// The command of an operation with the keys and the password that it sets.
pub(super) fn with(command: &Command, op: &HostOp) -> Command {
    let (argv, stdin) = match (command::password(op), command::keys(op)) {
        (None, None) => return command.clone(),
        (None, Some(keys)) => (script(&[WITH_FILE, "phoenix-with-file"], command), keys),
        (Some(password), keys) => {
            let with = if keys.is_some() { "keys" } else { "none" };
            let argv = script(&[WITH_PASSWORD, "phoenix-with-password", with], command);
            (argv, format!("{password}\n{}", keys.unwrap_or_default()))
        }
    };
    Command { argv, stdin: stdin.into_bytes(), ..command.clone() }
}

/// The argv of a fixed script with its name and first arguments, before those of a command.
fn script(own: &[&str], command: &Command) -> Vec<String> {
    let fixed = ["/bin/sh", "-c"].iter().chain(own).map(|word| (*word).to_owned());
    fixed.chain(command.argv.iter().cloned()).collect()
}

/// What a program printed, without the password that it was given.
pub(super) fn hidden(mut output: Output, op: &HostOp) -> Output {
    if let Some(password) = command::password(op) {
        let hide = |text: &str| text.replace(password, "**********");
        output.stderr = hide(&output.stderr);
        output.stdout = hide(&String::from_utf8_lossy(&output.stdout)).into_bytes();
    }
    output
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};
    use std::time::Duration;

    use super::{Output, hidden, with};
    use crate::backend::runner::Command;
    use crate::hypervisor::HostOp;
    use crate::model::Digest;
    use crate::observed::ConfigWrite;

    fn op(set: &[(&str, &str)]) -> HostOp {
        let set = set.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect();
        let write = ConfigWrite { set, ..ConfigWrite::default() };
        HostOp::Configure { vm: 1000.try_into().unwrap(), write, digest: Digest(String::new()) }
    }

    /// What the program of a command gets that only prints its arguments.
    fn printed(set: &[(&str, &str)]) -> String {
        let plain = ["printf", "%s|", "1000", "--digest", "x", "--sshkeys"].map(ToOwned::to_owned);
        let command = with(&Command::change(plain.to_vec(), Duration::ZERO), &op(set));
        assert!(!format!("{:?}", command.argv).contains("hunter2"), "{:?}", command.argv);
        assert!(!command.words().contains("hunter2"));
        let mut program = Process::new(&command.argv[0]);
        program.args(&command.argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&command.stdin).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_password_reaches_the_program_and_no_command_line_of_ours() {
        let password = "-hunter2 $HOME `id` \\ 'x' \"";
        assert_eq!(printed(&[("cipassword", password)]), format!("1000|--cipassword|{password}|--digest|x|--sshkeys|"));
        let both = printed(&[("cipassword", password), ("sshkeys", "ssh-rsa%20AAAA%0A")]);
        let start = format!("1000|--cipassword|{password}|--digest|x|--sshkeys|/");
        assert!(both.starts_with(&start), "{both}");
        let file = both.trim_end_matches('|').rsplit('|').next().unwrap();
        assert!(!std::path::Path::new(file).exists(), "{file} is left");
    }

    #[test]
    fn what_a_program_repeats_of_it_is_hidden() {
        let output = Output { stderr: "bad value 'hunter2'\n".to_owned(), stdout: b"hunter2".to_vec(), status: 255 };
        let hidden = hidden(output, &op(&[("cipassword", "hunter2")]));
        assert_eq!((hidden.stderr.as_str(), &*hidden.stdout), ("bad value '**********'\n", &b"**********"[..]));
    }
}
