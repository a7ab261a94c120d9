//! One page of an Exchange collection: filtered, ordered, cut, with its count and nextLink.

use serde_json::{Map, Value};

use super::schema::Schema;
use super::{Answer, Filter, Order, Query, Row};
use crate::graph::errors::Fault;

/// How pages of a collection are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Page size when `$top` is absent.
    pub(crate) usual: usize,
    /// The largest `$top`.
    pub(crate) most: usize,
    /// Mail refuses a filter that does not begin with what it is ordered by.
    pub(crate) strict_order: bool,
    /// The property by which the rows already run, falling. Asking for it costs no sorting.
    pub(crate) falling: Option<&'static str>,
}

impl Limits {
    /// The page size asked for.
    pub(crate) fn top(&self, query: &Query) -> Answer<usize> {
        let top = query.number("top")?.unwrap_or(self.usual);
        if top > self.most {
            let most = self.most;
            return Err(Fault::bad_request(format!(
                "The limit of '{most}' for Top query has been exceeded. The value from the incoming request is '{top}'."
            )));
        }
        Ok(top)
    }
}

/// Answers a list request. `numbers` are the rows in their natural order; `row` opens one of them, `write` renders one.
/// `address` is the collection's own address without query, for the nextLink. `$top=0` gives no rows and no link.
pub(crate) fn list<K: Copy, R: Row>(
    numbers: &[K],
    query: &Query,
    schema: &Schema,
    limits: Limits,
    address: &str,
    row: impl Fn(K) -> Option<R>,
    mut write: impl FnMut(&R) -> Value,
) -> Answer<Map<String, Value>> {
    let top = limits.top(query)?;
    let skip = query.number("skip")?.unwrap_or(0);
    let filter = query.get("filter").map(|text| Filter::parse(text, schema)).transpose()?;
    let orders = query.get("orderby").filter(|t| !t.is_empty()).map(|text| Order::parse(text, schema)).transpose()?.unwrap_or_default();
    if limits.strict_order
        && let Some(filter) = &filter
        && !orders.is_empty()
        && !Order::fits(&orders, filter)
    {
        let message = "The restriction or sort order is too complex for this operation.";
        return Err(Fault::new(http::StatusCode::BAD_REQUEST, "InefficientFilter", message));
    }
    let runs_by = |order: &Order| limits.falling.is_some_and(|name| order.path == [name]);
    let (sorted, backwards) = match orders.as_slice() {
        [] => (true, false),
        [order] if runs_by(order) => (true, !order.descending),
        _ => (false, false),
    };
    let mut kept: Vec<K> = Vec::new();
    let mut ordered = numbers;
    if filter.is_some() || !sorted || backwards {
        let passes = |row: &R| filter.as_ref().is_none_or(|filter| filter.matches(row));
        if sorted {
            kept.extend(numbers.iter().copied().filter(|number| row(*number).is_some_and(|row| passes(&row))));
            if backwards {
                kept.reverse();
            }
        } else {
            let rows = numbers.iter().filter_map(|number| row(*number).map(|row| (*number, row)));
            let mut keyed: Vec<(Vec<Value>, K)> =
                rows.filter(|(_, row)| passes(row)).map(|(number, row)| (Order::keys(&orders, &row), number)).collect();
            keyed.sort_by(|(a, _), (b, _)| Order::compare(&orders, a, b));
            kept.extend(keyed.into_iter().map(|(_, number)| number));
        }
        ordered = &kept;
    }
    let page = ordered.iter().skip(skip).take(top);
    let value: Vec<Value> = page.filter_map(|number| row(*number)).map(|row| write(&row)).collect();
    let mut out = Map::new();
    if query.flag("count") {
        out.insert("@odata.count".to_owned(), Value::from(ordered.len()));
    }
    out.insert("value".to_owned(), Value::Array(value));
    if top > 0 && skip + top < ordered.len() {
        let next = format!("{address}?{}", query.with("$skip", &(skip + top).to_string()));
        out.insert("@odata.nextLink".to_owned(), Value::String(next));
    }
    Ok(out)
}
