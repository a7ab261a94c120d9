//! `Secret<T>`: a value that cannot be printed and is wiped from memory when dropped.

use zeroize::Zeroize;

/// Holds a key or a token. It has no `Debug`, no `Display` and no `Serialize`, so it cannot reach a log by accident.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
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

/// 256 bits of key.
pub type Key = Secret<[u8; 32]>;
