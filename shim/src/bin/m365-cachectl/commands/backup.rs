//! `backup` and `restore`: the database and its keys in one encrypted file, and back.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{BackupReply, BackupRequest, Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::agree::agreed;
use crate::context::{Context, answered};
use crate::output::{Paint, View, bytes};
use crate::{offline, passphrase};

/// Where to back up to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  m365-cachectl backup /mnt/disk/m365.backup --passphrase-file ~/passphrase

The file holds the database as encrypted as it is, and its keys sealed under the passphrase (Argon2id, 64 MiB). With the passphrase it opens on
any machine, without it nowhere. Every page of it is read again before it counts as written. Not in it are the settings (config.toml) and the
sealed copies of an import (imported/): copy these with it.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.")]
pub(crate) struct BackupArgs {
    /// The file; nothing may stand there
    pub(crate) file: PathBuf,
    /// Read the passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to restore.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  m365-cachectl restore /mnt/disk/m365.backup --passphrase-file ~/passphrase

The daemon is stopped, the backup is opened and every page of it read; then its keys are sealed under a new master key and it takes the place of
the database, which stays under `quarantine/` in a folder named by the date. Accounts are as they were; answers are asked for anew, since the
backup knows nothing of what was written after it was made.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.")]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) file: PathBuf,
    /// Read the passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Agree that the data of today is put aside
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `{"file":"/…","bytes":n,"accounts":n,"entries":n}`
#[derive(Debug, Serialize)]
struct BackedUp {
    file: String,
    bytes: u64,
    accounts: u64,
    entries: u64,
}

/// `quarantine` is where the data of before is, `set_aside` where its envelope is.
#[derive(Debug, Serialize, Deserialize)]
struct Restored {
    made_at: String,
    accounts: u64,
    entries: u64,
    source: String,
    location: String,
    set_aside: Option<String>,
    quarantine: Option<String>,
}

pub(super) async fn backup(context: &Context, args: &BackupArgs) -> Result<(), Fault> {
    let file = absolute(&args.file)?;
    if file.symlink_metadata().is_ok() {
        let message = format!("there is a file at `{}` already, and it is not overwritten", file.display());
        return Err(Fault::new(Kind::User, "file_exists", message, "Name another file."));
    }
    let passphrase = passphrase::read(args.passphrase_file.as_deref(), true)?;
    let file = file.display().to_string();
    let mut keys = context.keys().await?;
    let work = keys.backup(BackupRequest { file: file.clone(), passphrase });
    let reply = answered(context.output.meanwhile("writing the backup and reading every page of it again", work).await)?;
    let BackupReply { bytes, entries, accounts } = reply;
    context.output.show(&BackedUp { file, bytes, accounts, entries });
    Ok(())
}

pub(super) async fn restore(context: &Context, args: &RestoreArgs) -> Result<(), Fault> {
    let file = absolute(&args.file)?;
    // Before anybody is asked for anything.
    if let Err(error) = std::fs::File::open(&file) {
        let message = format!("the backup `{}` cannot be read: {error}", file.display());
        return Err(Fault::new(Kind::User, "no_backup", message, "Name a file that `m365-cachectl backup` has written."));
    }
    let question = format!("The data of the profile `{}` is put aside, and the backup takes its place.", context.profile.dir.display());
    agreed(context, args.yes, &question)?;
    let passphrase = passphrase::read(args.passphrase_file.as_deref(), false)?;
    let words = ["restore", &*file.to_string_lossy()];
    let restored: Restored = offline::run(context, "reading every page of the backup", &words, Some(&passphrase)).await?;
    context.output.show(&restored);
    Ok(())
}

/// The daemon starts elsewhere, so it is given whole paths.
fn absolute(file: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(file)
        .map_err(|error| Fault::new(Kind::User, "no_file", format!("`{}` is no path: {error}", file.display()), "Name a file."))
}

impl View for BackedUp {
    fn text(&self, _paint: Paint) -> String {
        let Self { file, accounts, entries, .. } = self;
        format!("{} in `{file}` (accounts: {accounts}, answers: {entries}), read again and whole\n", bytes(self.bytes))
    }
}

impl View for Restored {
    fn text(&self, _paint: Paint) -> String {
        let mut text = format!("the backup of {} is in place (accounts: {}); answers are asked for anew\n", self.made_at, self.accounts);
        if let Some(folder) = &self.quarantine {
            text += &format!("the data of before is in `{folder}`\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let view = BackedUp { file: "/b".into(), bytes: 1_400_000, accounts: 2, entries: 7 };
        assert_eq!(view.text(Paint::OFF), "1.4 MB in `/b` (accounts: 2, answers: 7), read again and whole\n");
        let restored = Restored {
            made_at: "2026-11-21T20:00:00.000Z".into(),
            accounts: 2,
            entries: 7,
            source: "file".into(),
            location: "/k".into(),
            set_aside: None,
            quarantine: Some("/q".into()),
        };
        let text = restored.text(Paint::OFF);
        assert!(text.contains("is in place (accounts: 2)") && text.ends_with("the data of before is in `/q`\n"), "{text}");
    }
}
