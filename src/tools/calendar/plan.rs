//! When something is to be: from times as they were given to what is sent.

use jiff::Timestamp;
use serde_json::Value;

use crate::tools::{
    Args, StepError,
    time::{Given, day_in_zone, in_zone},
    zone::Zone,
};

/// The time a call gave under `name`.
pub(super) fn given(args: &Args, name: &str) -> Option<Given> {
    args.text(name).and_then(Given::read)
}

/// A time that the clocks of a zone skip.
pub(super) fn skipped(zone: &Zone) -> StepError {
    StepError::user(
        "invalid_argument",
        format!("there is no such time in {}: the clocks are put forward over it", zone.name()),
        "Give the time with its offset, such as 2026-11-20T10:00+01:00.",
    )
}

/// The zone by which times without an offset are read.
pub(super) fn known(zone: Option<&Zone>) -> Result<&Zone, StepError> {
    zone.ok_or_else(|| {
        StepError::user(
            "timezone_needed",
            "times without an offset need a time zone, and the mailbox's own could not be read",
            "Give times with an offset, such as 2026-11-20T10:00+01:00, or `timezone` where the tool has it.",
        )
    })
}

/// When a time is that is not a whole day, by the clocks of `zone` if it does not say so itself.
pub(super) fn moment(given: Given, zone: Option<&Zone>) -> Result<Timestamp, StepError> {
    if let Given::Day(_) = given {
        let hint = "Give a time too, such as 2026-11-20T10:00; whole days are for all-day events (is_all_day=true).";
        return Err(StepError::user("invalid_argument", "a date alone is no time", hint));
    }
    let zone = if given.needs_zone() { known(zone)? } else { &Zone::utc() };
    given.moment(zone).ok_or_else(|| skipped(zone))
}

/// Two moments in order.
pub(super) fn in_order(start: Timestamp, end: Timestamp) -> Result<(Timestamp, Timestamp), StepError> {
    if start < end {
        return Ok((start, end));
    }
    Err(StepError::user("invalid_argument", "start does not lie before end", "Check the two times and their offsets."))
}

/// Start and end of something that takes hours, kept in `zone`.
pub(super) fn hours(start: Given, end: Given, zone: Option<&Zone>) -> Result<(Value, Value), StepError> {
    let (start, end) = in_order(moment(start, zone)?, moment(end, zone)?)?;
    let utc = Zone::utc();
    let zone = zone.unwrap_or(&utc);
    Ok((in_zone(start, zone), in_zone(end, zone)))
}

/// Start and end of something that takes whole days, whichever zone it is looked at from.
pub(super) fn days(start: Given, end: Given, zone: &Zone) -> Result<(Value, Value), StepError> {
    let (Some(start), Some(end)) = (start.day(), end.day()) else {
        let hint = "Give dates, such as 2026-11-20 and, for one day, 2026-11-21.";
        return Err(StepError::user("invalid_argument", "an all-day event starts and ends at midnight", hint));
    };
    if start >= end {
        let hint = "The end of an all-day event is the day after its last: 2026-11-20 to 2026-11-21 is one day.";
        return Err(StepError::user("invalid_argument", "start does not lie before end", hint));
    }
    Ok((day_in_zone(start, zone), day_in_zone(end, zone)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Given {
        Given::read(text).unwrap()
    }

    #[test]
    fn hours_are_kept_in_the_zone_they_are_planned_in() {
        let berlin = Zone::find("Europe/Berlin");
        let sent = |start, end, zone: Option<&Zone>| hours(read(start), read(end), zone).map_err(|error| error.message);
        let expected = (
            json!({"dateTime": "2026-11-20T10:00:00", "timeZone": "W. Europe Standard Time"}),
            json!({"dateTime": "2026-11-20T11:30:00", "timeZone": "W. Europe Standard Time"}),
        );
        assert_eq!(sent("2026-11-20T10:00", "2026-11-20T11:30", berlin.as_ref()), Ok(expected.clone()));
        assert_eq!(sent("2026-11-20T09:00Z", "2026-11-20T19:30+09:00", berlin.as_ref()), Ok(expected));
        let (start, _) = sent("2026-11-20T10:00+01:00", "2026-11-20T11:00+01:00", None).unwrap();
        assert_eq!(start, json!({"dateTime": "2026-11-20T09:00:00", "timeZone": "UTC"}));
        for (start, end, zone, why) in [
            ("2026-11-20T10:00", "2026-11-20T10:00", berlin.as_ref(), "before end"),
            ("2026-11-20T10:00Z", "2026-11-20T10:30+01:00", None, "before end"),
            ("2026-11-20T10:00", "2026-11-20T11:00", None, "need a time zone"),
            ("2026-11-20", "2026-11-21", berlin.as_ref(), "date alone"),
            ("2026-03-29T02:30", "2026-03-29T04:00", berlin.as_ref(), "put forward"),
        ] {
            assert!(sent(start, end, zone).unwrap_err().contains(why), "{start} {end}");
        }
    }

    #[test]
    fn days_stay_days() {
        let tokyo = Zone::find("Asia/Tokyo").unwrap();
        let sent = |start, end| days(read(start), read(end), &tokyo).map_err(|error| error.message);
        let (start, end) = sent("2026-11-20", "2026-11-22T00:00-08:00").unwrap();
        assert_eq!(start, json!({"dateTime": "2026-11-20T00:00:00", "timeZone": "Tokyo Standard Time"}));
        assert_eq!(end["dateTime"], "2026-11-22T00:00:00");
        assert!(sent("2026-11-20", "2026-11-20").unwrap_err().contains("before end"));
        assert!(sent("2026-11-20T09:00", "2026-11-21").unwrap_err().contains("midnight"));
    }
}
