//! `keys rotate`: a new master key in the place of the old one.

use std::fmt::Write as _;

use m365_cached_proto::v1::keys_client::KeysClient;
use m365_cached_proto::v1::{Fault, Kind, ReencryptRequest, Reencryption, RotateReply, RotateRequest};
use serde::Serialize;
use tonic::transport::Channel;

use super::place;
use crate::context::{Context, answered};
use crate::output::{Paint, View, counted};
use crate::views::{FaultView, known};

/// How to rotate.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl keys rotate
  m365-cachectl keys rotate --to keyring

The new key is made where the old one is, or in the place that --to names: the keyring, or the file that `keys.file` names. Envelope and key
are read back from their places before the old key is deleted, and a rotation that is cut short is finished or undone by the next start. No
key is overwritten, and an old one that a `cache.keys` needs which `reset`, `restore` or `keys import` put aside is kept: `old_kept_for` names it.
A key file that is kept gets a name of its own, FILE.kept-ID. When nobody needs what was put aside, remove both. An old key that another profile may
need, or that could not be deleted, is told of too (`left`); the new one is in force all the same, and the next start tries again.

A key file that was there before the profile is its owner's: others may use it, as the note FILE.shared beside it says, and it is neither replaced
nor deleted. Rotate --to keyring, or remove the note when one profile alone uses the file.

One that is only shown to the daemon (a credential of the service manager, a secret of a container, a folder it cannot write) is its owner's, too.
The envelope does not open with another file in its place, so it goes by a recovery file:
  m365-cachectl keys export FILE
  m365-cachectl stop
then replace the key file, and
  m365-cachectl keys import FILE

A key of the environment is changed by its owner:
  export M365_MCP_CACHE_KEY_NEW=\"$(openssl rand -base64 32)\"
  m365-cachectl keys rotate --to environment
then start the daemon with that key as M365_MCP_CACHE_KEY. The old one opens nothing from then on; the daemon that was given the new one goes on
with it until it ends.

The database is not touched: its own keys lie inside `cache.keys` and stay the same. --reencrypt gives each account a new data key, under which its
tokens are sealed at once and its answers some at a time; `keys status` tells how far that is, and a restart goes on with it. When it ends the
old data keys are destroyed, and with them the file that `repair --rollback` would restore. A recovery file that was made before no longer
opens the database: make a new one with `keys export`.

With --json the object has `error` beside what the rotation did when that was done and --reencrypt failed; the exit code is that of the failure.")]
pub(crate) struct Args {
    /// Where the new key goes; else the kind of place the old one is in
    #[arg(long, value_enum)]
    pub(crate) to: Option<Place>,
    /// Seal all answers and tokens under new data keys, too, in the background
    #[arg(long)]
    pub(crate) reencrypt: bool,
    /// With --reencrypt: wait until the old data keys are destroyed, and tell how far it is
    #[arg(long, requires = "reencrypt")]
    pub(crate) wait: bool,
}

/// A kind of place for the master key.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Place {
    Keyring,
    Environment,
    File,
}

impl Place {
    /// The word the daemon knows it by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }
}

/// The variable that holds the key to rotate to, for a key of the environment.
const NEW_KEY: &str = "M365_MCP_CACHE_KEY_NEW";

/// What a re-encryption leaves to be done.
const NEW_RECOVERY: &str = "make a new recovery file (`m365-cachectl keys export FILE`); one made before no longer opens the database";

/// `old_deleted` is false for a key of the environment, which its owner removes, for one that `old_kept_for` needs, and for one that `left` tells of; `took_us`
/// is in microseconds.
#[derive(Debug, Serialize)]
struct Rotated {
    generation: u64,
    source: String,
    location: String,
    old_source: String,
    old_location: String,
    old_deleted: bool,
    /// An envelope that was put aside and is sealed under the old one, or the note of a key file that others may use.
    old_kept_for: Option<String>,
    /// Which old keys are still there otherwise, why, and what comes of it.
    left: Vec<String>,
    at_ms: u64,
    took_us: u64,
}

/// The exit code. A rotation is told also when the re-encryption after it fails: its key is in force, and the old one opens nothing.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Fault> {
    // Sent when it may be wanted alone; which kind of place the key is in the daemon knows.
    let may_be_wanted = args.to.is_none_or(|to| matches!(to, Place::Environment));
    let new_key = if may_be_wanted { std::env::var(NEW_KEY).unwrap_or_default() } else { String::new() };
    let request = RotateRequest { to: args.to.map(|to| to.as_str().to_owned()).unwrap_or_default(), new_key };
    let mut keys = context.keys().await?;
    // A keyring may show a prompt; the daemon gives up after a while by itself.
    let rotated = match answered(keys.rotate(request).await) {
        // Its owner changes the master key; the data keys are ours.
        Err(fault) if fault.code == "new_key_missing" && args.reencrypt && args.to.is_none() => None,
        done => Some(Rotated::from(done?)),
    };
    let reencryption = if args.reencrypt { Some(reencrypt(context, &mut keys, args.wait).await) } else { None };
    let (reencryption, fault) = match reencryption {
        Some(Err(fault)) if rotated.is_none() => return Err(fault),
        Some(Err(fault)) => (None, Some(fault)),
        Some(Ok(progress)) => (Some(progress), None),
        None => (None, None),
    };
    context.output.show(&Done { rotated, reencryption, error: fault.as_ref().map(FaultView::from) });
    match fault {
        None => Ok(0),
        // It is in the object that was shown.
        Some(fault) if context.output.json => Ok(fault.exit_code()),
        Some(fault) => Err(fault),
    }
}

async fn reencrypt(context: &Context, keys: &mut KeysClient<Channel>, wait: bool) -> Result<Progress, Fault> {
    let mut events = answered(keys.reencrypt(ReencryptRequest { wait }).await)?;
    let mut last = Reencryption::default();
    while let Some(event) = events.message().await.map_err(|status| Fault::from_status(&status))? {
        if wait {
            context.output.note(&format!("{} of {} answers", event.done, event.total));
        }
        last = event;
    }
    if wait && !last.ended {
        let message = "the daemon went away before everything was sealed anew; the next one goes on";
        return Err(Fault::new(Kind::Offline, "reencryption_incomplete", message, "`m365-cachectl keys status` tells how far it is."));
    }
    let Reencryption { done, total, ended } = last;
    Ok(Progress { done, total, ended })
}

/// What was done. `reencryption` is there with --reencrypt, and in its place `error` when it failed.
#[derive(Debug, Serialize)]
struct Done {
    #[serde(flatten)]
    rotated: Option<Rotated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reencryption: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FaultView>,
}

/// Answers sealed under the new data keys, of so many; `ended`: the old ones are destroyed.
#[derive(Debug, Serialize)]
struct Progress {
    done: u64,
    total: u64,
    ended: bool,
}

impl View for Done {
    fn text(&self, paint: Paint) -> String {
        let mut text = self.rotated.as_ref().map(|rotated| rotated.text(paint)).unwrap_or_default();
        match self.reencryption {
            Some(Progress { done, ended: true, .. }) => {
                text += &format!("{} sealed under new data keys; the old ones are destroyed\n", counted(done, "answer"));
                let _ = writeln!(text, "{} {NEW_RECOVERY}", paint.warn("next:"));
            }
            Some(Progress { total, .. }) => {
                text +=
                    &format!("sealing {} under new data keys; `m365-cachectl keys status` tells how far it is\n", counted(total, "answer"));
                let _ = writeln!(text, "{} {NEW_RECOVERY}", paint.warn("next:"));
            }
            None => {}
        }
        text
    }
}

impl From<RotateReply> for Rotated {
    fn from(reply: RotateReply) -> Self {
        let RotateReply { generation, source, location, old_source, old_location, old_deleted, at_ms, took_us, old_kept_for, left } = reply;
        let old_kept_for = known(&old_kept_for);
        Self { generation, source, location, old_source, old_location, old_deleted, old_kept_for, left, at_ms, took_us }
    }
}

impl View for Rotated {
    fn text(&self, paint: Paint) -> String {
        let took = format!("{}.{} ms", self.took_us / 1000, self.took_us % 1000 / 100);
        let mut text = format!("master key {} is in {} ({took})\n", self.generation, place(&self.source, &self.location));
        let (next, old) = (paint.warn("next:"), place(&self.old_source, &self.old_location));
        if self.old_deleted {
            text += "the old one is deleted\n";
        } else if let Some(needed_by) = &self.old_kept_for {
            let _ = writeln!(text, "the old one is kept in {old}, because of `{needed_by}`");
        } else if self.old_source == "environment" && self.source != "environment" {
            let _ = writeln!(text, "{next} take the old one out of {old}; it opens nothing");
        }
        for left in &self.left {
            let _ = writeln!(text, "{left}");
        }
        if self.source == "environment" {
            let _ =
                writeln!(text, "{next} start the daemon with the new key as `{}` from now on; the old one does not open it", self.location);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let reply = RotateReply {
            generation: 3,
            source: "keyring".into(),
            location: "default-g3".into(),
            old_source: "keyring".into(),
            old_location: "default-g2".into(),
            old_deleted: true,
            at_ms: 7,
            took_us: 12_345,
            old_kept_for: String::new(),
            left: Vec::new(),
        };
        let text = Rotated::from(reply.clone()).text(Paint::OFF);
        assert_eq!(text, "master key 3 is in the keyring entry `default-g3` (12.3 ms)\nthe old one is deleted\n");
        insta::assert_json_snapshot!("keys_rotate_json", Rotated::from(reply.clone()));
        let owners = RotateReply { source: "environment".into(), location: "KEY".into(), old_deleted: false, ..reply.clone() };
        assert!(Rotated::from(owners).text(Paint::OFF).contains("with the new key as `KEY`"));
        let left = RotateReply { old_deleted: false, left: vec!["the old one is still there, since it is".into()], ..reply.clone() };
        assert!(Rotated::from(left).text(Paint::OFF).ends_with("(12.3 ms)\nthe old one is still there, since it is\n"));
        let progress = |ended| Some(Progress { done: 3, total: 3, ended });
        for ended in [true, false] {
            let text = Done { rotated: None, reencryption: progress(ended), error: None }.text(Paint::OFF);
            assert!(text.ends_with(&format!("next: {NEW_RECOVERY}\n")), "{text}");
        }
        let kept = RotateReply { old_deleted: false, old_kept_for: "/p/quarantine/day/cache.keys".into(), ..reply };
        insta::assert_snapshot!("keys_rotate_kept", Rotated::from(kept).text(Paint::OFF));
    }
}
