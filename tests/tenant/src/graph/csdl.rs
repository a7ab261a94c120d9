//! For tests: short ways to hold a value to the declarations. Whole answers are held to them by [`super::testing`].

use serde_json::Value;

use super::testing::rows;
use crate::csdl;

/// The declarations.
pub(crate) struct Csdl(pub(crate) &'static csdl::Csdl);

impl Csdl {
    pub(crate) fn load() -> Self {
        Self(csdl::Csdl::v1())
    }

    /// Holds an object to its type, given by its short name.
    pub(crate) fn object(&self, type_name: &str, value: &Value, at: &str) {
        let findings = self.0.check_value(&format!("microsoft.graph.{type_name}"), value, at);
        assert!(findings.offences.is_empty(), "{at} does not hold to the declarations: {:#?}", findings.offences);
    }

    /// Holds the rows of a page to their type; there must be some.
    pub(crate) fn list(&self, type_name: &str, page: &Value, at: &str) -> usize {
        let rows = rows(page);
        assert!(!rows.is_empty(), "{at} is empty");
        for row in &rows {
            self.object(type_name, row, at);
        }
        rows.len()
    }
}
