//! The one place where settings become objects and concrete types meet.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use m365_cached::{
    auth::Pause,
    chance::{Dice, OsDice},
    clock::{Clock, SystemClock},
    config::{Advice, Config, KeySource, LimitSettings, Sources, Surroundings},
    hint::Kind,
    ids::ToolProfile,
    secret::{Secret, kept_in_memory},
    store::{Limits, StoreError},
    tools::{self, Offer},
    vault::{self, KEY_VARIABLE, Keys, OsKeyring, SourceKind, Unlocked, Vault},
};
use m365_cached_proto::dirs::Profile;
use serde_json::Value;

#[cfg(feature = "sqlcipher")]
use m365_cached::{
    cache::KeyPattern,
    clock::Timestamp,
    config::Backend,
    secret::Key,
    store::{
        Copies, DiskOf, DoubtMark, Entries, Guard, Invalidation, StoreKeys, Volatile,
        sqlcipher::{OpenOptions, Sqlcipher},
    },
};

use crate::{
    core::{Core, Listed, Problem, ToolRow, Warning},
    daemon::QUARANTINE,
    engine::Store,
    gate::Policies,
    keys::{self, KeyKeeper},
    life::Life,
    manager::Manager,
    network::{self, Network},
    original::Original,
    pause::Switch,
    reload::Settings,
    signals::Hangups,
};

/// Which profile a daemon serves, for status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileInfo {
    /// Where its data lies.
    pub dir: String,
    /// Where it listens.
    pub socket: String,
    /// Whether it belongs to the demo tenant.
    pub demo: bool,
    /// Name of its cloud.
    pub cloud: String,
}

/// Everything a daemon is made of.
pub struct Parts {
    /// Which profile.
    pub profile: ProfileInfo,
    /// Keeps the master key; `None` while locked without one.
    pub keys: Option<Arc<KeyKeeper>>,
    /// What would open if the keyring did, of a daemon that is locked for want of it.
    pub shut: Option<Vault>,
    /// The engine, or why there is none.
    pub core: Result<Arc<dyn Core>, Problem>,
    /// The catalogue.
    pub catalogue: Vec<ToolRow>,
    /// Whether anything is cached.
    pub caching: bool,
    /// What a person should know from the start.
    pub warnings: Vec<Warning>,
    /// Where the original's files would be.
    pub original: Original,
    /// How long calls in flight may take to end.
    pub drain: Duration,
    /// When the daemon ends by itself.
    pub life: Life,
    /// Who is told of its state.
    pub manager: Manager,
    /// Where figures for Prometheus are served.
    pub metrics: Option<SocketAddr>,
    /// The switch that keeps everything from asking Microsoft.
    pub switch: Arc<Switch>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What clients may take of the daemon.
    pub limits: LimitSettings,
    /// What is configured for which client.
    pub policies: Policies,
    /// Whether consent is a token everywhere.
    pub strict: bool,
    /// Whether a call that names no account is meant for one.
    pub default_account: bool,
    /// The tools that clients are shown whose launch line names no others.
    pub tools: ToolProfile,
    /// Whether there is what the conformance suite calls by name.
    pub fixtures: bool,
    /// What a reload begins with; `None` for a daemon that has started without settings it could use.
    pub settings: Option<Settings>,
    /// What asks for one besides people.
    pub hangups: Hangups,
}

/// What an engine is built from.
pub struct Opened<'a> {
    /// All settings.
    pub config: &'a Config,
    /// Where the files lie.
    pub profile: &'a Profile,
    /// Which Microsoft, and by which way.
    pub network: Network,
    /// The keys of the store.
    pub keys: Keys,
    /// What holds the master key: `keyring`, `environment` or `file`.
    pub key: &'static str,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Keeps everything from asking Microsoft.
    pub pause: Arc<Pause>,
}

impl Parts {
    /// The real parts. Never fails: what is missing makes a locked daemon, which says why.
    pub async fn real(config: &Config, profile: &Profile, clock: Arc<dyn Clock>) -> Self {
        let dice: Arc<dyn Dice> = Arc::new(OsDice);
        let mut parts = Self::without_engine(config, profile, Arc::clone(&clock));
        // Before anything is made anew that only lies somewhere else.
        #[cfg(feature = "sqlcipher")]
        if let Err(problem) = crate::offline::put_back(profile) {
            return Self { core: Err(problem), ..parts };
        }
        let network = match Network::of(config, profile).await {
            Ok(network) => network,
            Err(problem) => return Self { core: Err(problem), ..parts },
        };
        let vault = vault(config, profile, Arc::clone(&clock));
        match vault.open_or_create().await {
            Ok(Unlocked { keys, source, created }) => {
                tracing::info!(source = source.kind.as_str(), created, "the vault is open");
                let key = source.kind.as_str();
                let keeper = Arc::new(KeyKeeper::new(vault, config.keys.rotate_every, Arc::clone(&clock), Box::new(keys::log)));
                parts.keys = Some(Arc::clone(&keeper));
                let (kept, refused) = kept_in_memory();
                if refused > 0 {
                    tracing::warn!(kept, refused, "the system did not let every key be kept out of the swap");
                }
                let unsettled = keys.next_wrapping.is_some();
                let pause = Arc::clone(parts.switch.pause());
                parts.core = engine(Opened { config, profile, network, keys, key, clock, dice, pause }, &keeper).await;
                if unsettled {
                    keeper.settle().await;
                }
            }
            Err(locked) => {
                parts.core = Err(Problem::of(&locked));
                parts.shut = Some(vault).filter(|_| locked.waits_for_keyring());
            }
        }
        parts
    }

    /// The parts of a daemon whose configuration cannot be used: it listens and says why, to who watches it by figures as well. Of the settings it takes
    /// nothing but the address for these, where that can be read.
    pub fn misconfigured(profile: &Profile, flags: &[(String, String)], problem: Problem) -> Self {
        let legible = Layers::of(profile).map(|layers| layers.with(flags, Config::legible));
        let metrics = legible.ok().and_then(|config| config.metrics_listen);
        Self { core: Err(problem), metrics, ..Self::without_engine(&Config::default(), profile, Arc::new(SystemClock)) }
    }

    pub(crate) fn without_engine(config: &Config, profile: &Profile, clock: Arc<dyn Clock>) -> Self {
        Self {
            profile: ProfileInfo {
                dir: profile.dir.display().to_string(),
                socket: profile.socket().display().to_string(),
                demo: config.demo,
                cloud: config.cloud.name.clone(),
            },
            keys: None,
            shut: None,
            core: Err(Problem::new(
                Kind::Internal,
                "no_engine",
                "the engine has not been started",
                "Restart the daemon; if it stays, report it.",
            )),
            catalogue: catalogue(config.strict),
            caching: config.cache.enabled,
            warnings: old_names(config),
            original: Original::find(config, profile).unwrap_or_default(),
            drain: config.drain,
            life: Life::default(),
            manager: Manager::default(),
            metrics: config.metrics_listen,
            switch: Arc::new(Switch::of(&profile.dir, Arc::clone(&clock))),
            clock,
            limits: config.limits,
            policies: Policies::of(config),
            strict: config.strict,
            default_account: config.accounts.default.is_some(),
            tools: config.tool_profile(),
            fixtures: false,
            settings: None,
            hangups: Hangups::default(),
        }
    }
}

/// The vault of a profile.
pub(crate) fn vault(config: &Config, profile: &Profile, dates: Arc<dyn Clock>) -> Vault {
    Vault {
        places: vault::Places { envelope: profile.keys_file(), database: profile.database(), quarantine: profile.dir.join(QUARANTINE) },
        settings: key_settings(config, profile),
        environment: Mutex::new(std::env::var(KEY_VARIABLE).ok().map(Secret::new)),
        keyring: Arc::new(OsKeyring),
        // A person answers the keyring's prompt, in real time.
        clock: Arc::new(SystemClock),
        dates,
        dice: Arc::new(OsDice),
    }
}

/// What is said of names of the original that are still in use.
fn old_names(config: &Config) -> Vec<Warning> {
    let advice = config.advice(&Surroundings::default()).into_iter().filter(|advice| advice.code == "old_name");
    advice.map(|Advice { code, message, hint }| Warning { code: code.into(), message, hint }).collect()
}

/// What settings are judged against. A demo has its own folder and no home.
#[cfg(feature = "sqlcipher")]
pub(crate) fn surroundings(config: &Config, profile: &Profile) -> Surroundings {
    let home = std::env::home_dir().filter(|home| home.is_absolute() && !config.demo);
    #[cfg(unix)]
    let mode = fs::metadata(profile.config_file()).ok().map(|facts| std::os::unix::fs::PermissionsExt::mode(&facts.permissions()));
    #[cfg(not(unix))]
    let mode = None;
    Surroundings { profile: profile.dir.clone(), home, mode }
}

/// The local folders that files may come from and go to.
pub(crate) fn allowed_roots(config: &Config, profile: &Profile) -> Vec<PathBuf> {
    let usual = || if config.demo { Some(profile.dir.join("downloads")) } else { profile.downloads() };
    if config.files.allowed_roots.is_empty() { usual().into_iter().collect() } else { config.files.allowed_roots.clone() }
}

/// The engine over an open vault.
async fn engine(opened: Opened<'_>, keeper: &KeyKeeper) -> Result<Arc<dyn Core>, Problem> {
    let store = store(&opened, keeper).map_err(|error| Problem::of(&error))?;
    let core = crate::engine::start(&opened, store).await?;
    keeper.recorded_by(&core);
    Ok(core)
}

/// The encrypted store; with `store.backend = "memory"` the answers lie beside it, in memory.
#[cfg(feature = "sqlcipher")]
fn store(opened: &Opened<'_>, keeper: &KeyKeeper) -> Result<Store, StoreError> {
    let path = opened.profile.database();
    let (file, wrapping) = opened_file(opened)?;
    let file = Arc::new(file);
    keeper.serve(file.clone(), wrapping);
    let folder = path.parent().unwrap_or(&path).to_owned();
    file.keep_room(Guard::new(Arc::new(DiskOf(folder)), opened.config.cache.min_free_bytes, &path.with_file_name("ballast")));
    let closing = Arc::clone(&file);
    let close = Box::new(move || closing.close());
    // Beside the database, for it stands for what the database could not take.
    let doubt = Some(DoubtMark::at(&path.with_file_name("unrecorded")));
    let copies = Some(Copies::at(&opened.profile.imported()));
    Ok(match opened.config.store.backend {
        Backend::Sqlcipher => Store {
            entries: file.clone(),
            room: file.clone(),
            ledger: file.clone(),
            records: file,
            backend: "sqlcipher",
            path,
            doubt,
            copies,
            close,
        },
        Backend::Memory => {
            tokio::spawn(empty(Arc::clone(&file), opened.clock.now()));
            let records = Arc::clone(&file);
            let store = Arc::new(Volatile::new(file, opened.config.store.memory_bytes, Limits::default()));
            Store { entries: store.clone(), room: store.clone(), ledger: store, records, backend: "memory", path, doubt, copies, close }
        }
    })
}

/// The file, with whichever wrapping key it was committed with, and that key.
#[cfg(feature = "sqlcipher")]
fn opened_file(opened: &Opened<'_>) -> Result<(Sqlcipher, Key), StoreError> {
    let Keys { database, wrapping, next_wrapping } = &opened.keys;
    let open = |wrapping: &Key| {
        let file = Sqlcipher::open(OpenOptions {
            path: opened.profile.database(),
            keys: StoreKeys { database: database.clone(), wrapping: wrapping.clone() },
            dice: Arc::clone(&opened.dice),
            new_epochs: false,
            limits: Limits::default(),
        });
        file.map(|file| (file, wrapping.clone()))
    };
    match (open(wrapping), next_wrapping) {
        (Err(StoreError::WrongKey(_)), Some(next)) => open(next),
        (done, _) => done,
    }
}

/// Removes the answers that an earlier daemon kept in the file. In the background, because there may be many; one cut short is done by
/// the next start.
#[cfg(feature = "sqlcipher")]
async fn empty(file: Arc<Sqlcipher>, at: Timestamp) {
    let pattern = KeyPattern::everything();
    let reason = "`store.backend` is `memory`".to_owned();
    let removed = match file.stats().await {
        Ok(stats) if stats.entries == 0 => return,
        Ok(_) => file.invalidate(Invalidation { pattern, account: None, reason, by: "m365-cached".into(), at }).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => tracing::info!(removed, "answers of the encrypted file were removed"),
        Err(StoreError::Closed) => {}
        Err(error) => tracing::warn!(%error, "answers of the encrypted file could not be removed"),
    }
}

/// A build without SQLCipher keeps everything in memory and nothing on disk.
#[cfg(not(feature = "sqlcipher"))]
fn store(opened: &Opened<'_>, _keeper: &KeyKeeper) -> Result<Store, StoreError> {
    let store = Arc::new(m365_cached::store::Memory::new(Arc::clone(&opened.dice), Limits::default()));
    Ok(Store {
        entries: store.clone(),
        room: store.clone(),
        ledger: store.clone(),
        records: store,
        backend: "memory",
        path: PathBuf::new(),
        doubt: None,
        copies: None,
        close: Box::new(|| ()),
    })
}

/// Every tool, for people and tests.
pub(crate) fn catalogue(strict: bool) -> Vec<ToolRow> {
    let offer = |profile| Offer::new(profile, None);
    let row = |tool: &tools::Tool| ToolRow {
        name: tool.name.into(),
        title: tool.title.into(),
        description: tool.description(),
        input_schema: Listed {
            whole: Value::from(offer(ToolProfile::Full).schema(tool, strict)).to_string().into(),
            short: Value::from(offer(ToolProfile::Essential).schema(tool, strict)).to_string().into(),
        },
        tokens: tools::tokens(tool.name).map_or_else(Default::default, |(whole, short)| Listed { whole, short }),
        profiles: ToolProfile::NAMES.iter().filter(|(_, profile)| tool.is_in(*profile)).map(|(name, _)| *name).collect(),
        read_only: tool.annotations().read_only,
        category: tool.category().into(),
        safety_level: tool.risk.level().into(),
        asks: tool.asks.word().into(),
        idempotent: tool.idempotent,
        effect: tool.effect_in_words(),
    };
    tools::all().map(row).collect()
}

/// Where settings come from: the file of a profile and this process's environment.
pub(crate) struct Layers {
    file: String,
    text: Option<String>,
    environment: BTreeMap<String, String>,
    tools: Vec<String>,
}

impl Layers {
    /// Those of `profile`.
    pub(crate) fn of(profile: &Profile) -> Result<Self, Problem> {
        let path = profile.config_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let message = format!("the configuration `{}` cannot be read: {error}", path.display());
                return Err(Problem::new(Kind::Config, "config_unreadable", message, "Check the rights of that file."));
            }
        };
        let environment =
            std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())).collect();
        let tools = catalogue(false).into_iter().map(|tool| tool.name).collect();
        Ok(Self { file: path.display().to_string(), text, environment, tools })
    }

    /// The text of the file; `None` when there is none.
    #[cfg(feature = "sqlcipher")]
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Hands them to `what`, with `flags` over them.
    pub(crate) fn with<T>(&self, flags: &[(String, String)], what: impl FnOnce(&Sources<'_>) -> T) -> T {
        let tools: Vec<&str> = self.tools.iter().map(String::as_str).collect();
        what(&Sources { file: &self.file, text: self.text.as_deref(), environment: &self.environment, flags, tools: &tools })
    }
}

/// Reads the configuration of a profile: its file, this process's environment, and `flags` as key and value.
pub fn configuration(profile: &Profile, flags: &[(String, String)]) -> Result<Config, Problem> {
    Layers::of(profile)?.with(flags, Config::read).map_err(|error| Problem::of(&error))
}

/// What keeps a daemon from its work though every setting can be read: a certificate, a log filter, a call to be made ahead of use.
pub(crate) fn unusable(config: &Config, profile: &Profile) -> Vec<Problem> {
    let filter = crate::logging::check(&config.log).err();
    let filter = filter.map(|error| Problem::new(Kind::Config, "bad_config", error.to_string(), "Correct `log.filter`."));
    let (cloud, more) = (network::cloud(config, profile).err(), network::authorities(config, profile).err());
    [cloud, more, filter, crate::engine::warming(config).err()].into_iter().flatten().collect()
}

pub(crate) fn key_settings(config: &Config, profile: &Profile) -> vault::Settings {
    let only = match config.keys.source {
        KeySource::Auto => None,
        KeySource::Keyring => Some(SourceKind::Keyring),
        KeySource::Environment => Some(SourceKind::Environment),
        KeySource::File => Some(SourceKind::File),
    };
    // A demo that was given the usual folder must not meet the real profile's key either.
    let named = profile.explicit || config.demo;
    vault::Settings { only, file: config.keys.file.clone(), entry: vault::entry_name(&profile.dir, named) }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::dirs::Places;

    use super::*;

    fn profile(files: &[(&str, &str)]) -> (tempfile::TempDir, Profile) {
        let dir = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let profile = Profile::at(dir.path()).unwrap();
        (dir, profile)
    }

    #[test]
    fn files_go_below_the_profile_unless_told_otherwise() {
        let (_dir, profile) = profile(&[("config.toml", "")]);
        let mut config = configuration(&profile, &[]).unwrap();
        assert_eq!(allowed_roots(&config, &profile), [profile.dir.join("downloads")]);
        let folder = || PathBuf::from("/usual");
        let usual = Profile::system(&Places { config: folder(), data: folder(), usual: true, runtime: None, short: folder() });
        assert!(allowed_roots(&config, &usual).iter().all(|root| root.ends_with("m365") && !root.starts_with("/usual")));
        config.demo = true;
        assert_eq!(allowed_roots(&config, &usual), [PathBuf::from("/usual/downloads")], "a demo stays out of the real downloads");
        config.files.allowed_roots = vec!["/srv".into()];
        assert_eq!(allowed_roots(&config, &usual), [PathBuf::from("/srv")]);
    }

    #[test]
    fn a_name_of_the_original_is_told() {
        let mut config = Config::default();
        config.old_names = vec![("OLD", Some("files.idle_s")), ("GONE", None)];
        let warnings = old_names(&config);
        assert!(warnings[0].message.contains("`OLD`") && warnings[0].hint.contains("`files.idle_s`"));
        assert!(warnings[1].hint.contains("remove"));
    }

    #[test]
    fn every_setting_of_the_key_arrives() {
        let (_dir, profile) = profile(&[("config.toml", "[keys]\nsource = \"file\"\nfile = \"/k\"")]);
        let settings = key_settings(&configuration(&profile, &[]).unwrap(), &profile);
        assert_eq!(settings.only, Some(SourceKind::File));
        assert_eq!(settings.file.as_deref(), Some(std::path::Path::new("/k")));
        assert_eq!(settings.entry, vault::entry_name(&profile.dir, true));
        let flags = [("keys.source".to_owned(), "environment".to_owned())];
        assert_eq!(key_settings(&configuration(&profile, &flags).unwrap(), &profile).only, Some(SourceKind::Environment));
    }

    /// One keyring serves them all: wherever two would have one name, a rotation of one would lock the other for good.
    #[test]
    fn no_two_profiles_have_one_name_in_the_keyring() {
        let system = |data: &str| {
            let folder = || PathBuf::from("/usual");
            Profile::system(&Places { config: folder(), data: data.into(), usual: data == "/usual", runtime: None, short: folder() })
        };
        let (real, mut demo) = (Config::default(), Config::default());
        demo.demo = true;
        let named = Profile::at(std::path::Path::new("/usual")).unwrap();
        let names = [(&real, &system("/usual")), (&real, &system("/snap/usual")), (&demo, &system("/usual")), (&real, &named)]
            .map(|(config, profile)| key_settings(config, profile).entry);
        assert_eq!(names.iter().filter(|name| *name == "default").count(), 0, "{names:?}");
        let distinct: std::collections::BTreeSet<_> = names[..3].iter().collect();
        assert_eq!(distinct.len(), 3, "{names:?}");
        assert_ne!(names[3], names[0], "one that was named keeps the name it has had");
        assert_eq!(key_settings(&real, &system("/usual/")).entry, names[0], "one folder has one name, however it is spelled");
    }

    #[test]
    fn a_bad_configuration_is_told_in_full() {
        let (_dir, profile) = profile(&[("config.toml", "[grahp]\nhttp2 = true")]);
        let problem = configuration(&profile, &[]).unwrap_err();
        assert_eq!((problem.kind, problem.code.as_str()), (Kind::Config, "bad_config"));
        assert!(problem.message.contains("line 2") && problem.message.contains("graph.http2"), "{}", problem.message);
        let (_dir, nothing) = self::profile(&[]);
        assert!(configuration(&nothing, &[]).is_ok());
        fs::create_dir(nothing.config_file()).unwrap();
        assert_eq!(configuration(&nothing, &[]).unwrap_err().code, "config_unreadable");
    }
}
