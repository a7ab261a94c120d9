//! Long fault runs, one file each: what they do, their parts, and what must come of them.
//!
//! A campaign is a row of [`Which`] and a function that takes a [`Run`] and fills a JSON object, part by part, so that one that is cut
//! short prints what it has.

pub mod queue;

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::{demo::say, support::stopwatch};

/// What a campaign can be told.
#[derive(Debug, Args)]
pub struct Options {
    /// Which one.
    #[arg(value_enum)]
    which: Which,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    /// Only this part; may be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// End after this many seconds with what there is.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    budget_s: u64,
}

/// Every campaign.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// 10,000 queued tasks and 30 kills of the daemon; calls while tasks run; 200 clients at once. Parts: kills, foreground, clients.
    Queue,
}

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
    /// A run of the parts in `only` (all when it is empty) that ends after `budget`.
    #[must_use]
    pub fn new(only: &[String], budget: Duration) -> Self {
        let until = stopwatch::now() + budget;
        Self { only: only.to_vec(), until, interrupted: Arc::default(), figures: Map::new(), wrong: Vec::new() }
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
}

/// Runs one; tells whether its figures are what they must be.
///
/// # Errors
/// When it cannot be run: nothing is said about the figures then.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut run = Run::new(&options.only, Duration::from_secs(options.budget_s));
    let interrupted = Arc::clone(&run.interrupted);
    let listener = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    listener.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.store(true, Ordering::SeqCst);
        }
    });
    let done = match options.which {
        Which::Queue => queue::run(&mut run, &queue::FULL),
    };
    listener.shutdown_background();
    let ended = run.over();
    run.figure("complete", done.is_ok() && !ended);
    if let Err(error) = &done {
        run.wrong.push(format!("{error:#}"));
    }
    run.figure("wrong", run.wrong.clone());
    let result = Value::Object(run.figures.clone());
    let text = if options.json { result.to_string() } else { format!("{result:#}") };
    writeln!(std::io::stdout(), "{text}")?;
    for wrong in &run.wrong {
        say(&format!("not as it must be: {wrong}"));
    }
    Ok(run.wrong.is_empty())
}
