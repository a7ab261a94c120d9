//! Accounts.

use m365_cached_checks::support::world::{ALEX, BEA, CASEY};
use m365_cached_tenant::{DeviceAction, Effect, Fault, Port};
use serde_json::{Value, json};

use super::{
    desk::{Desk, each},
    row::{Fails, Row, try_all},
};

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "account_list",
        works: list,
        wrong: &[(r#"{"account": "x"}"#, "unknown_argument")],
        fails: Fails::Own(|desk| {
            let before = desk.world.control().stats().requests;
            desk.done("account_list", json!({}));
            assert_eq!(desk.world.control().stats().requests, before, "it asks nobody");
        }),
    },
    Row {
        tool: "account_authenticate",
        works: authenticate,
        wrong: &[(r#"{"personal": "perhaps"}"#, "invalid_argument"), (r#"{"username": "x"}"#, "unknown_argument")],
        fails: Fails::Own(authenticate_fails),
    },
    Row {
        tool: "account_complete_auth",
        works: complete,
        wrong: &[("{}", "missing_argument"), (r#"{"flow_cache": ""}"#, "invalid_argument")],
        fails: Fails::Own(complete_fails),
    },
    Row {
        tool: "account_remove",
        works: remove,
        wrong: &[(r#"{"account_id": ""}"#, "invalid_argument"), (r#"{"confirm": "yes"}"#, "invalid_argument")],
        fails: Fails::Own(remove_fails),
    },
];

#[test]
fn each_account_tool_works_refuses_and_fails_as_it_should() {
    try_all(&[], ROWS);
}

fn names(desk: &mut Desk) -> Vec<String> {
    let list = desk.seen("account_list", json!({}));
    let mut names: Vec<String> = each(list["accounts"].as_array().unwrap(), "username").into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn list(desk: &mut Desk) {
    let answer = desk.done("account_list", json!({}));
    assert_eq!(answer["accounts"][0]["account_type"], "work_school");
    assert_eq!(names(desk), [ALEX, BEA]);
}

/// Begins a sign-in; the code a person enters, and the handle.
fn begin(desk: &mut Desk) -> (String, Value) {
    let begun = desk.done("account_authenticate", json!({"personal": true}));
    assert_eq!(begun["status"], "authentication_required");
    assert!(begun["verification_url"].as_str().unwrap().starts_with("http"), "{begun}");
    let code = begun["device_code"].as_str().unwrap().to_owned();
    (code, json!({"flow_cache": begun["_flow_cache"]}))
}

fn authenticate(desk: &mut Desk) {
    let (code, handle) = begin(desk);
    desk.keep("code", &json!(code));
    desk.keep("handle", &handle["flow_cache"]);
    assert_eq!(names(desk).len(), 2, "nobody is signed in yet");
}

fn authenticate_fails(desk: &mut Desk) {
    let broken = Effect::Status { status: 400, code: "invalid_client".into(), message: None, retry_after: None };
    desk.world.control().fault(Fault { port: Port::Identity, ..Fault::always("devicecode", broken) });
    let code = desk.refused("account_authenticate", &json!({}));
    desk.world.control().clear_faults(None);
    assert!(code.contains("sign_in") || code.contains("identity"), "{code}");
    assert_eq!(names(desk).len(), 2);
}

fn complete(desk: &mut Desk) {
    let handle = json!({"flow_cache": desk.kept("handle")});
    assert_eq!(desk.done("account_complete_auth", handle.clone())["status"], "pending");
    desk.world.control().device(&desk.kept("code"), Some(CASEY), DeviceAction::Approve).unwrap();
    let mut answer = desk.done("account_complete_auth", handle.clone());
    while answer["status"] == "pending" {
        answer = desk.done("account_complete_auth", handle.clone());
    }
    assert_eq!((&answer["status"], &answer["username"], &answer["account_type"]), (&json!("success"), &json!(CASEY), &json!("personal")));
    assert_eq!(names(desk), [ALEX, BEA, CASEY]);
    let mail = desk.seen("email_list", json!({"account_id": answer["account_id"]}));
    assert!(!mail["messages"].as_array().unwrap().is_empty());
}

/// The person declines; and a handle nobody gave out is none.
fn complete_fails(desk: &mut Desk) {
    let (code, handle) = begin(desk);
    desk.world.control().device(&code, None, DeviceAction::Decline).unwrap();
    let answer = loop {
        let answer = desk.call("account_complete_auth", &handle);
        if answer.json().is_ok_and(|answer| answer["status"] == "pending") {
            continue;
        }
        break answer;
    };
    let (code, message, _) = answer.fault().unwrap();
    assert!(code.contains("declined"), "{code}: {message}");
    assert_ne!(desk.refused("account_complete_auth", &json!({"flow_cache": "made-up"})), "internal");
    assert_eq!(names(desk), [ALEX, BEA, CASEY]);
}

fn remove(desk: &mut Desk) {
    desk.seen("email_list", json!({"account_id": CASEY}));
    let gone = desk.done("account_remove", json!({"account_id": CASEY}));
    assert_eq!((&gone["status"], &gone["username"]), (&json!("removed"), &json!(CASEY)));
    assert!(gone["entries_deleted"].as_u64().unwrap() >= 1, "{gone}");
    assert_eq!(names(desk), [ALEX, BEA]);
    assert_eq!(desk.refused("email_list", &json!({"account_id": CASEY})), "unknown_account");
}

fn remove_fails(desk: &mut Desk) {
    assert_eq!(desk.refused("account_remove", &json!({"account_id": CASEY})), "unknown_account");
    assert_eq!(names(desk), [ALEX, BEA]);
}
