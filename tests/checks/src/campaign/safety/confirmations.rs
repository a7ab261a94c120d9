//! `confirmations`: under `confirm = "strict"`, consent that nobody gave: altered, replayed, expired, for another call, of another client.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Run, found};
use crate::support::{
    mcp::{Era, Mcp},
    world::{ALEX, Setup, World},
};

/// Longer than a token is good for.
const TOO_LATE: Duration = Duration::from_secs(61);
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn run(run: &mut Run, count: usize) -> anyhow::Result<()> {
    let mut world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() })?;
    world.stop_daemon()?;
    world.words.extend(["--set".to_owned(), "confirm=strict".to_owned()]);
    world.start_daemon()?;
    let (mut client, mut other) = (world.client(Era::Legacy)?, world.client(Era::Legacy)?);
    let meeting = |subject: &str| {
        json!({ "account_id": world.ids[0], "subject": subject, "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z",
                "attendees": "bea@contoso.example" })
    };
    let sent = || world.control().stats().count("POST /me/events");
    // One that is good, so that what follows could have been; it is used up.
    let used = token(&mut client, &meeting("good"))?;
    let made = client.call("calendar_create_event", &with(&meeting("good"), &used))?.json()?;
    run.must(made["subject"] == "good" && sent() == 1, "a good confirmation is not taken");
    let (mut tried, mut accepted, mut kinds) = (0, 0, [0_usize; 6]);
    let mut fresh = token(&mut client, &meeting("plan"))?;
    while tried < count && !run.leaves() {
        // Now and then a new one, as it would be in use.
        if tried % 500 == 499 {
            world.advance(TOO_LATE)?;
            fresh = token(&mut client, &meeting("plan"))?;
        }
        let kind = tried % kinds.len();
        let before = sent();
        let answer = match kind {
            0 => client.call("calendar_create_event", &with(&meeting("plan"), &altered(&fresh, tried)))?,
            1 => client.call("calendar_create_event", &with(&meeting("good"), &used))?,
            2 => client.call("calendar_create_event", &with(&meeting("another plan"), &fresh))?,
            3 => other.call("calendar_create_event", &with(&meeting("plan"), &fresh))?,
            // A tool that has `confirm` takes that no more than a made-up token.
            4 if tried % 12 < 6 => client.call("account_remove", &json!({ "account_id": world.ids[0], "confirm": true }))?,
            4 => client.call("calendar_create_event", &with(&meeting("plan"), &made_up(tried)))?,
            _ => {
                // Each wait costs a turn of the daemon's clock, so there is one for many.
                if tried % 300 == 5 {
                    let old = token(&mut client, &meeting("old"))?;
                    world.advance(TOO_LATE)?;
                    fresh = token(&mut client, &meeting("plan"))?;
                    client.call("calendar_create_event", &with(&meeting("old"), &old))?
                } else {
                    other.call(
                        "email_send",
                        &json!({ "account_id": world.ids[0], "to": "bea@contoso.example", "subject": "s", "body": "b",
                                                      "confirm": true, "confirm_token": fresh }),
                    )?
                }
            }
        };
        let got = sent() > before || (!answer.is_error && !answer.text.contains("confirmation_required"));
        accepted += usize::from(got);
        kinds[kind] += 1;
        tried += 1;
    }
    accepted += usize::from(world.control().stats().count("POST /me/sendMail") > 0);
    let accounts = client.call("account_list", &json!({}))?.json()?;
    accepted += usize::from(accounts["accounts"].as_array().is_none_or(|all| all.len() != 1));
    let [altered, replayed, other_call, other_client, claimed, expired] = kinds;
    let by_kind = json!({ "altered": altered, "replayed": replayed, "for_another_call": other_call, "of_another_client": other_client,
                          "made_up_or_claimed": claimed, "expired_or_for_another_tool": expired });
    found(run, "confirmations", tried, accepted, by_kind);
    // The token that everybody tried to misuse is still good for what it was given for.
    let left = client.call("calendar_create_event", &with(&meeting("plan"), &fresh))?.json()?;
    run.must(left["subject"] == "plan", "a good confirmation was spoiled by hostile ones");
    Ok(())
}

/// Asks for consent; the token that would give it.
fn token(client: &mut Mcp, arguments: &Value) -> anyhow::Result<String> {
    let asked = client.call("calendar_create_event", arguments)?.json()?;
    Ok(asked["confirm_token"].as_str().with_context(|| format!("no token: {asked}"))?.to_owned())
}

fn with(arguments: &Value, token: &str) -> Value {
    let mut arguments = arguments.clone();
    arguments["confirm_token"] = token.into();
    arguments
}

/// Another letter at one place, a letter less, or one more.
fn altered(token: &str, nth: usize) -> String {
    let mut letters: Vec<u8> = token.bytes().collect();
    let at = nth % letters.len();
    match nth / letters.len() % 3 {
        0 => {
            let place = LETTERS.iter().position(|letter| *letter == letters[at]).unwrap_or(0);
            letters[at] = LETTERS[(place + 1 + nth % 63) % 64];
        }
        1 => {
            letters.remove(at);
        }
        _ => letters.insert(at, LETTERS[nth % 64]),
    }
    letters.into_iter().map(char::from).collect()
}

/// As long as a token, and from nobody.
fn made_up(nth: usize) -> String {
    let mut state = nth as u64 + 1;
    (0..62)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(LETTERS[(state >> 58) as usize])
        })
        .collect()
}
