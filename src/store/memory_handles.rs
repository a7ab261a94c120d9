//! Handles of the store without a disk.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Memory, StoreError,
    handles::{Handle, Handles, SHOWN_GRAIN_MS, Thing, first_number},
};
use crate::{clock::Timestamp, ids::AccountId};

/// What has a handle.
#[derive(Default)]
pub(super) struct Given {
    /// The last number that was given; 0 before the first.
    last: i64,
    by_number: BTreeMap<u64, Row>,
    by_thing: BTreeMap<(AccountId, String), Handle>,
    shown: bool,
}

struct Row {
    handle: Handle,
    account: AccountId,
    id: String,
    shown: Timestamp,
}

impl Given {
    /// Forgets what is an account's.
    pub(super) fn leave(&mut self, account: &AccountId) {
        self.by_number.retain(|_, row| row.account != *account);
        self.by_thing.retain(|(whose, _), _| whose != account);
    }

    /// What an account's handles name.
    pub(super) fn of(&self, account: &AccountId) -> Vec<Value> {
        let own = self.by_number.values().filter(|row| row.account == *account);
        own.map(|row| json!({ "handle": row.handle.to_string(), "id": row.id, "shown_at": row.shown.rfc3339() })).collect()
    }

    /// How many are an account's.
    pub(super) fn count(&self, account: &AccountId) -> usize {
        self.by_number.values().filter(|row| row.account == *account).count()
    }
}

#[async_trait]
impl Handles for Memory {
    async fn name(&self, account: &AccountId, things: Vec<Thing>, now: Timestamp) -> Result<Vec<Handle>, StoreError> {
        let mut state = self.lock();
        let given = &mut state.handles;
        let mut handles = Vec::with_capacity(things.len());
        for Thing { letter, id } in things {
            let key = (account.clone(), id);
            if let Some(handle) = given.by_thing.get(&key) {
                if let Some(row) = given.by_number.get_mut(&handle.number())
                    && now.0.saturating_sub(row.shown.0) > SHOWN_GRAIN_MS
                {
                    row.shown = now;
                }
                handles.push(*handle);
                continue;
            }
            given.last = if given.last == 0 { first_number(&*self.dice) } else { given.last + 1 };
            let handle = Handle::new(letter, given.last.cast_unsigned());
            let row = Row { handle, account: account.clone(), id: key.1.clone(), shown: now };
            given.by_number.insert(handle.number(), row);
            given.by_thing.insert(key, handle);
            handles.push(handle);
        }
        Ok(handles)
    }

    async fn named(&self, handle: Handle) -> Result<Option<(AccountId, String)>, StoreError> {
        let state = self.lock();
        let row = state.handles.by_number.get(&handle.number()).filter(|row| row.handle == handle);
        Ok(row.map(|row| (row.account.clone(), row.id.clone())))
    }

    async fn forget_handles(&self, account: &AccountId, keep: u64, most: usize) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let given = &mut state.handles;
        let mut rows: Vec<(Timestamp, u64)> =
            given.by_number.iter().filter(|(_, row)| row.account == *account).map(|(number, row)| (row.shown, *number)).collect();
        rows.sort_unstable();
        let over = rows.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX)).min(most);
        for (_, number) in rows.into_iter().take(over) {
            if let Some(row) = given.by_number.remove(&number) {
                given.by_thing.remove(&(row.account, row.id));
            }
        }
        Ok(over)
    }

    async fn show_handles(&self, shows: bool) -> Result<bool, StoreError> {
        Ok(std::mem::replace(&mut self.lock().handles.shown, shows))
    }
}
