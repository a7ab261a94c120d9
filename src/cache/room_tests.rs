//! When a clean-up begins, how far it goes, and in which order entries leave, for any contents.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn account(name: u64) -> AccountId {
    AccountId::new(format!("{name}.t"))
}

#[test]
fn a_clean_up_begins_past_one_share_and_ends_at_the_other() {
    let limits = RoomLimits::default();
    let held = |bytes| Held { bytes, accounts: vec![(account(1), Share { entries: 5, bytes })] };
    assert_eq!(excess(&held(1_600_000_000), &limits), []);
    let over = |bytes| vec![Excess { account: None, over: Share { entries: 0, bytes } }];
    assert_eq!(excess(&held(1_600_000_001), &limits), over(400_000_001));
    let tight = RoomLimits { clean_from: 50, clean_to: 10, ..limits };
    assert_eq!(excess(&held(1_600_000_000), &tight), over(1_400_000_000));
}

/// The ledger counts, until it would leave nothing: answers keep a quarter, with the same shares of it.
#[test]
fn answers_have_room_whatever_the_ledger_takes() {
    let limits = RoomLimits { bytes: 1000, ..RoomLimits::default() };
    for (ledger, from, to, much) in
        [(0, 800, 600, false), (300, 500, 300, false), (500, 300, 150, false), (650, 200, 150, true), (1500, 200, 150, true)]
    {
        let held = |answers| Held { bytes: ledger + answers, accounts: vec![(account(1), Share { entries: 5, bytes: answers })] };
        assert_eq!(excess(&held(from), &limits), [], "{ledger}");
        let over = Share { entries: 0, bytes: from + 1 - to };
        assert_eq!(excess(&held(from + 1), &limits), [Excess { account: None, over }], "{ledger}");
        assert_eq!((held(from).ledger(), held(from).is_mostly_ledger(&limits)), (ledger, much), "{ledger}");
    }
    // More is counted of small answers than they take.
    let small = Held { bytes: 700, accounts: vec![(account(1), Share { entries: 5, bytes: 790 })] };
    assert_eq!((small.ledger(), excess(&small, &limits)), (0, vec![]));
}

#[test]
fn an_account_is_held_to_its_own_limits() {
    let limits = RoomLimits { account_bytes: Some(1000), ..RoomLimits::default() };
    let share = |entries, bytes| Share { entries, bytes };
    let accounts = vec![(account(1), share(10_000, 1000)), (account(2), share(10_001, 0)), (account(3), share(5, 1100))];
    let over = excess(&Held { bytes: 0, accounts }, &limits);
    let expected = [(account(2), share(1001, 0)), (account(3), share(0, 200))];
    assert_eq!(over, expected.map(|(account, over)| Excess { account: Some(account), over }));
}

proptest! {
    /// Whatever is held: afterwards everything keeps to its limits, and nobody loses anything without need.
    #[test]
    fn what_is_left_keeps_to_the_limits(
        shares in prop::collection::vec((0..30_000_u64, 0..3_000_u64), 0..6), bytes in 1000..10_000_u64, entries in 10..20_000_u64,
        from in 10..=100_u64, to in 1..=10_u64
    ) {
        let limits = RoomLimits { bytes, account_entries: entries, account_bytes: Some(2000), clean_from: from, clean_to: to };
        let accounts: Vec<_> =
            shares.iter().zip(0..).map(|((entries, bytes), name)| (account(name), Share { entries: *entries, bytes: *bytes })).collect();
        let held = Held { bytes: accounts.iter().map(|(_, share)| share.bytes).sum(), accounts };
        let over = excess(&held, &limits);
        let mut after = held.clone();
        for cut in &over {
            match &cut.account {
                Some(name) => {
                    let (_, share) = after.accounts.iter_mut().find(|(account, _)| account == name).unwrap();
                    prop_assert!(share.entries > limits.account_entries || share.bytes > 2000);
                    share.entries -= cut.over.entries;
                    share.bytes -= cut.over.bytes;
                }
                None => after.bytes -= cut.over.bytes,
            }
        }
        prop_assert_eq!(excess(&after, &limits), vec![]);
    }

    /// Read in pieces of any size, entries leave in the order of one sort over all of them, whatever their groups are.
    #[test]
    fn entries_leave_in_order_over_all_lanes(
        groups in prop::collection::vec((0..50_u64, prop::collection::vec(0..100_i64, 0..30)), 0..6), piece in 1..8_usize, most in 1..9_usize
    ) {
        let now = Timestamp(100_000);
        let mut stored: Vec<(Lane, Vec<Place>)> = Vec::new();
        let (mut expected, mut id) = (Vec::new(), 0);
        for (number, (stale, times)) in groups.iter().zip(0..).map(|(group, number)| (number, group)) {
            let mut places: Vec<Place> = times.iter().map(|at| { id += 1; Place { at: Timestamp(at * 1000), id } }).collect();
            places.sort();
            expected.extend(places.iter().map(|place| ((now.0 - place.at.0 <= i64::try_from(stale * 1000).unwrap(), place.at), place.id)));
            let group = Group { account: account(number), tool: "t".into() };
            stored.push((Lane::new(group, Ttl::seconds(0, *stale)), places));
        }
        let mut lanes: Vec<Lane> = stored.iter().map(|(lane, _)| lane.clone()).collect();
        let mut gone: Vec<Place> = Vec::new();
        loop {
            match next(&mut lanes, now, most) {
                Next::Nothing => break,
                Next::Go(places) => {
                    prop_assert!(places.len() <= most);
                    gone.extend(places);
                }
                Next::Read(nth) => {
                    let from = lanes[nth].read_to();
                    let rest: Vec<Place> = stored[nth].1.iter().filter(|place| from.is_none_or(|from| **place > from)).take(piece).copied().collect();
                    lanes[nth].extend(&rest, piece);
                }
            }
        }
        let ranks: BTreeMap<i64, (bool, Timestamp)> = expected.iter().map(|(rank, id)| (*id, *rank)).collect();
        prop_assert_eq!(gone.len(), ranks.len(), "each leaves once");
        prop_assert!(gone.windows(2).all(|two| ranks[&two[0].id] <= ranks[&two[1].id]));
    }
}

#[test]
fn what_is_of_use_counts_the_longest_of_its_times() {
    let ttl = Ttl { fresh: Duration::from_secs(3), stale: Duration::from_secs(90), if_error: Duration::from_secs(5) };
    assert_eq!(of_use(ttl), Duration::from_secs(90));
    assert_eq!(of_use(Ttl::seconds(1, 2)), Ttl::IF_ERROR);
}
