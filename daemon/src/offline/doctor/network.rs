//! The way to Microsoft: proxy, names, certificates, and whether both clocks agree. No token is sent.

use std::{collections::BTreeSet, time::Duration};

use m365_cached::{
    auth::{Http, Link},
    clock::{Clock as _, SystemClock, Timestamp},
    hint::Kind,
};
use tokio::net::TcpStream;

use super::{Bench, Found, settled};
use crate::{engine::http_settings, parts};

/// Longest time for one host.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks that differ by this much are worth a word: answers are a little older than they seem.
const NOTABLE: Duration = Duration::from_secs(60);
/// Sign-ins and tokens fail past this. Source: the identity platform refuses tokens whose times are off by more than five minutes.
const TOO_MUCH: Duration = Duration::from_secs(300);

/// A host that was asked.
pub(super) struct Reached {
    host: String,
    link: Link,
    /// Our time when it had answered.
    at: Timestamp,
}

/// The proxy of the environment, without what may stand before an `@`.
fn configured() -> Option<(String, String)> {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let (name, value) = names.iter().find_map(|name| Some((*name, std::env::var(name).ok().filter(|value| !value.is_empty())?)))?;
    let rest = value.split_once("://").map_or(value.as_str(), |(_, rest)| rest);
    let host = rest.rsplit('@').next().unwrap_or_default().split('/').next().unwrap_or_default();
    Some((name.to_owned(), host.to_owned()))
}

/// A proxy that is configured takes connections.
pub(super) async fn proxy(bench: &Bench) -> Found {
    settled(proxied(bench).await)
}

async fn proxied(bench: &Bench) -> Result<Found, Found> {
    if bench.config()?.demo {
        return Err(Found::skipped("The demo tenant is on loopback, where no proxy is used."));
    }
    let Some((name, host)) = configured() else { return Ok(Found::ok("None is set in the environment.")) };
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let address = if port.is_some() { host.clone() } else { format!("{host}:80") };
    match tokio::time::timeout(PATIENCE, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Ok(Found::ok(format!("`{name}` names {host}, which takes connections."))),
        _ => {
            let message = format!("`{name}` names the proxy {host}, which takes no connection: nothing reaches Microsoft.");
            Err(Found::failure(
                Kind::Offline,
                "proxy_unreachable",
                message,
                format!("Correct `{name}`, or unset it where no proxy is needed."),
            ))
        }
    }
}

/// The names of the cloud's hosts lead somewhere.
pub(super) async fn names(bench: &Bench) -> Found {
    settled(resolved(bench).await)
}

async fn resolved(bench: &Bench) -> Result<Found, Found> {
    let config = bench.config()?;
    if !config.demo && configured().is_some() {
        return Err(Found::skipped("The proxy resolves them."));
    }
    let hosts: BTreeSet<String> =
        [&config.cloud.identity, &config.cloud.graph].iter().filter_map(|url| url.host_str()).map(str::to_owned).collect();
    for host in &hosts {
        let bare = host.trim_matches(['[', ']']);
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, 443))).await;
        if !found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some())) {
            let message = format!("The name `{host}` cannot be resolved: there is no network, or the name server does not know it.");
            return Err(Found::failure(
                Kind::Offline,
                "name_not_resolved",
                message,
                format!("Try `getent hosts {host}`; check the network and `/etc/resolv.conf`."),
            ));
        }
    }
    Ok(Found::ok(format!("{} can be resolved.", hosts.into_iter().collect::<Vec<_>>().join(" and "))))
}

/// Sign-in service and Graph answer, over certificates that are trusted.
pub(super) async fn reach(bench: &mut Bench) -> Found {
    settled(answered(bench).await)
}

async fn answered(bench: &mut Bench) -> Result<Found, Found> {
    let config = bench.config()?;
    let cloud = parts::cloud(config, &bench.profile).map_err(|_| Found::skipped("The cloud's certificate authority cannot be read."))?;
    let signing_in = cloud.identity.join("common/v2.0/.well-known/openid-configuration");
    let asking = cloud.graph.join("v1.0/me");
    let http = Http::new(cloud, http_settings(config));
    let mut reached = Vec::new();
    for url in [signing_in, asking].into_iter().flatten() {
        let host = url.host_str().unwrap_or_default().to_owned();
        let link = tokio::time::timeout(PATIENCE, http.look(&url)).await;
        let link = link.unwrap_or_else(|_| Link::NoConnection(format!("there was no answer within {} s", PATIENCE.as_secs())));
        reached.push(Reached { host, link, at: SystemClock.now() });
    }
    bench.reached = reached;
    bench.reached.iter().find_map(broken).map_or_else(|| Ok(Found::ok("Microsoft's sign-in and Graph answer.")), Err)
}

fn broken(reached: &Reached) -> Option<Found> {
    let host = &reached.host;
    Some(match &reached.link {
        Link::Answered { status, .. } if *status < 500 => return None,
        Link::Answered { status, .. } => {
            let message = format!("`{host}` answers with an error of its own ({status}).");
            Found::warning("service_trouble", message, "Try again later; a proxy may also answer in Microsoft's place.")
        }
        Link::NoClient(why) => Found::failure(
            Kind::Config,
            "no_https",
            format!("No secure connection can be made: {why}."),
            "Install the system's CA certificates (package `ca-certificates`).",
        ),
        Link::NoName(why) => Found::failure(
            Kind::Offline,
            "name_not_resolved",
            format!("`{host}` cannot be reached: {why}."),
            format!("Try `getent hosts {host}`; check the network and `/etc/resolv.conf`."),
        ),
        Link::Untrusted(why) => Found::failure(
            Kind::Config,
            "tls_not_trusted",
            format!(
                "The certificate that `{host}` shows is not trusted: {why}. Something may read along, or a company's proxy has its own authority."
            ),
            "Have the company's certificate authority put into this system's trust store; look first who answers: `openssl s_client -connect HOST:443`.",
        ),
        Link::NoConnection(why) => Found::failure(
            Kind::Offline,
            "unreachable",
            format!("`{host}` cannot be reached: {why}."),
            "Check the network, a firewall, and whether a proxy has to be set in `HTTPS_PROXY`.",
        ),
    })
}

/// Our clock and Microsoft's agree.
pub(super) fn clock(bench: &Bench) -> Found {
    let dated = bench.reached.iter().find_map(|reached| match &reached.link {
        Link::Answered { date: Some(date), .. } => Some((*date, reached.at)),
        _ => None,
    });
    let Some((theirs, ours)) = dated else { return Found::skipped("Nobody has told the time.") };
    let off = ours.since(theirs).max(theirs.since(ours));
    let told = format!("{} s {}", off.as_secs(), if ours > theirs { "ahead" } else { "behind" });
    let hint = "Set the clock: `timedatectl set-ntp true`, or your system's way.";
    let demo = bench.config.as_ref().is_ok_and(|config| config.demo);
    if off > NOTABLE && demo {
        let message = format!("The clock of this machine is {told}: the demo tenant keeps a time of its own.");
        return Found::warning("clock_off", message, "Start the tenant with `--clock now`, or the daemon with `--clock-from`.");
    }
    if off > TOO_MUCH {
        let message = format!("The clock of this machine is {told}: sign-ins fail, and answers count as older or younger than they are.");
        return Found::failure(Kind::Config, "clock_off", message, hint);
    }
    if off > NOTABLE {
        return Found::warning("clock_off", format!("The clock of this machine is {told}."), hint);
    }
    Found::ok("The clock of this machine and Microsoft's agree.")
}
