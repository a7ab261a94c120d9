//! For tests: a scripted HTTP/1.1 server on loopback, a place for tokens in memory, replies.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

use super::{AuthError, Http, HttpSettings, TokenPort, identity::TokenReply};
use crate::{cloud::Cloud, ids::AccountId, secret::Secret};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection ends without an answer.
    Hangup,
    /// The head promises more than comes.
    Truncate,
    /// As `Reply`, and the connection ends before these many further bytes that the head promises.
    Cut(u16, Vec<(&'static str, String)>, Vec<u8>, usize),
}

impl Act {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Reply(status, vec![("content-type", "application/json".into())], body.to_string().into_bytes())
    }
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Reply(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Reply(status, headers, body)
            }
            other => other,
        }
    }
}

type Acting = Pin<Box<dyn Future<Output = Act> + Send>>;
type Handler = Arc<dyn Fn(usize, Seen) -> Acting + Send + Sync>;

/// The server. Stops with the runtime of its test.
pub(crate) struct Server {
    pub(crate) root: Url,
    seen: watch::Receiver<Vec<Seen>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves with `handler`, which is given the number of the request from 0.
    pub(crate) async fn start<F>(handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Act> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (tell, seen) = watch::channel(Vec::new());
        let (tell, connections) = (Arc::new(tell), Arc::new(AtomicUsize::new(0)));
        let handler: Handler = Arc::new(move |number, seen| Box::pin(handler(number, seen)));
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, handler.clone(), tell.clone()));
            }
        });
        Self { root, seen, connections }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits until `count` requests have arrived.
    pub(crate) async fn arrived(&self, count: usize) {
        let mut seen = self.seen.clone();
        within(seen.wait_for(|seen| seen.len() >= count)).await.unwrap();
    }

    /// Identity and Graph both here.
    pub(crate) fn cloud(&self) -> Cloud {
        Cloud { name: "demo".into(), identity: self.root.clone(), graph: self.root.clone(), downloads: Vec::new(), ca_pem: None }
    }

    pub(crate) fn http(&self) -> Arc<Http> {
        Arc::new(Http::new(self.cloud(), HttpSettings::default()))
    }
}

async fn serve(mut stream: TcpStream, handler: Handler, tell: Arc<watch::Sender<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer).await {
        let mut number = 0;
        tell.send_modify(|all| {
            number = all.len();
            all.push(seen.clone());
        });
        let (status, headers, body, cut) = match handler(number, seen).await {
            Act::Reply(status, headers, body) => (status, headers, body, 0),
            Act::Cut(status, headers, body, cut) => (status, headers, body, cut),
            Act::Hangup => return,
            Act::Truncate => (200, vec![("content-type", "application/json".into())], b"{\"value\":[".to_vec(), 1000),
        };
        let mut head = format!("HTTP/1.1 {status} X\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if status != 204 && status != 304 {
            head.push_str(&format!("content-length: {}\r\n", body.len() + cut));
        }
        head.push_str("\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() || cut > 0 {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some(Seen { method, target, headers, body })
}

/// A wait that a test must not outlive.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("the deadline of this wait has passed")
}

/// Gives every other task its turn, until `done` or the deadline.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    within(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A token endpoint's success.
pub(in crate::auth) fn reply(access: &str, refresh: Option<&str>) -> TokenReply {
    TokenReply {
        access: Secret::new(access.to_owned()),
        refresh: refresh.map(|token| Secret::new(token.to_owned())),
        id_token: None,
        client_info: None,
        expires_in: Duration::from_secs(3600),
        granted: None,
    }
}

/// Keeps records in memory.
#[derive(Default)]
pub(crate) struct MemoryPort {
    kept: Mutex<BTreeMap<AccountId, Vec<u8>>>,
    pub(crate) saves: AtomicUsize,
    /// When set, nothing can be saved.
    pub(crate) full: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl TokenPort for MemoryPort {
    async fn load(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, AuthError> {
        Ok(self.kept.lock().unwrap().get(account).cloned().map(Secret::new))
    }
    async fn save(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), AuthError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(AuthError::not_saved("the disk is full"));
        }
        self.kept.lock().unwrap().insert(account.clone(), record.expose().clone());
        self.saves.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl MemoryPort {
    pub(crate) fn text(&self, account: &AccountId) -> String {
        self.kept.lock().unwrap().get(account).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }
}
