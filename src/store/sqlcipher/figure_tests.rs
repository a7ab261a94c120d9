//! Full sizes of what a file must bear: rows that were changed by somebody with the database's key, and processes that are killed while they
//! store answers or upgrade the schema. The campaign of safety runs them.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    migrations::{self, STEPS, version},
    tests::{BEFORE_KEYS_AND_AUDIT, Profile, account, entry, put},
    *,
};
use crate::{
    chance::{Dice as _, OsDice, SeededDice},
    figure::{size, tell},
};

/// Tells the process that is killed where its store is.
const STORE: &str = "M365_KILLED_STORE";
/// Where its answers begin; without it, it upgrades.
const FROM: &str = "M365_KILLED_FROM";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn below(dice: &SeededDice, most: usize) -> usize {
    usize::try_from(dice.number()).unwrap() % most
}

/// Changes one row or two at random. Which entries it touched, and what was done.
fn change(profile: &Profile, dice: &SeededDice, rows: usize) -> (BTreeSet<usize>, String) {
    let conn = profile.place().open_existing().unwrap();
    let (one, other) = (1 + below(dice, rows), 1 + below(dice, rows - 1));
    let other = if other >= one { other + 1 } else { other };
    let column = ["head", "body"][below(dice, 2)];
    let done = match below(dice, 6) {
        kind @ (0 | 1) => {
            // Read before either is written.
            let row = |id: usize| -> (Vec<u8>, Vec<u8>) {
                conn.query_row("SELECT head, body FROM cache_bodies WHERE id = ?1", [i64::try_from(id).unwrap()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap()
            };
            let (mine, theirs) = (row(one), row(other));
            for (id, of, own) in [(one, &theirs, &mine), (other, &mine, &theirs)] {
                let head = if kind == 0 { &of.0 } else { &own.0 };
                conn.execute("UPDATE cache_bodies SET head = ?1, body = ?2 WHERE id = ?3", (head, &of.1, i64::try_from(id).unwrap()))
                    .unwrap();
            }
            return ([one, other].into(), format!("{} of {one} and {other} swapped", ["row", "body"][kind]));
        }
        2 => format!("UPDATE cache_bodies SET {column} = (SELECT {column} FROM cache_bodies WHERE id = {other}) WHERE id = {one}"),
        3 => format!(
            "UPDATE cache_entries SET owner = (SELECT owner FROM cache_entries o WHERE o.owner <> cache_entries.owner LIMIT 1) WHERE id = {one}"
        ),
        4 => format!("UPDATE cache_entries SET fetch_started = fetch_started + 1 WHERE id = {one}"),
        _ => {
            let mut bytes: Vec<u8> =
                conn.query_row(&format!("SELECT {column} FROM cache_bodies WHERE id = {one}"), (), |row| row.get(0)).unwrap();
            let at = below(dice, bytes.len());
            bytes[at] ^= 1 << below(dice, 8);
            conn.execute(&format!("UPDATE cache_bodies SET {column} = ?1 WHERE id = {one}"), [bytes]).unwrap();
            return ([one].into(), format!("bit of byte {at} in {column} of {one}"));
        }
    };
    assert_eq!(conn.execute(&done, ()).unwrap(), 1, "{done}");
    ([one].into(), done)
}

#[test]
#[ignore = "minutes: cargo campaign safety --only rows"]
fn rows_that_were_changed_or_swapped() {
    let (count, rows) = (size(1000), 40);
    let profile = Profile::new();
    let dice = SeededDice::new(11);
    let mut all = Vec::new();
    run(async {
        let store = profile.open().unwrap();
        for number in 0..rows {
            let text = format!("\"noise\":\"{}\"}}", dice.hex(200 + below(&dice, 3000)));
            let kept = entry(&store, &account(["a", "b", "c", "d"][number % 4]), number, &text).await;
            put(&store, &kept).await;
            all.push(kept);
        }
    });
    let whole = std::fs::read(profile.path()).unwrap();
    for tried in 1..=count {
        std::fs::write(profile.path(), &whole).unwrap();
        let (touched, done) = change(&profile, &dice, rows);
        run(async {
            let store = profile.open().unwrap();
            for (number, kept) in all.iter().enumerate() {
                let seen = store.get(kept.meta.key.hash).await.unwrap();
                let expected = (!touched.contains(&(number + 1))).then_some(kept);
                assert!(seen.as_ref() == expected, "case {tried}, entry {}: {done}", number + 1);
            }
        });
        if tried % 50 == 0 || tried == count {
            tell("rows", tried, 0);
        }
    }
}

fn open(path: &Path) -> Sqlcipher {
    let keys = StoreKeys { database: Secret::new([3; 32]), wrapping: Secret::new([4; 32]) };
    let options = OpenOptions { path: path.to_owned(), keys, dice: Arc::new(OsDice), new_epochs: false, limits: Limits::default() };
    Sqlcipher::open(options).unwrap()
}

/// What an answer of a number says.
fn text(number: usize) -> String {
    format!("\"noise\":\"{}\"}}", SeededDice::new(u64::try_from(number).unwrap()).hex(2000))
}

fn say(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "told {words}").and_then(|()| out.flush()).unwrap();
}

/// Stores or upgrades for its parent until it is killed; alone it does nothing.
#[test]
#[ignore = "the process that the tests below kill: cargo campaign safety --only kills"]
fn the_process_that_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let from: Option<usize> = std::env::var(FROM).ok().map(|text| text.parse().unwrap());
    run(async {
        say("ready");
        let store = open(Path::new(&path));
        let Some(from) = from else { return say("done") };
        for number in from.. {
            put(&store, &entry(&store, &account("a"), number, &text(number)).await).await;
            say(&number.to_string());
        }
    });
}

/// Starts the process that is killed, and hears what it says.
fn process(path: &Path, from: Option<usize>) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "store::sqlcipher::figure_tests::the_process_that_is_killed"]);
    command.env(STORE, path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(from) = from {
        command.env(FROM, from.to_string());
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The harness writes the test's name before its first line.
    (child, lines.filter_map(|line| line.split_once("told ").map(|(_, said)| said.to_owned())))
}

#[expect(clippy::disallowed_methods, reason = "it measures how long a process takes")]
fn now() -> Instant {
    Instant::now()
}

fn kill_after(child: &mut Child, wait: Duration) {
    let begun = now();
    while begun.elapsed() < wait {
        std::thread::yield_now();
    }
    child.kill().unwrap();
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn kills_while_answers_are_stored() {
    let count = size(200);
    let profile = Profile::new();
    let dice = SeededDice::new(12);
    let mut all = BTreeSet::new();
    let check = async |store: &Sqlcipher, acknowledged: &BTreeSet<usize>, further: usize| {
        for number in acknowledged.iter().copied().chain([further]) {
            let expected = entry(store, &account("a"), number, &text(number)).await;
            match store.get(expected.meta.key.hash).await.unwrap() {
                Some(seen) => assert!(seen.body == expected.body, "answer {number} is another"),
                None => assert!(number == further, "answer {number} was acknowledged and is lost"),
            }
        }
    };
    for kill in 0..count {
        let from = kill * 1000;
        let (mut child, mut said) = process(&profile.path(), Some(from));
        assert_eq!(said.next().as_deref(), Some("ready"));
        let mut acknowledged: BTreeSet<usize> = said.by_ref().take(below(&dice, 40)).map(|number| number.parse().unwrap()).collect();
        kill_after(&mut child, Duration::from_micros(dice.number() % 3000));
        acknowledged.extend(said.map(|number| number.parse::<usize>().unwrap()));
        child.wait().unwrap();
        let store = open(&profile.path());
        run(check(&store, &acknowledged, from + acknowledged.len()));
        drop(store);
        all.extend(acknowledged);
        tell("put", kill + 1, 0);
    }
    assert!(all.len() > count * 5, "only {} answers were stored", all.len());
    let store = open(&profile.path());
    run(check(&store, &all, usize::MAX >> 20));
    assert_eq!(run(store.health_check()).damaged, 0);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn kills_while_the_schema_is_upgraded() {
    const ENTRIES: usize = 60;
    let count = size(200);
    let old = Profile::new();
    let tokens = |number: usize| Secret::new(text(number).into_bytes());
    run(async {
        let store = old.open().unwrap();
        for number in 0..ENTRIES {
            let owner = account(&format!("u{}", number % 9));
            put(&store, &entry(&store, &owner, number, &text(number)).await).await;
            store.save_tokens(&owner, tokens(number % 9)).await.unwrap();
        }
    });
    let conn = old.place().open().unwrap();
    conn.execute_batch(BEFORE_KEYS_AND_AUDIT).unwrap();
    conn.pragma_update(None, "user_version", 6).unwrap();
    drop(conn);
    let bytes = std::fs::read(old.path()).unwrap();
    let profile = || {
        let profile = Profile::new();
        std::fs::write(profile.path(), &bytes).unwrap();
        profile
    };
    // How long one takes that nobody kills.
    let whole = profile();
    let (mut child, mut said) = process(&whole.path(), None);
    assert_eq!(said.next().as_deref(), Some("ready"));
    let begun = now();
    assert_eq!(said.next().as_deref(), Some("done"));
    let takes = begun.elapsed();
    child.wait().unwrap();
    let (mut before, mut under_way) = (0, 0);
    for kill in 0..count {
        let profile = profile();
        let (mut child, mut said) = process(&profile.path(), None);
        assert_eq!(said.next().as_deref(), Some("ready"));
        kill_after(&mut child, takes * u32::try_from(kill % 50).unwrap() / 45);
        before += usize::from(said.next().is_none());
        child.wait().unwrap();
        under_way += usize::from(profile.files().len() > 1);
        let store = profile.open().unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        run(async {
            for number in 0..ENTRIES {
                let owner = account(&format!("u{}", number % 9));
                let expected = entry(&store, &owner, number, &text(number)).await;
                let seen = store.get(expected.meta.key.hash).await.unwrap();
                assert!(seen.is_some_and(|seen| seen.body == expected.body), "kill {kill}: entry {number}");
                let kept = store.tokens(&owner).await.unwrap();
                assert!(kept.is_some_and(|kept| kept.expose() == tokens(number % 9).expose()), "kill {kill}: tokens of {number}");
            }
        });
        drop(store);
        assert_eq!(version(&profile.place().open_existing().unwrap()).unwrap(), migrations::latest(STEPS), "kill {kill}");
        tell("migrate", kill + 1, 0);
    }
    assert!(before * 3 > count && under_way * 6 > count, "too late: {before} of {count} before the end, {under_way} in the midst");
}
