//! Which reads each write to a calendar makes untrue: every one against every one of a small mailbox, as a snapshot.

use serde_json::{Value, json};

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};
use crate::graph::Method;

/// The default calendar `CAL` has the meeting `m1` and the series `S` with its days `S1` and `S2`; the calendar `TEAM` has `t1`. The
/// invitation to `m1` lies in the inbox.
fn mailbox() -> Fake {
    Fake::new(|request| {
        let time = |hour: u8| json!({"dateTime": format!("2026-11-21T{hour:02}:00:00.0000000"), "timeZone": "UTC"});
        let event = |id: &str, series: Option<&str>| {
            json!({"id": id, "start": time(9), "end": time(10), "isAllDay": false, "isOrganizer": false, "seriesMasterId": series,
                "attendees": [{"emailAddress": {"address": "a@b.c"}}], "isDefaultCalendar": false})
        };
        let own = || json!({"value": [event("m1", None), event("S1", Some("S")), event("S2", Some("S"))]});
        let team = || json!({"value": [event("t1", None)]});
        Some(Ok(match named(request).as_str() {
            "GET /me/calendar" => json!({"id": "CAL"}),
            "GET /me/calendars/TEAM" => json!({"id": "TEAM", "isDefaultCalendar": false}),
            "GET /me/calendarView" | "GET /me/calendars/CAL/calendarView" => own(),
            "GET /me/calendars/TEAM/calendarView" => team(),
            "GET /me/calendars" => json!({"value": [{"id": "CAL", "isDefaultCalendar": true}, {"id": "TEAM"}]}),
            "GET /me/events/S1" => event("S1", Some("S")),
            "GET /me/events/S2" => event("S2", Some("S")),
            "GET /me/mailFolders/inbox/messages" => json!({"value": [{"id": "invitation", "parentFolderId": "IN"}]}),
            "GET /me/messages/invitation" => json!({"id": "invitation", "parentFolderId": "IN"}),
            "GET /me/mailFolders/sentitems/messages" | "GET /me/mailFolders/deleteditems/messages" => json!({"value": []}),
            "GET /me/mailFolders/sentitems" | "GET /me/mailFolders/deleteditems" => json!({"id": "FOLDER"}),
            "GET /me/mailFolders" => json!({"value": []}),
            name if name.starts_with("GET /me/events/") => event(name.rsplit('/').next()?, None),
            _ if request.method == Method::Post && request.path.ends_with("events") => event("new", None),
            "POST /me/calendars" => json!({"id": "NEW"}),
            _ if request.method == Method::Patch => {
                let id = request.path.rsplit('/').next()?;
                event(id, id.strip_suffix(['1', '2']).filter(|series| *series == "S"))
            }
            _ if request.method != Method::Get => Value::Null,
            _ => return None,
        }))
    })
}

const READS: &[Asked] = &[
    ("default calendar", "calendar_list_events", "{}"),
    ("default calendar by id", "calendar_list_events", r#"{"calendar_id":"CAL"}"#),
    ("team calendar", "calendar_list_events", r#"{"calendar_id":"TEAM"}"#),
    ("meeting m1", "calendar_get_event", r#"{"event_id":"m1"}"#),
    ("series S", "calendar_get_event", r#"{"event_id":"S"}"#),
    ("day S1", "calendar_get_event", r#"{"event_id":"S1"}"#),
    ("day S2", "calendar_get_event", r#"{"event_id":"S2"}"#),
    ("event t1 of team", "calendar_get_event", r#"{"event_id":"t1"}"#),
    ("calendars", "calendar_list_calendars", "{}"),
    ("sent items", "email_list", r#"{"folder":"sent"}"#),
    ("inbox", "email_list", "{}"),
    ("deleted", "email_list", r#"{"folder":"deleted"}"#),
    ("invitation to m1", "email_get", r#"{"email_id":"invitation"}"#),
    ("mail folders", "emailfolders_list", "{}"),
];

const WRITES: &[Asked] = &[
    ("create", "calendar_create_event", r#"{"subject":"s","start":"2026-11-21T09:00Z","end":"2026-11-21T10:00Z"}"#),
    (
        "create with attendees",
        "calendar_create_event",
        r#"{"subject":"s","start":"2026-11-21T09:00Z","end":"2026-11-21T10:00Z","attendees":"a@b.c"}"#,
    ),
    (
        "create in default by id",
        "calendar_create_event",
        r#"{"subject":"s","start":"2026-11-21","end":"2026-11-22","is_all_day":true,"calendar_id":"CAL"}"#,
    ),
    (
        "create in team",
        "calendar_create_event",
        r#"{"subject":"s","start":"2026-11-21","end":"2026-11-22","is_all_day":true,"calendar_id":"TEAM"}"#,
    ),
    ("update m1", "calendar_update_event", r#"{"event_id":"m1","updates":{"subject":"s"}}"#),
    ("update series S", "calendar_update_event", r#"{"event_id":"S","updates":{"subject":"s"}}"#),
    ("update day S1", "calendar_update_event", r#"{"event_id":"S1","updates":{"subject":"s"}}"#),
    ("update t1 of team", "calendar_update_event", r#"{"event_id":"t1","updates":{"subject":"s"}}"#),
    ("update an event no answer showed", "calendar_update_event", r#"{"event_id":"unseen","updates":{"subject":"s"}}"#),
    ("delete m1", "calendar_delete_event", r#"{"event_id":"m1"}"#),
    ("respond to m1", "calendar_respond_event", r#"{"event_id":"m1"}"#),
    (
        "propose a new time for m1",
        "calendar_propose_new_time",
        r#"{"event_id":"m1","proposed_start":"2026-11-21T11:00Z","proposed_end":"2026-11-21T12:00Z"}"#,
    ),
    ("forward m1", "calendar_forward_event", r#"{"event_id":"m1","to":"b@c.d"}"#),
    ("new calendar", "calendar_create_calendar", r#"{"name":"n"}"#),
    ("delete team", "calendar_delete_calendar", r#"{"calendar_id":"TEAM"}"#),
];

#[tokio::test]
async fn what_each_write_to_a_calendar_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&mailbox(), READS, WRITES).await);
}
