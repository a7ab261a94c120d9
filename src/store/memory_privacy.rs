//! What is held on one account by the store without a disk.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Erasure, Left, Memory, Privacy, StoreError, memory::State};
use crate::{
    audit::{Event, Kind},
    cache::SourceId,
    clock::Timestamp,
    ids::AccountId,
};

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl State {
    fn left(&self, erasure: &Erasure) -> Left {
        let account = &erasure.account;
        let named = |row: &&(super::Invalidation, u64)| about(row, erasure);
        BTreeMap::from([
            ("entries", number(self.entries.values().filter(|held| held.entry.meta.key.account == *account).count())),
            ("tokens", u64::from(self.tokens.contains_key(account))),
            ("account", u64::from(self.accounts.contains_key(account))),
            ("delta_tokens", number(self.tokens_of_feeds.keys().filter(|feed| feed.account == *account).count())),
            ("statistics", number(self.counts.keys().filter(|(_, _, whose, _)| whose == account).count())),
            ("writes", number(self.writes.values().filter(|row| row.write.account == *account).count())),
            ("invalidations", number(self.invalidations.iter().filter(named).count())),
            ("sources", number(erasure.sources.iter().filter(|source| self.sources.contains_key(*source)).count())),
            ("handles", number(self.handles.count(account))),
            ("audit_names", u64::from(self.trail.knows(account))),
        ])
    }
}

/// Whether a record of an invalidation is about the account.
pub(super) fn about((what, _): &(super::Invalidation, u64), erasure: &Erasure) -> bool {
    what.account.as_ref() == Some(&erasure.account) || erasure.is_named_in(&what.pattern.to_string()) || erasure.is_named_in(&what.reason)
}

#[async_trait]
impl Privacy for Memory {
    async fn held_beside(&self, account: &AccountId, sources: &[SourceId]) -> Result<BTreeMap<&'static str, Vec<Value>>, StoreError> {
        let state = self.lock();
        let writes = state.writes.values().filter(|row| row.write.account == *account);
        let items = sources.iter().filter_map(|source| state.items.get(source).map(|rows| (source, rows)));
        Ok(BTreeMap::from([
            ("handles", state.handles.of(account)),
            ("writes", writes.map(|row| json!({ "tool": row.write.tool, "client": row.write.client })).collect()),
            (
                "known_items",
                items
                    .flat_map(|(source, rows)| {
                        rows.keys().map(
                            move |(item, container)| json!({ "source": source.as_str(), "item": item, "container": container.as_str() }),
                        )
                    })
                    .collect(),
            ),
        ]))
    }

    async fn begin_erasure(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.lock().erasures.insert(erasure.account.clone(), erasure);
        Ok(())
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        Ok(self.lock().erasures.values().cloned().collect())
    }

    async fn erase(&self, erasure: &Erasure, now: Timestamp) -> Result<(), StoreError> {
        {
            let mut state = self.lock();
            state.writes.retain(|_, row| row.write.account != erasure.account);
            state.invalidations.retain(|row| !about(row, erasure));
            for source in &erasure.sources {
                state.sources.remove(source);
                state.items.remove(source);
                state.used.remove(source);
            }
            state.tokens_of_feeds.retain(|feed, _| !erasure.sources.contains(&feed.source));
        }
        self.with_trail(|trail, dice| {
            if trail.knows(&erasure.account) {
                trail.append(&[Event::new(Kind::Erasure, now).of(&erasure.account).by(&erasure.by).ended("erased")], dice);
                trail.forget_subject(&erasure.account);
            }
        });
        Ok(())
    }

    async fn left(&self, erasure: &Erasure) -> Result<Left, StoreError> {
        Ok(self.lock().left(erasure))
    }

    async fn end_erasure(&self, account: &AccountId) -> Result<(), StoreError> {
        self.lock().erasures.remove(account);
        Ok(())
    }
}
