//! Accounts, their sealed token records, and forgetting an account so that what is left of it on the disk is unreadable.

use super::{Sqlcipher, StoreError, db::Db, delta, entries::remove, handles, statistics, stats, thread::pragma, upgrade};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{AccountRow, Erasure},
};

const LIST: &str = "SELECT id, username, display_name, tenant_id, object_id, drive_id, added_at FROM accounts ORDER BY id";
const SAVE: &str = "INSERT INTO accounts (id, username, display_name, tenant_id, object_id, drive_id, added_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET username = excluded.username,
    display_name = excluded.display_name, tenant_id = excluded.tenant_id, object_id = excluded.object_id,
    drive_id = excluded.drive_id, added_at = excluded.added_at";
const USERNAME: &str = "SELECT username FROM accounts WHERE id = ?1";
const TOKENS: &str = "SELECT record FROM tokens WHERE owner = ?1";
const SAVE_TOKENS: &str = "INSERT INTO tokens (owner, record) VALUES (?1, ?2) ON CONFLICT (owner) DO UPDATE SET record = excluded.record";
const SOME_ENTRIES: &str = "SELECT id FROM cache_entries WHERE owner = ?1 LIMIT ?2";
const FORGET_TOKENS: &str = "DELETE FROM tokens WHERE owner = ?1";
const FORGET_KEY: &str = "DELETE FROM data_keys WHERE id = ?1";
const FORGET_SOME_TASKS: &str =
    "DELETE FROM cache_tasks WHERE id IN (SELECT id FROM cache_tasks WHERE account = ?1 ORDER BY state, id LIMIT ?2)";
const FORGET_TASKS: &str = "DELETE FROM cache_tasks WHERE account = ?1";
const FORGET_TIMES: &str = "DELETE FROM task_times WHERE account = ?1";
const FORGET_ACCOUNT: &str = "DELETE FROM accounts WHERE id = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[
    LIST,
    SAVE,
    USERNAME,
    TOKENS,
    SAVE_TOKENS,
    SOME_ENTRIES,
    FORGET_TOKENS,
    FORGET_KEY,
    FORGET_SOME_TASKS,
    FORGET_TASKS,
    FORGET_TIMES,
    FORGET_ACCOUNT,
];

/// Entries or tasks removed in one transaction, so that reads come in between.
const AT_A_TIME: i64 = 256;

fn token_aad(account: &AccountId) -> Vec<u8> {
    [b"m365-cached tokens v1\0".as_slice(), account.as_str().as_bytes()].concat()
}

/// Every account.
pub(super) fn list(db: &mut Db) -> Result<Vec<AccountRow>, StoreError> {
    db.all(LIST, (), |row| {
        Ok(AccountRow {
            id: AccountId::new(row.get::<_, String>(0)?),
            username: row.get(1)?,
            display_name: row.get(2)?,
            tenant_id: row.get(3)?,
            object_id: row.get(4)?,
            drive_id: Some(row.get::<_, String>(5)?).filter(|drive| !drive.is_empty()),
            added_at: Timestamp(row.get(6)?),
        })
    })
}

/// Adds or replaces an account.
pub(super) fn save(db: &mut Db, account: &AccountRow) -> Result<(), StoreError> {
    let drive = account.drive_id.as_deref().unwrap_or_default();
    let row =
        (account.id.as_str(), &account.username, &account.display_name, &account.tenant_id, &account.object_id, drive, account.added_at.0);
    db.run(SAVE, row).map(drop)
}

/// The token record, opened.
pub(super) fn tokens(db: &mut Db, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
    let Some(owner) = db.owner(account)? else { return Ok(None) };
    let Some(mut sealed) = db.one(TOKENS, [owner.id], |row| row.get::<_, Vec<u8>>(0))? else { return Ok(None) };
    match owner.open(&token_aad(account), &mut sealed).map(|plain| plain.len()) {
        Some(length) => {
            // Moved to the front of the memory it was opened in, so that no copy of it stays behind.
            let begin = sealed.len() - 16 - length;
            sealed.copy_within(begin..begin + length, 0);
            zeroize::Zeroize::zeroize(&mut sealed[length..]);
            sealed.truncate(length);
            Ok(Some(Secret::new(sealed)))
        }
        None => Err(StoreError::Damaged("an account's tokens do not open".into())),
    }
}

/// Seals and keeps the token record.
pub(super) fn save_tokens(db: &mut Db, account: &AccountId, record: &Secret<Vec<u8>>) -> Result<(), StoreError> {
    let owner = db.owner_or_make(account)?;
    let sealed = owner.key.seal(&*db.dice, &token_aad(account), &[record.expose()]);
    db.run(SAVE_TOKENS, (owner.id, sealed)).map(drop)
}

fn forget_some(db: &mut Db, owner: i64, most: i64) -> Result<u64, StoreError> {
    let mut removed = 0;
    for id in db.all(SOME_ENTRIES, (owner, most), |row| row.get::<_, i64>(0))? {
        removed += u64::from(remove(db, id)?);
    }
    Ok(removed)
}

/// Removes what is left of an account and its key. With `secure_delete` on, so that the wrapped key is overwritten in its page.
fn forget_rest(db: &mut Db, account: &AccountId) -> Result<u64, StoreError> {
    let mut removed = 0;
    if let Some(owner) = db.owner(account)? {
        // Those stored since the last look.
        removed = forget_some(db, owner.id, -1)?;
        stats::forget_owner(db, owner.id)?;
        statistics::forget_some(db, owner.id, -1)?;
        handles::forget_some(db, owner.id, -1)?;
        delta::forget_owner(db, owner.id)?;
        pragma(db, "PRAGMA secure_delete = ON")?;
        let gone = db.run(FORGET_TOKENS, [owner.id]).and_then(|_| db.run(FORGET_KEY, [owner.id]));
        pragma(db, "PRAGMA secure_delete = FAST")?;
        gone?;
        db.drop_owner(owner.id);
    }
    db.run(FORGET_TASKS, [account.as_str()])?;
    db.run(FORGET_TIMES, [account.as_str()])?;
    db.run(FORGET_ACCOUNT, [account.as_str()])?;
    Ok(removed)
}

impl Sqlcipher {
    /// Forgets an account: its entries and tasks some at a time, so that others' reads come in between, then the rest in one transaction. Cut
    /// short, it is still signed in and has fewer entries.
    pub(super) async fn forget_account(&self, account: &AccountId) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let wanted = account.clone();
            let some = self.thread.cache(256 * 1024, move |db| match db.owner(&wanted)? {
                Some(owner) => forget_some(db, owner.id, AT_A_TIME),
                None => Ok(0),
            });
            match some.await? {
                0 => break,
                some => removed += some,
            }
        }
        loop {
            let wanted = account.clone();
            let some = self.thread.cache(64 * 1024, move |db| match db.owner(&wanted)? {
                Some(owner) => statistics::forget_some(db, owner.id, AT_A_TIME),
                None => Ok(0),
            });
            if some.await? == 0 {
                break;
            }
        }
        loop {
            let wanted = account.clone();
            let some = self.thread.cache(64 * 1024, move |db| match db.owner(&wanted)? {
                Some(owner) => handles::forget_some(db, owner.id, AT_A_TIME),
                None => Ok(0),
            });
            if some.await? == 0 {
                break;
            }
        }
        loop {
            let wanted = account.clone();
            let some = self.thread.cache(256 * 1024, move |db| db.run(FORGET_SOME_TASKS, (wanted.as_str(), AT_A_TIME)));
            if some.await? == 0 {
                break;
            }
        }
        let wanted = account.clone();
        let name = self.thread.read(move |db| db.one(USERNAME, [wanted.as_str()], |row| row.get::<_, String>(0))).await?;
        self.forget_invalidations(&Erasure::of_name(account, name)).await?;
        // The file of before an upgrade has the account's key and tokens, and would sign it in again. It goes first: should the rest fail, the
        // account is signed in.
        upgrade::forget(&self.place.path)?;
        let wanted = account.clone();
        removed += self.thread.ledger(move |db| forget_rest(db, &wanted)).await?;
        // It has happened, and whoever was told otherwise would go on with an account that is gone. The thread tries again when it tidies.
        if let Err(error) = self.thread.read(Db::empty_log).await {
            tracing::warn!(%error, "an account is forgotten, and what it had stays in the log of the file until that can be emptied");
        }
        Ok(removed)
    }
}
