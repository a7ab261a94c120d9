//! Shims of other versions: what is served, what is refused, and that neither waits in vain.

use std::{sync::Arc, time::Duration};

use m365_cached_proto::{
    PROTOCOL_MIN, PROTOCOL_VERSION,
    endpoint::mcp_client,
    v1::{ClientFrame, Eof, Hello, Welcome, client_frame::Frame as ToDaemon, server_frame::Frame as FromDaemon},
};
use tokio_stream::iter;

use crate::testing::{FakeCore, Running, soon};

/// What a shim of this protocol is told first.
async fn greeting(running: &Running, protocol: u32) -> Result<Welcome, tonic::Status> {
    let hello = Hello { protocol, shim_version: "0.0.9".into(), pid: 1, ..Hello::default() };
    let frames = [ToDaemon::Hello(hello), ToDaemon::Eof(Eof {})].map(|frame| ClientFrame { frame: Some(frame) });
    let mut client = mcp_client(running.connect().await);
    let mut stream = soon(client.session(iter(frames))).await?.into_inner();
    match soon(stream.message()).await?.and_then(|frame| frame.frame) {
        Some(FromDaemon::Welcome(welcome)) => Ok(welcome),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_version_it_speaks_is_served_and_every_other_is_told_what_to_do() {
    let running = Running::start(Ok(Arc::new(FakeCore::default())), Duration::from_secs(5)).await;
    for protocol in PROTOCOL_MIN..=PROTOCOL_VERSION {
        let welcome = greeting(&running, protocol).await.unwrap();
        assert_eq!((welcome.protocol_min, welcome.protocol_max), (PROTOCOL_MIN, PROTOCOL_VERSION));
    }
    let older = greeting(&running, PROTOCOL_MIN - 1).await.unwrap_err();
    assert!(older.code() == tonic::Code::FailedPrecondition && older.message().contains("restart the client"), "{older}");
    let newer = greeting(&running, PROTOCOL_VERSION + 1).await.unwrap_err();
    assert!(newer.code() == tonic::Code::FailedPrecondition && newer.message().contains("m365-cachectl restart"), "{newer}");
}
