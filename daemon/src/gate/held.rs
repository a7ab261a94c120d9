//! Bytes that are held for clients: arguments of calls under way, and answers that were not taken yet.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What is held for one connection, which is also part of the total. What is left when it ends is given back.
#[derive(Debug, Default)]
pub(crate) struct Held {
    own: AtomicU64,
    total: Arc<AtomicU64>,
}

impl Held {
    /// Nothing yet, as part of `total`.
    pub(super) fn new(total: Arc<AtomicU64>) -> Self {
        Self { own: AtomicU64::new(0), total }
    }

    /// So many more are held.
    pub(crate) fn add(&self, bytes: u64) {
        self.own.fetch_add(bytes, Relaxed);
        self.total.fetch_add(bytes, Relaxed);
    }

    /// So many are no longer held. Each was added before.
    pub(crate) fn take(&self, bytes: u64) {
        self.own.fetch_sub(bytes, Relaxed);
        self.total.fetch_sub(bytes, Relaxed);
    }

    /// How many are held for this one.
    pub(crate) fn bytes(&self) -> u64 {
        self.own.load(Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(*self.own.get_mut(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_leaves_behind_is_given_back() {
        let total = Arc::new(AtomicU64::new(0));
        let (one, two) = (Held::new(total.clone()), Held::new(total.clone()));
        one.add(10);
        two.add(5);
        one.take(4);
        assert_eq!((one.bytes(), two.bytes(), total.load(Relaxed)), (6, 5, 11));
        drop(one);
        assert_eq!(total.load(Relaxed), 5);
    }
}
