//! What only a file can do: reopening, isolation on the disk, the thread's order, row swaps.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    cache::{Body, CacheKey, EntryMeta, Escaped, KeyPattern, Reading, Scope, Service, Touch},
    chance::{OsDice, SeededDice},
};

/// A folder with a store in it.
pub(super) struct Profile {
    folder: TempDir,
    pub(super) keys: StoreKeys,
}

impl Profile {
    pub(super) fn new() -> Self {
        let keys = StoreKeys { database: Secret::new([3; 32]), wrapping: Secret::new([4; 32]) };
        Self { folder: tempfile::tempdir().unwrap(), keys }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    pub(super) fn place(&self) -> Place {
        Place { path: self.path(), key: Some(self.keys.database.clone()) }
    }

    pub(super) fn options(&self) -> OpenOptions {
        let dice = Arc::new(OsDice);
        OpenOptions { path: self.path(), keys: self.keys.clone(), dice, new_epochs: false, limits: Limits::default() }
    }

    pub(super) fn open(&self) -> Result<Sqlcipher, StoreError> {
        Sqlcipher::open(self.options())
    }

    /// Every file in the folder with what it holds.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|file| {
                let path = file.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                (path, bytes)
            })
            .collect();
        files.sort();
        files
    }
}

/// Takes back the steps 7 to 9 of the schema.
pub(super) const BEFORE_KEYS_AND_AUDIT: &str =
    "DROP TABLE handles; ALTER TABLE data_keys DROP COLUMN generation; ALTER TABLE data_keys DROP COLUMN old_wrapped;
    DROP TABLE audit; DROP TABLE audit_subjects; DROP TABLE erasures; DROP INDEX writes_account; DROP INDEX cache_invalidation_account;
    ALTER TABLE writes DROP COLUMN client; ALTER TABLE writes DROP COLUMN audited;";

pub(super) fn mailbox() -> SourceId {
    SourceId::mailbox("global", "t", "o")
}

pub(super) fn account(name: &str) -> AccountId {
    AccountId::new(format!("{name}.t"))
}

/// An answer that nothing has overtaken.
pub(super) async fn entry(store: &Sqlcipher, account: &AccountId, number: usize, text: &str) -> Entry {
    let state = store.source(&mailbox()).await.unwrap();
    let reading = Reading {
        source: mailbox(),
        epoch: state.epoch,
        read_seq: state.seq,
        scopes: vec![Scope::messages("f"), Scope::all(Service::Mail)],
    };
    let args = [("n".to_owned(), json!(number))].into();
    let key = CacheKey::new("email_get", account.clone(), args);
    let meta = EntryMeta { key, readings: vec![reading], fetch_started: Timestamp(9), etag: None, revision: 1 };
    Entry { meta, body: Body { text: Escaped::from_text(text), items: vec![(0, 1)] } }
}

pub(super) async fn put(store: &Sqlcipher, entry: &Entry) {
    let shown = Shown { source: mailbox(), item: "m".into(), containers: vec![Scope::messages("f")] };
    assert!(matches!(store.put(entry.clone(), vec![shown], Timestamp(10)).await.unwrap(), Put::Stored { .. }));
}

fn write(call: &str) -> NewWrite {
    let touched = Touched { source: mailbox(), service: Service::Mail, touches: vec![Touch::Item("m".into())] };
    NewWrite {
        call_key: call.into(),
        account: account("a"),
        tool: "email_move".into(),
        args_hash: [1; 32],
        touched,
        at: Timestamp(1),
        client: String::new(),
        targets: Vec::new(),
    }
}

fn task() -> TaskRow {
    let text = |text: &str| text.to_owned();
    TaskRow {
        id: text("id"),
        account: account("a"),
        kind: crate::store::TaskKind::Refresh,
        tool: text("email_get"),
        args: text("{}"),
        dedup: text("d"),
        priority: 3,
        created_at: Timestamp(2),
        not_before: Timestamp(0),
    }
}

#[tokio::test]
async fn a_store_that_was_closed_keeps_everything() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let kept = entry(&store, &account("a"), 1, "\"a\":1}").await;
    put(&store, &kept).await;
    store.save_tokens(&account("a"), Secret::new(b"tokens".to_vec())).await.unwrap();
    store.enqueue(task()).await.unwrap();
    store.open_write(write("w")).await.unwrap();
    store.touch(vec![EntryUse { key: kept.meta.key.hash, at: Timestamp(5), hits: 4 }]).await.unwrap();
    let pattern = KeyPattern::parse("x:*:a=b*").unwrap();
    let what = Invalidation { pattern, account: Some(account("a")), reason: "r".into(), by: "b".into(), at: Timestamp(7) };
    store.invalidate(what.clone()).await.unwrap();
    let (state, stats) = (store.source(&mailbox()).await.unwrap(), store.stats().await.unwrap());
    store.close();
    assert!(matches!(store.get(kept.meta.key.hash).await, Err(StoreError::Closed)));
    drop(store);

    let names: Vec<_> = profile.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [profile.path()], "closing leaves one file");
    let store = profile.open().unwrap();
    assert_eq!(store.get(kept.meta.key.hash).await.unwrap(), Some(kept));
    assert_eq!(store.tokens(&account("a")).await.unwrap().unwrap().expose(), b"tokens");
    assert_eq!(store.source(&mailbox()).await.unwrap(), state);
    assert_eq!(store.stats().await.unwrap(), stats);
    assert_eq!((stats.entries, stats.hits), (1, 4));
    assert_eq!(store.invalidations().await.unwrap(), [(what, 0)]);
    let Claim::Task(claimed) = store.claim(Timestamp(9), Timestamp(10), vec![]).await.unwrap() else { panic!("it is lost") };
    assert_eq!(claimed.task, task());
    assert_eq!(store.recover_writes(Timestamp(99), Timestamp(9)).await.unwrap()[0].write, write("w"));
    let health = store.health_check().await;
    assert!(
        health.healthy && health.schema == migrations::latest(migrations::STEPS) && health.file_bytes > 4096 && health.damaged == 0,
        "{health:?}"
    );
}

/// The files of a process that was killed are those it had written so far: copied here while the store is open.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let kept = entry(&store, &account("a"), 1, "\"a\":1}").await;
    put(&store, &kept).await;
    let id = store.open_write(write("w1")).await.unwrap();
    store.open_write(write("w2")).await.unwrap();
    let done = Outcome::Done { late: true };
    let bumped = store.close_write(id, done, vec![], vec![], Timestamp(60_000), Timestamp(1)).await.unwrap();
    let killed = Profile::new();
    for (path, bytes) in profile.files() {
        std::fs::write(killed.path().with_file_name(path.file_name().unwrap()), bytes).unwrap();
    }
    assert!(killed.files().len() > 1, "the log is there");
    let again = killed.open().unwrap();
    assert!(again.get(kept.meta.key.hash).await.unwrap().is_some());
    let state = again.source(&mailbox()).await.unwrap();
    assert_eq!(state.scopes.clone().into_iter().collect::<Vec<_>>(), bumped[0].scopes);
    let open = again.recover_writes(Timestamp(99_000), Timestamp(9)).await.unwrap();
    assert_eq!(open.iter().map(|one| one.write.call_key.as_str()).collect::<Vec<_>>(), ["w2"]);
    let (bumped, next) = again.settle(Timestamp(60_000)).await.unwrap();
    assert_eq!((bumped[0].seq, next), (state.seq + 2, Some(Timestamp(99_000))), "unsettled times survive, too");
}

#[tokio::test]
async fn nothing_readable_lies_on_the_disk() {
    let canary = b"CANARY-4711";
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let text = format!("\"subject\":\"{}\"}}", "CANARY-4711 ".repeat(10));
    for number in 0..50 {
        let mut kept = entry(&store, &account("CANARY-4711"), number, &text).await;
        kept.meta.etag = Some("CANARY-4711".into());
        kept.meta.key =
            CacheKey::new("email_get", account("CANARY-4711"), [("q".to_owned(), json!(format!("CANARY-4711 {number}")))].into());
        put(&store, &kept).await;
    }
    store.save_tokens(&account("a"), Secret::new(canary.to_vec())).await.unwrap();
    let mut open = write("CANARY-4711");
    open.touched.touches.push(Touch::Item("CANARY-4711".into()));
    store.open_write(open).await.unwrap();
    let found = |profile: &Profile| {
        let held = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary);
        profile.files().iter().filter(|(_, bytes)| held(bytes)).count()
    };
    assert!(profile.files().iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 20_000);
    assert_eq!(found(&profile), 0, "while open, log and index included");
    drop(store);
    assert_eq!(found(&profile), 0, "closed");
    // The scan can find what is there: a plain file shows the search words, though never the sealed answer.
    let plain = Profile::new();
    let store = Sqlcipher::open_plain_for_bench(plain.options()).unwrap();
    let kept = entry(&store, &account("CANARY-4711"), 1, &text).await;
    put(&store, &kept).await;
    drop(store);
    assert_eq!(found(&plain), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let profile = Profile::new();
    drop(profile.open().unwrap());
    std::fs::set_permissions(profile.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = profile.open().unwrap();
    put(&store, &entry(&store, &account("a"), 1, "\"a\":1}").await).await;
    let files = profile.files();
    assert_eq!(files.len(), 3, "file, log and index");
    for (path, _) in files {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
}

#[tokio::test]
async fn a_row_moved_to_another_key_or_account_is_a_miss() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let mut all = Vec::new();
    for (name, number) in [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("a", 4)] {
        let kept = entry(&store, &account(name), number, &format!("\"who\":\"{name}{number}\"}}")).await;
        put(&store, &kept).await;
        all.push(kept);
    }
    drop(store);
    let conn = profile.place().open().unwrap();
    // Bodies of one account exchanged; one account's row given to another; a number changed; the dependencies changed.
    conn.execute_batch(
        "UPDATE cache_bodies SET id = id + 1000 WHERE id IN (1, 2);
         UPDATE cache_bodies SET id = CASE id WHEN 1001 THEN 2 ELSE 1 END WHERE id > 1000;
         UPDATE cache_entries SET owner = (SELECT owner FROM cache_entries WHERE id = 1) WHERE id = 3;
         UPDATE cache_entries SET fetch_started = 10 WHERE id = 4;
         UPDATE cache_bodies SET head = (SELECT head FROM cache_bodies WHERE id = 3) WHERE id = 5;",
    )
    .unwrap();
    drop(conn);
    let store = profile.open().unwrap();
    for kept in &all {
        assert_eq!(store.get(kept.meta.key.hash).await.unwrap(), None);
    }
    assert_eq!(store.health_check().await.damaged, 5);
    let left = store.thread.read(|db| db.one("SELECT count(*) FROM cache_entries", (), |row| row.get::<_, i64>(0))).await.unwrap();
    assert_eq!(left, Some(0), "the rows are gone");
    put(&store, &all[0]).await;
    assert_eq!(store.get(all[0].meta.key.hash).await.unwrap().as_ref(), Some(&all[0]), "and may be stored again");
}

#[tokio::test]
async fn an_entry_whose_body_is_gone_is_a_miss_and_begins_anew() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let mut kept = entry(&store, &account("a"), 1, "\"a\":1}").await;
    put(&store, &kept).await;
    store.thread.cache(0, |db| db.run("DELETE FROM cache_bodies", ())).await.unwrap();
    assert_eq!(store.get(kept.meta.key.hash).await.unwrap(), None);
    put(&store, &kept).await;
    kept.meta.revision = 2;
    assert_eq!(store.get(kept.meta.key.hash).await.unwrap(), Some(kept));
    assert_eq!(store.stats().await.unwrap().entries, 1);
}

#[tokio::test]
async fn a_forgotten_accounts_key_is_overwritten_and_its_rows_do_not_open() {
    let profile = Profile::new();
    // Without encryption of the file, so that its pages can be looked into.
    let store = Sqlcipher::open_plain_for_bench(profile.options()).unwrap();
    let kept = entry(&store, &account("a"), 1, "\"a\":1}").await;
    put(&store, &kept).await;
    put(&store, &entry(&store, &account("b"), 1, "\"b\":1}").await).await;
    // Long enough to lie on pages of its own, which a plain removal only marks as free.
    store.save_tokens(&account("a"), Secret::new(vec![9; 20_000])).await.unwrap();
    let record: Vec<u8> = store.thread.read(|db| Ok(db.one("SELECT record FROM tokens", (), |row| row.get(0))?.unwrap())).await.unwrap();
    let piece = record[9_000..9_032].to_vec();
    let wrapped: Vec<u8> = store
        .thread
        .read(|db| Ok(db.one("SELECT wrapped FROM data_keys WHERE account = 'a.t'", (), |row| row.get(0))?.unwrap()))
        .await
        .unwrap();
    let found = |wanted: &[u8]| profile.files().iter().any(|(_, bytes)| bytes.windows(wanted.len()).any(|window| window == wanted));
    assert!(found(&wrapped) && found(&piece));
    assert_eq!(store.remove_account(&account("a")).await.unwrap(), 1);
    assert!(!found(&wrapped), "neither in the file nor in its log");
    assert!(!found(&piece), "the tokens neither");
    let mode: i64 = store.thread.read(|db| Ok(db.conn().pragma_query_value(None, "secure_delete", |row| row.get(0))?)).await.unwrap();
    assert_eq!(mode, 2, "FAST again");
    assert_eq!(store.stats().await.unwrap().by_account.len(), 1);
}

#[tokio::test]
async fn an_account_is_forgotten_though_the_log_cannot_be_emptied() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    put(&store, &entry(&store, &account("a"), 1, "\"a\":1}").await).await;
    store.save_tokens(&account("a"), Secret::new(vec![9])).await.unwrap();
    // A statement that is never read to its end lets the connection write, and not move its log.
    let hold = |db: &mut Db| {
        let statement = Box::leak(Box::new(db.conn().prepare("SELECT name FROM sqlite_schema")?));
        let mut rows = statement.query(())?;
        rows.next()?;
        std::mem::forget(rows);
        Ok(())
    };
    store.thread.read(hold).await.unwrap();
    assert!(store.thread.read(Db::empty_log).await.is_err(), "the test breaks nothing");
    assert_eq!(store.remove_account(&account("a")).await.unwrap(), 1);
    assert!(store.tokens(&account("a")).await.unwrap().is_none());
    assert!(store.thread.read(|db| Ok(db.log_is_due())).await.unwrap(), "it is not tried again");
}

#[tokio::test]
async fn the_connection_is_set_as_measured() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let settings = [
        ("journal_mode", "wal"),
        ("synchronous", "1"),
        ("secure_delete", "2"),
        ("cache_size", "-65536"),
        ("temp_store", "2"),
        ("mmap_size", ""),
        ("journal_size_limit", "4194304"),
        ("foreign_keys", "0"),
        ("auto_vacuum", "2"),
        ("page_size", "4096"),
        ("cipher_hmac_algorithm", "HMAC_SHA512"),
        ("cipher_memory_security", "0"),
    ];
    let seen = store.thread.read(move |db| {
        let text = |name: &str| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str().unwrap_or_default().to_owned(),
                })
            };
            db.conn().query_row(&format!("PRAGMA {name}"), (), read).unwrap_or_default()
        };
        Ok(settings.map(|(name, _)| (name, text(name))))
    });
    for ((name, seen), (_, wanted)) in seen.await.unwrap().into_iter().zip(settings) {
        assert!(seen == wanted || (name == "mmap_size" && (seen.is_empty() || seen == "0")), "{name}: {seen}");
    }
    // A durable transaction raises `synchronous` for itself and puts it back.
    store.save_tokens(&account("a"), Secret::new(vec![1])).await.unwrap();
    let mode: i64 = store.thread.read(|db| Ok(db.conn().pragma_query_value(None, "synchronous", |row| row.get(0))?)).await.unwrap();
    assert_eq!(mode, 1);
    let inside: i64 = store.thread.ledger(|db| Ok(db.conn().pragma_query_value(None, "synchronous", |row| row.get(0))?)).await.unwrap();
    assert_eq!(inside, 2);
}

#[tokio::test]
async fn a_job_that_fails_in_a_batch_harms_no_other() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let kept = entry(&store, &account("a"), 1, "\"a\":1}").await;
    // The thread is held up until all three wait, so that they make one batch.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut held = Some(held);
    let hold = store.thread.read(move |_| {
        let _ = held.take().map(|held| held.recv());
        Ok(())
    });
    let bad =
        store.thread.cache(10, |db| db.run("INSERT INTO meta (name, value) VALUES ('x', x'')", ()).and(Err::<(), _>(StoreError::Full)));
    let good = store.put(kept.clone(), vec![], Timestamp(1));
    let other = store.touch(vec![]);
    let released = async {
        release.send(()).unwrap();
    };
    let (_, good, bad, other, ()) = tokio::join!(hold, good, bad, other, released);
    assert!(matches!(bad, Err(StoreError::Full)));
    assert_eq!((good.unwrap(), other.unwrap()), (Put::Stored { revision: 1 }, ()));
    assert!(store.get(kept.meta.key.hash).await.unwrap().is_some());
    let left = store.thread.read(|db| db.one("SELECT 1 FROM meta WHERE name = 'x'", (), |row| row.get::<_, i64>(0))).await.unwrap();
    assert_eq!(left, None, "what failed left nothing");
    // The account's data key, made first in the transaction that was rolled back, was made again and kept.
    drop(store);
    assert!(profile.open().unwrap().get(kept.meta.key.hash).await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_that_met_damage_is_run_once_more_on_a_new_connection() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let mut first = true;
    let fails_once = move |_: &mut Db| if std::mem::take(&mut first) { Err(StoreError::Damaged("test".into())) } else { Ok(7) };
    assert_eq!(store.thread.read(fails_once).await.unwrap(), 7);
    assert_eq!(store.reopened(), 1);
    assert!(store.thread.ledger(|_| Err::<(), _>(StoreError::Damaged("test".into()))).await.is_err());
    assert_eq!(store.reopened(), 3, "and the next one starts on a good one");
    assert!(store.health_check().await.healthy);
}

#[tokio::test]
async fn a_panic_on_the_thread_answers_everybody() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let panicked = store.thread.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(StoreError::Closed)));
    assert!(matches!(store.stats().await, Err(StoreError::Closed)));
    assert!(!store.health_check().await.healthy);
}

#[tokio::test]
async fn new_epochs_make_every_entry_unservable() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let old = store.source(&mailbox()).await.unwrap();
    drop(store);
    let store = Sqlcipher::open(OpenOptions { new_epochs: true, dice: Arc::new(SeededDice::new(8)), ..profile.options() }).unwrap();
    let new = store.source(&mailbox()).await.unwrap();
    assert_ne!(old.epoch, new.epoch);
    assert_eq!(old.seq, new.seq);
}

/// Mixed reads and writes from many tasks at once: every read sees what its own task stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_each_read_what_they_wrote() {
    let profile = Profile::new();
    let store = Arc::new(profile.open().unwrap());
    let tasks: Vec<_> = (0..8)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let text = format!("\"caller\":{caller},\"round\":{round},\"pad\":\"{}\"}}", "x".repeat(round * 3000));
                    let mut kept = entry(&store, &account("a"), caller, &text).await;
                    put(&store, &kept).await;
                    kept.meta.revision = u64::try_from(round).unwrap() + 1;
                    assert_eq!(store.get(kept.meta.key.hash).await.unwrap(), Some(kept));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.stats().await.unwrap().entries, 8);
}
