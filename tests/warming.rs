//! Warming: the answers that clients ask for first are there before they ask, and nobody waits for it.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, BEA, CASEY, Setup, World},
};
use m365_cached_tenant::{Effect, Fault, Latency, Options, Wait};
use serde_json::{Value, json};

const TREE: &str = "GET /me/drive/root/delta";
const LIST: &str = "GET /me/mailFolders/{id}/messages";
const CONTACTS: &str = "GET /me/contacts";
const USUAL: [&str; 3] = ["folder_get_tree", "email_list", "contact_list"];

fn warm(accounts: &'static [&'static str]) -> World {
    World::with(Setup { accounts, warming: true, ..Setup::default() }).unwrap()
}

fn status(client: &mut Mcp) -> Value {
    client.call("cache_warming_status", &json!({})).unwrap().json().unwrap()
}

/// Waits until the warm-up of so many accounts has ended.
fn until_warm(client: &mut Mcp, accounts: u64) -> Value {
    until(client, |status| status["is_warming"] == false && status["accounts_warmed"].as_u64() >= Some(accounts), PATIENCE * 4)
}

fn until(client: &mut Mcp, is: impl Fn(&Value) -> bool, patience: Duration) -> Value {
    let deadline = stopwatch::now() + patience;
    loop {
        let status = status(client);
        if is(&status) {
            return status;
        }
        assert!(stopwatch::now() < deadline, "it stays so: {status}");
    }
}

/// The calls that clients make without arguments are answered without Microsoft.
fn assert_warm(world: &World, client: &mut Mcp, accounts: &[String]) {
    let before = world.control().stats().requests;
    for account in accounts {
        for tool in USUAL {
            let answer = client.call(tool, &json!({"account_id": account})).unwrap();
            assert_eq!(answer.cache_status().unwrap(), "fresh", "{tool} for {account}");
        }
    }
    assert_eq!(world.control().stats().requests, before);
}

#[test]
fn the_usual_calls_are_fresh_hits_after_the_start_and_after_a_restart() {
    let mut world = warm(&[ALEX]);
    let ids = world.ids.clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let done = until_warm(&mut client, 1);
    assert_eq!(
        (&done["operations_total"], &done["operations_failed"], &done["progress_percent"]),
        (&json!(3), &json!(0), &json!(100)),
        "{done}"
    );
    assert_eq!(done["operations_by_type"]["email_list"], json!({"total": 1, "completed": 1, "skipped": 0, "failed": 0}));
    assert!(done["completed_at"].is_string() && done["duration_seconds"].as_f64().is_some() && done["estimated_completion"].is_null());
    assert_warm(&world, &mut client, &ids);
    // What is fresh is not asked for again.
    world.stop_daemon().unwrap();
    let before = world.control().stats().requests;
    world.start_daemon().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let done = until_warm(&mut client, 1);
    assert_eq!(done["operations_skipped"], 3, "{done}");
    assert_eq!(world.control().stats().requests, before);
    assert_warm(&world, &mut client, &ids);
}

#[test]
fn who_signs_in_later_is_warmed_too_and_who_leaves_stops_nobody() {
    let world = warm(&[ALEX]);
    let mut client = world.client(Era::Legacy).unwrap();
    until_warm(&mut client, 1);
    // The next one's folders take for ever; meanwhile the account goes.
    let hold = world.control().fault(Fault::always(TREE, Effect::Hold { at: m365_cached_tenant::At::Before }));
    let bea = world.sign_in(BEA).unwrap();
    assert!(world.block_on(world.control().wait(&Wait { route: TREE.into(), concurrent: 1, ..Wait::default() })).reached);
    assert_eq!(status(&mut client)["is_warming"], true);
    world.ctl(&["logout", &bea, "--yes"]).unwrap().ok().unwrap();
    world.control().release(Some(hold));
    until(&mut client, |status| status["is_warming"] == false, PATIENCE);
    let casey = world.sign_in(CASEY).unwrap();
    until_warm(&mut client, 1);
    let both = [world.ids[0].clone(), casey];
    assert_warm(&world, &mut client, &both);
}

#[test]
fn what_fails_is_told_and_the_rest_is_warm() {
    let mut world = World::with(Setup { warming: true, ..Setup::default() }).unwrap();
    world.expect_log("Graph");
    let refused = Effect::Status { status: 403, code: "ErrorAccessDenied".into(), message: None, retry_after: None };
    world.control().fault(Fault::always(CONTACTS, refused));
    let alex = world.sign_in(ALEX).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let done = until_warm(&mut client, 1);
    assert_eq!((&done["operations_completed"], &done["operations_failed"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(client.call("email_list", &json!({"account_id": alex})).unwrap().cache_status().unwrap(), "fresh");
}

#[test]
fn it_can_be_off_and_told_what_to_do() {
    let setup = |config| Setup { accounts: &[ALEX], warming: true, config, ..Setup::default() };
    let world = World::with(setup("[warming]\nenabled = false")).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let off = status(&mut client);
    assert!(off["is_warming"] == false && off["status"].as_str().unwrap().contains("off"), "{off}");
    assert_eq!(world.control().stats().count(TREE), 0);
    drop((client, world));

    let chosen = "[warming.operations.folder_get_tree]\nenabled = false\n[warming.operations.contact_list]\nenabled = false\n\
                  [warming.operations.email_list]\nparameters = '{\"folder\": \"sent\", \"limit\": 3}'\n";
    let world = World::with(setup(chosen)).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let done = until_warm(&mut client, 1);
    assert_eq!(done["operations_total"], 1);
    let sent = client.call("email_list", &json!({"account_id": world.ids[0], "folder": "sent", "limit": 3})).unwrap();
    assert_eq!(sent.cache_status().unwrap(), "fresh");
    assert_eq!(client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().cache_status().unwrap(), "miss");
}

/// What is asked for again and again is renewed before it is too old to be served, not when it grows old, and no more when nobody asks.
#[test]
fn an_answer_in_use_is_renewed_before_it_is_asked_for() {
    let world = World::with(Setup { accounts: &[ALEX], warming: true, stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    // What is being fetched when the clock is moved on would be given up and tried again later.
    until_warm(&mut client, 1);
    let question = json!({"account_id": world.ids[0], "folder": "inbox", "limit": 7});
    // As often as makes it likely that it is asked for again within the ten minutes for which a renewed one is served.
    for _ in 0..12 {
        client.call("email_list", &question).unwrap().json().unwrap();
    }
    // Uses are gathered for a while before they are taken in.
    let deadline = stopwatch::now() + PATIENCE;
    while status(&mut client)["answers_in_use"] == 0 {
        world.advance(Duration::from_secs(1)).unwrap();
        assert!(stopwatch::now() < deadline, "nothing is learnt from use");
    }
    let renewed = |status: &Value| status["renewals_this_hour"].as_u64().unwrap();
    let first = world.control().stats().count(LIST);
    // A list of mail is stale after two minutes, and served for ten.
    world.advance(Duration::from_secs(420)).unwrap();
    assert_eq!(renewed(&status(&mut client)), 0);
    world.advance(Duration::from_secs(125)).unwrap();
    let again = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: first + 1, ..Wait::default() }));
    assert!(again.reached, "it was not renewed before its end");
    let deadline = stopwatch::now() + PATIENCE;
    while client.call("email_list", &question).unwrap().cache_status().unwrap() != "fresh" {
        assert!(stopwatch::now() < deadline);
    }
    // In the evening everybody goes home.
    world.advance(Duration::from_secs(3600)).unwrap();
    let evening = until(&mut client, |status| status["answers_in_use"] == 0, PATIENCE);
    // Of what was still in use when the clock was moved.
    world.until_idle().unwrap();
    let requests = world.control().stats().count(LIST);
    for _ in 0..5 {
        world.advance(Duration::from_secs(600)).unwrap();
    }
    let night = status(&mut client);
    assert_eq!((renewed(&night), world.control().stats().count(LIST)), (0, requests), "{evening} {night}");
}

/// Who acts on what a list shows looks at the list again: it is fetched while he thinks. A search that any write overtakes is not.
#[test]
fn a_list_that_a_write_has_overtaken_is_fetched_again_at_once() {
    let world = World::with(Setup { accounts: &[ALEX], warming: true, stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    until_warm(&mut client, 1);
    let account = &world.ids[0];
    // Not one that was warmed: it is fetched when it is first looked at.
    let list = json!({"account_id": account, "folder": "sent"});
    let shown = client.call("email_list", &list).unwrap().json().unwrap();
    // One that shows the message.
    let subject = shown["messages"][0]["subject"].as_str().unwrap();
    let word = subject.split(|letter: char| !letter.is_alphanumeric()).max_by_key(|word| word.len()).unwrap();
    let search = json!({"account_id": account, "query": word, "limit": 500});
    let found = client.call("search_emails", &search).unwrap().json().unwrap();
    let ids = found["messages"].as_array().unwrap().iter().map(|message| &message["id"]);
    assert!(ids.into_iter().any(|id| *id == shown["messages"][0]["id"]), "{found}");
    let lists = world.control().stats().count(LIST);
    let message = &shown["messages"][0];
    let mark = json!({"account_id": account, "email_id": message["id"], "is_read": message["isRead"] == false});
    client.call("email_mark_read", &mark).unwrap().json().unwrap();
    let again = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: lists + 1, ..Wait::default() }));
    assert!(again.reached, "it was not fetched again");
    let deadline = stopwatch::now() + PATIENCE;
    loop {
        // Stored a moment after Graph has answered; one that asks earlier joins the fetch.
        let now = client.call("email_list", &list).unwrap().json().unwrap();
        assert_eq!(now["messages"][0]["isRead"], message["isRead"] == false);
        if now["_cache_status"] == "fresh" {
            break;
        }
        assert!(stopwatch::now() < deadline);
    }
    assert_eq!(world.control().stats().count(LIST), lists + 1);
    assert_eq!(client.call("search_emails", &search).unwrap().cache_status().unwrap(), "miss");
}

/// Calls are not slower while the cache is warmed: twelve accounts, as slow as the service is. Prints the figures.
#[test]
#[ignore = "two minutes, a figure for people: cargo test --test main twelve_accounts -- --ignored --nocapture"]
#[expect(clippy::print_stderr, reason = "the figure is for people")]
fn twelve_accounts_are_warm_in_two_minutes_and_calls_do_not_wait() {
    let names: Vec<String> = (1..=9).map(|number| format!("user{number}@contoso.example")).collect();
    let tenant = Options { more_accounts: 9, ..Options::default() };
    let mut world = World::with(Setup { tenant, accounts: &[ALEX, BEA, CASEY], ..Setup::default() }).unwrap();
    for name in &names {
        let id = world.sign_in(name).unwrap();
        world.ids.push(id);
    }
    world.control().set_latency(Latency::Real);
    let ids = world.ids.clone();
    // Calls that are never answered from the cache, by turns for all accounts: before, then meanwhile.
    let calls = |client: &mut Mcp, while_: &mut dyn FnMut(&mut Mcp) -> bool| {
        let mut times = Vec::new();
        for nth in 0.. {
            let call = json!({"account_id": ids[nth % ids.len()], "limit": 2, "force_refresh": true});
            let (answer, took) = stopwatch::timed(|| client.call("email_list", &call).unwrap());
            answer.json().unwrap();
            times.push(took);
            if !while_(client) {
                break;
            }
        }
        times.sort();
        times
    };
    let mut client = world.client(Era::Legacy).unwrap();
    let mut left = 60;
    let before = calls(&mut client, &mut |_| {
        left -= 1;
        left > 0
    });
    world.stop_daemon().unwrap();
    world.home.warming = true;
    let (_, ready) = stopwatch::timed(|| world.start_daemon().unwrap());
    let mut client = world.client(Era::Legacy).unwrap();
    let meanwhile = calls(&mut client, &mut |client| status(client)["is_warming"] == true);
    let done = until_warm(&mut client, 12);
    let median = |times: &[Duration]| times[times.len() / 2];
    let ratio = median(&meanwhile).as_secs_f64() / median(&before).as_secs_f64();
    let seconds = done["duration_seconds"].as_f64().unwrap();
    eprintln!(
        "12 accounts warm in {seconds:.1} s; ready after {ready:?}; a call took {:?} before, {:?} meanwhile ({} calls): ratio {ratio:.2}",
        median(&before),
        median(&meanwhile),
        meanwhile.len()
    );
    assert_eq!((&done["operations_total"], &done["operations_failed"]), (&json!(36), &json!(0)), "{done}");
    assert!(seconds <= 120.0 && ratio <= 1.1, "{seconds} s, ratio {ratio}");
}
