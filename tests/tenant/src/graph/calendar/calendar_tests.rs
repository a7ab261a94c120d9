//! What Graph is known to do with calendars and meetings, asked of ours.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::graph::csdl::Csdl;
use crate::graph::testing::{Tenant, path, rows, text};

const ALEX: usize = 0;
const BEA: usize = 1;
const CASEY: usize = 2;

fn as_user(tenant: &mut Tenant, user: usize) -> &mut Tenant {
    tenant.user = user;
    tenant
}

fn time(at: &str) -> Value {
    json!({"dateTime": at, "timeZone": "UTC"})
}

fn meeting(subject: &str, people: &[&str]) -> Value {
    let attendees: Vec<Value> = people.iter().map(|p| json!({"emailAddress": {"address": p}, "type": "required"})).collect();
    json!({"subject": subject, "start": time("2026-12-02T10:00:00"), "end": time("2026-12-02T11:00:00"), "attendees": attendees})
}

fn url(event: &Value) -> String {
    format!("/me/events/{}", path(text(event, "id")))
}

/// The events of this subject in the calendar of who asks.
fn named(tenant: &Tenant, subject: &str) -> Vec<Value> {
    rows(&tenant.get(&format!("/me/events?$filter=subject%20eq%20'{subject}'&$top=50")))
}

#[test]
fn calendars_are_made_renamed_listed_and_deleted() {
    let tenant = Tenant::small();
    let csdl = Csdl::load();
    let made = tenant.post("/me/calendars", json!({"name": "Garden", "color": "lightGreen"}), 201);
    csdl.object("calendar", &made, "made");
    assert_eq!((text(&made, "name"), text(&made, "color"), &made["isDefaultCalendar"]), ("Garden", "lightGreen", &json!(false)));
    assert_eq!(tenant.post("/me/calendars", json!({"name": "GARDEN"}), 409)["error"]["code"], "ErrorFolderExists");
    tenant.post("/me/calendars", json!({}), 400);
    tenant.post("/me/calendars", json!({"name": "x", "color": "plaid"}), 400);
    let one = format!("/me/calendars/{}", path(text(&made, "id")));
    let changed = tenant.ask("PATCH", &one, &[], json!({"name": "Orchard"}), 200);
    assert_eq!((text(&changed, "name"), text(&changed, "color")), ("Orchard", "lightGreen"));
    assert_ne!(changed["changeKey"], made["changeKey"]);
    assert!(rows(&tenant.get("/me/calendars?$select=id,name")).iter().any(|c| c["name"] == "Orchard"));
    let event = tenant.post(&format!("{one}/events"), meeting("Prune", &[]), 201);
    assert_eq!(tenant.get(&format!("{one}/events/{}", path(text(&event, "id"))))["id"], event["id"]);
    assert_eq!(tenant.get(&format!("{one}/calendarView?startDateTime=2026-12-02&endDateTime=2026-12-03"))["value"][0]["id"], event["id"]);
    assert!(named(&tenant, "Prune").is_empty(), "the own calendar has it not");
    let groups = tenant.get("/me/calendarGroups");
    csdl.list("calendarGroup", &groups, "groups");
    let group = format!("/me/calendarGroups/{}", path(text(&groups["value"][0], "id")));
    csdl.object("calendarGroup", &tenant.get(&group), "group");
    assert_eq!(tenant.get(&format!("{group}/calendars"))["value"], tenant.get("/me/calendars")["value"]);
    tenant.ask("DELETE", &one, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&one, 404), "ErrorItemNotFound");
    assert_eq!(tenant.refused(&url(&event), 404), "ErrorItemNotFound");
    for own in ["/me/calendar".to_owned(), format!("/me/calendars/{}", path(text(&tenant.get("/me/calendar"), "id")))] {
        assert_eq!(tenant.ask("DELETE", &own, &[], Value::Null, 400)["error"]["code"], "ErrorDeleteDistinguishedFolder");
    }
}

#[test]
fn an_invitation_reaches_the_other_calendar_late_and_the_answer_comes_back() {
    let mut tenant = Tenant::small();
    tenant.graph.set_lag(std::time::Duration::from_secs(20));
    let made = tenant.post("/me/events", meeting("Tasting", &["BEA@contoso.example", "x@fabrikam.example"]), 201);
    Csdl::load().object("event", &made, "made");
    let hers = |tenant: &mut Tenant| named(as_user(tenant, BEA), "Tasting");
    assert!(hers(&mut tenant).is_empty());
    tenant.advance(20);
    let copy = hers(&mut tenant).remove(0);
    assert_eq!(copy["iCalUId"], made["iCalUId"]);
    assert_eq!((&copy["isOrganizer"], text(&copy["responseStatus"], "response")), (&json!(false), "notResponded"));
    assert_eq!((text(&copy, "showAs"), text(&copy["organizer"]["emailAddress"], "address")), ("tentative", "alex@contoso.example"));
    let slot = json!({"Start": {"DateTime": "2026-12-03T10:00:00", "TimeZone": "W. Europe Standard Time"}, "End": {"DateTime": "2026-12-03T11:00:00", "TimeZone": "W. Europe Standard Time"}});
    let answer = json!({"comment": "later?", "sendResponse": "true", "proposedNewTime": slot});
    tenant.post(&format!("{}/tentativelyAccept", url(&copy)), answer, 202);
    assert_eq!(text(&tenant.get(&url(&copy))["responseStatus"], "response"), "tentativelyAccepted");
    let status = |tenant: &mut Tenant| as_user(tenant, ALEX).get(&url(&made))["attendees"][0].clone();
    assert_eq!(status(&mut tenant)["status"]["response"], "none");
    tenant.advance(20);
    let told = status(&mut tenant);
    assert_eq!(told["status"]["response"], "tentativelyAccepted");
    assert_eq!(told["proposedNewTime"]["start"], json!({"dateTime": "2026-12-03T09:00:00.0000000", "timeZone": "UTC"}));
    Csdl::load().object("event", &tenant.get(&url(&made)), "with a proposal");
    // An update keeps the answers; another time wants new ones.
    let people = tenant.get(&url(&made))["attendees"].clone();
    let kept = tenant.ask("PATCH", &url(&made), &[], json!({"location": {"displayName": "Cellar"}, "attendees": people}), 200);
    assert_eq!(kept["attendees"][0]["status"]["response"], "tentativelyAccepted");
    let moved = tenant.ask("PATCH", &url(&made), &[], json!({"start": time("2026-12-02T09:00:00")}), 200);
    assert_eq!(moved["attendees"][0]["status"]["response"], "none");
    tenant.advance(20);
    let copy = hers(&mut tenant).remove(0);
    assert_eq!((text(&copy["location"], "displayName"), text(&copy["start"], "dateTime")), ("Cellar", "2026-12-02T09:00:00.0000000"));
    assert_eq!(copy["responseStatus"]["response"], "notResponded");
    // Declining takes it out of the calendar.
    tenant.post(&format!("{}/decline", url(&copy)), json!({}), 202);
    assert!(hers(&mut tenant).is_empty());
    tenant.advance(20);
    assert_eq!(status(&mut tenant)["status"]["response"], "declined");
}

#[test]
fn only_those_may_answer_and_cancel_who_may() {
    let mut tenant = Tenant::small();
    let made = tenant.post("/me/events", meeting("Audit", &["bea@contoso.example"]), 201);
    for action in ["accept", "decline", "tentativelyAccept"] {
        let refused = tenant.post(&format!("{}/{action}", url(&made)), json!({"sendResponse": true}), 400);
        assert_eq!(refused["error"]["code"], "ErrorInvalidRequest");
    }
    let copy = named(as_user(&mut tenant, BEA), "Audit").remove(0);
    let refused = tenant.post(&format!("{}/cancel", url(&copy)), json!({"comment": "no"}), 400);
    assert!(text(&refused["error"], "message").ends_with("You need to be an organizer to cancel a meeting."));
    tenant.post(&format!("{}/accept", url(&copy)), json!({"proposedNewTime": {}}), 400);
    let slot = json!({"start": time("2026-12-03T10:00:00"), "end": time("2026-12-03T11:00:00")});
    tenant.post(&format!("{}/decline", url(&copy)), json!({"proposedNewTime": slot, "sendResponse": false}), 400);
    tenant.post(&format!("{}/accept", url(&copy)), Value::Null, 202);
    assert_eq!(tenant.get(&url(&copy))["showAs"], "busy");
    as_user(&mut tenant, ALEX).ask("PATCH", &url(&made), &[], json!({"allowNewTimeProposals": false, "responseRequested": false}), 200);
    as_user(&mut tenant, BEA).post(&format!("{}/decline", url(&copy)), json!({"proposedNewTime": slot}), 400);
    tenant.post(&format!("{}/accept", url(&copy)), json!({"sendResponse": true}), 400);
    tenant.post(&format!("{}/accept", url(&copy)), json!({"sendResponse": false}), 202);
    // Cancelling takes the event from the organizer and leaves the others a cancelled one.
    as_user(&mut tenant, ALEX).post(&format!("{}/cancel", url(&made)), json!({"Comment": "sorry"}), 202);
    assert_eq!(tenant.refused(&url(&made), 404), "ErrorItemNotFound");
    let left = as_user(&mut tenant, BEA).get(&url(&copy));
    assert_eq!((text(&left, "subject"), &left["isCancelled"]), ("Canceled: Audit", &json!(true)));
}

#[test]
fn a_forwarded_meeting_has_one_guest_more() {
    let mut tenant = Tenant::small();
    let made = tenant.post("/me/events", meeting("Launch", &["bea@contoso.example"]), 201);
    let copy = named(as_user(&mut tenant, BEA), "Launch").remove(0);
    let forward = format!("{}/forward", url(&copy));
    let to = json!([{"emailAddress": {"address": "support@contoso.example", "name": "Help"}}]);
    tenant.post(&forward, json!({"toRecipients": to, "ccRecipients": to}), 400);
    tenant.post(&forward, json!({"toRecipients": []}), 400);
    tenant.post(&forward, json!({"ToRecipients": to, "Comment": "come"}), 202);
    let shared = rows(&tenant.get("/users/support@contoso.example/calendar/events?$filter=subject%20eq%20'Launch'"));
    assert_eq!(shared.len(), 1);
    assert_eq!(as_user(&mut tenant, ALEX).get(&url(&made))["attendees"][1]["emailAddress"]["address"], "support@contoso.example");
    // Who is no longer invited keeps a cancelled copy.
    tenant.ask("PATCH", &url(&made), &[], json!({"attendees": []}), 200);
    assert_eq!(as_user(&mut tenant, BEA).get(&url(&copy))["isCancelled"], true);
}

#[test]
fn one_day_of_a_series_can_be_answered_changed_and_cancelled() {
    let mut tenant = Tenant::small();
    let mut body = meeting("Choir", &["bea@contoso.example"]);
    body["recurrence"] = json!({"pattern": {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["wednesday"], "index": "first"},
        "range": {"type": "numbered", "numberOfOccurrences": 4, "startDate": "2026-12-02"}});
    let made = tenant.post("/me/events", body, 201);
    let window = "startDateTime=2026-12-01T00:00:00Z&endDateTime=2027-12-01T00:00:00Z&$top=50";
    let days = |tenant: &Tenant, master: &Value| rows(&tenant.get(&format!("{}/instances?{window}", url(master))));
    let dates: Vec<String> = days(&tenant, &made).iter().map(|d| text(&d["start"], "dateTime")[..10].to_owned()).collect();
    assert_eq!(dates, ["2026-12-02", "2027-01-06", "2027-02-03", "2027-03-03"]);
    let second = days(&tenant, &made).remove(1);
    tenant.ask("PATCH", &url(&second), &[], json!({"subject": "Choir, long", "end": time("2027-01-06T13:00:00")}), 200);
    let copy = named(as_user(&mut tenant, BEA), "Choir").remove(0);
    let hers = days(&tenant, &copy);
    assert_eq!((hers.len(), text(&hers[1], "subject"), text(&hers[1], "type")), (4, "Choir, long", "exception"));
    tenant.post(&format!("{}/accept", url(&hers[2])), json!({}), 202);
    assert_eq!(tenant.get(&url(&hers[2]))["responseStatus"]["response"], "accepted");
    assert_eq!(tenant.get(&url(&copy))["responseStatus"]["response"], "notResponded");
    let third = days(as_user(&mut tenant, ALEX), &made).remove(2);
    assert_eq!(third["attendees"][0]["status"]["response"], "accepted");
    tenant.post(&format!("{}/cancel", url(&third)), json!({}), 202);
    assert_eq!(days(&tenant, &made).len(), 3);
    assert_eq!(days(as_user(&mut tenant, BEA), &copy).len(), 3);
}

#[test]
fn what_makes_no_sense_in_an_event_is_refused() {
    let tenant = Tenant::small();
    let with = |name: &str, value: Value| {
        let mut body = meeting("Odd", &[]);
        body[name] = value;
        body
    };
    for body in [
        with("isAllDay", json!(true)),
        with("showAs", json!("asleep")),
        with("importance", json!("huge")),
        with("attendees", json!([{"emailAddress": {"address": "nobody"}}])),
        with("attendees", json!([{"emailAddress": {"address": "a@b.example"}, "type": "maybe"}])),
        with("isOrganizer", json!(true)),
        with("nosuch", json!(1)),
        with("subject", json!(7)),
        with("start", json!({"dateTime": "2026-12-02T10:00:00", "timeZone": "Mars Standard Time"})),
        with("end", json!({"dateTime": "tomorrow", "timeZone": "UTC"})),
    ] {
        tenant.post("/me/events", body, 400);
    }
    let mut days = meeting("Fair", &[]);
    (days["isAllDay"], days["start"], days["end"]) = (json!(true), time("2026-12-05T00:00:00"), time("2026-12-05T00:00:00"));
    tenant.post("/me/events", days.clone(), 400);
    days["end"] = time("2026-12-07T00:00:00");
    let made = tenant.post("/me/events", days, 201);
    let there = tenant.prefer(&url(&made), "outlook.timezone=\"Tokyo Standard Time\"");
    assert_eq!(there["start"], json!({"dateTime": "2026-12-05T00:00:00.0000000", "timeZone": "Tokyo Standard Time"}));
    let again = tenant.get(&url(&made));
    let whole: serde_json::Map<String, Value> =
        ["subject", "start", "end", "attendees", "organizer", "responseStatus", "body", "location", "locations"]
            .map(|name| (name.to_owned(), again[name].clone()))
            .into_iter()
            .collect();
    tenant.ask("PATCH", &url(&made), &[], Value::Object(whole), 200);
    let online = tenant.post("/me/events", with("isOnlineMeeting", json!(true)), 201);
    assert!(text(&online["onlineMeeting"], "joinUrl").starts_with("https://"));
}

#[test]
fn times_come_in_the_zone_asked_for_by_either_name() {
    let tenant = Tenant::small();
    let mut body = meeting("Zones", &[]);
    body["start"] = json!({"dateTime": "2026-03-29T09:30:00", "timeZone": "Pacific Standard Time"});
    body["end"] = json!({"dateTime": "2026-03-29T10:30:00", "timeZone": "Pacific Standard Time"});
    let made = tenant.post("/me/events", body, 201);
    assert_eq!(text(&made["start"], "dateTime"), "2026-03-29T16:30:00.0000000");
    assert_eq!(text(&made, "originalStartTimeZone"), "Pacific Standard Time");
    for (zone, local) in [
        ("Europe/Berlin", "18:30"),
        ("W. Europe Standard Time", "18:30"),
        ("America/Los_Angeles", "09:30"),
        ("India Standard Time", "22:00"),
    ] {
        let wish = format!("outlook.timezone=\"{zone}\"");
        let reply = tenant.raw("GET", &url(&made), &[("prefer", &wish)], Bytes::new());
        assert_eq!(reply.headers["preference-applied"], wish.as_str());
        let shown: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(shown["start"], json!({"dateTime": format!("2026-03-29T{local}:00.0000000"), "timeZone": zone}));
    }
}

#[test]
fn schedules_show_when_people_are_taken_and_not_with_what() {
    let mut tenant = Tenant::small();
    let csdl = Csdl::load();
    for (from, to, status) in
        [("T09:00", "T10:30", "busy"), ("T10:00", "T11:00", "tentative"), ("T14:00", "T15:00", "oof"), ("T15:00", "T15:30", "free")]
    {
        let body = json!({"subject": "Secret", "showAs": status, "start": time(&format!("2027-08-01{from}:00")), "end": time(&format!("2027-08-01{to}:00"))});
        as_user(&mut tenant, BEA).post("/me/events", body, 201);
    }
    let ask = |people: &[&str], minutes: i64| json!({"schedules": people, "startTime": time("2027-08-01T09:00:00"), "endTime": time("2027-08-01T16:00:00"), "availabilityViewInterval": minutes});
    let people = ["bea@contoso.example", "nobody@contoso.example"];
    let reply = as_user(&mut tenant, ALEX).post("/me/calendar/getSchedule", ask(&people, 30), 200);
    csdl.list("scheduleInformation", &reply, "schedules");
    let hers = &reply["value"][0];
    // Only what this test made lies on that Sunday, unless a seeded series runs on.
    let view = text(hers, "availabilityView");
    assert_eq!(view.len(), 14);
    assert_eq!((&view[..4], &view[10..12]), ("2221", "33"), "{view}");
    assert!(!reply.to_string().contains("Secret"));
    assert_eq!(reply["value"][1]["error"]["responseCode"], "ErrorMailRecipientNotFound");
    let own = as_user(&mut tenant, BEA).post("/me/calendar/getSchedule", ask(&people[..1], 60), 200);
    assert!(own.to_string().contains("Secret") && text(&own["value"][0], "availabilityView").len() == 7);
    for bad in [ask(&[], 30), ask(&people, 4), ask(&people, 1_441), json!({"schedules": people})] {
        tenant.post("/me/calendar/getSchedule", bad, 400);
    }
    let refused = as_user(&mut tenant, CASEY).post("/me/calendar/getSchedule", ask(&["casey@outlook.example"], 30), 403);
    assert_eq!(refused["error"]["code"], "ErrorAccessDenied");
    let wish = json!({"attendees": [{"type": "required", "emailAddress": {"address": "bea@contoso.example"}}], "meetingDuration": "PT1H", "minimumAttendeePercentage": "100",
        "timeConstraint": {"activityDomain": "unrestricted", "timeSlots": [{"start": time("2027-08-01T09:00:00"), "end": time("2027-08-01T16:00:00")}]}});
    let times = as_user(&mut tenant, ALEX).post("/me/findMeetingTimes", wish, 200);
    csdl.object("meetingTimeSuggestionsResult", &times, "times");
    let slots = times["meetingTimeSuggestions"].as_array().unwrap();
    let starts: Vec<&str> = slots.iter().map(|s| text(&s["meetingTimeSlot"]["start"], "dateTime")).collect();
    assert!(
        !starts.is_empty() && starts.iter().all(|s| *s >= "2027-08-01T11:00" && !s.contains("T13:30") && !s.contains("T14:")),
        "{starts:?}"
    );
}

#[test]
fn others_change_events_and_answer_them() {
    let mut tenant = Tenant::small();
    let id = tenant.apply(json!({"verb": "new_event", "user": "bea@contoso.example", "subject": "Plan", "start": time("2026-12-01T10:00:00"),
        "end": time("2026-12-01T11:00:00"), "attendees": [{"emailAddress": {"address": "alex@contoso.example"}}, {"emailAddress": {"address": "x@y.example"}}]}));
    let id = text(&id, "id").to_owned();
    let mine = named(&tenant, "Plan").remove(0);
    tenant.apply(json!({"verb": "update_event", "user": "bea@contoso.example", "id": id, "subject": "Plan B"}));
    assert_eq!(tenant.get(&url(&mine))["subject"], "Plan B");
    tenant.apply(json!({"verb": "respond_event", "id": mine["id"], "response": "accepted"}));
    tenant.apply(
        json!({"verb": "respond_event", "user": "bea@contoso.example", "id": id, "response": "declined", "attendee": "x@y.example"}),
    );
    let hers = as_user(&mut tenant, BEA).get(&format!("/me/events/{}", path(&id)));
    let answers: Vec<&str> = hers["attendees"].as_array().unwrap().iter().map(|a| text(&a["status"], "response")).collect();
    assert_eq!(answers, ["accepted", "declined"]);
    let error =
        tenant.graph.apply(&json!({"verb": "respond_event", "user": "bea@contoso.example", "id": id, "response": "accepted"})).unwrap_err();
    assert!(error.contains("attendee"), "{error}");
    tenant.apply(json!({"verb": "delete_event", "user": "bea@contoso.example", "id": id}));
    assert_eq!(as_user(&mut tenant, ALEX).get(&url(&mine))["isCancelled"], true);
    let calendar = tenant.apply(json!({"verb": "new_calendar", "name": "Away"}));
    tenant.apply(json!({"verb": "update_calendar", "id": calendar["id"], "name": "Far away"}));
    assert!(rows(&tenant.get("/me/calendars")).iter().any(|c| c["name"] == "Far away"));
    tenant.apply(json!({"verb": "delete_calendar", "id": calendar["id"]}));
    assert_eq!(rows(&tenant.get("/me/calendars")).len(), 2);
}

#[test]
fn files_are_put_on_events_and_reach_the_guests() {
    let mut tenant = Tenant::small();
    let csdl = Csdl::load();
    let mut body = meeting("Papers", &["bea@contoso.example"]);
    let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWJj"});
    body["attachments"] = json!([file]);
    let made = tenant.post("/me/events", body, 201);
    let list = format!("{}/attachments", url(&made));
    let second =
        tenant.post(&list, json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "b.txt", "contentBytes": "YWJj"}), 201);
    assert_eq!(csdl.list("attachment", &tenant.get(&list), "attachments"), 2);
    assert_eq!(tenant.get(&url(&made))["hasAttachments"], true);
    let whole = tenant.get(&format!("{}?$expand=attachments($select=name)", url(&made)));
    assert_eq!((text(&whole["attachments"][1], "name"), &whole["attachments"][1]["contentBytes"]), ("b.txt", &Value::Null));
    tenant.refused("/me/events?$expand=instances", 400);
    let one = format!("{list}/{}", path(text(&second, "id")));
    assert_eq!(&tenant.raw("GET", &format!("{one}/$value"), &[], Bytes::new()).body[..], b"abc");
    let copy = named(as_user(&mut tenant, BEA), "Papers").remove(0);
    assert_eq!(rows(&tenant.get(&format!("{}/attachments", url(&copy)))).len(), 2);
    as_user(&mut tenant, ALEX).ask("DELETE", &one, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&one, 404), "ErrorItemNotFound");
    let session = json!({"AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": 3_500_000}});
    let session = tenant.post(&format!("{list}/createUploadSession"), session, 201);
    let address = text(&session, "uploadUrl").strip_prefix(crate::graph::testing::DOWNLOADS).unwrap().to_owned();
    let bytes = Bytes::from(vec![7; 3_500_000]);
    let reply = tenant.upload("PUT", &address, &[("content-range", "bytes 0-3499999/3500000")], bytes);
    assert_eq!((reply.status.as_u16(), reply.body.is_empty(), reply.headers.contains_key("location")), (201, true, true));
    assert_eq!(rows(&tenant.get(&format!("{list}?$select=name,size"))).len(), 2);
    let dump = tenant.graph.dump(Some("alex@contoso.example"), Some("events")).to_string();
    assert!(dump.contains("big.bin"));
}

#[test]
fn those_who_are_invited_get_mail_and_so_does_the_organizer() {
    let mut tenant = Tenant::small();
    let bea = tenant.graph.users()[1].username.clone();
    let time = |hour: u8| json!({"dateTime": format!("2026-12-01T{hour:02}:00:00"), "timeZone": "UTC"});
    let made = tenant.post(
        "/me/events",
        json!({"subject": "Kick off", "start": time(10), "end": time(11), "attendees": [{"emailAddress": {"address": bea}}]}),
        201,
    );
    let url = format!("/me/events/{}", path(text(&made, "id")));
    tenant.user = 1;
    let newest = |tenant: &Tenant| rows(&tenant.get("/me/mailFolders/inbox/messages?$top=1")).remove(0);
    let request = newest(&tenant);
    assert_eq!((text(&request, "@odata.type"), text(&request, "subject")), ("#microsoft.graph.eventMessageRequest", "Kick off"));
    assert_eq!((text(&request, "meetingMessageType"), text(&request, "meetingRequestType")), ("meetingRequest", "newMeetingRequest"));
    let one = format!("/me/messages/{}", path(text(&request, "id")));
    let event = tenant.get(&format!("{one}?$expand=microsoft.graph.eventMessage/event"))["event"].clone();
    assert_eq!((event["iCalUId"].clone(), event["isOrganizer"].clone()), (made["iCalUId"].clone(), json!(false)));
    let cast = tenant.get(&format!("{one}?$select=subject,microsoft.graph.eventMessage/meetingMessageType"));
    assert_eq!((text(&cast, "meetingMessageType"), cast["startDateTime"].is_null()), ("meetingRequest", true));
    tenant.advance(60);
    tenant.post(&format!("/me/events/{}/tentativelyAccept", path(text(&event, "id"))), json!({}), 202);
    assert_ne!(text(&newest(&tenant), "subject"), "Kick off", "what is answered leaves the inbox");
    let away = rows(&tenant.get("/me/mailFolders/deleteditems/messages?$top=1")).remove(0);
    assert_eq!(away["internetMessageId"], request["internetMessageId"]);
    let one = format!("/me/messages/{}", path(text(&away, "id")));
    tenant.user = 0;
    let answer = newest(&tenant);
    assert_eq!((text(&answer, "subject"), text(&answer, "responseType")), ("Tentative: Kick off", "tentativelyAccepted"));
    tenant.advance(60);
    tenant.ask("PATCH", &url, &[], json!({"start": time(12), "end": time(13)}), 200);
    tenant.user = 1;
    assert_eq!(text(&newest(&tenant), "meetingRequestType"), "fullUpdate");
    assert_eq!(tenant.get(&one)["isOutOfDate"], true);
    tenant.user = 0;
    tenant.advance(60);
    tenant.post(&format!("{url}/cancel"), json!({}), 202);
    tenant.user = 1;
    assert_eq!(
        (text(&newest(&tenant), "meetingMessageType"), text(&newest(&tenant), "subject")),
        ("meetingCancelled", "Canceled: Kick off")
    );
}
