//! The programs for Windows, run by wine: the named pipe between real processes, from the client that starts the daemon to the one that stops it.
//!
//! `.ci/run wine` builds them and names their folder in `M365_WINDOWS_PROGRAMS`. Wine is no Windows: it lets everybody through a pipe whatever its descriptor says,
//! and the task scheduler and the consoles of a desktop are not judged here. Nor is what a daemon does to the stderr of a `m365-cachectl` that starts it: wine
//! hands that on to every process by itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Barrier, mpsc},
    thread,
};

use m365_cached_checks::support::{
    PATIENCE,
    bins::Bins,
    ctl,
    home::Home,
    mcp::{Era, Mcp},
    signin,
    world::ALEX,
};
use m365_cached_tenant::{Options, Tenant};
use serde_json::{Value, json};

/// A Windows of its own, with the programs on its disk Z.
struct Wine(tempfile::TempDir);

impl Wine {
    fn new() -> Self {
        let wine = Self(tempfile::Builder::new().prefix("m365-wine-").tempdir().unwrap());
        assert!(wine.command("wineboot").arg("--init").status().unwrap().success());
        wine
    }

    /// One of wine's own commands, with nobody's terminal: what it leaves running must hold no pipe of ours.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        // Neither .NET nor a browser is wanted, and wine offers to fetch both.
        [
            ("WINEPREFIX", self.0.path().join("prefix").display().to_string()),
            ("WINEDEBUG", "-all".into()),
            ("WINEDLLOVERRIDES", "mscoree=;mshtml=".into()),
        ]
    }

    /// A program of ours, to be started as if it were one of this system; the profile's folder lies on disk Z, too.
    fn wrapper(&self, programs: &Path, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let environment: Vec<String> = self.environment().into_iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        let (environment, program) = (environment.join(" "), programs.join(format!("{name}.exe")));
        let text = format!("#!/bin/sh\nexec env {environment} M365_CACHED_DIR=Z:$M365_CACHED_DIR wine '{}' \"$@\"\n", program.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Everything that still runs in there ends.
        let _ = self.command("wineserver").arg("--kill").status();
        let _ = self.command("wineserver").arg("--wait").status();
    }
}

fn status(programs: &Bins, home: &Home) -> (Option<i32>, Value) {
    let said = ctl::run(programs, home, &["--json", "status"]).unwrap();
    (said.code, said.json().unwrap())
}

/// How `account` has its mail answered.
fn cache_status(client: &mut Mcp, account: &Value) -> String {
    client.call("email_list", &json!({"account_id": account["id"], "limit": 5})).unwrap().cache_status().unwrap()
}

/// Whether the client sees the end of its shim's output, though the daemon that the shim has started goes on.
fn sees_the_end(mut client: Mcp) -> bool {
    let (tell, told) = mpsc::channel();
    client.hang_up();
    thread::spawn(move || tell.send(client.receive().is_err()));
    told.recv_timeout(PATIENCE) == Ok(true)
}

#[test]
#[ignore = "wants programs for Windows and wine: .ci/run wine"]
fn windows_programs_talk_over_their_pipe() {
    let folder = PathBuf::from(std::env::var_os("M365_WINDOWS_PROGRAMS").unwrap());
    let wine = Wine::new();
    let daemon = format!("Z:{}", folder.join("m365-cached.exe").display());
    let programs = Bins {
        daemon: daemon.into(),
        shim: wine.wrapper(&folder, "m365-mcp"),
        cachectl: wine.wrapper(&folder, "m365-cachectl"),
        tenant: PathBuf::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tenant = runtime.block_on(Tenant::start(Options::default())).unwrap();
    let home = Home::new(1).unwrap();
    m365_cached_tenant::profile::write(home.path(), &tenant, false).unwrap();

    let (code, nobody) = status(&programs, &home);
    assert!(code == Some(8) && nobody["profile"]["socket"].as_str().unwrap().starts_with(r"\\.\pipe\m365-cached-"), "{nobody}");

    // The first client starts the daemon.
    let mut first = Mcp::start(&programs, &home, Era::Legacy).unwrap();
    let account = runtime.block_on(signin::sign_in(&programs, &home, ALEX)).unwrap();
    let mut second = Mcp::start(&programs, &home, Era::Modern).unwrap();
    assert_eq!(cache_status(&mut first, &account), "miss");
    assert_eq!(cache_status(&mut second, &account), "fresh", "what one has asked is there for the other");
    let (code, running) = status(&programs, &home);
    assert!(code == Some(0) && running["clients"].as_array().unwrap().len() == 2, "{running}");
    assert_eq!((&running["store"]["backend"], &running["key"]["source"]), (&json!("sqlcipher"), &json!("keyring")), "{running}");

    // Both at once.
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for client in [&mut first, &mut second] {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..50 {
                    assert_eq!(cache_status(client, &account), "fresh");
                }
            });
        }
    });

    // One client goes; the daemon, which it has started, holds on to nothing of it.
    assert!(sees_the_end(first), "the daemon holds its first client's output");
    let pid = running["pid"].to_string();
    assert_eq!(status(&programs, &home).1["pid"].to_string(), pid);
    let log = fs::read_to_string(home.path().join("m365-cached.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("m365_cached_daemon: ready")).count(), 1, "said once:\n{log}");

    // A daemon that was killed is replaced, and what it had stored is still there.
    assert!(wine.command("wine").args(["taskkill", "/f", "/pid", &pid]).status().unwrap().success());
    assert_eq!(cache_status(&mut second, &account), "fresh");
    assert_ne!(status(&programs, &home).1["pid"].to_string(), pid);
    assert!(!fs::read(home.database()).unwrap().starts_with(b"SQLite format 3"), "the database is not encrypted");

    ctl::run(&programs, &home, &["stop"]).unwrap().ok().unwrap();
    assert_eq!(status(&programs, &home).0, Some(8));
    runtime.block_on(tenant.stop());
}
