//! What a mailbox keeps besides its items: rules of the inbox, categories, and the settings that were changed.

use serde_json::{Map, Value};

/// A rule of the inbox.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Lower ones run first; nothing keeps two rules from having the same.
    pub(crate) sequence: i32,
    pub(crate) enabled: bool,
    /// `conditions`, `actions` and `exceptions` as Graph shows them; absent ones are absent.
    pub(crate) parts: Map<String, Value>,
}

/// A category of the mailbox's list.
#[derive(Debug, Clone)]
pub(crate) struct Category {
    /// A GUID.
    pub(crate) id: String,
    pub(crate) name: String,
    /// `none`, `preset0` … `preset24`.
    pub(crate) color: String,
}

/// Rules, categories and settings of one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// In the order in which they were made.
    pub(crate) rules: Vec<Rule>,
    pub(crate) categories: Vec<Category>,
    /// Properties of `mailboxSettings` that differ from what every mailbox begins with.
    pub(crate) changed: Map<String, Value>,
    /// How many rules and categories there ever were: what their ids are made from.
    pub(crate) made: u32,
}

impl Settings {
    /// The next number for an id.
    pub(crate) fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// The rules in the order in which they run.
    pub(crate) fn running_order(&self) -> Vec<&Rule> {
        let mut out: Vec<&Rule> = self.rules.iter().collect();
        out.sort_by_key(|rule| rule.sequence);
        out
    }
}
