//! Whoever follows `calendarView/delta` holds what `calendarView` shows, whatever happens between two of its pages.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::graph::csdl::Csdl;
use crate::graph::testing::{Tenant, path, rows, text};
use crate::seed::prng::Prng;

const WINDOW: &str = "startDateTime=2026-11-01T00:00:00Z&endDateTime=2027-01-15T00:00:00Z";

struct Reader {
    link: String,
    held: BTreeMap<String, Value>,
    done: bool,
}

impl Reader {
    fn new() -> Self {
        Self { link: format!("/me/calendarView/delta?{WINDOW}"), held: BTreeMap::new(), done: false }
    }

    fn page(&mut self, tenant: &Tenant, wish: &str) {
        let page = tenant.prefer(&self.link, wish);
        for row in rows(&page) {
            let id = text(&row, "id").to_owned();
            if row["@removed"].is_object() {
                self.held.remove(&id);
            } else {
                self.held.insert(id, row);
            }
        }
        self.done = page["@odata.deltaLink"].is_string();
        self.link = text(&page, if self.done { "@odata.deltaLink" } else { "@odata.nextLink" }).to_owned();
    }

    fn catch_up(&mut self, tenant: &Tenant, wish: &str) {
        for _ in 0..2 {
            self.page(tenant, wish);
            while !self.done {
                self.page(tenant, wish);
            }
        }
    }
}

fn time(prng: &mut Prng) -> (Value, Value) {
    let day = prng.between(1, 28);
    let (month, year) = [(9, 2026), (11, 2026), (12, 2026), (1, 2027), (4, 2027)][prng.below(5)];
    let at = |hour: u8| json!({"dateTime": format!("{year}-{month:02}-{day:02}T{hour:02}:00:00"), "timeZone": "Europe/Berlin"});
    (at(9), at(10))
}

fn series(prng: &mut Prng, start: &Value) -> Value {
    let first = &text(start, "dateTime")[..10];
    let pattern = if prng.percent(50) {
        json!({"type": "weekly", "interval": 1, "daysOfWeek": ["monday", "friday"]})
    } else {
        json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 15})
    };
    let range = if prng.percent(50) {
        json!({"type": "numbered", "numberOfOccurrences": prng.between(1, 30), "startDate": first})
    } else {
        json!({"type": "noEnd", "startDate": first})
    };
    json!({"pattern": pattern, "range": range})
}

/// One change to some event or some day of one, seen or not seen through the window.
fn change(tenant: &Tenant, prng: &mut Prng) {
    let far = "/me/calendarView?startDateTime=2026-08-01T00:00:00Z&endDateTime=2027-06-01T00:00:00Z&$top=1000&$select=id,seriesMasterId";
    let all = rows(&tenant.get(far));
    let one = prng.pick(&all).clone();
    let (start, end) = time(prng);
    let day = format!("/me/events/{}", path(text(&one, "id")));
    let whole = one["seriesMasterId"].as_str().map_or_else(|| day.clone(), |id| format!("/me/events/{}", path(id)));
    match prng.below(8) {
        0 => {
            let mut body = json!({"subject": "new", "start": start, "end": end});
            if prng.percent(50) {
                body["recurrence"] = series(prng, &start);
            }
            tenant.post("/me/events", body, 201);
        }
        1 => drop(tenant.ask("PATCH", &day, &[], json!({"subject": format!("s{}", prng.next())}), 200)),
        2 => drop(tenant.ask("PATCH", &whole, &[], json!({"subject": format!("s{}", prng.next())}), 200)),
        3 | 4 => drop(tenant.ask("PATCH", &day, &[], json!({"start": start, "end": end, "isAllDay": false}), 200)),
        5 => {
            let recurrence = if prng.percent(30) { Value::Null } else { series(prng, &start) };
            tenant.ask("PATCH", &whole, &[], json!({"start": start, "end": end, "isAllDay": false, "recurrence": recurrence}), 200);
        }
        6 => drop(tenant.ask("DELETE", &day, &[], Value::Null, 204)),
        _ => drop(tenant.ask("DELETE", &whole, &[], Value::Null, 204)),
    }
}

fn agree(reader: &Reader, tenant: &Tenant, wish: &str) {
    let shown = rows(&tenant.prefer(&format!("/me/calendarView?{WINDOW}&$top=1000"), wish));
    let truth: BTreeMap<&str, &Value> = shown.iter().map(|row| (text(row, "id"), row)).collect();
    let held: Vec<&str> = reader.held.iter().filter(|(_, row)| row["type"] != "seriesMaster").map(|(id, _)| id.as_str()).collect();
    assert_eq!(held, truth.keys().copied().collect::<Vec<_>>());
    for (id, row) in &reader.held {
        if row["type"] == "seriesMaster" {
            assert_eq!(tenant.prefer(&format!("/me/events/{}", path(id)), wish)["subject"], row["subject"]);
            assert!(reader.held.values().any(|day| day["seriesMasterId"] == id.as_str()), "a master without a day in the window");
            continue;
        }
        for (name, value) in row.as_object().unwrap().iter().filter(|(name, _)| *name != "@odata.type") {
            assert_eq!(value, &truth[id.as_str()][name], "{id}: {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn replaying_delta_gives_what_the_window_shows(seed in any::<u64>(), rounds in 1_u64..5, changes in 1_u64..14, size in 1_usize..60, immutable in any::<bool>()) {
        let tenant = Tenant::small();
        let mut prng = Prng::new(seed, "calendar changes");
        let wish = format!("odata.maxpagesize={size}{}", if immutable { ", IdType=\"ImmutableId\"" } else { "" });
        let mut reader = Reader::new();
        for _ in 0..rounds {
            for _ in 0..prng.between(1, 4) {
                reader.page(&tenant, &wish);
                tenant.advance(3);
                for _ in 0..changes {
                    change(&tenant, &mut prng);
                }
            }
            if prng.percent(60) {
                reader.catch_up(&tenant, &wish);
                agree(&reader, &tenant, &wish);
            }
        }
        reader.catch_up(&tenant, &wish);
        agree(&reader, &tenant, &wish);
    }
}

#[test]
fn the_window_is_fixed_and_options_are_refused() {
    let tenant = Tenant::small();
    let first = tenant.prefer(&format!("/me/calendarView/delta?{WINDOW}"), "odata.maxpagesize=3");
    assert_eq!(rows(&first).len(), 3);
    Csdl::load().list("event", &first, "delta");
    assert!(text(&first, "@odata.nextLink").contains("/me/calendarView/delta?$skiptoken="));
    let mut reader = Reader::new();
    reader.catch_up(&tenant, "odata.maxpagesize=900");
    assert!(
        reader.link.contains("$deltatoken=") && reader.held.values().any(|row| row["type"] == "occurrence" && row["subject"].is_null())
    );
    for bad in ["$select=id", "$filter=isAllDay%20eq%20true", "$orderby=subject", "$expand=attachments", "$search=%22x%22"] {
        assert_eq!(tenant.refused(&format!("/me/calendarView/delta?{WINDOW}&{bad}"), 400), "ErrorInvalidUrlQuery", "{bad}");
    }
    assert_eq!(tenant.refused("/me/calendarView/delta", 400), "ErrorInvalidParameter");
    let team = text(&tenant.get("/me/calendars")["value"][1], "id").to_owned();
    let other = tenant.get(&format!("/me/calendars/{}/calendarView/delta?{WINDOW}", path(&team)));
    assert!(!rows(&other).is_empty());
    let stolen = text(&other, "@odata.deltaLink").split_once('?').unwrap().1.to_owned();
    assert_eq!(tenant.refused(&format!("/me/calendarView/delta?{stolen}"), 400), "SyncStateInvalid");
    assert_eq!(tenant.refused("/me/calendarView/delta?$deltatoken=nonsense", 410), "SyncStateNotFound");
    let gone = rows(&tenant.get("/me/calendarView?startDateTime=2026-11-20&endDateTime=2026-12-20&$filter=type%20eq%20'singleInstance'"))
        .remove(0);
    tenant.ask("DELETE", &format!("/me/events/{}", path(text(&gone, "id"))), &[], Value::Null, 204);
    let changes = tenant.get(&reader.link);
    assert_eq!(rows(&changes), [json!({"@odata.type": "#microsoft.graph.event", "id": gone["id"], "@removed": {"reason": "deleted"}})]);
    tenant.apply(json!({"verb": "expire_delta_tokens"}));
    assert_eq!(tenant.refused(&reader.link, 410), "SyncStateNotFound");
}
