//! Putting VMs into the text of a config, everything else left as it is, byte for byte.
//!
//! What is put in looks like what is there already: indentation, line ends, spaces. Where the VMs stand in the order of
//! their VMIDs, a new one finds its place in that order; else it comes last. Comments of a `.jsonc` file stay with what
//! they stand beside.

use std::collections::BTreeMap;

use jsonc_parser::ast::{Array, Object, Value as Tree};
use jsonc_parser::common::Ranged as _;
use serde_json::Value;

use super::places::places;
use super::source::Source;
use super::syntax;
use crate::diag::Span;
use crate::model::VmId;

mod layout;

pub(super) use layout::printed;
use layout::{Form, Gap, Splice, eol, indentation, indentation_of_line};

/// What is put into a config about one VM.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// An entry of its own, key by key. Those of the VMID and the name come first.
    Entry(VmId, Vec<(&'static str, Value)>),
    /// One more key of the entry that is there; a value that the key has is replaced.
    Key(VmId, &'static str, Value),
}

/// A config with VMs put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// Where in it each VM's entry or key stands.
    pub places: Vec<(VmId, Span)>,
}

/// Puts VMs into the text of a valid config. `None`: it is none, or has no entry for a key.
#[must_use]
pub fn edited(text: &str, edits: &[Edit]) -> Option<Edited> {
    let parsed = syntax::parse(text);
    let root = parsed.root.as_ref()?.as_object()?;
    let list = root.get_array("virtual_machines")?;
    let vms: Vec<&Object<'_>> = list.elements.iter().filter_map(Tree::as_object).collect();
    let mut splices = Vec::new();
    let mut new: Vec<(VmId, &[(&'static str, Value)])> = Vec::new();
    for edit in edits {
        match edit {
            Edit::Entry(vm, keys) => new.push((*vm, keys)),
            Edit::Key(vm, key, value) => {
                let entry = vms.iter().find(|entry| id_of(entry) == Some(vm.get()))?;
                splices.extend(with_key(text, entry, *vm, key, value)?);
            }
        }
    }
    new.sort_by_key(|(vm, _)| *vm);
    splices.extend(if vms.is_empty() { into_empty(text, root, list, &new) } else { beside(text, list, &vms, &new)? });
    Some(spliced(text, splices))
}

/// A config of a directory that has no VMs yet.
const EMPTY: &str = "{\n  \"virtual_machines\": []\n}\n";

/// Puts VMs into a valid config, and says where in it each one's entry or key stands. Of a directory, a key comes into
/// the file that has the entry, and new entries into the file `new`, which is made unless it is there. `None`: as for
/// [`edited`].
#[must_use]
pub fn put(source: &Source, edits: &[Edit], new: &str) -> Option<(Source, Vec<(VmId, Span)>)> {
    if source.files.is_empty() {
        let Edited { text, places } = edited(&source.text, edits)?;
        return Some((Source::new(source.name.as_str(), text), places));
    }
    let mut files = source.apart();
    if edits.iter().any(|edit| matches!(edit, Edit::Entry(..))) && files.iter().all(|file| file.name != new) {
        files.push(Source::new(new, EMPTY));
    }
    let there = places(source).vms;
    let of = |edit: &Edit| match edit {
        Edit::Entry(..) => new,
        Edit::Key(vm, ..) => there.get(&vm.get()).map_or("", |(at, _)| source.file(at.start).1),
    };
    let mut found = Vec::new();
    for (n, file) in files.iter_mut().enumerate() {
        let own: Vec<Edit> = edits.iter().filter(|edit| of(edit) == file.name).cloned().collect();
        if !own.is_empty() {
            let edited = edited(&file.text, &own)?;
            file.text = edited.text;
            found.push((n, edited.places));
        }
    }
    let whole = Source::joined(source.name.as_str(), files);
    let moved = |start: usize, at: Span| Span { start: at.start + start, end: at.end + start };
    let of_file = |(n, places): (usize, Vec<(VmId, Span)>)| {
        let start = whole.files[n].start;
        places.into_iter().map(move |(vm, at)| (vm, moved(start, at)))
    };
    let places = found.into_iter().flat_map(of_file).collect();
    Some((whole, places))
}

fn spliced(text: &str, mut splices: Vec<Splice>) -> Edited {
    splices.sort_by_key(|splice| splice.start);
    let mut out = Edited { text: String::with_capacity(text.len() + 256), places: Vec::new() };
    let mut from = 0;
    for splice in splices {
        out.text.push_str(&text[from..splice.start]);
        for (vm, piece) in splice.pieces {
            let start = out.text.len();
            out.text.push_str(&piece);
            out.places.extend(vm.map(|vm| (vm, Span { start, end: start + piece.len() })));
        }
        from = splice.end;
    }
    out.text.push_str(&text[from..]);
    out
}

fn id_of(entry: &Object<'_>) -> Option<u32> {
    entry.get_number("vm_id")?.value.parse().ok()
}

fn with_key(text: &str, entry: &Object<'_>, vm: VmId, key: &str, value: &Value) -> Option<Vec<Splice>> {
    let written = printed(value, " ");
    if let Some(there) = entry.properties.iter().find(|property| property.name.as_str() == key) {
        let range = there.value.range();
        return Some(vec![Splice { start: range.start, end: range.end, pieces: vec![(Some(vm), written)] }]);
    }
    let last = entry.properties.last()?.range.end;
    let form = Form::of(text, entry);
    let said = format!("\"{key}\"{}{written}", form.colon);
    let gap = Gap::of(text, last, entry.range.end - 1);
    if gap.is_plain() {
        let piece = (Some(vm), format!("{}{said}", form.comma));
        return Some(vec![Splice { start: last, end: last, pieces: vec![piece] }]);
    }
    Some(gap.filled(&form.comma, vec![(vm, said)]))
}

/// Entries into a list that has some.
fn beside(
    text: &str,
    list: &Array<'_>,
    vms: &[&Object<'_>],
    new: &[(VmId, &[(&'static str, Value)])],
) -> Option<Vec<Splice>> {
    let end = vms.last()?;
    let form = Form::of(text, end);
    // What stands before an entry, or before the end of the list.
    let gap = |at: usize| {
        let from = at.checked_sub(1).map_or(list.range.start + 1, |before| vms[before].range.end);
        Gap::of(text, from, vms.get(at).map_or(list.range.end - 1, |next| next.range.start))
    };
    let before = gap(vms.len() - 1);
    let between = match before.text {
        lead if lead.contains('\n') && !before.is_plain() => {
            format!(",{}{}", eol(text), indentation_of_line(text, end.range.start))
        }
        lead if before.is_plain() && vms.len() > 1 => lead.to_owned(),
        lead if lead.contains('\n') => format!(",{lead}"),
        _ => format!(",{}", form.space),
    };
    let ids: Vec<Option<u32>> = vms.iter().map(|entry| id_of(entry)).collect();
    let ordered = ids.iter().all(Option::is_some) && ids.is_sorted_by(|a, b| a < b);
    let mut splices: Vec<Splice> = Vec::new();
    let mut beside_comments: BTreeMap<usize, Vec<(VmId, String)>> = BTreeMap::new();
    for (vm, keys) in new {
        let at = if ordered { ids.partition_point(|id| *id < Some(vm.get())) } else { vms.len() };
        if !gap(at).is_plain() {
            beside_comments.entry(at).or_default().push((*vm, form.print(keys)));
            continue;
        }
        let (place, entry) =
            (vms.get(at).map_or(end.range.end, |next| next.range.start), (Some(*vm), form.print(keys)));
        let pieces = if at < vms.len() { [entry, (None, between.clone())] } else { [(None, between.clone()), entry] };
        match splices.last_mut().filter(|splice| splice.start == place) {
            Some(splice) => splice.pieces.extend(pieces),
            None => splices.push(Splice { start: place, end: place, pieces: pieces.into() }),
        }
    }
    splices.extend(beside_comments.into_iter().flat_map(|(at, new)| gap(at).filled(&between, new)));
    Some(splices)
}

/// Entries into an empty list, which has no layout yet.
fn into_empty(
    text: &str,
    root: &Object<'_>,
    list: &Array<'_>,
    new: &[(VmId, &[(&'static str, Value)])],
) -> Vec<Splice> {
    if new.is_empty() {
        return Vec::new();
    }
    let of_list = root.properties.iter().find(|property| property.name.as_str() == "virtual_machines");
    let base = of_list.and_then(|property| indentation(text, property.range.start));
    let colon = of_list.map_or(": ", |property| &text[property.name.range().end..property.value.range().start]);
    let mut form = Form::line(colon);
    let (open, between, close) = match base {
        None => (String::new(), format!(",{}", form.space), String::new()),
        Some(base) => {
            // The list stands one step in, so its own indentation is the step.
            let (eol, step) = (eol(text), if base.is_empty() { "  " } else { base });
            let own = format!("{base}{step}");
            form = form.broken(eol, &format!("{own}{step}"), &own);
            (format!("{eol}{own}"), format!(",{eol}{own}"), format!("{eol}{base}"))
        }
    };
    // Comments that stand in the list stay, before what is new.
    let inside = &text[list.range.start + 1..list.range.end - 1];
    let comments = inside.trim_end();
    let open = match open {
        open if !open.is_empty() || comments.is_empty() => open,
        _ if inside.contains('\n') => eol(text).to_owned(),
        _ => " ".to_owned(),
    };
    let start = list.range.start + 1 + comments.len();
    let mut pieces = vec![(None, open)];
    for (at, (vm, keys)) in new.iter().enumerate() {
        pieces.extend((at > 0).then(|| (None, between.clone())));
        pieces.push((Some(*vm), form.print(keys)));
    }
    pieces.push((None, format!("{close}]")));
    vec![Splice { start, end: list.range.end, pieces }]
}

#[cfg(test)]
mod tests {
    use super::layout::LONG;
    use super::*;
    use serde_json::json;

    fn id(vm: u32) -> VmId {
        VmId::try_from(vm).unwrap()
    }

    fn entry(vm: u32) -> Edit {
        Edit::Entry(id(vm), vec![("vm_id", json!(vm)), ("vm_name", json!("new")), ("tags", json!(["a", "b"]))])
    }

    /// What stands between `<` and `>` is put in; everything else is there before.
    #[track_caller]
    fn check(marked: &str, edits: &[Edit]) {
        let (mut before, mut after, mut inside) = (String::new(), String::new(), false);
        for c in marked.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c => {
                    after.push(c);
                    before.extend((!inside).then_some(c));
                }
            }
        }
        let edited = edited(&before, edits).unwrap();
        assert_eq!(edited.text, after);
        assert_eq!(edited.places.len(), edits.len());
        for (vm, place) in edited.places {
            let text = &edited.text[place.start..place.end];
            assert!(text.contains(&vm.to_string()) || text.contains("uuid"), "{vm}: {text}");
        }
    }

    #[test]
    fn an_entry_looks_like_those_that_are_there() {
        let new = |eol: &str, indent: &str| {
            let keys = ["\"vm_id\": 105,", "\"vm_name\": \"new\",", "\"tags\": [\"a\", \"b\"]"];
            let keys: Vec<String> = keys.iter().map(|key| format!("{eol}{indent}{indent}{indent}{key}")).collect();
            format!("{{{}{eol}{indent}{indent}}}", keys.concat())
        };
        for (eol, indent) in [("\n", "  "), ("\r\n", "    "), ("\n", "\t")] {
            let old = |vm: u32| new(eol, indent).replace("105", &vm.to_string());
            let list = |entries: &str| format!("{{{eol}{indent}\"virtual_machines\": [{entries}]{eol}}}{eol}");
            let lead = format!("{eol}{indent}{indent}");
            let (tail, new) = (format!("{eol}{indent}"), new(eol, indent));
            check(&list(&format!("{lead}{}<,{lead}{new}>{tail}", old(104))), &[entry(105)]);
            check(&list(&format!("{lead}<{new},{lead}>{}{tail}", old(106))), &[entry(105)]);
            let both = format!("{lead}{},{lead}<{new},{lead}>{}{tail}", old(104), old(106));
            check(&list(&both), &[entry(105)]);
            // Not in order: the new one comes last.
            check(&list(&format!("{lead}{},{lead}{}<,{lead}{new}>{tail}", old(200), old(100))), &[entry(105)]);
            check(&list(&format!("<{lead}{new}{tail}>")), &[entry(105)]);
        }
    }

    #[test]
    fn other_layouts() {
        let line = r#"{ "vm_id": 105, "vm_name": "new", "tags": ["a", "b"] }"#;
        let old = line.replace("105", "104");
        check(&format!("{{\n  \"virtual_machines\": [\n    {old}<,\n    {line}>\n  ]\n}}"), &[entry(105)]);
        check(&format!("{{ \"virtual_machines\": [{old}<, {line}>] }}"), &[entry(105)]);
        check(&format!("{{ \"virtual_machines\": [<{line}>] }}"), &[entry(105)]);
        check(
            &format!("{{\"virtual_machines\":[{}<,{}>]}}", old.replace(' ', ""), line.replace(' ', "")),
            &[entry(105)],
        );
        // Brackets on one line, several keys on another.
        let block = "{ \"vm_id\": 104,\n    \"vm_name\": \"x\", \"tags\": []\n  }";
        let new = "{\n    \"vm_id\": 105,\n    \"vm_name\": \"new\",\n    \"tags\": [\"a\", \"b\"]\n  }";
        check(&format!("{{\n  \"virtual_machines\": [{block}<, {new}>]\n}}"), &[entry(105)]);
        // An entry that would make a long line is broken.
        let Edit::Entry(vm, mut keys) = entry(105) else { panic!() };
        keys[2].1 = json!("x".repeat(LONG));
        let long = format!(
            "{{\n      \"vm_id\": 105,\n      \"vm_name\": \"new\",\n      \"tags\": \"{}\"\n    }}",
            "x".repeat(LONG)
        );
        check(&format!("{{\n  \"virtual_machines\": [\n    {old}<,\n    {long}>\n  ]\n}}"), &[Edit::Entry(vm, keys)]);
        // Several at once, in order.
        let (a, b) = (line.replace("105", "103"), line);
        check(
            &format!("{{\n  \"virtual_machines\": [\n    <{a},\n    >{old}<,\n    {b}>\n  ]\n}}"),
            &[entry(105), entry(103)],
        );
    }

    #[test]
    fn comments_stay_with_their_neighbours() {
        let line = r#"{ "vm_id": 105, "vm_name": "new", "tags": ["a", "b"] }"#;
        let (a, b) = (line.replace("105", "104"), line.replace("105", "106"));
        let list = |entries: &str| format!("{{\n  \"virtual_machines\": [{entries}\n  ] // end\n}}");
        let new = [entry(105)];
        // Before the first, between two, behind the last; with a comma behind it and without one.
        check(&list(&format!(" // all<\n    {line},>\n    // b\n    {b}")), &new);
        check(&list(&format!("\n    {a}, // a<\n    {line},>\n    // b\n    {b}")), &new);
        check(&list(&format!("\n    // a\n    {a}<,> // a<\n    {line}>\n    // more")), &new);
        check(&list(&format!("\n    {a}, /* a */ // a<\n    {line},>")), &new);
        check(&list(&format!("\n    {a},<\n    {line},>")), &new);
        check(&list(&format!("\n    {a}<,> /*\n a */<\n    {line}>")), &new);
        check(&list(&format!("\n    {a} // a\n    ,<\n    {line},>\n    {b}")), &new);
        check(
            &list(&format!("\n    {a}, // a<\n    {line},\n    {},>", line.replace("105", "110"))),
            &[entry(110), entry(105)],
        );
        // In one line.
        check(&list(&format!("{a},< {line},> /* b */ {b}")), &new);
        check(&list(&format!("{a}, // a<\n{line},>\n{b}")), &new);
        check(&list(&format!("{a}<,> /* a */<\n  {line}>")), &new);
        // An empty list.
        let broken = "{\n      \"vm_id\": 105,\n      \"vm_name\": \"new\",\n      \"tags\": [\"a\", \"b\"]\n    }";
        check(&list(&format!(" // none\n    // yet<\n    {broken}>")), &new);
        check(&format!("{{ \"virtual_machines\": [ /* none */< {line}>] }}"), &new);
        // Of an entry like which the new one is laid out, only the layout is taken over.
        let a =
            a.replace("{ ", "{ /* a */ ").replace(", \"vm_name", ", /* a */ \"vm_name").replace(" }", ", /* a */ }");
        check(&list(&format!("\n    {a}<,\n    {line}>")), &new);
    }

    #[test]
    fn comments_in_an_entry() {
        let adopt = [Edit::Key(id(104), "adopt", json!("uuid"))];
        let entry = |end: &str| {
            format!("{{ \"virtual_machines\": [{{\n    \"vm_id\": 104,\n    \"vm_name\": \"x\"{end}\n  }}] }}")
        };
        check(&entry(", // a<\n    \"adopt\": \"uuid\",>"), &adopt);
        check(&entry("<,> // a<\n    \"adopt\": \"uuid\">\n    // b"), &adopt);
        check(&entry(",<\n    \"adopt\": \"uuid\",>"), &adopt);
        let old = entry(",\n    \"adopt\": /* which */ \"old\", // why");
        assert_eq!(edited(&old, &adopt).unwrap().text, old.replace("old", "uuid"));
    }

    #[test]
    fn of_a_directory_each_file_gets_its_own() {
        let file =
            |vm: u32, end: &str| format!(r#"{{ "virtual_machines": [{{ "vm_id": {vm}, "vm_name": "x"{end} }}] }}"#);
        let (a, b) = (Source::new("d/a.json", file(104, "")), Source::new("d/b.jsonc", file(105, ", // b\n")));
        let source = Source::joined("d", vec![a.clone(), b]);
        let edits = [Edit::Key(id(105), "adopt", json!("uuid")), entry(106)];
        let (after, places) = put(&source, &edits, "d/new.json").unwrap();
        let files = after.apart();
        assert_eq!((&files[0], files[2].name.as_str()), (&a, "d/new.json"));
        assert!(files[1].text.contains("// b") && files[1].text.contains(r#""adopt": "uuid""#), "{}", files[1].text);
        let texts: Vec<&str> = places.iter().map(|(_, at)| &after.text[at.start..at.end]).collect();
        assert!(texts[0].contains("uuid") && texts[1].contains("106"), "{texts:?}");
    }

    #[test]
    fn a_key_of_an_entry() {
        let adopt = [Edit::Key(id(104), "adopt", json!("uuid"))];
        check(r#"{ "virtual_machines": [{ "vm_id": 104, "vm_name": "x"<, "adopt": "uuid"> }] }"#, &adopt);
        check(
            "{\n\"virtual_machines\": [{\n\t\"vm_id\": 104,\n\t\"vm_name\": \"x\"<,\n\t\"adopt\": \"uuid\">\n}] }",
            &adopt,
        );
        let old = r#"{"virtual_machines":[{"vm_id":104,"adopt":"old","vm_name":"x"}]}"#;
        assert_eq!(edited(old, &adopt).unwrap().text, old.replace("old", "uuid"));
        assert_eq!(edited(r#"{ "virtual_machines": [] }"#, &adopt), None);
        assert_eq!(edited("[]", &[]), None);
    }
}
