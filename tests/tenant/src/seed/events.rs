//! Seeded events: singles, all-day ones, series over the changes of summer time, exceptions, cancellations.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Weekday, date};
use serde_json::{Map, Value, json};

use super::people::{Address, correspondents};
use super::prng::Prng;
use super::prose::{self, CANARY, TOPICS};
use super::{Amounts, NOW, User, before_now};
use crate::graph::store::{Event, Exception, Mailbox, Moment, Pattern, Recurrence, RecurrenceEnd};

const PLACES: &[&str] = &["Harbour room", "Third floor", "Canteen", "Museum caf\u{e9}", "Auditorium", "By telephone"];
const ZONES: &[&str] = &["Europe/Berlin", "America/New_York", "Pacific Standard Time", "UTC", "Asia/Kolkata"];

/// Puts calendars and events into a mailbox without any.
pub(super) fn fill(mailbox: &mut Mailbox, user: &User, amounts: &Amounts, seed: u64) {
    let mut prng = Prng::new(seed, &format!("events {}", user.username));
    let me = Address::new(&user.display_name, &user.username);
    let others = correspondents(60);
    mailbox.add_calendar("Calendar".to_owned(), "auto");
    let team = mailbox.add_calendar("Team & projects".to_owned(), "lightBlue");
    let today = NOW.to_zoned(jiff::tz::TimeZone::UTC).date();
    for index in 0..amounts.events {
        let mine = prng.percent(60);
        let organizer = if mine { me.clone() } else { prng.pick(&others).clone() };
        let mut data = properties(&mut prng, &organizer, &me, mine, &others);
        let zone = if prng.percent(50) { mailbox.zone } else { *prng.pick(ZONES) };
        let day = today.checked_add(prng.between(-60, 150).days()).unwrap_or(today);
        let hour = i8::try_from(prng.between(7, 18)).unwrap_or(9);
        let start = day.at(hour, *prng.pick(&[0, 15, 30]), 0, 0);
        let length = *prng.pick(&[15_i64, 30, 30, 60, 60, 90, 180]);
        let mut event = event(start, length, zone);
        event.calendar = if index % 10 == 9 { team } else { 0 };
        event.created = before_now(prng.between(30, 300) * 86_400);
        event.modified = event.created;
        match index {
            0 => weekly_over_dst(&mut event, &mut data, "Europe/Berlin", date(2026, 10, 5)),
            1 => weekly_over_dst(&mut event, &mut data, "Pacific Standard Time", date(2026, 10, 6)),
            _ if index % 9 == 2 => all_day(&mut event, &mut data, day, prng.between(1, 3)),
            _ if index % 9 == 5 => series(&mut event, &mut prng, day),
            _ if index % 13 == 6 => {
                data.insert("isCancelled".to_owned(), json!(true));
                let subject = data.get("subject").and_then(Value::as_str).unwrap_or("").to_owned();
                data.insert("subject".to_owned(), json!(format!("Canceled: {subject}")));
                data.insert("showAs".to_owned(), json!("free"));
            }
            _ => {}
        }
        event.data = data;
        mailbox.add_event(event);
    }
}

fn event(start: DateTime, minutes: i64, zone: &str) -> Event {
    let end = start.checked_add(minutes.minutes()).unwrap_or(start);
    Event::at(Moment { at: start, zone: zone.to_owned() }, Moment { at: end, zone: zone.to_owned() }, Map::new(), NOW)
}

fn properties(prng: &mut Prng, organizer: &Address, me: &Address, mine: bool, others: &[Address]) -> Map<String, Value> {
    let mut data = Event::blank(organizer, mine, prng.next());
    let canary = prng.percent(8);
    let topic = prng.pick(TOPICS);
    data.insert("subject".to_owned(), json!(format!("{topic}{}", if canary { format!(" {CANARY}") } else { String::new() })));
    let content = prose::html(&prose::paragraphs(prng.next(), 300, canary));
    data.insert("body".to_owned(), json!({"contentType": "html", "content": content}));
    let place = prng.pick(PLACES);
    let location = json!({"displayName": place, "locationType": "default", "uniqueId": place, "uniqueIdType": "private"});
    data.insert("location".to_owned(), location.clone());
    data.insert("locations".to_owned(), json!([location]));
    if prng.percent(70) || !mine {
        let mut attendees = Vec::new();
        let mut invite = |who: &Address, response: &str, kind: &str| {
            attendees.push(json!({"type": kind, "status": {"response": response, "time": "0001-01-01T00:00:00Z"},
                "emailAddress": {"name": &*who.name, "address": &*who.address}}));
        };
        if !mine {
            invite(me, "accepted", "required");
        }
        for _ in 0..prng.between(1, 5) {
            let response = *prng.pick(&["none", "accepted", "declined", "tentativelyAccepted"]);
            let kind = *prng.pick(&["required", "required", "optional"]);
            invite(prng.pick(others), response, kind);
        }
        data.insert("attendees".to_owned(), Value::Array(attendees));
    }
    if prng.percent(35) {
        let url = format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{:016x}%40thread.v2/0", prng.next());
        data.insert("isOnlineMeeting".to_owned(), json!(true));
        data.insert("onlineMeetingProvider".to_owned(), json!("teamsForBusiness"));
        data.insert("onlineMeeting".to_owned(), json!({"joinUrl": url}));
    }
    data
}

/// Mondays (or Tuesdays) at nine by the wall, from before to after the end of summer time; one day moved, one dropped.
fn weekly_over_dst(event: &mut Event, data: &mut Map<String, Value>, zone: &str, first: Date) {
    let nine = first.at(9, 0, 0, 0);
    event.calendar = 0;
    event.start = Moment { at: nine, zone: zone.to_owned() };
    event.end = Moment { at: first.at(9, 30, 0, 0), zone: zone.to_owned() };
    event.recurrence = Some(Recurrence {
        pattern: Pattern::Weekly { days: vec![first.weekday()], first: Weekday::Sunday },
        interval: 1,
        start: first,
        end: RecurrenceEnd::After(20),
        zone: zone.to_owned(),
    });
    data.insert("subject".to_owned(), json!(format!("Weekly round {zone}")));
    data.insert("isCancelled".to_owned(), json!(false));
    let moved = first.checked_add(2.weeks()).unwrap_or(first);
    let later = moved.checked_add(1.day()).unwrap_or(moved);
    let mut own = Map::new();
    own.insert("subject".to_owned(), json!("Weekly round, a day later"));
    let (start, end) = (later.at(14, 0, 0, 0), later.at(15, 0, 0, 0));
    event.exceptions.insert(
        moved,
        Exception { start: Moment { at: start, zone: zone.to_owned() }, end: Moment { at: end, zone: zone.to_owned() }, data: own },
    );
    event.cancelled.insert(first.checked_add(5.weeks()).unwrap_or(first));
}

fn all_day(event: &mut Event, data: &mut Map<String, Value>, day: Date, days: i64) {
    let end = day.checked_add(days.days()).unwrap_or(day);
    event.start = Moment { at: day.at(0, 0, 0, 0), zone: "UTC".to_owned() };
    event.end = Moment { at: end.at(0, 0, 0, 0), zone: "UTC".to_owned() };
    data.insert("isAllDay".to_owned(), json!(true));
    data.insert("showAs".to_owned(), json!("free"));
}

fn series(event: &mut Event, prng: &mut Prng, day: Date) {
    let pattern = match prng.below(4) {
        0 => Pattern::Daily,
        1 => Pattern::Monthly { day: day.day() },
        2 => Pattern::Weekly { days: vec![day.weekday()], first: Weekday::Sunday },
        _ => Pattern::Weekly { days: vec![Weekday::Monday, Weekday::Wednesday, Weekday::Friday], first: Weekday::Monday },
    };
    let end = match prng.below(3) {
        0 => RecurrenceEnd::Never,
        1 => RecurrenceEnd::On(day.checked_add(90.days()).unwrap_or(day)),
        _ => RecurrenceEnd::After(u32::try_from(prng.between(3, 15)).unwrap_or(5)),
    };
    let interval = i32::try_from(prng.between(1, 2)).unwrap_or(1);
    event.recurrence = Some(Recurrence { pattern, interval, start: day, end, zone: event.start.zone.clone() });
}
