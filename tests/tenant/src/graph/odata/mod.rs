//! The parts of OData that Graph understands: query options, filters, orders, selections, pages. No data, no routes.

mod collection;
pub(crate) mod filter;
mod orderby;
mod query;
mod schema;
mod select;

pub(crate) use collection::{Limits, list};
pub(crate) use filter::Filter;
pub(crate) use orderby::Order;
pub(crate) use query::{Query, encode};
pub(crate) use schema::*;
pub(crate) use select::{Expand, Selection};

use super::errors::Fault;

/// What every handler gives back.
pub(crate) type Answer<T> = Result<T, Box<Fault>>;

/// Something with properties, one JSON value each. `None` is "has no such property", which lists of a type never ask.
pub(crate) trait Row {
    /// The value of one property.
    fn property(&self, name: &str) -> Option<serde_json::Value>;
}

/// Follows a path of names into a row; missing steps are null.
pub(crate) fn value_at(row: &dyn Row, path: &[String]) -> serde_json::Value {
    let Some((first, rest)) = path.split_first() else {
        return serde_json::Value::Null;
    };
    let mut value = row.property(first).unwrap_or(serde_json::Value::Null);
    for name in rest {
        value = match value {
            serde_json::Value::Object(mut fields) => fields.swap_remove(name).unwrap_or(serde_json::Value::Null),
            _ => serde_json::Value::Null,
        };
    }
    value
}

impl Row for serde_json::Map<String, serde_json::Value> {
    fn property(&self, name: &str) -> Option<serde_json::Value> {
        self.get(name).cloned()
    }
}

/// Reads a `$filter` as each kind of item would; for the fuzz target alone.
#[doc(hidden)]
pub fn filter_for_fuzz(text: &str) {
    struct Nothing;
    impl Row for Nothing {
        fn property(&self, _name: &str) -> Option<serde_json::Value> {
            None
        }
    }
    for schema in [&MESSAGE, &EVENT, &CONTACT, &DRIVE_ITEM] {
        if let Ok(filter) = Filter::parse(text, schema) {
            let _ = (filter.paths(), filter.matches(&Nothing));
        }
    }
}
