//! A histogram of times in microseconds: log-linear buckets, four to each doubling, so that what is read off errs by less than a quarter.
//!
//! Up to 4 µs each microsecond has its own bucket; the last one takes all from 2^27 µs (134 s) on, which is past the deadline of a call.

use std::collections::BTreeMap;

/// Number of buckets.
pub const BUCKETS: usize = 4 + (LAST - FIRST) as usize * 4 + 1;

/// The first doubling that is divided: from 2^2 µs.
const FIRST: u32 = 2;
/// Where the last bucket begins: 2^27 µs.
const LAST: u32 = 27;

/// The bucket of a time.
pub fn bucket_of(micros: u64) -> usize {
    if micros < 4 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let doubling = micros.ilog2();
    if doubling >= LAST {
        return BUCKETS - 1;
    }
    let quarter = (micros >> (doubling - FIRST)) & 3;
    4 + (doubling - FIRST) as usize * 4 + usize::try_from(quarter).unwrap_or(0)
}

/// The times of a bucket are below this many microseconds; `None` for the last one, which has no end.
pub fn ends_below(bucket: usize) -> Option<u64> {
    let bucket = u32::try_from(bucket).ok()?;
    match bucket {
        0..4 => Some(u64::from(bucket) + 1),
        _ => {
            let (doubling, quarter) = ((bucket - 4) / 4 + FIRST, (bucket - 4) % 4);
            (doubling < LAST).then(|| (u64::from(quarter) + 5) << (doubling - FIRST))
        }
    }
}

/// How long calls took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Times {
    /// Calls in each bucket that has any.
    pub buckets: BTreeMap<usize, u64>,
    /// All times together, in microseconds.
    pub sum: u64,
}

impl Times {
    /// Adds one time.
    pub fn note(&mut self, micros: u64) {
        *self.buckets.entry(bucket_of(micros)).or_default() += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// Adds `more`.
    pub fn add(&mut self, more: &Self) {
        for (bucket, count) in &more.buckets {
            let sum = self.buckets.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.sum = self.sum.saturating_add(more.sum);
    }

    /// What came since these were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let left = |(bucket, count): (&usize, &u64)| {
            let left = count.saturating_sub(earlier.buckets.get(bucket).copied().unwrap_or(0));
            (left > 0).then_some((*bucket, left))
        };
        Self { buckets: self.buckets.iter().filter_map(left).collect(), sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// How many took less than `micros`, which should be where a bucket ends.
    pub fn below(&self, micros: u64) -> u64 {
        self.buckets.iter().filter(|(bucket, _)| ends_below(**bucket).is_some_and(|end| end <= micros)).map(|(_, count)| count).sum()
    }

    /// The time that `share` (0 to 1) of the calls stayed below, in microseconds, as the end of its bucket; `None` without calls.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "a rank among counted calls, within a bucket anyway")]
        let wanted = self.count() as f64 * share;
        let mut seen = 0u64;
        for (bucket, count) in &self.buckets {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "a rank among counted calls, within a bucket anyway")]
            if seen as f64 >= wanted {
                return Some(ends_below(*bucket).unwrap_or(1 << LAST));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        for bucket in 0..BUCKETS - 1 {
            let end = ends_below(bucket).unwrap();
            assert_eq!((bucket_of(end - 1), bucket_of(end)), (bucket, bucket + 1), "bucket {bucket} ends below {end}");
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX), ends_below(BUCKETS - 1)), (0, BUCKETS - 1, None));
    }

    #[test]
    fn quantiles_are_read_off_the_buckets() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        for micros in 1..=100 {
            times.note(micros * 10);
        }
        let (half, most) = (times.quantile(0.5).unwrap(), times.quantile(0.99).unwrap());
        assert!((500..=640).contains(&half) && (990..=1280).contains(&most), "{half} {most}");
        assert_eq!((times.count(), times.sum, times.below(1 << 20)), (100, 50_500, 100));
        assert_eq!(times.below(512), times.buckets.range(..bucket_of(512)).map(|(_, count)| count).sum::<u64>());
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_bucket_and_the_bucket_is_narrow(micros in 0u64..(1 << 27)) {
            let bucket = bucket_of(micros);
            let end = ends_below(bucket).unwrap();
            let begin = bucket.checked_sub(1).map_or(0, |before| ends_below(before).unwrap());
            prop_assert!((begin..end).contains(&micros));
            prop_assert!(end - begin <= 1 + begin / 4);
        }

        #[test]
        fn adding_and_taking_away_are_one_another_s_reverse(a in prop::collection::vec(any::<u32>(), 0..40), b in prop::collection::vec(any::<u32>(), 0..40)) {
            let times = |from: &[u32]| {
                let mut times = Times::default();
                from.iter().for_each(|micros| times.note(u64::from(*micros)));
                times
            };
            let (one, two) = (times(&a), times(&b));
            let mut both = one.clone();
            both.add(&two);
            prop_assert_eq!(both.since(&one), two);
        }
    }
}
