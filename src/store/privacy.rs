//! What a backend can do for the person whose data it holds: name all of it, destroy all of it, and count what is left.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use super::StoreError;
use crate::{cache::SourceId, clock::Timestamp, ids::AccountId};

/// An erasure that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose data.
    pub account: AccountId,
    /// What the account is called besides: in patterns and reasons that people wrote.
    pub names: Vec<String>,
    /// Mailboxes and drives of which something is remembered for it.
    pub sources: Vec<SourceId>,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Erasure {
    /// What is about an account of that name: nothing is remembered of where it was read.
    pub(super) fn of_name(account: &AccountId, name: Option<String>) -> Self {
        Self { account: account.clone(), names: name.into_iter().collect(), sources: Vec::new(), by: String::new(), at: Timestamp(0) }
    }

    /// Whether a text that somebody wrote names the account.
    pub(super) fn is_named_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        std::iter::once(self.account.as_str()).chain(self.names.iter().map(String::as_str)).any(|name| {
            let name = name.trim().to_lowercase();
            !name.is_empty() && text.contains(&name)
        })
    }
}

/// Rows that are left, by what they are. Nothing is left when all are 0.
pub type Left = BTreeMap<&'static str, u64>;

/// The rights of the person whose data it is. Entries are [`super::Entries`]' affair, except for their names here.
#[async_trait]
pub trait Privacy: Send + Sync {
    /// Everything but entries that is held on the account and its own sources, by what it is: rows as JSON objects. Neither tokens nor keys.
    async fn held_beside(&self, account: &AccountId, sources: &[SourceId]) -> Result<BTreeMap<&'static str, Vec<Value>>, StoreError>;

    /// Notes that an erasure begins, before anything is removed; durable when this returns.
    async fn begin_erasure(&self, erasure: Erasure) -> Result<(), StoreError>;
    /// Erasures that have begun and are not known to be complete.
    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError>;
    /// Removes what [`super::Ledger::remove_account`] leaves: journal rows, records of invalidations, what is remembered of its sources,
    /// and the account's name and secret in the audit trail, which gets a last record of it. Doing it again does nothing.
    async fn erase(&self, erasure: &Erasure, now: Timestamp) -> Result<(), StoreError>;
    /// What is left of the account.
    async fn left(&self, erasure: &Erasure) -> Result<Left, StoreError>;
    /// The erasure is complete: its note goes too.
    async fn end_erasure(&self, account: &AccountId) -> Result<(), StoreError>;
}

/// All that is kept about the use of data rather than for it.
pub trait Records: super::Trail + Privacy {}

impl<T: super::Trail + Privacy> Records for T {}
