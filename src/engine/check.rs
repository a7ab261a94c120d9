//! Checks: a delta token says with one small request whether an old answer is still true, and what is not true any more (`truth.md`,
//! *Checks*; the pure half is `cache/check.rs`).
//!
//! A drive's token is kept as the by-product of a fetch that walked the feed anyway (see `watch.rs`); those of a mailbox cost a walk of their
//! own, which use has to repay (see `walk.rs`). A check is made for a stale answer before it is fetched again, one at a time for each feed (`turn.rs`): those
//! who wait for it take its outcome.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{Call, Engine, turn::Turn, watch::Watch};
use crate::{
    cache::{Bumped, CacheKey, Check, EntryMeta, FeedOf, Found, Mode, Reading, Scope, Ttl, Verdict, feeds, judge},
    clock::Timestamp,
    graph::GraphRequest,
    hint::Kind,
    ids::AccountId,
    secret::Secret,
    store::{Based, Baseline, Changes, CheckNoted, Checked, FeedKey},
    tools::{StepError, Steps as _},
};

/// More changes than this are not told apart: everything is fetched again, and the feed begins anew with the next walk.
const MOST_CHANGES: usize = 2000;

/// Whose turn it is to ask a feed; as many as there are accounts with a token.
#[derive(Default)]
pub(super) struct Checks(Mutex<BTreeMap<FeedKey, Arc<Turn>>>);

impl Checks {
    pub(super) fn turn(&self, feed: &FeedKey) -> Arc<Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(feed.clone()).or_default().clone()
    }

    /// Forgets an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|feed, _| feed.account != *account);
    }
}

impl Engine {
    /// Whether the entry of `key` is fresh, after the feeds that cover it were asked what has changed. False when they cannot tell.
    ///
    /// # Errors
    ///
    /// When Microsoft could not be asked at all, so that a fetch would fail in the same way.
    pub(super) async fn check(&self, call: &mut Call, key: &CacheKey) -> Result<bool, StepError> {
        let (Some(entry), Some(ttl)) = (self.entry(key).await, self.ttl_for(call)) else { return Ok(false) };
        let Some(asked) = self.truth.look(|view| feeds(&entry.meta, view)) else {
            self.consider_walk(call, &entry.meta).await;
            return Ok(false);
        };
        for FeedOf { source, feed } in asked {
            let feed = FeedKey { account: key.account.clone(), source, feed };
            let turn = self.checks.turn(&feed);
            let Some(taken) = turn.check(call.urgency.now()).await else { return Ok(false) };
            // Somebody else's check may have told already.
            if self.is_fresh(&entry.meta, ttl) {
                return Ok(true);
            }
            let mut asking = Call { urgency: taken.urgency.clone(), ..call.clone() };
            let told = self.ask_feed(&mut asking, &feed).await;
            call.checks = asking.checks;
            match told {
                Ok(true) => {}
                Err(error) if matches!(error.kind, Kind::Offline | Kind::Throttled) => return Err(error),
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(self.is_fresh(&entry.meta, ttl))
    }

    pub(super) fn is_fresh(&self, meta: &EntryMeta, ttl: Ttl) -> bool {
        matches!(self.truth.look(|view| judge(meta, view, ttl, Mode::Normal, self.clock.now())), Verdict::Serve { .. })
    }

    /// Asks one feed what has changed and records the answer; false when its token is of no use any more.
    async fn ask_feed(&self, call: &mut Call, feed: &FeedKey) -> Result<bool, StepError> {
        let token = match self.ledger.delta_token(feed).await {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.note_store(Some(&error));
                return Ok(false);
            }
        };
        let started = self.clock.now();
        let steps = Watch::new(self.steps(call), None);
        let request = GraphRequest::get_path(token.link.expose().clone());
        let told = steps.pages(request, &|items| items.len() > MOST_CHANGES).await;
        let requests = steps.seen().requests;
        call.checks += requests;
        self.counters.checked(call, requests);
        let (changes, next) = match told {
            Ok(page) => match (found(&page.items), page.delta) {
                // What was removed may come back unreported: the token ends with it.
                (Some(found), Some(_)) if found.iter().any(|one| one.gone) => (Changes::Found(found), None),
                (Some(found), Some(link)) => (Changes::Found(found), Some(Secret::new(link))),
                _ => (Changes::Unknown, None),
            },
            Err(error) if is_lost(&error) => (Changes::Found(Vec::new()), None),
            Err(error) => return Err(error),
        };
        let _staying = self.leaving.read().await;
        if self.accounts.find(feed.account.as_str()).is_err() {
            return Ok(false);
        }
        let done = Checked { feed: feed.clone(), from: token.from, started, changes, next };
        match self.ledger.checked(done).await {
            Ok(noted) => {
                let useful = noted.check.is_some();
                self.truth.checked(feed, &noted);
                if !noted.bumped.is_empty() {
                    // Answers in use that this has overtaken are fetched ahead of their next use.
                    self.warmth.stir();
                }
                Ok(useful)
            }
            Err(error) => {
                self.note_store(Some(&error));
                Ok(false)
            }
        }
    }

    /// Keeps the token of a walk, and raises `reading` to it when the answer is what the token's next changes build on. `shown` are the items
    /// of the answer.
    pub(super) async fn base(&self, feed: &FeedKey, link: Secret<String>, reading: &mut Reading, shown: Vec<Scope>, at: Timestamp) {
        let depends = reading.scopes.iter().cloned().chain(shown).collect();
        let baseline = Baseline { feed: feed.clone(), epoch: reading.epoch, read_seq: reading.read_seq, depends, link, started: at };
        match self.ledger.baseline(baseline).await {
            Ok(Based::Yes { from, clean }) => {
                let raised = Bumped { source: feed.source.clone(), epoch: reading.epoch, seq: from, scopes: Vec::new() };
                self.truth.checked(feed, &CheckNoted { bumped: vec![raised], check: Some(Check { at, from }) });
                if clean {
                    reading.read_seq = from;
                }
            }
            Ok(Based::No) => {}
            Err(error) => self.note_store(Some(&error)),
        }
    }
}

/// What a delta reports; `None` when a line cannot be read.
fn found(items: &[Value]) -> Option<Vec<Found>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let one = |item: &Value| {
        let parent = item.get("parentReference").and_then(|parent| parent.get("id")).and_then(text);
        let gone = item.get("deleted").is_some() || item.get("@removed").is_some();
        Some(Found { item: item.get("id").and_then(text)?, parent, gone, top: item.get("root").is_some() })
    };
    items.iter().map(one).collect()
}

/// Graph does not know the token any more: 410, or 400 and 404 with the codes that mean the same.
fn is_lost(error: &StepError) -> bool {
    const CODES: [&str; 4] = ["syncstatenotfound", "syncstateinvalid", "resyncrequired", "resyncchangesapplydifferences"];
    let code = error.graph_code.as_deref().unwrap_or_default().to_lowercase();
    error.status == Some(410) || (matches!(error.status, Some(400 | 404)) && CODES.contains(&code.as_str()))
}
