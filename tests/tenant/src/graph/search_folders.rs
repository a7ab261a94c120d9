//! Search folders: mail folders that hold nothing themselves and show what a filter finds in others.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::mail::{MessageRow, find_folder};
use super::odata::{Answer, Filter, MESSAGE};
use super::store::{MailFolder, Mailbox, Search};

pub(crate) const TYPE: &str = "#microsoft.graph.mailSearchFolder";

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// Whether a body says that it is about a search folder.
pub(crate) fn is_one(body: &Map<String, Value>) -> bool {
    let kind = body.get("@odata.type").and_then(Value::as_str).unwrap_or_default();
    kind.trim_start_matches('#').eq_ignore_ascii_case(TYPE.trim_start_matches('#'))
}

/// Takes what makes a folder a search folder out of a body; `known` is what it was before.
pub(crate) fn take(mailbox: &Mailbox, body: &mut Map<String, Value>, known: Option<Search>) -> Answer<Search> {
    let mut search = known.unwrap_or_else(|| Search { nested: false, sources: Vec::new(), filter: String::new() });
    if let Some(nested) = body.shift_remove("includeNestedFolders") {
        search.nested = nested.as_bool().ok_or_else(|| wrong("includeNestedFolders"))?;
    }
    if let Some(sources) = body.shift_remove("sourceFolderIds") {
        let ids = sources.as_array().ok_or_else(|| wrong("sourceFolderIds"))?;
        let find = |id: &Value| find_folder(mailbox, id.as_str().ok_or_else(|| wrong("sourceFolderIds"))?);
        search.sources = ids.iter().map(find).collect::<Answer<_>>()?;
    }
    if let Some(filter) = body.shift_remove("filterQuery") {
        let text = filter.as_str().ok_or_else(|| wrong("filterQuery"))?;
        Filter::parse(text, &MESSAGE)?;
        text.clone_into(&mut search.filter);
    }
    if search.sources.is_empty() || search.filter.is_empty() {
        let message = "A search folder needs the folders to search and a filter query.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", message));
    }
    Ok(search)
}

/// What the folder shows, newest first; those of an ordinary folder are those that lie in it.
pub(crate) fn shown(mailbox: &Mailbox, folder: &MailFolder) -> Vec<(i64, u32)> {
    let Some(search) = &folder.search else {
        return folder.messages.clone();
    };
    let Ok(filter) = Filter::parse(&search.filter, &MESSAGE) else {
        return Vec::new();
    };
    let within =
        |at: u32| search.sources.iter().any(|source| if search.nested { mailbox.folder_is_within(at, *source) } else { at == *source });
    let found = |(_, number): &(i64, u32)| {
        let message = mailbox.message(*number).filter(|message| within(message.folder));
        message.is_some_and(|message| filter.matches(&MessageRow { mailbox, message, immutable: false, text: false }))
    };
    mailbox.everything.iter().copied().filter(found).collect()
}

/// How many it shows that are unread.
pub(crate) fn unread(mailbox: &Mailbox, folder: &MailFolder) -> usize {
    let unread = |(_, number): &(i64, u32)| mailbox.message(*number).is_some_and(|message| !message.read);
    shown(mailbox, folder).iter().filter(|row| unread(row)).count()
}

/// A property that only search folders have.
pub(crate) fn property(mailbox: &Mailbox, folder: &MailFolder, name: &str) -> Option<Value> {
    let search = folder.search.as_ref()?;
    Some(match name {
        "isSupported" => json!(true),
        "includeNestedFolders" => json!(search.nested),
        "sourceFolderIds" => search.sources.iter().map(|source| json!(mailbox.folder_id(*source))).collect(),
        "filterQuery" => json!(search.filter),
        _ => return None,
    })
}

/// What only search folders have, by name.
pub(crate) const PROPERTIES: &[&str] = &["isSupported", "includeNestedFolders", "sourceFolderIds", "filterQuery"];

/// Refuses to put anything into a search folder.
pub(crate) fn refuse(call: &Call<'_>, mailbox: &Mailbox, folder: u32) -> Answer<u32> {
    let is_search = mailbox.folder(folder).is_some_and(|folder| folder.search.is_some());
    if !is_search {
        return Ok(folder);
    }
    let what = call.request.path.rsplit('/').next().unwrap_or_default();
    Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidOperation", format!("A search folder cannot be the target of '{what}'.")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Tenant, path, rows, text};

    #[test]
    fn a_search_folder_shows_what_its_filter_finds() {
        let tenant = Tenant::small();
        let inbox = tenant.get("/me/mailFolders/inbox");
        let body = json!({"@odata.type": "microsoft.graph.mailSearchFolder", "displayName": "Digests", "includeNestedFolders": true,
            "sourceFolderIds": [text(&inbox, "id")], "filterQuery": "contains(subject, 'weekly digest')"});
        let made = tenant.post("/me/mailFolders/inbox/childFolders", body.clone(), 201);
        assert_eq!((text(&made, "@odata.type"), made["totalItemCount"].clone()), ("#microsoft.graph.mailSearchFolder", json!(0)));
        let url = format!("/me/mailFolders/{}", path(text(&made, "id")));
        tenant.apply(json!({"verb": "new_message", "subject": "Your weekly digest"}));
        tenant.apply(json!({"verb": "new_message", "subject": "Your daily digest"}));
        let folder = tenant.get(&url);
        assert_eq!((folder["totalItemCount"].clone(), folder["unreadItemCount"].clone()), (json!(1), json!(1)));
        assert_eq!(text(&rows(&tenant.get(&format!("{url}/messages")))[0], "subject"), "Your weekly digest");
        let change = json!({"@odata.type": "microsoft.graph.mailSearchFolder", "filterQuery": "contains(subject, 'ly digest')"});
        assert_eq!(tenant.ask("PATCH", &url, &[], change, 200)["totalItemCount"], 2);
        let message = rows(&tenant.get(&format!("{url}/messages"))).remove(0);
        let shift = format!("/me/messages/{}/move", path(text(&message, "id")));
        tenant.post(&shift, json!({"destinationId": text(&made, "id")}), 400);
        tenant.refused(&format!("{url}/messages/delta"), 400);
        let broken = json!({"@odata.type": "microsoft.graph.mailSearchFolder", "filterQuery": "nonsense"});
        tenant.ask("PATCH", &url, &[], broken, 400);
        tenant.ask("DELETE", &url, &[], Value::Null, 204);
    }
}
