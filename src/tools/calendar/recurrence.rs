//! How an event recurs: from a call's few words to Graph's pattern and range. What the start tells is not asked for.

use jiff::civil::{Date, Weekday};
use serde_json::{Map, Value, json};

use crate::tools::{Param, ParamType, StepError, shape::text, time::Given};

const DAYS: &[&str] = &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const KINDS: &[&str] = &["daily", "weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly"];

/// The members of `recurrence`.
pub(super) const MEMBERS: &[Param] = &[
    Param::required(
        "type",
        ParamType::Choice(KINDS),
        "absolute: on the start's day of the month; relative: as `index` and daysOfWeek say.",
    ),
    Param::member("interval", ParamType::Int { min: 1, max: 99 }, "Every so many days, weeks, months or years; 1 by default."),
    Param::member("daysOfWeek", ParamType::Choices(DAYS), "For weekly and relative ones; the start's by default."),
    Param::member(
        "index",
        ParamType::Choice(&["first", "second", "third", "fourth", "last"]),
        "Which of them in the month, for relative ones.",
    ),
    Param::member("endDate", ParamType::Date, "Its last day, such as 2027-06-30; for ever without it and numberOfOccurrences."),
    Param::member("numberOfOccurrences", ParamType::Int { min: 1, max: 999 }, "How often it happens."),
];

/// Graph's `patternedRecurrence` for an event that starts on `start`, by the clocks of `zone` (the name Exchange knows).
pub(super) fn patterned(given: &Map<String, Value>, start: Date, zone: &str) -> Result<Value, StepError> {
    let given = Value::Object(given.clone());
    let kind = text(&given, "type").unwrap_or_default();
    let relative = kind.starts_with("relative");
    let has = |name: &str| given.get(name).is_some();
    if has("daysOfWeek") && !relative && kind != "weekly" {
        return Err(wrong("daysOfWeek goes with weekly and relative patterns only", "Leave it out, or use another type."));
    }
    if has("index") != relative {
        return Err(wrong("index goes with relative patterns, and they need it", "Say first, second, third, fourth or last."));
    }
    if has("endDate") && has("numberOfOccurrences") {
        return Err(wrong("endDate and numberOfOccurrences exclude each other", "Give one of them."));
    }

    let mut pattern = json!({ "type": kind, "interval": given.get("interval").cloned().unwrap_or_else(|| 1.into()) });
    if relative || kind == "weekly" {
        pattern["daysOfWeek"] = given.get("daysOfWeek").cloned().unwrap_or_else(|| json!([name(start.weekday())]));
    }
    if kind == "weekly" {
        pattern["firstDayOfWeek"] = "sunday".into();
    }
    if relative {
        pattern["index"] = given["index"].clone();
    } else if kind.starts_with("absolute") {
        pattern["dayOfMonth"] = start.day().into();
    }
    if kind.ends_with("Yearly") {
        pattern["month"] = start.month().into();
    }

    let mut range = json!({ "type": "noEnd", "startDate": start.to_string(), "recurrenceTimeZone": zone });
    if let Some(last) = text(&given, "endDate") {
        if !matches!(Given::read(last), Some(Given::Day(last)) if last >= start) {
            return Err(wrong("endDate lies before the start", "Give a later day."));
        }
        range["type"] = "endDate".into();
        range["endDate"] = last.into();
    } else if let Some(count) = given.get("numberOfOccurrences") {
        range["type"] = "numbered".into();
        range["numberOfOccurrences"] = count.clone();
    }
    Ok(json!({ "pattern": pattern, "range": range }))
}

fn name(day: Weekday) -> &'static str {
    DAYS.get(usize::from(day.to_sunday_zero_offset().unsigned_abs())).copied().unwrap_or(DAYS[0])
}

fn wrong(what: &str, hint: &str) -> StepError {
    StepError::user("invalid_argument", format!("invalid recurrence: {what}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Friday.
    const START: Date = jiff::civil::date(2026, 11, 20);

    fn patterned(given: Value) -> Result<Value, String> {
        super::patterned(given.as_object().unwrap(), START, "W. Europe Standard Time").map_err(|error| error.message)
    }

    #[test]
    fn what_the_start_tells_is_filled_in() {
        assert_eq!(
            patterned(json!({"type": "weekly"})).unwrap(),
            json!({"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["friday"], "firstDayOfWeek": "sunday"},
                "range": {"type": "noEnd", "startDate": "2026-11-20", "recurrenceTimeZone": "W. Europe Standard Time"}})
        );
        let pattern = |given| patterned(given).unwrap()["pattern"].clone();
        assert_eq!(pattern(json!({"type": "daily", "interval": 2})), json!({"type": "daily", "interval": 2}));
        assert_eq!(
            pattern(json!({"type": "absoluteYearly"})),
            json!({"type": "absoluteYearly", "interval": 1, "dayOfMonth": 20, "month": 11})
        );
        assert_eq!(
            pattern(json!({"type": "relativeMonthly", "index": "last"})),
            json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["friday"], "index": "last"})
        );
        assert_eq!(pattern(json!({"type": "relativeYearly", "index": "third", "daysOfWeek": ["monday"]}))["month"], 11);
    }

    #[test]
    fn it_ends_on_a_day_or_after_so_many_times_or_never() {
        let range = |given| patterned(given).unwrap()["range"].clone();
        let until = range(json!({"type": "daily", "endDate": "2026-12-24"}));
        assert_eq!((&until["type"], &until["endDate"]), (&json!("endDate"), &json!("2026-12-24")));
        let times = range(json!({"type": "daily", "numberOfOccurrences": 5}));
        assert_eq!((&times["type"], &times["numberOfOccurrences"]), (&json!("numbered"), &json!(5)));
    }

    #[test]
    fn what_makes_no_pattern_is_refused() {
        for (given, why) in [
            (json!({"type": "daily", "daysOfWeek": ["monday"]}), "daysOfWeek"),
            (json!({"type": "weekly", "index": "first"}), "index"),
            (json!({"type": "relativeMonthly"}), "index"),
            (json!({"type": "daily", "endDate": "2026-11-19"}), "before the start"),
            (json!({"type": "daily", "endDate": "2026-12-01", "numberOfOccurrences": 3}), "exclude"),
        ] {
            assert!(patterned(given.clone()).unwrap_err().contains(why), "{given}");
        }
    }
}
