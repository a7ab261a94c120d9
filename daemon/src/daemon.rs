//! What every service shares: the engine or the reason there is none, who is connected, and whether the end has come.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use m365_cached::{
    chance::Dice,
    clock::Timestamp,
    config::Config,
    hint::Kind,
    ids::{CallId, ToolProfile},
    live::Live,
};
use tokio::sync::watch;

use crate::{
    activity::Activity,
    clients::Clients,
    core::{Core, Problem, ToolRow, Warning},
    gate::{Gate, Gated, Policies},
    in_flight::InFlight,
    keys::KeyKeeper,
    logging,
    mcp::{Fixtures, Manner},
    original::Original,
    parts::{self, Parts, ProfileInfo},
    pause::Switch,
    questions::Questions,
    reload::{Reloaded, Settings},
    signin::SignIns,
};

/// Where the offline verbs put what they take away.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What comes of a daemon's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing more: it was asked to stop, or nobody needs it.
    Stopped,
    /// Another program lies in its place, which is to be started.
    Replaced,
    /// What kept it locked is so no more: the same program is to be started anew.
    Unlocked,
}

/// One running daemon.
pub struct Daemon {
    /// Random, made at each start: tells a client that it talks to another daemon than before.
    pub instance: String,
    /// How long calls under way may take to end when the daemon stops.
    pub(crate) drain: Duration,
    /// Which profile it serves.
    pub profile: ProfileInfo,
    /// Keeps the master key; `None` while locked without one.
    pub keys: Option<Arc<KeyKeeper>>,
    /// The catalogue; it is known while locked too.
    pub(crate) catalogue: Live<Vec<ToolRow>>,
    /// Who is connected.
    pub clients: Clients,
    /// When it began to serve.
    pub ready_at: Timestamp,
    /// Whether a service manager keeps the socket, so that it is there when the daemon has ended.
    pub(crate) socket_stays: bool,
    /// Whether a call that names no account is meant for one.
    default_account: AtomicBool,
    caching: AtomicBool,
    strict: AtomicBool,
    /// Moves when other policies hold.
    fences: watch::Sender<()>,
    /// Moves when tools have other arguments.
    listed: watch::Sender<()>,
    /// What a reload begins with.
    settings: Option<Settings>,
    /// The tools that clients are shown whose launch line names no others.
    pub(crate) tools: ToolProfile,
    /// What the conformance suite calls; only in a demo profile that was started for it.
    pub(crate) fixtures: Option<Fixtures>,
    /// Sign-ins that wait for somebody.
    pub(crate) sign_ins: SignIns,
    /// Questions that clients have put before their users.
    pub(crate) questions: Questions,
    /// What people wait for that is no call: sign-ins, exports, erasures. The daemon does not end by itself meanwhile; asked to, it does.
    pub(crate) in_flight: InFlight,
    /// What every call passes.
    pub(crate) gate: Arc<Gate>,
    /// What calls come to now.
    pub(crate) activity: Arc<Activity>,
    /// What is configured for which client.
    pub(crate) policies: Arc<Live<Policies>>,
    /// Names the calls of people, who have no shim.
    run: u64,
    persons_calls: AtomicU64,
    core: Result<Arc<dyn Core>, Problem>,
    warnings: Mutex<Vec<Warning>>,
    original: Original,
    /// Keeps everything from asking Microsoft.
    pub(crate) switch: Arc<Switch>,
    refused: Arc<AtomicU64>,
    clock: Arc<dyn m365_cached::clock::Clock>,
    draining: watch::Sender<bool>,
    /// What comes of it; nothing as long as it is not draining.
    end: OnceLock<End>,
}

impl Daemon {
    /// A daemon from its parts; `refused` counts the connections that its listener turned away.
    pub fn new(parts: Parts, refused: Arc<AtomicU64>, dice: &dyn Dice) -> Self {
        let Parts {
            profile,
            keys,
            shut: _,
            core,
            catalogue,
            caching,
            warnings,
            original,
            clock,
            drain,
            life: _,
            manager,
            metrics: _,
            switch,
            limits,
            policies,
            strict,
            default_account,
            tools,
            fixtures,
            settings,
            hangups: _,
        } = parts;
        let ready_at = clock.now();
        let gate = Gate::new(limits, Arc::clone(&clock));
        let (activity, clients) = (Arc::new(Activity::default()), Clients::default());
        let gated = |core| Arc::new(Gated::new(core, Arc::clone(&gate), Arc::clone(&activity), clients.clone())) as Arc<dyn Core>;
        let core = core.map(gated);
        let fixtures = fixtures.then(|| Fixtures::new(dice.hex(16)));
        Self {
            fixtures,
            sign_ins: SignIns::default(),
            questions: Questions::default(),
            in_flight: InFlight::default(),
            instance: dice.hex(8),
            drain,
            profile,
            keys,
            caching: AtomicBool::new(caching),
            catalogue: Live::new(catalogue),
            settings,
            clients,
            ready_at,
            socket_stays: manager.keeps_socket(),
            strict: AtomicBool::new(strict),
            default_account: AtomicBool::new(default_account),
            fences: watch::Sender::new(()),
            listed: watch::Sender::new(()),
            tools,
            gate,
            activity,
            policies: Arc::new(Live::new(policies)),
            run: dice.number(),
            persons_calls: AtomicU64::new(0),
            core,
            warnings: Mutex::new(warnings),
            original,
            switch,
            refused,
            clock,
            draining: watch::Sender::new(false),
            end: OnceLock::new(),
        }
    }

    /// The engine, or why the daemon is locked.
    pub fn core(&self) -> Result<&Arc<dyn Core>, &Problem> {
        self.core.as_ref()
    }

    /// Whether anything is cached.
    pub fn caching(&self) -> bool {
        self.caching.load(Ordering::Relaxed)
    }

    /// How tools are shown to clients.
    pub(crate) fn manner(&self) -> Manner {
        Manner { strict: self.strict(), default_account: self.default_account.load(Ordering::Relaxed) }
    }

    /// Whether consent is a token everywhere.
    pub(crate) fn strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    /// Changes when a client may be within other bounds than before.
    pub(crate) fn fence_changes(&self) -> watch::Receiver<()> {
        self.fences.subscribe()
    }

    /// Changes when the tools are listed otherwise than before.
    pub(crate) fn list_changes(&self) -> watch::Receiver<()> {
        self.listed.subscribe()
    }

    /// Reads the settings again.
    ///
    /// # Errors
    /// When they cannot be used; nothing has changed then.
    pub(crate) fn reload(&self) -> Result<Reloaded, Problem> {
        let Some(settings) = &self.settings else {
            let message = "the daemon has started without settings that it could use, and has none to go on with";
            let hint = "`m365-cachectl config check` says what is wrong; when that is corrected, `m365-cachectl restart`.";
            return Err(Problem::new(Kind::Config, "not_reloadable", message, hint));
        };
        settings.reload(self)
    }

    /// Takes what can be taken of `config` without a restart. What could fail comes first.
    pub(crate) fn take(&self, config: &Config) -> Result<(), Problem> {
        if let Ok(core) = &self.core {
            core.reconfigure(config)?;
        }
        logging::refilter(&config.log)
            .map_err(|error| Problem::new(Kind::Config, "bad_config", error.to_string(), "Correct `log.filter`."))?;
        self.gate.hold_to(config.limits);
        self.policies.set(Policies::of(config));
        self.fences.send_replace(());
        self.caching.store(config.cache.enabled, Ordering::Relaxed);
        let strict = self.strict.swap(config.strict, Ordering::Relaxed) != config.strict;
        if strict {
            self.catalogue.set(parts::catalogue(config.strict));
        }
        let default = config.accounts.default.is_some();
        if self.default_account.swap(default, Ordering::Relaxed) != default || strict {
            self.listed.send_replace(());
        }
        Ok(())
    }

    /// The id of the next call that a person makes.
    pub(crate) fn call_of_a_person(&self) -> CallId {
        CallId { run: self.run, connection: 0, line: self.persons_calls.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// How many lines those who are connected have sent, and how many calls people have made.
    pub(crate) fn asked(&self) -> u64 {
        let clients = self.clients.list().into_iter().map(|(_, client)| client.lines).sum::<u64>();
        clients.wrapping_add(self.persons_calls.load(Ordering::Relaxed))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends when `time` has passed.
    pub async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// Becomes true when the daemon was asked to stop. An MCP stream then sends `Drain`, and ends once its calls are answered.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Begins the end. Who calls first decides what comes of it; the reason is told, for people.
    pub fn stop(&self, end: End, reason: &str) {
        self.end.get_or_init(|| end);
        if !self.draining.send_replace(true) {
            tracing::info!(reason, ?end, "draining");
        }
    }

    /// What will come of the end that has begun.
    pub(crate) fn end(&self) -> End {
        self.end.get().copied().unwrap_or(End::Stopped)
    }

    /// Ends when somebody has called [`Daemon::stop`].
    pub async fn stopping(&self) {
        // The sender lives as long as `self`, so an error cannot come.
        let _ = self.draining().wait_for(|draining| *draining).await;
    }

    /// Ends when no backup and no change of keys is under way.
    pub(crate) async fn keys_at_rest(&self) {
        if let Some(keys) = &self.keys {
            keys.at_rest().await;
        }
    }

    /// Ends when the daemon has shown that it does its work: the engine has answered through the store's thread. A locked one has no store, and is there.
    pub(crate) async fn works(&self) {
        if let Ok(core) = &self.core {
            core.status().await;
        }
    }

    /// Remembers something a person should know from now on.
    pub(crate) fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// Takes back what was said under these codes: it is so no more.
    pub(crate) fn unwarn(&self, codes: &[&str]) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).retain(|warning| !codes.contains(&warning.code.as_str()));
    }

    /// What the original has left, as it is now.
    pub(crate) fn found_of_the_original(&self) -> Vec<Warning> {
        self.original.warnings()
    }

    /// What an erasure leaves as it is, though it may hold something of the account: files that were put aside, and the original's own.
    pub(crate) fn beyond_an_erasure(&self) -> Vec<String> {
        let aside = Path::new(&self.profile.dir).join(QUARANTINE);
        let aside = aside.read_dir().is_ok_and(|mut folders| folders.next().is_some()).then_some(aside);
        let left = aside.into_iter().chain(self.original.files());
        left.map(|file| file.display().to_string()).collect()
    }

    /// What a person should know about the daemon itself.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = self.refused.load(Ordering::Relaxed);
        warnings.extend(self.original.warnings());
        warnings.extend(self.keys.iter().flat_map(|keys| keys.warnings()));
        if refused > 0 {
            warnings.push(Warning {
                code: "foreign_connections".into(),
                message: format!("{refused} connections of other users of this machine were refused"),
                hint: "Look who else can reach the socket shown above.".into(),
            });
        }
        warnings
    }
}
