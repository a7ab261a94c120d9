//! The hot tier: opened answers in bounded memory, so that a hit needs no SQL, no key and no decompression.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache, sync::DefaultLifecycle};

use super::rules::stays;
use crate::{
    cache::{Entry, KeyHash},
    clock::Timestamp,
    ids::AccountId,
};

/// Few shards, because a shard's share of the bytes is the largest entry it can hold.
const SHARDS: usize = 4;
/// A guess at the size of an entry, from which the tables are sized.
const TYPICAL_BYTES: u64 = 8 * 1024;

/// What takes up room in memory.
pub(super) trait Weigh {
    /// In bytes.
    fn weight(&self) -> u64;
}

impl Weigh for Entry {
    fn weight(&self) -> u64 {
        Entry::weight(self)
    }
}

/// Weighs what is held by [`Weigh::weight`].
#[derive(Clone)]
pub(super) struct ByBytes;

impl<T: Weigh> Weighter<KeyHash, Arc<T>> for ByBytes {
    fn weight(&self, _key: &KeyHash, held: &Arc<T>) -> u64 {
        held.weight()
    }
}

/// A map that drops what was used least once it holds its bytes.
pub(super) type Bounded<T> = Cache<KeyHash, Arc<T>, ByBytes>;

/// A map of at most `bytes`.
pub(super) fn bounded<T: Weigh>(bytes: u64) -> Bounded<T> {
    let items = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 20);
    let options = OptionsBuilder::new().shards(SHARDS).estimated_items_capacity(items).weight_capacity(bytes).build();
    match options {
        Ok(options) => Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default()),
        // Only a missing capacity is an error there, and both are given.
        Err(_) => Cache::with(items, bytes, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default()),
    }
}

/// Opened entries by key. `quick_cache` because its get takes a third of moka's (design: performance, 2g) and it weighs by bytes.
pub struct HotTier {
    cache: Bounded<Entry>,
    largest: u64,
    /// Taken while an entry is taken in, so that none comes in between the look at the one that is held and its replacement.
    inserting: Mutex<()>,
}

impl HotTier {
    /// Keeps at most `bytes`; an entry over an eighth of that is not taken in, lest it push everything else out.
    pub fn new(bytes: u64) -> Self {
        Self { cache: bounded(bytes), largest: bytes / 8, inserting: Mutex::default() }
    }

    /// The entry, when it is held.
    pub fn get(&self, key: KeyHash) -> Option<Arc<Entry>> {
        self.cache.get(&key)
    }

    /// Takes the entry in, in place of an older one of its key. Two that were stored or read at once may come here in either order: the newer
    /// one stays, as in the store.
    pub fn insert(&self, entry: Arc<Entry>, now: Timestamp) {
        let _turn = self.inserting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = entry.meta.key.hash;
        if self.cache.peek(&key).is_some_and(|held| stays(&held.meta, &entry.meta, now)) {
            return;
        }
        if entry.weight() > self.largest {
            // The older one must not outlive its replacement.
            self.cache.remove(&key);
        } else {
            self.cache.insert(key, entry);
        }
    }

    /// Drops one entry.
    pub fn remove(&self, key: KeyHash) {
        self.cache.remove(&key);
    }

    /// Drops every entry of an account: at sign-out.
    pub fn remove_account(&self, account: &AccountId) {
        self.cache.retain(|_, entry| entry.meta.key.account != *account);
    }

    /// Keeps only the entries that `stays` names.
    pub fn retain(&self, stays: impl Fn(&Entry) -> bool) {
        self.cache.retain(|_, entry| stays(entry));
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.cache.clear();
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Bytes held, by [`Entry::weight`].
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        cache::{Body, CacheKey, EntryMeta, Escaped},
        clock::Timestamp,
    };

    fn entry(account: &str, number: usize, bytes: usize) -> Arc<Entry> {
        let args = BTreeMap::from([("n".to_owned(), number.into())]);
        let key = CacheKey::new("email_list", AccountId::new(account), args);
        let meta = EntryMeta { key, readings: vec![], fetch_started: Timestamp(0), etag: None, revision: 1 };
        Arc::new(Entry { meta, body: Body { text: Escaped(vec![b'x'; bytes].into()), items: vec![] } })
    }

    #[test]
    fn it_never_holds_more_than_its_bytes_and_drops_an_account_whole() {
        let hot = HotTier::new(1 << 20);
        for number in 0..1000 {
            hot.insert(entry(if number % 2 == 0 { "a.t" } else { "b.t" }, number, 10_000), Timestamp(1));
            assert!(hot.bytes() <= 1 << 20);
        }
        assert!(hot.len() > 50, "it keeps what fits: {}", hot.len());
        hot.remove_account(&AccountId::new("a.t"));
        let (even, odd): (Vec<usize>, Vec<usize>) = (0..1000).partition(|number| number % 2 == 0);
        assert!(even.iter().all(|number| hot.get(entry("a.t", *number, 0).meta.key.hash).is_none()));
        assert!(odd.iter().any(|number| hot.get(entry("b.t", *number, 0).meta.key.hash).is_some()));
        hot.clear();
        assert!(hot.is_empty() && hot.bytes() == 0);
    }

    #[test]
    fn an_entry_too_large_is_not_taken_and_takes_its_older_self_with_it() {
        let hot = HotTier::new(1 << 20);
        let small = entry("a.t", 1, 100);
        hot.insert(small.clone(), Timestamp(1));
        assert_eq!(hot.get(small.meta.key.hash), Some(small.clone()));
        hot.insert(entry("a.t", 1, 200_000), Timestamp(1));
        assert_eq!(hot.get(small.meta.key.hash), None);
    }

    #[test]
    fn an_older_answer_does_not_take_the_place_of_a_newer_one_that_is_held() {
        let at = |began: i64| {
            let mut entry = Arc::unwrap_or_clone(entry("a.t", 1, 100));
            entry.meta.fetch_started = Timestamp(began);
            Arc::new(entry)
        };
        let (hot, key) = (HotTier::new(1 << 20), at(0).meta.key.hash);
        for (began, now, held) in [(2, 2, 2), (1, 3, 2), (2, 3, 2), (3, 3, 3), (1, 2, 1)] {
            hot.insert(at(began), Timestamp(now));
            assert_eq!(hot.get(key).unwrap().meta.fetch_started, Timestamp(held), "{began} at {now}");
        }
    }
}
