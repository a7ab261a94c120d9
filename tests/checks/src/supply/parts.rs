//! What is linked into the three programs, read from `Cargo.lock` by Cargo itself.
//!
//! Followed from the daemon and the shim along normal dependencies, on every platform we build for, so that one list serves all packages.
//! What only helps to build is left out, with one exception: `openssl-src` is a build dependency and its C sources are what is linked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, MetadataCommand, PackageId};

/// The packages whose programs are shipped.
const SHIPPED: [&str; 2] = ["m365-cached-daemon", "m365-cached-shim"];
/// Build dependencies whose sources end up in the programs.
const LINKED: [&str; 1] = ["openssl-src"];

/// A library, or one of our own packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name on crates.io.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as it says itself, an SPDX expression.
    pub licence: Option<String>,
    /// SHA-256 of the archive it came in, hexadecimal; none of our own.
    pub checksum: Option<String>,
    /// Where its sources are kept.
    pub repository: Option<String>,
    /// What it is made of in turn: name and version.
    pub parts: Vec<(String, String)>,
}

impl Part {
    /// Whether it is ours.
    pub fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of `Cargo.lock`.
///
/// # Errors
/// When it cannot be read.
pub fn lock() -> anyhow::Result<String> {
    std::fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock")
}

/// Every part, sorted by name.
///
/// # Errors
/// When Cargo cannot tell, or `Cargo.lock` is not up to date.
pub fn parts() -> anyhow::Result<Vec<Part>> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(["--locked".to_owned()]).exec()?;
    let lock = cargo_lock(&root().join("Cargo.lock"))?;
    let resolve = metadata.resolve.as_ref().context("Cargo resolved nothing")?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let packages: BTreeMap<&PackageId, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();

    let mut waiting: Vec<&PackageId> =
        metadata.packages.iter().filter(|package| SHIPPED.contains(&package.name.as_str())).map(|package| &package.id).collect();
    anyhow::ensure!(waiting.len() == SHIPPED.len(), "a shipped package has another name now");
    let (mut seen, mut parts) = (BTreeSet::new(), Vec::new());
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let (node, package) = (nodes.get(id).context("a package without its place")?, packages.get(id).context("an unknown package")?);
        let linked = |dep: &&cargo_metadata::NodeDep| {
            dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
                || packages.get(&dep.pkg).is_some_and(|package| LINKED.contains(&package.name.as_str()))
        };
        let below: Vec<&PackageId> = node.deps.iter().filter(linked).map(|dep| &dep.pkg).collect();
        let named = |id: &&PackageId| packages.get(id).map(|package| (package.name.to_string(), package.version.to_string()));
        let (name, version) = (package.name.to_string(), package.version.to_string());
        parts.push(Part {
            checksum: lock.get(&(name.clone(), version.clone())).cloned(),
            name,
            version,
            licence: package.license.clone(),
            repository: package.repository.clone(),
            parts: below.iter().filter_map(named).collect(),
        });
        waiting.extend(below);
    }
    parts.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(parts)
}

/// The checksums of what came from a registry.
fn cargo_lock(file: &Path) -> anyhow::Result<BTreeMap<(String, String), String>> {
    let lock = rustsec::Lockfile::load(file)?;
    let known = lock.packages.into_iter().filter_map(|package| {
        let checksum = package.checksum?.to_string();
        Some(((package.name.to_string(), package.version.to_string()), checksum))
    });
    Ok(known.collect())
}
