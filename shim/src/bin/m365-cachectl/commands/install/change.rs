//! What would be different, for a person to agree to: the lines that go and the lines that come.
//!
//! Only those, and of a long line only the part around the change: the lines beside them belong to other servers, and such files hold their tokens.

use std::fmt::Write as _;

/// So much of a line that is shared is shown beside the part that is not.
const AROUND: usize = 24;

/// Lines at one place of a file that are replaced by others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hunk {
    /// The first of them, from 1.
    line: usize,
    old: Vec<String>,
    new: Vec<String>,
}

/// The change from `old` to `new` as a unified diff without context; empty when they are equal.
pub(super) fn diff(old: &str, new: &str) -> String {
    let mut text = String::new();
    if let Some(hunk) = hunk(old, new) {
        let _ = writeln!(text, "@@ line {} @@", hunk.line);
        let sides = [('-', &hunk.old, &hunk.new), ('+', &hunk.new, &hunk.old)];
        for (sign, lines, others) in sides {
            for (at, line) in lines.iter().enumerate() {
                let _ = writeln!(text, "{sign}{}", around(line, others.get(at).map_or("", String::as_str)));
            }
        }
    }
    text
}

/// What is different, from the first such line to the last.
fn hunk(old: &str, new: &str) -> Option<Hunk> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let shared = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - shared;
    let last = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let (gone, come) = (&old[shared..old.len() - last], &new[shared..new.len() - last]);
    let owned = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
    (!gone.is_empty() || !come.is_empty()).then(|| Hunk { line: shared + 1, old: owned(gone), new: owned(come) })
}

/// `line`, with `…` for what it shares with `other` beyond what shows the place.
fn around(line: &str, other: &str) -> String {
    let same = line.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let length = line.chars().count();
    let rest = (length - same).min(other.chars().count().saturating_sub(same));
    let last = line.chars().rev().zip(other.chars().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let (from, to) = (same.saturating_sub(AROUND), (length - last + AROUND).min(length));
    let part: String = line.chars().skip(from).take(to - from).collect();
    format!("{}{part}{}", if from > 0 { "…" } else { "" }, if to < length { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_shown() {
        let old = "{\n  \"a\": \"secret\",\n  \"b\": 1\n}\n";
        let new = "{\n  \"a\": \"secret\",\n  \"b\": 1,\n  \"m365\": 2\n}\n";
        assert_eq!(diff(old, new), "@@ line 3 @@\n-  \"b\": 1\n+  \"b\": 1,\n+  \"m365\": 2\n");
        assert_eq!(diff(new, old), "@@ line 3 @@\n-  \"b\": 1,\n-  \"m365\": 2\n+  \"b\": 1\n");
        assert_eq!(diff("", "a\n"), "@@ line 1 @@\n+a\n");
        assert_eq!(diff(old, old), "");
        assert_eq!(diff("a\na\n", "a\na\na\n"), "@@ line 3 @@\n+a\n");
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let old = format!("{{\"token\": \"{}\", \"end\": \"{}\"}}", "s".repeat(100), "t".repeat(100));
        let new = old.replace(", \"end\"", ", \"m365\": {}, \"end\"");
        let shown = diff(&old, &new);
        assert!(shown.contains("\"m365\": {}") && shown.contains("+…"), "{shown}");
        assert!(!shown.contains(&"s".repeat(40)) && !shown.contains(&"t".repeat(40)), "{shown}");
    }
}
