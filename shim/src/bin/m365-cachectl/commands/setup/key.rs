//! The second step: where the master key is kept. The daemon decides it at its first start, so it is started, and says what it found.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{Fault, Key, Kind, RotateRequest, StatusReply};

use super::report::{Outcome, Part, State};
use super::{Guide, locked};
use crate::commands::config::Changed;
use crate::commands::{config, keys, stop};
use crate::context::answered;

/// What the daemon says when there is nowhere to keep a key.
const NO_PLACE: &str = "no_safe_place";

impl Guide<'_> {
    pub(super) async fn key(&self) -> Result<(), Fault> {
        let what = "where the key of the database is kept: the system's keyring, the variable M365_MCP_CACHE_KEY, or a file";
        self.step(Part::Key, what, async { Ok((self.kept().await?, ())) }).await
    }

    async fn kept(&self) -> Result<Outcome, Fault> {
        let args = self.args;
        if let Some(tenant) = &self.demo {
            // The demo's people are made up: nothing of it is to be left in a person's keyring.
            return match args.dry_run {
                true => Ok(Outcome::would(format!("make the key file `{}`, for the demo alone", tenant.key_file().display()))),
                false => self.opened(tenant.fresh, Vec::new()).await,
            };
        }
        let new = !self.context.profile.keys_file().exists();
        if args.dry_run {
            let message = match (&args.key_source, &args.key_file, new) {
                (None, None, false) => return Ok(Outcome::unchanged("there is a key")),
                (None, None, true) => "have the daemon make a key in the first of these places that works".to_owned(),
                (source, file, _) => format!(
                    "set {}",
                    wanted(source.as_deref(), file.as_deref())
                        .iter()
                        .map(|(key, value)| format!("`{key}` to {value}"))
                        .collect::<Vec<_>>()
                        .join(" and ")
                ),
            };
            return Ok(Outcome::would(message));
        }
        let (source, file) = (args.key_source.as_deref(), args.key_file.as_deref());
        // One that does not open has nothing to lose: what is set may be what it needs.
        let works =
            if new { None } else { Some(self.status().await?).filter(|status| locked(status).is_ok()).and_then(|status| status.key) };
        match works {
            Some(key) => self.moved(&key, source, file).await,
            None => {
                let changes = self.set(wanted(source, file)).await?;
                match self.opened(new, said(&changes)).await {
                    Err(fault) if fault.code == NO_PLACE => self.in_a_file(fault).await,
                    outcome => outcome,
                }
            }
        }
    }

    /// Has a key that works be where it is wanted. A setting alone would have the daemon look where there is none, so the key goes there first, by a
    /// rotation. Where that fails, or the file that is named does not hold the key, the settings are put back.
    async fn moved(&self, key: &Key, source: Option<&str>, file: Option<&Path>) -> Result<Outcome, Fault> {
        let elsewhere = source.filter(|source| !["auto", key.source.as_str()].contains(source));
        if elsewhere == Some("environment") {
            let message = format!(
                "the master key is in {}, and one of the environment is given by its owner",
                keys::place(&key.source, &key.location)
            );
            return Err(Fault::new(Kind::User, "key_is_elsewhere", message, "`m365-cachectl keys rotate --help` has the lines."));
        }
        // Until it has gone the daemon asks the place where it is.
        let changes = self.set(wanted(if elsewhere.is_some() { Some("auto") } else { source }, file)).await?;
        let mut details = said(&changes);
        let Some(to) = elsewhere else {
            return match self.opened(false, details).await {
                Err(fault) if !changes.is_empty() => {
                    self.undo(changes).await?;
                    let message = format!("{}; the settings are as they were", fault.message);
                    Err(Fault {
                        message,
                        hint: "Run `m365-cachectl stop`, move the key file to its new place, and run this again.".into(),
                        ..fault
                    })
                }
                outcome => outcome,
            };
        };
        let request = RotateRequest { to: to.to_owned(), new_key: String::new() };
        let rotated = match async { answered(self.context.keys().await?.rotate(request).await) }.await {
            Ok(rotated) => rotated,
            Err(fault) => {
                self.undo(changes).await?;
                return Err(fault);
            }
        };
        details.push(format!(
            "master key {} takes the place of the one in {}",
            rotated.generation,
            keys::place(&key.source, &key.location)
        ));
        details.extend(rotated.left);
        let last = self.set(wanted(Some(to), None)).await?;
        self.opened(false, details.into_iter().chain(said(&last)).collect()).await
    }

    /// Puts the settings back.
    async fn undo(&self, changes: Vec<Changed>) -> Result<(), Fault> {
        for Changed { key, was, .. } in changes.into_iter().rev() {
            config::change(self.context, &key, was.as_deref()).await?;
        }
        stop::stopped(self.context).await.map(drop)
    }

    /// There is no keyring: offers a key file.
    async fn in_a_file(&self, fault: Fault) -> Result<Outcome, Fault> {
        let file = self.usual_file();
        let question = format!(
            "{}. A key file can stand in: `{}`, for you alone (0600). Whoever can read that file and the database can read what is stored, so a copy \
             of one disk protects nothing; a keyring is better. Make it?",
            fault.message,
            file.display()
        );
        let agreed = match self.context.output.asks() || self.args.yes {
            true => self.agrees(&question)?,
            false => false,
        };
        if !agreed {
            let hint = format!("Start a keyring, or run `m365-cachectl setup --key-source file --key-file {}`.", file.display());
            return Err(Fault { hint, ..fault });
        }
        let changes = self.set(wanted(Some("file"), Some(&file))).await?;
        self.opened(true, said(&changes)).await
    }

    /// Beside the settings, which is not where the data lies; beside a profile that lies under one folder.
    fn usual_file(&self) -> PathBuf {
        let profile = &self.context.profile;
        if profile.explicit { beside(&profile.dir) } else { profile.config_dir.join("master.key") }
    }

    /// Puts into the settings what is wanted, and has the daemon read it anew; what was changed.
    async fn set(&self, wanted: Vec<(&'static str, String)>) -> Result<Vec<Changed>, Fault> {
        let mut changes = Vec::new();
        for (key, value) in wanted {
            changes.push(config::change(self.context, key, Some(&value)).await?);
        }
        changes.retain(|change| change.changed);
        if !changes.is_empty() {
            stop::stopped(self.context).await?;
        }
        Ok(changes)
    }

    /// Starts the daemon, and says what holds the key; `new` when there was none before.
    async fn opened(&self, new: bool, said: Vec<String>) -> Result<Outcome, Fault> {
        let status: StatusReply = match self.status().await? {
            // One that could not open its key may be able to now: what it needs may have come since it looked.
            status if status.locked.is_some() => {
                stop::stopped(self.context).await?;
                self.status().await?
            }
            status => status,
        };
        locked(&status)?;
        let key = status
            .key
            .ok_or_else(|| Fault::new(Kind::Internal, "no_key", "the daemon works and names no key", "Run `m365-cachectl doctor`."))?;
        let state = if new || !said.is_empty() { State::Done } else { State::Unchanged };
        Ok(Outcome::new(state, keys::place(&key.source, &key.location)).with(said))
    }
}

fn said(changes: &[Changed]) -> Vec<String> {
    let said = |change: &Changed| Some(format!("`{}` is {}", change.key, change.is.as_ref()?));
    changes.iter().filter_map(said).collect()
}

/// The settings that say so. The file first: `file` alone is refused as a source.
fn wanted(source: Option<&str>, file: Option<&Path>) -> Vec<(&'static str, String)> {
    let file = file.map(|file| ("keys.file", std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()));
    file.into_iter().chain(source.map(|source| ("keys.source", source.to_owned()))).collect()
}

/// A key file beside a folder: never in it, where whoever copies the folder has both.
pub(super) fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".key");
    dir.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_beside_the_data_and_not_in_it() {
        assert_eq!(beside(Path::new("/home/ada/my.demo")), Path::new("/home/ada/my.demo.key"));
    }

    #[test]
    fn the_file_is_named_before_the_source() {
        let set = wanted(Some("file"), Some(Path::new("/k")));
        assert_eq!(set, [("keys.file", "/k".to_owned()), ("keys.source", "file".to_owned())]);
        assert_eq!(wanted(None, None), []);
    }
}
