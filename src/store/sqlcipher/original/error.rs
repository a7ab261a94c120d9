//! Why a file of the original is not taken over. No text of the file is in it.

use crate::{
    hint::{Hint, Kind},
    store::StoreError,
};

/// Why a file of the original is not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginalError {
    /// It is another program's file, or none that can be read.
    #[error("the file is not a cache of m365-mcp: {0}")]
    Foreign(String),
    /// A page or a row does not read.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// It is encrypted, and none of the keys at hand opens it; so many were tried.
    #[error("the file is encrypted, or no database at all, and none of {0} keys opens it")]
    NoKey(usize),
    /// It changed while it was read.
    #[error("the file was written while it was read")]
    Changed,
    /// The copy does not hold what the original holds.
    #[error("the sealed copy differs from the original in `{0}`")]
    Differs(String),
    /// The file system or our own database would not.
    #[error("the import failed: {0}")]
    Failed(String),
}

impl Hint for OriginalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Differs(_) => Kind::Internal,
            Self::Failed(_) => Kind::Config,
            _ => Kind::User,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "foreign_original",
            Self::Damaged(_) => "damaged_original",
            Self::NoKey(_) => "original_key_missing",
            Self::Changed => "original_in_use",
            Self::Differs(_) => "import_differs",
            Self::Failed(_) => "import_failed",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Foreign(_) => "Name the file that m365-mcp has written; its usual name is `~/.m365_mcp_cache.db`.",
                Self::Damaged(_) => "Nothing was taken over. All of it can be asked of Microsoft anew; `import --remove --unsealed` removes the file.",
                Self::NoKey(_) => {
                    "Set `M365_MCP_CACHE_KEY` to the key that m365-mcp used, or run this in the session whose keyring holds it (`m365-mcp-cache`)."
                }
                Self::Changed => "Stop m365-mcp, then try again.",
                Self::Differs(_) => "Nothing was kept and the original is untouched; try again.",
                Self::Failed(_) => "Look at the rights of the folders and the space on the disk.",
            }
            .into(),
        )
    }
}

impl From<rusqlite::Error> for OriginalError {
    fn from(error: rusqlite::Error) -> Self {
        match StoreError::from(error) {
            StoreError::Damaged(why) => Self::Damaged(why),
            StoreError::Full => Self::Failed("the disk is full".into()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for OriginalError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.kind().to_string())
    }
}
