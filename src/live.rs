//! `Live<T>`: a value that is exchanged while others use it. Who has taken it keeps what it was; who takes it next has the new one.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Settings that a reload may exchange.
pub struct Live<T> {
    value: RwLock<Arc<T>>,
    revision: AtomicU64,
}

impl<T> Live<T> {
    /// Begins with `value`.
    pub fn new(value: T) -> Self {
        Self { value: RwLock::new(Arc::new(value)), revision: AtomicU64::new(0) }
    }

    /// The value as it is now. What has to fit together is read from one of these.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place.
    pub fn set(&self, value: T) {
        let mut place = self.value.write().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(value);
        // While nobody can read: a value is never older than its revision says.
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever the value was exchanged. Read before [`Live::get`], it is never newer than what that gives.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_taken_it_keeps_it_and_the_next_has_the_new_one() {
        let live = Live::new(1);
        let (before, revision) = (live.get(), live.revision());
        live.set(2);
        assert_eq!((*before, *live.get()), (1, 2));
        assert_ne!(live.revision(), revision);
    }
}
