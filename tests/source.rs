//! Reads Rust files as text: their code without comments and tests, and what it imports from its own crate.

use std::{fs, path::Path};

/// A Rust file.
pub(crate) struct Source {
    /// Its path below the repository, for messages.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
    /// Without comment lines and without what follows `#[cfg(test)]` on a module with a body.
    pub(crate) code: String,
}

/// One path that begins with `crate::`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The room it leads to.
    pub(crate) room: String,
    /// What is taken from the room: the next segments of the path.
    pub(crate) names: Vec<String>,
}

/// The files below a folder that are not tests.
pub(crate) fn under(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(under(&path));
        } else if is_code(&path) {
            found.push(Source::read(&path));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.extension().is_some_and(|extension| extension == "rs") && !name.ends_with("_tests.rs") && name != "tests.rs"
}

impl Source {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()).unwrap_or(path);
        Self { name: name.display().to_string(), code: code(&text), text }
    }

    /// All paths that begin with `crate::`, groups taken apart.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            // `$crate::` and names that merely end in "crate".
            if self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            for branch in branches(&self.code[at + "crate::".len()..]) {
                let (room, rest) = branch.split_once("::").map_or((branch.as_str(), ""), |(room, rest)| (room, rest));
                let names = if rest.is_empty() { Vec::new() } else { branches(rest).iter().map(|name| first(name)).collect() };
                found.push(Import { room: first(room), names });
            }
        }
        found
    }

    /// The names in `<prefix>{a, b}` or `<prefix>a`.
    pub(crate) fn imports_after(&self, prefix: &str) -> Vec<String> {
        let starts = self.code.match_indices(prefix);
        starts.flat_map(|(at, _)| branches(&self.code[at + prefix.len()..])).map(|name| first(&name)).collect()
    }
}

/// `a::b::{c, d}` gives itself; `{a::b, c}` gives `a::b` and `c`.
fn branches(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        let end = end_of_path(path);
        return vec![path[..end].to_owned()];
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let branch = group[start..at].trim();
                if !branch.is_empty() {
                    found.push(branch.to_owned());
                }
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Where a path ends: at the first character that is neither of a name nor `::`, or after its group.
fn end_of_path(path: &str) -> usize {
    let mut depth = 0;
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' if depth > 1 => depth -= 1,
            _ if depth > 0 || c.is_alphanumeric() || c == '_' || c == ':' => {}
            _ => return at,
        }
    }
    path.len()
}

fn first(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ") && pair[1].trim_end().ends_with('{'));
    let kept = lines[..tests.unwrap_or(lines.len())].iter().filter(|line| !line.trim_start().starts_with("//"));
    kept.copied().collect::<Vec<_>>().join("\n")
}

#[test]
fn paths_are_taken_apart() {
    let text = "//! crate::doc\nuse crate::{a::{B, C}, d};\nlet x = crate::e::f(1);\n#[cfg(test)]\nmod tests {\nuse crate::never;\n}\n";
    let source = Source { name: String::new(), text: text.to_owned(), code: code(text) };
    let import = |room: &str, names: &[&str]| Import { room: room.to_owned(), names: names.iter().map(ToString::to_string).collect() };
    assert_eq!(source.imports(), [import("a", &["B", "C"]), import("d", &[]), import("e", &["f"])]);
}

#[test]
fn passed_on_names_are_found() {
    let text = "pub use request::{Ask, path};\npub use request::Method;\n";
    let source = Source { name: String::new(), text: text.to_owned(), code: code(text) };
    assert_eq!(source.imports_after("pub use request::"), ["Ask", "path", "Method"]);
}
