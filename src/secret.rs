//! `Secret<T>`: a value that cannot be printed, stays in one place in memory, and is wiped when dropped. Keys are kept out of the swap where the
//! system allows it.

use std::{
    fmt, mem,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use zeroize::Zeroize;

/// Holds a key or a token. It has no `Debug`, no `Display` and no `Serialize`, so it cannot reach a log by accident.
pub struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        // What is moved about leaves copies behind; a box is moved without what is in it.
        let value = Box::new(value);
        // Of a text only its address lies here.
        if !mem::needs_drop::<T>() {
            keep_in_memory(value.as_ref());
        }
        Self(value)
    }

    /// The value, for the one call that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Where a secret of the person's own is kept. Settings name the place and never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The entry of that name in the system's keyring, under our own service.
    Keyring(String),
    /// An environment variable.
    Environment(String),
    /// A file, by its absolute path.
    File(PathBuf),
}

impl Reference {
    /// `keyring:ENTRY`, `env:VARIABLE` or `file:/PATH`; `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, place) = text.split_once(':')?;
        let word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let named = !place.is_empty() && place.chars().all(word);
        match kind {
            "keyring" => named.then(|| Self::Keyring(place.to_owned())),
            "env" => named.then(|| Self::Environment(place.to_owned())),
            "file" => Some(PathBuf::from(place)).filter(|path| path.is_absolute()).map(Self::File),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring(entry) => write!(f, "keyring:{entry}"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Places that were kept out of the swap, and those that the system did not allow.
static KEPT: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Has the system keep the pages of `value` in memory, as far as it allows (`RLIMIT_MEMLOCK`). They stay so until the process ends: pages are locked
/// as a whole, so letting one key go could let another one go with it, and there are few.
pub(crate) fn keep_in_memory<T>(value: &T) {
    match region::lock(value, size_of::<T>()) {
        Ok(guard) => {
            mem::forget(guard);
            KEPT.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many keys were kept out of the swap, and how many could not be.
pub fn kept_in_memory() -> (u64, u64) {
    (KEPT.load(Ordering::Relaxed), REFUSED.load(Ordering::Relaxed))
}

/// 256 bits of key.
pub type Key = Secret<[u8; 32]>;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_out_of_the_swap_and_wiped() {
        let key: Key = Secret::new([7; 32]);
        let (kept, refused) = kept_in_memory();
        assert!(kept + refused > 0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim();
        assert!(kept == 0 || locked != "0 kB", "{locked}");
        // Moving it does not move its bytes.
        let place = std::ptr::from_ref(key.expose());
        let moved = Some(key);
        assert_eq!(moved.as_ref().map(|key| std::ptr::from_ref(key.expose())), Some(place));
    }
}
