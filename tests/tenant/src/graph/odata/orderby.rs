//! `$orderby`: which way a list runs.

use std::cmp::Ordering;

use serde_json::Value;

use super::filter::{Filter, instant};
use super::schema::Schema;
use super::{Answer, Row, value_at};
use crate::graph::errors::Fault;

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) path: Vec<String>,
    pub(crate) descending: bool,
}

impl Order {
    /// Reads `$orderby=receivedDateTime desc,subject`.
    pub(crate) fn parse(text: &str, schema: &Schema) -> Answer<Vec<Self>> {
        text.split(',').map(|part| Self::one(part.trim(), text, schema)).collect()
    }

    fn one(part: &str, whole: &str, schema: &Schema) -> Answer<Self> {
        let mut words = part.split_whitespace();
        let path: Vec<String> = words.next().unwrap_or("").split('/').map(str::to_owned).collect();
        let descending = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("asc") => false,
            Some(word) if word.eq_ignore_ascii_case("desc") => true,
            Some(_) => {
                return Err(Fault::bad_request(format!("Invalid orderby clause: Syntax error in '{whole}'.")));
            }
        };
        let first = path.first().map_or("", String::as_str);
        if first.is_empty() || words.next().is_some() {
            return Err(Fault::bad_request(format!("Invalid orderby clause: Syntax error in '{whole}'.")));
        }
        if schema.kind(first).is_none() {
            return Err(Fault::unknown_property(first, schema.name));
        }
        Ok(Self { path, descending })
    }

    /// The rule for mail: what is ordered by must come first in the filter, in the same order.
    pub(crate) fn fits(orders: &[Self], filter: &Filter) -> bool {
        let paths = filter.paths();
        orders.len() <= paths.len() && orders.iter().zip(paths).all(|(order, path)| order.path == path)
    }

    /// The values by which a row is put in order.
    pub(crate) fn keys(orders: &[Self], row: &dyn Row) -> Vec<Value> {
        orders
            .iter()
            .map(|order| match value_at(row, &order.path) {
                Value::String(text) if instant(&text).is_none() => Value::String(text.to_lowercase()),
                other => other,
            })
            .collect()
    }

    /// Compares two rows by their keys.
    pub(crate) fn compare(orders: &[Self], a: &[Value], b: &[Value]) -> Ordering {
        for ((order, a), b) in orders.iter().zip(a).zip(b) {
            let found = match (a, b) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Less,
                (_, Value::Null) => Ordering::Greater,
                (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
                (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
                (Value::String(a), Value::String(b)) => match (instant(a), instant(b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => a.cmp(b),
                },
                _ => Ordering::Equal,
            };
            if found != Ordering::Equal {
                return if order.descending { found.reverse() } else { found };
            }
        }
        Ordering::Equal
    }
}
