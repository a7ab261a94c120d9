//! `bench`: what a call costs on this machine, through the real socket and the session that a client has, beside an empty question to the daemon.
//!
//! So many calls, and not so many seconds: the limits by minute that hold for every client hold here too, and a bench that runs into them measures
//! refusals. A read alone is called, and one that the cache does not answer is refused before it is asked a thousand times.

mod report;
mod session;

use std::sync::Barrier;

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::v1::{CallToolRequest, Fault, Kind};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::report::{Figures, Measured, Spread};
use self::session::{Answered, Session, ping};
use super::tools;
use crate::context::{Context, answered};

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl bench
  m365-cachectl bench --tool email_list --args '{\"account_id\":\"ada@contoso.com\",\"limit\":10}'
  m365-cachectl bench --calls 200 --json

Measured are: connecting and greeting, an empty question (a `ping` that reaches the daemon and nothing in it), the call over one connection, and over
eight at once, each on a thread of its own. Beside the ping the call is `good` up to 3 times its time, `fair` up to 8; large answers take longer, and
their size stands beside it. `account_list`, which is called unless you name another tool, is answered by the daemon itself; name a read of yours to
see what the cache costs.

Only tools that change nothing are called. The first call may ask Microsoft, when nothing is stored that is fresh; it says so, and a call that
the cache does not answer the second time is not measured. The calls count in `stats` and `top` under the client `m365-cachectl bench`, and towards
`limits.reads_per_minute`.

With --json: `tool`, `answer_bytes`, `cache` (`fresh`, `stale`, or null for what no cache is for), `asked_microsoft` (calls that did), `connect_us`
and `ping_us` with `p50` and `p99`, `one` and `eight` with `calls`, `p50_us`, `p99_us`, `per_second`, `ratio` of call to ping, and `verdict`.")]
pub(crate) struct Args {
    /// The tool to call
    #[arg(long, value_name = "NAME", default_value = "account_list")]
    pub(crate) tool: String,
    /// Its arguments, one JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) args: String,
    /// How many calls over one connection, and again over eight
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    pub(crate) calls: u32,
}

/// Connections at a time.
const MANY: u32 = 8;

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Fault> {
    let arguments = object(&args.args)?;
    let mut client = context.tools().await?;
    let tool = tools::named(tools::list(&mut client).await?, &args.tool)?;
    if !tool.read_only {
        let message = format!("`{}` changes something, and a bench calls it thousands of times: it was not called", tool.name);
        return Err(Fault::new(Kind::User, "not_read_only", message, "Name a tool that reads; `m365-cachectl tools` shows which do."));
    }
    let (profile, calls) = (&context.profile, args.calls);
    // Here a refusal has its kind, and with it an exit code.
    let request =
        CallToolRequest { name: args.tool.clone(), arguments: Value::Object(arguments.clone()).to_string().into(), dry_run: false };
    let first = Answered::of_text(&answered(client.call_tool(request).await)?.text);
    drop(client);
    let mut session = Session::open(profile).await?;
    let second = session.call(&args.tool, &arguments).await?;
    if second.asked_microsoft() {
        let status = second.status.as_deref().unwrap_or_default();
        let message = format!("the cache does not answer this call (`{status}`): each of {calls} would ask Microsoft; it was called twice");
        return Err(Fault::new(Kind::User, "not_cached", message, "Name another read, or other arguments."));
    }
    let told = |what: &str| context.output.progress(what);
    told("connecting and asking nothing");
    let (connects, pings) = (connects(profile).await?, pings(profile, calls).await?);
    told(&format!("{calls} calls over one connection"));
    let one = many(profile, &args.tool, &arguments, 1, calls)?;
    told(&format!("{calls} calls over {MANY} connections"));
    let eight = many(profile, &args.tool, &arguments, MANY, calls)?;
    let asked_microsoft = u64::from(first.asked_microsoft()) + one.asked_microsoft + eight.asked_microsoft;
    context.output.show(&Measured::new(tool.name, &second, asked_microsoft, connects, pings, one.figures, eight.figures));
    Ok(())
}

/// The arguments, which leave the cache its say.
fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
        let hint = "Quote it for the shell: --args '{\"account_id\":\"…\"}'.";
        return Err(Fault::new(Kind::User, "invalid_argument", "the arguments are no JSON object", hint));
    };
    if object.get("use_cache") == Some(&Value::Bool(false)) || object.get("force_refresh") == Some(&Value::Bool(true)) {
        let message = "with `use_cache` off or `force_refresh` on each call would ask Microsoft: nothing was called";
        return Err(Fault::new(Kind::User, "not_cached", message, "Leave both out."));
    }
    Ok(object)
}

/// How long it takes to connect and greet, each time anew.
async fn connects(profile: &Profile) -> Result<Spread, Fault> {
    let mut times = Vec::new();
    for _ in 0..MANY {
        let began = Instant::now();
        Session::open(profile).await?;
        times.push(began.elapsed());
    }
    Ok(Spread::of(times))
}

async fn pings(profile: &Profile, count: u32) -> Result<Spread, Fault> {
    let mut daemon = session::health(profile).await?;
    let mut times = Vec::new();
    for _ in 0..count.min(1000) {
        let began = Instant::now();
        ping(&mut daemon).await?;
        times.push(began.elapsed());
    }
    Ok(Spread::of(times))
}

/// What a number of connections came to.
struct Came {
    figures: Figures,
    asked_microsoft: u64,
}

/// Calls over `connections` at the same time, each on a thread of its own as each client is a process of its own.
fn many(profile: &Profile, tool: &str, arguments: &Map<String, Value>, connections: u32, calls: u32) -> Result<Came, Fault> {
    let each = calls / connections;
    let barrier = Barrier::new(usize::try_from(connections).unwrap_or(1));
    let came: Vec<Result<Lane, Fault>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..connections).map(|_| scope.spawn(|| lane(profile, tool, arguments, each, &barrier))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(gone()))).collect()
    });
    let lanes = came.into_iter().collect::<Result<Vec<Lane>, Fault>>()?;
    let began = lanes.iter().map(|lane| lane.began).min().unwrap_or_else(Instant::now);
    let ended = lanes.iter().map(|lane| lane.ended).max().unwrap_or(began);
    let asked_microsoft = lanes.iter().map(|lane| lane.asked_microsoft).sum();
    let times = lanes.into_iter().flat_map(|lane| lane.times).collect();
    Ok(Came { figures: Figures::of(times, ended.duration_since(began)), asked_microsoft })
}

/// One connection's calls.
struct Lane {
    began: Instant,
    ended: Instant,
    times: Vec<std::time::Duration>,
    asked_microsoft: u64,
}

fn lane(profile: &Profile, tool: &str, arguments: &Map<String, Value>, calls: u32, barrier: &Barrier) -> Result<Lane, Fault> {
    let opened = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| gone());
    let opened = opened.and_then(|runtime| runtime.block_on(Session::open(profile)).map(|session| (runtime, session)));
    // Whoever could not connect does not keep the others waiting.
    barrier.wait();
    let (runtime, mut session) = opened?;
    runtime.block_on(async {
        let began = Instant::now();
        let (mut times, mut asked_microsoft) = (Vec::new(), 0);
        for _ in 0..calls {
            let asked = Instant::now();
            let answered: Answered = session.call(tool, arguments).await?;
            times.push(asked.elapsed());
            asked_microsoft += u64::from(answered.asked_microsoft());
        }
        Ok(Lane { began, ended: Instant::now(), times, asked_microsoft })
    })
}

fn gone() -> Fault {
    Fault::new(Kind::Internal, "bench_failed", "the bench could not be carried through", "Run `m365-cachectl bench` once more.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_leave_the_cache_its_say() {
        assert_eq!(object("{\"limit\":5,\"use_cache\":true}").unwrap().len(), 2);
        for (wrong, code) in [
            ("", "invalid_argument"),
            ("[1]", "invalid_argument"),
            ("{\"force_refresh\":true}", "not_cached"),
            ("{\"use_cache\":false}", "not_cached"),
        ] {
            assert_eq!(object(wrong).unwrap_err().code, code, "{wrong}");
        }
    }
}
