//! Secrets of the person's own that settings name by their place: read when they are needed, kept nowhere else.

use std::{path::Path, sync::Arc};

use super::{
    Locked, SERVICE,
    disk::{self, Unread},
    keyring::{self, Keyring},
    open::KEYRING_PATIENCE,
};
use crate::{
    clock::Clock,
    secret::{Reference, Secret},
};

/// The text at `reference`, without a line break at its end. `environment` is what this process has of the variable that is named; `data` is the
/// folder of the profile, whose owner a file has to belong to. `setting` is the key that names it.
///
/// # Errors
///
/// When there is none, or somebody else could have read or written it.
pub async fn kept_at(
    reference: &Reference,
    setting: &str,
    keyring: &Arc<dyn Keyring>,
    clock: &dyn Clock,
    environment: impl FnOnce(&str) -> Option<String>,
    data: &Path,
) -> Result<Secret<String>, Locked> {
    let place = match reference {
        Reference::Keyring(entry) => format!("the keyring entry `{entry}` of `{SERVICE}`"),
        Reference::Environment(name) => format!("the environment variable `{name}`"),
        Reference::File(path) => format!("the file `{}`", path.display()),
    };
    let missing = || {
        let message = format!("`{setting}` names {place}, and there is none");
        Locked::new("secret_missing", message, format!("Make it, or correct `{setting}`; then restart the daemon."))
    };
    let bytes = match reference {
        Reference::Environment(name) => environment(name).map(Secret::new).ok_or_else(missing)?,
        Reference::Keyring(entry) => {
            let entry = entry.clone();
            let asked = keyring::ask(keyring, clock, KEYRING_PATIENCE, move |keyring| keyring.get(&entry)).await;
            let found = asked.map_err(|error| {
                let message = format!("{place} cannot be read for `{setting}`: {error}");
                Locked::new("secret_unreadable", message, "Unlock the keyring, then restart the daemon.")
            })?;
            text(found.ok_or_else(missing)?.expose()).ok_or_else(|| no_text(&place))?
        }
        Reference::File(path) => match disk::read_secret(path, disk::owner(data)) {
            Ok(bytes) => text(&bytes).ok_or_else(|| no_text(&place))?,
            Err(Unread::Missing) => return Err(missing()),
            Err(Unread::Insecure(why)) => {
                let hint = format!("Give the file to the user who runs the daemon and run `chmod 600 '{}'`.", path.display());
                return Err(Locked::new("insecure_secret_file", format!("{place} is not used, since {why}"), hint));
            }
            Err(Unread::Failed(error)) => {
                let message = format!("{place} cannot be read for `{setting}`: {error}");
                return Err(Locked::new("secret_unreadable", message, format!("Check the path in `{setting}` and its rights.")));
            }
        },
    };
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Option<Secret<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn no_text(place: &str) -> Locked {
    Locked::new("secret_unreadable", format!("what stands in {place} is no text"), "Put the plain text there.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        vault::KeyringError,
    };

    struct Fixed(Result<Option<&'static [u8]>, KeyringError>);

    impl Keyring for Fixed {
        fn get(&self, entry: &str) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
            assert_eq!(entry, "proxy");
            self.0.clone().map(|found| found.map(|bytes| Secret::new(bytes.to_vec())))
        }
        fn set(&self, _: &str, _: &[u8]) -> Result<(), KeyringError> {
            unreachable!("nothing is kept there")
        }
        fn delete(&self, _: &str) -> Result<(), KeyringError> {
            unreachable!("nothing is deleted there")
        }
    }

    async fn read(reference: &str, keyring: Fixed, data: &Path) -> Result<String, Locked> {
        let keyring: Arc<dyn Keyring> = Arc::new(keyring);
        let variable = |name: &str| (name == "PROXY").then(|| "ada:x".to_owned());
        let reference = Reference::read(reference).unwrap();
        let clock = ManualClock::at(Timestamp(0));
        let kept = kept_at(&reference, "network.proxy_auth", &keyring, &clock, variable, data).await;
        kept.map(|secret| secret.expose().clone())
    }

    #[tokio::test]
    async fn it_comes_from_the_place_that_is_named_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let none = || Fixed(Ok(None));
        assert_eq!(read("env:PROXY", none(), dir.path()).await.unwrap(), "ada:x");
        assert_eq!(read("keyring:proxy", Fixed(Ok(Some(b"ada:y\n"))), dir.path()).await.unwrap(), "ada:y");
        let code = |read: Result<String, Locked>| read.unwrap_err().code;
        assert_eq!(code(read("env:OTHER", none(), dir.path()).await), "secret_missing");
        assert_eq!(code(read("keyring:proxy", none(), dir.path()).await), "secret_missing");
        let locked = Fixed(Err(KeyringError::Locked("no".into())));
        assert_eq!(code(read("keyring:proxy", locked, dir.path()).await), "secret_unreadable");
        assert_eq!(code(read("keyring:proxy", Fixed(Ok(Some(b"\xff"))), dir.path()).await), "secret_unreadable");
        let file = dir.path().join("proxy");
        let named = format!("file:{}", file.display());
        assert_eq!(code(read(&named, none(), dir.path()).await), "secret_missing");
        fs::write(&file, "ada:z\r\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(code(read(&named, none(), dir.path()).await), "insecure_secret_file");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(read(&named, none(), dir.path()).await.unwrap(), "ada:z");
    }
}
