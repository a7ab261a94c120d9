//! The change feed of one container: every thing in it at the place of its last change, and what has left it.

use std::collections::BTreeMap;

/// What left a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) number: u32,
    /// The id it had while it was here.
    pub(crate) id: String,
    /// The id that survives moves; equal to `id` for things that have only one.
    pub(crate) immutable: String,
}

/// One line of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The thing with this number is here and last changed then.
    Live(u32),
    /// It was here until then.
    Gone(Box<Gone>),
}

/// Things by the sequence number of their last change. A reader who remembers one number and asks for what comes
/// after it misses nothing, whatever happens between two of its pages.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    entries: BTreeMap<u64, Entry>,
}

impl Feed {
    /// The thing changed: it moves from its old place (0: none yet) to `sequence`.
    pub(crate) fn touch(&mut self, old: u64, sequence: u64, number: u32) {
        self.entries.remove(&old);
        self.entries.insert(sequence, Entry::Live(number));
    }

    /// The thing left.
    pub(crate) fn leave(&mut self, old: u64, sequence: u64, gone: Gone) {
        self.entries.remove(&old);
        self.entries.insert(sequence, Entry::Gone(Box::new(gone)));
    }

    /// What changed after `after`, oldest first.
    pub(crate) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(after + 1..).map(|(sequence, entry)| (*sequence, entry))
    }

    /// The place of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }
}
