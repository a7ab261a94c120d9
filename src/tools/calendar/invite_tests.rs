use super::*;
use crate::tools::{
    fake::{Fake, act, args, refusal},
    find,
};

fn invitation(changes: Value) -> Fake {
    let mut event = json!({"id": "e", "isOrganizer": false, "responseRequested": true, "allowNewTimeProposals": true});
    event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Fake::new(move |request| {
        Some(match request.path.as_str() {
            "/me/events/e" => Ok(event.clone()),
            "/me/mailboxSettings/timeZone" => Ok(json!({"value": "Europe/Berlin"})),
            "/me/events/e/accept"
            | "/me/events/e/decline"
            | "/me/events/e/tentativelyAccept"
            | "/me/events/e/forward"
            | "/users/team%40x.org/events/e/forward" => Ok(Value::Null),
            _ => return None,
        })
    })
}

async fn respond(fake: &Fake, given: Value) -> Result<Written, StepError> {
    let mut all = json!({"account_id": "a", "event_id": "e"});
    all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    act(fake, "calendar_respond_event", all).await
}

#[tokio::test]
async fn each_answer_goes_its_way_in_any_spelling() {
    for (given, path, status) in [
        (json!({}), "accept", "accept"),
        (json!({"response": "DECLINE"}), "decline", "decline"),
        (json!({"response": "tentative"}), "tentativelyAccept", "tentativelyAccept"),
        (json!({"response": "TentativelyAccept"}), "tentativelyAccept", "tentativelyAccept"),
    ] {
        let fake = invitation(json!({}));
        let written = respond(&fake, given.clone()).await.unwrap();
        assert_eq!(fake.log()[1], format!("POST /me/events/e/{path}"));
        assert_eq!(written.answer, json!({"status": status, "organizer_told": true}));
        assert_eq!(written.learned.is_empty(), path != "decline", "a declined meeting leaves the calendar");
        assert_eq!(fake.requests()[1].body, Some(json!({"sendResponse": true})));
        assert!(written.late && !fake.requests()[1].idempotent);
    }
    assert!(args("calendar_respond_event", json!({"account_id": "a", "event_id": "e", "response": "maybe"})).is_err());
    let fake = invitation(json!({}));
    respond(&fake, json!({"message": "Sorry"})).await.unwrap();
    assert_eq!(fake.requests()[1].body, Some(json!({"sendResponse": true, "comment": "Sorry"})));
}

#[tokio::test]
async fn an_own_meeting_is_not_answered_and_one_without_answers_is_answered_silently() {
    let own = invitation(json!({"isOrganizer": true}));
    let error = respond(&own, json!({})).await.unwrap_err();
    assert_eq!((error.code, own.requests().len()), ("own_meeting", 1));
    let silent = invitation(json!({"responseRequested": false}));
    let written = respond(&silent, json!({})).await.unwrap();
    assert_eq!((&written.answer["organizer_told"], written.late), (&json!(false), true), "the invitation leaves the inbox");
    assert_eq!(silent.requests()[1].body, Some(json!({"sendResponse": false})));
    assert_eq!(respond(&silent, json!({"message": "x"})).await.unwrap_err().code, "no_response_wanted");
    let gone = Fake::new(|_| Some(Err(refusal(404, "ErrorItemNotFound"))));
    assert_eq!(respond(&gone, json!({})).await.unwrap_err().status, Some(404));
}

#[tokio::test]
async fn a_proposal_is_a_tentative_answer_with_a_time() {
    let given =
        |start: &str, end: &str| json!({"account_id": "a", "event_id": "e", "proposed_start": start, "proposed_end": end, "message": "m"});
    let fake = invitation(json!({}));
    let written = act(&fake, "calendar_propose_new_time", given("2026-11-20T12:00", "2026-11-20T12:00Z")).await.unwrap();
    assert_eq!(written.answer, json!({"status": "proposed_new_time"}));
    let sent = fake.requests().pop().unwrap();
    assert_eq!(sent.path, "/me/events/e/tentativelyAccept");
    let time = |at: &str| json!({"dateTime": at, "timeZone": "W. Europe Standard Time"});
    let slot = json!({"start": time("2026-11-20T12:00:00"), "end": time("2026-11-20T13:00:00")});
    assert_eq!(sent.body, Some(json!({"proposedNewTime": slot, "sendResponse": true, "comment": "m"})));
    for (event, start, code) in [
        (json!({}), "2026-11-20T14:00", "invalid_argument"),
        (json!({"isOrganizer": true}), "2026-11-20T12:00", "own_meeting"),
        (json!({"allowNewTimeProposals": false}), "2026-11-20T12:00", "no_proposals_wanted"),
    ] {
        let fake = invitation(event);
        let error = act(&fake, "calendar_propose_new_time", given(start, "2026-11-20T12:00Z")).await.unwrap_err();
        assert_eq!(error.code, code);
    }
}

#[tokio::test]
async fn a_forward_merges_cc_into_to() {
    let fake = invitation(json!({}));
    let given = json!({"account_id": "a", "event_id": "e", "to": "Ada@x.org", "cc": ["bob@x.org", "ada@X.org"], "message": "FYI",
        "confirm": true, "mailbox": "team@x.org"});
    let written = act(&fake, "calendar_forward_event", given).await.unwrap();
    assert_eq!(written.answer, json!({"status": "forwarded"}));
    let person = |address: &str| json!({"emailAddress": {"address": address}});
    let sent = fake.requests().pop().unwrap();
    assert_eq!(sent.path, "/users/team%40x.org/events/e/forward");
    assert_eq!(sent.body, Some(json!({"toRecipients": [person("ada@x.org"), person("bob@x.org")], "comment": "FYI"})));
    let many = |at: &str, count: usize| (0..count).map(|n| format!("p{n}@{at}.org")).collect::<Vec<_>>();
    let given = json!({"account_id": "a", "event_id": "e", "to": many("x", 400), "cc": many("y", 101), "confirm": true});
    assert!(act(&fake, "calendar_forward_event", given).await.unwrap_err().message.contains("500"));
}

#[test]
fn what_reaches_others_asks() {
    for name in ["calendar_respond_event", "calendar_propose_new_time", "calendar_forward_event", "calendar_delete_event"] {
        assert!(matches!(find(name).unwrap().asks, Asks::Always), "{name}");
    }
}
