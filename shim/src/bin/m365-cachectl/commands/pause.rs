//! `pause` and `resume`: keeps the daemon from asking Microsoft, and lets it go on.

use m365_cached_proto::v1::{Fault, PauseRequest, Paused};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, seconds};

/// How long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
While it is paused no request goes to Microsoft: no call, no renewal, no sign-in. What is stored is served however old it is, and says how old
(`_cached_at`); what is not stored, and every write, is refused with `paused`. Tasks wait. A restart of the daemon does not end it.

Examples:
  m365-cachectl pause                 until `m365-cachectl resume`
  m365-cachectl pause --for 2h        it ends by itself")]
pub(crate) struct Args {
    /// End by itself after this long: `90s`, `30m`, `2h`, `1d`
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<u64>,
}

/// `{"paused":true,"until_ms":1790000000000}`; `until_ms` is `null` when only `resume` ends it, and when it is not paused.
#[derive(Debug, Serialize)]
struct Switched {
    paused: bool,
    until_ms: Option<u64>,
    /// For the text: how long that is.
    #[serde(skip)]
    time: Option<u64>,
}

pub(super) async fn pause(context: &Context, args: &Args) -> Result<(), Fault> {
    let for_ms = args.time.map_or(0, |seconds| seconds.saturating_mul(1000));
    switch(context, PauseRequest { resume: false, for_ms }, args.time).await
}

pub(super) async fn resume(context: &Context) -> Result<(), Fault> {
    switch(context, PauseRequest { resume: true, for_ms: 0 }, None).await
}

async fn switch(context: &Context, request: PauseRequest, time: Option<u64>) -> Result<(), Fault> {
    let reply = {
        let mut admin = context.admin().await?;
        promptly(admin.pause(request)).await?
    };
    let until_ms = reply.paused.as_ref().and_then(end);
    context.output.show(&Switched { paused: reply.paused.is_some(), until_ms, time });
    Ok(())
}

/// When a pause ends by itself, Unix milliseconds.
pub(super) fn end(paused: &Paused) -> Option<u64> {
    (paused.until_ms > 0).then_some(paused.until_ms)
}

pub(super) fn time(text: &str) -> Result<u64, String> {
    let expected = || "a time such as `90s`, `30m`, `2h` or `1d`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(expected)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit).filter(|seconds| (1..=366 * 24 * 3600).contains(seconds)).ok_or_else(expected)
}

impl View for Switched {
    fn text(&self, paint: Paint) -> String {
        match (self.paused, self.time) {
            (false, _) => format!("{}: the daemon asks Microsoft\n", paint.good("on")),
            (true, Some(time)) => format!("{} for {}; `m365-cachectl resume` ends it before\n", paint.warn("paused"), seconds(time)),
            (true, None) => format!("{} until `m365-cachectl resume`\n", paint.warn("paused")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_letter() {
        assert_eq!(["90s", "30m", "2h", "1d"].map(|text| time(text).unwrap()), [90, 1800, 7200, 86_400]);
        for wrong in ["", "2", "h", "0s", "-1h", "2.5h", "2w", "400d", "99999999999999999999d", "2ü"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_reads_well() {
        let text = |paused, time| Switched { paused, until_ms: None, time }.text(Paint::OFF);
        assert_eq!(text(true, None), "paused until `m365-cachectl resume`\n");
        assert_eq!(text(true, Some(7200)), "paused for 2 h 0 min; `m365-cachectl resume` ends it before\n");
        assert_eq!(text(false, None), "on: the daemon asks Microsoft\n");
        assert_eq!(end(&Paused { until_ms: 0 }), None);
    }
}
