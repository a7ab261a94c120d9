//! Export and import: the keys of the store leave the vault sealed under a passphrase, and come back under a new master key.

use super::{Keys, Locked, Recovery, Source, envelope::Facts, open::Vault};
use crate::secret::Secret;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Where the new master key is.
    pub source: Source,
    /// Where the envelope that was there before was put.
    pub set_aside: Option<std::path::PathBuf>,
}

impl Vault {
    /// The recovery file for `passphrase`.
    ///
    /// # Errors
    /// Why the vault does not open, or `weak_passphrase`.
    pub async fn export(&self, passphrase: Secret<String>) -> Result<Recovery, Locked> {
        let (_, _, _, keys) = self.unseal().await?;
        let (dice, now) = (self.dice.clone(), self.dates.now());
        // Tens of milliseconds of computing.
        let sealed = tokio::task::spawn_blocking(move || Recovery::seal(&keys, &passphrase, dice.as_ref(), now)).await;
        sealed.unwrap_or_else(|_| Err(Locked::new("export_failed", "the keys could not be sealed", "Try again.")))
    }

    /// Seals `keys` under a new master key. The caller has held them against the database. The envelope that is there is set aside under a dated
    /// name, and no key that lies in a keyring or a file is overwritten.
    ///
    /// # Errors
    /// Why there is no safe place for a new master key; nothing was changed then.
    pub async fn adopt(&self, keys: &Keys) -> Result<Adopted, Locked> {
        let (master, source, generation) = self.new_master().await?;
        let now = self.dates.now();
        let set_aside = self.set_aside(now)?;
        let facts = Facts { source: source.clone(), made_at: now.rfc3339(), generation, rotated_at: None, change: None };
        if let Err(locked) = self.write(&master, keys, facts) {
            set_aside.iter().for_each(|name| self.take_back(name));
            return Err(locked);
        }
        let (_, _, _, found) = self.unseal().await?;
        if !found.same(keys) {
            return Err(Locked::new("envelope_failed", "the new envelope gives back other keys", "Import the file again."));
        }
        Ok(Adopted { source, set_aside })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{
            SourceKind,
            open_tests::{Home, Mood, listing},
        },
        *,
    };

    #[tokio::test]
    async fn lost_keys_come_back_under_a_new_master_and_nothing_is_overwritten() {
        for kind in [SourceKind::Keyring, SourceKind::File] {
            let mut home = Home::new(Mood::Works);
            home.file = Some(home.key_file());
            home.only = Some(kind);
            let keys = home.unlocked().await.keys;
            let passphrase = || Secret::new("five words of no sense".to_owned());
            let file = home.vault().export(passphrase()).await.unwrap().to_json().unwrap();
            // The master is lost; in the keyring there is another one under its name.
            if kind == SourceKind::Keyring {
                home.keyring.entries.lock().unwrap().insert("test".into(), vec![9; 32]);
                assert_eq!(home.refused().await, "wrong_key");
            } else {
                fs::remove_file(home.key_file()).unwrap();
                assert_eq!(home.refused().await, "key_missing");
            }
            let old = fs::read(home.dir.path().join("cache.keys")).unwrap();
            let found = Recovery::parse(&file).unwrap().open(&passphrase()).unwrap();
            let adopted = home.vault().adopt(&found).await.unwrap();
            assert_eq!(fs::read(adopted.set_aside.unwrap()).unwrap(), old);
            assert!(home.unlocked().await.keys.same(&keys));
            if kind == SourceKind::Keyring {
                let entries = home.keyring.entries.lock().unwrap().clone();
                assert_eq!(entries["test"], [9; 32]);
                assert_eq!((entries.len(), adopted.source.location.as_str()), (2, "test-g2"));
            }
        }
    }

    #[tokio::test]
    async fn at_no_moment_is_there_no_envelope() {
        let home = Home::new(Mood::Works);
        let keys = home.unlocked().await.keys;
        let old = fs::read(home.envelope()).unwrap();
        // Where the new one is written first nothing can be written.
        fs::create_dir(home.dir.path().join("cache.new")).unwrap();
        let refused = home.vault().adopt(&Keys { database: keys.wrapping.clone(), ..keys.clone() }).await.unwrap_err();
        assert_eq!(refused.code, "envelope_failed");
        assert_eq!(fs::read(home.envelope()).unwrap(), old);
        assert!(home.unlocked().await.keys.same(&keys), "the keys are as they were");
        assert_eq!(fs::read_dir(home.dir.path()).unwrap().count(), 2, "nothing was put aside");
    }

    #[tokio::test]
    async fn without_a_safe_place_nothing_is_imported() {
        let home = Home::new(Mood::Works);
        let keys = home.unlocked().await.keys;
        home.keyring.feel(Mood::Unavailable);
        let before = listing(home.dir.path());
        assert_eq!(home.vault().adopt(&keys).await.unwrap_err().code, "no_safe_place");
        assert_eq!(listing(home.dir.path()), before);
    }
}
