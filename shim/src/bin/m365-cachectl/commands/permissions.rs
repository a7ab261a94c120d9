//! `permissions`: what Microsoft is asked to allow, for whoever has to agree to it before anybody signs in, and what it has granted to each account that has.
//! The first needs no daemon, the second asks the one that runs; Microsoft is not asked.

use std::fmt::Write as _;

use clap::builder::PossibleValuesParser;
use m365_cached_proto::TOOL_PROFILES;
use m365_cached_proto::v1::{AccountsRequest, Fault, StatusRequest};
use serde::{Deserialize, Serialize};

use crate::context::{Context, promptly};
use crate::offline;
use crate::output::{Paint, View, table};
use crate::views::AccountView;

/// Which of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All of them are delegated: a tool may do what you may do, and nothing more. Signing in asks for the whole list, whatever profile of tools a
client has; --tools-profile and --by-tool say what the tools make use of.

`administrator` is `often` where organizations that keep Microsoft's default policy of consent have an administrator agree; the others want
none, unless the organization's own policy says otherwise. The link is for that administrator: who agrees there does so for everybody.

Of each account that has signed in a running daemon knows what Microsoft has granted; what is missing is said, with what to do.

Examples:
  m365-cachectl permissions
  m365-cachectl permissions --tools-profile essential
  m365-cachectl permissions --by-tool --json")]
pub(crate) struct Args {
    /// Only what the tools of this profile make use of
    #[arg(long, value_name = "PROFILE", value_parser = PossibleValuesParser::new(TOOL_PROFILES))]
    pub(crate) tools_profile: Option<String>,
    /// For each tool
    #[arg(long)]
    pub(crate) by_tool: bool,
}

/// `{"cloud":"global","portal":…,"client_id":null,"tenant":null,"configured":"essential","admin_consent_url":null,"permissions":[…],"profiles":[…],
/// "tools":[…],"accounts":null}`; `tools` is empty without --by-tool. `admin_consent_url` is `null` without a `client_id`, and where only personal
/// accounts sign in; `accounts` (as in `accounts`) where no daemon runs that could be asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Permissions {
    pub(super) cloud: String,
    pub(super) portal: String,
    pub(super) client_id: Option<String>,
    tenant: Option<String>,
    /// The profile of tools of clients whose launch line names none.
    configured: String,
    admin_consent_url: Option<String>,
    pub(super) permissions: Vec<Permission>,
    profiles: Vec<Profile>,
    tools: Vec<Tool>,
    #[serde(skip_deserializing)]
    accounts: Option<Vec<AccountView>>,
    #[serde(skip)]
    by_tool: bool,
}

/// One permission. `administrator` is `no` or `by_default_policy`; `sign_in` is true for those of the sign-in itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Permission {
    pub(super) scope: String,
    /// Its id in a registration.
    pub(super) id: String,
    purpose: String,
    pub(super) organization_only: bool,
    administrator: String,
    /// How many tools make use of it.
    tools: u64,
    sign_in: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    profile: String,
    tools: u64,
    scopes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tool {
    tool: String,
    profiles: Vec<String>,
    scopes: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Fault> {
    let mut found = all(context).await?.only(args);
    found.accounts = accounts(context).await?;
    context.output.show(&found);
    Ok(())
}

/// Who has signed in, and what came of it; `None` where no daemon runs, or none that has its keys.
async fn accounts(context: &Context) -> Result<Option<Vec<AccountView>>, Fault> {
    let Ok(mut admin) = context.running().await else { return Ok(None) };
    let status = promptly(admin.status(StatusRequest::default())).await?;
    if status.locked.is_some() {
        return Ok(None);
    }
    let reply = promptly(admin.accounts(AccountsRequest {})).await?;
    Ok(Some(reply.accounts.into_iter().map(AccountView::from).collect()))
}

/// Everything that is known of them.
pub(super) async fn all(context: &Context) -> Result<Permissions, Fault> {
    offline::look(context, &["permissions"]).await
}

impl Permissions {
    fn only(mut self, args: &Args) -> Self {
        if let Some(wanted) = &args.tools_profile {
            self.profiles.retain(|profile| profile.profile == *wanted);
            self.tools.retain(|tool| tool.profiles.contains(wanted));
            let used: Vec<String> = self.profiles.iter().flat_map(|profile| profile.scopes.clone()).collect();
            self.permissions.retain(|one| one.sign_in || used.contains(&one.scope));
            for one in &mut self.permissions {
                one.tools = self.tools.iter().filter(|tool| tool.scopes.contains(&one.scope)).count() as u64;
            }
        }
        self.by_tool = args.by_tool;
        if !args.by_tool {
            self.tools.clear();
        }
        self
    }
}

/// What one account's sign-in has come to.
fn granted(account: &AccountView, paint: Paint) -> String {
    let lacks = account.lacks();
    let known = account.permissions.as_ref();
    let state = match known.map(|known| &known.granted) {
        None => "its tokens cannot be read",
        Some(None) => "what is granted is told with its next token",
        Some(Some(_)) if lacks.is_empty() => "all that is needed is granted",
        Some(Some(_)) => "not all that is needed is granted",
    };
    let mut text = format!("\n{}: {state}\n", paint.strong(&account.username));
    for lack in lacks {
        text.push_str(&lack.text(paint));
    }
    let link = known.filter(|known| !known.not_granted.is_empty()).and_then(|known| known.admin_consent_url.as_ref());
    if let Some(url) = link {
        let _ = writeln!(text, "an administrator of its organization agrees at\n  {}", paint.strong(url));
    }
    text
}

impl View for Permissions {
    fn text(&self, paint: Paint) -> String {
        let mut rows = vec![["permission", "personal", "administrator", "tools", "for"].map(str::to_owned).to_vec()];
        for one in &self.permissions {
            rows.push(vec![
                one.scope.clone(),
                if one.organization_only { "no" } else { "yes" }.into(),
                if one.administrator == "no" { "no" } else { "often" }.into(),
                if one.sign_in { "sign-in".into() } else { one.tools.to_string() },
                one.purpose.clone(),
            ]);
        }
        let mut text = table(&rows);
        let tools = self.tools.iter().filter(|tool| !tool.scopes.is_empty());
        let profiles = self.profiles.iter();
        let lines: Vec<Vec<String>> = match self.by_tool {
            true => tools.map(|tool| vec![tool.tool.clone(), tool.scopes.join(", ")]).collect(),
            false => profiles
                .map(|profile| {
                    let mark = if profile.profile == self.configured { " (configured)" } else { "" };
                    vec![format!("{}{mark}", profile.profile), format!("{} tools", profile.tools), profile.scopes.join(", ")]
                })
                .collect(),
        };
        let _ = write!(text, "\n{}", table(&lines));
        let _ = match (&self.admin_consent_url, &self.client_id) {
            (Some(url), _) => write!(text, "\nan administrator agrees for the whole organization at\n  {}\n", paint.strong(url)),
            (None, None) => {
                writeln!(
                    text,
                    "\nthe link for an administrator needs a `client_id`: `m365-cachectl setup` says how to register an application"
                )
            }
            (None, Some(_)) => writeln!(text, "\npersonal accounts have no administrator"),
        };
        for account in self.accounts.iter().flatten() {
            text.push_str(&granted(account, paint));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Permissions {
        serde_json::from_str(
            r#"{"cloud":"global","portal":"https://entra.microsoft.com","client_id":"1-2","tenant":null,"configured":"essential",
            "admin_consent_url":"https://login.example/organizations/v2.0/adminconsent?client_id=1-2",
            "permissions":[
              {"scope":"openid","id":"a","purpose":"sign in","organization_only":false,"administrator":"no","tools":0,"sign_in":true},
              {"scope":"Mail.ReadWrite","id":"b","purpose":"mail","organization_only":false,"administrator":"by_default_policy","tools":2,"sign_in":false},
              {"scope":"Files.Read.All","id":"c","purpose":"what others share","organization_only":true,"administrator":"by_default_policy","tools":1,"sign_in":false}],
            "profiles":[{"profile":"essential","tools":2,"scopes":["Mail.ReadWrite"]},{"profile":"full","tools":3,"scopes":["Mail.ReadWrite","Files.Read.All"]}],
            "tools":[{"tool":"email_list","profiles":["essential","full"],"scopes":["Mail.ReadWrite"]},
              {"tool":"account_list","profiles":["essential","full"],"scopes":[]},
              {"tool":"search_files","profiles":["full"],"scopes":["Files.Read.All"]}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn they_read_well() {
        let args = |tools_profile: Option<&str>, by_tool| Args { tools_profile: tools_profile.map(str::to_owned), by_tool };
        insta::assert_snapshot!("permissions_text", some().only(&args(None, false)).text(Paint::OFF));
        insta::assert_snapshot!("permissions_by_tool_text", some().only(&args(None, true)).text(Paint::OFF));
        insta::assert_json_snapshot!("permissions_json", some().only(&args(Some("essential"), true)));
        let mut none = Permissions { admin_consent_url: None, ..some() };
        assert!(none.text(Paint::OFF).ends_with("personal accounts have no administrator\n"));
        none.client_id = None;
        assert!(none.text(Paint::OFF).contains("m365-cachectl setup"));
    }

    #[test]
    fn what_was_granted_reads_well() {
        let mut all = crate::commands::accounts::tests::two();
        all.push(m365_cached_proto::v1::Account {
            username: "old@contoso.example".into(),
            permissions: Some(Default::default()),
            ..all[0].clone()
        });
        let accounts: Vec<AccountView> = all.into_iter().map(AccountView::from).collect();
        insta::assert_snapshot!(
            "permissions_granted_text",
            accounts.iter().map(|account| granted(account, Paint::OFF)).collect::<String>()
        );
    }
}
