//! Whether an answer holds to what Microsoft Graph v1.0 declares: known properties, right types and members, no null where none may be.
//!
//! The declarations are Microsoft's own (`data/csdl-v1.0-excerpt.json`), and what an address gives is worked out from them alone
//! (`path.rs`), not from the tenant's routes: so the tenant cannot agree with itself.

mod body;
mod canonical;
#[cfg(test)]
mod csdl_tests;
mod model;
mod path;
mod report;
mod value;

use serde_json::Value;

pub use model::Csdl;
pub use path::Gives;
pub(crate) use report::Judge;
pub use report::{Findings, Offence, Report};

/// One request and its answer, as far as the declarations speak of them.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// The path below the version root, still percent-encoded.
    pub path: &'a str,
    /// The request's body; only that of a `$batch` is looked at.
    pub request: &'a [u8],
    /// The answer's status.
    pub status: u16,
    /// The answer's `Content-Type`; empty means JSON.
    pub content_type: &'a str,
    /// The answer's body.
    pub body: &'a [u8],
}

impl Csdl {
    /// What in this answer does not hold to the declarations, and how many properties were looked at.
    #[must_use]
    pub fn check(&self, exchange: &Exchange<'_>) -> Findings {
        let mut findings = Findings::default();
        body::check(self, exchange, &mut findings);
        findings
    }

    /// Checks a value against a declared type; `at` names the place in what is found.
    #[must_use]
    pub fn check_value(&self, type_name: &str, value: &Value, at: &str) -> Findings {
        let mut findings = Findings::default();
        value::entity(self, type_name, value, at, &mut findings);
        findings
    }
}
