//! Tests of the state machine: told stories first, then random ones against rules that must always hold.

use std::collections::BTreeMap;

use m365_cached_proto::v1::Drain;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const READ: &str = "email_get";
const WRITE: &str = "email_move";

/// A client and a network around one link.
struct Scene {
    link: Link,
    now: Duration,
    out: Out,
    instance: u32,
    seen_by_daemon: Vec<Value>,
    seen_by_client: Vec<Value>,
    starts: u32,
    /// How often it was to look for another process than that, and which.
    looks: Vec<u32>,
    /// Another client is starting a daemon.
    somebody_starts: bool,
    exit: bool,
}

impl Scene {
    fn new() -> Self {
        Self {
            link: Link::new(Hello::default(), 7),
            now: Duration::ZERO,
            out: Out::default(),
            instance: 1,
            seen_by_daemon: Vec::new(),
            seen_by_client: Vec::new(),
            starts: 0,
            looks: Vec::new(),
            somebody_starts: false,
            exit: false,
        }
    }

    /// One that is connected and welcomed.
    fn up() -> Self {
        let mut scene = Self::new();
        scene.reconnect();
        scene
    }

    fn act(&mut self, event: impl FnOnce(&mut Link, Duration, &mut Out)) {
        event(&mut self.link, self.now, &mut self.out);
        let out = std::mem::take(&mut self.out);
        for line in out.client {
            assert!(line.ends_with(b"\n"), "every line ends");
            self.seen_by_client.push(serde_json::from_slice(&line).unwrap());
        }
        for frame in out.daemon {
            self.seen_by_daemon.push(match frame {
                ToDaemon::Line(line) => serde_json::from_slice(&line).unwrap(),
                ToDaemon::Hello(hello) => json!({"hello": hello.epoch}),
                ToDaemon::Eof(_) => json!("eof"),
            });
        }
        if out.start && !self.somebody_starts {
            self.starts += 1;
            self.link.started(self.now);
        }
        assert!(!(out.dial && out.look.is_some()), "one of both");
        self.looks.extend(out.look);
        self.exit |= out.exit;
    }

    fn client(&mut self, line: &Value) {
        let line = Bytes::from(line.to_string());
        self.act(|link, now, out| link.line(now, line, out));
    }

    fn daemon(&mut self, line: &Value) {
        let frame = ServerFrame { frame: Some(FromDaemon::Line(format!("{line}\n").into())) };
        self.act(|link, now, out| link.frame(now, frame, out));
    }

    fn drain(&mut self, drain: Drain) {
        self.act(|link, now, out| link.frame(now, ServerFrame { frame: Some(FromDaemon::Drain(drain)) }, out));
    }

    fn lose(&mut self) {
        self.act(|link, now, out| link.disconnected(now, "killed".into(), out));
    }

    fn connect(&mut self) {
        self.wait_for_dial();
        self.act(Link::connected);
    }

    fn welcome(&mut self) {
        let welcome = Welcome {
            daemon_version: "0.1.0".into(),
            instance: self.instance.to_string(),
            protocol_min: 1,
            protocol_max: 1,
            read_only_tools: vec![READ.into()],
        };
        let frame = ServerFrame { frame: Some(FromDaemon::Welcome(welcome)) };
        self.act(|link, now, out| link.frame(now, frame, out));
    }

    fn reconnect(&mut self) {
        self.connect();
        self.welcome();
    }

    fn wait_for_dial(&mut self) {
        for _ in 0..1000 {
            if matches!(self.link.phase, Phase::Dialing(_)) {
                return;
            }
            self.now = self.link.wake_at().unwrap().max(self.now);
            self.act(Link::tick);
        }
        panic!("no attempt to connect: {:?}", self.link.phase);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.act(Link::tick);
    }

    fn fail_dial(&mut self) {
        self.fail_dial_after(None);
    }

    fn fail_dial_after(&mut self, ended: Option<End>) {
        let failure = DialFailure { not_running: true, ended, message: "nobody listens".into() };
        self.act(|link, now, out| link.dial_failed(now, failure, out));
    }

    fn handshake(&mut self) {
        self.client(&json!({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}));
        self.daemon(&json!({"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{"listChanged":true}}}}));
        self.client(&json!({"jsonrpc":"2.0","method":"notifications/initialized"}));
    }

    fn forget(&mut self) {
        self.seen_by_client.clear();
        self.seen_by_daemon.clear();
    }
}

fn call(id: u32, tool: &str) -> Value {
    json!({"jsonrpc":"2.0","id":id,"method":"tools/call","params":{"name":tool,"arguments":{}}})
}

fn answer(id: u32) -> Value {
    json!({"jsonrpc":"2.0","id":id,"result":{"ok":true}})
}

fn listen() -> Value {
    json!({"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{}})
}

fn acknowledged() -> Value {
    json!({"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged",
        "params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}})
}

#[test]
fn lines_are_held_until_the_welcome_and_keep_their_order() {
    let mut scene = Scene::new();
    scene.client(&call(1, WRITE));
    scene.client(&call(2, READ));
    scene.connect();
    assert_eq!(scene.seen_by_daemon, [json!({"hello": 0})]);
    scene.client(&call(3, READ));
    scene.welcome();
    assert_eq!(scene.seen_by_daemon[1..], [call(1, WRITE), call(2, READ), call(3, READ)]);
}

#[test]
fn without_a_daemon_each_request_hears_so_after_eight_seconds_and_the_next_tries_again() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    scene.wait_for_dial();
    while scene.now < HOLD {
        if matches!(scene.link.phase, Phase::Dialing(_)) {
            scene.fail_dial();
        }
        let wake = scene.link.wake_at().unwrap();
        assert!(wake <= scene.now + Duration::from_millis(250), "an urgent wait is short");
        scene.now = wake;
        scene.act(Link::tick);
    }
    assert_eq!(scene.starts, 4, "one start in two seconds");
    assert_eq!(scene.seen_by_client.len(), 1);
    let error = &scene.seen_by_client[0];
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(said::UNREACHABLE)));
    assert!(error["error"]["message"].as_str().unwrap().contains("nobody listens"));
    assert!(error["error"]["data"]["hint"].as_str().unwrap().contains("m365-cachectl status"));
    assert!(!scene.exit);

    scene.forget();
    if matches!(scene.link.phase, Phase::Dialing(_)) {
        scene.fail_dial();
    }
    scene.pass(Duration::from_secs(60));
    scene.client(&call(2, READ));
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon.last(), Some(&call(2, READ)));
}

/// A turn that somebody else has is no start: it is taken as soon as it is free, long before the next start would be due.
#[test]
fn who_found_somebody_else_starting_starts_one_when_that_came_to_nothing() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    scene.somebody_starts = true;
    for _ in 0..30 {
        scene.wait_for_dial();
        scene.fail_dial();
    }
    let freed = scene.now;
    assert_eq!(scene.starts, 0);
    scene.somebody_starts = false;
    scene.wait_for_dial();
    scene.fail_dial();
    assert_eq!(scene.starts, 1);
    assert!(scene.now <= freed + Duration::from_millis(100), "{:?}", scene.now - freed);
}

/// The daemon that was started met one in the last milliseconds of its life.
#[test]
fn a_daemon_that_gave_way_is_soon_started_again_and_one_that_failed_is_not() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    let gave_way = Some(End::GaveWay);
    for (ended, starts) in [(None, 1), (gave_way, 1), (None, 2), (Some(End::Failed), 2)] {
        scene.wait_for_dial();
        scene.fail_dial_after(ended);
        scene.pass(Duration::from_millis(100));
        assert_eq!(scene.starts, starts);
    }
    while scene.now < Duration::from_secs(7) {
        scene.wait_for_dial();
        scene.fail_dial_after(gave_way);
    }
    assert!(scene.starts <= 12, "{} starts in seven seconds", scene.starts);
}

/// A daemon that drains takes no connections and keeps every other one out: an orderly restart, and no client hears of it.
#[test]
fn while_a_daemon_is_on_its_way_out_calls_wait_for_the_next_one() {
    let drain = |scene: &mut Scene| scene.drain(Drain::default());
    let list = json!({"jsonrpc":"2.0","id":"l","method":"tools/list"});
    let mut scene = Scene::up();
    drain(&mut scene);
    let began = scene.now;
    scene.client(&call(1, WRITE));
    scene.client(&list);
    scene.pass(Duration::from_secs(3));
    scene.lose();
    while scene.now < began + HOLD_LEAVING - Duration::from_secs(1) {
        scene.wait_for_dial();
        scene.fail_dial_after(Some(End::GaveWay));
    }
    assert_eq!(scene.seen_by_client.len(), 1, "{:?}", scene.seen_by_client);
    assert_eq!(scene.seen_by_client[0]["id"], "l", "what clients wait for no longer is not held longer");
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon.last(), Some(&call(1, WRITE)));
    scene.daemon(&answer(1));
    scene.forget();
    // The next one is lost without a word, and nobody keeps another from starting.
    scene.lose();
    scene.client(&call(2, READ));
    scene.pass(HOLD);
    assert_eq!(scene.seen_by_client[0]["id"], 2);

    // One that cannot start is none that is on its way out.
    let mut scene = Scene::up();
    drain(&mut scene);
    scene.client(&call(1, WRITE));
    scene.lose();
    scene.wait_for_dial();
    scene.fail_dial_after(Some(End::Failed));
    scene.pass(HOLD);
    assert_eq!(scene.seen_by_client[0]["error"]["code"], said::UNREACHABLE);
    // And it is not waited for without end.
    let mut scene = Scene::up();
    drain(&mut scene);
    scene.client(&call(1, WRITE));
    scene.lose();
    scene.pass(HOLD_LEAVING);
    assert_eq!(scene.seen_by_client[0]["error"]["code"], said::UNREACHABLE);
}

/// A client that begins while a daemon is on its way out.
#[test]
fn a_handshake_waits_too_for_a_daemon_that_is_kept_out() {
    let mut scene = Scene::new();
    scene.client(&json!({"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}));
    scene.wait_for_dial();
    scene.fail_dial();
    while scene.now < HOLD_LEAVING - Duration::from_secs(1) {
        scene.wait_for_dial();
        scene.fail_dial_after(Some(End::GaveWay));
    }
    assert_eq!(scene.seen_by_client, [] as [Value; 0]);
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon.last().unwrap()["method"], "initialize");
}

#[test]
fn nobody_starts_a_daemon_while_nobody_asks() {
    let mut scene = Scene::up();
    scene.lose();
    for _ in 0..50 {
        scene.wait_for_dial();
        scene.fail_dial();
    }
    assert_eq!(scene.starts, 0);
    assert!(scene.now > Duration::from_secs(120), "waits grow");
}

#[test]
fn a_missing_program_is_said_at_once() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    scene.act(|link, now, out| link.start_failed(now, "no m365-cached found".into(), out));
    assert_eq!(scene.seen_by_client[0]["id"], 1);
}

#[test]
fn reads_are_sent_again_and_writes_are_answered_honestly() {
    let mut scene = Scene::up();
    scene.client(&call(1, READ));
    scene.client(&call(2, WRITE));
    scene.client(&json!({"jsonrpc":"2.0","id":"l","method":"tools/list"}));
    scene.client(&json!({"jsonrpc":"2.0","id":"x","method":"something/else"}));
    scene.forget();
    scene.lose();
    let lost = &scene.seen_by_client[0];
    assert_eq!((&lost["id"], &lost["result"]["isError"]), (&json!(2), &json!(true)));
    assert_eq!(lost["result"]["content"][0]["text"], said::UNKNOWN_OUTCOME);
    assert_eq!(lost["result"].get("resultType"), None);
    assert_eq!((&scene.seen_by_client[1]["id"], &scene.seen_by_client[1]["error"]["code"]), (&json!("x"), &json!(said::LOST)));
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon, [json!({"hello": 1}), call(1, READ), json!({"jsonrpc":"2.0","id":"l","method":"tools/list"})]);
    scene.daemon(&answer(1));
    assert_eq!(scene.seen_by_client.last(), Some(&answer(1)));
}

#[test]
fn a_modern_client_gets_its_result_type() {
    let mut scene = Scene::up();
    let mut write = call(2, WRITE);
    write["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    scene.client(&write);
    scene.lose();
    assert_eq!(scene.seen_by_client[0]["result"]["resultType"], "complete");
}

#[test]
fn a_request_that_outlives_three_daemons_is_not_tried_on_a_fourth() {
    let mut scene = Scene::up();
    scene.client(&call(1, READ));
    for _ in 0..2 {
        scene.lose();
        assert_eq!(scene.seen_by_client, [] as [Value; 0]);
        scene.reconnect();
    }
    scene.lose();
    assert_eq!(scene.seen_by_client[0]["id"], 1);
}

#[test]
fn the_legacy_handshake_is_repeated_in_private() {
    let mut scene = Scene::up();
    scene.handshake();
    scene.client(&call(1, READ));
    scene.forget();
    scene.lose();
    scene.instance = 2;
    scene.reconnect();
    let replay = &scene.seen_by_daemon[1];
    assert_eq!((&replay["method"], &replay["params"]["protocolVersion"]), (&json!("initialize"), &json!("2025-11-25")));
    assert_eq!(scene.seen_by_daemon.len(), 2, "the rest waits for the answer");
    scene.daemon(&json!({"jsonrpc":"2.0","id":replay["id"],"result":{"capabilities":{}}}));
    assert_eq!(scene.seen_by_daemon[2]["method"], "notifications/initialized");
    assert_eq!(scene.seen_by_daemon[3], call(1, READ));
    assert_eq!(scene.seen_by_client, [json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})]);
}

#[test]
fn a_daemon_that_drains_during_the_repeated_handshake_tells_the_client_nothing() {
    let mut scene = Scene::up();
    scene.handshake();
    scene.lose();
    scene.reconnect();
    let replay = scene.seen_by_daemon.last().unwrap()["id"].clone();
    scene.forget();
    scene.drain(Drain::default());
    scene.daemon(&json!({"jsonrpc":"2.0","id":replay,"result":{}}));
    assert_eq!((scene.seen_by_client, scene.seen_by_daemon), (vec![], vec![json!("eof")]));
}

#[test]
fn an_open_subscription_survives_unseen() {
    let mut scene = Scene::up();
    let (listen, acknowledged) = (listen(), acknowledged());
    scene.client(&listen);
    scene.daemon(&acknowledged);
    assert_eq!(scene.seen_by_client.first(), Some(&acknowledged));
    // More daemons than one that takes a request up and dies of it would get.
    for _ in 0..2 * MAX_SENDS {
        scene.forget();
        scene.lose();
        scene.reconnect();
        assert_eq!(scene.seen_by_daemon[1], listen);
        scene.daemon(&acknowledged);
        assert_eq!(scene.seen_by_client, [] as [Value; 0]);
    }
}

/// The daemon that was asked first went before it had said so.
#[test]
fn a_subscription_that_nobody_has_acknowledged_is_acknowledged_by_the_next_daemon() {
    let mut scene = Scene::up();
    scene.client(&listen());
    for _ in 0..2 {
        scene.lose();
        scene.reconnect();
    }
    scene.daemon(&acknowledged());
    assert_eq!(scene.seen_by_client, [acknowledged()]);
}

/// Nobody asks for anything: whoever has stopped the daemon, or works on its files for long, is not to be disturbed.
#[test]
fn an_open_subscription_starts_no_daemon_and_outlasts_any_time_without_one() {
    let mut scene = Scene::up();
    scene.client(&listen());
    scene.daemon(&acknowledged());
    scene.forget();
    scene.lose();
    for _ in 0..50 {
        scene.wait_for_dial();
        scene.fail_dial();
    }
    assert_eq!((scene.starts, scene.seen_by_client.len()), (0, 0), "{:?}", scene.seen_by_client);
    assert!(scene.now > Duration::from_secs(120), "waits grow");
    // Nor does a daemon of another version end it.
    scene.connect();
    let other = Welcome { protocol_min: 7, protocol_max: 7, ..Welcome::default() };
    scene.act(|link, now, out| link.frame(now, ServerFrame { frame: Some(FromDaemon::Welcome(other)) }, out));
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon.last(), Some(&listen()));
    scene.daemon(&acknowledged());
    assert_eq!(scene.seen_by_client, [] as [Value; 0]);

    // Whoever asks meanwhile is served at once, as ever.
    scene.lose();
    for _ in 0..50 {
        scene.wait_for_dial();
        scene.fail_dial();
    }
    scene.client(&call(1, READ));
    let asked = scene.now;
    scene.wait_for_dial();
    scene.fail_dial();
    assert_eq!((scene.starts, scene.now), (1, asked));
    // The one that was taken back is asked of nobody.
    scene.client(&json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"sub"}}));
    scene.forget();
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon[1..], [call(1, READ)]);
}

/// At a socket that a service manager keeps, to connect is to start a daemon.
#[test]
fn who_asks_for_nothing_wakes_no_daemon_that_was_stopped() {
    let stopped = |pid, socket_stays| {
        let mut scene = Scene::up();
        scene.client(&listen());
        scene.daemon(&acknowledged());
        scene.drain(Drain { pid, socket_stays, ..Drain::default() });
        scene.lose();
        scene.forget();
        scene
    };
    // One that goes on in its own place, or whose socket goes with it, is dialled at once.
    for (pid, socket_stays) in [(0, true), (7, false)] {
        let mut scene = stopped(pid, socket_stays);
        scene.wait_for_dial();
        assert_eq!(scene.looks, [0; 0]);
    }

    let mut scene = stopped(7, true);
    while scene.now < Duration::from_secs(120) {
        scene.now = scene.link.wake_at().unwrap();
        scene.act(Link::tick);
        assert!(matches!(scene.link.phase, Phase::Down(_)), "it knocks");
    }
    assert!((12..40).contains(&scene.looks.len()) && scene.looks.iter().all(|pid| *pid == 7), "{:?}", scene.looks);
    // Somebody else has woken it.
    scene.act(Link::another_serves);
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon.last(), Some(&listen()));

    // Whoever asks is served at once.
    let mut scene = stopped(7, true);
    scene.pass(Duration::from_secs(60));
    scene.client(&call(1, READ));
    let asked = scene.now;
    scene.wait_for_dial();
    assert_eq!(scene.now, asked);
    scene.reconnect();
    scene.daemon(&answer(1));
    // The next one is another matter.
    scene.lose();
    scene.looks.clear();
    scene.wait_for_dial();
    assert_eq!(scene.looks, [0; 0]);
}

/// Its client waits for the word that it is open.
#[test]
fn a_subscription_that_nobody_has_acknowledged_waits_as_any_request_does() {
    let mut scene = Scene::up();
    scene.client(&listen());
    scene.lose();
    scene.wait_for_dial();
    scene.fail_dial();
    assert_eq!(scene.starts, 1);
    scene.pass(HOLD);
    assert_eq!((&scene.seen_by_client[0]["id"], &scene.seen_by_client[0]["error"]["code"]), (&json!("sub"), &json!(said::UNREACHABLE)));
}

#[test]
fn an_id_that_waits_for_its_answer_is_not_given_to_another_request() {
    for up in [true, false] {
        let mut scene = if up { Scene::up() } else { Scene::new() };
        let call = |name: &str| json!({"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":name}});
        scene.client(&call("email_send"));
        for _ in 0..2 * MAX_CALLS {
            scene.client(&call("email_delete"));
        }
        assert!(scene.link.wants_input(), "the client is not heard any more");
        assert_eq!(scene.seen_by_client.len(), 2 * MAX_CALLS);
        let refused = &scene.seen_by_client[0];
        // It must not pass for the answer to the one that waits.
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&Value::Null, &json!(said::INVALID_REQUEST)), "{refused}");
        if !up {
            scene.reconnect();
        }
        let sent = scene.seen_by_daemon.iter().filter(|line| line["method"] == "tools/call").collect::<Vec<_>>();
        assert_eq!(sent, [&call("email_send")]);
        scene.daemon(&json!({"jsonrpc":"2.0","id":5,"result":{}}));
        scene.client(&call("email_delete"));
        assert_eq!(scene.seen_by_daemon.last().unwrap(), &call("email_delete"), "it is free again");
    }
}

#[test]
fn an_id_is_a_number_however_it_is_written() {
    let mut scene = Scene::up();
    for (written, answered) in [("1.0", "1"), ("1e2", "100"), ("-0", "0"), ("12.5", "12.5"), ("1.5e300", "1.5e+300")] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{written},"method":"tools/call","params":{{"name":"x"}}}}"#);
        scene.act(|link, now, out| link.line(now, line.into_bytes().into(), out));
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{answered},\"result\":{{}}}}\n");
        let frame = ServerFrame { frame: Some(FromDaemon::Line(answer.into_bytes().into())) };
        scene.act(|link, now, out| link.frame(now, frame, out));
        assert_eq!(scene.link.calls(), 0, "{written}");
    }
}

#[test]
fn what_an_older_client_watches_is_asked_of_every_daemon_and_it_sees_nothing_of_it() {
    let mut scene = Scene::up();
    scene.handshake();
    let ask = |id: &str, method: &str, uri: &str| json!({"jsonrpc":"2.0","id":id,"method":method,"params":{"uri":uri}});
    let done = |id: &Value| json!({"jsonrpc":"2.0","id":id,"result":{}});
    for (id, thing) in [("a", "inbox"), ("b", "calendar"), ("f", "drive")] {
        scene.client(&ask(id, "resources/subscribe", &format!("m365://x/{thing}")));
        scene.daemon(&done(&json!(id)));
    }
    scene.client(&ask("c", "resources/subscribe", "m365://nobody/inbox"));
    scene.daemon(&json!({"jsonrpc":"2.0","id":"c","error":{"code":-32002,"message":"no"}}));
    scene.client(&ask("d", "resources/unsubscribe", "m365://x/inbox"));
    scene.daemon(&done(&json!("d")));
    for daemon in 0..3 {
        scene.forget();
        scene.lose();
        // What is asked meanwhile comes after what was promised.
        scene.client(&ask("e", "resources/subscribe", "m365://x/calendar"));
        scene.reconnect();
        let replay = scene.seen_by_daemon[1]["id"].clone();
        scene.daemon(&done(&replay));
        let asked: Vec<(&Value, &Value)> =
            scene.seen_by_daemon[3..].iter().map(|asked| (&asked["method"], &asked["params"]["uri"])).collect();
        let (subscribe, calendar, drive) = (json!("resources/subscribe"), json!("m365://x/calendar"), json!("m365://x/drive"));
        assert_eq!(asked, [(&subscribe, &calendar), (&subscribe, &drive), (&subscribe, &calendar)], "daemon {daemon}");
        let ours = [3, 4].map(|nth| scene.seen_by_daemon[nth]["id"].clone());
        assert!(ours[0] != ours[1] && scene.seen_by_daemon[5]["id"] == "e", "{ours:?}");
        // Refused or granted, the client is told nothing of it.
        scene.daemon(&json!({"jsonrpc":"2.0","id":ours[0],"error":{"code":-32002,"message":"not yet"}}));
        scene.daemon(&done(&ours[1]));
        assert_eq!(scene.seen_by_client.iter().filter(|line| line.get("id").is_some()).count(), 0, "{:?}", scene.seen_by_client);
        scene.daemon(&done(&json!("e")));
        assert_eq!(scene.seen_by_client.last().unwrap()["id"], "e");
    }
    // A client that begins anew watches nothing.
    scene.handshake();
    scene.lose();
    scene.forget();
    scene.reconnect();
    let replay = scene.seen_by_daemon[1]["id"].clone();
    scene.daemon(&done(&replay));
    let asked: Vec<&Value> = scene.seen_by_daemon[1..].iter().map(|asked| &asked["method"]).collect();
    assert_eq!(asked, ["initialize", "notifications/initialized"]);
}

#[test]
fn a_late_answer_never_reaches_another_daemons_question() {
    let mut scene = Scene::up();
    let question = json!({"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{}});
    scene.daemon(&question);
    let outward = scene.seen_by_client[0]["id"].clone();
    scene.forget();
    scene.lose();
    assert_eq!(scene.seen_by_client[0]["method"], "notifications/cancelled");
    assert_eq!(scene.seen_by_client[0]["params"]["requestId"], outward);
    scene.reconnect();
    scene.daemon(&question);
    let second = scene.seen_by_client[1]["id"].clone();
    assert_ne!(outward, second);
    scene.client(&json!({"jsonrpc":"2.0","id":outward,"result":{"action":"accept"}}));
    assert_eq!(scene.seen_by_daemon.len(), 1, "only the hello: the late answer is dropped");
    scene.client(&json!({"jsonrpc":"2.0","id":second,"result":{"action":"decline"}}));
    assert_eq!(scene.seen_by_daemon[1], json!({"jsonrpc":"2.0","id":0,"result":{"action":"decline"}}));
}

#[test]
fn the_daemon_withdraws_its_question_under_the_name_the_client_knows() {
    let mut scene = Scene::up();
    scene.daemon(&json!({"jsonrpc":"2.0","id":"q","method":"roots/list"}));
    scene.daemon(&json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}));
    assert_eq!(scene.seen_by_client[1]["params"]["requestId"], scene.seen_by_client[0]["id"]);
}

#[test]
fn a_cancelled_request_is_neither_sent_again_nor_answered() {
    let mut scene = Scene::up();
    let cancel = json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}});
    scene.client(&call(1, WRITE));
    scene.client(&cancel);
    assert_eq!(scene.seen_by_daemon.last(), Some(&cancel));
    scene.lose();
    scene.client(&call(1, READ));
    scene.client(&cancel);
    scene.forget();
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon, [json!({"hello": 1})]);
    assert_eq!(scene.seen_by_client, [] as [Value; 0]);
}

/// Its answer may be on its way, and would pass for that of the next one.
#[test]
fn the_id_of_a_cancelled_request_is_not_taken_again_while_an_answer_may_come() {
    let mut scene = Scene::up();
    let cancel = |id: u32| json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":id}});
    scene.client(&call(1, READ));
    scene.client(&cancel(1));
    scene.client(&call(1, READ));
    assert_eq!((scene.seen_by_client.len(), &scene.seen_by_client[0]["id"]), (1, &Value::Null));
    scene.forget();
    scene.daemon(&answer(1));
    assert_eq!(scene.seen_by_client, [] as [Value; 0], "nobody waits for it");
    scene.client(&call(1, READ));
    assert_eq!(scene.seen_by_daemon, [call(1, READ)], "it is free again");
    scene.client(&cancel(1));
    scene.lose();
    scene.reconnect();
    scene.forget();
    scene.client(&call(1, READ));
    assert_eq!(scene.seen_by_daemon, [call(1, READ)], "another daemon answers nothing of it");
    for id in 10..10 + 2 * MAX_CANCELLED as u32 {
        scene.client(&call(id, READ));
        scene.client(&cancel(id));
    }
    assert_eq!(scene.link.cancelled.len(), MAX_CANCELLED);
}

#[test]
fn a_draining_daemon_gets_nothing_more_and_answers_what_it_has() {
    let mut scene = Scene::up();
    scene.client(&call(1, WRITE));
    scene.forget();
    scene.drain(Drain { reason: "upgrade".into(), ..Drain::default() });
    assert_eq!(scene.seen_by_daemon, [json!("eof")], "it hears where the lines end that crossed its word");
    scene.forget();
    scene.client(&call(2, WRITE));
    assert_eq!(scene.seen_by_daemon, [] as [Value; 0]);
    scene.daemon(&answer(1));
    scene.lose();
    assert_eq!(scene.seen_by_client, [answer(1)]);
    scene.reconnect();
    assert_eq!(scene.seen_by_daemon, [json!({"hello": 1}), call(2, WRITE)]);
}

#[test]
fn a_daemon_of_another_protocol_is_refused_with_words() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    scene.connect();
    let welcome = Welcome { daemon_version: "9.0.0".into(), protocol_min: 7, protocol_max: 9, ..Welcome::default() };
    let frame = ServerFrame { frame: Some(FromDaemon::Welcome(welcome)) };
    scene.link.frame(scene.now, frame, &mut scene.out);
    assert!(scene.out.hang_up);
    scene.act(Link::tick);
    let message = scene.seen_by_client[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("9.0.0") && message.contains("7 to 9"), "{message}");
}

#[test]
fn a_daemon_that_speaks_our_protocol_among_others_is_taken() {
    for (min, max) in [(1, 1), (0, 1), (1, 2), (0, 9)] {
        let mut scene = Scene::new();
        scene.client(&call(1, READ));
        scene.connect();
        let welcome = Welcome { daemon_version: "9.0.0".into(), protocol_min: min, protocol_max: max, ..Welcome::default() };
        scene.act(|link, now, out| link.frame(now, ServerFrame { frame: Some(FromDaemon::Welcome(welcome)) }, out));
        assert_eq!(scene.seen_by_daemon.last(), Some(&call(1, READ)), "{min} to {max}");
        // A frame that only newer ones know is passed over.
        scene.act(|link, now, out| link.frame(now, ServerFrame { frame: None }, out));
        scene.daemon(&answer(1));
        assert_eq!(scene.seen_by_client, [answer(1)]);
    }
}

#[test]
fn a_daemon_that_accepts_and_never_speaks_is_left() {
    let mut scene = Scene::new();
    scene.client(&call(1, READ));
    scene.connect();
    scene.now += HOLD;
    scene.link.tick(scene.now, &mut scene.out);
    assert!(scene.out.hang_up);
    scene.act(Link::tick);
    assert_eq!(scene.seen_by_client[0]["error"]["code"], said::UNREACHABLE);
}

#[test]
fn the_end_of_input_lets_answers_out_and_then_ends() {
    let mut scene = Scene::up();
    scene.client(&call(1, WRITE));
    scene.act(Link::end_of_input);
    assert_eq!(scene.seen_by_daemon.last(), Some(&json!("eof")));
    assert!(!scene.exit);
    scene.daemon(&answer(1));
    assert!(!scene.exit, "the daemon may still end the stream");
    scene.lose();
    assert!(scene.exit);
    assert_eq!(scene.seen_by_client, [answer(1)]);
}

#[test]
fn the_end_of_input_is_over_within_its_time() {
    let mut scene = Scene::up();
    scene.client(&call(1, WRITE));
    scene.act(Link::end_of_input);
    scene.now = scene.link.wake_at().unwrap();
    assert!(scene.now < Duration::from_secs(2));
    scene.act(Link::tick);
    assert!(scene.exit);
    assert_eq!(scene.seen_by_client[0]["id"], 1);

    let mut idle = Scene::up();
    idle.act(Link::end_of_input);
    idle.pass(LINGER);
    assert!(idle.exit);
}

/// Nobody went away but the client, and what a read would have changed is known.
#[test]
fn what_the_end_of_input_cuts_off_is_told_the_truth() {
    let mut scene = Scene::up();
    scene.client(&call(1, READ));
    scene.client(&call(2, WRITE));
    scene.client(&json!({"jsonrpc":"2.0","id":3,"method":"tools/list"}));
    scene.act(Link::end_of_input);
    scene.pass(CLOSING);
    assert!(scene.exit);
    let [read, write, list] = scene.seen_by_client.as_slice() else { panic!("{:?}", scene.seen_by_client) };
    assert_eq!((&read["id"], &read["result"]["content"][0]["text"]), (&json!(1), &json!(said::CUT_OFF)));
    assert_eq!((&write["id"], &write["result"]["content"][0]["text"]), (&json!(2), &json!(said::CUT_OFF_UNKNOWN)));
    assert_eq!((&list["id"], &list["error"]["code"], &list["error"]["message"]), (&json!(3), &json!(said::LOST), &json!(said::CUT_OFF)));
}

#[test]
fn a_subscription_ends_with_its_client_and_nothing_is_said_of_it() {
    for up in [true, false] {
        let mut scene = if up { Scene::up() } else { Scene::new() };
        scene.client(&listen());
        scene.act(Link::end_of_input);
        scene.pass(LINGER);
        assert!(scene.exit && scene.seen_by_client.is_empty(), "{:?}", scene.seen_by_client);
    }
}

#[test]
fn broken_lines_are_answered_here() {
    let mut scene = Scene::up();
    scene.act(|link, now, out| link.line(now, Bytes::from_static(b"{nope"), out));
    assert_eq!(scene.seen_by_client[0]["error"]["code"], said::PARSE_ERROR);
    assert_eq!(scene.seen_by_client[0]["id"], Value::Null);
    let over = Oversize { head: Bytes::from_static(b"{\"id\":4,"), tail: Bytes::new(), length: 5_000_000 };
    scene.act(|link, _, out| link.oversize(&over, out));
    assert_eq!((&scene.seen_by_client[1]["id"], &scene.seen_by_client[1]["error"]["code"]), (&json!(4), &json!(said::INVALID_REQUEST)));
    assert_eq!(scene.seen_by_daemon.len(), 1, "only the hello");
}

#[test]
fn a_flood_is_left_in_the_pipe() {
    let mut scene = Scene::new();
    let mut sent = 0;
    while scene.link.wants_input() {
        scene.client(&call(sent, READ));
        sent += 1;
    }
    assert_eq!(sent as usize, MAX_CALLS);
    scene.reconnect();
    assert!(!scene.link.wants_input());
    scene.daemon(&answer(0));
    assert!(scene.link.wants_input());
}

#[derive(Debug, Clone)]
enum Event {
    Read,
    Write,
    Cancel(usize),
    Answer(usize),
    /// Whether the socket stays.
    Drain(bool),
    Lose,
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Read),
        3 => Just(Event::Write),
        1 => (0_usize..8).prop_map(Event::Cancel),
        5 => (0_usize..8).prop_map(Event::Answer),
        1 => any::<bool>().prop_map(Event::Drain),
        2 => Just(Event::Lose),
        3 => (0_u64..3000).prop_map(Event::Advance),
    ]
}

/// What happened to each request.
#[derive(Default)]
struct Fate {
    write: bool,
    sent: u32,
    answered: u32,
    cancelled: bool,
}

/// Runs a random history. Whether a dial succeeds is drawn as well.
fn history(legacy: bool, events: Vec<Event>, dials: &[bool]) -> Result<(), TestCaseError> {
    let mut scene = Scene::up();
    if legacy {
        scene.handshake();
    }
    scene.forget();
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    // What the current daemon has been asked and has not answered.
    let mut open: Vec<Value> = Vec::new();
    let mut dials = dials.iter().copied().cycle();
    let mut id = 100;
    for event in events.into_iter().chain([Event::Advance(1)]) {
        let connected = matches!(scene.link.phase, Phase::Up | Phase::Draining | Phase::Replaying(_) | Phase::Greeting(_));
        match event {
            Event::Read | Event::Write => {
                id += 1;
                let write = matches!(event, Event::Write);
                fates.insert(u64::from(id), Fate { write, ..Fate::default() });
                scene.client(&call(id, if write { WRITE } else { READ }));
            }
            Event::Cancel(nth) => {
                let waiting = fates.iter_mut().filter(|(_, fate)| fate.answered == 0 && !fate.cancelled).nth(nth);
                if let Some((id, fate)) = waiting {
                    fate.cancelled = true;
                    scene.client(&json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":id}}));
                }
            }
            Event::Answer(nth) if connected && !open.is_empty() => {
                let id = open.remove(nth % open.len());
                scene.daemon(&json!({"jsonrpc":"2.0","id":id,"result":{}}));
            }
            Event::Drain(socket_stays) if connected => scene.drain(Drain { pid: 7, socket_stays, ..Drain::default() }),
            Event::Lose if connected => {
                open.clear();
                scene.instance += 1;
                scene.lose();
            }
            Event::Advance(ms) => scene.pass(Duration::from_millis(ms)),
            _ => {}
        }
        if !scene.looks.is_empty() && dials.next().unwrap_or(true) {
            scene.act(Link::another_serves);
        }
        scene.looks.clear();
        if matches!(scene.link.phase, Phase::Dialing(_)) {
            if dials.next().unwrap_or(true) {
                scene.act(Link::connected);
                scene.welcome();
                open.clear();
            } else {
                scene.fail_dial();
            }
        }
        let mut replaying = false;
        for line in scene.seen_by_daemon.drain(..) {
            if line.get("hello").is_some() {
                replaying = legacy;
                continue;
            }
            match line["method"].as_str() {
                Some("initialize") => {
                    prop_assert!(line["id"].as_str().unwrap().starts_with("m365-mcp:"));
                    replaying = false;
                    open.push(line["id"].clone());
                }
                Some("tools/call") => {
                    prop_assert!(!replaying, "nothing passes before the handshake");
                    let fate = fates.get_mut(&line["id"].as_u64().unwrap()).unwrap();
                    fate.sent += 1;
                    prop_assert!(!fate.cancelled, "a cancelled request is not sent");
                    prop_assert!(fate.answered == 0, "an answered request is not sent");
                    prop_assert!(!fate.write || fate.sent == 1, "a write is sent once");
                    open.push(line["id"].clone());
                }
                _ => {}
            }
        }
        for line in scene.seen_by_client.drain(..) {
            let Some(id) = line.get("id") else { continue };
            let fate = fates.get_mut(&id.as_u64().expect("no private id gets out")).unwrap();
            fate.answered += 1;
            prop_assert_eq!(fate.answered, 1, "one answer each");
        }
    }
    scene.act(Link::end_of_input);
    scene.pass(CLOSING);
    prop_assert!(scene.exit);
    for line in scene.seen_by_client.drain(..) {
        let Some(id) = line.get("id") else { continue };
        fates.get_mut(&id.as_u64().unwrap()).unwrap().answered += 1;
    }
    for (id, fate) in &fates {
        let fits = if fate.cancelled { fate.answered <= 1 } else { fate.answered == 1 };
        prop_assert!(fits, "request {} has {} answers (cancelled: {})", id, fate.answered, fate.cancelled);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_request_has_one_answer_and_no_write_runs_twice(
        legacy in any::<bool>(),
        events in proptest::collection::vec(event(), 0..60),
        dials in proptest::collection::vec(any::<bool>(), 1..6),
    ) {
        history(legacy, events, &dials)?;
    }
}
