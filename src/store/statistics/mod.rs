//! Statistics as the ledger keeps them: what calls came to, in stretches of time, by account and by tool or client. Content-free.
//!
//! Every event is counted twice, under its tool and under its client, so that the rows are tools *plus* clients and not tools *times*
//! clients. Three lengths of stretches are kept, each for a time of its own, and every flush adds to all three:
//!
//! | stretch | kept | serves |
//! |---|---|---|
//! | 5 minutes | 2 hours | the last hour, which moves on smoothly and outlives a restart |
//! | an hour | 7 days and the current hour | a day, a week |
//! | a day (UTC) | 400 days: a year and the month before it | everything |
//!
//! A row takes about 100 bytes. Forty cells in use all day (two accounts, fifteen tools, five clients) come to 40 x (24 + 168 + 400) rows:
//! 2.4 MB after a year. What is too old goes some hundred rows at a flush, which makes far fewer. Rows of the future, from a
//! clock that was wrong, are not shown and not removed: their time comes.

mod times;

use std::time::Duration;

pub use times::{BUCKETS, Times, bucket_of, ends_below};

use crate::{clock::Timestamp, ids::AccountId};

/// A length of time for which counts are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// Five minutes.
    Moment,
    /// An hour.
    Hour,
    /// A day, by UTC.
    Day,
}

impl Span {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Moment, Self::Hour, Self::Day];

    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Moment => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    /// How long its rows are kept.
    pub fn kept(self) -> Duration {
        Duration::from_secs(match self {
            Self::Moment => 2 * 3_600,
            Self::Hour => 7 * 86_400,
            Self::Day => 400 * 86_400,
        })
    }

    /// The beginning of the stretch that `at` lies in.
    pub fn start(self, at: Timestamp) -> Timestamp {
        let length = self.millis();
        Timestamp(at.0.div_euclid(length) * length)
    }

    /// Rows that begin before this are too old at `now`.
    pub(super) fn oldest(self, now: Timestamp) -> Timestamp {
        self.start(now.minus(self.kept()))
    }

    /// Its length in milliseconds, which also names it in the store.
    pub(super) fn millis(self) -> i64 {
        i64::try_from(self.length().as_millis()).unwrap_or(i64::MAX)
    }
}

/// What a row counts calls of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A tool, by its name.
    Tool(String),
    /// A client, by the name it gives itself.
    Client(String),
}

/// What calls came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Served from the cache within the fresh time.
    pub hits: u64,
    /// Served from the cache past the fresh time.
    pub stale_hits: u64,
    /// Asked from Microsoft because the cache had no answer.
    pub misses: u64,
    /// Asked from Microsoft because caching was off for the call.
    pub bypassed: u64,
    /// Misses that shared another's request.
    pub coalesced: u64,
    /// Old answers given because Microsoft could not be asked.
    pub stale_if_error: u64,
    /// Background refreshes.
    pub refreshes: u64,
    /// Graph requests that hits and shared fetches did not make, in thousandths: each counts as the mean of its tool.
    pub saved_milli: u64,
    /// Fetches from Microsoft, background ones too.
    pub fetches: u64,
    /// Graph requests those fetches made.
    pub requests: u64,
    /// Graph requests besides: of feeds, what has changed or for a token, and of a mailbox or drive, which it is.
    pub checks: u64,
    /// Entries thrown out to keep the cache within its limits.
    pub evicted: u64,
    /// Their bytes as stored.
    pub evicted_bytes: u64,
    /// How long calls took that were served from the cache.
    pub hit_times: Times,
    /// How long calls took that were answered by Microsoft.
    pub fetch_times: Times,
}

/// Numbers of [`Counts`] beside the times.
pub(super) const NUMBERS: usize = 13;

impl Counts {
    /// The numbers in the order in which they are stored. New ones go to the end.
    pub(super) fn numbers(&self) -> [u64; NUMBERS] {
        [
            self.hits,
            self.stale_hits,
            self.misses,
            self.bypassed,
            self.coalesced,
            self.stale_if_error,
            self.refreshes,
            self.saved_milli,
            self.fetches,
            self.requests,
            self.evicted,
            self.evicted_bytes,
            self.checks,
        ]
    }

    fn numbers_mut(&mut self) -> [&mut u64; NUMBERS] {
        [
            &mut self.hits,
            &mut self.stale_hits,
            &mut self.misses,
            &mut self.bypassed,
            &mut self.coalesced,
            &mut self.stale_if_error,
            &mut self.refreshes,
            &mut self.saved_milli,
            &mut self.fetches,
            &mut self.requests,
            &mut self.evicted,
            &mut self.evicted_bytes,
            &mut self.checks,
        ]
    }

    /// Counts with these numbers, in the order of [`Counts::numbers`].
    #[cfg(any(test, feature = "sqlcipher", feature = "system-openssl"))]
    pub(super) fn from_numbers(numbers: [u64; NUMBERS]) -> Self {
        let mut counts = Self::default();
        for (place, number) in counts.numbers_mut().into_iter().zip(numbers) {
            *place = number;
        }
        counts
    }

    /// Adds `more`.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in self.numbers_mut().into_iter().zip(more.numbers()) {
            *sum = sum.saturating_add(more);
        }
        self.hit_times.add(&more.hit_times);
        self.fetch_times.add(&more.fetch_times);
    }

    /// What came since these counts were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (now, before) in since.numbers_mut().into_iter().zip(earlier.numbers()) {
            *now = now.saturating_sub(before);
        }
        since.hit_times = self.hit_times.since(&earlier.hit_times);
        since.fetch_times = self.fetch_times.since(&earlier.fetch_times);
        since
    }

    /// Graph requests that were made for reads, waited for or not. Retries are not counted.
    pub fn made(&self) -> u64 {
        self.requests.saturating_add(self.checks)
    }

    /// The share of cached reads that were served from the cache, 0 to 1; `None` before the first.
    pub fn hit_rate(&self) -> Option<f64> {
        let hits = self.hits + self.stale_hits;
        let reads = hits + self.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        (reads > 0).then(|| hits as f64 / reads as f64)
    }
}

/// Counts of one account's calls of a tool, or by a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub about: About,
    /// How many.
    pub counts: Counts,
}

/// The counts of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedIn {
    /// When the stretch began.
    pub at: Timestamp,
    /// What was counted in it.
    pub counted: Counted,
}

/// Which rows to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountsQuery {
    /// Stretches of this length.
    pub span: Span,
    /// That begin at this time or later.
    pub from: Timestamp,
    /// And before this one.
    pub until: Timestamp,
    /// Only this account's.
    pub account: Option<AccountId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_where_the_clock_says_so_also_before_1970() {
        assert_eq!(Span::Hour.start(Timestamp(3_600_000 * 5 + 17)), Timestamp(3_600_000 * 5));
        assert_eq!(Span::Moment.start(Timestamp(-1)), Timestamp(-300_000));
        assert_eq!(Span::Day.start(Timestamp(86_400_000)), Timestamp(86_400_000));
    }

    #[test]
    fn numbers_keep_their_places_and_what_is_added_can_be_told_again() {
        let numbers: [u64; NUMBERS] = std::array::from_fn(|at| at as u64 * 7 + 1);
        let mut counts = Counts::from_numbers(numbers);
        assert_eq!(counts.numbers(), numbers);
        counts.hit_times.note(90);
        let before = counts.clone();
        let mut more = Counts { hits: 2, evicted_bytes: 9, ..Counts::default() };
        more.fetch_times.note(4_000);
        counts.add(&more);
        assert_eq!(counts.since(&before), more);
        assert_eq!(counts.since(&counts), Counts::default());
    }
}
