//! Records and the hashes that chain them.

use ring::hmac;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// SHA-256 of a record and of everything before it.
pub type Hash = [u8; 32];

/// What stands for a target's id.
pub type Mark = [u8; 8];

/// A place in the chain: a record's number and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash; zeroes before the first.
    pub hash: Hash,
}

impl Point {
    /// As bytes, to be sealed.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.seq.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }

    /// From the front of such bytes, with what follows them.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        Some((Self { seq: u64::from_le_bytes(*seq), hash: *hash }, rest))
    }
}

/// What records call an account: its name and its secret lie beside the trail and can be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// SHA-256 of the secret and the account's id. Part of each record's hash; says nothing once the secret is gone.
    pub seal: Hash,
}

impl Subject {
    /// That of an account with this secret.
    pub fn of(secret: &[u8], account: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"m365-cached audit subject v1\0");
        part(&mut hash, secret);
        part(&mut hash, account.as_bytes());
        Self { seal: hash.finalize().into() }
    }
}

/// The mark of an id under an account's secret.
pub fn mark(secret: &[u8], id: &str) -> Mark {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), id.as_bytes());
    let mut mark = Mark::default();
    mark.copy_from_slice(&tag.as_ref()[..8]);
    mark
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its number: one more than that of the record before.
    pub seq: u64,
    /// When; the first time of several.
    pub at: Timestamp,
    /// The last time of several alike.
    pub until: Timestamp,
    /// The word for its kind.
    pub kind: String,
    /// Number of the account; 0 for none.
    pub subject: i64,
    /// The tool; empty for none.
    pub tool: String,
    /// Who called.
    pub client: String,
    /// How it ended.
    pub outcome: String,
    /// Marks of what it was about.
    pub marks: Vec<Mark>,
    /// How many targets there were.
    pub targets: u64,
    /// How often, or of how many things.
    pub times: u64,
    /// Number of the record it refers to; 0 for none.
    pub refers: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Record {
    /// What its hash must be behind `before`, with the seal of its subject.
    pub fn chained(&self, before: Hash, subject: Option<Subject>) -> Hash {
        let mut hash = Sha256::new();
        hash.update(b"m365-cached audit record v1\0");
        hash.update(before);
        hash.update(subject.map(|subject| subject.seal).unwrap_or_default());
        let numbers = [self.seq, self.at.0.cast_unsigned(), self.until.0.cast_unsigned(), self.subject.cast_unsigned()];
        for number in numbers.into_iter().chain([self.targets, self.times, self.refers]) {
            hash.update(number.to_le_bytes());
        }
        for text in [&self.kind, &self.tool, &self.client, &self.outcome] {
            part(&mut hash, text.as_bytes());
        }
        part(&mut hash, self.marks.as_flattened());
        hash.finalize().into()
    }

    /// Where it stands.
    pub fn point(&self) -> Point {
        Point { seq: self.seq, hash: self.hash }
    }
}

/// A part of variable length, behind its length.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record { seq: 3, kind: "write".into(), tool: "t".into(), marks: vec![[1; 8]], ..Record::default() }
    }

    #[test]
    fn every_part_shows_in_the_hash() {
        type Change = fn(&mut Record);
        let changes: [Change; 12] = [
            |r| r.seq += 1,
            |r| r.at.0 += 1,
            |r| r.until.0 += 1,
            |r| r.kind.push('x'),
            |r| r.subject += 1,
            |r| r.tool.push('x'),
            |r| r.client.push('x'),
            |r| r.outcome.push('x'),
            |r| r.marks[0][7] ^= 1,
            |r| r.targets += 1,
            |r| r.times += 1,
            |r| r.refers += 1,
        ];
        let whole = record().chained([0; 32], None);
        for (nth, change) in changes.into_iter().enumerate() {
            let mut changed = record();
            change(&mut changed);
            assert_ne!(changed.chained([0; 32], None), whole, "{nth}");
        }
        assert_ne!(record().chained([1; 32], None), whole);
        assert_ne!(record().chained([0; 32], Some(Subject::of(b"s", "a"))), whole);
        // Letters that move from one text to the next.
        let moved = Record { kind: "writ".into(), tool: "et".into(), ..record() };
        assert_ne!(moved.chained([0; 32], None), whole);
    }

    #[test]
    fn marks_and_seals_depend_on_the_secret() {
        assert_ne!(mark(b"one", "AAMk"), mark(b"two", "AAMk"));
        assert_eq!(mark(b"one", "AAMk"), mark(b"one", "AAMk"));
        assert_ne!(Subject::of(b"one", "a"), Subject::of(b"two", "a"));
        assert_ne!(Subject::of(b"one", "a"), Subject::of(b"on", "ea"));
    }

    #[test]
    fn a_point_is_read_back() {
        let point = Point { seq: 7, hash: [9; 32] };
        assert_eq!(Point::from_bytes(&point.to_bytes()), Some((point, [].as_slice())));
        assert_eq!(Point::from_bytes(&point.to_bytes()[1..]), None);
    }
}
