//! Times as people write them, moments as Graph writes them, and the way between the two.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::temporal::Pieces,
    tz::{AmbiguousOffset, Offset},
};
use serde_json::{Value, json};

use super::{shape::text, zone::Zone};

/// The years Exchange keeps times of.
const YEARS: std::ops::RangeInclusive<i16> = 1601..=4500;

/// A time as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// A whole day: `2026-11-20`.
    Day(Date),
    /// By the clock on the wall, of a zone that is said elsewhere: `2026-11-20T10:00`.
    Wall(DateTime),
    /// With its offset: `2026-11-20T10:00+01:00`, or `Z`.
    Fixed(DateTime, Offset),
}

impl Given {
    /// Reads ISO 8601: a date, or a date and a time, with an offset or without.
    pub(super) fn read(given: &str) -> Option<Self> {
        let pieces = Pieces::parse(given.trim()).ok()?;
        let date = Some(pieces.date()).filter(|date| YEARS.contains(&date.year()))?;
        match (pieces.time(), pieces.to_numeric_offset(), pieces.time_zone_annotation()) {
            (None, None, None) => Some(Self::Day(date)),
            (Some(time), None, None) => Some(Self::Wall(date.to_datetime(time))),
            // Its moment has to lie within the years too.
            (Some(time), Some(offset), None) => {
                offset.to_timestamp(date.to_datetime(time)).is_ok().then(|| Self::Fixed(date.to_datetime(time), offset))
            }
            _ => None,
        }
    }

    /// The one spelling of it.
    pub(super) fn spelled(self) -> String {
        match self {
            Self::Day(date) => date.to_string(),
            Self::Wall(at) => at.to_string(),
            Self::Fixed(at, Offset::UTC) => format!("{at}Z"),
            Self::Fixed(at, offset) => format!("{at}{}", spelled(offset)),
        }
    }

    /// Whether one has to know a zone to say when it is.
    pub(super) fn needs_zone(self) -> bool {
        !matches!(self, Self::Fixed(..))
    }

    /// When it is, by the clocks of `zone` if it does not say so itself; a day begins when it begins there. `None` for a time that those
    /// clocks skip. Of a time that they show twice it is the first.
    pub(super) fn moment(self, zone: &Zone) -> Option<Timestamp> {
        match self {
            Self::Fixed(at, offset) => offset.to_timestamp(at).ok(),
            // Some zones skip midnight, and their day begins when the clocks go on.
            Self::Day(date) => {
                zone.rules().to_ambiguous_zoned(date.to_datetime(Time::midnight())).compatible().ok().map(|at| at.timestamp())
            }
            Self::Wall(at) => {
                let ambiguous = zone.rules().to_ambiguous_timestamp(at);
                if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) { None } else { ambiguous.earlier().ok() }
            }
        }
    }

    /// The moment `days` days later as a calendar counts them: where the clocks change a day has 23 hours, or 25. With an offset each has 24. A
    /// time that the clocks of `zone` skip is as far behind the gap as it would be into it.
    pub(super) fn days_on(self, days: i64, zone: &Zone) -> Option<Timestamp> {
        let days = jiff::Span::new().try_days(days).ok()?;
        match self {
            Self::Day(date) => Self::Day(date.checked_add(days).ok()?).moment(zone),
            Self::Wall(at) => zone.rules().to_ambiguous_zoned(at.checked_add(days).ok()?).compatible().ok().map(|at| at.timestamp()),
            Self::Fixed(at, offset) => Self::Fixed(at.checked_add(days).ok()?, offset).moment(zone),
        }
    }

    /// The day it names; `None` when it also names a time other than midnight.
    pub(super) fn day(self) -> Option<Date> {
        match self {
            Self::Day(date) => Some(date),
            Self::Wall(at) | Self::Fixed(at, _) => (at.time() == Time::midnight()).then(|| at.date()),
        }
    }
}

fn spelled(offset: Offset) -> String {
    let seconds = offset.seconds();
    format!("{}{:02}:{:02}", if seconds < 0 { '-' } else { '+' }, seconds.abs() / 3600, seconds.abs() / 60 % 60)
}

/// `moment` by the clocks of `zone`, with their offset: `2026-11-20T10:00:00+01:00`.
pub(super) fn local(moment: Timestamp, zone: &Zone) -> String {
    let offset = zone.rules().to_offset(moment);
    format!("{}{}", offset.to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S"), spelled(offset))
}

/// `moment` as Graph's `dateTimeTimeZone` in `zone`; in UTC when the clocks of the zone show that time twice, for then only UTC says which.
pub(super) fn in_zone(moment: Timestamp, zone: &Zone) -> Value {
    let wall = zone.rules().to_datetime(moment);
    match zone.rules().to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { .. } => wall_time(wall, zone),
        _ => wall_time(Offset::UTC.to_datetime(moment), &Zone::utc()),
    }
}

/// A day as Graph's `dateTimeTimeZone`: its midnight.
pub(super) fn day_in_zone(day: Date, zone: &Zone) -> Value {
    wall_time(day.to_datetime(Time::midnight()), zone)
}

fn wall_time(at: DateTime, zone: &Zone) -> Value {
    json!({ "dateTime": at.strftime("%Y-%m-%dT%H:%M:%S%.f").to_string(), "timeZone": zone.exchange_name() })
}

/// When Graph's `dateTimeTimeZone` is; `None` when it is in a zone nobody but Exchange knows.
pub(super) fn moment_of(value: &Value) -> Option<Timestamp> {
    let zone = text(value, "timeZone").map_or_else(|| Some(Zone::utc()), Zone::find)?;
    wall_of(value)?.to_zoned(zone.rules().clone()).ok().map(|at| at.timestamp())
}

/// What the clock shows in Graph's `dateTimeTimeZone`, whatever its zone.
pub(super) fn wall_of(value: &Value) -> Option<DateTime> {
    text(value, "dateTime")?.trim_end_matches('Z').parse().ok()
}

/// How many days lie between the midnights that an all-day event starts and ends at.
pub(super) fn day_span(start: &Value, end: &Value) -> Option<i32> {
    wall_of(start)?.date().until(wall_of(end)?.date()).ok().map(|span| span.get_days())
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
