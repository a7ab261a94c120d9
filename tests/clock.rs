//! Ages and waits through the real programs, on a clock that moves only when told: `--clock-from`.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    home::Home,
    mcp::Era,
    stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{Effect, Fault, RetryAfter, Wait};
use serde_json::json;

const LIST: &str = "GET /me/mailFolders/{id}/messages";

fn stopped() -> World {
    World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap()
}

/// `email_list` is fresh for two minutes and stale for ten.
#[test]
fn an_answer_is_fresh_then_stale_then_fetched_again() {
    let world = stopped();
    let mut client = world.client(Era::Legacy).unwrap();
    let question = json!({"account_id": world.ids[0], "folder": "inbox", "limit": 5});
    let mut ask = || client.call("email_list", &question).unwrap().cache_status().unwrap();
    let asked = || world.control().stats().count(LIST);
    assert_eq!(ask(), "miss");
    for (age, fetches) in [(Duration::from_millis(120_001), 2), (Duration::from_secs(600), 3)] {
        world.advance(Duration::from_secs(120)).unwrap();
        assert_eq!((ask(), asked()), ("fresh".to_owned(), fetches - 1));
        world.advance(age - Duration::from_secs(120)).unwrap();
        assert_eq!(ask(), "stale");
        let refreshed = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: fetches, ..Wait::default() }));
        assert!(refreshed.reached, "nobody refreshed what was stale");
        // The tenant has answered; the daemon stores it in its own time.
        let deadline = stopwatch::now() + PATIENCE;
        while ask() != "fresh" {
            assert!(stopwatch::now() < deadline, "the refreshed answer is not served");
        }
        // What came along with the answer is stored after it.
        world.until_idle().unwrap();
        assert_eq!(asked(), fetches, "one refresh, however often it was asked for meanwhile");
    }
    world.advance(Duration::from_secs(601)).unwrap();
    assert_eq!((ask(), asked()), ("miss".to_owned(), 4));
}

#[test]
fn a_wait_that_microsoft_asks_for_ends_when_the_clock_is_moved() {
    let mut world = stopped();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    let throttled =
        Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after: Some(RetryAfter::Seconds(45)) };
    world.control().fault(Fault::once(LIST, throttled));
    let arguments = json!({"account_id": world.ids[0], "limit": 6});
    let (id, line) = client.line("tools/call", json!({"name": "email_list", "arguments": arguments}));
    let (reply, took) = stopwatch::timed(|| {
        client.send(&line).unwrap();
        let refused = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: 1, ..Wait::default() }));
        assert!(refused.reached);
        // The pause begins when the daemon has read the refusal: moved in steps, it ends whenever that was.
        for _ in 0..60 {
            world.advance(Duration::from_secs(1)).unwrap();
            assert!(world.control().stats().count(LIST) <= 2);
        }
        let again = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: 2, ..Wait::default() }));
        assert!(again.reached, "the call still waits for a time that has passed");
        client.reply_to(id).unwrap()
    });
    assert!(reply["result"]["isError"] != true, "{reply}");
    assert!(took < Duration::from_secs(30), "it waited in real time: {took:?}");
}

#[test]
fn only_a_demo_takes_its_time_from_elsewhere() {
    let mut world = World::with(Setup::default()).unwrap();
    world.stop_daemon().unwrap();
    let refused = |home: &Home| home.refusal(world.bins, &["--clock-from", "http://127.0.0.1:9"]).unwrap();
    let usual = Home::new(1).unwrap();
    assert!(refused(&usual).contains("demo profiles only"));
    assert!(!usual.database().exists());
    // A demo, and an address where no tenant is.
    assert!(refused(&world.home).contains("127.0.0.1:9"));
}
