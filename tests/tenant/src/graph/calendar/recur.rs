//! On which days a series happens, and when by the clock of the world.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::graph::store::{Event, Index, Moment, Pattern, Recurrence, RecurrenceEnd};
use crate::graph::zones;

/// One happening of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// The day on which the series puts it; `None` for a single event.
    pub(crate) day: Option<Date>,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
}

/// How far a series without an end is followed: no window asked for is longer than this many days (five years).
pub(crate) const LONGEST_WINDOW_DAYS: i64 = 1_825;

/// The instant of a wall-clock time. A time that summer time skips is taken an hour later, one that comes twice the
/// first time, as calendars do.
pub(crate) fn instant(moment: &Moment) -> Timestamp {
    let zone = zones::find(&moment.zone).unwrap_or(TimeZone::UTC);
    zone.to_ambiguous_timestamp(moment.at).compatible().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The days of a series from its start to `last`, in order; days that were cancelled are counted but not left out.
pub(crate) fn days(series: &Recurrence, last: Date) -> Vec<Date> {
    let last = match series.end {
        RecurrenceEnd::On(end) => last.min(end),
        RecurrenceEnd::Never | RecurrenceEnd::After(_) => last,
    };
    let most = match series.end {
        RecurrenceEnd::After(count) => count as usize,
        RecurrenceEnd::Never | RecurrenceEnd::On(_) => usize::MAX,
    };
    let step = i64::from(series.interval.max(1));
    let mut out = Vec::new();
    for round in 0_i64.. {
        let base = match &series.pattern {
            Pattern::Daily => series.start.checked_add((round * step).days()),
            Pattern::Weekly { first, .. } => week_start(series.start, *first).checked_add((round * step).weeks()),
            Pattern::Monthly { .. } | Pattern::RelativeMonthly { .. } => series.start.first_of_month().checked_add((round * step).months()),
            Pattern::Yearly { .. } | Pattern::RelativeYearly { .. } => series.start.first_of_year().checked_add((round * step).years()),
        };
        let Some(base) = base.ok().filter(|base| *base <= last) else {
            return out;
        };
        for day in within(&series.pattern, base) {
            if day < series.start {
                continue;
            }
            if day > last || out.len() >= most {
                return out;
            }
            out.push(day);
        }
    }
    out
}

/// The days of one round of the pattern, which begins at `base`.
fn within(pattern: &Pattern, base: Date) -> Vec<Date> {
    match pattern {
        Pattern::Daily => vec![base],
        Pattern::Weekly { days, .. } => {
            (0..7).filter_map(|n| base.checked_add(n.days()).ok()).filter(|day| days.contains(&day.weekday())).collect()
        }
        // The 31st of a short month is its last day.
        Pattern::Monthly { day } => vec![clamped(base, *day)],
        Pattern::Yearly { month, day } => vec![clamped(month_of(base, *month), *day)],
        Pattern::RelativeMonthly { days, index } => relative(base, days, *index).into_iter().collect(),
        Pattern::RelativeYearly { month, days, index } => relative(month_of(base, *month), days, *index).into_iter().collect(),
    }
}

fn month_of(year: Date, month: i8) -> Date {
    Date::new(year.year(), month.clamp(1, 12), 1).unwrap_or(year)
}

/// The first, second … or last day of a month that is one of these weekdays.
fn relative(month: Date, days: &[Weekday], index: Index) -> Option<Date> {
    let mut fits = (1..=month.days_in_month()).map(|day| clamped(month, day)).filter(|day| days.contains(&day.weekday()));
    match index {
        Index::First => fits.next(),
        Index::Second => fits.nth(1),
        Index::Third => fits.nth(2),
        Index::Fourth => fits.nth(3),
        Index::Last => fits.next_back(),
    }
}

fn clamped(month: Date, day: i8) -> Date {
    let day = day.clamp(1, month.days_in_month());
    Date::new(month.year(), month.month(), day).unwrap_or(month)
}

fn week_start(day: Date, first: Weekday) -> Date {
    let back = i64::from((day.weekday().to_monday_zero_offset() - first.to_monday_zero_offset()).rem_euclid(7));
    day.checked_sub(back.days()).unwrap_or(day)
}

/// What of an event lies in the window: it ends after `from` and starts before `to`.
pub(crate) fn occurrences(event: &Event, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
    let overlaps = |start: &Moment, end: &Moment| {
        let (start, end) = (instant(start), instant(end));
        start < to && (end > from || (start == end && start >= from))
    };
    let Some(series) = &event.recurrence else {
        let whole = Occurrence { day: None, start: event.start.clone(), end: event.end.clone() };
        return if overlaps(&whole.start, &whole.end) { vec![whole] } else { Vec::new() };
    };
    // An exception may lie days away from its place, so the series is followed a little beyond the window.
    let last = to.to_zoned(TimeZone::UTC).date();
    let last = event.exceptions.keys().copied().fold(last, Date::max).checked_add(1.day()).unwrap_or(last);
    days(series, last)
        .into_iter()
        .filter(|day| !event.cancelled.contains(day))
        .map(|day| occurrence(event, day))
        .filter(|o| overlaps(&o.start, &o.end))
        .collect()
}

/// The happening on one day of the series, moved if that day was moved.
pub(crate) fn occurrence(event: &Event, day: Date) -> Occurrence {
    if let Some(exception) = event.exceptions.get(&day) {
        return Occurrence { day: Some(day), start: exception.start.clone(), end: exception.end.clone() };
    }
    let planned = event.planned(day);
    Occurrence { day: Some(day), start: planned.start, end: planned.end }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn series(pattern: Pattern, interval: i32, start: Date, end: RecurrenceEnd) -> Recurrence {
        Recurrence { pattern, interval, start, end, zone: "UTC".to_owned() }
    }

    #[test]
    fn patterns_give_the_days_of_a_calendar() {
        let monday = date(2026, 10, 5);
        let weekly = Pattern::Weekly { days: vec![Weekday::Monday, Weekday::Thursday], first: Weekday::Sunday };
        let found = days(&series(weekly, 2, monday, RecurrenceEnd::After(4)), date(2027, 1, 1));
        assert_eq!(found, [date(2026, 10, 5), date(2026, 10, 8), date(2026, 10, 19), date(2026, 10, 22)]);
        let last = series(Pattern::Monthly { day: 31 }, 1, date(2026, 1, 31), RecurrenceEnd::On(date(2026, 4, 30)));
        assert_eq!(days(&last, date(2030, 1, 1)), [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]);
        let leap = series(Pattern::Yearly { month: 2, day: 29 }, 1, date(2024, 2, 29), RecurrenceEnd::After(2));
        assert_eq!(days(&leap, date(2030, 1, 1)), [date(2024, 2, 29), date(2025, 2, 28)]);
    }

    #[test]
    fn relative_patterns_count_weekdays_in_the_month() {
        let friday = vec![Weekday::Friday];
        let last = Pattern::RelativeMonthly { days: friday.clone(), index: Index::Last };
        let found = days(&series(last, 1, date(2026, 1, 1), RecurrenceEnd::After(3)), date(2027, 1, 1));
        assert_eq!(found, [date(2026, 1, 30), date(2026, 2, 27), date(2026, 3, 27)]);
        let second = Pattern::RelativeMonthly { days: vec![Weekday::Monday, Weekday::Tuesday], index: Index::Second };
        let found = days(&series(second, 2, date(2026, 6, 3), RecurrenceEnd::After(2)), date(2027, 1, 1));
        assert_eq!(found, [date(2026, 8, 4), date(2026, 10, 6)], "June's lay before the start");
        let thanks = Pattern::RelativeYearly { month: 11, days: vec![Weekday::Thursday], index: Index::Fourth };
        let found = days(&series(thanks, 1, date(2025, 1, 1), RecurrenceEnd::Never), date(2027, 12, 31));
        assert_eq!(found, [date(2025, 11, 27), date(2026, 11, 26), date(2027, 11, 25)]);
        let leap = Pattern::RelativeMonthly { days: friday, index: Index::Fourth };
        assert_eq!(days(&series(leap, 1, date(2026, 1, 1), RecurrenceEnd::On(date(2026, 1, 22))), date(2027, 1, 1)), []);
    }

    #[test]
    fn the_first_day_of_the_week_decides_every_second_week() {
        // RFC 5545's example: from Tuesday 5 August 1997, every other week on Tuesday and Sunday.
        let days_of = |first| {
            let pattern = Pattern::Weekly { days: vec![Weekday::Tuesday, Weekday::Sunday], first };
            days(&series(pattern, 2, date(1997, 8, 5), RecurrenceEnd::After(4)), date(1998, 1, 1))
        };
        assert_eq!(days_of(Weekday::Monday), [date(1997, 8, 5), date(1997, 8, 10), date(1997, 8, 19), date(1997, 8, 24)]);
        assert_eq!(days_of(Weekday::Sunday), [date(1997, 8, 5), date(1997, 8, 17), date(1997, 8, 19), date(1997, 8, 31)]);
    }

    proptest! {
        #[test]
        fn a_longer_look_only_adds_days(interval in 1_i32..4, ahead in 0_i64..400, more in 0_i64..400, kind in 0_u8..3) {
            let start = date(2026, 3, 1);
            let pattern = match kind {
                0 => Pattern::Daily,
                1 => Pattern::Weekly { days: vec![Weekday::Sunday, Weekday::Friday], first: Weekday::Monday },
                _ => Pattern::Monthly { day: 30 },
            };
            let series = series(pattern, interval, start, RecurrenceEnd::Never);
            let near = days(&series, start.checked_add(ahead.days()).unwrap());
            let far = days(&series, start.checked_add((ahead + more).days()).unwrap());
            prop_assert_eq!(&far[..near.len()], &near[..]);
            prop_assert!(far.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
