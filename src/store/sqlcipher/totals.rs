//! Running totals held against the entries they count, a group at a time: nothing but damage or a fault of ours makes them differ.

use super::{StoreError, db::Db};
use crate::store::{TotalsAt, TotalsStep};

/// The next group in either table; both are walked by index.
const NEXT_ENTRIES: &str = "SELECT owner, tool FROM cache_entries WHERE (owner, tool) > (?1, ?2) ORDER BY owner, tool LIMIT 1";
const NEXT_STATS: &str = "SELECT owner, tool FROM cache_stats WHERE (owner, tool) > (?1, ?2) ORDER BY owner, tool LIMIT 1";
const COUNTED: &str = "SELECT count(*), coalesce(sum(raw_len), 0), coalesce(sum(stored_len), 0), coalesce(sum(hits), 0) FROM cache_entries
    WHERE owner = ?1 AND tool = ?2";
const KEPT: &str = "SELECT entries, raw_bytes, stored_bytes, hits FROM cache_stats WHERE owner = ?1 AND tool = ?2";
const SET: &str = "INSERT INTO cache_stats (owner, tool, entries, raw_bytes, stored_bytes, hits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (owner, tool) DO UPDATE SET entries = excluded.entries, raw_bytes = excluded.raw_bytes,
    stored_bytes = excluded.stored_bytes, hits = excluded.hits";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[NEXT_ENTRIES, NEXT_STATS, COUNTED, KEPT, SET];

type Sums = (i64, i64, i64, i64);

/// Compares and corrects the group behind `after`. It reads the rows of one tool of one account, of which there are at most as many as an
/// account may have entries.
pub(super) fn step(db: &mut Db, after: Option<&TotalsAt>) -> Result<TotalsStep, StoreError> {
    let from = after.map_or((i64::MIN, ""), |TotalsAt(owner, tool)| (*owner, tool.as_str()));
    let next = |sql| db.one(sql, from, |row| Ok(TotalsAt(row.get(0)?, row.get(1)?)));
    let Some(group) = [next(NEXT_ENTRIES)?, next(NEXT_STATS)?].into_iter().flatten().min() else { return Ok(TotalsStep::default()) };
    let sums = |sql| {
        let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Sums> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) };
        db.one(sql, (group.0, &group.1), read).map(Option::unwrap_or_default)
    };
    let (counted, kept): (Sums, Sums) = (sums(COUNTED)?, sums(KEPT)?);
    let corrected = counted != kept;
    if corrected {
        db.run(SET, (group.0, &group.1, counted.0, counted.1, counted.2, counted.3))?;
    }
    Ok(TotalsStep { next: Some(group), corrected })
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::AccountId,
        store::{
            Entries as _, Ledger as _,
            sqlcipher::{
                Sqlcipher,
                tests::{Profile, account, entry, put},
            },
        },
    };

    /// Walks all groups, and counts the steps and those that were corrected.
    async fn walk(store: &Sqlcipher) -> (usize, usize) {
        let (mut steps, mut corrected, mut after) = (0, 0, None);
        loop {
            let step = store.check_totals(after).await.unwrap();
            corrected += usize::from(step.corrected);
            match step.next {
                Some(next) => after = Some(next),
                None => return (steps, corrected),
            }
            steps += 1;
        }
    }

    #[tokio::test]
    async fn tampered_totals_are_found_and_put_right() {
        let profile = Profile::new();
        let store = profile.open().unwrap();
        for number in 0..30 {
            put(&store, &entry(&store, &account(["a", "b", "c"][number % 3]), number, &"\"a\":1}".repeat(number + 1)).await).await;
        }
        let before = store.stats().await.unwrap();
        assert_eq!(walk(&store).await, (3, 0));
        drop(store);
        let conn = profile.place().open().unwrap();
        conn.execute_batch(
            "UPDATE cache_stats SET entries = entries + 5, raw_bytes = 0 WHERE owner = 1;
            DELETE FROM cache_stats WHERE owner = 2;
            INSERT INTO cache_stats (owner, tool, entries, hits) VALUES (3, 'none such', 4, 4);",
        )
        .unwrap();
        drop(conn);
        let store = profile.open().unwrap();
        assert_ne!(store.stats().await.unwrap(), before);
        assert_eq!(walk(&store).await, (4, 3));
        assert_eq!(store.stats().await.unwrap(), before);
        assert_eq!(walk(&store).await, (4, 0), "once is enough");
        store.remove_account(&AccountId::new("a.t")).await.unwrap();
        assert_eq!(walk(&store).await.1, 0);
    }
}
