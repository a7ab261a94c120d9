//! What Microsoft no longer has.
//!
//! A refusal as not found (404, 410) tells of the one thing that the call names, whatever the call was: a read of its own entry, one with other
//! arguments, one past the cache, a write. What we hold of that thing is never served again, not even told as old where nobody can be asked:
//! that it is gone is known, and whoever deleted it does not expect to see it. Lists and searches that may show it have changed.
//!
//! Where several things are named (a message and an attachment of it) it may be any of them, and where none is (a path), nobody knows which:
//! then what the call's own entry shows of them has changed, which may still stand in.

use std::collections::BTreeSet;

use super::{Call, Engine};
use crate::{
    cache::{CacheKey, Scope, SourceId, Touch, Touched, is_void},
    store::Missing,
    tools::{self, Effect, StepError},
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
        let learnt = match one {
            // Answers may show it by another id.
            Some(id) if shown.is_empty() || shown.contains(id.as_str()) => {
                let missing = Missing { id: id.clone(), shown: shown.contains(id.as_str()) };
                self.ledger.absent(source.clone(), service, vec![missing]).await
            }
            _ if shown.is_empty() => return,
            _ => {
                let touches = shown.into_iter().map(|id| Touch::Item(id.to_owned())).collect();
                self.ledger.changed(vec![Touched { source: source.clone(), service, touches }], self.clock.now()).await
            }
        };
        match learnt {
            Ok(bumps) => self.truth.apply(&bumps),
            Err(error) => self.note_store(Some(&error)),
        }
    }
}

#[cfg(test)]
#[path = "absence_tests.rs"]
mod tests;
