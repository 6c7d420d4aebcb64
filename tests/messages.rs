//! All that phoenix says, in `fixtures/messages.txt`: reviewed as text, in one sitting.
//!
//! What is said is taken out of the sources themselves, so that nothing can be left out: every string literal outside
//! tests with two words next to each other, the documentation of arguments, which `--help` and the manual pages show,
//! that of the config's keys, which editors show, and what the scripts for guests and nodes print. Each text stands
//! there once, below the file that has it first.
//! `SNAPSHOTS=overwrite cargo test --test messages` rewrites the file.

#[expect(dead_code, reason = "tests/layers.rs uses the rest")]
#[path = "layers/scan.rs"]
mod scan;
#[path = "messages/texts.rs"]
mod texts;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use texts::{documentation, literals};

/// Files whose documentation people read: arguments of the command line, keys of the config.
const HELP: [&str; 2] = ["src/cli/args", "src/config/raw"];

/// A literal with more line breaks is a program, or a page.
const LINES: usize = 4;

/// Words that hide who acts, or that most readers take for something else. A text that needs one is written anew.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?i)\b(somebody|someone|nobody|whoever|wish(es|ed)?|told|goes|mend(s|ed|ing)?|begun)\b";
    Regex::new(&format!(r"{words}|\bmoved (since|after)|VM \S+ moved")).unwrap()
});

/// Two words next to each other, or a word and a value.
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"[A-Za-z`'"\]},.:;)]+ [A-Za-z`'"(\[{]"#).unwrap());

/// Every text file below a directory, sorted, with its path from the crate's root.
fn files(name: &str, into: &mut Vec<(String, String)>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files(&name, into);
        } else {
            into.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// What a program says: its lines that print.
fn printed(program: &str) -> Vec<String> {
    let says = |line: &&str| ["echo ", "printf ", "log ", "die ", "fail "].iter().any(|call| line.contains(call));
    program.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter(says).map(str::to_owned).collect()
}

/// What a file says, in order.
fn said(path: &str, text: &str) -> Vec<String> {
    match path.rsplit_once('.') {
        Some((_, "sh")) => return printed(text),
        Some((_, "rs")) => {}
        _ => return Vec::new(),
    }
    let mut found = literals(path, text);
    if HELP.iter().any(|help| path.starts_with(help)) {
        found.extend(documentation(path, text));
    }
    found.sort_by_key(|text| text.line);
    let texts = found.into_iter().flat_map(|found| {
        let program = found.text.matches('\n').count() >= LINES && !path.starts_with("src/cli/");
        if program { printed(&found.text) } else { vec![found.text] }
    });
    texts.filter(|text| SENTENCE.is_match(text)).collect()
}

/// All texts, each once, below the path of its file.
fn everything() -> String {
    let mut all = Vec::new();
    files("features", &mut all);
    files("src", &mut all);
    let (mut out, mut seen) = (String::new(), BTreeSet::new());
    for (path, text) in &all {
        let new: Vec<String> = said(path, text).into_iter().filter(|text| seen.insert(text.clone())).collect();
        if !new.is_empty() {
            out.push_str(&format!("\n== {path}\n"));
        }
        for text in new {
            out.push_str(&format!("{}\n", text.trim_matches('\n').replace('\n', "\n    ")));
        }
    }
    out
}

#[test]
fn all_that_phoenix_says_is_reviewed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/messages.txt");
    snapbox::assert_data_eq!(everything(), snapbox::Data::read_from(&file, None).raw());
}

/// Lines of a text with a word that is refused.
fn refused(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("== ") && REFUSED.is_match(line)).collect()
}

#[test]
fn no_text_has_a_word_that_hides_who_acts() {
    assert_eq!(refused(&everything()), Vec::<&str>::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
    let pages = docs.filter(|page| page.is_file());
    for page in pages.chain([root.join("README.md")]) {
        assert_eq!(refused(&fs::read_to_string(&page).unwrap()), Vec::<&str>::new(), "{}", page.display());
    }
}

#[test]
fn texts_are_found_however_they_are_written() {
    let source = r##"
        /// Sets the size,
        /// in GiB.
        const A: &str = "one \
            \"two\"";
        fn f() { say(r#"three "four" five"#); g("b {x} c"); h("word"); i(b"no text"); }
        #[expect(dead_code, reason = "for developers only")]
        const C: char = '"'; // "a comment"
        #[cfg(test)]
        mod tests { const B: &str = "in a test"; }
        const D: &str = "last one";
    "##;
    let found = said("src/config/raw.rs", source);
    assert_eq!(found, ["Sets the size, in GiB.", "one \"two\"", "three \"four\" five", "b {x} c", "last one"]);
    assert_eq!(said("src/plan/disk.rs", source)[0], "one \"two\"", "documentation that nobody but developers reads");
    let program = "run() {\n  # log it\n  echo \"it failed\" >&2\n  ls a b\n}\n";
    assert_eq!(said("features/x.sh", program), ["echo \"it failed\" >&2"]);
}

#[test]
fn refused_words_are_found() {
    for text in ["somebody did it", "Whoever reads it", "VM {} moved: why", "it goes on", "mend it", "nobody is told"] {
        assert_eq!(refused(text), [text]);
    }
    for text in ["the disk was moved to `x`", "== src/ui/told.rs", "amended, beginning"] {
        assert_eq!(refused(text), Vec::<&str>::new());
    }
}
