//! Handles: short names of what Microsoft names with a hundred characters and more.
//!
//! A handle is a letter, which says what kind of thing it names, and a number: `m512345678`. Numbers are given one after the other and never
//! twice, whatever is forgotten, erased or lost: they are reserved in blocks of 1,000, durably and before the first of a block is used, and
//! those that were not used when a process ended are passed over. A new file begins at a random number of nine digits, and one that was put
//! back goes on at a random place behind its last, so that what a client still remembers of a file that is gone names nothing in this one: by
//! accident in one of 4,000 cases for 100,000 things named since.
//!
//! Decimal numbers, because vocabularies know three digits as one token and seldom two mixed letters: nine digits cost 3 tokens of
//! `o200k_base`, seven characters of base 32 some 5.
//!
//! A row takes about 190 bytes of the file: the id (some 120), the number, a mark of 8 bytes to find the id by, and two small indexes. At most
//! [`KEPT`] things of an account are kept, those shown last. Ids lie in the file as those of `items` do: under the file's key alone.

use std::{fmt, ops::Range};

use async_trait::async_trait;

use super::StoreError;
use crate::{chance::Dice, clock::Timestamp, ids::AccountId};

/// Numbers that are reserved at once.
#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
pub(super) const BLOCK: i64 = 1_000;
/// Where the numbers of a new file begin.
const FIRST: Range<u64> = 100_000_000..500_000_000;
/// How far at most the numbers of a file that was put back jump.
#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
const JUMP: u64 = 100_000_000;
/// Things of one account that are kept: 19 MB of the file.
pub const KEPT: u64 = 100_000;
/// How exactly it is remembered when something was last shown, in milliseconds.
pub(super) const SHOWN_GRAIN_MS: i64 = 24 * 3600 * 1000;

/// The short name of one thing of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    letter: u8,
    number: u64,
}

impl Handle {
    /// The handle of that letter (`a` to `z`) and number.
    pub fn new(letter: char, number: u64) -> Self {
        Self { letter: u8::try_from(letter).unwrap_or(b'x'), number }
    }

    /// Reads one; `None` for what is none. Nothing that Microsoft names looks like one: a small letter and 9 to 15 digits.
    pub fn read(text: &str) -> Option<Self> {
        let (letter, digits) = text.split_at_checked(1)?;
        let letter = *letter.as_bytes().first().filter(|letter| letter.is_ascii_lowercase())?;
        let good = (9..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        good.then(|| digits.parse().ok()).flatten().map(|number| Self { letter, number })
    }

    /// Its letter.
    pub fn letter(self) -> char {
        char::from(self.letter)
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.letter(), self.number)
    }
}

/// Something that is to have a handle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// What begins its handle, unless it has one.
    pub letter: char,
    /// Microsoft's id.
    pub id: String,
}

/// Where handles are kept. Every implementation passes `store/handles_tests.rs`.
#[async_trait]
pub trait Handles: Send + Sync {
    /// The handles of `things` of an account, in their order; what has none gets one. May be lost with the power: then a handle names nothing,
    /// and is not given again.
    async fn name(&self, account: &AccountId, things: Vec<Thing>, now: Timestamp) -> Result<Vec<Handle>, StoreError>;
    /// What a handle names, and whose it is; `None` for one that was never given or is forgotten.
    async fn named(&self, handle: Handle) -> Result<Option<(AccountId, String)>, StoreError>;
    /// Forgets the things of an account that were not shown for longest, beyond `keep`, at most `most` of them. Returns how many.
    async fn forget_handles(&self, account: &AccountId, keep: u64, most: usize) -> Result<usize, StoreError>;
    /// Notes whether stored answers show handles from now on, and tells whether they did.
    async fn show_handles(&self, shows: bool) -> Result<bool, StoreError>;
}

/// The first number of a new file.
pub(super) fn first_number(dice: &dyn Dice) -> i64 {
    (FIRST.start + dice.number() % (FIRST.end - FIRST.start)).cast_signed()
}

/// How far the numbers of a file that was put back jump.
#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
pub(super) fn jump(dice: &dyn Dice) -> i64 {
    (BLOCK.cast_unsigned() + dice.number() % JUMP).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(letter in "[a-z]", number in 100_000_000u64..1_000_000_000_000_000) {
            let handle = Handle::new(letter.chars().next().unwrap(), number);
            prop_assert_eq!(Handle::read(&handle.to_string()), Some(handle));
        }

        #[test]
        fn nothing_else_is_read(text in ".{0,20}") {
            if let Some(handle) = Handle::read(&text) {
                prop_assert_eq!(handle.to_string(), text);
            }
        }
    }

    #[test]
    fn names_of_microsofts_are_no_handles() {
        for name in [
            "inbox",
            "root",
            "m12345678",
            "M512345678",
            "m0512345678",
            "mm512345678",
            "512345678",
            "m5123456789012345",
            "m51234567é",
            "",
            "é512345678",
            "01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "AAMkAGI1AAAoZCfHAAA=",
            "F4F7B2A1C0D3E5F6!123",
            "AQAAAJ5dZqA=",
        ] {
            assert_eq!(Handle::read(name), None, "{name}");
        }
    }
}
