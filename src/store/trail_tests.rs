//! What every backend promises of the audit trail and of erasure.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    audit::{Event, Fault, Kind, Point, Record},
    cache::{Service, Touch, Touched},
    chance::SeededDice,
};

fn ada() -> AccountId {
    AccountId::new("ada.t")
}

fn bea() -> AccountId {
    AccountId::new("bea.t")
}

trait Backend: Ledger + Entries + Records {}
impl<T: Ledger + Entries + Records> Backend for T {}

fn backends() -> Vec<(Box<dyn Backend>, Option<tempfile::TempDir>)> {
    let mut all: Vec<(Box<dyn Backend>, Option<tempfile::TempDir>)> = Vec::new();
    all.push((Box::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())), None));
    #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
    {
        let folder = tempfile::tempdir().unwrap();
        let options = sqlcipher::OpenOptions {
            path: folder.path().join("store.db"),
            keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
            dice: Arc::new(SeededDice::new(2)),
            new_epochs: false,
            limits: Limits::default(),
        };
        all.push((Box::new(sqlcipher::Sqlcipher::open(options).unwrap()), Some(folder)));
    }
    all
}

fn read(account: &AccountId, at: i64) -> Event {
    let event = Event::new(Kind::Read, Timestamp(at)).of(account).with("email_get").by("claude").ended("fresh");
    Event { targets: vec!["AAMk-1".into()], ..event }
}

fn write() -> NewWrite {
    NewWrite {
        call_key: "1".into(),
        account: ada(),
        tool: "email_move".into(),
        args_hash: [1; 32],
        touched: Touched {
            source: SourceId::mailbox("global", "t", "ada"),
            service: Service::Mail,
            touches: vec![Touch::Item("AAMk-9".into())],
        },
        at: Timestamp(5),
        client: "claude".into(),
        targets: vec!["AAMk-9".into(), "AAMk-8".into()],
    }
}

async fn all(store: &dyn Backend) -> Vec<Record> {
    store.records(Range::After(0), 1000).await.unwrap()
}

#[tokio::test]
async fn what_happened_is_read_back_in_order_and_holds() {
    for (store, _folder) in backends() {
        store.resume(Timestamp(0)).await.unwrap();
        assert!(store.verify(None).await.unwrap().holds());
        assert_eq!(store.append(vec![read(&ada(), 1), read(&bea(), 2)]).await.unwrap(), 2);
        assert_eq!(store.append(vec![Event::new(Kind::Key, Timestamp(3)).ended("rotated")]).await.unwrap(), 3);
        let records = all(&*store).await;
        assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3]);
        let subjects = store.subjects().await.unwrap();
        assert_eq!((&*subjects[&records[0].subject], &*subjects[&records[1].subject], records[2].subject), ("ada.t", "bea.t", 0));
        // The same message is another mark for each account, and nobody can read it out.
        assert_ne!(records[0].marks, records[1].marks);
        let marks = store.marks("AAMk-1").await.unwrap();
        assert!(records[..2].iter().all(|record| marks.contains(&record.marks[0])));
        assert!(store.marks("AAMk-2").await.unwrap().is_disjoint(&marks));
        assert_eq!(store.records(Range::Before(3), 1).await.unwrap(), records[1..2]);
        let report = store.verify(Some(records[1].point())).await.unwrap();
        assert!(report.holds() && report.records == 3 && report.head == records[2].point(), "{report:?}");
        let wrong = Point { seq: 2, hash: [9; 32] };
        assert_eq!(store.verify(Some(wrong)).await.unwrap().faults, [Fault::Rewritten { seq: 2 }]);
        let later = Point { seq: 9, hash: [9; 32] };
        assert_eq!(store.verify(Some(later)).await.unwrap().faults, [Fault::Truncated { from: 4, to: 9 }]);
    }
}

#[tokio::test]
async fn a_write_is_recorded_before_and_after_by_the_journal_itself() {
    for (store, _folder) in backends() {
        store.resume(Timestamp(0)).await.unwrap();
        let id = store.open_write(write()).await.unwrap();
        assert!(matches!(store.open_write(write()).await, Err(StoreError::Journalled)));
        let begun = all(&*store).await;
        assert_eq!(begun.len(), 1, "one that was not journalled was not recorded either");
        assert_eq!((&*begun[0].kind, &*begun[0].tool, &*begun[0].client, begun[0].targets), ("write", "email_move", "claude", 2));
        assert!(store.marks("AAMk-8").await.unwrap().contains(&begun[0].marks[1]));
        store.close_write(id, Outcome::Refused, vec![], vec![], Timestamp(0), Timestamp(7)).await.unwrap();
        // A crash is an outcome too.
        store.open_write(NewWrite { call_key: "2".into(), ..write() }).await.unwrap();
        store.recover_writes(Timestamp(0), Timestamp(8)).await.unwrap();
        let records = all(&*store).await;
        let ended: Vec<_> = records.iter().map(|record| (&*record.kind, &*record.outcome, record.refers, &*record.client)).collect();
        let expected = [
            ("write", "", 0, "claude"),
            ("written", "refused", 1, "claude"),
            ("write", "", 0, "claude"),
            ("written", "unknown", 3, "claude"),
        ];
        assert_eq!(ended, expected);
        assert!(store.verify(None).await.unwrap().holds());
    }
}

#[tokio::test]
async fn old_records_go_and_the_rest_holds() {
    for (store, _folder) in backends() {
        store.resume(Timestamp(0)).await.unwrap();
        let day = |n: i64| n * 24 * 3600 * 1000;
        store.append((0..600).map(|_| read(&ada(), day(1))).collect()).await.unwrap();
        store.append((0..600).map(|_| read(&bea(), day(5))).collect()).await.unwrap();
        let noted = store.ends().await.unwrap().head;
        let now = Timestamp(day(11));
        assert_eq!(store.prune(now.minus(Duration::from_secs(7 * 24 * 3600)), now).await.unwrap(), 600);
        let report = store.verify(Some(noted)).await.unwrap();
        assert!(report.holds(), "{:?}", report.faults);
        assert_eq!(report.floor.seq, 600);
        assert_eq!(store.subjects().await.unwrap().into_values().collect::<Vec<_>>(), ["bea.t"], "who left nothing is not named");
        let told = store.records(Range::After(1200), 100).await.unwrap();
        assert!(told.iter().all(|record| record.kind == "prune"));
        assert_eq!(told.iter().map(|record| record.times).sum::<u64>(), 600, "however many steps it took");
        assert_eq!(store.prune(Timestamp(0), now).await.unwrap(), 0);
        assert_eq!(store.ends().await.unwrap().head, report.head, "nothing dropped, nothing recorded");
    }
}

#[tokio::test]
async fn an_erased_account_leaves_no_name_and_a_trail_that_holds() {
    for (store, _folder) in backends() {
        store.resume(Timestamp(0)).await.unwrap();
        let row = |id: AccountId| AccountRow {
            id,
            username: "ada@contoso.example".into(),
            display_name: "Ada".into(),
            tenant_id: "t".into(),
            object_id: "ada".into(),
            drive_id: None,
            added_at: Timestamp(0),
        };
        store.save_account(row(ada())).await.unwrap();
        store.save_account(row(bea())).await.unwrap();
        store.save_tokens(&ada(), Secret::new(vec![1])).await.unwrap();
        store.save_tokens(&bea(), Secret::new(vec![1])).await.unwrap();
        let own = write().touched.source;
        store.source(&own).await.unwrap();
        let id = store.open_write(write()).await.unwrap();
        store.close_write(id, Outcome::Done { late: true }, vec![], vec![], Timestamp(1000), Timestamp(7)).await.unwrap();
        store.append(vec![read(&ada(), 9), read(&bea(), 9)]).await.unwrap();
        let reason = |reason: &str, account| Invalidation {
            pattern: KeyPattern::everything(),
            account,
            reason: reason.into(),
            by: "x".into(),
            at: Timestamp(1),
        };
        Entries::invalidate(&*store, reason("Because ADA@contoso.example asked", None)).await.unwrap();
        Entries::invalidate(&*store, reason("", Some(ada()))).await.unwrap();
        Entries::invalidate(&*store, reason("other", Some(bea()))).await.unwrap();
        let names = vec!["ada@contoso.example".to_owned(), "line\nbreak".into()];
        let erasure = Erasure { account: ada(), names, sources: vec![own], by: "cachectl".into(), at: Timestamp(8) };
        let before = store.left(&erasure).await.unwrap();
        for what in ["tokens", "account", "writes", "sources", "audit_names"] {
            assert_eq!(before[what], 1, "{what}: {before:?}");
        }
        assert_eq!(before["invalidations"], 2);
        store.begin_erasure(erasure.clone()).await.unwrap();
        let noted = store.erasures().await.unwrap().remove(0);
        assert_eq!((&noted.account, &noted.sources, noted.at), (&erasure.account, &erasure.sources, erasure.at));
        // As a start does that finds the note: all of it, and again.
        for _ in 0..2 {
            store.remove_account(&ada()).await.unwrap();
            store.erase(&noted, Timestamp(20)).await.unwrap();
        }
        let left = store.left(&noted).await.unwrap();
        assert!(left.values().all(|count| *count == 0), "{left:?}");
        store.end_erasure(&ada()).await.unwrap();
        assert!(store.erasures().await.unwrap().is_empty());
        let report = store.verify(None).await.unwrap();
        assert!(report.holds(), "{:?}", report.faults);
        let subjects = store.subjects().await.unwrap();
        let names: Vec<&str> = subjects.values().map(String::as_str).collect();
        assert_eq!(names, ["erased-1", "bea.t"]);
        assert_eq!(all(&*store).await.iter().filter(|record| record.kind == "erasure").count(), 1);
        // The other one has everything still, and the erased one may come back as somebody new.
        assert!(store.tokens(&bea()).await.unwrap().is_some());
        store.append(vec![read(&ada(), 30)]).await.unwrap();
        assert_eq!(store.subjects().await.unwrap().len(), 3);
        assert!(store.verify(None).await.unwrap().holds());
    }
}

#[tokio::test]
async fn a_record_of_a_clock_that_was_ahead_keeps_none_of_those_behind_it() {
    for (store, _folder) in backends() {
        store.resume(Timestamp(0)).await.unwrap();
        let day = |n: i64| n * 24 * 3600 * 1000;
        let prune = |now: i64| store.prune(Timestamp(day(now - 7)), Timestamp(day(now)));
        store.append((0..3).map(|_| read(&ada(), day(1))).collect()).await.unwrap();
        // More than are looked at in one step.
        store.append((0..600).map(|_| read(&ada(), day(10_000))).collect()).await.unwrap();
        assert_eq!(prune(9).await.unwrap(), 3, "of the others nobody knows the age");
        store.append(vec![read(&bea(), day(9))]).await.unwrap();
        assert_eq!(prune(15).await.unwrap(), 0, "it is none of those that are young");
        assert_eq!(prune(17).await.unwrap(), 602, "they are no younger than what follows; the first prune goes too");
        assert!(store.verify(None).await.unwrap().holds());
        assert_eq!(store.subjects().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_sign_out_takes_the_records_along_that_name_the_account() {
    for (store, _folder) in backends() {
        let row = |id: AccountId, name: &str| AccountRow {
            id,
            username: format!("{name}@contoso.example"),
            display_name: name.into(),
            tenant_id: "t".into(),
            object_id: name.into(),
            drive_id: None,
            added_at: Timestamp(0),
        };
        store.save_account(row(ada(), "ada")).await.unwrap();
        store.save_account(row(bea(), "bea")).await.unwrap();
        for (reason, account) in [("Because ADA@contoso.example asked", None), ("", Some(ada())), ("bea@contoso.example", None)] {
            let what = Invalidation { pattern: KeyPattern::everything(), account, reason: reason.into(), by: "x".into(), at: Timestamp(1) };
            Entries::invalidate(&*store, what).await.unwrap();
        }
        let named = |account: AccountId, name: &str| Erasure::of_name(&account, Some(format!("{name}@contoso.example")));
        assert_eq!(store.left(&named(ada(), "ada")).await.unwrap()["invalidations"], 2);
        store.remove_account(&ada()).await.unwrap();
        assert_eq!(store.left(&named(ada(), "ada")).await.unwrap()["invalidations"], 0);
        assert_eq!(store.left(&named(bea(), "bea")).await.unwrap()["invalidations"], 1, "nobody else's");
    }
}
