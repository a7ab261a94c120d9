//! Tests of the services over a real socket: what they answer with an engine, and without one.

use std::{sync::Arc, time::Duration};

use m365_cached_proto::{
    endpoint::{admin_client, records_client, tools_client},
    v1::{self, login_event::Event},
};
use tonic::Status;

use crate::{
    core::Core,
    testing::{FakeCore, Running, locked, soon},
};

const DRAIN: Duration = Duration::from_secs(10);

fn fault(status: &Status) -> v1::Fault {
    v1::Fault::from_status(status)
}

fn call(name: &str, arguments: &str) -> v1::CallToolRequest {
    v1::CallToolRequest { name: name.into(), arguments: arguments.to_owned().into(), dry_run: false }
}

#[tokio::test]
async fn who_watches_is_told_of_calls_and_nobody_else() {
    let running = Running::start(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), DRAIN).await;
    let channel = running.connect().await;
    let (mut admin, mut tools) = (admin_client(channel.clone()), tools_client(channel));
    let secret = "{\"account_id\":\"ada@contoso.example\",\"query\":\"canary-7f3a\"}";
    tools.call_tool(call("email_list", secret)).await.unwrap();
    tools.call_tool(call("fail", "{}")).await.unwrap_err();
    let unasked = admin.status(v1::StatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(unasked.activity, None, "as before, for a person's `status` and for an older program");
    let told = admin.status(v1::StatusRequest { activity: true, after_call: 0 }).await.unwrap().into_inner().activity.unwrap();
    assert!(!format!("{told:?}").contains("canary-7f3a") && !format!("{told:?}").contains("contoso"), "{told:?}");
    let count = |status: &str| told.counts.iter().find(|count| count.status == status).unwrap().count;
    assert_eq!((count("done"), count("error"), count("fresh"), told.last_call), (1, 1, 0, 2));
    assert_eq!(told.other_times.iter().map(|bucket| bucket.count).sum::<u64>(), 2);
    let [done, failed] = told.recent.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (done.tool.as_str(), done.account.as_str(), done.client.as_str(), done.status.as_str()),
        ("email_list", "1.2", "cachectl", "done")
    );
    assert_eq!((failed.tool.as_str(), failed.status.as_str(), failed.code.as_str()), ("unknown", "error", "throttled"));
    let later = admin.status(v1::StatusRequest { activity: true, after_call: 2 }).await.unwrap().into_inner().activity.unwrap();
    assert!(later.recent.is_empty() && later.last_call == 2, "{later:?}");
    admin.logout(v1::LogoutRequest { account: "ada@contoso.example".into() }).await.unwrap();
    let left = admin.status(v1::StatusRequest { activity: true, after_call: 0 }).await.unwrap().into_inner().activity.unwrap();
    assert_eq!(left.recent.iter().map(|call| call.number).collect::<Vec<_>>(), [2], "an account that has gone is not told of");
}

#[tokio::test]
async fn a_locked_daemon_says_why_to_every_verb() {
    let running = Running::start(Err(locked()), DRAIN).await;
    let channel = running.connect().await;
    let mut records = records_client(channel.clone());
    let (mut admin, mut tools) = (admin_client(channel.clone()), tools_client(channel));
    let status = admin.status(v1::StatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(status.state, "locked");
    let expected = v1::Fault::new(v1::Kind::Config, "keyring_locked", "The keyring is locked.", "Unlock it.");
    assert_eq!(status.locked, Some(expected.clone()));
    assert_eq!((status.store, status.profile.unwrap().demo), (None, true));
    assert_eq!(tools.list_tools(v1::ListToolsRequest::default()).await.unwrap().into_inner().tools.len(), 1);
    let short = tools.list_tools(v1::ListToolsRequest { profile: "essential".into() }).await.unwrap().into_inner();
    assert_eq!((short.tools[0].tokens, short.configured.as_str()), (10, "full"));
    let none = tools.list_tools(v1::ListToolsRequest { profile: "mail".into() }).await.unwrap().into_inner();
    assert!(none.tools.is_empty());
    let refused = tools.list_tools(v1::ListToolsRequest { profile: "all".into() }).await.unwrap_err();
    assert!(refused.message().contains("`all`"), "{refused}");

    let refusals = [
        tools.call_tool(call("email_list", "{}")).await.err(),
        tools.call_tool(call("no_such_tool", "not json")).await.err(),
        admin.accounts(v1::AccountsRequest {}).await.err(),
        admin.login(v1::LoginRequest::default()).await.err(),
        admin.logout(v1::LogoutRequest::default()).await.err(),
        admin.stats(v1::StatsRequest::default()).await.err(),
        admin.invalidate(v1::InvalidateRequest::default()).await.err(),
        admin.cancel_task(v1::CancelTaskRequest::default()).await.err(),
        admin.warm(v1::WarmRequest::default()).await.err(),
        records.audit(v1::AuditRequest::default()).await.err(),
        records.verify_audit(v1::VerifyAuditRequest::default()).await.err(),
        records.export(v1::ExportAccountRequest::default()).await.err(),
        records.erase(v1::EraseRequest::default()).await.err(),
        records.compliance(v1::ComplianceRequest {}).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(fault(&refusal.unwrap()), expected);
    }
    assert_eq!(admin.stop(v1::StopRequest {}).await.unwrap().into_inner().pid, std::process::id());
    soon(running.task).await.unwrap();
}

#[tokio::test]
async fn verbs_reach_the_engine_and_answers_come_back() {
    let core = Arc::new(FakeCore::default());
    let running = Running::start(Ok(Arc::clone(&core) as Arc<dyn Core>), DRAIN).await;
    let channel = running.connect().await;
    let (mut admin, mut tools) = (admin_client(channel.clone()), tools_client(channel));

    let status = admin.status(v1::StatusRequest::default()).await.unwrap().into_inner();
    assert_eq!((status.state.as_str(), status.caching, status.instance.len()), ("ready", true, 16));
    assert_eq!((status.store.unwrap().entries, status.graph.unwrap().requests, status.queue.unwrap().failed), (3, 7, 3));
    assert_eq!((status.accounts[0].state.as_str(), status.warnings.len()), ("signed_in", 1));

    let accounts = admin.accounts(v1::AccountsRequest {}).await.unwrap().into_inner().accounts;
    let kinds: Vec<&str> = accounts.iter().map(|account| account.account_type.as_str()).collect();
    assert_eq!(kinds, ["work_school", "personal"]);
    assert_eq!(accounts[1].state, "sign_in_required");
    let logout = admin.logout(v1::LogoutRequest { account: "ada@contoso.example".into() }).await.unwrap().into_inner();
    assert_eq!(logout.entries_deleted, 5);
    let stats = admin.stats(v1::StatsRequest { period: "week".into(), account: String::new() }).await.unwrap().into_inner();
    let total = stats.total.unwrap();
    assert_eq!((total.hits, total.saved_graph_calls, stats.period.as_str()), (1, 2, "week"));
    assert_eq!((stats.by_tool[0].hits, stats.by_account[0].stored_bytes), (1, 3));
    let unknown = admin.stats(v1::StatsRequest { period: "year".into(), account: String::new() }).await.unwrap_err();
    assert_eq!(fault(&unknown).code, "unknown_period");
    let request = v1::InvalidateRequest { pattern: "email_list".into(), ..v1::InvalidateRequest::default() };
    assert_eq!(admin.invalidate(request).await.unwrap().into_inner().entries_deleted, 10);
    let task = admin.cancel_task(v1::CancelTaskRequest { task_id: "t".into() }).await.unwrap().into_inner().task;
    assert_eq!(task, r#"{"task_id":"t"}"#.as_bytes());

    let mut events = admin.warm(v1::WarmRequest::default()).await.unwrap().into_inner();
    let begun = soon(events.message()).await.unwrap().unwrap();
    assert_eq!((begun.total, begun.fresh, begun.ended), (3, 1, false));
    assert_eq!(soon(events.message()).await.unwrap(), None, "nobody waits for the rest");
    let mut events = admin.warm(v1::WarmRequest { wait: true, ..v1::WarmRequest::default() }).await.unwrap().into_inner();
    assert_eq!(soon(events.message()).await.unwrap(), Some(begun));
    let ended = soon(events.message()).await.unwrap().unwrap();
    assert_eq!((ended.fetched, ended.failed, ended.failure(), ended.ended), (1, 1, v1::Kind::Denied, true));
    assert_eq!(soon(events.message()).await.unwrap(), None);

    let text = tools.call_tool(call("email_list", "{\"q\":\"a\\\"b\"}")).await.unwrap().into_inner().text;
    assert_eq!(text, r#"{"tool":"email_list","args":{"q":"a\"b"},"client":"cachectl"}"#);
    assert!(tools.call_tool(call("email_list", "")).await.is_ok());
    let rehearsed = v1::CallToolRequest { dry_run: true, ..call("email_send", "{}") };
    assert_eq!(tools.call_tool(rehearsed).await.unwrap().into_inner().text, r#"{"rehearsed":"email_send"}"#);
    let asked = fault(&tools.call_tool(call("ask", "{\"to\":\"bea\"}")).await.unwrap_err()).consent.unwrap();
    assert_eq!(
        (asked.question.as_str(), asked.argument.as_str(), &asked.value[..]),
        ("Ask (ask, dangerous)?\nto: bea", "confirm", &b"true"[..])
    );
    for (arguments, says) in [("[1]", "not an object"), ("{\"secret\": hunter2}", "not JSON"), ("\u{1}", "not JSON")] {
        let refusal = fault(&tools.call_tool(call("email_list", arguments)).await.unwrap_err());
        assert_eq!((refusal.code.as_str(), refusal.kind()), ("bad_arguments", v1::Kind::User));
        assert!(refusal.message.contains(says) && !refusal.message.contains("hunter2"), "{}", refusal.message);
    }
    let refusal = fault(&tools.call_tool(call("fail", "{}")).await.unwrap_err());
    assert_eq!((refusal.kind(), refusal.code.as_str(), refusal.hint.as_str()), (v1::Kind::Throttled, "throttled", "Wait."));
}

#[tokio::test]
async fn a_sign_in_tells_its_steps_and_can_be_given_up() {
    let core = Arc::new(FakeCore::default());
    let running = Running::start(Ok(Arc::clone(&core) as Arc<dyn Core>), DRAIN).await;
    let mut admin = admin_client(running.connect().await);

    let request = v1::LoginRequest { username: "ada".into(), ..v1::LoginRequest::default() };
    let mut events = admin.login(request).await.unwrap().into_inner();
    let Some(Event::OpenUrl(open)) = soon(events.message()).await.unwrap().unwrap().event else { panic!("no address") };
    assert_eq!(open.url, "http://localhost/?hint=ada");
    core.sign_in.notify_one();
    let Some(Event::SignedIn(account)) = soon(events.message()).await.unwrap().unwrap().event else { panic!("no account") };
    assert_eq!(account.username, "ada@contoso.example");
    assert!(soon(events.message()).await.unwrap().is_none());

    let mut events = admin.login(v1::LoginRequest { device: true, ..v1::LoginRequest::default() }).await.unwrap().into_inner();
    let Some(Event::DeviceCode(code)) = soon(events.message()).await.unwrap().unwrap().event else { panic!("no code") };
    assert_eq!(code.user_code, "ABC");
    drop(events);
    soon(core.given_up.notified()).await;

    // The end of the daemon does not wait for a person.
    let mut events = admin.login(v1::LoginRequest::default()).await.unwrap().into_inner();
    soon(events.message()).await.unwrap();
    running.signal.send(()).unwrap();
    assert_eq!(fault(&soon(events.message()).await.unwrap_err()).code, "draining");
    soon(running.task).await.unwrap();
}

#[tokio::test]
async fn the_trail_and_the_rights_reach_the_engine() {
    let running = Running::start(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), DRAIN).await;
    let mut records = records_client(running.connect().await);
    let asked = v1::AuditRequest { kinds: vec!["read".into()], ..v1::AuditRequest::default() };
    let mut stream = records.audit(asked).await.unwrap().into_inner();
    assert_eq!(&stream.message().await.unwrap().unwrap().record[..], br#"{"seq":1,"kinds":["read"]}"#);
    assert!(stream.message().await.unwrap().is_none());
    let head = format!("7:{}", "ab".repeat(32));
    let verified = records.verify_audit(v1::VerifyAuditRequest { noted: head.clone() }).await.unwrap().into_inner();
    assert_eq!((verified.holds, verified.head), (true, head));
    let wrong = records.verify_audit(v1::VerifyAuditRequest { noted: "x".into() }).await.unwrap_err();
    assert_eq!(fault(&wrong).code, "malformed_head");
    let mut pieces = records.export(v1::ExportAccountRequest { account: "1.2".into() }).await.unwrap().into_inner();
    let piece = pieces.message().await.unwrap().unwrap();
    assert_eq!((piece.section.as_str(), &piece.value[..]), ("account", br#""1.2""#.as_slice()));
    let erased = records.erase(v1::EraseRequest { account: "1.2".into() }).await.unwrap().into_inner();
    assert!(erased.complete && erased.left["entries"] == 0 && erased.entries == 2);
    assert_eq!(&records.compliance(v1::ComplianceRequest {}).await.unwrap().into_inner().report[..], br#"{"holds":true}"#);
}

#[tokio::test]
async fn what_of_the_trail_was_asked_for_comes_whole_though_the_daemon_stops() {
    /// More than the windows of a connection hold, so that most of it is still to come.
    const MANY: u64 = 20_000;
    let running = Running::start(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), DRAIN).await;
    let mut records = records_client(running.connect().await);
    let follow = v1::AuditRequest { follow: true, ..v1::AuditRequest::default() };
    let mut follower = records.audit(follow).await.unwrap().into_inner();
    let asked = v1::AuditRequest { limit: MANY, kinds: vec!["read".repeat(250)], ..v1::AuditRequest::default() };
    let mut stream = records.audit(asked).await.unwrap().into_inner();
    assert!(soon(stream.message()).await.unwrap().is_some() && soon(follower.message()).await.unwrap().is_some());
    running.signal.send(()).unwrap();
    assert!(soon(follower.message()).await.unwrap().is_none(), "whoever follows is let go");
    let mut came = 1;
    while soon(stream.message()).await.unwrap_or_else(|error| panic!("behind {came}: {error}")).is_some() {
        came += 1;
    }
    assert_eq!(came, MANY);
    soon(running.task).await.unwrap();
}

#[test]
fn what_of_the_trail_is_cut_short_by_the_end_is_an_error() {
    // One dies with the daemon, as its process does.
    let [daemons, clients] = [(); 2].map(|()| tokio::runtime::Runtime::new().unwrap());
    let running = daemons.block_on(Running::start(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), Duration::ZERO));
    let mut stream = clients.block_on(async {
        let asked = v1::AuditRequest { limit: 20_000, kinds: vec!["read".repeat(250)], ..v1::AuditRequest::default() };
        let mut stream = records_client(running.connect().await).audit(asked).await.unwrap().into_inner();
        assert!(soon(stream.message()).await.unwrap().is_some());
        stream
    });
    running.signal.send(()).unwrap();
    daemons.block_on(soon(running.task)).unwrap();
    drop(daemons);
    clients.block_on(async { while soon(stream.message()).await.map(|record| record.expect("it is not told as whole")).is_ok() {} });
}
