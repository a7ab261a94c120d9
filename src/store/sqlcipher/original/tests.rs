//! Generated originals, plain and encrypted: all of them comes over, nothing of them changes, and what is none is refused.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;

use super::{read::beside, *};
use crate::{
    secret::{Key, Secret},
    store::sqlcipher::open::key_pragma,
};

const SUBJECT: &str = "Quarterly canary figures";

fn key(byte: u8) -> Key {
    Secret::new([byte; 32])
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("imported")).unwrap();
        Self { dir }
    }

    fn file(&self) -> PathBuf {
        // Signs that mean something in a URI.
        self.dir.path().join("cache ?%23#.db")
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("imported")
    }

    /// The original's tables as the tool catalogue gives them, with `answers` rows.
    fn original(&self, with: Option<&Key>, answers: usize) -> Connection {
        let conn = Connection::open(self.file()).unwrap();
        if let Some(key) = with {
            conn.execute_batch(&key_pragma(key)).unwrap();
        }
        conn.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE cache_entries (cache_key TEXT PRIMARY KEY, account_id TEXT NOT NULL, resource_type TEXT NOT NULL, resource_id TEXT,
                data_json BLOB NOT NULL, is_compressed INTEGER DEFAULT 0, data_size_bytes INTEGER, created_at REAL, accessed_at REAL,
                fresh_until REAL, expires_at REAL, hit_count INTEGER DEFAULT 0, etag TEXT, version INTEGER DEFAULT 1);
             CREATE INDEX by_account ON cache_entries (account_id);
             CREATE TABLE cache_tasks (task_id TEXT PRIMARY KEY, account_id TEXT, operation TEXT, parameters_json TEXT, status TEXT);
             CREATE TABLE cache_invalidation (invalidation_id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT, pattern TEXT);
             CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL, description TEXT);
             INSERT INTO schema_version VALUES (1, 1.5, 'first');
             INSERT INTO cache_tasks VALUES ('t', 'ada@contoso.com', 'email_list', '{}', 'queued');
             BEGIN;",
        )
        .unwrap();
        for at in 0..answers {
            let kind = if at % 3 == 0 { "email_list" } else { "folder_get_tree" };
            let body = format!("[{{\"subject\":\"{SUBJECT} {at}\"}}]").into_bytes();
            conn.execute(
                "INSERT INTO cache_entries (cache_key, account_id, resource_type, data_json, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (format!("{kind}:a.t:{at:016x}"), "a.t", kind, body, at as f64 / 7.0),
            )
            .unwrap();
        }
        conn.execute_batch("COMMIT").unwrap();
        conn
    }

    fn seal(&self, keys: &[Key]) -> Result<(Tally, PathBuf, bool), OriginalError> {
        seal(&self.file(), keys, &self.folder(), &key(9), &mut |_, _| ())
    }

    /// Every file with its bytes.
    fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for folder in [self.dir.path().to_owned(), self.folder()] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    all.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        all
    }
}

#[test]
fn all_of_it_comes_over_sealed_and_nothing_of_it_changes() {
    for encrypted in [None, Some(key(4))] {
        let bench = Bench::new();
        drop(bench.original(encrypted.as_ref(), 700));
        let before = bench.all();
        let mut heard = Vec::new();
        let keys = [key(3), key(4)];
        let looked = survey(&bench.file(), &keys, &mut |done, total| heard.push((done, total))).unwrap();
        assert_eq!(bench.all(), before, "a look writes nothing");
        assert_eq!((heard.first(), heard.last()), (Some(&(0, 702)), Some(&(702, 702))), "{heard:?}");
        let (tally, sealed, made) = bench.seal(&keys).unwrap();
        assert!(made);
        assert_eq!(tally, looked);
        assert_eq!((tally.rows(), tally.rows_of("cache_entries"), tally.rows_of("cache_tasks")), (702, 700, 1));
        assert_eq!(tally.answers, BTreeMap::from([("email_list".into(), 234), ("folder_get_tree".into(), 466)]));
        assert_eq!(tally.accounts, BTreeSet::from(["a.t".to_owned()]));
        let mut after = bench.all();
        let copy = after.remove(&sealed).unwrap();
        assert_eq!(after, before, "the original is untouched and nothing else was left");
        assert!(!copy.windows(SUBJECT.len()).any(|window| window == SUBJECT.as_bytes()), "the copy is readable");
        // A second time nothing is written.
        let (again, at, made) = bench.seal(&keys).unwrap();
        assert_eq!((again, at, made), (tally.clone(), sealed.clone(), false));
        assert_eq!(bench.all().remove(&sealed).unwrap(), copy);
        // And it can be had again.
        let back = bench.dir.path().join("back.db");
        assert_eq!(put_back(&sealed, &key(9), &back).unwrap(), tally);
        assert_eq!(survey(&back, &[], &mut |_, _| ()).unwrap(), tally);
        assert_eq!(put_back(&sealed, &key(8), &bench.dir.path().join("no.db")), Err(OriginalError::NoKey(1)));
        assert!(put_back(&sealed, &key(9), &back).is_err(), "nothing is overwritten");
    }
}

#[test]
fn what_still_stands_in_the_log_comes_over_too() {
    let bench = Bench::new();
    let running = bench.original(None, 20);
    // As a kill leaves it: the log beside the file, and no program.
    let (file, log) = (fs::read(bench.file()).unwrap(), fs::read(beside(&bench.file(), "-wal")).unwrap());
    drop(running);
    fs::write(bench.file(), file).unwrap();
    fs::write(beside(&bench.file(), "-wal"), &log).unwrap();
    assert!(log.len() > 4096);
    let before = bench.all();
    let (tally, sealed, _) = bench.seal(&[]).unwrap();
    assert_eq!(tally.rows_of("cache_entries"), 20);
    let mut after = bench.all();
    after.remove(&sealed);
    assert_eq!(after, before);
}

#[test]
fn a_running_original_is_noticed() {
    let bench = Bench::new();
    let running = bench.original(None, 600);
    let mut written = false;
    let done = seal(&bench.file(), &[], &bench.folder(), &key(9), &mut |_, _| {
        if !written {
            written = true;
            running.execute("DELETE FROM cache_entries WHERE rowid = 1", ()).unwrap();
        }
    });
    assert_eq!(done.map(drop), Err(OriginalError::Changed));
    assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 0);
}

#[test]
fn what_is_none_is_refused() {
    let bench = Bench::new();
    let refused = |bytes: &[u8]| {
        fs::write(bench.file(), bytes).unwrap();
        let refused = bench.seal(&[key(4)]).map(drop).unwrap_err();
        assert_eq!(fs::read(bench.file()).unwrap(), bytes);
        assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 0);
        refused
    };
    assert!(matches!(refused(b""), OriginalError::Foreign(_)));
    assert!(matches!(refused(b"short"), OriginalError::Foreign(_)));
    assert_eq!(refused(&[7; 8192]), OriginalError::NoKey(1));
    fs::remove_file(bench.file()).unwrap();
    assert!(matches!(bench.seal(&[]).map(drop), Err(OriginalError::Failed(_))));

    let another = |sql: &str| {
        let conn = Connection::open(bench.file()).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let bytes = fs::read(bench.file()).unwrap();
        let why = refused(&bytes);
        fs::remove_file(bench.file()).unwrap();
        why
    };
    assert_eq!(another("CREATE TABLE notes (a)"), OriginalError::Foreign("it has no table of answers".into()));
    assert_eq!(
        another("CREATE TABLE cache_entries (cache_key, account_id)"),
        OriginalError::Foreign("its answers have no `resource_type`".into())
    );
    drop(bench.original(Some(&key(5)), 3));
    assert_eq!(bench.seal(&[key(4)]).map(drop), Err(OriginalError::NoKey(1)));
    fs::write(beside(&bench.file(), "-journal"), b"a journal").unwrap();
    assert!(matches!(bench.seal(&[key(5)]).map(drop), Err(OriginalError::Damaged(_))));
    #[cfg(unix)]
    {
        let link = bench.dir.path().join("link");
        std::os::unix::fs::symlink(bench.file(), &link).unwrap();
        assert!(matches!(survey(&link, &[], &mut |_, _| ()), Err(OriginalError::Foreign(_))));
    }
}

#[test]
fn what_a_kill_left_is_made_anew_and_a_damaged_copy_is_none() {
    let bench = Bench::new();
    drop(bench.original(None, 30));
    let to = sealed(&bench.folder(), &fingerprint(&bench.file()).unwrap());
    fs::write(beside(&to, ".part"), b"half a copy").unwrap();
    let (tally, at, made) = bench.seal(&[]).unwrap();
    assert!(made && at == to && !beside(&to, ".part").exists());
    let mut bytes = fs::read(&to).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&to, &bytes).unwrap();
    assert!(matches!(bench.seal(&[]).map(drop), Err(OriginalError::Damaged(_))));
    assert_eq!(tally.rows_of("cache_entries"), 30);
}

/// The files that `tests/import.rs` lays into a profile; its package has no SQLite. `UPDATE=1` writes them anew.
#[test]
fn the_files_of_the_outer_tests_are_such_originals() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks/data");
    // As `support/home.rs` makes the key of a profile.
    let theirs = || Secret::new(std::array::from_fn(|at| u8::try_from(at).unwrap().wrapping_mul(29) ^ 71));
    for (name, with) in [("original-plain.db", None), ("original-encrypted.db", Some(theirs()))] {
        let file = data.join(name);
        if std::env::var_os("UPDATE").is_some() {
            let bench = Bench::new();
            drop(bench.original(with.as_ref(), 12));
            fs::copy(bench.file(), &file).unwrap();
        }
        let tally = survey(&file, &[theirs()], &mut |_, _| ()).unwrap();
        assert_eq!((tally.rows(), tally.rows_of("cache_entries")), (14, 12));
        assert_eq!(read::is_plain(&file), with.is_none());
    }
}

proptest! {
    #![proptest_config(crate::chance::cases(60))]

    /// Damage is refused or does not matter; it is never half taken over, and the file stays as it is.
    #[test]
    fn a_damaged_original_is_refused_or_comes_over_whole(
        encrypted in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let bench = Bench::new();
        let with = encrypted.then(|| key(4));
        drop(bench.original(with.as_ref(), 40));
        let mut bytes = fs::read(bench.file()).unwrap();
        for (at, by) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= by;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(bench.file(), &bytes).unwrap();
        let done = bench.seal(&[key(4)]);
        prop_assert_eq!(fs::read(bench.file()).unwrap(), bytes);
        match done {
            Ok((tally, sealed, _)) => prop_assert_eq!(contents(&sealed, &key(9)).unwrap(), tally),
            Err(_) => prop_assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 0),
        }
    }
}
