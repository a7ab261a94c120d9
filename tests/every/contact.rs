//! Contacts and their folders.

use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const GET: &str = "GET /me/contacts/{id}";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks: &[] })
}

fn the_contact(desk: &Desk) -> Value {
    json!({"contact_id": desk.kept("contact")})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "contact_list",
        works: list,
        wrong: &[(r#"{"limit": 501}"#, "invalid_argument"), (r#"{"folder": "x"}"#, "unknown_argument")],
        fails: trouble(|_| json!({}), "GET /me/contacts", "", Then::Again),
    },
    Row {
        tool: "contact_create",
        works: create,
        wrong: &[
            ("{}", "missing_argument"),
            (r#"{"given_name": "Ida", "email_addresses": ["ida"]}"#, "invalid_argument"),
            (r#"{"given_name": "Ida", "phone_numbers": {"fax": "1"}}"#, "unknown_argument"),
        ],
        fails: trouble(|_| json!({"given_name": "Never"}), "POST /me/contacts", "", Then::Unknown),
    },
    Row {
        tool: "contact_get",
        works: get,
        wrong: &[("{}", "missing_argument"), (r#"{"contact_id": "a b"}"#, "invalid_argument")],
        fails: trouble(the_contact, GET, "contact_id", Then::Again),
    },
    Row {
        tool: "contact_update",
        works: update,
        wrong: &[
            (r#"{"contact_id": "c", "updates": {}}"#, "invalid_argument"),
            (r#"{"contact_id": "c", "updates": {"nickname": "x"}}"#, "unknown_argument"),
        ],
        fails: trouble(
            |desk| json!({"contact_id": desk.kept("contact"), "updates": {"jobTitle": "Baker"}}),
            "PATCH /me/contacts/{id}",
            "contact_id",
            Then::Again,
        ),
    },
    Row {
        tool: "contact_create_list",
        works: create_list,
        wrong: &[("{}", "missing_argument"), (r#"{"list_name": ""}"#, "invalid_argument")],
        fails: trouble(|_| json!({"list_name": "Never"}), "POST /me/contactFolders", "", Then::Unknown),
    },
    Row {
        tool: "contact_add_to_list",
        works: add,
        wrong: &[(r#"{"contact_id": "c"}"#, "missing_argument"), (r#"{"contact_id": "c", "list_id": ""}"#, "invalid_argument")],
        fails: Fails::Graph(Trouble {
            given: |desk| json!({"contact_id": desk.kept("contact"), "list_id": desk.kept("list")}),
            route: "POST /me/contactFolders/{id}/contacts",
            names: "list_id",
            then: Then::Unknown,
            looks: &[GET],
        }),
    },
    Row {
        tool: "contact_export",
        works: export,
        wrong: &[("{}", "missing_argument"), (r#"{"contact_id": "c", "format": "csv"}"#, "invalid_argument")],
        fails: trouble(the_contact, GET, "contact_id", Then::Again),
    },
    Row {
        tool: "contact_delete",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"contact_id": "c", "confirm": "yes"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"contact_id": desk.kept("second")}), "DELETE /me/contacts/{id}", "contact_id", Then::Unknown),
    },
];

#[test]
fn each_contact_tool_works_refuses_and_fails_as_it_should() {
    try_all(&["contacts", "contactFolders"], ROWS);
}

fn list(desk: &mut Desk) {
    let answer = desk.done("contact_list", json!({"limit": 500}));
    let all = desk.truth("contacts");
    let default = desk.one("contacts", answer["contacts"][0]["id"].as_str().unwrap())["parentFolderId"].clone();
    let mut there: Vec<&str> =
        all.iter().filter(|contact| contact["parentFolderId"] == default).map(|contact| contact["immutableId"].as_str().unwrap()).collect();
    let mut shown = ids(&answer["contacts"]);
    shown.sort_unstable();
    there.sort_unstable();
    assert_eq!((shown, &answer["complete"]), (there, &json!(true)));
}

fn create(desk: &mut Desk) {
    for (word, name) in [("contact", "Ida"), ("second", "Tom")] {
        let given = json!({"given_name": name, "surname": "O'Hara; Jr", "email_addresses": [{"address": format!("{name}@fabrikam.example"), "name": "At work"}],
            "phone_numbers": {"mobile": "+49 30 1", "business": "+49 30 2"}});
        let made = desk.done("contact_create", given);
        let id = desk.keep(word, &made["id"]);
        let there = desk.one("contacts", &id);
        assert_eq!((&there["givenName"], &there["surname"]), (&json!(name), &json!("O'Hara; Jr")));
        assert_eq!((&there["mobilePhone"], &there["businessPhones"]), (&json!("+49 30 1"), &json!(["+49 30 2"])));
        assert_eq!(there["emailAddresses"][0]["name"], "At work");
        assert!(ids(&desk.seen("contact_list", json!({"limit": 500}))["contacts"]).contains(&id.as_str()));
    }
}

fn get(desk: &mut Desk) {
    let (got, there) = (desk.done("contact_get", the_contact(desk)), desk.one("contacts", &desk.kept("contact")));
    for member in ["displayName", "givenName", "surname", "emailAddresses", "businessPhones", "mobilePhone"] {
        assert_eq!(got[member], there[member], "{member}");
    }
}

fn update(desk: &mut Desk) {
    desk.seen("contact_get", the_contact(desk));
    desk.done(
        "contact_update",
        json!({"contact_id": desk.kept("contact"), "updates": {"companyName": "Garden & Co", "mobilePhone": null}}),
    );
    let there = desk.one("contacts", &desk.kept("contact"));
    assert_eq!((&there["companyName"], &there["mobilePhone"], &there["givenName"]), (&json!("Garden & Co"), &Value::Null, &json!("Ida")));
    assert_eq!(desk.seen("contact_get", the_contact(desk))["companyName"], "Garden & Co");
}

fn create_list(desk: &mut Desk) {
    let made = desk.done("contact_create_list", json!({"list_name": "Gardeners"}));
    let id = desk.keep("list", &made["id"]);
    assert_eq!(desk.one("contactFolders", &id)["displayName"], "Gardeners");
    assert_eq!(desk.seen("contact_list", json!({"folder_id": id}))["contacts"], json!([]));
}

fn add(desk: &mut Desk) {
    let (contact, list) = (desk.kept("contact"), desk.kept("list"));
    let copy = desk.done("contact_add_to_list", json!({"contact_id": contact, "list_id": list}));
    let there = desk.one("contacts", copy["id"].as_str().unwrap());
    assert_eq!((&there["parentFolderId"], &there["companyName"]), (&json!(list), &json!("Garden & Co")));
    assert!(desk.find("contacts", &contact).is_some(), "the first one stays");
    assert_eq!(ids(&desk.seen("contact_list", json!({"folder_id": list}))["contacts"]), [copy["id"].as_str().unwrap()]);
}

fn export(desk: &mut Desk) {
    let card = desk.done("contact_export", the_contact(desk));
    let text = card["vcard"].as_str().unwrap();
    assert!(text.starts_with("BEGIN:VCARD\r\nVERSION:3.0\r\n") && text.trim_end().ends_with("END:VCARD"), "{text}");
    let there = desk.one("contacts", &desk.kept("contact"));
    assert!(text.contains(r"O'Hara\; Jr") && text.contains("Garden & Co"), "{text}");
    assert!(text.contains(there["emailAddresses"][0]["address"].as_str().unwrap()), "{text}");
    assert_eq!(card["size_bytes"], text.len());
}

fn delete(desk: &mut Desk) {
    let id = desk.kept("contact");
    assert_eq!(desk.done("contact_delete", the_contact(desk))["status"], "deleted");
    assert!(desk.find("contacts", &id).is_none());
    assert!(!ids(&desk.seen("contact_list", json!({"limit": 500}))["contacts"]).contains(&id.as_str()));
    assert!(each(&desk.truth("contacts"), "companyName").contains(&"Garden & Co"), "the copy in the list stays");
}
