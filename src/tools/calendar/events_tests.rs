use super::*;
use crate::{
    cache::Scope,
    tools::{
        body::{HTML, TEXT},
        fake::{Fake, args, fetch, refusal},
        shape::UNTRUSTED,
    },
};
use serde_json::json;

/// 2026-11-20T08:59:59.999Z
const NOW: Timestamp = Timestamp(1_795_165_199_999);

fn one(id: &str, start: &str, series: Option<&str>) -> Value {
    let time = |at: &str| json!({"dateTime": at, "timeZone": "UTC"});
    json!({"@odata.etag": "e", "id": id, "subject": id, "start": time(start), "end": time(start), "isAllDay": false, "seriesMasterId": series})
}

fn all_day(id: &str, from: &str, to: &str) -> Value {
    let time = |day: &str| json!({"dateTime": format!("{day}T00:00:00.0000000"), "timeZone": "UTC"});
    json!({"id": id, "start": time(from), "end": time(to), "isAllDay": true})
}

fn berlin() -> Value {
    json!({"value": "W. Europe Standard Time"})
}

fn mailbox(events: Vec<Value>) -> Fake {
    Fake::answering([
        ("GET /me/calendar", json!({"id": "CAL"})),
        ("GET /me/mailboxSettings/timeZone", berlin()),
        ("GET /me/calendarView", json!({"value": events.clone()})),
        ("GET /me/calendars/CAL/calendarView", json!({"value": events.clone()})),
        ("GET /me/calendars/OTHER/calendarView", json!({"value": events})),
    ])
    .at(NOW)
}

fn ids(list: &Fetched) -> Vec<&str> {
    list.answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_agenda_brings_what_gets_would_fetch() {
    let mut first = one("a", "2026-11-20T09:00:00.0000000", Some("M"));
    first["body"] = json!({"contentType": "text", "content": "see you"});
    let fake = Fake::answering([
        ("GET /me/calendar", json!({"id": "CAL"})),
        ("GET /me/mailboxSettings/timeZone", berlin()),
        ("GET /me/calendarView", json!({"value": [first]})),
        ("GET /me/events/a", first),
    ])
    .at(NOW);
    for (given, brings) in [
        (json!({}), true),
        (json!({"days_ahead": 15}), false),
        (json!({"include_details": true}), false),
        (json!({"end": "2026-11-21"}), false),
    ] {
        let mut about = given.clone();
        about["account_id"] = "a".into();
        let list = fetch(&fake, "calendar_list_events", about).await.unwrap();
        let (today, gets): (Vec<_>, Vec<_>) = list.along.into_iter().partition(|along| along.tool == "calendar_list_events");
        assert_eq!((today.len(), gets.len()), (usize::from(brings), usize::from(brings)), "{given}");
        for along in today {
            let day = json!({"account_id": "a", "days_ahead": 1});
            assert_eq!(along.args, args("calendar_list_events", day.clone()).unwrap());
            let asked = fetch(&fake, "calendar_list_events", day).await.unwrap();
            assert!(asked.along.iter().all(|along| along.tool == "calendar_get_event"));
            assert_eq!(along.fetched, Fetched { along: Vec::new(), ..asked });
        }
        for along in gets {
            let get = json!({"account_id": "a", "event_id": "a"});
            assert_eq!((along.tool, &along.args), ("calendar_get_event", &args("calendar_get_event", get.clone()).unwrap()));
            let got = fetch(&fake, "calendar_get_event", get).await.unwrap();
            assert_eq!(along.fetched, got);
            let select = |path: &str| {
                let requests = fake.requests();
                let request = requests.iter().find(|request| request.path == path).unwrap();
                (request.query.iter().find(|(name, _)| *name == "$select").unwrap().1.clone(), request.prefer.clone())
            };
            assert_eq!(select("/me/calendarView"), select("/me/events/a"), "an agenda asks for all that a get asks for");
        }
    }
}

#[tokio::test]
async fn the_whole_window_is_read_and_sorted_before_it_is_cut() {
    let fake = Fake::answering([
        ("GET /me/calendar", json!({"id": "CAL"})),
        ("GET /me/mailboxSettings/timeZone", berlin()),
        (
            "GET /me/calendarView",
            json!({"value": [one("late", "2026-11-22T09:00:00.0000000", None), one("b", "2026-11-20T09:00:00.0000000", None)],
                "@odata.nextLink": "https://graph/2"}),
        ),
        (
            "GET https://graph/2",
            json!({"value": [one("weekly", "2026-11-21T09:00:00.0000000", Some("M")), one("a", "2026-11-20T09:00:00.0000000", None)]}),
        ),
    ])
    .at(NOW);
    let list = fetch(&fake, "calendar_list_events", json!({"account_id": "a", "limit": 3})).await.unwrap();
    assert_eq!(ids(&list), ["a", "b", "weekly"]);
    assert_eq!(list.answer["complete"], false);
    let more = list.more.unwrap();
    assert_eq!((more.rest[0]["id"].as_str(), more.link), (Some("late"), None), "the rest is what the next page shows");
    assert!(list.answer["events"][0].get("seriesMasterId").is_none());
    let calendar = || vec![Scope::calendar("default"), Scope::calendar("CAL")];
    let in_series = [calendar(), vec![Scope::item("M")]].concat();
    assert_eq!(list.scopes, [calendar(), vec![Scope::moves(Service::Calendar)]].concat());
    let placed = [("a", calendar()), ("b", calendar()), ("weekly", in_series), ("M", calendar())];
    assert_eq!(list.shown, placed.map(|(id, scopes)| (id.to_owned(), scopes)));
    let asked = fake.requests();
    let view = asked.iter().find(|request| request.path == "/me/calendarView").unwrap();
    assert_eq!(view.query[0], ("startDateTime", "2026-11-20T08:59:00.000Z".into()));
    assert_eq!(view.query[1], ("endDateTime", "2026-11-27T08:59:00.000Z".into()));
    assert_eq!(view.prefer, ["outlook.timezone=\"UTC\"", TEXT]);
}

/// Berlin is at +02:00 until 25 October 2026, 03:00, and at +01:00 from then on; a day is a day.
#[tokio::test]
async fn each_event_has_its_local_time_and_days_stay_days() {
    let fake = mailbox(vec![
        one("after", "2026-10-25T08:00:00.0000000", None),
        one("before", "2026-10-24T08:00:00.0000000", None),
        all_day("fair", "2026-10-25", "2026-10-27"),
    ]);
    let list = fetch(&fake, "calendar_list_events", json!({"account_id": "a"})).await.unwrap();
    assert_eq!(ids(&list), ["before", "fair", "after"], "a day begins at its local midnight");
    let start = |at: usize| list.answer["events"][at]["start"].clone();
    assert_eq!(start(0), json!({"dateTime": "2026-10-24T08:00:00.0000000", "timeZone": "UTC", "local": "2026-10-24T10:00:00+02:00"}));
    assert_eq!(start(2)["local"], "2026-10-25T09:00:00+01:00");
    assert_eq!(start(1), json!({"dateTime": "2026-10-25T00:00:00.0000000", "timeZone": "UTC", "date": "2026-10-25"}));
    assert_eq!((&list.answer["events"][1]["days"], &list.answer["timezone"]), (&json!(2), &json!("Europe/Berlin")));
    assert!(list.answer.get("timezone_note").is_none());
    // By somebody else's clocks the moments move and the days do not.
    let list = fetch(&fake, "calendar_list_events", json!({"account_id": "a", "timezone": "Tokyo Standard Time"})).await.unwrap();
    assert_eq!(list.answer["events"][0]["start"]["local"], "2026-10-24T17:00:00+09:00");
    assert_eq!(list.answer["events"][1]["start"]["date"], "2026-10-25");
    assert_eq!(list.answer["timezone"], "Asia/Tokyo");
}

#[tokio::test]
async fn a_mailbox_whose_zone_is_not_known_is_answered_in_utc_and_told_so() {
    let denied = Fake::new(|request| {
        Some(match crate::tools::fake::named(request).as_str() {
            "GET /me/calendar" => Ok(json!({"id": "CAL"})),
            "GET /me/mailboxSettings/timeZone" => Err(refusal(403, "ErrorAccessDenied")),
            _ => Ok(json!({"value": [one("a", "2026-11-20T09:00:00.0000000", None)]})),
        })
    });
    let list = fetch(&denied, "calendar_list_events", json!({"account_id": "a"})).await.unwrap();
    assert_eq!(list.answer["events"][0]["start"]["local"], "2026-11-20T09:00:00+00:00");
    assert_eq!(list.answer["timezone"], "UTC");
    assert!(list.answer["timezone_note"].as_str().unwrap().contains("not known"));
    let broken = Fake::new(|request| {
        Some(match request.path.as_str() {
            "/me/mailboxSettings/timeZone" => Err(refusal(500, "ErrorInternal")),
            "/me/calendar" => Ok(json!({"id": "CAL"})),
            _ => Ok(json!({"value": []})),
        })
    });
    assert_eq!(fetch(&broken, "calendar_list_events", json!({"account_id": "a"})).await.unwrap_err().status, Some(500));
}

#[tokio::test]
async fn a_window_may_be_named_and_a_last_day_is_a_whole_one() {
    let fake = mailbox(Vec::new());
    for (given, from, to) in [
        (json!({"start": "2026-10-25", "end": "2026-10-25"}), "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),
        (json!({"start": "2026-10-25T10:00", "days_ahead": 1}), "2026-10-25T09:00:00.000Z", "2026-10-26T09:00:00.000Z"),
        // The clocks are put back in the night to the 25th, and forward on 29 March at two.
        (json!({"start": "2026-10-25", "days_ahead": 1}), "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),
        (json!({"start": "2026-10-24T10:00", "days_ahead": 1}), "2026-10-24T08:00:00.000Z", "2026-10-25T09:00:00.000Z"),
        (json!({"start": "2026-03-28T02:30", "days_ahead": 1}), "2026-03-28T01:30:00.000Z", "2026-03-29T01:30:00.000Z"),
        (json!({"start": "2026-10-24T10:00+02:00", "days_ahead": 1}), "2026-10-24T08:00:00.000Z", "2026-10-25T08:00:00.000Z"),
        (json!({"start": "2026-10-25T10:00-08:00", "end": "2026-10-26T00:00Z"}), "2026-10-25T18:00:00.000Z", "2026-10-26T00:00:00.000Z"),
        (json!({"end": "2026-11-21T00:00Z"}), "2026-11-20T08:59:00.000Z", "2026-11-21T00:00:00.000Z"),
    ] {
        let mut given = given;
        given["account_id"] = "a".into();
        let before = fake.requests().len();
        fetch(&fake, "calendar_list_events", given.clone()).await.unwrap();
        let asked = fake.requests()[before..].iter().find(|request| request.path == "/me/calendarView").unwrap().clone();
        assert_eq!([asked.query[0].1.as_str(), asked.query[1].1.as_str()], [from, to], "{given}");
    }
    for (start, end, why) in [
        ("2026-11-21", "2026-11-20", "before end"),
        ("2020-01-01", "2026-01-01", "five years"),
        ("2026-03-29T02:30", "2026-04-01", "put forward"),
    ] {
        let error = fetch(&fake, "calendar_list_events", json!({"account_id": "a", "start": start, "end": end})).await.unwrap_err();
        assert!(error.message.contains(why) && error.hint.is_some(), "{error}");
    }
}

/// A write to the default calendar names it, one to a calendar by id names the id: each list has to hear of both.
#[tokio::test]
async fn lists_of_the_default_calendar_carry_its_name_and_its_id() {
    let fake = mailbox(vec![one("e", "2026-11-20T09:00:00.0000000", None)]);
    let scopes = async |given: Value| fetch(&fake, "calendar_list_events", given).await.unwrap().scopes;
    let both = [Scope::calendar("default"), Scope::calendar("CAL")];
    assert_eq!(scopes(json!({"account_id": "a"})).await, both);
    assert_eq!(scopes(json!({"account_id": "a", "calendar_id": "CAL"})).await, both);
    assert_eq!(scopes(json!({"account_id": "a", "calendar_id": "OTHER"})).await, [Scope::calendar("OTHER")]);
}

#[tokio::test]
async fn details_are_asked_for_as_text_and_long_bodies_are_cut() {
    let mut event = one("e", "2026-11-20T09:00:00.0000000", None);
    event["body"] = json!({"contentType": "text", "content": "x".repeat(600)});
    let fake = mailbox(vec![event]);
    let given = json!({"account_id": "a", "include_details": true, "days_ahead": 365});
    let list = fetch(&fake, "calendar_list_events", given).await.unwrap();
    let body = &list.answer["events"][0]["body"];
    assert_eq!((body["content"].as_str().unwrap().len(), &body["truncated"], &body["total_length"]), (500, &json!(true), &json!(600)));
    let asked = fake.requests();
    let view = asked.iter().find(|request| request.path == "/me/calendarView").unwrap();
    assert!(view.target().contains("attendees%2Crecurrence%2ConlineMeeting%2CseriesMasterId"));
    assert_eq!(view.prefer.len(), 2);
}

#[tokio::test]
async fn bodies_may_be_asked_for_as_html_and_are_cleaned() {
    let mut event = one("e", "2026-11-20T09:00:00.0000000", None);
    event["body"] = json!({"contentType": "html", "content": "<p style='display:none'>obey</p><p onclick=x>hi</p>"});
    let fake = mailbox(vec![event.clone()]);
    let given = json!({"account_id": "a", "include_details": true, "body_format": "html"});
    let list = fetch(&fake, "calendar_list_events", given).await.unwrap();
    let clean = json!({"contentType": "html", "content": "<p>hi</p>"});
    assert_eq!((&list.answer["events"][0]["body"], &list.answer[UNTRUSTED.0]), (&clean, &json!(UNTRUSTED.1)));
    let asked = fake.requests();
    assert_eq!(asked.iter().find(|request| request.path == "/me/calendarView").unwrap().prefer, [UTC, HTML]);
    let fake = Fake::answering([("GET /me/events/e", event), ("GET /me/mailboxSettings/timeZone", berlin())]);
    let got = fetch(&fake, "calendar_get_event", json!({"account_id": "a", "event_id": "e", "body_format": "html"})).await.unwrap();
    assert_eq!((&got.answer["body"], &got.answer["complete"]), (&clean, &json!(true)));
}

#[test]
fn what_makes_no_difference_makes_no_other_key() {
    let shaping = |given: Value| args("calendar_list_events", given).unwrap().shaping();
    assert_eq!(
        shaping(json!({"account_id": "a", "end": "2026-11-20", "days_ahead": 30})),
        shaping(json!({"account_id": "a", "end": "2026-11-20", "body_max_length": 9, "body_format": "html"}))
    );
    assert_eq!(
        shaping(json!({"account_id": "a", "timezone": "W. Europe Standard Time"})),
        shaping(json!({"account_id": "a", "timezone": "europe/berlin"}))
    );
    for wrong in [json!({"timezone": "Mars/Olympus"}), json!({"start": "tomorrow"}), json!({"days_ahead": 0})] {
        let mut given = wrong.clone();
        given["account_id"] = "a".into();
        assert!(args("calendar_list_events", given).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_event_is_read_whole_and_depends_on_its_series() {
    let mut event = one("e", "2026-11-20T09:00:00.0000000", Some("M"));
    event["body"] = json!({"contentType": "text", "content": "0123456789"});
    event["originalStartTimeZone"] = "Pacific Standard Time".into();
    let fake = Fake::answering([("GET /users/team%40x.org/events/e", event), ("GET /me/mailboxSettings/timeZone", berlin())]);
    let given = json!({"account_id": "a", "event_id": "e", "mailbox": "team@x.org", "body_max_length": 4});
    let found = fetch(&fake, "calendar_get_event", given).await.unwrap();
    assert_eq!(found.answer["start"]["local"], "2026-11-20T10:00:00+01:00");
    let cut = json!({"contentType": "text", "content": "0123", "truncated": true, "total_length": 10, "next_offset": 4});
    assert_eq!((&found.answer["body"], &found.answer[UNTRUSTED.0]), (&cut, &json!(UNTRUSTED.1)));
    assert_eq!((&found.answer["complete"], &found.answer["timezone"]), (&json!(false), &json!("Europe/Berlin")));
    assert!(found.answer.get("@odata.etag").is_none());
    assert_eq!(found.scopes, [Scope::item("M"), Scope::item("e")]);
    assert_eq!(found.shown, [("e".to_owned(), vec![])], "its calendar is not known, so a write to it must not believe that it is");
    let asked = fake.requests();
    let event = asked.iter().find(|request| request.path.contains("/events/")).unwrap();
    assert!(event.target().contains("$select=id%2C") && event.target().ends_with("body"));
    assert_eq!(event.prefer.len(), 2);
}

#[tokio::test]
async fn an_event_that_is_not_there_is_an_error() {
    let fake = Fake::answering([("GET /me/mailboxSettings/timeZone", berlin())]);
    let error = fetch(&fake, "calendar_get_event", json!({"account_id": "a", "event_id": "e"})).await.unwrap_err();
    assert_eq!(error.status, Some(404));
}

#[tokio::test]
async fn the_official_example_of_an_event_is_shown_with_its_times() {
    let event: Value = serde_json::from_str(include_str!("../data/event-post.json")).unwrap();
    let fake = Fake::answering([("GET /me/events/e", event.clone()), ("GET /me/mailboxSettings/timeZone", berlin())]);
    let found = fetch(&fake, "calendar_get_event", json!({"account_id": "a", "event_id": "e"})).await.unwrap();
    // Graph was asked for UTC; a reply in another zone is still understood.
    assert_eq!(found.answer["start"]["timeZone"], "Pacific Standard Time");
    assert_eq!(found.answer["start"]["local"], "2017-04-15T20:00:00+02:00");
    assert_eq!(found.answer["createdDateTime"], "2017-04-15T05:00:50.7579581+02:00");
    let moments = ["createdDateTime", "lastModifiedDateTime"];
    for (name, value) in event.as_object().unwrap().iter().filter(|(name, _)| !name.starts_with('@') && !moments.contains(&name.as_str())) {
        let shown = &found.answer[name];
        let same = shown == value || ["start", "end", "body"].contains(&name.as_str()) && shown.is_object();
        assert!(same, "{name}: {shown}");
    }
}
