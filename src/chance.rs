//! Chance: jitter, random ids and keys, from one place that tests can seed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A source of random bytes.
pub trait Dice: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A number from the whole range.
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A wait between nothing and `most`, evenly spread: full jitter.
    fn jitter(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(if most == 0 { 0 } else { self.number() % (most + 1) })
    }

    /// `bytes` random bytes in lower-case hexadecimal.
    fn hex(&self, bytes: usize) -> String {
        use std::fmt::Write as _;
        let mut raw = vec![0; bytes];
        self.fill(&mut raw);
        raw.iter().fold(String::with_capacity(bytes * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The operating system's random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsDice;

impl Dice for OsDice {
    fn fill(&self, bytes: &mut [u8]) {
        // A key made from anything but real chance would be worse than none.
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gave no random bytes: {error}");
        }
    }
}

/// A repeatable sequence (SplitMix64), for tests only.
#[derive(Debug)]
pub struct SeededDice(Mutex<u64>);

impl SeededDice {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Dice for SeededDice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// How many cases a property is tried with: `usual`, and as many times that as `PROPTEST_CASES` is times 256, so that one word makes all of
/// them longer: `PROPTEST_CASES=25600 cargo test --release -p m365-cached --lib`.
#[cfg(test)]
pub(crate) fn cases(usual: u32) -> proptest::test_runner::Config {
    let base = proptest::test_runner::Config::default();
    let cases = u64::from(usual) * u64::from(base.cases) / 256;
    proptest::test_runner::Config { cases: u32::try_from(cases).unwrap_or(u32::MAX).max(1), ..base }
}
