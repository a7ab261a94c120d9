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

/// What is different: the lines around the bytes from the first that differs to the last. So a comma that comes behind a line shows that line, and a
/// closing brace belongs to what it closes.
fn hunk(old: &str, new: &str) -> Option<Hunk> {
    let shared: usize = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).map(|(one, _)| one.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[shared..], &new[shared..]);
    if old_rest.is_empty() && new_rest.is_empty() {
        return None;
    }
    let end: usize =
        old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(old, new)| old == new).map(|(one, _)| one.len_utf8()).sum();
    let start = old[..shared].rfind('\n').map_or(0, |line| line + 1);
    let lines = |text: &str| {
        let end = text.len() - end;
        let end =
            if text[..end].ends_with('\n') && end > start { end } else { text[end..].find('\n').map_or(text.len(), |line| end + line) };
        text[start..end].lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (mut gone, mut come) = (lines(old), lines(new));
    // What is before it on its line says nothing: then whole lines have come or gone.
    if old[start..shared].trim().is_empty() {
        while gone.last().is_some_and(|line| Some(line) == come.last()) {
            gone.pop();
            come.pop();
        }
    }
    Some(Hunk { line: old[..start].matches('\n').count() + 1, old: gone, new: come })
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
