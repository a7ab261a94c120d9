//! The way to Microsoft: proxy, names, certificates, and whether both clocks agree. No token is sent.

use std::{collections::BTreeSet, time::Duration};

use m365_cached::{
    auth::{Http, Link, Trouble, TroubleKind},
    clock::{Clock as _, SystemClock, Timestamp},
    config::ProxySetting,
    hint::Kind,
};
use tokio::net::TcpStream;

use super::{Bench, Found, settled};
use crate::{network::Network, parts};

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

/// The proxy that is used takes connections.
pub(super) async fn proxy(bench: &mut Bench) -> Found {
    settled(proxied(bench).await)
}

async fn proxied(bench: &mut Bench) -> Result<Found, Found> {
    let config = bench.config()?.clone();
    // Said by the check of the settings.
    parts::unusable(&config, &bench.profile).is_empty().then_some(()).ok_or_else(|| Found::skipped("the settings cannot be used"))?;
    let network = Network::of(&config, &bench.profile).await.map_err(|problem| Found::of_problem(&problem))?;
    let http = Http::new(network.cloud, network.http);
    let server = http.proxy_for(&http.cloud().graph);
    bench.http = Some(http);
    let named = matches!(config.network.proxy, ProxySetting::At(_));
    let by = if named { "`network.proxy`" } else { "the system (`HTTPS_PROXY`)" };
    let Some(server) = server else {
        return match config.network.proxy {
            _ if config.demo && !named => Err(Found::skipped("the demo tenant is on loopback, where the system's proxy is not used")),
            ProxySetting::Off => Ok(Found::ok("none is used: `network.proxy` is `none`")),
            ProxySetting::At(_) => Ok(Found::ok("`network.no_proxy` sends Graph past the proxy")),
            ProxySetting::System => Ok(Found::ok("the system names none")),
        };
    };
    match tokio::time::timeout(PATIENCE, TcpStream::connect(&server)).await {
        Ok(Ok(_)) => Ok(Found::ok(format!("{by} names {server}, which takes connections"))),
        _ => {
            let message = format!("{by} names the proxy {server}, which takes no connection: nothing reaches Microsoft");
            let hint = match named {
                true => "Start the proxy, or correct `network.proxy`; `none` goes without.",
                false => "Correct `HTTPS_PROXY`, name the proxy in `network.proxy`, or set that to `none` where no proxy is needed.",
            };
            Err(Found::failure(Kind::Offline, "proxy_unreachable", message, hint))
        }
    }
}

/// The names of the cloud's hosts lead somewhere.
pub(super) async fn names(bench: &Bench) -> Found {
    settled(resolved(bench).await)
}

async fn resolved(bench: &Bench) -> Result<Found, Found> {
    let http = bench.http()?;
    let cloud = http.cloud();
    // A proxy resolves the names of what goes through it.
    let straight = [&cloud.identity, &cloud.graph].into_iter().filter(|url| http.proxy_for(url).is_none());
    let hosts: BTreeSet<String> = straight.filter_map(|url| url.host_str()).map(str::to_owned).collect();
    if hosts.is_empty() {
        return Err(Found::skipped("the proxy resolves them"));
    }
    for host in &hosts {
        let bare = host.trim_matches(['[', ']']);
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, 443))).await;
        if !found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some())) {
            let message = format!("the name `{host}` cannot be resolved: there is no network, or the name server does not know it");
            return Err(Found::failure(
                Kind::Offline,
                "name_not_resolved",
                message,
                format!("Try `getent hosts {host}`; check the network and `/etc/resolv.conf`."),
            ));
        }
    }
    Ok(Found::ok(format!("{} can be resolved", hosts.into_iter().collect::<Vec<_>>().join(" and "))))
}

/// Sign-in service and Graph answer, over certificates that are trusted.
pub(super) async fn reach(bench: &mut Bench) -> Found {
    settled(answered(bench).await)
}

async fn answered(bench: &mut Bench) -> Result<Found, Found> {
    let http = bench.http()?;
    let signing_in = http.cloud().identity.join("common/v2.0/.well-known/openid-configuration");
    let asking = http.cloud().graph.join("v1.0/me");
    let mut reached = Vec::new();
    for url in [signing_in, asking].into_iter().flatten() {
        let host = url.host_str().unwrap_or_default().to_owned();
        let link = tokio::time::timeout(PATIENCE, http.look(&url)).await;
        let link = link.unwrap_or_else(|_| Link::Failed(format!("there was no answer within {} s", PATIENCE.as_secs()).into()));
        reached.push(Reached { host, link, at: SystemClock.now() });
    }
    bench.reached = reached;
    bench.reached.iter().find_map(broken).map_or_else(|| Ok(Found::ok("Microsoft's sign-in and Graph answer")), Err)
}

fn broken(reached: &Reached) -> Option<Found> {
    let host = &reached.host;
    Some(match &reached.link {
        Link::Answered { status, .. } if *status < 500 => return None,
        Link::Answered { status, .. } => {
            let message = format!("`{host}` answers with an error of its own ({status})");
            Found::warning("service_trouble", message, "Try again later; a proxy may also answer in Microsoft's place.")
        }
        Link::NoClient(why) => Found::failure(
            Kind::Config,
            "no_https",
            format!("no secure connection can be made: {why}"),
            "Install the system's CA certificates (package `ca-certificates`).",
        ),
        Link::Failed(trouble) => failed(host, trouble),
    })
}

fn failed(host: &str, trouble: &Trouble) -> Found {
    let message = format!("`{host}` cannot be reached: {trouble}");
    let hint = trouble.hint().unwrap_or("Check the network, a firewall, and whether a proxy has to be named in `network.proxy`.");
    match trouble.kind {
        TroubleKind::NoName => {
            let hint = format!("Try `getent hosts {host}`; check the network and `/etc/resolv.conf`.");
            Found::failure(Kind::Offline, "name_not_resolved", message, hint)
        }
        TroubleKind::Untrusted => Found::failure(
            Kind::Config,
            "tls_not_trusted",
            format!(
                "the certificate that `{host}` shows is not trusted: {trouble}; something may read along, or a company's proxy has its own authority"
            ),
            "Name the company's certificate authority in `network.ca`; look first who answers: `openssl s_client -connect HOST:443`.",
        ),
        TroubleKind::ProxyAuth => Found::failure(Kind::Config, "proxy_auth_required", message, hint),
        TroubleKind::ProxyRefuses => Found::failure(Kind::Offline, "proxy_refused", message, hint),
        TroubleKind::ProxyGone => Found::failure(Kind::Offline, "proxy_unreachable", message, hint),
        TroubleKind::Connection => Found::failure(Kind::Offline, "unreachable", message, hint),
    }
}

/// Our clock and Microsoft's agree.
pub(super) fn clock(bench: &Bench) -> Found {
    let dated = bench.reached.iter().find_map(|reached| match &reached.link {
        Link::Answered { date: Some(date), .. } => Some((*date, reached.at)),
        _ => None,
    });
    let Some((theirs, ours)) = dated else { return Found::skipped("nobody has told the time") };
    let off = ours.since(theirs).max(theirs.since(ours));
    let told = format!("{} s {}", off.as_secs(), if ours > theirs { "ahead" } else { "behind" });
    let hint = "Set the clock: `timedatectl set-ntp true`, or your system's way.";
    let demo = bench.config.as_ref().is_ok_and(|config| config.demo);
    if off > NOTABLE && demo {
        let message = format!("the clock of this machine is {told}: the demo tenant keeps a time of its own");
        return Found::warning("clock_off", message, "Start the tenant with `--clock now`, or the daemon with `--clock-from`.");
    }
    if off > TOO_MUCH {
        let message = format!("the clock of this machine is {told}: sign-ins fail, and answers count as older or younger than they are");
        return Found::failure(Kind::Config, "clock_off", message, hint);
    }
    if off > NOTABLE {
        return Found::warning("clock_off", format!("the clock of this machine is {told}"), hint);
    }
    Found::ok("the clock of this machine and Microsoft's agree")
}
