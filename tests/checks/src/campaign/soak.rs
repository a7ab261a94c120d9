//! `soak`: mixed load for a long time; what the daemon holds must not grow with it.
//!
//! Eight clients over three accounts read, search, force refreshes and write; each hangs up after [`CALLS_OF_A_CLIENT`] calls and another comes
//! in its place, so that a connection that is not let go of shows. Others change the mailboxes meanwhile. Memory is judged from a quarter of
//! the time on, because the caches fill first: its slope is that of the straight line nearest to the samples. Each client does [`PER_SECOND`]
//! calls a second, some ten times what a hard-working agent does, so that half an hour stands for five hours of eight of them.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_tenant::{Control, Options as TenantOptions};
use serde::Serialize;
use serde_json::{Value, json};

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
pub(super) struct Figures {
    seconds: f64,
    /// False when it was ended before its budget was.
    whole: bool,
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
    /// All as it should be.
    pub(super) ok: bool,
    samples: Vec<Sample>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    errors: AtomicU64,
    clients: AtomicU64,
    changes: AtomicU64,
}

/// Runs it for `budget`, or until somebody wants it to end.
pub(super) fn run(budget: Duration, stop: &AtomicBool) -> anyhow::Result<Figures> {
    say("soak: starting a tenant, a daemon and eight clients");
    let mut world = World::with(Setup { tenant: TenantOptions::default(), config: HOT, accounts: &USERS, ..Setup::default() })?;
    // Written to and read by others at once: what Graph says to that is part of the load.
    world.expect_log("Graph");
    let pid = world.daemon().pid();
    let counts = Counts::default();
    let started = stopwatch::now();
    let over = || started.elapsed() >= budget || stop.load(Ordering::Relaxed);
    let mut samples = Vec::new();
    let world = &world;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let mut workers = Vec::new();
        for number in 0..CLIENTS {
            let (counts, over) = (&counts, &over);
            let desk = Desk { bins: world.bins, home: &world.home, ids: &world.ids, control: world.control(), number };
            workers.push(scope.spawn(move || desk.work(counts, over)));
        }
        while !over() && !workers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            samples.push(sample(world, pid, started.elapsed())?);
            if let Some(sample) = samples.last().filter(|_| samples.len() % 12 == 1) {
                say(&format!("soak: {:.0} s, {:.1} MB, {} files, {} threads", sample.at_s, sample.rss_mb, sample.fds, sample.threads));
            }
            pause((budget / SAMPLES).max(Duration::from_secs(1)));
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })?;
    Ok(judged(samples, &counts, started.elapsed(), budget))
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
}

impl Desk<'_> {
    fn work(&self, counts: &Counts, over: &impl Fn() -> bool) -> anyhow::Result<()> {
        let mut turn = 0;
        while !over() {
            let mut client = Mcp::start(self.bins, self.home, ERAS[usize::try_from(turn % 2)?])?;
            counts.clients.fetch_add(1, Ordering::Relaxed);
            for _ in 0..CALLS_OF_A_CLIENT {
                if over() {
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
        let (tool, mut args) = match at % 20 {
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

fn judged(samples: Vec<Sample>, counts: &Counts, took: Duration, budget: Duration) -> Figures {
    let settled = &samples[samples.len() / 4..];
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let of = |figure: fn(&Sample) -> u64| course(settled, |sample| figure(sample) as f64);
    let (fds, connections, threads, tasks) =
        (of(|sample| sample.fds), of(|sample| sample.sockets), of(|sample| sample.threads), of(|sample| sample.tasks));
    let slope = slope(settled);
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    // As many clients and tenant connections come and go as there are; what leaks grows by every one of hundreds.
    let flat = |course: Course| course.late <= course.early + 4.0;
    let (calls, errors) = (read(&counts.calls), read(&counts.errors));
    Figures {
        seconds: took.as_secs_f64(),
        whole: took >= budget,
        calls,
        errors,
        clients: read(&counts.clients),
        changes_by_others: read(&counts.changes),
        rss_slope_mb_per_min: slope,
        rss_mb: course(settled, |sample| sample.rss_mb),
        fds,
        connections,
        threads,
        tasks,
        ok: calls > 0 && errors == 0 && slope < SLOPE && [fds, connections, threads, tasks].into_iter().all(flat),
        samples,
    }
}

impl Figures {
    pub(super) fn table(&self) -> String {
        let mut out = format!(
            "soak: {:.0} s{}, {} calls of {} clients one after another, {} changes by others, {} errors\n",
            self.seconds,
            if self.whole { "" } else { " (ended early)" },
            self.calls,
            self.clients,
            self.changes_by_others,
            self.errors
        );
        let _ = writeln!(out, "memory grows by {:.2} MB a minute (goal < {SLOPE})\n", self.rss_slope_mb_per_min);
        let _ = writeln!(out, "{:<12} {:>8} {:>8} {:>8}", "", "early", "late", "most");
        for (name, course) in [
            ("MB resident", self.rss_mb),
            ("files", self.fds),
            ("connections", self.connections),
            ("threads", self.threads),
            ("tasks", self.tasks),
        ] {
            let _ = writeln!(out, "{name:<12} {:>8.1} {:>8.1} {:>8.1}", course.early, course.late, course.most);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32, rss_mb: f64, fds: u64) -> Sample {
        Sample { at_s: second.into(), rss_mb, fds, sockets: 5, threads: 4, tasks: 0 }
    }

    fn of(samples: Vec<Sample>) -> Figures {
        let counts = Counts { calls: AtomicU64::new(1), ..Counts::default() };
        judged(samples, &counts, Duration::from_secs(100), Duration::from_secs(100))
    }

    #[test]
    fn what_grows_is_seen_and_what_fills_first_is_not() {
        let fills = |second: u32| if second < 20 { f64::from(second) } else { 20.0 + f64::from(second % 3) };
        let flat = of((0..100).map(|second| at(second, fills(second), 20)).collect());
        assert!(flat.ok && flat.rss_slope_mb_per_min.abs() < 0.3, "{flat:?}");
        let leaks = of((0..100).map(|second| at(second, 20.0 + f64::from(second) / 50.0, 20)).collect());
        assert!(!leaks.ok && (leaks.rss_slope_mb_per_min - 1.2).abs() < 0.01, "{}", leaks.rss_slope_mb_per_min);
        let files = of((0..100).map(|second| at(second, 20.0, 20 + u64::from(second / 10))).collect());
        assert!(!files.ok && files.fds.late > files.fds.early);
    }
}
