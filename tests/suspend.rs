//! A laptop that sleeps for a night: everything has expired, the connections to Microsoft are dead, and all clients ask at once.

use std::{sync::mpsc, time::Duration};

use m365_cached_checks::support::{
    mcp::ERAS,
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault};
use rustix::process::Signal;
use serde_json::{Value, json};

const TOOLS: [&str; 3] = ["email_list", "emailfolders_list", "contact_list"];
const CLIENTS: usize = 12;
/// What Microsoft lets one mailbox ask at a time.
const AT_A_TIME: u64 = 4;

#[test]
fn waking_up_is_no_stampede() {
    let accounts = &[ALEX, BEA];
    let mut world = World::with(Setup { accounts, stopped_clock: true, ..Setup::default() }).unwrap();
    world.expect_log("connection");
    let ids = world.ids.clone();
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| world.client(ERAS[number % 2]).unwrap()).collect();
    for (client, id) in clients.iter_mut().zip(ids.iter().cycle()) {
        for tool in TOOLS {
            client.call(tool, &json!({"account_id": id})).unwrap().json().unwrap();
        }
    }

    let send = |world: &mut World, clients: &mut Vec<m365_cached_checks::support::mcp::Mcp>, signal| {
        world.daemon().signal(signal).unwrap();
        clients.iter_mut().for_each(|client| client.signal(signal).unwrap());
    };
    send(&mut world, &mut clients, Signal::STOP);
    world.control().advance(Duration::from_secs(8 * 3600));
    // The first requests go out on connections that are no more.
    world.control().fault(Fault { count: Some(4), route: None, ..Fault::always("", Effect::Reset { at: At::Before }) });
    world.control().reset_stats();
    send(&mut world, &mut clients, Signal::CONT);
    world.advance(Duration::from_secs(1)).unwrap();

    let (tell, heard) = mpsc::channel();
    let answers: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let asking: Vec<_> = clients
            .iter_mut()
            .zip(ids.iter().cycle())
            .map(|(client, id)| {
                let tell = tell.clone();
                scope.spawn(move || {
                    let answers = TOOLS.map(|tool| client.call(tool, &json!({"account_id": id})).unwrap().plain().unwrap()).to_vec();
                    // Nobody waits any more when another one has failed.
                    let _ = tell.send(());
                    answers
                })
            })
            .collect();
        drop(tell);
        // The pauses before further attempts are the daemon's time, which stands still by itself.
        while heard.recv_timeout(Duration::from_millis(100)) != Err(mpsc::RecvTimeoutError::Disconnected) {
            world.control().advance(Duration::from_millis(500));
        }
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &answers[number % ids.len()], "client {number}");
    }
    let stats = world.control().stats();
    assert_eq!(stats.alike, 1, "nothing is asked twice at once");
    assert_eq!(stats.throttled, 0);
    assert!(stats.peak.values().all(|peak| *peak <= AT_A_TIME), "{:?}", stats.peak);
    assert!(stats.tokens.get("refresh_token").is_some_and(|count| *count <= 2), "one for each account: {:?}", stats.tokens);
    let distinct = TOOLS.len() * ids.len();
    assert!(stats.requests as usize <= 4 + 3 * distinct, "{} requests for {distinct} answers: {:?}", stats.requests, stats.routes);
    world.control().clear_faults(None);
}
