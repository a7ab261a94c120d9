//! `limit`: the real limits of what is kept, reached through the daemon, and what calls from the cache feel of the clean-up.
//!
//! `bytes`: large messages fill the database, each read in two shapes. Their text is random, so that it hardly compresses. Meanwhile one
//! client asks a hundred small questions over and over, and the daemon keeps no opened answers in memory: every call reads the file that
//! is being cleaned. Clean-ups are seen in the daemon's log. `entries`: one account gets more answers than it may keep.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use m365_cached_tenant::{Control, Options as TenantOptions, Tenant};
use serde::Serialize;
use serde_json::json;

use super::{Run, queue::search};
use crate::{
    demo::say,
    support::{
        answer::Answer,
        bins::{Bins, For, bins},
        ctl,
        daemon::Daemon,
        home::Home,
        mcp::{Era, Mcp},
        signin,
        stopwatch::{micros, now, percentile},
        world::{ALEX, Setup, World},
    },
};

/// What it can be asked for by name.
pub(super) const PARTS: &[&str] = &["bytes", "entries"];
/// Characters of a large message's text: nearly what one answer may show of a body.
const TEXT: usize = 490_000;
/// What one answer may show.
const WHOLE_BODY: usize = 500_000;
/// Calls from which the quiet times of the foreground are taken.
const QUIET_CALLS: usize = 4_000;
/// How much slower the slowest calls may be during a clean-up, at the 99th percentile.
const RATIO: f64 = 1.5;
/// Shares of the limit, in percent, at which a clean-up begins and ends: the daemon's defaults.
const FROM: u64 = 80;
const TO: u64 = 60;
/// How long a clean-up may take, and afterwards the file to shrink.
const CLEAN: Duration = Duration::from_secs(1200);
const SHRINK: Duration = Duration::from_secs(20);
/// Answers that one account may keep: the daemon's default.
const ENTRIES: usize = 10_000;
/// So many more are asked for.
const MORE: usize = 50;

/// What `limit` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The limit in bytes: `cache.max_bytes` of the daemon.
    #[arg(long, default_value_t = 2_000_000_000, value_parser = clap::value_parser!(u64).range(50_000_000..))]
    bytes: u64,
}

/// What was seen of the bytes.
#[derive(Debug, Default, Serialize)]
struct Report {
    limit_bytes: u64,
    /// Calls whose answers filled the database.
    filled_with: u64,
    /// Bytes in use at the last look before the clean-up began, and when it had ended.
    begun_at: u64,
    ended_at: u64,
    /// Bytes of the file, then.
    file_before: u64,
    file_after: u64,
    entries_removed: u64,
    clean_s: f64,
    calls_meanwhile: usize,
    quiet_p50_us: f64,
    quiet_p99_us: f64,
    meanwhile_p50_us: f64,
    meanwhile_p99_us: f64,
    p99_ratio: f64,
}

/// How long it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(1800);

/// Runs the parts that are wanted.
pub(super) fn run(run: &mut Run, options: &Options) {
    run.part("bytes", |run| bytes(run, options.bytes));
    run.part("entries", entries);
}

fn bytes(run: &mut Run, limit: u64) -> anyhow::Result<()> {
    let bins = bins(For::Demo)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tenant = runtime.block_on(Tenant::start(TenantOptions::default())).context("starting the tenant")?;
    let home = Home::new(3)?;
    m365_cached_tenant::profile::write(home.path(), &tenant, false)?;
    home.configure(&format!("[cache]\nmax_bytes = {limit}\nhot_bytes = 0\n"))?;
    let daemon = Daemon::start(bins, &home)?;
    let account = runtime.block_on(signin::sign_in(bins, &home, ALEX))?;
    let account = account["id"].as_str().context("an account without id")?.to_owned();
    let client = Mcp::start(bins, &home, Era::Legacy)?;
    let report = Report { limit_bytes: limit, ..Report::default() };
    let mut stage =
        Stage { bins, home: &home, control: tenant.control(), daemon: &daemon, client, account, run, small: Vec::new(), report };
    let played = stage.play(limit);
    let report = stage.report;
    run.figures(&report)?;
    played?;
    daemon.stop()
}

/// More answers of one account than it may keep: the limit holds, and what was used last is what stays.
fn entries(run: &mut Run) -> anyhow::Result<()> {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::default() })?;
    let mut client = world.client(Era::Legacy)?;
    let held = || -> anyhow::Result<usize> {
        let status = world.ctl_json(&["status"])?;
        Ok(usize::try_from(status["store"]["entries"].as_u64().with_context(|| format!("no entries in {status}"))?)?)
    };
    let mut most = 0;
    for number in 0..ENTRIES + MORE {
        search(&mut client, &world.ids[0], number)?;
        if number % 1000 == 999 {
            most = held()?;
            run.figure("entries_most", most);
            say(&format!("limit: {most} answers of one account"));
        }
        if run.leaves() {
            return Ok(());
        }
    }
    run.must(most > ENTRIES * 9 / 10, "fewer answers were kept than may be");
    let deadline = now() + CLEAN;
    let mut left = held()?;
    while left > ENTRIES && now() < deadline && !run.leaves() {
        left = held()?;
    }
    run.figure("entries_left", left);
    if run.leaves() {
        return Ok(());
    }
    run.must(left <= ENTRIES, "one account keeps more answers than it may");
    // Asked last, kept; asked first and never again, gone: that answer was fetched now.
    for (number, stays) in [(ENTRIES + MORE - 1, true), (0, false)] {
        let question = json!({ "account_id": world.ids[0], "query": format!("subject:plan{number}"), "limit": 1 });
        let kept = client.call("search_emails", &question)?.cache_status()? != "miss";
        run.must(kept == stays, "what was used last is not what stayed");
    }
    Ok(())
}

struct Stage<'a> {
    bins: &'static Bins,
    home: &'a Home,
    control: &'a Control,
    daemon: &'a Daemon,
    client: Mcp,
    account: String,
    run: &'a mut Run,
    /// Ids of the small messages that are asked for over and over.
    small: Vec<String>,
    report: Report,
}

impl Stage<'_> {
    fn message(&self, text: &str) -> anyhow::Result<String> {
        let change = json!({ "verb": "new_message", "user": ALEX, "subject": "filler", "body": format!("<p>{text}</p>") });
        let made = self.control.change(&change)?;
        Ok(made["id"].as_str().with_context(|| format!("a message without id: {made}"))?.to_owned())
    }

    fn get(&mut self, id: &str, format: &str) -> anyhow::Result<Answer> {
        let question = json!({ "account_id": self.account, "email_id": id, "body_format": format, "body_max_length": WHOLE_BODY });
        self.client.call("email_get", &question)
    }

    /// Bytes in use, and what the last clean-up removed.
    fn room(&self) -> anyhow::Result<(u64, Option<u64>)> {
        let status = ctl::run(self.bins, self.home, &["status", "--json"])?.ok()?.json()?;
        let room = &status["store"]["room"];
        let bytes = room["bytes"].as_u64().with_context(|| format!("no room in {status}"))?;
        Ok((bytes, room["cleaned"]["entries"].as_u64()))
    }

    fn file_bytes(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(self.home.database())?.len())
    }

    fn cleaned(&self) -> anyhow::Result<bool> {
        Ok(self.daemon.log()?.contains("the clean-up has ended"))
    }

    fn play(&mut self, limit: u64) -> anyhow::Result<()> {
        for nth in 0..100 {
            let id = self.message(&format!("small {nth} {}", "some words ".repeat(60)))?;
            self.get(&id, "text")?;
            self.small.push(id);
        }
        let from = limit * FROM / 100;
        let mut noise = Noise(1);
        // Most of it, then the quiet times, then the rest.
        self.fill(&mut noise, from * 97 / 100)?;
        self.report.file_before = self.file_bytes()?;
        if self.run.leaves() {
            return Ok(());
        }
        say("limit: asking while nothing is cleaned up");
        self.ask(QUIET_CALLS / 4)?;
        let mut quiet = self.ask(QUIET_CALLS)?;
        let early = self.cleaned()?;
        self.run.must(!early, "the clean-up began below its share");
        self.report.quiet_p50_us = micros(percentile(&mut quiet, 0.5));
        self.report.quiet_p99_us = micros(percentile(&mut quiet, 0.99));
        if early || self.run.leaves() {
            return Ok(());
        }
        self.fill(&mut noise, from)?;
        if self.run.leaves() {
            return Ok(());
        }
        self.report.begun_at = self.room()?.0;
        say("limit: past the share at which a clean-up begins; asking until it has ended");
        let begun = now();
        let mut meanwhile = Vec::new();
        while !self.cleaned()? && begun.elapsed() < CLEAN && !self.run.leaves() {
            meanwhile.extend(self.ask(200)?);
        }
        self.report.clean_s = begun.elapsed().as_secs_f64();
        self.report.calls_meanwhile = meanwhile.len();
        self.report.meanwhile_p50_us = micros(percentile(&mut meanwhile, 0.5));
        self.report.meanwhile_p99_us = micros(percentile(&mut meanwhile, 0.99));
        self.report.p99_ratio = self.report.meanwhile_p99_us / self.report.quiet_p99_us.max(0.1);
        let (bytes, removed) = self.room()?;
        (self.report.ended_at, self.report.entries_removed) = (bytes, removed.unwrap_or(0));
        if self.run.leaves() {
            return Ok(());
        }
        // What lies in the log reaches the file when nobody asks for anything.
        let shrunk = now() + SHRINK;
        while self.file_bytes()? > limit * TO / 100 && now() < shrunk {
            ctl::run(self.bins, self.home, &["status", "--json"])?;
        }
        self.report.file_after = self.file_bytes()?;
        let ended = self.cleaned()?;
        let report = &self.report;
        self.run.must(ended, "the clean-up did not end in time");
        self.run.must(report.begun_at > from, "the share at which a clean-up begins was not reached");
        self.run.must(report.ended_at <= limit * TO / 100, "it ended above its share");
        self.run.must(report.file_after <= limit * TO / 100, "the file did not shrink to the share");
        self.run.must(report.p99_ratio <= RATIO, "calls from the cache were slower than they may be");
        Ok(())
    }

    /// Reads new large messages until so many bytes are in use.
    fn fill(&mut self, noise: &mut Noise, goal: u64) -> anyhow::Result<()> {
        let mut said = now();
        loop {
            let (bytes, _) = self.room()?;
            if bytes > goal {
                return Ok(());
            }
            if said.elapsed() > Duration::from_secs(5) {
                say(&format!("limit: {} of {} MB", bytes / 1_000_000, goal / 1_000_000));
                said = now();
            }
            // A look costs a process, so there is one for many messages; near the goal for each.
            let each = TEXT as u64 * 2;
            for _ in 0..((goal - bytes) / each).clamp(1, 50) {
                if self.run.leaves() {
                    return Ok(());
                }
                let id = self.message(&noise.text(TEXT))?;
                for format in ["text", "html"] {
                    let status = self.get(&id, format)?.cache_status()?;
                    anyhow::ensure!(status == "miss", "a new message is not fetched and kept: {status}");
                    self.report.filled_with += 1;
                }
            }
        }
    }

    /// Asks for the small messages, `count` times in all, or until there is no time; what each took.
    fn ask(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for nth in 0..count {
            if self.run.leaves() {
                break;
            }
            let id = self.small[nth % self.small.len()].clone();
            let begun = now();
            let answer = self.get(&id, "text")?;
            times.push(begun.elapsed());
            let status = answer.cache_status()?;
            anyhow::ensure!(status == "fresh", "not from the cache: {status}");
        }
        Ok(times)
    }
}

/// Random letters, the same for every run.
struct Noise(u64);

impl Noise {
    fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // xorshift64: good enough to be incompressible.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            text.extend((0..10).map(|nth| char::from(LETTERS[(self.0 >> (nth * 6) & 63) as usize])));
        }
        text
    }
}
