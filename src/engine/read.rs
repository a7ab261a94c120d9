//! A read: what is stored is judged; it is served, served and refreshed, or fetched.

use std::sync::Arc;

use super::{
    Answer, CacheStatus, Call, CallError, Engine, cursor,
    fetch::{Fetch, Kept},
};
use crate::{
    cache::{Body, CacheKey, Entry, KeyHash, Mode, Verdict, judge, judge_fallback, true_since},
    hint::{Hint, Kind},
    tools::MAX_TOKENS,
};

impl Engine {
    /// Answers a read.
    pub(super) async fn read(self: &Arc<Self>, mut call: Call) -> Result<Answer, CallError> {
        if call.args.text(cursor::ARGUMENT).is_some() {
            return self.read_on(call).await;
        }
        let key = self.key(&call).filter(|_| call.args.flag("use_cache") && self.caching(call.tool, &call.account));
        let Some(key) = key else {
            self.counters.bypassed(&call);
            return self.fetch_uncached(call).await;
        };
        if Self::mode(&call) == Mode::Normal {
            if let Some(answer) = self.stored(&call, &key).await {
                return Ok(answer);
            }
            // Too old to be served; a small request may tell that it is still true.
            match self.check(&mut call, &key).await {
                Ok(false) => {}
                Ok(true) => {
                    call.now = self.clock.now();
                    if let Some(answer) = self.stored(&call, &key).await {
                        return Ok(answer);
                    }
                }
                Err(error) => {
                    self.counters.missed(&call);
                    return self.stand_in(&call, &key, error.into()).await;
                }
            }
        }
        self.counters.missed(&call);
        let call = self.with_source(call).await?;
        if Self::mode(&call) == Mode::Normal
            && let Some(longest) = self.longest(&key, call.now)
        {
            match self.fetch(&Self::at_length(&call, &longest), &longest).await {
                Ok(Fetch { at, .. }) => {
                    // Not there when a write came between or it could not be kept: then the call's own is fetched.
                    if let Some(part) = self.held(&call, &key).await.filter(|part| part.is_fresh()) {
                        self.counters.fetched(&call);
                        self.looked_at(&longest, call.now);
                        return Ok(Answer::cached(CacheStatus::Miss, at, self.said(&call, &part), None));
                    }
                }
                Err(error) => return self.stand_in(&call, &key, error).await,
            }
        }
        match self.fetch(&call, &key).await {
            Ok(Fetch { body, at, kept }) => {
                self.counters.fetched(&call);
                self.looked_at(&key, call.now);
                self.lists.asked(&key, call.now);
                let status = if kept == Kept::Yes { CacheStatus::Miss } else { CacheStatus::Bypass };
                // Not there when a write came between.
                let entry = self.entry(&key).await.filter(|entry| kept == Kept::Yes && entry.meta.fetch_started == at);
                Ok(match entry {
                    Some(entry) => Answer::cached(status, at, self.within_budget(&call, &entry, 0, &body).text, None),
                    None => Self::unkept(&call, status, at, &body, kept.problem()),
                })
            }
            Err(error) => self.stand_in(&call, &key, error).await,
        }
    }

    /// The answer from memory, when it is there and fresh.
    pub(super) fn peek_hot(&self, call: &Call, key: &CacheKey) -> Option<Answer> {
        let ttl = self.ttl_for(call)?;
        let entry = self.hot.get(key.hash)?;
        match self.truth.look(|view| judge(&entry.meta, view, ttl, Mode::Normal, call.now)) {
            Verdict::Serve { .. } => Some(self.served(call, &entry, 0, &entry.body, CacheStatus::Fresh)),
            _ => None,
        }
    }

    /// The answer from memory or the store, fresh or stale; its own, or one that another list holds. A stale one is queued for a refresh.
    pub(super) async fn stored(self: &Arc<Self>, call: &Call, key: &CacheKey) -> Option<Answer> {
        let ttl = self.ttl_for(call)?;
        let own = self.entry(key).await;
        let verdict = own.as_ref().map(|entry| self.truth.look(|view| judge(&entry.meta, view, ttl, Mode::Normal, call.now)));
        if own.is_some() {
            self.lists.asked(key, call.now);
        }
        if let (Some(entry), Some(Verdict::Serve { .. })) = (&own, verdict) {
            return Some(self.served(call, entry, 0, &entry.body, CacheStatus::Fresh));
        }
        let held = self.held(call, key).await;
        match (own, verdict, held) {
            // A fresh one from elsewhere before a stale one of its own, which is refreshed for all who ask for it.
            (Some(entry), Some(Verdict::ServeThenRefresh { .. }), held) if held.as_ref().is_none_or(|held| !held.is_fresh()) => {
                let answer = self.served(call, &entry, 0, &entry.body, CacheStatus::Stale);
                match self.longest(key, call.now) {
                    Some(longest) => self.enqueue_refresh(&Self::at_length(call, &longest).args, &longest, call.now),
                    None => self.enqueue_refresh(&call.args, key, call.now),
                }
                Some(answer)
            }
            (_, _, Some(held)) => Some(self.serve_held(call, &held)),
            (_, _, None) => None,
        }
    }

    /// The entry of `key` with its sources in memory, so that it can be judged. Trouble in the store counts as having none.
    pub(super) async fn entry(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.entry_of(key.hash).await
    }

    /// The same by what tiers look up.
    pub(super) async fn entry_of(&self, key: KeyHash) -> Option<Arc<Entry>> {
        let entry = match self.hot.get(key) {
            Some(entry) => entry,
            None => match self.entries.get(key).await {
                Ok(Some(entry)) => {
                    let entry = Arc::new(entry);
                    self.lists.note(&entry);
                    self.hot.insert(entry.clone(), self.clock.now());
                    entry
                }
                Ok(None) => return None,
                Err(error) => {
                    self.note_store(Some(&error));
                    return None;
                }
            },
        };
        for reading in &entry.meta.readings {
            if let Err(error) = self.truth.load(&reading.source).await {
                self.note_store(Some(&error));
                return None;
            }
        }
        Some(entry)
    }

    /// The stored answer for a failed fetch, judged after the failure: a write may have overtaken it meanwhile.
    async fn stand_in(&self, call: &Call, key: &CacheKey, error: CallError) -> Result<Answer, CallError> {
        // Only when Microsoft could not be asked: a refusal is an answer, and a lost sign-in may mean lost rights.
        if !matches!(error.kind(), Kind::Offline | Kind::Throttled) {
            return Err(error);
        }
        let (Some(entry), Some(ttl)) = (self.entry(key).await, self.ttl(call.tool)) else { return Err(error) };
        let (now, ttl) = (self.clock.now(), self.standing_in(ttl));
        if self.truth.look(|view| judge_fallback(&entry.meta, view, ttl, now)).is_none() {
            return Err(error);
        }
        self.counters.stood_in(call);
        self.use_entry(&entry, now);
        let body = self.within_budget(call, &entry, 0, &entry.body);
        Ok(Answer::cached(CacheStatus::StaleIfError, entry.meta.fetch_started, body.text, Some(&error.to_string())))
    }

    /// Serves `body`, which is `entry`'s or the part of it that begins with its item `from`, within the budget of the call.
    pub(super) fn served(&self, call: &Call, entry: &Arc<Entry>, from: usize, body: &Body, status: CacheStatus) -> Answer {
        self.use_entry(entry, call.now);
        let text = if call.args.has(MAX_TOKENS) { self.within_budget(call, entry, from, body).text } else { body.text.clone() };
        let answer = Answer::cached(status, self.truth.look(|view| true_since(&entry.meta, view)), text, None);
        if status == CacheStatus::Stale {
            self.counters.hit_stale(call);
        } else {
            self.counters.hit(call);
        }
        answer
    }

    fn use_entry(&self, entry: &Entry, now: crate::clock::Timestamp) {
        if self.uses.record(entry.meta.key.hash, now) {
            self.used.notify_one();
        }
    }

    /// A random UUID, version 4 (RFC 9562).
    pub(super) fn uuid(&self) -> String {
        let mut hex = self.dice.hex(16);
        hex.replace_range(12..13, "4");
        hex.replace_range(16..17, "a");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Writes buffered uses. Losing some in a crash costs only precision of "last used".
    pub(super) async fn flush_uses(&self) {
        let uses = self.uses.drain();
        self.learn(&uses);
        if !uses.is_empty()
            && let Err(error) = self.entries.touch(uses).await
        {
            self.note_store(Some(&error));
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
