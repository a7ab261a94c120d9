//! `top`: what the daemon does at this moment, as a live view on a terminal or as JSON lines.
//!
//! `source` asks the daemon again and again; `watch` turns what it says into rates and shares, without a clock, a terminal or a wire; `state` knows
//! what the person has pressed; `draw` puts both on a screen of any size; `screen` takes the terminal and gives it back, whatever happens;
//! `lines` prints the same as JSON. Nothing of the content of a call is known here: the daemon does not tell it.

mod draw;
mod lines;
mod panels;
mod screen;
mod source;
mod state;
mod watch;

#[cfg(test)]
mod draw_tests;

use std::io::IsTerminal as _;
use std::time::Duration;

use m365_cached_proto::v1::{Fault, Kind};

use self::screen::{Heard, Screen};
use self::source::Source;
use self::state::{Done, State};
use self::watch::Watch;
use crate::context::Context;

/// How to watch.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl top
  m365-cachectl top --every 0.5
  m365-cachectl top --json --samples 1 | jq .hit_rate

It starts nothing and asks Microsoft nothing. Keys: `q` or Ctrl-C ends it, space holds the picture, Tab goes to the next table, `s` sorts it, the
arrows scroll, `?` explains them. When the daemon goes away it waits for the next one.

`fresh` and `stale` calls were answered from the cache, a `miss` by Microsoft; a `shared` one got the fetch of another call; `stood in` is an old answer
because Microsoft could not be asked; `past` went by the cache; `other` are writes and calls that no cache is for. The hit rate is the share of
cached reads that did not wait for Microsoft. Of a call are shown its tool, account, client, end and time, and nothing of its content.

With --json: a line for each look, over the time since the look before: `at_ms`, `state`, `seconds`, `calls_per_second` (`fresh`, `stale`, `miss`,
`coalesced` for shared, `stale_if_error` for stood in, `bypass` for past, `done` for other, `error`), `hit_rate` (0 to 1, or null), `latency_us` with
`cached` and `other` (`count`, `p50`, `p99`), `under_way`, `clients`, `queue`, `graph`, `accounts` with their budget of requests, `recent` calls that came
since. A daemon that goes away is a line with `state` `not_running`.")]
pub(crate) struct Args {
    /// How often to look
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) every: Duration,
    /// End after so many looks; with --json
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: Option<u64>,
}

/// A look costs the daemon little, but not nothing.
fn seconds(text: &str) -> Result<Duration, String> {
    let expected = || "a number of seconds from 0.1 to 3600, such as `0.5`".to_owned();
    let number: f64 = text.parse().map_err(|_| expected())?;
    if (0.1..=3600.0).contains(&number) { Ok(Duration::from_secs_f64(number)) } else { Err(expected()) }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Fault> {
    if !context.output.json {
        if args.samples.is_some() {
            let message = "`--samples` counts the lines of `--json`; a live view ends when you end it";
            return Err(Fault::new(Kind::User, "usage", message, "Run `m365-cachectl top --json --samples 1`."));
        }
        on_a_terminal()?;
    }
    // Before a screen is taken: whoever has no daemon wants the usual words.
    let source = Source::open(context.profile.clone()).await?;
    if context.output.json { lines::run(context, source, args).await } else { live(context, source, args).await }
}

/// A live view needs a terminal on both sides.
fn on_a_terminal() -> Result<(), Fault> {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb {
        return Ok(());
    }
    let message = "`top` draws on a terminal, and this is none";
    let hint = "`m365-cachectl top --json` prints a line for each look; `m365-cachectl stats --json` has the totals.";
    Err(Fault::new(Kind::User, "not_a_terminal", message, hint))
}

async fn live(context: &Context, source: Source, args: &Args) -> Result<u8, Fault> {
    let lost = |error: std::io::Error| {
        Fault::new(Kind::User, "not_a_terminal", format!("the terminal cannot be used: {error}"), "Run `m365-cachectl top --json`.")
    };
    let mut looks = source.every(args.every);
    let mut state = State::new(Watch::default(), context.output.coloured());
    let mut screen = Screen::enter().map_err(lost)?;
    loop {
        screen.draw(&state).map_err(lost)?;
        tokio::select! {
            look = looks.recv() => match look {
                Some(look) => state.look(look),
                // The task that looks ends with us alone.
                None => return Ok(1),
            },
            heard = screen.heard() => match heard {
                Heard::Key(key) => {
                    if state.key(key) == Done::Yes {
                        return Ok(0);
                    }
                }
                Heard::Resized => {}
                Heard::Gone => return Ok(0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_often_as_is_wanted_within_reason() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(seconds("2").unwrap(), Duration::from_secs(2));
        for wrong in ["0", "0.01", "-1", "3601", "inf", "NaN", "often", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
