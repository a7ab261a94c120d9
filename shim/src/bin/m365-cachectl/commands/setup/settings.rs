//! The first step: the configuration file, with the application that the person has registered.

use m365_cached_proto::v1::{Fault, Kind};

use super::Guide;
use super::report::{Outcome, Part, State};
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
        let (known, tenant) = (config::value(context, "client_id").await?, config::value(context, "tenant").await?);
        let bare = |value: &Option<String>| value.as_deref().map(|value| value.trim_matches('"').to_owned());
        let (known, tenant) = (bare(&known), bare(&tenant));
        if known.is_none() && args.client_id.is_none() && !args.dry_run && !args.no_login {
            return self.registered(&permissions::all(context).await?).await;
        }
        self.written(known, tenant, args.client_id.clone(), args.tenant.clone()).await
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
        self.written(None, None, Some(client_id), tenant.filter(|given| !given.is_empty())).await
    }

    /// Writes what is not there yet.
    async fn written(
        &self,
        known: Option<String>,
        known_tenant: Option<String>,
        client_id: Option<String>,
        tenant: Option<String>,
    ) -> Result<Outcome, Fault> {
        let context = self.context;
        let new = !context.profile.config_file().exists();
        let differs = |wanted: &Option<String>, known: &Option<String>| {
            wanted.as_ref().filter(|wanted| known.as_ref().is_none_or(|known| !known.eq_ignore_ascii_case(wanted))).cloned()
        };
        let changes = [("client_id", differs(&client_id, &known)), ("tenant", differs(&tenant, &known_tenant))];
        let mut said = Vec::new();
        if new {
            said.push("every key stands in the file, commented out".to_owned());
        }
        for (key, value) in changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            said.push(format!("`{key}` is {value}"));
        }
        if said.is_empty() {
            let message = known.map_or_else(|| "without a `client_id`: nobody can sign in".to_owned(), |id| format!("`client_id` is {id}"));
            return Ok(Outcome::unchanged(message));
        }
        if self.args.dry_run {
            return Ok(Outcome::would(format!("write it: {}", said.join("; "))));
        }
        if new {
            config::init(context).await?;
        }
        let mut changed = false;
        for (key, value) in changes {
            if let Some(value) = value {
                changed |= config::change(context, key, Some(&value)).await?.changed;
            }
        }
        if changed {
            // A daemon that runs has read the old settings; the next step starts it anew.
            stop::stopped(context).await?;
        }
        Ok(Outcome { state: State::Done, message: said.join("; "), details: Vec::new() })
    }
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
