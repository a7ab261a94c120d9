//! `[network]`: by which way Microsoft is reached, and whose certificates are trusted beside those of the system.

use std::{fmt, net::IpAddr, path::PathBuf};

use url::{Host, Url};

use super::{
    Config, Origin, Problem,
    settings::{Setting, Takes, listed, put, quoted},
};
use crate::secret::Reference;

/// `[network]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSettings {
    /// `network.proxy`.
    pub proxy: ProxySetting,
    /// `network.no_proxy`: hosts that are reached past the named proxy.
    pub no_proxy: Vec<String>,
    /// `network.proxy_auth`: where the name and the password for the named proxy are kept.
    pub proxy_auth: Option<Reference>,
    /// `network.ca`: file with further certificate authorities in PEM; a relative path starts at the profile's folder.
    pub ca: Option<PathBuf>,
}

/// `network.proxy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProxySetting {
    /// As the system says.
    #[default]
    System,
    /// Straight.
    Off,
    /// By this one.
    At(Url),
}

impl fmt::Display for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Off => f.write_str("none"),
            Self::At(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// These keys, in the order of the manual.
pub(super) const NETWORK: &[Setting] = &[
    Setting {
        key: "network.proxy",
        meaning: "How Microsoft is reached: `system` by the system's proxy, `none` straight, or a proxy's address as `http://proxy.example:8080`.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.network.proxy, value.text().and_then(|text| proxy(&text))),
        show: |config, _| quoted(Some(&config.network.proxy.to_string())),
    },
    Setting {
        key: "network.no_proxy",
        meaning: "Hosts reached past the named proxy: names with all below them, addresses, networks, or `*`.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.network.no_proxy, value.list().and_then(past)),
        show: |config, _| listed(&config.network.no_proxy),
    },
    Setting {
        key: "network.proxy_auth",
        meaning: "Where `NAME:PASSWORD` for the named proxy is kept: `keyring:ENTRY`, `env:VARIABLE` or `file:/PATH`.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.network.proxy_auth, value.text().and_then(|text| kept(&text)).map(Some)),
        show: |config, _| quoted(config.network.proxy_auth.as_ref().map(ToString::to_string).as_deref()),
    },
    Setting {
        key: "network.ca",
        meaning: "A PEM file of authorities trusted beside the system's; a relative path starts at this file's folder.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.network.ca, value.text().map(|path| Some(PathBuf::from(path)))),
        show: |config, _| quoted(config.network.ca.as_deref().and_then(|path| path.to_str())),
    },
];

fn proxy(text: &str) -> Result<ProxySetting, String> {
    let expected = "`system`, `none`, or the address of a proxy as `http://proxy.example:8080`; its name and password are named by `network.proxy_auth`";
    match text {
        "system" => return Ok(ProxySetting::System),
        "none" => return Ok(ProxySetting::Off),
        _ => {}
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // A password here would be one in the configuration.
    let bare = |url: &Url| url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let url = url.filter(|url| bare(url) && url.query().is_none() && url.fragment().is_none());
    url.map(ProxySetting::At).ok_or_else(|| expected.to_owned())
}

/// Hosts that are reached past a proxy.
fn past(hosts: Vec<String>) -> Result<Vec<String>, String> {
    let network = |host: &str| match host.split_once('/') {
        Some((address, bits)) => address
            .parse::<IpAddr>()
            .is_ok_and(|address| bits.parse::<u8>().is_ok_and(|bits| bits <= if address.is_ipv4() { 32 } else { 128 })),
        None => host.parse::<IpAddr>().is_ok(),
    };
    let name = |host: &str| {
        let letters = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
        let bare = host.strip_prefix('.').unwrap_or(host);
        !bare.is_empty() && !bare.starts_with('.') && bare.bytes().all(letters)
    };
    let hosts: Vec<String> = hosts.iter().map(|host| host.trim().to_owned()).collect();
    if hosts.iter().all(|host| host == "*" || network(host) || name(host)) {
        Ok(hosts)
    } else {
        Err("a list of names such as `sharepoint.com`, addresses, networks such as `10.0.0.0/8`, or `*`".into())
    }
}

fn kept(text: &str) -> Result<Reference, String> {
    Reference::read(text).ok_or_else(|| {
        "the place where `NAME:PASSWORD` is kept, and never these themselves: `keyring:ENTRY`, `env:VARIABLE` or `file:/ABSOLUTE/PATH`"
            .into()
    })
}

/// What is wrong with the keys together.
pub(super) fn together(config: &Config) -> Vec<Problem> {
    let problem = |key: &str, message: String| Problem { at: config.origins.get(key).cloned().unwrap_or(Origin::Default), message };
    let network = &config.network;
    let mut problems = Vec::new();
    let ProxySetting::At(url) = &network.proxy else { return problems };
    if config.demo {
        let local = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if !local {
            problems.push(problem("network.proxy", "the proxy of a demo profile is on loopback, as everything of a demo".into()));
        }
        if [&config.cloud.identity, &config.cloud.graph].iter().any(|root| root.scheme() != "https") {
            let message =
                "a proxy is for HTTPS alone, for it would read every token: start the tenant with `--tls`, or leave `network.proxy` out";
            problems.push(problem("network.proxy", message.into()));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read_file as read;

    #[test]
    fn a_way_is_the_systems_none_or_a_named_proxy() {
        assert_eq!(read("").unwrap().network, NetworkSettings::default());
        assert_eq!(read("network.proxy = \"none\"").unwrap().network.proxy, ProxySetting::Off);
        let text = "[network]\nproxy = \"http://proxy.corp.example:8080/\"\nno_proxy = [\"sharepoint.com\", \".x.example\", \"10.0.0.0/8\", \"::1\", \"*\"]\nproxy_auth = \"env:PROXY_AUTH\"\nca = \"corp.pem\"";
        let config = read(text).unwrap();
        assert_eq!(config.network.proxy.to_string(), "http://proxy.corp.example:8080");
        assert_eq!(config.network.proxy_auth, Some(Reference::Environment("PROXY_AUTH".into())));
        let lines = config.explain();
        let shown = |key: &str| lines.iter().find(|line| line.key == key).unwrap().value.clone();
        assert_eq!((shown("network.proxy_auth").as_str(), shown("network.ca").as_str()), ("\"env:PROXY_AUTH\"", "\"corp.pem\""));
    }

    #[test]
    fn a_password_has_no_place_here() {
        for text in [
            "network.proxy = \"http://ada:hunter2@proxy.example:8080\"",
            "network.proxy = \"http://hunter2@proxy.example:8080\"",
            "network.proxy = \"socks5://proxy.example\"",
            "network.proxy = \"proxy.example:8080\"",
            "network.proxy = \"http://proxy.example/hunter2\"",
            "network.proxy_auth = \"ada:hunter2\"",
            "network.proxy_auth = \"file:hunter2\"",
            "network.proxy_auth = \"env:\"",
            "network.proxy_password = \"hunter2\"",
            "network.no_proxy = [\"hunter2 or so\"]",
            "network.no_proxy = [\"10.0.0.0/33\"]",
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains("network.") && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn a_demo_has_its_proxy_on_loopback_and_never_without_tls() {
        let demo = |scheme: &str, proxy: &str| {
            let root = |port: u16| format!("\"{scheme}://127.0.0.1:{port}\"");
            read(&format!("demo = true\ncloud.identity = {}\ncloud.graph = {}\nnetwork.proxy = \"{proxy}\"", root(1), root(2)))
        };
        assert!(demo("https", "http://127.0.0.1:8080").is_ok() && demo("https", "http://localhost:8080").is_ok());
        assert!(demo("http", "none").is_ok() && demo("http", "system").is_ok());
        assert!(demo("http", "http://127.0.0.1:8080").unwrap_err().contains("HTTPS"));
        assert!(demo("https", "http://proxy.example:8080").unwrap_err().contains("loopback"));
        assert!(demo("https", "http://10.0.0.1:8080").unwrap_err().contains("loopback"));
    }
}
