//! What is held on one account, named and destroyed: every table that can name it is listed here, once for each purpose.
//!
//! An erasure is noted before the first row goes and its note is removed after the last, so that one cut short is taken up at the next start.
//! Rows go some at a time, so that others' reads come in between; each step can be done twice. What was in the pages is overwritten
//! (`secure_delete`) where it names the account and is no longer covered by its data key, and the log is emptied at the end.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::Row;
use serde_json::{Value, json};

use super::{Sqlcipher, StoreError, audit, db::Db, handles, upgrade};
use crate::{
    audit::{Event, Kind},
    cache::{KeyHash, SourceId},
    clock::Timestamp,
    ids::AccountId,
    store::{Erasure, Left, Privacy},
};

const OWNERS: &str = "SELECT id FROM data_keys WHERE account = ?1";
const HELD: &str = "SELECT id, key_hash FROM cache_entries WHERE owner = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
const NOTE: &str = "INSERT INTO erasures (account, owners, names, sources, asked_by, begun_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (account) DO NOTHING";
const NOTES: &str = "SELECT account, names, sources, asked_by, begun_at FROM erasures ORDER BY account";
const NOTED_OWNERS: &str = "SELECT owners FROM erasures WHERE account = ?1";
const END: &str = "DELETE FROM erasures WHERE account = ?1";
const WRITES: &str = "SELECT id, tool, state, opened_at, closed_at, client FROM writes WHERE account = ?1 ORDER BY id";
const FORGET_WRITES: &str = "DELETE FROM writes WHERE id IN (SELECT id FROM writes WHERE account = ?1 LIMIT ?2)";
const LEFT_WRITES: &str = "SELECT count(*) FROM writes WHERE account = ?1";
const INVALIDATIONS: &str = "SELECT id, pattern, account, reason, asked_by, asked_at, removed FROM cache_invalidation WHERE id > ?1
    ORDER BY id LIMIT ?2";
const FORGET_INVALIDATION: &str = "DELETE FROM cache_invalidation WHERE id = ?1";
const SOURCE: &str = "SELECT id, used FROM sources WHERE name = ?1";
const ITEMS: &str = "SELECT item, container, used FROM items WHERE source = ?1 ORDER BY item, container";
const SCOPES: &str = "SELECT scope, written_at, changed_at FROM scopes WHERE source = ?1 ORDER BY scope";
const FORGET_ITEMS: &str =
    "DELETE FROM items WHERE (source, item, container) IN (SELECT source, item, container FROM items WHERE source = ?1 LIMIT ?2)";
const FORGET_SCOPES: &str = "DELETE FROM scopes WHERE (source, scope) IN (SELECT source, scope FROM scopes WHERE source = ?1 LIMIT ?2)";
const FORGET_FEEDS: &str = "DELETE FROM delta_tokens WHERE source = ?1";
const FORGET_SOURCE: &str = "DELETE FROM sources WHERE id = ?1";
const FEEDS: &str = "SELECT s.name, d.feed, d.checked_at FROM delta_tokens d JOIN sources s ON s.id = d.source WHERE d.owner = ?1";
/// What is counted by an owner's number.
const BY_OWNER: [(&str, &str); 6] = [
    ("entries", LEFT_ENTRIES),
    ("tokens", LEFT_TOKENS),
    ("delta_tokens", LEFT_FEEDS),
    ("statistics", LEFT_STATISTICS),
    ("totals", LEFT_TOTALS),
    ("handles", LEFT_HANDLES),
];
const LEFT_ENTRIES: &str = "SELECT count(*) FROM cache_entries WHERE owner = ?1";
const LEFT_TOKENS: &str = "SELECT count(*) FROM tokens WHERE owner = ?1";
const LEFT_FEEDS: &str = "SELECT count(*) FROM delta_tokens WHERE owner = ?1";
const LEFT_STATISTICS: &str = "SELECT count(*) FROM statistics WHERE owner = ?1";
const LEFT_HANDLES: &str = "SELECT count(*) FROM handles WHERE owner = ?1";
const LEFT_TOTALS: &str = "SELECT count(*) FROM cache_stats WHERE owner = ?1";
/// What is counted by the account's name.
const BY_ACCOUNT: [(&str, &str); 5] =
    [("account", LEFT_ACCOUNT), ("data_keys", LEFT_KEYS), ("tasks", LEFT_TASKS), ("task_times", LEFT_TIMES), ("writes", LEFT_WRITES)];
const LEFT_ACCOUNT: &str = "SELECT count(*) FROM accounts WHERE id = ?1";
const LEFT_KEYS: &str = "SELECT count(*) FROM data_keys WHERE account = ?1";
const LEFT_TASKS: &str = "SELECT count(*) FROM cache_tasks WHERE account = ?1";
const LEFT_TIMES: &str = "SELECT count(*) FROM task_times WHERE account = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[
    OWNERS,
    HELD,
    NOTE,
    NOTES,
    NOTED_OWNERS,
    END,
    WRITES,
    FORGET_WRITES,
    LEFT_WRITES,
    INVALIDATIONS,
    FORGET_INVALIDATION,
    SOURCE,
    ITEMS,
    SCOPES,
    FORGET_ITEMS,
    FORGET_SCOPES,
    FORGET_FEEDS,
    FORGET_SOURCE,
    FEEDS,
    LEFT_ENTRIES,
    LEFT_TOKENS,
    LEFT_FEEDS,
    LEFT_STATISTICS,
    LEFT_TOTALS,
    LEFT_HANDLES,
    LEFT_ACCOUNT,
    LEFT_KEYS,
    LEFT_TASKS,
    LEFT_TIMES,
];

/// Rows read or removed at a time.
const AT_A_TIME: i64 = 256;

fn lines<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join("\n")
}

fn of_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

fn owners(db: &Db, account: &AccountId) -> Result<Vec<i64>, StoreError> {
    db.all(OWNERS, [account.as_str()], |row| row.get(0))
}

fn note(db: &Db, erasure: &Erasure) -> Result<(), StoreError> {
    let owners = lines(owners(db, &erasure.account)?);
    // A name is one line whatever was put into it.
    let names = lines(erasure.names.iter().map(|name| name.replace(['\n', '\r'], " ")));
    let sources = lines(&erasure.sources);
    db.run(NOTE, (erasure.account.as_str(), owners, names, sources, &erasure.by, erasure.at.0)).map(drop)
}

fn noted(row: &Row<'_>) -> rusqlite::Result<Erasure> {
    Ok(Erasure {
        account: AccountId::new(row.get::<_, String>(0)?),
        names: of_lines(&row.get::<_, String>(1)?).map(str::to_owned).collect(),
        sources: of_lines(&row.get::<_, String>(2)?).map(SourceId::from_text).collect(),
        by: row.get(3)?,
        at: Timestamp(row.get(4)?),
    })
}

/// A record of an invalidation.
struct Invalidated {
    id: i64,
    pattern: String,
    account: String,
    reason: String,
    by: String,
    at: i64,
    removed: i64,
}

impl Invalidated {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            pattern: row.get(1)?,
            account: row.get(2)?,
            reason: row.get(3)?,
            by: row.get(4)?,
            at: row.get(5)?,
            removed: row.get(6)?,
        })
    }

    fn is_about(&self, erasure: &Erasure) -> bool {
        self.account == erasure.account.as_str() || erasure.is_named_in(&self.pattern) || erasure.is_named_in(&self.reason)
    }
}

/// Some records of invalidations that are about the account, behind `after`; and where to go on.
fn invalidations(db: &Db, erasure: &Erasure, after: i64) -> Result<(Vec<Invalidated>, Option<i64>), StoreError> {
    let mut rows = db.all(INVALIDATIONS, (after, AT_A_TIME), Invalidated::read)?;
    let next = rows.last().map(|last| last.id);
    rows.retain(|row| row.is_about(erasure));
    Ok((rows, next))
}

fn source(db: &Db, source: &SourceId) -> Result<Option<i64>, StoreError> {
    db.one(SOURCE, [source.as_str()], |row| row.get(0))
}

/// Removes some rows of a source; 0 when none is left and the source itself has gone.
fn forget_source(db: &mut Db, id: &SourceId) -> Result<usize, StoreError> {
    let Some(number) = source(db, id)? else { return Ok(0) };
    let some = db.run(FORGET_ITEMS, (number, AT_A_TIME))? + db.run(FORGET_SCOPES, (number, AT_A_TIME))?;
    if some == 0 {
        db.run(FORGET_FEEDS, [number])?;
        db.run(FORGET_SOURCE, [number])?;
    }
    Ok(some)
}

/// The last step: the trail gets its last record of the account and forgets who that was.
fn forget_in_trail(db: &mut Db, erasure: &Erasure, now: Timestamp) -> Result<(), StoreError> {
    if audit::knows(db, &erasure.account)? {
        audit::append(db, &[Event::new(Kind::Erasure, now).of(&erasure.account).by(&erasure.by).ended("erased")])?;
        audit::forget_subject(db, &erasure.account)?;
    }
    Ok(())
}

fn count(db: &Db, sql: &str, of: impl rusqlite::ToSql) -> Result<u64, StoreError> {
    Ok(db.one(sql, [of], |row| row.get::<_, i64>(0))?.unwrap_or_default().cast_unsigned())
}

fn left(db: &mut Db, erasure: &Erasure) -> Result<Left, StoreError> {
    let mut left = Left::new();
    let noted = db.one(NOTED_OWNERS, [erasure.account.as_str()], |row| row.get::<_, String>(0))?.unwrap_or_default();
    let mut numbers: Vec<i64> = of_lines(&noted).filter_map(|number| number.parse().ok()).collect();
    numbers.extend(owners(db, &erasure.account)?);
    numbers.sort_unstable();
    numbers.dedup();
    for (name, sql) in BY_OWNER {
        let mut sum = 0;
        for owner in &numbers {
            sum += count(db, sql, owner)?;
        }
        left.insert(name, sum);
    }
    for (name, sql) in BY_ACCOUNT {
        left.insert(name, count(db, sql, erasure.account.as_str())?);
    }
    let mut after = Some(0);
    let mut records = 0;
    while let Some(from) = after {
        let (rows, next) = invalidations(db, erasure, from)?;
        records += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        after = next;
    }
    left.insert("invalidations", records);
    let mut sources = 0;
    for id in &erasure.sources {
        sources += u64::from(source(db, id)?.is_some());
    }
    left.insert("sources", sources);
    left.insert("audit_names", u64::from(audit::knows(db, &erasure.account)?));
    // While somebody copies the file, what was overwritten is still in its log.
    left.insert("log", u64::from(db.log_is_due()));
    Ok(left)
}

/// Everything on the account but entries, accounts and tasks, which others read.
fn beside(db: &mut Db, account: &AccountId, sources: &[SourceId]) -> Result<BTreeMap<&'static str, Vec<Value>>, StoreError> {
    let mut all = BTreeMap::new();
    let state = |state: i64| ["open", "done", "refused", "outcome unknown"].get(usize::try_from(state).unwrap_or(9)).copied();
    let time = |ms: i64| (ms != 0).then(|| Timestamp(ms).rfc3339());
    let writes = db.all(WRITES, [account.as_str()], |row| {
        Ok(json!({
            "tool": row.get::<_, String>(1)?,
            "state": state(row.get(2)?),
            "opened_at": time(row.get(3)?),
            "closed_at": time(row.get(4)?),
            "client": row.get::<_, String>(5)?,
        }))
    })?;
    all.insert("writes", writes);
    let whole = Erasure::of_name(account, None);
    let (mut records, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let (rows, next) = invalidations(db, &whole, from)?;
        let shown = |row: Invalidated| json!({ "pattern": row.pattern, "reason": row.reason, "asked_by": row.by, "asked_at": time(row.at), "removed": row.removed });
        records.extend(rows.into_iter().map(shown));
        after = next;
    }
    all.insert("invalidations", records);
    let mut feeds = Vec::new();
    for owner in owners(db, account)? {
        feeds.extend(db.all(FEEDS, [owner], |row| {
            Ok(json!({ "source": row.get::<_, String>(0)?, "feed": row.get::<_, String>(1)?, "checked_at": time(row.get(2)?) }))
        })?);
    }
    all.insert("delta_feeds", feeds);
    let mut named = Vec::new();
    for owner in owners(db, account)? {
        named.extend(handles::shown_of(db, owner)?);
    }
    all.insert("handles", named);
    let (mut items, mut scopes) = (Vec::new(), Vec::new());
    for id in sources {
        let Some(number) = source(db, id)? else { continue };
        items.extend(db.all(ITEMS, [number], |row| {
            Ok(json!({ "source": id.as_str(), "item": row.get::<_, String>(0)?, "container": row.get::<_, String>(1)?, "seen_at": time(row.get(2)?) }))
        })?);
        scopes.extend(db.all(SCOPES, [number], |row| Ok(json!({ "source": id.as_str(), "scope": row.get::<_, String>(0)? })))?);
    }
    all.insert("known_items", items);
    all.insert("known_scopes", scopes);
    Ok(all)
}

impl Sqlcipher {
    /// Some of an account's entries, by their numbers.
    pub(super) async fn held_entries(
        &self,
        account: &AccountId,
        after: i64,
        most: usize,
    ) -> Result<(Vec<KeyHash>, Option<i64>), StoreError> {
        let (account, most) = (account.clone(), i64::try_from(most).unwrap_or(i64::MAX));
        let rows = self.thread.read(move |db| {
            let mut rows = Vec::new();
            for owner in owners(db, &account)? {
                rows.extend(db.all(HELD, (owner, after, most), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?)))?);
            }
            rows.sort_unstable();
            rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            Ok(rows)
        });
        let rows = rows.await?;
        Ok((rows.iter().map(|(_, hash)| KeyHash(*hash)).collect(), rows.last().map(|(id, _)| *id)))
    }

    /// Removes the records of invalidations that are about an account.
    pub(super) async fn forget_invalidations(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let mut after = Some(0);
        while let Some(from) = after {
            let about = erasure.clone();
            let step = self.thread.ledger(move |db| {
                let (rows, next) = invalidations(db, &about, from)?;
                rows.iter().try_for_each(|row| db.run(FORGET_INVALIDATION, [row.id]).map(drop))?;
                Ok(next)
            });
            after = step.await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Privacy for Sqlcipher {
    async fn held_beside(&self, account: &AccountId, sources: &[SourceId]) -> Result<BTreeMap<&'static str, Vec<Value>>, StoreError> {
        let (account, sources) = (account.clone(), sources.to_vec());
        self.thread.read(move |db| beside(db, &account, &sources)).await
    }

    async fn begin_erasure(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.thread.ledger(move |db| note(db, &erasure)).await
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.thread.read(|db| db.all(NOTES, (), noted)).await
    }

    async fn erase(&self, erasure: &Erasure, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let account = erasure.account.clone();
            if self.thread.ledger(move |db| db.run(FORGET_WRITES, (account.as_str(), AT_A_TIME))).await? == 0 {
                break;
            }
        }
        self.forget_invalidations(erasure).await?;
        for id in &erasure.sources {
            loop {
                let id = id.clone();
                if self.thread.ledger(move |db| forget_source(db, &id)).await? == 0 {
                    break;
                }
            }
        }
        // The file of before an upgrade has the account's rows and the key that opens them.
        upgrade::forget(&self.place.path)?;
        let about = erasure.clone();
        self.thread.ledger(move |db| forget_in_trail(db, &about, now)).await?;
        self.thread.read(|db| db.empty_log().map(drop)).await
    }

    async fn left(&self, erasure: &Erasure) -> Result<Left, StoreError> {
        let erasure = erasure.clone();
        let mut left = self.thread.read(move |db| left(db, &erasure)).await?;
        left.insert("kept_upgrades", u64::from(upgrade::kept(&self.place.path).is_some()));
        Ok(left)
    }

    async fn end_erasure(&self, account: &AccountId) -> Result<(), StoreError> {
        let account = account.clone();
        self.thread.ledger(move |db| db.run(END, [account.as_str()]).map(drop)).await
    }
}
