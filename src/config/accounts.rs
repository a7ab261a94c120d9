//! `[accounts]`: short names for accounts, and the account that is meant where a call names none.
//!
//! Decisions. An account is named by its username, as under `cache.accounts`, and has one alias; an alias has no `@` and no dot, so it is never taken for
//! an address or an id. Two accounts of one alias are refused when the settings are read: whoever says the alias must not reach the wrong mailbox.
//! That nobody of that name is signed in is no mistake of the file, for people sign in later; a call says it.

use std::collections::BTreeMap;

use super::{
    Config, Origin, Problem, Takes,
    settings::{Setting, put, quoted},
};

/// `[accounts]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// `accounts.default`: username, id or alias.
    pub default: Option<String>,
    /// `accounts.<username>.alias`: the alias in lower case by the username in lower case.
    pub aliases: BTreeMap<String, String>,
}

impl AccountSettings {
    /// The username behind an alias; anything else as it is.
    pub fn behind<'a>(&'a self, name: &'a str) -> &'a str {
        let alias = name.trim().to_lowercase();
        self.aliases.iter().find(|(_, known)| **known == alias).map_or(name, |(username, _)| username)
    }
}

/// Longest alias.
const LONGEST: usize = 32;

/// These keys, in the order of the manual.
pub(super) const ACCOUNTS: &[Setting] = &[
    Setting {
        key: "accounts.default",
        meaning: "The account, by username, id or alias, that is meant where a call names none; not set: such a call is refused.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.accounts.default, value.text().map(Some)),
        show: |config, _| quoted(config.accounts.default.as_deref()),
    },
    Setting {
        key: "accounts.*.alias",
        meaning: "A short name for this account, such as `work`, to be used wherever an account is named. The name is its username.",
        takes: Takes::Reload,
        set: |config, name, value| {
            let alias = value.text().and_then(|text| alias(&text))?;
            config.accounts.aliases.insert(name.to_lowercase(), alias);
            Ok(())
        },
        show: |config, name| quoted(config.accounts.aliases.get(&name.to_lowercase()).map(String::as_str)),
    },
];

fn alias(text: &str) -> Result<String, String> {
    let text = text.to_lowercase();
    let good = text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if good { Ok(text) } else { Err(format!("a letter and then letters, digits, `-` and `_`, at most {LONGEST} of them, such as `work`")) }
}

/// Aliases that two accounts have.
pub(super) fn doubled(config: &Config) -> Vec<Problem> {
    let key = |username: &str| format!("accounts.{username:?}.alias");
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (username, alias) in &config.accounts.aliases {
        if let Some(first) = seen.insert(alias, username) {
            let at = config.origins.iter().find(|(known, _)| known.eq_ignore_ascii_case(&key(username))).map(|(_, origin)| origin.clone());
            let message = format!("`{}` and `{}` are the same; an alias is for one account", key(first), key(username));
            problems.push(Problem { at: at.unwrap_or(Origin::Default), message });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use crate::config::tests::read_file as read;

    #[test]
    fn an_alias_leads_to_its_account_in_any_case() {
        let config = read("[accounts]\ndefault = \"Work\"\n[accounts.\"Ada@Contoso.com\"]\nalias = \"Work\"\n").unwrap();
        assert_eq!(config.accounts.default.as_deref(), Some("Work"));
        assert_eq!(config.accounts.behind("WORK"), "ada@contoso.com");
        assert_eq!(config.accounts.behind("bob@contoso.com"), "bob@contoso.com");
        let shown: Vec<String> = config
            .explain()
            .into_iter()
            .filter(|line| line.key.starts_with("accounts."))
            .map(|line| format!("{} = {}", line.key, line.value))
            .collect();
        assert_eq!(shown, ["accounts.default = \"Work\"", "accounts.\"Ada@Contoso.com\".alias = \"work\""]);
    }

    #[test]
    fn an_alias_is_for_one_account_and_looks_like_no_address() {
        let two = read("[accounts.\"a@x.example\"]\nalias = \"work\"\n[accounts.\"b@x.example\"]\nalias = \"Work\"\n").unwrap_err();
        assert!(two.contains("a@x.example") && two.contains("b@x.example") && two.contains("line 4"), "{two}");
        for wrong in ["", "a@b", "a.b", "1st", "a b", "é", &"a".repeat(33)] {
            let refused = read(&format!("[accounts.\"a@x.example\"]\nalias = \"{wrong}\"\n"));
            assert!(refused.is_err(), "{wrong}");
        }
    }
}
