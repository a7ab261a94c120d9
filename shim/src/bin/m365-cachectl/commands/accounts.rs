//! `accounts`: who is signed in, under which short names, and which of them is meant where a call names none.
//!
//! Names are settings: `accounts default` and `accounts alias` write the same lines as `config set` would, once the account is known to be there,
//! and have the daemon read them.

use clap::Subcommand;
use m365_cached_proto::v1::{AccountsReply, AccountsRequest, Fault, Kind};
use serde::Serialize;

use super::{config, reload};
use crate::context::{Context, promptly};
use crate::output::{Paint, View, table};
use crate::views::AccountView;

/// What is to be done with them; nothing lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl accounts
  m365-cachectl accounts alias ada@contoso.com work
  m365-cachectl accounts default work
  m365-cachectl accounts default --unset

An alias is taken wherever an account is named: by tools as `account_id`, by every verb, in policies. The default decides where a call names no
account, which is refused otherwise; it never decides whom to sign out. Both stand in `config.toml` under `[accounts]`; a running daemon is told
and reads its settings again, as `m365-cachectl reload` has it do. With --json `taken` says whether there was one.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What is to be named.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say which account is meant where a call names none
    #[command(after_help = "\
Examples:
  m365-cachectl accounts default ada@contoso.com
  m365-cachectl accounts default --unset")]
    Default {
        /// Id, username or alias
        #[arg(required_unless_present = "unset")]
        account: Option<String>,
        /// None any more
        #[arg(long, conflicts_with = "account")]
        unset: bool,
    },
    /// Give an account a short name
    #[command(after_help = "\
Examples:
  m365-cachectl accounts alias ada@contoso.com work
  m365-cachectl accounts alias ada@contoso.com --unset")]
    Alias {
        /// Id, username or alias
        account: String,
        /// A letter, then letters, digits, `-` and `_`
        #[arg(required_unless_present = "unset")]
        name: Option<String>,
        /// None any more
        #[arg(long, conflicts_with = "name")]
        unset: bool,
    },
}

/// `{"accounts":[…]}`, each with its `permissions`: asked, granted, and which of those that are needed today are neither.
#[derive(Debug, Serialize)]
struct Accounts {
    accounts: Vec<AccountView>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Fault> {
    let mut changed = match args.verb {
        None => {
            context.output.show(&Accounts { accounts: all(context).await? });
            return Ok(());
        }
        Some(Verb::Default { account: Some(name), .. }) => {
            let account = named(context, &name).await?;
            // As it was said: an alias that is given to another account later moves the default along.
            let name = if account.account.id == name { account.name() } else { name };
            config::change(context, "accounts.default", Some(name.trim())).await?
        }
        Some(Verb::Default { account: None, .. }) => config::change(context, "accounts.default", None).await?,
        Some(Verb::Alias { account, name, .. }) => {
            // Its name may be taken out when it has signed out as well.
            let username = match named(context, &account).await {
                Ok(account) => account.name(),
                Err(_) if name.is_none() && account.contains('@') => account,
                Err(fault) => return Err(fault),
            };
            config::change(context, &format!("accounts.{:?}.alias", username.to_lowercase()), name.as_deref()).await?
        }
    };
    if changed.changed {
        changed.taken = Some(reload::tell(context).await.map_err(|fault| Fault {
            message: format!("{} is written, and the running daemon does not take it: {}", changed.key, fault.message),
            ..fault
        })?);
    }
    context.output.show(&changed);
    Ok(())
}

/// Everybody who is signed in.
pub(super) async fn all(context: &Context) -> Result<Vec<AccountView>, Fault> {
    let reply = promptly(context.admin().await?.accounts(AccountsRequest {})).await?;
    Ok(Accounts::from(reply).accounts)
}

/// An account that was named.
struct Named {
    account: AccountView,
    /// No other that is signed in has its username.
    alone: bool,
}

impl Named {
    /// What it is called in the settings: by its username, which people know, unless that is another one's as well.
    fn name(self) -> String {
        if self.alone { self.account.username } else { self.account.id }
    }
}

/// The account of that name.
async fn named(context: &Context, name: &str) -> Result<Named, Fault> {
    one_of(all(context).await?, name)
}

fn one_of(all: Vec<AccountView>, name: &str) -> Result<Named, Fault> {
    let known: Vec<String> = all.iter().map(|account| account.username.clone()).collect();
    let mut called: Vec<AccountView> = all.into_iter().filter(|account| account.is_called(name)).collect();
    if called.len() > 1 {
        let each: Vec<String> =
            called.iter().map(|account| format!("{} ({})", account.id, account.account_type.replace('_', "/"))).collect();
        let message = format!("{} accounts that are signed in have that name", called.len());
        return Err(Fault::new(Kind::User, "ambiguous_account", message, format!("Name one of them by its id: {}.", each.join(", "))));
    }
    let account = called.pop().ok_or_else(|| {
        let hint = match known.as_slice() {
            [] => "Nobody is signed in: `m365-cachectl login`.".to_owned(),
            known => format!("There is {}.", known.join(", ")),
        };
        Fault::new(Kind::SignIn, "unknown_account", "no account with that id, username or alias is signed in", hint)
    })?;
    let alone = known.iter().filter(|username| username.eq_ignore_ascii_case(&account.username)).count() == 1;
    Ok(Named { account, alone })
}

impl From<AccountsReply> for Accounts {
    fn from(reply: AccountsReply) -> Self {
        Self { accounts: reply.accounts.into_iter().map(AccountView::from).collect() }
    }
}

impl View for Accounts {
    fn text(&self, paint: Paint) -> String {
        if self.accounts.is_empty() {
            return "no accounts; sign in with `m365-cachectl login`\n".to_owned();
        }
        let mut text = list(&self.accounts);
        for lack in self.accounts.iter().flat_map(AccountView::lacks) {
            text.push_str(&lack.text(paint));
        }
        text
    }
}

/// A line for each account.
pub(super) fn list(accounts: &[AccountView]) -> String {
    // A column for names only where somebody has one.
    let named = accounts.iter().any(|account| account.alias.is_some() || account.default);
    let row = |account: &AccountView| {
        let state = match (account.state.as_str(), account.caching) {
            ("signed_in", true) => "signed in",
            ("signed_in", false) => "signed in, caching off",
            ("sign_in_required", _) => "must sign in again",
            (other, _) => other,
        };
        let names = [account.alias.as_deref(), account.default.then_some("(default)")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut row = vec![account.username.clone(), account.account_type.replace('_', "/"), state.to_owned()];
        if named {
            row.push(names);
        }
        row.push(account.id.clone());
        row
    };
    table(&accounts.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
pub(super) mod tests {
    use m365_cached_proto::v1::{Account, Permissions};

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
            alias: "work".into(),
            is_default: true,
            permissions: Some(Permissions {
                asked: ["User.Read", "Mail.ReadWrite", "Mail.Send"].map(str::to_owned).to_vec(),
                granted: ["User.Read", "Mail.ReadWrite"].map(str::to_owned).to_vec(),
                told: true,
                not_asked: vec!["Contacts.ReadWrite".into()],
                not_granted: vec!["Mail.Send".into()],
                admin_consent_url: "https://login.example/7f0c/v2.0/adminconsent?client_id=1-2".into(),
            }),
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
    fn a_name_that_two_have_names_neither_and_is_not_written_into_the_settings() {
        let view = |id: &str, username: &str| AccountView::from(Account { id: id.into(), username: username.into(), ..two().remove(0) });
        let all = || vec![view("1.a", "ada@x.example"), view("2.b", "Ada@x.example"), view("3.c", "bob@x.example")];
        let named = |name: &str| one_of(all(), name).map(Named::name).map_err(|fault| fault.code);
        assert_eq!(named("ADA@x.example"), Err("ambiguous_account".into()));
        assert_eq!(named("1.a"), Ok("1.a".into()), "its username would name both");
        assert_eq!(named("3.c"), Ok("bob@x.example".into()));
        assert_eq!(named("nobody"), Err("unknown_account".into()));
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
