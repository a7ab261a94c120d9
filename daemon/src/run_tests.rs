//! Tests of a daemon's life: it drains, it ends, it leaves nothing behind.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use m365_cached_proto::{
    endpoint::{admin_client, connect, tools_client},
    v1::{self, client_frame::Frame as ToDaemon, server_frame::Frame as FromDaemon},
};
use serde_json::json;

use crate::{
    core::Core,
    manager::Manager,
    testing::{FakeCore, Running, locked, soon},
};

/// A service manager that waits so long for a sign of life, and what it hears.
pub(super) fn manager(watchdog: Duration) -> (Manager, tokio::net::UnixDatagram, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let ear = tokio::net::UnixDatagram::bind(&path).unwrap();
    let told = |name: &str| match name {
        "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
        "WATCHDOG_USEC" => Some(watchdog.as_micros().to_string().into()),
        _ => None,
    };
    (Manager::told_by(&told, 1), ear, dir)
}

/// What it hears next.
pub(super) async fn next(ear: &tokio::net::UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = ear.recv(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_manager_is_told_of_each_state() {
    for (core, said) in [(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), "ready"), (Err(locked()), "locked: The keyring is locked.")] {
        let (manager, ear, _dir) = manager(Duration::from_secs(3600));
        let running = Running::start_by(core, Duration::from_secs(5), manager).await;
        assert_eq!(soon(next(&ear)).await, format!("READY=1\nSTATUS={said}"));
        admin_client(running.connect().await).status(v1::StatusRequest::default()).await.unwrap();
        assert_eq!(soon(next(&ear)).await, "WATCHDOG=1", "a locked daemon is alive too");
        running.signal.send(()).unwrap();
        assert_eq!(soon(next(&ear)).await, "STOPPING=1\nSTATUS=finishing the calls under way");
        soon(running.task).await.unwrap();
    }
}

#[tokio::test]
async fn a_daemon_whose_store_hangs_gives_no_sign_of_life() {
    let core = Arc::new(FakeCore::default());
    let (manager, ear, _dir) = manager(Duration::from_millis(30));
    let running = Running::start_by(Ok(Arc::clone(&core) as Arc<dyn Core>), Duration::from_millis(20), manager).await;
    assert!(soon(next(&ear)).await.starts_with("READY=1"));
    for _ in 0..5 {
        assert_eq!(soon(next(&ear)).await, "WATCHDOG=1");
    }
    core.stuck.store(true, Ordering::SeqCst);
    // The one that was under way may still come; then none for many times the pause between two, though the runtime works.
    let mut late = 0;
    while tokio::time::timeout(Duration::from_millis(500), next(&ear)).await.is_ok() {
        late += 1;
        assert!(late <= 5, "the signs go on");
    }
    running.signal.send(()).unwrap();
    assert!(soon(next(&ear)).await.starts_with("STOPPING=1"));
    soon(running.task).await.unwrap();
}

fn hold() -> v1::CallToolRequest {
    v1::CallToolRequest { name: "hold".into(), arguments: Default::default(), dry_run: false }
}

#[tokio::test]
async fn a_call_in_flight_is_finished_before_the_end() {
    for by_signal in [true, false] {
        let core = Arc::new(FakeCore::default());
        let running = Running::start(Ok(Arc::clone(&core) as Arc<dyn Core>), Duration::from_secs(15)).await;
        let channel = running.connect().await;
        let mut tools = tools_client(channel.clone());
        let call = tokio::spawn(async move { tools.call_tool(hold()).await });
        soon(core.held.notified()).await;
        if by_signal {
            running.signal.send(()).unwrap();
        } else {
            admin_client(channel.clone()).stop(v1::StopRequest {}).await.unwrap();
            // Kept open: a sender that is dropped would count as the signal.
            std::mem::forget(running.signal);
        }
        // The listener closes at once: nobody new gets in while the rest is finished.
        soon(async {
            while connect(&running.profile).await.is_ok() {
                tokio::task::yield_now().await
            }
        })
        .await;
        assert!(!running.task.is_finished() && !core.shut.load(Ordering::SeqCst));
        core.release.notify_one();
        assert!(soon(call).await.unwrap().is_ok());
        drop(channel);
        soon(running.task).await.unwrap();
        assert!(core.shut.load(Ordering::SeqCst));
        assert_eq!(core.calls.load(Ordering::SeqCst), 1);
        assert!(!running.profile.socket().exists());
    }
}

/// A line that crosses the word of the end is answered: the client could not know.
#[tokio::test]
async fn a_line_that_crosses_the_word_of_the_end_is_taken() {
    let running = Running::start(Ok(Arc::new(FakeCore::default())), Duration::from_secs(15)).await;
    let mut client = running.attach().await;
    client.initialize().await;
    running.signal.send(()).unwrap();
    assert!(matches!(client.next().await, Some(FromDaemon::Drain(_))));
    client.line(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).await;
    client.send(ToDaemon::Eof(v1::Eof {})).await;
    assert_eq!(client.message().await["id"], 2, "it was not taken");
    assert_eq!(client.next().await, None);
    soon(running.task).await.unwrap();
}

/// Not longer, and, as `session_tests` shows, no shorter.
#[tokio::test]
async fn a_client_is_answered_for_as_long_as_the_daemon_drains() {
    let core = Arc::new(FakeCore::default());
    let running = Running::start(Ok(Arc::clone(&core) as Arc<dyn Core>), Duration::from_millis(20)).await;
    let mut client = running.attach().await;
    client.initialize().await;
    client.line(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "hold"}})).await;
    soon(core.held.notified()).await;
    running.signal.send(()).unwrap();
    assert!(matches!(client.next().await, Some(FromDaemon::Drain(_))));
    client.send(ToDaemon::Eof(v1::Eof {})).await;
    let ended = tokio::time::timeout(Duration::from_secs(4), client.next()).await;
    assert_eq!(ended.expect("rmcp's own five seconds count"), None);
    soon(running.task).await.unwrap();
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_hold_the_daemon() {
    let core = Arc::new(FakeCore::default());
    let running = Running::start(Ok(Arc::clone(&core) as Arc<dyn Core>), Duration::from_millis(20)).await;
    let mut tools = tools_client(running.connect().await);
    let call = tokio::spawn(async move { tools.call_tool(hold()).await });
    soon(core.held.notified()).await;
    running.signal.send(()).unwrap();
    soon(running.task).await.unwrap();
    assert!(core.shut.load(Ordering::SeqCst));
    call.abort();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_daemon() {
    let running = Running::start(Ok(Arc::new(FakeCore::default())), Duration::from_secs(60)).await;
    let mut admin = admin_client(running.connect().await);
    admin.status(v1::StatusRequest::default()).await.unwrap();
    running.signal.send(()).unwrap();
    soon(running.task).await.unwrap();
}

#[tokio::test]
async fn half_a_line_from_a_stranger_harms_nobody() {
    use tokio::io::AsyncWriteExt;
    let running = Running::start(Ok(Arc::new(FakeCore::default())), Duration::from_secs(5)).await;
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff", b"", &[0; 4096]] {
        let mut stream = tokio::net::UnixStream::connect(running.profile.socket()).await.unwrap();
        // The daemon may hang up at any byte.
        let _ = stream.write_all(bytes).await;
        drop(stream);
        let mut admin = admin_client(running.connect().await);
        assert_eq!(admin.status(v1::StatusRequest::default()).await.unwrap().into_inner().state, "ready");
    }
}
