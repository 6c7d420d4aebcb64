//! `phoenix fmt`: `fixtures/fmt/CASE.in.jsonc` becomes `CASE.out.jsonc`, which stays as it is.
//! `SNAPSHOTS=overwrite cargo test --test fmt` rewrites those.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::config::Source;
use phoenix::config::fmt::formatted;
use proptest::prelude::*;
use snapbox::{Assert, Data};

/// Runs phoenix in a directory; exit code, standard output, standard error.
fn phoenix(dir: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    command.args(arguments).current_dir(dir).env_remove("PHOENIX_TARGET");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = piped.spawn().unwrap();
    // One that does not read it has ended already.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    let output = running.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), out, err)
}

fn laid_out(name: &str, text: &str) -> String {
    let source = Source::new(name, text);
    formatted(&source).unwrap_or_else(|problems| panic!("{name}: {problems:?}\n{text}"))
}

fn files(below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(below)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn each_case_is_laid_out_and_then_stays_as_it_is() {
    let assert = Assert::new().action_env("SNAPSHOTS");
    let of = |file: &Path| file.to_str().and_then(|file| file.strip_suffix(".in.jsonc")).map(str::to_owned);
    let cases: Vec<String> = files("fixtures/fmt").iter().filter_map(|file| of(file)).collect();
    assert!(cases.len() > 4, "{cases:?}");
    for case in cases {
        let out = laid_out("in.jsonc", &fs::read_to_string(format!("{case}.in.jsonc")).unwrap());
        assert.eq(&out, Data::read_from(Path::new(&format!("{case}.out.jsonc")), None).raw());
        assert_eq!(laid_out("out.jsonc", &out), out, "{case}");
    }
}

/// What phoenix itself writes, its own example among it; `tests/binary/import.rs` looks at `import`.
#[test]
fn what_phoenix_writes_is_formatted() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(phoenix(dir.path(), &["init"], "").0, 0);
    assert_eq!(phoenix(dir.path(), &["fmt", "--check"], ""), (0, String::new(), String::new()));
    let converted = files("fixtures/convert").into_iter().map(|case| case.join("new.json"));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("phoenix_vm_configs.json");
    for file in converted.chain([own]) {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(laid_out("new.json", &text), text, "{}", file.display());
    }
}

const LOOSE: &str = "{\"virtual_machines\":[]}";
const NEAT: &str = "{ \"virtual_machines\": [] }\n";

#[test]
fn files_are_written_only_where_something_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    for name in ["phoenix_vm_configs.json", "a.json", "b.jsonc", "real.json"] {
        fs::write(path(name), LOOSE).unwrap();
    }
    fs::write(path("neat.json"), NEAT).unwrap();
    fs::set_permissions(path("a.json"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.json", path("link.json")).unwrap();
    let fmt = |arguments: &[&str]| phoenix(dir.path(), &[&["fmt"], arguments].concat(), "");

    let (code, out, err) = fmt(&["--check", "a.json", "neat.json", "link.json"]);
    assert_eq!((code, out.as_str()), (1, "a.json\nlink.json\n"), "{err}");
    assert!(err.starts_with("error: 2 files are not formatted\nhint: "), "{err}");
    let (code, out, _) = fmt(&["--check", "--diff", "a.json"]);
    let diff = format!("--- a.json\n+++ a.json\n@@ -1 +1 @@\n-{LOOSE}\n\\ No newline at end of file\n+{NEAT}");
    assert_eq!((code, out), (1, format!("a.json\n{diff}")));
    assert_eq!([read("a.json"), read("real.json")], [LOOSE, LOOSE]);

    let was = fs::metadata(path("neat.json")).unwrap().modified().unwrap();
    assert_eq!(fmt(&["a.json", "neat.json", "link.json"]), (0, "a.json\nlink.json\n".to_owned(), String::new()));
    assert_eq!([read("a.json"), read("real.json"), read("neat.json")], [NEAT, NEAT, NEAT]);
    assert_eq!(fs::metadata(path("a.json")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(path("link.json").is_symlink(), "what the link leads to is written, not the link");
    assert_eq!(fs::metadata(path("neat.json")).unwrap().modified().unwrap(), was);
    assert_eq!(fmt(&[]).1, "phoenix_vm_configs.json\n");
    assert_eq!(fmt(&["-c", "b.jsonc", "--diff"]).0, 0);
    assert_eq!(fmt(&["--check", "b.jsonc", "a.json", "link.json"]), (0, String::new(), String::new()));
    let names = files(dir.path().to_str().unwrap());
    assert_eq!(names.len(), 6, "something was left behind: {names:?}");
}

#[test]
fn a_file_with_a_mistake_stays_as_it_is_and_the_others_are_formatted() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("open.json", "{ \"a\": [1, 2", "P009"),
        ("comment.json", "{ } // none", "P010"),
        ("comma.json", "[1,]", "P011"),
        ("twice.jsonc", "{ \"a\":1, \"a\":2 }", "P012"),
        ("deep.json", &format!("{}{}", "[".repeat(51), "]".repeat(51)), "P008"),
        ("empty.json", "", "P001"),
    ];
    for (name, text, code) in cases {
        fs::write(dir.path().join(name), text).unwrap();
        fs::write(dir.path().join("good.json"), LOOSE).unwrap();
        let (exit, out, err) = phoenix(dir.path(), &["fmt", name, "good.json"], "");
        assert_eq!((exit, out.as_str()), (3, "good.json\n"), "{err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(name), "{err}");
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), text);
        // It is said as `validate` says it.
        let said = phoenix(dir.path(), &["validate", name], "").2;
        assert!(said.contains(&err) || code == "P008", "{err}\n{said}");
    }
    let (exit, _, err) = phoenix(dir.path(), &["fmt", "none.json"], "");
    assert_eq!(exit, 3, "{err}");
    assert!(err.contains("there is no file `none.json`"), "{err}");
}

#[test]
fn standard_input_becomes_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let fmt = |arguments: &[&str], input: &str| phoenix(dir.path(), &[&["fmt"], arguments].concat(), input);
    assert_eq!(fmt(&["-"], LOOSE), (0, NEAT.to_owned(), String::new()));
    assert_eq!(fmt(&["-c", "-"], "[1,2] // two").1, "[1, 2] // two\n");
    assert_eq!(fmt(&["-", "--check"], NEAT), (0, String::new(), String::new()));
    let (code, out, _) = fmt(&["-", "--check"], LOOSE);
    assert_eq!((code, out.as_str()), (1, "<stdin>\n"));
    let (code, out, err) = fmt(&["-"], "[1");
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    for refused in [&["-", "a.json"][..], &["-", "--diff"], &["-", "-"]] {
        assert_eq!(fmt(refused, LOOSE).0, 4, "{refused:?}");
    }
}

/// JSON without white space. Its texts have no `/`, `,` or white space, so that a layout is told from what is laid out.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
        "\"([a-zü:{}\\[\\]]|\\\\\"|\\\\\\\\|\\\\u00e9){0,60}\"",
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..8).prop_map(|items| format!("[{}]", items.join(",")));
        let entries = prop::collection::vec(("[a-z]{1,20}", inner), 0..8);
        let object = entries.prop_map(|entries| {
            let entries: Vec<String> =
                entries.iter().enumerate().map(|(n, (key, value))| format!("\"{key}{n}\":{value}")).collect();
            format!("{{{}}}", entries.join(","))
        });
        prop_oneof![list, object]
    })
}

/// The text with something between all of its tokens, which these numbers choose.
fn spread(json: &str, choices: &[u8], eol: &str) -> String {
    let mut choices = choices.iter().cycle();
    let (mut out, mut is_text, mut is_escaped) = (String::new(), false, false);
    let mut fill = |out: &mut String, number: usize| match choices.next() {
        Some(0..60) => out.push_str(eol),
        Some(60..80) => out.push_str("  \t"),
        Some(80..86) => out.push_str(&format!(" // c{number} x{eol}")),
        Some(86..92) => out.push_str(&format!("/* c{number}{eol}  */")),
        Some(92..96) => out.push_str(&format!("{eol}{eol}//c{number}{eol}{eol}")),
        Some(96..100) => out.push_str(&format!("{eol} /* c{number} */{eol}")),
        _ => {}
    };
    let mut before = ' ';
    for (number, c) in json.char_indices() {
        let is_mark = !is_text && "[]{},:".contains(c);
        if is_mark {
            fill(&mut out, number);
        }
        if is_mark && "]}".contains(c) && !"[{".contains(before) && number % 5 == 0 {
            out.push(',');
            fill(&mut out, number + 1_000_000);
        }
        out.push(c);
        if is_mark {
            fill(&mut out, number + 2_000_000);
        }
        is_text ^= c == '"' && !is_escaped;
        is_escaped = is_text && c == '\\' && !is_escaped;
        before = c;
    }
    out
}

/// A text without its comments, white space and trailing commas; and the comments.
fn parts(text: &str) -> (String, Vec<String>) {
    let comment = regex::Regex::new(r"(?s)//[^\n]*\n|/\*.*?\*/").unwrap();
    let mut found: Vec<String> =
        comment.find_iter(text).map(|found| found.as_str().split_whitespace().collect()).collect();
    found.sort();
    let plain: String = comment.replace_all(text, "").split_whitespace().collect();
    (plain.replace(",]", "]").replace(",}", "}"), found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_changes_no_value_and_no_comment_and_is_the_last(
        json in json(), choices in prop::collection::vec(any::<u8>(), 1..80), windows in any::<bool>()
    ) {
        let text = spread(&json, &choices, if windows { "\r\n" } else { "\n" });
        let out = laid_out("c.jsonc", &text);
        let (plain, comments) = parts(&out);
        prop_assert_eq!(&plain, &parts(&text).0, "{}", out);
        prop_assert_eq!(&comments, &parts(&text).1, "{}", out);
        prop_assert_eq!(laid_out("c.jsonc", &out), out.clone());
        prop_assert_eq!(out.contains('\r'), text.contains('\r'));
        prop_assert!(out.ends_with('\n') && !out.contains(" \n") && !out.contains(" \r\n"), "{}", out);
    }
}
