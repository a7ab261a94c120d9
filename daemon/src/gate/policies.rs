//! Which policy holds for which client: by the name in its launch line and by the name it gives itself.
//!
//! Decision: both hold together where both are configured, so that neither loosens the other; a client for which neither is gets `default`.
//! A name is the client's own claim, and every program of the user can claim any: a policy keeps models and well-behaved programs within
//! bounds, it does not keep out a hostile program of the same user. So what matters stands in `default`, and exceptions are named.

use std::{collections::BTreeMap, sync::Arc};

use m365_cached::{
    config::{Config, DEFAULT_POLICY},
    ids::Fence,
};

/// The policies that are configured.
#[derive(Debug, Clone, Default)]
pub struct Policies(BTreeMap<String, Fence>);

impl Policies {
    /// Those of `config`.
    pub fn of(config: &Config) -> Self {
        let fence = |(name, policy): (&String, &m365_cached::config::PolicySettings)| {
            let fence = Fence {
                policies: vec![name.clone()],
                read_only: policy.read_only,
                no_send: policy.no_send,
                read_only_tools: false,
                accounts: policy
                    .accounts
                    .iter()
                    .map(|list| list.iter().map(|name| config.accounts.behind(name).to_owned()).collect())
                    .collect(),
            };
            (name.clone(), fence)
        };
        Self(config.policies.iter().map(fence).collect())
    }

    /// Whether there is one of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_lowercase())
    }

    /// What holds for a client of that name that was launched with that policy; `None` when nothing is configured for it.
    pub(crate) fn fence(&self, launch: Option<&str>, client: &str) -> Option<Arc<Fence>> {
        // A reload has taken it away: what the launch line asks for must not turn into more.
        if let Some(gone) = launch.filter(|name| !self.has(name)) {
            let policies = vec![format!("{gone} (no longer configured)")];
            return Some(Arc::new(Fence { policies, read_only: true, no_send: true, read_only_tools: false, accounts: vec![Vec::new()] }));
        }
        let named = [launch, Some(client)].into_iter().flatten().filter_map(|name| self.0.get(&name.to_lowercase()));
        let together = named.cloned().reduce(|all, one| all.and(&one));
        together.or_else(|| self.0.get(DEFAULT_POLICY).cloned()).map(Arc::new)
    }
}

/// A fence in words, for status: `default: read-only, no sending, 1 account`.
pub(crate) fn in_words(fence: Option<&Fence>) -> String {
    let Some(fence) = fence else { return String::new() };
    let mut words = Vec::new();
    if fence.read_only_tools && !fence.read_only {
        words.push("read-only".to_owned());
    }
    if fence.read_only {
        words.push("read-only".to_owned());
    }
    if fence.no_send {
        words.push("no sending".to_owned());
    }
    for list in &fence.accounts {
        words.push(format!("{} account{}", list.len(), if list.len() == 1 { "" } else { "s" }));
    }
    if words.is_empty() {
        words.push("everything".to_owned());
    }
    let tools = fence.read_only_tools.then_some("read-only tools");
    let names: Vec<&str> = fence.policies.iter().map(String::as_str).chain(tools).collect();
    format!("{}: {}", names.join(" and "), words.join(", "))
}

#[cfg(test)]
mod tests {
    use m365_cached::config::PolicySettings;

    use super::*;

    fn policies() -> Policies {
        let mut config = Config::default();
        config.policies.insert("default".into(), PolicySettings { read_only: true, ..PolicySettings::default() });
        config.policies.insert("desk".into(), PolicySettings { no_send: true, ..PolicySettings::default() });
        let accounts = Some(vec!["ada@x.example".to_owned()]);
        config.policies.insert("claude-code".into(), PolicySettings { accounts, ..PolicySettings::default() });
        Policies::of(&config)
    }

    #[test]
    fn an_alias_admits_its_account_and_no_other() {
        let mut config = Config::default();
        config.accounts.aliases.insert("ada@x.example".into(), "work".into());
        let accounts = Some(vec!["work".to_owned()]);
        config.policies.insert("default".into(), PolicySettings { accounts, ..PolicySettings::default() });
        let fence = Policies::of(&config).fence(None, "anybody").unwrap();
        let id = m365_cached::ids::AccountId::new("1.2");
        assert!(fence.admits(&id, "Ada@x.example") && !fence.admits(&id, "work@x.example") && !fence.admits(&id, "work"));
    }

    #[test]
    fn both_names_hold_together_and_nobody_escapes_the_default() {
        let words = |launch, client| in_words(policies().fence(launch, client).as_deref());
        assert_eq!(words(None, "anybody"), "default: read-only");
        assert_eq!(words(Some("desk"), "anybody"), "desk: no sending");
        assert_eq!(words(None, "Claude-Code"), "claude-code: 1 account");
        assert_eq!(words(Some("Desk"), "claude-code"), "desk and claude-code: no sending, 1 account");
        assert_eq!(words(Some("desk"), "desk"), "desk: no sending");
        assert!(policies().has("DESK") && !policies().has("other"));
        assert_eq!(Policies::default().fence(None, "anybody"), None);
    }
}
