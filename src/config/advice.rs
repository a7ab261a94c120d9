//! What `config check` warns of: settings that can be read and do less than they seem to, or leave a door open. Pure.

use std::path::{Path, PathBuf};

use super::{Config, Origin, VARIABLE_PREFIX};

/// What the settings are judged against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Where the database and its keys lie.
    pub profile: PathBuf,
    /// The person's home; `None` when the system names none.
    pub home: Option<PathBuf>,
    /// The permission bits of the configuration file, where there are such.
    pub mode: Option<u32>,
}

/// One thing a person should know about their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Stable, snake case.
    pub code: &'static str,
    /// What is so, and what it means.
    pub message: String,
    /// One thing to do.
    pub hint: String,
}

impl Config {
    /// Everything that is worth a warning.
    pub fn advice(&self, around: &Surroundings) -> Vec<Advice> {
        let mut advice: Vec<Advice> = self.old_names.iter().map(|(name, key)| old_name(name, *key)).collect();
        if self.client_id.is_none() {
            advice.push(Advice {
                code: "no_client_id",
                message: "no `client_id` is set: nobody can sign in".into(),
                hint: "`m365-cachectl config set client_id ID`, with the application (client) id of your app registration.".into(),
            });
        }
        let given = |key: &str| !matches!(self.origins.get(key), None | Some(Origin::Default));
        if around.mode.is_some_and(|mode| mode & 0o022 != 0) {
            advice.push(Advice {
                code: "config_writable",
                message: "other users of this machine may write into the configuration, and with it decide what the daemon does".into(),
                hint: "`chmod 600` on the file that `m365-cachectl config path` names.".into(),
            });
        }
        for root in self.files.allowed_roots.iter().filter(|root| too_wide(root, around)) {
            advice.push(Advice {
                code: "wide_roots",
                message: format!(
                    "`files.allowed_roots` has `{}`, which holds the profile or your whole home: a client may send any file in it to others",
                    root.display()
                ),
                hint: "Name a folder for this purpose alone.".into(),
            });
        }
        if self.compat && !self.strict {
            advice.push(Advice {
                code: "compat_consent",
                message: "with `compat = \"m365-mcp\"` nobody is asked where the original did not ask, even where others are reached"
                    .into(),
                hint: "Run `m365-cachectl config set confirm strict`.".into(),
            });
        }
        if self.limits.sends_per_minute == 0 {
            advice.push(Advice {
                code: "unlimited_sends",
                message: "`limits.sends_per_minute` is 0: nothing holds up a client that sends mail without end".into(),
                hint: "`m365-cachectl config unset limits.sends_per_minute`, if the file has it.".into(),
            });
        }
        if self.keys.rotate_every.is_none() {
            advice.push(Advice {
                code: "never_rotated",
                message: "`keys.rotate_every` is `never`: the master key stays the same for ever".into(),
                hint: "`m365-cachectl config set keys.rotate_every 90d`, or `m365-cachectl keys rotate` now and then.".into(),
            });
        }
        if self.cache.clean_to >= self.cache.clean_from && (given("cache.clean_to_percent") || given("cache.clean_from_percent")) {
            advice.push(Advice {
                code: "clean_to_too_high",
                message: "`cache.clean_to_percent` is not below `cache.clean_from_percent`: each clean-up is followed by the next".into(),
                hint: "Set a smaller `cache.clean_to_percent`.".into(),
            });
        }
        if self.cache.rows < self.cache.rows_per_source {
            advice.push(Advice {
                code: "rows_too_few",
                message: "`cache.rows` is less than `cache.rows_per_source`, which therefore is never reached".into(),
                hint: "Set a larger `cache.rows`.".into(),
            });
        }
        let named = matches!(self.network.proxy, super::ProxySetting::At(_));
        for key in ["network.no_proxy", "network.proxy_auth"] {
            if given(key) && !named {
                advice.push(Advice {
                    code: "no_effect",
                    message: format!("`{key}` has no effect while `network.proxy` names no proxy"),
                    hint: format!("Name the proxy in `network.proxy`, or `m365-cachectl config unset {key}`."),
                });
            }
        }
        if given("store.memory_bytes") && self.store.backend != super::Backend::Memory {
            advice.push(Advice {
                code: "no_effect",
                message: "`store.memory_bytes` has no effect while `store.backend` is not `memory`".into(),
                hint: "`m365-cachectl config unset store.memory_bytes`, or set the backend.".into(),
            });
        }
        advice
    }
}

/// A name of the original that is still in use.
fn old_name(name: &str, key: Option<&str>) -> Advice {
    Advice {
        code: "old_name",
        message: format!("the environment still has `{name}`, a name of m365-mcp"),
        hint: match key {
            Some(key) => {
                let ours = key.replace('.', "_").to_uppercase();
                format!("Set `{key}` in `config.toml` in its place, or `{VARIABLE_PREFIX}{ours}`.")
            }
            None => "Nothing needs it any more; remove it.".into(),
        },
    }
}

/// Whether a folder that files may be taken from holds our own files, or everything that is the person's.
fn too_wide(root: &Path, around: &Surroundings) -> bool {
    around.profile.starts_with(root) || around.home.as_ref().is_some_and(|home| home.starts_with(root))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::Sources, *};

    fn codes(text: &str, variables: &[(&str, &str)], mode: u32) -> Vec<&'static str> {
        let environment: BTreeMap<String, String> = variables.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let text = &format!("client_id = \"00000000-0000-0000-0000-000000000000\"\n{text}");
        let config = Config::read(&Sources { file: "f", text: Some(text), environment: &environment, flags: &[], tools: &[] }).unwrap();
        let around = Surroundings { profile: "/home/ada/.local/share/m365".into(), home: Some("/home/ada".into()), mode: Some(mode) };
        config.advice(&around).into_iter().map(|advice| advice.code).collect()
    }

    #[test]
    fn each_has_its_reason_and_the_defaults_have_none() {
        assert!(codes("", &[], 0o600).is_empty());
        assert_eq!(Config::default().advice(&Surroundings::default())[0].code, "no_client_id");
        assert!(codes("", &[], 0o644).is_empty(), "there is no secret in it to read");
        assert_eq!(codes("", &[], 0o620), ["config_writable"]);
        assert_eq!(codes("", &[("M365_MCP_TENANT_ID", "common")], 0o600), ["old_name"]);
        assert_eq!(codes("compat = \"m365-mcp\"", &[], 0o600), ["compat_consent"]);
        assert!(codes("compat = \"m365-mcp\"\nconfirm = \"strict\"", &[], 0o600).is_empty());
        for (root, wide) in
            [("/", true), ("/home", true), ("/home/ada", true), ("/home/ada/.local/share/m365", true), ("/home/ada/m365", false)]
        {
            let text = format!("[files]\nallowed_roots = [\"{root}\"]");
            assert_eq!(codes(&text, &[], 0o600) == ["wide_roots"], wide, "{root}");
        }
        assert_eq!(codes("[limits]\nsends_per_minute = 0", &[], 0o600), ["unlimited_sends"]);
        assert_eq!(codes("[keys]\nrotate_every = \"never\"", &[], 0o600), ["never_rotated"]);
        assert_eq!(codes("[cache]\nclean_to_percent = 80", &[], 0o600), ["clean_to_too_high"]);
        assert_eq!(codes("[cache]\nrows = 100", &[], 0o600), ["rows_too_few"]);
        assert_eq!(codes("[store]\nmemory_bytes = 2000000", &[], 0o600), ["no_effect"]);
        assert_eq!(codes("[network]\nno_proxy = [\"x.example\"]\nproxy_auth = \"env:X\"", &[], 0o600), ["no_effect", "no_effect"]);
        assert!(codes("[network]\nproxy = \"http://p.example:1\"\nproxy_auth = \"env:X\"", &[], 0o600).is_empty());
    }
}
