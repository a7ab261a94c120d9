//! Names to addresses: a name of Microsoft's that leads into a private network is not followed.
//!
//! A name server that lies, or a name that was rebound, could send our requests, and with a broken trust store their tokens, to a machine of
//! the local network. Names that are none of this cloud's are a proxy's, for every address is checked before it is asked (see
//! [`Cloud::is_graph`] and [`Cloud::is_file_host`]), and a proxy does stand in a private network.
//!
//! Where a request goes through a proxy, the proxy resolves the name, and this rule sees the proxy's name alone. What holds then is what was
//! checked before: the name is Graph's, the sign-in service's or a host of files, and only HTTPS goes into a tunnel, so that whoever
//! answers has to show a certificate for that name (`proxy.rs`, `trust.rs`).
//!
//! The demo cloud's exemption is one rule: everything of it, a proxy too, is on loopback and nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::cloud::Cloud;

/// The system's resolver behind the rule.
pub(super) struct Guarded {
    cloud: Cloud,
}

/// Every address that a name leads to is private, or none is where it has to be.
#[derive(Debug, thiserror::Error)]
#[error("the name of the host leads to an address where Microsoft is not")]
pub(super) struct WrongNetwork;

impl Guarded {
    pub(super) fn new(cloud: Cloud) -> Self {
        Self { cloud }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let cloud = self.cloud.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = allowed(&cloud, name.as_str(), found).ok_or(WrongNetwork)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those of `found` that may be asked under `name`; `None` when none is left.
fn allowed(cloud: &Cloud, name: &str, mut found: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
    if cloud.name == "demo" {
        found.retain(|address| address.ip().is_loopback());
    } else if cloud.has_host(name) {
        found.retain(|address| !is_private(address.ip()));
    }
    (!found.is_empty()).then_some(found)
}

/// Whether an address belongs to a machine or a network of somebody, or to nobody (IANA special-purpose address registries). Benchmarking
/// addresses (198.18.0.0/15) are not among them: local proxies hand them out in place of real ones.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Shared by providers with their customers (RFC 6598); clouds keep services for their machines there.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // An address of version 4 in one of version 6 leads where the inner one does: mapped, or translated by a network (RFC 6052).
    let inner = address.to_ipv4_mapped().or_else(|| {
        let translated = parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
        let octets = address.octets();
        translated.then(|| Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]))
    });
    if let Some(inner) = inner {
        return is_private_v4(inner);
    }
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || parts[..2] == [0x2001, 0xdb8]
        // Version 4 in the old way, which no network carries.
        || parts[..6] == [0; 6]
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use url::Url;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    const PRIVATE: [&str; 24] = [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::169.254.169.254",
        "::127.0.0.1",
    ];
    const PUBLIC: [&str; 7] =
        ["20.190.128.1", "40.126.0.1", "172.32.0.1", "100.128.0.1", "2603:1036::1", "64:ff9b::20.190.128.1", "::ffff:20.190.128.1"];

    #[test]
    fn a_name_of_microsofts_does_not_lead_into_a_private_network() {
        let cloud = Cloud::named("global").unwrap();
        for name in ["graph.microsoft.com", "login.microsoftonline.com", "contoso.sharepoint.com", "GRAPH.microsoft.com"] {
            for private in PRIVATE {
                assert_eq!(allowed(&cloud, name, addresses(&[private])), None, "{name} at {private}");
                let mixed = addresses(&[private, "20.190.128.1"]);
                assert_eq!(allowed(&cloud, name, mixed), Some(addresses(&["20.190.128.1"])), "the good one is left");
            }
            for public in PUBLIC {
                assert!(allowed(&cloud, name, addresses(&[public])).is_some(), "{public}");
            }
        }
        assert!(allowed(&cloud, "proxy.corp.example", addresses(&["10.0.0.8"])).is_some(), "a proxy stands there");
    }

    #[test]
    fn the_demo_cloud_is_on_loopback_and_nowhere_else() {
        let root = Url::parse("http://localhost:1/").unwrap();
        let cloud = Cloud { name: "demo".into(), identity: root.clone(), graph: root, downloads: Vec::new(), ca_pem: None };
        assert_eq!(allowed(&cloud, "localhost", addresses(&["127.0.0.1", "::1", "20.190.128.1"])), Some(addresses(&["127.0.0.1", "::1"])));
        assert_eq!(allowed(&cloud, "localhost", addresses(&["20.190.128.1"])), None);
        assert_eq!(allowed(&cloud, "anything", addresses(&["10.0.0.1"])), None);
    }

    /// Through the whole client: this machine's own name for itself, taken for a host of files.
    #[tokio::test]
    async fn the_client_asks_the_rule_before_it_connects() {
        let mut cloud = Cloud::named("global").unwrap();
        cloud.downloads.push("localhost".into());
        let http = super::super::Http::new(cloud, super::super::HttpSettings::default());
        let Ok(client) = http.client() else { return };
        let error = client.get("https://localhost/").send().await.unwrap_err();
        assert_eq!(super::super::Trouble::of(&error).to_string(), WrongNetwork.to_string(), "{error:?} {:?}", error.source());
    }
}
