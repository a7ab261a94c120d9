//! `accounts`: who is signed in.

use m365_cached_proto::v1::{AccountsReply, AccountsRequest, Fault};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, table};
use crate::views::AccountView;

/// `{"accounts":[…]}`
#[derive(Debug, Serialize)]
struct Accounts {
    accounts: Vec<AccountView>,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let reply = promptly(context.admin().await?.accounts(AccountsRequest {})).await?;
    context.output.show(&Accounts::from(reply));
    Ok(())
}

impl From<AccountsReply> for Accounts {
    fn from(reply: AccountsReply) -> Self {
        Self { accounts: reply.accounts.into_iter().map(AccountView::from).collect() }
    }
}

impl View for Accounts {
    fn text(&self, _paint: Paint) -> String {
        if self.accounts.is_empty() {
            return "no accounts; sign in with `m365-cachectl login`\n".to_owned();
        }
        list(&self.accounts)
    }
}

/// A line for each account.
pub(super) fn list(accounts: &[AccountView]) -> String {
    let row = |account: &AccountView| {
        let state = match (account.state.as_str(), account.caching) {
            ("signed_in", true) => "signed in",
            ("signed_in", false) => "signed in, caching off",
            ("sign_in_required", _) => "must sign in again",
            (other, _) => other,
        };
        vec![account.username.clone(), account.account_type.replace('_', "/"), state.to_owned(), account.id.clone()]
    };
    table(&accounts.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
pub(super) mod tests {
    use m365_cached_proto::v1::Account;

    use super::*;

    pub(in crate::commands) fn two() -> Vec<Account> {
        let ada = Account {
            id: "work-1".into(),
            username: "ada@contoso.example".into(),
            account_type: "work_school".into(),
            tenant_id: "7f0c".into(),
            display_name: "Ada".into(),
            state: "signed_in".into(),
            access_token_expires_ms: 1_790_000_000_000,
            caching: true,
        };
        let bob = Account {
            id: "personal-1".into(),
            username: "bob@outlook.example".into(),
            account_type: "personal".into(),
            state: "sign_in_required".into(),
            ..Account::default()
        };
        vec![ada, bob]
    }

    #[test]
    fn accounts_read_well() {
        let view = Accounts::from(AccountsReply { accounts: two() });
        insta::assert_snapshot!("accounts_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("accounts_json", view);
        let none = Accounts::from(AccountsReply::default());
        assert_eq!(none.text(Paint::OFF), "no accounts; sign in with `m365-cachectl login`\n");
    }
}
