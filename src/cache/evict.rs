//! How much is remembered of sources: which of them have to forget, and how many rows each may keep.

use super::SourceId;
use crate::clock::Timestamp;

/// Most rows remembered, counted for scopes and for places of items alike.
///
/// Forgetting is always safe and costs fetches; rows cost memory (scopes, about 200 bytes each) and disk (items, about 500).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of one source.
    pub per_source: u64,
    /// Of all sources.
    pub total: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { per_source: 20_000, total: 100_000 }
    }
}

/// What is remembered of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSize {
    /// Which.
    pub id: SourceId,
    /// Scopes with a row.
    pub scopes: u64,
    /// Places of items: one for each container an item was seen in.
    pub items: u64,
    /// When an answer drawn from it was last stored, to the day; 0 for never.
    pub used: Timestamp,
}

/// How many rows a source may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of its scopes.
    pub scopes: u64,
    /// Of its items.
    pub items: u64,
}

impl Keep {
    /// As many of each.
    pub const fn both(rows: u64) -> Self {
        Self { scopes: rows, items: rows }
    }
}

/// The sources that have to forget, and what each may keep: an eighth below what is allowed, so that it is not done again at once. Beyond
/// the bound for all sources the largest give way first.
pub fn trim(sizes: &[SourceSize], bounds: Bounds) -> Vec<(SourceId, Keep)> {
    let scopes = levels(&sizes.iter().map(|size| size.scopes).collect::<Vec<_>>(), bounds);
    let items = levels(&sizes.iter().map(|size| size.items).collect::<Vec<_>>(), bounds);
    let kept = sizes.iter().zip(scopes.into_iter().zip(items));
    kept.filter(|(size, (scopes, items))| *scopes < size.scopes || *items < size.items)
        .map(|(size, (scopes, items))| (size.id.clone(), Keep { scopes, items }))
        .collect()
}

/// What each of `counts` may keep.
fn levels(counts: &[u64], bounds: Bounds) -> Vec<u64> {
    let below = |bound: u64| bound - bound / 8;
    let mut kept: Vec<u64> =
        counts.iter().map(|count| if *count > bounds.per_source { below(bounds.per_source) } else { *count }).collect();
    if kept.iter().sum::<u64>() > bounds.total {
        let level = water_level(&kept, below(bounds.total));
        kept.iter_mut().for_each(|count| *count = (*count).min(level));
    }
    kept
}

/// The highest number to which each count can be cut so that their sum is at most `goal`.
fn water_level(counts: &[u64], goal: u64) -> u64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let mut left = goal;
    let mut over = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
    for count in sorted {
        if count.saturating_mul(over) > left {
            return left / over;
        }
        left -= count;
        over -= 1;
    }
    goal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes(counts: &[(u64, u64)]) -> Vec<SourceSize> {
        let size = |(nth, (scopes, items)): (usize, &(u64, u64))| SourceSize {
            id: SourceId::drive("c", "t", &nth.to_string()),
            scopes: *scopes,
            items: *items,
            used: Timestamp(0),
        };
        counts.iter().enumerate().map(size).collect()
    }

    #[test]
    fn the_largest_give_way_first() {
        let bounds = Bounds { per_source: 1000, total: 1600 };
        assert_eq!(trim(&sizes(&[(1000, 500), (10, 100)]), bounds), []);
        let cut = trim(&sizes(&[(1001, 500), (10, 100)]), bounds);
        assert_eq!(cut, [(SourceId::drive("c", "t", "0"), Keep { scopes: 875, items: 500 })]);
        let cut = trim(&sizes(&[(0, 900), (0, 200), (0, 800)]), bounds);
        assert_eq!(cut.iter().map(|(_, keep)| keep.items).collect::<Vec<_>>(), [600, 600]);
    }

    proptest! {
        #[test]
        fn nothing_is_left_over_its_bound_and_nobody_forgets_without_need(
            counts in prop::collection::vec((0..5000_u64, 0..5000_u64), 0..12), per_source in 100..4000_u64, total in 100..20_000_u64
        ) {
            let (sizes, bounds) = (sizes(&counts), Bounds { per_source, total });
            let cut = trim(&sizes, bounds);
            let mut after = sizes.clone();
            for (id, keep) in &cut {
                let size = after.iter_mut().find(|size| size.id == *id).unwrap();
                prop_assert!(keep.scopes <= size.scopes && keep.items <= size.items);
                (size.scopes, size.items) = (keep.scopes, keep.items);
            }
            prop_assert!(after.iter().all(|size| size.scopes <= per_source && size.items <= per_source));
            prop_assert!(after.iter().map(|size| size.scopes).sum::<u64>() <= total);
            prop_assert!(after.iter().map(|size| size.items).sum::<u64>() <= total);
            prop_assert_eq!(trim(&after, bounds), vec![], "it holds for a while");
            let over = |count: fn(&SourceSize) -> u64| sizes.iter().any(|size| count(size) > per_source) || sizes.iter().map(count).sum::<u64>() > total;
            prop_assert_eq!(cut.is_empty(), !over(|size| size.scopes) && !over(|size| size.items));
        }
    }
}
