//! The house's rules that a machine can hold: who may import what, how long a file may be, what its first line says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::source::{self, Source};

const LEAVES: &[&str] = &["clock", "chance", "ids", "secret", "hint", "cloud", "live"];

/// A room of `src/`: what it may import besides the leaves, and the words that never stand in its code.
struct Room {
    name: &'static str,
    may: &'static [&'static str],
    never: &'static [&'static str],
}

/// Section 4 of the layout. A room that is not built yet stands in `PLANNED` as well, until it is.
const ROOMS: &[Room] = &[
    Room { name: "config", may: &[], never: &["async fn", ".await"] },
    Room { name: "cache", may: &[], never: &["async ", ".await", "rusqlite", "reqwest", "tracing"] },
    Room { name: "vault", may: &[], never: &["rusqlite", "reqwest"] },
    Room { name: "auth", may: &["vault"], never: &["rusqlite"] },
    Room { name: "graph", may: &["auth"], never: &["rusqlite"] },
    Room { name: "tools", may: &["cache", "graph"], never: &["rusqlite", "reqwest", "tokio::", "std::fs", "std::net", "std::process"] },
    Room { name: "transfer", may: &["graph"], never: &["rusqlite"] },
    Room { name: "store", may: &["cache", "audit"], never: &["reqwest"] },
    Room { name: "audit", may: &[], never: &["async ", ".await", "rusqlite", "reqwest", "tracing"] },
    Room { name: "queue", may: &["store"], never: &["reqwest"] },
    Room {
        name: "engine",
        may: &["cache", "vault", "auth", "graph", "tools", "transfer", "store", "audit", "queue"],
        never: &["rusqlite", "reqwest"],
    },
    Room { name: "worker", may: &["queue", "engine"], never: &["rusqlite", "reqwest"] },
];

const PLANNED: &[&str] = &[];

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for leaf in LEAVES {
        for file in files_of(leaf) {
            let foreign = file.imports().into_iter().filter(|import| import.room != *leaf);
            wrong.extend(foreign.map(|import| format!("{}: a leaf imports crate::{}", file.name, import.room)));
        }
    }
    for room in ROOMS {
        for file in files_of(room.name) {
            for import in file.imports() {
                let allowed =
                    import.room == room.name || LEAVES.contains(&import.room.as_str()) || room.may.contains(&import.room.as_str());
                if !allowed {
                    wrong.push(format!("{}: {} may not import crate::{}", file.name, room.name, import.room));
                }
            }
            for word in room.never {
                if file.code.contains(word) {
                    wrong.push(format!("{}: `{word}` has no place in {}", file.name, room.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `tools` sees of `graph` only the requests: `graph::request` itself, and what `graph` passes on from it.
#[test]
fn tools_see_only_the_requests_of_graph() {
    let passed_on: BTreeSet<String> = Source::read(&root().join("src/graph/mod.rs"))
        .imports_after("pub use request::")
        .into_iter()
        .chain(Source::read(&root().join("src/graph/mod.rs")).imports_after("pub use self::request::"))
        .chain(["request".to_owned()])
        .collect();
    assert!(passed_on.len() > 1, "src/graph/mod.rs passes nothing on from `request`: {passed_on:?}");
    let mut wrong = Vec::new();
    for file in files_of("tools") {
        for import in file.imports().into_iter().filter(|import| import.room == "graph") {
            let strange: Vec<_> = import.names.iter().filter(|name| !passed_on.contains(*name)).collect();
            if !strange.is_empty() || import.names.is_empty() {
                wrong.push(format!("{}: crate::graph::{strange:?}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "only {passed_on:?} may be used:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_stands_in_the_table_and_exists() {
    let mut here: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !name.ends_with("_tests"))
        .collect();
    assert!(here.remove("lib"));
    let mut listed: BTreeSet<String> = LEAVES.iter().map(ToString::to_string).collect();
    listed.extend(ROOMS.iter().map(|room| room.name.to_owned()));
    for planned in PLANNED {
        assert!(listed.remove(*planned), "{planned} is planned and not in the table");
    }
    assert_eq!(here, listed, "left: what lies in src/; right: the table without what is only planned");
}

#[test]
fn packages_depend_only_on_what_the_table_allows() {
    let ours = ["m365-cached", "m365-cached-proto", "m365-cached-daemon", "m365-cached-shim", "m365-cached-tenant", "m365-cached-checks"];
    // Folder, workspace packages it may have, other packages it may not have.
    let table: &[(&str, &[&str], &[&str])] = &[
        (".", &[], &["tonic", "prost", "rmcp", "clap"]),
        ("proto", &[], &["rusqlite", "reqwest", "rmcp"]),
        ("daemon", &["m365-cached", "m365-cached-proto"], &[]),
        ("shim", &["m365-cached-proto"], &["rusqlite", "reqwest", "rmcp"]),
        ("tests/tenant", &[], &["rusqlite", "tonic", "rmcp"]),
        ("tests/checks", &["m365-cached-tenant"], &["rusqlite", "tonic", "rmcp"]),
    ];
    let members = manifest(".")["workspace"]["members"].as_array().unwrap().len();
    assert_eq!(members, table.len(), "a package is missing from the table");
    for (folder, may, never) in table {
        for name in dependencies(folder) {
            assert!(!never.contains(&name.as_str()), "{folder} may not depend on {name}");
            assert!(!ours.contains(&name.as_str()) || may.contains(&name.as_str()), "{folder} may not depend on {name}");
        }
    }
}

#[test]
fn what_was_asked_for_is_a_direct_dependency_in_real_use() {
    for name in ["tokio", "tonic", "prost", "rusqlite", "keyring", "zstd", "directories", "serde_json", "reqwest", "tracing-subscriber"] {
        let word = format!("{}::", name.replace('-', "_"));
        let users: Vec<&str> = [(".", "src"), ("proto", "proto/src"), ("daemon", "daemon/src"), ("shim", "shim/src")]
            .into_iter()
            .filter(|(package, code)| {
                dependencies(package).contains(name) && source::under(&root().join(code)).iter().any(|file| file.code.contains(&word))
            })
            .map(|(package, _)| package)
            .collect();
        assert!(!users.is_empty(), "no package both depends on {name} and uses it");
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long: Vec<String> = all_files()
        .iter()
        .filter(|file| file.code.lines().count() > 600)
        .map(|file| format!("{}: {} lines without its tests", file.name, file.code.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_begins_with_its_job() {
    let mut wrong = Vec::new();
    for file in all_files() {
        let job: Vec<&str> =
            file.text.lines().map_while(|line| line.strip_prefix("//!")).take_while(|line| !line.trim().is_empty()).collect();
        let job = job.join(" ");
        let sentence = job.trim().len() >= 10 && (job.contains('.') || job.contains(':'));
        if !sentence {
            wrong.push(format!("{}: begins with {:?}", file.name, file.text.lines().next().unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "the first line of a file says its one job:\n{}", wrong.join("\n"));
}

#[test]
fn the_top_level_holds_only_what_was_agreed() {
    let agreed = BTreeSet::from(["daemon", "packaging", "proto", "shim", "src", "target", "tests"]);
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && !name.starts_with('.') {
            assert!(agreed.contains(name.as_str()), "no folder `{name}` was agreed on");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The files of a room: its folder, or its one file.
fn files_of(room: &str) -> Vec<Source> {
    let folder = root().join("src").join(room);
    if folder.is_dir() {
        return source::under(&folder);
    }
    let file = root().join(format!("src/{room}.rs"));
    if PLANNED.contains(&room) && !file.exists() { Vec::new() } else { vec![Source::read(&file)] }
}

fn all_files() -> Vec<Source> {
    ["src", "proto/src", "daemon/src", "shim/src", "tests/tenant/src", "tests/checks/src", "tests/support", "tests/benches"]
        .into_iter()
        .flat_map(|folder| source::under(&root().join(folder)))
        .collect()
}

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// The names of a package's ordinary dependencies, on every platform.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let mut tables = vec![manifest.get("dependencies").cloned()];
    if let Some(targets) = manifest.get("target").and_then(|targets| targets.as_table()) {
        tables.extend(targets.values().map(|target| target.get("dependencies").cloned()));
    }
    let named: BTreeMap<String, toml::Value> =
        tables.into_iter().flatten().filter_map(|table| table.try_into::<BTreeMap<String, toml::Value>>().ok()).flatten().collect();
    named.into_keys().collect()
}
