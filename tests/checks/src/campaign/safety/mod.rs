//! Safety: each promise as hostile cases against the real programs, with what was tried and what was found. One file for each figure.
//!
//! A further figure is a file here with `run(run, size)`, a field of [`Size`], and a line in [`PARTS`] and [`run`]. The suite runs the same
//! drivers at [`QUICK`] sizes (`tests/safety.rs`). Figures that tests find, because they need the insides of the library or have their quick
//! size in the suite already, stand in `suite.rs`.

mod canaries;
mod confirmations;
mod frames;
mod names;
mod noisy;
mod sink;
mod starts;
mod strangers;
mod suite;
mod urls;

use std::time::Duration;

use serde_json::{Value, json};

use super::Run;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Connections of another user.
    pub strangers: usize,
    /// Daemons that are started at once, and how often.
    pub starts: (usize, usize),
    /// Hostile confirmations.
    pub confirmations: usize,
    /// Hostile addresses.
    pub urls: usize,
    /// Hostile paths of local files.
    pub names: usize,
    /// Lines and pieces of bytes that are no messages.
    pub frames: usize,
    /// Calls of the quiet client that are measured, alone and beside the noisy one.
    pub quiet_calls: usize,
    /// Rounds over all tools with planted texts.
    pub canaries: usize,
}

/// What the requirements say.
pub const FULL: Size = Size {
    strangers: 1_000,
    starts: (50, 20),
    confirmations: 20_000,
    urls: 200,
    names: 500,
    frames: 1_000_000,
    quiet_calls: 2_000,
    canaries: 3,
};

/// What the suite runs.
pub const QUICK: Size =
    Size { strangers: 50, starts: (12, 2), confirmations: 300, urls: 40, names: 60, frames: 4_000, quiet_calls: 150, canaries: 1 };

/// How long it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(4 * 3600);

/// What it can be asked for by name.
pub const PARTS: &[&str] = &[
    "strangers",
    "starts",
    "confirmations",
    "urls",
    "names",
    "frames",
    "noisy",
    "canaries",
    "rows",
    "pages",
    "files",
    "keys",
    "kills",
    "full_disk",
    "crossings",
    "trail",
    "arguments",
];

/// Runs the parts that are wanted.
pub fn run(run: &mut Run, size: &Size) {
    part(run, "strangers", |run| strangers::run(run, size.strangers));
    part(run, "starts", |run| starts::run(run, size.starts));
    part(run, "confirmations", |run| confirmations::run(run, size.confirmations));
    part(run, "urls", |run| urls::run(run, size.urls));
    part(run, "names", |run| names::run(run, size.names));
    part(run, "frames", |run| frames::run(run, size.frames));
    part(run, "noisy", |run| noisy::run(run, size.quiet_calls));
    part(run, "canaries", |run| canaries::run(run, size.canaries));
    for part in suite::TESTED {
        self::part(run, part.name, |run| suite::run(run, part));
    }
}

/// Runs one when it is wanted, and notes how long it took and whether all was as it must be.
fn part(run: &mut Run, name: &str, work: impl FnOnce(&mut Run) -> anyhow::Result<()>) {
    let (begun, wrong) = (run.elapsed(), run.wrong().len());
    run.part(name, work);
    run.judged(name, (run.elapsed() - begun).as_secs_f64(), run.wrong().len() == wrong);
}

/// One figure: how many cases were tried, how many of them got through, and further numbers. None may get through.
fn found(run: &mut Run, name: &str, tried: usize, found: usize, more: Value) {
    let mut figure = json!({ "tried": tried, "found": found });
    if let (Value::Object(figure), Value::Object(more)) = (&mut figure, more) {
        figure.extend(more);
    }
    run.figure(name, figure);
    run.must(found == 0, &format!("{name}: {found} of {tried} hostile cases got through"));
}
