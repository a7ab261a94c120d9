//! What RustSec's database knows against a part.

use std::path::Path;

use anyhow::Context as _;
use rustsec::{Database, database::Query};
use serde::Serialize;

use super::Part;

/// What was found, and how old the copy is that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Advisories in the copy.
    pub advisories: usize,
    /// The date of the newest of them: nothing later is known to it.
    pub newest: String,
    /// Those that are about one of our parts at its version.
    pub found: Vec<Found>,
}

/// An advisory that is about one of our parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which part.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The advisory.
    pub id: String,
    /// What it says in a line.
    pub title: String,
}

/// Looks `parts` up in the copy of the database in `folder`.
///
/// # Errors
/// When the folder holds no such database, or an empty one.
pub fn advisories(parts: &[Part], folder: &Path) -> anyhow::Result<Known> {
    let database = Database::open(folder).with_context(|| format!("{} is no copy of RustSec's database", folder.display()))?;
    let dates = database.iter().map(|advisory| advisory.metadata.date.as_str().to_owned());
    let newest = dates.max().with_context(|| format!("{} holds no advisory", folder.display()))?;
    let mut found = Vec::new();
    for part in parts.iter().filter(|part| !part.is_ours()) {
        let query = Query::crate_scope().package_name(part.name.parse()?).package_version(part.version.parse()?).withdrawn(false);
        found.extend(database.query(&query).into_iter().map(|advisory| Found {
            name: part.name.clone(),
            version: part.version.clone(),
            id: advisory.id().to_string(),
            title: advisory.title().to_owned(),
        }));
    }
    Ok(Known { advisories: database.iter().count(), newest, found })
}
