//! Calendars through real processes: times that are right over the changes of the clocks, meetings between two people, and what one
//! client plans seen by the other at once.

use m365_cached_checks::support::{
    answer::Answer,
    mcp::{Era, Mcp},
    world::{ALEX, BEA, CASEY, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault};
use serde_json::{Value, json};

const SUPPORT: &str = "support@contoso.example";
const CREATE: &str = "POST /me/events";

fn two() -> World {
    World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap()
}

/// A call of an account, and what it gave.
fn call(client: &mut Mcp, account: &str, tool: &str, given: Value) -> Answer {
    let mut arguments = given;
    arguments["account_id"] = account.into();
    client.call(tool, &arguments).unwrap()
}

fn done(client: &mut Mcp, account: &str, tool: &str, given: Value) -> Value {
    call(client, account, tool, given).json().unwrap()
}

fn refused(client: &mut Mcp, account: &str, tool: &str, given: Value) -> (String, String) {
    let answer = call(client, account, tool, given.clone());
    // With a token to agree with it is no failure, and it is none of a success either.
    if let Ok(asked) = answer.json()
        && asked["status"] == "confirmation_required"
    {
        return ("confirmation_required".into(), asked["hint"].to_string());
    }
    let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{tool} {given}: {error}"));
    (code, message)
}

/// The token of a call that asks first.
fn token(client: &mut Mcp, account: &str, tool: &str, given: &Value) -> Value {
    let asked = done(client, account, tool, given.clone());
    assert_eq!(asked["status"], "confirmation_required", "{tool} {given}: {asked}");
    asked["confirm_token"].clone()
}

/// A call that asks first: previewed, and done with the token.
fn agreed(client: &mut Mcp, account: &str, tool: &str, given: Value) -> Value {
    let token = token(client, account, tool, &given);
    let mut given = given;
    given["confirm_token"] = token;
    done(client, account, tool, given)
}

/// What a person's calendar holds in a week that the seed leaves nearly empty.
fn week(client: &mut Mcp, account: &str, more: Value) -> Vec<Value> {
    let mut given = json!({"start": "2027-06-07", "end": "2027-06-13", "limit": 200});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    done(client, account, "calendar_list_events", given)["events"].as_array().unwrap().clone()
}

fn named<'a>(events: &'a [Value], subject: &str) -> Option<&'a Value> {
    events.iter().find(|event| event["subject"] == subject)
}

/// Others' changes are not told; this asks for them.
fn again() -> Value {
    json!({"force_refresh": true})
}

fn standup() -> Value {
    json!({"subject": "Stand-up", "start": "2027-06-08T09:00", "end": "2027-06-08T09:30"})
}

/// Who has looked at the agenda opens its events without Microsoft, and sees what a get of its own would have brought.
#[test]
fn an_agenda_brings_its_events_along() {
    let world = two();
    let (mut one, mut other) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let account = &world.ids[0];
    let agenda = done(&mut one, account, "calendar_list_events", json!({"limit": 100}));
    let listed: Vec<&str> = agenda["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    let asked = world.control().stats().requests;
    let got: Vec<Value> = listed.iter().map(|id| done(&mut other, account, "calendar_get_event", json!({ "event_id": id }))).collect();
    assert_eq!(world.control().stats().requests, asked, "nothing was asked");
    assert!(got.iter().any(|got| got["type"] == "occurrence") && got.iter().any(|got| got["type"] == "singleInstance"));
    let bare = |mut got: Value| {
        got.as_object_mut().unwrap().retain(|name, _| !["_cache_status", "_cached_at", "_untrusted", "_end"].contains(&name.as_str()));
        got
    };
    for (id, got) in listed.iter().zip(got) {
        let past = done(&mut other, account, "calendar_get_event", json!({"event_id": id, "use_cache": false}));
        assert_eq!(bare(got), bare(past));
    }
}

#[test]
fn a_series_keeps_its_hour_over_the_changes_of_the_clocks() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let given = json!({"start": "2026-10-01", "end": "2026-12-15", "limit": 200});
    let list = done(&mut client, &alex, "calendar_list_events", given);
    assert_eq!(list["timezone"], "Europe/Berlin");
    let all = list["events"].as_array().unwrap();
    let starts = |events: &[Value], subject: &str, part: &str| -> Vec<String> {
        let of = events.iter().filter(|event| event["subject"] == subject);
        of.map(|event| event["start"][part].as_str().unwrap()[10..16].to_owned()).collect()
    };
    let berlin = starts(all, "Weekly round Europe/Berlin", "local");
    assert!(berlin.len() > 5 && berlin.iter().all(|hour| hour == "T09:00"), "{berlin:?}");
    let utc = starts(all, "Weekly round Europe/Berlin", "dateTime");
    assert!(utc.contains(&"T07:00".to_owned()) && utc.contains(&"T08:00".to_owned()), "{utc:?}");
    // The other series lives in California, so it wanders for the week in which only Europe has changed its clocks.
    let given = json!({"start": "2026-10-01", "end": "2026-12-15", "limit": 200, "timezone": "Pacific Standard Time"});
    let there = done(&mut client, &alex, "calendar_list_events", given);
    let pacific = starts(there["events"].as_array().unwrap(), "Weekly round Pacific Standard Time", "local");
    assert!(pacific.len() > 5 && pacific.iter().all(|hour| hour == "T09:00"), "{pacific:?}");
    assert!(starts(all, "Weekly round Pacific Standard Time", "local").contains(&"T17:00".to_owned()));
    for event in all {
        let (start, end) = (&event["start"], &event["end"]);
        match event["isAllDay"].as_bool().unwrap() {
            true => assert!(start["date"].is_string() && end["date"].is_string() && event["days"].as_i64().unwrap() > 0, "{event}"),
            false => assert!(start["local"].is_string() && end["local"].is_string() && start["timeZone"] == "UTC", "{event}"),
        }
    }
}

#[test]
fn an_event_is_seen_changed_and_gone_by_every_client_at_once() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let (mut writer, mut reader) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    assert!(named(&week(&mut reader, &alex, json!({})), "Stand-up").is_none());
    let made = done(&mut writer, &alex, "calendar_create_event", standup());
    assert_eq!(made["start"]["local"], "2027-06-08T09:00:00+02:00");
    let id = made["id"].as_str().unwrap();
    let seen = week(&mut reader, &alex, json!({}));
    assert_eq!(named(&seen, "Stand-up").unwrap()["start"]["dateTime"], "2027-06-08T07:00:00.0000000");
    let get = json!({"event_id": id});
    let whole = done(&mut reader, &alex, "calendar_get_event", get.clone());
    assert!(whole["transactionId"].is_string() && whole["originalStartTimeZone"] == "W. Europe Standard Time", "{whole}");

    // Nobody else is in it, so nobody is asked.
    let updates = json!({"event_id": id, "updates": {"subject": "Sit-down", "start": "2027-06-08T10:00", "end": "2027-06-08T01:00-07:00",
        "location": "Canteen", "body": "All of us."}});
    let error = refused(&mut writer, &alex, "calendar_update_event", updates.clone());
    assert!(error.1.contains("before end"), "{error:?}");
    let mut updates = updates;
    updates["updates"]["end"] = "2027-06-08T02:30-07:00".into();
    done(&mut writer, &alex, "calendar_update_event", updates);
    let whole = done(&mut reader, &alex, "calendar_get_event", get.clone());
    assert_eq!((&whole["subject"], &whole["start"]["local"]), (&json!("Sit-down"), &json!("2027-06-08T10:00:00+02:00")));
    assert_eq!(whole["end"]["local"], "2027-06-08T11:30:00+02:00");
    assert_eq!((&whole["location"]["displayName"], whole["body"]["content"].as_str().unwrap().trim()), (&json!("Canteen"), "All of us."));
    assert!(named(&week(&mut reader, &alex, json!({})), "Sit-down").is_some());

    let delete = json!({"event_id": id, "confirm": true});
    assert_eq!(refused(&mut writer, &alex, "calendar_delete_event", get.clone()).0, "confirmation_required");
    let gone = done(&mut writer, &alex, "calendar_delete_event", delete.clone());
    assert_eq!(gone, json!({"status": "deleted", "action": "deleted", "others_told": false}));
    assert!(named(&week(&mut reader, &alex, json!({})), "Sit-down").is_none());
    for (tool, given) in [("calendar_get_event", get), ("calendar_delete_event", delete)] {
        refused(&mut reader, &alex, tool, given);
    }
}

#[test]
fn all_day_events_series_and_other_zones_arrive_as_they_were_meant() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Modern).unwrap();
    let fair = json!({"subject": "Fair", "start": "2027-06-09", "end": "2027-06-11", "is_all_day": true, "timezone": "Asia/Tokyo"});
    let made = done(&mut client, &alex, "calendar_create_event", fair);
    assert_eq!((&made["start"]["date"], &made["end"]["date"], &made["days"]), (&json!("2027-06-09"), &json!("2027-06-11"), &json!(2)));
    let updates = json!({"event_id": made["id"], "updates": {"end": "2027-06-10"}});
    assert_eq!(done(&mut client, &alex, "calendar_update_event", updates)["days"], 1);
    for timezone in ["Europe/Berlin", "Pacific/Auckland", "Hawaiian Standard Time"] {
        let seen = week(&mut client, &alex, json!({"timezone": timezone}));
        assert_eq!(named(&seen, "Fair").unwrap()["start"]["date"], "2027-06-09", "{timezone}");
    }

    let series = json!({"subject": "Report", "start": "2027-10-18T08:00", "end": "2027-10-18T08:30", "timezone": "America/New_York",
        "recurrence": {"type": "weekly", "numberOfOccurrences": 5}});
    let master = done(&mut client, &alex, "calendar_create_event", series);
    assert_eq!(master["type"], "seriesMaster");
    let given = json!({"start": "2027-10-01", "end": "2027-11-30", "timezone": "America/New_York", "limit": 200});
    let list = done(&mut client, &alex, "calendar_list_events", given.clone());
    let days: Vec<&Value> = list["events"].as_array().unwrap().iter().filter(|event| event["subject"] == "Report").collect();
    let local: Vec<&str> = days.iter().map(|event| &event["start"]["local"].as_str().unwrap()[..16]).collect();
    assert_eq!(local, ["2027-10-18T08:00", "2027-10-25T08:00", "2027-11-01T08:00", "2027-11-08T08:00", "2027-11-15T08:00"]);

    // One day changes, and what was known of its neighbours and of the series is asked for again.
    let get = |id: &Value| json!({"event_id": id});
    for id in [&master["id"], &days[0]["id"], &days[1]["id"]] {
        done(&mut client, &alex, "calendar_get_event", get(id));
    }
    done(&mut client, &alex, "calendar_update_event", json!({"event_id": days[1]["id"], "updates": {"subject": "No report"}}));
    let list = done(&mut client, &alex, "calendar_list_events", given.clone());
    assert_eq!(named(list["events"].as_array().unwrap(), "No report").unwrap()["id"], days[1]["id"]);
    assert_eq!(done(&mut client, &alex, "calendar_get_event", get(&days[1]["id"]))["type"], "exception");
    // The series changes, and every day of it.
    done(&mut client, &alex, "calendar_update_event", json!({"event_id": master["id"], "updates": {"subject": "Review"}}));
    assert_eq!(done(&mut client, &alex, "calendar_get_event", get(&days[0]["id"]))["subject"], "Review");
    done(&mut client, &alex, "calendar_delete_event", json!({"event_id": master["id"], "confirm": true}));
    let list = done(&mut client, &alex, "calendar_list_events", given);
    assert!(named(list["events"].as_array().unwrap(), "Review").is_none());
}

#[test]
fn a_meeting_goes_from_invitation_to_cancellation() {
    let world = two();
    let (alex, bea) = (world.ids[0].clone(), world.ids[1].clone());
    let (mut a, mut b) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let mut given = standup();
    given["attendees"] = json!([BEA]);
    let made = agreed(&mut a, &alex, "calendar_create_event", given);
    assert_eq!(made["attendees"][0]["type"], "required");
    let hers = named(&week(&mut b, &bea, again()), "Stand-up").unwrap().clone();
    assert_eq!(hers["organizer"]["emailAddress"]["address"], ALEX);

    // The organizer does not answer; the one who is invited does, and proposes another time.
    let own = json!({"event_id": made["id"]});
    let theirs = json!({"event_id": hers["id"]});
    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let token = token(&mut a, &alex, "calendar_respond_event", &own);
    let mine = with(&own, json!({"confirm_token": token}));
    assert_eq!(refused(&mut a, &alex, "calendar_respond_event", mine).0, "own_meeting");
    let said = agreed(&mut b, &bea, "calendar_respond_event", with(&theirs, json!({"response": "Accept", "message": "Gladly"})));
    assert_eq!(said, json!({"status": "accept", "organizer_told": true}));
    let get = with(&theirs, json!({}));
    assert_eq!(done(&mut b, &bea, "calendar_get_event", get)["responseStatus"]["response"], "accepted");
    let heard = done(&mut a, &alex, "calendar_get_event", with(&own, again()));
    assert_eq!(heard["attendees"][0]["status"]["response"], "accepted");
    let proposal = with(&theirs, json!({"proposed_start": "2027-06-08T14:00Z", "proposed_end": "2027-06-08T14:30Z"}));
    assert_eq!(agreed(&mut b, &bea, "calendar_propose_new_time", proposal), json!({"status": "proposed_new_time"}));
    let heard = done(&mut a, &alex, "calendar_get_event", with(&own, again()));
    assert!(heard["attendees"][0]["proposedNewTime"].is_object(), "{heard}");

    // To move it tells her, which shows only when one looks at the event.
    let moved = with(&own, json!({"updates": {"start": "2027-06-08T16:00", "end": "2027-06-08T16:30"}}));
    let before = world.control().stats().count("PATCH /me/events/{id}");
    assert_eq!(refused(&mut a, &alex, "calendar_update_event", moved.clone()).0, "confirmation_required");
    assert_eq!(world.control().stats().count("PATCH /me/events/{id}"), before, "nothing was sent");
    let forged = with(&moved, json!({"confirm_token": "made-up"}));
    assert_eq!(refused(&mut a, &alex, "calendar_update_event", forged).0, "confirmation_required");
    agreed(&mut a, &alex, "calendar_update_event", moved);
    let hers = named(&week(&mut b, &bea, again()), "Stand-up").unwrap().clone();
    assert_eq!(hers["start"]["dateTime"], "2027-06-08T14:00:00.0000000");

    let forward = with(&own, json!({"to": "ida@fabrikam.example", "cc": "ida@fabrikam.example, tom@fabrikam.example"}));
    assert_eq!(refused(&mut a, &alex, "calendar_forward_event", forward.clone()).0, "confirmation_required");
    assert_eq!(done(&mut a, &alex, "calendar_forward_event", with(&forward, json!({"confirm": true}))), json!({"status": "forwarded"}));
    assert_eq!(done(&mut a, &alex, "calendar_get_event", own.clone())["attendees"].as_array().unwrap().len(), 3);

    let confirm = json!({"confirm": true});
    let gone = done(&mut a, &alex, "calendar_delete_event", with(&own, confirm.clone()));
    assert_eq!(gone, json!({"status": "deleted", "action": "cancelled", "others_told": true}));
    assert!(named(&week(&mut a, &alex, json!({})), "Stand-up").is_none());
    let hers = week(&mut b, &bea, again()).into_iter().find(|event| event["id"] == theirs["event_id"]).unwrap();
    assert_eq!(hers["isCancelled"], true);
    let gone = done(&mut b, &bea, "calendar_delete_event", with(&theirs, confirm));
    assert_eq!(gone["action"], "deleted", "what is cancelled cannot be declined");
}

#[test]
fn somebody_elses_meeting_is_declined_and_not_cancelled() {
    let world = two();
    let (alex, bea) = (world.ids[0].clone(), world.ids[1].clone());
    let mut client = world.client(Era::Legacy).unwrap();
    for (tell, action, status) in [(true, "declined", "declined"), (false, "deleted", "none")] {
        let mut given = standup();
        given["attendees"] = ALEX.into();
        let made = agreed(&mut client, &bea, "calendar_create_event", given);
        let mine = named(&week(&mut client, &alex, again()), "Stand-up").unwrap().clone();
        let delete = json!({"event_id": mine["id"], "send_cancellation": tell, "confirm": true});
        let gone = done(&mut client, &alex, "calendar_delete_event", delete);
        assert_eq!(gone, json!({"status": "deleted", "action": action, "others_told": tell}));
        assert!(named(&week(&mut client, &alex, json!({})), "Stand-up").is_none());
        let told = done(&mut client, &bea, "calendar_get_event", json!({"event_id": made["id"], "force_refresh": true}));
        assert_eq!(told["attendees"][0]["status"]["response"], status);
        // Its organizer cannot take it away in silence, and is told so before anything is done.
        let silent = json!({"event_id": made["id"], "send_cancellation": false, "confirm": true});
        assert_eq!(refused(&mut client, &bea, "calendar_delete_event", silent).0, "others_are_told");
        done(&mut client, &bea, "calendar_delete_event", json!({"event_id": made["id"], "confirm": true}));
    }
}

#[test]
fn free_and_busy_times_are_told_in_words() {
    let world = World::with(Setup { accounts: &[ALEX, CASEY], ..Setup::default() }).unwrap();
    let (alex, casey) = (world.ids[0].clone(), world.ids[1].clone());
    let mut client = world.client(Era::Modern).unwrap();
    done(&mut client, &alex, "calendar_create_event", standup());
    let window = json!({"start": "2027-06-08T08:30", "end": "2027-06-08T10:30"});
    let own = done(&mut client, &alex, "calendar_check_availability", window.clone());
    let stretch = |status: &str, from: &str, to: &str| json!({"status": status, "start": format!("2027-06-08T{from}:00+02:00"), "end": format!("2027-06-08T{to}:00+02:00")});
    assert_eq!(own["value"][0]["scheduleId"], ALEX);
    let expected = json!([stretch("free", "08:30", "09:00"), stretch("busy", "09:00", "09:30"), stretch("free", "09:30", "10:30")]);
    assert_eq!(own["value"][0]["availability"], expected);
    assert_eq!(own["value"][0]["scheduleItems"][0]["start"]["local"], "2027-06-08T09:00:00+02:00");
    assert_eq!(own["everyone_free"].as_array().unwrap().len(), 2);
    let mut others = window;
    others["attendees"] = json!([ALEX, BEA, "nobody@contoso.example"]);
    others["time_interval"] = 60.into();
    let answer = done(&mut client, &alex, "calendar_get_free_busy", others.clone());
    assert_eq!(answer["value"].as_array().unwrap().len(), 3);
    assert_eq!(answer["value"][0]["availabilityView"], "20");
    assert!(answer["value"][2]["error"]["responseCode"].is_string() && answer.get("everyone_free").is_none(), "{answer}");
    assert!(answer.get("_cache_status").is_none_or(|status| status != "fresh"));

    assert_eq!(refused(&mut client, &casey, "calendar_get_free_busy", others.clone()).0, "work_account_needed");
    others["end"] = "2027-09-08T08:30".into();
    assert!(refused(&mut client, &alex, "calendar_get_free_busy", others).1.contains("62 days"));
}

#[test]
fn calendars_come_and_go_with_what_is_in_them() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let (mut writer, mut reader) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let calendars = |client: &mut Mcp| done(client, &alex, "calendar_list_calendars", json!({}))["calendars"].as_array().unwrap().clone();
    let before = calendars(&mut reader);
    let default = before.iter().find(|calendar| calendar["isDefaultCalendar"] == true).unwrap()["id"].clone();
    let made = done(&mut writer, &alex, "calendar_create_calendar", json!({"name": "Garden"}));
    assert_eq!(calendars(&mut reader).len(), before.len() + 1);
    refused(&mut writer, &alex, "calendar_create_calendar", json!({"name": "Garden"}));
    let here = json!({"calendar_id": made["id"]});
    assert!(week(&mut reader, &alex, here.clone()).is_empty());
    week(&mut reader, &alex, json!({"calendar_id": default}));
    let mut given = standup();
    given["calendar_id"] = made["id"].clone();
    done(&mut writer, &alex, "calendar_create_event", given);
    assert!(named(&week(&mut reader, &alex, here.clone()), "Stand-up").is_some());
    assert!(named(&week(&mut reader, &alex, json!({})), "Stand-up").is_none());
    // The default calendar by its id is the default calendar.
    done(&mut writer, &alex, "calendar_create_event", standup());
    assert!(named(&week(&mut reader, &alex, json!({"calendar_id": default})), "Stand-up").is_some());

    let confirmed = |id: &Value| json!({"calendar_id": id, "confirm": true});
    assert_eq!(refused(&mut writer, &alex, "calendar_delete_calendar", confirmed(&default)).0, "default_calendar");
    assert_eq!(refused(&mut writer, &alex, "calendar_delete_calendar", here.clone()).0, "confirmation_required");
    assert_eq!(done(&mut writer, &alex, "calendar_delete_calendar", confirmed(&made["id"])), json!({"status": "deleted"}));
    assert_eq!(calendars(&mut reader), before);
    let mut gone = json!({"start": "2027-06-07", "end": "2027-06-13"});
    gone["calendar_id"] = made["id"].clone();
    refused(&mut reader, &alex, "calendar_list_events", gone);
    refused(&mut writer, &alex, "calendar_delete_calendar", confirmed(&made["id"]));
}

#[test]
fn a_shared_mailbox_has_a_calendar_of_its_own() {
    let world = two();
    let (alex, bea) = (world.ids[0].clone(), world.ids[1].clone());
    let mut client = world.client(Era::Legacy).unwrap();
    let shared = json!({"mailbox": SUPPORT});
    week(&mut client, &alex, shared.clone());
    week(&mut client, &bea, shared.clone());
    let mut given = standup();
    given["mailbox"] = SUPPORT.into();
    let made = done(&mut client, &alex, "calendar_create_event", given);
    assert_eq!(made["start"]["local"], "2027-06-08T09:00:00+02:00", "by the clocks of who asks");
    assert!(named(&week(&mut client, &alex, json!({})), "Stand-up").is_none());
    // Two accounts, one mailbox, one truth.
    assert!(named(&week(&mut client, &bea, shared.clone()), "Stand-up").is_some());
    let event = json!({"event_id": made["id"], "mailbox": SUPPORT, "confirm": true});
    done(&mut client, &alex, "calendar_delete_event", event);
    assert!(named(&week(&mut client, &bea, shared.clone()), "Stand-up").is_none());
    assert!(!done(&mut client, &alex, "calendar_list_calendars", shared)["calendars"].as_array().unwrap().is_empty());
}

#[test]
fn a_long_list_is_read_on_with_its_cursor() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Modern).unwrap();
    let window = json!({"start": "2026-11-01", "end": "2027-02-28"});
    let with = |more: Value| {
        let mut all = window.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let ids = |list: &Value| list["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect::<Vec<_>>();
    let whole = done(&mut client, &alex, "calendar_list_events", with(json!({"limit": 200})));
    assert!(ids(&whole).len() > 20);
    let mut page = done(&mut client, &alex, "calendar_list_events", with(json!({"limit": 7})));
    let mut found = ids(&page);
    while let Some(cursor) = page["next_cursor"].as_str().map(str::to_owned) {
        page = done(&mut client, &alex, "calendar_list_events", with(json!({"limit": 7, "cursor": cursor})));
        found.extend(ids(&page));
        if found.len() >= ids(&whole).len() {
            break;
        }
    }
    assert_eq!(found[..ids(&whole).len()], ids(&whole)[..]);
}

#[test]
fn what_makes_no_sense_is_refused_before_graph_is_asked() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let before = world.control().stats().requests;
    for (tool, given) in [
        ("calendar_list_events", json!({"days_ahead": 366})),
        ("calendar_list_events", json!({"start": "tomorrow"})),
        ("calendar_get_event", json!({"event_id": "e", "timezone": "Mars/Olympus"})),
        ("calendar_create_event", json!({"subject": "", "start": "2027-06-08T09:00", "end": "2027-06-08T09:30"})),
        ("calendar_create_event", json!({"subject": "s", "start": "2027-06-08T09:00", "end": "2027-06-08T09:30", "attendees": "Bea"})),
        ("calendar_update_event", json!({"event_id": "e", "updates": {}})),
        ("calendar_update_event", json!({"event_id": "e", "updates": {"colour": "red"}})),
        ("calendar_delete_event", json!({"event_id": "e", "send_cancellation": "no"})),
        ("calendar_respond_event", json!({"event_id": "e", "response": "maybe"})),
        ("calendar_propose_new_time", json!({"event_id": "e", "proposed_start": "2027-06-08T09:00"})),
        ("calendar_forward_event", json!({"event_id": "e", "to": "Bea"})),
        ("calendar_check_availability", json!({"start": "2027-06-08T09:00", "end": "soon"})),
        ("calendar_get_free_busy", json!({"attendees": BEA, "start": "2027-06-08", "end": "2027-06-09", "time_interval": 4})),
        ("calendar_list_calendars", json!({"limit": 3})),
        ("calendar_create_calendar", json!({"name": " "})),
        ("calendar_delete_calendar", json!({"calendar": "x"})),
    ] {
        let (code, _) = refused(&mut client, &alex, tool, given.clone());
        assert!(["invalid_argument", "unknown_argument", "missing_argument"].contains(&code.as_str()), "{tool} {given}: {code}");
    }
    assert_eq!(world.control().stats().requests, before);
}

#[test]
fn what_is_not_there_is_told_and_nothing_changes() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let made = done(&mut client, &alex, "calendar_create_event", standup());
    let id = made["id"].clone();
    done(&mut client, &alex, "calendar_delete_event", json!({"event_id": id, "confirm": true}));
    for (tool, given) in [
        ("calendar_get_event", json!({"event_id": id})),
        ("calendar_update_event", json!({"event_id": id, "updates": {"subject": "s"}})),
        ("calendar_delete_event", json!({"event_id": id, "confirm": true})),
        ("calendar_forward_event", json!({"event_id": id, "to": "ida@fabrikam.example", "confirm": true})),
        ("calendar_list_events", json!({"calendar_id": id})),
        ("calendar_delete_calendar", json!({"calendar_id": id, "confirm": true})),
    ] {
        let (code, message) = refused(&mut client, &alex, tool, given);
        assert!(code != "internal" && code != "outcome_unknown", "{tool}: {code} {message}");
    }
    for (tool, given) in [
        ("calendar_respond_event", json!({"event_id": id})),
        ("calendar_propose_new_time", json!({"event_id": id, "proposed_start": "2027-06-08T09:00", "proposed_end": "2027-06-08T10:00"})),
    ] {
        let mut given = given;
        given["confirm_token"] = token(&mut client, &alex, tool, &given);
        let (code, message) = refused(&mut client, &alex, tool, given);
        assert!(code != "internal" && code != "outcome_unknown", "{tool}: {code} {message}");
    }
}

/// The reply to a creation is lost: it is not sent twice, the caller is told that nobody knows, and the list is asked for anew.
#[test]
fn a_creation_whose_reply_is_lost_is_sent_once_and_shows() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    assert!(named(&week(&mut client, &alex, json!({})), "Stand-up").is_none());
    let fault = Fault { count: Some(1), ..Fault::always(CREATE, Effect::Reset { at: At::After }) };
    world.control().fault(fault);
    let before = world.control().stats().count(CREATE);
    assert_eq!(refused(&mut client, &alex, "calendar_create_event", standup()).0, "outcome_unknown");
    assert_eq!(world.control().stats().count(CREATE) - before, 1);
    assert_eq!(week(&mut client, &alex, json!({})).iter().filter(|event| event["subject"] == "Stand-up").count(), 1);
}

/// Without rights in the mailbox's settings the zone is not known: the answer says so, and times need an offset.
#[test]
fn a_zone_that_may_not_be_read_is_not_guessed() {
    let world = World::start().unwrap();
    let alex = world.ids[0].clone();
    let mut client = world.client(Era::Modern).unwrap();
    let denied = Effect::Status { status: 403, code: "ErrorAccessDenied".into(), message: None, retry_after: None };
    world.control().fault(Fault::always("/mailboxSettings", denied));
    let list = done(&mut client, &alex, "calendar_list_events", json!({}));
    assert!(list["timezone"] == "UTC" && list["timezone_note"].is_string(), "{list}");
    assert_eq!(refused(&mut client, &alex, "calendar_create_event", standup()).0, "timezone_needed");
    let mut given = standup();
    given["timezone"] = "Tokyo Standard Time".into();
    assert_eq!(done(&mut client, &alex, "calendar_create_event", given)["start"]["local"], "2027-06-08T09:00:00+09:00");
}
