//! A contact as vCard 3.0 (RFC 2426): values escaped, lines folded at 75 octets, CRLF.

use serde_json::Value;

use crate::tools::shape::text;

/// Longest line, in octets without its end (RFC 2425, 5.8.1).
const LINE: usize = 75;

/// The card of one of Graph's contacts. What is not set is left out, but for the two lines a card has to have.
pub(super) fn vcard(contact: &Value) -> String {
    let field = |name: &str| text(contact, name).unwrap_or_default();
    let mut card = Card(String::new());
    card.line("BEGIN", "VCARD");
    card.line("VERSION", "3.0");
    let name = ["surname", "givenName", "middleName", "title", "generation"].map(field);
    card.line("N", &structured(&name));
    let shown = [field("displayName"), &[field("givenName"), field("surname")].join(" "), field("companyName"), first_address(contact)]
        .map(|name| name.trim().to_owned());
    let shown = shown.iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    card.line("FN", &escaped(shown));
    card.text("NICKNAME", field("nickName"));
    if !field("companyName").is_empty() || !field("department").is_empty() {
        let organisation = [field("companyName"), field("department")];
        card.line("ORG", structured(&organisation).trim_end_matches(';'));
    }
    card.text("TITLE", field("jobTitle"));
    for address in list(contact, "emailAddresses") {
        card.text("EMAIL;TYPE=INTERNET", text(address, "address").unwrap_or_default());
    }
    for (kind, name) in [("WORK", "businessPhones"), ("HOME", "homePhones")] {
        for phone in list(contact, name) {
            card.text(&format!("TEL;TYPE={kind}"), phone.as_str().unwrap_or_default());
        }
    }
    card.text("TEL;TYPE=CELL", field("mobilePhone"));
    for (kind, name) in [("WORK", "businessAddress"), ("HOME", "homeAddress"), ("POSTAL", "otherAddress")] {
        let Some(address) = contact.get(name) else { continue };
        let part = |name: &str| text(address, name).unwrap_or_default();
        // Post office box and extended address are not among Graph's fields.
        let parts = ["", "", part("street"), part("city"), part("state"), part("postalCode"), part("countryOrRegion")];
        if parts.iter().any(|part| !part.is_empty()) {
            card.line(&format!("ADR;TYPE={kind}"), &structured(&parts));
        }
    }
    // Graph has a point in time at noon; the card wants the day.
    card.text("BDAY", field("birthday").split('T').next().unwrap_or_default());
    card.text("URL", field("businessHomePage"));
    card.text("NOTE", field("personalNotes"));
    card.text("UID", field("id"));
    card.line("END", "VCARD");
    card.0
}

fn list<'a>(contact: &'a Value, name: &str) -> &'a [Value] {
    contact.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn first_address(contact: &Value) -> &str {
    list(contact, "emailAddresses").first().and_then(|address| text(address, "address")).unwrap_or_default()
}

/// Parts of one value, each escaped, with `;` between.
fn structured(parts: &[&str]) -> String {
    parts.iter().map(|part| escaped(part)).collect::<Vec<_>>().join(";")
}

/// RFC 2426, 5: backslash, comma, semicolon and line breaks. Other control characters have no place in a value.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.replace("\r\n", "\n").chars() {
        match letter {
            '\\' | ',' | ';' => text.extend(['\\', letter]),
            '\n' | '\r' => text.push_str("\\n"),
            letter if letter.is_control() && letter != '\t' => {}
            letter => text.push(letter),
        }
    }
    text
}

struct Card(String);

impl Card {
    /// A line with a text, when there is one.
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(name, &escaped(value));
        }
    }

    /// A line, folded between characters: a fold inside one would tear it apart.
    fn line(&mut self, name: &str, value: &str) {
        let mut room = LINE;
        for letter in name.chars().chain([':']).chain(value.chars()) {
            if letter.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE - 1;
            }
            self.0.push(letter);
            room -= letter.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// The values of a card, unfolded and unescaped.
    fn read(card: &str) -> Vec<(String, String)> {
        let unfolded = card.replace("\r\n ", "");
        let lines = unfolded.split_terminator("\r\n");
        lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                let mut plain = String::new();
                let mut letters = value.chars();
                while let Some(letter) = letters.next() {
                    match letter {
                        '\\' => match letters.next().unwrap() {
                            'n' => plain.push('\n'),
                            other => plain.push(other),
                        },
                        // A separator, as opposed to an escaped one.
                        ';' => plain.push('|'),
                        other => plain.push(other),
                    }
                }
                (name.to_owned(), plain)
            })
            .collect()
    }

    #[test]
    fn a_whole_contact() {
        let contact = json!({"id": "AA=", "displayName": "Doe; Jane", "givenName": "Jane", "surname": "Doe", "companyName": "A, B", "department": null,
            "jobTitle": "Lead", "emailAddresses": [{"name": "J", "address": "jane@x.org"}], "businessPhones": ["1", "2"], "homePhones": [],
            "mobilePhone": null, "homeAddress": {"street": "1 Way\r\nTop", "city": "Y"}, "businessAddress": {}, "birthday": "1974-07-22T11:59:00Z",
            "personalNotes": "back\\slash"});
        let read = read(&vcard(&contact));
        let lines: Vec<String> = read.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            [
                "BEGIN=VCARD",
                "VERSION=3.0",
                "N=Doe|Jane|||",
                "FN=Doe; Jane",
                "ORG=A, B",
                "TITLE=Lead",
                "EMAIL;TYPE=INTERNET=jane@x.org",
                "TEL;TYPE=WORK=1",
                "TEL;TYPE=WORK=2",
                "ADR;TYPE=HOME=||1 Way\nTop|Y|||",
                "BDAY=1974-07-22",
                "NOTE=back\\slash",
                "UID=AA=",
                "END=VCARD"
            ]
        );
    }

    #[test]
    fn nothing_is_printed_that_is_not_there() {
        assert_eq!(vcard(&json!({})), "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:\r\nEND:VCARD\r\n");
    }

    proptest! {
        #[test]
        fn whatever_a_contact_holds_the_card_reads_back(notes in any::<String>(), given in any::<String>(), surname in any::<String>()) {
            let card = vcard(&json!({"givenName": given, "surname": surname, "personalNotes": notes}));
            for line in card.split("\r\n") {
                prop_assert!(line.len() <= LINE);
                prop_assert!(!line.contains(['\r', '\n']));
            }
            let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|letter| !letter.is_control() || *letter == '\t' || *letter == '\n').collect::<String>();
            let lines = read(&card);
            let found = lines.iter().find(|(name, _)| name == "NOTE").map(|(_, value)| value.clone()).unwrap_or_default();
            prop_assert_eq!(found, plain(&notes));
            prop_assert_eq!(lines.iter().filter(|(name, _)| name == "END").count(), 1);
        }
    }
}
