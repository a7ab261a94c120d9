//! `audit`: what was done, by whom, when: shown, followed, verified, exported.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{AuditRequest, Fault, Kind, VerifyAuditReply, VerifyAuditRequest};
use serde::Serialize;
use serde_json::Value;

use crate::context::{Context, answered};
use crate::output::{Output, Paint, View, counted};
use crate::private::PrivateFile;

/// What to show of the audit trail.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  m365-cachectl audit --account ada@contoso.com --since 2h
  m365-cachectl audit --kind write --kind written --follow
  m365-cachectl audit --target AAMk… -n 0
  m365-cachectl audit verify --json
  m365-cachectl audit export trail.jsonl --since 2026-11-01

Kinds: sign_in, sign_out, key, write (before it is sent), written (its outcome), read, invalidation, export, erasure, import, repair, prune, restore,
broken.
Subjects, addresses, search words and texts are never in it; messages and files are marks (8 bytes of an HMAC), which --target computes
again from an id. Alike reads within 5 s are one record that says how often (x40).

`audit verify` holds every record against the one before it, and the trail against its sealed ends inside the database and beside it.
Exit code 7 when it does not hold. Note the `head` it prints somewhere else: `audit verify --head N:HASH` then also finds a profile that
was put back whole to an earlier time."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// How many of the last records to show; 0 for all
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    pub(crate) last: u64,
    /// Go on with every record that comes
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only of this account: id, username or alias; the id alone of one that has signed out
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only by this client, as `stats --by client` shows it
    #[arg(long)]
    pub(crate) client: Option<String>,
    /// Only of this tool; `email_*` for all that begin so
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only of this kind; may be given several times
    #[arg(long)]
    pub(crate) kind: Vec<String>,
    /// Only of this message, file or folder, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) target: Option<String>,
    /// Only from then on: `15m`, `2h` or `7d` ago, a date, or a time such as 2026-11-21T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// What to do with the audit trail.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Go through all of it: nothing changed, moved, added or missing
    #[command(after_help = "\
Examples:
  m365-cachectl audit verify
  m365-cachectl audit verify --json")]
    Verify {
        /// An end that `audit verify` printed earlier, through which the trail must still go
        #[arg(long, value_name = "N:HASH")]
        head: Option<String>,
    },
    /// Write it as JSON lines into a new file (0600), or to stdout for `-`
    #[command(after_help = "\
Examples:
  m365-cachectl audit export trail.jsonl --since 2026-11-01
  m365-cachectl audit export - --account ada@contoso.com | jq .kind")]
    Export {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        filter: Filter,
    },
}

/// What a store that needs attention gives: the trail does not hold.
const DOES_NOT_HOLD: u8 = 7;

/// One record, as the daemon wrote it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Record(Value);

/// `{"holds":true,"records":n,"dropped_to":n,"head":"n:hash","faults":[…],"more_faults":0}`
#[derive(Debug, Serialize)]
struct Verified {
    holds: bool,
    records: u64,
    dropped_to: u64,
    head: String,
    faults: Vec<Found>,
    more_faults: u64,
}

/// `first` and `last` are the numbers of the records it is about, or null.
#[derive(Debug, Serialize)]
struct Found {
    code: String,
    message: String,
    first: Option<u64>,
    last: Option<u64>,
}

/// `{"file":"…","records":n}`
#[derive(Debug, Serialize)]
struct Exported {
    file: String,
    records: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Fault> {
    match args.verb {
        None => {
            let request = request(args.filter, args.last, args.follow);
            show(context, request).await?;
            Ok(0)
        }
        Some(Verb::Verify { head }) => {
            let request = VerifyAuditRequest { noted: head.unwrap_or_default() };
            let mut records = context.records().await?;
            let reply = answered(context.output.meanwhile("going through the audit trail", records.verify_audit(request)).await)?;
            let verified = Verified::from(reply);
            context.output.show(&verified);
            Ok(if verified.holds { 0 } else { DOES_NOT_HOLD })
        }
        Some(Verb::Export { file, filter }) => {
            let work = export(context, &file, request(filter, 0, false));
            // What goes to stdout tells of itself.
            if file == Path::new("-") {
                work.await?;
            } else {
                context.output.meanwhile("writing the audit trail", work).await?;
            }
            Ok(0)
        }
    }
}

fn request(filter: Filter, limit: u64, follow: bool) -> AuditRequest {
    AuditRequest {
        account: filter.account.unwrap_or_default(),
        client: filter.client.unwrap_or_default(),
        tool: filter.tool.unwrap_or_default(),
        target: filter.target.unwrap_or_default(),
        kinds: filter.kind,
        since: filter.since.unwrap_or_default(),
        until: filter.until.unwrap_or_default(),
        limit,
        follow,
    }
}

/// Records go out as they come, one on a line.
async fn show(context: &Context, request: AuditRequest) -> Result<(), Fault> {
    let mut records = answered(context.records().await?.audit(request).await)?;
    let mut some = false;
    while let Some(record) = records.message().await.map_err(|status| Fault::from_status(&status))? {
        some = true;
        if !line(&context.output, &record.record)? {
            return Ok(());
        }
    }
    if !some {
        context.output.note("there is no such record");
    }
    Ok(())
}

/// Prints a record; `false` when nobody reads any more.
fn line(output: &Output, bytes: &[u8]) -> Result<bool, Fault> {
    let record = serde_json::from_slice(bytes)
        .map_err(|_| Fault::new(Kind::Internal, "bad_record", "the daemon's record is not JSON", "Run `m365-cachectl stop`."))?;
    Ok(output.show(&Record(record)))
}

/// JSON lines into a file, or to stdout for `-`.
async fn export(context: &Context, file: &Path, request: AuditRequest) -> Result<(), Fault> {
    let mut records = answered(context.records().await?.audit(request).await)?;
    let mut out = if file == Path::new("-") { None } else { Some(PrivateFile::create(file, "m365-audit.jsonl")?) };
    let mut count = 0;
    while let Some(record) = records.message().await.map_err(|status| Fault::from_status(&status))? {
        count += 1;
        match &mut out {
            Some(out) => out.write(&[&record.record, b"\n".as_slice()].concat())?,
            None if !context.output.line(&String::from_utf8_lossy(&record.record)) => return Ok(()),
            None => {}
        }
    }
    if let Some(out) = out {
        let file = out.path().display().to_string();
        out.finish()?;
        context.output.show(&Exported { file, records: count });
    }
    Ok(())
}

impl View for Record {
    fn text(&self, paint: Paint) -> String {
        let word = |name: &str| self.0[name].as_str().unwrap_or("-").to_owned();
        let (times, targets) = (self.0["times"].as_u64().unwrap_or(1), self.0["targets"].as_u64().unwrap_or(0));
        let mut text = format!(
            "{:>6}  {}  {:<12}  {}  {}  {}",
            self.0["seq"].to_string(),
            word("at"),
            word("kind"),
            word("client"),
            word("tool"),
            word("outcome")
        );
        if times != 1 {
            text.push_str(&format!("  x{times}"));
        }
        if targets > 0 {
            text.push_str(&format!("  targets: {targets}"));
        }
        if let Some(refers) = self.0["refers"].as_u64() {
            text.push_str(&format!("  of {refers}"));
        }
        text.push_str(&format!("  {}\n", word("account")));
        if self.0["kind"] == "broken" { paint.bad(&text) } else { text }
    }
}

impl From<VerifyAuditReply> for Verified {
    fn from(reply: VerifyAuditReply) -> Self {
        let fault = |fault: m365_cached_proto::v1::AuditFault| {
            let m365_cached_proto::v1::AuditFault { code, message, first, last } = fault;
            Found { code, message, first, last }
        };
        Self {
            holds: reply.holds,
            records: reply.records,
            dropped_to: reply.dropped_to,
            head: reply.head,
            faults: reply.faults.into_iter().map(fault).collect(),
            more_faults: reply.more_faults,
        }
    }
}

impl View for Verified {
    fn text(&self, paint: Paint) -> String {
        let mut text = if self.holds {
            format!("{}: {}, none changed, moved or missing\n", paint.good("the audit trail holds"), counted(self.records, "record"))
        } else {
            format!("{}\n", paint.bad("the audit trail does not hold"))
        };
        for fault in &self.faults {
            text.push_str(&format!("  {} ({})\n", fault.message, fault.code));
        }
        if self.more_faults > 0 {
            text.push_str(&format!("  and {} more\n", self.more_faults));
        }
        if self.dropped_to > 0 {
            text.push_str(&format!("records up to {} were dropped by age\n", self.dropped_to));
        }
        text.push_str(&format!("head: {}\n", self.head));
        text
    }
}

impl View for Exported {
    fn text(&self, _paint: Paint) -> String {
        format!("{} written to {}\n", counted(self.records, "record"), self.file)
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::AuditFault;
    use serde_json::json;

    use super::*;

    #[test]
    fn records_read_well() {
        let record = Record(json!({
            "seq": 12, "at": "2026-11-21T08:00:00.000Z", "kind": "written", "account": "1.2", "tool": "email_move", "client": "claude",
            "outcome": "done", "times": 1, "targets": 2, "refers": 11,
        }));
        let expected = "    12  2026-11-21T08:00:00.000Z  written       claude  email_move  done  targets: 2  of 11  1.2\n";
        assert_eq!(record.text(Paint::OFF), expected);
    }

    #[test]
    fn a_verification_reads_well() {
        let faults =
            vec![AuditFault { code: "missing".into(), message: "records 3 to 5 are missing".into(), first: Some(3), last: Some(5) }];
        let reply = VerifyAuditReply { holds: false, records: 9, dropped_to: 0, head: "9:ab".into(), faults, more_faults: 0 };
        let view = Verified::from(reply);
        assert_eq!(view.text(Paint::OFF), "the audit trail does not hold\n  records 3 to 5 are missing (missing)\nhead: 9:ab\n");
        insta::assert_json_snapshot!("audit_verify_json", view);
        let good = VerifyAuditReply { holds: true, records: 9, head: "9:ab".into(), dropped_to: 2, ..VerifyAuditReply::default() };
        let text = Verified::from(good).text(Paint::OFF);
        assert_eq!(
            text,
            "the audit trail holds: 9 records, none changed, moved or missing\nrecords up to 2 were dropped by age\nhead: 9:ab\n"
        );
    }
}
