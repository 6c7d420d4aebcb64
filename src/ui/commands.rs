//! Commands fit to be copied into a shell, and safe to be looked at.

use super::style::{Role, Style};
use super::text::is_unsafe;

/// One line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What the next lines are for.
    Title(String),
    /// A remark.
    Remark(String),
    /// A command; a word may be the name of a shell variable set before.
    Command(Vec<Word>),
    /// Sets a shell variable to a text that is fixed in phoenix.
    Variable(&'static str, String),
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The word itself.
    Text(String),
    /// The value of a variable.
    Variable(&'static str),
    /// The path of a file with these lines.
    File(Vec<String>),
}

/// The script as text.
#[must_use]
pub fn render(lines: &[Line], style: Style) -> String {
    let mut out = String::new();
    for line in lines {
        match line {
            Line::Title(text) => {
                let text = format!("# {}", super::text::safe(text));
                out.push_str(&format!("\n{}\n", style.paint(Role::Strong, &text)));
            }
            Line::Remark(text) => {
                let text = format!("# {}", super::text::safe(text));
                out.push_str(&format!("{}\n", style.paint(Role::Faint, &text)));
            }
            Line::Command(words) => {
                let words: Vec<String> = words
                    .iter()
                    .map(|word| match word {
                        Word::Text(text) => quoted(text),
                        Word::Variable(name) => format!("\"${name}\""),
                        Word::File(lines) => {
                            let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
                            format!("<(printf '%s\\n' {})", lines.join(" "))
                        }
                    })
                    .collect();
                out.push_str(&format!("{}\n", words.join(" ")));
            }
            Line::Variable(name, text) => out.push_str(&format!("{name}='{}'\n", text.replace('\'', "'\\''"))),
        }
    }
    out
}

/// One word as bash reads it back. Whatever would steer a terminal or not be seen is written as an escape in `$'…'`.
#[must_use]
pub fn quoted(word: &str) -> String {
    if !word.contains(is_unsafe) {
        // A word without a NUL can be quoted.
        return shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned);
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\'' | '\\' => out.extend(['\\', c]),
            c if is_unsafe(c) && c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_unsafe(c) => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use crate::ui::text::is_unsafe;

    proptest::proptest! {
        /// Whatever a word holds, it is inert on a terminal and bash reads it back as it was.
        #[test]
        fn bash_reads_back_what_was_shown(word in "([^\0]|[\u{1}-\u{1f}'\\\\\u{9b}\u{202e}\u{200b}]){0,40}") {
            let shown = quoted(&word);
            proptest::prop_assert!(!shown.contains(is_unsafe), "{shown}");
            let line = format!("printf %s {shown}");
            let output = std::process::Command::new("bash").env("LC_ALL", "C.UTF-8").args(["-c", &line]).output().unwrap();
            proptest::prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
