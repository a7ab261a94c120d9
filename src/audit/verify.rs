//! What is wrong with a trail: every record is held against the one before it, and the chain against the points that are kept of it.

use std::{collections::BTreeMap, fmt};

use super::{Hash, Kind, Point, Record, Subject};

/// Faults that are listed; further ones are counted.
const MOST_FAULTS: usize = 100;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Records are missing between two that are there, or at the beginning.
    Missing {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A record is not what was recorded: it was changed, or stands in another's place.
    Altered {
        /// Its number.
        seq: u64,
    },
    /// Records at the end are missing.
    Truncated {
        /// The first of them.
        from: u64,
        /// The last that is known to have been there.
        to: u64,
    },
    /// Records stand behind the end.
    Added {
        /// The first of them.
        from: u64,
    },
    /// The chain holds together, but it is another one than the kept point belongs to.
    Rewritten {
        /// Where the point stands.
        seq: u64,
    },
    /// What is kept of the trail's ends in the database is gone or is not ours.
    EndsLost,
    /// The copy of the end outside the database is gone or is not ours.
    AnchorLost,
    /// What a number stands for was changed: records may be shown for another account.
    Subject {
        /// The number.
        subject: i64,
    },
    /// When the daemon started, the trail did not go on where it had ended. The record says since when.
    Broken {
        /// Number of that record.
        seq: u64,
    },
}

impl Fault {
    /// Stable, snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Altered { .. } => "altered",
            Self::Truncated { .. } => "truncated",
            Self::Added { .. } => "added",
            Self::Rewritten { .. } => "rewritten",
            Self::EndsLost => "ends_lost",
            Self::AnchorLost => "anchor_lost",
            Self::Subject { .. } => "subject_altered",
            Self::Broken { .. } => "broken",
        }
    }

    /// The first and the last record it is about; `None` when it is about none.
    pub fn place(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Missing { from, to } | Self::Truncated { from, to } => Some((from, to)),
            Self::Altered { seq } | Self::Rewritten { seq } | Self::Broken { seq } | Self::Added { from: seq } => Some((seq, seq)),
            Self::EndsLost | Self::AnchorLost | Self::Subject { .. } => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::Altered { seq } => write!(f, "record {seq} is not what was recorded: it was changed, or stands in another's place"),
            Self::Truncated { from, to } if from == to => write!(f, "record {from}, the last one, is missing"),
            Self::Truncated { from, to } => write!(f, "records {from} to {to}, the last ones, are missing"),
            Self::Added { from } => write!(f, "from record {from} on nothing was recorded: they were added"),
            Self::Rewritten { seq } => write!(f, "the records up to {seq} hold together, but are not those that were recorded"),
            Self::EndsLost => f.write_str("what the database keeps of the trail's ends is gone or was not written by this daemon"),
            Self::AnchorLost => f.write_str("the copy of the trail's end beside the database is gone or was not written by this daemon"),
            Self::Subject { subject } => write!(f, "the account that number {subject} stands for was changed"),
            Self::Broken { seq } => write!(f, "when record {seq} was made, the trail did not go on where it had ended"),
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Records that were held against each other.
    pub records: u64,
    /// Where the trail begins: the first record is the one behind it.
    pub floor: Point,
    /// Where it ends. To be noted elsewhere, and looked for later.
    pub head: Point,
    /// What is wrong, by place.
    pub faults: Vec<Fault>,
    /// Faults beyond those that are listed.
    pub more: u64,
}

impl Report {
    /// Nothing is wrong.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Goes through a trail once, from its beginning.
#[derive(Debug)]
pub struct Verifier {
    report: Report,
    before: Hash,
    next: u64,
    /// The last record that was seen.
    last: Point,
    /// Points that must be met, with the hash each must have.
    points: BTreeMap<u64, Vec<Hash>>,
}

impl Verifier {
    /// A trail that begins behind `floor`.
    pub fn new(floor: Point) -> Self {
        let report = Report { floor, ..Report::default() };
        Self { report, before: floor.hash, next: floor.seq + 1, last: floor, points: BTreeMap::new() }
    }

    /// The chain must go through `point`, which was kept elsewhere. One before the beginning says nothing any more.
    pub fn through(&mut self, point: Point) {
        if point.seq > self.report.floor.seq {
            self.points.entry(point.seq).or_default().push(point.hash);
        } else if point.seq == self.report.floor.seq && point.seq > 0 && point.hash != self.report.floor.hash {
            self.fault(Fault::Rewritten { seq: point.seq });
        }
    }

    /// Something is wrong beside the records.
    pub fn fault(&mut self, fault: Fault) {
        if self.report.faults.len() < MOST_FAULTS {
            self.report.faults.push(fault);
        } else {
            self.report.more += 1;
        }
    }

    /// The next record, by number, with its subject.
    pub fn push(&mut self, record: &Record, subject: Option<Subject>) {
        self.report.records += 1;
        let follows = record.seq == self.next;
        if !follows && record.seq > self.next {
            self.fault(Fault::Missing { from: self.next, to: record.seq - 1 });
        }
        // Behind a gap nothing tells what came before; the record is then held against those after it.
        if follows && record.chained(self.before, subject) != record.hash {
            self.fault(Fault::Altered { seq: record.seq });
        } else if Kind::of(&record.kind) == Some(Kind::Broken) {
            self.fault(Fault::Broken { seq: record.seq });
        }
        if self.points.remove(&record.seq).is_some_and(|hashes| hashes.iter().any(|hash| *hash != record.hash)) {
            self.fault(Fault::Rewritten { seq: record.seq });
        }
        self.before = record.hash;
        self.next = record.seq + 1;
        self.last = record.point();
    }

    /// The end: `head` as it is kept; `None` when that is lost.
    pub fn finish(mut self, head: Option<Point>) -> Report {
        let Some(head) = head else {
            self.fault(Fault::EndsLost);
            self.report.head = self.last;
            return self.report;
        };
        self.report.head = head;
        let known = self.points.last_key_value().map_or(head.seq, |(seq, _)| (*seq).max(head.seq));
        if known > self.last.seq {
            self.fault(Fault::Truncated { from: self.last.seq + 1, to: known });
        } else if head.seq < self.last.seq {
            self.fault(Fault::Added { from: head.seq + 1 });
        } else if head.hash != self.last.hash {
            self.fault(Fault::Rewritten { seq: head.seq });
        }
        self.report
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
