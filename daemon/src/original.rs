//! Where the original (`m365-mcp`) left its files, and what `status` says while they are there.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use m365_cached::config::Config;
use m365_cached_proto::dirs::Profile;

use crate::core::Warning;

/// The original's own variable for the place of its cache.
const CACHE_VARIABLE: &str = "M365_MCP_CACHE_DB_PATH";
/// Its usual names in the home folder. Source: the tool catalogue, 14.
const CACHE: &str = ".m365_mcp_cache.db";
const TOKENS: &str = ".m365_mcp_token_cache.json";
const NAMES: &str = ".m365_mcp_account_metadata.json";
const HINT: &str = "`m365-cachectl import` takes it over, sealed; then `m365-cachectl import --remove` removes it.";

/// Where the original's files are, if they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Original {
    /// Its cache.
    pub cache: PathBuf,
    /// Its tokens, in clear text.
    pub tokens: PathBuf,
    /// The names of its accounts.
    pub names: PathBuf,
}

impl Original {
    /// The usual places of this user. A demo looks into its own folder alone, so that it never meets a person's files.
    pub fn find(config: &Config, profile: &Profile) -> Option<Self> {
        let home = if config.demo { Some(profile.dir.clone()) } else { std::env::home_dir().filter(|home| home.is_absolute()) }?;
        let named = std::env::var_os(CACHE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = named.and_then(|path| std::path::absolute(path).ok());
        Some(Self { cache: named.unwrap_or_else(|| home.join(CACHE)), tokens: home.join(TOKENS), names: home.join(NAMES) })
    }

    /// The cache and what SQLite keeps beside it, the cache first.
    pub fn of_cache(&self) -> Vec<PathBuf> {
        let beside = |ending: &&str| {
            let mut name = self.cache.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        ["", "-wal", "-shm", "-journal"].iter().map(beside).collect()
    }

    /// All that is there, the cache first.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = self.of_cache().into_iter().chain([self.tokens.clone(), self.names.clone()]);
        all.filter(|file| file.symlink_metadata().is_ok()).collect()
    }

    /// Whether there is anything of a cache.
    pub fn has_cache(&self) -> bool {
        !self.cache.as_os_str().is_empty() && self.of_cache().iter().any(|file| file.symlink_metadata().is_ok())
    }

    /// What a person should know of what is there now.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.has_cache() {
            let (code, how) = match is_plain(&self.cache) {
                Some(false) => ("original_cache", "encrypted"),
                // Without its file what is left is a log.
                _ => ("plain_original", "in clear text"),
            };
            let message = format!("the cache of m365-mcp is still there, {how}: `{}`", self.cache.display());
            warnings.push(Warning { code: code.into(), message, hint: HINT.into() });
        }
        if self.tokens.symlink_metadata().is_ok() {
            let message = format!("tokens of m365-mcp lie in clear text in `{}`: whoever reads them is signed in", self.tokens.display());
            let hint = "Sign in again with `m365-cachectl login`; `m365-cachectl import --remove` removes the file.";
            warnings.push(Warning { code: "plain_tokens".into(), message, hint: hint.into() });
        }
        warnings
    }
}

/// Whether the file at `path` is plain SQLite; `None` when it cannot be read.
pub fn is_plain(path: &Path) -> Option<bool> {
    let mut begin = [0; 16];
    File::open(path).ok()?.read_exact(&mut begin).ok()?;
    Some(begin == *b"SQLite format 3\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_and_what_is_not_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::at(dir.path()).unwrap();
        let mut config = Config::default();
        config.demo = true;
        let original = Original::find(&config, &profile).unwrap();
        let codes = || original.warnings().into_iter().map(|warning| warning.code).collect::<Vec<_>>();
        assert!(codes().is_empty());
        std::fs::write(&original.cache, b"SQLite format 3\0 and more").unwrap();
        std::fs::write(&original.tokens, b"{}").unwrap();
        assert_eq!(codes(), ["plain_original", "plain_tokens"]);
        std::fs::write(&original.cache, [7; 64]).unwrap();
        assert_eq!(codes(), ["original_cache", "plain_tokens"]);
        // A removal that was cut short.
        std::fs::remove_file(&original.cache).unwrap();
        std::fs::remove_file(&original.tokens).unwrap();
        std::fs::write(dir.path().join(".m365_mcp_cache.db-wal"), b"rows").unwrap();
        assert_eq!(codes(), ["plain_original"]);
    }
}
