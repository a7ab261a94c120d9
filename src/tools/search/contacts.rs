//! `search_contacts`.

use std::collections::BTreeSet;

use futures_util::future::{try_join, try_join_all};
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

/// Most contacts of one folder that are read; more than any address book a person keeps.
const MOST: usize = 10_000;
/// Most folders of contacts that are read.
const MOST_FOLDERS: usize = 100;

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "search_contacts",
    title: "Search contacts",
    profiles: &[Essential, Mail, Calendar],
    help: "Finds contacts of all folders by any part of their names, company, e-mail addresses or phone numbers; all words of the query have to \
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
    let others = async {
        let (folders, complete) = folders(steps).await?;
        let paths: Vec<_> = folders.iter().map(|folder| ["me", "contactFolders", folder, "contacts"]).collect();
        Ok((try_join_all(paths.iter().map(|path| matching(steps, path, &words, limit))).await?, complete))
    };
    let ((mut hits, own_complete), (others, all_folders)) = try_join(matching(steps, &["me", "contacts"], &words, limit), others).await?;
    let complete = own_complete && all_folders && others.iter().all(|(_, complete)| *complete);
    if !others.is_empty() {
        hits.extend(others.into_iter().flat_map(|(hits, _)| hits));
        hits.sort_by_cached_key(|contact| {
            let name = text(contact, "displayName").unwrap_or_default();
            (name.to_lowercase(), text(contact, "id").unwrap_or_default().to_owned())
        });
    }
    let mut seen = BTreeSet::new();
    hits.retain(|contact| text(contact, "id").is_none_or(|id| seen.insert(id.to_owned())));
    let complete = complete && hits.len() <= limit;
    hits.truncate(limit);
    let shown = hits.iter().map(|contact| {
        let containers = text(contact, "parentFolderId").map(Scope::contacts).into_iter().collect();
        Ok((id(contact)?.to_owned(), containers))
    });
    let shown = shown.collect::<Result<_, StepError>>()?;
    let contacts = hits.iter().map(|contact| pick(contact, &FIELDS).into()).collect();
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

/// The contacts of one folder that hold all words, and whether the folder was read to its end: more than `limit` are not looked for.
async fn matching(steps: &dyn Steps, path: &[&str], words: &[String], limit: usize) -> Result<(Vec<Value>, bool), StepError> {
    let request = GraphRequest::get(path)
        .with("$top", "500")
        .with("$orderby", "displayName")
        .with("$select", format!("{},parentFolderId", FIELDS.join(",")));
    let enough = |items: &[Value]| items.len() >= MOST || items.iter().filter(|contact| found(words, contact)).count() > limit;
    let page = steps.pages(request, &enough).await?;
    Ok((page.items.into_iter().filter(|contact| found(words, contact)).collect(), page.next.is_none()))
}

/// The ids of all contact folders but the default one, and whether they are all. Graph lists those of one level at a time.
async fn folders(steps: &dyn Steps) -> Result<(Vec<String>, bool), StepError> {
    let below = |path: &[&str]| GraphRequest::get(path).with("$top", "100").with("$select", "id");
    let (mut found, mut complete) = (Vec::new(), true);
    let mut level = vec![below(&["me", "contactFolders"])];
    while !level.is_empty() && found.len() < MOST_FOLDERS {
        let asked = level.drain(..).map(|request| steps.pages(request, &|folders| folders.len() >= MOST_FOLDERS));
        for page in try_join_all(asked.collect::<Vec<_>>()).await? {
            complete &= page.next.is_none();
            for folder in &page.items {
                level.push(below(&["me", "contactFolders", id(folder)?, "childFolders"]));
                found.push(id(folder)?.to_owned());
            }
        }
    }
    Ok((found, complete && level.is_empty()))
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
        // Digits within a word are part of the word.
        let number = if word.contains(char::is_alphabetic) { String::new() } else { digits(word) };
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
            ("GET /me/contactFolders", json!({"value": []})),
        ]);
        let ids =
            |answer: Value| answer["contacts"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect::<String>();
        for (query, expected) in [
            ("love", "1"),
            ("ada engines", "1"),
            ("ANALYTICAL", "1"),
            ("79460018", "1"),
            ("01701234567", "2"),
            ("+44(20)7946", "1"),
            // A number within a word is not a phone's.
            ("room1234", ""),
            ("q2-20794", ""),
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

    #[tokio::test]
    async fn the_contacts_of_every_folder_are_searched_and_sorted_as_one_list() {
        let person = |name: &str| json!({"id": name, "displayName": name, "parentFolderId": "F"});
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": [person("Dora Lee"), person("Xaver")]})),
            ("GET /me/contactFolders", json!({"value": [{"id": "F1"}], "@odata.nextLink": "/more"})),
            ("GET /more", json!({"value": [{"id": "F2"}]})),
            ("GET /me/contactFolders/F1/contacts", json!({"value": [person("Cy Lee")], "@odata.nextLink": "/p2"})),
            ("GET /p2", json!({"value": [person("Eva Lee")]})),
            ("GET /me/contactFolders/F1/childFolders", json!({"value": [{"id": "F3"}]})),
            ("GET /me/contactFolders/F2/contacts", json!({"value": []})),
            ("GET /me/contactFolders/F2/childFolders", json!({"value": []})),
            ("GET /me/contactFolders/F3/contacts", json!({"value": [person("ada lee"), person("Cy Lee")]})),
            ("GET /me/contactFolders/F3/childFolders", json!({"value": []})),
        ]);
        let found = async |limit: u64| {
            let given = json!({"account_id": "a", "query": "lee", "limit": limit});
            let got = fetch(&fake, "search_contacts", given).await.unwrap();
            let names: Vec<_> =
                got.answer["contacts"].as_array().unwrap().iter().map(|one| one["displayName"].as_str().unwrap().to_owned()).collect();
            (names.join(", "), got.answer["complete"] == true)
        };
        assert_eq!(found(50).await, ("ada lee, Cy Lee, Dora Lee, Eva Lee".into(), true));
        assert_eq!(found(2).await, ("ada lee, Cy Lee".into(), false));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_read_fails_the_search() {
        let fake = Fake::answering([
            ("GET /me/contacts", json!({"value": []})),
            ("GET /me/contactFolders", json!({"value": [{"id": "F1"}]})),
            ("GET /me/contactFolders/F1/childFolders", json!({"value": []})),
        ]);
        let error = fetch(&fake, "search_contacts", json!({"account_id": "a", "query": "x"})).await.unwrap_err();
        assert_eq!(error.status, Some(404));
    }
}
