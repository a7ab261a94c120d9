//! The one place here that reads the machine's clock: to measure, and for deadlines.

use std::time::{Duration, Instant};

/// Now, for measuring and for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "measuring is what this crate is for; nothing it judges depends on this clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// What a piece of work took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let result = work();
    (result, start.elapsed())
}

/// The value below which `share` (0 to 1) of the samples lie; zero without samples. Sorts them.
pub fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a small slice")]
    let index = ((samples.len().saturating_sub(1)) as f64 * share).round() as usize;
    samples.get(index).copied().unwrap_or_default()
}

/// Microseconds with one decimal.
#[must_use]
pub fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

/// Milliseconds with one decimal.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
