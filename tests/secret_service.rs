//! A keyring for tests: `org.freedesktop.secrets` on a bus of its own, spoken to by the daemon through the real client.
//!
//! Its part of the key exchange is the number 1, to whatever power the client raises it: the session's key is the same in every session,
//! so that a sealed secret can be kept and given back as it came, and nothing here needs to open it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use m365_cached_checks::support::process::{Running, spawn};
use zbus::{
    blocking::{Connection, connection::Builder},
    fdo, interface,
    object_server::SignalEmitter,
    zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value},
};

const ROOT: &str = "/org/freedesktop/secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
const SESSION: &str = "/org/freedesktop/secrets/session/1";
const PROMPT: &str = "/org/freedesktop/secrets/prompt/1";

/// Session, parameters, sealed value, content type.
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

/// How the keyring behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// Answers.
    #[default]
    Open,
    /// Is locked, and the person dismisses its prompt.
    Dismissed,
    /// Is locked, and nobody answers its prompt.
    Waiting,
}

#[derive(Default)]
struct Inner {
    mood: Mood,
    /// Items there have ever been.
    made: usize,
    /// How often somebody has looked for items, and how often a person was asked.
    looks: usize,
    prompts: usize,
    items: BTreeMap<String, (HashMap<String, String>, Secret)>,
}

/// What the objects on the bus share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Inner>>);

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn path(text: &str) -> OwnedObjectPath {
    ObjectPath::try_from(text).unwrap().into()
}

struct Service(Shared);

#[interface(name = "org.freedesktop.Secret.Service")]
impl Service {
    fn open_session(&self, algorithm: &str, _input: Value<'_>) -> fdo::Result<(OwnedValue, OwnedObjectPath)> {
        if algorithm != "dh-ietf1024-sha256-aes128-cbc-pkcs7" {
            return Err(fdo::Error::NotSupported(algorithm.into()));
        }
        let one = Value::from(vec![1_u8]).try_into().map_err(|error| fdo::Error::Failed(format!("{error}")))?;
        Ok((one, path(SESSION)))
    }

    fn search_items(&self, attributes: HashMap<String, String>) -> (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) {
        self.0.with(|inner| {
            inner.looks += 1;
            let named = |known: &HashMap<String, String>| attributes.iter().all(|(name, value)| known.get(name) == Some(value));
            let found = inner.items.iter().filter(|(_, (known, _))| named(known)).map(|(at, _)| path(at)).collect();
            if inner.mood == Mood::Open { (found, vec![]) } else { (vec![], found) }
        })
    }

    fn unlock(&self, objects: Vec<OwnedObjectPath>) -> (Vec<OwnedObjectPath>, OwnedObjectPath) {
        if self.0.with(|inner| inner.mood) == Mood::Open { (objects, path("/")) } else { (vec![], path(PROMPT)) }
    }

    fn read_alias(&self, _name: &str) -> OwnedObjectPath {
        path(COLLECTION)
    }
}

struct Collection(Shared);

#[interface(name = "org.freedesktop.Secret.Collection")]
impl Collection {
    async fn create_item(
        &self,
        properties: HashMap<String, OwnedValue>,
        secret: Secret,
        _replace: bool,
        #[zbus(object_server)] server: &zbus::ObjectServer,
    ) -> fdo::Result<(OwnedObjectPath, OwnedObjectPath)> {
        let attributes = properties.get("org.freedesktop.Secret.Item.Attributes").and_then(|value| value.try_clone().ok());
        let attributes =
            attributes.and_then(|value| HashMap::try_from(value).ok()).ok_or_else(|| fdo::Error::InvalidArgs("attributes".into()))?;
        let at = self.0.with(|inner| {
            inner.made += 1;
            let at = format!("{COLLECTION}/{}", inner.made);
            inner.items.insert(at.clone(), (attributes, secret));
            at
        });
        server.at(at.as_str(), Item(self.0.clone(), at.clone())).await?;
        Ok((path(&at), path("/")))
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        self.0.with(|inner| inner.mood != Mood::Open)
    }
}

struct Item(Shared, String);

#[interface(name = "org.freedesktop.Secret.Item")]
impl Item {
    fn get_secret(&self, _session: OwnedObjectPath) -> fdo::Result<(Secret,)> {
        let found = self.0.with(|inner| inner.items.get(&self.1).map(|(_, secret)| secret.clone()));
        found.map(|secret| (secret,)).ok_or_else(|| fdo::Error::UnknownObject("the item was deleted".into()))
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        self.0.with(|inner| inner.mood != Mood::Open)
    }

    fn delete(&self) -> OwnedObjectPath {
        self.0.with(|inner| inner.items.remove(&self.1));
        path("/")
    }
}

struct Prompt(Shared);

#[interface(name = "org.freedesktop.Secret.Prompt")]
impl Prompt {
    async fn prompt(&self, _window: &str, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> fdo::Result<()> {
        let mood = self.0.with(|inner| {
            inner.prompts += 1;
            inner.mood
        });
        if mood == Mood::Dismissed {
            emitter.completed(true, Value::from("")).await?;
        }
        Ok(())
    }

    #[zbus(signal)]
    async fn completed(emitter: &SignalEmitter<'_>, dismissed: bool, result: Value<'_>) -> zbus::Result<()>;
}

/// A running keyring with its bus.
pub(crate) struct SecretService {
    /// For `DBUS_SESSION_BUS_ADDRESS`.
    pub(crate) address: String,
    shared: Shared,
    _connection: Connection,
    _bus: Running,
    _folder: tempfile::TempDir,
}

impl SecretService {
    /// Starts it; `None`, with the reason printed, on a machine without `dbus-daemon`.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (settings, address) = (folder.path().join("bus.conf"), format!("unix:path={}", folder.path().join("bus").display()));
        let policy =
            r#"<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>"#;
        let head = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">"#;
        fs::write(&settings, format!("{head}<busconfig><type>session</type><listen>{address}</listen>{policy}</busconfig>")).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", settings.display())).args(["--nofork", "--print-address=1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = match spawn(&mut command) {
            Ok(child) => child,
            Err(error) => {
                skipped(&format!("{error:#}"));
                return None;
            }
        };
        let stdout = child.stdout.take().unwrap();
        let bus = Running::new("dbus-daemon", child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("unix:"), "the bus did not start: {line:?}");
        let shared = Shared::default();
        let connection = Builder::address(address.as_str())
            .and_then(|builder| builder.serve_at(ROOT, Service(shared.clone())))
            .and_then(|builder| builder.serve_at(COLLECTION, Collection(shared.clone())))
            .and_then(|builder| builder.serve_at(PROMPT, Prompt(shared.clone())))
            .and_then(|builder| builder.name("org.freedesktop.secrets"))
            .and_then(Builder::build)
            .unwrap();
        Some(Self { address, shared, _connection: connection, _bus: bus, _folder: folder })
    }

    /// Changes how it behaves.
    pub(crate) fn feels(&self, mood: Mood) {
        self.shared.with(|inner| inner.mood = mood);
    }

    /// How often somebody has looked for items, and how often a person was asked.
    pub(crate) fn asked(&self) -> (usize, usize) {
        self.shared.with(|inner| (inner.looks, inner.prompts))
    }

    /// The attributes of what it keeps, and how long each sealed secret is.
    pub(crate) fn items(&self) -> Vec<(HashMap<String, String>, usize)> {
        self.shared.with(|inner| inner.items.values().map(|(attributes, secret)| (attributes.clone(), secret.2.len())).collect())
    }

    /// Forgets everything; what it was, to put it back.
    pub(crate) fn forget(&self) -> Forgotten {
        Forgotten(self.shared.with(|inner| std::mem::take(&mut inner.items)))
    }

    /// Puts back what was forgotten.
    pub(crate) fn restore(&self, forgotten: Forgotten) {
        self.shared.with(|inner| inner.items = forgotten.0);
    }
}

/// What [`SecretService::forget`] took.
pub(crate) struct Forgotten(BTreeMap<String, (HashMap<String, String>, Secret)>);

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}; `apt-get install dbus-daemon` brings what is missing");
}
