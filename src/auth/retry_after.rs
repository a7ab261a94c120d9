//! `Retry-After`, as Graph and the identity service send it: seconds or a date, and never more than an hour.

use std::time::Duration;

use crate::clock::Timestamp;

/// The longest wait that a `Retry-After` can ask of us.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long `Retry-After` asks to wait: seconds, or a date, counted from the answer's own `Date` so that clocks need not agree.
pub(crate) fn retry_after(value: Option<&str>, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST));
    }
    let at = http_date(value)?;
    let from = date.and_then(http_date).unwrap_or(now);
    Some(at.since(from).min(LONGEST))
}

/// A date of RFC 9110, 5.6.7, in the form that is sent today.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT

    #[test]
    fn a_date_of_a_header_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(NOW));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let of = |value| retry_after(Some(value), None, NOW);
        assert_eq!(of("10"), Some(Duration::from_secs(10)));
        assert_eq!(of(" 0 "), Some(Duration::ZERO));
        assert_eq!(of("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:57 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO), "in the past");
        assert_eq!(of("999999999"), Some(LONGEST));
        assert_eq!(of("soon"), None);
        assert_eq!(of("-5"), None);
        let date = Some("Mon, 07 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(Some("Mon, 07 Nov 1994 08:49:40 GMT"), date, NOW), Some(Duration::from_secs(3)), "whatever our clock says");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value: String, date: String) {
            let _ = retry_after(Some(&value), Some(&date), NOW);
        }
    }
}
