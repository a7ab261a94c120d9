//! What may be kept, through the daemon: limits that are passed, answers past their use, a disk that is nearly full.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{Effect, Fault, RetryAfter};
use serde_json::{Value, json};

const MESSAGE: &str = "GET /me/messages/{id}";
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of a large message: random, so that it takes about as many bytes.
const LARGE: usize = 500_000;

fn world(config: &'static str, accounts: &'static [&'static str]) -> World {
    World::with(Setup { accounts, config, stopped_clock: true, ..Setup::default() }).unwrap()
}

/// New messages, each with a text that hardly compresses.
fn large_messages(world: &World, count: u64) -> Vec<String> {
    let text = |mut seed: u64| -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            char::from(letters[usize::try_from(seed >> 32 & 63).unwrap()])
        };
        std::iter::repeat_with(next).take(LARGE).collect()
    };
    let message = |nth: u64| {
        let body = format!("<p>{}</p>", text(0x9e37_79b9 + nth));
        let made = world.control().change(&json!({"verb": "new_message", "user": ALEX, "subject": "large", "body": body})).unwrap();
        made["id"].as_str().unwrap().to_owned()
    };
    (0..count).map(message).collect()
}

/// Ids of the first things in a list that is not kept.
fn ids_of(client: &mut Mcp, account: &str, tool: &str, list: &str, count: usize) -> Vec<String> {
    let found = client.call(tool, &json!({"account_id": account, "limit": count, "use_cache": false})).unwrap().json().unwrap();
    found[list].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn get(client: &mut Mcp, account: &str, id: &str) -> String {
    client.call("email_get", &json!({"account_id": account, "email_id": id, "body_max_length": LARGE})).unwrap().cache_status().unwrap()
}

fn room(world: &World, name: &str) -> u64 {
    let status = world.ctl_json(&["status"]).unwrap();
    status["store"]["room"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {status}"))
}

fn entries(world: &World) -> u64 {
    world.ctl_json(&["status"]).unwrap()["store"]["entries"].as_u64().unwrap()
}

/// Stored lists of messages, without the snapshots behind their cursors.
fn lists(world: &World) -> u64 {
    let stats = world.ctl_json(&["stats"]).unwrap();
    let row = stats["by_tool"].as_array().unwrap().iter().find(|row| row["name"] == "email_list").cloned();
    row.map_or(0, |row| row["entries"].as_u64().unwrap())
}

/// Waits for a number of the clean-up's; nothing but the daemon's own second has to pass for it.
fn until_entries(world: &World, count: u64) {
    world.advance(Duration::from_secs(2)).unwrap();
    world.until(|status| status["store"]["entries"] == count && status["store"]["room"]["cleaned"].is_object()).unwrap();
}

#[test]
fn past_the_total_it_cleans_up_by_itself_and_what_was_used_stays() {
    let world = world("[cache]\nmax_bytes = 8_000_000\n", &[ALEX]);
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let messages = large_messages(&world, 24);
    let (past_served, rest) = messages.split_at(3);
    for id in past_served {
        assert_eq!(get(&mut client, &account, id), "miss");
    }
    // Good for nothing but standing in from here on.
    world.advance(61 * MINUTE).unwrap();
    let (mut used, mut largest) = (Vec::new(), 0);
    for id in rest {
        assert_eq!(get(&mut client, &account, id), "miss");
        used.push(id);
        // The first of them is what somebody works with.
        assert_eq!(get(&mut client, &account, &rest[0]), "fresh");
        // A clean-up comes a second after something was stored, so not before the clock goes on.
        let over = room(&world, "bytes") > 6_400_000;
        largest = std::fs::metadata(world.home.database()).unwrap().len();
        world.advance(Duration::from_secs(2)).unwrap();
        if over {
            break;
        }
    }
    assert!(used.len() > 5 && used.len() < rest.len(), "{} messages", used.len());
    let status = world.until(|status| status["store"]["room"]["cleaned"].is_object()).unwrap();
    let room = &status["store"]["room"];
    assert!(room["bytes"].as_u64() <= Some(4_800_000) && room["max_bytes"] == 8_000_000, "{room}");
    let gone = room["cleaned"]["entries"].as_u64().unwrap();
    assert!(gone >= past_served.len() as u64 && room["cleaned"]["bytes"].as_u64() >= Some(1_400_000), "{room}");
    let said = world.ctl(&["status"]).unwrap().ok().unwrap();
    assert!(said.stdout.contains(&format!("the last clean-up removed {gone} entries")), "{}", said.stdout);
    let stats = client.call("cache_get_stats", &json!({})).unwrap().json().unwrap();
    assert_eq!((&stats["evicted_count"], &stats["cleanup_triggered"]), (&json!(gone), &json!(true)), "{stats}");
    assert!(stats["usage_percent"].as_f64() <= Some(60.0) && stats["evicted_bytes"].as_u64() > Some(1_400_000), "{stats}");
    assert_eq!(world.ctl_json(&["stats"]).unwrap()["evicted"], gone);
    // What lies in the log reaches the file when nothing else is to be done.
    let deadline = stopwatch::now() + PATIENCE;
    while std::fs::metadata(world.home.database()).unwrap().len() > 4_900_000 {
        assert!(stopwatch::now() < deadline, "the file does not shrink from {largest}");
        entries(&world);
    }
    // The work at hand is there; of the rest the longest unused is gone, and what went went in that order.
    let before = world.control().stats().count(MESSAGE);
    assert_eq!(get(&mut client, &account, &rest[0]), "fresh");
    let unused = usize::try_from(gone).unwrap() - past_served.len();
    for id in &used[unused + 1..] {
        assert_eq!(get(&mut client, &account, id), "fresh");
    }
    assert_eq!(world.control().stats().count(MESSAGE), before);
    for id in past_served.iter().chain(used[1..=unused].iter().copied()) {
        assert_eq!(get(&mut client, &account, id), "miss");
    }
}

#[test]
fn an_account_past_its_limit_loses_the_useless_first_and_no_other_account_anything() {
    // Past use after a minute; past being served after a minute, and good for standing in.
    let config = "[cache]\nmax_entries_per_account = 10\n\
                  [cache.tools.emailfolders_get_tree]\nfresh = 60\nstale = 60\nif_error = 60\n\
                  [cache.tools.email_get]\nfresh = 60\nstale = 60\n";
    let mut world = world(config, &[ALEX, BEA]);
    world.expect_log("Graph");
    let (alex, bea) = (world.ids[0].clone(), world.ids[1].clone());
    // The sweeper has looked, and comes again in half an hour.
    world.advance(2 * MINUTE).unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let call = |client: &mut Mcp, tool: &str, given: Value| client.call(tool, &given).unwrap().cache_status().unwrap();
    let contact =
        |client: &mut Mcp, account: &str, id: &String| call(client, "contact_get", json!({"account_id": account, "contact_id": id}));
    let others = ids_of(&mut client, &bea, "contact_list", "contacts", 5);
    for id in &others {
        assert_eq!(contact(&mut client, &bea, id), "miss");
    }
    // In this order: by their last use alone the messages would go first.
    let messages = ids_of(&mut client, &alex, "email_list", "messages", 3);
    for id in &messages {
        assert_eq!(get(&mut client, &alex, id), "miss");
        world.advance(Duration::from_secs(1)).unwrap();
    }
    for depth in 1..=3 {
        assert_eq!(call(&mut client, "emailfolders_get_tree", json!({"account_id": alex, "max_depth": depth})), "miss");
        world.advance(Duration::from_secs(1)).unwrap();
    }
    world.advance(2 * MINUTE).unwrap();
    let contacts = ids_of(&mut client, &alex, "contact_list", "contacts", 7);
    // Eleven, which is one too many: cut to nine.
    for id in &contacts[..5] {
        assert_eq!(contact(&mut client, &alex, id), "miss");
        world.advance(Duration::from_secs(1)).unwrap();
    }
    until_entries(&world, 9 + 5);
    // And again: the last one past its use goes, and of those that may stand in the one unused for longest.
    for id in &contacts[5..] {
        assert_eq!(contact(&mut client, &alex, id), "miss");
        world.advance(Duration::from_secs(1)).unwrap();
    }
    until_entries(&world, 9 + 5);
    for id in &contacts {
        assert_eq!(contact(&mut client, &alex, id), "fresh");
    }
    let retry_after = Some(RetryAfter::Seconds(3600));
    let throttled = Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after };
    world.control().fault(Fault::always(MESSAGE, throttled));
    for id in &messages[1..] {
        assert_eq!(get(&mut client, &alex, id), "stale_if_error");
    }
    let gone = client.call("email_get", &json!({"account_id": alex, "email_id": messages[0], "body_max_length": LARGE})).unwrap();
    assert_eq!(gone.fault().unwrap().0, "throttled");
    world.control().clear_faults(None);
    let evicted = |account: &str| {
        let stats = world.ctl_json(&["stats", "--account", account]).unwrap();
        stats["evicted"].as_u64().unwrap()
    };
    assert_eq!((evicted(&alex), evicted(&bea)), (4, 0));
    for id in &others {
        assert_eq!(contact(&mut client, &bea, id), "fresh");
    }
}

#[test]
fn an_answer_over_the_limit_of_one_is_given_and_not_kept_and_says_so() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    for nth in 0..80 {
        let body = format!("<p>{nth} {}</p>", "\u{6f22}".repeat(49_900));
        world.control().change(&json!({"verb": "new_message", "user": ALEX, "subject": "long", "body": body})).unwrap();
    }
    let mut client = world.client(Era::Legacy).unwrap();
    let question = json!({"account_id": account, "folder": "inbox", "limit": 80, "body_max_length": 50_000});
    for _ in 0..2 {
        let answer = client.call("email_list", &question).unwrap();
        assert!(answer.text.len() > 10 << 20, "{} bytes are not too many", answer.text.len());
        let answer = answer.json().unwrap();
        assert_eq!((&answer["_cache_status"], answer["messages"].as_array().map(Vec::len)), (&json!("bypass"), Some(80)));
        assert!(answer["_warning"].as_str().unwrap().contains("larger than the cache keeps"), "{}", answer["_warning"]);
    }
    assert_eq!(lists(&world), 0);
    // One that fits is kept as ever.
    let smaller = json!({"account_id": account, "folder": "inbox", "limit": 20, "body_max_length": 50_000});
    assert_eq!(client.call("email_list", &smaller).unwrap().cache_status().unwrap(), "miss");
    assert_eq!(client.call("email_list", &smaller).unwrap().cache_status().unwrap(), "fresh");
}

#[test]
fn what_is_past_its_use_leaves_the_disk_within_the_hour() {
    let world = world("[cache.tools.email_list]\nfresh = 60\nstale = 600\nif_error = 7200\n", &[ALEX]);
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = json!({"account_id": account, "folder": "inbox", "limit": 3, "include_body": false});
    client.call("email_list", &list).unwrap().json().unwrap();
    client.call("contact_list", &json!({"account_id": account})).unwrap().json().unwrap();
    let held = entries(&world);
    assert!(held >= 2);
    // The daemon wakes by the same clock; nothing is asked for meanwhile.
    let mut minutes = 0;
    while lists(&world) > 0 {
        assert!(minutes < 180, "it is still there");
        minutes += 10;
        world.advance(10 * MINUTE).unwrap();
        if minutes > 120 {
            // It may just have been woken.
            let deadline = stopwatch::now() + Duration::from_millis(300);
            while lists(&world) > 0 && stopwatch::now() < deadline {}
        }
    }
    assert!(minutes >= 120, "swept after {minutes} minutes");
    // What is counted and what has gone are told by two threads.
    let deadline = stopwatch::now() + Duration::from_secs(10);
    while room(&world, "swept") == 0 && stopwatch::now() < deadline {}
    assert_eq!((room(&world, "swept"), entries(&world)), (1, held - 1));
    // Swept for its age, not for lack of room.
    assert_eq!(world.ctl_json(&["stats"]).unwrap()["evicted"], 0);
}

#[test]
fn below_the_floor_of_the_disk_answers_are_given_and_nothing_is_kept() {
    // More than any disk of this test has free.
    let mut world = world("[cache]\nmin_free_bytes = 1_000_000_000_000\n", &[ALEX]);
    world.expect_log("disk");
    let account = world.ids[0].clone();
    let list = json!({"account_id": account, "folder": "inbox", "limit": 3});
    let mut client = world.client(Era::Modern).unwrap();
    for _ in 0..2 {
        let answer = client.call("email_list", &list).unwrap().json().unwrap();
        assert_eq!(answer["_cache_status"], "bypass");
        assert!(answer["_warning"].as_str().unwrap().contains("nearly full"), "{answer}");
    }
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!((&status["store"]["entries"], &status["warnings"][0]["code"]), (&json!(0), &json!("low_disk")), "{status}");
    assert!(!world.home.path().join("ballast").exists());
    // Writes, tokens and the history of writes are recorded as ever.
    let id = client.call("email_list", &list).unwrap().json().unwrap()["messages"][0]["id"].clone();
    client.call("email_mark_read", &json!({"account_id": account, "email_id": id, "is_read": true})).unwrap().json().unwrap();
    drop(client);
    world.stop_daemon().unwrap();
    world.home.variables.push(("M365_CACHED_CACHE_MIN_FREE_BYTES".into(), "0".into()));
    world.start_daemon().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for expected in ["miss", "fresh"] {
        assert_eq!(client.call("email_list", &list).unwrap().cache_status().unwrap(), expected);
    }
    assert_eq!(world.ctl_json(&["status"]).unwrap()["warnings"], json!([]));
}
