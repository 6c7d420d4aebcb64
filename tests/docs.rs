//! The README and the pages of `docs/`: short enough, no link that leads nowhere, no command that phoenix does not
//! know, none that does something else than the page says. What is only looked up, `docs/keys.md` and `docs/codes.md`,
//! is made here of the schema and of the tables of codes: `SNAPSHOTS=overwrite cargo test --test docs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use phoenix::config::reference;
use phoenix::diag::Severity;
use phoenix::{config, plan};
use regex::Regex;

#[cfg(target_os = "linux")]
#[path = "docs/walk.rs"]
mod walk;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The README and the pages, each with its path.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|is| is == "md")).collect();
    paths.sort();
    paths.insert(0, Path::new(ROOT).join("README.md"));
    assert!(paths.len() > 10, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// What a page's headings are called in links, as GitHub makes it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    let kept = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let known = title.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | ' '));
        known.map(|char| if char == ' ' { '-' } else { char }).collect()
    };
    headings.map(kept).collect()
}

#[test]
fn the_readme_is_read_in_one_go() {
    let lines = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap().lines().count();
    assert!(lines <= 150, "the README has {lines} lines");
}

#[test]
fn every_link_leads_somewhere() {
    static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").unwrap());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in pages() {
        for found in LINK.captures_iter(&text) {
            let link = &found[1];
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = match anchor {
                None => target.exists(),
                Some(anchor) => fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)),
            };
            if !there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 50, "{seen}");
}

#[test]
fn every_page_is_named_in_the_readme() {
    let pages = pages();
    let readme = &pages[0].1;
    for (path, _) in &pages[1..] {
        let name = format!("](docs/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(readme.contains(&name), "{name}");
    }
}

/// The words of each `phoenix …` in the console blocks of a page, without what the shell does with them.
fn commands(text: &str) -> Vec<String> {
    static PHOENIX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^[$#] |&& |\$\()(?:phoenix|cargo run --) ([^#|>&)]+)").unwrap());
    let (mut console, mut found) = (false, Vec::new());
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            console = language.split(' ').next() == Some("console");
        } else if console {
            found.extend(PHOENIX.captures_iter(line).map(|words| words[1].trim().to_owned()));
        }
    }
    found
}

/// Every command line is one that phoenix understands: its verbs, flags and values, down to the `--help` behind it.
#[test]
fn every_command_is_one_that_phoenix_knows() {
    let all: BTreeSet<String> = pages().iter().flat_map(|(_, text)| commands(text)).collect();
    assert!(all.len() > 30, "{all:?}");
    for line in all {
        let words = line.split_whitespace().take_while(|word| *word != "--").map(|word| match word {
            "HASH" => "3f1c6f0e9d5f0a4b7e2c8d1b6a9f3e5d7c4b2a1908f7e6d5c4b3a29180f7e6d5",
            word => word,
        });
        let ran = Command::new(env!("CARGO_BIN_EXE_phoenix")).args(words).arg("--help").output().unwrap();
        assert!(ran.status.success(), "phoenix {line}\n{}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn a_command_that_phoenix_does_not_know_is_found() {
    let text = "```console\n$ phoenix plan --bogus | less\n# phoenix init && phoenix fly\n```\n$ phoenix outside\n";
    assert_eq!(commands(text), ["plan --bogus", "init", "fly"]);
    for line in ["plan --bogus", "fly"] {
        let words = line.split_whitespace();
        let ran = Command::new(env!("CARGO_BIN_EXE_phoenix")).args(words).arg("--help").output().unwrap();
        assert!(!ran.status.success(), "{line}");
    }
}

/// The newcomer's commands and what the README shows of their output, line by line.
#[test]
fn the_quick_start_is_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    fs::copy(Path::new(ROOT).join("phoenix_vm_configs.json"), dir.path().join("phoenix_vm_configs.json")).unwrap();
    fs::create_dir(dir.path().join("features")).unwrap();
    for script in fs::read_dir(Path::new(ROOT).join("features")).unwrap() {
        let script = script.unwrap().path();
        fs::copy(&script, dir.path().join("features").join(script.file_name().unwrap())).unwrap();
    }
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(words.split(' ')).current_dir(dir.path()).env_remove("PHOENIX_TARGET");
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let (_, start) = readme.split_once("## Quick start").unwrap();
    let (start, _) = start.split_once("\n## ").unwrap();
    let words = commands(start);
    assert_eq!(words, ["plan", "apply --auto-approve", "plan"]);
    let (_, shown) = start.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("\n```").unwrap();
    let plan = run(&words[0]);
    for line in shown.lines().filter(|line| line.trim() != "…") {
        assert!(plan.lines().any(|there| there == line), "`{line}` is not in\n{plan}");
    }
    run(&words[1]);
    let again = run(&words[2]);
    assert!(again.contains("0 to create, 0 to update, 0 to destroy, 3 unchanged"), "{again}");
}

/// What can be rehearsed: a name that is none is refused with those that are, and the page has each of them.
#[test]
fn every_operation_that_can_be_rehearsed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("phoenix_vm_configs.json"), r#"{ "virtual_machines": [] }"#).unwrap();
    let phoenix = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(words).current_dir(dir.path()).env_remove("PHOENIX_TARGET").output().unwrap()
    };
    assert!(phoenix(&["node", "init"]).status.success());
    let faults = r#"[{ "op": "reboot", "how": "fail" }]"#;
    fs::write(dir.path().join(".phoenix/node/faults.json"), faults).unwrap();
    let refused = phoenix(&["plan"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let (_, names) = said.split_once("no operation is called `reboot`; there are ").unwrap();
    let names: Vec<&str> = names.lines().next().unwrap().split(", ").collect();
    assert!(names.len() > 20, "{names:?}");
    let page = fs::read_to_string(Path::new(ROOT).join("docs/embedded.md")).unwrap();
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/embedded.md");
    }
}

/// The exit codes of the page are those of the manual, in the same words.
#[test]
fn exit_codes_are_the_same_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_phoenix")).arg("man").arg(dir.path()).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let manual = fs::read_to_string(dir.path().join("phoenix.1")).unwrap().replace('\\', "");
    let page = fs::read_to_string(Path::new(ROOT).join("docs/commands.md")).unwrap();
    let (_, table) = page.split_once("| exit code | meaning |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 9, "{rows:?}");
    for row in rows {
        let (code, meaning) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        let meaning = meaning.replace('`', "");
        let (first, rest) = meaning.split_at(1);
        let entry = format!("fB{code}fR\n{}{rest}.\n", first.to_uppercase());
        assert!(manual.contains(&entry), "`{entry}` is not in the manual");
    }
}

/// A text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The rows of a table.
fn rows(rows: &[reference::Row]) -> String {
    let of = |row: &reference::Row| {
        let code = |value: &String| cell(&format!("`{value}`"));
        let default = match &row.default {
            None if row.required => "required".to_owned(),
            value => value.as_ref().map_or_else(|| "–".to_owned(), code),
        };
        let example = row.example.as_ref().map_or_else(|| "–".to_owned(), code);
        format!("| `{}` | {} | {} | {default} | {example} |\n", row.name, row.kind, cell(&row.text))
    };
    rows.iter().map(of).collect()
}

fn keys() -> String {
    let mut out = String::from(
        "# All keys\n\nMade from [the schema](../schema/phoenix_vm_configs.schema.json), which editors show the same from. A key without a \
         default stays, in a VM, as it is. How they are used together: [The config](config.md).\n",
    );
    let head = "| key | type | meaning | default | example |\n|---|---|---|---|---|\n";
    out.push_str(&format!(
        "\n## Of a virtual machine\n\nIn `virtual_machines`; all but those that say otherwise also in `vm_defaults` and in `profiles`.\n\n{head}"
    ));
    out.push_str(&rows(&reference::of_a_vm()));
    out.push_str(
        "\n## Options by Proxmox's own names\n\nIn `proxmox`, also in `vm_defaults` and in `profiles`; a name that ends in `N` \
         stands for the numbered ones. What each does, Proxmox's own documentation says. Options with a key of their own \
         above are refused here with that key.\n\n| option | value | when | default |\n|---|---|---|---|\n",
    );
    for row in reference::of_proxmox() {
        let default = row.default.as_ref().map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
        out.push_str(&format!("| `{}` | {} | {} | {default} |\n", row.name, cell(&row.kind), cell(&row.text)));
    }
    out.push_str(&format!("\n## Of the whole file\n\nIn `hypervisor`.\n\n{head}"));
    out.push_str(&rows(&reference::of_the_file()));
    out.push_str(&format!("\n## Secrets\n\nBeside `virtual_machines`.\n\n{head}"));
    out.push_str(&rows(&reference::of_secrets()));
    out
}

/// The cause of what is said with a code, and the way out, where no expected text has an example of it.
fn cures() -> BTreeMap<&'static str, String> {
    let lines = include_str!("docs/cures.txt").lines();
    lines.map(|line| line.split_once(' ').map(|(code, cure)| (code, cure.to_owned())).unwrap()).collect()
}

/// What is said with a code somewhere in the expected texts, and the hint that stands below it; else its cause and
/// cure.
fn for_example(code: &str) -> String {
    static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let below = |name: &str| fs::read_dir(Path::new(ROOT).join("fixtures").join(name)).unwrap();
        let cases = below("plan").map(|case| case.unwrap().path().join("plan.txt"));
        let mut files: Vec<PathBuf> = below("config").map(|file| file.unwrap().path()).chain(cases).collect();
        files.sort();
        let text = |file: &PathBuf| fs::read_to_string(file).ok();
        files.iter().filter(|file| file.extension().is_some_and(|is| is == "txt")).filter_map(text).collect()
    });
    let mark = format!("[{code}]: ");
    let Some((_, said)) = TEXTS.iter().find_map(|text| text.split_once(&mark)) else {
        return cures()
            .remove(code)
            .unwrap_or_else(|| panic!("{code} has no example and no line in tests/docs/cures.txt"));
    };
    let block: Vec<&str> = said.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let block: Vec<&str> = block.into_iter().map(|line| line.strip_prefix("= ").unwrap_or(line)).collect();
    let cause = block.iter().take_while(|line| !["--> ", "hint: ", "|"].iter().any(|next| line.starts_with(next)));
    let cause: Vec<&str> = cause.copied().collect();
    let after = block.iter().position(|line| line.starts_with("hint: "));
    let hint = after.map(|at| {
        let rest = block[at + 1..].iter().take_while(|line| !line.starts_with("hint: ")).copied();
        let first = block[at].trim_start_matches("hint: ");
        format!(" → {}", std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" "))
    });
    cause.join(" ") + &hint.unwrap_or_default()
}

fn codes() -> String {
    let mut out = String::from(
        "# All codes\n\nEach message of `validate`, `plan` and `apply` has one, with the file, the line, the VM and the key that it is about, and \
         with a `hint:` for the way out. A code is never given another meaning. The \
         examples are what the tests expect: the message, and behind the arrow its hint; where there is none, the cause, and behind the arrow what to do.\n\n## Of a config\n\nThey need no target: `phoenix validate` \
         finds them.\n\n| code | is | means | for example |\n|---|---|---|---|\n",
    );
    for code in config::codes::ALL {
        let severity = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        out.push_str(&format!(
            "| {} | {severity} | {} | {} |\n",
            code.code,
            cell(code.meaning),
            cell(&for_example(code.code))
        ));
    }
    out.push_str(
        "\n## Of a plan\n\nThey only show against a target.\n\n| code | means | for example |\n|---|---|---|\n",
    );
    for (code, meaning) in plan::codes::ALL {
        out.push_str(&format!("| {code} | {} | {} |\n", cell(meaning), cell(&for_example(code))));
    }
    out
}

#[test]
fn no_cure_is_kept_of_a_code_with_an_example() {
    let codes = codes();
    for (code, cure) in cures() {
        assert!(plan::codes::ALL.iter().any(|(known, _)| *known == code), "{code} is no code of a plan");
        assert!(cure.contains(" → "), "{code}: {cure}");
        assert!(codes.contains(&cell(&cure)), "{code} has an example: its line in tests/docs/cures.txt is not needed");
    }
}

#[test]
fn what_is_looked_up_is_made_of_what_counts() {
    for (name, text) in [("keys.md", keys()), ("codes.md", codes())] {
        let file = Path::new(ROOT).join("docs").join(name);
        snapbox::assert_data_eq!(text, snapbox::Data::read_from(&file, None).raw());
    }
}
