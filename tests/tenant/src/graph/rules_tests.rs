//! Message rules: what is kept, what is refused, in which order they are shown.

use serde_json::{Value, json};

use crate::graph::testing::{Tenant, path, rows, text};

const RULES: &str = "/me/mailFolders/inbox/messageRules";

fn rule(name: &str, conditions: Value, actions: Value) -> Value {
    json!({"displayName": name, "sequence": 7, "conditions": conditions, "actions": actions})
}

#[test]
fn rules_are_made_changed_listed_in_order_and_deleted() {
    let tenant = Tenant::small();
    let before = rows(&tenant.get(RULES)).len();
    let archive = tenant.get("/me/mailFolders/archive")["id"].clone();
    let conditions = json!({"subjectContains": ["invoice"], "withinSizeRange": {"minimumSize": 1, "maximumSize": 500}, "sentToMe": true,
        "messageActionFlag": "followUp", "fromAddresses": [{"emailAddress": {"address": "ann@x.example"}}], "importance": "High"});
    let made = tenant.post(RULES, rule("Invoices", conditions, json!({"moveToFolder": "archive", "markImportance": "low"})), 201);
    assert_eq!((made["actions"]["moveToFolder"].clone(), &made["conditions"]["importance"]), (archive, &json!("high")));
    assert_eq!((&made["isEnabled"], &made["hasError"], &made["sequence"]), (&json!(true), &json!(false), &json!(7)));
    assert!(made.get("exceptions").is_none(), "what is not set is not shown");
    let url = format!("{RULES}/{}", path(text(&made, "id")));
    tenant.post(RULES, rule("Same place", json!({}), json!({"delete": true})), 201);
    let changed = tenant.ask(
        "PATCH",
        &url,
        &[],
        json!({"sequence": 9, "isEnabled": false, "conditions": {"sentCcMe": true}, "exceptions": {"isVoicemail": true}}),
        200,
    );
    assert_eq!(changed["conditions"], json!({"sentCcMe": true}), "a part replaces the whole part");
    assert_eq!((&changed["displayName"], &changed["exceptions"]["isVoicemail"]), (&json!("Invoices"), &json!(true)));
    let listed = rows(&tenant.get(RULES));
    assert_eq!(listed.len(), before + 2);
    assert_eq!(listed.last().unwrap()["id"], made["id"]);
    assert!(listed.windows(2).all(|pair| pair[0]["sequence"].as_i64() <= pair[1]["sequence"].as_i64()));
    let cleared = tenant.ask("PATCH", &url, &[], json!({"exceptions": null}), 200);
    assert!(cleared.get("exceptions").is_none());
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
    tenant.ask("PATCH", &url, &[], json!({"sequence": 1}), 404);
}

#[test]
fn what_graph_does_not_know_is_refused() {
    let tenant = Tenant::small();
    let delete = json!({"delete": true});
    for (body, code) in [
        (rule("x", json!({"bogus": true}), delete.clone()), "RequestBodyRead"),
        (rule("x", json!({"senderAddressContains": ["a"]}), delete.clone()), "RequestBodyRead"),
        (rule("x", json!({"messageActionFlag": "flagged"}), delete.clone()), "BadRequest"),
        (rule("x", json!({"hasAttachments": "yes"}), delete.clone()), "BadRequest"),
        (rule("x", json!({"subjectContains": "invoice"}), delete.clone()), "BadRequest"),
        (rule("x", json!({"subjectContains": []}), delete.clone()), "ErrorInboxRulesValidationError"),
        (rule("x", json!({"withinSizeRange": {"minimumSize": 9, "maximumSize": 5}}), delete.clone()), "ErrorInboxRulesValidationError"),
        (rule("x", json!({"withinSizeRange": {"minimum": 9}}), delete.clone()), "RequestBodyRead"),
        (rule("x", json!({}), json!({})), "ErrorInboxRulesValidationError"),
        (rule("x", json!({}), json!({"moveToFolder": "nosuch"})), "ErrorInvalidIdMalformed"),
        (rule("x", json!({}), json!({"forwardTo": []})), "ErrorInboxRulesValidationError"),
        (rule(" ", json!({}), delete.clone()), "ErrorInboxRulesValidationError"),
        (json!({"displayName": "no actions"}), "ErrorInboxRulesValidationError"),
        (json!({"displayName": "x", "actions": delete, "sequence": 0}), "ErrorInboxRulesValidationError"),
        (json!({"displayName": "x", "actions": delete, "isReadOnly": true}), "ErrorInvalidPropertySet"),
    ] {
        assert_eq!(tenant.post(RULES, body.clone(), 400)["error"]["code"], code, "{body}");
    }
    assert_eq!(tenant.refused("/me/mailFolders/archive/messageRules", 400), "ErrorInvalidRequest");
}
