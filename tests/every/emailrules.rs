//! The inbox rules.

use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const LIST: &str = "GET /me/mailFolders/{id}/messageRules";
const PATCH: &str = "PATCH /me/mailFolders/{id}/messageRules/{id}";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks: &[] })
}

/// A change of the order: it looks at all rules first, and finds by itself that there is none of that id.
const fn order() -> Fails {
    Fails::Graph(Trouble { given: the_rule, route: PATCH, names: "rule_id", then: Then::Again, looks: &[LIST] })
}

fn the_rule(desk: &Desk) -> Value {
    json!({"rule_id": desk.kept("rule")})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "emailrules_list",
        works: list,
        wrong: &[(r#"{"limit": 1}"#, "unknown_argument")],
        fails: trouble(|_| json!({}), LIST, "", Then::Again),
    },
    Row {
        tool: "emailrules_create",
        works: create,
        wrong: &[
            (r#"{"display_name": "r", "conditions": {"subjectContains": ["x"]}}"#, "missing_argument"),
            (r#"{"display_name": "r", "conditions": {"subject": ["x"]}, "actions": {"delete": true}}"#, "unknown_argument"),
            (
                r#"{"display_name": "r", "conditions": {"subjectContains": ["x"]}, "actions": {"markImportance": "most"}}"#,
                "invalid_argument",
            ),
        ],
        fails: Fails::Graph(Trouble {
            given: |_| json!({"display_name": "Never", "conditions": {"subjectContains": ["x"]}, "actions": {"moveToFolder": "archive"}}),
            route: "POST /me/mailFolders/{id}/messageRules",
            names: "",
            then: Then::Unknown,
            looks: &["GET /me/mailFolders/{id}"],
        }),
    },
    Row {
        tool: "emailrules_get",
        works: get,
        wrong: &[("{}", "missing_argument")],
        fails: trouble(the_rule, "GET /me/mailFolders/{id}/messageRules/{id}", "rule_id", Then::Again),
    },
    Row {
        tool: "emailrules_update",
        works: update,
        wrong: &[
            (r#"{"rule_id": "r"}"#, "invalid_argument"),
            (r#"{"rule_id": "r", "sequence": 0}"#, "invalid_argument"),
            (r#"{"rule_id": "r", "actions": {"explode": true}}"#, "unknown_argument"),
        ],
        fails: Fails::Graph(Trouble {
            given: |desk| json!({"rule_id": desk.kept("rule"), "actions": {"copyToFolder": "archive"}}),
            route: PATCH,
            names: "rule_id",
            then: Then::Again,
            looks: &["GET /me/mailFolders/{id}"],
        }),
    },
    Row {
        tool: "emailrules_move_top",
        works: |desk| shifted(desk, "emailrules_move_top"),
        wrong: &[("{}", "missing_argument")],
        fails: order(),
    },
    Row {
        tool: "emailrules_move_bottom",
        works: |desk| shifted(desk, "emailrules_move_bottom"),
        wrong: &[("{}", "missing_argument")],
        fails: order(),
    },
    Row {
        tool: "emailrules_move_up",
        works: |desk| shifted(desk, "emailrules_move_up"),
        wrong: &[("{}", "missing_argument")],
        fails: order(),
    },
    Row {
        tool: "emailrules_move_down",
        works: |desk| shifted(desk, "emailrules_move_down"),
        wrong: &[("{}", "missing_argument")],
        fails: order(),
    },
    Row {
        tool: "emailrules_delete",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"rule_id": ""}"#, "invalid_argument")],
        fails: trouble(the_rule, "DELETE /me/mailFolders/{id}/messageRules/{id}", "rule_id", Then::Unknown),
    },
];

#[test]
fn each_tool_of_inbox_rules_works_refuses_and_fails_as_it_should() {
    try_all(&["messageRules"], ROWS);
}

fn list(desk: &mut Desk) {
    let answer = desk.done("emailrules_list", json!({}));
    let there = desk.truth("messageRules");
    assert_eq!(ids(&answer["rules"]), each(&there, "id"));
    assert_eq!(each(answer["rules"].as_array().unwrap(), "displayName"), each(&there, "displayName"));
}

fn create(desk: &mut Desk) {
    for (word, name) in [("other", "Bills"), ("rule", "Garden")] {
        let given = json!({"display_name": name, "sequence": 3, "conditions": {"subjectContains": ["rose"], "hasAttachments": true},
            "actions": {"moveToFolder": "archive", "stopProcessingRules": true}, "exceptions": {"importance": "high"}});
        let made = desk.done("emailrules_create", given);
        let id = desk.keep(word, &made["id"]);
        let there = desk.one("messageRules", &id);
        assert_eq!((&there["displayName"], &there["conditions"]["subjectContains"]), (&json!(name), &json!(["rose"])));
        let archive = desk.truth("mailFolders").into_iter().find(|folder| folder["displayName"] == "Archive").unwrap();
        assert_eq!((&there["actions"]["moveToFolder"], &there["exceptions"]["importance"]), (&archive["id"], &json!("high")));
        assert!(ids(&desk.seen("emailrules_list", json!({}))["rules"]).contains(&id.as_str()));
    }
    let forwards =
        json!({"display_name": "Leak", "conditions": {"subjectContains": ["x"]}, "actions": {"forwardTo": ["x@fabrikam.example"]}});
    let asked = desk.call("emailrules_create", &forwards).json().unwrap();
    assert_eq!(asked["status"], "confirmation_required", "a rule that forwards asks first");
    assert!(desk.truth("messageRules").iter().all(|rule| rule["displayName"] != "Leak"));
}

fn get(desk: &mut Desk) {
    let (got, there) = (desk.done("emailrules_get", the_rule(desk)), desk.one("messageRules", &desk.kept("rule")));
    for member in ["displayName", "sequence", "isEnabled", "conditions", "actions", "exceptions"] {
        assert_eq!(got[member], there[member], "{member}");
    }
}

fn update(desk: &mut Desk) {
    let id = desk.kept("rule");
    desk.seen("emailrules_get", the_rule(desk));
    desk.done("emailrules_update", json!({"rule_id": id, "display_name": "Orchard", "is_enabled": false}));
    let there = desk.one("messageRules", &id);
    assert_eq!((&there["displayName"], &there["isEnabled"]), (&json!("Orchard"), &json!(false)));
    assert_eq!(there["conditions"]["subjectContains"], json!(["rose"]), "what was not given stays");
    let seen = desk.seen("emailrules_get", the_rule(desk));
    assert_eq!((&seen["displayName"], &seen["isEnabled"]), (&json!("Orchard"), &json!(false)));

    // That it sends mail away is not in the call that switches it on.
    let actions = there["actions"].clone();
    desk.done("emailrules_update", json!({"rule_id": id, "actions": {"forwardTo": ["bea@contoso.example"]}}));
    let on = json!({"rule_id": id, "is_enabled": true});
    let asked = desk.call("emailrules_update", &on).json().unwrap();
    assert_eq!(
        (&asked["status"], &desk.one("messageRules", &id)["isEnabled"]),
        (&json!("confirmation_required"), &json!(false)),
        "{asked}"
    );
    desk.done("emailrules_update", on);
    assert_eq!(desk.one("messageRules", &id)["isEnabled"], true);
    desk.done("emailrules_update", json!({"rule_id": id, "actions": actions, "is_enabled": false}));
}

/// The rule goes where the tool's name says, and the others keep their order.
fn shifted(desk: &mut Desk, tool: &'static str) {
    let id = desk.kept("rule");
    let before: Vec<String> = each(&desk.truth("messageRules"), "id").into_iter().map(str::to_owned).collect();
    let from = before.iter().position(|other| *other == id).unwrap();
    let last = before.len() - 1;
    let to = match tool {
        "emailrules_move_top" => 0,
        "emailrules_move_bottom" => last,
        "emailrules_move_up" => from - 1,
        _ => from + 1,
    };
    assert_ne!(from, to, "{tool} would have nothing to do");
    let mut expected = before;
    let moved = expected.remove(from);
    expected.insert(to, moved);
    desk.seen("emailrules_list", json!({}));
    desk.done(tool, the_rule(desk));
    assert_eq!(each(&desk.truth("messageRules"), "id"), expected, "{tool}");
    assert_eq!(ids(&desk.seen("emailrules_list", json!({}))["rules"]), expected, "{tool}");
    // Away from where it may be already, so that the failures have something to do.
    if to == 0 || to == last {
        let back = json!({"rule_id": desk.kept("other")});
        desk.done(tool, back);
    }
}

fn delete(desk: &mut Desk) {
    let other = desk.kept("other");
    let gone = desk.done("emailrules_delete", json!({"rule_id": other}));
    assert_eq!(gone["status"], "deleted");
    assert!(desk.find("messageRules", &other).is_none());
    assert!(!ids(&desk.seen("emailrules_list", json!({}))["rules"]).contains(&other.as_str()));
}
