//! Who is attached: for status, never for authorisation.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use m365_cached::clock::{Clock, Timestamp};
use m365_cached_proto::v1::{Client, Hello};

use crate::mcp::Session;

/// Every stream that said hello.
pub struct Clients {
    clock: Arc<dyn Clock>,
    attached: Mutex<BTreeMap<u64, Arc<Known>>>,
}

struct Known {
    session: Arc<Session>,
    pid: u32,
    shim_version: String,
    since: Timestamp,
    calls: AtomicU64,
}

/// A stream's place in the list; dropped when the stream ends.
pub(crate) struct Attached {
    clients: Arc<Clients>,
    known: Arc<Known>,
}

impl Attached {
    /// Counts a line.
    pub(crate) fn called(&self) {
        self.known.calls.fetch_add(1, Relaxed);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.clients.attached.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.known.session.number);
    }
}

impl Clients {
    /// Nobody yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, attached: Mutex::default() }
    }

    pub(crate) fn attach(self: &Arc<Self>, session: Arc<Session>, hello: &Hello) -> Attached {
        let known = Arc::new(Known {
            pid: hello.pid,
            shim_version: hello.shim_version.clone(),
            since: self.clock.now(),
            calls: AtomicU64::new(0),
            session,
        });
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(known.session.number, known.clone());
        Attached { clients: self.clone(), known }
    }

    /// The list, oldest first.
    pub fn list(&self) -> Vec<Client> {
        let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let client = |known: &Arc<Known>| {
            let (name, version, protocol) = known.session.client.get().cloned().unwrap_or_default();
            Client {
                session: known.session.number,
                pid: known.pid,
                name,
                version,
                protocol,
                calls: known.calls.load(Relaxed),
                connected_ms: u64::try_from(known.since.0).unwrap_or_default(),
                shim_version: known.shim_version.clone(),
            }
        };
        attached.values().map(client).collect()
    }
}
