//! `invalidate`: delete entries by pattern.

use m365_cached_proto::v1::{Fault, InvalidateReply, InvalidateRequest};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, counted};

/// What to delete.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl invalidate 'email_list*'
  m365-cachectl invalidate 'folder_get_tree' --account ada@contoso.com")]
pub(crate) struct Args {
    /// `type[:account][:name=value]`, with `*`
    pub(crate) pattern: String,
    /// Only of this account: id, username or alias
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `{"pattern":"email_list*","entries_deleted":n}`; the pattern as the daemon understood it.
#[derive(Debug, Serialize)]
struct Invalidated {
    pattern: String,
    entries_deleted: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Fault> {
    let request =
        InvalidateRequest { pattern: args.pattern, account: args.account.unwrap_or_default(), reason: args.reason.unwrap_or_default() };
    let reply = promptly(context.admin().await?.invalidate(request)).await?;
    context.output.show(&Invalidated::from(reply));
    Ok(())
}

impl From<InvalidateReply> for Invalidated {
    fn from(reply: InvalidateReply) -> Self {
        Self { pattern: reply.pattern, entries_deleted: reply.entries_deleted }
    }
}

impl View for Invalidated {
    fn text(&self, _paint: Paint) -> String {
        format!("{} deleted ({})\n", counted(self.entries_deleted, "entry"), self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let view = Invalidated::from(InvalidateReply { entries_deleted: 3, pattern: "email_list*".into() });
        assert_eq!(view.text(Paint::OFF), "3 entries deleted (email_list*)\n");
        assert_eq!(serde_json::to_string(&view).unwrap(), r#"{"pattern":"email_list*","entries_deleted":3}"#);
    }
}
