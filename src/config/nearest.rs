//! The known word that somebody probably meant.

/// The one of `known` that is nearest to `word`, when it is near enough to be a slip of the fingers.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Single-character edits between two words (Levenshtein). A very long word is far from everything.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, from) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, to) in other.iter().enumerate() {
            let next = (diagonal + usize::from(from != *to)).min(row[column] + 1).min(row[column + 1] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], next);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, edits) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("graph.http2", "graph.htpt2", 2)] {
            assert_eq!(distance(one, other), edits);
            assert_eq!(distance(other, one), edits);
        }
        assert_eq!(nearest("grahp.http2", ["graph.http2", "demo"]), Some("graph.http2".into()));
        assert_eq!(nearest("zzzzzzzz", ["graph.http2", "demo"]), None);
    }
}
