//! The pictures of the manual: real programs on a real terminal, before a demo tenant with Microsoft's latencies and clients at work.
//!
//! What stands on the screen is drawn as it stands there; nothing is touched up.

mod svg;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use m365_cached_tenant::{ClockStart, Latency, Options as Tenant};
use serde_json::{Value, json};

use crate::{
    demo::say,
    support::{
        mcp::Mcp,
        terminal::Terminal,
        world::{ALEX, BEA, Setup, World},
    },
};

/// Where the pictures go.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder; pictures that are there are replaced
    #[arg(default_value = "packaging/manual/pictures")]
    folder: PathBuf,
}

/// How long the clients work before `top` is drawn: its curve is half full.
const WORK: Duration = Duration::from_secs(14);
/// The calls of one client come this far apart, and of the next one half as far again.
const PACE: Duration = Duration::from_millis(60);

/// Draws them.
///
/// # Errors
/// When something cannot be started, or does not show what it should.
pub fn run(options: &Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.folder).with_context(|| format!("making `{}`", options.folder.display()))?;
    say("building the programs, starting the tenant and the daemon");
    let tenant = Tenant { clock: ClockStart::Now, latency: Latency::Real, ..Tenant::default() };
    let mut world = World::with(Setup { accounts: &[ALEX, BEA], tenant, ..Setup::limited() })?;
    // The tenant's latencies make some calls fail, and that is told in the log.
    world.expect_log("");
    say("four clients work while `top` watches");
    top(&world, &options.folder.join("top.svg"))?;
    for verb in ["status", "doctor"] {
        say(verb);
        let mut terminal = Terminal::start(world.bins, &world.home, &world.bins.cachectl, &[verb], (126, 40))?;
        terminal.wait()?;
        terminal.until(|text| text.lines().count() > 10)?;
        svg::write(&terminal.picture(), &options.folder.join(format!("{verb}.svg")))?;
    }
    say(&format!("the pictures are in {}", options.folder.display()));
    Ok(())
}

fn top(world: &World, to: &Path) -> anyhow::Result<()> {
    let (stop, (end, ended)) = (Arc::new(AtomicBool::new(false)), mpsc::channel::<()>());
    let mut at_work = Vec::new();
    for (number, name) in ["claude-code", "vscode", "cursor", "codex"].into_iter().enumerate() {
        let client = Mcp::named(world.bins, &world.home, name, &[])?;
        let (stop, end) = (Arc::clone(&stop), end.clone());
        let account = if number % 2 == 0 { ALEX } else { BEA };
        let pace = PACE.mul_f64(1.0 + f64::from(u8::try_from(number)?) / 2.0);
        at_work.push(std::thread::spawn(move || {
            let worked = work(client, account, pace, &stop);
            drop(end);
            worked
        }));
    }
    drop(end);
    let mut terminal = Terminal::start(world.bins, &world.home, &world.bins.cachectl, &["top", "--every", "0.25"], (120, 36))?;
    // Ends early when every client has failed.
    let _ = ended.recv_timeout(WORK);
    terminal.until(|text| text.contains("claude-code") && text.contains("fresh"))?;
    svg::write(&terminal.picture(), to)?;
    terminal.press("q")?;
    terminal.wait()?;
    stop.store(true, Relaxed);
    for worker in at_work {
        worker.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok(())
}

/// A model's day in seconds: mostly what was asked before, now and then something new, a mistake, a write.
fn work(mut client: Mcp, account: &str, pace: Duration, stop: &AtomicBool) -> anyhow::Result<()> {
    let (_never, pause) = mpsc::channel::<()>();
    for turn in 0_u32.. {
        if stop.load(Relaxed) {
            break;
        }
        let (tool, arguments): (&str, Value) = match turn % 29 {
            7 => ("email_list", json!({"limit": 5 + turn % 40})),
            13 => ("calendar_list_events", json!({"limit": 1 + turn % 30})),
            17 => ("email_create_draft", json!({"subject": "A draft", "body": "b", "to": [ALEX]})),
            22 => ("email_get", json!({"email_id": "none"})),
            at if at % 3 == 0 => ("email_list", json!({"limit": 10})),
            at if at % 3 == 1 => ("folder_list", json!({})),
            _ => ("emailfolders_list", json!({})),
        };
        let mut arguments = arguments;
        arguments["account_id"] = account.into();
        client.call(tool, &arguments)?;
        // Nobody ever tells anything here: it is a pause, as a model makes one.
        let _ = pause.recv_timeout(pace);
    }
    Ok(())
}
