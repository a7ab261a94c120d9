//! What Microsoft no longer has.
//!
//! A refusal as not found (404, 410) tells of the one thing that the call names, whatever the call was: a read of its own entry, one with other
//! arguments, one past the cache, a write. What we hold of that thing is never served again, not even told as old where nobody can be asked:
//! that it is gone is known, and whoever deleted it does not expect to see it. Lists and searches that may show it have changed.
//!
//! Where several things are named (a message and an attachment of it) it may be any of them, and where none is (a path), nobody knows which:
//! then what the call's own entry shows of them has changed, which may still stand in. So it is with rules, folders and calendars, of which no
//! entry is found by their id: what a read's own entry was made of has changed, and what a write was to change by name. That also holds
//! when an id was made up; what it overtakes is asked for once more.

use std::collections::BTreeSet;

use super::{Call, Engine};
use crate::{
    cache::{CacheKey, Entry, Scope, SourceId, Touch, Touched, is_overtaken, is_void},
    store::Missing,
    tools::{self, Does, Effect, StepError},
};

impl Engine {
    /// Learns from the refusal of `call`, whose entry has the key, when it has one.
    pub(super) async fn learn_of_absence(&self, call: &Call, key: Option<&CacheKey>, source: &SourceId, error: &StepError) {
        // A mailbox that is not there says nothing of what is in it.
        if !matches!(error.status, Some(404 | 410)) || error.code == "no_mailbox" {
            return;
        }
        let (Effect::Read { service, .. } | Effect::Write { service }) = call.tool.effect else { return };
        let entry = match key {
            Some(key) => self.entry(key).await.filter(|entry| !self.truth.look(|view| is_void(&entry.meta, view))),
            None => None,
        };
        let scopes = entry.iter().flat_map(|entry| &entry.meta.readings).flat_map(|reading| &reading.scopes);
        let shown: BTreeSet<&str> = scopes.filter_map(Scope::item_id).collect();
        let mut named = BTreeSet::new();
        tools::each_given(call.tool, &mut call.args.clone(), &mut |id| {
            named.insert(id.clone());
        });
        let _staying = self.leaving.read().await;
        if self.accounts.find(call.account.id.as_str()).is_err() {
            return;
        }
        let one = named.first().filter(|_| named.len() == 1);
        let mut learnt = match one {
            // Answers may show it by another id.
            Some(id) if shown.is_empty() || shown.contains(id.as_str()) => {
                let missing = Missing { id: id.clone(), shown: shown.contains(id.as_str()) };
                self.ledger.absent(source.clone(), service, vec![missing]).await
            }
            _ => Ok(Vec::new()),
        };
        if learnt.as_ref().is_ok_and(Vec::is_empty) {
            let touches: Vec<Touch> = if shown.is_empty() {
                self.without_items(call, entry.as_deref(), source)
            } else {
                shown.into_iter().map(|id| Touch::Item(id.to_owned())).collect()
            };
            if !touches.is_empty() {
                learnt = self.ledger.changed(vec![Touched { source: source.clone(), service, touches }], self.clock.now()).await;
            }
        }
        match learnt {
            Ok(bumps) => self.truth.apply(&bumps),
            Err(error) => self.note_store(Some(&error)),
        }
    }

    /// What has changed when nothing is known of an item: what the call's own entry was made of, once, or what a write was to change by name.
    fn without_items(&self, call: &Call, entry: Option<&Entry>, source: &SourceId) -> Vec<Touch> {
        if let Does::Write { touches, .. } = call.tool.does {
            return touches(&call.args).into_iter().filter(|touch| matches!(touch, Touch::Scope(_) | Touch::All)).collect();
        }
        let entry = entry.filter(|entry| !self.truth.look(|view| is_overtaken(&entry.meta, view)));
        let readings = entry.into_iter().flat_map(|entry| &entry.meta.readings).filter(|reading| reading.source == *source);
        readings.flat_map(|reading| &reading.scopes).cloned().map(Touch::Scope).collect()
    }
}

#[cfg(test)]
#[path = "absence_tests.rs"]
mod tests;
