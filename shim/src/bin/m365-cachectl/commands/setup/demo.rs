//! `setup --demo`: a made-up Microsoft 365 on this machine, in a profile of its own.
//!
//! Decisions. The tenant is the program `m365-tenant` that the tests use; it is started as a process of its own and outlives `setup`. It is never ended by its
//! process id, which may be somebody else's by then, but through its own control port, once that has said that it is one. What it needs lies in one folder with
//! the mark `demo.json`: without the mark nothing is ever removed, and a folder that holds something else is never made a demo. The master key lies beside that
//! folder, for the daemon takes none from among the data; it is no secret of a person, for the people are made up, so no keyring is asked and none has an entry
//! left over. A tenant forgets everything when it ends (also with the machine): the next `setup --demo` starts another in its place and signs in anew.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use m365_cached_proto::dirs::{Places, Profile, private_dir};
use m365_cached_proto::v1::{Fault, Kind};
use m365_cached_shim::apart::apart;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::report::{Ended, Outcome};
use super::{key, loopback};
use crate::agree::agreed;
use crate::commands::{config, install, stop};
use crate::context::Context;
use crate::private::PrivateFile;

/// The name of the clients' entry that leads to the demo; their own one stays.
pub(in crate::commands) const ENTRY: &str = "m365-demo";
/// Says that a folder is a demo of ours.
const MARK: &str = "demo.json";
/// What the tenant writes when it has trouble.
const LOG: &str = "tenant.log";
/// The tenant makes its data up within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The profile of the demo: the one that was named, else one beside the person's own.
pub(super) fn profile(context: &Context) -> Result<Profile, Fault> {
    if context.profile.explicit {
        return Ok(context.profile.clone());
    }
    let no_place = |why: String| {
        Fault::new(Kind::Config, "no_profile", format!("there is no place for the demo: {why}"), "Name one with `--profile DIR`.")
    };
    let places = Places::of_this_machine().ok_or_else(|| no_place("the system names no home directory".into()))?;
    Profile::at(&places.data.with_file_name("m365-cached-demo")).map_err(|error| no_place(error.to_string()))
}

/// What is in the mark.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    /// The tenant's control port: how it is asked and ended.
    control: String,
    /// Its process, for people.
    pid: u32,
}

impl Mark {
    /// The mark of the folder, when it is a demo.
    fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(MARK)).ok()?).ok()
    }

    /// Whether its tenant runs.
    async fn runs(&self) -> bool {
        let verbs = loopback::ask("GET", &format!("{}/", self.control)).await;
        verbs.is_ok_and(|reply| reply.status == 200 && reply.body.contains("POST /stop") && reply.body.contains("/token_lifetime"))
    }
}

/// The line with which `m365-tenant` says that it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    control: String,
}

/// The tenant of a demo.
#[derive(Debug)]
pub(super) struct Tenant {
    program: Option<PathBuf>,
    running: Option<Mark>,
    key_file: PathBuf,
    /// It was started just now, and knows of no earlier sign-in.
    pub(super) fresh: bool,
}

impl Tenant {
    /// Looks whether one runs for this profile, and where its program is.
    pub(super) async fn find(context: &Context, program: Option<&Path>) -> Result<Self, Fault> {
        let dir = &context.profile.dir;
        let mark = Mark::read(dir);
        if mark.is_none() && std::fs::read_dir(dir).is_ok_and(|mut found| found.next().is_some()) {
            let message = format!("`{}` holds files that are no demo of ours; a demo wants a folder of its own", dir.display());
            return Err(Fault::new(Kind::User, "not_a_demo", message, "Name a new folder: `m365-cachectl --profile DIR setup --demo`."));
        }
        let running = match mark {
            Some(mark) if mark.runs().await => Some(mark),
            _ => None,
        };
        let program = program.map_or_else(search, |named| std::path::absolute(named).ok().filter(|file| file.is_file()));
        Ok(Self { program, running, key_file: key::beside(dir), fresh: false })
    }

    /// Where the key of the demo lies.
    pub(super) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Starts it unless it runs, with the settings of the profile.
    pub(super) async fn start(&mut self, context: &Context, dry_run: bool) -> Result<Outcome, Fault> {
        if let Some(mark) = &self.running {
            return Ok(Outcome::unchanged(format!("the tenant runs (pid {})", mark.pid)));
        }
        let program = self.program.clone().ok_or_else(|| {
            let message = "the program `m365-tenant` was found neither beside this one nor on PATH; packages do not hold it";
            let hint = "`cargo build --release -p m365-cached-tenant` in the sources builds it; `--tenant-program FILE` names it.";
            Fault::new(Kind::Config, "tenant_not_found", message, hint)
        })?;
        if dry_run {
            return Ok(Outcome::would(format!("start `{}`", program.display())));
        }
        // A daemon from before holds the addresses of a tenant that is gone.
        stop::stopped(context).await?;
        let dir = &context.profile.dir;
        let cannot = |why: String| {
            let hint = format!("Look at `{}`.", dir.join(LOG).display());
            Fault::new(Kind::Config, "tenant_not_started", format!("`{}` cannot be started: {why}", program.display()), hint)
        };
        private_dir(dir).map_err(|error| cannot(error.to_string()))?;
        let (control, pid) = launch(&program, dir).await.map_err(cannot)?;
        let mark = Mark { control, pid };
        write_mark(dir, &mark)?;
        // The tenant has written the rest of the settings anew.
        config::change(context, "keys.file", Some(&self.key_file.display().to_string())).await?;
        config::change(context, "keys.source", Some("file")).await?;
        self.running = Some(mark);
        self.fresh = true;
        Ok(Outcome::done(format!("the tenant runs (pid {pid}) until `m365-cachectl setup --demo --end`")))
    }
}

/// The program beside this one or on PATH.
fn search() -> Option<PathBuf> {
    let name = format!("m365-tenant{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    beside.into_iter().chain(on_path).map(|dir| dir.join(&name)).find(|file| file.is_file())
}

/// Starts the tenant, apart from this terminal; its control port and its process.
async fn launch(program: &Path, dir: &Path) -> Result<(String, u32), String> {
    let mut options = std::fs::File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let log = options.open(dir.join(LOG)).map_err(|error| error.to_string())?;
    let mut command = tokio::process::Command::new(program);
    // As slow as the real service, so that the times mean something; by this machine's clock, so that tokens live as long as they say.
    command.arg("--profile").arg(dir).args(["--latency", "real", "--clock", "now"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(false);
    apart(command.as_std_mut());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let pid = child.id().unwrap_or_default();
    let stdout = child.stdout.take().ok_or("it has no output")?;
    let mut line = String::new();
    let read = tokio::time::timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await;
    let ready: Option<Ready> = serde_json::from_str(&line).ok();
    match (read, ready) {
        (Ok(Ok(_)), Some(ready)) => Ok((ready.control, pid)),
        (Err(_), _) => {
            // Nobody would end it later.
            let _ = child.kill().await;
            Err(format!("it was not ready within {} s", PATIENCE.as_secs()))
        }
        _ => {
            let _ = child.kill().await;
            Err("it ended, or did not say that it is ready".into())
        }
    }
}

fn write_mark(dir: &Path, mark: &Mark) -> Result<(), Fault> {
    let path = dir.join(MARK);
    // The one of the tenant before.
    let _ = std::fs::remove_file(&path);
    let mut file = PrivateFile::create(&path, MARK)?;
    file.write(&serde_json::to_vec(mark).unwrap_or_default())?;
    file.finish()
}

/// Takes everything of the demo away again; the exit code.
pub(super) async fn end(context: &Context, dry_run: bool, yes: bool) -> Result<u8, Fault> {
    let dir = context.profile.dir.clone();
    let profile = dir.display().to_string();
    let Some(mark) = Mark::read(&dir) else {
        if dir.exists() {
            let message = format!("`{profile}` is no demo of ours; it stays as it is");
            return Err(Fault::new(
                Kind::User,
                "not_a_demo",
                message,
                "Name the demo's folder: `m365-cachectl --profile DIR setup --demo --end`.",
            ));
        }
        context.output.show(&Ended { demo: "none", profile, removed: Vec::new(), clients: Vec::new(), tenant: false, daemon: None });
        return Ok(0);
    };
    if !dry_run {
        agreed(context, yes, &format!("End the demo, take its entries out of clients, and remove `{profile}` with everything in it?"))?;
    }
    let mut clients = Vec::new();
    for client in install::Client::ALL {
        match install::settle(context, client, ENTRY, false, dry_run, true) {
            Ok(done) if done.state != "not_installed" => clients.push(done.client),
            Ok(_) => {}
            // The rest goes all the same; the entry leads nowhere then, and the person is told.
            Err(fault) => context.output.note(&format!("{}: {}. {}", client.title(), fault.message, fault.hint)),
        }
    }
    let tenant = mark.runs().await;
    let key_file = key::beside(&dir);
    let removed = vec![profile.clone(), key_file.display().to_string()];
    if dry_run {
        context.output.show(&Ended { demo: "would_end", profile, removed, clients, tenant, daemon: None });
        return Ok(0);
    }
    let daemon = stop::stopped(context).await?;
    if tenant {
        loopback::ask("POST", &format!("{}/stop", mark.control)).await?;
    }
    let cannot = |path: &Path, error: std::io::Error| {
        let message = format!("`{}` cannot be removed: {error}", path.display());
        Fault::new(Kind::User, "not_removed", message, "Remove it by hand; the demo itself has ended.")
    };
    match std::fs::remove_file(&key_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&key_file, error)),
        _ => {}
    }
    std::fs::remove_dir_all(&dir).map_err(|error| cannot(&dir, error))?;
    context.output.show(&Ended { demo: "ended", profile, removed, clients, tenant, daemon });
    Ok(0)
}
