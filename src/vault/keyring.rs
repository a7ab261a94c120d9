//! The operating system's keyring, as a port, and asking it with a deadline.

use std::{path::Path, sync::Arc, thread, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::{clock::Clock, secret::Secret};

/// The name under which our entries stand in the keyring.
pub const SERVICE: &str = "m365-cached";

/// A keyring. Calls may block for as long as a person takes to answer a prompt.
pub trait Keyring: Send + Sync {
    /// The entry called `entry`, or `None` when there is none.
    fn get(&self, entry: &str) -> Result<Option<Secret<Vec<u8>>>, KeyringError>;
    /// Keeps `key` under `entry`.
    fn set(&self, entry: &str, key: &[u8]) -> Result<(), KeyringError>;
    /// Forgets the entry called `entry`; it is no error when there is none.
    fn delete(&self, entry: &str) -> Result<(), KeyringError>;
    /// Whether the entry called `entry` can be read, or made where there is none, without a person being asked. Asks nobody, and says no where that is not
    /// known.
    fn is_open(&self, _entry: &str) -> Result<bool, KeyringError> {
        Ok(false)
    }
}

/// Why the keyring gave no answer. The text is the platform's reason and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is none: no session bus, no service.
    #[error("no keyring answers ({0})")]
    Unavailable(String),
    /// It is locked, or access was denied.
    #[error("the keyring is locked ({0})")]
    Locked(String),
    /// It did not answer in time; perhaps it shows a prompt.
    #[error("the keyring did not answer within {0} s")]
    Late(u64),
    /// It answered, but not with something we can use.
    #[error("the keyring failed ({0})")]
    Failed(String),
}

/// The platform's keyring: Secret Service, macOS Keychain, Windows Credential Manager.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsKeyring;

impl Keyring for OsKeyring {
    fn get(&self, entry: &str) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
        read(SERVICE, entry)
    }

    fn set(&self, entry: &str, key: &[u8]) -> Result<(), KeyringError> {
        ::keyring::Entry::new(SERVICE, entry).and_then(|entry| entry.set_secret(key)).map_err(refusal)
    }

    fn delete(&self, entry: &str) -> Result<(), KeyringError> {
        match ::keyring::Entry::new(SERVICE, entry).and_then(|entry| entry.delete_credential()) {
            Ok(()) | Err(::keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }

    #[cfg(target_os = "linux")]
    fn is_open(&self, entry: &str) -> Result<bool, KeyringError> {
        super::secret_service::is_open(SERVICE, entry).map_err(|error| KeyringError::Unavailable(error.to_string()))
    }
}

/// The entry called `entry` of the program called `service`.
pub(super) fn read(service: &str, entry: &str) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    match ::keyring::Entry::new(service, entry).and_then(|entry| entry.get_secret()) {
        Ok(key) => Ok(Some(Secret::new(key))),
        Err(::keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(refusal(error)),
    }
}

/// What the keyring said, without the bytes that some of its errors carry.
fn refusal(error: ::keyring::Error) -> KeyringError {
    use ::keyring::Error;
    match error {
        Error::NoDefaultStore => KeyringError::Unavailable("no keyring on this machine or in this session".into()),
        Error::PlatformFailure(reason) => KeyringError::Unavailable(reason.to_string()),
        Error::NoStorageAccess(reason) => KeyringError::Locked(reason.to_string()),
        Error::Ambiguous(_) => KeyringError::Failed("several entries have the same name".into()),
        Error::BadEncoding(_) | Error::BadDataFormat(..) => KeyringError::Failed("the entry is malformed".into()),
        _ => KeyringError::Failed("the platform refused the entry".into()),
    }
}

/// A profile's name in the keyring, derived from the folder of its data: one keyring serves every profile of a user, and a name that two of them had
/// would be one key that either takes from the other. `named`: it was named, or is a demo, which never meets the keys of the real one in that folder.
///
/// Those that were not named had `default` once, wherever they lay. Their envelopes say so and open with it.
pub fn entry_name(dir: &Path, named: bool) -> String {
    let hash = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let kind = if named { "profile-" } else { "data-" };
    hash[..8].iter().fold(String::from(kind), |name, byte| name + &format!("{byte:02x}"))
}

/// The name of the key of that `generation`, of those that are called by `name`.
pub(super) fn numbered(name: &str, generation: u64) -> String {
    if generation == 1 { name.to_owned() } else { format!("{name}-g{generation}") }
}

/// Whether `entry` is one of those that are called by `name`: no other profile has its key there.
pub(super) fn is_called_by(entry: &str, name: &str) -> bool {
    let number = entry.strip_prefix(name).map(|rest| rest.strip_prefix("-g").and_then(|number| number.parse().ok()).unwrap_or(1));
    number.is_some_and(|number| entry == numbered(name, number))
}

/// Runs `ask` against the keyring on a thread of its own and waits at most `patience`.
///
/// A plain thread, since a runtime waits for its blocking threads when it ends, and a keyring that shows a prompt may never answer.
pub(super) async fn ask<T: Send + 'static>(
    keyring: &Arc<dyn Keyring>,
    clock: &dyn Clock,
    patience: Duration,
    ask: impl FnOnce(&dyn Keyring) -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    let deadline = clock.sleep(patience);
    let (sender, answer) = oneshot::channel();
    let keyring = Arc::clone(keyring);
    let spawned = thread::Builder::new().name("keyring".into()).spawn(move || {
        // Nobody listens any more after the deadline.
        let _ = sender.send(ask(keyring.as_ref()));
    });
    if spawned.is_err() {
        return Err(KeyringError::Failed("no thread could be started".into()));
    }
    tokio::select! {
        answer = answer => answer.unwrap_or_else(|_| Err(KeyringError::Failed("the call broke off".into()))),
        () = deadline => Err(KeyringError::Late(patience.as_secs())),
    }
}
