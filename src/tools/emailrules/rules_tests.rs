use super::*;
use crate::{
    hint::Hint,
    tools::{
        Args as Checked,
        fake::{Fake, act, args, fetch, refusal},
        find,
    },
};

fn rule() -> Value {
    // Shape: microsoft-graph-docs, api-reference/v1.0/api/mailfolder-list-messagerules.md.
    json!({"@odata.context": "c", "id": "AQAAAJ5dZp8=", "displayName": "From partner", "sequence": 2, "isEnabled": true, "hasError": false,
        "isReadOnly": false, "conditions": {"senderContains": ["ADELE"]},
        "actions": {"stopProcessingRules": true, "forwardTo": [{"emailAddress": {"name": "Alex", "address": "AlexW@contoso.example"}}]}})
}

fn fake() -> Fake {
    Fake::answering([
        ("GET /me/mailFolders/inbox/messageRules", json!({"value": [{"id": "z", "sequence": 3}, rule()]})),
        ("GET /me/mailFolders/inbox/messageRules/r", rule()),
        ("POST /me/mailFolders/inbox/messageRules", rule()),
        ("PATCH /me/mailFolders/inbox/messageRules/r", rule()),
        ("DELETE /me/mailFolders/inbox/messageRules/r", Value::Null),
        ("GET /me/mailFolders/sentitems", json!({"id": "SENT"})),
    ])
}

fn asks(tool: &str, given: Value) -> bool {
    find(tool).unwrap().asks_for(&args(tool, given).unwrap())
}

#[tokio::test]
async fn rules_are_read_in_their_order() {
    let got = fetch(&fake(), "emailrules_list", json!({"account_id": "a"})).await.unwrap();
    assert_eq!((&got.answer["rules"][0]["sequence"], &got.answer["rules"][1]["id"]), (&json!(2), &json!("z")));
    assert_eq!(got.scopes, [Scope::rules()]);
    let one = fetch(&fake(), "emailrules_get", json!({"account_id": "a", "rule_id": "r"})).await.unwrap();
    assert_eq!(one.answer["actions"], rule()["actions"]);
    assert!(one.answer.get("@odata.context").is_none());
}

#[tokio::test]
async fn a_new_rule_is_sent_as_graph_takes_it() {
    let fake = fake();
    let given = json!({"account_id": "a", "display_name": "R", "conditions": {"senderContains": "adele", "fromAddresses": ["a@b.c"],
        "withinSizeRange": {"minimumSize": 10}}, "actions": {"moveToFolder": "Sent", "markAsRead": true}});
    act(&fake, "emailrules_create", given).await.unwrap();
    let sent = fake.requests().pop().unwrap();
    let expected = json!({"displayName": "R", "sequence": 1, "isEnabled": true,
        "conditions": {"fromAddresses": [{"emailAddress": {"address": "a@b.c"}}], "senderContains": ["adele"], "withinSizeRange": {"minimumSize": 10}},
        "actions": {"markAsRead": true, "moveToFolder": "SENT"}});
    assert_eq!((sent.body, sent.idempotent), (Some(expected), false));
}

#[tokio::test]
async fn an_update_sends_what_was_given_and_needs_something() {
    let fake = fake();
    act(&fake, "emailrules_update", json!({"account_id": "a", "rule_id": "r", "is_enabled": false})).await.unwrap();
    assert_eq!(fake.requests()[0].body, Some(json!({"isEnabled": false})));
    let nothing = act(&fake, "emailrules_update", json!({"account_id": "a", "rule_id": "r"})).await.unwrap_err();
    assert!(nothing.never_sent && nothing.hint.unwrap().contains("display_name"));
    let range = json!({"withinSizeRange": {"minimumSize": 9, "maximumSize": 1}});
    let odd = act(&fake, "emailrules_update", json!({"account_id": "a", "rule_id": "r", "exceptions": range})).await.unwrap_err();
    assert!(odd.message.contains("exceptions.withinSizeRange"), "{odd:?}");
    act(&fake, "emailrules_delete", json!({"account_id": "a", "rule_id": "r", "confirm": true})).await.unwrap();
}

#[test]
fn rules_that_send_mail_away_or_destroy_it_ask() {
    let create = |actions: Value| json!({"account_id": "a", "display_name": "R", "conditions": {"sentToMe": true}, "actions": actions});
    for (actions, expected) in [
        (json!({"markAsRead": true, "delete": true}), false),
        (json!({"permanentDelete": false}), false),
        (json!({"permanentDelete": true}), true),
        (json!({"forwardTo": ["x@y.z"]}), true),
        (json!({"redirectTo": "x@y.z"}), true),
        (json!({"forwardAsAttachmentTo": [{"address": "x@y.z"}]}), true),
    ] {
        assert_eq!(asks("emailrules_create", create(actions.clone())), expected, "{actions}");
    }
    assert!(!asks("emailrules_update", json!({"account_id": "a", "rule_id": "r", "is_enabled": true})));
    assert!(asks("emailrules_delete", json!({"account_id": "a", "rule_id": "r"})));
}

/// What a call says is not all that a rule does: one that sends mail away asks whatever is changed of it.
#[tokio::test]
async fn a_change_of_a_rule_that_sends_mail_away_asks() {
    let change = async |given: Value, rule: Value| {
        let fake = Fake::answering([
            ("GET /me/mailFolders/inbox/messageRules/r", rule.clone()),
            ("PATCH /me/mailFolders/inbox/messageRules/r", rule),
        ]);
        let mut all = json!({"account_id": "a", "rule_id": "r"});
        all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        let asked = act(&fake, "emailrules_update", all).await.is_err_and(|error| error.is_unconfirmed());
        let patched = fake.requests().iter().any(|request| request.method == crate::graph::Method::Patch);
        assert_ne!(asked, patched, "{given}: it is either asked or done");
        (asked, fake.requests().len())
    };
    let harmless = json!({"id": "r", "actions": {"markAsRead": true, "forwardTo": []}});
    for given in [
        json!({"is_enabled": true}),
        json!({"conditions": {"sentToMe": true}}),
        json!({"exceptions": {"sentToMe": true}, "display_name": "x"}),
        json!({"sequence": 1}),
    ] {
        assert_eq!(change(given.clone(), rule()).await, (true, 1), "{given}");
        assert_eq!(change(given.clone(), json!({"actions": {"permanentDelete": true}})).await, (true, 1), "{given}");
        assert_eq!(change(given.clone(), harmless.clone()).await, (false, 2), "{given}");
        let mut agreed = given.clone();
        agreed["confirm_token"] = "t".into();
        assert_eq!(change(agreed, rule()).await, (false, 1), "{given}");
    }
    for given in [
        json!({"is_enabled": false}),
        json!({"display_name": "x"}),
        json!({"is_enabled": false, "conditions": {"sentToMe": true}}),
        json!({"actions": {"markAsRead": true}}),
    ] {
        assert_eq!(change(given.clone(), rule()).await, (false, 1), "{given}: it is not looked at");
    }
}

/// The six predicates the original takes and Graph does not have, and its flags.
#[test]
fn predicates_graph_does_not_have_are_refused_by_name() {
    let check = |conditions: Value| {
        let given = json!({"account_id": "a", "display_name": "R", "conditions": conditions, "actions": {"delete": true}});
        Checked::check(find("emailrules_create").unwrap(), given.as_object().unwrap())
    };
    for (name, meant) in [
        ("senderAddressContains", Some("senderContains")),
        ("recipientAddressContains", Some("recipientContains")),
        ("headers", None),
        ("searchTerms", None),
        ("stopProcessingRules", None),
        ("meetingMessageType", None),
    ] {
        let error = check(json!({ name: ["x"] })).unwrap_err();
        assert!(error.to_string().contains(&format!("conditions.{name}")), "{error}");
        if let Some(meant) = meant {
            assert_eq!(error.hint().unwrap(), format!("Did you mean `{meant}`?"));
        }
    }
    assert!(check(json!({"messageActionFlag": "flagged"})).is_err());
    assert!(check(json!({"messageActionFlag": "followUp", "isVoicemail": true})).is_ok());
}

#[tokio::test]
async fn what_graph_refuses_is_an_error() {
    let fake = Fake::new(|_| Some(Err(refusal(404, "ErrorItemNotFound"))));
    for (tool, given) in [
        ("emailrules_update", json!({"account_id": "a", "rule_id": "r", "sequence": 3})),
        ("emailrules_delete", json!({"account_id": "a", "rule_id": "r", "confirm": true})),
    ] {
        assert_eq!(act(&fake, tool, given).await.unwrap_err().status, Some(404), "{tool}");
    }
}
