//! A campaign of parts under way: which parts, until when, and what came of them so far.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::support::stopwatch;

/// A campaign under way.
#[derive(Debug)]
pub struct Run {
    only: Vec<String>,
    until: Instant,
    interrupted: Arc<AtomicBool>,
    figures: Map<String, Value>,
    /// What is not as it must be.
    wrong: Vec<String>,
}

impl Run {
    /// A run of the parts in `only` (all when it is empty) that ends after `budget`, or once `interrupted` is true.
    #[must_use]
    pub fn new(only: &[String], budget: Duration, interrupted: Arc<AtomicBool>) -> Self {
        let until = stopwatch::now() + budget;
        Self { only: only.to_vec(), until, interrupted, figures: Map::new(), wrong: Vec::new() }
    }

    /// Whether a part is to be run.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|only| only == part)) && !self.over()
    }

    /// Whether it has to end now.
    #[must_use]
    pub fn over(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst) || stopwatch::now() > self.until
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Notes what is not as it must be.
    pub fn must(&mut self, good: bool, what: &str) {
        if !good {
            self.wrong.push(what.to_owned());
        }
    }

    /// What is not as it must be; empty when all is well.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Ends it with what became of it; all its figures, with `complete` and `wrong`.
    pub fn end(&mut self, done: anyhow::Result<()>) -> Value {
        self.figure("complete", done.is_ok() && !self.over());
        if let Err(error) = done {
            self.wrong.push(format!("{error:#}"));
        }
        self.figure("wrong", self.wrong.clone());
        Value::Object(self.figures.clone())
    }
}
