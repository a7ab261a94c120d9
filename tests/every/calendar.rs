//! The calendar.

use m365_cached_checks::support::world::{ALEX, BEA};
use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const GET: &str = "GET /me/events/{id}";
const PATCH: &str = "PATCH /me/events/{id}";
const SCHEDULE: &str = "getSchedule";
/// A week that the seed leaves nearly empty.
const WEEK: (&str, &str) = ("2027-06-07", "2027-06-13");

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then, looks: &'static [&'static str]) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks })
}

fn the_event(desk: &Desk) -> Value {
    json!({"event_id": desk.kept("event")})
}

fn invitation(desk: &Desk) -> Value {
    json!({"event_id": desk.kept("invitation")})
}

fn with(base: Value, more: Value) -> Value {
    let mut all = base;
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn window() -> Value {
    json!({"start": "2027-06-08T08:00Z", "end": "2027-06-08T12:00Z"})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "calendar_list_events",
        works: list,
        wrong: &[
            (r#"{"days_ahead": 366}"#, "invalid_argument"),
            (r#"{"start": "soon"}"#, "invalid_argument"),
            (r#"{"timezone": "Mars/Olympus"}"#, "invalid_argument"),
        ],
        fails: trouble(|_| json!({"start": WEEK.0, "end": WEEK.1}), "calendarView", "", Then::Again, &["GET /me/mailboxSettings"]),
    },
    Row {
        tool: "calendar_create_event",
        works: create,
        wrong: &[
            (r#"{"subject": "s", "start": "2027-06-08T09:00Z"}"#, "missing_argument"),
            (r#"{"subject": "s", "start": "2027-06-08T09:00Z", "end": "later"}"#, "invalid_argument"),
            (r#"{"subject": "s", "start": "2027-06-08T09:00Z", "end": "2027-06-08T10:00Z", "attendees": "Bea"}"#, "invalid_argument"),
        ],
        fails: trouble(
            |_| json!({"subject": "Never", "start": "2027-06-08T09:00", "end": "2027-06-08T10:00"}),
            "POST /me/events",
            "",
            Then::Unknown,
            // Without an offset the mailbox is asked for its zone.
            &["mailboxSettings"],
        ),
    },
    Row {
        tool: "calendar_get_event",
        works: get,
        wrong: &[("{}", "missing_argument"), (r#"{"event_id": "e", "body_max_length": 0}"#, "invalid_argument")],
        fails: trouble(the_event, GET, "event_id", Then::Again, &[]),
    },
    Row {
        tool: "calendar_update_event",
        works: update,
        wrong: &[
            (r#"{"event_id": "e", "updates": {}}"#, "invalid_argument"),
            (r#"{"event_id": "e", "updates": {"colour": "red"}}"#, "unknown_argument"),
        ],
        fails: trouble(|desk| with(the_event(desk), json!({"updates": {"subject": "Lie-down"}})), PATCH, "event_id", Then::Again, &[GET]),
    },
    Row {
        tool: "calendar_respond_event",
        works: respond,
        wrong: &[("{}", "missing_argument"), (r#"{"event_id": "e", "response": "perhaps"}"#, "invalid_argument")],
        fails: trouble(
            |desk| with(invitation(desk), json!({"response": "accept"})),
            "POST /me/events/{id}/accept",
            "event_id",
            Then::Unknown,
            &[GET],
        ),
    },
    Row {
        tool: "calendar_propose_new_time",
        works: propose,
        wrong: &[
            (r#"{"event_id": "e", "proposed_start": "2027-06-08T09:00Z"}"#, "missing_argument"),
            (r#"{"event_id": "e", "proposed_start": "2027-06-08T09:00Z", "proposed_end": "x"}"#, "invalid_argument"),
        ],
        fails: trouble(
            |desk| with(invitation(desk), json!({"proposed_start": "2027-06-09T09:00Z", "proposed_end": "2027-06-09T09:30Z"})),
            "POST /me/events/{id}/tentativelyAccept",
            "event_id",
            Then::Unknown,
            &[GET],
        ),
    },
    Row {
        tool: "calendar_forward_event",
        works: forward,
        wrong: &[(r#"{"event_id": "e"}"#, "missing_argument"), (r#"{"event_id": "e", "to": "ida"}"#, "invalid_argument")],
        fails: trouble(
            |desk| with(the_event(desk), json!({"to": "tom@fabrikam.example"})),
            "POST /me/events/{id}/forward",
            "event_id",
            Then::Unknown,
            &[],
        ),
    },
    Row {
        tool: "calendar_check_availability",
        works: availability,
        wrong: &[(r#"{"start": "2027-06-08T08:00Z"}"#, "missing_argument"), (r#"{"start": "x", "end": "y"}"#, "invalid_argument")],
        fails: trouble(|_| window(), SCHEDULE, "", Then::Again, &[]),
    },
    Row {
        tool: "calendar_get_free_busy",
        works: free_busy,
        wrong: &[
            (r#"{"start": "2027-06-08", "end": "2027-06-09"}"#, "missing_argument"),
            (r#"{"start": "2027-06-08", "end": "2027-06-09", "attendees": "bea@contoso.example", "time_interval": 4}"#, "invalid_argument"),
        ],
        fails: trouble(|_| with(window(), json!({"attendees": [BEA]})), SCHEDULE, "", Then::Again, &[]),
    },
    Row {
        tool: "calendar_list_calendars",
        works: calendars,
        wrong: &[(r#"{"limit": 3}"#, "unknown_argument")],
        fails: trouble(|_| json!({}), "GET /me/calendars", "", Then::Again, &[]),
    },
    Row {
        tool: "calendar_create_calendar",
        works: create_calendar,
        wrong: &[("{}", "missing_argument"), (r#"{"name": " "}"#, "invalid_argument")],
        fails: trouble(|_| json!({"name": "Never"}), "POST /me/calendars", "", Then::Unknown, &[]),
    },
    Row {
        tool: "calendar_delete_calendar",
        works: delete_calendar,
        wrong: &[("{}", "missing_argument"), (r#"{"calendar": "x"}"#, "unknown_argument")],
        fails: trouble(
            |desk| json!({"calendar_id": desk.kept("second calendar")}),
            "DELETE /me/calendars/{id}",
            "calendar_id",
            Then::Unknown,
            &["GET /me/calendars"],
        ),
    },
    Row {
        tool: "calendar_delete_event",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"event_id": "e", "send_cancellation": "no"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"event_id": desk.kept("second event")}), "DELETE /me/events/{id}", "event_id", Then::Unknown, &[GET]),
    },
];

#[test]
fn each_calendar_tool_works_refuses_and_fails_as_it_should() {
    try_all(&["calendars", "events"], ROWS);
}

fn week(desk: &mut Desk) -> Vec<Value> {
    let seen = desk.seen("calendar_list_events", json!({"start": WEEK.0, "end": WEEK.1, "limit": 200, "force_refresh": true}));
    seen["events"].as_array().unwrap().clone()
}

fn list(desk: &mut Desk) {
    // Singles of three weeks; series are spread over days, which `calendar.rs` beside this folder looks at.
    let (from, to) = ("2026-11-20", "2026-12-11");
    let given = json!({"start": format!("{from}T00:00Z"), "end": format!("{to}T00:00Z"), "limit": 200});
    let answer = desk.done("calendar_list_events", given);
    let shown = answer["events"].as_array().unwrap();
    let inside = |event: &Value| {
        event["type"] == "singleInstance"
            && event["start"]["dateTime"].as_str().unwrap() >= from
            && event["start"]["dateTime"].as_str().unwrap() < to
    };
    let default = desk.truth("calendars").into_iter().find(|calendar| calendar["isDefaultCalendar"] == true).unwrap();
    let all = desk.truth("events");
    let there = all.iter().filter(|event| inside(event) && event["calendar"] == default["id"]);
    let mut count = 0;
    for event in there {
        let found = shown.iter().find(|known| known["id"] == event["immutableId"]).unwrap_or_else(|| panic!("{event} is not shown"));
        assert_eq!((&found["subject"], &found["start"]["dateTime"]), (&event["subject"], &event["start"]["dateTime"]));
        count += 1;
    }
    assert!(count > 0, "the seed has no single event in two weeks");
}

fn create(desk: &mut Desk) {
    for (word, subject, start) in [("event", "Stand-up", "09"), ("second event", "Break", "11")] {
        let given = json!({"subject": subject, "start": format!("2027-06-08T{start}:00Z"), "end": format!("2027-06-08T{start}:30Z"), "location": "Canteen"});
        let made = desk.done("calendar_create_event", given);
        let id = desk.keep(word, &made["id"]);
        let there = desk.one("events", &id);
        assert_eq!((&there["subject"], &there["location"]["displayName"]), (&json!(subject), &json!("Canteen")));
        assert_eq!(there["start"]["dateTime"], format!("2027-06-08T{start}:00:00.0000000"));
        assert!(each(&week(desk), "id").contains(&id.as_str()));
    }
    // Bea invites, which later rows answer.
    let meeting = json!({"account_id": desk.bea, "subject": "Bea's round", "start": "2027-06-10T09:00Z", "end": "2027-06-10T10:00Z", "attendees": [ALEX]});
    desk.done("calendar_create_event", meeting);
    let mine = desk.truth("events").into_iter().find(|event| event["subject"] == "Bea's round").unwrap();
    desk.keep("invitation", &mine["immutableId"]);
}

fn get(desk: &mut Desk) {
    let (got, there) = (desk.done("calendar_get_event", the_event(desk)), desk.one("events", &desk.kept("event")));
    assert_eq!(
        (&got["subject"], &got["start"]["dateTime"], &got["isOrganizer"]),
        (&there["subject"], &there["start"]["dateTime"], &json!(true))
    );
}

fn update(desk: &mut Desk) {
    desk.seen("calendar_get_event", the_event(desk));
    desk.done("calendar_update_event", with(the_event(desk), json!({"updates": {"subject": "Sit-down"}})));
    assert_eq!(desk.one("events", &desk.kept("event"))["subject"], "Sit-down");
    assert_eq!(desk.seen("calendar_get_event", the_event(desk))["subject"], "Sit-down");
}

/// What Bea has of Alex's answer.
fn heard(desk: &Desk) -> Value {
    let hers = desk.truth_of(BEA, "events").into_iter().find(|event| event["subject"] == "Bea's round").unwrap();
    hers["attendees"][0].clone()
}

fn respond(desk: &mut Desk) {
    let answer =
        desk.done("calendar_respond_event", with(invitation(desk), json!({"response": "tentativelyAccept", "message": "Perhaps"})));
    assert_eq!(answer["organizer_told"], true);
    assert_eq!(desk.one("events", &desk.kept("invitation"))["responseStatus"]["response"], "tentativelyAccepted");
    assert_eq!(heard(desk)["status"]["response"], "tentativelyAccepted");
}

fn propose(desk: &mut Desk) {
    let times = json!({"proposed_start": "2027-06-10T14:00Z", "proposed_end": "2027-06-10T15:00Z"});
    assert_eq!(desk.done("calendar_propose_new_time", with(invitation(desk), times))["status"], "proposed_new_time");
    assert_eq!(heard(desk)["proposedNewTime"]["start"]["dateTime"], "2027-06-10T14:00:00.0000000");
}

fn forward(desk: &mut Desk) {
    let given = with(the_event(desk), json!({"to": "ida@fabrikam.example", "message": "Come too"}));
    assert_eq!(desk.done("calendar_forward_event", given)["status"], "forwarded");
    let people = desk.one("events", &desk.kept("event"))["attendees"].clone();
    assert_eq!(people[0]["emailAddress"]["address"], "ida@fabrikam.example");
}

fn availability(desk: &mut Desk) {
    let own = desk.done("calendar_check_availability", window());
    assert_eq!((&own["value"][0]["scheduleId"], own["value"].as_array().unwrap().len()), (&json!(ALEX), 1));
    let busy = own["value"][0]["scheduleItems"].as_array().unwrap().len();
    assert_eq!(busy, 2, "Alex's two events of that morning: {own}");
}

fn free_busy(desk: &mut Desk) {
    let given = json!({"start": "2027-06-10T08:00Z", "end": "2027-06-10T12:00Z", "attendees": [BEA]});
    let hers = desk.done("calendar_get_free_busy", given);
    assert_eq!((&hers["value"][0]["scheduleId"], &hers["value"][0]["availabilityView"]), (&json!(BEA), &json!("00220000")), "{hers}");
}

fn calendars(desk: &mut Desk) {
    let answer = desk.done("calendar_list_calendars", json!({}));
    let (mut shown, all) = (ids(&answer["calendars"]), desk.truth("calendars"));
    let mut there = each(&all, "id");
    shown.sort_unstable();
    there.sort_unstable();
    assert_eq!(shown, there);
}

fn create_calendar(desk: &mut Desk) {
    for (word, name) in [("calendar", "Garden"), ("second calendar", "House")] {
        let made = desk.done("calendar_create_calendar", json!({"name": name}));
        let id = desk.keep(word, &made["id"]);
        assert_eq!(desk.one("calendars", &id)["name"], name);
        assert!(ids(&desk.seen("calendar_list_calendars", json!({}))["calendars"]).contains(&id.as_str()));
    }
}

fn delete_calendar(desk: &mut Desk) {
    let id = desk.kept("calendar");
    assert_eq!(desk.done("calendar_delete_calendar", json!({"calendar_id": id}))["status"], "deleted");
    assert!(desk.find("calendars", &id).is_none());
    assert!(!ids(&desk.seen("calendar_list_calendars", json!({}))["calendars"]).contains(&id.as_str()));
}

fn delete(desk: &mut Desk) {
    // It has an attendee since it was forwarded: the meeting is cancelled, not only taken away.
    let gone = desk.done("calendar_delete_event", the_event(desk));
    assert_eq!((&gone["status"], &gone["action"]), (&json!("deleted"), &json!("cancelled")));
    let id = desk.kept("event");
    assert!(desk.find("events", &id).is_none());
    assert!(!each(&week(desk), "id").contains(&id.as_str()));
}
