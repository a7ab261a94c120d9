//! A read: what is stored is judged; it is served, served and refreshed, or fetched.

use std::sync::Arc;

use super::{Answer, CacheStatus, Call, CallError, Engine, cursor, fetch::Fetch};
use crate::{
    cache::{CacheKey, Entry, Mode, Verdict, judge, judge_fallback, true_since},
    hint::{Hint, Kind},
};

impl Engine {
    /// Answers a read.
    pub(super) async fn read(self: &Arc<Self>, mut call: Call) -> Result<Answer, CallError> {
        if call.args.text(cursor::ARGUMENT).is_some() {
            return self.read_on(call).await;
        }
        let key = self.key(&call).filter(|_| call.args.flag("use_cache") && self.caching(call.tool, &call.account));
        let Some(key) = key else {
            self.counters.of(call.tool.name).bypassed();
            return self.fetch_uncached(call).await;
        };
        if Self::mode(&call) == Mode::Normal {
            if let Some(answer) = self.stored(&call, &key).await {
                return Ok(answer);
            }
            // Too old to be served; a small request may tell that it is still true.
            match self.check(&call, &key).await {
                Ok(false) => {}
                Ok(true) => {
                    call.now = self.clock.now();
                    if let Some(answer) = self.stored(&call, &key).await {
                        return Ok(answer);
                    }
                }
                Err(error) => {
                    self.counters.of(call.tool.name).missed();
                    return self.stand_in(&call, &key, error.into()).await;
                }
            }
        }
        self.counters.of(call.tool.name).missed();
        let call = self.with_source(call).await?;
        match self.fetch(&call, &key).await {
            Ok(Fetch { body, at, kept }) => {
                let status = if kept { CacheStatus::Miss } else { CacheStatus::Bypass };
                Ok(Answer::cached(status, at, body.text, None))
            }
            Err(error) => self.stand_in(&call, &key, error).await,
        }
    }

    /// The answer from memory, when it is there and fresh.
    pub(super) fn peek_hot(&self, call: &Call, key: &CacheKey) -> Option<Answer> {
        let ttl = self.ttl_for(call)?;
        let entry = self.hot.get(key.hash)?;
        match judge(&entry.meta, &self.truth.view(), ttl, Mode::Normal, call.now) {
            Verdict::Serve { .. } => Some(self.served(call, &entry, CacheStatus::Fresh)),
            _ => None,
        }
    }

    /// The answer from memory or the store, fresh or stale. A stale one is queued for a refresh.
    pub(super) async fn stored(self: &Arc<Self>, call: &Call, key: &CacheKey) -> Option<Answer> {
        let entry = self.entry(key).await?;
        let verdict = judge(&entry.meta, &self.truth.view(), self.ttl_for(call)?, Mode::Normal, call.now);
        match verdict {
            Verdict::Serve { .. } => Some(self.served(call, &entry, CacheStatus::Fresh)),
            Verdict::ServeThenRefresh { .. } => {
                let answer = self.served(call, &entry, CacheStatus::Stale);
                self.enqueue_refresh(&call.args, key, call.now);
                Some(answer)
            }
            Verdict::Fetch { .. } => None,
        }
    }

    /// The entry of `key` with its sources in memory, so that it can be judged. Trouble in the store counts as having none.
    pub(super) async fn entry(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        let entry = match self.hot.get(key.hash) {
            Some(entry) => entry,
            None => match self.entries.get(key.hash).await {
                Ok(Some(entry)) => {
                    let entry = Arc::new(entry);
                    self.hot.insert(entry.clone());
                    entry
                }
                Ok(None) => return None,
                Err(error) => {
                    self.note_store(Some(error.to_string()));
                    return None;
                }
            },
        };
        for reading in &entry.meta.readings {
            if let Err(error) = self.truth.load(&reading.source).await {
                self.note_store(Some(error.to_string()));
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
        let now = self.clock.now();
        if judge_fallback(&entry.meta, &self.truth.view(), ttl, now).is_none() {
            return Err(error);
        }
        self.counters.of(call.tool.name).stood_in();
        self.use_entry(&entry, now);
        Ok(Answer::cached(CacheStatus::StaleIfError, entry.meta.fetch_started, entry.body.text.clone(), Some(&error.to_string())))
    }

    fn served(&self, call: &Call, entry: &Arc<Entry>, status: CacheStatus) -> Answer {
        let counter = self.counters.of(call.tool.name);
        if status == CacheStatus::Stale {
            counter.hit_stale()
        } else {
            counter.hit()
        }
        self.use_entry(entry, call.now);
        Answer::cached(status, true_since(&entry.meta, &self.truth.view()), entry.body.text.clone(), None)
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
            self.note_store(Some(error.to_string()));
        }
    }
}
