//! `doctor`: breaks one link at a time in a world of its own and asks `m365-cachectl doctor`. A fault counts as named when the first failure
//! (or, where nothing fails, the first warning) is that link with that code: a list in which it stands somewhere would not help anybody.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_tenant::{AuthAction, ClockStart, Effect, Fault, Options, RetryAfter, Tenant};
use serde_json::{Value, json};

use super::Run;
use crate::{
    demo::say,
    support::{
        bins::{For, bins},
        home::{Home, key},
        proxy::ConnectProxy,
        stopwatch,
        world::{ALEX, Setup, World},
    },
};

/// How long it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(600);
/// No memory of this program's, as a file on the disk: what a damaged page is written over with.
const NOISE: [u8; 512] = [0xa5; 512];

/// A fault and how it has to be named.
#[derive(Debug, Clone, Copy)]
pub struct Planted {
    /// What is broken.
    pub name: &'static str,
    /// The link that has to be named first.
    pub check: &'static str,
    /// Its code.
    pub code: &'static str,
    /// Breaks it and asks; what the doctor says.
    pub ask: fn() -> anyhow::Result<Value>,
}

/// Their names, to choose some.
pub(super) const PARTS: &[&str] = &{
    let mut names = [""; FAULTS.len()];
    let mut at = 0;
    while at < FAULTS.len() {
        names[at] = FAULTS[at].name;
        at += 1;
    }
    names
};

/// All of them.
pub const FAULTS: &[Planted] = &[
    Planted { name: "program", check: "program", code: "offline_failed", ask: program },
    Planted { name: "directory", check: "directories", code: "unusable_profile", ask: directory },
    Planted { name: "setting", check: "configuration", code: "bad_config", ask: setting },
    Planted { name: "authority", check: "configuration", code: "ca_unreadable", ask: authority },
    Planted { name: "roots", check: "configuration", code: "wide_roots", ask: roots },
    Planted { name: "hung", check: "socket", code: "daemon_stuck", ask: hung },
    Planted { name: "killed", check: "socket", code: "stale_socket", ask: killed },
    Planted { name: "file-for-socket", check: "socket", code: "not_a_socket", ask: file_for_socket },
    Planted { name: "open-socket", check: "socket", code: "open_socket", ask: open_socket },
    Planted { name: "disk", check: "disk", code: "low_disk", ask: disk },
    Planted { name: "no-key", check: "keys", code: "key_missing", ask: no_key },
    Planted { name: "wrong-key", check: "keys", code: "wrong_key", ask: wrong_key },
    Planted { name: "no-envelope", check: "keys", code: "no_envelope", ask: no_envelope },
    Planted { name: "database", check: "database", code: "damaged_store", ask: database },
    Planted { name: "proxy", check: "proxy", code: "proxy_unreachable", ask: proxy },
    Planted { name: "names", check: "names", code: "name_not_resolved", ask: names },
    Planted { name: "network", check: "reach", code: "unreachable", ask: network },
    Planted { name: "trust", check: "reach", code: "tls_not_trusted", ask: trust },
    Planted { name: "proxy-gone", check: "proxy", code: "proxy_unreachable", ask: proxy_gone },
    Planted { name: "proxy-asks", check: "reach", code: "proxy_auth_required", ask: proxy_asks },
    Planted { name: "proxy-refuses", check: "reach", code: "proxy_refused", ask: proxy_refuses },
    Planted { name: "proxy-secret", check: "proxy", code: "secret_missing", ask: proxy_secret },
    Planted { name: "company-authority", check: "configuration", code: "ca_unreadable", ask: company_authority },
    Planted { name: "no-authority", check: "configuration", code: "ca_unusable", ask: no_authority },
    Planted { name: "interception", check: "reach", code: "tls_not_trusted", ask: interception },
    Planted { name: "cloud", check: "configuration", code: "bad_config", ask: cloud },
    Planted { name: "cloud-names", check: "names", code: "name_not_resolved", ask: cloud_names },
    Planted { name: "clock", check: "clock", code: "clock_off", ask: clock },
    Planted { name: "version", check: "versions", code: "version_skew", ask: version },
    Planted { name: "sign-in", check: "sign_in", code: "sign_in_required", ask: sign_in },
    Planted { name: "rights", check: "graph", code: "access_denied", ask: rights },
    Planted { name: "throttled", check: "graph", code: "throttled", ask: throttled },
    Planted { name: "client-file", check: "clients", code: "client_file_unreadable", ask: client_file },
    Planted { name: "client-program", check: "clients", code: "client_program_gone", ask: client_program },
];

/// Plants every fault that is wanted.
pub(super) fn run(run: &mut Run) {
    let (mut planted, mut found, mut named) = (0_u64, 0_u64, 0_u64);
    let mut rows = Vec::new();
    for fault in FAULTS {
        run.part(fault.name, |run| {
            let began = stopwatch::now();
            let report = (fault.ask)()?;
            let first = first(&report);
            let somewhere = all(&report).iter().any(|(check, code)| check == fault.check && code == fault.code);
            let right = first.as_ref().is_some_and(|(check, code)| check == fault.check && code == fault.code);
            (planted, found, named) = (planted + 1, found + u64::from(somewhere), named + u64::from(right));
            say(&format!("{}: {}", fault.name, if right { "named" } else { "NOT named" }));
            run.must(right, &format!("{}: it says first {first:?}, and should say {} {}", fault.name, fault.check, fault.code));
            rows.push(json!({ "fault": fault.name, "named": right, "said": first, "seconds": began.elapsed().as_secs_f64() }));
            Ok(())
        });
    }
    run.figure("planted", planted);
    run.figure("found", found);
    run.figure("named", named);
    run.figure("faults", rows);
}

/// The first failure, or the first warning where nothing fails.
#[must_use]
pub fn first(report: &Value) -> Option<(String, String)> {
    let of = |state: &str| report["checks"].as_array().into_iter().flatten().find(|check| check["state"] == state).map(named);
    of("failure").or_else(|| of("warning"))
}

fn all(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().into_iter().flatten();
    checks.filter(|check| check["state"] == "failure" || check["state"] == "warning").map(named).collect()
}

fn named(check: &Value) -> (String, String) {
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    (text("check"), text("code"))
}

/// A world in which all is well, signed in unless it speaks TLS: it keeps the machine's time and holds clients to the usual limits.
///
/// # Errors
/// When something cannot be started.
pub fn well(tls: bool) -> anyhow::Result<World> {
    let tenant = Options { clock: ClockStart::Now, ..Options::default() };
    // Nobody's browser trusts the tenant's certificates.
    let accounts: &[&str] = if tls { &[] } else { &[ALEX] };
    let mut world = World::with(Setup { accounts, tls, tenant, ..Setup::limited() })?;
    // What a broken link leaves in the log is its own.
    world.expect_log("");
    Ok(world)
}

/// What the doctor says of a world in which something was broken; what `plant` gives is kept until then.
fn look<T>(tls: bool, plant: impl FnOnce(&mut World) -> anyhow::Result<T>) -> anyhow::Result<Value> {
    let mut world = well(tls)?;
    let _planted = plant(&mut world)?;
    world.ctl(&["--json", "doctor"])?.json()
}

/// The same of a profile that belongs to no demo, where nothing is started; `inside` is a program that runs it.
fn look_outside(inside: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Value> {
    let (bins, mut home) = (bins(if cfg!(debug_assertions) { For::Tests } else { For::Demo })?, Home::new(3)?);
    home.rates = true;
    let mut command = match inside.split_first() {
        Some((program, words)) => {
            let mut command = home.command(bins, Path::new(program));
            command.args(words).arg(&bins.cachectl);
            command
        }
        None => home.command(bins, &bins.cachectl),
    };
    command.args(["--json", "doctor", "--no-start"]).envs(variables.iter().copied()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let out = command.output().context("asking the doctor")?;
    serde_json::from_slice(&out.stdout).with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&out.stdout)))
}

fn program() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.variables.push(("M365_CACHED_DAEMON".into(), "/nowhere/m365-cached".into()));
        Ok(())
    })
}

fn directory() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        Ok(fs::set_permissions(world.home.path(), Permissions::from_mode(0o755))?)
    })
}

fn setting() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.configure("[grahp]\nhttp2 = true\n")
    })
}

fn authority() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        Ok(fs::remove_file(world.home.path().join("demo-ca.pem"))?)
    })
}

fn roots() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.configure("[files]\nallowed_roots = [\"/\"]\n")
    })
}

fn hung() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        let lock = File::open(world.home.path().join("m365-cached.lock"))?;
        lock.lock()?;
        Ok(lock)
    })
}

fn killed() -> anyhow::Result<Value> {
    look(false, World::kill_daemon)
}

fn file_for_socket() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        Ok(fs::write(world.home.socket(), "precious")?)
    })
}

fn open_socket() -> anyhow::Result<Value> {
    look(false, |world| Ok(fs::set_permissions(world.home.socket(), Permissions::from_mode(0o777))?))
}

fn disk() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.configure("[cache]\nmin_free_bytes = 1099511627776\n")
    })
}

fn no_key() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.key = None;
        Ok(())
    })
}

fn wrong_key() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        world.home.key = Some(key(9));
        Ok(())
    })
}

fn no_envelope() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_daemon()?;
        Ok(fs::remove_file(world.home.path().join("cache.keys"))?)
    })
}

fn database() -> anyhow::Result<Value> {
    look(false, |world| {
        use std::os::unix::fs::FileExt as _;
        world.stop_daemon()?;
        let file = File::options().write(true).open(world.home.database())?;
        // Past the first page, without which it would be no database at all.
        let middle = file.metadata()?.len() / 2;
        Ok(file.write_all_at(&NOISE, middle)?)
    })
}

fn proxy() -> anyhow::Result<Value> {
    look_outside(&[], &[("HTTPS_PROXY", "http://127.0.0.1:1")])
}

/// In a network of its own, which has nobody in it.
fn nowhere(variables: &[(&str, &str)]) -> anyhow::Result<Value> {
    let there = Command::new("unshare").args(["-rn", "true"]).status().is_ok_and(|status| status.success());
    anyhow::ensure!(there, "`unshare -rn` does not work on this machine, and names cannot be taken away without it");
    look_outside(&["unshare", "-rn"], variables)
}

fn names() -> anyhow::Result<Value> {
    nowhere(&[])
}

/// The hosts of a national cloud are others, and it is these that are named.
fn cloud_names() -> anyhow::Result<Value> {
    let report = nowhere(&[("M365_CACHED_CLOUD_NAME", "china")])?;
    let told = report.to_string();
    anyhow::ensure!(told.contains("login.partner.microsoftonline.cn") && !told.contains("login.microsoftonline.com"), "{report}");
    Ok(report)
}

/// There is no cloud of that name.
fn cloud() -> anyhow::Result<Value> {
    look_outside(&[], &[("M365_CACHED_CLOUD_NAME", "gcchigh")])
}

/// What the doctor says of a tenant behind TLS that is looked for by these settings of `[network]`.
fn by_network<T>(settings: &str, plant: impl FnOnce(&mut World) -> anyhow::Result<T>) -> anyhow::Result<Value> {
    look(true, |world| {
        world.stop_daemon()?;
        world.home.configure(&format!("[network]\n{settings}\n"))?;
        plant(world)
    })
}

fn proxy_gone() -> anyhow::Result<Value> {
    by_network("proxy = \"http://127.0.0.1:1\"", |_| Ok(()))
}

/// The proxy wants a name and a password, and is given none.
fn proxy_asks() -> anyhow::Result<Value> {
    let proxy = ConnectProxy::start(Some("Basic YWRhOmh1bnRlcjI="))?;
    by_network(&format!("proxy = \"{}\"", proxy.url()), |_| Ok(()))
}

/// The proxy is there and connects to nobody.
fn proxy_refuses() -> anyhow::Result<Value> {
    let proxy = ConnectProxy::start(None)?;
    by_network(&format!("proxy = \"{}\"", proxy.url()), |world| {
        world.stop_tenant();
        Ok(())
    })
}

/// The file that the proxy's password is to come from is not there.
fn proxy_secret() -> anyhow::Result<Value> {
    let proxy = ConnectProxy::start(None)?;
    by_network(&format!("proxy = \"{}\"\nproxy_auth = \"file:/nowhere/proxy-auth\"", proxy.url()), |_| Ok(()))
}

fn company_authority() -> anyhow::Result<Value> {
    by_network("ca = \"company.pem\"", |_| Ok(()))
}

/// The file holds something else than certificates.
fn no_authority() -> anyhow::Result<Value> {
    by_network("ca = \"company.pem\"", |world| Ok(fs::write(world.home.path().join("company.pem"), "precious")?))
}

/// Somebody answers whose certificate no authority of the system's has signed, as where a company's proxy reads along.
fn interception() -> anyhow::Result<Value> {
    look(true, |world| {
        world.stop_daemon()?;
        let file = world.home.path().join("config.toml");
        let settings = fs::read_to_string(&file)?;
        let without = settings.replace("ca = \"demo-ca.pem\"\n", "");
        anyhow::ensure!(without != settings, "the settings name no authority: {settings}");
        Ok(fs::write(&file, without)?)
    })
}

fn network() -> anyhow::Result<Value> {
    look(false, |world| {
        world.stop_tenant();
        Ok(())
    })
}

/// The tenant's certificates are another authority's than the one that is trusted.
fn trust() -> anyhow::Result<Value> {
    look(true, |world| {
        world.stop_daemon()?;
        let other = world.block_on(Tenant::start(Options::default()))?;
        fs::write(world.home.path().join("demo-ca.pem"), other.ca_pem())?;
        world.block_on(other.stop());
        Ok(())
    })
}

fn clock() -> anyhow::Result<Value> {
    look(false, |world| {
        world.control().advance(Duration::from_secs(3600));
        Ok(())
    })
}

/// The program that is installed is another than the one that runs.
fn version() -> anyhow::Result<Value> {
    look(false, |world| {
        let script = world.home.path().join("installed");
        let real = world.bins.daemon.display();
        fs::write(&script, format!("#!/bin/sh\n[ \"$1\" = --version ] && echo m365-cached 99.0.0 && exit\nexec '{real}' \"$@\"\n"))?;
        fs::set_permissions(&script, Permissions::from_mode(0o700))?;
        world.home.variables.push(("M365_CACHED_DAEMON".into(), script.display().to_string()));
        Ok(())
    })
}

fn sign_in() -> anyhow::Result<Value> {
    look(false, |world| {
        world.control().auth(ALEX, AuthAction::Revoke)?;
        world.control().auth(ALEX, AuthAction::ExpireAccess)
    })
}

fn rights() -> anyhow::Result<Value> {
    look(false, |world| {
        let effect = Effect::Status { status: 403, code: "Authorization_RequestDenied".into(), message: None, retry_after: None };
        world.control().fault(Fault::always("GET /me", effect));
        Ok(())
    })
}

fn throttled() -> anyhow::Result<Value> {
    look(false, |world| {
        let retry_after = Some(RetryAfter::Seconds(120));
        let effect = Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after };
        world.control().fault(Fault::always("GET /me", effect));
        Ok(())
    })
}

fn client_file() -> anyhow::Result<Value> {
    look(false, |world| client(world, "{ \"mcpServers\": "))
}

fn client_program() -> anyhow::Result<Value> {
    look(false, |world| client(world, "{ \"mcpServers\": { \"m365\": { \"command\": \"/nowhere/m365-mcp\" } } }"))
}

fn client(world: &World, text: &str) -> anyhow::Result<()> {
    let folder = world.home.path().join(".cursor");
    fs::create_dir(&folder)?;
    Ok(fs::write(folder.join("mcp.json"), text)?)
}
