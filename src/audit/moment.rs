//! Times as people write them: some time ago, a date, or a moment.

use std::time::Duration;

use crate::clock::Timestamp;

/// `15m`, `2h` or `7d` before `now`; a date (its beginning, UTC); or RFC 3339.
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some((number, unit)) = text.char_indices().last().map(|(at, _)| text.split_at(at)) {
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => 0,
        };
        if let (Ok(number), 1..) = (number.parse::<u32>(), seconds) {
            return Some(now.minus(Duration::from_secs(u64::from(number) * seconds)));
        }
    }
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_times_in_three_ways() {
        let now = Timestamp(10 * 24 * 3_600_000);
        assert_eq!(moment("2h", now), Some(now.minus(Duration::from_secs(7200))));
        assert_eq!(moment(" 7d ", now), Some(Timestamp(3 * 24 * 3_600_000)));
        assert_eq!(moment("1970-01-02", now), Some(Timestamp(24 * 3_600_000)));
        assert_eq!(moment("1970-01-01T01:00:00+01:00", now), Some(Timestamp(0)));
        for wrong in ["", "d", "-1d", "2w", "yesterday", "ü", "2026-13-01"] {
            assert_eq!(moment(wrong, now), None, "{wrong}");
        }
    }
}
