//! The connection as jobs see it: statements, transactions, and the accounts' data keys, unwrapped once.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _, Params, Row, config::DbConfig};

use super::{
    StoreError, audit,
    open::Place,
    seal::{SealKey, new_data_key, rewrap_data_key, unwrap_data_key},
};
use crate::{
    audit::Point,
    chance::Dice,
    ids::AccountId,
    secret::{Key, keep_in_memory},
    store::Guard,
};

const OWNER_BY_ACCOUNT: &str = "SELECT id, account, wrapped, old_wrapped FROM data_keys WHERE account = ?1";
const OWNER_BY_ID: &str = "SELECT id, account, wrapped, old_wrapped FROM data_keys WHERE id = ?1";
const NEW_OWNER: &str = "INSERT INTO data_keys (account, wrapped) VALUES (?1, ?2) RETURNING id";
const WRAPPING_CHECK: &str = "SELECT value FROM meta WHERE name = 'wrapping_check'";
const SET_WRAPPING_CHECK: &str = "INSERT INTO meta (name, value) VALUES ('wrapping_check', ?1)";
const OWNERS: &str = "SELECT id, account, wrapped, old_wrapped FROM data_keys ORDER BY id";
const REWRAP: &str = "UPDATE data_keys SET wrapped = ?2, old_wrapped = ?3 WHERE id = ?1";
const REPLACE_CHECK: &str = "UPDATE meta SET value = ?1 WHERE name = 'wrapping_check'";
#[cfg(test)]
pub(super) const SQL: &[&str] =
    &[OWNER_BY_ACCOUNT, OWNER_BY_ID, NEW_OWNER, WRAPPING_CHECK, SET_WRAPPING_CHECK, OWNERS, REWRAP, REPLACE_CHECK];

/// How long a statement waits for somebody who holds the file: what the connection was opened with.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the check value is bound to.
const CHECK_AAD: &[u8] = b"m365-cached wrapping check v1";

/// An account that has sealed rows.
#[derive(Clone)]
pub(super) struct Owner {
    /// Number of its row in `data_keys`.
    pub(super) id: i64,
    /// Who.
    pub(super) account: AccountId,
    /// Its data key, unwrapped: everything new is sealed under it.
    pub(super) key: Arc<SealKey>,
    /// The one before it, while a re-encryption is under way.
    old: Option<Arc<SealKey>>,
}

impl Owner {
    /// Opens what is sealed under the account's key, or under the one before it. Works in `sealed`'s own memory.
    pub(super) fn open<'a>(&self, aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        match &self.old {
            // A failed attempt spoils the memory it worked in.
            Some(old) if old.open(aad, &mut sealed.to_vec()).is_some() => old.open(aad, sealed),
            _ => self.key.open(aad, sealed),
        }
    }

    /// Opens what is still sealed under the key before; `None` for everything else, and when there is no such key.
    pub(super) fn open_old<'a>(&self, aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.old.as_ref()?.open(aad, sealed)
    }
}

/// The database, on its thread.
pub(super) struct Db {
    conn: Connection,
    place: Place,
    wrapping: SealKey,
    /// Takes over from it; which of the two is in force the check value says.
    next_wrapping: Option<SealKey>,
    pub(super) dice: Arc<dyn Dice>,
    reopened: Arc<AtomicU64>,
    guard: Arc<OnceLock<Guard>>,
    /// Owners met so far; as many as there are accounts.
    owners: Vec<Owner>,
    /// The audit trail's ends, as committed or as this transaction has them.
    pub(super) trail: Option<audit::State>,
    /// Where the trail's anchor stands; `None` until it may move.
    pub(super) anchored: Option<Point>,
    /// Numbers for handles that are reserved and not given.
    pub(super) numbers: Range<i64>,
    /// The log may hold what was overwritten, and could not be emptied yet.
    log_due: bool,
}

impl Db {
    pub(super) fn new(conn: Connection, place: Place, wrapping: &Key, dice: Arc<dyn Dice>) -> Self {
        Self {
            conn,
            place,
            wrapping: SealKey::new(wrapping),
            next_wrapping: None,
            dice,
            reopened: Arc::default(),
            guard: Arc::default(),
            owners: Vec::new(),
            trail: None,
            anchored: None,
            numbers: 0..0,
            log_due: false,
        }
    }

    /// A log lay beside the file when it was opened: whoever was to empty it was killed.
    pub(super) fn found_log(&mut self) {
        self.log_due = true;
    }

    /// Whether the log is still to be emptied.
    pub(super) fn log_is_due(&self) -> bool {
        self.log_due
    }

    /// Moves all of the log into the file and empties it: what was overwritten stands in it, before its older selves in the file. Whoever reads
    /// an older state, as a backup does, keeps it from that. Nobody waits for it here: it is done when the thread tidies. Returns whether it is.
    pub(super) fn empty_log(&mut self) -> Result<bool, StoreError> {
        // Until it is known otherwise.
        self.log_due = true;
        self.conn.busy_timeout(Duration::ZERO)?;
        let busy = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0));
        self.conn.busy_timeout(PATIENCE)?;
        self.log_due = busy? != 0;
        Ok(!self.log_due)
    }

    /// The key that wraps the others, as this transaction has it.
    pub(super) fn wrapping_in_force(&self) -> Result<&SealKey, StoreError> {
        if let Some(next) = &self.next_wrapping
            && let Some(mut sealed) = self.one(WRAPPING_CHECK, (), |row| row.get::<_, Vec<u8>>(0))?
            && next.open(CHECK_AAD, &mut sealed).is_some()
        {
            return Ok(next);
        }
        Ok(&self.wrapping)
    }

    /// The key that was wrapped for `owner`, while one wrapping key takes over from another under either.
    pub(super) fn unwrap(&self, owner: &str, wrapped: &[u8]) -> Option<SealKey> {
        [Some(&self.wrapping), self.next_wrapping.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|wrapping| unwrap_data_key(wrapping, owner, wrapped.to_vec()))
    }

    /// Where the end of the audit trail is kept outside the file.
    pub(super) fn anchor_file(&self) -> std::path::PathBuf {
        self.place.path.with_file_name("audit.head")
    }

    /// Holds the wrapping key against the one the file was made with.
    pub(super) fn check_wrapping_key(&mut self) -> Result<(), StoreError> {
        if self.wrapping_key_fits()? {
            return Ok(());
        }
        let sealed = self.wrapping.seal(&*self.dice, CHECK_AAD, &[]);
        self.transact(true, |db| db.run(SET_WRAPPING_CHECK, (&sealed,)).map(drop))
    }

    /// The same without a word for a file that has none yet; whether it has one.
    pub(super) fn wrapping_key_fits(&self) -> Result<bool, StoreError> {
        let Some(mut sealed) = self.one(WRAPPING_CHECK, (), |row| row.get::<_, Vec<u8>>(0))? else { return Ok(false) };
        match self.wrapping.open(CHECK_AAD, &mut sealed) {
            Some(_) => Ok(true),
            None => Err(StoreError::WrongKey("its wrapping key is another one".into())),
        }
    }

    /// Wraps every data key under `next`, inside a writing transaction. To be followed by [`Db::settle_wrapping`] behind it.
    pub(super) fn rewrap(&mut self, next: &Key) -> Result<(), StoreError> {
        // In place from now on, so that whoever reads between the commit and the end of this finds it; after a failure it opens nothing.
        self.next_wrapping = Some(SealKey::new(next));
        let new = SealKey::new(next);
        for (id, account, wrapped, old) in self.all(OWNERS, (), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, Vec<u8>>(3)?))
        })? {
            let again = |wrapped: Vec<u8>| match wrapped.is_empty() {
                true => Ok(wrapped),
                false => rewrap_data_key(&self.wrapping, &new, &*self.dice, &account, wrapped)
                    .ok_or_else(|| StoreError::Damaged("an account's data key does not open".into())),
            };
            let (wrapped, old) = (again(wrapped)?, again(old)?);
            self.run(REWRAP, (id, wrapped, old))?;
        }
        audit::rewrap(self, &self.wrapping, &new)?;
        self.run(REPLACE_CHECK, [new.seal(&*self.dice, CHECK_AAD, &[])]).map(drop)
    }

    /// Goes on with the wrapping key that the file was committed with.
    pub(super) fn settle_wrapping(&mut self) -> Result<(), StoreError> {
        if let Some(next) = self.next_wrapping.take()
            && let Some(mut sealed) = self.one(WRAPPING_CHECK, (), |row| row.get::<_, Vec<u8>>(0))?
            && next.open(CHECK_AAD, &mut sealed).is_some()
        {
            self.wrapping = next;
        }
        Ok(())
    }

    /// Counts the times [`Db::reopen`] was needed.
    pub(super) fn reopened(&self) -> Arc<AtomicU64> {
        self.reopened.clone()
    }

    /// Keeps room on the disk, once it has been given.
    pub(super) fn guard(&self) -> Arc<OnceLock<Guard>> {
        self.guard.clone()
    }

    /// Opens the file again: a connection that has seen a bad page stays poisoned.
    pub(super) fn reopen(&mut self) -> Result<(), StoreError> {
        // Whatever it still holds must not be moved into the file when it closes.
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.owners.clear();
        self.trail = None;
        self.numbers = 0..0;
        self.reopened.fetch_add(1, Ordering::Relaxed);
        self.conn = self.place.open_existing()?;
        Ok(())
    }

    /// Closes the file when everything is in it and nothing in its log.
    pub(super) fn close_whole(self) -> Result<(), StoreError> {
        self.place.close_whole(self.conn)
    }

    /// Runs a statement that changes rows, and tells how many.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// The first row.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// Every row.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The connection itself, for what is no statement: pragmas and plans.
    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs `work` in one transaction. `durable`: on the disk when this returns (`synchronous = FULL`), not only after the next checkpoint.
    pub(super) fn transact<T>(&mut self, durable: bool, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if durable {
            self.conn.execute_batch("PRAGMA synchronous = FULL")?;
        }
        let done = self.in_transaction(work);
        if durable {
            self.conn.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        done
    }

    fn in_transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(self).and_then(|value| {
            self.conn.execute_batch("COMMIT")?;
            Ok(value)
        });
        if done.is_err() {
            // A data key made in this transaction is gone with it.
            self.owners.clear();
            self.trail = None;
            self.numbers = 0..0;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
        }
        done
    }

    /// The owner of an account's sealed rows, if it has any.
    pub(super) fn owner(&mut self, account: &AccountId) -> Result<Option<Owner>, StoreError> {
        if let Some(owner) = self.owners.iter().find(|owner| owner.account == *account) {
            return Ok(Some(owner.clone()));
        }
        self.load_owner(OWNER_BY_ACCOUNT, account.as_str())
    }

    /// The owner numbered `id`.
    pub(super) fn owner_by_id(&mut self, id: i64) -> Result<Option<Owner>, StoreError> {
        if let Some(owner) = self.owners.iter().find(|owner| owner.id == id) {
            return Ok(Some(owner.clone()));
        }
        self.load_owner(OWNER_BY_ID, id)
    }

    fn load_owner(&mut self, sql: &str, wanted: impl rusqlite::ToSql) -> Result<Option<Owner>, StoreError> {
        let row = self
            .one(sql, [wanted], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, Vec<u8>>(3)?)))?;
        let Some((id, account, wrapped, old)) = row else { return Ok(None) };
        let unwrap = |wrapped: Vec<u8>| {
            let key =
                Arc::new(self.unwrap(&account, &wrapped).ok_or_else(|| StoreError::Damaged("an account's data key does not open".into()))?);
            keep_in_memory(key.as_ref());
            Ok::<_, StoreError>(key)
        };
        let (key, old) = (unwrap(wrapped)?, if old.is_empty() { None } else { Some(unwrap(old)?) });
        let owner = Owner { id, account: AccountId::new(account), key, old };
        self.owners.push(owner.clone());
        Ok(Some(owner))
    }

    /// The owner of an account's sealed rows, made when there is none. Inside a writing transaction only.
    pub(super) fn owner_or_make(&mut self, account: &AccountId) -> Result<Owner, StoreError> {
        if let Some(owner) = self.owner(account)? {
            return Ok(owner);
        }
        let (key, wrapped) = new_data_key(self.wrapping_in_force()?, &*self.dice, account.as_str());
        let Some(id) = self.one(NEW_OWNER, (account.as_str(), wrapped), |row| row.get(0))? else {
            return Err(StoreError::Damaged("a row was not kept".into()));
        };
        let owner = Owner { id, account: account.clone(), key: Arc::new(key), old: None };
        self.owners.push(owner.clone());
        Ok(owner)
    }

    /// Forgets every unwrapped key.
    pub(super) fn forget_owners(&mut self) {
        self.owners.clear();
    }

    /// Forgets the unwrapped key of an owner.
    pub(super) fn drop_owner(&mut self, id: i64) {
        self.owners.retain(|owner| owner.id != id);
    }
}
