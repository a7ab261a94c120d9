//! The rights of the person whose data it is: all of it readable, all of it destroyed, also when the daemon is killed meanwhile.

use std::{fs, os::unix::fs::PermissionsExt as _};

use m365_cached_checks::support::{
    PATIENCE, figure,
    mcp::Era,
    stopwatch,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

/// Two accounts with answers, a write, a pattern that names one of them, and statistics.
fn used() -> (World, String) {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let mut message = String::new();
    for account in [BEA, ALEX] {
        for limit in 1..6 {
            let list = client.call("email_list", &json!({"account_id": account, "limit": limit})).unwrap().json().unwrap();
            message = list["messages"][0]["id"].as_str().unwrap().to_owned();
        }
        client.call("email_get", &json!({"account_id": account, "email_id": message})).unwrap().json().unwrap();
        client.call("email_mark_read", &json!({"account_id": account, "email_id": message})).unwrap();
        client.call("folder_get_tree", &json!({"account_id": account})).unwrap();
    }
    world.ctl_json(&["invalidate", "contact_list*", "--account", ALEX, "--reason", "for alex@contoso.example"]).unwrap();
    (world, message)
}

fn accounts(world: &World) -> Vec<String> {
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    let mut names: Vec<String> =
        accounts["accounts"].as_array().unwrap().iter().map(|account| account["username"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn everything_that_is_held_is_written_into_one_readable_file() {
    let (world, message) = used();
    let folder = world.home.path().join("out");
    fs::create_dir(&folder).unwrap();
    let done = world.ctl_json(&["export", ALEX, folder.to_str().unwrap()]).unwrap();
    let file = done["file"].as_str().unwrap();
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let held: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(held["account"][0]["username"], ALEX);
    assert_eq!(held["entries"].as_array().unwrap().len() as u64, done["entries"].as_u64().unwrap());
    let got = held["entries"].as_array().unwrap().iter().find(|entry| entry["tool"] == "email_get").unwrap();
    assert_eq!(got["answer"]["id"], message, "the answer is readable");
    // By the name that the answer shows and by Microsoft's.
    let handle = held["handles"].as_array().unwrap().iter().find(|row| row["handle"] == message).unwrap();
    assert_eq!(got["arguments"]["email_id"], handle["id"]);
    for section in ["writes", "handles", "invalidations", "statistics", "known_items", "known_scopes", "audit"] {
        assert!(held[section].as_array().is_some_and(|rows| !rows.is_empty()), "{section}: {:?}", held.as_object().unwrap().keys());
    }
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains(&world.ids[1]) && !text.contains(BEA), "nothing of anybody else");
    let again = world.ctl(&["--json", "export", ALEX, file]).unwrap();
    assert_eq!((again.code, again.json().unwrap()["error"]["code"].as_str()), (Some(2), Some("file_exists")));
    assert_eq!(fs::read_to_string(file).unwrap(), text);
    let nobody = world.ctl(&["--json", "export", "nobody@contoso.example", folder.to_str().unwrap()]).unwrap();
    assert_eq!((nobody.code, fs::read_dir(&folder).unwrap().count()), (Some(3), 1));
}

#[test]
fn an_erased_account_is_nowhere_and_the_other_has_everything() {
    let (mut world, _) = used();
    for verb in ["erase", "logout"] {
        let asked = world.ctl(&["--json", verb, ALEX]).unwrap();
        let error = asked.json().unwrap()["error"].clone();
        assert_eq!((asked.code, error["code"].as_str()), (Some(2), Some("confirmation_required")), "{verb}");
        assert!(error["message"].as_str().unwrap().starts_with("nothing of this was done: "), "{verb}: {error}");
    }
    assert_eq!(accounts(&world), [ALEX, BEA]);
    let erased = world.ctl_json(&["erase", ALEX, "--yes"]).unwrap();
    assert_eq!(erased["complete"], true, "{erased}");
    assert!(erased["left"].as_object().unwrap().values().all(|count| count == 0), "{erased}");
    assert!(erased["entries_deleted"].as_u64().unwrap() >= 5, "{erased}");
    assert_eq!(accounts(&world), [BEA]);
    let answer = world.client(Era::Legacy).unwrap().call("folder_get_tree", &json!({"account_id": BEA})).unwrap();
    assert_eq!(answer.cache_status().unwrap(), "fresh");
    // The trail holds, and knows it happened, not to whom.
    let said = world.ctl(&["--json", "audit", "-n", "0"]).unwrap().ok().unwrap();
    assert!(!said.stdout.contains(&world.ids[0]), "{}", said.stdout);
    assert!(said.stdout.contains("\"erasure\"") && said.stdout.contains("\"erased-1\""), "{}", said.stdout);
    assert_eq!(world.ctl_json(&["audit", "verify"]).unwrap()["holds"], true);
    let report = world.ctl_json(&["compliance"]).unwrap();
    assert_eq!(report["holds"], true, "{report}");
    let again = world.ctl(&["--json", "erase", ALEX, "--yes"]).unwrap();
    assert_eq!(again.code, Some(3), "nothing is known of it any more: {again:?}");
    world.stop_daemon().unwrap();
    // The object's id alone tells who it is, and it is what a directory is asked by.
    let object = world.ids[0].split('.').next().unwrap();
    let needles = [world.ids[0].as_bytes().to_vec(), object.as_bytes().to_vec(), ALEX.as_bytes().to_vec()];
    // The daemon's log is among them.
    assert!(world.home.files().unwrap().contains(&world.home.log()));
    for file in world.home.files().unwrap() {
        let bytes = fs::read(&file).unwrap();
        for needle in &needles {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", file.display());
        }
    }
}

#[test]
fn the_log_names_nobody_however_much_it_says() {
    let config = "[log]\nfilter = \"trace\"\n";
    let mut world = World::with(Setup { accounts: &[ALEX, BEA], config, ..Setup::default() }).unwrap();
    for expected in ["WARN", "ERROR"] {
        world.expect_log(expected);
    }
    let mut client = world.client(Era::Legacy).unwrap();
    for account in [ALEX, world.ids[0].as_str()] {
        client.call("email_list", &json!({"account_id": account, "limit": 2})).unwrap().json().unwrap();
    }
    world.ctl_json(&["export", ALEX, world.home.path().join("out.json").to_str().unwrap()]).unwrap();
    fs::remove_file(world.home.path().join("out.json")).unwrap();
    world.ctl_json(&["logout", BEA, "--yes"]).unwrap();
    world.ctl_json(&["erase", ALEX, "--yes"]).unwrap();
    let log = world.daemon().log().unwrap();
    assert!(log.contains("signed in") && log.contains("an account was erased"), "{log}");
    for id in &world.ids {
        for part in std::iter::once(id.as_str()).chain(id.split('.').next()) {
            assert!(!log.contains(part), "{part} is in the log");
        }
    }
    assert!(!log.contains(ALEX) && !log.contains(BEA) && !log.contains("alex@"), "an address is in the log");
}

#[test]
fn sealed_copies_go_with_the_account_and_what_is_beyond_is_told() {
    let mut world = crate::import::beside_an_original();
    world.ctl_json(&["import"]).unwrap();
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
    let folder = world.home.path().join("imported");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    let asked = world.ctl(&["--json", "erase", ALEX]).unwrap().json().unwrap();
    let question = asked["error"]["message"].as_str().unwrap();
    assert!(question.contains("sealed copies"), "{question}");
    let erased = world.ctl_json(&["erase", ALEX, "--yes"]).unwrap();
    assert_eq!((&erased["complete"], &erased["copies_removed"]), (&json!(true), &json!(1)), "{erased}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // The original itself is another program's.
    let untouched = erased["untouched"].as_array().unwrap();
    assert_eq!(untouched.len(), 2, "{erased}");
    assert!(untouched.iter().all(|file| std::path::Path::new(file.as_str().unwrap()).exists()), "{erased}");
    let said = world.ctl(&["--json", "audit", "--kind", "import"]).unwrap().ok().unwrap();
    assert!(said.stdout.contains("copies_removed"), "{}", said.stdout);
    assert_eq!(world.ctl_json(&["audit", "verify"]).unwrap()["holds"], true);
}

#[test]
fn one_that_has_signed_out_is_erased_by_its_id() {
    let (world, _) = used();
    world.ctl_json(&["logout", ALEX, "--yes"]).unwrap();
    let erased = world.ctl_json(&["erase", &world.ids[0], "--yes"]).unwrap();
    assert_eq!(erased["complete"], true, "{erased}");
    let said = world.ctl(&["--json", "audit", "-n", "0"]).unwrap().ok().unwrap();
    assert!(!said.stdout.contains(&world.ids[0]));
    // Whoever signs in again is somebody new.
    world.sign_in(ALEX).unwrap();
    assert_eq!(accounts(&world), [ALEX, BEA]);
    assert_eq!(world.ctl_json(&["audit", "verify"]).unwrap()["holds"], true);
}

/// Kills the daemon so often in the midst of an erasure; the next start completes it.
fn kill_in_erasures(kills: usize) {
    let mut cut_short = 0;
    for round in 0..kills {
        let (mut world, _) = used();
        let id = world.ids[0].clone();
        let log = world.home.path().join("cache.db-wal");
        let grown = || fs::metadata(&log).map(|facts| (facts.len(), facts.modified().unwrap())).ok();
        let before = grown();
        let talk = m365_cached_checks::support::ctl::start(world.bins, &world.home, &["--json", "erase", ALEX, "--yes"]).unwrap();
        // At some point of it: as soon as the first row is written, or some turns later.
        let deadline = stopwatch::now() + PATIENCE;
        while grown() == before && stopwatch::now() < deadline {
            std::thread::yield_now();
        }
        for _ in 0..round % 20 * 2000 {
            std::thread::yield_now();
        }
        world.kill_daemon().unwrap();
        let said = talk.finish(String::new()).unwrap();
        world.start_daemon().unwrap();
        let left = accounts(&world);
        if left == [ALEX, BEA] {
            // It had not begun.
            assert_ne!(said.code, Some(0));
            figure::tell("erase", round + 1, 0);
            continue;
        }
        cut_short += 1;
        assert_eq!(left, [BEA]);
        let trail = world.ctl(&["--json", "audit", "-n", "0"]).unwrap().ok().unwrap();
        assert!(!trail.stdout.contains(&id), "{}", trail.stdout);
        assert_eq!(world.ctl_json(&["audit", "verify"]).unwrap()["holds"], true);
        let again = world.ctl(&["--json", "erase", &id, "--yes"]).unwrap();
        assert_eq!(again.code, Some(3), "nothing is left to erase: {again:?}");
        figure::tell("erase", round + 1, 0);
    }
    assert!(cut_short > 0, "none of them had begun");
}

#[test]
fn an_erasure_that_is_killed_is_completed_by_the_next_start() {
    kill_in_erasures(4);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn two_hundred_kills_in_erasures() {
    kill_in_erasures(figure::size(200));
}

#[test]
fn what_is_excluded_is_answered_and_not_kept() {
    let config = "[cache]\nexclude_folders = [\"inbox\"]\n";
    let world = World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let mut asked = |folder: &str| {
        let answer = client.call("email_list", &json!({"account_id": ALEX, "folder": folder, "limit": 3})).unwrap();
        answer.cache_status().unwrap()
    };
    assert_eq!(["inbox", "sent", "inbox", "sent"].map(&mut asked), ["bypass", "miss", "bypass", "fresh"]);
    let id = {
        let list = client.call("email_list", &json!({"account_id": ALEX, "folder": "inbox", "limit": 1})).unwrap().json().unwrap();
        list["messages"][0]["id"].as_str().unwrap().to_owned()
    };
    for _ in 0..2 {
        let answer = client.call("email_get", &json!({"account_id": ALEX, "email_id": id})).unwrap();
        assert_eq!(answer.cache_status().unwrap(), "bypass", "nor did it come along with the list");
    }
}

/// As the page says: with what `emailfolders_list` shows, and with what lists have left out.
#[test]
fn a_folder_is_excluded_by_the_id_that_is_shown_of_it() {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let folders = client.call("emailfolders_list", &json!({"account_id": ALEX})).unwrap().json().unwrap();
    let inbox = folders["folders"].as_array().unwrap().iter().find(|folder| folder["displayName"] == "Inbox").unwrap();
    let handle = inbox["id"].as_str().unwrap().to_owned();
    assert!(handle.len() < 20, "{handle}");
    let mut asked = |folder: &str| client.call("email_list", &json!({"account_id": ALEX, "folder": folder, "limit": 1})).unwrap();
    let kept = asked("inbox").json().unwrap();
    assert!(kept["next_cursor"].is_string(), "{kept}");
    world.ctl(&["config", "set", "cache.exclude_folders", &handle]).unwrap().ok().unwrap();
    world.ctl(&["reload"]).unwrap().ok().unwrap();
    let removed = world.ctl_json(&["invalidate", "email_*"]).unwrap();
    assert_eq!(removed["entries_deleted"], 3, "the list, what came along with it, and what it has left out: {removed}");
    assert_eq!(
        ["inbox", "sent", "inbox", "sent"].map(|folder| asked(folder).cache_status().unwrap()),
        ["bypass", "miss", "bypass", "fresh"]
    );
    let slip = world.ctl(&["config", "set", "cache.exclude_folders", "Clients"]).unwrap();
    assert!(slip.code == Some(2) && slip.stderr.contains("emailfolders_list"), "{slip:?}");
    let lost = "b999999999999";
    world.ctl(&["config", "set", "cache.exclude_folders", lost]).unwrap().ok().unwrap();
    world.ctl(&["reload"]).unwrap().ok().unwrap();
    assert_eq!(asked("archive").cache_status().unwrap(), "bypass", "it may be the one that was meant");
    let warned = world.ctl_json(&["status"]).unwrap()["warnings"].to_string();
    assert!(warned.contains("excluded_folder_unknown") && warned.contains(lost), "{warned}");
}
