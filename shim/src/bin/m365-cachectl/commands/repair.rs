//! `repair` and `reset`: what to do with a database that is damaged, or with data and keys that nobody needs any more.

use std::fmt::Write as _;

use m365_cached_proto::v1::Fault;
use serde::{Deserialize, Serialize};

use crate::agree::agreed;
use crate::context::Context;
use crate::offline;
use crate::output::{Paint, View, counted};

/// How to repair.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl repair
  m365-cachectl repair --rollback
  m365-cachectl repair --rollback --yes

The daemon is stopped and every page of the database is read. If all is well, nothing is changed. From a damaged one accounts, tokens, statistics and
the record of writes are saved as far as they open; answers are fetched again. The damaged file stays under `quarantine/` in a folder named by
the date. A lost or wrong key is none of its affairs: see `keys import`, `restore` and `reset`.

With --json `state` is `whole`, `repaired`, `set_aside` (its first page does not open, so nothing was found) or `rolled_back`.")]
pub(crate) struct RepairArgs {
    /// Put back the database as it was before the last upgrade of its tables
    #[arg(long)]
    pub(crate) rollback: bool,
    /// Agree that --rollback puts the data of today aside
    #[arg(long, requires = "rollback")]
    pub(crate) yes: bool,
}

/// How to start afresh.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  m365-cachectl reset --yes

Database and keys go to `quarantine/` in a folder named by the date; a master key in a keyring or a file stays where it is. The next start makes
new ones, and everybody signs in again.")]
pub(crate) struct ResetArgs {
    /// Agree to it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `state`: `whole`, `repaired`, `set_aside` or `rolled_back`. Counts are `null` where nothing was counted.
#[derive(Debug, Serialize, Deserialize)]
struct Repaired {
    state: String,
    why: String,
    /// Where the file of before is.
    quarantine: Option<String>,
    accounts: Option<u64>,
    /// Of them, those that need not sign in again.
    signed_in: Option<u64>,
    entries: Option<u64>,
    rows: Option<u64>,
    /// Tables of which a part could not be read.
    torn_tables: Option<u64>,
    schema: Option<u32>,
}

/// `{"quarantine":"/…"}`, or `null` when there was nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Reset {
    quarantine: Option<String>,
}

pub(super) async fn repair(context: &Context, args: &RepairArgs) -> Result<(), Fault> {
    let repaired: Repaired = if args.rollback {
        let dir = context.profile.dir.display();
        let question = format!(
            "The data of the profile `{dir}` is put aside, and the database of before the last upgrade of its tables takes its place."
        );
        agreed(context, args.yes, &question)?;
        offline::run(context, "copying the database of before and reading every page of it", &["repair", "--rollback"], None).await?
    } else {
        offline::run(context, "reading every page of the database", &["repair"], None).await?
    };
    context.output.show(&repaired);
    Ok(())
}

pub(super) async fn reset(context: &Context, args: &ResetArgs) -> Result<(), Fault> {
    let question = format!("Data and keys of the profile `{}` are put aside; everybody signs in again.", context.profile.dir.display());
    agreed(context, args.yes, &question)?;
    let reset: Reset = offline::run(context, "putting data and keys aside", &["reset"], None).await?;
    context.output.show(&reset);
    Ok(())
}

impl View for Repaired {
    fn text(&self, paint: Paint) -> String {
        let state = self.state.replace('_', " ");
        let state = if self.state == "whole" { paint.good(&state) } else { paint.warn(&state) };
        let mut text = format!("{state}  {}\n", self.why);
        if let (Some(accounts), Some(signed_in)) = (self.accounts, self.signed_in) {
            let _ = writeln!(text, "saved  {}, {signed_in} with tokens; answers are fetched again", counted(accounts, "account"));
        }
        if let Some(folder) = &self.quarantine {
            let _ = writeln!(text, "the file of before is in `{folder}`");
        }
        text
    }
}

impl View for Reset {
    fn text(&self, _paint: Paint) -> String {
        match &self.quarantine {
            Some(folder) => format!("data and keys are in `{folder}`; the next start makes new ones\n"),
            None => "there was nothing to put aside\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let json = r#"{"state":"repaired","why":"The database is damaged.","quarantine":"/q","accounts":3,"signed_in":2,"rows":9,"torn_tables":1}"#;
        let repaired: Repaired = serde_json::from_str(json).unwrap();
        let expected = "repaired  The database is damaged.\nsaved  3 accounts, 2 with tokens; answers are fetched again\nthe file of before is in `/q`\n";
        assert_eq!(repaired.text(Paint::OFF), expected);
        assert_eq!(Reset { quarantine: None }.text(Paint::OFF), "there was nothing to put aside\n");
    }
}
