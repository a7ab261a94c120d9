//! The way to Microsoft as it is configured: which cloud, by which proxy, whose certificates. One for everything that asks: sign-in, Graph, files
//! and `doctor`.

use std::{fs, path::Path, sync::Arc};

use m365_cached::{
    auth::{Authorities, HttpSettings, Proxy, ProxyAuth},
    clock::SystemClock,
    cloud::Cloud,
    config::{Config, ProxySetting},
    hint::Kind,
    vault::{self, OsKeyring},
};
use m365_cached_proto::dirs::Profile;

use crate::core::Problem;

/// Which Microsoft, and by which way.
#[derive(Debug, Clone)]
pub struct Network {
    /// The cloud, with its certificate authority read.
    pub cloud: Cloud,
    /// How connections are made.
    pub http: HttpSettings,
}

impl Network {
    /// That of `config`, with what it names read: files, and the place of the proxy's password.
    ///
    /// # Errors
    /// When one of them cannot be used; nothing else is used in its place.
    pub(crate) async fn of(config: &Config, profile: &Profile) -> Result<Self, Problem> {
        let cloud = cloud(config, profile)?;
        let settings = HttpSettings {
            connect_timeout: config.graph.connect_timeout,
            idle_timeout: config.graph.pool_idle,
            keep_alive: config.graph.keepalive,
            http2: config.graph.http2,
            authorities: authorities(config, profile)?,
            ..HttpSettings::default()
        };
        Ok(Self { cloud, http: HttpSettings { proxy: proxy(config, profile).await?, ..settings } })
    }
}

/// The cloud with its own certificate authority read.
pub(crate) fn cloud(config: &Config, profile: &Profile) -> Result<Cloud, Problem> {
    let mut cloud = config.cloud.clone();
    if let Some(path) = &config.cloud_ca {
        cloud.ca_pem = Some(pem(&profile.config_dir.join(path), "cloud.ca")?.0);
    }
    Ok(cloud)
}

/// The authorities that are trusted beside the system's.
pub(crate) fn authorities(config: &Config, profile: &Profile) -> Result<Option<Authorities>, Problem> {
    config.network.ca.as_ref().map(|path| pem(&profile.config_dir.join(path), "network.ca").map(|(_, all)| all)).transpose()
}

/// What stands in a file of authorities, known to be usable.
fn pem(path: &Path, key: &str) -> Result<(String, Authorities), Problem> {
    let place = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("the certificate authority `{place}` cannot be read: {error}");
        Problem::new(Kind::Config, "ca_unreadable", message, format!("Check the path `{key}`."))
    })?;
    let authorities = Authorities::read(&text).map_err(|error| {
        let message = format!("the certificate authority `{place}` cannot be used: {error}");
        let hint =
            format!("Put the whole PEM file of the authority there, or correct `{key}`; `openssl x509 -in FILE -noout -text` reads one.");
        Problem::new(Kind::Config, "ca_unusable", message, hint)
    })?;
    Ok((text, authorities))
}

async fn proxy(config: &Config, profile: &Profile) -> Result<Proxy, Problem> {
    let network = &config.network;
    let url = match &network.proxy {
        ProxySetting::System => return Ok(Proxy::System),
        ProxySetting::Off => return Ok(Proxy::Off),
        ProxySetting::At(url) => url.clone(),
    };
    let auth = match &network.proxy_auth {
        Some(reference) => {
            let keyring: Arc<dyn vault::Keyring> = Arc::new(OsKeyring);
            let variable = |name: &str| std::env::var(name).ok();
            let kept = vault::kept_at(reference, "network.proxy_auth", &keyring, &SystemClock, variable, &profile.dir).await;
            let kept = kept.map_err(|locked| Problem::of(&locked))?;
            Some(ProxyAuth::basic(&kept).ok_or_else(|| {
                let message = format!("what `network.proxy_auth` names (`{reference}`) is no name and password");
                Problem::new(Kind::Config, "proxy_auth_malformed", message, "Put one line `NAME:PASSWORD` there, then restart the daemon.")
            })?)
        }
        None => None,
    };
    Ok(Proxy::At { url, past: network.no_proxy.clone(), auth })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../src/auth/authority_for_tests.pem");
    const DEMO: &str = "demo = true\ncloud.identity = \"https://127.0.0.1:1\"\ncloud.graph = \"https://127.0.0.1:2\"\n";

    fn profile(config: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Profile, Config) {
        let dir = tempfile::TempDir::new().unwrap();
        for (name, text) in files.iter().chain(&[("config.toml", config)]) {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let profile = Profile::at(dir.path()).unwrap();
        let config = crate::parts::configuration(&profile, &[]).unwrap_or_else(|problem| panic!("{}", problem.message));
        (dir, profile, config)
    }

    #[tokio::test]
    async fn a_file_of_authorities_is_used_or_refused_with_its_reason() {
        for (key, head) in [("cloud.ca", DEMO), ("network.ca", "")] {
            let text = format!("{head}{key} = \"ca.pem\"");
            let (_dir, good, config) = profile(&text, &[("ca.pem", PEM)]);
            let network = Network::of(&config, &good).await.unwrap();
            assert_eq!((network.cloud.ca_pem.is_some(), network.http.authorities.is_some()), (key == "cloud.ca", key == "network.ca"));
            for (pem, code) in [(None, "ca_unreadable"), (Some(""), "ca_unusable"), (Some("PEM"), "ca_unusable")] {
                let files: Vec<(&str, &str)> = pem.iter().map(|pem| ("ca.pem", *pem)).collect();
                let (_dir, bad, config) = profile(&text, &files);
                let problem = Network::of(&config, &bad).await.unwrap_err();
                assert_eq!((problem.kind, problem.code.as_str()), (Kind::Config, code), "{key} {pem:?}");
                assert!(problem.hint.contains(key), "{}", problem.hint);
                assert_eq!(crate::parts::unusable(&config, &bad)[0].code, code, "`config check` says so too");
            }
        }
    }

    #[tokio::test]
    async fn the_password_of_a_proxy_comes_from_the_place_that_is_named() {
        let at = |dir: &tempfile::TempDir| format!("file:{}", dir.path().join("secret").display());
        let (dir, profile, _) = profile("", &[]);
        let mut config = Config::default();
        config.network.proxy = ProxySetting::At("http://127.0.0.1:1".parse().unwrap());
        config.network.proxy_auth = m365_cached::secret::Reference::read(&at(&dir));
        let code = async |config: &Config| Network::of(config, &profile).await.map(drop).unwrap_err().code;
        assert_eq!(code(&config).await, "secret_missing");
        let write = |text: &str| {
            fs::write(dir.path().join("secret"), text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(dir.path().join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        };
        write("hunter2\n");
        let problem = Network::of(&config, &profile).await.unwrap_err();
        assert!(problem.code == "proxy_auth_malformed" && !problem.message.contains("hunter2"), "{}", problem.message);
        write("ada:hunter2\n");
        let network = Network::of(&config, &profile).await.unwrap();
        assert!(matches!(&network.http.proxy, Proxy::At { auth: Some(_), .. }));
        assert!(!format!("{network:?}").contains("hunter2"));
    }
}
