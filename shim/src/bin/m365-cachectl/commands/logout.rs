//! `logout`: forget an account's tokens and data. Its data key goes with them, and no command brings that back: so it asks.

use m365_cached_proto::v1::{Fault, LogoutReply, LogoutRequest};
use serde::Serialize;

use crate::agree::agreed;
use crate::context::{Context, promptly};
use crate::output::{Paint, View, counted};
use crate::views::AccountView;

/// `{"account":{…},"entries_deleted":n}`
#[derive(Debug, Serialize)]
struct Logout {
    account: AccountView,
    entries_deleted: u64,
}

pub(super) async fn run(context: &Context, account: String, yes: bool) -> Result<(), Fault> {
    let question = format!(
        "{account} is signed out: its tokens, answers, statistics, tasks and data key are destroyed here; nothing at Microsoft is changed."
    );
    agreed(context, yes, &question)?;
    let reply = promptly(context.admin().await?.logout(LogoutRequest { account })).await?;
    context.output.show(&Logout::from(reply));
    Ok(())
}

impl From<LogoutReply> for Logout {
    fn from(reply: LogoutReply) -> Self {
        Self { account: reply.account.unwrap_or_default().into(), entries_deleted: reply.entries_deleted }
    }
}

impl View for Logout {
    fn text(&self, _paint: Paint) -> String {
        format!("signed out {}; {} deleted\n", self.account.username, counted(self.entries_deleted, "entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let account = crate::commands::accounts::tests::two().remove(0);
        let view = Logout::from(LogoutReply { account: Some(account), entries_deleted: 12 });
        assert_eq!(view.text(Paint::OFF), "signed out ada@contoso.example; 12 entries deleted\n");
        insta::assert_json_snapshot!("logout_json", view);
    }
}
