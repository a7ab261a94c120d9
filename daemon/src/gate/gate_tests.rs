//! The gate: each limit stands, is named, and is open again when it was said to be.

use m365_cached::clock::ManualClock;

use super::*;

const NOW: Timestamp = Timestamp(1_795_165_200_000);

fn gate(change: impl FnOnce(&mut LimitSettings)) -> (Arc<Gate>, Arc<ManualClock>) {
    let mut limits = LimitSettings::default();
    change(&mut limits);
    let clock = Arc::new(ManualClock::at(NOW));
    (Gate::new(limits, clock.clone()), clock)
}

fn caller(client: &str, session: u64) -> Caller {
    Caller { client: client.into(), session, ..Caller::default() }
}

fn busy(refused: Result<Pass, Problem>) -> Busy {
    let Err(problem) = refused else { panic!("it was let in") };
    assert_eq!((problem.kind, problem.code.as_str()), (Kind::Throttled, "busy"));
    assert!(problem.message.contains("limits.") && problem.hint.contains("then try again"), "{problem:?}");
    *problem.busy.unwrap()
}

#[test]
fn calls_under_way_are_limited_by_connection_client_and_in_total() {
    let (gate, _) = gate(|limits| (limits.calls_per_connection, limits.calls_per_client, limits.calls) = (2, 3, 4));
    (1..=4).for_each(|session| gate.join(session, gate.held()));
    let enter = |client: &str, session| gate.enter(&caller(client, session), Class::Read, 0);
    let (_one, two) = (enter("a", 1).unwrap(), enter("a", 1).unwrap());
    assert_eq!(busy(enter("a", 1)).setting, "limits.calls_per_connection");
    let _three = enter("a", 2).unwrap();
    assert_eq!(busy(enter("a", 2)).setting, "limits.calls_per_client");
    let four = enter("b", 3).unwrap();
    let full = busy(enter("b", 4));
    assert_eq!((full.setting, full.limit, full.remaining), ("limits.calls", 4, 0));
    drop(two);
    drop(enter("a", 1).unwrap());
    drop(four);
    let usage = gate.usage();
    assert_eq!(usage.calls, 2);
    let refused = |name: &str| usage.refused.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!((refused("calls"), refused("calls_per_client"), refused("calls_per_connection"), refused("connections")), (1, 1, 1, 0));
}

#[test]
fn a_rate_is_by_client_and_class_and_ends_when_it_says() {
    let (gate, clock) = gate(|limits| (limits.reads_per_minute, limits.sends_per_minute) = (5, 1));
    let enter = |client: &str, class| gate.enter(&caller(client, 0), class, 0);
    gate.answered(&caller("a", 7), Class::Read);
    (0..4).for_each(|_| drop(enter("a", Class::Read).unwrap()));
    assert!(!gate.would_admit(&caller("a", 9), Class::Read) && gate.would_admit(&caller("b", 9), Class::Read));
    let full = busy(enter("a", Class::Read));
    assert_eq!((full.setting, full.limit), ("limits.reads_per_minute", 5));
    drop((enter("b", Class::Read).unwrap(), enter("a", Class::Write).unwrap(), enter("a", Class::Send).unwrap()));
    assert_eq!(busy(enter("a", Class::Send)).setting, "limits.sends_per_minute");
    clock.advance(full.reset - Duration::from_millis(1));
    busy(enter("a", Class::Read));
    clock.advance(Duration::from_millis(1));
    assert!(enter("a", Class::Read).is_ok());
}

#[test]
fn what_is_held_is_limited_and_given_back() {
    let (gate, _) = gate(|limits| (limits.held_bytes_per_connection, limits.held_bytes) = (100, 150));
    let (one, two) = (gate.held(), gate.held());
    gate.join(1, one.clone());
    gate.join(2, two.clone());
    one.add(60);
    assert_eq!(busy(gate.enter(&caller("a", 1), Class::Read, 50)).setting, "limits.held_bytes_per_connection");
    let pass = gate.enter(&caller("a", 1), Class::Read, 40).unwrap();
    assert_eq!(busy(gate.enter(&caller("a", 2), Class::Read, 60)).setting, "limits.held_bytes");
    assert_eq!(gate.usage().held_bytes, 100);
    drop(pass);
    gate.leave(1);
    drop(one);
    assert_eq!((gate.usage().held_bytes, two.bytes()), (0, 0));
}

#[test]
fn new_names_are_no_way_round_a_limit() {
    let (gate, clock) = gate(|limits| limits.reads_per_minute = 2);
    let let_in = (0..NAMES * 4).filter(|nth| gate.enter(&caller(&format!("name {nth}"), 0), Class::Read, 0).is_ok()).count();
    assert_eq!(let_in, NAMES + 2, "those past the first names share a place");
    assert!(!gate.would_admit(&caller("one more", 0), Class::Read) && gate.state().clients.len() <= NAMES + 1);
    clock.advance(Duration::from_secs(61));
    assert!(gate.enter(&caller("one more", 0), Class::Read, 0).is_ok() && gate.state().clients.len() < 5, "old names are forgotten");
    let long = "é".repeat(1 << 20);
    assert!(name_of(&caller(&long, 0)).len() < 1000);
}

#[test]
fn a_refusal_costs_its_connection_a_wait() {
    let (gate, _) = gate(|limits| limits.reads_per_minute = 1);
    gate.join(1, gate.held());
    gate.join(2, gate.held());
    drop(gate.enter(&caller("a", 1), Class::Read, 0).unwrap());
    assert!(!gate.penalty(1));
    busy(gate.enter(&caller("a", 1), Class::Read, 0));
    assert!(gate.penalty(1) && !gate.penalty(1) && !gate.penalty(2));
}

#[test]
fn clients_and_lines_are_limited() {
    let (gate, _) = gate(|limits| (limits.connections, limits.frame_bytes) = (1, 100_000));
    assert!(gate.room().is_ok());
    gate.join(1, gate.held());
    assert_eq!(gate.room().unwrap_err().busy.unwrap().setting, "limits.connections");
    gate.leave(1);
    assert!(gate.room().is_ok());
    assert!(gate.frame(100_000).is_ok());
    let problem = gate.frame(100_001).unwrap_err();
    assert_eq!((problem.kind, problem.busy.unwrap().limit), (Kind::User, 100_000));
}

#[test]
fn classes_follow_the_risk_of_a_tool() {
    let of = |tool| Class::of(tool);
    assert_eq!((of("email_list"), of("email_mark_read"), of("email_delete")), (Class::Read, Class::Write, Class::Write));
    assert_eq!((of("email_send"), of("no such tool")), (Class::Send, Class::Read));
}
