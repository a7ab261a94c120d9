//! The original's cache: what a file of `m365-mcp` holds, and a sealed copy of it under our own database key. Its own file is only read.
//!
//! What is taken over, and what is not (design: truth; tool catalogue, 14):
//! - *Every row of every table* goes into the sealed copy, value by value, and is compared: counts and SHA-256 of both sides are equal, or
//!   there is no copy. A copy of the bytes would carry a plain original's text, so rows are read here and written through SQLCipher.
//! - *No answer becomes an entry of the cache*, not even one to fall back on. Its key keeps 64 bits of a hash of the arguments and not the
//!   arguments; it belongs to no epoch and has no `read_seq`; and the original's own writes to calendars, contacts and folders overtook
//!   their answers without a trace, so "overtaken by our own write: never served" could not be held. Answers are counted by type, and asked
//!   of Microsoft anew.
//! - *Accounts* are taken over from the token file by name, without their tokens: these have lain in clear text (`auth::OriginalAccount`).
//!
//! The original is opened so that nothing of it changes: immutable while it has no log, else read-only, with the log's index taken away
//! again. Its bytes are hashed before and after; if they differ, its program still runs, and nothing is kept.

mod error;
mod read;
mod seal;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::{
    error::OriginalError,
    read::{fingerprint, survey},
    seal::{contents, put_back, seal, sealed},
};

/// What one table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over all values in the order of the rows, in hexadecimal digits.
    pub sha256: String,
}

/// What a file of the original holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Every table, by name.
    pub tables: BTreeMap<String, Table>,
    /// Answers by the original's type (`email_list`); what is no such name counts as `other`.
    pub answers: BTreeMap<String, u64>,
    /// The accounts that answers are kept for: ids or usernames, as the original was asked.
    pub accounts: BTreeSet<String>,
}

impl Tally {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// Rows of the table called `name`; 0 when there is none.
    pub fn rows_of(&self, name: &str) -> u64 {
        self.tables.get(name).map_or(0, |table| table.rows)
    }
}

/// Told after every few rows: how many are done, and how many there are.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);
