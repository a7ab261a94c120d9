//! `warm`: fetch the usual answers ahead of use, now. Progress goes to stderr, so that stdout has the outcome alone.

use m365_cached_proto::v1::{Fault, Kind, WarmEvent, WarmRequest};
use serde::Serialize;

use crate::context::{Context, answered};
use crate::output::{Paint, View, counted};

/// What to fetch ahead of use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl warm
  m365-cachectl warm ada@contoso.com --wait

Asks for the answers that `[warming.operations]` names, also where warming is switched off; those that are
fresh are left as they are. Without --wait it says how many it has asked for and ends: exit code 0. With
--wait the first answer that could not be had decides the exit code; `m365-cachectl tasks --status failed`
says why.

With --json: `accounts`, `asked` (not fresh), `fresh`, `fetched`, `failed`, and whether it has `ended`.
Progress goes to stderr.")]
pub(crate) struct Args {
    /// Only of this account: id, username or alias
    pub(crate) account: Option<String>,
    /// Wait until everything is fetched, and tell how far it is
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `{"accounts":2,"asked":4,"fresh":2,"fetched":4,"failed":0,"ended":true}`; `asked` counts what was not fresh.
#[derive(Debug, Serialize)]
struct Warmed {
    accounts: u64,
    asked: u64,
    fresh: u64,
    fetched: u64,
    failed: u64,
    ended: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Fault> {
    let request = WarmRequest { account: args.account.unwrap_or_default(), wait: args.wait };
    let mut events = answered(context.admin().await?.warm(request).await)?;
    let mut last: Option<WarmEvent> = None;
    while let Some(event) = events.message().await.map_err(|status| Fault::from_status(&status))? {
        if args.wait {
            context.output.note(&progress(&event));
        }
        last = Some(event);
    }
    let last = last.filter(|last| last.ended || !args.wait).ok_or_else(|| {
        let message = "the daemon went away before everything was fetched";
        Fault::new(
            Kind::Offline,
            "warming_incomplete",
            message,
            "Run `m365-cachectl warm --wait` once more: what is fresh is left as it is.",
        )
    })?;
    // Nothing but the kind is known of a failure; the tasks tell the rest.
    let code = if last.failed > 0 { Fault::new(last.failure(), "not_warm", "", "").exit_code() } else { 0 };
    context.output.show(&Warmed::from(last));
    Ok(code)
}

fn progress(event: &WarmEvent) -> String {
    let done = event.fetched + event.fresh + event.failed;
    let failed = if event.failed > 0 { format!(", {} failed", event.failed) } else { String::new() };
    format!("{done} of {} answers{failed}", event.total)
}

impl From<WarmEvent> for Warmed {
    fn from(event: WarmEvent) -> Self {
        let WarmEvent { accounts, total, fetched, fresh, failed, ended, .. } = event;
        Self { accounts, asked: total.saturating_sub(fresh), fresh, fetched, failed, ended }
    }
}

impl View for Warmed {
    fn text(&self, paint: Paint) -> String {
        let Self { accounts, asked, fresh, fetched, failed, ended } = self;
        let mut text = if *ended {
            format!("{} fetched, {fresh} fresh already (accounts: {accounts})\n", counted(*fetched, "answer"))
        } else {
            format!(
                "{} asked for, {fresh} fresh already (accounts: {accounts}); `m365-cachectl status` tells how far it is\n",
                counted(*asked, "answer")
            )
        };
        if *failed > 0 {
            text += &format!("{} {failed}; `m365-cachectl tasks --status failed` says why\n", paint.bad("failed:"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let begun = WarmEvent { accounts: 2, total: 6, fresh: 2, ..WarmEvent::default() };
        let ended = WarmEvent { fetched: 3, failed: 1, ended: true, failure: Kind::Denied as i32, ..begun };
        assert_eq!((progress(&begun), progress(&ended)), ("2 of 6 answers".into(), "6 of 6 answers, 1 failed".into()));
        let text = |event| Warmed::from(event).text(Paint::OFF);
        assert_eq!(text(begun), "4 answers asked for, 2 fresh already (accounts: 2); `m365-cachectl status` tells how far it is\n");
        assert_eq!(
            text(ended),
            "3 answers fetched, 2 fresh already (accounts: 2)\nfailed: 1; `m365-cachectl tasks --status failed` says why\n"
        );
        let json = serde_json::to_string(&Warmed::from(ended)).unwrap();
        assert_eq!(json, r#"{"accounts":2,"asked":4,"fresh":2,"fetched":3,"failed":1,"ended":true}"#);
    }
}
