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
    for path in pages() {
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

/// The pages that people read.
fn pages() -> Vec<std::path::PathBuf> {
    let manual = fs::read_dir(root().join("packaging/manual")).unwrap().map(|entry| entry.unwrap().path());
    // Beside them lie pictures.
    manual.filter(|path| path.is_file()).chain(["README.md", "packaging/CHANGELOG.md"].map(|page| root().join(page))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
        for link in links.filter(|link| !link.contains("://") && !link.contains(char::is_whitespace)) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: there is no {link}", page.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let slug = |title: &str| -> String {
                    let kept = title.to_lowercase().replace(' ', "-");
                    kept.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect()
                };
                let known = text
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|title| slug(title.trim_start_matches(['#', ' '])) == anchor);
                assert!(known, "{}: {link}: no such heading", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_page_is_in_the_list_of_pages() {
    let index = fs::read_to_string(root().join("packaging/manual/index.md")).unwrap();
    for page in pages().iter().filter(|page| page.parent().unwrap().ends_with("manual")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "index.md" || index.contains(&format!("({name})")), "{name}");
    }
}

/// Prometheus's own linter, where there is one; `.ci/run` brings it.
#[test]
fn the_alerts_are_rules() {
    let text = fs::read_to_string(root().join("packaging/manual/monitoring.md")).unwrap();
    let rules = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(file.path(), rules).unwrap();
    match std::process::Command::new("promtool").args(["check", "rules"]).arg(file.path()).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}
