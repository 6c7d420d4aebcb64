//! Circles of imports among the files of one layer.

use std::collections::{BTreeSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::imports::{Imports, imports};

/// Files of which each imports every other, by whatever detour.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) layer: String,
    /// The files' paths below the layer: `embedded/mod.rs`.
    pub(crate) files: BTreeSet<String>,
    /// The shortest ring in it, as `a.rs → Item of b.rs → Thing of a.rs`.
    pub(crate) ring: String,
}

/// The layer of a file and the file's path in it.
fn place(path: &str) -> (&str, &str) {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split_once('/').unwrap_or((inner.trim_end_matches(".rs"), inner))
}

/// The circles among `files`, each a path from the crate's root and a text.
pub(crate) fn circles(files: &[(String, String)]) -> Vec<Circle> {
    let mut imports = imports(files);
    imports.retain(|(from, to), _| place(&files[*from].0).0 == place(&files[*to].0).0);
    let mut graph = DiGraph::<(), ()>::new();
    let nodes: Vec<NodeIndex> = files.iter().map(|_| graph.add_node(())).collect();
    for (from, to) in imports.keys() {
        graph.add_edge(nodes[*from], nodes[*to], ());
    }
    let mut found: Vec<_> = tarjan_scc(&graph)
        .into_iter()
        .filter(|component| component.len() > 1)
        .map(|component| {
            let members: BTreeSet<usize> = component.iter().map(|node| node.index()).collect();
            let first = members.first().copied().unwrap_or_default();
            Circle {
                layer: place(&files[first].0).0.to_owned(),
                files: members.iter().map(|file| place(&files[*file].0).1.to_owned()).collect(),
                ring: shortest(&members, &imports, files),
            }
        })
        .collect();
    found.sort_by(|a, b| (&a.layer, &a.files).cmp(&(&b.layer, &b.files)));
    found
}

/// The shortest ring among `members`, in words.
fn shortest(members: &BTreeSet<usize>, imports: &Imports, files: &[(String, String)]) -> String {
    let ring = members.iter().filter_map(|start| ring_from(*start, members, imports)).min_by_key(Vec::len);
    let ring = ring.unwrap_or_default();
    let mut text = ring.first().map(|file| place(&files[*file].0).1.to_owned()).unwrap_or_default();
    for pair in ring.windows(2) {
        text += &format!(" → {} of {}", imports[&(pair[0], pair[1])], place(&files[pair[1]].0).1);
    }
    text
}

/// The shortest way from a file back to itself, breadth first.
fn ring_from(start: usize, members: &BTreeSet<usize>, imports: &Imports) -> Option<Vec<usize>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        for (_, to) in imports.keys().filter(|(from, to)| *from == last && members.contains(to)) {
            let longer = [way.as_slice(), &[*to]].concat();
            if *to == start {
                return Some(longer);
            }
            if seen.insert(*to) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// The circles among planted files, each as its layer and its shortest ring.
fn rings(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned())).collect();
    circles(&files).iter().map(|circle| format!("{}: {}", circle.layer, circle.ring)).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let parent = ("plan/mod.rs", "mod a;\nmod b;\npub struct P;\nfn f() { a::run(); }");
    let from_below = "plan: mod.rs → run of a.rs → P of mod.rs";
    for import in [
        "use super::P;",
        "use crate::plan::{self, P as Q};",
        "fn g(p: super::P) {}",
        "use crate::plan;\nfn g(p: plan::P) {}",
    ] {
        assert_eq!(rings(&[parent, ("plan/a.rs", &format!("pub fn run() {{}}\n{import}"))]), [from_below], "{import}");
    }
    // Three files, of which one is reached by a re-export, and one by a name of the parent's own `use`.
    let files = [
        ("plan/mod.rs", "mod a; mod b; mod c; pub(crate) use a::*; use c::C;"),
        ("plan/a.rs", "pub const fn one() {}\nfn f() { super::b::two(); }"),
        ("plan/b.rs", "pub fn two(c: &super::C) {}"),
        ("plan/c.rs", "use super::one;\npub struct C;"),
    ];
    assert_eq!(rings(&files), ["plan: a.rs → two of b.rs → C of c.rs → one of a.rs"]);
}

#[test]
fn what_is_no_circle_is_not_called_one() {
    for below in [
        "pub fn run() {}",
        // The module's name alone, a visibility, and what only tests need.
        "pub fn run() {}\nuse super;\npub(in crate::plan) struct A;",
        "pub fn run() {}\n#[cfg(test)]\nmod tests { use super::super::P; }",
        "pub fn run() {}\n#[cfg(test)]\nuse super::P;",
        // The parent's name for what stands below both.
        "pub fn run() {}\nuse super::B;",
    ] {
        let parent = ("plan/mod.rs", "mod a;\nmod b;\npub use b::B;\npub struct P;\nfn f() { a::run(); }");
        assert_eq!(rings(&[parent, ("plan/a.rs", below), ("plan/b.rs", "pub struct B;")]), [""; 0], "{below}");
    }
    // Re-exports alone, a file of tests, and another layer.
    assert_eq!(
        rings(&[
            ("plan/mod.rs", "mod a; pub use a::run; pub struct P;\n#[cfg(test)]\nmod double;\npub struct Q;"),
            ("plan/a.rs", "use super::P; pub fn run() {}"),
            ("plan/double.rs", "use super::{Q, run}; fn f() { crate::apply::go(); }"),
            ("apply/mod.rs", "use crate::plan::Q; pub fn go() {}"),
        ]),
        [""; 0]
    );
}
