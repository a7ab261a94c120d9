//! Who is answered: a request for the one path, addressed to this very place, from no web page, and not too often.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use hyper::{
    Method, StatusCode, Uri,
    header::{HOST, HeaderMap, ORIGIN},
};
use m365_cached::clock::Timestamp;

/// The one path.
const PATH: &str = "/metrics";
/// Answers that may be asked for at once, and the milliseconds after which one more may.
const BURST: u32 = 10;
const REFILL_MS: u64 = 1000;

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is addressed to another host.
    Host,
    /// It comes from a page in a browser.
    Origin,
    /// There is nothing at that path.
    Path,
    /// Only `GET` is answered.
    Method,
    /// Too many came.
    TooMany,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Host => "ask by the address and port that `metrics.listen` names",
            Self::Origin => "pages of a browser are not answered",
            Self::Path => "there is only /metrics",
            Self::Method => "only GET is answered",
            Self::TooMany => "too many requests: one a second is answered, ten at once",
        }
    }
}

/// Judges requests.
pub(super) struct Guard {
    /// How the endpoint may be called: loopback names with its port.
    hosts: [String; 3],
    tokens: Mutex<Tokens>,
}

struct Tokens {
    left: u32,
    /// When the last one was given back.
    at: Timestamp,
}

impl Guard {
    pub(super) fn new(address: SocketAddr) -> Self {
        let port = address.port();
        // The literal of the address itself: 127.0.0.2 is loopback, too.
        let hosts = [address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")];
        Self { hosts, tokens: Mutex::new(Tokens { left: BURST, at: Timestamp(0) }) }
    }

    /// Whether the request is to be answered. Those that are refused for what they are do not count.
    pub(super) fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap, now: Timestamp) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().unwrap_or_default(),
            _ => return Err(Refusal::Host),
        };
        if uri.authority().is_some() || !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Err(Refusal::Host);
        }
        if headers.contains_key(ORIGIN) {
            return Err(Refusal::Origin);
        }
        if uri.path() != PATH {
            return Err(Refusal::Path);
        }
        if method != Method::GET {
            return Err(Refusal::Method);
        }
        if self.take(now) { Ok(()) } else { Err(Refusal::TooMany) }
    }

    fn take(&self, now: Timestamp) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = u64::try_from(now.since(tokens.at).as_millis()).unwrap_or(u64::MAX) / REFILL_MS;
        // A clock that was set back begins to give from there.
        if gained > 0 || now < tokens.at {
            tokens.left = tokens.left.saturating_add(u32::try_from(gained).unwrap_or(u32::MAX)).min(BURST);
            tokens.at = now;
        }
        let any = tokens.left > 0;
        tokens.left = tokens.left.saturating_sub(1);
        any
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn guard() -> Guard {
        Guard::new("127.0.0.1:9464".parse().unwrap())
    }

    fn judge(guard: &Guard, method: &str, uri: &str, headers: &[(&'static str, &str)], now: i64) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        guard.judge(&method.parse().unwrap(), &uri.parse().unwrap(), &map, Timestamp(now))
    }

    #[test]
    fn only_requests_to_this_very_place_from_no_page_are_answered() {
        let host = |host| [("host", host)];
        for good in ["127.0.0.1:9464", "localhost:9464", "LOCALHOST:9464"] {
            assert_eq!(judge(&guard(), "GET", "/metrics", &host(good), 0), Ok(()), "{good}");
        }
        let bad = [
            "",
            "127.0.0.1",
            "localhost",
            "localhost:80",
            "evil.example:9464",
            "localhost:9464.evil.example",
            "127.0.0.1:9464@evil",
            "[::1]:9464",
        ];
        for bad in bad {
            assert_eq!(judge(&guard(), "GET", "/metrics", &host(bad), 0), Err(Refusal::Host), "{bad}");
        }
        let good = ("host", "localhost:9464");
        for (method, uri, headers, refusal) in [
            ("GET", "/metrics", vec![], Refusal::Host),
            ("GET", "/metrics", vec![good, good], Refusal::Host),
            ("GET", "http://localhost:9464/metrics", vec![good], Refusal::Host),
            ("GET", "/metrics", vec![good, ("origin", "http://localhost:9464")], Refusal::Origin),
            ("GET", "/metrics", vec![good, ("origin", "null")], Refusal::Origin),
            ("GET", "/", vec![good], Refusal::Path),
            ("GET", "/metrics/", vec![good], Refusal::Path),
            ("POST", "/metrics", vec![good], Refusal::Method),
            ("HEAD", "/metrics", vec![good], Refusal::Method),
        ] {
            assert_eq!(judge(&guard(), method, uri, &headers, 0), Err(refusal), "{method} {uri} {headers:?}");
        }
        let six = Guard::new("[::1]:9464".parse().unwrap());
        assert_eq!(judge(&six, "GET", "/metrics?x=1", &host("[::1]:9464"), 0), Ok(()));
    }

    #[test]
    fn ten_at_once_and_one_a_second_whatever_the_clock_does() {
        let (guard, good) = (guard(), [("host", "localhost:9464")]);
        let count = |now: i64, tries: usize| (0..tries).filter(|_| judge(&guard, "GET", "/metrics", &good, now).is_ok()).count();
        assert_eq!(count(1_000_000, 30), 10);
        assert_eq!(judge(&guard, "POST", "/metrics", &good, 1_000_000), Err(Refusal::Method), "what it is comes before how often");
        assert_eq!(count(1_000_999, 5), 0);
        assert_eq!(count(1_002_100, 5), 2);
        assert_eq!(count(500_000, 5), 0, "set back");
        assert_eq!(count(501_000, 5), 1);
        assert_eq!(count(9_000_000, 30), 10);
    }
}
