//! Snapshots in a VM's configuration file: each is a section with the options that the VM had.
//!
//! Recorded: the section has every option of the VM but its notes, `parent` and what is not attached any more; its own
//! words stand in it as `#` lines. `parent` of the main section names the latest one.

/// What the names of phoenix's own snapshots begin with.
pub const OWN_SNAPSHOT: &str = "phoenix_";

/// Options of the main section that are no part of a snapshot, and that going back to one leaves as they are.
const KEPT: [&str; 3] = ["parent", "lock", "unused"];

fn is_kept(line: &str) -> bool {
    line.starts_with('#') || KEPT.iter().any(|key| line.starts_with(key))
}

/// Whether a line begins a section, and this one.
fn begins(line: &str, name: &str) -> bool {
    line.strip_prefix('[').and_then(|rest| rest.trim_end().strip_suffix(']')) == Some(name)
}

/// The main section, and everything behind it.
fn parted(conf: &str) -> (&str, &str) {
    if conf.starts_with('[') { ("", conf) } else { conf.find("\n[").map_or((conf, ""), |at| conf.split_at(at + 1)) }
}

/// The text's lines with their ends; the last one may have none.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

/// The name that a line `parent: NAME` has.
fn parent(line: &str) -> Option<&str> {
    line.strip_prefix("parent:").map(str::trim)
}

/// These lines in one text that ends with a line's end.
fn joined<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut text: String = lines.collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The lines of a snapshot's section. `None`: there is no such snapshot.
#[must_use]
pub fn snapshot_section(conf: &str, name: &str) -> Option<String> {
    let mut all = lines(conf).skip_while(|line| !begins(line, name));
    all.next()?;
    Some(joined(all.take_while(|line| !line.starts_with('[')).filter(|line| !line.trim().is_empty())))
}

/// A configuration with one more snapshot of what it says now. Everything else stays byte for byte.
#[must_use]
pub fn with_snapshot(conf: &str, name: &str, description: &str, time: u64) -> String {
    let (main, rest) = parted(conf);
    let before = joined(lines(main).filter(|line| parent(line).is_some()));
    let own = joined(lines(main).filter(|line| !line.trim().is_empty() && !is_kept(line)));
    let mut main = super::Conf::parse(main);
    main.set("parent", name);
    let words = super::encode_description(description);
    let there = joined([main.to_string().as_str(), rest].into_iter());
    format!("{there}\n[{name}]\n{words}{own}{before}snaptime: {time}\n")
}

/// A configuration without a snapshot. Everything else stays byte for byte.
#[must_use]
pub fn without_snapshot(conf: &str, name: &str) -> String {
    let section = snapshot_section(conf, name).unwrap_or_default();
    let before = section.lines().find_map(parent);
    let mut inside = false;
    let mut kept: Vec<String> = Vec::new();
    for line in lines(conf) {
        if line.starts_with('[') {
            inside = begins(line, name);
        }
        match (parent(line) == Some(name), before) {
            _ if inside => {}
            (false, _) => kept.push(line.to_owned()),
            (true, Some(before)) => {
                let end = line.trim_end_matches(['\r', '\n']).len();
                kept.push(format!("parent: {before}{}", &line[end..]));
            }
            (true, None) => {}
        }
    }
    // The empty line before the section that was the last one.
    if inside && kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    kept.concat()
}

/// A configuration that went back to a snapshot. `None`: there is no such snapshot.
#[must_use]
pub fn rolled_back(conf: &str, name: &str) -> Option<String> {
    let section = snapshot_section(conf, name)?;
    let (main, rest) = parted(conf);
    let notes = joined(lines(main).filter(|line| line.starts_with('#')));
    let unused = joined(lines(main).filter(|line| line.starts_with("unused")));
    let then = |line: &&str| !line.starts_with('#') && parent(line).is_none() && !line.starts_with("snaptime:");
    let then = joined(lines(&section).filter(then));
    let text = format!("{notes}{then}{unused}");
    let mut main = super::Conf::parse(&text);
    main.set("parent", name);
    Some(format!("{main}\n{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{rolled_back, snapshot_section, with_snapshot, without_snapshot};
    use crate::observed::Conf;

    const CONF: &str = "#notes\ncores: 2\nscsi0: s:vm-1-disk-0,size=3G\nunused0: s:vm-1-disk-1\n";

    #[test]
    fn a_snapshot_is_made_and_goes() {
        let one = with_snapshot(CONF, "a1", "why: so", 7);
        let section = "#why%3A so\ncores: 2\nscsi0: s:vm-1-disk-0,size=3G\nsnaptime: 7\n";
        assert_eq!(snapshot_section(&one, "a1").as_deref(), Some(section));
        assert_eq!(Conf::parse(&one).get("parent"), Some("a1"));
        let two = with_snapshot(&one, "b2", "", 8);
        assert_eq!(Conf::parse(&two).snapshots().collect::<Vec<_>>(), ["a1", "b2"]);
        assert!(snapshot_section(&two, "b2").unwrap().contains("parent: a1\n"));
        assert_eq!(without_snapshot(&two, "b2"), one);
        assert_eq!(without_snapshot(&one, "a1"), CONF);
        assert_eq!(snapshot_section(CONF, "a1"), None);
    }

    #[test]
    fn going_back_keeps_notes_and_what_is_unused() {
        let one = with_snapshot(CONF, "a1", "", 7);
        let later = one.replacen("cores: 2", "cores: 4\nonboot: 1", 1).replacen("#notes", "#other", 1);
        let back = rolled_back(&later, "a1").unwrap();
        assert_eq!(back, one.replacen("#notes", "#other", 1));
        assert_eq!(rolled_back(CONF, "a1"), None);
    }
}
