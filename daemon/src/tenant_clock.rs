//! `--clock-from`: the daemon of a demo takes its time from the tenant's control port, where people and tests move it.
//!
//! One long question after another: `GET /clock?after=REVISION` is answered when the clock was set again. Plain HTTP/1.0 over one
//! connection a question, because that is all there is to it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use m365_cached::{
    clock::{Clock, FollowedClock, Timestamp},
    config::Config,
    hint::Kind,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::core::Problem;

/// How long one question is open before it is asked again.
const QUESTION: Duration = Duration::from_secs(20);
/// How long the tenant may take beyond that.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a question that failed: the tenant may be starting again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the control port says of the clock.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Reading {
    /// Milliseconds since 1970.
    ms: i64,
    /// Whether it stands still.
    frozen: bool,
    /// Rises with every setting.
    revision: u64,
}

/// The clock of the tenant whose control port is `control`, followed for as long as the clock is held.
///
/// # Errors
/// In a profile that is no demo, and when the control port does not tell the time now. While the tenant is gone later, the clock goes on
/// as it was last heard.
pub async fn follow(config: &Config, control: SocketAddr) -> Result<Arc<dyn Clock>, Problem> {
    if !config.demo {
        let message = "`--clock-from` is for demo profiles only, which say `demo = true`";
        return Err(Problem::new(Kind::Config, "clock_from", message, "Start the daemon without `--clock-from`."));
    }
    let first = ask(control, None).await.map_err(|error| {
        let message = format!("the tenant's clock at {control} cannot be read: {error}");
        Problem::new(Kind::Config, "clock_from", message, "Give the address that `m365-tenant` prints as `control`, while it runs.")
    })?;
    let clock = Arc::new(FollowedClock::at(Timestamp(first.ms), first.frozen));
    tokio::spawn(listen(Arc::downgrade(&clock), control, first.revision));
    Ok(clock)
}

async fn listen(clock: Weak<FollowedClock>, control: SocketAddr, mut revision: u64) {
    while clock.strong_count() > 0 {
        match ask(control, Some(revision)).await {
            Ok(reading) if reading.revision == revision => {}
            Ok(reading) => {
                let Some(clock) = clock.upgrade() else { return };
                clock.hear(Timestamp(reading.ms), reading.frozen);
                revision = reading.revision;
            }
            Err(error) => {
                tracing::debug!(%error, "the tenant's clock cannot be read");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The clock's reading now, or once it was set more often than `after`.
async fn ask(control: SocketAddr, after: Option<u64>) -> io::Result<Reading> {
    let question = after.map_or(String::new(), |revision| format!("?after={revision}&timeout_ms={}", QUESTION.as_millis()));
    let request = format!("GET /clock{question} HTTP/1.0\r\nHost: {control}\r\n\r\n");
    let answer = async {
        let mut stream = TcpStream::connect(control).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        // A reading is some hundred bytes.
        stream.take(16 * 1024).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(QUESTION + GRACE, answer).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not answer as a tenant's control port does"));
    }
    serde_json::from_str(body).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::soon;

    fn demo() -> Config {
        let mut config = Config::default();
        config.demo = true;
        config
    }

    /// Answers one question with `body`, and tells what was asked.
    async fn answer(listener: &TcpListener, body: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 512];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).lines().next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_move_of_the_tenants_clock_is_heard_and_wakes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = demo();
        let (clock, asked) =
            tokio::join!(follow(&config, listener.local_addr().unwrap()), answer(&listener, r#"{"ms":1000,"frozen":true,"revision":3}"#));
        let clock = clock.unwrap();
        assert_eq!((clock.now(), asked.as_str()), (Timestamp(1000), "GET /clock HTTP/1.0"));
        let sleep = clock.sleep(Duration::from_secs(60));
        let moved = answer(&listener, r#"{"ms":61000,"frozen":true,"revision":4,"now":"any"}"#).await;
        assert_eq!(moved, "GET /clock?after=3&timeout_ms=20000 HTTP/1.0");
        soon(sleep).await;
        assert_eq!(clock.now(), Timestamp(61_000));
        assert_eq!(answer(&listener, "not a reading").await, "GET /clock?after=4&timeout_ms=20000 HTTP/1.0");
    }

    #[tokio::test]
    async fn only_a_demo_follows_and_only_a_tenant_is_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = follow(&Config::default(), address).await.err().unwrap();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Config, "clock_from"));
        let config = demo();
        let (strange, _) = tokio::join!(follow(&config, address), answer(&listener, "<html>"));
        assert_eq!(strange.err().unwrap().code, "clock_from");
        drop(listener);
        assert!(follow(&config, address).await.is_err());
    }
}
