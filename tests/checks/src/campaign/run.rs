//! A campaign under way: which parts, until when, what came of them so far, and how it ended.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::support::stopwatch;

/// How a campaign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All its parts came to their end.
    Whole,
    /// A part could not be carried through.
    Failed,
    /// Somebody interrupted it.
    Interrupted,
    /// Its time was over.
    Budget,
}

impl Ended {
    /// Its name in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Budget => "budget",
        }
    }

    /// Whether parts are missing although nothing failed.
    #[must_use]
    pub fn cut_short(self) -> bool {
        matches!(self, Self::Interrupted | Self::Budget)
    }

    /// The exit code: 0 whole and good, 1 wrong, 2 failed, 3 cut short and nothing wrong until then.
    #[must_use]
    pub fn code(self, wrong: bool) -> u8 {
        match self {
            Self::Failed => 2,
            _ if wrong => 1,
            Self::Whole => 0,
            Self::Interrupted | Self::Budget => 3,
        }
    }
}

/// A campaign under way.
#[derive(Debug)]
pub struct Run {
    only: Vec<String>,
    begun: Instant,
    budget: Duration,
    interrupted: Arc<AtomicBool>,
    load: Option<f64>,
    figures: Map<String, Value>,
    /// What is not as it must be.
    wrong: Vec<String>,
    failed: bool,
    /// A part was left before its end.
    left: bool,
}

impl Run {
    /// A run of the parts in `only` (all when it is empty) that ends after `budget`, or once `interrupted` is true.
    #[must_use]
    pub fn new(only: &[String], budget: Duration, interrupted: Arc<AtomicBool>) -> Self {
        Self {
            only: only.to_vec(),
            begun: stopwatch::now(),
            budget,
            interrupted,
            load: load(),
            figures: Map::new(),
            wrong: Vec::new(),
            failed: false,
            left: false,
        }
    }

    /// Whether a part is to be run.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Carries a part through when it is wanted and there is time. What goes wrong in it, also by a panic, is noted; figures stay.
    pub fn part(&mut self, name: &str, work: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        if self.wants(name) {
            self.carry(name, work);
        }
    }

    /// The same whatever is wanted: for a campaign whose parts run together.
    pub fn carry(&mut self, name: &str, work: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        if self.failed {
            return;
        }
        if self.over() {
            self.left = true;
            return;
        }
        // What a panic leaves half done is only figures, which say what they say.
        let done = catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| Err(anyhow::anyhow!(told(&*panic))));
        if let Err(error) = done {
            self.failed = true;
            self.wrong.push(format!("{name}: {error:#}"));
        }
    }

    /// Whether it has to end now.
    #[must_use]
    pub fn over(&self) -> bool {
        self.interrupted() || self.begun.elapsed() >= self.budget
    }

    /// Whether it has to end now; when so, what is under way counts as left before its end.
    pub fn leaves(&mut self) -> bool {
        self.left |= self.over();
        self.left
    }

    /// How long it has taken so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How long it may take.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.budget
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Adds to a figure how long its part took and whether all was as it must be.
    pub fn judged(&mut self, name: &str, seconds: f64, good: bool) {
        if let Some(Value::Object(figure)) = self.figures.get_mut(name) {
            figure.insert("good".into(), good.into());
            figure.insert("seconds".into(), ((seconds * 10.0).round() / 10.0).into());
        }
    }

    /// Adds the fields of `figures`.
    ///
    /// # Errors
    /// When they are no object.
    pub fn figures(&mut self, figures: &impl Serialize) -> anyhow::Result<()> {
        let Value::Object(fields) = serde_json::to_value(figures)? else { anyhow::bail!("figures without names") };
        self.figures.extend(fields);
        Ok(())
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

    /// How it ended, when nothing more is to come.
    #[must_use]
    pub fn ended(&self) -> Ended {
        match (self.failed, self.left) {
            (true, _) => Ended::Failed,
            (false, false) => Ended::Whole,
            (false, true) if self.interrupted() => Ended::Interrupted,
            (false, true) => Ended::Budget,
        }
    }

    /// All its figures, with how it ended, what is wrong and how busy the machine was.
    #[must_use]
    pub fn end(&self, name: &str) -> Value {
        let ended = self.ended();
        let mut all = Map::new();
        all.insert("campaign".into(), name.into());
        all.insert("complete".into(), (ended == Ended::Whole).into());
        all.insert("ended".into(), ended.name().into());
        all.insert("wrong".into(), self.wrong.clone().into());
        all.insert("seconds".into(), ((self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0).into());
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        all.insert("load".into(), json!({ "begin": self.load, "end": load(), "cores": cores }));
        all.extend(self.figures.clone());
        Value::Object(all)
    }
}

/// Processes that want to run, over the last minute; `None` where the system does not tell.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(only: &[&str]) -> (Run, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let only: Vec<String> = only.iter().map(ToString::to_string).collect();
        (Run::new(&only, Duration::from_secs(3600), stop.clone()), stop)
    }

    #[test]
    fn what_is_known_is_told_however_it_ends() {
        let (mut whole, _) = run(&["one"]);
        whole.part("one", |run| {
            run.figure("seen", 1);
            Ok(())
        });
        whole.part("two", |_| anyhow::bail!("not wanted"));
        assert_eq!((whole.ended(), whole.ended().code(false)), (Ended::Whole, 0));
        whole.must(false, "slow");
        assert_eq!(whole.ended().code(!whole.wrong().is_empty()), 1);

        let (mut failed, _) = run(&[]);
        failed.part("one", |run| {
            run.figure("seen", 1);
            panic!("the world fell")
        });
        failed.part("two", |_| panic!("nothing comes after a failure"));
        let told = failed.end("x");
        assert_eq!((&told["seen"], &told["ended"]), (&json!(1), &json!("failed")));
        assert_eq!(told["wrong"], json!(["one: the world fell"]));
        assert_eq!(failed.ended().code(true), 2);
    }

    #[test]
    fn one_that_is_left_is_not_whole() {
        let (mut left, stop) = run(&[]);
        left.part("one", |run| {
            stop.store(true, Ordering::SeqCst);
            assert!(run.leaves());
            Ok(())
        });
        left.part("two", |_| anyhow::bail!("there is no time for it"));
        assert_eq!((left.ended(), left.ended().code(false)), (Ended::Interrupted, 3));
        assert_eq!(left.end("x")["complete"], false);
        // What came to its end just before is whole.
        let (mut whole, stop) = run(&[]);
        whole.part("one", |_| Ok(()));
        stop.store(true, Ordering::SeqCst);
        assert_eq!(whole.ended(), Ended::Whole);
        let mut late = Run::new(&[], Duration::ZERO, Arc::default());
        late.part("one", |_| anyhow::bail!("there is no time for it"));
        assert_eq!(late.ended(), Ended::Budget);
    }
}
