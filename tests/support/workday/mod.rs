//! A working day of four agents, played through the real daemon and real shims in compressed time, and judged against the tenant's truth.
//!
//! Played twice with one seed. First with the cache: what each answer said, and since when it claims to be true, is written down. Then, in a
//! second tenant of the same seed, everything happens again at the same moments, and every read goes past the cache: that gives the Graph
//! calls a day costs without it, and the truth of any question at any moment of the day, to which the first day's answers are held.
//!
//! **Where the shape comes from.** There is no published log of what agents ask of a mailbox. So the numbers are of two kinds:
//! - *Of people*: about 117 messages and 50 changes of read marks a day in a busy mailbox, some eight changes of meetings, some twenty of
//!   files (Microsoft's Work Trend Index 2025 counts 117 e-mails received a day; the rest is our guess). They come at random, more of them
//!   in the morning, none of them known to the daemon.
//! - *Of agents*, by what the tools' help tells a model to do: look at a list, get some of what it names, act on one, look at the list
//!   again; ask a search again with other words or another limit; look up where things lie in a tree. A conversation is 5 to 15 such calls with
//!   4 to 30 seconds of thought between them; agents keep nothing between conversations, so each begins with the same lists. Between
//!   conversations lie 4 to 25 minutes, and an hour at noon. Three of the four agents work for the same person. Two leave the limit at its
//!   default; the others have limits of their own, as models do. In three conversations of ten something is asked a second time, because a
//!   part of it was lost from the agent's context or a helper of it asks for itself.
//!
//! None of this was fitted to a result; the figures of other seeds and a denser or thinner day are printed with `--seed` and `--pace`.

mod day;
mod figures;
mod judge;
mod script;

use std::time::Duration;

use m365_cached_tenant::{ClockSetting, Options};

pub use figures::Figures;
pub use judge::{CONTRACT, Contract};

use super::{
    PATIENCE,
    world::{ALEX, BEA, CASEY, Setup, World},
};

/// Which day.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// All chance comes from it.
    pub seed: u64,
    /// How long it lasts.
    pub length: Duration,
    /// Conversations come so many times as often.
    pub pace: f64,
}

impl Default for Plan {
    /// Nine hours.
    fn default() -> Self {
        Self { seed: 1, length: Duration::from_secs(9 * 3600), pace: 1.0 }
    }
}

/// How late Graph shows what was sent and what can be searched.
const LAG: Duration = Duration::from_secs(5);

/// When the day begins, after the accounts have signed in: the same in both worlds to the nanosecond, for it shows in answers.
const MORNING: &str = "2026-11-20T09:01:00Z";

/// One of the two worlds; only that with the cache is warmed.
fn world(warming: bool) -> anyhow::Result<World> {
    let tenant = Options { lag: LAG, ..Options::default() };
    let world =
        World::with(Setup { tenant, accounts: &[ALEX, BEA, CASEY], stopped_clock: true, warming, graph_ids: true, ..Setup::default() })?;
    let morning = ClockSetting { set: Some(MORNING.parse()?), freeze: true, ..ClockSetting::default() };
    let revision = world.control().set_clock(&morning).revision;
    anyhow::ensure!(world.block_on(world.control().clock_followed(revision, PATIENCE)), "the daemon does not follow the clock");
    Ok(world)
}

/// Plays and judges the day.
///
/// # Errors
/// When a program fails; wrong answers are no error but figures.
pub fn run(plan: Plan) -> anyhow::Result<Figures> {
    let played = day::play(plan)?;
    judge::judge(&played)
}
