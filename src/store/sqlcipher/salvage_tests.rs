//! Copies, the way back and salvage: a copy made in the midst of writes is whole, an upgrade can be undone, and of a damaged file the accounts
//! and tokens are saved that still open, and nothing else.

use std::collections::BTreeSet;

use super::{
    migrations::STEPS,
    tests::{BEFORE_KEYS_AND_AUDIT, Profile, account, entry, put},
    *,
};
use crate::{
    chance::{Dice as _, SeededDice},
    store::Sealed as _,
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
