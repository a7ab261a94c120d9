//! Puts it together and listens: gRPC, MCP, service managers.

mod activity;
pub mod backup;
pub mod clients;
mod compliance;
pub mod core;
pub mod daemon;
mod engine;
pub mod flags;
pub mod gate;
pub mod harden;
mod in_flight;
pub mod instance;
pub mod keys;
pub mod life;
pub mod listener;
pub mod logfile;
pub mod logging;
pub mod manager;
mod mcp;
mod metrics;
pub mod network;
#[cfg(feature = "sqlcipher")]
mod notes;
#[cfg(feature = "sqlcipher")]
pub mod offline;
pub mod original;
pub mod parts;
pub mod pause;
mod questions;
pub mod records;
pub mod reload;
mod room;
pub mod service;
pub mod signals;
pub(crate) mod signin;
mod statistics;
pub mod tenant_clock;
#[cfg(test)]
mod testing;
mod unlock;

use std::{
    future,
    sync::{Arc, OnceLock},
};

use m365_cached::chance::OsDice;
use m365_cached_proto::{HTTP2_CONNECTION_WINDOW, HTTP2_FRAME, HTTP2_STREAM_WINDOW};
use tonic::transport::{Error, Server};

use crate::{
    daemon::{Daemon, End},
    listener::Listener,
    parts::Parts,
};

/// Serves until `shutdown` ends with a reason or somebody asks over the wire, then drains: calls in flight are finished, for at most the
/// time that `parts` allows; writes, backups and changes of keys for as long as they take. Ends by itself as [`life`] says; how it ended.
///
/// # Errors
/// When the server itself fails; a client that misbehaves is no such thing.
pub async fn run(mut parts: Parts, listener: Listener, shutdown: impl Future<Output = &'static str>) -> Result<End, Error> {
    let (drain, metrics, limits, life, manager) = (parts.drain, parts.metrics, parts.limits, parts.life.clone(), parts.manager.clone());
    let (hangups, shut) = (std::mem::take(&mut parts.hangups), parts.shut.take());
    let daemon = Arc::new(Daemon::new(parts, listener.refused(), &OsDice));
    match daemon.core() {
        Ok(_) => tracing::info!(version = daemon::VERSION, socket = %daemon.profile.socket, "ready"),
        Err(locked) => {
            tracing::warn!(version = daemon::VERSION, socket = %daemon.profile.socket, code = locked.code, reason = locked.message, hint = locked.hint, "locked");
        }
    }
    for left in daemon.found_of_the_original() {
        tracing::info!(code = left.code, hint = left.hint, "m365-mcp has left its files");
    }
    let _metrics = match metrics {
        Some(address) => metrics::open(&daemon, address).await,
        None => None,
    };
    let rotation = daemon.keys.clone().map(|keys| keys::Ended(tokio::spawn(keys.rotate_for_ever()).abort_handle()));
    let _reencryption = daemon.keys.clone().map(|keys| keys::Ended(tokio::spawn(keys.reencrypt_for_ever()).abort_handle()));
    let _reloads = keys::Ended(tokio::spawn(reload::at_hangups(Arc::clone(&daemon), hangups)).abort_handle());
    let (ending, gate) = (Arc::clone(&daemon), Arc::clone(&daemon.gate));
    let server = Server::builder()
        .max_frame_size(HTTP2_FRAME)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        // Whoever is there answers, and is not idle.
        .http2_keepalive_interval(Some(limits.idle / 2))
        .http2_keepalive_timeout(Some(limits.idle))
        .add_routes(service::routes(&daemon))
        .serve_with_incoming_shutdown(listener::watched(listener.incoming(), move || gate.limits().connections, limits.idle), async move {
            ending.stopping().await
        });
    let now = daemon.core().err().map_or_else(|| "ready".to_owned(), |locked| format!("locked: {}", locked.message.replace('\n', " ")));
    manager.tell(&format!("READY=1\nSTATUS={now}"));
    let _watchdog = keys::Ended(tokio::spawn(manager::watch(Arc::clone(&daemon), manager.clone())).abort_handle());
    let asked = async {
        let (end, reason) = tokio::select! {
            reason = shutdown => (End::Stopped, reason),
            by_itself = life::end_of(Arc::clone(&daemon), life) => by_itself,
            () = unlock::unlocked(Arc::clone(&daemon), shut) => (End::Unlocked, "the keyring was unlocked"),
        };
        daemon.stop(end, reason);
        future::pending::<()>().await;
    };
    let told = OnceLock::new();
    let announce = || {
        // A service manager would end what says that it stops.
        let state = if daemon.end() == End::Stopped { "STOPPING=1" } else { "RELOADING=1" };
        told.get_or_init(|| manager.tell(&format!("{state}\nSTATUS=finishing the calls under way")));
    };
    let late = async {
        daemon.stopping().await;
        announce();
        let quiet = async {
            if let Ok(core) = daemon.core() {
                core.quiet().await;
            }
        };
        let patience = async {
            // Whoever waits for a backup or a change of keys is told how it has ended.
            manager::waiting_for(&manager, daemon.keys_at_rest()).await;
            tokio::time::sleep(drain).await;
        };
        tokio::join!(quiet, patience);
    };
    tokio::select! {
        served = server => served?,
        () = late => tracing::warn!("calls still in flight were given up"),
        () = asked => {}
    }
    // Without a connection the server is done before anybody else has heard of the end.
    announce();
    drop(rotation);
    // Also when whoever asked for it has gone: as with writes.
    manager::waiting_for(&manager, daemon.keys_at_rest()).await;
    if let Ok(core) = daemon.core() {
        core.shutdown().await;
    }
    tracing::info!("stopped");
    Ok(daemon.end())
}

#[cfg(unix)]
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;

#[cfg(test)]
#[cfg(feature = "sqlcipher")]
mod keys_tests;
#[cfg(test)]
mod settings_tests;
