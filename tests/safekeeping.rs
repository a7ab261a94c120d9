//! What is kept safe and brought back, with the real daemon: backups, damaged files, starting afresh, new data keys. Sizes are arguments, so
//! that a campaign may ask for more.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use m365_cached_checks::support::{
    figure,
    home::key,
    mcp::Era,
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

use crate::{
    locked::{assert_locked, data},
    rotation::{ask, keys, passphrase, with_key_file},
    secret_service::{Mood, SecretService},
};

const WORDS: &str = "five words of no sense\n";
const PAGE: usize = 4096;

/// A sequence of numbers that a seed repeats (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }
}

/// Fetches at most so many mails one by one; the ids of those that are kept now.
fn fill(world: &World, answers: usize) -> Vec<String> {
    ask(world);
    let mut client = world.client(Era::Modern).unwrap();
    let list = client.call("email_list", &json!({"account_id": ALEX, "limit": 50})).unwrap().json().unwrap();
    let ids: Vec<String> =
        list["messages"].as_array().unwrap().iter().take(answers).map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    for id in &ids {
        client.call("email_get", &json!({"account_id": ALEX, "email_id": id})).unwrap().json().unwrap();
    }
    ids
}

fn code(world: &World, words: &[&str]) -> (Option<i32>, Value) {
    let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
    let said = world.ctl(&words).unwrap();
    (said.code, said.json().unwrap()["error"]["code"].clone())
}

#[test]
fn a_backup_comes_back_with_its_passphrase_and_with_nothing_less() {
    let (mut world, _file, folder) = with_key_file(Setup::default());
    assert_eq!(ask(&world), "miss");
    let words = passphrase(folder.path(), WORDS);
    let backup = folder.path().join("m365.backup").display().to_string();
    // Somebody else's, whatever it is called.
    let others = folder.path().join("m365.backup.part");
    fs::write(&others, "not ours").unwrap();
    let done = world.ctl_json(&["backup", &backup, "--passphrase-file", &words]).unwrap();
    assert_eq!(fs::read_to_string(&others).unwrap(), "not ours");
    fs::remove_file(&others).unwrap();
    assert_eq!((&done["accounts"], done["entries"].as_u64() >= Some(1)), (&json!(1), true), "{done}");
    let bytes = fs::read(&backup).unwrap();
    assert_eq!(done["bytes"].as_u64().unwrap(), bytes.len() as u64);
    for canary in [ALEX, "five words", "email_list"] {
        assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary} is readable in the backup");
    }
    let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().contains(".part")), "{beside:?}");
    assert_eq!(code(&world, &["backup", &backup, "--passphrase-file", &words]).1, "file_exists");

    // Starting afresh asks first, destroys nothing and knows nobody.
    assert_eq!(code(&world, &["reset"]), (Some(2), json!("confirmation_required")));
    let before_upgrade = world.home.path().join("cache.db.schema-6");
    fs::write(&before_upgrade, "as an upgrade leaves it").unwrap();
    let reset = world.ctl_json(&["reset", "--yes"]).unwrap();
    let aside = Path::new(reset["quarantine"].as_str().unwrap());
    assert!(aside.join("cache.db").exists() && aside.join("cache.keys").exists());
    assert!(aside.join("cache.db.schema-6").exists() && !before_upgrade.exists(), "it belongs to the database that is gone");
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["accounts"]).unwrap()["accounts"], json!([]));
    world.stop_daemon().unwrap();

    let before = data(&world);
    let wrong = passphrase(folder.path(), "five words of no sensE\n");
    assert_eq!(code(&world, &["restore", &backup, "--yes", "--passphrase-file", &wrong]), (Some(7), json!("wrong_passphrase")));
    let mut torn = bytes.clone();
    let middle = torn.len() / 2;
    torn[middle] ^= 1;
    fs::write(folder.path().join("torn"), &torn).unwrap();
    let words = passphrase(folder.path(), WORDS);
    let at = folder.path().join("torn").display().to_string();
    assert_eq!(code(&world, &["restore", &at, "--yes", "--passphrase-file", &words]), (Some(2), json!("damaged_backup")));
    assert_eq!(code(&world, &["restore", &words, "--yes", "--passphrase-file", &words]), (Some(2), json!("no_backup")));
    assert_eq!(data(&world), before, "nothing is touched by what cannot be restored");

    let restored = world.ctl_json(&["restore", &backup, "--yes", "--passphrase-file", &words]).unwrap();
    assert_eq!(restored["accounts"], 1, "{restored}");
    assert!(Path::new(restored["quarantine"].as_str().unwrap()).join("cache.db").exists(), "{restored}");
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["accounts"]).unwrap()["accounts"][0]["username"], ALEX);
    // What was written since the backup it does not know, so no answer in it is served.
    assert_eq!(ask(&world), "miss");
    assert_eq!(ask(&world), "fresh");
    // The trail says so, and holds.
    let trail = world.ctl(&["--json", "audit", "--kind", "restore", "--kind", "broken"]).unwrap().ok().unwrap().stdout;
    assert_eq!((trail.lines().count(), trail.contains("\"restored\"")), (1, true), "{trail}");
    assert_eq!(world.ctl_json(&["audit", "verify"]).unwrap()["holds"], true);
}

#[test]
fn a_backup_opens_on_another_machine() {
    let (world, _file, folder) = with_key_file(Setup::default());
    let (mut other, _other_file, _other_folder) = with_key_file(Setup::default());
    let words = passphrase(folder.path(), WORDS);
    let backup = folder.path().join("m365.backup").display().to_string();
    world.ctl_json(&["backup", &backup, "--passphrase-file", &words]).unwrap();
    other.stop_daemon().unwrap();
    other.ctl_json(&["restore", &backup, "--yes", "--passphrase-file", &words]).unwrap();
    other.start_daemon().unwrap();
    assert_eq!(other.ctl_json(&["accounts"]).unwrap()["accounts"][0]["username"], ALEX);
}

#[test]
fn a_passphrase_from_the_environment_opens_what_it_has_sealed() {
    let (mut world, _file, folder) = with_key_file(Setup::default());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (backup, recovery) = (at("m365.backup"), at("m365.recovery"));
    let with = |world: &mut World, words: &str| world.home.variables = vec![("M365_MCP_PASSPHRASE".into(), words.into())];
    // As `echo`, an editor and a container's secret give it.
    with(&mut world, WORDS);
    world.ctl_json(&["backup", &backup]).unwrap();
    world.ctl_json(&["keys", "export", &recovery]).unwrap();
    for words in ["five words of no sense", "five words of no sense\r\n", "five words of no sense\r"] {
        with(&mut world, words);
        assert_eq!(world.ctl_json(&["restore", &backup, "--yes"]).unwrap()["accounts"], 1, "{words:?}");
    }
    world.ctl_json(&["keys", "import", &recovery]).unwrap();
    // Several lines are not cut to one.
    let several = at("of several lines");
    for words in ["five words\nof no sense", "five words\rof no sense", "\n"] {
        with(&mut world, words);
        assert_eq!(code(&world, &["backup", &several]), (Some(2), json!("malformed_passphrase")), "{words:?}");
        assert_eq!(code(&world, &["restore", &backup, "--yes"]), (Some(2), json!("malformed_passphrase")), "{words:?}");
        assert!(!Path::new(&several).exists());
    }
}

#[test]
fn new_data_keys_take_over_while_answers_are_read() {
    let mut world = World::start().unwrap();
    world.expect_log("not rotated");
    let ids = fill(&world, 30);
    assert!(["miss", "fresh"].contains(&ask(&world).as_str()));
    let done = world.ctl_json(&["keys", "rotate", "--reencrypt", "--wait"]).unwrap();
    assert_eq!(done["reencryption"]["ended"], true, "{done}");
    assert!(done["reencryption"]["done"].as_u64() >= Some(ids.len() as u64) && ids.len() > 5, "{done}");
    let state = keys(&world);
    assert_eq!((&state["data_generation"], &state["reencryption"]), (&json!(2), &Value::Null), "{state}");
    assert_eq!(ask(&world), "fresh");
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
}

/// Kills the daemon `kills` times while it seals everything anew; nothing is lost.
pub(crate) fn kill_in_reencryptions(kills: u64) {
    let mut world = World::start().unwrap();
    world.expect_log("not rotated");
    let ids = fill(&world, 40);
    ask(&world);
    for kill in 0..kills {
        world.ctl_json(&["keys", "rotate", "--reencrypt"]).unwrap();
        world.kill_daemon().unwrap();
        world.start_daemon().unwrap();
        // Each look is a program that runs, so this is a deadline.
        let state = (0..3000).map(|_| keys(&world)).find(|state| state["reencryption"].is_null()).unwrap();
        assert_eq!(state["data_generation"], kill + 2, "{state}");
        assert_eq!(ask(&world), "fresh", "kill {kill}");
        figure::tell("reencrypt", usize::try_from(kill + 1).unwrap(), 0);
    }
    let mut client = world.client(Era::Legacy).unwrap();
    for id in &ids {
        let answer = client.call("email_get", &json!({"account_id": ALEX, "email_id": id})).unwrap();
        assert_eq!(answer.cache_status().unwrap(), "fresh", "{id}");
    }
}

#[test]
fn killed_in_the_midst_of_a_reencryption_it_goes_on() {
    kill_in_reencryptions(3);
}

/// Damages the database `count` times; each time the daemon says what is wrong or serves, and serves again within 10 s once it was repaired.
pub(crate) fn damaged_files(count: usize) {
    let mut world = World::start().unwrap();
    world.expect_log("");
    let ids = fill(&world, 40);
    world.stop_daemon().unwrap();
    let database = world.home.database();
    let whole = fs::read(&database).unwrap();
    let anchor = (world.home.path().join("audit.head"), fs::read(world.home.path().join("audit.head")).unwrap());
    let envelope = fs::read(world.home.path().join("cache.keys")).unwrap();
    let mut numbers = Numbers(7);
    let mut states = std::collections::BTreeMap::<String, usize>::new();
    let mut met = 0;
    for round in 0..count {
        let mut bytes = whole.clone();
        let page = numbers.below(whole.len() / PAGE) * PAGE;
        match round % 10 {
            // Behind the first pages, which every opening needs: it opens, and answers are damaged. Where these begin differs from run to run.
            kind @ (0 | 7..) => {
                let pages = whole.len() / PAGE;
                let from = pages * [4, 6, 2, 7][kind % 6] / 8;
                (from..pages - 1).for_each(|page| bytes[page * PAGE + numbers.below(PAGE)] ^= 4);
            }
            6 => bytes[page + numbers.below(PAGE)] ^= 1 << numbers.below(8),
            1 => bytes.truncate(numbers.below(whole.len())),
            2 => bytes[page..page + PAGE].fill(0),
            3 => bytes[numbers.below(PAGE)] ^= 1 << numbers.below(8),
            4 => bytes = b"dear diary, ".repeat(numbers.below(2000)),
            _ => (0..9).for_each(|_| bytes[numbers.below(whole.len())] ^= 1 << numbers.below(8)),
        }
        fs::write(&database, &bytes).unwrap();
        fs::write(&anchor.0, &anchor.1).unwrap();
        world.start_daemon().unwrap();
        let status = world.ctl(&["--json", "status"]).unwrap().json().unwrap();
        if status["state"] == "locked" {
            assert!(status["locked"]["hint"].as_str().unwrap().contains("m365-cachectl repair"), "round {round}: {status}");
        } else {
            // Damage met while serving is a miss or an error with a way out, and never an end. Everything that is kept is asked for.
            let mut client = world.client(Era::Modern).unwrap();
            client.call("email_list", &json!({"account_id": ALEX, "limit": 4})).unwrap();
            for id in &ids {
                client.call("email_get", &json!({"account_id": ALEX, "email_id": id})).unwrap();
            }
            let status = world.ctl_json(&["status"]).unwrap();
            let told = |code: &str| status["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code);
            met += usize::from(told("damaged_entries") || told("store_unusable"));
        }
        world.stop_daemon().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it measures how long it takes")]
        let began = Instant::now();
        let repaired = world.ctl_json(&["repair"]).unwrap();
        *states.entry(repaired["state"].as_str().unwrap().to_owned()).or_default() += 1;
        if repaired["state"] != "whole" {
            assert!(Path::new(repaired["quarantine"].as_str().unwrap()).join("cache.db").exists(), "round {round}: {repaired}");
        }
        world.start_daemon().unwrap();
        let status = world.ctl_json(&["status"]).unwrap();
        assert_eq!(status["state"], "ready", "round {round}: {status}");
        if status["accounts"].as_array().unwrap().is_empty() || repaired["signed_in"] == 0 {
            world.sign_in(ALEX).unwrap();
        }
        ask(&world);
        assert!(began.elapsed() < Duration::from_secs(10), "round {round} took {:?}", began.elapsed());
        // Records may be gone; that the trail was tampered with is not said of a file that was repaired.
        let trail = world.ctl(&["--json", "audit", "verify"]).unwrap().json().unwrap();
        let codes: Vec<&str> = trail["faults"].as_array().unwrap().iter().map(|fault| fault["code"].as_str().unwrap()).collect();
        assert!(!codes.contains(&"broken") && !codes.contains(&"ends_lost"), "round {round}, {}: {trail}", repaired["state"]);
        world.stop_daemon().unwrap();
        assert_eq!(fs::read(world.home.path().join("cache.keys")).unwrap(), envelope, "round {round}: the keys are as they were");
        let log = fs::read_to_string(world.home.log()).unwrap();
        assert!(!log.contains("panicked"), "round {round}: {log}");
        figure::tell("files", round + 1, 0);
    }
    assert!(states.contains_key("repaired") && states.contains_key("set_aside"), "{states:?}");
    assert!(met > 0, "no damage was met while serving: {states:?}");
}

#[test]
fn a_damaged_file_is_explained_repaired_and_serves_again() {
    damaged_files(10);
}

#[test]
fn a_whole_database_is_left_as_it_is() {
    let mut world = World::start().unwrap();
    fill(&world, 3);
    world.stop_daemon().unwrap();
    let before = data(&world);
    let said = world.ctl_json(&["repair"]).unwrap();
    assert_eq!((&said["state"], &said["accounts"], &said["quarantine"]), (&json!("whole"), &json!(1), &Value::Null), "{said}");
    assert_eq!(data(&world), before);
    assert_eq!(code(&world, &["repair", "--rollback", "--yes"]), (Some(2), json!("no_way_back")));
    assert_eq!(data(&world), before);

    // As an upgrade leaves it.
    let kept = world.home.path().join("cache.db.schema-6");
    fs::copy(world.home.database(), &kept).unwrap();
    // It puts the data of today aside, and asks before.
    let before = data(&world);
    assert_eq!(code(&world, &["repair", "--rollback"]), (Some(2), json!("confirmation_required")));
    assert_eq!(data(&world), before);
    let said = world.ctl_json(&["repair", "--rollback", "--yes"]).unwrap();
    assert_eq!((&said["state"], &said["schema"]), (&json!("rolled_back"), &json!(6)), "{said}");
    assert!(kept.exists());
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "miss", "no answer of before is served");

    // It has the keys of who signs out, and would bring the account back.
    world.ctl_json(&["logout", ALEX, "--yes"]).unwrap();
    assert!(!kept.exists());
    world.stop_daemon().unwrap();
    assert_eq!(code(&world, &["repair", "--rollback", "--yes"]), (Some(2), json!("no_way_back")));
}

/// Starts the daemon `count` times without its key or with another one: nothing is ever made anew.
pub(crate) fn starts_without_the_key(count: usize) {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    assert_eq!(ask(&world), "miss");
    world.stop_daemon().unwrap();
    let before = data(&world);
    for start in 0..count {
        let (given, expected) = match start % 3 {
            0 => (None, "key_missing"),
            1 => (Some(key(100 + u8::try_from(start % 100).unwrap())), "wrong_key"),
            _ => (Some("no key".to_owned()), "malformed_key"),
        };
        world.home.key = given;
        world.start_daemon().unwrap();
        let status = world.ctl(&["--json", "status"]).unwrap().json().unwrap();
        assert_eq!(status["locked"]["code"], expected, "start {start}: {status}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before, "start {start}");
        // Repair cannot help here, says so and touches nothing.
        assert_eq!(code(&world, &["repair"]), (Some(7), json!(expected)));
        assert_eq!(data(&world), before, "start {start}");
        figure::tell("environment", start + 1, 0);
    }
    world.home.key = Some(key(1));
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
}

/// The same `count` times with a keyring that lost the key, has another one, stays locked, or is not there.
pub(crate) fn starts_without_the_keyring(count: usize) {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let session = ("DBUS_SESSION_BUS_ADDRESS".to_owned(), keyring.address.clone());
    world.home.variables.push(session.clone());
    world.start_daemon().unwrap();
    world.stop_daemon().unwrap();
    let before = data(&world);
    for start in 0..count {
        let mut kept = None;
        let expected = match start % 3 {
            0 => {
                kept = Some(keyring.forget());
                "key_missing"
            }
            1 => {
                keyring.feels(Mood::Dismissed);
                "keyring_locked"
            }
            _ => {
                let nowhere = (session.0.clone(), "unix:path=/nonexistent/bus".to_owned());
                world.home.variables = vec![nowhere];
                "keyring_unavailable"
            }
        };
        world.start_daemon().unwrap();
        let status = world.ctl(&["--json", "status"]).unwrap().json().unwrap();
        assert_eq!(status["locked"]["code"], expected, "start {start}: {status}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before, "start {start}");
        if let Some(kept) = kept {
            assert_eq!(keyring.items(), [], "start {start}: a key was made anew");
            keyring.restore(kept);
        }
        keyring.feels(Mood::Open);
        world.home.variables = vec![session.clone()];
        figure::tell("keyring_played", start + 1, 0);
    }
    assert_eq!(keyring.items().len(), 1);
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
}

#[test]
fn without_its_key_nothing_is_made_anew() {
    starts_without_the_key(3);
    starts_without_the_keyring(3);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only keys"]
fn a_hundred_starts_each_without_the_key() {
    let each = figure::size(100);
    starts_without_the_key(3 * each);
    starts_without_the_keyring(3 * each);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn kills_in_reencryptions() {
    kill_in_reencryptions(u64::try_from(figure::size(200)).unwrap());
}

#[test]
#[ignore = "half an hour: cargo campaign safety --only files"]
fn five_hundred_damaged_files() {
    damaged_files(figure::size(500));
}

#[test]
fn verbs_of_the_vault_say_why_it_is_locked() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    world.home.key = Some(key(9));
    world.start_daemon().unwrap();
    assert_locked(&world, "wrong_key");
    for words in [["keys", "status"].as_slice(), &["keys", "rotate"]] {
        assert_eq!(code(&world, words), (Some(7), json!("wrong_key")));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn keys_stay_out_of_the_swap_and_of_core_files() {
    let mut world = World::start().unwrap();
    let pid = world.daemon().pid();
    let line = |file: &str, name: &str| -> String {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    // The world fails when the daemon warns that the system did not allow it.
    assert_ne!(line("status", "VmLck:"), "0 kB");
    let core = line("limits", "Max core file size");
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    assert_eq!(line("status", "CoreDumping:"), "0");
}
