//! Who is connected: one seat for each MCP stream, taken at its hello and given up when it ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use m365_cached::{clock::Timestamp, ids::ToolProfile};

/// One connected client, for display only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientState {
    /// Process id, as the shim tells it.
    pub pid: u32,
    /// Name from the MCP handshake, empty before it.
    pub name: String,
    /// Version from the MCP handshake, empty before it.
    pub version: String,
    /// MCP protocol version, empty before the handshake.
    pub protocol: String,
    /// Version of the shim.
    pub shim_version: String,
    /// Lines it has sent so far, whatever they ask.
    pub lines: u64,
    /// Tool calls, and readings of resources, that were answered so far.
    pub calls: u64,
    /// When it connected.
    pub connected_at: Timestamp,
    /// What it may not do, in words; empty when nothing is configured for it.
    pub policy: String,
    /// The profile of tools it is shown.
    pub tools: ToolProfile,
}

/// Every connected client, by the number of its session.
#[derive(Debug, Clone, Default)]
pub struct Clients(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    /// Sessions are numbered from 1; 0 means "outside any".
    last: u64,
    taken: BTreeMap<u64, ClientState>,
}

impl Clients {
    /// Takes a seat for a stream that has said hello.
    pub fn join(&self, client: ClientState) -> Seat {
        let mut seats = self.lock();
        seats.last += 1;
        let session = seats.last;
        seats.taken.insert(session, client);
        drop(seats);
        Seat { session, clients: self.clone() }
    }

    /// Everybody who is connected.
    pub fn list(&self) -> Vec<(u64, ClientState)> {
        self.lock().taken.iter().map(|(session, client)| (*session, client.clone())).collect()
    }

    /// Counts a call of the session with this number.
    pub(crate) fn called(&self, session: u64) {
        if let Some(client) = self.lock().taken.get_mut(&session) {
            client.calls += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's seat; free again when dropped.
#[derive(Debug)]
pub struct Seat {
    session: u64,
    clients: Clients,
}

impl Seat {
    /// The number of the session: [`m365_cached::ids::Caller::session`].
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Changes what is shown of the client, when it has introduced itself.
    pub fn update(&self, change: impl FnOnce(&mut ClientState)) {
        if let Some(client) = self.clients.lock().taken.get_mut(&self.session) {
            change(client);
        }
    }

    /// Counts a line.
    pub fn asked(&self) {
        self.update(|client| client.lines += 1);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.lock().taken.remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_shown_while_it_is_held() {
        let clients = Clients::default();
        let one = clients.join(ClientState { pid: 1, ..ClientState::default() });
        let two = clients.join(ClientState::default());
        assert_ne!(one.session(), two.session());
        one.asked();
        one.asked();
        clients.called(one.session());
        clients.called(0);
        two.update(|client| client.name = "two".into());
        let list = clients.list();
        assert_eq!((list[0].1.calls, list[0].1.lines, list[1].1.calls, list[1].1.name.as_str()), (1, 2, 0, "two"));
        drop(one);
        assert_eq!(clients.list().len(), 1);
        assert!(clients.join(ClientState::default()).session() > two.session(), "a number is never used again");
    }
}
