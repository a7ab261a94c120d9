//! The first step: the configuration file, with the application that the person has registered.

use m365_cached_proto::v1::{Fault, Kind};

use super::Guide;
use super::report::{Outcome, Part, State};
use crate::commands::config::Held;
use crate::commands::permissions::{self, Permissions};
use crate::commands::{config, stop};

impl Guide<'_> {
    /// Whether the sign-ins that are there are worth nothing any more: the tenant has begun anew.
    pub(super) async fn settings(&mut self) -> Result<bool, Fault> {
        if let Some(mut tenant) = self.demo.take() {
            let what =
                format!("`m365-tenant`, a made-up Microsoft 365 on this machine, and its profile `{}`", self.context.profile.dir.display());
            let work = async { Ok((tenant.start(self.context, self.args.dry_run).await?, ())) };
            let began = self.step(Part::Settings, &what, work).await;
            let fresh = tenant.fresh;
            self.demo = Some(tenant);
            return began.map(|()| fresh);
        }
        let what = format!("the file `{}` and the application to sign in with", self.context.profile.config_file().display());
        self.step(Part::Settings, &what, async { Ok((self.own_settings().await?, ())) }).await?;
        Ok(false)
    }

    async fn own_settings(&self) -> Result<Outcome, Fault> {
        let (context, args) = (self.context, self.args);
        let (known, tenant) = (config::held(context, "client_id").await?, config::held(context, "tenant").await?);
        if known.is_none() && args.client_id.is_none() && !args.dry_run && !args.no_login {
            return self.registered(&permissions::all(context).await?).await;
        }
        let wanted = [("client_id", args.client_id.clone(), known), ("tenant", args.tenant.clone(), tenant)];
        self.written(wanted.map(|(key, given, known)| Wanted { key, given, known })).await
    }

    /// Says how an application is registered, and asks for its id.
    async fn registered(&self, permissions: &Permissions) -> Result<Outcome, Fault> {
        let steps = steps(permissions);
        let output = self.context.output;
        if !output.json {
            steps.iter().for_each(|line| output.note(&format!("    {line}")));
        }
        let missing = || {
            let hint = match output.json {
                true => format!("{} Then run `m365-cachectl setup --client-id ID`.", steps.join(" ")),
                false => {
                    "Register one, once, as said above (sign-in.md in the manual has more), then run `m365-cachectl setup --client-id ID`."
                        .to_owned()
                }
            };
            Fault::new(Kind::Config, "no_client_id", "no application is registered to sign in with", hint)
        };
        let client_id = output.prompt("Application (client) id:").filter(|given| !given.is_empty()).ok_or_else(missing)?;
        let tenant = match &self.args.tenant {
            Some(tenant) => Some(tenant.clone()),
            None => output.prompt("Who may sign in: a directory's id or domain, `organizations`, `consumers`, or nothing for all:"),
        };
        let wanted = [("client_id", Some(client_id)), ("tenant", tenant.filter(|given| !given.is_empty()))];
        self.written(wanted.map(|(key, given)| Wanted { key, given, known: None })).await
    }

    /// Writes what the file does not say yet. A variable of this terminal counts as a wish: neither a service nor a client with a window sees it.
    async fn written(&self, wanted: [Wanted; 2]) -> Result<Outcome, Fault> {
        let context = self.context;
        let new = !context.profile.config_file().exists();
        let template = || new.then(|| "every key stands in the file, commented out".to_owned());
        let known = wanted[0].known.as_ref().map(|held| format!("`client_id` is {}", bare(&held.value)));
        let changes: Vec<(&Wanted, String)> = wanted.iter().filter_map(|one| Some((one, one.to_write()?))).collect();
        if self.args.dry_run {
            let said: Vec<String> = template().into_iter().chain(changes.iter().map(|(one, value)| one.said(value))).collect();
            return Ok(match said.is_empty() {
                true => Outcome::unchanged(known.unwrap_or_else(nobody)),
                false => Outcome::would(format!("write it: {}", said.join("; "))),
            });
        }
        let mut said: Vec<String> = template().into_iter().collect();
        let mut details = Vec::new();
        if new {
            config::init(context).await?;
        }
        let mut changed = false;
        for (one, value) in changes {
            let done = config::change(context, one.key, Some(&value)).await?;
            if done.changed {
                changed = true;
                said.push(one.said(&value));
            }
            let held = one.known.as_ref().filter(|held| !bare(&held.value).eq_ignore_ascii_case(&value));
            if let Some(variable) = done.overridden_by.filter(|_| held.is_some()) {
                details.push(format!("the variable {variable} of this terminal says another `{}`, and goes over the file here", one.key));
            }
        }
        if changed {
            // A daemon that runs has read the old settings; the next step starts it anew.
            stop::stopped(context).await?;
        }
        if said.is_empty() {
            return Ok(Outcome::unchanged(known.unwrap_or_else(nobody)).with(details));
        }
        Ok(Outcome { state: State::Done, message: said.join("; "), details })
    }
}

/// What a setting should say, and what holds for it now.
struct Wanted {
    key: &'static str,
    given: Option<String>,
    known: Option<Held>,
}

impl Wanted {
    /// What the file does not say yet, as far as can be told without looking past the environment.
    fn to_write(&self) -> Option<String> {
        let known = self.known.as_ref().map(|held| bare(&held.value));
        let from_variable = self.known.as_ref().is_some_and(|held| held.variable.is_some());
        let wanted = self.given.as_deref().or(known.filter(|_| from_variable))?;
        let differs = from_variable || known.is_none_or(|known| !known.eq_ignore_ascii_case(wanted));
        differs.then(|| wanted.to_owned())
    }

    fn said(&self, value: &str) -> String {
        match self.known.as_ref().and_then(|held| held.variable.as_ref()).filter(|_| self.given.is_none()) {
            Some(variable) => format!("`{}` is {value}, as {variable} says", self.key),
            None => format!("`{}` is {value}", self.key),
        }
    }
}

/// A value without the quotes of the file.
fn bare(value: &str) -> &str {
    value.trim_matches('"')
}

fn nobody() -> String {
    "without a `client_id`: nobody can sign in".to_owned()
}

/// What sends Azure's command line to a cloud of its own.
fn azure(cloud: &str) -> &'static str {
    match cloud {
        "usgov" | "dod" => "az cloud set --name AzureUSGovernment && ",
        "china" => "az cloud set --name AzureChinaCloud && ",
        _ => "",
    }
}

/// How an application is registered, in the portal and by Azure's command line.
fn steps(permissions: &Permissions) -> Vec<String> {
    let names: Vec<&str> = permissions.permissions.iter().map(|one| one.scope.as_str()).collect();
    let ids: Vec<String> = permissions.permissions.iter().map(|one| format!("{}=Scope", one.id)).collect();
    vec![
        "m365-cached ships no application id: you register one, once, and keep the control over it.".into(),
        format!("1. {} > Identity > Applications > App registrations > New registration.", permissions.portal),
        "2. Name: m365-cached. Accounts: any organizational directory and personal Microsoft accounts, or only your organization.".into(),
        "3. Redirect URI: platform `Public client/native (mobile & desktop)`, value http://localhost. Register.".into(),
        "4. Authentication > Advanced settings > Allow public client flows: Yes. Save. (For sign-ins by code only.)".into(),
        format!("5. API permissions > Add > Microsoft Graph > Delegated permissions: {}.", names.join(", ")),
        "6. Copy the application (client) id from Overview.".into(),
        "Or by Azure's command line; the second command prints the id, which takes the place of ID in the last:".into(),
        format!("  {}az login --allow-no-subscriptions", azure(&permissions.cloud)),
        "  az ad app create --display-name m365-cached --sign-in-audience AzureADandPersonalMicrosoftAccount --requested-access-token-version 2 \
         --public-client-redirect-uris http://localhost --is-fallback-public-client true --query appId --output tsv"
            .into(),
        format!("  az ad app permission add --id ID --api 00000003-0000-0000-c000-000000000000 --api-permissions {}", ids.join(" ")),
        "`m365-cachectl permissions` says what each permission is for, and when an administrator has to agree.".into(),
    ]
}
