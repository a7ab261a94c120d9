//! Tests of a daemon's life: it drains, it ends, it leaves nothing behind.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use m365_cached_proto::{
    endpoint::{admin_client, connect, tools_client},
    v1,
};

use crate::{
    core::Core,
    testing::{FakeCore, Running, soon},
};

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
            while connect(running.profile.socket()).await.is_ok() {
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
    admin.status(v1::StatusRequest {}).await.unwrap();
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
        assert_eq!(admin.status(v1::StatusRequest {}).await.unwrap().into_inner().state, "ready");
    }
}
