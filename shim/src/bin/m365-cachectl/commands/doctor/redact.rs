//! Takes out of a text what must not leave the machine with a bug report: addresses, ids, names, tokens, the home folder.
//!
//! Decision: what is known (accounts, settings that name people, the home) is replaced wherever it stands; what is not known is judged word by
//! word, and rather too much goes than too little. Equal words become equal marks, so that a reader still sees what belongs together. Short names that
//! people gave (`work`) are replaced where they stand as words of their own, and last: what is left of an address without its host is no address any more.

use serde_json::Value;

/// Shorter ones are not worth looking at: `ASCII`, version numbers.
const LONG: usize = 24;

/// What is replaced.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// Text and what stands in its place, the longest first.
    known: Vec<(String, String)>,
    /// The same of words.
    words: Vec<(String, String)>,
}

impl Redactor {
    /// Has `text` replaced by `mark` from now on, in whatever case.
    pub(super) fn know(&mut self, text: &str, mark: &str) {
        // What is that short stands in other words too.
        if text.len() >= 3 {
            remember(&mut self.known, text, mark);
        }
    }

    /// The same where `word` is no part of a longer one. The first mark of a word stays.
    pub(super) fn know_word(&mut self, word: &str, mark: &str) {
        if word.len() >= 2 && word.contains(char::is_alphanumeric) && !self.words.iter().any(|(known, _)| *known == word.to_lowercase()) {
            remember(&mut self.words, word, mark);
        }
    }

    /// The text as it may leave.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let mut line = line.to_owned();
            for (known, mark) in &self.known {
                line = replaced(&line, known, mark, |_, _, _| true);
            }
            line = words(&line);
            for (known, mark) in &self.words {
                line = replaced(&line, known, mark, is_word);
            }
            out.push_str(&line);
        }
        out
    }

    /// The value with every text in it as it may leave. Names of fields are ours.
    pub(super) fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.clean_value(value)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, self.clean_value(value))).collect(),
            other => other,
        }
    }
}

fn remember(known: &mut Vec<(String, String)>, text: &str, mark: &str) {
    known.push((text.to_lowercase(), mark.to_owned()));
    known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
}

/// Whether what stands in `text` from `start` to `end` is no part of a longer word.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
    let (before, it, after) = (text.get(..start), text.get(start..end), text.get(end..));
    let ends = |one: Option<char>, other: Option<char>| !(one.is_some_and(part) && other.is_some_and(part));
    let last = |text: Option<&str>| text.and_then(|text| text.chars().next_back());
    let first = |text: Option<&str>| text.and_then(|text| text.chars().next());
    ends(last(before), first(it)) && ends(last(it), first(after))
}

/// `text` with every `known` (lower case) replaced that `counts`, whatever case it has there.
fn replaced(text: &str, known: &str, mark: &str, counts: impl Fn(&str, usize, usize) -> bool) -> String {
    let lower = text.to_lowercase();
    // Lower case may be longer or shorter in some scripts; then places would not fit.
    if lower.len() != text.len() {
        return text.replace(known, mark);
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find(known).map(|at| from + at) {
        let (Some(before), true) = (text.get(from..at), text.is_char_boundary(at + known.len())) else { break };
        out.push_str(before);
        let end = at + known.len();
        out.push_str(if counts(text, at, end) { mark } else { text.get(at..end).unwrap_or_default() });
        from = end;
    }
    out + text.get(from..).unwrap_or_default()
}

fn words(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let part = |letter: char| letter.is_alphanumeric() || "._%+-@".contains(letter);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| part(letter) != part(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match mark(word).filter(|_| part(first)) {
            Some(mark) => out.push_str(&mark),
            None => out.push_str(word),
        }
        rest = after;
    }
    out
}

/// What stands in the place of a word that must not be seen.
fn mark(word: &str) -> Option<String> {
    if word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
        return Some(format!("<address {}>", short(word)));
    }
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    let is_id = groups.windows(5).any(|five| five.iter().zip([8, 4, 4, 4, 12]).all(|(length, wanted)| *length >= wanted));
    if is_id && word.bytes().filter(u8::is_ascii_hexdigit).count() >= 32 {
        return Some(format!("<id {}>", short(word)));
    }
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let hexadecimal = word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal || word.len() >= LONG && mixed).then(|| format!("<long {}>", short(word)))
}

/// Tells words of one text apart and says nothing about them: FNV-1a, of which 20 bits are kept.
fn short(word: &str) -> String {
    let hash =
        word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:05x}", (hash ^ (hash >> 32)) & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebodys_goes_and_what_is_ours_stays() {
        let mut redactor = Redactor::default();
        redactor.know("/home/ada", "~");
        redactor.know("Ada Lovelace", "<account-1>");
        let clean = |text: &str| redactor.clean(text);
        assert_eq!(clean("/home/ada/.local/m365-cached.sock"), "~/.local/m365-cached.sock");
        assert_eq!(clean("by ADA LOVELACE herself"), "by <account-1> herself");
        for secret in [
            "ada@contoso.com",
            "ADA.L+x@sub.contoso.com",
            "5a1b2c3d-0000-4000-8000-00000000d3e0",
            "5a1b2c3d-0000-4000-8000-00000000d3e0.11111111-2222-3333-4444-555555555555",
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiIwMDAwMDAwMy0wMDAwIn0.c2lnbmF0dXJl",
            "AAMkAGI2TG93AAA8sdf9AAAsd0fGHasd=",
            "0123456789abcdef0123456789abcdef01234567",
        ] {
            for text in [secret.to_owned(), format!("token={secret}"), format!("\"{secret}\","), format!("a {secret} b\n")] {
                let shown = clean(&text);
                assert!(!shown.contains(secret) && shown.contains('<'), "{text} => {shown}");
            }
        }
        for ours in [
            "2026-11-20T09:00:00.000Z  INFO m365_cached_daemon::offline: the vault is open source=environment",
            "keys.source = \"auto\"  # default",
            "MAILBOX_CONCURRENCY m365_cached::engine::crossing version 0.1.0",
            "{\"check\":\"configuration\",\"state\":\"ok\"}",
            "",
        ] {
            assert_eq!(clean(ours), ours);
        }
        assert_eq!(
            clean("ada@contoso.com ada@contoso.com").split(' ').collect::<std::collections::BTreeSet<_>>().len(),
            2,
            "one address, one mark"
        );
    }

    #[test]
    fn short_names_go_where_they_are_words() {
        let mut redactor = Redactor::default();
        for (word, mark) in
            [("work", "<account-1>"), ("proxy.corp", "<proxy>"), ("contoso.com", "<tenant>"), ("Work", "<again>"), ("*", "<all>")]
        {
            redactor.know_word(word, mark);
        }
        let clean = |text: &str| redactor.clean(text);
        assert_eq!(
            clean("the account `Work`, not network.proxy, worker.count or work_school"),
            "the account `<account-1>`, not network.proxy, worker.count or work_school"
        );
        assert_eq!(clean("http://proxy.corp:3128/ at contoso.com"), "http://<proxy>:3128/ at <tenant>");
        let address = clean("bob@contoso.com *");
        assert!(!address.contains("bob") && !address.contains("contoso") && address.ends_with(" *"), "{address}");
        let value = serde_json::json!({ "work": ["work", 1, { "alias": "work" }] });
        assert_eq!(redactor.clean_value(value), serde_json::json!({ "work": ["<account-1>", 1, { "alias": "<account-1>" }] }));
    }
}
