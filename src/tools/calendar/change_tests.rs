use super::*;
use crate::{
    graph::Method,
    tools::{
        Does,
        fake::{Fake, act, args},
        find,
    },
};

fn touches(tool: &str, given: Value) -> Vec<Touch> {
    match find(tool).unwrap().does {
        Does::Write { touches, .. } => touches(&args(tool, given).unwrap()),
        _ => panic!("{tool} is not a write"),
    }
}

/// A mailbox in Berlin; what is sent comes back with an id.
fn berlin(event: Value) -> Fake {
    Fake::new(move |request| {
        let sent = || request.body.clone().unwrap_or_default();
        Some(Ok(match (request.method, request.path.as_str()) {
            (_, "/me/mailboxSettings/timeZone") => json!({"value": "W. Europe Standard Time"}),
            (Method::Get, _) => event.clone(),
            (Method::Post, _) => {
                let mut made = sent();
                made["id"] = "new".into();
                made["@odata.etag"] = "e".into();
                made["body"] = json!({"content": "x"});
                made
            }
            _ => sent(),
        }))
    })
}

fn sent(fake: &Fake) -> Value {
    fake.requests().iter().rev().find(|request| request.method != Method::Get).and_then(|request| request.body.clone()).unwrap()
}

async fn create(given: Value) -> (Fake, Result<Written, StepError>) {
    let mut all = json!({"account_id": "a", "subject": "Lunch", "start": "2026-11-20T12:00", "end": "2026-11-20T13:00"});
    all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    let fake = berlin(Value::Null);
    let written = act(&fake, "calendar_create_event", all).await;
    (fake, written)
}

#[tokio::test]
async fn an_event_is_made_in_the_mailboxes_zone_and_once() {
    let (fake, written) = create(json!({"location": "Harry's", "body": "Noon?", "attendees": "Ada@x.org"})).await;
    let written = written.unwrap();
    let body = sent(&fake);
    assert_eq!(body["start"], json!({"dateTime": "2026-11-20T12:00:00", "timeZone": "W. Europe Standard Time"}));
    assert_eq!(body["location"], json!({"displayName": "Harry's"}));
    assert_eq!(body["body"], json!({"contentType": "text", "content": "Noon?"}));
    assert_eq!(body["attendees"], json!([{"emailAddress": {"address": "ada@x.org"}, "type": "required"}]));
    assert_eq!(body["transactionId"].as_str().unwrap().len(), 36);
    let post = fake.requests().into_iter().find(|request| request.method == Method::Post).unwrap();
    assert_eq!((post.path.as_str(), post.idempotent), ("/me/events", false));
    assert_eq!(written.answer["start"]["local"], "2026-11-20T12:00:00+01:00");
    assert!(written.answer.get("body").is_none() && written.answer.get("@odata.etag").is_none());
    assert_eq!(written.learned, [("new".to_owned(), vec![Scope::calendar("default")])]);
    assert!(written.late, "the invitation shows in Sent Items later");
}

#[tokio::test]
async fn an_event_may_live_in_another_calendar_and_mailbox_and_zone() {
    let given = json!({"calendar_id": "C/1", "mailbox": "team@x.org", "timezone": "America/New_York", "is_online_meeting": true,
        "body": "<p>x</p>", "body_type": "html"});
    let (fake, written) = create(given.clone()).await;
    let body = sent(&fake);
    assert_eq!(body["start"]["timeZone"], "Eastern Standard Time");
    assert_eq!((&body["isOnlineMeeting"], &body["body"]["contentType"]), (&json!(true), &json!("html")));
    assert_eq!(fake.log().last().unwrap(), "POST /users/team%40x.org/calendars/C%2F1/events");
    let written = written.unwrap();
    assert_eq!((written.late, &written.learned[0].1), (false, &vec![Scope::calendar("C/1")]));
    let mut all = given;
    all.as_object_mut().unwrap().extend(
        json!({"account_id": "a", "subject": "s", "start": "2026-11-20T12:00", "end": "2026-11-20T13:00"}).as_object().unwrap().clone(),
    );
    let touched = touches("calendar_create_event", all);
    assert_eq!(touched, [Touch::Scope(Scope::calendar("C/1")), Touch::Scope(Scope::moves(Service::Calendar))]);
}

#[tokio::test]
async fn all_day_events_are_sent_as_days_and_series_with_their_zone() {
    let days = json!({"start": "2026-11-20", "end": "2026-11-22", "is_all_day": true});
    let (fake, written) = create(days).await;
    let body = sent(&fake);
    assert_eq!((&body["isAllDay"], &body["start"]["dateTime"]), (&json!(true), &json!("2026-11-20T00:00:00")));
    let written = written.unwrap().answer;
    assert_eq!((&written["start"]["date"], &written["days"]), (&json!("2026-11-20"), &json!(2)));

    // 23:30 UTC is the next day in Berlin, and the series repeats on that one.
    let series = json!({"start": "2026-11-20T23:30Z", "end": "2026-11-21T00:30Z", "recurrence": {"type": "weekly"}});
    let (fake, written) = create(series).await;
    written.unwrap();
    let body = sent(&fake);
    assert_eq!(body["start"], json!({"dateTime": "2026-11-21T00:30:00", "timeZone": "W. Europe Standard Time"}));
    assert_eq!(body["recurrence"]["pattern"]["daysOfWeek"], json!(["saturday"]));
    assert_eq!(body["recurrence"]["range"]["startDate"], "2026-11-21");
    assert_eq!(body["recurrence"]["range"]["recurrenceTimeZone"], "W. Europe Standard Time");
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_it_is_sent() {
    for (given, why) in [
        (json!({"end": "2026-11-20T12:00"}), "before end"),
        (json!({"start": "2026-11-20"}), "date alone"),
        (json!({"is_all_day": true}), "midnight"),
        (json!({"recurrence": {"type": "relativeMonthly"}}), "index"),
    ] {
        let (fake, written) = create(given.clone()).await;
        assert!(written.unwrap_err().message.contains(why), "{given}");
        assert!(fake.requests().iter().all(|request| request.method == Method::Get), "{given}");
    }
    // Nobody knows the zone.
    let nowhere = Fake::answering([("POST /me/events", json!({"id": "new"}))]);
    let event = |start: &str, end: &str| json!({"account_id": "a", "subject": "s", "start": start, "end": end});
    let error = act(&nowhere, "calendar_create_event", event("2026-11-20T12:00", "2026-11-20T13:00")).await.unwrap_err();
    assert_eq!(error.code, "timezone_needed");
    act(&nowhere, "calendar_create_event", event("2026-11-20T12:00Z", "2026-11-20T13:00Z")).await.unwrap();
    assert_eq!(sent(&nowhere)["start"], json!({"dateTime": "2026-11-20T12:00:00", "timeZone": "UTC"}));
}

#[tokio::test]
async fn the_same_words_at_another_time_are_another_transaction() {
    let given = json!({"account_id": "a", "subject": "s", "start": "2026-11-20T12:00Z", "end": "2026-11-20T13:00Z"});
    let id_at = async |now: i64, given: &Value| {
        let fake = berlin(Value::Null).at(Timestamp(now));
        act(&fake, "calendar_create_event", given.clone()).await.unwrap();
        sent(&fake)["transactionId"].clone()
    };
    let mut other = given.clone();
    other["subject"] = "t".into();
    assert_eq!(id_at(1, &given).await, id_at(1, &given).await);
    assert_ne!(id_at(1, &given).await, id_at(2, &given).await);
    assert_ne!(id_at(1, &given).await, id_at(1, &other).await);
}

/// 9 to 10 in New York, where it lives; the mailbox is in Berlin.
fn event(attendees: Value) -> Value {
    let time = |at: &str| json!({"dateTime": at, "timeZone": "UTC"});
    json!({"id": "e", "isOrganizer": true, "isAllDay": false, "attendees": attendees, "originalStartTimeZone": "Eastern Standard Time",
        "start": time("2026-11-20T14:00:00.0000000"), "end": time("2026-11-20T15:00:00.0000000")})
}

async fn update(event: Value, updates: Value, token: Option<&str>) -> (Fake, Result<Written, StepError>) {
    let fake = berlin(event);
    let written =
        act(&fake, "calendar_update_event", json!({"account_id": "a", "event_id": "e", "updates": updates, "confirm_token": token})).await;
    (fake, written)
}

#[tokio::test]
async fn times_are_read_by_the_mailboxes_clocks_and_kept_in_the_events_zone() {
    let (fake, written) = update(event(json!([])), json!({"start": "2026-11-20T14:30"}), None).await;
    let written = written.unwrap();
    assert_eq!(sent(&fake), json!({"start": {"dateTime": "2026-11-20T08:30:00", "timeZone": "Eastern Standard Time"}}));
    assert_eq!(written.answer["start"]["local"], "2026-11-20T14:30:00+01:00");
    assert!(fake.requests().last().unwrap().idempotent && !written.late);
    let named = json!({"start": "2026-11-20T08:00", "end": "2026-11-20T09:00", "timezone": "Asia/Tokyo"});
    let (fake, written) = update(event(json!([])), named, None).await;
    assert_eq!(sent(&fake)["end"], json!({"dateTime": "2026-11-20T09:00:00", "timeZone": "Tokyo Standard Time"}));
    assert_eq!(written.unwrap().answer["timezone"], "Asia/Tokyo");
}

#[tokio::test]
async fn an_all_day_event_moves_by_days() {
    let time = |day: &str| json!({"dateTime": format!("{day}T00:00:00.0000000"), "timeZone": "UTC"});
    let mut fair = event(json!([]));
    fair["isAllDay"] = true.into();
    (fair["start"], fair["end"]) = (time("2026-11-20"), time("2026-11-21"));
    let (fake, written) = update(fair.clone(), json!({"end": "2026-11-23"}), None).await;
    written.unwrap();
    assert_eq!(
        sent(&fake),
        json!({"start": {"dateTime": "2026-11-20T00:00:00", "timeZone": "Eastern Standard Time"},
            "end": {"dateTime": "2026-11-23T00:00:00", "timeZone": "Eastern Standard Time"}})
    );
    let (_, refused) = update(fair, json!({"start": "2026-11-20T10:00"}), None).await;
    assert!(refused.unwrap_err().message.contains("midnight"));
}

#[tokio::test]
async fn the_update_of_a_meeting_asks_and_that_of_an_own_event_does_not() {
    let bob = json!([{"emailAddress": {"address": "Bob@x.org", "name": "Bob"}, "type": "optional", "status": {"response": "none"}}]);
    let (fake, asked) = update(event(bob.clone()), json!({"subject": "s"}), None).await;
    assert!(asked.unwrap_err().is_unconfirmed());
    assert!(fake.requests().iter().all(|request| request.method == Method::Get), "nothing was sent");
    let (fake, written) = update(event(bob.clone()), json!({"attendees": ["bob@x.org", "eve@x.org"]}), Some("agreed")).await;
    assert!(written.unwrap().late);
    assert_eq!(
        sent(&fake)["attendees"],
        json!([{"emailAddress": {"address": "bob@x.org"}, "type": "optional"}, {"emailAddress": {"address": "eve@x.org"}, "type": "required"}])
    );
    assert!(!fake.requests().last().unwrap().idempotent, "nobody gets word twice");
    // Somebody else's meeting: only the own copy changes.
    let mut theirs = event(bob);
    theirs["isOrganizer"] = false.into();
    update(theirs, json!({"subject": "s"}), None).await.1.unwrap();

    let tool = find("calendar_update_event").unwrap();
    let asks = |updates: Value| {
        tool.asks_for(&args("calendar_update_event", json!({"account_id": "a", "event_id": "e", "updates": updates})).unwrap())
    };
    assert!(asks(json!({"attendees": []})) && !asks(json!({"subject": "s"})));
    let tool = find("calendar_create_event").unwrap();
    let asks = |who: Value| {
        let given = json!({"account_id": "a", "subject": "s", "start": "2026-11-20", "end": "2026-11-21", "attendees": who});
        tool.asks_for(&args("calendar_create_event", given).unwrap())
    };
    assert!(asks(json!("a@b.c")) && !asks(Value::Null) && !asks(json!([])));
}

#[tokio::test]
async fn updates_are_checked_against_what_is_there() {
    for (updates, why) in [
        (json!({"timezone": "UTC"}), "start or end only"),
        (json!({"start": "2026-11-20T16:00"}), "before end"),
        (json!({"end": "2026-11-20"}), "date alone"),
    ] {
        let (fake, written) = update(event(json!([])), updates.clone(), None).await;
        assert!(written.unwrap_err().message.contains(why), "{updates}");
        assert!(fake.requests().iter().all(|request| request.method == Method::Get), "{updates}");
    }
    for wrong in [json!({}), json!({"colour": "red"}), json!({"subject": ""}), json!({"start": "soon"})] {
        assert!(args("calendar_update_event", json!({"account_id": "a", "event_id": "e", "updates": wrong})).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_rest_of_an_update_is_sent_as_it_is_and_a_silent_reply_is_a_success() {
    let updates = json!({"subject": "s", "location": "", "body": "b"});
    let (fake, _) = update(event(json!([])), updates, None).await;
    assert_eq!(sent(&fake), json!({"subject": "s", "location": {"displayName": ""}, "body": {"contentType": "text", "content": "b"}}));
    let silent = Fake::answering([("GET /me/events/e", event(json!([]))), ("PATCH /me/events/e", Value::Null)]);
    let given = json!({"account_id": "a", "event_id": "e", "updates": {"subject": "s"}});
    assert_eq!(act(&silent, "calendar_update_event", given).await.unwrap().answer, json!({"status": "updated"}));
}

/// When the reply is lost, this is all that is known: the event where it is, and what a meeting leaves in Sent Items.
#[test]
fn a_lost_reply_still_touches_all_that_may_have_changed() {
    let touched = touches("calendar_update_event", json!({"account_id": "a", "event_id": "e", "updates": {"subject": "s"}}));
    for scope in [Scope::messages("name:sentitems"), Scope::messages("by-id"), Scope::folders(), Scope::any(Service::Mail)] {
        assert!(touched.contains(&Touch::Scope(scope.clone())), "{scope:?}");
    }
    assert!(touched.contains(&Touch::Item("e".into())));
}
