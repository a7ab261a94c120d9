//! What `cache.exclude_folders` and `cache.exclude_senders` can mean.
//!
//! Decision: what can exclude nothing is refused when the settings are read. A name that is passed over in silence keeps what somebody has asked
//! not to keep, and nobody would learn of it.

/// Names that Graph knows mail folders by (`mailFolder` resource, "Well-known folder names").
const WELL_KNOWN: [&str; 17] = [
    "archive",
    "clutter",
    "conflicts",
    "conversationhistory",
    "deleteditems",
    "drafts",
    "inbox",
    "junkemail",
    "localfailures",
    "msgfolderroot",
    "outbox",
    "recoverableitemsdeletions",
    "scheduled",
    "searchfolders",
    "sentitems",
    "serverfailures",
    "syncissues",
];
/// Shortest id of a mail folder, in bytes; Exchange's have more than a hundred.
const SHORTEST_ID: usize = 33;

/// Mail folders, well-known names in lower case.
pub(super) fn folders(given: Vec<String>) -> Result<Vec<String>, String> {
    given.into_iter().map(folder).collect()
}

fn folder(given: String) -> Result<String, String> {
    let name = given.trim();
    let lower = name.to_ascii_lowercase();
    if WELL_KNOWN.contains(&lower.as_str()) {
        return Ok(lower);
    }
    if name.len() >= SHORTEST_ID || is_handle(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "`{name}` is none of these; well-known names (`junkemail`, `sentitems`), or what `emailfolders_list` shows as a folder's `id`"
    ))
}

/// As answers show things: a letter and digits.
fn is_handle(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|letter| letter.is_ascii_lowercase()) && name.len() >= 10 && letters.all(|letter| letter.is_ascii_digit())
}

/// Addresses, and domains that begin with `@`.
pub(super) fn senders(given: Vec<String>) -> Result<Vec<String>, String> {
    match given.iter().find(|sender| sender.trim().split_once('@').is_none_or(|(_, domain)| domain.is_empty())) {
        Some(sender) => {
            Err(format!("`{sender}` is neither an address nor a domain; `ada@contoso.com`, or `@contoso.com` for all of a domain"))
        }
        None => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(given: &[&str]) -> Vec<String> {
        given.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_can_exclude_something_is_taken_and_nothing_else_is() {
        let id = "AAMkAGI1AAAoZCfHAAAoZCfHAAAoZCfHAAAoZCfHAAA=";
        assert_eq!(folders(all(&["JunkEmail", " drafts", id, "b512345678"])).unwrap(), all(&["junkemail", "drafts", id, "b512345678"]));
        for wrong in ["Clients", "junk", "B512345678", "b5", ""] {
            assert!(folders(all(&[wrong])).is_err(), "{wrong}");
        }
        assert_eq!(senders(all(&["a@b.example", "@law.example"])).unwrap(), all(&["a@b.example", "@law.example"]));
        for wrong in ["law.example", "a@", "", "@"] {
            assert!(senders(all(&["a@b.example", wrong])).is_err(), "{wrong}");
        }
    }
}
