//! Whatever is done to a trail is found, and where.

use proptest::prelude::*;

use super::*;

/// A good trail behind `floor`.
fn trail(floor: Point, length: u64) -> Vec<Record> {
    let mut before = floor;
    (1..=length)
        .map(|nth| {
            let mut record = Record { seq: floor.seq + nth, kind: "read".into(), times: nth % 3, ..Record::default() };
            record.hash = record.chained(before.hash, None);
            before = record.point();
            record
        })
        .collect()
}

fn verify(floor: Point, records: &[Record], head: Option<Point>, anchor: Option<Point>) -> Report {
    let mut verifier = Verifier::new(floor);
    if let Some(anchor) = anchor {
        verifier.through(anchor);
    }
    records.iter().for_each(|record| verifier.push(record, None));
    verifier.finish(head)
}

fn end(records: &[Record]) -> Option<Point> {
    records.last().map(Record::point)
}

fn floors() -> impl Strategy<Value = Point> {
    prop_oneof![Just(Point::default()), (1..1000u64, any::<[u8; 32]>()).prop_map(|(seq, hash)| Point { seq, hash })]
}

proptest! {
    #[test]
    fn a_good_trail_holds(floor in floors(), length in 1..40u64, anchored in any::<prop::sample::Index>()) {
        let records = trail(floor, length);
        let anchor = records[anchored.index(records.len())].point();
        let report = verify(floor, &records, end(&records), Some(anchor));
        prop_assert!(report.holds(), "{:?}", report.faults);
        prop_assert_eq!(report.records, length);
    }

    #[test]
    fn what_is_taken_out_is_missed(floor in floors(), length in 2..40u64, from in any::<prop::sample::Index>(), many in 1..10usize) {
        let good = trail(floor, length);
        let from = from.index(good.len());
        let to = (from + many).min(good.len());
        let mut records = good.clone();
        records.drain(from..to);
        let report = verify(floor, &records, end(&good), None);
        let (from, to) = (good[from].seq, good[to - 1].seq);
        let expected = if to == good[good.len() - 1].seq { Fault::Truncated { from, to } } else { Fault::Missing { from, to } };
        prop_assert_eq!(report.faults, vec![expected]);
    }

    #[test]
    fn what_is_changed_is_found_where_it_is(floor in floors(), length in 1..40u64, at in any::<prop::sample::Index>(), what in 0..4) {
        let mut records = trail(floor, length);
        let head = end(&records);
        let at = at.index(records.len());
        match what {
            0 => records[at].times += 1,
            1 => records[at].client.push('x'),
            2 => records[at].at.0 -= 1,
            _ => records[at].hash[0] ^= 1,
        }
        let report = verify(floor, &records, head, None);
        prop_assert_eq!(&report.faults[0], &Fault::Altered { seq: records[at].seq });
    }

    #[test]
    fn what_changes_places_is_found(floor in floors(), length in 2..40u64, one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let mut records = trail(floor, length);
        let head = end(&records);
        let (one, other) = (one.index(records.len()), other.index(records.len()));
        prop_assume!(one != other);
        let (a, b) = (records[one].seq, records[other].seq);
        records.swap(one, other);
        (records[one].seq, records[other].seq) = (a, b);
        let report = verify(floor, &records, head, None);
        let first = a.min(b);
        prop_assert_eq!(&report.faults[0], &Fault::Altered { seq: first });
    }

    /// Somebody who can make good hashes: the points that are kept elsewhere give it away.
    #[test]
    fn a_trail_made_anew_is_not_the_one_that_was_recorded(length in 2..40u64, at in any::<prop::sample::Index>(), anchored in any::<bool>()) {
        let good = trail(Point::default(), length);
        let mut before = Hash::default();
        let mut records = good.clone();
        let at = at.index(records.len());
        records[at].times += 1;
        for record in &mut records {
            record.hash = record.chained(before, None);
            before = record.hash;
        }
        let (head, anchor) = if anchored { (end(&records), end(&good)) } else { (end(&good), None) };
        let report = verify(Point::default(), &records, head, anchor);
        prop_assert_eq!(report.faults, vec![Fault::Rewritten { seq: length }]);
    }

    /// An old database in the place of the present one.
    #[test]
    fn going_back_is_found_by_the_anchor(length in 2..40u64, back in any::<prop::sample::Index>()) {
        let good = trail(Point::default(), length);
        let kept = back.index(good.len() - 1) + 1;
        let report = verify(Point::default(), &good[..kept], end(&good[..kept]), end(&good));
        prop_assert_eq!(report.faults, vec![Fault::Truncated { from: kept as u64 + 1, to: length }]);
    }

    #[test]
    fn what_is_added_is_found(length in 1..20u64, more in 1..5u64) {
        let all = trail(Point::default(), length + more);
        let known = usize::try_from(length).unwrap();
        let report = verify(Point::default(), &all, end(&all[..known]), None);
        prop_assert_eq!(report.faults, vec![Fault::Added { from: length + 1 }]);
    }
}

#[test]
fn lost_ends_and_breaks_are_told() {
    let mut records = trail(Point::default(), 3);
    assert_eq!(verify(Point::default(), &records, None, None).faults, [Fault::EndsLost]);
    let broken = Record { seq: 4, kind: "broken".into(), ..Record::default() };
    let hash = broken.chained(records[2].hash, None);
    records.push(Record { hash, ..broken });
    assert_eq!(verify(Point::default(), &records, end(&records), None).faults, [Fault::Broken { seq: 4 }]);
    // Emptied altogether, with the ends still there.
    assert_eq!(verify(Point::default(), &[], end(&records), None).faults, [Fault::Truncated { from: 1, to: 4 }]);
}

#[test]
fn faults_are_listed_up_to_a_number() {
    let mut records = trail(Point::default(), 300);
    let head = end(&records);
    records.iter_mut().for_each(|record| record.times += 7);
    let report = verify(Point::default(), &records, head, None);
    assert_eq!((report.faults.len(), report.more), (MOST_FAULTS, 200));
    assert!(report.faults[0].to_string().contains("record 1 is"));
}
