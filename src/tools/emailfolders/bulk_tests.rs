use super::*;
use crate::{
    graph::Method,
    tools::fake::{Fake, act, named, refusal},
};

/// A folder of `count` messages; every one whose number is in `bad` is refused with that status, and may have been done if Graph is to blame.
fn folder(count: usize, bad: &'static [(usize, u16)]) -> Fake {
    Fake::new(move |request| {
        Some(match request.method {
            Method::Get => {
                let from = request.path.split_once("?skip=").map_or(0, |(_, from)| from.parse().unwrap());
                let to = (from + 400).min(count);
                let items: Vec<Value> = (from..to).map(|at| json!({"id": format!("m{at}")})).collect();
                let page = json!({"value": items});
                let next = json!({"value": items, "@odata.nextLink": format!("/next?skip={to}")});
                Ok(if to < count { next } else { page })
            }
            _ => {
                let number = named(request).rsplit('m').next().unwrap().parse::<usize>().unwrap();
                match bad.iter().find(|(at, _)| *at == number) {
                    Some((_, status)) => Err(StepError { unknown_outcome: *status >= 500, ..refusal(*status, "no") }),
                    None => Ok(Value::Null),
                }
            }
        })
    })
}

#[tokio::test]
async fn all_messages_are_marked_and_only_ids_are_read() {
    let fake = folder(450, &[]);
    let written = act(&fake, "emailfolders_mark_all_as_read", json!({"account_id": "a", "folder_id": "Inbox"})).await.unwrap();
    let expected = json!({"status": "completed", "folder_id": "inbox", "messages_marked_read": 450, "failed_count": 0, "failed": [], "complete": true});
    assert_eq!(written.answer, expected);
    assert_eq!(fake.log()[0], "GET /me/mailFolders/inbox/messages?$select=id&$top=1000&$filter=isRead%20eq%20false");
    let marks: Vec<_> = fake.requests().into_iter().filter(|request| request.method == Method::Patch).collect();
    assert!(marks.len() == 450 && marks.iter().all(|mark| mark.idempotent && mark.body == Some(json!({"isRead": true}))));
}

#[tokio::test]
async fn failures_are_told_item_by_item_and_what_is_left_is_said() {
    let fake = folder(1_300, &[(3, 403), (4, 404), (999, 500)]);
    let written = act(&fake, "emailfolders_empty", json!({"account_id": "a", "folder_id": "F", "confirm": true})).await.unwrap();
    assert_eq!(written.answer["status"], "partial");
    assert_eq!(written.answer["messages_deleted"], 998, "one that is gone already counts as deleted");
    assert_eq!((&written.answer["failed_count"], &written.answer["complete"]), (&json!(2), &json!(false)));
    assert_eq!(written.answer["failed"][0]["id"], "m3");
    assert_eq!(written.answer["failed"][1]["id"], "m999");
    assert!(!fake.log()[0].contains("filter"));
}

#[tokio::test]
async fn when_none_could_be_done_it_is_an_error() {
    let fake = folder(2, &[(0, 403), (1, 403)]);
    let error = act(&fake, "emailfolders_empty", json!({"account_id": "a", "folder_id": "F", "confirm": true})).await.unwrap_err();
    assert_eq!(error.status, Some(403));
    let fake = folder(2, &[(0, 504), (1, 504)]);
    let error = act(&fake, "emailfolders_empty", json!({"account_id": "a", "folder_id": "F", "confirm": true})).await.unwrap_err();
    assert!(error.unknown_outcome && !error.is_refusal());
    let none = act(&folder(0, &[]), "emailfolders_empty", json!({"account_id": "a", "folder_id": "F", "confirm": true})).await.unwrap();
    assert_eq!((&none.answer["messages_deleted"], &none.answer["complete"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn one_that_may_be_done_is_not_hidden_behind_one_that_was_refused() {
    let fake = folder(2, &[(0, 403), (1, 504)]);
    let written = act(&fake, "emailfolders_empty", json!({"account_id": "a", "folder_id": "F", "confirm": true})).await.unwrap();
    assert_eq!((&written.answer["status"], &written.answer["messages_deleted"]), (&json!("partial"), &json!(0)));
    let told: Vec<_> = written.answer["failed"].as_array().unwrap().iter().map(|one| (&one["id"], &one["code"])).collect();
    assert_eq!(told, [(&json!("m0"), &json!("refused")), (&json!("m1"), &json!("outcome_unknown"))]);
    assert!(written.late, "it may still take effect");
}
