//! Which Microsoft we talk to: the identity service, Graph and the hosts that files may be fetched from, as one entry.

use url::{Host, Url};

/// One national cloud, or the demo tenant on loopback. Sources: Graph documentation, *National cloud deployments*; identity platform
/// documentation, *National clouds* (21Vianet's service answers as `login.partner.microsoftonline.cn`; `login.chinacloudapi.cn` is its older name).
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

/// Microsoft's hosts of files in the public cloud; the last two take attachments. Sources: the tool catalogue, 0.2; Graph documentation,
/// *driveItem: copy* (monitors of personal drives) and *Attach large files*.
const FILE_HOSTS: &[&str] = &[
    ".sharepoint.com",
    ".sharepoint-df.com",
    ".sharepoint-us.com",
    ".onmicrosoft.com",
    ".1drv.com",
    "api.onedrive.com",
    ".onedrive.live.com",
    ".storage.live.com",
    ".microsoftpersonalcontent.com",
    "outlook.office.com",
    "outlook.office365.com",
];
/// The same in the national clouds. Source: Microsoft 365 documentation, *URLs and IP address ranges* of each cloud.
const USGOV_HOSTS: &[&str] = &[".sharepoint.us", "outlook.office365.us"];
const DOD_HOSTS: &[&str] = &[".sharepoint-mil.us", ".dps.mil", "outlook-dod.office365.us"];
const CHINA_HOSTS: &[&str] = &[".sharepoint.cn", "partner.outlook.cn"];

impl Cloud {
    /// The cloud called `name`, or `None` when there is no such cloud. `demo` has no fixed addresses and is not among them.
    pub fn named(name: &str) -> Option<Cloud> {
        let (identity, graph, hosts) = match name {
            "global" => ("https://login.microsoftonline.com/", "https://graph.microsoft.com/", FILE_HOSTS),
            "usgov" => ("https://login.microsoftonline.us/", "https://graph.microsoft.us/", USGOV_HOSTS),
            "dod" => ("https://login.microsoftonline.us/", "https://dod-graph.microsoft.us/", DOD_HOSTS),
            "china" => ("https://login.partner.microsoftonline.cn/", "https://microsoftgraph.chinacloudapi.cn/", CHINA_HOSTS),
            _ => return None,
        };
        Some(Cloud {
            name: name.to_owned(),
            identity: Url::parse(identity).ok()?,
            graph: Url::parse(graph).ok()?,
            downloads: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ca_pem: None,
        })
    }

    /// A permission as this cloud's identity service takes it. One without a resource means Graph of the public cloud, so that elsewhere the
    /// resource is named: `https://graph.microsoft.us/Mail.Read`. Those of OpenID Connect belong to no resource.
    pub fn scope(&self, name: &str) -> String {
        let of_nothing = ["openid", "profile", "email", "offline_access"].contains(&name);
        if of_nothing || matches!(self.name.as_str(), "global" | "demo") { name.to_owned() } else { format!("{}{name}", self.graph) }
    }

    /// Whether a bearer token may be sent to `url`: the scheme, host and port of this cloud's Graph, and nothing else.
    pub fn is_graph(&self, url: &Url) -> bool {
        url.scheme() == self.graph.scheme()
            && url.host_str() == self.graph.host_str()
            && url.port_or_known_default() == self.graph.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
    }

    /// Whether a name is one of this cloud's: of its identity service, its Graph or its hosts of files.
    pub fn has_host(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let root = |url: &Url| url.host_str() == Some(name.as_str());
        let listed = |allowed: &String| match allowed.strip_prefix('.') {
            Some(_) => name.ends_with(allowed.as_str()),
            None => name == *allowed,
        };
        root(&self.identity) || root(&self.graph) || self.downloads.iter().any(listed)
    }

    /// Whether `url`, which carries its own rights, may be asked for a file: HTTPS on its usual port at one of [`Cloud::downloads`] or at
    /// Graph itself. In the demo cloud, a listed host with its port on loopback, and plain HTTP.
    pub fn is_file_host(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        if self.is_graph(url) {
            return true;
        }
        if self.name == "demo" {
            let port = url.port_or_known_default().unwrap_or(0);
            let listed = self.downloads.iter().any(|allowed| *allowed == format!("{host}:{port}"));
            let local = match url.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                Some(Host::Domain(name)) => name == "localhost",
                None => false,
            };
            return listed && local && matches!(url.scheme(), "http" | "https");
        }
        let allowed = |allowed: &String| match allowed.strip_prefix('.') {
            Some(_) => host.len() > allowed.len() && host.ends_with(allowed.as_str()),
            None => host == allowed,
        };
        url.scheme() == "https" && url.port().is_none() && self.downloads.iter().any(allowed)
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

    #[test]
    fn files_come_from_microsoft_s_hosts_and_nowhere_else() {
        let cloud = Cloud::named("global").unwrap();
        let allowed = |text: &str| cloud.is_file_host(&Url::parse(text).unwrap());
        for good in [
            "https://contoso-my.sharepoint.com/personal/x?tempauth=y",
            "https://CONTOSO.SharePoint.com/",
            "https://sn3302.up.1drv.com/up/x",
            "https://api.onedrive.com/monitor/x",
            "https://outlook.office.com/api/v2.0/x",
            "https://graph.microsoft.com/v1.0/x",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "http://contoso.sharepoint.com/",
            "https://contoso.sharepoint.com:8443/",
            "https://user@contoso.sharepoint.com/",
            "https://:p@contoso.sharepoint.com/",
            "https://.sharepoint.com/",
            "https://sharepoint.com/",
            "https://evilsharepoint.com/",
            "https://contoso.sharepoint.com.evil.example/",
            "https://contoso.sharepoint.com./",
            "https://evil.example/#.sharepoint.com",
            "https://evil.example\\.sharepoint.com/",
            "https://contoso.sharepoint.us/",
            "https://127.0.0.1/",
            "ftp://contoso.sharepoint.com/",
            "file:///etc/passwd",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
        let usgov = Cloud::named("usgov").unwrap();
        assert!(usgov.is_file_host(&Url::parse("https://agency.sharepoint.us/").unwrap()));
        assert!(!usgov.is_file_host(&Url::parse("https://contoso.sharepoint.com/").unwrap()));
    }

    /// What each cloud is made of, by itself: sources at [`Cloud`] and at the lists of hosts.
    const CLOUDS: [(&str, &str, &str, &str, &str); 4] = [
        ("global", "login.microsoftonline.com", "graph.microsoft.com", "contoso.sharepoint.com", "Mail.Read"),
        ("usgov", "login.microsoftonline.us", "graph.microsoft.us", "contoso.sharepoint.us", "https://graph.microsoft.us/Mail.Read"),
        (
            "dod",
            "login.microsoftonline.us",
            "dod-graph.microsoft.us",
            "contoso.sharepoint-mil.us",
            "https://dod-graph.microsoft.us/Mail.Read",
        ),
        (
            "china",
            "login.partner.microsoftonline.cn",
            "microsoftgraph.chinacloudapi.cn",
            "contoso.sharepoint.cn",
            "https://microsoftgraph.chinacloudapi.cn/Mail.Read",
        ),
    ];

    #[test]
    fn each_cloud_has_hosts_of_its_own_and_none_of_anothers() {
        for (name, identity, graph, files, scope) in CLOUDS {
            let cloud = Cloud::named(name).unwrap();
            assert_eq!((cloud.identity.as_str(), cloud.graph.as_str()), (&*format!("https://{identity}/"), &*format!("https://{graph}/")));
            assert_eq!((cloud.scope("Mail.Read").as_str(), cloud.scope("offline_access").as_str()), (scope, "offline_access"));
            let url = |host: &str| Url::parse(&format!("https://{host}/v1.0/x")).unwrap();
            assert!(cloud.is_graph(&url(graph)) && cloud.is_file_host(&url(files)), "{name}");
            assert!(!cloud.is_graph(&url(identity)) && !cloud.is_graph(&url(files)), "{name}: a bearer is for Graph alone");
            for (other, its_identity, its_graph, its_files, _) in CLOUDS.iter().filter(|(other, ..)| *other != name) {
                assert!(!cloud.is_graph(&url(its_graph)) && !cloud.is_graph(&url(its_files)), "{name}: a bearer goes to {other}");
                assert!(!cloud.is_file_host(&url(its_graph)) && !cloud.is_file_host(&url(its_files)), "{name} takes files of {other}");
                assert!(!cloud.has_host(its_graph) && !cloud.has_host(its_files), "{name} knows {other}");
                // The two of the United States have one sign-in service; their tokens are for one Graph each.
                assert_eq!(cloud.has_host(its_identity), identity == *its_identity, "{name}, {other}");
            }
        }
        assert!(Cloud::named("demo").is_none() && Cloud::named("").is_none());
    }

    #[test]
    fn a_demo_cloud_asks_what_it_lists_on_loopback() {
        let graph = Url::parse("http://127.0.0.1:1/").unwrap();
        let downloads = ["127.0.0.1:4003", "contoso.sharepoint.com:443"].map(str::to_owned).to_vec();
        let cloud = Cloud { name: "demo".into(), identity: graph.clone(), graph, downloads, ca_pem: None };
        let allowed = |text: &str| cloud.is_file_host(&Url::parse(text).unwrap());
        assert!(allowed("http://127.0.0.1:4003/x") && allowed("https://127.0.0.1:4003/x") && allowed("http://127.0.0.1:1/v1.0/x"));
        for bad in ["http://127.0.0.1:4004/", "http://127.0.0.2:4003/", "https://contoso.sharepoint.com/", "http://u@127.0.0.1:4003/"] {
            assert!(!allowed(bad), "{bad}");
        }
    }
}
