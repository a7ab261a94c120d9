//! Packing of small structures into bytes: the head of an entry and the lists of touches and scopes in `writes`.
//!
//! Numbers are LEB128, texts carry their length. Reading never panics and never allocates more than the input could hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    cache::{Epoch, Reading, Scope, Service, SourceId, Touch, Touched},
    store::statistics::{BUCKETS, Counts, NUMBERS},
};

/// Bytes of SHA-256 in front of what is packed with [`checked`].
const CHECK: usize = 8;

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn count(&mut self, value: usize) {
        self.number(u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A count of things that take at least one byte each.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// What an entry holds beside numbers and its body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    /// Canonical arguments.
    pub(super) args: BTreeMap<String, Value>,
    /// Graph's tag.
    pub(super) etag: Option<String>,
    /// What the answer depends on.
    pub(super) readings: Vec<Reading>,
}

impl Head {
    pub(super) fn pack(args: &BTreeMap<String, Value>, etag: Option<&str>, readings: &[Reading]) -> Vec<u8> {
        let mut out = Writer::default();
        out.count(args.len());
        for (name, value) in args {
            out.text(name);
            out.text(&value.to_string());
        }
        out.count(usize::from(etag.is_some()));
        if let Some(etag) = etag {
            out.text(etag);
        }
        out.count(readings.len());
        for reading in readings {
            out.text(reading.source.as_str());
            out.0.extend_from_slice(&reading.epoch.0.to_le_bytes());
            out.number(reading.read_seq);
            out.count(reading.scopes.len());
            for scope in &reading.scopes {
                out.text(scope.as_str());
            }
        }
        out.0
    }

    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let mut args = BTreeMap::new();
        for _ in 0..from.count()? {
            let name = from.text()?.to_owned();
            args.insert(name, serde_json::from_str(from.text()?).ok()?);
        }
        let etag = match from.number()? {
            0 => None,
            _ => Some(from.text()?.to_owned()),
        };
        let mut readings = Vec::new();
        for _ in 0..from.count()? {
            let source = SourceId::from_text(from.text()?);
            let (epoch, rest) = from.0.split_first_chunk::<8>()?;
            from.0 = rest;
            let read_seq = from.number()?;
            let mut scopes = Vec::new();
            for _ in 0..from.count()? {
                scopes.push(Scope::from_text(from.text()?));
            }
            readings.push(Reading { source, epoch: Epoch(u64::from_le_bytes(*epoch)), read_seq, scopes });
        }
        from.end(Self { args, etag, readings })
    }
}

/// Packs places of items in a text as steps from one boundary to the next.
pub(super) fn pack_places(places: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Writer::default();
    out.count(places.len());
    let mut at = 0u32;
    for (begin, end) in places {
        // Wrapping, so that any list comes back as it was; real ones rise.
        out.number(u64::from(begin.wrapping_sub(at)));
        out.number(u64::from(end.wrapping_sub(*begin)));
        at = *end;
    }
    out.0
}

/// What [`pack_places`] packed, and how many bytes it took.
pub(super) fn unpack_places(bytes: &[u8]) -> Option<(Vec<(u32, u32)>, usize)> {
    let mut from = Reader(bytes);
    let count = from.count()?;
    let mut places = Vec::with_capacity(count);
    let mut at = 0u32;
    for _ in 0..count {
        let begin = at.wrapping_add(u32::try_from(from.number()?).ok()?);
        at = begin.wrapping_add(u32::try_from(from.number()?).ok()?);
        places.push((begin, at));
    }
    Some((places, bytes.len() - from.0.len()))
}

fn service(code: u64) -> Option<Service> {
    [Service::Mail, Service::Calendar, Service::Contacts, Service::Rules, Service::Files].get(usize::try_from(code).ok()?).copied()
}

fn service_code(service: Service) -> u64 {
    match service {
        Service::Mail => 0,
        Service::Calendar => 1,
        Service::Contacts => 2,
        Service::Rules => 3,
        Service::Files => 4,
    }
}

/// Packs what a write touches, with a check sum.
pub(super) fn pack_touched(touched: &Touched) -> Vec<u8> {
    let mut out = Writer::default();
    out.text(touched.source.as_str());
    out.number(service_code(touched.service));
    out.count(touched.touches.len());
    for touch in &touched.touches {
        match touch {
            Touch::Item(id) => {
                out.number(0);
                out.text(id);
            }
            Touch::Scope(scope) => {
                out.number(1);
                out.text(scope.as_str());
            }
            Touch::All => out.number(2),
            Touch::Mark(id) => {
                out.number(3);
                out.text(id);
            }
            Touch::Marked(scope) => {
                out.number(4);
                out.text(scope.as_str());
            }
        }
    }
    checked(out.0)
}

/// What [`pack_touched`] packed; `None` when the bytes are damaged.
pub(super) fn unpack_touched(bytes: &[u8]) -> Option<Touched> {
    let mut from = Reader(verified(bytes)?);
    let source = SourceId::from_text(from.text()?);
    let service = service(from.number()?)?;
    let mut touches = Vec::new();
    for _ in 0..from.count()? {
        touches.push(match from.number()? {
            0 => Touch::Item(from.text()?.to_owned()),
            1 => Touch::Scope(Scope::from_text(from.text()?)),
            2 => Touch::All,
            3 => Touch::Mark(from.text()?.to_owned()),
            4 => Touch::Marked(Scope::from_text(from.text()?)),
            _ => return None,
        });
    }
    from.end(Touched { source, service, touches })
}

/// Packs scopes by source, with a check sum.
pub(super) fn pack_scopes(by_source: &BTreeMap<SourceId, BTreeSet<Scope>>) -> Vec<u8> {
    let mut out = Writer::default();
    out.count(by_source.len());
    for (source, scopes) in by_source {
        out.text(source.as_str());
        out.count(scopes.len());
        for scope in scopes {
            out.text(scope.as_str());
        }
    }
    checked(out.0)
}

/// What [`pack_scopes`] packed; `None` when the bytes are damaged.
pub(super) fn unpack_scopes(bytes: &[u8]) -> Option<BTreeMap<SourceId, BTreeSet<Scope>>> {
    let mut from = Reader(verified(bytes)?);
    let mut by_source = BTreeMap::new();
    for _ in 0..from.count()? {
        let source = SourceId::from_text(from.text()?);
        let mut scopes = BTreeSet::new();
        for _ in 0..from.count()? {
            scopes.insert(Scope::from_text(from.text()?));
        }
        by_source.insert(source, scopes);
    }
    from.end(by_source)
}

fn checked(bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Sha256::digest(&bytes)[..CHECK].to_vec();
    out.extend(bytes);
    out
}

fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let (check, rest) = bytes.split_at_checked(CHECK)?;
    (Sha256::digest(rest)[..CHECK] == *check).then_some(rest)
}

/// Version of [`pack_counts`].
const COUNTS: u64 = 1;

/// Packs a row of statistics: the numbers, as many as there are, then each histogram's sum and the buckets that are not empty.
pub(super) fn pack_counts(counts: &Counts) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(COUNTS);
    let numbers = counts.numbers();
    out.count(numbers.len());
    numbers.into_iter().for_each(|number| out.number(number));
    for times in [&counts.hit_times, &counts.fetch_times] {
        out.number(times.sum);
        out.count(times.buckets.len());
        for (bucket, count) in &times.buckets {
            out.count(*bucket);
            out.number(*count);
        }
    }
    out.0
}

/// The reverse of [`pack_counts`]; numbers that an older version did not have are zero.
pub(super) fn unpack_counts(bytes: &[u8]) -> Option<Counts> {
    let mut from = Reader(bytes);
    if from.number()? != COUNTS {
        return None;
    }
    let mut numbers = [0; NUMBERS];
    for at in 0..from.count()? {
        *numbers.get_mut(at)? = from.number()?;
    }
    let mut counts = Counts::from_numbers(numbers);
    for times in [&mut counts.hit_times, &mut counts.fetch_times] {
        times.sum = from.number()?;
        for _ in 0..from.count()? {
            let bucket = usize::try_from(from.number()?).ok().filter(|bucket| *bucket < BUCKETS)?;
            times.buckets.insert(bucket, from.number()?);
        }
    }
    from.end(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn reading() -> impl Strategy<Value = Reading> {
        (".*", any::<u64>(), any::<u64>(), prop::collection::vec(".*", 0..5)).prop_map(|(source, epoch, read_seq, scopes)| Reading {
            source: SourceId::from_text(&source),
            epoch: Epoch(epoch),
            read_seq,
            scopes: scopes.iter().map(|scope| Scope::from_text(scope)).collect(),
        })
    }

    proptest! {
        #[test]
        fn a_head_comes_back_as_it_was(
            texts in prop::collection::btree_map(".*", ".*", 0..5),
            number in any::<i64>(),
            etag in prop::option::of(".*"),
            readings in prop::collection::vec(reading(), 0..4),
        ) {
            let mut args: BTreeMap<String, Value> = texts.into_iter().map(|(name, text)| (name, json!(text))).collect();
            args.insert("n".into(), json!([number, null, true]));
            let packed = Head::pack(&args, etag.as_deref(), &readings);
            prop_assert_eq!(Head::unpack(&packed), Some(Head { args, etag, readings }));
            prop_assert_eq!(Head::unpack(&packed[..packed.len() - 1]), None);
        }

        #[test]
        fn places_come_back_as_they_were(places in prop::collection::vec(any::<(u32, u32)>(), 0..50)) {
            let mut packed = pack_places(&places);
            let length = packed.len();
            packed.extend_from_slice(b"body");
            prop_assert_eq!(unpack_places(&packed), Some((places, length)));
        }

        #[test]
        fn counts_come_back_as_they_were(numbers in any::<[u64; NUMBERS]>(), times in prop::collection::vec(any::<u32>(), 0..60)) {
            let mut counts = Counts::from_numbers(numbers);
            times.iter().for_each(|micros| counts.fetch_times.note(u64::from(*micros)));
            let packed = pack_counts(&counts);
            prop_assert_eq!(unpack_counts(&packed), Some(counts));
            prop_assert_eq!(unpack_counts(&packed[..packed.len() - 1]), None);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Head::unpack(&bytes), unpack_counts(&bytes), unpack_places(&bytes), unpack_touched(&checked(bytes.clone())), unpack_scopes(&checked(bytes)));
        }

        #[test]
        fn touches_and_scopes_come_back_or_are_known_to_be_damaged(ids in prop::collection::vec(".{0,40}", 0..6), flip in any::<prop::sample::Index>()) {
            let mut touches: Vec<Touch> = ids.iter().map(|id| Touch::Item(id.clone())).collect();
            touches.extend([Touch::All, Touch::Scope(Scope::folders()), Touch::Marked(Scope::folders())]);
            touches.extend(ids.iter().map(|id| Touch::Mark(id.clone())));
            let touched = Touched { source: SourceId::mailbox("global", "t", "m"), service: Service::Files, touches };
            let scopes = BTreeMap::from([(touched.source.clone(), ids.iter().map(|id| Scope::item(id)).collect::<BTreeSet<_>>())]);
            let (mut one, mut two) = (pack_touched(&touched), pack_scopes(&scopes));
            prop_assert_eq!(unpack_touched(&one), Some(touched));
            prop_assert_eq!(unpack_scopes(&two), Some(scopes));
            let (a, b) = (flip.index(one.len()), flip.index(two.len()));
            one[a] = !one[a];
            two[b] = !two[b];
            prop_assert_eq!(unpack_touched(&one), None);
            prop_assert_eq!(unpack_scopes(&two), None);
        }
    }
}
