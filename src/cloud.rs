//! Which Microsoft we talk to: the identity service, Graph and the hosts that files may be fetched from, as one entry.

use url::Url;

/// One national cloud, or the demo tenant on loopback. Source: Graph documentation, *National cloud deployments*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// `global`, `usgov`, `dod`, `china` or `demo`.
    pub name: String,
    /// Root of the identity service, without a tenant: `https://login.microsoftonline.com/`.
    pub identity: Url,
    /// Root of Graph, without a version: `https://graph.microsoft.com/`.
    pub graph: Url,
    /// Hosts that pre-authenticated downloads and uploads may go to: a whole host (`my.host` or `127.0.0.1:8080`), or a suffix that begins with a dot.
    pub downloads: Vec<String>,
    /// An extra certificate authority in PEM, for the demo tenant.
    pub ca_pem: Option<String>,
}

/// Suffixes of Microsoft's file hosts in the public cloud.
const FILE_HOSTS: [&str; 8] = [
    ".sharepoint.com",
    ".sharepoint-df.com",
    ".sharepoint-us.com",
    ".onmicrosoft.com",
    ".1drv.com",
    ".onedrive.live.com",
    ".storage.live.com",
    ".microsoftpersonalcontent.com",
];

impl Cloud {
    /// The cloud called `name`, or `None` when there is no such cloud. `demo` has no fixed addresses and is not among them.
    pub fn named(name: &str) -> Option<Cloud> {
        let (identity, graph) = match name {
            "global" => ("https://login.microsoftonline.com/", "https://graph.microsoft.com/"),
            "usgov" => ("https://login.microsoftonline.us/", "https://graph.microsoft.us/"),
            "dod" => ("https://login.microsoftonline.us/", "https://dod-graph.microsoft.us/"),
            "china" => ("https://login.chinacloudapi.cn/", "https://microsoftgraph.chinacloudapi.cn/"),
            _ => return None,
        };
        Some(Cloud {
            name: name.to_owned(),
            identity: Url::parse(identity).ok()?,
            graph: Url::parse(graph).ok()?,
            downloads: FILE_HOSTS.iter().map(|host| (*host).to_owned()).collect(),
            ca_pem: None,
        })
    }

    /// Whether a bearer token may be sent to `url`: the scheme, host and port of this cloud's Graph, and nothing else.
    pub fn is_graph(&self, url: &Url) -> bool {
        url.scheme() == self.graph.scheme()
            && url.host_str() == self.graph.host_str()
            && url.port_or_known_default() == self.graph.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_goes_to_graph_and_nowhere_else() {
        let cloud = Cloud::named("global").unwrap();
        let allowed = |text: &str| cloud.is_graph(&Url::parse(text).unwrap());
        assert!(allowed("https://graph.microsoft.com/v1.0/me"));
        for other in [
            "http://graph.microsoft.com/v1.0/me",
            "https://graph.microsoft.com.evil.example/v1.0/me",
            "https://graph.microsoft.com:8443/v1.0/me",
            "https://user@graph.microsoft.com/v1.0/me",
            "https://evil.example/?u=graph.microsoft.com",
            "https://login.microsoftonline.com/",
        ] {
            assert!(!allowed(other), "{other}");
        }
    }
}
