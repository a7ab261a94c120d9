//! Files that are not ours, not whole or not for this version: each is refused and left as it is.

use super::{
    migrations::{self, migrate},
    tests::{BEFORE_KEYS_AND_AUDIT, Profile, account, entry, put},
    *,
};
use crate::{
    chance::{Dice, SeededDice},
    store::TaskState,
};

/// Opens what must not open. Every file is as before, and none is new; the index of the log (`-shm`) alone may be rebuilt, which
/// SQLite does from the log on every opening.
fn refused(profile: &Profile) -> StoreError {
    let files = || -> Vec<_> { profile.files().into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).collect() };
    let before = files();
    let error = profile.open().err().expect("it must not open");
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect::<Vec<_>>();
    let after = files();
    assert_eq!(names(&before), names(&after));
    assert!(before == after, "a file was changed");
    error
}

/// A store with something in it; `killed` leaves its log beside it, as a kill does.
async fn filled(killed: bool) -> Profile {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    for number in 0..20 {
        put(&store, &entry(&store, &account("a"), number, &"\"a\":1}".repeat(100)).await).await;
    }
    if !killed {
        return profile;
    }
    let copy = Profile::new();
    for (path, bytes) in profile.files() {
        std::fs::write(copy.path().with_file_name(path.file_name().unwrap()), bytes).unwrap();
    }
    copy
}

#[tokio::test]
async fn another_key_is_refused_and_nothing_is_touched() {
    for killed in [false, true] {
        let mut profile = filled(killed).await;
        let keys = profile.keys.clone();
        profile.keys.database = Secret::new([9; 32]);
        assert!(matches!(refused(&profile), StoreError::WrongKey(_)), "killed: {killed}");
        profile.keys = StoreKeys { database: keys.database.clone(), wrapping: Secret::new([9; 32]) };
        let error = profile.open().err().unwrap();
        assert!(matches!(error, StoreError::WrongKey(_)), "{error}");
        profile.keys = keys;
        assert_eq!(profile.open().unwrap().stats().await.unwrap().entries, 20, "the right keys still open it");
    }
}

#[tokio::test]
async fn foreign_and_empty_files_are_refused_and_left_alone() {
    let mut noise = vec![0; 40_960];
    SeededDice::new(1).fill(&mut noise);
    let cases: [(&str, Vec<u8>); 5] = [
        ("empty", vec![]),
        ("short", b"hello".to_vec()),
        ("text", b"dear diary, ".repeat(1000)),
        ("noise", noise),
        ("plain SQLite", b"SQLite format 3\0".repeat(512)),
    ];
    for (name, bytes) in cases {
        let profile = Profile::new();
        std::fs::write(profile.path(), &bytes).unwrap();
        let error = refused(&profile);
        assert!(matches!(error, StoreError::WrongKey(_) | StoreError::Damaged(_)), "{name}: {error}");
    }
    let profile = Profile::new();
    std::fs::create_dir(profile.path()).unwrap();
    assert!(matches!(profile.open(), Err(StoreError::WrongKey(_))), "a folder");
}

#[tokio::test]
async fn another_programs_database_and_a_foreign_journal_are_refused() {
    let profile = filled(false).await;
    let conn = profile.place().open().unwrap();
    conn.pragma_update(None, "application_id", 7).unwrap();
    drop(conn);
    assert!(matches!(refused(&profile), StoreError::WrongKey(_)));

    let profile = filled(false).await;
    std::fs::write(profile.place().beside("-journal"), b"someone's").unwrap();
    assert!(matches!(refused(&profile), StoreError::Damaged(_)));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    for killed in [false, true] {
        let profile = filled(killed).await;
        let conn = profile.place().open().unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        drop(conn);
        let error = refused(&profile);
        let latest = migrations::latest(migrations::STEPS);
        assert!(matches!(error, StoreError::Newer { found: 99, known } if known == latest), "{error}");
    }
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_begun_again() {
    let profile = Profile::new();
    std::fs::write(profile.place().beside(".creating"), b"half").unwrap();
    drop(profile.open().unwrap());
    assert_eq!(profile.files().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_not_followed() {
    let (real, profile) = (filled(false).await, Profile::new());
    std::os::unix::fs::symlink(real.path(), profile.path()).unwrap();
    assert!(matches!(profile.open(), Err(StoreError::WrongKey(_))));
}

/// Later versions are only steps in this list, so an older file is made here by leaving the last ones out.
#[test]
fn steps_are_taken_from_whatever_version_the_file_has() {
    const STEPS: &[migrations::Step] = &[
        (1, "CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT;"),
        (2, "ALTER TABLE one ADD COLUMN name TEXT NOT NULL DEFAULT 'x'; INSERT INTO one (id) VALUES (2);"),
        (3, "CREATE TABLE three (id INTEGER PRIMARY KEY) STRICT;"),
    ];
    for from in 0..=3 {
        let mut conn = rusqlite::Connection::open_in_memory().unwrap();
        migrate(&mut conn, &STEPS[..from]).unwrap();
        migrate(&mut conn, STEPS).unwrap();
        assert_eq!(migrations::version(&conn).unwrap(), 3);
        let name: String = conn
            .query_row("SELECT name FROM one JOIN three ON 1 = 1 OR three.id UNION ALL SELECT name FROM one", (), |row| row.get(0))
            .unwrap();
        assert_eq!(name, "x");
        assert!(matches!(migrate(&mut conn, &STEPS[..2]), Err(StoreError::Newer { found: 3, known: 2 })));
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_opens_with_its_rows_counted() {
    let profile = Profile::new();
    drop(profile.open().unwrap());
    let conn = profile.place().open().unwrap();
    // As the first version left it.
    conn.execute_batch(BEFORE_KEYS_AND_AUDIT).unwrap();
    conn.execute_batch(
        "DROP TABLE statistics; DROP TABLE delta_tokens; DROP INDEX scopes_age;
        DROP TRIGGER scopes_in; DROP TRIGGER scopes_out; DROP TRIGGER items_in; DROP TRIGGER items_out;
        ALTER TABLE sources DROP COLUMN used; ALTER TABLE sources DROP COLUMN scope_rows; ALTER TABLE sources DROP COLUMN item_rows;
        DROP TABLE cache_tasks; DROP TABLE task_counts; DROP TABLE task_times;
        CREATE TABLE cache_tasks (
          id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, account TEXT NOT NULL, kind TEXT NOT NULL, tool TEXT NOT NULL,
          args TEXT NOT NULL, dedup TEXT NOT NULL, priority INTEGER NOT NULL DEFAULT 5, created_at INTEGER NOT NULL DEFAULT 0,
          changed_at INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0, failure TEXT NOT NULL DEFAULT ''
        ) STRICT;
        CREATE UNIQUE INDEX cache_tasks_dedup ON cache_tasks (dedup) WHERE state < 2;
        CREATE INDEX cache_tasks_next ON cache_tasks (state, priority, created_at, id);
        CREATE INDEX cache_tasks_account ON cache_tasks (account);
        INSERT INTO cache_tasks (uuid, account, kind, tool, args, dedup, state, failure)
          VALUES ('q', 'a', 'refresh', 't', '{}', '1', 0, ''), ('r', 'a', 'refresh', 't', '{}', '2', 1, ''),
          ('f', 'a', 'refresh', 't', '{}', '1', 2, 'why'), ('c', 'a', 'refresh', 't', '{}', '1', 3, '');
        INSERT INTO sources (id, name, epoch) VALUES (7, 'a', 1), (8, 'b', 2);
        INSERT INTO scopes (source, scope) VALUES (7, 'x'), (7, 'y'), (8, 'x');
        INSERT INTO items (source, item, container) VALUES (7, 'i', 'x');
        PRAGMA user_version = 1;",
    )
    .unwrap();
    let schema = |conn: &rusqlite::Connection| -> Vec<String> {
        let mut rows = conn.prepare("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1").unwrap();
        rows.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut first = rusqlite::Connection::open_in_memory().unwrap();
    migrate(&mut first, &migrations::STEPS[..1]).unwrap();
    assert_eq!(schema(&conn), schema(&first));
    drop(conn);
    let store = profile.open().unwrap();
    let sizes: Vec<_> = store.sources().await.unwrap().iter().map(|size| (size.id.to_string(), size.scopes, size.items)).collect();
    assert_eq!(sizes, [("a".into(), 2, 1), ("b".into(), 1, 0)]);
    assert_eq!(store.task_counts().await.unwrap(), TaskCounts { queued: 2, completed: 1, failed: 1, ..TaskCounts::default() });
    let tasks = store.tasks(TaskQuery { limit: 9, ..TaskQuery::default() }).await.unwrap();
    let tasks: Vec<_> = tasks.iter().map(|seen| (seen.task.id.as_str(), seen.state, seen.failure.as_str())).collect();
    let expected =
        [("c", TaskState::Completed, ""), ("f", TaskState::Failed, "why"), ("r", TaskState::Queued, ""), ("q", TaskState::Queued, "")];
    assert_eq!(tasks, expected);
}

#[test]
fn a_step_that_fails_leaves_the_version_before_it() {
    const BAD: &[migrations::Step] =
        &[(1, "CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT;"), (2, "CREATE TABLE two (id INTEGER) STRICT; nonsense;")];
    let mut conn = rusqlite::Connection::open_in_memory().unwrap();
    assert!(migrate(&mut conn, BAD).is_err());
    assert_eq!(migrations::version(&conn).unwrap(), 0, "all steps or none");
    migrate(&mut conn, &BAD[..1]).unwrap();
    assert!(migrate(&mut conn, BAD).is_err());
    assert_eq!(migrations::version(&conn).unwrap(), 1);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
    assert_eq!(tables, 1, "nothing of the second step is left");
}
