//! `contact_list` and `contact_get`.
//!
//! A short list brings its contacts along, as a list of mail brings its messages (`email/read.rs`): it asks for all fields, shows its own,
//! and each contact is kept as what `contact_get` answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{CONTACT, LIST_FIELDS, MORE_FIELDS, containers};
use crate::{
    cache::{Feed, Scope, Service, Ttl},
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Along, Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        listing::{every, read_list},
        local::by_the_clock,
        named,
        shape::{etag, id, list_answer, pick, text},
        tool::{ACCOUNT, CURSOR, FORCE_REFRESH, MAX_AGE, MAX_TOKENS, USE_CACHE},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "contact_list",
        title: "List contacts",
        profiles: &[Mail],
        help: "Lists contacts by display name under `contacts`: names, email addresses, phone numbers, job and company; `complete` is false \
               when there are more than `limit`. Ids go to contact_get, which has all fields. Answers come from the local cache (fresh for \
               20 minutes).",
        params: &[
            ACCOUNT,
            Param::optional("limit", ParamType::Int { min: 1, max: 500 }, "50", "Most contacts to return."),
            USE_CACHE,
            FORCE_REFRESH,
            Param::optional("folder_id", ParamType::Id, "null", "A contact folder, from contact_create_list; without it the default one."),
            CURSOR,
            MAX_TOKENS,
            MAX_AGE,
        ],
        effect: Effect::Read { service: Service::Contacts, ttl: Ok(Ttl::seconds(1200, 7200)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(by_the_clock(steps, list(steps, args)))),
    },
    Tool {
        name: "contact_get",
        title: "Get a contact",
        profiles: &[Essential, Mail],
        help: "One contact by id with all its fields: names, addresses, phones, birthday, notes and so on.",
        params: &[CONTACT, ACCOUNT, USE_CACHE, FORCE_REFRESH, MAX_AGE],
        effect: Effect::Read { service: Service::Contacts, ttl: Ok(Ttl::seconds(1800, 14_400)) },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(by_the_clock(steps, get(steps, args)))),
    },
];

/// The longest list that brings its contacts along.
const ALONG: usize = 50;

/// All that `contact_get` shows.
fn get_fields() -> Vec<&'static str> {
    [LIST_FIELDS.as_slice(), &MORE_FIELDS, &["parentFolderId", "changeKey", "createdDateTime", "lastModifiedDateTime"]].concat()
}

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let limit = args.count("limit");
    let (path, named_scope): (&[&str], _) = match args.text("folder_id") {
        Some(folder) => (&["me", "contactFolders", folder, "contacts"], named::contact_folders_by_id()),
        None => (&["me", "contacts"], named::default_contacts()),
    };
    let along = limit <= ALONG;
    let fields = if along { get_fields().join(",") } else { format!("{},parentFolderId", LIST_FIELDS.join(",")) };
    let request = GraphRequest::get(path)
        .with("$top", limit.to_string())
        // Graph states no order of its own; without one a cut list would be any part of the whole.
        .with("$orderby", "displayName")
        .with("$select", fields);
    let found = read_list(steps, request, limit, every).await?;
    let folders: BTreeSet<&str> = found.items.iter().filter_map(|contact| text(contact, "parentFolderId")).collect();
    let feed = match (folders.len(), folders.first()) {
        (1, Some(only)) if args.text("folder_id").is_none_or(|asked| asked == *only) => Some(Scope::fed(&Feed::contacts(only))),
        _ => None,
    };
    let mut scopes: Vec<Scope> = folders.into_iter().chain(args.text("folder_id")).map(Scope::contacts).collect();
    scopes.push(named_scope);
    scopes.extend(feed);
    if found.several_pages {
        scopes.push(Scope::moves(Service::Contacts));
    }
    let shown = found.items.iter().map(|contact| Ok((id(contact)?.to_owned(), containers(contact)))).collect::<Result<_, StepError>>()?;
    let contacts = found.items.iter().map(|contact| pick(contact, &LIST_FIELDS).into()).collect();
    let along = if along { found.items.iter().map(|contact| got_along(contact, args)).collect::<Result<_, _>>()? } else { Vec::new() };
    Ok(Fetched {
        answer: list_answer("contacts", contacts, found.complete),
        list: Some("contacts"),
        scopes,
        shown,
        whole: true,
        more: found.more,
        etag: None,
        along,
    })
}

/// A contact of a list as `contact_get` answers it.
fn got_along(contact: &Value, list: &Args) -> Result<Along, StepError> {
    let account = list.all().get(ACCOUNT.name).cloned().unwrap_or_default();
    let given = Map::from_iter([("contact_id".to_owned(), id(contact)?.into()), (ACCOUNT.name.to_owned(), account)]);
    let get = TOOLS.iter().find(|tool| tool.name == "contact_get").ok_or_else(|| StepError::unexpected("contact_get"))?;
    let args = Args::check(get, &given).map_err(|_| StepError::unexpected("an id"))?;
    let fetched = got(contact, &args)?;
    Ok(Along { tool: get.name, args, fetched })
}

async fn get(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let asked = args.text("contact_id").unwrap_or_default();
    let request = GraphRequest::get(&["me", "contacts", asked]).with("$select", get_fields().join(","));
    got(&steps.send(request).await?.body, args)
}

/// The answer of a get that is given `contact`.
fn got(contact: &Value, args: &Args) -> Result<Fetched, StepError> {
    let asked = args.text("contact_id").unwrap_or_default();
    let ids = BTreeSet::from([asked.to_owned(), id(contact)?.to_owned()]);
    let containers = containers(contact);
    let feed = text(contact, "parentFolderId").map(|folder| Scope::fed(&Feed::contacts(folder)));
    Ok(Fetched {
        answer: pick(contact, &get_fields()).into(),
        list: None,
        scopes: ids.iter().map(|id| Scope::item(id)).chain(feed).collect(),
        shown: ids.into_iter().map(|id| (id, containers.clone())).collect(),
        whole: true,
        more: None,
        etag: etag(contact),
        along: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, args, fetch};
    use serde_json::json;

    #[tokio::test]
    async fn a_short_list_brings_what_gets_would_fetch() {
        let contact =
            |id: &str| json!({"@odata.etag": "W/\"1\"", "id": id, "displayName": id, "personalNotes": "n", "parentFolderId": "F"});
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": [contact("1"), contact("2")]})),
            ("GET /me/contacts/1", contact("1")),
            ("GET /me/contacts/2", contact("2")),
        ]);
        let list = fetch(&fake, "contact_list", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(list.answer["contacts"][0], json!({"id": "1", "displayName": "1"}), "a list shows its own fields");
        assert_eq!(list.along.len(), 2);
        for (along, id) in list.along.iter().zip(["1", "2"]) {
            let given = json!({"account_id": "a", "contact_id": id});
            assert_eq!((along.tool, &along.args), ("contact_get", &args("contact_get", given.clone()).unwrap()));
            assert_eq!(along.fetched, fetch(&fake, "contact_get", given).await.unwrap());
        }
        let select = |at: usize| fake.requests()[at].query.iter().find(|(name, _)| *name == "$select").unwrap().1.clone();
        assert_eq!(select(0), select(1), "a list asks for all that a get asks for");
        let overview = fetch(&fake, "contact_list", json!({"account_id": "a", "limit": 51})).await.unwrap();
        assert_eq!(overview.along, []);
        assert!(!select(3).contains("personalNotes"));
    }

    #[tokio::test]
    async fn a_list_has_its_fields_its_folder_and_the_default_name_as_scopes() {
        let contact =
            |id: &str, name: &str| json!({"@odata.etag": "W/\"1\"", "id": id, "displayName": name, "surname": null, "parentFolderId": "F"});
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": [contact("1", "Ada"), contact("2", "Bo")], "@odata.nextLink": "https://graph/p2"})),
            ("GET https://graph/p2", json!({"value": [contact("2", "Bo"), contact("3", "Cy")]})),
        ]);
        let list = fetch(&fake, "contact_list", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(
            list.answer.to_string(),
            r#"{"contacts":[{"id":"1","displayName":"Ada","surname":null},{"id":"2","displayName":"Bo","surname":null},{"id":"3","displayName":"Cy","surname":null}],"complete":true}"#
        );
        assert_eq!(
            list.scopes,
            [Scope::contacts("F"), Scope::contacts("default"), Scope::fed(&Feed::contacts("F")), Scope::moves(Service::Contacts)]
        );
        assert_eq!(list.shown[2], ("3".into(), vec![Scope::contacts("F")]));
    }

    #[tokio::test]
    async fn no_contacts_is_an_answer() {
        let fake = Fake::answering([("GET /me/contacts", json!({"value": []}))]);
        let list = fetch(&fake, "contact_list", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(list.answer, json!({"contacts": [], "complete": true}));
        assert_eq!(list.scopes, [Scope::contacts("default")]);
    }

    #[tokio::test]
    async fn one_contact_has_all_its_fields_and_no_annotations() {
        let body: Value = serde_json::from_str(include_str!("../data/contact-get.json")).unwrap();
        let mut annotated = body.clone();
        annotated["@odata.etag"] = "W/\"EQAA\"".into();
        annotated["@odata.context"] = "c".into();
        let fake = Fake::answering([("GET /me/contacts/AAMkAGI2THk0AAA%3D", annotated)]);
        let got = fetch(&fake, "contact_get", json!({"contact_id": "AAMkAGI2THk0AAA=", "account_id": "a"})).await.unwrap();
        assert_eq!(got.answer, body);
        assert_eq!(got.etag.as_deref(), Some("W/\"EQAA\""));
        assert_eq!(got.scopes, [Scope::item("AAMkAGI2THk0AAA="), Scope::fed(&Feed::contacts("AAMkAGI2AAEOAAA="))]);
        assert_eq!(got.shown, [("AAMkAGI2THk0AAA=".into(), vec![Scope::contacts("AAMkAGI2AAEOAAA=")])]);
    }
}
