//! What is known of the permissions that signing in asks for, for people who have to agree to them before anybody signs in: their ids, who may agree,
//! and the address at which an administrator agrees for everybody. And what one account's sign-in has come to.
//!
//! Decision: what counts for an account is what the token endpoint's `scope` says, read with each token, and not what was asked for: less may be granted
//! (RFC 6749, 3.3), and a call then fails with 403. Those of OpenID Connect are left out of the comparison: `offline_access` is never in that list, and
//! without the tokens the others stand for nobody is signed in. Rejected: to read the access token's `scp`. Tokens for Graph are Graph's to read.
//!
//! Sources: Microsoft Graph permissions reference (ids; *admin consent required* is "No" for each delegated one of these); *Admin consent on the Microsoft
//! identity platform* (the address); Microsoft's announcements of the managed consent policy (files and sites since August 2025, mail and calendars since
//! November 2025, contacts since July 2026): organizations that leave the default in place have an administrator agree to these.

use url::Url;

use crate::cloud::Cloud;

/// Those of the sign-in itself (OpenID Connect); they belong to no resource.
const OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// One delegated permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// `Mail.Send`.
    pub scope: &'static str,
    /// Its id in a registration.
    pub id: &'static str,
    /// It only means something within an organization; a personal account is not asked for it.
    pub organization: bool,
    /// Microsoft's managed consent policy is known to leave it to an administrator.
    pub managed: bool,
    /// What it is for.
    pub purpose: &'static str,
}

const fn of(scope: &'static str, id: &'static str, organization: bool, managed: bool, purpose: &'static str) -> Permission {
    Permission { scope, id, organization, managed, purpose }
}

/// All that signing in asks for, in its order.
pub const PERMISSIONS: [Permission; 15] = [
    of("openid", "37f7f235-527c-4136-accd-4a02d197296e", false, false, "sign in"),
    of("profile", "14dad69e-099b-42c9-810b-d002981feec1", false, false, "who has signed in"),
    of("offline_access", "7427e0e9-2fba-42fe-b0c0-848c9e6a8182", false, false, "stay signed in"),
    of("User.Read", "e1fe6dd8-ba31-4d61-89e7-88639da4683d", false, false, "whether the sign-in still holds"),
    of("User.ReadBasic.All", "b340eb25-3456-403f-be2f-af7a0d370277", true, false, "whose mailbox an address is"),
    of("Mail.ReadWrite", "024d486e-b451-40bb-833d-3e66d98c5c73", false, true, "mail, folders and drafts"),
    of("Mail.ReadWrite.Shared", "5df07973-7d5d-46ed-9847-1271055cbd51", true, true, "mail of shared mailboxes"),
    of("Mail.Send", "e383f46e-2787-4529-855e-0e479a3ffac0", false, false, "sending mail"),
    of("Mail.Send.Shared", "a367ab51-6b49-43bf-a716-a1fb06d2a174", true, false, "sending from shared mailboxes"),
    of("MailboxSettings.ReadWrite", "818c620a-27a9-40bd-a6a5-d96f7d610b4b", false, false, "inbox rules, the time zone"),
    of("Calendars.ReadWrite", "1ec239c2-d7c9-4623-a91a-a9775856bb36", false, true, "calendars"),
    of("Calendars.ReadWrite.Shared", "12466101-c9b8-439a-8589-dd09ee67e8e9", true, true, "calendars of shared mailboxes"),
    of("Contacts.ReadWrite", "d56682ec-c09e-4743-aaf4-1a3aac4caa21", false, true, "contacts"),
    of("Files.ReadWrite", "5c28f0bf-8a70-41f1-8ab2-9032436ddb65", false, false, "your files"),
    of("Files.Read.All", "df85f4d6-205c-4ac5-a5ea-6bf408dba283", true, true, "finding what others share"),
];

/// What an account's sign-in has asked for, and what has been granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// What its sign-in asked for.
    pub asked: Vec<String>,
    /// What Microsoft granted with the latest access token; `None` when that is from before it was kept, until it is renewed.
    pub granted: Option<Vec<String>>,
    /// What is asked for today, and was not yet when it signed in.
    pub not_asked: Vec<String>,
    /// What was asked for, is needed today, and was not granted.
    pub not_granted: Vec<String>,
    /// Where an administrator of its directory agrees for everybody; `None` for a personal account.
    pub admin_consent: Option<String>,
}

impl Permissions {
    /// Compares what `today` is needed with what was `asked` for and `granted`. Names of permissions are compared without regard to case.
    pub(super) fn of(today: &[String], asked: Vec<String>, granted: Option<Vec<String>>, admin_consent: Option<Url>) -> Self {
        let among = |list: &[String], scope: &str| list.iter().any(|one| one.eq_ignore_ascii_case(scope));
        let not_asked = today.iter().filter(|scope| !among(&asked, scope)).cloned().collect();
        let judged = |scope: &&String| !OPENID.contains(&scope.as_str()) && among(&asked, scope);
        let not_granted = match &granted {
            Some(granted) => today.iter().filter(judged).filter(|scope| !among(granted, scope)).cloned().collect(),
            None => Vec::new(),
        };
        Self { asked, granted, not_asked, not_granted, admin_consent: admin_consent.map(String::from) }
    }
}

/// A permission without the resource it is of: `Mail.Read` for `https://graph.microsoft.us/Mail.Read`, as replies may spell it.
pub(super) fn plain(scope: &str) -> String {
    scope.rsplit('/').next().unwrap_or(scope).to_owned()
}

/// Where an administrator of `tenant` agrees to these for everybody; `None` for personal accounts, which have no administrator. The browser ends at the
/// registration's own `http://localhost`, where nobody listens: the agreement stands all the same.
pub fn admin_consent(cloud: &Cloud, client_id: &str, tenant: Option<&str>) -> Option<Url> {
    let tenant = match tenant {
        Some("consumers") => return None,
        None | Some("common") => "organizations",
        Some(tenant) => tenant,
    };
    let mut url = cloud.identity.join(&format!("{tenant}/v2.0/adminconsent")).ok()?;
    // Those of OpenID are no resource's; the others are this cloud's Graph's. A demo stands for the public one.
    let graph = if cloud.name == "demo" { "https://graph.microsoft.com/" } else { cloud.graph.as_str() };
    let named = |permission: &Permission| match permission.scope {
        own if OPENID.contains(&own) => own.to_owned(),
        scope => format!("{graph}{scope}"),
    };
    let scope = PERMISSIONS.iter().map(named).collect::<Vec<_>>().join(" ");
    url.query_pairs_mut().extend_pairs([("client_id", client_id), ("redirect_uri", "http://localhost"), ("scope", &scope)]);
    // As Microsoft's own page spells spaces: this is for people to send on, and mail programs are not kind to a `+`.
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    Some(url)
}

/// Where applications are registered in a cloud.
pub fn portal(cloud: &Cloud) -> &'static str {
    match cloud.name.as_str() {
        "usgov" | "dod" => "https://entra.microsoft.us",
        "china" => "https://entra.microsoftonline.cn",
        _ => "https://entra.microsoft.com",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::auth::identity::{DEFAULT_SCOPES, ORGANIZATION_SCOPES};

    #[test]
    fn each_that_is_asked_for_is_known() {
        assert_eq!(PERMISSIONS.map(|permission| permission.scope), DEFAULT_SCOPES);
        let organization: Vec<&str> = PERMISSIONS.iter().filter(|one| one.organization).map(|one| one.scope).collect();
        assert_eq!(organization, ORGANIZATION_SCOPES);
        let ids: BTreeSet<&str> = PERMISSIONS.iter().map(|one| one.id).collect();
        assert_eq!(ids.len(), PERMISSIONS.len());
        assert!(ids.iter().all(|id| id.split('-').map(str::len).eq([8, 4, 4, 4, 12])));
    }

    #[test]
    fn what_was_asked_for_and_what_was_granted_are_told_apart() {
        let list = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let today = list(&["openid", "profile", "offline_access", "User.Read", "Mail.Send", "Contacts.ReadWrite"]);
        let asked = list(&["openid", "profile", "offline_access", "User.Read", "Mail.Send", "Notes.Read"]);
        let of = |granted: Option<&[&str]>| Permissions::of(&today, asked.clone(), granted.map(list), None);
        // As replies of different clouds and ages spell it; what nobody needs any more is not missed.
        for granted in [["User.Read", "Mail.Send", "email"].as_slice(), &["mail.send", "user.read"]] {
            let found = of(Some(granted));
            assert_eq!((found.not_asked, found.not_granted), (list(&["Contacts.ReadWrite"]), Vec::new()), "{granted:?}");
        }
        assert_eq!(of(Some(&["User.Read", "openid"])).not_granted, ["Mail.Send"]);
        // From before that was kept: nothing is claimed.
        assert_eq!((of(None).granted, of(None).not_granted), (None, Vec::new()));
        assert_eq!(["https://graph.microsoft.us/Mail.Send", "Mail.Send"].map(plain), ["Mail.Send", "Mail.Send"]);
    }

    #[test]
    fn an_administrator_agrees_at_the_authority_of_the_cloud() {
        let id = "11111111-2222-3333-4444-555555555555";
        for (name, tenant, start, scope) in [
            ("global", None, "https://login.microsoftonline.com/organizations/v2.0/adminconsent?", "https://graph.microsoft.com/Mail.Send"),
            (
                "usgov",
                Some("contoso.us"),
                "https://login.microsoftonline.us/contoso.us/v2.0/adminconsent?",
                "https://graph.microsoft.us/Mail.Send",
            ),
            ("dod", None, "https://login.microsoftonline.us/organizations/v2.0/adminconsent?", "https://dod-graph.microsoft.us/Mail.Send"),
            ("china", Some("common"), "https://login.", "https://microsoftgraph.chinacloudapi.cn/Mail.Send"),
        ] {
            let url = admin_consent(&Cloud::named(name).unwrap(), id, tenant).unwrap();
            assert!(url.as_str().starts_with(start) && !url.as_str().contains('+'), "{url}");
            let given: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
            assert_eq!((given["client_id"].as_str(), given["redirect_uri"].as_str()), (id, "http://localhost"));
            assert_eq!(given["scope"].split(' ').count(), PERMISSIONS.len());
            assert!(given["scope"].split(' ').any(|one| one == scope), "{url}");
        }
        assert_eq!(admin_consent(&Cloud::named("global").unwrap(), id, Some("consumers")), None);
    }
}
