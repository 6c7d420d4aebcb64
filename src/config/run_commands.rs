//! The commands that cloud-init runs by a shell of its own: the texts in `runcmd` and `bootcmd` of `#cloud-config`.

use std::sync::Arc;

use saphyr_parser::{Event, Parser};

use super::cloud_config::stand_ins;

/// The keys whose texts are commands. cloud-init writes all of one key into one script for `sh`.
const KEYS: [&str; 2] = ["bootcmd", "runcmd"];

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCommand {
    /// The key that it is in.
    pub key: &'static str,
    /// What `sh` reads, with letters in place of values that are filled in.
    pub text: Arc<str>,
    /// The line of the text around it, from 1, in which it begins.
    pub line: usize,
}

/// The commands in a text that begins with `#cloud-config`, as far as it can be read. Those that are lists of words
/// need no shell.
pub(super) fn of(text: &str) -> Vec<RunCommand> {
    let filled = stand_ins(text);
    let mut found = Vec::new();
    // How many mappings and sequences are open; whether a key of the outermost is next, and which was the last; whether
    // its value is a sequence.
    let (mut depth, mut is_key, mut key, mut is_list) = (0_usize, true, None, false);
    for event in Parser::new_from_str(&filled) {
        let Ok((event, span)) = event else { break };
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if depth == 1 {
                    is_list = matches!(event, Event::SequenceStart(..));
                }
                depth += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth = depth.saturating_sub(1);
                is_key ^= depth == 1;
            }
            Event::Scalar(name, ..) if depth == 1 => {
                if is_key {
                    key = KEYS.into_iter().find(|known| *known == name.as_ref());
                }
                is_key = !is_key;
            }
            Event::Alias(_) if depth == 1 => is_key = !is_key,
            Event::Scalar(text, ..) if depth == 2 && is_list && !is_key => {
                if let Some(key) = key {
                    // What stays as it is begins with one `$` more.
                    let text = text.replace("$${", "x${").into();
                    found.push(RunCommand { key, text, line: span.start.line() });
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn commands_are_the_texts_of_their_keys() {
        let text = "#cloud-config\nother: [a, {runcmd: [b]}]\nbootcmd: [c, [d, e]]\nruncmd:\n  - echo ${vm_name}\n  - [f]\n\
                    \x20 - |\n    g $${HOME}\n    h\n  - {runcmd: i}\n  - \"j\"\nlast: [k]\nk: {runcmd: [l]}\n? [runcmd]\n: [m]\n";
        let found: Vec<_> = of(text).into_iter().map(|is| (is.key, is.text.to_string())).collect();
        let expected =
            [("bootcmd", "c"), ("runcmd", "echo xxxxxxxxxx"), ("runcmd", "g x${HOME}\nh\n"), ("runcmd", "j")];
        assert_eq!(found, expected.map(|(key, text)| (key, text.to_owned())));
        assert_eq!(of(text).iter().map(|is| is.line).collect::<Vec<_>>()[..2], [3, 5]);
        for none in [
            "#cloud-config\n",
            "#cloud-config\nruncmd: ls\n",
            "#cloud-config\nruncmd:\n",
            "#cloud-config\n- runcmd: [a]\n",
        ] {
            assert!(of(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_hostile_text_ends() {
        for piece in ["[", "- ", "runcmd: [", "? ", "runcmd: &a\n - *a\n", "]"] {
            of(&format!("#cloud-config\n{}", piece.repeat((64 << 10) / piece.len())));
        }
    }
}
