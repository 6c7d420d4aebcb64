//! Which file of the crate names which item of which other file, whatever re-export stands between.
//!
//! Naming an item is an import of the file that defines it; a `mod` declaration, a re-export and a module's name alone
//! are none. What is behind `#[cfg(test)]` does not count. Methods are not followed: only what a path says.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Source, is_word};

/// By importing file and imported file (their indices): the first item that the one names of the other.
pub(crate) type Imports = BTreeMap<(usize, usize), String>;

/// The module `a::b` by its segments.
type Module = Vec<String>;

/// What a name stands for.
#[derive(Clone, PartialEq)]
enum Meaning {
    Module(Module),
    /// An item: the file that defines it, and its name.
    Item(usize, String),
}

/// A path and the module in which it stands.
struct Path {
    module: Module,
    segments: Vec<String>,
}

/// What a module has under its names.
#[derive(Default)]
struct Names {
    file: usize,
    items: BTreeSet<String>,
    /// Names from `use`, public or not, and the paths that they stand for.
    uses: BTreeMap<String, Vec<Vec<String>>>,
    /// The paths of `use path::*`.
    globs: Vec<Vec<String>>,
}

/// The crate.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Module, Names>,
    /// Every path of a file except those of its re-exports.
    paths: Vec<(usize, Path)>,
}

/// The imports among `files`, each a path from the crate's root and a text.
pub(crate) fn imports(files: &[(String, String)]) -> Imports {
    let mut all = Crate::default();
    let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    for (file, source) in sources.iter().enumerate() {
        let module = source.module();
        if !tests.iter().any(|test| module == *test || module.starts_with(&format!("{test}::"))) {
            all.read(file, source);
        }
    }
    let mut imports = Imports::new();
    for (file, path) in &all.paths {
        for meaning in all.meanings(path) {
            if let Meaning::Item(target, name) = meaning
                && target != *file
            {
                imports.entry((*file, target)).or_insert(name);
            }
        }
    }
    imports
}

/// Words that come before the name of an item.
const ITEMS: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

impl Crate {
    fn read(&mut self, file: usize, source: &Source) {
        let mut module: Module = source.module().split("::").map(str::to_owned).collect();
        if module == ["lib"] {
            module.clear();
        }
        let text = |at: usize| source.text(at);
        self.modules.entry(module.clone()).or_default().file = file;
        // The braces that are open: whether each is that of a module.
        let mut braces: Vec<bool> = Vec::new();
        let mut at = 0;
        while at < source.len() {
            match text(at) {
                "#" if source.is_for_tests(at) => {
                    at = source.after_item(at);
                    continue;
                }
                "{" => {
                    let inner = at >= 2 && text(at - 2) == "mod";
                    if inner {
                        module.push(text(at - 1).to_owned());
                        self.modules.entry(module.clone()).or_default().file = file;
                    }
                    braces.push(inner);
                }
                "}" if braces.pop() == Some(true) => {
                    module.pop();
                }
                // `impl Trait + use<'a>` imports nothing.
                "use" if text(at + 1) != "<" => {
                    let public = at > 0 && (text(at - 1) == "pub" || text(at - 1) == ")");
                    at = self.read_use(file, &module, source, at + 1, public);
                    continue;
                }
                word if ITEMS.contains(&word) && braces.iter().all(|inner| *inner) => {
                    let name = if text(at + 1) == "!" { at + 2 } else { at + 1 };
                    // `const fn`, `unsafe trait`: the name comes after the last of such words.
                    if !ITEMS.contains(&text(name)) {
                        let names = self.modules.entry(module.clone()).or_default();
                        names.items.insert(text(name).to_owned());
                    }
                }
                word if is_word(word) && text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                    let mut segments = vec![word.to_owned()];
                    while text(at + 1) == "::" && is_word(text(at + 2)) {
                        segments.push(text(at + 2).to_owned());
                        at += 2;
                    }
                    self.paths.push((file, Path { module: module.clone(), segments }));
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads the tree of a `use` that begins at `at`; returns the place of its semicolon.
    fn read_use(&mut self, file: usize, module: &Module, source: &Source, mut at: usize, public: bool) -> usize {
        // The beginnings of the groups that are open, and the path so far.
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut path: Vec<String> = Vec::new();
        let mut alias: Option<String> = None;
        loop {
            let token = source.text(at).to_owned();
            match token.as_str() {
                "{" => groups.push(path.clone()),
                "as" => {
                    alias = Some(source.text(at + 1).to_owned());
                    at += 1;
                }
                "," | "}" | ";" | "" => {
                    self.bind(file, module, std::mem::take(&mut path), alias.take(), public);
                    if token == "}" {
                        groups.pop();
                        // What follows a group is a comma or the end, and binds nothing.
                    }
                    if token == "," {
                        path = groups.last().cloned().unwrap_or_default();
                    }
                    if token == ";" || token.is_empty() {
                        return at;
                    }
                }
                "::" => {}
                word => path.push(word.to_owned()),
            }
            at += 1;
        }
    }

    fn bind(&mut self, file: usize, module: &Module, mut path: Vec<String>, alias: Option<String>, public: bool) {
        let names = self.modules.entry(module.clone()).or_default();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(last) = path.last().cloned() else { return };
        if last == "*" {
            path.pop();
            names.globs.push(path);
            return;
        }
        names.uses.entry(alias.unwrap_or(last)).or_default().push(path.clone());
        if !public {
            self.paths.push((file, Path { module: module.clone(), segments: path }));
        }
    }

    /// Everything that a path stands for: a module and a function may have one name.
    fn meanings(&self, path: &Path) -> Vec<Meaning> {
        self.resolve(&path.module, &path.segments, 0)
    }

    fn resolve(&self, module: &Module, segments: &[String], depth: usize) -> Vec<Meaning> {
        // A `use` that names itself, as `use a::a` does, ends here.
        if depth > 16 {
            return Vec::new();
        }
        let mut here = vec![match segments[0].as_str() {
            "crate" => Meaning::Module(Vec::new()),
            "self" => Meaning::Module(module.clone()),
            "super" => Meaning::Module(parent(module)),
            name => match self.named(module, name, depth).as_slice() {
                [] => return Vec::new(),
                found => return self.inside(found.to_vec(), &segments[1..], depth),
            },
        }];
        let mut rest = &segments[1..];
        while let (Some("super"), Some(Meaning::Module(at))) = (rest.first().map(String::as_str), here.first()) {
            here = vec![Meaning::Module(parent(at))];
            rest = &rest[1..];
        }
        self.inside(here, rest, depth)
    }

    /// What the rest of a path leads to; behind an item come only its own names.
    fn inside(&self, mut here: Vec<Meaning>, rest: &[String], depth: usize) -> Vec<Meaning> {
        for (place, segment) in rest.iter().enumerate() {
            let into = here.iter().find_map(|meaning| match meaning {
                Meaning::Module(module) => Some(module.clone()),
                Meaning::Item(..) => None,
            });
            let Some(module) = into else { return here };
            here = self.named(&module, segment, depth + 1);
            // A module goes on where the path does.
            if place + 1 < rest.len() && here.iter().any(|meaning| matches!(meaning, Meaning::Module(_))) {
                here.retain(|meaning| matches!(meaning, Meaning::Module(_)));
            }
        }
        here
    }

    fn named(&self, module: &Module, name: &str, depth: usize) -> Vec<Meaning> {
        let mut found = Vec::new();
        let mut child = module.clone();
        child.push(name.to_owned());
        if self.modules.contains_key(&child) {
            found.push(Meaning::Module(child));
        }
        let Some(names) = self.modules.get(module) else { return found };
        if names.items.contains(name) {
            found.push(Meaning::Item(names.file, name.to_owned()));
        }
        if depth <= 16 {
            for path in names.uses.get(name).into_iter().flatten() {
                if path.len() > 1 || path[0] != name {
                    found.extend(self.resolve(module, path, depth + 1));
                }
            }
            if found.is_empty() {
                for glob in &names.globs {
                    let mut path = glob.clone();
                    path.push(name.to_owned());
                    found.extend(self.resolve(module, &path, depth + 1));
                }
            }
        }
        found
    }
}

fn parent(module: &[String]) -> Module {
    module.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default()
}
