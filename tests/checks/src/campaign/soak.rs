//! `soak`: mixed load for a long time; what the daemon holds must not grow with it.
//!
//! Eight clients over three accounts read, search, force refreshes and write; each hangs up after [`CALLS_OF_A_CLIENT`] calls and another comes
//! in its place, so that a connection that is not let go of shows. Others change the mailboxes meanwhile. Memory is judged from a quarter of
//! the time on, because the caches fill first: its slope is that of the straight line nearest to the samples. Each client does [`PER_SECOND`]
//! calls a second, some ten times what a hard-working agent does, so that half an hour stands for five hours of eight of them.

use std::{
    path::PathBuf,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_tenant::{Control, Options as TenantOptions};
use serde::Serialize;
use serde_json::{Value, json};

use super::Run;
use crate::{
    demo::say,
    support::{
        bins::Bins,
        home::Home,
        mcp::{ERAS, Mcp},
        stopwatch,
        world::{ALEX, BEA, CASEY, Setup, World},
    },
};

/// The whole of it.
pub(super) const WHOLE: Duration = Duration::from_secs(30 * 60);
/// MB a minute that the daemon may grow by.
const SLOPE: f64 = 1.0;
/// A small hot tier, which is full within a minute: filling one of 64 MB takes many, and would look like a leak until then.
const HOT: &str = "[cache]\nhot_bytes = 8388608\n";
const CLIENTS: usize = 8;
const CALLS_OF_A_CLIENT: u64 = 200;
const PER_SECOND: u64 = 4;
const SAMPLES: u32 = 120;
/// Growth is judged in runs of this length and more.
const JUDGED_FROM: Duration = Duration::from_secs(600);
/// What it can be asked for by name: kinds of load.
pub(super) const PARTS: &[&str] = &["reads", "searches", "refreshes", "writes", "changes", "clients"];
/// What follows what: the kind of load, and which of [`Desk::call`]'s calls.
const TURNS: [(&str, u8); 20] = [
    ("refreshes", 0),
    ("searches", 1),
    ("reads", 2),
    ("reads", 3),
    ("reads", 4),
    ("reads", 5),
    ("reads", 6),
    ("reads", 7),
    ("searches", 8),
    ("reads", 9),
    ("changes", 10),
    ("writes", 11),
    ("reads", 12),
    ("reads", 13),
    ("reads", 14),
    ("reads", 14),
    ("reads", 14),
    ("reads", 14),
    ("reads", 14),
    ("reads", 14),
];
const USERS: [&str; 3] = [ALEX, BEA, CASEY];

/// What is held at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sample {
    at_s: f64,
    rss_mb: f64,
    fds: u64,
    sockets: u64,
    threads: u64,
    /// Queued and running.
    tasks: u64,
}

/// A figure at a quarter of the time and at its end, each the middle of an eighth of the samples.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Course {
    early: f64,
    late: f64,
    most: f64,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Figures {
    calls: u64,
    /// Calls that failed although nothing stood in their way.
    errors: u64,
    clients: u64,
    changes_by_others: u64,
    rss_slope_mb_per_min: f64,
    rss_mb: Course,
    fds: Course,
    connections: Course,
    threads: Course,
    tasks: Course,
    samples: Vec<Sample>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    errors: AtomicU64,
    clients: AtomicU64,
    changes: AtomicU64,
}

/// Runs the kinds of load that are wanted, together.
pub(super) fn run(run: &mut Run) {
    run.carry("soak", |run| {
        let (counts, mut samples) = (Counts::default(), Vec::new());
        let done = load(run, &counts, &mut samples);
        let figures = of(samples, &counts);
        // A few minutes show how the caches fill.
        figures.judge(run, run.elapsed() >= JUDGED_FROM);
        run.figures(&figures)?;
        done?;
        if run.elapsed() < WHOLE {
            run.leaves();
        }
        Ok(())
    });
}

fn load(run: &Run, counts: &Counts, samples: &mut Vec<Sample>) -> anyhow::Result<()> {
    say("soak: starting a tenant, a daemon and eight clients");
    let mut world = World::with(Setup { tenant: TenantOptions::default(), config: HOT, accounts: &USERS, ..Setup::default() })?;
    // Written to and read by others at once: what Graph says to that is part of the load.
    world.expect_log("Graph");
    let pid = world.daemon().pid();
    let started = stopwatch::now();
    let kinds: Vec<usize> = (0..TURNS.len()).filter(|at| run.wants(TURNS[*at].0)).collect();
    // Clients alone have to say something, too.
    let kinds = if kinds.is_empty() { vec![TURNS.len() - 1] } else { kinds };
    let kinds = &kinds;
    let world = &world;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let mut workers = Vec::new();
        for number in 0..CLIENTS {
            let desk = Desk { bins: world.bins, home: &world.home, ids: &world.ids, control: world.control(), number, kinds };
            workers.push(scope.spawn(move || desk.work(counts, run)));
        }
        while !run.over() && !workers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            samples.push(sample(world, pid, started.elapsed())?);
            if let Some(sample) = samples.last().filter(|_| samples.len() % 12 == 1) {
                say(&format!("soak: {:.0} s, {:.1} MB, {} files, {} threads", sample.at_s, sample.rss_mb, sample.fds, sample.threads));
            }
            let next = stopwatch::now() + (run.budget() / SAMPLES).max(Duration::from_secs(1));
            while !run.over() && stopwatch::now() < next {
                pause(Duration::from_millis(250));
            }
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

/// Lets time pass: it is the load that is measured, so there is nothing to wait for.
fn pause(time: Duration) {
    let (_open, nobody) = mpsc::channel::<()>();
    // Nobody says anything, so it ends by itself.
    let _ = nobody.recv_timeout(time);
}

/// One place of work: clients follow one another.
#[derive(Clone, Copy)]
struct Desk<'a> {
    bins: &'a Bins,
    home: &'a Home,
    ids: &'a [String],
    control: &'a Control,
    number: usize,
    /// Places in [`TURNS`] of what is wanted.
    kinds: &'a [usize],
}

impl Desk<'_> {
    fn work(&self, counts: &Counts, run: &Run) -> anyhow::Result<()> {
        let mut turn = 0;
        let calls = if run.wants("clients") { CALLS_OF_A_CLIENT } else { u64::MAX };
        while !run.over() {
            let mut client = Mcp::start(self.bins, self.home, ERAS[usize::try_from(turn % 2)?])?;
            counts.clients.fetch_add(1, Ordering::Relaxed);
            for _ in 0..calls {
                if run.over() {
                    break;
                }
                let begun = stopwatch::now();
                self.call(&mut client, turn, counts)?;
                turn += 1;
                pause(Duration::from_millis(1000 / PER_SECOND).saturating_sub(begun.elapsed()));
            }
            client.hang_up();
            client.wait(crate::support::PATIENCE)?;
        }
        Ok(())
    }

    fn call(&self, client: &mut Mcp, turn: u64, counts: &Counts) -> anyhow::Result<()> {
        let at = usize::try_from(turn)? + self.number * 7;
        let account = at / 3 % USERS.len();
        let id = &self.ids[account];
        let (tool, mut args) = match TURNS[self.kinds[at % self.kinds.len()]].1 {
            0 => ("email_list", json!({ "force_refresh": true })),
            1 => ("search_emails", json!({ "query": format!("word{}", turn % 500) })),
            2 => ("email_list", json!({ "limit": 1 + turn % 200, "include_body": turn.is_multiple_of(2) })),
            3 => ("calendar_list_events", json!({ "days_ahead": 1 + turn % 30 })),
            4 => ("folder_get_tree", json!({})),
            5 => ("file_list", json!({ "limit": 1 + turn % 300 })),
            6 => ("contact_list", json!({})),
            7 => ("emailfolders_get_tree", json!({})),
            8 => ("search_files", json!({ "query": "report" })),
            9 => ("cache_get_stats", json!({})),
            10 => {
                let change = json!({ "verb": "churn", "user": USERS[account], "count": 1, "seed": turn });
                self.control.change(&change)?;
                counts.changes.fetch_add(1, Ordering::Relaxed);
                ("email_list", json!({}))
            }
            11 => {
                let list = self.asked(client, "email_list", json!({ "account_id": id }), counts)?;
                match list["messages"][0]["id"].as_str() {
                    Some(message) => ("email_mark_read", json!({ "email_id": message, "is_read": turn.is_multiple_of(2) })),
                    None => ("email_list", json!({})),
                }
            }
            12 => {
                let list = self.asked(client, "email_list", json!({ "account_id": id, "limit": 50 }), counts)?;
                match list["messages"][at % 50]["id"].as_str() {
                    Some(message) => ("email_get", json!({ "email_id": message })),
                    None => ("email_list", json!({})),
                }
            }
            13 => ("email_list", json!({ "limit": 3, "folder": "sent" })),
            _ => ("email_list", json!({ "limit": ([5, 10, 25, 50][at % 4]) })),
        };
        if tool != "cache_get_stats" {
            args["account_id"] = id.clone().into();
        }
        self.asked(client, tool, args, counts).map(drop)
    }

    fn asked(&self, client: &mut Mcp, tool: &str, args: Value, counts: &Counts) -> anyhow::Result<Value> {
        let answer: Value = serde_json::from_str(&client.call(tool, &args)?.text)?;
        counts.calls.fetch_add(1, Ordering::Relaxed);
        // Somebody else may have deleted it since it was listed.
        if let Some(error) = answer.get("error")
            && error["code"] != "not_found"
        {
            counts.errors.fetch_add(1, Ordering::Relaxed);
            say(&format!("soak: {tool} failed: {error}"));
        }
        Ok(answer)
    }
}

fn sample(world: &World, pid: u32, at: Duration) -> anyhow::Result<Sample> {
    let about = PathBuf::from(format!("/proc/{pid}"));
    let status = std::fs::read_to_string(about.join("status")).context("reading what the system says of the daemon")?;
    let line = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.split_whitespace().next().context("a number")?.parse()?)
    };
    let (mut fds, mut sockets) = (0, 0);
    for file in std::fs::read_dir(about.join("fd")).context("listing the daemon's files")? {
        fds += 1;
        // It may have been closed since it was listed.
        if let Ok(target) = std::fs::read_link(file?.path()) {
            sockets += u64::from(target.to_string_lossy().starts_with("socket:"));
        }
    }
    let shown = world.ctl_json(&["status"])?;
    let count = |name: &str| shown["queue"][name].as_u64().with_context(|| format!("no queue in the status: {shown}"));
    let tasks = count("queued")? + count("running")?;
    #[expect(clippy::cast_precision_loss, reason = "megabytes, for people")]
    let rss_mb = line("VmRSS:")? as f64 / 1024.0;
    Ok(Sample { at_s: at.as_secs_f64(), rss_mb, fds, sockets, threads: line("Threads:")?, tasks })
}

/// MB a minute, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = samples.len() as f64;
    if count < 2.0 {
        return 0.0;
    }
    let (x, y) = samples.iter().fold((0.0, 0.0), |(x, y), sample| (x + sample.at_s / count, y + sample.rss_mb / count));
    let (above, below) = samples.iter().fold((0.0, 0.0), |(above, below), sample| {
        let off = sample.at_s - x;
        (above + off * (sample.rss_mb - y), below + off * off)
    });
    if below > 0.0 { above / below * 60.0 } else { 0.0 }
}

fn course(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Course {
    let middle = |part: &[Sample]| {
        let mut values: Vec<f64> = part.iter().map(&figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let eighth = (samples.len() / 8).max(1).min(samples.len());
    Course {
        early: middle(&samples[..eighth]),
        late: middle(&samples[samples.len() - eighth..]),
        most: samples.iter().map(&figure).fold(0.0, f64::max),
    }
}

fn of(samples: Vec<Sample>, counts: &Counts) -> Figures {
    let settled = &samples[samples.len() / 4..];
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let of = |figure: fn(&Sample) -> u64| course(settled, |sample| figure(sample) as f64);
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Figures {
        calls: read(&counts.calls),
        errors: read(&counts.errors),
        clients: read(&counts.clients),
        changes_by_others: read(&counts.changes),
        rss_slope_mb_per_min: slope(settled),
        rss_mb: course(settled, |sample| sample.rss_mb),
        fds: of(|sample| sample.fds),
        connections: of(|sample| sample.sockets),
        threads: of(|sample| sample.threads),
        tasks: of(|sample| sample.tasks),
        samples,
    }
}

impl Figures {
    /// Notes what is not as it must be; what grows only when it was watched for long enough.
    fn judge(&self, run: &mut Run, long_enough: bool) {
        run.must(self.errors == 0, "calls failed");
        if !long_enough {
            return;
        }
        run.must(self.calls > 0, "no call was answered");
        run.must(self.rss_slope_mb_per_min < SLOPE, "memory grows");
        // As many clients and tenant connections come and go as there are; what leaks grows by every one of hundreds.
        let flat = |course: Course| course.late <= course.early + 4.0;
        run.must(flat(self.fds), "files stay open");
        run.must(flat(self.connections), "connections stay open");
        run.must(flat(self.threads), "threads stay");
        run.must(flat(self.tasks), "tasks gather");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(second: u32, rss_mb: f64, fds: u64) -> Sample {
        Sample { at_s: second.into(), rss_mb, fds, sockets: 5, threads: 4, tasks: 0 }
    }

    fn wrong(samples: Vec<Sample>) -> (f64, Vec<String>) {
        let counts = Counts { calls: AtomicU64::new(1), ..Counts::default() };
        let (figures, mut run) = (of(samples, &counts), Run::new(&[], Duration::from_secs(100), Arc::default()));
        figures.judge(&mut run, true);
        (figures.rss_slope_mb_per_min, run.wrong().to_vec())
    }

    #[test]
    fn what_grows_is_seen_and_what_fills_first_is_not() {
        let fills = |second: u32| if second < 20 { f64::from(second) } else { 20.0 + f64::from(second % 3) };
        let (slope, flat) = wrong((0..100).map(|second| at(second, fills(second), 20)).collect());
        assert!(flat.is_empty() && slope.abs() < 0.3, "{slope} {flat:?}");
        let (slope, leaks) = wrong((0..100).map(|second| at(second, 20.0 + f64::from(second) / 50.0, 20)).collect());
        assert!((slope - 1.2).abs() < 0.01, "{slope}");
        assert_eq!(leaks, ["memory grows"]);
        let (_, files) = wrong((0..100).map(|second| at(second, 20.0, 20 + u64::from(second / 10))).collect());
        assert_eq!(files, ["files stay open"]);
    }

    #[test]
    fn one_that_is_cut_short_before_its_first_call_has_done_nothing_wrong() {
        for (long_enough, wrong) in [(false, 0), (true, 1)] {
            let figures = of(vec![at(0, 20.0, 20)], &Counts::default());
            let mut run = Run::new(&[], Duration::from_secs(100), Arc::default());
            figures.judge(&mut run, long_enough);
            assert_eq!(run.wrong().len(), wrong, "{:?}", run.wrong());
        }
    }
}
