//! What is wrong with a configuration, with the place and the way out.

use std::fmt;

use super::Origin;
use crate::hint::{Hint, Kind};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the file's line, a variable, a flag. `Default` when it concerns several values together.
    pub at: Origin,
    /// What, without repeating a value.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The name of the file, for messages.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            match &problem.at {
                Origin::Default => write!(f, "configuration: {}", problem.message)?,
                Origin::File { line } => write!(f, "{}, line {line}: {}", self.file, problem.message)?,
                Origin::Environment(name) => write!(f, "environment variable `{name}`: {}", problem.message)?,
                Origin::Flag => write!(f, "flag: {}", problem.message)?,
            }
        }
        Ok(())
    }
}

impl Hint for ConfigError {
    fn kind(&self) -> Kind {
        Kind::Config
    }

    fn code(&self) -> &'static str {
        "bad_config"
    }

    fn hint(&self) -> Option<String> {
        Some("Correct it and check with `m365-cached --check`; then `m365-cachectl stop` ends a daemon that has read it, and the next call starts anew.".into())
    }
}
