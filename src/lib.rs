//! What the program does: every rule and every effect; knows nothing of gRPC, MCP, sockets or clap.
//!
//! # The rooms
//!
//! | room | its job |
//! |---|---|
//! | [`clock`] [`chance`] [`ids`] [`secret`] [`hint`] [`cloud`] [`live`] | leaves: time, chance, names, secrets, advice, which Microsoft, what a reload exchanges |
//! | [`config`] | settings with their origins; no room imports it, the daemon turns settings into values |
//! | [`cache`] | what we believe: keys, scopes, the verdict on an entry. Pure |
//! | [`tools`] | what can be asked: one row for each tool; [`tools::Steps`] is its only way out |
//! | [`vault`] | where secrets sleep: the master key, the envelope of the store's keys |
//! | [`auth`] | who we are to Microsoft: sign-in, the keeper of tokens |
//! | [`graph`] | how we ask Microsoft: client, budget, retries, pages, batches |
//! | [`transfer`] | how files move: streamed, resumed, between allowed folders and allowed hosts |
//! | [`audit`] | what happened: events, the chain of the trail, what is wrong with one. Pure |
//! | [`store`] | what we remember: entries (swappable) and the ledger, in SQLCipher or in memory |
//! | [`queue`] | what is to be done: leases, retries, waits. Pure |
//! | [`engine`] | what happens on a call; the only room that combines the others |
//! | [`worker`] | who does it later: tasks of the queue, buffers |
//!
//! Arrows point down this list's other way round: `worker` → `engine` → the rest → the leaves. `tests/architecture.rs` holds the table.
//!
//! # One call
//!
//! [`engine::Engine::call`] finds the row in [`tools`], checks the arguments and that the account is signed in, and reads the clock once.
//! A read takes the entry from memory or [`store`] and lets [`cache::judge`] decide: serve it, serve it and queue a refresh, or fetch. A fetch
//! is one flight for a key: it notes where the source's history stands, runs the row's steps through [`graph`], and stores what came unless a
//! write has overtaken it meanwhile. A write is journalled in the ledger, sent once, and what it touched is bumped before it is answered.
//! A background refresh takes the same flight.
//!
//! # What is absent, on purpose
//!
//! - The library does not print.
//! - Nothing awaits inside a database closure.
//! - A failed fetch never deletes an entry.
//! - No body, subject, token or address is ever logged.
//! - A backend that is not local never sees plain text.
//! - A tool does no input or output except through `Steps`.
//! - There is no cached answer for an account that is signed out.
//! - No token goes to another host than Graph, and no local file is overwritten.
//! - A write whose outcome is unknown is never sent again.

pub mod audit;
pub mod auth;
pub mod cache;
pub mod chance;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod engine;
#[cfg(all(test, any(feature = "sqlcipher", feature = "system-openssl")))]
#[path = "../tests/support/figure.rs"]
#[expect(unreachable_pub, reason = "the suite shares it")]
mod figure;
pub mod graph;
pub mod hint;
pub mod ids;
pub mod live;
pub mod queue;
pub mod secret;
pub mod store;
pub mod tools;
pub mod transfer;
pub mod vault;
pub mod worker;
