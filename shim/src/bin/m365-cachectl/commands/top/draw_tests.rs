//! What people see: the whole picture at the sizes of terminals, and that no size makes it panic.

use std::time::Duration;

use m365_cached_proto::v1::{
    Account, Activity, CallCount, Client, Fault, GraphLink, Kind, Lane, Queue, RecentCall, StatusReply, TimeBucket, Warning,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::draw;
use super::source::Look;
use super::state::{Key, State};
use super::watch::Watch;

const NOW: u64 = 1_790_000_000_000;
const ALEX: &str = "0a1b2c3d-0000-4000-8000-000000000001.7e57";
const BEA: &str = "9f8e7d6c-0000-4000-8000-000000000002.7e57";

/// A daemon after `seconds` of steady work.
fn reply(seconds: u64) -> StatusReply {
    let count = |status: &str, each: u64| CallCount { status: status.into(), count: 1_000 + each * seconds };
    let bucket = |below_us, each: u64| TimeBucket { below_us, count: each * seconds };
    let call = |number: u64, tool: &str, account: &str, client: &str, status: &str, took_us| RecentCall {
        number,
        at_ms: NOW - (20 - number) * 1_700,
        tool: tool.into(),
        account: account.into(),
        client: client.into(),
        session: 1,
        status: status.into(),
        code: if status == "error" { "throttled".into() } else { String::new() },
        took_us,
    };
    let client = |session, name: &str, tools: &str, calls, under_way| Client {
        session,
        pid: 4_000 + u32::try_from(session).unwrap(),
        name: name.into(),
        version: "2.1.0".into(),
        protocol: if session == 1 { "2026-07-28" } else { "2025-11-25" }.into(),
        calls,
        connected_ms: NOW - 3_725_000 / session,
        tools: tools.into(),
        under_way: Some(under_way),
        ..Client::default()
    };
    let account =
        |id: &str, name: &str, state: &str| Account { id: id.into(), username: name.into(), state: state.into(), ..Account::default() };
    StatusReply {
        version: "0.1.0".into(),
        pid: 4242,
        instance: "f00d".into(),
        uptime_s: 11_520,
        state: "ready".into(),
        accounts: vec![account(BEA, "bea@contoso.example", "sign_in_required"), account(ALEX, "alex@contoso.example", "signed_in")],
        clients: vec![client(1, "claude-code", "essential", 412, 2), client(2, "vscode", "mail", 900, 0), client(3, "", "full", 0, 0)],
        graph: Some(GraphLink {
            breaker: "closed".into(),
            in_flight: 3,
            waiting: 1,
            per_mailbox: 4,
            lanes: vec![
                Lane { account: ALEX.into(), used: 3, waiting: 1, paused_ms: 0 },
                Lane { account: BEA.into(), used: 0, waiting: 0, paused_ms: 61_000 },
            ],
            ..GraphLink::default()
        }),
        queue: Some(Queue { queued: 5, running: 1, failed: 0 }),
        warnings: vec![Warning { code: "sign_in_required".into(), ..Warning::default() }],
        activity: Some(Activity {
            now_ms: NOW,
            counts: vec![
                count("fresh", 40),
                count("stale", 6),
                count("stale_if_error", 0),
                count("miss", 3),
                count("coalesced", 1),
                count("bypass", 0),
                count("done", 4),
                count("error", 1),
            ],
            cached_times: vec![bucket(96, 30), bucket(112, 12), bucket(640, 4)],
            other_times: vec![bucket(7_168, 1), bucket(229_376, 5), bucket(2_621_440, 3)],
            under_way: 2,
            last_call: 8,
            recent: if seconds > 0 {
                Vec::new()
            } else {
                vec![
                    call(15, "email_list", ALEX, "claude-code", "fresh", 84),
                    call(16, "email_search", BEA, "vscode", "error", 12_400),
                    call(17, "file_list", ALEX, "claude-code", "stale", 112),
                    call(18, "calendar_list_events", ALEX, "vscode", "coalesced", 231_000),
                    call(19, "email_send", ALEX, "claude-code", "done", 640_000),
                    call(20, "folder_get_tree", ALEX, "claude-code", "miss", 2_310_000),
                ]
            },
        }),
        ..StatusReply::default()
    }
}

fn busy() -> State {
    let mut state = State::new(Watch::default(), false);
    for second in 0..40 {
        // One second in seven nothing happens, and in the next one twice as much.
        let reply = reply(if second % 7 == 3 { second - 1 } else { second });
        state.look(Look { at: Duration::from_secs(second), seen: Ok(Box::new(reply)) });
    }
    state
}

fn picture(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_usual_terminal_shows_everything() {
    insta::assert_snapshot!("top_80x24", picture(&busy(), 80, 24));
}

#[test]
fn a_large_one_shows_all_tables() {
    insta::assert_snapshot!("top_120x40", picture(&busy(), 120, 40));
}

#[test]
fn the_other_tables_are_a_key_away() {
    let mut state = busy();
    state.key(Key::Next);
    insta::assert_snapshot!("top_clients", picture(&state, 80, 24));
    state.key(Key::Next);
    state.key(Key::Sort);
    insta::assert_snapshot!("top_accounts", picture(&state, 80, 24));
}

#[test]
fn help_lies_over_it() {
    let mut state = busy();
    state.key(Key::Help);
    insta::assert_snapshot!("top_help", picture(&state, 80, 24));
}

#[test]
fn a_small_one_has_the_figures_that_matter() {
    insta::assert_snapshot!("top_20x5", picture(&busy(), 20, 5));
}

#[test]
fn before_the_first_look_without_a_daemon_and_with_an_older_one_it_says_so() {
    let mut state = State::new(Watch::default(), false);
    assert!(picture(&state, 80, 24).contains("looking"));
    let older = StatusReply { activity: None, ..reply(0) };
    state.look(Look { at: Duration::ZERO, seen: Ok(Box::new(older)) });
    assert!(picture(&state, 80, 24).contains("older: `m365-cachectl restart`"));
    let gone = Fault::new(Kind::Config, "daemon_not_running", "no daemon is running for the profile", "");
    state.look(Look { at: Duration::from_secs(1), seen: Err(gone) });
    assert!(picture(&state, 80, 24).contains("waiting: no daemon runs"));
    assert!(picture(&state, 30, 8).contains("no daemon"));
}

#[test]
fn no_size_and_no_key_makes_it_panic() {
    let mut state = busy();
    let keys = [Key::Next, Key::Sort, Key::Down(3), Key::Help, Key::Hold, Key::Up(1), Key::Previous, Key::Help];
    for (at, (width, height)) in (1..=130).flat_map(|width| [1, 2, 5, 17, 18, 24, 35, 36, 60].map(|height| (width, height))).enumerate() {
        state.key(keys[at % keys.len()]);
        picture(&state, width, height);
    }
}

#[test]
fn a_name_cannot_play_with_the_terminal() {
    let mut state = State::new(Watch::default(), false);
    let mut hostile = reply(0);
    hostile.clients[0].name = "\u{1b}[2Jevil\u{9b}31m".into();
    hostile.activity.as_mut().unwrap().recent[0].client = "\u{1b}]0;evil\u{7}".into();
    state.look(Look { at: Duration::ZERO, seen: Ok(Box::new(hostile)) });
    for table in 0..2 {
        let picture = picture(&state, 120, 24);
        assert!(picture.contains("evil") && !picture.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{table}: {picture}");
        state.key(Key::Next);
    }
}
