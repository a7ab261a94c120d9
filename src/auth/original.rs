//! Accounts in the original's token file, which is MSAL's cache in clear text. Their tokens are not read: who has lain open signs in again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::accounts::is_id;
use crate::ids::{AccountId, PERSONAL_TENANT};

/// Accounts taken from one file; a person has a few.
const MOST: usize = 64;
/// No username is longer.
const LONGEST: usize = 320;

/// An account that the original was signed in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalAccount {
    /// `<object id>.<tenant id>` of the account's home, as MSAL and we name it.
    pub id: AccountId,
    /// The name it signs in with.
    pub username: String,
    /// The directory signed in to.
    pub tenant_id: String,
    /// The user's object id in it.
    pub object_id: String,
    /// Host of the identity service: `login.microsoftonline.com`.
    pub identity: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Account", default)]
    accounts: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
struct Row {
    home_account_id: String,
    environment: String,
    realm: String,
    local_account_id: String,
    username: String,
}

impl OriginalAccount {
    /// A personal account rather than one of work or school, by its home.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.id.as_str().split_once('.').is_some_and(|(_, home)| home == PERSONAL_TENANT)
    }

    /// Every usable account in the token file with these `bytes`, each once, its home directory first; `None` when it is no such file.
    pub fn all(bytes: &[u8]) -> Option<Vec<Self>> {
        // Serde would take a list for an object.
        let bytes = bytes.trim_ascii_start().starts_with(b"{").then_some(bytes)?;
        let file: File = serde_json::from_slice(bytes).ok()?;
        let mut found: BTreeMap<String, Row> = BTreeMap::new();
        for row in file.accounts.into_values().filter(Row::is_usable) {
            let home = row.home_account_id.ends_with(&format!(".{}", row.realm));
            if (home || !found.contains_key(&row.home_account_id)) && (found.len() < MOST || found.contains_key(&row.home_account_id)) {
                found.insert(row.home_account_id.clone(), row);
            }
        }
        let account = |(id, row): (String, Row)| Self {
            id: AccountId::new(id),
            username: row.username,
            tenant_id: row.realm,
            object_id: row.local_account_id,
            identity: row.environment,
        };
        Some(found.into_iter().map(account).collect())
    }
}

impl Row {
    /// Ids become part of addresses and keys, names are shown.
    fn is_usable(&self) -> bool {
        let home = self.home_account_id.split_once('.').is_some_and(|(object, tenant)| is_id(object) && is_id(tenant));
        let named = self.username.contains('@') && self.username.len() <= LONGEST && !self.username.contains(char::is_control);
        home && named && is_id(&self.realm) && is_id(&self.local_account_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(home: &str, realm: &str, username: &str) -> Value {
        json!({"home_account_id": home, "environment": "login.microsoftonline.com", "realm": realm, "local_account_id": "o-1",
            "username": username, "authority_type": "MSSTS"})
    }

    #[test]
    fn each_account_comes_once_and_no_token_with_it() {
        let file = json!({
            "Account": {
                "1": row("o-1.t-1", "t-2", "guest@contoso.com"),
                "2": row("o-1.t-1", "t-1", "ada@contoso.com"),
                "3": row("o-2.t-1", "t-1", "bo\u{7}b@contoso.com"),
                "4": row("../../x", "t-1", "eve@contoso.com"),
            },
            "RefreshToken": {"r": {"secret": "canary"}}, "AccessToken": {},
        });
        let found = OriginalAccount::all(file.to_string().as_bytes()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].id.as_str(), found[0].username.as_str(), found[0].tenant_id.as_str()), ("o-1.t-1", "ada@contoso.com", "t-1"));
        assert!(!found[0].is_personal() && !format!("{found:?}").contains("canary"));
        let home = format!("o-5.{PERSONAL_TENANT}");
        let file = json!({"Account": {"1": row(&home, PERSONAL_TENANT, "bob@live.com")}});
        assert!(OriginalAccount::all(file.to_string().as_bytes()).unwrap()[0].is_personal());
        assert_eq!(OriginalAccount::all(b"{}"), Some(Vec::new()));
        for wrong in ["", "[]", "null", "{\"Account\": []}", "{\"Account\": {\"a\": {}}}"] {
            assert_eq!(OriginalAccount::all(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
