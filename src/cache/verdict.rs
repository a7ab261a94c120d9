//! The verdict on an entry: serve it, serve it and refresh it, or fetch.

use std::{collections::BTreeSet, time::Duration};

use super::{Check, EntryMeta, Feed, FeedOf, Marks, Reading, Scope, Ttl, VOUCHED};
use crate::{clock::Timestamp, ids::AccountId};

/// What is known of scopes at the moment of judging; a few look-ups in memory, no SQL.
pub trait ScopeView {
    /// The marks of `scope` in the source of `reading`, or `None` when the epoch is another one now.
    fn marks(&self, reading: &Reading, scope: &Scope) -> Option<Marks>;
    /// The last check by `account` of a feed of that source; `None` when it has no token for it.
    fn checked(&self, reading: &Reading, account: &AccountId, feed: &Feed) -> Option<Check>;
}

/// How the caller wants to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// From the cache when it may be.
    #[default]
    Normal,
    /// Ask Graph; the cache only stands in when that fails.
    ForceRefresh,
}

/// An entry that may stand in when the fetch fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// Since the fetch that made it began.
    pub age: Duration,
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Serve {
        /// Since it was last known to be true.
        age: Duration,
    },
    /// Serve it and refresh it once in the background.
    ServeThenRefresh {
        /// Since it was last known to be true.
        age: Duration,
    },
    /// Ask Graph.
    Fetch {
        /// Set when the entry may be served should that fail; to be judged again then.
        fallback: Option<Fallback>,
    },
}

/// How an entry stands to the changes we know of.
enum Standing {
    True,
    OvertakenByOthers,
    Never,
}

fn standing(meta: &EntryMeta, view: &impl ScopeView) -> Standing {
    let mut standing = Standing::True;
    for reading in &meta.readings {
        for scope in reading.scopes.iter().filter(|scope| scope.feed().is_none()) {
            match view.marks(reading, scope) {
                None => return Standing::Never,
                Some(marks) if marks.written_at > reading.read_seq => return Standing::Never,
                Some(marks) if marks.changed_at > reading.read_seq => standing = Standing::OvertakenByOthers,
                Some(_) => {}
            }
        }
    }
    standing
}

/// Whether a write of ours or a change that was reported has overtaken `meta`, whatever its age.
pub fn is_overtaken(meta: &EntryMeta, view: &impl ScopeView) -> bool {
    !matches!(standing(meta, view), Standing::True)
}

/// Whether `meta` is never served again, whoever can be asked.
pub fn is_void(meta: &EntryMeta, view: &impl ScopeView) -> bool {
    matches!(standing(meta, view), Standing::Never)
}

/// Until when something that `meta` depends on is unsettled, so that it would not be kept if it were fetched; a moment that has passed when it
/// is about to be settled.
pub fn unsettled(meta: &EntryMeta, view: &impl ScopeView) -> Option<Timestamp> {
    let marks = meta.readings.iter().flat_map(|reading| reading.scopes.iter().filter_map(|scope| view.marks(reading, scope)));
    marks.filter_map(|marks| marks.unsettled_until).max()
}

/// The check that vouches for `scope` as it was read.
fn vouched(meta: &EntryMeta, view: &impl ScopeView, reading: &Reading, scope: &Scope) -> Option<(Feed, Check)> {
    let feed = Feed::covering(reading, scope)?;
    let check = view.checked(reading, &meta.key.account, &feed)?;
    (reading.read_seq >= check.from).then_some((feed, check))
}

/// What has to be checked for an entry to be known true. `all` stands for everything and has no check of its own; our own writes to it are
/// judged by its mark. The other scopes of that kind have no check either, and an entry that depends on one is never vouched for.
fn to_check(meta: &EntryMeta) -> impl Iterator<Item = (&Reading, &Scope)> {
    meta.readings
        .iter()
        .flat_map(|reading| reading.scopes.iter().map(move |scope| (reading, scope)))
        .filter(|(_, scope)| !scope.as_str().starts_with("all:") && scope.feed().is_none())
}

/// Since when the entry is known to be true, unless something has overtaken it: its fetch, or the oldest of the checks of *all* its scopes,
/// which vouch for a day.
pub fn true_since(meta: &EntryMeta, view: &impl ScopeView) -> Timestamp {
    let mut oldest: Option<Timestamp> = None;
    for (reading, scope) in to_check(meta) {
        match vouched(meta, view, reading, scope) {
            Some((_, check)) => oldest = Some(oldest.map_or(check.at, |oldest| oldest.min(check.at))),
            None => return meta.fetch_started,
        }
    }
    oldest.map_or(meta.fetch_started, |at| at.min(meta.fetch_started.plus(VOUCHED)).max(meta.fetch_started))
}

/// The feed without a token that would have told whether the entry is still true; `None` when there is none, or when a token could not
/// have told more than is known.
pub fn unasked(meta: &EntryMeta, view: &impl ScopeView) -> Option<FeedOf> {
    let (Standing::True, [reading]) = (standing(meta, view), meta.readings.as_slice()) else { return None };
    let feed = Feed::named_by(reading)?;
    let all = to_check(meta).all(|(reading, scope)| Feed::covering(reading, scope).is_some());
    let without = view.checked(reading, &meta.key.account, &feed).is_none();
    (all && without).then(|| FeedOf { source: reading.source.clone(), feed })
}

/// The feeds that have to be asked to know whether the entry is still true; `None` when they could not tell, or when it is known not to be.
pub fn feeds(meta: &EntryMeta, view: &impl ScopeView) -> Option<BTreeSet<FeedOf>> {
    let Standing::True = standing(meta, view) else { return None };
    let feeds = to_check(meta)
        .map(|(reading, scope)| vouched(meta, view, reading, scope).map(|(feed, _)| FeedOf { source: reading.source.clone(), feed }))
        .collect::<Option<BTreeSet<_>>>()?;
    (!feeds.is_empty()).then_some(feeds)
}

/// Age of something true since `since`. A stamp in the future means that the clock was moved: it counts as just past fresh, so that it is
/// served and refreshed rather than trusted for as long as the clock is wrong.
fn age(since: Timestamp, ttl: Ttl, now: Timestamp) -> Duration {
    if since > now { ttl.fresh + Duration::from_millis(1) } else { now.since(since) }
}

/// Judges `meta` at `now`. Source: `truth.md`, *The rule* and *Checks*.
pub fn judge(meta: &EntryMeta, view: &impl ScopeView, ttl: Ttl, mode: Mode, now: Timestamp) -> Verdict {
    let fallback = judge_fallback(meta, view, ttl, now);
    match standing(meta, view) {
        Standing::Never | Standing::OvertakenByOthers => Verdict::Fetch { fallback },
        Standing::True if mode == Mode::ForceRefresh => Verdict::Fetch { fallback },
        Standing::True => {
            let age = age(true_since(meta, view), ttl, now);
            if age <= ttl.fresh {
                Verdict::Serve { age }
            } else if age <= ttl.stale {
                Verdict::ServeThenRefresh { age }
            } else {
                Verdict::Fetch { fallback }
            }
        }
    }
}

/// Whether the entry may be served although the fetch failed. To be asked *after* the failure: a write may have overtaken the entry meanwhile.
pub fn judge_fallback(meta: &EntryMeta, view: &impl ScopeView, ttl: Ttl, now: Timestamp) -> Option<Fallback> {
    let since = match standing(meta, view) {
        Standing::Never => return None,
        Standing::OvertakenByOthers => meta.fetch_started,
        Standing::True => true_since(meta, view),
    };
    let age = age(since, ttl, now);
    (age <= ttl.if_error).then_some(Fallback { age: now.since(meta.fetch_started) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cache::{CacheKey, Epoch, SourceId};

    const FETCHED: Timestamp = Timestamp(1_795_165_200_000);
    const READ: u64 = 7;
    const TTL: Ttl = Ttl { fresh: Duration::from_secs(60), stale: Duration::from_secs(600), if_error: Duration::from_secs(6000) };

    /// What is known of every scope; `None` in another epoch.
    struct Known(Option<Marks>);

    impl ScopeView for Known {
        fn marks(&self, _: &Reading, _: &Scope) -> Option<Marks> {
            self.0
        }

        fn checked(&self, _: &Reading, _: &AccountId, _: &Feed) -> Option<Check> {
            None
        }
    }

    fn meta() -> EntryMeta {
        let source = SourceId::mailbox("global", "t", "o");
        let reading = Reading { source, epoch: Epoch(1), read_seq: READ, scopes: vec![Scope::messages("F")] };
        let key = CacheKey::new("email_list", AccountId::new("o.t"), BTreeMap::new());
        EntryMeta { key, readings: vec![reading], fetch_started: FETCHED, etag: None, revision: 1 }
    }

    fn known(written_at: u64, changed_at: u64) -> Known {
        Known(Some(Marks { written_at, changed_at, unsettled_until: None }))
    }

    /// The verdict in a word after so many milliseconds, and whether the entry may stand in for a failed fetch.
    fn after(age: i64, known: &Known, mode: Mode) -> (&'static str, bool) {
        let now = Timestamp(FETCHED.0 + age);
        let fallback = judge_fallback(&meta(), known, TTL, now);
        let word = match judge(&meta(), known, TTL, mode, now) {
            Verdict::Serve { .. } => "serve",
            Verdict::ServeThenRefresh { .. } => "refresh",
            Verdict::Fetch { fallback: of_verdict } => {
                assert_eq!(of_verdict, fallback);
                "fetch"
            }
        };
        (word, fallback.is_some())
    }

    #[test]
    fn nothing_is_served_past_its_contract() {
        let is_true = known(READ, READ);
        for (age, verdict) in [
            (0, ("serve", true)),
            (60_000, ("serve", true)),
            (60_001, ("refresh", true)),
            (600_000, ("refresh", true)),
            (600_001, ("fetch", true)),
            (6_000_000, ("fetch", true)),
            (6_000_001, ("fetch", false)),
            // Of a clock that was set back since.
            (-1, ("refresh", true)),
        ] {
            assert_eq!(after(age, &is_true, Mode::Normal), verdict, "{age}");
            assert_eq!(after(age, &is_true, Mode::ForceRefresh), ("fetch", verdict.1), "{age}");
        }
    }

    #[test]
    fn what_a_write_has_overtaken_is_never_served_and_what_others_changed_only_in_need() {
        for age in [0, 60_000, 6_000_000] {
            assert_eq!(after(age, &known(READ + 1, 0), Mode::Normal), ("fetch", false), "{age}");
            assert_eq!(after(age, &known(READ + 1, READ + 1), Mode::Normal), ("fetch", false), "{age}");
            assert_eq!(after(age, &known(0, READ + 1), Mode::Normal), ("fetch", true), "{age}");
            assert_eq!(after(age, &Known(None), Mode::Normal), ("fetch", false), "another epoch");
        }
        assert_eq!(after(6_000_001, &known(0, READ + 1), Mode::Normal), ("fetch", false));
    }
}
