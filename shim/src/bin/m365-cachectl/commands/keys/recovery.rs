//! `keys export` and `keys import`: the recovery file.

use std::path::Path;

use m365_cached_proto::v1::{ExportKeysRequest, Fault, Kind};
use serde::{Deserialize, Serialize};

use super::place;
use crate::context::{Context, answered};
use crate::output::{Paint, View};
use crate::private::PrivateFile;
use crate::{offline, passphrase};

/// `{"file":"/…","bytes":612}`
#[derive(Debug, Serialize)]
struct Exported {
    file: String,
    bytes: u64,
}

/// `set_aside` is where the old envelope is now.
#[derive(Debug, Serialize, Deserialize)]
struct Imported {
    source: String,
    location: String,
    set_aside: Option<String>,
}

pub(super) async fn export(context: &Context, file: &Path, passphrase_file: Option<&Path>) -> Result<(), Fault> {
    if file.symlink_metadata().is_ok() {
        let message = format!("there is a file at `{}` already, and it is not overwritten", file.display());
        return Err(Fault::new(Kind::User, "file_exists", message, "Name another file."));
    }
    let passphrase = passphrase::read(passphrase_file, true)?;
    let reply = answered(context.keys().await?.export(ExportKeysRequest { passphrase }).await)?;
    write(file, &reply.file)?;
    context.output.show(&Exported { file: file.display().to_string(), bytes: reply.file.len() as u64 });
    Ok(())
}

pub(super) async fn import(context: &Context, file: &Path, passphrase_file: Option<&Path>) -> Result<(), Fault> {
    let absolute = std::path::absolute(file).map_err(|error| {
        Fault::new(Kind::User, "no_file", format!("`{}` is no path: {error}", file.display()), "Name the recovery file.")
    })?;
    // Before anybody is asked for the passphrase.
    if let Err(error) = std::fs::File::open(&absolute) {
        let message = format!("the recovery file `{}` cannot be read: {error}", absolute.display());
        return Err(Fault::new(Kind::User, "no_recovery_file", message, "Name the file that `m365-cachectl keys export` has written."));
    }
    let passphrase = passphrase::read(passphrase_file, false)?;
    let imported: Imported =
        offline::run(context, "trying the keys on the database", &["keys-import", &absolute.to_string_lossy()], Some(&passphrase)).await?;
    context.output.show(&imported);
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let mut file = PrivateFile::create(path, "m365.recovery")?;
    file.write(bytes)?;
    file.finish()
}

impl View for Exported {
    fn text(&self, _paint: Paint) -> String {
        format!("the keys are in `{}`; keep it away from this machine, and the passphrase away from it\n", self.file)
    }
}

impl View for Imported {
    fn text(&self, _paint: Paint) -> String {
        let mut text = format!("the keys are sealed under a new master key in {}\n", place(&self.source, &self.location));
        if let Some(aside) = &self.set_aside {
            text += &format!("the old envelope is `{aside}`\n");
        }
        text + "the next call starts the daemon with them\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let imported = Imported { source: "file".into(), location: "/k".into(), set_aside: Some("/p/cache.keys.replaced-x".into()) };
        let text = imported.text(Paint::OFF);
        assert!(text.starts_with("the keys are sealed under a new master key in the file `/k`\nthe old envelope is `/p/"), "{text}");
    }

    #[test]
    fn a_recovery_file_is_its_owners_alone_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.recovery");
        write(&path, b"one").unwrap();
        assert!(write(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }
}
