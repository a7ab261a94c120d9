//! The mail folders.

use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const ONE: &str = "/me/mailFolders/{id}";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks: &[] })
}

fn the_folder(desk: &Desk) -> Value {
    json!({"folder_id": desk.kept("folder")})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "emailfolders_list",
        works: list,
        wrong: &[(r#"{"limit": 0}"#, "invalid_argument"), (r#"{"include_hidden": "no way"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"parent_folder_id": desk.kept("inbox")}), "childFolders", "parent_folder_id", Then::Again),
    },
    Row {
        tool: "emailfolders_create",
        works: create,
        wrong: &[("{}", "missing_argument"), (r#"{"display_name": "  "}"#, "invalid_argument")],
        fails: trouble(
            |desk| json!({"display_name": "Never", "parent_folder_id": desk.kept("inbox")}),
            "POST /me/mailFolders/{id}/childFolders",
            "parent_folder_id",
            Then::Unknown,
        ),
    },
    Row {
        tool: "emailfolders_get",
        works: get,
        wrong: &[("{}", "missing_argument"), (r#"{"folder_id": ""}"#, "invalid_argument")],
        fails: trouble(the_folder, ONE, "folder_id", Then::Again),
    },
    Row {
        tool: "emailfolders_get_tree",
        works: tree,
        wrong: &[(r#"{"max_depth": 26}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"parent_folder_id": desk.kept("inbox")}), "childFolders", "parent_folder_id", Then::Again),
    },
    Row {
        tool: "emailfolders_rename",
        works: rename,
        wrong: &[(r#"{"folder_id": "f"}"#, "missing_argument"), (r#"{"folder_id": "f", "new_display_name": ""}"#, "invalid_argument")],
        fails: trouble(
            |desk| json!({"folder_id": desk.kept("folder"), "new_display_name": "Renamed again"}),
            "PATCH /me/mailFolders/{id}",
            "folder_id",
            Then::Again,
        ),
    },
    Row {
        tool: "emailfolders_move",
        works: relocate,
        wrong: &[
            (r#"{"folder_id": "f"}"#, "missing_argument"),
            (r#"{"folder_id": "f", "destination_folder_id": "a b"}"#, "invalid_argument"),
        ],
        fails: trouble(
            |desk| json!({"folder_id": desk.kept("folder"), "destination_folder_id": desk.kept("archive")}),
            "POST /me/mailFolders/{id}/move",
            "folder_id",
            Then::Unknown,
        ),
    },
    Row { tool: "emailfolders_mark_all_as_read", works: mark_all, wrong: &[("{}", "missing_argument")], fails: Fails::Own(mark_all_fails) },
    Row {
        tool: "emailfolders_empty",
        works: empty,
        wrong: &[("{}", "missing_argument"), (r#"{"folder_id": "f", "confirm": "yes"}"#, "invalid_argument")],
        fails: Fails::Own(empty_fails),
    },
    Row {
        tool: "emailfolders_delete",
        works: delete,
        wrong: &[("{}", "missing_argument")],
        fails: trouble(the_folder, "DELETE /me/mailFolders/{id}", "folder_id", Then::Unknown),
    },
];

#[test]
fn each_tool_of_mail_folders_works_refuses_and_fails_as_it_should() {
    try_all(&["mailFolders"], ROWS);
}

fn named(desk: &Desk, name: &str) -> Value {
    let found = desk.truth("mailFolders").into_iter().find(|folder| folder["displayName"] == name);
    found.unwrap_or_else(|| panic!("the tenant has no folder {name}"))
}

fn list(desk: &mut Desk) {
    let inbox = named(desk, "Inbox");
    desk.keep("inbox", &inbox["id"]);
    desk.keep("archive", &named(desk, "Archive")["id"]);
    let answer = desk.done("emailfolders_list", json!({"limit": 250}));
    let shown = answer["folders"].as_array().unwrap();
    let top = &inbox["parentFolderId"];
    let same = |folder: &&Value| folder["parentFolderId"] == *top && folder["id"] != *top && folder["isHidden"] == false;
    let all = desk.truth("mailFolders");
    let mut there: Vec<&str> = all.iter().filter(same).map(|folder| folder["displayName"].as_str().unwrap()).collect();
    let mut names = each(shown, "displayName");
    names.sort_unstable();
    there.sort_unstable();
    assert_eq!((names, &answer["complete"]), (there, &json!(true)));
    for folder in shown {
        let there = desk.one("mailFolders", folder["id"].as_str().unwrap());
        for count in ["unreadItemCount", "totalItemCount", "childFolderCount"] {
            assert_eq!(folder[count], there[count], "{count} of {}", folder["displayName"]);
        }
    }
}

fn create(desk: &mut Desk) {
    let top = desk.done("emailfolders_create", json!({"display_name": "Garden"}));
    let id = desk.keep("folder", &top["id"]);
    assert_eq!(desk.one("mailFolders", &id)["displayName"], "Garden");
    let below = desk.done("emailfolders_create", json!({"display_name": "Roses", "parent_folder_id": id}));
    let below = desk.keep("below", &below["id"]);
    assert_eq!(desk.one("mailFolders", &below)["parentFolderId"], id.as_str());
    let seen = desk.seen("emailfolders_list", json!({"parent_folder_id": id}));
    assert_eq!(ids(&seen["folders"]), [below]);
    let code = desk.refused("emailfolders_create", &json!({"display_name": "Garden"}));
    assert_eq!(code, "already_exists");
}

fn get(desk: &mut Desk) {
    for given in [desk.kept("folder"), "inbox".to_owned()] {
        let got = desk.done("emailfolders_get", json!({"folder_id": given}));
        let there = desk.one("mailFolders", got["id"].as_str().unwrap());
        for member in ["displayName", "totalItemCount", "unreadItemCount", "parentFolderId"] {
            assert_eq!(got[member], there[member], "{member} of {given}");
        }
    }
}

fn tree(desk: &mut Desk) {
    fn names<'a>(folders: &'a Value, into: &mut Vec<&'a str>) {
        for folder in folders.as_array().unwrap() {
            into.push(folder["displayName"].as_str().unwrap());
            names(&folder["children"], into);
        }
    }
    let answer = desk.done("emailfolders_get_tree", json!({}));
    let mut shown = Vec::new();
    names(&answer["folders"], &mut shown);
    let all = desk.truth("mailFolders");
    let root = named(desk, "Inbox")["parentFolderId"].clone();
    let mut there: Vec<&str> = each(&all, "displayName");
    let top = all.iter().find(|folder| folder["id"] == root).map(|folder| folder["displayName"].as_str().unwrap());
    // The top itself is no node of the tree, and hidden folders were not asked for.
    let hidden: Vec<&str> =
        all.iter().filter(|folder| folder["isHidden"] == true).map(|folder| folder["displayName"].as_str().unwrap()).collect();
    there.retain(|name| Some(*name) != top && !hidden.contains(name));
    shown.sort_unstable();
    there.sort_unstable();
    assert_eq!((shown, &answer["complete"]), (there, &json!(true)));
}

fn rename(desk: &mut Desk) {
    let id = desk.kept("folder");
    desk.done("emailfolders_rename", json!({"folder_id": id, "new_display_name": "Orchard"}));
    assert_eq!(desk.one("mailFolders", &id)["displayName"], "Orchard");
    assert_eq!(desk.seen("emailfolders_get", json!({"folder_id": id}))["displayName"], "Orchard");
}

fn relocate(desk: &mut Desk) {
    let (id, goal) = (desk.kept("folder"), desk.kept("inbox"));
    desk.seen("emailfolders_list", json!({"parent_folder_id": goal}));
    // Into Deleted Items it is a deletion, by whichever name that is called.
    let bin = desk.truth("mailFolders").into_iter().find(|known| known["displayName"] == "Deleted Items").unwrap()["id"].clone();
    for bin in [json!("deleted"), bin] {
        let asked = desk.call("emailfolders_move", &json!({"folder_id": id, "destination_folder_id": bin})).json().unwrap();
        assert_eq!(asked["status"], "confirmation_required", "{bin}: {asked}");
    }
    desk.done("emailfolders_move", json!({"folder_id": id, "destination_folder_id": "inbox"}));
    assert_eq!(desk.one("mailFolders", &id)["parentFolderId"], goal.as_str());
    assert!(ids(&desk.seen("emailfolders_list", json!({"parent_folder_id": goal}))["folders"]).contains(&id.as_str()));
}

/// Takes some messages of the inbox into the folder.
fn fill(desk: &mut Desk, count: usize) -> Vec<String> {
    let (folder, inbox) = (desk.kept("folder"), desk.done("email_list", json!({"limit": count, "include_body": false})));
    let moved = ids(&inbox["messages"]).into_iter().map(|id| {
        let moved = desk.done("email_move", json!({"email_id": id, "destination_folder": folder}));
        let new = moved["new_id"].as_str().unwrap().to_owned();
        desk.done("email_mark_read", json!({"email_id": new, "is_read": false}));
        new
    });
    moved.collect()
}

fn unread(desk: &Desk, messages: &[String]) -> usize {
    messages.iter().filter(|id| desk.one("messages", id)["isRead"] == false).count()
}

fn mark_all(desk: &mut Desk) {
    let messages = fill(desk, 3);
    assert_eq!(unread(desk, &messages), 3);
    let answer = desk.done("emailfolders_mark_all_as_read", the_folder(desk));
    assert_eq!((&answer["status"], &answer["messages_marked_read"]), (&json!("completed"), &json!(3)));
    assert_eq!(unread(desk, &messages), 0);
    assert_eq!(desk.seen("emailfolders_get", the_folder(desk))["unreadItemCount"], 0);
}

fn status(status: u16, code: &str) -> m365_cached_tenant::Effect {
    m365_cached_tenant::Effect::Status { status, code: code.into(), message: None, retry_after: None }
}

/// One of several is refused: the others are done, and that one is named. A list that cannot be had changes nothing.
fn mark_all_fails(desk: &mut Desk) {
    use m365_cached_tenant::Fault;
    let messages = fill(desk, 2);
    let list = "GET /me/mailFolders/{id}/messages";
    let before = desk.state();
    for (effect, code) in [(status(403, "ErrorAccessDenied"), "access_denied"), (status(501, "notSupported"), "not_supported")] {
        desk.world.control().fault(Fault::once(list, effect));
        assert_eq!(desk.refused("emailfolders_mark_all_as_read", &the_folder(desk)), code);
        desk.world.control().clear_faults(None);
    }
    assert!(desk.state() == before, "marked although the list failed");
    let nothing = json!({"folder_id": no_folder(desk)});
    assert!(["not_found", "invalid_id"].contains(&desk.refused("emailfolders_mark_all_as_read", &nothing).as_str()));
    desk.world.control().fault(Fault::once("PATCH /me/messages/{id}", status(403, "ErrorAccessDenied")));
    let answer = desk.done("emailfolders_mark_all_as_read", the_folder(desk));
    desk.world.control().clear_faults(None);
    assert_eq!((&answer["status"], &answer["messages_marked_read"], &answer["complete"]), (&json!("partial"), &json!(1), &json!(false)));
    let failed = answer["failed"][0]["id"].as_str().unwrap();
    assert_eq!((&answer["failed"][0]["code"], unread(desk, &messages)), (&json!("access_denied"), 1));
    assert_eq!(desk.one("messages", failed)["isRead"], false);
    desk.world.control().fault(Fault::always("PATCH /me/messages/{id}", status(403, "ErrorAccessDenied")));
    assert_eq!(desk.refused("emailfolders_mark_all_as_read", &the_folder(desk)), "access_denied");
    desk.world.control().clear_faults(None);
    assert_eq!(unread(desk, &messages), 1);
}

fn in_folder(desk: &Desk, folder: &str) -> Vec<Value> {
    desk.truth("messages").into_iter().filter(|message| message["parentFolderId"] == folder).collect()
}

fn empty(desk: &mut Desk) {
    let folder = desk.kept("folder");
    let there = in_folder(desk, &folder).len();
    let answer = desk.done("emailfolders_empty", the_folder(desk));
    assert_eq!((&answer["status"], &answer["messages_deleted"]), (&json!("completed"), &json!(there)));
    assert!(in_folder(desk, &folder).is_empty());
    let seen = desk.seen("email_list", the_folder(desk));
    assert_eq!(seen["messages"], json!([]));
}

/// A deletion whose answer is 503 is not sent again, and told as unknown.
fn empty_fails(desk: &mut Desk) {
    use m365_cached_tenant::Fault;
    let (messages, delete) = (fill(desk, 2), "DELETE /me/messages/{id}");
    let nothing = json!({"folder_id": no_folder(desk)});
    assert!(["not_found", "invalid_id"].contains(&desk.refused("emailfolders_empty", &nothing).as_str()));
    let sent = desk.count(delete);
    desk.world.control().fault(Fault::once(delete, status(503, "serviceNotAvailable")));
    let answer = desk.done("emailfolders_empty", the_folder(desk));
    desk.world.control().clear_faults(None);
    assert_eq!((&answer["status"], &answer["messages_deleted"], &answer["complete"]), (&json!("partial"), &json!(1), &json!(false)));
    assert_eq!((&answer["failed"][0]["code"], desk.count(delete) - sent), (&json!("outcome_unknown"), 2));
    assert_eq!(in_folder(desk, &desk.kept("folder")).len(), 1);
    assert_eq!(messages.len(), 2);
}

fn delete(desk: &mut Desk) {
    let below = desk.kept("below");
    let parent = json!({"parent_folder_id": desk.kept("folder")});
    desk.seen("emailfolders_list", parent.clone());
    let gone = desk.done("emailfolders_delete", json!({"folder_id": below}));
    assert_eq!((&gone["status"], &gone["folder_id"]), (&json!("deleted"), &json!(below)));
    let bin = named(desk, "Deleted Items");
    assert!(desk.find("mailFolders", &below).is_none_or(|folder| folder["parentFolderId"] == bin["id"]));
    assert!(ids(&desk.seen("emailfolders_list", parent)["folders"]).is_empty());
}

/// An id that looks like a folder's and is none.
fn no_folder(desk: &Desk) -> String {
    let id = desk.kept("folder");
    super::row::not_there(&id)
}
