//! The pattern by which people name entries: `type[:account][:name=value]` with `*`.

use std::fmt;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing was written.
    #[error("the pattern is empty")]
    Empty,
    /// More parts than `type:account:name=value`.
    #[error("the pattern has more than three parts")]
    TooManyParts,
    /// The third part is not `name=value`.
    #[error("`{0}` is not of the form name=value")]
    NoValue(String),
    /// Longer than any key can be.
    #[error("the pattern is longer than {0} characters")]
    TooLong(usize),
}

/// Longest pattern that is read, in characters.
const LONGEST: usize = 2048;

/// What begins the type of entries that hold what a tool's answers left out; behind it stands the tool.
pub const REST_OF: &str = "cursor.";

/// One part of a pattern. `*` stands for any run of characters, `\` takes the next character as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Any,
}

impl Glob {
    fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut run = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => run.push(letters.next().unwrap_or('\\')),
                '*' => {
                    if !run.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut run)));
                    }
                    if parts.last() != Some(&Part::Any) {
                        parts.push(Part::Any);
                    }
                }
                other => run.push(other),
            }
        }
        if !run.is_empty() {
            parts.push(Part::Text(run));
        }
        Self { parts }
    }

    /// Whether it is a lone `*`.
    pub fn is_any(&self) -> bool {
        self.parts == [Part::Any]
    }

    /// The text every match begins with: the whole match when there is no `*`. Lets an index narrow the search.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The one text it matches, when it has no `*`.
    pub fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether `text` matches. Case matters: Exchange ids differ by case alone.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut anchored = true;
        let last = self.parts.len().saturating_sub(1);
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Any => anchored = false,
                Part::Text(run) if anchored => match rest.strip_prefix(run.as_str()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                // The last run must reach the end; taking an earlier place for it would leave a tail.
                Part::Text(run) if at == last => return rest.ends_with(run.as_str()),
                Part::Text(run) => match rest.find(run.as_str()) {
                    Some(found) => rest = &rest[found + run.len()..],
                    None => return false,
                },
            }
            if matches!(part, Part::Text(_)) {
                anchored = true;
            }
        }
        rest.is_empty() || !anchored
    }
}

/// `type[:account][:name=value]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    /// The tool.
    pub tool: Glob,
    /// The account; any when not given.
    pub account: Glob,
    /// One argument by name, and the values that match.
    pub arg: Option<(String, Glob)>,
    text: String,
}

impl KeyPattern {
    /// Names every entry: `*`.
    pub fn everything() -> Self {
        let any = || Glob { parts: vec![Part::Any] };
        Self { tool: any(), account: any(), arg: None, text: "*".into() }
    }

    /// Reads a pattern. A `:` or `*` that belongs to a value is written `\:` or `\*`; a value may contain `:` without that.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(PatternError::Empty);
        }
        if trimmed.chars().count() > LONGEST {
            return Err(PatternError::TooLong(LONGEST));
        }
        let mut parts = split(trimmed);
        let tool = Glob::parse(&parts.remove(0));
        let mut account = Glob { parts: vec![Part::Any] };
        let mut arg = None;
        match parts.len() {
            0 => {}
            1 if parts[0].contains('=') => arg = Some(argument(&parts[0])?),
            1 => account = Glob::parse(&parts[0]),
            2 => {
                account = Glob::parse(&parts[0]);
                arg = if parts[1] == "*" { None } else { Some(argument(&parts[1])?) };
            }
            _ => return Err(PatternError::TooManyParts),
        }
        Ok(Self { tool, account, arg, text: trimmed.to_owned() })
    }

    /// Whether it names entries of this type. Whoever names a tool's answers names what they left out as well.
    pub fn names_type(&self, of: &str) -> bool {
        self.tool.matches(of) || of.strip_prefix(REST_OF).is_some_and(|tool| self.tool.matches(tool))
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits at `:` that is not escaped; once a part holds `=`, the rest is its value.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for letter in text.chars() {
        let last = parts.len() - 1;
        match letter {
            _ if escaped => {
                parts[last].push('\\');
                parts[last].push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            ':' if !parts[last].contains('=') => parts.push(String::new()),
            other => parts[last].push(other),
        }
    }
    if escaped && let Some(last) = parts.last_mut() {
        last.push('\\');
    }
    parts
}

fn argument(part: &str) -> Result<(String, Glob), PatternError> {
    match part.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Glob::parse(value))),
        _ => Err(PatternError::NoValue(part.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_plans_examples_read_as_meant() {
        let by_id = KeyPattern::parse("email_get:*:email_id=X").unwrap();
        assert_eq!(by_id.tool.exact(), Some("email_get"));
        assert!(by_id.account.is_any());
        assert_eq!(by_id.arg.as_ref().map(|(name, glob)| (name.as_str(), glob.exact())), Some(("email_id", Some("X"))));
        let folder = KeyPattern::parse("email_list:*:folder=sent*").unwrap().arg.unwrap().1;
        assert!(folder.matches("sentitems") && folder.matches("sent") && !folder.matches("inbox"));
        assert_eq!(folder.prefix(), "sent");
        let tree = KeyPattern::parse("folder_get_tree:*").unwrap();
        assert!(tree.arg.is_none() && tree.account.is_any());
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        assert_eq!(KeyPattern::parse("  "), Err(PatternError::Empty));
        assert_eq!(KeyPattern::parse("a:b:c"), Err(PatternError::NoValue("c".into())));
        assert_eq!(KeyPattern::parse("a:b:c:d"), Err(PatternError::TooManyParts));
    }

    #[test]
    fn percent_and_underscore_are_letters_like_any_other() {
        let glob = Glob::parse("a_b%");
        assert!(glob.matches("a_b%") && !glob.matches("axb%") && !glob.matches("a_bcc"));
    }

    /// The plainest matcher there is, to hold ours against.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|from| naive(rest, &text[from..])),
            Some((letter, rest)) => text.split_first().is_some_and(|(first, tail)| first == letter && naive(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn matches_as_a_naive_matcher_does(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::parse(&pattern).matches(&text), naive(&p, &t), "{} on {}", pattern, text);
        }
    }
}
