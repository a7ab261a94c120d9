//! An answer that another stored list holds: a shorter one of the same question, or one item of it.
//!
//! It is the list's in all but its length: as old, of the same scopes, judged like the list, a hit like any other. A stale one has the
//! *list* refreshed, so that all who are served from it have the new one.
//!
//! Which lists there are is known from memory, so that a miss costs no SQL: a list is noted when it is stored and when it is read. After a
//! restart one is unknown until then; so much is asked again. At most [`MOST`] of one account and tool are noted, the oldest makes room.
//!
//! A list that has to be fetched is fetched at the length at which the same question was asked lately, up to [`ONE_REQUEST`] items: that is
//! one request too, and the next who asks for more finds it. Agents have limits of their own, so without this each pays for its own copy.
//!
//! A list that is cut needs a cursor. Its rest lies in the stored list already, so the cursor names that and a place in it; the list as it
//! was is kept in the hot tier under that name, at no cost but its places, so that it outlives a refresh while there is room. One that is
//! gone is refused like any other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Answer, CacheStatus, Call, Engine, budget, cursor};
use crate::{
    cache::{self, Body, CacheKey, Entry, EntryMeta, Escaped, Extent, Follows, KeyHash, Mode, Ttl, Verdict, judge},
    clock::Timestamp,
    ids::AccountId,
    tools::{Args, BODY_MAX_LENGTH, Held, LIMIT, OFFSET, held, holds},
};

/// Lists of one account and tool that are noted.
const MOST: usize = 128;
/// Most items that are fetched for somebody who asked for fewer; Graph gives so many at once.
const ONE_REQUEST: usize = 50;
/// A length that nobody has asked for so long is nobody's any more.
const LATELY: Duration = Duration::from_secs(15 * 60);
/// Lists that are looked through for one item.
const LOOKED_THROUGH: usize = 8;
/// What begins a cursor into a stored list, and one that a stored list of another limit lends.
const INTO: char = 's';
const LENT: char = 'l';

/// The lists that may hold other answers, by account and tool; the newest last.
#[derive(Default)]
pub(super) struct Lists(Mutex<ByTool>);

type ByTool = BTreeMap<(AccountId, Arc<str>), VecDeque<Noted>>;

#[derive(Debug, Clone, Copy)]
struct Noted {
    /// Its key without the limit.
    question: KeyHash,
    key: KeyHash,
    limit: usize,
    extent: Extent,
    /// When somebody asked for this length last, and was not answered on the spot.
    asked: Option<Timestamp>,
}

impl Lists {
    /// Notes a list that is stored.
    pub(super) fn note(&self, entry: &Entry) {
        let key = &entry.meta.key;
        if !holds(&key.tool) {
            return;
        }
        let Some(extent) = cache::extent(&entry.body) else { return };
        let mut noted = Noted { question: question(key), key: key.hash, limit: limit(key).unwrap_or(usize::MAX), extent, asked: None };
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = lists.entry((key.account.clone(), key.tool.clone())).or_default();
        noted.asked = lists.iter().find(|other| other.key == noted.key).and_then(|known| known.asked);
        lists.retain(|other| other.key != noted.key);
        if lists.len() == MOST {
            lists.pop_front();
        }
        lists.push_back(noted);
    }

    /// Notes that somebody asked for a list at its length.
    pub(super) fn asked(&self, key: &CacheKey, now: Timestamp) {
        if limit(key).is_none() {
            return;
        }
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = lists.get_mut(&(key.account.clone(), key.tool.clone()));
        if let Some(known) = lists.into_iter().flatten().find(|known| known.key == key.hash) {
            known.asked = Some(now);
        }
    }

    /// Forgets the lists of an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(whose, _), _| whose != account);
    }

    /// Forgets a list that is not stored any more.
    fn gone(&self, account: &AccountId, tool: &str, key: KeyHash) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lists) = lists.get_mut(&(account.clone(), Arc::from(tool))) {
            lists.retain(|other| other.key != key);
        }
    }

    /// The lists of `tool` that pass, the newest first.
    fn of(&self, account: &AccountId, tool: &str, passes: impl Fn(&Noted) -> bool) -> Vec<Noted> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = lists.get(&(account.clone(), Arc::from(tool)));
        lists.into_iter().flatten().rev().filter(|noted| passes(noted)).copied().collect()
    }
}

/// The name of a list whatever its limit.
fn question(key: &CacheKey) -> KeyHash {
    let mut args = key.args.clone();
    args.remove(LIMIT);
    CacheKey::new(key.tool.clone(), key.account.clone(), args).hash
}

fn limit(key: &CacheKey) -> Option<usize> {
    key.args.get(LIMIT).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok())
}

/// The same question with another limit.
fn limited(key: &CacheKey, limit: usize) -> CacheKey {
    let mut args = key.args.clone();
    args.insert(LIMIT.into(), limit.into());
    CacheKey::new(key.tool.clone(), key.account.clone(), args)
}

/// An answer that was found in a list.
pub(super) struct Part {
    list: Arc<Entry>,
    /// The item of the list it begins with.
    from: usize,
    body: Body,
    status: CacheStatus,
}

impl Part {
    pub(super) fn is_fresh(&self) -> bool {
        self.status == CacheStatus::Fresh
    }
}

impl Engine {
    /// The answer to `call` out of another list than its own: a fresh one, or else a stale one.
    pub(super) async fn held(&self, call: &Call, key: &CacheKey) -> Option<Part> {
        let held = held(call.tool.name, &call.args)?;
        let (tool, lists) = match held {
            Held::Longer { limit } => {
                let question = question(key);
                let passes = |noted: &Noted| noted.question == question && noted.key != key.hash && noted.extent.answers(limit);
                (call.tool.name, self.lists.of(&key.account, call.tool.name, passes))
            }
            Held::Body { from } => return self.body_held(call, key, from).await,
            Held::Among { list, .. } => {
                let mut lists = self.lists.of(&key.account, list, |_| true);
                lists.truncate(LOOKED_THROUGH);
                (list, lists)
            }
        };
        let ttl = self.ttl_held(call, tool)?;
        let mut stale = None;
        for noted in lists {
            let Some(list) = self.entry_of(noted.key).await else {
                self.lists.gone(&key.account, tool, noted.key);
                continue;
            };
            let status = match self.truth.look(|view| judge(&list.meta, view, ttl, Mode::Normal, call.now)) {
                Verdict::Serve { .. } => CacheStatus::Fresh,
                Verdict::ServeThenRefresh { .. } if stale.is_none() => CacheStatus::Stale,
                _ => continue,
            };
            let body = match held {
                Held::Longer { limit } => {
                    let cursor = |next: Follows<'_>| call.takes(cursor::ARGUMENT).then(|| self.cursor_into(&list, noted.limit, next));
                    cache::part(&list.body, 0, limit, cursor)
                }
                // A list of another mailbox may show an item of the same name.
                Held::Among { id, .. } if list.meta.key.args.get("mailbox") == key.args.get("mailbox") => {
                    let handle = self.names.of(&key.account, id).map(|handle| handle.to_string());
                    handle.and_then(|handle| cache::member(&list.body, &handle)).or_else(|| cache::member(&list.body, id))
                }
                Held::Among { .. } | Held::Body { .. } => None,
            };
            let Some(body) = body else { continue };
            let part = Part { list, from: 0, body, status };
            if status == CacheStatus::Fresh {
                return Some(part);
            }
            stale = Some(part);
        }
        stale
    }

    /// The answer to a call that reads on in a body, out of the one that has its beginning.
    async fn body_held(&self, call: &Call, key: &CacheKey, from: usize) -> Option<Part> {
        let mut args = key.args.clone();
        args.insert(OFFSET.into(), 0.into());
        let whole = self.entry_of(CacheKey::new(key.tool.clone(), key.account.clone(), args).hash).await?;
        let ttl = self.ttl_for(call)?;
        let status = match self.truth.look(|view| judge(&whole.meta, view, ttl, Mode::Normal, call.now)) {
            Verdict::Serve { .. } => CacheStatus::Fresh,
            Verdict::ServeThenRefresh { .. } => CacheStatus::Stale,
            _ => return None,
        };
        let body = budget::body_from(&whole.body, from, call.args.count(BODY_MAX_LENGTH))?;
        Some(Part { list: whole, from: 0, body, status })
    }

    /// What a part says within the budget of the call, once its list was fetched for it.
    pub(super) fn said(&self, call: &Call, part: &Part) -> Escaped {
        self.within_budget(call, &part.list, part.from, &part.body).text
    }

    /// The key of the longest list that answers `key` and that somebody has asked for lately, where that is one request.
    pub(super) fn longest(&self, key: &CacheKey, now: Timestamp) -> Option<CacheKey> {
        let own = limit(key)?;
        let question = question(key);
        let lately = |noted: &Noted| noted.asked.is_some_and(|at| now.since(at) <= LATELY);
        let passes = |noted: &Noted| noted.question == question && (own + 1..=ONE_REQUEST).contains(&noted.limit) && lately(noted);
        let longest = self.lists.of(&key.account, &key.tool, passes).into_iter().map(|noted| noted.limit).max()?;
        Some(limited(key, longest))
    }

    /// The call that fetches `key`, by whoever makes `call`.
    pub(super) fn at_length(call: &Call, key: &CacheKey) -> Call {
        let mut args = key.args.clone();
        args.insert("account_id".into(), key.account.as_str().into());
        Call { args: Args::from_canonical(args), ..call.clone() }
    }

    /// The times of `call` where a list of `tool` answers it: the shorter ones.
    fn ttl_held(&self, call: &Call, tool: &'static str) -> Option<Ttl> {
        let (own, list) = (self.ttl_for(call)?, self.ttl(super::find(tool).ok()?)?);
        Some(Ttl { fresh: own.fresh.min(list.fresh), stale: own.stale.min(list.stale), ..own })
    }

    /// Serves what was found; a stale list is queued for a refresh.
    pub(super) fn serve_held(self: &Arc<Self>, call: &Call, part: &Part) -> Answer {
        let answer = self.served(call, &part.list, part.from, &part.body, part.status);
        if part.status == CacheStatus::Stale {
            let key = &part.list.meta.key;
            self.enqueue_refresh(&Self::at_length(call, key).args, key, call.now);
        }
        answer
    }

    /// A cursor for what follows a part of `list`, which was read with `limit`.
    pub(super) fn cursor_into(&self, list: &Arc<Entry>, limit: usize, next: Follows<'_>) -> String {
        match next {
            Follows::Cursor(own) => format!("{LENT}{limit}-{own}"),
            Follows::Item(number) => {
                let key = kept_as(&list.meta.key, list.meta.revision, list.meta.fetch_started.0);
                if self.hot.get(key.hash).is_none() {
                    let meta = EntryMeta { key, ..list.meta.clone() };
                    self.hot.insert(Arc::new(Entry { meta, body: list.body.clone() }), self.clock.now());
                }
                format!("{INTO}{limit}-{number}-{}-{}", list.meta.revision, list.meta.fetch_started.0)
            }
        }
    }

    /// Reads on in a stored list; `None` when it is not kept any more or `cursor` is none into a stored list.
    pub(super) async fn read_on_in_list(self: &Arc<Self>, call: &Call, key: &CacheKey, cursor: &str) -> Option<Answer> {
        let (limit, number, revision, at) = into(cursor)?;
        let list_key = limited(key, limit);
        let of_then = |list: &Arc<Entry>| list.meta.revision == revision && list.meta.fetch_started.0 == at;
        let list = match self.entry_of(kept_as(&list_key, revision, at).hash).await {
            Some(list) => list,
            None => self.entry_of(list_key.hash).await.filter(of_then)?,
        };
        let view = |ttl: Ttl| self.truth.look(|view| judge(&list.meta, view, ttl, Mode::Normal, call.now));
        let Verdict::Serve { .. } = view(cursor::GOOD_FOR) else { return None };
        // Of the kept list, whatever has become of the one it was.
        let status = if matches!(view(self.ttl(call.tool)?), Verdict::Serve { .. }) { CacheStatus::Fresh } else { CacheStatus::Stale };
        let list = list_named(list, list_key);
        let cursor = |next: Follows<'_>| Some(self.cursor_into(&list, limit, next));
        let body = cache::part(&list.body, number, call.args.count(LIMIT), cursor)?;
        Some(self.serve_held(call, &Part { list, from: number, body, status }))
    }

    /// The list that a lent cursor belongs to, and the cursor.
    pub(super) fn lent<'a>(key: &CacheKey, cursor: &'a str) -> Option<(CacheKey, &'a str)> {
        let (limit, cursor) = cursor.strip_prefix(LENT)?.split_once('-')?;
        Some((limited(key, limit.parse().ok()?), cursor))
    }
}

/// The kept list under the name of the list it was, by which its uses and refreshes go.
fn list_named(list: Arc<Entry>, key: CacheKey) -> Arc<Entry> {
    if list.meta.key.hash == key.hash {
        return list;
    }
    Arc::new(Entry { meta: EntryMeta { key, ..list.meta.clone() }, body: list.body.clone() })
}

/// Limit, item, revision and time of a cursor into a stored list.
fn into(cursor: &str) -> Option<(usize, usize, u64, i64)> {
    let mut parts = cursor.strip_prefix(INTO)?.splitn(4, '-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The name under which a list is kept as it was.
fn kept_as(list: &CacheKey, revision: u64, at: i64) -> CacheKey {
    let of = json!(format!("{:?}", list.hash));
    let args = [("of".to_owned(), of), ("revision".to_owned(), revision.into()), ("at".to_owned(), at.into())];
    CacheKey::new("list", list.account.clone(), args.into())
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
