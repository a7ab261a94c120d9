//! Entries of the store without a disk, as they are walked to make room.

use super::{
    Memory,
    memory::Held,
    room::{Row, Walked},
};
use crate::cache::KeyHash;

impl Walked for Memory {
    fn rows(&self) -> Vec<Row> {
        let row = |held: &Held| Row {
            key: held.entry.meta.key.hash,
            account: held.entry.meta.key.account.clone(),
            tool: held.entry.meta.key.tool.to_string(),
            fetched: held.entry.meta.fetch_started,
            used: held.used,
            bytes: held.entry.weight(),
        };
        self.lock().entries.values().map(row).collect()
    }

    fn drop_rows(&self, keys: &[KeyHash]) {
        self.lock().remove(|entry| keys.contains(&entry.meta.key.hash));
    }
}
