//! Calendar: what is coming up.
//!
//! The question is "the next n days", so the key holds the number of days, and each fetch asks for the window that begins with the
//! minute it is made in. The window is read to its end, sorted here and only then cut: Graph puts occurrences of recurring
//! meetings on the last pages, and a list cut at the first page would lose just those.

use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

use super::{
    Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
    listing::{every, read_list},
    named,
    shape::{id, list_answer, pick, text},
    tool::{ACCOUNT, FORCE_REFRESH, MAX_AGE, USE_CACHE},
};
use crate::{
    cache::{Service, Ttl},
    clock::Timestamp,
    graph::GraphRequest,
};

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "calendar_list_events",
    title: "List calendar events",
    help: "Lists the events of the default calendar from now on, by start, under `events`, each occurrence of a recurring meeting by \
           itself, running ones included. Times are UTC. `complete` is false when there are more than `limit` in these days. Answers come \
           from the local cache (fresh for 5 minutes).",
    params: &[
        ACCOUNT,
        Param::optional("days_ahead", ParamType::Int { min: 1, max: 365 }, "7", "How many days to look ahead."),
        Param::optional(
            "include_details",
            ParamType::Bool,
            "false",
            "Whether to return the body as text, attendees, recurrence and online meeting too.",
        ),
        Param::optional("limit", ParamType::Int { min: 1, max: 200 }, "50", "Most events to return."),
        USE_CACHE,
        FORCE_REFRESH,
        MAX_AGE,
    ],
    effect: Effect::Read { service: Service::Calendar, ttl: Ok(Ttl::seconds(300, 1800)) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Read(|steps, args| Box::pin(list(steps, args))),
}];

const FIELDS: [&str; 8] = ["id", "subject", "start", "end", "location", "organizer", "isAllDay", "isCancelled"];
const DETAIL_FIELDS: [&str; 4] = ["body", "attendees", "recurrence", "onlineMeeting"];

/// Events on one page: most windows take one.
const PAGE: &str = "250";

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let (from, to) = window(steps.now(), args.count("days_ahead"));
    let mut fields = FIELDS.to_vec();
    let details = args.flag("include_details");
    if details {
        fields.extend(DETAIL_FIELDS);
    }
    let mut request = GraphRequest::get(&["me", "calendarView"])
        .with("startDateTime", from)
        .with("endDateTime", to)
        .with("$top", PAGE)
        .with("$orderby", "start/dateTime")
        // The series is named too, so that a change of it is known to concern its occurrences.
        .with("$select", format!("{},seriesMasterId", fields.join(",")))
        .prefer("outlook.timezone=\"UTC\"");
    if details {
        request = request.prefer("outlook.body-content-type=\"text\"");
    }
    let window = read_list(steps, request, usize::MAX, every).await?;
    let mut found = window.items;
    found.sort_by(|one, other| order(one).cmp(&order(other)));
    let limit = args.count("limit");
    let complete = window.complete && found.len() <= limit;
    found.truncate(limit);

    let mut ids = BTreeSet::new();
    for event in &found {
        ids.insert(id(event)?);
        ids.extend(text(event, "seriesMasterId"));
    }
    let shown = ids.into_iter().map(|id| (id.to_owned(), vec![named::default_calendar()])).collect();
    let events = found.iter().map(|event| pick(event, &fields).into()).collect();
    Ok(Fetched {
        answer: list_answer("events", events, complete),
        list: Some("events"),
        scopes: vec![named::default_calendar()],
        shown,
        whole: true,
        more: None,
        etag: None,
    })
}

/// From the start of the minute of `now`, `days` days on; RFC 3339 in UTC.
fn window(now: Timestamp, days: usize) -> (String, String) {
    const MINUTE: i64 = 60_000;
    let from = Timestamp(now.0 - now.0.rem_euclid(MINUTE));
    let days = u64::try_from(days).unwrap_or(u64::MAX);
    (from.rfc3339(), from.plus(Duration::from_secs(days.saturating_mul(24 * 3600))).rfc3339())
}

/// By start, all of them in UTC and in one form; then by id, so that the order is the same each time.
fn order(event: &Value) -> (&str, &str) {
    let start = event.get("start").and_then(|start| text(start, "dateTime"));
    (start.unwrap_or_default(), text(event, "id").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::Scope,
        tools::fake::{Fake, fetch},
    };
    use serde_json::json;

    fn event(id: &str, start: &str, series: Option<&str>) -> Value {
        json!({"@odata.etag": "e", "id": id, "subject": id, "start": {"dateTime": start, "timeZone": "UTC"}, "isAllDay": false, "seriesMasterId": series})
    }

    #[tokio::test]
    async fn the_whole_window_is_read_and_sorted_before_it_is_cut() {
        let fake = Fake::answering([
            (
                "GET /me/calendarView",
                json!({"value": [event("late", "2026-11-22T09:00:00.0000000", None), event("b", "2026-11-20T09:00:00.0000000", None)],
                    "@odata.nextLink": "https://graph/2"}),
            ),
            (
                "GET https://graph/2",
                json!({"value": [event("weekly", "2026-11-21T09:00:00.0000000", Some("M")), event("a", "2026-11-20T09:00:00.0000000", None)]}),
            ),
        ])
        // 2026-11-20T08:59:59.999Z
        .at(Timestamp(1_795_165_199_999));
        let list = fetch(&fake, "calendar_list_events", json!({"account_id": "a", "limit": 3})).await.unwrap();
        let ids: Vec<&str> = list.answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["a", "b", "weekly"]);
        assert_eq!(list.answer["complete"], false);
        assert!(list.answer["events"][0].get("seriesMasterId").is_none());
        let default = || vec![Scope::calendar("default")];
        assert_eq!(list.scopes, default());
        assert_eq!(list.shown, ["M", "a", "b", "weekly"].map(|id| (id.to_owned(), default())));
        let asked = fake.requests();
        assert_eq!(asked[0].query[0], ("startDateTime", "2026-11-20T08:59:00.000Z".into()));
        assert_eq!(asked[0].query[1], ("endDateTime", "2026-11-27T08:59:00.000Z".into()));
        assert_eq!(asked[0].prefer, ["outlook.timezone=\"UTC\""]);
    }

    #[tokio::test]
    async fn details_are_asked_for_as_text() {
        let fake = Fake::answering([("GET /me/calendarView", json!({"value": []}))]);
        let given = json!({"account_id": "a", "include_details": true, "days_ahead": 365});
        let list = fetch(&fake, "calendar_list_events", given).await.unwrap();
        assert_eq!(list.answer, json!({"events": [], "complete": true}));
        let asked = &fake.requests()[0];
        assert!(asked.target().contains("attendees%2Crecurrence%2ConlineMeeting%2CseriesMasterId"));
        assert_eq!(asked.prefer.len(), 2);
    }
}
