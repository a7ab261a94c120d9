//! The fourth step: somebody signs in.

use m365_cached_proto::v1::login_event::Event;
use m365_cached_proto::v1::{Fault, Kind, LoginRequest};

use super::report::{Outcome, Part};
use super::{Guide, loopback};
use crate::commands::{accounts, login};
use crate::context::answered;
use crate::views::AccountView;

/// Who signs in to the demo.
const ALEX: &str = "alex@contoso.example";

impl Guide<'_> {
    /// The account that answers are asked of; `anew` when a sign-in that is there is worth nothing.
    pub(super) async fn sign_in(&self, anew: bool) -> Result<Option<String>, Fault> {
        let what = match (&self.demo, self.args.device) {
            (Some(_), _) => "a made-up person signs in, without a browser",
            (None, true) => "you enter a code on any device",
            (None, false) => "you sign in to Microsoft in your browser",
        };
        self.step(Part::SignIn, what, self.signed_in(anew)).await
    }

    async fn signed_in(&self, anew: bool) -> Result<(Outcome, Option<String>), Fault> {
        let args = self.args;
        if args.dry_run {
            return Ok((
                Outcome::would(if self.demo.is_some() {
                    format!("sign {ALEX} in")
                } else {
                    "ask you to sign in, unless you have".to_owned()
                }),
                None,
            ));
        }
        let wanted = if self.demo.is_some() { Some(ALEX) } else { args.username.as_deref() };
        if !anew && let Some(known) = chosen(accounts::all(self.context).await?, wanted) {
            return Ok((Outcome::unchanged(known.username.clone()), Some(known.username)));
        }
        if args.no_login {
            return Ok((Outcome::skipped("--no-login: `m365-cachectl login` signs in"), None));
        }
        let account = match &self.demo {
            Some(_) => self.sign_alex_in().await?,
            None => {
                let login = login::Args {
                    device: args.device,
                    personal: args.personal,
                    username: args.username.clone(),
                    no_browser: args.no_browser,
                };
                login::run(self.context, login).await?
            }
        };
        Ok((Outcome::done(account.username.clone()).with(another(&account, wanted)), Some(account.username)))
    }

    /// Opens the sign-in page as Alex's browser would: the tenant agrees at once and leads back to the daemon.
    async fn sign_alex_in(&self) -> Result<AccountView, Fault> {
        let request = LoginRequest { device: false, username: ALEX.into(), personal: false };
        let mut events = answered(self.context.admin().await?.login(request).await)?;
        while let Some(event) = events.message().await.map_err(|status| Fault::from_status(&status))? {
            match event.event {
                Some(Event::OpenUrl(page)) => {
                    let reply = loopback::open(&page.url).await?;
                    if reply.status != 200 {
                        let message = format!("the demo tenant's sign-in page answered {}", reply.status);
                        return Err(Fault::new(
                            Kind::Internal,
                            "demo_sign_in",
                            message,
                            "Run `m365-cachectl setup --demo --end`, then try again.",
                        ));
                    }
                }
                Some(Event::SignedIn(account)) => return Ok(account.into()),
                _ => {}
            }
        }
        Err(Fault::new(Kind::Internal, "sign_in_incomplete", "the daemon ended the sign-in without a result", "Run it again."))
    }
}

/// What is said when who signed in is not called as was suggested: another one, or the same by another address of theirs.
fn another(account: &AccountView, wanted: Option<&str>) -> Vec<String> {
    let Some(wanted) = wanted.filter(|wanted| !account.is_called(wanted)) else { return Vec::new() };
    let name = &account.username;
    vec![format!(
        "not called {wanted}, which was only suggested to the sign-in page: it goes on with {name}; the next time `--username {name}`"
    )]
}

/// The account that was named; else the default one, or the first, of those whose sign-in holds.
fn chosen(accounts: Vec<AccountView>, wanted: Option<&str>) -> Option<AccountView> {
    let mut good: Vec<AccountView> = accounts.into_iter().filter(|account| account.state == "signed_in").collect();
    let at = match wanted {
        Some(name) => good.iter().position(|account| account.is_called(name))?,
        None => good.iter().position(|account| account.default).unwrap_or(0),
    };
    (at < good.len()).then(|| good.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, state: &str, default: bool) -> AccountView {
        AccountView {
            id: format!("{name}-id"),
            username: format!("{name}@x.example"),
            account_type: "work_school".into(),
            tenant_id: None,
            display_name: None,
            state: state.into(),
            access_token_expires_ms: None,
            caching: true,
            alias: Some(name.to_uppercase()),
            default,
            permissions: None,
        }
    }

    #[test]
    fn whoever_signs_in_by_another_name_is_told_so() {
        let one = account("one", "signed_in", false);
        assert!([None, Some("one"), Some("ONE@x.example"), Some("one-id")].iter().all(|wanted| another(&one, *wanted).is_empty()));
        let said = another(&one, Some("first.last@x.example")).join("\n");
        assert!(said.contains("first.last@x.example") && said.ends_with("`--username one@x.example`"), "{said}");
    }

    #[test]
    fn the_named_or_the_default_or_the_first_is_chosen() {
        let all =
            || vec![account("lost", "sign_in_required", false), account("one", "signed_in", false), account("two", "signed_in", true)];
        let name = |wanted| chosen(all(), wanted).map(|account| account.username);
        assert_eq!(name(None).as_deref(), Some("two@x.example"));
        assert_eq!(name(Some("one")).as_deref(), Some("one@x.example"));
        assert_eq!(name(Some("lost@x.example")), None);
        assert!(chosen(Vec::new(), None).is_none());
    }
}
