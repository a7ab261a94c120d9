//! Walks: when the feed of a mail folder or a contact folder is worth a token, and how it gets one.
//!
//! There is no "start from now" in a mailbox: a token costs a walk of the whole folder, page after page. So what a token would have saved is
//! counted first. Every time an answer has grown old that a token could have vouched for, it counts as saved if the same feed would have been
//! asked within [`TOGETHER`] for another answer anyway: an answer that is alone in its folder costs one request by itself and one request by
//! a token. A walk may take as many pages as requests were saved, and is given up beyond them; then twice as much has to be saved before the
//! next attempt. So walks never cost more than what use has shown to be worth twice over, and a large folder that is read by one list never
//! gets one. Counts are kept in memory: after a restart use has to show again.
//!
//! A walk is only made in the background, in front of the fetch that is due there, whose answer is then the first one the token vouches for.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Call, Engine, watch::Watch};
use crate::{
    cache::{Bumped, Check, EntryMeta, unasked},
    clock::Timestamp,
    ids::{AccountId, Urgency},
    secret::Secret,
    store::{Based, Baseline, CheckNoted, FeedKey},
    tools::{Steps as _, walk_of},
};

/// Answers that grow old within this time could have been told true by one request. Half of the shortest fresh time of what feeds cover.
const TOGETHER: Duration = Duration::from_secs(60);
/// The least that must have been saved before a walk is worth thinking of.
const LEAST: u32 = 3;
/// The most pages of a walk, whatever was saved: half the requests that a mailbox may be sent in a minute.
const MOST: u32 = 500;
/// Feeds that are counted; beyond them counting begins anew.
const COUNTED: usize = 4096;

/// What tokens would have saved, by feed.
#[derive(Default)]
pub(super) struct Walks(Mutex<BTreeMap<FeedKey, Use>>);

#[derive(Debug, Clone, Copy)]
struct Use {
    /// When the feed would have been asked last.
    asked: Timestamp,
    saved: u32,
    /// What must have been saved before the next walk.
    needed: u32,
}

impl Walks {
    fn uses(&self) -> MutexGuard<'_, BTreeMap<FeedKey, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer that has grown old; how many pages a walk may take now, 0 when there is to be none.
    fn grown_old(&self, feed: &FeedKey, now: Timestamp) -> u32 {
        let mut uses = self.uses();
        if uses.len() >= COUNTED && !uses.contains_key(feed) {
            uses.clear();
        }
        let Some(known) = uses.get_mut(feed) else {
            uses.insert(feed.clone(), Use { asked: now, saved: 0, needed: LEAST });
            return 0;
        };
        // Also when the clock was moved.
        if now.since(known.asked) < TOGETHER {
            known.saved = known.saved.saturating_add(1);
        } else {
            known.asked = now;
        }
        if known.saved >= known.needed { known.saved.min(MOST) } else { 0 }
    }

    /// A walk was made, well or not: what was saved is spent.
    fn walked(&self, feed: &FeedKey, well: bool) {
        if let Some(known) = self.uses().get_mut(feed) {
            known.needed = if well { LEAST } else { known.needed.max(known.saved).saturating_mul(2) };
            known.saved = 0;
        }
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        self.uses().retain(|feed, _| feed.account != *account);
    }
}

impl Engine {
    /// Takes note of an answer that has grown old without a token that could vouch for it, and walks its feed when that is worth it and
    /// nobody waits.
    pub(super) async fn consider_walk(&self, call: &Call, entry: &EntryMeta) {
        let Some(found) = self.truth.look(|view| unasked(entry, view)) else { return };
        let feed = FeedKey { account: call.account.id.clone(), source: found.source, feed: found.feed };
        let pages = self.walks.grown_old(&feed, self.clock.now());
        if pages > 0 && call.urgency.now() == Urgency::Background {
            let turn = self.checks.turn(&feed);
            let Some(_turn) = turn.walk() else { return };
            // It may have been walked just now.
            if self.truth.look(|view| unasked(entry, view)).is_some() {
                let well = self.walk(call, &feed, pages).await;
                self.walks.walked(&feed, well);
            }
        }
    }

    /// Walks a feed for its token, in its turn; false when there is none afterwards. Trouble on the way is for the fetch that follows to meet.
    async fn walk(&self, call: &Call, feed: &FeedKey, pages: u32) -> bool {
        let Some(request) = walk_of(&feed.feed, &call.args) else { return false };
        let Some((epoch, read_seq)) = self.truth.position(&feed.source) else { return false };
        let (started, read) = (self.clock.now(), AtomicU32::new(0));
        let enough = |_: &[serde_json::Value]| read.fetch_add(1, Relaxed) + 1 >= pages;
        let steps = Watch::new(self.steps(call), None);
        let walked = steps.pages(request, &enough).await;
        self.counters.checked(call, steps.seen().requests);
        let Ok(page) = walked else { return false };
        let (None, Some(link)) = (page.next, page.delta) else { return false };
        let baseline = Baseline { feed: feed.clone(), epoch, read_seq, depends: Vec::new(), link: Secret::new(link), started };
        let _staying = self.leaving.read().await;
        if self.accounts.find(feed.account.as_str()).is_err() {
            return false;
        }
        match self.ledger.baseline(baseline).await {
            Ok(Based::Yes { from, .. }) => {
                let raised = Bumped { source: feed.source.clone(), epoch, seq: from, scopes: Vec::new() };
                self.truth.checked(feed, &CheckNoted { bumped: vec![raised], check: Some(Check { at: started, from }) });
                true
            }
            Ok(Based::No) => false,
            Err(error) => {
                self.note_store(Some(&error));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Feed, SourceId};

    fn feed() -> FeedKey {
        FeedKey { account: AccountId::new("a"), source: SourceId::mailbox("c", "t", "m"), feed: Feed::messages("F") }
    }

    #[test]
    fn one_answer_alone_never_pays_for_a_walk_and_several_do() {
        let walks = Walks::default();
        let minutes = |minutes: i64| Timestamp(minutes * 60_000);
        assert!((0..1000).all(|at| walks.grown_old(&feed(), minutes(2 * at)) == 0));
        let several: Vec<u32> = (0..4).map(|_| walks.grown_old(&feed(), minutes(3000))).collect();
        assert_eq!(several, [0, 0, 0, 3], "the first one would have cost a request with a token too");
    }

    #[test]
    fn a_walk_that_was_given_up_has_to_be_worth_twice_as_much_next_time() {
        let walks = Walks::default();
        let mut counted = 0;
        let mut until = |walks: &Walks| {
            (1..).find(|_| {
                counted += 1;
                walks.grown_old(&feed(), Timestamp(counted)) > 0
            })
        };
        assert_eq!(until(&walks), Some(4));
        walks.walked(&feed(), false);
        assert_eq!(until(&walks), Some(6));
        walks.walked(&feed(), false);
        assert_eq!(until(&walks), Some(12));
        walks.walked(&feed(), true);
        assert_eq!(until(&walks), Some(3));
        walks.leave(&AccountId::new("a"));
        assert_eq!(until(&walks), Some(4));
    }
}
