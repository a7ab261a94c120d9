//! The trail in the encrypted file: records appended in the transactions of what they tell of, its ends sealed in `meta` and outside.
//!
//! **Ends.** Where the trail begins and ends is sealed (AES-256-GCM) under a key of its own, which is wrapped like the accounts' data keys.
//! It is written with each append, so rows cannot be cut off at either end by somebody who can write tables and has not the wrapping key.
//!
//! **Anchor.** An old copy of the whole file is good in itself. So the end is also kept, sealed the same way, in the file `audit.head` beside
//! the database (`anchor.rs`): written when the store is quiet, five seconds after the commit at the latest, and at closing. It is never
//! ahead of the database, because every append is durable before it; it may be behind after a kill, and what was appended meanwhile is then
//! held by the sealed ends alone. At each opening the three are compared, *before* the anchor moves on; a difference becomes a record of its
//! own (`broken`) that no later append can hide. Putting back old copies of both files is seen by nobody here: for that an auditor notes the
//! head that `audit verify` prints, and gives it to a later one.
//!
//! **Put back, repaired.** A backup that was put back ends before the anchor, and a file that was saved from damage may. Whoever makes such a
//! file says so in it, and the next start records it. The anchor of before is not believed from then on until the new end stands there, so
//! that neither a kill nor a full disk in between makes a break of it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rusqlite::Row;

use super::{
    Sqlcipher, StoreError,
    anchor::{self, Anchor, WRAPPED_FOR},
    db::Db,
    open::sync_folder,
    seal::{SealKey, new_data_key, rewrap_data_key},
    thread::pragma,
};
use crate::{
    audit::{self, Event, Fault, Kind, Mark, Point, Record, Report, Subject, Verifier},
    clock::Timestamp,
    ids::AccountId,
    store::{
        Ends, Range, Trail,
        trail::{Known, droppable, pseudonym, record},
    },
};

const KEY: &str = "SELECT value FROM meta WHERE name = 'audit_key'";
const SET_KEY: &str = "INSERT INTO meta (name, value) VALUES ('audit_key', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const ENDS: &str = "SELECT value FROM meta WHERE name = 'audit_ends'";
const SET_ENDS: &str = "INSERT INTO meta (name, value) VALUES ('audit_ends', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const RESTORED: &str = "SELECT value FROM meta WHERE name = 'restored'";
const SET_RESTORED: &str = "INSERT INTO meta (name, value) VALUES ('restored', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const FORGET_ENDS: &str = "DELETE FROM meta WHERE name IN ('audit_key', 'audit_ends')";
const NOT_RESTORED: &str = "DELETE FROM meta WHERE name = 'restored'";
const APPEND: &str = "INSERT INTO audit (seq, at, until, kind, subject, tool, client, outcome, marks, targets, times, refers, hash)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const AFTER: &str = "SELECT seq, at, until, kind, subject, tool, client, outcome, marks, targets, times, refers, hash FROM audit
    WHERE seq > ?1 ORDER BY seq LIMIT ?2";
const BEFORE: &str = "SELECT seq, at, until, kind, subject, tool, client, outcome, marks, targets, times, refers, hash FROM audit
    WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
const POINT: &str = "SELECT hash FROM audit WHERE seq = ?1";
const LAST: &str = "SELECT seq, hash FROM audit WHERE seq > 0 ORDER BY seq DESC LIMIT 1";
const DROP: &str = "DELETE FROM audit WHERE seq <= ?1";
const SUBJECT: &str = "SELECT id, secret, seal FROM audit_subjects WHERE account = ?1";
const NEW_SUBJECT: &str = "INSERT INTO audit_subjects (account, secret, seal) VALUES (?1, x'', x'') RETURNING id";
const SET_SUBJECT: &str = "UPDATE audit_subjects SET secret = ?2, seal = ?3 WHERE id = ?1";
const SUBJECTS: &str = "SELECT id, secret, seal, account FROM audit_subjects ORDER BY id";
const ERASE_SUBJECT: &str = "UPDATE audit_subjects SET account = ?2, secret = x'' WHERE id = ?1";
const NAMED: &str = "SELECT 1 FROM audit WHERE subject = ?1 LIMIT 1";
const DROP_SUBJECT: &str = "DELETE FROM audit_subjects WHERE id = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[
    RESTORED,
    SET_RESTORED,
    NOT_RESTORED,
    FORGET_ENDS,
    KEY,
    SET_KEY,
    ENDS,
    SET_ENDS,
    APPEND,
    AFTER,
    BEFORE,
    POINT,
    LAST,
    DROP,
    SUBJECT,
    NEW_SUBJECT,
    SET_SUBJECT,
    SUBJECTS,
    ERASE_SUBJECT,
    NAMED,
    DROP_SUBJECT,
];

/// What the ends are bound to.
const ENDS_AAD: &[u8] = b"m365-cached audit ends v1";
/// Records verified or dropped at a time, so that reads come in between.
const AT_A_TIME: usize = 512;

/// What a connection knows of the trail.
pub(super) struct State {
    key: SealKey,
    ends: Ends,
}

/// Why a file's trail may end before the anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutBack {
    /// It is a backup, or the file of before an upgrade.
    Restored,
    /// It was made of what a damaged file had left.
    Repaired,
}

impl PutBack {
    fn outcome(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Repaired => "repaired",
        }
    }

    /// As the file keeps it: `said` once there is a record of it.
    fn pack(self, said: bool) -> [u8; 2] {
        [if self == Self::Restored { 1 } else { 2 }, u8::from(said)]
    }

    /// That, and whether a record says so. What an earlier version kept is one byte.
    fn unpack(bytes: &[u8]) -> (Self, bool) {
        let how = if bytes.first() == Some(&2) { Self::Repaired } else { Self::Restored };
        (how, bytes.get(1) == Some(&1))
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let marks: Vec<u8> = row.get(8)?;
    let hash: Vec<u8> = row.get(12)?;
    Ok(Record {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp(row.get(1)?),
        until: Timestamp(row.get(2)?),
        kind: row.get(3)?,
        subject: row.get(4)?,
        tool: row.get(5)?,
        client: row.get(6)?,
        outcome: row.get(7)?,
        marks: marks.as_chunks::<8>().0.to_vec(),
        targets: row.get::<_, i64>(9)?.cast_unsigned(),
        times: row.get::<_, i64>(10)?.cast_unsigned(),
        refers: row.get::<_, i64>(11)?.cast_unsigned(),
        // One of another length is no hash of ours and matches none.
        hash: hash.try_into().unwrap_or_default(),
    })
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let seal: Vec<u8> = row.get(2)?;
    Ok(Known { id: row.get(0)?, secret: row.get(1)?, subject: Subject { seal: seal.try_into().unwrap_or_default() } })
}

/// The ends as they are sealed; `None` when they are gone or not ours.
fn load(db: &Db) -> Result<Option<State>, StoreError> {
    let Some(wrapped) = db.one(KEY, (), |row| row.get::<_, Vec<u8>>(0))? else { return Ok(None) };
    let Some(key) = db.unwrap(WRAPPED_FOR, &wrapped) else { return Ok(None) };
    let Some(mut sealed) = db.one(ENDS, (), |row| row.get::<_, Vec<u8>>(0))? else { return Ok(None) };
    let ends = key.open(ENDS_AAD, &mut sealed).and_then(|bytes| {
        let (head, rest) = Point::from_bytes(bytes)?;
        let (floor, _) = Point::from_bytes(rest)?;
        Some(Ends { head, floor })
    });
    Ok(ends.map(|ends| State { key, ends }))
}

/// Has the next start record that the file was put in the place of another one.
pub(super) fn put_back(db: &Db, how: PutBack) -> Result<(), StoreError> {
    db.run(SET_RESTORED, [how.pack(false)]).map(drop)
}

fn was_put_back(db: &Db) -> Result<Option<(PutBack, bool)>, StoreError> {
    db.one(RESTORED, (), |row| Ok(PutBack::unpack(&row.get::<_, Vec<u8>>(0)?)))
}

/// Has the trail of a file that was saved from damage go on. Where nothing is missing at its end nothing is said.
pub(super) fn saved(db: &mut Db) -> Result<(), StoreError> {
    let (state, last) = (load(db)?, last(db)?);
    match state {
        Some(state) if last.unwrap_or(state.ends.floor) == state.ends.head => Ok(()),
        Some(mut state) => {
            state.ends.head = last.unwrap_or(state.ends.floor);
            save(db, state)?;
            put_back(db, PutBack::Repaired)
        }
        None => {
            // One of the two is worth nothing.
            db.run(FORGET_ENDS, ())?;
            put_back(db, PutBack::Repaired)
        }
    }
}

/// Wraps the trail's key under `next`, as those of the accounts.
pub(super) fn rewrap(db: &Db, old: &SealKey, next: &SealKey) -> Result<(), StoreError> {
    let Some(wrapped) = db.one(KEY, (), |row| row.get::<_, Vec<u8>>(0))? else { return Ok(()) };
    match rewrap_data_key(old, next, &*db.dice, WRAPPED_FOR, wrapped) {
        Some(wrapped) => db.run(SET_KEY, [wrapped]).map(drop),
        // Harm to it shows as the trail's own.
        None => Ok(()),
    }
}

fn save(db: &mut Db, state: State) -> Result<(), StoreError> {
    let bytes = [state.ends.head.to_bytes(), state.ends.floor.to_bytes()].concat();
    let sealed = state.key.seal(&*db.dice, ENDS_AAD, &[&bytes]);
    db.run(SET_ENDS, [sealed])?;
    db.trail = Some(state);
    Ok(())
}

/// The state of a trail that begins, or goes on, under a new key.
fn new_state(db: &mut Db, ends: Ends) -> Result<State, StoreError> {
    let (key, wrapped) = new_data_key(db.wrapping_in_force()?, &*db.dice, WRAPPED_FOR);
    db.run(SET_KEY, [wrapped])?;
    Ok(State { key, ends })
}

/// What is known of the trail, taken out; [`save`] puts it back.
fn take(db: &mut Db) -> Result<State, StoreError> {
    if let Some(state) = db.trail.take() {
        return Ok(state);
    }
    match load(db)? {
        Some(state) => Ok(state),
        None if last(db)?.is_none() => new_state(db, Ends::default()),
        None => Err(StoreError::Damaged("the ends of the audit trail do not open".into())),
    }
}

fn subject(db: &Db, account: &AccountId) -> Result<Known, StoreError> {
    if let Some(found) = db.one(SUBJECT, [account.as_str()], known)? {
        return Ok(found);
    }
    let Some(id) = db.one(NEW_SUBJECT, [account.as_str()], |row| row.get(0))? else {
        return Err(StoreError::Damaged("a row was not kept".into()));
    };
    let made = Known::new(id, account, &*db.dice);
    db.run(SET_SUBJECT, (id, &made.secret, made.subject.seal))?;
    Ok(made)
}

fn insert(db: &Db, record: &Record) -> Result<(), StoreError> {
    let row = rusqlite::params![
        number(record.seq),
        record.at.0,
        record.until.0,
        record.kind,
        record.subject,
        record.tool,
        record.client,
        record.outcome,
        record.marks.as_flattened(),
        number(record.targets),
        number(record.times),
        number(record.refers),
        record.hash,
    ];
    db.run(APPEND, row).map(drop)
}

/// Appends events behind the end, or behind `seq` when that is later. Only in a durable transaction. Returns the last number.
fn append_from(db: &mut Db, seq: u64, events: &[Event]) -> Result<u64, StoreError> {
    let mut state = take(db)?;
    for (next, event) in (state.ends.head.seq.max(seq) + 1..).zip(events) {
        let known = event.account.as_ref().map(|account| subject(db, account)).transpose()?;
        let made = record(event, next, state.ends.head, known.as_ref());
        insert(db, &made)?;
        state.ends.head = made.point();
    }
    let last = state.ends.head.seq;
    save(db, state)?;
    Ok(last)
}

/// Appends events. Only in a durable transaction. Returns the number of the last record.
pub(super) fn append(db: &mut Db, events: &[Event]) -> Result<u64, StoreError> {
    append_from(db, 0, events)
}

fn last(db: &Db) -> Result<Option<Point>, StoreError> {
    db.one(LAST, (), |row| {
        Ok(Point { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: row.get::<_, Vec<u8>>(1)?.try_into().unwrap_or_default() })
    })
}

fn hash_at(db: &Db, seq: u64) -> Result<Option<audit::Hash>, StoreError> {
    let hash = db.one(POINT, [number(seq)], |row| row.get::<_, Vec<u8>>(0))?;
    Ok(hash.map(|hash| hash.try_into().unwrap_or_default()))
}

/// What is wrong where the trail goes on; `None` when nothing is. Without an `anchor` none is believed.
fn trouble(db: &Db, state: Option<&State>, anchor: Option<&Anchor>) -> Result<Option<&'static str>, StoreError> {
    let Some(State { key, ends }) = state else { return Ok(Some("ends_lost")) };
    if last(db)?.unwrap_or(ends.floor) != ends.head {
        return Ok(Some("end_differs"));
    }
    let Some(anchor) = anchor else { return Ok(None) };
    let anchored = match anchor.open(key) {
        None if ends.head.seq == 0 && anchor.is_absent() => return Ok(None),
        None => return Ok(Some("anchor_lost")),
        Some(point) => point,
    };
    Ok(if anchored.seq > ends.head.seq {
        Some("anchor_ahead")
    } else if anchored.seq > ends.floor.seq && hash_at(db, anchored.seq)? != Some(anchored.hash) {
        Some("anchor_differs")
    } else {
        None
    })
}

/// Looks how the trail goes on after an opening, and records a break; from here on the anchor follows. Only in a durable transaction.
fn resume(db: &mut Db, now: Timestamp) -> Result<(), StoreError> {
    let put_back = was_put_back(db)?;
    let anchor = Anchor::read(&db.anchor_file());
    let (state, last) = (load(db)?, last(db)?);
    if state.is_none() && last.is_none() && anchor.is_absent() {
        let new = new_state(db, Ends::default())?;
        return save(db, new);
    }
    let trouble = trouble(db, state.as_ref(), put_back.is_none().then_some(&anchor))?;
    let anchored = state.as_ref().and_then(|state| anchor.open(&state.key)).unwrap_or_default();
    match state {
        // Nothing is written when all is well: a start must not need room on the disk.
        Some(state) => db.trail = Some(state),
        // What is left of it goes on under a new key.
        None => {
            let new = new_state(db, Ends { head: last.unwrap_or_default(), floor: Point::default() })?;
            save(db, new)?;
        }
    }
    let event = |kind, outcome| Event { refers: anchored.seq, ..Event::new(kind, now).by("m365-cached").ended(outcome) };
    match (put_back, trouble) {
        // A backup is older than the anchor: that is what it is for. Numbers go on from the backup's.
        (Some((how, false)), _) => {
            append(db, &[event(Kind::Restore, how.outcome())])?;
            db.run(SET_RESTORED, [how.pack(true)]).map(drop)
        }
        (_, Some(trouble)) => {
            tracing::warn!(trouble, "the audit trail does not go on where it had ended; it says so from now on");
            let behind = anchored.seq.max(last.unwrap_or_default().seq);
            append_from(db, behind, &[event(Kind::Broken, trouble)]).map(drop)
        }
        (_, None) => Ok(()),
    }
}

/// Moves the anchor to the end. One that cannot be written now is written the next time.
pub(super) fn hold(db: &mut Db) {
    let Some(state) = db.trail.take() else { return };
    let head = state.ends.head;
    if db.anchored.is_some_and(|anchored| anchored != head) && anchor::write(&db.anchor_file(), &state.key, &*db.dice, head).is_ok() {
        db.anchored = Some(head);
    }
    db.trail = Some(state);
}

/// Puts a pseudonym in the place of an account, and destroys the secret of its marks. Returns whether the trail knew it.
pub(super) fn forget_subject(db: &mut Db, account: &AccountId) -> Result<bool, StoreError> {
    let Some(known) = db.one(SUBJECT, [account.as_str()], known)? else { return Ok(false) };
    pragma(db, "PRAGMA secure_delete = ON")?;
    let done = db.run(ERASE_SUBJECT, (known.id, pseudonym(known.id)));
    pragma(db, "PRAGMA secure_delete = FAST")?;
    done.map(|_| true)
}

/// Whether the trail knows the account by its name.
pub(super) fn knows(db: &Db, account: &AccountId) -> Result<bool, StoreError> {
    Ok(db.one(SUBJECT, [account.as_str()], |_| Ok(()))?.is_some())
}

fn page(db: &Db, range: Range, most: usize) -> Result<Vec<Record>, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    match range {
        Range::After(seq) => db.all(AFTER, (number(seq), most), read),
        Range::Before(seq) => {
            let mut records = db.all(BEFORE, (number(seq), most), read)?;
            records.reverse();
            Ok(records)
        }
    }
}

fn subjects(db: &Db) -> Result<Vec<(Known, String)>, StoreError> {
    db.all(SUBJECTS, (), |row| Ok((known(row)?, row.get(3)?)))
}

/// Drops some of the records up to `upto` with the accounts that none is left of, and records how many there were, in one transaction: at no
/// moment is one of these without the others. Returns that number.
pub(super) fn drop_some(db: &mut Db, upto: u64, now: Timestamp) -> Result<u64, StoreError> {
    let old: Vec<Record> = page(db, Range::After(0), AT_A_TIME)?.into_iter().take_while(|record| record.seq <= upto).collect();
    let Some(last) = old.last() else { return Ok(0) };
    let count = u64::try_from(old.len()).unwrap_or(0);
    let mut state = take(db)?;
    db.run(DROP, [number(last.seq)])?;
    state.ends.floor = last.point();
    save(db, state)?;
    drop_subjects(db)?;
    append(db, &[Event::new(Kind::Prune, now).by("m365-cached").ended("expired").times(count)])?;
    Ok(count)
}

/// Forgets accounts of which no record is left.
fn drop_subjects(db: &mut Db) -> Result<(), StoreError> {
    for (known, _) in subjects(db)? {
        if db.one(NAMED, [known.id], |_| Ok(()))?.is_none() {
            db.run(DROP_SUBJECT, [known.id])?;
        }
    }
    Ok(())
}

#[async_trait]
impl Trail for Sqlcipher {
    async fn resume(&self, now: Timestamp) -> Result<(), StoreError> {
        self.thread.ledger(move |db| resume(db, now)).await?;
        // Only now, for what lay there has been looked at. One that stands where it should is left as it is.
        let stands = self.thread.read(|db| {
            let stands = db.trail.as_ref().and_then(|state| Anchor::read(&db.anchor_file()).open(&state.key));
            db.anchored = Some(stands.unwrap_or(Point { seq: u64::MAX, ..Point::default() }));
            hold(db);
            let held = db.trail.as_ref().is_some_and(|state| db.anchored == Some(state.ends.head));
            Ok(was_put_back(db)?.is_some() && held && sync_folder(&db.anchor_file()).is_ok())
        });
        if stands.await? {
            self.thread.ledger(|db| db.run(NOT_RESTORED, ()).map(drop)).await?;
        }
        Ok(())
    }

    async fn append(&self, events: Vec<Event>) -> Result<u64, StoreError> {
        self.thread.ledger(move |db| append(db, &events)).await
    }

    async fn records(&self, range: Range, most: usize) -> Result<Vec<Record>, StoreError> {
        self.thread.read(move |db| page(db, range, most)).await
    }

    async fn subjects(&self) -> Result<BTreeMap<i64, String>, StoreError> {
        let all = self.thread.read(|db| subjects(db)).await?;
        Ok(all.into_iter().map(|(known, account)| (known.id, account)).collect())
    }

    async fn marks(&self, target: &str) -> Result<BTreeSet<Mark>, StoreError> {
        let all = self.thread.read(|db| subjects(db)).await?;
        let with_secret = all.iter().filter(|(known, _)| !known.secret.is_empty());
        Ok(with_secret.map(|(known, _)| audit::mark(&known.secret, target)).collect())
    }

    async fn ends(&self) -> Result<Ends, StoreError> {
        let ends = self.thread.read(|db| Ok(load(db)?.map(|state| state.ends))).await?;
        ends.ok_or_else(|| StoreError::Damaged("the ends of the audit trail do not open".into()))
    }

    async fn verify(&self, noted: Option<Point>) -> Result<Report, StoreError> {
        // Of one moment: an account that is met later has no record up to this end.
        let look = |db: &mut Db| Ok((Anchor::read(&db.anchor_file()), subjects(db)?, load(db)?, last(db)?));
        let (anchor, subjects, state, last) = self.thread.read(look).await?;
        let ends = state.as_ref().map(|state| state.ends);
        let mut verifier = Verifier::new(ends.unwrap_or_default().floor);
        match state.as_ref().map(|state| (anchor.open(&state.key), state.ends.head.seq)) {
            Some((Some(point), _)) => verifier.through(point),
            Some((None, 0)) if anchor.is_absent() => {}
            _ => verifier.fault(Fault::AnchorLost),
        }
        noted.into_iter().for_each(|point| verifier.through(point));
        let known: BTreeMap<i64, &Known> = subjects.iter().map(|(known, _)| (known.id, known)).collect();
        for (known, account) in &subjects {
            if !known.is(account) {
                verifier.fault(Fault::Subject { subject: known.id });
            }
        }
        // What is appended meanwhile is for the next time.
        let end = last.unwrap_or_default().seq.max(ends.unwrap_or_default().head.seq);
        let (mut after, mut erased) = (0, BTreeSet::new());
        'pages: loop {
            let records = Trail::records(self, Range::After(after), AT_A_TIME).await?;
            if records.is_empty() {
                break;
            }
            for record in &records {
                if record.seq > end {
                    break 'pages;
                }
                if record.kind == Kind::Erasure.as_str() {
                    erased.insert(record.subject);
                }
                verifier.push(record, known.get(&record.subject).map(|known| known.subject));
                after = record.seq;
            }
        }
        for (known, _) in subjects.iter().filter(|(known, _)| known.secret.is_empty() && !erased.contains(&known.id)) {
            verifier.fault(Fault::Subject { subject: known.id });
        }
        Ok(verifier.finish(ends.map(|ends| ends.head)))
    }

    async fn prune(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let (mut after, mut upto) = (0, 0);
        loop {
            let records = Trail::records(self, Range::After(after), AT_A_TIME).await?;
            let (some, told) = droppable(&records, before, now);
            upto = upto.max(some);
            match records.last() {
                Some(last) if !told => after = last.seq,
                _ => break,
            }
        }
        let mut dropped = 0;
        loop {
            match self.thread.ledger(move |db| drop_some(db, upto, now)).await? {
                0 => return Ok(dropped),
                some => dropped += some,
            }
        }
    }
}
