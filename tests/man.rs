//! The manual pages: one for each verb, in the language of `man` without a mistake.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

const PHOENIX: &str = env!("CARGO_BIN_EXE_phoenix");

/// The verbs that `--help` lists.
fn verbs() -> BTreeSet<String> {
    let help = Command::new(PHOENIX).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let first = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    first.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|verb| verb != "help").collect()
}

#[test]
fn every_verb_has_a_page_that_man_can_show() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man/man1");
    let ran = Command::new(PHOENIX).arg("man").arg(&pages).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let found: BTreeSet<String> =
        std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    let mut expected: BTreeSet<String> = verbs().into_iter().map(|verb| format!("phoenix-{verb}.1")).collect();
    assert!(expected.len() > 10, "{expected:?}");
    expected.extend(["add", "add-template", "init", "reset", "show"].map(|verb| format!("phoenix-node-{verb}.1")));
    expected.extend(["phoenix.1", "phoenix-config.5"].map(str::to_owned));
    assert_eq!(found, expected);
    if !support::need("groff", "groff") {
        return;
    }
    for page in &found {
        let shown =
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-Kutf8", "-P-cbou"]).arg(pages.join(page)).output();
        let shown = shown.unwrap();
        assert!(
            shown.status.success() && shown.stderr.is_empty(),
            "{page}: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        let text = String::from_utf8_lossy(&shown.stdout);
        let sections: &[&str] = match page.as_str() {
            "phoenix-config.5" => &["KEYS OF A VIRTUAL MACHINE", "disks.SLOT.filesystem", "nfs_shares.NAME.export"],
            _ => &["EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "PHOENIX_SECRET_*"],
        };
        for section in sections {
            assert!(text.contains(section), "{page} lacks {section}: {text}");
        }
    }
}
