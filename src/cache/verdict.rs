//! The verdict on an entry: serve it, serve it and refresh it, or fetch.

use std::time::Duration;

use super::{EntryMeta, Marks, Reading, Scope, Seq, Ttl};
use crate::{clock::Timestamp, ids::AccountId};

/// What is known of scopes at the moment of judging; a few look-ups in memory, no SQL.
pub trait ScopeView {
    /// The marks of `scope` in the source of `reading`, or `None` when the epoch is another one now.
    fn marks(&self, reading: &Reading, scope: &Scope) -> Option<Marks>;
    /// When `account` last found the scope unchanged, and the `seq` from which that check vouches.
    fn checked(&self, reading: &Reading, account: &AccountId, scope: &Scope) -> Option<(Timestamp, Seq)>;
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
        for scope in &reading.scopes {
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

/// Since when the entry is known to be true: its fetch, or the oldest of the checks of *all* its scopes that vouch for it.
fn true_since(meta: &EntryMeta, view: &impl ScopeView) -> Timestamp {
    let mut checked: Option<Timestamp> = None;
    for reading in &meta.readings {
        // `all` and its like stand for everything and have no check of their own; our own writes to them are judged above.
        for scope in reading.scopes.iter().filter(|scope| !scope.as_str().starts_with("all:")) {
            match view.checked(reading, &meta.key.account, scope) {
                Some((at, from)) if reading.read_seq >= from && !scope.is_unchecked() => {
                    checked = Some(checked.map_or(at, |oldest| oldest.min(at)));
                }
                _ => return meta.fetch_started,
            }
        }
    }
    checked.map_or(meta.fetch_started, |at| at.max(meta.fetch_started))
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
