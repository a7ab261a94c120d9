//! Uses of entries, buffered: a hit adds to a table in memory, and the store is told in batches (3 µs a use instead of 40 or more).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::EntryUse;
use crate::{cache::KeyHash, clock::Timestamp};

/// Entries whose uses wait for a flush. One more entry than this is not recorded: access statistics may err, memory may not grow.
const MOST: usize = 65_536;

/// The buffer.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<KeyHash, EntryUse>>);

impl Uses {
    /// Notes one use of `key` at `now`; tells whether it is the first since the last [`Uses::drain`], so that somebody may be woken to flush.
    pub fn record(&self, key: KeyHash, now: Timestamp) -> bool {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = uses.is_empty();
        if let Some(known) = uses.get_mut(&key) {
            known.hits = known.hits.saturating_add(1);
            known.at = known.at.max(now);
        } else if uses.len() < MOST {
            uses.insert(key, EntryUse { key, at: now, hits: 1 });
        }
        first
    }

    /// Takes out everything noted since the last time.
    pub fn drain(&self) -> Vec<EntryUse> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        uses.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_one_entry_are_one_row_and_are_handed_out_once() {
        let uses = Uses::default();
        for at in [5, 9, 7] {
            uses.record(KeyHash([1; 16]), Timestamp(at));
        }
        uses.record(KeyHash([2; 16]), Timestamp(1));
        let mut drained = uses.drain();
        drained.sort_by_key(|row| row.key);
        assert_eq!(
            drained,
            [EntryUse { key: KeyHash([1; 16]), at: Timestamp(9), hits: 3 }, EntryUse { key: KeyHash([2; 16]), at: Timestamp(1), hits: 1 }]
        );
        assert!(uses.drain().is_empty());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let uses = Uses::default();
        for number in 0..MOST + 10 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_le_bytes());
            uses.record(KeyHash(key), Timestamp(0));
        }
        assert_eq!(uses.drain().len(), MOST);
    }
}
