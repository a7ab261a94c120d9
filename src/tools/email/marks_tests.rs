use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    graph::Method,
    tools::{
        ArgError,
        fake::{Fake, act, args, refusal},
    },
};

fn given(updates: Value) -> Value {
    json!({"email_id": "m", "account_id": "x", "updates": updates})
}

fn fake() -> Fake {
    Fake::answering([("PATCH /me/messages/m", json!({"id": "m", "parentFolderId": "F", "body": {}}))])
}

#[tokio::test]
async fn an_update_sends_what_was_given_in_graphs_words() {
    let fake = fake();
    let moment = |at: &str, zone: &str| json!({"dateTime": at, "timeZone": zone});
    let updates = json!({
        "importance": "HIGH",
        "categories": ["Red"],
        "flag": {
            "flagStatus": "flagged",
            "startDateTime": moment("2026-11-20T09:00:00", "Europe/Berlin"),
            "dueDateTime": {"dateTime": "2026-11-21T09:00:00-05:00"},
        },
    });
    let written = act(&fake, "email_update", given(updates)).await.unwrap();
    assert_eq!(written.learned, [("m".into(), vec![Scope::messages("F")])]);
    let asked = &fake.requests()[0];
    assert!(asked.idempotent);
    assert_eq!(
        asked.body,
        Some(json!({
            "categories": ["Red"],
            "importance": "high",
            "flag": {
                "flagStatus": "flagged",
                "startDateTime": moment("2026-11-20T09:00:00", "W. Europe Standard Time"),
                "dueDateTime": moment("2026-11-21T14:00:00", "UTC"),
            },
        }))
    );
}

#[tokio::test]
async fn what_graph_would_refuse_is_refused_first() {
    let refused = |updates: Value| args("email_update", given(updates)).unwrap_err();
    assert!(matches!(refused(json!({})), ArgError::Invalid { .. }));
    assert!(matches!(refused(json!({"subject": "x"})), ArgError::Unknown { .. }));
    assert!(matches!(refused(json!({"importance": "urgent"})), ArgError::Invalid { .. }));
    assert!(matches!(refused(json!({"flag": {"dueDateTime": {}}})), ArgError::Missing { .. }));
    let fake = fake();
    let due = json!({"flag": {"flagStatus": "flagged", "dueDateTime": {"dateTime": "2026-11-21"}}});
    assert_eq!(act(&fake, "email_update", given(due)).await.unwrap_err().code, "invalid_argument");
    let skipped =
        json!({"flag": {"flagStatus": "flagged", "startDateTime": {"dateTime": "2026-03-29T02:30:00", "timeZone": "Europe/Berlin"}}});
    assert_eq!(act(&fake, "email_update", given(skipped)).await.unwrap_err().code, "invalid_argument");
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn only_reading_touches_the_counts_of_folders() {
    let touches = |updates: Value| update_touches(&args("email_update", given(updates)).unwrap());
    assert_eq!(touches(json!({"importance": "low"})), [Touch::Mark("m".into())]);
    assert_eq!(touches(json!({"isRead": true})), [Touch::Mark("m".into()), Touch::Marked(Scope::folders())]);
    let both = touches(json!({"isRead": true, "categories": ["a"]}));
    assert_eq!(both, [Touch::Item("m".into()), Touch::Marked(Scope::folders())], "the name of a category is a word");
}

#[tokio::test]
async fn a_flag_is_set_and_taken_away() {
    let fake = fake();
    act(&fake, "email_flag", json!({"email_id": "m", "account_id": "x"})).await.unwrap();
    act(&fake, "email_flag", json!({"email_id": "m", "account_id": "x", "flag_status": "NotFlagged"})).await.unwrap();
    let sent: Vec<_> = fake.requests().iter().map(|request| request.body.clone().unwrap()["flag"]["flagStatus"].clone()).collect();
    assert_eq!(sent, ["flagged", "notFlagged"]);
}

#[tokio::test]
async fn categories_are_added_to_those_there_are() {
    let tries = AtomicUsize::new(0);
    let fake = Fake::new(move |request| {
        let before = if tries.load(Ordering::Relaxed) == 0 { json!(["Red"]) } else { json!(["Red", "Green"]) };
        Some(match request.method {
            Method::Get => Ok(json!({"@odata.etag": "e", "id": "m", "categories": before, "parentFolderId": "F"})),
            // Somebody else adds Green in between.
            _ if tries.fetch_add(1, Ordering::Relaxed) == 0 => Err(refusal(412, "changed")),
            _ => Ok(json!({"id": "m", "categories": request.body.as_ref().unwrap()["categories"], "parentFolderId": "F"})),
        })
    });
    let asked = json!({"email_id": "m", "account_id": "x", "categories": ["red", "Blue"]});
    let written = act(&fake, "email_add_category", asked).await.unwrap();
    assert_eq!(written.answer["categories"], json!(["Red", "Green", "Blue"]));
    assert_eq!(fake.requests()[3].headers, [("If-Match", "e".to_owned())]);
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn categories_that_are_there_change_nothing_and_endless_conflicts_end() {
    let there = Fake::answering([("GET /me/messages/m", json!({"id": "m", "categories": ["Red"]}))]);
    let asked = json!({"email_id": "m", "account_id": "x", "categories": "RED"});
    act(&there, "email_add_category", asked.clone()).await.unwrap();
    assert_eq!(there.requests().len(), 1);
    let busy = Fake::new(|request| Some(if request.method == Method::Get { Ok(json!({"id": "m"})) } else { Err(refusal(412, "x")) }));
    assert_eq!(act(&busy, "email_add_category", asked).await.unwrap_err().status, Some(412));
    assert_eq!(busy.requests().len(), 6);
}

#[tokio::test]
async fn an_addition_that_may_have_happened_is_never_called_a_refusal() {
    // The reply to the first attempt is lost, and its repeat finds the message changed. Then this fails: the look at it, or the next attempt.
    for broken in [2, 3] {
        let asked = AtomicUsize::new(0);
        let fake = Fake::new(move |request| {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            Some(match request.method {
                _ if number == broken => Err(refusal(403, "no")),
                Method::Get => Ok(json!({"@odata.etag": "e", "id": "m", "categories": ["Red"]})),
                _ => Err(StepError { unknown_outcome: true, ..refusal(412, "changed") }),
            })
        });
        let error = act(&fake, "email_add_category", json!({"email_id": "m", "account_id": "x", "categories": "Blue"})).await.unwrap_err();
        assert!(error.unknown_outcome && !error.is_refusal(), "{broken}: {error:?}");
        assert_eq!(fake.requests().len(), broken + 1);
    }
}
