//! Reading on in a list: a cursor names a snapshot of what an answer left out.
//!
//! A snapshot holds the items that were read and not shown, and Graph's link behind them. It is an entry of the store like any other: sealed
//! under its account's key, gone with the account, judged by the scopes of the list it belongs to. So a page never shows what a write of
//! ours has overtaken; such a cursor, like one that is too old, is refused with a way to go on. Rejected: Graph's link itself as the cursor
//! (it carries ids and offsets of the mailbox through the model, and cannot be judged); a skip count over the stored list (rows would come
//! twice or not at all after every refresh).
//!
//! The snapshots behind one page of one list have [`SLOTS`] places, by the time of their fetch: so a list that is refreshed all day leaves a
//! bounded number of them, and a cursor stays good for about an hour of refreshes. One that finds a newer one in its place goes into the next,
//! for both their lists may be read on in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Answer, CacheStatus, Call, CallError, Engine,
    answer::encode,
    facts::Trust,
    fetch::{Kept, Position, readings},
    watch::Watch,
};
use crate::{
    cache::{Body, CacheKey, Entry, EntryMeta, Escaped, Mode, REST_OF, Reading, Ttl, Verdict, judge},
    clock::Timestamp,
    graph::GraphRequest,
    store::Put,
    tools::{Fetched, Files, More, Page, Reply, StepError, Steps},
};

/// The argument.
pub(super) const ARGUMENT: &str = "cursor";
/// Places for the snapshots of one list, each for half a minute of fetches.
const SLOTS: i64 = 120;
const SLOT: i64 = 30_000;
/// How long a snapshot is good for.
pub(super) const GOOD_FOR: Ttl =
    Ttl { fresh: Duration::from_secs(86_400), stale: Duration::from_secs(86_400), if_error: Duration::from_secs(86_400) };

#[derive(Serialize, Deserialize)]
struct Snapshot {
    nonce: String,
    more: More,
}

impl Engine {
    /// Keeps what `fetched`, the `page`th page of the list `key`, left out and puts the cursor into its answer; `at` is when the oldest of it was
    /// asked for, and `from` where its sources stood then. Without a store to keep it in, the answer has no cursor.
    pub(super) async fn leave_cursor(
        &self,
        call: &Call,
        key: &CacheKey,
        page: u32,
        from: &[Position],
        fetched: &mut Fetched,
        at: Timestamp,
    ) {
        let (Some(more), Some(main)) = (fetched.more.take(), from.first()) else { return };
        if self.is_rest_excluded(call, fetched, &more.rest).await {
            return;
        }
        // What must not be kept is not named by what is. A write to it, of which nothing is known then, touches all of its service.
        let (mut scopes, mut shown) = (fetched.scopes.clone(), fetched.shown_in(&main.source));
        if self.is_excluded(call, fetched).await {
            scopes.retain(|scope| scope.item_id().is_none());
            shown.clear();
        }
        let (first, nonce) = (at.0.div_euclid(SLOT), self.uuid());
        let Ok(text) = serde_json::to_string(&Snapshot { nonce: nonce.clone(), more }) else { return };
        let readings = readings(from, &scopes);
        let meta = EntryMeta { key: key.clone(), readings, fetch_started: at, etag: None, revision: 0 };
        if self.may_miss_a_mark(&meta) {
            return;
        }
        let mut entry = Entry { meta, body: Body { text: Escaped::from_text(&text), items: Vec::new() } };
        let _staying = self.leaving.read().await;
        if self.accounts.find(key.account.as_str()).is_err() {
            // Signed out meanwhile, as for the answer itself.
            return;
        }
        for slot in (0..SLOTS).map(|step| (first + step).rem_euclid(SLOTS)) {
            entry.meta.key = place(key, page, slot);
            match self.entries.put(entry.clone(), shown.clone(), self.clock.now()).await {
                Ok(Put::Stored { .. }) => {
                    // One of the same place that was read a moment ago must not be found in memory.
                    self.hot.remove(entry.meta.key.hash);
                    self.limits.stored(at, GOOD_FOR);
                    if let Some(answer) = fetched.answer.as_object_mut() {
                        answer.insert("next_cursor".into(), format!("{page}-{slot}-{nonce}").into());
                    }
                    return;
                }
                Ok(Put::Older) => {}
                // Overtaken while it was read, too large, or no room for it: the list begins anew, which is what no cursor says.
                Ok(Put::Overtaken | Put::TooLarge | Put::NoRoom) => return,
                Err(error) => return self.note_store(Some(&error)),
            }
        }
    }

    /// Answers a call that reads on.
    pub(super) async fn read_on(self: &Arc<Self>, mut call: Call) -> Result<Answer, CallError> {
        let cursor = call.args.text(ARGUMENT).unwrap_or_default().to_owned();
        call.args.set(ARGUMENT, Value::Null);
        let list = self.key(&call).ok_or(CallError::Broken)?;
        if let Some(answer) = self.read_on_in_list(&call, &list, &cursor).await {
            return Ok(answer);
        }
        let (of, cursor) = Self::lent(&list, &cursor).unwrap_or_else(|| (list.clone(), &cursor));
        let snapshot = match parts(cursor) {
            Some((page, slot, nonce)) => self.snapshot(&place(&of, page, slot), nonce, call.now).await.map(|found| (page, found)),
            None => None,
        };
        let Some((page, (more, since, readings_then))) = snapshot else {
            let way = format!("Call {} again without cursor: it begins anew, with what is true now.", call.tool.name);
            let gone = "what this cursor would go on with is not kept any more, or belongs to other arguments";
            return Err(StepError::user("cursor_gone", gone, way).into());
        };
        self.counters.missed(&call);
        let call = self.with_source(call).await?;
        let from = self.positions(&call).await?;
        let fetch = call.tool.does.fetch().ok_or(CallError::Broken)?;
        // Items kept since the list was read are as old as the list, on this page and in what it leaves out; without any the page is as new as
        // this call.
        let (at, from) = if more.rest.is_empty() { (self.clock.now(), from) } else { (since, as_of(from, &readings_then)) };
        let steps = Resumed { inner: Watch::new(self.steps(&call), None), more: Mutex::new(Some(more)) };
        let knowing = self.knowing(&steps, &call, Trust::of_read(&call.args));
        let fetched = fetch(&knowing, &call.args).await;
        let facts = knowing.made.into_inner();
        self.counters.checked(&call, facts);
        let requests = steps.inner.seen().requests.saturating_sub(facts);
        if requests > 0 {
            self.counters.asked(&call, requests, false);
        }
        let mut fetched = fetched?;
        self.leave_cursor(&call, &list, page.saturating_add(1), &from, &mut fetched, at).await;
        let excluded = self.is_excluded(&call, &fetched).await;
        if !excluded {
            self.shorten_fetched(&call, &mut fetched).await;
        }
        let body = encode(fetched.answer.as_object().ok_or(CallError::Broken)?, fetched.list);
        self.counters.fetched(&call);
        if excluded {
            return Ok(Self::unkept(&call, CacheStatus::Bypass, at, &body, Kept::Excluded.problem()));
        }
        // A page is no entry of the store. What a budget leaves out of it is kept in memory like a list of its own, under a revision that none has.
        let readings = readings(&from, &fetched.scopes);
        let meta = EntryMeta { key: list, readings, fetch_started: at, etag: None, revision: self.dice.number() };
        let page = Arc::new(Entry { meta, body });
        Ok(Answer::cached(CacheStatus::Miss, at, self.within_budget(&call, &page, 0, &page.body).text, None))
    }

    /// What a cursor stands for, when it is still good, since when, and what it depends on.
    async fn snapshot(&self, key: &CacheKey, nonce: &str, now: Timestamp) -> Option<(More, Timestamp, Vec<Reading>)> {
        let entry = self.entry(key).await?;
        let snapshot: Snapshot = serde_json::from_str(&entry.body.text.to_text()).ok()?;
        let good = matches!(self.truth.look(|view| judge(&entry.meta, view, GOOD_FOR, Mode::Normal, now)), Verdict::Serve { .. });
        (good && snapshot.nonce == nonce).then(|| (snapshot.more, entry.meta.fetch_started, entry.meta.readings.clone()))
    }
}

/// Sources where they stood when something was read of them.
fn as_of(from: Vec<Position>, then: &[Reading]) -> Vec<Position> {
    let stood = |position: Position| match then.iter().find(|reading| reading.source == position.source) {
        Some(reading) => Position { epoch: reading.epoch, read_seq: reading.read_seq, ..position },
        None => position,
    };
    from.into_iter().map(stood).collect()
}

/// Page, slot and nonce of a cursor.
fn parts(cursor: &str) -> Option<(u32, i64, &str)> {
    let (page, rest) = cursor.split_once('-')?;
    let (slot, nonce) = rest.split_once('-')?;
    Some((page.parse().ok()?, slot.parse().ok()?, nonce))
}

/// Where the snapshots behind a page of the list `key` lie: under its arguments, so that who names the list by a pattern names them, too.
fn place(key: &CacheKey, page: u32, slot: i64) -> CacheKey {
    let mut args = key.args.clone();
    // No tool has such arguments.
    args.extend([(".page".to_owned(), page.into()), (".slot".to_owned(), slot.into())]);
    CacheKey::new(format!("{REST_OF}{}", key.tool), key.account.clone(), args)
}

/// Steps whose first collection begins where an earlier answer ended.
struct Resumed {
    inner: Watch,
    more: Mutex<Option<More>>,
}

#[async_trait]
impl Steps for Resumed {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        self.inner.send(request).await
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let Some(More { rest, link, before }) = self.more.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return self.inner.pages(request, enough).await;
        };
        let link = match link {
            Some(link) if rest.is_empty() || !enough(&rest) => link,
            next => return Ok(Page { items: rest, before, next, delta: None }),
        };
        // Preferences do not stay in Graph's links.
        let request = GraphRequest { prefer: request.prefer, headers: request.headers, ..GraphRequest::get_path(link) };
        let with_rest = |items: &[Value]| if rest.is_empty() { enough(items) } else { enough(&[&rest, items].concat()) };
        let mut page = self.inner.pages(request, &with_rest).await?;
        page.items.splice(..0, rest.iter().cloned());
        page.before = before;
        Ok(page)
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        self.inner.batch(requests).await
    }

    fn files(&self) -> &dyn Files {
        self.inner.files()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn personal(&self) -> bool {
        self.inner.personal()
    }
}
