//! Statistics in every backend: what was added is read back by stretch, survives the end, is dropped when old, and leaves with its account.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::chance::SeededDice;

/// 2026-11-20T09:00:00Z.
const NOW: Timestamp = Timestamp(1_795_165_200_000);

fn counted(account: &str, about: About, hits: u64) -> Counted {
    let mut counts = Counts { hits, ..Counts::default() };
    counts.hit_times.note(hits);
    Counted { account: AccountId::new(account), about, counts }
}

fn tool(name: &str) -> About {
    About::Tool(name.into())
}

async fn signed_in(ledger: &dyn Ledger, id: &str) {
    let account = AccountRow {
        id: AccountId::new(id),
        username: format!("{id}@contoso.example"),
        display_name: String::new(),
        tenant_id: "t".into(),
        object_id: id.into(),
        drive_id: None,
        added_at: NOW,
    };
    ledger.save_account(account).await.unwrap();
    ledger.save_tokens(&AccountId::new(id), Secret::new(vec![1])).await.unwrap();
}

/// Everything of stretches of that length.
async fn all(ledger: &dyn Ledger, span: Span, account: Option<&str>) -> Vec<CountedIn> {
    let query = CountsQuery { span, from: Timestamp(i64::MIN), until: Timestamp(i64::MAX), account: account.map(AccountId::new) };
    let mut rows = ledger.counts(query).await.unwrap();
    rows.sort_by_key(|row| (row.at, row.counted.account.clone(), row.counted.about.clone()));
    rows
}

async fn suite(ledger: &dyn Ledger) {
    signed_in(ledger, "a").await;
    signed_in(ledger, "b").await;
    assert_eq!(ledger.first_count(Span::Day).await.unwrap(), None);
    let first = vec![counted("a", tool("email_list"), 2), counted("b", About::Client("claude".into()), 5)];
    ledger.add_counts(first.clone(), NOW).await.unwrap();
    ledger.add_counts(vec![counted("a", tool("email_list"), 3)], NOW.plus(Duration::from_secs(600))).await.unwrap();
    ledger.add_counts(vec![counted("gone", tool("email_list"), 3)], NOW).await.unwrap();

    let mut both = first[0].clone();
    both.counts.add(&counted("a", tool("email_list"), 3).counts);
    let (hour, day) = (Span::Hour.start(NOW), Span::Day.start(NOW));
    let expected = |at| vec![CountedIn { at, counted: both.clone() }, CountedIn { at, counted: first[1].clone() }];
    assert_eq!(all(ledger, Span::Hour, None).await, expected(hour));
    assert_eq!(all(ledger, Span::Day, None).await, expected(day));
    assert_eq!(all(ledger, Span::Moment, None).await.len(), 3, "two stretches of five minutes");
    assert_eq!(all(ledger, Span::Hour, Some("b")).await, expected(hour)[1..]);
    assert_eq!(all(ledger, Span::Hour, Some("gone")).await, []);
    let query = |from, until| CountsQuery { span: Span::Hour, from, until, account: None };
    assert_eq!(ledger.counts(query(hour, hour)).await.unwrap(), [], "`until` is not in it");
    assert_eq!(ledger.counts(query(hour, hour.plus(Duration::from_millis(1)))).await.unwrap().len(), 2);
    assert_eq!(ledger.first_count(Span::Day).await.unwrap(), Some(day));

    // What is too old goes with a flush; what is not, stays to the last stretch.
    let later = NOW.plus(Span::Hour.kept());
    ledger.add_counts(Vec::new(), later).await.unwrap();
    assert_eq!((all(ledger, Span::Hour, None).await.len(), all(ledger, Span::Moment, None).await.len()), (2, 0));
    ledger.add_counts(Vec::new(), later.plus(Span::Hour.length())).await.unwrap();
    assert_eq!((all(ledger, Span::Hour, None).await.len(), all(ledger, Span::Day, None).await.len()), (0, 2));

    ledger.remove_account(&AccountId::new("a")).await.unwrap();
    assert_eq!(all(ledger, Span::Day, None).await, expected(day)[1..]);
    signed_in(ledger, "a").await;
    assert_eq!(all(ledger, Span::Day, Some("a")).await, []);
}

#[tokio::test]
async fn in_memory() {
    suite(&Memory::new(Arc::new(SeededDice::new(1)), Limits::default())).await;
}

#[tokio::test]
async fn beside_a_backend_of_answers() {
    let ledger = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
    suite(&Volatile::new(ledger, 1 << 20, Limits::default())).await;
}

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
mod in_a_file {
    use super::*;

    fn open(folder: &tempfile::TempDir) -> sqlcipher::Sqlcipher {
        let store = sqlcipher::Sqlcipher::open(sqlcipher::OpenOptions {
            path: folder.path().join("store.db"),
            keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
            dice: Arc::new(SeededDice::new(2)),
            new_epochs: false,
            limits: Limits::default(),
        });
        store.unwrap()
    }

    #[tokio::test]
    async fn the_suite_and_the_end_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        suite(&store).await;
        let before = all(&store, Span::Day, None).await;
        drop(store);
        assert_eq!(all(&open(&folder), Span::Day, None).await, before);
    }

    #[tokio::test]
    async fn old_rows_go_some_at_a_time_and_a_large_account_goes_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        signed_in(&store, "a").await;
        let clients = |count: usize| (0..count).map(|at| counted("a", About::Client(format!("{at}")), 1)).collect::<Vec<_>>();
        store.add_counts(clients(400), NOW).await.unwrap();
        let later = NOW.plus(Duration::from_secs(3 * 3600));
        store.add_counts(Vec::new(), later).await.unwrap();
        assert_eq!(all(&store, Span::Moment, None).await.len(), 400 - sqlcipher::PRUNED_AT_ONCE);
        store.add_counts(Vec::new(), later).await.unwrap();
        assert_eq!(all(&store, Span::Moment, None).await.len(), 0);
        assert_eq!(all(&store, Span::Day, None).await.len(), 400);
        store.remove_account(&AccountId::new("a")).await.unwrap();
        signed_in(&store, "a").await;
        assert_eq!(all(&store, Span::Day, None).await, []);
    }
}
