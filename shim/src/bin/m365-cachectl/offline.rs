//! Verbs on the files of a profile that no daemon serves: the daemon ends, then its program does them and says in JSON what came of it.

use std::process::Stdio;

use m365_cached_proto::dirs::DIR_VARIABLE;
use m365_cached_proto::turn::Turn;
use m365_cached_proto::v1::{Fault, Kind};
use m365_cached_shim::start::{DAEMON_VARIABLE, daemon_program};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;

use crate::commands::{service, stop};
use crate::context::Context;

/// What it prints when it fails.
#[derive(Deserialize)]
struct Failed {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    kind: String,
    code: String,
    message: String,
    hint: Option<String>,
}

/// A client that started the daemon at that moment makes us try again; so often.
const TRIES: usize = 5;

/// Has the running daemon end and runs `m365-cached --offline WORDS`; `passphrase` goes through a pipe, and whoever watches is told what it is `doing`.
/// Meanwhile no client starts a daemon.
pub(crate) async fn run<T: DeserializeOwned>(context: &Context, doing: &str, words: &[&str], passphrase: Option<&str>) -> Result<T, Fault> {
    // A service manager would start the daemon anew as soon as a client knocks.
    let _paused = service::paused(context);
    let mut left = TRIES;
    loop {
        // Without the turn it is tried all the same: the lock of the profile decides.
        let _turn = Turn::take(&context.profile).ok().flatten();
        stop::stopped(context).await?;
        left -= 1;
        match context.output.meanwhile(doing, once(context, words, passphrase)).await {
            Err(fault) if fault.code == "already_running" && left > 0 => {}
            done => return done,
        }
    }
}

/// As [`run`], for a verb that only looks: the daemon goes on serving.
pub(crate) async fn look<T: DeserializeOwned>(context: &Context, words: &[&str]) -> Result<T, Fault> {
    once(context, words, None).await
}

async fn once<T: DeserializeOwned>(context: &Context, words: &[&str], passphrase: Option<&str>) -> Result<T, Fault> {
    let cannot = |why: String| {
        Fault::new(
            Kind::Internal,
            "offline_failed",
            format!("`m365-cached --offline` {why}"),
            format!("Name the program in {DAEMON_VARIABLE}."),
        )
    };
    let program = daemon_program(&|name| std::env::var_os(name)).ok_or_else(|| cannot("was not found".into()))?;
    let mut command = tokio::process::Command::new(program);
    command.arg("--offline").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    if context.profile.explicit {
        command.env(DIR_VARIABLE, &context.profile.dir);
    }
    let mut child = command.spawn().map_err(|error| cannot(format!("cannot be started: {error}")))?;
    if let (Some(mut stdin), Some(passphrase)) = (child.stdin.take(), passphrase) {
        // One that has ended already says why.
        let _ = stdin.write_all(format!("{passphrase}\n").as_bytes()).await;
    }
    let done = child.wait_with_output().await.map_err(|error| cannot(format!("cannot be waited for: {error}")))?;
    if !done.status.success() {
        let failed: Failed = serde_json::from_slice(&done.stdout).map_err(|_| cannot(format!("ended without a word ({})", done.status)))?;
        let Reason { kind, code, message, hint } = failed.error;
        let kinds = [Kind::User, Kind::SignIn, Kind::Offline, Kind::Throttled, Kind::Denied, Kind::Config];
        let kind = kinds.into_iter().find(|known| known.word() == kind).unwrap_or(Kind::Internal);
        return Err(Fault::new(kind, &code, message, hint.unwrap_or_default()));
    }
    serde_json::from_slice(&done.stdout).map_err(|_| cannot("said something that is not understood".into()))
}
