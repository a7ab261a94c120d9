//! `permissions`: which permissions of Microsoft Graph signing in asks for, what each is for, and where an administrator agrees to them. From the catalogue and
//! the settings alone: nobody has to have signed in, and nobody is asked.

use m365_cached::{
    auth::{PERMISSIONS, admin_consent, portal},
    ids::ToolProfile,
    tools::{self, Tool},
};
use serde_json::{Value, json};

use crate::{core::Problem, flags::Flags, parts};

/// `{"cloud":…,"portal":…,"client_id":…,"tenant":…,"admin_consent_url":…,"permissions":[…],"profiles":[…],"tools":[…]}`.
pub(super) fn run(flags: &Flags) -> Result<Value, Problem> {
    let config = parts::configuration(&flags.profile()?, &flags.settings())?;
    let (cloud, client_id, tenant) = (&config.cloud, config.client_id.as_deref(), config.tenant.as_deref());
    let consent = client_id.and_then(|client_id| admin_consent(cloud, client_id, tenant));
    let permissions = PERMISSIONS.iter().map(|one| {
        let users = tools::all().filter(|tool| tool.scopes().contains(&one.scope)).count();
        json!({
            "scope": one.scope, "id": one.id, "purpose": one.purpose, "organization_only": one.organization,
            // Microsoft's reference demands an administrator for none of them.
            "administrator": if one.managed { "by_default_policy" } else { "no" },
            "tools": users, "sign_in": users == 0,
        })
    });
    let profiles = ToolProfile::NAMES.iter().map(|(name, profile)| {
        let shown: Vec<&Tool> = tools::all().filter(|tool| tool.is_in(*profile)).collect();
        let used = |scope: &str| shown.iter().any(|tool| tool.scopes().contains(&scope));
        let scopes: Vec<&str> = PERMISSIONS.iter().map(|one| one.scope).filter(|scope| used(scope)).collect();
        json!({ "profile": name, "tools": shown.len(), "scopes": scopes })
    });
    let tools = tools::all().map(|tool| {
        let profiles: Vec<&str> = ToolProfile::NAMES.iter().filter(|(_, profile)| tool.is_in(*profile)).map(|(name, _)| *name).collect();
        json!({ "tool": tool.name, "profiles": profiles, "scopes": tool.scopes() })
    });
    Ok(json!({
        "cloud": cloud.name, "portal": portal(cloud), "client_id": client_id, "tenant": tenant, "configured": config.tool_profile().as_str(),
        "admin_consent_url": consent.map(String::from),
        "permissions": permissions.collect::<Vec<_>>(), "profiles": profiles.collect::<Vec<_>>(), "tools": tools.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_signing_in_asks_for_is_what_the_tools_make_use_of() {
        // Of the sign-in itself.
        let own = ["openid", "profile", "offline_access", "User.Read"];
        let used: BTreeSet<&str> = tools::all().flat_map(Tool::scopes).chain(own).collect();
        assert_eq!(used, PERMISSIONS.iter().map(|one| one.scope).collect());
    }
}
