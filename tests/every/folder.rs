//! Folders of the drive.

use m365_cached_tenant::{Effect, Fault};
use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const GET: &str = "GET /me/drive/items/{id}";
const PATCH: &str = "PATCH /me/drive/items/{id}";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then, looks: &'static [&'static str]) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks })
}

fn the_folder(desk: &Desk) -> Value {
    json!({"folder_id": desk.kept("folder")})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "folder_list",
        works: list,
        wrong: &[(r#"{"limit": 501}"#, "invalid_argument"), (r#"{"path": "/a|b"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"folder_id": desk.kept("documents")}), "/me/drive/items/{id}/children", "folder_id", Then::Again, &[]),
    },
    Row {
        tool: "folder_create",
        works: create,
        wrong: &[
            ("{}", "missing_argument"),
            (r#"{"name": "a:b"}"#, "invalid_argument"),
            (r#"{"name": "a", "conflict": "replace"}"#, "invalid_argument"),
        ],
        fails: trouble(
            |desk| json!({"name": "Never", "parent_folder_id": desk.kept("documents")}),
            "POST /me/drive/items/{id}/children",
            "parent_folder_id",
            Then::Unknown,
            &[],
        ),
    },
    Row {
        tool: "folder_get",
        works: get,
        wrong: &[("{}", "missing_argument"), (r#"{"path": "x"}"#, "invalid_argument")],
        fails: trouble(the_folder, GET, "folder_id", Then::Again, &[]),
    },
    Row { tool: "folder_get_tree", works: tree, wrong: &[(r#"{"max_depth": 0}"#, "invalid_argument")], fails: Fails::Own(tree_fails) },
    Row {
        tool: "folder_rename",
        works: rename,
        wrong: &[(r#"{"folder_id": "f"}"#, "missing_argument"), (r#"{"folder_id": "f", "new_name": "a\\b"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"folder_id": desk.kept("folder"), "new_name": "Other"}), PATCH, "folder_id", Then::Again, &[GET]),
    },
    Row {
        tool: "folder_move",
        works: relocate,
        wrong: &[(r#"{"folder_id": "f"}"#, "missing_argument")],
        fails: trouble(
            |desk| json!({"folder_id": desk.kept("folder"), "destination_folder_id": "root"}),
            PATCH,
            "folder_id",
            Then::Again,
            &[GET, "GET /me/drive/root"],
        ),
    },
    Row {
        tool: "folder_delete",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"folder_id": "f", "confirm": "yes"}"#, "invalid_argument")],
        fails: trouble(the_folder, "DELETE /me/drive/items/{id}", "folder_id", Then::Unknown, &[GET]),
    },
];

#[test]
fn each_folder_tool_works_refuses_and_fails_as_it_should() {
    try_all(&["driveItems"], ROWS);
}

fn named(desk: &Desk, name: &str) -> Value {
    desk.truth("driveItems").into_iter().find(|item| item["name"] == name && item["folder"].is_object()).unwrap()
}

fn list(desk: &mut Desk) {
    let documents = named(desk, "Documents");
    let id = desk.keep("documents", &documents["id"]);
    let answer = desk.done("folder_list", json!({"path": "/Documents", "limit": 500}));
    let all = desk.truth("driveItems");
    let inside = all.iter().filter(|item| item["parentReference"]["id"] == id.as_str() && item["folder"].is_object());
    let (mut shown, mut there) = (ids(&answer["folders"]), inside.map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>());
    shown.sort_unstable();
    there.sort_unstable();
    assert_eq!((shown, &answer["complete"]), (there, &json!(true)));
}

fn create(desk: &mut Desk) {
    let documents = desk.kept("documents");
    desk.seen("folder_list", json!({"folder_id": documents}));
    let made = desk.done("folder_create", json!({"name": "Garden", "parent_folder_id": documents}));
    let id = desk.keep("folder", &made["id"]);
    let there = desk.one("driveItems", &id);
    assert_eq!((&there["name"], &there["parentReference"]["id"]), (&json!("Garden"), &json!(documents)));
    assert!(ids(&desk.seen("folder_list", json!({"folder_id": documents, "limit": 500}))["folders"]).contains(&id.as_str()));
    let again = json!({"name": "Garden", "parent_folder_id": documents, "conflict": "fail"});
    assert_eq!(desk.refused("folder_create", &again), "already_exists");
    let second = desk.done("folder_create", json!({"name": "Garden", "parent_folder_id": documents}));
    assert_eq!(desk.one("driveItems", second["id"].as_str().unwrap())["name"], second["name"]);
    assert_ne!(second["name"], "Garden", "a taken name gets a number");
    desk.keep("second", &second["id"]);
    desk.done("folder_create", json!({"name": "Inner", "parent_folder_id": id}));
}

fn get(desk: &mut Desk) {
    let by_id = desk.done("folder_get", the_folder(desk));
    assert_eq!((&by_id["path"], &by_id["childCount"]), (&json!("/Documents/Garden"), &json!(1)));
    assert_eq!(desk.done("folder_get", json!({"path": "/Documents/Garden"}))["id"], by_id["id"]);
    let file = desk.truth("driveItems").into_iter().find(|item| item["file"].is_object()).unwrap();
    assert_eq!(desk.refused("folder_get", &json!({"folder_id": file["id"]})), "not_a_folder");
}

fn count(folders: &Value) -> usize {
    folders.as_array().unwrap().iter().map(|folder| 1 + count(&folder["children"])).sum()
}

fn tree(desk: &mut Desk) {
    let answer = desk.done("folder_get_tree", json!({"max_depth": 25}));
    let all = desk.truth("driveItems");
    let folders = all.iter().filter(|item| item["folder"].is_object() && item["root"].is_null()).count();
    assert_eq!((count(&answer["folders"]), &answer["complete"]), (folders, &json!(true)));
    let below = desk.done("folder_get_tree", json!({"path": "/Documents", "max_depth": 25}));
    let top = answer["folders"].as_array().unwrap().iter().find(|folder| folder["name"] == "Documents").unwrap();
    assert_eq!(count(&below["folders"]), count(&top["children"]), "both ways lead to the same tree");
}

/// A branch that cannot be read fails the call: a part of a tree is never an answer.
fn tree_fails(desk: &mut Desk) {
    let status = |status: u16, code: &str| Effect::Status { status, code: code.into(), message: None, retry_after: None };
    let given = json!({"path": "/Documents", "use_cache": false});
    for after in [0, 3] {
        let denied = Fault { after, ..Fault::once("children", status(403, "accessDenied")) };
        desk.world.control().fault(denied);
        assert_eq!(desk.refused("folder_get_tree", &given), "access_denied");
        assert_eq!(desk.world.control().faults()[0].struck, 1);
        desk.world.control().clear_faults(None);
    }
    // Delta refused: the other way leads there too.
    desk.world.control().fault(Fault::always("delta", status(403, "accessDenied")));
    let answer = desk.done("folder_get_tree", json!({"max_depth": 25, "use_cache": false}));
    desk.world.control().clear_faults(None);
    assert_eq!(answer["complete"], true);
    let nothing = json!({"folder_id": super::row::not_there(&desk.kept("folder"))});
    assert_eq!(desk.refused("folder_get_tree", &nothing), "not_found");
}

fn rename(desk: &mut Desk) {
    let below = json!({"path": "/Documents/Garden"});
    desk.seen("folder_list", below.clone());
    desk.done("folder_rename", json!({"folder_id": desk.kept("folder"), "new_name": "O'Hara's 50%"}));
    assert_eq!(desk.one("driveItems", &desk.kept("folder"))["name"], "O'Hara's 50%");
    let seen = desk.seen("folder_list", json!({"path": "/Documents/O'Hara's 50%"}));
    assert_eq!(each(seen["folders"].as_array().unwrap(), "name"), ["Inner"]);
    assert_eq!(desk.refused("folder_list", &below), "not_found", "its old path leads nowhere");
}

fn relocate(desk: &mut Desk) {
    let (id, pictures) = (desk.kept("folder"), named(desk, "Pictures")["id"].clone());
    desk.seen("folder_list", json!({"path": "/Pictures", "limit": 500}));
    desk.done("folder_move", json!({"folder_id": id, "destination_folder_id": pictures}));
    assert_eq!(desk.one("driveItems", &id)["parentReference"]["id"], pictures);
    assert!(ids(&desk.seen("folder_list", json!({"path": "/Pictures", "limit": 500}))["folders"]).contains(&id.as_str()));
    assert_eq!(desk.refused("folder_move", &json!({"folder_id": id, "destination_folder_id": id})), "into_itself");
}

fn delete(desk: &mut Desk) {
    let second = desk.kept("second");
    let gone = desk.done("folder_delete", json!({"folder_id": second}));
    assert_eq!((&gone["status"], &gone["folder_id"]), (&json!("deleted"), &json!(second)));
    assert!(desk.find("driveItems", &second).is_none());
    assert!(!ids(&desk.seen("folder_list", json!({"path": "/Documents", "limit": 500}))["folders"]).contains(&second.as_str()));
    let file = desk.truth("driveItems").into_iter().find(|item| item["file"].is_object()).unwrap();
    assert_eq!(desk.refused("folder_delete", &json!({"folder_id": file["id"]})), "not_a_folder");
    assert!(desk.find("driveItems", file["id"].as_str().unwrap()).is_some());
}
