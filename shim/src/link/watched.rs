//! The resources that a client of 2025-11-25 or older watches: promised by one daemon, and asked of every later one under ids of our own, so that
//! the client sees nothing of it. One of 2026-07-28 listens with a request that stays open (`What::Listen`).
//!
//! A daemon that refuses changes nothing here: what the client was promised is asked of the next one again.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::said;
use crate::peek::{self, FromClient};

/// How our own ids begin, as they are written.
const OURS: &str = "\"m365-mcp:watch:";

/// The requests that were granted, by the address of what they watch.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeMap<String, Bytes>);

impl Watched {
    /// A daemon has granted `request`.
    pub(super) fn granted(&mut self, address: String, request: Bytes) {
        self.0.insert(address, request);
    }

    /// The client watches `address` no more.
    pub(super) fn ended(&mut self, address: &str) {
        self.0.remove(address);
    }

    /// The client begins anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is asked of another daemon.
    pub(super) fn again(&self) -> impl Iterator<Item = Bytes> {
        self.0.values().enumerate().filter_map(|(nth, request)| renamed(request, &format!("{OURS}{nth}\"")))
    }
}

/// Whether an answer to the request `raw_id` is for us alone.
pub(super) fn is_ours(raw_id: &str) -> bool {
    raw_id.starts_with(OURS)
}

/// `request` under another id.
pub(super) fn renamed(request: &Bytes, id: &str) -> Option<Bytes> {
    let Ok(FromClient::Request { raw_id, .. }) = peek::client_line(request) else { return None };
    let start = raw_id.as_ptr() as usize - request.as_ptr() as usize;
    Some(said::replaced(request, start..start + raw_id.len(), id))
}
