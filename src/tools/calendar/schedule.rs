//! `calendar_check_availability` and `calendar_get_free_busy`: when people are free. Graph's schedules, and beside them what they mean.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    PEOPLE, TIMEZONE, UTC, home, plan,
    shown::{Clocks, show_time},
};
use crate::{
    cache::Service,
    graph::GraphRequest,
    ids::ToolProfile::{Calendar, Essential},
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        shape::{pick, text, untrusted},
        time::local,
        tool::ACCOUNT,
        zone::Zone,
    },
};

const NEVER: Result<crate::cache::Ttl, &str> = Err("it depends on other people's calendars, of whose changes nobody tells us");

const START: Param = Param::required("start", ParamType::Time, "ISO 8601; without an offset by the clocks of `timezone`.");
const END: Param = Param::required("end", ParamType::Time, "ISO 8601, later than start, at most 62 days.");

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "calendar_check_availability",
        title: "Check availability",
        profiles: &[Essential, Calendar],
        help: "When the account's owner, and attendees if given, are free between two times, in steps of 30 minutes. Each entry of \
               `value` has availability: stretches of free, tentative, busy, outOfOffice or workingElsewhere in local time; \
               everyone_free lists when all are free. Work and school accounts only.",
        params: &[ACCOUNT, START, END, Param::optional("attendees", PEOPLE, "null", "Who else, by e-mail address."), TIMEZONE],
        effect: Effect::Read { service: Service::Calendar, ttl: NEVER },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(check(steps, args))),
    },
    Tool {
        name: "calendar_get_free_busy",
        title: "Get free and busy times",
        profiles: &[Calendar],
        help: "When people are free between two times. Each entry of `value` has availability: stretches of free, tentative, busy, \
               outOfOffice or workingElsewhere in local time, and error when that calendar cannot be seen; everyone_free lists when all \
               are free, and is missing when one cannot be seen. Work and school accounts only.",
        params: &[
            ACCOUNT,
            Param::required("attendees", PEOPLE, "Who, by e-mail address."),
            START,
            END,
            Param::optional("time_interval", ParamType::Int { min: 5, max: 1440 }, "30", "Length of a step, in minutes."),
            TIMEZONE,
        ],
        effect: Effect::Read { service: Service::Calendar, ttl: NEVER },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(free_busy(steps, args))),
    },
];

/// The most schedules Graph takes at once.
const CHUNK: usize = 20;
/// The longest window it takes.
const LONGEST: SignedDuration = SignedDuration::from_hours(62 * 24);
/// Step of `calendar_check_availability`, in minutes.
const HALF_HOUR: i64 = 30;

const FIELDS: [&str; 5] = ["scheduleId", "availabilityView", "scheduleItems", "workingHours", "error"];

/// The steps that were asked about.
struct Window {
    start: Timestamp,
    end: Timestamp,
    step: SignedDuration,
}

async fn check(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    for_work(steps)?;
    let me = steps.send(GraphRequest::get(&["me"]).with("$select", "mail,userPrincipalName")).await?.body;
    let own = text(&me, "mail").or_else(|| text(&me, "userPrincipalName")).ok_or_else(|| StepError::unexpected("an address"))?;
    let others = args.texts("attendees").into_iter().filter(|address| !address.eq_ignore_ascii_case(own));
    schedules(steps, args, &std::iter::once(own).chain(others).collect::<Vec<_>>(), HALF_HOUR).await
}

async fn free_busy(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    for_work(steps)?;
    let people = args.texts("attendees");
    if people.is_empty() {
        return Err(StepError::user("invalid_argument", "attendees names nobody", "Give one or more e-mail addresses."));
    }
    schedules(steps, args, &people, args.int("time_interval")).await
}

fn for_work(steps: &dyn Steps) -> Result<(), StepError> {
    if steps.personal() {
        let hint = "Use a work or school account, or calendar_list_events for your own events.";
        return Err(StepError::user(
            "work_account_needed",
            "Microsoft 365 tells free and busy times only to work and school accounts",
            hint,
        ));
    }
    Ok(())
}

async fn schedules(steps: &dyn Steps, args: &Args, people: &[&str], step: i64) -> Result<Fetched, StepError> {
    let (Some(start), Some(end)) = (plan::given(args, "start"), plan::given(args, "end")) else {
        return Err(StepError::user("invalid_argument", "start or end is no time", "Give both in ISO 8601."));
    };
    let zone = home::zone(steps, args).await?;
    let (start, end) = plan::in_order(plan::moment(start, zone.as_ref())?, plan::moment(end, zone.as_ref())?)?;
    if end.duration_since(start) > LONGEST {
        return Err(StepError::user("invalid_argument", "the window is longer than 62 days", "Ask for at most 62 days at a time."));
    }
    let window = Window { start, end, step: SignedDuration::from_mins(step) };
    let clocks = Clocks::of(zone);
    let at = |moment: Timestamp| crate::tools::time::in_zone(moment, &Zone::utc());
    let mut found = Vec::new();
    for some in people.chunks(CHUNK) {
        let question = json!({ "schedules": some, "startTime": at(start), "endTime": at(end), "availabilityViewInterval": step });
        let request = GraphRequest::question(&["me", "calendar", "getSchedule"], question).prefer(UTC);
        let reply = steps.send(request).await?.body;
        let value = reply.get("value").and_then(Value::as_array).ok_or_else(|| StepError::unexpected("schedules"))?;
        found.extend(value.iter().map(|schedule| told(schedule, &window, &clocks.zone)));
    }

    let mut answer = Map::new();
    if let Some(free) = everyone_free(&found, people.len()) {
        let free = runs(&free, &window).into_iter().filter(|(word, ..)| *word == "free");
        let stretches = free.map(|(_, from, to)| json!({ "start": local(from, &clocks.zone), "end": local(to, &clocks.zone) }));
        answer.insert("everyone_free".into(), stretches.collect());
    }
    answer.insert("value".into(), found.into());
    clocks.sign(&mut answer);
    Ok(Fetched {
        answer: untrusted(answer).into(),
        list: None,
        scopes: Vec::new(),
        shown: Vec::new(),
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

/// A schedule with what its view means, and the local times of its items.
fn told(schedule: &Value, window: &Window, zone: &Zone) -> Value {
    let mut told = pick(schedule, &FIELDS);
    if let Some(error) = told.get_mut("error") {
        *error = pick(error, &["responseCode", "message"]).into();
    }
    if let Some(view) = text(schedule, "availabilityView") {
        let stretch = |(word, from, to)| json!({ "status": word, "start": local(from, zone), "end": local(to, zone) });
        told.insert("availability".into(), runs(view, window).into_iter().map(stretch).collect());
    }
    for item in told.get_mut("scheduleItems").and_then(Value::as_array_mut).into_iter().flatten() {
        for name in ["start", "end"] {
            if let Some(time) = item.get_mut(name) {
                show_time(time, false, zone);
            }
        }
    }
    told.into()
}

/// What a digit of `availabilityView` means.
fn word(digit: char) -> &'static str {
    match digit {
        '0' => "free",
        '1' => "tentative",
        '2' => "busy",
        '3' => "outOfOffice",
        '4' => "workingElsewhere",
        _ => "unknown",
    }
}

/// A view as stretches of one meaning.
fn runs(view: &str, window: &Window) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let mut runs: Vec<(&'static str, Timestamp, Timestamp)> = Vec::new();
    let mut from = window.start;
    for digit in view.chars() {
        let to = from.checked_add(window.step).map_or(window.end, |to| to.min(window.end));
        match runs.last_mut() {
            Some((last, _, end)) if *last == word(digit) => *end = to,
            _ => runs.push((word(digit), from, to)),
        }
        from = to;
    }
    runs
}

/// A view that is free where all are; `None` when there is somebody whose time is not known.
fn everyone_free(schedules: &[Value], people: usize) -> Option<String> {
    let views: Vec<&str> = schedules.iter().map(|schedule| text(schedule, "availabilityView")).collect::<Option<_>>()?;
    let length = views.iter().map(|view| view.len()).min().filter(|_| views.len() == people)?;
    let free = |at: usize| views.iter().all(|view| view.as_bytes().get(at) == Some(&b'0'));
    Some((0..length).map(|at| if free(at) { '0' } else { '2' }).collect())
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
