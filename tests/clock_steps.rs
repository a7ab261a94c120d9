//! The clock is set back and forward by 400 days while the daemon runs: nothing too old is served, nothing is lost, nothing hangs.

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::ClockSetting;
use serde_json::{Value, json};

const DAYS_400: i64 = 400 * 86_400_000;

/// A cached read, what is in its answer, and how long it may be served, in milliseconds.
const READS: [(&str, &str, i64); 3] =
    [("email_list", "messages", 600_000), ("folder_get_tree", "folders", 7_200_000), ("contact_list", "contacts", 7_200_000)];

struct Desk {
    world: World,
    client: Mcp,
}

impl Desk {
    fn turn(&self, by_ms: i64) {
        let turned = self.world.control().set_clock(&ClockSetting { advance_ms: Some(by_ms), ..ClockSetting::default() });
        assert!(
            self.world.block_on(self.world.control().clock_followed(turned.revision, PATIENCE)),
            "the daemon does not follow the clock"
        );
    }

    fn ask(&mut self, tool: &str, more: Value) -> Value {
        let mut args = more;
        args["account_id"] = self.world.ids[0].clone().into();
        self.client.call(tool, &args).unwrap().json().unwrap()
    }

    /// Asks until the answer is of this very moment; what was served on the way is younger than it may be old, and nothing is missing.
    fn comes_up_to_date(&mut self, held: &[usize; 3]) {
        let now = self.world.control().clock().now;
        for ((tool, list, stale_ms), held) in READS.into_iter().zip(held) {
            let deadline = stopwatch::now() + PATIENCE;
            loop {
                let answer = self.ask(tool, json!({}));
                assert_eq!(answer[list].as_array().unwrap().len(), *held, "{tool}");
                let since: jiff::Timestamp = answer["_cached_at"].as_str().unwrap().parse().unwrap();
                let age = now.as_millisecond() - since.as_millisecond();
                assert!(age <= stale_ms, "{tool} serves something {age} ms old");
                let fresh = answer["_cache_status"] == "fresh";
                assert!(!fresh || age >= 0, "{tool} takes something of the future for fresh: {since}");
                if fresh {
                    assert_eq!(age, 0, "{tool}");
                    break;
                }
                assert!(stopwatch::now() < deadline, "{tool} is not refreshed: {}", answer["_cache_status"]);
            }
        }
    }

    /// Time goes on from where it was set to: an answer of a minute ago is still fresh.
    fn comes_up_to_date_after_a_minute(&mut self) {
        for (tool, ..) in READS.into_iter().skip(1) {
            assert_eq!(self.ask(tool, json!({}))["_cache_status"], "fresh", "{tool}");
        }
    }

    /// What the agent writes shows at once.
    fn writes_show(&mut self, is_read: bool) {
        let message = self.ask("email_list", json!({}))["messages"][0]["id"].clone();
        self.ask("email_mark_read", json!({ "email_id": message, "is_read": is_read }));
        let shown = self.ask("email_list", json!({}));
        assert_eq!((&shown["messages"][0]["id"], &shown["messages"][0]["isRead"]), (&message, &json!(is_read)));
    }
}

fn desk() -> (Desk, [usize; 3]) {
    let world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let client = world.client(Era::Legacy).unwrap();
    let mut desk = Desk { world, client };
    let held = READS.map(|(tool, list, _)| desk.ask(tool, json!({}))[list].as_array().unwrap().len());
    assert!(held.iter().all(|held| *held > 0));
    (desk, held)
}

#[test]
fn set_back_and_forward_again_nothing_too_old_is_served() {
    let (mut desk, held) = desk();
    desk.writes_show(true);
    desk.turn(-DAYS_400);
    desk.comes_up_to_date(&held);
    desk.writes_show(false);
    desk.turn(60_000);
    desk.comes_up_to_date_after_a_minute();
    desk.turn(DAYS_400);
    desk.comes_up_to_date(&held);
    desk.writes_show(true);
    drop(desk.client);
}

#[test]
fn set_forward_and_back_again_nothing_is_lost() {
    let (mut desk, held) = desk();
    desk.world.expect_log("sign");
    desk.turn(DAYS_400);
    // To Microsoft a sign-in that was not used for 90 days is none: said so, and nothing old is served in its place.
    for (tool, ..) in READS {
        let args = json!({ "account_id": desk.world.ids[0] });
        assert_eq!(desk.client.call(tool, &args).unwrap().fault().unwrap().0, "sign_in_required", "{tool}");
    }
    assert_eq!(desk.world.sign_in(ALEX).unwrap(), desk.world.ids[0]);
    desk.comes_up_to_date(&held);
    desk.writes_show(true);
    desk.turn(-DAYS_400);
    desk.comes_up_to_date(&held);
    desk.writes_show(false);
    let status = desk.world.ctl_json(&["status"]).unwrap();
    assert_eq!(status["accounts"].as_array().map(Vec::len), Some(1), "{status}");
    drop(desk.client);
}

#[test]
fn what_a_write_left_unsettled_settles_by_a_clock_that_was_set_back() {
    let (mut desk, _) = desk();
    desk.writes_show(true);
    desk.turn(-DAYS_400);
    let kept = |desk: &mut Desk| {
        let ask = |desk: &mut Desk| desk.ask("search_emails", json!({ "query": "subject:a" }))["_cache_status"].clone();
        ask(desk);
        ask(desk) == "fresh"
    };
    assert!(!kept(&mut desk), "the index of searches may still follow the write");
    // Twice the time for which it is unsettled, as many turns as it takes the daemon to see them, and far from what was set back.
    let settled = (0..30).any(|_| {
        desk.turn(60_000);
        kept(&mut desk)
    });
    assert!(settled, "a search is not kept until the clock is where it was before");
    drop(desk.client);
}
