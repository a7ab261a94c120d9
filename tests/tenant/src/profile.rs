//! Writes the profile with which a daemon trusts this tenant: its CA and its addresses, marked as a demo.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::tenant::{CLIENT_ID, Tenant};

/// The first line of a profile that may be written over.
const MARK: &str = "demo = true";

/// Writes `DIR/config.toml` and `DIR/demo-ca.pem`; the path of the latter. The directory is made with mode 0700 when
/// it is missing. With `tls` the profile names the TLS ports.
///
/// # Errors
/// When `DIR/config.toml` exists and is not marked as a demo, or nothing can be written there.
pub fn write(dir: &Path, tenant: &Tenant, tls: bool) -> anyhow::Result<PathBuf> {
    let config = dir.join("config.toml");
    match fs::read_to_string(&config) {
        Ok(old) if !old.lines().any(|line| line.trim() == MARK) => {
            bail!("{} exists and is not a demo profile; choose another directory", config.display());
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", config.display())),
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).with_context(|| format!("making {}", dir.display()))?;
    let ca = dir.join("demo-ca.pem");
    fs::write(&ca, tenant.ca_pem()).with_context(|| format!("writing {}", ca.display()))?;
    fs::write(&config, text(tenant, tls)).with_context(|| format!("writing {}", config.display()))?;
    Ok(ca)
}

fn text(tenant: &Tenant, tls: bool) -> String {
    let at = tenant.addresses();
    let (identity, graph, downloads) =
        if tls { (&at.identity_tls, &at.graph_tls, &at.downloads_tls) } else { (&at.identity, &at.graph, &at.downloads) };
    let downloads = downloads.split_once("://").map_or(downloads.as_str(), |(_, host)| host);
    format!(
        "{MARK}\nclient_id = \"{CLIENT_ID}\"\n\n[cloud]\nname = \"demo\"\nidentity = \"{identity}\"\ngraph = \"{graph}\"\ndownloads = [\"{downloads}\"]\nca = \"demo-ca.pem\"\n"
    )
}
