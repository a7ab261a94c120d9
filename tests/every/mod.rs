//! Every tool of the catalogue through the shim: that it works, what it refuses before anything is sent, and how it fails.
//!
//! One row for each tool, one file and one world for each family. `row.rs` says what a row is and what is done with it; `desk.rs` has two
//! clients of one account and a look at the tenant's own data, to which answers are held.

mod account;
mod attachments;
mod cache;
mod calendar;
mod contact;
mod desk;
mod dry_run;
mod email;
mod emailfolders;
mod emailrules;
mod file;
mod folder;
mod mailbox;
mod personal;
mod row;
mod search;

use std::collections::BTreeSet;

use m365_cached_checks::support::{
    mcp::Era,
    world::{Setup, World},
};
use serde_json::json;

use self::row::Row;

const FAMILIES: &[&[Row]] = &[
    account::ROWS,
    cache::ROWS,
    calendar::ROWS,
    contact::ROWS,
    email::ROWS,
    emailfolders::ROWS,
    emailrules::ROWS,
    file::ROWS,
    folder::ROWS,
    search::ROWS,
];

#[test]
fn every_tool_has_one_row() {
    let world = World::with(Setup::default()).unwrap();
    let listed = world.client_of(Era::Legacy, "full").unwrap().request("tools/list", json!({})).unwrap();
    let tools: BTreeSet<&str> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let rows: Vec<&str> = FAMILIES.iter().flat_map(|rows| rows.iter()).map(|row| row.tool).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), tools);
    assert_eq!(rows.len(), tools.len(), "a tool has two rows");
}

#[test]
fn no_file_of_this_folder_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../every");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "mod" || include_str!("mod.rs").contains(&format!("\nmod {name};\n")), "tests/every/{name}.rs is not listed");
    }
}
