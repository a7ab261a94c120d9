//! What m365-mcp left, with the real programs: told of, taken over sealed, removed only on request.

use std::{collections::BTreeMap, fs, path::PathBuf};

use m365_cached_checks::support::{
    figure, scan,
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

use crate::rotation::{passphrase, with_key_file};

const PLAIN: &[u8] = include_bytes!("checks/data/original-plain.db");
const ENCRYPTED: &[u8] = include_bytes!("checks/data/original-encrypted.db");
/// Stands in every answer of the originals.
const SUBJECT: &str = "Quarterly canary figures";
const TOKEN: &str = "canary-refresh-token";
const WHO: &str = "ada@contoso.com";

fn cache(world: &World) -> PathBuf {
    world.home.path().join(".m365_mcp_cache.db")
}

fn tokens(world: &World) -> PathBuf {
    world.home.path().join(".m365_mcp_token_cache.json")
}

/// A world beside a plain original and its token file, without a running daemon.
pub(crate) fn beside_an_original() -> World {
    beside(PLAIN)
}

/// A world beside an original with this cache and a token file.
fn beside(original: &[u8]) -> World {
    let mut world = World::with(Setup::default()).unwrap();
    world.stop_daemon().unwrap();
    fs::write(cache(&world), original).unwrap();
    let account = json!({"home_account_id": "o-1.t-1", "environment": "127.0.0.1", "realm": "t-1", "local_account_id": "o-1",
        "username": WHO, "authority_type": "MSSTS"});
    let other = json!({"home_account_id": "o-2.t-2", "environment": "login.example", "realm": "t-2", "local_account_id": "o-2",
        "username": "eve@example.com", "authority_type": "MSSTS"});
    let file = json!({"Account": {"1": account, "2": other}, "RefreshToken": {"r": {"secret": TOKEN}}});
    fs::write(tokens(&world), file.to_string()).unwrap();
    world
}

/// Every file but logs and locks, and its bytes.
fn files(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    crate::locked::data(world)
}

fn warnings(world: &World) -> Vec<String> {
    let status = world.ctl_json(&["status"]).unwrap();
    let codes = status["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap().to_owned());
    codes.filter(|code| code.contains("original") || code.contains("plain")).collect()
}

fn code(world: &World, words: &[&str]) -> (Option<i32>, Value) {
    let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
    let said = world.ctl(&words).unwrap();
    (said.code, said.json().unwrap()["error"]["code"].clone())
}

#[test]
fn a_plain_original_is_told_of_taken_over_and_removed_on_request() {
    let mut world = beside(PLAIN);
    world.start_daemon().unwrap();
    assert_eq!(warnings(&world), ["plain_original", "plain_tokens"]);

    // A look writes nothing and stops nobody.
    let before = files(&world);
    let look = world.ctl_json(&["import", "--dry-run"]).unwrap();
    assert_eq!(
        (&look["state"], &look["answers"], &look["rows"], &look["sealed"]),
        (&json!("would_import"), &json!(12), &json!(14), &Value::Null)
    );
    assert_eq!(look["answers_by_type"], json!({"email_list": 4, "folder_get_tree": 8}));
    assert_eq!(look["accounts"], json!({"found": [WHO], "personal": [], "of_other_clouds": 1}));
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
    let database = world.home.database();
    let ours = |path: &&PathBuf| !path.starts_with(&database) && !path.to_string_lossy().contains("cache.db-");
    let after = files(&world);
    assert_eq!(after.keys().filter(ours).collect::<Vec<_>>(), before.keys().filter(ours).collect::<Vec<_>>());
    assert_eq!(code(&world, &["import", "--remove", "--yes"]), (Some(2), json!("not_imported")));

    let said = world.ctl(&["--json", "import"]).unwrap().ok().unwrap();
    assert!(said.stderr.contains("14 of 14 rows"), "{said:?}");
    let done = said.json().unwrap();
    assert_eq!((&done["state"], &done["tables"]), (&json!("imported"), &look["tables"]), "{done}");
    assert_eq!((&done["answers_served"], &done["accounts"]), (&json!(0), &look["accounts"]), "{done}");
    assert_eq!(fs::read(cache(&world)).unwrap(), PLAIN, "the original is as it was");
    let sealed = PathBuf::from(done["sealed"].as_str().unwrap());
    assert_eq!(fs::read_dir(sealed.parent().unwrap()).unwrap().count(), 1);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&sealed).unwrap().permissions()) & 0o777, 0o600);
    assert_eq!(world.ctl_json(&["import"]).unwrap()["state"], "already_imported");

    // Nobody is signed in by it.
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["accounts"]).unwrap()["accounts"], json!([]));
    assert_eq!(warnings(&world), ["plain_original", "plain_tokens"], "they are there until they are removed");
    assert_eq!(code(&world, &["import", "--remove"]), (Some(2), json!("confirmation_required")));
    let removed = world.ctl_json(&["import", "--remove", "--yes"]).unwrap();
    assert_eq!((removed["removed"].as_array().unwrap().len(), &removed["sealed"]), (2, &done["sealed"]), "{removed}");
    assert!(!cache(&world).exists() && !tokens(&world).exists());
    for (file, bytes) in files(&world) {
        for canary in [SUBJECT, TOKEN] {
            assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary} is readable in {}", file.display());
        }
    }
    world.start_daemon().unwrap();
    assert_eq!(warnings(&world), Vec::<String>::new());
    assert_eq!(world.ctl_json(&["import", "--remove", "--yes"]).unwrap()["state"], "nothing_there");
    assert_eq!(code(&world, &["import"]), (Some(2), json!("no_original")));

    // All of it can be had again.
    let back = world.home.path().join("back.db").display().to_string();
    assert_eq!(world.ctl_json(&["import", "--put-back", &back]).unwrap()["rows"], 14);
    assert_eq!(code(&world, &["import", "--put-back", &back]).1, "file_exists");
    assert_eq!(world.ctl_json(&["import", &back, "--dry-run"]).unwrap()["tables"], done["tables"]);
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
}

#[test]
fn a_sealed_copy_opens_with_the_keys_of_a_backup() {
    let (mut world, _file, folder) = with_key_file(Setup::default());
    world.stop_daemon().unwrap();
    fs::write(cache(&world), PLAIN).unwrap();
    let sealed = PathBuf::from(world.ctl_json(&["import"]).unwrap()["sealed"].as_str().unwrap());
    world.start_daemon().unwrap();
    let words = passphrase(folder.path(), "five words of no sense\n");
    let backup = folder.path().join("m365.backup").display().to_string();
    world.ctl_json(&["backup", &backup, "--passphrase-file", &words]).unwrap();

    let (mut other, _other_file, other_folder) = with_key_file(Setup::default());
    other.stop_daemon().unwrap();
    let imported = other.home.path().join("imported");
    fs::create_dir(&imported).unwrap();
    fs::copy(&sealed, imported.join(sealed.file_name().unwrap())).unwrap();
    let back = other_folder.path().join("back.db").display().to_string();
    assert_ne!(code(&other, &["import", "--put-back", &back]).0, Some(0), "another profile's keys open nothing");
    other.ctl_json(&["restore", &backup, "--yes", "--passphrase-file", &words]).unwrap();
    assert_eq!(other.ctl_json(&["import", "--put-back", &back]).unwrap()["rows"], 14);
}

#[test]
fn an_encrypted_original_opens_with_its_key_and_with_no_other() {
    let mut world = beside(ENCRYPTED);
    world.start_daemon().unwrap();
    assert_eq!(warnings(&world), ["original_cache", "plain_tokens"]);
    // The variable that holds our master key held the original's key too.
    let done = world.ctl_json(&["import"]).unwrap();
    assert_eq!((&done["encrypted"], &done["answers"]), (&json!(true), &json!(12)), "{done}");
    assert_eq!(fs::read(cache(&world)).unwrap(), ENCRYPTED);

    let mut damaged = ENCRYPTED.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(cache(&world), &damaged).unwrap();
    assert_eq!(code(&world, &["import"]), (Some(2), json!("damaged_original")));
    fs::write(cache(&world), [7; 8192]).unwrap();
    assert_eq!(code(&world, &["import"]), (Some(2), json!("original_key_missing")));
    assert_eq!(code(&world, &["import", "--remove", "--yes"]), (Some(2), json!("not_imported")), "the copy is of another file");
    assert!(cache(&world).exists() && tokens(&world).exists());
    assert_eq!(world.ctl_json(&["import", "--remove", "--unsealed", "--yes"]).unwrap()["removed"].as_array().unwrap().len(), 2);
}

#[test]
fn killed_in_the_midst_there_is_no_copy_or_a_whole_one() {
    kill_in_imports(4);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn two_hundred_kills_in_imports() {
    for times in 1..=figure::size(200).div_ceil(4) {
        kill_in_imports(4);
        figure::tell("import", 4 * times, 0);
    }
}

/// Kills the import `kills` times, later each time; the next one comes to its end.
fn kill_in_imports(kills: u32) {
    let world = beside(PLAIN);
    let mut command = world.home.command(world.bins, &world.bins.daemon);
    command.args(["--offline", "import"]);
    let folder = world.home.path().join("imported");
    for kill in 0..kills {
        let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut words = std::io::BufReader::new(child.stderr.take().unwrap());
        // Killed at its start, then when the first rows and then when the last ones were read.
        for _ in 0..kill {
            std::io::BufRead::read_line(&mut words, &mut String::new()).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(fs::read(cache(&world)).unwrap(), PLAIN);
        assert!(
            !scan::files_under(&folder)
                .unwrap_or_default()
                .iter()
                .any(|file| { fs::read(file).unwrap().windows(SUBJECT.len()).any(|window| window == SUBJECT.as_bytes()) })
        );
    }
    let done = world.ctl_json(&["import"]).unwrap();
    assert!(["imported", "already_imported"].contains(&done["state"].as_str().unwrap()), "{done}");
    assert_eq!(scan::files_under(&folder).unwrap().len(), 1);
    assert_eq!(world.ctl_json(&["import", "--remove", "--yes"]).unwrap()["state"], "removed");
}
