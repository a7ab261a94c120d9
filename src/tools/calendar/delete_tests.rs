use super::*;
use crate::{
    graph::Method,
    tools::fake::{Fake, act, refusal},
};

async fn delete(event: Value, tell: bool) -> (Fake, Value, bool) {
    let fake = Fake::new(move |request| Some(Ok(if request.method == Method::Get { event.clone() } else { Value::Null })));
    let given = json!({"account_id": "a", "event_id": "e/1", "send_cancellation": tell, "confirm": true});
    let written = act(&fake, "calendar_delete_event", given).await.unwrap();
    assert_eq!(written.learned, [("e/1".to_owned(), vec![])]);
    (fake, written.answer, written.late)
}

fn event(organizer: bool, attendees: usize) -> Value {
    json!({"id": "e/1", "isOrganizer": organizer, "attendees": vec![json!({"type": "required"}); attendees], "responseRequested": true})
}

#[tokio::test]
async fn what_is_done_follows_from_what_the_account_is_to_the_event() {
    for (event, tell, request, action, told) in [
        (event(true, 2), true, "POST /me/events/e%2F1/cancel", "cancelled", true),
        (event(true, 0), true, "DELETE /me/events/e%2F1", "deleted", false),
        (event(false, 2), true, "POST /me/events/e%2F1/decline", "declined", true),
        (event(false, 2), false, "DELETE /me/events/e%2F1", "deleted", false),
        // Somebody else's meeting whose attendees are hidden is a meeting all the same.
        (event(false, 0), true, "POST /me/events/e%2F1/decline", "declined", true),
    ] {
        let label = format!("{event} {tell}");
        let (fake, answer, late) = delete(event, tell).await;
        assert_eq!(fake.log()[1], request, "{label}");
        assert_eq!(answer, json!({"status": "deleted", "action": action, "others_told": told}), "{label}");
        assert_eq!(late, told, "{label}");
    }
}

/// Exchange tells the attendees of a meeting that its organizer deletes, whatever was asked for (Graph documentation, *event: delete*).
#[tokio::test]
async fn a_meeting_of_ones_own_is_not_deleted_silently() {
    let fake = Fake::new(|request| Some(Ok(if request.method == Method::Get { event(true, 2) } else { Value::Null })));
    let given = json!({"account_id": "a", "event_id": "e/1", "send_cancellation": false, "confirm": true});
    let refused = act(&fake, "calendar_delete_event", given).await.unwrap_err();
    assert_eq!((refused.code, refused.is_refusal()), ("others_are_told", true));
    assert!(refused.hint.unwrap().contains("send_cancellation=true"));
    assert_eq!(fake.log().len(), 1, "it only looked");
}

/// Repeated after a lost reply it would find the event in Deleted Items and destroy it.
#[tokio::test]
async fn a_deletion_is_sent_once() {
    let (fake, ..) = delete(event(true, 0), true).await;
    assert!(!fake.requests()[1].idempotent);
}

/// The original sent no body at all, and so no content type that Graph takes.
#[tokio::test]
async fn a_cancellation_has_an_empty_json_body_and_is_sent_once() {
    let (fake, ..) = delete(event(true, 1), true).await;
    let cancel = &fake.requests()[1];
    assert_eq!((cancel.body.clone(), cancel.idempotent), (Some(json!({})), false));
    let (fake, ..) = delete(event(false, 1), true).await;
    assert_eq!(fake.requests()[1].body, Some(json!({"sendResponse": true})));
}

#[tokio::test]
async fn what_cannot_be_declined_is_deleted() {
    for (name, value) in [("isCancelled", true), ("responseRequested", false)] {
        let mut event = event(false, 1);
        event[name] = value.into();
        let (fake, answer, _) = delete(event, true).await;
        assert_eq!(fake.log()[1], "DELETE /me/events/e%2F1");
        assert_eq!(answer["others_told"], false);
    }
}

#[tokio::test]
async fn an_event_that_is_gone_before_is_an_error_and_after_a_lost_reply_is_none() {
    let nothing = Fake::answering([]);
    let given = json!({"account_id": "a", "event_id": "e", "confirm": true});
    assert_eq!(act(&nothing, "calendar_delete_event", given.clone()).await.unwrap_err().status, Some(404));
    let gone = Fake::answering([("GET /me/events/e", json!({"isOrganizer": true}))]);
    act(&gone, "calendar_delete_event", given.clone()).await.unwrap();
    let denied = Fake::new(|request| Some(if request.method == Method::Get { Ok(json!({})) } else { Err(refusal(403, "no")) }));
    assert_eq!(act(&denied, "calendar_delete_event", given).await.unwrap_err().status, Some(403));
}
