//! Files of the drive.

use m365_cached_tenant::{Effect, Fault};
use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const ITEM: &str = "/me/drive/items/{id}";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then, looks: &'static [&'static str]) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks })
}

fn the_file(desk: &Desk) -> Value {
    json!({"file_id": desk.kept("file")})
}

fn with(base: Value, more: Value) -> Value {
    let mut all = base;
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "file_list",
        works: list,
        wrong: &[
            (r#"{"path": "Documents"}"#, "invalid_argument"),
            (r#"{"path": "/a/../b"}"#, "invalid_argument"),
            (r#"{"type_filter": "links"}"#, "invalid_argument"),
        ],
        fails: trouble(|desk| json!({"folder_id": desk.kept("documents")}), "/me/drive/items/{id}/children", "folder_id", Then::Again, &[]),
    },
    Row {
        tool: "file_create",
        works: create,
        wrong: &[
            (r#"{"onedrive_path": "/x.txt"}"#, "missing_argument"),
            (r#"{"onedrive_path": "x.txt", "local_file_path": "x.txt"}"#, "invalid_argument"),
            (r#"{"onedrive_path": "/x.txt", "local_file_path": "/etc/hostname"}"#, "path_not_allowed"),
            (r#"{"onedrive_path": "/x.txt", "local_file_path": "../x.txt"}"#, "path_not_allowed"),
        ],
        fails: trouble(
            |desk| json!({"onedrive_path": "/Never.txt", "local_file_path": desk.local("never.txt", b"never")}),
            "PUT ",
            "",
            Then::Unknown,
            &[],
        ),
    },
    Row {
        tool: "file_get",
        works: get,
        wrong: &[(r#"{"file_id": "f"}"#, "missing_argument"), (r#"{"file_id": "f", "download_path": ""}"#, "invalid_argument")],
        fails: Fails::Own(get_fails),
    },
    Row {
        tool: "file_update",
        works: update,
        wrong: &[(r#"{"file_id": "f"}"#, "missing_argument"), (r#"{"file_id": "a b", "local_file_path": "x"}"#, "invalid_argument")],
        fails: trouble(
            |desk| with(the_file(desk), json!({"local_file_path": desk.local("third.txt", b"the third")})),
            "PUT /me/drive/items/{id}/content",
            "file_id",
            Then::Again,
            &[],
        ),
    },
    Row {
        tool: "file_download_url",
        works: address,
        wrong: &[("{}", "missing_argument")],
        fails: trouble(the_file, ITEM, "file_id", Then::Again, &[]),
    },
    Row {
        tool: "file_copy",
        works: copy,
        wrong: &[(r#"{"file_id": "f"}"#, "missing_argument"), (r#"{"file_id": "f", "destination_folder_id": "a b"}"#, "invalid_argument")],
        fails: trouble(
            |desk| with(the_file(desk), json!({"destination_folder_id": "root", "new_name": "never.txt"})),
            "POST /me/drive/items/{id}/copy",
            "file_id",
            Then::Unknown,
            &["GET /me/drive/root"],
        ),
    },
    Row {
        tool: "file_rename",
        works: rename,
        wrong: &[
            (r#"{"file_id": "f"}"#, "missing_argument"),
            (r#"{"file_id": "f", "new_name": "a/b"}"#, "invalid_argument"),
            (r#"{"file_id": "f", "new_name": "x."}"#, "invalid_argument"),
        ],
        fails: trouble(
            |desk| with(the_file(desk), json!({"new_name": "other.txt"})),
            "PATCH /me/drive/items/{id}",
            "file_id",
            Then::Again,
            &[],
        ),
    },
    Row {
        tool: "file_move",
        works: relocate,
        wrong: &[(r#"{"file_id": "f"}"#, "missing_argument")],
        fails: trouble(
            |desk| with(the_file(desk), json!({"destination_folder_id": "root"})),
            "PATCH /me/drive/items/{id}",
            "file_id",
            Then::Again,
            &["GET /me/drive/root"],
        ),
    },
    Row {
        tool: "file_share",
        works: share,
        wrong: &[("{}", "missing_argument"), (r#"{"file_id": "f", "scope": "everybody"}"#, "invalid_argument")],
        fails: trouble(
            |desk| with(the_file(desk), json!({"permission_type": "edit"})),
            "POST /me/drive/items/{id}/createLink",
            "file_id",
            Then::Unknown,
            &[],
        ),
    },
    Row {
        tool: "file_delete",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"file_id": "f", "confirm": "yes"}"#, "invalid_argument")],
        fails: trouble(the_file, "DELETE /me/drive/items/{id}", "file_id", Then::Unknown, &[]),
    },
];

#[test]
fn each_file_tool_works_refuses_and_fails_as_it_should() {
    try_all(&["driveItems"], ROWS);
}

/// What the tenant holds in a folder.
fn inside(desk: &Desk, folder: &Value) -> Vec<Value> {
    desk.truth("driveItems").into_iter().filter(|item| item["parentReference"]["id"] == *folder).collect()
}

fn list(desk: &mut Desk) {
    let documents = desk.truth("driveItems").into_iter().find(|item| item["name"] == "Documents").unwrap();
    desk.keep("documents", &documents["id"]);
    let there = inside(desk, &documents["id"]);
    for (filter, fits) in [
        ("all", &(|_: &Value| true) as &dyn Fn(&Value) -> bool),
        ("files", &|item: &Value| item["file"].is_object()),
        ("folders", &|item: &Value| item["folder"].is_object()),
    ] {
        let answer = desk.done("file_list", json!({"path": "/Documents", "limit": 500, "type_filter": filter}));
        let (mut shown, mut expected) =
            (ids(&answer["items"]), there.iter().filter(|item| fits(item)).map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>());
        shown.sort_unstable();
        expected.sort_unstable();
        assert_eq!((shown, &answer["complete"]), (expected, &json!(true)), "{filter}");
        for item in answer["items"].as_array().unwrap() {
            let there = there.iter().find(|known| known["id"] == item["id"]).unwrap();
            assert_eq!((&item["name"], &item["size"]), (&there["name"], &there["size"]));
        }
    }
}

fn create(desk: &mut Desk) {
    let given = json!({"onedrive_path": "/Documents/new note.txt", "local_file_path": desk.local("note.txt", b"the first")});
    desk.seen("file_list", json!({"path": "/Documents", "limit": 500}));
    let made = desk.done("file_create", given.clone());
    let id = desk.keep("file", &made["id"]);
    let there = desk.one("driveItems", &id);
    assert_eq!(
        (&there["name"], &there["size"], &there["parentReference"]["id"]),
        (&json!("new note.txt"), &json!(9), &json!(desk.kept("documents")))
    );
    assert!(ids(&desk.seen("file_list", json!({"path": "/Documents", "limit": 500}))["items"]).contains(&id.as_str()));
    assert_eq!(desk.refused("file_create", &given), "already_exists", "what lies there is not replaced unless asked");
    assert_eq!(desk.one("driveItems", &id)["size"], 9);
}

fn get(desk: &mut Desk) {
    let got = desk.done("file_get", with(the_file(desk), json!({"download_path": "got.txt"})));
    assert_eq!((std::fs::read(got["path"].as_str().unwrap()).unwrap().as_slice(), &got["size"]), (b"the first".as_slice(), &json!(9)));
}

/// Nothing is left on this machine, and nothing there is overwritten.
fn get_fails(desk: &mut Desk) {
    let to = |name: &str| json!({"download_path": name});
    let left = desk.world.home.path().join("downloads");
    let status = |status: u16, code: &str| Effect::Status { status, code: code.into(), message: None, retry_after: None };
    for route in [ITEM, "/content"] {
        desk.world.control().fault(Fault::once(route, status(403, "accessDenied")));
        assert_eq!(desk.refused("file_get", &with(the_file(desk), to("unsaved.txt"))), "access_denied", "{route}");
        desk.world.control().clear_faults(None);
        assert!(!left.join("unsaved.txt").exists(), "{route}");
    }
    let nothing = json!({"file_id": super::row::not_there(&desk.kept("file")), "download_path": "unsaved.txt"});
    assert_eq!(desk.refused("file_get", &nothing), "not_found");
    let folder = json!({"file_id": desk.kept("documents"), "download_path": "unsaved.txt"});
    assert_eq!(desk.refused("file_get", &folder), "not_a_file");
    assert_eq!(desk.refused("file_get", &with(the_file(desk), to("got.txt"))), "file_exists");
    for outside in ["../out.txt", "/etc/out.txt"] {
        assert_eq!(desk.refused("file_get", &with(the_file(desk), to(outside))), "path_not_allowed", "{outside}");
    }
    assert!(!left.join("unsaved.txt").exists() && !left.join("../out.txt").exists());
    assert_eq!(std::fs::read(left.join("got.txt")).unwrap(), b"the first");
}

fn update(desk: &mut Desk) {
    desk.done("file_update", with(the_file(desk), json!({"local_file_path": desk.local("note.txt", b"the second one")})));
    assert_eq!(desk.one("driveItems", &desk.kept("file"))["size"], 14);
    let seen = desk.seen("file_list", json!({"path": "/Documents", "limit": 500}));
    let row = seen["items"].as_array().unwrap().iter().find(|item| item["id"] == desk.kept("file")).unwrap().clone();
    assert_eq!(row["size"], 14);
    desk.done("file_get", with(the_file(desk), json!({"download_path": "second.txt"})));
    assert_eq!(std::fs::read(desk.world.home.path().join("downloads/second.txt")).unwrap(), b"the second one");
}

fn address(desk: &mut Desk) {
    let answer = desk.done("file_download_url", the_file(desk));
    let address = answer["download_url"].as_str().unwrap();
    let client = m365_cached_checks::support::tenant::http().unwrap();
    let content = desk.world.block_on(async { client.get(address).send().await.unwrap().text().await.unwrap() });
    assert_eq!(content, "the third");
    assert_eq!(desk.refused("file_download_url", &json!({"file_id": desk.kept("documents")})), "not_a_file");
}

fn copy(desk: &mut Desk) {
    let given = with(the_file(desk), json!({"destination_folder_id": desk.kept("documents"), "new_name": "copy.txt"}));
    let answer = desk.done("file_copy", given);
    assert_eq!(answer["status"], "completed", "{answer}");
    let there = desk.one("driveItems", answer["id"].as_str().unwrap());
    assert_eq!((&there["name"], &there["size"]), (&json!("copy.txt"), &json!(9)));
    assert!(
        each(desk.seen("file_list", json!({"path": "/Documents", "limit": 500}))["items"].as_array().unwrap(), "name")
            .contains(&"copy.txt")
    );
}

fn rename(desk: &mut Desk) {
    desk.done("file_rename", with(the_file(desk), json!({"new_name": "100% (new) #1.txt"})));
    assert_eq!(desk.one("driveItems", &desk.kept("file"))["name"], "100% (new) #1.txt");
    let seen = desk.seen("file_list", json!({"path": "/Documents", "limit": 500}));
    assert!(each(seen["items"].as_array().unwrap(), "name").contains(&"100% (new) #1.txt"));
}

fn relocate(desk: &mut Desk) {
    let pictures = desk.truth("driveItems").into_iter().find(|item| item["name"] == "Pictures").unwrap()["id"].clone();
    let id = desk.kept("file");
    desk.seen("file_list", json!({"path": "/Pictures", "limit": 500}));
    desk.done("file_move", with(the_file(desk), json!({"destination_folder_id": pictures})));
    assert_eq!(desk.one("driveItems", &id)["parentReference"]["id"], pictures);
    assert!(ids(&desk.seen("file_list", json!({"path": "/Pictures", "limit": 500}))["items"]).contains(&id.as_str()));
    assert!(!ids(&desk.seen("file_list", json!({"path": "/Documents", "limit": 500}))["items"]).contains(&id.as_str()));
}

fn share(desk: &mut Desk) {
    let link = desk.done("file_share", the_file(desk));
    assert_eq!((&link["link"]["scope"], &link["link"]["type"]), (&json!("organization"), &json!("view")), "{link}");
    let there = desk.one("driveItems", &desk.kept("file"))["permissions"].clone();
    assert!(there.as_array().unwrap().iter().any(|permission| permission["link"]["webUrl"] == link["link"]["webUrl"]), "{there}");
}

fn delete(desk: &mut Desk) {
    let copy = inside(desk, &json!(desk.kept("documents"))).into_iter().find(|item| item["name"] == "copy.txt").unwrap();
    assert_eq!(desk.done("file_delete", json!({"file_id": copy["id"]}))["status"], "deleted");
    assert!(desk.find("driveItems", copy["id"].as_str().unwrap()).is_none());
    assert!(
        !each(desk.seen("file_list", json!({"path": "/Documents", "limit": 500}))["items"].as_array().unwrap(), "name")
            .contains(&"copy.txt")
    );
}
