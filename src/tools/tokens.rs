//! What the schema of each tool costs a model, in tokens.
//!
//! Counted is what hosts put before their models: name, description and schema, as compact JSON. The counts are a table, because the
//! vocabulary that they are counted with (OpenAI's `o200k_base`; those of others are not published) has 3.6 MB and belongs into no program of
//! ours. `tests/tokens.rs` makes the table and holds it true, and holds `essential` to its budget.

/// `name whole short`, by tool.
const TABLE: &str = include_str!("data/tokens.tsv");

/// Tokens of the tool called `name` as `full` lists it, and as short lists do.
pub fn tokens(name: &str) -> Option<(u32, u32)> {
    let mut lines = TABLE.lines().map(|line| line.split('\t'));
    let mut cells = lines.find_map(|mut cells| (cells.next() == Some(name)).then_some(cells))?;
    Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::all;

    #[test]
    fn every_tool_is_counted() {
        for tool in all() {
            let (whole, short) = tokens(tool.name).unwrap_or_else(|| panic!("{} is not in data/tokens.tsv", tool.name));
            assert!(short <= whole && short > 10, "{}", tool.name);
        }
        assert_eq!((tokens("email"), TABLE.lines().count()), (None, all().count()));
    }
}
