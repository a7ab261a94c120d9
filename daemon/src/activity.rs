//! What calls come to at this moment: how many, how long they took, and the last few, for `m365-cachectl top`.
//!
//! In memory alone, and nothing of the content of a call: no argument, no id of an item, no word of an answer. Statistics (`engine/stats`) count
//! cached reads for good; here every call counts, failed ones and writes too, and a restart begins anew. An account that signs out or is erased
//! is forgotten here as everywhere.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use m365_cached::{clock::Timestamp, engine::CacheStatus, ids::AccountId, store::Times};

/// Calls that are remembered: what a busy minute of one person comes to.
const KEPT: usize = 256;
/// Characters of a client's name.
const NAME: usize = 48;

/// How a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// From the cache, within its fresh time.
    Fresh,
    /// From the cache, past its fresh time.
    Stale,
    /// From the cache, because Microsoft could not be asked.
    StoodIn,
    /// By Microsoft.
    Miss,
    /// By Microsoft, through a fetch that another call had begun.
    Shared,
    /// By Microsoft, past the cache.
    Bypass,
    /// It is no cached read.
    Done,
    /// With an error.
    Failed,
}

impl Outcome {
    /// All of them, in the order in which they are shown.
    const ALL: [Self; 8] = [Self::Fresh, Self::Stale, Self::StoodIn, Self::Miss, Self::Shared, Self::Bypass, Self::Done, Self::Failed];

    /// That of an answer; `shared` says that its call shared another's fetch.
    pub(crate) fn of(status: Option<CacheStatus>, shared: bool) -> Self {
        match status {
            None => Self::Done,
            Some(CacheStatus::Fresh) => Self::Fresh,
            Some(CacheStatus::Stale) => Self::Stale,
            Some(CacheStatus::StaleIfError) => Self::StoodIn,
            Some(CacheStatus::Miss) if shared => Self::Shared,
            Some(CacheStatus::Miss) => Self::Miss,
            Some(CacheStatus::Bypass) => Self::Bypass,
        }
    }

    /// Its word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::StoodIn => "stale_if_error",
            Self::Miss => "miss",
            Self::Shared => "coalesced",
            Self::Bypass => "bypass",
            Self::Done => "done",
            Self::Failed => "error",
        }
    }

    /// Whether nobody had to wait for Microsoft.
    fn is_cached(self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When.
    pub(crate) at: Timestamp,
    /// By its name in the catalogue.
    pub(crate) tool: &'static str,
    /// For whom.
    pub(crate) account: Option<AccountId>,
    /// What its client calls itself.
    pub(crate) client: String,
    /// The client's stream.
    pub(crate) session: u64,
    /// How.
    pub(crate) outcome: Outcome,
    /// Of an error.
    pub(crate) code: String,
    /// How long it took.
    pub(crate) micros: u64,
}

/// What calls come to.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Calls so far.
    last: u64,
    counts: [u64; Outcome::ALL.len()],
    cached: Times,
    others: Times,
    /// With their numbers, the oldest first.
    recent: VecDeque<(u64, Seen)>,
}

/// What is told to who watches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// The number of the last call.
    pub(crate) last: u64,
    /// How many were answered, by how.
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// How long those took that the cache answered.
    pub(crate) cached: Times,
    /// How long the others took.
    pub(crate) others: Times,
    /// The last ones with their numbers, the oldest first.
    pub(crate) recent: Vec<(u64, Seen)>,
}

impl Activity {
    /// A call was answered.
    pub(crate) fn note(&self, mut seen: Seen) {
        if let Some((end, _)) = seen.client.char_indices().nth(NAME) {
            seen.client.truncate(end);
        }
        let mut state = self.state();
        state.last += 1;
        if let Some(count) = state.counts.get_mut(seen.outcome as usize) {
            *count += 1;
        }
        let times = if seen.outcome.is_cached() { &mut state.cached } else { &mut state.others };
        times.note(seen.micros);
        if state.recent.len() >= KEPT {
            state.recent.pop_front();
        }
        let number = state.last;
        state.recent.push_back((number, seen));
    }

    /// Everything, and of the last calls those after the number `after`.
    pub(crate) fn told(&self, after: u64) -> Told {
        let state = self.state();
        Told {
            last: state.last,
            counts: Outcome::ALL.iter().map(|outcome| outcome.as_str()).zip(state.counts).collect(),
            cached: state.cached.clone(),
            others: state.others.clone(),
            recent: state.recent.iter().filter(|(number, _)| *number > after).cloned().collect(),
        }
    }

    /// Forgets the calls for the account with this id; numbers and counts tell nothing of it.
    pub(crate) fn forget(&self, account: &str) {
        self.state().recent.retain(|(_, seen)| seen.account.as_ref().is_none_or(|whose| whose.as_str() != account));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(account: &str, outcome: Outcome, micros: u64) -> Seen {
        let account = (!account.is_empty()).then(|| AccountId::new(account));
        let (tool, client) = ("email_list", "claude-code".to_owned());
        Seen { at: Timestamp(5), tool, account, client, session: 1, outcome, code: String::new(), micros }
    }

    #[test]
    fn every_call_counts_once_and_its_time_where_it_belongs() {
        let activity = Activity::default();
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| activity.note(seen("a.t", outcome, 100)));
        }
        let told = activity.told(0);
        assert_eq!(told.counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((told.last, told.cached.count(), told.others.count()), (36, 3, 33), "fresh and stale ones did not wait");
    }

    #[test]
    fn the_last_ones_are_kept_and_told_once() {
        let activity = Activity::default();
        (0..300).for_each(|micros| activity.note(seen("a.t", Outcome::Fresh, micros)));
        let told = activity.told(0);
        assert_eq!((told.recent.len(), told.recent[0].0, told.last), (KEPT, 45, 300));
        assert_eq!(activity.told(298).recent.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [299, 300]);
        assert!(activity.told(300).recent.is_empty());
    }

    #[test]
    fn an_account_that_leaves_is_forgotten() {
        let activity = Activity::default();
        for account in ["a.t", "b.t", ""] {
            activity.note(seen(account, Outcome::Miss, 1));
        }
        activity.forget("a.t");
        let told = activity.told(0);
        assert_eq!(told.recent.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(told.last, 3);
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let activity = Activity::default();
        activity.note(Seen { client: "é".repeat(500), ..seen("", Outcome::Done, 1) });
        assert_eq!(activity.told(0).recent[0].1.client.chars().count(), NAME);
    }

    #[test]
    fn a_miss_that_shared_a_fetch_is_told_from_one_that_did_not() {
        assert_eq!(Outcome::of(Some(CacheStatus::Miss), true), Outcome::Shared);
        assert_eq!(Outcome::of(Some(CacheStatus::Miss), false), Outcome::Miss);
        assert_eq!(Outcome::of(Some(CacheStatus::Fresh), true), Outcome::Fresh);
        assert_eq!(Outcome::of(None, true), Outcome::Done);
    }
}
