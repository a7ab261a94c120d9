//! Re-encryption: everything is read before, during and after, a kill at any step loses nothing, and the old key opens nothing in the end.

use super::{
    seal::{SealKey, unwrap_data_key},
    tests::{Profile, account, entry, put},
    *,
};
use crate::store::{Reencryption, Sealed as _};

/// The wrapped keys as they stand in the file: the current one and the one before.
fn wrapped(profile: &Profile, account: &AccountId) -> (Vec<u8>, Vec<u8>) {
    let conn = profile.place().open().unwrap();
    conn.query_row("SELECT wrapped, old_wrapped FROM data_keys WHERE account = ?1", [account.as_str()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
    .unwrap()
}

/// How many bodies of the file a key opens is not told by the store, so it is counted here.
fn opened_by(profile: &Profile, key: &SealKey, all: &[Entry]) -> usize {
    let conn = profile.place().open().unwrap();
    let count = |kept: &&Entry| {
        let (id, tool, codec, raw_len, started, revision): (i64, String, u8, i64, i64, i64) = conn
            .query_row(
                "SELECT id, tool, codec, raw_len, fetch_started, revision FROM cache_entries WHERE key_hash = ?1",
                [kept.meta.key.hash.0],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
            )
            .unwrap();
        let (head, mut body): (Vec<u8>, Vec<u8>) =
            conn.query_row("SELECT head, body FROM cache_bodies WHERE id = ?1", [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let identity = seal::BodyIdentity {
            account: kept.meta.key.account.as_str(),
            tool: &tool,
            key_hash: kept.meta.key.hash.0,
            revision: revision.cast_unsigned(),
            fetch_started: started,
            codec,
            raw_len: raw_len.cast_unsigned(),
            head: &head,
        };
        key.open(&identity.aad(), &mut body).is_some()
    };
    all.iter().filter(count).count()
}

async fn all_there(store: &Sqlcipher, all: &[Entry], when: &str) {
    for kept in all {
        assert_eq!(store.get(kept.meta.key.hash).await.unwrap().as_ref(), Some(kept), "{when}");
    }
    for name in ["a", "b"] {
        let token = store.tokens(&account(name)).await.unwrap().unwrap();
        assert_eq!(token.expose(), name.as_bytes(), "{when}");
    }
}

async fn filled(profile: &Profile, count: usize) -> Vec<Entry> {
    let store = profile.open().unwrap();
    let mut all = Vec::new();
    for number in 0..count {
        let kept = entry(&store, &account(["a", "b"][number % 2]), number, &format!("\"n\":\"{}\"}}", "x".repeat(number * 37))).await;
        put(&store, &kept).await;
        all.push(kept);
    }
    for name in ["a", "b"] {
        store.save_tokens(&account(name), Secret::new(name.as_bytes().to_vec())).await.unwrap();
    }
    all
}

#[tokio::test]
async fn everything_is_read_at_each_step_and_in_the_end_under_the_new_key_alone() {
    let profile = Profile::new();
    let mut all = filled(&profile, 200).await;
    let wrapping = SealKey::new(&profile.keys.wrapping);
    let old = unwrap_data_key(&wrapping, account("a").as_str(), wrapped(&profile, &account("a")).0).unwrap();
    assert_eq!(opened_by(&profile, &old, &all), 100);

    // Each step is cut short by a kill: what is not closed is opened anew.
    let mut steps = 0;
    let mut ended = false;
    while !ended {
        let store = profile.open().unwrap();
        let begun = store.begin_reencryption().await.unwrap();
        assert_eq!(begun.total, 200);
        assert!(begun.done < 200 || steps > 3);
        all_there(&store, &all, "before a step").await;
        // New answers come in between, and old ones are replaced.
        let more = entry(&store, &account("a"), 1000 + steps, "\"new\":1}").await;
        put(&store, &more).await;
        all.push(more);
        let again = Entry { meta: EntryMeta { revision: all[steps].meta.revision + 1, ..all[steps].meta.clone() }, ..all[steps].clone() };
        put(&store, &again).await;
        all[steps] = again;
        let progress = store.reencrypt_some().await.unwrap().unwrap();
        assert!(progress.done <= progress.total);
        ended = progress.ended;
        all_there(&store, &all, "behind a step").await;
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    let store = profile.open().unwrap();
    assert_eq!(store.reencryption().await.unwrap(), (None, 2));
    assert_eq!(store.reencrypt_some().await.unwrap(), None);
    all_there(&store, &all, "in the end").await;
    assert_eq!(store.look_at_health().await.damaged, 0);
    store.close();
    let (new, before) = wrapped(&profile, &account("a"));
    assert!(before.is_empty());
    assert_eq!(opened_by(&profile, &old, &all), 0, "the old key opens something");
    let new = unwrap_data_key(&wrapping, account("a").as_str(), new).unwrap();
    assert_eq!(opened_by(&profile, &new, &all), all.iter().filter(|kept| kept.meta.key.account == account("a")).count());
}

#[tokio::test]
async fn a_new_wrapping_key_takes_over_and_the_old_one_opens_nothing() {
    let mut profile = Profile::new();
    let all = filled(&profile, 20).await;
    let store = profile.open().unwrap();
    store.begin_reencryption().await.unwrap();
    store.rewrap(Secret::new([5; 32])).await.unwrap();
    // Also the keys that nobody has asked for yet, and in the midst of a re-encryption.
    all_there(&store, &all, "behind the change").await;
    while !store.reencrypt_some().await.unwrap().unwrap().ended {}
    store.rewrap(Secret::new([6; 32])).await.unwrap();
    all_there(&store, &all, "behind the second change").await;
    drop(store);
    for old in [4, 5] {
        profile.keys.wrapping = Secret::new([old; 32]);
        assert!(matches!(profile.open(), Err(StoreError::WrongKey(_))));
    }
    profile.keys.wrapping = Secret::new([6; 32]);
    all_there(&profile.open().unwrap(), &all, "opened anew").await;
}

#[tokio::test]
async fn a_store_of_nobody_ends_at_once() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    assert_eq!(store.reencrypt_some().await.unwrap(), None);
    store.begin_reencryption().await.unwrap();
    let ended = store.reencrypt_some().await.unwrap();
    assert_eq!(ended, Some(Reencryption { done: 0, total: 0, ended: true }));
}

#[tokio::test]
async fn an_account_that_leaves_meanwhile_takes_both_keys_along() {
    let profile = Profile::new();
    let all = filled(&profile, 80).await;
    let store = profile.open().unwrap();
    store.begin_reencryption().await.unwrap();
    store.remove_account(&account("a")).await.unwrap();
    while !store.reencrypt_some().await.unwrap().unwrap().ended {}
    for kept in &all {
        let seen = store.get(kept.meta.key.hash).await.unwrap();
        assert_eq!(seen.is_some(), kept.meta.key.account == account("b"));
    }
}

#[tokio::test]
async fn a_damaged_answer_does_not_stop_it() {
    let profile = Profile::new();
    let all = filled(&profile, 200).await;
    let page: i64 = {
        let conn = profile.place().open().unwrap();
        conn.query_row(
            "SELECT pageno FROM dbstat WHERE name = 'cache_bodies' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 1",
            (),
            |row| row.get(0),
        )
        .unwrap()
    };
    let mut bytes = std::fs::read(profile.path()).unwrap();
    bytes[usize::try_from(page - 1).unwrap() * 4096 + 100] ^= 1;
    std::fs::write(profile.path(), bytes).unwrap();
    let store = profile.open().unwrap();
    store.begin_reencryption().await.unwrap();
    let mut steps = 0;
    while !store.reencrypt_some().await.unwrap().unwrap().ended {
        steps += 1;
        assert!(steps < 200, "it does not end");
    }
    let mut lost = 0;
    for kept in &all {
        match store.get(kept.meta.key.hash).await.unwrap() {
            Some(seen) => assert!(seen == *kept),
            None => lost += 1,
        }
    }
    assert!(lost > 0 && lost < 100, "{lost}");
}
