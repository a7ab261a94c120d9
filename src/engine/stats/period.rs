//! A period read back from the ledger: totals, tables, and a series to draw.

use std::time::Duration;

use super::{super::CallError, Engine, Stats};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    store::{About, CountsQuery, Span},
};

/// Stretches read at once, so that other reads of the store come in between: with forty cells in use some hundred rows.
const AT_ONCE: u32 = 8;

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Period {
    /// The last hour, in stretches of five minutes.
    Hour,
    /// The last 24 hours, by the hour.
    #[default]
    Day,
    /// The last seven days, by the hour.
    Week,
    /// Everything that is kept, by the day.
    All,
}

impl Period {
    /// All of them by their words.
    pub const WORDS: [(&str, Self); 4] = [("hour", Self::Hour), ("day", Self::Day), ("week", Self::Week), ("all", Self::All)];

    /// The period called `word`.
    pub fn named(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, period)| period)
    }

    /// Its word, as in the parameter of `cache_get_stats`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::All => "all",
        }
    }

    /// Length of the stretches it is read in.
    fn span(self) -> Span {
        match self {
            Self::Hour => Span::Moment,
            Self::Day | Self::Week => Span::Hour,
            Self::All => Span::Day,
        }
    }

    /// Stretches before the current one; `None` for all there are.
    fn stretches(self) -> Option<u32> {
        match self {
            Self::Hour => Some(12),
            Self::Day => Some(24),
            Self::Week => Some(7 * 24),
            Self::All => None,
        }
    }

    /// Stretches in one point of the series, and points at most.
    fn points(self) -> (u32, usize) {
        match self {
            Self::Hour => (1, 13),
            Self::Day => (1, 25),
            Self::Week => (6, 29),
            Self::All => (1, 30),
        }
    }
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// How far back.
    pub period: Period,
    /// Only this account's.
    pub account: Option<AccountId>,
}

/// One point of the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    /// When it begins.
    pub at: Timestamp,
    /// Reads served from the cache.
    pub hits: u64,
    /// Reads that the cache had no answer for.
    pub misses: u64,
}

/// What a period came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// How far back.
    pub period: Period,
    /// Since when, to the stretch. For everything: since the first that is kept.
    pub since: Timestamp,
    /// The counts. [`Stats::overtaken`] is not kept and zero here.
    pub stats: Stats,
    /// How it went, the oldest point first.
    pub series: Vec<Point>,
}

impl Engine {
    /// What a period came to, this moment included.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn statistics(&self, asked: &Asked) -> Result<Statistics, CallError> {
        self.flush_counts().await;
        let (period, span) = (asked.period, asked.period.span());
        let current = span.start(self.clock.now());
        let since = match period.stretches() {
            Some(stretches) => current.minus(span.length() * stretches),
            None => self.ledger.first_count(span).await?.unwrap_or(current).min(current),
        };
        let (in_a_point, most) = period.points();
        let step = span.length() * in_a_point;
        let (mut stats, mut series) = (Stats::default(), empty(since, current, step, most));
        let first = series.first().map_or(current, |point| point.at);
        let mut from = since;
        while from <= current {
            let until = from.plus(span.length() * AT_ONCE).min(current.plus(Duration::from_millis(1)));
            let query = CountsQuery { span, from, until, account: asked.account.clone() };
            for row in self.ledger.counts(query).await? {
                let counted = &row.counted;
                stats.add(&counted.account, &counted.about, &counted.counts);
                let place = usize::try_from(row.at.since(first).as_millis() / step.as_millis()).unwrap_or(usize::MAX);
                if matches!(counted.about, About::Tool(_))
                    && row.at >= first
                    && let Some(point) = series.get_mut(place)
                {
                    point.hits += counted.counts.hits + counted.counts.stale_hits;
                    point.misses += counted.counts.misses;
                }
            }
            from = until;
        }
        Ok(Statistics { period, since, stats, series })
    }
}

/// Points of `step` from `since` to the one that `current` lies in; of too many the latest.
fn empty(since: Timestamp, current: Timestamp, step: Duration, most: usize) -> Vec<Point> {
    let points = usize::try_from(current.since(since).as_millis() / step.as_millis()).unwrap_or(usize::MAX).saturating_add(1);
    let left_out = u32::try_from(points.saturating_sub(most)).unwrap_or(u32::MAX);
    let first = since.plus(step * left_out);
    let point = |at| Point { at: first.plus(step * at), ..Point::default() };
    (0..u32::try_from(points.min(most)).unwrap_or(0)).map(point).collect()
}
