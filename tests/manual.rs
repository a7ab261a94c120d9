//! The manual claims nothing that nothing proves: every test it names is there.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The words behind `keyword ` in every source of ours.
fn declared(folder: &Path, keyword: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, keyword, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let words =
                text.split(keyword).skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap());
            found.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
}

/// Whether a word of the manual is the name of a test, or the beginning of several: `room::what_it_shows`, `room::`.
fn names_a_test(word: &str) -> bool {
    word.contains("::") && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':')
}

#[test]
fn every_test_that_the_manual_names_is_there() {
    let (mut functions, mut modules) = (BTreeSet::new(), BTreeSet::new());
    for folder in ["src", "daemon", "shim", "proto", "tests"] {
        declared(&root().join(folder), "fn ", &mut functions);
        declared(&root().join(folder), "mod ", &mut modules);
    }
    let mut seen = 0;
    for entry in fs::read_dir(root().join("packaging/manual")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for word in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|word| names_a_test(word)) {
            let (rooms, name) = word.rsplit_once("::").unwrap();
            let room = rooms.rsplit("::").next().unwrap();
            let known = match name {
                "" => modules.contains(room),
                name => modules.contains(name) || functions.iter().any(|function| function.starts_with(name)),
            };
            assert!(known, "{}: no test is called `{word}`", path.display());
            assert!(modules.contains(room), "{}: there is no `{room}`", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
