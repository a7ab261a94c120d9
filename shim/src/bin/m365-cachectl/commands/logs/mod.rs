//! `logs`: what the daemon has logged, whoever started it: read from its own files, which need no daemon that runs.

mod entry;
mod files;

use m365_cached_proto::v1::{Fault, Kind};

use self::entry::{Entry, Filter, Level};
use self::files::{Follower, read};
use crate::context::Context;

/// Which lines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl logs
  m365-cachectl logs --since 2h --level warn
  m365-cachectl logs -f
  m365-cachectl logs --lines 0 --json | jq -r 'select(.level == \"ERROR\") | .text'

The daemon writes its log into the profile (`m365-cached.log`, 0600, and the three before it: `.1` to `.3`, 4 MB each), also where its lines go to a
journal or a terminal as well. No address, subject, token or text is in it. What is logged says the setting `log.filter`.

With --json: a line for each, `at` (UTC), `level`, `target` and `text`; the first three are null for what was said before there was a log.")]
pub(crate) struct Args {
    /// How many of the last lines; 0 for all that are kept
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    pub(crate) lines: usize,
    /// Go on with each new line
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only from then on: `15m`, `2h` or `7d` ago, a date, or a time such as 2026-11-21T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = entry::since)]
    pub(crate) since: Option<jiff::Timestamp>,
    /// Only what is as grave as this, or graver
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) level: Option<Level>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Fault> {
    let log = context.profile.log_file();
    let filter = Filter::new(args.since, args.level);
    let unreadable = |error: std::io::Error| {
        let message = format!("the log `{}` cannot be read: {error}", log.display());
        Fault::new(Kind::Config, "log_unreadable", message, "See whose it is: `m365-cachectl doctor`.")
    };
    // Opened before it is read, so that no line falls between what is there and what comes.
    let mut follower = Follower::at_the_end(&log);
    let Some(entries) = read(&log, &filter, args.lines).map_err(unreadable)? else {
        if args.follow {
            return follow(context, &mut follower, &filter).await.map_err(unreadable);
        }
        let message = format!("no daemon has written a log yet: there is no `{}`", log.display());
        return Err(Fault::new(Kind::Config, "no_log", message, "`m365-cachectl service logs` shows the journal of a service."));
    };
    if entries.is_empty() && !args.follow {
        context.output.note("nothing like that was logged");
    }
    for entry in &entries {
        if !show(context, entry) {
            return Ok(());
        }
    }
    if args.follow { follow(context, &mut follower, &filter).await.map_err(unreadable) } else { Ok(()) }
}

async fn follow(context: &Context, follower: &mut Follower, filter: &Filter) -> std::io::Result<()> {
    let mut kept = filter.clone();
    loop {
        for line in follower.next().await? {
            let entry = Entry::of(&line);
            if kept.wants(&entry) && !show(context, &entry) {
                return Ok(());
            }
        }
    }
}

/// Prints a line; `false` when nobody reads any more.
fn show(context: &Context, entry: &Entry) -> bool {
    if context.output.json { context.output.tells(entry) } else { context.output.prints(|paint| entry.painted(paint)) }
}
