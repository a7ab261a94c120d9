//! Receives the browser's answer on `http://localhost:PORT` (RFC 8252, 7.3): one answer, then nobody listens any more.
//!
//! Only this machine can connect. A request without the right `state` gets an error page and changes nothing, so that no web page can
//! end somebody's sign-in. What a request says is never repeated on a page.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use url::Url;

use crate::{clock::Clock, secret::Secret};

/// The longest request head that is read, in bytes; codes take up to two thousand.
const MOST: usize = 32 << 10;
/// How long a connection may take to say what it wants. Browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(10);
/// More connections than this at once are not a browser.
const CROWD: usize = 32;

/// Listens for one answer.
pub(super) struct Loopback {
    port: u16,
    v4: TcpListener,
    v6: Option<TcpListener>,
}

/// What the browser brought.
pub(super) enum Brought {
    /// The sign-in's code.
    Code(Secret<String>),
    /// An OAuth error such as `access_denied`, and the `AADSTS` number of its description.
    Error(String, Option<u32>),
}

impl Loopback {
    /// Takes a free port, on IPv6 too where that is to be had: `localhost` means either.
    pub(super) async fn bind() -> io::Result<Self> {
        let v4 = TcpListener::bind("127.0.0.1:0").await?;
        let port = v4.local_addr()?.port();
        let v6 = TcpListener::bind(("::1", port)).await.ok();
        Ok(Self { port, v4, v6 })
    }

    /// The redirect address. Microsoft accepts any port on a registered `http://localhost`.
    pub(super) fn redirect(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits for the answer that carries `state`. Ends only with it: give it a deadline.
    pub(super) async fn answer(self, state: &str, clock: &Arc<dyn Clock>) -> Brought {
        let state: Arc<str> = state.into();
        let mut connections = JoinSet::new();
        loop {
            let stream = tokio::select! {
                Some(done) = connections.join_next() => match done {
                    Ok(Some(brought)) => return brought,
                    _ => continue,
                },
                stream = accept(Some(&self.v4)), if connections.len() < CROWD => stream,
                stream = accept(self.v6.as_ref()), if connections.len() < CROWD => stream,
            };
            let Some(stream) = stream else {
                // Out of file handles, say: not a reason to spin.
                clock.sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (state, clock) = (state.clone(), clock.clone());
            connections.spawn(async move {
                tokio::select! {
                    brought = serve(stream, &state) => brought.ok().flatten(),
                    () = clock.sleep(PATIENCE) => None,
                }
            });
        }
    }
}

/// The next connection; never ends without a listener, so that a select waits for the others.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Serves one connection and says what it brought, once the page has been written.
async fn serve(mut stream: TcpStream, state: &str) -> io::Result<Option<Brought>> {
    let mut head = Vec::with_capacity(4096);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > MOST || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = Secret::new(String::from_utf8_lossy(&head).into_owned());
    let (status, page, brought) = match read(head.expose(), state) {
        Read::Brought(Brought::Code(code)) => ("200 OK", DONE, Some(Brought::Code(code))),
        Read::Brought(error) => ("200 OK", REFUSED, Some(error)),
        Read::Stranger => ("400 Bad Request", STRANGER, None),
        Read::Elsewhere => ("404 Not Found", NOTHING, None),
    };
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n{page}",
        page.len()
    );
    // The answer counts even if the browser did not wait for its page.
    if stream.write_all(reply.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
    Ok(brought)
}

enum Read {
    Brought(Brought),
    /// The right place without the right state.
    Stranger,
    Elsewhere,
}

/// Reads a request's head.
fn read(head: &str, state: &str) -> Read {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Read::Elsewhere };
    // A name that merely resolves to this machine is not us (DNS rebinding).
    let host =
        lines.find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, host)| host.trim()));
    let local = host.is_some_and(|host| {
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
        matches!(name, "localhost" | "127.0.0.1" | "[::1]")
    });
    if !local {
        return Read::Stranger;
    }
    let Ok(url) = Url::parse("http://localhost/").and_then(|base| base.join(target)) else { return Read::Elsewhere };
    if url.path() != "/" {
        return Read::Elsewhere;
    }
    let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if of("state").as_deref() != Some(state) {
        return Read::Stranger;
    }
    match (of("code"), of("error")) {
        (Some(code), _) if !code.is_empty() => Read::Brought(Brought::Code(Secret::new(code))),
        (_, Some(error)) => {
            let text = of("error_description").unwrap_or_default();
            let number =
                text.split("AADSTS").nth(1).and_then(|text| text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
            Read::Brought(Brought::Error(
                error.chars().filter(|letter| letter.is_ascii_lowercase() || *letter == '_').take(64).collect(),
                number,
            ))
        }
        _ => Read::Stranger,
    }
}

macro_rules! page {
    ($title:literal, $text:literal) => {
        concat!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>",
            $title,
            "</title><body style=\"font:18px system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em\"><h1>",
            $title,
            "</h1><p>",
            $text,
            "</p></body></html>"
        )
    };
}

const DONE: &str = page!("Thank you", "The sign-in has arrived. You can close this window.");
const REFUSED: &str = page!("Not signed in", "Microsoft did not sign you in. You can close this window; the program that asked says why.");
const STRANGER: &str = page!("Nothing to do here", "This answer belongs to no sign-in that is waiting. Begin the sign-in again.");
const NOTHING: &str = page!("Nothing here", "This address waits for the answer of a sign-in.");

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = " HTTP/1.1\r\nHost: localhost:4711\r\nAccept: */*\r\n\r\n";

    fn of(target: &str) -> Read {
        read(&format!("GET {target}{HEAD}"), "right")
    }

    #[test]
    fn only_the_right_state_brings_a_code() {
        assert!(matches!(of("/?code=a%2Bb&state=right"), Read::Brought(Brought::Code(code)) if code.expose() == "a+b"));
        assert!(matches!(of("/?code=c&state=wrong"), Read::Stranger));
        assert!(matches!(of("/?code=c"), Read::Stranger));
        assert!(matches!(of("/?code=&state=right"), Read::Stranger));
        assert!(matches!(of("/favicon.ico"), Read::Elsewhere));
        assert!(matches!(read(&format!("POST /?code=c&state=right{HEAD}"), "right"), Read::Elsewhere));
        assert!(matches!(read("GET /?code=c&state=right HTTP/1.1\r\nHost: evil.example\r\n\r\n", "right"), Read::Stranger));
        assert!(matches!(read("GET /?code=c&state=right HTTP/1.1\r\n\r\n", "right"), Read::Stranger));
        assert!(matches!(read("GET /?code=c&state=right HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "right"), Read::Brought(_)));
    }

    #[test]
    fn a_refusal_is_read_without_its_text() {
        let Read::Brought(Brought::Error(error, number)) =
            of("/?error=access_denied&error_description=AADSTS65004%3A+User+declined&state=right")
        else {
            panic!("not an error");
        };
        assert_eq!((error.as_str(), number), ("access_denied", Some(65_004)));
    }
}
