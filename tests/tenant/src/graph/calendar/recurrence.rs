//! `patternedRecurrence` as Graph writes and reads it.

use jiff::civil::{Date, Weekday};
use serde_json::{Value, json};

use super::given::wrong;
use crate::graph::odata::Answer;
use crate::graph::store::{Index, Moment, Pattern, Recurrence, RecurrenceEnd};

const WEEKDAYS: &[(&str, Weekday)] = &[
    ("sunday", Weekday::Sunday),
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
];
const INDEXES: &[(&str, Index)] =
    &[("first", Index::First), ("second", Index::Second), ("third", Index::Third), ("fourth", Index::Fourth), ("last", Index::Last)];

fn name_of<T: PartialEq>(table: &'static [(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

fn by_name<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// A series as Graph shows it; what a pattern does not use is zero or the first of its kind.
pub(crate) fn write(series: &Recurrence) -> Value {
    let mut pattern =
        json!({"type": "daily", "interval": series.interval, "month": 0, "dayOfMonth": 0, "firstDayOfWeek": "sunday", "index": "first"});
    let mut put = |name: &str, value: Value| pattern[name] = value;
    let names = |days: &[Weekday]| days.iter().map(|day| name_of(WEEKDAYS, day)).collect::<Value>();
    match &series.pattern {
        Pattern::Daily => {}
        Pattern::Weekly { days, first } => {
            put("type", json!("weekly"));
            put("daysOfWeek", names(days));
            put("firstDayOfWeek", json!(name_of(WEEKDAYS, first)));
        }
        Pattern::Monthly { day } => {
            put("type", json!("absoluteMonthly"));
            put("dayOfMonth", json!(day));
        }
        Pattern::Yearly { month, day } => {
            put("type", json!("absoluteYearly"));
            put("month", json!(month));
            put("dayOfMonth", json!(day));
        }
        Pattern::RelativeMonthly { days, index } => {
            put("type", json!("relativeMonthly"));
            put("daysOfWeek", names(days));
            put("index", json!(name_of(INDEXES, index)));
        }
        Pattern::RelativeYearly { month, days, index } => {
            put("type", json!("relativeYearly"));
            put("month", json!(month));
            put("daysOfWeek", names(days));
            put("index", json!(name_of(INDEXES, index)));
        }
    }
    let (kind, end, count) = match series.end {
        RecurrenceEnd::Never => ("noEnd", "0001-01-01".to_owned(), 0),
        RecurrenceEnd::On(end) => ("endDate", end.to_string(), 0),
        RecurrenceEnd::After(count) => ("numbered", "0001-01-01".to_owned(), count),
    };
    json!({"pattern": pattern, "range": {"type": kind, "startDate": series.start.to_string(), "endDate": end,
        "recurrenceTimeZone": series.zone, "numberOfOccurrences": count}})
}

/// Reads a series; null ends one. What the pattern or the range needs must be there and make sense.
pub(crate) fn read(value: &Value, start: &Moment) -> Answer<Option<Recurrence>> {
    if value.is_null() {
        return Ok(None);
    }
    let bad = || wrong("recurrence");
    let (pattern, range) = (value.get("pattern").ok_or_else(bad)?, value.get("range").ok_or_else(bad)?);
    let text = |from: &Value, name: &str| from.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |from: &Value, name: &str| from.get(name).and_then(Value::as_i64);
    let small =
        |name: &str, most: i8| number(pattern, name).and_then(|n| i8::try_from(n).ok()).filter(|n| (1..=most).contains(n)).ok_or_else(bad);
    let day = |name: &str| text(range, name).and_then(|t| t.parse::<Date>().ok());
    let days = || {
        let names = pattern.get("daysOfWeek").and_then(Value::as_array).ok_or_else(bad)?;
        let days: Option<Vec<Weekday>> = names.iter().map(|name| by_name(WEEKDAYS, name.as_str()?)).collect();
        days.filter(|days| !days.is_empty()).ok_or_else(bad)
    };
    let index = || text(pattern, "index").map_or(Some(Index::First), |name| by_name(INDEXES, &name)).ok_or_else(bad);
    let kind = match text(pattern, "type").unwrap_or_default().to_ascii_lowercase().as_str() {
        "daily" => Pattern::Daily,
        "weekly" => {
            let first = text(pattern, "firstDayOfWeek").map_or(Some(Weekday::Sunday), |name| by_name(WEEKDAYS, &name));
            Pattern::Weekly { days: days()?, first: first.ok_or_else(bad)? }
        }
        "absolutemonthly" => Pattern::Monthly { day: small("dayOfMonth", 31)? },
        "absoluteyearly" => Pattern::Yearly { month: small("month", 12)?, day: small("dayOfMonth", 31)? },
        "relativemonthly" => Pattern::RelativeMonthly { days: days()?, index: index()? },
        "relativeyearly" => Pattern::RelativeYearly { month: small("month", 12)?, days: days()?, index: index()? },
        _ => return Err(bad()),
    };
    let end = match text(range, "type").unwrap_or_default().to_ascii_lowercase().as_str() {
        "noend" => RecurrenceEnd::Never,
        "enddate" => RecurrenceEnd::On(day("endDate").ok_or_else(bad)?),
        "numbered" => {
            let count = number(range, "numberOfOccurrences").and_then(|n| u32::try_from(n).ok());
            RecurrenceEnd::After(count.filter(|n| *n > 0).ok_or_else(bad)?)
        }
        _ => return Err(bad()),
    };
    Ok(Some(Recurrence {
        pattern: kind,
        interval: number(pattern, "interval").and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(bad)?,
        start: day("startDate").ok_or_else(bad)?,
        end,
        zone: text(range, "recurrenceTimeZone").filter(|zone| !zone.is_empty()).unwrap_or_else(|| start.zone.clone()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let start = Moment { at: jiff::civil::date(2026, 3, 2).at(9, 0, 0, 0), zone: "UTC".to_owned() };
        let days = vec![Weekday::Monday, Weekday::Friday];
        for pattern in [
            Pattern::Daily,
            Pattern::Weekly { days: days.clone(), first: Weekday::Monday },
            Pattern::Monthly { day: 31 },
            Pattern::Yearly { month: 2, day: 29 },
            Pattern::RelativeMonthly { days: days.clone(), index: Index::Last },
            Pattern::RelativeYearly { month: 11, days, index: Index::Fourth },
        ] {
            for end in [RecurrenceEnd::Never, RecurrenceEnd::On(jiff::civil::date(2027, 1, 1)), RecurrenceEnd::After(7)] {
                let series = Recurrence { pattern: pattern.clone(), interval: 2, start: start.at.date(), end, zone: "UTC".to_owned() };
                assert_eq!(read(&write(&series), &start).unwrap(), Some(series));
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let start = Moment { at: jiff::civil::date(2026, 3, 2).at(9, 0, 0, 0), zone: "UTC".to_owned() };
        let range = json!({"type": "noEnd", "startDate": "2026-03-02"});
        for pattern in [
            json!({"type": "hourly", "interval": 1}),
            json!({"type": "daily", "interval": 0}),
            json!({"type": "weekly", "interval": 1}),
            json!({"type": "weekly", "interval": 1, "daysOfWeek": ["someday"]}),
            json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 32}),
            json!({"type": "relativeYearly", "interval": 1, "daysOfWeek": ["monday"], "month": 13}),
            json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["monday"], "index": "fifth"}),
        ] {
            assert!(read(&json!({"pattern": pattern, "range": range}), &start).is_err(), "{pattern}");
        }
        let daily = json!({"type": "daily", "interval": 1});
        assert!(read(&json!({"pattern": daily, "range": {"type": "numbered", "startDate": "2026-03-02"}}), &start).is_err());
        assert!(read(&json!({"pattern": daily}), &start).is_err());
    }
}
