//! Which lines count: those of the product, without its tests.
//!
//! Decided here: tests are found by the text. What is for tests alone begins with `#[cfg(test)]` or `#[cfg(all(test, …`, and rustfmt, which
//! every change must pass, ends it on a line of its own at the same depth.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// The sources of the product.
const SOURCES: [&str; 4] = ["src", "daemon/src", "shim/src", "proto/src"];

/// How often each line of each file was run, by the file's path below the workspace.
pub(super) type Counts = BTreeMap<PathBuf, BTreeMap<usize, u64>>;

/// The counts of the product's own lines in what LLVM tells.
///
/// # Errors
/// When LLVM's words are not understood, or a source cannot be read.
pub(super) fn counted(lcov: &str, root: &Path) -> anyhow::Result<Counts> {
    let mut counts = read(lcov, root)?;
    let mut tests = BTreeSet::new();
    // Also those without a line that counts: they may say which modules are for tests.
    for path in sources(root)? {
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("reading `{}`", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().unwrap_or_default();
        // The folder in which the modules of this file lie.
        let modules = if ["lib", "main", "mod"].iter().any(|name| stem == *name) { folder.to_owned() } else { folder.join(stem) };
        for part in for_tests(&text) {
            if let Some(lines) = counts.get_mut(&path) {
                lines.retain(|line, _| !part.lines.contains(line));
            }
            match (part.path, part.module) {
                (Some(path), _) => tests.insert(folder.join(path)),
                (None, Some(module)) => tests.insert(modules.join(format!("{module}.rs"))),
                (None, None) => false,
            };
        }
    }
    // A test's own modules lie in the folder of its name.
    counts.retain(|path, _| !tests.iter().any(|test| path.starts_with(test) || path.starts_with(test.with_extension(""))));
    Ok(counts)
}

/// The product's files below the workspace.
fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).filter(|folder| root.join(folder).exists()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).with_context(|| format!("reading `{}`", folder.display()))? {
            let path = folder.join(entry?.file_name());
            if root.join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The records of the product's files: `SF:` names a file, `DA:` a line and how often it was run.
fn read(lcov: &str, root: &Path) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    let mut file = None;
    for record in lcov.lines() {
        if let Some(path) = record.strip_prefix("SF:") {
            let path = Path::new(path).strip_prefix(root).ok().filter(|path| SOURCES.iter().any(|folder| path.starts_with(folder)));
            file = path.map(Path::to_owned);
        } else if let (Some(path), Some(line)) = (&file, record.strip_prefix("DA:")) {
            let mut fields = line.split(',').map(str::parse::<u64>);
            let (Some(Ok(line)), Some(Ok(times))) = (fields.next(), fields.next()) else { anyhow::bail!("LLVM says {record}") };
            *counts.entry(path.clone()).or_default().entry(usize::try_from(line)?).or_default() += times;
        }
    }
    Ok(counts)
}

/// What a file has for tests alone.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// From its first attribute to its end, counted from one.
    lines: RangeInclusive<usize>,
    /// The name of a module in a file of its own,
    module: Option<String>,
    /// and where that file is, when the module says so.
    path: Option<String>,
}

/// Everything that `text` has for tests alone.
fn for_tests(text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Part> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let inside = found.last().is_some_and(|part| part.lines.contains(&(at + 1)));
        if inside || !["#[cfg(test)]", "#[cfg(all(test,"].iter().any(|start| bare.starts_with(start)) {
            continue;
        }
        let depth = &line[..line.len() - bare.len()];
        let own = |line: &&str| line.strip_prefix(depth).is_some_and(|rest| !rest.starts_with(' '));
        let ends = |line: &&str| own(line) && !line.ends_with("]") && (line.ends_with(';') || line.ends_with('}') || line.ends_with("},"));
        let end = lines[at..].iter().position(ends).map_or(lines.len(), |length| at + length + 1);
        let last = lines[end - 1].trim_start();
        let module = last.strip_suffix(';').and_then(|item| Some(item.rsplit_once("mod ")?.1.to_owned()));
        let path = lines[at..end].iter().find_map(|line| Some(line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]")?.to_owned()));
        found.push(Part { lines: at + 1..=end, module, path });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts `files` into a workspace and gives what of `lcov` counts there; `ROOT` stands for the workspace.
    fn counting(files: &[(&str, &str)], lcov: &str) -> Vec<(String, Vec<(usize, u64)>)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let counts = counted(&lcov.replace("ROOT", root.path().to_str().unwrap()), root.path()).unwrap();
        counts.into_iter().map(|(path, lines)| (path.display().to_string(), lines.into_iter().collect())).collect()
    }

    #[test]
    fn only_lines_of_the_product_count() {
        let lcov = "SF:ROOT/src/lib.rs\nFN:1,one\nDA:1,3\nDA:2,0\nend_of_record\nSF:ROOT/tests/tenant/src/lib.rs\nDA:1,5\nend_of_record\n\
                    SF:/elsewhere/src/lib.rs\nDA:1,5\nend_of_record\n";
        let counts = counting(&[("src/lib.rs", "fn one() {}\nfn two() {}\n")], lcov);
        assert_eq!(counts, [("src/lib.rs".to_owned(), vec![(1, 3), (2, 0)])]);
    }

    #[test]
    fn a_line_that_one_of_two_programs_ran_was_run() {
        let lcov = "SF:ROOT/src/lib.rs\nDA:1,0\nend_of_record\nSF:ROOT/src/lib.rs\nDA:1,2\nend_of_record\n";
        assert_eq!(counting(&[("src/lib.rs", "fn one() {}\n")], lcov), [("src/lib.rs".to_owned(), vec![(1, 2)])]);
    }

    #[test]
    fn words_that_are_not_understood_are_an_error() {
        assert!(counted("SF:/w/src/lib.rs\nDA:one,2\n", Path::new("/w")).is_err());
    }

    #[test]
    fn what_is_for_tests_alone_does_not_count() {
        let lib = "mod room;\n\nimpl Room {\n    #[cfg(test)]\n    fn look(&self) {\n        1\n    }\n\n    fn kept() {}\n}\n\n\
                   #[cfg(test)]\nmod fake;\n\n#[cfg(all(test, feature = \"a\"))]\n#[path = \"lib_checks.rs\"]\nmod checks;\n\n\
                   #[cfg(test)]\nmod tests {\n    fn one() {}\n}\n\nfn after() {}\n";
        let files = [
            ("src/lib.rs", lib),
            ("src/fake.rs", "fn fake() {}\n"),
            ("src/lib_checks.rs", "mod deep;\n"),
            ("src/lib_checks/deep.rs", "fn deep() {}\n"),
            ("src/room.rs", "#[cfg(test)]\nmod matrix;\nfn room() {}\n"),
            ("src/room/matrix.rs", "fn matrix() {}\n"),
            ("src/matrix.rs", "fn other() {}\n"),
        ];
        let files = [&files[..], &[("src/bare/mod.rs", "#[cfg(test)]\nmod fake;\n"), ("src/bare/fake.rs", "fn fake() {}\n")]].concat();
        let lines: String = (1..=24).map(|line| format!("DA:{line},0\n")).collect();
        let lcov: String =
            files.iter().map(|(path, text)| format!("SF:ROOT/{path}\n{}", if text.len() > 100 { &lines } else { "DA:3,0\n" })).collect();
        // A file that only names modules has no line that counts.
        let lcov = lcov.replace("SF:ROOT/src/bare/mod.rs\nDA:3,0\n", "");
        let counts = counting(&files, &lcov);
        let of = |path: &str| counts.iter().find(|(name, _)| name == path).map(|(_, lines)| lines.iter().map(|(line, _)| *line).collect());
        assert_eq!(of("src/lib.rs"), Some(vec![1, 2, 3, 8, 9, 10, 11, 14, 18, 23, 24]));
        assert_eq!((of("src/room.rs"), of("src/matrix.rs")), (Some(vec![3]), Some(vec![3])));
        assert_eq!(counts.len(), 3, "{counts:?}");
    }
}
