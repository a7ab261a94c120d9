//! What programs hang on things that are not theirs: open extensions and extended properties.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The thing that something hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Marked {
    /// The profile of the mailbox's owner.
    Profile,
    Message(u32),
    /// A single event or a whole series.
    Event(u32),
    Contact(u32),
}

/// Everything that hangs on one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// The members that programs gave an open extension, by its name.
    pub(crate) extensions: BTreeMap<String, Map<String, Value>>,
    /// Extended properties by their ids (`String {…} Name Color`): a text, or texts.
    pub(crate) properties: BTreeMap<String, Value>,
}

impl Marks {
    /// Takes over what `other` says.
    pub(crate) fn extend(&mut self, other: Self) {
        self.extensions.extend(other.extensions);
        self.properties.extend(other.properties);
    }

    /// Whether nothing hangs there.
    pub(crate) fn is_empty(&self) -> bool {
        self.extensions.is_empty() && self.properties.is_empty()
    }
}
