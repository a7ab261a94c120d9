//! What was found against parts as SARIF 2.1.0 (OASIS), which code scanning takes in: GitHub's, GitLab's, Azure DevOps'. A finding stands at the line of
//! `Cargo.lock` that names the part. No date and no path of a machine is in it: the same lock file and the same database give the same bytes.
//!
//! Written by hand, since a dozen members of the format are all that is needed.

use serde_json::{Value, json};

use super::{Known, Strange};

/// What a run looked for and found.
struct Run {
    /// The command's word.
    name: &'static str,
    rules: Vec<Value>,
    results: Vec<Value>,
    /// What a reader has to know of how it was looked for.
    properties: Value,
}

/// What [`super::strange`] found. `lock` is the text of `Cargo.lock`.
pub fn of_licences(strange: &[Strange], lock: &str) -> Value {
    let rule = json!({ "id": "licence", "shortDescription": { "text": "A licence under which a part may not be shipped" } });
    let results = strange.iter().map(|one| result("licence", 0, (&one.name, &one.version), &one.problem, lock)).collect();
    log(Run { name: "licences", rules: vec![rule], results, properties: json!({}) })
}

/// What [`super::advisories`] found. `lock` is the text of `Cargo.lock`.
pub fn of_advisories(known: &Known, lock: &str) -> Value {
    // One advisory may be about several versions of a part.
    let mut ids: Vec<&str> = Vec::new();
    let (mut rules, mut results) = (Vec::new(), Vec::new());
    for one in &known.found {
        let index = ids.iter().position(|id| *id == one.id).unwrap_or_else(|| {
            ids.push(&one.id);
            let at = format!("https://rustsec.org/advisories/{}.html", one.id);
            rules.push(json!({ "id": one.id, "shortDescription": { "text": one.title }, "helpUri": at }));
            ids.len() - 1
        });
        results.push(result(&one.id, index, (&one.name, &one.version), &one.title, lock));
    }
    let properties = json!({ "advisories": known.advisories, "newestAdvisory": known.newest });
    log(Run { name: "advisories", rules, results, properties })
}

fn result(rule: &str, index: usize, (name, version): (&str, &str), says: &str, lock: &str) -> Value {
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": "error",
        "message": { "text": format!("{name} {version}: {says}") },
        "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "Cargo.lock" }, "region": { "startLine": line(lock, name, version) } } }],
        // The part itself: lines of a lock file move with every update.
        "partialFingerprints": { "part/v1": format!("{rule} {name} {version}") },
    })
}

/// The line that names a part, from 1. The first when none does: a finding without a place would not be shown.
fn line(lock: &str, name: &str, version: &str) -> usize {
    let entry = format!("\nname = \"{name}\"\nversion = \"{version}\"\n");
    lock.find(&entry).map_or(1, |at| lock[..=at].lines().count() + 1)
}

fn log(run: Run) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": format!("cargo supply {}", run.name), "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": run.rules } },
            "columnKind": "unicodeCodePoints",
            "results": run.results,
            "properties": run.properties,
        }],
    })
}
