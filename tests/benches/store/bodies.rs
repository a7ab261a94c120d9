//! Texts like those of mail lists: repeated field names, random ids, prose. The same for every run.

use m365_cached::{
    cache::Escaped,
    chance::{Dice, SeededDice},
};

/// The sizes that are measured, in bytes, and their names.
pub(crate) const SIZES: [(usize, &str); 4] = [(2_000, "2 KB"), (20_000, "20 KB"), (50_000, "50 KB"), (500_000, "500 KB")];

const WORDS: &str = "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were \
    all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new \
    some could these two may first then do any like my now over such our man me even most made after also did many off before must well back \
    through years much where your way down should because long each just state those people too mr how little good world make very year still see \
    work life get here between both being under never day same another know while last might us great old meeting budget review contract draft \
    attached schedule quarter invoice deadline project customer report figures minutes agenda proposal feedback release";

/// Makes texts.
pub(crate) struct Writer {
    dice: SeededDice,
    words: Vec<&'static str>,
}

impl Writer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: SeededDice::new(seed), words: WORDS.split_whitespace().collect() }
    }

    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 4];
        self.dice.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize % bound
    }

    fn id(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let tail: String = (0..46).map(|_| char::from(LETTERS[self.below(LETTERS.len())])).collect();
        format!("AAMkAGI2TG93AAAkAGI2THVSAAAuAAAAAAAiQ8W967B7TKBjgx9rVEURAQAiIsqMbYjsT5e{tail}=")
    }

    fn prose(&self, words: usize) -> String {
        let picked: Vec<&str> = (0..words).map(|_| self.words[self.below(self.words.len())]).collect();
        picked.join(" ")
    }

    /// A mail list of about `bytes` bytes, escaped as it is stored.
    pub(crate) fn list(&self, bytes: usize) -> Escaped {
        let mut text = String::from("\"messages\":[");
        while text.len() + 40 < bytes {
            let body = self.prose(((bytes - text.len()) / 8).clamp(20, 250));
            text.push_str(&format!(
                r#"{{"id":"{}","subject":"{}","from":{{"emailAddress":{{"name":"{}","address":"{}@contoso.example"}}}},"receivedDateTime":"2026-11-{:02}T{:02}:{:02}:00Z","hasAttachments":false,"isRead":true,"ccRecipients":[],"body":{{"contentType":"text","content":"{body}"}}}},"#,
                self.id(), self.prose(6), self.prose(2), self.words[self.below(self.words.len())], 1 + self.below(28), self.below(24), self.below(60)
            ));
        }
        text.pop();
        text.push_str("],\"complete\":true}");
        Escaped::from_text(&text)
    }
}
