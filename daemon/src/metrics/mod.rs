//! Figures for Prometheus over HTTP on a loopback address, off unless `metrics.listen` is set: `GET /metrics` and nothing else.
//!
//! Every user of this machine can read them, and pages in a browser may try to: so there is nothing in them that names a person, an account
//! or a client, requests must name this very address as their host (a page that has rebound its own name to 127.0.0.1 does not), and none
//! with an `Origin` is answered. What one answer costs is some milliseconds of the store, so they are limited: see `guard.rs`.

mod guard;
mod text;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::AbortHandle};

use crate::{core::Warning, daemon::Daemon};
use guard::{Guard, Refusal};

/// Connections at a time. One scraper needs one; further ones are closed.
const CONNECTIONS: usize = 8;
/// How long a client may take to send its request, and a connection may be idle.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// The text format's content type (Prometheus, *Exposition formats*).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The endpoint; closed when dropped.
#[derive(Debug)]
pub(crate) struct Metrics(AbortHandle);

impl Drop for Metrics {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the endpoint. An address that cannot be had leaves the daemon without one, and with a warning.
pub(crate) async fn open(daemon: &Arc<Daemon>, address: SocketAddr) -> Option<Metrics> {
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tracing::info!(%address, "figures for Prometheus are served");
            let guard = Arc::new(Guard::new(address));
            Some(Metrics(tokio::spawn(accept(listener, Arc::clone(daemon), guard)).abort_handle()))
        }
        Err(error) => {
            let message = format!("the figures for Prometheus cannot be served on {address}: {error}");
            tracing::warn!(%address, %error, "figures for Prometheus cannot be served");
            let hint = "Choose another port for `metrics.listen`, then restart the daemon.".into();
            daemon.warn(Warning { code: "metrics_unavailable".into(), message, hint });
            None
        }
    }
}

async fn accept(listener: TcpListener, daemon: Arc<Daemon>, guard: Arc<Guard>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or the peer is gone already: the next may go better.
            Err(error) => {
                tracing::debug!(%error, "a connection for figures was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (daemon, guard) = (Arc::clone(&daemon), Arc::clone(&guard));
        tokio::spawn(async move {
            let _place = place;
            let answered = service_fn(move |request| {
                let (daemon, guard) = (Arc::clone(&daemon), Arc::clone(&guard));
                async move { Ok::<_, Infallible>(answer(&request, &daemon, &guard).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_BYTES);
            // A client that does not speak HTTP is told so by hyper; one that is gone needs no word.
            let _ = server.serve_connection(TokioIo::new(stream), answered).await;
        });
    }
}

async fn answer(request: &Request<Incoming>, daemon: &Arc<Daemon>, guard: &Guard) -> Response<Full<Bytes>> {
    match guard.judge(request.method(), request.uri(), request.headers(), daemon.now()) {
        Ok(()) => respond(StatusCode::OK, text::of(daemon).await),
        Err(refusal) => {
            let mut response = respond(refusal.status(), format!("{}\n", refusal.reason()));
            if refusal == Refusal::TooMany {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

fn respond(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
