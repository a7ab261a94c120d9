//! Receives the browser's answer on this machine (RFC 8252, 7.3): one small HTTP responder, gone when the sign-in is over.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::{AuthError, Reason, SignInProblem, problem::classify};
use crate::secret::Secret;

/// Longest request that is read.
const LONGEST: usize = 16 * 1024;
/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

const SIGNED_IN: &str = "You are signed in. You can close this page.";
const REFUSED: &str = "The sign-in was refused. The terminal or client that asked for it says why. You can close this page.";
const UNRELATED: &str = "This page belongs to another sign-in.";

/// A listener that waits for one browser.
pub(super) struct Loopback {
    four: TcpListener,
    /// `localhost` may mean `::1` to a browser; not every machine has it.
    six: Option<TcpListener>,
    port: u16,
}

impl Loopback {
    /// Listens on a free port of this machine, and on no other address.
    pub(super) async fn bind() -> Result<Self, AuthError> {
        let failed = |error: std::io::Error| AuthError::Loopback(error.kind().to_string());
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = four.local_addr().map_err(failed)?.port();
        let six = TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, port)).await.ok();
        Ok(Self { four, six, port })
    }

    /// The redirect address. Microsoft accepts any port for a registered `http://localhost`.
    pub(super) fn redirect(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits for the answer that carries `state`. Anything else that connects is told so and changes nothing.
    pub(super) async fn code(&self, state: &str) -> Result<Secret<String>, AuthError> {
        loop {
            let stream = tokio::select! {
                accepted = self.four.accept() => accepted,
                accepted = accept(self.six.as_ref()) => accepted,
            };
            let Ok((mut stream, _)) = stream else { continue };
            // One slow visitor must not keep the browser waiting for ever.
            let Ok(Some(target)) = tokio::time::timeout(PATIENCE, target(&mut stream)).await else { continue };
            let answer = read(&target, state);
            let (status, page) = match &answer {
                Some(Ok(_)) => ("200 OK", SIGNED_IN),
                Some(Err(_)) => ("200 OK", REFUSED),
                None => ("400 Bad Request", UNRELATED),
            };
            let _ = tokio::time::timeout(PATIENCE, respond(&mut stream, status, page)).await;
            if let Some(answer) = answer {
                return answer;
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// The target of the request line, once the whole head has come.
async fn target(stream: &mut TcpStream) -> Option<Secret<String>> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await.ok()?;
        if read == 0 || head.len() + read > LONGEST {
            return None;
        }
        head.extend_from_slice(&chunk[..read]);
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let target = (words.next()? == "GET").then(|| words.next())??.to_owned();
    Some(Secret::new(target))
}

/// The answer in a redirect's target; `None` when it is not an answer to `state`.
fn read(target: &Secret<String>, state: &str) -> Option<Result<Secret<String>, AuthError>> {
    let url = Url::parse("http://localhost").ok()?.join(target.expose()).ok()?;
    let value = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    if value("state")? != state {
        return None;
    }
    if let Some(code) = value("code") {
        return Some(Ok(Secret::new(code)));
    }
    let error: String = value("error")?.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(64).collect();
    // The description's words are for people and may name them; only its number is taken.
    let aadsts = value("error_description").and_then(|text| {
        let digits: String = text.split("AADSTS").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    let numbers: Vec<u32> = aadsts.into_iter().collect();
    let reason = classify(&error, &numbers, 400, "").unwrap_or(Reason::Other);
    Some(Err(AuthError::Refused(SignInProblem { reason, aadsts, error, correlation: None })))
}

async fn respond(stream: &mut TcpStream, status: &str, text: &str) -> std::io::Result<()> {
    let page = format!("<!doctype html><meta charset=utf-8><title>m365-cached</title><p style=\"font:1.2em sans-serif;margin:3em\">{text}");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Option<Result<Secret<String>, AuthError>> {
        read(&Secret::new(target.to_owned()), "right")
    }

    #[test]
    fn only_the_answer_to_our_question_counts() {
        assert_eq!(get("/?code=abc&state=right").unwrap().ok().unwrap().expose(), "abc");
        assert!(get("/?code=abc&state=wrong").is_none());
        assert!(get("/?code=abc").is_none());
        assert!(get("/favicon.ico").is_none());
        let Some(Err(AuthError::Refused(problem))) = get("/?state=right&error=access_denied&error_description=AADSTS65004%3A+ada+said+no")
        else {
            panic!("a refusal is an answer");
        };
        assert_eq!((problem.reason, problem.aadsts), (Reason::Declined, Some(65_004)));
        assert!(!problem.to_string().contains("ada"));
    }

    #[tokio::test]
    async fn a_stranger_changes_nothing_and_the_browser_gets_a_page() {
        let loopback = Loopback::bind().await.unwrap();
        let port = loopback.port;
        let visit = |target: &'static str| async move {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).await.unwrap();
            page
        };
        let (code, pages) = tokio::join!(loopback.code("right"), async {
            (visit("/?code=evil&state=guess").await, visit("/?code=good&state=right").await)
        });
        assert_eq!(code.unwrap().expose(), "good");
        assert!(pages.0.starts_with("HTTP/1.1 400") && pages.1.contains(SIGNED_IN));
    }
}
