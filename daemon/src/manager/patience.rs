//! Time that an end takes because something must not be cut, as a backup: the manager is asked for it, or systemd would kill the daemon after `TimeoutStopSec`.
//!
//! Decision: there is no limit of ours. What would be killed is what somebody has asked for and cannot see fail; whoever wants the daemon gone kills it, and a
//! machine that shuts down does not wait for longer than it gives all of a user's services. Rejected: a longer `TimeoutStopSec`, since then a
//! daemon that hangs would be waited for as long.

use std::time::Duration;

use super::Manager;

/// So long the manager waits for the next word of it.
const MORE: Duration = Duration::from_secs(60);
/// So many words in that time: a late one is no death.
const WORDS: u32 = 6;

/// Polls `rest` to its end, and has the manager wait as long. Says nothing when it has ended already.
pub(crate) async fn waiting_for(manager: &Manager, rest: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = rest => {}
        () = ask(manager) => {}
    }
}

/// Never ends.
async fn ask(manager: &Manager) {
    loop {
        manager.tell(&format!("EXTEND_TIMEOUT_USEC={}", MORE.as_micros()));
        // The manager's time is the system's, also where a test moves ours.
        tokio::time::sleep(MORE / WORDS).await;
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::future;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_asked_for_again_and_again_and_not_where_none_is_needed() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let ear = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        ear.set_nonblocking(true).unwrap();
        let manager = Manager::told_by(&|name| (name == "NOTIFY_SOCKET").then(|| path.clone().into()), 1);
        waiting_for(&manager, future::ready(())).await;
        let mut buffer = [0; 64];
        assert!(ear.recv(&mut buffer).is_err(), "nothing was to be waited for");
        waiting_for(&manager, tokio::time::sleep(MORE + MORE / 2)).await;
        let mut words = 0;
        while let Ok(length) = ear.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"EXTEND_TIMEOUT_USEC=60000000");
            words += 1;
        }
        assert_eq!(words, WORDS + WORDS / 2);
    }
}
