//! `search_contacts`.

use serde_json::Value;

use super::{LIMIT, QUERY, TTL, matches, words};
use crate::{
    cache::{Scope, Service},
    graph::GraphRequest,
    ids::ToolProfile::{Calendar, Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Fetched, Risk, StepError, Steps, Tool,
        shape::{id, list_answer, pick, text},
        tool::{ACCOUNT, FORCE_REFRESH, MAX_AGE, MAX_TOKENS_ONCE, USE_CACHE},
    },
};

/// What is shown of a contact that was found; all of it is searched, too.
const FIELDS: [&str; 9] =
    ["id", "displayName", "emailAddresses", "givenName", "surname", "companyName", "businessPhones", "homePhones", "mobilePhone"];

/// Most contacts that are read; more than any address book a person keeps.
const MOST: usize = 10_000;

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "search_contacts",
    title: "Search contacts",
    profiles: &[Essential, Mail, Calendar],
    help: "Finds contacts by any part of their names, company, e-mail addresses or phone numbers; all words of the query have to \
           be there. Under `contacts`, by display name.",
    params: &[QUERY, ACCOUNT, LIMIT, USE_CACHE, FORCE_REFRESH, MAX_TOKENS_ONCE, MAX_AGE],
    effect: Effect::Read { service: Service::Contacts, ttl: Ok(TTL) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Read(|steps, args| Box::pin(search(steps, args))),
}];

async fn search(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let (limit, words) = (args.count("limit"), words(args.text("query").unwrap_or_default()));
    let request = GraphRequest::get(&["me", "contacts"])
        .with("$top", "500")
        .with("$orderby", "displayName")
        .with("$select", format!("{},parentFolderId", FIELDS.join(",")));
    let enough = |items: &[Value]| items.len() >= MOST || items.iter().filter(|contact| found(&words, contact)).count() > limit;
    let page = steps.pages(request, &enough).await?;
    let mut hits: Vec<&Value> = page.items.iter().filter(|contact| found(&words, contact)).collect();
    let complete = page.next.is_none() && hits.len() <= limit;
    hits.truncate(limit);
    let shown = hits.iter().map(|contact| {
        let containers = text(contact, "parentFolderId").map(Scope::contacts).into_iter().collect();
        Ok((id(contact)?.to_owned(), containers))
    });
    let shown = shown.collect::<Result<_, StepError>>()?;
    let contacts = hits.into_iter().map(|contact| pick(contact, &FIELDS).into()).collect();
    Ok(Fetched {
        answer: list_answer("contacts", contacts, complete),
        list: Some("contacts"),
        scopes: vec![Scope::any(Service::Contacts)],
        shown,
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

/// Whether all words are somewhere in the contact. Phones are also compared by their digits alone.
fn found(words: &[String], contact: &Value) -> bool {
    let field = |name: &str| text(contact, name).unwrap_or_default();
    let list = |name: &str| contact.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut texts = vec![field("displayName"), field("givenName"), field("surname"), field("companyName")];
    for address in list("emailAddresses") {
        texts.extend(["name", "address"].map(|name| text(address, name).unwrap_or_default()));
    }
    let phones: Vec<&str> =
        list("businessPhones").iter().chain(list("homePhones")).filter_map(Value::as_str).chain([field("mobilePhone")]).collect();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let bare: Vec<String> = phones.iter().map(|phone| digits(phone)).collect();
    texts.extend(phones);
    words.iter().all(|word| {
        let number = digits(word);
        matches(std::slice::from_ref(word), &texts) || (number.len() >= 4 && bare.iter().any(|phone| phone.contains(&number)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, fetch};
    use serde_json::json;

    #[tokio::test]
    async fn names_companies_addresses_and_phones_are_searched() {
        let ada = json!({"@odata.etag": "e", "id": "1", "displayName": "Ada Lovelace", "companyName": "Engines", "parentFolderId": "F",
            "emailAddresses": [{"name": "Ada", "address": "ada@analytical.example"}], "businessPhones": ["+44 (20) 7946-0018"], "mobilePhone": null});
        let bob = json!({"id": "2", "displayName": "Bob", "emailAddresses": [], "businessPhones": [], "mobilePhone": "0170 1234567"});
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": [ada], "@odata.nextLink": "/p2"})),
            ("GET /p2", json!({"value": [bob]})),
        ]);
        let ids =
            |answer: Value| answer["contacts"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect::<String>();
        for (query, expected) in [
            ("love", "1"),
            ("ada engines", "1"),
            ("ANALYTICAL", "1"),
            ("79460018", "1"),
            ("01701234567", "2"),
            ("o", "12"),
            ("nobody", ""),
            ("ada bob", ""),
        ] {
            let got = fetch(&fake, "search_contacts", json!({"account_id": "a", "query": query})).await.unwrap();
            assert_eq!((ids(got.answer.clone()), &got.answer["complete"]), (expected.to_owned(), &json!(true)), "{query}");
        }
        let cut = fetch(&fake, "search_contacts", json!({"account_id": "a", "query": "o", "limit": 1})).await.unwrap();
        assert_eq!((ids(cut.answer.clone()), &cut.answer["complete"]), ("1".into(), &json!(false)));
        assert!(cut.answer["contacts"][0].get("parentFolderId").is_none());
    }
}
