//! Follows an operation that Microsoft does by itself, such as a copy: its monitor is asked, without a token, until it is over.
//!
//! Source: Graph documentation, *Working with long-running actions*; personal drives end with 303 and the item's address. Another redirect,
//! or a page that is not JSON, is of somebody on the way and says nothing of the operation.

use std::time::Duration;

use reqwest::{Method, Url, header::HeaderMap};
use serde_json::Value;

use super::{
    Transfer,
    error::{Cause, TransferError},
    pace::{Failures, Pulse},
    session::code_in,
};
use crate::{clock::Timestamp, graph::Stream};

/// The first pause between two questions; it doubles.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(8);
/// The longest answer that is looked at, in bytes.
const ANSWER: usize = 1 << 20;

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Whether it is done; if not, it goes on by itself.
    pub done: bool,
    /// The monitor's last answer: `status`, `percentageComplete`, `resourceId`; `null` when it had none.
    pub body: Value,
    /// The address of what was made, when the monitor leads there. Carries rights: never log it.
    pub location: Option<String>,
}

impl Transfer {
    /// Asks `monitor` until the operation is over or `patience` has passed.
    ///
    /// # Errors
    ///
    /// When the operation failed, with its own code. In every other case it may still be going on: the outcome is unknown.
    pub async fn follow(&self, monitor: &str, patience: Duration) -> Result<Job, TransferError> {
        let until = self.clock.now().plus(patience);
        let followed = self.poll(monitor, until).await;
        followed.map_err(|error| match error.cause {
            Cause::Failed(_) => error,
            _ => TransferError { unknown_outcome: true, ..error },
        })
    }

    async fn poll(&self, monitor: &str, until: Timestamp) -> Result<Job, TransferError> {
        let url = Url::parse(monitor).map_err(|_| Cause::ForeignHost)?;
        let (mut failures, mut pause, mut last) = (Failures::default(), FIRST, Value::Null);
        loop {
            let pulse = Pulse::new();
            let asked = tokio::select! {
                biased;
                asked = self.lively(&pulse, self.look(&url)) => asked?,
                // Not asked for longer than anybody waits.
                () = self.clock.sleep(until.since(self.clock.now())) => return Ok(Job { done: false, body: last, location: None }),
            };
            let wait = match asked {
                Ok((status @ 200..=202, body, _, wait)) => {
                    failures.forget();
                    match body["status"].as_str().map(str::to_ascii_lowercase).as_deref() {
                        Some("completed") => return Ok(Job { done: true, body, location: None }),
                        Some("failed" | "deletefailed" | "cancelled") => return Err(Cause::Failed(code_in(&body["error"])).into()),
                        // The item itself, or nothing more to say.
                        None if status != 202 => return Ok(Job { done: true, body, location: None }),
                        _ => last = body,
                    }
                    wait
                }
                Ok((303, body, location, _)) => return Ok(Job { done: true, body, location }),
                Ok((status @ (408 | 429 | 500..), _, _, wait)) => {
                    if !self.again(&mut failures, None).await {
                        return Err(Cause::Refused(status, None).into());
                    }
                    wait
                }
                Ok((status, body, ..)) => return Err(Cause::Refused(status, code_in(&body["error"])).into()),
                Err(Cause::Broken(what)) => {
                    if !self.again(&mut failures, None).await {
                        return Err(Cause::Broken(what).into());
                    }
                    None
                }
                Err(other) => return Err(other.into()),
            };
            let wait = wait.unwrap_or_default().max(pause);
            pause = (pause * 2).min(LONGEST);
            let left = until.since(self.clock.now());
            if wait >= left {
                return Ok(Job { done: false, body: last, location: None });
            }
            self.clock.sleep(wait).await;
        }
    }

    /// One answer: status, body, where it leads, and how long to wait.
    async fn look(&self, url: &Url) -> Result<(u16, Value, Option<String>, Option<Duration>), Cause> {
        let mut stream: Stream = self.bare.ask(Method::GET, url, HeaderMap::new(), None).await?;
        let text = stream.text(ANSWER).await.map_err(Cause::Broken)?;
        let status = stream.status();
        let body = match serde_json::from_slice(&text) {
            Ok(body) => body,
            Err(_) if (200..300).contains(&status) && !text.is_empty() => return Err(Cause::Garbage("JSON")),
            Err(_) => Value::Null,
        };
        let wait = stream.wait(self.clock.now());
        Ok((status, body, stream.header("location").map(str::to_owned), wait))
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
