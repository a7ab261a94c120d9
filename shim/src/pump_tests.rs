//! Tests of the whole shim against a daemon in this process that can be killed.

use std::pin::Pin;
use std::time::Duration;

use m365_cached_proto::v1::client_frame::Frame as ToDaemon;
use m365_cached_proto::v1::mcp_server::{Mcp, McpServer};
use m365_cached_proto::v1::server_frame::Frame as FromDaemon;
use m365_cached_proto::v1::{ClientFrame, ServerFrame, Welcome};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::start::DAEMON_VARIABLE;

const DEADLINE: Duration = Duration::from_secs(20);

/// Answers `echo` with its params, `big` with as many bytes as asked, and never answers `tools/call`.
struct Fake {
    calls: std::sync::mpsc::Sender<Value>,
}

#[async_trait::async_trait]
impl Mcp for Fake {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>;

    async fn session(&self, request: Request<Streaming<ClientFrame>>) -> Result<Response<Self::SessionStream>, Status> {
        let mut frames = request.into_inner();
        // A daemon may well want the introduction before it opens its side.
        let hello = frames.message().await?;
        assert!(matches!(hello.and_then(|frame| frame.frame), Some(ToDaemon::Hello(_))));
        let (to, answers) = mpsc::channel(8);
        let calls = self.calls.clone();
        tokio::spawn(async move {
            let frame = |frame| Ok(ServerFrame { frame: Some(frame) });
            let welcome = Welcome {
                instance: "i".into(),
                protocol_min: 1,
                protocol_max: 1,
                read_only_tools: vec!["peek".into()],
                ..Welcome::default()
            };
            to.send(frame(FromDaemon::Welcome(welcome))).await.ok();
            while let Some(Ok(ClientFrame { frame: Some(ToDaemon::Line(line)) })) = frames.next().await {
                let line: Value = serde_json::from_slice(&line).unwrap();
                let result = match line["method"].as_str() {
                    Some("echo") => line["params"].clone(),
                    Some("big") => "x".repeat(usize::try_from(line["params"].as_u64().unwrap()).unwrap()).into(),
                    _ => {
                        calls.send(line).ok();
                        continue;
                    }
                };
                let answer = json!({"jsonrpc":"2.0","id":line["id"],"result":result});
                to.send(frame(FromDaemon::Line(format!("{answer}\n").into()))).await.ok();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// A daemon on a thread; dropping it is `kill -9`.
struct Daemon {
    kill: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    calls: std::sync::mpsc::Receiver<Value>,
}

impl Daemon {
    fn start(profile: &Profile) -> Self {
        let socket = profile.socket().to_owned();
        let (kill, killed) = oneshot::channel();
        let (report, calls) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _ = std::fs::remove_file(&socket);
                let listener = tokio::net::UnixListener::bind(&socket).unwrap();
                let service = McpServer::new(Fake { calls: report }).max_decoding_message_size(m365_cached_proto::MAX_MESSAGE_IN);
                let serve = tonic::transport::Server::builder().add_service(service).serve_with_incoming(UnixListenerStream::new(listener));
                tokio::select! {
                    _ = serve => {}
                    _ = killed => {}
                }
            });
        });
        Self { kill: Some(kill), thread: Some(thread), calls }
    }

    /// The next call that will never be answered.
    fn call(&self) -> Value {
        self.calls.recv_timeout(DEADLINE).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.kill.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A client with a shim.
struct Client {
    reader: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    shim: tokio::task::JoinHandle<io::Result<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Client {
    fn start(profile: &Profile) -> Self {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let input = Input::from_fd(theirs.try_clone().unwrap().into()).unwrap();
        let output = Output::from_fd(theirs.into()).unwrap();
        // Reads nothing from the null device and ends: the test brings its own daemon.
        let starter = Starter::new(profile.clone(), &|name| (name == DAEMON_VARIABLE).then(|| "/bin/sh".into()));
        let pump = Pump::new(profile.clone(), starter, Hello::default(), input, output);
        let (stop, stopped) = oneshot::channel();
        let shim = tokio::task::spawn_local(pump.run(async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        let (reader, writer) = UnixStream::from_std(ours).unwrap().into_split();
        Self { reader: BufReader::new(reader).lines(), writer, shim, stop: Some(stop) }
    }

    async fn send(&mut self, line: &Value) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        let line = tokio::time::timeout(DEADLINE, self.reader.next_line()).await.expect("an answer in time").unwrap().expect("an answer");
        serde_json::from_str(&line).unwrap()
    }

    async fn ended(self) -> io::Result<()> {
        tokio::time::timeout(Duration::from_secs(2), self.shim).await.expect("ends within two seconds").unwrap()
    }
}

fn echo(id: u32) -> Value {
    json!({"jsonrpc":"2.0","id":id,"method":"echo","params":{"n":id}})
}

fn call(id: u32, tool: &str) -> Value {
    json!({"jsonrpc":"2.0","id":id,"method":"tools/call","params":{"name":tool}})
}

fn run(test: impl AsyncFnOnce(Profile)) {
    let dir = tempfile::tempdir().unwrap();
    // As a daemon wants it.
    #[cfg(unix)]
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let profile = Profile::at(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test(profile));
}

#[test]
fn lines_come_back_and_the_end_of_input_ends_the_shim() {
    run(async |profile| {
        let _daemon = Daemon::start(&profile);
        let mut client = Client::start(&profile);
        client.writer.write_all(b"\n  \n{\"jsonrpc\":\"2.0\",\"id\":1,\"met").await.unwrap();
        client.writer.write_all(b"hod\":\"echo\",\"params\":5}\r\n").await.unwrap();
        assert_eq!(client.receive().await["result"], 5);
        for id in 0..100 {
            client.send(&echo(id)).await;
        }
        for id in 0..100 {
            assert_eq!(client.receive().await["id"], id);
        }
        // The last line has no newline.
        client.writer.write_all(echo(7).to_string().as_bytes()).await.unwrap();
        client.writer.shutdown().await.unwrap();
        assert_eq!(client.receive().await["id"], 7);
        client.ended().await.unwrap();
    });
}

#[test]
fn a_killed_daemon_is_survived() {
    run(async |profile| {
        let daemon = Daemon::start(&profile);
        let mut client = Client::start(&profile);
        client.send(&call(1, "change")).await;
        client.send(&call(2, "peek")).await;
        // The client's thread is also the shim's: let it run until both calls are there.
        client.send(&echo(3)).await;
        assert_eq!(client.receive().await["id"], 3);
        assert_eq!((&daemon.call()["id"], &daemon.call()["id"]), (&json!(1), &json!(2)));
        drop(daemon);
        let lost = client.receive().await;
        assert_eq!((&lost["id"], &lost["result"]["isError"]), (&json!(1), &json!(true)));
        client.send(&echo(4)).await;
        let again = Daemon::start(&profile);
        assert_eq!(client.receive().await["id"], 4);
        assert_eq!(again.call()["id"], 2, "the read is sent again, the write is not");
        assert!(again.calls.try_recv().is_err());
    });
}

#[test]
fn a_line_waits_for_a_daemon_that_comes_later() {
    run(async |profile| {
        let mut client = Client::start(&profile);
        client.send(&echo(1)).await;
        // The shim has looked and found nothing when it has tried to start one.
        tokio::time::timeout(DEADLINE, async {
            while !profile.starter_file().exists() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        let _daemon = Daemon::start(&profile);
        assert_eq!(client.receive().await["id"], 1);
    });
}

#[test]
fn without_a_daemon_the_end_of_input_still_gives_an_answer() {
    run(async |profile| {
        let mut client = Client::start(&profile);
        client.send(&echo(1)).await;
        client.writer.shutdown().await.unwrap();
        assert_eq!(client.receive().await["error"]["code"], crate::link::said::UNREACHABLE);
        client.ended().await.unwrap();
    });
}

#[test]
fn a_request_to_stop_answers_what_is_in_flight() {
    run(async |profile| {
        let _daemon = Daemon::start(&profile);
        let mut client = Client::start(&profile);
        client.send(&echo(1)).await;
        assert_eq!(client.receive().await["id"], 1);
        client.send(&call(2, "change")).await;
        client.send(&echo(3)).await;
        assert_eq!(client.receive().await["id"], 3);
        client.stop.take().unwrap().send(()).unwrap();
        let lost = client.receive().await;
        assert_eq!((&lost["id"], &lost["result"]["isError"]), (&json!(2), &json!(true)));
        client.ended().await.unwrap();
    });
}

#[test]
fn a_client_that_dies_ends_its_shim() {
    run(async |profile| {
        let _daemon = Daemon::start(&profile);
        let mut client = Client::start(&profile);
        client.send(&json!({"jsonrpc":"2.0","id":1,"method":"big","params":3_000_000})).await;
        let Client { reader, writer, shim, .. } = client;
        drop((reader, writer));
        tokio::time::timeout(Duration::from_secs(3), shim).await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn huge_lines_are_refused_and_huge_answers_arrive() {
    run(async |profile| {
        let _daemon = Daemon::start(&profile);
        let mut client = Client::start(&profile);
        let filler = "x".repeat(MAX_LINE_IN);
        client.send(&json!({"jsonrpc":"2.0","method":"echo","params":filler,"id":"late"})).await;
        let refused = client.receive().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("late"), &json!(crate::link::said::INVALID_REQUEST)));
        let fits = "x".repeat(MAX_LINE_IN - 100);
        client.send(&json!({"jsonrpc":"2.0","id":2,"method":"echo","params":fits})).await;
        assert_eq!(client.receive().await["result"].as_str().map(str::len), Some(fits.len()));
        client.send(&json!({"jsonrpc":"2.0","id":3,"method":"big","params":10_000_000})).await;
        assert_eq!(client.receive().await["result"].as_str().map(str::len), Some(10_000_000));
        client.writer.write_all(b"{broken\n").await.unwrap();
        assert_eq!(client.receive().await["error"]["code"], crate::link::said::PARSE_ERROR);
    });
}
