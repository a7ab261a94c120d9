//! The seven ports: accepts TCP, does TLS where it is due, and hands each HTTP request to its room.

pub(crate) mod reply;

use std::convert::Infallible;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::reply::Outcome;
use crate::state::State;
use crate::stats::add;
use crate::{control, downloads, front, identity};

/// Which room answers behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Identity,
    Graph,
    Downloads,
    Control,
}

/// A bound port.
pub(crate) struct Door {
    /// Its name in the counters.
    pub(crate) name: &'static str,
    pub(crate) room: Room,
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Door {
    /// Serves until the tenant stops; then every connection is cut.
    pub(crate) async fn serve(self, state: Arc<State>) {
        let mut stop = state.stop.subscribe();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                // The sender is part of `state`, so this ends only because the tenant stops.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            // An accept error belongs to one connection that died in the queue: the client sees it, nobody else does.
            let Ok((stream, _)) = accepted else { continue };
            state.counts.change(|stats| add(&mut stats.connections, self.name.to_owned()));
            connections.spawn(connection(stream, self.tls.clone(), self.room, Arc::clone(&state)));
        }
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, room: Room, state: Arc<State>) {
    // Replies are written in one piece; waiting for more only adds latency. Failing to say so harms nothing.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, "http", false, room, state).await,
        Some(tls) => {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            http(stream, "https", h2, room, state).await;
        }
    }
}

async fn http<S>(stream: S, scheme: &'static str, h2: bool, room: Room, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(room, Arc::clone(&state), scheme, request));
    let server = auto::Builder::new(TokioExecutor::new());
    let server = if h2 { server.http2_only() } else { server.http1_only() };
    // An error here is a client that went away or the fault `reset`: both are meant.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(room: Room, state: Arc<State>, scheme: &'static str, request: Request<Incoming>) -> Outcome {
    match room {
        Room::Identity => identity::answer(&state, scheme, request).await,
        Room::Graph => front::answer(&state, scheme, request).await,
        Room::Downloads => downloads::answer(&state, request).await,
        Room::Control => control::http::answer(&state, request).await.map_err(|never: Infallible| match never {}),
    }
}

/// `scheme://host:port` as the client wrote it.
pub(crate) fn origin<B>(scheme: &str, request: &Request<B>) -> String {
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    format!("{scheme}://{}", host.unwrap_or("127.0.0.1"))
}
