//! Why a client's file is left as it is: what is wrong with it, and where.

/// What is wrong, at which line and column (both from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Trouble {
    /// Trouble at the byte `at` of `text`. Nothing of the text itself is told: such files hold tokens.
    pub(super) fn new(what: &str, text: &str, at: usize) -> Self {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { what: what.to_owned(), line, column }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_editors_do() {
        let text = "{\n  \"ä\": x\n}";
        let at = text.find('x').unwrap();
        assert_eq!(Trouble::new("no value", text, at).to_string(), "line 2, column 8: no value");
        assert_eq!(Trouble::new("no end", text, 99), Trouble { what: "no end".into(), line: 3, column: 2 });
        assert_eq!(Trouble::new("inside a letter", "ä", 1).column, 1);
    }
}
