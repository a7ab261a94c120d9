//! What Graph was asked to change, word for word: the last thousand requests that were no GET.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::lock;
use crate::wire::Request;

/// So many requests are kept.
const KEPT: usize = 1_000;

/// A request as Graph saw it, whatever it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: String,
    /// Path and query below `/v1.0`, as they were encoded: `/me/messages/AAMk%3D`.
    pub path: String,
    /// Headers by name in lower case, without the token.
    pub headers: Map<String, Value>,
    /// The body, if it is JSON; `null` for none and for anything else.
    pub body: Value,
    /// Length of the body in bytes.
    pub bytes: usize,
}

struct Noted {
    method: String,
    path: String,
    headers: http::HeaderMap,
    body: Bytes,
}

/// The requests, the last ones of them.
#[derive(Default)]
pub(crate) struct Journal(Mutex<VecDeque<Noted>>);

impl Journal {
    /// Writes a request down, unless it only reads.
    pub(crate) fn note(&self, request: &Request) {
        if request.method == http::Method::GET {
            return;
        }
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let noted = Noted {
            method: request.method.to_string(),
            path: format!("{}{query}", request.path),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        let mut list = lock(&self.0);
        if list.len() == KEPT {
            list.pop_front();
        }
        list.push_back(noted);
    }

    /// What is written down, the oldest first.
    pub(crate) fn read(&self) -> Vec<Asked> {
        lock(&self.0).iter().map(Noted::shown).collect()
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Noted {
    fn shown(&self) -> Asked {
        let open = self.headers.iter().filter(|(name, _)| **name != http::header::AUTHORIZATION);
        let headers = open.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        Asked {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: headers.collect(),
            body: serde_json::from_slice(&self.body).unwrap_or_default(),
            bytes: self.body.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(method: http::Method, body: &'static str) -> Request {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static("Bearer secret"));
        headers.insert("prefer", http::HeaderValue::from_static("respond-async"));
        Request {
            method,
            path: "/me/messages/A%3D".to_owned(),
            query: "$select=id".to_owned(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            user: String::new(),
            base: String::new(),
            downloads: String::new(),
        }
    }

    #[test]
    fn changes_are_kept_as_they_came_but_for_the_token_and_only_the_last_of_them() {
        let journal = Journal::default();
        journal.note(&request(http::Method::GET, ""));
        journal.note(&request(http::Method::PATCH, r#"{"isRead":true}"#));
        journal.note(&request(http::Method::PUT, "bytes"));
        let read = journal.read();
        let first = Asked {
            method: "PATCH".to_owned(),
            path: "/me/messages/A%3D?$select=id".to_owned(),
            headers: Map::from_iter([("prefer".to_owned(), "respond-async".into())]),
            body: json!({"isRead": true}),
            bytes: 15,
        };
        assert_eq!((read.len(), &read[0]), (2, &first));
        assert_eq!((&read[1].body, read[1].bytes), (&Value::Null, 5));
        for _ in 0..KEPT {
            journal.note(&request(http::Method::PUT, "bytes"));
        }
        assert_eq!((journal.read().len(), journal.read()[0].method.as_str()), (KEPT, "PUT"));
        journal.clear();
        assert!(journal.read().is_empty());
    }
}
