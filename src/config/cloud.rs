//! `[cloud]`: a named national cloud, or in a demo profile a tenant on loopback, and never a mixture.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Config, Origin, Problem};
use crate::cloud::Cloud;

/// `[cloud]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) identity: Option<String>,
    pub(super) graph: Option<String>,
    pub(super) downloads: Option<Vec<String>>,
}

/// The cloud nobody has to name.
pub(super) fn global() -> Cloud {
    Cloud::named("global").unwrap_or_else(|| unreachable!("the public cloud is in the table"))
}

/// Puts the cloud in place, or says what is wrong with it.
pub(super) fn resolve(config: &mut Config) -> Vec<Problem> {
    let draft = config.draft.clone();
    let resolved = if config.demo { demo(config, &draft) } else { named(config, &draft) };
    match resolved {
        Ok(cloud) => {
            config.cloud = cloud;
            Vec::new()
        }
        Err(problems) => problems,
    }
}

fn named(config: &Config, draft: &Draft) -> Result<Cloud, Vec<Problem>> {
    let addresses = [
        ("cloud.identity", draft.identity.is_some()),
        ("cloud.graph", draft.graph.is_some()),
        ("cloud.downloads", draft.downloads.is_some()),
        ("cloud.ca", config.cloud_ca.is_some()),
    ];
    let custom: Vec<Problem> = addresses
        .iter()
        .filter(|(_, set)| *set)
        .map(|(key, _)| problem(config, key, format!("`{key}` is for demo profiles only, which say `demo = true`")))
        .collect();
    if !custom.is_empty() {
        return Err(custom);
    }
    let name = draft.name.as_deref().unwrap_or("global");
    Cloud::named(name).ok_or_else(|| {
        let message = if name == "demo" {
            "the demo cloud is for demo profiles only, which say `demo = true`"
        } else {
            "`cloud.name` must be one of `global`, `usgov`, `dod`, `china`"
        };
        vec![problem(config, "cloud.name", message.into())]
    })
}

fn demo(config: &Config, draft: &Draft) -> Result<Cloud, Vec<Problem>> {
    let mut problems = Vec::new();
    if draft.name.as_deref().is_some_and(|name| name != "demo") {
        problems.push(problem(config, "cloud.name", "a demo profile has the cloud `demo` and no other".into()));
    }
    let identity = address(config, "cloud.identity", draft.identity.as_deref(), &mut problems);
    let graph = address(config, "cloud.graph", draft.graph.as_deref(), &mut problems);
    let downloads = draft.downloads.clone().unwrap_or_default();
    if downloads.iter().any(|host| !Url::parse(&format!("http://{host}/")).is_ok_and(|url| is_loopback(&url) && url.path() == "/")) {
        problems.push(problem(config, "cloud.downloads", "`cloud.downloads` must be hosts on loopback, such as `127.0.0.1:8080`".into()));
    }
    match (identity, graph) {
        (Some(identity), Some(graph)) if problems.is_empty() => Ok(Cloud { name: "demo".into(), identity, graph, downloads, ca_pem: None }),
        _ => Err(problems),
    }
}

fn address(config: &Config, key: &'static str, text: Option<&str>, problems: &mut Vec<Problem>) -> Option<Url> {
    let Some(text) = text else {
        problems.push(problem(config, "demo", format!("a demo profile needs `{key}`, an address on loopback")));
        return None;
    };
    let url =
        Url::parse(text).ok().filter(|url| is_loopback(url) && url.path() == "/" && url.query().is_none() && url.fragment().is_none());
    if url.is_none() {
        problems.push(problem(config, key, format!("`{key}` must be the root of an address on loopback, such as `http://127.0.0.1:8080`")));
    }
    url
}

fn is_loopback(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    local && matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
}

fn problem(config: &Config, key: &str, message: String) -> Problem {
    Problem { at: config.origins.get(key).cloned().unwrap_or(Origin::Default), message }
}
