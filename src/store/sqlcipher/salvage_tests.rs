//! Copies, the way back and salvage: a copy made in the midst of writes is whole, an upgrade can be undone, and of a damaged file the accounts
//! and tokens are saved that still open, and nothing else.

use std::collections::BTreeSet;

use super::{
    migrations::STEPS,
    tests::{BEFORE_KEYS_AND_AUDIT, Profile, account, entry, put},
    *,
};
use crate::{
    audit::{Event, Kind},
    chance::{Dice as _, SeededDice},
    store::{About, Counts, Erasure, Handles as _, Privacy as _, Range, Sealed as _, Thing, Trail as _},
};

const PAGE: usize = 4096;
const ACCOUNTS: usize = 40;

fn name(number: usize) -> String {
    format!("user{number:03}")
}

fn row(number: usize) -> AccountRow {
    AccountRow {
        id: account(&name(number)),
        username: format!("{}@contoso.example", name(number)),
        display_name: name(number).repeat(20),
        tenant_id: "t".into(),
        object_id: name(number),
        drive_id: None,
        added_at: Timestamp(1),
    }
}

/// A store of many accounts and answers.
async fn filled() -> Profile {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let dice = SeededDice::new(5);
    for number in 0..ACCOUNTS {
        store.save_account(row(number)).await.unwrap();
        store.save_tokens(&row(number).id, Secret::new(name(number).repeat(60).into_bytes())).await.unwrap();
        put(&store, &entry(&store, &row(number).id, number, &format!("\"noise\":\"{}\"}}", dice.hex(2000))).await).await;
    }
    profile
}

#[tokio::test]
async fn a_copy_in_the_midst_of_writes_is_whole() {
    let profile = filled().await;
    let store = Arc::new(profile.open().unwrap());
    let to = profile.path().with_file_name("copy.db");
    let (writer, keys, place) = (Arc::clone(&store), profile.keys.clone(), to.clone());
    let copying = tokio::task::spawn_blocking(move || writer.copy_to(&place, &keys));
    let mut number = 1000;
    while !copying.is_finished() {
        put(&store, &entry(&store, &account("user000"), number, "\"a\":1}").await).await;
        number += 1;
    }
    let contents = copying.await.unwrap().unwrap();
    assert_eq!((contents.accounts, contents.schema), (40, migrations::latest(STEPS)));
    assert!(contents.entries >= 40);
    assert_eq!(inspect(&to, &profile.keys).unwrap(), contents);
    let other = StoreKeys { wrapping: Secret::new([9; 32]), ..profile.keys.clone() };
    assert!(matches!(inspect(&to, &other), Err(StoreError::WrongKey(_))));
    let raw = std::fs::read(&to).unwrap();
    assert!(!raw.windows(7).any(|window| window == b"user001"), "the copy is as encrypted as the file");
    // Nothing is overwritten.
    assert!(store.copy_to(&to, &profile.keys).is_err());
    assert_eq!(std::fs::read(&to).unwrap().len(), raw.len());
}

#[tokio::test]
async fn a_file_whose_log_cannot_be_moved_into_it_does_not_count_as_whole() {
    let profile = filled().await;
    let whole = std::fs::read(profile.path()).unwrap();
    // Whoever reads an older state keeps the log from being moved.
    let reader = profile.place().open().unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM accounts").unwrap();
    let renewed = new_epochs(&profile.path(), &profile.keys);
    assert!(matches!(renewed, Err(StoreError::Failed(_))), "{renewed:?}");
    assert!(std::fs::read(profile.path()).unwrap() == whole, "without its log the file has none of it");
    drop(reader);
    new_epochs(&profile.path(), &profile.keys).unwrap();
    assert!(std::fs::read(profile.path()).unwrap() != whole && !profile.place().beside("-wal").exists());
}

#[tokio::test]
async fn what_an_upgrade_found_is_kept_and_opens_again() {
    let profile = filled().await;
    let conn = profile.place().open().unwrap();
    conn.execute_batch(BEFORE_KEYS_AND_AUDIT).unwrap();
    conn.pragma_update(None, "user_version", 6).unwrap();
    drop(conn);
    let before = std::fs::read(profile.path()).unwrap();
    std::fs::write(profile.place().beside(".schema-3"), b"of an earlier upgrade").unwrap();
    let store = profile.open().unwrap();
    assert_eq!(store.stats().await.unwrap().entries, 40);
    drop(store);
    let (version, path) = kept(&profile.path()).unwrap();
    assert_eq!((version, std::fs::read(&path).unwrap() == before), (6, true));
    assert_eq!(profile.files().len(), 2, "one is kept");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    // The way back: nothing in it is served as it was, and its tables are those of before.
    new_epochs(&path, &profile.keys).unwrap();
    assert_eq!(inspect(&path, &profile.keys).unwrap().schema, 6);
    // An opening without an upgrade keeps nothing anew.
    drop(profile.open().unwrap());
    assert_eq!(kept(&profile.path()).unwrap().0, 6);
}

#[tokio::test]
async fn accounts_and_tokens_that_open_are_saved_from_any_damage_and_nothing_wrong_is() {
    let profile = filled().await;
    let whole = std::fs::read(profile.path()).unwrap();
    let pages = whole.len() / PAGE;
    let dice = SeededDice::new(6);
    let below = |most: usize| usize::try_from(dice.number()).unwrap() % most;
    let mut chosen = BTreeSet::new();
    while chosen.len() < 40 {
        chosen.insert(1 + below(pages - 1));
    }
    let (mut saved_accounts, mut saved_tokens, mut damaged, mut lost) = (0, 0, 0, 0);
    for page in &chosen {
        let mut bytes = whole.clone();
        bytes[page * PAGE + below(PAGE)] ^= 1 << below(8);
        std::fs::write(profile.path(), &bytes).unwrap();
        damaged += usize::from(check_pages(&profile.path(), &profile.keys.database).is_err());
        let to = profile.path().with_file_name("new.db");
        let saved = match salvage(&profile.path(), &to, &profile.keys) {
            Ok(saved) => saved,
            // One of the few pages of the list of tables: without it no row is found.
            Err(StoreError::Damaged(_)) => {
                lost += 1;
                assert!(std::fs::read(profile.path()).unwrap() == bytes && !to.exists());
                continue;
            }
            Err(error) => panic!("page {page}: {error}"),
        };
        assert!(std::fs::read(profile.path()).unwrap() == bytes, "the damaged file is left as it is");
        let options = OpenOptions { path: to.clone(), ..profile.options() };
        let store = Sqlcipher::open(options).unwrap();
        let accounts = store.accounts().await.unwrap();
        assert_eq!(accounts.len() as u64, saved.accounts);
        for account in accounts {
            let number: usize = account.username[4..7].parse().unwrap();
            assert_eq!(account, row(number), "page {page}: a wrong account");
            saved_accounts += 1;
            if let Some(token) = store.tokens(&account.id).await.unwrap() {
                assert_eq!(token.expose(), name(number).repeat(60).as_bytes(), "page {page}: wrong tokens");
                saved_tokens += 1;
            }
        }
        assert_eq!(store.stats().await.unwrap().entries, 0);
        drop(store);
        for (path, _) in profile.files().into_iter().filter(|(path, _)| *path != profile.path()) {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(lost <= 4, "{lost} of {} pages took everything along", chosen.len());
    let all = (chosen.len() - lost) * ACCOUNTS;
    assert_eq!(damaged, chosen.len());
    assert!(saved_accounts > all * 9 / 10 && saved_tokens > all * 9 / 10, "{saved_accounts} and {saved_tokens} of {all}");
}

/// What `repair` makes of the file takes its place, the anchor of its trail stays where it was.
fn repair(profile: &Profile) {
    let to = profile.path().with_file_name("new.db");
    salvage(&profile.path(), &to, &profile.keys).unwrap();
    std::fs::rename(to, profile.path()).unwrap();
}

fn sql(profile: &Profile, sql: &str) {
    profile.place().open_existing().unwrap().execute_batch(sql).unwrap();
}

/// A store with a trail of so many records.
async fn recorded(length: usize) -> Profile {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    store.resume(Timestamp(0)).await.unwrap();
    let event = |_| Event::new(Kind::Read, Timestamp(1)).of(&account("a")).with("email_get").ended("fresh");
    store.append((0..length).map(event).collect()).await.unwrap();
    profile
}

/// What two starts say of the trail: whether it holds, and what they recorded.
async fn started_twice(profile: &Profile) -> (bool, Vec<String>) {
    let mut holds = true;
    for _ in 0..2 {
        let store = profile.open().unwrap();
        store.resume(Timestamp(5)).await.unwrap();
        let report = store.verify(None).await.unwrap();
        holds &= report.holds();
    }
    let told = profile.open().unwrap().records(Range::After(0), 1000).await.unwrap();
    let told = told.into_iter().filter(|record| record.kind != "read");
    (holds, told.map(|record| format!("{} {}", record.kind, record.outcome)).collect())
}

#[tokio::test]
async fn a_trail_that_lost_nothing_goes_on_without_a_word_and_one_that_lost_its_end_says_so_once() {
    let repaired = || vec!["restore repaired".to_owned()];
    let profile = recorded(20).await;
    repair(&profile);
    assert_eq!(started_twice(&profile).await, (true, vec![]));

    let profile = recorded(20).await;
    sql(&profile, "DELETE FROM audit WHERE seq > 17");
    repair(&profile);
    assert_eq!(started_twice(&profile).await, (true, repaired()));

    // The page of the sealed ends.
    let profile = recorded(20).await;
    sql(&profile, "DELETE FROM meta WHERE name = 'audit_ends'");
    repair(&profile);
    assert_eq!(started_twice(&profile).await, (true, repaired()));

    // What is lost in its midst is told for as long as it would have been kept.
    let profile = recorded(20).await;
    sql(&profile, "DELETE FROM audit WHERE seq = 9");
    repair(&profile);
    assert_eq!(started_twice(&profile).await, (false, vec![]));
}

#[tokio::test]
async fn what_belonged_to_a_lost_account_is_given_to_nobody() {
    for lost in ["", "DELETE FROM sqlite_sequence"] {
        let profile = recorded(3).await;
        let store = profile.open().unwrap();
        let thing = |id: &str| vec![Thing { letter: 'm', id: id.into() }];
        let handle = store.name(&account("a"), thing("AAMk-a"), Timestamp(1)).await.unwrap()[0];
        let about = About::Tool("email_get".into());
        let counted = Counted { account: account("a"), about, counts: Counts { hits: 7, ..Counts::default() } };
        store.add_counts(vec![counted], Timestamp(1)).await.unwrap();
        drop(store);
        sql(&profile, &format!("DELETE FROM data_keys; DELETE FROM audit_subjects; {lost}"));
        repair(&profile);

        let store = profile.open().unwrap();
        let new = store.name(&account("b"), thing("AAMk-b"), Timestamp(2)).await.unwrap()[0];
        assert_eq!(store.named(handle).await.unwrap(), None, "it would show what another one was shown");
        assert!(new.number() > handle.number() && new.number() - handle.number() > 1, "{new} may be remembered of the file before");
        let query = CountsQuery { span: Span::ALL[0], account: None, from: Timestamp(0), until: Timestamp(i64::MAX) };
        assert_eq!(store.counts(query).await.unwrap(), []);
        let event = Event::new(Kind::Read, Timestamp(1)).of(&account("b")).with("email_get").ended("fresh");
        store.append(vec![event]).await.unwrap();
        let records = store.records(Range::After(0), 10).await.unwrap();
        let (old, its) = (records[0].subject, records.last().unwrap().subject);
        assert!(its > old, "{its} is not the number of somebody else's records, {old}");
        let owner: i64 = profile.place().open().unwrap().query_row("SELECT min(id) FROM data_keys", (), |row| row.get(0)).unwrap();
        assert!(owner > 1, "{owner}");
    }
}

#[tokio::test]
async fn a_key_that_was_about_to_be_destroyed_is_not_saved() {
    let profile = filled().await;
    let store = profile.open().unwrap();
    store.begin_reencryption().await.unwrap();
    drop(store);
    repair(&profile);
    let old: i64 =
        profile.place().open().unwrap().query_row("SELECT count(*) FROM data_keys WHERE old_wrapped <> x''", (), |row| row.get(0)).unwrap();
    assert_eq!(old, 0);
    let store = profile.open().unwrap();
    assert!(store.tokens(&row(1).id).await.unwrap().is_some());
    assert_eq!(store.reencryption().await.unwrap().0, None);
}

#[tokio::test]
async fn whatever_destroys_a_key_takes_the_file_of_before_an_upgrade_along() {
    let profile = filled().await;
    let store = profile.open().unwrap();
    let beside = |ending: &str| profile.place().beside(ending);
    let keep = || [".schema-6", ".schema-6.part", ".schema-seven"].map(|ending| std::fs::write(beside(ending), "").unwrap());
    let there = || [".schema-6", ".schema-6.part", ".schema-seven"].map(|ending| beside(ending).exists());
    keep();
    store.remove_account(&row(1).id).await.unwrap();
    assert_eq!(there(), [false, false, true], "by a sign-out; what is not ours stays");
    keep();
    store.begin_reencryption().await.unwrap();
    while store.reencrypt_some().await.unwrap().is_some_and(|progress| !progress.ended) {}
    assert_eq!(there(), [false, false, true], "by new keys");
    // A sign-out that cannot remove it has not happened.
    std::fs::create_dir(beside(".schema-6")).unwrap();
    assert!(store.remove_account(&row(2).id).await.is_err());
    assert!(store.tokens(&row(2).id).await.unwrap().is_some());
}

/// Waits until the log is empty: nobody asks the store for anything meanwhile.
fn until_the_log_is_empty(profile: &Profile) {
    let log = profile.place().beside("-wal");
    #[expect(clippy::disallowed_methods, reason = "a deadline")]
    let begun = std::time::Instant::now();
    while std::fs::metadata(&log).is_ok_and(|facts| facts.len() > 0) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it is never emptied");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_is_destroyed_while_the_file_is_copied_is_gone_when_that_has_ended() {
    let profile = filled().await;
    let store = profile.open().unwrap();
    let log = || std::fs::metadata(profile.place().beside("-wal")).map_or(0, |facts| facts.len());
    // As a backup does.
    let reader = profile.place().open().unwrap();
    let copying = || reader.execute_batch("BEGIN; SELECT count(*) FROM accounts").unwrap();
    copying();
    let erasure = Erasure::of_name(&row(1).id, None);
    store.remove_account(&row(1).id).await.unwrap();
    store.erase(&erasure, Timestamp(1)).await.unwrap();
    assert_eq!(store.left(&erasure).await.unwrap()["log"], 1, "it is not complete yet");
    store.begin_reencryption().await.unwrap();
    let ended = loop {
        match store.reencrypt_some().await {
            Ok(Some(progress)) => assert!(!progress.ended, "the old keys are still in the log"),
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(StoreError::Failed(_))), "{ended:?}");
    assert!(store.reencryption().await.unwrap().0.is_some(), "a kill now would not be made up for");
    assert!(log() > 0);
    reader.execute_batch("COMMIT").unwrap();
    // By itself.
    until_the_log_is_empty(&profile);
    assert_eq!(store.left(&erasure).await.unwrap()["log"], 0);
    assert!(store.reencrypt_some().await.unwrap().unwrap().ended);
    assert!(store.reencryption().await.unwrap().0.is_none() && log() < 20_000, "of its note alone");
}

#[tokio::test]
async fn a_log_that_a_kill_has_left_is_emptied_by_the_next_start() {
    let profile = filled().await;
    let store = profile.open().unwrap();
    store.remove_account(&row(1).id).await.unwrap();
    store.save_tokens(&row(2).id, Secret::new(vec![1])).await.unwrap();
    let killed = Profile::new();
    for (path, bytes) in profile.files() {
        std::fs::write(killed.path().with_file_name(path.file_name().unwrap()), bytes).unwrap();
    }
    assert!(std::fs::metadata(killed.place().beside("-wal")).unwrap().len() > 0);
    let again = killed.open().unwrap();
    until_the_log_is_empty(&killed);
    assert!(again.tokens(&row(2).id).await.unwrap().is_some());
}
