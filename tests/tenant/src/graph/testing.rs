//! For tests: a tenant with a clock in the test's hand, and short ways to ask it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::Value;

use super::Graph;
use crate::csdl::{Csdl, Exchange};
use crate::seed::{NOW, Size};
use crate::wire::{Reply, Request};

pub(crate) const BASE: &str = "http://graph.test/v1.0";
pub(crate) const DOWNLOADS: &str = "http://files.test";

pub(crate) struct Tenant {
    pub(crate) graph: Graph,
    clock: Arc<Mutex<Timestamp>>,
    /// Who asks: an index into the users.
    pub(crate) user: usize,
}

impl Tenant {
    pub(crate) fn small() -> Self {
        Self::new(Size::Small, 1)
    }

    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let clock = Arc::new(Mutex::new(NOW));
        let reader = Arc::clone(&clock);
        let graph = Graph::new(size, seed, 0, Arc::new(move || *reader.lock().unwrap()));
        Self { graph, clock, user: 0 }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let mut now = self.clock.lock().unwrap();
        *now = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    }

    pub(crate) fn request(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Request {
        let url = url.strip_prefix(BASE).unwrap_or(url);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Request {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: map,
            body,
            user: self.graph.users()[self.user].id.clone(),
            base: BASE.to_owned(),
            downloads: DOWNLOADS.to_owned(),
        }
    }

    pub(crate) fn raw(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let request = self.request(method, url, headers, body);
        let reply = self.graph.handle(&request, &|_| None);
        let findings = Csdl::v1().check(&Exchange {
            method,
            path: &request.path,
            request: &request.body,
            status: reply.status.as_u16(),
            content_type: reply.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default(),
            body: &reply.body,
        });
        assert!(findings.offences.is_empty(), "{method} {url} does not hold to the declarations: {:#?}", findings.offences);
        reply
    }

    /// A request to an upload session's address, given without the download port.
    pub(crate) fn upload(&self, method: &str, address: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        self.graph.upload(&self.request(method, address, headers, body)).unwrap_or_else(|| panic!("{address} is no upload session"))
    }

    /// Asks and expects this status; gives the JSON body, null when there is none.
    pub(crate) fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Value, status: u16) -> Value {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let reply = self.raw(method, url, headers, bytes);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status.as_u16(), status, "{method} {url}: {text}");
        if text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{url}: {e}: {text}"))
    }

    pub(crate) fn get(&self, url: &str) -> Value {
        self.ask("GET", url, &[], Value::Null, 200)
    }

    pub(crate) fn prefer(&self, url: &str, wish: &str) -> Value {
        self.ask("GET", url, &[("prefer", wish)], Value::Null, 200)
    }

    /// The error code of a refused GET.
    pub(crate) fn refused(&self, url: &str, status: u16) -> String {
        let body = self.ask("GET", url, &[], Value::Null, status);
        for member in ["date", "request-id", "client-request-id"] {
            assert!(body["error"]["innerError"][member].is_string(), "{url}: {body}");
        }
        body["error"]["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn post(&self, url: &str, body: Value, status: u16) -> Value {
        self.ask("POST", url, &[], body, status)
    }

    /// Follows a list to its end.
    pub(crate) fn all(&self, url: &str) -> Vec<Value> {
        let (mut out, mut next) = (Vec::new(), url.to_owned());
        loop {
            let page = self.get(&next);
            out.extend(rows(&page));
            match page["@odata.nextLink"].as_str() {
                Some(link) => next = link.to_owned(),
                None => return out,
            }
        }
    }

    /// What lies behind a pre-authenticated address: its content type and its bytes.
    pub(crate) fn download(&self, url: &str) -> Option<(String, Bytes)> {
        let found = self.graph.download(url.strip_prefix(DOWNLOADS).unwrap_or(url))?;
        Some((found.content_type, found.content.bytes()))
    }

    pub(crate) fn apply(&self, change: Value) -> Value {
        self.graph.apply(&change).unwrap_or_else(|error| panic!("{change}: {error}"))
    }
}

pub(crate) fn rows(page: &Value) -> Vec<Value> {
    page["value"].as_array().unwrap_or_else(|| panic!("no value in {page}")).clone()
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

/// An id as it stands in a path.
pub(crate) fn path(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}
