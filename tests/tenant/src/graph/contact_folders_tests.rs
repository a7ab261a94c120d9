//! Folders of contacts: made, renamed, deleted with what is in them, and told of by delta.

use serde_json::{Value, json};

use crate::graph::testing::{Tenant, path, rows, text};

#[test]
fn folders_are_made_renamed_and_deleted_with_their_contacts() {
    let tenant = Tenant::small();
    let first = tenant.get("/me/contactFolders/delta");
    let link = text(&first, "@odata.deltaLink").to_owned();
    assert_eq!(rows(&first).len(), rows(&tenant.get("/me/contactFolders")).len());
    let made = tenant.post("/me/contactFolders", json!({"displayName": "Sailors"}), 201);
    tenant.post("/me/contactFolders", json!({"displayName": "sailors"}), 409);
    tenant.post("/me/contactFolders", json!({"displayName": " "}), 400);
    let url = format!("/me/contactFolders/{}", path(text(&made, "id")));
    let child = tenant.post(&format!("{url}/childFolders"), json!({"displayName": "Sailors"}), 201);
    assert_eq!(child["parentFolderId"], made["id"]);
    assert_eq!(rows(&tenant.get(&format!("{url}/childFolders"))).len(), 1);
    let contact = tenant.post(&format!("{url}/contacts"), json!({"givenName": "Ann"}), 201);
    assert_eq!(contact["parentFolderId"], made["id"]);
    assert_eq!(tenant.ask("PATCH", &url, &[], json!({"displayName": "Rowers"}), 200)["displayName"], "Rowers");
    let second = tenant.get(&link);
    let names: Vec<&str> = second["value"].as_array().unwrap().iter().map(|f| text(f, "displayName")).collect();
    assert_eq!(names, ["Sailors", "Rowers"], "the child, then its parent with the new name");
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    let third = rows(&tenant.get(text(&second, "@odata.deltaLink")));
    assert!(third.len() == 2 && third.iter().all(|f| f["@removed"]["reason"] == "deleted"), "{third:?}");
    assert_eq!(tenant.refused(&format!("/me/contacts/{}", path(text(&contact, "id"))), 404), "ErrorItemNotFound");
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
    tenant.apply(json!({"verb": "expire_delta_tokens"}));
    assert_eq!(tenant.refused(&link, 410), "SyncStateNotFound");
    let own = tenant.get("/me/contacts?$top=1&$select=parentFolderId")["value"][0]["parentFolderId"].clone();
    tenant.ask("DELETE", &format!("/me/contactFolders/{}", path(own.as_str().unwrap())), &[], Value::Null, 403);
    assert_eq!(tenant.refused("/me/contacts?$search=%22ann%22", 400), "BadRequest");
}
