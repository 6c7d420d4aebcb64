//! Just enough of a reader of Rust to see which paths a file names: comments and literals blanked, `use` groups spread
//! out, inline modules counted. It does not follow macros.

/// One path that a file names, such as `std::fs::read`, with groups spread out. A macro call ends in `!`, and the path
/// after `dyn` begins with `dyn `.
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) path: String,
}

/// One file.
pub(crate) struct Source {
    module: Vec<String>,
    pub(crate) tokens: Vec<Token>,
}

/// A word, `::`, or another character.
pub(crate) struct Token {
    pub(crate) line: usize,
    text: String,
}

/// Whether `path` names `name`: all its segments, next to each other, in this order.
pub(crate) fn names(path: &str, name: &str) -> bool {
    let path: Vec<_> = path.split("::").collect();
    let name: Vec<_> = name.split("::").collect();
    path.windows(name.len()).any(|window| window == name)
}

impl Source {
    /// `path` starts at the crate's root: `src/plan/diff.rs`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        Self { module: inner.split('/').map(str::to_owned).collect(), tokens: tokens(&blank(text)) }
    }

    /// The file's module: `plan::diff`; `main` and `lib` for the roots.
    pub(crate) fn module(&self) -> String {
        self.module.join("::")
    }

    /// The module of this crate that a path leads into, if it starts at the root.
    pub(crate) fn imported(&self, path: &str) -> Option<String> {
        let mut segments = path.split("::");
        let root = segments.next()?;
        let from_outside = self.module[0] == "main" && root == "phoenix";
        if root == "crate" || from_outside { segments.next().map(str::to_owned) } else { None }
    }

    /// Every path, in order.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let in_use = self.text(at) == "use";
            if in_use {
                at += 1;
            }
            if in_use && self.text(at) == "{" {
                at = self.spread(at, "", &mut found);
            } else if is_word(self.text(at)) {
                let start = if at > 0 && self.text(at - 1) == "dyn" { "dyn " } else { "" };
                at = self.path(at, start, &mut found);
            } else if !in_use {
                at += 1;
            }
        }
        found
    }

    /// Reads one path at `at`, whose beginning is `prefix`; returns where it ended.
    fn path(&self, mut at: usize, prefix: &str, found: &mut Vec<Mention>) -> usize {
        let line = self.tokens[at].line;
        let mut path = format!("{prefix}{}", self.text(at));
        at += 1;
        while self.text(at) == "::" {
            match self.text(at + 1) {
                "{" => return self.spread(at + 1, &format!("{path}::"), found),
                "*" => {
                    path.push_str("::*");
                    at += 2;
                }
                word if is_word(word) => {
                    path.push_str("::");
                    path.push_str(word);
                    at += 2;
                }
                _ => break,
            }
        }
        if self.text(at) == "!" && self.text(at + 1) != "=" {
            path.push('!');
        }
        found.push(Mention { line, path });
        at
    }

    /// Reads a group `{a, b::c}` whose opening brace is at `at`; returns the place after the closing one.
    fn spread(&self, mut at: usize, prefix: &str, found: &mut Vec<Mention>) -> usize {
        at += 1;
        while at < self.tokens.len() {
            match self.text(at) {
                "}" => return at + 1,
                "as" => at += 2,
                "*" => {
                    found.push(Mention { line: self.tokens[at].line, path: format!("{prefix}*") });
                    at += 1;
                }
                word if is_word(word) => at = self.path(at, prefix, found),
                _ => at += 1,
            }
        }
        at
    }

    /// Lines where a chain of `super` leaves the top-level module.
    pub(crate) fn escapes(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut braces: Vec<bool> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" => braces.push(at >= 2 && self.text(at - 2) == "mod"),
                "}" => {
                    braces.pop();
                }
                "super" => {
                    let depth = self.module.len() + braces.iter().filter(|module| **module).count();
                    let mut chain = 1;
                    while self.text(at + 1) == "::" && self.text(at + 2) == "super" {
                        chain += 1;
                        at += 2;
                    }
                    if chain >= depth {
                        found.push(self.tokens[at].line);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Lines of attributes that silence a lint without saying why.
    pub(crate) fn allows(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let inner = usize::from(self.text(at + 1) == "!");
            if self.text(at) == "#" && self.text(at + 1 + inner) == "[" {
                let mut depth = 0;
                at += 1 + inner;
                while at < self.tokens.len() {
                    match self.text(at) {
                        "[" => depth += 1,
                        "]" => depth -= 1,
                        "allow" if self.text(at + 1) == "(" => found.push(self.tokens[at].line),
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    at += 1;
                }
            }
            at += 1;
        }
        found
    }

    /// The token at a place; nothing behind the last.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether `#[cfg(test)]` stands at a place.
    pub(crate) fn is_for_tests(&self, at: usize) -> bool {
        ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().all(|(n, token)| self.text(at + n) == *token)
    }

    /// The place behind the item whose attributes begin at `at`.
    pub(crate) fn after_item(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" | "[" | "(" => depth += 1,
                close @ ("}" | "]" | ")") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && close == "}" {
                        return at + 1;
                    }
                }
                ";" if depth == 0 => return at + 1,
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// The modules in files of their own that only tests have: `#[cfg(test)] mod double;`.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let declared = (0..self.len()).filter(|at| self.is_for_tests(*at) && self.text(at + 7) == "mod");
        declared.map(|at| format!("{}::{}", self.module(), self.text(at + 8))).collect()
    }
}

/// Whether a token is a word.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::`, and every other character by itself.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// The text with comments and the contents of string and character literals replaced by blanks; lines stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let length = skipped(&chars, at);
        if length == 0 {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..at + length].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    out
}

/// How many characters from `at` on are a comment or a literal; 0: none.
pub(crate) fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['r', '"' | '#', ..] if !after_word => raw(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !after_word => raw(rest, 2),
        // A lifetime has no closing quote right after its first character.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A raw string whose `#` or quote comes after `start` characters; 0 for a raw identifier.
fn raw(rest: &[char], start: usize) -> usize {
    let hashes = rest[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let closes =
        |at: &usize| rest[*at] == '"' && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (open + 1..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes)
}
