//! Whatever is done to the trail in the file, by somebody who has the database's key, is found: with the daemon stopped, and after it has
//! started and recorded more.

use std::{collections::BTreeMap, fs};

use super::{tests::Profile, *};
use crate::{
    audit::{Event, Fault, Kind, Report},
    chance::SeededDice,
    secret::Secret,
    store::{Erasure, Range, Sealed as _, Trail as _},
};

fn event(number: u64) -> Event {
    let account = AccountId::new(["a.t", "b.t"][usize::try_from(number % 2).unwrap()]);
    let event = Event::new(Kind::Read, Timestamp(number.cast_signed())).of(&account).with("email_get").by("claude").ended("fresh");
    Event { targets: vec![format!("AAMk-{number}")], ..event }
}

/// A profile with a trail of `length` records, closed.
fn recorded(length: u64) -> Profile {
    let profile = Profile::new();
    run(async {
        let store = profile.open().unwrap();
        store.resume(Timestamp(0)).await.unwrap();
        store.append((1..=length).map(event).collect()).await.unwrap();
    });
    profile
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// What a verification finds before and after the next start.
fn verified(profile: &Profile) -> [Report; 2] {
    run(async {
        let store = profile.open().unwrap();
        let before = store.verify(None).await.unwrap();
        store.resume(Timestamp(1_000_000)).await.unwrap();
        store.append((1..=3).map(event).collect()).await.unwrap();
        drop(store);
        let store = profile.open().unwrap();
        [before, store.verify(None).await.unwrap()]
    })
}

fn sql(profile: &Profile, sql: &str) -> usize {
    profile.place().open_existing().unwrap().execute(sql, ()).unwrap()
}

/// Changes something that was recorded, at random. Returns what was done.
fn tamper(profile: &Profile, dice: &SeededDice, length: u64) -> String {
    let pick = |most: u64| dice.number() % most;
    let (seq, other) = (1 + pick(length), 1 + pick(length - 1));
    let other = if other >= seq { other + 1 } else { other };
    let column = ["at", "until", "times", "targets", "refers", "subject"][usize::try_from(pick(6)).unwrap()];
    let text = ["kind", "tool", "client", "outcome"][usize::try_from(pick(4)).unwrap()];
    let blob = ["marks", "hash"][usize::try_from(pick(2)).unwrap()];
    let done = match pick(9) {
        0 => format!("DELETE FROM audit WHERE seq = {seq}"),
        1 => format!("DELETE FROM audit WHERE seq BETWEEN {} AND {}", seq.min(other), seq.max(other)),
        2 => format!("DELETE FROM audit WHERE seq >= {seq}"),
        3 => format!("DELETE FROM audit WHERE seq <= {seq}"),
        4 => format!("UPDATE audit SET {column} = {column} + 1 WHERE seq = {seq}"),
        5 => format!("UPDATE audit SET {text} = {text} || 'x' WHERE seq = {seq}"),
        6 => format!("UPDATE audit SET {blob} = zeroblob(length({blob})) WHERE seq = {seq}"),
        // Two records change places.
        7 => format!(
            "UPDATE audit SET (at, until, kind, subject, tool, client, outcome, marks, targets, times, refers, hash) =
             (SELECT o.at, o.until, o.kind, o.subject, o.tool, o.client, o.outcome, o.marks, o.targets, o.times, o.refers, o.hash
              FROM audit o WHERE o.seq = {seq} + {other} - audit.seq) WHERE seq IN ({seq}, {other})"
        ),
        _ => format!("INSERT INTO audit (seq, at, until, kind, hash) VALUES ({}, 1, 1, 'read', zeroblob(32))", length + 1),
    };
    assert!(sql(profile, &done) > 0, "{done}");
    done
}

fn tamperings(count: u64) {
    for seed in 0..count {
        let dice = SeededDice::new(seed);
        let length = 2 + dice.number() % 30;
        let profile = recorded(length);
        let done = tamper(&profile, &dice, length);
        let [before, after] = verified(&profile);
        assert!(!before.holds(), "{done}");
        assert!(!after.holds(), "after a start: {done}");
        assert!(before.faults[0].place().is_some(), "it says where: {done}: {:?}", before.faults);
        if seed % 20 == 19 || seed + 1 == count {
            crate::figure::tell("tamperings", usize::try_from(seed + 1).unwrap(), 0);
        }
    }
}

#[test]
fn every_tampering_is_found() {
    tamperings(30);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only trail"]
fn a_thousand_tamperings_are_found() {
    tamperings(u64::try_from(crate::figure::size(1000)).unwrap());
}

#[test]
fn a_trail_that_nobody_touched_holds_over_starts_and_a_kill() {
    let profile = recorded(20);
    for _ in 0..3 {
        let [before, after] = verified(&profile);
        assert!(before.holds() && after.holds(), "{:?} {:?}", before.faults, after.faults);
    }
    // A kill leaves the anchor behind, never ahead: what lies there is an old one.
    let anchor = profile.path().with_file_name("audit.head");
    let old = fs::read(&anchor).unwrap();
    let [_, after] = verified(&profile);
    fs::write(&anchor, old).unwrap();
    assert!(after.holds() && verified(&profile)[1].holds());
}

/// The files of a profile by name.
fn copy(profile: &Profile) -> BTreeMap<PathBuf, Vec<u8>> {
    profile.files().into_iter().collect()
}

#[test]
fn an_old_copy_of_the_database_is_found_and_stays_found() {
    let profile = recorded(10);
    let old = copy(&profile);
    assert!(verified(&profile)[1].holds());
    fs::write(profile.path(), &old[&profile.path()]).unwrap();
    let [before, after] = verified(&profile);
    assert_eq!(before.faults, [Fault::Truncated { from: 11, to: 13 }]);
    assert_eq!(after.faults, [Fault::Missing { from: 11, to: 13 }, Fault::Broken { seq: 14 }]);
    assert_eq!(verified(&profile)[1].faults, after.faults, "later appends hide nothing");
}

#[test]
fn what_holds_the_ends_cannot_be_taken_away() {
    let anchor = |profile: &Profile| profile.path().with_file_name("audit.head");
    type Harm = fn(&Profile);
    let harms: [(&str, Harm, Fault); 6] = [
        ("anchor removed", |p| fs::remove_file(p.path().with_file_name("audit.head")).unwrap(), Fault::AnchorLost),
        ("anchor emptied", |p| fs::write(p.path().with_file_name("audit.head"), "").unwrap(), Fault::AnchorLost),
        ("ends removed", |p| _ = sql(p, "DELETE FROM meta WHERE name = 'audit_ends'"), Fault::EndsLost),
        ("key removed", |p| _ = sql(p, "DELETE FROM meta WHERE name = 'audit_key'"), Fault::EndsLost),
        ("ends replaced", |p| _ = sql(p, "UPDATE meta SET value = zeroblob(108) WHERE name = 'audit_ends'"), Fault::EndsLost),
        (
            "names swapped",
            |p| {
                sql(p, "UPDATE audit_subjects SET account = 'x' WHERE id = 1");
                sql(p, "UPDATE audit_subjects SET account = 'a.t' WHERE id = 2");
            },
            Fault::Subject { subject: 1 },
        ),
    ];
    for (what, harm, fault) in harms {
        let profile = recorded(5);
        assert!(fs::metadata(anchor(&profile)).is_ok());
        harm(&profile);
        let [before, after] = verified(&profile);
        assert!(before.faults.contains(&fault), "{what}: {:?}", before.faults);
        assert!(!after.holds(), "{what}, after a start");
    }
    // Everything of the trail but the anchor.
    let profile = recorded(5);
    sql(&profile, "DELETE FROM audit");
    sql(&profile, "DELETE FROM meta WHERE name IN ('audit_ends', 'audit_key')");
    assert!(verified(&profile).iter().all(|report| !report.holds()));
}

#[test]
fn claiming_an_erasure_is_no_way_to_hide_a_name() {
    let profile = recorded(5);
    sql(&profile, "UPDATE audit_subjects SET account = 'erased-1', secret = x'' WHERE id = 1");
    assert!(verified(&profile)[0].faults.contains(&Fault::Subject { subject: 1 }));
}

#[test]
fn a_backup_that_was_put_back_goes_on_and_says_so() {
    let profile = recorded(10);
    let old = copy(&profile);
    verified(&profile);
    fs::write(profile.path(), &old[&profile.path()]).unwrap();
    run(async {
        let store = Sqlcipher::open(OpenOptions { new_epochs: true, ..profile.options() }).unwrap();
        store.resume(Timestamp(5)).await.unwrap();
        drop(store);
        let store = profile.open().unwrap();
        let report = store.verify(None).await.unwrap();
        assert!(report.holds(), "{:?}", report.faults);
        let last = store.records(Range::Before(u64::MAX), 1).await.unwrap().remove(0);
        assert_eq!((&*last.kind, last.seq, last.refers), ("restore", 11, 13), "it says how far the trail had come");
    });
}

#[test]
fn the_anchor_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let profile = recorded(1);
    let mode = fs::metadata(profile.path().with_file_name("audit.head")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_trail_goes_on_under_a_new_wrapping_key() {
    let mut profile = recorded(20);
    let next = Secret::new([5; 32]);
    run(async {
        let store = profile.open().unwrap();
        store.resume(Timestamp(0)).await.unwrap();
        store.rewrap(next.clone()).await.unwrap();
        store.append((21..=25).map(event).collect()).await.unwrap();
    });
    profile.keys.wrapping = next;
    let [before, after] = verified(&profile);
    assert!(before.holds() && after.holds(), "{before:?} {after:?}");
    assert_eq!((before.records, after.records), (25, 28));
}

/// Puts back the files of `old` that are no anchor, as `restore` does.
fn put_back(profile: &Profile, old: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::write(profile.path(), &old[&profile.path()]).unwrap();
    new_epochs(&profile.path(), &profile.keys).unwrap();
}

fn restores(profile: &Profile) -> Vec<(String, u64)> {
    run(async {
        let records = profile.open().unwrap().records(Range::After(0), 1000).await.unwrap();
        let told = records.into_iter().filter(|record| ["restore", "broken"].contains(&record.kind.as_str()));
        told.map(|record| (format!("{} {}", record.kind, record.outcome), record.seq)).collect()
    })
}

#[test]
fn a_restore_that_ends_where_the_anchor_stands_moves_it_all_the_same() {
    let profile = recorded(10);
    let old = copy(&profile);
    run(async {
        let store = profile.open().unwrap();
        store.resume(Timestamp(0)).await.unwrap();
        store.append(vec![event(11)]).await.unwrap();
    });
    put_back(&profile, &old);
    for _ in 0..2 {
        assert!(
            run(async {
                let store = profile.open().unwrap();
                store.resume(Timestamp(5)).await.unwrap();
                store.verify(None).await.unwrap()
            })
            .holds()
        );
    }
    assert_eq!(restores(&profile), [("restore restored".to_owned(), 11)]);
}

#[test]
fn a_restore_whose_anchor_could_not_be_moved_does_not_call_itself_broken() {
    let profile = recorded(10);
    let old = copy(&profile);
    verified(&profile);
    put_back(&profile, &old);
    // Where the new one is written.
    let obstacle = profile.path().with_file_name("audit.head.new");
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..2 {
        run(async { profile.open().unwrap().resume(Timestamp(5)).await.unwrap() });
    }
    fs::remove_dir(&obstacle).unwrap();
    for _ in 0..2 {
        let [_, after] = verified(&profile);
        assert!(after.holds(), "{:?}", after.faults);
    }
    assert_eq!(restores(&profile), [("restore restored".to_owned(), 11)], "said once");
}

#[test]
fn a_prune_that_is_killed_after_any_step_leaves_a_trail_that_holds() {
    let profile = Profile::new();
    run(async {
        let store = profile.open().unwrap();
        store.resume(Timestamp(0)).await.unwrap();
        store.append(vec![event(1), event(2)]).await.unwrap();
        let erasure = Erasure { account: AccountId::new("b.t"), names: vec![], sources: vec![], by: String::new(), at: Timestamp(3) };
        crate::store::Privacy::erase(&store, &erasure, Timestamp(3)).await.unwrap();
        store.append((1..600).map(|_| event(4)).collect()).await.unwrap();
    });
    // The first step of a prune of all of it.
    let mut db = Db::new(profile.place().open().unwrap(), profile.place(), &profile.keys.wrapping, Arc::new(crate::chance::OsDice));
    assert!(db.transact(true, |db| audit::drop_some(db, 602, Timestamp(9))).unwrap() > 500);
    drop(db);
    // Its anchor was not moved either.
    let [before, after] = verified(&profile);
    assert!(before.holds() && after.holds(), "{:?} {:?}", before.faults, after.faults);
    run(async {
        let last = profile.open().unwrap().records(Range::After(602), 1).await.unwrap().remove(0);
        assert_eq!(last.kind, "prune", "what was dropped is recorded with it");
    });
}
